/* test_query.c: calls, estimates, access lists, simulations and traces on a real chain. */
#include "tests/unit/node/query_fixture.h"

#include <pthread.h>

#include "base/codec/abi.h"

static struct query_fixture q;

static int setup(void **state)
{
    (void)state;
    query_fixture_init(&q, 128);
    fixture_propose(&q.chain);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    query_fixture_fini(&q);
    return 0;
}

static const sb_bytes k_nothing = {.data = NULL, .len = 0};

/* ---- calls ---- */

static void call_reverted_carries_data_and_reason(void **state)
{
    (void)state;
    struct sb_buf data;
    sb_buf_init(&data, 1024);
    sb_abi_put_error_string(&data, "not today");
    struct sb_rpc_query query = query_to(&q, REVERTER, sb_buf_bytes(&data));
    query_fails(&q, &query, SB_RPC_REVERTED, "execution reverted: not today");
    assert_true(q.failure.has_data && sb_span_equal(q.failure.data, sb_buf_bytes(&data)));
    sb_buf_reset(&data);
    sb_u256 code = sb_u256_from_u64(0x12);
    sb_abi_put_error(&data, sb_abi_selector("Panic(uint256)"), &code, 1);
    query.call.data = sb_buf_bytes(&data);
    query_fails(&q, &query, SB_RPC_REVERTED, "execution reverted: division or modulo by zero");
    query.call.data = k_nothing;
    query_fails(&q, &query, SB_RPC_REVERTED, "execution reverted");
    assert_true(q.failure.has_data && q.failure.data.len == 0);
    sb_buf_fini(&data);
}

static void call_failed_is_worded_as_geth_words_it(void **state)
{
    (void)state;
    struct sb_rpc_query query = query_to(&q, INVALID, k_nothing);
    query_fails(&q, &query, SB_RPC_SERVER_ERROR, "invalid opcode: INVALID");
    query = query_to(&q, UNDEFINED, k_nothing);
    query_fails(&q, &query, SB_RPC_SERVER_ERROR, "invalid opcode: opcode 0xc not defined");
    query = query_to(&q, UNDERFLOW, k_nothing);
    query_fails(&q, &query, SB_RPC_SERVER_ERROR, "stack underflow (0 <=> 1)");
    query = query_to(&q, LOOP, k_nothing);
    query.call.has_gas = true;
    query.call.gas = 100000;
    query_fails(&q, &query, SB_RPC_SERVER_ERROR, "out of gas");
    query.call.gas = 20000;
    query_fails(&q, &query, SB_RPC_SERVER_ERROR,
                "err: intrinsic gas too low: have 20000, want 21000 (supplied gas 20000)");
}

static void call_without_funds_says_have_and_want(void **state)
{
    (void)state;
    struct sb_rpc_query query = query_to(&q, READ, k_nothing);
    memset(query.call.from.b, 0x31, sizeof query.call.from.b);
    query.call.value = sb_u256_from_u64(7);
    query.call.has_gas = true;
    query.call.gas = 50000;
    query_fails(&q, &query, SB_RPC_SERVER_ERROR,
                "err: insufficient funds for gas * price + value: address "
                "0x3131313131313131313131313131313131313131 have 0 want 7 (supplied gas 50000)");
    query.call.value = sb_u256_zero();
    query.call.has_gas_price = true;
    query.call.gas_price = sb_u256_from_u64(1);
    assert_int_not_equal(query_run(&q, &query, &(sb_bytes){.len = 0}, &(uint64_t){0}), SB_OK);
    assert_non_null(
        strstr(q.failure.message, "max fee per gas less than block base fee: address "));
}

static void call_stopped_ends_with_timeout(void **state)
{
    (void)state;
    struct sb_rpc_query query = query_to(&q, LOOP, k_nothing);
    sb_bytes output;
    uint64_t gas;
    atomic_store(&q.stop, true);
    assert_int_equal(query_run(&q, &query, &output, &gas), SB_E_TIMEOUT);
    assert_int_equal(q.failure.code, 0); /* the server words it with its limit */
    assert_int_equal(gas, 50000000);
}

