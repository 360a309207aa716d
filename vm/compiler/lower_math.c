/* lower_math.c: functions of one number by tables of cubics; logarithm, root and division by their operators. See lower.h.
 *
 *     f on pieces of 2^STEP raw elements          each piece: the cubic through f at four Chebyshev points
 *     |---|---|---|---|---|---|---|---|
 *         jump: begins a piece                    beyond the ends: a line with f's slope there
 *
 * Pieces are counted from raw 0 (or from the jump), so that a function that bends at 0 does so between two pieces. */
#include <inttypes.h>

#include "vm/compiler/eval_math.h"
#include "vm/compiler/lower_impl.h"

#define PIECES_TYPICAL 1024
#define CUBIC          4
#define COEFFICIENT_HI 0x1p31
#define SLOPE_HI       0x1p29
#define SLOPE_SHIFT_HI 40

/* A function in raw elements: y = f(x) / y scale * 2^out_shift. */
struct curve {
    const struct sb_graph_node *node;
    double x_scale;
    double y_unit;
    int64_t first;
    unsigned step;
    uint32_t pieces;
};

static double curve_at(const struct curve *c, double raw)
{
    double value = 0;
    (void)sb_eval_unary_of(&value, c->node, raw * c->x_scale);
    return value / c->y_unit;
}

/* The stretch of raw elements that the table covers: what samples reach and half as much again, within what x can hold and where f bends. */
static void plan_pieces(struct curve *c, const struct sb_lowering *l, const struct sb_lowered *x)
{
    struct sb_eval_domain domain = sb_eval_math_domain(c->node);
    const struct sb_range *r = &l->ranges[c->node->inputs[0]];
    int64_t zero_point = x->format.quant.zero_point;
    double lo = (double)(x->format.lo - zero_point) * c->x_scale;
    double hi = (double)(x->format.hi - zero_point) * c->x_scale;
    if (r->known) {
        double room = fmax(fabs(r->min), fabs(r->max)) / 2;
        lo = fmax(lo, r->min - room);
        hi = fmin(hi, r->max + room);
    }
    lo = fmin(fmax(lo, domain.lo), domain.hi);
    hi = fmax(fmin(hi, domain.hi), domain.lo);
    double anchor = domain.jumps ? floor(domain.jump / c->x_scale) + 1 : 0;
    double raw_lo = floor(lo / c->x_scale) - anchor;
    double raw_hi = fmax(ceil(hi / c->x_scale) - anchor, raw_lo + 1);
    c->step = 0;
    while ((raw_hi - raw_lo) / ldexp(1, (int)c->step) > PIECES_TYPICAL) {
        c->step++;
    }
    double size = ldexp(1, (int)c->step);
    double first = floor(raw_lo / size);
    c->pieces = (uint32_t)(ceil(raw_hi / size) - first);
    c->first = (int64_t)(first * size + anchor);
}

/* The cubic through four points, as coefficients of 1, t, t^2, t^3: Newton's divided differences, multiplied out. */
static void fit(double ret[CUBIC], const double t[CUBIC], const double v[CUBIC])
{
    double d[CUBIC] = {v[0], v[1], v[2], v[3]};
    for (int order = 1; order < CUBIC; order++) {
        for (int i = CUBIC - 1; i >= order; i--) {
            d[i] = (d[i] - d[i - 1]) / (t[i] - t[i - order]);
        }
    }
    double c[CUBIC] = {d[3], 0, 0, 0};
    for (int i = CUBIC - 2; i >= 0; i--) {
        for (int j = CUBIC - 1; j > 0; j--) {
            c[j] = c[j - 1] - t[i] * c[j];
        }
        c[0] = d[i] - t[i] * c[0];
    }
    for (int i = 0; i < CUBIC; i++) {
        ret[i] = c[i];
    }
}

/* False if a coefficient does not fit 32 bits. */
static bool fill_table(int32_t *table, const struct curve *c)
{
    double size = ldexp(1, (int)c->step);
    for (uint32_t i = 0; i < c->pieces; i++) {
        double t[CUBIC];
        double v[CUBIC];
        double k[CUBIC];
        for (int j = 0; j < CUBIC; j++) {
            t[j] = 0.5 - 0.5 * cos((2 * j + 1) * M_PI / (2 * CUBIC));
            v[j] = curve_at(c, (double)c->first + (i + t[j]) * size);
        }
        fit(k, t, v);
        for (int j = 0; j < CUBIC; j++) {
            if (!(fabs(k[j]) < COEFFICIENT_HI - 1)) {
                return false;
            }
            table[i * CUBIC + (uint32_t)j] = (int32_t)nearbyint(k[j]);
        }
    }
    return true;
}

