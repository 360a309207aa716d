/* cluster.c: see cluster.h. */
#include "tests/unit/consensus/cluster.h"

#include <stdio.h>

#include "base/util/assert.h"

/* ---- events ---- */

static bool is_before(const struct cluster_place *a, const struct cluster_place *b)
{
    return a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->number < b->number);
}

static void swap_places(struct cluster_place *a, struct cluster_place *b)
{
    struct cluster_place place = *a;
    *a = *b;
    *b = place;
}

/* schedule: an event after delay_ms, zeroed but for type and node; for the caller to fill in. */
static struct cluster_event *schedule(struct cluster *cluster, enum cluster_event_type type,
                                      size_t node, uint64_t delay_ms)
{
    SB_ASSERT(cluster->free_count > 0);
    uint32_t index = cluster->free_events[--cluster->free_count];
    size_t at = cluster->heap_count++;
    cluster->heap[at] = (struct cluster_place){
        .at_ms = cluster->now_ms + delay_ms, .number = cluster->scheduled++, .event = index};
    for (; at > 0 && is_before(&cluster->heap[at], &cluster->heap[(at - 1) / 2]);
         at = (at - 1) / 2) {
        swap_places(&cluster->heap[at], &cluster->heap[(at - 1) / 2]);
    }
    struct cluster_event *event = &cluster->events[index];
    memset(event, 0, sizeof *event);
    event->type = type;
    event->node = node;
    return event;
}

static uint32_t take_earliest(struct cluster *cluster)
{
    struct cluster_place first = cluster->heap[0];
    cluster->heap[0] = cluster->heap[--cluster->heap_count];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < cluster->heap_count;
             child++) {
            least = is_before(&cluster->heap[child], &cluster->heap[least]) ? child : least;
        }
        if (least == at) {
            break;
        }
        swap_places(&cluster->heap[at], &cluster->heap[least]);
        at = least;
    }
    cluster->now_ms = first.at_ms;
    return first.event;
}

static uint64_t below(struct cluster *cluster, uint64_t bound)
{
    return sb_random_below(&cluster->random, bound);
}

/* ---- network ---- */

/* is_lost, delay: what the network does to one message. */
static bool is_lost(struct cluster *cluster)
{
    return cluster->now_ms < CLUSTER_GST_MS && below(cluster, 100) < 30;
}

static uint64_t delay(struct cluster *cluster)
{
    bool is_slow = cluster->now_ms < CLUSTER_GST_MS && below(cluster, 4) == 0;
    return 1 + below(cluster, is_slow ? 8000 : CLUSTER_DELAY_MS);
}

static bool is_receiver(const struct cluster *cluster, size_t from, size_t to)
{
    return to != from && !cluster->nodes[to].is_byzantine;
}

static void send_vote(struct cluster *cluster, size_t to, const struct sb_vote *vote)
{
    for (int copies = 1 + (below(cluster, 10) == 0); copies > 0; copies--) {
        if (!is_lost(cluster)) {
            schedule(cluster, EVENT_VOTE, to, delay(cluster))->as.vote = *vote;
        }
    }
}

static void send_proposal(struct cluster *cluster, size_t to, const struct sb_proposal *proposal)
{
    if (!is_lost(cluster)) {
        schedule(cluster, EVENT_PROPOSAL, to, delay(cluster))->as.proposal = *proposal;
    }
}

static void send_certificate(struct cluster *cluster, size_t to, enum sb_vote_type type,
                             const struct sb_commit *commit)
{
    if (is_lost(cluster)) {
        return;
    }
    struct cluster_event *event = schedule(cluster, EVENT_CERTIFICATE, to, delay(cluster));
    event->certificate_type = type;
    event->height = commit->height;
    event->round = commit->round;
    event->block_id = commit->block_id;
    memcpy(event->sigs, commit->sigs, commit->sig_count * sizeof commit->sigs[0]);
}

static void broadcast(struct cluster *cluster, size_t from, const struct sb_bft_message *message)
{
    for (size_t to = 0; to < cluster->count; to++) {
        if (!is_receiver(cluster, from, to)) {
            continue;
        }
        if (message->is_proposal) {
            send_proposal(cluster, to, &message->as.proposal);
        } else {
            send_vote(cluster, to, &message->as.vote);
        }
    }
}

