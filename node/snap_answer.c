/* snap_answer.c: see snap_answer.h. Spec: docs/spec/state-sync.md, section 4. */
#include "node/snap_answer.h"

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "consensus/light_block.h"

#define ARENA_BYTES_MAX ((size_t)1 << 30)
#define PAST_COUNT_MAX  2048
#define HASHES_COUNT                                                                               \
    256 /* heights with an Ethereum header in an answer: as many as BLOCKHASH can name */
#define PAST_BYTES_MAX ((size_t)1 << 20)

struct answering {
    struct sb_buf *out;
    const struct sb_snap_source *source;
    const struct sb_snap_message *question;
    struct sb_arena arena;
};

static sb_err give_list(struct answering *a)
{
    struct sb_snap_list list = {.head = sb_chain_head_number(a->source->chain)};
    uint64_t heights[SB_SNAPSHOTS_MAX];
    size_t count = sb_snapshots_list(heights, a->source->snapshots);
    for (size_t i = 0; i < count; i++) {
        if (heights[i] > 0 && heights[i] < list.head && list.count < SB_SNAP_SNAPSHOTS_MAX) {
            list.heights[list.count++] = heights[i];
        }
    }
    sb_snap_list_encode(a->out, &list);
    return SB_OK;
}

static sb_err give_light(struct answering *a)
{
    struct sb_light_block_parts parts;
    SB_TRY(sb_chain_light_block(&parts, &a->arena, a->source->chain, a->question->height));
    sb_light_block_encode(a->out, &parts);
    return SB_OK;
}

static sb_err give_piece(struct answering *a, struct sb_store *store)
{
    struct sb_subtree_request request;
    if (sb_subtree_request_decode(&request, a->question->bytes) != SB_OK) {
        return SB_E_NOT_FOUND;
    }
    return sb_store_answer(a->out, store, &request, 0);
}

static sb_err give_rotation(struct answering *a, struct sb_store *store)
{
    uint8_t key[SB_CHAIN_ROTATION_KEY_BYTES];
    sb_bytes raw;
    sb_chain_rotation_key(key, a->question->height + 1);
    SB_TRY(sb_store_record(&raw, &a->arena, store, sb_span(key, sizeof key)));
    sb_buf_add(a->out, raw.data, raw.len);
    return SB_OK;
}

static sb_err give_blobs(struct answering *a, struct sb_store *store)
{
    sb_hash after, *ids = sb_arena_array(&a->arena, SB_SNAP_BLOBS_MAX, sizeof *ids);
    sb_bytes detail = a->question->bytes;
    size_t count;
    if (ids == NULL) {
        return SB_E_NOMEM;
    }
    if (detail.len != 0 && detail.len != 32) {
        return SB_E_NOT_FOUND;
    }
    sb_copy(after.b, detail.data, detail.len);
    SB_TRY(
        sb_store_blob_ids(ids, &count, store, detail.len != 0 ? &after : NULL, SB_SNAP_BLOBS_MAX));
    for (size_t i = 0; i < count; i++) {
        sb_buf_add(a->out, ids[i].b, 32);
    }
    return SB_OK;
}

/* of_snapshot: an answer from the snapshot of the question's height. */
static sb_err of_snapshot(struct answering *a,
                          sb_err (*give)(struct answering *a, struct sb_store *store))
{
    struct sb_snapshot *snapshot = sb_snapshots_find(a->source->snapshots, a->question->height);
    if (snapshot == NULL) {
        return SB_E_NOT_FOUND;
    }
    sb_err err = give(a, sb_snapshot_store(snapshot));
    sb_snapshot_unref(snapshot);
    return err;
}

static sb_err give_block(struct answering *a)
{
    struct sb_commit commit;
    sb_bytes encoded;
    SB_TRY(sb_chain_encoded(&encoded, &commit, &a->arena, a->source->chain, a->question->height));
    sb_buf_add(a->out, encoded.data, encoded.len);
    return SB_OK;
}

