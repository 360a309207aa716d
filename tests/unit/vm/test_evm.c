/* test_evm.c: facts about single instructions, prices at revisions, and limits of the interpreter.
 *
 * Programs are written in hex. The program under test lies at k_self, has 1,000 wei and is called by k_origin with the gas that the
 * test says; "used" is what it takes of that. Longer stories are told by the public state tests. */
#include "vm/evm/evm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/memory_state.h"
#include "tests/support/vectors.h"
#include "vm/evm/opcodes.h"

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

static sb_bytes program(struct bench *b, const char *hex)
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

static void account_put(struct bench *b, const sb_addr *a, uint64_t balance, const char *hex)
{
    sb_u256 wei = sb_u256_from_u64(balance);
    sb_memory_state_set_account(b->base, a, 1, &wei, program(b, hex));
}

static void bench_init(struct bench *b, enum sb_revision revision, const char *hex)
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
static void bench_begin(struct bench *b)
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

static struct sb_evm_result bench_run(struct bench *b)
{
    struct sb_evm_result result;
    if (b->o == NULL) {
        bench_begin(b);
    }
    assert_int_equal(sb_evm_run(&result, &b->evm, b->memory, &b->message), SB_OK);
    return result;
}

static void bench_fini(struct bench *b)
{
    sb_overlay_free(b->o);
    sb_evm_memory_free(b->memory);
    sb_memory_state_free(b->base);
}

/* Status and gas of a program at a revision. */
static enum sb_evm_status run_status(enum sb_revision revision, const char *hex, int64_t gas,
                                     int64_t *ret_used)
{
    struct bench b;
    bench_init(&b, revision, hex);
    b.message.gas = gas;
    struct sb_evm_result result = bench_run(&b);
    *ret_used = gas - result.gas_left;
    bench_fini(&b);
    return result.status;
}

static void expect_used(enum sb_revision revision, const char *hex, int64_t used)
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

static void expect_status(enum sb_revision revision, const char *hex, enum sb_evm_status status)
{
    int64_t used = 0;
    assert_int_equal(run_status(revision, hex, 1000000, &used), status);
    if (status != SB_EVM_SUCCESS && status != SB_EVM_REVERT) {
        assert_int_equal(used, 1000000);
    }
}

/* The word that a program returns. */
static sb_u256 run_word(enum sb_revision revision, const char *hex)
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

static void expect_word(enum sb_revision revision, const char *hex, uint64_t value)
{
    sb_u256 word = run_word(revision, hex);
    assert_true(sb_u256_fits_u64(&word));
    assert_int_equal(word.w[0], value);
}

/* --- public vectors --- */

static void run_vectors(const char *name, uint8_t opcode)
{
    char member[128];
    (void)snprintf(member, sizeof member, "geth-precompiles/testcases_%s.json", name);
    json_t *cases = sb_vectors_load("ethereum/precompiles.tar.zst", member);
    struct bench b;
    bench_init(&b, SB_REV_OSAKA, "");
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(cases, i, item)
    {
        uint8_t code[33 + 33 + 1 + 8] = {SB_OP_PUSH32};
        uint8_t want[32];
        assert_int_equal(sb_vectors_hex(code + 1, 32, json_object_get(item, "X")), 32);
        code[33] = SB_OP_PUSH32;
        assert_int_equal(sb_vectors_hex(code + 34, 32, json_object_get(item, "Y")), 32);
        code[66] = opcode;
        memcpy(code + 67, "\x60\x00\x52\x60\x20\x60\x00\xf3", 8);
        assert_int_equal(sb_vectors_hex(want, sizeof want, json_object_get(item, "Expected")), 32);
        if (b.o == NULL) {
            bench_begin(&b);
        }
        sb_overlay_code_set(b.o, &k_self, sb_span(code, sizeof code));
        struct sb_evm_result result = bench_run(&b);
        assert_int_equal(result.status, SB_EVM_SUCCESS);
        assert_memory_equal(result.output.data, want, 32);
    }
    assert_true(i > 0);
    json_decref(cases);
    bench_fini(&b);
}

