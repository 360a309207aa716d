/* passes.c: see passes.h. Rewriting of linear layers is in passes_linear.c. */
#include "vm/compiler/passes.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "base/util/span.h"
#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes_impl.h"
#include "vm/compiler/trees.h"

#define EXPAND_ROUNDS_MAX 16u /* no operator is made of others that deep */

/* Sizes of all free dimensions with a name of `len` bytes; how many there are. */
static uint32_t fix_named(struct sb_graph *graph, const char *name, size_t len, uint32_t size)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < graph->input_count; i++) {
        struct sb_value *v = &graph->values[graph->inputs[i]];
        for (uint32_t d = 0; v->dim_names != NULL && d < v->array.shape.rank; d++) {
            const char *have = v->dim_names[d];
            if (have != NULL && strlen(have) == len && memcmp(have, name, len) == 0) {
                v->array.shape.dims[d] = size;
                found++;
            }
        }
    }
    return found;
}

sb_err sb_passes_fix_dims(struct sb_graph *graph, const char *dims, struct sb_diag *diag)
{
    while (dims != NULL && *dims != '\0') {
        const char *equals = strchr(dims, '=');
        char *end = NULL;
        unsigned long size = equals != NULL ? strtoul(equals + 1, &end, 10) : 0;
        if (size < 1 || size > SB_TENSOR_DIM_MAX || end == NULL || (*end != '\0' && *end != ',') ||
            fix_named(graph, dims, (size_t)(equals - dims), (uint32_t)size) == 0) {
            return sb_fail(diag, SB_E_ARG,
                           "dimensions '%s': expected NAME=SIZE,..., each the name of a free "
                           "dimension of an input",
                           dims);
        }
        dims = *end == ',' ? end + 1 : end;
    }
    return SB_OK;
}

sb_err sb_passes_fix_batch(struct sb_graph *graph, uint32_t batch, struct sb_diag *diag)
{
    for (uint32_t i = 0; i < graph->input_count; i++) {
        struct sb_value *v = &graph->values[graph->inputs[i]];
        uint64_t count = 1;
        for (uint32_t d = 0; d < v->array.shape.rank; d++) {
            uint32_t *dim = &v->array.shape.dims[d];
            if (*dim == 0 && d > 0) {
                return sb_fail(diag, SB_E_UNSUPPORTED,
                               "input '%s': dimension %u is free; give its size (%s=SIZE), or "
                               "export the model with fixed dimensions (only the first, the "
                               "batch, may be free)",
                               v->name, d,
                               v->dim_names != NULL && v->dim_names[d] != NULL ? v->dim_names[d]
                                                                               : "no name");
            }
            *dim = *dim == 0 ? batch : *dim;
            count *= *dim;
            if (count > SB_TENSOR_ELEMENTS_MAX) {
                return sb_fail(diag, SB_E_LIMIT, "input '%s' has more than 2^28 elements", v->name);
            }
        }
    }
    sb_passes_elems(graph);
    return SB_OK;
}

sb_err sb_pass_nomem(struct sb_diag *diag)
{
    return sb_fail(diag, SB_E_NOMEM, "the model needs more memory than the compiler may use");
}

sb_err sb_pass_const(uint32_t *ret, struct sb_graph *graph, const char *name,
                     const struct sb_shape *shape, struct sb_diag *diag)
{
    uint32_t index = sb_graph_add_value(graph, name);
    double *data = sb_arena_zalloc(graph->memory, sb_shape_count(shape) * sizeof *data);
    if (index == SB_NO_VALUE || data == NULL) {
        return sb_pass_nomem(diag);
    }
    struct sb_value *v = &graph->values[index];
    v->is_const = true;
    v->has_shape = true;
    v->elem = SB_ELEM_FLOAT;
    v->array = (struct sb_array){.shape = *shape, .data = data};
    *ret = index;
    return SB_OK;
}

