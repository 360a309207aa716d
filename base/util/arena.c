/* arena.c: chunks in a list, newest first; see arena.h. */
#include "base/util/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/util/assert.h"

#define CHUNK_BYTES_MIN ((size_t)64 * 1024)
#define ALIGN_BYTES     ((size_t)16)

struct sb_arena_chunk {
    struct sb_arena_chunk *prev;
    size_t capacity;
    size_t used;
    alignas(16) uint8_t data[];
};

void sb_arena_init(struct sb_arena *arena, size_t limit_bytes)
{
    *arena = (struct sb_arena){
        .head = NULL, .chunk_bytes = CHUNK_BYTES_MIN, .total_bytes = 0, .limit_bytes = limit_bytes};
}

static void chunk_pop(struct sb_arena *arena)
{
    struct sb_arena_chunk *chunk = arena->head;
    arena->head = chunk->prev;
    arena->total_bytes -= chunk->capacity;
    free(chunk);
}

void sb_arena_fini(struct sb_arena *arena)
{
    while (arena->head != NULL) {
        chunk_pop(arena);
    }
}

void sb_arena_reset(struct sb_arena *arena)
{
    while (arena->head != NULL && arena->head->prev != NULL) {
        chunk_pop(arena);
    }
    if (arena->head != NULL) {
        arena->head->used = 0;
    }
}

struct sb_arena_mark sb_arena_mark(const struct sb_arena *arena)
{
    return (struct sb_arena_mark){.chunk = arena->head,
                                  .used = arena->head != NULL ? arena->head->used : 0};
}

void sb_arena_rewind(struct sb_arena *arena, struct sb_arena_mark mark)
{
    while (arena->head != mark.chunk) {
        SB_ASSERT(arena->head != NULL);
        chunk_pop(arena);
    }
    if (arena->head != NULL) {
        SB_ASSERT(mark.used <= arena->head->used);
        arena->head->used = mark.used;
    }
}

void *sb_arena_alloc(struct sb_arena *arena, size_t len)
{
    if (len > SIZE_MAX - ALIGN_BYTES) {
        return NULL;
    }
    size_t need = len == 0 ? ALIGN_BYTES : (len + ALIGN_BYTES - 1) & ~(ALIGN_BYTES - 1);
    struct sb_arena_chunk *chunk = arena->head;
    if (chunk == NULL || chunk->capacity - chunk->used < need) {
        size_t room = arena->limit_bytes - arena->total_bytes;
        size_t capacity = need > arena->chunk_bytes ? need : arena->chunk_bytes;
        capacity = capacity > room && need <= room ? need : capacity;
        if (capacity > room || capacity > SIZE_MAX - sizeof *chunk) {
            return NULL;
        }
        chunk = malloc(sizeof *chunk + capacity);
        if (chunk == NULL) {
            return NULL;
        }
        chunk->prev = arena->head;
        chunk->capacity = capacity;
        chunk->used = 0;
        arena->head = chunk;
        arena->total_bytes += capacity;
    }
    void *place = chunk->data + chunk->used;
    chunk->used += need;
    return place;
}

void *sb_arena_zalloc(struct sb_arena *arena, size_t len)
{
    void *place = sb_arena_alloc(arena, len);
    if (place != NULL) {
        memset(place, 0, len);
    }
    return place;
}

void *sb_arena_array(struct sb_arena *arena, size_t count, size_t elem_bytes)
{
    size_t len = 0;
    return __builtin_mul_overflow(count, elem_bytes, &len) ? NULL : sb_arena_alloc(arena, len);
}

uint8_t *sb_arena_dup(struct sb_arena *arena, sb_bytes bytes)
{
    uint8_t *copy = sb_arena_alloc(arena, bytes.len);
    if (copy != NULL) {
        sb_copy(copy, bytes.data, bytes.len);
    }
    return copy;
}