/* Slopes just outside both ends as integers with one shift. */
static void set_slopes(int64_t *attrs, const struct curve *c)
{
    double size = ldexp(1, (int)c->step);
    double end = (double)c->first + c->pieces * size;
    double lo = (curve_at(c, (double)c->first) - curve_at(c, (double)c->first - size)) / size;
    double hi = (curve_at(c, end + size) - curve_at(c, end)) / size;
    lo = isfinite(lo) ? lo : 0;
    hi = isfinite(hi) ? hi : 0;
    int shift = 0;
    double top = fmax(fabs(lo), fabs(hi));
    while (shift < SLOPE_SHIFT_HI && ldexp(top, shift + 1) <= SLOPE_HI) {
        shift++;
    }
    attrs[SB_ATTR_INTERPOLATE_FX_SLOPE_LO] =
        (int64_t)fmax(-SLOPE_HI, fmin(SLOPE_HI, nearbyint(ldexp(lo, shift))));
    attrs[SB_ATTR_INTERPOLATE_FX_SLOPE_HI] =
        (int64_t)fmax(-SLOPE_HI, fmin(SLOPE_HI, nearbyint(ldexp(hi, shift))));
    attrs[SB_ATTR_INTERPOLATE_FX_SLOPE_SHIFT] = shift;
}

sb_err sb_lower_cubics(struct sb_lowering *l, const struct sb_graph_node *node,
                       const struct sb_target *target, const struct sb_lowered *x)
{
    struct sb_lowered y = *x;
    struct curve c = {.node = node, .x_scale = x->format.scale};
    int64_t attrs[SB_ATTR_INTERPOLATE_FX_OUT_SHIFT + 1];
    SB_TRY(sb_lower_format(&y.format, l, target, node, INFINITY));
    plan_pieces(&c, l, x);
    int32_t *table = sb_arena_array(l->memory, (size_t)c.pieces * CUBIC, sizeof *table);
    if (table == NULL) {
        return sb_fail(l->diag, SB_E_NOMEM, "out of memory for a table");
    }
    /* Finer than y by as many bits as the coefficients leave free; where y itself is too fine, coarser. */
    int out_shift = y.format.dtype == SB_DTYPE_I32 ? 0 : 12;
    c.y_unit = ldexp(y.format.scale, -out_shift);
    while (!fill_table(table, &c)) {
        if (out_shift > 0) {
            out_shift--;
        } else if (l->precision == SB_PRECISION_FX32 && y.format.quant.scale_shift > 0) {
            y.format = sb_format_fx(y.format.quant.scale_shift - 1u);
            sb_lower_clip(&y.format, target);
        } else {
            return sb_lower_no_factor(l, node);
        }
        c.y_unit = ldexp(y.format.scale, -out_shift);
    }
    attrs[SB_ATTR_INTERPOLATE_FX_FIRST] = c.first;
    attrs[SB_ATTR_INTERPOLATE_FX_STEP] = c.step;
    attrs[SB_ATTR_INTERPOLATE_FX_OUT_SHIFT] = out_shift;
    set_slopes(attrs, &c);
    struct sb_shape shape = {.rank = 2, .dims = {c.pieces, CUBIC}};
    uint32_t in[2] = {x->tensor};
    in[SB_IN_TABLE_TABLE] = sb_build_const(l->build, node->name, SB_DTYPE_I32, &shape, NULL, table);
    y.tensor =
        sb_lower_emit(l, target->value, SB_OP_INTERPOLATE_FX, in, 2, &y.format, &y.shape, attrs);
    sb_lower_set(l, target->value, &y, SB_OP_INTERPOLATE_FX);
    return SB_OK;
}

/* ---- logarithm and root ---- */

#define LN_MAGNITUDE 0x1p37 /* of ln in Q31 */

