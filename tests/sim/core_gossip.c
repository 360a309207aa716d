/* core_gossip.c: what the core's small host sends, and sends again; see machine_core.h. */
#include "tests/sim/machine_core.h"

#include <string.h>

static void send(struct sim_node *node, uint32_t to, const struct sb_message *message)
{
    struct sb_buf out = sb_buf_over(sim_core_machine_of(node)->scratch, MESSAGE_BYTES);
    sb_message_encode(&out, message);
    (void)sim_node_send(node, to, sb_message_channel(message->kind), sb_buf_bytes(&out));
}

void sim_core_send_all(struct sim_node *node, const struct sb_message *message)
{
    for (uint32_t to = 0; to < node->sim->config.node_count; to++) {
        if (to != node->index) {
            send(node, to, message);
        }
    }
}

struct sb_message sim_core_wrap(const struct sb_bft_message *message)
{
    struct sb_message out;
    memset(&out, 0, sizeof out);
    if (message->is_proposal) {
        out.kind = SB_MESSAGE_PROPOSAL;
        out.as.proposal = message->as.proposal;
    } else {
        out.kind = SB_MESSAGE_VOTE;
        out.as.vote = message->as.vote;
    }
    return out;
}

static struct sb_message certificate_message(const struct sb_bft_certificate *certificate)
{
    struct sb_message out;
    memset(&out, 0, sizeof out);
    out.kind = SB_MESSAGE_CERTIFICATE;
    out.as.certificate = *certificate;
    return out;
}

void sim_core_send_status(struct sim_node *node, uint32_t to)
{
    struct sb_message out;
    memset(&out, 0, sizeof out);
    out.kind = SB_MESSAGE_STATUS;
    out.as.status = (struct sb_message_status){
        .sequence = 1, .head = node->core_disk->head, .oldest = 1, .step = 0};
    send(node, to, &out);
}

/* resend_round: what is held of one round. */
static void resend_round(struct sim_node *node, uint32_t to, int32_t round)
{
    const struct sb_bft *core = sim_core_machine_of(node)->core;
    uint32_t count = (uint32_t)sim_rotation(node->sim, sb_bft_status(core).height)->set.count;
    const struct sb_proposal *proposal = sb_bft_proposal(core, round);
    if (proposal != NULL) {
        struct sb_message out = {.kind = SB_MESSAGE_PROPOSAL};
        out.as.proposal = *proposal;
        send(node, to, &out);
    }
    for (int type = SB_VOTE_PREVOTE; type <= SB_VOTE_PRECOMMIT; type++) {
        struct sb_bft_certificate certificate;
        if (sb_bft_certificate(&certificate, core, (enum sb_vote_type)type, round)) {
            struct sb_message out = certificate_message(&certificate);
            send(node, to, &out);
        }
        for (uint32_t i = 0; i < count; i++) {
            const struct sb_vote *vote = sb_bft_vote(core, (enum sb_vote_type)type, round, i);
            if (vote != NULL) {
                struct sb_message out = {.kind = SB_MESSAGE_VOTE};
                out.as.vote = *vote;
                send(node, to, &out);
            }
        }
    }
}

void sim_core_resend(struct sim_node *node)
{
    struct sim_core_machine *m = sim_core_machine_of(node);
    struct sb_bft_status status = sb_bft_status(m->core);
    for (uint32_t to = 0; to < node->sim->config.node_count; to++) {
        if (to == node->index) {
            continue;
        }
        sim_core_send_status(node, to);
        if (status.height == 0 || m->peer_height[to] > status.height) {
            continue;
        }
        resend_round(node, to, status.round);
        if (status.round > 0) {
            resend_round(node, to, status.round - 1);
        }
        if (status.valid_round >= 0 && status.valid_round < status.round - 1) {
            resend_round(node, to, status.valid_round);
        }
    }
}

void sim_core_help(struct sim_node *node, uint32_t to, uint64_t head)
{
    for (uint64_t h = head + 1; h <= node->core_disk->head && h <= head + CATCH_UP_HEIGHTS; h++) {
        struct sb_bft_certificate certificate = {.type = SB_VOTE_PRECOMMIT,
                                                 .commit = node->core_disk->commits[h].commit};
        struct sb_message out = certificate_message(&certificate);
        send(node, to, &out);
    }
}
