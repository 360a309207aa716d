/* lower_matmul.c: products of tensors that are not weights, to BATCH_MATMUL. See lower.h.
 *
 * Sums of K products must fit 63 bits. Fixed-point operands of 32 bits are narrowed to do so, the wider one first: never below what samples
 * reach, twice over. */
#include "vm/compiler/lower_impl.h"

#define SUM_BITS 61

static int bits_of(double magnitude)
{
    int bits = 0;
    (void)frexp(magnitude, &bits);
    return bits;
}

/* Fewer bits for an operand: a coarser scale and a range that leaves the calibrated values a factor of two. */
static sb_err narrow(struct sb_lowered *x, struct sb_lowering *l, const struct sb_graph_node *node,
                     uint32_t value, int bits)
{
    const struct sb_range *r = &l->ranges[value];
    double reach = sb_lower_magnitude(&x->format);
    if (r->known) {
        reach = fmin(reach, 2 * fmax(fabs(r->min), fabs(r->max)) / x->format.scale);
    }
    int drop = bits_of(reach) - bits;
    struct sb_format to =
        sb_format_of(SB_DTYPE_I32, ldexp(x->format.scale, drop > 0 ? drop : 0), 0);
    to.hi = (INT64_C(1) << bits) - 1;
    to.lo = -to.hi;
    return sb_lower_convert(x, l, node, value, &to);
}

static sb_err fit_operands(struct sb_lowered in[2], struct sb_lowering *l,
                           const struct sb_graph_node *node, uint32_t k)
{
    int bits[2];
    int given[2];
    for (int i = 0; i < 2; i++) {
        bits[i] = bits_of(sb_lower_magnitude(&in[i].format));
        given[i] = bits[i];
    }
    while (bits[0] + bits[1] + bits_of(k) > SUM_BITS) {
        bits[bits[1] > bits[0] ? 1 : 0]--;
    }
    for (uint32_t i = 0; i < 2; i++) {
        if (bits[i] < given[i]) {
            SB_TRY(narrow(&in[i], l, node, node->inputs[i], bits[i]));
        }
    }
    return SB_OK;
}

sb_err sb_lower_matmul(struct sb_lowering *l, const struct sb_graph_node *node)
{
    struct sb_target target = sb_lower_target(l, node, 0);
    struct sb_lowered in[2];
    for (uint32_t i = 0; i < 2; i++) {
        SB_TRY(sb_lower_get(&in[i], l, node, i, SB_LAYOUT_PLAIN));
        if (in[i].format.dtype == SB_DTYPE_I64) {
            double magnitude = sb_lower_magnitude(&in[i].format) * in[i].format.scale;
            bool whole = sb_elem_is_exact(l->graph->values[node->inputs[i]].elem);
            struct sb_format to = sb_format_of(SB_DTYPE_I32, whole ? 1 : magnitude / 0x1p30, 0);
            SB_TRY(sb_lower_convert(&in[i], l, node, node->inputs[i], &to));
        }
    }
    uint32_t k = in[0].shape.dims[in[0].shape.rank - 1];
    struct sb_lowered y = {.layout = SB_LAYOUT_PLAIN,
                           .shape = l->graph->values[node->outputs[0]].array.shape};
    if (!sb_elem_is_exact(l->graph->values[target.value].elem)) {
        SB_TRY(fit_operands(in, l, node, k));
    }
    double magnitude = k * sb_lower_magnitude(&in[0].format) * sb_lower_magnitude(&in[1].format);
    double alpha = sb_graph_attr_float(node, "alpha", 1);
    if (!(alpha > 0)) {
        return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node, "a scale of %g; scale the queries",
                             alpha);
    }
    double unit = in[0].format.scale * in[1].format.scale * alpha;
    SB_TRY(sb_lower_format(&y.format, l, &target, node, magnitude * unit));
    struct sb_factor f;
    int pre = 0;
    while (!sb_factor_of(&f, ldexp(unit / y.format.scale, pre), ldexp(magnitude, -pre), INT32_MAX,
                         62)) {
        if (++pre > 40) {
            return sb_lower_no_factor(l, node);
        }
    }
    int64_t attrs[] = {sb_graph_attr_int(node, "transB", 0), pre, f.mult, f.shift};
    uint32_t tensors[2] = {in[0].tensor, in[1].tensor};
    y.tensor =
        sb_lower_emit(l, target.value, SB_OP_BATCH_MATMUL, tensors, 2, &y.format, &y.shape, attrs);
    sb_lower_set(l, target.value, &y, SB_OP_BATCH_MATMUL);
    return SB_OK;
}
