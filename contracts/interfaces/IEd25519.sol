// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Ed25519: signature check by the chain's one rule.
/// @notice Precompile at 0x5b05. The rule is libsodium's crypto_sign_verify_detached: no cofactor, small-order and non-canonical keys
///         refused, S < L required. Specification: docs/spec/precompiles.md section 6.
interface IEd25519 {
    error BadCall();

    /// @return valid whether (r, s) is a signature of `message` by `publicKey`
    function verify(bytes32 publicKey, bytes32 r, bytes32 s, bytes calldata message) external view returns (bool valid);
}

IEd25519 constant ED25519 = IEd25519(0x0000000000000000000000000000000000005b05);
