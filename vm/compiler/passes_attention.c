/* passes_attention.c: sb_expand_attention: Attention and RotaryEmbedding from products, masked softmax and elementwise operators.
 *
 *     q [B, H, T, D], k [B, G, S, D], v    heads are grouped: q becomes [B, G, H / G, T, D], k and v [B, G, 1, S, D], so that nothing is copied
 *     Product(q, k^T) * scale -> softcap -> + bias -> MaskedSoftmax(allowed, causal) -> MatMul v
 *
 * A mask has two parts: bias (real, added) and allowed (bool). See passes_impl.h. */
#include "vm/compiler/attention.h"
#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes_impl.h"

struct attention {
    struct sb_expansion *x;
    struct sb_attention a;
    uint32_t in[SB_ATTENTION_INPUTS]; /* SB_NO_VALUE: omitted */
    uint32_t bias;
    uint32_t allowed;
};

static const struct sb_shape *shape_of(const struct sb_expansion *x, uint32_t value)
{
    return &x->graph->values[value].array.shape;
}

static bool wants(const struct sb_graph_node *n, uint32_t output)
{
    return output < n->output_count && n->outputs[output] != SB_NO_VALUE;
}

/* [B, T, H * D] as [B, H, T, D]. */
static sb_err split_heads(uint32_t *value, struct sb_expansion *x, uint32_t heads)
{
    const struct sb_shape s = *shape_of(x, *value);
    struct sb_shape split = {.rank = 4, .dims = {s.dims[0], s.dims[1], heads, s.dims[2] / heads}};
    uint32_t apart = SB_NO_VALUE;
    uint32_t turned = SB_NO_VALUE;
    if (s.rank == 4) {
        return SB_OK;
    }
    SB_TRY(sb_expand_reshape(&apart, x, *value, &split));
    SB_TRY(sb_expand_transpose(&turned, x, apart, (uint32_t[]){0, 2, 1, 3}, 4));
    *value = turned;
    return SB_OK;
}

/* Keys or values with those of the past before them; also an output, if it is wanted. */
static sb_err with_past(uint32_t *value, struct attention *t, uint32_t past, uint32_t output)
{
    const struct sb_graph_node *n = t->x->origin;
    struct sb_attr axis = sb_attr_int("axis", 2);
    bool shown = wants(n, output);
    uint32_t y = shown ? n->outputs[output] : SB_NO_VALUE;
    if (past != SB_NO_VALUE) {
        SB_TRY(sb_expand_node(&y, t->x, "Concat", (uint32_t[]){past, *value}, 2, &axis, 1));
        *value = y;
    } else if (shown) {
        return sb_expand_unary(&y, t->x, "Identity", *value);
    }
    return SB_OK;
}

static sb_err and_allowed(struct attention *t, uint32_t more)
{
    uint32_t both = SB_NO_VALUE;
    if (t->allowed != SB_NO_VALUE) {
        SB_TRY(sb_expand_binary(&both, t->x, "And", t->allowed, more));
        more = both;
    }
    t->allowed = more;
    return SB_OK;
}

/* A mask that is too short: columns beyond it are not let through. */
static sb_err lengthen(struct attention *t, uint32_t *mask, bool is_bool)
{
    const struct sb_shape s = *shape_of(t->x, *mask);
    uint32_t have = s.dims[s.rank - 1];
    struct sb_shape rest = s;
    struct sb_shape row = {.rank = 1, .dims = {t->a.columns}};
    struct sb_attr axis = sb_attr_int("axis", -1);
    uint32_t zeros = 0;
    uint32_t inside = 0;
    uint32_t whole = SB_NO_VALUE;
    if (have == t->a.columns || have == 1) {
        return SB_OK;
    }
    rest.dims[s.rank - 1] = t->a.columns - have;
    SB_TRY(sb_expand_const(&zeros, t->x, is_bool ? SB_ELEM_BOOL : SB_ELEM_FLOAT, &rest, NULL));
    SB_TRY(sb_expand_node(&whole, t->x, "Concat", (uint32_t[]){*mask, zeros}, 2, &axis, 1));
    *mask = whole;
    if (is_bool) {
        return SB_OK;
    }
    SB_TRY(sb_expand_const(&inside, t->x, SB_ELEM_BOOL, &row, NULL));
    for (uint32_t j = 0; j < have; j++) {
        t->x->graph->values[inside].array.data[j] = 1;
    }
    return and_allowed(t, inside);
}

