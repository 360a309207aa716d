/* machine_replica.c: the whole replica as a node runs it: driver, gossip, block sync, the journal on a disk in memory, the stub
 * application; only signatures are a table of the simulator's (keys.h), behind the journal's real guard. */
#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "node/messages.h"
#include "node/replica.h"
#include "tests/sim/check.h"
#include "tests/sim/sim.h"
#include "tests/support/stub_application.h"

#define VOTE_ARENA_BYTES ((size_t)1 << 20)

struct replica_machine {
    struct sb_application app;
    struct sb_journal *journal;
    struct sb_replica *replica;
    struct sb_arena arena; /* of a vote that is noted for accountability */
};

static struct replica_machine *machine_of(const struct sim_node *node)
{
    return node->machine;
}

/* ---- host ---- */

static uint64_t wall_ms(void *ctx)
{
    return sim_node_wall_ms(ctx);
}

static uint64_t monotonic_ms(void *ctx)
{
    return sim_node_monotonic_ms(ctx);
}

static void set_timer(void *ctx, enum sb_replica_timer timer, uint64_t delay_ms)
{
    sim_node_set_timer(ctx, (uint32_t)timer, delay_ms);
}

static void cancel_timer(void *ctx, enum sb_replica_timer timer)
{
    sim_node_cancel_timer(ctx, (uint32_t)timer);
}

static bool send(void *ctx, sb_peer peer, enum sb_channel channel, sb_bytes message)
{
    struct sim_node *node = ctx;
    uint32_t to = (uint32_t)(peer % 32);
    SB_ASSERT(to < node->sim->config.node_count && to != node->index);
    if (node->sim->network.connection[node->index][to] != peer / 32) {
        return false;
    }
    return sim_node_send(node, to, channel, message);
}

static void report(void *ctx, sb_peer peer, enum sb_offence offence, const char *why)
{
    struct sim_node *node = ctx;
    uint32_t other = (uint32_t)(peer % 32);
    struct sim_alloc *before = sim_alloc_enter(NULL);
    sim_note(node->sim, node->index, "reports node %u: %s", other, why);
    sim_check_offence(node->sim, node->index, other, offence, why);
    sim_bans_count(node->sim, node->index, other, offence, why);
    (void)sim_alloc_enter(before);
}

static void halted(void *ctx, const char *reason)
{
    struct sim_node *node = ctx;
    sim_fail(node->sim, "node %u halted: %s", node->index, reason);
}

/* ---- signer: the journal's guard, a cheap signature ---- */

static sb_err sign(void *ctx, struct sb_signature *ret_signature,
                   const struct sb_bft_message *message, const struct sb_chain_domain *domain,
                   struct sb_diag *diag)
{
    struct sim_node *node = ctx;
    struct sb_journal *journal = machine_of(node)->journal;
    struct sb_journal_place place = sb_signing_place(message);
    uint8_t bytes[SB_SIGN_BYTES_MAX], stored[64];
    sb_bytes signed_bytes = sb_span(bytes, sb_signing_bytes(bytes, message, domain));
    struct sb_signature signature = sim_sign(&node->key, signed_bytes);
    sb_err err = sb_journal_may_sign(stored, journal, &place, signed_bytes, diag);
    if (err == SB_E_EXISTS) {
        memcpy(signature.bytes, stored, sizeof stored);
    } else if (err == SB_E_ARG) {
        return SB_E_REFUSED;
    } else if (err != SB_OK) {
        return err;
    } else {
        uint64_t syncs = node->disk.sync_count;
        err = sb_journal_signed(journal, &place, signed_bytes, signature.bytes);
        if (node->disk.sync_count == syncs) { /* it never became durable: it was never made */
            return err == SB_OK ? sb_fail(diag, SB_E_IO, "a signature was not synced") : err;
        }
    }
    struct sim_alloc *before = sim_alloc_enter(NULL);
    sim_check_signed(node->sim, node->index, message);
    (void)sim_alloc_enter(before);
    if (err == SB_OK || err == SB_E_EXISTS) {
        *ret_signature = signature;
        return SB_OK;
    }
    return err;
}

static sb_err prove(void *ctx, uint8_t ret_proof[SB_RANDOMNESS_PROOF_BYTES],
                    const struct sb_randomness_input *input, const struct sb_chain_domain *domain,
                    struct sb_diag *diag)
{
    (void)diag;
    const struct sim_node *node = ctx;
    sim_prove(ret_proof, &node->key, input, domain);
    return SB_OK;
}

/* ---- life ---- */

