/* memory_disk.h: a journal's files in memory, with crashes: what was not synced is lost, or torn, or kept.
 *
 *     | durable: written before the last sync | written since: a crash keeps a part of it, perhaps damaged |
 *
 * Each operation is two places to die at, before it is done and after. A dead disk does nothing and answers SB_E_CANCELLED. */
#ifndef SB_TESTS_SUPPORT_MEMORY_DISK_H
#define SB_TESTS_SUPPORT_MEMORY_DISK_H

#include "storage/journal_disk.h"
#include "tests/support/random.h"

#define MEMORY_DISK_FILES_MAX 16

struct memory_file {
    char name[SB_JOURNAL_NAME_BYTES];
    struct sb_buf content;
    size_t durable;
};

/* What a crash leaves of what was not synced. */
enum memory_loss {
    MEMORY_LOSS_NONE, /* the process was killed */
    MEMORY_LOSS_ALL,
    MEMORY_LOSS_PART, /* a random part, its last bytes perhaps damaged */
};

struct memory_disk {
    struct memory_file files[MEMORY_DISK_FILES_MAX];
    size_t file_count;
    bool is_dead;
    bool (*dies)(void *ctx); /* asked at each place; NULL: never */
    void *ctx;
};

struct sb_journal_disk memory_disk_table(struct memory_disk *disk);
/* memory_disk_crash: lose what a crash loses, and live again. */
void memory_disk_crash(struct memory_disk *disk, enum memory_loss loss, struct sb_random *random);
/* memory_disk_copy: into an empty disk. */
void memory_disk_copy(struct memory_disk *ret_disk, const struct memory_disk *disk);
void memory_disk_fini(struct memory_disk *disk);

#endif
