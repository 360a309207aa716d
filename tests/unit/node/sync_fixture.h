/* sync_fixture.h: a state sync in this process, from the snapshots of one chain, by one honest peer.
 *
 *      sync_from(&source, ...) -> an empty folder becomes the database of a node that began at the newest snapshot */
#ifndef SB_TESTS_UNIT_NODE_SYNC_FIXTURE_H
#define SB_TESTS_UNIT_NODE_SYNC_FIXTURE_H

#include "node/snap_answer.h"
#include "node/state_sync.h"
#include "storage/snapshot.h"
#include "tests/unit/node/chain_fixture.h"

#define SYNC_PACKETS_MAX 256

struct sync_packet {
    uint8_t *bytes;
    size_t len;
};

struct sync_peer_of {
    const struct sb_snap_source *source;
    size_t past_max;  /* heights in an answer about the past; 0: as many as the server gives */
    bool hides_blobs; /* it says that there are none */
    size_t reports;
    uint64_t wall_ms, now_ms;
    bool is_told;
    struct sync_packet packets[SYNC_PACKETS_MAX];
    size_t first, count;
    uint8_t *shown; /* what the last event borrows */
};

/* sync_shorten: leave some heights of an answer about the past, so that there is more to ask. */
static inline void sync_shorten(struct sb_buf *content, size_t count_max)
{
    struct sb_rlp in = sb_rlp_open(sb_buf_bytes(content)), list;
    struct sb_buf out;
    sb_buf_init(&out, SB_SNAP_CONTENT_BYTES_MAX);
    size_t mark = sb_rlp_list_begin(&out);
    assert_int_equal(sb_rlp_read_list(&list, &in), SB_OK);
    for (size_t i = 0; i < count_max && !sb_rlp_done(&list); i++) {
        struct sb_rlp_item item;
        assert_int_equal(sb_rlp_read_item(&item, &list), SB_OK);
        sb_rlp_put_raw(&out, item.raw);
    }
    sb_rlp_list_end(&out, mark);
    sb_buf_reset(content);
    sb_buf_add(content, out.data, out.len);
    sb_buf_fini(&out);
}

static inline bool sync_wire_send(void *ctx, sb_peer peer, sb_bytes message)
{
    struct sync_peer_of *p = ctx;
    struct sb_snap_message question;
    struct sb_buf content, out;
    (void)peer;
    assert_true(p->count < SYNC_PACKETS_MAX);
    assert_int_equal(sb_snap_message_decode(&question, message), SB_OK);
    sb_buf_init(&content, SB_SNAP_CONTENT_BYTES_MAX);
    sb_buf_init(&out, 2 * SB_SNAP_CONTENT_BYTES_MAX);
    bool found = sb_snap_answer(&content, p->source, &question) == SB_OK;
    if (found && question.what == SB_SNAP_PAST && p->past_max != 0) {
        sync_shorten(&content, p->past_max);
    }
    if (found && question.what == SB_SNAP_BLOBS && p->hides_blobs) {
        sb_buf_reset(&content);
    }
    struct sb_snap_message answer = {.is_answer = true, .id = question.id, .found = found};
    if (found) {
        answer.bytes = sb_buf_bytes(&content);
    }
    sb_snap_message_encode(&out, &answer);
    p->packets[(p->first + p->count++) % SYNC_PACKETS_MAX] =
        (struct sync_packet){.bytes = out.data, .len = out.len}; /* its memory goes with it */
    sb_buf_fini(&content);
    return true;
}

static inline void sync_wire_wait(void *ctx, struct sb_state_sync_event *ret, uint64_t timeout_ms)
{
    struct sync_peer_of *p = ctx;
    *ret = (struct sb_state_sync_event){.kind = SB_STATE_SYNC_NOTHING, .peer = 1};
    free(p->shown);
    p->shown = NULL;
    if (!p->is_told) {
        p->is_told = true;
        ret->kind = SB_STATE_SYNC_UP;
        return;
    }
    if (p->count == 0) {
        p->now_ms += timeout_ms;
        return;
    }
    struct sync_packet *packet = &p->packets[p->first];
    p->first = (p->first + 1) % SYNC_PACKETS_MAX;
    p->count--;
    p->shown = packet->bytes;
    ret->kind = SB_STATE_SYNC_MESSAGE;
    ret->message = sb_span(packet->bytes, packet->len);
}

static inline void sync_wire_report(void *ctx, sb_peer peer, enum sb_offence offence,
                                    const char *why)
{
    struct sync_peer_of *p = ctx;
    (void)peer;
    (void)offence;
    p->reports++;
    if (!p->hides_blobs) {
        fail_msg("an honest peer is reported: %s", why);
    }
}

static inline uint64_t sync_wire_now(void *ctx)
{
    return ((const struct sync_peer_of *)ctx)->now_ms;
}

static inline uint64_t sync_wire_wall(void *ctx)
{
    return ((const struct sync_peer_of *)ctx)->wall_ms;
}

/* sync_try: a state sync from this peer; block 1 of its chain is the trusted one. */
static inline sb_err sync_try(struct sb_state_sync_report *ret_report, struct fixture *f,
                              struct sync_peer_of *p, const char *db_dir, bool past_later)
{
    struct sb_chain_past first;
    assert_int_equal(sb_chain_past(&first, &f->arena, p->source->chain, 1), SB_OK);
    const struct sb_state_sync_options options = {.db_dir = db_dir,
                                                  .genesis = sb_chain_genesis(p->source->chain),
                                                  .wire = {.ctx = p,
                                                           .send = sync_wire_send,
                                                           .wait = sync_wire_wait,
                                                           .report = sync_wire_report,
                                                           .monotonic_ms = sync_wire_now,
                                                           .wall_ms = sync_wire_wall},
                                                  .trust_height = 1,
                                                  .trust_hash =
                                                      sb_consensus_block_id(&first.header),
                                                  .past_later = past_later,
                                                  .log = f->log};
    p->wall_ms = f->now_ms;
    sb_err err = sb_state_sync(ret_report, &options, &f->diag);
    for (; p->count > 0; p->count--, p->first = (p->first + 1) % SYNC_PACKETS_MAX) {
        free(p->packets[p->first].bytes);
    }
    free(p->shown);
    p->shown = NULL;
    return err;
}

/* sync_from: likewise from an honest peer, which must do. */
static inline void sync_from(struct sb_state_sync_report *ret_report, struct fixture *f,
                             const struct sb_snap_source *source, const char *db_dir,
                             size_t past_max, bool past_later)
{
    struct sync_peer_of *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->source = source;
    p->past_max = past_max;
    fixture_check(f, sync_try(ret_report, f, p, db_dir, past_later));
    free(p);
}

#endif
