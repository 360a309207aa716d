// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {INFERENCE} from "../interfaces/IInference.sol";

/// @title Samebit: short forms of what contracts usually want from a model.
library Samebit {
    int256 internal constant ONE = 1e18; // 1.0 as SD59x18

    /// @notice The model's answers as SD59x18 numbers.
    function predict(bytes32 model, int256[] memory x) internal view returns (int256[] memory) {
        return INFERENCE.inferReal(model, x);
    }

    /// @notice The class with the highest score; the lowest index wins a tie.
    function classify(bytes32 model, int256[] memory x) internal view returns (uint256 class_, int256 score) {
        int256[] memory y = INFERENCE.inferReal(model, x);
        score = y[0];
        for (uint256 i = 1; i < y.length; i++) {
            if (y[i] > score) {
                score = y[i];
                class_ = i;
            }
        }
    }

    /// @notice Pixels 0..255 as numbers 0.0..1.0 for models trained on images of that range.
    function pixels(bytes memory image, uint256 white) internal pure returns (int256[] memory x) {
        x = new int256[](image.length);
        for (uint256 i = 0; i < image.length; i++) x[i] = int256(uint256(uint8(image[i])) * 1e18 / white);
    }
}
