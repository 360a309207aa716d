/* test_light_client.c: following a chain whose validator set changes every third block, from a trusted block, over providers that tell the
 * truth, hold back, or lie: with less than a third of the keys, with enough of them, on a chain of their own. */
#include "node/light_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto/ed25519.h"

#define KEYS      32
#define SET_COUNT 4
#define HEIGHTS   60
#define TIME_MS   UINT64_C(1700000000000)
#define NOW_MS    (TIME_MS + 100000)
#define FAKE      5 /* history of the liars */

static uint8_t g_secrets[KEYS][SB_ED25519_SECRET_BYTES];
static struct sb_pubkey g_keys[KEYS];
static struct sb_light_chain g_chain;
static struct sb_inference_record g_record; /* the one inference of every block */

/* A history: light blocks by height. */
struct history {
    struct sb_buf blocks[HEIGHTS + 1];
    sb_hash ids[HEIGHTS + 1];
};
static struct history g_truth, g_fork;

/* A provider of a history up to a height, which counts what it is asked. */
struct source {
    const struct history *history;
    uint64_t newest;
    size_t asked;
    uint64_t broken; /* height whose answer is cut short */
};

static char g_notes[4096];

/* ---- histories ---- */

static int make_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEYS; i++) {
        uint8_t seed[32] = {(uint8_t)(i + 1), 9}, key[32];
        sb_ed25519_keypair(key, g_secrets[i], seed);
        g_keys[i] = sb_pubkey_ed25519(key);
    }
    g_chain.domain = (struct sb_chain_domain){.chain_id = 23296, .genesis_hash = {{7}}};
    g_chain.verifier = sb_verifier_ed25519();
    g_record = (struct sb_inference_record){.tx_hash = {{1}}, .model_id = {{2}}};
    return 0;
}

/* What a history does from its parting on. */
struct plan {
    uint64_t parts_at; /* first height that differs; above HEIGHTS: none */
    size_t own_keys;   /* the liars' sets begin at this key; 0: the true sets */
    int32_t round;     /* of their commits */
    size_t signers;    /* of each set: the first ones */
    bool is_hasty;     /* a millisecond from block to block */
};

static uint64_t time_at(uint64_t height, const struct plan *plan)
{
    bool is_hasty = plan->is_hasty && height >= plan->parts_at;
    return is_hasty ? TIME_MS + 100 * plan->parts_at + (height - plan->parts_at)
                    : TIME_MS + 100 * height;
}

static struct sb_validator_set set_at(struct sb_validator ret[SET_COUNT], uint64_t height,
                                      const struct plan *plan)
{
    struct sb_validator_set set;
    bool is_own = plan->own_keys != 0 && height > plan->parts_at;
    for (size_t i = 0; i < SET_COUNT; i++) {
        size_t key = (is_own ? plan->own_keys : (size_t)(height / 3)) + i;
        ret[i] = (struct sb_validator){.key = g_keys[key % KEYS], .power = 10};
    }
    assert_int_equal(sb_validator_set_make(&set, ret, SET_COUNT, NULL), SB_OK);
    return set;
}

static void sign_entry(struct sb_commit_sig *sig, const struct sb_vote *vote,
                       const struct sb_pubkey *key)
{
    uint8_t message[SB_SIGN_BYTES_MAX];
    size_t len = sb_vote_sign_bytes(message, &g_chain.domain, vote);
    for (size_t i = 0; i < KEYS; i++) {
        if (sb_pubkey_equal(&g_keys[i], key)) {
            sig->signature.len = SB_ED25519_SIGNATURE_BYTES;
            sb_ed25519_sign(sig->signature.bytes, g_secrets[i], sb_span(message, len));
        }
    }
}

