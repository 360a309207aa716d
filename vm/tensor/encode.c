/* encode.c: the writer of model files, mirror of format.c; and the byte order of element arrays. */
#include "base/util/assert.h"
#include "base/util/endian.h"
#include "vm/tensor/format.h"
#include "vm/tensor/op.h"

void sb_elements_swap(void *elements, enum sb_dtype dtype, uint64_t count)
{
    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
        return;
    }
    uint32_t size = sb_dtype_bytes(dtype);
    uint8_t *at = elements;
    for (uint64_t i = 0; i < count; i++, at += size) {
        for (uint32_t a = 0, b = size - 1; a < b; a++, b--) {
            uint8_t byte = at[a];
            at[a] = at[b];
            at[b] = byte;
        }
    }
}

static void add_u16(struct sb_buf *buf, uint16_t value)
{
    uint8_t bytes[2];
    le_store16(bytes, value);
    sb_buf_add(buf, bytes, sizeof bytes);
}

static void add_u32(struct sb_buf *buf, uint32_t value)
{
    uint8_t bytes[4];
    le_store32(bytes, value);
    sb_buf_add(buf, bytes, sizeof bytes);
}

static void add_u64(struct sb_buf *buf, uint64_t value)
{
    uint8_t bytes[8];
    le_store64(bytes, value);
    sb_buf_add(buf, bytes, sizeof bytes);
}

/* Zero bytes until the file, which starts at `start`, has a multiple of align bytes. */
static void add_padding(struct sb_buf *buf, size_t start, size_t align)
{
    while (!buf->failed && (buf->len - start) % align != 0) {
        sb_buf_add_byte(buf, 0);
    }
}

static void add_tensor(struct sb_buf *buf, const struct sb_tensor *t)
{
    const struct sb_tensor_desc *d = &t->desc;
    sb_buf_add_byte(buf, (uint8_t)d->kind);
    sb_buf_add_byte(buf, (uint8_t)d->dtype);
    sb_buf_add_byte(buf, (uint8_t)d->shape.rank);
    sb_buf_add_byte(buf, (uint8_t)d->rounding);
    add_u32(buf, (uint32_t)d->quant.zero_point);
    for (uint32_t i = 0; i < SB_TENSOR_RANK_MAX; i++) {
        add_u32(buf, i < d->shape.rank ? d->shape.dims[i] : 0);
    }
    add_u32(buf, d->quant.scale_mult);
    add_u32(buf, d->quant.scale_shift); /* one byte and three zero bytes */
    add_u64(buf, (uint64_t)d->lo);
    add_u64(buf, (uint64_t)d->hi);
}

static void add_node(struct sb_buf *buf, size_t start, const struct sb_node *n)
{
    add_u16(buf, n->op->facts.id);
    add_u16(buf, n->op->facts.version);
    sb_buf_add_byte(buf, (uint8_t)n->input_count);
    sb_buf_add_byte(buf, (uint8_t)n->attr_count);
    add_u16(buf, 0);
    add_u32(buf, n->output);
    for (uint32_t i = 0; i < n->input_count; i++) {
        add_u32(buf, n->inputs[i]);
    }
    add_padding(buf, start, 8);
    for (uint32_t i = 0; i < n->attr_count; i++) {
        add_u64(buf, (uint64_t)n->attrs[i]);
    }
}

static void add_name(struct sb_buf *buf, const char *name)
{
    size_t len = strlen(name);
    SB_ASSERT(len <= SB_MODEL_NAME_BYTES_MAX);
    sb_buf_add_byte(buf, (uint8_t)len);
    sb_buf_add(buf, name, len);
}

static void add_constant(struct sb_buf *buf, size_t start, const struct sb_tensor *t)
{
    uint8_t *place = sb_buf_grow(buf, (size_t)t->bytes);
    if (place != NULL) {
        memcpy(place, t->data, (size_t)t->bytes);
        sb_elements_swap(place, t->desc.dtype, t->count);
    }
    add_padding(buf, start, SB_FORMAT_ALIGN_BYTES);
}

static uint32_t part_bytes(const struct sb_buf *buf, size_t from)
{
    return (uint32_t)(buf->len - from);
}

sb_err sb_format_encode(struct sb_buf *ret_file, const struct sb_format_graph *graph)
{
    struct sb_buf *buf = ret_file;
    size_t start = buf->len;
    uint8_t header[SB_FORMAT_HEADER_BYTES] = {0};
    memcpy(header, SB_FORMAT_MAGIC, SB_FORMAT_MAGIC_BYTES);
    sb_buf_add(buf, header, sizeof header);
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        add_tensor(buf, &graph->tensors[i]);
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        add_u32(buf, graph->outputs[i]);
    }
    add_padding(buf, start, 8);
    size_t nodes_at = buf->len;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        add_node(buf, start, &graph->nodes[i]);
    }
    size_t strings_at = buf->len;
    add_name(buf, graph->name);
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        add_name(buf, graph->tensors[i].name);
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        add_name(buf, graph->nodes[i].name);
    }
    uint32_t string_bytes = part_bytes(buf, strings_at);
    add_padding(buf, start, SB_FORMAT_ALIGN_BYTES);
    size_t data_at = buf->len;
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        if (graph->tensors[i].desc.kind == SB_TENSOR_CONST) {
            add_constant(buf, start, &graph->tensors[i]);
        }
    }
    if (buf->failed || buf->len - start > SB_MODEL_FILE_BYTES_MAX) {
        return SB_E_LIMIT;
    }
    uint8_t *h = buf->data + start;
    le_store32(h + SB_FORMAT_H_VERSION, SB_FORMAT_VERSION);
    le_store32(h + SB_FORMAT_H_FILE_BYTES, part_bytes(buf, start));
    le_store32(h + SB_FORMAT_H_TENSOR_COUNT, graph->tensor_count);
    le_store32(h + SB_FORMAT_H_OUTPUT_COUNT, graph->output_count);
    le_store32(h + SB_FORMAT_H_NODE_COUNT, graph->node_count);
    le_store32(h + SB_FORMAT_H_NODE_BYTES, (uint32_t)(strings_at - nodes_at));
    le_store32(h + SB_FORMAT_H_STRING_BYTES, string_bytes);
    le_store32(h + SB_FORMAT_H_DATA_BYTES, part_bytes(buf, data_at));
    return SB_OK;
}
