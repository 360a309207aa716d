/* hash.c: nettle's SHA-256 and RIPEMD-160; see hash.h. */
#include "base/crypto/hash.h"

#include <nettle/ripemd160.h>
#include <nettle/sha2.h>

sb_hash sb_sha256(sb_bytes message)
{
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, message.len, message.data);
    sb_hash hash;
    sha256_digest(&ctx, sizeof hash.b, hash.b);
    return hash;
}

void sb_ripemd160(uint8_t ret[20], sb_bytes message)
{
    struct ripemd160_ctx ctx;
    ripemd160_init(&ctx);
    ripemd160_update(&ctx, message.len, message.data);
    ripemd160_digest(&ctx, 20, ret);
}
