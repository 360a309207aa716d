/* arena.h: bump allocation for the scratch of one block, one transaction, one request.
 *
 *     +--------+      +--------+
 *     | chunk  | <--- | chunk  |   head        allocation moves `used` forward; reset rewinds and keeps the memory;
 *     | full   |      | used.. |               fini returns it to the system
 *     +--------+      +--------+
 *
 * Invariants: returned memory is aligned to 16 bytes and NOT zeroed (use sb_arena_zalloc); the sum of all chunks never passes
 * limit_bytes, past which allocation returns NULL and the caller reports SB_E_NOMEM or SB_E_LIMIT. Not thread-safe. */
#ifndef SB_BASE_UTIL_ARENA_H
#define SB_BASE_UTIL_ARENA_H

#include <stddef.h>

#include "base/util/span.h"

struct sb_arena_chunk;

struct sb_arena {
    struct sb_arena_chunk *head; /* newest chunk, owned */
    size_t chunk_bytes;          /* smallest chunk asked of the system */
    size_t total_bytes;          /* sum of all chunks held */
    size_t limit_bytes;          /* most that total_bytes may become */
};

/* A place in an arena, to which sb_arena_rewind can return. */
struct sb_arena_mark {
    struct sb_arena_chunk *chunk;
    size_t used;
};

/* sb_arena_init: prepare an empty arena; takes no memory yet. limit_bytes bounds all that it will ever hold. */
void sb_arena_init(struct sb_arena *arena, size_t limit_bytes);

/* sb_arena_fini: give all memory back. The arena may be initialised again. */
void sb_arena_fini(struct sb_arena *arena);

/* sb_arena_reset: forget all allocations, keep one chunk for reuse. */
void sb_arena_reset(struct sb_arena *arena);

/* sb_arena_mark / sb_arena_rewind: free everything allocated since the mark was taken (stack discipline). */
struct sb_arena_mark sb_arena_mark(const struct sb_arena *arena);
void sb_arena_rewind(struct sb_arena *arena, struct sb_arena_mark mark);

/* sb_arena_alloc: len bytes, 16-aligned, uninitialised; NULL if the limit or the system refuses. len 0 gives a valid pointer. */
void *sb_arena_alloc(struct sb_arena *arena, size_t len);

/* sb_arena_zalloc: as sb_arena_alloc, filled with zero bytes. */
void *sb_arena_zalloc(struct sb_arena *arena, size_t len);

/* sb_arena_array: count elements of elem_bytes each; NULL also when the product overflows. */
void *sb_arena_array(struct sb_arena *arena, size_t count, size_t elem_bytes);

/* sb_arena_dup: copy of the bytes; NULL on refusal. */
uint8_t *sb_arena_dup(struct sb_arena *arena, sb_bytes bytes);

#endif
