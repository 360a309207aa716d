// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Samebit} from "../lib/Samebit.sol";

/// @title DigitReader: a contract that reads handwritten digits.
/// @notice Give it an 8x8 grey image (64 bytes, each 0 to 16, as in the UCI digits data); it asks its model which digit it is,
///         remembers the answer and tells it in an event.
contract DigitReader {
    error NotAnImage(uint256 length);

    event DigitRead(uint256 indexed reading, address indexed reader, uint8 digit, int256 score);

    bytes32 public immutable model;
    uint256 public readings;
    mapping(uint256 => uint8) public digitOf;

    constructor(bytes32 model_) {
        model = model_;
    }

    /// @notice Read an image in a transaction.
    function read(bytes calldata image) external returns (uint8 digit) {
        int256 score;
        (digit, score) = look(image);
        uint256 reading = ++readings;
        digitOf[reading] = digit;
        emit DigitRead(reading, msg.sender, digit, score);
    }

    /// @notice Ask without a transaction (eth_call).
    function look(bytes calldata image) public view returns (uint8 digit, int256 score) {
        if (image.length != 64) revert NotAnImage(image.length);
        uint256 class_;
        (class_, score) = Samebit.classify(model, Samebit.pixels(image, 16));
        digit = uint8(class_);
    }
}
