/* inference_record.c: records of inferences, their root and their paths; see inference_record.h. Spec: docs/spec/inference-proof.md. */
#include "base/types/inference_record.h"

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/types/field.h"
#include "base/types/merkle.h"
#include "base/util/assert.h"
#include "base/util/endian.h"

#define ROOT_PREFIX 0x02

/* ---- record ---- */

void sb_inference_record_encode(struct sb_buf *out, const struct sb_inference_record *record)
{
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_hash(out, &record->tx_hash);
    sb_rlp_put_u64(out, record->index);
    sb_rlp_put_addr(out, &record->caller);
    sb_rlp_put_hash(out, &record->model_id);
    sb_rlp_put_hash(out, &record->input_hash);
    sb_rlp_put_hash(out, &record->output_hash);
    sb_rlp_list_end(out, list);
}

static sb_err read_record(struct sb_inference_record *ret_record, struct sb_rlp *in,
                          struct sb_diag *diag)
{
    struct sb_rlp f;
    uint64_t index;
    struct sb_inference_record record;
    SB_FIELD("inference record", "list", sb_rlp_read_list(&f, in));
    SB_FIELD("inference record", "transaction", sb_rlp_read_hash(&record.tx_hash, &f));
    SB_FIELD("inference record", "index", sb_rlp_read_u64(&index, &f));
    SB_FIELD("inference record", "caller", sb_rlp_read_addr(&record.caller, &f));
    SB_FIELD("inference record", "model id", sb_rlp_read_hash(&record.model_id, &f));
    SB_FIELD("inference record", "input hash", sb_rlp_read_hash(&record.input_hash, &f));
    SB_FIELD("inference record", "output hash", sb_rlp_read_hash(&record.output_hash, &f));
    SB_FIELD("inference record", "end", sb_rlp_end(&f));
    if (index >= SB_INFERENCE_RECORDS_MAX) {
        return sb_fail(diag, SB_E_RANGE, "inference record: index %llu is out of range",
                       (unsigned long long)index);
    }
    record.index = (uint32_t)index;
    *ret_record = record;
    return SB_OK;
}

sb_err sb_inference_record_decode(struct sb_inference_record *ret_record, sb_bytes raw,
                                  struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_inference_record record;
    SB_TRY(read_record(&record, &in, diag));
    SB_FIELD("inference record", "end", sb_rlp_end(&in));
    *ret_record = record;
    return SB_OK;
}

void sb_inference_list_encode(struct sb_buf *out, const struct sb_inference_record *records,
                              size_t count)
{
    size_t list = sb_rlp_list_begin(out);
    for (size_t i = 0; i < count; i++) {
        sb_inference_record_encode(out, &records[i]);
    }
    sb_rlp_list_end(out, list);
}

sb_err sb_inference_list_decode(const struct sb_inference_record **ret_records, size_t *ret_count,
                                struct sb_arena *arena, sb_bytes raw, struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_rlp items;
    size_t count;
    SB_FIELD("inference records", "list", sb_rlp_read_list(&items, &in));
    SB_FIELD("inference records", "end", sb_rlp_end(&in));
    SB_FIELD("inference records", "list", sb_rlp_count(&count, &items, SB_INFERENCE_RECORDS_MAX));
    struct sb_inference_record *records = sb_arena_array(arena, count, sizeof *records);
    if (records == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "no memory for %zu inference records", count);
    }
    for (size_t i = 0; i < count; i++) {
        SB_TRY(read_record(&records[i], &items, diag));
    }
    *ret_records = records;
    *ret_count = count;
    return SB_OK;
}

/* ---- tree ---- */

static sb_hash leaf_of(const struct sb_inference_record *record)
{
    uint8_t memory[SB_INFERENCE_RECORD_BYTES_MAX];
    struct sb_buf buf = sb_buf_over(memory, sizeof memory);
    sb_inference_record_encode(&buf, record);
    SB_ASSERT(!buf.failed);
    return sb_merkle_leaf(sb_buf_bytes(&buf));
}

static sb_hash root_of(const sb_hash *tree, uint32_t count)
{
    uint8_t message[1 + 4 + sizeof(sb_hash)] = {ROOT_PREFIX};
    be_store32(message + 1, count);
    memcpy(message + 5, tree->b, sizeof tree->b);
    return sb_keccak256(sb_span(message, sizeof message));
}

/* leaves_of: the lowest level of the tree, in the arena; NULL when there are too many or no memory. */
static sb_hash *leaves_of(struct sb_arena *arena, const struct sb_inference_record *records,
                          size_t count)
{
    sb_hash *level = sb_arena_array(arena, count, sizeof *level);
    for (size_t i = 0; level != NULL && i < count; i++) {
        level[i] = leaf_of(&records[i]);
    }
    return level;
}

sb_err sb_inference_root(sb_hash *ret_root, struct sb_arena *arena,
                         const struct sb_inference_record *records, size_t count)
{
    if (count > SB_INFERENCE_RECORDS_MAX) {
        return SB_E_LIMIT;
    }
    if (count == 0) {
        *ret_root = (sb_hash){.b = {0}};
        return SB_OK;
    }
    struct sb_arena_mark mark = sb_arena_mark(arena);
    sb_hash *level = leaves_of(arena, records, count);
    if (level == NULL) {
        return SB_E_NOMEM;
    }
    for (uint32_t width = (uint32_t)count; width > 1;) {
        width = sb_merkle_fold(level, width);
    }
    *ret_root = root_of(&level[0], (uint32_t)count);
    sb_arena_rewind(arena, mark);
    return SB_OK;
}

sb_err sb_inference_prove(struct sb_inference_path *ret_path, struct sb_arena *arena,
                          const struct sb_inference_record *records, size_t count, uint32_t index)
{
    if (count > SB_INFERENCE_RECORDS_MAX) {
        return SB_E_LIMIT;
    }
    if (index >= count) {
        return SB_E_RANGE;
    }
    struct sb_arena_mark mark = sb_arena_mark(arena);
    sb_hash *level = leaves_of(arena, records, count);
    if (level == NULL) {
        return SB_E_NOMEM;
    }
    struct sb_inference_path path = {.index = index, .count = (uint32_t)count};
    uint32_t at = index;
    for (uint32_t width = path.count; width > 1; at /= 2) {
        if ((at ^ 1) < width) {
            path.siblings[path.depth++] = level[at ^ 1];
        }
        width = sb_merkle_fold(level, width);
    }
    sb_arena_rewind(arena, mark);
    *ret_path = path;
    return SB_OK;
}

bool sb_inference_path_check(const sb_hash *root, const struct sb_inference_record *record,
                             const struct sb_inference_path *path)
{
    if (path->count > SB_INFERENCE_RECORDS_MAX || path->depth > SB_INFERENCE_PROOF_DEPTH_MAX) {
        return false;
    }
    sb_hash node = leaf_of(record);
    if (!sb_merkle_climb(&node, &(struct sb_merkle_path){.index = path->index,
                                                         .count = path->count,
                                                         .siblings = path->siblings,
                                                         .depth = path->depth})) {
        return false;
    }
    sb_hash reached = root_of(&node, path->count);
    return sb_hash_equal(&reached, root);
}
