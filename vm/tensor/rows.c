/* rows.c: see rows.h. */
#include "vm/tensor/rows.h"

#include <string.h>

#include "base/util/assert.h"
#include "vm/tensor/kernels.h"

/* The merged dimensions; the last one is the row. A stride of 0 repeats. Strides count elements. */
struct rows {
    uint32_t rank; /* at least 1 */
    size_t dims[SB_TENSOR_RANK_MAX + 1];
    size_t stride[SB_ROWS_OPERANDS_MAX][SB_TENSOR_RANK_MAX + 1];
    size_t row_count;
};

static uint32_t dim_of(const struct sb_shape *shape, uint32_t rank, uint32_t i)
{
    return i + shape->rank < rank ? 1 : shape->dims[i + shape->rank - rank];
}

sb_err sb_rows_infer(const struct sb_check *c)
{
    struct sb_shape want = {.rank = 0};
    for (uint32_t k = 0; k < c->input_count; k++) {
        uint32_t rank = c->in[k]->desc.shape.rank;
        want.rank = rank > want.rank ? rank : want.rank;
    }
    for (uint32_t i = 0; i < want.rank; i++) {
        want.dims[i] = 1;
        for (uint32_t k = 0; k < c->input_count; k++) {
            uint32_t dim = dim_of(&c->in[k]->desc.shape, want.rank, i);
            if (dim != 1 && want.dims[i] != 1 && dim != want.dims[i]) {
                return sb_fail(c->diag, SB_E_SHAPE, "the shape of '%s' does not broadcast",
                               c->in[k]->name);
            }
            want.dims[i] = dim > want.dims[i] ? dim : want.dims[i];
        }
    }
    return sb_check_shape(c, c->out, "output", &want);
}

/* Dimension i of every operand continues dimension i - 1: both can be walked as one. */
static bool joins(const struct rows *r, uint32_t last, uint32_t operands, const size_t *stride,
                  size_t dim)
{
    for (uint32_t k = 0; k < operands; k++) {
        if (r->stride[k][last] != stride[k] * dim) {
            return false;
        }
    }
    return true;
}

static struct rows rows_of(const struct sb_tensor *const *in, uint32_t operands,
                           const struct sb_tensor *y)
{
    struct rows r = {.rank = 0, .row_count = 1};
    size_t stride[SB_TENSOR_RANK_MAX][SB_ROWS_OPERANDS_MAX] = {{0}};
    uint32_t rank = y->desc.shape.rank;
    for (uint32_t k = 0; k < operands; k++) {
        size_t step = 1;
        for (uint32_t i = rank; i-- > 0;) {
            uint32_t dim = dim_of(&in[k]->desc.shape, rank, i);
            stride[i][k] = dim == 1 ? 0 : step;
            step *= dim;
        }
    }
    for (uint32_t i = 0; i < rank; i++) {
        size_t dim = y->desc.shape.dims[i];
        if (dim == 1) {
            continue;
        }
        if (r.rank > 0 && joins(&r, r.rank - 1, operands, stride[i], dim)) {
            r.dims[r.rank - 1] *= dim;
        } else {
            r.dims[r.rank++] = dim;
        }
        for (uint32_t k = 0; k < operands; k++) {
            r.stride[k][r.rank - 1] = stride[i][k];
        }
    }
    if (r.rank == 0) {
        r.dims[r.rank++] = 1;
    }
    for (uint32_t i = 0; i + 1 < r.rank; i++) {
        r.row_count *= r.dims[i];
    }
    return r;
}

void sb_rows_cost(const struct sb_check *c, enum sb_gas_class gas_class, uint64_t units)
{
    struct rows r = rows_of(c->in, c->input_count, c->out);
    sb_units_add(&c->node->units, gas_class, units);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, sat_mul_u64(r.row_count, c->input_count));
}

#define SPREAD(type)                                                                               \
    do {                                                                                           \
        const type value = *(const type *)element;                                                 \
        for (size_t i = 0; i < count; i++) {                                                       \
            ((type *)ret)[i] = value;                                                              \
        }                                                                                          \
    } while (0)

/* count copies of an element of 1, 2, 4 or 8 bytes. */
static void spread(void *ret, const void *element, size_t size, size_t count)
{
    switch (size) {
    case 1:
        memset(ret, *(const uint8_t *)element, count);
        return;
    case 2:
        SPREAD(uint16_t);
        return;
    case 4:
        SPREAD(uint32_t);
        return;
    default:
        SPREAD(uint64_t);
        return;
    }
}

/* One row: in blocks if an operand repeats an element. */
static void run_row(uint8_t *y, const uint8_t *const *in, const size_t *size, const size_t *step,
                    uint32_t operands, size_t y_size, size_t count, sb_row_fn fn)
{
    uint64_t buffer[SB_ROWS_OPERANDS_MAX][SB_ROWS_BLOCK];
    const void *at[SB_ROWS_OPERANDS_MAX] = {NULL};
    size_t block = count;
    for (uint32_t k = 0; k < operands; k++) {
        at[k] = in[k];
        if (step[k] == 0 && count > 1) {
            block = count < SB_ROWS_BLOCK ? count : SB_ROWS_BLOCK;
            spread(buffer[k], in[k], size[k], block);
            at[k] = buffer[k];
        }
    }
    for (size_t i = 0; i < count; i += block) {
        for (uint32_t k = 0; k < operands; k++) {
            at[k] = step[k] == 0 ? at[k] : in[k] + i * size[k];
        }
        fn(y + i * y_size, at, count - i < block ? count - i : block);
    }
}

void sb_rows_run(const struct sb_exec *x, sb_row_fn fn)
{
    uint32_t operands = x->input_count;
    size_t size[SB_ROWS_OPERANDS_MAX];
    size_t step[SB_ROWS_OPERANDS_MAX];
    size_t index[SB_TENSOR_RANK_MAX + 1] = {0};
    const uint8_t *in[SB_ROWS_OPERANDS_MAX];
    SB_ASSERT(operands <= SB_ROWS_OPERANDS_MAX);
    struct rows r = rows_of(x->in_tensor, operands, x->out_tensor);
    size_t y_size = sb_dtype_bytes(x->out_tensor->desc.dtype);
    size_t count = r.dims[r.rank - 1];
    uint8_t *y = x->out;
    for (uint32_t k = 0; k < operands; k++) {
        size[k] = sb_dtype_bytes(x->in_tensor[k]->desc.dtype);
        step[k] = r.stride[k][r.rank - 1];
        in[k] = x->in[k];
    }
    for (size_t row = 0; row < r.row_count; row++, y += count * y_size) {
        run_row(y, in, size, step, operands, y_size, count, fn);
        for (uint32_t i = r.rank - 1; i-- > 0;) {
            bool carry = ++index[i] == r.dims[i];
            index[i] = carry ? 0 : index[i];
            for (uint32_t k = 0; k < operands; k++) {
                size_t back = (r.dims[i] - 1) * r.stride[k][i];
                in[k] = carry ? in[k] - back * size[k] : in[k] + r.stride[k][i] * size[k];
            }
            if (!carry) {
                break;
            }
        }
    }
}
