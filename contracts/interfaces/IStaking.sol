// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Staking: who validates, and with whose stake.
/// @notice Predeployed at 0x5b12. A validator is named by its operator, an account. Who delegates to it gets shares of its pool: a slash
///         makes the pool smaller and leaves the shares, and a share is never worth more than 1 wei. Stake that leaves is paid out after
///         the unbonding time and answers until then for what the validator did before. Changes made in block H count for the set that
///         signs height H + 2. Amounts are wei, times are Unix seconds, parts are 1/10000 (bps).
///         Specification: docs/spec/staking.md.
interface IStaking {
    /// @notice Only the chain itself may call this.
    error NotSystem();
    /// @notice Only Slashing (0x5b14) may call this.
    error NotSlashing();
    /// @notice No validator has this operator.
    error UnknownValidator(address operator);
    /// @notice The caller is the operator of a validator already.
    error OperatorTaken(address operator);
    /// @notice A validator has, or had, this consensus key.
    error KeyTaken(bytes32 key);
    /// @notice The proof is not a signature by the key over `proofMessage` of the caller.
    error BadProof();
    /// @notice The chain does not know its genesis hash before the end of block 1.
    error NotReady();
    /// @notice A text of the description is over its limit: 64 bytes of moniker, 128 of website and of contact, 512 of details.
    error TextTooLong();
    /// @notice A commission above its maximum, or a maximum above 10000.
    error CommissionTooHigh(uint256 bps, uint256 maxBps);
    /// @notice A commission may move by no more than the validator has promised.
    error CommissionChangeTooBig(uint256 bps, uint256 maxChangeBps);
    /// @notice A commission may change once in 24 hours.
    error CommissionChangedLately(uint64 allowedAt);
    /// @notice The operator's own stake is, or would be, below what it has promised or what the chain asks for.
    error SelfStakeTooSmall(uint256 has, uint256 needed);
    /// @notice The promised least self stake may only rise.
    error SelfStakeMinLowered(uint256 now_, uint256 wanted);
    /// @notice Nothing would move.
    error ZeroAmount();
    /// @notice The delegator has fewer shares (or fewer that may move).
    error NotEnoughShares(uint256 has, uint256 wanted);
    /// @notice The shares came by a redelegation that is not complete: they may be undelegated, not redelegated again.
    error InTransit(uint256 free, uint256 wanted);
    /// @notice The delegator has as many unbondings, or redelegations, at this validator as `entriesMax` allows.
    error TooManyEntries(uint256 max);
    error SameValidator();
    /// @notice The validator signed twice and is out for ever.
    error Tombstoned(address operator);
    /// @notice The validator is jailed; Slashing.unjail lets it out.
    error IsJailed(address operator);
    /// @notice The validator is a candidate already.
    error AlreadyListed(address operator);
    /// @notice The pool has lost so much to slashes that it takes no new stake: over 255 of 256 parts.
    error PoolWorn(address operator);
    /// @notice All stake together may not pass (2^63 - 1) / 8 coins.
    error StakeLimit(uint256 wanted, uint256 max);
    /// @notice The list of candidates is full and this validator is not stronger than its weakest.
    error TooWeak(uint256 power, uint256 weakest);
    /// @notice No unbonding of the caller has this number.
    error UnknownUnbonding(uint64 id);
    /// @notice The unbonding is complete: it can be paid out, not cancelled.
    error UnbondingComplete(uint64 id);

    event ValidatorCreated(address indexed operator, address indexed consensus, bytes32 key);
    event ValidatorEdited(address indexed operator);
    event CommissionChanged(address indexed operator, uint256 bps);
    event Delegated(address indexed delegator, address indexed operator, uint256 amount, uint256 shares);
    event Undelegated(
        address indexed delegator, address indexed operator, uint64 indexed id, uint256 amount, uint256 shares, uint64 completion
    );
    event Redelegated(
        address indexed delegator,
        address indexed from,
        address indexed to,
        uint256 amount,
        uint256 sharesFrom,
        uint256 sharesTo,
        uint64 completion
    );
    event UnbondingCancelled(address indexed delegator, address indexed operator, uint64 indexed id, uint256 amount, uint256 shares);
    /// @notice An unbonding was paid out: `amount` to the delegator, `slashed` burnt.
    event Unbonded(address indexed delegator, address indexed operator, uint64 indexed id, uint256 amount, uint256 slashed);
    /// @notice Redelegated stake was slashed at `to` for what `from` did.
    event RedelegationSlashed(address indexed delegator, address indexed from, address indexed to, uint256 shares, uint256 amount);
    /// @notice The validator is a candidate for the active set from now on, or is none.
    event Listed(address indexed operator, bool listed);
    /// @dev System calls have no receipts: the events below that come from them are seen by traces alone; the views tell the same.
    event Slashed(address indexed operator, uint64 height, uint256 bps, uint256 amount);
    event JailChanged(address indexed operator, bool jailed, uint64 until);
    event ValidatorSetChanged(uint256 count, bytes32 setHash);

    struct Description {
        string moniker;
        string website;
        string contact;
        string details;
    }

    struct Validator {
        address operator;
        address consensus; // first 20 bytes of keccak256(rlp([1, key]))
        bytes32 key; // ed25519
        Description description;
        uint256 tokens; // of the pool, all delegators together
        uint256 shares;
        uint256 power; // tokens in whole coins
        uint256 selfShares; // the operator's
        uint256 selfMin; // least self stake that the operator promises
        uint16 commissionBps;
        uint16 commissionMaxBps;
        uint16 commissionMaxChangeBps;
        uint64 commissionChangedAt;
        bool listed; // a candidate
        bool active; // in the set that the last block's end decided on
        bool jailed;
        bool tombstoned;
        uint64 jailedUntil;
        uint256 slashCount;
    }

