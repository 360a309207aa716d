/* adversary.c: see adversary.h and adversary_impl.h. */
#include "tests/sim/adversary_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "tests/sim/check.h"

void sim_adversary_plan(struct sim_node *node)
{
    struct sim *sim = node->sim;
    uint64_t after = sim_exponential(&node->adversary->random, ACT_MEAN_US) + 1;
    sim_events_add(&sim->events, &(struct sim_event){.at_us = sim->now_us + after,
                                                     .kind = SIM_EVENT_ACT,
                                                     .node = node->index});
}

struct sim_adversary *sim_adversary_new(struct sim_node *node, uint32_t behaviours)
{
    struct sim_adversary *a = calloc(1, sizeof *a);
    SB_ASSERT(a != NULL);
    a->node = node;
    a->behaviours = behaviours;
    a->random = sim_random_stream(node->sim->config.seed, 1000 + node->index);
    sb_arena_init(&a->arena, ARENA_BYTES);
    a->is_mute = sim_chance(&a->random, 400);
    a->deaf_to = (uint32_t)sim_random_u64(&a->random);
    a->scratch = malloc(MESSAGE_MAX);
    SB_ASSERT(a->scratch != NULL);
    node->adversary = a;
    sim_adversary_plan(node);
    return a;
}

void sim_adversary_free(struct sim_adversary *a)
{
    for (size_t i = 0; i < RING; i++) {
        free(a->ring[i]);
    }
    for (size_t i = 0; i < SECOND_MAX; i++) {
        free(a->seconds[i].encoded);
    }
    sb_arena_fini(&a->arena);
    free(a->scratch);
    free(a);
}

/* ---- sending ---- */

bool sim_adversary_send_raw(struct sim_adversary *a, uint32_t to, enum sb_channel channel,
                            sb_bytes raw)
{
    struct sim_node *node = a->node;
    uint64_t at_us = node->sim->now_us + node->lag_us;
    if (sim_adversary_has(a, SIM_BYZANTINE_LATE) && sim_chance(&a->random, 500)) {
        const struct sb_bft_timeouts *t = &node->sim->config.timeouts;
        uint64_t ms = channel == SB_CHANNEL_VOTE ? t->prevote_ms : t->propose_ms;
        at_us += 1000 * ms * sim_between(&a->random, 70, 100) / 100;
        sim_adversary_act(a, SIM_BYZANTINE_LATE);
    }
    if (sim_adversary_has(a, SIM_BYZANTINE_GARBLER) && sim_chance(&a->random, 100) &&
        raw.len != 0 && raw.len <= MESSAGE_MAX) {
        memcpy(a->scratch, raw.data, raw.len);
        size_t len = raw.len;
        if (sim_chance(&a->random, 300)) {
            len = (size_t)sim_below(&a->random, len + 1);
        }
        for (uint64_t flips = sim_below(&a->random, 4); flips > 0 && len != 0; flips--) {
            a->scratch[sim_below(&a->random, len)] = (uint8_t)sim_random_u64(&a->random);
        }
        sim_adversary_act(a, SIM_BYZANTINE_GARBLER);
        return sim_network_send(node->sim, node->index, to, channel, sb_span(a->scratch, len),
                                at_us);
    }
    return sim_network_send(node->sim, node->index, to, channel, raw, at_us);
}

bool sim_adversary_send_message(struct sim_adversary *a, uint32_t to,
                                const struct sb_message *message)
{
    struct sb_buf out;
    sb_buf_init(&out, SB_CONSENSUS_BLOCK_BYTES_MAX + 65536);
    sb_message_encode(&out, message);
    bool sent =
        sb_buf_err(&out) == SB_OK &&
        sim_adversary_send_raw(a, to, sb_message_channel(message->kind), sb_buf_bytes(&out));
    sb_buf_fini(&out);
    return sent;
}

void sim_adversary_sign_vote(struct sim_adversary *a, struct sb_vote *vote)
{
    sim_sign_vote(vote, &a->node->key, &a->node->sim->domain);
    struct sb_bft_message message = {.is_proposal = false, .as.vote = *vote};
    sim_check_signed(a->node->sim, a->node->index, &message);
}

void sim_adversary_sign_proposal(struct sim_adversary *a, struct sb_proposal *proposal)
{
    sim_sign_proposal(proposal, &a->node->key, &a->node->sim->domain);
    struct sb_bft_message message = {.is_proposal = true, .as.proposal = *proposal};
    sim_check_signed(a->node->sim, a->node->index, &message);
}

bool sim_adversary_is_other_side(const struct sim_adversary *a, uint64_t height, uint32_t peer)
{
    return (sim_mix(a->node->sim->config.seed * 31 + height) >> peer & 1) != 0;
}

