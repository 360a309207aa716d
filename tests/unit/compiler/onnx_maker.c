/* onnx_maker.c: see onnx_maker.h. */
#include "onnx_maker.h"

#include "base/util/assert.h"

static void *take(struct maker *m, const void *from, size_t len)
{
    void *copy = sb_arena_dup(&m->memory, sb_span(from, len));
    SB_ASSERT(copy != NULL);
    return copy;
}

static char *text(struct maker *m, const char *from)
{
    return take(m, from, strlen(from) + 1);
}

static ProtobufCBinaryData binary(struct maker *m, const char *from, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = take(m, from, len)};
}

void maker_init(struct maker *m, int64_t opset)
{
    memset(m, 0, sizeof *m);
    sb_arena_init(&m->memory, (size_t)16 << 20);
    sb_onnx__model__init(&m->model);
    sb_onnx__graph__init(&m->graph);
    m->graph.name = text(m, "made");
    m->graph.node = m->nodes;
    m->graph.initializer = m->tensors;
    m->graph.input = m->inputs;
    m->graph.output = m->outputs;
    m->model.has_ir_version = 1;
    m->model.ir_version = 8;
    m->model.graph = &m->graph;
    m->model.opset_import = m->opset_list;
    m->model.n_opset_import = 2;
    for (size_t i = 0; i < 2; i++) {
        sb_onnx__operator_set_id__init(&m->opsets[i]);
        m->opsets[i].has_version = 1;
        m->opsets[i].version = i == 0 ? opset : 3;
        m->opset_list[i] = &m->opsets[i];
    }
    m->opsets[1].domain = text(m, "ai.onnx.ml");
}

void maker_fini(struct maker *m)
{
    sb_arena_fini(&m->memory);
}

static SbOnnx__ValueInfo *value_info(struct maker *m, const char *name, size_t rank,
                                     const int64_t *dims)
{
    SbOnnx__ValueInfo v = SB_ONNX__VALUE_INFO__INIT;
    SbOnnx__Type type = SB_ONNX__TYPE__INIT;
    SbOnnx__TensorType tensor = SB_ONNX__TENSOR_TYPE__INIT;
    SbOnnx__Shape shape = SB_ONNX__SHAPE__INIT;
    SbOnnx__Dimension *list[8];
    SB_ASSERT(rank <= 8);
    for (size_t i = 0; i < rank; i++) {
        SbOnnx__Dimension d = SB_ONNX__DIMENSION__INIT;
        d.has_dim_value = dims[i] > 0;
        d.dim_value = dims[i];
        list[i] = take(m, &d, sizeof d);
    }
    shape.dim = take(m, list, rank * sizeof *list);
    shape.n_dim = rank;
    tensor.has_elem_type = 1;
    tensor.elem_type = 1;
    tensor.shape = take(m, &shape, sizeof shape);
    type.tensor_type = take(m, &tensor, sizeof tensor);
    v.name = text(m, name);
    v.type = take(m, &type, sizeof type);
    return take(m, &v, sizeof v);
}

void maker_input(struct maker *m, const char *name, size_t rank, const int64_t *dims)
{
    SB_ASSERT(m->graph.n_input < MAKER_VALUES);
    m->inputs[m->graph.n_input++] = value_info(m, name, rank, dims);
}

void maker_output(struct maker *m, const char *name)
{
    SB_ASSERT(m->graph.n_output < MAKER_VALUES);
    m->outputs[m->graph.n_output++] = value_info(m, name, 0, NULL);
}

static SbOnnx__Tensor *add_tensor(struct maker *m, const char *name, size_t rank,
                                  const int64_t *dims, int32_t type)
{
    SbOnnx__Tensor t = SB_ONNX__TENSOR__INIT;
    SB_ASSERT(m->graph.n_initializer < MAKER_TENSORS);
    t.name = text(m, name);
    t.dims = take(m, dims, rank * sizeof *dims);
    t.n_dims = rank;
    t.has_data_type = 1;
    t.data_type = type;
    m->tensors[m->graph.n_initializer] = take(m, &t, sizeof t);
    return m->tensors[m->graph.n_initializer++];
}

