/* model_store.c: ModelStore (0x5b04): the native side of the model registry. docs/spec/precompiles.md section 4.
 *
 *     putChunk x n  -->  blobs by sha2-256, kept once, counted
 *     finalise      -->  join, identify (CID), verify, store facts; every chunk gains a reference
 *     setActive     -->  Inference may call it, or no longer
 *     release       -->  facts gone, references given back;  dropChunk deletes a chunk without references
 *
 * Storing costs gas by the byte here and a deposit in the registry; the facts' slots are priced as new storage. */
#include "base/codec/cid.h"
#include "base/crypto/hash.h"
#include "base/util/checked.h"
#include "vm/precompile/facts.h"
#include "vm/precompile/native.h"

#include <stdlib.h>

#define REGISTRY_ADDR_LOW 0x5b11
#define PARAMS_ADDR_LOW   0x5b10

#define CHUNK_COUNT_MAX   4096u /* 256 MiB, the limit of the format */
#define SLOT_READ_GAS     UINT64_C(2100)
#define SLOT_NEW_GAS      UINT64_C(22100)
#define SLOT_CHANGE_GAS   5000
#define CHUNK_BYTE_GAS    16 /* write to the database, sync and keep */
#define HASH_WORD_GAS     12 /* sha2-256, as precompile 2 */
#define VERIFY_BYTE_GAS   2  /* read, join, hash again, parse and verify */
#define FACT_SLOTS        (1 + SB_MODEL_UNIT_SLOTS)

static sb_err revert_id(struct native *n, const char *signature, const sb_hash *id)
{
    sb_u256 word = sb_u256_load_be(id->b, sizeof id->b);
    return native_revert(n, signature, &word, 1);
}

static sb_err return_hash(struct native *n, const sb_hash *hash)
{
    return native_return(n, sb_span(hash->b, sizeof hash->b));
}

/* putChunk(bytes data): bytes32 */
static sb_err put_chunk(struct native *n)
{
    sb_err err = SB_OK;
    sb_bytes data;
    if (!native_may_write(&err, n, REGISTRY_ADDR_LOW)) {
        return err;
    }
    if (sb_abi_read_bytes(&data, n->args, 0, SIZE_MAX) != SB_OK) {
        return native_bad_call(n);
    }
    if (data.len == 0 || data.len > SB_MODEL_CHUNK_BYTES_MAX) {
        sb_u256 size = sb_u256_from_u64(data.len);
        return native_revert(n, "BadChunkSize(uint256)", &size, 1);
    }
    if (!native_charge(n, HASH_WORD_GAS * sb_precompile_words(data.len) + SLOT_READ_GAS)) {
        return SB_OK;
    }
    struct sb_overlay *state = n->call->evm->state;
    sb_hash id = sb_sha256(data);
    struct sb_chunk_facts facts = sb_chunk_facts_load(state, &id);
    if (facts.size_bytes == 0) {
        if (!native_charge(n, SLOT_NEW_GAS + CHUNK_BYTE_GAS * (uint64_t)data.len)) {
            return SB_OK;
        }
        facts = (struct sb_chunk_facts){.size_bytes = data.len};
        sb_overlay_blob_put(state, &id, data);
        sb_chunk_facts_store(state, &id, &facts);
    }
    return return_hash(n, &id);
}

/* chunkInfo(bytes32 chunk): (uint64 size, uint64 references) */
static sb_err chunk_info(struct native *n)
{
    sb_hash id;
    if (sb_abi_read_word(&id, n->args, 0) != SB_OK) {
        return native_bad_call(n);
    }
    if (!native_charge(n, SLOT_READ_GAS)) {
        return SB_OK;
    }
    struct sb_chunk_facts facts = sb_chunk_facts_load(n->call->evm->state, &id);
    struct sb_buf buf;
    struct sb_abi_writer w;
    sb_buf_init(&buf, 64);
    sb_abi_begin(&w, &buf, 2);
    sb_abi_put_u64(&w, facts.size_bytes);
    sb_abi_put_u64(&w, facts.references);
    sb_abi_end(&w);
    return native_return_buf(n, &buf);
}

/* The list of chunks that finalise was given, with the size of the file that they make. */
struct parts {
    sb_bytes items; /* count words */
    uint32_t count;
    uint64_t size_bytes;
};

static sb_hash part_id(const struct parts *parts, uint32_t i)
{
    sb_hash id;
    memcpy(id.b, parts->items.data + 32 * (size_t)i, sizeof id.b);
    return id;
}

