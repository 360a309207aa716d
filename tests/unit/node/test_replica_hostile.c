/* test_replica_hostile.c: one peer that lies, floods, withholds or sends noise, against replicas that go on: progress, memory and
 * answers stay bounded. The faults of published advisories carry their number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/replica_impl.h"
#include "tests/support/replica_net.h"

#define BAN 100

/* A net of four validators and a hostile peer of all of them. */
static struct replica_net *hostile_net(size_t *ret_actor, uint64_t seed, uint64_t interval_ms,
                                       size_t padding)
{
    struct replica_net_options options = {.nodes = 4,
                                          .seed = seed,
                                          .delay_ms = 10,
                                          .interval_ms = interval_ms,
                                          .padding_bytes = padding};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start_all(net);
    assert_true(replica_net_run_to(net, 3, 10000));
    *ret_actor = replica_net_actor(net);
    replica_net_run(net, 50);
    return net;
}

/* finish: the four go on as if nothing were. */
static void finish(struct replica_net *net, uint64_t blocks, uint64_t max_ms)
{
    uint64_t height = replica_net_height(net, 0);
    assert_true(replica_net_run_to(net, height + blocks, max_ms));
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 4; j++) {
            assert_int_equal(net->nodes[i].offences[j], 0);
        }
    }
    replica_net_check_agreement(net);
    replica_net_free(net);
}

static bool is_dropped(const struct replica_net *net, size_t node, size_t actor)
{
    return !net->links[actor][node].is_up;
}

static struct sb_message status_message(uint64_t sequence, uint64_t head, bool asks)
{
    struct sb_message m = {.kind = SB_MESSAGE_STATUS};
    m.as.status = (struct sb_message_status){
        .sequence = sequence, .head = head, .oldest = 1, .step = 1, .asks = asks};
    return m;
}

static void noise_on_every_channel_ends_the_connection(void **state)
{
    (void)state;
    for (int channel = 0; channel < SB_CHANNEL_COUNT; channel++) {
        size_t actor;
        uint8_t bytes[64];
        struct replica_net *net = hostile_net(&actor, 200 + (uint64_t)channel, 0, 0);
        for (int i = 0; i < 20; i++) {
            sb_random_fill(&net->random, bytes, sizeof bytes);
            for (size_t node = 0; node < 4; node++) {
                replica_net_send(net, actor, node, (enum sb_channel)channel,
                                 sb_span(bytes, sizeof bytes));
            }
        }
        replica_net_run(net, 100);
        for (size_t node = 0; node < 4; node++) {
            assert_true(is_dropped(net, node, actor));
        }
        finish(net, 10, 2000);
    }
}

static void false_votes_end_the_connection_after_few_checks(void **state)
{
    (void)state;
    size_t actor;
    struct replica_net *net = hostile_net(&actor, 220, 1000, 0);
    sb_hash id = {.b = {1}};
    for (int i = 0; i < 50; i++) {
        struct sb_message m = {.kind = SB_MESSAGE_VOTE};
        m.as.vote = replica_net_sign_vote(net, 1, SB_VOTE_PREVOTE, replica_net_height(net, 0) + 1,
                                          5 + i, &id);
        m.as.vote.signature.bytes[0] ^= 1;
        replica_net_send_message(net, actor, 0, &m);
    }
    replica_net_run(net, 20);
    assert_true(is_dropped(net, 0, actor));
    assert_int_equal(net->nodes[0].offences[actor], BAN);
    finish(net, 3, 10000);
}

/* ASA-2025-002: a part whose index is not that of its proof. */
static void part_with_another_index_than_its_proof_is_refused(void **state)
{
    (void)state;
    size_t actor;
    struct replica_net *net = hostile_net(&actor, 221, 1000, 200000);
    uint64_t height = 0;
    /* Find a moment when a block is being put together. */
    const struct assembly *a = NULL;
    while (a == NULL) {
        replica_net_run(net, 1);
        const struct assembly *first = &net->nodes[0].replica->assemblies[0];
        a = first->is_used && !first->is_done ? first : NULL;
        /* parts take as long as the proposal: hold them back */
        for (size_t i = 1; i < 4; i++) {
            net->links[i][0].reorders = true;
            net->links[i][0].jitter_ms = 30;
        }
    }
    height = a->height;
    struct sb_message m = {.kind = SB_MESSAGE_PART};
    static uint8_t bytes[SB_PART_BYTES];
    m.as.part = (struct sb_message_part){
        .height = height, .round = 0, .bytes = sb_span(bytes, sizeof bytes)};
    m.as.part.proof.count = a->have.count;
    while (sb_bits_get(&a->have, m.as.part.proof.index)) {
        m.as.part.proof.index++;
    }
    uint32_t place = m.as.part.proof.index;
    m.as.part.bytes.len =
        place + 1 < a->have.count ? SB_PART_BYTES : a->block_bytes - place * SB_PART_BYTES;
    for (uint32_t width = a->have.count; width > 1; width = width / 2 + width % 2) {
        m.as.part.proof.depth = (uint8_t)(m.as.part.proof.depth + ((place ^ 1) < width ? 1 : 0));
        place /= 2;
    }
    net->links[actor][0].delay_ms = 0;
    replica_net_send_message(net, actor, 0, &m);
    replica_net_run(net, 0);
    assert_false(sb_bits_get(&a->have, m.as.part.proof.index));
    assert_int_equal(net->nodes[0].offences[actor], 0); /* it may hold another proposal */
    m.as.part.proof.count++;
    m.as.part.proof.index = 0;
    m.as.part.bytes.len = 1;
    for (int i = 0; i < 1200; i++) {
        replica_net_send_message(net, actor, 0, &m);
    }
    replica_net_run(net, 0);
    assert_true(is_dropped(net, 0, actor)); /* but not so many */
    finish(net, 10, 20000);
}

