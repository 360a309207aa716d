/* hkdf.h: key derivation: HKDF with SHA-256 (RFC 5869), HMAC by libsodium. Part of sb_crypto. */
#ifndef SB_BASE_CRYPTO_HKDF_H
#define SB_BASE_CRYPTO_HKDF_H

#include <stdbool.h>

#include "base/util/span.h"

#define SB_HKDF_BYTES_MAX (255 * 32)

/* sb_hkdf_sha256: ret_len bytes from input keying material; false when that is over SB_HKDF_BYTES_MAX. */
bool sb_hkdf_sha256(uint8_t *ret, size_t ret_len, sb_bytes salt, sb_bytes input, sb_bytes info);

#endif
