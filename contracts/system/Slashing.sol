// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IStakingHooks} from "../interfaces/IHooks.sol";
import {ISlashing} from "../interfaces/ISlashing.sol";
import {STAKING} from "../interfaces/IStaking.sol";
import {Evidence, ISlashingSystem, SYSTEM} from "../interfaces/ISystem.sol";
import {PARAMS} from "./Params.sol";

/// @title Slashing: presence, jail, and offences (see ISlashing).
///
///     presence[validator]:   0 ... 0 1 h(n-1) ... h(1) h(0)      h(0) is the newest height, 1 = absent
///                                    ^ marks how many heights have been counted; at bit 255 it stays
///
/// @dev One word a validator, and no write while it is present and the word is full. A window of any length up to 255 is read off the
///      low bits, so the governor may change its length at any time.
contract Slashing is ISlashing, ISlashingSystem {
    uint256 private constant FULL = 1 << 255;
    uint64 private constant FOR_EVER = type(uint48).max;
    /// @dev Gas for the last offence and the way out: no evidence makes the call fail. Over 300 validators can be convicted in a block.
    uint256 private constant RESERVE = 500_000;
    IStakingHooks private constant HOOKS = IStakingHooks(address(STAKING));

    mapping(address id => uint256) private presence;
    Offence[] private offences;

    // ---------------------------------------------------------------- the chain

    /// @inheritdoc ISlashingSystem
    function endBlock(bytes32[] calldata votes, Evidence[] calldata evidence_) external {
        if (msg.sender != SYSTEM) revert NotSystem();
        if (votes.length != 0) _count(votes);
        if (evidence_.length == 0) return;
        uint16 bps = uint16(PARAMS.slashDoubleSignBps());
        for (uint256 i = 0; i < evidence_.length && gasleft() > RESERVE; i++) {
            Evidence calldata e = evidence_[i];
            if (HOOKS.punish(e.validator, e.height, bps, FOR_EVER, true)) {
                offences.push(Offence(e.validator, e.kind, uint48(e.height), uint40(block.number)));
            }
        }
    }

    function _count(bytes32[] calldata votes) private {
        uint256 window = PARAMS.signedWindow();
        uint256 missedMax = _missedMax(window);
        unchecked {
            for (uint256 i = 0; i < votes.length; i++) {
                uint256 vote = uint256(votes[i]);
                address id = address(uint160(vote >> 96));
                uint256 absent = ~vote & 1;
                uint256 old = presence[id];
                uint256 word = ((old == 0 ? 1 : old) << 1) | absent | (old & FULL);
                if (absent == 1 && word >> window != 0 && _ones(word & ((1 << window) - 1)) > missedMax) {
                    _jail(id);
                    word = 1;
                }
                if (word != old) presence[id] = word;
            }
        }
    }

    function _jail(address id) private {
        uint64 until = uint64(block.timestamp + PARAMS.downtimeJailSeconds());
        HOOKS.punish(id, uint64(block.number - 2), uint16(PARAMS.slashDowntimeBps()), until, false);
    }

    function _missedMax(uint256 window) private view returns (uint256) {
        return window * (10_000 - PARAMS.signedMinBps()) / 10_000;
    }

    /// @dev How many bits are set.
    function _ones(uint256 x) private pure returns (uint256) {
        unchecked {
            x -= (x >> 1) & (type(uint256).max / 3);
            x = (x & (type(uint256).max / 5)) + ((x >> 2) & (type(uint256).max / 5));
            x = (x + (x >> 4)) & (type(uint256).max / 17);
            x = (x + (x >> 8)) & (type(uint256).max / 257); // sums up to 16 in bytes; up to 256 need 9 bits
            x = (x + (x >> 16)) & (type(uint256).max / 65537);
            x += x >> 32;
            x += x >> 64;
            return (x + (x >> 128)) & 0x1ff;
        }
    }

    // ---------------------------------------------------------------- operators

    /// @inheritdoc ISlashing
    function unjail() external {
        presence[HOOKS.release(msg.sender)] = 1;
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc ISlashing
    function signingInfo(address operator) external view returns (SigningInfo memory info) {
        info.operator = operator;
        (info.consensus, info.jailed, info.tombstoned, info.jailedUntil) = HOOKS.standing(operator);
        if (info.consensus == address(0)) revert UnknownValidator(operator);
        uint256 word = presence[info.consensus];
        info.window = PARAMS.signedWindow();
        info.missedMax = _missedMax(info.window);
        while (word >> (info.counted + 1) != 0) info.counted++;
        uint256 seen = info.counted < info.window ? info.counted : info.window;
        info.missed = _ones(word & ((1 << seen) - 1));
    }

    /// @inheritdoc ISlashing
    function evidenceCount() external view returns (uint256) {
        return offences.length;
    }

    /// @inheritdoc ISlashing
    function evidence(uint256 offset, uint256 limit) external view returns (Offence[] memory page) {
        uint256 total = offences.length;
        if (offset >= total) return page;
        uint256 n = total - offset < limit ? total - offset : limit;
        page = new Offence[](n);
        for (uint256 i = 0; i < n; i++) page[i] = offences[offset + i];
    }
}
