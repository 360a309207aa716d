/* lower_exact.c: operators on integers and bools, and the casts between them and real numbers. See lower.h. */
#include "vm/compiler/lower_impl.h"

static bool contains(const struct sb_format *outer, const struct sb_format *inner)
{
    return outer->lo <= inner->lo && outer->hi >= inner->hi;
}

sb_err sb_lower_cast(struct sb_lowering *l, const struct sb_graph_node *node)
{
    uint32_t value = node->outputs[0];
    enum sb_elem to = l->graph->values[value].elem;
    struct sb_target target = {.value = value, .clip_lo = -INFINITY, .clip_hi = INFINITY};
    struct sb_lowered x;
    struct sb_format y;
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_FLAT));
    double reach = sb_lower_magnitude(&x.format) * x.format.scale;
    SB_TRY(sb_lower_format(&y, l, &target, node, reach));
    bool integers = sb_elem_is_exact(to) && x.format.scale == 1;
    if (to == SB_ELEM_BOOL || (sb_elem_is_exact(to) && (!integers || !contains(&y, &x.format)))) {
        return sb_graph_fail(
            l->diag, SB_E_UNSUPPORTED, node,
            "a cast of real numbers to integers, to bool, or to narrower integers");
    }
    SB_TRY(sb_lower_convert(&x, l, node, value, &y));
    sb_lower_set(l, value, &x, SB_OP_RESCALE);
    return SB_OK;
}