/* ASA-2025-003: bits and their length disagree; and the length is not that of the set. */
static void bits_of_another_length_are_refused(void **state)
{
    (void)state;
    size_t actor;
    struct replica_net *net = hostile_net(&actor, 222, 0, 0);
    for (uint32_t count = 5; count < 20; count++) {
        struct sb_message m = {.kind = SB_MESSAGE_VOTES};
        m.as.votes = (struct sb_message_votes){.height = replica_net_height(net, 0) + 1,
                                               .type = SB_VOTE_PREVOTE,
                                               .bits = {.count = count, .words = {1}}};
        replica_net_send_message(net, actor, 0, &m);
    }
    replica_net_run(net, 20);
    assert_true(is_dropped(net, 0, actor));
    finish(net, 10, 2000);
}

/* ASA-2025-001, first half. */
static void peer_that_lowers_its_height_is_dropped(void **state)
{
    (void)state;
    size_t actor;
    struct replica_net *net = hostile_net(&actor, 223, 0, 0);
    struct sb_message high = status_message(1, 2000, false);
    struct sb_message low = status_message(2, 1000, false);
    replica_net_send_message(net, actor, 0, &high);
    replica_net_run(net, 20);
    assert_false(is_dropped(net, 0, actor));
    replica_net_send_message(net, actor, 0, &low);
    replica_net_run(net, 20);
    assert_true(is_dropped(net, 0, actor));
    finish(net, 10, 2000);
}

/* ASA-2025-001, second half: it announces and never delivers: validators do not even slow down. */
static void peer_that_claims_a_height_does_not_slow_validators(void **state)
{
    (void)state;
    size_t actor;
    struct replica_net *net = hostile_net(&actor, 224, 0, 0);
    struct sb_message high = status_message(1, 1000000, true);
    for (size_t i = 0; i < 4; i++) {
        replica_net_send_message(net, actor, i, &high);
    }
    uint64_t before = replica_net_height(net, 0);
    replica_net_run(net, 30000);
    assert_true(replica_net_height(net, 0) - before >= 990); /* 30 ms a block */
    finish(net, 10, 2000);
}

static void starting_node_gives_up_a_peer_that_never_delivers(void **state)
{
    (void)state;
    struct replica_net_options options = {.nodes = 4, .seed = 225, .delay_ms = 10};
    struct replica_net *net = replica_net_new(&options);
    size_t actor = replica_net_actor(net);
    replica_net_start(net, 0);
    replica_net_start(net, 1);
    replica_net_start(net, 2);
    assert_true(replica_net_run_to(net, 20, 60000));
    replica_net_start(net, 3);
    struct sb_message high = status_message(1, 1000000, false);
    replica_net_send_message(net, actor, 3, &high);
    replica_net_run(net, 60000);
    assert_false(sb_replica_status(net->nodes[3].replica).is_syncing);
    assert_true(replica_net_height(net, 3) + 3 > replica_net_height(net, 0));
    assert_true(net->nodes[3].offences[actor] >= SB_OFFENCE_SLOW);
    finish(net, 10, 2000);
}

/* All validators start, and two liars come again under new names in turn, each before its claim is forgotten: they vote all the same. */
static void liars_that_come_one_after_another_do_not_stop_a_start(void **state)
{
    (void)state;
    struct replica_net_options options = {.nodes = 4, .seed = 242, .delay_ms = 10};
    struct replica_net *net = replica_net_new(&options);
    struct sb_message high = status_message(1, 1000000, false);
    size_t actors[2] = {replica_net_actor(net), replica_net_actor(net)};
    for (size_t i = 0; i < 4; i++) {
        replica_net_start(net, i);
    }
    for (size_t name = 0; name < 20; name++) {
        size_t actor = actors[name % 2];
        for (size_t i = 0; i < 4; i++) {
            replica_net_disconnect(net, actor, i);
            replica_net_connect(net, actor, i);
            net->links[actor][i].delay_ms = 0;
            replica_net_send_message(net, actor, i, &high);
        }
        replica_net_run(net, 2000);
    }
    assert_true(replica_net_height(net, 0) > 100);
    finish(net, 10, 2000);
}

/* A validator starts while the chain moves, and liars keep coming under new names: soon it votes, and goes on doing so. */
static void liars_do_not_hold_a_starting_validator_in_sync(void **state)
{
    (void)state;
    struct replica_net_options options = {
        .nodes = 4, .seed = 247, .delay_ms = 10, .interval_ms = 500};
    struct replica_net *net = replica_net_new(&options);
    struct sb_message high = status_message(1, 1000000, false);
    size_t actors[2] = {replica_net_actor(net), replica_net_actor(net)};
    for (size_t i = 0; i < 3; i++) {
        replica_net_start(net, i);
    }
    assert_true(replica_net_run_to(net, 60, 200000));
    replica_net_start(net, 3);
    uint64_t syncing_ms = 0;
    for (size_t step = 0; step < 600; step++) { /* two minutes */
        size_t actor = actors[step / 10 % 2];
        if (step % 10 == 0) {
            replica_net_disconnect(net, actor, 3);
            replica_net_connect(net, actor, 3);
            net->links[actor][3].delay_ms = 0;
            replica_net_send_message(net, actor, 3, &high);
        }
        replica_net_run(net, 200);
        syncing_ms += sb_replica_status(net->nodes[3].replica).is_syncing ? 200 : 0;
    }
    printf("# %lu ms of 120000 in sync\n", (unsigned long)syncing_ms);
    assert_true(syncing_ms > 0 && syncing_ms < 15000);
    assert_true(replica_net_height(net, 3) + 3 > replica_net_height(net, 0));
    finish(net, 10, 20000);
}

