/* model_fixture.h: chains with a contract that runs models from examples/models, and a way to make one of them believe a false result.
 *
 *      struct side: a chain of its own with its own model cache and memo, and its log in a file
 *      caller: a contract that calls Inference and keeps the hash of the answer, so that every result is in the state and in a log */
#ifndef SB_TESTS_UNIT_NODE_MODEL_FIXTURE_H
#define SB_TESTS_UNIT_NODE_MODEL_FIXTURE_H

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
    uint64_t next_nonce; /* of account 0; the first side's counts */
    struct sb_genesis_account accounts[ACCOUNTS_MAX];
    struct sb_logger logger;
    FILE *log;
};

static inline void side_init(struct side *s)
{
    net_init(&s->n);
    s->next_nonce = 0;
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

static inline void side_fini(struct side *s)
{
    net_close(&s->n);
    sb_inference_free(s->n.f.inference);
    fixture_fini(&s->n.f);
    (void)fclose(s->log);
}

/* count_lines: lines of a side's log that hold the text. */
static inline size_t count_lines(struct side *s, const char *text)
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

static inline void read_example(struct sb_buf *ret, const char *name)
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

static inline void compile_example(struct sb_buf *ret_file, const char *onnx_name,
                                   const char *rows_name)
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

/* send: the next transaction of account 0, into the pools of all sides. */
static inline void send(struct side *sides, size_t count, sb_addr to, struct sb_buf *data,
                        uint64_t value)
{
    uint64_t nonce = sides[0].next_nonce++;
    for (size_t i = 0; i < count; i++) {
        struct fixture *f = &sides[i].n.f;
        struct sb_tx tx = fixture_tx(f, 0, nonce);
        tx.to = to;
        tx.value = sb_u256_from_u64(value);
        tx.gas_limit = DEPLOY_GAS;
        tx.data = sb_span(sb_arena_dup(&f->arena, sb_buf_bytes(data)), data->len);
        fixture_check(f, fixture_add(f, &tx, 0, NULL));
    }
    sb_buf_reset(data);
}

/* deploy: upload and register a model; make_block makes a block with what was sent, on all sides. */
static inline sb_hash deploy(struct side *sides, size_t side_count, void (*make_block)(void),
                             sb_bytes file)
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
        send(sides, side_count, registry, &data, chunk.len);
        make_block();
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
    send(sides, side_count, registry, &data, 0);
    make_block();
    sb_buf_fini(&data);
    return sb_sha256_portable(file);
}

/* send_inference: a transaction that runs the model on raw input. */
static inline void send_inference(struct side *sides, size_t side_count, const sb_hash *id,
                                  sb_bytes raw)
{
    struct sb_buf data;
    struct sb_abi_writer w;
    sb_buf_init(&data, (size_t)1 << 20);
    sb_abi_put_selector(&data, sb_abi_selector("infer(bytes32,bytes)"));
    sb_abi_begin(&w, &data, 2);
    sb_abi_put_hash(&w, id);
    sb_abi_put_bytes(&w, raw);
    sb_abi_end(&w);
    send(sides, side_count, caller, &data, 0);
    sb_buf_fini(&data);
}

/* poison: make a side believe that the model gives `bent` for this input. */
static inline void poison(struct side *s, const sb_hash *id, sb_bytes raw, sb_bytes bent)
{
    sb_hash key = sb_memo_key(id, MEMO_RAW, &raw, 1);
    sb_memo_put(sb_inference_memo(s->n.f.inference, SB_INFERENCE_OF_BLOCK), &key, bent);
}

#endif
