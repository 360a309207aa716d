/* format.c: see format.h. */
#include "rpc/format.h"

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"

#define UNCLES_MAX      2
#define WITHDRAWALS_MAX 1024

static void put_hash(struct sb_json *out, const char *key, const sb_hash *hash)
{
    sb_json_key(out, key);
    sb_json_hash(out, hash);
}

static void put_u64(struct sb_json *out, const char *key, uint64_t value)
{
    sb_json_key(out, key);
    sb_json_quantity_u64(out, value);
}

static void put_u256(struct sb_json *out, const char *key, const sb_u256 *value)
{
    sb_json_key(out, key);
    sb_json_quantity_u256(out, value);
}

static void put_bytes(struct sb_json *out, const char *key, const void *data, size_t len)
{
    sb_json_key(out, key);
    sb_json_hex(out, sb_span(data, len));
}

static void put_addr(struct sb_json *out, const char *key, const sb_addr *addr)
{
    sb_json_key(out, key);
    sb_json_addr(out, addr);
}

static void put_null(struct sb_json *out, const char *key)
{
    sb_json_key(out, key);
    sb_json_null(out);
}

/* ---- headers and blocks ---- */

static void put_header_fields(struct sb_json *out, const struct sb_header *h, const sb_hash *hash,
                              bool pending)
{
    put_u64(out, "number", h->number);
    if (pending) {
        put_null(out, "hash");
        put_null(out, "nonce");
        put_null(out, "miner");
    } else {
        put_hash(out, "hash", hash);
        put_bytes(out, "nonce", h->nonce, sizeof h->nonce);
        put_addr(out, "miner", &h->coinbase);
    }
    put_hash(out, "parentHash", &h->parent_hash);
    put_hash(out, "sha3Uncles", &h->uncles_hash);
    put_bytes(out, "logsBloom", h->logs_bloom.b, sizeof h->logs_bloom.b);
    put_hash(out, "transactionsRoot", &h->transactions_root);
    put_hash(out, "stateRoot", &h->state_root);
    put_hash(out, "receiptsRoot", &h->receipts_root);
    put_u256(out, "difficulty", &h->difficulty);
    put_bytes(out, "extraData", h->extra_data, h->extra_data_len);
    put_u64(out, "gasLimit", h->gas_limit);
    put_u64(out, "gasUsed", h->gas_used);
    put_u64(out, "timestamp", h->timestamp);
    put_hash(out, "mixHash", &h->mix_hash);
    if (h->field_count >= SB_HEADER_FIELDS_LONDON) {
        put_u256(out, "baseFeePerGas", &h->base_fee);
    }
    if (h->field_count >= SB_HEADER_FIELDS_SHANGHAI) {
        put_hash(out, "withdrawalsRoot", &h->withdrawals_root);
    }
    if (h->field_count >= SB_HEADER_FIELDS_CANCUN) {
        put_u64(out, "blobGasUsed", h->blob_gas_used);
        put_u64(out, "excessBlobGas", h->excess_blob_gas);
        put_hash(out, "parentBeaconBlockRoot", &h->parent_beacon_root);
    }
    if (h->field_count >= SB_HEADER_FIELDS_PRAGUE) {
        put_hash(out, "requestsHash", &h->requests_hash);
    }
}

void sb_rpc_write_header(struct sb_json *out, const struct sb_header *header, const sb_hash *hash)
{
    sb_json_object_begin(out);
    put_header_fields(out, header, hash, false);
    sb_json_object_end(out);
}

/* Hashes of the uncles' headers. The stored list was checked when the block came in: an unreadable rest shows as no uncles. */
static void put_uncles(struct sb_json *out, sb_bytes raw_uncles)
{
    struct sb_rlp in = sb_rlp_open(raw_uncles);
    struct sb_rlp list;
    sb_json_key(out, "uncles");
    sb_json_array_begin(out);
    if (raw_uncles.len != 0 && sb_rlp_read_list(&list, &in) == SB_OK) {
        struct sb_rlp_item item;
        for (int i = 0;
             i < UNCLES_MAX && !sb_rlp_done(&list) && sb_rlp_read_item(&item, &list) == SB_OK;
             i++) {
            sb_hash hash = sb_keccak256(item.raw);
            sb_json_hash(out, &hash);
        }
    }
    sb_json_array_end(out);
}

