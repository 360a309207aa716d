/* access_set.c: see access_set.h. */
#include "node/access_set.h"

struct slot_key {
    const sb_addr *addr;
    const sb_hash *key;
};

static bool same_account(const void *item, const void *key)
{
    return sb_addr_equal(&((const struct sb_access_account *)item)->addr, key);
}

static bool same_slot(const void *item, const void *key)
{
    const struct sb_access_slot *slot = item;
    const struct slot_key *k = key;
    return sb_hash_equal(&slot->key, k->key) && sb_addr_equal(&slot->addr, k->addr);
}

void sb_access_set_init(struct sb_access_set *set, struct sb_arena *arena, size_t limit_bytes)
{
    /* Where the system put us is as good a secret as any: it only picks buckets. */
    uint64_t seed = (uint64_t)(uintptr_t)set ^ (uint64_t)(uintptr_t)arena << 32;
    *set = (struct sb_access_set){
        .arena = arena, .budget = {.limit_bytes = limit_bytes}, .key = sb_table_key_make(seed)};
}

void sb_access_set_fini(struct sb_access_set *set)
{
    sb_table_fini(&set->accounts, &set->budget);
    sb_table_fini(&set->slots, &set->budget);
}

void sb_access_set_reset(struct sb_access_set *set)
{
    sb_table_clear(&set->accounts, &set->budget);
    sb_table_clear(&set->slots, &set->budget);
    set->first = NULL;
    set->last = NULL;
    set->account_count = 0;
}

struct sb_access_account *sb_access_set_account(struct sb_access_set *set, const sb_addr *addr,
                                                bool *ret_new)
{
    uint64_t hash = sb_table_hash_addr(&set->key, addr);
    struct sb_access_account *account = sb_table_find(&set->accounts, hash, same_account, addr);
    if (ret_new != NULL) {
        *ret_new = account == NULL;
    }
    if (account != NULL) {
        return account;
    }
    account = sb_arena_zalloc(set->arena, sizeof *account);
    if (account == NULL || !sb_table_add(&set->accounts, &set->budget, hash, account)) {
        set->failed = true;
        return NULL;
    }
    account->addr = *addr;
    *(set->last != NULL ? &set->last->next : &set->first) = account;
    set->last = account;
    set->account_count++;
    return account;
}

struct sb_access_slot *sb_access_set_slot(struct sb_access_set *set, const sb_addr *addr,
                                          const sb_hash *key, bool *ret_new)
{
    const struct slot_key k = {.addr = addr, .key = key};
    uint64_t hash = sb_table_hash_place(&set->key, sb_table_hash_addr(&set->key, addr), key);
    struct sb_access_slot *slot = sb_table_find(&set->slots, hash, same_slot, &k);
    if (ret_new != NULL) {
        *ret_new = slot == NULL;
    }
    if (slot != NULL) {
        return slot;
    }
    struct sb_access_account *account = sb_access_set_account(set, addr, NULL);
    slot = sb_arena_zalloc(set->arena, sizeof *slot);
    if (account == NULL || slot == NULL || !sb_table_add(&set->slots, &set->budget, hash, slot)) {
        set->failed = true;
        return NULL;
    }
    slot->addr = *addr;
    slot->key = *key;
    *(account->last != NULL ? &account->last->next : &account->first) = slot;
    account->last = slot;
    account->slot_count++;
    return slot;
}

sb_err sb_access_set_list(const struct sb_access_entry **ret_entries, size_t *ret_count,
                          const struct sb_access_set *set, struct sb_arena *arena)
{
    if (set->failed) {
        return SB_E_LIMIT;
    }
    struct sb_access_entry *entries = sb_arena_array(arena, set->account_count, sizeof *entries);
    if (entries == NULL) {
        return SB_E_NOMEM;
    }
    size_t count = 0;
    for (const struct sb_access_account *a = set->first; a != NULL; a = a->next) {
        sb_hash *keys = sb_arena_array(arena, a->slot_count, sizeof *keys);
        if (keys == NULL) {
            return SB_E_NOMEM;
        }
        size_t key_count = 0;
        for (const struct sb_access_slot *s = a->first; s != NULL; s = s->next) {
            keys[key_count++] = s->key;
        }
        entries[count++] =
            (struct sb_access_entry){.addr = a->addr, .keys = keys, .key_count = key_count};
    }
    *ret_entries = entries;
    *ret_count = count;
    return SB_OK;
}
