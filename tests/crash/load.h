/* load.h: transactions for a node that will be killed, and the memory of what it acknowledged.
 *
 *     senders --signed transfers, storage writes, deployments, inferences--> eth_sendRawTransaction (batches) --> eth_getTransactionReceipt
 *                                                                                                          |
 *                                                           acknowledged receipts, kept for ever <----------+
 *
 * A receipt that was read is a promise: it must be there, equal to the letter, in every later life of the chain. */
#ifndef SB_TESTS_CRASH_LOAD_H
#define SB_TESTS_CRASH_LOAD_H

#include "base/types/hash.h"
#include "tests/support/random.h"
#include "tests/support/rpc_session.h"

#define LOAD_SENDERS 8

struct load_receipt {
    char *tx_hash; /* owned text, 0x... */
    char *json;    /* owned: the receipt with sorted keys */
    uint64_t block_number;
    char block_hash[67];
};

struct load_sender {
    uint8_t secret[32];
    sb_addr addr;
    uint64_t next_nonce;  /* of the next transaction to send */
    uint64_t known_nonce; /* the account's, at least */
};

struct load {
    struct load_sender senders[LOAD_SENDERS];
    uint64_t chain_id;
    struct load_receipt *receipts; /* owned, in the order of acknowledgement */
    size_t receipt_count, receipt_capacity;
    uint64_t sent_count;
    uint64_t inference_count; /* of the receipts, those of the reader */
    uint64_t head_number;     /* the highest block that was seen */
    char head_hash[67];
    bool has_contract;
    char contract[43];
    char reader[43];   /* a DigitReader that is asked too; empty: none */
    char problem[512]; /* not empty: the node answered what it must not */
};

/* load_init: with the senders of group 0. */
void load_init(struct load *load, uint64_t chain_id);
/* load_use_senders: go on with other senders, which have sent nothing yet; each group has keys of its own. What was acknowledged stays.
 * For a chain of several nodes: what the old senders left in some pool must not meet what they would send now. */
void load_use_senders(struct load *load, uint32_t group);
void load_fini(struct load *load);

/* load_step: send a batch and read its receipts. false when the connection broke or `problem` is set. */
bool load_step(struct load *load, struct rpc_session *session, struct sb_random *random);
/* load_drive: send and read receipts until the connection breaks or `problem` is set. */
void load_drive(struct load *load, struct rpc_session *session, struct sb_random *random);

/* load_check: the chain of a restarted node has the head, every receipt from index `from` on, and `sample` random older ones; no nonce
 * has gone back. false with `problem` set. Afterwards the load may be driven again. */
bool load_check(struct load *load, struct rpc_session *session, size_t from, size_t sample,
                struct sb_random *random);

#endif
