/* format.c: the reader of model files.
 *
 *     header 64 | tensor records | outputs, padded | node records | strings, padded | constants, each 64-aligned
 *
 * One pass, no offsets in the file: each part's place follows from the counts before it, so that a model has one encoding only. A
 * cursor that knows the end is the only way to the bytes. Spec: docs/spec/model-format.md. */
#include "vm/tensor/format.h"

#include <inttypes.h>

#include "base/util/endian.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"

/* Where the parts lie; all inside the file. */
struct layout {
    sb_bytes tensors;
    sb_bytes outputs;
    sb_bytes nodes;
    sb_bytes strings;
    sb_bytes data;
    uint64_t data_offset; /* of `data` in the file: alignment is counted from the file's start */
    uint32_t tensor_count;
    uint32_t output_count;
    uint32_t node_count;
};

static bool is_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static uint64_t pad_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) / align * align;
}

static sb_err check_header(const uint8_t *h, sb_bytes file, struct sb_diag *diag)
{
    if (memcmp(h, SB_FORMAT_MAGIC, SB_FORMAT_MAGIC_BYTES) != 0) {
        return sb_fail(diag, SB_E_SYNTAX,
                       "not a model file: it does not start with the magic bytes");
    }
    uint32_t version = le_load32(h + SB_FORMAT_H_VERSION);
    if (version != SB_FORMAT_VERSION) {
        return sb_fail(diag, SB_E_VERSION,
                       "model file version %" PRIu32 ", this program reads version %u", version,
                       SB_FORMAT_VERSION);
    }
    uint32_t file_bytes = le_load32(h + SB_FORMAT_H_FILE_BYTES);
    if (file_bytes > file.len) {
        return sb_fail(diag, SB_E_TRUNCATED, "the file has %zu bytes, its header says %" PRIu32,
                       file.len, file_bytes);
    }
    if (file_bytes < file.len) {
        return sb_fail(diag, SB_E_TRAILING, "the file has %zu bytes, its header says %" PRIu32,
                       file.len, file_bytes);
    }
    if (!is_zero(h + SB_FORMAT_H_END, SB_FORMAT_HEADER_BYTES - SB_FORMAT_H_END)) {
        return sb_fail(diag, SB_E_NON_CANONICAL, "reserved bytes of the header are not zero");
    }
    return SB_OK;
}

