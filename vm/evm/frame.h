/* frame.h: frames and the run they belong to; shared by the files of vm/evm and by nobody else.
 *
 *     struct run --- frames[0]  frames[1]  ...  frames[frame_count - 1] = top      heap blocks, kept for the next run
 *                      |  msg, code, 1,024-word stack, memory, return data of its last call
 *                      |  pc, sp, gas: home of the loop's locals while an instruction helper or a callee runs
 *
 * An instruction helper takes (run, frame, sp), finds its operands at sp[-1], sp[-2] ..., charges f->gas and leaves its result at the
 * lowest operand's place. It returns SB_EVM_SUCCESS or why the frame ends. A failure of the environment sets r->err and returns
 * SB_EVM_STOPPED, which unwinds every frame.
 *
 * A frame's output stays in its own memory, which is not reused before the caller's next call: return_data borrows from there. Output of
 * precompiles is in the arena, rewound to the caller's mark at its next call. */
#ifndef SB_VM_EVM_FRAME_H
#define SB_VM_EVM_FRAME_H

#include "base/util/endian.h"
#include "vm/evm/code.h"
#include "vm/evm/evm.h"
#include "vm/evm/opcodes.h"

/* Most memory of one frame. 2^41 gas buy more; no transaction has that. */
#define SB_EVM_MEMORY_BYTES_MAX (UINT64_C(1) << 30)

struct area {
    uint8_t *data; /* owned */
    size_t len;    /* a multiple of 32; what MSIZE tells */
    size_t capacity;
};

struct frame {
    struct sb_message msg;
    struct sb_code *code; /* used by us */
    const uint8_t *pc;
    sb_u256 *sp; /* next free word */
    int64_t gas;
    sb_u256 *stack; /* owned, SB_EVM_STACK_MAX words */
    struct area memory;
    sb_bytes return_data;
    sb_checkpoint checkpoint;
    struct sb_arena_mark mark;
    uint64_t output_offset, output_len; /* where the running callee's output goes */
};

struct sb_evm_memory {
    struct frame *frames[SB_EVM_DEPTH_MAX + 1]; /* owned; NULL until first used */
    struct sb_arena arena;
    struct sb_code_cache codes;
    struct sb_opcode_table opcodes;
    bool has_opcodes;
};

struct run {
    const struct sb_evm *evm;
    struct sb_evm_memory *memory;
    struct sb_overlay *state;
    enum sb_revision revision;
    const struct sb_tracer *tracer; /* NULL, or the caller's */
    const atomic_bool *stop;        /* never NULL */
    struct frame *top;
    size_t frame_count;
    sb_bytes output; /* of the instruction that ends a frame: RETURN, REVERT */
    sb_err err;
};

static inline bool run_should_stop(const struct run *r)
{
    return atomic_load_explicit(r->stop, memory_order_relaxed);
}

static inline enum sb_evm_status run_fail(struct run *r, sb_err err)
{
    r->err = err;
    return SB_EVM_STOPPED;
}

/* gas_charge: false if the frame cannot pay. cost >= 0. */
static inline bool gas_charge(struct frame *f, int64_t cost)
{
    if (f->gas < cost) {
        return false;
    }
    f->gas -= cost;
    return true;
}

/* gas_charge_words: as gas_charge, for len bytes (at most SB_EVM_MEMORY_BYTES_MAX) at a price for each word. */
bool gas_charge_words(struct frame *f, uint64_t len, int64_t word_gas);

/* A checked range of memory; offset is 0 if len is. */
struct range {
    uint64_t offset, len;
};

/* memory_claim: range [offset, offset + len) of the frame's memory, which is grown and paid for as need be. */
enum sb_evm_status memory_claim(struct range *ret_range, struct run *r, struct frame *f,
                                const sb_u256 *offset, const sb_u256 *len);
/* memory_copy_in: write size bytes at dst from src at src_offset, zeros past its end. The range was claimed. */
void memory_copy_in(struct frame *f, struct range dst, sb_bytes src, const sb_u256 *src_offset);

