/* restore.h: a database made from the pieces of a state that others hold (subtree.h), without the blocks before it.
 *
 *      sb_restore_open(goal) --> frontier: [ root of the account trie ]
 *                                   |  sb_restore_next       requests for places whose reference is known
 *                                   v
 *                 answer --> sb_restore_take: checked; in one batch: flat records, trie records, the request goes, new ones come
 *                                   |  ... until the frontier is empty: sb_restore_is_complete
 *                                   v
 *                 older headers, node records (sb_restore_header, the store's records), sb_restore_finish: head, durable --> a database
 *
 * The frontier lies in the database, so a restore goes on where a crash left it. Contents come before storage, storage before accounts,
 * and the deepest path first: so it stays as small as one path of the tries and the accounts of a few answers.
 *
 * Invariants: what is written is covered by the goal's root, at every moment; flat and trie records are those that replaying the chain
 * would have left (sb_store_verify). An unfinished restore is no database: sb_store_open refuses it. One thread. */
#ifndef SB_STORAGE_RESTORE_H
#define SB_STORAGE_RESTORE_H

#include "storage/store.h"
#include "storage/subtree.h"

/* Requests that may be out at a time. */
#define SB_RESTORE_OUT_MAX 1024

struct sb_restore;

struct sb_restore_goal {
    uint64_t number;
    sb_hash block_hash;
    sb_hash state_root;
};

/* sb_restore_pending: *ret_goal of the unfinished restore in a folder. SB_E_NOT_FOUND: there is none;
 * SB_E_EXISTS: there is a finished database; the errors of sb_store_open. */
sb_err sb_restore_pending(struct sb_restore_goal *ret_goal, const char *dir,
                          const struct sb_store_identity *identity,
                          struct sb_diag *diag) SB_MUST_USE;

/* sb_restore_open: begin in an empty folder, or go on with the unfinished restore that is there; one with another goal is dropped first.
 * SB_E_EXISTS: the folder holds a finished database. */
sb_err sb_restore_open(struct sb_restore **ret_restore, const char *dir,
                       const struct sb_store_identity *identity, const struct sb_restore_goal *goal,
                       struct sb_diag *diag) SB_MUST_USE;
void sb_restore_close(struct sb_restore *restore);
/* sb_restore_store: the database underneath: records, contents; it has no head before finish. */
struct sb_store *sb_restore_store(struct sb_restore *restore);

/* sb_restore_next: at most max requests that are not out; they are out then. */
sb_err sb_restore_next(struct sb_subtree_request *ret_requests, size_t *ret_count,
                       struct sb_restore *restore, size_t max) SB_MUST_USE;
/* sb_restore_give_back: a request that is out was not answered: next gives it again. */
void sb_restore_give_back(struct sb_restore *restore, const struct sb_subtree_request *request);
/* sb_restore_take: the answer to an open request. SB_E_REFUSED: it is wrong (diag), nothing has changed, and the request may be given back
 * or answered again; SB_E_NOT_FOUND: there is no such open request. Others: failures of the node. Not durable at once, but whatever is lost
 * in a crash is lost from the end on. */
sb_err sb_restore_take(struct sb_restore *restore, const struct sb_subtree_request *request,
                       sb_bytes answer, struct sb_diag *diag) SB_MUST_USE;
/* sb_restore_want_blobs: open requests for these, as far as they are not here. */
sb_err sb_restore_want_blobs(struct sb_restore *restore, const sb_hash *ids,
                             size_t count) SB_MUST_USE;
/* sb_restore_is_complete: no request is open. */
bool sb_restore_is_complete(const struct sb_restore *restore);
/* sb_restore_slots: visit the slots that are here of one account (keccak256 of its address), ascending by hash. */
sb_err sb_restore_slots(struct sb_restore *restore, const sb_hash *account,
                        sb_err (*visit)(void *ctx, const sb_hash *slot, const sb_u256 *value),
                        void *ctx) SB_MUST_USE;

/* sb_restore_slot: the value of a slot of an account (both keccak256 of their names) that is here; zero when it is not. */
sb_err sb_restore_slot(sb_u256 *ret_value, struct sb_restore *restore, const sb_hash *account,
                       const sb_hash *slot) SB_MUST_USE;

struct sb_restore_progress {
    uint64_t account_count, slot_count, code_count, blob_count, bytes; /* since the beginning */
    uint64_t open_count; /* requests open, out or not */
    uint32_t permille;   /* of the account trie, by the places of its open requests */
};
struct sb_restore_progress sb_restore_progress(const struct sb_restore *restore);

/* sb_restore_header: the header of a block below the goal, for the hashes of the last 256 blocks; the caller has checked that it belongs to
 * the chain. */
sb_err sb_restore_header(struct sb_restore *restore, uint64_t number, sb_bytes header,
                         struct sb_diag *diag) SB_MUST_USE;

/* sb_restore_finish: the goal's block becomes the head, with everything that a commit writes with a block, in one synced batch; the
 * folder is a database then, whose oldest block is this one. The restore is only good for closing afterwards. SB_E_ARG: it is not complete,
 * or the block is not the goal's. */
sb_err sb_restore_finish(struct sb_restore *restore, const struct sb_store_block *block,
                         struct sb_diag *diag) SB_MUST_USE;

#endif
