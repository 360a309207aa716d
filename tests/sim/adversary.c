/* adversary.c: see adversary.h. */
#include "tests/sim/adversary.h"

#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "node/messages.h"
#include "tests/sim/check.h"
#include "tests/sim/core_value.h"
#include "tests/sim/sim.h"

#define RING        64
#define IDS_MAX     64
#define MESSAGE_MAX ((size_t)256 * 1024)
#define ARENA_BYTES ((size_t)16 << 20)
#define ACT_MEAN_US UINT64_C(400000)
#define FLOOD_VOTES 12
#define SECOND_MAX  4 /* second blocks that are kept */

/* A block id that was proposed: what an equivocator may vote for. */
struct known {
    uint64_t height;
    int32_t round;
    sb_hash id, parts_root;
    uint32_t block_bytes;
};

/* The other block of a round in which two are proposed. */
struct second {
    uint64_t height;
    sb_hash first_id, id;
    uint8_t *encoded; /* owned; NULL with the core alone */
    size_t len;
};

struct sim_adversary {
    struct sim_node *node;
    uint32_t behaviours;
    struct sim_random random;
    struct sb_arena arena;
    struct known known[IDS_MAX];
    uint64_t known_count;
    struct sim_packet *ring[RING]; /* owned copies of what it heard */
    uint64_t ring_count;
    struct second seconds[SECOND_MAX];
    uint64_t second_count;
    uint32_t deaf_to; /* peers that a silent one never talks to */
    bool is_mute;     /* talks to nobody */
    uint8_t *scratch; /* owned */
};

static bool has(const struct sim_adversary *a, enum sim_byzantine kind)
{
    return (a->behaviours >> kind & 1) != 0;
}

static void act(struct sim_adversary *a, enum sim_byzantine kind)
{
    a->node->sim->counts.act[kind]++;
}

static void plan(struct sim_node *node)
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
    plan(node);
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

static bool send_raw(struct sim_adversary *a, uint32_t to, enum sb_channel channel, sb_bytes raw)
{
    struct sim_node *node = a->node;
    uint64_t at_us = node->sim->now_us + node->lag_us;
    if (has(a, SIM_BYZANTINE_LATE) && sim_chance(&a->random, 500)) {
        const struct sb_bft_timeouts *t = &node->sim->config.timeouts;
        uint64_t ms = channel == SB_CHANNEL_VOTE ? t->prevote_ms : t->propose_ms;
        at_us += 1000 * ms * sim_between(&a->random, 70, 100) / 100;
        act(a, SIM_BYZANTINE_LATE);
    }
    if (has(a, SIM_BYZANTINE_GARBLER) && sim_chance(&a->random, 100) && raw.len != 0 &&
        raw.len <= MESSAGE_MAX) {
        memcpy(a->scratch, raw.data, raw.len);
        size_t len = raw.len;
        if (sim_chance(&a->random, 300)) {
            len = (size_t)sim_below(&a->random, len + 1);
        }
        for (uint64_t flips = sim_below(&a->random, 4); flips > 0 && len != 0; flips--) {
            a->scratch[sim_below(&a->random, len)] = (uint8_t)sim_random_u64(&a->random);
        }
        act(a, SIM_BYZANTINE_GARBLER);
        return sim_network_send(node->sim, node->index, to, channel, sb_span(a->scratch, len),
                                at_us);
    }
    return sim_network_send(node->sim, node->index, to, channel, raw, at_us);
}

static bool send_message(struct sim_adversary *a, uint32_t to, const struct sb_message *message)
{
    struct sb_buf out;
    sb_buf_init(&out, SB_CONSENSUS_BLOCK_BYTES_MAX + 65536);
    sb_message_encode(&out, message);
    bool sent = sb_buf_err(&out) == SB_OK &&
                send_raw(a, to, sb_message_channel(message->kind), sb_buf_bytes(&out));
    sb_buf_fini(&out);
    return sent;
}

static void sign_vote(struct sim_adversary *a, struct sb_vote *vote)
{
    sim_sign_vote(vote, &a->node->key, &a->node->sim->domain);
    struct sb_bft_message message = {.is_proposal = false, .as.vote = *vote};
    sim_check_signed(a->node->sim, a->node->index, &message);
}