static void make_history(struct history *h, const struct plan *plan)
{
    for (uint64_t height = 1; height <= HEIGHTS; height++) {
        struct sb_validator own[SET_COUNT], next[SET_COUNT];
        bool differs = height >= plan->parts_at;
        struct sb_commit_sig sigs[SET_COUNT] = {{.flag = SB_COMMIT_ABSENT}};
        struct sb_light_block_parts parts = {
            .header = {.version = SB_CONSENSUS_VERSION,
                       .chain_id = g_chain.domain.chain_id,
                       .height = height,
                       .time_ms = time_at(height, plan),
                       .last_block_id = h->ids[height - 1],
                       .payload_hash = {{(uint8_t)(differs ? FAKE : 2)}}},
            .validators = set_at(own, height, plan),
            .next_validators = set_at(next, height + 1, plan)};
        struct sb_arena arena;
        sb_arena_init(&arena, 4096 * 64);
        assert_int_equal(sb_inference_root(&parts.header.extension_root, &arena, &g_record, 1),
                         SB_OK);
        sb_arena_fini(&arena);
        parts.header.validators_hash = sb_validator_set_hash(&parts.validators);
        parts.header.next_validators_hash = sb_validator_set_hash(&parts.next_validators);
        h->ids[height] = sb_consensus_block_id(&parts.header);
        parts.commit = (struct sb_commit){.height = height,
                                          .round = differs ? plan->round : 0,
                                          .block_id = h->ids[height],
                                          .sigs = sigs,
                                          .sig_count = SET_COUNT};
        for (size_t i = 0; i < SET_COUNT; i++) {
            sigs[i].flag = differs && i >= plan->signers ? SB_COMMIT_ABSENT : SB_COMMIT_BLOCK;
            if (sigs[i].flag == SB_COMMIT_BLOCK) {
                struct sb_vote vote = sb_commit_vote(&parts.commit, &parts.validators, i);
                sign_entry(&sigs[i], &vote, &parts.validators.validators[i].key);
            }
        }
        sb_buf_fini(&h->blocks[height]);
        sb_buf_init(&h->blocks[height], SB_LIGHT_BLOCK_BYTES_MAX);
        sb_light_block_encode(&h->blocks[height], &parts);
        assert_int_equal(sb_buf_err(&h->blocks[height]), SB_OK);
    }
}

static void free_history(struct history *h)
{
    for (size_t i = 0; i <= HEIGHTS; i++) {
        sb_buf_fini(&h->blocks[i]);
    }
    memset(h, 0, sizeof *h);
}

static int setup(void **state)
{
    (void)state;
    g_notes[0] = '\0';
    make_history(&g_truth, &(struct plan){.parts_at = HEIGHTS + 1});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free_history(&g_truth);
    free_history(&g_fork);
    return 0;
}

/* ---- clients ---- */

static sb_err give(void *ctx, struct sb_buf *out, uint64_t height, struct sb_diag *diag)
{
    struct source *s = ctx;
    s->asked++;
    height = height == 0 ? s->newest : height;
    if (height > s->newest) {
        return sb_fail(diag, SB_E_NOT_FOUND, "not here");
    }
    const struct sb_buf *block = &s->history->blocks[height];
    sb_buf_add(out, block->data, block->len - (height == s->broken ? 1 : 0));
    return sb_buf_err(out);
}

static void note(void *ctx, const char *text)
{
    (void)ctx;
    size_t len = strlen(g_notes);
    (void)snprintf(g_notes + len, sizeof g_notes - len, "%s\n", text);
}

static struct sb_light_client *make_client(struct source *primary, struct source *witness)
{
    struct sb_light_client *client;
    struct sb_light_client_options options = {
        .domain = g_chain.domain,
        .trust = {.trusting_period = 1000000,
                  .clock_drift = 1000,
                  .trust_numerator = 1,
                  .trust_denominator = 3},
        .primary = {.ctx = primary, .name = "primary", .light_block = give},
        .note = note};
    if (witness != NULL) {
        options.witnesses[0] =
            (struct sb_light_provider){.ctx = witness, .name = "other", .light_block = give};
        options.witness_count = 1;
    }
    assert_int_equal(sb_light_client_new(&client, &options, NULL), SB_OK);
    return client;
}

static struct sb_light_client *begin(struct source *primary, struct source *witness,
                                     uint64_t height)
{
    struct sb_diag diag = {.text = ""};
    struct sb_light_client *client = make_client(primary, witness);
    if (sb_light_client_begin(client, height, &primary->history->ids[height], &diag) != SB_OK) {
        fail_msg("%s", diag.text);
    }
    return client;
}

static sb_err reach(struct sb_light_client *client, uint64_t height, struct sb_diag *diag)
{
    struct sb_light_divergence d;
    return sb_light_client_reach(client, height, NOW_MS, &d, diag);
}

static void assert_reaches(struct sb_light_client *client, uint64_t height)
{
    struct sb_diag diag = {.text = ""};
    if (reach(client, height, &diag) != SB_OK) {
        fail_msg("%s", diag.text);
    }
}