static void call_sees_the_block_that_it_names(void **state)
{
    (void)state;
    fixture_propose(&q.chain);
    struct sb_rpc_query query = query_to(&q, ENV, k_nothing);
    assert_int_equal(query_word(&q, &query, 0), 2);
    assert_int_equal(query_word(&q, &query, 1), 0); /* no fee named: BASEFEE reads 0 */
    query.block = at_number(1);
    assert_int_equal(query_word(&q, &query, 0), 1);
    query.block = at_tag(SB_RPC_PENDING);
    assert_int_equal(query_word(&q, &query, 0), 3);
    query.block_override = (struct sb_rpc_block_override){
        .has_number = true, .number = 77, .has_time = true, .time = 88};
    assert_int_equal(query_word(&q, &query, 0), 77);
    assert_int_equal(query_word(&q, &query, 2), 88);
    query.block = at_number(9);
    query_fails(&q, &query, SB_RPC_SERVER_ERROR, "header not found");
}

static void call_overrides_state(void **state)
{
    (void)state;
    struct words w;
    struct sb_slot_diff slot = {.key = {.b = {[31] = 5}}, .value = sb_u256_from_u64(42)};
    sb_addr anywhere = {.b = {0x99}};
    struct sb_rpc_account_override o = {.addr = anywhere,
                                        .has_code = true,
                                        .code = sb_span(k_code[READ], 9),
                                        .state_diff = &slot,
                                        .state_diff_count = 1};
    struct sb_rpc_query query = query_to(&q, READ, words_put(&w, 1, (uint64_t[]){5}));
    query.call.to = anywhere;
    query.overrides = &o;
    query.override_count = 1;
    assert_int_equal(query_word(&q, &query, 0), 42);
    o.state_diff_count = 0;
    o.has_state = true;
    o.state = &slot;
    o.state_count = 1;
    assert_int_equal(query_word(&q, &query, 0), 42);
    o.state_count = 0;
    assert_int_equal(query_word(&q, &query, 0), 0);
}

static void call_runs_moved_precompile(void **state)
{
    (void)state;
    sb_addr identity = {.b = {[19] = 4}};
    sb_addr moved = {.b = {0x77}};
    struct sb_rpc_account_override o = {
        .addr = identity, .has_move_precompile_to = true, .move_precompile_to = moved};
    struct words w;
    struct sb_rpc_query query = query_to(&q, READ, words_put(&w, 1, (uint64_t[]){1234}));
    sb_bytes output;
    uint64_t gas;
    query.overrides = &o;
    query.override_count = 1;
    query.call.to = moved;
    assert_int_equal(query_word(&q, &query, 0), 1234);
    query.call.to = identity; /* an ordinary account now */
    assert_int_equal(query_run(&q, &query, &output, &gas), SB_OK);
    assert_int_equal(output.len, 0);
    o.addr = contract_addr(READ);
    query_fails(&q, &query, SB_RPC_SERVER_ERROR,
                "account 0xc000000000000000000000000000000000000009 is not a precompile");
}

/* ---- estimates ---- */

static sb_err estimate(struct sb_rpc_query *query, uint64_t *ret_gas)
{
    memset(&q.failure, 0, sizeof q.failure);
    return q.table.estimate_gas(q.table.ctx, &q.arena, query, &q.stop, ret_gas, &q.failure);
}

/* assert_exact: the call succeeds with the estimate and fails with one less. */
static uint64_t assert_exact(struct sb_rpc_query *query)
{
    uint64_t gas;
    uint64_t used;
    sb_bytes output;
    assert_int_equal(estimate(query, &gas), SB_OK);
    struct sb_rpc_query trial = *query;
    trial.call.has_gas = true;
    trial.call.gas = gas;
    assert_int_equal(query_run(&q, &trial, &output, &used), SB_OK);
    trial.call.gas = gas - 1;
    assert_int_not_equal(query_run(&q, &trial, &output, &used), SB_OK);
    return gas;
}