static void sign_proposal(struct sim_adversary *a, struct sb_proposal *proposal)
{
    sim_sign_proposal(proposal, &a->node->key, &a->node->sim->domain);
    struct sb_bft_message message = {.is_proposal = true, .as.proposal = *proposal};
    sim_check_signed(a->node->sim, a->node->index, &message);
}

/* is_other_side: peers that are shown the second of two messages; the same for all adversaries of a cluster. */
static bool is_other_side(const struct sim_adversary *a, uint64_t height, uint32_t peer)
{
    return (sim_mix(a->node->sim->config.seed * 31 + height) >> peer & 1) != 0;
}

/* ---- what it knows ---- */

static void learn(struct sim_adversary *a, const struct sb_proposal *proposal)
{
    for (size_t i = 0; i < IDS_MAX; i++) {
        if (a->known[i].height == proposal->height && a->known[i].round == proposal->round &&
            sb_hash_equal(&a->known[i].id, &proposal->block_id)) {
            return;
        }
    }
    a->known[a->known_count++ % IDS_MAX] = (struct known){.height = proposal->height,
                                                          .round = proposal->round,
                                                          .id = proposal->block_id,
                                                          .parts_root = proposal->parts_root,
                                                          .block_bytes = proposal->block_bytes};
}

/* take_parts: what proposals of this block said of its bytes. */
static void take_parts(const struct sim_adversary *a, struct sb_proposal *proposal)
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
        const struct known *k = &a->known[i];
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
        learn(a, &message.as.proposal);
    }
    if (has(a, SIM_BYZANTINE_STALE_REPLAYER) && sim_chance(&a->random, 100) &&
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
    sign_vote(a, ret);
    return true;
}

static bool sends_vote(struct sim_adversary *a, uint32_t to, struct sb_message *message)
{
    struct sb_vote *vote = &message->as.vote;
    if (!sb_addr_equal(&vote->validator_address, &a->node->key.address)) {
        return send_message(a, to, message);
    }
    if (has(a, SIM_BYZANTINE_SILENT) && (a->is_mute || (a->deaf_to >> to & 1) != 0)) {
        act(a, SIM_BYZANTINE_SILENT);
        return true;
    }
    if (has(a, SIM_BYZANTINE_AMNESIAC)) {
        static const sb_hash nil;
        const sb_hash *proposed = any_other(a, vote->height, vote->round, &nil);
        if (proposed != NULL && !sb_hash_equal(proposed, &vote->block_id) &&
            !has(a, SIM_BYZANTINE_VOTE_EQUIVOCATOR)) {
            vote->block_id = *proposed;
            sign_vote(a, vote);
            act(a, SIM_BYZANTINE_AMNESIAC);
            return send_message(a, to, message);
        }
    }
    if (has(a, SIM_BYZANTINE_VOTE_EQUIVOCATOR) && is_other_side(a, vote->height, to)) {
        struct sb_message second = *message;
        if (other_vote(a, &second.as.vote, vote)) {
            act(a, SIM_BYZANTINE_VOTE_EQUIVOCATOR);
            if (sim_chance(&a->random, 100)) { /* to some, both */
                (void)send_message(a, to, message);
            }
            return send_message(a, to, &second);
        }
    }
    return send_message(a, to, message);
}

/* ---- proposals and blocks ---- */

bool sim_adversary_forges(struct sim_node *node)
{
    struct sim_adversary *a = node->adversary;
    if (!has(a, SIM_BYZANTINE_FORGED_INFERENCE) || !sim_chance(&a->random, 700)) {
        return false;
    }
    act(a, SIM_BYZANTINE_FORGED_INFERENCE);
    return true;
}

/* break_block: one field of the header that the chain gives is another. */
static void break_block(struct sim_adversary *a, struct sb_consensus_block *block)
{
    struct sb_consensus_header *h = &block->header;
    switch (sim_below(&a->random, 6)) {
    case 0:
        h->last_block_id.b[3] ^= 1;
        break;
    case 1:
        h->validators_hash.b[0] ^= 1;
        break;
    case 2:
        h->time_ms -= 100000;
        break;
    case 3:
        h->time_ms += 100000;
        break;
    case 4:
        h->proposer.b[0] ^= 1;
        break;
    default:
        h->payload_hash.b[9] ^= 1;
        break;
    }
}

