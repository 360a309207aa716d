// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IDistribution} from "../interfaces/IDistribution.sol";
import {IDistributionHooks, IStakingHooks} from "../interfaces/IHooks.sol";
import {STAKING} from "../interfaces/IStaking.sol";
import {IDistributionSystem, SYSTEM} from "../interfaces/ISystem.sol";
import {PARAMS} from "./Params.sol";

/// @title Distribution: rewards of validators and delegators (see IDistribution).
///
///     fees + new coins --endBlock--> accrued[validator] --fold--> commission[validator]
///                           |                             `-----> rewardPerShare[validator] --sync--> settled[delegator] --claim-->
///                           `------> pool
///
/// @dev The end of a block writes one word a validator and knows no delegator. What a validator has accrued is split only when its
///      shares or its commission are about to change, or somebody claims: the values that held since the last split still hold then.
///      Invariants: accounted = pool + accrued + commission + what delegators may claim + remainders below 1 wei a settlement;
///      balance >= accounted outside of endBlock.
contract Distribution is IDistribution, IDistributionHooks, IDistributionSystem, ReentrancyGuardTransient {
    uint256 private constant YEAR_MS = 365 days * 1000;
    uint256 private constant YEARS_MAX = 200; // after which the rate stays
    uint256 private constant STEP_MS_MAX = 60_000; // a longer time between two blocks makes no more coins
    uint256 private constant SHARES_MIN = 1 ether; // fewer shares earn nothing, so that rewardPerShare stays below 2^160
    uint256 private constant SUPPLY_MAX = 1 << 110;
    uint256 private constant POT_MAX = 1 << 110; // so that no product overflows; more waits for the next block

    /// @dev A slot that is emptied and filled again costs four times as much as one that changes: this bit keeps it from being zero.
    uint256 private constant USED = 1 << 255;

    uint256 public pool;
    uint256 public accounted;
    uint256 public mintedTotal;
    uint256 public genesisSupply;
    uint64 private firstMs;
    uint64 private lastMs;
    mapping(address id => uint256) private accrued; // with USED, once there was something
    mapping(address id => uint256) private commission;
    mapping(address id => uint256) private rewardPerShare; // cumulative, in 2^-96 wei
    mapping(address delegator => mapping(address id => uint256)) private paidPerShare; // rewardPerShare at the last settlement
    mapping(address delegator => uint256) public settledRewards;

    // ---------------------------------------------------------------- the chain

    /// @inheritdoc IDistributionSystem
    function genesis(uint256 supply) external {
        if (msg.sender != SYSTEM || block.number != 0) revert NotSystem();
        genesisSupply = Math.min(supply, SUPPLY_MAX);
    }

    /// @inheritdoc IDistributionSystem
    function endBlock(uint64 timeMs, address proposer, bytes32[] calldata votes) external returns (uint256 minted) {
        if (msg.sender != SYSTEM) revert NotSystem();
        minted = _mint(timeMs);
        (, uint256 fees) = Math.trySub(address(this).balance, accounted);
        uint256 pot = Math.min(fees, POT_MAX) + minted;
        if (pot == 0) return minted;
        accounted += pot;
        if (votes.length == 0) {
            pool += pot;
            return minted;
        }
        uint256 bonus = pot * PARAMS.proposerShareBps() / 10_000;
        if (bonus != 0) accrued[proposer] = (accrued[proposer] | USED) + bonus;
        uint256 rest = _share(pot - bonus, votes);
        if (rest != 0) pool += rest;
    }

    /// @dev Give each validator that was present its part of `pot` by power; what the absent would have had and remainders are left.
    function _share(uint256 pot, bytes32[] calldata votes) private returns (uint256 rest) {
        unchecked {
            // powers are below 2^63, the pot is below 2^111
            uint256 total = 0;
            for (uint256 i = 0; i < votes.length; i++) total += uint64(uint256(votes[i]) >> 32);
            rest = pot;
            if (total == 0) return rest;
            for (uint256 i = 0; i < votes.length; i++) {
                uint256 vote = uint256(votes[i]);
                if (vote & 1 == 0) continue;
                uint256 part = pot * uint64(vote >> 32) / total;
                rest -= part;
                if (part == 0) continue;
                address id = address(uint160(vote >> 96));
                accrued[id] = (accrued[id] | USED) + part;
            }
        }
    }

    function _mint(uint64 timeMs) private returns (uint256 minted) {
        (uint64 first, uint64 last) = (firstMs, lastMs);
        if (first == 0) first = last = timeMs;
        if (timeMs > last) {
            uint256 step = Math.min(timeMs - last, STEP_MS_MAX);
            minted = genesisSupply * _rate(first, timeMs) * step / (1 ether * YEAR_MS);
            last = timeMs;
        }
        (firstMs, lastMs) = (first, last);
        if (minted != 0) mintedTotal += minted;
    }

    /// @dev Coins of a year at `nowMs`, in 10^-18 of the genesis supply.
    function _rate(uint64 first, uint64 nowMs) private view returns (uint256 rate) {
        rate = PARAMS.inflationBps() * 1e14;
        uint256 floor = PARAMS.inflationFloorBps() * 1e14;
        uint256 keep = 10_000 - PARAMS.inflationDecayBps();
        uint256 years_ = Math.min((nowMs - first) / YEAR_MS, YEARS_MAX);
        for (uint256 i = 0; i < years_ && rate > floor; i++) rate = rate * keep / 10_000;
        if (rate < floor) rate = floor;
    }

    // ---------------------------------------------------------------- settling

    /// @inheritdoc IDistributionHooks
    function sync(address delegator, address id, uint256 shares, uint256 sharesAll, uint256 commissionBps) external {
        if (msg.sender != address(STAKING)) revert NotStaking();
        _sync(delegator, id, shares, sharesAll, commissionBps);
    }

    function _sync(address delegator, address id, uint256 shares, uint256 sharesAll, uint256 commissionBps) private {
        uint256 perShare = _fold(id, sharesAll, commissionBps);
        uint256 paid = paidPerShare[delegator][id];
        if (perShare == paid) return;
        paidPerShare[delegator][id] = perShare;
        uint256 earned = shares * (perShare - paid) >> 96;
        if (earned != 0) settledRewards[delegator] += earned;
    }

    /// @dev Split what a validator has accrued. Returns its cumulative reward per share.
    function _fold(address id, uint256 sharesAll, uint256 commissionBps) private returns (uint256 perShare) {
        perShare = rewardPerShare[id];
        uint256 amount = _accrued(id);
        if (amount == 0) return perShare;
        (uint256 own, uint256 step, uint256 left) = _split(amount, sharesAll, commissionBps);
        if (own != 0) commission[id] += own;
        if (sharesAll < SHARES_MIN) {
            pool += left;
            left = 0;
        }
        accrued[id] = left | USED;
        if (step != 0) {
            perShare += step;
            rewardPerShare[id] = perShare;
        }
    }

    function _accrued(address id) private view returns (uint256) {
        return accrued[id] & ~USED;
    }

    /// @dev Split `amount` into commission, a step of the reward per share, and what the step leaves (all, if there are few shares).
    function _split(uint256 amount, uint256 sharesAll, uint256 commissionBps)
        private
        pure
        returns (uint256 own, uint256 step, uint256 left)
    {
        own = amount * commissionBps / 10_000;
        left = amount - own;
        if (sharesAll >= SHARES_MIN) {
            step = (left << 96) / sharesAll;
            left -= Math.ceilDiv(step * sharesAll, 1 << 96);
        }
    }

    // ---------------------------------------------------------------- claiming

    /// @inheritdoc IDistribution
    function claimRewards(address[] calldata operators) external nonReentrant returns (uint256 amount) {
        for (uint256 i = 0; i < operators.length; i++) {
            (address id, uint256 shares, uint256 all, uint256 bps) = _position(msg.sender, operators[i]);
            _sync(msg.sender, id, shares, all, bps);
        }
        amount = settledRewards[msg.sender];
        if (amount == 0) revert NothingToClaim();
        settledRewards[msg.sender] = 0;
        accounted -= amount;
        emit RewardsClaimed(msg.sender, amount);
        Address.sendValue(payable(msg.sender), amount);
    }

    /// @inheritdoc IDistribution
    function claimCommission() external nonReentrant returns (uint256 amount) {
        (address id,, uint256 all, uint256 bps) = _position(msg.sender, msg.sender);
        _fold(id, all, bps);
        amount = commission[id];
        if (amount == 0) revert NothingToClaim();
        commission[id] = 0;
        accounted -= amount;
        emit CommissionClaimed(msg.sender, amount);
        Address.sendValue(payable(msg.sender), amount);
    }

    /// @inheritdoc IDistribution
    function spendPool(address payable to, uint256 amount) external nonReentrant {
        if (msg.sender != PARAMS.governor()) revert NotGovernor();
        if (amount > pool) revert PoolTooSmall(pool, amount);
        pool -= amount;
        accounted -= amount;
        emit PoolSpent(to, amount);
        Address.sendValue(to, amount);
    }

    function _position(address delegator, address operator)
        private
        view
        returns (address id, uint256 shares, uint256 sharesAll, uint256 commissionBps)
    {
        (id, shares, sharesAll, commissionBps) = IStakingHooks(address(STAKING)).position(delegator, operator);
        if (id == address(0)) revert UnknownValidator(operator);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IDistribution
    function pendingRewards(address delegator, address operator) external view returns (uint256) {
        (address id, uint256 shares, uint256 all, uint256 bps) = _position(delegator, operator);
        (, uint256 step,) = _split(_accrued(id), all, bps);
        return shares * (rewardPerShare[id] + step - paidPerShare[delegator][id]) >> 96;
    }

    /// @inheritdoc IDistribution
    function pendingCommission(address operator) external view returns (uint256) {
        (address id,, uint256 all, uint256 bps) = _position(operator, operator);
        (uint256 own,,) = _split(_accrued(id), all, bps);
        return commission[id] + own;
    }

    /// @inheritdoc IDistribution
    function validatorRewards(address operator) external view returns (ValidatorRewards memory) {
        (address id,,,) = _position(operator, operator);
        return ValidatorRewards(_accrued(id), commission[id], rewardPerShare[id]);
    }

    /// @inheritdoc IDistribution
    function times() external view returns (uint64, uint64) {
        return (firstMs, lastMs);
    }

    /// @inheritdoc IDistribution
    function inflationRate() external view returns (uint256) {
        return _rate(firstMs, lastMs);
    }
}
