/* params.h: strict typed reading of a request's parameters.
 *
 * Every reader takes a value with its place and writes *ret only on success. Failures are -32602 and name the argument and the field:
 * "invalid argument 0: from: hex string has length 4, want 40 for an address". Lists and bytes are copied into the arena of the request.
 * JSON null counts as absent. Spec: execution-apis; where it is silent, what geth accepts. */
#ifndef SB_RPC_PARAMS_H
#define SB_RPC_PARAMS_H

#include "rpc/logs.h"
#include "rpc/method.h"

/* Bounds on lists in one request. */
#define SB_RPC_LIST_MAX          1000 /* addresses or topics of a filter, slots of a proof, percentiles */
#define SB_RPC_OVERRIDES_MAX     1000
#define SB_RPC_SIMULATE_MAX      256 /* blocks of eth_simulateV1 */
#define SB_RPC_SIMULATE_CALL_MAX 5000

/* A JSON value and what messages call it. */
struct sb_rpc_value {
    const json_t *json; /* NULL: absent */
    unsigned arg;
    const char *field; /* NULL for the argument itself */
};

/* sb_rpc_args: the request has between `required` and `most` arguments. */
sb_err sb_rpc_args(struct sb_rpc_ctx *ctx, unsigned required, unsigned most) SB_MUST_USE;
/* sb_rpc_arg: argument i, absent when it is missing or null. */
struct sb_rpc_value sb_rpc_arg(const struct sb_rpc_ctx *ctx, unsigned i);
/* sb_rpc_member: a member of an object value, absent when it is missing or null. */
struct sb_rpc_value sb_rpc_member(struct sb_rpc_value object, const char *name);
static inline bool sb_rpc_present(struct sb_rpc_value value)
{
    return value.json != NULL;
}

/* sb_rpc_object_first, sb_rpc_object_next: iterators of jansson over an object's members; NULL at the end. */
void *sb_rpc_object_first(struct sb_rpc_value object);
void *sb_rpc_object_next(struct sb_rpc_value object, void *at);

/* sb_rpc_bad_param: fail with SB_E_ARG and "invalid argument i: field: message". */
void sb_rpc_bad_param_set(struct sb_rpc_ctx *ctx, struct sb_rpc_value value, const char *fmt, ...)
    SB_PRINTF(3, 4);
#define sb_rpc_bad_param(ctx, value, ...) (sb_rpc_bad_param_set(ctx, value, __VA_ARGS__), SB_E_ARG)

sb_err sb_rpc_read_bool(struct sb_rpc_ctx *ctx, bool *ret, struct sb_rpc_value value) SB_MUST_USE;
/* Quantities: "0x" without leading zeros. */
sb_err sb_rpc_read_u64(struct sb_rpc_ctx *ctx, uint64_t *ret,
                       struct sb_rpc_value value) SB_MUST_USE;
sb_err sb_rpc_read_u256(struct sb_rpc_ctx *ctx, sb_u256 *ret,
                        struct sb_rpc_value value) SB_MUST_USE;
/* sb_rpc_read_count: a quantity or a JSON integer that is not negative. */
sb_err sb_rpc_read_count(struct sb_rpc_ctx *ctx, uint64_t *ret,
                         struct sb_rpc_value value) SB_MUST_USE;
sb_err sb_rpc_read_data(struct sb_rpc_ctx *ctx, sb_bytes *ret,
                        struct sb_rpc_value value) SB_MUST_USE;
sb_err sb_rpc_read_hash(struct sb_rpc_ctx *ctx, sb_hash *ret,
                        struct sb_rpc_value value) SB_MUST_USE;
sb_err sb_rpc_read_addr(struct sb_rpc_ctx *ctx, sb_addr *ret,
                        struct sb_rpc_value value) SB_MUST_USE;
/* sb_rpc_read_slot_key: a storage key of 1 to 32 bytes, shorter ones are padded in front; an odd number of digits is allowed. */
sb_err sb_rpc_read_slot_key(struct sb_rpc_ctx *ctx, sb_hash *ret,
                            struct sb_rpc_value value) SB_MUST_USE;
sb_err sb_rpc_read_text(struct sb_rpc_ctx *ctx, const char **ret,
                        struct sb_rpc_value value) SB_MUST_USE;

/* sb_rpc_read_block_ref: tag, number, hash or EIP-1898 object; absent: latest. sb_rpc_read_block_number: no hashes. */
sb_err sb_rpc_read_block_ref(struct sb_rpc_ctx *ctx, struct sb_rpc_block_ref *ret,
                             struct sb_rpc_value value) SB_MUST_USE;
sb_err sb_rpc_read_block_number(struct sb_rpc_ctx *ctx, struct sb_rpc_block_ref *ret,
                                struct sb_rpc_value value) SB_MUST_USE;

/* params_call.c: the objects of eth_call and its relatives. */
sb_err sb_rpc_read_call(struct sb_rpc_ctx *ctx, struct sb_rpc_call *ret,
                        struct sb_rpc_value value) SB_MUST_USE;
sb_err sb_rpc_read_overrides(struct sb_rpc_ctx *ctx, const struct sb_rpc_account_override **ret,
                             size_t *ret_count, struct sb_rpc_value value) SB_MUST_USE;
sb_err sb_rpc_read_block_override(struct sb_rpc_ctx *ctx, struct sb_rpc_block_override *ret,
                                  struct sb_rpc_value value) SB_MUST_USE;
/* sb_rpc_read_query: (call, block, overrides, block override) from argument 0 on. */
sb_err sb_rpc_read_query(struct sb_rpc_ctx *ctx, struct sb_rpc_query *ret) SB_MUST_USE;
sb_err sb_rpc_read_trace_config(struct sb_rpc_ctx *ctx, struct sb_rpc_trace_config *ret,
                                struct sb_rpc_value value) SB_MUST_USE;
sb_err sb_rpc_read_simulation(struct sb_rpc_ctx *ctx, struct sb_rpc_simulation *ret,
                              struct sb_rpc_value value) SB_MUST_USE;

/* sb_rpc_read_log_filter: the object of eth_getLogs; lists live in the arena. */
sb_err sb_rpc_read_log_filter(struct sb_rpc_ctx *ctx, struct sb_rpc_log_filter *ret,
                              struct sb_rpc_value value) SB_MUST_USE;

#endif
