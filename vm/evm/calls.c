/* calls.c: the CALL and CREATE families: operands, gas, the message, and the caller's side of the outcome; see frame.h. */
#include "vm/evm/frame.h"
#include "vm/evm/gas.h"

struct call_operands {
    sb_addr addr;
    sb_u256 value;
    bool has_value;
    const sb_u256 *input_offset, *input_len, *output_offset, *output_len;
    size_t count;
};

static struct call_operands call_operands(const sb_u256 *sp, enum sb_opcode op)
{
    bool takes_value = op == SB_OP_CALL || op == SB_OP_CALLCODE;
    struct call_operands c = {.addr = word_to_addr(&sp[-2]), .count = takes_value ? 7 : 6};
    if (takes_value) {
        c.value = sp[-3];
        c.has_value = !sb_u256_is_zero(&c.value);
    }
    const sb_u256 *rest = takes_value ? &sp[-4] : &sp[-3];
    c.input_offset = rest;
    c.input_len = rest - 1;
    c.output_offset = rest - 2;
    c.output_len = rest - 3;
    return c;
}

int64_t call_transfer_gas(struct run *r, const sb_addr *to, bool has_value, enum sb_opcode op)
{
    int64_t gas = has_value ? GAS_CALL_VALUE : 0;
    if (op == SB_OP_CALL) {
        bool is_new = r->revision >= SB_REV_SPURIOUS_DRAGON
                          ? has_value && sb_overlay_is_empty(r->state, to)
                          : !sb_overlay_exists(r->state, to);
        gas += is_new ? GAS_NEW_ACCOUNT : 0;
    }
    return gas;
}

/* Pay for cold access of the callee and of its delegate; both are warm afterwards. Each is paid before it is read. */
static bool call_access_charge(struct run *r, struct frame *f, const sb_addr *a)
{
    if (r->revision >= SB_REV_BERLIN && !sb_overlay_warm_addr(r->state, a) &&
        !gas_charge(f, GAS_COLD_ACCOUNT - GAS_WARM_ACCESS)) {
        return false;
    }
    sb_addr delegate;
    if (!delegation_of(&delegate, r, sb_overlay_code(r->state, a))) {
        return true;
    }
    bool is_warm = sb_overlay_warm_addr(r->state, &delegate);
    return gas_charge(f, is_warm ? GAS_WARM_ACCESS : GAS_COLD_ACCOUNT);
}

/* Take the callee's gas from the frame; false if it cannot pay (before EIP-150 a request must be met in full). */
static bool callee_gas_take(int64_t *ret_gas, const struct run *r, struct frame *f,
                            const sb_u256 *requested)
{
    uint64_t wanted = sb_u256_sat_u64(requested);
    if (r->revision >= SB_REV_TANGERINE_WHISTLE) {
        uint64_t most = (uint64_t)all_but_one_64th(f->gas);
        wanted = wanted < most ? wanted : most;
    }
    if (wanted > (uint64_t)f->gas) {
        return false;
    }
    f->gas -= (int64_t)wanted;
    *ret_gas = (int64_t)wanted;
    return true;
}

static struct sb_message call_message(const struct frame *f, const struct call_operands *c,
                                      enum sb_opcode op)
{
    struct sb_message msg = {
        .kind = SB_CALL,
        .is_static = f->msg.is_static,
        .sender = f->msg.recipient,
        .recipient = c->addr,
        .code_addr = c->addr,
        .value = c->value,
    };
    if (op == SB_OP_CALLCODE) {
        msg.kind = SB_CALLCODE;
        msg.recipient = f->msg.recipient;
    } else if (op == SB_OP_DELEGATECALL) {
        msg.kind = SB_DELEGATECALL;
        msg.sender = f->msg.sender;
        msg.recipient = f->msg.recipient;
        msg.value = f->msg.value;
    } else if (op == SB_OP_STATICCALL) {
        msg.kind = SB_STATICCALL;
        msg.is_static = true;
    }
    return msg;
}

