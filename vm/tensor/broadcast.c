/* broadcast.c: see broadcast.h.
 *
 * Dimensions along which both operands go on in step are merged first, so rows are as long as they can be; short rows are collected until
 * a block is full, so that the arithmetic always sees long arrays. An odometer over the outer dimensions finds the next row. */
#include "vm/tensor/broadcast.h"

#include "vm/tensor/kernels.h"

static bool shape_of(struct sb_shape *ret, const struct sb_shape *a, const struct sb_shape *b)
{
    struct sb_shape out = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (uint32_t i = 0; i < out.rank; i++) {
        uint32_t da = i + a->rank < out.rank ? 1 : a->dims[i + a->rank - out.rank];
        uint32_t db = i + b->rank < out.rank ? 1 : b->dims[i + b->rank - out.rank];
        if (da != db && da != 1 && db != 1) {
            return false;
        }
        out.dims[i] = da > db ? da : db;
    }
    *ret = out;
    return true;
}

sb_err sb_broadcast_infer(const struct sb_check *c)
{
    struct sb_shape want;
    if (!shape_of(&want, &c->in[0]->desc.shape, &c->in[1]->desc.shape)) {
        return sb_fail(c->diag, SB_E_SHAPE, "the shapes of a '%s' and b '%s' do not broadcast",
                       c->in[0]->name, c->in[1]->name);
    }
    return sb_check_shape(c, c->out, "output", &want);
}

void sb_broadcast_cost(const struct sb_check *c)
{
    const struct sb_shape *shape = &c->out->desc.shape;
    bool one_row = shape->rank == 0 || sb_shape_equal(&c->in[0]->desc.shape, &c->in[1]->desc.shape);
    uint64_t rows = one_row ? 1 : c->out->count / shape->dims[shape->rank - 1];
    sb_units_add(&c->node->units, SB_GAS_CLASS_ELEMENTWISE, c->out->count);
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, 2 * rows);
}

/* The merged dimensions of y, last one fastest; strides in elements of each operand. */
struct geometry {
    uint32_t rank; /* at least 1 */
    size_t dims[SB_TENSOR_RANK_MAX];
    size_t stride[2][SB_TENSOR_RANK_MAX];
};

static void set_strides(size_t ret_stride[SB_TENSOR_RANK_MAX], const struct sb_shape *operand,
                        uint32_t rank)
{
    size_t step = 1;
    for (uint32_t i = rank; i-- > 0;) {
        uint32_t dim = i + operand->rank < rank ? 1 : operand->dims[i + operand->rank - rank];
        ret_stride[i] = dim == 1 ? 0 : step;
        step *= dim;
    }
}

static struct geometry geometry_of(const struct sb_exec *x)
{
    const struct sb_shape *y = &x->out_tensor->desc.shape;
    size_t stride[2][SB_TENSOR_RANK_MAX];
    struct geometry g = {.rank = 0};
    set_strides(stride[0], &x->in_tensor[0]->desc.shape, y->rank);
    set_strides(stride[1], &x->in_tensor[1]->desc.shape, y->rank);
    for (uint32_t i = 0; i < y->rank; i++) {
        uint32_t last = g.rank - 1;
        if (y->dims[i] == 1) {
            continue;
        }
        if (g.rank > 0 && g.stride[0][last] == stride[0][i] * y->dims[i] &&
            g.stride[1][last] == stride[1][i] * y->dims[i]) {
            g.dims[last] *= y->dims[i];
        } else {
            last = g.rank++;
            g.dims[last] = y->dims[i];
        }
        g.stride[0][last] = stride[0][i];
        g.stride[1][last] = stride[1][i];
    }
    if (g.rank == 0) {
        g.rank = 1;
        g.dims[0] = 1;
    }
    return g;
}

struct cursor {
    size_t index[SB_TENSOR_RANK_MAX]; /* of the outer dimensions */
    size_t row[2];                    /* element where the row of each operand begins */
    size_t column;
};

static void next_row(struct cursor *at, const struct geometry *g)
{
    at->column = 0;
    for (uint32_t i = g->rank - 1; i-- > 0;) {
        at->row[0] += g->stride[0][i];
        at->row[1] += g->stride[1][i];
        if (++at->index[i] < g->dims[i]) {
            return;
        }
        at->row[0] -= g->stride[0][i] * g->dims[i];
        at->row[1] -= g->stride[1][i] * g->dims[i];
        at->index[i] = 0;
    }
}

/* count lanes of an operand from the cursor on. */
static void load(int32_t *ret, const struct sb_exec *x, int operand, const struct cursor *at,
                 size_t step, size_t count)
{
    const struct sb_tensor_desc *d = &x->in_tensor[operand]->desc;
    const void *from =
        sb_element_at(x->in[operand], d->dtype, at->row[operand] + at->column * step);
    x->kernels->element->load[d->dtype](ret, from, step == 0 ? 1 : count, d->quant.zero_point);
    for (size_t i = 1; step == 0 && i < count; i++) {
        ret[i] = ret[0];
    }
}

/* A block of an operand that is in memory as lanes already, or NULL. */
static const int32_t *in_place(const struct sb_exec *x, int operand, const struct cursor *at,
                               const struct geometry *g, size_t count)
{
    bool whole = g->dims[g->rank - 1] - at->column >= count && g->stride[operand][g->rank - 1] == 1;
    return whole && x->in_tensor[operand]->desc.dtype == SB_DTYPE_I32
               ? (const int32_t *)x->in[operand] + at->row[operand] + at->column
               : NULL;
}

static void load_block(int32_t *ret, const struct sb_exec *x, int operand, struct cursor at,
                       const struct geometry *g, size_t count)
{
    size_t row = g->dims[g->rank - 1];
    size_t step = g->stride[operand][g->rank - 1];
    for (size_t filled = 0; filled < count;) {
        size_t take = row - at.column < count - filled ? row - at.column : count - filled;
        load(ret + filled, x, operand, &at, step, take);
        filled += take;
        at.column += take;
        if (at.column == row) {
            next_row(&at, g);
        }
    }
}

static void advance(struct cursor *at, const struct geometry *g, size_t count)
{
    size_t row = g->dims[g->rank - 1];
    for (; count >= row - at->column; next_row(at, g)) {
        count -= row - at->column;
    }
    at->column += count;
}

void sb_broadcast_run(const struct sb_exec *x, sb_broadcast_fn fn, const void *ctx)
{
    int32_t lanes[2][SB_BROADCAST_BLOCK];
    int32_t result[SB_BROADCAST_BLOCK];
    struct geometry g = geometry_of(x);
    struct cursor at = {.column = 0};
    enum sb_dtype dtype = x->out_tensor->desc.dtype;
    size_t total = (size_t)x->out_tensor->count;
    for (size_t done = 0; done < total; done += SB_BROADCAST_BLOCK) {
        size_t count = total - done < SB_BROADCAST_BLOCK ? total - done : SB_BROADCAST_BLOCK;
        const int32_t *operand[2];
        for (int i = 0; i < 2; i++) {
            operand[i] = in_place(x, i, &at, &g, count);
            if (operand[i] == NULL) {
                load_block(lanes[i], x, i, at, &g, count);
                operand[i] = lanes[i];
            }
        }
        if (dtype == SB_DTYPE_I32) {
            fn((int32_t *)x->out + done, operand[0], operand[1], count, ctx);
        } else {
            fn(result, operand[0], operand[1], count, ctx);
            x->kernels->element->store[dtype](sb_element_at_mut(x->out, dtype, done), result,
                                              count);
        }
        advance(&at, &g, count);
    }
}