static sb_err find_layout(struct layout *ret, sb_bytes file, struct sb_diag *diag)
{
    if (file.len < SB_FORMAT_HEADER_BYTES) {
        return sb_fail(diag, SB_E_TRUNCATED, "a model file has at least %u bytes, this one has %zu",
                       SB_FORMAT_HEADER_BYTES, file.len);
    }
    if (file.len > SB_MODEL_FILE_BYTES_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "the file has %zu bytes, the limit is %zu", file.len,
                       SB_MODEL_FILE_BYTES_MAX);
    }
    const uint8_t *h = file.data;
    SB_TRY(check_header(h, file, diag));
    struct layout l = {
        .tensor_count = le_load32(h + SB_FORMAT_H_TENSOR_COUNT),
        .output_count = le_load32(h + SB_FORMAT_H_OUTPUT_COUNT),
        .node_count = le_load32(h + SB_FORMAT_H_NODE_COUNT),
    };
    uint64_t node_bytes = le_load32(h + SB_FORMAT_H_NODE_BYTES);
    uint64_t string_bytes = le_load32(h + SB_FORMAT_H_STRING_BYTES);
    uint64_t data_bytes = le_load32(h + SB_FORMAT_H_DATA_BYTES);
    if (l.tensor_count == 0 || l.tensor_count > SB_MODEL_TENSORS_MAX || l.output_count == 0 ||
        l.output_count > SB_MODEL_OUTPUTS_MAX || l.node_count == 0 ||
        l.node_count > SB_MODEL_NODES_MAX) {
        return sb_fail(diag, SB_E_LIMIT,
                       "%" PRIu32 " tensors, %" PRIu32 " outputs, %" PRIu32
                       " nodes: each must be 1 or more, at most %u, %u and %u",
                       l.tensor_count, l.output_count, l.node_count, SB_MODEL_TENSORS_MAX,
                       SB_MODEL_OUTPUTS_MAX, SB_MODEL_NODES_MAX);
    }
    uint64_t tensors_at = SB_FORMAT_HEADER_BYTES;
    uint64_t outputs_at = tensors_at + (uint64_t)l.tensor_count * SB_FORMAT_TENSOR_BYTES;
    uint64_t nodes_at = pad_up(outputs_at + (uint64_t)l.output_count * 4, 8);
    uint64_t strings_at = nodes_at + node_bytes;
    l.data_offset = pad_up(strings_at + string_bytes, SB_FORMAT_ALIGN_BYTES);
    if (l.data_offset + data_bytes != file.len) {
        return sb_fail(diag, SB_E_SYNTAX,
                       "the parts named in the header do not add up to the file's %zu bytes",
                       file.len);
    }
    /* Records are allocated by their counts: the file must pay for each. */
    if (node_bytes / SB_FORMAT_NODE_BYTES_MIN < l.node_count ||
        string_bytes < UINT64_C(1) + l.tensor_count + l.node_count) {
        return sb_fail(diag, SB_E_TRUNCATED,
                       "%" PRIu64 " bytes of nodes and %" PRIu64
                       " of strings are too few for %" PRIu32 " tensors and %" PRIu32 " nodes",
                       node_bytes, string_bytes, l.tensor_count, l.node_count);
    }
    l.tensors = sb_span(h + tensors_at, outputs_at - tensors_at);
    l.outputs = sb_span(h + outputs_at, nodes_at - outputs_at);
    l.nodes = sb_span(h + nodes_at, node_bytes);
    l.strings = sb_span(h + strings_at, l.data_offset - strings_at);
    l.data = sb_span(h + l.data_offset, data_bytes);
    if (!is_zero(l.outputs.data + (size_t)l.output_count * 4,
                 l.outputs.len - (size_t)l.output_count * 4) ||
        !is_zero(l.strings.data + string_bytes, l.strings.len - string_bytes)) {
        return sb_fail(diag, SB_E_NON_CANONICAL, "padding is not zero");
    }
    l.strings.len = string_bytes;
    *ret = l;
    return SB_OK;
}

/* ---- strings: model, tensors, nodes; each a length byte and printable ASCII ---- */

static sb_err read_string(const char **ret_text, struct sb_model *model, sb_bytes *rest,
                          struct sb_diag *diag)
{
    if (rest->len == 0 || rest->len - 1 < rest->data[0]) {
        return sb_fail(diag, SB_E_TRUNCATED, "the string table ends too early");
    }
    size_t len = rest->data[0];
    for (size_t i = 1; i <= len; i++) {
        if (rest->data[i] < 0x20 || rest->data[i] > 0x7e) {
            return sb_fail(diag, SB_E_SYNTAX,
                           "a name holds the byte 0x%02x; names are printable ASCII",
                           rest->data[i]);
        }
    }
    char *text = sb_arena_alloc(&model->memory, len + 1);
    if (text == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory for names");
    }
    sb_copy(text, rest->data + 1, len);
    text[len] = '\0';
    rest->data += len + 1;
    rest->len -= len + 1;
    *ret_text = text;
    return SB_OK;
}

static sb_err read_strings(struct sb_model *model, const struct layout *l, struct sb_diag *diag)
{
    sb_bytes rest = l->strings;
    SB_TRY(read_string(&model->info.name, model, &rest, diag));
    for (uint32_t i = 0; i < l->tensor_count; i++) {
        SB_TRY(read_string(&model->tensors[i].name, model, &rest, diag));
    }
    for (uint32_t i = 0; i < l->node_count; i++) {
        SB_TRY(read_string(&model->nodes[i].name, model, &rest, diag));
    }
    if (rest.len != 0) {
        return sb_fail(diag, SB_E_TRAILING, "the string table has %zu bytes too many", rest.len);
    }
    return SB_OK;
}

/* ---- tensors ---- */