static void assert_head(const struct sb_light_client *client, const struct history *h,
                        uint64_t height)
{
    struct sb_light_head head;
    assert_true(sb_light_client_head(&head, client));
    assert_int_equal(head.height, height);
    assert_memory_equal(head.id.b, h->ids[height].b, sizeof head.id.b);
}

/* ---- cases ---- */

static void truth_is_followed_by_bisection(void **state)
{
    (void)state;
    struct source source = {.history = &g_truth, .newest = HEIGHTS};
    struct sb_light_client *client = begin(&source, NULL, 2);
    assert_reaches(client, 0);
    assert_head(client, &g_truth, HEIGHTS);
    /* the set changes by one of four in three blocks: a skip may reach over six to eight of them */
    assert_in_range(sb_light_client_count(client), 8, 24);
    assert_true(source.asked < 40);
    assert_reaches(client, 31); /* between */
    assert_reaches(client, 1);  /* and below */
    assert_head(client, &g_truth, HEIGHTS);
    struct sb_diag diag;
    assert_int_equal(reach(client, HEIGHTS + 1, &diag), SB_E_NOT_FOUND);
    sb_light_client_free(client);
}

static void trust_expires(void **state)
{
    (void)state;
    struct sb_light_divergence d;
    struct sb_diag diag;
    struct source source = {.history = &g_truth, .newest = HEIGHTS};
    struct sb_light_client *client = begin(&source, NULL, 2);
    assert_int_equal(sb_light_client_reach(client, 9, NOW_MS + 1000000, &d, &diag), SB_E_REFUSED);
    assert_non_null(strstr(diag.text, "trusting period"));
    assert_int_equal(sb_light_client_reach(client, 9, TIME_MS - 5000, &d, &diag), SB_E_REFUSED);
    assert_non_null(strstr(diag.text, "ahead of the clock"));
    assert_head(client, &g_truth, 2);
    sb_light_client_free(client);
}

static void wrong_beginning_is_refused(void **state)
{
    (void)state;
    struct sb_diag diag;
    struct source source = {.history = &g_truth, .newest = HEIGHTS};
    struct sb_light_client *client = make_client(&source, NULL);
    sb_hash id = g_truth.ids[2];
    id.b[9] ^= 1;
    assert_int_equal(sb_light_client_begin(client, 2, &id, &diag), SB_E_REFUSED);
    assert_int_equal(sb_light_client_begin(client, 3, &g_truth.ids[2], &diag), SB_E_REFUSED);
    struct sb_light_head head;
    assert_false(sb_light_client_head(&head, client));
    sb_light_client_free(client);
    g_chain.domain.genesis_hash.b[0] ^= 1; /* of another chain */
    client = make_client(&source, NULL);
    assert_int_equal(sb_light_client_begin(client, 2, &g_truth.ids[2], &diag), SB_E_REFUSED);
    assert_non_null(strstr(diag.text, "signature"));
    g_chain.domain.genesis_hash.b[0] ^= 1;
    sb_light_client_free(client);
}

/* Liars of too little power convince nobody, wherever they part from the truth. */
static void liars_without_power_are_caught(void **state)
{
    (void)state;
    for (uint64_t parts_at = 3; parts_at < HEIGHTS; parts_at += 7) {
        struct sb_diag diag = {.text = ""};
        make_history(&g_fork, &(struct plan){.parts_at = parts_at, .signers = 2});
        struct source source = {.history = &g_fork, .newest = HEIGHTS};
        struct sb_light_client *client = begin(&source, NULL, 2);
        assert_int_equal(reach(client, 0, &diag), SB_E_REFUSED);
        assert_non_null(strstr(diag.text, "primary: block"));
        struct sb_light_head head;
        assert_true(sb_light_client_head(&head, client));
        assert_true(head.height < parts_at);
        sb_light_client_free(client);

        /* with sets of their own from the parting on */
        make_history(&g_fork, &(struct plan){.parts_at = parts_at, .own_keys = 28, .signers = 4});
        source = (struct source){.history = &g_fork, .newest = HEIGHTS};
        for (uint64_t height = 1; height < parts_at; height++) {
            sb_buf_fini(&g_fork.blocks[height]);
            sb_buf_init(&g_fork.blocks[height], SB_LIGHT_BLOCK_BYTES_MAX);
            sb_buf_add(&g_fork.blocks[height], g_truth.blocks[height].data,
                       g_truth.blocks[height].len);
        }
        sb_buf_reset(&g_fork.blocks[parts_at]); /* nobody of the true set signs the parting */
        sb_buf_add(&g_fork.blocks[parts_at], g_truth.blocks[parts_at].data,
                   g_truth.blocks[parts_at].len);
        client = begin(&source, NULL, 2);
        assert_int_equal(reach(client, 0, &diag), SB_E_REFUSED);
        assert_true(sb_light_client_head(&head, client));
        assert_true(head.height <= parts_at);
        sb_light_client_free(client);
    }
}

