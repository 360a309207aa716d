// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev What Staking, Distribution and Slashing ask of one another; no program's business. `id` is a consensus address.
interface IStakingHooks {
    /// @notice Only Slashing. Take `bps` of a validator's stake for what it did at `height`, and jail it.
    /// @return done false, and nothing happened, if there is no such validator, or it is out for ever, or (but for a tombstone) jailed
    function punish(address id, uint64 height, uint16 bps, uint64 jailedUntil, bool forever) external returns (bool done);

    /// @notice Only Slashing. Let an operator's validator out of jail.
    /// @return id its consensus address
    function release(address operator) external returns (address id);

    /// @notice What rewards are split by. Zero `id`: no such validator.
    function position(address delegator, address operator)
        external
        view
        returns (address id, uint256 shares, uint256 sharesAll, uint256 commissionBps);

    function standing(address operator)
        external
        view
        returns (address id, bool jailed, bool tombstoned, uint64 jailedUntil);
}

interface IDistributionHooks {
    /// @notice Only Staking, before shares or commission change: settle the validator's rewards and the delegator's by the values so far.
    function sync(address delegator, address id, uint256 shares, uint256 sharesAll, uint256 commissionBps) external;
}
