/* replica_sync.c: block sync joined to the node: when it runs, what it asks, how its blocks are committed, what others are given.
 * See replica_impl.h and sync.h; spec: docs/spec/gossip.md, section 4.
 *
 *      WAITING  --- heights heard, nobody is ahead by more than one --->  CONSENSUS
 *          |                                                               |     ^
 *          +--- somebody is ---> SYNC <--- the last block came from a peer-+     |
 *                                  |       that has more: it proved it           |
 *                                  +--- nobody is ahead by more than one, -------+
 *                                       or no block came for STALL_MS,
 *                                       or the head is fresh and follows the chain
 *
 * In CONSENSUS a claim alone stops nothing: the block of head + 1 is asked for beside the votes, and when it comes with its commit it
 * decides the height. So a liar cannot make a validator stop voting, and a node that fell behind finds its way. Nor can liars that come
 * one after another keep a starting validator in sync while the chain moves: the time of the head against the own clock shows that there
 * is no more to fetch. The clock decides about nothing but who is asked for the next block, and when. */
#include <inttypes.h>

#include "node/replica_impl.h"

#define ACTIONS_MAX   64
#define LOG_PERIOD_MS 5000
/* A peer is reported as slow at most so often: less than what is forgiven meanwhile, so that slowness alone bans nobody. */
#define SLOW_PERIOD_MS 60000
/* So long without a block, and sync ends, whatever peers claim: if they are ahead, their next block will prove it. */
#define STALL_MS 20000

/* A head whose time is so near to the own clock is fresh; one whose age has not shrunk by a sixteenth for FOLLOW_MS follows the chain. */
#define FRESH_MS     10000
#define FRESH_SHRINK 16
#define FOLLOW_MS    5000

static uint64_t age_of_head(const struct sb_replica *replica)
{
    const struct sb_application *app = replica->options.app;
    uint64_t time = app->head(app->ctx).time_ms;
    uint64_t wall = replica->options.host.wall_ms(replica->options.host.ctx);
    return wall > time ? wall - time : time - wall;
}

/* follows_chain: fresh, and catching up no more: what peers claim to have beyond it cannot be there for long. */
static bool follows_chain(struct sb_replica *replica)
{
    uint64_t now = sb_replica_now(replica);
    uint64_t age = age_of_head(replica);
    if (age > FRESH_MS || age < replica->sync_age_ms - replica->sync_age_ms / FRESH_SHRINK) {
        replica->sync_age_ms = age;
        replica->sync_age_at_ms = now;
    }
    return age <= FRESH_MS && now - replica->sync_age_at_ms >= FOLLOW_MS;
}

/* was_at_tip: sync ended because the head followed the chain, and it is fresh still: claims alone begin no other. */
static bool was_at_tip(struct sb_replica *replica)
{
    replica->at_tip = replica->at_tip && age_of_head(replica) <= FRESH_MS;
    return replica->at_tip;
}

static void enter(struct sb_replica *replica, enum replica_mode mode)
{
    uint64_t now = sb_replica_now(replica);
    uint64_t head = sb_replica_head(replica);
    if (mode == MODE_SYNC) {
        replica->sync_begun_at = head;
        replica->sync_begun_ms = now;
        replica->sync_logged_ms = now;
        replica->sync_logged_head = head;
        replica->sync_age_ms = UINT64_MAX;
        replica->sync_age_at_ms = now;
        sb_log(replica->options.log, SB_LOG_INFO, "sync", "peers are ahead",
               SB_LOG_U64("height", head), SB_LOG_U64("target", sb_sync_target(replica->sync)),
               SB_LOG_END);
    } else if (replica->mode == MODE_SYNC) {
        sb_log(replica->options.log, SB_LOG_INFO, "sync", "at the head", SB_LOG_U64("height", head),
               SB_LOG_U64("blocks", head - replica->sync_begun_at),
               SB_LOG_U64("ms", now - replica->sync_begun_ms), SB_LOG_END);
        replica->ask_due = true;
    }
    replica->mode = mode;
}

