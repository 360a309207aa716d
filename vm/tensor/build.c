/* build.c: see build.h. Everything lives in one arena; tables of tensors and nodes have their limits' size from the start, so indices and
 * pointers stay valid. */
#include "vm/tensor/build.h"

#include <stdlib.h>

#include "vm/tensor/format.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"

#define MEMORY_BYTES_MAX (2 * SB_MODEL_FILE_BYTES_MAX)

struct sb_build {
    struct sb_arena memory;
    struct sb_format_graph graph;
    struct sb_tensor *tensors; /* [SB_MODEL_TENSORS_MAX] */
    struct sb_node *nodes;     /* [SB_MODEL_NODES_MAX] */
    uint32_t *outputs;         /* [SB_MODEL_OUTPUTS_MAX] */
    sb_err err;                /* first failure */
    struct sb_diag diag;
};

static const char *keep_name(struct sb_build *b, const char *name)
{
    size_t len = strlen(name);
    len = len < SB_MODEL_NAME_BYTES_MAX ? len : SB_MODEL_NAME_BYTES_MAX;
    char *copy = sb_arena_alloc(&b->memory, len + 1);
    if (copy == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < len; i++) {
        bool printable = name[i] >= 0x20 && name[i] <= 0x7e;
        copy[i] = name[i];
        if (!printable) {
            copy[i] = '_';
        }
    }
    copy[len] = '\0';
    return copy;
}

struct sb_build *sb_build_new(const char *model_name)
{
    struct sb_build *b = calloc(1, sizeof *b);
    if (b == NULL) {
        return NULL;
    }
    sb_arena_init(&b->memory, MEMORY_BYTES_MAX);
    b->tensors = sb_arena_array(&b->memory, SB_MODEL_TENSORS_MAX, sizeof *b->tensors);
    b->nodes = sb_arena_array(&b->memory, SB_MODEL_NODES_MAX, sizeof *b->nodes);
    b->outputs = sb_arena_array(&b->memory, SB_MODEL_OUTPUTS_MAX, sizeof *b->outputs);
    b->graph.name = keep_name(b, model_name);
    if (b->tensors == NULL || b->nodes == NULL || b->outputs == NULL || b->graph.name == NULL) {
        sb_build_free(b);
        return NULL;
    }
    b->graph.tensors = b->tensors;
    b->graph.nodes = b->nodes;
    b->graph.outputs = b->outputs;
    return b;
}

void sb_build_free(struct sb_build *build)
{
    if (build != NULL) {
        sb_arena_fini(&build->memory);
        free(build);
    }
}

/* Remember the first failure. */
static void fail(struct sb_build *b, sb_err err, const char *what, const char *name)
{
    if (b->err == SB_OK) {
        b->err = sb_fail(&b->diag, err, "%s '%s'", what, name);
    }
}

static bool shape_is_good(const struct sb_shape *shape)
{
    if (shape->rank > SB_TENSOR_RANK_MAX) {
        return false;
    }
    uint64_t count = 1;
    for (uint32_t i = 0; i < shape->rank; i++) {
        if (shape->dims[i] == 0 || shape->dims[i] > SB_TENSOR_DIM_MAX) {
            return false;
        }
        count *= shape->dims[i];
        if (count > SB_TENSOR_ELEMENTS_MAX) {
            return false;
        }
    }
    return true;
}

static uint32_t add_tensor(struct sb_build *b, const char *name, enum sb_tensor_kind kind,
                           const struct sb_tensor_desc *desc, const void *data)
{
    const char *kept = keep_name(b, name);
    if (b->graph.tensor_count == SB_MODEL_TENSORS_MAX) {
        fail(b, SB_E_LIMIT, "too many tensors at", name);
    } else if (kept == NULL) {
        fail(b, SB_E_NOMEM, "out of memory at tensor", name);
    } else if (!shape_is_good(&desc->shape) || sb_dtype_bytes(desc->dtype) == 0) {
        fail(b, SB_E_LIMIT, "type, rank, a dimension or the size is outside the limits of tensor",
             name);
    }
    if (b->err != SB_OK) {
        return SB_BUILD_NONE;
    }
    struct sb_tensor *t = &b->tensors[b->graph.tensor_count];
    *t = (struct sb_tensor){.desc = *desc, .name = kept, .data = data};
    t->desc.kind = kind;
    t->count = sb_shape_count(&desc->shape);
    t->bytes = t->count * sb_dtype_bytes(desc->dtype);
    return b->graph.tensor_count++;
}

uint32_t sb_build_input(struct sb_build *build, const char *name, const struct sb_tensor_desc *desc)
{
    return add_tensor(build, name, SB_TENSOR_INPUT, desc, NULL);
}