/* Honest peers behind a slow way: every answer is late, none of them costs more than slowness does, and the blocks are of use. */
static void slow_honest_peers_are_never_banned(void **state)
{
    (void)state;
    struct replica_net_options options = {
        .nodes = 4, .seed = 243, .delay_ms = 10, .interval_ms = 1000};
    struct replica_net *net = replica_net_new(&options);
    for (size_t i = 0; i < 3; i++) {
        replica_net_start(net, i);
        net->links[i][3].delay_ms = net->links[3][i].delay_ms = 2500;
    }
    assert_true(replica_net_run_to(net, 60, 200000));
    replica_net_start(net, 3);
    replica_net_run(net, 240000);
    for (size_t i = 0; i < 3; i++) {
        assert_true(net->nodes[3].offences[i] <= 5 * SB_OFFENCE_SLOW);
        assert_int_equal(net->nodes[i].offences[3], 0);
        assert_false(net->nodes[3].drops[i]);
    }
    assert_true(replica_net_height(net, 3) + 20 > replica_net_height(net, 0));
    replica_net_check_agreement(net);
    replica_net_free(net);
}

/* ---- GHSA-hg58-rf2h-6rr7: false blocks for a node that syncs ---- */

struct forger {
    int way;
    size_t answered;
};

static void forge_blocks(void *ctx, struct replica_net_node *actor, size_t from,
                         enum sb_channel channel, sb_bytes message)
{
    struct forger *forger = ctx;
    struct sb_arena arena;
    struct sb_message m;
    sb_arena_init(&arena, (size_t)64 << 20);
    if (channel == SB_CHANNEL_SYNC &&
        sb_message_decode(&m, &arena, channel, message, NULL) == SB_OK &&
        m.kind == SB_MESSAGE_SYNC_REQUEST) {
        const struct sb_application *app = &actor->net->nodes[0].table;
        struct sb_message out = {.kind = SB_MESSAGE_SYNC_BLOCK};
        out.as.sync_block.height = m.as.sync_height;
        if (app->block(app->ctx, &arena, m.as.sync_height, &out.as.sync_block.encoded,
                       &out.as.sync_block.commit) == SB_OK) {
            struct sb_commit *commit = &out.as.sync_block.commit;
            struct sb_commit_sig *sigs = sb_arena_array(&arena, commit->sig_count, sizeof *sigs);
            uint8_t *block = sb_arena_dup(&arena, out.as.sync_block.encoded);
            memcpy(sigs, commit->sigs, commit->sig_count * sizeof *sigs);
            if (forger->way == 0) {
                for (size_t i = 0; i < commit->sig_count; i++) {
                    sigs[i].signature.bytes[3] ^= sigs[i].signature.len != 0 ? 1 : 0;
                }
            } else if (forger->way == 1) {
                block[out.as.sync_block.encoded.len - 1] ^= 1;
            } else {
                commit->block_id.b[0] ^= 1;
            }
            commit->sigs = sigs;
            out.as.sync_block.encoded.data = block;
            forger->answered++;
            replica_net_send_message(actor->net, actor->index, from, &out);
        }
    }
    sb_arena_fini(&arena);
}

static void false_blocks_are_refused_and_asked_of_others(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        struct replica_net_options options = {.nodes = 4, .seed = 226, .delay_ms = 10};
        struct replica_net *net = replica_net_new(&options);
        struct forger forger = {.way = way};
        size_t actor = replica_net_actor(net);
        net->nodes[actor].on_message = forge_blocks;
        net->nodes[actor].on_message_ctx = &forger;
        replica_net_start(net, 0);
        replica_net_start(net, 1);
        replica_net_start(net, 2);
        assert_true(replica_net_run_to(net, 20, 60000));
        replica_net_start(net, 3);
        struct sb_message high = status_message(1, replica_net_height(net, 0), false);
        net->links[actor][3].delay_ms = 0;
        replica_net_send_message(net, actor, 3, &high);
        replica_net_run(net, 5000);
        assert_true(forger.answered > 0);
        assert_true(is_dropped(net, 3, actor));
        assert_true(replica_net_height(net, 3) + 3 > replica_net_height(net, 0));
        finish(net, 10, 2000);
    }
}

/* ---- floods ---- */

struct counter {
    size_t messages, bytes;
};

static void count_messages(void *ctx, struct replica_net_node *actor, size_t from,
                           enum sb_channel channel, sb_bytes message)
{
    struct counter *counter = ctx;
    (void)actor;
    (void)from;
    counter->messages += channel == SB_CHANNEL_SYNC || channel == SB_CHANNEL_VOTE ? 1 : 0;
    counter->bytes += message.len;
}

