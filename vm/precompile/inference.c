/* inference.c: the cache of loaded models and the pool of scratch memory; see inference.h.
 *
 * Models hang in 256 buckets by the first byte of their id (a sha2-256 digest, so it spreads by itself) and in one list by last use.
 * An entry in use is never freed: eviction passes over it, and an entry that was evicted from the books while its last user was
 * still running is freed by that user's release. */
#include "vm/precompile/inference.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/codec/cid.h"
#include "base/util/assert.h"
#include "vm/precompile/facts.h"

#define BUCKET_COUNT            256
#define MODEL_BYTES_DEFAULT     ((size_t)256 << 20)
#define MEMO_BYTES_DEFAULT      ((size_t)32 << 20)
#define CALL_MEMO_BYTES_DEFAULT ((size_t)8 << 20)
#define USE_COUNT               (SB_INFERENCE_OF_CALL + 1)
#define SCRATCH_KEPT_COUNT      4
#define SCRATCH_KEPT_BYTES_MAX  ((size_t)64 << 20)

struct entry {
    sb_hash id;
    struct sb_model *model;
    size_t bytes;
    unsigned users;
    struct entry *bucket_next;
    struct entry *newer, *older;
};

/* A scratch block: the header is one 16-byte unit in front of what the caller gets. */
struct scratch {
    _Alignas(16) size_t len;
};

struct sb_inference {
    pthread_mutex_t lock;
    struct entry *buckets[BUCKET_COUNT];
    struct entry *newest, *oldest;
    size_t model_bytes, model_bytes_max;
    struct sb_inference_stats stats;
    struct sb_memo *memos[USE_COUNT];
    const struct sb_kernels *kernels; /* may be NULL */
    uint64_t (*clock_us)(void);       /* may be NULL */
    struct scratch *kept[SCRATCH_KEPT_COUNT];
};

static void free_memos(struct sb_inference *inference)
{
    for (int use = 0; use < USE_COUNT; use++) {
        sb_memo_free(inference->memos[use]);
    }
}

struct sb_inference *sb_inference_new(const struct sb_inference_options *options)
{
    struct sb_inference *inference = calloc(1, sizeof *inference);
    if (inference == NULL) {
        return NULL;
    }
    size_t bytes = options->memo_bytes_max != 0 ? options->memo_bytes_max : MEMO_BYTES_DEFAULT;
    size_t call_bytes =
        options->call_memo_bytes_max != 0 ? options->call_memo_bytes_max : CALL_MEMO_BYTES_DEFAULT;
    inference->model_bytes_max =
        options->model_bytes_max != 0 ? options->model_bytes_max : MODEL_BYTES_DEFAULT;
    inference->kernels = options->kernels;
    inference->clock_us = options->clock_us;
    inference->memos[SB_INFERENCE_OF_BLOCK] = sb_memo_new(bytes, options->memo_seed);
    inference->memos[SB_INFERENCE_OF_CALL] = sb_memo_new(call_bytes, options->memo_seed);
    if (inference->memos[SB_INFERENCE_OF_BLOCK] == NULL ||
        inference->memos[SB_INFERENCE_OF_CALL] == NULL ||
        pthread_mutex_init(&inference->lock, NULL) != 0) {
        free_memos(inference);
        free(inference);
        return NULL;
    }
    return inference;
}

static void list_remove(struct sb_inference *inference, struct entry *e)
{
    *(e->newer != NULL ? &e->newer->older : &inference->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &inference->oldest) = e->newer;
}

static void list_push(struct sb_inference *inference, struct entry *e)
{
    e->newer = NULL;
    e->older = inference->newest;
    *(inference->newest != NULL ? &inference->newest->newer : &inference->oldest) = e;
    inference->newest = e;
}

static void entry_drop(struct sb_inference *inference, struct entry *e)
{
    struct entry **link = &inference->buckets[e->id.b[0]];
    while (*link != e) {
        link = &(*link)->bucket_next;
    }
    *link = e->bucket_next;
    list_remove(inference, e);
    inference->model_bytes -= e->bytes;
    sb_model_free(e->model);
    free(e);
}