sb_err sb_pass_set_attrs(struct sb_graph *graph, struct sb_graph_node *node,
                         const struct sb_attr *attrs, uint32_t count, struct sb_diag *diag)
{
    node->attrs = (struct sb_attr *)(void *)sb_arena_dup(graph->memory,
                                                         sb_span(attrs, count * sizeof *attrs));
    node->attr_count = count;
    return node->attrs != NULL ? SB_OK : sb_pass_nomem(diag);
}

/* ---- shapes and constants ---- */

/* The result follows from the shape of the input alone. */
static bool reads_shape_only(const struct sb_graph_node *node)
{
    enum sb_onnx_op_id op = node->op->id;
    return op == SB_ONNX_SHAPE || op == SB_ONNX_SIZE || op == SB_ONNX_EYE_LIKE;
}

static bool is_static(const struct sb_graph *graph, const struct sb_graph_node *node)
{
    if (reads_shape_only(node)) {
        return true;
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        const struct sb_value *v = sb_graph_input(graph, node, i);
        if (v != NULL && !v->is_const) {
            return false;
        }
    }
    return true;
}

/* The scales of weights that a QDQ model gives stay with the folded weights. */
static void keep_weight_scales(const struct sb_graph *graph, const struct sb_graph_node *node,
                               struct sb_value *folded)
{
    const struct sb_value *scale = sb_graph_input(graph, node, 1);
    const struct sb_value *zero_point = sb_graph_input(graph, node, 2);
    int64_t axis = sb_graph_attr_int(node, "axis", 1);
    uint64_t count = sb_array_count(&scale->array);
    for (uint64_t i = 0; zero_point != NULL && i < sb_array_count(&zero_point->array); i++) {
        if (zero_point->array.data[i] != 0) {
            return; /* asymmetric weights are quantised anew */
        }
    }
    folded->weight_scales = scale->array.data;
    folded->weight_scale_count = (uint32_t)count;
    folded->weight_axis = (uint32_t)(axis < 0 ? axis + folded->array.shape.rank : axis);
}

static sb_err fold_node(struct sb_graph *graph, struct sb_graph_node *node,
                        const struct sb_array *arrays, struct sb_diag *diag)
{
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] == SB_NO_VALUE || arrays[node->outputs[i]].data == NULL) {
            continue;
        }
        struct sb_value *v = &graph->values[node->outputs[i]];
        const struct sb_array *a = &arrays[node->outputs[i]];
        v->array.data = (double *)(void *)sb_arena_dup(
            graph->memory, sb_span(a->data, sb_array_count(a) * sizeof *a->data));
        v->is_const = true;
        if (v->array.data == NULL) {
            return sb_pass_nomem(diag);
        }
        if (node->op->id == SB_ONNX_DEQUANTIZE_LINEAR) {
            keep_weight_scales(graph, node, v);
        }
    }
    node->removed = true;
    return SB_OK;
}

uint32_t sb_passes_first_shape_input(const struct sb_graph_node *node)
{
    switch ((int)node->op->id) {
    case SB_ONNX_CONSTANT_OF_SHAPE:
    case SB_ONNX_RANGE:
    case SB_ONNX_NON_ZERO:
        return 0;
    case SB_ONNX_RESHAPE:
    case SB_ONNX_SQUEEZE:
    case SB_ONNX_UNSQUEEZE:
    case SB_ONNX_PAD:
    case SB_ONNX_CENTER_CROP_PAD:
    case SB_ONNX_COMPRESS:
    case SB_ONNX_CUM_SUM:
    case SB_ONNX_EXPAND:
    case SB_ONNX_ONE_HOT:
    case SB_ONNX_REDUCE_L1:
    case SB_ONNX_REDUCE_L2:
    case SB_ONNX_REDUCE_LOG_SUM:
    case SB_ONNX_REDUCE_LOG_SUM_EXP:
    case SB_ONNX_REDUCE_MAX:
    case SB_ONNX_REDUCE_MEAN:
    case SB_ONNX_REDUCE_MIN:
    case SB_ONNX_REDUCE_PROD:
    case SB_ONNX_REDUCE_SUM:
    case SB_ONNX_REDUCE_SUM_SQUARE:
    case SB_ONNX_RESIZE:
    case SB_ONNX_SLICE:
    case SB_ONNX_SPLIT:
    case SB_ONNX_TILE:
    case SB_ONNX_TOP_K:
    case SB_ONNX_TRILU:
    case SB_ONNX_UPSAMPLE:
        return 1;
    default:
        return UINT32_MAX;
    }
}