/* send_round: all that a node holds of one round. */
static void send_round(struct cluster *cluster, size_t from, size_t to, int32_t round)
{
    static const enum sb_vote_type types[] = {SB_VOTE_PREVOTE, SB_VOTE_PRECOMMIT};
    const struct sb_bft *core = cluster->nodes[from].core;
    const struct sb_proposal *proposal = sb_bft_proposal(core, round);
    if (proposal != NULL) {
        send_proposal(cluster, to, proposal);
    }
    for (size_t i = 0; i < 2; i++) {
        struct sb_bft_certificate certificate;
        if (sb_bft_certificate(&certificate, core, types[i], round)) {
            send_certificate(cluster, to, types[i], &certificate.commit);
        }
        for (uint32_t who = 0; who < cluster->count; who++) {
            const struct sb_vote *vote = sb_bft_vote(core, types[i], round, who);
            if (vote != NULL) {
                send_vote(cluster, to, vote);
            }
        }
    }
}

/* resend: gossip, roughly: to each other node what it may lack. */
static void resend(struct cluster *cluster, size_t from)
{
    const struct cluster_node *node = &cluster->nodes[from];
    struct sb_bft_status status = sb_bft_status(node->core);
    for (size_t to = 0; to < cluster->count; to++) {
        if (!is_receiver(cluster, from, to)) {
            continue;
        }
        struct sb_bft_status other = sb_bft_status(cluster->nodes[to].core);
        if (other.height < status.height || other.height <= node->decided) {
            if (other.height >= 1 && other.height <= node->decided) {
                struct sb_commit commit = {.height = other.height,
                                           .round = node->decided_rounds[other.height],
                                           .block_id = node->decisions[other.height],
                                           .sigs = node->commits[other.height],
                                           .sig_count = cluster->count};
                send_certificate(cluster, to, SB_VOTE_PRECOMMIT, &commit);
            }
        } else if (other.height == status.height) {
            int32_t rounds[] = {status.round, status.round - 1, status.valid_round};
            for (size_t i = 0; i < 3; i++) {
                if (rounds[i] >= 0 && (i < 2 || rounds[i] < status.round - 1)) {
                    send_round(cluster, from, to, rounds[i]);
                }
            }
        }
    }
    schedule(cluster, EVENT_RESEND, from, 1000 + below(cluster, 500));
}

/* ---- blocks and signatures ---- */

static const struct cluster_block *new_block(struct cluster *cluster, uint64_t height,
                                             size_t proposer)
{
    SB_ASSERT(cluster->block_count < CLUSTER_BLOCKS_MAX);
    struct cluster_block *block = &cluster->blocks[cluster->block_count++];
    memset(block, 0, sizeof *block);
    sb_random_fill(&cluster->random, block->id.b, sizeof block->id.b);
    block->height = height;
    block->is_valid = true;
    block->time_ms = cluster->now_ms;
    block->proposer = cluster->set.validators[proposer].address;
    return block;
}

static struct sb_signature sign_by(size_t who)
{
    return (struct sb_signature){.len = 1, .bytes = {(uint8_t)(who + 1)}};
}

static void note_signed(struct cluster *cluster, size_t who, const struct sb_vote *vote)
{
    SB_ASSERT(cluster->signed_count < CLUSTER_SIGNED_MAX);
    cluster->signed_votes[cluster->signed_count++] =
        (struct cluster_signed){.who = who,
                                .type = vote->type,
                                .height = vote->height,
                                .round = vote->round,
                                .block_id = vote->block_id};
}

/* ---- nodes ---- */

static struct sb_bft_input new_input(enum sb_bft_input_type type)
{
    struct sb_bft_input input;
    memset(&input, 0, sizeof input);
    input.type = type;
    return input;
}

static void note_decision(struct cluster *cluster, size_t who, const struct sb_commit *commit)
{
    struct cluster_node *node = &cluster->nodes[who];
    if (commit->height > CLUSTER_HEIGHTS) {
        return;
    }
    node->decisions[commit->height] = commit->block_id;
    node->decided_rounds[commit->height] = commit->round;
    memcpy(node->commits[commit->height], commit->sigs, commit->sig_count * sizeof commit->sigs[0]);
    node->decided = commit->height;
    if (commit->height < CLUSTER_HEIGHTS) {
        schedule(cluster, EVENT_START, who, below(cluster, 200));
    }
}

