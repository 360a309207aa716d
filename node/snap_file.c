/* snap_file.c: see snap_file.h. */
#include "node/snap_file.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/codec/hex.h"
#include "base/crypto/hash.h"
#include "base/util/endian.h"
#include "node/chain_impl.h"
#include "node/files.h"

#define FORMAT          1
#define CHUNK_BYTES_MAX ((size_t)16 << 20)
#define CHUNKS_MAX      100000
#define QUEUE_MAX       128
#define QUESTION_MAX    256
#define NS_IN_MS        1000000
#define ONLY_PEER       1

/* ---- a peer in this process ---- */

struct local_question {
    uint8_t bytes[QUESTION_MAX];
    size_t len;
};

struct local_peer {
    struct local_question queue[QUEUE_MAX];
    size_t first, count;
    bool is_told;
    uint64_t now_ms; /* Unix time that the headers are judged at */
    struct sb_buf content, out;
    void *ctx;
    sb_err (*answer)(void *ctx, struct sb_buf *out, const struct sb_snap_message *question);
};

static bool local_send(void *ctx, sb_peer peer, sb_bytes message)
{
    struct local_peer *p = ctx;
    (void)peer;
    if (p->count == QUEUE_MAX || message.len > QUESTION_MAX) {
        return false;
    }
    struct local_question *q = &p->queue[(p->first + p->count++) % QUEUE_MAX];
    memcpy(q->bytes, message.data, message.len);
    q->len = message.len;
    return true;
}

static void local_wait(void *ctx, struct sb_state_sync_event *ret, uint64_t timeout_ms)
{
    struct local_peer *p = ctx;
    struct sb_snap_message question;
    *ret = (struct sb_state_sync_event){.kind = SB_STATE_SYNC_NOTHING, .peer = ONLY_PEER};
    if (!p->is_told) {
        p->is_told = true;
        ret->kind = SB_STATE_SYNC_UP;
        (void)snprintf(ret->name, sizeof ret->name, "the folder");
        return;
    }
    if (p->count == 0) {
        (void)usleep((useconds_t)(timeout_ms * 1000));
        return;
    }
    const struct local_question *q = &p->queue[p->first];
    p->first = (p->first + 1) % QUEUE_MAX;
    p->count--;
    if (sb_snap_message_decode(&question, sb_span(q->bytes, q->len)) != SB_OK) {
        return;
    }
    sb_buf_reset(&p->content);
    sb_buf_reset(&p->out);
    struct sb_snap_message answer = {.is_answer = true, .id = question.id};
    answer.found = p->answer(p->ctx, &p->content, &question) == SB_OK;
    if (answer.found) {
        answer.bytes = sb_buf_bytes(&p->content);
    }
    sb_snap_message_encode(&p->out, &answer);
    ret->kind = SB_STATE_SYNC_MESSAGE;
    ret->message = sb_buf_bytes(&p->out);
}

static void local_report(void *ctx, sb_peer peer, enum sb_offence offence, const char *why)
{
    (void)ctx;
    (void)peer;
    (void)offence;
    (void)why; /* the log has it */
}

static uint64_t local_monotonic_ms(void *ctx)
{
    (void)ctx;
    return uv_hrtime() / NS_IN_MS;
}

static uint64_t local_wall_ms(void *ctx)
{
    return ((const struct local_peer *)ctx)->now_ms;
}

/* local_sync: a state sync with that peer alone. */
static sb_err local_sync(struct sb_snap_file_facts *facts, struct local_peer *peer,
                         const char *db_dir, const struct sb_genesis *genesis,
                         uint64_t trust_period_ms, const struct sb_logger *log,
                         struct sb_diag *diag)
{
    const struct sb_state_sync_options options = {.db_dir = db_dir,
                                                  .genesis = genesis,
                                                  .wire = {.ctx = peer,
                                                           .send = local_send,
                                                           .wait = local_wait,
                                                           .report = local_report,
                                                           .monotonic_ms = local_monotonic_ms,
                                                           .wall_ms = local_wall_ms},
                                                  .trust_height = facts->height,
                                                  .trust_hash = facts->block_id,
                                                  .trust_period_ms = trust_period_ms,
                                                  .look_ms = 1,
                                                  .give_up_ms = 5000,
                                                  .log = log};
    sb_buf_init(&peer->content, SB_SNAP_CONTENT_BYTES_MAX);
    sb_buf_init(&peer->out, SB_SNAP_CONTENT_BYTES_MAX + QUESTION_MAX);
    sb_err err = sb_state_sync(&facts->report, &options, diag);
    sb_buf_fini(&peer->content);
    sb_buf_fini(&peer->out);
    return err;
}

