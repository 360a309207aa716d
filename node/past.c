/* past.c: see past.h. */
#include "node/past.h"

#include "base/crypto/keccak.h"
#include "node/chain_impl.h"
#include "node/snap_message.h"

#define RECORDS_BYTES_MAX ((size_t)64 << 20)
#define SET_BYTES_MAX     ((size_t)4 << 20)

/* ---- sets ---- */

sb_err sb_past_set_put(struct sb_record_list *records, uint64_t height,
                       const struct sb_validator_set *set)
{
    uint8_t key[SB_CHAIN_ROTATION_KEY_BYTES];
    struct sb_buf buf;
    sb_chain_set_key(key, height);
    sb_buf_init(&buf, SB_LIGHT_BLOCK_BYTES_MAX);
    sb_validator_set_encode(&buf, set);
    sb_err err = sb_buf_err(&buf);
    if (err == SB_OK) {
        err = sb_record_list_put(records, sb_span(key, sizeof key), sb_buf_bytes(&buf));
    }
    sb_buf_fini(&buf);
    return err;
}

/* set_keep: a set of its own, decoded from a copy of these bytes. */
static sb_err set_keep(struct sb_past *past, sb_bytes raw)
{
    sb_arena_reset(&past->set_arena);
    const uint8_t *copy = sb_arena_dup(&past->set_arena, raw);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    SB_TRY(sb_validator_set_decode(&past->set, &past->set_arena, sb_span(copy, raw.len), NULL));
    past->set_hash = sb_validator_set_hash(&past->set);
    return SB_OK;
}

/* set_take: the set of this height, if it is another than that of the height above. The record of the set that an answer ends with stands at
 * its lowest height; when the next answer goes on with the same set, that record goes down with it. */
static sb_err set_take(struct sb_past *past, const struct sb_consensus_header *header, sb_bytes raw,
                       bool is_first)
{
    if (!sb_hash_equal(&header->validators_hash, &past->set_hash)) {
        SB_TRY(sb_past_set_put(&past->records, past->height + 1, &past->set));
        SB_TRY(set_keep(past, raw));
        return sb_hash_equal(&past->set_hash, &header->validators_hash) ? SB_OK : SB_E_REFUSED;
    }
    if (is_first) {
        uint8_t key[SB_CHAIN_ROTATION_KEY_BYTES];
        sb_chain_set_key(key, past->height + 1);
        SB_TRY(sb_record_list_remove(&past->records, sb_span(key, sizeof key)));
    }
    return raw.len == 0 ? SB_OK : SB_E_REFUSED;
}

/* ---- heights ---- */

static sb_err offences_put(struct sb_past *past, sb_bytes raw)
{
    struct sb_rlp in = sb_rlp_open(raw), list;
    SB_TRY(sb_rlp_read_list(&list, &in));
    while (!sb_rlp_done(&list)) {
        struct sb_rlp_item item;
        struct sb_evidence evidence;
        SB_TRY(sb_rlp_read_item(&item, &list));
        SB_TRY(sb_evidence_decode(&evidence, item.raw, NULL));
        SB_TRY(sb_evidence_committed_put(&past->records, &evidence, past->height));
    }
    return SB_OK;
}

bool sb_past_wants_ethereum(const struct sb_past *past)
{
    return past->ethereum != NULL && past->height >= past->ethereum_from;
}

static bool has_expired(const struct sb_past_limit *limit, const struct sb_consensus_header *header)
{
    return sb_params_old_by_blocks(&limit->params, header->height, limit->height) &&
           sb_params_old_by_time(&limit->params, header->time_ms, limit->time_ms);
}

/* item_take: one height; every part of it must be what the header names, and the header what the one above names. */
static sb_err item_take(struct sb_past *past, const struct sb_snap_past *item, bool is_first,
                        struct sb_diag *why)
{
    struct sb_chain_past known = {.evidence = item->evidence};
    const struct sb_consensus_header *header = &known.header;
    sb_hash id = sb_keccak256(item->header), evidence = sb_keccak256(item->evidence);
    if (!sb_hash_equal(&id, &past->id)) {
        return sb_fail(why, SB_E_REFUSED, "a header is not the one that the next header names");
    }
    SB_TRY(sb_consensus_header_decode(&known.header, item->header, why));
    if (!sb_hash_equal(&evidence, &header->evidence_hash)) {
        return sb_fail(why, SB_E_REFUSED, "evidence is not the one that the header names");
    }
    if (sb_past_wants_ethereum(past)) {
        sb_hash hash = sb_keccak256(item->ethereum);
        if (!sb_hash_equal(&hash, &header->payload_hash)) {
            return sb_fail(why, SB_E_REFUSED, "an Ethereum header is not the one of its block");
        }
        SB_TRY(past->ethereum(past->ctx, past->height, item->ethereum, why));
    }
    sb_err err = set_take(past, header, item->set, is_first);
    if (err != SB_OK) {
        return sb_fail(why, err, "a validator set is not the one that the header names");
    }
    SB_TRY(offences_put(past, item->evidence));
    SB_TRY(sb_chain_past_put(&past->records, past->height, &known));
    past->id = header->last_block_id;
    past->height--;
    past->is_done =
        past->height == 0 || (has_expired(&past->limit, header) && !sb_past_wants_ethereum(past));
    return SB_OK;
}

sb_err sb_past_take(struct sb_past *past, sb_bytes content, struct sb_diag *why)
{
    struct sb_rlp in = sb_rlp_open(content), list;
    sb_arena_reset(&past->arena);
    past->records = (struct sb_record_list){.arena = &past->arena};
    if (sb_rlp_read_list(&list, &in) != SB_OK || sb_rlp_end(&in) != SB_OK || sb_rlp_done(&list)) {
        return sb_fail(why, SB_E_REFUSED, "it does not decode");
    }
    for (bool is_first = true; !sb_rlp_done(&list) && !past->is_done; is_first = false) {
        struct sb_snap_past item;
        if (sb_snap_past_read(&item, &list) != SB_OK) {
            return sb_fail(why, SB_E_REFUSED, "it does not decode");
        }
        SB_TRY(item_take(past, &item, is_first, why));
    }
    return sb_past_set_put(&past->records, past->height + 1, &past->set);
}

/* ---- life ---- */

sb_err sb_past_begin(struct sb_past *past, const struct sb_consensus_header *above,
                     const struct sb_validator_set *set, const struct sb_past_limit *limit)
{
    struct sb_buf buf;
    sb_past_end(past);
    sb_arena_init(&past->arena, RECORDS_BYTES_MAX);
    sb_arena_init(&past->set_arena, SET_BYTES_MAX);
    past->records = (struct sb_record_list){.arena = &past->arena};
    past->limit = *limit;
    past->height = above->height - 1;
    past->id = above->last_block_id;
    past->is_done = past->height == 0;
    sb_buf_init(&buf, SB_LIGHT_BLOCK_BYTES_MAX);
    sb_validator_set_encode(&buf, set);
    sb_err err = sb_buf_err(&buf);
    if (err == SB_OK) {
        err = set_keep(past, sb_buf_bytes(&buf));
    }
    sb_buf_fini(&buf);
    return err;
}

void sb_past_end(struct sb_past *past)
{
    sb_arena_fini(&past->arena);
    sb_arena_fini(&past->set_arena);
}
