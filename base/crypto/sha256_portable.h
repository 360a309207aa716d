/* sha256_portable.h: SHA-256 in plain C (FIPS 180-4), for content identifiers and model ids.
 *
 * base builds without third-party libraries, hence this one; where speed matters and libraries are at hand, sb_sha256 of
 * base/crypto/hash.h gives the same bytes faster. */
#ifndef SB_BASE_CRYPTO_SHA256_PORTABLE_H
#define SB_BASE_CRYPTO_SHA256_PORTABLE_H

#include "base/types/hash.h"
#include "base/util/span.h"

struct sb_sha256_portable {
    uint32_t state[8];
    uint64_t total_bytes;
    uint8_t block[64]; /* total_bytes % 64 bytes of it wait */
};

/* sb_sha256_portable: hash of one message. */
sb_hash sb_sha256_portable(sb_bytes message);

/* Incremental form; final leaves the state unusable until the next init. */
void sb_sha256_portable_init(struct sb_sha256_portable *s);
void sb_sha256_portable_update(struct sb_sha256_portable *s, sb_bytes part);
sb_hash sb_sha256_portable_final(struct sb_sha256_portable *s);

#endif
