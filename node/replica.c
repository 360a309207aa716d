/* replica.c: life of a replica, the host's calls, status; see replica.h and replica_impl.h. */
#include <stdlib.h>

#include "base/util/assert.h"
#include "node/replica_impl.h"

#define RESEND_MS_DEFAULT    1000
#define SYNC_WAIT_MS_DEFAULT 1000
/* A message of a block with its commit, to write or to read. */
#define OUT_BYTES_MAX   (SB_CONSENSUS_BLOCK_BYTES_MAX + (size_t)256 * 1024)
#define ARENA_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* ---- what the parts of a replica ask ---- */

uint64_t sb_replica_now(const struct sb_replica *replica)
{
    return replica->options.host.monotonic_ms(replica->options.host.ctx);
}

uint64_t sb_replica_head(const struct sb_replica *replica)
{
    const struct sb_application *app = replica->options.app;
    return app->head(app->ctx).height;
}

bool sb_replica_is_begun(const struct sb_replica *replica)
{
    return !sb_driver_is_idle(replica->driver);
}

int32_t sb_replica_round(const struct sb_replica *replica)
{
    return sb_replica_is_begun(replica) ? sb_bft_status(sb_driver_core(replica->driver)).round : 0;
}

uint64_t sb_replica_resend_ms(const struct sb_replica *replica)
{
    return replica->options.resend_ms;
}

void sb_replica_report(struct sb_replica *replica, const struct gossip_peer *peer,
                       enum sb_offence offence, const char *why)
{
    const struct sb_replica_host *host = &replica->options.host;
    host->report(host->ctx, peer->id, offence, why);
}

void sb_replica_useful(struct sb_replica *replica, const struct gossip_peer *peer)
{
    const struct sb_replica_host *host = &replica->options.host;
    if (host->useful != NULL) {
        host->useful(host->ctx, peer->id);
    }
}

static void halt(struct sb_replica *replica, const char *reason)
{
    const struct sb_replica_host *host = &replica->options.host;
    replica->mode = MODE_HALTED;
    sb_log(replica->options.log, SB_LOG_WARN, "node", "takes no part any more",
           SB_LOG_STR("reason", reason), SB_LOG_END);
    host->halted(host->ctx, reason);
}

bool sb_replica_may_go_on(struct sb_replica *replica)
{
    const struct sb_application *app = replica->options.app;
    char reason[256];
    uint64_t head = sb_replica_head(replica);
    if (replica->mode == MODE_HALTED) {
        return false;
    }
    if (replica->options.halt_height != 0 && head >= replica->options.halt_height) {
        halt(replica, "The height to halt at is committed.");
        return false;
    }
    if (!app->version_known(app->ctx, head + 1, reason)) {
        halt(replica, reason);
        return false;
    }
    return true;
}

sb_err sb_replica_begin_height(struct sb_replica *replica, struct sb_diag *diag)
{
    if (!sb_replica_may_go_on(replica)) {
        return SB_OK;
    }
    replica->mode = MODE_CONSENSUS;
    replica->early_due = true;
    replica->starts_spent = true;
    return sb_driver_start_height(replica->driver, diag);
}

/* ---- callbacks of the driver ---- */

static uint64_t host_now(void *ctx)
{
    struct sb_replica *replica = ctx;
    return replica->options.host.wall_ms(replica->options.host.ctx);
}

static void host_set_timer(void *ctx, enum sb_bft_timeout kind, uint64_t height, int32_t round,
                           uint64_t delay_ms)
{
    struct sb_replica *replica = ctx;
    const struct sb_replica_host *host = &replica->options.host;
    replica->driver_timers[kind] = (struct host_timer){.height = height, .round = round};
    host->set_timer(host->ctx, (enum sb_replica_timer)kind, delay_ms);
}

static void host_cancel_timers(void *ctx)
{
    struct sb_replica *replica = ctx;
    const struct sb_replica_host *host = &replica->options.host;
    for (int kind = SB_BFT_TIMEOUT_PROPOSE; kind <= SB_BFT_TIMEOUT_PRECOMMIT; kind++) {
        host->cancel_timer(host->ctx, (enum sb_replica_timer)kind);
    }
}

static void host_send(void *ctx, const struct sb_bft_message *message, sb_bytes block)
{
    struct sb_replica *replica = ctx;
    if (!message->is_proposal) {
        sb_gossip_push_vote(replica, &message->as.vote, sb_span(NULL, 0));
        return;
    }
    const struct sb_proposal *proposal = &message->as.proposal;
    replica->proposal_ms[proposal->round % 4] = sb_replica_now(replica);
    sb_gossip_push_proposal(replica, proposal, -1, sb_span(NULL, 0));
    sb_gossip_push_block(replica, proposal, block);
}

