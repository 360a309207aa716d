/* chain_blocks.c: block objects and their cache (see chain.h, chain_impl.h).
 *
 *      bucket[number % 256] -> object -> object          newest <-> ... <-> oldest
 *
 * An object is born with one reference, is immutable once it is visible, and frees itself with its last reference. The cache holds
 * one reference to each of its objects and lets the longest unused go when count or memory pass their bounds. */
#include <stdlib.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "node/chain_impl.h"

static struct sb_chain_block_object *object_of(const struct sb_rpc_block *block)
{
    return (struct sb_chain_block_object *)(uintptr_t)block; /* pub is the first member */
}

struct sb_chain_block_object *sb_chain_object_new(void)
{
    struct sb_chain_block_object *object = calloc(1, sizeof *object);
    if (object != NULL) {
        atomic_init(&object->refs, 1);
        sb_arena_init(&object->arena, SB_CHAIN_BLOCK_ARENA_BYTES_MAX);
    }
    return object;
}

void sb_chain_block_retain(const struct sb_rpc_block *block)
{
    atomic_fetch_add_explicit(&object_of(block)->refs, 1, memory_order_relaxed);
}

static void object_release(struct sb_chain_block_object *object)
{
    size_t before = atomic_fetch_sub_explicit(&object->refs, 1, memory_order_acq_rel);
    SB_ASSERT(before > 0);
    if (before == 1) {
        sb_arena_fini(&object->arena);
        free(object);
    }
}

void sb_chain_block_release(struct sb_chain *chain, const struct sb_rpc_block *block)
{
    (void)chain;
    if (block != NULL) {
        object_release(object_of(block));
    }
}

/* ---- loading ---- */

sb_err sb_chain_join_block(sb_bytes *ret_raw, struct sb_arena *arena, sb_bytes header,
                           sb_bytes body)
{
    struct sb_rlp in = sb_rlp_open(body);
    struct sb_rlp items;
    if (sb_rlp_read_list(&items, &in) != SB_OK || sb_rlp_end(&in) != SB_OK) {
        return SB_E_CORRUPT;
    }
    size_t items_len = (size_t)(items.end - items.at);
    uint8_t list[SB_RLP_HEADER_BYTES_MAX];
    size_t list_len = sb_rlp_header(list, SB_RLP_LIST, header.len + items_len);
    size_t total = list_len + header.len + items_len;
    uint8_t *raw = sb_arena_alloc(arena, total);
    if (raw == NULL) {
        return SB_E_NOMEM;
    }
    memcpy(raw, list, list_len);
    sb_copy(raw + list_len, header.data, header.len);
    sb_copy(raw + list_len + header.len, items.at, items_len);
    *ret_raw = sb_span(raw, total);
    return SB_OK;
}

static sb_err decode_receipts(struct sb_chain_block_object *object, const sb_bytes *raw,
                              size_t count)
{
    struct sb_receipt *receipts = sb_arena_array(&object->arena, count, sizeof *receipts);
    if (receipts == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        if (sb_receipt_decode(&receipts[i], &object->arena, raw[i]) != SB_OK) {
            return SB_E_CORRUPT;
        }
    }
    object->pub.receipts = receipts;
    return SB_OK;
}

static sb_err hash_txs(struct sb_chain_block_object *object)
{
    size_t count = object->pub.block.tx_count;
    sb_hash *hashes = sb_arena_array(&object->arena, count, sizeof *hashes);
    if (hashes == NULL) {
        return SB_E_NOMEM;
    }
    sb_keccak256_multi(hashes, object->pub.block.raw_txs, count);
    object->pub.tx_hashes = hashes;
    return SB_OK;
}

