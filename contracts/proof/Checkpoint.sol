// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @notice What validators sign for other chains: a block, and who signs the next one.
struct Checkpoint {
    bytes32 genesisHash;
    uint64 height;
    bytes32 blockHash; // Ethereum block hash of that height
    bytes32 setHash; // CheckpointForm.hash of the signers in that block's state
}

/// @notice A validator's key for checkpoints (an Ethereum address) with its voting power.
struct CheckpointSigner {
    address account;
    uint64 power;
}

/// @notice The signers among the active validators, in the order of the list of candidates, and the power of all validators, signers or not.
struct CheckpointSet {
    CheckpointSigner[] signers;
    uint64 totalPower;
}

/// @title CheckpointForm: the signed form, EIP-712, of checkpoints (docs/spec/inference-proof.md, "Other chains").
library CheckpointForm {
    address internal constant CONTRACT = 0x0000000000000000000000000000000000005b15;

    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant TYPE =
        keccak256("Checkpoint(bytes32 genesisHash,uint64 height,bytes32 blockHash,bytes32 setHash)");

    function hash(CheckpointSet memory set) internal pure returns (bytes32) {
        return keccak256(abi.encode(set));
    }

    /// @param chainId of the Samebit chain, wherever this runs
    function digest(uint256 chainId, Checkpoint memory c) internal pure returns (bytes32) {
        bytes32 domain =
            keccak256(abi.encode(DOMAIN, keccak256("Samebit checkpoints"), keccak256("1"), chainId, CONTRACT));
        bytes32 content = keccak256(abi.encode(TYPE, c.genesisHash, c.height, c.blockHash, c.setHash));
        return MessageHashUtils.toTypedDataHash(domain, content);
    }
}
