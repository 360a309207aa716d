/* test_messages.c: calls and creations of the interpreter: gas handed on, undoing, delegation, limits of code, failures from outside. */
#include "tests/unit/vm/evm_bench.h"

#include "base/crypto/keccak.h"
#include "vm/evm/code.h"

/* --- calls --- */

struct depth_watch {
    int deepest;
    unsigned refused;
};

static void depth_on_enter(void *ctx, const struct sb_message *message, int depth)
{
    (void)message;
    struct depth_watch *w = ctx;
    w->deepest = depth > w->deepest ? depth : w->deepest;
}

static void depth_on_leave(void *ctx, enum sb_evm_status status, int64_t gas_used, sb_bytes output,
                           int depth)
{
    (void)output;
    struct depth_watch *w = ctx;
    if (status == SB_EVM_CALL_DEPTH) {
        assert_int_equal(depth, SB_EVM_DEPTH_MAX + 2);
        assert_int_equal(gas_used, 0);
        w->refused++;
    }
}

static void call_depth_ends_at_1024(void **state)
{
    (void)state;
    static const char *const k_programs[] = {"5f5f5f5f5f305af1", "5f5f5f5f305af4",
                                             "5f5f5f5f305afa"};
    for (size_t i = 0; i < 3; i++) {
        struct bench b;
        struct depth_watch watch = {0, 0};
        struct sb_tracer tracer = {.ctx = &watch, .enter = depth_on_enter, .leave = depth_on_leave};
        bench_init(&b, SB_REV_OSAKA, k_programs[i]);
        b.evm.tracer = &tracer;
        b.message.gas = INT64_C(1) << 62;
        assert_int_equal(bench_run(&b).status, SB_EVM_SUCCESS);
        assert_int_equal(watch.deepest,
                         SB_EVM_DEPTH_MAX + 2); /* the refused one is announced too */
        assert_int_equal(watch.refused, 1);
        bench_fini(&b);
    }
}

static void call_keeps_one_64th(void **state)
{
    (void)state;
    struct bench b;
    /* self asks for all gas; 0x77 burns it with INVALID */
    bench_init(&b, SB_REV_OSAKA,
               "5f5f5f5f5f6077"
               "5a"
               "f1"
               "00");
    account_put(&b, &k_other, 0, "fe");
    b.message.gas = 100000;
    struct sb_evm_result result = bench_run(&b);
    assert_int_equal(result.status, SB_EVM_SUCCESS);
    int64_t at_call = 100000 - (5 * 2 + 3 + 2) - 2600;
    assert_int_equal(result.gas_left, at_call / 64);
    bench_fini(&b);
}

static void quote_on_step(void *ctx, const struct sb_trace_step *step)
{
    int64_t *quoted = ctx;
    if (step->opcode >= 0xf0 && step->opcode <= 0xfa && step->opcode != 0xf3) {
        quoted[step->opcode - 0xf0] = step->gas_cost;
    }
}

static void trace_quotes_a_call_with_its_callees_gas(void **state)
{
    (void)state;
    struct bench b;
    int64_t quoted[16] = {0};
    struct sb_tracer tracer = {.ctx = quoted, .step = quote_on_step};
    /* CALL with 5,000 gas and value 1 to the cold, absent 0x77; STATICCALL with 7 gas; CREATE of nothing with one word of memory */
    bench_init(&b, SB_REV_OSAKA,
               "5f5f5f5f60016077611388f1"
               "5f5f5f5f60776007fa"
               "60205f5ff0");
    b.evm.tracer = &tracer;
    assert_int_equal(bench_run(&b).status, SB_EVM_SUCCESS);
    assert_int_equal(quoted[0x1], 2600 + 9000 + 25000 + 5000);
    assert_int_equal(quoted[0xa], 100 + 7);
    assert_int_equal(quoted[0x0], 32000 + 3 + 2);
    bench_fini(&b);
}