static void estimate_of_transfer_is_21000(void **state)
{
    (void)state;
    uint64_t gas;
    struct sb_rpc_query query = query_to(&q, STORE, k_nothing);
    query.call.to = q.chain.addrs[2];
    query.call.value = sb_u256_from_u64(1);
    assert_int_equal(estimate(&query, &gas), SB_OK);
    assert_int_equal(gas, 21000);
}

static void estimate_is_exact_through_refunds_and_the_64th(void **state)
{
    (void)state;
    struct words w;
    struct sb_rpc_query query = query_to(&q, STORE, words_put(&w, 2, (uint64_t[]){1, 2}));
    (void)assert_exact(&query);
    query = query_to(&q, PROXY, words_to(&w, STORE, 2, (uint64_t[]){1, 2}));
    (void)assert_exact(&query);
    /* clearing a slot refunds: the limit must still cover what is spent before */
    struct sb_slot_diff slot = {.key = {.b = {[31] = 1}}, .value = sb_u256_from_u64(9)};
    struct sb_rpc_account_override o = {
        .addr = contract_addr(STORE), .state_diff = &slot, .state_diff_count = 1};
    query = query_to(&q, STORE, words_put(&w, 2, (uint64_t[]){1, 0}));
    query.overrides = &o;
    query.override_count = 1;
    (void)assert_exact(&query);
}

static void estimate_does_not_let_swallowed_calls_fail(void **state)
{
    (void)state;
    struct words w;
    uint64_t gas;
    struct sb_rpc_query query = query_to(&q, SWALLOW, words_to(&w, STORE, 2, (uint64_t[]){1, 2}));
    assert_int_equal(estimate(&query, &gas), SB_OK);
    query.call.has_gas = true;
    query.call.gas = gas;
    const struct sb_rpc_trace_config config = {.tracer = SB_RPC_TRACER_CALL};
    struct sb_json json = json_begin(&q);
    sb_err err =
        q.table.trace_call(q.table.ctx, &q.arena, &query, &config, &q.stop, &json, &q.failure);
    json_t *root = json_parsed(&q, err, &json);
    json_t *inner = json_array_get(json_object_get(root, "calls"), 0);
    assert_non_null(inner);
    assert_null(json_object_get(inner, "error"));
    json_decref(root);
}

static void estimate_fails_with_reason(void **state)
{
    (void)state;
    uint64_t gas;
    struct words w;
    struct sb_rpc_query query = query_to(&q, LOOP, k_nothing);
    assert_int_not_equal(estimate(&query, &gas), SB_OK);
    assert_string_equal(q.failure.message, "gas required exceeds allowance (16777216)");
    query = query_to(&q, REVERTER, k_nothing);
    assert_int_not_equal(estimate(&query, &gas), SB_OK);
    assert_int_equal(q.failure.code, SB_RPC_REVERTED);
    query = query_to(&q, STORE, words_put(&w, 2, (uint64_t[]){1, 2}));
    memset(query.call.from.b, 0x31, sizeof query.call.from.b);
    struct sb_rpc_account_override o = {
        .addr = query.call.from, .has_balance = true, .balance = fixture_gwei(10 * 30000)};
    query.overrides = &o;
    query.override_count = 1;
    query.call.has_gas_price = true;
    query.call.gas_price = fixture_gwei(10);
    assert_int_not_equal(estimate(&query, &gas), SB_OK);
    assert_string_equal(q.failure.message, "gas required exceeds allowance (30000)");
    query.call.value = fixture_gwei(10 * 40000);
    assert_int_not_equal(estimate(&query, &gas), SB_OK);
    assert_string_equal(q.failure.message, "insufficient funds for transfer");
}

/* ---- access lists ---- */

