/* eval_attention.c: the float reference: Attention and RotaryEmbedding. See eval.h; where operator sets differ, the later one holds: a
 * softcap comes before the mask, and a row of which nothing is let through gives zeros. */
#include <inttypes.h>
#include <math.h>

#include "vm/compiler/attention.h"
#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"

/* ---- geometry ---- */

static bool heads_of(uint32_t ret_dims[4], const struct sb_shape *shape, uint32_t heads)
{
    const uint32_t *d = shape->dims;
    if (shape->rank == 4) {
        for (uint32_t i = 0; i < 4; i++) {
            ret_dims[i] = d[i];
        }
        return true;
    }
    bool fits = shape->rank == 3 && heads > 0 && d[2] % heads == 0;
    ret_dims[0] = d[0];
    ret_dims[1] = heads;
    ret_dims[2] = d[1];
    ret_dims[3] = fits ? d[2] / heads : 0;
    return fits;
}

sb_err sb_attention_of(struct sb_attention *ret, const struct sb_graph_node *node,
                       const struct sb_shape *const shapes[SB_ATTENTION_INPUTS],
                       struct sb_diag *diag)
{
    uint32_t q[4];
    uint32_t k[4];
    uint32_t v[4];
    uint32_t kv_heads = (uint32_t)sb_graph_attr_int(node, "kv_num_heads", 0);
    bool fits = heads_of(q, shapes[0], (uint32_t)sb_graph_attr_int(node, "q_num_heads", 0)) &&
                heads_of(k, shapes[1], kv_heads) && heads_of(v, shapes[2], kv_heads);
    const struct sb_shape *past = shapes[SB_ATTENTION_PAST_KEY];
    fits = fits && q[0] == k[0] && k[0] == v[0] && k[1] == v[1] && k[2] == v[2] && q[3] == k[3] &&
           k[1] > 0 && q[1] % k[1] == 0 && (past == NULL || past->rank == 4) &&
           (past == NULL) == (shapes[SB_ATTENTION_PAST_VALUE] == NULL);
    if (!fits) {
        return sb_graph_fail(diag, SB_E_SHAPE, node, "queries, keys and values do not fit");
    }
    struct sb_attention a = {
        .flat = shapes[0]->rank == 3,
        .batch = q[0],
        .heads = q[1],
        .kv_heads = k[1],
        .rows = q[2],
        .past = past != NULL ? past->dims[2] : 0,
        .fresh = k[2],
        .size = q[3],
        .value_size = v[3],
        .causal = sb_graph_attr_int(node, "is_causal", 0) != 0,
        .softcap = sb_graph_attr_float(node, "softcap", 0),
        .mode = sb_graph_attr_int(node, "qk_matmul_output_mode", 0),
    };
    a.columns = a.past + a.fresh;
    a.scale = sb_graph_attr_float(node, "scale", 1 / sqrt(a.size));
    *ret = a;
    return SB_OK;
}

/* ---- Attention ---- */

/* Row t of head h of an input, [B, T, H * D] or [B, H, T, D]. */
static const double *row_of(const struct sb_array *x, uint32_t heads, uint64_t b, uint64_t h,
                            uint64_t t)
{
    const uint32_t *d = x->shape.dims;
    if (x->shape.rank == 3) {
        return x->data + (b * d[1] + t) * d[2] + h * (d[2] / heads);
    }
    return x->data + ((b * d[1] + h) * d[2] + t) * d[3];
}

/* Row t of the keys (index 1) or values (2), of which those of the past come first. */
static const double *cached_row(const struct sb_eval *e, const struct sb_attention *a,
                                uint32_t index, uint64_t b, uint64_t h, uint64_t t)
{
    uint32_t past = index == 1 ? SB_ATTENTION_PAST_KEY : SB_ATTENTION_PAST_VALUE;
    return t < a->past ? row_of(e->in[past], a->kv_heads, b, h, t)
                       : row_of(e->in[index], a->kv_heads, b, h, t - a->past);
}

