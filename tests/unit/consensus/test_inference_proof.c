/* test_inference_proof.c: proofs of inferences and light blocks, over sets of 1 to 100 validators with real signatures: what each trust
 * accepts, every reason, and that a change of any single bit is refused. */
#include "consensus/inference_proof.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto/ed25519.h"
#include "consensus/samebit_proof.h"
#include "tests/support/random.h"

#define KEYS        100
#define RECORDS_MAX 1000
#define HEIGHT      77
#define TIME_MS     UINT64_C(1700000000000)

static uint8_t g_secrets[KEYS][SB_ED25519_SECRET_BYTES];
static struct sb_validator g_validators[KEYS]; /* keys in the order of the seeds */
static struct sb_inference_record g_records[RECORDS_MAX];
static struct sb_arena g_arena;
static struct sb_light_chain g_chain;

static int make_world(void **state)
{
    (void)state;
    struct sb_random rng = sb_random_init(__func__);
    for (size_t i = 0; i < KEYS; i++) {
        uint8_t seed[32] = {(uint8_t)(i + 1), 3}, key[32];
        sb_ed25519_keypair(key, g_secrets[i], seed);
        g_validators[i] = (struct sb_validator){.key = sb_pubkey_ed25519(key), .power = 10};
    }
    for (size_t i = 0; i < RECORDS_MAX; i++) {
        struct sb_inference_record *r = &g_records[i];
        sb_random_fill(&rng, r->tx_hash.b, sizeof r->tx_hash.b);
        sb_random_fill(&rng, r->caller.b, sizeof r->caller.b);
        sb_random_fill(&rng, r->model_id.b, sizeof r->model_id.b);
        sb_random_fill(&rng, r->input_hash.b, sizeof r->input_hash.b);
        sb_random_fill(&rng, r->output_hash.b, sizeof r->output_hash.b);
        r->index = (uint32_t)i;
    }
    g_chain.domain = (struct sb_chain_domain){.chain_id = 23296, .genesis_hash = {{7}}};
    g_chain.verifier = sb_verifier_ed25519();
    sb_arena_init(&g_arena, (size_t)64 << 20);
    return 0;
}

static int drop_world(void **state)
{
    (void)state;
    sb_arena_fini(&g_arena);
    return 0;
}

static int reset_arena(void **state)
{
    (void)state;
    sb_arena_reset(&g_arena);
    return 0;
}

/* ---- making proofs ---- */

/* make_set: keys first to first + count - 1. */
static struct sb_validator_set make_set(size_t first, size_t count)
{
    struct sb_validator *own = sb_arena_array(&g_arena, count, sizeof *own);
    struct sb_validator_set set;
    assert_non_null(own);
    memcpy(own, g_validators + first, count * sizeof *own);
    assert_int_equal(sb_validator_set_make(&set, own, count, NULL), SB_OK);
    return set;
}

static const uint8_t *secret_of(const struct sb_validator *v)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (sb_pubkey_equal(&g_validators[i].key, &v->key)) {
            return g_secrets[i];
        }
    }
    fail();
    return NULL;
}

/* sign: a commit for the header; of four validators one is absent, of seven one votes nil. */
static void sign(struct sb_light_block_parts *block)
{
    size_t count = block->validators.count;
    struct sb_commit_sig *sigs = sb_arena_zalloc(&g_arena, count * sizeof *sigs);
    assert_non_null(sigs);
    block->commit = (struct sb_commit){.height = block->header.height,
                                       .round = 1,
                                       .block_id = sb_consensus_block_id(&block->header),
                                       .sigs = sigs,
                                       .sig_count = count};
    for (size_t i = 0; i < count; i++) {
        uint8_t message[SB_SIGN_BYTES_MAX];
        sigs[i].flag = count >= 7 && i == 3   ? SB_COMMIT_NIL
                       : count >= 4 && i == 1 ? SB_COMMIT_ABSENT
                                              : SB_COMMIT_BLOCK;
        if (sigs[i].flag == SB_COMMIT_ABSENT) {
            continue;
        }
        struct sb_vote vote = sb_commit_vote(&block->commit, &block->validators, i);
        size_t len = sb_vote_sign_bytes(message, &g_chain.domain, &vote);
        sigs[i].signature.len = SB_ED25519_SIGNATURE_BYTES;
        sb_ed25519_sign(sigs[i].signature.bytes, secret_of(&block->validators.validators[i]),
                        sb_span(message, len));
    }
}

