/* tensor_ops.c: Tensor (0x5b02): single operations of the engine on the caller's numbers. docs/spec/precompiles.md section 3.
 *
 * There is no registration, hence no proof from weights: bounds follow from types and shapes alone (an i8 product sum of at most
 * 131,071 terms fits int32), or the sum is wide. Gas is that of the same work inside a model. */
#include "base/num/sd59x18.h"
#include "base/util/endian.h"
#include "vm/precompile/facts.h"
#include "vm/precompile/native.h"
#include "vm/tensor/fxmath.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/linear.h"
#include "vm/tensor/ops.h"

#define MATMUL_K_MAX      131071u /* 131,071 * 128 * 127 < 2^31 */
#define MATMUL_ROWS_MAX   65536u
#define MATMUL_OUTPUT_MAX ((uint64_t)1 << 22) /* elements */
#define TRANSPOSE_ROWS    64u
#define ELEMENTS_MAX      ((size_t)1 << 16)
#define DOT_TERM_GAS      40
#define SOFTMAX_TERM_GAS  120 /* exp, two 256-bit steps and one exact division */
#define ARG_MAX_TERM_GAS  6
#define OP_SWITCH_GAS     100

/* Revert OpDisabled if governance switched the operator off. true: *ret_err is to be returned. */
static bool is_off(sb_err *ret_err, struct native *n, uint16_t op)
{
    *ret_err = SB_OK;
    if (!native_charge(n, OP_SWITCH_GAS)) {
        return true;
    }
    struct sb_overlay *state = n->call->evm->state;
    if (sb_ops_off_count(state) == 0 || !sb_op_is_off(state, op, 1)) {
        return false;
    }
    sb_u256 args[2] = {sb_u256_from_u64(op), sb_u256_from_u64(1)};
    *ret_err = native_revert(n, "OpDisabled(uint16,uint16)", args, 2);
    return true;
}

static sb_err bad_shape(struct native *n, uint64_t argument)
{
    sb_u256 word = sb_u256_from_u64(argument);
    return native_revert(n, "BadShape(uint256)", &word, 1);
}

struct matmul {
    uint64_t m, k, n;
    sb_bytes a, b;
};

/* The first element of b that the kernels do not take as a weight (-128); b.len when there is none. */
static size_t first_bad_weight(sb_bytes b)
{
    const uint8_t *bad = memchr(b.data, 0x80, b.len);
    return bad != NULL ? (size_t)(bad - b.data) : b.len;
}

/* The right matrix by columns, in blocks of rows, so that neither side of the copy leaves the cache line by line. */
static void transpose(int8_t *ret_columns, const uint8_t *b, struct sb_gemm_dims d)
{
    for (size_t from = 0; from < d.k; from += TRANSPOSE_ROWS) {
        size_t to = d.k - from < TRANSPOSE_ROWS ? d.k : from + TRANSPOSE_ROWS;
        for (size_t col = 0; col < d.n; col++) {
            for (size_t row = from; row < to; row++) {
                ret_columns[col * d.k + row] = (int8_t)b[row * d.n + col];
            }
        }
    }
}

/* The product through the engine's own kernel, which wants the right matrix by columns. The sums are turned to little-endian where
 * they lie. */
static sb_err matmul_run(struct native *n, const struct matmul *x)
{
    struct sb_arena *arena = n->call->arena;
    struct sb_gemm_dims dims = {.m = (size_t)x->m, .n = (size_t)x->n, .k = (size_t)x->k};
    size_t sums = dims.m * dims.n;
    int8_t *columns = sb_arena_alloc(arena, dims.n * dims.k);
    int32_t *bias = sb_arena_zalloc(arena, dims.n * sizeof *bias);
    struct native_bytes output;
    if (columns == NULL || bias == NULL) {
        return SB_E_NOMEM;
    }
    SB_TRY(native_bytes_place(&output, n, sums * sizeof(int32_t)));
    transpose(columns, x->b.data, dims);
    int32_t *acc = (int32_t *)(void *)output.data;
    sb_kernels_c.gemm_i8(acc, (const int8_t *)x->a.data, columns, bias, dims, 0);
    for (size_t i = 0; i < sums; i++) {
        le_store32(output.data + 4 * i, (uint32_t)acc[i]);
    }
    native_return_bytes(n, &output);
    return SB_OK;
}

