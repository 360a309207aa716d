/* machine_core.c: the consensus core alone, with the smallest host that the paper allows: much cheaper than a whole replica, so that a
 * campaign goes ten times deeper into the rules of voting.
 *
 *      block id    valid | height | time | proposer | random         a block is its id: nothing needs to be fetched
 *      journal     inputs in memory; durable up to the last signature; a crash loses any of the rest
 *      guard       everything signed in the present height
 *      gossip      own messages to all at once; every resend_ms the votes and proposals of the present rounds and the certificates
 *                  that others may lack; to who is behind, the certificates of the heights that it lacks
 *
 * Recovery is the driver's (docs/adr/0008): the journal's inputs again, then the questions that they leave open. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "node/messages.h"
#include "tests/sim/check.h"
#include "tests/sim/core_value.h"
#include "tests/sim/sim.h"

#define TIMER_KINDS  3
#define TIMER_PACE   3
#define TIMER_RESEND 4
#define TIMER_FIRST  8 /* of the core: kind * TIMER_SLOTS + slot beyond it */
#define TIMER_SLOTS  16
#define TIMER_VALIDITY                                                                             \
    (TIMER_FIRST + TIMER_KINDS * TIMER_SLOTS) /* and the following: late verdicts */
#define VERDICTS_MAX 8
#define BLOCKS_SEEN                                                                                \
    256 /* valid blocks that the checks remember: one a round, and more than any seed needs */
#define ROUNDS_SEEN   64
#define QUEUE_MAX     32
#define SIGNED_MAX    512
#define MESSAGE_BYTES 32768
#define ARENA_BYTES   ((size_t)1 << 20)
#define CATCH_UP_HEIGHTS                                                                           \
    4 /* certificates that one status of a node that is behind is answered with */

struct entry {
    struct sb_bft_input input;
    struct sb_commit_sig *sigs; /* owned; of a certificate */
};

struct commit {
    struct sb_commit commit;
    struct sb_commit_sig *sigs; /* owned */
};

struct sim_core_disk {
    struct commit commits[SIM_HEIGHTS_MAX];
    uint64_t head;
    sb_hash state;
    struct entry *journal; /* owned; of height head + 1 */
    size_t count, durable, capacity;
    struct sb_bft_message signed_messages[SIGNED_MAX]; /* of height head + 1; durable at once */
    size_t signed_count;
};

struct timer {
    bool is_set;
    uint64_t height;
    int32_t round;
    uint64_t delay_ms;
};

struct core_machine {
    struct sb_bft *core;
    struct timer timers[TIMER_KINDS][TIMER_SLOTS]; /* that may still run out */
    uint32_t timer_count[TIMER_KINDS];
    struct sb_bft_input queue[QUEUE_MAX];
    size_t queue_count;
    struct sb_arena arena; /* of the message in hand */
    uint8_t scratch[MESSAGE_BYTES];
    uint64_t peer_height[SIM_NODES_MAX];
    bool is_replaying;
    /* what replay leaves open */
    bool asks_sign, asks_value, asks_decide;
    struct sb_bft_message to_sign;
    int32_t value_round;
    struct sb_commit open_decision; /* borrowed from the core */
    struct timer open_timers[TIMER_KINDS];
    sb_hash validate[VERDICTS_MAX];
    size_t validate_count;
    sb_hash late_verdicts[VERDICTS_MAX]; /* being executed */
    uint32_t late_verdict_count;
    /* for the checks: what the host knows beside the core */
    sb_hash found_valid[BLOCKS_SEEN];
    uint32_t found_valid_count;
    uint64_t received_ms[ROUNDS_SEEN]; /* of the proposal of each round; 0: none */
    uint64_t accused;                  /* bits of validators with evidence in this height */
};

static struct core_machine *machine_of(const struct sim_node *node)
{
    return node->machine;
}

static sb_err died(struct sb_diag *diag)
{
    return sb_fail(diag, SB_E_IO, "the node has crashed");
}

static void push(struct core_machine *m, const struct sb_bft_input *input)
{
    SB_ASSERT(m->queue_count < QUEUE_MAX);
    m->queue[m->queue_count++] = *input;
}

/* ---- values ---- */

