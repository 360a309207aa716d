// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Distribution: rewards of validators and delegators.
/// @notice Predeployed at 0x5b13. At the end of each block its fees and the new coins are shared: a part to the proposer, the rest by
///         power to the validators that were present two heights before. A validator's rewards are its commission first, then its
///         delegators' by their shares. Nothing is paid by itself: rewards are claimed. Every division rounds down.
///         Specification: docs/spec/staking.md, section 6.
interface IDistribution {
    /// @notice Only the chain itself may call this.
    error NotSystem();
    /// @notice Only Staking (0x5b12) may call this.
    error NotStaking();
    /// @notice Only the governor of Params (0x5b10) may call this.
    error NotGovernor();
    /// @notice No validator has this operator.
    error UnknownValidator(address operator);
    /// @notice The pool holds less.
    error PoolTooSmall(uint256 has, uint256 wanted);
    /// @notice There is nothing to claim.
    error NothingToClaim();

    event RewardsClaimed(address indexed delegator, uint256 amount);
    event CommissionClaimed(address indexed operator, uint256 amount);
    event PoolSpent(address indexed to, uint256 amount);

    /// @notice Rewards of a validator.
    struct ValidatorRewards {
        uint256 accrued; // not yet split between operator and delegators
        uint256 commission; // of the operator, to be claimed; without its part of `accrued`
        uint256 rewardPerShare; // cumulative, in 2^-96 wei
    }

    /// @notice Settle the caller's rewards at these validators and pay out all that is settled, from whichever validator.
    /// @return amount wei paid
    function claimRewards(address[] calldata operators) external returns (uint256 amount);

    /// @notice Pay the caller's commission out.
    function claimCommission() external returns (uint256 amount);

    /// @notice Pay from the pool of what nobody earned: shares of the absent and remainders. Only the governor.
    function spendPool(address payable to, uint256 amount) external;

    /// @notice What a delegator has earned at a validator since its rewards there were last settled.
    function pendingRewards(address delegator, address operator) external view returns (uint256);

    /// @notice Rewards of a delegator that are settled and not claimed.
    function settledRewards(address delegator) external view returns (uint256);

    /// @notice Commission that an operator could claim.
    function pendingCommission(address operator) external view returns (uint256);

    function validatorRewards(address operator) external view returns (ValidatorRewards memory);

    /// @notice What nobody earned.
    function pool() external view returns (uint256);

    /// @notice Coins made so far.
    function mintedTotal() external view returns (uint256);

    /// @notice The coins of genesis.
    function genesisSupply() external view returns (uint256);

    /// @notice Time of the first block and of the last, in milliseconds.
    function times() external view returns (uint64 firstMs, uint64 lastMs);

    /// @notice Coins that would be made in a year at the present rate, in 10^-18 of the genesis supply.
    function inflationRate() external view returns (uint256);

    /// @notice All that the contract owes, the pool included: its balance but for the present block's fees.
    function accounted() external view returns (uint256);
}

IDistribution constant DISTRIBUTION = IDistribution(0x0000000000000000000000000000000000005B13);