sb_err sb_lower_log(struct sb_lowering *l, const struct sb_graph_node *node,
                    const struct sb_target *target, const struct sb_lowered *x)
{
    struct sb_lowered y = *x;
    struct sb_factor f;
    SB_TRY(sb_lower_format(&y.format, l, target, node, 64));
    if (!sb_factor_of(&f, 0x1p-31 / y.format.scale, LN_MAGNITUDE, INT32_MAX, 62)) {
        return sb_lower_no_factor(l, node);
    }
    double offset = log(x->format.scale) * 0x1p31 * (double)f.mult;
    int64_t attrs[] = {f.mult, (int64_t)nearbyint(offset), f.shift};
    y.tensor = sb_lower_emit(l, target->value, SB_OP_LN, &x->tensor, 1, &y.format, &y.shape, attrs);
    sb_lower_set(l, target->value, &y, SB_OP_LN);
    return SB_OK;
}

sb_err sb_lower_sqrt(struct sb_lowering *l, const struct sb_graph_node *node,
                     const struct sb_target *target, const struct sb_lowered *x)
{
    struct sb_lowered y = *x;
    struct sb_factor f;
    double magnitude = sb_lower_magnitude(&x->format);
    SB_TRY(sb_lower_format(&y.format, l, target, node, sqrt(magnitude * x->format.scale)));
    while (!sb_factor_of(&f, x->format.scale / (y.format.scale * y.format.scale), magnitude,
                         INT64_C(1) << 62, 62)) {
        if (l->precision != SB_PRECISION_FX32 || y.format.quant.scale_shift == 0) {
            return sb_lower_no_factor(l, node);
        }
        y.format = sb_format_fx(y.format.quant.scale_shift - 1u);
        sb_lower_clip(&y.format, target);
    }
    int64_t attrs[] = {f.mult, f.shift};
    y.tensor =
        sb_lower_emit(l, target->value, SB_OP_SQRT, &x->tensor, 1, &y.format, &y.shape, attrs);
    sb_lower_set(l, target->value, &y, SB_OP_SQRT);
    return SB_OK;
}

/* ---- division ---- */

#define DIVISOR_BITS 60

/* The least |divisor| that is taken as it is: half of the least that samples show, where they show no change of sign. */
static int64_t least_divisor(struct sb_lowering *l, const struct sb_graph_node *node,
                             uint32_t value, const struct sb_format *b)
{
    const struct sb_range *r = &l->ranges[value];
    bool one_sign = r->known && (r->min > 0 || r->max < 0);
    double least = one_sign ? fmin(fabs(r->min), fabs(r->max)) / 2 : 0;
    int64_t raw = (int64_t)fmin(floor(least / b->scale), (double)INT32_MAX);
    if (b->lo > b->quant.zero_point || b->hi < b->quant.zero_point) {
        return 0; /* it never is 0 */
    }
    sb_lower_note(l, "'%s' (%s) takes divisors below %g as %g.", node->name, node->op->name,
                  (double)(raw > 1 ? raw : 1) * b->scale, (double)(raw > 1 ? raw : 1) * b->scale);
    return raw > 1 ? raw : 1;
}

static sb_err emit_div(struct sb_lowering *l, const struct sb_graph_node *node,
                       const struct sb_target *target, const struct sb_lowered *a,
                       const struct sb_lowered *b, uint32_t b_value, struct sb_lowered *y)
{
    struct sb_factor f;
    int b_bits = 0;
    bool whole = sb_elem_is_exact(l->graph->values[target->value].elem);
    (void)frexp(sb_lower_magnitude(&b->format), &b_bits);
    while (!sb_factor_of(&f, a->format.scale / (b->format.scale * y->format.scale),
                         2 * sb_lower_magnitude(&a->format), INT64_C(1) << 62,
                         (uint32_t)(DIVISOR_BITS - b_bits))) {
        if (l->precision != SB_PRECISION_FX32 || y->format.quant.scale_shift == 0) {
            return sb_lower_no_factor(l, node);
        }
        y->format = sb_format_fx(y->format.quant.scale_shift - 1u);
        sb_lower_clip(&y->format, target);
    }
    int64_t attrs[] = {f.mult, f.shift, least_divisor(l, node, b_value, &b->format),
                       whole ? SB_DIV_TRUNCATE : SB_DIV_HALF_UP};
    uint32_t in[2] = {a->tensor, b->tensor};
    y->tensor = sb_lower_emit(l, target->value, SB_OP_DIV, in, 2, &y->format, &y->shape, attrs);
    sb_lower_set(l, target->value, y, SB_OP_DIV);
    return SB_OK;
}

