/* message.c: how a message begins (checks, value, code or precompile, frame) and how a frame ends (deposit of code, undo); see frame.h.
 *
 * A message may fail lightly, before anything happened (depth, balance, nonce): its gas goes back whole. A frame that fails for
 * any reason but REVERT takes all its gas. */
#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "vm/evm/frame.h"
#include "vm/evm/gas.h"
#include "vm/precompile/precompile.h"

#include <stdlib.h>

#define MEMORY_BYTES_KEPT                                                                          \
    ((size_t)256 * 1024) /* a frame's block above this is not kept for the next one */
#define STACK_ALIGN_BYTES 32

static bool message_is_create(const struct sb_message *msg)
{
    return msg->kind == SB_CREATE || msg->kind == SB_CREATE2;
}

static void trace_leave(const struct run *r, const struct sb_message *msg,
                        const struct sb_evm_result *result)
{
    if (r->tracer != NULL && r->tracer->leave != NULL) {
        r->tracer->leave(r->tracer->ctx, result->status, msg->gas - result->gas_left,
                         result->output, (int)r->frame_count + 1);
    }
}

static bool finish_now(struct sb_evm_result *ret_result, const struct run *r,
                       const struct sb_message *msg, enum sb_evm_status status, int64_t gas_left,
                       sb_bytes output)
{
    *ret_result = (struct sb_evm_result){.status = status, .gas_left = gas_left, .output = output};
    if (message_is_create(msg)) {
        ret_result->created = msg->recipient;
    }
    trace_leave(r, msg, ret_result);
    return true;
}

bool delegation_of(sb_addr *ret_delegate, const struct run *r, sb_bytes code)
{
    return r->revision >= SB_REV_PRAGUE && sb_code_delegate(ret_delegate, code);
}

/* The prepared code of an account; NULL if it has none, or after run_fail. */
static struct sb_code *code_of(struct run *r, const sb_addr *a)
{
    sb_hash hash = sb_overlay_code_hash(r->state, a);
    if (sb_hash_equal(&hash, &sb_hash_keccak_empty)) {
        return NULL;
    }
    struct sb_code *code = sb_code_find(&r->memory->codes, &hash);
    if (code == NULL) {
        sb_bytes bytes = sb_overlay_code(r->state, a);
        r->err = sb_overlay_err(r->state);
        if (r->err == SB_OK) {
            code = sb_code_prepare(&r->memory->codes, &hash, bytes);
            r->err = code == NULL ? SB_E_NOMEM : SB_OK;
        }
    }
    return code;
}

/* Code that a call runs: the account's, or its delegate's (EIP-7702, one step only). */
static struct sb_code *callee_code(struct run *r, const sb_addr *a)
{
    struct sb_code *code = code_of(r, a);
    sb_addr delegate;
    if (code != NULL && delegation_of(&delegate, r, sb_span(code->bytes, code->len))) {
        sb_code_release(code);
        if (r->frame_count ==
            0) { /* inner calls have paid for the access; the transaction's own is free */
            (void)sb_overlay_warm_addr(r->state, &delegate);
        }
        /* A precompile as delegate runs nothing; Ethereum's have no code, and what ours have never runs. */
        bool is_native = r->evm->rules->profile == SB_PROFILE_SAMEBIT &&
                         sb_precompile_find(r->evm->rules, &delegate) != NULL;
        code = is_native ? NULL : code_of(r, &delegate);
    }
    return code;
}

/* --- frames --- */

static struct frame *frame_at(struct run *r, size_t depth)
{
    struct frame *f = r->memory->frames[depth];
    if (f == NULL) {
        f = calloc(1, sizeof *f);
        sb_u256 *stack = aligned_alloc(STACK_ALIGN_BYTES, SB_EVM_STACK_MAX * sizeof *stack);
        if (f == NULL || stack == NULL) {
            free(f);
            free(stack);
            r->err = SB_E_NOMEM;
            return NULL;
        }
        f->stack = stack;
        r->memory->frames[depth] = f;
    }
    return f;
}

