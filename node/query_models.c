/* query_models.c: the registered models (samebit_listModels, samebit_getModel, samebit_estimateInference).
 *
 *     registry 0x5b11, laid out by Solidity      ids: slot 0, array        entries: slot 1, mapping id -> Entry
 *                                                Entry: active | size u64 | owner   (one word)   name   licence   uri
 *     facts in 0x5b04 (vm/precompile/facts.h)    codec, arena, verifier
 *     Inference 0x5b01, quote(id)                gas, as it would be charged
 *     the model itself                           inputs and outputs
 *
 * All is read at the head. Spec: docs/spec/precompiles.md section 4; Solidity, "Layout of State Variables in Storage". */
#include "base/codec/abi.h"
#include "base/codec/cid.h"
#include "base/crypto/keccak.h"
#include "base/util/endian.h"
#include "node/query.h"
#include "vm/precompile/facts.h"
#include "vm/precompile/inference.h"

#define TEXT_BYTES_MAX    1024 /* the registry's own limits are below */
#define OVERLAY_BYTES_MAX ((size_t)512 << 20)
#define LISTED_BYTES_MAX  ((uint64_t)16 << 20) /* a list shows tensors of models up to this size */
#define SLOT_IDS          0
#define SLOT_ENTRIES      1
#define QUOTE_GAS         100000
#define ENTRY_OWNER_BYTE  12 /* places in the packed word, from its most significant byte */
#define ENTRY_SIZE_BYTE   4
#define ENTRY_ACTIVE_BYTE 3

static const sb_addr k_registry = {{[18] = 0x5b, [19] = 0x11}};
static const sb_addr k_inference = {{[18] = 0x5b, [19] = 0x01}};

struct reader {
    struct sb_backend *backend;
    struct sb_arena *arena;
    struct sb_backend_state state;
    struct sb_overlay *overlay;
};

static const struct sb_rpc_block_ref k_latest = {.by = SB_RPC_BY_TAG, .tag = SB_RPC_LATEST};

static sb_err reader_open(struct reader *r, struct sb_backend *b, struct sb_arena *arena)
{
    struct sb_rpc_failure ignored; /* the head has its state */
    *r = (struct reader){.backend = b, .arena = arena};
    SB_TRY(sb_backend_state_open(&r->state, b, &k_latest, &ignored));
    r->overlay = sb_overlay_new(r->state.at, sb_chain_rules(b->chain), OVERLAY_BYTES_MAX);
    if (r->overlay == NULL) {
        sb_backend_state_close(b, &r->state);
        return SB_E_NOMEM;
    }
    return SB_OK;
}

static void reader_close(struct reader *r)
{
    sb_overlay_free(r->overlay);
    sb_backend_state_close(r->backend, &r->state);
}

/* ---- Solidity's storage ---- */

static sb_hash slot_number(uint64_t number)
{
    sb_hash slot = {.b = {0}};
    be_store64(slot.b + 24, number);
    return slot;
}

static sb_hash slot_after(const sb_hash *slot, uint64_t offset)
{
    sb_u256 number = sb_u256_load_be(slot->b, sizeof slot->b);
    sb_u256 step = sb_u256_from_u64(offset);
    sb_hash after;
    number = sb_u256_add(&number, &step);
    sb_u256_store_be(after.b, &number);
    return after;
}

static sb_hash read_word(const struct reader *r, const sb_hash *slot)
{
    sb_u256 value = sb_overlay_slot(r->overlay, &k_registry, slot);
    sb_hash word;
    sb_u256_store_be(word.b, &value);
    return word;
}

static sb_hash hash_of_slot(const sb_hash *slot)
{
    return sb_keccak256(sb_span(slot->b, sizeof slot->b));
}

static sb_hash entry_slot(const sb_hash *id)
{
    uint8_t key[2 * sizeof id->b];
    sb_hash mapping = slot_number(SLOT_ENTRIES);
    memcpy(key, id->b, sizeof id->b);
    memcpy(key + sizeof id->b, mapping.b, sizeof mapping.b);
    return sb_keccak256(sb_span(key, sizeof key));
}

/* read_text: short strings stand in their own slot with twice the length in the last byte; of long ones the slot holds twice the length
 * plus one, and the text begins at keccak256(slot). */
