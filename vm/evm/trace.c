/* trace.c: the step event of a tracer (EIP-3155); see struct sb_tracer in evm.h.
 *
 * An observer wants the whole price of an instruction before it runs. So the dynamic parts are quoted here from the same prices and
 * formulas as the instructions charge (gas.h), but without touching the access sets. As in geth, the price of a CALL contains the gas
 * handed to the callee (not the stipend), that of a CREATE does not. What cannot be paid by anyone is quoted as GAS_UNPAYABLE. */
#include "vm/evm/frame.h"
#include "vm/evm/gas.h"

#define GAS_UNPAYABLE (INT64_MAX / 4)

/* Growing memory to hold [offset, offset + len). */
static int64_t quote_memory(const struct frame *f, const sb_u256 *offset, const sb_u256 *len)
{
    if (sb_u256_is_zero(len)) {
        return 0;
    }
    uint64_t start = sb_u256_sat_u64(offset);
    uint64_t count = sb_u256_sat_u64(len);
    if (start > SB_EVM_MEMORY_BYTES_MAX || count > SB_EVM_MEMORY_BYTES_MAX - start) {
        return GAS_UNPAYABLE;
    }
    uint64_t end = start + count;
    return end <= f->memory.len ? 0 : memory_gas(words_of(end)) - memory_gas(f->memory.len / 32);
}

static int64_t quote_memory_u64(const struct frame *f, const sb_u256 *offset, uint64_t len)
{
    sb_u256 word = sb_u256_from_u64(len);
    return quote_memory(f, offset, &word);
}

static int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* A price for each word (or byte) of a length whose memory was quoted: an unpayable length is unpayable already. */
static int64_t quote_length(int64_t memory, const sb_u256 *len, int64_t word_gas, int64_t byte_gas)
{
    if (memory >= GAS_UNPAYABLE) {
        return memory;
    }
    uint64_t count = sb_u256_sat_u64(len);
    return memory + (int64_t)words_of(count) * word_gas + (int64_t)count * byte_gas;
}

static int64_t quote_cold_account(const struct run *r, const sb_addr *a, int64_t gas)
{
    return r->revision >= SB_REV_BERLIN && !sb_overlay_is_warm_addr(r->state, a) ? gas : 0;
}

static int64_t quote_sload(const struct run *r, const struct frame *f, const sb_u256 *sp)
{
    sb_hash key = word_to_hash(&sp[-1]);
    bool is_cold =
        r->revision >= SB_REV_BERLIN && !sb_overlay_is_warm_slot(r->state, &f->msg.recipient, &key);
    return is_cold ? GAS_COLD_SLOT - GAS_WARM_ACCESS : 0;
}

static int64_t quote_sstore(struct run *r, const struct frame *f, const sb_u256 *sp)
{
    const sb_addr *self = &f->msg.recipient;
    sb_hash key = word_to_hash(&sp[-1]);
    bool is_cold = r->revision >= SB_REV_BERLIN && !sb_overlay_is_warm_slot(r->state, self, &key);
    struct sstore_gas table = sstore_gas_of(r->revision);
    sb_u256 current = sb_overlay_slot(r->state, self, &key);
    sb_u256 original = sb_overlay_slot_original(r->state, self, &key);
    return sstore_price(&table, &original, &current, &sp[-2]).gas + (is_cold ? GAS_COLD_SLOT : 0);
}

static int64_t quote_selfdestruct(struct run *r, const struct frame *f, const sb_u256 *sp)
{
    sb_addr heir = word_to_addr(&sp[-1]);
    sb_u256 balance = sb_overlay_balance(r->state, &f->msg.recipient);
    return quote_cold_account(r, &heir, GAS_COLD_ACCOUNT) +
           selfdestruct_new_account_gas(r, &heir, &balance);
}

/* gas: what is left after the constant part. */
static int64_t quote_call(struct run *r, const struct frame *f, const sb_u256 *sp,
                          enum sb_opcode op, int64_t gas)
{
    bool takes_value = op == SB_OP_CALL || op == SB_OP_CALLCODE;
    bool has_value = takes_value && !sb_u256_is_zero(&sp[-3]);
    const sb_u256 *rest = takes_value ? &sp[-4] : &sp[-3];
    sb_addr to = word_to_addr(&sp[-2]);
    int64_t cost = max_i64(quote_memory(f, rest, rest - 1), quote_memory(f, rest - 2, rest - 3));
    if (cost >= GAS_UNPAYABLE) {
        return cost;
    }
    cost += quote_cold_account(r, &to, GAS_COLD_ACCOUNT - GAS_WARM_ACCESS);
    sb_addr delegate;
    if (delegation_of(&delegate, r, sb_overlay_code(r->state, &to))) {
        bool is_warm =
            sb_addr_equal(&delegate, &to) || sb_overlay_is_warm_addr(r->state, &delegate);
        cost += is_warm ? GAS_WARM_ACCESS : GAS_COLD_ACCOUNT;
    }
    cost += call_transfer_gas(r, &to, has_value, op);
    if (cost > gas) {
        return cost;
    }
    uint64_t wanted = sb_u256_sat_u64(&sp[-1]);
    if (r->revision >= SB_REV_TANGERINE_WHISTLE) {
        uint64_t most = (uint64_t)all_but_one_64th(gas - cost);
        wanted = wanted < most ? wanted : most;
    }
    return wanted > GAS_UNPAYABLE ? GAS_UNPAYABLE : cost + (int64_t)wanted;
}

