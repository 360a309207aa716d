// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";
import {ED25519} from "../interfaces/IEd25519.sol";
import {ConsensusHeader, ConsensusProof, InferencePath, InferenceRecord} from "./ConsensusProof.sol";

/// @notice A validator as the set's hash has it.
struct Validator {
    bytes32 key; // ed25519
    uint64 power;
}

/// @notice An entry of a commit: 0 absent, 1 for the block, 2 for nil.
struct CommitEntry {
    uint8 flag;
    bytes32 r;
    bytes32 s;
}

/// @title LightClient: follows a Samebit chain by its headers and commits, on a chain that has the Ed25519 precompile.
/// @notice The rules are those of docs/spec/light-client.md: adjacent, skipping and backwards, trust level 1/3. Anyone may move it on;
///         what it once trusted stays answerable. Inferences of a trusted block are proven by `verifyInference`.
contract LightClient {
    using RLP for *;

    /// @notice The trusted block is older than the trusting period: this client must not be moved on any more.
    error Expired();
    /// @notice The header's time is not yet, or not after the trusted one.
    error BadTime();
    error WrongChain();
    /// @notice Height is not above the trusted one (or, backwards, not the one below a trusted block).
    error BadHeight(uint64 height);
    /// @notice The given set is not the one whose hash the header, or the trusted block, names.
    error WrongSet();
    /// @notice The commit has not one entry for each validator, or an unknown flag.
    error BadCommit();
    error BadSignature(uint256 index);
    /// @notice Not more than two thirds of the set signed for the block.
    error NoQuorum(uint256 signed, uint256 total);
    /// @notice Not more than a third of the trusted set signed: take a block between.
    error NotEnoughTrust(uint256 signed, uint256 total);
    /// @notice No such block was trusted.
    error Unknown(bytes32 blockId);

    event Trusted(uint64 indexed height, bytes32 blockId);

    uint64 public immutable chainId;
    bytes32 public immutable genesisHash;
    uint64 public immutable trustingPeriodMs;

    uint64 public height; // of the newest trusted block
    uint64 public timeMs;
    bytes32 public nextValidatorsHash;
    mapping(bytes32 blockId => uint64 height) public trusted;

    /// @param header_ the header that the deployer trusts
    constructor(bytes32 genesisHash_, uint64 trustingPeriodMs_, bytes memory header_) {
        ConsensusHeader memory h = ConsensusProof.header(header_);
        chainId = h.chainId;
        genesisHash = genesisHash_;
        trustingPeriodMs = trustingPeriodMs_;
        _trust(h, keccak256(header_));
    }

    /// @notice Trust a later block: the next one, or any that more than a third of the trusted next set signed.
    /// @param header_ its encoded header
    /// @param round round of its commit
    /// @param set its validators, in the set's order
    /// @param entries the commit, an entry for each validator
    /// @param trustedSet the validators whose hash is `nextValidatorsHash`; may be empty for the next block
    /// @param places for each of them its index in `set`; any higher number when it is not in it
    function update(
        bytes calldata header_,
        uint32 round,
        Validator[] calldata set,
        CommitEntry[] calldata entries,
        Validator[] calldata trustedSet,
        uint256[] calldata places
    ) external {
        ConsensusHeader memory h = ConsensusProof.header(header_);
        bytes32 id = keccak256(header_);
        uint64 now_ = uint64(block.timestamp) * 1000;
        require(uint256(timeMs) + trustingPeriodMs > now_, Expired());
        require(h.chainId == chainId, WrongChain());
        require(h.timeMs > timeMs && h.timeMs < now_ + 1000, BadTime());
        require(h.height > height, BadHeight(h.height));
        require(setHash(set) == h.validatorsHash, WrongSet());
        _checkCommit(_signBytes(h.height, round, id), _signBytes(h.height, round, 0), set, entries);
        if (h.height == height + 1) {
            require(h.validatorsHash == nextValidatorsHash, WrongSet());
        } else {
            _checkTrust(set, entries, trustedSet, places);
        }
        _trust(h, id);
    }

    /// @notice Trust the block below a trusted one.
    /// @param header_ the trusted block's header
    /// @param below the header of the block before
    function updateBackwards(bytes calldata header_, bytes calldata below) external {
        ConsensusHeader memory h = ConsensusProof.header(header_);
        bytes32 id = keccak256(below);
        require(trusted[keccak256(header_)] != 0, Unknown(keccak256(header_)));
        require(id == h.lastBlockId && h.height > 1, BadHeight(h.height));
        trusted[id] = h.height - 1;
        emit Trusted(h.height - 1, id);
    }

    /// @notice Revert unless the record is one of a trusted block; returns that block's height.
    function verifyInference(bytes calldata header_, InferenceRecord calldata record, InferencePath calldata path)
        external
        view
        returns (uint64)
    {
        bytes32 id = keccak256(header_);
        require(trusted[id] != 0, Unknown(id));
        ConsensusProof.checkPath(ConsensusProof.header(header_).extensionRoot, record, path);
        return trusted[id];
    }

    /// @notice Hash of a validator set (docs/spec/consensus-block.md, section 3).
    function setHash(Validator[] calldata set) public pure returns (bytes32) {
        bytes[] memory items = new bytes[](set.length);
        for (uint256 i = 0; i < set.length; i++) {
            items[i] = RLP.encoder().push(uint256(1)).push(set[i].key).push(uint256(set[i].power)).encode();
        }
        return keccak256(RLP.encode(items));
    }

    function _trust(ConsensusHeader memory h, bytes32 id) private {
        height = h.height;
        timeMs = h.timeMs;
        nextValidatorsHash = h.nextValidatorsHash;
        trusted[id] = h.height;
        emit Trusted(h.height, id);
    }

    /// @dev What a precommit of (height, round) for the block signs; with id zero, for nil.
    function _signBytes(uint64 height_, uint32 round, bytes32 id) private view returns (bytes memory) {
        return RLP
            .encoder()
            .push(bytes("samebit/vote"))
            .push(uint256(chainId))
            .push(genesisHash)
            .push(uint256(2))
            .push(uint256(height_))
            .push(uint256(round))
            .push(id == 0 ? bytes("") : bytes.concat(id))
            .push(bytes(""))
            .encode();
    }

    function _checkCommit(
        bytes memory forBlock,
        bytes memory forNil,
        Validator[] calldata set,
        CommitEntry[] calldata entries
    ) private view {
        uint256 signed;
        uint256 total;
        require(entries.length == set.length && set.length <= 256, BadCommit());
        for (uint256 i = 0; i < set.length; i++) {
            total += set[i].power;
            require(entries[i].flag <= 2, BadCommit());
            if (entries[i].flag == 0) continue;
            bytes memory message = entries[i].flag == 1 ? forBlock : forNil;
            require(ED25519.verify(set[i].key, entries[i].r, entries[i].s, message), BadSignature(i));
            if (entries[i].flag == 1) signed += set[i].power;
        }
        require(3 * signed > 2 * total, NoQuorum(signed, total));
    }

    function _checkTrust(
        Validator[] calldata set,
        CommitEntry[] calldata entries,
        Validator[] calldata trustedSet,
        uint256[] calldata places
    ) private view {
        require(places.length == trustedSet.length && setHash(trustedSet) == nextValidatorsHash, WrongSet());
        uint256 signed;
        uint256 total;
        for (uint256 i = 0; i < trustedSet.length; i++) {
            total += trustedSet[i].power;
            uint256 place = places[i];
            if (place >= set.length) continue;
            require(set[place].key == trustedSet[i].key, WrongSet());
            if (entries[place].flag == 1) signed += trustedSet[i].power;
        }
        require(3 * signed > total, NotEnoughTrust(signed, total));
    }
}