static sb_err open_journal(struct sim_node *node, struct sb_diag *diag)
{
    struct sb_journal_identity identity = {.genesis_hash = node->sim->domain.genesis_hash};
    memcpy(identity.public_key, node->key.pubkey.bytes, sizeof identity.public_key);
    struct sb_journal_disk disk = memory_disk_table(&node->disk);
    struct sb_journal_recovery found;
    return sb_journal_open(&machine_of(node)->journal, &disk, &identity, node->disk.file_count == 0,
                           &found, diag);
}

static sb_err replica_start(struct sim_node *node, struct sb_diag *diag)
{
    struct replica_machine *m = calloc(1, sizeof *m);
    SB_ASSERT(m != NULL);
    node->machine = m;
    sb_arena_init(&m->arena, VOTE_ARENA_BYTES);
    m->app = sim_application_table(&node->application);
    struct sim_alloc *before = sim_alloc_enter(NULL);
    stub_application_restart(node->application.stub);
    uint64_t head = stub_application_height(node->application.stub);
    sb_hash state = stub_application_state(node->application.stub, head);
    sim_check_restarted(node->sim, node->index, head, &state);
    (void)sim_alloc_enter(before);
    SB_TRY(open_journal(node, diag));
    struct sb_replica_options options = {.app = &m->app,
                                         .journal = m->journal,
                                         .signer = {.ctx = node, .sign = sign, .prove = prove},
                                         .own_key = node->key.pubkey,
                                         .verifier = sim_verifier(),
                                         .timeouts = node->sim->config.timeouts,
                                         .pace = SB_PACE_STEADY,
                                         .resend_ms = node->sim->config.resend_ms,
                                         .seed = node->sim->config.seed + node->index,
                                         .host = {.ctx = node,
                                                  .wall_ms = wall_ms,
                                                  .monotonic_ms = monotonic_ms,
                                                  .set_timer = set_timer,
                                                  .cancel_timer = cancel_timer,
                                                  .send = send,
                                                  .report = report,
                                                  .halted = halted}};
    SB_TRY(sb_replica_new(&m->replica, &options, diag));
    return sb_replica_start(m->replica, diag);
}

static void replica_stop(struct sim_node *node)
{
    struct replica_machine *m = machine_of(node);
    if (m == NULL) {
        return;
    }
    if (m->replica != NULL) {
        sb_replica_free(m->replica);
    }
    if (m->journal != NULL) {
        sb_journal_close(m->journal);
    }
    sb_arena_fini(&m->arena);
    free(m);
    node->machine = NULL;
}

static void replica_discard(struct sim_node *node)
{
    (void)node; /* disk and application are the node's own */
}

/* ---- events ---- */

/* note_votes: in clusters that may fork, what an honest node hears is its log. */
static void note_votes(struct sim_node *node, enum sb_channel channel, sb_bytes raw)
{
    struct replica_machine *m = machine_of(node);
    struct sb_message message;
    if (!node->sim->config.is_over_third || channel != SB_CHANNEL_VOTE ||
        !sim_is_honest(node->sim, node->index)) {
        return;
    }
    sb_arena_reset(&m->arena);
    if (sb_message_decode(&message, &m->arena, channel, raw, NULL) == SB_OK &&
        message.kind == SB_MESSAGE_VOTE) {
        sim_check_heard(node->sim, &message.as.vote);
    }
}

static sb_err replica_receive(struct sim_node *node, uint32_t from, uint64_t peer,
                              enum sb_channel channel, sb_bytes message, struct sb_diag *diag)
{
    (void)from;
    note_votes(node, channel, message);
    return sb_replica_receive(machine_of(node)->replica, peer, channel, message, diag);
}

static sb_err replica_timer(struct sim_node *node, uint32_t timer, struct sb_diag *diag)
{
    return sb_replica_timer(machine_of(node)->replica, (enum sb_replica_timer)timer, diag);
}

static sb_err replica_link(struct sim_node *node, uint32_t other, uint64_t peer, bool is_up,
                           struct sb_diag *diag)
{
    (void)other;
    struct sb_replica *replica = machine_of(node)->replica;
    return is_up ? sb_replica_peer_up(replica, peer, diag)
                 : sb_replica_peer_down(replica, peer, diag);
}

static struct sim_standing replica_standing(const struct sim_node *node)
{
    struct sb_replica_status status = sb_replica_status(machine_of(node)->replica);
    return (struct sim_standing){
        .head = status.head, .bft = status.bft, .is_syncing = status.is_syncing};
}

const struct sim_machine sim_machine_replica = {.name = "replica",
                                                .start = replica_start,
                                                .stop = replica_stop,
                                                .receive = replica_receive,
                                                .timer = replica_timer,
                                                .link = replica_link,
                                                .standing = replica_standing,
                                                .discard = replica_discard};