static void requests_and_questions_are_answered_at_a_bounded_rate(void **state)
{
    (void)state;
    size_t actor;
    struct replica_net *net = hostile_net(&actor, 230, 1000, 60000);
    struct counter counter = {.messages = 0};
    net->nodes[actor].on_message = count_messages;
    net->nodes[actor].on_message_ctx = &counter;
    for (uint64_t i = 1; i <= 5000; i++) {
        struct sb_message ask = status_message(i, replica_net_height(net, 0), true);
        struct sb_message request = {.kind = SB_MESSAGE_SYNC_REQUEST, .as.sync_height = 1 + i % 3};
        struct sb_message none = {.kind = SB_MESSAGE_SYNC_REQUEST, .as.sync_height = 100000};
        struct sb_message want = {.kind = SB_MESSAGE_WANT};
        want.as.want = (struct sb_message_want){
            .height = replica_net_height(net, 0) + 1, .round = 0, .block_id = {.b = {1}}};
        replica_net_send_message(net, actor, 0, &ask);
        replica_net_send_message(net, actor, 0, &request);
        replica_net_send_message(net, actor, 0, &none);
        replica_net_send_message(net, actor, 0, &want);
        if (i % 5 == 0) {
            replica_net_run(net, 1);
        }
    }
    /* a second's worth: budget 64 + 100 blocks of 60 kB, a few answers of votes, and what is new */
    printf("# %zu answers, %zu bytes to 20000 questions in a second\n", counter.messages,
           counter.bytes);
    assert_true(counter.messages < 600);
    assert_true(counter.bytes < (size_t)16 << 20);
    finish(net, 5, 10000);
}

static void messages_of_the_height_after_next_take_bounded_memory(void **state)
{
    (void)state;
    size_t actor;
    struct replica_net *net = hostile_net(&actor, 231, 2000, 0);
    const struct sb_replica *replica = net->nodes[0].replica;
    static uint8_t bytes[SB_PART_BYTES];
    struct sb_message part = {.kind = SB_MESSAGE_PART};
    part.as.part =
        (struct sb_message_part){.proof = {.count = 1}, .bytes = sb_span(bytes, sizeof bytes)};
    for (int i = 0; i < 400; i++) {
        part.as.part.height = replica_net_height(net, 0) + 2;
        replica_net_send_message(net, actor, 0, &part);
        sb_hash id = {.b = {(uint8_t)i, 1}};
        struct sb_message vote = {.kind = SB_MESSAGE_VOTE};
        vote.as.vote =
            replica_net_sign_vote(net, 1, SB_VOTE_PREVOTE, replica_net_height(net, 0) + 2, i, &id);
        replica_net_send_message(net, actor, 0, &vote);
        replica_net_run(net, 2);
        assert_true(replica->early_bytes <= SB_EARLY_PEER_BYTES_MAX + 65536);
    }
    finish(net, 5, 20000);
}

/* A validator that votes in every round there is, for a block of its own each time. */
static void validator_that_votes_in_all_rounds_changes_nothing(void **state)
{
    (void)state;
    struct replica_net_options options = {.nodes = 4, .seed = 232, .delay_ms = 10};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start(net, 0);
    replica_net_start(net, 1);
    replica_net_start(net, 2);
    assert_true(replica_net_run_to(net, 3, 30000));
    size_t actor = replica_net_actor(net);
    for (int i = 0; i < 3000; i++) {
        sb_hash id = {.b = {(uint8_t)i, (uint8_t)(i >> 8), 7}};
        int32_t round = i % 3 == 0 ? i * 700001 % 2000000000 : i % 50;
        struct sb_message m = {.kind = SB_MESSAGE_VOTE};
        m.as.vote = replica_net_sign_vote(net, 3, i % 2 == 0 ? SB_VOTE_PREVOTE : SB_VOTE_PRECOMMIT,
                                          replica_net_height(net, 0) + 1, round, &id);
        replica_net_send_message(net, actor, (size_t)i % 3, &m);
        if (i % 10 == 0) {
            replica_net_run(net, 1);
        }
    }
    for (size_t node = 0; node < 3; node++) {
        assert_true(net->nodes[node].replica->early_bytes <= 2 * SB_EARLY_PEER_BYTES_MAX);
    }
    uint64_t height = replica_net_height(net, 0);
    assert_true(replica_net_run_to(net, height + 5, 60000));
    replica_net_check_agreement(net);
    replica_net_free(net);
}

/* One validator votes as soon as a height is committed: it begins no height for the others. A second one does: of the two one is honest. */
static void one_vote_does_not_begin_a_height_early(void **state)
{
    (void)state;
    size_t actor;
    struct replica_net *net = hostile_net(&actor, 244, 2500, 0);
    uint64_t height = replica_net_height(net, 0);
    assert_true(replica_net_run_to(net, height + 1, 10000));
    replica_net_run(net, 100);
    height = replica_net_height(net, 0) + 1;
    const struct sb_application *app = &net->nodes[0].table;
    uint32_t proposer = sb_rotation_proposer(app->rotation(app->ctx, height), 0);
    size_t voters = 0;
    for (size_t signer = 0; signer < 4 && voters < 2; signer++) {
        struct sb_message m = {.kind = SB_MESSAGE_VOTE};
        sb_hash id = {.b = {9}};
        m.as.vote = replica_net_sign_vote(net, signer, SB_VOTE_PREVOTE, height, 0, &id);
        if (m.as.vote.validator_index == proposer) {
            continue;
        }
        voters++;
        for (int again = 0; again < 3; again++) { /* also in other rounds, and repeated */
            m.as.vote = replica_net_sign_vote(net, signer, SB_VOTE_PREVOTE, height, again, &id);
            for (size_t node = 0; node < 4; node++) {
                replica_net_send_message(net, actor, node, &m);
            }
        }
        replica_net_run(net, 50);
        size_t begun = 0;
        for (size_t node = 0; node < 4; node++) {
            begun += sb_replica_is_begun(net->nodes[node].replica) ? 1 : 0;
        }
        assert_int_equal(begun, voters == 1 ? 0 : 4);
    }
    /* those two voted twice now, so what they forged stands against them; agreement holds all the same */
    replica_net_run(net, 60000);
    replica_net_check_agreement(net);
    replica_net_free(net);
}