static bool is_stalled(const struct sb_replica *replica)
{
    uint64_t begun = replica->sync_begun_ms;
    uint64_t since = replica->commit_ms > begun ? replica->commit_ms : begun;
    return sb_replica_now(replica) - since >= STALL_MS;
}

void sb_replica_sync_mode(struct sb_replica *replica)
{
    uint64_t head = sb_replica_head(replica);
    bool is_behind = sb_sync_target(replica->sync) > head + 1;
    switch (replica->mode) {
    case MODE_WAITING:
        if (sb_replica_now(replica) >= replica->wait_until_ms) {
            enter(replica, is_behind ? MODE_SYNC : MODE_CONSENSUS);
        }
        break;
    case MODE_CONSENSUS:
        if (is_behind && replica->synced_last && !sb_replica_is_begun(replica) &&
            !was_at_tip(replica)) {
            enter(replica, MODE_SYNC);
        }
        break;
    case MODE_SYNC:
        replica->at_tip = is_behind && follows_chain(replica);
        if (!is_behind || replica->at_tip || is_stalled(replica)) {
            enter(replica, MODE_CONSENSUS);
            replica->synced_last = replica->synced_last && !is_behind;
        }
        break;
    case MODE_HALTED:
        break;
    }
    sb_sync_mode(replica->sync, replica->mode == MODE_SYNC ? SB_SYNC_FULL : SB_SYNC_SINGLE);
}

void sb_replica_sync_committed(struct sb_replica *replica)
{
    sb_sync_head(replica->sync, sb_replica_head(replica));
    replica->lag_since_ms = 0;
    replica->sync_due = true;
}

/* ---- asking ---- */

/* may_ask: in sync always; beside consensus when peers have been ahead for a while and nothing else has brought the block. */
static bool may_ask(struct sb_replica *replica)
{
    uint64_t now = sb_replica_now(replica);
    if (replica->mode == MODE_SYNC) {
        return true;
    }
    if (replica->mode != MODE_CONSENSUS ||
        sb_sync_target(replica->sync) <= sb_replica_head(replica)) {
        replica->lag_since_ms = 0;
        return false;
    }
    if (replica->lag_since_ms == 0) {
        replica->lag_since_ms = now;
    }
    return now - replica->lag_since_ms >= sb_replica_resend_ms(replica) / 2;
}

static void act(struct sb_replica *replica, const struct sb_sync_action *action)
{
    struct gossip_peer *peer = sb_gossip_find(replica, action->peer);
    if (peer == NULL) {
        return;
    }
    if (action->type == SB_SYNC_SLOW) {
        uint64_t now = sb_replica_now(replica);
        if (peer->slow_ms != 0 && now - peer->slow_ms < SLOW_PERIOD_MS) {
            return;
        }
        peer->slow_ms = now;
        sb_replica_report(replica, peer, SB_OFFENCE_SLOW,
                          "does not deliver the blocks that it announces");
        return;
    }
    struct sb_message m = {.kind = SB_MESSAGE_SYNC_REQUEST, .as.sync_height = action->height};
    if (!sb_gossip_send_message(replica, peer, &m)) {
        sb_sync_unsent(replica->sync, action->peer, action->height);
    }
}

static void ask(struct sb_replica *replica)
{
    struct sb_sync_action actions[ACTIONS_MAX];
    sb_sync_forgive(replica->sync, sb_replica_now(replica));
    if (!may_ask(replica)) {
        return;
    }
    size_t count = sb_sync_poll(replica->sync, actions, ACTIONS_MAX, sb_replica_now(replica));
    for (size_t i = 0; i < count; i++) {
        act(replica, &actions[i]);
    }
}

/* ---- committing ---- */

