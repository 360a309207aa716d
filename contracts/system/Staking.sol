// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {DISTRIBUTION} from "../interfaces/IDistribution.sol";
import {ED25519} from "../interfaces/IEd25519.sol";
import {IDistributionHooks, IStakingHooks} from "../interfaces/IHooks.sol";
import {ISlashing, SLASHING} from "../interfaces/ISlashing.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {GenesisValidator, IStakingSystem, Member, SYSTEM} from "../interfaces/ISystem.sol";
import {PARAMS} from "./Params.sol";
import {Ranking} from "./Ranking.sol";

/// @title Staking: who validates, and with whose stake (see IStaking).
///
///     wei --delegate--> pool of a validator (tokens, shares) --undelegate--> exit --withdrawUnbonded--> wei
///                          |    ^  `--redelegate--> another pool, with a transit that remembers the first
///                  punish: |    `--cancelUnbonding-- exit
///                  tokens  v
///                        burnt                    list of candidates --endBlock--> active set
///
/// @dev Invariants: balance = bonded + unbonding + burnt (+ what was forced in); bonded = sum of the pools' tokens; a pool's tokens never
///      exceed its shares, and tokens per share fall by a slash alone; the list never becomes empty; what is listed has power.
///      A pool is slashed at once. Exits and transits are slashed when they are next touched, by the records that their validator
///      left after they began. `id` is a consensus address.
contract Staking is IStaking, IStakingSystem, IStakingHooks, ReentrancyGuardTransient {
    using EnumerableSet for EnumerableSet.AddressSet;
    using EnumerableSet for EnumerableSet.UintSet;
    using SafeCast for uint256;

    struct Pool {
        uint128 tokens;
        uint128 shares;
        address operator;
        uint16 place; // in the list, plus one
        uint16 commissionBps;
        uint16 commissionMaxBps;
        uint16 commissionMaxChangeBps;
        bool jailed;
        bool tombstoned;
        uint128 selfMin;
        uint48 commissionChangedAt;
        uint48 jailedUntil;
        uint32 slashCount;
        bytes32 key;
        Description description;
    }

    struct Stake {
        uint128 shares;
        uint32 exits; // unbondings at this validator
    }

    /// @dev Shares that came from another validator, whose records from `slashFrom` on they still have to bear.
    struct Transit {
        address from;
        uint48 height;
        uint48 completion;
        uint128 shares;
        uint32 slashFrom;
    }

    /// @dev Stake on its way out, at the risk of `id` and, if it is not zero, of `origin`.
    struct Exit {
        address delegator;
        uint48 height;
        uint48 completion;
        address id;
        uint32 slashFrom;
        uint32 originSlashFrom;
        uint128 amount;
        uint48 originHeight;
        uint48 originCompletion;
        address origin;
    }

    struct Header {
        uint16 count; // of the list
        uint16 max; // validatorsMax as the last set was made with
        bool dirty; // the set may have changed
        bool lingering; // the only one on the list ought to leave it
        uint64 weakest; // no candidate has less power
    }

    uint256 private constant COIN = 1 ether;
    uint256 private constant LIST_MAX = 256;
    uint256 private constant BPS = 10_000;
    uint256 private constant STAKE_MAX = uint256(uint64(type(int64).max) / 8) * COIN;
    uint256 private constant WEAR_MAX = 256; // shares for each wei
    uint256 private constant COMMISSION_PAUSE = 1 days;
    /// @dev Stake that left in block x is in the power of height x + 1, the last one that it answers for.
    uint256 private constant LAG = 1;
    /// @dev Absence is punished in the block after the next: of the records after an exit began, only so many can be for absence before it.
    uint256 private constant RECORDS_MAX = 4;
    IDistributionHooks private constant REWARDS = IDistributionHooks(address(DISTRIBUTION));

    bytes32 public rotationHash; // slot 0: read from proofs of the state
    bytes32 public genesisHash; // slot 1
    bytes32 private setHash;
    Header private header;
    uint256[LIST_MAX] private list; // see Ranking
    uint128 private bonded;
    uint128 private unbonding;
    uint128 private burnt;
    uint64 private exitCount;
    address[] private ids;
    mapping(address id => Pool) private pools;
    mapping(address operator => address) private idOf;
    mapping(address id => mapping(uint256 index => Slash)) private records;
    mapping(address delegator => mapping(address id => Stake)) private stakes;
    mapping(address delegator => mapping(address id => Transit[])) private transits;
    mapping(address delegator => EnumerableSet.AddressSet) private idsOf;
    mapping(address delegator => EnumerableSet.UintSet) private exitsOf;
    mapping(uint256 exit => Exit) private exits;

    // ---------------------------------------------------------------- the chain

    /// @inheritdoc IStakingSystem
    function genesis(GenesisValidator[] calldata validators_) external {
        if (msg.sender != SYSTEM || block.number != 0) revert NotSystem();
        for (uint256 i = 0; i < validators_.length; i++) {
            GenesisValidator calldata v = validators_[i];
            if (v.commissionBps > BPS) revert CommissionTooHigh(v.commissionBps, BPS);
            (address id, Pool storage p) = _newPool(v.operator, v.key);
            p.description.moniker = v.moniker;
            (p.commissionBps, p.commissionMaxBps, p.commissionMaxChangeBps) = (v.commissionBps, 10_000, 100);
            p.selfMin = SafeCast.toUint128(COIN);
            _add(v.operator, id, p, v.power * COIN);
            _requireSelf(id, p);
        }
    }

    /// @inheritdoc IStakingSystem
    function endBlock(bytes32 rotationHash_) external returns (Member[] memory set) {
        if (msg.sender != SYSTEM) revert NotSystem();
        rotationHash = rotationHash_;
        if (block.number == 1) genesisHash = blockhash(0);
        Header memory h = header;
        uint256 max = PARAMS.validatorsMax();
        if (!h.dirty && h.max == max) return set;
        (h.dirty, h.max) = (false, uint16(max));
        header = h;
        set = _rank(h.count, max);
        bytes32 hash = keccak256(abi.encode(set));
        if (hash == setHash) return new Member[](0);
        setHash = hash;
        emit ValidatorSetChanged(set.length, hash);
    }

    /// @dev The first `max` of the list; marks them, and no other, as active.
    function _rank(uint256 count, uint256 max) private returns (Member[] memory set) {
        uint256[] memory words = new uint256[](count);
        for (uint256 i = 0; i < count; i++) words[i] = Ranking.sortable(list[i], i);
        Ranking.sort(words);
        set = new Member[](count < max ? count : max);
        for (uint256 i = 0; i < count; i++) {
            uint256 word = words[i];
            if (i < set.length) set[i] = Member(pools[Ranking.sortableId(word)].key, Ranking.power(word));
            if (Ranking.sortableActive(word) != (i < set.length)) list[Ranking.sortableIndex(word)] ^= Ranking.ACTIVE;
        }
    }

    /// @inheritdoc IStakingHooks
    function punish(address id, uint64 height, uint16 bps, uint64 jailedUntil, bool forever) external returns (bool) {
        if (msg.sender != address(SLASHING)) revert NotSlashing();
        Pool storage p = pools[id];
        if (p.operator == address(0) || p.tombstoned || (p.jailed && !forever)) return false;
        uint256 cut = p.tokens - _less(p.tokens, bps);
        p.tokens -= uint128(cut);
        _burn(cut);
        records[id][p.slashCount++] = Slash(height, uint64(block.number), uint64(block.timestamp), bps);
        (p.jailed, p.tombstoned, p.jailedUntil) = (true, forever, uint48(jailedUntil));
        _place(id, p, false);
        emit Slashed(p.operator, height, bps, cut);
        emit JailChanged(p.operator, true, jailedUntil);
        return true;
    }

    /// @inheritdoc IStakingHooks
    function release(address operator) external returns (address id) {
        if (msg.sender != address(SLASHING)) revert NotSlashing();
        Pool storage p;
        (id, p) = _find(operator);
        if (p.tombstoned) revert Tombstoned(operator);
        if (!p.jailed) revert ISlashing.NotJailed(operator);
        if (block.timestamp < p.jailedUntil) revert ISlashing.StillJailed(p.jailedUntil);
        _settle(operator, id, p);
        (uint256 has, uint256 needed) = _self(id, p);
        if (has < needed) revert SelfStakeTooSmall(has, needed);
        p.jailed = false;
        _place(id, p, false);
        emit JailChanged(operator, false, 0);
    }

    // ---------------------------------------------------------------- validators

    /// @inheritdoc IStaking
    function createValidator(
        bytes32 key,
        bytes calldata proof,
        Description calldata description,
        uint16 commissionBps,
        uint16 commissionMaxBps,
        uint16 commissionMaxChangeBps,
        uint256 selfMin
    ) external payable {
        if (genesisHash == 0) revert NotReady();
        if (commissionMaxBps > BPS) revert CommissionTooHigh(commissionMaxBps, BPS);
        if (commissionBps > commissionMaxBps) revert CommissionTooHigh(commissionBps, commissionMaxBps);
        (address id, Pool storage p) = _newPool(msg.sender, key);
        if (proof.length != 64 || !ED25519.verify(key, bytes32(proof[:32]), bytes32(proof[32:]), proofMessage(msg.sender))) {
            revert BadProof();
        }
        _describe(p, description);
        (p.commissionBps, p.commissionMaxBps, p.commissionMaxChangeBps) = (commissionBps, commissionMaxBps, commissionMaxChangeBps);
        p.commissionChangedAt = uint48(block.timestamp);
        p.selfMin = selfMin.toUint128();
        _delegate(msg.sender, id, p, msg.value);
        _requireSelf(id, p);
    }

    function _newPool(address operator, bytes32 key) private returns (address id, Pool storage p) {
        id = address(bytes20(keccak256(abi.encodePacked(hex"e201a0", key)))); // rlp([1, key])
        p = pools[id];
        if (idOf[operator] != address(0)) revert OperatorTaken(operator);
        if (p.operator != address(0)) revert KeyTaken(key);
        idOf[operator] = id;
        ids.push(id);
        (p.operator, p.key) = (operator, key);
        emit ValidatorCreated(operator, id, key);
    }

    /// @inheritdoc IStaking
    function editValidator(Description calldata description, uint16 commissionBps, uint256 selfMin) external {
        (address id, Pool storage p) = _find(msg.sender);
        if (commissionBps != p.commissionBps) _changeCommission(id, p, commissionBps);
        _describe(p, description);
        if (selfMin < p.selfMin) revert SelfStakeMinLowered(p.selfMin, selfMin);
        if (selfMin > p.selfMin) {
            p.selfMin = selfMin.toUint128();
            _settle(msg.sender, id, p);
            _requireSelf(id, p);
            _place(id, p, false);
        }
        emit ValidatorEdited(msg.sender);
    }

    function _changeCommission(address id, Pool storage p, uint16 bps) private {
        (uint256 old, uint256 max, uint256 step) = (p.commissionBps, p.commissionMaxBps, p.commissionMaxChangeBps);
        uint256 allowedAt = p.commissionChangedAt + COMMISSION_PAUSE;
        if (block.timestamp < allowedAt) revert CommissionChangedLately(uint64(allowedAt));
        if (bps > max) revert CommissionTooHigh(bps, max);
        if (bps > old + step || bps + step < old) revert CommissionChangeTooBig(bps, step);
        _sync(msg.sender, id, p);
        (p.commissionBps, p.commissionChangedAt) = (bps, uint48(block.timestamp));
        emit CommissionChanged(msg.sender, bps);
    }

    function _describe(Pool storage p, Description calldata d) private {
        if (bytes(d.moniker).length > 64 || bytes(d.website).length > 128) revert TextTooLong();
        if (bytes(d.contact).length > 128 || bytes(d.details).length > 512) revert TextTooLong();
        p.description = d;
    }

    /// @inheritdoc IStaking
    function enter(address operator) external {
        (address id, Pool storage p) = _find(operator);
        if (p.tombstoned) revert Tombstoned(operator);
        if (p.jailed) revert IsJailed(operator);
        if (p.place != 0) revert AlreadyListed(operator);
        _settle(operator, id, p);
        _requireSelf(id, p);
        _place(id, p, true);
    }

    /// @inheritdoc IStaking
    function proofMessage(address operator) public view returns (bytes memory) {
        return abi.encodePacked("samebit/validator-key", uint64(block.chainid), genesisHash, operator);
    }

    /// @dev The operator's own stake and what it must be at least.
    function _self(address id, Pool storage p) private view returns (uint256 has, uint256 needed) {
        has = _worth(p, stakes[p.operator][id].shares);
        needed = Math.max(p.selfMin, PARAMS.selfStakeMinCoins() * COIN);
    }

    function _requireSelf(address id, Pool storage p) private view {
        (uint256 has, uint256 needed) = _self(id, p);
        if (has < needed) revert SelfStakeTooSmall(has, needed);
    }

    // ---------------------------------------------------------------- delegators

    /// @inheritdoc IStaking
    function delegate(address operator) external payable returns (uint256) {
        (address id, Pool storage p) = _find(operator);
        return _delegate(msg.sender, id, p, msg.value);
    }

    function _delegate(address delegator, address id, Pool storage p, uint256 amount) private returns (uint256 shares) {
        if (amount == 0) revert ZeroAmount();
        _settle(delegator, id, p);
        shares = _add(delegator, id, p, amount);
        emit Delegated(delegator, p.operator, amount, shares);
    }

    /// @inheritdoc IStaking
    function undelegate(address operator, uint256 shares) external returns (uint64 first, uint64 completion) {
        (address id, Pool storage p) = _find(operator);
        uint256 free = _takeable(msg.sender, id, p, shares);
        Exit memory e;
        e.delegator = msg.sender;
        (e.height, e.completion) = (uint48(block.number), uint48(block.timestamp + PARAMS.unbondingSeconds()));
        (e.id, e.slashFrom) = (id, p.slashCount);
        (first, completion) = (exitCount + 1, e.completion);
        uint256 part = Math.min(free, shares);
        if (part != 0) _exit(e, p, part);
        shares -= part;
        if (shares != 0) _exitTransits(e, p, shares);
        if (exitCount < first) revert ZeroAmount();
        if (stakes[msg.sender][id].exits > PARAMS.entriesMax()) revert TooManyEntries(PARAMS.entriesMax());
        _place(id, p, false);
    }

    /// @dev Let shares leave that came by open redelegations, the oldest first, each as an exit of its own.
    function _exitTransits(Exit memory e, Pool storage p, uint256 shares) private {
        Transit[] storage open = transits[e.delegator][e.id];
        uint48 completion = e.completion;
        uint256 gone = 0;
        while (shares != 0) {
            Transit storage t = open[gone];
            (e.origin, e.originHeight, e.originCompletion, e.originSlashFrom) = (t.from, t.height, t.completion, t.slashFrom);
            // unbondingSeconds may have become less since: what is still at the risk of its origin is not paid out
            e.completion = t.completion > completion ? t.completion : completion;
            uint256 part = Math.min(t.shares, shares);
            _exit(e, p, part);
            shares -= part;
            t.shares -= uint128(part);
            if (t.shares == 0) gone++;
        }
        if (gone == 0) return;
        for (uint256 i = gone; i < open.length; i++) open[i - gone] = open[i];
        for (; gone != 0; gone--) open.pop();
    }

    function _exit(Exit memory e, Pool storage p, uint256 shares) private {
        uint256 amount = _take(e.delegator, e.id, p, shares);
        if (amount == 0) return;
        e.amount = uint128(amount);
        uint64 number = ++exitCount;
        exits[number] = e;
        exitsOf[e.delegator].add(number);
        stakes[e.delegator][e.id].exits++;
        unbonding += e.amount;
        emit Undelegated(e.delegator, p.operator, number, amount, shares, e.completion);
    }

    /// @inheritdoc IStaking
    function redelegate(address from, address to, uint256 shares) external returns (uint256 sharesTo, uint64 completion) {
        if (from == to) revert SameValidator();
        (address source, Pool storage p) = _find(from);
        (address target, Pool storage q) = _find(to);
        uint256 free = _takeable(msg.sender, source, p, shares);
        if (shares > free) revert InTransit(free, shares);
        uint256 amount = _take(msg.sender, source, p, shares);
        if (amount == 0) revert ZeroAmount();
        _settle(msg.sender, target, q);
        completion = uint64(block.timestamp + PARAMS.unbondingSeconds());
        sharesTo = _add(msg.sender, target, q, amount);
        _pushTransit(target, Transit(source, uint48(block.number), uint48(completion), sharesTo.toUint128(), p.slashCount));
        _place(source, p, false);
        emit Redelegated(msg.sender, from, to, amount, shares, sharesTo, completion);
    }

    function _pushTransit(address target, Transit memory t) private {
        Transit[] storage open = transits[msg.sender][target];
        uint256 max = PARAMS.entriesMax();
        if (open.length >= max) revert TooManyEntries(max);
        open.push(t);
    }

    /// @inheritdoc IStaking
    function cancelUnbonding(uint64 number) external returns (uint256 shares) {
        Exit memory e = exits[number];
        if (e.delegator != msg.sender) revert UnknownUnbonding(number);
        if (block.timestamp >= e.completion) revert UnbondingComplete(number);
        Pool storage p = pools[e.id];
        (uint256 amount,) = _close(number, e);
        if (amount == 0) revert ZeroAmount();
        _settle(msg.sender, e.id, p);
        shares = _add(msg.sender, e.id, p, amount);
        if (block.timestamp < e.originCompletion) {
            uint32 from = pools[e.origin].slashCount;
            _pushTransit(e.id, Transit(e.origin, e.originHeight, e.originCompletion, shares.toUint128(), from));
        }
        emit UnbondingCancelled(msg.sender, p.operator, number, amount, shares);
    }

    /// @inheritdoc IStaking
    function withdrawUnbonded(uint256 max) external nonReentrant returns (uint256 amount) {
        EnumerableSet.UintSet storage mine = exitsOf[msg.sender];
        uint256 paid = 0;
        for (uint256 i = 0; i < mine.length() && paid < max;) {
            uint64 number = uint64(mine.at(i));
            Exit memory e = exits[number];
            if (block.timestamp < e.completion) {
                i++;
                continue;
            }
            (uint256 part, uint256 lost) = _close(number, e); // the last exit takes its place
            amount += part;
            paid++;
            emit Unbonded(msg.sender, pools[e.id].operator, number, part, lost);
        }
        if (paid == 0) revert ZeroAmount();
        Address.sendValue(payable(msg.sender), amount);
    }

    /// @dev End an exit: what it is worth leaves `unbonding`, the rest is burnt.
    function _close(uint64 number, Exit memory e) private returns (uint256 amount, uint256 lost) {
        amount = _exitWorth(e);
        lost = e.amount - amount;
        unbonding -= e.amount;
        burnt += uint128(lost);
        delete exits[number];
        exitsOf[e.delegator].remove(number);
        stakes[e.delegator][e.id].exits--;
    }

    /// @inheritdoc IStaking
    function settle(address delegator, address operator) external {
        (address id, Pool storage p) = _find(operator);
        _settle(delegator, id, p);
        _place(id, p, false);
    }

    // ---------------------------------------------------------------- pools

    function _find(address operator) private view returns (address id, Pool storage p) {
        id = idOf[operator];
        if (id == address(0)) revert UnknownValidator(operator);
        p = pools[id];
    }

    function _worth(Pool storage p, uint256 shares) private view returns (uint256) {
        return shares == 0 ? 0 : shares * p.tokens / p.shares; // both below 2^128
    }

    /// @dev Rewards up to now by the shares up to now. Before each change of shares or commission.
    function _sync(address delegator, address id, Pool storage p) private {
        REWARDS.sync(delegator, id, stakes[delegator][id].shares, p.shares, p.commissionBps);
    }

    /// @dev Put `amount` into a pool for a delegator whose stake there is settled.
    function _add(address delegator, address id, Pool storage p, uint256 amount) private returns (uint256 shares) {
        if (p.tombstoned) revert Tombstoned(p.operator);
        (uint256 tokens, uint256 all) = (p.tokens, p.shares);
        if (all / WEAR_MAX > tokens || (tokens == 0 && all != 0)) revert PoolWorn(p.operator);
        if (bonded + amount > STAKE_MAX) revert StakeLimit(bonded + amount, STAKE_MAX);
        shares = all == 0 ? amount : amount * all / tokens;
        if (block.number != 0) _sync(delegator, id, p);
        Stake storage s = stakes[delegator][id];
        if (s.shares == 0) idsOf[delegator].add(id);
        s.shares += shares.toUint128();
        (p.tokens, p.shares) = (uint128(tokens + amount), (all + shares).toUint128());
        bonded += uint128(amount);
        _place(id, p, false);
    }

    /// @dev Settle; the delegator must have `shares`. Returns how many of its shares came by no open redelegation.
    function _takeable(address delegator, address id, Pool storage p, uint256 shares) private returns (uint256 free) {
        if (shares == 0) revert ZeroAmount();
        _settle(delegator, id, p);
        free = stakes[delegator][id].shares;
        if (shares > free) revert NotEnoughShares(free, shares);
        Transit[] storage open = transits[delegator][id];
        for (uint256 i = 0; i < open.length; i++) free -= open[i].shares;
        _sync(delegator, id, p);
    }

    /// @dev Take shares out of a pool; the caller has synced. Returns what they were worth; _place comes after.
    function _take(address delegator, address id, Pool storage p, uint256 shares) private returns (uint256 amount) {
        amount = _worth(p, shares);
        Stake storage s = stakes[delegator][id];
        s.shares -= uint128(shares);
        if (s.shares == 0) idsOf[delegator].remove(id);
        p.tokens -= uint128(amount);
        p.shares -= uint128(shares);
        bonded -= uint128(amount);
    }

    function _burn(uint256 amount) private {
        bonded -= uint128(amount);
        burnt += uint128(amount);
    }

    // ---------------------------------------------------------------- slashes of what has left

    /// @dev Apply to a delegator's transits at `id` the records that they have to bear; forget those that are complete.
    function _settle(address delegator, address id, Pool storage p) private {
        Transit[] storage open = transits[delegator][id];
        for (uint256 i = 0; i < open.length;) {
            Transit memory t = open[i];
            uint256 left = _after(t.shares, t.from, t.slashFrom, t.height, t.completion);
            if (left != t.shares) _slashTransit(delegator, id, p, t.from, t.shares - left);
            if (left == 0 || block.timestamp >= t.completion) {
                for (uint256 j = i + 1; j < open.length; j++) open[j - 1] = open[j];
                open.pop();
            } else {
                uint32 from = pools[t.from].slashCount;
                if (from != t.slashFrom) (open[i].shares, open[i].slashFrom) = (uint128(left), from);
                i++;
            }
        }
    }

    function _slashTransit(address delegator, address id, Pool storage p, address from, uint256 shares) private {
        _sync(delegator, id, p);
        uint256 amount = _take(delegator, id, p, shares);
        burnt += uint128(amount);
        emit RedelegationSlashed(delegator, pools[from].operator, p.operator, shares, amount);
    }

    function _exitWorth(Exit memory e) private view returns (uint256 amount) {
        amount = _after(e.amount, e.id, e.slashFrom, e.height, e.completion);
        if (e.origin != address(0)) amount = _after(amount, e.origin, e.originSlashFrom, e.originHeight, e.originCompletion);
    }

    /// @dev What is left of `amount`, which left `id` at `height`, after the records from `slashFrom` on.
    function _after(uint256 amount, address id, uint256 slashFrom, uint256 height, uint256 completion)
        private
        view
        returns (uint256)
    {
        Pool storage p = pools[id];
        uint256 count = p.slashCount;
        uint256 end = Math.min(count, slashFrom + RECORDS_MAX);
        for (uint256 i = slashFrom; i < end; i++) amount = _afterOne(amount, records[id][i], height, completion);
        if (end < count && p.tombstoned) amount = _afterOne(amount, records[id][count - 1], height, completion);
        return amount;
    }

    function _afterOne(uint256 amount, Slash storage s, uint256 height, uint256 completion) private view returns (uint256) {
        return s.height <= height + LAG && s.time < completion ? _less(amount, s.bps) : amount;
    }

    function _less(uint256 amount, uint256 bps) private pure returns (uint256) {
        return amount * (BPS - bps) / BPS;
    }

    // ---------------------------------------------------------------- the list of candidates

    /// @dev Bring a validator's place in the list in line with its pool.
    /// @param must revert if the list is full of stronger ones
    function _place(address id, Pool storage p, bool must) private {
        Header memory h = header;
        uint64 power = uint64(p.tokens / COIN);
        (uint256 has, uint256 needed) = _self(id, p);
        bool able = power != 0 && !p.jailed && has >= needed;
        if (p.place == 0) {
            if (able) _list(h, id, p, power, must);
            return;
        }
        if (able || h.count == 1) {
            _setPower(h, p.place - 1, id, power);
            if (h.count == 1) h.lingering = !able;
        } else {
            _unlist(h, p);
        }
        header = h;
    }

    function _setPower(Header memory h, uint256 index, address id, uint64 power) private {
        if (power == 0) power = 1; // the last one stays, whatever it has
        uint256 word = list[index];
        if (Ranking.power(word) == power) return;
        list[index] = Ranking.word(id, power, word & Ranking.ACTIVE != 0);
        if (power < h.weakest) h.weakest = power;
        h.dirty = true;
    }

    function _list(Header memory h, address id, Pool storage p, uint64 power, bool must) private {
        uint256 index = h.count;
        if (index == LIST_MAX) {
            index = _weakest(h, power);
            if (index == LIST_MAX) {
                if (must) revert TooWeak(power, h.weakest);
                header = h;
                return;
            }
            Pool storage out = pools[Ranking.id(list[index])];
            out.place = 0;
            emit Listed(out.operator, false);
        } else {
            h.count++;
        }
        list[index] = Ranking.word(id, power, false);
        p.place = uint16(index + 1);
        if (power < h.weakest || h.count == 1) h.weakest = power;
        h.dirty = true;
        if (h.lingering) {
            h.lingering = false;
            _unlist(h, pools[Ranking.id(list[0])]);
        }
        header = h;
        emit Listed(p.operator, true);
    }

    /// @dev Index of the weakest candidate (least power, then greatest address) if `power` is more than it has; else LIST_MAX.
    function _weakest(Header memory h, uint64 power) private view returns (uint256 index) {
        if (power <= h.weakest) return LIST_MAX;
        uint256 least = type(uint256).max;
        for (uint256 i = 0; i < LIST_MAX; i++) {
            uint256 word = Ranking.sortable(list[i], i);
            if (word < least) least = word;
        }
        h.weakest = Ranking.power(least);
        return power > h.weakest ? Ranking.sortableIndex(least) : LIST_MAX;
    }

    function _unlist(Header memory h, Pool storage p) private {
        uint256 index = p.place - 1;
        p.place = 0;
        h.count--;
        h.dirty = true;
        if (index != h.count) {
            uint256 word = list[h.count];
            list[index] = word;
            pools[Ranking.id(word)].place = uint16(index + 1);
        }
        emit Listed(p.operator, false);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IStakingHooks
    function position(address delegator, address operator) external view returns (address id, uint256, uint256, uint256) {
        id = idOf[operator];
        Pool storage p = pools[id];
        return (id, stakes[delegator][id].shares, p.shares, p.commissionBps);
    }

    /// @inheritdoc IStakingHooks
    function standing(address operator) external view returns (address id, bool, bool, uint64) {
        id = idOf[operator];
        Pool storage p = pools[id];
        return (id, p.jailed, p.tombstoned, p.jailedUntil);
    }

    /// @inheritdoc IStaking
    function validator(address operator) external view returns (Validator memory) {
        (address id,) = _find(operator);
        return _validator(id);
    }

    function _validator(address id) private view returns (Validator memory v) {
        Pool storage p = pools[id];
        (v.operator, v.consensus, v.key, v.description) = (p.operator, id, p.key, p.description);
        (v.tokens, v.shares, v.power) = (p.tokens, p.shares, p.tokens / COIN);
        (v.selfShares, v.selfMin) = (stakes[p.operator][id].shares, p.selfMin);
        (v.commissionBps, v.commissionMaxBps, v.commissionMaxChangeBps, v.commissionChangedAt) =
            (p.commissionBps, p.commissionMaxBps, p.commissionMaxChangeBps, p.commissionChangedAt);
        v.listed = p.place != 0;
        v.active = v.listed && list[p.place - 1] & Ranking.ACTIVE != 0;
        (v.jailed, v.tombstoned, v.jailedUntil, v.slashCount) = (p.jailed, p.tombstoned, p.jailedUntil, p.slashCount);
    }

    /// @inheritdoc IStaking
    function validatorCount() external view returns (uint256) {
        return ids.length;
    }

    /// @inheritdoc IStaking
    function validators(uint256 offset, uint256 limit) external view returns (Validator[] memory page) {
        page = new Validator[](_pageSize(ids.length, offset, limit));
        for (uint256 i = 0; i < page.length; i++) page[i] = _validator(ids[offset + i]);
    }

    /// @inheritdoc IStaking
    function operatorOf(address id) external view returns (address) {
        return pools[id].operator;
    }

    /// @inheritdoc IStaking
    function candidates(uint256 offset, uint256 limit) external view returns (Candidate[] memory page) {
        page = new Candidate[](_pageSize(header.count, offset, limit));
        for (uint256 i = 0; i < page.length; i++) {
            uint256 word = list[offset + i];
            address id = Ranking.id(word);
            page[i] = Candidate(pools[id].operator, id, Ranking.power(word), word & Ranking.ACTIVE != 0);
        }
    }

    /// @inheritdoc IStaking
    function delegation(address delegator, address operator) external view returns (Delegation memory) {
        (address id,) = _find(operator);
        return _delegation(delegator, id);
    }

    function _delegation(address delegator, address id) private view returns (Delegation memory d) {
        Pool storage p = pools[id];
        d.operator = p.operator;
        d.shares = stakes[delegator][id].shares;
        Transit[] storage open = transits[delegator][id];
        uint256 lost = 0;
        for (uint256 i = 0; i < open.length; i++) {
            Transit memory t = open[i];
            uint256 left = _after(t.shares, t.from, t.slashFrom, t.height, t.completion);
            lost += t.shares - left;
            if (block.timestamp < t.completion) d.transitShares += left;
        }
        d.shares -= lost;
        if (d.shares == 0) return d;
        d.tokens = d.shares * (p.tokens - _worth(p, lost)) / (p.shares - lost);
    }

    /// @inheritdoc IStaking
    function delegationCount(address delegator) external view returns (uint256) {
        return idsOf[delegator].length();
    }

    /// @inheritdoc IStaking
    function delegations(address delegator, uint256 offset, uint256 limit) external view returns (Delegation[] memory page) {
        EnumerableSet.AddressSet storage mine = idsOf[delegator];
        page = new Delegation[](_pageSize(mine.length(), offset, limit));
        for (uint256 i = 0; i < page.length; i++) page[i] = _delegation(delegator, mine.at(offset + i));
    }

    /// @inheritdoc IStaking
    function unbondingCount(address delegator) external view returns (uint256) {
        return exitsOf[delegator].length();
    }

    /// @inheritdoc IStaking
    function unbondings(address delegator, uint256 offset, uint256 limit) external view returns (Unbonding[] memory page) {
        EnumerableSet.UintSet storage mine = exitsOf[delegator];
        page = new Unbonding[](_pageSize(mine.length(), offset, limit));
        for (uint256 i = 0; i < page.length; i++) {
            uint64 number = uint64(mine.at(offset + i));
            Exit memory e = exits[number];
            page[i] = Unbonding(
                number,
                pools[e.id].operator,
                e.amount,
                _exitWorth(e),
                e.height,
                e.completion,
                pools[e.origin].operator,
                e.originCompletion,
                e.originHeight
            );
        }
    }

    /// @inheritdoc IStaking
    function redelegations(address delegator, address to) external view returns (Redelegation[] memory page) {
        (address id,) = _find(to);
        Transit[] storage open = transits[delegator][id];
        page = new Redelegation[](open.length);
        for (uint256 i = 0; i < page.length; i++) {
            Transit memory t = open[i];
            uint256 left = _after(t.shares, t.from, t.slashFrom, t.height, t.completion);
            page[i] = Redelegation(pools[t.from].operator, to, left, t.height, t.completion);
        }
    }

    /// @inheritdoc IStaking
    function slashes(address operator, uint256 offset, uint256 limit) external view returns (Slash[] memory page) {
        (address id, Pool storage p) = _find(operator);
        page = new Slash[](_pageSize(p.slashCount, offset, limit));
        for (uint256 i = 0; i < page.length; i++) page[i] = records[id][offset + i];
    }

    /// @inheritdoc IStaking
    function params() external view returns (StakingParams memory) {
        return StakingParams(
            PARAMS.unbondingSeconds(), PARAMS.validatorsMax(), PARAMS.selfStakeMinCoins() * COIN, PARAMS.entriesMax()
        );
    }

    /// @inheritdoc IStaking
    function totals() external view returns (uint256, uint256, uint256) {
        return (bonded, unbonding, burnt);
    }

    function _pageSize(uint256 total, uint256 offset, uint256 limit) private pure returns (uint256) {
        return offset >= total ? 0 : Math.min(total - offset, limit);
    }
}
