/* passes_rnn.c: sb_expand_rnn: RNN, GRU and LSTM written out step by step. See passes_impl.h and rnn.h.
 *
 *     X W^T + Wb for all steps in one product --Slice--> + H R^T + Rb --> activations --> products --> H ...        for each step
 *
 * Shorter sequences: a step past the end of a sequence keeps its state and gives zeros, by masks of 0 and 1. */
#include <math.h>
#include <string.h>

#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes_impl.h"
#include "vm/compiler/rnn.h"

/* One direction being written out; all values are [batch, hidden] unless said. */
struct unroll {
    struct sb_expansion *x;
    const struct sb_rnn *r;
    uint32_t dir;
    const double *lens;   /* [batch], or NULL: all steps count */
    uint32_t products;    /* X W^T + Wb: [seq * batch, gates * hidden], steps one after another */
    uint32_t recurrent;   /* R of this direction [gates * hidden, hidden] */
    uint32_t recurrent_h; /* its last third: GRU without linear_before_reset */
    uint32_t bias;        /* Rb [gates * hidden], or SB_NO_VALUE */
    uint32_t bias_h;
    uint32_t peephole[3]; /* [1, hidden] for i, o, f; SB_NO_VALUE */
    uint32_t one;
    uint32_t h;
    uint32_t c;
};

static sb_err binary(uint32_t *ret, struct unroll *u, const char *op, uint32_t a, uint32_t b)
{
    *ret = SB_NO_VALUE;
    return sb_expand_node(ret, u->x, op, (uint32_t[]){a, b}, 2, NULL, 0);
}

static sb_err part(uint32_t *ret, struct unroll *u, uint32_t from, int64_t axis, int64_t first,
                   int64_t count)
{
    int64_t end = first + count;
    *ret = SB_NO_VALUE;
    return sb_expand_slice(ret, u->x, from, &first, &end, &axis, 1);
}

/* y = x R^T + bias */
static sb_err product(uint32_t *ret, struct unroll *u, uint32_t a, uint32_t weights, uint32_t bias)
{
    struct sb_attr trans = sb_attr_int("transB", 1);
    *ret = SB_NO_VALUE;
    return sb_expand_node(ret, u->x, "Gemm", (uint32_t[]){a, weights, bias},
                          bias == SB_NO_VALUE ? 2 : 3, &trans, 1);
}

static sb_err activate(uint32_t *ret, struct unroll *u, uint32_t which, uint32_t a, bool clipped)
{
    const struct sb_rnn_activation *act = &u->r->activation[u->dir * u->r->per_direction + which];
    struct sb_attr attrs[2];
    uint32_t count = 0;
    if (clipped && isfinite(u->r->clip)) {
        uint32_t in[3] = {a};
        double bound = -u->r->clip;
        SB_TRY(sb_expand_const(&in[1], u->x, SB_ELEM_FLOAT, &(struct sb_shape){.rank = 0}, &bound));
        bound = u->r->clip;
        SB_TRY(sb_expand_const(&in[2], u->x, SB_ELEM_FLOAT, &(struct sb_shape){.rank = 0}, &bound));
        a = SB_NO_VALUE;
        SB_TRY(sb_expand_node(&a, u->x, "Clip", in, 3, NULL, 0));
    }
    if (!isnan(act->alpha)) {
        attrs[count++] =
            (struct sb_attr){.name = "alpha", .kind = SB_ATTR_KIND_FLOAT, .f = act->alpha};
    }
    if (!isnan(act->beta)) {
        attrs[count++] =
            (struct sb_attr){.name = "beta", .kind = SB_ATTR_KIND_FLOAT, .f = act->beta};
    }
    *ret = SB_NO_VALUE;
    return sb_expand_node(ret, u->x, act->name, &a, 1, attrs, count);
}