/* Keys beyond the valid ones of a sample, and with `causal` those in a query's future, the last query being the last valid key. */
static sb_err limit_valid(struct attention *t)
{
    struct sb_shape shape = {.rank = 4, .dims = {1, 1, 1, t->a.columns}};
    struct sb_shape column = {.rank = 4, .dims = {t->a.batch, 1, 1, 1}};
    bool causal = t->a.causal && t->a.past == 0;
    uint32_t needed = 0;
    uint32_t count = SB_NO_VALUE;
    uint32_t more = SB_NO_VALUE;
    SB_TRY(sb_expand_reshape(&count, t->x, t->in[SB_ATTENTION_VALID], &column));
    for (int pass = 0; pass < (causal ? 2 : 1); pass++) {
        shape.dims[2] = pass == 0 ? 1 : t->a.rows;
        SB_TRY(sb_expand_const(&needed, t->x, SB_ELEM_INT64, &shape, NULL));
        for (uint32_t i = 0; i < shape.dims[2] * t->a.columns; i++) {
            double j = i % t->a.columns;
            double row = (double)(i / t->a.columns);
            t->x->graph->values[needed].array.data[i] = pass == 0 ? j + 1 : j - row + t->a.rows;
        }
        more = SB_NO_VALUE;
        SB_TRY(sb_expand_binary(&more, t->x, "LessOrEqual", needed, count));
        SB_TRY(and_allowed(t, more));
    }
    return SB_OK;
}

static sb_err read_mask(struct attention *t)
{
    uint32_t mask = t->in[SB_ATTENTION_MASK];
    t->bias = SB_NO_VALUE;
    t->allowed = SB_NO_VALUE;
    if (mask != SB_NO_VALUE) {
        bool is_bool = t->x->graph->values[mask].elem == SB_ELEM_BOOL;
        SB_TRY(lengthen(t, &mask, is_bool));
        if (is_bool) {
            SB_TRY(and_allowed(t, mask));
        } else {
            t->bias = mask;
        }
    }
    return t->in[SB_ATTENTION_VALID] != SB_NO_VALUE ? limit_valid(t) : SB_OK;
}

/* a * alpha times b or its transpose, heads in their groups, as [B, H, T, .]. */
static sb_err product(uint32_t *output, struct attention *t, uint32_t a, uint32_t b, uint32_t inner,
                      uint32_t columns, bool transposed, double alpha)
{
    const struct sb_attention *g = &t->a;
    struct sb_attr attrs[] = {
        sb_attr_int("transB", transposed),
        {.name = "alpha", .kind = SB_ATTR_KIND_FLOAT, .f = alpha},
    };
    if (g->heads == g->kv_heads) {
        return sb_expand_node(output, t->x, "Product", (uint32_t[]){a, b}, 2, attrs, 2);
    }
    struct sb_shape left = {
        .rank = 5, .dims = {g->batch, g->kv_heads, g->heads / g->kv_heads, g->rows, inner}};
    struct sb_shape right = {.rank = 5, .dims = {g->batch, g->kv_heads, 1, g->columns, 0}};
    struct sb_shape whole = {.rank = 4, .dims = {g->batch, g->heads, g->rows, columns}};
    right.dims[4] = transposed ? inner : columns;
    uint32_t l = SB_NO_VALUE;
    uint32_t r = SB_NO_VALUE;
    uint32_t y = SB_NO_VALUE;
    SB_TRY(sb_expand_reshape(&l, t->x, a, &left));
    SB_TRY(sb_expand_reshape(&r, t->x, b, &right));
    SB_TRY(sb_expand_node(&y, t->x, "Product", (uint32_t[]){l, r}, 2, attrs, 2));
    return sb_expand_reshape(output, t->x, y, &whole);
}

/* The fourth output, if this is the step that it shows. */
static uint32_t shown(const struct attention *t, int64_t mode)
{
    const struct sb_graph_node *n = t->x->origin;
    return wants(n, 3) && t->a.mode == mode ? n->outputs[3] : SB_NO_VALUE;
}

/* A fourth output that no step of its own writes is a copy. */
static sb_err show(struct attention *t, int64_t mode, uint32_t value, bool written)
{
    uint32_t output = shown(t, mode);
    return output == SB_NO_VALUE || written ? SB_OK
                                            : sb_expand_unary(&output, t->x, "Identity", value);
}

static sb_err cap(uint32_t *value, struct attention *t)
{
    uint32_t inverse = 0;
    uint32_t factor = 0;
    uint32_t v[2] = {SB_NO_VALUE, SB_NO_VALUE};
    uint32_t y = shown(t, 1);
    SB_TRY(sb_expand_scalar(&inverse, t->x, 1 / t->a.softcap));
    SB_TRY(sb_expand_scalar(&factor, t->x, t->a.softcap));
    SB_TRY(sb_expand_binary(&v[0], t->x, "Mul", *value, inverse));
    SB_TRY(sb_expand_unary(&v[1], t->x, "Tanh", v[0]));
    SB_TRY(sb_expand_binary(&y, t->x, "Mul", v[1], factor));
    *value = y;
    return SB_OK;
}

