/* test_model.c: building, loading and describing models; the errors of the verifier by name; inputs, real numbers, cost and the plan. */
#include "vm/tensor/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/crypto/sha256_portable.h"
#include "base/util/buf.h"
#include "base/util/checked.h"
#include "base/util/endian.h"
#include "vm/tensor/build.h"
#include "vm/tensor/format.h"
#include "vm/tensor/graph.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/run.h"

static struct sb_tensor_desc desc_of(enum sb_dtype dtype, uint32_t rank, const uint32_t *dims)
{
    struct sb_tensor_desc d = {.dtype = dtype,
                               .shape = {.rank = rank},
                               .quant = {.scale_mult = 1},
                               .lo = sb_dtype_min(dtype),
                               .hi = sb_dtype_max(dtype)};
    for (uint32_t i = 0; i < rank; i++) {
        d.shape.dims[i] = dims[i];
    }
    return d;
}

static struct sb_shape shape_of(uint32_t rank, uint32_t a, uint32_t b)
{
    return (struct sb_shape){.rank = rank, .dims = {a, rank > 1 ? b : 0}};
}

/* fc: y[1, 1] = requantise(100 + sum (x[k] - 2) * w[k]) - 1: the example of numerics 5.1. */
struct fc {
    struct sb_tensor_desc x;
    struct sb_tensor_desc y;
    int8_t w[2];
    int32_t bias;
    int32_t mult;
    uint8_t shift;
};

static struct fc fc_example(void)
{
    struct fc f = {.w = {3, -4}, .bias = 100, .mult = 1 << 30, .shift = 33};
    f.x = desc_of(SB_DTYPE_I8, 2, (const uint32_t[]){1, 2});
    f.y = desc_of(SB_DTYPE_I8, 2, (const uint32_t[]){1, 1});
    f.x.quant = (struct sb_quant){.zero_point = 2, .scale_mult = 1, .scale_shift = 8};
    f.y.quant = (struct sb_quant){.zero_point = -1, .scale_mult = 3, .scale_shift = 4};
    return f;
}

static sb_err fc_build(struct sb_buf *ret_file, const struct fc *f, struct sb_diag *diag)
{
    struct sb_build *b = sb_build_new("fc");
    assert_non_null(b);
    struct sb_shape w_shape = shape_of(2, 1, 2);
    struct sb_shape one = shape_of(1, 1, 0);
    uint32_t x = sb_build_input(b, "pixels", &f->x);
    uint32_t w = sb_build_const(b, "w", SB_DTYPE_I8, &w_shape, NULL, f->w);
    uint32_t bias = sb_build_const(b, "bias", SB_DTYPE_I32, &one, NULL, &f->bias);
    uint32_t mult = sb_build_const(b, "mult", SB_DTYPE_I32, &one, NULL, &f->mult);
    uint32_t shift = sb_build_const(b, "shift", SB_DTYPE_U8, &one, NULL, &f->shift);
    uint32_t y = sb_build_tensor(b, "score", &f->y);
    sb_build_node(b, "fc1", SB_OP_GEMM, 1, (const uint32_t[]){x, w, bias, mult, shift}, 5, y, NULL,
                  0);
    sb_build_output(b, y);
    sb_err err = sb_build_finish(ret_file, b, diag);
    sb_build_free(b);
    return err;
}

static struct sb_model *load(const struct sb_buf *file)
{
    struct sb_model *model = NULL;
    struct sb_diag diag = {{0}};
    sb_err err = sb_model_load(&model, sb_buf_bytes(file), &diag);
    if (err != SB_OK) {
        fail_msg("%s: %s", sb_err_name(err), diag.text);
    }
    return model;
}

static struct sb_model *fc_load(const struct fc *f, struct sb_buf *file)
{
    struct sb_diag diag = {{0}};
    sb_buf_init(file, SB_MODEL_FILE_BYTES_MAX);
    sb_err err = fc_build(file, f, &diag);
    if (err != SB_OK) {
        fail_msg("%s: %s", sb_err_name(err), diag.text);
    }
    return load(file);
}