static void call_with_value_gives_a_stipend(void **state)
{
    (void)state;
    struct bench b;
    /* CALL(gas 0, 0x77, value 1): the callee returns what it has: 2300 - 2 */
    bench_init(&b, SB_REV_OSAKA,
               "60205f5f5f600160775ff1"
               "50"
               "60205ff3");
    account_put(&b, &k_other, 0, "5a5f5260205ff3");
    struct sb_evm_result result = bench_run(&b);
    assert_int_equal(result.status, SB_EVM_SUCCESS);
    assert_int_equal(sb_u256_load_be(result.output.data, 32).w[0], 2298);
    assert_int_equal(sb_overlay_balance(b.o, &k_other).w[0], 1);
    assert_int_equal(sb_overlay_balance(b.o, &k_self).w[0], 999);
    bench_fini(&b);
}

static void call_beyond_the_balance_fails_lightly(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, SB_REV_OSAKA, "5f5f5f5f6107d060775af1" RETURN_TOP);
    struct sb_evm_result result = bench_run(&b);
    assert_int_equal(result.status, SB_EVM_SUCCESS);
    assert_int_equal(sb_u256_load_be(result.output.data, 32).w[0], 0);
    assert_true(result.gas_left > GAS_PLENTY - 40000);
    bench_fini(&b);
}

static void reverted_callee_is_undone_and_its_data_returned(void **state)
{
    (void)state;
    struct bench b;
    /* 0x77: sstore(0, 1); log; revert(0, 5) */
    bench_init(&b, SB_REV_OSAKA,
               "5f5f5f5f5f60775af1"
               "3d"
               "5f52"
               "60205ff3");
    account_put(&b, &k_other, 0, "60015f555f5fa060055ffd");
    struct sb_evm_result result = bench_run(&b);
    assert_int_equal(result.status, SB_EVM_SUCCESS);
    assert_int_equal(sb_u256_load_be(result.output.data, 32).w[0], 5);
    sb_hash key = {.b = {0}};
    size_t log_count = 1;
    (void)sb_overlay_logs(b.o, &log_count);
    assert_int_equal(sb_overlay_slot(b.o, &k_other, &key).w[0], 0);
    assert_int_equal(log_count, 0);
    assert_false(sb_overlay_is_warm_slot(b.o, &k_other, &key));
    assert_true(sb_overlay_is_warm_addr(b.o, &k_other));
    bench_fini(&b);
}

static void delegated_account_runs_its_delegates_code(void **state)
{
    (void)state;
    static const char *const k_program = "5f5f5f5f5f60775af1505f54" RETURN_TOP;
    for (int r = 0; r < 2; r++) {
        struct bench b;
        bench_init(&b, r == 0 ? SB_REV_CANCUN : SB_REV_OSAKA, k_program);
        sb_addr delegate = {.b = {[19] = 0x78}};
        account_put(&b, &k_other, 0, "ef01000000000000000000000000000000000000000078");
        account_put(&b, &delegate, 0, "602a5f5500");
        struct sb_evm_result result = bench_run(&b);
        assert_int_equal(result.status, SB_EVM_SUCCESS);
        sb_hash key = {.b = {0}};
        assert_int_equal(sb_overlay_slot(b.o, &k_other, &key).w[0], r == 0 ? 0 : 42);
        assert_int_equal(sb_overlay_is_warm_addr(b.o, &delegate), r == 1);
        bench_fini(&b);
    }
}

static void missing_hook(void *ctx, const sb_addr *addr)
{
    assert_int_equal(addr->b[19], 0x11);
    ++*(unsigned *)ctx;
}

static void missing_precompile_fails_loudly(void **state)
{
    (void)state;
    struct bench b;
    unsigned calls = 0;
    bench_init(&b, SB_REV_OSAKA, "");
    b.evm.on_missing_precompile = missing_hook;
    b.evm.on_missing_ctx = &calls;
    b.message.recipient = b.message.code_addr = (sb_addr){.b = {[19] = 0x11}};
    struct sb_evm_result result = bench_run(&b);
    if (result.status != SB_EVM_PRECOMPILE_MISSING) {
        bench_fini(&b);
        skip(); /* this build has it */
    }
    assert_int_equal(calls, 1);
    assert_int_equal(result.gas_left, 0);
    bench_fini(&b);
}

/* --- creations --- */

