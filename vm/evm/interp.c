/* interp.c: the interpreter loop: one C function runs a frame and all its callees.
 *
 *     NEXT:  cost = prices[*pc]          one compare pays, and finds instructions that the revision does not know: their price is
 *            gas < cost ? ...            more than any frame has
 *            goto *labels[*pc]           a jump at the end of each instruction, so that the CPU predicts each on its own
 *
 * - pc, sp, gas and the stack's base are locals; an out-of-line instruction finds them in the frame (HELPER).
 * - Stack needs are constants of opcodes.def: a check that cannot fail is not compiled.
 * - Code is padded with zeros (code.h), so neither PUSH nor STOP looks at the length.
 * - With a tracer every label leads to `traced` first; without one tracing costs nothing.
 * - The loop ends: each instruction costs gas but STOP, RETURN, REVERT, SELFDESTRUCT before EIP-150, which end a frame, and SSTORE,
 *   which charges itself. */
#include "vm/evm/frame.h"

/* Computed goto (GNU C) is the technique of this file. */
#pragma GCC diagnostic ignored "-Wpedantic"

/* Words are written and copied limb by limb: a vector load of a word whose limbs were stored one by one just before, as is usual on
 * a stack, cannot be served by the store buffer and waits for it. */
#ifndef __clang__
#pragma GCC optimize("no-tree-vectorize", "no-tree-slp-vectorize")
#endif

#define UNLIKELY(x) __builtin_expect(!!(x), 0)

enum {
#define SB_OP(code, name, since, gas, in, out) IN_##name = (in), OUT_##name = (out),
#include "vm/evm/opcodes.def"
};

/* Pay for the instruction at pc and go to it. */
#define NEXT()                                                                                     \
    do {                                                                                           \
        uint64_t cost_ = prices[*pc];                                                              \
        if (UNLIKELY((uint64_t)gas < cost_)) {                                                     \
            goto unaffordable;                                                                     \
        }                                                                                          \
        gas -= (int64_t)cost_;                                                                     \
        goto *labels[*pc];                                                                         \
    } while (0)

