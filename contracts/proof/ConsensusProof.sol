// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Memory} from "@openzeppelin/contracts/utils/Memory.sol";
import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";

/// @notice What a block says about one inference in it (docs/spec/inference-proof.md).
struct InferenceRecord {
    bytes32 txHash;
    uint32 index; // of the inference in its transaction
    address caller; // the contract that asked
    bytes32 modelId;
    bytes32 inputHash; // keccak256 of the whole call data of the Inference precompile
    bytes32 outputHash; // keccak256 of what it returned
}

/// @notice The place of a record among `count` records of its block.
struct InferencePath {
    uint32 index;
    uint32 count;
    bytes32[] siblings; // from the leaf upwards; a level without sibling has no entry
}

/// @notice What a light client needs of a consensus header.
struct ConsensusHeader {
    uint64 chainId;
    uint64 height;
    uint64 timeMs;
    bytes32 lastBlockId;
    bytes32 validatorsHash;
    bytes32 nextValidatorsHash;
    bytes32 payloadHash; // the Ethereum block hash
    bytes32 extensionRoot; // of the inference records; zero for none
}

/// @title ConsensusProof: the forms of docs/spec/consensus-block.md and inference-proof.md, for contracts that check them.
/// @dev A caller compares hashes of whole encodings, so no encoding but the one that was hashed can pass.
library ConsensusProof {
    using RLP for *;
    using Memory for *;

    /// @notice The bytes are not a consensus header of version 1.
    error BadHeader();
    /// @notice The record is not at that place under that root.
    error BadPath();

    uint256 private constant HEADER_FIELDS = 15;
    uint256 private constant VERSION = 1;
    uint256 private constant RECORDS_MAX = 1 << 22;

    /// @notice Read a header. Its id, keccak256 of the bytes, is the caller's to check.
    function header(bytes memory raw) internal pure returns (ConsensusHeader memory h) {
        Memory.Slice[] memory f = raw.decodeList();
        require(f.length == HEADER_FIELDS && f[0].readUint256() == VERSION, BadHeader());
        h.chainId = _uint64(f[1]);
        h.height = _uint64(f[2]);
        h.timeMs = _uint64(f[3]);
        h.lastBlockId = _hash(f[4]);
        h.validatorsHash = _hash(f[5]);
        h.nextValidatorsHash = _hash(f[6]);
        h.payloadHash = _hash(f[11]);
        h.extensionRoot = _hash(f[14]);
    }

    function leaf(InferenceRecord memory r) internal pure returns (bytes32) {
        bytes memory list = RLP
            .encoder()
            .push(r.txHash)
            .push(uint256(r.index))
            .push(r.caller)
            .push(r.modelId)
            .push(r.inputHash)
            .push(r.outputHash)
            .encode();
        return keccak256(bytes.concat(hex"00", list));
    }

    /// @notice Revert unless the record is at that place under the root: the tree of RFC 6962 with Keccak, and the count beside it.
    function checkPath(bytes32 root, InferenceRecord memory r, InferencePath memory path) internal pure {
        require(path.index < path.count && path.count <= RECORDS_MAX, BadPath());
        bytes32 tree = leaf(r);
        uint256 used;
        uint256 at = path.index;
        for (uint256 width = path.count; width > 1; width = (width + 1) / 2) {
            if (at % 2 == 1 || at + 1 < width) {
                require(used < path.siblings.length, BadPath());
                bytes32 sibling = path.siblings[used++];
                tree = at % 2 == 1
                    ? keccak256(abi.encodePacked(hex"01", sibling, tree))
                    : keccak256(abi.encodePacked(hex"01", tree, sibling));
            }
            at /= 2;
        }
        require(used == path.siblings.length, BadPath());
        require(keccak256(abi.encodePacked(hex"02", path.count, tree)) == root, BadPath());
    }

    function _uint64(Memory.Slice item) private pure returns (uint64) {
        uint256 value = item.readUint256();
        require(value <= type(uint64).max, BadHeader());
        return uint64(value);
    }

    function _hash(Memory.Slice item) private pure returns (bytes32) {
        require(item.length() == 33, BadHeader());
        return item.readBytes32();
    }
}
