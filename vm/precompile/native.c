/* native.c: form, gas and answers of the native precompiles; see native.h. */
#include "vm/precompile/native.h"

#include "base/util/endian.h"

/* Offset and length before the bytes of a lone dynamic value. */
#define HEAD_BYTES ((size_t)2 * SB_ABI_WORD_BYTES)

sb_addr native_addr(uint16_t low)
{
    sb_addr addr = {{0}};
    be_store16(addr.b + sizeof addr.b - sizeof low, low);
    return addr;
}

bool native_charge(struct native *n, uint64_t gas)
{
    uint64_t left = (uint64_t)n->call->message->gas - n->gas_used;
    if (gas > left) {
        (void)sb_precompile_fail(n->result, n->call);
        return false;
    }
    n->gas_used += gas;
    return true;
}

static sb_err finish(struct native *n, enum sb_precompile_outcome outcome, sb_bytes output)
{
    uint8_t *copy = sb_arena_dup(n->call->arena, output);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    *n->result = (struct sb_precompile_result){
        .outcome = outcome, .gas_used = (int64_t)n->gas_used, .output = sb_span(copy, output.len)};
    return SB_OK;
}

static sb_err finish_buf(struct native *n, enum sb_precompile_outcome outcome, struct sb_buf *buf)
{
    sb_err err = sb_buf_err(buf) == SB_OK ? finish(n, outcome, sb_buf_bytes(buf)) : SB_E_NOMEM;
    sb_buf_fini(buf);
    return err;
}

sb_err native_return(struct native *n, sb_bytes output)
{
    return finish(n, SB_PRECOMPILE_OK, output);
}

sb_err native_return_buf(struct native *n, struct sb_buf *buf)
{
    return finish_buf(n, SB_PRECOMPILE_OK, buf);
}

sb_err native_bytes_place(struct native_bytes *ret, struct native *n, size_t len)
{
    size_t padded = (size_t)sb_precompile_words(len) * SB_ABI_WORD_BYTES;
    uint8_t *head = sb_arena_alloc(n->call->arena, HEAD_BYTES + padded);
    if (head == NULL) {
        return SB_E_NOMEM;
    }
    memset(head, 0, HEAD_BYTES);
    be_store64(head + SB_ABI_WORD_BYTES - 8, SB_ABI_WORD_BYTES); /* offset of the value */
    be_store64(head + HEAD_BYTES - 8, len);
    memset(head + HEAD_BYTES + len, 0, padded - len);
    *ret = (struct native_bytes){.data = head + HEAD_BYTES,
                                 .encoded = sb_span(head, HEAD_BYTES + padded)};
    return SB_OK;
}

void native_return_bytes(struct native *n, const struct native_bytes *bytes)
{
    *n->result = (struct sb_precompile_result){
        .outcome = SB_PRECOMPILE_OK, .gas_used = (int64_t)n->gas_used, .output = bytes->encoded};
}

sb_err native_return_u256(struct native *n, const sb_u256 *value)
{
    uint8_t word[SB_ABI_WORD_BYTES];
    sb_u256_store_be(word, value);
    return native_return(n, sb_span(word, sizeof word));
}

sb_err native_revert(struct native *n, const char *signature, const sb_u256 *args, size_t arg_count)
{
    struct sb_buf buf;
    sb_buf_init(&buf, 1024);
    sb_abi_put_error(&buf, sb_abi_selector(signature), args, arg_count);
    return finish_buf(n, SB_PRECOMPILE_REVERT, &buf);
}

sb_err native_bad_call(struct native *n)
{
    return native_revert(n, "BadCall()", NULL, 0);
}

bool native_begin(struct native *ret, sb_err *ret_err, struct sb_precompile_result *ret_result,
                  const struct sb_precompile_call *call)
{
    const struct sb_message *message = call->message;
    *ret = (struct native){.call = call, .result = ret_result};
    *ret_err = SB_OK;
    if (!native_charge(ret, NATIVE_BASE_GAS)) {
        return false;
    }
    bool plain = message->kind == SB_CALL || message->kind == SB_STATICCALL;
    if (plain && sb_u256_is_zero(&message->value) &&
        sb_abi_read_call(&ret->selector, &ret->args, message->input) == SB_OK) {
        return true;
    }
    *ret_err = native_bad_call(ret);
    return false;
}

sb_err native_dispatch(struct sb_precompile_result *ret_result,
                       const struct sb_precompile_call *call,
                       const struct native_function *functions, size_t count)
{
    struct native n;
    sb_err err;
    if (!native_begin(&n, &err, ret_result, call)) {
        return err;
    }
    for (size_t i = 0; i < count; i++) {
        if (n.selector == functions[i].selector) {
            return functions[i].run(&n);
        }
    }
    return native_bad_call(&n);
}

bool native_may_write(sb_err *ret_err, struct native *n, uint16_t low)
{
    if (n->call->message->is_static || n->call->message->kind == SB_STATICCALL) {
        *ret_err = native_bad_call(n);
        return false;
    }
    sb_addr allowed = native_addr(low);
    if (!sb_addr_equal(&n->call->message->sender, &allowed)) {
        *ret_err = native_revert(n, "NotAuthorised()", NULL, 0);
        return false;
    }
    return true;
}
