/* adversary_blocks.c: proposals and blocks of a Byzantine validator: invalid, forged, two at once, withheld; see adversary_impl.h. */
#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "tests/sim/adversary_impl.h"
#include "tests/sim/check.h"
#include "tests/sim/core_value.h"

bool sim_adversary_forges(struct sim_node *node)
{
    struct sim_adversary *a = node->adversary;
    if (!sim_adversary_has(a, SIM_BYZANTINE_FORGED_INFERENCE) || !sim_chance(&a->random, 700)) {
        return false;
    }
    sim_adversary_act(a, SIM_BYZANTINE_FORGED_INFERENCE);
    return true;
}

/* break_block: one field of the header that the chain gives is another. */
static void break_block(struct sim_adversary *a, struct sb_consensus_block *block)
{
    struct sb_consensus_header *h = &block->header;
    switch (sim_below(&a->random, 8)) {
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
    case 5:
        h->randomness_proof[sim_below(&a->random, SB_RANDOMNESS_PROOF_BYTES)] ^= 1;
        break;
    case 6:
        h->randomness_proof_len = 0;
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
        struct sim_second *second = &a->seconds[a->second_count++ % SECOND_MAX];
        free(second->encoded);
        *second = (struct sim_second){.height = block->header.height,
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
    if (sim_adversary_has(a, SIM_BYZANTINE_PROPOSAL_EQUIVOCATOR)) {
        struct sb_consensus_block other = block;
        other.header.time_ms++;
        keep_second(a, &other, ret_block_id);
    }
    if (sim_adversary_has(a, SIM_BYZANTINE_INVALID_PROPOSER) && sim_chance(&a->random, 700)) {
        sim_adversary_act(a, SIM_BYZANTINE_INVALID_PROPOSER);
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
static const struct sim_second *second_of(struct sim_adversary *a, uint64_t height,
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
    struct sim_second *second = &a->seconds[a->second_count++ % SECOND_MAX];
    *second = (struct sim_second){
        .height = height, .first_id = *first_id, .id = sim_core_value_make(&value)};
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
    const struct sim_second *second = second_of(a, first->height, &first->block_id);
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
    sim_adversary_sign_proposal(a, &message.as.proposal);
    sim_adversary_learn(a, &message.as.proposal);
    sim_adversary_act(a, SIM_BYZANTINE_PROPOSAL_EQUIVOCATOR);
    (void)sim_adversary_send_message(a, to, &message);
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
            sim_adversary_take_parts(a, proposal);
            return;
        }
    }
}

bool sim_adversary_sends_proposal(struct sim_adversary *a, uint32_t to, struct sb_message *message)
{
    struct sb_proposal *proposal = &message->as.proposal;
    sim_adversary_learn(a, proposal);
    if (!is_own_proposal(a, proposal->height, proposal->round)) {
        return sim_adversary_send_message(a, to, message);
    }
    if (sim_adversary_has(a, SIM_BYZANTINE_SILENT) && (a->is_mute || (a->deaf_to >> to & 1) != 0)) {
        sim_adversary_act(a, SIM_BYZANTINE_SILENT);
        return true;
    }
    if (a->node->sim->config.is_core_only &&
        (sim_adversary_has(a, SIM_BYZANTINE_INVALID_PROPOSER) ||
         sim_adversary_has(a, SIM_BYZANTINE_FORGED_INFERENCE)) &&
        proposal->pol_round < 0) {
        struct sim_core_value value = sim_core_value_of(&proposal->block_id);
        bool lies = sim_adversary_has(a, SIM_BYZANTINE_FORGED_INFERENCE);
        bool is_foreign = sim_chance(&a->random, 500);
        value.is_valid = value.is_valid && !lies;
        value.time_ms += lies || is_foreign ? 0 : 1000000;
        value.proposer = !lies && is_foreign ? to : value.proposer;
        proposal->block_id = sim_core_value_make(&value);
        sim_adversary_sign_proposal(a, proposal);
        sim_adversary_act(a,
                          lies ? SIM_BYZANTINE_FORGED_INFERENCE : SIM_BYZANTINE_INVALID_PROPOSER);
    }
    if (sim_adversary_has(a, SIM_BYZANTINE_INVALID_POL) && proposal->round > 0 &&
        sim_chance(&a->random, 700)) {
        lie_about_lock(a, proposal);
        sim_adversary_sign_proposal(a, proposal);
        sim_adversary_act(a, SIM_BYZANTINE_INVALID_POL);
    }
    if (sim_adversary_has(a, SIM_BYZANTINE_PROPOSAL_EQUIVOCATOR) &&
        sim_adversary_is_other_side(a, proposal->height, to) && sends_second(a, to, proposal)) {
        if (!sim_chance(&a->random, 200)) { /* to some, both */
            return true;
        }
    }
    return sim_adversary_send_message(a, to, message);
}

/* sends_second_part: parts of the second block for those who were shown its proposal. */
static bool sends_second_part(struct sim_adversary *a, uint32_t to,
                              const struct sb_message *message)
{
    const struct sb_message_part *part = &message->as.part;
    for (size_t i = 0; i < SECOND_MAX; i++) {
        const struct sim_second *second = &a->seconds[i];
        if (second->height != part->height || second->encoded == NULL) {
            continue;
        }
        sb_bytes block = sb_span(second->encoded, second->len);
        for (uint32_t k = 0; k < sb_part_count(second->len); k++) {
            struct sb_message other = *message;
            if (sb_part_prove(&other.as.part.proof, block, k) == SB_OK) {
                other.as.part.bytes = sb_span_slice(block, k * SB_PART_BYTES, SB_PART_BYTES);
                (void)sim_adversary_send_message(a, to, &other);
            }
        }
        return true;
    }
    return false;
}

bool sim_adversary_sends_part(struct sim_adversary *a, uint32_t to, struct sb_message *message)
{
    struct sb_message_part *part = &message->as.part;
    if (sim_adversary_has(a, SIM_BYZANTINE_PART_INDEX) && sim_chance(&a->random, 300)) {
        part->proof.index = part->proof.index == 0 && part->proof.count > 1 ? 1 : 0;
        sim_adversary_act(a, SIM_BYZANTINE_PART_INDEX);
        return sim_adversary_send_message(a, to, message);
    }
    if (!is_own_proposal(a, part->height, part->round)) {
        return sim_adversary_send_message(a, to, message);
    }
    if (sim_adversary_has(a, SIM_BYZANTINE_WITHHELD_PARTS) &&
        (part->proof.index + 1 == part->proof.count || (a->deaf_to >> to & 1) != 0)) {
        sim_adversary_act(a, SIM_BYZANTINE_WITHHELD_PARTS);
        return true;
    }
    if (sim_adversary_has(a, SIM_BYZANTINE_PROPOSAL_EQUIVOCATOR) &&
        sim_adversary_is_other_side(a, part->height, to) && sends_second_part(a, to, message)) {
        return true;
    }
    return sim_adversary_send_message(a, to, message);
}