static void expect_refused(const struct fc *f, sb_err want, const char *word)
{
    struct sb_buf file;
    struct sb_diag diag = {{0}};
    sb_buf_init(&file, SB_MODEL_FILE_BYTES_MAX);
    assert_int_equal(fc_build(&file, f, &diag), want);
    if (strstr(diag.text, word) == NULL) {
        fail_msg("'%s' does not say '%s'", diag.text, word);
    }
    sb_buf_fini(&file);
}

/* ---- building and describing ---- */

static void builder_makes_a_file_that_loads_and_describes_itself(void **state)
{
    (void)state;
    struct sb_buf file;
    struct fc f = fc_example();
    struct sb_model *model = fc_load(&f, &file);
    const struct sb_model_info *info = sb_model_info(model);
    assert_string_equal(info->name, "fc");
    assert_int_equal(info->input_count, 1);
    assert_string_equal(info->inputs[0].name, "pixels");
    assert_int_equal(info->inputs[0].bytes, 2);
    assert_int_equal(info->inputs[0].desc.quant.zero_point, 2);
    assert_string_equal(info->outputs[0].name, "score");
    assert_int_equal(info->op_use_count, 1);
    assert_int_equal(info->op_uses[0].op_id, SB_OP_GEMM);
    assert_int_equal(info->op_uses[0].node_count, 1);
    assert_int_equal(info->const_bytes, 2 + 4 + 4 + 1);
    sb_hash want = sb_sha256_portable(sb_buf_bytes(&file));
    assert_true(sb_hash_equal(sb_model_sha256(model), &want));
    struct sb_model_node node = sb_model_node(model, 0);
    assert_string_equal(node.op_name, "GEMM");
    assert_string_equal(sb_model_tensor_name(model, node.outputs[0]), "score");
    /* acc in [100 - 130*3 - 125*4, 100 + 125*3 + 130*4] = [-790, 995]; / 8, half up, - 1 */
    int64_t lo = 0;
    int64_t hi = 0;
    sb_model_tensor_range(&lo, &hi, model, node.outputs[0]);
    assert_int_equal(lo, -100);
    assert_int_equal(hi, 123);
    sb_model_free(model);
    sb_buf_fini(&file);
}

static void builder_keeps_its_first_failure(void **state)
{
    (void)state;
    struct sb_buf file;
    struct sb_diag diag = {{0}};
    struct sb_build *b = sb_build_new("bad");
    struct sb_tensor_desc wrong = desc_of(SB_DTYPE_I8, 1, (const uint32_t[]){0});
    sb_buf_init(&file, 1 << 20);
    assert_int_equal(sb_build_input(b, "empty", &wrong), SB_BUILD_NONE);
    sb_build_output(b, SB_BUILD_NONE);
    assert_int_equal(sb_build_finish(&file, b, &diag), SB_E_LIMIT);
    assert_non_null(strstr(diag.text, "'empty'"));
    assert_int_equal(file.len, 0);
    sb_build_free(b);
    sb_buf_fini(&file);
}

/* ---- the verifier's errors ---- */

static void verifier_on_overflow_names_node_and_channel(void **state)
{
    (void)state;
    struct fc f = fc_example();
    f.bias = INT32_MAX - 894; /* 125 * 3 + 130 * 4 = 895 */
    expect_refused(&f, SB_E_RANGE, "node 0 'fc1' (GEMM): output channel 0: the accumulator");
    f.bias = INT32_MAX - 895;
    struct sb_buf file;
    sb_model_free(fc_load(&f, &file));
    sb_buf_fini(&file);
}

