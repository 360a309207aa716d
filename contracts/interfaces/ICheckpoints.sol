// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {CheckpointSet} from "../proof/Checkpoint.sol";

/// @title Checkpoints: signatures of validators that other EVM chains can check.
/// @notice Predeployed at 0x5b15. Other chains have no Ed25519, so validators sign a block now and then with a secp256k1 key of their own.
///         The signatures are collected here, as events; anyone carries them to a CheckpointVerifier elsewhere.
///         Specification: docs/spec/inference-proof.md, "Other chains".
interface ICheckpoints {
    /// @notice The key signs for another validator.
    error SignerTaken(address signer);
    /// @notice The proof is not the signer's signature over `signerDigest(operator)`.
    error BadProof();
    /// @notice Only every `interval` blocks, of the last 8,191, is there a checkpoint.
    error NoCheckpoint(uint64 height);
    /// @notice The signature is of no validator's signer.
    error UnknownSigner(address signer);
    error AlreadySigned(address signer);
    /// @notice The chain does not know its genesis hash before the end of block 1.
    error NotReady();

    event SignerChanged(address indexed operator, address indexed signer);
    event Signed(uint64 indexed height, bytes32 indexed digest, address indexed signer, bytes32 setHash, bytes signature);

    /// @notice Name the key that signs checkpoints for the caller's validator (else IStaking.UnknownValidator); zero takes it back.
    /// @param proof the signer's signature over `signerDigest(caller)`, 65 bytes; empty with zero
    function setSigner(address signer, bytes calldata proof) external;

    /// @notice Bring a signature of a checkpoint; anyone may.
    /// @param setHash hash of `signers()` as the state after block `height` has it
    function sign(uint64 height, bytes32 setHash, bytes calldata signature) external;

    function signerOf(address operator) external view returns (address);
    function operatorOf(address signer) external view returns (address);
    /// @notice Who signs the checkpoint after one that names the present state: the signers of the active set, and the power of all of it.
    function signers() external view returns (CheckpointSet memory);
    /// @notice Hash of `signers()`, as checkpoints carry it.
    function signersHash() external view returns (bytes32);
    /// @notice Blocks between checkpoints.
    function interval() external view returns (uint256);
    /// @notice What a signer signs to prove that it signs for an operator.
    function signerDigest(address operator) external view returns (bytes32);
    /// @notice What is signed for a checkpoint (EIP-712).
    function digest(uint64 height, bytes32 setHash) external view returns (bytes32);
}

ICheckpoints constant CHECKPOINTS = ICheckpoints(0x0000000000000000000000000000000000005b15);
