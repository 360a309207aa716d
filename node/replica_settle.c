/* replica_settle.c: what a replica does at the end of each call of its host, whatever the call was; see replica_impl.h.
 *
 *      turn   a committed height is put away -> peers are told -> what came early -> sync -> the next height, when it is due
 *      settle turns until nothing moves, then evidence and the tick
 *
 * Spec: docs/spec/gossip.md, section 5. */
#include "node/replica_impl.h"

#define TICKS_PER_RESEND 4
/* Until the next try when a peer's queue was full. */
#define STUCK_MS 20
/* Turns of settling in one call; what is left then goes on with the next tick, which comes at once. */
#define TURNS_MAX 16

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

bool sb_replica_is_sole(const struct sb_replica *replica)
{
    const struct sb_application *app = replica->options.app;
    const struct sb_rotation *rotation = app->rotation(app->ctx, sb_replica_head(replica) + 1);
    return rotation != NULL && rotation->set.count == 1 &&
           sb_addr_equal(&rotation->set.validators[0].address, &replica->own_address);
}

static bool is_instant(const struct sb_replica *replica)
{
    return replica->options.pace == SB_PACE_INSTANT && sb_replica_is_sole(replica);
}

void sb_replica_set_due(struct sb_replica *replica)
{
    const struct sb_application *app = replica->options.app;
    struct sb_application_head head = app->head(app->ctx);
    uint64_t interval = later(head.min_block_interval_ms, replica->options.interval_ms);
    uint64_t wall = replica->options.host.wall_ms(replica->options.host.ctx);
    uint64_t passed = wall > head.time_ms ? wall - head.time_ms : 0;
    replica->due_ms = sb_replica_now(replica) + (passed < interval ? interval - passed : 0);
}

static void committed(struct sb_replica *replica)
{
    replica->has_committed = false;
    replica->work_due = true;
    replica->early_due = true;
    replica->fetch.is_active = false;
    sb_assembly_clear(replica);
    memset(replica->proposal_ms, 0, sizeof replica->proposal_ms);
    sb_replica_sync_committed(replica);
    sb_spare_committed(replica);
    sb_replica_set_due(replica);
}

/* tell_all: a new head, or a new round; in sync not each of them. */
static void tell_all(struct sb_replica *replica)
{
    uint64_t now = sb_replica_now(replica);
    uint64_t head = sb_replica_head(replica);
    int32_t round = sb_replica_round(replica);
    if (head == replica->told_head && (round == 0 || round == replica->told_round)) {
        return;
    }
    if (replica->mode == MODE_SYNC && now - replica->told_ms < replica->options.resend_ms) {
        return;
    }
    replica->told_head = head;
    replica->told_round = round;
    replica->told_ms = now;
    sb_gossip_tell(replica, NULL, false);
}

static void arm_pace(struct sb_replica *replica, uint64_t at_ms)
{
    const struct sb_replica_host *host = &replica->options.host;
    uint64_t now = sb_replica_now(replica);
    if (!replica->pace_armed || replica->pace_at_ms != at_ms) {
        replica->pace_armed = true;
        replica->pace_at_ms = at_ms;
        host->set_timer(host->ctx, SB_REPLICA_TIMER_PACE, at_ms > now ? at_ms - now : 0);
    }
}

/* pace: begin the next height when it is time; at most one in a call, so that the host's loop gets its turn. */
static sb_err pace(bool *ret_moved, struct sb_replica *replica, struct sb_diag *diag)
{
    uint64_t now = sb_replica_now(replica);
    if (replica->mode == MODE_WAITING) {
        arm_pace(replica, replica->wait_until_ms);
        return SB_OK;
    }
    if (replica->mode != MODE_CONSENSUS || sb_replica_is_begun(replica) ||
        (is_instant(replica) && !replica->work_due) || !sb_replica_may_go_on(replica)) {
        return SB_OK;
    }
    if (replica->starts_spent || (!is_instant(replica) && now < replica->due_ms)) {
        arm_pace(replica, is_instant(replica) ? now : later(now, replica->due_ms));
        return SB_OK;
    }
    *ret_moved = true;
    if (!is_instant(replica)) {
        return sb_replica_begin_height(replica, diag);
    }
    replica->work_due = false;
    replica->starts_spent = true;
    return sb_driver_start_if_work(&replica->early_due, replica->driver, diag);
}

/* tick_in: how long until something is to be done. */
static uint64_t tick_in(const struct sb_replica *replica)
{
    uint64_t now = sb_replica_now(replica);
    uint64_t delay = later(replica->options.resend_ms / TICKS_PER_RESEND, 1);
    if (replica->fetch.is_active && replica->fetch.due_ms < now + delay) {
        delay = replica->fetch.due_ms > now ? replica->fetch.due_ms - now : 0;
    }
    for (uint32_t i = 0; i < replica->peer_end && delay > STUCK_MS; i++) {
        const struct gossip_peer *peer = replica->peers[i];
        delay = peer != NULL && (peer->is_stuck || peer->serve_count > 0) ? STUCK_MS : delay;
    }
    return replica->is_unsettled ? 0 : delay;
}

static void arm_tick(struct sb_replica *replica)
{
    const struct sb_replica_host *host = &replica->options.host;
    bool has_work =
        replica->peer_count > 0 || replica->is_unsettled || sb_driver_owes_vote(replica->driver);
    if (!has_work || (replica->tick_armed && !replica->tick_soon)) {
        return;
    }
    uint64_t delay = tick_in(replica);
    uint64_t at = sb_replica_now(replica) + delay;
    replica->tick_soon = false;
    replica->is_unsettled = false;
    if (!replica->tick_armed || at < replica->tick_at_ms) { /* never later than it was */
        replica->tick_armed = true;
        replica->tick_at_ms = at;
        host->set_timer(host->ctx, SB_REPLICA_TIMER_GOSSIP, delay);
    }
}

static sb_err turn(bool *ret_moved, struct sb_replica *replica, struct sb_diag *diag)
{
    if (replica->has_committed) {
        committed(replica);
    }
    tell_all(replica);
    if (sb_replica_round(replica) != replica->settled_round) {
        replica->settled_round = sb_replica_round(replica);
        replica->early_due = true;
    }
    if (replica->early_due) {
        *ret_moved = true;
        return sb_gossip_take_early(replica, diag);
    }
    if (replica->sync_due || replica->mode == MODE_WAITING) {
        replica->sync_due = false;
        sb_replica_sync_mode(replica);
        SB_TRY(sb_replica_sync_step(ret_moved, replica, diag));
        replica->sync_due = *ret_moved;
        if (*ret_moved) {
            return SB_OK;
        }
    }
    return pace(ret_moved, replica, diag);
}

sb_err sb_replica_settle(struct sb_replica *replica, struct sb_diag *diag)
{
    bool moved = true;
    for (int i = 0; moved; i++) {
        if (i == TURNS_MAX) {
            replica->is_unsettled = true;
            replica->tick_soon = true;
            break;
        }
        moved = false;
        SB_TRY(turn(&moved, replica, diag));
    }
    if (replica->ask_due && sb_replica_is_begun(replica)) {
        replica->ask_due = false;
        sb_gossip_ask_some(replica);
    }
    if (replica->evidence_due) {
        replica->evidence_due = false;
        SB_TRY(sb_gossip_push_evidence(replica, diag));
    }
    arm_tick(replica);
    return SB_OK;
}
