/* files.h: small files of the node: read whole, replaced whole, and directories.
 *
 * A file is replaced by writing a new one beside it, syncing it, renaming it over the old one and syncing the directory, so that a
 * crash leaves the old or the new content. */
#ifndef SB_NODE_FILES_H
#define SB_NODE_FILES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/util/buf.h"
#include "base/util/err.h"

#define SB_PATH_BYTES 1024

/* sb_path_join: "dir/name" into ret. SB_E_LIMIT when it does not fit. */
sb_err sb_path_join(char ret[SB_PATH_BYTES], const char *dir, const char *name,
                    struct sb_diag *diag) SB_MUST_USE;

/* sb_file_read: append the whole content to out; its limit bounds the file. SB_E_NOT_FOUND, SB_E_LIMIT, SB_E_IO with a message. */
sb_err sb_file_read(struct sb_buf *out, const char *path, struct sb_diag *diag) SB_MUST_USE;
/* sb_file_replace: mode is that of a new file (0600 for secrets). */
sb_err sb_file_replace(const char *path, sb_bytes content, mode_t mode,
                       struct sb_diag *diag) SB_MUST_USE;
/* sb_file_exists: false only when it is known to be absent; of a file that may not be looked at, opening tells why. */
bool sb_file_exists(const char *path);

/* sb_dir_make: with its parents; one that is there is fine. mode is that of the last one. */
sb_err sb_dir_make(const char *path, mode_t mode, struct sb_diag *diag) SB_MUST_USE;
/* sb_dir_check_only: SB_OK for no entries, or no such directory, or no entry but `name` (may be NULL); SB_E_EXISTS when there are
 * others; SB_E_IO. */
sb_err sb_dir_check_only(const char *path, const char *name, struct sb_diag *diag) SB_MUST_USE;
/* sb_dir_remove: with all that is in it; links are removed, not followed. */
sb_err sb_dir_remove(const char *path, struct sb_diag *diag) SB_MUST_USE;

/* sb_files_open_max: raise the process's limit of open files as far as it may go; returns what holds now. */
uint64_t sb_files_open_max(void);

#endif
