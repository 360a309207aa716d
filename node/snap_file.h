/* snap_file.h: a snapshot as files: what a state sync asks and is answered, written down, and a state sync from that.
 *
 *      DIR/manifest.json    {"format", "chainId", "genesisHash", "height", "blockId", "stateRoot", "chunks": [{"file", "bytes", "sha256"}]}
 *          00000.chunk      entries: question's length (4) | what (1) | height (8) | detail | content's length (4) | content
 *
 * Making one is a state sync from the node's own snapshot into a folder that is removed afterwards, so that what was written down is known to
 * be complete and right. Restoring is a state sync whose only peer is the folder: nothing in it is believed that would not be believed of a
 * peer. Manifest last, so a folder without one is unfinished. Spec: docs/spec/state-sync.md, section 8. */
#ifndef SB_NODE_SNAP_FILE_H
#define SB_NODE_SNAP_FILE_H

#include "node/snap_answer.h"
#include "node/state_sync.h"

struct sb_snap_file_facts {
    uint64_t height;
    sb_hash block_id;
    uint64_t bytes, chunk_count;
    struct sb_state_sync_report report;
};

/* sb_snap_file_create: of the snapshot of a height (0: the newest whose next block is here). SB_E_EXISTS: the folder is there already;
 * SB_E_NOT_FOUND: no such snapshot. */
sb_err sb_snap_file_create(struct sb_snap_file_facts *ret_facts, const char *dir,
                           const struct sb_snap_source *source, uint64_t height,
                           const struct sb_logger *log, struct sb_diag *diag) SB_MUST_USE;

/* sb_snap_file_restore: into an empty database folder. trust_hash: id of the snapshot's block, known from elsewhere. SB_E_CHECKSUM: a chunk
 * is not the one of the manifest; SB_E_SYNTAX: no manifest; SB_E_ARG: another chain's; the errors of sb_state_sync. */
sb_err sb_snap_file_restore(struct sb_snap_file_facts *ret_facts, const char *dir,
                            const char *db_dir, const struct sb_genesis *genesis,
                            const sb_hash *trust_hash, uint64_t trust_period_ms,
                            const struct sb_logger *log, struct sb_diag *diag) SB_MUST_USE;

#endif
