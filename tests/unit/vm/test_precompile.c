/* test_precompile.c: the precompiles against geth's vectors with their gas, and the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/vectors.h"
#include "vm/precompile/precompile.h"

#define ARCHIVE         "ethereum/precompiles.tar.zst"
#define FOLDER          "geth-precompiles/precompiles/"
#define INPUT_BYTES_MAX ((size_t)1 << 20)

struct bench {
    struct sb_rules rules;
    struct sb_evm evm;
    struct sb_arena arena;
    uint8_t input[INPUT_BYTES_MAX];
    uint8_t expected[INPUT_BYTES_MAX];
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    sb_arena_init(&b->arena, (size_t)1 << 26);
    b->evm.rules = &b->rules;
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    sb_arena_fini(&b->arena);
    free(b);
    return 0;
}

static sb_addr addr_of(uint16_t low)
{
    sb_addr addr = {{0}};
    addr.b[18] = (uint8_t)(low >> 8);
    addr.b[19] = (uint8_t)low;
    return addr;
}

static struct sb_precompile_result call(struct bench *b, enum sb_revision revision, uint16_t low,
                                        sb_bytes input, int64_t gas)
{
    b->rules = sb_rules_make(SB_PROFILE_ETHEREUM, revision, 1);
    sb_addr addr = addr_of(low);
    sb_precompile_fn function = sb_precompile_find(&b->rules, &addr);
    assert_non_null(function);
    const struct sb_message message = {
        .kind = SB_CALL, .gas = gas, .recipient = addr, .code_addr = addr, .input = input};
    const struct sb_precompile_call c = {.evm = &b->evm, .message = &message, .arena = &b->arena};
    struct sb_precompile_result result;
    assert_int_equal(function(&result, &c), SB_OK);
    return result;
}

/* One vector: the output, the exact gas, and failure with one unit less. */
static void check_vector(struct bench *b, enum sb_revision revision, uint16_t low,
                         const json_t *vector)
{
    sb_arena_reset(&b->arena);
    size_t input_len = sb_vectors_hex(b->input, sizeof b->input, json_object_get(vector, "Input"));
    sb_bytes input = sb_span(b->input, input_len);
    if (json_object_get(vector, "ExpectedError") != NULL) {
        struct sb_precompile_result result = call(b, revision, low, input, INT64_MAX);
        assert_int_equal(result.outcome, SB_PRECOMPILE_FAILURE);
        assert_true(result.gas_used == INT64_MAX);
        return;
    }
    size_t expected_len =
        sb_vectors_hex(b->expected, sizeof b->expected, json_object_get(vector, "Expected"));
    int64_t gas = json_integer_value(json_object_get(vector, "Gas"));
    struct sb_precompile_result result = call(b, revision, low, input, gas);
    assert_int_equal(result.outcome, SB_PRECOMPILE_OK);
    assert_int_equal(result.gas_used, gas);
    assert_true(sb_span_equal(result.output, sb_span(b->expected, expected_len)));
    if (gas > 0) {
        result = call(b, revision, low, input, gas - 1);
        assert_int_equal(result.outcome, SB_PRECOMPILE_FAILURE);
        assert_int_equal(result.gas_used, gas - 1);
    }
}

static void check_file(void **state, const char *name, enum sb_revision revision, uint16_t low,
                       size_t count)
{
    json_t *vectors = sb_vectors_load(ARCHIVE, name);
    assert_int_equal(json_array_size(vectors), count);
    size_t i;
    json_t *vector;
    json_array_foreach(vectors, i, vector)
    {
        check_vector(*state, revision, low, vector);
    }
    json_decref(vectors);
}

static void ecrecover_vectors_match(void **state)
{
    check_file(state, FOLDER "ecRecover.json", SB_REV_OSAKA, 0x01, 5);
}

static void modexp_eip198_vectors_match(void **state)
{
    check_file(state, FOLDER "modexp.json", SB_REV_BYZANTIUM, 0x05, 17);
}