#define VECTOR_TEST(name, opcode)                                                                  \
    static void vectors_##name##_agree(void **state)                                               \
    {                                                                                              \
        (void)state;                                                                               \
        run_vectors(#name, opcode);                                                                \
    }

#define VECTOR_FILES(X)                                                                            \
    X(add, SB_OP_ADD)                                                                              \
    X(and, SB_OP_AND)                                                                              \
    X(byte, SB_OP_BYTE)                                                                            \
    X(div, SB_OP_DIV)                                                                              \
    X(eq, SB_OP_EQ)                                                                                \
    X(exp, SB_OP_EXP)                                                                              \
    X(gt, SB_OP_GT)                                                                                \
    X(lt, SB_OP_LT)                                                                                \
    X(mod, SB_OP_MOD)                                                                              \
    X(mul, SB_OP_MUL)                                                                              \
    X(or, SB_OP_OR)                                                                                \
    X(sar, SB_OP_SAR)                                                                              \
    X(sdiv, SB_OP_SDIV)                                                                            \
    X(sgt, SB_OP_SGT)                                                                              \
    X(shl, SB_OP_SHL)                                                                              \
    X(shr, SB_OP_SHR)                                                                              \
    X(signext, SB_OP_SIGNEXTEND)                                                                   \
    X(slt, SB_OP_SLT)                                                                              \
    X(smod, SB_OP_SMOD)                                                                            \
    X(sub, SB_OP_SUB)                                                                              \
    X(xor, SB_OP_XOR)

VECTOR_FILES(VECTOR_TEST)

/* --- revisions --- */

static void opcode_before_its_revision_is_invalid(void **state)
{
    (void)state;
    static const struct {
        uint8_t code;
        enum sb_revision since;
    } k_newcomers[] = {
        {SB_OP_DELEGATECALL, SB_REV_HOMESTEAD},
        {SB_OP_STATICCALL, SB_REV_BYZANTIUM},
        {SB_OP_REVERT, SB_REV_BYZANTIUM},
        {SB_OP_SHL, SB_REV_CONSTANTINOPLE},
        {SB_OP_CREATE2, SB_REV_CONSTANTINOPLE},
        {SB_OP_CHAINID, SB_REV_ISTANBUL},
        {SB_OP_SELFBALANCE, SB_REV_ISTANBUL},
        {SB_OP_BASEFEE, SB_REV_LONDON},
        {SB_OP_PUSH0, SB_REV_SHANGHAI},
        {SB_OP_TLOAD, SB_REV_CANCUN},
        {SB_OP_TSTORE, SB_REV_CANCUN},
        {SB_OP_MCOPY, SB_REV_CANCUN},
        {SB_OP_BLOBHASH, SB_REV_CANCUN},
        {SB_OP_BLOBBASEFEE, SB_REV_CANCUN},
        {SB_OP_CLZ, SB_REV_OSAKA},
    };
    for (size_t i = 0; i < sizeof k_newcomers / sizeof k_newcomers[0]; i++) {
        char hex[64];
        (void)snprintf(hex, sizeof hex, "6000600060006000600060006000%02x", k_newcomers[i].code);
        int64_t used = 0;
        enum sb_revision before = (enum sb_revision)(k_newcomers[i].since - 1);
        assert_int_equal(run_status(before, hex, 1000000, &used), SB_EVM_INVALID_OPCODE);
        assert_int_not_equal(run_status(k_newcomers[i].since, hex, 1000000, &used),
                             SB_EVM_INVALID_OPCODE);
    }
    expect_status(SB_REV_OSAKA, "fe", SB_EVM_INVALID_OPCODE);
    expect_status(SB_REV_OSAKA, "0c", SB_EVM_INVALID_OPCODE);
}

static void gas_of_state_access_follows_revisions(void **state)
{
    (void)state;
    /* PUSH1 0; SLOAD */
    expect_used(SB_REV_FRONTIER, "600054", 3 + 50);
    expect_used(SB_REV_TANGERINE_WHISTLE, "600054", 3 + 200);
    expect_used(SB_REV_ISTANBUL, "600054", 3 + 800);
    expect_used(SB_REV_BERLIN, "600054", 3 + 2100);
    expect_used(SB_REV_OSAKA, "600054600054", 3 + 2100 + 3 + 100);
    /* PUSH1 0x77; BALANCE */
    expect_used(SB_REV_FRONTIER, "607731", 3 + 20);
    expect_used(SB_REV_SPURIOUS_DRAGON, "607731", 3 + 400);
    expect_used(SB_REV_ISTANBUL, "607731", 3 + 700);
    expect_used(SB_REV_BERLIN, "607731607731", 3 + 2600 + 3 + 100);
    /* EXTCODESIZE, EXTCODEHASH */
    expect_used(SB_REV_HOMESTEAD, "60773b", 3 + 20);
    expect_used(SB_REV_PETERSBURG, "60773b", 3 + 700);
    expect_used(SB_REV_LONDON, "60773b", 3 + 2600);
    expect_used(SB_REV_CONSTANTINOPLE, "60773f", 3 + 400);
    expect_used(SB_REV_ISTANBUL, "60773f", 3 + 700);
    /* CALL of an account that does not exist, without value: made anew before EIP-161 */
    expect_used(SB_REV_FRONTIER, "6000600060006000600060776000f1", 7 * 3 + 40 + 25000);
    expect_used(SB_REV_TANGERINE_WHISTLE, "6000600060006000600060776000f1", 7 * 3 + 700 + 25000);
    expect_used(SB_REV_SPURIOUS_DRAGON, "6000600060006000600060776000f1", 7 * 3 + 700);
    expect_used(SB_REV_BERLIN, "6000600060006000600060776000f1", 7 * 3 + 2600);
    /* SELFDESTRUCT to the cold, absent 0x77 with 1,000 wei */
    expect_used(SB_REV_FRONTIER, "6077ff", 3);
    expect_used(SB_REV_TANGERINE_WHISTLE, "6077ff", 3 + 5000 + 25000);
    expect_used(SB_REV_BERLIN, "6077ff", 3 + 5000 + 2600 + 25000);
    /* EXP with a two-byte exponent */
    expect_used(SB_REV_FRONTIER, "61ffff60020a", 6 + 10 + 20);
    expect_used(SB_REV_SPURIOUS_DRAGON, "61ffff60020a", 6 + 10 + 100);
}

static void gas_of_memory_and_words_is_exact(void **state)
{
    (void)state;
    expect_used(SB_REV_OSAKA, "600060005200", 6 + 3 + 3); /* MSTORE: one word */
    expect_used(SB_REV_OSAKA, "600060015200", 6 + 3 + 6); /* two words */
    expect_used(SB_REV_OSAKA, "60006103e053",
                6 + 3 + 32 * 3 + 2);                   /* MSTORE8 at 992: 32 words, 1024/512 = 2 */
    expect_used(SB_REV_OSAKA, "6103e051", 3 + 3 + 98); /* MLOAD */
    expect_used(SB_REV_OSAKA, "602160002000", 6 + 30 + 12 + 6); /* KECCAK256 of 33 bytes */
    expect_used(SB_REV_OSAKA, "6000620fffff2000", 6 + 30);      /* of none, anywhere */
    expect_used(SB_REV_OSAKA,
                "602160006000"
                "37",
                9 + 3 + 6 + 6);                                   /* CALLDATACOPY */
    expect_used(SB_REV_OSAKA, "6021600060405e", 9 + 3 + 6 + 12);  /* MCOPY to 64: four words */
    expect_used(SB_REV_OSAKA, "60056000a0", 6 + 375 + 5 * 8 + 3); /* LOG0 */
    expect_used(SB_REV_OSAKA, "6001600260056000a2", 12 + 375 * 3 + 5 * 8 + 3);
    expect_used(SB_REV_PARIS, "602060006000f0", 9 + 32000 + 3); /* CREATE, initcode of 32 STOPs */
    expect_used(SB_REV_SHANGHAI, "602060006000f0", 9 + 32000 + 3 + 2);
    expect_used(SB_REV_SHANGHAI, "6000602060006000f5", 12 + 32000 + 3 + 2 + 6);
}

/* EIP-1283 (Constantinople), EIP-2200 (Istanbul) and EIP-3529 (London, slot warm) give these tables. */
static void sstore_gas_and_refund_follow_the_eips(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        uint64_t original;
        struct {
            int64_t used, refund;
        } constantinople, istanbul, london;
    } k_rows[] = {
        {"60006000556000600055", 0, {412, 0}, {1612, 0}, {212, 0}},
        {"60006000556001600055", 0, {20212, 0}, {20812, 0}, {20112, 0}},
        {"60016000556000600055", 0, {20212, 19800}, {20812, 19200}, {20112, 19900}},
        {"60016000556002600055", 0, {20212, 0}, {20812, 0}, {20112, 0}},
        {"60016000556001600055", 0, {20212, 0}, {20812, 0}, {20112, 0}},
        {"60006000556000600055", 1, {5212, 15000}, {5812, 15000}, {3012, 4800}},
        {"60006000556001600055", 1, {5212, 4800}, {5812, 4200}, {3012, 2800}},
        {"60006000556002600055", 1, {5212, 0}, {5812, 0}, {3012, 0}},
        {"60026000556000600055", 1, {5212, 15000}, {5812, 15000}, {3012, 4800}},
        {"60026000556003600055", 1, {5212, 0}, {5812, 0}, {3012, 0}},
        {"60026000556001600055", 1, {5212, 4800}, {5812, 4200}, {3012, 2800}},
        {"60026000556002600055", 1, {5212, 0}, {5812, 0}, {3012, 0}},
        {"60016000556000600055", 1, {5212, 15000}, {5812, 15000}, {3012, 4800}},
        {"60016000556002600055", 1, {5212, 0}, {5812, 0}, {3012, 0}},
        {"60016000556001600055", 1, {412, 0}, {1612, 0}, {212, 0}},
        {"600160005560006000556001600055", 0, {40218, 19800}, {40818, 19200}, {40118, 19900}},
        {"600060005560016000556000600055", 1, {10218, 19800}, {10818, 19200}, {5918, 7600}},
    };
    for (size_t i = 0; i < sizeof k_rows / sizeof k_rows[0]; i++) {
        for (int r = 0; r < 3; r++) {
            static const enum sb_revision k_revisions[] = {SB_REV_CONSTANTINOPLE, SB_REV_ISTANBUL,
                                                           SB_REV_LONDON};
            int64_t used = r == 0   ? k_rows[i].constantinople.used
                           : r == 1 ? k_rows[i].istanbul.used
                                    : k_rows[i].london.used;
            int64_t refund = r == 0   ? k_rows[i].constantinople.refund
                             : r == 1 ? k_rows[i].istanbul.refund
                                      : k_rows[i].london.refund;
            struct bench b;
            bench_init(&b, k_revisions[r], k_rows[i].hex);
            sb_hash key = {.b = {0}};
            sb_u256 original = sb_u256_from_u64(k_rows[i].original);
            sb_memory_state_set_slot(b.base, &k_self, &key, &original);
            bench_begin(&b);
            (void)sb_overlay_warm_slot(b.o, &k_self, &key);
            struct sb_evm_result result = bench_run(&b);
            assert_int_equal(result.status, SB_EVM_SUCCESS);
            assert_int_equal(GAS_PLENTY - result.gas_left, used);
            assert_int_equal(sb_overlay_refund(b.o), refund);
            bench_fini(&b);
        }
    }
    /* Petersburg took EIP-1283 back */
    expect_used(SB_REV_PETERSBURG, "60016000556002600055", 12 + 20000 + 5000);
}