sb_err sb_lower_reciprocal(struct sb_lowering *l, const struct sb_graph_node *node,
                           const struct sb_target *target, const struct sb_lowered *x)
{
    struct sb_lowered y = *x;
    struct sb_shape scalar = {.rank = 0};
    struct sb_lowered one = {.format = sb_format_fx(0), .shape = scalar};
    one.format.lo = 1;
    one.format.hi = 1;
    one.tensor = sb_build_const(l->build, node->name, SB_DTYPE_I32, &scalar, NULL, &(int32_t){1});
    SB_TRY(sb_lower_format(&y.format, l, target, node, INFINITY));
    return emit_div(l, node, target, &one, x, node->inputs[0], &y);
}

/* A type that DIV reads; 64-bit ones are brought to 32. */
static sb_err readable(struct sb_lowered *x, struct sb_lowering *l,
                       const struct sb_graph_node *node, uint32_t index)
{
    if (x->format.dtype != SB_DTYPE_I64) {
        return SB_OK;
    }
    double magnitude = sb_lower_magnitude(&x->format) * x->format.scale;
    bool whole = sb_elem_is_exact(l->graph->values[node->inputs[index]].elem);
    struct sb_format to = sb_format_of(SB_DTYPE_I32, whole ? 1 : magnitude / 0x1p30, 0);
    return sb_lower_convert(x, l, node, node->inputs[index], &to);
}

sb_err sb_lower_div(struct sb_lowering *l, const struct sb_graph_node *node)
{
    if (sb_elem_is_exact(l->graph->values[node->outputs[0]].elem)) {
        return sb_lower_combine(l, node);
    }
    struct sb_target target = sb_lower_target(l, node, 0);
    struct sb_lowered in[2];
    enum sb_layout layout = SB_LAYOUT_PLAIN;
    for (uint32_t i = 0; i < 2; i++) {
        const struct sb_lowered *x = &l->lowered[node->inputs[i]];
        layout =
            x->tensor != SB_BUILD_NONE && x->layout == SB_LAYOUT_NHWC ? SB_LAYOUT_NHWC : layout;
    }
    for (uint32_t i = 0; i < 2; i++) {
        SB_TRY(sb_lower_get(&in[i], l, node, i, layout));
        SB_TRY(readable(&in[i], l, node, i));
    }
    struct sb_lowered y = {
        .layout = layout,
        .shape = sb_lower_shape(&l->graph->values[node->outputs[0]].array.shape, layout)};
    SB_TRY(sb_lower_format(&y.format, l, &target, node, INFINITY));
    if (y.format.dtype == SB_DTYPE_I64) {
        y.format = sb_format_of(SB_DTYPE_I32, 1, 0);
    }
    return emit_div(l, node, &target, &in[0], &in[1], node->inputs[1], &y);
}

/* ---- quantisation as an operator of its own ---- */

/* x / scale rounded, then the zero point: to integers that are held as they are. */
sb_err sb_lower_quantize(struct sb_lowering *l, const struct sb_graph_node *node)
{
    uint32_t value = node->outputs[0];
    const struct sb_value *scale = sb_graph_input(l->graph, node, 1);
    const struct sb_value *zero = sb_graph_input(l->graph, node, 2);
    struct sb_lowered x;
    bool fits = scale->is_const && sb_array_count(&scale->array) == 1 &&
                (zero == NULL || (zero->is_const && sb_array_count(&zero->array) == 1));
    if (!fits) {
        return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node,
                             "scales that are computed or differ along an axis");
    }
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_PLAIN));
    struct sb_format steps = sb_format_of(SB_DTYPE_I32, scale->array.data[0], 0);
    SB_TRY(sb_lower_convert(&x, l, node, node->inputs[0], &steps));
    struct sb_shape scalar = {.rank = 0};
    int32_t zero_point = zero != NULL ? (int32_t)zero->array.data[0] : 0;
    uint32_t in[2] = {x.tensor};
    in[1] = sb_build_const(l->build, node->name, SB_DTYPE_I32, &scalar, NULL, &zero_point);
    int64_t attrs[] = {1, 1, 0};
    struct sb_target target = {.value = value, .clip_lo = -INFINITY, .clip_hi = INFINITY};
    SB_TRY(sb_lower_format(&x.format, l, &target, node, INFINITY));
    x.tensor = sb_lower_emit(l, value, SB_OP_ADD, in, 2, &x.format, &x.shape, attrs);
    sb_lower_set(l, value, &x, SB_OP_ADD);
    return SB_OK;
}