/* key_make: a question without its id. */
static size_t key_make(uint8_t ret[QUESTION_MAX], const struct sb_snap_message *question)
{
    ret[0] = (uint8_t)question->what;
    be_store64(ret + 1, question->height);
    sb_copy(ret + 9, question->bytes.data, question->bytes.len);
    return 9 + question->bytes.len;
}

static void list_put(struct sb_buf *out, uint64_t height)
{
    const struct sb_snap_list list = {.head = height + 1, .heights = {height}, .count = 1};
    sb_snap_list_encode(out, &list);
}

/* ---- writing ---- */

struct recorder {
    const struct sb_snap_source *source;
    const char *dir;
    struct sb_snap_file_facts *facts;
    struct sb_buf chunk;
    json_t *chunks;
    struct sb_diag diag; /* why writing failed */
    sb_err failed;
};

static sb_err chunk_write(struct recorder *r)
{
    char name[32], path[SB_PATH_BYTES], hex[SB_HEX_TEXT_BYTES(32)];
    if (r->chunk.len == 0) {
        return SB_OK;
    }
    (void)snprintf(name, sizeof name, "%05" PRIu64 ".chunk", r->facts->chunk_count++);
    SB_TRY(sb_path_join(path, r->dir, name, &r->diag));
    SB_TRY(sb_file_replace(path, sb_buf_bytes(&r->chunk), 0644, &r->diag));
    sb_hash hash = sb_sha256(sb_buf_bytes(&r->chunk));
    json_t *entry = json_pack("{s:s, s:I, s:s}", "file", name, "bytes", (json_int_t)r->chunk.len,
                              "sha256", sb_hex_format(hex, sb_span(hash.b, 32)));
    r->facts->bytes += r->chunk.len;
    sb_buf_reset(&r->chunk);
    return json_array_append_new(r->chunks, entry) == 0 ? SB_OK : SB_E_NOMEM;
}

static sb_err record(struct recorder *r, const struct sb_snap_message *question, sb_bytes content)
{
    uint8_t key[QUESTION_MAX], length[4];
    size_t key_len = key_make(key, question);
    be_store32(length, (uint32_t)key_len);
    sb_buf_add(&r->chunk, length, sizeof length);
    sb_buf_add(&r->chunk, key, key_len);
    be_store32(length, (uint32_t)content.len);
    sb_buf_add(&r->chunk, length, sizeof length);
    sb_buf_add(&r->chunk, content.data, content.len);
    SB_TRY(sb_buf_err(&r->chunk));
    return r->chunk.len >= CHUNK_BYTES_MAX ? chunk_write(r) : SB_OK;
}

static sb_err answer_recorded(void *ctx, struct sb_buf *out, const struct sb_snap_message *question)
{
    struct recorder *r = ctx;
    if (question->what == SB_SNAP_LIST) {
        list_put(out, r->facts->height);
        return sb_buf_err(out);
    }
    SB_TRY(sb_snap_answer(out, r->source, question));
    if (r->failed == SB_OK) {
        r->failed = record(r, question, sb_buf_bytes(out));
    }
    return r->failed;
}

