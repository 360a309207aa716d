/* test_ranges.c: what the verifier proves and charges holds when a node runs, also where attributes and elements are extreme. An interval that
 * is wrong would let an index leave its tensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/util/buf.h"
#include "vm/tensor/build.h"
#include "vm/tensor/model.h"
#include "vm/tensor/run.h"

static struct sb_tensor_desc vector_of(enum sb_dtype dtype, uint32_t rank, uint32_t count)
{
    return (struct sb_tensor_desc){.dtype = dtype,
                                   .shape = {.rank = rank, .dims = {count}},
                                   .quant = {.scale_mult = 1},
                                   .lo = sb_dtype_min(dtype),
                                   .hi = sb_dtype_max(dtype)};
}

/* A model of one node with one input. */
static sb_err build_unary(struct sb_buf *ret_file, enum sb_op_id op, const struct sb_tensor_desc *x,
                          const struct sb_tensor_desc *y, const int64_t *attrs, uint32_t attr_count,
                          struct sb_diag *diag)
{
    struct sb_build *b = sb_build_new("unary");
    assert_non_null(b);
    uint32_t in = sb_build_input(b, "x", x);
    uint32_t out = sb_build_tensor(b, "y", y);
    sb_build_node(b, "node", op, 1, &in, 1, out, attrs, attr_count);
    sb_build_output(b, out);
    sb_err err = sb_build_finish(ret_file, b, diag);
    sb_build_free(b);
    return err;
}

static void expect(sb_err want, const char *word, enum sb_op_id op, const struct sb_tensor_desc *x,
                   const struct sb_tensor_desc *y, const int64_t *attrs, uint32_t attr_count)
{
    struct sb_buf file;
    struct sb_diag diag = {{0}};
    sb_buf_init(&file, SB_MODEL_FILE_BYTES_MAX);
    assert_int_equal(build_unary(&file, op, x, y, attrs, attr_count, &diag), want);
    if (strstr(diag.text, word) == NULL) {
        fail_msg("'%s' does not say '%s'", diag.text, word);
    }
    sb_buf_fini(&file);
}