/* No shape may depend on what a caller gives. */
static sb_err check_shapes(const struct sb_graph *graph, struct sb_arena *scratch,
                           struct sb_diag *diag)
{
    bool *fixed = sb_arena_zalloc(scratch, graph->value_capacity * sizeof *fixed);
    if (fixed == NULL) {
        return sb_pass_nomem(diag);
    }
    for (uint32_t v = 0; v < graph->value_count; v++) {
        fixed[v] = graph->values[v].is_const;
    }
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const struct sb_graph_node *node = &graph->nodes[n];
        bool all_fixed = true;
        for (uint32_t i = 0; !node->removed && i < node->input_count; i++) {
            bool is_fixed = node->inputs[i] == SB_NO_VALUE || fixed[node->inputs[i]];
            if (!is_fixed && i >= sb_passes_first_shape_input(node)) {
                return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                                     "a shape that depends on the input '%s'; make it a constant",
                                     graph->values[node->inputs[i]].name);
            }
            all_fixed = all_fixed && is_fixed;
        }
        for (uint32_t i = 0; !node->removed && i < node->output_count; i++) {
            if (node->outputs[i] != SB_NO_VALUE) {
                fixed[node->outputs[i]] = all_fixed || reads_shape_only(node);
            }
        }
    }
    return SB_OK;
}

/* Shapes depend on nothing but shapes and constants, so one run on zeros finds them all. */
static sb_err infer_and_fold(struct sb_graph *graph, struct sb_arena *scratch, struct sb_diag *diag)
{
    struct sb_array *arrays = sb_arena_zalloc(scratch, graph->value_capacity * sizeof *arrays);
    if (arrays == NULL) {
        return sb_pass_nomem(diag);
    }
    for (uint32_t i = 0; i < graph->input_count; i++) {
        struct sb_array *a = &arrays[graph->inputs[i]];
        a->shape = graph->values[graph->inputs[i]].array.shape;
        a->data = sb_arena_zalloc(scratch, sb_array_count(a) * sizeof *a->data);
        if (a->data == NULL) {
            return sb_pass_nomem(diag);
        }
    }
    sb_passes_elems(graph);
    SB_TRY(check_shapes(graph, scratch, diag));
    SB_TRY(sb_eval_graph(arrays, graph, scratch, diag));
    for (uint32_t v = 0; v < graph->value_count; v++) {
        graph->values[v].array.shape = arrays[v].shape;
        graph->values[v].has_shape = true;
    }
    for (uint32_t n = 0; n < graph->node_count; n++) {
        if (!graph->nodes[n].removed && is_static(graph, &graph->nodes[n])) {
            SB_TRY(fold_node(graph, &graph->nodes[n], arrays, diag));
        }
    }
    return SB_OK;
}

static sb_err infer_shapes(struct sb_graph *graph, struct sb_diag *diag)
{
    struct sb_arena scratch;
    sb_arena_init(&scratch, SB_GRAPH_BYTES_MAX);
    sb_err err = infer_and_fold(graph, &scratch, diag);
    sb_arena_fini(&scratch);
    return err;
}

/* ---- identities and given scales ---- */

static void drop(struct sb_graph *graph, struct sb_graph_node *node)
{
    uint32_t from = node->outputs[0];
    uint32_t to = node->inputs[0];
    struct sb_value *y = &graph->values[from];
    struct sb_value *x = &graph->values[to];
    if (y->is_output && x->writer != SB_NO_VALUE && !x->is_output) {
        x->name = y->name; /* a caller knows the output by its name */
        x->is_output = true;
    }
    node->removed = true;
    sb_graph_replace(graph, from, to);
}