static void host_fetch(void *ctx, uint64_t height, int32_t round, const sb_hash *block_id)
{
    sb_fetch_begin(ctx, height, round, block_id);
}

static void host_committed(void *ctx, const struct sb_commit *commit)
{
    struct sb_replica *replica = ctx;
    uint64_t now = sb_replica_now(replica);
    struct sb_replica_status *s = &replica->status;
    replica->has_committed = true;
    replica->synced_last = replica->is_syncing_block;
    s->last_interval_ms = replica->commit_ms != 0 ? now - replica->commit_ms : 0;
    s->last_block_ms = now;
    s->last_round = commit->round;
    uint64_t proposed = replica->proposal_ms[commit->round % 4];
    s->last_proposal_to_decision_ms =
        replica->is_syncing_block || proposed == 0 ? 0 : now - proposed;
    replica->commit_ms = now;
}

/* ---- life ---- */

static sb_err make_driver(struct sb_replica *replica, struct sb_diag *diag)
{
    const struct sb_replica_options *o = &replica->options;
    struct sb_driver_options options = {
        .app = o->app,
        .journal = o->journal,
        .signer = o->signer,
        .own_key = o->own_key,
        .timeouts = o->timeouts,
        .may_resync = o->may_resync,
        .verifier = o->verifier,
        .host = {.ctx = replica,
                 .now_ms = host_now,
                 .set_timer = host_set_timer,
                 .cancel_timers = host_cancel_timers,
                 .send = host_send,
                 .fetch = host_fetch,
                 .committed = host_committed},
        .log = o->log,
    };
    return sb_driver_new(&replica->driver, &options, diag);
}

sb_err sb_replica_new(struct sb_replica **ret_replica, const struct sb_replica_options *options,
                      struct sb_diag *diag)
{
    struct sb_replica *replica = calloc(1, sizeof *replica);
    if (replica == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "no memory for a replica");
    }
    replica->options = *options;
    struct sb_replica_options *o = &replica->options;
    o->resend_ms = o->resend_ms != 0 ? o->resend_ms : RESEND_MS_DEFAULT;
    o->sync_wait_ms = o->sync_wait_ms != 0 ? o->sync_wait_ms : SYNC_WAIT_MS_DEFAULT;
    replica->own_address = sb_pubkey_address(&o->own_key);
    replica->asked_next = (uint32_t)o->seed;
    replica->mode = MODE_WAITING;
    sb_arena_init(&replica->arena, ARENA_BYTES_MAX);
    sb_buf_init(&replica->out, OUT_BYTES_MAX);
    struct sb_sync_options sync = {.open_max = 0};
    replica->sync = sb_sync_new(&sync);
    sb_err err = replica->sync == NULL ? sb_fail(diag, SB_E_NOMEM, "no memory for block sync")
                                       : make_driver(replica, diag);
    if (err != SB_OK) {
        sb_replica_free(replica);
        return err;
    }
    *ret_replica = replica;
    return SB_OK;
}

void sb_replica_free(struct sb_replica *replica)
{
    if (replica == NULL) {
        return;
    }
    for (uint32_t i = 0; i < SB_REPLICA_PEERS_MAX; i++) {
        if (replica->peers[i] != NULL) {
            sb_gossip_remove(replica, replica->peers[i]);
        }
    }
    sb_driver_free(replica->driver);
    sb_sync_free(replica->sync);
    sb_assembly_clear(replica);
    sb_arena_fini(&replica->arena);
    sb_buf_fini(&replica->out);
    free(replica);
}

/* ---- the host's calls ---- */

/* Each call of the host stands between enter and leave. enter: false when the replica has failed, or has not begun. */
static bool enter(sb_err *ret_err, struct sb_replica *replica, struct sb_diag *diag)
{
    SB_ASSERT(!replica->in_call);
    *ret_err = replica->failed;
    if (replica->failed != SB_OK) {
        *ret_err = sb_fail(diag, replica->failed, "%s", replica->failure.text);
        return false;
    }
    replica->in_call = true;
    replica->starts_spent = false;
    return true;
}

