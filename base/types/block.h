/* block.h: the Ethereum-shaped header and body (Yellow Paper 4.4; fields by EIP-1559, 4895, 4844, 4788, 7685).
 *
 * In profile samebit all fields up to requests_hash are present (field_count = SB_HEADER_FIELDS_PRAGUE). The ethereum profile also
 * reads the shorter headers of earlier revisions, hence field_count. A body's withdrawals are kept as raw RLP: ours are empty. */
#ifndef SB_BASE_TYPES_BLOCK_H
#define SB_BASE_TYPES_BLOCK_H

#include "base/types/receipt.h"

#define SB_HEADER_FIELDS_FRONTIER 15 /* to nonce */
#define SB_HEADER_FIELDS_LONDON   16 /* + baseFeePerGas */
#define SB_HEADER_FIELDS_SHANGHAI 17 /* + withdrawalsRoot */
#define SB_HEADER_FIELDS_CANCUN   20 /* + blobGasUsed, excessBlobGas, parentBeaconBlockRoot */
#define SB_HEADER_FIELDS_PRAGUE   21 /* + requestsHash */

#define SB_EXTRA_DATA_BYTES_MAX   32

struct sb_header {
    unsigned field_count;
    sb_hash parent_hash;
    sb_hash uncles_hash;
    sb_addr coinbase; /* "miner" */
    sb_hash state_root;
    sb_hash transactions_root;
    sb_hash receipts_root;
    sb_bloom logs_bloom;
    sb_u256 difficulty;
    uint64_t number;
    uint64_t gas_limit;
    uint64_t gas_used;
    uint64_t timestamp; /* seconds */
    uint8_t extra_data[SB_EXTRA_DATA_BYTES_MAX];
    size_t extra_data_len;
    sb_hash mix_hash; /* prevRandao */
    uint8_t nonce[8];
    sb_u256 base_fee; /* wei per gas */
    sb_hash withdrawals_root;
    uint64_t blob_gas_used;
    uint64_t excess_blob_gas;
    sb_hash parent_beacon_root;
    sb_hash requests_hash;
};

/* A block decoded from its RLP. raw_txs[i] is the EIP-2718 form of transaction i (legacy: the bare list), borrowed. */
struct sb_block {
    struct sb_header header;
    const sb_bytes *raw_txs;
    const struct sb_tx *txs;
    size_t tx_count;
    sb_bytes raw_uncles;      /* RLP list, 0xc0 in ours */
    bool has_withdrawals;     /* from Shanghai on */
    sb_bytes raw_withdrawals; /* RLP list, 0xc0 in ours */
};

void sb_header_encode(struct sb_buf *out, const struct sb_header *header);
sb_err sb_header_decode(struct sb_header *ret_header, sb_bytes raw,
                        struct sb_diag *diag) SB_MUST_USE;
/* sb_header_hash: keccak256(rlp(header)), the block hash. */
sb_hash sb_header_hash(const struct sb_header *header);

/* sb_block_encode: rlp([header, transactions, uncles, withdrawals?]). Uses header, raw_txs, raw_uncles, raw_withdrawals. */
void sb_block_encode(struct sb_buf *out, const struct sb_block *block);
/* sb_block_decode: strict inverse; everything borrows from raw or lives in the arena. Transactions are decoded too. */
sb_err sb_block_decode(struct sb_block *ret_block, struct sb_arena *arena, sb_bytes raw,
                       struct sb_diag *diag) SB_MUST_USE;

/* sb_ordered_root: root of the trie rlp(i) -> items[i], i < count (transactionsRoot, receiptsRoot, withdrawalsRoot). */
sb_err sb_ordered_root(sb_hash *ret_root, const sb_bytes *items, size_t count) SB_MUST_USE;

#endif
