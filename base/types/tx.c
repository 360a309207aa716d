/* tx.c: decode, encode and hash transactions; see tx.h. Signing and recovery are in tx_sign.c, which needs libsecp256k1.
 *
 * The five types share most fields. decode_typed and put_typed go through them in wire order and ask the type where they differ. */
#include "base/types/tx.h"

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/types/field.h"

/* Bytes below this begin a typed envelope, bytes from 0xc0 on a legacy list (EIP-2718). */
#define LEGACY_FIRST_BYTE 0xc0
#define EIP155_V_BASE     35
#define EIP155_V_NONE     27
/* Least encodings of list items, so that a count never asks for more memory than the bytes can fill. */
#define HASH_BYTES_MIN          33
#define ACCESS_ENTRY_BYTES_MIN  23 /* list, address, empty list */
#define AUTHORIZATION_BYTES_MIN 27 /* list, address, five integers */

/* ---- decoding ---- */

/* Open a list and count its items, each of at least item_bytes_min. */
static sb_err read_counted_list(struct sb_rlp *ret_items, size_t *ret_count, struct sb_rlp *in,
                                size_t item_bytes_min)
{
    SB_TRY(sb_rlp_read_list(ret_items, in));
    size_t bytes = (size_t)(ret_items->end - ret_items->at);
    sb_err err = sb_rlp_count(ret_count, ret_items, bytes / item_bytes_min);
    return err == SB_E_LIMIT ? SB_E_SHAPE : err;
}

static sb_err read_to(struct sb_tx *tx, struct sb_rlp *in)
{
    sb_bytes to;
    SB_TRY(sb_rlp_read_bytes(&to, in, sizeof tx->to.b));
    if (to.len != 0 && to.len != sizeof tx->to.b) {
        return SB_E_SHAPE;
    }
    tx->is_create = to.len == 0;
    sb_copy(tx->to.b, to.data, to.len);
    return SB_OK;
}

static sb_err read_hashes(const sb_hash **ret, size_t *ret_count, struct sb_arena *arena,
                          struct sb_rlp *in)
{
    struct sb_rlp items;
    size_t count;
    SB_TRY(read_counted_list(&items, &count, in, HASH_BYTES_MIN));
    sb_hash *hashes = sb_arena_array(arena, count, sizeof *hashes);
    if (hashes == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        SB_TRY(sb_rlp_read_hash(&hashes[i], &items));
    }
    *ret = hashes;
    *ret_count = count;
    return SB_OK;
}

static sb_err read_access_list(struct sb_tx *tx, struct sb_arena *arena, struct sb_rlp *in)
{
    struct sb_rlp items;
    size_t count;
    SB_TRY(read_counted_list(&items, &count, in, ACCESS_ENTRY_BYTES_MIN));
    struct sb_access_entry *entries = sb_arena_array(arena, count, sizeof *entries);
    if (entries == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        struct sb_rlp entry;
        SB_TRY(sb_rlp_read_list(&entry, &items));
        SB_TRY(sb_rlp_read_addr(&entries[i].addr, &entry));
        SB_TRY(read_hashes(&entries[i].keys, &entries[i].key_count, arena, &entry));
        SB_TRY(sb_rlp_end(&entry));
    }
    tx->access_list = entries;
    tx->access_count = count;
    return SB_OK;
}

static sb_err read_authorization(struct sb_authorization *ret, struct sb_rlp *in)
{
    struct sb_rlp tuple;
    uint64_t y_parity;
    SB_TRY(sb_rlp_read_list(&tuple, in));
    SB_TRY(sb_rlp_read_u256(&ret->chain_id, &tuple));
    SB_TRY(sb_rlp_read_addr(&ret->addr, &tuple));
    SB_TRY(sb_rlp_read_u64(&ret->nonce, &tuple));
    SB_TRY(sb_rlp_read_u64(&y_parity, &tuple));
    SB_TRY(sb_rlp_read_u256(&ret->r, &tuple));
    SB_TRY(sb_rlp_read_u256(&ret->s, &tuple));
    if (y_parity > UINT8_MAX) {
        return SB_E_RANGE;
    }
    ret->y_parity = (uint8_t)y_parity;
    return sb_rlp_end(&tuple);
}

