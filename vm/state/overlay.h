/* overlay.h: the journaled state of one block under execution, over a read view.
 *
 *     sb_state_view (immutable)  <-- reads --  overlay: accounts, slots, transient slots, access sets, logs, inferences, refund, blobs
 *                                              journal: undo records;  checkpoint = place in the journal
 *
 * One overlay lives for a block (or an eth_call). Each transaction starts with sb_overlay_tx_begin, which fixes the "original" slot
 * values (EIP-2200), empties the access sets, transient storage, logs, inferences and refund, and ends with sb_overlay_tx_end, which removes
 * self-destructed and, from Spurious Dragon on, touched empty accounts. A frame that fails is undone by sb_overlay_rollback: every
 * effect is journaled, access-set additions, logs, inferences, refunds and blobs included.
 *
 * A failure of the view is sticky: sb_overlay_err tells it; reads then answer zero and the block's result must be thrown away.
 * Memory comes from an arena with a limit that gas implies; running out is such a failure too. Not thread-safe. */
#ifndef SB_VM_STATE_OVERLAY_H
#define SB_VM_STATE_OVERLAY_H

#include "base/types/inference_record.h"
#include "base/types/receipt.h"
#include "base/types/state.h"
#include "base/util/arena.h"
#include "vm/exec/rules.h"

struct sb_overlay;

/* sb_overlay_new: an overlay over view (borrowed, must outlive it). limit_bytes bounds its memory. NULL when out of memory. */
struct sb_overlay *sb_overlay_new(const struct sb_state_view *view, const struct sb_rules *rules,
                                  size_t limit_bytes);
void sb_overlay_free(struct sb_overlay *o);
sb_err sb_overlay_err(const struct sb_overlay *o) SB_MUST_USE;
/* sb_overlay_fail: make a failure of the environment that the caller found as sticky as the overlay's own; the first one stays. */
void sb_overlay_fail(struct sb_overlay *o, sb_err err);

/* sb_overlay_view: a read view of the overlay's present contents, for code that reads through the seam; valid until the next change. */
struct sb_state_view sb_overlay_view(struct sb_overlay *o);

/* Transactions and frames. */
void sb_overlay_tx_begin(struct sb_overlay *o);
void sb_overlay_tx_end(struct sb_overlay *o);
typedef size_t sb_checkpoint;
sb_checkpoint sb_overlay_checkpoint(const struct sb_overlay *o);
void sb_overlay_rollback(struct sb_overlay *o, sb_checkpoint checkpoint);

/* Accounts. exists: in the state, empty or not. empty: nonce 0, balance 0, no code (EIP-161). Setters create the account. */
bool sb_overlay_exists(struct sb_overlay *o, const sb_addr *a);
bool sb_overlay_is_empty(struct sb_overlay *o, const sb_addr *a);
sb_u256 sb_overlay_balance(struct sb_overlay *o, const sb_addr *a);
uint64_t sb_overlay_nonce(struct sb_overlay *o, const sb_addr *a);
sb_hash sb_overlay_code_hash(struct sb_overlay *o, const sb_addr *a);
sb_bytes sb_overlay_code(struct sb_overlay *o, const sb_addr *a); /* valid as long as the overlay */
bool sb_overlay_has_storage(struct sb_overlay *o, const sb_addr *a);
void sb_overlay_touch(struct sb_overlay *o, const sb_addr *a);
void sb_overlay_balance_set(struct sb_overlay *o, const sb_addr *a, const sb_u256 *balance);
/* sb_overlay_balance_add / _sub: the caller has checked that neither wraps. */
void sb_overlay_balance_add(struct sb_overlay *o, const sb_addr *a, const sb_u256 *amount);
void sb_overlay_balance_sub(struct sb_overlay *o, const sb_addr *a, const sb_u256 *amount);
void sb_overlay_nonce_set(struct sb_overlay *o, const sb_addr *a, uint64_t nonce);
/* sb_overlay_code_set: the overlay copies the code. */
void sb_overlay_code_set(struct sb_overlay *o, const sb_addr *a, sb_bytes code);
/* sb_overlay_create: begin a contract at a: storage emptied, marked as created in this transaction (EIP-6780), balance kept. */
void sb_overlay_create(struct sb_overlay *o, const sb_addr *a);
bool sb_overlay_created_in_tx(const struct sb_overlay *o, const sb_addr *a);
/* sb_overlay_destroy: mark for removal at the end of the transaction; returns false if it was marked already. */
bool sb_overlay_destroy(struct sb_overlay *o, const sb_addr *a);

