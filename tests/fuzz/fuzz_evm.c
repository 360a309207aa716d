/* fuzz_evm.c: random programs in the interpreter: nothing breaks, and watching changes nothing.
 *
 *   input = [revision] [mode] [calldata length] calldata code
 *
 * The program lies at two addresses, the second half of it at a third; it is run once without and once with a tracer. Outcome, gas,
 * output and every change of state must agree, and each step of the trace must have quoted exactly what the instruction then cost.
 * Mode 1 reads the bytes as a program of pushes of small numbers and of instructions in turn, which gets further than noise. */
#include <stdint.h>

#include "base/util/assert.h"
#include "tests/support/memory_state.h"
#include "vm/evm/evm.h"
#include "vm/evm/opcodes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CODE_BYTES_MAX 4096
#define GAS_LIMIT      300000
#define OVERLAY_BYTES  ((size_t)64 << 20)
#define ARENA_BYTES    ((size_t)64 << 20)

static const sb_addr k_sender = {.b = {0xaa, [19] = 1}};
static const sb_addr k_contracts[3] = {{.b = {[19] = 40}}, {.b = {[19] = 41}}, {.b = {[19] = 42}}};

static const uint8_t k_menu[64] = {
    SB_OP_ADD,
    SB_OP_MUL,
    SB_OP_SUB,
    SB_OP_DIV,
    SB_OP_SDIV,
    SB_OP_ADDMOD,
    SB_OP_MULMOD,
    SB_OP_EXP,
    SB_OP_SIGNEXTEND,
    SB_OP_LT,
    SB_OP_ISZERO,
    SB_OP_NOT,
    SB_OP_BYTE,
    SB_OP_SHL,
    SB_OP_SAR,
    SB_OP_KECCAK256,
    SB_OP_ADDRESS,
    SB_OP_BALANCE,
    SB_OP_CALLER,
    SB_OP_CALLVALUE,
    SB_OP_CALLDATALOAD,
    SB_OP_CALLDATASIZE,
    SB_OP_CALLDATACOPY,
    SB_OP_CODESIZE,
    SB_OP_CODECOPY,
    SB_OP_EXTCODESIZE,
    SB_OP_EXTCODECOPY,
    SB_OP_EXTCODEHASH,
    SB_OP_RETURNDATASIZE,
    SB_OP_RETURNDATACOPY,
    SB_OP_BLOCKHASH,
    SB_OP_SELFBALANCE,
    SB_OP_BLOBHASH,
    SB_OP_POP,
    SB_OP_MLOAD,
    SB_OP_MSTORE,
    SB_OP_MSTORE8,
    SB_OP_SLOAD,
    SB_OP_SSTORE,
    SB_OP_SSTORE,
    SB_OP_JUMP,
    SB_OP_JUMPI,
    SB_OP_JUMPDEST,
    SB_OP_JUMPDEST,
    SB_OP_GAS,
    SB_OP_TLOAD,
    SB_OP_TSTORE,
    SB_OP_MCOPY,
    SB_OP_CLZ,
    SB_OP_DUP1,
    SB_OP_DUP1 + 2,
    SB_OP_DUP1 + 6,
    SB_OP_SWAP1,
    SB_OP_SWAP1 + 3,
    SB_OP_LOG0,
    SB_OP_LOG1 + 1,
    SB_OP_CREATE,
    SB_OP_CREATE2,
    SB_OP_CALL,
    SB_OP_CALLCODE,
    SB_OP_DELEGATECALL,
    SB_OP_STATICCALL,
    SB_OP_REVERT,
    SB_OP_SELFDESTRUCT,
};

/* What the tracer remembers of each open frame: its newest step. */
struct watch {
    struct sb_trace_step last[SB_EVM_DEPTH_MAX + 3];
    bool has_last[SB_EVM_DEPTH_MAX + 3];
    bool is_create[SB_EVM_DEPTH_MAX + 3];
    int depth;
};

/* CALL and CREATE give back what the callee leaves, so only the others show their price in the next step. */
static bool calls(uint8_t opcode)
{
    return opcode >= SB_OP_CREATE && opcode <= SB_OP_STATICCALL && opcode != SB_OP_RETURN;
}

static void on_step(void *ctx, const struct sb_trace_step *step)
{
    struct watch *w = ctx;
    SB_ASSERT(step->depth == w->depth);
    size_t d = (size_t)step->depth;
    if (w->has_last[d]) {
        const struct sb_trace_step *last = &w->last[d];
        SB_ASSERT(last->error == SB_EVM_SUCCESS);
        SB_ASSERT(calls(last->opcode) || step->gas == last->gas - last->gas_cost);
    }
    w->last[d] = *step;
    w->has_last[d] = true;
}

static void on_enter(void *ctx, const struct sb_message *message, int depth)
{
    struct watch *w = ctx;
    SB_ASSERT(depth == w->depth + 1);
    w->depth = depth;
    w->has_last[depth] = false;
    w->is_create[depth] = message->kind == SB_CREATE || message->kind == SB_CREATE2;
}

