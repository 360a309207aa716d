/* onnx.c: see onnx.h.
 *
 *     bytes --protobuf-c--> messages in a bounded scratch arena --copy and check--> graph
 *
 * Names are found through an open-addressing table of value indices. Nodes come sorted in a valid file, so one pass in order sees
 * every value before its readers. */
#include "vm/compiler/onnx.h"

#include <inttypes.h>
#include <math.h>

#include "base/util/endian.h"
#include "onnx.pb-c.h"
#include "vm/compiler/compile.h"
#include "vm/compiler/onnx_ops.h"

#define SPARE_VALUES      16384u /* for those that passes add */
#define SCRATCH_BYTES_MIN ((size_t)64 << 20)
#define DATA_EXTERNAL     1

struct loader {
    struct sb_graph *graph;
    struct sb_arena *memory;
    uint32_t *slots; /* [slot_count] value index or SB_NO_VALUE; at most half are taken */
    uint32_t slot_count;
    int64_t opset;
    int64_t ml_opset;
    struct sb_diag *diag;
};

static void *scratch_alloc(void *arena, size_t size)
{
    return sb_arena_alloc(arena, size);
}

static void scratch_free(void *arena, void *pointer)
{
    (void)arena;
    (void)pointer;
}

static char *keep_text(struct loader *l, const void *text, size_t len)
{
    char *copy = sb_arena_alloc(l->memory, len + 1);
    if (copy != NULL) {
        sb_copy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

static sb_err nomem(struct loader *l)
{
    return sb_fail(l->diag, SB_E_NOMEM, "the model needs more memory than the compiler may use");
}

/* ---- names ---- */

static uint32_t *find_slot(struct loader *l, const char *name)
{
    uint32_t hash = 2166136261u;
    for (const char *c = name; *c != '\0'; c++) {
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    }
    uint32_t at = hash % l->slot_count;
    while (l->slots[at] != SB_NO_VALUE && strcmp(l->graph->values[l->slots[at]].name, name) != 0) {
        at = (at + 1) % l->slot_count;
    }
    return &l->slots[at];
}

/* A new value; it is an error if the name is taken. */
static sb_err add_value(uint32_t *ret, struct loader *l, const char *name)
{
    uint32_t *slot = find_slot(l, name);
    if (*slot != SB_NO_VALUE) {
        return sb_fail(l->diag, SB_E_SYNTAX, "the value '%s' is defined twice", name);
    }
    const char *kept = keep_text(l, name, strlen(name));
    if (kept == NULL) {
        return nomem(l);
    }
    uint32_t index = sb_graph_add_value(l->graph, kept);
    if (index == SB_NO_VALUE) {
        return sb_fail(l->diag, SB_E_LIMIT, "more than %u values", l->graph->value_capacity);
    }
    *slot = index;
    *ret = index;
    return SB_OK;
}

/* ---- tensors ---- */

static uint32_t elem_bytes(int32_t elem)
{
    switch (elem) {
    case SB_ELEM_UINT8:
    case SB_ELEM_INT8:
    case SB_ELEM_BOOL:
        return 1;
    case SB_ELEM_UINT16:
    case SB_ELEM_INT16:
        return 2;
    case SB_ELEM_FLOAT:
    case SB_ELEM_INT32:
    case SB_ELEM_UINT32:
        return 4;
    case SB_ELEM_DOUBLE:
    case SB_ELEM_INT64:
        return 8;
    default:
        return 0;
    }
}

static double load_raw(const uint8_t *p, int32_t elem)
{
    switch (elem) {
    case SB_ELEM_UINT8:
        return p[0];
    case SB_ELEM_BOOL:
        return p[0] != 0 ? 1 : 0;
    case SB_ELEM_INT8:
        return (int8_t)p[0];
    case SB_ELEM_UINT16:
        return le_load16(p);
    case SB_ELEM_INT16:
        return (int16_t)le_load16(p);
    case SB_ELEM_INT32:
        return (int32_t)le_load32(p);
    case SB_ELEM_UINT32:
        return le_load32(p);
    case SB_ELEM_INT64:
        return (double)(int64_t)le_load64(p);
    case SB_ELEM_FLOAT: {
        uint32_t bits = le_load32(p);
        float value;
        memcpy(&value, &bits, sizeof value);
        return (double)value;
    }
    default: {
        uint64_t bits = le_load64(p);
        double value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    }
}

static sb_err read_shape(struct sb_shape *ret, struct loader *l, const SbOnnx__Tensor *t)
{
    struct sb_shape shape = {.rank = (uint32_t)t->n_dims};
    uint64_t count = 1;
    if (t->n_dims > SB_TENSOR_RANK_MAX) {
        return sb_fail(l->diag, SB_E_UNSUPPORTED, "%zu dimensions, at most %u are supported",
                       t->n_dims, SB_TENSOR_RANK_MAX);
    }
    for (size_t i = 0; i < t->n_dims; i++) {
        if (t->dims[i] < 0 || t->dims[i] > SB_TENSOR_DIM_MAX) {
            return sb_fail(l->diag, SB_E_SHAPE, "dimension %zu is %" PRId64 ", outside 0 .. %u", i,
                           t->dims[i], SB_TENSOR_DIM_MAX);
        }
        shape.dims[i] = (uint32_t)t->dims[i];
        count *= shape.dims[i];
        if (count > SB_TENSOR_ELEMENTS_MAX) {
            return sb_fail(l->diag, SB_E_LIMIT, "more than 2^28 elements");
        }
    }
    *ret = shape;
    return SB_OK;
}

/* Number of elements in the typed list that ONNX uses for the element type. */
static size_t typed_count(const SbOnnx__Tensor *t)
{
    switch (t->data_type) {
    case SB_ELEM_FLOAT:
        return t->n_float_data;
    case SB_ELEM_DOUBLE:
        return t->n_double_data;
    case SB_ELEM_INT64:
        return t->n_int64_data;
    case SB_ELEM_UINT32:
        return t->n_uint64_data;
    default:
        return t->n_int32_data;
    }
}

static double load_typed(const SbOnnx__Tensor *t, size_t i)
{
    switch (t->data_type) {
    case SB_ELEM_FLOAT:
        return (double)t->float_data[i];
    case SB_ELEM_DOUBLE:
        return t->double_data[i];
    case SB_ELEM_INT64:
        return (double)t->int64_data[i];
    case SB_ELEM_UINT32:
        return (double)t->uint64_data[i];
    default:
        return t->int32_data[i];
    }
}

static sb_err read_tensor(struct sb_array *ret, struct loader *l, const SbOnnx__Tensor *t)
{
    uint32_t size = elem_bytes(t->data_type);
    if (t->data_location == DATA_EXTERNAL) {
        return sb_fail(l->diag, SB_E_UNSUPPORTED,
                       "its data is in another file; save the model with the data inside");
    }
    if (size == 0) {
        return sb_fail(l->diag, SB_E_UNSUPPORTED,
                       "element type %d; convert it to float, double or an integer type",
                       t->data_type);
    }
    SB_TRY(read_shape(&ret->shape, l, t));
    uint64_t count = sb_array_count(ret);
    bool raw = t->has_raw_data;
    uint64_t have = raw ? t->raw_data.len / size : typed_count(t);
    if (have < count) {
        return sb_fail(l->diag, SB_E_TRUNCATED,
                       "%" PRIu64 " elements of data for a shape of %" PRIu64, have, count);
    }
    if (raw ? t->raw_data.len != count * size : have != count) {
        return sb_fail(l->diag, SB_E_TRAILING,
                       "more data than the %" PRIu64 " elements of its shape", count);
    }
    ret->data = sb_arena_array(l->memory, count, sizeof *ret->data);
    if (ret->data == NULL) {
        return nomem(l);
    }
    for (uint64_t i = 0; i < count; i++) {
        ret->data[i] =
            raw ? load_raw(t->raw_data.data + i * size, t->data_type) : load_typed(t, (size_t)i);
        if (isnan(ret->data[i])) { /* infinities mean what a mask leaves out */
            return sb_fail(l->diag, SB_E_RANGE, "element %" PRIu64 " is not a number", i);
        }
    }
    return SB_OK;
}

static sb_err add_const(struct loader *l, const char *name, const struct sb_array *array,
                        enum sb_elem elem)
{
    uint32_t index = 0;
    SB_TRY(add_value(&index, l, name));
    struct sb_value *v = &l->graph->values[index];
    v->elem = elem;
    v->is_const = true;
    v->has_shape = true;
    v->array = *array;
    return SB_OK;
}

static sb_err read_initialisers(struct loader *l, const SbOnnx__Graph *g)
{
    for (size_t i = 0; i < g->n_initializer; i++) {
        const SbOnnx__Tensor *t = g->initializer[i];
        const char *name = t->name != NULL ? t->name : "";
        struct sb_array array;
        sb_err err = read_tensor(&array, l, t);
        if (err != SB_OK) {
            sb_diag_prefix(l->diag, "tensor '%s'", name);
            return err;
        }
        SB_TRY(add_const(l, name, &array, (enum sb_elem)t->data_type));
    }
    return SB_OK;
}

/* ---- inputs and outputs ---- */

/* The declared shape; a free dimension is 0 here. */
static sb_err read_input(struct loader *l, const SbOnnx__ValueInfo *info)
{
    const char *name = info->name != NULL ? info->name : "";
    uint32_t index = *find_slot(l, name);
    if (index != SB_NO_VALUE) {
        return SB_OK; /* an initialiser that is listed as an input, as old exporters do */
    }
    if (l->graph->input_count == SB_MODEL_INPUTS_MAX) {
        return sb_fail(l->diag, SB_E_LIMIT, "more than %u inputs", SB_MODEL_INPUTS_MAX);
    }
    SB_TRY(add_value(&index, l, name));
    const SbOnnx__TensorType *type = info->type != NULL ? info->type->tensor_type : NULL;
    if (type == NULL || elem_bytes(type->elem_type) == 0 || type->shape == NULL) {
        return sb_fail(l->diag, SB_E_UNSUPPORTED,
                       "input '%s' is not a numeric tensor with a declared shape", name);
    }
    struct sb_value *v = &l->graph->values[index];
    v->elem = (enum sb_elem)type->elem_type;
    v->is_input = true;
    v->has_shape = true;
    if (type->shape->n_dim > SB_TENSOR_RANK_MAX) {
        return sb_fail(l->diag, SB_E_UNSUPPORTED, "input '%s' has %zu dimensions, at most %u", name,
                       type->shape->n_dim, SB_TENSOR_RANK_MAX);
    }
    v->array.shape.rank = (uint32_t)type->shape->n_dim;
    v->dim_names = sb_arena_zalloc(l->graph->memory, SB_TENSOR_RANK_MAX * sizeof *v->dim_names);
    if (v->dim_names == NULL) {
        return nomem(l);
    }
    for (size_t i = 0; i < type->shape->n_dim; i++) {
        const SbOnnx__Dimension *d = type->shape->dim[i];
        int64_t dim = d->has_dim_value ? d->dim_value : 0;
        if (dim > SB_TENSOR_DIM_MAX) {
            return sb_fail(l->diag, SB_E_SHAPE, "input '%s': dimension %zu is %" PRId64, name, i,
                           dim);
        }
        v->array.shape.dims[i] = dim < 0 ? 0 : (uint32_t)dim;
        if (d->dim_param != NULL && !d->has_dim_value) {
            v->dim_names[i] = (const char *)sb_arena_dup(
                l->graph->memory, sb_span(d->dim_param, strlen(d->dim_param) + 1));
            if (v->dim_names[i] == NULL) {
                return nomem(l);
            }
        }
    }
    l->graph->inputs[l->graph->input_count++] = index;
    return SB_OK;
}

static sb_err read_outputs(struct loader *l, const SbOnnx__Graph *g)
{
    if (g->n_output == 0 || g->n_output > SB_MODEL_OUTPUTS_MAX) {
        return sb_fail(l->diag, SB_E_LIMIT, "%zu outputs, allowed are 1 .. %u", g->n_output,
                       SB_MODEL_OUTPUTS_MAX);
    }
    for (size_t i = 0; i < g->n_output; i++) {
        const char *name = g->output[i]->name != NULL ? g->output[i]->name : "";
        uint32_t index = *find_slot(l, name);
        if (index == SB_NO_VALUE) {
            return sb_fail(l->diag, SB_E_SYNTAX, "the output '%s' is made by no node", name);
        }
        l->graph->values[index].is_output = true;
        l->graph->outputs[l->graph->output_count++] = index;
    }
    return SB_OK;
}

/* ---- nodes ---- */

static sb_err read_lists(struct sb_attr *ret, struct loader *l, const SbOnnx__Attribute *a)
{
    if (a->n_floats > 0) {
        double *floats = sb_arena_array(l->memory, a->n_floats, sizeof *floats);
        if (floats == NULL) {
            return nomem(l);
        }
        for (size_t i = 0; i < a->n_floats; i++) {
            floats[i] = (double)a->floats[i];
            if (!isfinite(floats[i])) {
                return sb_fail(l->diag, SB_E_RANGE, "attribute '%s': element %zu is not finite",
                               ret->name, i);
            }
        }
        ret->kind = SB_ATTR_KIND_FLOATS;
        ret->floats = floats;
        ret->count = a->n_floats;
    } else if (a->n_ints > 0) {
        ret->kind = SB_ATTR_KIND_INTS;
        ret->ints = (const int64_t *)(const void *)sb_arena_dup(
            l->memory, sb_span(a->ints, a->n_ints * sizeof *a->ints));
        ret->count = a->n_ints;
        return ret->ints != NULL ? SB_OK : nomem(l);
    } else if (a->n_strings > 0) {
        const char **strings = sb_arena_array(l->memory, a->n_strings, sizeof *strings);
        for (size_t i = 0; strings != NULL && i < a->n_strings; i++) {
            strings[i] = keep_text(l, a->strings[i].data, a->strings[i].len);
            if (strings[i] == NULL) {
                return nomem(l);
            }
        }
        ret->kind = SB_ATTR_KIND_STRINGS;
        ret->strings = (const char *const *)strings;
        ret->count = a->n_strings;
        return strings != NULL ? SB_OK : nomem(l);
    }
    return SB_OK;
}

/* ---- the one loop that is understood ---- */

/* Node i of a body does this to the results `a` (and `b`, if not NULL). */
static bool body_does(const SbOnnx__Graph *g, size_t i, const char *op, const char *a,
                      const char *b)
{
    const SbOnnx__Node *n = i < g->n_node ? g->node[i] : NULL;
    return n != NULL && n->op_type != NULL && strcmp(n->op_type, op) == 0 &&
           n->n_input >= (b != NULL ? 2 : 1) && n->n_output == 1 && strcmp(n->input[0], a) == 0 &&
           (b == NULL || strcmp(n->input[1], b) == 0);
}

/* A body that hands its state on and gives the distance of each row of it to the element at hand:
 *     Identity(state) -> state;  Sub(state, element) -> ReduceSumSquare, or Abs -> ReduceSum -> Identity -> output
 * How exporters write the distances of a table to a list of points. The name of the distance, or NULL. */
static const char *distance_of_body(const SbOnnx__Graph *g)
{
    if (g->n_input != 2 || g->n_output != 2 || g->n_initializer != 0 ||
        !body_does(g, 0, "Identity", g->input[0]->name, NULL) ||
        !body_does(g, 1, "Sub", g->input[0]->name, g->input[1]->name) ||
        strcmp(g->node[0]->output[0], g->output[0]->name) != 0) {
        return NULL;
    }
    const char *difference = g->node[1]->output[0];
    bool squares = body_does(g, 2, "ReduceSumSquare", difference, NULL);
    if (!squares && (!body_does(g, 2, "Abs", difference, NULL) ||
                     !body_does(g, 3, "ReduceSum", g->node[2]->output[0], NULL))) {
        return NULL;
    }
    size_t last = squares ? 3 : 4;
    bool ends = g->n_node == last + 1 &&
                body_does(g, last, "Identity", g->node[last - 1]->output[0], NULL) &&
                strcmp(g->node[last]->output[0], g->output[1]->name) == 0;
    return !ends ? NULL : squares ? "sqeuclidean" : "cityblock";
}

/* The body of a Scan becomes the name of the distance that it computes. */
static sb_err read_body(struct sb_attr *ret, struct loader *l, const SbOnnx__Attribute *a)
{
    SbOnnx__Graph *g = sb_onnx__graph__unpack(NULL, a->subgraph.len, a->subgraph.data);
    bool named = g != NULL;
    for (size_t i = 0; named && i < g->n_input + g->n_output; i++) {
        const SbOnnx__ValueInfo *v = i < g->n_input ? g->input[i] : g->output[i - g->n_input];
        named = v->name != NULL;
    }
    ret->kind = SB_ATTR_KIND_STRING;
    ret->s = named ? distance_of_body(g) : NULL;
    if (g != NULL) {
        sb_onnx__graph__free_unpacked(g, NULL);
    }
    return ret->s != NULL
               ? SB_OK
               : sb_fail(l->diag, SB_E_UNSUPPORTED,
                         "attribute '%s' holds a subgraph that is no distance of rows; export "
                         "without control flow",
                         ret->name);
}

static sb_err read_attr(struct sb_attr *ret, struct loader *l, const SbOnnx__Attribute *a)
{
    const char *name = a->name != NULL ? a->name : "";
    *ret = (struct sb_attr){.name = keep_text(l, name, strlen(name)),
                            .kind = (enum sb_attr_kind)a->type};
    if (ret->name == NULL) {
        return nomem(l);
    }
    if (a->has_subgraph && strcmp(name, "body") == 0) {
        return read_body(ret, l, a);
    }
    if (a->has_subgraph || a->n_subgraphs > 0) {
        return sb_fail(l->diag, SB_E_UNSUPPORTED,
                       "attribute '%s' holds a subgraph; export without control flow", name);
    }
    if (a->t != NULL) {
        ret->kind = SB_ATTR_KIND_TENSOR;
        ret->tensor_elem = (enum sb_elem)a->t->data_type;
        return read_tensor(&ret->tensor, l, a->t);
    }
    ret->i = a->i;
    ret->f = (double)a->f;
    bool may_be_missing = strcmp(name, "replaced_value_float") == 0; /* Imputer: not a number */
    if (a->has_f && !isfinite(a->f) && !may_be_missing) {
        return sb_fail(l->diag, SB_E_RANGE, "attribute '%s' is not a finite number", name);
    }
    ret->s = a->has_s ? keep_text(l, a->s.data, a->s.len) : "";
    if (ret->s == NULL) {
        return nomem(l);
    }
    if (a->type == 0) { /* before IR version 3 the kind was implied */
        ret->kind = a->has_i   ? SB_ATTR_KIND_INT
                    : a->has_f ? SB_ATTR_KIND_FLOAT
                               : SB_ATTR_KIND_STRING;
    }
    return read_lists(ret, l, a);
}

static sb_err read_operands(struct sb_graph_node *node, struct loader *l, const SbOnnx__Node *n)
{
    node->inputs = sb_arena_array(l->memory, n->n_input, sizeof *node->inputs);
    node->outputs = sb_arena_array(l->memory, n->n_output, sizeof *node->outputs);
    if (node->inputs == NULL || node->outputs == NULL) {
        return nomem(l);
    }
    for (size_t i = 0; i < n->n_input; i++) {
        node->inputs[i] = SB_NO_VALUE;
        if (n->input[i][0] != '\0') {
            node->inputs[i] = *find_slot(l, n->input[i]);
            if (node->inputs[i] == SB_NO_VALUE) {
                return sb_fail(l->diag, SB_E_SYNTAX, "input '%s' is made by no node before it",
                               n->input[i]);
            }
        }
    }
    node->input_count = (uint32_t)n->n_input;
    for (size_t i = 0; i < n->n_output; i++) {
        node->outputs[i] = SB_NO_VALUE;
        if (n->output[i][0] != '\0') {
            SB_TRY(add_value(&node->outputs[i], l, n->output[i]));
            l->graph->values[node->outputs[i]].writer = l->graph->node_count;
        }
    }
    node->output_count = (uint32_t)n->n_output;
    return SB_OK;
}

static sb_err find_op(struct sb_graph_node *node, struct loader *l, const SbOnnx__Node *n)
{
    const char *domain = n->domain != NULL && strcmp(n->domain, "ai.onnx") != 0 ? n->domain : "";
    const char *type = n->op_type != NULL ? n->op_type : "";
    bool ml = strcmp(domain, "ai.onnx.ml") == 0;
    node->opset = ml ? l->ml_opset : l->opset;
    node->op = sb_onnx_op_find(domain, type);
    if (node->op == NULL) {
        return sb_fail(l->diag, SB_E_UNSUPPORTED,
                       "operator '%s'%s%s of operator set %" PRId64 " is not supported; %s", type,
                       domain[0] != '\0' ? " of " : "", domain, node->opset, sb_onnx_op_hint(type));
    }
    if (node->opset < node->op->opset_min) {
        return sb_fail(l->diag, SB_E_UNSUPPORTED,
                       "operator '%s' is supported from operator set %" PRId64
                       " on, the model uses %" PRId64 "; export it with a newer one",
                       type, node->op->opset_min, node->opset);
    }
    if (n->n_input < node->op->inputs_min || n->n_input > node->op->inputs_max ||
        n->n_output == 0 || n->n_output > SB_GRAPH_OPERANDS_MAX ||
        n->n_attribute > SB_GRAPH_ATTRS_MAX) {
        return sb_fail(l->diag, SB_E_SYNTAX, "%s with %zu inputs, %zu outputs and %zu attributes",
                       type, n->n_input, n->n_output, n->n_attribute);
    }
    return SB_OK;
}

/* A Constant node, just added, becomes a constant value and goes. */
static sb_err take_constant(struct loader *l, const struct sb_graph_node *node)
{
    struct sb_array array = {0};
    struct sb_eval e = {
        .graph = l->graph, .node = node, .out = &array, .memory = l->memory, .diag = l->diag};
    SB_TRY(node->op->eval(&e));
    const struct sb_attr *tensor = sb_graph_attr(node, "value");
    if (node->output_count != 1 || node->outputs[0] == SB_NO_VALUE) {
        return sb_fail(l->diag, SB_E_SYNTAX, "a Constant without its one output");
    }
    struct sb_value *v = &l->graph->values[node->outputs[0]];
    v->elem =
        tensor != NULL && tensor->kind == SB_ATTR_KIND_TENSOR ? tensor->tensor_elem
        : sb_graph_attr(node, "value_int") != NULL || sb_graph_attr(node, "value_ints") != NULL
            ? SB_ELEM_INT64
            : SB_ELEM_FLOAT;
    v->is_const = true;
    v->has_shape = true;
    v->array = array;
    v->writer = SB_NO_VALUE;
    l->graph->node_count--;
    return SB_OK;
}

static sb_err read_node(struct loader *l, const SbOnnx__Node *n)
{
    struct sb_graph_node *node = &l->graph->nodes[l->graph->node_count];
    *node = (struct sb_graph_node){.name = ""};
    SB_TRY(find_op(node, l, n));
    SB_TRY(read_operands(node, l, n));
    for (uint32_t i = 0; i < node->op->inputs_min; i++) {
        if (node->inputs[i] == SB_NO_VALUE) {
            return sb_fail(l->diag, SB_E_SYNTAX, "input %u of %s is missing", i, node->op->name);
        }
    }
    const char *name = n->name != NULL && n->name[0] != '\0' ? n->name : n->output[0];
    node->name = keep_text(l, name, strlen(name));
    node->attrs = sb_arena_array(l->memory, n->n_attribute, sizeof *node->attrs);
    if (node->name == NULL || node->attrs == NULL) {
        return nomem(l);
    }
    for (size_t i = 0; i < n->n_attribute; i++) {
        SB_TRY(read_attr(&node->attrs[i], l, n->attribute[i]));
        node->attr_count++;
    }
    l->graph->node_count++;
    return node->op->id == SB_ONNX_CONSTANT ? take_constant(l, node) : SB_OK;
}

static sb_err read_nodes(struct loader *l, const SbOnnx__Graph *g)
{
    for (size_t i = 0; i < g->n_node; i++) {
        const SbOnnx__Node *n = g->node[i];
        sb_err err = read_node(l, n);
        if (err != SB_OK) {
            const char *name = n->name != NULL && n->name[0] != '\0' ? n->name
                               : n->n_output > 0                     ? n->output[0]
                                                                     : "";
            sb_diag_prefix(l->diag, "node %zu '%s'", i, name);
            return err;
        }
    }
    return SB_OK;
}

/* ---- model ---- */

static sb_err read_opsets(struct loader *l, const SbOnnx__Model *m)
{
    for (size_t i = 0; i < m->n_opset_import; i++) {
        const SbOnnx__OperatorSetId *id = m->opset_import[i];
        const char *domain = id->domain != NULL ? id->domain : "";
        if (domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0) {
            l->opset = id->version;
        } else if (strcmp(domain, "ai.onnx.ml") == 0) {
            l->ml_opset = id->version;
        }
    }
    if (m->n_functions > 0 || m->graph->n_sparse_initializer > 0) {
        return sb_fail(l->diag, SB_E_UNSUPPORTED,
                       "model functions and sparse tensors are not supported; inline them");
    }
    return SB_OK;
}

/* Tables as large as this file can fill. */
static sb_err make_tables(struct loader *l, const SbOnnx__Graph *m)
{
    struct sb_graph *g = l->graph;
    size_t values = SPARE_VALUES + m->n_initializer + m->n_input + 2 * m->n_node;
    for (size_t i = 0; i < m->n_node; i++) {
        values += m->node[i]->n_output;
    }
    if (m->n_node == 0 || m->n_node > SB_GRAPH_NODES_MAX || values > SB_GRAPH_VALUES_MAX) {
        return sb_fail(l->diag, SB_E_LIMIT, "%zu nodes (allowed 1 .. %u) with %zu values (%u)",
                       m->n_node, SB_GRAPH_NODES_MAX, values, SB_GRAPH_VALUES_MAX);
    }
    g->value_capacity = (uint32_t)values;
    l->slot_count = 2 * g->value_capacity;
    g->values = sb_arena_array(l->memory, values, sizeof *g->values);
    g->nodes = sb_arena_array(l->memory, m->n_node, sizeof *g->nodes);
    g->inputs = sb_arena_array(l->memory, SB_MODEL_INPUTS_MAX, sizeof *g->inputs);
    g->outputs = sb_arena_array(l->memory, SB_MODEL_OUTPUTS_MAX, sizeof *g->outputs);
    l->slots = sb_arena_array(l->memory, l->slot_count, sizeof *l->slots);
    if (g->values == NULL || g->nodes == NULL || g->inputs == NULL || g->outputs == NULL ||
        l->slots == NULL) {
        return nomem(l);
    }
    memset(l->slots, 0xff, l->slot_count * sizeof *l->slots);
    return SB_OK;
}

static sb_err read_model(struct loader *l, const SbOnnx__Model *m)
{
    if (m->graph == NULL) {
        return sb_fail(l->diag, SB_E_SYNTAX, "the file holds no ONNX graph");
    }
    const char *name = m->graph->name != NULL ? m->graph->name : "";
    l->graph->memory = l->memory;
    l->graph->name = keep_text(l, name, strlen(name));
    if (l->graph->name == NULL) {
        return nomem(l);
    }
    SB_TRY(make_tables(l, m->graph));
    SB_TRY(read_opsets(l, m));
    SB_TRY(read_initialisers(l, m->graph));
    for (size_t i = 0; i < m->graph->n_input; i++) {
        SB_TRY(read_input(l, m->graph->input[i]));
    }
    SB_TRY(read_nodes(l, m->graph));
    return read_outputs(l, m->graph);
}

sb_err sb_onnx_load(struct sb_graph *ret_graph, sb_bytes file, struct sb_arena *memory,
                    struct sb_diag *diag)
{
    struct sb_graph graph = {0};
    struct loader l = {.graph = &graph, .memory = memory, .diag = diag};
    struct sb_arena scratch;
    if (file.len > SB_ONNX_FILE_BYTES_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "the file has %zu bytes, the limit is %zu", file.len,
                       SB_ONNX_FILE_BYTES_MAX);
    }
    sb_arena_init(&scratch, SCRATCH_BYTES_MIN + 8 * file.len);
    ProtobufCAllocator allocator = {
        .alloc = scratch_alloc, .free = scratch_free, .allocator_data = &scratch};
    SbOnnx__Model *m =
        file.len == 0 ? NULL : sb_onnx__model__unpack(&allocator, file.len, file.data);
    sb_err err = m == NULL ? sb_fail(diag, SB_E_SYNTAX, "the file is no ONNX model, or is cut")
                           : read_model(&l, m);
    sb_arena_fini(&scratch);
    if (err == SB_OK) {
        *ret_graph = graph;
    }
    return err;
}

sb_err sb_onnx_tensor(struct sb_array *ret_array, enum sb_elem *ret_elem, sb_bytes file,
                      struct sb_arena *memory, struct sb_diag *diag)
{
    struct loader l = {.memory = memory, .diag = diag};
    struct sb_arena scratch;
    if (file.len > SB_ONNX_FILE_BYTES_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "the file has %zu bytes, the limit is %zu", file.len,
                       SB_ONNX_FILE_BYTES_MAX);
    }
    sb_arena_init(&scratch, SCRATCH_BYTES_MIN + 8 * file.len);
    ProtobufCAllocator allocator = {
        .alloc = scratch_alloc, .free = scratch_free, .allocator_data = &scratch};
    SbOnnx__Tensor *t = sb_onnx__tensor__unpack(&allocator, file.len, file.data);
    struct sb_array array = {0};
    sb_err err = t == NULL ? sb_fail(diag, SB_E_SYNTAX, "the file is no tensor, or is cut")
                           : read_tensor(&array, &l, t);
    if (err == SB_OK) {
        *ret_array = array;
        *ret_elem = (enum sb_elem)t->data_type;
    }
    sb_arena_fini(&scratch);
    return err;
}
