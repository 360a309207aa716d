/* test_bft_cluster.c: clusters of cores over a bad network with a Byzantine validator: agreement, the rules, liveness (cluster.h).
 *
 *     SAMEBIT_SEED=17 SAMEBIT_SEEDS=1 build/tests/unit/test_consensus_bft_cluster        repeat one seed */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <time.h>

#include "tests/support/mutant.h"
#include "tests/unit/consensus/cluster.h"

static struct cluster cluster;

static void random_clusters_agree_and_decide(void **state)
{
    (void)state;
    const char *text = getenv("SAMEBIT_SEEDS");
    uint64_t count = text != NULL ? strtoull(text, NULL, 0) : 200;
    uint64_t first = sb_random_init("random_clusters_agree_and_decide").state;
    unsigned long evidence = 0;
    int32_t round_highest = 0;
    struct timespec begin;
    struct timespec end;
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (!cluster_run(&cluster, seed)) {
            fail_msg("seed %llu, %zu nodes, %llu ms: %s", (unsigned long long)seed, cluster.count,
                     (unsigned long long)cluster.now_ms, cluster.failure);
        }
        evidence += cluster.evidence_count;
        round_highest =
            cluster.round_highest > round_highest ? cluster.round_highest : round_highest;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    int64_t spent_ms =
        (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000 + 1;
    printf("# %llu seeds of %d heights, %lld seeds/s, highest round %d, evidence %lu times\n",
           (unsigned long long)count, CLUSTER_HEIGHTS, (long long)count * 1000 / spent_ms,
           round_highest, evidence);
    if (count >= 20 && evidence == 0) {
        fail_msg("seeds %llu and on: nobody gives evidence", (unsigned long long)first);
    }
}

static void same_seed_gives_the_same_run(void **state)
{
    (void)state;
    static struct cluster again;
    assert_true(cluster_run(&cluster, 4));
    assert_true(cluster_run(&again, 4));
    assert_int_equal(cluster.now_ms, again.now_ms);
    assert_int_equal(cluster.scheduled, again.scheduled);
    assert_int_equal(cluster.signed_count, again.signed_count);
    for (size_t i = 0; i < cluster.signed_count; i++) {
        assert_true(
            sb_hash_equal(&cluster.signed_votes[i].block_id, &again.signed_votes[i].block_id));
    }
}

/* ---- replay ---- */

/* A second core for each node, which is given what the first has journaled, in the journal's form. */
struct twins {
    struct sb_bft *cores[CLUSTER_NODES_MAX];
    struct sb_arena arena;
    unsigned long steps;
};

static void put_message(struct sb_buf *out, const struct sb_bft_message *message)
{
    if (message->is_proposal) {
        sb_proposal_encode(out, &message->as.proposal);
    } else {
        sb_vote_encode(out, &message->as.vote);
    }
}

/* put_effect: all that an effect says. */
static void put_effect(struct sb_buf *out, const struct sb_bft_effect *effect)
{
    sb_buf_add_byte(out, (uint8_t)effect->type);
    switch (effect->type) {
    case SB_BFT_SIGN:
    case SB_BFT_BROADCAST:
        put_message(out, &effect->as.message);
        break;
    case SB_BFT_SET_TIMER:
        sb_buf_addf(out, "%d %llu %d %llu", (int)effect->as.timer.kind,
                    (unsigned long long)effect->as.timer.height, effect->as.timer.round,
                    (unsigned long long)effect->as.timer.delay_ms);
        break;
    case SB_BFT_GET_VALUE:
        sb_buf_addf(out, "%d", effect->as.get_value.round);
        break;
    case SB_BFT_VALIDATE:
        sb_buf_addf(out, "%d", effect->as.validate.round);
        sb_buf_add(out, effect->as.validate.block_id.b, sizeof effect->as.validate.block_id.b);
        break;
    case SB_BFT_DECIDE:
        sb_commit_encode(out, &effect->as.decide);
        break;
    case SB_BFT_EVIDENCE:
        sb_evidence_encode(out, &effect->as.evidence);
        break;
    case SB_BFT_FETCH:
        sb_buf_addf(out, "%d", effect->as.fetch.round);
        sb_buf_add(out, effect->as.fetch.block_id.b, sizeof effect->as.fetch.block_id.b);
        break;
    case SB_BFT_JOURNAL:
    case SB_BFT_CANCEL_TIMERS:
        break;
    }
}

static void put_effects(struct sb_buf *out, const struct sb_bft_effects *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        put_effect(out, &effects->list[i]);
    }
}

static void follow_journal(void *ctx, struct cluster *run, size_t who,
                           const struct sb_bft_input *input, const struct sb_bft_effects *effects)
{
    struct twins *twins = ctx;
    static struct sb_bft_effects again;
    if (effects->count == 0 || effects->list[0].type != SB_BFT_JOURNAL) {
        return;
    }
    if (twins->cores[who] == NULL) {
        struct sb_bft_config config = {.own_address = run->set.validators[who].address,
                                       .timeouts = sb_bft_timeouts_default(),
                                       .validators_max = run->count,
                                       .proposer = cluster_proposer,
                                       .proposer_ctx = run};
        twins->cores[who] = sb_bft_new(&config);
        assert_non_null(twins->cores[who]);
    }
    struct sb_buf raw;
    struct sb_buf first;
    struct sb_buf second;
    sb_buf_init(&raw, 1 << 16);
    sb_buf_init(&first, 1 << 16);
    sb_buf_init(&second, 1 << 16);
    sb_bft_input_encode(&raw, input);
    struct sb_bft_input decoded;
    sb_arena_reset(&twins->arena);
    assert_int_equal(sb_bft_input_decode(&decoded, &twins->arena, sb_buf_bytes(&raw), NULL), SB_OK);
    if (decoded.type == SB_BFT_IN_START_HEIGHT) {
        decoded.as.start.set = &run->set;
    }
    assert_int_equal(sb_bft_step(twins->cores[who], &decoded, &again, NULL), SB_OK);
    put_effects(&first, effects);
    put_effects(&second, &again);
    assert_true(sb_span_equal(sb_buf_bytes(&first), sb_buf_bytes(&second)));
    twins->steps++;
    sb_buf_fini(&raw);
    sb_buf_fini(&first);
    sb_buf_fini(&second);
}

static void replay_of_journaled_inputs_gives_the_same_effects(void **state)
{
    (void)state;
    static struct twins twins;
    sb_arena_init(&twins.arena, 1 << 20);
    cluster.watch = follow_journal;
    cluster.watch_ctx = &twins;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        assert_true(cluster_run(&cluster, seed));
        for (size_t i = 0; i < CLUSTER_NODES_MAX; i++) {
            sb_bft_free(twins.cores[i]);
            twins.cores[i] = NULL;
        }
    }
    cluster.watch = NULL;
    sb_arena_fini(&twins.arena);
    printf("# %lu inputs replayed\n", twins.steps);
    assert_true(twins.steps > 10000);
}

int main(void)
{
    mutant_from_environment();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_clusters_agree_and_decide),
        cmocka_unit_test(same_seed_gives_the_same_run),
        cmocka_unit_test(replay_of_journaled_inputs_gives_the_same_effects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