/* make_block: its set is keys 0 to count - 1, the next one is another by one key where that is possible. */
static struct sb_light_block_parts make_block(uint64_t height, size_t count, const sb_hash *root)
{
    struct sb_light_block_parts block = {.header = {.version = SB_CONSENSUS_VERSION,
                                                    .chain_id = g_chain.domain.chain_id,
                                                    .height = height,
                                                    .time_ms = TIME_MS + height,
                                                    .last_block_id = {{1}},
                                                    .payload_hash = {{2}},
                                                    .extension_root = *root},
                                         .validators = make_set(0, count),
                                         .next_validators = make_set(count < KEYS ? 1 : 0, count)};
    block.header.validators_hash = sb_validator_set_hash(&block.validators);
    block.header.next_validators_hash = sb_validator_set_hash(&block.next_validators);
    sign(&block);
    return block;
}

static struct sb_inference_proof make_proof(size_t validators, size_t records, uint32_t index)
{
    struct sb_inference_proof proof = {.record = g_records[index]};
    sb_hash root;
    assert_int_equal(sb_inference_root(&root, &g_arena, g_records, records), SB_OK);
    assert_int_equal(sb_inference_prove(&proof.path, &g_arena, g_records, records, index), SB_OK);
    proof.block = make_block(HEIGHT, validators, &root);
    return proof;
}

static sb_bytes encode(const struct sb_inference_proof *proof)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SB_INFERENCE_PROOF_BYTES_MAX);
    sb_inference_proof_encode(&buf, proof);
    assert_int_equal(sb_buf_err(&buf), SB_OK);
    const uint8_t *copy = sb_arena_dup(&g_arena, sb_buf_bytes(&buf));
    assert_non_null(copy);
    sb_bytes raw = sb_span(copy, buf.len);
    sb_buf_fini(&buf);
    return raw;
}

static struct sb_inference_trust trust_set(const struct sb_inference_proof *proof)
{
    return (struct sb_inference_trust){.chain = g_chain,
                                       .validators_hash = &proof->block.header.validators_hash};
}

static struct sb_inference_verdict verdict_of(const struct sb_inference_trust *trust, sb_bytes raw)
{
    struct sb_inference_verdict verdict;
    assert_int_equal(sb_inference_proof_verify(&verdict, trust, raw), SB_OK);
    return verdict;
}

static void assert_refused(const struct sb_inference_trust *trust,
                           const struct sb_inference_proof *proof, enum sb_inference_reason reason,
                           enum sb_light_reason light_reason)
{
    struct sb_inference_verdict verdict = verdict_of(trust, encode(proof));
    if (verdict.reason != reason || verdict.light_reason != light_reason) {
        fail_msg("refused for: %s; %s", sb_inference_reason_text(verdict.reason),
                 sb_light_reason_text(verdict.light_reason));
    }
}

/* ---- cases ---- */

