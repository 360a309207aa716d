/* bft_bench.h: one core on a bench: its validators are played by the test, its questions are answered by hand.
 *
 * Validator i has key and signature byte i + 1 and power powers[i]; the core is `own`, or none of them when own < 0. The proposer of round
 * r is validator r mod count. A block is named by a letter: id_of('a'). SIGN is answered at once, unless `refuses`; VALIDATE is answered
 * by verdict(). All effects of one call are in `effects`, of all calls together in the counts and in `signed_votes`. */
#ifndef SB_TESTS_UNIT_CONSENSUS_BFT_BENCH_H
#define SB_TESTS_UNIT_CONSENSUS_BFT_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "consensus/bft.h"

#define BENCH_VALIDATORS_MAX 16
#define BENCH_EFFECTS_MAX    128
#define BENCH_TIME_MS        UINT64_C(1000000)

struct bench {
    struct sb_validator validators[BENCH_VALIDATORS_MAX];
    struct sb_validator_set set;
    uint32_t index_of[BENCH_VALIDATORS_MAX]; /* place of validator i in the set */
    size_t count;
    int own;
    struct sb_bft *core;
    bool refuses;
    uint64_t received_ms; /* of the proposals to come */
    /* effects of the last call, signatures included */
    struct sb_bft_effect effects[BENCH_EFFECTS_MAX];
    size_t effect_count;
};

static inline sb_hash id_of(char letter)
{
    sb_hash id;
    memset(id.b, letter, sizeof id.b);
    return id;
}

static const char nil = '\0'; /* id_of(nil) is zero */

static inline uint32_t bench_proposer(void *ctx, uint64_t height, int32_t round)
{
    const struct bench *bench = ctx;
    (void)height;
    return bench->index_of[(size_t)round % bench->count];
}

static inline struct sb_bft_input bench_input(enum sb_bft_input_type type)
{
    struct sb_bft_input input;
    memset(&input, 0, sizeof input);
    input.type = type;
    return input;
}

static inline struct sb_signature bench_signature(size_t who)
{
    return (struct sb_signature){.len = 1, .bytes = {(uint8_t)(who + 1)}};
}

/* bench_feed: one input; SIGN is answered. */
static inline void bench_feed(struct bench *bench, const struct sb_bft_input *first)
{
    static struct sb_bft_effects out;
    struct sb_bft_input input = *first;
    bench->effect_count = 0;
    for (bool is_done = false; !is_done;) {
        assert_int_equal(sb_bft_step(bench->core, &input, &out, NULL), SB_OK);
        is_done = true;
        for (size_t i = 0; i < out.count; i++) {
            assert_true(bench->effect_count < BENCH_EFFECTS_MAX);
            bench->effects[bench->effect_count++] = out.list[i];
            if (out.list[i].type == SB_BFT_SIGN) {
                input = bench_input(SB_BFT_IN_SIGNED);
                input.as.signed_message = out.list[i].as.message;
                struct sb_signature *slot = input.as.signed_message.is_proposal
                                                ? &input.as.signed_message.as.proposal.signature
                                                : &input.as.signed_message.as.vote.signature;
                if (!bench->refuses) {
                    *slot = bench_signature((size_t)bench->own);
                }
                is_done = false;
            }
        }
    }
}

static inline void bench_init_powers(struct bench *bench, int own, size_t count,
                                     const int64_t *powers)
{
    memset(bench, 0, sizeof *bench);
    uint8_t key[32] = {0};
    bench->count = count;
    bench->own = own;
    bench->received_ms = BENCH_TIME_MS;
    for (size_t i = 0; i < count; i++) {
        key[0] = (uint8_t)(i + 1);
        bench->validators[i] =
            (struct sb_validator){.key = sb_pubkey_ed25519(key), .power = powers[i]};
    }
    key[0] = (uint8_t)(own >= 0 ? own + 1 : 200);
    struct sb_pubkey own_key = sb_pubkey_ed25519(key);
    assert_int_equal(sb_validator_set_make(&bench->set, bench->validators, count, NULL), SB_OK);
    for (size_t i = 0; i < count; i++) {
        bench->index_of[bench->set.validators[i].key.bytes[0] - 1] = (uint32_t)i;
    }
    struct sb_bft_config config = {.own_address = sb_pubkey_address(&own_key),
                                   .timeouts = sb_bft_timeouts_default(),
                                   .validators_max = BENCH_VALIDATORS_MAX,
                                   .proposer = bench_proposer,
                                   .proposer_ctx = bench};
    bench->core = sb_bft_new(&config);
    assert_non_null(bench->core);
}