static void answers_that_do_not_decode_are_refused(void **state)
{
    (void)state;
    struct sb_diag diag;
    struct source source = {.history = &g_truth, .newest = HEIGHTS, .broken = HEIGHTS};
    struct sb_light_client *client = begin(&source, NULL, 2);
    assert_int_not_equal(reach(client, HEIGHTS, &diag), SB_OK);
    assert_reaches(client, HEIGHTS - 1);
    sb_light_client_free(client);
}

static void witness_that_agrees_or_lags_changes_nothing(void **state)
{
    (void)state;
    struct source source = {.history = &g_truth, .newest = HEIGHTS};
    struct source other = {.history = &g_truth, .newest = HEIGHTS};
    struct sb_light_client *client = begin(&source, &other, 2);
    assert_reaches(client, 30);
    assert_int_equal(other.asked, 1);
    assert_string_equal(g_notes, "");
    other.newest = 31;
    assert_reaches(client, 40);
    assert_non_null(strstr(g_notes, "has not got this block yet"));
    other.newest = HEIGHTS;
    other.broken = 50;
    assert_reaches(client, 50);
    assert_non_null(strstr(g_notes, "witness other: "));
    assert_head(client, &g_truth, 50);
    sb_light_client_free(client);
}

static void witness_that_cannot_prove_its_block_is_noted(void **state)
{
    (void)state;
    make_history(&g_fork, &(struct plan){.parts_at = 20, .signers = 2});
    struct source source = {.history = &g_truth, .newest = HEIGHTS};
    struct source other = {.history = &g_fork, .newest = HEIGHTS};
    struct sb_light_client *client = begin(&source, &other, 2);
    assert_reaches(client, 0);
    assert_head(client, &g_truth, HEIGHTS);
    assert_non_null(strstr(g_notes, "cannot prove it"));
    sb_light_client_free(client);
}

/* attack: the primary tells the fork of a plan, the witness the truth. */
static struct sb_light_divergence attack(const struct plan *plan, uint64_t target)
{
    struct sb_light_divergence d;
    struct sb_diag diag = {.text = ""};
    make_history(&g_fork, plan);
    struct source source = {.history = &g_fork, .newest = HEIGHTS};
    struct source other = {.history = &g_truth, .newest = HEIGHTS};
    struct sb_light_client *client = begin(&source, &other, 2);
    assert_int_equal(sb_light_client_reach(client, target, NOW_MS, &d, &diag), SB_E_CONFLICT);
    assert_non_null(strstr(diag.text, "different blocks"));
    struct sb_light_head head;
    assert_true(sb_light_client_head(&head, client));
    assert_int_equal(head.height, d.common_height);
    assert_true(d.common_height < plan->parts_at && d.height >= plan->parts_at);
    assert_string_equal(d.witness, "other");
    assert_memory_equal(d.primary_id.b, g_fork.ids[d.height].b, 32);
    assert_memory_equal(d.witness_id.b, g_truth.ids[d.height].b, 32);
    assert_true(
        sb_span_equal(sb_buf_bytes(&d.primary_block), sb_buf_bytes(&g_fork.blocks[d.height])));
    assert_true(
        sb_span_equal(sb_buf_bytes(&d.witness_block), sb_buf_bytes(&g_truth.blocks[d.height])));
    sb_light_client_free(client);
    return d;
}

static void equivocation_is_found_with_all_who_signed_twice(void **state)
{
    (void)state;
    for (uint64_t parts_at = 3; parts_at < HEIGHTS; parts_at += 11) {
        struct sb_light_divergence d =
            attack(&(struct plan){.parts_at = parts_at, .signers = 3}, HEIGHTS);
        assert_true(d.is_equivocation);
        assert_false(d.is_lunatic);
        assert_int_equal(d.double_signers, 3);
        assert_int_equal(d.double_power, 30);
        assert_int_equal(d.total_power, 40);
        sb_light_divergence_fini(&d);
    }
}

