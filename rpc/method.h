/* method.h: what a method handler gets and gives, and the table of all methods.
 *
 *     dispatch --> handler(ctx): reads ctx->params by rpc/params.h, asks ctx->services->backend,
 *                                writes the value of "result" through ctx->out, or fails
 *
 * A handler returns SB_OK after writing exactly one value. Otherwise what it wrote is thrown away and *ctx->failure is the answer;
 * handlers fill it by sb_rpc_fail. An error without a filled failure becomes an internal error. The table is methods.def. */
#ifndef SB_RPC_METHOD_H
#define SB_RPC_METHOD_H

#include <jansson.h>

#include "rpc/server.h"

struct sb_rpc_filters;
struct sb_rpc_session;

/* What all handlers of one server share. */
struct sb_rpc_services {
    struct sb_rpc_backend backend;
    struct sb_rpc_options options; /* no field is zero any more */
    struct sb_rpc_filters *filters;
};

/* Gas that the executions of one body may still use. */
struct sb_rpc_budget {
    uint64_t gas_left;
    bool is_batch;
};

struct sb_rpc_ctx {
    const struct sb_rpc_services *services;
    struct sb_arena *arena; /* lives until the answer is written */
    struct sb_json *out;    /* the value of "result" */
    struct sb_rpc_failure *failure;
    const json_t *params;    /* array, or NULL when the request has none */
    const atomic_bool *stop; /* set when the time is up or the client is gone */
    struct sb_rpc_budget *budget;
    struct sb_rpc_session *session; /* the WebSocket session, NULL over HTTP */
    uint64_t now_ms;                /* monotonic, when the request began */
};

typedef sb_err (*sb_rpc_handler)(struct sb_rpc_ctx *ctx);

/* Where a method runs: on the loop (memory only, microseconds) or in the worker pool: READ reads the database, CALL executes code or
 * searches, TRACE does so for longer. CALL and TRACE always leave a worker free for the reads. */
enum sb_rpc_where { SB_RPC_LOOP, SB_RPC_READ, SB_RPC_CALL, SB_RPC_TRACE };

struct sb_rpc_method {
    const char *name;
    size_t name_len;
    sb_rpc_handler handler;
    enum sb_rpc_where where;
    size_t
        needs_offset; /* in struct sb_rpc_backend: NULL there means that the method does not exist */
    const char *doc;
};

extern const struct sb_rpc_method sb_rpc_methods[];
extern const size_t sb_rpc_method_count;

#define SB_RPC_METHOD(name, where, needs, doc) sb_err sb_rpc_do_##name(struct sb_rpc_ctx *ctx);
#include "rpc/methods.def"
#undef SB_RPC_METHOD

/* sb_rpc_failure_set: fill ctx->failure. */
void sb_rpc_failure_set(struct sb_rpc_ctx *ctx, int code, const char *fmt, ...) SB_PRINTF(3, 4);
/* sb_rpc_fail: fill ctx->failure and give err (not SB_OK). A macro for the reason of sb_fail. */
#define sb_rpc_fail(ctx, err, code, ...) (sb_rpc_failure_set(ctx, code, __VA_ARGS__), (err))
/* sb_rpc_check_stop: the handler should end now; fails with the time limit's message. SB_OK to go on. */
sb_err sb_rpc_check_stop(struct sb_rpc_ctx *ctx) SB_MUST_USE;

#endif
