/* verify.c: the pass that makes a parsed graph a model: one walk in the order of execution.
 *
 *     for each node: inputs have values, output has none yet -> infer -> prove -> cost
 *
 * After it, every computed tensor has exactly one writer before all its readers, every shape is what the operator makes, every
 * accumulator is proven from the actual weights never to overflow, and each tensor carries a proven interval. The work is linear in
 * the file: an operator looks at each of its constant elements a fixed number of times, and how often constants may be shared between
 * nodes is limited. Spec: docs/spec/numerics.md 4, docs/spec/model-format.md 7. */
#include <inttypes.h>

#include "vm/tensor/op.h"

/* Bytes of constants that all nodes together may read: an unrolled recurrent layer reads its weights once a step. */
#define CONST_READS_PER_FILE_BYTE 32u
#define CONST_READ_BYTES_EXTRA    ((uint64_t)1 << 19)

static sb_err check_sharing(const struct sb_model *model, struct sb_diag *diag)
{
    uint64_t limit = model->info.file_bytes * CONST_READS_PER_FILE_BYTE + CONST_READ_BYTES_EXTRA;
    uint64_t bytes = 0; /* at most 8192 * 16 * 2^31 */
    for (uint32_t i = 0; i < model->info.node_count; i++) {
        for (uint32_t j = 0; j < model->nodes[i].input_count; j++) {
            const struct sb_tensor *t = &model->tensors[model->nodes[i].inputs[j]];
            bytes += t->desc.kind == SB_TENSOR_CONST ? t->bytes : 0;
        }
    }
    if (bytes > limit) {
        return sb_fail(diag, SB_E_LIMIT,
                       "the nodes share constants too often: %" PRIu64
                       " bytes read, the limit for this file is %" PRIu64,
                       bytes, limit);
    }
    return SB_OK;
}

static sb_err collect(struct sb_check *ret, struct sb_model *model, struct sb_node *node,
                      struct sb_diag *diag)
{
    struct sb_check c = {.node = node,
                         .attrs = node->attrs,
                         .input_count = node->input_count,
                         .diag = diag,
                         .scratch = &model->memory};
    for (uint32_t i = 0; i < node->input_count; i++) {
        c.in[i] = &model->tensors[node->inputs[i]];
        if (!c.in[i]->ready) {
            return sb_fail(diag, SB_E_SYNTAX, "input %" PRIu32 " '%s' has no value yet", i,
                           c.in[i]->name);
        }
    }
    c.out = &model->tensors[node->output];
    if (c.out->desc.kind != SB_TENSOR_COMPUTED || c.out->ready) {
        return sb_fail(diag, SB_E_SYNTAX,
                       "the output '%s' is no computed tensor or is written twice", c.out->name);
    }
    *ret = c;
    return SB_OK;
}

static sb_err verify_node(struct sb_model *model, struct sb_node *node, struct sb_diag *diag)
{
    struct sb_check c;
    SB_TRY(collect(&c, model, node, diag));
    SB_TRY(node->op->code->infer(&c));
    SB_TRY(node->op->code->prove(&c));
    c.out->ready = true;
    sb_units_add(&node->units, SB_GAS_CLASS_NODE, 1);
    for (uint32_t i = 0; i < c.input_count; i++) {
        if (c.in[i]->desc.kind == SB_TENSOR_CONST && !node->op->code->reads_few) {
            sb_units_add(&node->units, SB_GAS_CLASS_WEIGHT_BYTE, c.in[i]->bytes);
        }
    }
    return node->op->code->cost(&c);
}

static void sum_units(struct sb_model *model)
{
    struct sb_units *units = &model->info.units;
    for (uint32_t i = 0; i < model->info.node_count; i++) {
        for (int class = 0; class < SB_GAS_CLASS_COUNT; class ++) {
            sb_units_add(units, (enum sb_gas_class) class, model->nodes[i].units.count[class]);
        }
    }
    sb_units_add(units, SB_GAS_CLASS_CALL, 1);
    for (uint32_t i = 0; i < model->info.input_count; i++) {
        sb_units_add(units, SB_GAS_CLASS_IO_BYTE, model->tensors[model->inputs[i]].bytes);
    }
    for (uint32_t i = 0; i < model->info.output_count; i++) {
        sb_units_add(units, SB_GAS_CLASS_IO_BYTE, model->tensors[model->outputs[i]].bytes);
    }
}

sb_err sb_verify(struct sb_model *model, struct sb_diag *diag)
{
    for (uint32_t i = 0; i < model->info.tensor_count; i++) {
        struct sb_tensor *t = &model->tensors[i];
        t->lo = t->desc.lo;
        t->hi = t->desc.hi;
        t->ready = t->desc.kind != SB_TENSOR_COMPUTED;
    }
    SB_TRY(check_sharing(model, diag));
    for (uint32_t i = 0; i < model->info.node_count; i++) {
        struct sb_node *node = &model->nodes[i];
        struct sb_arena_mark mark = sb_arena_mark(&model->memory);
        sb_err err = verify_node(model, node, diag);
        sb_arena_rewind(&model->memory, mark);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "node %" PRIu32 " '%s' (%s)", i, node->name, node->op->facts.name);
            return err;
        }
    }
    for (uint32_t i = 0; i < model->info.tensor_count; i++) {
        if (!model->tensors[i].ready) {
            return sb_fail(diag, SB_E_SYNTAX, "tensor %" PRIu32 " '%s' is written by no node", i,
                           model->tensors[i].name);
        }
    }
    sum_units(model);
    return SB_OK;
}