static void amnesia_is_neither_lunatic_nor_equivocation(void **state)
{
    (void)state;
    struct sb_light_divergence d =
        attack(&(struct plan){.parts_at = 20, .signers = 4, .round = 3}, 0);
    assert_false(d.is_equivocation);
    assert_false(d.is_lunatic);
    sb_light_divergence_fini(&d);
}

static void lunatic_attack_is_told_apart(void **state)
{
    (void)state;
    struct sb_light_divergence d =
        attack(&(struct plan){.parts_at = 20, .own_keys = 28, .signers = 4}, 0);
    assert_true(d.is_lunatic);
    sb_light_divergence_fini(&d);
}

/* The primary shows heights that the true chain has not reached; the witness, at its head, has a later time. */
static void attack_above_the_head_is_found_by_time(void **state)
{
    (void)state;
    struct sb_light_divergence d;
    struct sb_diag diag = {.text = ""};
    make_history(&g_fork,
                 &(struct plan){.parts_at = 20, .own_keys = 28, .signers = 4, .is_hasty = true});
    struct source source = {.history = &g_fork, .newest = HEIGHTS};
    struct source other = {.history = &g_truth, .newest = 19};
    struct sb_light_client *client = begin(&source, &other, 2);
    assert_reaches(client,
                   55); /* later than all that the witness knows: nothing is wrong with it yet */
    assert_non_null(strstr(g_notes, "has not got this block yet"));
    assert_head(client, &g_fork, 55);
    other.newest = 25;
    assert_int_equal(sb_light_client_reach(client, 60, NOW_MS, &d, &diag), SB_E_CONFLICT);
    assert_non_null(strstr(diag.text, "above, and no later than"));
    assert_true(d.is_lunatic);
    assert_false(d.is_equivocation);
    assert_true(d.common_height < 20 && d.witness_height == 25 && d.height > 25);
    assert_memory_equal(d.primary_id.b, g_fork.ids[d.height].b, 32);
    assert_memory_equal(d.witness_id.b, g_truth.ids[25].b, 32);
    struct sb_light_head head;
    assert_true(sb_light_client_head(&head, client));
    assert_int_equal(head.height, d.common_height);
    sb_light_divergence_fini(&d);
    sb_light_client_free(client);
}

/* The primary stays ahead of the witness, with later times: what it showed before is compared. */
static void attack_that_stays_ahead_is_found_when_the_witness_comes(void **state)
{
    (void)state;
    struct sb_light_divergence d;
    struct sb_diag diag = {.text = ""};
    make_history(&g_fork, &(struct plan){.parts_at = 20, .own_keys = 28, .signers = 4});
    struct source source = {.history = &g_fork, .newest = HEIGHTS};
    struct source other = {.history = &g_truth, .newest = 20};
    struct sb_light_client *client = begin(&source, &other, 2);
    other.newest = 18;
    assert_reaches(client, 40);
    other.newest = 45;
    assert_int_equal(sb_light_client_reach(client, 60, NOW_MS, &d, &diag), SB_E_CONFLICT);
    assert_non_null(strstr(diag.text, "different blocks"));
    assert_true(d.is_lunatic && d.common_height < 20 && d.height == d.witness_height);
    sb_light_divergence_fini(&d);
    sb_light_client_free(client);
}

static void divergence_of_no_contradiction_is_refused(void **state)
{
    (void)state;
    struct sb_diag diag;
    struct sb_light_divergence d = {.common_height = 1};
    static const uint64_t pairs[][2] = {{5, 5}, {5, 6}};
    for (size_t i = 0; i < 2; i++) {
        d.primary_block = g_truth.blocks[pairs[i][0]];
        d.witness_block = g_truth.blocks[pairs[i][1]];
        assert_int_equal(sb_light_divergence_judge(&d, &g_chain, &diag), SB_E_REFUSED);
    }
    d.witness_block.len--;
    assert_int_equal(sb_light_divergence_judge(&d, &g_chain, &diag), SB_E_REFUSED);
}

