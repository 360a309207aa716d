/* history.c: reverse diffs and their index; formats and reasoning in history.h. */
#include "storage/history.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <xxhash.h>

#include "base/util/assert.h"
#include "base/util/endian.h"

#define CHUNK_BYTES        ((size_t)32 * 1024) /* an entry begins below this, so its offset fits 16 bits */
#define CHUNK_BYTES_MAX    ((size_t)64 << 20)
#define ENTRY_HEADER_BYTES 6
#define KEY_BYTES_MAX      (32 + SB_NIBBLES_MAX)

struct index_entry {
    uint64_t rank;
    uint32_t chunk;
    uint16_t offset;
    uint8_t family;
};

struct sb_history_block {
    atomic_uint refs;
    uint64_t number;
    uint32_t chunk_count;
    size_t entry_count;
    size_t entry_capacity;
    struct index_entry *entries; /* ascending by (family, rank) once built */
};

struct sb_history_writer {
    struct sb_db_batch *batch;
    struct sb_history_block *block;
    struct sb_buf chunk;
};

/* One parsed entry of a chunk; spans point into it. */
struct entry {
    enum sb_family family;
    sb_bytes key;
    bool existed;
    sb_bytes old;
};

struct sb_history_block *sb_history_block_ref(struct sb_history_block *block)
{
    atomic_fetch_add(&block->refs, 1);
    return block;
}

void sb_history_block_unref(struct sb_history_block *block)
{
    if (block != NULL && atomic_fetch_sub(&block->refs, 1) == 1) {
        free(block->entries);
        free(block);
    }
}

uint64_t sb_history_block_number(const struct sb_history_block *block)
{
    return block->number;
}

static struct sb_history_block *block_new(uint64_t number)
{
    struct sb_history_block *block = calloc(1, sizeof *block);
    if (block != NULL) {
        atomic_init(&block->refs, 1);
        block->number = number;
    }
    return block;
}

static uint64_t key_rank(enum sb_family family, sb_bytes key)
{
    if (family == SB_FAMILY_ACCOUNT && key.len == 32) {
        return be_load64(key.data);
    }
    if (family == SB_FAMILY_SLOT && key.len == 64) {
        return (uint64_t)be_load32(key.data) << 32 | be_load32(key.data + 32);
    }
    return XXH3_64bits(key.data, key.len);
}

static sb_err index_add(struct sb_history_block *block, enum sb_family family, sb_bytes key,
                        size_t offset)
{
    if (block->entry_count == block->entry_capacity) {
        size_t capacity = block->entry_capacity == 0 ? 16 : 2 * block->entry_capacity;
        struct index_entry *entries = realloc(block->entries, capacity * sizeof *entries);
        if (entries == NULL) {
            return SB_E_NOMEM;
        }
        block->entries = entries;
        block->entry_capacity = capacity;
    }
    SB_ASSERT(offset < CHUNK_BYTES);
    block->entries[block->entry_count++] = (struct index_entry){.rank = key_rank(family, key),
                                                                .chunk = block->chunk_count,
                                                                .offset = (uint16_t)offset,
                                                                .family = (uint8_t)family};
    return SB_OK;
}

static int index_compare(const void *a, const void *b)
{
    const struct index_entry *left = a, *right = b;
    if (left->family != right->family) {
        return left->family < right->family ? -1 : 1;
    }
    return left->rank < right->rank ? -1 : left->rank > right->rank;
}

static void index_sort(struct sb_history_block *block)
{
    if (block->entry_count != 0) {
        qsort(block->entries, block->entry_count, sizeof *block->entries, index_compare);
    }
}

static void chunk_key(uint8_t ret[12], uint64_t number, uint32_t chunk)
{
    be_store64(ret, number);
    be_store32(ret + 8, chunk);
}

void sb_history_key(uint8_t ret[12], uint64_t number)
{
    chunk_key(ret, number, 0);
}

/* ---- writing ---- */

struct sb_history_writer *sb_history_writer_new(struct sb_db_batch *batch, uint64_t number)
{
    struct sb_history_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) {
        return NULL;
    }
    writer->batch = batch;
    sb_buf_init(&writer->chunk, CHUNK_BYTES_MAX);
    writer->block = block_new(number);
    if (writer->block == NULL) {
        free(writer);
        return NULL;
    }
    return writer;
}

void sb_history_writer_free(struct sb_history_writer *writer)
{
    if (writer != NULL) {
        sb_history_block_unref(writer->block);
        sb_buf_fini(&writer->chunk);
        free(writer);
    }
}

static void chunk_flush(struct sb_history_writer *writer)
{
    uint8_t key[12];
    chunk_key(key, writer->block->number, writer->block->chunk_count);
    sb_db_batch_put(writer->batch, SB_FAMILY_DIFF, sb_span(key, sizeof key),
                    sb_buf_bytes(&writer->chunk));
    sb_buf_reset(&writer->chunk);
    writer->block->chunk_count++;
}