static bool put_withdrawal(struct sb_json *out, struct sb_rlp *list)
{
    struct sb_rlp in;
    uint64_t index = 0;
    uint64_t validator = 0;
    uint64_t amount = 0;
    sb_addr addr;
    if (sb_rlp_read_list(&in, list) != SB_OK || sb_rlp_read_u64(&index, &in) != SB_OK ||
        sb_rlp_read_u64(&validator, &in) != SB_OK || sb_rlp_read_addr(&addr, &in) != SB_OK ||
        sb_rlp_read_u64(&amount, &in) != SB_OK) {
        return false;
    }
    sb_json_object_begin(out);
    put_u64(out, "index", index);
    put_u64(out, "validatorIndex", validator);
    put_addr(out, "address", &addr);
    put_u64(out, "amount", amount);
    sb_json_object_end(out);
    return true;
}

static void put_withdrawals(struct sb_json *out, sb_bytes raw_withdrawals)
{
    struct sb_rlp in = sb_rlp_open(raw_withdrawals);
    struct sb_rlp list;
    sb_json_key(out, "withdrawals");
    sb_json_array_begin(out);
    if (raw_withdrawals.len != 0 && sb_rlp_read_list(&list, &in) == SB_OK) {
        for (int i = 0; i < WITHDRAWALS_MAX && !sb_rlp_done(&list) && put_withdrawal(out, &list);
             i++) {
        }
    }
    sb_json_array_end(out);
}

void sb_rpc_write_block(struct sb_json *out, const struct sb_rpc_block *block, bool full_txs)
{
    sb_json_object_begin(out);
    sb_rpc_write_block_members(out, block, full_txs);
    sb_json_object_end(out);
}

void sb_rpc_write_block_members(struct sb_json *out, const struct sb_rpc_block *block,
                                bool full_txs)
{
    const struct sb_block *b = &block->block;
    put_header_fields(out, &b->header, &block->hash, block->is_pending);
    put_u64(out, "size", block->size_bytes);
    sb_json_key(out, "transactions");
    sb_json_array_begin(out);
    for (size_t i = 0; i < b->tx_count; i++) {
        if (full_txs) {
            sb_rpc_write_block_tx(out, block, i);
        } else {
            sb_json_hash(out, &block->tx_hashes[i]);
        }
    }
    sb_json_array_end(out);
    put_uncles(out, b->raw_uncles);
    if (b->has_withdrawals) {
        put_withdrawals(out, b->raw_withdrawals);
    }
}

/* ---- transactions ---- */

void sb_rpc_write_access_list(struct sb_json *out, const struct sb_access_entry *entries,
                              size_t count)
{
    sb_json_array_begin(out);
    for (size_t i = 0; i < count; i++) {
        sb_json_object_begin(out);
        put_addr(out, "address", &entries[i].addr);
        sb_json_key(out, "storageKeys");
        sb_json_array_begin(out);
        for (size_t k = 0; k < entries[i].key_count; k++) {
            sb_json_hash(out, &entries[i].keys[k]);
        }
        sb_json_array_end(out);
        sb_json_object_end(out);
    }
    sb_json_array_end(out);
}

static void put_authorizations(struct sb_json *out, const struct sb_tx *tx)
{
    sb_json_key(out, "authorizationList");
    sb_json_array_begin(out);
    for (size_t i = 0; i < tx->authorization_count; i++) {
        const struct sb_authorization *a = &tx->authorizations[i];
        sb_json_object_begin(out);
        put_u256(out, "chainId", &a->chain_id);
        put_addr(out, "address", &a->addr);
        put_u64(out, "nonce", a->nonce);
        put_u64(out, "yParity", a->y_parity);
        put_u256(out, "r", &a->r);
        put_u256(out, "s", &a->s);
        sb_json_object_end(out);
    }
    sb_json_array_end(out);
}

