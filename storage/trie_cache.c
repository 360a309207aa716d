/* trie_cache.c: see trie_cache.h. */
#include "storage/trie_cache.h"

#include <stdlib.h>

#include <xxhash.h>

#include "base/util/assert.h"
#include "base/util/endian.h"

#define WAYS            4
#define KEY_BYTES_MAX   (32 + SB_NIBBLES_MAX)
#define ENTRY_BYTES_MAX (sizeof(struct entry) + KEY_BYTES_MAX + SB_TRIE_RECORD_BYTES_MAX)

struct entry {
    enum sb_family family;
    uint16_t key_len;
    uint16_t record_len;
    uint8_t bytes[]; /* key, record */
};

struct slot {
    struct entry *entry; /* owned; NULL when free */
    uint32_t tag;  /* other bits of the hash: most misses are seen without touching the entry */
    uint32_t used; /* clock of the last use; differences are taken modulo 2^32 */
};

struct sb_trie_cache {
    struct slot *slots; /* set_count * WAYS */
    size_t set_count;
    uint32_t clock;
};

struct sb_trie_cache *sb_trie_cache_new(size_t budget_bytes)
{
    struct sb_trie_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL) {
        return NULL;
    }
    size_t sets = budget_bytes / (WAYS * (ENTRY_BYTES_MAX + sizeof(struct slot)));
    cache->set_count = sets == 0 ? 1 : sets;
    cache->slots = calloc(cache->set_count * WAYS, sizeof *cache->slots);
    if (cache->slots == NULL) {
        free(cache);
        return NULL;
    }
    return cache;
}

void sb_trie_cache_free(struct sb_trie_cache *cache)
{
    if (cache != NULL) {
        for (size_t i = 0; i < cache->set_count * WAYS; i++) {
            free(cache->slots[i].entry);
        }
        free(cache->slots);
        free(cache);
    }
}

static struct slot *set_of(const struct sb_trie_cache *cache, uint32_t *ret_tag,
                           enum sb_family family, sb_bytes key)
{
    uint64_t hash = XXH3_64bits_withSeed(key.data, key.len, (XXH64_hash_t)family);
    *ret_tag = (uint32_t)(hash >> 32);
    return &cache->slots[(hash & UINT32_MAX) % cache->set_count * WAYS];
}

static struct slot *slot_find(const struct sb_trie_cache *cache, enum sb_family family,
                              sb_bytes key)
{
    uint32_t tag;
    struct slot *set = set_of(cache, &tag, family, key);
    for (size_t i = 0; i < WAYS; i++) {
        const struct entry *entry = set[i].entry;
        if (entry != NULL && set[i].tag == tag && entry->family == family &&
            sb_span_equal(sb_span(entry->bytes, entry->key_len), key)) {
            return &set[i];
        }
    }
    return NULL;
}

bool sb_trie_cache_get(uint8_t ret_bytes[SB_TRIE_RECORD_BYTES_MAX], sb_bytes *ret_record,
                       struct sb_trie_cache *cache, enum sb_family family, sb_bytes key)
{
    struct slot *slot = slot_find(cache, family, key);
    if (slot == NULL) {
        return false;
    }
    slot->used = ++cache->clock;
    const struct entry *entry = slot->entry;
    memcpy(ret_bytes, entry->bytes + entry->key_len, entry->record_len);
    *ret_record = sb_span(ret_bytes, entry->record_len);
    return true;
}

static struct slot *slot_evict(const struct sb_trie_cache *cache, enum sb_family family,
                               sb_bytes key)
{
    uint32_t tag;
    struct slot *set = set_of(cache, &tag, family, key);
    struct slot *oldest = &set[0];
    for (size_t i = 0; i < WAYS && oldest->entry != NULL; i++) {
        if (set[i].entry == NULL || cache->clock - set[i].used > cache->clock - oldest->used) {
            oldest = &set[i];
        }
    }
    oldest->tag = tag;
    return oldest;
}

void sb_trie_cache_put(struct sb_trie_cache *cache, enum sb_family family, sb_bytes key,
                       sb_bytes record)
{
    SB_ASSERT(key.len <= KEY_BYTES_MAX && record.len <= SB_TRIE_RECORD_BYTES_MAX);
    struct slot *slot = slot_find(cache, family, key);
    if (slot == NULL) {
        slot = slot_evict(cache, family, key);
    }
    free(slot->entry);
    slot->entry = malloc(sizeof *slot->entry + key.len + record.len);
    if (slot->entry != NULL) {
        slot->entry->family = family;
        slot->entry->key_len = (uint16_t)key.len;
        slot->entry->record_len = (uint16_t)record.len;
        sb_copy(slot->entry->bytes, key.data, key.len);
        sb_copy(slot->entry->bytes + key.len, record.data, record.len);
        slot->used = ++cache->clock;
    }
}

void sb_trie_cache_remove(struct sb_trie_cache *cache, enum sb_family family, sb_bytes key)
{
    struct slot *slot = slot_find(cache, family, key);
    if (slot != NULL) {
        free(slot->entry);
        slot->entry = NULL;
    }
}
