/* adversary_acts.c: what a Byzantine validator does unasked, at random times: floods, forged certificates, replays, noise. */
#include <string.h>

#include "tests/sim/adversary_impl.h"

static void send_to_all(struct sim_adversary *a, const struct sb_message *message)
{
    for (uint32_t to = 0; to < a->node->sim->config.node_count; to++) {
        if (to != a->node->index) {
            (void)sim_adversary_send_message(a, to, message);
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
        sim_adversary_sign_vote(a, vote);
        sim_adversary_act(a, SIM_BYZANTINE_ROUND_FLOODER);
        (void)sim_adversary_send_message(
            a, (uint32_t)sim_below(&a->random, a->node->sim->config.node_count), &message);
    }
}

static void forge_certificate(struct sim_adversary *a, uint64_t height, int index)
{
    const struct sim_known *known = &a->known[sim_below(&a->random, IDS_MAX)];
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
    sim_adversary_sign_vote(a, &own);
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
    sim_adversary_act(a, SIM_BYZANTINE_FORGED_CERTIFICATE);
    send_to_all(a, &message);
}

static void replay(struct sim_adversary *a)
{
    for (int i = 0; i < 4; i++) {
        const struct sim_packet *packet = a->ring[sim_below(&a->random, RING)];
        uint32_t to = (uint32_t)sim_below(&a->random, a->node->sim->config.node_count);
        if (packet != NULL && to != a->node->index) {
            sim_adversary_act(a, SIM_BYZANTINE_STALE_REPLAYER);
            (void)sim_adversary_send_raw(a, to, packet->channel,
                                         sb_span(packet->bytes, packet->len));
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
        sim_adversary_act(a, SIM_BYZANTINE_GARBLER);
        enum sb_channel channel =
            (enum sb_channel)sim_between(&a->random, SB_CHANNEL_STATE, SB_CHANNEL_SYNC);
        (void)sim_adversary_send_raw(a, to, channel, sb_span(bytes, len));
    }
}

void sim_adversary_acts(struct sim_node *node)
{
    struct sim_adversary *a = node->adversary;
    sim_adversary_plan(node);
    uint64_t height = node->standing.head + 1;
    int index = sim_member_of(node->sim, height, node->index);
    if (sim_adversary_has(a, SIM_BYZANTINE_ROUND_FLOODER) && index >= 0) {
        flood(a, height, index);
    }
    if (sim_adversary_has(a, SIM_BYZANTINE_FORGED_CERTIFICATE) && index >= 0) {
        forge_certificate(a, height, index);
    }
    if (sim_adversary_has(a, SIM_BYZANTINE_STALE_REPLAYER)) {
        replay(a);
    }
    if (sim_adversary_has(a, SIM_BYZANTINE_GARBLER)) {
        babble(a);
    }
}

void sim_adversary_waits(struct sim_node *node)
{
    sim_adversary_plan(node);
}
