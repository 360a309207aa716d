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
#include "tests/sim/check.h"
#include "tests/sim/core_value.h"
#include "tests/sim/machine_core.h"

static void push(struct sim_core_machine *m, const struct sb_bft_input *input)
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
    struct sim_core_entry *entry = &disk->journal[disk->count++];
    *entry = (struct sim_core_entry){.input = *input, .sigs = NULL};
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

/* ---- effects ---- */

static struct sim_core_timer timer_of(const struct sb_bft_effect *effect)
{
    return (struct sim_core_timer){.is_set = true,
                                   .height = effect->as.timer.height,
                                   .round = effect->as.timer.round,
                                   .delay_ms = effect->as.timer.delay_ms};
}

/* set_timer: nothing is ever cancelled or replaced, so that the core also sees timers that it must ignore. */
static void set_timer(struct sim_node *node, uint32_t kind, const struct sim_core_timer *timer)
{
    struct sim_core_machine *m = sim_core_machine_of(node);
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
            return sim_core_died(diag);
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
    push(sim_core_machine_of(node), &input);
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
    push(sim_core_machine_of(node), &input);
}

/* verdict: the answer to VALIDATE. */
static void verdict(struct sim_node *node, const sb_hash *block_id)
{
    const struct sim_core_disk *disk = node->core_disk;
    struct sim_core_machine *m = sim_core_machine_of(node);
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
    struct sim_core_machine *m = sim_core_machine_of(node);
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

static sb_err commit(struct sim_node *node, const struct sb_commit *decided, struct sb_diag *diag)
{
    struct sim_core_disk *disk = node->core_disk;
    if (sim_node_dies(node)) {
        return sim_core_died(diag);
    }
    SB_ASSERT(decided->height == disk->head + 1 && decided->height < SIM_HEIGHTS_MAX);
    if (!sim_core_was_found_valid(sim_core_machine_of(node), &decided->block_id)) {
        sim_fail(node->sim, "node %u decided height %llu without a verdict on the block",
                 node->index, (unsigned long long)decided->height);
    }
    struct sim_alloc *before = sim_alloc_enter(NULL);
    struct sim_core_commit *kept = &disk->commits[decided->height];
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
        return sim_core_died(diag);
    }
    sim_node_set_timer(node, TIMER_PACE, node->sim->config.interval_ms);
    return SB_OK;
}