static sb_err read_text(const char **ret_text, const struct reader *r, const sb_hash *slot)
{
    sb_hash word = read_word(r, slot);
    bool is_long = (word.b[31] & 1) != 0;
    uint64_t len = is_long ? be_load64(word.b + 24) / 2 : word.b[31] / 2u;
    if (len > TEXT_BYTES_MAX || (!is_long && len > 31)) {
        return SB_E_CORRUPT;
    }
    char *text = sb_arena_alloc(r->arena, (size_t)len + 1);
    if (text == NULL) {
        return SB_E_NOMEM;
    }
    sb_hash at = is_long ? hash_of_slot(slot) : *slot;
    for (size_t done = 0; done < len; done += sizeof word.b) {
        word = read_word(r, &at);
        size_t part = len - done < sizeof word.b ? (size_t)len - done : sizeof word.b;
        memcpy(text + done, word.b, part);
        at = slot_after(&at, 1);
    }
    text[len] = '\0';
    *ret_text = text;
    return SB_OK;
}

/* ---- one model ---- */

static sb_err copy_tensors(const struct sb_rpc_tensor_info **ret_tensors, struct sb_arena *arena,
                           const struct sb_model_io *ios, size_t count)
{
    struct sb_rpc_tensor_info *tensors = sb_arena_array(arena, count, sizeof *tensors);
    if (tensors == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        const struct sb_tensor_desc *desc = &ios[i].desc;
        uint64_t *shape = sb_arena_array(arena, desc->shape.rank, sizeof *shape);
        const uint8_t *name = sb_arena_dup(arena, sb_span(ios[i].name, strlen(ios[i].name) + 1));
        if (shape == NULL || name == NULL) {
            return SB_E_NOMEM;
        }
        for (uint32_t d = 0; d < desc->shape.rank; d++) {
            shape[d] = desc->shape.dims[d];
        }
        tensors[i] = (struct sb_rpc_tensor_info){.name = (const char *)name,
                                                 .dtype = sb_dtype_name(desc->dtype),
                                                 .shape = shape,
                                                 .rank = desc->shape.rank,
                                                 .lo = desc->lo,
                                                 .hi = desc->hi};
    }
    *ret_tensors = tensors;
    return SB_OK;
}

static sb_err read_tensors(struct sb_rpc_model *model, const struct reader *r)
{
    struct sb_inference *inference = sb_chain_inference(r->backend->chain);
    const struct sb_model *loaded;
    if (inference == NULL) {
        return SB_OK;
    }
    SB_TRY(sb_inference_model(&loaded, inference, r->overlay, &model->id));
    const struct sb_model_info *info = sb_model_info(loaded);
    sb_err err = copy_tensors(&model->inputs, r->arena, info->inputs, info->input_count);
    if (err == SB_OK) {
        err = copy_tensors(&model->outputs, r->arena, info->outputs, info->output_count);
    }
    if (err == SB_OK) {
        model->input_count = info->input_count;
        model->output_count = info->output_count;
    }
    sb_inference_release(inference, loaded);
    return err;
}

/* read_gas: asks the precompile itself, so that the figures are those which it charges. An inactive model has none. */
static sb_err read_gas(struct sb_rpc_model *model, const struct reader *r)
{
    static const atomic_bool never = false;
    uint8_t data[4 + sizeof(sb_hash)];
    be_store32(data, sb_abi_selector("quote(bytes32)"));
    memcpy(data + 4, model->id.b, sizeof model->id.b);
    const struct sb_rpc_query query = {
        .block = {.by = SB_RPC_BY_HASH, .hash = r->state.block->hash},
        .call = {.has_to = true,
                 .to = k_inference,
                 .has_gas = true,
                 .gas = QUOTE_GAS,
                 .data = sb_span(data, sizeof data)}};
    struct sb_rpc_failure refused;
    uint64_t gas_used;
    sb_bytes output;
    sb_err err = sb_query_call(r->backend, r->arena, &query, &never, &output, &gas_used, &refused);
    if (err == SB_OK && (sb_abi_read_u64(&model->gas_warm, output, 0) != SB_OK ||
                         sb_abi_read_u64(&model->gas_cold, output, 1) != SB_OK)) {
        return SB_E_CORRUPT;
    }
    return err == SB_E_ARG ? SB_OK : err;
}