/* What the mask adds to a score; -INFINITY leaves it out. */
static double bias_at(const struct sb_eval *e, const struct sb_attention *a, const uint64_t at[4])
{
    const struct sb_array *mask = e->in[SB_ATTENTION_MASK];
    const struct sb_array *valid = e->in[SB_ATTENTION_VALID];
    double count = valid != NULL ? valid->data[at[0]] : 0;
    double bias = 0;
    if (mask != NULL) {
        uint64_t index = 0;
        uint64_t stride = 1;
        uint32_t rank = mask->shape.rank;
        if (at[3] >= mask->shape.dims[rank - 1] && mask->shape.dims[rank - 1] != 1) {
            return -INFINITY;
        }
        for (uint32_t i = rank; i-- > 0;) {
            index += mask->shape.dims[i] == 1 ? 0 : at[4 - rank + i] * stride;
            stride *= mask->shape.dims[i];
        }
        bool is_bool = e->graph->values[e->node->inputs[SB_ATTENTION_MASK]].elem == SB_ELEM_BOOL;
        double v = mask->data[index];
        bias = !is_bool ? v : v != 0 ? 0 : (double)-INFINITY;
    }
    if (valid != NULL && (double)at[3] >= count) {
        return -INFINITY;
    }
    double offset = a->past > 0 || valid == NULL ? (double)a->past : count - a->rows;
    return a->causal && (double)at[3] > (double)at[2] + offset ? (double)-INFINITY : bias;
}

/* One row of scores to probabilities; seen: what the fourth output shows of it. */
static void attend(double *p, double *seen, const struct sb_eval *e, const struct sb_attention *a,
                   const uint64_t at[3])
{
    const double *q = row_of(e->in[0], a->heads, at[0], at[1], at[2]);
    double top = -INFINITY;
    double sum = 0;
    for (uint64_t j = 0; j < a->columns; j++) {
        const double *k = cached_row(e, a, 1, at[0], at[1] / (a->heads / a->kv_heads), j);
        double s = 0;
        for (uint32_t d = 0; d < a->size; d++) {
            s += q[d] * k[d];
        }
        s *= a->scale;
        seen[j] = s;
        s = a->softcap > 0 ? a->softcap * tanh(s / a->softcap) : s;
        seen[j] = a->mode >= 1 ? s : seen[j];
        p[j] = s + bias_at(e, a, (uint64_t[]){at[0], at[1], at[2], j});
        seen[j] = a->mode >= 2 ? p[j] : seen[j];
        top = fmax(top, p[j]);
    }
    for (uint64_t j = 0; j < a->columns; j++) {
        p[j] = isinf(p[j]) ? 0 : exp(p[j] - top);
        sum += p[j];
    }
    for (uint64_t j = 0; j < a->columns; j++) {
        p[j] /= sum > 0 ? sum : 1;
        seen[j] = a->mode == 3 ? p[j] : seen[j];
    }
}

static sb_err copy_cache(struct sb_eval *e, const struct sb_attention *a, uint32_t index)
{
    uint32_t size = index == 1 ? a->size : a->value_size;
    struct sb_shape shape = {.rank = 4, .dims = {a->batch, a->kv_heads, a->columns, size}};
    SB_TRY(sb_eval_alloc(e, index, &shape));
    double *to = e->out[index].data;
    for (uint64_t i = 0; i < (uint64_t)a->batch * a->kv_heads * a->columns; i++, to += size) {
        uint64_t head = i / a->columns;
        const double *from =
            cached_row(e, a, index, head / a->kv_heads, head % a->kv_heads, i % a->columns);
        for (uint32_t d = 0; d < size; d++) {
            to[d] = from[d];
        }
    }
    return SB_OK;
}