/* A uint32 argument: a wider word is no encoding of one. */
static sb_err read_u32(uint64_t *ret, const struct native *n, size_t word_index)
{
    SB_TRY(sb_abi_read_u64(ret, n->args, word_index));
    return *ret <= UINT32_MAX ? SB_OK : SB_E_RANGE;
}

/* The gas of the same product inside a model, whose output is requantised. */
static uint64_t matmul_gas(const struct matmul *x)
{
    struct sb_units units = {{0}};
    struct sb_gemm_dims dims = {.m = (size_t)x->m, .n = (size_t)x->n, .k = (size_t)x->k};
    sb_linear_units(&units, dims, 1, false);
    sb_units_add(&units, SB_GAS_CLASS_REQUANTISE, x->m * x->n);
    sb_units_add(&units, SB_GAS_CLASS_IO_BYTE, x->a.len + x->b.len + 4 * x->m * x->n);
    sb_units_add(&units, SB_GAS_CLASS_GATHER_BYTE, x->b.len);
    return sb_cost_gas(&units, sb_rates_genesis());
}

/* matmulI8(uint32 m, uint32 k, uint32 n, bytes a, bytes b): bytes */
static sb_err matmul_i8(struct native *n)
{
    sb_err err = SB_OK;
    struct matmul x;
    if (read_u32(&x.m, n, 0) != SB_OK || read_u32(&x.k, n, 1) != SB_OK ||
        read_u32(&x.n, n, 2) != SB_OK || sb_abi_read_bytes(&x.a, n->args, 3, SIZE_MAX) != SB_OK ||
        sb_abi_read_bytes(&x.b, n->args, 4, SIZE_MAX) != SB_OK) {
        return native_bad_call(n);
    }
    if (x.m == 0 || x.m > MATMUL_ROWS_MAX) {
        return bad_shape(n, 0);
    }
    if (x.k == 0 || x.k > MATMUL_K_MAX) {
        return bad_shape(n, 1);
    }
    if (x.n == 0 || x.n > MATMUL_ROWS_MAX || x.m * x.n > MATMUL_OUTPUT_MAX) {
        return bad_shape(n, 2);
    }
    if (x.a.len != x.m * x.k || x.b.len != x.k * x.n) {
        return bad_shape(n, x.a.len != x.m * x.k ? 3 : 4);
    }
    if (is_off(&err, n, SB_OP_GEMM) || !native_charge(n, matmul_gas(&x))) {
        return err;
    }
    size_t bad = first_bad_weight(x.b);
    if (bad < x.b.len) {
        sb_u256 args[2] = {sb_u256_from_u64(1), sb_u256_from_u64(bad)};
        return native_revert(n, "BadInput(uint256,uint256)", args, 2);
    }
    return matmul_run(n, &x);
}

static sb_u256 item(sb_bytes items, size_t i)
{
    return sb_u256_load_be(items.data + 32 * i, 32);
}

/* dot(int256[] a, int256[] b): int256 */
static sb_err dot(struct native *n)
{
    sb_err err = SB_OK;
    sb_bytes a;
    sb_bytes b;
    size_t a_count = 0;
    size_t b_count = 0;
    if (sb_abi_read_array(&a, &a_count, n->args, 0, 1, ELEMENTS_MAX) != SB_OK ||
        sb_abi_read_array(&b, &b_count, n->args, 1, 1, ELEMENTS_MAX) != SB_OK) {
        return native_bad_call(n);
    }
    if (a_count != b_count) {
        return bad_shape(n, 1);
    }
    if (is_off(&err, n, SB_OP_GEMM_FX) || !native_charge(n, DOT_TERM_GAS * (uint64_t)a_count)) {
        return err;
    }
    struct sb_sd_dot sum;
    sb_sd_dot_init(&sum);
    for (size_t i = 0; i < a_count; i++) {
        sb_u256 x = item(a, i);
        sb_u256 y = item(b, i);
        sb_sd_dot_add(&sum, &x, &y);
    }
    sb_u256 value;
    if (sb_sd_dot_result(&value, &sum) != SB_OK) {
        sb_u256 args[2] = {sb_u256_zero(), sb_u256_from_u64(a_count)};
        return native_revert(n, "BadInput(uint256,uint256)", args, 2);
    }
    return native_return_u256(n, &value);
}

