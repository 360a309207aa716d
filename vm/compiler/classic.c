/* classic.c: see classic.h. */
#include "vm/compiler/classic.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* A list of numbers under one of the attribute's names: <name>_floats, <name>_int64s, <name>_tensor. */
static const double *read_numbers(size_t *ret_count, const struct sb_graph_node *node,
                                  const char *name, struct sb_arena *memory)
{
    char full[64];
    size_t count = 0;
    (void)snprintf(full, sizeof full, "%s_floats", name);
    const double *floats = sb_graph_attr_floats(ret_count, node, full);
    if (floats != NULL) {
        return floats;
    }
    (void)snprintf(full, sizeof full, "%s_tensor", name);
    const struct sb_attr *tensor = sb_graph_attr(node, full);
    if (tensor != NULL && tensor->kind == SB_ATTR_KIND_TENSOR) {
        *ret_count = (size_t)sb_array_count(&tensor->tensor);
        return tensor->tensor.data;
    }
    (void)snprintf(full, sizeof full, "%s_int64s", name);
    const int64_t *ints = sb_graph_attr_ints(&count, node, full);
    double *numbers = ints != NULL ? sb_arena_array(memory, count, sizeof *numbers) : NULL;
    for (size_t i = 0; numbers != NULL && i < count; i++) {
        numbers[i] = (double)ints[i];
    }
    *ret_count = numbers != NULL ? count : 0;
    return numbers;
}

sb_err sb_imputer_read(struct sb_imputer *ret, const struct sb_graph_node *node, uint64_t columns,
                       struct sb_arena *memory, struct sb_diag *diag)
{
    struct sb_imputer m = {.missing = 0};
    bool integers = sb_graph_attr(node, "imputed_value_int64s") != NULL;
    m.values = read_numbers(&m.value_count, node, "imputed_value", memory);
    m.missing = integers ? (double)sb_graph_attr_int(node, "replaced_value_int64", 0)
                         : sb_graph_attr_float(node, "replaced_value_float", 0);
    if (m.values == NULL || (m.value_count != 1 && m.value_count != columns)) {
        return sb_graph_fail(diag, SB_E_SHAPE, node, "%zu values for %" PRIu64 " columns",
                             m.value_count, columns);
    }
    *ret = m;
    return SB_OK;
}

sb_err sb_label_map_read(struct sb_label_map *ret, const struct sb_graph_node *node,
                         struct sb_arena *memory, struct sb_diag *diag)
{
    struct sb_label_map m = {.count = 0};
    size_t values = 0;
    m.keys = read_numbers(&m.count, node, "keys", memory);
    m.values = read_numbers(&values, node, "values", memory);
    if (m.keys == NULL || m.values == NULL || m.count != values || m.count == 0) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                             "labels that are not numbers; encode text before the model");
    }
    const struct sb_attr *tensor = sb_graph_attr(node, "default_tensor");
    m.absent = sb_graph_attr(node, "values_int64s") != NULL
                   ? (double)sb_graph_attr_int(node, "default_int64", -1)
                   : sb_graph_attr_float(node, "default_float", 0);
    if (tensor != NULL && tensor->kind == SB_ATTR_KIND_TENSOR &&
        sb_array_count(&tensor->tensor) == 1) {
        m.absent = tensor->tensor.data[0];
    }
    *ret = m;
    return SB_OK;
}
