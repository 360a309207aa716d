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

int main(void)
{
    mutant_from_environment();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_clusters_agree_and_decide),
        cmocka_unit_test(same_seed_gives_the_same_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
