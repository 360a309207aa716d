/* driver_net.h: drivers joined in memory: virtual time, a queue of messages, crashes at any place, and a record of every signature.
 *
 *      node: stub application (survives) | journal on a memory disk (survives a crash in part) | driver (does not)
 *      net:  messages in the order sent; what comes too early waits; timers run out when nothing else happens
 *
 * A crash falls where `dies` says: each journal operation, each signature, each commit and each call to the host counts, before it is
 * done and after. The signatures that a node has let out are recorded for its whole life, and must never conflict. */
#ifndef SB_TESTS_UNIT_NODE_DRIVER_NET_H
#define SB_TESTS_UNIT_NODE_DRIVER_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/crypto/ed25519.h"
#include "base/util/log.h"
#include "node/driver.h"
#include "node/verify_cache.h"
#include "tests/support/memory_disk.h"
#include "tests/support/stub_application.h"

#define NET_NODES_MAX    7
#define NET_MESSAGES_MAX 4096
#define NET_EARLY_MAX    512
#define NET_SIGNED_MAX   4096
#define NET_TIMERS       3

struct net_message {
    size_t to;
    struct sb_bft_message message;
    uint8_t *block; /* owned; of proposals */
    size_t block_len;
};

struct net_timer {
    bool is_set;
    uint64_t at_ms, height;
    int32_t round;
};

struct net_signed {
    struct sb_journal_place place;
    sb_hash block_id;
};

struct net;

struct net_node {
    struct net *net;
    size_t index;
    struct sb_pubkey key;
    uint8_t secret[64];
    struct stub_application *app;
    struct sb_application table;
    struct memory_disk disk;
    struct sb_journal *journal;
    struct sb_local_signer local;
    bool
        has_remote; /* its signer is another process, with a journal of its own that outlives the node */
    struct memory_disk signer_disk;
    struct sb_journal *signer_journal;
    struct sb_journal_place recalled; /* the last that recovery told the signer of */
    struct sb_verify_cache *cache;    /* of driver and application */
    struct sb_driver *driver;
    struct sb_diag diag;
    sb_err failed; /* what the last call answered */
    struct net_timer timers[NET_TIMERS];
    struct net_message early[NET_EARLY_MAX];
    size_t early_count;
    bool is_off; /* takes and sends nothing */
    bool mutes_votes;
    bool may_resync;
    bool refuses;        /* its signer refuses */
    bool refuses_proofs; /* of randomness */
    bool bends_proofs;   /* the signer gives what is no proof */
    bool refuses_blocks, forges;
    bool is_undecided; /* it cannot judge blocks now */
    struct net_signed signed_places[NET_SIGNED_MAX];
    size_t signed_count;
    size_t commits_heard, fetches;
    uint64_t dies_at; /* counts down to the place of death; 0: lives */
    bool is_dead;
};

struct net {
    struct net_node nodes[NET_NODES_MAX];
    size_t count;
    uint64_t now_ms;
    struct net_message queue[NET_MESSAGES_MAX];
    size_t queue_head, queue_count;
    struct sb_random random;
    struct sb_validator validators[NET_NODES_MAX];
    size_t padding_bytes;
    uint64_t remove_at; /* the block of this height removes validators[count - 1]; 0: none */
    size_t validator_count;
};

/* ---- places to die at ---- */

static bool net_dies(void *ctx)
{
    struct net_node *node = ctx;
    if (!node->is_dead && node->dies_at != 0 && --node->dies_at == 0) {
        node->is_dead = true;
        node->disk.is_dead = true;
    }
    return node->is_dead;
}

/* ---- the host of a driver ---- */

static uint64_t net_now(void *ctx)
{
    return ((struct net_node *)ctx)->net->now_ms;
}

static void net_set_timer(void *ctx, enum sb_bft_timeout kind, uint64_t height, int32_t round,
                          uint64_t delay_ms)
{
    struct net_node *node = ctx;
    if (!net_dies(node)) {
        node->timers[kind] = (struct net_timer){.is_set = true,
                                                .at_ms = node->net->now_ms + delay_ms,
                                                .height = height,
                                                .round = round};
    }
}

static void net_cancel_timers(void *ctx)
{
    struct net_node *node = ctx;
    if (!net_dies(node)) {
        memset(node->timers, 0, sizeof node->timers);
    }
}

