/* state_sync_headers.c: from the trusted height to the header of a snapshot, and its block; see state_sync_impl.h.
 *
 *      trusted T ----skip----> S         not enough of the trusted power: try the middle first
 *                              S -> S+1  adjacent: whose header names the set of S + 2
 *
 * One peer leads; all others that have the snapshot are asked for the same header. Who gives another one must prove it from the trusted header,
 * and is dropped when it cannot. If it can, two headers of one height are signed by enough: then nothing is believed. */
#include <inttypes.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "node/state_sync_impl.h"

#include <stdlib.h>

#define PERIOD_MS_DEFAULT ((uint64_t)168 * 3600 * 1000)
#define CLOCK_DRIFT_MS    10000

struct sync_light *sync_light_new(void)
{
    struct sync_light *light = calloc(1, sizeof *light);
    if (light != NULL) {
        sb_arena_init(&light->arena, SYNC_LIGHT_BYTES);
    }
    return light;
}

void sync_light_free(struct sync_light *light)
{
    if (light != NULL) {
        sb_arena_fini(&light->arena);
        free(light);
    }
}

/* fetch: the light block of a height, well-formed and of that height, but not judged. */
static sb_err fetch(struct sync_light *light, struct state_sync *s, struct sync_peer *peer,
                    uint64_t height)
{
    sb_bytes raw;
    struct sb_diag why = {.text = ""};
    SB_TRY(sync_ask(&raw, s, peer, SB_SNAP_LIGHT, height, sb_span(NULL, 0)));
    sb_arena_reset(&light->arena);
    const uint8_t *copy = sb_arena_dup(&light->arena, raw);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = sb_light_block_decode(&light->parts, &light->arena, sb_span(copy, raw.len), &why);
    light->source =
        (struct sb_light_source){.header = &light->parts.header, .commit = &light->parts.commit};
    if (err == SB_OK) {
        err = sb_light_block_make(&light->block, light->sigs, &s->light_chain, &light->source,
                                  &light->parts.validators, &light->parts.next_validators, &why);
    }
    if (err == SB_E_NOMEM) {
        return err;
    }
    if (err == SB_OK && light->parts.header.height != height) {
        err = sb_fail(&why, SB_E_REFUSED, "it is of another height");
    }
    if (err != SB_OK) {
        sync_accuse(s, peer, "header", why.text[0] != '\0' ? why.text : sb_err_text(err));
        return SB_E_NOT_FOUND;
    }
    if (s->headers_left > 0) {
        s->headers_left--;
        sync_moved(s);
    }
    return SB_OK;
}

/* fetch_trusted: the block that the operator trusts, by its hash. */
static sb_err fetch_trusted(struct state_sync *s, struct sync_peer *peer)
{
    SB_TRY(fetch(s->at, s, peer, s->o->trust_height));
    const struct sb_light_block_parts *parts = &s->at->parts;
    sb_hash id = sb_consensus_block_id(&parts->header);
    sb_hash set = sb_validator_set_hash(&parts->validators);
    sb_hash next = sb_validator_set_hash(&parts->next_validators);
    if (!sb_hash_equal(&id, &s->o->trust_hash)) {
        sync_accuse(s, peer, "header", "it is not the one of the trusted hash");
        return SB_E_NOT_FOUND;
    }
    if (!sb_hash_equal(&set, &parts->header.validators_hash) ||
        !sb_hash_equal(&next, &parts->header.next_validators_hash) ||
        sb_commit_verify(&parts->commit, parts->header.height, &id, &parts->validators, &s->domain,
                         &s->light_chain.verifier, NULL) != SB_OK) {
        sync_accuse(s, peer, "header", "sets or commit of the trusted header are not its own");
        return SB_E_NOT_FOUND;
    }
    return SB_OK;
}

/* judge: `to` from `from`. SB_E_LIMIT: too far for one step; SB_E_ARG: the trusted block is too old. */
static sb_err judge(struct state_sync *s, struct sync_peer *peer, const struct sync_light *from,
                    const struct sync_light *to, struct sb_diag *diag)
{
    struct sb_light_trust trust = sb_light_trust_of(&from->block);
    struct sb_light_result result = sb_light_verify(&s->codec, &s->light, &trust, &to->block,
                                                    s->o->wire.wall_ms(s->o->wire.ctx));
    if (result.verdict == SB_LIGHT_SUCCESS) {
        return SB_OK;
    }
    if (result.verdict == SB_LIGHT_NOT_ENOUGH_TRUST) {
        return SB_E_LIMIT;
    }
    if (result.reason == SB_LIGHT_EXPIRED) {
        return sb_fail(diag, SB_E_ARG,
                       "block %" PRIu64 " is too old to be trusted: take a newer one for "
                       "--trust-height and --trust-hash",
                       from->block.height);
    }
    sync_accuse(s, peer, "header", sb_light_reason_text(result.reason));
    return SB_E_NOT_FOUND;
}

