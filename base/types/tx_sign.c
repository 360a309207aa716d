/* tx_sign.c: who signed a transaction or an authorization, and signing itself; see tx.h. Part of sb_crypto (libsecp256k1). */
#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/crypto/secp256k1.h"
#include "base/types/tx.h"

/* EIP-7702: what an authorization's signature is made over begins with this byte. */
#define AUTHORIZATION_MAGIC 0x05
/* The byte, a list header, and the three fields at their longest: 33 + 21 + 9. */
#define AUTHORIZATION_BYTES_MAX 80

static sb_err recover(sb_addr *ret_signer, const sb_hash *hash, const sb_u256 *r, const sb_u256 *s,
                      uint8_t y_parity)
{
    struct sb_secp256k1_signature signature = {.recovery_id = y_parity};
    if (y_parity > 1) {
        return SB_E_SIGNATURE;
    }
    sb_u256_store_be(signature.rs, r);
    sb_u256_store_be(signature.rs + 32, s);
    if (!sb_secp256k1_is_low_s(signature.rs)) {
        return SB_E_SIGNATURE;
    }
    return sb_secp256k1_recover_address(ret_signer, &signature, hash);
}

sb_err sb_tx_sender(sb_addr *ret_sender, const struct sb_tx *tx)
{
    sb_hash hash;
    SB_TRY(sb_tx_signing_hash(&hash, tx));
    return recover(ret_sender, &hash, &tx->r, &tx->s, tx->y_parity);
}

sb_err sb_authorization_authority(sb_addr *ret_authority,
                                  const struct sb_authorization *authorization)
{
    struct sb_buf buf;
    sb_buf_init(&buf, AUTHORIZATION_BYTES_MAX);
    sb_buf_add_byte(&buf, AUTHORIZATION_MAGIC);
    size_t list = sb_rlp_list_begin(&buf);
    sb_rlp_put_u256(&buf, &authorization->chain_id);
    sb_rlp_put_addr(&buf, &authorization->addr);
    sb_rlp_put_u64(&buf, authorization->nonce);
    sb_rlp_list_end(&buf, list);
    if (buf.failed) {
        sb_buf_fini(&buf);
        return SB_E_NOMEM;
    }
    sb_hash hash = sb_keccak256(sb_buf_bytes(&buf));
    sb_buf_fini(&buf);
    return recover(ret_authority, &hash, &authorization->r, &authorization->s,
                   authorization->y_parity);
}

sb_err sb_tx_sign(struct sb_tx *tx, const uint8_t secret[32])
{
    sb_hash hash;
    SB_TRY(sb_tx_signing_hash(&hash, tx));
    /* blinding needs a value that an observer cannot know, not a fresh one */
    struct sb_keccak k;
    sb_keccak_init(&k);
    sb_keccak_update(&k, sb_span(secret, 32));
    sb_keccak_update(&k, sb_span(hash.b, sizeof hash.b));
    sb_hash seed = sb_keccak_final(&k);
    struct sb_secp256k1 *ctx = sb_secp256k1_new(seed.b);
    if (ctx == NULL) {
        return SB_E_NOMEM;
    }
    struct sb_secp256k1_signature signature;
    sb_err err = sb_secp256k1_sign(&signature, ctx, secret, &hash);
    sb_secp256k1_free(ctx);
    explicit_bzero(&seed, sizeof seed);
    explicit_bzero(&k, sizeof k);
    if (err != SB_OK) {
        return SB_E_ARG;
    }
    tx->r = sb_u256_load_be(signature.rs, 32);
    tx->s = sb_u256_load_be(signature.rs + 32, 32);
    tx->y_parity = signature.recovery_id & 1;
    return SB_OK;
}