static sb_err commit_next(bool *ret_moved, struct sb_replica *replica, struct sb_diag *diag)
{
    struct sb_sync_ready ready;
    enum sb_driver_taken taken;
    if (replica->mode == MODE_WAITING || !sb_sync_ready(&ready, replica->sync) ||
        !sb_replica_may_go_on(replica)) {
        return SB_OK;
    }
    replica->is_syncing_block = true;
    sb_err err = sb_driver_sync_block(&taken, replica->driver, ready.encoded, &ready.commit, diag);
    replica->is_syncing_block = false;
    SB_TRY(err);
    if (taken == SB_TAKEN_UNDECIDED) {
        return SB_OK; /* it stays ready, and the next tick tries again */
    }
    *ret_moved = true;
    struct gossip_peer *peer = sb_gossip_find(replica, ready.peer);
    if (sb_replica_head(replica) >= ready.height) {
        if (peer != NULL) {
            sb_replica_useful(replica, peer);
        }
        return SB_OK;
    }
    sb_sync_refused(replica->sync);
    if (peer != NULL) {
        sb_replica_report(replica, peer, SB_OFFENCE_FATAL, "a false block");
    }
    return SB_OK;
}

sb_err sb_replica_sync_step(bool *ret_moved, struct sb_replica *replica, struct sb_diag *diag)
{
    SB_TRY(commit_next(ret_moved, replica, diag));
    if (!*ret_moved) {
        ask(replica);
    }
    return SB_OK;
}

void sb_replica_sync_tick(struct sb_replica *replica)
{
    uint64_t now = sb_replica_now(replica);
    uint64_t passed = now - replica->sync_logged_ms;
    replica->sync_due = true;
    if (replica->mode != MODE_SYNC || passed < LOG_PERIOD_MS) {
        return;
    }
    uint64_t head = sb_replica_head(replica);
    uint64_t target = sb_sync_target(replica->sync);
    uint64_t blocks = head - replica->sync_logged_head;
    uint64_t left = target > head ? target - head : 0;
    sb_log(replica->options.log, SB_LOG_INFO, "sync", "blocks from peers",
           SB_LOG_U64("height", head), SB_LOG_U64("target", target),
           SB_LOG_U64("blocks_per_s", blocks * 1000 / passed),
           SB_LOG_U64("eta_s", blocks > 0 ? left * passed / blocks / 1000 : 0), SB_LOG_END);
    replica->sync_logged_ms = now;
    replica->sync_logged_head = head;
}

/* ---- answers ---- */

/* An answer counts for one question: of sync if that is due, else of a block that was wanted by id. */

sb_err sb_replica_take_sync_block(struct sb_replica *replica, struct gossip_peer *peer,
                                  const struct sb_message_sync_block *block, struct sb_diag *diag)
{
    bool is_wanted = false;
    enum sb_sync_answer answer = SB_SYNC_UNASKED;
    if (block->commit.sig_count != 0) {
        replica->sync_due = true;
        if (sb_sync_block(&answer, replica->sync, peer->id, block->encoded, &block->commit) !=
            SB_OK) {
            return SB_OK; /* no memory now: it is asked for again */
        }
    }
    if (answer == SB_SYNC_UNASKED) {
        SB_TRY(sb_fetch_answer(&is_wanted, replica, peer, block, diag));
        if (!is_wanted) {
            sb_replica_report(replica, peer, SB_OFFENCE_WASTE, "a block that was not asked for");
        }
    }
    return SB_OK;
}

void sb_replica_take_no_block(struct sb_replica *replica, struct gossip_peer *peer, uint64_t height)
{
    replica->sync_due = true;
    if (sb_sync_no_block(replica->sync, peer->id, height, sb_replica_now(replica)) ==
            SB_SYNC_UNASKED &&
        !sb_fetch_refused(replica, peer, height)) {
        sb_replica_report(replica, peer, SB_OFFENCE_WASTE, "an answer that was not asked for");
    }
}

/* ---- giving ---- */

/* What blocks cost this node to read and to copy is bounded over all peers, so that consensus keeps its share of the loop. */
#define GIVEN_BYTES_PER_MS   ((uint64_t)64 * 1024)
#define GIVEN_BYTES_MAX      ((uint64_t)8 * 1024 * 1024)
#define SERVE_PAUSE_MS_FIRST 20
#define SERVE_PAUSE_MS_MAX   1000

