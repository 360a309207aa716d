/* memory_disk.h: a journal's files in memory, with crashes: what was not synced is lost, or torn, or kept.
 *
 *     file   | durable: written before the last sync | written since: a crash loses or damages any part of it |
 *
 * create, truncate and remove are all or nothing and durable at once, as storage/journal_disk.h asks. Each operation is two places to
 * die at: before it is done, and after (done, but the caller never learns). A dead disk does nothing and answers SB_E_CANCELLED. A disk
 * that is all zero is empty and never dies. */
#ifndef SB_TESTS_SUPPORT_MEMORY_DISK_H
#define SB_TESTS_SUPPORT_MEMORY_DISK_H

#include "storage/journal_disk.h"
#include "tests/support/random.h"

struct memory_file {
    char name[SB_JOURNAL_NAME_BYTES];
    uint8_t *data; /* owned */
    size_t len, durable, capacity;
};

/* What a crash leaves of what was not synced. */
enum memory_loss {
    MEMORY_LOSS_NONE, /* the process was killed */
    MEMORY_LOSS_ALL,
    MEMORY_LOSS_PART, /* a cut anywhere, in what is left perhaps a range that never reached the disk: zeros or anything */
};

/* Where chance comes from. below: a number in [0, bound), bound > 0. */
struct memory_chance {
    uint64_t (*below)(void *ctx, uint64_t bound);
    void *ctx;
};

struct memory_disk {
    struct memory_file *files; /* owned */
    size_t file_count, file_capacity;
    bool is_dead;
    bool (*dies)(void *ctx);   /* asked at each place; NULL: never */
    void (*synced)(void *ctx); /* a file was synced or created; NULL: nobody wants to know */
    void *(*resize)(void *memory,
                    size_t bytes); /* realloc that frees for 0 bytes; NULL: the library's */
    void *ctx;
    uint64_t sync_count, torn_count; /* of torn_count: files that a crash has damaged */
};

struct sb_journal_disk memory_disk_table(struct memory_disk *disk);
/* memory_disk_crash: lose what a crash loses, and live again. chance: for MEMORY_LOSS_PART. */
void memory_disk_crash(struct memory_disk *disk, enum memory_loss loss,
                       struct memory_chance chance);
/* memory_chance_of: a test's random numbers. */
struct memory_chance memory_chance_of(struct sb_random *random);
/* memory_disk_copy: the files, into an empty disk. */
void memory_disk_copy(struct memory_disk *ret_disk, const struct memory_disk *disk);
/* memory_disk_fini: the disk is all zero then. */
void memory_disk_fini(struct memory_disk *disk);

#endif