/* activation(from x + from the state [+ peephole * c]) of gate number `gate`. */
static sb_err gate(uint32_t *ret, struct unroll *u, uint32_t which, uint32_t number,
                   uint32_t from_x, uint32_t from_state, uint32_t peephole)
{
    int64_t n = u->r->hidden;
    uint32_t a = 0;
    uint32_t b = 0;
    uint32_t sum = 0;
    SB_TRY(part(&a, u, from_x, 1, (int64_t)number * n, n));
    SB_TRY(part(&b, u, from_state, 1, (int64_t)number * n, n));
    SB_TRY(binary(&sum, u, "Add", a, b));
    if (peephole != SB_NO_VALUE) {
        uint32_t seen = 0;
        uint32_t with = 0;
        SB_TRY(binary(&seen, u, "Mul", u->c, peephole));
        SB_TRY(binary(&with, u, "Add", sum, seen));
        sum = with;
    }
    return activate(ret, u, which, sum, true);
}

/* H = h + z * (H - h) */
static sb_err step_gru(uint32_t *ret_h, struct unroll *u, uint32_t from_x)
{
    int64_t n = u->r->hidden;
    uint32_t state = 0;
    uint32_t z = 0;
    uint32_t reset = 0;
    uint32_t inner = 0;
    uint32_t outer = 0;
    uint32_t own = 0;
    SB_TRY(product(&state, u, u->h, u->recurrent, u->bias));
    SB_TRY(gate(&z, u, 0, 0, from_x, state, SB_NO_VALUE));
    SB_TRY(gate(&reset, u, 0, 1, from_x, state, SB_NO_VALUE));
    SB_TRY(part(&own, u, from_x, 1, 2 * n, n));
    if (u->r->linear_before_reset) {
        uint32_t linear = 0;
        SB_TRY(part(&linear, u, state, 1, 2 * n, n));
        SB_TRY(binary(&inner, u, "Mul", reset, linear));
    } else {
        uint32_t kept = 0;
        SB_TRY(binary(&kept, u, "Mul", reset, u->h));
        SB_TRY(product(&inner, u, kept, u->recurrent_h, u->bias_h));
    }
    SB_TRY(binary(&outer, u, "Add", own, inner));
    uint32_t h = 0;
    uint32_t difference = 0;
    uint32_t carried = 0;
    SB_TRY(activate(&h, u, 1, outer, true));
    SB_TRY(binary(&difference, u, "Sub", u->h, h));
    SB_TRY(binary(&carried, u, "Mul", z, difference));
    return binary(ret_h, u, "Add", h, carried);
}

static sb_err step_lstm(uint32_t *ret_h, uint32_t *ret_c, struct unroll *u, uint32_t from_x)
{
    uint32_t state = 0;
    uint32_t in = 0;
    uint32_t forget = 0;
    uint32_t cell = 0;
    uint32_t out = 0;
    uint32_t kept = 0;
    uint32_t fresh = 0;
    uint32_t shown = 0;
    SB_TRY(product(&state, u, u->h, u->recurrent, u->bias));
    SB_TRY(gate(&in, u, 0, 0, from_x, state, u->peephole[0]));
    if (u->r->input_forget) {
        SB_TRY(binary(&forget, u, "Sub", u->one, in));
    } else {
        SB_TRY(gate(&forget, u, 0, 2, from_x, state, u->peephole[2]));
    }
    SB_TRY(gate(&cell, u, 1, 3, from_x, state, SB_NO_VALUE));
    SB_TRY(binary(&kept, u, "Mul", forget, u->c));
    SB_TRY(binary(&fresh, u, "Mul", in, cell));
    SB_TRY(binary(ret_c, u, "Add", kept, fresh));
    uint32_t before = u->c;
    u->c = *ret_c; /* the output gate looks at the new cell */
    SB_TRY(gate(&out, u, 0, 1, from_x, state, u->peephole[1]));
    u->c = before;
    SB_TRY(activate(&shown, u, 2, *ret_c, false));
    return binary(ret_h, u, "Mul", out, shown);
}