/* Sum the chunks' sizes from their facts. *ret_done: a revert or out of gas is in the result. */
static sb_err measure(struct native *n, struct parts *parts, uint64_t bytes_max, bool *ret_done)
{
    *ret_done = true;
    if (!native_charge(n, SLOT_READ_GAS * (uint64_t)parts->count)) {
        return SB_OK;
    }
    for (uint32_t i = 0; i < parts->count; i++) {
        sb_hash id = part_id(parts, i);
        uint64_t size = sb_chunk_facts_load(n->call->evm->state, &id).size_bytes;
        if (size == 0) {
            return revert_id(n, "ChunkNotFound(bytes32)", &id);
        }
        parts->size_bytes += size;
    }
    if (parts->size_bytes > bytes_max || parts->size_bytes > SB_MODEL_FILE_BYTES_MAX) {
        sb_u256 args[2] = {sb_u256_from_u64(parts->size_bytes), sb_u256_zero()};
        return native_revert(n, "ModelTooLarge(uint256,uint256)", args, 2);
    }
    *ret_done = false;
    return SB_OK;
}

static sb_err join(uint8_t *ret_file, struct native *n, const struct parts *parts)
{
    size_t filled = 0;
    for (uint32_t i = 0; i < parts->count; i++) {
        sb_hash id = part_id(parts, i);
        sb_bytes part = sb_overlay_blob(n->call->evm->state, &id);
        if (part.len == 0 || part.len > parts->size_bytes - filled) {
            return SB_E_CORRUPT; /* the facts say that it is there */
        }
        sb_copy(ret_file + filled, part.data, part.len);
        filled += part.len;
    }
    return filled == parts->size_bytes ? SB_OK : SB_E_CORRUPT;
}

/* Store the facts of a verified model and count its chunks' references. */
static void store(struct native *n, const sb_hash *id, const struct sb_model_facts *facts,
                  const struct parts *parts)
{
    struct sb_overlay *state = n->call->evm->state;
    sb_model_facts_store(state, id, facts);
    for (uint32_t i = 0; i < parts->count; i++) {
        sb_hash chunk = part_id(parts, i);
        struct sb_chunk_facts chunk_facts = sb_chunk_facts_load(state, &chunk);
        chunk_facts.references++;
        sb_chunk_facts_store(state, &chunk, &chunk_facts);
        sb_model_chunk_store(state, id, i, &chunk);
    }
}

/* Identify and verify the joined file, then store it. */
static sb_err admit(struct native *n, sb_bytes file, const struct parts *parts, uint64_t arena_max)
{
    sb_cid cid;
    struct sb_model *model = NULL;
    SB_TRY(sb_cid_of(&cid, file));
    if (sb_model_facts_load(n->call->evm->state, &cid.digest).status != SB_MODEL_ABSENT) {
        return revert_id(n, "ModelExists(bytes32)", &cid.digest);
    }
    sb_err err = sb_model_load(&model, file, NULL);
    if (err == SB_E_NOMEM) {
        return err;
    }
    if (err != SB_OK) {
        return native_revert(n, "ModelInvalid()", NULL, 0);
    }
    const struct sb_model_info *info = sb_model_info(model);
    struct sb_model_facts facts = {.status = SB_MODEL_STORED,
                                   .codec = (uint16_t)cid.codec,
                                   .verifier_version = SB_TENSOR_VERIFIER_VERSION,
                                   .size_bytes = parts->size_bytes,
                                   .arena_bytes = info->arena_bytes,
                                   .chunk_count = parts->count,
                                   .units = info->units};
    sb_model_free(model);
    if (facts.arena_bytes > arena_max) {
        sb_u256 args[2] = {sb_u256_from_u64(facts.size_bytes), sb_u256_from_u64(facts.arena_bytes)};
        return native_revert(n, "ModelTooLarge(uint256,uint256)", args, 2);
    }
    store(n, &cid.digest, &facts, parts);
    return return_hash(n, &cid.digest);
}

