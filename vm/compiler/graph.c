/* graph.c: see graph.h. */
#include "vm/compiler/graph.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vm/compiler/onnx_ops.h"

const struct sb_attr *sb_graph_attr(const struct sb_graph_node *node, const char *name)
{
    for (uint32_t i = 0; i < node->attr_count; i++) {
        if (strcmp(node->attrs[i].name, name) == 0) {
            return &node->attrs[i];
        }
    }
    return NULL;
}

static const struct sb_attr *attr_of_kind(const struct sb_graph_node *node, const char *name,
                                          enum sb_attr_kind kind)
{
    const struct sb_attr *attr = sb_graph_attr(node, name);
    return attr != NULL && attr->kind == kind ? attr : NULL;
}

int64_t sb_graph_attr_int(const struct sb_graph_node *node, const char *name, int64_t absent)
{
    const struct sb_attr *attr = attr_of_kind(node, name, SB_ATTR_KIND_INT);
    return attr != NULL ? attr->i : absent;
}

double sb_graph_attr_float(const struct sb_graph_node *node, const char *name, double absent)
{
    const struct sb_attr *attr = attr_of_kind(node, name, SB_ATTR_KIND_FLOAT);
    return attr != NULL ? attr->f : absent;
}

const char *sb_graph_attr_string(const struct sb_graph_node *node, const char *name,
                                 const char *absent)
{
    const struct sb_attr *attr = attr_of_kind(node, name, SB_ATTR_KIND_STRING);
    return attr != NULL ? attr->s : absent;
}

const int64_t *sb_graph_attr_ints(size_t *ret_count, const struct sb_graph_node *node,
                                  const char *name)
{
    const struct sb_attr *attr = attr_of_kind(node, name, SB_ATTR_KIND_INTS);
    *ret_count = attr != NULL ? attr->count : 0;
    return attr != NULL ? attr->ints : NULL;
}

const double *sb_graph_attr_floats(size_t *ret_count, const struct sb_graph_node *node,
                                   const char *name)
{
    const struct sb_attr *attr = attr_of_kind(node, name, SB_ATTR_KIND_FLOATS);
    *ret_count = attr != NULL ? attr->count : 0;
    return attr != NULL ? attr->floats : NULL;
}

struct sb_value *sb_graph_input(const struct sb_graph *graph, const struct sb_graph_node *node,
                                uint32_t index)
{
    if (index >= node->input_count || node->inputs[index] == SB_NO_VALUE) {
        return NULL;
    }
    return &graph->values[node->inputs[index]];
}

uint64_t sb_graph_input_elements(const struct sb_graph *graph)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < graph->input_count; i++) {
        count += sb_array_count(&graph->values[graph->inputs[i]].array);
    }
    return count;
}

uint32_t sb_graph_readers(uint32_t *ret_reader, const struct sb_graph *graph, uint32_t value)
{
    uint32_t count = 0;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const struct sb_graph_node *node = &graph->nodes[n];
        for (uint32_t i = 0; !node->removed && i < node->input_count; i++) {
            if (node->inputs[i] == value) {
                *ret_reader = n;
                count++;
            }
        }
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        count += graph->outputs[i] == value ? 1 : 0;
    }
    return count;
}

uint32_t sb_graph_add_value(struct sb_graph *graph, const char *name)
{
    if (graph->value_count == graph->value_capacity) {
        return SB_NO_VALUE;
    }
    graph->values[graph->value_count] = (struct sb_value){.name = name, .writer = SB_NO_VALUE};
    return graph->value_count++;
}

void sb_graph_replace(struct sb_graph *graph, uint32_t from, uint32_t to)
{
    for (uint32_t n = 0; n < graph->node_count; n++) {
        struct sb_graph_node *node = &graph->nodes[n];
        for (uint32_t i = 0; i < node->input_count; i++) {
            node->inputs[i] = node->inputs[i] == from ? to : node->inputs[i];
        }
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        graph->outputs[i] = graph->outputs[i] == from ? to : graph->outputs[i];
    }
}

void sb_graph_diag_set(struct sb_diag *diag, const struct sb_graph_node *node, const char *fmt, ...)
{
    char message[SB_DIAG_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    sb_diag_set(diag, "node '%s' (%s, operator set %" PRId64 "): %s", node->name, node->op->name,
                node->opset, message);
}