/* 0 or 1 for each sequence [batch, 1]: it has step t. SB_NO_VALUE where all have it. */
static sb_err mask_of(uint32_t *ret, struct unroll *u, uint32_t t)
{
    struct sb_shape shape = {.rank = 2, .dims = {u->r->batch, 1}};
    bool all = true;
    for (uint32_t b = 0; u->lens != NULL && b < u->r->batch; b++) {
        all = all && t < u->lens[b];
    }
    *ret = SB_NO_VALUE;
    if (all) {
        return SB_OK;
    }
    SB_TRY(sb_expand_const(ret, u->x, SB_ELEM_FLOAT, &shape, NULL));
    for (uint32_t b = 0; b < u->r->batch; b++) {
        u->x->graph->values[*ret].array.data[b] = t < u->lens[b] ? 1 : 0;
    }
    return SB_OK;
}

/* old + mask * (fresh - old) */
static sb_err masked(uint32_t *value, struct unroll *u, uint32_t mask, uint32_t old)
{
    uint32_t difference = 0;
    uint32_t moved = 0;
    SB_TRY(binary(&difference, u, "Sub", *value, old));
    SB_TRY(binary(&moved, u, "Mul", difference, mask));
    return binary(value, u, "Add", old, moved);
}

/* Step t: the new state; *ret_y what Y shows of it. */
static sb_err step(uint32_t *ret_y, struct unroll *u, uint32_t t)
{
    uint32_t from_x = 0;
    uint32_t mask = 0;
    uint32_t h = 0;
    uint32_t c = u->c;
    SB_TRY(part(&from_x, u, u->products, 0, (int64_t)t * u->r->batch, u->r->batch));
    if (u->r->gates == 3) {
        SB_TRY(step_gru(&h, u, from_x));
    } else if (u->r->gates == 4) {
        SB_TRY(step_lstm(&h, &c, u, from_x));
    } else {
        uint32_t state = 0;
        SB_TRY(product(&state, u, u->h, u->recurrent, u->bias));
        SB_TRY(gate(&h, u, 0, 0, from_x, state, SB_NO_VALUE));
    }
    SB_TRY(mask_of(&mask, u, t));
    if (mask == SB_NO_VALUE) {
        *ret_y = h;
    } else {
        SB_TRY(masked(&h, u, mask, u->h));
        if (u->r->gates == 4) {
            SB_TRY(masked(&c, u, mask, u->c));
        }
        SB_TRY(binary(ret_y, u, "Mul", h, mask));
    }
    u->h = h;
    u->c = c;
    return SB_OK;
}

/* ---- inputs and outputs ---- */

static uint32_t input_of(const struct unroll *u, uint32_t input)
{
    const struct sb_graph_node *n = u->x->origin;
    return input < n->input_count ? n->inputs[input] : SB_NO_VALUE;
}

/* Rows first .. first + count - 1 of this direction's part of a constant, as [rows, columns], or [rows] if columns is 0. */
static sb_err constant(uint32_t *ret, struct unroll *u, uint32_t input, uint32_t all_rows,
                       uint32_t first, uint32_t rows, uint32_t columns)
{
    uint32_t value = input_of(u, input);
    *ret = SB_NO_VALUE;
    if (value == SB_NO_VALUE) {
        return SB_OK;
    }
    if (!u->x->graph->values[value].is_const) {
        return sb_graph_fail(u->x->diag, SB_E_UNSUPPORTED, u->x->origin,
                             "weights that are computed; only constant weights are supported");
    }
    uint64_t width = columns == 0 ? 1 : columns;
    const double *data =
        u->x->graph->values[value].array.data + ((uint64_t)u->dir * all_rows + first) * width;
    struct sb_shape shape = {.rank = columns == 0 ? 1 : 2, .dims = {rows, columns}};
    return sb_expand_const(ret, u->x, SB_ELEM_FLOAT, &shape, data);
}