/* Put a frame on top; takes over the code. */
static void frame_push(struct run *r, const struct sb_message *msg, struct sb_code *code,
                       sb_checkpoint checkpoint)
{
    r->err = sb_overlay_err(r->state);
    struct frame *f = r->err == SB_OK ? frame_at(r, r->frame_count) : NULL;
    if (f == NULL) {
        sb_code_release(code);
        return;
    }
    if (f->memory.capacity > MEMORY_BYTES_KEPT) {
        free(f->memory.data);
        f->memory = (struct area){.data = NULL, .len = 0, .capacity = 0};
    }
    f->msg = *msg;
    f->code = code;
    f->pc = code->bytes;
    f->sp = f->stack;
    f->gas = msg->gas;
    f->memory.len = 0;
    f->return_data = (sb_bytes){.data = NULL, .len = 0};
    f->checkpoint = checkpoint;
    f->mark = sb_arena_mark(&r->memory->arena);
    f->output_len = 0;
    r->top = f;
    r->frame_count++;
}

/* --- calls --- */

static enum sb_evm_status status_of_precompile(enum sb_precompile_outcome outcome)
{
    switch (outcome) {
    case SB_PRECOMPILE_OK:
        return SB_EVM_SUCCESS;
    case SB_PRECOMPILE_REVERT:
        return SB_EVM_REVERT;
    case SB_PRECOMPILE_FAILURE:
        return SB_EVM_PRECOMPILE_FAILURE;
    case SB_PRECOMPILE_MISSING:
        return SB_EVM_PRECOMPILE_MISSING;
    }
    SB_UNREACHABLE();
}

static bool precompile_run(struct sb_evm_result *ret_result, struct run *r,
                           const struct sb_message *msg, sb_precompile_fn function,
                           sb_checkpoint checkpoint)
{
    struct sb_precompile_result result = {.outcome = SB_PRECOMPILE_FAILURE};
    struct sb_precompile_call call = {.evm = r->evm, .message = msg, .arena = &r->memory->arena};
    sb_err err = function(&result, &call);
    if (err != SB_OK) {
        r->err = err;
        result.outcome = SB_PRECOMPILE_FAILURE;
    }
    enum sb_evm_status status = status_of_precompile(result.outcome);
    if (status == SB_EVM_PRECOMPILE_MISSING && r->evm->on_missing_precompile != NULL) {
        r->evm->on_missing_precompile(r->evm->on_missing_ctx, &msg->code_addr);
    }
    if (status != SB_EVM_SUCCESS) {
        sb_overlay_rollback(r->state, checkpoint);
    }
    bool keeps = status == SB_EVM_SUCCESS || status == SB_EVM_REVERT;
    SB_ASSERT(!keeps || (result.gas_used >= 0 && result.gas_used <= msg->gas));
    sb_bytes output = keeps ? result.output : (sb_bytes){.data = NULL, .len = 0};
    return finish_now(ret_result, r, msg, status, keeps ? msg->gas - result.gas_used : 0, output);
}

static bool call_begin(struct sb_evm_result *ret_result, struct run *r,
                       const struct sb_message *msg)
{
    const sb_bytes nothing = {.data = NULL, .len = 0};
    if (msg->kind == SB_CALL || msg->kind == SB_CALLCODE) {
        sb_u256 balance = sb_overlay_balance(r->state, &msg->sender);
        if (sb_u256_lt(&balance, &msg->value)) {
            return finish_now(ret_result, r, msg, SB_EVM_INSUFFICIENT_BALANCE, msg->gas, nothing);
        }
    }
    sb_checkpoint checkpoint = sb_overlay_checkpoint(r->state);
    if (msg->kind == SB_CALL && !sb_u256_is_zero(&msg->value)) {
        sb_overlay_balance_sub(r->state, &msg->sender, &msg->value);
        sb_overlay_balance_add(r->state, &msg->recipient, &msg->value);
    } else if (msg->kind == SB_CALL || msg->kind == SB_STATICCALL) {
        sb_overlay_touch(r->state, &msg->recipient);
    }
    sb_precompile_fn precompile = sb_precompile_find(r->evm->rules, &msg->code_addr);
    if (precompile != NULL) {
        return precompile_run(ret_result, r, msg, precompile, checkpoint);
    }
    struct sb_code *code = callee_code(r, &msg->code_addr);
    if (r->err != SB_OK || code == NULL) {
        return finish_now(ret_result, r, msg, SB_EVM_SUCCESS, msg->gas, nothing);
    }
    frame_push(r, msg, code, checkpoint);
    return r->err != SB_OK;
}

