/* secp256k1.c: libsecp256k1 behind byte arrays; see secp256k1.h.
 *
 * Verification and recovery use the library's own static context, which is constant. */
#include "base/crypto/secp256k1.h"

#include <secp256k1.h>
#include <secp256k1_recovery.h>

#include "base/crypto/keccak.h"
#include "base/util/assert.h"

/* n / 2, rounded down (SEC 2, 2.4.1). */
static const uint8_t k_half_order[32] = {
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
};

/* The library's context under our name; struct sb_secp256k1 is never defined. */
static const secp256k1_context *library_ctx(const struct sb_secp256k1 *ctx)
{
    SB_ASSERT(ctx != NULL);
    return (const secp256k1_context *)ctx;
}

struct sb_secp256k1 *sb_secp256k1_new(const uint8_t seed[32])
{
    secp256k1_context *ctx = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    if (ctx != NULL && seed != NULL) {
        int status = secp256k1_context_randomize(ctx, seed);
        SB_ASSERT(status == 1);
    }
    return (struct sb_secp256k1 *)ctx;
}

void sb_secp256k1_free(struct sb_secp256k1 *ctx)
{
    secp256k1_context_destroy((secp256k1_context *)ctx);
}

static void store_public_key(uint8_t ret[SB_SECP256K1_PUBLIC_BYTES], const secp256k1_pubkey *key)
{
    uint8_t serialised[1 + SB_SECP256K1_PUBLIC_BYTES];
    size_t len = sizeof serialised;
    (void)secp256k1_ec_pubkey_serialize(secp256k1_context_static, serialised, &len, key,
                                        SECP256K1_EC_UNCOMPRESSED);
    SB_ASSERT(len == sizeof serialised);
    memcpy(ret, serialised + 1, SB_SECP256K1_PUBLIC_BYTES);
}

sb_err sb_secp256k1_public_key(uint8_t ret_public[SB_SECP256K1_PUBLIC_BYTES],
                               const struct sb_secp256k1 *ctx,
                               const uint8_t secret[SB_SECP256K1_SECRET_BYTES])
{
    secp256k1_pubkey key;
    if (secp256k1_ec_pubkey_create(library_ctx(ctx), &key, secret) != 1) {
        return SB_E_RANGE;
    }
    store_public_key(ret_public, &key);
    return SB_OK;
}

sb_addr sb_secp256k1_address(const uint8_t public_key[SB_SECP256K1_PUBLIC_BYTES])
{
    sb_hash hash = sb_keccak256(sb_span(public_key, SB_SECP256K1_PUBLIC_BYTES));
    sb_addr addr;
    memcpy(addr.b, hash.b + 12, sizeof addr.b);
    return addr;
}

sb_err sb_secp256k1_secret_address(sb_addr *ret, const struct sb_secp256k1 *ctx,
                                   const uint8_t secret[SB_SECP256K1_SECRET_BYTES])
{
    uint8_t public_key[SB_SECP256K1_PUBLIC_BYTES];
    SB_TRY(sb_secp256k1_public_key(public_key, ctx, secret));
    *ret = sb_secp256k1_address(public_key);
    return SB_OK;
}

sb_err sb_secp256k1_sign(struct sb_secp256k1_signature *ret, const struct sb_secp256k1 *ctx,
                         const uint8_t secret[SB_SECP256K1_SECRET_BYTES], const sb_hash *hash)
{
    secp256k1_ecdsa_recoverable_signature signature;
    if (secp256k1_ecdsa_sign_recoverable(library_ctx(ctx), &signature, hash->b, secret, NULL,
                                         NULL) != 1) {
        return SB_E_RANGE;
    }
    int recovery_id = 0;
    (void)secp256k1_ecdsa_recoverable_signature_serialize_compact(secp256k1_context_static, ret->rs,
                                                                  &recovery_id, &signature);
    ret->recovery_id = (uint8_t)recovery_id;
    return SB_OK;
}

bool sb_secp256k1_verify(const uint8_t rs[SB_SECP256K1_SIGNATURE_BYTES], const sb_hash *hash,
                         const uint8_t public_key[SB_SECP256K1_PUBLIC_BYTES])
{
    uint8_t serialised[1 + SB_SECP256K1_PUBLIC_BYTES] = {0x04};
    memcpy(serialised + 1, public_key, SB_SECP256K1_PUBLIC_BYTES);
    secp256k1_pubkey key;
    secp256k1_ecdsa_signature signature;
    if (secp256k1_ec_pubkey_parse(secp256k1_context_static, &key, serialised, sizeof serialised) !=
            1 ||
        secp256k1_ecdsa_signature_parse_compact(secp256k1_context_static, &signature, rs) != 1) {
        return false;
    }
    /* The library verifies the lower half only; the mirror image of a signature is valid exactly when it is. */
    (void)secp256k1_ecdsa_signature_normalize(secp256k1_context_static, &signature, &signature);
    return secp256k1_ecdsa_verify(secp256k1_context_static, &signature, hash->b, &key) == 1;
}

sb_err sb_secp256k1_recover(uint8_t ret_public[SB_SECP256K1_PUBLIC_BYTES],
                            const struct sb_secp256k1_signature *signature, const sb_hash *hash)
{
    if (signature->recovery_id > 3) {
        return SB_E_SIGNATURE;
    }
    secp256k1_ecdsa_recoverable_signature parsed;
    secp256k1_pubkey key;
    if (secp256k1_ecdsa_recoverable_signature_parse_compact(
            secp256k1_context_static, &parsed, signature->rs, signature->recovery_id) != 1 ||
        secp256k1_ecdsa_recover(secp256k1_context_static, &key, &parsed, hash->b) != 1) {
        return SB_E_SIGNATURE;
    }
    store_public_key(ret_public, &key);
    return SB_OK;
}

sb_err sb_secp256k1_recover_address(sb_addr *ret, const struct sb_secp256k1_signature *signature,
                                    const sb_hash *hash)
{
    uint8_t public_key[SB_SECP256K1_PUBLIC_BYTES];
    SB_TRY(sb_secp256k1_recover(public_key, signature, hash));
    *ret = sb_secp256k1_address(public_key);
    return SB_OK;
}

bool sb_secp256k1_is_low_s(const uint8_t rs[SB_SECP256K1_SIGNATURE_BYTES])
{
    return memcmp(rs + 32, k_half_order, sizeof k_half_order) <= 0;
}