static void net_note_signed(struct net_node *node, const struct sb_bft_message *message)
{
    struct sb_journal_place place = sb_signing_place(message);
    const sb_hash *id =
        message->is_proposal ? &message->as.proposal.block_id : &message->as.vote.block_id;
    for (size_t i = 0; i < node->signed_count; i++) {
        const struct net_signed *old = &node->signed_places[i];
        if (old->place.height == place.height && old->place.round == place.round &&
            old->place.step == place.step) {
            assert_memory_equal(old->block_id.b, id->b, sizeof id->b);
            return;
        }
    }
    assert_true(node->signed_count < NET_SIGNED_MAX);
    node->signed_places[node->signed_count++] =
        (struct net_signed){.place = place, .block_id = *id};
}

static void net_push(struct net *net, size_t to, const struct sb_bft_message *message,
                     sb_bytes block)
{
    assert_true(net->queue_count < NET_MESSAGES_MAX);
    struct net_message *slot =
        &net->queue[(net->queue_head + net->queue_count++) % NET_MESSAGES_MAX];
    *slot = (struct net_message){.to = to, .message = *message, .block_len = block.len};
    slot->block = malloc(block.len + 1);
    assert_non_null(slot->block);
    sb_copy(slot->block, block.data, block.len);
}

static void net_send(void *ctx, const struct sb_bft_message *message, sb_bytes block)
{
    struct net_node *node = ctx;
    if (net_dies(node)) {
        return;
    }
    assert_true(message->is_proposal || block.len == 0);
    assert_true(!message->is_proposal || block.len == message->as.proposal.block_bytes);
    net_note_signed(node, message);
    for (size_t i = 0; i < node->net->count && !node->is_off; i++) {
        if (i != node->index && !(node->mutes_votes && !message->is_proposal)) {
            net_push(node->net, i, message, block);
        }
    }
}

static void net_fetch(void *ctx, uint64_t height, int32_t round, const sb_hash *block_id)
{
    struct net_node *node = ctx;
    (void)height;
    (void)round;
    (void)block_id;
    node->fetches++;
}

static void net_committed(void *ctx, const struct sb_commit *commit)
{
    struct net_node *node = ctx;
    assert_int_equal(commit->height, stub_application_height(node->app));
    node->commits_heard++;
}

static sb_err net_sign(void *ctx, struct sb_signature *ret_signature,
                       const struct sb_bft_message *message, const struct sb_chain_domain *domain,
                       struct sb_diag *diag)
{
    struct net_node *node = ctx;
    if (node->refuses) {
        return sb_fail(diag, SB_E_REFUSED, "the test refuses");
    }
    if (net_dies(node)) {
        return SB_E_CANCELLED;
    }
    struct sb_signer local = sb_local_signer(&node->local);
    sb_err err = local.sign(local.ctx, ret_signature, message, domain, diag);
    if (err == SB_OK) {
        net_note_signed(node, message);
    }
    return net_dies(node) ? SB_E_CANCELLED : err;
}

static void net_recall(void *ctx, const struct sb_journal_place *place)
{
    ((struct net_node *)ctx)->recalled = *place;
}

static sb_err net_prove(void *ctx, uint8_t ret_proof[SB_RANDOMNESS_PROOF_BYTES],
                        const struct sb_randomness_input *input,
                        const struct sb_chain_domain *domain, struct sb_diag *diag)
{
    struct net_node *node = ctx;
    if (node->refuses_proofs) {
        return sb_fail(diag, SB_E_REFUSED, "the test refuses");
    }
    struct sb_signer local = sb_local_signer(&node->local);
    sb_err err = local.prove(local.ctx, ret_proof, input, domain, diag);
    ret_proof[0] ^= node->bends_proofs ? 1 : 0;
    return err;
}

/* ---- hooks of the application ---- */

static sb_err net_committing(void *ctx, uint64_t height, bool done)
{
    (void)height;
    (void)done;
    return net_dies(ctx) ? SB_E_CANCELLED : SB_OK;
}

static bool net_refuse_block(void *ctx, uint64_t height, const sb_hash *block_id)
{
    (void)height;
    (void)block_id;
    return ((struct net_node *)ctx)->refuses_blocks;
}

static bool net_undecided(void *ctx, uint64_t height)
{
    (void)height;
    return ((struct net_node *)ctx)->is_undecided;
}

