// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Params: the chain's parameters, in ordinary storage at fixed slots that the node reads.
/// @notice Predeployed at 0x5b10; genesis writes the first values. The node reads each slot at the start of a block. Only the
///         governor may change a value, within the bounds that the node enforces too; a governor of zero freezes them.
///         Specification: docs/spec/params.md.
contract Params {
    /// @notice The caller is not the governor.
    error NotGovernor();
    /// @notice The value is outside its bounds.
    error OutOfBounds(uint256 value, uint256 min, uint256 max);

    event Changed(bytes32 indexed name, uint256 value);
    event GovernorChanged(address indexed governor);

    // Slots 0, 1, 2 ... in this order: consensus-critical.
    uint256 public gasLimit; // gas of a block
    uint256 public minBlockIntervalMs; // pace of the chain
    uint256 public modelBytesMax; // size of one model
    uint256 public modelArenaBytesMax; // scratch memory of one inference
    uint256 public activeBytesMax; // all active models together
    uint256 public depositPerByte; // wei locked for each byte of a stored model
    address public governor;
    /// @dev op id << 16 | op version => 0 on, 1 off
    mapping(uint256 => uint256) internal opSwitch;

    modifier onlyGovernor() {
        if (msg.sender != governor || governor == address(0)) revert NotGovernor();
        _;
    }

    function setGasLimit(uint256 v) external onlyGovernor {
        gasLimit = bounded("gasLimit", v, 5_000_000, 1_000_000_000);
    }

    function setMinBlockIntervalMs(uint256 v) external onlyGovernor {
        minBlockIntervalMs = bounded("minBlockIntervalMs", v, 0, 60_000);
    }

    function setModelBytesMax(uint256 v) external onlyGovernor {
        modelBytesMax = bounded("modelBytesMax", v, 1 << 16, 1 << 30);
    }

    function setModelArenaBytesMax(uint256 v) external onlyGovernor {
        modelArenaBytesMax = bounded("modelArenaBytesMax", v, 1 << 16, 1 << 30);
    }

    function setActiveBytesMax(uint256 v) external onlyGovernor {
        activeBytesMax = bounded("activeBytesMax", v, 0, 1 << 40);
    }

    function setDepositPerByte(uint256 v) external onlyGovernor {
        depositPerByte = bounded("depositPerByte", v, 0, 1 ether);
    }

    /// @notice Switch a version of a tensor operator off (true) or on again; models that use it revert `OpDisabled` meanwhile.
    function setOpDisabled(uint16 op, uint16 version, bool disabled) external onlyGovernor {
        uint256 key = (uint256(op) << 16) | version;
        opSwitch[key] = disabled ? 1 : 0;
        emit Changed(keccak256(abi.encodePacked("op", op, version)), disabled ? 1 : 0);
    }

    function opDisabled(uint16 op, uint16 version) external view returns (bool) {
        return opSwitch[(uint256(op) << 16) | version] != 0;
    }

    function setGovernor(address next) external onlyGovernor {
        governor = next;
        emit GovernorChanged(next);
    }

    function bounded(bytes32 name, uint256 v, uint256 min, uint256 max) private returns (uint256) {
        if (v < min || v > max) revert OutOfBounds(v, min, max);
        emit Changed(name, v);
        return v;
    }
}

Params constant PARAMS = Params(0x0000000000000000000000000000000000005b10);
