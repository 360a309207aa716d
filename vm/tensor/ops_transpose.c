/* ops_transpose.c: TRANSPOSE: elements moved to a permuted order of dimensions. Spec: docs/spec/numerics.md 10.2.
 *
 *     merge dimensions that stay neighbours  ->  fold a last dimension that stays last into wider elements  ->  one of
 *
 *       copy rows          what stays last has no size that an element can have
 *       transpose blocks   y's last dimension against x's last one, in tiles (kernels), for each place in the others
 *       copy with strides  both of these are tiny: run along the longest of the others */
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"

#define TINY_BLOCK    64u  /* elements; below, the call of a kernel would cost more than its work */
#define CHUNK         512u /* elements copied with strides before the next place */
#define CHUNK_IN_TURN 16u  /* the same where other dimensions come in between */

static sb_err transpose_infer(const struct sb_check *c)
{
    static const char *const names[] = {"PERM[0]", "PERM[1]", "PERM[2]",
                                        "PERM[3]", "PERM[4]", "PERM[5]"};
    const struct sb_shape *shape = &c->in[0]->desc.shape;
    struct sb_shape want = {.rank = shape->rank};
    uint32_t seen = 0;
    SB_TRY(sb_check_same_quant(c, c->in[0], "input x"));
    for (uint32_t i = 0; i < SB_TENSOR_RANK_MAX; i++) {
        SB_TRY(sb_check_attr(c, SB_ATTR_TRANSPOSE_PERM + i, names[i], 0,
                             i < shape->rank ? (int64_t)shape->rank - 1 : 0));
        if (i < shape->rank) {
            want.dims[i] = shape->dims[c->attrs[i]];
            seen |= 1u << c->attrs[i];
        }
    }
    if (seen != (1u << shape->rank) - 1) {
        return sb_fail(c->diag, SB_E_RANGE, "PERM names a dimension twice");
    }
    return sb_check_shape(c, c->out, "output", &want);
}

static sb_err transpose_prove(const struct sb_check *c)
{
    return sb_prove_moved(c, (struct sb_interval){.lo = c->in[0]->lo, .hi = c->in[0]->hi});
}

/* Dimensions of y after merging, last one fastest, with the step in x and in y that each of them makes, in elements of `size` bytes. */
struct layout {
    uint32_t rank;
    size_t dims[SB_TENSOR_RANK_MAX];
    size_t x_step[SB_TENSOR_RANK_MAX];
    size_t y_step[SB_TENSOR_RANK_MAX];
    size_t size;
};

static struct layout merged_layout(const struct sb_tensor *x, const struct sb_tensor *y,
                                   const int64_t *perm)
{
    const struct sb_shape *xs = &x->desc.shape;
    const struct sb_shape *ys = &y->desc.shape;
    struct layout l = {.size = sb_dtype_bytes(y->desc.dtype)};
    size_t x_stride[SB_TENSOR_RANK_MAX];
    size_t stride = 1;
    for (uint32_t i = xs->rank; i-- > 0;) {
        x_stride[i] = stride;
        stride *= xs->dims[i];
    }
    for (uint32_t i = 0; i < ys->rank; i++) {
        size_t step = x_stride[perm[i]];
        if (ys->dims[i] == 1) {
            continue;
        }
        if (l.rank > 0 && l.x_step[l.rank - 1] == step * ys->dims[i]) {
            l.dims[l.rank - 1] *= ys->dims[i];
            l.x_step[l.rank - 1] = step;
            continue;
        }
        l.dims[l.rank] = ys->dims[i];
        l.x_step[l.rank++] = step;
    }
    return l;
}

/* A last dimension that is x's last one too becomes part of the element. */
static void fold_last(struct layout *l)
{
    if (l->rank > 0 && l->x_step[l->rank - 1] == 1) {
        size_t run = l->dims[--l->rank];
        l->size *= run;
        for (uint32_t i = 0; i < l->rank; i++) {
            l->x_step[i] /= run;
        }
    }
    size_t step = 1;
    for (uint32_t i = l->rank; i-- > 0;) {
        l->y_step[i] = step;
        step *= l->dims[i];
    }
}

static struct layout layout_of(const struct sb_tensor *x, const struct sb_tensor *y,
                               const int64_t *perm)
{
    struct layout l = merged_layout(x, y, perm);
    fold_last(&l);
    return l;
}

static size_t elements_of(const struct layout *l)
{
    size_t count = 1;
    for (uint32_t i = 0; i < l->rank; i++) {
        count *= l->dims[i];
    }
    return count;
}

/* How the elements are moved: the three ways of the picture above. */
enum way {
    COPY_ROWS,
    COPY_ALONG,
    BLOCKS,
};

struct plan {
    enum way way;
    uint32_t x_last; /* dimension of y that is x's last */
    uint32_t along;  /* the longest of the others; the rank if there is none */
};

static struct plan plan_of(const struct layout *l)
{
    struct plan p = {.way = COPY_ROWS, .along = l->rank};
    if (l->size > 8 || (l->size & (l->size - 1)) != 0 || l->rank < 2) {
        return p;
    }
    for (uint32_t i = 0; i + 1 < l->rank; i++) {
        p.x_last = l->x_step[i] == 1 ? i : p.x_last;
    }
    for (uint32_t i = 0; i + 1 < l->rank; i++) {
        if (i != p.x_last && (p.along == l->rank || l->dims[i] > l->dims[p.along])) {
            p.along = i;
        }
    }
    size_t block = l->dims[l->rank - 1] * l->dims[p.x_last];
    bool tiny = block < TINY_BLOCK && p.along < l->rank && l->dims[p.along] > block;
    p.way = tiny ? COPY_ALONG : BLOCKS;
    return p;
}