static sb_err manifest_write(struct recorder *r, struct sb_diag *diag)
{
    char path[SB_PATH_BYTES], genesis[SB_HEX_TEXT_BYTES(32)], id[SB_HEX_TEXT_BYTES(32)],
        root[SB_HEX_TEXT_BYTES(32)];
    const struct sb_chain_domain *domain = sb_chain_domain(r->source->chain);
    struct sb_header header;
    sb_hash hash;
    SB_TRY(sb_chain_header(&header, &hash, r->source->chain, r->facts->height));
    SB_TRY(sb_path_join(path, r->dir, "manifest.json", diag));
    json_t *manifest =
        json_pack("{s:i, s:I, s:s, s:I, s:s, s:s, s:O}", "format", FORMAT, "chainId",
                  (json_int_t)domain->chain_id, "genesisHash",
                  sb_hex_format(genesis, sb_span(domain->genesis_hash.b, 32)), "height",
                  (json_int_t)r->facts->height, "blockId",
                  sb_hex_format(id, sb_span(r->facts->block_id.b, 32)), "stateRoot",
                  sb_hex_format(root, sb_span(header.state_root.b, 32)), "chunks", r->chunks);
    char *text = manifest != NULL ? json_dumps(manifest, JSON_INDENT(2)) : NULL;
    sb_err err = text != NULL ? sb_file_replace(path, sb_span_str(text), 0644, diag) : SB_E_NOMEM;
    free(text);
    json_decref(manifest);
    return err;
}

/* choose: the height, and its block's id and time. */
static sb_err choose(struct sb_snap_file_facts *facts, uint64_t *ret_time_ms,
                     const struct sb_snap_source *source, uint64_t height, struct sb_diag *diag)
{
    uint64_t heights[SB_SNAPSHOTS_MAX], head = sb_chain_head_number(source->chain);
    size_t count = sb_snapshots_list(heights, source->snapshots);
    bool found = false;
    for (size_t i = 0; !found && i < count; i++) {
        found = heights[i] > 0 && heights[i] < head && (height == 0 || heights[i] == height);
        facts->height = heights[i];
    }
    if (!found) {
        return sb_fail(diag, SB_E_NOT_FOUND,
                       "there is no such snapshot: run the node with --snapshot-interval first");
    }
    struct sb_arena arena;
    struct sb_chain_past past;
    sb_arena_init(&arena, SB_CHAIN_BLOCK_ARENA_BYTES_MAX);
    sb_err err = sb_chain_past(&past, &arena, source->chain, facts->height);
    if (err == SB_OK) {
        facts->block_id = sb_consensus_block_id(&past.header);
        *ret_time_ms = past.header.time_ms;
    }
    sb_arena_fini(&arena);
    return err;
}

static sb_err create(struct recorder *r, uint64_t time_ms, const struct sb_logger *log,
                     struct sb_diag *diag)
{
    char work[SB_PATH_BYTES];
    struct local_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        return SB_E_NOMEM;
    }
    peer->ctx = r;
    peer->answer = answer_recorded;
    peer->now_ms = time_ms + 1;
    sb_err err = sb_path_join(work, r->dir, "work", diag);
    if (err == SB_OK) {
        err = local_sync(r->facts, peer, work, sb_chain_genesis(r->source->chain), 0, log, diag);
    }
    free(peer);
    SB_TRY(err);
    if (r->failed != SB_OK) {
        return sb_fail(diag, r->failed, "%s", r->diag.text);
    }
    SB_TRY(sb_dir_remove(work, diag));
    SB_TRY(chunk_write(r));
    return manifest_write(r, diag);
}

sb_err sb_snap_file_create(struct sb_snap_file_facts *ret_facts, const char *dir,
                           const struct sb_snap_source *source, uint64_t height,
                           const struct sb_logger *log, struct sb_diag *diag)
{
    struct sb_snap_file_facts facts = {.bytes = 0};
    uint64_t time_ms;
    SB_TRY(choose(&facts, &time_ms, source, height, diag));
    if (mkdir(dir, 0755) != 0) {
        return sb_fail(diag, errno == EEXIST ? SB_E_EXISTS : SB_E_IO, "%s: %s", dir,
                       strerror(errno));
    }
    struct recorder r = {
        .source = source, .dir = dir, .facts = &facts, .chunks = json_array(), .failed = SB_OK};
    sb_buf_init(&r.chunk, 2 * CHUNK_BYTES_MAX);
    sb_err err = create(&r, time_ms, log, diag);
    sb_buf_fini(&r.chunk);
    json_decref(r.chunks);
    if (err == SB_OK) {
        *ret_facts = facts;
    }
    return err;
}