static size_t index_of_max(sb_bytes items, size_t count)
{
    size_t best = 0;
    sb_u256 most = item(items, 0);
    for (size_t i = 1; i < count; i++) {
        sb_u256 x = item(items, i);
        if (sb_u256_slt(&most, &x)) {
            best = i;
            most = x;
        }
    }
    return best;
}

/* e^-(most - x) in Q31; the difference is brought to Q26, half up, and cut at 2^32 - 1 (64.0). */
static uint64_t softmax_term(const sb_u256 *most, const sb_u256 *x)
{
    sb_u256 difference = sb_u256_sub(most, x); /* below 2^256: most >= x */
    sb_u256 bound = sb_u256_from_u64(SB_SD_ONE);
    bound = sb_u256_shl(&bound, 6);
    if (!sb_u256_lt(&difference, &bound)) {
        return (uint64_t)sb_fx_exp_neg(UINT32_MAX);
    }
    sb_u256 unit = sb_u256_from_u64(SB_SD_ONE);
    sb_u256 half = sb_u256_from_u64(SB_SD_ONE / 2);
    sb_u256 scaled = sb_u256_shl(&difference, 26);
    scaled = sb_u256_add(&scaled, &half);
    scaled = sb_u256_div(&scaled, &unit);
    uint64_t a = sb_u256_sat_u64(&scaled);
    return (uint64_t)sb_fx_exp_neg(a > UINT32_MAX ? UINT32_MAX : (uint32_t)a);
}

/* softmax(int256[] x): uint16[] */
static sb_err softmax(struct native *n)
{
    sb_err err = SB_OK;
    sb_bytes items;
    size_t count = 0;
    if (sb_abi_read_array(&items, &count, n->args, 0, 1, ELEMENTS_MAX) != SB_OK) {
        return native_bad_call(n);
    }
    if (count == 0) {
        return bad_shape(n, 0);
    }
    if (is_off(&err, n, SB_OP_SOFTMAX) || !native_charge(n, SOFTMAX_TERM_GAS * (uint64_t)count)) {
        return err;
    }
    uint64_t *terms = sb_arena_array(n->call->arena, count, sizeof *terms);
    if (terms == NULL) {
        return SB_E_NOMEM;
    }
    sb_u256 most = item(items, index_of_max(items, count));
    uint64_t sum = 0; /* at most 2^16 * 2^31 */
    for (size_t i = 0; i < count; i++) {
        sb_u256 x = item(items, i);
        terms[i] = softmax_term(&most, &x);
        sum += terms[i];
    }
    struct sb_buf buf;
    struct sb_abi_writer w;
    struct sb_abi_writer list;
    sb_buf_init(&buf, NATIVE_RETURN_BYTES_MAX);
    sb_abi_begin(&w, &buf, 1);
    sb_abi_put_array(&list, &w, count, 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t p = ((terms[i] << 16) + sum / 2) / sum;
        sb_abi_put_u64(&list, p > UINT16_MAX ? UINT16_MAX : p);
    }
    sb_abi_end(&list);
    sb_abi_end(&w);
    return native_return_buf(n, &buf);
}

/* argmax(int256[] x): uint256 */
static sb_err argmax(struct native *n)
{
    sb_err err = SB_OK;
    sb_bytes items;
    size_t count = 0;
    if (sb_abi_read_array(&items, &count, n->args, 0, 1, ELEMENTS_MAX) != SB_OK) {
        return native_bad_call(n);
    }
    if (count == 0) {
        return bad_shape(n, 0);
    }
    if (is_off(&err, n, SB_OP_ARG_MAX) || !native_charge(n, ARG_MAX_TERM_GAS * (uint64_t)count)) {
        return err;
    }
    sb_u256 index = sb_u256_from_u64(index_of_max(items, count));
    return native_return_u256(n, &index);
}

sb_err sb_precompile_tensor_ops(struct sb_precompile_result *ret_result,
                                const struct sb_precompile_call *call)
{
    static const struct native_function functions[] = {
#define SB_NATIVE_TENSOR(selector, signature, function) {selector, function},
#include "vm/precompile/native_functions.def"
    };
    return native_dispatch(ret_result, call, functions, sizeof functions / sizeof functions[0]);
}
