// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Slashing: presence, jail, and offences.
/// @notice Predeployed at 0x5b14. A validator that is absent from too many of the last heights loses a part of its stake and is jailed
///         until its operator calls `unjail`. One that signs twice, or against the chain's history, loses more and is out for ever.
///         Evidence reaches this contract through the chain alone: the nodes find and check it. Specification: docs/spec/staking.md,
///         section 7.
interface ISlashing {
    /// @notice Only the chain itself may call this.
    error NotSystem();
    /// @notice No validator has this operator.
    error UnknownValidator(address operator);
    /// @notice The validator is not jailed.
    error NotJailed(address operator);
    /// @notice The time in jail is not over.
    error StillJailed(uint64 until);
    /// @notice The validator signed twice, or against history, and is out for ever.
    error Tombstoned(address operator);

    struct SigningInfo {
        address operator;
        address consensus;
        uint256 counted; // heights counted since it began or was last jailed, at most 255
        uint256 missed; // of the last `window` ones
        uint256 window;
        uint256 missedMax; // more is punished once `counted` has reached the window
        bool jailed;
        bool tombstoned;
        uint64 jailedUntil;
    }

    struct Offence {
        address consensus;
        uint8 kind; // 1: two votes for one step; 2: a precommit for a header that history contradicts
        uint48 height; // of the offence
        uint40 block_; // that carried the evidence
    }

    /// @notice Let the caller's validator out of jail. Its self stake must be sufficient; it is a candidate again if it is strong enough.
    function unjail() external;

    function signingInfo(address operator) external view returns (SigningInfo memory);

    /// @notice Offences that were punished, oldest first: at most one for each validator.
    function evidenceCount() external view returns (uint256);
    function evidence(uint256 offset, uint256 limit) external view returns (Offence[] memory);
}

ISlashing constant SLASHING = ISlashing(0x0000000000000000000000000000000000005b14);
