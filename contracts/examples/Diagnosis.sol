// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Samebit} from "../lib/Samebit.sol";

/// @title Diagnosis: a decision by a tree ensemble, inside a transaction.
/// @notice Thirty measurements of a cell sample (the Wisconsin breast cancer data) go in as SD59x18 numbers; the gradient-boosted model
///         gives a raw score; above zero means benign. The same shape serves a credit decision or any other classifier on tables.
/// @dev An example of the technique, not a medical device.
contract Diagnosis {
    error WrongFeatureCount(uint256 count);

    event Decided(uint256 indexed sample, address indexed asker, bool benign, int256 score);

    uint256 public constant FEATURES = 30;
    bytes32 public immutable model;
    uint256 public samples;

    constructor(bytes32 model_) {
        model = model_;
    }

    function decide(int256[] calldata features) external returns (bool benign, int256 score) {
        (benign, score) = ask(features);
        emit Decided(++samples, msg.sender, benign, score);
    }

    /// @notice Ask without a transaction (eth_call).
    function ask(int256[] calldata features) public view returns (bool benign, int256 score) {
        if (features.length != FEATURES) revert WrongFeatureCount(features.length);
        score = Samebit.predict(model, features)[0];
        benign = score > 0;
    }
}