sb_hash sim_core_value_make(const struct sim_core_value *value)
{
    sb_hash id;
    memset(&id, 0, sizeof id);
    id.b[0] = value->is_valid ? 1 : 2;
    id.b[1] = (uint8_t)value->proposer;
    le_store32(id.b + 4, (uint32_t)value->height);
    le_store64(id.b + 8, value->time_ms);
    le_store64(id.b + 16, value->random);
    return id;
}

struct sim_core_value sim_core_value_of(const sb_hash *id)
{
    return (struct sim_core_value){.is_valid = id->b[0] == 1,
                                   .proposer = id->b[1],
                                   .height = le_load32(id->b + 4),
                                   .time_ms = le_load64(id->b + 8),
                                   .random = le_load64(id->b + 16)};
}

/* ---- journal ---- */

static void journal_clear(struct sim_core_disk *disk, size_t from)
{
    for (size_t i = from; i < disk->count; i++) {
        free(disk->journal[i].sigs);
    }
    disk->count = from;
    disk->durable = disk->durable < from ? disk->durable : from;
}

static void journal_add(struct sim_core_disk *disk, const struct sb_bft_input *input)
{
    struct sim_alloc *before = sim_alloc_enter(NULL);
    if (disk->count == disk->capacity) {
        disk->capacity = disk->capacity == 0 ? 64 : 2 * disk->capacity;
        disk->journal = realloc(disk->journal, disk->capacity * sizeof *disk->journal);
        SB_ASSERT(disk->journal != NULL);
    }
    struct entry *entry = &disk->journal[disk->count++];
    *entry = (struct entry){.input = *input, .sigs = NULL};
    if (input->type == SB_BFT_IN_CERTIFICATE) {
        struct sb_commit *commit = &entry->input.as.certificate.commit;
        entry->sigs = malloc(commit->sig_count * sizeof *entry->sigs);
        SB_ASSERT(entry->sigs != NULL);
        memcpy(entry->sigs, commit->sigs, commit->sig_count * sizeof *entry->sigs);
        commit->sigs = entry->sigs;
    }
    (void)sim_alloc_enter(before);
}

/* journal_sync: false: the node died before or after it. */
static bool journal_sync(struct sim_node *node)
{
    if (sim_node_dies(node)) {
        return false;
    }
    node->core_disk->durable = node->core_disk->count;
    node->disk.synced(node->disk.ctx);
    return !sim_node_dies(node);
}

/* ---- sending ---- */

static void send(struct sim_node *node, uint32_t to, const struct sb_message *message)
{
    struct sb_buf out = sb_buf_over(machine_of(node)->scratch, MESSAGE_BYTES);
    sb_message_encode(&out, message);
    (void)sim_node_send(node, to, sb_message_channel(message->kind), sb_buf_bytes(&out));
}

static void send_all(struct sim_node *node, const struct sb_message *message)
{
    for (uint32_t to = 0; to < node->sim->config.node_count; to++) {
        if (to != node->index) {
            send(node, to, message);
        }
    }
}

static struct sb_message wrap(const struct sb_bft_message *message)
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

static void send_status(struct sim_node *node, uint32_t to)
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
    const struct sb_bft *core = machine_of(node)->core;
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