/* follow: what comes of an effect that was found right; *ret_answer is the signature that was asked for. */
static bool follow(struct cluster *cluster, size_t who, const struct sb_bft_effect *effect,
                   struct sb_bft_input *ret_answer)
{
    struct cluster_event *event;
    switch (effect->type) {
    case SB_BFT_SIGN: {
        struct sb_bft_message message = effect->as.message;
        if (message.is_proposal) {
            message.as.proposal.signature = sign_by(who);
        } else {
            message.as.vote.signature = sign_by(who);
            note_signed(cluster, who, &message.as.vote);
        }
        *ret_answer = new_input(SB_BFT_IN_SIGNED);
        ret_answer->as.signed_message = message;
        return true;
    }
    case SB_BFT_BROADCAST:
        broadcast(cluster, who, &effect->as.message);
        break;
    case SB_BFT_SET_TIMER:
        event = schedule(cluster, EVENT_TIMER, who, effect->as.timer.delay_ms);
        event->timeout = effect->as.timer.kind;
        event->height = effect->as.timer.height;
        event->round = effect->as.timer.round;
        break;
    case SB_BFT_GET_VALUE:
        event = schedule(cluster, EVENT_VALUE, who, below(cluster, 50));
        event->height = effect->as.get_value.height;
        event->round = effect->as.get_value.round;
        break;
    case SB_BFT_VALIDATE:
        event = schedule(cluster, EVENT_VERDICT, who, below(cluster, 100));
        event->height = effect->as.validate.height;
        event->block_id = effect->as.validate.block_id;
        break;
    case SB_BFT_DECIDE:
        note_decision(cluster, who, &effect->as.decide);
        break;
    case SB_BFT_JOURNAL:
    case SB_BFT_CANCEL_TIMERS:
    case SB_BFT_EVIDENCE:
    case SB_BFT_FETCH:
        break;
    }
    return false;
}

static void give(struct cluster *cluster, size_t who, const struct sb_bft_input *first)
{
    static struct sb_bft_effects effects;
    struct sb_bft_input input = *first;
    for (bool is_answered = true; is_answered && cluster->failure == NULL;) {
        is_answered = false;
        if (sb_bft_step(cluster->nodes[who].core, &input, &effects, NULL) != SB_OK) {
            cluster_fail(cluster, "node %zu: the core refuses an input", who);
        }
        if (cluster->watch != NULL) {
            cluster->watch(cluster->watch_ctx, cluster, who, &input, &effects);
        }
        for (size_t i = 0; i < effects.count && cluster->failure == NULL; i++) {
            cluster_check_effect(cluster, who, &effects.list[i]);
            is_answered = follow(cluster, who, &effects.list[i], &input) || is_answered;
        }
    }
    cluster_check_rest(cluster, who);
    int32_t round = sb_bft_status(cluster->nodes[who].core).round;
    cluster->round_highest = round > cluster->round_highest ? round : cluster->round_highest;
}

/* ---- the Byzantine validator ---- */

/* bad_block: a block that is wrong in one way, or right. */
static sb_hash bad_block(struct cluster *cluster, uint64_t height)
{
    size_t who = cluster->byzantine;
    uint64_t kind = below(cluster, 5);
    size_t index = cluster->block_count;
    (void)new_block(cluster, height, kind == 0 ? (who + 1) % cluster->count : who);
    struct cluster_block *block = &cluster->blocks[index];
    block->is_valid = kind != 1;
    block->time_ms += kind == 2 ? 100000 : 0;
    return block->id;
}

/* some_block: nil, or a block of this height that somebody has made. */
static sb_hash some_block(struct cluster *cluster, uint64_t height)
{
    static const sb_hash nil;
    for (size_t tries = 0; tries < 4 && cluster->block_count > 0; tries++) {
        size_t recent = cluster->block_count < 6 ? cluster->block_count : 6;
        const struct cluster_block *block =
            &cluster->blocks[cluster->block_count - 1 - below(cluster, recent)];
        if (block->height == height && below(cluster, 4) != 0) {
            return block->id;
        }
    }
    return nil;
}

static void propose_nonsense(struct cluster *cluster, uint64_t height, int32_t round)
{
    struct sb_proposal proposal = {.height = height,
                                   .round = round,
                                   .block_bytes = 1,
                                   .signature = sign_by(cluster->byzantine)};
    sb_hash blocks[2] = {bad_block(cluster, height), bad_block(cluster, height)};
    for (size_t to = 0; to < cluster->count; to++) {
        if (!is_receiver(cluster, cluster->byzantine, to)) {
            continue;
        }
        sb_hash old = some_block(cluster, height);
        bool is_old = !sb_hash_is_zero(&old) && below(cluster, 3) == 0;
        proposal.block_id = is_old ? old : blocks[below(cluster, 2)];
        proposal.pol_round =
            below(cluster, 2) == 0 ? -1 : (int32_t)below(cluster, (uint64_t)round + 1) - 1;
        send_proposal(cluster, to, &proposal);
    }
}

