/* params.c: scalars and block references; objects are in params_call.c and params_filter.c. */
#include "rpc/params.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/codec/hex.h"

void sb_rpc_bad_param_set(struct sb_rpc_ctx *ctx, struct sb_rpc_value value, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (value.field == NULL) {
        sb_rpc_failure_set(ctx, SB_RPC_INVALID_PARAMS, "invalid argument %u: %s", value.arg, text);
        return;
    }
    sb_rpc_failure_set(ctx, SB_RPC_INVALID_PARAMS, "invalid argument %u: %s: %s", value.arg,
                       value.field, text);
}

struct sb_rpc_value sb_rpc_arg(const struct sb_rpc_ctx *ctx, unsigned i)
{
    const json_t *json = ctx->params != NULL ? json_array_get(ctx->params, i) : NULL;
    return (struct sb_rpc_value){.json = json_is_null(json) ? NULL : json, .arg = i, .field = NULL};
}

struct sb_rpc_value sb_rpc_member(struct sb_rpc_value object, const char *name)
{
    const json_t *json = json_object_get(object.json, name);
    return (struct sb_rpc_value){
        .json = json_is_null(json) ? NULL : json, .arg = object.arg, .field = name};
}

/* jansson's iterators take a mutable object though they only read. */
void *sb_rpc_object_first(struct sb_rpc_value object)
{
    return json_object_iter((json_t *)(uintptr_t)object.json);
}

void *sb_rpc_object_next(struct sb_rpc_value object, void *at)
{
    return json_object_iter_next((json_t *)(uintptr_t)object.json, at);
}

sb_err sb_rpc_args(struct sb_rpc_ctx *ctx, unsigned required, unsigned most)
{
    size_t count = ctx->params != NULL ? json_array_size(ctx->params) : 0;
    if (count > most) {
        return sb_rpc_fail(ctx, SB_E_ARG, SB_RPC_INVALID_PARAMS,
                           "too many arguments, want at most %u", most);
    }
    for (unsigned i = 0; i < required; i++) {
        if (!sb_rpc_present(sb_rpc_arg(ctx, i))) {
            return sb_rpc_fail(ctx, SB_E_ARG, SB_RPC_INVALID_PARAMS,
                               "missing value for required argument %u", i);
        }
    }
    return SB_OK;
}

static const char *type_name(const json_t *json)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "a boolean",
        [JSON_FALSE] = "a boolean",  [JSON_NULL] = "null",
    };
    return json == NULL ? "nothing" : names[json_typeof(json)];
}

/* The text of a string value of any content. */
static sb_err take_string(struct sb_rpc_ctx *ctx, const char **ret_text, size_t *ret_len,
                          struct sb_rpc_value value, const char *want)
{
    if (!json_is_string(value.json)) {
        return sb_rpc_bad_param(ctx, value, "got %s, want %s", type_name(value.json), want);
    }
    *ret_text = json_string_value(value.json);
    *ret_len = json_string_length(value.json);
    return SB_OK;
}

/* The digits behind "0x"; all of them are hexadecimal. */
static sb_err take_digits(struct sb_rpc_ctx *ctx, const char **ret_digits, size_t *ret_len,
                          struct sb_rpc_value value, const char *want)
{
    const char *text = NULL;
    size_t len = 0;
    SB_TRY(take_string(ctx, &text, &len, value, want));
    if (len == 0) {
        return sb_rpc_bad_param(ctx, value, "empty hex string");
    }
    if (len < 2 || text[0] != '0' || (text[1] != 'x' && text[1] != 'X')) {
        return sb_rpc_bad_param(ctx, value, "hex string without 0x prefix");
    }
    for (size_t i = 2; i < len; i++) {
        if (sb_hex_digit(text[i]) < 0) {
            return sb_rpc_bad_param(ctx, value, "invalid hex string");
        }
    }
    *ret_digits = text + 2;
    *ret_len = len - 2;
    return SB_OK;
}