/* Checks that bring nothing, over all peers: a validator signs any number of votes, and many peers bring them at once. */
static void vain_checks_are_bounded_over_all_peers(void **state)
{
    (void)state;
    struct replica_net_options options = {
        .nodes = 4, .seed = 245, .delay_ms = 10, .interval_ms = 1000};
    struct replica_net *net = replica_net_new(&options);
    struct sb_replica *replica;
    size_t actors[4];
    for (size_t i = 0; i < 3; i++) {
        replica_net_start(net, i);
    }
    assert_true(replica_net_run_to(net, 3, 30000));
    for (size_t i = 0; i < 4; i++) {
        actors[i] = replica_net_actor(net);
    }
    replica_net_run(net, 50);
    replica = net->nodes[0].replica;
    uint32_t most = 0;
    uint64_t before = replica_net_height(net, 0);
    for (int i = 0; i < 20000; i++) {
        sb_hash id = {.b = {(uint8_t)i, (uint8_t)(i >> 8), 8}};
        struct sb_message m = {.kind = SB_MESSAGE_VOTE};
        m.as.vote =
            replica_net_sign_vote(net, 3, SB_VOTE_PREVOTE, replica_net_height(net, 0) + 1, 40, &id);
        replica_net_send_message(net, actors[i % 4], 0, &m);
        if (i % 20 == 0) {
            replica_net_run(net, 1); /* 20 a millisecond: 2,000 in each window of 100 ms */
            most = replica->checks_used > most ? replica->checks_used : most;
        }
    }
    printf("# at most %u checks in a window of 100 ms\n", most);
    assert_true(most >= 200 && most <= 420);
    assert_true(replica_net_run_to(net, before + 5, 60000));
    replica_net_check_agreement(net);
    replica_net_free(net);
}

/* Peers that ask for the parts of different blocks in turn: each tree is made once. */
static void part_trees_of_competing_blocks_are_made_once(void **state)
{
    (void)state;
    size_t actor;
    struct replica_net *net = hostile_net(&actor, 246, 1000, 0);
    struct sb_replica *replica = net->nodes[0].replica;
    static uint8_t blocks[SB_TREES_MAX][100000];
    const struct sb_part_tree *trees[SB_TREES_MAX];
    for (size_t i = 0; i < SB_TREES_MAX; i++) {
        sb_hash id = {.b = {(uint8_t)(i + 1), 0xaa}};
        blocks[i][0] = (uint8_t)i;
        trees[i] = sb_replica_tree(replica, &id, sb_span(blocks[i], sizeof blocks[i]));
        assert_non_null(trees[i]);
    }
    for (size_t i = 0; i < 3 * SB_TREES_MAX; i++) {
        sb_hash id = {.b = {(uint8_t)(i % SB_TREES_MAX + 1), 0xaa}};
        /* the bytes are not looked at again; but without any there is nothing to send */
        assert_ptr_equal(sb_replica_tree(replica, &id, sb_span(blocks[0], 1)),
                         trees[i % SB_TREES_MAX]);
        assert_null(sb_replica_tree(replica, &id, sb_span(NULL, 0)));
    }
    sb_hash none = {.b = {0xbb}};
    assert_null(sb_replica_tree(replica, &none, sb_span(NULL, 0)));
    finish(net, 3, 10000);
}

/* Two votes of one validator: everybody learns of it, once, and it costs nobody his standing. */
static void double_vote_becomes_evidence_everywhere(void **state)
{
    (void)state;
    struct replica_net_options options = {
        .nodes = 4, .seed = 233, .delay_ms = 10, .interval_ms = 300};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start(net, 0);
    replica_net_start(net, 1);
    replica_net_start(net, 2);
    assert_true(replica_net_run_to(net, 3, 30000));
    size_t actor = replica_net_actor(net);
    replica_net_run(net, 50);
    uint64_t height = replica_net_height(net, 0) + 1;
    for (size_t i = 0; i < 2; i++) {
        sb_hash id = {.b = {(uint8_t)(i + 1)}};
        struct sb_message m = {.kind = SB_MESSAGE_VOTE};
        m.as.vote = replica_net_sign_vote(net, 3, SB_VOTE_PREVOTE, height, 0, &id);
        replica_net_send_message(net, actor, i, &m); /* one to each of two */
    }
    assert_true(replica_net_run_to(net, height + 4, 60000));
    /* It is in the chain: in some block up to here. */
    struct sb_arena arena;
    size_t found = 0;
    sb_arena_init(&arena, (size_t)64 << 20);
    for (uint64_t h = height; h <= replica_net_height(net, 0); h++) {
        struct sb_consensus_block block;
        struct sb_commit commit;
        sb_bytes raw;
        const struct sb_application *app = &net->nodes[0].table;
        assert_int_equal(app->block(app->ctx, &arena, h, &raw, &commit), SB_OK);
        assert_int_equal(sb_consensus_block_decode(&block, &arena, raw, NULL), SB_OK);
        found += block.evidence_count;
    }
    sb_arena_fini(&arena);
    assert_int_equal(found, 1);
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 3; j++) {
            assert_int_equal(net->nodes[i].offences[j], 0);
        }
    }
    replica_net_free(net);
}