static void keep_second(struct sim_adversary *a, const struct sb_consensus_block *block,
                        const sb_hash *first_id)
{
    struct sb_buf out;
    sb_buf_init(&out, SB_CONSENSUS_BLOCK_BYTES_MAX);
    sb_consensus_block_encode(&out, block);
    if (sb_buf_err(&out) == SB_OK) {
        struct second *second = &a->seconds[a->second_count++ % SECOND_MAX];
        free(second->encoded);
        *second = (struct second){.height = block->header.height,
                                  .first_id = *first_id,
                                  .id = sb_consensus_block_id(&block->header),
                                  .len = out.len};
        second->encoded = malloc(out.len);
        SB_ASSERT(second->encoded != NULL);
        memcpy(second->encoded, out.data, out.len);
    }
    sb_buf_fini(&out);
}

void sim_adversary_prepares(struct sim_node *node, struct sb_arena *arena,
                            const struct sb_application_draft *draft, sb_bytes *ret_encoded,
                            sb_hash *ret_block_id)
{
    (void)draft;
    struct sim_adversary *a = node->adversary;
    struct sb_consensus_block block;
    if (sb_consensus_block_decode(&block, arena, *ret_encoded, NULL) != SB_OK) {
        return;
    }
    if (has(a, SIM_BYZANTINE_PROPOSAL_EQUIVOCATOR)) {
        struct sb_consensus_block other = block;
        other.header.time_ms++;
        keep_second(a, &other, ret_block_id);
    }
    if (has(a, SIM_BYZANTINE_INVALID_PROPOSER) && sim_chance(&a->random, 700)) {
        act(a, SIM_BYZANTINE_INVALID_PROPOSER);
        break_block(a, &block);
        struct sb_buf out;
        sb_buf_init(&out, SB_CONSENSUS_BLOCK_BYTES_MAX);
        sb_consensus_block_encode(&out, &block);
        const uint8_t *copy = sb_arena_dup(arena, sb_buf_bytes(&out));
        SB_ASSERT(sb_buf_err(&out) == SB_OK && copy != NULL);
        *ret_encoded = sb_span(copy, out.len);
        *ret_block_id = sb_consensus_block_id(&block.header);
        sb_buf_fini(&out);
    }
}

/* second_of: the other block of a proposal of our own. */
static const struct second *second_of(struct sim_adversary *a, uint64_t height,
                                      const sb_hash *first_id)
{
    for (size_t i = 0; i < SECOND_MAX; i++) {
        if (a->seconds[i].height == height && sb_hash_equal(&a->seconds[i].first_id, first_id)) {
            return &a->seconds[i];
        }
    }
    if (!a->node->sim->config.is_core_only) {
        return NULL;
    }
    struct sim_core_value value = sim_core_value_of(first_id);
    value.random ^= 1;
    struct second *second = &a->seconds[a->second_count++ % SECOND_MAX];
    *second =
        (struct second){.height = height, .first_id = *first_id, .id = sim_core_value_make(&value)};
    return second;
}

static bool is_own_proposal(const struct sim_adversary *a, uint64_t height, int32_t round)
{
    const struct sim *sim = a->node->sim;
    return height >= 1 && height <= sim->best_head + 2 &&
           sim_member(sim, height, sim_proposer(sim, height, round)) == a->node->index;
}

static bool sends_second(struct sim_adversary *a, uint32_t to, const struct sb_proposal *first)
{
    const struct second *second = second_of(a, first->height, &first->block_id);
    if (second == NULL) {
        return false;
    }
    struct sb_message message = {.kind = SB_MESSAGE_PROPOSAL};
    message.as.proposal = *first;
    message.as.proposal.block_id = second->id;
    if (second->encoded != NULL) {
        message.as.proposal.block_bytes = (uint32_t)second->len;
        if (sb_parts_root(&message.as.proposal.parts_root, sb_span(second->encoded, second->len)) !=
            SB_OK) {
            return false;
        }
    }
    sign_proposal(a, &message.as.proposal);
    learn(a, &message.as.proposal);
    act(a, SIM_BYZANTINE_PROPOSAL_EQUIVOCATOR);
    (void)send_message(a, to, &message);
    return true;
}