static void access_list_names_slots_and_leaves_out_the_callee(void **state)
{
    (void)state;
    struct words w;
    struct sb_rpc_access_list list;
    struct sb_rpc_query query = query_to(&q, PROXY, words_to(&w, STORE, 2, (uint64_t[]){3, 4}));
    assert_int_equal(q.table.access_list(q.table.ctx, &q.arena, &query, &q.stop, &list, &q.failure),
                     SB_OK);
    assert_int_equal(list.count, 1);
    sb_addr store = contract_addr(STORE);
    assert_memory_equal(list.entries[0].addr.b, store.b, sizeof store.b);
    assert_int_equal(list.entries[0].key_count, 1);
    assert_int_equal(list.entries[0].keys[0].b[31], 3);
    assert_string_equal(list.error, "");
    assert_true(list.gas_used > 21000);
    query = query_to(&q, REVERTER, k_nothing);
    assert_int_equal(q.table.access_list(q.table.ctx, &q.arena, &query, &q.stop, &list, &q.failure),
                     SB_OK);
    assert_int_equal(list.count, 0);
    assert_string_equal(list.error, "execution reverted");
}

/* ---- simulations ---- */

static json_t *simulate(const struct sb_rpc_simulation *simulation)
{
    struct sb_json json = json_begin(&q);
    sb_err err = q.table.simulate(q.table.ctx, &q.arena, simulation, &q.stop, &json, &q.failure);
    return json_parsed(&q, err, &json);
}

static void simulate_fails(const struct sb_rpc_simulation *simulation, int code,
                           const char *message)
{
    struct sb_json json = json_begin(&q);
    assert_int_not_equal(
        q.table.simulate(q.table.ctx, &q.arena, simulation, &q.stop, &json, &q.failure), SB_OK);
    assert_string_equal(q.failure.message, message);
    assert_int_equal(q.failure.code, code);
}

static void simulate_carries_state_from_block_to_block(void **state)
{
    (void)state;
    struct words w1;
    struct words w2;
    struct sb_rpc_call store = query_to(&q, STORE, words_put(&w1, 2, (uint64_t[]){1, 2})).call;
    struct sb_rpc_call read = query_to(&q, READ, words_put(&w2, 1, (uint64_t[]){1})).call;
    struct sb_rpc_account_override o = {
        .addr = contract_addr(STORE), .has_code = true, .code = sb_span(k_code[READ], 9)};
    read.to = store.to;
    struct sb_rpc_simulate_block blocks[2] = {{.calls = &store, .call_count = 1},
                                              {.block_override = {.has_number = true, .number = 4},
                                               .overrides = &o,
                                               .override_count = 1,
                                               .calls = &read,
                                               .call_count = 1}};
    struct sb_rpc_simulation simulation = {
        .block = at_tag(SB_RPC_LATEST), .blocks = blocks, .block_count = 2};
    json_t *root = simulate(&simulation);
    assert_int_equal(json_array_size(root), 3); /* block 3 fills the gap */
    json_t *last = json_array_get(root, 2);
    json_t *call = json_array_get(json_object_get(last, "calls"), 0);
    assert_string_equal(json_text_of(call, "returnData"),
                        "0x0000000000000000000000000000000000000000000000000000000000000002");
    assert_string_equal(json_text_of(call, "status"), "0x1");
    assert_int_equal(json_quantity_of(last, "number"), 4);
    assert_string_equal(json_text_of(last, "parentHash"),
                        json_text_of(json_array_get(root, 1), "hash"));
    assert_string_not_equal(json_text_of(last, "stateRoot"),
                            json_text_of(json_array_get(root, 0), "stateRoot"));
    assert_int_equal(json_quantity_of(last, "timestamp"),
                     json_quantity_of(json_array_get(root, 1), "timestamp") + 12);
    json_decref(root);
}

