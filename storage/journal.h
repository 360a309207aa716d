/* journal.h: the validator's journal: write-ahead log of consensus and guard against signing twice, append-only files.
 *
 *   journal/00000001.wal   record | record | record | ...          rotated by size; the format stands at the head of journal.c
 *   record = checksum, length, type, height, payload
 *
 * Rules (docs/adr/0008-consensus-core-and-driver.md): every input is appended before it is applied; before an own signature leaves the process the
 * record {height, round, step, sign bytes, signature} and all records before it are durable (one fdatasync). A torn tail is cut off
 * (a copy is kept) and reported; damage in the middle is SB_E_CORRUPT and the node must not vote. */
#ifndef SB_STORAGE_JOURNAL_H
#define SB_STORAGE_JOURNAL_H

#include "base/types/hash.h"
#include "base/util/err.h"
#include "base/util/span.h"
#include "storage/journal_disk.h"

struct sb_journal;

enum sb_journal_step { SB_JOURNAL_PROPOSAL = 1, SB_JOURNAL_PREVOTE = 2, SB_JOURNAL_PRECOMMIT = 3 };

/* A place in the order in which a validator may sign: (height, round, step), compared left to right. */
struct sb_journal_place {
    uint64_t height;
    uint32_t round;
    enum sb_journal_step step;
};

struct sb_journal_identity {
    sb_hash genesis_hash;
    uint8_t public_key[32];
};

/* What open found, for the log. */
struct sb_journal_recovery {
    bool created;
    uint64_t torn_bytes; /* cut off the end */
    uint64_t record_count;
};

/* The last place that was signed, and the keccak256 of what was signed there. */
struct sb_journal_history {
    struct sb_journal_place place;
    sb_hash sign_bytes_hash;
};

/* sb_journal_open: create_new must be true exactly when the key is new: a key without its journal refuses to start (SB_E_NOT_FOUND).
 * The disk is taken over in every case: closed by sb_journal_close, or at once when opening fails.
 * SB_E_EXISTS: create_new over an existing journal. SB_E_ARG: it belongs to another key or genesis. SB_E_CORRUPT: damage in the middle. */
sb_err sb_journal_open(struct sb_journal **ret_journal, const struct sb_journal_disk *disk,
                       const struct sb_journal_identity *identity, bool create_new,
                       struct sb_journal_recovery *ret_recovery, struct sb_diag *diag) SB_MUST_USE;
/* sb_journal_open_folder: the same over a folder of the file system (sb_journal_disk_folder), which create_new makes. */
sb_err sb_journal_open_folder(struct sb_journal **ret_journal, const char *dir,
                              const struct sb_journal_identity *identity, bool create_new,
                              struct sb_journal_recovery *ret_recovery,
                              struct sb_diag *diag) SB_MUST_USE;
void sb_journal_close(struct sb_journal *journal);

/* sb_journal_append: add an input record (not yet durable). type >= 16 belongs to the caller. */
sb_err sb_journal_append(struct sb_journal *journal, uint8_t type, uint64_t height,
                         sb_bytes payload) SB_MUST_USE;
/* sb_journal_sync: everything appended is durable when it returns. A failure is final: the node must stop. */
sb_err sb_journal_sync(struct sb_journal *journal) SB_MUST_USE;
/* sb_journal_sync_count: how often the disk was asked to sync since it was opened. */
uint64_t sb_journal_sync_count(const struct sb_journal *journal);

/* sb_journal_may_sign: the double-sign guard.
 * SB_OK: nothing was signed at or after this place here, or in its height in an imported history: sign, then sb_journal_signed.
 * SB_E_EXISTS: these very bytes were signed here; *ret_signature is the stored signature, to be used again.
 * SB_E_ARG: other bytes at this place, or a later place was signed: refuse (message in diag). */
sb_err sb_journal_may_sign(uint8_t ret_signature[64], struct sb_journal *journal,
                           const struct sb_journal_place *place, sb_bytes sign_bytes,
                           struct sb_diag *diag) SB_MUST_USE;
/* sb_journal_signed: append the signed record and sync it with all records before it. Only after SB_OK may the signature be used. */
sb_err sb_journal_signed(struct sb_journal *journal, const struct sb_journal_place *place,
                         sb_bytes sign_bytes, const uint8_t signature[64]) SB_MUST_USE;

/* sb_journal_last_signed: the last place that was signed, as the journal knows it, imported ones included; false when nothing was. */
bool sb_journal_last_signed(struct sb_journal_place *ret_place, const struct sb_journal *journal);
/* sb_journal_history: the same with the hash of what was signed, for an export. */
bool sb_journal_history(struct sb_journal_history *ret_history, const struct sb_journal *journal);
/* sb_journal_import: from now on nothing is signed up to and in the height of this place, whatever the round (but what the journal itself
 * has signed there is given again): which lock belongs to a vote that was signed elsewhere is not known here. Also when the journal itself
 * has signed a later place of that height: the last place is the later of the two, and the height is closed all the same. Durable when
 * it returns. *ret_raised is false when nothing changed: the journal has signed in a later height, the height is closed already, or the
 * history is the journal's own (its last place, with the same bytes).
 * SB_E_ARG: the place has no valid step, or height 0. */
sb_err sb_journal_import(bool *ret_raised, struct sb_journal *journal,
                         const struct sb_journal_history *history,
                         struct sb_diag *diag) SB_MUST_USE;

/* sb_journal_rollback: the database is about to go back from block `from` to block `to` on purpose. Durable when it returns. Signatures
 * and records stay what they are: heights above `to` can be run again from them, and nothing is signed twice. */
struct sb_journal_rollback {
    uint64_t from, to;
};
sb_err sb_journal_rollback(struct sb_journal *journal, const struct sb_journal_rollback *rollback,
                           struct sb_diag *diag) SB_MUST_USE;
/* sb_journal_rolled_back_from: the highest block from which the database went back, until the end of that height is noted again: so long
 * the journal may be ahead of the database by more than the height in work. 0: it is not. */
uint64_t sb_journal_rolled_back_from(const struct sb_journal *journal);
/* sb_journal_last_ended: the highest height that was ever in the database; 0: none. */
uint64_t sb_journal_last_ended(const struct sb_journal *journal);

/* sb_journal_replay: visit all caller records (type >= 16) of `height` and above, oldest first. visit may stop with an error. */
sb_err sb_journal_replay(struct sb_journal *journal, uint64_t height,
                         sb_err (*visit)(void *ctx, uint8_t type, uint64_t height,
                                         sb_bytes payload),
                         void *ctx) SB_MUST_USE;

/* sb_journal_end_height: `height` is in the database; records of heights below height - 1 may be dropped when a file rotates. The last
 * signed place is kept for ever. */
sb_err sb_journal_end_height(struct sb_journal *journal, uint64_t height) SB_MUST_USE;

#endif
