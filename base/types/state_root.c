/* state_root.c: leaves and roots of the state tries, by hashing the keys, sorting and a stack trie; see state_root.h. */
#include "base/types/state_root.h"

#include <stdlib.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"

size_t sb_account_leaf(uint8_t ret[SB_ACCOUNT_LEAF_BYTES_MAX], uint64_t nonce,
                       const sb_u256 *balance, const sb_hash *storage_root,
                       const sb_hash *code_hash)
{
    struct sb_buf buf = sb_buf_over(ret, SB_ACCOUNT_LEAF_BYTES_MAX);
    size_t list = sb_rlp_list_begin(&buf);
    sb_rlp_put_u64(&buf, nonce);
    sb_rlp_put_u256(&buf, balance);
    sb_rlp_put_hash(&buf, storage_root);
    sb_rlp_put_hash(&buf, code_hash);
    sb_rlp_list_end(&buf, list);
    SB_ASSERT(!buf.failed);
    return buf.len;
}

size_t sb_slot_leaf(uint8_t ret[SB_SLOT_LEAF_BYTES_MAX], const sb_u256 *value)
{
    struct sb_buf buf = sb_buf_over(ret, SB_SLOT_LEAF_BYTES_MAX);
    sb_rlp_put_u256(&buf, value);
    SB_ASSERT(!buf.failed);
    return buf.len;
}

/* A hashed key and the entry that it belongs to. */
struct hashed_key {
    sb_hash key;
    size_t index;
};

static int compare_keys(const void *a, const void *b)
{
    return memcmp(((const struct hashed_key *)a)->key.b, ((const struct hashed_key *)b)->key.b,
                  sizeof(sb_hash));
}

/* Sorting and the trie are the same for slots and accounts; an entry gives its leaf. */
typedef size_t (*leaf_fn)(uint8_t ret[SB_ACCOUNT_LEAF_BYTES_MAX], const void *entries,
                          size_t index);

static sb_err sorted_root(sb_hash *ret_root, struct hashed_key *keys, size_t count,
                          const void *entries, leaf_fn leaf)
{
    struct sb_stack_trie *trie = sb_stack_trie_new();
    if (trie == NULL) {
        return SB_E_NOMEM;
    }
    qsort(keys, count, sizeof *keys, compare_keys);
    sb_err err = SB_OK;
    for (size_t i = 0; i < count && err == SB_OK; i++) {
        uint8_t value[SB_ACCOUNT_LEAF_BYTES_MAX];
        size_t len = leaf(value, entries, keys[i].index);
        err = sb_stack_trie_add(trie, sb_span(keys[i].key.b, sizeof keys[i].key.b),
                                sb_span(value, len));
    }
    if (err == SB_OK) {
        err = sb_stack_trie_root(ret_root, trie);
    }
    sb_stack_trie_free(trie);
    return err;
}

static struct hashed_key *new_keys(size_t count)
{
    return calloc(count == 0 ? 1 : count, sizeof(struct hashed_key));
}

static size_t slot_entry_leaf(uint8_t ret[SB_ACCOUNT_LEAF_BYTES_MAX], const void *entries,
                              size_t index)
{
    const struct sb_slot_diff *slots = entries;
    return sb_slot_leaf(ret, &slots[index].value);
}

sb_err sb_storage_root(sb_hash *ret_root, const struct sb_slot_diff *slots, size_t count)
{
    struct hashed_key *keys = new_keys(count);
    if (keys == NULL) {
        return SB_E_NOMEM;
    }
    size_t present = 0;
    for (size_t i = 0; i < count; i++) {
        if (!sb_u256_is_zero(&slots[i].value)) {
            keys[present].key = sb_keccak256(sb_span(slots[i].key.b, sizeof slots[i].key.b));
            keys[present++].index = i;
        }
    }
    sb_err err = sorted_root(ret_root, keys, present, slots, slot_entry_leaf);
    free(keys);
    return err;
}

static size_t account_entry_leaf(uint8_t ret[SB_ACCOUNT_LEAF_BYTES_MAX], const void *entries,
                                 size_t index)
{
    const struct sb_root_account *account = (const struct sb_root_account *)entries + index;
    return sb_account_leaf(ret, account->nonce, &account->balance, &account->storage_root,
                           &account->code_hash);
}

sb_err sb_state_root(sb_hash *ret_root, const struct sb_root_account *accounts, size_t count)
{
    struct hashed_key *keys = new_keys(count);
    if (keys == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        keys[i].key = sb_keccak256(sb_span(accounts[i].addr.b, sizeof accounts[i].addr.b));
        keys[i].index = i;
    }
    sb_err err = sorted_root(ret_root, keys, count, accounts, account_entry_leaf);
    free(keys);
    return err;
}

sb_err sb_state_root_diff(sb_hash *ret_root, const struct sb_state_diff *diff)
{
    struct sb_root_account *accounts = calloc(diff->account_count + 1, sizeof *accounts);
    if (accounts == NULL) {
        return SB_E_NOMEM;
    }
    size_t count = 0;
    sb_err err = SB_OK;
    for (size_t i = 0; i < diff->account_count && err == SB_OK; i++) {
        const struct sb_account_diff *d = &diff->accounts[i];
        if (d->exists) {
            struct sb_root_account *account = &accounts[count++];
            *account = (struct sb_root_account){.addr = d->addr,
                                                .nonce = d->nonce,
                                                .balance = d->balance,
                                                .code_hash = d->code_hash};
            err = sb_storage_root(&account->storage_root, d->slots, d->slot_count);
        }
    }
    if (err == SB_OK) {
        err = sb_state_root(ret_root, accounts, count);
    }
    free(accounts);
    return err;
}
