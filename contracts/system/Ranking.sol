// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Ranking: a candidate as one word, and the order of the active set.
///
///     word      power (64 bits) | 0 (31) | active (1) | consensus address (160)
///     sortable  power (64 bits) | ~consensus address (160) | active (1) | index (31)
///
/// @dev The order of sets: power descending, then consensus address ascending. It is the descending order of the sortable words.
library Ranking {
    uint256 internal constant ACTIVE = 1 << 160;

    function word(address id_, uint64 power_, bool active) internal pure returns (uint256) {
        return (uint256(power_) << 192) | (active ? ACTIVE : 0) | uint160(id_);
    }

    /// @notice Power of a word, or of a sortable word.
    function power(uint256 word_) internal pure returns (uint64) {
        return uint64(word_ >> 192);
    }

    function id(uint256 word_) internal pure returns (address) {
        return address(uint160(word_));
    }

    function sortable(uint256 word_, uint256 index) internal pure returns (uint256) {
        return (word_ >> 192 << 192) | (uint256(~uint160(word_)) << 32) | ((word_ >> 160 & 1) << 31) | index;
    }

    function sortableId(uint256 sortable_) internal pure returns (address) {
        return address(~uint160(sortable_ >> 32));
    }

    function sortableActive(uint256 sortable_) internal pure returns (bool) {
        return sortable_ >> 31 & 1 == 1;
    }

    function sortableIndex(uint256 sortable_) internal pure returns (uint256) {
        return sortable_ & 0x7fffffff;
    }

    /// @notice Sort descending: heapsort, for no order of the input makes it slow (quicksort has one, and users would find it).
    function sort(uint256[] memory a) internal pure {
        unchecked {
            uint256 n = a.length;
            for (uint256 i = n / 2; i != 0; i--) _sift(a, i - 1, n);
            for (uint256 end = n; end > 1; end--) {
                (a[0], a[end - 1]) = (a[end - 1], a[0]);
                _sift(a, 0, end - 1);
            }
        }
    }

    /// @dev Let the word at `root` sink in the heap of the first `n`, whose top is the least.
    function _sift(uint256[] memory a, uint256 root, uint256 n) private pure {
        assembly ("memory-safe") {
            let base := add(a, 32)
            let sinking := mload(add(base, shl(5, root)))
            for { let child := add(shl(1, root), 1) } lt(child, n) { child := add(shl(1, root), 1) } {
                let least := mload(add(base, shl(5, child)))
                let other := add(child, 1)
                if lt(other, n) {
                    let value := mload(add(base, shl(5, other)))
                    if lt(value, least) {
                        least := value
                        child := other
                    }
                }
                if iszero(lt(least, sinking)) { break }
                mstore(add(base, shl(5, root)), least)
                root := child
            }
            mstore(add(base, shl(5, root)), sinking)
        }
    }
}
