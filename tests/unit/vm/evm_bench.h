/* evm_bench.h: one program under test in the interpreter, for the tests of vm/evm.
 *
 * Programs are written in hex. The program under test lies at k_self, has 1,000 wei and is called by k_origin with the gas that the
 * test says; "used" is what it takes of that. */
#ifndef SB_TESTS_UNIT_VM_EVM_BENCH_H
#define SB_TESTS_UNIT_VM_EVM_BENCH_H

#include "vm/evm/evm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/memory_state.h"

#define OVERLAY_BYTES     ((size_t)256 << 20)
#define PROGRAM_BYTES_MAX 2048
#define GAS_PLENTY        (INT64_C(1) << 40)

static const sb_addr k_origin = {.b = {0xee, [19] = 1}};
static const sb_addr k_self = {.b = {0xc0, [19] = 1}};
static const sb_addr k_other = {.b = {[19] = 0x77}};

/* Everything that a run needs; tests change what they are about. */
struct bench {
    struct sb_rules rules;
    struct sb_memory_state *base;
    struct sb_overlay *o;
    struct sb_block_env block;
    struct sb_tx_env tx;
    struct sb_evm evm;
    struct sb_evm_memory *memory;
    struct sb_message message;
    uint8_t program[PROGRAM_BYTES_MAX];
};

static inline sb_bytes program(struct bench *b, const char *hex)
{
    size_t len = strlen(hex) / 2;
    assert_true(len <= PROGRAM_BYTES_MAX);
    for (size_t i = 0; i < len; i++) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        b->program[i] = (uint8_t)byte;
    }
    return sb_span(b->program, len);
}

static inline void account_put(struct bench *b, const sb_addr *a, uint64_t balance, const char *hex)
{
    sb_u256 wei = sb_u256_from_u64(balance);
    sb_memory_state_set_account(b->base, a, 1, &wei, program(b, hex));
}

static inline void bench_init(struct bench *b, enum sb_revision revision, const char *hex)
{
    memset(b, 0, sizeof *b);
    b->rules = sb_rules_make(SB_PROFILE_ETHEREUM, revision, 1);
    b->base = sb_memory_state_new();
    account_put(b, &k_origin, UINT64_C(1) << 60, "");
    account_put(b, &k_self, 1000, hex);
    b->memory = sb_evm_memory_new();
    assert_non_null(b->memory);
    b->block = (struct sb_block_env){.number = 1000, .timestamp = 5, .gas_limit = 30000000};
    b->tx = (struct sb_tx_env){.origin = k_origin};
    b->message = (struct sb_message){
        .kind = SB_CALL,
        .gas = GAS_PLENTY,
        .sender = k_origin,
        .recipient = k_self,
        .code_addr = k_self,
    };
}

/* Make the overlay; the base state is complete. */
static inline void bench_begin(struct bench *b)
{
    struct sb_state_view view = sb_memory_state_view(b->base);
    b->o = sb_overlay_new(&view, &b->rules, OVERLAY_BYTES);
    assert_non_null(b->o);
    sb_overlay_tx_begin(b->o);
    b->evm.rules = &b->rules;
    b->evm.block = &b->block;
    b->evm.tx = &b->tx;
    b->evm.state = b->o;
}

static inline struct sb_evm_result bench_run(struct bench *b)
{
    struct sb_evm_result result;
    if (b->o == NULL) {
        bench_begin(b);
    }
    assert_int_equal(sb_evm_run(&result, &b->evm, b->memory, &b->message), SB_OK);
    return result;
}

static inline void bench_fini(struct bench *b)
{
    sb_overlay_free(b->o);
    sb_evm_memory_free(b->memory);
    sb_memory_state_free(b->base);
}

/* Status and gas of a program at a revision. Not inlined: a bench is some kilobytes, and tests call this often. */
__attribute__((noinline, unused)) static enum sb_evm_status
run_status(enum sb_revision revision, const char *hex, int64_t gas, int64_t *ret_used)
{
    struct bench b;
    bench_init(&b, revision, hex);
    b.message.gas = gas;
    struct sb_evm_result result = bench_run(&b);
    *ret_used = gas - result.gas_left;
    bench_fini(&b);
    return result.status;
}

static inline void expect_used(enum sb_revision revision, const char *hex, int64_t used)
{
    int64_t got = 0;
    enum sb_evm_status status = run_status(revision, hex, GAS_PLENTY, &got);
    if (status != SB_EVM_SUCCESS || got != used) {
        print_error("%s at %s: %s, %lld gas, want %lld\n", hex, sb_revision_name(revision),
                    sb_evm_status_text(status), (long long)got, (long long)used);
    }
    assert_int_equal(status, SB_EVM_SUCCESS);
    assert_int_equal(got, used);
    /* and not a unit less will do */
    assert_int_equal(run_status(revision, hex, used, &got), SB_EVM_SUCCESS);
    assert_int_equal(run_status(revision, hex, used - 1, &got), SB_EVM_OUT_OF_GAS);
    assert_int_equal(got, used - 1);
}

static inline void expect_status(enum sb_revision revision, const char *hex,
                                 enum sb_evm_status status)
{
    int64_t used = 0;
    assert_int_equal(run_status(revision, hex, 1000000, &used), status);
    if (status != SB_EVM_SUCCESS && status != SB_EVM_REVERT) {
        assert_int_equal(used, 1000000);
    }
}

/* The word that a program returns. */
__attribute__((noinline, unused)) static sb_u256 run_word(enum sb_revision revision,
                                                          const char *hex)
{
    struct bench b;
    bench_init(&b, revision, hex);
    struct sb_evm_result result = bench_run(&b);
    assert_int_equal(result.status, SB_EVM_SUCCESS);
    assert_int_equal(result.output.len, 32);
    sb_u256 word = sb_u256_load_be(result.output.data, 32);
    bench_fini(&b);
    return word;
}

#define RETURN_TOP "60005260206000f3"

static inline void expect_word(enum sb_revision revision, const char *hex, uint64_t value)
{
    sb_u256 word = run_word(revision, hex);
    assert_true(sb_u256_fits_u64(&word));
    assert_int_equal(word.w[0], value);
}

#endif