/* MAX and MIN are proven to give elements of x, so no factor may come after them. */
static void reduce_max_with_a_factor_is_refused(void **state)
{
    (void)state;
    struct sb_tensor_desc x = vector_of(SB_DTYPE_I32, 1, 4);
    struct sb_tensor_desc y = vector_of(SB_DTYPE_I32, 0, 0);
    x.lo = 0;
    x.hi = 3;
    const struct {
        const char *word;
        int64_t attrs[6];
    } cases[] = {
        {"", {SB_REDUCE_MAX, 0, 0, 1, 1, 0}},
        {"MULT", {SB_REDUCE_MAX, 0, 0, INT32_MAX, 1, 0}},
        {"MULT", {SB_REDUCE_MIN, 0, 0, 2, 1, 0}},
        {"PRE", {SB_REDUCE_MAX, 0, 1, 1, 1, 0}},
        {"DIVISOR", {SB_REDUCE_MAX, 0, 0, 1, 2, 0}},
        {"SHIFT", {SB_REDUCE_MIN, 0, 0, 1, 1, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect(i == 0 ? SB_OK : SB_E_RANGE, cases[i].word, SB_OP_REDUCE, &x, &y, cases[i].attrs, 6);
    }
}

/* The zero point is added to a value beyond which int64 ends. */
static void rescale_of_the_greatest_i64_ends_at_the_range(void **state)
{
    (void)state;
    struct sb_tensor_desc x = vector_of(SB_DTYPE_I64, 1, 2);
    struct sb_tensor_desc y = vector_of(SB_DTYPE_I8, 1, 2);
    const int64_t attrs[] = {1, 0};
    const int64_t elements[] = {INT64_MAX, INT64_MIN};
    for (int32_t zero_point = -128; zero_point <= 127; zero_point += 255) {
        struct sb_buf file;
        struct sb_diag diag = {{0}};
        struct sb_model *model = NULL;
        int8_t got[2] = {0};
        y.quant.zero_point = zero_point;
        sb_buf_init(&file, SB_MODEL_FILE_BYTES_MAX);
        assert_int_equal(build_unary(&file, SB_OP_RESCALE, &x, &y, attrs, 2, &diag), SB_OK);
        assert_int_equal(sb_model_load(&model, sb_buf_bytes(&file), &diag), SB_OK);
        size_t scratch_bytes = (size_t)sb_model_info(model)->arena_bytes;
        sb_bytes input = {.data = (const uint8_t *)elements, .len = sizeof elements};
        uint8_t *outputs[] = {(uint8_t *)got};
        struct sb_run run = {.model = model,
                             .inputs = &input,
                             .ret_outputs = outputs,
                             .scratch = malloc(scratch_bytes),
                             .scratch_bytes = scratch_bytes};
        assert_int_equal(sb_model_run(NULL, &run), SB_OK);
        assert_int_equal(got[0], 127);
        assert_int_equal(got[1], -128);
        free(run.scratch);
        sb_model_free(model);
        sb_buf_fini(&file);
    }
}

/* An offset must not hide a product that passes 64 bits. */
static void ln_whose_product_overflows_is_refused(void **state)
{
    (void)state;
    struct sb_tensor_desc x = vector_of(SB_DTYPE_I32, 1, 4);
    struct sb_tensor_desc y = vector_of(SB_DTYPE_I32, 1, 4);
    x.lo = 1;
    const int64_t attrs[] = {210000000, -((int64_t)1 << 62), 32};
    expect(SB_E_RANGE, "logarithm", SB_OP_LN, &x, &y, attrs, 3);
}

/* Taps that lie anywhere in a long row come from memory one by one. */
static void resample_of_a_long_row_pays_for_each_line(void **state)
{
    (void)state;
    struct sb_tensor_desc x = vector_of(SB_DTYPE_I8, 1, 1 << 20);
    struct sb_tensor_desc y = vector_of(SB_DTYPE_I8, 1, 3);
    const struct sb_shape shape = {.rank = 2, .dims = {3, 1}};
    const int32_t index[] = {1000000, 0, 500000};
    const int32_t weight[] = {1, 1, 1};
    for (uint64_t want = 0; want <= 3; want += 3) {
        struct sb_buf file;
        struct sb_diag diag = {{0}};
        struct sb_model *model = NULL;
        struct sb_build *b = sb_build_new("resample");
        const int32_t near[] = {1, 0, 2};
        x.shape.dims[0] = want == 0 ? 3 : 1 << 20;
        uint32_t in = sb_build_input(b, "x", &x);
        uint32_t i = sb_build_const(b, "i", SB_DTYPE_I32, &shape, NULL, want == 0 ? near : index);
        uint32_t w = sb_build_const(b, "w", SB_DTYPE_I32, &shape, NULL, weight);
        uint32_t out = sb_build_tensor(b, "y", &y);
        sb_build_node(b, "node", SB_OP_RESAMPLE, 1, (const uint32_t[]){in, i, w}, 3, out,
                      (const int64_t[]){0, 0}, 2);
        sb_build_output(b, out);
        sb_buf_init(&file, SB_MODEL_FILE_BYTES_MAX);
        assert_int_equal(sb_build_finish(&file, b, &diag), SB_OK);
        assert_int_equal(sb_model_load(&model, sb_buf_bytes(&file), &diag), SB_OK);
        assert_int_equal(sb_model_info(model)->units.count[SB_GAS_CLASS_MISS], want);
        sb_model_free(model);
        sb_build_free(b);
        sb_buf_fini(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reduce_max_with_a_factor_is_refused),
        cmocka_unit_test(rescale_of_the_greatest_i64_ends_at_the_range),
        cmocka_unit_test(ln_whose_product_overflows_is_refused),
        cmocka_unit_test(resample_of_a_long_row_pays_for_each_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