static void light_block_encodes_and_decodes_to_itself(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 4, 7, KEYS};
    for (size_t i = 0; i < 4; i++) {
        struct sb_light_block_parts block = make_block(HEIGHT, counts[i], &(sb_hash){{9}}), back;
        struct sb_buf buf, again;
        sb_buf_init(&buf, SB_LIGHT_BLOCK_BYTES_MAX + 1);
        sb_buf_init(&again, SB_LIGHT_BLOCK_BYTES_MAX);
        sb_light_block_encode(&buf, &block);
        assert_int_equal(sb_light_block_decode(&back, &g_arena, sb_buf_bytes(&buf), NULL), SB_OK);
        sb_light_block_encode(&again, &back);
        assert_true(sb_span_equal(sb_buf_bytes(&buf), sb_buf_bytes(&again)));
        assert_int_equal(back.next_validators.total_power, 10 * (int64_t)counts[i]);
        for (size_t len = 0; len < buf.len; len += 1 + len / 50) {
            assert_int_not_equal(
                sb_light_block_decode(&back, &g_arena, sb_span(buf.data, len), NULL), SB_OK);
        }
        sb_buf_add_byte(&buf, 0);
        assert_int_not_equal(sb_light_block_decode(&back, &g_arena, sb_buf_bytes(&buf), NULL),
                             SB_OK);
        sb_buf_fini(&buf);
        sb_buf_fini(&again);
    }
    uint8_t *long_one = calloc(1, SB_LIGHT_BLOCK_BYTES_MAX + 1);
    struct sb_light_block_parts back;
    assert_int_equal(sb_light_block_decode(&back, &g_arena,
                                           sb_span(long_one, SB_LIGHT_BLOCK_BYTES_MAX + 1), NULL),
                     SB_E_LIMIT);
    free(long_one);
}

static void proof_is_accepted_by_each_kind_of_trust(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 4, 7, KEYS};
    for (size_t i = 0; i < 4; i++) {
        struct sb_inference_proof proof = make_proof(counts[i], 13, 12);
        sb_bytes raw = encode(&proof);
        struct sb_inference_trust trust = trust_set(&proof);
        struct sb_inference_verdict verdict = verdict_of(&trust, raw);
        sb_hash id = sb_consensus_block_id(&proof.block.header);
        assert_int_equal(verdict.reason, SB_INFERENCE_NONE);
        assert_memory_equal(verdict.block_id.b, id.b, sizeof id.b);
        assert_memory_equal(&verdict.record, &g_records[12], sizeof g_records[12]);
        assert_int_equal(verdict.header.height, HEIGHT);

        trust = (struct sb_inference_trust){.chain = g_chain, .block_id = &id};
        assert_int_equal(verdict_of(&trust, raw).reason, SB_INFERENCE_NONE);

        struct sb_light_trust earlier = {.height = 10,
                                         .time = TIME_MS,
                                         .next_validators_hash = proof.block.header.validators_hash,
                                         .next_validators = proof.block.validators};
        trust = (struct sb_inference_trust){.chain = g_chain,
                                            .block = &earlier,
                                            .options = {.trusting_period = 100000,
                                                        .clock_drift = 1000,
                                                        .trust_numerator = 1,
                                                        .trust_denominator = 3},
                                            .now_ms = TIME_MS + 500};
        assert_int_equal(verdict_of(&trust, raw).reason, SB_INFERENCE_NONE);
        trust.now_ms += 100000;
        assert_refused(&trust, &proof, SB_INFERENCE_LIGHT, SB_LIGHT_EXPIRED);
        trust.now_ms = TIME_MS + 500;
        earlier.height = HEIGHT;
        assert_refused(&trust, &proof, SB_INFERENCE_LIGHT, SB_LIGHT_HEIGHT);
    }
}

