/* journal_disk.h: the few file operations that the journal stands on, as a table: a folder of a file system, or the simulator's memory
 * with torn and lost writes.
 *
 * Durability: what `append` wrote is durable only after `sync` of that file; `create`, `truncate` and `remove` are durable when they
 * return, and `create` is all or nothing. Names are those of the journal (NNNNNNNN.wal and its relatives), without slashes. */
#ifndef SB_STORAGE_JOURNAL_DISK_H
#define SB_STORAGE_JOURNAL_DISK_H

#include "base/util/buf.h"
#include "base/util/err.h"
#include "base/util/span.h"

/* Longest name of a file, with its terminator. */
#define SB_JOURNAL_NAME_BYTES 64

struct sb_journal_disk {
    void *ctx;
    const char *place; /* what messages call it: the folder's path */
    /* list: visit the names of all files, in any order. */
    sb_err (*list)(void *ctx, sb_err (*visit)(void *visit_ctx, const char *name), void *visit_ctx,
                   struct sb_diag *diag);
    /* read: the whole file, appended to out (whose limit bounds it: SB_E_LIMIT). */
    sb_err (*read)(void *ctx, const char *name, struct sb_buf *out, struct sb_diag *diag);
    /* create: a new file. SB_E_EXISTS when the name is taken. */
    sb_err (*create)(void *ctx, const char *name, sb_bytes content, struct sb_diag *diag);
    sb_err (*append)(void *ctx, const char *name, sb_bytes head, sb_bytes tail,
                     struct sb_diag *diag); /* head then tail */
    sb_err (*sync)(void *ctx, const char *name, struct sb_diag *diag);
    /* truncate: to `size` bytes, at most what it has; what it keeps and its name are durable then, too. */
    sb_err (*truncate)(void *ctx, const char *name, uint64_t size, struct sb_diag *diag);
    sb_err (*remove)(void *ctx, const char *name, struct sb_diag *diag);
    void (*close)(void *ctx); /* releases the folder and its lock */
};

/* sb_journal_disk_folder: a folder, made if `create`, and locked against other processes until close.
 * SB_E_NOT_FOUND (no folder and create is false), SB_E_BUSY (another process has it), SB_E_IO. */
sb_err sb_journal_disk_folder(struct sb_journal_disk *ret_disk, const char *dir, bool create,
                              struct sb_diag *diag) SB_MUST_USE;

#endif