static void sstore_at_the_sentry_runs_out_of_gas(void **state)
{
    (void)state;
    int64_t used = 0;
    /* a no-op costs 800, but 2,300 must be left (EIP-2200) */
    assert_int_equal(run_status(SB_REV_ISTANBUL, "6000600055", 6 + 2300, &used), SB_EVM_OUT_OF_GAS);
    assert_int_equal(run_status(SB_REV_ISTANBUL, "6000600055", 6 + 2301, &used), SB_EVM_SUCCESS);
    assert_int_equal(run_status(SB_REV_PETERSBURG, "6000600055", 6 + 5000, &used), SB_EVM_SUCCESS);
}

/* --- single instructions --- */

static void instruction_results_are_as_specified(void **state)
{
    (void)state;
    expect_word(SB_REV_OSAKA, "60001e" RETURN_TOP, 256);
    expect_word(SB_REV_OSAKA, "60011e" RETURN_TOP, 255);
    expect_word(SB_REV_OSAKA, "6000191e" RETURN_TOP, 0);
    expect_word(SB_REV_OSAKA,
                "30"
                "31" RETURN_TOP,
                1000);
    expect_word(SB_REV_OSAKA, "47" RETURN_TOP, 1000);
    expect_word(SB_REV_OSAKA, "46" RETURN_TOP, 1);
    expect_word(SB_REV_OSAKA, "43" RETURN_TOP, 1000);
    expect_word(SB_REV_OSAKA, "38" RETURN_TOP, 9);
    expect_word(SB_REV_OSAKA, "58" RETURN_TOP, 0);
    expect_word(SB_REV_OSAKA, "5b5b58" RETURN_TOP, 2);
    expect_word(SB_REV_OSAKA, "59" RETURN_TOP, 0);
    expect_word(SB_REV_OSAKA,
                "602051"
                "5059" RETURN_TOP,
                64);
    expect_word(SB_REV_OSAKA, "600a600b600c8190039003" RETURN_TOP, 10);
    expect_word(SB_REV_OSAKA, "602a5f5d5f5c" RETURN_TOP, 42);
    expect_word(SB_REV_OSAKA, "3d" RETURN_TOP, 0);
    expect_word(SB_REV_OSAKA, "60443f" RETURN_TOP, 0); /* EXTCODEHASH of nobody */
    expect_word(SB_REV_OSAKA, "60ff35" RETURN_TOP, 0); /* calldata past its end */
    expect_word(SB_REV_OSAKA, "60f049" RETURN_TOP, 0); /* BLOBHASH past the last */
    expect_word(SB_REV_OSAKA, "6007600656fe5b" RETURN_TOP, 7);
    /* the gas that GAS tells is what is left after its own 2 */
    sb_u256 left = run_word(SB_REV_OSAKA, "5a" RETURN_TOP);
    assert_int_equal(left.w[0], GAS_PLENTY - 2);
}