static sb_err read_authorizations(struct sb_tx *tx, struct sb_arena *arena, struct sb_rlp *in)
{
    struct sb_rlp items;
    size_t count;
    SB_TRY(read_counted_list(&items, &count, in, AUTHORIZATION_BYTES_MIN));
    struct sb_authorization *list = sb_arena_array(arena, count, sizeof *list);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        SB_TRY(read_authorization(&list[i], &items));
    }
    tx->authorizations = list;
    tx->authorization_count = count;
    return SB_OK;
}

/* split_v: v of a legacy transaction is 27 + yParity, or chainId * 2 + 35 + yParity (EIP-155). */
static sb_err split_v(struct sb_tx *tx, const sb_u256 *v)
{
    if ((v->w[3] | v->w[2]) != 0 || v->w[1] > 2) {
        return SB_E_RANGE;
    }
    sb_u128 value = (sb_u128)v->w[1] << 64 | v->w[0];
    if (value == EIP155_V_NONE || value == EIP155_V_NONE + 1) {
        tx->has_chain_id = false;
        tx->chain_id = 0;
        tx->y_parity = (uint8_t)(value - EIP155_V_NONE);
        return SB_OK;
    }
    if (value < EIP155_V_BASE || (value - EIP155_V_BASE) / 2 > UINT64_MAX) {
        return SB_E_RANGE;
    }
    tx->has_chain_id = true;
    tx->chain_id = (uint64_t)((value - EIP155_V_BASE) / 2);
    tx->y_parity = (uint8_t)((value - EIP155_V_BASE) & 1);
    return SB_OK;
}

static sb_err decode_legacy(struct sb_tx *tx, sb_bytes raw, struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_rlp f;
    sb_u256 v;
    SB_FIELD("transaction", "list", sb_rlp_read_list(&f, &in));
    SB_FIELD("transaction", "end", sb_rlp_end(&in));
    SB_FIELD("transaction", "nonce", sb_rlp_read_u64(&tx->nonce, &f));
    SB_FIELD("transaction", "gasPrice", sb_rlp_read_u256(&tx->max_fee, &f));
    tx->max_priority_fee = tx->max_fee;
    SB_FIELD("transaction", "gas", sb_rlp_read_u64(&tx->gas_limit, &f));
    SB_FIELD("transaction", "to", read_to(tx, &f));
    SB_FIELD("transaction", "value", sb_rlp_read_u256(&tx->value, &f));
    SB_FIELD("transaction", "data", sb_rlp_read_bytes(&tx->data, &f, SIZE_MAX));
    SB_FIELD("transaction", "v", sb_rlp_read_u256(&v, &f));
    SB_FIELD("transaction", "v", split_v(tx, &v));
    SB_FIELD("transaction", "r", sb_rlp_read_u256(&tx->r, &f));
    SB_FIELD("transaction", "s", sb_rlp_read_u256(&tx->s, &f));
    SB_FIELD("transaction", "end", sb_rlp_end(&f));
    return SB_OK;
}