static sb_err read_shape(struct sb_shape *ret, const uint8_t *r, struct sb_diag *diag)
{
    struct sb_shape shape = {.rank = r[SB_FORMAT_T_RANK]};
    if (shape.rank > SB_TENSOR_RANK_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "rank %" PRIu32 ", the limit is %u", shape.rank,
                       SB_TENSOR_RANK_MAX);
    }
    uint64_t count = 1;
    for (uint32_t i = 0; i < SB_TENSOR_RANK_MAX; i++) {
        uint32_t dim = le_load32(r + SB_FORMAT_T_DIMS + (size_t)i * 4);
        if (i >= shape.rank) {
            if (dim != 0) {
                return sb_fail(diag, SB_E_NON_CANONICAL, "a dimension beyond the rank is not zero");
            }
            continue;
        }
        if (dim == 0 || dim > SB_TENSOR_DIM_MAX) {
            return sb_fail(diag, SB_E_LIMIT,
                           "dimension %" PRIu32 " is %" PRIu32 "; it must be 1 .. %" PRIu32, i, dim,
                           SB_TENSOR_DIM_MAX);
        }
        count *= dim;
        if (count > SB_TENSOR_ELEMENTS_MAX) {
            return sb_fail(diag, SB_E_LIMIT, "more than %" PRIu64 " elements",
                           SB_TENSOR_ELEMENTS_MAX);
        }
        shape.dims[i] = dim;
    }
    *ret = shape;
    return SB_OK;
}

static sb_err check_quant(const struct sb_tensor_desc *d, struct sb_diag *diag)
{
    bool may_shift = d->dtype == SB_DTYPE_I8 || d->dtype == SB_DTYPE_U8;
    if (may_shift ? (d->quant.zero_point < sb_dtype_min(d->dtype) ||
                     d->quant.zero_point > sb_dtype_max(d->dtype))
                  : d->quant.zero_point != 0) {
        return sb_fail(diag, SB_E_RANGE, "zero point %" PRId32 " does not fit type %s",
                       d->quant.zero_point, sb_dtype_name(d->dtype));
    }
    if (d->quant.scale_mult == 0 || d->quant.scale_mult > INT32_MAX || d->quant.scale_shift > 62) {
        return sb_fail(diag, SB_E_RANGE,
                       "scale %" PRIu32 " / 2^%u is outside (1 .. 2^31 - 1) / 2^(0 .. 62)",
                       d->quant.scale_mult, d->quant.scale_shift);
    }
    if (d->lo > d->hi || d->lo < sb_dtype_min(d->dtype) || d->hi > sb_dtype_max(d->dtype)) {
        return sb_fail(diag, SB_E_RANGE,
                       "range [%" PRId64 ", %" PRId64 "] is empty or outside type %s", d->lo, d->hi,
                       sb_dtype_name(d->dtype));
    }
    return SB_OK;
}

static sb_err read_tensor(struct sb_tensor *ret, const uint8_t *r, struct sb_diag *diag)
{
    struct sb_tensor_desc d = {0};
    if (r[SB_FORMAT_T_KIND] > SB_TENSOR_CONST) {
        return sb_fail(diag, SB_E_TYPE, "kind %u is not known", r[SB_FORMAT_T_KIND]);
    }
    d.kind = (enum sb_tensor_kind)r[SB_FORMAT_T_KIND];
    if (r[SB_FORMAT_T_DTYPE] == SB_DTYPE_NONE || r[SB_FORMAT_T_DTYPE] >= SB_DTYPE_COUNT) {
        return sb_fail(diag, SB_E_TYPE, "element type %u is not known", r[SB_FORMAT_T_DTYPE]);
    }
    d.dtype = (enum sb_dtype)r[SB_FORMAT_T_DTYPE];
    if (r[SB_FORMAT_T_ROUNDING] > (d.kind == SB_TENSOR_INPUT ? SB_ROUND_FLOOR : SB_ROUND_NEAREST)) {
        return sb_fail(diag, SB_E_TYPE, "rounding %u is not known, or not on an input",
                       r[SB_FORMAT_T_ROUNDING]);
    }
    d.rounding = (enum sb_rounding)r[SB_FORMAT_T_ROUNDING];
    if (!is_zero(r + SB_FORMAT_T_SCALE_SHIFT + 1, SB_FORMAT_T_LO - SB_FORMAT_T_SCALE_SHIFT - 1)) {
        return sb_fail(diag, SB_E_NON_CANONICAL, "reserved bytes are not zero");
    }
    SB_TRY(read_shape(&d.shape, r, diag));
    d.quant.zero_point = (int32_t)le_load32(r + SB_FORMAT_T_ZERO_POINT);
    d.quant.scale_mult = le_load32(r + SB_FORMAT_T_SCALE_MULT);
    d.quant.scale_shift = r[SB_FORMAT_T_SCALE_SHIFT];
    d.lo = (int64_t)le_load64(r + SB_FORMAT_T_LO);
    d.hi = (int64_t)le_load64(r + SB_FORMAT_T_HI);
    SB_TRY(check_quant(&d, diag));
    ret->desc = d;
    ret->count = sb_shape_count(&d.shape);
    ret->bytes = ret->count * sb_dtype_bytes(d.dtype);
    return SB_OK;
}

