// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev The caller of system calls, as in EIP-4788.
address constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;

/// @notice An offence that a block's evidence proves. `validator` is a consensus address.
struct Evidence {
    address validator;
    uint8 kind; // 1: two votes for one step; 2: a precommit for a header that history contradicts
    uint64 height; // whose set the validator was in, and for which stake answers
    uint64 timeMs; // of the block of that height
}

/// @notice A member of the active set: an ed25519 key and its voting power.
struct Member {
    bytes32 key;
    uint64 power;
}

/// @notice A validator of the first block.
struct GenesisValidator {
    address operator;
    bytes32 key;
    uint64 power; // whole coins of self stake
    uint16 commissionBps;
    string moniker;
}

/// @title What the node calls at the end of every block, in this order: Distribution, Slashing, Staking (docs/spec/staking.md).
/// @notice A word of `votes` is consensus address << 96 | power << 32 | (present ? 1 : 0), for each validator of height - 2.
interface IDistributionSystem {
    /// @param proposer consensus address of the block's proposer
    /// @return minted wei that the node adds to this contract's balance right after the call
    function endBlock(uint64 timeMs, address proposer, bytes32[] calldata votes) external returns (uint256 minted);

    /// @notice Only in genesis, by the system address, after Staking.genesis.
    /// @param supply all coins of genesis in wei, the validators' stake included: what inflation is a part of
    function genesis(uint256 supply) external;
}

interface ISlashingSystem {
    function endBlock(bytes32[] calldata votes, Evidence[] calldata evidence) external;
}

interface IStakingSystem {
    /// @param rotationHash keccak of the proposer rotation of the next height, kept for state sync
    /// @return set the whole active set, by power descending and consensus address ascending, if it changed; empty otherwise
    function endBlock(bytes32 rotationHash) external returns (Member[] memory set);

    /// @notice Only in genesis, by the system address: the first validators, whose stake lies in the contract's balance already.
    function genesis(GenesisValidator[] calldata validators) external;
}