static bool net_forge(void *ctx, uint64_t height)
{
    (void)height;
    return ((struct net_node *)ctx)->forges;
}

static size_t net_changes(void *ctx, const struct sb_consensus_block *block,
                          struct sb_validator_change *ret, size_t max)
{
    const struct net *net = ((struct net_node *)ctx)->net;
    if (net->remove_at == 0 || block->header.height != net->remove_at || max == 0) {
        return 0;
    }
    ret[0] =
        (struct sb_validator_change){.key = net->nodes[net->validator_count - 1].key, .power = 0};
    return 1;
}

/* ---- nodes ---- */

/* Of the nodes that start from now on; NULL: they are silent. */
static const struct sb_logger *net_log;

static struct sb_journal_identity net_identity(const struct net_node *node)
{
    struct sb_journal_identity identity = {.genesis_hash = {{0x67}}};
    memcpy(identity.public_key, node->key.bytes, sizeof identity.public_key);
    return identity;
}

/* net_node_start: a life of the node. SB_OK or what journal and driver answer. */
static sb_err net_node_start(struct net_node *node)
{
    struct sb_journal_identity identity = net_identity(node);
    struct sb_journal_disk disk = memory_disk_table(&node->disk);
    struct sb_journal_recovery recovery;
    node->diag = (struct sb_diag){.text = ""};
    SB_TRY(sb_journal_open(&node->journal, &disk, &identity, node->disk.file_count == 0, &recovery,
                           &node->diag));
    if (node->has_remote && node->signer_journal == NULL) {
        struct sb_journal_disk other = memory_disk_table(&node->signer_disk);
        SB_TRY(sb_journal_open(&node->signer_journal, &other, &identity, true, &recovery,
                               &node->diag));
    }
    node->local.journal = node->has_remote ? node->signer_journal : node->journal;
    memcpy(node->local.secret, node->secret, sizeof node->secret);
    const struct sb_driver_options options = {.app = &node->table,
                                              .journal = node->journal,
                                              .signer = {.ctx = node,
                                                         .keeps_journal = node->has_remote,
                                                         .recall = net_recall,
                                                         .sign = net_sign,
                                                         .prove = net_prove},
                                              .own_key = node->key,
                                              .timeouts = sb_bft_timeouts_default(),
                                              .may_resync = node->may_resync,
                                              .verifier = sb_verify_cache_verifier(node->cache),
                                              .log = net_log,
                                              .host = {.ctx = node,
                                                       .now_ms = net_now,
                                                       .set_timer = net_set_timer,
                                                       .cancel_timers = net_cancel_timers,
                                                       .send = net_send,
                                                       .fetch = net_fetch,
                                                       .committed = net_committed}};
    SB_TRY(sb_driver_new(&node->driver, &options, &node->diag));
    return sb_driver_resume(node->driver, &node->diag);
}

static void net_node_stop(struct net_node *node)
{
    sb_driver_free(node->driver);
    sb_journal_close(node->journal);
    node->driver = NULL;
    node->journal = NULL;
    node->failed = SB_OK;
    memset(node->timers, 0, sizeof node->timers);
}

/* net_node_crash: end this life without a word; what the disk loses is said by loss. */
static void net_node_crash(struct net_node *node, enum memory_loss loss)
{
    node->is_dead = true;
    node->disk.is_dead = true;
    net_node_stop(node);
    stub_application_restart(node->app);
    memory_disk_crash(&node->disk, loss, memory_chance_of(&node->net->random));
    node->is_dead = false;
    node->dies_at = 0;
}

static void net_node_init(struct net *net, size_t index)
{
    struct net_node *node = &net->nodes[index];
    node->net = net;
    node->index = index;
    node->disk.dies = net_dies;
    node->disk.ctx = node;
    const struct sb_verifier rule = sb_verifier_ed25519();
    sb_verify_cache_free(node->cache);
    node->cache = sb_verify_cache_new(&rule, 256);
    assert_non_null(node->cache);
    const struct stub_application_options options = {
        .domain = {.chain_id = 5, .genesis_hash = {{0x67}}},
        .genesis_time_ms = 1000,
        .validators = net->validators,
        .validator_count = net->validator_count,
        .timeliness = {.precision_ms = 500, .message_delay_ms = 5000},
        .padding_bytes = net->padding_bytes,
        .verifier = sb_verify_cache_verifier(node->cache),
        .hooks = {.ctx = node,
                  .refuse = net_refuse_block,
                  .undecided = net_undecided,
                  .forge = net_forge,
                  .committing = net_committing,
                  .changes = net_changes}};
    node->app = stub_application_new(&options);
    assert_non_null(node->app);
    node->table = stub_application_table(node->app);
}

