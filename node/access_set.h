/* access_set.h: the accounts and slots that an execution touches, each once, in the order of their first touch.
 *
 *     account -> slot -> slot          found by hash table, listed by link
 *        |
 *     account -> slot
 *
 * Items live in the caller's arena; the tables take memory of their own up to a limit. */
#ifndef SB_NODE_ACCESS_SET_H
#define SB_NODE_ACCESS_SET_H

#include "base/types/tx.h"
#include "base/types/state.h"
#include "vm/state/table.h"

struct sb_access_slot {
    sb_addr addr;
    sb_hash key;
    sb_u256 before; /* for the owner of the set; zero at first */
    struct sb_access_slot *next;
};

struct sb_access_account {
    sb_addr addr;
    struct sb_access_slot *first, *last;
    size_t slot_count;
    struct sb_access_account *next;
    struct { /* for the owner of the set; zero at first */
        sb_u256 balance;
        uint64_t nonce;
        sb_bytes code;
        bool exists;
    } before;
};

struct sb_access_set {
    struct sb_arena *arena;
    struct sb_budget budget;
    struct sb_table accounts, slots;
    struct sb_access_account *first, *last;
    size_t account_count;
    struct sb_table_key key;
    bool failed; /* something did not fit: the set is incomplete */
};

void sb_access_set_init(struct sb_access_set *set, struct sb_arena *arena, size_t limit_bytes);
void sb_access_set_fini(struct sb_access_set *set);
void sb_access_set_reset(struct sb_access_set *set);

/* sb_access_set_account, _slot: the item, made when it is new; a slot makes its account too. *ret_new may be NULL. NULL when there is
 * no memory; the set is then marked as failed. */
struct sb_access_account *sb_access_set_account(struct sb_access_set *set, const sb_addr *addr,
                                                bool *ret_new);
struct sb_access_slot *sb_access_set_slot(struct sb_access_set *set, const sb_addr *addr,
                                          const sb_hash *key, bool *ret_new);

/* sb_access_set_list: as an EIP-2930 access list, in the arena. SB_E_LIMIT when the set has failed. */
sb_err sb_access_set_list(const struct sb_access_entry **ret_entries, size_t *ret_count,
                          const struct sb_access_set *set, struct sb_arena *arena) SB_MUST_USE;

#endif
