/* fuzz_model.c: sb_model_load on arbitrary bytes; an accepted model must encode to itself, run on extreme inputs without an overflow and
 * keep every output inside its range. Overflows are seen by the sanitizer build and, in the sums of products, in every
 * build by kernels that check each step; both must give the same outputs.
 *
 * A mutation nearly always breaks a field that repeats what the file says elsewhere: its length, the range of a constant. Those are
 * repaired first, so that mutated weights, shapes and attributes reach the verifier and the operators. */
#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "base/util/buf.h"
#include "base/util/endian.h"
#include "vm/tensor/format.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/run.h"

#define FILE_BYTES_AT 12
#define ARENA_MAX     ((uint64_t)1 << 24)
#define GAS_MAX       2000000u /* gas; longer models are not run */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- kernels that check each partial sum ---- */

#define DEFINE_PRODUCT_CHECKED(name, type)                                                         \
    static void name(void *ret_y, const void *const *x, const struct sb_product *a)                \
    {                                                                                              \
        size_t run = a->piece_elements;                                                            \
        for (size_t i = 0; i < a->m * a->n; i++) {                                                 \
            size_t n = i % a->n;                                                                   \
            int32_t sum = a->bias[n];                                                              \
            for (size_t k = 0; k < a->pieces * run; k++) {                                         \
                const type *piece = x[k / run * a->m + i / a->n];                                  \
                int32_t product =                                                                  \
                    (piece[k % run] - a->x_zero_point) * a->w[n * a->pieces * run + k];            \
                SB_ASSERT(!__builtin_add_overflow(sum, product, &sum));                            \
            }                                                                                      \
            sb_kernels_c.requantise(                                                               \
                sb_element_at_mut(ret_y, a->y.dtype, i / a->n * a->y_stride + n), &sum,            \
                a->mult + n, a->shift + n, 1, 1, 1, &a->y);                                        \
        }                                                                                          \
    }
DEFINE_PRODUCT_CHECKED(product_i8_checked, int8_t)
DEFINE_PRODUCT_CHECKED(product_u8_checked, uint8_t)
DEFINE_PRODUCT_CHECKED(product_i16_checked, int16_t)

static void gemm_fx_checked(int64_t *ret_acc, const int32_t *x, const int32_t *w,
                            const int64_t *bias, struct sb_gemm_dims d)
{
    for (size_t i = 0; i < d.m * d.n; i++) {
        int64_t sum = bias[i % d.n];
        for (size_t k = 0; k < d.k; k++) {
            int64_t product = (int64_t)x[i / d.n * d.k + k] * w[i % d.n * d.k + k];
            SB_ASSERT(!__builtin_add_overflow(sum, product, &sum));
        }
        ret_acc[i] = sum;
    }
}

#define DEFINE_DEPTHWISE_CHECKED(name, type)                                                       \
    static void name(void *ret_y, const void *const *taps, const size_t *steps,                    \
                     const struct sb_depthwise *a)                                                 \
    {                                                                                              \
        size_t outputs = a->channels * a->multiplier;                                              \
        for (size_t i = 0; i < a->m * outputs; i++) {                                              \
            size_t o = i % outputs;                                                                \
            size_t pixel = i / outputs;                                                            \
            int32_t sum = a->bias[o];                                                              \
            for (size_t t = 0; t < a->taps; t++) {                                                 \
                const type *x = (const void *)((const uint8_t *)taps[t] + pixel * steps[t]);       \
                int32_t product =                                                                  \
                    (x[o / a->multiplier] - a->x_zero_point) * a->w[o * a->taps + t];              \
                SB_ASSERT(!__builtin_add_overflow(sum, product, &sum));                            \
            }                                                                                      \
            sb_kernels_c.requantise(sb_element_at_mut(ret_y, a->y.dtype, pixel * a->y_stride + o), \
                                    &sum, a->mult + o, a->shift + o, 1, 1, 1, &a->y);              \
        }                                                                                          \
    }
DEFINE_DEPTHWISE_CHECKED(depthwise_i8_checked, int8_t)
DEFINE_DEPTHWISE_CHECKED(depthwise_u8_checked, uint8_t)
DEFINE_DEPTHWISE_CHECKED(depthwise_i16_checked, int16_t)