static sb_err leave(struct sb_replica *replica, sb_err err, struct sb_diag *diag)
{
    struct sb_diag own = {.text = ""};
    struct sb_diag *d = diag != NULL ? diag : &own;
    if (err == SB_OK && replica->is_started) {
        err = sb_replica_settle(replica, d);
    }
    if (err != SB_OK) {
        replica->failed = err;
        replica->failure = *d;
    }
    replica->in_call = false;
    return err;
}

sb_err sb_replica_start(struct sb_replica *replica, struct sb_diag *diag)
{
    sb_err err;
    if (!enter(&err, replica, diag)) {
        return err;
    }
    uint64_t now = sb_replica_now(replica);
    replica->is_started = true;
    replica->work_due = true;
    replica->wait_until_ms = now + replica->options.sync_wait_ms;
    replica->moved_ms = now;
    replica->told_head = sb_replica_head(replica);
    sb_sync_head(replica->sync, replica->told_head);
    sb_replica_set_due(replica);
    err = sb_driver_resume(replica->driver, diag);
    if (sb_replica_is_begun(replica) || sb_replica_is_sole(replica)) {
        replica->mode = MODE_CONSENSUS;
    }
    for (uint32_t i = 0; err == SB_OK && i < replica->peer_end; i++) {
        if (replica->peers[i] != NULL) {
            sb_gossip_ask(replica, replica->peers[i]);
        }
    }
    return leave(replica, err, diag);
}

sb_err sb_replica_peer_up(struct sb_replica *replica, sb_peer id, struct sb_diag *diag)
{
    sb_err err;
    if (!enter(&err, replica, diag)) {
        return err;
    }
    struct gossip_peer *peer = sb_gossip_add(replica, id);
    if (peer != NULL) {
        sb_sync_peer_up(replica->sync, id);
        if (replica->is_started) {
            sb_gossip_ask(replica, peer);
        }
    }
    return leave(replica, SB_OK, diag);
}

sb_err sb_replica_peer_down(struct sb_replica *replica, sb_peer id, struct sb_diag *diag)
{
    sb_err err;
    if (!enter(&err, replica, diag)) {
        return err;
    }
    struct gossip_peer *peer = sb_gossip_find(replica, id);
    if (peer != NULL) {
        sb_fetch_lost(replica, peer);
        sb_spare_peer_down(replica, peer);
        sb_gossip_remove(replica, peer);
        sb_sync_peer_down(replica->sync, id);
        replica->sync_due = true;
    }
    return leave(replica, SB_OK, diag);
}

static sb_err handle(struct sb_replica *replica, struct gossip_peer *peer,
                     const struct sb_message *m, sb_bytes raw, struct sb_diag *diag)
{
    switch (m->kind) {
    case SB_MESSAGE_STATUS:
        sb_gossip_take_status(replica, peer, &m->as.status);
        replica->sync_due = true;
        return SB_OK;
    case SB_MESSAGE_VOTES:
        sb_gossip_take_votes(replica, peer, &m->as.votes);
        return SB_OK;
    case SB_MESSAGE_PARTS:
        sb_gossip_take_parts(replica, peer, &m->as.parts);
        return SB_OK;
    case SB_MESSAGE_WANT:
        sb_gossip_take_want(replica, peer, &m->as.want);
        return SB_OK;
    case SB_MESSAGE_RELAY:
        peer->off = m->as.relay;
        return SB_OK;
    case SB_MESSAGE_VOTE:
        return sb_gossip_take_vote(replica, peer, &m->as.vote, raw, diag);
    case SB_MESSAGE_CERTIFICATE:
        return sb_gossip_take_certificate(replica, peer, &m->as.certificate, diag);
    case SB_MESSAGE_PROPOSAL:
        return sb_gossip_take_proposal(replica, peer, &m->as.proposal, raw, diag);
    case SB_MESSAGE_PART:
        return sb_gossip_take_part(replica, peer, &m->as.part, raw, diag);
    case SB_MESSAGE_EVIDENCE:
        return sb_gossip_take_evidence(replica, peer, &m->as.evidence, diag);
    case SB_MESSAGE_SYNC_REQUEST:
        sb_replica_take_request(replica, peer, m->as.sync_height);
        return SB_OK;
    case SB_MESSAGE_SYNC_BLOCK:
        return sb_replica_take_sync_block(replica, peer, &m->as.sync_block, diag);
    case SB_MESSAGE_SYNC_NO_BLOCK:
        sb_replica_take_no_block(replica, peer, m->as.sync_height);
        return SB_OK;
    }
    SB_UNREACHABLE();
}