static sb_err object_read(struct sb_chain_block_object *object, struct sb_store *store,
                          uint64_t number)
{
    struct sb_arena *arena = &object->arena;
    sb_bytes header;
    sb_bytes body;
    sb_bytes raw;
    const sb_bytes *receipts;
    size_t receipt_count;
    size_t sender_count;
    SB_TRY(sb_store_header(&header, arena, store, number));
    SB_TRY(sb_store_body(&body, arena, store, number));
    SB_TRY(sb_chain_join_block(&raw, arena, header, body));
    if (sb_block_decode(&object->pub.block, arena, raw, NULL) != SB_OK) {
        return SB_E_CORRUPT;
    }
    object->pub.size_bytes = raw.len;
    object->pub.hash = sb_keccak256(header);
    SB_TRY(hash_txs(object));
    SB_TRY(sb_store_senders(&object->pub.senders, &sender_count, arena, store, number));
    SB_TRY(sb_store_receipts(&receipts, &receipt_count, arena, store, number));
    size_t tx_count = object->pub.block.tx_count;
    if (sender_count != tx_count || receipt_count != tx_count) {
        return SB_E_CORRUPT;
    }
    return decode_receipts(object, receipts, receipt_count);
}

sb_err sb_chain_object_load(struct sb_chain_block_object **ret_object, struct sb_chain *chain,
                            uint64_t number)
{
    if (number < sb_store_oldest(chain->store)) {
        return SB_E_NOT_FOUND; /* there may be its header */
    }
    struct sb_chain_block_object *object = sb_chain_object_new();
    if (object == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = object_read(object, chain->store, number);
    if (err != SB_OK) {
        object_release(object);
        return err;
    }
    *ret_object = object;
    return SB_OK;
}

/* ---- cache ---- */

void sb_chain_cache_init(struct sb_chain_cache *cache, size_t count_max)
{
    memset(cache, 0, sizeof *cache);
    cache->count_max = count_max;
}

static void use_unlink(struct sb_chain_cache *cache, struct sb_chain_block_object *object)
{
    *(object->newer != NULL ? &object->newer->older : &cache->newest) = object->older;
    *(object->older != NULL ? &object->older->newer : &cache->oldest) = object->newer;
}

static void use_push(struct sb_chain_cache *cache, struct sb_chain_block_object *object)
{
    object->newer = NULL;
    object->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = object;
    cache->newest = object;
}

static struct sb_chain_block_object **bucket_of(struct sb_chain_cache *cache, uint64_t number)
{
    return &cache->buckets[number % SB_CHAIN_CACHE_BUCKETS];
}

static void evict(struct sb_chain_cache *cache, struct sb_chain_block_object *object)
{
    SB_ASSERT(object != NULL);
    struct sb_chain_block_object **link = bucket_of(cache, object->pub.block.header.number);
    while (*link != object) {
        link = &(*link)->bucket_next;
    }
    *link = object->bucket_next;
    use_unlink(cache, object);
    SB_ASSERT(cache->oldest != object && cache->newest != object);
    cache->count--;
    cache->bytes -= object->arena.total_bytes;
    object_release(object);
}

void sb_chain_cache_fini(struct sb_chain_cache *cache)
{
    while (cache->oldest != NULL) {
        evict(cache, cache->oldest);
    }
}

struct sb_chain_block_object *sb_chain_cache_find(struct sb_chain_cache *cache, uint64_t number)
{
    struct sb_chain_block_object *object = *bucket_of(cache, number);
    while (object != NULL && object->pub.block.header.number != number) {
        object = object->bucket_next;
    }
    if (object != NULL) {
        use_unlink(cache, object);
        use_push(cache, object);
    }
    return object;
}

void sb_chain_cache_put(struct sb_chain_cache *cache, struct sb_chain_block_object *object)
{
    uint64_t number = object->pub.block.header.number;
    if (sb_chain_cache_find(cache, number) != NULL) {
        return;
    }
    sb_chain_block_retain(&object->pub);
    struct sb_chain_block_object **bucket = bucket_of(cache, number);
    object->bucket_next = *bucket;
    *bucket = object;
    use_push(cache, object);
    cache->count++;
    cache->bytes += object->arena.total_bytes;
    while (cache->count > cache->count_max ||
           (cache->bytes > SB_CHAIN_CACHE_BYTES_MAX && cache->count > 1)) {
        evict(cache, cache->oldest);
    }
}

/* ---- finding blocks ---- */

static sb_err resolve_tag(uint64_t *ret_number, struct sb_chain *chain, enum sb_rpc_tag tag)
{
    switch (tag) {
    case SB_RPC_LATEST:
    case SB_RPC_SAFE:
    case SB_RPC_FINALIZED:
        *ret_number = sb_chain_head_number(chain);
        return SB_OK;
    case SB_RPC_EARLIEST:
        *ret_number = sb_store_oldest(chain->store);
        return SB_OK;
    case SB_RPC_PENDING:
        break;
    }
    return SB_E_ARG;
}

sb_err sb_chain_resolve(uint64_t *ret_number, struct sb_chain *chain,
                        const struct sb_rpc_block_ref *ref)
{
    uint64_t number = ref->number;
    if (ref->by == SB_RPC_BY_TAG) {
        return resolve_tag(ret_number, chain, ref->tag);
    }
    if (ref->by == SB_RPC_BY_HASH) {
        SB_TRY(sb_store_number_by_hash(&number, chain->store, &ref->hash));
    }
    if (number > sb_chain_head_number(chain)) {
        return SB_E_NOT_FOUND;
    }
    *ret_number = number;
    return SB_OK;
}

sb_err sb_chain_block_number(const struct sb_rpc_block **ret_block, struct sb_chain *chain,
                             uint64_t number)
{
    pthread_mutex_lock(&chain->lock);
    uint64_t head = chain->head.header.number;
    struct sb_chain_block_object *object =
        number == head ? chain->head_block : sb_chain_cache_find(&chain->cache, number);
    if (object != NULL) {
        sb_chain_block_retain(&object->pub);
    }
    pthread_mutex_unlock(&chain->lock);
    if (number > head) {
        return SB_E_NOT_FOUND;
    }
    if (object == NULL) {
        SB_TRY(sb_chain_object_load(&object, chain, number));
        pthread_mutex_lock(&chain->lock);
        sb_chain_cache_put(&chain->cache, object);
        pthread_mutex_unlock(&chain->lock);
    }
    *ret_block = &object->pub;
    return SB_OK;
}

sb_err sb_chain_block(const struct sb_rpc_block **ret_block, struct sb_chain *chain,
                      const struct sb_rpc_block_ref *ref)
{
    uint64_t number;
    SB_TRY(sb_chain_resolve(&number, chain, ref));
    return sb_chain_block_number(ret_block, chain, number);
}

sb_err sb_chain_header(struct sb_header *ret_header, sb_hash *ret_hash, struct sb_chain *chain,
                       uint64_t number)
{
    pthread_mutex_lock(&chain->lock);
    uint64_t head = chain->head.header.number;
    const struct sb_chain_block_object *object =
        number == head ? chain->head_block : sb_chain_cache_find(&chain->cache, number);
    if (object != NULL) {
        *ret_header = object->pub.block.header;
        *ret_hash = object->pub.hash;
    }
    pthread_mutex_unlock(&chain->lock);
    if (number > head) {
        return SB_E_NOT_FOUND;
    }
    if (object != NULL) {
        return SB_OK;
    }
    struct sb_arena arena;
    sb_arena_init(&arena, (size_t)64 * 1024);
    sb_bytes raw;
    struct sb_header header;
    sb_err err = sb_store_header(&raw, &arena, chain->store, number);
    if (err == SB_OK && sb_header_decode(&header, raw, NULL) != SB_OK) {
        err = SB_E_CORRUPT;
    }
    if (err == SB_OK) {
        *ret_header = header;
        *ret_hash = sb_keccak256(raw);
    }
    sb_arena_fini(&arena);
    return err;
}
