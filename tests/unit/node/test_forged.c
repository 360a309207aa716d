/* test_forged.c: a proposer that forges the result of one inference, with models that came from PyTorch and scikit-learn.
 *
 *      forger: its memo says that the model gives something else --> a block that is right in itself
 *      honest: executes it                                       --> another receiptsRoot and stateRoot: no vote, a line in the log
 *
 * Further: one gas figure, one receipt, one root, each alone. Models: examples/models. */
#include "tests/unit/node/model_fixture.h"

static struct side sides[2]; /* honest, forger */

static int setup(void **state)
{
    (void)state;
    side_init(&sides[0]);
    side_init(&sides[1]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    side_fini(&sides[0]);
    side_fini(&sides[1]);
    return 0;
}

/* both: a block of the honest side that both accept; its one transaction must have succeeded. */
static void both(void)
{
    sb_bytes encoded = net_build(&sides[0].n);
    net_accept(&sides[0].n, encoded);
    net_accept(&sides[1].n, encoded);
    sides[1].n.f.now_ms = sides[0].n.f.now_ms;
    const struct sb_rpc_block *block;
    uint64_t number = sb_chain_head_number(sides[0].n.f.chain);
    fixture_check(&sides[0].n.f, sb_chain_block_number(&block, sides[0].n.f.chain, number));
    assert_int_equal(block->block.tx_count, 1);
    assert_true(block->receipts[0].success);
    sb_chain_block_release(sides[0].n.f.chain, block);
}

/* ---- forgeries ---- */

/* true_output: what the model gives, by an honest block that is only processed. */
static void true_output(uint8_t *ret, size_t len, const sb_hash *id, sb_bytes raw)
{
    sb_hash key = sb_memo_key(id, MEMO_RAW, &raw, 1);
    assert_true(sb_memo_get(
        ret, len, sb_inference_memo(sides[0].n.f.inference, SB_INFERENCE_OF_BLOCK), &key));
}

/* expect_forged: the honest side refuses the block of a height once as forged, and says why. */
static void expect_forged(sb_bytes encoded, const char *text)
{
    struct sb_chain_app_counters before = sb_chain_app_counters(sides[0].n.app);
    size_t lines = count_lines(&sides[0], text);
    net_expect_invalid(&sides[0].n, encoded, text);
    net_expect_invalid(&sides[0].n, encoded, text);
    struct sb_chain_app_counters after = sb_chain_app_counters(sides[0].n.app);
    assert_int_equal(after.forged_results, before.forged_results + 1);
    assert_int_equal(count_lines(&sides[0], text), lines + 1);
}

/* change_header: the genuine block with another Ethereum header, otherwise in order. */
static sb_bytes change_header(const struct sb_consensus_block *genuine,
                              void (*change)(struct sb_header *header))
{
    struct fixture *f = &sides[0].n.f;
    struct sb_consensus_block block = *genuine;
    struct sb_block eth;
    fixture_check(f, sb_block_decode(&eth, &f->arena, genuine->payload, &f->diag));
    change(&eth.header);
    struct sb_buf buf;
    sb_buf_init(&buf, SB_CONSENSUS_BLOCK_BYTES_MAX);
    sb_block_encode(&buf, &eth);
    block.payload = sb_span(sb_arena_dup(&f->arena, sb_buf_bytes(&buf)), buf.len);
    sb_buf_fini(&buf);
    block.header.payload_hash = sb_header_hash(&eth.header);
    return net_encode(&sides[0].n, &block);
}

static void more_gas(struct sb_header *header)
{
    header->gas_used++;
}

static void other_receipts(struct sb_header *header)
{
    header->receipts_root.b[31] ^= 1;
}

static void other_state(struct sb_header *header)
{
    header->state_root.b[0] ^= 0x80;
}

static void other_bloom(struct sb_header *header)
{
    header->logs_bloom.b[0] ^= 1;
}

static void other_transactions(struct sb_header *header)
{
    header->transactions_root.b[1] ^= 1;
}

static void more_gas_and_other_receipts(struct sb_header *header)
{
    more_gas(header);
    other_receipts(header);
}

static void forge_all(const char *onnx, const char *rows)
{
    struct sb_buf file;
    compile_example(&file, onnx, rows);
    struct sb_model *model;
    fixture_check(&sides[0].n.f, sb_model_load(&model, sb_buf_bytes(&file), &sides[0].n.f.diag));
    size_t input_len = (size_t)sb_model_info(model)->input_bytes;
    size_t output_len = (size_t)sb_model_info(model)->output_bytes;
    sb_model_free(model);
    sb_hash id = deploy(sides, 2, both, sb_buf_bytes(&file));
    sb_buf_fini(&file);

    uint8_t *input = sb_arena_zalloc(&sides[0].n.f.arena, input_len);
    uint8_t *output = sb_arena_alloc(&sides[0].n.f.arena, output_len);
    sb_bytes raw = sb_span(input, input_len);
    send_inference(sides, 2, &id, raw);
    sb_bytes right = net_build(&sides[0].n);
    sides[0].n.f.now_ms -= 1000;
    true_output(output, output_len, &id, raw);
    output[output_len - 1] ^= 1; /* one bit of one result */
    poison(&sides[1], &id, raw, sb_span(output, output_len));
    sb_bytes forged = net_build(&sides[1].n);
    expect_forged(forged, "another receiptsRoot, stateRoot, extension root than");
    net_expect_invalid(&sides[1].n, right, "another receiptsRoot, stateRoot, extension root than");

    struct sb_consensus_block genuine = net_decode(&sides[0].n, right);
    expect_forged(change_header(&genuine, more_gas), "another gasUsed than");
    expect_forged(change_header(&genuine, other_receipts), "another receiptsRoot than");
    expect_forged(change_header(&genuine, other_state), "another stateRoot than");
    expect_forged(change_header(&genuine, other_bloom), "another logsBloom than");
    expect_forged(change_header(&genuine, other_transactions), "another transactionsRoot than");
    expect_forged(change_header(&genuine, more_gas_and_other_receipts),
                  "another gasUsed, receiptsRoot than");
    net_accept(&sides[0].n, right);
    assert_int_equal(count_lines(&sides[0], "proposer=0x"), 7);
}

static void forged_result_of_a_network_is_refused(void **state)
{
    (void)state;
    forge_all("digits_cnn.onnx", "digits_cnn_rows.npz");
}

static void forged_result_of_boosted_trees_is_refused(void **state)
{
    (void)state;
    forge_all("gbdt_breast_cancer.onnx", "gbdt_breast_cancer_rows.npz");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(forged_result_of_a_network_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(forged_result_of_boosted_trees_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
