// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Tensor: single whitelisted operations of the engine on the caller's own numbers.
/// @notice Precompile at 0x5b02. There is no registration, so bounds are proven from types and shapes alone; sums are 64-bit where 32
///         would not do. Real numbers are SD59x18. Specification: docs/spec/precompiles.md section 3.
interface ITensor {
    /// @notice Lengths do not fit the shape, or a shape is over the limit.
    error BadShape(uint256 argument);
    /// @notice An element is outside the range that the operation allows.
    error BadInput(uint256 tensor, uint256 element);
    error OpDisabled(uint16 op, uint16 version);
    error BadCall();

    /// @notice c = a * b, exact. a is [m][k] and b [k][n], row-major int8, b without -128; c is [m][n] little-endian int32.
    ///         k is at most 131071.
    function matmulI8(uint32 m, uint32 k, uint32 n, bytes calldata a, bytes calldata b) external view returns (bytes memory c);

    /// @notice Inner product of SD59x18 vectors: the sum of exact products, rounded once, half up.
    function dot(int256[] calldata a, int256[] calldata b) external view returns (int256);

    /// @notice Softmax of SD59x18 numbers as probabilities in units of 2^-16 (docs/spec/numerics.md, softmax).
    function softmax(int256[] calldata x) external view returns (uint16[] memory p);

    /// @notice Index of the largest element; the lowest index wins a tie.
    function argmax(int256[] calldata x) external view returns (uint256);
}

ITensor constant TENSOR = ITensor(0x0000000000000000000000000000000000005B02);