/* cometbft PR #5324: a proposal that is larger than the chain allows takes no memory. A proposer that keeps its parts back costs a round. */
/* A validator signs as many double votes as it likes, all true and all new. */
static void evidence_without_end_costs_few_checks(void **state)
{
    (void)state;
    size_t actor;
    struct replica_net *net = hostile_net(&actor, 243, 1000, 0);
    uint64_t height = replica_net_height(net, 0);
    const struct sb_verify_cache *cache = net->nodes[0].cache;
    uint64_t before = sb_verify_cache_counters(cache).misses;
    for (int32_t round = 0; round < 2000; round++) {
        struct sb_message m = {.kind = SB_MESSAGE_EVIDENCE};
        m.as.evidence.kind = SB_EVIDENCE_DUPLICATE_VOTE;
        sb_hash a = {.b = {1}};
        sb_hash b = {.b = {2}};
        m.as.evidence.a = replica_net_sign_vote(net, 3, SB_VOTE_PREVOTE, height, round, &a);
        m.as.evidence.b = replica_net_sign_vote(net, 3, SB_VOTE_PREVOTE, height, round, &b);
        replica_net_send_message(net, actor, 0, &m);
    }
    replica_net_run(net, 100);
    uint64_t checks = sb_verify_cache_counters(cache).misses - before;
    printf("# %zu checks for 2000 pieces\n", (size_t)checks);
    assert_in_range(checks, 100, 1200);
    finish(net, 3, 10000);
}

static void proposal_without_its_parts_costs_a_round(void **state)
{
    (void)state;
    struct replica_net_options options = {
        .nodes = 4, .seed = 234, .delay_ms = 10, .interval_ms = 300};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start(net, 0);
    replica_net_start(net, 1);
    replica_net_start(net, 2);
    size_t actor = replica_net_actor(net);
    for (int turn = 0; turn < 3; turn++) {
        uint64_t height;
        for (;;) {
            height = replica_net_height(net, 0) + 1;
            if (replica_net_proposer(net, height, 0) == 3) {
                break;
            }
            assert_true(replica_net_run_to(net, height, 30000));
        }
        struct sb_message m = {.kind = SB_MESSAGE_PROPOSAL};
        m.as.proposal = (struct sb_proposal){.height = height,
                                             .pol_round = -1,
                                             .block_id = {.b = {9, (uint8_t)turn}},
                                             .parts_root = {.b = {8}},
                                             .block_bytes = 10 * 1024 * 1024};
        replica_net_sign_proposal(net, 3, &m.as.proposal);
        for (size_t i = 0; i < 3; i++) {
            replica_net_send_message(net, actor, i, &m);
        }
        assert_true(replica_net_run_to(net, height, 30000));
    }
    for (size_t i = 0; i < 3; i++) {
        assert_true(sb_replica_status(net->nodes[i].replica).driver.rounds >= 3);
    }
    replica_net_check_agreement(net);
    replica_net_free(net);
}

static void blocks_and_answers_that_nobody_asked_for_end_the_connection(void **state)
{
    (void)state;
    size_t actor;
    struct replica_net *net = hostile_net(&actor, 235, 0, 0);
    static uint8_t bytes[300000];
    struct sb_commit_sig sig = {.flag = SB_COMMIT_BLOCK, .signature = {.len = 64}};
    for (int i = 0; i < 150; i++) {
        struct sb_message m = {.kind = SB_MESSAGE_SYNC_BLOCK};
        uint64_t height = replica_net_height(net, 0) + 1;
        m.as.sync_block = (struct sb_message_sync_block){.height = height,
                                                         .encoded = sb_span(bytes, sizeof bytes)};
        m.as.sync_block.commit = (struct sb_commit){
            .height = height, .block_id = {.b = {1}}, .sigs = &sig, .sig_count = 1};
        replica_net_send_message(net, actor, 0, &m);
    }
    replica_net_run(net, 50);
    assert_true(is_dropped(net, 0, actor));
    finish(net, 10, 2000);
}

/* Everything that the network says, said again by the peer to everybody, many times over. */
static void replay_of_everything_costs_little(void **state)
{
    (void)state;
    size_t actor;
    struct replica_net *net = hostile_net(&actor, 236, 0, 0);
    struct sb_message m = status_message(1, 3, false);
    for (size_t i = 0; i < 4; i++) {
        replica_net_send_message(net, actor, i, &m);
    }
    uint64_t begun = net->now_ms;
    uint64_t from = replica_net_height(net, 0);
    sb_hash nil = {{0}};
    for (int i = 0; i < 2000; i++) {
        uint64_t height = replica_net_height(net, 0);
        struct sb_message vote = {.kind = SB_MESSAGE_VOTE};
        vote.as.vote = replica_net_sign_vote(net, 2, SB_VOTE_PRECOMMIT, height, 0, &nil);
        vote.as.vote.block_id = stub_application_block_id(net->nodes[0].app, height);
        vote.as.vote =
            replica_net_sign_vote(net, 2, SB_VOTE_PRECOMMIT, height, 0, &vote.as.vote.block_id);
        for (size_t node = 0; node < 4; node++) {
            replica_net_send_message(net, actor, node, &vote);
        }
        replica_net_run(net, 1);
    }
    uint64_t blocks = replica_net_height(net, 0) - from;
    assert_true(blocks * 31 >= net->now_ms - begun);
    finish(net, 10, 2000);
}