sb_err sb_rpc_read_text(struct sb_rpc_ctx *ctx, const char **ret, struct sb_rpc_value value)
{
    size_t len = 0;
    return take_string(ctx, ret, &len, value, "a string");
}

sb_err sb_rpc_read_bool(struct sb_rpc_ctx *ctx, bool *ret, struct sb_rpc_value value)
{
    if (!json_is_boolean(value.json)) {
        return sb_rpc_bad_param(ctx, value, "got %s, want a boolean", type_name(value.json));
    }
    *ret = json_is_true(value.json);
    return SB_OK;
}

static sb_err take_quantity(struct sb_rpc_ctx *ctx, sb_u256 *ret, struct sb_rpc_value value,
                            size_t digits_max)
{
    const char *digits = NULL;
    size_t len = 0;
    SB_TRY(take_digits(ctx, &digits, &len, value, "a quantity (0x hex)"));
    if (len == 0) {
        return sb_rpc_bad_param(ctx, value, "hex string \"0x\"");
    }
    if (digits[0] == '0' && len > 1) {
        return sb_rpc_bad_param(ctx, value, "hex number with leading zero digits");
    }
    if (len > digits_max) {
        return sb_rpc_bad_param(ctx, value, "hex number > %zu bits", digits_max * 4);
    }
    sb_u256 number = sb_u256_zero();
    for (size_t i = 0; i < len; i++) {
        for (int w = 3; w > 0; w--) {
            number.w[w] = number.w[w] << 4 | number.w[w - 1] >> 60;
        }
        number.w[0] = number.w[0] << 4 | (uint64_t)sb_hex_digit(digits[i]);
    }
    *ret = number;
    return SB_OK;
}

sb_err sb_rpc_read_u64(struct sb_rpc_ctx *ctx, uint64_t *ret, struct sb_rpc_value value)
{
    sb_u256 number;
    SB_TRY(take_quantity(ctx, &number, value, 16));
    *ret = number.w[0];
    return SB_OK;
}

sb_err sb_rpc_read_u256(struct sb_rpc_ctx *ctx, sb_u256 *ret, struct sb_rpc_value value)
{
    return take_quantity(ctx, ret, value, 64);
}

sb_err sb_rpc_read_count(struct sb_rpc_ctx *ctx, uint64_t *ret, struct sb_rpc_value value)
{
    if (!json_is_integer(value.json)) {
        return sb_rpc_read_u64(ctx, ret, value);
    }
    if (json_integer_value(value.json) < 0) {
        return sb_rpc_bad_param(ctx, value, "negative number");
    }
    *ret = (uint64_t)json_integer_value(value.json);
    return SB_OK;
}

sb_err sb_rpc_read_data(struct sb_rpc_ctx *ctx, sb_bytes *ret, struct sb_rpc_value value)
{
    const char *digits = NULL;
    size_t len = 0;
    SB_TRY(take_digits(ctx, &digits, &len, value, "data (0x hex)"));
    if (len % 2 != 0) {
        return sb_rpc_bad_param(ctx, value, "hex string has odd length");
    }
    uint8_t *bytes = sb_arena_alloc(ctx->arena, len / 2);
    if (bytes == NULL) {
        return SB_E_NOMEM;
    }
    SB_TRY(sb_hex_decode(bytes, len / 2, digits, len));
    *ret = sb_span(bytes, len / 2);
    return SB_OK;
}

static sb_err take_fixed(struct sb_rpc_ctx *ctx, uint8_t *ret, size_t len,
                         struct sb_rpc_value value, const char *what)
{
    const char *digits = NULL;
    size_t digit_count = 0;
    SB_TRY(take_digits(ctx, &digits, &digit_count, value, what));
    if (digit_count != 2 * len) {
        return sb_rpc_bad_param(ctx, value, "hex string has length %zu, want %zu for %s",
                                digit_count, 2 * len, what);
    }
    return sb_hex_decode(ret, len, digits, digit_count);
}