static inline void bench_start(struct bench *bench, uint64_t height)
{
    struct sb_bft_input input = bench_input(SB_BFT_IN_START_HEIGHT);
    input.as.start.height = height;
    input.as.start.set = &bench->set;
    input.as.start.timeliness =
        (struct sb_bft_timeliness){.precision_ms = 500, .message_delay_ms = 1000};
    bench_feed(bench, &input);
}

/* bench_init: four validators of power 1, the core is `own`, height 1 begun. Three votes are a quorum, two are f + 1. */
static inline void bench_init(struct bench *bench, int own)
{
    static const int64_t powers[] = {1, 1, 1, 1};
    bench_init_powers(bench, own, 4, powers);
    bench_start(bench, 1);
}

static inline void bench_fini(struct bench *bench)
{
    sb_bft_free(bench->core);
}

static inline struct sb_vote bench_vote(const struct bench *bench, enum sb_vote_type type,
                                        size_t who, int32_t round, char block)
{
    uint32_t index = bench->index_of[who];
    return (struct sb_vote){.type = type,
                            .height = sb_bft_status(bench->core).height,
                            .round = round,
                            .block_id = id_of(block),
                            .validator_index = index,
                            .validator_address = bench->set.validators[index].address,
                            .signature = bench_signature(who)};
}

static inline void vote(struct bench *bench, enum sb_vote_type type, size_t who, int32_t round,
                        char block)
{
    struct sb_bft_input input = bench_input(SB_BFT_IN_VOTE);
    input.as.vote = bench_vote(bench, type, who, round, block);
    bench_feed(bench, &input);
}

static inline void prevote(struct bench *bench, size_t who, int32_t round, char block)
{
    vote(bench, SB_VOTE_PREVOTE, who, round, block);
}

static inline void precommit(struct bench *bench, size_t who, int32_t round, char block)
{
    vote(bench, SB_VOTE_PRECOMMIT, who, round, block);
}

/* certificate: signed by the validators whose bit is set in mask. */
static inline void certificate(struct bench *bench, enum sb_vote_type type, int32_t round,
                               char block, unsigned mask)
{
    struct sb_commit_sig sigs[BENCH_VALIDATORS_MAX];
    memset(sigs, 0, sizeof sigs);
    for (size_t i = 0; i < bench->count; i++) {
        if ((mask >> i & 1) != 0) {
            sigs[bench->index_of[i]] =
                (struct sb_commit_sig){.flag = SB_COMMIT_BLOCK, .signature = bench_signature(i)};
        }
    }
    struct sb_bft_input input = bench_input(SB_BFT_IN_CERTIFICATE);
    input.as.certificate.type = type;
    input.as.certificate.commit = (struct sb_commit){.height = sb_bft_status(bench->core).height,
                                                     .round = round,
                                                     .block_id = id_of(block),
                                                     .sigs = sigs,
                                                     .sig_count = bench->count};
    bench_feed(bench, &input);
}

static inline void propose(struct bench *bench, int32_t round, char block, int32_t pol_round)
{
    struct sb_bft_input input = bench_input(SB_BFT_IN_PROPOSAL);
    struct sb_proposal *proposal = &input.as.proposal.message;
    proposal->height = sb_bft_status(bench->core).height;
    proposal->round = round;
    proposal->pol_round = pol_round;
    proposal->block_id = id_of(block);
    proposal->block_bytes = 100;
    proposal->signature = bench_signature((size_t)round % bench->count);
    input.as.proposal.received_ms = bench->received_ms;
    bench_feed(bench, &input);
}

/* verdict: on a block; time and proposer as of a fresh block of this round. */
static inline void verdict(struct bench *bench, char block, bool valid, int32_t round)
{
    struct sb_bft_input input = bench_input(SB_BFT_IN_VALIDITY);
    input.as.validity.height = sb_bft_status(bench->core).height;
    input.as.validity.block_id = id_of(block);
    input.as.validity.valid = valid;
    input.as.validity.time_ms = valid ? BENCH_TIME_MS : 0;
    if (valid) {
        input.as.validity.proposer = bench->set.validators[bench_proposer(bench, 1, round)].address;
    }
    bench_feed(bench, &input);
}