/* net_init: `validators` of the nodes have a vote, of equal power; the nodes begin their first life. */
static void net_init(struct net *net, size_t count, size_t validators)
{
    net->count = count;
    net->validator_count = validators;
    net->now_ms = 10000;
    net->random = (struct sb_random){.state = 7};
    for (size_t i = 0; i < count; i++) {
        stub_key(&net->nodes[i].key, net->nodes[i].secret, (uint32_t)i);
        net->validators[i] = (struct sb_validator){.key = net->nodes[i].key, .power = 10};
    }
    for (size_t i = 0; i < count; i++) {
        net_node_init(net, i);
        assert_int_equal(net_node_start(&net->nodes[i]), SB_OK);
    }
}

static void net_fini(struct net *net)
{
    for (size_t i = 0; i < net->count; i++) {
        struct net_node *node = &net->nodes[i];
        net_node_stop(node);
        stub_application_free(node->app);
        sb_verify_cache_free(node->cache);
        memory_disk_fini(&node->disk);
        sb_journal_close(node->signer_journal);
        memory_disk_fini(&node->signer_disk);
        for (size_t k = 0; k < node->early_count; k++) {
            free(node->early[k].block);
        }
    }
    while (net->queue_count != 0) {
        free(net->queue[net->queue_head].block);
        net->queue_head = (net->queue_head + 1) % NET_MESSAGES_MAX;
        net->queue_count--;
    }
}

/* ---- what happens ---- */

/* net_hand: give a message to its node. false: it came too early. */
static bool net_hand(struct net_node *node, const struct net_message *m)
{
    enum sb_driver_taken taken = SB_TAKEN_NEW;
    if (node->is_off || node->is_dead || node->driver == NULL || node->failed != SB_OK) {
        return true;
    }
    if (!m->message.is_proposal) {
        node->failed = sb_driver_vote(&taken, node->driver, &m->message.as.vote, &node->diag);
        assert_true(node->failed != SB_OK || taken != SB_TAKEN_INVALID);
        return node->failed != SB_OK || taken != SB_TAKEN_EARLY;
    }
    node->failed = sb_driver_proposal(&taken, node->driver, &m->message.as.proposal, &node->diag);
    assert_true(node->failed != SB_OK || taken != SB_TAKEN_INVALID);
    if (node->failed == SB_OK && taken != SB_TAKEN_EARLY && taken != SB_TAKEN_LATE) {
        node->failed = sb_driver_block(&taken, node->driver, &m->message.as.proposal.block_id,
                                       sb_span(m->block, m->block_len), &node->diag);
        return true;
    }
    return node->failed != SB_OK || taken != SB_TAKEN_EARLY;
}

static void net_retry_early(struct net_node *node)
{
    for (size_t i = 0; i < node->early_count;) {
        if (net_hand(node, &node->early[i])) {
            free(node->early[i].block);
            node->early_count--;
            memmove(&node->early[i], &node->early[i + 1],
                    (node->early_count - i) * sizeof node->early[0]);
        } else {
            i++;
        }
    }
}

static void net_deliver(struct net *net)
{
    while (net->queue_count != 0) {
        struct net_message m = net->queue[net->queue_head];
        struct net_node *node = &net->nodes[m.to];
        net->queue_head = (net->queue_head + 1) % NET_MESSAGES_MAX;
        net->queue_count--;
        if (net_hand(node, &m) || node->early_count == NET_EARLY_MAX) {
            free(m.block);
        } else {
            node->early[node->early_count++] = m;
        }
    }
}

static uint64_t net_height(const struct net *net)
{
    uint64_t height = 0;
    for (size_t i = 0; i < net->count; i++) {
        uint64_t here = stub_application_height(net->nodes[i].app);
        height = here > height ? here : height;
    }
    return height;
}

