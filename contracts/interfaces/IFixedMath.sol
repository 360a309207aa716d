// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title FixedMath: functions of SD59x18 numbers (1e18 = 1.0), bit-exact on every node.
/// @notice Precompile at 0x5b03. Results are correct within the error that docs/spec/precompiles.md section 5 states for each.
interface IFixedMath {
    /// @notice The argument is outside the function's domain, or the result does not fit.
    error Domain(int256 x);
    error BadCall();

    function mul(int256 x, int256 y) external view returns (int256);
    function div(int256 x, int256 y) external view returns (int256);
    function sqrt(int256 x) external view returns (int256);
    function exp(int256 x) external view returns (int256);
    function exp2(int256 x) external view returns (int256);
    function ln(int256 x) external view returns (int256);
    function log2(int256 x) external view returns (int256);
    function pow(int256 x, int256 y) external view returns (int256);
    function sigmoid(int256 x) external view returns (int256);
    function tanh(int256 x) external view returns (int256);
}

IFixedMath constant FIXED_MATH = IFixedMath(0x0000000000000000000000000000000000005B03);