static void swap(struct sync_light **a, struct sync_light **b)
{
    struct sync_light *kept = *a;
    *a = *b;
    *b = kept;
}

/* climb: at becomes the verified block of a height, next that of the one after it, all by one peer's word and the trusted hash. */
static sb_err climb(struct state_sync *s, struct sync_peer *peer, uint64_t height,
                    struct sb_diag *diag)
{
    SB_TRY(fetch_trusted(s, peer));
    uint64_t aim = height;
    while (s->at->block.height < height) {
        SB_TRY(fetch(s->next, s, peer, aim));
        sb_err err = judge(s, peer, s->at, s->next, diag);
        if (err == SB_E_LIMIT) {
            aim = s->at->block.height + (aim - s->at->block.height) / 2;
            if (aim == s->at->block.height) {
                sync_accuse(s, peer, "header", "the next block is not signed by the next set");
                return SB_E_NOT_FOUND;
            }
            continue;
        }
        SB_TRY(err);
        swap(&s->at, &s->next);
        aim = height;
    }
    SB_TRY(fetch(s->next, s, peer, height + 1));
    sb_err err = judge(s, peer, s->at, s->next, diag);
    if (err == SB_E_LIMIT) {
        sync_accuse(s, peer, "header", "the next block is not signed by the next set");
        return SB_E_NOT_FOUND;
    }
    return err;
}

/* compare: another peer's word on the same height. */
static sb_err compare(bool *ret_again, struct state_sync *s, struct sync_peer *other,
                      uint64_t height, struct sb_diag *diag)
{
    *ret_again = false;
    if (fetch(s->spare, s, other, height) != SB_OK) {
        return SB_OK;
    }
    sb_hash ours = sb_consensus_block_id(&s->at->parts.header);
    sb_hash theirs = sb_consensus_block_id(&s->spare->parts.header);
    if (sb_hash_equal(&ours, &theirs)) {
        return SB_OK;
    }
    *ret_again = true; /* at and next are lost now */
    sb_err err = climb(s, other, height, diag);
    if (err == SB_E_NOT_FOUND) {
        sync_accuse(s, other, "header", "it cannot be reached from the trusted one");
        return SB_OK;
    }
    SB_TRY(err);
    return sb_fail(diag, SB_E_REFUSED,
                   "two headers of block %" PRIu64
                   " are signed by enough of the trusted power: the "
                   "validators attack, or the trusted hash is of another chain; ask others",
                   height);
}

sb_err sync_headers(struct state_sync *s, uint64_t height, struct sb_diag *diag)
{
    s->light = (struct sb_light_options){
        .trusting_period = s->o->trust_period_ms != 0 ? s->o->trust_period_ms : PERIOD_MS_DEFAULT,
        .clock_drift = CLOCK_DRIFT_MS,
        .trust_numerator = 1,
        .trust_denominator = 3};
    struct sync_peer *leader = NULL;
    for (size_t i = 0; leader == NULL && i < SB_STATE_SYNC_PEERS_MAX; i++) {
        sb_err err = sync_offers(&s->peers[i], height) ? climb(s, &s->peers[i], height, diag)
                                                       : SB_E_NOT_FOUND;
        leader = err == SB_OK ? &s->peers[i] : NULL;
        if (err != SB_OK && err != SB_E_NOT_FOUND) {
            return err;
        }
    }
    if (leader == NULL) {
        return SB_E_NOT_FOUND;
    }
    for (size_t i = 0; i < SB_STATE_SYNC_PEERS_MAX; i++) {
        bool again = false;
        if (&s->peers[i] != leader && sync_offers(&s->peers[i], height)) {
            SB_TRY(compare(&again, s, &s->peers[i], height, diag));
        }
        if (again) {
            SB_TRY(climb(s, leader, height, diag));
        }
    }
    s->height = height;
    return SB_OK;
}

/* ---- the block ---- */

/* split: the Ethereum header, and the rest as the database keeps it. */
static sb_err split(struct state_sync *s, sb_bytes payload)
{
    struct sb_rlp in = sb_rlp_open(payload), items;
    struct sb_rlp_item header;
    SB_TRY(sb_rlp_read_list(&items, &in));
    SB_TRY(sb_rlp_read_item(&header, &items));
    size_t rest = (size_t)(items.end - items.at);
    uint8_t *body = sb_arena_alloc(&s->arena, rest + SB_RLP_HEADER_BYTES_MAX);
    if (body == NULL) {
        return SB_E_NOMEM;
    }
    size_t begin = sb_rlp_header(body, SB_RLP_LIST, rest);
    sb_copy(body + begin, items.at, rest);
    s->ethereum_header = header.raw;
    s->body = sb_span(body, begin + rest);
    return SB_OK;
}