/* lie_about_lock: a proof of lock that never was, or one that is true and out of date: the block of an earlier polka. */
static void lie_about_lock(struct sim_adversary *a, struct sb_proposal *proposal)
{
    uint32_t at = 0;
    const struct sim_signed *one;
    int64_t total = sim_rotation(a->node->sim, proposal->height)->set.total_power;
    proposal->pol_round = (int32_t)sim_below(&a->random, (uint64_t)proposal->round);
    if (sim_chance(&a->random, 300)) {
        return;
    }
    while ((one = sim_check_each(a->node->sim->check, proposal->height, &at)) != NULL) {
        if (one->type == SB_VOTE_PREVOTE && one->round < proposal->round &&
            !sb_hash_is_zero(&one->block_id) && sim_chance(&a->random, 600) &&
            sb_power_is_quorum(sim_check_power(a->node->sim, one->height, one->round,
                                               SB_VOTE_PREVOTE, &one->block_id),
                               total)) {
            proposal->pol_round = one->round;
            proposal->block_id = one->block_id;
            take_parts(a, proposal);
            return;
        }
    }
}

static bool sends_proposal(struct sim_adversary *a, uint32_t to, struct sb_message *message)
{
    struct sb_proposal *proposal = &message->as.proposal;
    learn(a, proposal);
    if (!is_own_proposal(a, proposal->height, proposal->round)) {
        return send_message(a, to, message);
    }
    if (has(a, SIM_BYZANTINE_SILENT) && (a->is_mute || (a->deaf_to >> to & 1) != 0)) {
        act(a, SIM_BYZANTINE_SILENT);
        return true;
    }
    if (a->node->sim->config.is_core_only &&
        (has(a, SIM_BYZANTINE_INVALID_PROPOSER) || has(a, SIM_BYZANTINE_FORGED_INFERENCE)) &&
        proposal->pol_round < 0) {
        struct sim_core_value value = sim_core_value_of(&proposal->block_id);
        bool lies = has(a, SIM_BYZANTINE_FORGED_INFERENCE);
        bool is_foreign = sim_chance(&a->random, 500);
        value.is_valid = value.is_valid && !lies;
        value.time_ms += lies || is_foreign ? 0 : 1000000;
        value.proposer = !lies && is_foreign ? to : value.proposer;
        proposal->block_id = sim_core_value_make(&value);
        sign_proposal(a, proposal);
        act(a, lies ? SIM_BYZANTINE_FORGED_INFERENCE : SIM_BYZANTINE_INVALID_PROPOSER);
    }
    if (has(a, SIM_BYZANTINE_INVALID_POL) && proposal->round > 0 && sim_chance(&a->random, 700)) {
        lie_about_lock(a, proposal);
        sign_proposal(a, proposal);
        act(a, SIM_BYZANTINE_INVALID_POL);
    }
    if (has(a, SIM_BYZANTINE_PROPOSAL_EQUIVOCATOR) && is_other_side(a, proposal->height, to) &&
        sends_second(a, to, proposal)) {
        if (!sim_chance(&a->random, 200)) { /* to some, both */
            return true;
        }
    }
    return send_message(a, to, message);
}

/* sends_second_part: parts of the second block for those who were shown its proposal. */
static bool sends_second_part(struct sim_adversary *a, uint32_t to,
                              const struct sb_message *message)
{
    const struct sb_message_part *part = &message->as.part;
    for (size_t i = 0; i < SECOND_MAX; i++) {
        const struct second *second = &a->seconds[i];
        if (second->height != part->height || second->encoded == NULL) {
            continue;
        }
        sb_bytes block = sb_span(second->encoded, second->len);
        for (uint32_t k = 0; k < sb_part_count(second->len); k++) {
            struct sb_message other = *message;
            if (sb_part_prove(&other.as.part.proof, block, k) == SB_OK) {
                other.as.part.bytes = sb_span_slice(block, k * SB_PART_BYTES, SB_PART_BYTES);
                (void)send_message(a, to, &other);
            }
        }
        return true;
    }
    return false;
}

static bool sends_part(struct sim_adversary *a, uint32_t to, struct sb_message *message)
{
    struct sb_message_part *part = &message->as.part;
    if (has(a, SIM_BYZANTINE_PART_INDEX) && sim_chance(&a->random, 300)) {
        part->proof.index = part->proof.index == 0 && part->proof.count > 1 ? 1 : 0;
        act(a, SIM_BYZANTINE_PART_INDEX);
        return send_message(a, to, message);
    }
    if (!is_own_proposal(a, part->height, part->round)) {
        return send_message(a, to, message);
    }
    if (has(a, SIM_BYZANTINE_WITHHELD_PARTS) &&
        (part->proof.index + 1 == part->proof.count || (a->deaf_to >> to & 1) != 0)) {
        act(a, SIM_BYZANTINE_WITHHELD_PARTS);
        return true;
    }
    if (has(a, SIM_BYZANTINE_PROPOSAL_EQUIVOCATOR) && is_other_side(a, part->height, to) &&
        sends_second_part(a, to, message)) {
        return true;
    }
    return send_message(a, to, message);
}

