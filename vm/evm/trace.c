/* trace.c: the step event of a tracer (EIP-3155); see struct sb_tracer in evm.h. */
#include "vm/evm/frame.h"

void trace_step(const struct run *r, const struct frame *f, const uint8_t *pc, const sb_u256 *sp,
                int64_t gas, enum sb_evm_status error)
{
    uint64_t price = r->memory->opcodes.gas[*pc];
    struct sb_trace_step step = {
        .pc = (uint64_t)(pc - f->code->bytes),
        .opcode = *pc,
        .gas = gas,
        .gas_cost = price == SB_OP_UNDEFINED ? 0 : (int64_t)price,
        .depth = (int)r->frame_count,
        .stack = f->stack,
        .stack_count = (size_t)(sp - f->stack),
        .memory = sb_span(f->memory.data, f->memory.len),
        .return_data = f->return_data,
        .refund = sb_overlay_refund(r->state),
        .address = &f->msg.recipient,
        .error = error,
    };
    r->tracer->step(r->tracer->ctx, &step);
}