static void verifier_on_wrong_parts_names_them(void **state)
{
    (void)state;
    struct fc f = fc_example();
    f.w[1] = -128;
    expect_refused(&f, SB_E_RANGE, "input w 'w' holds values");
    f = fc_example();
    f.mult = (1 << 30) - 1;
    expect_refused(&f, SB_E_RANGE, "input mult");
    f = fc_example();
    f.shift = 0;
    expect_refused(&f, SB_E_RANGE, "input shift");
    f = fc_example();
    f.x.dtype = SB_DTYPE_I32;
    f.x.quant.zero_point = 0;
    expect_refused(&f, SB_E_TYPE, "input x 'pixels' has type i32");
    f = fc_example();
    f.x.shape.dims[1] = 3;
    expect_refused(&f, SB_E_SHAPE, "the last dimension of x 'pixels'");
    f = fc_example();
    f.y.shape.dims[1] = 2;
    expect_refused(&f, SB_E_SHAPE, "output 'score': dimension 1 is 2 instead of 1");
    f = fc_example();
    f.y.quant.scale_mult = 0;
    expect_refused(&f, SB_E_RANGE, "tensor 5 'score': scale");
    f = fc_example();
    f.x.lo = 5;
    f.x.hi = 4;
    expect_refused(&f, SB_E_RANGE, "tensor 0 'pixels': range");
}

static void loader_on_cut_or_longer_file_names_the_error(void **state)
{
    (void)state;
    struct sb_buf file;
    struct fc f = fc_example();
    sb_model_free(fc_load(&f, &file));
    struct sb_model *model = NULL;
    for (size_t len = 0; len < file.len; len++) {
        struct sb_diag diag = {{0}};
        assert_int_equal(sb_model_load(&model, sb_span(file.data, len), &diag), SB_E_TRUNCATED);
        assert_true(diag.text[0] != '\0');
    }
    sb_buf_add_byte(&file, 0);
    assert_int_equal(sb_model_load(&model, sb_buf_bytes(&file), NULL), SB_E_TRAILING);
    assert_null(model);
    sb_buf_fini(&file);
}

/* 8000 nodes that each read one table of 64 KiB: 500 MB of work for a file of 0.7 MB. */
/* Counts that the file does not pay for are its fault, not a lack of memory: a validator stops on the latter. */
static void loader_on_counts_without_records_names_the_error(void **state)
{
    (void)state;
    struct fc f = fc_example();
    struct sb_buf file;
    struct sb_diag diag = {""};
    sb_buf_init(&file, (size_t)1 << 20);
    assert_int_equal(fc_build(&file, &f, &diag), SB_OK);
    static const size_t counts_at[] = {SB_FORMAT_H_TENSOR_COUNT, SB_FORMAT_H_NODE_COUNT};
    for (size_t i = 0; i < 2; i++) {
        uint32_t count = le_load32(file.data + counts_at[i]);
        for (uint32_t more = count + 1; more <= SB_MODEL_TENSORS_MAX; more += more / 2) {
            struct sb_model *model = NULL;
            le_store32(file.data + counts_at[i], more);
            sb_err err = sb_model_load(&model, sb_buf_bytes(&file), &diag);
            assert_true(err == SB_E_TRUNCATED || err == SB_E_SYNTAX || err == SB_E_LIMIT ||
                        err == SB_E_NON_CANONICAL || err == SB_E_RANGE);
        }
        le_store32(file.data + counts_at[i], count);
    }
    sb_buf_fini(&file);
}

static void verifier_on_huge_outputs_refuses(void **state)
{
    (void)state;
    for (int over = 0; over < 2; over++) {
        struct sb_build *build = sb_build_new("pad");
        struct sb_tensor_desc x = desc_of(SB_DTYPE_I8, 2, (const uint32_t[]){1, 1});
        struct sb_tensor_desc y =
            desc_of(SB_DTYPE_I8, 2, (const uint32_t[]){64 + (uint32_t)over, 1 << 20});
        int64_t attrs[13] = {0};
        attrs[SB_ATTR_PAD_AFTER] = y.shape.dims[0] - 1;
        attrs[SB_ATTR_PAD_AFTER + 1] = y.shape.dims[1] - 1;
        uint32_t input = sb_build_input(build, "x", &x);
        uint32_t output = sb_build_tensor(build, "y", &y);
        sb_build_node(build, "pad", SB_OP_PAD, 1, &input, 1, output, attrs, 13);
        sb_build_output(build, output);
        struct sb_buf file;
        struct sb_diag diag = {""};
        sb_buf_init(&file, (size_t)1 << 20);
        assert_int_equal(sb_build_finish(&file, build, &diag), over ? SB_E_LIMIT : SB_OK);
        sb_build_free(build);
        sb_buf_fini(&file);
    }
}