sb_err sb_replica_dispatch(struct sb_replica *replica, struct gossip_peer *peer,
                           enum sb_channel channel, sb_bytes raw, struct sb_diag *diag)
{
    struct sb_message message;
    sb_arena_reset(&replica->arena);
    if (sb_message_decode(&message, &replica->arena, channel, raw, NULL) != SB_OK) {
        sb_replica_report(replica, peer, SB_OFFENCE_PROTOCOL, "a malformed message");
        return SB_OK;
    }
    return handle(replica, peer, &message, raw, diag);
}

sb_err sb_replica_receive(struct sb_replica *replica, sb_peer id, enum sb_channel channel,
                          sb_bytes message, struct sb_diag *diag)
{
    sb_err err;
    if (!enter(&err, replica, diag)) {
        return err;
    }
    struct gossip_peer *peer = sb_gossip_find(replica, id);
    if (peer != NULL && replica->is_started) {
        err = sb_replica_dispatch(replica, peer, channel, message, diag);
    }
    return leave(replica, err, diag);
}

/* sign_owed: ask a signer again that was away; it is waited for, so not at every tick. */
static sb_err sign_owed(struct sb_replica *replica, struct sb_diag *diag)
{
    uint64_t now = sb_replica_now(replica);
    if (!sb_driver_owes_vote(replica->driver) ||
        now - replica->owed_ms < replica->options.resend_ms) {
        return SB_OK;
    }
    replica->owed_ms = now;
    return sb_driver_sign_owed(replica->driver, diag);
}

sb_err sb_replica_timer(struct sb_replica *replica, enum sb_replica_timer timer,
                        struct sb_diag *diag)
{
    sb_err err;
    if (!enter(&err, replica, diag)) {
        return err;
    }
    switch (timer) {
    case SB_REPLICA_TIMER_PROPOSE:
    case SB_REPLICA_TIMER_PREVOTE:
    case SB_REPLICA_TIMER_PRECOMMIT: {
        const struct host_timer *t = &replica->driver_timers[timer];
        err = sb_driver_timeout(replica->driver, (enum sb_bft_timeout)timer, t->height, t->round,
                                diag);
        break;
    }
    case SB_REPLICA_TIMER_PACE:
        replica->pace_armed = false;
        break;
    case SB_REPLICA_TIMER_GOSSIP:
        replica->tick_armed = false;
        sb_gossip_repair_tick(replica);
        sb_fetch_tick(replica);
        sb_replica_sync_tick(replica);
        err = sb_driver_look_again(replica->driver, diag);
        err = err == SB_OK ? sign_owed(replica, diag) : err;
        break;
    case SB_REPLICA_TIMER_COUNT:
        SB_UNREACHABLE();
    }
    return leave(replica, err, diag);
}

sb_err sb_replica_wake(struct sb_replica *replica, struct sb_diag *diag)
{
    sb_err err;
    if (!enter(&err, replica, diag)) {
        return err;
    }
    replica->work_due = true;
    return leave(replica, SB_OK, diag);
}

sb_err sb_replica_evidence(struct sb_replica *replica, const struct sb_evidence *evidence,
                           struct sb_diag *diag)
{
    sb_err err;
    if (!enter(&err, replica, diag)) {
        return err;
    }
    replica->evidence_due = true;
    err = sb_driver_evidence(replica->driver, evidence, diag);
    bool is_refused = err == SB_E_REFUSED;
    err = leave(replica, is_refused ? SB_OK : err, diag);
    return err == SB_OK && is_refused ? SB_E_REFUSED : err;
}

struct sb_replica_status sb_replica_status(const struct sb_replica *replica)
{
    const struct sb_application *app = replica->options.app;
    struct sb_replica_status s = replica->status;
    s.bft = sb_bft_status(sb_driver_core(replica->driver));
    s.head = sb_replica_head(replica);
    const struct sb_rotation *rotation = app->rotation(app->ctx, s.head + 1);
    s.is_validator =
        rotation != NULL && sb_validator_set_find(&rotation->set, &replica->own_address) >= 0;
    s.is_waiting = replica->mode == MODE_WAITING;
    s.is_syncing = replica->mode == MODE_SYNC;
    uint64_t target = sb_sync_target(replica->sync);
    s.best_height = target > s.head ? target : s.head;
    s.sync_begun_at = replica->sync_begun_at;
    s.is_halted = replica->mode == MODE_HALTED;
    s.peer_count = replica->peer_count;
    s.driver = sb_driver_counters(replica->driver);
    return s;
}

const struct sb_bft *sb_replica_core(const struct sb_replica *replica)
{
    return sb_driver_core(replica->driver);
}