static void expect_created(struct bench *b, const char *hex)
{
    struct sb_evm_result result = bench_run(b);
    assert_int_equal(result.status, SB_EVM_SUCCESS);
    for (size_t i = 0; i < 20; i++) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        assert_int_equal(result.created.b[i], byte);
    }
}

static void creation_addresses_agree_with_known_ones(void **state)
{
    (void)state;
    static const struct {
        enum sb_call_kind kind;
        uint64_t nonce;
        sb_addr sender;
        const char *created;
    } k_known[] = {
        {SB_CREATE,
         0,
         {{0x6a, 0xc7, 0xea, 0x33, 0xf8, 0x83, 0x1e, 0xa9, 0xdc, 0xc5,
           0x33, 0x93, 0xaa, 0xa8, 0x8b, 0x25, 0xa7, 0x85, 0xdb, 0xf0}},
         "cd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"},
        {SB_CREATE,
         1,
         {{0x6a, 0xc7, 0xea, 0x33, 0xf8, 0x83, 0x1e, 0xa9, 0xdc, 0xc5,
           0x33, 0x93, 0xaa, 0xa8, 0x8b, 0x25, 0xa7, 0x85, 0xdb, 0xf0}},
         "343c43a37d37dff08ae8c4a11544c718abb4fcf8"},
        /* EIP-1014, initcode 0x00, salt 0 */
        {SB_CREATE2, 0, {{0}}, "4d1a2e2bb4f88f0250f26ffff098b0b30b26bf38"},
        {SB_CREATE2, 0, {{0xde, 0xad, 0xbe, 0xef}}, "b928f69bb1d91cd65274e3c79d8986362984fda3"},
    };
    for (size_t i = 0; i < sizeof k_known / sizeof k_known[0]; i++) {
        struct bench b;
        bench_init(&b, SB_REV_OSAKA, "");
        sb_u256 zero = sb_u256_zero();
        sb_memory_state_set_account(b.base, &k_known[i].sender, k_known[i].nonce, &zero,
                                    sb_span(NULL, 0));
        b.message.kind = k_known[i].kind;
        b.message.sender = k_known[i].sender;
        b.message.input = sb_span("\0", 1);
        expect_created(&b, k_known[i].created);
        assert_int_equal(sb_overlay_nonce(b.o, &k_known[i].sender), k_known[i].nonce + 1);
        bench_fini(&b);
    }
}

static struct sb_evm_result create_with(struct bench *b, enum sb_revision revision,
                                        const char *initcode, int64_t gas)
{
    bench_init(b, revision, "");
    b->message.kind = SB_CREATE;
    b->message.gas = gas;
    b->message.input = program(b, initcode);
    return bench_run(b);
}

static void deposited_code_obeys_its_limits(void **state)
{
    (void)state;
    static const struct {
        enum sb_revision revision;
        const char *initcode;
        enum sb_evm_status status;
    } k_cases[] = {
        {SB_REV_OSAKA, "6160005ff3", SB_EVM_SUCCESS}, /* 24,576 bytes */
        {SB_REV_OSAKA, "6160015ff3", SB_EVM_CODE_TOO_LARGE},
        {SB_REV_HOMESTEAD, "6160016000f3", SB_EVM_SUCCESS},
        {SB_REV_BERLIN, "60ef60005360016000f3", SB_EVM_SUCCESS},
        {SB_REV_LONDON, "60ef60005360016000f3", SB_EVM_INVALID_CODE},
        {SB_REV_OSAKA, "60015ffd", SB_EVM_REVERT},
    };
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        struct bench b;
        struct sb_evm_result result =
            create_with(&b, k_cases[i].revision, k_cases[i].initcode, GAS_PLENTY);
        assert_int_equal(result.status, k_cases[i].status);
        assert_int_equal(sb_overlay_exists(b.o, &result.created),
                         k_cases[i].status == SB_EVM_SUCCESS);
        bench_fini(&b);
    }
    /* one byte of code costs 200: Frontier then leaves the account without code, Homestead fails (EIP-2) */
    for (int r = 0; r < 2; r++) {
        struct bench b;
        struct sb_evm_result result =
            create_with(&b, r == 0 ? SB_REV_FRONTIER : SB_REV_HOMESTEAD, "60016000f3", 6 + 3 + 199);
        assert_int_equal(result.status, r == 0 ? SB_EVM_SUCCESS : SB_EVM_OUT_OF_GAS);
        assert_int_equal(result.gas_left, r == 0 ? 199 : 0);
        assert_int_equal(sb_overlay_code(b.o, &result.created).len, 0);
        bench_fini(&b);
    }
}