static size_t chunk_of(const struct layout *l)
{
    return l->rank > 3 ? CHUNK_IN_TURN : CHUNK;
}

static sb_err transpose_cost(const struct sb_check *c)
{
    struct layout l = layout_of(c->in[0], c->out, c->attrs);
    struct plan p = plan_of(&l);
    size_t elements = elements_of(&l);
    size_t rows = elements;
    if (p.way == COPY_ROWS) {
        sb_units_add(&c->node->units, SB_GAS_CLASS_COPY_BYTE, c->out->bytes);
    } else {
        size_t halves = elements * l.size / 2;
        sb_units_add(&c->node->units, SB_GAS_CLASS_GATHER_BYTE,
                     elements > halves ? elements : halves);
        size_t chunk = p.way == BLOCKS                  ? l.dims[l.rank - 1] * l.dims[p.x_last]
                       : l.dims[p.along] < chunk_of(&l) ? l.dims[p.along]
                                                        : chunk_of(&l);
        rows = (elements + chunk - 1) / chunk;
    }
    sb_units_add(&c->node->units, SB_GAS_CLASS_ROW, rows);
    return SB_OK;
}

/* A place in the dimensions that are walked one by one (those with walked[i] > 1). */
struct place {
    size_t walked[SB_TENSOR_RANK_MAX];
    size_t index[SB_TENSOR_RANK_MAX];
    const uint8_t *from;
    uint8_t *to;
};

static bool next_place(struct place *p, const struct layout *l)
{
    for (uint32_t i = l->rank; i-- > 0;) {
        p->from += l->x_step[i] * l->size;
        p->to += l->y_step[i] * l->size;
        if (++p->index[i] < p->walked[i]) {
            return true;
        }
        p->from -= l->x_step[i] * l->size * p->walked[i];
        p->to -= l->y_step[i] * l->size * p->walked[i];
        p->index[i] = 0;
    }
    return false;
}

static struct place first_place(const struct sb_exec *x, const struct layout *l)
{
    struct place p = {.from = x->in[0], .to = x->out};
    for (uint32_t i = 0; i < l->rank; i++) {
        p.walked[i] = l->dims[i];
    }
    return p;
}

static void copy_rows(const struct sb_exec *x, const struct layout *l)
{
    struct place p = first_place(x, l);
    do {
        memcpy(p.to, p.from, l->size);
    } while (next_place(&p, l));
}

static uint32_t log2_size(size_t size)
{
    return size == 8 ? 3 : size == 4 ? 2 : (uint32_t)(size - 1);
}

#define STRIDED_COPY(type)                                                                         \
    for (size_t i = 0; i < count; i++) {                                                           \
        ((type *)to)[i * y_step] = ((const type *)from)[i * x_step];                               \
    }                                                                                              \
    return

static void copy_strided(void *restrict to, const void *restrict from, size_t count, size_t y_step,
                         size_t x_step, size_t size)
{
    switch (size) {
    case 1:
        STRIDED_COPY(uint8_t);
    case 2:
        STRIDED_COPY(uint16_t);
    case 4:
        STRIDED_COPY(uint32_t);
    default:
        STRIDED_COPY(uint64_t);
    }
}

/* The dimensions of the block (y's last, x's last) are walked inside a chunk of the dimension `along`. Where there are more dimensions, a
 * chunk goes through all of them before the next: as few lines as it has are written to in turn, so they stay in the cache. */
static void copy_along(const struct sb_exec *x, const struct layout *l, uint32_t along,
                       uint32_t x_last)
{
    uint32_t y_last = l->rank - 1;
    size_t x_along = l->x_step[along];
    size_t y_along = l->y_step[along];
    size_t chunk = chunk_of(l);
    for (size_t first = 0; first < l->dims[along]; first += chunk) {
        size_t count = l->dims[along] - first < chunk ? l->dims[along] - first : chunk;
        struct place p = first_place(x, l);
        p.walked[along] = p.walked[y_last] = p.walked[x_last] = 1;
        do {
            for (size_t c = 0; c < l->dims[x_last]; c++) {
                for (size_t r = 0; r < l->dims[y_last]; r++) {
                    size_t from = first * x_along + r * l->x_step[y_last] + c;
                    size_t to = first * y_along + c * l->y_step[x_last] + r;
                    copy_strided(p.to + to * l->size, p.from + from * l->size, count, y_along,
                                 x_along, l->size);
                }
            }
        } while (next_place(&p, l));
    }
}

static void transpose_blocks(const struct sb_exec *x, const struct layout *l, uint32_t x_last)
{
    uint32_t y_last = l->rank - 1;
    struct sb_block_dims d = {.rows = l->dims[y_last],
                              .columns = l->dims[x_last],
                              .x_stride = l->x_step[y_last],
                              .y_stride = l->y_step[x_last]};
    struct place p = first_place(x, l);
    p.walked[y_last] = p.walked[x_last] = 1;
    do {
        x->kernels->element->transpose[log2_size(l->size)](p.to, p.from, d);
    } while (next_place(&p, l));
}

static void transpose_run(const struct sb_exec *x)
{
    struct layout l = layout_of(x->in_tensor[0], x->out_tensor, x->attrs);
    struct plan p = plan_of(&l);
    switch (p.way) {
    case COPY_ROWS:
        copy_rows(x, &l);
        return;
    case COPY_ALONG:
        copy_along(x, &l, p.along, p.x_last);
        return;
    case BLOCKS:
        transpose_blocks(x, &l, p.x_last);
        return;
    }
}

const struct sb_op_code sb_op_transpose = {.infer = transpose_infer,
                                           .prove = transpose_prove,
                                           .cost = transpose_cost,
                                           .run = transpose_run};
