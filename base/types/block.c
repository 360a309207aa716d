/* block.c: headers, blocks and ordered roots; see block.h.
 *
 * The length of a header's list says which fork's fields it has: 15, 16, 17, 20 or 21. Bodies are checked to the bottom: transactions,
 * uncle headers and withdrawals must all decode, though uncles and withdrawals are only kept as bytes. */
#include "base/types/block.h"

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/crypto/stack_trie.h"
#include "base/types/field.h"
#include "base/util/assert.h"

#define LEGACY_FIRST_BYTE 0xc0
/* Longest RLP of the index of an item: a header and eight bytes. */
#define INDEX_BYTES_MAX 9
/* Longest header: every field at its most. */
#define HEADER_BYTES_MAX 1024

/* ---- header ---- */

void sb_header_encode(struct sb_buf *out, const struct sb_header *header)
{
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_hash(out, &header->parent_hash);
    sb_rlp_put_hash(out, &header->uncles_hash);
    sb_rlp_put_addr(out, &header->coinbase);
    sb_rlp_put_hash(out, &header->state_root);
    sb_rlp_put_hash(out, &header->transactions_root);
    sb_rlp_put_hash(out, &header->receipts_root);
    sb_rlp_put_bytes(out, sb_span(header->logs_bloom.b, sizeof header->logs_bloom.b));
    sb_rlp_put_u256(out, &header->difficulty);
    sb_rlp_put_u64(out, header->number);
    sb_rlp_put_u64(out, header->gas_limit);
    sb_rlp_put_u64(out, header->gas_used);
    sb_rlp_put_u64(out, header->timestamp);
    sb_rlp_put_bytes(out, sb_span(header->extra_data, header->extra_data_len));
    sb_rlp_put_hash(out, &header->mix_hash);
    sb_rlp_put_bytes(out, sb_span(header->nonce, sizeof header->nonce));
    if (header->field_count >= SB_HEADER_FIELDS_LONDON) {
        sb_rlp_put_u256(out, &header->base_fee);
    }
    if (header->field_count >= SB_HEADER_FIELDS_SHANGHAI) {
        sb_rlp_put_hash(out, &header->withdrawals_root);
    }
    if (header->field_count >= SB_HEADER_FIELDS_CANCUN) {
        sb_rlp_put_u64(out, header->blob_gas_used);
        sb_rlp_put_u64(out, header->excess_blob_gas);
        sb_rlp_put_hash(out, &header->parent_beacon_root);
    }
    if (header->field_count >= SB_HEADER_FIELDS_PRAGUE) {
        sb_rlp_put_hash(out, &header->requests_hash);
    }
    sb_rlp_list_end(out, list);
}

static bool field_count_is_known(size_t count)
{
    return count == SB_HEADER_FIELDS_FRONTIER || count == SB_HEADER_FIELDS_LONDON ||
           count == SB_HEADER_FIELDS_SHANGHAI || count == SB_HEADER_FIELDS_CANCUN ||
           count == SB_HEADER_FIELDS_PRAGUE;
}

static sb_err read_frontier_fields(struct sb_header *h, struct sb_rlp *f, struct sb_diag *diag)
{
    sb_bytes extra_data;
    SB_FIELD("header", "parentHash", sb_rlp_read_hash(&h->parent_hash, f));
    SB_FIELD("header", "sha3Uncles", sb_rlp_read_hash(&h->uncles_hash, f));
    SB_FIELD("header", "miner", sb_rlp_read_addr(&h->coinbase, f));
    SB_FIELD("header", "stateRoot", sb_rlp_read_hash(&h->state_root, f));
    SB_FIELD("header", "transactionsRoot", sb_rlp_read_hash(&h->transactions_root, f));
    SB_FIELD("header", "receiptsRoot", sb_rlp_read_hash(&h->receipts_root, f));
    SB_FIELD("header", "logsBloom", sb_rlp_read_fixed(h->logs_bloom.b, f, sizeof h->logs_bloom.b));
    SB_FIELD("header", "difficulty", sb_rlp_read_u256(&h->difficulty, f));
    SB_FIELD("header", "number", sb_rlp_read_u64(&h->number, f));
    SB_FIELD("header", "gasLimit", sb_rlp_read_u64(&h->gas_limit, f));
    SB_FIELD("header", "gasUsed", sb_rlp_read_u64(&h->gas_used, f));
    SB_FIELD("header", "timestamp", sb_rlp_read_u64(&h->timestamp, f));
    SB_FIELD("header", "extraData", sb_rlp_read_bytes(&extra_data, f, SB_EXTRA_DATA_BYTES_MAX));
    sb_copy(h->extra_data, extra_data.data, extra_data.len);
    h->extra_data_len = extra_data.len;
    SB_FIELD("header", "mixHash", sb_rlp_read_hash(&h->mix_hash, f));
    SB_FIELD("header", "nonce", sb_rlp_read_fixed(h->nonce, f, sizeof h->nonce));
    return SB_OK;
}

