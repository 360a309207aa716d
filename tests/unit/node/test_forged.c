/* test_forged.c: a proposer that forges the result of one inference, with models that came from PyTorch and scikit-learn.
 *
 *      forger: its memo says that the model gives something else --> a block that is right in itself
 *      honest: executes it                                       --> another receiptsRoot and stateRoot: no vote, a line in the log
 *
 * Further: one gas figure, one receipt, one root, each alone. Models: examples/models. */
#include "tests/unit/node/validators_fixture.h"

#include "base/codec/abi.h"
#include "base/crypto/sha256_portable.h"
#include "node/predeploys.h"
#include "vm/compiler/compile.h"
#include "vm/precompile/inference.h"
#include "vm/tensor/memo.h"
#include "vm/tensor/model.h"

#define ACCOUNTS_MAX 64
#define CHUNK_BYTES  ((size_t)65536)
#define CHUNKS_MAX   16
#define DEPLOY_GAS   UINT64_C(16000000)
#define MEMO_RAW     1 /* key space of the memo, see infer.c */

static const sb_addr registry = {{[18] = 0x5b, [19] = 0x11}};
static const sb_addr caller = {{[0] = 0xc0, [19] = 1}};

/* Calls Inference with its call data; keeps the hash of the answer in slot 0 and logs the answer. */
static const uint8_t caller_code[] = {
    0x36, 0x5f, 0x5f, 0x37,                                     /* memory = call data */
    0x5f, 0x5f, 0x36, 0x5f, 0x61, 0x5b, 0x01, 0x5a, 0xfa, 0x50, /* STATICCALL 0x5b01 */
    0x3d, 0x5f, 0x5f, 0x3e,                                     /* memory = answer */
    0x3d, 0x5f, 0x20, 0x5f, 0x55,                               /* slot 0 = its hash */
    0x3d, 0x5f, 0xa0, 0x00,                                     /* LOG0 */
};

struct side {
    struct net n;
    struct sb_genesis_account accounts[ACCOUNTS_MAX];
    struct sb_logger logger;
    FILE *log;
};

static struct side honest, forger;
static uint64_t next_nonce;

static void side_init(struct side *s)
{
    net_init(&s->n);
    struct sb_genesis *g = &s->n.f.genesis;
    struct sb_predeploy_options predeploys = {.governor = s->n.f.addrs[0], .deposit_per_byte = 1};
    fixture_check(&s->n.f, sb_predeploys_add(g, &s->n.f.arena, &predeploys, &s->n.f.diag));
    assert_true(g->account_count < ACCOUNTS_MAX);
    memcpy(s->accounts, g->accounts, g->account_count * sizeof s->accounts[0]);
    s->accounts[g->account_count++] = (struct sb_genesis_account){
        .addr = caller, .nonce = 1, .code = sb_span(caller_code, sizeof caller_code)};
    qsort(s->accounts, g->account_count, sizeof s->accounts[0], fixture_compare_accounts);
    g->accounts = s->accounts;
    s->n.f.inference = sb_inference_new(&(struct sb_inference_options){.memo_seed = 1});
    assert_non_null(s->n.f.inference);
    s->log = tmpfile();
    assert_non_null(s->log);
    sb_log_init(&s->logger, s->log, SB_LOG_FORM_LOGFMT, SB_LOG_WARN, false, NULL, NULL);
    s->n.f.log = &s->logger;
    net_open(&s->n);
}

static void side_fini(struct side *s)
{
    net_close(&s->n);
    sb_inference_free(s->n.f.inference);
    fixture_fini(&s->n.f);
    (void)fclose(s->log);
}

static int setup(void **state)
{
    (void)state;
    next_nonce = 0;
    side_init(&honest);
    side_init(&forger);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    side_fini(&honest);
    side_fini(&forger);
    return 0;
}

/* count_lines: lines of a side's log that hold the text. */
static size_t count_lines(struct side *s, const char *text)
{
    char line[SB_LOG_LINE_BYTES_MAX + 1];
    size_t count = 0;
    (void)fflush(s->log);
    rewind(s->log);
    while (fgets(line, sizeof line, s->log) != NULL) {
        count += strstr(line, text) != NULL;
    }
    return count;
}

/* ---- the model ---- */

