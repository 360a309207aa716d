/* test_state_sync_models.c: a node that begins at a snapshot of a chain with models runs them as all others do, from the blobs that it got; a
 * peer that keeps a model back is found out. */
#include "tests/unit/node/model_fixture.h"
#include "tests/unit/node/sync_fixture.h"

#define RUNS 3

static struct side side;
static struct sb_snapshots *snapshots;
static struct sb_snap_source source;
static sb_hash model_id;
static size_t input_len;

static void make_block(void)
{
    (void)net_step(&side.n);
    const struct sb_rpc_block *block;
    uint64_t number = sb_chain_head_number(side.n.f.chain);
    fixture_check(&side.n.f, sb_chain_block_number(&block, side.n.f.chain, number));
    assert_int_equal(block->block.tx_count, 1);
    assert_true(block->receipts[0].success);
    sb_chain_block_release(side.n.f.chain, block);
}

static void register_model(const char *onnx, const char *rows)
{
    struct sb_buf file;
    struct sb_model *model;
    compile_example(&file, onnx, rows);
    fixture_check(&side.n.f, sb_model_load(&model, sb_buf_bytes(&file), &side.n.f.diag));
    input_len = (size_t)sb_model_info(model)->input_bytes;
    sb_model_free(model);
    model_id = deploy(&side, 1, make_block, sb_buf_bytes(&file));
    sb_buf_fini(&file);
}

/* run: an inference whose input depends on `seed`, in a block of its own. */
static void run(uint8_t seed)
{
    uint8_t *input = sb_arena_zalloc(&side.n.f.arena, input_len);
    assert_non_null(input);
    for (size_t i = 0; i < input_len; i++) {
        input[i] = (uint8_t)(seed * i);
    }
    send_inference(&side, 1, &model_id, sb_span(input, input_len));
    make_block();
}

static int setup(void **state)
{
    char dir[64];
    uint64_t height;
    (void)state;
    side_init(&side);
    const struct sb_store_identity identity = {.genesis_hash =
                                                   sb_chain_domain(side.n.f.chain)->genesis_hash,
                                               .chain_id = FIXTURE_CHAIN_ID};
    (void)snprintf(dir, sizeof dir, "%.31s/snapshots", side.n.f.dir);
    fixture_check(&side.n.f, sb_snapshots_open(&snapshots, dir, &identity, 1, &side.n.f.diag));
    source = (struct sb_snap_source){.chain = side.n.f.chain, .snapshots = snapshots};
    register_model("gbdt_breast_cancer.onnx", "gbdt_breast_cancer_rows.npz");
    register_model("digits_cnn.onnx", "digits_cnn_rows.npz");
    run(1);
    fixture_check(&side.n.f, sb_snapshots_take(&height, snapshots, sb_chain_store(side.n.f.chain),
                                               &side.n.f.diag));
    for (uint8_t i = 0; i < RUNS; i++) {
        run((uint8_t)(i + 1)); /* the first one is known to the source's memo */
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sb_snapshots_close(snapshots);
    side_fini(&side);
    return 0;
}

/* answer_of: the hash of the last answer, as the contract keeps it. */
static sb_u256 answer_of(struct sb_chain *chain)
{
    const struct sb_rpc_block_ref latest = {.by = SB_RPC_BY_TAG, .tag = SB_RPC_LATEST};
    const sb_hash slot = {{0}};
    struct sb_chain_view view;
    sb_u256 value;
    assert_int_equal(sb_chain_view_open(&view, chain, &latest), SB_OK);
    assert_int_equal(view.state->storage(view.state->ctx, &caller, &slot, &value), SB_OK);
    sb_chain_view_close(chain, &view);
    return value;
}

static void new_node_runs_the_models_of_the_snapshot_as_others_do(void **state)
{
    (void)state;
    char dir[64];
    struct sb_state_sync_report report;
    struct fixture *f = &side.n.f;
    (void)snprintf(dir, sizeof dir, "%.31s/synced", f->dir);
    sync_from(&report, f, &source, dir, 0, true);
    assert_true(report.blob_count >= 2);

    struct sb_inference *inference =
        sb_inference_new(&(struct sb_inference_options){.memo_seed = 2});
    assert_non_null(inference);
    struct sb_chain *chain;
    const struct sb_chain_options options = {
        .db_dir = dir, .genesis = &f->genesis, .inference = inference};
    fixture_check(f, sb_chain_open(&chain, &options, &f->diag));
    struct sb_store_report stored;
    fixture_check(f, sb_store_verify(&stored, sb_chain_store(chain), NULL, NULL, &f->diag));
    for (uint64_t height = report.height + 1; height <= sb_chain_head_number(f->chain); height++) {
        struct sb_chain_executed *executed;
        struct sb_commit commit;
        sb_bytes encoded;
        fixture_check(f, sb_chain_encoded(&encoded, &commit, &f->arena, f->chain, height));
        fixture_check(f, sb_chain_execute(&executed, chain, encoded, &f->diag));
        fixture_check(f, sb_chain_commit_take(chain, executed, &commit, &f->diag));
        const struct sb_inference_record *records;
        size_t count;
        fixture_check(f, sb_chain_inferences(&records, &count, &f->arena, chain, height));
        assert_int_equal(count, 1);
    }
    assert_int_equal(sb_chain_head_number(chain), report.height + RUNS);
    sb_u256 ours = answer_of(chain), theirs = answer_of(f->chain);
    assert_memory_equal(&ours, &theirs, sizeof ours);
    assert_false(sb_u256_is_zero(&ours));
    sb_chain_close(chain);
    sb_inference_free(inference);
}

static void peer_that_keeps_models_back_is_found_out(void **state)
{
    (void)state;
    char dir[64];
    struct sb_state_sync_report report;
    struct sync_peer_of *peer = calloc(1, sizeof *peer);
    assert_non_null(peer);
    *peer = (struct sync_peer_of){.source = &source, .hides_blobs = true};
    (void)snprintf(dir, sizeof dir, "%.31s/robbed", side.n.f.dir);
    assert_int_equal(sync_try(&report, &side.n.f, peer, dir, true), SB_E_NOT_FOUND);
    assert_int_equal(peer->reports, 1);
    free(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_node_runs_the_models_of_the_snapshot_as_others_do),
        cmocka_unit_test(peer_that_keeps_models_back_is_found_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
