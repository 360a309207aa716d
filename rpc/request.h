/* request.h: the JSON-RPC 2.0 envelope: one request or a batch, cut into requests by spans into the body.
 *
 *     body --open--> form, count --next--> { id, method, params } as source text, or what is wrong with this entry
 *
 * Ids are kept as source text: they are echoed as they were written. A request without an id is a notification and gets no answer.
 * Total: any bytes give requests or one error. Nothing is allocated; spans live as long as the body. */
#ifndef SB_RPC_REQUEST_H
#define SB_RPC_REQUEST_H

#include "rpc/backend.h"
#include "rpc/json_scan.h"

/* Longest id that is echoed, in bytes of source text. */
#define SB_RPC_ID_BYTES_MAX 256

struct sb_rpc_request_limits {
    struct sb_rpc_json_limits json;
    size_t batch_count_max;
};

struct sb_rpc_body {
    bool is_batch;
    size_t count; /* requests in it */
    struct sb_rpc_json_items items;
    sb_bytes single;
    size_t taken;
};

struct sb_rpc_request {
    sb_bytes id;          /* JSON text; "null" when the request has none */
    bool is_notification; /* well-formed and without id */
    sb_bytes method;      /* source text between the quotes */
    sb_bytes params;      /* JSON text of an array, or empty */
    int problem_code;     /* 0, or the code of the error that is the answer */
    const char *problem;  /* static text of it */
};

/* sb_rpc_body_open: check the body and find its form. false: *failure is the only answer (parse error, empty batch, limits). */
bool sb_rpc_body_open(struct sb_rpc_body *ret_body, struct sb_rpc_failure *failure, sb_bytes text,
                      const struct sb_rpc_request_limits *limits) SB_MUST_USE;
/* sb_rpc_body_next: the next request; false after the last. */
bool sb_rpc_body_next(struct sb_rpc_body *body, struct sb_rpc_request *ret_request);

#endif