static sb_err decode_typed(struct sb_tx *tx, struct sb_arena *arena, sb_bytes payload,
                           struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(payload);
    struct sb_rlp f;
    bool y_parity;
    SB_FIELD("transaction", "list", sb_rlp_read_list(&f, &in));
    SB_FIELD("transaction", "end", sb_rlp_end(&in));
    tx->has_chain_id = true;
    SB_FIELD("transaction", "chainId", sb_rlp_read_u64(&tx->chain_id, &f));
    SB_FIELD("transaction", "nonce", sb_rlp_read_u64(&tx->nonce, &f));
    if (tx->type == SB_TX_ACCESS_LIST) {
        SB_FIELD("transaction", "gasPrice", sb_rlp_read_u256(&tx->max_fee, &f));
        tx->max_priority_fee = tx->max_fee;
    } else {
        SB_FIELD("transaction", "maxPriorityFeePerGas",
                 sb_rlp_read_u256(&tx->max_priority_fee, &f));
        SB_FIELD("transaction", "maxFeePerGas", sb_rlp_read_u256(&tx->max_fee, &f));
    }
    SB_FIELD("transaction", "gas", sb_rlp_read_u64(&tx->gas_limit, &f));
    SB_FIELD("transaction", "to", read_to(tx, &f));
    if (tx->is_create && (tx->type == SB_TX_BLOB || tx->type == SB_TX_SET_CODE)) {
        return sb_fail(diag, SB_E_SHAPE,
                       "transaction: to: a transaction of type %d cannot create a contract",
                       (int)tx->type);
    }
    SB_FIELD("transaction", "value", sb_rlp_read_u256(&tx->value, &f));
    SB_FIELD("transaction", "data", sb_rlp_read_bytes(&tx->data, &f, SIZE_MAX));
    SB_FIELD("transaction", "accessList", read_access_list(tx, arena, &f));
    if (tx->type == SB_TX_BLOB) {
        SB_FIELD("transaction", "maxFeePerBlobGas",
                 sb_rlp_read_u256(&tx->max_fee_per_blob_gas, &f));
        SB_FIELD("transaction", "blobVersionedHashes",
                 read_hashes(&tx->blob_hashes, &tx->blob_hash_count, arena, &f));
    }
    if (tx->type == SB_TX_SET_CODE) {
        SB_FIELD("transaction", "authorizationList", read_authorizations(tx, arena, &f));
    }
    SB_FIELD("transaction", "yParity", sb_rlp_read_bool(&y_parity, &f));
    tx->y_parity = y_parity ? 1 : 0;
    SB_FIELD("transaction", "r", sb_rlp_read_u256(&tx->r, &f));
    SB_FIELD("transaction", "s", sb_rlp_read_u256(&tx->s, &f));
    SB_FIELD("transaction", "end", sb_rlp_end(&f));
    return SB_OK;
}

sb_err sb_tx_decode(struct sb_tx *ret_tx, struct sb_arena *arena, sb_bytes raw,
                    struct sb_diag *diag)
{
    if (raw.len == 0) {
        return sb_fail(diag, SB_E_TRUNCATED, "transaction: empty");
    }
    struct sb_tx tx = {.type = SB_TX_LEGACY};
    uint8_t first = raw.data[0];
    if (first >= LEGACY_FIRST_BYTE) {
        SB_TRY(decode_legacy(&tx, raw, diag));
    } else if (first >= SB_TX_ACCESS_LIST && first <= SB_TX_SET_CODE) {
        tx.type = (enum sb_tx_type)first;
        SB_TRY(decode_typed(&tx, arena, sb_span(raw.data + 1, raw.len - 1), diag));
    } else {
        return sb_fail(diag, SB_E_TYPE, "transaction type 0x%02x is not known", first);
    }
    *ret_tx = tx;
    return SB_OK;
}

/* ---- encoding ---- */

static void put_to(struct sb_buf *out, const struct sb_tx *tx)
{
    if (tx->is_create) {
        sb_rlp_put_bytes(out, sb_span(NULL, 0));
    } else {
        sb_rlp_put_addr(out, &tx->to);
    }
}

static void put_hashes(struct sb_buf *out, const sb_hash *hashes, size_t count)
{
    size_t list = sb_rlp_list_begin(out);
    for (size_t i = 0; i < count; i++) {
        sb_rlp_put_hash(out, &hashes[i]);
    }
    sb_rlp_list_end(out, list);
}

static void put_access_list(struct sb_buf *out, const struct sb_tx *tx)
{
    size_t list = sb_rlp_list_begin(out);
    for (size_t i = 0; i < tx->access_count; i++) {
        size_t entry = sb_rlp_list_begin(out);
        sb_rlp_put_addr(out, &tx->access_list[i].addr);
        put_hashes(out, tx->access_list[i].keys, tx->access_list[i].key_count);
        sb_rlp_list_end(out, entry);
    }
    sb_rlp_list_end(out, list);
}