static void modexp_eip2565_vectors_match(void **state)
{
    check_file(state, FOLDER "modexp_eip2565.json", SB_REV_BERLIN, 0x05, 47);
}

static void modexp_eip7883_vectors_match(void **state)
{
    check_file(state, FOLDER "modexp_eip7883.json", SB_REV_OSAKA, 0x05, 45);
}

static void blake2f_vectors_match(void **state)
{
    check_file(state, FOLDER "blake2F.json", SB_REV_ISTANBUL, 0x09, 5);
}

static void blake2f_malformed_input_fails(void **state)
{
    check_file(state, FOLDER "fail-blake2f.json", SB_REV_ISTANBUL, 0x09, 4);
}

static void bls12_381_vectors_match(void **state)
{
    check_file(state, FOLDER "blsG1Add.json", SB_REV_PRAGUE, 0x0b, 112);
    check_file(state, FOLDER "blsG1Mul.json", SB_REV_PRAGUE, 0x0c, 11);
    check_file(state, FOLDER "blsG1MultiExp.json", SB_REV_PRAGUE, 0x0c, 154);
    check_file(state, FOLDER "blsG2Add.json", SB_REV_PRAGUE, 0x0d, 112);
    check_file(state, FOLDER "blsG2Mul.json", SB_REV_PRAGUE, 0x0e, 11);
    check_file(state, FOLDER "blsG2MultiExp.json", SB_REV_PRAGUE, 0x0e, 153);
    check_file(state, FOLDER "blsPairing.json", SB_REV_PRAGUE, 0x0f, 106);
}

static void bls12_381_malformed_input_fails(void **state)
{
    check_file(state, FOLDER "fail-blsG1Add.json", SB_REV_PRAGUE, 0x0b, 6);
    check_file(state, FOLDER "fail-blsG1Mul.json", SB_REV_PRAGUE, 0x0c, 7);
    check_file(state, FOLDER "fail-blsG1MultiExp.json", SB_REV_PRAGUE, 0x0c, 7);
    check_file(state, FOLDER "fail-blsG2Add.json", SB_REV_PRAGUE, 0x0d, 6);
    check_file(state, FOLDER "fail-blsG2Mul.json", SB_REV_PRAGUE, 0x0e, 7);
    check_file(state, FOLDER "fail-blsG2MultiExp.json", SB_REV_PRAGUE, 0x0e, 7);
    check_file(state, FOLDER "fail-blsPairing.json", SB_REV_PRAGUE, 0x0f, 9);
}

static void bn254_vectors_match(void **state)
{
    check_file(state, FOLDER "bn256Add.json", SB_REV_ISTANBUL, 0x06, 16);
    check_file(state, FOLDER "bn256ScalarMul.json", SB_REV_ISTANBUL, 0x07, 19);
    check_file(state, FOLDER "bn256Pairing.json", SB_REV_ISTANBUL, 0x08, 14);
}