static void initcode_over_the_limit_fails(void **state)
{
    (void)state;
    expect_status(SB_REV_SHANGHAI, "61c00060006000f0", SB_EVM_SUCCESS);
    expect_status(SB_REV_SHANGHAI, "61c00160006000f0", SB_EVM_INITCODE_TOO_LARGE);
    expect_status(SB_REV_PARIS, "61c00160006000f0", SB_EVM_SUCCESS);
}

static void creation_on_a_taken_address_burns_its_gas(void **state)
{
    (void)state;
    sb_addr taken;
    struct bench b;
    struct sb_evm_result result = create_with(&b, SB_REV_OSAKA, "00", GAS_PLENTY);
    assert_int_equal(result.status, SB_EVM_SUCCESS);
    taken = result.created;
    bench_fini(&b);
    for (int how = 0; how < 3; how++) {
        bench_init(&b, SB_REV_OSAKA, "");
        sb_u256 one = sb_u256_from_u64(1);
        sb_hash key = {.b = {0}};
        sb_memory_state_set_account(b.base, &taken, how == 0 ? 1 : 0, &one,
                                    sb_span("\x00", how == 1 ? 1 : 0));
        if (how == 2) { /* EIP-7610 */
            sb_memory_state_set_slot(b.base, &taken, &key, &one);
        }
        b.message.kind = SB_CREATE;
        b.message.input = sb_span("\0", 1);
        result = bench_run(&b);
        assert_int_equal(result.status, SB_EVM_ADDRESS_COLLISION);
        assert_int_equal(result.gas_left, 0);
        assert_int_equal(sb_overlay_nonce(b.o, &k_origin), 2);
        bench_fini(&b);
    }
}

static void selfdestruct_removes_only_what_the_rules_say(void **state)
{
    (void)state;
    for (int r = 0; r < 2; r++) {
        struct bench b;
        bench_init(&b, r == 0 ? SB_REV_SHANGHAI : SB_REV_CANCUN, "6077ff");
        assert_int_equal(bench_run(&b).status, SB_EVM_SUCCESS);
        sb_overlay_tx_end(b.o);
        assert_int_equal(sb_overlay_exists(b.o, &k_self), r == 1); /* EIP-6780 */
        assert_int_equal(sb_overlay_balance(b.o, &k_self).w[0], 0);
        assert_int_equal(sb_overlay_balance(b.o, &k_other).w[0], 1000);
        bench_fini(&b);
    }
    /* created and destroyed in one transaction, heir itself: gone, and the money with it */
    struct bench b;
    bench_init(&b, SB_REV_CANCUN, "");
    b.message.kind = SB_CREATE;
    b.message.value = sb_u256_from_u64(9);
    b.message.input = program(&b, "30ff");
    struct sb_evm_result result = bench_run(&b);
    assert_int_equal(result.status, SB_EVM_SUCCESS);
    sb_overlay_tx_end(b.o);
    assert_false(sb_overlay_exists(b.o, &result.created));
    bench_fini(&b);
    /* kept, heir itself: nothing happens */
    bench_init(&b, SB_REV_CANCUN, "30ff");
    assert_int_equal(bench_run(&b).status, SB_EVM_SUCCESS);
    assert_int_equal(sb_overlay_balance(b.o, &k_self).w[0], 1000);
    bench_fini(&b);
}

/* --- environment --- */

static void stop_flag_ends_an_endless_loop(void **state)
{
    (void)state;
    struct bench b;
    atomic_bool stop = true;
    bench_init(&b, SB_REV_OSAKA, "5f5f5f5f5f60775af15b5f56");
    account_put(&b, &k_other, 0, "5b5f56");
    b.evm.stop = &stop;
    b.message.gas = INT64_MAX;
    struct sb_evm_result result = bench_run(&b);
    assert_int_equal(result.status, SB_EVM_STOPPED);
    assert_int_equal(result.gas_left, 0);
    bench_fini(&b);
}