static int64_t quote_create(const struct run *r, const struct frame *f, const sb_u256 *sp,
                            enum sb_opcode op)
{
    int64_t word_gas = (r->revision >= SB_REV_SHANGHAI ? GAS_INITCODE_WORD : 0) +
                       (op == SB_OP_CREATE2 ? GAS_KECCAK_WORD : 0);
    return quote_length(quote_memory(f, &sp[-2], &sp[-3]), &sp[-3], word_gas, 0);
}

/* The dynamic part of the price of an instruction whose operands are there. */
static int64_t quote(struct run *r, const struct frame *f, uint8_t code, const sb_u256 *sp,
                     int64_t gas)
{
    switch (code) {
    case SB_OP_EXP:
        return exp_gas(r->revision, &sp[-2]);
    case SB_OP_KECCAK256:
        return quote_length(quote_memory(f, &sp[-1], &sp[-2]), &sp[-2], GAS_KECCAK_WORD, 0);
    case SB_OP_CALLDATACOPY:
    case SB_OP_CODECOPY:
    case SB_OP_RETURNDATACOPY:
        return quote_length(quote_memory(f, &sp[-1], &sp[-3]), &sp[-3], GAS_COPY_WORD, 0);
    case SB_OP_MCOPY:
        return quote_length(
            max_i64(quote_memory(f, &sp[-1], &sp[-3]), quote_memory(f, &sp[-2], &sp[-3])), &sp[-3],
            GAS_COPY_WORD, 0);
    case SB_OP_BALANCE:
    case SB_OP_EXTCODESIZE:
    case SB_OP_EXTCODEHASH:
    case SB_OP_EXTCODECOPY: {
        sb_addr a = word_to_addr(&sp[-1]);
        int64_t copy = code != SB_OP_EXTCODECOPY ? 0
                                                 : quote_length(quote_memory(f, &sp[-2], &sp[-4]),
                                                                &sp[-4], GAS_COPY_WORD, 0);
        return copy + quote_cold_account(r, &a, GAS_COLD_ACCOUNT - GAS_WARM_ACCESS);
    }
    case SB_OP_MLOAD:
    case SB_OP_MSTORE:
        return quote_memory_u64(f, &sp[-1], 32);
    case SB_OP_MSTORE8:
        return quote_memory_u64(f, &sp[-1], 1);
    case SB_OP_RETURN:
    case SB_OP_REVERT:
        return quote_memory(f, &sp[-1], &sp[-2]);
    case SB_OP_LOG0:
    case SB_OP_LOG1:
    case SB_OP_LOG2:
    case SB_OP_LOG3:
    case SB_OP_LOG4:
        return quote_length(quote_memory(f, &sp[-1], &sp[-2]), &sp[-2], 0, GAS_LOG_BYTE);
    case SB_OP_SLOAD:
        return quote_sload(r, f, sp);
    case SB_OP_SSTORE:
        return quote_sstore(r, f, sp);
    case SB_OP_CALL:
    case SB_OP_CALLCODE:
    case SB_OP_DELEGATECALL:
    case SB_OP_STATICCALL:
        return quote_call(r, f, sp, (enum sb_opcode)code, gas);
    case SB_OP_CREATE:
    case SB_OP_CREATE2:
        return quote_create(r, f, sp, (enum sb_opcode)code);
    case SB_OP_SELFDESTRUCT:
        return quote_selfdestruct(r, f, sp);
    default:
        return 0;
    }
}

void trace_step(struct run *r, const struct frame *f, const uint8_t *pc, const sb_u256 *sp,
                int64_t gas, enum sb_evm_status error)
{
    uint64_t price = r->memory->opcodes.gas[*pc];
    int64_t cost = price == SB_OP_UNDEFINED ? 0 : (int64_t)price;
    ptrdiff_t stack_count = sp - f->stack;
    ptrdiff_t in = (ptrdiff_t)sb_opcode_stack_in(*pc);
    if (error == SB_EVM_SUCCESS && stack_count < in) {
        error = SB_EVM_STACK_UNDERFLOW;
    } else if (error == SB_EVM_SUCCESS &&
               stack_count - in + (ptrdiff_t)sb_opcode_stack_out(*pc) > SB_EVM_STACK_MAX) {
        error = SB_EVM_STACK_OVERFLOW;
    } else if (error == SB_EVM_SUCCESS) {
        cost += quote(r, f, *pc, sp, gas - cost);
        error = cost > gas ? SB_EVM_OUT_OF_GAS : SB_EVM_SUCCESS;
    }
    struct sb_trace_step step = {
        .pc = (uint64_t)(pc - f->code->bytes),
        .opcode = *pc,
        .gas = gas,
        .gas_cost = cost,
        .depth = (int)r->frame_count,
        .stack = f->stack,
        .stack_count = (size_t)stack_count,
        .memory = sb_span(f->memory.data, f->memory.len),
        .return_data = f->return_data,
        .refund = sb_overlay_refund(r->state),
        .address = &f->msg.recipient,
        .error = error,
    };
    r->tracer->step(r->tracer->ctx, &step);
}