/* ---- what it knows ---- */

void sim_adversary_learn(struct sim_adversary *a, const struct sb_proposal *proposal)
{
    for (size_t i = 0; i < IDS_MAX; i++) {
        if (a->known[i].height == proposal->height && a->known[i].round == proposal->round &&
            sb_hash_equal(&a->known[i].id, &proposal->block_id)) {
            return;
        }
    }
    a->known[a->known_count++ % IDS_MAX] = (struct sim_known){.height = proposal->height,
                                                              .round = proposal->round,
                                                              .id = proposal->block_id,
                                                              .parts_root = proposal->parts_root,
                                                              .block_bytes = proposal->block_bytes};
}

void sim_adversary_take_parts(const struct sim_adversary *a, struct sb_proposal *proposal)
{
    for (size_t i = 0; i < IDS_MAX; i++) {
        if (sb_hash_equal(&a->known[i].id, &proposal->block_id)) {
            proposal->parts_root = a->known[i].parts_root;
            proposal->block_bytes = a->known[i].block_bytes;
        }
    }
}

/* any_other: some block of this height other than id; from_round >= 0: proposed in that round. */
static const sb_hash *any_other(const struct sim_adversary *a, uint64_t height, int32_t round,
                                const sb_hash *id)
{
    const sb_hash *found = NULL;
    for (size_t i = 0; i < IDS_MAX; i++) {
        const struct sim_known *k = &a->known[i];
        if (k->height == height && (round < 0 || k->round == round) && !sb_hash_equal(&k->id, id) &&
            !sb_hash_is_zero(&k->id)) {
            /* the smallest, so that conspirators choose alike */
            found = found == NULL || memcmp(k->id.b, found->b, sizeof k->id.b) < 0 ? &k->id : found;
        }
    }
    return found;
}

void sim_adversary_hears(struct sim_node *node, const struct sim_packet *packet)
{
    struct sim_adversary *a = node->adversary;
    struct sb_message message;
    sb_arena_reset(&a->arena);
    if (packet->channel == SB_CHANNEL_PROPOSAL &&
        sb_message_decode(&message, &a->arena, packet->channel, sb_span(packet->bytes, packet->len),
                          NULL) == SB_OK) {
        sim_adversary_learn(a, &message.as.proposal);
    }
    if (sim_adversary_has(a, SIM_BYZANTINE_STALE_REPLAYER) && sim_chance(&a->random, 100) &&
        packet->len <= MESSAGE_MAX) {
        struct sim_packet **slot = &a->ring[a->ring_count++ % RING];
        free(*slot);
        *slot = malloc(sizeof *packet + packet->len);
        SB_ASSERT(*slot != NULL);
        memcpy(*slot, packet, sizeof *packet + packet->len);
    }
}

/* ---- votes ---- */

/* other_vote: a vote for the same place as `vote`, for something else. */
static bool other_vote(struct sim_adversary *a, struct sb_vote *ret, const struct sb_vote *vote)
{
    *ret = *vote;
    const sb_hash *other = any_other(a, vote->height, vote->round, &vote->block_id);
    if (other == NULL && sim_chance(&a->random, 500)) {
        other = any_other(a, vote->height, -1, &vote->block_id);
    }
    if (other != NULL) {
        ret->block_id = *other;
    } else if (!sb_vote_is_nil(vote)) {
        memset(ret->block_id.b, 0, sizeof ret->block_id.b);
    } else {
        return false;
    }
    sim_adversary_sign_vote(a, ret);
    return true;
}

static bool sends_vote(struct sim_adversary *a, uint32_t to, struct sb_message *message)
{
    struct sb_vote *vote = &message->as.vote;
    if (!sb_addr_equal(&vote->validator_address, &a->node->key.address)) {
        return sim_adversary_send_message(a, to, message);
    }
    if (sim_adversary_has(a, SIM_BYZANTINE_SILENT) && (a->is_mute || (a->deaf_to >> to & 1) != 0)) {
        sim_adversary_act(a, SIM_BYZANTINE_SILENT);
        return true;
    }
    if (sim_adversary_has(a, SIM_BYZANTINE_AMNESIAC)) {
        static const sb_hash nil;
        const sb_hash *proposed = any_other(a, vote->height, vote->round, &nil);
        if (proposed != NULL && !sb_hash_equal(proposed, &vote->block_id) &&
            !sim_adversary_has(a, SIM_BYZANTINE_VOTE_EQUIVOCATOR)) {
            vote->block_id = *proposed;
            sim_adversary_sign_vote(a, vote);
            sim_adversary_act(a, SIM_BYZANTINE_AMNESIAC);
            return sim_adversary_send_message(a, to, message);
        }
    }
    if (sim_adversary_has(a, SIM_BYZANTINE_VOTE_EQUIVOCATOR) &&
        sim_adversary_is_other_side(a, vote->height, to)) {
        struct sb_message second = *message;
        if (other_vote(a, &second.as.vote, vote)) {
            sim_adversary_act(a, SIM_BYZANTINE_VOTE_EQUIVOCATOR);
            if (sim_chance(&a->random, 100)) { /* to some, both */
                (void)sim_adversary_send_message(a, to, message);
            }
            return sim_adversary_send_message(a, to, &second);
        }
    }
    return sim_adversary_send_message(a, to, message);
}