/* The head of each instruction: its label and the stack checks that can fail. */
#define OP(name)                                                                                   \
    op_##name : if (IN_##name > 0 && UNLIKELY(sp - base < IN_##name))                              \
    {                                                                                              \
        goto underflow;                                                                            \
    }                                                                                              \
    if (OUT_##name > IN_##name &&                                                                  \
        UNLIKELY(sp - base > SB_EVM_STACK_MAX - (OUT_##name - IN_##name))) {                       \
        goto overflow;                                                                             \
    }

/* The tail: take the operands, leave the results, go on. */
#define DONE(name)                                                                                 \
    sp += OUT_##name - IN_##name;                                                                  \
    pc++;                                                                                          \
    NEXT()

#define BINARY(name, expr)                                                                         \
    OP(name)                                                                                       \
    {                                                                                              \
        const sb_u256 *a = &sp[-1];                                                                \
        sb_u256 *b = &sp[-2];                                                                      \
        *b = (expr);                                                                               \
        DONE(name);                                                                                \
    }

#define PUSH_WORD(name, expr)                                                                      \
    OP(name)                                                                                       \
    {                                                                                              \
        *sp = (expr);                                                                              \
        DONE(name);                                                                                \
    }

/* An instruction in a function: the frame is where it finds and leaves the gas. */
#define CALL_HELPER(call)                                                                          \
    f->gas = gas;                                                                                  \
    status = (call);                                                                               \
    gas = f->gas;                                                                                  \
    if (UNLIKELY(status != SB_EVM_SUCCESS)) {                                                      \
        goto end;                                                                                  \
    }

#define HELPER(name, function)                                                                     \
    OP(name)                                                                                       \
    {                                                                                              \
        CALL_HELPER(function(r, f, sp))                                                            \
        DONE(name);                                                                                \
    }

#define PUSH_BYTES(n)                                                                              \
    OP(PUSH##n)                                                                                    \
    {                                                                                              \
        *sp++ = push_data(pc + 1, (n));                                                            \
        pc += (n) + 1;                                                                             \
        NEXT();                                                                                    \
    }

#define DUP(n)                                                                                     \
    OP(DUP##n)                                                                                     \
    {                                                                                              \
        word_copy(sp, &sp[-(n)]);                                                                  \
        DONE(DUP##n);                                                                              \
    }

#define SWAP(n)                                                                                    \
    OP(SWAP##n)                                                                                    \
    {                                                                                              \
        word_swap(&sp[-1], &sp[-1 - (n)]);                                                         \
        DONE(SWAP##n);                                                                             \
    }

#define LOG(n)                                                                                     \
    OP(LOG##n)                                                                                     \
    {                                                                                              \
        CALL_HELPER(op_log(r, f, sp, (n)))                                                         \
        DONE(LOG##n);                                                                              \
    }

/* Calls and creations go on in whatever frame is on top afterwards. */
#define CALLS(name, function)                                                                      \
    OP(name)                                                                                       \
    {                                                                                              \
        f->pc = pc + 1;                                                                            \
        CALL_HELPER(function(r, f, sp, SB_OP_##name))                                              \
        goto load_frame;                                                                           \
    }

#define LIMBS(expr)                                                                                \
    (sb_u256)                                                                                      \
    {                                                                                              \
        .w = {(expr(0)), (expr(1)), (expr(2)), (expr(3)) }                                         \
    }
#define LIMB_AND(i) a->w[i] & b->w[i]
#define LIMB_OR(i)  a->w[i] | b->w[i]
#define LIMB_XOR(i) a->w[i] ^ b->w[i]

static inline void word_copy(sb_u256 *dst, const sb_u256 *src)
{
    for (int i = 0; i < 4; i++) {
        dst->w[i] = src->w[i];
    }
}

static inline void word_swap(sb_u256 *a, sb_u256 *b)
{
    for (int i = 0; i < 4; i++) {
        uint64_t limb = a->w[i];
        a->w[i] = b->w[i];
        b->w[i] = limb;
    }
}

/* The word of the n bytes at p. n is a constant, so this is one load for each limb; the limb that n cuts is loaded from p on and
 * shifted, which the padding of code (code.h) allows. */
static inline __attribute__((always_inline)) sb_u256 push_data(const uint8_t *p, unsigned n)
{
    sb_u256 word = sb_u256_zero();
    for (unsigned i = 0; i * 8 < n; i++) {
        unsigned left = n - i * 8;
        word.w[i] = left >= 8 ? be_load64(p + left - 8) : be_load64(p) >> (64 - 8 * left);
    }
    return word;
}

static sb_u256 calldata_word(sb_bytes input, const sb_u256 *offset)
{
    sb_bytes part = sb_span_slice(input, sb_u256_sat_u64(offset), 32);
    uint8_t bytes[32] = {0};
    sb_copy(bytes, part.data, part.len);
    return word_load(bytes);
}

/* Why an instruction could not be paid for, in geth's order: unknown, then stack, then gas. */
static enum sb_evm_status unaffordable_status(const struct sb_opcode_table *table, uint8_t code,
                                              ptrdiff_t stack_count)
{
    if (table->gas[code] == SB_OP_UNDEFINED) {
        return SB_EVM_INVALID_OPCODE;
    }
    unsigned in = sb_opcode_stack_in(code);
    unsigned out = sb_opcode_stack_out(code);
    if (stack_count < (ptrdiff_t)in) {
        return SB_EVM_STACK_UNDERFLOW;
    }
    bool overflows = stack_count + (ptrdiff_t)out - (ptrdiff_t)in > SB_EVM_STACK_MAX;
    return overflows ? SB_EVM_STACK_OVERFLOW : SB_EVM_OUT_OF_GAS;
}

void interpret(struct sb_evm_result *ret_result, struct run *r)
{
    static const void *const k_labels[256] = {
#define SB_OP(code, name, since, gas, in, out) [code] = &&op_##name,
#include "vm/evm/opcodes.def"
    };
    static const void *const k_traced_labels[256] = {
#define SB_OP(code, name, since, gas, in, out) [code] = &&traced,
#include "vm/evm/opcodes.def"
    };
    const bool traces = r->tracer != NULL && r->tracer->step != NULL;
    const void *const *const labels = traces ? k_traced_labels : k_labels;
    const uint64_t *const prices = r->memory->opcodes.gas;
    const struct sb_evm *const evm = r->evm;
    enum sb_evm_status status;
    struct frame *f;
    const uint8_t *pc;
    sb_u256 *sp;
    sb_u256 *base;
    int64_t gas;

load_frame:
    f = r->top;
    pc = f->pc;
    sp = f->sp;
    gas = f->gas;
    base = f->stack;
    NEXT();

traced:
    trace_step(r, f, pc, sp, gas + (int64_t)prices[*pc], SB_EVM_SUCCESS);
    goto *k_labels[*pc];

    /* --- arithmetic --- */
    OP(STOP)
    {
        status = SB_EVM_SUCCESS;
        r->output = (sb_bytes){.data = NULL, .len = 0};
        goto end;
    }
    BINARY(ADD, sb_u256_add(a, b))
    BINARY(MUL, sb_u256_mul(a, b))
    BINARY(SUB, sb_u256_sub(a, b))
    BINARY(DIV, sb_u256_div(a, b))
    BINARY(SDIV, sb_u256_sdiv(a, b))
    BINARY(MOD, sb_u256_mod(a, b))
    BINARY(SMOD, sb_u256_smod(a, b))
    OP(ADDMOD)
    {
        sp[-3] = sb_u256_addmod(&sp[-1], &sp[-2], &sp[-3]);
        DONE(ADDMOD);
    }
    OP(MULMOD)
    {
        sp[-3] = sb_u256_mulmod(&sp[-1], &sp[-2], &sp[-3]);
        DONE(MULMOD);
    }
    HELPER(EXP, op_exp)
    BINARY(SIGNEXTEND, sb_u256_signextend(a, b))

    /* --- comparison and bits --- */
    BINARY(LT, sb_u256_from_u64(sb_u256_lt(a, b)))
    BINARY(GT, sb_u256_from_u64(sb_u256_lt(b, a)))
    BINARY(SLT, sb_u256_from_u64(sb_u256_slt(a, b)))
    BINARY(SGT, sb_u256_from_u64(sb_u256_slt(b, a)))
    BINARY(EQ, sb_u256_from_u64(sb_u256_equal(a, b)))
    OP(ISZERO)
    {
        sp[-1] = sb_u256_from_u64(sb_u256_is_zero(&sp[-1]));
        DONE(ISZERO);
    }
    BINARY(AND, LIMBS(LIMB_AND))
    BINARY(OR, LIMBS(LIMB_OR))
    BINARY(XOR, LIMBS(LIMB_XOR))
    OP(NOT)
    {
        for (int i = 0; i < 4; i++) {
            sp[-1].w[i] = ~sp[-1].w[i];
        }
        DONE(NOT);
    }
    BINARY(BYTE, sb_u256_from_u64(sb_u256_byte(b, sb_u256_sat_u64(a))))
    BINARY(SHL, sb_u256_shl(b, sb_u256_sat_u64(a)))
    BINARY(SHR, sb_u256_shr(b, sb_u256_sat_u64(a)))
    BINARY(SAR, sb_u256_sar(b, sb_u256_sat_u64(a)))
    OP(CLZ)
    {
        sp[-1] = sb_u256_from_u64(sb_u256_clz(&sp[-1]));
        DONE(CLZ);
    }
    HELPER(KECCAK256, op_keccak256)

    /* --- environment --- */
    PUSH_WORD(ADDRESS, word_of_addr(&f->msg.recipient))
    HELPER(BALANCE, op_balance)
    PUSH_WORD(ORIGIN, word_of_addr(&evm->tx->origin))
    PUSH_WORD(CALLER, word_of_addr(&f->msg.sender))
    PUSH_WORD(CALLVALUE, f->msg.value)
    OP(CALLDATALOAD)
    {
        sp[-1] = calldata_word(f->msg.input, &sp[-1]);
        DONE(CALLDATALOAD);
    }
    PUSH_WORD(CALLDATASIZE, sb_u256_from_u64(f->msg.input.len))
    HELPER(CALLDATACOPY, op_calldatacopy)
    PUSH_WORD(CODESIZE, sb_u256_from_u64(f->code->len))
    HELPER(CODECOPY, op_codecopy)
    PUSH_WORD(GASPRICE, evm->tx->gas_price)
    HELPER(EXTCODESIZE, op_extcodesize)
    HELPER(EXTCODECOPY, op_extcodecopy)
    PUSH_WORD(RETURNDATASIZE, sb_u256_from_u64(f->return_data.len))
    HELPER(RETURNDATACOPY, op_returndatacopy)
    HELPER(EXTCODEHASH, op_extcodehash)

    /* --- block --- */
    HELPER(BLOCKHASH, op_blockhash)
    PUSH_WORD(COINBASE, word_of_addr(&evm->block->coinbase))
    PUSH_WORD(TIMESTAMP, sb_u256_from_u64(evm->block->timestamp))
    PUSH_WORD(NUMBER, sb_u256_from_u64(evm->block->number))
    PUSH_WORD(DIFFICULTY, r->revision >= SB_REV_PARIS ? word_of_hash(&evm->block->prev_randao)
                                                      : evm->block->difficulty)
    PUSH_WORD(GASLIMIT, sb_u256_from_u64(evm->block->gas_limit))
    PUSH_WORD(CHAINID, sb_u256_from_u64(evm->rules->chain_id))
    PUSH_WORD(SELFBALANCE, sb_overlay_balance(r->state, &f->msg.recipient))
    PUSH_WORD(BASEFEE, evm->block->base_fee)
    HELPER(BLOBHASH, op_blobhash)
    PUSH_WORD(BLOBBASEFEE, evm->block->blob_base_fee)

    /* --- stack, memory, storage, flow --- */
    OP(POP)
    {
        DONE(POP);
    }
    OP(MLOAD)
    {
        uint64_t offset = sb_u256_sat_u64(&sp[-1]);
        if (UNLIKELY(f->memory.len < 32 || offset > f->memory.len - 32)) {
            CALL_HELPER(op_mload(r, f, sp))
        } else {
            sp[-1] = word_load(f->memory.data + offset);
        }
        DONE(MLOAD);
    }
    OP(MSTORE)
    {
        uint64_t offset = sb_u256_sat_u64(&sp[-1]);
        if (UNLIKELY(f->memory.len < 32 || offset > f->memory.len - 32)) {
            CALL_HELPER(op_mstore(r, f, sp))
        } else {
            word_store(f->memory.data + offset, &sp[-2]);
        }
        DONE(MSTORE);
    }
    HELPER(MSTORE8, op_mstore8)
    HELPER(SLOAD, op_sload)
    HELPER(SSTORE, op_sstore)
    OP(JUMP)
    {
        sp--;
        goto jump;
    }
    OP(JUMPI)
    {
        sp -= 2;
        if (sb_u256_is_zero(&sp[0])) {
            pc++;
            NEXT();
        }
        /* bring the target to where JUMP has it */
        sp[0] = sp[1];
    }
jump : {
    if (UNLIKELY(run_should_stop(r))) {
        status = SB_EVM_STOPPED;
        goto end;
    }
    uint64_t target = sb_u256_sat_u64(sp);
    if (UNLIKELY(!sb_code_is_jumpdest(f->code, target))) {
        status = SB_EVM_BAD_JUMP;
        goto end;
    }
    pc = f->code->bytes + target;
    NEXT();
}
    PUSH_WORD(PC, sb_u256_from_u64((uint64_t)(pc - f->code->bytes)))
    PUSH_WORD(MSIZE, sb_u256_from_u64(f->memory.len))
    PUSH_WORD(GAS, sb_u256_from_u64((uint64_t)gas))
    OP(JUMPDEST)
    {
        pc++;
        NEXT();
    }
    HELPER(TLOAD, op_tload)
    HELPER(TSTORE, op_tstore)
    HELPER(MCOPY, op_mcopy)

    /* --- push, dup, swap, logs --- */
    PUSH_WORD(PUSH0, sb_u256_zero())
    PUSH_BYTES(1)
    PUSH_BYTES(2)
    PUSH_BYTES(3)
    PUSH_BYTES(4)
    PUSH_BYTES(5)
    PUSH_BYTES(6)
    PUSH_BYTES(7)
    PUSH_BYTES(8)
    PUSH_BYTES(9)
    PUSH_BYTES(10)
    PUSH_BYTES(11)
    PUSH_BYTES(12)
    PUSH_BYTES(13)
    PUSH_BYTES(14)
    PUSH_BYTES(15)
    PUSH_BYTES(16)
    PUSH_BYTES(17)
    PUSH_BYTES(18)
    PUSH_BYTES(19)
    PUSH_BYTES(20)
    PUSH_BYTES(21)
    PUSH_BYTES(22)
    PUSH_BYTES(23)
    PUSH_BYTES(24)
    PUSH_BYTES(25)
    PUSH_BYTES(26)
    PUSH_BYTES(27)
    PUSH_BYTES(28)
    PUSH_BYTES(29)
    PUSH_BYTES(30)
    PUSH_BYTES(31)
    PUSH_BYTES(32)
    DUP(1)
    DUP(2)
    DUP(3)
    DUP(4)
    DUP(5)
    DUP(6)
    DUP(7)
    DUP(8)
    DUP(9)
    DUP(10)
    DUP(11)
    DUP(12)
    DUP(13)
    DUP(14)
    DUP(15)
    DUP(16)
    SWAP(1)
    SWAP(2)
    SWAP(3)
    SWAP(4)
    SWAP(5)
    SWAP(6)
    SWAP(7)
    SWAP(8)
    SWAP(9)
    SWAP(10)
    SWAP(11)
    SWAP(12)
    SWAP(13)
    SWAP(14)
    SWAP(15)
    SWAP(16)
    LOG(0)
    LOG(1)
    LOG(2)
    LOG(3)
    LOG(4)

    /* --- calls, creations, the end of a frame --- */
    CALLS(CREATE, op_create)
    CALLS(CALL, op_call)
    CALLS(CALLCODE, op_call)
    CALLS(DELEGATECALL, op_call)
    CALLS(STATICCALL, op_call)
    CALLS(CREATE2, op_create)
    OP(RETURN)
    {
        CALL_HELPER(op_return(r, f, sp))
        goto end;
    }
    OP(REVERT)
    {
        CALL_HELPER(op_return(r, f, sp))
        status = SB_EVM_REVERT;
        goto end;
    }
    OP(SELFDESTRUCT)
    {
        CALL_HELPER(op_selfdestruct(r, f, sp))
        r->output = (sb_bytes){.data = NULL, .len = 0};
        goto end;
    }

unaffordable:
    status = unaffordable_status(&r->memory->opcodes, *pc, sp - base);
    if (traces) {
        trace_step(r, f, pc, sp, gas, status);
    }
    goto end;

underflow:
    status = SB_EVM_STACK_UNDERFLOW;
    goto end;

overflow:
    status = SB_EVM_STACK_OVERFLOW;
    goto end;

    /* The frame ends. Its caller goes on, unless there is none or the whole run is being given up. */
end : {
    f->gas = gas;
    struct sb_evm_result result;
    bool is_create = f->msg.kind == SB_CREATE || f->msg.kind == SB_CREATE2;
    frame_finish(&result, r, status, r->output);
    if (r->top == NULL) {
        *ret_result = result;
        return;
    }
    f = r->top;
    if (UNLIKELY(status == SB_EVM_STOPPED || r->err != SB_OK)) {
        status = SB_EVM_STOPPED;
        gas = 0;
        goto end;
    }
    caller_resume(f, &result, is_create);
    goto load_frame;
}
}