static void stack_limits_are_exact(void **state)
{
    (void)state;
    char hex[2 * PROGRAM_BYTES_MAX + 1];
    size_t len = 0;
    for (size_t i = 0; i < 1024; i++) {
        len += (size_t)snprintf(hex + len, sizeof hex - len, "5f");
    }
    expect_status(SB_REV_OSAKA, hex, SB_EVM_SUCCESS);
    char over[sizeof hex + 2];
    (void)snprintf(over, sizeof over, "%s5f", hex);
    expect_status(SB_REV_OSAKA, over, SB_EVM_STACK_OVERFLOW);
    (void)snprintf(over, sizeof over, "%s80", hex);
    expect_status(SB_REV_OSAKA, over, SB_EVM_STACK_OVERFLOW);
    (void)snprintf(over, sizeof over, "%s90", hex);
    expect_status(SB_REV_OSAKA, over, SB_EVM_SUCCESS);
    expect_status(SB_REV_OSAKA, "50", SB_EVM_STACK_UNDERFLOW);
    expect_status(SB_REV_OSAKA, "600101", SB_EVM_STACK_UNDERFLOW);
    expect_status(SB_REV_OSAKA, "60018f", SB_EVM_STACK_UNDERFLOW);
    expect_status(SB_REV_OSAKA, "600190", SB_EVM_STACK_UNDERFLOW);
}