/* A cast that changes nothing: between float types, or to the type that the value has. */
static bool cast_is_plain(const struct sb_graph *graph, const struct sb_graph_node *node)
{
    enum sb_elem from = graph->values[node->inputs[0]].elem;
    enum sb_elem to = graph->values[node->outputs[0]].elem;
    return from == to || (!sb_elem_is_exact(from) && !sb_elem_is_exact(to));
}

/* Somebody reads the integers of a QuantizeLinear as they are. */
static bool is_used_quantised(const struct sb_graph *graph, uint32_t value)
{
    bool used = graph->values[value].is_output;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const struct sb_graph_node *reader = &graph->nodes[n];
        for (uint32_t i = 0; !reader->removed && i < reader->input_count; i++) {
            used =
                used || (reader->inputs[i] == value && reader->op->id != SB_ONNX_DEQUANTIZE_LINEAR);
        }
    }
    return used;
}

/* x -> QuantizeLinear -> DequantizeLinear: x keeps the scale as its given quantisation. */
static sb_err take_quant(struct sb_graph *graph, struct sb_graph_node *node, struct sb_diag *diag)
{
    const struct sb_value *scale = sb_graph_input(graph, node, 1);
    const struct sb_value *zero_point = sb_graph_input(graph, node, 2);
    uint32_t q = node->outputs[0];
    if (is_used_quantised(graph, q)) {
        return SB_OK; /* its integers are meant, not a scale for the activations */
    }
    enum sb_elem elem = zero_point != NULL ? zero_point->elem : SB_ELEM_UINT8;
    if (!scale->is_const || sb_array_count(&scale->array) != 1 ||
        (zero_point != NULL && !zero_point->is_const) ||
        (elem != SB_ELEM_UINT8 && elem != SB_ELEM_INT8)) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                             "activations must be quantised per tensor to 8 bits with constants");
    }
    struct sb_value *x = &graph->values[node->inputs[0]];
    if (!x->given.present) {
        x->given = (struct sb_given_quant){
            .present = true,
            .dtype = elem == SB_ELEM_UINT8 ? SB_DTYPE_U8 : SB_DTYPE_I8,
            .scale = scale->array.data[0],
            .zero_point = zero_point != NULL ? (int32_t)zero_point->array.data[0] : 0,
        };
    }
    drop(graph, node);
    return SB_OK;
}

/* Only the pair means nothing: a DequantizeLinear must undo the QuantizeLinear that was dropped before it. */
static sb_err check_pair(const struct sb_graph *graph, const struct sb_graph_node *node,
                         struct sb_diag *diag)
{
    const struct sb_value *x = &graph->values[node->inputs[0]];
    const struct sb_value *scale = sb_graph_input(graph, node, 1);
    const struct sb_value *zero_point = sb_graph_input(graph, node, 2);
    bool same =
        x->given.present && scale->is_const && sb_array_count(&scale->array) == 1 &&
        scale->array.data[0] == x->given.scale &&
        (zero_point == NULL ||
         (zero_point->is_const && (int32_t)zero_point->array.data[0] == x->given.zero_point)) &&
        (zero_point != NULL || x->given.zero_point == 0);
    if (!same) {
        return sb_graph_fail(diag, SB_E_UNSUPPORTED, node,
                             "its input is not quantised with the same constant scale just before");
    }
    return SB_OK;
}

/* The mask of a Dropout in inference: everything is kept. */
static sb_err keep_all(struct sb_graph *graph, const struct sb_graph_node *node,
                       struct sb_diag *diag)
{
    struct sb_value *mask = &graph->values[node->outputs[1]];
    uint64_t count = sb_array_count(&mask->array);
    mask->array.data = sb_arena_array(graph->memory, count, sizeof(double));
    if (mask->array.data == NULL) {
        return sb_pass_nomem(diag);
    }
    for (uint64_t i = 0; i < count; i++) {
        mask->array.data[i] = 1;
    }
    mask->is_const = true;
    mask->elem = SB_ELEM_BOOL;
    return SB_OK;
}