static void on_step_stop(void *ctx, const struct sb_trace_step *step)
{
    if (step->depth == 3) {
        atomic_store((atomic_bool *)ctx, true);
    }
}

static void stop_flag_unwinds_every_frame(void **state)
{
    (void)state;
    struct bench b;
    atomic_bool stop = false;
    struct sb_tracer tracer = {.ctx = &stop, .step = on_step_stop};
    bench_init(&b, SB_REV_OSAKA,
               "60015f555f5f5f5f5f305af1"
               "00");
    b.evm.stop = &stop;
    b.evm.tracer = &tracer;
    assert_int_equal(bench_run(&b).status, SB_EVM_STOPPED);
    sb_hash key = {.b = {0}};
    assert_int_equal(sb_overlay_slot(b.o, &k_self, &key).w[0], 0);
    bench_fini(&b);
}

static sb_err storage_fails(void *ctx, const sb_addr *addr, const sb_hash *key, sb_u256 *ret_value)
{
    (void)ctx;
    (void)addr;
    (void)key;
    (void)ret_value;
    return SB_E_IO;
}

static void failing_view_is_an_error_not_an_outcome(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, SB_REV_OSAKA, "5f545f5f5f5f5f305af1");
    struct sb_state_view view = sb_memory_state_view(b.base);
    view.storage = storage_fails;
    b.o = sb_overlay_new(&view, &b.rules, OVERLAY_BYTES);
    b.evm.rules = &b.rules;
    b.evm.block = &b.block;
    b.evm.tx = &b.tx;
    b.evm.state = b.o;
    struct sb_evm_result result = {.status = SB_EVM_REVERT};
    assert_int_equal(sb_evm_run(&result, &b.evm, b.memory, &b.message), SB_E_IO);
    assert_int_equal(result.status, SB_EVM_REVERT);
    bench_fini(&b);
}

/* More codes than the cache has places, and their hashes are nobody's choice: each is found again, so none is prepared twice. */
static void code_cache_finds_every_code_again_until_it_is_full(void **state)
{
    (void)state;
    enum { CODES = 3 * SB_CODE_CACHE_PLACES / 2 };
    static struct sb_code_cache cache;
    static uint8_t big[SB_CODE_CACHE_BYTES_MAX / 4];
    sb_code_cache_init(&cache);
    for (uint32_t i = 0; i < CODES; i++) {
        sb_hash hash = sb_keccak256(sb_span((const uint8_t *)&i, sizeof i));
        struct sb_code *code =
            sb_code_prepare(&cache, &hash, sb_span((const uint8_t *)&i, sizeof i));
        assert_non_null(code);
        sb_code_release(code);
    }
    for (uint32_t i = 0; i < CODES; i++) {
        sb_hash hash = sb_keccak256(sb_span((const uint8_t *)&i, sizeof i));
        struct sb_code *code = sb_code_find(&cache, &hash);
        assert_non_null(code);
        assert_memory_equal(code->bytes, &i, sizeof i);
        if (i != 0) { /* the first stays in use */
            sb_code_release(code);
        }
    }
    for (uint32_t i = 0; i < 5; i++) {
        sb_hash hash = {.b = {(uint8_t)i}};
        struct sb_code *code = sb_code_prepare(&cache, &hash, sb_span(big, sizeof big));
        assert_non_null(code);
        sb_code_release(code);
        assert_true(cache.bytes <= SB_CODE_CACHE_BYTES_MAX);
    }
    uint32_t first = 0;
    sb_hash used = sb_keccak256(sb_span((const uint8_t *)&first, sizeof first));
    sb_hash oldest_big = {.b = {0}};
    assert_non_null(sb_code_find(&cache, &used));
    assert_null(sb_code_find(&cache, &oldest_big));
    sb_code_cache_fini(&cache);
}

static struct sb_state_view counted_view;
static size_t other_reads;

