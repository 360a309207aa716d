/* trie_cache.h: trie records of the head in memory, so that the upper levels of the tries are not read from the database again.
 *
 *     hash of (family, key) --> set of 4 slots --> entry {family, key, record}
 *
 * Set-associative: an entry may lie in any slot of its set; the one used longest ago gives way. The number of slots follows from
 * the byte budget and the size of a full branch, so the budget is never passed. Not thread-safe: it belongs to the committer. */
#ifndef SB_STORAGE_TRIE_CACHE_H
#define SB_STORAGE_TRIE_CACHE_H

#include "storage/db.h"
#include "storage/trie_node.h"

struct sb_trie_cache;

/* sb_trie_cache_new: NULL when out of memory. */
struct sb_trie_cache *sb_trie_cache_new(size_t budget_bytes);
void sb_trie_cache_free(struct sb_trie_cache *cache);
/* sb_trie_cache_get: copy of the record into ret_bytes; false when it is not here. */
bool sb_trie_cache_get(uint8_t ret_bytes[SB_TRIE_RECORD_BYTES_MAX], sb_bytes *ret_record,
                       struct sb_trie_cache *cache, enum sb_family family, sb_bytes key);
/* sb_trie_cache_put: keep a record, replacing the one of the same key. Without memory the record is just not kept. */
void sb_trie_cache_put(struct sb_trie_cache *cache, enum sb_family family, sb_bytes key,
                       sb_bytes record);
void sb_trie_cache_remove(struct sb_trie_cache *cache, enum sb_family family, sb_bytes key);

#endif