static sb_err read_tensors(struct sb_model *model, const struct layout *l, struct sb_diag *diag)
{
    for (uint32_t i = 0; i < l->tensor_count; i++) {
        sb_err err = read_tensor(&model->tensors[i],
                                 l->tensors.data + (size_t)i * SB_FORMAT_TENSOR_BYTES, diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "tensor %" PRIu32 " '%s'", i, model->tensors[i].name);
            return err;
        }
    }
    return SB_OK;
}

/* ---- nodes ---- */

static sb_err read_node_body(struct sb_model *model, struct sb_node *node, const uint8_t *r,
                             size_t pad_bytes, struct sb_diag *diag)
{
    uint32_t *inputs = sb_arena_array(&model->memory, node->input_count, sizeof *inputs);
    int64_t *attrs = sb_arena_array(&model->memory, node->attr_count, sizeof *attrs);
    if (inputs == NULL || attrs == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory for nodes");
    }
    const uint8_t *at = r + SB_FORMAT_NODE_BYTES;
    for (uint32_t i = 0; i < node->input_count; i++, at += 4) {
        inputs[i] = le_load32(at);
        if (inputs[i] >= model->info.tensor_count) {
            return sb_fail(diag, SB_E_RANGE, "input %" PRIu32 " is tensor %" PRIu32 " of %" PRIu32,
                           i, inputs[i], model->info.tensor_count);
        }
    }
    if (!is_zero(at, pad_bytes)) {
        return sb_fail(diag, SB_E_NON_CANONICAL, "padding is not zero");
    }
    at += pad_bytes;
    for (uint32_t i = 0; i < node->attr_count; i++, at += 8) {
        attrs[i] = (int64_t)le_load64(at);
    }
    node->inputs = inputs;
    node->attrs = attrs;
    return SB_OK;
}