static void simulate_logs_transfers_if_asked(void **state)
{
    (void)state;
    struct sb_rpc_call calls[2] = {query_to(&q, LOGGER, sb_span("hello", 5)).call,
                                   query_to(&q, REVERTER, k_nothing).call};
    calls[0].value = sb_u256_from_u64(1000);
    calls[1].value = sb_u256_from_u64(1000);
    struct sb_rpc_simulate_block block = {.calls = calls, .call_count = 2};
    struct sb_rpc_simulation simulation = {.block = at_tag(SB_RPC_LATEST),
                                           .blocks = &block,
                                           .block_count = 1,
                                           .trace_transfers = true};
    json_t *root = simulate(&simulation);
    json_t *done = json_object_get(json_array_get(root, 0), "calls");
    json_t *logs = json_object_get(json_array_get(done, 0), "logs");
    assert_int_equal(json_array_size(logs), 2);
    assert_string_equal(json_text_of(json_array_get(logs, 0), "address"),
                        "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
    assert_string_equal(json_text_of(json_array_get(logs, 1), "data"), "0x68656c6c6f");
    assert_string_equal(json_text_of(json_array_get(logs, 1), "logIndex"), "0x1");
    json_t *failed = json_array_get(done, 1);
    assert_int_equal(json_array_size(json_object_get(failed, "logs")), 0);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(failed, "error"), "code")),
                     3);
    json_decref(root);
    simulation.trace_transfers = false;
    root = simulate(&simulation);
    done = json_object_get(json_array_get(root, 0), "calls");
    assert_int_equal(json_array_size(json_object_get(json_array_get(done, 0), "logs")), 1);
    json_decref(root);
}

static void simulate_refuses_with_the_codes_of_the_specification(void **state)
{
    (void)state;
    struct sb_rpc_call call = query_to(&q, READ, k_nothing).call;
    struct sb_rpc_simulate_block block = {.calls = &call, .call_count = 1};
    struct sb_rpc_simulation simulation = {
        .block = at_tag(SB_RPC_LATEST), .blocks = &block, .block_count = 1};
    call.has_gas = true;
    call.gas = 0;
    simulate_fails(&simulation, -38013,
                   "err: intrinsic gas too low: have 0, want 21000 (supplied gas 0)");
    call.gas = 40000000;
    simulate_fails(&simulation, -38015, "block gas limit reached: 0 >= 30000000");
    call.gas = 100000;
    call.has_nonce = true;
    call.nonce = 9;
    json_decref(simulate(&simulation)); /* without validation any nonce passes */
    simulation.validation = true;
    call.has_max_fee = true;
    call.max_fee = fixture_gwei(10);
    struct sb_json json = json_begin(&q);
    assert_int_not_equal(
        q.table.simulate(q.table.ctx, &q.arena, &simulation, &q.stop, &json, &q.failure), SB_OK);
    assert_int_equal(q.failure.code, -38011);
    call.has_nonce = false;
    call.max_fee = sb_u256_zero();
    json = json_begin(&q);
    assert_int_not_equal(
        q.table.simulate(q.table.ctx, &q.arena, &simulation, &q.stop, &json, &q.failure), SB_OK);
    assert_int_equal(q.failure.code, -38012);
    block.block_override = (struct sb_rpc_block_override){.has_number = true, .number = 1};
    simulate_fails(&simulation, -38020, "block numbers must be in order: 1 <= 1");
    block.block_override = (struct sb_rpc_block_override){.has_number = true, .number = 300};
    simulate_fails(&simulation, -38026, "too many blocks");
    block.block_override = (struct sb_rpc_block_override){.has_time = true, .time = 5};
    char want[80];
    (void)snprintf(want, sizeof want, "block timestamps must be in order: 5 <= %llu",
                   (unsigned long long)sb_chain_head(q.chain.chain).header.timestamp);
    simulate_fails(&simulation, -38021, want);
}

/* The root tells a block with a call from one without, is the same each time, and nothing of a simulation stays. */
static void simulate_state_root_follows_the_calls(void **state)
{
    (void)state;
    struct sb_rpc_call call = {.has_from = true,
                               .from = q.chain.addrs[0],
                               .has_to = true,
                               .to = q.chain.addrs[3],
                               .value = sb_u256_from_u64(1)};
    struct sb_rpc_simulate_block block = {.calls = &call, .call_count = 1};
    struct sb_rpc_simulation simulation = {
        .block = at_tag(SB_RPC_LATEST), .blocks = &block, .block_count = 1};
    json_t *with = simulate(&simulation);
    block.call_count = 0;
    json_t *without = simulate(&simulation);
    const char *root = json_text_of(json_array_get(without, 0), "stateRoot");
    assert_string_not_equal(json_text_of(json_array_get(with, 0), "stateRoot"), root);
    assert_string_not_equal(root,
                            "0x0000000000000000000000000000000000000000000000000000000000000000");
    json_decref(with);
    json_t *again = simulate(&simulation);
    assert_string_equal(json_text_of(json_array_get(again, 0), "stateRoot"), root);
    json_decref(again);
    json_decref(without);
}