/* --- creations --- */

/* Last 20 bytes of keccak256(rlp([sender, nonce])) (Yellow Paper, eq. 91). */
static sb_addr create_address(const sb_addr *sender, uint64_t nonce)
{
    uint8_t rlp[1 + 21 + 9];
    uint8_t nonce_bytes[8];
    size_t nonce_len = 0;
    for (uint64_t rest = nonce; rest != 0; rest >>= 8) {
        nonce_len++;
    }
    for (size_t i = 0; i < nonce_len; i++) {
        nonce_bytes[i] = (uint8_t)(nonce >> (8 * (nonce_len - 1 - i)));
    }
    size_t at = 1;
    rlp[at++] = 0x80 + sizeof sender->b;
    memcpy(rlp + at, sender->b, sizeof sender->b);
    at += sizeof sender->b;
    if (nonce_len == 1 && nonce < 0x80) {
        rlp[at++] = (uint8_t)nonce;
    } else {
        rlp[at++] = (uint8_t)(0x80 + nonce_len);
        sb_copy(rlp + at, nonce_bytes, nonce_len);
        at += nonce_len;
    }
    rlp[0] = (uint8_t)(0xc0 + at - 1);
    sb_hash hash = sb_keccak256(sb_span(rlp, at));
    sb_addr a;
    memcpy(a.b, hash.b + 12, sizeof a.b);
    return a;
}

/* EIP-1014: last 20 bytes of keccak256(0xff || sender || salt || keccak256(initcode)). */
static sb_addr create2_address(const sb_addr *sender, const sb_hash *salt, sb_bytes initcode)
{
    uint8_t bytes[1 + 20 + 32 + 32];
    sb_hash code_hash = sb_keccak256(initcode);
    bytes[0] = 0xff;
    memcpy(bytes + 1, sender->b, 20);
    memcpy(bytes + 21, salt->b, 32);
    memcpy(bytes + 53, code_hash.b, 32);
    sb_hash hash = sb_keccak256(sb_span(bytes, sizeof bytes));
    sb_addr a;
    memcpy(a.b, hash.b + 12, sizeof a.b);
    return a;
}

static bool is_taken(struct run *r, const sb_addr *a)
{
    sb_hash code_hash = sb_overlay_code_hash(r->state, a);
    return sb_overlay_nonce(r->state, a) != 0 ||
           !sb_hash_equal(&code_hash, &sb_hash_keccak_empty) ||
           sb_overlay_has_storage(r->state, a); /* EIP-684, EIP-7610 */
}

static bool create_begin(struct sb_evm_result *ret_result, struct run *r,
                         const struct sb_message *request)
{
    const sb_bytes nothing = {.data = NULL, .len = 0};
    struct sb_message msg = *request;
    sb_u256 balance = sb_overlay_balance(r->state, &msg.sender);
    if (sb_u256_lt(&balance, &msg.value)) {
        return finish_now(ret_result, r, &msg, SB_EVM_INSUFFICIENT_BALANCE, msg.gas, nothing);
    }
    uint64_t nonce = sb_overlay_nonce(r->state, &msg.sender);
    if (nonce == UINT64_MAX) { /* EIP-2681 */
        return finish_now(ret_result, r, &msg, SB_EVM_NONCE_OVERFLOW, msg.gas, nothing);
    }
    /* These two outlive a failure of the creation. */
    sb_overlay_nonce_set(r->state, &msg.sender, nonce + 1);
    if (r->revision >= SB_REV_BERLIN) {
        (void)sb_overlay_warm_addr(r->state, &msg.recipient);
    }
    if (is_taken(r, &msg.recipient)) {
        return finish_now(ret_result, r, &msg, SB_EVM_ADDRESS_COLLISION, 0, nothing);
    }
    sb_checkpoint checkpoint = sb_overlay_checkpoint(r->state);
    sb_overlay_create(r->state, &msg.recipient);
    if (r->revision >= SB_REV_SPURIOUS_DRAGON) {
        sb_overlay_nonce_set(r->state, &msg.recipient, 1); /* EIP-161 */
    }
    sb_overlay_balance_sub(r->state, &msg.sender, &msg.value);
    sb_overlay_balance_add(r->state, &msg.recipient, &msg.value);
    struct sb_code *code = sb_code_prepare(&r->memory->codes, NULL, msg.input);
    if (code == NULL) {
        r->err = SB_E_NOMEM;
        return finish_now(ret_result, r, &msg, SB_EVM_STOPPED, 0, nothing);
    }
    msg.input = nothing; /* initcode is not calldata */
    frame_push(r, &msg, code, checkpoint);
    return r->err != SB_OK;
}