static sb_err read_header(struct sb_header *ret_header, struct sb_rlp *in, struct sb_diag *diag)
{
    struct sb_rlp f;
    size_t count;
    SB_FIELD("header", "list", sb_rlp_read_list(&f, in));
    SB_FIELD("header", "list", sb_rlp_count(&count, &f, SB_HEADER_FIELDS_PRAGUE));
    if (!field_count_is_known(count)) {
        return sb_fail(diag, SB_E_SHAPE, "header: %zu fields, no fork has so many", count);
    }
    struct sb_header h = {.field_count = (unsigned)count};
    SB_TRY(read_frontier_fields(&h, &f, diag));
    if (count >= SB_HEADER_FIELDS_LONDON) {
        SB_FIELD("header", "baseFeePerGas", sb_rlp_read_u256(&h.base_fee, &f));
    }
    if (count >= SB_HEADER_FIELDS_SHANGHAI) {
        SB_FIELD("header", "withdrawalsRoot", sb_rlp_read_hash(&h.withdrawals_root, &f));
    }
    if (count >= SB_HEADER_FIELDS_CANCUN) {
        SB_FIELD("header", "blobGasUsed", sb_rlp_read_u64(&h.blob_gas_used, &f));
        SB_FIELD("header", "excessBlobGas", sb_rlp_read_u64(&h.excess_blob_gas, &f));
        SB_FIELD("header", "parentBeaconBlockRoot", sb_rlp_read_hash(&h.parent_beacon_root, &f));
    }
    if (count >= SB_HEADER_FIELDS_PRAGUE) {
        SB_FIELD("header", "requestsHash", sb_rlp_read_hash(&h.requests_hash, &f));
    }
    SB_FIELD("header", "end", sb_rlp_end(&f));
    *ret_header = h;
    return SB_OK;
}

sb_err sb_header_decode(struct sb_header *ret_header, sb_bytes raw, struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_header header;
    SB_TRY(read_header(&header, &in, diag));
    SB_FIELD("header", "end", sb_rlp_end(&in));
    *ret_header = header;
    return SB_OK;
}

sb_hash sb_header_hash(const struct sb_header *header)
{
    uint8_t memory[HEADER_BYTES_MAX];
    struct sb_buf buf = sb_buf_over(memory, sizeof memory);
    sb_header_encode(&buf, header);
    SB_ASSERT(!buf.failed);
    return sb_keccak256(sb_buf_bytes(&buf));
}

/* ---- block ---- */

void sb_block_encode(struct sb_buf *out, const struct sb_block *block)
{
    size_t list = sb_rlp_list_begin(out);
    sb_header_encode(out, &block->header);
    size_t txs = sb_rlp_list_begin(out);
    for (size_t i = 0; i < block->tx_count; i++) {
        if (block->raw_txs[i].data[0] >= LEGACY_FIRST_BYTE) {
            sb_rlp_put_raw(out, block->raw_txs[i]);
        } else {
            sb_rlp_put_bytes(out, block->raw_txs[i]);
        }
    }
    sb_rlp_list_end(out, txs);
    sb_rlp_put_raw(out, block->raw_uncles);
    if (block->has_withdrawals) {
        sb_rlp_put_raw(out, block->raw_withdrawals);
    }
    sb_rlp_list_end(out, list);
}

/* read_tx: one entry of the list: a list is a legacy transaction, a string the envelope of a typed one. */
static sb_err read_tx(struct sb_tx *ret_tx, sb_bytes *ret_raw, struct sb_arena *arena,
                      struct sb_rlp *in, struct sb_diag *diag)
{
    struct sb_rlp_item item;
    SB_TRY(sb_rlp_read_item(&item, in));
    sb_bytes raw = item.kind == SB_RLP_LIST ? item.raw : item.payload;
    if (item.kind == SB_RLP_STRING && raw.len > 0 && raw.data[0] >= LEGACY_FIRST_BYTE) {
        return sb_fail(diag, SB_E_TYPE, "a legacy transaction is wrapped in a string");
    }
    SB_TRY(sb_tx_decode(ret_tx, arena, raw, diag));
    *ret_raw = raw;
    return SB_OK;
}

