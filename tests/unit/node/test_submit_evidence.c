/* test_submit_evidence.c: samebit_submitEvidence: what another block of a height proves against validators, and that it ends in a block. */
#include "tests/unit/node/validators_fixture.h"

#include "consensus/light_block.h"
#include "node/backend.h"

static struct net n;
static struct sb_backend *backend;
static struct sb_rpc_backend table;
static struct sb_arena arena;
static struct sb_evidence g_taken[NET_KEYS];
static size_t g_taken_count;

static sb_err take(void *ctx, const struct sb_evidence *list, size_t count)
{
    (void)ctx;
    assert_true(count <= NET_KEYS);
    memcpy(g_taken, list, count * sizeof *list);
    g_taken_count = count;
    return SB_OK;
}

static int setup(void **state)
{
    (void)state;
    net_init(&n);
    net_open(&n);
    const struct sb_backend_options options = {.chain = n.f.chain,
                                               .mempool = n.f.mempool,
                                               .clock_ms = fixture_now_ms,
                                               .clock_ctx = &n.f,
                                               .evidence = take};
    fixture_check(&n.f, sb_backend_new(&backend, &options, &n.f.diag));
    table = sb_backend_table(backend);
    sb_arena_init(&arena, (size_t)64 << 20);
    g_taken_count = 0;
    for (int i = 0; i < 3; i++) {
        (void)net_step(&n);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sb_arena_fini(&arena);
    sb_backend_free(backend);
    net_fini(&n);
    return 0;
}

/* fork_of: another block of a height, signed in `round` by all who are not silent now. */
static struct sb_light_block_parts fork_of(uint64_t height, int32_t round)
{
    struct sb_light_block_parts parts;
    fixture_check(&n.f, sb_chain_light_block(&parts, &arena, n.f.chain, height));
    parts.header.payload_hash.b[0] ^= 1;
    sb_hash id = sb_consensus_block_id(&parts.header);
    struct sb_commit_sig *sigs = sb_arena_zalloc(&arena, parts.validators.count * sizeof *sigs);
    for (size_t i = 0; i < parts.validators.count; i++) {
        size_t key = net_key_of(&n, &parts.validators.validators[i].address);
        if (!n.is_silent[key]) {
            struct sb_vote vote =
                net_vote(&n, &parts.validators, key, SB_VOTE_PRECOMMIT, height, round, &id);
            sigs[i] = (struct sb_commit_sig){.flag = SB_COMMIT_BLOCK, .signature = vote.signature};
        }
    }
    parts.commit = (struct sb_commit){.height = height,
                                      .round = round,
                                      .block_id = id,
                                      .sigs = sigs,
                                      .sig_count = parts.validators.count};
    return parts;
}

static sb_err submit(const struct sb_light_block_parts *parts, size_t *ret_accepted,
                     struct sb_rpc_failure *failure)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SB_LIGHT_BLOCK_BYTES_MAX);
    sb_light_block_encode(&buf, parts);
    *failure = (struct sb_rpc_failure){.code = 0};
    sb_err err =
        table.submit_evidence(table.ctx, &arena, sb_buf_bytes(&buf), 0, ret_accepted, failure);
    sb_buf_fini(&buf);
    return err;
}

static void expect_refused(const struct sb_light_block_parts *parts, const char *text)
{
    struct sb_rpc_failure failure;
    size_t accepted;
    assert_int_equal(submit(parts, &accepted, &failure), SB_E_REFUSED);
    if (strstr(failure.message, text) == NULL) {
        fail_msg("expected %s, got: %s", text, failure.message);
    }
    assert_int_equal(g_taken_count, 0);
}

static void block_signed_twice_becomes_evidence_in_a_block(void **state)
{
    (void)state;
    struct sb_rpc_failure failure;
    size_t accepted = 0;
    n.is_silent[1] = true; /* it alone did not sign the other block */
    struct sb_light_block_parts fork = fork_of(2, 0);
    n.is_silent[1] = false;
    assert_int_equal(submit(&fork, &accepted, &failure), SB_OK);
    assert_int_equal(accepted, 3);
    assert_int_equal(g_taken_count, 3);
    for (size_t i = 0; i < g_taken_count; i++) {
        assert_false(sb_addr_equal(&g_taken[i].a.validator_address, &n.addrs[1]));
        fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &g_taken[i], &n.f.diag));
    }
    struct sb_consensus_block block = net_decode(&n, net_step(&n));
    assert_int_equal(block.evidence_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(block.evidence[i].a.height, 2);
    }
}

static void block_of_another_round_proves_nothing_by_itself(void **state)
{
    (void)state;
    struct sb_light_block_parts fork = fork_of(2, 1);
    expect_refused(&fork, "no validator is seen to have voted twice");
}

static void block_that_contradicts_nothing_is_refused(void **state)
{
    (void)state;
    struct sb_light_block_parts own;
    fixture_check(&n.f, sb_chain_light_block(&own, &arena, n.f.chain, 2));
    expect_refused(&own, "this chain's own");
    struct sb_light_block_parts fork = fork_of(2, 0);
    fork.header.chain_id++;
    expect_refused(&fork, "another chain");
    fork = fork_of(2, 0);
    fork.header.height = fork.commit.height = 9;
    fork.commit.block_id = sb_consensus_block_id(&fork.header);
    expect_refused(&fork, "no block of that height");
    fork = fork_of(2, 0);
    fork.commit.block_id.b[0] ^= 1;
    expect_refused(&fork, "not for its header");
    fork = fork_of(2, 0);
    struct sb_commit_sig sigs[NET_VALIDATORS];
    memcpy(sigs, fork.commit.sigs, sizeof sigs);
    for (size_t i = 0; i < NET_VALIDATORS; i++) {
        sigs[i].signature.bytes[9] ^= 1;
    }
    fork.commit.sigs = sigs;
    expect_refused(&fork, "no validator is seen to have voted twice");
    struct sb_rpc_failure failure = {.code = 0};
    size_t accepted;
    assert_int_equal(
        table.submit_evidence(table.ctx, &arena, sb_span("junk", 4), 0, &accepted, &failure),
        SB_E_REFUSED);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(block_signed_twice_becomes_evidence_in_a_block),
        CASE(block_of_another_round_proves_nothing_by_itself),
        CASE(block_that_contradicts_nothing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
