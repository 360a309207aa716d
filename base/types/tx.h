/* tx.h: transactions of types 0 to 4: decode, encode, hash, signature.
 *
 *   type 0  legacy            rlp([nonce, gasPrice, gas, to, value, data, v, r, s])          Yellow Paper, EIP-155
 *   type 1  access list       0x01 || rlp([chainId, nonce, gasPrice, gas, to, value, data, accessList, yParity, r, s])   EIP-2930
 *   type 2  fee market        0x02 || rlp([chainId, nonce, tip, maxFee, gas, to, value, data, accessList, ...])          EIP-1559
 *   type 3  blob              0x03 || rlp([..., accessList, maxFeePerBlobGas, blobVersionedHashes, ...])                 EIP-4844
 *   type 4  set code          0x04 || rlp([..., accessList, authorizationList, ...])                                     EIP-7702
 *
 * A decoded transaction borrows from the bytes it was decoded from (data) and from the arena (lists). Decoding is strict: canonical
 * RLP, no trailing bytes, integers within their type, so that encode(decode(b)) = b. */
#ifndef SB_BASE_TYPES_TX_H
#define SB_BASE_TYPES_TX_H

#include "base/num/u256.h"
#include "base/types/hash.h"
#include "base/util/arena.h"
#include "base/util/buf.h"
#include "base/util/err.h"

enum sb_tx_type {
    SB_TX_LEGACY = 0,
    SB_TX_ACCESS_LIST = 1,
    SB_TX_FEE_MARKET = 2,
    SB_TX_BLOB = 3,
    SB_TX_SET_CODE = 4,
};

/* Largest encoded transaction that is accepted from outside: fits a 64 KiB model chunk with room, as in geth's pool (128 KiB). */
#define SB_TX_BYTES_MAX ((size_t)128 * 1024)

struct sb_access_entry {
    sb_addr addr;
    const sb_hash *keys; /* key_count slots */
    size_t key_count;
};

struct sb_authorization {
    sb_u256 chain_id; /* 0 = any chain */
    sb_addr addr;     /* delegate; zero clears */
    uint64_t nonce;
    uint8_t y_parity;
    sb_u256 r, s;
};

struct sb_tx {
    enum sb_tx_type type;
    bool has_chain_id; /* false only for a legacy transaction without EIP-155 */
    uint64_t chain_id;
    uint64_t nonce;
    uint64_t gas_limit;
    sb_u256 max_fee;          /* wei per gas; gasPrice for types 0 and 1 */
    sb_u256 max_priority_fee; /* wei per gas; = max_fee for types 0 and 1 */
    bool is_create;           /* no `to` */
    sb_addr to;
    sb_u256 value;
    sb_bytes data;
    const struct sb_access_entry *access_list;
    size_t access_count;
    sb_u256 max_fee_per_blob_gas; /* type 3 */
    const sb_hash *blob_hashes;   /* type 3 */
    size_t blob_hash_count;
    const struct sb_authorization *authorizations; /* type 4 */
    size_t authorization_count;
    uint8_t y_parity; /* 0 or 1 */
    sb_u256 r, s;
};

/* sb_tx_decode: parse the EIP-2718 form (the argument of eth_sendRawTransaction; legacy: the bare list).
 * In:  raw, kept alive by the caller as long as ret_tx; arena for lists
 * Returns SB_OK; SB_E_TRUNCATED, SB_E_TRAILING, SB_E_NON_CANONICAL, SB_E_RANGE, SB_E_TYPE or SB_E_NOMEM, with a message. Checks
 * form only: whether the signature is valid and the fees make sense is for sb_tx_sender and for vm/exec. */
sb_err sb_tx_decode(struct sb_tx *ret_tx, struct sb_arena *arena, sb_bytes raw,
                    struct sb_diag *diag) SB_MUST_USE;

/* sb_tx_encode: append the EIP-2718 form, the exact inverse of sb_tx_decode. */
void sb_tx_encode(struct sb_buf *out, const struct sb_tx *tx);

/* sb_tx_hash: keccak256 of the encoded form. */
sb_hash sb_tx_hash(sb_bytes raw);

/* sb_tx_signing_hash: what the sender signs. Returns SB_E_NOMEM when the scratch buffer fails. */
sb_err sb_tx_signing_hash(sb_hash *ret_hash, const struct sb_tx *tx) SB_MUST_USE;

/* sb_tx_sender: recover the signer. SB_E_SIGNATURE if r or s is 0 or not below n, s is over n/2 (EIP-2), or no key matches. */
sb_err sb_tx_sender(sb_addr *ret_sender, const struct sb_tx *tx) SB_MUST_USE;

/* sb_tx_sign: fill y_parity, r, s (low s) with a signature by the secret key. SB_E_ARG for an invalid key. */
sb_err sb_tx_sign(struct sb_tx *tx, const uint8_t secret[32]) SB_MUST_USE;

/* sb_authorization_authority: the signer of a type 4 tuple: keccak256(0x05 || rlp([chainId, address, nonce])), EIP-7702. */
sb_err sb_authorization_authority(sb_addr *ret_authority,
                                  const struct sb_authorization *authorization) SB_MUST_USE;

/* sb_tx_effective_gas_price: min(max_fee, base_fee + max_priority_fee), EIP-1559. max_fee >= base_fee is the caller's check. */
sb_u256 sb_tx_effective_gas_price(const struct sb_tx *tx, const sb_u256 *base_fee);

#endif