static void put_place(struct sb_json *out, const struct sb_rpc_tx_place *place)
{
    if (place->block_hash == NULL) {
        put_null(out, "blockHash");
        put_null(out, "blockNumber");
        put_null(out, "blockTimestamp");
        put_null(out, "transactionIndex");
        return;
    }
    put_hash(out, "blockHash", place->block_hash);
    put_u64(out, "blockNumber", place->block_number);
    put_u64(out, "blockTimestamp", place->timestamp);
    put_u64(out, "transactionIndex", place->index);
}

static void put_fees(struct sb_json *out, const struct sb_tx *tx,
                     const struct sb_rpc_tx_place *place)
{
    bool market = tx->type >= SB_TX_FEE_MARKET;
    sb_u256 price = market && place->base_fee != NULL
                        ? sb_tx_effective_gas_price(tx, place->base_fee)
                        : tx->max_fee;
    put_u256(out, "gasPrice", &price);
    if (market) {
        put_u256(out, "maxFeePerGas", &tx->max_fee);
        put_u256(out, "maxPriorityFeePerGas", &tx->max_priority_fee);
    }
    if (tx->type == SB_TX_BLOB) {
        put_u256(out, "maxFeePerBlobGas", &tx->max_fee_per_blob_gas);
        sb_json_key(out, "blobVersionedHashes");
        sb_json_array_begin(out);
        for (size_t i = 0; i < tx->blob_hash_count; i++) {
            sb_json_hash(out, &tx->blob_hashes[i]);
        }
        sb_json_array_end(out);
    }
}

/* v: y parity, or 27 + y, or chain id * 2 + 35 + y for legacy transactions (EIP-155). */
static void put_signature(struct sb_json *out, const struct sb_tx *tx)
{
    sb_u256 v = sb_u256_from_u64(tx->y_parity);
    if (tx->type == SB_TX_LEGACY) {
        sb_u256 chain = sb_u256_from_u64(tx->chain_id);
        sb_u256 base = sb_u256_from_u64(tx->has_chain_id ? 35 : 27);
        v = sb_u256_add(&v, &base);
        if (tx->has_chain_id) {
            v = sb_u256_add(&v, &chain);
            v = sb_u256_add(&v, &chain);
        }
    }
    put_u256(out, "v", &v);
    put_u256(out, "r", &tx->r);
    put_u256(out, "s", &tx->s);
    if (tx->type != SB_TX_LEGACY) {
        put_u64(out, "yParity", tx->y_parity);
    }
}

void sb_rpc_write_tx(struct sb_json *out, const struct sb_tx *tx, const sb_hash *hash,
                     const sb_addr *sender, const struct sb_rpc_tx_place *place)
{
    sb_json_object_begin(out);
    put_hash(out, "hash", hash);
    put_u64(out, "type", (uint64_t)tx->type);
    put_place(out, place);
    put_addr(out, "from", sender);
    if (tx->is_create) {
        put_null(out, "to");
    } else {
        put_addr(out, "to", &tx->to);
    }
    put_u64(out, "nonce", tx->nonce);
    put_u64(out, "gas", tx->gas_limit);
    put_fees(out, tx, place);
    put_u256(out, "value", &tx->value);
    put_bytes(out, "input", tx->data.data, tx->data.len);
    if (tx->type != SB_TX_LEGACY) {
        sb_json_key(out, "accessList");
        sb_rpc_write_access_list(out, tx->access_list, tx->access_count);
    }
    if (tx->type == SB_TX_SET_CODE) {
        put_authorizations(out, tx);
    }
    if (tx->has_chain_id) {
        put_u64(out, "chainId", tx->chain_id);
    }
    put_signature(out, tx);
    sb_json_object_end(out);
}

void sb_rpc_write_block_tx(struct sb_json *out, const struct sb_rpc_block *block, size_t index)
{
    const struct sb_header *h = &block->block.header;
    struct sb_rpc_tx_place place = {
        .block_hash = block->is_pending ? NULL : &block->hash,
        .block_number = h->number,
        .timestamp = h->timestamp,
        .index = (uint32_t)index,
        .base_fee = h->field_count >= SB_HEADER_FIELDS_LONDON ? &h->base_fee : NULL};
    sb_rpc_write_tx(out, &block->block.txs[index], &block->tx_hashes[index], &block->senders[index],
                    &place);
}