/* block_take: these bytes are the block of the verified header, with everything that it names. */
static sb_err block_take(struct state_sync *s, sb_bytes raw, struct sb_diag *why)
{
    static const uint8_t empty_list[] = {0xc0};
    sb_bytes empty = sb_span(empty_list, sizeof empty_list);
    sb_arena_reset(&s->arena);
    const uint8_t *copy = sb_arena_dup(&s->arena, raw);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    SB_TRY(sb_consensus_block_decode(&s->block, &s->arena, sb_span(copy, raw.len), why));
    sb_hash id = sb_consensus_block_id(&s->block.header);
    sb_hash wanted = sb_consensus_block_id(&s->at->parts.header), root;
    if (!sb_hash_equal(&id, &wanted)) {
        return sb_fail(why, SB_E_REFUSED, "it is another block");
    }
    SB_TRY(sb_consensus_block_check(&s->block, why));
    SB_TRY(sb_block_decode(&s->ethereum, &s->arena, s->block.payload, why));
    SB_TRY(sb_ordered_root(&root, s->ethereum.raw_txs, s->ethereum.tx_count));
    if (!sb_hash_equal(&root, &s->ethereum.header.transactions_root) ||
        !sb_span_equal(s->ethereum.raw_uncles, empty) || !s->ethereum.has_withdrawals ||
        !sb_span_equal(s->ethereum.raw_withdrawals, empty)) {
        return sb_fail(why, SB_E_REFUSED, "its body is not the one that its header names");
    }
    s->ethereum_hash = s->block.header.payload_hash;
    return split(s, s->block.payload);
}

static sb_err receipts_take(struct state_sync *s, sb_bytes raw, struct sb_diag *why)
{
    const uint8_t *copy = sb_arena_dup(&s->arena, raw);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    struct sb_rlp in = sb_rlp_open(sb_span(copy, raw.len)), fields, list;
    size_t count = s->ethereum.tx_count;
    sb_bytes *receipts = sb_arena_array(&s->arena, count, sizeof *receipts);
    const struct sb_inference_record *records = NULL;
    size_t record_count = 0;
    sb_hash root, extension;
    if (receipts == NULL) {
        return SB_E_NOMEM;
    }
    SB_TRY(sb_rlp_read_list(&fields, &in));
    SB_TRY(sb_rlp_read_list(&list, &fields));
    for (size_t i = 0; i < count; i++) {
        SB_TRY(sb_rlp_read_bytes(&receipts[i], &list, SB_SNAP_CONTENT_BYTES_MAX));
    }
    SB_TRY(sb_rlp_end(&list));
    SB_TRY(sb_rlp_read_bytes(&s->inferences, &fields, SB_SNAP_CONTENT_BYTES_MAX));
    SB_TRY(sb_ordered_root(&root, receipts, count));
    if (s->inferences.len != 0) {
        SB_TRY(sb_inference_list_decode(&records, &record_count, &s->arena, s->inferences, why));
    }
    SB_TRY(sb_inference_root(&extension, &s->arena, records, record_count));
    if (!sb_hash_equal(&root, &s->ethereum.header.receipts_root) ||
        !sb_hash_equal(&extension, &s->block.header.extension_root)) {
        return sb_fail(why, SB_E_REFUSED, "they are not the ones that the header names");
    }
    s->receipts = receipts;
    return SB_OK;
}

/* take_from: what one peer gives of one kind. */
static sb_err take_from(struct state_sync *s, struct sync_peer *peer, enum sb_snap_what what,
                        const char *name,
                        sb_err (*take)(struct state_sync *s, sb_bytes raw, struct sb_diag *why))
{
    sb_bytes raw;
    struct sb_diag why = {.text = ""};
    SB_TRY(sync_ask(&raw, s, peer, what, s->height, sb_span(NULL, 0)));
    sb_err err = take(s, raw, &why);
    if (err != SB_OK && err != SB_E_NOMEM) {
        sync_accuse(s, peer, name, why.text[0] != '\0' ? why.text : sb_err_text(err));
        return SB_E_NOT_FOUND;
    }
    return err;
}

sb_err sync_block(struct state_sync *s)
{
    sb_err err = SB_E_NOT_FOUND;
    for (size_t i = 0; err == SB_E_NOT_FOUND && i < SB_STATE_SYNC_PEERS_MAX; i++) {
        struct sync_peer *peer = &s->peers[i];
        if (sync_offers(peer, s->height)) {
            err = take_from(s, peer, SB_SNAP_BLOCK, "block", block_take);
            if (err == SB_OK) {
                err = take_from(s, peer, SB_SNAP_RECEIPTS, "receipts", receipts_take);
            }
        }
    }
    return err;
}