/* Every block's root covers all changes so far: many slots times many blocks is refused. */
static void simulate_bounds_the_state_that_it_hashes(void **state)
{
    (void)state;
    enum { SLOTS = 2000, BLOCKS = 128 };
    static struct sb_slot_diff slots[SLOTS];
    static struct sb_rpc_simulate_block blocks[BLOCKS];
    for (size_t i = 0; i < SLOTS; i++) {
        slots[i].key.b[30] = (uint8_t)(i >> 8);
        slots[i].key.b[31] = (uint8_t)i;
        slots[i].value = sb_u256_from_u64(i + 1);
    }
    struct sb_rpc_account_override o = {
        .addr = contract_addr(STORE), .state_diff = slots, .state_diff_count = SLOTS};
    blocks[0] = (struct sb_rpc_simulate_block){.overrides = &o, .override_count = 1};
    struct sb_rpc_simulation simulation = {
        .block = at_tag(SB_RPC_LATEST), .blocks = blocks, .block_count = 50};
    json_decref(simulate(&simulation));
    simulation.block_count = BLOCKS;
    simulate_fails(&simulation, SB_RPC_LIMIT,
                   "the blocks change too much state: their roots together may cover 200000 "
                   "accounts and slots");
}

/* ---- traces ---- */

/* mine: a transaction of account 0 to a contract, in a block of its own. */
static sb_hash mine(enum contract contract, sb_bytes data, uint64_t nonce)
{
    struct sb_tx tx = fixture_tx(&q.chain, 0, nonce);
    tx.to = contract_addr(contract);
    tx.data = data;
    tx.value = sb_u256_zero();
    tx.gas_limit = 200000;
    sb_hash hash;
    fixture_check(&q.chain, fixture_add(&q.chain, &tx, 0, &hash));
    fixture_propose(&q.chain);
    return hash;
}

static json_t *trace(const sb_hash *hash, const struct sb_rpc_trace_config *config)
{
    struct sb_json json = json_begin(&q);
    sb_err err = q.table.trace_tx(q.table.ctx, &q.arena, hash, config, &q.stop, &json, &q.failure);
    return json_parsed(&q, err, &json);
}

static uint64_t gas_used_of_head(void)
{
    return sb_chain_head(q.chain.chain).header.gas_used;
}

static void trace_steps_add_up_to_the_gas_used(void **state)
{
    (void)state;
    struct words w;
    sb_hash hash = mine(STORE, words_put(&w, 2, (uint64_t[]){1, 2}), 0);
    struct sb_rpc_trace_config config = {.tracer = SB_RPC_TRACER_STRUCT_LOGS};
    json_t *root = trace(&hash, &config);
    json_t *steps = json_object_get(root, "structLogs");
    uint64_t sum = 0;
    for (size_t i = 0; i < json_array_size(steps); i++) {
        sum += (uint64_t)json_integer_value(json_object_get(json_array_get(steps, i), "gasCost"));
    }
    /* 64 bytes of data, two of them not zero */
    assert_int_equal(sum + 21000 + 62 * 4 + 2 * 16, gas_used_of_head());
    assert_int_equal(json_integer_value(json_object_get(root, "gas")), gas_used_of_head());
    assert_false(json_boolean_value(json_object_get(root, "failed")));
    json_t *last = json_array_get(steps, 4);
    assert_string_equal(json_text_of(last, "op"), "SSTORE");
    assert_string_equal(
        json_text_of(json_object_get(last, "storage"),
                     "0x0000000000000000000000000000000000000000000000000000000000000001"),
        "0x0000000000000000000000000000000000000000000000000000000000000002");
    json_decref(root);
    config.step_limit = 2;
    config.disable_stack = true;
    root = trace(&hash, &config);
    steps = json_object_get(root, "structLogs");
    assert_int_equal(json_array_size(steps), 2);
    assert_null(json_object_get(json_array_get(steps, 0), "stack"));
    json_decref(root);
}