/* ---- reading ---- */

struct entry {
    sb_hash key; /* of the question */
    uint32_t chunk, offset, len;
};

struct reader {
    const char *dir;
    struct sb_snap_file_facts *facts;
    struct entry *entries;
    size_t count, capacity;
    sb_bytes chunk; /* the one that was read last; owned */
    uint32_t chunk_number;
    bool has_chunk;
};

static void chunk_forget(struct reader *r)
{
    free((void *)(uintptr_t)r->chunk.data);
    r->chunk = sb_span(NULL, 0);
    r->has_chunk = false;
}

static sb_err chunk_load(struct reader *r, uint32_t number, struct sb_diag *diag)
{
    char name[32], path[SB_PATH_BYTES];
    if (r->has_chunk && r->chunk_number == number) {
        return SB_OK;
    }
    chunk_forget(r);
    (void)snprintf(name, sizeof name, "%05" PRIu32 ".chunk", number);
    SB_TRY(sb_path_join(path, r->dir, name, diag));
    struct sb_buf text;
    sb_buf_init(&text, 4 * CHUNK_BYTES_MAX);
    sb_err err = sb_file_read(&text, path, diag);
    if (err != SB_OK) {
        sb_buf_fini(&text);
        return err;
    }
    r->chunk = sb_buf_bytes(&text); /* its memory is the reader's from now on */
    r->chunk_number = number;
    r->has_chunk = true;
    return SB_OK;
}

static int entry_order(const void *a, const void *b)
{
    return memcmp(((const struct entry *)a)->key.b, ((const struct entry *)b)->key.b, 32);
}

/* chunk_index: its entries; SB_E_SYNTAX when they do not end where it ends. */
static sb_err chunk_index(struct reader *r, uint32_t number)
{
    size_t at = 0;
    while (at < r->chunk.len) {
        size_t left = r->chunk.len - at;
        size_t key_len = left >= 4 ? be_load32(r->chunk.data + at) : 0;
        if (key_len < 9 || key_len > QUESTION_MAX || left < 8 + key_len) {
            return SB_E_SYNTAX;
        }
        size_t len = be_load32(r->chunk.data + at + 4 + key_len);
        if (len > left - 8 - key_len) {
            return SB_E_SYNTAX;
        }
        if (r->count == r->capacity) {
            size_t capacity = r->capacity == 0 ? 1024 : 2 * r->capacity;
            struct entry *entries = realloc(r->entries, capacity * sizeof *entries);
            if (entries == NULL) {
                return SB_E_NOMEM;
            }
            r->entries = entries;
            r->capacity = capacity;
        }
        r->entries[r->count++] =
            (struct entry){.key = sb_sha256(sb_span(r->chunk.data + at + 4, key_len)),
                           .chunk = number,
                           .offset = (uint32_t)(at + 8 + key_len),
                           .len = (uint32_t)len};
        at += 8 + key_len + len;
    }
    return SB_OK;
}

static sb_err answer_read(void *ctx, struct sb_buf *out, const struct sb_snap_message *question)
{
    struct reader *r = ctx;
    uint8_t key[QUESTION_MAX];
    if (question->what == SB_SNAP_LIST) {
        list_put(out, r->facts->height);
        return sb_buf_err(out);
    }
    struct entry wanted = {.key = sb_sha256(sb_span(key, key_make(key, question)))};
    const struct entry *found =
        r->count != 0 ? bsearch(&wanted, r->entries, r->count, sizeof wanted, entry_order) : NULL;
    if (found == NULL) {
        return SB_E_NOT_FOUND;
    }
    SB_TRY(chunk_load(r, found->chunk, NULL));
    sb_bytes content = sb_span_slice(r->chunk, found->offset, found->len);
    sb_buf_add(out, content.data, content.len);
    return sb_buf_err(out);
}

