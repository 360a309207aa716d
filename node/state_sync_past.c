/* state_sync_past.c: the heights below the snapshot (past.h): those that BLOCKHASH can name, before the first block is executed; the rest, as
 * far as evidence can reach, now or by the running node (backfill.h); see state_sync_impl.h. */
#include "base/crypto/keccak.h"
#include "base/util/endian.h"
#include "node/past.h"
#include "node/state_sync_impl.h"
#include "vm/exec/system.h"

#define HASHES_COUNT     256
#define PARAMS_LOW       0x5b10
#define HEADER_BYTES_MAX 4096

/* read_slot: of the Params contract in the state at S. */
static sb_err read_slot(uint64_t *ret_value, struct state_sync *s, uint64_t slot)
{
    sb_addr addr = sb_system_addr(PARAMS_LOW);
    sb_hash account = sb_keccak256(sb_span(addr.b, sizeof addr.b));
    uint8_t key[32] = {0};
    sb_u256 value;
    be_store64(key + sizeof key - sizeof slot, slot);
    sb_hash hash = sb_keccak256(sb_span(key, sizeof key));
    SB_TRY(sb_restore_slot(&value, s->restore, &account, &hash));
    *ret_value = sb_u256_sat_u64(&value);
    return SB_OK;
}

/* read_params: those of the state at S; of a chain without the Params contract those of genesis. */
static sb_err read_params(struct sb_params *ret_params, struct state_sync *s)
{
    struct sb_params params = {.gas_limit = 0};
    uint64_t slot = 0;
#define SB_PARAM(field, json_name, default_value, min, max, text)                                  \
    SB_TRY(read_slot(&params.field, s, slot++));
#include "base/types/params.def"
#undef SB_PARAM
    SB_TRY(read_slot(&params.evidence_height_min, s, SB_PARAMS_SLOT_EVIDENCE_HEIGHT_MIN));
    SB_TRY(read_slot(&params.evidence_time_min_ms, s, SB_PARAMS_SLOT_EVIDENCE_TIME_MIN_MS));
    *ret_params = params.gas_limit != 0 ? params : s->o->genesis->params;
    return SB_OK;
}

static sb_err ethereum_put(void *ctx, uint64_t height, sb_bytes header, struct sb_diag *diag)
{
    struct state_sync *s = ctx;
    return sb_restore_header(s->restore, height, header, diag);
}

/* genesis_put: block 0 is a height like the others below to BLOCKHASH and to the randomness of block 1. */
static sb_err genesis_put(struct state_sync *s, struct sb_diag *diag)
{
    struct sb_header header;
    struct sb_buf buf;
    if (s->height > HASHES_COUNT) {
        return SB_OK;
    }
    SB_TRY(sb_genesis_header(&header, s->o->genesis));
    sb_buf_init(&buf, HEADER_BYTES_MAX);
    sb_header_encode(&buf, &header);
    sb_err err = sb_buf_err(&buf);
    if (err == SB_OK) {
        err = sb_restore_header(s->restore, 0, sb_buf_bytes(&buf), diag);
    }
    sb_buf_fini(&buf);
    return err;
}

static bool is_enough(const struct state_sync *s, const struct sb_past *past)
{
    return past->is_done || (s->o->past_later && !sb_past_wants_ethereum(past));
}

/* ask_from: as much as one peer gives. A peer need not have the snapshot for that. */
static sb_err ask_from(struct state_sync *s, struct sb_past *past, struct sync_peer *peer)
{
    while (!is_enough(s, past)) {
        struct sb_diag why = {.text = ""};
        sb_bytes content;
        sb_bytes flag = sb_past_wants_ethereum(past) ? sb_span_str("e") : sb_span(NULL, 0);
        SB_TRY(sync_ask(&content, s, peer, SB_SNAP_PAST, past->height, flag));
        sb_err err = sb_past_take(past, content, &why);
        if (err == SB_E_NOMEM || err == SB_E_IO) {
            return err;
        }
        if (err != SB_OK) {
            sync_accuse(s, peer, "past", why.text[0] != '\0' ? why.text : sb_err_text(err));
            return SB_E_NOT_FOUND;
        }
        SB_TRY(sb_store_record_write(sb_restore_store(s->restore), past->records.items,
                                     past->records.count, &why));
        if (past->height < s->past_lowest) {
            s->past_lowest = past->height;
            sync_moved(s);
        }
    }
    s->past_count = s->height - 1 - past->height;
    return SB_OK;
}

static sb_err begin(struct sb_past *past, struct state_sync *s, const struct sb_params *params)
{
    const struct sb_consensus_header *header = &s->at->parts.header;
    const struct sb_past_limit limit = {
        .height = s->height, .time_ms = header->time_ms, .params = *params};
    past->ethereum_from = s->height > HASHES_COUNT ? s->height - (HASHES_COUNT - 1) : 1;
    past->ethereum = ethereum_put;
    past->ctx = s;
    return sb_past_begin(past, header, &s->at->parts.validators, &limit);
}

sb_err sync_past(struct state_sync *s)
{
    struct sb_past past = {.ctx = s};
    struct sb_params params;
    struct sb_diag diag = {.text = ""};
    SB_TRY(read_params(&params, s));
    sb_err err = genesis_put(s, &diag);
    bool any = false;
    for (size_t i = 0; err == SB_OK && !any && i < SB_STATE_SYNC_PEERS_MAX; i++) {
        struct sync_peer *peer = &s->peers[i];
        if (!peer->is_used || peer->is_out) {
            continue;
        }
        err = begin(&past, s, &params); /* what came before it lied or left is written again */
        err = err == SB_OK ? ask_from(s, &past, peer) : err;
        any = err == SB_OK;
        err = err == SB_E_NOT_FOUND ? SB_OK : err;
    }
    sb_past_end(&past);
    return err == SB_OK && !any ? SB_E_NOT_FOUND : err;
}
