/* tracer_steps.c: one object for each instruction, written as it happens (geth's default tracer).
 *
 *     {"structLogs": [{pc, op, gas, gasCost, depth, stack, memory, storage, ...}, ...], "gas", "failed", "returnValue"} */
#include <stdio.h>

#include "base/codec/hex.h"
#include "node/tracer.h"
#include "vm/evm/opcodes.h"

#define MEMORY_WORD_BYTES 32

void sb_step_log_begin(struct sb_tx_tracer *t)
{
    sb_json_object_begin(t->out);
    sb_json_key(t->out, "structLogs");
    sb_json_array_begin(t->out);
}

static void write_stack(struct sb_json *out, const struct sb_trace_step *step)
{
    sb_json_key(out, "stack");
    sb_json_array_begin(out);
    for (size_t i = 0; i < step->stack_count; i++) {
        sb_json_quantity_u256(out, &step->stack[i]);
    }
    sb_json_array_end(out);
}

static void write_memory(struct sb_json *out, const struct sb_trace_step *step)
{
    sb_json_key(out, "memory");
    sb_json_array_begin(out);
    for (size_t at = 0; at + MEMORY_WORD_BYTES <= step->memory.len; at += MEMORY_WORD_BYTES) {
        sb_json_hex(out, sb_span(step->memory.data + at, MEMORY_WORD_BYTES));
    }
    sb_json_array_end(out);
}

/* write_storage: all slots of the running account that the trace has seen, each with its value after this instruction. */
static void write_storage(struct sb_tx_tracer *t, const struct sb_trace_step *step)
{
    bool stores = step->opcode == SB_OP_SSTORE;
    if ((!stores && step->opcode != SB_OP_SLOAD) || step->stack_count < (stores ? 2 : 1) ||
        step->error != SB_EVM_SUCCESS) {
        return;
    }
    sb_hash key = sb_trace_word_hash(&step->stack[step->stack_count - 1]);
    struct sb_access_slot *slot = sb_access_set_slot(&t->touched, step->address, &key, NULL);
    const struct sb_access_account *account =
        sb_access_set_account(&t->touched, step->address, NULL);
    if (slot == NULL || account == NULL) {
        return;
    }
    slot->before = stores ? step->stack[step->stack_count - 2]
                          : sb_overlay_slot(t->state, step->address, &key);
    sb_json_key(t->out, "storage");
    sb_json_object_begin(t->out);
    for (const struct sb_access_slot *s = account->first; s != NULL; s = s->next) {
        char name[2 * sizeof s->key.b + 3];
        sb_hash value = sb_trace_word_hash(&s->before);
        sb_json_key(t->out, sb_hex_format(name, sb_span(s->key.b, sizeof s->key.b)));
        sb_json_hash(t->out, &value);
    }
    sb_json_object_end(t->out);
}

static void write_error(struct sb_json *out, const struct sb_trace_step *step)
{
    char text[80];
    if (step->error == SB_EVM_INVALID_OPCODE) {
        sb_query_opcode_text(text, sizeof text, step->opcode);
    } else if (step->error == SB_EVM_STACK_UNDERFLOW) {
        (void)snprintf(text, sizeof text, "stack underflow (%zu <=> %u)", step->stack_count,
                       sb_opcode_stack_in(step->opcode));
    } else {
        (void)snprintf(text, sizeof text, "%s", sb_evm_status_text(step->error));
    }
    sb_json_key(out, "error");
    sb_json_str(out, text);
}

static void on_step(void *ctx, const struct sb_trace_step *step)
{
    struct sb_tx_tracer *t = ctx;
    const struct sb_rpc_trace_config *config = t->config;
    if (config->step_limit != 0 && t->steps >= config->step_limit) {
        return; /* the client wanted no more */
    }
    if (t->steps >= t->steps_max || t->out->buf->failed) {
        t->over_limit = true;
        return;
    }
    t->steps++;
    struct sb_json *out = t->out;
    sb_json_object_begin(out);
    sb_json_key(out, "pc");
    sb_json_u64(out, step->pc);
    sb_json_key(out, "op");
    sb_json_str(out, sb_opcode_name(step->opcode));
    sb_json_key(out, "gas");
    sb_json_i64(out, step->gas);
    sb_json_key(out, "gasCost");
    sb_json_i64(out, step->gas_cost);
    sb_json_key(out, "depth");
    sb_json_i64(out, step->depth);
    if (step->error != SB_EVM_SUCCESS) {
        write_error(out, step);
    }
    if (!config->disable_stack) {
        write_stack(out, step);
    }
    if (config->enable_memory && step->memory.len != 0) {
        write_memory(out, step);
    }
    if (config->enable_return_data && step->return_data.len != 0) {
        sb_json_key(out, "returnData");
        sb_json_hex(out, step->return_data);
    }
    if (!config->disable_storage) {
        write_storage(t, step);
    }
    if (step->refund != 0) {
        sb_json_key(out, "refund");
        sb_json_i64(out, step->refund);
    }
    sb_json_object_end(out);
}

struct sb_tracer sb_step_log_hooks(struct sb_tx_tracer *t)
{
    return (struct sb_tracer){.ctx = t, .step = on_step};
}

void sb_step_log_end(struct sb_tx_tracer *t, const struct sb_tx_result *result)
{
    bool failed = result->status != SB_EVM_SUCCESS;
    bool shows_output = !failed || result->status == SB_EVM_REVERT;
    sb_json_array_end(t->out);
    sb_json_key(t->out, "gas");
    sb_json_u64(t->out, result->gas_used);
    sb_json_key(t->out, "failed");
    sb_json_bool(t->out, failed);
    sb_json_key(t->out, "returnValue");
    sb_json_hex(t->out, shows_output ? result->output : sb_span(NULL, 0));
    sb_json_object_end(t->out);
}