static inline sb_bytes memory_span(const struct frame *f, struct range range)
{
    return range.len == 0 ? (sb_bytes){.data = NULL, .len = 0}
                          : sb_span(f->memory.data + range.offset, range.len);
}

/* word_load, word_store: 32 big-endian bytes, inline since the loop lives on them. */
static inline sb_u256 word_load(const uint8_t *p)
{
    return (sb_u256){.w = {be_load64(p + 24), be_load64(p + 16), be_load64(p + 8), be_load64(p)}};
}

static inline void word_store(uint8_t *p, const sb_u256 *word)
{
    be_store64(p, word->w[3]);
    be_store64(p + 8, word->w[2]);
    be_store64(p + 16, word->w[1]);
    be_store64(p + 24, word->w[0]);
}

static inline sb_addr word_to_addr(const sb_u256 *word)
{
    uint8_t bytes[32];
    word_store(bytes, word);
    sb_addr a;
    memcpy(a.b, bytes + 12, sizeof a.b);
    return a;
}

static inline sb_u256 word_of_addr(const sb_addr *a)
{
    return sb_u256_load_be(a->b, sizeof a->b);
}

static inline sb_hash word_to_hash(const sb_u256 *word)
{
    sb_hash h;
    word_store(h.b, word);
    return h;
}

static inline sb_u256 word_of_hash(const sb_hash *h)
{
    return word_load(h->b);
}

/* message.c: begin and end of messages. */

/* message_begin: start a call or creation. True: it is over already (*ret_result: light failure, precompile, no code); false: its
 * frame is r->top now. A failure of the environment is in r->err. */
bool message_begin(struct sb_evm_result *ret_result, struct run *r, const struct sb_message *msg);
/* frame_finish: end r->top with a status and output, undo its effects unless it succeeded, remove it. */
void frame_finish(struct sb_evm_result *ret_result, struct run *r, enum sb_evm_status status,
                  sb_bytes output);
/* delegation_of: the delegate if code is a designation of EIP-7702 under the run's revision. */
bool delegation_of(sb_addr *ret_delegate, const struct run *r, sb_bytes code);

/* calls.c: the instructions that call and create. They leave r->top at the frame to go on with, f->sp and f->gas up to date. */
enum sb_evm_status op_call(struct run *r, struct frame *f, sb_u256 *sp, enum sb_opcode op);
enum sb_evm_status op_create(struct run *r, struct frame *f, sb_u256 *sp, enum sb_opcode op);
/* caller_resume: give the outcome of its callee to a frame: gas, return data, output in memory, result on the stack. */
void caller_resume(struct frame *f, const struct sb_evm_result *result, bool is_create);

/* call_transfer_gas: price of the value and of a new account. op is one of the CALL family. */
int64_t call_transfer_gas(struct run *r, const sb_addr *to, bool has_value, enum sb_opcode op);
/* selfdestruct_new_account_gas: paying someone who is not there costs as much as making them (EIP-150, EIP-161). */
int64_t selfdestruct_new_account_gas(struct run *r, const sb_addr *heir, const sb_u256 *balance);

/* instructions.c: the rest that is too long for the loop. */
enum sb_evm_status op_exp(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_keccak256(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_balance(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_calldatacopy(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_codecopy(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_extcodesize(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_extcodecopy(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_extcodehash(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_returndatacopy(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_blockhash(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_blobhash(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_mload(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_mstore(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_mstore8(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_mcopy(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_sload(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_sstore(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_tload(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_tstore(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_log(struct run *r, struct frame *f, sb_u256 *sp, size_t topic_count);
enum sb_evm_status op_return(struct run *r, struct frame *f, sb_u256 *sp);
enum sb_evm_status op_selfdestruct(struct run *r, struct frame *f, sb_u256 *sp);

/* trace.c: report the instruction at pc; gas is what was left before it, error why it is known to fail. */
void trace_step(struct run *r, const struct frame *f, const uint8_t *pc, const sb_u256 *sp,
                int64_t gas, enum sb_evm_status error);

/* interp.c: run r->top and its callees to the end. */
void interpret(struct sb_evm_result *ret_result, struct run *r);

#endif