static sb_err read_cid(struct sb_rpc_model *model, const struct reader *r, uint16_t codec)
{
    char *text = sb_arena_alloc(r->arena, SB_CID_TEXT_LEN + 1);
    if (text == NULL) {
        return SB_E_NOMEM;
    }
    const sb_cid cid = {.codec = codec == SB_CID_DAG_PB ? SB_CID_DAG_PB : SB_CID_RAW,
                        .digest = model->id};
    sb_cid_format(text, &cid);
    model->cid = text;
    return SB_OK;
}

/* read_model: SB_E_NOT_FOUND when the registry has no such entry. */
static sb_err read_model(struct sb_rpc_model *ret_model, const struct reader *r, const sb_hash *id,
                         uint64_t tensors_bytes_max)
{
    sb_hash slot = entry_slot(id);
    sb_hash word = read_word(r, &slot);
    struct sb_model_facts facts = sb_model_facts_load(r->overlay, id);
    if (sb_hash_is_zero(&word) || facts.status == SB_MODEL_ABSENT) {
        SB_TRY(sb_overlay_err(r->overlay));
        return SB_E_NOT_FOUND;
    }
    struct sb_rpc_model model = {.id = *id,
                                 .size_bytes = be_load64(word.b + ENTRY_SIZE_BYTE),
                                 .active = word.b[ENTRY_ACTIVE_BYTE] != 0,
                                 .arena_bytes = facts.arena_bytes,
                                 .verifier_version = facts.verifier_version};
    memcpy(model.owner.b, word.b + ENTRY_OWNER_BYTE, sizeof model.owner.b);
    sb_hash name = slot_after(&slot, 1);
    sb_hash licence = slot_after(&slot, 2);
    SB_TRY(read_text(&model.name, r, &name));
    SB_TRY(read_text(&model.licence, r, &licence));
    SB_TRY(read_cid(&model, r, facts.codec));
    SB_TRY(read_gas(&model, r));
    if (model.size_bytes <= tensors_bytes_max) {
        SB_TRY(read_tensors(&model, r));
    }
    SB_TRY(sb_overlay_err(r->overlay));
    *ret_model = model;
    return SB_OK;
}

/* ---- the table's functions ---- */

static sb_err read_list(struct sb_rpc_model *models, const struct reader *r, uint64_t first,
                        size_t count)
{
    sb_hash ids = slot_number(SLOT_IDS);
    sb_hash start = hash_of_slot(&ids);
    for (size_t i = 0; i < count; i++) {
        sb_hash place = slot_after(&start, first + i);
        sb_hash id = read_word(r, &place);
        sb_err err = read_model(&models[i], r, &id, LISTED_BYTES_MAX);
        SB_TRY(err == SB_E_NOT_FOUND ? SB_E_CORRUPT : err);
    }
    return SB_OK;
}

sb_err sb_query_models(void *ctx, struct sb_arena *arena, uint64_t offset, uint64_t limit,
                       const struct sb_rpc_model **ret_models, size_t *ret_count,
                       uint64_t *ret_total)
{
    struct reader r;
    SB_TRY(reader_open(&r, ctx, arena));
    sb_hash ids = slot_number(SLOT_IDS);
    sb_hash length = read_word(&r, &ids);
    uint64_t total = be_load64(length.b + 24);
    uint64_t left = offset < total ? total - offset : 0;
    size_t count = (size_t)(left < limit ? left : limit);
    struct sb_rpc_model *models = sb_arena_array(arena, count, sizeof *models);
    sb_err err = models == NULL ? SB_E_NOMEM : read_list(models, &r, offset, count);
    if (err == SB_OK) {
        err = sb_overlay_err(r.overlay);
    }
    reader_close(&r);
    SB_TRY(err);
    *ret_models = models;
    *ret_count = count;
    *ret_total = total;
    return SB_OK;
}

sb_err sb_query_model(void *ctx, struct sb_arena *arena, const sb_hash *id,
                      struct sb_rpc_model *ret_model)
{
    struct reader r;
    SB_TRY(reader_open(&r, ctx, arena));
    sb_err err = read_model(ret_model, &r, id, UINT64_MAX);
    reader_close(&r);
    return err;
}
