/* state_sync_past.c: the heights below the snapshot, backwards by hash, as far as evidence can reach; see state_sync_impl.h.
 *
 *      header of S --last block id--> header S - 1 --> ... --> D        evidence of D - 1 has expired at S, by blocks and by time
 *                      | evidence hash --> list --> offences that were punished already
 *                      | validators hash --> set, where it changes
 *                      | payload hash --> Ethereum header: of the last 256, which BLOCKHASH can name
 *
 * Without it a node could not judge evidence: it would not know the offence's time, its set, or whether it was punished before. So it comes
 * before the first block is executed. */
#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/util/endian.h"
#include "node/state_sync_impl.h"
#include "vm/exec/system.h"

#define RECORDS_BYTES_MAX ((size_t)64 << 20)
#define HASHES_COUNT      256
#define PARAMS_LOW        0x5b10

struct past {
    struct state_sync *s;
    struct sb_arena arena; /* of one answer */
    struct sb_arena set_arena;
    struct sb_record_list records;
    struct sb_params params; /* at S */
    uint64_t height;         /* the next one to take */
    sb_hash id;              /* of it */
    sb_hash set_hash;        /* of the height above */
    struct sb_validator_set set;
    bool is_done;
};

sb_err sync_set_put(struct sb_record_list *records, uint64_t height,
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

/* read_params: those of the state at S; of a chain without the Params contract those of genesis. */
static sb_err read_params(struct past *p)
{
    sb_addr addr = sb_system_addr(PARAMS_LOW);
    sb_hash account = sb_keccak256(sb_span(addr.b, sizeof addr.b));
    struct sb_params params = {.gas_limit = 0};
    uint64_t slot = 0;
    sb_u256 value;
    uint8_t key[32];
#define SB_PARAM(field, json_name, default_value, min, max, text)                                  \
    memset(key, 0, sizeof key);                                                                    \
    be_store64(key + 24, slot++);                                                                  \
    sb_hash hash_##field = sb_keccak256(sb_span(key, sizeof key));                                 \
    SB_TRY(sb_restore_slot(&value, p->s->restore, &account, &hash_##field));                       \
    params.field = sb_u256_sat_u64(&value);
#include "base/types/params.def"
#undef SB_PARAM
    p->params = params.gas_limit != 0 ? params : p->s->o->genesis->params;
    return SB_OK;
}

static sb_err offences_put(struct past *p, sb_bytes raw, uint64_t height)
{
    struct sb_rlp in = sb_rlp_open(raw), list;
    SB_TRY(sb_rlp_read_list(&list, &in));
    while (!sb_rlp_done(&list)) {
        struct sb_rlp_item item;
        struct sb_evidence evidence;
        SB_TRY(sb_rlp_read_item(&item, &list));
        SB_TRY(sb_evidence_decode(&evidence, item.raw, NULL));
        SB_TRY(sb_evidence_committed_put(&p->records, &evidence, height));
    }
    return SB_OK;
}

/* set_take: the set of this height is another than that of the height above. */
static sb_err set_take(struct past *p, const struct sb_consensus_header *header, sb_bytes raw)
{
    struct sb_validator_set set;
    if (sb_hash_equal(&header->validators_hash, &p->set_hash)) {
        return raw.len == 0 ? SB_OK : SB_E_REFUSED;
    }
    SB_TRY(sync_set_put(&p->records, p->height + 1, &p->set));
    sb_arena_reset(&p->set_arena);
    const uint8_t *copy = sb_arena_dup(&p->set_arena, raw);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    SB_TRY(sb_validator_set_decode(&set, &p->set_arena, sb_span(copy, raw.len), NULL));
    sb_hash hash = sb_validator_set_hash(&set);
    if (!sb_hash_equal(&hash, &header->validators_hash)) {
        return SB_E_REFUSED;
    }
    p->set = set;
    p->set_hash = hash;
    return SB_OK;
}

/* item_take: one height; every part of it must be what the header names, and the header what the one above names. */
static sb_err item_take(struct past *p, const struct sb_snap_past *item, struct sb_diag *why)
{
    struct state_sync *s = p->s;
    struct sb_chain_past past = {.evidence = item->evidence};
    const struct sb_consensus_header *above = &s->at->parts.header;
    sb_hash id = sb_keccak256(item->header), evidence = sb_keccak256(item->evidence);
    if (!sb_hash_equal(&id, &p->id)) {
        return sb_fail(why, SB_E_REFUSED, "a header is not the one that the next header names");
    }
    SB_TRY(sb_consensus_header_decode(&past.header, item->header, why));
    if (!sb_hash_equal(&evidence, &past.header.evidence_hash)) {
        return sb_fail(why, SB_E_REFUSED, "evidence is not the one that the header names");
    }
    bool expired = s->height - p->height > p->params.evidence_age_blocks_max &&
                   above->time_ms - past.header.time_ms > p->params.evidence_age_ms_max;
    bool hashed = s->height - p->height < HASHES_COUNT;
    if (expired && !hashed) {
        p->is_done = true;
        return SB_OK;
    }
    if (hashed) {
        sb_hash hash = sb_keccak256(item->ethereum);
        if (!sb_hash_equal(&hash, &past.header.payload_hash)) {
            return sb_fail(why, SB_E_REFUSED, "an Ethereum header is not the one of its block");
        }
        SB_TRY(sb_restore_header(s->restore, p->height, item->ethereum, why));
    }
    sb_err err = set_take(p, &past.header, item->set);
    if (err != SB_OK) {
        return sb_fail(why, err, "a validator set is not the one that the header names");
    }
    SB_TRY(offences_put(p, item->evidence, p->height));
    SB_TRY(sb_chain_past_put(&p->records, p->height, &past));
    p->id = past.header.last_block_id;
    p->height--;
    s->past_count++;
    p->is_done = p->height == 0;
    return SB_OK;
}

/* answer_take: a list of heights, written as far as it goes. */
static sb_err answer_take(struct past *p, sb_bytes content, struct sb_diag *why)
{
    struct sb_rlp in = sb_rlp_open(content), list;
    sb_arena_reset(&p->arena);
    p->records = (struct sb_record_list){.arena = &p->arena};
    if (sb_rlp_read_list(&list, &in) != SB_OK || sb_rlp_end(&in) != SB_OK || sb_rlp_done(&list)) {
        return sb_fail(why, SB_E_REFUSED, "it does not decode");
    }
    while (!sb_rlp_done(&list) && !p->is_done) {
        struct sb_snap_past item;
        if (sb_snap_past_read(&item, &list) != SB_OK) {
            return sb_fail(why, SB_E_REFUSED, "it does not decode");
        }
        SB_TRY(item_take(p, &item, why));
    }
    if (p->is_done) {
        SB_TRY(sync_set_put(&p->records, p->height + 1, &p->set));
    }
    return sb_store_record_write(sb_restore_store(p->s->restore), p->records.items,
                                 p->records.count, why);
}

/* ask_from: as much as one peer gives. A peer need not have the snapshot for that. */
static sb_err ask_from(struct past *p, struct sync_peer *peer)
{
    struct state_sync *s = p->s;
    while (!p->is_done) {
        struct sb_diag why = {.text = ""};
        sb_bytes content;
        bool hashed = s->height - p->height < HASHES_COUNT;
        SB_TRY(sync_ask(&content, s, peer, SB_SNAP_PAST, p->height,
                        hashed ? sb_span_str("e") : sb_span(NULL, 0)));
        sb_err err = answer_take(p, content, &why);
        if (err == SB_E_NOMEM || err == SB_E_IO) {
            return err;
        }
        if (err != SB_OK) {
            sync_accuse(s, peer, "past", why.text[0] != '\0' ? why.text : sb_err_text(err));
            return SB_E_NOT_FOUND;
        }
        if (p->height < s->past_lowest) {
            s->past_lowest = p->height;
            sync_moved(s);
        }
    }
    return SB_OK;
}

static void begin(struct past *p)
{
    const struct sb_consensus_header *header = &p->s->at->parts.header;
    p->height = p->s->height - 1;
    p->id = header->last_block_id;
    p->set_hash = header->validators_hash;
    p->set = p->s->at->parts.validators;
    p->is_done = p->height == 0;
    p->s->past_count = 0;
}

sb_err sync_past(struct state_sync *s)
{
    struct past p = {.s = s};
    sb_arena_init(&p.arena, RECORDS_BYTES_MAX);
    sb_arena_init(&p.set_arena, SYNC_LIGHT_BYTES);
    sb_err err = read_params(&p);
    bool any = false;
    for (size_t i = 0; err == SB_OK && !any && i < SB_STATE_SYNC_PEERS_MAX; i++) {
        struct sync_peer *peer = &s->peers[i];
        if (!peer->is_used || peer->is_out) {
            continue;
        }
        begin(&p); /* what a liar gave before it was caught is written again */
        err = p.is_done ? SB_OK : ask_from(&p, peer);
        any = err == SB_OK;
        err = err == SB_E_NOT_FOUND ? SB_OK : err;
    }
    sb_arena_fini(&p.arena);
    sb_arena_fini(&p.set_arena);
    return err == SB_OK && !any ? SB_E_NOT_FOUND : err;
}