static sb_err carry_out(struct sim_node *node, const struct sb_bft_effect *effect,
                        const struct sb_bft_input *input, struct sb_diag *diag)
{
    switch (effect->type) {
    case SB_BFT_JOURNAL:
        if (sim_node_dies(node)) {
            return sim_core_died(diag);
        }
        journal_add(node->core_disk, input);
        return sim_node_dies(node) ? sim_core_died(diag) : SB_OK;
    case SB_BFT_SIGN:
        if (!effect->as.message.is_proposal) {
            sim_core_check_lock(node, &effect->as.message.as.vote);
        }
        return sign(node, &effect->as.message, diag);
    case SB_BFT_BROADCAST: {
        if (!effect->as.message.is_proposal) {
            sim_core_check_first_prevote(node, &effect->as.message.as.vote);
        }
        struct sb_message out = sim_core_wrap(&effect->as.message);
        sim_core_send_all(node, &out);
        return node->is_dying ? sim_core_died(diag) : SB_OK;
    }
    case SB_BFT_SET_TIMER: {
        struct sim_core_timer timer = timer_of(effect);
        sim_core_check_growth(node, effect->as.timer.kind, &timer);
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
        sim_core_machine_of(node)->accused |= UINT64_C(1) << effect->as.evidence.a.validator_index;
        sim_check_evidence(node->sim, node->index, &effect->as.evidence);
        return SB_OK;
    case SB_BFT_FETCH:
        validate(node, &effect->as.fetch.block_id);
        return SB_OK;
    }
    SB_UNREACHABLE();
}

/* note_question: a block that waits for its verdict; of too many, the oldest question is forgotten. */
static void note_question(struct sim_core_machine *m, const sb_hash *block_id)
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

static void note_open(struct sim_core_machine *m, const struct sb_bft_effect *effect)
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

/* ---- steps ---- */

static sb_err step(struct sim_node *node, const struct sb_bft_input *input, struct sb_diag *diag)
{
    struct sim_core_machine *m = sim_core_machine_of(node);
    static struct sb_bft_effects effects; /* too large for the stack */
    struct sb_bft_status before = sb_bft_status(m->core);
    SB_TRY(sb_bft_step(m->core, input, &effects, diag));
    if (effects.count != 0) {
        sim_core_check_skip(node, &before, input);
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

sb_err sim_core_run(struct sim_node *node, const struct sb_bft_input *input, struct sb_diag *diag)
{
    struct sim_core_machine *m = sim_core_machine_of(node);
    if (input != NULL) {
        SB_TRY(step(node, input, diag));
    }
    while (m->queue_count != 0) {
        struct sb_bft_input next = m->queue[0];
        memmove(&m->queue[0], &m->queue[1], --m->queue_count * sizeof m->queue[0]);
        SB_TRY(step(node, &next, diag));
    }
    sim_core_check_valid_value(node);
    return SB_OK;
}

/* ---- start ---- */

static void close_answered(struct sim_core_machine *m, const struct sb_bft_input *input)
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
    struct sim_core_machine *m = sim_core_machine_of(node);
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
    struct sim_core_machine *m = sim_core_machine_of(node);
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
        SB_TRY(sim_core_run(node, NULL, diag)); /* nothing else may come before the answer */
    }
    if (m->asks_value) {
        get_value(node, node->core_disk->head + 1, m->value_round);
    }
    for (size_t i = 0; i < m->validate_count; i++) {
        validate(node, &m->validate[i]);
    }
    return sim_core_run(node, NULL, diag);
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
    struct sim_core_machine *m = calloc(1, sizeof *m);
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
    struct sim_core_machine *m = sim_core_machine_of(node);
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

static sb_err core_timer(struct sim_node *node, uint32_t timer, struct sb_diag *diag)
{
    struct sim_core_machine *m = sim_core_machine_of(node);
    if (timer == TIMER_RESEND) {
        sim_node_set_timer(node, TIMER_RESEND, node->sim->config.resend_ms);
        sim_core_resend(node);
        return node->is_dying ? sim_core_died(diag) : SB_OK;
    }
    if (timer == TIMER_PACE) {
        uint64_t height = node->core_disk->head + 1;
        struct sb_bft_input input = {.type = SB_BFT_IN_START_HEIGHT};
        input.as.start.height = height;
        input.as.start.set = &sim_rotation(node->sim, height)->set;
        input.as.start.timeliness = node->sim->config.timeliness;
        memset(m->received_ms, 0, sizeof m->received_ms);
        m->accused = 0;
        return sim_core_run(node, &input, diag);
    }
    if (timer >= TIMER_VALIDITY) {
        verdict(node, &m->late_verdicts[timer - TIMER_VALIDITY]);
        return sim_core_run(node, NULL, diag);
    }
    const struct sim_core_timer *due =
        &m->timers[(timer - TIMER_FIRST) / TIMER_SLOTS][(timer - TIMER_FIRST) % TIMER_SLOTS];
    struct sb_bft_input input = {.type = SB_BFT_IN_TIMEOUT};
    input.as.timeout.kind = (enum sb_bft_timeout)((timer - TIMER_FIRST) / TIMER_SLOTS);
    input.as.timeout.height = due->height;
    input.as.timeout.round = due->round;
    return sim_core_run(node, &input, diag);
}

static sb_err core_link(struct sim_node *node, uint32_t other, uint64_t peer, bool is_up,
                        struct sb_diag *diag)
{
    (void)peer;
    if (is_up) {
        sim_core_send_status(node, other);
    }
    return node->is_dying ? sim_core_died(diag) : SB_OK;
}

static struct sim_standing core_standing(const struct sim_node *node)
{
    const struct sim_core_machine *m = sim_core_machine_of(node);
    return (struct sim_standing){.head = node->core_disk->head, .bft = sb_bft_status(m->core)};
}

const struct sim_machine sim_machine_core = {.name = "core",
                                             .start = core_start,
                                             .stop = core_stop,
                                             .receive = sim_core_receive,
                                             .timer = core_timer,
                                             .link = core_link,
                                             .standing = core_standing,
                                             .discard = core_discard};
