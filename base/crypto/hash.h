/* hash.h: SHA-256 and RIPEMD-160 by nettle (with SHA extensions where the CPU has them). Part of sb_crypto. */
#ifndef SB_BASE_CRYPTO_HASH_H
#define SB_BASE_CRYPTO_HASH_H

#include "base/types/hash.h"
#include "base/util/span.h"

/* sb_sha256: SHA-256 of one message (FIPS 180-4). */
sb_hash sb_sha256(sb_bytes message);
/* sb_ripemd160: RIPEMD-160 of one message, 20 bytes. */
void sb_ripemd160(uint8_t ret[20], sb_bytes message);

#endif