/* ---- state and sync ---- */

static bool sends_status(struct sim_adversary *a, uint32_t to, struct sb_message *message)
{
    struct sb_message_status *status = &message->as.status;
    if (sim_adversary_has(a, SIM_BYZANTINE_LOWERED_HEIGHT) && sim_chance(&a->random, 300)) {
        status->head = sim_chance(&a->random, 500) ? status->head + 1000 : status->head / 2;
        status->oldest = status->oldest > status->head + 1 ? 1 : status->oldest;
        sim_adversary_act(a, SIM_BYZANTINE_LOWERED_HEIGHT);
    }
    if (sim_adversary_has(a, SIM_BYZANTINE_UNDELIVERED_SYNC)) {
        status->head += 5;
        sim_adversary_act(a, SIM_BYZANTINE_UNDELIVERED_SYNC);
    }
    return sim_adversary_send_message(a, to, message);
}

/* sends_bits: a bitmap whose bytes and count disagree. */
static bool sends_bits(struct sim_adversary *a, uint32_t to, enum sb_channel channel, sb_bytes raw)
{
    if (sim_adversary_has(a, SIM_BYZANTINE_BIT_ARRAY) && sim_chance(&a->random, 300) &&
        raw.len > 4 && raw.len < 1024) {
        memcpy(a->scratch, raw.data, raw.len);
        size_t at = raw.len - 1 - sim_below(&a->random, 3);
        a->scratch[at] = (uint8_t)(a->scratch[at] + 1 + sim_below(&a->random, 254));
        sim_adversary_act(a, SIM_BYZANTINE_BIT_ARRAY);
        return sim_adversary_send_raw(a, to, channel, sb_span(a->scratch, raw.len));
    }
    return sim_adversary_send_raw(a, to, channel, raw);
}

static bool sends_sync_block(struct sim_adversary *a, uint32_t to, struct sb_message *message)
{
    struct sb_message_sync_block *block = &message->as.sync_block;
    if (!sim_adversary_has(a, SIM_BYZANTINE_UNDELIVERED_SYNC)) {
        return sim_adversary_send_message(a, to, message);
    }
    sim_adversary_act(a, SIM_BYZANTINE_UNDELIVERED_SYNC);
    if (sim_chance(&a->random, 500)) {
        return true;
    }
    uint8_t *copy = malloc(block->encoded.len);
    SB_ASSERT(copy != NULL);
    memcpy(copy, block->encoded.data, block->encoded.len);
    copy[sim_below(&a->random, block->encoded.len)] ^= 0x10;
    block->encoded.data = copy;
    bool sent = sim_adversary_send_message(a, to, message);
    free(copy);
    return sent;
}

bool sim_adversary_sends(struct sim_node *node, uint32_t to, enum sb_channel channel, sb_bytes raw)
{
    struct sim_adversary *a = node->adversary;
    struct sb_message message;
    sb_arena_reset(&a->arena);
    if (sb_message_decode(&message, &a->arena, channel, raw, NULL) != SB_OK) {
        return sim_adversary_send_raw(a, to, channel, raw);
    }
    switch (message.kind) {
    case SB_MESSAGE_STATUS:
        return sends_status(a, to, &message);
    case SB_MESSAGE_VOTES:
    case SB_MESSAGE_PARTS:
        return sends_bits(a, to, channel, raw);
    case SB_MESSAGE_VOTE:
        return sends_vote(a, to, &message);
    case SB_MESSAGE_PROPOSAL:
        return sim_adversary_sends_proposal(a, to, &message);
    case SB_MESSAGE_PART:
        return sim_adversary_sends_part(a, to, &message);
    case SB_MESSAGE_SYNC_BLOCK:
        return sends_sync_block(a, to, &message);
    case SB_MESSAGE_CERTIFICATE:
    case SB_MESSAGE_WANT:
    case SB_MESSAGE_EVIDENCE:
    case SB_MESSAGE_SYNC_REQUEST:
    case SB_MESSAGE_SYNC_NO_BLOCK:
    case SB_MESSAGE_RELAY:
        break;
    }
    return sim_adversary_send_raw(a, to, channel, raw);
}
