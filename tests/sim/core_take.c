/* core_take.c: what comes in from peers: verified, checked against what the core makes of it; see machine_core.h. */
#include "tests/sim/check.h"
#include "tests/sim/machine_core.h"

static sb_err take_vote(struct sim_node *node, const struct sb_vote *vote, struct sb_diag *diag)
{
    struct sim_core_machine *m = sim_core_machine_of(node);
    struct sb_verifier verifier = sim_verifier();
    uint64_t height = sb_bft_status(m->core).height;
    if (vote->height != height || height == 0 ||
        sb_vote_verify(vote, &sim_rotation(node->sim, height)->set, &node->sim->domain, &verifier,
                       NULL) != SB_OK) {
        return SB_OK;
    }
    if (sim_is_honest(node->sim, node->index)) {
        sim_check_heard(node->sim, vote);
    }
    const struct sb_vote *held =
        sb_bft_vote(m->core, vote->type, vote->round, vote->validator_index);
    bool conflicts = held != NULL && !sb_hash_equal(&held->block_id, &vote->block_id);
    struct sb_bft_input input = {.type = SB_BFT_IN_VOTE, .as.vote = *vote};
    sb_err err = sim_core_run(node, &input, diag);
    if (conflicts && err == SB_OK && sim_is_honest(node->sim, node->index) &&
        (m->accused >> vote->validator_index & 1) == 0) {
        sim_fail(node->sim, "node %u heard validator %u vote twice in height %llu: no evidence",
                 node->index, vote->validator_index, (unsigned long long)height);
    }
    return err;
}

static sb_err take_proposal(struct sim_node *node, const struct sb_proposal *proposal,
                            struct sb_diag *diag)
{
    struct sim_core_machine *m = sim_core_machine_of(node);
    struct sb_verifier verifier = sim_verifier();
    struct sb_bft_status status = sb_bft_status(m->core);
    if (proposal->height != status.height || status.height == 0 ||
        proposal->round > status.round + 1) {
        return SB_OK;
    }
    uint32_t turn = sim_proposer(node->sim, proposal->height, proposal->round);
    const struct sb_rotation *rotation = sim_rotation(node->sim, proposal->height);
    if (sb_proposal_verify(proposal, &rotation->validators[turn].key, &node->sim->domain, &verifier,
                           NULL) != SB_OK) {
        return SB_OK;
    }
    struct sb_bft_input input = {.type = SB_BFT_IN_PROPOSAL};
    input.as.proposal.message = *proposal;
    input.as.proposal.received_ms = sim_node_wall_ms(node);
    if (proposal->round < ROUNDS_SEEN && sb_bft_proposal(m->core, proposal->round) == NULL) {
        m->received_ms[proposal->round] = input.as.proposal.received_ms;
    }
    return sim_core_run(node, &input, diag);
}

static bool certificate_is_valid(const struct sim_node *node,
                                 const struct sb_bft_certificate *certificate)
{
    const struct sb_commit *commit = &certificate->commit;
    const struct sb_rotation *rotation = sim_rotation(node->sim, commit->height);
    struct sb_verifier verifier = sim_verifier();
    int64_t power = 0;
    if (commit->sig_count != rotation->set.count) {
        return false;
    }
    for (uint32_t i = 0; i < commit->sig_count; i++) {
        if (commit->sigs[i].flag == SB_COMMIT_ABSENT) {
            continue;
        }
        struct sb_vote vote = sb_commit_vote(commit, &rotation->set, i);
        vote.type = certificate->type;
        if (sb_vote_verify(&vote, &rotation->set, &node->sim->domain, &verifier, NULL) != SB_OK) {
            return false;
        }
        power += commit->sigs[i].flag == SB_COMMIT_BLOCK ? rotation->validators[i].power : 0;
    }
    return sb_power_is_quorum(power, rotation->set.total_power);
}

static sb_err take_certificate(struct sim_node *node, const struct sb_bft_certificate *certificate,
                               struct sb_diag *diag)
{
    struct sim_core_machine *m = sim_core_machine_of(node);
    uint64_t height = sb_bft_status(m->core).height;
    const struct sb_commit *commit = &certificate->commit;
    if (commit->height != height || height == 0 || !certificate_is_valid(node, certificate)) {
        return SB_OK;
    }
    for (uint32_t i = 0; i < commit->sig_count && sim_is_honest(node->sim, node->index); i++) {
        if (commit->sigs[i].flag != SB_COMMIT_ABSENT) {
            struct sb_vote vote = sb_commit_vote(commit, &sim_rotation(node->sim, height)->set, i);
            vote.type = certificate->type;
            sim_check_heard(node->sim, &vote);
        }
    }
    struct sb_bft_input input = {.type = SB_BFT_IN_CERTIFICATE, .as.certificate = *certificate};
    return sim_core_run(node, &input, diag);
}

sb_err sim_core_receive(struct sim_node *node, uint32_t from, uint64_t peer,
                        enum sb_channel channel, sb_bytes raw, struct sb_diag *diag)
{
    (void)peer;
    struct sim_core_machine *m = sim_core_machine_of(node);
    struct sb_message message;
    sb_arena_reset(&m->arena);
    if (sb_message_decode(&message, &m->arena, channel, raw, NULL) != SB_OK) {
        return SB_OK;
    }
    switch (message.kind) {
    case SB_MESSAGE_STATUS:
        m->peer_height[from] = message.as.status.head + 1;
        if (message.as.status.head < node->core_disk->head) {
            sim_core_help(node, from, message.as.status.head);
        }
        return node->is_dying ? sim_core_died(diag) : SB_OK;
    case SB_MESSAGE_VOTE:
        return take_vote(node, &message.as.vote, diag);
    case SB_MESSAGE_PROPOSAL:
        return take_proposal(node, &message.as.proposal, diag);
    case SB_MESSAGE_CERTIFICATE:
        return take_certificate(node, &message.as.certificate, diag);
    case SB_MESSAGE_VOTES:
    case SB_MESSAGE_PARTS:
    case SB_MESSAGE_WANT:
    case SB_MESSAGE_PART:
    case SB_MESSAGE_EVIDENCE:
    case SB_MESSAGE_SYNC_REQUEST:
    case SB_MESSAGE_SYNC_BLOCK:
    case SB_MESSAGE_SYNC_NO_BLOCK:
    case SB_MESSAGE_RELAY:
        return SB_OK;
    }
    return SB_OK;
}