sb_err sb_eval_attention(struct sb_eval *e)
{
    struct sb_attention a;
    const struct sb_shape *shapes[SB_ATTENTION_INPUTS];
    for (uint32_t i = 0; i < SB_ATTENTION_INPUTS; i++) {
        shapes[i] = e->in[i] != NULL ? &e->in[i]->shape : NULL;
    }
    SB_TRY(sb_attention_of(&a, e->node, shapes, e->diag));
    struct sb_shape y = {.rank = 4, .dims = {a.batch, a.heads, a.rows, a.value_size}};
    struct sb_shape scores = {.rank = 4, .dims = {a.batch, a.heads, a.rows, a.columns}};
    if (a.flat) {
        y = (struct sb_shape){.rank = 3, .dims = {a.batch, a.rows, a.heads * a.value_size}};
    }
    SB_TRY(sb_eval_work(e, sb_shape_count(&scores), a.size));
    SB_TRY(sb_eval_alloc(e, 0, &y));
    for (uint32_t i = 1; i < 3 && i < e->node->output_count; i++) {
        SB_TRY(copy_cache(e, &a, i));
    }
    double *p = sb_arena_array(e->memory, a.columns, sizeof *p);
    double *seen = sb_arena_array(e->memory, a.columns, sizeof *seen);
    if (p == NULL || seen == NULL) {
        return sb_graph_fail(e->diag, SB_E_NOMEM, e->node, "out of memory for scores");
    }
    if (e->node->output_count > 3) {
        SB_TRY(sb_eval_alloc(e, 3, &scores));
    }
    for (uint64_t row = 0; row < sb_shape_count(&scores) / a.columns; row++) {
        uint64_t at[3] = {row / a.rows / a.heads, row / a.rows % a.heads, row % a.rows};
        double *to = (double *)(uintptr_t)row_of(&e->out[0], a.heads, at[0], at[1], at[2]);
        attend(p, e->node->output_count > 3 ? e->out[3].data + row * a.columns : seen, e, &a, at);
        for (uint32_t d = 0; d < a.value_size; d++) {
            to[d] = 0;
        }
        for (uint64_t j = 0; j < a.columns; j++) {
            const double *v = cached_row(e, &a, 2, at[0], at[1] / (a.heads / a.kv_heads), j);
            for (uint32_t d = 0; d < a.value_size; d++) {
                to[d] += p[j] * v[d];
            }
        }
    }
    return SB_OK;
}

/* ---- RotaryEmbedding ---- */

sb_err sb_rotary_of(struct sb_rotary *ret, const struct sb_graph_node *node,
                    const struct sb_shape *x, const struct sb_shape *cosines, struct sb_diag *diag)
{
    uint32_t dims[4];
    bool fits = heads_of(dims, x, (uint32_t)sb_graph_attr_int(node, "num_heads", 0));
    struct sb_rotary r = {
        .flat = x->rank == 3,
        .batch = dims[0],
        .heads = dims[1],
        .rows = dims[2],
        .size = dims[3],
        .turned = (uint32_t)sb_graph_attr_int(node, "rotary_embedding_dim", 0),
        .interleaved = sb_graph_attr_int(node, "interleaved", 0) != 0,
    };
    r.turned = r.turned == 0 ? r.size : r.turned;
    if (!fits || r.turned > r.size || r.turned % 2 != 0 || cosines->rank < 2 ||
        cosines->dims[cosines->rank - 1] != r.turned / 2) {
        return sb_graph_fail(diag, SB_E_SHAPE, node, "the input does not fit the cosines");
    }
    *ret = r;
    return SB_OK;
}

sb_err sb_eval_rotary_embedding(struct sb_eval *e)
{
    struct sb_rotary r;
    const struct sb_array *positions = e->in[3];
    SB_TRY(sb_rotary_of(&r, e->node, &e->in[0]->shape, &e->in[1]->shape, e->diag));
    SB_TRY(sb_eval_alloc(e, 0, &e->in[0]->shape));
    uint32_t half = r.turned / 2;
    uint64_t cached = sb_array_count(e->in[1]) / half;
    for (uint64_t i = 0; i < (uint64_t)r.batch * r.heads * r.rows; i++) {
        uint64_t b = i / r.heads / r.rows;
        uint64_t t = i % r.rows;
        const double *x = row_of(e->in[0], r.heads, b, i / r.rows % r.heads, t);
        double *y = e->out[0].data + (x - e->in[0]->data);
        double at = positions != NULL ? positions->data[b * r.rows + t] : (double)(b * r.rows + t);
        if (!(at >= 0 && at < (double)cached)) {
            return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "position %g of %" PRIu64, at,
                                 cached);
        }
        const double *c = e->in[1]->data + (uint64_t)at * half;
        const double *s = e->in[2]->data + (uint64_t)at * half;
        for (uint32_t d = 0; d < half; d++) {
            uint32_t first = r.interleaved ? 2 * d : d;
            uint32_t second = r.interleaved ? 2 * d + 1 : d + half;
            y[first] = x[first] * c[d] - x[second] * s[d];
            y[second] = x[first] * s[d] + x[second] * c[d];
        }
        for (uint32_t d = r.turned; d < r.size; d++) {
            y[d] = x[d];
        }
    }
    return SB_OK;
}
