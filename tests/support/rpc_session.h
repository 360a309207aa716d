/* rpc_session.h: a JSON-RPC session over one kept connection, for programs that test a node which may die at any moment.
 *
 * Nothing aborts: a connection that breaks makes every later call return NULL. Not for more than one thread at a time. */
#ifndef SB_TESTS_SUPPORT_RPC_SESSION_H
#define SB_TESTS_SUPPORT_RPC_SESSION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct rpc_session {
    int fd; /* -1: broken */
    int next_id;
    char *buffer; /* owned; the last answer */
    size_t capacity;
};

/* rpc_open: connect to 127.0.0.1:port; false when nobody answers. rpc_close frees what it owns. */
bool rpc_open(struct rpc_session *session, uint16_t port);
void rpc_close(struct rpc_session *session);

/* rpc_batch_add: append a request to an array of requests. params_take: an array, taken. */
void rpc_batch_add(struct rpc_session *session, json_t *batch, const char *method,
                   json_t *params_take);
/* rpc_batch: send all requests in one message. Returns an array of answers, in the order of the requests, owned by the caller, each with
 * "result" or "error"; NULL when the connection broke or the answer is none. Takes batch. */
json_t *rpc_batch(struct rpc_session *session, json_t *batch_take);
/* rpc_call: one request. Returns its result, owned by the caller; NULL with a message in ret_error (which may be NULL) for an error or a
 * broken connection. */
#define RPC_ERROR_BYTES 512
json_t *rpc_call(struct rpc_session *session, const char *method, json_t *params_take,
                 char ret_error[RPC_ERROR_BYTES]);

#endif