static sb_err probabilities(uint32_t *ret, struct attention *t, uint32_t scores)
{
    bool by_order = t->a.causal && (t->a.past > 0 || t->in[SB_ATTENTION_VALID] == SB_NO_VALUE);
    struct sb_attr attrs[] = {
        sb_attr_int("causal", by_order),
        sb_attr_int("offset", t->a.past),
    };
    uint32_t y = shown(t, 2);
    if (t->bias != SB_NO_VALUE) {
        SB_TRY(sb_expand_binary(&y, t->x, "Add", scores, t->bias));
        scores = y;
    } else {
        SB_TRY(show(t, 2, scores, false));
    }
    *ret = shown(t, 3);
    return sb_expand_node(ret, t->x, "MaskedSoftmax", (uint32_t[]){scores, t->allowed},
                          t->allowed == SB_NO_VALUE ? 1 : 2, attrs, 2);
}

static sb_err expand_attention(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    struct attention t = {.x = x};
    const struct sb_shape *shapes[SB_ATTENTION_INPUTS];
    for (uint32_t i = 0; i < SB_ATTENTION_INPUTS; i++) {
        t.in[i] = i < n->input_count ? n->inputs[i] : SB_NO_VALUE;
        shapes[i] = t.in[i] != SB_NO_VALUE ? shape_of(x, t.in[i]) : NULL;
    }
    SB_TRY(sb_attention_of(&t.a, n, shapes, x->diag));
    SB_TRY(split_heads(&t.in[0], x, t.a.heads));
    SB_TRY(split_heads(&t.in[1], x, t.a.kv_heads));
    SB_TRY(split_heads(&t.in[2], x, t.a.kv_heads));
    SB_TRY(with_past(&t.in[1], &t, t.in[SB_ATTENTION_PAST_KEY], 1));
    SB_TRY(with_past(&t.in[2], &t, t.in[SB_ATTENTION_PAST_VALUE], 2));
    SB_TRY(read_mask(&t));
    uint32_t scores = shown(&t, 0);
    uint32_t p = SB_NO_VALUE;
    SB_TRY(product(&scores, &t, t.in[0], t.in[1], t.a.size, t.a.columns, true, t.a.scale));
    if (t.a.softcap > 0) {
        SB_TRY(cap(&scores, &t));
    } else {
        SB_TRY(show(&t, 1, scores, false));
    }
    SB_TRY(probabilities(&p, &t, scores));
    uint32_t y = t.a.flat ? SB_NO_VALUE : n->outputs[0];
    SB_TRY(product(&y, &t, p, t.in[2], t.a.columns, t.a.value_size, false, 1));
    if (!t.a.flat) {
        return SB_OK;
    }
    uint32_t turned = SB_NO_VALUE;
    SB_TRY(sb_expand_transpose(&turned, x, y, (uint32_t[]){0, 2, 1, 3}, 4));
    return sb_expand_reshape(&n->outputs[0], x, turned, shape_of(x, n->outputs[0]));
}

/* ---- RotaryEmbedding ---- */

/* Elements [from, to) of the last axis. */
static sb_err last_part(uint32_t *ret, struct sb_expansion *x, uint32_t value, int64_t from,
                        int64_t to, int64_t axis)
{
    *ret = SB_NO_VALUE;
    return sb_expand_slice(ret, x, value, &from, &to, &axis, 1);
}

/* Cosines or sines as [B, T, 1, R / 2] or [B, 1, T, R / 2], beside the input. */
static sb_err angles(uint32_t *ret, struct sb_expansion *x, const struct sb_rotary *r,
                     uint32_t input)
{
    const struct sb_graph_node *n = x->origin;
    uint32_t value = n->inputs[input];
    struct sb_shape shape = {.rank = 4, .dims = {r->batch, r->rows, 1, r->turned / 2}};
    if (!r->flat) {
        shape.dims[1] = 1;
        shape.dims[2] = r->rows;
    }
    if (n->input_count > 3 && n->inputs[3] != SB_NO_VALUE) {
        uint32_t picked = SB_NO_VALUE;
        SB_TRY(sb_expand_binary(&picked, x, "Gather", value, n->inputs[3]));
        value = picked;
    }
    *ret = SB_NO_VALUE;
    return sb_expand_reshape(ret, x, value, &shape);
}