static void bn254_prices_of_byzantium_hold(void **state)
{
    static const struct {
        uint16_t low;
        int64_t gas;
    } rows[] = {{0x06, 500}, {0x07, 40000}, {0x08, 100000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sb_precompile_result result =
            call(*state, SB_REV_BYZANTIUM, rows[i].low, sb_span(NULL, 0), rows[i].gas);
        assert_int_equal(result.outcome, SB_PRECOMPILE_OK);
        assert_int_equal(result.gas_used, rows[i].gas);
        result = call(*state, SB_REV_BYZANTIUM, rows[i].low, sb_span(NULL, 0), rows[i].gas - 1);
        assert_int_equal(result.outcome, SB_PRECOMPILE_FAILURE);
    }
}

static void bn254_malformed_input_fails(void **state)
{
    uint8_t input[192] = {[63] = 3}; /* (0, 3) is on no curve of ours */
    for (uint16_t low = 0x06; low <= 0x08; low++) {
        struct sb_precompile_result result =
            call(*state, SB_REV_OSAKA, low, sb_span(input, sizeof input), 1000000);
        assert_int_equal(result.outcome, SB_PRECOMPILE_FAILURE);
    }
    memset(input, 0, sizeof input);
    struct sb_precompile_result result =
        call(*state, SB_REV_OSAKA, 0x08, sb_span(input, sizeof input - 1), 1000000);
    assert_int_equal(result.outcome, SB_PRECOMPILE_FAILURE);
}

static void p256verify_vectors_match(void **state)
{
    check_file(state, FOLDER "p256Verify.json", SB_REV_OSAKA, 0x100, 782);
}

static void hashes_of_empty_input_match(void **state)
{
    static const uint8_t ripemd160[32] = {0,    0,    0,    0,    0,    0,    0,    0,
                                          0,    0,    0,    0,    0x9c, 0x11, 0x85, 0xa5,
                                          0xc5, 0xe9, 0xfc, 0x54, 0x61, 0x28, 0x08, 0x97,
                                          0x7e, 0xe8, 0xf5, 0x48, 0xb2, 0x25, 0x8d, 0x31};
    sb_bytes empty = sb_span(NULL, 0);
    struct sb_precompile_result result = call(*state, SB_REV_FRONTIER, 0x02, empty, 100);
    assert_int_equal(result.gas_used, 60);
    assert_true(sb_span_equal(result.output, sb_span(sb_hash_sha256_empty.b, 32)));
    result = call(*state, SB_REV_FRONTIER, 0x03, empty, 1000);
    assert_int_equal(result.gas_used, 600);
    assert_true(sb_span_equal(result.output, sb_span(ripemd160, 32)));
}

static void identity_copies_and_charges_by_word(void **state)
{
    uint8_t data[33];
    memset(data, 0xab, sizeof data);
    sb_bytes input = sb_span(data, sizeof data);
    struct sb_precompile_result result = call(*state, SB_REV_FRONTIER, 0x04, input, 21);
    assert_int_equal(result.gas_used, 21);
    assert_true(sb_span_equal(result.output, input));
    result = call(*state, SB_REV_FRONTIER, 0x04, input, 20);
    assert_int_equal(result.outcome, SB_PRECOMPILE_FAILURE);
}

static void modexp_length_over_1024_fails_at_osaka(void **state)
{
    uint8_t input[96] = {[30] = 0x04, [31] = 0x01, [95] = 1}; /* a base of 1025 bytes, modulus 1 */
    struct sb_precompile_result result =
        call(*state, SB_REV_OSAKA, 0x05, sb_span(input, sizeof input), INT64_MAX);
    assert_int_equal(result.outcome, SB_PRECOMPILE_FAILURE);
    input[31] = 0x00;
    result = call(*state, SB_REV_OSAKA, 0x05, sb_span(input, sizeof input), INT64_MAX);
    assert_int_equal(result.outcome, SB_PRECOMPILE_OK);
}

static void modexp_huge_lengths_cost_more_than_any_gas(void **state)
{
    uint8_t input[96];
    memset(input, 0xff, sizeof input);
    static const enum sb_revision revisions[] = {SB_REV_BYZANTIUM, SB_REV_BERLIN, SB_REV_OSAKA};
    for (size_t i = 0; i < 3; i++) {
        struct sb_precompile_result result =
            call(*state, revisions[i], 0x05, sb_span(input, sizeof input), INT64_MAX);
        assert_int_equal(result.outcome, SB_PRECOMPILE_FAILURE);
    }
}

static void modexp_empty_modulus_with_huge_exponent_answers_nothing(void **state)
{
    uint8_t input[96] = {0};
    memset(input + 32, 0xff, 32);
    struct sb_precompile_result result =
        call(*state, SB_REV_BERLIN, 0x05, sb_span(input, sizeof input), 200);
    assert_int_equal(result.outcome, SB_PRECOMPILE_OK);
    assert_int_equal(result.gas_used, 200);
    assert_int_equal(result.output.len, 0);
}

static void missing_precompile_says_so(void **state)
{
    struct sb_precompile_result result = call(*state, SB_REV_OSAKA, 0x0a, sb_span(NULL, 0), 100000);
    assert_int_equal(result.outcome, SB_PRECOMPILE_MISSING);
}

struct visit {
    sb_addr last;
    size_t count;
    bool ascending;
};

static void visit_addr(void *ctx, const sb_addr *addr)
{
    struct visit *v = ctx;
    v->ascending = v->ascending && memcmp(v->last.b, addr->b, sizeof addr->b) < 0;
    v->last = *addr;
    v->count++;
}

static void table_by_revision_has_the_right_addresses(void **state)
{
    (void)state;
    static const struct {
        enum sb_revision revision;
        size_t count;
    } rows[] = {{SB_REV_FRONTIER, 4}, {SB_REV_SPURIOUS_DRAGON, 4}, {SB_REV_BYZANTIUM, 8},
                {SB_REV_ISTANBUL, 9}, {SB_REV_SHANGHAI, 9},        {SB_REV_CANCUN, 10},
                {SB_REV_PRAGUE, 17},  {SB_REV_OSAKA, 18}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sb_rules rules = sb_rules_make(SB_PROFILE_ETHEREUM, rows[i].revision, 1);
        struct visit v = {.ascending = true};
        sb_precompile_each(&rules, visit_addr, &v);
        assert_int_equal(v.count, rows[i].count);
        assert_true(v.ascending);
    }
}

static void find_other_address_gives_null(void **state)
{
    (void)state;
    struct sb_rules rules = sb_rules_make(SB_PROFILE_ETHEREUM, SB_REV_PRAGUE, 1);
    sb_addr addr = addr_of(0x01);
    addr.b[0] = 1;
    assert_null(sb_precompile_find(&rules, &addr));
    addr = addr_of(0x0000);
    assert_null(sb_precompile_find(&rules, &addr));
    addr = addr_of(0x0100);
    assert_null(sb_precompile_find(&rules, &addr)); /* from Osaka on */
    addr = addr_of(0x5b01);
    assert_null(sb_precompile_find(&rules, &addr)); /* never in profile ethereum */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ecrecover_vectors_match, setup, teardown),
        cmocka_unit_test_setup_teardown(modexp_eip198_vectors_match, setup, teardown),
        cmocka_unit_test_setup_teardown(modexp_eip2565_vectors_match, setup, teardown),
        cmocka_unit_test_setup_teardown(modexp_eip7883_vectors_match, setup, teardown),
        cmocka_unit_test_setup_teardown(bls12_381_vectors_match, setup, teardown),
        cmocka_unit_test_setup_teardown(bls12_381_malformed_input_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(bn254_vectors_match, setup, teardown),
        cmocka_unit_test_setup_teardown(bn254_prices_of_byzantium_hold, setup, teardown),
        cmocka_unit_test_setup_teardown(bn254_malformed_input_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(blake2f_vectors_match, setup, teardown),
        cmocka_unit_test_setup_teardown(blake2f_malformed_input_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(p256verify_vectors_match, setup, teardown),
        cmocka_unit_test_setup_teardown(hashes_of_empty_input_match, setup, teardown),
        cmocka_unit_test_setup_teardown(identity_copies_and_charges_by_word, setup, teardown),
        cmocka_unit_test_setup_teardown(modexp_length_over_1024_fails_at_osaka, setup, teardown),
        cmocka_unit_test_setup_teardown(modexp_huge_lengths_cost_more_than_any_gas, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(modexp_empty_modulus_with_huge_exponent_answers_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(missing_precompile_says_so, setup, teardown),
        cmocka_unit_test(table_by_revision_has_the_right_addresses),
        cmocka_unit_test(find_other_address_gives_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