static struct sb_kernels checked_kernels(void)
{
    struct sb_kernels k = sb_kernels_c;
    k.product_i8 = product_i8_checked;
    k.product_u8 = product_u8_checked;
    k.product_i16 = product_i16_checked;
    k.gemm_fx = gemm_fx_checked;
    k.depthwise_i8 = depthwise_i8_checked;
    k.depthwise_u8 = depthwise_u8_checked;
    k.depthwise_i16 = depthwise_i16_checked;
    return k;
}

static void check_encoding(const struct sb_model *model, const uint8_t *data, size_t size)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SB_MODEL_FILE_BYTES_MAX);
    SB_ASSERT(sb_model_encode(&buf, model) == SB_OK);
    SB_ASSERT(buf.len == size && memcmp(buf.data, data, size) == 0);
    sb_buf_fini(&buf);
}

/* Inputs at their ends: all low, all high, alternating, or drawn from a counter. */
static uint8_t *make_input(const struct sb_model_io *io, unsigned style)
{
    uint8_t *raw = malloc((size_t)io->bytes);
    SB_ASSERT(raw != NULL);
    uint64_t state = style;
    for (uint64_t i = 0; i < io->element_count; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint64_t width = (uint64_t)io->desc.hi - (uint64_t)io->desc.lo;
        uint64_t random = width == UINT64_MAX ? state : (state >> 16) % (width + 1);
        bool high = style == 1 || (style == 2 && i % 2 != 0);
        int64_t value = style == 3 ? (int64_t)((uint64_t)io->desc.lo + random)
                        : high     ? io->desc.hi
                                   : io->desc.lo;
        sb_raw_store(raw, io->desc.dtype, i, value);
    }
    return raw;
}

static void check_output(const struct sb_model_io *io, const uint8_t *raw)
{
    for (uint64_t i = 0; i < io->element_count; i++) {
        int64_t value = sb_raw_load(raw, io->desc.dtype, i);
        SB_ASSERT(value >= io->desc.lo && value <= io->desc.hi);
    }
}

/* All outputs end to end; the caller frees them. */
static uint8_t *run_with(const struct sb_model *model, const sb_bytes *inputs, void *scratch,
                         const struct sb_kernels *kernels)
{
    const struct sb_model_info *info = sb_model_info(model);
    uint8_t *all = malloc((size_t)info->output_bytes);
    uint8_t *outputs[SB_MODEL_OUTPUTS_MAX];
    size_t at = 0;
    SB_ASSERT(all != NULL);
    for (uint32_t i = 0; i < info->output_count; i++) {
        outputs[i] = all + at;
        at += (size_t)info->outputs[i].bytes;
    }
    struct sb_run run = {
        .model = model,
        .inputs = inputs,
        .ret_outputs = outputs,
        .scratch = scratch,
        .scratch_bytes = (size_t)info->arena_bytes,
        .kernels = kernels,
    };
    SB_ASSERT(sb_model_run(NULL, &run) == SB_OK);
    for (uint32_t i = 0; i < info->output_count; i++) {
        check_output(&info->outputs[i], outputs[i]);
    }
    return all;
}

static void run_once(const struct sb_model *model, void *scratch, unsigned style)
{
    const struct sb_model_info *info = sb_model_info(model);
    const struct sb_kernels checked = checked_kernels();
    uint8_t *owned[SB_MODEL_INPUTS_MAX];
    sb_bytes inputs[SB_MODEL_INPUTS_MAX];
    for (uint32_t i = 0; i < info->input_count; i++) {
        owned[i] = make_input(&info->inputs[i], style);
        inputs[i] = sb_span(owned[i], (size_t)info->inputs[i].bytes);
    }
    /* what the scratch held before must not matter */
    memset(scratch, 0xa5, (size_t)info->arena_bytes);
    uint8_t *checked_outputs = run_with(model, inputs, scratch, &checked);
    memset(scratch, 0x5a, (size_t)info->arena_bytes);
    uint8_t *outputs = run_with(model, inputs, scratch, NULL);
    SB_ASSERT(memcmp(outputs, checked_outputs, (size_t)info->output_bytes) == 0);
    free(outputs);
    free(checked_outputs);
    for (uint32_t i = 0; i < info->input_count; i++) {
        free(owned[i]);
    }
}