    struct Candidate {
        address operator;
        address consensus;
        uint256 power;
        bool active;
    }

    struct Delegation {
        address operator;
        uint256 shares; // after slashes of redelegated shares, also those that are not settled yet: what `settle` would leave
        uint256 tokens; // what these shares are worth now
        uint256 transitShares; // of the shares, those that came by redelegations that are not complete
    }

    struct Unbonding {
        uint64 id;
        address operator;
        uint256 amount; // when it began
        uint256 payable_; // after the slashes so far
        uint64 height; // block in which it began
        uint64 completion;
        address origin; // operator from which the stake was redelegated before, and still at its risk; or zero
        uint64 originCompletion;
        uint64 originHeight; // block of that redelegation
    }

    struct Redelegation {
        address from;
        address to;
        uint256 shares; // at `to`, after the slashes so far
        uint64 height;
        uint64 completion;
    }

    struct Slash {
        uint64 height; // of the offence
        uint64 block_; // in which it was slashed
        uint64 time;
        uint16 bps;
    }

    struct StakingParams {
        uint256 unbondingSeconds;
        uint256 validatorsMax;
        uint256 selfStakeMin; // wei
        uint256 entriesMax;
    }

    // ---------------------------------------------------------------- validators

    /// @notice Become a validator. What is sent is the operator's own stake; the caller is the operator.
    /// @param key ed25519 consensus key, of no validator before
    /// @param proof signature by the key over `proofMessage(caller)`, 64 bytes
    /// @param selfMin least self stake promised, in wei; below it the validator is no candidate
    function createValidator(
        bytes32 key,
        bytes calldata proof,
        Description calldata description,
        uint16 commissionBps,
        uint16 commissionMaxBps,
        uint16 commissionMaxChangeBps,
        uint256 selfMin
    ) external payable;

    /// @notice Change what the caller's validator says of itself. A commission other than the present one counts as a change of it.
    function editValidator(Description calldata description, uint16 commissionBps, uint256 selfMin) external;

    /// @notice Make a validator a candidate again that may be one but is not on the list. Anyone may call it.
    function enter(address operator) external;

    /// @notice The bytes that a consensus key signs to prove that `operator` holds it:
    ///         "samebit/validator-key", chain id (8 bytes), genesis hash (32), operator (20).
    function proofMessage(address operator) external view returns (bytes memory);

    // ---------------------------------------------------------------- delegators

    /// @notice Delegate what is sent.
    /// @return shares shares of the validator's pool, rounded down
    function delegate(address operator) external payable returns (uint256 shares);

    /// @notice Take shares out of a pool; what they are worth is paid out after the unbonding time by `withdrawUnbonded`.
    /// @dev Stake that did not come by an open redelegation leaves first, as one unbonding; then each open redelegation gives one of
    ///      its own, oldest first, with the numbers id + 1, id + 2 ...
    /// @return id number of the first unbonding
    /// @return completion when it can be paid out
    function undelegate(address operator, uint256 shares) external returns (uint64 id, uint64 completion);

    /// @notice Move shares to another validator at once. Until `completion` they answer for what `from` did before, too.
    /// @return sharesTo shares of the pool of `to`
    function redelegate(address from, address to, uint256 shares) external returns (uint256 sharesTo, uint64 completion);

    /// @notice Give an unbonding that is not complete back to the validator that it left.
    /// @return shares shares of its pool
    function cancelUnbonding(uint64 id) external returns (uint256 shares);

    /// @notice Pay the caller's complete unbondings out, at most `max` of them.
    /// @return amount wei paid
    function withdrawUnbonded(uint256 max) external returns (uint256 amount);

    /// @notice Apply slashes that a delegator's redelegated shares at a validator have to bear. Every call of the delegator there does it
    ///         first; anyone may do it at any time.
    function settle(address delegator, address operator) external;

    // ---------------------------------------------------------------- views

    function validator(address operator) external view returns (Validator memory);
    function validatorCount() external view returns (uint256);
    /// @notice Validators in the order of their creation, from `offset` on, at most `limit`.
    function validators(uint256 offset, uint256 limit) external view returns (Validator[] memory);
    /// @notice The operator of a consensus address; zero if there is none.
    function operatorOf(address consensus) external view returns (address);
    /// @notice The candidates, in no particular order.
    function candidates(uint256 offset, uint256 limit) external view returns (Candidate[] memory);
    function delegation(address delegator, address operator) external view returns (Delegation memory);
    function delegationCount(address delegator) external view returns (uint256);
    function delegations(address delegator, uint256 offset, uint256 limit) external view returns (Delegation[] memory);
    function unbondingCount(address delegator) external view returns (uint256);
    function unbondings(address delegator, uint256 offset, uint256 limit) external view returns (Unbonding[] memory);
    /// @notice Redelegations of a delegator to a validator that are not complete or not settled.
    function redelegations(address delegator, address to) external view returns (Redelegation[] memory);
    function slashes(address operator, uint256 offset, uint256 limit) external view returns (Slash[] memory);
    function params() external view returns (StakingParams memory);
    /// @notice Stake in all pools, stake on its way out, and slashed stake that is gone for good. Together they are the balance.
    function totals() external view returns (uint256 bonded, uint256 unbonding, uint256 burnt);
    /// @notice keccak256 of the proposer rotation of the next height, as of the last block.
    function rotationHash() external view returns (bytes32);
    /// @notice Hash of block 0; zero before the end of block 1.
    function genesisHash() external view returns (bytes32);
}

IStaking constant STAKING = IStaking(0x0000000000000000000000000000000000005b12);
