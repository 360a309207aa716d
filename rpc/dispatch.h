/* dispatch.h: from the text of a body to the text of its answer: find the method, read params, run it, wrap the result.
 *
 *     body --plan--> where it must run --serve (loop or worker)--> answer
 *
 * One deadline watch goes with each job: the loop's timer sets its stop flag when the time of the running request is over, or when the
 * client is gone. Everything here is thread-safe; a watch is shared by the worker that serves and the loop that watches. */
#ifndef SB_RPC_DISPATCH_H
#define SB_RPC_DISPATCH_H

#include <uv.h>

#include "rpc/method.h"
#include "rpc/request.h"

/* Bodies above this are not parsed on the loop but by a worker. */
#define SB_RPC_LOOP_BODY_BYTES_MAX ((size_t)32 * 1024)

struct sb_rpc_watch {
    uv_mutex_t lock;
    uint64_t deadline_ns; /* under lock; 0: nothing runs */
    bool cancelled;       /* under lock */
    atomic_bool stop;
};

sb_err sb_rpc_watch_init(struct sb_rpc_watch *watch) SB_MUST_USE;
void sb_rpc_watch_fini(struct sb_rpc_watch *watch);
/* sb_rpc_watch_cancel: stop what runs now and all that follows. */
void sb_rpc_watch_cancel(struct sb_rpc_watch *watch);
/* sb_rpc_watch_check: stop what runs if its deadline is before now_ns. */
void sb_rpc_watch_check(struct sb_rpc_watch *watch, uint64_t now_ns);

/* sb_rpc_plan: where the body must run, judged by its methods: the slowest decides. Bodies that are malformed run on the loop. */
enum sb_rpc_where sb_rpc_plan(const struct sb_rpc_services *services, sb_bytes text);

/* What one served body adds to the counters. */
struct sb_rpc_tally {
    uint64_t requests, errors;
};

/* sb_rpc_serve: append the answer to out (nothing for notifications). out is empty and its limit is that of sb_rpc_answer_limit.
 * In:  text of the body; session NULL over HTTP; watch NULL on the loop; arena is rewound between requests */
struct sb_rpc_tally sb_rpc_serve(const struct sb_rpc_services *services,
                                 struct sb_rpc_session *session, struct sb_rpc_watch *watch,
                                 struct sb_arena *arena, sb_bytes text, struct sb_buf *out);
/* sb_rpc_answer_limit: limit_bytes of an answer's buffer: response_bytes_max and room for the errors that say so. */
size_t sb_rpc_answer_limit(const struct sb_rpc_options *options);
/* sb_rpc_write_error: the whole answer {jsonrpc, id, error}; id is JSON text. */
void sb_rpc_write_error(struct sb_buf *out, sb_bytes id, const struct sb_rpc_failure *failure);
/* sb_rpc_write_plain_error: the same with id null. */
void sb_rpc_write_plain_error(struct sb_buf *out, int code, const char *message);

#endif