sb_err sb_history_writer_add(struct sb_history_writer *writer, enum sb_family family, sb_bytes key,
                             const sb_bytes *old)
{
    SB_ASSERT(key.len <= KEY_BYTES_MAX);
    if (old != NULL &&
        old->len >= CHUNK_BYTES_MAX - CHUNK_BYTES - ENTRY_HEADER_BYTES - KEY_BYTES_MAX) {
        return SB_E_LIMIT;
    }
    SB_TRY(index_add(writer->block, family, key, writer->chunk.len));
    uint8_t header[ENTRY_HEADER_BYTES];
    header[0] = (uint8_t)family;
    header[1] = (uint8_t)key.len;
    be_store32(header + 2, old == NULL ? 0 : (uint32_t)old->len + 1);
    sb_buf_add(&writer->chunk, header, sizeof header);
    sb_buf_add(&writer->chunk, key.data, key.len);
    if (old != NULL) {
        sb_buf_add(&writer->chunk, old->data, old->len);
    }
    SB_TRY(sb_buf_err(&writer->chunk));
    if (writer->chunk.len >= CHUNK_BYTES) {
        chunk_flush(writer);
    }
    return SB_OK;
}

sb_err sb_history_writer_finish_take(struct sb_history_block **ret_block,
                                     struct sb_history_writer *writer)
{
    /* A block that changed nothing has one empty chunk, so that a missing diff is never mistaken for an empty one. */
    if (writer->chunk.len != 0 || writer->block->chunk_count == 0) {
        chunk_flush(writer);
    }
    index_sort(writer->block);
    *ret_block = sb_history_block_ref(writer->block);
    sb_history_writer_free(writer);
    return SB_OK;
}

void sb_history_drop(struct sb_db_batch *batch, const struct sb_history_block *block)
{
    for (uint32_t chunk = 0; chunk < block->chunk_count; chunk++) {
        uint8_t key[12];
        chunk_key(key, block->number, chunk);
        sb_db_batch_delete(batch, SB_FAMILY_DIFF, sb_span(key, sizeof key));
    }
}

/* ---- reading ---- */

/* entry_parse: the entry at offset; false when the chunk ends before it does. *ret_next: where the next one begins. */
static bool entry_parse(struct entry *ret, size_t *ret_next, sb_bytes chunk, size_t offset)
{
    sb_bytes rest = sb_span_slice(chunk, offset, SIZE_MAX);
    if (rest.len < ENTRY_HEADER_BYTES) {
        return false;
    }
    size_t key_len = rest.data[1];
    uint32_t old_plus_one = be_load32(rest.data + 2);
    size_t old_len = old_plus_one == 0 ? 0 : (size_t)old_plus_one - 1;
    if (rest.data[0] >= SB_FAMILY_COUNT || rest.len - ENTRY_HEADER_BYTES < key_len ||
        rest.len - ENTRY_HEADER_BYTES - key_len < old_len) {
        return false;
    }
    ret->family = (enum sb_family)rest.data[0];
    ret->key = sb_span(rest.data + ENTRY_HEADER_BYTES, key_len);
    ret->existed = old_plus_one != 0;
    ret->old = sb_span(rest.data + ENTRY_HEADER_BYTES + key_len, old_len);
    *ret_next = offset + ENTRY_HEADER_BYTES + key_len + old_len;
    return true;
}

static sb_err chunk_index(struct sb_history_block *block, sb_bytes chunk)
{
    size_t offset = 0;
    while (offset < chunk.len) {
        struct entry entry;
        size_t next;
        if (offset >= CHUNK_BYTES || !entry_parse(&entry, &next, chunk, offset)) {
            return SB_E_CORRUPT;
        }
        SB_TRY(index_add(block, entry.family, entry.key, offset));
        offset = next;
    }
    block->chunk_count++;
    return SB_OK;
}

static sb_err chunks_load(struct sb_history_block *block, struct sb_db_iter *iter)
{
    uint8_t start[12];
    chunk_key(start, block->number, 0);
    bool more = sb_db_iter_first(iter, sb_span(start, 8), sb_span(start, sizeof start));
    for (; more; more = sb_db_iter_next(iter)) {
        sb_bytes key = sb_db_iter_key(iter);
        if (key.len != 12 || be_load32(key.data + 8) != block->chunk_count) {
            return SB_E_CORRUPT;
        }
        SB_TRY(chunk_index(block, sb_db_iter_value(iter)));
    }
    SB_TRY(sb_db_iter_err(iter));
    return block->chunk_count == 0 ? SB_E_NOT_FOUND : SB_OK;
}

sb_err sb_history_load(struct sb_history_block **ret_block, struct sb_db *db, uint64_t number)
{
    struct sb_history_block *block = block_new(number);
    struct sb_db_iter *iter = sb_db_iter_new(db, NULL, SB_FAMILY_DIFF);
    sb_err err = block == NULL || iter == NULL ? SB_E_NOMEM : chunks_load(block, iter);
    sb_db_iter_free(iter);
    if (err != SB_OK) {
        sb_history_block_unref(block);
        return err;
    }
    index_sort(block);
    *ret_block = block;
    return SB_OK;
}