/* finalise(bytes32[] chunks, uint64 bytesMax, uint64 arenaBytesMax): bytes32 */
static sb_err finalise(struct native *n)
{
    sb_err err = SB_OK;
    struct parts parts = {.count = 0};
    size_t count = 0;
    uint64_t bytes_max = 0;
    uint64_t arena_max = 0;
    bool done = false;
    if (!native_may_write(&err, n, REGISTRY_ADDR_LOW)) {
        return err;
    }
    if (sb_abi_read_array(&parts.items, &count, n->args, 0, 1, CHUNK_COUNT_MAX) != SB_OK ||
        sb_abi_read_u64(&bytes_max, n->args, 1) != SB_OK ||
        sb_abi_read_u64(&arena_max, n->args, 2) != SB_OK) {
        return native_bad_call(n);
    }
    parts.count = (uint32_t)count;
    SB_TRY(measure(n, &parts, bytes_max, &done));
    uint64_t slots = FACT_SLOTS + (uint64_t)parts.count;
    if (done || !native_charge(n, VERIFY_BYTE_GAS * parts.size_bytes + SLOT_NEW_GAS * slots +
                                      SLOT_CHANGE_GAS * (uint64_t)parts.count)) {
        return SB_OK;
    }
    uint8_t *file = malloc((size_t)parts.size_bytes + 1);
    if (file == NULL) {
        return SB_E_NOMEM;
    }
    err = join(file, n, &parts);
    if (err == SB_OK) {
        err = admit(n, sb_span(file, (size_t)parts.size_bytes), &parts, arena_max);
    }
    free(file);
    return err;
}

/* Read the model id in the first word and its facts; an absent model reverts. */
static sb_err facts_of(struct sb_model_facts *ret_facts, sb_hash *ret_id, struct native *n,
                       bool *ret_done)
{
    *ret_done = true;
    if (sb_abi_read_word(ret_id, n->args, 0) != SB_OK) {
        return native_bad_call(n);
    }
    if (!native_charge(n, SLOT_READ_GAS * FACT_SLOTS)) {
        return SB_OK;
    }
    *ret_facts = sb_model_facts_load(n->call->evm->state, ret_id);
    if (ret_facts->status == SB_MODEL_ABSENT) {
        return revert_id(n, "ModelNotFound(bytes32)", ret_id);
    }
    *ret_done = false;
    return SB_OK;
}

/* setActive(bytes32 id, bool active) */
static sb_err set_active(struct native *n)
{
    sb_err err = SB_OK;
    sb_hash id;
    struct sb_model_facts facts;
    bool active = false;
    bool done = false;
    if (!native_may_write(&err, n, REGISTRY_ADDR_LOW)) {
        return err;
    }
    if (sb_abi_read_bool(&active, n->args, 1) != SB_OK) {
        return native_bad_call(n);
    }
    SB_TRY(facts_of(&facts, &id, n, &done));
    if (done || !native_charge(n, SLOT_CHANGE_GAS)) {
        return SB_OK;
    }
    facts.status = active ? SB_MODEL_ACTIVE : SB_MODEL_STORED;
    sb_model_facts_store(n->call->evm->state, &id, &facts);
    return native_return(n, sb_span(NULL, 0));
}

/* release(bytes32 id) */
static sb_err release(struct native *n)
{
    sb_err err = SB_OK;
    sb_hash id;
    struct sb_model_facts facts;
    bool done = false;
    if (!native_may_write(&err, n, REGISTRY_ADDR_LOW)) {
        return err;
    }
    SB_TRY(facts_of(&facts, &id, n, &done));
    if (done) {
        return SB_OK;
    }
    if (facts.status == SB_MODEL_ACTIVE) {
        return native_bad_call(n); /* the registry deactivates first */
    }
    uint32_t count = facts.chunk_count;
    if (!native_charge(n, SLOT_CHANGE_GAS * (FACT_SLOTS + 2 * (uint64_t)count))) {
        return SB_OK;
    }
    struct sb_overlay *state = n->call->evm->state;
    for (uint32_t i = 0; i < count; i++) {
        sb_hash chunk = sb_model_chunk_load(state, &id, i);
        struct sb_chunk_facts chunk_facts = sb_chunk_facts_load(state, &chunk);
        chunk_facts.references--;
        sb_chunk_facts_store(state, &chunk, &chunk_facts);
        sb_model_chunk_store(state, &id, i, &(sb_hash){{0}});
    }
    facts.status = SB_MODEL_ABSENT;
    sb_model_facts_store(state, &id, &facts);
    return native_return(n, sb_span(NULL, 0));
}