/* act: in the round that the event names, tell each node something else. */
static void act(struct cluster *cluster, uint64_t height, int32_t round)
{
    if (cluster_proposer(cluster, height, round) == cluster->byzantine) {
        propose_nonsense(cluster, height, round);
    }
    uint32_t index = (uint32_t)cluster->byzantine;
    struct sb_vote vote = {.height = height,
                           .validator_index = index,
                           .validator_address = cluster->set.validators[index].address,
                           .signature = sign_by(cluster->byzantine)};
    for (size_t to = 0; to < cluster->count; to++) {
        for (int i = 0; is_receiver(cluster, cluster->byzantine, to) && i < 5; i++) {
            vote.type = i % 2 == 0 ? SB_VOTE_PREVOTE : SB_VOTE_PRECOMMIT;
            vote.round = i < 4 ? round : round + (int32_t)below(cluster, 1000000);
            vote.block_id = some_block(cluster, height);
            note_signed(cluster, cluster->byzantine, &vote);
            send_vote(cluster, to, &vote);
        }
    }
}

/* tempt: an honest node has come to a new round: act there, once. */
static void tempt(struct cluster *cluster, uint64_t height, int32_t round)
{
    bool is_new = height > cluster->byzantine_height ||
                  (height == cluster->byzantine_height && round > cluster->byzantine_round);
    if (cluster->byzantine == cluster->count || !is_new) {
        return;
    }
    cluster->byzantine_height = height;
    cluster->byzantine_round = round;
    for (int i = 0; i < 2; i++) {
        struct cluster_event *event =
            schedule(cluster, EVENT_BYZANTINE, cluster->byzantine, below(cluster, 400));
        event->height = height;
        event->round = round;
    }
}

/* ---- what happens ---- */

static void give_start(struct cluster *cluster, size_t who)
{
    struct sb_bft_input input = new_input(SB_BFT_IN_START_HEIGHT);
    for (size_t i = 0; i < 4; i++) {
        cluster->nodes[who].received[i].round = -1;
    }
    cluster->nodes[who].lock_round = -1;
    cluster->nodes[who].round = -1;
    input.as.start.height = cluster->nodes[who].decided + 1;
    input.as.start.set = &cluster->set;
    input.as.start.timeliness =
        (struct sb_bft_timeliness){.precision_ms = 500, .message_delay_ms = 1000};
    give(cluster, who, &input);
}

static void give_proposal(struct cluster *cluster, size_t who, const struct sb_proposal *proposal)
{
    struct sb_bft_input input = new_input(SB_BFT_IN_PROPOSAL);
    struct cluster_node *node = &cluster->nodes[who];
    input.as.proposal.message = *proposal;
    input.as.proposal.received_ms = cluster->now_ms;
    struct sb_bft_status status = sb_bft_status(node->core);
    int32_t round = proposal->round;
    bool is_near = round >= status.round && round - 1 <= status.round;
    if (proposal->height == status.height && proposal->pol_round < 0 && is_near &&
        sb_bft_proposal(node->core, round) == NULL) {
        node->received[round % 4].round = round;
        node->received[round % 4].at_ms = cluster->now_ms;
    }
    give(cluster, who, &input);
}

static void give_certificate(struct cluster *cluster, const struct cluster_event *event)
{
    struct sb_bft_input input = new_input(SB_BFT_IN_CERTIFICATE);
    input.as.certificate.type = event->certificate_type;
    input.as.certificate.commit = (struct sb_commit){.height = event->height,
                                                     .round = event->round,
                                                     .block_id = event->block_id,
                                                     .sigs = event->sigs,
                                                     .sig_count = cluster->count};
    give(cluster, event->node, &input);
}

static void give_value(struct cluster *cluster, const struct cluster_event *event)
{
    struct sb_bft_input input = new_input(SB_BFT_IN_VALUE);
    input.as.value.height = event->height;
    input.as.value.round = event->round;
    input.as.value.value = (struct sb_bft_value){
        .block_id = new_block(cluster, event->height, event->node)->id, .block_bytes = 1};
    give(cluster, event->node, &input);
}

static void give_verdict(struct cluster *cluster, const struct cluster_event *event)
{
    struct sb_bft_input input = new_input(SB_BFT_IN_VALIDITY);
    struct cluster_block *block = NULL;
    for (size_t i = cluster->block_count; i-- > 0 && block == NULL;) {
        bool is_it = sb_hash_equal(&cluster->blocks[i].id, &event->block_id);
        block = is_it ? &cluster->blocks[i] : NULL;
    }
    input.as.validity.height = event->height;
    input.as.validity.block_id = event->block_id;
    input.as.validity.valid = block != NULL && block->is_valid;
    if (input.as.validity.valid) {
        input.as.validity.time_ms = block->time_ms;
        input.as.validity.proposer = block->proposer;
        block->told |= (uint32_t)1 << event->node;
    }
    give(cluster, event->node, &input);
}