static sb_err give_receipts(struct answering *a)
{
    struct sb_store *store = sb_chain_store(a->source->chain);
    const sb_bytes *receipts;
    sb_bytes inferences = sb_span(NULL, 0);
    size_t count;
    SB_TRY(sb_store_receipts(&receipts, &count, &a->arena, store, a->question->height));
    sb_err err = sb_store_inferences(&inferences, &a->arena, store, a->question->height);
    if (err != SB_OK && err != SB_E_NOT_FOUND) {
        return err;
    }
    size_t mark = sb_rlp_list_begin(a->out), list = sb_rlp_list_begin(a->out);
    for (size_t i = 0; i < count; i++) {
        sb_rlp_put_bytes(a->out, receipts[i]);
    }
    sb_rlp_list_end(a->out, list);
    sb_rlp_put_bytes(a->out, inferences);
    sb_rlp_list_end(a->out, mark);
    return SB_OK;
}

/* put_past: one height; *io_above: the set hash of the height above it. */
static sb_err put_past(struct answering *a, uint64_t height, sb_hash *io_above)
{
    struct sb_chain *chain = a->source->chain;
    struct sb_chain_past past;
    struct sb_snap_past item = {.set = sb_span(NULL, 0)};
    struct sb_buf header, set;
    SB_TRY(sb_chain_past(&past, &a->arena, chain, height));
    if (a->question->bytes.len != 0) {
        SB_TRY(sb_store_header(&item.ethereum, &a->arena, sb_chain_store(chain), height));
    }
    sb_buf_init(&header, SB_SNAP_CONTENT_BYTES_MAX);
    sb_buf_init(&set, SB_SNAP_CONTENT_BYTES_MAX);
    sb_consensus_header_encode(&header, &past.header);
    sb_err err = sb_buf_err(&header);
    if (err == SB_OK && !sb_hash_equal(&past.header.validators_hash, io_above)) {
        struct sb_validator_set own;
        err = sb_chain_validators_at(&own, &a->arena, chain, height);
        if (err == SB_OK) {
            sb_validator_set_encode(&set, &own);
            err = sb_buf_err(&set);
        }
    }
    if (err == SB_OK) {
        item.header = sb_buf_bytes(&header);
        item.evidence = past.evidence;
        item.set = sb_buf_bytes(&set);
        sb_snap_past_encode(a->out, &item);
        *io_above = past.header.validators_hash;
    }
    sb_buf_fini(&header);
    sb_buf_fini(&set);
    return err;
}

static sb_err give_past(struct answering *a)
{
    struct sb_chain_past above;
    uint64_t height = a->question->height;
    if (height == 0 || height == UINT64_MAX) {
        return SB_E_NOT_FOUND;
    }
    SB_TRY(sb_chain_past(&above, &a->arena, a->source->chain, height + 1));
    sb_hash set = above.header.validators_hash;
    size_t begin = a->out->len, mark = sb_rlp_list_begin(a->out), count = 0;
    size_t count_max = a->question->bytes.len != 0 ? HASHES_COUNT : PAST_COUNT_MAX;
    sb_err err = SB_OK;
    while (err == SB_OK && height > 0 && count < count_max &&
           a->out->len - begin < PAST_BYTES_MAX) {
        struct sb_arena_mark place = sb_arena_mark(&a->arena);
        err = put_past(a, height, &set);
        sb_arena_rewind(&a->arena, place);
        count += err == SB_OK ? 1 : 0;
        height -= err == SB_OK ? 1 : 0;
    }
    sb_rlp_list_end(a->out, mark);
    return err == SB_E_NOT_FOUND && count != 0 ? SB_OK : err;
}

static sb_err give(struct answering *a)
{
    switch (a->question->what) {
    case SB_SNAP_LIST:
        return give_list(a);
    case SB_SNAP_LIGHT:
        return give_light(a);
    case SB_SNAP_PIECE:
        return of_snapshot(a, give_piece);
    case SB_SNAP_BLOCK:
        return give_block(a);
    case SB_SNAP_RECEIPTS:
        return give_receipts(a);
    case SB_SNAP_ROTATION:
        return of_snapshot(a, give_rotation);
    case SB_SNAP_BLOBS:
        return of_snapshot(a, give_blobs);
    case SB_SNAP_PAST:
        return give_past(a);
    }
    SB_UNREACHABLE();
}

sb_err sb_snap_answer(struct sb_buf *out, const struct sb_snap_source *source,
                      const struct sb_snap_message *question)
{
    struct answering a = {.out = out, .source = source, .question = question};
    sb_arena_init(&a.arena, ARENA_BYTES_MAX);
    sb_err err = give(&a);
    sb_arena_fini(&a.arena);
    return err == SB_OK ? sb_buf_err(out) : err;
}
