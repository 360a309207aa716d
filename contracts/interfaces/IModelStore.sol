// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title ModelStore: the native side of the model registry.
/// @notice Precompile at 0x5b04. Chunks are kept once by content; a model is a list of chunks that the engine's verifier has
///         accepted. Functions that write may be called by the ModelRegistry (0x5b11) alone, the switch of operators by Params (0x5b10)
///         alone. Specification: docs/spec/precompiles.md section 4, with the storage slots in which the facts stand.
interface IModelStore {
    /// @notice Only the system contract that is responsible may write.
    error NotAuthorised();
    /// @notice A chunk must have between 1 and 65536 bytes.
    error BadChunkSize(uint256 size);
    /// @notice No such chunk is stored.
    error ChunkNotFound(bytes32 chunk);
    /// @notice No such model is stored.
    error ModelNotFound(bytes32 id);
    /// @notice The model is stored already.
    error ModelExists(bytes32 id);
    /// @notice The bytes are not a model that the verifier accepts. Which rule they break is not part of the chain's rules:
    ///         `samebit model verify FILE` tells it.
    error ModelInvalid();
    /// @notice The model is larger than the caps that the registry hands over from Params.
    error ModelTooLarge(uint256 bytes_, uint256 arenaBytes);
    error BadCall();

    /// @notice What the chain knows of a model.
    struct Model {
        uint8 status; // 0 absent, 1 stored and verified, 2 active
        uint16 codec; // 0x55 raw (at most 1 MiB), 0x70 dag-pb root of profile unixfs-v1-2025
        uint32 verifierVersion;
        uint64 size; // bytes
        uint64 arenaBytes; // scratch memory of one run
        uint32 chunkCount;
        uint64[] units; // of each gas class, in the order of the specification
    }

    /// @notice Store a chunk; an equal one is kept once.
    /// @return chunk sha2-256 of the data
    function putChunk(bytes calldata data) external returns (bytes32 chunk);

    /// @notice Whether a chunk is stored, its size and how many models use it.
    function chunkInfo(bytes32 chunk) external view returns (uint64 size, uint64 references);

    /// @notice Join chunks to a model, verify it and store its facts. Every chunk gains a reference.
    /// @param bytesMax largest file allowed
    /// @param arenaBytesMax most scratch memory of one run allowed
    /// @return id the model's id: sha2-256 of the bytes up to 1 MiB, else of the UnixFS root node
    function finalise(bytes32[] calldata chunks, uint64 bytesMax, uint64 arenaBytesMax) external returns (bytes32 id);

    /// @notice Allow (true) or stop (false) inferences of a stored model.
    function setActive(bytes32 id, bool active) external;

    /// @notice Forget an inactive model; each of its chunks loses a reference.
    function release(bytes32 id) external;

    /// @notice Delete a chunk that no model uses.
    function dropChunk(bytes32 chunk) external;

    function model(bytes32 id) external view returns (Model memory);

    /// @notice Switch a version of an operator off or on again.
    function setOpDisabled(uint16 op, uint16 version, bool disabled) external;

    function opDisabled(uint16 op, uint16 version) external view returns (bool);
}

IModelStore constant MODEL_STORE = IModelStore(0x0000000000000000000000000000000000005b04);
