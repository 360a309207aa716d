/* query_fixture.h: a chain with small contracts and the RPC's backend on it, for the tests of backend and queries.
 *
 * The contracts are written by hand, so that their gas can be told from the price list. Addresses: 0xc0..01, 0xc0..02, ... */
#ifndef SB_TESTS_UNIT_NODE_QUERY_FIXTURE_H
#define SB_TESTS_UNIT_NODE_QUERY_FIXTURE_H

#include "tests/unit/node/chain_fixture.h"

#include <jansson.h>

#include "node/backend.h"
#include "node/predeploys.h"
#include "vm/precompile/inference.h"

enum contract {
    REVERTER = 1, /* reverts with its call data */
    STORE,        /* slot[word 0] = word 1 */
    PROXY,        /* calls word 0 with the rest, and reverts if that fails */
    SWALLOW,      /* the same, but goes on whatever happens */
    INVALID,      /* 0xfe */
    UNDEFINED,    /* 0x0c */
    LOOP,         /* for ever */
    ENV,          /* returns number, base fee, time */
    READ,         /* returns slot[word 0] */
    UNDERFLOW,    /* pops nothing */
    LOGGER,       /* logs its call data with topic 7 */
    CONTRACT_COUNT
};

#define CALL_WORD_0                                                                                \
    0x60, 0x20, 0x36, 0x03, 0x60, 0x20, 0x5f, 0x37, 0x5f, 0x5f, 0x60, 0x20, 0x36, 0x03, 0x5f,      \
        0x5f, 0x5f, 0x35, 0x5a, 0xf1

static const uint8_t k_code[CONTRACT_COUNT][48] = {
    [REVERTER] = {0x36, 0x5f, 0x5f, 0x37, 0x36, 0x5f, 0xfd},
    [STORE] = {0x60, 0x20, 0x35, 0x5f, 0x35, 0x55},
    [PROXY] = {CALL_WORD_0, 0x15, 0x60, 0x19, 0x57, 0x00, 0x5b, 0x5f, 0x5f, 0xfd},
    [SWALLOW] = {CALL_WORD_0, 0x50},
    [INVALID] = {0xfe},
    [UNDEFINED] = {0x0c},
    [LOOP] = {0x5b, 0x5f, 0x56},
    [ENV] = {0x43, 0x5f, 0x52, 0x48, 0x60, 0x20, 0x52, 0x42, 0x60, 0x40, 0x52, 0x60, 0x60, 0x5f,
             0xf3},
    [READ] = {0x5f, 0x35, 0x54, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3},
    [UNDERFLOW] = {0x50},
    [LOGGER] = {0x36, 0x5f, 0x5f, 0x37, 0x60, 0x07, 0x36, 0x5f, 0xa1},
};

struct query_fixture {
    struct fixture chain;
    struct sb_genesis_account accounts[64];
    struct sb_inference *inference;
    struct sb_backend *backend;
    struct sb_rpc_backend table;
    struct sb_arena arena; /* of the request */
    atomic_bool stop;
    struct sb_rpc_failure failure;
    struct sb_buf json_text;
};

static inline sb_addr contract_addr(enum contract contract)
{
    sb_addr addr = {.b = {0xc0}};
    addr.b[19] = (uint8_t)contract;
    return addr;
}

static inline void query_fixture_add_contracts(struct query_fixture *q)
{
    struct sb_genesis *g = &q->chain.genesis;
    struct sb_predeploy_options predeploys = {.governor = q->chain.addrs[0], .deposit_per_byte = 1};
    fixture_check(&q->chain, sb_predeploys_add(g, &q->chain.arena, &predeploys, &q->chain.diag));
    size_t count = g->account_count;
    assert_true(count + CONTRACT_COUNT <= sizeof q->accounts / sizeof q->accounts[0]);
    memcpy(q->accounts, g->accounts, count * sizeof q->accounts[0]);
    for (int i = 1; i < CONTRACT_COUNT; i++) {
        size_t len = sizeof k_code[i];
        while (k_code[i][len - 1] == 0) {
            len--;
        }
        q->accounts[count++] = (struct sb_genesis_account){
            .addr = contract_addr((enum contract)i), .nonce = 1, .code = sb_span(k_code[i], len)};
    }
    qsort(q->accounts, count, sizeof q->accounts[0], fixture_compare_accounts);
    g->accounts = q->accounts;
    g->account_count = count;
}

static inline uint64_t query_fixture_clock(void *ctx)
{
    return ((const struct fixture *)ctx)->now_ms;
}

static inline void query_fixture_init(struct query_fixture *q, uint64_t history_blocks)
{
    struct fixture *f = &q->chain;
    fixture_init(f);
    query_fixture_add_contracts(q);
    struct sb_inference_options inference = {.memo_seed = 1};
    q->inference = sb_inference_new(&inference);
    assert_non_null(q->inference);
    struct sb_chain_options options = {.db_dir = f->db_dir,
                                       .genesis = &f->genesis,
                                       .inference = q->inference,
                                       .create = true,
                                       .history_blocks = history_blocks};
    fixture_check(f, sb_chain_open(&f->chain, &options, &f->diag));
    fixture_check(f, sb_mempool_new(&f->mempool, f->chain, &f->mempool_options));
    fixture_check(f, fixture_try_open_driver(f));
    struct sb_backend_options backend = {.chain = f->chain,
                                         .mempool = f->mempool,
                                         .clock_ms = query_fixture_clock,
                                         .clock_ctx = f,
                                         .history_blocks = history_blocks};
    fixture_check(f, sb_backend_new(&q->backend, &backend, &f->diag));
    q->table = sb_backend_table(q->backend);
    sb_arena_init(&q->arena, (size_t)256 << 20);
    sb_buf_init(&q->json_text, (size_t)64 << 20);
    atomic_init(&q->stop, false);
}