static void put_authorizations(struct sb_buf *out, const struct sb_tx *tx)
{
    size_t list = sb_rlp_list_begin(out);
    for (size_t i = 0; i < tx->authorization_count; i++) {
        const struct sb_authorization *a = &tx->authorizations[i];
        size_t tuple = sb_rlp_list_begin(out);
        sb_rlp_put_u256(out, &a->chain_id);
        sb_rlp_put_addr(out, &a->addr);
        sb_rlp_put_u64(out, a->nonce);
        sb_rlp_put_u64(out, a->y_parity);
        sb_rlp_put_u256(out, &a->r);
        sb_rlp_put_u256(out, &a->s);
        sb_rlp_list_end(out, tuple);
    }
    sb_rlp_list_end(out, list);
}

static void put_legacy(struct sb_buf *out, const struct sb_tx *tx, bool with_signature)
{
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, tx->nonce);
    sb_rlp_put_u256(out, &tx->max_fee);
    sb_rlp_put_u64(out, tx->gas_limit);
    put_to(out, tx);
    sb_rlp_put_u256(out, &tx->value);
    sb_rlp_put_bytes(out, tx->data);
    if (with_signature) {
        sb_u128 v = tx->has_chain_id ? (sb_u128)tx->chain_id * 2 + EIP155_V_BASE : EIP155_V_NONE;
        v += tx->y_parity;
        sb_u256 wide = {.w = {(uint64_t)v, (uint64_t)(v >> 64), 0, 0}};
        sb_rlp_put_u256(out, &wide);
        sb_rlp_put_u256(out, &tx->r);
        sb_rlp_put_u256(out, &tx->s);
    } else if (tx->has_chain_id) {
        sb_rlp_put_u64(out, tx->chain_id);
        sb_rlp_put_u64(out, 0);
        sb_rlp_put_u64(out, 0);
    }
    sb_rlp_list_end(out, list);
}

static void put_typed(struct sb_buf *out, const struct sb_tx *tx, bool with_signature)
{
    sb_buf_add_byte(out, (uint8_t)tx->type);
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, tx->chain_id);
    sb_rlp_put_u64(out, tx->nonce);
    if (tx->type != SB_TX_ACCESS_LIST) {
        sb_rlp_put_u256(out, &tx->max_priority_fee);
    }
    sb_rlp_put_u256(out, &tx->max_fee);
    sb_rlp_put_u64(out, tx->gas_limit);
    put_to(out, tx);
    sb_rlp_put_u256(out, &tx->value);
    sb_rlp_put_bytes(out, tx->data);
    put_access_list(out, tx);
    if (tx->type == SB_TX_BLOB) {
        sb_rlp_put_u256(out, &tx->max_fee_per_blob_gas);
        put_hashes(out, tx->blob_hashes, tx->blob_hash_count);
    }
    if (tx->type == SB_TX_SET_CODE) {
        put_authorizations(out, tx);
    }
    if (with_signature) {
        sb_rlp_put_bool(out, tx->y_parity != 0);
        sb_rlp_put_u256(out, &tx->r);
        sb_rlp_put_u256(out, &tx->s);
    }
    sb_rlp_list_end(out, list);
}

static void put(struct sb_buf *out, const struct sb_tx *tx, bool with_signature)
{
    if (tx->type == SB_TX_LEGACY) {
        put_legacy(out, tx, with_signature);
    } else {
        put_typed(out, tx, with_signature);
    }
}

void sb_tx_encode(struct sb_buf *out, const struct sb_tx *tx)
{
    put(out, tx, true);
}

sb_hash sb_tx_hash(sb_bytes raw)
{
    return sb_keccak256(raw);
}

sb_err sb_tx_signing_hash(sb_hash *ret_hash, const struct sb_tx *tx)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SIZE_MAX);
    put(&buf, tx, false);
    bool failed = buf.failed;
    if (!failed) {
        *ret_hash = sb_keccak256(sb_buf_bytes(&buf));
    }
    sb_buf_fini(&buf);
    return failed ? SB_E_NOMEM : SB_OK;
}

sb_u256 sb_tx_effective_gas_price(const struct sb_tx *tx, const sb_u256 *base_fee)
{
    sb_u256 price;
    bool wrapped = sb_u256_add_carry(&price, base_fee, &tx->max_priority_fee);
    return wrapped || sb_u256_lt(&tx->max_fee, &price) ? tx->max_fee : price;
}
