/* format.h: blocks, transactions, receipts and logs as JSON, as execution-apis defines them.
 *
 * Each function writes one value (an object) through the writer. Quantities are 0x hex without leading zeros, bytes are 0x hex,
 * addresses are lower case. Fields that a block's revision does not have are absent. */
#ifndef SB_RPC_FORMAT_H
#define SB_RPC_FORMAT_H

#include "rpc/backend.h"

/* sb_rpc_write_header: the object of newHeads: the header's fields and its hash, neither transactions nor uncles. */
void sb_rpc_write_header(struct sb_json *out, const struct sb_header *header, const sb_hash *hash);

/* sb_rpc_write_block: the object of eth_getBlockBy*; transactions as objects (full_txs) or as hashes. In the pending block hash,
 * nonce and miner are null. */
void sb_rpc_write_block(struct sb_json *out, const struct sb_rpc_block *block, bool full_txs);
/* sb_rpc_write_block_members: the same members into an object that the caller has begun and ends. */
void sb_rpc_write_block_members(struct sb_json *out, const struct sb_rpc_block *block,
                                bool full_txs);

/* Where a transaction stands. Without block (pool) block_hash is NULL and the three place fields are null; base_fee is then NULL. */
struct sb_rpc_tx_place {
    const sb_hash *block_hash;
    uint64_t block_number;
    uint64_t timestamp; /* seconds, of the block */
    uint32_t index;
    const sb_u256 *base_fee;
};

/* sb_rpc_write_tx: the transaction object. gasPrice is the effective price within a block and max_fee in the pool. */
void sb_rpc_write_tx(struct sb_json *out, const struct sb_tx *tx, const sb_hash *hash,
                     const sb_addr *sender, const struct sb_rpc_tx_place *place);
/* sb_rpc_write_block_tx: transaction `index` of a block; index < tx_count. */
void sb_rpc_write_block_tx(struct sb_json *out, const struct sb_rpc_block *block, size_t index);

/* sb_rpc_write_receipt: the receipt object of transaction `index`; block->receipts is not NULL. */
void sb_rpc_write_receipt(struct sb_json *out, const struct sb_rpc_block *block, size_t index);

/* Where a log stands. tx_hash and block_hash are never NULL. */
struct sb_rpc_log_place {
    const sb_hash *block_hash;
    uint64_t block_number;
    uint64_t timestamp;
    const sb_hash *tx_hash;
    uint32_t tx_index;
    uint32_t log_index; /* within the block */
};
void sb_rpc_write_log(struct sb_json *out, const struct sb_log *log,
                      const struct sb_rpc_log_place *place);

/* sb_rpc_write_access_list: [{address, storageKeys}, ...]. */
void sb_rpc_write_access_list(struct sb_json *out, const struct sb_access_entry *entries,
                              size_t count);

/* sb_rpc_create_address: keccak256(rlp([sender, nonce]))[12:], the address of a contract made by a transaction. */
sb_addr sb_rpc_create_address(const sb_addr *sender, uint64_t nonce);

#endif