/* until_proposer: run to a height of which this node is the first proposer; returns it. */
static uint64_t until_proposer(struct replica_net *net, size_t node)
{
    uint64_t height = replica_net_height(net, 0) + 1;
    while (replica_net_proposer(net, height, 0) != node) {
        assert_true(replica_net_run_to(net, height++, 30000));
    }
    return height;
}

/* send_block: a proposal of node 3 with all of its parts. */
static void send_block(struct replica_net *net, size_t actor, size_t to, uint64_t height,
                       sb_bytes block)
{
    struct sb_message m = {.kind = SB_MESSAGE_PROPOSAL};
    m.as.proposal = (struct sb_proposal){.height = height,
                                         .pol_round = -1,
                                         .block_id = {.b = {block.data[0]}},
                                         .block_bytes = (uint32_t)block.len};
    assert_int_equal(sb_parts_root(&m.as.proposal.parts_root, block), SB_OK);
    replica_net_sign_proposal(net, 3, &m.as.proposal);
    replica_net_send_message(net, actor, to, &m);
    for (uint32_t i = 0; i < sb_part_count(block.len); i++) {
        struct sb_message part = {.kind = SB_MESSAGE_PART};
        part.as.part.height = height;
        part.as.part.bytes = sb_span_slice(block, i * SB_PART_BYTES, SB_PART_BYTES);
        assert_int_equal(sb_part_prove(&part.as.part.proof, block, i), SB_OK);
        replica_net_send_message(net, actor, to, &part);
    }
}

/* Two proposals of one round, one to each half: their parts travel among honest nodes, which hold the other proposal. */
static void two_proposals_of_a_round_set_no_honest_nodes_against_each_other(void **state)
{
    (void)state;
    static uint8_t bytes[5 * SB_PART_BYTES];
    for (int longer = 0; longer < 2; longer++) {
        struct replica_net_options options = {
            .nodes = 4, .seed = 237, .delay_ms = 10, .interval_ms = 300};
        struct replica_net *net = replica_net_new(&options);
        for (size_t i = 0; i < 3; i++) {
            replica_net_start(net, i);
        }
        size_t actor = replica_net_actor(net);
        replica_net_run(net, 1000);
        uint64_t height = until_proposer(net, 3);
        for (size_t i = 0; i < 2; i++) {
            bytes[0] = (uint8_t)(i + 1);
            send_block(net, actor, i, height,
                       sb_span(bytes, longer != 0 && i == 1 ? 4 * SB_PART_BYTES : sizeof bytes));
        }
        assert_true(replica_net_run_to(net, height + 1, 30000));
        for (size_t i = 0; i < 3; i++) {
            for (size_t j = 0; j < 3; j++) {
                assert_int_equal(net->nodes[i].offences[j], 0);
            }
        }
        replica_net_check_agreement(net);
        replica_net_free(net);
    }
}

/* A proposer tells one node another root of the block's parts than all others: that node finds the block all the same, and nobody who
 * gives it to him is at fault. */
static void false_root_of_a_decided_block_costs_no_honest_node_his_standing(void **state)
{
    (void)state;
    size_t actor;
    struct replica_net *net = hostile_net(&actor, 238, 3000, 0);
    uint64_t height = until_proposer(net, 0);
    for (size_t i = 0; i < 3; i++) {
        replica_net_cut(net, i, 3, true);
    }
    const struct sb_bft *core = sb_replica_core(net->nodes[0].replica);
    while (sb_bft_status(core).height != height || sb_bft_proposal(core, 0) == NULL) {
        replica_net_run(net, 1);
    }
    struct sb_message m = {.kind = SB_MESSAGE_PROPOSAL};
    m.as.proposal = *sb_bft_proposal(core, 0);
    m.as.proposal.parts_root.b[0] ^= 1;
    replica_net_sign_proposal(net, 0, &m.as.proposal);
    replica_net_send_message(net, actor, 3, &m);
    replica_net_run(net, 200);
    assert_int_equal(replica_net_height(net, 0), height);
    assert_int_equal(replica_net_height(net, 3), height - 1);
    for (size_t i = 0; i < 3; i++) {
        replica_net_cut(net, i, 3, false);
    }
    assert_true(replica_net_run_to(net, height, 2500));
    finish(net, 3, 20000);
}

/* ---- blocks that cost more to give than to ask for ---- */

static size_t reads;
static struct sb_application real_table;

static sb_err count_reads(void *ctx, struct sb_arena *arena, uint64_t height, sb_bytes *ret_encoded,
                          struct sb_commit *ret_commit)
{
    reads++;
    return real_table.block(ctx, arena, height, ret_encoded, ret_commit);
}

/* It asks for blocks and takes none: they are not read again and again for it. */
static void peer_that_takes_nothing_does_not_keep_the_disk_busy(void **state)
{
    (void)state;
    size_t actor;
    struct replica_net *net = hostile_net(&actor, 240, 1000, 60000);
    assert_true(replica_net_run_to(net, 40, 60000));
    real_table = net->nodes[0].table;
    net->nodes[0].table.block = count_reads;
    reads = 0;
    net->links[0][actor].delay_ms = 1000000;
    net->nodes[0].queue_limit = 8;
    for (uint64_t i = 0; i < 10000; i++) {
        struct sb_message request = {.kind = SB_MESSAGE_SYNC_REQUEST, .as.sync_height = 1 + i % 40};
        replica_net_send_message(net, actor, 0, &request);
        replica_net_run(net, i % 2);
    }
    printf("# %zu blocks read in 5 s\n", reads);
    assert_true(reads < 40);
    finish(net, 3, 10000);
}

