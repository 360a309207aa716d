/* tracer_calls.c: the tree of calls of a transaction (geth's callTracer).
 *
 *     frames in the order in which they begin, each with the index of its parent:      0 -+- 1 --- 2
 *                                                                                         +- 3
 *     so a parent's calls stand behind it, and the JSON is written in one pass without recursion.
 *
 * Creations and calls of precompiles are frames, a SELFDESTRUCT is one too. */
#include "node/tracer.h"
#include "rpc/format.h"
#include "vm/evm/opcodes.h"

#define CALLS_MAX 1000000
#define NO_CALL   SIZE_MAX

/* ---- gathering ---- */

static const char *type_of(enum sb_call_kind kind)
{
    switch (kind) {
    case SB_CALL:
        return "CALL";
    case SB_CALLCODE:
        return "CALLCODE";
    case SB_DELEGATECALL:
        return "DELEGATECALL";
    case SB_STATICCALL:
        return "STATICCALL";
    case SB_CREATE:
        return "CREATE";
    case SB_CREATE2:
        return "CREATE2";
    }
    return "UNKNOWN";
}

static bool reserve(struct sb_tx_tracer *t)
{
    if (t->call_count < t->call_capacity) {
        return true;
    }
    size_t capacity = t->call_capacity == 0 ? 32 : t->call_capacity * 2;
    struct sb_traced_call *grown =
        capacity <= CALLS_MAX ? sb_arena_array(t->arena, capacity, sizeof *grown) : NULL;
    if (grown == NULL) {
        t->over_limit = true;
        return false;
    }
    sb_copy(grown, t->calls, t->call_count * sizeof *grown);
    t->calls = grown;
    t->call_capacity = capacity;
    return true;
}

/* add: a frame below the open one; its index, or NO_CALL. */
static size_t add(struct sb_tx_tracer *t, const struct sb_traced_call *call)
{
    if (!reserve(t)) {
        return NO_CALL;
    }
    size_t index = t->call_count++;
    t->calls[index] = *call;
    t->calls[index].parent = t->open;
    if (t->open != NO_CALL) {
        t->calls[t->open].call_count++;
    }
    return index;
}

static sb_bytes keep(struct sb_tx_tracer *t, sb_bytes bytes)
{
    const uint8_t *copy = sb_arena_dup(t->arena, bytes);
    if (copy == NULL) {
        t->over_limit = true;
        return sb_span(NULL, 0);
    }
    return sb_span(copy, bytes.len);
}

static bool is_hidden(const struct sb_tx_tracer *t, int depth)
{
    return t->over_limit || (t->config->only_top_call && depth > 1);
}

static void on_enter(void *ctx, const struct sb_message *m, int depth)
{
    struct sb_tx_tracer *t = ctx;
    if (is_hidden(t, depth)) {
        return;
    }
    bool uses_code_of = m->kind == SB_DELEGATECALL || m->kind == SB_CALLCODE;
    /* a delegate call runs in the caller's name, which is then the executing account */
    const struct sb_traced_call call = {
        .type = type_of(m->kind),
        .from = uses_code_of ? m->recipient : m->sender,
        .to = uses_code_of ? m->code_addr : m->recipient,
        .has_value = m->kind != SB_STATICCALL,
        .value = m->value,
        .gas = m->gas,
        .input = keep(t, m->input),
    };
    size_t index = add(t, &call);
    t->open = index != NO_CALL ? index : t->open;
}

static void on_leave(void *ctx, enum sb_evm_status status, int64_t gas_used, sb_bytes output,
                     int depth)
{
    struct sb_tx_tracer *t = ctx;
    if (is_hidden(t, depth) || t->open == NO_CALL) {
        return;
    }
    struct sb_traced_call *call = &t->calls[t->open];
    call->status = status;
    call->gas_used = gas_used;
    call->output = keep(t, output);
    call->fault_opcode = t->last_opcode;
    t->open = call->parent;
}

static void on_log(void *ctx, const struct sb_log *log, int depth)
{
    struct sb_tx_tracer *t = ctx;
    if (is_hidden(t, depth) || t->open == NO_CALL) {
        return;
    }
    struct sb_traced_log *kept = sb_arena_zalloc(t->arena, sizeof *kept);
    if (kept == NULL) {
        t->over_limit = true;
        return;
    }
    struct sb_traced_call *call = &t->calls[t->open];
    kept->log = *log;
    kept->log.data = keep(t, log->data);
    kept->position = call->call_count;
    *(call->last_log != NULL ? &call->last_log->next : &call->first_log) = kept;
    call->last_log = kept;
}

static void on_step(void *ctx, const struct sb_trace_step *step)
{
    struct sb_tx_tracer *t = ctx;
    t->last_opcode = step->opcode;
    if (step->opcode != SB_OP_SELFDESTRUCT || step->error != SB_EVM_SUCCESS ||
        is_hidden(t, step->depth + 1)) {
        return;
    }
    const struct sb_traced_call call = {
        .type = "SELFDESTRUCT",
        .from = *step->address,
        .to = sb_trace_word_addr(&step->stack[step->stack_count - 1]),
        .has_value = true,
        .value = sb_overlay_balance(t->state, step->address),
    };
    (void)add(t, &call);
}

