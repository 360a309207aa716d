/* fixture_tx.c: members of `transaction` to a signed struct sb_tx; see fixture_tx.h. The type follows from the members there are. */
#include "tests/support/fixture_tx.h"

#include "base/util/assert.h"
#include "tests/support/fixture.h"

static const json_t *member(const json_t *object, const char *name)
{
    return json_object_get(object, name);
}

static void *list_new(struct sb_arena *arena, const json_t *list, size_t elem_bytes)
{
    void *items = sb_arena_array(arena, json_array_size(list), elem_bytes);
    SB_ASSERT(items != NULL);
    return items;
}

static bool read_hashes(const sb_hash **ret, size_t *ret_count, struct sb_arena *arena,
                        const json_t *list)
{
    size_t count = json_array_size(list);
    sb_hash *hashes = list_new(arena, list, sizeof *hashes);
    for (size_t i = 0; i < count; i++) {
        if (!sb_fixture_word(&hashes[i], json_array_get(list, i))) {
            return false;
        }
    }
    *ret = hashes;
    *ret_count = count;
    return true;
}

static bool read_access_list(struct sb_tx *tx, struct sb_arena *arena, const json_t *list)
{
    struct sb_access_entry *entries = list_new(arena, list, sizeof *entries);
    tx->access_list = entries;
    tx->access_count = json_array_size(list);
    for (size_t i = 0; i < tx->access_count; i++) {
        const json_t *entry = json_array_get(list, i);
        if (!sb_fixture_addr(&entries[i].addr, member(entry, "address")) ||
            !read_hashes(&entries[i].keys, &entries[i].key_count, arena,
                         member(entry, "storageKeys"))) {
            return false;
        }
    }
    return true;
}

static bool read_authorizations(struct sb_tx *tx, struct sb_arena *arena, const json_t *list)
{
    struct sb_authorization *items = list_new(arena, list, sizeof *items);
    tx->authorizations = items;
    tx->authorization_count = json_array_size(list);
    for (size_t i = 0; i < tx->authorization_count; i++) {
        const json_t *entry = json_array_get(list, i);
        const json_t *parity = member(entry, "yParity");
        uint64_t y_parity;
        if (!sb_fixture_u256(&items[i].chain_id, member(entry, "chainId")) ||
            !sb_fixture_addr(&items[i].addr, member(entry, "address")) ||
            !sb_fixture_u64(&items[i].nonce, member(entry, "nonce")) ||
            !sb_fixture_u64(&y_parity, parity != NULL ? parity : member(entry, "v")) ||
            !sb_fixture_u256(&items[i].r, member(entry, "r")) ||
            !sb_fixture_u256(&items[i].s, member(entry, "s")) || y_parity > UINT8_MAX) {
            return false;
        }
        items[i].y_parity = (uint8_t)y_parity;
    }
    return true;
}

/* Type and price. */
static bool read_fees(struct sb_tx *tx, const json_t *transaction, const json_t *access_list)
{
    if (member(transaction, "maxFeePerGas") == NULL) {
        tx->type = json_is_array(access_list) ? SB_TX_ACCESS_LIST : SB_TX_LEGACY;
        bool good = sb_fixture_u256(&tx->max_fee, member(transaction, "gasPrice"));
        tx->max_priority_fee = tx->max_fee;
        return good;
    }
    tx->type = SB_TX_FEE_MARKET;
    if (member(transaction, "blobVersionedHashes") != NULL) {
        tx->type = SB_TX_BLOB;
    } else if (member(transaction, "authorizationList") != NULL) {
        tx->type = SB_TX_SET_CODE;
    }
    return sb_fixture_u256(&tx->max_fee, member(transaction, "maxFeePerGas")) &&
           sb_fixture_u256(&tx->max_priority_fee, member(transaction, "maxPriorityFeePerGas"));
}

/* What only some types have. */
static bool read_lists(struct sb_tx *tx, struct sb_arena *arena, const json_t *transaction,
                       const json_t *access_list)
{
    if (json_is_array(access_list) && !read_access_list(tx, arena, access_list)) {
        return false;
    }
    if (tx->type == SB_TX_BLOB) {
        return sb_fixture_u256(&tx->max_fee_per_blob_gas,
                               member(transaction, "maxFeePerBlobGas")) &&
               read_hashes(&tx->blob_hashes, &tx->blob_hash_count, arena,
                           member(transaction, "blobVersionedHashes"));
    }
    if (tx->type == SB_TX_SET_CODE) {
        return read_authorizations(tx, arena, member(transaction, "authorizationList"));
    }
    return true;
}

bool sb_fixture_tx(struct sb_tx *ret_tx, struct sb_arena *arena, const json_t *transaction,
                   const struct sb_fixture_indexes *indexes, uint64_t chain_id)
{
    const json_t *data = json_array_get(member(transaction, "data"), indexes->data);
    const json_t *gas = json_array_get(member(transaction, "gasLimit"), indexes->gas);
    const json_t *value = json_array_get(member(transaction, "value"), indexes->value);
    const json_t *access_list = json_array_get(member(transaction, "accessLists"), indexes->data);
    struct sb_tx tx = {.chain_id = chain_id};
    sb_hash secret;
    tx.is_create = json_string_length(member(transaction, "to")) == 0;
    if (!read_fees(&tx, transaction, access_list) ||
        !read_lists(&tx, arena, transaction, access_list) ||
        !sb_fixture_u64(&tx.nonce, member(transaction, "nonce")) ||
        !sb_fixture_u64(&tx.gas_limit, gas) || !sb_fixture_u256(&tx.value, value) ||
        !sb_fixture_bytes(&tx.data, arena, data) ||
        (!tx.is_create && !sb_fixture_addr(&tx.to, member(transaction, "to"))) ||
        !sb_fixture_word(&secret, member(transaction, "secretKey"))) {
        return false;
    }
    tx.has_chain_id = tx.type != SB_TX_LEGACY; /* so that it holds before EIP-155 too */
    if (sb_tx_sign(&tx, secret.b) != SB_OK) {
        return false;
    }
    *ret_tx = tx;
    return true;
}