static void read_example(struct sb_buf *ret, const char *name)
{
    char path[1024];
    uint8_t block[4096];
    const char *root = getenv("SAMEBIT_SOURCE_ROOT");
    (void)snprintf(path, sizeof path, "%s/examples/models/%s", root != NULL ? root : ".", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len;
    while ((len = fread(block, 1, sizeof block, file)) > 0) {
        sb_buf_add(ret, block, len);
    }
    (void)fclose(file);
    assert_int_equal(sb_buf_err(ret), SB_OK);
}

static void compile_example(struct sb_buf *ret_file, const char *onnx_name, const char *rows_name)
{
    struct sb_buf onnx, rows_file;
    struct sb_dataset rows;
    struct sb_report report;
    struct sb_diag diag = {.text = ""};
    sb_buf_init(&onnx, (size_t)64 << 20);
    sb_buf_init(&rows_file, (size_t)64 << 20);
    sb_buf_init(ret_file, (size_t)64 << 20);
    read_example(&onnx, onnx_name);
    read_example(&rows_file, rows_name);
    assert_int_equal(sb_dataset_load(&rows, sb_buf_bytes(&rows_file), NULL, &diag), SB_OK);
    struct sb_dataset used = sb_dataset_slice(&rows, 0, 32);
    struct sb_compile_options options = sb_compile_options_default();
    options.measure_layers = false;
    if (sb_compile(ret_file, &report, sb_buf_bytes(&onnx), &used, NULL, &options, &diag) != SB_OK) {
        fail_msg("%s: %s", onnx_name, diag.text);
    }
    sb_report_fini(&report);
    sb_dataset_fini(&rows);
    sb_buf_fini(&onnx);
    sb_buf_fini(&rows_file);
}

/* ---- transactions ---- */

/* send: the same transaction into both pools. */
static void send(sb_addr to, struct sb_buf *data, uint64_t value)
{
    struct side *sides[2] = {&honest, &forger};
    for (size_t i = 0; i < 2; i++) {
        struct fixture *f = &sides[i]->n.f;
        struct sb_tx tx = fixture_tx(f, 0, next_nonce);
        tx.to = to;
        tx.value = sb_u256_from_u64(value);
        tx.gas_limit = DEPLOY_GAS;
        tx.data = sb_span(sb_arena_dup(&f->arena, sb_buf_bytes(data)), data->len);
        fixture_check(f, fixture_add(f, &tx, 0, NULL));
    }
    next_nonce++;
    sb_buf_reset(data);
}

/* both: a block of the honest side that both accept; its one transaction must have succeeded. */
static void both(void)
{
    sb_bytes encoded = net_build(&honest.n);
    net_accept(&honest.n, encoded);
    net_accept(&forger.n, encoded);
    forger.n.f.now_ms = honest.n.f.now_ms;
    const struct sb_rpc_block *block;
    uint64_t number = sb_chain_head_number(honest.n.f.chain);
    fixture_check(&honest.n.f, sb_chain_block_number(&block, honest.n.f.chain, number));
    assert_int_equal(block->block.tx_count, 1);
    assert_true(block->receipts[0].success);
    sb_chain_block_release(honest.n.f.chain, block);
}

static sb_hash deploy(sb_bytes file)
{
    struct sb_buf data;
    struct sb_abi_writer w, list;
    sb_hash chunks[CHUNKS_MAX];
    size_t count = 0;
    sb_buf_init(&data, (size_t)1 << 20);
    for (size_t at = 0; at < file.len; at += CHUNK_BYTES) {
        sb_bytes chunk = sb_span_slice(file, at, CHUNK_BYTES);
        assert_true(count < CHUNKS_MAX);
        chunks[count++] = sb_sha256_portable(chunk);
        sb_abi_put_selector(&data, sb_abi_selector("putChunk(bytes)"));
        sb_abi_begin(&w, &data, 1);
        sb_abi_put_bytes(&w, chunk);
        sb_abi_end(&w);
        send(registry, &data, chunk.len);
        both();
    }
    sb_abi_put_selector(&data, sb_abi_selector("register(bytes32[],string,string,string)"));
    sb_abi_begin(&w, &data, 4);
    sb_abi_put_array(&list, &w, count, 1);
    for (size_t i = 0; i < count; i++) {
        sb_abi_put_hash(&list, &chunks[i]);
    }
    sb_abi_end(&list);
    for (size_t i = 0; i < 3; i++) {
        sb_abi_put_bytes(&w, sb_span_str("example"));
    }
    sb_abi_end(&w);
    send(registry, &data, 0);
    both();
    sb_buf_fini(&data);
    return sb_sha256_portable(file);
}

/* send_inference: a transaction that runs the model on raw input. */
static void send_inference(const sb_hash *id, sb_bytes raw)
{
    struct sb_buf data;
    struct sb_abi_writer w;
    sb_buf_init(&data, (size_t)1 << 20);
    sb_abi_put_selector(&data, sb_abi_selector("infer(bytes32,bytes)"));
    sb_abi_begin(&w, &data, 2);
    sb_abi_put_hash(&w, id);
    sb_abi_put_bytes(&w, raw);
    sb_abi_end(&w);
    send(caller, &data, 0);
    sb_buf_fini(&data);
}

/* ---- forgeries ---- */

/* poison: make a side believe that the model gives `bent` for this input. */
static void poison(struct side *s, const sb_hash *id, sb_bytes raw, sb_bytes bent)
{
    sb_hash key = sb_memo_key(id, MEMO_RAW, &raw, 1);
    sb_memo_put(sb_inference_memo(s->n.f.inference), &key, bent);
}

/* true_output: what the model gives, by an honest block that is only processed. */
static void true_output(uint8_t *ret, size_t len, const sb_hash *id, sb_bytes raw)
{
    sb_hash key = sb_memo_key(id, MEMO_RAW, &raw, 1);
    assert_true(sb_memo_get(ret, len, sb_inference_memo(honest.n.f.inference), &key));
}

/* expect_forged: the honest side refuses the block of a height once as forged, and says why. */
static void expect_forged(sb_bytes encoded, const char *text)
{
    struct sb_chain_app_counters before = sb_chain_app_counters(honest.n.app);
    size_t lines = count_lines(&honest, text);
    net_expect_invalid(&honest.n, encoded, text);
    net_expect_invalid(&honest.n, encoded, text);
    struct sb_chain_app_counters after = sb_chain_app_counters(honest.n.app);
    assert_int_equal(after.forged_results, before.forged_results + 1);
    assert_int_equal(count_lines(&honest, text), lines + 1);
}

/* change_header: the genuine block with another Ethereum header, otherwise in order. */
static sb_bytes change_header(const struct sb_consensus_block *genuine,
                              void (*change)(struct sb_header *header))
{
    struct fixture *f = &honest.n.f;
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
    return net_encode(&honest.n, &block);
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
    fixture_check(&honest.n.f, sb_model_load(&model, sb_buf_bytes(&file), &honest.n.f.diag));
    size_t input_len = (size_t)sb_model_info(model)->input_bytes;
    size_t output_len = (size_t)sb_model_info(model)->output_bytes;
    sb_model_free(model);
    sb_hash id = deploy(sb_buf_bytes(&file));
    sb_buf_fini(&file);

    uint8_t *input = sb_arena_zalloc(&honest.n.f.arena, input_len);
    uint8_t *output = sb_arena_alloc(&honest.n.f.arena, output_len);
    sb_bytes raw = sb_span(input, input_len);
    send_inference(&id, raw);
    sb_bytes right = net_build(&honest.n);
    honest.n.f.now_ms -= 1000;
    true_output(output, output_len, &id, raw);
    output[output_len - 1] ^= 1; /* one bit of one result */
    poison(&forger, &id, raw, sb_span(output, output_len));
    sb_bytes forged = net_build(&forger.n);
    expect_forged(forged, "another receiptsRoot, stateRoot than");
    net_expect_invalid(&forger.n, right, "another receiptsRoot, stateRoot than");

    struct sb_consensus_block genuine = net_decode(&honest.n, right);
    expect_forged(change_header(&genuine, more_gas), "another gasUsed than");
    expect_forged(change_header(&genuine, other_receipts), "another receiptsRoot than");
    expect_forged(change_header(&genuine, other_state), "another stateRoot than");
    expect_forged(change_header(&genuine, other_bloom), "another logsBloom than");
    expect_forged(change_header(&genuine, other_transactions), "another transactionsRoot than");
    expect_forged(change_header(&genuine, more_gas_and_other_receipts),
                  "another gasUsed, receiptsRoot than");
    net_accept(&honest.n, right);
    assert_int_equal(count_lines(&honest, "proposer=0x"), 7);
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