static sb_err chunk_visit(sb_bytes chunk,
                          sb_err (*visit)(void *ctx, enum sb_family family, sb_bytes key,
                                          const sb_bytes *old),
                          void *ctx)
{
    size_t offset = 0;
    while (offset < chunk.len) {
        struct entry entry;
        if (!entry_parse(&entry, &offset, chunk, offset)) {
            return SB_E_CORRUPT;
        }
        SB_TRY(visit(ctx, entry.family, entry.key, entry.existed ? &entry.old : NULL));
    }
    return SB_OK;
}

sb_err sb_history_visit(const struct sb_history_block *block, struct sb_db *db,
                        sb_err (*visit)(void *ctx, enum sb_family family, sb_bytes key,
                                        const sb_bytes *old),
                        void *ctx)
{
    for (uint32_t i = 0; i < block->chunk_count; i++) {
        uint8_t key[12];
        chunk_key(key, block->number, i);
        struct sb_db_value chunk;
        SB_TRY(sb_db_get(&chunk, db, NULL, SB_FAMILY_DIFF, sb_span(key, sizeof key)));
        sb_err err = chunk.handle == NULL ? SB_E_CORRUPT : chunk_visit(chunk.bytes, visit, ctx);
        sb_db_value_free(&chunk);
        SB_TRY(err);
    }
    return SB_OK;
}

/* index_lower: first entry not below (family, rank). */
static size_t index_lower(const struct sb_history_block *block, enum sb_family family,
                          uint64_t rank)
{
    const struct index_entry wanted = {.rank = rank, .family = (uint8_t)family};
    size_t low = 0, high = block->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index_compare(&block->entries[middle], &wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* entry_read: fetch the chunk of an index entry and parse it there. On success the holder is to be freed by the caller. */
static sb_err entry_read(struct entry *ret, struct sb_db_value *ret_holder,
                         const struct sb_history_block *block, struct sb_db *db,
                         const struct sb_db_snapshot *snapshot, const struct index_entry *at)
{
    uint8_t key[12];
    chunk_key(key, block->number, at->chunk);
    struct sb_db_value chunk;
    SB_TRY(sb_db_get(&chunk, db, snapshot, SB_FAMILY_DIFF, sb_span(key, sizeof key)));
    size_t next;
    if (chunk.handle == NULL || !entry_parse(ret, &next, chunk.bytes, at->offset)) {
        sb_db_value_free(&chunk);
        return SB_E_CORRUPT;
    }
    *ret_holder = chunk;
    return SB_OK;
}

sb_err sb_history_find(struct sb_history_old *ret_old, const struct sb_history_block *block,
                       struct sb_db *db, const struct sb_db_snapshot *snapshot,
                       enum sb_family family, sb_bytes key)
{
    uint64_t rank = key_rank(family, key);
    for (size_t i = index_lower(block, family, rank); i < block->entry_count; i++) {
        const struct index_entry *at = &block->entries[i];
        if (at->family != (uint8_t)family || at->rank != rank) {
            break;
        }
        struct entry entry;
        struct sb_db_value holder;
        SB_TRY(entry_read(&entry, &holder, block, db, snapshot, at));
        if (entry.family == family && sb_span_equal(entry.key, key)) {
            *ret_old = (struct sb_history_old){
                .recorded = true, .existed = entry.existed, .bytes = entry.old, .holder = holder};
            return SB_OK;
        }
        sb_db_value_free(&holder);
    }
    *ret_old = (struct sb_history_old){.recorded = false};
    return SB_OK;
}

/* path_bits: the first `nibbles` nibbles of a path, left-aligned in as many bits; what the path lacks is `fill`. */
static uint64_t path_bits(const struct sb_nibbles *path, unsigned nibbles, uint8_t fill)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < nibbles; i++) {
        bits = bits << 4 | (i < path->count ? path->at[i] : fill);
    }
    return bits;
}

sb_err sb_history_scan(const struct sb_history_block *block, struct sb_db *db,
                       const struct sb_db_snapshot *snapshot, enum sb_family family,
                       sb_bytes prefix, const struct sb_nibbles *path,
                       sb_err (*visit)(void *ctx, sb_bytes key), void *ctx)
{
    uint64_t low, high;
    if (prefix.len == 0) {
        low = path_bits(path, 16, 0);
        high = path_bits(path, 16, 15);
    } else {
        uint64_t top = (uint64_t)be_load32(prefix.data) << 32;
        low = top | path_bits(path, 8, 0);
        high = top | path_bits(path, 8, 15);
    }
    for (size_t i = index_lower(block, family, low); i < block->entry_count; i++) {
        const struct index_entry *at = &block->entries[i];
        if (at->family != (uint8_t)family || at->rank > high) {
            break;
        }
        struct entry entry;
        struct sb_db_value holder;
        SB_TRY(entry_read(&entry, &holder, block, db, snapshot, at));
        sb_err err = SB_OK;
        if (entry.key.len >= prefix.len &&
            sb_span_equal(sb_span_slice(entry.key, 0, prefix.len), prefix) &&
            sb_nibbles_prefix_key(path, sb_span_slice(entry.key, prefix.len, SIZE_MAX))) {
            err = visit(ctx, entry.key);
        }
        sb_db_value_free(&holder);
        SB_TRY(err);
    }
    return SB_OK;
}