/* propose_valid: a proposal and its verdict. */
static inline void propose_valid(struct bench *bench, int32_t round, char block, int32_t pol_round)
{
    propose(bench, round, block, pol_round);
    verdict(bench, block, true, round);
}

static inline void value(struct bench *bench, char block)
{
    struct sb_bft_status status = sb_bft_status(bench->core);
    struct sb_bft_input input = bench_input(SB_BFT_IN_VALUE);
    input.as.value.height = status.height;
    input.as.value.round = status.round;
    input.as.value.value = (struct sb_bft_value){.block_id = id_of(block), .block_bytes = 100};
    bench_feed(bench, &input);
}

static inline void timeout(struct bench *bench, enum sb_bft_timeout kind, uint64_t height,
                           int32_t round)
{
    struct sb_bft_input input = bench_input(SB_BFT_IN_TIMEOUT);
    input.as.timeout.kind = kind;
    input.as.timeout.height = height;
    input.as.timeout.round = round;
    bench_feed(bench, &input);
}

/* ---- what came out of the last call ---- */

/* find_effect: the first of its type; NULL: none. */
static inline const struct sb_bft_effect *find_effect(const struct bench *bench,
                                                      enum sb_bft_effect_type type)
{
    for (size_t i = 0; i < bench->effect_count; i++) {
        if (bench->effects[i].type == type) {
            return &bench->effects[i];
        }
    }
    return NULL;
}

/* the_effect: the same, and there must be one. */
static inline const struct sb_bft_effect *the_effect(const struct bench *bench,
                                                     enum sb_bft_effect_type type)
{
    static const struct sb_bft_effect none;
    const struct sb_bft_effect *effect = find_effect(bench, type);
    assert_non_null(effect);
    return effect != NULL ? effect : &none;
}

/* signed_vote: the core signed a vote of this type, for this block, in the last call. */
static inline bool signed_vote(const struct bench *bench, enum sb_vote_type type, int32_t round,
                               char block)
{
    sb_hash id = id_of(block);
    for (size_t i = 0; i < bench->effect_count; i++) {
        const struct sb_bft_effect *effect = &bench->effects[i];
        if (effect->type == SB_BFT_SIGN && !effect->as.message.is_proposal &&
            effect->as.message.as.vote.type == type && effect->as.message.as.vote.round == round &&
            sb_hash_equal(&effect->as.message.as.vote.block_id, &id)) {
            return true;
        }
    }
    return false;
}

static inline bool prevoted(const struct bench *bench, int32_t round, char block)
{
    return signed_vote(bench, SB_VOTE_PREVOTE, round, block);
}

static inline bool precommitted(const struct bench *bench, int32_t round, char block)
{
    return signed_vote(bench, SB_VOTE_PRECOMMIT, round, block);
}

static inline bool set_timer(const struct bench *bench, enum sb_bft_timeout kind, int32_t round)
{
    for (size_t i = 0; i < bench->effect_count; i++) {
        const struct sb_bft_effect *effect = &bench->effects[i];
        if (effect->type == SB_BFT_SET_TIMER && effect->as.timer.kind == kind &&
            effect->as.timer.round == round) {
            return true;
        }
    }
    return false;
}

static inline bool decided(const struct bench *bench, int32_t round, char block)
{
    sb_hash id = id_of(block);
    const struct sb_bft_effect *effect = find_effect(bench, SB_BFT_DECIDE);
    return effect != NULL && effect->as.decide.round == round &&
           sb_hash_equal(&effect->as.decide.block_id, &id);
}

static inline bool locked_on(const struct bench *bench, int32_t round, char block)
{
    struct sb_bft_status status = sb_bft_status(bench->core);
    sb_hash id = id_of(block);
    return status.locked_round == round && sb_hash_equal(&status.locked_block, &id);
}

static inline bool valid_is(const struct bench *bench, int32_t round, char block)
{
    struct sb_bft_status status = sb_bft_status(bench->core);
    sb_hash id = id_of(block);
    return status.valid_round == round && sb_hash_equal(&status.valid_block, &id);
}

static inline bool is_at(const struct bench *bench, int32_t round, enum sb_bft_step_name step)
{
    struct sb_bft_status status = sb_bft_status(bench->core);
    return status.round == round && status.step == step;
}

#endif