/* It asks again and again for the block that is being decided, whole. */
static void block_that_is_not_decided_is_given_whole_a_few_times(void **state)
{
    (void)state;
    size_t actor;
    struct replica_net *net = hostile_net(&actor, 241, 1000, 60000);
    struct counter counter = {.messages = 0};
    uint64_t height = until_proposer(net, 0);
    for (size_t i = 0; i < 2; i++) {
        replica_net_cut(net, i, 2, true);
        replica_net_cut(net, i, 3, true);
    }
    const struct sb_bft *core = sb_replica_core(net->nodes[0].replica);
    while (sb_bft_status(core).height != height || sb_bft_proposal(core, 0) == NULL) {
        replica_net_run(net, 1);
    }
    struct sb_message want = {.kind = SB_MESSAGE_WANT};
    want.as.want = (struct sb_message_want){
        .height = height, .round = 0, .block_id = sb_bft_proposal(core, 0)->block_id};
    replica_net_run(net, 100);
    net->nodes[actor].on_message = count_messages;
    net->nodes[actor].on_message_ctx = &counter;
    for (int i = 0; i < 2000; i++) {
        replica_net_send_message(net, actor, 0, &want);
        replica_net_run(net, 1);
    }
    printf("# %zu bytes in 2 s\n", counter.bytes);
    assert_in_range(counter.bytes, 60000, 12 * 62000);
    for (size_t i = 0; i < 2; i++) {
        replica_net_cut(net, i, 2, false);
        replica_net_cut(net, i, 3, false);
    }
    finish(net, 3, 60000);
}

/* A vote that found no room while its round was far away counts when it comes again in its round. */
static void vote_without_room_is_taken_when_its_round_has_come(void **state)
{
    (void)state;
    static const struct {
        size_t node;
        int32_t round;
    } votes[] = {{3, 9}, {3, 8}, {3, 5}, {1, 5}, {2, 5}, {3, 5}};
    struct replica_net_options options = {.nodes = 4, .seed = 239, .delay_ms = 1};
    struct replica_net *net = replica_net_new(&options);
    replica_net_start(net, 0);
    size_t actor = replica_net_actor(net);
    const struct sb_bft *core = sb_replica_core(net->nodes[0].replica);
    while (sb_bft_status(core).height != 1) {
        replica_net_run(net, 10);
    }
    sb_hash nil = {{0}};
    struct sb_message m = {.kind = SB_MESSAGE_VOTE};
    for (size_t i = 0; i < sizeof votes / sizeof votes[0]; i++) {
        m.as.vote =
            replica_net_sign_vote(net, votes[i].node, SB_VOTE_PREVOTE, 1, votes[i].round, &nil);
        replica_net_send_message(net, actor, 0, &m);
        replica_net_run(net, 5);
    }
    assert_int_equal(sb_bft_status(core).round, 5);
    assert_non_null(sb_bft_vote(core, SB_VOTE_PREVOTE, 5, m.as.vote.validator_index));
    replica_net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_on_every_channel_ends_the_connection),
        cmocka_unit_test(false_votes_end_the_connection_after_few_checks),
        cmocka_unit_test(part_with_another_index_than_its_proof_is_refused),
        cmocka_unit_test(bits_of_another_length_are_refused),
        cmocka_unit_test(peer_that_lowers_its_height_is_dropped),
        cmocka_unit_test(peer_that_claims_a_height_does_not_slow_validators),
        cmocka_unit_test(starting_node_gives_up_a_peer_that_never_delivers),
        cmocka_unit_test(liars_do_not_hold_a_starting_validator_in_sync),
        cmocka_unit_test(slow_honest_peers_are_never_banned),
        cmocka_unit_test(liars_that_come_one_after_another_do_not_stop_a_start),
        cmocka_unit_test(false_blocks_are_refused_and_asked_of_others),
        cmocka_unit_test(requests_and_questions_are_answered_at_a_bounded_rate),
        cmocka_unit_test(messages_of_the_height_after_next_take_bounded_memory),
        cmocka_unit_test(one_vote_does_not_begin_a_height_early),
        cmocka_unit_test(vain_checks_are_bounded_over_all_peers),
        cmocka_unit_test(part_trees_of_competing_blocks_are_made_once),
        cmocka_unit_test(validator_that_votes_in_all_rounds_changes_nothing),
        cmocka_unit_test(double_vote_becomes_evidence_everywhere),
        cmocka_unit_test(evidence_without_end_costs_few_checks),
        cmocka_unit_test(proposal_without_its_parts_costs_a_round),
        cmocka_unit_test(blocks_and_answers_that_nobody_asked_for_end_the_connection),
        cmocka_unit_test(replay_of_everything_costs_little),
        cmocka_unit_test(peer_that_takes_nothing_does_not_keep_the_disk_busy),
        cmocka_unit_test(block_that_is_not_decided_is_given_whole_a_few_times),
        cmocka_unit_test(vote_without_room_is_taken_when_its_round_has_come),
        cmocka_unit_test(two_proposals_of_a_round_set_no_honest_nodes_against_each_other),
        cmocka_unit_test(false_root_of_a_decided_block_costs_no_honest_node_his_standing),
    };
    return cmocka_run_group_tests_name("node/replica_hostile", tests, NULL, NULL);
}