static void trace_of_calls_is_a_tree(void **state)
{
    (void)state;
    struct words w;
    sb_hash hash = mine(SWALLOW, words_to(&w, REVERTER, 1, (uint64_t[]){1}), 0);
    const struct sb_rpc_trace_config config = {.tracer = SB_RPC_TRACER_CALL, .with_log = true};
    json_t *root = trace(&hash, &config);
    assert_string_equal(json_text_of(root, "type"), "CALL");
    assert_int_equal(json_quantity_of(root, "gas"), 200000);
    assert_int_equal(json_quantity_of(root, "gasUsed"), gas_used_of_head());
    assert_null(json_object_get(root, "error"));
    json_t *inner = json_array_get(json_object_get(root, "calls"), 0);
    assert_string_equal(json_text_of(inner, "error"), "execution reverted");
    assert_string_equal(json_text_of(inner, "to"), "0xc000000000000000000000000000000000000001");
    assert_string_equal(json_text_of(inner, "from"), "0xc000000000000000000000000000000000000004");
    json_decref(root);
    hash = mine(LOGGER, sb_span("abc", 3), 1);
    root = trace(&hash, &config);
    json_t *log = json_array_get(json_object_get(root, "logs"), 0);
    assert_string_equal(json_text_of(log, "data"), "0x616263");
    json_decref(root);
}

/* A contract that calls itself until the depth or the gas ends: the deepest tree there is. */
static void trace_of_calls_writes_the_deepest_tree(void **state)
{
    (void)state;
    struct words w;
    static const uint8_t again[] = {0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x30, 0x5a, 0xf1};
    struct sb_rpc_account_override o = {
        .addr = contract_addr(READ), .has_code = true, .code = sb_span(again, sizeof again)};
    struct sb_rpc_query query = query_to(&q, READ, words_put(&w, 0, NULL));
    query.overrides = &o;
    query.override_count = 1;
    query.call.has_gas = true;
    query.call.gas = UINT64_C(1) << 50;
    const struct sb_rpc_trace_config config = {.tracer = SB_RPC_TRACER_CALL};
    struct sb_json json = json_begin(&q);
    assert_int_equal(
        q.table.trace_call(q.table.ctx, &q.arena, &query, &config, &q.stop, &json, &q.failure),
        SB_OK);
    assert_true(sb_json_done(&json));
    size_t frames = 0;
    for (size_t i = 0; i + 6 <= q.json_text.len; i++) {
        frames += memcmp(q.json_text.data + i, "\"CALL\"", 6) == 0 ? 1 : 0;
    }
    assert_true(frames > 1000);
}

static void trace_of_prestate_shows_before_and_after(void **state)
{
    (void)state;
    struct words w;
    struct words w2;
    (void)mine(STORE, words_put(&w, 2, (uint64_t[]){1, 2}), 0);
    sb_hash hash = mine(STORE, words_put(&w2, 2, (uint64_t[]){1, 3}), 1);
    struct sb_rpc_trace_config config = {.tracer = SB_RPC_TRACER_PRESTATE};
    const char *store = "0xc000000000000000000000000000000000000002";
    const char *slot = "0x0000000000000000000000000000000000000000000000000000000000000001";
    const char *two = "0x0000000000000000000000000000000000000000000000000000000000000002";
    const char *three = "0x0000000000000000000000000000000000000000000000000000000000000003";
    json_t *root = trace(&hash, &config);
    json_t *account = json_object_get(root, store);
    assert_string_equal(json_text_of(json_object_get(account, "storage"), slot), two);
    assert_int_equal(json_object_size(root), 3); /* sender, contract, fee recipient */
    json_decref(root);
    config.diff_mode = true;
    root = trace(&hash, &config);
    account = json_object_get(json_object_get(root, "pre"), store);
    assert_string_equal(json_text_of(json_object_get(account, "storage"), slot), two);
    account = json_object_get(json_object_get(root, "post"), store);
    assert_string_equal(json_text_of(json_object_get(account, "storage"), slot), three);
    assert_null(json_object_get(account, "balance"));
    json_decref(root);
}

