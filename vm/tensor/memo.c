/* memo.c: see memo.h. */
#include "vm/tensor/memo.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "base/util/endian.h"
#include "vm/tensor/tensor.h"

#define BYTES_PER_BUCKET 512u /* small results are typical: about one entry a bucket when full */

struct entry {
    struct entry *next_in_bucket;
    struct entry *newer; /* list by last use */
    struct entry *older;
    sb_hash key;
    size_t value_len;
    uint8_t value[];
};

struct sb_memo {
    pthread_mutex_t mutex;
    struct entry **buckets;
    size_t bucket_count;
    struct entry *newest;
    struct entry *oldest;
    size_t bytes_max;
    uint64_t seed;
    struct sb_memo_stats stats;
};

struct sb_memo *sb_memo_new(size_t bytes_max, uint64_t seed)
{
    struct sb_memo *memo = calloc(1, sizeof *memo);
    if (memo == NULL) {
        return NULL;
    }
    memo->bucket_count = bytes_max / BYTES_PER_BUCKET + 1;
    memo->bytes_max = bytes_max;
    memo->seed = seed;
    memo->buckets = calloc(memo->bucket_count, sizeof(struct entry *));
    if (memo->buckets == NULL || pthread_mutex_init(&memo->mutex, NULL) != 0) {
        free(memo->buckets);
        free(memo);
        return NULL;
    }
    return memo;
}

void sb_memo_free(struct sb_memo *memo)
{
    if (memo == NULL) {
        return;
    }
    for (struct entry *e = memo->oldest; e != NULL;) {
        struct entry *newer = e->newer;
        free(e);
        e = newer;
    }
    (void)pthread_mutex_destroy(&memo->mutex);
    free(memo->buckets);
    free(memo);
}

sb_hash sb_memo_key(const sb_hash *model_id, uint32_t function, const sb_bytes *parts,
                    size_t part_count)
{
    struct sb_keccak k;
    uint8_t head[16];
    sb_keccak_init(&k);
    sb_keccak_update(&k, sb_span(model_id->b, sizeof model_id->b));
    be_store32(head, SB_TENSOR_ENGINE_VERSION);
    be_store32(head + 4, function);
    be_store64(head + 8, part_count);
    sb_keccak_update(&k, sb_span(head, sizeof head));
    for (size_t i = 0; i < part_count; i++) {
        uint8_t len[8];
        be_store64(len, parts[i].len);
        sb_keccak_update(&k, sb_span(len, sizeof len));
        sb_keccak_update(&k, parts[i]);
    }
    return sb_keccak_final(&k);
}

/* The key is a Keccak hash already; the seed keeps outsiders from choosing the bucket. */
static struct entry **bucket_of(const struct sb_memo *memo, const sb_hash *key)
{
    uint64_t mixed = (be_load64(key->b) ^ memo->seed) * UINT64_C(0x9e3779b97f4a7c15);
    return &memo->buckets[(mixed ^ mixed >> 32) % memo->bucket_count];
}

static struct entry *find(const struct sb_memo *memo, const sb_hash *key)
{
    struct entry *e = *bucket_of(memo, key);
    while (e != NULL && !sb_hash_equal(&e->key, key)) {
        e = e->next_in_bucket;
    }
    return e;
}

static void unlink_use(struct sb_memo *memo, struct entry *e)
{
    *(e->newer != NULL ? &e->newer->older : &memo->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &memo->oldest) = e->newer;
}

static void link_newest(struct sb_memo *memo, struct entry *e)
{
    e->newer = NULL;
    e->older = memo->newest;
    *(memo->newest != NULL ? &memo->newest->newer : &memo->oldest) = e;
    memo->newest = e;
}

static size_t bytes_of(size_t value_len)
{
    return sizeof(struct entry) + value_len;
}

static void evict_oldest(struct sb_memo *memo)
{
    struct entry *e = memo->oldest;
    SB_ASSERT(e != NULL);
    struct entry **at = bucket_of(memo, &e->key);
    while (*at != e) {
        at = &(*at)->next_in_bucket;
    }
    *at = e->next_in_bucket;
    unlink_use(memo, e);
    SB_ASSERT(memo->oldest != e);
    memo->stats.bytes -= bytes_of(e->value_len);
    memo->stats.entry_count--;
    memo->stats.evict_count++;
    free(e);
}

/* copy_locked: the entry, if it has a value of this length; NULL otherwise. */
static struct entry *copy_locked(uint8_t *ret_value, size_t value_len, struct sb_memo *memo,
                                 const sb_hash *key)
{
    struct entry *e = find(memo, key);
    if (e == NULL || e->value_len != value_len) {
        return NULL;
    }
    sb_copy(ret_value, e->value, value_len);
    return e;
}

bool sb_memo_get(uint8_t *ret_value, size_t value_len, struct sb_memo *memo, const sb_hash *key)
{
    if (memo == NULL) {
        return false;
    }
    (void)pthread_mutex_lock(&memo->mutex);
    struct entry *e = copy_locked(ret_value, value_len, memo, key);
    if (e != NULL) {
        unlink_use(memo, e);
        link_newest(memo, e);
        memo->stats.hit_count++;
    } else {
        memo->stats.miss_count++;
    }
    (void)pthread_mutex_unlock(&memo->mutex);
    return e != NULL;
}

bool sb_memo_peek(uint8_t *ret_value, size_t value_len, struct sb_memo *memo, const sb_hash *key)
{
    if (memo == NULL) {
        return false;
    }
    (void)pthread_mutex_lock(&memo->mutex);
    bool hit = copy_locked(ret_value, value_len, memo, key) != NULL;
    (void)pthread_mutex_unlock(&memo->mutex);
    return hit;
}

static void put_locked(struct sb_memo *memo, const sb_hash *key, sb_bytes value)
{
    if (find(memo, key) != NULL) {
        return;
    }
    struct entry *e = malloc(bytes_of(value.len));
    if (e == NULL) {
        return;
    }
    while (memo->stats.bytes + bytes_of(value.len) > memo->bytes_max) {
        evict_oldest(memo);
    }
    struct entry **bucket = bucket_of(memo, key);
    e->key = *key;
    e->value_len = value.len;
    sb_copy(e->value, value.data, value.len);
    e->next_in_bucket = *bucket;
    *bucket = e;
    link_newest(memo, e);
    memo->stats.bytes += bytes_of(value.len);
    memo->stats.entry_count++;
}

void sb_memo_put(struct sb_memo *memo, const sb_hash *key, sb_bytes value)
{
    if (memo == NULL || value.len > memo->bytes_max / 4 || bytes_of(value.len) > memo->bytes_max) {
        return;
    }
    (void)pthread_mutex_lock(&memo->mutex);
    put_locked(memo, key, value);
    (void)pthread_mutex_unlock(&memo->mutex);
}

struct sb_memo_stats sb_memo_stats(struct sb_memo *memo)
{
    struct sb_memo_stats stats = {0};
    if (memo != NULL) {
        (void)pthread_mutex_lock(&memo->mutex);
        stats = memo->stats;
        (void)pthread_mutex_unlock(&memo->mutex);
    }
    return stats;
}