static void verifier_on_constants_shared_too_often_refuses(void **state)
{
    (void)state;
    struct sb_buf file;
    struct sb_diag diag = {{0}};
    struct sb_build *b = sb_build_new("shared");
    struct sb_shape shape = shape_of(2, 2, 1 << 15);
    int8_t *rows = calloc(2, 1 << 15);
    assert_non_null(rows);
    struct sb_tensor_desc x = desc_of(SB_DTYPE_U8, 0, NULL);
    x.hi = 1;
    struct sb_tensor_desc y = desc_of(SB_DTYPE_I8, 1, (const uint32_t[]){1 << 15});
    uint32_t index = sb_build_input(b, "row", &x);
    uint32_t table = sb_build_const(b, "rows", SB_DTYPE_I8, &shape, NULL, rows);
    uint32_t out = SB_BUILD_NONE;
    for (int i = 0; i < 8000; i++) {
        out = sb_build_tensor(b, "y", &y);
        sb_build_node(b, "take", SB_OP_GATHER, 1, (const uint32_t[]){index, table}, 2, out, NULL,
                      0);
    }
    sb_build_output(b, out);
    sb_buf_init(&file, SB_MODEL_FILE_BYTES_MAX);
    assert_int_equal(sb_build_finish(&file, b, &diag), SB_E_LIMIT);
    assert_non_null(strstr(diag.text, "share constants too often"));
    sb_buf_fini(&file);
    sb_build_free(b);
    free(rows);
}

