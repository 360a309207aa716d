/* rpc_client.h: a small JSON-RPC client over HTTP, and a wallet that sends transactions through it: what the commands that talk to
 * a node use. They go through the same door as any user.
 *
 * One request a connection; every answer is bounded in size and time. */
#ifndef SB_NODE_RPC_CLIENT_H
#define SB_NODE_RPC_CLIENT_H

#include <jansson.h>

#include "base/num/u256.h"
#include "base/types/hash.h"
#include "base/util/buf.h"
#include "base/util/err.h"

#define SB_RPC_URL_DEFAULT        "http://127.0.0.1:8545"
#define SB_RPC_CLIENT_TIMEOUT_MS  30000
#define SB_RPC_ANSWER_BYTES_MAX   ((size_t)32 << 20)
#define SB_RPC_REVERT_TEXT_BYTES  ((size_t)4096)
#define SB_RPC_HOST_BYTES         256
#define SB_RPC_RECEIPT_TIMEOUT_MS 120000

struct sb_rpc_client {
    char host[SB_RPC_HOST_BYTES];
    char port[8];
    char path[SB_RPC_HOST_BYTES];
    uint64_t timeout_ms; /* of one request */
    /* The last answer that was an error: its code (0: none) and, as text, its data. */
    int error_code;
    char error_data[SB_RPC_REVERT_TEXT_BYTES];
};

/* sb_rpc_client_init: url is http://HOST:PORT[/PATH]; nothing is sent yet. SB_E_SYNTAX. */
sb_err sb_rpc_client_init(struct sb_rpc_client *client, const char *url,
                          struct sb_diag *diag) SB_MUST_USE;

/* sb_rpc_client_call: one request. params is taken, also on failure; it may be NULL for none. *ret_result belongs to the caller.
 * SB_E_IO (no connection), SB_E_TIMEOUT, SB_E_SYNTAX (no JSON-RPC), SB_E_LIMIT; SB_E_ARG when the node answers with an error: the
 * message is the node's, client->error_code and error_data are set. */
sb_err sb_rpc_client_call(json_t **ret_result, struct sb_rpc_client *client, const char *method,
                          json_t *params, struct sb_diag *diag) SB_MUST_USE;

/* sb_rpc_client_get: a page of the node ("/metrics"), appended to out. The errors of a call; SB_E_SYNTAX for any status but 200. */
sb_err sb_rpc_client_get(struct sb_buf *out, const struct sb_rpc_client *client, const char *path,
                         struct sb_diag *diag) SB_MUST_USE;

/* The same for results that are a quantity or data ("0x..."); data is appended to out. */
sb_err sb_rpc_client_u256(sb_u256 *ret, struct sb_rpc_client *client, const char *method,
                          json_t *params, struct sb_diag *diag) SB_MUST_USE;
sb_err sb_rpc_client_u64(uint64_t *ret, struct sb_rpc_client *client, const char *method,
                         json_t *params, struct sb_diag *diag) SB_MUST_USE;
sb_err sb_rpc_client_data(struct sb_buf *out, struct sb_rpc_client *client, const char *method,
                          json_t *params, struct sb_diag *diag) SB_MUST_USE;

/* sb_json_data: a JSON string "0x..." of the bytes; NULL when out of memory. */
json_t *sb_json_data(sb_bytes data);
/* sb_json_read_data: the reverse, appended to out. SB_E_TYPE, SB_E_SYNTAX, SB_E_LIMIT. */
sb_err sb_json_read_data(struct sb_buf *out, const json_t *text) SB_MUST_USE;
/* sb_json_read_u64: a member that is a quantity. SB_E_TYPE when there is none. */
sb_err sb_json_read_u64(uint64_t *ret, const json_t *object, const char *name) SB_MUST_USE;

/* ---- calls and transactions ---- */

/* sb_rpc_eth_call: run a call at the newest block; what it returns is appended to out. from may be NULL. */
sb_err sb_rpc_eth_call(struct sb_buf *out, struct sb_rpc_client *client, const sb_addr *from,
                       const sb_addr *to, sb_bytes data, struct sb_diag *diag) SB_MUST_USE;

struct sb_wallet {
    struct sb_rpc_client *client; /* borrowed */
    uint8_t secret[32];
    sb_addr addr;
    uint64_t chain_id;
    uint64_t nonce; /* of the next transaction */
};

/* sb_wallet_init: address, chain id and next nonce. Wipe with sb_wallet_fini. SB_E_RANGE for no valid key, else as sb_rpc_client_call. */
sb_err sb_wallet_init(struct sb_wallet *wallet, struct sb_rpc_client *client,
                      const uint8_t secret[32], struct sb_diag *diag) SB_MUST_USE;
void sb_wallet_fini(struct sb_wallet *wallet);

/* sb_wallet_send: estimate, sign and submit a transaction of type 2. to NULL: create a contract. Does not wait. */
sb_err sb_wallet_send(sb_hash *ret_hash, struct sb_wallet *wallet, const sb_addr *to,
                      const sb_u256 *value, sb_bytes data, struct sb_diag *diag) SB_MUST_USE;
/* sb_wallet_wait: until the receipt is there. *ret_receipt belongs to the caller. SB_E_TIMEOUT; SB_E_CANCELLED when the transaction
 * failed in its block. */
sb_err sb_wallet_wait(json_t **ret_receipt, struct sb_wallet *wallet, const sb_hash *hash,
                      struct sb_diag *diag) SB_MUST_USE;

#endif
