// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Inference: run a registered model inside a transaction.
/// @notice Precompile at 0x5b01. Every validator computes the same bits before it votes, so the answer is final with the block.
///         Gas is charged before the work: units of the model times the rates in force, plus a load charge by size the first time a
///         model is touched in a transaction. Specification: docs/spec/precompiles.md section 2.
/// @dev Every failure reverts with one of the errors below and gives the remaining gas back. A caller that swallows the revert
///      (try/catch, raw staticcall) misleads gas estimation: let it through, or forward a fixed amount of gas.
interface IInference {
    /// @notice No active model has this id.
    error ModelNotFound(bytes32 id);
    /// @notice An element of an input tensor is outside the range that the model declares, or the input has the wrong length.
    /// @dev For a wrong length `element` is the number of elements that were expected.
    error BadInput(uint256 tensor, uint256 element);
    /// @notice The model uses an operator version that governance has switched off.
    error OpDisabled(uint16 op, uint16 version);
    /// @notice The arguments are not the ABI encoding of the function's parameters.
    error BadCall();

    /// @notice Run a model on raw tensors.
    /// @param id the model's id (sha2-256 digest)
    /// @param input all input tensors one after the other, elements little-endian in the declared type, row-major
    /// @return output all output tensors in the same form
    function infer(bytes32 id, bytes calldata input) external view returns (bytes memory output);

    /// @notice Run a model on real numbers: SD59x18 (1e18 = 1.0) in, SD59x18 out.
    /// @param id the model's id
    /// @param x elements of all inputs one after the other, row-major; rounded once to the model's grid, clamped to its range
    /// @return y elements of all outputs
    function inferReal(bytes32 id, int256[] calldata x) external view returns (int256[] memory y);

    /// @notice One input or output of a model.
    struct Tensor {
        string name;
        string dtype; // "i8", "i16", "i32", "i64", "u8", "u16", "bool"
        uint64[] shape;
        int64 lo; // declared range of raw elements
        int64 hi;
    }

    /// @notice What the model takes and gives.
    function describe(bytes32 id) external view returns (Tensor[] memory inputs, Tensor[] memory outputs);

    /// @notice Gas of one inference at the current rates, without hashing (12 a word of call data, 6 a word of the answer): warm, and with the load charge of a first touch.
    function quote(bytes32 id) external view returns (uint256 gasWarm, uint256 gasCold);
}

IInference constant INFERENCE = IInference(0x0000000000000000000000000000000000005b01);