/* Drop the least recently used models that nobody runs until the rest fits. */
static void shrink(struct sb_inference *inference)
{
    struct entry *e = inference->oldest;
    while (e != NULL && inference->model_bytes > inference->model_bytes_max) {
        struct entry *next = e->newer;
        if (e->users == 0) {
            entry_drop(inference, e);
        }
        e = next;
    }
}

void sb_inference_free(struct sb_inference *inference)
{
    if (inference == NULL) {
        return;
    }
    while (inference->newest != NULL) {
        SB_ASSERT(inference->newest->users == 0);
        entry_drop(inference, inference->newest);
    }
    for (size_t i = 0; i < SCRATCH_KEPT_COUNT; i++) {
        free(inference->kept[i]);
    }
    free_memos(inference);
    (void)pthread_mutex_destroy(&inference->lock);
    free(inference);
}

struct sb_inference_stats sb_inference_stats(struct sb_inference *inference)
{
    (void)pthread_mutex_lock(&inference->lock);
    struct sb_inference_stats stats = inference->stats;
    stats.model_bytes = inference->model_bytes;
    for (const struct entry *e = inference->newest; e != NULL; e = e->older) {
        stats.model_count++;
    }
    (void)pthread_mutex_unlock(&inference->lock);
    stats.memo = sb_memo_stats(inference->memos[SB_INFERENCE_OF_BLOCK]);
    stats.call_memo = sb_memo_stats(inference->memos[SB_INFERENCE_OF_CALL]);
    return stats;
}

uint64_t sb_inference_run_begin(const struct sb_inference *inference)
{
    return inference->clock_us != NULL ? inference->clock_us() : 0;
}

void sb_inference_run_end(struct sb_inference *inference, uint64_t begun_us)
{
    if (inference->clock_us == NULL) {
        return;
    }
    uint64_t now_us = inference->clock_us();
    (void)pthread_mutex_lock(&inference->lock);
    inference->stats.run_us += now_us - begun_us;
    (void)pthread_mutex_unlock(&inference->lock);
}

struct sb_memo *sb_inference_memo(struct sb_inference *inference, enum sb_inference_use use)
{
    return inference->memos[use];
}

static struct entry *find(struct sb_inference *inference, const sb_hash *id)
{
    struct entry *e = inference->buckets[id->b[0]];
    while (e != NULL && !sb_hash_equal(&e->id, id)) {
        e = e->bucket_next;
    }
    return e;
}

/* Is the file the one that the id names? Facts may lie where storage is overridden (eth_call), but what is cached under an id serves
 * the validating path too. */
static sb_err check_id(const struct sb_model *model, sb_bytes file, const sb_hash *id)
{
    sb_cid cid = {.digest = *sb_model_sha256(model)};
    if (file.len > SB_CID_CHUNK_BYTES) {
        SB_TRY(sb_cid_of(&cid, file));
    }
    return sb_hash_equal(&cid.digest, id) ? SB_OK : SB_E_CORRUPT;
}

/* Load a joined file, if it is the model that the id names. */
static sb_err load_file(struct sb_model **ret_model, sb_bytes file, const sb_hash *id)
{
    struct sb_model *model = NULL;
    sb_err err = sb_model_load(&model, file, NULL);
    if (err != SB_OK) {
        return err == SB_E_NOMEM ? err : SB_E_CORRUPT;
    }
    err = check_id(model, file, id);
    if (err != SB_OK) {
        sb_model_free(model);
        return err;
    }
    *ret_model = model;
    return SB_OK;
}

/* Join a model's chunks and load them. */
static sb_err load(struct sb_model **ret_model, struct sb_overlay *state, const sb_hash *id)
{
    struct sb_model_facts facts = sb_model_facts_load(state, id);
    if (facts.status == SB_MODEL_ABSENT || facts.size_bytes > SB_MODEL_FILE_BYTES_MAX) {
        return SB_E_CORRUPT;
    }
    size_t size = (size_t)facts.size_bytes;
    uint8_t *file = malloc(size + 1);
    if (file == NULL) {
        return SB_E_NOMEM;
    }
    size_t filled = 0;
    for (uint32_t i = 0; i < facts.chunk_count; i++) {
        sb_hash chunk = sb_model_chunk_load(state, id, i);
        sb_bytes part = sb_overlay_blob(state, &chunk);
        if (part.len == 0 || part.len > size - filled) {
            free(file);
            return SB_E_CORRUPT;
        }
        sb_copy(file + filled, part.data, part.len);
        filled += part.len;
    }
    sb_err err = filled == size ? load_file(ret_model, sb_span(file, size), id) : SB_E_CORRUPT;
    free(file);
    return err;
}

