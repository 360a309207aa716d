/* plan.c: where each tensor lies in the scratch of a run.
 *
 *     time     0 (inputs arrive)   1 (node 0)   2 (node 1)   ...   n + 1 (outputs leave)
 *     tensor A |===================|                                 first-fit at the lowest offset; places of the dead are joined
 *     tensor B                     |=========================|       with free neighbours and used again
 *
 * A tensor lives from its writing to its last reading, both included: a node's output never shares bytes with its inputs. The plan is a
 * pure function of the graph but changes no result and no gas. Cost: at most tensors * free blocks steps, both limited. */
#include <inttypes.h>

#include "base/util/assert.h"
#include "vm/tensor/graph.h"
#include "vm/tensor/op.h"

#define NO_TENSOR UINT32_MAX

struct block {
    uint64_t offset;
    uint64_t bytes;
};

struct planner {
    struct block *free; /* sorted by offset, never touching, all below top */
    uint32_t free_count;
    uint64_t top;          /* end of the highest place ever used */
    uint32_t *first_dying; /* [time] head of the list of tensors whose last reading is then */
    uint32_t *next_dying;  /* [tensor] */
};

static uint64_t take(struct planner *p, uint64_t bytes)
{
    for (uint32_t i = 0; i < p->free_count; i++) {
        struct block *b = &p->free[i];
        if (b->bytes >= bytes) {
            uint64_t offset = b->offset;
            b->offset += bytes;
            b->bytes -= bytes;
            if (b->bytes == 0) {
                p->free_count--;
                memmove(b, b + 1, (p->free_count - i) * sizeof *b);
            }
            return offset;
        }
    }
    if (p->free_count > 0 &&
        p->free[p->free_count - 1].offset + p->free[p->free_count - 1].bytes == p->top) {
        uint64_t offset = p->free[--p->free_count].offset;
        p->top = offset + bytes;
        return offset;
    }
    uint64_t offset = p->top;
    p->top += bytes;
    return offset;
}

static void give(struct planner *p, uint64_t offset, uint64_t bytes)
{
    uint32_t i = p->free_count;
    while (i > 0 && p->free[i - 1].offset > offset) {
        i--;
    }
    bool joins_left = i > 0 && p->free[i - 1].offset + p->free[i - 1].bytes == offset;
    bool joins_right = i < p->free_count && offset + bytes == p->free[i].offset;
    if (joins_left && joins_right) {
        p->free[i - 1].bytes += bytes + p->free[i].bytes;
        p->free_count--;
        memmove(&p->free[i], &p->free[i + 1], (p->free_count - i) * sizeof *p->free);
    } else if (joins_left) {
        p->free[i - 1].bytes += bytes;
    } else if (joins_right) {
        p->free[i].offset = offset;
        p->free[i].bytes += bytes;
    } else {
        memmove(&p->free[i + 1], &p->free[i], (p->free_count - i) * sizeof *p->free);
        p->free[i] = (struct block){.offset = offset, .bytes = bytes};
        p->free_count++;
    }
}

/* Lists by time of last reading. A tensor that nobody reads dies at the time it is written. */
static void find_deaths(struct planner *p, const struct sb_model *model, uint32_t *last_use)
{
    uint32_t end = model->info.node_count + 1;
    for (uint32_t t = 0; t < model->info.tensor_count; t++) {
        last_use[t] = 0;
    }
    for (uint32_t i = 0; i < model->info.node_count; i++) {
        const struct sb_node *node = &model->nodes[i];
        last_use[node->output] = i + 1;
        for (uint32_t j = 0; j < node->input_count; j++) {
            last_use[node->inputs[j]] = i + 1;
        }
    }
    for (uint32_t i = 0; i < model->info.output_count; i++) {
        last_use[model->outputs[i]] = end;
    }
    for (uint32_t time = 0; time <= end; time++) {
        p->first_dying[time] = NO_TENSOR;
    }
    for (uint32_t t = 0; t < model->info.tensor_count; t++) {
        if (model->tensors[t].desc.kind != SB_TENSOR_CONST) {
            p->next_dying[t] = p->first_dying[last_use[t]];
            p->first_dying[last_use[t]] = t;
        }
    }
}

static void bury(struct planner *p, const struct sb_model *model, uint32_t time)
{
    for (uint32_t t = p->first_dying[time]; t != NO_TENSOR; t = p->next_dying[t]) {
        give(p, model->tensors[t].arena_offset, sb_align_up(model->tensors[t].bytes));
    }
}

static void place_all(struct planner *p, struct sb_model *model)
{
    for (uint32_t i = 0; i < model->info.input_count; i++) {
        struct sb_tensor *t = &model->tensors[model->inputs[i]];
        t->arena_offset = take(p, sb_align_up(t->bytes));
    }
    bury(p, model, 0);
    for (uint32_t i = 0; i < model->info.node_count; i++) {
        struct sb_tensor *t = &model->tensors[model->nodes[i].output];
        t->arena_offset = take(p, sb_align_up(t->bytes));
        bury(p, model, i + 1);
    }
}

sb_err sb_plan(struct sb_model *model, struct sb_diag *diag)
{
    struct sb_arena_mark mark = sb_arena_mark(&model->memory);
    uint32_t tensor_count = model->info.tensor_count;
    struct planner p = {
        .free = sb_arena_array(&model->memory, (size_t)tensor_count + 1, sizeof *p.free)};
    p.first_dying =
        sb_arena_array(&model->memory, (size_t)model->info.node_count + 2, sizeof *p.first_dying);
    p.next_dying = sb_arena_array(&model->memory, tensor_count, sizeof *p.next_dying);
    uint32_t *last_use = sb_arena_array(&model->memory, tensor_count, sizeof *last_use);
    if (p.free == NULL || p.first_dying == NULL || p.next_dying == NULL || last_use == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory for the memory plan");
    }
    find_deaths(&p, model, last_use);
    place_all(&p, model);
    sb_arena_rewind(&model->memory, mark);
    uint64_t workspace_bytes = 0;
    for (uint32_t i = 0; i < model->info.node_count; i++) {
        uint64_t bytes = model->nodes[i].workspace_bytes;
        workspace_bytes = bytes > workspace_bytes ? bytes : workspace_bytes;
    }
    model->workspace_offset = p.top;
    model->plan_bytes = p.top + sb_align_up(workspace_bytes);
    if (model->plan_bytes > SB_MODEL_ARENA_BYTES_MAX) {
        return sb_fail(diag, SB_E_LIMIT,
                       "a run needs %" PRIu64 " bytes of memory, the limit is %" PRIu64,
                       model->plan_bytes, SB_MODEL_ARENA_BYTES_MAX);
    }
    model->info.arena_bytes = model->plan_bytes + SB_TENSOR_ALIGN_BYTES;
    return SB_OK;
}