static void proof_is_refused_for_its_reason(void **state)
{
    (void)state;
    struct sb_inference_proof proof = make_proof(7, 13, 5);
    struct sb_inference_trust trust = trust_set(&proof);
    sb_hash other = {{1}};
    assert_refused(&(struct sb_inference_trust){.chain = g_chain, .block_id = &other}, &proof,
                   SB_INFERENCE_BLOCK, SB_LIGHT_NONE);
    assert_refused(&(struct sb_inference_trust){.chain = g_chain, .validators_hash = &other},
                   &proof, SB_INFERENCE_LIGHT, SB_LIGHT_CHAIN);
    struct sb_inference_trust elsewhere = trust;
    elsewhere.chain.domain.chain_id++;
    assert_refused(&elsewhere, &proof, SB_INFERENCE_CHAIN, SB_LIGHT_NONE);
    elsewhere = trust;
    elsewhere.chain.domain.genesis_hash.b[0] ^= 1;
    assert_refused(&elsewhere, &proof, SB_INFERENCE_LIGHT, SB_LIGHT_SIGNATURE);

    struct sb_inference_proof p = proof;
    p.record = g_records[6];
    assert_refused(&trust, &p, SB_INFERENCE_PATH, SB_LIGHT_NONE);
    p = proof;
    p.block.header.extension_root.b[3] ^= 1; /* not signed */
    assert_refused(&trust, &p, SB_INFERENCE_LIGHT, SB_LIGHT_COMMIT_BLOCK);
    sign(&p.block); /* signed, but the path leads elsewhere */
    assert_refused(&trust, &p, SB_INFERENCE_PATH, SB_LIGHT_NONE);
    p = proof;
    p.block.commit.sig_count--;
    assert_refused(&trust, &p, SB_INFERENCE_LIGHT, SB_LIGHT_SIG_COUNT);
    p = proof;
    struct sb_commit_sig few[7] = {{.flag = SB_COMMIT_ABSENT}};
    memcpy(few, proof.block.commit.sigs, 4 * sizeof few[0]);
    for (size_t i = 4; i < 7; i++) {
        few[i].flag = SB_COMMIT_ABSENT;
    }
    p.block.commit.sigs = few;
    assert_refused(&trust, &p, SB_INFERENCE_LIGHT, SB_LIGHT_POWER);
    p = proof;
    p.path.count = 0;
    assert_refused(&trust, &p, SB_INFERENCE_FORM, SB_LIGHT_NONE);
    for (int i = 0; i < SB_INFERENCE_REASON_COUNT; i++) {
        assert_true(strlen(sb_inference_reason_text((enum sb_inference_reason)i)) > 3);
    }
    assert_string_equal(sb_inference_reason_text((enum sb_inference_reason)99), "unknown reason");
}

/* flip_all: change each bit of a proof by itself, from `first` on in steps. */
static void flip_all(const struct sb_inference_trust *trust, sb_bytes raw, size_t first,
                     size_t step)
{
    uint8_t *bytes = sb_arena_dup(&g_arena, raw);
    assert_non_null(bytes);
    for (size_t bit = first; bit < 8 * raw.len; bit += step) {
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1u << bit % 8);
        if (verdict_of(trust, sb_span(bytes, raw.len)).reason == SB_INFERENCE_NONE) {
            fail_msg("bit %zu of %zu bytes is free", bit, raw.len);
        }
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1u << bit % 8);
    }
    assert_int_equal(verdict_of(trust, sb_span(bytes, raw.len)).reason, SB_INFERENCE_NONE);
}

static void any_single_bit_changed_is_refused(void **state)
{
    (void)state;
    static const struct {
        size_t validators, records;
        uint32_t index;
    } cases[] = {{1, 1, 0}, {1, 5, 0}, {4, 7, 0}, {4, 3, 2}, {7, 1000, 999}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sb_inference_proof proof =
            make_proof(cases[i].validators, cases[i].records, cases[i].index);
        sb_bytes raw = encode(&proof);
        struct sb_inference_trust trust = trust_set(&proof);
        sb_hash id = sb_consensus_block_id(&proof.block.header);
        flip_all(&trust, raw, 0, 1);
        flip_all(&(struct sb_inference_trust){.chain = g_chain, .block_id = &id}, raw, 0, 1);
    }
    struct sb_inference_proof large = make_proof(KEYS, 300, 77);
    struct sb_inference_trust trust = trust_set(&large);
    struct sb_random rng = sb_random_init(__func__);
    flip_all(&trust, encode(&large), sb_random_below(&rng, 211), 211);
}

static void bytes_that_are_no_proof_are_refused(void **state)
{
    (void)state;
    struct sb_inference_proof proof = make_proof(4, 3, 1);
    struct sb_inference_trust trust = trust_set(&proof);
    sb_bytes raw = encode(&proof);
    for (size_t len = 0; len < raw.len; len++) {
        assert_int_equal(verdict_of(&trust, sb_span(raw.data, len)).reason, SB_INFERENCE_FORM);
    }
    size_t bytes = SB_INFERENCE_PROOF_BYTES_MAX + 1;
    uint8_t *zeros = calloc(1, bytes);
    assert_non_null(zeros);
    assert_int_equal(verdict_of(&trust, sb_span(zeros, bytes)).reason, SB_INFERENCE_FORM);
    free(zeros);
}