static void give_timeout(struct cluster *cluster, const struct cluster_event *event)
{
    struct sb_bft_input input = new_input(SB_BFT_IN_TIMEOUT);
    input.as.timeout.kind = event->timeout;
    input.as.timeout.height = event->height;
    input.as.timeout.round = event->round;
    give(cluster, event->node, &input);
}

static void happen(struct cluster *cluster, const struct cluster_event *event)
{
    struct sb_bft_input input = new_input(SB_BFT_IN_VOTE);
    switch (event->type) {
    case EVENT_PROPOSAL:
        give_proposal(cluster, event->node, &event->as.proposal);
        break;
    case EVENT_VOTE:
        input.as.vote = event->as.vote;
        give(cluster, event->node, &input);
        break;
    case EVENT_CERTIFICATE:
        give_certificate(cluster, event);
        break;
    case EVENT_TIMER:
        give_timeout(cluster, event);
        break;
    case EVENT_VALUE:
        give_value(cluster, event);
        break;
    case EVENT_VERDICT:
        give_verdict(cluster, event);
        break;
    case EVENT_START:
        give_start(cluster, event->node);
        break;
    case EVENT_RESEND:
        resend(cluster, event->node);
        break;
    case EVENT_BYZANTINE:
        act(cluster, event->height, event->round);
        return;
    }
    struct sb_bft_status status = sb_bft_status(cluster->nodes[event->node].core);
    if (status.step != SB_BFT_DECIDED) {
        tempt(cluster, status.height, status.round);
    }
}

/* ---- one seed ---- */

static void make_set(struct cluster *cluster)
{
    uint8_t key[32] = {0};
    for (size_t i = 0; i < cluster->count; i++) {
        key[0] = (uint8_t)(i + 1);
        cluster->validators[i] = (struct sb_validator){.key = sb_pubkey_ed25519(key),
                                                       .power = 10 + (int64_t)below(cluster, 4)};
    }
    sb_err err = sb_validator_set_make(&cluster->set, cluster->validators, cluster->count, NULL);
    SB_ASSERT(err == SB_OK);
}

static void make_nodes(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        struct sb_bft_config config = {.own_address = cluster->set.validators[i].address,
                                       .timeouts = sb_bft_timeouts_default(),
                                       .validators_max = cluster->count,
                                       .proposer = cluster_proposer,
                                       .proposer_ctx = cluster};
        node->is_byzantine = i == cluster->byzantine;
        node->core = sb_bft_new(&config);
        SB_ASSERT(node->core != NULL);
        if (!node->is_byzantine) {
            schedule(cluster, EVENT_START, i, below(cluster, 2000));
            schedule(cluster, EVENT_RESEND, i, 2000 + below(cluster, 1000));
        }
    }
}

static bool is_done(const struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        if (!cluster->nodes[i].is_byzantine && cluster->nodes[i].decided < CLUSTER_HEIGHTS) {
            return false;
        }
    }
    return true;
}

bool cluster_run(struct cluster *cluster, uint64_t seed)
{
    size_t kept = offsetof(struct cluster, random);
    memset((uint8_t *)cluster + kept, 0, offsetof(struct cluster, blocks) - kept);
    cluster->random.state = seed;
    cluster->count = 4 + below(cluster, CLUSTER_NODES_MAX - 3);
    cluster->byzantine = below(cluster, 4) != 0 ? below(cluster, cluster->count) : cluster->count;
    for (uint32_t i = 0; i < CLUSTER_EVENTS_MAX; i++) {
        cluster->free_events[i] = i;
    }
    cluster->free_count = CLUSTER_EVENTS_MAX;
    make_set(cluster);
    make_nodes(cluster);
    while (cluster->failure == NULL && !is_done(cluster)) {
        uint32_t index = take_earliest(cluster);
        if (cluster->now_ms > CLUSTER_END_MS) {
            cluster_fail(cluster, "liveness: not all have decided after %llu s",
                         (unsigned long long)CLUSTER_END_MS / 1000);
        }
        struct cluster_event event = cluster->events[index];
        cluster->free_events[cluster->free_count++] = index;
        if (cluster->failure == NULL) {
            happen(cluster, &event);
        }
    }
    for (size_t i = 0; i < cluster->count; i++) {
        sb_bft_free(cluster->nodes[i].core);
    }
    return cluster->failure == NULL;
}