static void resend(struct sim_node *node)
{
    struct core_machine *m = machine_of(node);
    struct sb_bft_status status = sb_bft_status(m->core);
    for (uint32_t to = 0; to < node->sim->config.node_count; to++) {
        if (to == node->index) {
            continue;
        }
        send_status(node, to);
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

/* help: a peer is behind: the certificates of the heights that it lacks. */
static void help(struct sim_node *node, uint32_t to, uint64_t head)
{
    for (uint64_t h = head + 1; h <= node->core_disk->head && h <= head + CATCH_UP_HEIGHTS; h++) {
        struct sb_bft_certificate certificate = {.type = SB_VOTE_PRECOMMIT,
                                                 .commit = node->core_disk->commits[h].commit};
        struct sb_message out = certificate_message(&certificate);
        send(node, to, &out);
    }
}

/* ---- effects ---- */

static struct timer timer_of(const struct sb_bft_effect *effect)
{
    return (struct timer){.is_set = true,
                          .height = effect->as.timer.height,
                          .round = effect->as.timer.round,
                          .delay_ms = effect->as.timer.delay_ms};
}

/* set_timer: nothing is ever cancelled or replaced, so that the core also sees timers that it must ignore. */
static void set_timer(struct sim_node *node, uint32_t kind, const struct timer *timer)
{
    struct core_machine *m = machine_of(node);
    uint32_t slot = m->timer_count[kind]++ % TIMER_SLOTS;
    m->timers[kind][slot] = *timer;
    sim_node_set_timer(node, TIMER_FIRST + kind * TIMER_SLOTS + slot, timer->delay_ms);
}

static int step_of(const struct sb_bft_message *message)
{
    return message->is_proposal ? 0 : (int)message->as.vote.type;
}

static int compare_places(const struct sb_bft_message *a, const struct sb_bft_message *b)
{
    int32_t x = a->is_proposal ? a->as.proposal.round : a->as.vote.round;
    int32_t y = b->is_proposal ? b->as.proposal.round : b->as.vote.round;
    return x != y ? (x < y ? -1 : 1) : step_of(a) - step_of(b);
}

static bool is_same_message(const struct sim_node *node, const struct sb_bft_message *a,
                            const struct sb_bft_message *b)
{
    const struct sb_chain_domain *domain = &node->sim->domain;
    uint8_t x[SB_SIGN_BYTES_MAX], y[SB_SIGN_BYTES_MAX];
    size_t x_len = a->is_proposal ? sb_proposal_sign_bytes(x, domain, &a->as.proposal)
                                  : sb_vote_sign_bytes(x, domain, &a->as.vote);
    size_t y_len = b->is_proposal ? sb_proposal_sign_bytes(y, domain, &b->as.proposal)
                                  : sb_vote_sign_bytes(y, domain, &b->as.vote);
    return sb_span_equal(sb_span(x, x_len), sb_span(y, y_len));
}

static sb_err sign(struct sim_node *node, const struct sb_bft_message *message,
                   struct sb_diag *diag)
{
    struct sim_core_disk *disk = node->core_disk;
    struct sb_bft_input input = {.type = SB_BFT_IN_SIGNED};
    input.as.signed_message = *message;
    const struct sb_bft_message *same = NULL;
    size_t i = 0;
    while (i < disk->signed_count && compare_places(&disk->signed_messages[i], message) < 0) {
        i++;
    }
    if (i < disk->signed_count && compare_places(&disk->signed_messages[i], message) == 0) {
        same = &disk->signed_messages[i];
    }
    if (same != NULL && is_same_message(node, same, message)) {
        input.as.signed_message = *same;
    } else if (i == disk->signed_count) {
        if (!journal_sync(node)) {
            return died(diag);
        }
        sim_sign_message(&input.as.signed_message, &node->key, &node->sim->domain);
        if (disk->signed_count == SIGNED_MAX) { /* old places are refused for being old */
            disk->signed_count /= 2;
            memmove(&disk->signed_messages[0], &disk->signed_messages[SIGNED_MAX / 2],
                    disk->signed_count * sizeof disk->signed_messages[0]);
        }
        disk->signed_messages[disk->signed_count++] = input.as.signed_message;
        sim_check_signed(node->sim, node->index, &input.as.signed_message);
    } /* else the guard refuses: the signature stays empty */
    push(machine_of(node), &input);
    return SB_OK;
}

static void get_value(struct sim_node *node, uint64_t height, int32_t round)
{
    uint64_t now = sim_node_wall_ms(node);
    const struct sim_core_disk *disk = node->core_disk;
    uint64_t last =
        disk->head == 0 ? 0 : sim_core_value_of(&disk->commits[disk->head].commit.block_id).time_ms;
    struct sim_core_value value = {
        .is_valid = !sim_chance(&node->sim->node_random, node->sim->config.invalid_per_mille),
        .proposer = node->index,
        .height = height,
        .time_ms = now > last ? now : last + 1,
        .random = sim_random_u64(&node->sim->node_random)};
    sim_node_spends(node, node->sim->config.faults.execute_us);
    struct sb_bft_input input = {.type = SB_BFT_IN_VALUE};
    input.as.value.height = height;
    input.as.value.round = round;
    input.as.value.value.block_id = sim_core_value_make(&value);
    input.as.value.value.block_bytes = 100;
    push(machine_of(node), &input);
}

/* verdict: the answer to VALIDATE. */
static void verdict(struct sim_node *node, const sb_hash *block_id)
{
    const struct sim_core_disk *disk = node->core_disk;
    struct core_machine *m = machine_of(node);
    struct sim_core_value value = sim_core_value_of(block_id);
    uint64_t last =
        disk->head == 0 ? 0 : sim_core_value_of(&disk->commits[disk->head].commit.block_id).time_ms;
    struct sb_bft_input input = {.type = SB_BFT_IN_VALIDITY};
    input.as.validity.height = disk->head + 1;
    input.as.validity.block_id = *block_id;
    input.as.validity.valid = value.is_valid && value.height == disk->head + 1 &&
                              value.time_ms > last &&
                              value.proposer < node->sim->config.validator_count;
    if (input.as.validity.valid) {
        input.as.validity.time_ms = value.time_ms;
        input.as.validity.proposer = node->sim->nodes[value.proposer].key.address;
        m->found_valid[m->found_valid_count++ % BLOCKS_SEEN] = *block_id;
    }
    push(m, &input);
}

/* validate: at once, or, in every second cluster, while other inputs come. */
static void validate(struct sim_node *node, const sb_hash *block_id)
{
    struct core_machine *m = machine_of(node);
    if (node->sim->config.seed % 2 == 0) {
        sim_node_spends(node, node->sim->config.faults.execute_us);
        verdict(node, block_id);
        return;
    }
    uint32_t slot = m->late_verdict_count++ % VERDICTS_MAX;
    m->late_verdicts[slot] = *block_id;
    sim_node_set_timer(node, TIMER_VALIDITY + slot, node->sim->config.faults.execute_us / 1000);
}

static sb_hash next_state(const struct sim_core_disk *disk, const sb_hash *block_id)
{
    sb_hash state;
    for (size_t i = 0; i < sizeof state.b; i += 8) {
        le_store64(state.b + i, sim_mix(le_load64(disk->state.b + i) ^ le_load64(block_id->b + i)));
    }
    return state;
}

static bool was_found_valid(const struct core_machine *m, const sb_hash *block_id)
{
    for (uint32_t i = 0; i < BLOCKS_SEEN; i++) {
        if (sb_hash_equal(&m->found_valid[i], block_id)) {
            return true;
        }
    }
    return false;
}

static sb_err commit(struct sim_node *node, const struct sb_commit *decided, struct sb_diag *diag)
{
    struct sim_core_disk *disk = node->core_disk;
    if (sim_node_dies(node)) {
        return died(diag);
    }
    SB_ASSERT(decided->height == disk->head + 1 && decided->height < SIM_HEIGHTS_MAX);
    if (!was_found_valid(machine_of(node), &decided->block_id)) {
        sim_fail(node->sim, "node %u decided height %llu without a verdict on the block",
                 node->index, (unsigned long long)decided->height);
    }
    struct sim_alloc *before = sim_alloc_enter(NULL);
    struct commit *kept = &disk->commits[decided->height];
    kept->sigs = malloc(decided->sig_count * sizeof *kept->sigs);
    SB_ASSERT(kept->sigs != NULL);
    memcpy(kept->sigs, decided->sigs, decided->sig_count * sizeof *kept->sigs);
    kept->commit = *decided;
    kept->commit.sigs = kept->sigs;
    disk->head = decided->height;
    disk->state = next_state(disk, &decided->block_id);
    journal_clear(disk, 0);
    disk->signed_count = 0;
    struct sim_block_facts facts = {.is_valid = sim_core_value_of(&decided->block_id).is_valid,
                                    .state = disk->state};
    sim_check_decided(node->sim, node->index, decided, &facts);
    (void)sim_alloc_enter(before);
    if (sim_node_dies(node)) {
        return died(diag);
    }
    sim_node_set_timer(node, TIMER_PACE, node->sim->config.interval_ms);
    return SB_OK;
}

/* check_first_prevote: line 22: a block without a proof of lock is timely, and of the round's proposer. */
static void check_first_prevote(struct sim_node *node, const struct sb_vote *vote)
{
    const struct core_machine *m = machine_of(node);
    const struct sb_proposal *proposal = sb_bft_proposal(m->core, vote->round);
    if (vote->type != SB_VOTE_PREVOTE || sb_vote_is_nil(vote) || proposal == NULL ||
        proposal->pol_round >= 0) {
        return;
    }
    struct sim_core_value value = sim_core_value_of(&vote->block_id);
    uint32_t turn = sim_proposer(node->sim, vote->height, vote->round);
    if (value.proposer != sim_member(node->sim, vote->height, turn)) {
        sim_fail(node->sim, "node %u prevoted for a block of node %u, whose turn it is not",
                 node->index, value.proposer);
    }
    uint64_t received = vote->round < ROUNDS_SEEN ? m->received_ms[vote->round] : 0;
    const struct sb_bft_timeliness *t = &node->sim->config.timeliness;
    uint64_t delay = t->message_delay_ms;
    for (int32_t r = 0; r < vote->round; r++) {
        delay = delay * 11 / 10;
    }
    if (received != 0 && (received + t->precision_ms < value.time_ms ||
                          received > value.time_ms + delay + t->precision_ms)) {
        sim_fail(node->sim,
                 "node %u prevoted for a block that was not timely: height %llu round %d",
                 node->index, (unsigned long long)vote->height, vote->round);
    }
}

/* check_growth: timeouts grow with the round, or slow networks never decide. */
static void check_growth(struct sim_node *node, enum sb_bft_timeout kind, const struct timer *timer)
{
    const struct sb_bft_timeouts *t = &node->sim->config.timeouts;
    const uint64_t base[TIMER_KINDS] = {t->propose_ms, t->prevote_ms, t->precommit_ms};
    uint64_t expected = base[kind] + (uint64_t)timer->round * t->delta_ms;
    if (timer->delay_ms != expected) {
        sim_fail(node->sim, "node %u sets a timer of %llu ms in round %d, not %llu", node->index,
                 (unsigned long long)timer->delay_ms, timer->round, (unsigned long long)expected);
    }
}

static sb_err carry_out(struct sim_node *node, const struct sb_bft_effect *effect,
                        const struct sb_bft_input *input, struct sb_diag *diag)
{
    switch (effect->type) {
    case SB_BFT_JOURNAL:
        if (sim_node_dies(node)) {
            return died(diag);
        }
        journal_add(node->core_disk, input);
        return sim_node_dies(node) ? died(diag) : SB_OK;
    case SB_BFT_SIGN:
        return sign(node, &effect->as.message, diag);
    case SB_BFT_BROADCAST: {
        if (!effect->as.message.is_proposal) {
            check_first_prevote(node, &effect->as.message.as.vote);
        }
        struct sb_message out = wrap(&effect->as.message);
        send_all(node, &out);
        return node->is_dying ? died(diag) : SB_OK;
    }
    case SB_BFT_SET_TIMER: {
        struct timer timer = timer_of(effect);
        check_growth(node, effect->as.timer.kind, &timer);
        set_timer(node, (uint32_t)effect->as.timer.kind, &timer);
        return SB_OK;
    }
    case SB_BFT_CANCEL_TIMERS:
        return SB_OK;
    case SB_BFT_GET_VALUE:
        get_value(node, effect->as.get_value.height, effect->as.get_value.round);
        return SB_OK;
    case SB_BFT_VALIDATE:
        validate(node, &effect->as.validate.block_id);
        return SB_OK;
    case SB_BFT_DECIDE:
        return commit(node, &effect->as.decide, diag);
    case SB_BFT_EVIDENCE:
        machine_of(node)->accused |= UINT64_C(1) << effect->as.evidence.a.validator_index;
        sim_check_evidence(node->sim, node->index, &effect->as.evidence);
        return SB_OK;
    case SB_BFT_FETCH:
        validate(node, &effect->as.fetch.block_id);
        return SB_OK;
    }
    SB_UNREACHABLE();
}

/* note_question: a block that waits for its verdict; of too many, the oldest question is forgotten. */
static void note_question(struct core_machine *m, const sb_hash *block_id)
{
    for (size_t i = 0; i < m->validate_count; i++) {
        if (sb_hash_equal(&m->validate[i], block_id)) {
            return;
        }
    }
    if (m->validate_count == VERDICTS_MAX) {
        memmove(&m->validate[0], &m->validate[1], --m->validate_count * sizeof m->validate[0]);
    }
    m->validate[m->validate_count++] = *block_id;
}

static void note_open(struct core_machine *m, const struct sb_bft_effect *effect)
{
    switch (effect->type) {
    case SB_BFT_SIGN:
        m->asks_sign = true;
        m->to_sign = effect->as.message;
        break;
    case SB_BFT_SET_TIMER:
        m->open_timers[effect->as.timer.kind] = timer_of(effect);
        break;
    case SB_BFT_CANCEL_TIMERS:
        memset(m->open_timers, 0, sizeof m->open_timers);
        break;
    case SB_BFT_GET_VALUE:
        m->asks_value = true;
        m->value_round = effect->as.get_value.round;
        break;
    case SB_BFT_VALIDATE:
    case SB_BFT_FETCH:
        note_question(m, effect->type == SB_BFT_FETCH ? &effect->as.fetch.block_id
                                                      : &effect->as.validate.block_id);
        break;
    case SB_BFT_DECIDE:
        m->asks_decide = true;
        m->open_decision = effect->as.decide;
        break;
    case SB_BFT_EVIDENCE:
        m->accused |= UINT64_C(1) << effect->as.evidence.a.validator_index;
        break;
    case SB_BFT_JOURNAL:
    case SB_BFT_BROADCAST:
        break;
    }
}

/* ---- what the core must have done with what it holds ---- */

static int64_t held_power(const struct sim_node *node, int32_t round)
{
    const struct sb_bft *core = machine_of(node)->core;
    const struct sb_rotation *rotation = sim_rotation(node->sim, sb_bft_status(core).height);
    int64_t power = 0;
    for (uint32_t i = 0; i < rotation->set.count; i++) {
        bool is_heard = sb_bft_vote(core, SB_VOTE_PREVOTE, round, i) != NULL ||
                        sb_bft_vote(core, SB_VOTE_PRECOMMIT, round, i) != NULL;
        power += is_heard ? rotation->validators[i].power : 0;
    }
    return power;
}

/* check_skip: line 55, both ways: a vote of a later round. */
static void check_skip(struct sim_node *node, const struct sb_bft_status *before,
                       const struct sb_bft_input *input)
{
    struct sb_bft_status now = sb_bft_status(machine_of(node)->core);
    if (now.height != before->height || now.height == 0 || input->type != SB_BFT_IN_VOTE ||
        input->as.vote.round <= before->round || now.step == SB_BFT_DECIDED ||
        before->step == SB_BFT_DECIDED) {
        return;
    }
    int64_t total = sim_rotation(node->sim, now.height)->set.total_power;
    bool may = sb_power_is_third(held_power(node, input->as.vote.round), total);
    if (may && now.round < input->as.vote.round) {
        sim_fail(node->sim, "node %u stays in round %d of height %llu though a third is in %d",
                 node->index, now.round, (unsigned long long)now.height, input->as.vote.round);
    }
    if (now.round > before->round && !sb_power_is_third(held_power(node, now.round), total)) {
        sim_fail(node->sim, "node %u skipped to round %d of height %llu for less than a third",
                 node->index, now.round, (unsigned long long)now.height);
    }
}

/* check_valid_value: lines 36 to 43: a polka for the proposed block of the present round. */
static void check_valid_value(struct sim_node *node)
{
    const struct core_machine *m = machine_of(node);
    struct sb_bft_status now = sb_bft_status(m->core);
    struct sb_bft_certificate polka;
    if (now.height == 0 || (now.step != SB_BFT_PREVOTE && now.step != SB_BFT_PRECOMMIT)) {
        return;
    }
    const struct sb_proposal *proposal = sb_bft_proposal(m->core, now.round);
    if (proposal != NULL && now.valid_round != now.round &&
        was_found_valid(m, &proposal->block_id) &&
        sb_bft_certificate(&polka, m->core, SB_VOTE_PREVOTE, now.round) &&
        sb_hash_equal(&polka.commit.block_id, &proposal->block_id)) {
        sim_fail(node->sim, "node %u holds a polka of round %d of height %llu and not its value",
                 node->index, now.round, (unsigned long long)now.height);
    }
}

/* ---- steps ---- */

static sb_err step(struct sim_node *node, const struct sb_bft_input *input, struct sb_diag *diag)
{
    struct core_machine *m = machine_of(node);
    struct sb_bft_effects effects;
    struct sb_bft_status before = sb_bft_status(m->core);
    SB_TRY(sb_bft_step(m->core, input, &effects, diag));
    if (effects.count != 0) {
        check_skip(node, &before, input);
    }
    for (size_t i = 0; i < effects.count; i++) {
        if (m->is_replaying) {
            note_open(m, &effects.list[i]);
        } else {
            SB_TRY(carry_out(node, &effects.list[i], input, diag));
        }
    }
    return SB_OK;
}

/* run: an input, and all that answers to its questions. */
static sb_err run(struct sim_node *node, const struct sb_bft_input *input, struct sb_diag *diag)
{
    struct core_machine *m = machine_of(node);
    if (input != NULL) {
        SB_TRY(step(node, input, diag));
    }
    while (m->queue_count != 0) {
        struct sb_bft_input next = m->queue[0];
        memmove(&m->queue[0], &m->queue[1], --m->queue_count * sizeof m->queue[0]);
        SB_TRY(step(node, &next, diag));
    }
    check_valid_value(node);
    return SB_OK;
}

/* ---- start ---- */

static void close_answered(struct core_machine *m, const struct sb_bft_input *input)
{
    if (input->type == SB_BFT_IN_SIGNED) {
        m->asks_sign = false;
    } else if (input->type == SB_BFT_IN_VALUE) {
        m->asks_value = false;
    } else if (input->type == SB_BFT_IN_VALIDITY) {
        if (input->as.validity.valid) {
            m->found_valid[m->found_valid_count++ % BLOCKS_SEEN] = input->as.validity.block_id;
        }
        for (size_t i = 0; i < m->validate_count; i++) {
            if (sb_hash_equal(&m->validate[i], &input->as.validity.block_id)) {
                m->validate[i] = m->validate[--m->validate_count];
            }
        }
    }
}

static sb_err replay(struct sim_node *node, struct sb_diag *diag)
{
    struct core_machine *m = machine_of(node);
    struct sim_core_disk *disk = node->core_disk;
    m->is_replaying = true;
    for (size_t i = 0; i < disk->count; i++) {
        close_answered(m, &disk->journal[i].input);
        SB_TRY(step(node, &disk->journal[i].input, diag));
    }
    m->is_replaying = false;
    return SB_OK;
}

static sb_err ask_open(struct sim_node *node, struct sb_diag *diag)
{
    struct core_machine *m = machine_of(node);
    if (m->asks_decide) {
        return commit(node, &m->open_decision, diag);
    }
    for (uint32_t kind = 0; kind < TIMER_KINDS; kind++) {
        if (m->open_timers[kind].is_set) {
            set_timer(node, kind, &m->open_timers[kind]);
        }
    }
    if (m->asks_sign) {
        SB_TRY(sign(node, &m->to_sign, diag));
        SB_TRY(run(node, NULL, diag)); /* nothing else may come before the answer */
    }
    if (m->asks_value) {
        get_value(node, node->core_disk->head + 1, m->value_round);
    }
    for (size_t i = 0; i < m->validate_count; i++) {
        validate(node, &m->validate[i]);
    }
    return run(node, NULL, diag);
}

static uint32_t proposer(void *ctx, uint64_t height, int32_t round)
{
    const struct sim_node *node = ctx;
    return sim_proposer(node->sim, height, round);
}

static sb_err core_start(struct sim_node *node, struct sb_diag *diag)
{
    if (node->core_disk == NULL) {
        struct sim_alloc *before = sim_alloc_enter(NULL);
        node->core_disk = calloc(1, sizeof *node->core_disk);
        (void)sim_alloc_enter(before);
    }
    struct core_machine *m = calloc(1, sizeof *m);
    SB_ASSERT(m != NULL && node->core_disk != NULL);
    node->machine = m;
    sb_arena_init(&m->arena, ARENA_BYTES);
    struct sb_bft_config config = {.own_address = node->key.address,
                                   .timeouts = node->sim->config.timeouts,
                                   .validators_max = SIM_NODES_MAX,
                                   .proposer = proposer,
                                   .proposer_ctx = node};
    m->core = sb_bft_new(&config);
    SB_ASSERT(m->core != NULL);
    sim_check_restarted(node->sim, node->index, node->core_disk->head, &node->core_disk->state);
    SB_TRY(replay(node, diag));
    sim_node_set_timer(node, TIMER_RESEND, node->sim->config.resend_ms);
    if (node->core_disk->count == 0) {
        sim_node_set_timer(node, TIMER_PACE, node->sim->config.interval_ms);
        return SB_OK;
    }
    return ask_open(node, diag);
}

static void core_stop(struct sim_node *node)
{
    struct core_machine *m = machine_of(node);
    if (m != NULL) {
        sb_bft_free(m->core);
        sb_arena_fini(&m->arena);
        free(m);
        node->machine = NULL;
    }
    if (node->core_disk != NULL && node->is_dying) {
        struct sim_core_disk *disk = node->core_disk;
        struct sim_alloc *before = sim_alloc_enter(NULL);
        size_t loose = disk->count - disk->durable;
        journal_clear(disk, disk->durable + sim_below(&node->sim->fault_random, loose + 1));
        disk->durable = disk->count;
        (void)sim_alloc_enter(before);
    }
}

static void core_discard(struct sim_node *node)
{
    struct sim_core_disk *disk = node->core_disk;
    if (disk == NULL) {
        return;
    }
    journal_clear(disk, 0);
    free(disk->journal);
    for (uint64_t h = 1; h <= disk->head; h++) {
        free(disk->commits[h].sigs);
    }
    free(disk);
    node->core_disk = NULL;
}

/* ---- events ---- */

static sb_err take_vote(struct sim_node *node, const struct sb_vote *vote, struct sb_diag *diag)
{
    struct core_machine *m = machine_of(node);
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
    sb_err err = run(node, &input, diag);
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
    struct core_machine *m = machine_of(node);
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
    return run(node, &input, diag);
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
    struct core_machine *m = machine_of(node);
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
    return run(node, &input, diag);
}

static sb_err core_receive(struct sim_node *node, uint32_t from, uint64_t peer,
                           enum sb_channel channel, sb_bytes raw, struct sb_diag *diag)
{
    (void)peer;
    struct core_machine *m = machine_of(node);
    struct sb_message message;
    sb_arena_reset(&m->arena);
    if (sb_message_decode(&message, &m->arena, channel, raw, NULL) != SB_OK) {
        return SB_OK;
    }
    switch (message.kind) {
    case SB_MESSAGE_STATUS:
        m->peer_height[from] = message.as.status.head + 1;
        if (message.as.status.head < node->core_disk->head) {
            help(node, from, message.as.status.head);
        }
        return node->is_dying ? died(diag) : SB_OK;
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

static sb_err core_timer(struct sim_node *node, uint32_t timer, struct sb_diag *diag)
{
    struct core_machine *m = machine_of(node);
    if (timer == TIMER_RESEND) {
        sim_node_set_timer(node, TIMER_RESEND, node->sim->config.resend_ms);
        resend(node);
        return node->is_dying ? died(diag) : SB_OK;
    }
    if (timer == TIMER_PACE) {
        uint64_t height = node->core_disk->head + 1;
        struct sb_bft_input input = {.type = SB_BFT_IN_START_HEIGHT};
        input.as.start.height = height;
        input.as.start.set = &sim_rotation(node->sim, height)->set;
        input.as.start.timeliness = node->sim->config.timeliness;
        memset(m->received_ms, 0, sizeof m->received_ms);
        m->accused = 0;
        return run(node, &input, diag);
    }
    if (timer >= TIMER_VALIDITY) {
        verdict(node, &m->late_verdicts[timer - TIMER_VALIDITY]);
        return run(node, NULL, diag);
    }
    const struct timer *due =
        &m->timers[(timer - TIMER_FIRST) / TIMER_SLOTS][(timer - TIMER_FIRST) % TIMER_SLOTS];
    struct sb_bft_input input = {.type = SB_BFT_IN_TIMEOUT};
    input.as.timeout.kind = (enum sb_bft_timeout)((timer - TIMER_FIRST) / TIMER_SLOTS);
    input.as.timeout.height = due->height;
    input.as.timeout.round = due->round;
    return run(node, &input, diag);
}

static sb_err core_link(struct sim_node *node, uint32_t other, uint64_t peer, bool is_up,
                        struct sb_diag *diag)
{
    (void)peer;
    if (is_up) {
        send_status(node, other);
    }
    return node->is_dying ? died(diag) : SB_OK;
}

static struct sim_standing core_standing(const struct sim_node *node)
{
    const struct core_machine *m = machine_of(node);
    return (struct sim_standing){.head = node->core_disk->head, .bft = sb_bft_status(m->core)};
}

const struct sim_machine sim_machine_core = {.name = "core",
                                             .start = core_start,
                                             .stop = core_stop,
                                             .receive = core_receive,
                                             .timer = core_timer,
                                             .link = core_link,
                                             .standing = core_standing,
                                             .discard = core_discard};