/* ---- repair ---- */

static void repair_range(uint8_t *record, const uint8_t *elements, uint64_t count)
{
    int64_t lo = INT64_MAX;
    int64_t hi = INT64_MIN;
    for (uint64_t i = 0; i < count; i++) {
        int64_t value = sb_raw_load(elements, (enum sb_dtype)record[SB_FORMAT_T_DTYPE], i);
        lo = value < lo ? value : lo;
        hi = value > hi ? value : hi;
    }
    le_store64(record + SB_FORMAT_T_LO, (uint64_t)lo);
    le_store64(record + SB_FORMAT_T_HI, (uint64_t)hi);
}

/* Elements of a record, or 0 if its shape or type is out of bounds. */
static uint64_t count_of(const uint8_t *record)
{
    uint64_t count = sb_dtype_bytes((enum sb_dtype)record[SB_FORMAT_T_DTYPE]) == 0 ||
                             record[SB_FORMAT_T_RANK] > SB_TENSOR_RANK_MAX
                         ? 0
                         : 1;
    for (uint32_t i = 0; count != 0 && i < record[SB_FORMAT_T_RANK]; i++) {
        count *= le_load32(record + SB_FORMAT_T_DIMS + 4 * (size_t)i);
        count = count > SB_TENSOR_ELEMENTS_MAX ? 0 : count;
    }
    return count;
}

static void repair(uint8_t *file, size_t size)
{
    if (size < SB_FORMAT_HEADER_BYTES) {
        return;
    }
    le_store32(file + SB_FORMAT_H_FILE_BYTES, (uint32_t)size);
    uint64_t tensor_count = le_load32(file + SB_FORMAT_H_TENSOR_COUNT);
    uint64_t data_bytes = le_load32(file + SB_FORMAT_H_DATA_BYTES);
    if (tensor_count > size / SB_FORMAT_TENSOR_BYTES ||
        data_bytes > size - SB_FORMAT_HEADER_BYTES) {
        return;
    }
    uint64_t at = size - data_bytes;
    for (uint64_t i = 0;
         i < tensor_count && SB_FORMAT_HEADER_BYTES + (i + 1) * SB_FORMAT_TENSOR_BYTES <= size;
         i++) {
        uint8_t *record = file + SB_FORMAT_HEADER_BYTES + i * SB_FORMAT_TENSOR_BYTES;
        uint64_t count = count_of(record);
        uint64_t bytes = count * sb_dtype_bytes((enum sb_dtype)record[SB_FORMAT_T_DTYPE]);
        if (record[SB_FORMAT_T_KIND] != SB_TENSOR_CONST) {
            continue;
        }
        if (count == 0 || bytes > size - at) {
            return;
        }
        repair_range(record, file + at, count);
        at = sb_align_up(at + bytes) < size ? sb_align_up(at + bytes) : size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_model *model = NULL;
    struct sb_diag diag = {{0}};
    uint8_t *copy = malloc(size + 1);
    SB_ASSERT(copy != NULL);
    memcpy(copy, data, size);
    repair(copy, size);
    sb_err err = sb_model_load(&model, sb_span(copy, size), &diag);
    SB_ASSERT(err != SB_E_NOMEM); /* a validator would stop: no file may bring that about */
    if (err != SB_OK) {
        SB_ASSERT(diag.text[0] != '\0');
        free(copy);
        return 0;
    }
    const struct sb_model_info *info = sb_model_info(model);
    check_encoding(model, copy, size);
    if (info->arena_bytes <= ARENA_MAX &&
        sb_cost_gas(&info->units, sb_rates_genesis()) <= GAS_MAX) {
        void *scratch = malloc((size_t)info->arena_bytes);
        SB_ASSERT(scratch != NULL);
        for (unsigned style = 0; style < 4; style++) {
            run_once(model, scratch, style);
        }
        free(scratch);
    }
    sb_model_free(model);
    free(copy);
    return 0;
}