static void jump_goes_to_jumpdests_only(void **state)
{
    (void)state;
    expect_status(SB_REV_OSAKA, "6003565b", SB_EVM_SUCCESS);
    expect_status(SB_REV_OSAKA,
                  "60045660"
                  "5b",
                  SB_EVM_BAD_JUMP); /* push data */
    expect_status(SB_REV_OSAKA, "600256", SB_EVM_BAD_JUMP);
    expect_status(SB_REV_OSAKA, "60ff56", SB_EVM_BAD_JUMP); /* past the end */
    expect_status(SB_REV_OSAKA,
                  "7f01000000000000000000000000000000000000000000000000000000000000"
                  "00565b",
                  SB_EVM_BAD_JUMP);
    expect_status(SB_REV_OSAKA, "600060ff57",
                  SB_EVM_SUCCESS); /* not taken: the target does not matter */
    expect_status(SB_REV_OSAKA, "600160ff57", SB_EVM_BAD_JUMP);
    /* a PUSH whose data is cut off by the end of the code reads zeros, then stops */
    expect_status(SB_REV_OSAKA, "7f", SB_EVM_SUCCESS);
    expect_status(SB_REV_OSAKA, "", SB_EVM_SUCCESS);
}

static void memory_far_away_runs_out_of_gas(void **state)
{
    (void)state;
    expect_status(SB_REV_OSAKA, "60006001600160ff1b5200", SB_EVM_OUT_OF_GAS);
    expect_status(SB_REV_OSAKA, "600160001951", SB_EVM_OUT_OF_GAS);
    expect_status(SB_REV_OSAKA, "63ffffffff51", SB_EVM_OUT_OF_GAS);
    expect_status(SB_REV_OSAKA, "60016000196000f3", SB_EVM_OUT_OF_GAS);
    expect_status(SB_REV_OSAKA, "6000600019f3", SB_EVM_SUCCESS); /* nothing, from anywhere */
    int64_t used = 0;
    /* the limit of one frame, with all the gas in the world */
    assert_int_equal(run_status(SB_REV_OSAKA, "634000000051", INT64_MAX, &used), SB_EVM_OUT_OF_GAS);
}

