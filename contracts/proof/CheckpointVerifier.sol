// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {BlockHeader} from "@openzeppelin/contracts/utils/BlockHeader.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Memory} from "@openzeppelin/contracts/utils/Memory.sol";
import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {TrieProof} from "@openzeppelin/contracts/utils/cryptography/TrieProof.sol";
import {Checkpoint, CheckpointSet, CheckpointForm} from "./Checkpoint.sol";
import {ConsensusProof, InferencePath, InferenceRecord} from "./ConsensusProof.sol";

/// @notice A proof that a block below a checkpoint holds an inference (docs/spec/inference-proof.md, "Other chains").
struct CheckpointProof {
    bytes checkpointHeader; // Ethereum header of the checkpoint's block
    bytes[] accountProof; // of the contract of EIP-2935 in its state
    bytes[] storageProof; // of the slot that holds the hash of the block after the inference's
    bytes nextHeader; // Ethereum header of that block
    bytes consensusHeader; // of the inference's block
    InferenceRecord record;
    InferencePath path;
}

/// @title CheckpointVerifier: checks inferences of a Samebit chain on any EVM chain.
/// @notice Validators sign a checkpoint every so many blocks with secp256k1 keys that they registered in the Checkpoints contract.
///         This contract keeps the newest checkpoint and the hash of the set that signs the next one. From a checkpoint's block hash
///         everything in the 8,191 blocks before it can be proven. The trusting period counts from the time of the checkpoint's block,
///         not from when it was brought here: who signs the next one has stake at risk by the chain's clock, and one that is brought late
///         must not be trusted longer for it.
contract CheckpointVerifier {
    using RLP for *;
    using Memory for *;

    /// @notice The newest checkpoint's block is older than the trusting period.
    error Expired();
    /// @notice The block is of a time that has not come yet.
    error BadTime(uint256 time);
    error BadHeight(uint64 height);
    /// @notice The given set is not the one that the last checkpoint named.
    error WrongSet();
    /// @notice Signature `index` is not of a signer of the set behind the one before.
    error BadSignature(uint256 index);
    /// @notice Not more than two thirds of the chain's power signed.
    error NoQuorum(uint256 signed, uint256 total);
    /// @notice The header is not the checkpoint's.
    error UnknownCheckpoint(bytes32 blockHash);
    /// @notice A header, or the slot of the block hash, does not fit what leads to it.
    error BrokenLink();

    event Updated(uint64 indexed height, bytes32 blockHash);

    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    uint256 private constant HISTORY_SLOTS = 8191;

    uint64 public immutable chainId;
    bytes32 public immutable genesisHash;
    uint256 public immutable trustingPeriod; // seconds

    uint64 public height;
    uint256 public time; // of the newest checkpoint's block
    bytes32 public setHash; // of the signers of the next checkpoint
    mapping(bytes32 blockHash => uint64 height) public checkpoints;

    /// @param header Ethereum header of a checkpoint's block that the deployer trusts
    /// @param setHash_ hash of the signers in its state
    constructor(
        uint64 chainId_,
        bytes32 genesisHash_,
        bytes memory header,
        bytes32 setHash_,
        uint64 trustingPeriod_
    ) {
        chainId = chainId_;
        genesisHash = genesisHash_;
        trustingPeriod = trustingPeriod_;
        (Checkpoint memory first, uint256 time_) = _read(header, genesisHash_, setHash_);
        _accept(first, time_);
    }

    /// @notice Take a newer checkpoint that more than two thirds of the power signed.
    /// @param header Ethereum header of its block
    /// @param set the signers that the newest checkpoint named
    /// @param signers index in the set of each signature's signer, ascending
    function update(
        bytes calldata header,
        bytes32 nextSetHash,
        CheckpointSet calldata set,
        uint256[] calldata signers,
        bytes[] calldata signatures
    ) external {
        require(block.timestamp <= time + trustingPeriod, Expired());
        (Checkpoint memory next, uint256 time_) = _read(header, genesisHash, nextSetHash);
        require(next.height > height, BadHeight(next.height));
        require(time_ <= block.timestamp, BadTime(time_));
        require(CheckpointForm.hash(set) == setHash, WrongSet());
        bytes32 digest = CheckpointForm.digest(chainId, next);
        uint256 signed;
        require(signers.length == signatures.length, BadSignature(signers.length));
        for (uint256 i = 0; i < signers.length; i++) {
            require(signers[i] < set.signers.length && (i == 0 || signers[i] > signers[i - 1]), BadSignature(i));
            require(ECDSA.recover(digest, signatures[i]) == set.signers[signers[i]].account, BadSignature(i));
            signed += set.signers[signers[i]].power;
        }
        require(3 * signed > 2 * uint256(set.totalPower), NoQuorum(signed, set.totalPower));
        _accept(next, time_);
    }

    /// @notice Revert unless the record is one of a block up to 8,191 below a checkpoint; returns that block's height.
    function verifyInference(CheckpointProof calldata proof) external view returns (uint64) {
        bytes32 hash = keccak256(proof.checkpointHeader);
        uint64 checkpoint = checkpoints[hash];
        require(checkpoint != 0, UnknownCheckpoint(hash));
        uint256 next = BlockHeader.getNumber(proof.nextHeader);
        require(next > 1 && next <= checkpoint && checkpoint - next <= HISTORY_SLOTS, BadHeight(uint64(next)));
        bytes32 nextHash = next == checkpoint ? hash : _blockHash(proof, next);
        require(nextHash == keccak256(proof.nextHeader), BrokenLink());
        require(
            BlockHeader.getParentBeaconBlockRoot(proof.nextHeader) == keccak256(proof.consensusHeader), BrokenLink()
        );
        ConsensusProof.checkPath(
            ConsensusProof.header(proof.consensusHeader).extensionRoot, proof.record, proof.path
        );
        return uint64(next - 1);
    }

    /// @dev The checkpoint of a block, and the block's time. That the header is the chain's is the caller's to check, by its hash.
    function _read(bytes memory header, bytes32 genesisHash_, bytes32 setHash_)
        private
        pure
        returns (Checkpoint memory c, uint256 time_)
    {
        Memory.Slice[] memory fields = BlockHeader.parseHeader(header);
        uint64 number = SafeCast.toUint64(BlockHeader.getNumber(fields));
        return (Checkpoint(genesisHash_, number, keccak256(header), setHash_), BlockHeader.getTimestamp(fields));
    }

    function _accept(Checkpoint memory c, uint256 time_) private {
        height = c.height;
        setHash = c.setHash;
        time = time_;
        checkpoints[c.blockHash] = c.height;
        emit Updated(c.height, c.blockHash);
    }

    /// @dev The hash of a block as the checkpoint's state has it.
    function _blockHash(CheckpointProof calldata proof, uint256 number) private pure returns (bytes32) {
        bytes memory account = TrieProof.traverse(
            BlockHeader.getStateRoot(proof.checkpointHeader),
            abi.encodePacked(keccak256(abi.encodePacked(HISTORY))),
            proof.accountProof
        );
        bytes memory value = TrieProof.traverse(
            account.decodeList()[2].readBytes32(),
            abi.encodePacked(keccak256(abi.encode(number % HISTORY_SLOTS))),
            proof.storageProof
        );
        return value.decodeBytes32();
    }
}