sb_err sb_inference_model(const struct sb_model **ret_model, struct sb_inference *inference,
                          struct sb_overlay *state, const sb_hash *id)
{
    (void)pthread_mutex_lock(&inference->lock);
    struct entry *e = find(inference, id);
    if (e != NULL) {
        e->users++;
        list_remove(inference, e);
        list_push(inference, e);
        inference->stats.model_hit_count++;
        *ret_model = e->model;
    } else {
        inference->stats.model_miss_count++;
    }
    (void)pthread_mutex_unlock(&inference->lock);
    if (e != NULL) {
        return SB_OK;
    }

    struct sb_model *model = NULL;
    SB_TRY(load(&model, state, id));
    struct entry *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) {
        sb_model_free(model);
        return SB_E_NOMEM;
    }
    sb_model_prepare(model, inference->kernels);
    (void)pthread_mutex_lock(&inference->lock);
    e = find(inference, id); /* another thread may have loaded it meanwhile */
    if (e == NULL) {
        *fresh = (struct entry){
            .id = *id, .model = model, .bytes = sb_model_memory_bytes(model) + sizeof *fresh};
        e = fresh;
        e->bucket_next = inference->buckets[id->b[0]];
        inference->buckets[id->b[0]] = e;
        inference->model_bytes += e->bytes;
        list_push(inference, e);
        fresh = NULL;
        model = NULL;
    }
    e->users++;
    *ret_model = e->model;
    shrink(inference);
    (void)pthread_mutex_unlock(&inference->lock);
    sb_model_free(model);
    free(fresh);
    return SB_OK;
}

void sb_inference_release(struct sb_inference *inference, const struct sb_model *model)
{
    (void)pthread_mutex_lock(&inference->lock);
    struct entry *e = inference->newest;
    while (e != NULL && e->model != model) {
        e = e->older;
    }
    SB_ASSERT(e != NULL && e->users > 0);
    e->users--;
    shrink(inference);
    (void)pthread_mutex_unlock(&inference->lock);
}

void *sb_inference_scratch(struct sb_inference *inference, size_t len)
{
    struct scratch *block = NULL;
    (void)pthread_mutex_lock(&inference->lock);
    for (size_t i = 0; i < SCRATCH_KEPT_COUNT && block == NULL; i++) {
        if (inference->kept[i] != NULL && inference->kept[i]->len >= len) {
            block = inference->kept[i];
            inference->kept[i] = NULL;
        }
    }
    (void)pthread_mutex_unlock(&inference->lock);
    if (block == NULL && len <= SIZE_MAX - sizeof *block) {
        block = malloc(sizeof *block + len);
        if (block != NULL) {
            block->len = len;
        }
    }
    return block != NULL ? block + 1 : NULL;
}

void sb_inference_scratch_release(struct sb_inference *inference, void *scratch)
{
    if (scratch == NULL) {
        return;
    }
    struct scratch *block = (struct scratch *)scratch - 1;
    (void)pthread_mutex_lock(&inference->lock);
    size_t smallest = 0;
    for (size_t i = 0; i < SCRATCH_KEPT_COUNT; i++) {
        size_t kept = inference->kept[i] != NULL ? inference->kept[i]->len : 0;
        size_t least = inference->kept[smallest] != NULL ? inference->kept[smallest]->len : 0;
        smallest = kept < least ? i : smallest;
    }
    struct scratch *out = block;
    if (block->len <= SCRATCH_KEPT_BYTES_MAX &&
        (inference->kept[smallest] == NULL || inference->kept[smallest]->len < block->len)) {
        out = inference->kept[smallest];
        inference->kept[smallest] = block;
    }
    (void)pthread_mutex_unlock(&inference->lock);
    free(out);
}