/* ---- state and sync ---- */

static bool sends_status(struct sim_adversary *a, uint32_t to, struct sb_message *message)
{
    struct sb_message_status *status = &message->as.status;
    if (has(a, SIM_BYZANTINE_LOWERED_HEIGHT) && sim_chance(&a->random, 300)) {
        status->head = sim_chance(&a->random, 500) ? status->head + 1000 : status->head / 2;
        status->oldest = status->oldest > status->head + 1 ? 1 : status->oldest;
        act(a, SIM_BYZANTINE_LOWERED_HEIGHT);
    }
    if (has(a, SIM_BYZANTINE_UNDELIVERED_SYNC)) {
        status->head += 5;
        act(a, SIM_BYZANTINE_UNDELIVERED_SYNC);
    }
    return send_message(a, to, message);
}

/* sends_bits: a bitmap whose bytes and count disagree. */
static bool sends_bits(struct sim_adversary *a, uint32_t to, enum sb_channel channel, sb_bytes raw)
{
    if (has(a, SIM_BYZANTINE_BIT_ARRAY) && sim_chance(&a->random, 300) && raw.len > 4 &&
        raw.len < 1024) {
        memcpy(a->scratch, raw.data, raw.len);
        size_t at = raw.len - 1 - sim_below(&a->random, 3);
        a->scratch[at] = (uint8_t)(a->scratch[at] + 1 + sim_below(&a->random, 254));
        act(a, SIM_BYZANTINE_BIT_ARRAY);
        return send_raw(a, to, channel, sb_span(a->scratch, raw.len));
    }
    return send_raw(a, to, channel, raw);
}

static bool sends_sync_block(struct sim_adversary *a, uint32_t to, struct sb_message *message)
{
    struct sb_message_sync_block *block = &message->as.sync_block;
    if (!has(a, SIM_BYZANTINE_UNDELIVERED_SYNC)) {
        return send_message(a, to, message);
    }
    act(a, SIM_BYZANTINE_UNDELIVERED_SYNC);
    if (sim_chance(&a->random, 500)) {
        return true;
    }
    uint8_t *copy = malloc(block->encoded.len);
    SB_ASSERT(copy != NULL);
    memcpy(copy, block->encoded.data, block->encoded.len);
    copy[sim_below(&a->random, block->encoded.len)] ^= 0x10;
    block->encoded.data = copy;
    bool sent = send_message(a, to, message);
    free(copy);
    return sent;
}