/* This direction's initial state [batch, hidden]: given, or zeros. */
static sb_err initial(uint32_t *ret, struct unroll *u, uint32_t input)
{
    struct sb_shape shape = {.rank = 2, .dims = {u->r->batch, u->r->hidden}};
    uint32_t value = input_of(u, input);
    if (value == SB_NO_VALUE) {
        return sb_expand_const(ret, u->x, SB_ELEM_FLOAT, &shape, NULL);
    }
    uint32_t own = 0;
    SB_TRY(part(&own, u, value, u->r->batch_first ? 1 : 0, u->dir, 1));
    *ret = SB_NO_VALUE;
    return sb_expand_reshape(ret, u->x, own, &shape);
}

/* X W^T + Wb for all steps. */
static sb_err all_products(struct unroll *u, uint32_t steps_first)
{
    const struct sb_rnn *r = u->r;
    uint32_t rows = r->gates * r->hidden;
    uint32_t flat = SB_NO_VALUE;
    uint32_t weights = 0;
    uint32_t bias = 0;
    struct sb_shape shape = {.rank = 2, .dims = {r->seq * r->batch, r->input}};
    SB_TRY(sb_expand_reshape(&flat, u->x, steps_first, &shape));
    SB_TRY(constant(&weights, u, SB_RNN_W, rows, 0, rows, r->input));
    SB_TRY(constant(&bias, u, SB_RNN_B, 2 * rows, 0, rows, 0));
    return product(&u->products, u, flat, weights, bias);
}

static sb_err prepare(struct unroll *u, uint32_t steps_first)
{
    const struct sb_rnn *r = u->r;
    uint32_t n = r->hidden;
    uint32_t rows = r->gates * n;
    double one = 1;
    bool two_products = r->gates == 3 && !r->linear_before_reset;
    SB_TRY(all_products(u, steps_first));
    uint32_t own = two_products ? 2 * n : rows; /* the last third reads another state */
    SB_TRY(constant(&u->recurrent, u, SB_RNN_R, rows, 0, own, n));
    SB_TRY(constant(&u->bias, u, SB_RNN_B, 2 * rows, rows, own, 0));
    if (two_products) {
        SB_TRY(constant(&u->recurrent_h, u, SB_RNN_R, rows, own, n, n));
        SB_TRY(constant(&u->bias_h, u, SB_RNN_B, 2 * rows, rows + own, n, 0));
    }
    for (uint32_t i = 0; i < 3; i++) {
        SB_TRY(constant(&u->peephole[i], u, SB_RNN_P, 3 * n, i * n, n, 0));
    }
    SB_TRY(sb_expand_const(&u->one, u->x, SB_ELEM_FLOAT, &(struct sb_shape){.rank = 0}, &one));
    SB_TRY(initial(&u->h, u, SB_RNN_H));
    return r->gates == 4 ? initial(&u->c, u, SB_RNN_C) : SB_OK;
}

/* Several [batch, hidden] as one value: laid end to end along a new first dimension, [count, batch, hidden]; a chain of Concats of 64. */
static sb_err stack(uint32_t *ret, struct sb_expansion *x, const uint32_t *values, uint32_t count,
                    const struct sb_shape *shape)
{
    struct sb_attr axis = sb_attr_int("axis", 0);
    uint32_t in[SB_GRAPH_OPERANDS_MAX];
    uint32_t in_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (in_count == SB_GRAPH_OPERANDS_MAX) {
            uint32_t so_far = SB_NO_VALUE;
            SB_TRY(sb_expand_node(&so_far, x, "Concat", in, in_count, &axis, 1));
            in[0] = so_far;
            in_count = 1;
        }
        in[in_count++] = values[i];
    }
    uint32_t rows = SB_NO_VALUE;
    SB_TRY(sb_expand_node(&rows, x, "Concat", in, in_count, &axis, 1));
    *ret = SB_NO_VALUE;
    return sb_expand_reshape(ret, x, rows, shape);
}