static sb_err drop_identities(struct sb_graph *graph, struct sb_diag *diag)
{
    for (uint32_t n = 0; n < graph->node_count; n++) {
        struct sb_graph_node *node = &graph->nodes[n];
        if (node->removed) {
            continue;
        }
        switch ((int)node->op->id) {
        case SB_ONNX_IDENTITY:
        case SB_ONNX_DROPOUT:
            if (node->output_count > 1 && node->outputs[1] != SB_NO_VALUE) {
                SB_TRY(keep_all(graph, node, diag));
            }
            drop(graph, node);
            break;
        case SB_ONNX_ZIP_MAP:
            drop(graph, node);
            break;
        case SB_ONNX_DEQUANTIZE_LINEAR:
            if (sb_elem_is_exact(graph->values[node->inputs[0]].elem) &&
                !graph->values[node->inputs[0]].given.present) {
                break; /* of integers that are computed or given: sb_pass_expand */
            }
            SB_TRY(check_pair(graph, node, diag));
            drop(graph, node);
            break;
        case SB_ONNX_CAST:
            if (cast_is_plain(graph, node)) {
                drop(graph, node);
            }
            break;
        case SB_ONNX_QUANTIZE_LINEAR:
            SB_TRY(take_quant(graph, node, diag));
            break;
        default:
            break;
        }
    }
    return SB_OK;
}

/* ---- what nobody reads ---- */

static void drop_dead(struct sb_graph *graph)
{
    for (uint32_t n = graph->node_count; n-- > 0;) {
        struct sb_graph_node *node = &graph->nodes[n];
        bool used = false;
        for (uint32_t i = 0; i < node->output_count; i++) {
            uint32_t reader = 0;
            if (node->outputs[i] != SB_NO_VALUE &&
                sb_graph_readers(&reader, graph, node->outputs[i]) == 0) {
                node->outputs[i] = SB_NO_VALUE;
            }
            used = used || node->outputs[i] != SB_NO_VALUE;
        }
        node->removed = node->removed || !used;
    }
}

static void refresh_writers(struct sb_graph *graph)
{
    for (uint32_t v = 0; v < graph->value_count; v++) {
        graph->values[v].writer = SB_NO_VALUE;
        graph->values[v].is_output = false;
    }
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const struct sb_graph_node *node = &graph->nodes[n];
        for (uint32_t i = 0; !node->removed && i < node->output_count; i++) {
            if (node->outputs[i] != SB_NO_VALUE) {
                graph->values[node->outputs[i]].writer = n;
            }
        }
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        graph->values[graph->outputs[i]].is_output = true;
    }
}

/* Until nothing is left to expand; each round needs the shapes of what the last one made. */
static sb_err expand(struct sb_graph *graph, struct sb_diag *diag)
{
    bool changed = true;
    for (uint32_t round = 0; changed; round++) {
        SB_ASSERT(round < EXPAND_ROUNDS_MAX);
        SB_TRY(sb_pass_expand(&changed, graph, diag));
        refresh_writers(graph);
        if (changed) {
            SB_TRY(infer_shapes(graph, diag));
        }
    }
    return SB_OK;
}

sb_err sb_passes_run(struct sb_graph *graph, struct sb_diag *diag)
{
    SB_TRY(infer_shapes(graph, diag));
    SB_TRY(drop_identities(graph, diag));
    drop_dead(graph);
    refresh_writers(graph);
    SB_TRY(sb_pass_fuse(graph, diag));
    drop_dead(graph);
    SB_TRY(expand(graph, diag));
    SB_TRY(sb_pass_linear(graph, diag));
    drop_dead(graph);
    refresh_writers(graph);
    return infer_shapes(graph, diag);
}