bool message_begin(struct sb_evm_result *ret_result, struct run *r,
                   const struct sb_message *request)
{
    struct sb_message msg = *request;
    bool is_create = message_is_create(&msg);
    if (msg.kind == SB_CREATE) {
        msg.recipient = create_address(&msg.sender, sb_overlay_nonce(r->state, &msg.sender));
    } else if (msg.kind == SB_CREATE2) {
        msg.recipient = create2_address(&msg.sender, &msg.salt, msg.input);
    }
    if (is_create) {
        msg.code_addr = msg.recipient;
    }
    if (r->tracer != NULL && r->tracer->enter != NULL) {
        r->tracer->enter(r->tracer->ctx, &msg, (int)r->frame_count + 1);
    }
    *ret_result = (struct sb_evm_result){.status = SB_EVM_STOPPED};
    if (r->frame_count > SB_EVM_DEPTH_MAX) {
        return finish_now(ret_result, r, &msg, SB_EVM_CALL_DEPTH, msg.gas,
                          (sb_bytes){.data = NULL, .len = 0});
    }
    bool is_over = is_create ? create_begin(ret_result, r, &msg) : call_begin(ret_result, r, &msg);
    if (r->err == SB_OK) {
        r->err = sb_overlay_err(r->state);
    }
    return is_over;
}

/* --- the end of a frame --- */

/* Store what the initcode returned as the new account's code. */
static enum sb_evm_status deposit(struct run *r, struct frame *f, sb_bytes *code)
{
    if (code->len > r->evm->rules->code_bytes_max) {
        return SB_EVM_CODE_TOO_LARGE;
    }
    if (r->revision >= SB_REV_LONDON && code->len != 0 && code->data[0] == 0xef) { /* EIP-3541 */
        return SB_EVM_INVALID_CODE;
    }
    if (!gas_charge(f, (int64_t)code->len * GAS_CODE_BYTE)) {
        if (r->revision >= SB_REV_HOMESTEAD) { /* EIP-2 */
            return SB_EVM_OUT_OF_GAS;
        }
        *code = (sb_bytes){.data = NULL, .len = 0};
    }
    sb_overlay_code_set(r->state, &f->msg.recipient, *code);
    return SB_EVM_SUCCESS;
}

void frame_finish(struct sb_evm_result *ret_result, struct run *r, enum sb_evm_status status,
                  sb_bytes output)
{
    struct frame *f = r->top;
    bool is_create = message_is_create(&f->msg);
    if (is_create && status == SB_EVM_SUCCESS) {
        status = deposit(r, f, &output);
    }
    if (status != SB_EVM_SUCCESS) {
        sb_overlay_rollback(r->state, f->checkpoint);
    }
    bool keeps = status == SB_EVM_SUCCESS || status == SB_EVM_REVERT;
    struct sb_evm_result result = {
        .status = status,
        .gas_left = keeps ? f->gas : 0,
        .output = keeps ? output : (sb_bytes){.data = NULL, .len = 0},
    };
    if (is_create) {
        result.created = f->msg.recipient;
    }
    sb_code_release(f->code);
    f->code = NULL;
    r->frame_count--;
    r->top = r->frame_count != 0 ? r->memory->frames[r->frame_count - 1] : NULL;
    trace_leave(r, &f->msg, &result);
    if (r->err == SB_OK) {
        r->err = sb_overlay_err(r->state);
    }
    *ret_result = result;
}