/* The two numbers of each pair, [.., R / 2] each. */
static sb_err pairs(uint32_t ret[2], struct sb_expansion *x, const struct sb_rotary *r,
                    uint32_t value, const struct sb_shape *rows)
{
    uint32_t half = r->turned / 2;
    struct sb_shape apart = *rows;
    struct sb_shape one = *rows;
    uint32_t split = SB_NO_VALUE;
    if (!r->interleaved) {
        SB_TRY(last_part(&ret[0], x, value, 0, half, 3));
        return last_part(&ret[1], x, value, half, r->turned, 3);
    }
    apart.rank = 5;
    apart.dims[3] = half;
    apart.dims[4] = 2;
    one.dims[3] = half;
    SB_TRY(sb_expand_reshape(&split, x, value, &apart));
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t part = 0;
        SB_TRY(last_part(&part, x, split, i, i + 1, 4));
        ret[i] = SB_NO_VALUE;
        SB_TRY(sb_expand_reshape(&ret[i], x, part, &one));
    }
    return SB_OK;
}

static sb_err join(uint32_t *ret, struct sb_expansion *x, const struct sb_rotary *r,
                   const uint32_t parts[2], const struct sb_shape *rows)
{
    struct sb_attr axis = sb_attr_int("axis", -1);
    struct sb_shape apart = *rows;
    struct sb_shape whole = *rows;
    uint32_t each[2] = {parts[0], parts[1]};
    uint32_t y = SB_NO_VALUE;
    apart.rank = 5;
    apart.dims[3] = r->turned / 2;
    apart.dims[4] = 1;
    whole.dims[3] = r->turned;
    for (uint32_t i = 0; i < 2 && r->interleaved; i++) {
        each[i] = SB_NO_VALUE;
        SB_TRY(sb_expand_reshape(&each[i], x, parts[i], &apart));
    }
    SB_TRY(sb_expand_node(&y, x, "Concat", each, 2, &axis, 1));
    *ret = y;
    if (r->interleaved) {
        *ret = SB_NO_VALUE;
        return sb_expand_reshape(ret, x, y, &whole);
    }
    return SB_OK;
}

static sb_err expand_rotary(struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    const struct sb_shape shape = *shape_of(x, n->inputs[0]);
    struct sb_rotary r;
    SB_TRY(sb_rotary_of(&r, n, &shape, shape_of(x, n->inputs[1]), x->diag));
    struct sb_shape rows = {.rank = 4, .dims = {r.batch, r.rows, r.heads, r.size}};
    uint32_t value = n->inputs[0];
    uint32_t rest = SB_NO_VALUE;
    uint32_t c = 0;
    uint32_t s = 0;
    uint32_t pair[2];
    uint32_t v[4] = {SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE, SB_NO_VALUE};
    uint32_t y[2] = {SB_NO_VALUE, SB_NO_VALUE};
    uint32_t turned = 0;
    rows = r.flat ? rows : shape;
    if (r.flat) {
        value = SB_NO_VALUE;
        SB_TRY(sb_expand_reshape(&value, x, n->inputs[0], &rows));
    }
    if (r.turned < r.size) {
        SB_TRY(last_part(&rest, x, value, r.turned, r.size, 3));
        SB_TRY(last_part(&value, x, value, 0, r.turned, 3));
    }
    SB_TRY(angles(&c, x, &r, 1));
    SB_TRY(angles(&s, x, &r, 2));
    SB_TRY(pairs(pair, x, &r, value, &rows));
    SB_TRY(sb_expand_binary(&v[0], x, "Mul", pair[0], c));
    SB_TRY(sb_expand_binary(&v[1], x, "Mul", pair[1], s));
    SB_TRY(sb_expand_binary(&v[2], x, "Mul", pair[0], s));
    SB_TRY(sb_expand_binary(&v[3], x, "Mul", pair[1], c));
    SB_TRY(sb_expand_binary(&y[0], x, "Sub", v[0], v[1]));
    SB_TRY(sb_expand_binary(&y[1], x, "Add", v[2], v[3]));
    SB_TRY(join(&turned, x, &r, y, &rows));
    if (rest != SB_NO_VALUE) {
        struct sb_attr axis = sb_attr_int("axis", -1);
        uint32_t whole = SB_NO_VALUE;
        SB_TRY(sb_expand_node(&whole, x, "Concat", (uint32_t[]){turned, rest}, 2, &axis, 1));
        turned = whole;
    }
    return sb_expand_reshape(&n->outputs[0], x, turned, &shape);
}

sb_err sb_expand_attention(bool *changed, struct sb_expansion *x)
{
    *changed = true;
    switch ((int)x->origin->op->id) {
    case SB_ONNX_ATTENTION:
        return expand_attention(x);
    case SB_ONNX_ROTARY_EMBEDDING:
        return expand_rotary(x);
    default:
        *changed = false;
        return SB_OK;
    }
}
