// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MODEL_STORE} from "../interfaces/IModelStore.sol";

/// @title Params: the chain's parameters, in ordinary storage at fixed slots that the node reads.
/// @notice Predeployed at 0x5b10; genesis writes the first values. A change made in block H holds from block H+1 on. Only the governor
///         may change a value, within bounds that the node checks too; a governor of zero freezes everything.
///         Specification: docs/spec/params.md.
contract Params {
    /// @notice The caller is not the governor.
    error NotGovernor();
    /// @notice The value is outside its bounds.
    error OutOfBounds(uint256 value, uint256 min, uint256 max);
    /// @notice There is no parameter of this number.
    error UnknownParam(uint256 index);

    event Changed(uint256 indexed index, uint256 value);
    event OpSwitched(uint16 indexed op, uint16 indexed version, bool disabled);
    event GovernorChanged(address indexed governor);
    event UpgradePlanned(uint256 version, uint256 indexed height);

    // Slots 0 to 12, in the order of base/types/params.def: consensus-critical.
    uint256 public gasLimit; // gas of a block
    uint256 public minBlockIntervalMs;
    uint256 public blockBytesMax;
    uint256 public evidenceBytesMax;
    uint256 public evidenceAgeBlocksMax;
    uint256 public evidenceAgeMsMax;
    uint256 public timePrecisionMs;
    uint256 public messageDelayMsMax;
    uint256 public modelBytesMax; // one model file
    uint256 public modelArenaBytesMax; // scratch memory of one inference
    uint256 public modelActiveBytesMax; // all active model files together
    uint256 public upgradeVersion; // version of the rules that begins ...
    uint256 public upgradeHeight; // ... at this block, if it is above the present one
    // Slots 13 and 14: read by contracts alone.
    uint256 public depositPerByte; // wei locked for each byte of a stored chunk
    address public governor;
    // Slots 15 on, in the order of base/types/staking_params.def: read by Staking, Distribution and Slashing.
    uint256 public unbondingSeconds;
    uint256 public validatorsMax;
    uint256 public selfStakeMinCoins;
    uint256 public entriesMax;
    uint256 public signedWindow; // heights
    uint256 public signedMinBps;
    uint256 public downtimeJailSeconds;
    uint256 public slashDoubleSignBps;
    uint256 public slashDowntimeBps;
    uint256 public proposerShareBps;
    uint256 public inflationBps;
    uint256 public inflationDecayBps;
    uint256 public inflationFloorBps;
    uint256 public checkpointInterval; // blocks
    uint256[35] private unused; // for numbers to come
    // Slots 64 and 65, consensus-critical: where evidence ends whatever its age may be raised to. They only rise.
    uint256 public evidenceHeightMin; // heights below it are too old ...
    uint256 public evidenceTimeMinMs; // ... and so are times below it

    modifier onlyGovernor() {
        if (msg.sender != governor || governor == address(0)) revert NotGovernor();
        _;
    }

    /// @notice Change the parameter in slot `index`, but for the two of the upgrade, which only change together. A greater age of evidence
    ///         holds for what is young enough now: nothing that was void before counts again.
    function set(uint256 index, uint256 value) external onlyGovernor {
        if (index == 11 || index == 12) revert UnknownParam(index);
        if (index == 4) evidenceHeightMin = _later(evidenceHeightMin, block.number, evidenceAgeBlocksMax);
        // the block's time in milliseconds is below that of the next whole second
        if (index == 5) evidenceTimeMinMs = _later(evidenceTimeMinMs, (block.timestamp + 1) * 1000, evidenceAgeMsMax);
        _set(index, value);
    }

    /// @dev The first point that is not older than `age` now, or `min` if that is later.
    function _later(uint256 min, uint256 now_, uint256 age) private pure returns (uint256) {
        uint256 first = now_ > age ? now_ - age : 0;
        return first > min ? first : min;
    }

    /// @notice Plan that blocks follow version `version` of the rules from block `height` on. A node whose program does not know it stops
    ///         before that block. A plan that has not begun is replaced by the next; version 1 cancels it.
    function planUpgrade(uint256 version, uint256 height) external onlyGovernor {
        if (height <= block.number) revert OutOfBounds(height, block.number + 1, (1 << 53) - 1);
        _set(11, version);
        _set(12, height);
        emit UpgradePlanned(version, height);
    }

    function _set(uint256 index, uint256 value) private {
        (uint256 min, uint256 max) = bounds(index);
        if (value < min || value > max) revert OutOfBounds(value, min, max);
        assembly ("memory-safe") {
            sstore(index, value)
        }
        emit Changed(index, value);
    }

    /// @notice Least and greatest value of the parameter in slot `index`.
    function bounds(uint256 index) public pure returns (uint256 min, uint256 max) {
        if (index == 0) return (5_000_000, 1_000_000_000);
        if (index == 1) return (0, 3_600_000);
        if (index == 2) return (65_536, 10_485_760);
        if (index == 3) return (0, 1_048_576);
        if (index == 4) return (1, 1_000_000_000);
        if (index == 5) return (1, 31_536_000_000);
        if (index == 6) return (0, 30_000);
        if (index == 7) return (0, 86_400_000);
        if (index == 8) return (0, 1 << 30);
        if (index == 9) return (0, 1 << 30);
        if (index == 10) return (0, 1 << 40);
        if (index == 11) return (1, (1 << 32) - 1);
        if (index == 12) return (0, (1 << 53) - 1);
        if (index == 13) return (0, 1 ether);
        if (index == 15) return (1, 31_536_000);
        if (index == 16) return (1, 256);
        if (index == 17) return (1, 1_000_000_000);
        if (index == 18) return (1, 32);
        if (index == 19) return (10, 255);
        if (index == 20) return (0, 10_000);
        if (index == 21) return (0, 31_536_000);
        if (index == 22) return (0, 10_000);
        if (index == 23) return (0, 1000);
        if (index == 24) return (0, 10_000);
        if (index == 25) return (0, 5000);
        if (index == 26) return (0, 10_000);
        if (index == 27) return (0, 5000);
        if (index == 28) return (1, 8191);
        revert UnknownParam(index);
    }

    /// @notice Switch a version of a tensor operator off or on again; models that use it revert `OpDisabled` meanwhile.
    function setOpDisabled(uint16 op, uint16 version, bool disabled) external onlyGovernor {
        MODEL_STORE.setOpDisabled(op, version, disabled);
        emit OpSwitched(op, version, disabled);
    }

    function setGovernor(address next) external onlyGovernor {
        governor = next;
        emit GovernorChanged(next);
    }
}

Params constant PARAMS = Params(0x0000000000000000000000000000000000005b10);
