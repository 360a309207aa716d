/* model.c: the life of a model and its description; see model.h. */
#include "vm/tensor/model.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/crypto/sha256_portable.h"
#include "base/util/assert.h"
#include "vm/tensor/format.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"

/* Besides its bytes, a model holds records, names, and scratch of the verifier; all limited by counts that the file pays for. */
#define MEMORY_BYTES_PER_FILE_BYTE 48u
#define MEMORY_BYTES_EXTRA         ((size_t)1 << 20)

static struct sb_model_io io_of(const struct sb_model *model, uint32_t index)
{
    const struct sb_tensor *t = &model->tensors[index];
    return (struct sb_model_io){
        .name = t->name, .desc = t->desc, .element_count = t->count, .bytes = t->bytes};
}

static const struct sb_model_io *describe_io(struct sb_model *model, const uint32_t *indices,
                                             uint32_t count, uint64_t *ret_bytes)
{
    struct sb_model_io *io = sb_arena_array(&model->memory, count, sizeof *io);
    uint64_t bytes = 0;
    for (uint32_t i = 0; io != NULL && i < count; i++) {
        io[i] = io_of(model, indices[i]);
        bytes += io[i].bytes;
    }
    *ret_bytes = bytes;
    return io;
}

/* The operator table is sorted by (id, version), so the uses come out sorted. */
static const struct sb_model_op_use *describe_ops(struct sb_model *model)
{
    struct sb_model_op_use *uses = sb_arena_array(&model->memory, sb_op_count(), sizeof *uses);
    uint32_t count = 0;
    for (uint32_t line = 0; uses != NULL && line < sb_op_count(); line++) {
        const struct sb_op_facts *facts = sb_op_facts(line);
        struct sb_model_op_use use = {.op_id = facts->id, .op_version = facts->version};
        for (uint32_t i = 0; i < model->info.node_count; i++) {
            use.node_count += &model->nodes[i].op->facts == facts ? 1 : 0;
        }
        if (use.node_count > 0) {
            uses[count++] = use;
        }
    }
    model->info.op_use_count = count;
    return uses;
}

static sb_err describe(struct sb_model *model, struct sb_diag *diag)
{
    struct sb_model_info *info = &model->info;
    info->inputs = describe_io(model, model->inputs, info->input_count, &info->input_bytes);
    info->outputs = describe_io(model, model->outputs, info->output_count, &info->output_bytes);
    info->op_uses = describe_ops(model);
    if (info->inputs == NULL || info->outputs == NULL || info->op_uses == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory for the description");
    }
    if (info->input_bytes > SB_MODEL_IO_BYTES_MAX || info->output_bytes > SB_MODEL_IO_BYTES_MAX) {
        return sb_fail(diag, SB_E_LIMIT,
                       "the inputs have %" PRIu64 " bytes, the outputs %" PRIu64
                       "; the limit of each is %" PRIu64,
                       info->input_bytes, info->output_bytes, SB_MODEL_IO_BYTES_MAX);
    }
    return SB_OK;
}

static sb_err fill(struct sb_model *model, sb_bytes file, struct sb_diag *diag)
{
    SB_TRY(sb_format_parse(model, file, diag));
    SB_TRY(sb_verify(model, diag));
    SB_TRY(sb_plan(model, diag));
    return describe(model, diag);
}

sb_err sb_model_load(struct sb_model **ret_model, sb_bytes file, struct sb_diag *diag)
{
    if (file.len > SB_MODEL_FILE_BYTES_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "the file has %zu bytes, the limit is %zu", file.len,
                       SB_MODEL_FILE_BYTES_MAX);
    }
    struct sb_model *model = calloc(1, sizeof *model);
    if (model == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory for a model");
    }
    model->kernels = &sb_kernels_c;
    sb_arena_init(&model->memory, MEMORY_BYTES_EXTRA + file.len * MEMORY_BYTES_PER_FILE_BYTE);
    sb_err err = fill(model, file, diag);
    if (err != SB_OK) {
        sb_model_free(model);
        return err;
    }
    model->sha256 = sb_sha256_portable(file);
    *ret_model = model;
    return SB_OK;
}

size_t sb_model_memory_bytes(const struct sb_model *model)
{
    return sizeof *model + model->memory.total_bytes + model->prepared.total_bytes;
}

void sb_model_free(struct sb_model *model)
{
    if (model != NULL) {
        sb_arena_fini(&model->memory);
        sb_arena_fini(&model->prepared);
        free(model);
    }
}

const sb_hash *sb_model_sha256(const struct sb_model *model)
{
    return &model->sha256;
}

const struct sb_model_info *sb_model_info(const struct sb_model *model)
{
    return &model->info;
}

sb_err sb_model_encode(struct sb_buf *ret_file, const struct sb_model *model)
{
    struct sb_format_graph graph = {
        .name = model->info.name,
        .tensor_count = model->info.tensor_count,
        .output_count = model->info.output_count,
        .node_count = model->info.node_count,
        .tensors = model->tensors,
        .outputs = model->outputs,
        .nodes = model->nodes,
    };
    return sb_format_encode(ret_file, &graph);
}

struct sb_model_node sb_model_node(const struct sb_model *model, uint32_t index)
{
    SB_ASSERT(index < model->info.node_count);
    const struct sb_node *n = &model->nodes[index];
    return (struct sb_model_node){
        .name = n->name,
        .op_id = n->op->facts.id,
        .op_version = n->op->facts.version,
        .op_name = n->op->facts.name,
        .input_count = n->input_count,
        .output_count = 1,
        .attr_count = n->attr_count,
        .inputs = n->inputs,
        .outputs = &n->output,
        .attrs = n->attrs,
        .units = n->units,
    };
}

const struct sb_tensor_desc *sb_model_tensor(const struct sb_model *model, uint32_t index)
{
    SB_ASSERT(index < model->info.tensor_count);
    return &model->tensors[index].desc;
}

const char *sb_model_tensor_name(const struct sb_model *model, uint32_t index)
{
    SB_ASSERT(index < model->info.tensor_count);
    return model->tensors[index].name;
}

void sb_model_tensor_range(int64_t *ret_lo, int64_t *ret_hi, const struct sb_model *model,
                           uint32_t index)
{
    SB_ASSERT(index < model->info.tensor_count);
    *ret_lo = model->tensors[index].lo;
    *ret_hi = model->tensors[index].hi;
}