struct sb_tracer sb_call_tree_hooks(struct sb_tx_tracer *t)
{
    return (struct sb_tracer){.ctx = t,
                              .step = on_step,
                              .enter = on_enter,
                              .leave = on_leave,
                              .log = t->config->with_log ? on_log : NULL};
}

/* ---- writing ---- */

static void put_quantity(struct sb_json *out, const char *key, int64_t value)
{
    sb_json_key(out, key);
    sb_json_quantity_u64(out, (uint64_t)value);
}

static void write_failure(struct sb_json *out, const struct sb_traced_call *call)
{
    char text[SB_DIAG_TEXT_BYTES];
    sb_json_key(out, "error");
    if (call->status == SB_EVM_INVALID_OPCODE) {
        sb_query_opcode_text(text, sizeof text, call->fault_opcode);
        sb_json_str(out, text);
    } else {
        sb_json_str(out, sb_evm_status_text(call->status));
    }
    if (call->status == SB_EVM_REVERT && sb_query_revert_reason(text, sizeof text, call->output)) {
        sb_json_key(out, "revertReason");
        sb_json_str(out, text);
    }
}

static void write_logs(struct sb_json *out, const struct sb_traced_call *call, uint64_t *log_index)
{
    sb_json_key(out, "logs");
    sb_json_array_begin(out);
    for (const struct sb_traced_log *l = call->first_log; l != NULL; l = l->next) {
        sb_json_object_begin(out);
        sb_json_key(out, "address");
        sb_json_addr(out, &l->log.addr);
        sb_json_key(out, "topics");
        sb_json_array_begin(out);
        for (size_t i = 0; i < l->log.topic_count; i++) {
            sb_json_hash(out, &l->log.topics[i]);
        }
        sb_json_array_end(out);
        sb_json_key(out, "data");
        sb_json_hex(out, l->log.data);
        sb_json_key(out, "position");
        sb_json_quantity_u64(out, l->position);
        sb_json_key(out, "index");
        sb_json_quantity_u64(out, (*log_index)++);
        sb_json_object_end(out);
    }
    sb_json_array_end(out);
}

/* write_members: everything of a frame but its calls; the object stays open. failed: it or a frame around it failed. */
static void write_members(struct sb_json *out, const struct sb_traced_call *call, bool failed,
                          uint64_t *log_index)
{
    bool is_create = strncmp(call->type, "CREATE", 6) == 0;
    bool is_ok = call->status == SB_EVM_SUCCESS;
    sb_json_object_begin(out);
    sb_json_key(out, "from");
    sb_json_addr(out, &call->from);
    put_quantity(out, "gas", call->gas);
    put_quantity(out, "gasUsed", call->gas_used);
    if (is_ok || !is_create) {
        sb_json_key(out, "to");
        sb_json_addr(out, &call->to);
    }
    sb_json_key(out, "input");
    sb_json_hex(out, call->input);
    if (call->output.len != 0 && (is_ok || call->status == SB_EVM_REVERT)) {
        sb_json_key(out, "output");
        sb_json_hex(out, call->output);
    }
    if (!is_ok) {
        write_failure(out, call);
    }
    if (call->first_log != NULL && !failed) {
        write_logs(out, call, log_index);
    }
    if (call->has_value) {
        sb_json_key(out, "value");
        sb_json_quantity_u256(out, &call->value);
    }
    sb_json_key(out, "type");
    sb_json_str(out, call->type);
}

/* close_to: end the open objects up to (not including) the frame `keep`; NO_CALL: all of them. */
static void close_to(struct sb_tx_tracer *t, size_t open, size_t keep_open)
{
    while (open != keep_open) {
        if (t->calls[open].call_count != 0) {
            sb_json_array_end(t->out);
        }
        sb_json_object_end(t->out);
        open = t->calls[open].parent;
    }
}

/* note_failed: a frame inside a failed one has failed with it. */
static bool *note_failed(const struct sb_tx_tracer *t)
{
    bool *failed = sb_arena_array(t->arena, t->call_count, sizeof *failed);
    for (size_t i = 0; failed != NULL && i < t->call_count; i++) {
        size_t parent = t->calls[i].parent;
        failed[i] = t->calls[i].status != SB_EVM_SUCCESS || (parent != NO_CALL && failed[parent]);
    }
    return failed;
}

void sb_call_tree_end(struct sb_tx_tracer *t, const struct sb_tx_result *result)
{
    const bool *failed = note_failed(t);
    if (failed == NULL || t->call_count == 0) {
        sb_json_null(t->out);
        return;
    }
    t->calls[0].gas = (int64_t)t->tx->gas_limit;
    t->calls[0].gas_used = (int64_t)result->gas_used;
    uint64_t log_index = 0;
    size_t open = NO_CALL;
    for (size_t i = 0; i < t->call_count; i++) {
        size_t parent = t->calls[i].parent;
        close_to(t, open, parent);
        if (parent != NO_CALL && i == parent + 1) { /* the first call follows its parent */
            sb_json_key(t->out, "calls");
            sb_json_array_begin(t->out);
        }
        write_members(t->out, &t->calls[i], failed[i], &log_index);
        open = i;
    }
    close_to(t, open, NO_CALL);
}
