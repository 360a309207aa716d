/* run.c: one inference, see run.h.
 *
 *     check inputs -> copy them into the scratch (host order) -> nodes in order -> copy outputs out (little-endian)
 *
 *     scratch   | pad to 64 | tensors at their planned offsets ... | workspace of the node at work | */
#include "vm/tensor/run.h"

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "vm/tensor/format.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"

#define CHECK_BLOCK 256u

int64_t sb_raw_load(const uint8_t *raw, enum sb_dtype dtype, uint64_t i)
{
    switch (dtype) {
    case SB_DTYPE_I8:
        return (int8_t)raw[i];
    case SB_DTYPE_U8:
    case SB_DTYPE_BOOL:
        return raw[i];
    case SB_DTYPE_I16:
        return (int16_t)le_load16(raw + 2 * i);
    case SB_DTYPE_U16:
        return le_load16(raw + 2 * i);
    case SB_DTYPE_I32:
        return (int32_t)le_load32(raw + 4 * i);
    case SB_DTYPE_I64:
        return (int64_t)le_load64(raw + 8 * i);
    case SB_DTYPE_NONE:
    case SB_DTYPE_COUNT:
        break;
    }
    SB_UNREACHABLE();
}

void sb_raw_store(uint8_t *ret_raw, enum sb_dtype dtype, uint64_t i, int64_t value)
{
    SB_ASSERT(value >= sb_dtype_min(dtype) && value <= sb_dtype_max(dtype));
    switch (sb_dtype_bytes(dtype)) {
    case 1:
        ret_raw[i] = (uint8_t)value;
        return;
    case 2:
        le_store16(ret_raw + 2 * i, (uint16_t)value);
        return;
    case 4:
        le_store32(ret_raw + 4 * i, (uint32_t)value);
        return;
    case 8:
        le_store64(ret_raw + 8 * i, (uint64_t)value);
        return;
    default:
        SB_UNREACHABLE();
    }
}

static sb_err refuse(struct sb_bad_input *ret_bad, uint32_t tensor, uint64_t element, sb_err err)
{
    if (ret_bad != NULL) {
        *ret_bad = (struct sb_bad_input){.tensor = tensor, .element = element};
    }
    return err;
}

/* Number of the first element outside [lo, hi]; count if there is none. Blocks are copied out, since raw may have any alignment. */
static uint64_t find_outside(const struct sb_tensor_desc *d, const uint8_t *raw, uint64_t count)
{
    int64_t host[CHECK_BLOCK]; /* room for a block of any type */
    int64_t values[CHECK_BLOCK];
    size_t size = sb_dtype_bytes(d->dtype);
    for (uint64_t at = 0; at < count; at += CHECK_BLOCK) {
        size_t block = count - at < CHECK_BLOCK ? (size_t)(count - at) : CHECK_BLOCK;
        memcpy(host, raw + at * size, block * size);
        sb_elements_swap(host, d->dtype, block);
        sb_widen(values, host, d->dtype, block);
        bool outside = false;
        for (size_t i = 0; i < block; i++) {
            outside |= values[i] < d->lo || values[i] > d->hi;
        }
        for (size_t i = 0; outside; i++) {
            if (values[i] < d->lo || values[i] > d->hi) {
                return at + i;
            }
        }
    }
    return count;
}

sb_err sb_model_check_input(struct sb_bad_input *ret_bad, const struct sb_model *model,
                            uint32_t input, sb_bytes raw)
{
    SB_ASSERT(input < model->info.input_count);
    const struct sb_model_io *io = &model->info.inputs[input];
    if (raw.len != io->bytes) {
        return refuse(ret_bad, input, UINT64_MAX, SB_E_SHAPE);
    }
    if (io->desc.lo == sb_dtype_min(io->desc.dtype) &&
        io->desc.hi == sb_dtype_max(io->desc.dtype) && io->desc.dtype != SB_DTYPE_BOOL) {
        return SB_OK;
    }
    uint64_t bad = find_outside(&io->desc, raw.data, io->element_count);
    return bad == io->element_count ? SB_OK : refuse(ret_bad, input, bad, SB_E_RANGE);
}

static const void *address_of(const struct sb_tensor *t, const uint8_t *arena)
{
    return t->data != NULL ? t->data : arena + t->arena_offset;
}

static void run_node(const struct sb_model *model, const struct sb_node *node, uint8_t *arena,
                     const struct sb_kernels *kernels)
{
    struct sb_exec x = {
        .attrs = node->attrs,
        .input_count = node->input_count,
        .out_tensor = &model->tensors[node->output],
        .out = arena + model->tensors[node->output].arena_offset,
        .workspace = arena + model->workspace_offset,
        .kernels = kernels,
        .prepared = kernels == model->kernels ? node->prepared : NULL,
    };
    for (uint32_t i = 0; i < node->input_count; i++) {
        x.in_tensor[i] = &model->tensors[node->inputs[i]];
        x.in[i] = address_of(x.in_tensor[i], arena);
    }
    node->op->code->run(&x);
}

static void copy_inputs(const struct sb_run *run, uint8_t *arena)
{
    const struct sb_model *model = run->model;
    for (uint32_t i = 0; i < model->info.input_count; i++) {
        const struct sb_tensor *t = &model->tensors[model->inputs[i]];
        memcpy(arena + t->arena_offset, run->inputs[i].data, (size_t)t->bytes);
        sb_elements_swap(arena + t->arena_offset, t->desc.dtype, t->count);
    }
}

static void copy_outputs(const struct sb_run *run, const uint8_t *arena)
{
    const struct sb_model *model = run->model;
    for (uint32_t i = 0; i < model->info.output_count; i++) {
        const struct sb_tensor *t = &model->tensors[model->outputs[i]];
        memcpy(run->ret_outputs[i], arena + t->arena_offset, (size_t)t->bytes);
        sb_elements_swap(run->ret_outputs[i], t->desc.dtype, t->count);
    }
}

sb_err sb_model_run_until(struct sb_bad_input *ret_bad, const struct sb_run *run,
                          bool (*cancelled)(void *ctx), void *ctx)
{
    const struct sb_model *model = run->model;
    if (run->scratch_bytes < model->info.arena_bytes) {
        return SB_E_LIMIT;
    }
    for (uint32_t i = 0; i < model->info.input_count; i++) {
        SB_TRY(sb_model_check_input(ret_bad, model, i, run->inputs[i]));
    }
    uint8_t *arena = run->scratch;
    arena +=
        (SB_TENSOR_ALIGN_BYTES - (uintptr_t)arena % SB_TENSOR_ALIGN_BYTES) % SB_TENSOR_ALIGN_BYTES;
    copy_inputs(run, arena);
    for (uint32_t i = 0; i < model->info.node_count; i++) {
        if (cancelled != NULL && cancelled(ctx)) {
            return SB_E_CANCELLED;
        }
        run_node(model, &model->nodes[i], arena,
                 run->kernels != NULL ? run->kernels : model->kernels);
    }
    copy_outputs(run, arena);
    return SB_OK;
}

sb_err sb_model_run(struct sb_bad_input *ret_bad, const struct sb_run *run)
{
    return sb_model_run_until(ret_bad, run, NULL, NULL);
}