static void trace_is_kept_and_damage_to_it_found(void **state)
{
    (void)state;
    struct sb_diag diag = {.text = ""};
    struct source source = {.history = &g_truth, .newest = HEIGHTS};
    struct sb_light_client *client = begin(&source, NULL, 2);
    struct sb_light_client *again = make_client(&source, NULL);
    struct sb_buf raw, back;
    sb_buf_init(&raw, (size_t)1 << 24);
    sb_buf_init(&back, (size_t)1 << 24);
    assert_reaches(client, 50);
    assert_int_equal(sb_light_client_encode(&raw, client), SB_OK);
    assert_int_equal(sb_light_client_restore(again, sb_buf_bytes(&raw), &diag), SB_OK);
    assert_int_equal(sb_light_client_encode(&back, again), SB_OK);
    assert_true(sb_span_equal(sb_buf_bytes(&raw), sb_buf_bytes(&back)));
    assert_reaches(again, 0);
    assert_head(again, &g_truth, HEIGHTS);
    for (size_t at = 0; at < raw.len; at += 1 + raw.len / 97) {
        raw.data[at] ^= 0x10;
        assert_int_not_equal(sb_light_client_restore(again, sb_buf_bytes(&raw), &diag), SB_OK);
        assert_int_equal(sb_light_client_count(again), 0);
        raw.data[at] ^= 0x10;
    }
    sb_buf_fini(&raw);
    sb_buf_fini(&back);
    sb_light_client_free(again);
    sb_light_client_free(client);
}

static sb_bytes proof_of(struct sb_buf *buf, uint64_t height)
{
    struct sb_arena arena;
    struct sb_inference_proof proof = {.record = g_record};
    sb_arena_init(&arena, (size_t)1 << 20);
    assert_int_equal(
        sb_light_block_decode(&proof.block, &arena, sb_buf_bytes(&g_truth.blocks[height]), NULL),
        SB_OK);
    assert_int_equal(sb_inference_prove(&proof.path, &arena, &g_record, 1, 0), SB_OK);
    sb_buf_reset(buf);
    sb_inference_proof_encode(buf, &proof);
    sb_arena_fini(&arena);
    return sb_buf_bytes(buf);
}

static void proofs_are_judged_at_their_blocks(void **state)
{
    (void)state;
    struct source source = {.history = &g_truth, .newest = HEIGHTS};
    struct sb_light_client *client = begin(&source, NULL, 10);
    struct sb_inference_verdict verdict;
    struct sb_buf buf;
    sb_buf_init(&buf, SB_INFERENCE_PROOF_BYTES_MAX);
    static const struct {
        uint64_t height;
        enum sb_light_reason first;    /* before the block was reached */
    } cases[] = {{10, SB_LIGHT_NONE},  /* the trusted block */
                 {11, SB_LIGHT_NONE},  /* follows by itself */
                 {40, SB_LIGHT_TRUST}, /* too far */
                 {5, SB_LIGHT_TIME}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sb_bytes proof = proof_of(&buf, cases[i].height);
        assert_int_equal(sb_light_client_verify(&verdict, client, proof, NOW_MS, NULL), SB_OK);
        assert_int_equal(verdict.light_reason, cases[i].first);
        assert_int_equal(verdict.reason == SB_INFERENCE_NONE, cases[i].first == SB_LIGHT_NONE);
        assert_reaches(client, cases[i].height);
        assert_int_equal(sb_light_client_verify(&verdict, client, proof, NOW_MS, NULL), SB_OK);
        assert_int_equal(verdict.reason, SB_INFERENCE_NONE);
    }
    assert_int_equal(sb_light_client_verify(&verdict, client, sb_span("no proof", 8), NOW_MS, NULL),
                     SB_OK);
    assert_int_equal(verdict.reason, SB_INFERENCE_FORM);
    sb_buf_fini(&buf);
    sb_light_client_free(client);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(truth_is_followed_by_bisection),
        CASE(trust_expires),
        CASE(wrong_beginning_is_refused),
        CASE(liars_without_power_are_caught),
        CASE(answers_that_do_not_decode_are_refused),
        CASE(witness_that_agrees_or_lags_changes_nothing),
        CASE(witness_that_cannot_prove_its_block_is_noted),
        CASE(equivocation_is_found_with_all_who_signed_twice),
        CASE(amnesia_is_neither_lunatic_nor_equivocation),
        CASE(lunatic_attack_is_told_apart),
        CASE(attack_above_the_head_is_found_by_time),
        CASE(attack_that_stays_ahead_is_found_when_the_witness_comes),
        CASE(divergence_of_no_contradiction_is_refused),
        CASE(trace_is_kept_and_damage_to_it_found),
        CASE(proofs_are_judged_at_their_blocks),
    };
    return cmocka_run_group_tests(tests, make_keys, NULL);
}
