/* bench_proof.c: proofs of inferences: their size, and the time that the standing library takes to verify one.
 *
 *     bench_proof [--json FILE]
 *
 * Sets of 4, 100 and 256 validators, all of whom sign; the record is one of 1,000 in its block. Beside the time: the share of it that the
 * signatures alone take. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/crypto/ed25519.h"
#include "base/util/assert.h"
#include "consensus/inference_proof.h"
#include "consensus/samebit_proof.h"

#define RECORDS 1000
#define ROUNDS  101

static uint8_t secrets[SB_VALIDATORS_MAX][SB_ED25519_SECRET_BYTES];
static struct sb_pubkey keys[SB_VALIDATORS_MAX];
static struct sb_inference_record records[RECORDS];

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t median(uint64_t *values)
{
    qsort(values, ROUNDS, sizeof *values, compare_u64);
    return values[ROUNDS / 2];
}

static const uint8_t *secret_of(const struct sb_pubkey *key)
{
    size_t i = 0;
    while (!sb_pubkey_equal(&keys[i], key)) {
        i++;
    }
    return secrets[i];
}

static void make_proof(struct sb_buf *out, struct sb_arena *arena, size_t count,
                       const struct sb_chain_domain *domain)
{
    struct sb_validator *own = sb_arena_array(arena, count, sizeof *own);
    struct sb_commit_sig *sigs = sb_arena_zalloc(arena, count * sizeof *sigs);
    struct sb_inference_proof proof = {.record = records[617]};
    struct sb_consensus_header *h = &proof.block.header;
    SB_ASSERT(own != NULL && sigs != NULL);
    for (size_t i = 0; i < count; i++) {
        own[i] = (struct sb_validator){.key = keys[i], .power = 1000000 - (int64_t)i};
    }
    SB_ASSERT(sb_validator_set_make(&proof.block.validators, own, count, NULL) == SB_OK);
    proof.block.next_validators = proof.block.validators;
    *h = (struct sb_consensus_header){.version = SB_CONSENSUS_VERSION,
                                      .chain_id = domain->chain_id,
                                      .height = 1234567,
                                      .time_ms = 1700000000000,
                                      .randomness_proof_len = 80};
    h->validators_hash = h->next_validators_hash = sb_validator_set_hash(&proof.block.validators);
    SB_ASSERT(sb_inference_root(&h->extension_root, arena, records, RECORDS) == SB_OK);
    SB_ASSERT(sb_inference_prove(&proof.path, arena, records, RECORDS, 617) == SB_OK);
    proof.block.commit = (struct sb_commit){.height = h->height,
                                            .block_id = sb_consensus_block_id(h),
                                            .sigs = sigs,
                                            .sig_count = count};
    for (size_t i = 0; i < count; i++) {
        uint8_t message[SB_SIGN_BYTES_MAX];
        sigs[i].flag = SB_COMMIT_BLOCK;
        struct sb_vote vote = sb_commit_vote(&proof.block.commit, &proof.block.validators, i);
        size_t len = sb_vote_sign_bytes(message, domain, &vote);
        sigs[i].signature.len = SB_ED25519_SIGNATURE_BYTES;
        sb_ed25519_sign(sigs[i].signature.bytes, secret_of(&own[i].key), sb_span(message, len));
    }
    sb_buf_reset(out);
    sb_inference_proof_encode(out, &proof);
    SB_ASSERT(sb_buf_err(out) == SB_OK);
}

/* signatures_ns: `count` verifications of one signature. */
static uint64_t signatures_ns(size_t count)
{
    static const uint8_t message[120];
    uint8_t signature[SB_ED25519_SIGNATURE_BYTES];
    uint64_t times[ROUNDS];
    sb_ed25519_sign(signature, secrets[0], sb_span(message, sizeof message));
    struct sb_verifier verifier = sb_verifier_ed25519();
    for (size_t r = 0; r < ROUNDS; r++) {
        uint64_t begun = now_ns();
        for (size_t i = 0; i < count; i++) {
            SB_ASSERT(verifier.verify(verifier.ctx, &keys[0], sb_span(message, sizeof message),
                                      sb_span(signature, sizeof signature)));
        }
        times[r] = now_ns() - begun;
    }
    return median(times);
}

static void measure(FILE *json, struct sb_arena *arena, size_t count, bool is_last)
{
    const struct sb_chain_domain domain = {.chain_id = 23296, .genesis_hash = {{7}}};
    struct samebit_trust trust = {.kind = SAMEBIT_TRUST_BLOCK, .chain_id = domain.chain_id};
    struct samebit_inference inference;
    struct sb_inference_proof proof;
    struct sb_buf raw;
    uint64_t times[ROUNDS];
    sb_buf_init(&raw, SB_INFERENCE_PROOF_BYTES_MAX);
    make_proof(&raw, arena, count, &domain);
    SB_ASSERT(sb_inference_proof_decode(&proof, arena, sb_buf_bytes(&raw), NULL) == SB_OK);
    memcpy(trust.genesis_hash, domain.genesis_hash.b, 32);
    memcpy(trust.hash, proof.block.commit.block_id.b, 32);
    for (size_t r = 0; r < ROUNDS; r++) {
        uint64_t begun = now_ns();
        SB_ASSERT(samebit_inference_verify(&inference, NULL, &trust, raw.data, raw.len) == 0);
        times[r] = now_ns() - begun;
    }
    uint64_t us = median(times) / 1000, signatures_us = signatures_ns(count) / 1000;
    (void)printf("%zu validators: proof of %zu bytes, verified in %" PRIu64
                 " us, of which signatures %" PRIu64 " us\n",
                 count, raw.len, us, signatures_us);
    if (json != NULL) {
        (void)fprintf(json,
                      "    {\"validators\": %zu, \"bytes\": %zu, \"verify_us\": %" PRIu64
                      ", \"signatures_us\": %" PRIu64 "}%s\n",
                      count, raw.len, us, signatures_us, is_last ? "" : ",");
    }
    sb_buf_fini(&raw);
    sb_arena_reset(arena);
}

int main(int argc, char **argv)
{
    FILE *json = argc == 3 && strcmp(argv[1], "--json") == 0 ? fopen(argv[2], "w") : NULL;
    static const size_t counts[] = {4, 100, 256};
    struct sb_arena arena;
    for (size_t i = 0; i < SB_VALIDATORS_MAX; i++) {
        uint8_t seed[32] = {(uint8_t)i, 11}, key[32];
        sb_ed25519_keypair(key, secrets[i], seed);
        keys[i] = sb_pubkey_ed25519(key);
    }
    for (size_t i = 0; i < RECORDS; i++) {
        records[i] = (struct sb_inference_record){.tx_hash = {{(uint8_t)i, (uint8_t)(i >> 8)}},
                                                  .input_hash = {{1}}};
    }
    sb_arena_init(&arena, (size_t)64 << 20);
    if (json != NULL) {
        (void)fprintf(json, "{\"proof\": [\n");
    }
    for (size_t i = 0; i < 3; i++) {
        measure(json, &arena, counts[i], i == 2);
    }
    if (json != NULL) {
        (void)fprintf(json, "]}\n");
        (void)fclose(json);
    }
    sb_arena_fini(&arena);
    return 0;
}