/* net_sync: one block from another node to one that is behind. */
static bool net_sync(struct net *net, struct net_node *node)
{
    for (size_t i = 0; i < net->count; i++) {
        const struct net_node *other = &net->nodes[i];
        uint64_t next = stub_application_height(node->app) + 1;
        if (stub_application_height(other->app) < next || node->is_off || node->failed != SB_OK) {
            continue;
        }
        struct sb_arena arena;
        sb_bytes encoded;
        struct sb_commit commit;
        enum sb_driver_taken taken;
        sb_arena_init(&arena, (size_t)64 << 20);
        assert_int_equal(other->table.block(other->app, &arena, next, &encoded, &commit), SB_OK);
        node->failed = sb_driver_sync_block(&taken, node->driver, encoded, &commit, &node->diag);
        sb_arena_fini(&arena);
        assert_true(node->failed != SB_OK || taken == SB_TAKEN_NEW);
        return node->failed == SB_OK;
    }
    return false;
}

/* net_timers: move time to the next timer and let it run out. false: none is set. */
static bool net_timers(struct net *net)
{
    struct net_node *first = NULL;
    int kind = 0;
    for (size_t i = 0; i < net->count; i++) {
        struct net_node *node = &net->nodes[i];
        for (int k = 0; k < NET_TIMERS && node->failed == SB_OK && node->driver != NULL; k++) {
            if (node->timers[k].is_set &&
                (first == NULL || node->timers[k].at_ms < first->timers[kind].at_ms)) {
                first = node;
                kind = k;
            }
        }
    }
    if (first == NULL) {
        return false;
    }
    struct net_timer timer = first->timers[kind];
    first->timers[kind].is_set = false;
    net->now_ms = timer.at_ms > net->now_ms ? timer.at_ms : net->now_ms;
    first->failed = sb_driver_timeout(first->driver, (enum sb_bft_timeout)kind, timer.height,
                                      timer.round, &first->diag);
    return true;
}

/* net_turn: begin heights, deliver all, then sync or let a timer run out. */
static void net_turn(struct net *net, uint64_t target)
{
    bool moved = false;
    for (size_t i = 0; i < net->count; i++) {
        struct net_node *node = &net->nodes[i];
        if (node->driver != NULL && node->failed == SB_OK && !node->is_off &&
            sb_driver_is_idle(node->driver) && stub_application_height(node->app) < target &&
            stub_application_height(node->app) == net_height(net)) {
            net->now_ms += 10;
            node->failed = sb_driver_start_height(node->driver, &node->diag);
            moved = true;
        }
    }
    for (size_t i = 0; i < net->count; i++) {
        net_retry_early(&net->nodes[i]);
    }
    moved = moved || net->queue_count != 0;
    net_deliver(net);
    if (moved) {
        return;
    }
    for (size_t i = 0; i < net->count; i++) {
        struct net_node *node = &net->nodes[i];
        if (node->driver != NULL && stub_application_height(node->app) < net_height(net) &&
            net_sync(net, node)) {
            return;
        }
    }
    (void)net_timers(net);
}

static bool net_is_done(const struct net *net, uint64_t target)
{
    for (size_t i = 0; i < net->count; i++) {
        const struct net_node *node = &net->nodes[i];
        if (!node->is_off && node->failed == SB_OK && stub_application_height(node->app) < target) {
            return false;
        }
    }
    return true;
}

/* net_run: until all nodes that take part hold this height; false when it takes too long. */
static bool net_run(struct net *net, uint64_t target)
{
    for (int turn = 0; turn < 2000 && !net_is_done(net, target); turn++) {
        net_turn(net, target);
    }
    net_deliver(net);
    return net_is_done(net, target);
}

/* net_check_agreement: all chains are prefixes of the longest. */
static void net_check_agreement(const struct net *net)
{
    for (size_t i = 0; i < net->count; i++) {
        for (uint64_t h = 1; h <= stub_application_height(net->nodes[i].app); h++) {
            for (size_t k = 0; k < i; k++) {
                if (h <= stub_application_height(net->nodes[k].app)) {
                    sb_hash a = stub_application_block_id(net->nodes[i].app, h);
                    sb_hash b = stub_application_block_id(net->nodes[k].app, h);
                    assert_memory_equal(a.b, b.b, sizeof a.b);
                }
            }
        }
    }
}

#endif
