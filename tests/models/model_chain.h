/* model_chain.h: a dev node for the model check: inferences by eth_call and inside transactions.
 *
 *     eth_call      -------------------------------> Inference (0x5b01)
 *     transaction --> forwarder contract --STATICCALL--> Inference (0x5b01);  what came back is logged: the receipt carries it
 *
 * The forwarder passes its calldata on and logs the returned bytes as they are, so that a receipt shows every bit of an answer. */
#ifndef SB_TESTS_MODELS_MODEL_CHAIN_H
#define SB_TESTS_MODELS_MODEL_CHAIN_H

#include <sys/types.h>

#include "base/types/hash.h"
#include "base/util/buf.h"
#include "base/util/err.h"
#include "tests/support/rpc_session.h"

struct model_chain {
    pid_t pid;
    uint16_t port;
    struct rpc_session session;
    char key[67]; /* of a funded account, 0x... */
    uint8_t secret[32];
    uint64_t chain_id, nonce;
    sb_addr forwarder;
    char error[RPC_ERROR_BYTES]; /* why a function failed */
};

/* model_chain_start: start `samebit dev`, deploy the forwarder. false: see error. model_chain_stop: end it; false unless it ended with
 * status 0. */
bool model_chain_start(struct model_chain *chain, const char *samebit, const char *log_path);
bool model_chain_stop(struct model_chain *chain);
/* model_chain_sync: another program has sent from the same account: read the nonce again. */
bool model_chain_sync(struct model_chain *chain);

/* model_chain_call: what 0x5b01 returns to this calldata, appended to out. */
bool model_chain_call(struct sb_buf *out, struct model_chain *chain, sb_bytes calldata);
/* model_chain_transact: the same from the receipt of a transaction through the forwarder. */
bool model_chain_transact(struct sb_buf *out, uint64_t *ret_gas_used, struct model_chain *chain,
                          sb_bytes calldata);

#endif