/* ---- receipts and logs ---- */

void sb_rpc_write_log(struct sb_json *out, const struct sb_log *log,
                      const struct sb_rpc_log_place *place)
{
    sb_json_object_begin(out);
    put_addr(out, "address", &log->addr);
    sb_json_key(out, "topics");
    sb_json_array_begin(out);
    for (size_t i = 0; i < log->topic_count; i++) {
        sb_json_hash(out, &log->topics[i]);
    }
    sb_json_array_end(out);
    put_bytes(out, "data", log->data.data, log->data.len);
    put_u64(out, "blockNumber", place->block_number);
    put_hash(out, "transactionHash", place->tx_hash);
    put_u64(out, "transactionIndex", place->tx_index);
    put_hash(out, "blockHash", place->block_hash);
    put_u64(out, "blockTimestamp", place->timestamp);
    put_u64(out, "logIndex", place->log_index);
    sb_json_key(out, "removed");
    sb_json_bool(out, false);
    sb_json_object_end(out);
}

sb_addr sb_rpc_create_address(const sb_addr *sender, uint64_t nonce)
{
    struct sb_buf buf;
    sb_addr addr;
    sb_buf_init(&buf, 64);
    size_t list = sb_rlp_list_begin(&buf);
    sb_rlp_put_addr(&buf, sender);
    sb_rlp_put_u64(&buf, nonce);
    sb_rlp_list_end(&buf, list);
    sb_hash hash = sb_keccak256(sb_buf_bytes(&buf));
    sb_buf_fini(&buf);
    memcpy(addr.b, hash.b + 12, sizeof addr.b);
    return addr;
}

static void put_receipt_logs(struct sb_json *out, const struct sb_rpc_block *block, size_t index)
{
    uint32_t log_index = 0;
    for (size_t i = 0; i < index; i++) {
        log_index += (uint32_t)block->receipts[i].log_count;
    }
    sb_json_key(out, "logs");
    sb_json_array_begin(out);
    for (size_t k = 0; k < block->receipts[index].log_count; k++, log_index++) {
        struct sb_rpc_log_place place = {.block_hash = &block->hash,
                                         .block_number = block->block.header.number,
                                         .timestamp = block->block.header.timestamp,
                                         .tx_hash = &block->tx_hashes[index],
                                         .tx_index = (uint32_t)index,
                                         .log_index = log_index};
        sb_rpc_write_log(out, &block->receipts[index].logs[k], &place);
    }
    sb_json_array_end(out);
}

void sb_rpc_write_receipt(struct sb_json *out, const struct sb_rpc_block *block, size_t index)
{
    const struct sb_header *h = &block->block.header;
    const struct sb_tx *tx = &block->block.txs[index];
    const struct sb_receipt *receipt = &block->receipts[index];
    uint64_t before = index == 0 ? 0 : block->receipts[index - 1].cumulative_gas;
    sb_u256 price = h->field_count >= SB_HEADER_FIELDS_LONDON
                        ? sb_tx_effective_gas_price(tx, &h->base_fee)
                        : tx->max_fee;
    sb_json_object_begin(out);
    put_hash(out, "transactionHash", &block->tx_hashes[index]);
    put_u64(out, "transactionIndex", index);
    put_hash(out, "blockHash", &block->hash);
    put_u64(out, "blockNumber", h->number);
    put_u64(out, "type", (uint64_t)tx->type);
    put_addr(out, "from", &block->senders[index]);
    if (tx->is_create) {
        sb_addr created = sb_rpc_create_address(&block->senders[index], tx->nonce);
        put_null(out, "to");
        put_addr(out, "contractAddress", &created);
    } else {
        put_addr(out, "to", &tx->to);
        put_null(out, "contractAddress");
    }
    put_u64(out, "status", receipt->success ? 1 : 0);
    put_u64(out, "cumulativeGasUsed", receipt->cumulative_gas);
    put_u64(out, "gasUsed", receipt->cumulative_gas - before);
    put_u256(out, "effectiveGasPrice", &price);
    put_bytes(out, "logsBloom", receipt->bloom.b, sizeof receipt->bloom.b);
    put_receipt_logs(out, block, index);
    sb_json_object_end(out);
}
