/* keystore.h: the cryptography of Web3 Secret Storage, version 3: a secret key locked with a password. Part of sb_crypto.
 *
 *     password, salt -- scrypt or PBKDF2-HMAC-SHA-256 --> derived key (32 bytes)
 *     ciphertext = AES-128-CTR(derived[0..16], iv, secret)         mac = keccak256(derived[16..32] || ciphertext)
 *
 * The JSON around it is the caller's. Costs come from a file, so they are bounded before any work. */
#ifndef SB_BASE_CRYPTO_KEYSTORE_H
#define SB_BASE_CRYPTO_KEYSTORE_H

#include "base/types/hash.h"
#include "base/util/err.h"
#include "base/util/span.h"

#define SB_KEYSTORE_SECRET_BYTES   32
#define SB_KEYSTORE_SALT_BYTES_MAX 64
/* scrypt: at most 128 * n * r = 512 MiB of memory, and 2^26 for n * r * p; PBKDF2: at most 2^24 iterations. */
#define SB_KEYSTORE_SCRYPT_MEM_BYTES_MAX       ((uint64_t)1 << 29)
#define SB_KEYSTORE_SCRYPT_WORK_MAX            ((uint64_t)1 << 26)
#define SB_KEYSTORE_PBKDF2_ITERATION_COUNT_MAX ((uint32_t)1 << 24)
/* Geth's and everybody's costs for scrypt: a quarter of a GiB, about a second; and light ones. */
#define SB_KEYSTORE_SCRYPT_N_STANDARD ((uint64_t)1 << 18)
#define SB_KEYSTORE_SCRYPT_N_LIGHT    ((uint64_t)1 << 12)
#define SB_KEYSTORE_SCRYPT_R          8
#define SB_KEYSTORE_SCRYPT_P_STANDARD 1
#define SB_KEYSTORE_SCRYPT_P_LIGHT    6

enum sb_keystore_kdf {
    SB_KEYSTORE_SCRYPT,
    SB_KEYSTORE_PBKDF2,
};

struct sb_keystore {
    enum sb_keystore_kdf kdf;
    uint64_t scrypt_n; /* a power of two, over 1 */
    uint32_t scrypt_r;
    uint32_t scrypt_p;
    uint32_t pbkdf2_iteration_count;
    uint8_t salt[SB_KEYSTORE_SALT_BYTES_MAX];
    size_t salt_len;
    uint8_t iv[16];
    uint8_t ciphertext[SB_KEYSTORE_SECRET_BYTES];
    sb_hash mac;
};

/* sb_keystore_lock: fill iv, ciphertext and mac of ks, whose kdf, costs and salt are set by the caller. iv: 16 random bytes.
 * SB_E_RANGE for costs out of bounds, SB_E_NOMEM. */
sb_err sb_keystore_lock(struct sb_keystore *ks, const uint8_t secret[SB_KEYSTORE_SECRET_BYTES],
                        sb_bytes password, const uint8_t iv[16]) SB_MUST_USE;

/* sb_keystore_unlock: the secret; wipe it after use. SB_E_PASSWORD when the mac does not match, else as sb_keystore_lock. */
sb_err sb_keystore_unlock(uint8_t ret_secret[SB_KEYSTORE_SECRET_BYTES],
                          const struct sb_keystore *ks, sb_bytes password) SB_MUST_USE;

#endif