static void on_leave(void *ctx, enum sb_evm_status status, int64_t gas_used, sb_bytes output,
                     int depth)
{
    (void)output;
    struct watch *w = ctx;
    SB_ASSERT(depth == w->depth);
    SB_ASSERT(gas_used >= 0);
    if (w->has_last[depth]) {
        const struct sb_trace_step *last = &w->last[depth];
        SB_ASSERT(last->error == SB_EVM_SUCCESS ||
                  (status != SB_EVM_SUCCESS && status != SB_EVM_REVERT));
        /* the two prices that a step cannot quote: EIP-2200's sentry and the deposit of code */
        bool unquoted =
            last->opcode == SB_OP_SSTORE || (last->opcode == SB_OP_RETURN && w->is_create[depth]);
        SB_ASSERT(status != SB_EVM_OUT_OF_GAS || last->error == SB_EVM_OUT_OF_GAS || unquoted);
    }
    w->depth = depth - 1;
}

struct outcome {
    struct sb_evm_result result;
    sb_hash root;
    int64_t refund;
    size_t log_count;
};

static struct outcome run(sb_bytes code, sb_bytes calldata, const struct sb_rules *rules,
                          struct sb_evm_memory *memory, const struct sb_tracer *tracer)
{
    struct sb_memory_state *s = sb_memory_state_new();
    sb_u256 balance = sb_u256_from_u64(1000);
    sb_u256 one = sb_u256_from_u64(1);
    sb_hash key = {.b = {[31] = 1}};
    sb_memory_state_set_account(s, &k_sender, 5, &balance, sb_span(NULL, 0));
    sb_memory_state_set_account(s, &k_contracts[0], 1, &balance, code);
    sb_memory_state_set_account(s, &k_contracts[1], 1, &balance, code);
    sb_memory_state_set_account(s, &k_contracts[2], 1, &balance,
                                sb_span_slice(code, code.len / 2, code.len));
    sb_memory_state_set_slot(s, &k_contracts[0], &key, &one);
    struct sb_state_view view = sb_memory_state_view(s);
    struct sb_overlay *o = sb_overlay_new(&view, rules, OVERLAY_BYTES);
    struct sb_block_env block = {.number = 1000, .timestamp = 12345, .gas_limit = 30000000};
    struct sb_tx_env tx = {.origin = k_sender,
                           .gas_price = sb_u256_from_u64(7),
                           .blob_hashes = &key,
                           .blob_hash_count = 1};
    struct sb_evm evm = {.rules = rules, .block = &block, .tx = &tx, .state = o, .tracer = tracer};
    struct sb_message message = {
        .kind = SB_CALL,
        .gas = GAS_LIMIT,
        .sender = k_sender,
        .recipient = k_contracts[0],
        .code_addr = k_contracts[0],
        .value = one,
        .input = calldata,
    };
    struct outcome out = {.refund = 0};
    sb_overlay_tx_begin(o);
    SB_ASSERT(sb_evm_run(&out.result, &evm, memory, &message) == SB_OK);
    out.refund = sb_overlay_refund(o);
    (void)sb_overlay_logs(o, &out.log_count);
    sb_overlay_tx_end(o);
    struct sb_arena arena;
    sb_arena_init(&arena, ARENA_BYTES);
    struct sb_state_diff diff;
    SB_ASSERT(sb_overlay_diff(&diff, o, &arena) == SB_OK);
    sb_memory_state_apply(s, &diff);
    out.root = sb_memory_state_root(s);
    sb_arena_fini(&arena);
    sb_overlay_free(o);
    sb_memory_state_free(s);
    return out;
}

/* Two of three bytes push their upper six bits, the third chooses from the menu. */
static size_t expand(uint8_t *code, const uint8_t *data, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < size && len + 2 <= CODE_BYTES_MAX; i++) {
        if (data[i] % 3 != 0) {
            code[len++] = SB_OP_PUSH1;
            code[len++] = data[i] >> 2;
        } else {
            code[len++] = k_menu[data[i] >> 2];
        }
    }
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t code[CODE_BYTES_MAX];
    static struct watch watch;
    if (size < 3) {
        return 0;
    }
    struct sb_rules rules = sb_rules_make(SB_PROFILE_ETHEREUM, data[0] % SB_REV_COUNT, 1);
    sb_bytes rest = sb_span(data + 3, size - 3);
    sb_bytes calldata = sb_span_slice(rest, 0, data[2]);
    sb_bytes text = sb_span_slice(rest, calldata.len, CODE_BYTES_MAX);
    size_t code_len = text.len;
    if (data[1] % 2 == 1) {
        code_len = expand(code, text.data, text.len);
    } else {
        sb_copy(code, text.data, text.len);
    }
    struct sb_evm_memory *plain_memory = sb_evm_memory_new();
    struct sb_evm_memory *traced_memory = sb_evm_memory_new();
    struct outcome plain = run(sb_span(code, code_len), calldata, &rules, plain_memory, NULL);
    watch.depth = 0;
    struct sb_tracer tracer = {
        .ctx = &watch, .step = on_step, .enter = on_enter, .leave = on_leave};
    struct outcome traced = run(sb_span(code, code_len), calldata, &rules, traced_memory, &tracer);
    SB_ASSERT(watch.depth == 0);
    SB_ASSERT(plain.result.status == traced.result.status);
    SB_ASSERT(plain.result.gas_left == traced.result.gas_left);
    SB_ASSERT(plain.result.gas_left >= 0 && plain.result.gas_left <= GAS_LIMIT);
    SB_ASSERT(sb_span_equal(plain.result.output, traced.result.output));
    SB_ASSERT(sb_hash_equal(&plain.root, &traced.root));
    SB_ASSERT(plain.refund == traced.refund && plain.log_count == traced.log_count);
    sb_evm_memory_free(plain_memory);
    sb_evm_memory_free(traced_memory);
    return 0;
}