static sb_err count_account(void *ctx, const sb_addr *addr, struct sb_account *ret_account,
                            bool *ret_exists)
{
    other_reads += sb_addr_equal(addr, &k_other);
    return counted_view.account(ctx, addr, ret_account, ret_exists);
}

/* A database read is what a cold access pays for, so it comes after the payment. */
static void call_that_cannot_pay_for_a_cold_callee_does_not_read_it(void **state)
{
    (void)state;
    for (int64_t short_gas = 0; short_gas < 2; short_gas++) {
        struct bench b;
        bench_init(&b, SB_REV_OSAKA, "5f5f5f5f60775afa");
        counted_view = sb_memory_state_view(b.base);
        struct sb_state_view view = counted_view;
        view.account = count_account;
        bench_begin(&b);
        sb_overlay_free(b.o);
        b.o = sb_overlay_new(&view, &b.rules, OVERLAY_BYTES);
        assert_non_null(b.o);
        sb_overlay_tx_begin(b.o);
        b.evm.state = b.o;
        b.message.gas = 4 * 2 + 3 + 2 + 2600 - short_gas;
        other_reads = 0;
        enum sb_evm_status status = bench_run(&b).status;
        assert_int_equal(status, short_gas ? SB_EVM_OUT_OF_GAS : SB_EVM_SUCCESS);
        assert_int_equal(other_reads, short_gas ? 0 : 1);
        bench_fini(&b);
    }
}

/* EIP-7702: a delegation to a precompile runs nothing, even where the precompile's account has code. */
static void call_of_an_account_delegated_to_a_precompile_runs_empty_code(void **state)
{
    (void)state;
    static const uint8_t delegated[23] = {0xef, 0x01, 0x00, [21] = 0x5b, [22] = 0x03};
    struct bench b;
    sb_u256 zero = sb_u256_zero();
    sb_addr fixed_math = {.b = {[18] = 0x5b, [19] = 0x03}};
    /* returns whether STATICCALL to 0x77 succeeded, and the size of what came back */
    bench_init(&b, SB_REV_OSAKA, "5f5f5f5f60775afa5f523d60205260405ff3");
    b.rules = sb_rules_make(SB_PROFILE_SAMEBIT, SB_REV_OSAKA, 1);
    account_put(&b, &fixed_math, 0, "fe");
    sb_memory_state_set_account(b.base, &k_other, 0, &zero, sb_span(delegated, sizeof delegated));
    bench_begin(&b);
    struct sb_evm_result r = bench_run(&b);
    assert_int_equal(r.status, SB_EVM_SUCCESS);
    assert_int_equal(r.output.len, 64);
    assert_int_equal(r.output.data[31], 1);
    assert_int_equal(r.output.data[63], 0);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_depth_ends_at_1024),
        cmocka_unit_test(call_keeps_one_64th),
        cmocka_unit_test(trace_quotes_a_call_with_its_callees_gas),
        cmocka_unit_test(call_with_value_gives_a_stipend),
        cmocka_unit_test(call_beyond_the_balance_fails_lightly),
        cmocka_unit_test(reverted_callee_is_undone_and_its_data_returned),
        cmocka_unit_test(delegated_account_runs_its_delegates_code),
        cmocka_unit_test(call_that_cannot_pay_for_a_cold_callee_does_not_read_it),
        cmocka_unit_test(call_of_an_account_delegated_to_a_precompile_runs_empty_code),
        cmocka_unit_test(code_cache_finds_every_code_again_until_it_is_full),
        cmocka_unit_test(missing_precompile_fails_loudly),
        cmocka_unit_test(creation_addresses_agree_with_known_ones),
        cmocka_unit_test(deposited_code_obeys_its_limits),
        cmocka_unit_test(initcode_over_the_limit_fails),
        cmocka_unit_test(creation_on_a_taken_address_burns_its_gas),
        cmocka_unit_test(selfdestruct_removes_only_what_the_rules_say),
        cmocka_unit_test(stop_flag_ends_an_endless_loop),
        cmocka_unit_test(stop_flag_unwinds_every_frame),
        cmocka_unit_test(failing_view_is_an_error_not_an_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