static inline void query_fixture_fini(struct query_fixture *q)
{
    sb_buf_fini(&q->json_text);
    sb_arena_fini(&q->arena);
    sb_backend_free(q->backend);
    fixture_fini(&q->chain);
    sb_inference_free(q->inference);
}

/* ---- calls ---- */

static inline struct sb_rpc_block_ref at_tag(enum sb_rpc_tag tag)
{
    return (struct sb_rpc_block_ref){.by = SB_RPC_BY_TAG, .tag = tag};
}

static inline struct sb_rpc_block_ref at_number(uint64_t number)
{
    return (struct sb_rpc_block_ref){.by = SB_RPC_BY_NUMBER, .number = number};
}

/* query_to: a call of a contract at the head, from account 0, without fee. data is borrowed. */
static inline struct sb_rpc_query query_to(const struct query_fixture *q, enum contract contract,
                                           sb_bytes data)
{
    return (struct sb_rpc_query){.block = at_tag(SB_RPC_LATEST),
                                 .call = {.has_from = true,
                                          .from = q->chain.addrs[0],
                                          .has_to = true,
                                          .to = contract_addr(contract),
                                          .data = data}};
}

/* words: call data of up to four numbers. */
struct words {
    uint8_t bytes[4 * 32];
};
static inline sb_bytes words_put(struct words *w, size_t count, const uint64_t *values)
{
    for (size_t i = 0; i < count; i++) {
        sb_u256 value = sb_u256_from_u64(values[i]);
        sb_u256_store_be(w->bytes + 32 * i, &value);
    }
    return sb_span(w->bytes, 32 * count);
}
/* words_to: the address of a contract, then numbers, as PROXY and SWALLOW take them. */
static inline sb_bytes words_to(struct words *w, enum contract contract, size_t count,
                                const uint64_t *values)
{
    sb_addr addr = contract_addr(contract);
    memset(w->bytes, 0, 32);
    memcpy(w->bytes + 12, addr.b, sizeof addr.b);
    for (size_t i = 0; i < count; i++) {
        sb_u256 value = sb_u256_from_u64(values[i]);
        sb_u256_store_be(w->bytes + 32 * (i + 1), &value);
    }
    return sb_span(w->bytes, 32 * (count + 1));
}

static inline sb_err query_run(struct query_fixture *q, const struct sb_rpc_query *query,
                               sb_bytes *ret_output, uint64_t *ret_gas)
{
    memset(&q->failure, 0, sizeof q->failure);
    return q->table.call(q->table.ctx, &q->arena, query, &q->stop, ret_output, ret_gas,
                         &q->failure);
}

/* query_fails: the call fails with this code and message. */
static inline void query_fails(struct query_fixture *q, const struct sb_rpc_query *query, int code,
                               const char *message)
{
    sb_bytes output;
    uint64_t gas;
    assert_int_not_equal(query_run(q, query, &output, &gas), SB_OK);
    assert_string_equal(q->failure.message, message);
    assert_int_equal(q->failure.code, code);
}

/* query_word: word `index` of what a call returns, which must succeed and fit 64 bits. */
static inline uint64_t query_word(struct query_fixture *q, const struct sb_rpc_query *query,
                                  size_t index)
{
    sb_bytes output;
    uint64_t gas;
    sb_err err = query_run(q, query, &output, &gas);
    if (err != SB_OK) {
        print_error("%s: %s\n", sb_err_text(err), q->failure.message);
    }
    assert_int_equal(err, SB_OK);
    assert_true(output.len >= 32 * (index + 1));
    sb_u256 value = sb_u256_load_be(output.data + 32 * index, 32);
    return sb_u256_sat_u64(&value);
}

/* ---- JSON ---- */

static inline struct sb_json json_begin(struct query_fixture *q)
{
    struct sb_json json;
    sb_buf_reset(&q->json_text);
    sb_json_init(&json, &q->json_text);
    memset(&q->failure, 0, sizeof q->failure);
    return json;
}

/* json_parsed: what was written, to be given back with json_decref. */
static inline json_t *json_parsed(struct query_fixture *q, sb_err err, const struct sb_json *json)
{
    if (err != SB_OK) {
        print_error("%s: %s\n", sb_err_text(err), q->failure.message);
    }
    assert_int_equal(err, SB_OK);
    assert_true(sb_json_done(json));
    json_error_t error;
    json_t *value = json_loadb((const char *)q->json_text.data, q->json_text.len, 0, &error);
    if (value == NULL) {
        print_error("%s\n", error.text);
    }
    assert_non_null(value);
    return value;
}

static inline const char *json_text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

static inline uint64_t json_quantity_of(const json_t *object, const char *key)
{
    return strtoull(json_text_of(object, key), NULL, 16);
}

#endif