bool sb_replica_may_give(struct sb_replica *replica)
{
    uint64_t now = sb_replica_now(replica);
    uint64_t paid = (now - replica->given_ms) * GIVEN_BYTES_PER_MS;
    replica->given_bytes -= paid < replica->given_bytes ? paid : replica->given_bytes;
    replica->given_ms = now;
    return replica->given_bytes < GIVEN_BYTES_MAX;
}

void sb_replica_given(struct sb_replica *replica, size_t bytes)
{
    replica->given_bytes += bytes;
}

/* pause: the peer's queue is full: a block that is read again and again for somebody who does not take it costs us, not him. */
static void pause(struct gossip_peer *peer, uint64_t now)
{
    uint64_t next = peer->serve_pause_ms == 0 ? SERVE_PAUSE_MS_FIRST : 2 * peer->serve_pause_ms;
    peer->serve_pause_ms = next < SERVE_PAUSE_MS_MAX ? next : SERVE_PAUSE_MS_MAX;
    peer->serve_at_ms = now + peer->serve_pause_ms;
}

/* serve_one: false when it must wait: for its budget, or for room in its queue. */
static bool serve_one(struct sb_replica *replica, struct gossip_peer *peer, uint64_t height)
{
    const struct sb_application *app = replica->options.app;
    uint64_t now = sb_replica_now(replica);
    struct sb_message m = {.kind = SB_MESSAGE_SYNC_BLOCK};
    m.as.sync_block.height = height;
    if (now < peer->serve_at_ms || !sb_replica_may_give(replica) ||
        !sb_budget_take(&peer->blocks, sb_budget_blocks, 1, now)) {
        return false;
    }
    struct sb_arena_mark mark = sb_arena_mark(&replica->arena);
    if (app->block(app->ctx, &replica->arena, height, &m.as.sync_block.encoded,
                   &m.as.sync_block.commit) != SB_OK) {
        m = (struct sb_message){.kind = SB_MESSAGE_SYNC_NO_BLOCK, .as.sync_height = height};
    } else {
        sb_replica_given(replica, m.as.sync_block.encoded.len);
    }
    bool is_sent = sb_gossip_send_message(replica, peer, &m);
    sb_arena_rewind(&replica->arena, mark);
    if (!is_sent) {
        sb_budget_give(&peer->blocks, sb_budget_blocks, 1);
        pause(peer, now);
        return false;
    }
    peer->serve_pause_ms = 0;
    return true;
}

static void serve_peer(struct sb_replica *replica, struct gossip_peer *peer)
{
    size_t done = 0;
    while (done < peer->serve_count && serve_one(replica, peer, peer->serve[done])) {
        done++;
    }
    peer->serve_count -= done;
    memmove(peer->serve, peer->serve + done, peer->serve_count * sizeof peer->serve[0]);
}

void sb_replica_serve(struct sb_replica *replica)
{
    for (uint32_t n = 0; n < replica->peer_end; n++) {
        if (!sb_replica_may_give(replica)) {
            return; /* the next one's turn stays */
        }
        struct gossip_peer *peer = replica->peers[replica->serve_next++ % replica->peer_end];
        if (peer != NULL) {
            serve_peer(replica, peer);
        }
    }
}

void sb_replica_take_request(struct sb_replica *replica, struct gossip_peer *peer, uint64_t height)
{
    const struct sb_application *app = replica->options.app;
    if (height > sb_replica_head(replica) || height < app->oldest_block(app->ctx)) {
        struct sb_message m = {.kind = SB_MESSAGE_SYNC_NO_BLOCK, .as.sync_height = height};
        if (sb_budget_take(&peer->blocks, sb_budget_blocks, 1, sb_replica_now(replica))) {
            (void)sb_gossip_send_message(replica, peer, &m);
        }
        return;
    }
    for (size_t i = 0; i < peer->serve_count; i++) {
        if (peer->serve[i] == height) {
            return;
        }
    }
    if (peer->serve_count < SB_SERVE_QUEUE_MAX) {
        peer->serve[peer->serve_count++] = height;
        serve_peer(replica, peer);
        replica->tick_soon = replica->tick_soon || peer->serve_count > 0;
    }
}
