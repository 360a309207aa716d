/* hd_key.c: BIP-39 and BIP-32 over nettle and libsecp256k1; see hd_key.h. */
#include "base/crypto/hd_key.h"

#include <nettle/hmac.h>
#include <nettle/pbkdf2.h>
#include <secp256k1.h>
#include <sodium.h>

#include "base/util/endian.h"

#define SEED_ROUNDS      2048
#define TEXT_BYTES_MAX   256
#define SALT_PREFIX      "mnemonic"
#define COMPRESSED_BYTES 33

static sb_err check_text(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if ((uint8_t)text[i] >= 0x80) {
            return SB_E_ARG;
        }
    }
    return len <= TEXT_BYTES_MAX ? SB_OK : SB_E_LIMIT;
}

sb_err sb_hd_seed(uint8_t ret_seed[SB_HD_SEED_BYTES], const char *mnemonic, const char *passphrase)
{
    uint8_t salt[sizeof SALT_PREFIX - 1 + TEXT_BYTES_MAX] = SALT_PREFIX;
    SB_TRY(check_text(mnemonic));
    SB_TRY(check_text(passphrase));
    struct hmac_sha512_ctx hmac;
    size_t passphrase_len = strlen(passphrase);
    sb_copy(salt + sizeof SALT_PREFIX - 1, passphrase, passphrase_len);
    hmac_sha512_set_key(&hmac, strlen(mnemonic), (const uint8_t *)mnemonic);
    PBKDF2(&hmac, hmac_sha512_update, hmac_sha512_digest, SHA512_DIGEST_SIZE, SEED_ROUNDS,
           sizeof SALT_PREFIX - 1 + passphrase_len, salt, SB_HD_SEED_BYTES, ret_seed);
    sodium_memzero(&hmac, sizeof hmac);
    sodium_memzero(salt, sizeof salt);
    return SB_OK;
}

static void hmac_sha512(uint8_t ret[SHA512_DIGEST_SIZE], sb_bytes key, sb_bytes message)
{
    struct hmac_sha512_ctx hmac;
    hmac_sha512_set_key(&hmac, key.len, key.data);
    hmac_sha512_update(&hmac, message.len, message.data);
    hmac_sha512_digest(&hmac, SHA512_DIGEST_SIZE, ret);
    sodium_memzero(&hmac, sizeof hmac);
}

sb_err sb_hd_master(struct sb_hd_key *ret_key, sb_bytes seed)
{
    uint8_t digest[SHA512_DIGEST_SIZE];
    hmac_sha512(digest, sb_span_str("Bitcoin seed"), seed);
    bool ok = secp256k1_ec_seckey_verify(secp256k1_context_static, digest) == 1;
    if (ok) {
        memcpy(ret_key->secret, digest, sizeof ret_key->secret);
        memcpy(ret_key->chain_code, digest + 32, sizeof ret_key->chain_code);
    }
    sodium_memzero(digest, sizeof digest);
    return ok ? SB_OK : SB_E_RANGE;
}

/* What a child's digest is made of: 00 || secret when hardened, else the compressed public key. */
static sb_err child_prefix(uint8_t ret[COMPRESSED_BYTES], const struct sb_secp256k1 *ctx,
                           const struct sb_hd_key *parent, bool hardened)
{
    if (hardened) {
        ret[0] = 0;
        memcpy(ret + 1, parent->secret, sizeof parent->secret);
        return SB_OK;
    }
    uint8_t public_key[SB_SECP256K1_PUBLIC_BYTES];
    SB_TRY(sb_secp256k1_public_key(public_key, ctx, parent->secret));
    ret[0] = (uint8_t)(2 + (public_key[SB_SECP256K1_PUBLIC_BYTES - 1] & 1));
    memcpy(ret + 1, public_key, 32);
    return SB_OK;
}

sb_err sb_hd_child(struct sb_hd_key *ret_key, const struct sb_secp256k1 *ctx,
                   const struct sb_hd_key *parent, uint32_t index)
{
    uint8_t message[COMPRESSED_BYTES + 4];
    uint8_t digest[SHA512_DIGEST_SIZE];
    uint8_t secret[SB_SECP256K1_SECRET_BYTES];
    SB_TRY(child_prefix(message, ctx, parent, (index & SB_HD_HARDENED) != 0));
    be_store32(message + COMPRESSED_BYTES, index);
    hmac_sha512(digest, sb_span(parent->chain_code, sizeof parent->chain_code),
                sb_span(message, sizeof message));
    memcpy(secret, parent->secret, sizeof secret);
    bool ok = secp256k1_ec_seckey_tweak_add(secp256k1_context_static, secret, digest) == 1;
    if (ok) {
        memcpy(ret_key->secret, secret, sizeof secret);
        memcpy(ret_key->chain_code, digest + 32, sizeof ret_key->chain_code);
    }
    sodium_memzero(message, sizeof message);
    sodium_memzero(digest, sizeof digest);
    sodium_memzero(secret, sizeof secret);
    return ok ? SB_OK : SB_E_RANGE;
}

static sb_err derive_account(struct sb_hd_key *key, const struct sb_secp256k1 *ctx,
                             const char *mnemonic, uint32_t index)
{
    const uint32_t path[] = {44 | SB_HD_HARDENED, 60 | SB_HD_HARDENED, SB_HD_HARDENED, 0, index};
    uint8_t seed[SB_HD_SEED_BYTES];
    SB_TRY(sb_hd_seed(seed, mnemonic, ""));
    sb_err err = sb_hd_master(key, sb_span(seed, sizeof seed));
    sodium_memzero(seed, sizeof seed);
    for (size_t i = 0; err == SB_OK && i < sizeof path / sizeof path[0]; i++) {
        err = sb_hd_child(key, ctx, key, path[i]);
    }
    return err;
}

sb_err sb_hd_account(uint8_t ret_secret[SB_SECP256K1_SECRET_BYTES], const struct sb_secp256k1 *ctx,
                     const char *mnemonic, uint32_t index)
{
    struct sb_hd_key key;
    sb_err err = derive_account(&key, ctx, mnemonic, index);
    if (err == SB_OK) {
        memcpy(ret_secret, key.secret, sizeof key.secret);
    }
    sodium_memzero(&key, sizeof key);
    return err;
}
