/* verify_cache.c: see verify_cache.h. */
#include "node/verify_cache.h"

#include <stdlib.h>

#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "base/util/endian.h"

#define WAYS          4
#define KEY_BYTES_MAX (4 + SB_SIGN_BYTES_MAX + 1 + 1 + SB_PUBKEY_BYTES_MAX + SB_SIGNATURE_BYTES_MAX)
#define BETAS         16 /* the proposers of some rounds of a height */

SB_STATIC_ASSERT(SB_RANDOMNESS_PROOF_BYTES <= SB_SIGNATURE_BYTES_MAX, "a proof fits a key");

struct row {
    sb_hash keys[WAYS]; /* all zero: empty */
    uint32_t next;      /* the place that the next key takes */
};

struct beta {
    sb_hash key; /* all zero: empty */
    uint8_t beta[SB_RANDOMNESS_HASH_BYTES];
};

struct sb_verify_cache {
    struct sb_verifier inner;
    struct row *rows;
    size_t row_mask;
    struct beta betas[BETAS];
    size_t next_beta;
    struct sb_verify_cache_counters counters;
};

struct sb_verify_cache *sb_verify_cache_new(const struct sb_verifier *inner, size_t entries)
{
    size_t rows = 1;
    while (rows * WAYS < entries) {
        rows *= 2;
    }
    struct sb_verify_cache *cache = calloc(1, sizeof *cache);
    struct row *memory = calloc(rows, sizeof *memory);
    if (cache == NULL || memory == NULL) {
        free(cache);
        free(memory);
        return NULL;
    }
    cache->inner = *inner;
    cache->rows = memory;
    cache->row_mask = rows - 1;
    return cache;
}

void sb_verify_cache_free(struct sb_verify_cache *cache)
{
    if (cache != NULL) {
        free(cache->rows);
        free(cache);
    }
}

/* key_of: lengths stand before what varies in length, so different triples never give the same bytes. */
static sb_hash key_of(const struct sb_pubkey *key, sb_bytes message, sb_bytes signature)
{
    uint8_t bytes[KEY_BYTES_MAX];
    size_t len = 0;
    be_store32(bytes, (uint32_t)message.len);
    len += 4;
    sb_copy(bytes + len, message.data, message.len);
    len += message.len;
    bytes[len++] = key->type;
    bytes[len++] = key->len;
    sb_copy(bytes + len, key->bytes, key->len);
    len += key->len;
    sb_copy(bytes + len, signature.data, signature.len);
    len += signature.len;
    return sb_keccak256(sb_span(bytes, len));
}

static bool verify(void *ctx, const struct sb_pubkey *key, sb_bytes message, sb_bytes signature)
{
    struct sb_verify_cache *cache = ctx;
    if (message.len > SB_SIGN_BYTES_MAX || key->len > SB_PUBKEY_BYTES_MAX ||
        signature.len > SB_SIGNATURE_BYTES_MAX) {
        return cache->inner.verify(cache->inner.ctx, key, message, signature);
    }
    sb_hash wanted = key_of(key, message, signature);
    struct row *row = &cache->rows[be_load64(wanted.b) & cache->row_mask];
    for (size_t i = 0; i < WAYS; i++) {
        if (sb_hash_equal(&row->keys[i], &wanted)) {
            cache->counters.hits++;
            return true;
        }
    }
    cache->counters.misses++;
    if (!cache->inner.verify(cache->inner.ctx, key, message, signature)) {
        return false;
    }
    row->keys[row->next] = wanted;
    row->next = (row->next + 1) % WAYS;
    return true;
}

static bool verify_randomness(void *ctx, uint8_t ret_beta[SB_RANDOMNESS_HASH_BYTES],
                              const struct sb_pubkey *key, sb_bytes alpha, sb_bytes proof)
{
    struct sb_verify_cache *cache = ctx;
    if (alpha.len > SB_SIGN_BYTES_MAX || key->len > SB_PUBKEY_BYTES_MAX ||
        proof.len != SB_RANDOMNESS_PROOF_BYTES) {
        return cache->inner.verify_randomness(cache->inner.ctx, ret_beta, key, alpha, proof);
    }
    sb_hash wanted = key_of(key, alpha, proof);
    for (size_t i = 0; i < BETAS; i++) {
        if (sb_hash_equal(&cache->betas[i].key, &wanted)) {
            cache->counters.randomness_hits++;
            memcpy(ret_beta, cache->betas[i].beta, SB_RANDOMNESS_HASH_BYTES);
            return true;
        }
    }
    struct beta made = {.key = wanted};
    cache->counters.randomness_misses++;
    if (!cache->inner.verify_randomness(cache->inner.ctx, made.beta, key, alpha, proof)) {
        return false;
    }
    cache->betas[cache->next_beta] = made;
    cache->next_beta = (cache->next_beta + 1) % BETAS;
    memcpy(ret_beta, made.beta, SB_RANDOMNESS_HASH_BYTES);
    return true;
}

struct sb_verifier sb_verify_cache_verifier(struct sb_verify_cache *cache)
{
    return (struct sb_verifier){
        .ctx = cache, .verify = verify, .verify_randomness = verify_randomness};
}

struct sb_verify_cache_counters sb_verify_cache_counters(const struct sb_verify_cache *cache)
{
    return cache->counters;
}