static sb_err read_node(struct sb_model *model, struct sb_node *node, sb_bytes *rest,
                        struct sb_diag *diag)
{
    const uint8_t *r = rest->data;
    if (rest->len < SB_FORMAT_NODE_BYTES) {
        return sb_fail(diag, SB_E_TRUNCATED, "the node records end too early");
    }
    uint16_t id = le_load16(r + SB_FORMAT_N_OP);
    uint16_t version = le_load16(r + SB_FORMAT_N_VERSION);
    node->op = sb_op_lookup(id, version);
    if (node->op == NULL) {
        return sb_fail(diag, SB_E_UNSUPPORTED, "operator %u version %u is not in the list", id,
                       version);
    }
    const struct sb_op_facts *facts = &node->op->facts;
    node->input_count = r[SB_FORMAT_N_INPUT_COUNT];
    node->attr_count = r[SB_FORMAT_N_ATTR_COUNT];
    node->output = le_load32(r + SB_FORMAT_N_OUTPUT);
    if (node->input_count < facts->inputs_min || node->input_count > facts->inputs_max ||
        node->attr_count != facts->attr_count) {
        return sb_fail(diag, SB_E_SYNTAX,
                       "%s takes %" PRIu32 " .. %" PRIu32 " inputs and %" PRIu32
                       " attributes, not %" PRIu32 " and %" PRIu32,
                       facts->name, facts->inputs_min, facts->inputs_max, facts->attr_count,
                       node->input_count, node->attr_count);
    }
    if (!is_zero(r + SB_FORMAT_N_ZERO, SB_FORMAT_N_OUTPUT - SB_FORMAT_N_ZERO)) {
        return sb_fail(diag, SB_E_NON_CANONICAL, "reserved bytes are not zero");
    }
    if (node->output >= model->info.tensor_count) {
        return sb_fail(diag, SB_E_RANGE, "the output is tensor %" PRIu32 " of %" PRIu32,
                       node->output, model->info.tensor_count);
    }
    size_t plain = SB_FORMAT_NODE_BYTES + (size_t)node->input_count * 4;
    size_t padded = (size_t)pad_up(plain, 8);
    size_t len = padded + (size_t)node->attr_count * 8;
    if (rest->len < len) {
        return sb_fail(diag, SB_E_TRUNCATED, "the node records end too early");
    }
    SB_TRY(read_node_body(model, node, r, padded - plain, diag));
    rest->data += len;
    rest->len -= len;
    return SB_OK;
}

static sb_err read_nodes(struct sb_model *model, const struct layout *l, struct sb_diag *diag)
{
    sb_bytes rest = l->nodes;
    for (uint32_t i = 0; i < l->node_count; i++) {
        sb_err err = read_node(model, &model->nodes[i], &rest, diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "node %" PRIu32 " '%s'", i, model->nodes[i].name);
            return err;
        }
    }
    if (rest.len != 0) {
        return sb_fail(diag, SB_E_TRAILING, "the node records have %zu bytes too many", rest.len);
    }
    return SB_OK;
}

/* ---- constants ---- */

#define RANGE_BLOCK 512u

static sb_err check_const_range(const struct sb_tensor *t, struct sb_diag *diag)
{
    int64_t values[RANGE_BLOCK];
    int64_t lo = INT64_MAX;
    int64_t hi = INT64_MIN;
    for (uint64_t at = 0; at < t->count; at += RANGE_BLOCK) {
        size_t count = t->count - at < RANGE_BLOCK ? (size_t)(t->count - at) : RANGE_BLOCK;
        sb_widen(values, sb_element_at(t->data, t->desc.dtype, (size_t)at), t->desc.dtype, count);
        for (size_t i = 0; i < count; i++) {
            lo = values[i] < lo ? values[i] : lo;
            hi = values[i] > hi ? values[i] : hi;
        }
    }
    if (lo != t->desc.lo || hi != t->desc.hi) {
        return sb_fail(diag, SB_E_RANGE,
                       "the elements are in [%" PRId64 ", %" PRId64 "], the record says [%" PRId64
                       ", %" PRId64 "]",
                       lo, hi, t->desc.lo, t->desc.hi);
    }
    return SB_OK;
}

/* All constants are copied at once, with their alignment kept, so that kernels may use aligned loads. */
static sb_err read_constants(struct sb_model *model, const struct layout *l, struct sb_diag *diag)
{
    uint8_t *copy = sb_arena_alloc(&model->memory, l->data.len + SB_TENSOR_ALIGN_BYTES);
    if (copy == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory for %zu bytes of constants", l->data.len);
    }
    copy +=
        (SB_TENSOR_ALIGN_BYTES - (uintptr_t)copy % SB_TENSOR_ALIGN_BYTES) % SB_TENSOR_ALIGN_BYTES;
    sb_copy(copy, l->data.data, l->data.len);
    uint64_t at = 0;
    for (uint32_t i = 0; i < l->tensor_count; i++) {
        struct sb_tensor *t = &model->tensors[i];
        if (t->desc.kind != SB_TENSOR_CONST) {
            continue;
        }
        uint64_t end = pad_up(at + t->bytes, SB_FORMAT_ALIGN_BYTES);
        if (end > l->data.len) {
            return sb_fail(diag, SB_E_TRUNCATED,
                           "tensor %" PRIu32 " '%s': the constant data ends too early", i, t->name);
        }
        if (!is_zero(copy + at + t->bytes, (size_t)(end - at - t->bytes))) {
            return sb_fail(diag, SB_E_NON_CANONICAL,
                           "tensor %" PRIu32 " '%s': padding after it is not zero", i, t->name);
        }
        sb_elements_swap(copy + at, t->desc.dtype, t->count);
        t->data = copy + at;
        sb_err err = check_const_range(t, diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "tensor %" PRIu32 " '%s'", i, t->name);
            return err;
        }
        model->info.const_bytes += t->bytes;
        at = end;
    }
    if (at != l->data.len) {
        return sb_fail(diag, SB_E_TRAILING, "the constant data has %" PRIu64 " bytes too many",
                       l->data.len - at);
    }
    return SB_OK;
}

