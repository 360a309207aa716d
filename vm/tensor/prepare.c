/* prepare.c: sb_model_prepare: the weights of a loaded model, arranged for the kernels of a CPU level.
 *
 *     tensors (constants as in the file)  --op->prepare-->  node->prepared   in an arena of its own, replaced as a whole
 *
 * Nothing here can fail: a node without arranged weights runs with the reference, and gives the same bits. The memory has a limit by
 * the size of the file, for padding could multiply small weights; weights that several nodes share are arranged once. */
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"

#define MEMORY_BYTES_PER_FILE_BYTE 8u
#define MEMORY_BYTES_EXTRA         ((size_t)4 << 20)

static void prepare_node(struct sb_model *model, struct sb_node *node)
{
    struct sb_prepare p = {
        .attrs = node->attrs,
        .out = &model->tensors[node->output],
        .level = model->kernels->level,
        .memory = &model->prepared,
    };
    for (uint32_t i = 0; i < node->input_count; i++) {
        p.in[i] = &model->tensors[node->inputs[i]];
    }
    node->prepared = node->op->code->prepare(&p);
}

void sb_model_prepare(struct sb_model *model, const struct sb_kernels *kernels)
{
    model->kernels = kernels != NULL ? kernels : &sb_kernels_c;
    sb_arena_fini(&model->prepared);
    sb_arena_init(&model->prepared,
                  (size_t)model->info.file_bytes * MEMORY_BYTES_PER_FILE_BYTE + MEMORY_BYTES_EXTRA);
    for (uint32_t i = 0; i < model->info.tensor_count; i++) {
        memset(model->tensors[i].packed, 0, sizeof model->tensors[i].packed);
    }
    for (uint32_t i = 0; i < model->info.node_count; i++) {
        struct sb_node *node = &model->nodes[i];
        node->prepared = NULL;
        if (node->op->code->prepare != NULL) {
            prepare_node(model, node);
        }
    }
}
