/* eval_matmul.c: the float reference: products of matrices and stacks of them. See eval.h. */
#include <math.h>

#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"

/* Stacks of matrices; vectors are matrices of one row or column. */
struct stacks {
    struct sb_shape a, b, y; /* of rank at least 2 */
    struct sb_shape shape;   /* of the result as ONNX has it */
};

static uint32_t dim_from_end(const struct sb_shape *shape, uint32_t i)
{
    return i < shape->rank ? shape->dims[shape->rank - 1 - i] : 1;
}

static sb_err stacks_of(struct stacks *ret, struct sb_eval *e, uint32_t index_b)
{
    struct stacks s = {.a = e->in[0]->shape, .b = e->in[index_b]->shape};
    bool vector_a = s.a.rank == 1;
    bool vector_b = s.b.rank == 1;
    if (vector_a) {
        s.a = (struct sb_shape){.rank = 2, .dims = {1, s.a.dims[0]}};
    }
    if (vector_b) {
        s.b = (struct sb_shape){.rank = 2, .dims = {s.b.dims[0], 1}};
    }
    bool fits = s.a.rank >= 2 && s.b.rank >= 2 && dim_from_end(&s.a, 0) == dim_from_end(&s.b, 1);
    s.y.rank = s.a.rank > s.b.rank ? s.a.rank : s.b.rank;
    for (uint32_t i = 2; fits && i < s.y.rank; i++) {
        uint32_t da = dim_from_end(&s.a, i);
        uint32_t db = dim_from_end(&s.b, i);
        fits = da == db || da == 1 || db == 1;
        s.y.dims[s.y.rank - 1 - i] = da == 1 ? db : da;
    }
    if (!fits) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "the matrices do not fit");
    }
    s.y.dims[s.y.rank - 2] = dim_from_end(&s.a, 1);
    s.y.dims[s.y.rank - 1] = dim_from_end(&s.b, 0);
    for (uint32_t i = 0; i < s.y.rank; i++) {
        bool dropped = (vector_a && i + 2 == s.y.rank) || (vector_b && i + 1 == s.y.rank);
        if (!dropped) {
            s.shape.dims[s.shape.rank++] = s.y.dims[i];
        }
    }
    *ret = s;
    return SB_OK;
}

/* The first element of the matrix of an operand that batch number `batch` of y reads. */
static uint64_t matrix_at(const struct sb_shape *operand, const struct sb_shape *y, uint64_t batch)
{
    uint64_t index = 0;
    uint64_t stride = (uint64_t)dim_from_end(operand, 0) * dim_from_end(operand, 1);
    for (uint32_t i = 2; i < y->rank; i++) {
        uint32_t dim = dim_from_end(operand, i);
        index += dim == 1 ? 0 : batch % dim_from_end(y, i) * stride;
        batch /= dim_from_end(y, i);
        stride *= dim;
    }
    return index;
}

/* a and b may have an offset, by row of a and by column of b, subtracted before. */
static sb_err multiply(struct sb_eval *e, uint32_t index_b, const struct sb_array *zero_a,
                       const struct sb_array *zero_b)
{
    struct stacks s;
    SB_TRY(stacks_of(&s, e, index_b));
    SB_TRY(sb_eval_alloc(e, 0, &s.shape));
    uint64_t m = dim_from_end(&s.y, 1);
    uint64_t n = dim_from_end(&s.y, 0);
    uint64_t k = dim_from_end(&s.a, 0);
    uint64_t count = sb_shape_count(&s.y);
    uint64_t rows_a = zero_a != NULL ? sb_array_count(zero_a) : 0;
    uint64_t columns_b = zero_b != NULL ? sb_array_count(zero_b) : 0;
    SB_TRY(sb_eval_work(e, count, k));
    for (uint64_t at = 0; at < count; at += n) {
        uint64_t row = at / n % m;
        const double *a = e->in[0]->data + matrix_at(&s.a, &s.y, at / n / m) + row * k;
        const double *b = e->in[index_b]->data + matrix_at(&s.b, &s.y, at / n / m);
        double off_a = rows_a == 0 ? 0 : zero_a->data[rows_a == m ? row : 0];
        double *y = e->out[0].data + at;
        for (uint64_t j = 0; j < n; j++) {
            y[j] = 0;
        }
        for (uint64_t i = 0; i < k; i++) {
            for (uint64_t j = 0; j < n; j++) {
                double off_b = columns_b == 0 ? 0 : zero_b->data[columns_b == n ? j : 0];
                y[j] += (a[i] - off_a) * (b[i * n + j] - off_b);
            }
        }
    }
    return SB_OK;
}

sb_err sb_eval_mat_mul(struct sb_eval *e)
{
    return multiply(e, 1, NULL, NULL);
}

/* Product: alpha * a * b, or b transposed in its last axes. */
sb_err sb_eval_product(struct sb_eval *e)
{
    double alpha = sb_graph_attr_float(e->node, "alpha", 1);
    struct sb_array turned = *e->in[1];
    const struct sb_array *given = e->in[1];
    if (sb_graph_attr_int(e->node, "transB", 0) != 0) {
        uint64_t rows = dim_from_end(&given->shape, 1);
        uint64_t columns = dim_from_end(&given->shape, 0);
        uint64_t count = sb_array_count(given);
        turned.shape.dims[given->shape.rank - 1] = (uint32_t)rows;
        turned.shape.dims[given->shape.rank - 2] = (uint32_t)columns;
        turned.data = sb_arena_array(e->memory, count, sizeof *turned.data);
        if (turned.data == NULL) {
            return sb_graph_fail(e->diag, SB_E_NOMEM, e->node, "out of memory for a result");
        }
        for (uint64_t i = 0; i < count; i++) {
            uint64_t at = i % (rows * columns);
            turned.data[i - at + at % columns * rows + at / columns] = given->data[i];
        }
        e->in[1] = &turned;
    }
    sb_err err = multiply(e, 1, NULL, NULL);
    e->in[1] = given;
    for (uint64_t i = 0; err == SB_OK && i < sb_array_count(&e->out[0]); i++) {
        e->out[0].data[i] *= alpha;
    }
    return err;
}

sb_err sb_eval_mat_mul_integer(struct sb_eval *e)
{
    return multiply(e, 1, e->in[2], e->in[3]);
}

sb_err sb_eval_q_linear_mat_mul(struct sb_eval *e)
{
    enum sb_elem elem = e->graph->values[e->node->inputs[7]].elem;
    double lo = elem == SB_ELEM_INT8 ? INT8_MIN : 0;
    SB_TRY(multiply(e, 3, e->in[2], e->in[5]));
    const double *scale[3] = {e->in[1]->data, e->in[4]->data, e->in[6]->data};
    if (sb_array_count(e->in[1]) != 1 || sb_array_count(e->in[4]) != 1 ||
        sb_array_count(e->in[6]) != 1 || sb_array_count(e->in[7]) != 1) {
        return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node, "scales by row or column");
    }
    for (uint64_t i = 0; i < sb_array_count(&e->out[0]); i++) {
        double v = nearbyint(e->out[0].data[i] * scale[0][0] * scale[1][0] / scale[2][0]);
        e->out[0].data[i] = fmin(lo + UINT8_MAX, fmax(lo, v + e->in[7]->data[0]));
    }
    return SB_OK;
}
