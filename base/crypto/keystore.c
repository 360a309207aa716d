/* keystore.c: key derivation, AES-128-CTR and mac of a version 3 keystore; see keystore.h. */
#include "base/crypto/keystore.h"

#include <nettle/aes.h>
#include <nettle/ctr.h>
#include <nettle/pbkdf2.h>
#include <sodium.h>

#include "base/crypto/keccak.h"

#define DERIVED_BYTES 32

static sb_err check_costs(const struct sb_keystore *ks)
{
    if (ks->salt_len > SB_KEYSTORE_SALT_BYTES_MAX) {
        return SB_E_RANGE;
    }
    if (ks->kdf == SB_KEYSTORE_PBKDF2) {
        bool ok = ks->pbkdf2_iteration_count > 0 &&
                  ks->pbkdf2_iteration_count <= SB_KEYSTORE_PBKDF2_ITERATION_COUNT_MAX;
        return ok ? SB_OK : SB_E_RANGE;
    }
    uint64_t n = ks->scrypt_n;
    uint64_t r = ks->scrypt_r;
    uint64_t p = ks->scrypt_p;
    /* Each factor is bounded first, so the products cannot wrap. */
    bool ok = n > 1 && (n & (n - 1)) == 0 && n <= SB_KEYSTORE_SCRYPT_WORK_MAX && r > 0 &&
              r <= 1024 && p > 0 && p <= 1024 && 128 * n * r <= SB_KEYSTORE_SCRYPT_MEM_BYTES_MAX &&
              n * r * p <= SB_KEYSTORE_SCRYPT_WORK_MAX;
    return ok ? SB_OK : SB_E_RANGE;
}

static sb_err derive(uint8_t ret[DERIVED_BYTES], const struct sb_keystore *ks, sb_bytes password)
{
    SB_TRY(check_costs(ks));
    static const uint8_t k_none[1];
    const uint8_t *text = password.data != NULL ? password.data : k_none;
    if (ks->kdf == SB_KEYSTORE_PBKDF2) {
        pbkdf2_hmac_sha256(password.len, text, ks->pbkdf2_iteration_count, ks->salt_len, ks->salt,
                           DERIVED_BYTES, ret);
        return SB_OK;
    }
    int status = crypto_pwhash_scryptsalsa208sha256_ll(text, password.len, ks->salt, ks->salt_len,
                                                       ks->scrypt_n, ks->scrypt_r, ks->scrypt_p,
                                                       ret, DERIVED_BYTES);
    return status == 0 ? SB_OK : SB_E_NOMEM;
}

/* Encryption and decryption are the same in counter mode. */
static void aes_ctr(uint8_t ret[SB_KEYSTORE_SECRET_BYTES], const uint8_t key[AES128_KEY_SIZE],
                    const uint8_t iv[16], const uint8_t input[SB_KEYSTORE_SECRET_BYTES])
{
    struct aes128_ctx aes;
    uint8_t counter[AES_BLOCK_SIZE];
    memcpy(counter, iv, sizeof counter);
    aes128_set_encrypt_key(&aes, key);
    ctr_crypt(&aes, (nettle_cipher_func *)aes128_encrypt, AES_BLOCK_SIZE, counter,
              SB_KEYSTORE_SECRET_BYTES, ret, input);
    sodium_memzero(&aes, sizeof aes);
}

static sb_hash mac_of(const uint8_t derived[DERIVED_BYTES],
                      const uint8_t ciphertext[SB_KEYSTORE_SECRET_BYTES])
{
    struct sb_keccak k;
    sb_keccak_init(&k);
    sb_keccak_update(&k, sb_span(derived + 16, 16));
    sb_keccak_update(&k, sb_span(ciphertext, SB_KEYSTORE_SECRET_BYTES));
    return sb_keccak_final(&k);
}

sb_err sb_keystore_lock(struct sb_keystore *ks, const uint8_t secret[SB_KEYSTORE_SECRET_BYTES],
                        sb_bytes password, const uint8_t iv[16])
{
    uint8_t derived[DERIVED_BYTES];
    SB_TRY(derive(derived, ks, password));
    memcpy(ks->iv, iv, sizeof ks->iv);
    aes_ctr(ks->ciphertext, derived, iv, secret);
    ks->mac = mac_of(derived, ks->ciphertext);
    sodium_memzero(derived, sizeof derived);
    return SB_OK;
}

sb_err sb_keystore_unlock(uint8_t ret_secret[SB_KEYSTORE_SECRET_BYTES],
                          const struct sb_keystore *ks, sb_bytes password)
{
    uint8_t derived[DERIVED_BYTES];
    SB_TRY(derive(derived, ks, password));
    sb_hash mac = mac_of(derived, ks->ciphertext);
    bool fits = sodium_memcmp(mac.b, ks->mac.b, sizeof mac.b) == 0;
    if (fits) {
        aes_ctr(ret_secret, derived, ks->iv, ks->ciphertext);
    }
    sodium_memzero(derived, sizeof derived);
    return fits ? SB_OK : SB_E_PASSWORD;
}