static void returndatacopy_past_the_end_fails(void **state)
{
    (void)state;
    expect_status(SB_REV_OSAKA, "5f5f5f3e", SB_EVM_SUCCESS);
    expect_status(SB_REV_OSAKA, "60015f5f3e", SB_EVM_RETURN_DATA_BOUNDS);
    expect_status(SB_REV_OSAKA, "5f60015f3e", SB_EVM_RETURN_DATA_BOUNDS);
    expect_status(SB_REV_OSAKA, "60015f195f3e", SB_EVM_RETURN_DATA_BOUNDS);
}

static void static_call_refuses_every_write(void **state)
{
    (void)state;
    static const char *const k_writes[] = {
        "600160005500",   "600160005d",           "60006000a0", "6000600060006000a2",
        "600060006000f0", "6000600060006000f500", "6000ff",     "60006000600060006001306000f1",
    };
    for (size_t i = 0; i < sizeof k_writes / sizeof k_writes[0]; i++) {
        struct bench b;
        bench_init(&b, SB_REV_OSAKA, k_writes[i]);
        b.message.kind = SB_STATICCALL;
        b.message.is_static = true;
        struct sb_evm_result result = bench_run(&b);
        assert_int_equal(result.status, SB_EVM_STATIC_VIOLATION);
        bench_fini(&b);
    }
    /* CALL without value and CALLCODE with value are no writes */
    struct bench b;
    bench_init(&b, SB_REV_OSAKA,
               "5f5f5f5f5f60775af1"
               "5f5f5f5f600160775af2"
               "00");
    b.message.kind = SB_STATICCALL;
    b.message.is_static = true;
    assert_int_equal(bench_run(&b).status, SB_EVM_SUCCESS);
    bench_fini(&b);
}

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

static void rules_names_parse_back(void **state)
{
    (void)state;
    for (int i = 0; i < SB_REV_COUNT; i++) {
        enum sb_revision revision = SB_REV_COUNT;
        assert_true(sb_revision_parse(&revision, sb_revision_name((enum sb_revision)i)));
        assert_int_equal(revision, i);
    }
    enum sb_revision revision = SB_REV_COUNT;
    assert_true(sb_revision_parse(&revision, "Merge"));
    assert_int_equal(revision, SB_REV_PARIS);
    assert_false(sb_revision_parse(&revision, "Amsterdam"));
}

#define VECTOR_ENTRY(name, opcode) cmocka_unit_test(vectors_##name##_agree),

int main(void)
{
    const struct CMUnitTest tests[] = {
        VECTOR_FILES(VECTOR_ENTRY) cmocka_unit_test(opcode_before_its_revision_is_invalid),
        cmocka_unit_test(gas_of_state_access_follows_revisions),
        cmocka_unit_test(gas_of_memory_and_words_is_exact),
        cmocka_unit_test(sstore_gas_and_refund_follow_the_eips),
        cmocka_unit_test(sstore_at_the_sentry_runs_out_of_gas),
        cmocka_unit_test(instruction_results_are_as_specified),
        cmocka_unit_test(stack_limits_are_exact),
        cmocka_unit_test(jump_goes_to_jumpdests_only),
        cmocka_unit_test(memory_far_away_runs_out_of_gas),
        cmocka_unit_test(returndatacopy_past_the_end_fails),
        cmocka_unit_test(static_call_refuses_every_write),
        cmocka_unit_test(call_depth_ends_at_1024),
        cmocka_unit_test(call_keeps_one_64th),
        cmocka_unit_test(call_with_value_gives_a_stipend),
        cmocka_unit_test(call_beyond_the_balance_fails_lightly),
        cmocka_unit_test(reverted_callee_is_undone_and_its_data_returned),
        cmocka_unit_test(delegated_account_runs_its_delegates_code),
        cmocka_unit_test(missing_precompile_fails_loudly),
        cmocka_unit_test(creation_addresses_agree_with_known_ones),
        cmocka_unit_test(deposited_code_obeys_its_limits),
        cmocka_unit_test(initcode_over_the_limit_fails),
        cmocka_unit_test(creation_on_a_taken_address_burns_its_gas),
        cmocka_unit_test(selfdestruct_removes_only_what_the_rules_say),
        cmocka_unit_test(stop_flag_ends_an_endless_loop),
        cmocka_unit_test(stop_flag_unwinds_every_frame),
        cmocka_unit_test(failing_view_is_an_error_not_an_outcome),
        cmocka_unit_test(rules_names_parse_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
