/* overlay_impl.h: the records of the overlay and its journal, shared by the overlay_*.c files and by nobody else.
 *
 *      accounts table --> struct account --> slots (list) --> struct slot
 *                             |                                  |
 *      journal   [undo] [undo] [undo] ... <- one entry for each change, newest last; checkpoint = length of the journal
 *
 * - Records live in `arena` as long as the overlay; what belongs to one transaction (undo copies of account bodies, transient slots, log
 *   data) lives in `tx_arena`, which tx_begin resets together with the journal.
 * - Wiping an account's storage is O(1): body.wipe_count goes up, and a slot counts only while its `generation` equals it. A slot
 *   that was just read from the view has generation 0. Undoing the body undoes the wipe.
 * - "In this transaction" is a number, not a set to be emptied: warm_tx == o->tx means warm.
 * - After a failure (o->err) records may be the two spare ones, so that callers need no checks; their contents mean nothing. */
#ifndef SB_VM_STATE_OVERLAY_IMPL_H
#define SB_VM_STATE_OVERLAY_IMPL_H

#include "vm/state/overlay.h"
#include "vm/state/table.h"

/* The part of an account that changes, copied whole into the journal. */
struct account_body {
    sb_u256 balance;
    sb_hash code_hash;
    sb_bytes code; /* valid if code_loaded */
    uint64_t nonce;
    uint32_t wipe_count;
    bool exists;
    bool code_loaded;
    bool created;   /* in this transaction */
    bool destroyed; /* marked in this transaction */
    bool touched;   /* in this transaction (EIP-161) */
};

struct account {
    sb_addr addr;
    uint64_t hash;
    struct account_body body;
    struct sb_account base; /* as the view has it; valid if loaded */
    bool loaded;
    bool base_exists;
    bool is_dirty; /* in o->dirty */
    uint64_t warm_tx;
    uint64_t wipe_tx;          /* transaction that last wiped the storage ... */
    uint32_t wipe_count_start; /* ... and the wipe_count that it began with */
    struct slot *slots;        /* newest first */
    struct account *next;      /* in order of insertion */
};

struct slot {
    struct account *account;
    sb_hash key;
    sb_u256 value;
    sb_u256 base;     /* in the view */
    sb_u256 original; /* at the start of transaction original_tx */
    uint64_t original_tx;
    uint64_t warm_tx;
    uint32_t generation;
    bool loaded;
    struct slot *next;
};

struct transient {
    const struct account *account;
    sb_hash key;
    sb_u256 value;
};

struct model {
    sb_hash id;
    uint64_t warm_tx;
};

struct blob {
    sb_hash id;
    sb_bytes data; /* data == NULL: absent */
    sb_bytes base; /* in the view */
    struct blob *next;
};

struct code {
    sb_hash hash;
    sb_bytes bytes;
};

enum undo_kind {
    UNDO_ACCOUNT,
    UNDO_SLOT,
    UNDO_TRANSIENT,
    UNDO_WARM_ADDR,
    UNDO_WARM_SLOT,
    UNDO_WARM_MODEL,
    UNDO_LOG,
    UNDO_INFERENCE,
    UNDO_REFUND,
    UNDO_BLOB,
};

struct undo {
    enum undo_kind kind;
    uint32_t generation; /* of a slot */
    void *item;
    union {
        sb_u256 value;
        const struct account_body *body;
        sb_bytes data;
        int64_t refund;
    } old;
};

/* Block hashes that were asked for: BLOCKHASH costs less than a read of the view. */
#define BLOCK_HASHES_KEPT 256 /* as many as a contract can ask for */
struct block_hash {
    uint64_t number;
    bool known;
    sb_hash hash;
};

struct sb_overlay {
    struct sb_state_view view;
    struct sb_rules rules;
    sb_err err;
    struct sb_table_key key;
    uint64_t tx;           /* number of the running transaction, from 1 */
    struct sb_budget heap; /* tables and growing arrays; the arenas take the rest of its limit */
    struct sb_arena arena;
    struct sb_arena tx_arena;

    struct sb_table accounts, slots, transients, models, blobs, codes;
    struct account *first, *last;
    struct blob *blob_list;
    struct account **dirty; /* accounts whose body changed since the last tx_begin or tx_end */
    size_t dirty_count, dirty_capacity;
    struct undo *journal;
    size_t journal_count, journal_capacity;
    struct sb_log *logs;
    size_t log_count, log_capacity;
    struct sb_inference_record *inferences;
    size_t inference_count, inference_capacity;
    int64_t refund;

    struct block_hash block_hashes[BLOCK_HASHES_KEPT]; /* by number mod BLOCK_HASHES_KEPT */

    struct account spare_account;
    struct slot spare_slot;
};

/* sb_overlay_alloc: memory of one of the two arenas within the overlay's limit; NULL after sb_overlay_fail. */
void *sb_overlay_alloc(struct sb_overlay *o, struct sb_arena *arena, size_t len);
/* sb_overlay_reserve: make *items (owned, *capacity elements) hold one more than count; false after sb_overlay_fail. */
bool sb_overlay_reserve(struct sb_overlay *o, void **items, size_t *capacity, size_t count,
                        size_t elem_bytes);
/* sb_overlay_undo_push: append an undo record (dropped after a failure). */
void sb_overlay_undo_push(struct sb_overlay *o, const struct undo *undo);

/* sb_account_find: NULL if never seen. sb_account_get: the record, made if need be. sb_account_load: the record, read from the view. */
struct account *sb_account_find(const struct sb_overlay *o, const sb_addr *a);
struct account *sb_account_get(struct sb_overlay *o, const sb_addr *a);
struct account *sb_account_load(struct sb_overlay *o, const sb_addr *a);
/* sb_account_change: journal the body, mark it dirty and hand it out for writing. */
struct account_body *sb_account_change(struct sb_overlay *o, struct account *account);
/* sb_account_wipe: forget all slots; body was handed out by sb_account_change. */
void sb_account_wipe(struct sb_overlay *o, struct account *account);

/* sb_slot_current: the value now, of a loaded slot. */
static inline sb_u256 sb_slot_current(const struct slot *s)
{
    return s->generation == s->account->body.wipe_count ? s->value : sb_u256_zero();
}

#endif