sb_err sb_rpc_read_hash(struct sb_rpc_ctx *ctx, sb_hash *ret, struct sb_rpc_value value)
{
    return take_fixed(ctx, ret->b, sizeof ret->b, value, "a hash");
}

sb_err sb_rpc_read_addr(struct sb_rpc_ctx *ctx, sb_addr *ret, struct sb_rpc_value value)
{
    return take_fixed(ctx, ret->b, sizeof ret->b, value, "an address");
}

sb_err sb_rpc_read_slot_key(struct sb_rpc_ctx *ctx, sb_hash *ret, struct sb_rpc_value value)
{
    const char *digits = NULL;
    size_t len = 0;
    SB_TRY(take_digits(ctx, &digits, &len, value, "a storage key (0x hex)"));
    if (len > 64) {
        return sb_rpc_bad_param(ctx, value, "storage key too long (want at most 32 bytes)");
    }
    if (len == 0) {
        return sb_rpc_bad_param(ctx, value, "empty storage key");
    }
    char padded[64];
    memset(padded, '0', sizeof padded);
    memcpy(padded + sizeof padded - len, digits, len);
    return sb_hex_decode(ret->b, sizeof ret->b, padded, sizeof padded);
}

/* ---- blocks ---- */

static bool take_tag(enum sb_rpc_tag *ret, const char *text)
{
    static const char *const tags[] = {
        [SB_RPC_LATEST] = "latest",       [SB_RPC_PENDING] = "pending",
        [SB_RPC_EARLIEST] = "earliest",   [SB_RPC_SAFE] = "safe",
        [SB_RPC_FINALIZED] = "finalized",
    };
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        if (strcmp(text, tags[i]) == 0) {
            *ret = (enum sb_rpc_tag)i;
            return true;
        }
    }
    return false;
}

sb_err sb_rpc_read_block_number(struct sb_rpc_ctx *ctx, struct sb_rpc_block_ref *ret,
                                struct sb_rpc_value value)
{
    struct sb_rpc_block_ref ref = {.by = SB_RPC_BY_TAG, .tag = SB_RPC_LATEST};
    if (sb_rpc_present(value) &&
        !(json_is_string(value.json) && take_tag(&ref.tag, json_string_value(value.json)))) {
        SB_TRY(sb_rpc_read_u64(ctx, &ref.number, value));
        if (ref.number > INT64_MAX) {
            return sb_rpc_bad_param(ctx, value, "block number larger than int64");
        }
        ref.by = SB_RPC_BY_NUMBER;
    }
    *ret = ref;
    return SB_OK;
}

static sb_err read_block_object(struct sb_rpc_ctx *ctx, struct sb_rpc_block_ref *ret,
                                struct sb_rpc_value value)
{
    struct sb_rpc_value number = sb_rpc_member(value, "blockNumber");
    struct sb_rpc_value hash = sb_rpc_member(value, "blockHash");
    if (sb_rpc_present(number) == sb_rpc_present(hash)) {
        return sb_rpc_bad_param(ctx, value,
                                "specify either blockHash or blockNumber, not both and not none");
    }
    if (sb_rpc_present(number)) {
        return sb_rpc_read_block_number(ctx, ret, number);
    }
    struct sb_rpc_block_ref ref = {.by = SB_RPC_BY_HASH};
    SB_TRY(sb_rpc_read_hash(ctx, &ref.hash, hash));
    *ret = ref;
    return SB_OK;
}

sb_err sb_rpc_read_block_ref(struct sb_rpc_ctx *ctx, struct sb_rpc_block_ref *ret,
                             struct sb_rpc_value value)
{
    if (json_is_object(value.json)) {
        return read_block_object(ctx, ret, value);
    }
    if (json_is_string(value.json) && json_string_length(value.json) == 66) {
        struct sb_rpc_block_ref ref = {.by = SB_RPC_BY_HASH};
        SB_TRY(sb_rpc_read_hash(ctx, &ref.hash, value));
        *ret = ref;
        return SB_OK;
    }
    return sb_rpc_read_block_number(ctx, ret, value);
}