/* ---- the standing library ---- */

static int library(struct samebit_inference *ret, const struct samebit_trust *trust, sb_bytes raw,
                   const char *reason)
{
    const char *told = NULL;
    int result = samebit_inference_verify(ret, &told, trust, raw.data, raw.len);
    assert_non_null(told);
    if (strstr(told, reason) == NULL) {
        fail_msg("expected %s, got: %s", reason, told);
    }
    assert_int_equal(samebit_inference_verify(ret, NULL, trust, raw.data, raw.len), result);
    return result;
}

static void library_says_the_same(void **state)
{
    (void)state;
    struct sb_inference_proof proof = make_proof(7, 13, 5);
    struct sb_light_block_parts below = make_block(HEIGHT - 1, 7, &(sb_hash){{0}});
    below.next_validators = proof.block.validators;
    below.header.next_validators_hash = proof.block.header.validators_hash;
    struct sb_buf block;
    sb_buf_init(&block, SB_LIGHT_BLOCK_BYTES_MAX);
    sb_light_block_encode(&block, &below);
    sb_bytes raw = encode(&proof);
    sb_hash id = sb_consensus_block_id(&proof.block.header);
    sb_hash below_id = sb_consensus_block_id(&below.header);
    struct samebit_inference got;
    struct samebit_trust trust = {.kind = SAMEBIT_TRUST_BLOCK, .chain_id = 23296};
    memcpy(trust.genesis_hash, g_chain.domain.genesis_hash.b, 32);
    memcpy(trust.hash, id.b, 32);
    assert_int_equal(library(&got, &trust, raw, "proven"), 0);
    assert_int_equal(got.height, HEIGHT);
    assert_int_equal(got.index, g_records[5].index);
    assert_memory_equal(got.block_id, id.b, 32);
    assert_memory_equal(got.tx_hash, g_records[5].tx_hash.b, 32);
    assert_memory_equal(got.caller, g_records[5].caller.b, 20);
    assert_memory_equal(got.output_hash, g_records[5].output_hash.b, 32);
    trust.kind = SAMEBIT_TRUST_SET;
    assert_int_equal(library(&got, &trust, raw, "announced"), 1);
    memcpy(trust.hash, proof.block.header.validators_hash.b, 32);
    assert_int_equal(library(&got, &trust, raw, "proven"), 0);
    trust = (struct samebit_trust){.kind = SAMEBIT_TRUST_EARLIER,
                                   .chain_id = 23296,
                                   .light_block = block.data,
                                   .light_block_bytes = block.len,
                                   .now_ms = TIME_MS + 500,
                                   .trusting_period_ms = 1000,
                                   .clock_drift_ms = 10};
    memcpy(trust.genesis_hash, g_chain.domain.genesis_hash.b, 32);
    memcpy(trust.hash, below_id.b, 32);
    assert_int_equal(library(&got, &trust, raw, "proven"), 0);
    trust.now_ms += 5000;
    assert_int_equal(library(&got, &trust, raw, "trusting period"), 1);
    trust.hash[0] ^= 1; /* another block than the given one */
    assert_int_equal(library(&got, &trust, raw, "malformed"), 2);
    trust.kind = (enum samebit_trust_kind)9;
    assert_int_equal(library(&got, &trust, raw, "malformed"), 2);
    sb_buf_fini(&block);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, reset_arena)
    const struct CMUnitTest tests[] = {
        CASE(light_block_encodes_and_decodes_to_itself),
        CASE(proof_is_accepted_by_each_kind_of_trust),
        CASE(proof_is_refused_for_its_reason),
        CASE(any_single_bit_changed_is_refused),
        CASE(bytes_that_are_no_proof_are_refused),
        CASE(library_says_the_same),
    };
    return cmocka_run_group_tests(tests, make_world, drop_world);
}