static void trace_of_block_lists_transactions(void **state)
{
    (void)state;
    (void)fixture_send(&q.chain, 0, 0);
    (void)fixture_send(&q.chain, 1, 0);
    fixture_propose(&q.chain);
    const struct sb_rpc_trace_config config = {.tracer = SB_RPC_TRACER_CALL};
    const struct sb_rpc_block_ref latest = at_tag(SB_RPC_LATEST);
    const struct sb_rpc_block_ref genesis = at_number(0);
    struct sb_json json = json_begin(&q);
    sb_err err =
        q.table.trace_block(q.table.ctx, &q.arena, &latest, &config, &q.stop, &json, &q.failure);
    json_t *root = json_parsed(&q, err, &json);
    assert_int_equal(json_array_size(root), 2);
    assert_non_null(json_object_get(json_array_get(root, 1), "txHash"));
    json_decref(root);
    json = json_begin(&q);
    assert_int_not_equal(
        q.table.trace_block(q.table.ctx, &q.arena, &genesis, &config, &q.stop, &json, &q.failure),
        SB_OK);
    assert_string_equal(q.failure.message, "genesis is not traceable");
}

/* ---- many at once ---- */

#define THREADS       4
#define ASKED_BY_EACH 100

/* ask: estimates and calls with an arena of its own; counts wrong answers. */
static void *ask(void *arg)
{
    size_t *wrong = arg;
    struct sb_arena arena;
    struct words w;
    sb_arena_init(&arena, (size_t)64 << 20);
    for (size_t i = 0; i < ASKED_BY_EACH; i++) {
        struct sb_rpc_failure failure;
        struct sb_rpc_query query = query_to(&q, PROXY, words_to(&w, STORE, 2, (uint64_t[]){1, 2}));
        sb_bytes output;
        uint64_t gas;
        query.block = at_tag(i % 2 == 0 ? SB_RPC_LATEST : SB_RPC_PENDING);
        *wrong +=
            q.table.call(q.table.ctx, &arena, &query, &q.stop, &output, &gas, &failure) != SB_OK
                ? 1
                : 0;
        *wrong +=
            q.table.estimate_gas(q.table.ctx, &arena, &query, &q.stop, &gas, &failure) != SB_OK ? 1
                                                                                                : 0;
        sb_arena_reset(&arena);
    }
    sb_arena_fini(&arena);
    return NULL;
}

static void queries_run_beside_each_other_and_beside_blocks(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    size_t wrong[THREADS] = {0};
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &wrong[i]), 0);
    }
    for (uint64_t nonce = 0; nonce < 20; nonce++) {
        (void)fixture_send(&q.chain, 0, nonce);
        fixture_propose(&q.chain);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(wrong[i], 0);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(call_reverted_carries_data_and_reason),
        CASE(call_failed_is_worded_as_geth_words_it),
        CASE(call_without_funds_says_have_and_want),
        CASE(call_stopped_ends_with_timeout),
        CASE(call_sees_the_block_that_it_names),
        CASE(call_overrides_state),
        CASE(call_runs_moved_precompile),
        CASE(estimate_of_transfer_is_21000),
        CASE(estimate_is_exact_through_refunds_and_the_64th),
        CASE(estimate_does_not_let_swallowed_calls_fail),
        CASE(estimate_fails_with_reason),
        CASE(access_list_names_slots_and_leaves_out_the_callee),
        CASE(simulate_carries_state_from_block_to_block),
        CASE(simulate_logs_transfers_if_asked),
        CASE(simulate_refuses_with_the_codes_of_the_specification),
        CASE(simulate_state_root_follows_the_calls),
        CASE(simulate_bounds_the_state_that_it_hashes),
        CASE(trace_steps_add_up_to_the_gas_used),
        CASE(trace_of_calls_is_a_tree),
        CASE(trace_of_calls_writes_the_deepest_tree),
        CASE(trace_of_prestate_shows_before_and_after),
        CASE(trace_of_block_lists_transactions),
        CASE(queries_run_beside_each_other_and_beside_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