/* Hand the message over. The frame's old return data is forgotten first: what it borrows from is about to be reused. */
static enum sb_evm_status message_send(struct run *r, struct frame *f, const struct sb_message *msg,
                                       bool is_create)
{
    f->return_data = (sb_bytes){.data = NULL, .len = 0};
    sb_arena_rewind(&r->memory->arena, f->mark);
    struct sb_evm_result result;
    if (message_begin(&result, r, msg)) {
        caller_resume(f, &result, is_create);
    }
    return r->err == SB_OK ? SB_EVM_SUCCESS : SB_EVM_STOPPED;
}

enum sb_evm_status op_call(struct run *r, struct frame *f, sb_u256 *sp, enum sb_opcode op)
{
    struct call_operands c = call_operands(sp, op);
    if (run_should_stop(r)) {
        return SB_EVM_STOPPED;
    }
    if (op == SB_OP_CALL && c.has_value && f->msg.is_static) {
        return SB_EVM_STATIC_VIOLATION;
    }
    struct range input;
    struct range output;
    enum sb_evm_status status = memory_claim(&input, r, f, c.input_offset, c.input_len);
    if (status == SB_EVM_SUCCESS) {
        status = memory_claim(&output, r, f, c.output_offset, c.output_len);
    }
    if (status != SB_EVM_SUCCESS) {
        return status;
    }
    struct sb_message msg = call_message(f, &c, op);
    if (!call_access_charge(r, f, &c.addr) ||
        !gas_charge(f, call_transfer_gas(r, &c.addr, c.has_value, op)) ||
        !callee_gas_take(&msg.gas, r, f, &sp[-1])) {
        return SB_EVM_OUT_OF_GAS;
    }
    msg.gas += c.has_value ? GAS_CALL_STIPEND : 0;
    msg.input = memory_span(f, input);
    f->output_offset = output.offset;
    f->output_len = output.len;
    f->sp = sp - c.count;
    return message_send(r, f, &msg, false);
}

enum sb_evm_status op_create(struct run *r, struct frame *f, sb_u256 *sp, enum sb_opcode op)
{
    if (run_should_stop(r)) {
        return SB_EVM_STOPPED;
    }
    if (f->msg.is_static) {
        return SB_EVM_STATIC_VIOLATION;
    }
    if (sb_u256_sat_u64(&sp[-3]) > r->evm->rules->initcode_bytes_max) {
        return SB_EVM_INITCODE_TOO_LARGE;
    }
    struct range input;
    enum sb_evm_status status = memory_claim(&input, r, f, &sp[-2], &sp[-3]);
    if (status != SB_EVM_SUCCESS) {
        return status;
    }
    bool is_create2 = op == SB_OP_CREATE2;
    int64_t word_gas = (r->revision >= SB_REV_SHANGHAI ? GAS_INITCODE_WORD : 0) +
                       (is_create2 ? GAS_KECCAK_WORD : 0);
    if (!gas_charge_words(f, input.len, word_gas)) {
        return SB_EVM_OUT_OF_GAS;
    }
    struct sb_message msg = {
        .kind = is_create2 ? SB_CREATE2 : SB_CREATE,
        .gas = r->revision >= SB_REV_TANGERINE_WHISTLE ? all_but_one_64th(f->gas) : f->gas,
        .sender = f->msg.recipient,
        .value = sp[-1],
        .input = memory_span(f, input),
    };
    if (is_create2) {
        msg.salt = word_to_hash(&sp[-4]);
    }
    f->gas -= msg.gas;
    f->output_len = 0;
    f->sp = sp - (is_create2 ? 4 : 3);
    return message_send(r, f, &msg, true);
}

void caller_resume(struct frame *f, const struct sb_evm_result *result, bool is_create)
{
    bool succeeded = result->status == SB_EVM_SUCCESS;
    f->gas += result->gas_left;
    if (is_create) {
        f->return_data =
            result->status == SB_EVM_REVERT ? result->output : (sb_bytes){.data = NULL, .len = 0};
        *f->sp++ = succeeded ? word_of_addr(&result->created) : sb_u256_zero();
        return;
    }
    f->return_data = result->output;
    sb_bytes part = sb_span_slice(result->output, 0, f->output_len);
    if (part.len != 0) {
        memcpy(f->memory.data + f->output_offset, part.data, part.len);
    }
    *f->sp++ = sb_u256_from_u64(succeeded);
}
