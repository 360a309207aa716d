/* test_evm.c: single instructions of the interpreter: results (public vectors too), prices at revisions, limits.
 *
 * Longer stories are told by test_messages.c and by the public state tests. */
#include "tests/unit/vm/evm_bench.h"

#include "tests/support/vectors.h"
#include "vm/evm/opcodes.h"

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
        cmocka_unit_test(rules_names_parse_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
