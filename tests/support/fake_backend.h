/* fake_backend.h: a small fixed chain in memory behind the RPC's table of questions, for tests of the server without a node.
 *
 *     block 0  genesis, no transactions
 *     block 1  a legacy transfer, a contract creation whose receipt has two logs
 *     block 2  a fee-market call with an access list and one log        <- head
 *     pool     one pending and one queued transaction
 *
 * Blocks are real: encoded, hashed, signed transactions, right roots and blooms. Code is not executed: eth_call answers its input back,
 * reverts when the first byte is 0xfd with the rest as revert data, and runs until its stop flag when the input is 5b600056.
 * Transactions that are submitted are decoded and remembered in the pool. Thread-safe. */
#ifndef SB_TESTS_SUPPORT_FAKE_BACKEND_H
#define SB_TESTS_SUPPORT_FAKE_BACKEND_H

#include "rpc/backend.h"

#define FAKE_CHAIN_ID 23296
#define FAKE_HEAD     2
#define FAKE_PEERS    3

struct fake_backend;

/* fake_backend_new: build the chain; aborts the test when that fails. */
struct fake_backend *fake_backend_new(void);
void fake_backend_free(struct fake_backend *fake);
/* fake_backend_table: the functions to give to a server. */
struct sb_rpc_backend fake_backend_table(struct fake_backend *fake);
/* fake_backend_block: a block of the chain, number <= FAKE_HEAD. */
const struct sb_rpc_block *fake_backend_block(const struct fake_backend *fake, uint64_t number);
/* fake_backend_calls_running: how many endless calls run now. */
int fake_backend_calls_running(const struct fake_backend *fake);

/* fake_backend_set_condition: what health tells; SB_RPC_READY at first. */
void fake_backend_set_condition(struct fake_backend *fake, enum sb_rpc_condition condition);

/* fake_backend_set_oldest: blocks below this one are not kept; 0 at first. */
void fake_backend_set_oldest(struct fake_backend *fake, uint64_t oldest);

/* The account that sends everything, and the contract of block 1. */
sb_addr fake_backend_sender(const struct fake_backend *fake);
sb_addr fake_backend_contract(const struct fake_backend *fake);

#endif