/* ---- inputs and outputs ---- */

static sb_err check_io_names(const struct sb_model *model, const uint32_t *io, uint32_t count,
                             const char *what, struct sb_diag *diag)
{
    for (uint32_t i = 0; i < count; i++) {
        const char *name = model->tensors[io[i]].name;
        if (name[0] == '\0') {
            return sb_fail(diag, SB_E_SYNTAX, "%s %" PRIu32 " has no name", what, i);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(name, model->tensors[io[j]].name) == 0) {
                return sb_fail(diag, SB_E_SYNTAX, "%s '%s' is there twice", what, name);
            }
        }
    }
    return SB_OK;
}

static sb_err read_io(struct sb_model *model, const struct layout *l, struct sb_diag *diag)
{
    uint32_t input_count = 0;
    for (uint32_t i = 0; i < l->tensor_count; i++) {
        if (model->tensors[i].desc.kind != SB_TENSOR_INPUT) {
            continue;
        }
        if (input_count == SB_MODEL_INPUTS_MAX) {
            return sb_fail(diag, SB_E_LIMIT, "more than %u inputs", SB_MODEL_INPUTS_MAX);
        }
        model->inputs[input_count++] = i;
    }
    model->info.input_count = input_count;
    model->info.output_count = l->output_count;
    for (uint32_t i = 0; i < l->output_count; i++) {
        uint32_t index = le_load32(l->outputs.data + (size_t)i * 4);
        if (index >= l->tensor_count || model->tensors[index].desc.kind == SB_TENSOR_CONST) {
            return sb_fail(diag, SB_E_RANGE,
                           "output %" PRIu32 " is tensor %" PRIu32
                           ", which is no input or computed tensor",
                           i, index);
        }
        model->outputs[i] = index;
    }
    SB_TRY(check_io_names(model, model->inputs, input_count, "input", diag));
    return check_io_names(model, model->outputs, l->output_count, "output", diag);
}

sb_err sb_format_parse(struct sb_model *model, sb_bytes file, struct sb_diag *diag)
{
    struct layout l = {0};
    SB_TRY(find_layout(&l, file, diag));
    model->tensors = sb_arena_zalloc(&model->memory, l.tensor_count * sizeof *model->tensors);
    model->nodes = sb_arena_zalloc(&model->memory, l.node_count * sizeof *model->nodes);
    model->inputs = sb_arena_array(&model->memory, SB_MODEL_INPUTS_MAX, sizeof *model->inputs);
    model->outputs = sb_arena_array(&model->memory, l.output_count, sizeof *model->outputs);
    if (model->tensors == NULL || model->nodes == NULL || model->inputs == NULL ||
        model->outputs == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory for the graph");
    }
    model->info.file_bytes = file.len;
    model->info.tensor_count = l.tensor_count;
    model->info.node_count = l.node_count;
    SB_TRY(read_strings(model, &l, diag));
    SB_TRY(read_tensors(model, &l, diag));
    SB_TRY(read_nodes(model, &l, diag));
    SB_TRY(read_constants(model, &l, diag));
    return read_io(model, &l, diag);
}
