/* disk.h: a node's disk: the journal's files in memory, and what a crash leaves of them.
 *
 *     file   | durable: written before the last sync | written since: each crash loses or damages any part of it |
 *
 * create, truncate and remove are all or nothing and durable at once, as storage/journal_disk.h asks. Each operation first asks the
 * node whether it still lives (a crash before the operation: nothing is done) and again after it (a crash after: done, but the caller
 * never learns). */
#ifndef SB_TESTS_SIM_DISK_H
#define SB_TESTS_SIM_DISK_H

#include "storage/journal_disk.h"
#include "tests/sim/random.h"

#define SIM_DISK_FILES_MAX  512
#define SIM_DISK_NAME_BYTES 64

struct sim_disk_file {
    char name[SIM_DISK_NAME_BYTES];
    uint8_t *data; /* owned */
    size_t len, durable, capacity;
};

struct sim_disk {
    struct sim_disk_file files[SIM_DISK_FILES_MAX];
    size_t file_count;
    /* dies: asked before and after each operation; true: the node has just crashed or is dead. */
    bool (*dies)(void *ctx);
    void (*synced)(void *ctx); /* a sync takes time: the host notes it */
    void *ctx;
    uint64_t syncs, lost_bytes, torn_files;
};

struct sb_journal_disk sim_disk_table(struct sim_disk *disk);
/* sim_disk_crash: lose what was not synced: a cut anywhere behind the durable part, damage in what is left of the rest. */
void sim_disk_crash(struct sim_disk *disk, struct sim_random *random);
void sim_disk_fini(struct sim_disk *disk);

#endif