static sb_err read_txs(struct sb_block *block, struct sb_arena *arena, struct sb_rlp *in,
                       struct sb_diag *diag)
{
    struct sb_rlp items;
    size_t count;
    SB_TRY(sb_rlp_read_list(&items, in));
    SB_TRY(sb_rlp_count(&count, &items, SIZE_MAX));
    struct sb_tx *txs = sb_arena_array(arena, count, sizeof *txs);
    sb_bytes *raws = sb_arena_array(arena, count, sizeof *raws);
    if (txs == NULL || raws == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "no memory for %zu transactions", count);
    }
    for (size_t i = 0; i < count; i++) {
        sb_err err = read_tx(&txs[i], &raws[i], arena, &items, diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "transaction %zu", i);
            return err;
        }
    }
    block->txs = txs;
    block->raw_txs = raws;
    block->tx_count = count;
    return SB_OK;
}

static sb_err read_uncles(struct sb_block *block, struct sb_rlp *in, struct sb_diag *diag)
{
    struct sb_rlp_item item;
    struct sb_rlp items;
    SB_TRY(sb_rlp_peek(&item, in));
    SB_TRY(sb_rlp_read_list(&items, in));
    while (!sb_rlp_done(&items)) {
        struct sb_header uncle;
        SB_TRY(read_header(&uncle, &items, diag));
    }
    block->raw_uncles = item.raw;
    return SB_OK;
}

/* EIP-4895: [index, validator index, address, amount in Gwei]. */
static sb_err read_withdrawals(struct sb_block *block, struct sb_rlp *in)
{
    struct sb_rlp_item item;
    struct sb_rlp items;
    SB_TRY(sb_rlp_peek(&item, in));
    SB_TRY(sb_rlp_read_list(&items, in));
    while (!sb_rlp_done(&items)) {
        struct sb_rlp withdrawal;
        uint64_t number;
        sb_addr addr;
        SB_TRY(sb_rlp_read_list(&withdrawal, &items));
        SB_TRY(sb_rlp_read_u64(&number, &withdrawal));
        SB_TRY(sb_rlp_read_u64(&number, &withdrawal));
        SB_TRY(sb_rlp_read_addr(&addr, &withdrawal));
        SB_TRY(sb_rlp_read_u64(&number, &withdrawal));
        SB_TRY(sb_rlp_end(&withdrawal));
    }
    block->raw_withdrawals = item.raw;
    return SB_OK;
}

static sb_err decode_block(struct sb_block *block, struct sb_arena *arena, sb_bytes raw,
                           struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_rlp parts;
    SB_TRY(sb_rlp_read_list(&parts, &in));
    SB_TRY(sb_rlp_end(&in));
    SB_TRY(read_header(&block->header, &parts, diag));
    SB_TRY(read_txs(block, arena, &parts, diag));
    SB_TRY(read_uncles(block, &parts, diag));
    block->has_withdrawals = block->header.field_count >= SB_HEADER_FIELDS_SHANGHAI;
    if (block->has_withdrawals) {
        SB_TRY(read_withdrawals(block, &parts));
    }
    return sb_rlp_end(&parts);
}

sb_err sb_block_decode(struct sb_block *ret_block, struct sb_arena *arena, sb_bytes raw,
                       struct sb_diag *diag)
{
    struct sb_block block = {.tx_count = 0};
    struct sb_diag detail = {.text = ""};
    sb_err err = decode_block(&block, arena, raw, &detail);
    if (err != SB_OK) {
        return sb_fail(diag, err, "block: %s",
                       detail.text[0] != '\0' ? detail.text : sb_err_text(err));
    }
    *ret_block = block;
    return SB_OK;
}

/* ---- ordered roots ---- */

/* The key of item i is rlp(i); as bytes, 0 (80) comes between 127 (7f) and 128 (81 80). */
static sb_err add_item(struct sb_stack_trie *trie, const sb_bytes *items, size_t index)
{
    uint8_t memory[INDEX_BYTES_MAX];
    struct sb_buf key = sb_buf_over(memory, sizeof memory);
    sb_rlp_put_u64(&key, index);
    return sb_stack_trie_add(trie, sb_buf_bytes(&key), items[index]);
}

static sb_err add_items(struct sb_stack_trie *trie, const sb_bytes *items, size_t count)
{
    size_t i = 1;
    for (; i < count && i < 0x80; i++) {
        SB_TRY(add_item(trie, items, i));
    }
    if (count > 0) {
        SB_TRY(add_item(trie, items, 0));
    }
    for (; i < count; i++) {
        SB_TRY(add_item(trie, items, i));
    }
    return SB_OK;
}

sb_err sb_ordered_root(sb_hash *ret_root, const sb_bytes *items, size_t count)
{
    struct sb_stack_trie *trie = sb_stack_trie_new();
    if (trie == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = add_items(trie, items, count);
    if (err == SB_OK) {
        err = sb_stack_trie_root(ret_root, trie);
    }
    sb_stack_trie_free(trie);
    return err;
}