bool sim_adversary_sends(struct sim_node *node, uint32_t to, enum sb_channel channel, sb_bytes raw)
{
    struct sim_adversary *a = node->adversary;
    struct sb_message message;
    sb_arena_reset(&a->arena);
    if (sb_message_decode(&message, &a->arena, channel, raw, NULL) != SB_OK) {
        return send_raw(a, to, channel, raw);
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
        return sends_proposal(a, to, &message);
    case SB_MESSAGE_PART:
        return sends_part(a, to, &message);
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
    return send_raw(a, to, channel, raw);
}

/* ---- own acts ---- */

static void send_to_all(struct sim_adversary *a, const struct sb_message *message)
{
    for (uint32_t to = 0; to < a->node->sim->config.node_count; to++) {
        if (to != a->node->index) {
            (void)send_message(a, to, message);
        }
    }
}

static void flood(struct sim_adversary *a, uint64_t height, int index)
{
    for (int i = 0; i < FLOOD_VOTES; i++) {
        struct sb_message message = {.kind = SB_MESSAGE_VOTE};
        struct sb_vote *vote = &message.as.vote;
        int32_t round = sim_chance(&a->random, 500) ? (int32_t)sim_below(&a->random, SB_ROUND_MAX)
                                                    : (int32_t)sim_below(&a->random, 12);
        *vote = (struct sb_vote){.type = sim_chance(&a->random, 500) ? SB_VOTE_PREVOTE
                                                                     : SB_VOTE_PRECOMMIT,
                                 .height = height + sim_below(&a->random, 2),
                                 .round = round,
                                 .validator_index = (uint32_t)index,
                                 .validator_address = a->node->key.address};
        for (size_t k = 0; k < 8 && sim_chance(&a->random, 900); k++) {
            vote->block_id.b[k] = (uint8_t)sim_random_u64(&a->random);
        }
        sign_vote(a, vote);
        act(a, SIM_BYZANTINE_ROUND_FLOODER);
        (void)send_message(a, (uint32_t)sim_below(&a->random, a->node->sim->config.node_count),
                           &message);
    }
}

static void forge_certificate(struct sim_adversary *a, uint64_t height, int index)
{
    const struct known *known = &a->known[sim_below(&a->random, IDS_MAX)];
    const struct sb_rotation *rotation = sim_rotation(a->node->sim, height);
    struct sb_commit_sig sigs[SIM_NODES_MAX];
    memset(sigs, 0, sizeof sigs);
    struct sb_vote own = {.type = sim_chance(&a->random, 500) ? SB_VOTE_PREVOTE : SB_VOTE_PRECOMMIT,
                          .height = height,
                          .round = (int32_t)sim_below(&a->random, 4),
                          .block_id = known->id,
                          .validator_index = (uint32_t)index,
                          .validator_address = a->node->key.address};
    if (sb_hash_is_zero(&own.block_id)) {
        own.block_id.b[0] = 7;
    }
    sign_vote(a, &own);
    bool is_thin = sim_chance(&a->random, 500); /* true signatures, too few of them */
    for (size_t i = 0; i < rotation->set.count; i++) {
        if (i == (size_t)index || !is_thin) {
            sigs[i].flag = SB_COMMIT_BLOCK;
            sigs[i].signature = own.signature;
        }
    }
    struct sb_message message = {.kind = SB_MESSAGE_CERTIFICATE};
    message.as.certificate.type = own.type;
    message.as.certificate.commit = (struct sb_commit){.height = height,
                                                       .round = own.round,
                                                       .block_id = own.block_id,
                                                       .sigs = sigs,
                                                       .sig_count = rotation->set.count};
    act(a, SIM_BYZANTINE_FORGED_CERTIFICATE);
    send_to_all(a, &message);
}

static void replay(struct sim_adversary *a)
{
    for (int i = 0; i < 4; i++) {
        const struct sim_packet *packet = a->ring[sim_below(&a->random, RING)];
        uint32_t to = (uint32_t)sim_below(&a->random, a->node->sim->config.node_count);
        if (packet != NULL && to != a->node->index) {
            act(a, SIM_BYZANTINE_STALE_REPLAYER);
            (void)send_raw(a, to, packet->channel, sb_span(packet->bytes, packet->len));
        }
    }
}

static void babble(struct sim_adversary *a)
{
    uint8_t bytes[64];
    size_t len = (size_t)sim_below(&a->random, sizeof bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)sim_random_u64(&a->random);
    }
    uint32_t to = (uint32_t)sim_below(&a->random, a->node->sim->config.node_count);
    if (to != a->node->index) {
        act(a, SIM_BYZANTINE_GARBLER);
        enum sb_channel channel =
            (enum sb_channel)sim_between(&a->random, SB_CHANNEL_STATE, SB_CHANNEL_SYNC);
        (void)send_raw(a, to, channel, sb_span(bytes, len));
    }
}

void sim_adversary_acts(struct sim_node *node)
{
    struct sim_adversary *a = node->adversary;
    plan(node);
    uint64_t height = node->standing.head + 1;
    int index = sim_member_of(node->sim, height, node->index);
    if (has(a, SIM_BYZANTINE_ROUND_FLOODER) && index >= 0) {
        flood(a, height, index);
    }
    if (has(a, SIM_BYZANTINE_FORGED_CERTIFICATE) && index >= 0) {
        forge_certificate(a, height, index);
    }
    if (has(a, SIM_BYZANTINE_STALE_REPLAYER)) {
        replay(a);
    }
    if (has(a, SIM_BYZANTINE_GARBLER)) {
        babble(a);
    }
}

void sim_adversary_waits(struct sim_node *node)
{
    plan(node);
}