/* An output from [a, b, batch, hidden] (Y) or [dirs, batch, hidden] (states), batch first if the layout says so. */
static sb_err give(struct sb_expansion *x, const struct sb_rnn *r, uint32_t output, uint32_t value)
{
    static const int64_t y_perm[] = {2, 0, 1, 3};
    static const int64_t state_perm[] = {1, 0, 2};
    const struct sb_graph_node *n = x->origin;
    bool y = output == SB_RNN_Y;
    if (output >= n->output_count || n->outputs[output] == SB_NO_VALUE) {
        return SB_OK;
    }
    struct sb_attr perm = sb_attr_ints("perm", y ? y_perm : state_perm, y ? 4 : 3);
    return r->batch_first ? sb_expand_node(&n->outputs[output], x, "Transpose", &value, 1, &perm, 1)
                          : sb_expand_node(&n->outputs[output], x, "Identity", &value, 1, NULL, 0);
}

static sb_err expand(struct sb_expansion *x, const struct sb_rnn *r, const double *lens)
{
    static const int64_t steps_perm[] = {1, 0, 2};
    uint32_t steps_first = x->origin->inputs[SB_RNN_X];
    uint32_t *rows = sb_arena_array(x->graph->memory, (size_t)r->seq * r->dirs, sizeof *rows);
    uint32_t h[2];
    uint32_t c[2];
    if (rows == NULL) {
        return sb_pass_nomem(x->diag);
    }
    if (r->batch_first) {
        struct sb_attr perm = sb_attr_ints("perm", steps_perm, 3);
        uint32_t from = steps_first;
        steps_first = SB_NO_VALUE;
        SB_TRY(sb_expand_node(&steps_first, x, "Transpose", &from, 1, &perm, 1));
    }
    for (uint32_t dir = 0; dir < r->dirs; dir++) {
        struct unroll u = {.x = x, .r = r, .dir = dir, .lens = lens};
        SB_TRY(prepare(&u, steps_first));
        for (uint32_t s = 0; s < r->seq; s++) {
            uint32_t t = sb_rnn_runs_back(r, dir) ? r->seq - 1 - s : s;
            SB_TRY(step(&rows[t * r->dirs + dir], &u, t));
        }
        h[dir] = u.h;
        c[dir] = u.c;
    }
    struct sb_shape y = {.rank = 4, .dims = {r->seq, r->dirs, r->batch, r->hidden}};
    struct sb_shape state = {.rank = 3, .dims = {r->dirs, r->batch, r->hidden}};
    uint32_t value = 0;
    const struct sb_graph_node *n = x->origin;
    if (n->outputs[SB_RNN_Y] != SB_NO_VALUE) {
        SB_TRY(stack(&value, x, rows, r->seq * r->dirs, &y));
        SB_TRY(give(x, r, SB_RNN_Y, value));
    }
    SB_TRY(stack(&value, x, h, r->dirs, &state));
    SB_TRY(give(x, r, SB_RNN_Y_H, value));
    if (r->gates == 4) {
        SB_TRY(stack(&value, x, c, r->dirs, &state));
        SB_TRY(give(x, r, SB_RNN_Y_C, value));
    }
    return SB_OK;
}

sb_err sb_expand_rnn(bool *ret_done, struct sb_expansion *x)
{
    const struct sb_graph_node *n = x->origin;
    enum sb_onnx_op_id op = n->op->id;
    *ret_done = op == SB_ONNX_RNN || op == SB_ONNX_GRU || op == SB_ONNX_LSTM;
    if (!*ret_done) {
        return SB_OK;
    }
    struct sb_eval e = {.graph = x->graph, .node = n, .diag = x->diag};
    for (uint32_t i = 0; i < n->input_count; i++) {
        const struct sb_value *v = sb_graph_input(x->graph, n, i);
        e.in[i] = v != NULL ? &v->array : NULL;
    }
    struct sb_rnn r;
    SB_TRY(sb_rnn_of(&r, &e));
    const struct sb_value *lens = sb_graph_input(x->graph, n, SB_RNN_LENS);
    if (lens != NULL && !lens->is_const) {
        return sb_graph_fail(x->diag, SB_E_UNSUPPORTED, n,
                             "lengths of sequences that are computed; make them a constant");
    }
    return expand(x, &r, lens != NULL ? lens->array.data : NULL);
}