/* Any bit of the file that can flip without refusal must be data: the mutant encodes to itself, never to the original. */
static void loader_on_flipped_bit_refuses_or_stays_canonical(void **state)
{
    (void)state;
    struct sb_buf file;
    struct fc f = fc_example();
    sb_model_free(fc_load(&f, &file));
    for (size_t bit = 0; bit < file.len * 8; bit++) {
        struct sb_model *model = NULL;
        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (sb_model_load(&model, sb_buf_bytes(&file), NULL) == SB_OK) {
            struct sb_buf again;
            sb_buf_init(&again, SB_MODEL_FILE_BYTES_MAX);
            assert_int_equal(sb_model_encode(&again, model), SB_OK);
            assert_int_equal(again.len, file.len);
            assert_memory_equal(again.data, file.data, file.len);
            sb_buf_fini(&again);
            sb_model_free(model);
        }
        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    sb_buf_fini(&file);
}

/* ---- runs ---- */

static sb_err run_fc(uint8_t *ret_y, struct sb_bad_input *ret_bad, const struct sb_model *model,
                     sb_bytes x, size_t scratch_bytes)
{
    void *scratch = malloc(scratch_bytes);
    assert_non_null(scratch);
    uint8_t *outputs[] = {ret_y};
    struct sb_run run = {.model = model,
                         .inputs = &x,
                         .ret_outputs = outputs,
                         .scratch = scratch,
                         .scratch_bytes = scratch_bytes};
    sb_err err = sb_model_run(ret_bad, &run);
    free(scratch);
    return err;
}

static void run_of_the_specified_example_gives_its_answer(void **state)
{
    (void)state;
    struct sb_buf file;
    struct fc f = fc_example();
    struct sb_model *model = fc_load(&f, &file);
    const int8_t x[] = {10, -20};
    uint8_t y = 0;
    size_t scratch_bytes = (size_t)sb_model_info(model)->arena_bytes;
    assert_int_equal(run_fc(&y, NULL, model, sb_span(x, 2), scratch_bytes), SB_OK);
    assert_int_equal((int8_t)y, 26);
    y = 77;
    assert_int_equal(run_fc(&y, NULL, model, sb_span(x, 2), scratch_bytes - 1), SB_E_LIMIT);
    assert_int_equal(y, 77);
    sb_model_free(model);
    sb_buf_fini(&file);
}

static void run_on_bad_input_names_tensor_and_element(void **state)
{
    (void)state;
    struct sb_buf file;
    struct fc f = fc_example();
    f.x.lo = -10;
    f.x.hi = 10;
    struct sb_model *model = fc_load(&f, &file);
    size_t scratch_bytes = (size_t)sb_model_info(model)->arena_bytes;
    const int8_t x[] = {10, 11, 0};
    struct sb_bad_input bad = {0};
    uint8_t y = 77;
    assert_int_equal(run_fc(&y, &bad, model, sb_span(x, 2), scratch_bytes), SB_E_RANGE);
    assert_int_equal(bad.tensor, 0);
    assert_int_equal(bad.element, 1);
    assert_int_equal(run_fc(&y, &bad, model, sb_span(x, 3), scratch_bytes), SB_E_SHAPE);
    assert_true(bad.element == UINT64_MAX);
    assert_int_equal(y, 77);
    sb_model_free(model);
    sb_buf_fini(&file);
}

static void check_of_long_input_finds_the_first_bad_element_anywhere(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct sb_buf file;
    struct sb_diag diag = {{0}};
    struct sb_tensor_desc d = desc_of(SB_DTYPE_I16, 1, (const uint32_t[]){COUNT});
    d.lo = -5;
    d.hi = 5;
    struct sb_build *b = sb_build_new("long");
    uint32_t x = sb_build_input(b, "x", &d);
    uint32_t y = sb_build_tensor(b, "y", &d);
    sb_build_node(b, "same", SB_OP_RESHAPE, 1, &x, 1, y, NULL, 0);
    sb_build_output(b, y);
    sb_buf_init(&file, 1 << 20);
    assert_int_equal(sb_build_finish(&file, b, &diag), SB_OK);
    sb_build_free(b);
    struct sb_model *model = load(&file);
    uint8_t raw[2 * COUNT + 1] = {0};
    uint8_t *odd = raw + 1; /* any alignment */
    assert_int_equal(sb_model_check_input(NULL, model, 0, sb_span(odd, 2 * COUNT)), SB_OK);
    for (uint64_t at = 0; at < COUNT; at += 37) {
        struct sb_bad_input bad = {0};
        sb_raw_store(odd, SB_DTYPE_I16, at, at % 2 == 0 ? 6 : -6);
        sb_raw_store(odd, SB_DTYPE_I16, COUNT - 1, 6);
        assert_int_equal(sb_model_check_input(&bad, model, 0, sb_span(odd, 2 * COUNT)), SB_E_RANGE);
        assert_int_equal(bad.element, at);
        sb_raw_store(odd, SB_DTYPE_I16, at, 0);
    }
    sb_model_free(model);
    sb_buf_fini(&file);
}

static bool say_yes(void *ctx)
{
    *(int *)ctx += 1;
    return true;
}

static void run_when_cancelled_stops_before_the_next_node(void **state)
{
    (void)state;
    struct sb_buf file;
    struct fc f = fc_example();
    struct sb_model *model = fc_load(&f, &file);
    const int8_t x[] = {10, -20};
    uint8_t y = 77;
    int asked = 0;
    sb_bytes input = sb_span(x, 2);
    uint8_t *outputs[] = {&y};
    size_t scratch_bytes = (size_t)sb_model_info(model)->arena_bytes;
    struct sb_run run = {.model = model,
                         .inputs = &input,
                         .ret_outputs = outputs,
                         .scratch = malloc(scratch_bytes),
                         .scratch_bytes = scratch_bytes};
    assert_int_equal(sb_model_run_until(NULL, &run, say_yes, &asked), SB_E_CANCELLED);
    assert_int_equal(asked, 1);
    assert_int_equal(y, 77);
    free(run.scratch);
    sb_model_free(model);
    sb_buf_fini(&file);
}

/* ---- real numbers ---- */

static sb_u256 sd59x18(int64_t units, int64_t divisor)
{
    sb_i128 v = (sb_i128)units * 1000000000000000000 / divisor;
    uint64_t high = (uint64_t)((sb_u128)v >> 64);
    uint64_t sign = v < 0 ? UINT64_MAX : 0;
    return (sb_u256){.w = {(uint64_t)v, high, sign, sign}};
}

static int64_t raw_of(const struct sb_tensor_desc *d, int64_t units, int64_t divisor)
{
    sb_u256 real = sd59x18(units, divisor);
    return sb_input_from_real(d, &real);
}

static void real_input_is_rounded_half_up_and_clamped(void **state)
{
    (void)state;
    struct sb_tensor_desc d = desc_of(SB_DTYPE_I8, 0, NULL);
    d.quant =
        (struct sb_quant){.zero_point = -128, .scale_mult = 1 << 30, .scale_shift = 38}; /* 1/256 */
    assert_int_equal(raw_of(&d, 1, 2), 0);
    assert_int_equal(raw_of(&d, 1, 512), -127);
    assert_int_equal(raw_of(&d, 1, 513), -128);
    assert_int_equal(raw_of(&d, -1, 512), -128);
    assert_int_equal(raw_of(&d, 5, 1), 127);
    assert_int_equal(raw_of(&d, INT64_MIN, 1), -128);
    d = desc_of(SB_DTYPE_I32, 0, NULL);
    d.quant.scale_shift = 16;
    assert_int_equal(raw_of(&d, -1, 131072), 0); /* -1/2 of a step: half up */
    assert_int_equal(raw_of(&d, -3, 131072), -1);
    d.rounding = SB_ROUND_FLOOR;
    assert_int_equal(raw_of(&d, -1, 131072), -1);
    assert_int_equal(raw_of(&d, 1, 131072), 0);
    assert_int_equal(raw_of(&d, 7, 1), 7 << 16);
    sb_u256 huge = {.w = {0, 0, 0, UINT64_C(1) << 62}};
    assert_int_equal(sb_input_from_real(&d, &huge), INT32_MAX);
    huge.w[3] = UINT64_C(1) << 63;
    assert_int_equal(sb_input_from_real(&d, &huge), INT32_MIN);
}

static void real_output_of_extremes_is_exact(void **state)
{
    (void)state;
    struct sb_tensor_desc d = desc_of(SB_DTYPE_I32, 0, NULL);
    d.quant.scale_shift = 1;
    sb_u256 real = sb_output_to_real(&d, -3);
    sb_u256 want = sd59x18(-3, 2);
    assert_true(sb_u256_equal(&real, &want));
    d.quant.scale_shift =
        62; /* 10^18 / 2^62 = 0.2168...: rounds to 0; 3 * 0.2168 = 0.65: to 1; -3: to -1 */
    real = sb_output_to_real(&d, 1);
    assert_true(sb_u256_is_zero(&real));
    real = sb_output_to_real(&d, 3);
    assert_true(real.w[0] == 1 && sb_u256_fits_u64(&real));
    real = sb_output_to_real(&d, -3);
    want = sb_u256_from_u64(1);
    want = sb_u256_neg(&want);
    assert_true(sb_u256_equal(&real, &want));
    d = desc_of(SB_DTYPE_I64, 0, NULL);
    d.quant.scale_mult = INT32_MAX;
    real = sb_output_to_real(&d, INT64_MIN);
    sb_u256 back = sb_u256_neg(&real);
    assert_int_equal(sb_u256_bit_len(&back), 154);
    assert_true(sb_input_from_real(&d, &real) == INT64_MIN);
}

/* Each raw element of a type survives the way out and back. */
static void real_numbers_round_trip_every_i8_element(void **state)
{
    (void)state;
    struct sb_tensor_desc d = desc_of(SB_DTYPE_I8, 0, NULL);
    const struct sb_quant quants[] = {
        {.zero_point = 3, .scale_mult = 1982292599, .scale_shift = 38},
        {.zero_point = -128, .scale_mult = 1, .scale_shift = 0},
        {.zero_point = 127, .scale_mult = INT32_MAX, .scale_shift = 62},
        {.zero_point = 0, .scale_mult = INT32_MAX, .scale_shift = 0}};
    for (size_t q = 0; q < sizeof quants / sizeof quants[0]; q++) {
        d.quant = quants[q];
        for (int64_t raw = -128; raw <= 127; raw++) {
            sb_u256 real = sb_output_to_real(&d, raw);
            assert_int_equal(sb_input_from_real(&d, &real), raw);
        }
    }
}

/* ---- cost ---- */

static void cost_of_the_example_is_the_sum_of_its_classes(void **state)
{
    (void)state;
    struct sb_buf file;
    struct fc f = fc_example();
    struct sb_model *model = fc_load(&f, &file);
    const struct sb_units *units = &sb_model_info(model)->units;
    assert_int_equal(units->count[SB_GAS_CLASS_CALL], 1);
    assert_int_equal(units->count[SB_GAS_CLASS_NODE], 1);
    assert_int_equal(units->count[SB_GAS_CLASS_IO_BYTE], 3);
    assert_int_equal(units->count[SB_GAS_CLASS_GEMV_MAC], 16 * 4);
    assert_int_equal(units->count[SB_GAS_CLASS_WEIGHT_BYTE], 11);
    assert_int_equal(units->count[SB_GAS_CLASS_REQUANTISE], 1);
    uint64_t micro = 200000000 + 20000000 + 4 * 400000 + 3 * 20000 + 64 * 1340 + 11 * 10000 + 45000;
    assert_int_equal(sb_cost_gas(units, sb_rates_genesis()), (micro + 999999) / 1000000);
    assert_int_equal(sb_cost_cold_gas(1000, sb_rates_genesis()), 2600 + 1000);
    sb_model_free(model);
    sb_buf_fini(&file);
}

static void cost_of_endless_units_saturates(void **state)
{
    (void)state;
    struct sb_units units = {0};
    for (int i = 0; i < SB_GAS_CLASS_COUNT; i++) {
        units.count[i] = UINT64_MAX;
    }
    assert_true(sb_cost_gas(&units, sb_rates_genesis()) == INT64_MAX);
    struct sb_rates rates;
    for (int i = 0; i < SB_GAS_CLASS_COUNT; i++) {
        rates.micro_gas[i] = UINT64_MAX;
    }
    assert_true(sb_cost_gas(&units, &rates) == INT64_MAX);
}

/* ---- the memory plan ---- */

/* A chain of nodes with random reaches back; while a tensor lives, no other may hold its bytes. */
#define PLAN_NODES 60u

static void build_random_graph(struct sb_buf *ret_file, uint64_t seed)
{
    struct sb_build *b = sb_build_new("plan");
    uint32_t made[PLAN_NODES + 1];
    struct sb_tensor_desc d = desc_of(SB_DTYPE_I8, 1, (const uint32_t[]){1});
    d.shape.dims[0] = 100;
    made[0] = sb_build_input(b, "in", &d);
    for (uint32_t i = 1; i <= PLAN_NODES; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint32_t from = i - 1 - (uint32_t)(seed >> 33) % (i < 8 ? i : 8);
        uint32_t other = (uint32_t)(seed >> 45) % i;
        uint32_t total = sb_build_desc(b, made[from])->shape.dims[0] +
                         sb_build_desc(b, made[other])->shape.dims[0];
        bool small = total > 5000;
        d.shape.dims[0] = small ? sb_build_desc(b, made[from])->shape.dims[0] : total;
        made[i] = sb_build_tensor(b, "t", &d);
        if (small) {
            sb_build_node(b, "clamp", SB_OP_CLAMP, 1, (const uint32_t[]){made[from]}, 1, made[i],
                          NULL, 0);
        } else {
            const int64_t axis = 0;
            sb_build_node(b, "concat", SB_OP_CONCAT, 1, (const uint32_t[]){made[from], made[other]},
                          2, made[i], &axis, 1);
        }
    }
    sb_build_output(b, made[PLAN_NODES]);
    struct sb_diag diag = {{0}};
    assert_int_equal(sb_build_finish(ret_file, b, &diag), SB_OK);
    sb_build_free(b);
}

static uint32_t last_use_of(const struct sb_model *model, uint32_t tensor)
{
    uint32_t last = 0;
    for (uint32_t i = 0; i < model->info.node_count; i++) {
        const struct sb_node *n = &model->nodes[i];
        for (uint32_t j = 0; j < n->input_count; j++) {
            last = n->inputs[j] == tensor || n->output == tensor ? i + 1 : last;
        }
    }
    return model->outputs[0] == tensor ? model->info.node_count + 1 : last;
}

static uint32_t birth_of(const struct sb_model *model, uint32_t tensor)
{
    for (uint32_t i = 0; i < model->info.node_count; i++) {
        if (model->nodes[i].output == tensor) {
            return i + 1;
        }
    }
    return 0;
}

static void plan_of_random_graphs_never_overlaps_living_tensors(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sb_buf file;
        sb_buf_init(&file, SB_MODEL_FILE_BYTES_MAX);
        build_random_graph(&file, seed);
        struct sb_model *model = load(&file);
        uint64_t sum = 0;
        for (uint32_t a = 0; a < model->info.tensor_count; a++) {
            const struct sb_tensor *ta = &model->tensors[a];
            sum += sb_align_up(ta->bytes);
            assert_true(ta->arena_offset % SB_TENSOR_ALIGN_BYTES == 0);
            assert_true(ta->arena_offset + ta->bytes <= model->plan_bytes);
            for (uint32_t b = 0; b < a; b++) {
                const struct sb_tensor *tb = &model->tensors[b];
                bool together = birth_of(model, a) <= last_use_of(model, b) &&
                                birth_of(model, b) <= last_use_of(model, a);
                bool apart = ta->arena_offset + ta->bytes <= tb->arena_offset ||
                             tb->arena_offset + tb->bytes <= ta->arena_offset;
                assert_true(!together || apart);
            }
        }
        assert_true(model->plan_bytes < sum); /* places are used again */
        sb_model_free(model);
        sb_buf_fini(&file);
    }
}