/* dropChunk(bytes32 chunk) */
static sb_err drop_chunk(struct native *n)
{
    sb_err err = SB_OK;
    sb_hash id;
    if (!native_may_write(&err, n, REGISTRY_ADDR_LOW)) {
        return err;
    }
    if (sb_abi_read_word(&id, n->args, 0) != SB_OK) {
        return native_bad_call(n);
    }
    if (!native_charge(n, SLOT_READ_GAS + SLOT_CHANGE_GAS)) {
        return SB_OK;
    }
    struct sb_overlay *state = n->call->evm->state;
    struct sb_chunk_facts facts = sb_chunk_facts_load(state, &id);
    if (facts.size_bytes == 0 || facts.references != 0) {
        return revert_id(n, "ChunkNotFound(bytes32)", &id);
    }
    sb_chunk_facts_store(state, &id, &(struct sb_chunk_facts){0});
    sb_overlay_blob_release(state, &id);
    return native_return(n, sb_span(NULL, 0));
}

/* model(bytes32 id): Model; all zero when absent. */
static sb_err model_view(struct native *n)
{
    sb_hash id;
    if (sb_abi_read_word(&id, n->args, 0) != SB_OK) {
        return native_bad_call(n);
    }
    if (!native_charge(n, SLOT_READ_GAS * FACT_SLOTS)) {
        return SB_OK;
    }
    struct sb_model_facts facts = sb_model_facts_load(n->call->evm->state, &id);
    struct sb_buf buf;
    struct sb_abi_writer w, t, units;
    sb_buf_init(&buf, 8192);
    sb_abi_begin(&w, &buf, 1);
    sb_abi_put_tuple(&t, &w, 7);
    sb_abi_put_u64(&t, facts.status);
    sb_abi_put_u64(&t, facts.codec);
    sb_abi_put_u64(&t, facts.verifier_version);
    sb_abi_put_u64(&t, facts.size_bytes);
    sb_abi_put_u64(&t, facts.arena_bytes);
    sb_abi_put_u64(&t, facts.chunk_count);
    sb_abi_put_array(&units, &t, SB_GAS_CLASS_COUNT, 1);
    for (size_t i = 0; i < SB_GAS_CLASS_COUNT; i++) {
        sb_abi_put_u64(&units, facts.units.count[i]);
    }
    sb_abi_end(&units);
    sb_abi_end(&t);
    sb_abi_end(&w);
    return native_return_buf(n, &buf);
}

/* Arguments (uint16 op, uint16 version) in words 0 and 1. */
static bool read_op(uint16_t *ret_op, uint16_t *ret_version, const struct native *n)
{
    uint64_t op = 0;
    uint64_t version = 0;
    if (sb_abi_read_u64(&op, n->args, 0) != SB_OK ||
        sb_abi_read_u64(&version, n->args, 1) != SB_OK || op > UINT16_MAX || version > UINT16_MAX) {
        return false;
    }
    *ret_op = (uint16_t)op;
    *ret_version = (uint16_t)version;
    return true;
}

/* setOpDisabled(uint16 op, uint16 version, bool disabled) */
static sb_err set_op_disabled(struct native *n)
{
    sb_err err = SB_OK;
    uint16_t op = 0;
    uint16_t version = 0;
    bool disabled = false;
    if (!native_may_write(&err, n, PARAMS_ADDR_LOW)) {
        return err;
    }
    if (!read_op(&op, &version, n) || sb_abi_read_bool(&disabled, n->args, 2) != SB_OK) {
        return native_bad_call(n);
    }
    if (!native_charge(n, 2 * SLOT_NEW_GAS)) {
        return SB_OK;
    }
    sb_op_set_off(n->call->evm->state, op, version, disabled);
    return native_return(n, sb_span(NULL, 0));
}

/* opDisabled(uint16 op, uint16 version): bool */
static sb_err op_disabled(struct native *n)
{
    uint16_t op = 0;
    uint16_t version = 0;
    if (!read_op(&op, &version, n)) {
        return native_bad_call(n);
    }
    if (!native_charge(n, SLOT_READ_GAS)) {
        return SB_OK;
    }
    sb_u256 off = sb_u256_from_u64(sb_op_is_off(n->call->evm->state, op, version) ? 1 : 0);
    return native_return_u256(n, &off);
}

sb_err sb_precompile_model_store(struct sb_precompile_result *ret_result,
                                 const struct sb_precompile_call *call)
{
    static const struct native_function functions[] = {
#define SB_NATIVE_MODEL_STORE(selector, signature, function) {selector, function},
#include "vm/precompile/native_functions.def"
    };
    return native_dispatch(ret_result, call, functions, sizeof functions / sizeof functions[0]);
}