/* Storage. original: the value at the start of the transaction. */
sb_u256 sb_overlay_slot(struct sb_overlay *o, const sb_addr *a, const sb_hash *key);
sb_u256 sb_overlay_slot_original(struct sb_overlay *o, const sb_addr *a, const sb_hash *key);
void sb_overlay_slot_set(struct sb_overlay *o, const sb_addr *a, const sb_hash *key,
                         const sb_u256 *value);
/* sb_overlay_storage_clear: forget all slots of an account, as the `state` override of eth_call asks. */
void sb_overlay_storage_clear(struct sb_overlay *o, const sb_addr *a);
sb_u256 sb_overlay_transient(struct sb_overlay *o, const sb_addr *a, const sb_hash *key);
void sb_overlay_transient_set(struct sb_overlay *o, const sb_addr *a, const sb_hash *key,
                              const sb_u256 *value);

/* Access sets (EIP-2929): return true if the item was warm already, and make it warm. Model loads use warm_model (docs/spec/precompiles.md, 2). */
bool sb_overlay_warm_addr(struct sb_overlay *o, const sb_addr *a);
bool sb_overlay_warm_slot(struct sb_overlay *o, const sb_addr *a, const sb_hash *key);
bool sb_overlay_warm_model(struct sb_overlay *o, const sb_hash *model_id);
bool sb_overlay_is_warm_addr(const struct sb_overlay *o, const sb_addr *a);
bool sb_overlay_is_warm_slot(const struct sb_overlay *o, const sb_addr *a, const sb_hash *key);

/* sb_overlay_accessed: visit every address and slot that the transaction touched (eth_createAccessList). key is NULL for an address. */
void sb_overlay_accessed(const struct sb_overlay *o,
                         void (*visit)(void *ctx, const sb_addr *a, const sb_hash *key), void *ctx);

/* Logs, inferences and refund of the running transaction. log: topics and data are copied. */
void sb_overlay_log(struct sb_overlay *o, const struct sb_log *log);
const struct sb_log *sb_overlay_logs(const struct sb_overlay *o,
                                     size_t *ret_count); /* valid until tx_begin */
/* sb_overlay_inference: an inference of the running transaction; transaction hash and index are left to whoever collects them. */
void sb_overlay_inference(struct sb_overlay *o, const struct sb_inference_record *record);
const struct sb_inference_record *
sb_overlay_inferences(const struct sb_overlay *o,
                      size_t *ret_count); /* in order; valid until tx_begin */
void sb_overlay_refund_add(struct sb_overlay *o, int64_t gas);
int64_t sb_overlay_refund(const struct sb_overlay *o);

/* Blobs (model chunks). put copies data; id is sha2-256(data), the caller's duty. get: data == NULL when absent. */
void sb_overlay_blob_put(struct sb_overlay *o, const sb_hash *id, sb_bytes data);
void sb_overlay_blob_release(struct sb_overlay *o, const sb_hash *id);
sb_bytes sb_overlay_blob(struct sb_overlay *o, const sb_hash *id);

/* sb_overlay_block_hash: as the view's. */
sb_hash sb_overlay_block_hash(struct sb_overlay *o, uint64_t number);

/* sb_overlay_diff: what differs from the view, sorted, built in the arena (code and data borrow from the overlay).
 * SB_E_NOMEM, or the sticky error. */
sb_err sb_overlay_diff(struct sb_state_diff *ret_diff, struct sb_overlay *o,
                       struct sb_arena *arena) SB_MUST_USE;

#endif