/* ---- element types ---- */

static void raw_elements_of_every_type_round_trip(void **state)
{
    (void)state;
    for (int t = SB_DTYPE_I8; t < SB_DTYPE_COUNT; t++) {
        enum sb_dtype dtype = (enum sb_dtype)t;
        const int64_t values[] = {sb_dtype_min(dtype), 0, 1, sb_dtype_max(dtype)};
        uint8_t raw[4 * 8];
        uint8_t host[4 * 8];
        int64_t wide[4];
        sb_narrow(host, dtype, values, 4);
        sb_widen(wide, host, dtype, 4);
        for (uint64_t i = 0; i < 4; i++) {
            sb_raw_store(raw, dtype, i, values[i]);
            assert_true(sb_raw_load(raw, dtype, i) == values[i]);
            assert_true(wide[i] == values[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builder_makes_a_file_that_loads_and_describes_itself),
        cmocka_unit_test(builder_keeps_its_first_failure),
        cmocka_unit_test(verifier_on_overflow_names_node_and_channel),
        cmocka_unit_test(verifier_on_wrong_parts_names_them),
        cmocka_unit_test(loader_on_counts_without_records_names_the_error),
        cmocka_unit_test(verifier_on_huge_outputs_refuses),
        cmocka_unit_test(verifier_on_constants_shared_too_often_refuses),
        cmocka_unit_test(loader_on_cut_or_longer_file_names_the_error),
        cmocka_unit_test(loader_on_flipped_bit_refuses_or_stays_canonical),
        cmocka_unit_test(run_of_the_specified_example_gives_its_answer),
        cmocka_unit_test(run_on_bad_input_names_tensor_and_element),
        cmocka_unit_test(check_of_long_input_finds_the_first_bad_element_anywhere),
        cmocka_unit_test(run_when_cancelled_stops_before_the_next_node),
        cmocka_unit_test(real_input_is_rounded_half_up_and_clamped),
        cmocka_unit_test(real_output_of_extremes_is_exact),
        cmocka_unit_test(real_numbers_round_trip_every_i8_element),
        cmocka_unit_test(cost_of_the_example_is_the_sum_of_its_classes),
        cmocka_unit_test(cost_of_endless_units_saturates),
        cmocka_unit_test(plan_of_random_graphs_never_overlaps_living_tensors),
        cmocka_unit_test(raw_elements_of_every_type_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