void maker_floats(struct maker *m, const char *name, size_t rank, const int64_t *dims,
                  const float *data)
{
    SbOnnx__Tensor *t = add_tensor(m, name, rank, dims, 1);
    size_t count = 1;
    for (size_t i = 0; i < rank; i++) {
        count *= (size_t)dims[i];
    }
    t->float_data = take(m, data, count * sizeof *data);
    t->n_float_data = count;
}

void maker_int64s(struct maker *m, const char *name, size_t count, const int64_t *data)
{
    SbOnnx__Tensor *t = add_tensor(m, name, 1, (int64_t[]){(int64_t)count}, 7);
    t->int64_data = take(m, data, count * sizeof *data);
    t->n_int64_data = count;
}

/* Split at blanks; "-" stands for the empty name. */
static char **split(struct maker *m, size_t *ret_count, const char *names)
{
    char *list[64];
    size_t count = 0;
    while (*names != '\0') {
        size_t len = strcspn(names, " ");
        char *name = take(m, names, len + 1);
        name[len] = '\0';
        if (strcmp(name, "-") == 0) {
            name[0] = '\0';
        }
        SB_ASSERT(count < 64);
        list[count++] = name;
        names += len + (names[len] == ' ' ? 1 : 0);
    }
    *ret_count = count;
    return take(m, list, count * sizeof *list);
}

void maker_node(struct maker *m, const char *domain, const char *op, const char *inputs,
                const char *outputs)
{
    SbOnnx__Node n = SB_ONNX__NODE__INIT;
    SbOnnx__Attribute *attrs[MAKER_ATTRS] = {NULL};
    SB_ASSERT(m->graph.n_node < MAKER_NODES);
    n.op_type = text(m, op);
    n.domain = text(m, domain);
    n.name = text(m, op);
    n.input = split(m, &n.n_input, inputs);
    n.output = split(m, &n.n_output, outputs);
    n.attribute = take(m, attrs, sizeof attrs);
    m->nodes[m->graph.n_node++] = take(m, &n, sizeof n);
}

static SbOnnx__Attribute *add_attr(struct maker *m, const char *name, int32_t type)
{
    SbOnnx__Node *n = m->nodes[m->graph.n_node - 1];
    SbOnnx__Attribute a = SB_ONNX__ATTRIBUTE__INIT;
    SB_ASSERT(n->n_attribute < MAKER_ATTRS);
    a.name = text(m, name);
    a.has_type = 1;
    a.type = type;
    n->attribute[n->n_attribute] = take(m, &a, sizeof a);
    return n->attribute[n->n_attribute++];
}

void maker_attr_int(struct maker *m, const char *name, int64_t value)
{
    SbOnnx__Attribute *a = add_attr(m, name, 2);
    a->has_i = 1;
    a->i = value;
}

void maker_attr_float(struct maker *m, const char *name, float value)
{
    SbOnnx__Attribute *a = add_attr(m, name, 1);
    a->has_f = 1;
    a->f = value;
}

void maker_attr_string(struct maker *m, const char *name, const char *value)
{
    SbOnnx__Attribute *a = add_attr(m, name, 3);
    a->has_s = 1;
    a->s = binary(m, value, strlen(value));
}

void maker_attr_ints(struct maker *m, const char *name, size_t count, const int64_t *values)
{
    SbOnnx__Attribute *a = add_attr(m, name, 7);
    a->ints = take(m, values, count * sizeof *values);
    a->n_ints = count;
}

void maker_attr_floats(struct maker *m, const char *name, size_t count, const float *values)
{
    SbOnnx__Attribute *a = add_attr(m, name, 6);
    a->floats = take(m, values, count * sizeof *values);
    a->n_floats = count;
}

void maker_attr_strings(struct maker *m, const char *name, const char *values)
{
    SbOnnx__Attribute *a = add_attr(m, name, 8);
    size_t count = 0;
    char **list = split(m, &count, values);
    ProtobufCBinaryData strings[64];
    for (size_t i = 0; i < count; i++) {
        strings[i] = binary(m, list[i], strlen(list[i]));
    }
    a->strings = take(m, strings, count * sizeof *strings);
    a->n_strings = count;
}

sb_bytes maker_pack(struct maker *m)
{
    size_t len = sb_onnx__model__get_packed_size(&m->model);
    uint8_t *file = sb_arena_alloc(&m->memory, len);
    SB_ASSERT(file != NULL);
    return sb_span(file, sb_onnx__model__pack(&m->model, file));
}