uint32_t sb_build_tensor(struct sb_build *build, const char *name,
                         const struct sb_tensor_desc *desc)
{
    return add_tensor(build, name, SB_TENSOR_COMPUTED, desc, NULL);
}

static void find_range(struct sb_tensor_desc *desc, const void *elements, uint64_t count)
{
    desc->lo = INT64_MAX;
    desc->hi = INT64_MIN;
    for (uint64_t i = 0; i < count; i++) {
        int64_t value = 0;
        sb_widen(&value, sb_element_at(elements, desc->dtype, i), desc->dtype, 1);
        desc->lo = value < desc->lo ? value : desc->lo;
        desc->hi = value > desc->hi ? value : desc->hi;
    }
}

uint32_t sb_build_const(struct sb_build *build, const char *name, enum sb_dtype dtype,
                        const struct sb_shape *shape, const struct sb_quant *quant,
                        const void *elements)
{
    struct sb_tensor_desc desc = {.dtype = dtype, .shape = *shape, .quant = {.scale_mult = 1}};
    if (quant != NULL) {
        desc.quant = *quant;
    }
    uint32_t index = add_tensor(build, name, SB_TENSOR_CONST, &desc, NULL);
    if (index == SB_BUILD_NONE) {
        return index;
    }
    struct sb_tensor *t = &build->tensors[index];
    find_range(&t->desc, elements, t->count);
    t->data = sb_arena_dup(&build->memory, sb_span(elements, (size_t)t->bytes));
    if (t->data == NULL) {
        fail(build, SB_E_NOMEM, "out of memory for the elements of", name);
        return SB_BUILD_NONE;
    }
    return index;
}

void sb_build_node(struct sb_build *build, const char *name, enum sb_op_id op_id,
                   uint16_t op_version, const uint32_t *inputs, uint32_t input_count,
                   uint32_t output, const int64_t *attrs, uint32_t attr_count)
{
    const struct sb_op *op = sb_op_lookup((uint16_t)op_id, op_version);
    if (build->graph.node_count == SB_MODEL_NODES_MAX) {
        fail(build, SB_E_LIMIT, "too many nodes at", name);
    } else if (op == NULL) {
        fail(build, SB_E_UNSUPPORTED, "operator or version not in the list at node", name);
    } else if (input_count > SB_NODE_INPUTS_MAX || attr_count > SB_NODE_ATTRS_MAX ||
               output == SB_BUILD_NONE) {
        fail(build, SB_E_ARG, "too many inputs or attributes, or no output, at node", name);
    }
    for (uint32_t i = 0; build->err == SB_OK && i < input_count; i++) {
        if (inputs[i] == SB_BUILD_NONE) {
            fail(build, SB_E_ARG, "a missing input at node", name);
        }
    }
    if (build->err != SB_OK) {
        return;
    }
    struct sb_node *n = &build->nodes[build->graph.node_count];
    *n = (struct sb_node){
        .op = op,
        .name = keep_name(build, name),
        .input_count = input_count,
        .attr_count = attr_count,
        .output = output,
        .inputs = (const uint32_t *)(const void *)sb_arena_dup(
            &build->memory, sb_span(inputs, input_count * sizeof *inputs)),
        .attrs = (const int64_t *)(const void *)sb_arena_dup(
            &build->memory, sb_span(attrs, attr_count * sizeof *attrs)),
    };
    if (n->name == NULL || n->inputs == NULL || n->attrs == NULL) {
        fail(build, SB_E_NOMEM, "out of memory at node", name);
        return;
    }
    build->graph.node_count++;
}

void sb_build_output(struct sb_build *build, uint32_t tensor)
{
    if (tensor == SB_BUILD_NONE || build->graph.output_count == SB_MODEL_OUTPUTS_MAX) {
        fail(build, SB_E_LIMIT, "too many outputs, or one that is missing, in model",
             build->graph.name);
        return;
    }
    build->outputs[build->graph.output_count++] = tensor;
}

const struct sb_tensor_desc *sb_build_desc(const struct sb_build *build, uint32_t tensor)
{
    return tensor < build->graph.tensor_count ? &build->tensors[tensor].desc : NULL;
}

sb_err sb_build_finish(struct sb_buf *ret_file, const struct sb_build *build, struct sb_diag *diag)
{
    if (build->err != SB_OK) {
        return sb_fail(diag, build->err, "%s", build->diag.text);
    }
    size_t start = ret_file->len;
    if (sb_format_encode(ret_file, &build->graph) != SB_OK) {
        return sb_fail(diag, SB_E_LIMIT,
                       "the model file would be larger than the buffer or the limit of %zu bytes",
                       SB_MODEL_FILE_BYTES_MAX);
    }
    struct sb_model *model = NULL;
    SB_TRY(sb_model_load(&model, sb_span(ret_file->data + start, ret_file->len - start), diag));
    sb_model_free(model);
    return SB_OK;
}