static bool hash_of_member(sb_hash *ret, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL && sb_hex_parse(ret->b, sizeof ret->b, text, strlen(text)) == SB_OK;
}

/* chunks_check: each is the one of the manifest, and indexed. */
static sb_err chunks_check(struct reader *r, const json_t *chunks, struct sb_diag *diag)
{
    for (size_t i = 0; i < json_array_size(chunks) && i < CHUNKS_MAX; i++) {
        sb_hash named, hash;
        SB_TRY(chunk_load(r, (uint32_t)i, diag));
        hash = sb_sha256(r->chunk);
        if (!hash_of_member(&named, json_array_get(chunks, i), "sha256") ||
            !sb_hash_equal(&hash, &named)) {
            return sb_fail(diag, SB_E_CHECKSUM, "chunk %zu is not the one of the manifest", i);
        }
        sb_err err = chunk_index(r, (uint32_t)i);
        if (err != SB_OK) {
            return sb_fail(diag, err, "chunk %zu is damaged", i);
        }
        r->facts->bytes += r->chunk.len;
        r->facts->chunk_count++;
    }
    if (r->count != 0) {
        qsort(r->entries, r->count, sizeof *r->entries, entry_order);
    }
    return SB_OK;
}

static sb_err manifest_read(struct reader *r, const struct sb_genesis *genesis,
                            struct sb_diag *diag)
{
    char path[SB_PATH_BYTES];
    struct sb_chain_domain domain;
    sb_hash genesis_hash;
    json_error_t error;
    SB_TRY(sb_genesis_domain(&domain, genesis));
    SB_TRY(sb_path_join(path, r->dir, "manifest.json", diag));
    json_t *manifest = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (manifest == NULL) {
        return sb_fail(diag, SB_E_SYNTAX, "%s: %s", path, error.text);
    }
    json_int_t height = json_integer_value(json_object_get(manifest, "height"));
    sb_err err = SB_OK;
    if (json_integer_value(json_object_get(manifest, "format")) != FORMAT || height <= 0 ||
        !hash_of_member(&genesis_hash, manifest, "genesisHash") ||
        !hash_of_member(&r->facts->block_id, manifest, "blockId")) {
        err = sb_fail(diag, SB_E_SYNTAX, "%s is no manifest of a snapshot", path);
    } else if (!sb_hash_equal(&genesis_hash, &domain.genesis_hash)) {
        err = sb_fail(diag, SB_E_ARG, "%s is of another chain", path);
    }
    r->facts->height = (uint64_t)height;
    err = err == SB_OK ? chunks_check(r, json_object_get(manifest, "chunks"), diag) : err;
    json_decref(manifest);
    return err;
}

static uint64_t unix_ms(void)
{
    uv_timeval64_t now = {0};
    (void)uv_gettimeofday(&now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_usec / 1000;
}

sb_err sb_snap_file_restore(struct sb_snap_file_facts *ret_facts, const char *dir,
                            const char *db_dir, const struct sb_genesis *genesis,
                            const sb_hash *trust_hash, uint64_t trust_period_ms,
                            const struct sb_logger *log, struct sb_diag *diag)
{
    struct sb_snap_file_facts facts = {.bytes = 0};
    struct reader r = {.dir = dir, .facts = &facts};
    struct local_peer *peer = calloc(1, sizeof *peer);
    sb_err err = peer != NULL ? manifest_read(&r, genesis, diag) : SB_E_NOMEM;
    if (err == SB_OK && !sb_hash_equal(&facts.block_id, trust_hash)) {
        err = sb_fail(diag, SB_E_REFUSED,
                      "the snapshot is of block %" PRIu64 " with another id than the trusted one",
                      facts.height);
    }
    if (err == SB_OK) {
        peer->ctx = &r;
        peer->answer = answer_read;
        peer->now_ms = unix_ms();
        err = local_sync(&facts, peer, db_dir, genesis, trust_period_ms, log, diag);
    }
    free(peer);
    chunk_forget(&r);
    free(r.entries);
    if (err == SB_OK) {
        *ret_facts = facts;
    }
    return err;
}
