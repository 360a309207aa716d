/* bft_rules.c: which rule of the paper holds, in which order, and what comes of it (see bft_impl.h; docs/spec/consensus.md).
 *
 *      order   rule            holds when
 *      1       49  decide      a block has a quorum of precommits in any round, and is valid
 *      2       47  timer       quorum of any precommits in the present round, first time
 *      3       55  skip        f + 1 voted in a higher round
 *      4       22, 28 prevote  step propose, the present round's proposal is judged; for a POL round, its polka is seen
 *      5       36  lock        polka in the present round for its proposal, which is valid; first time
 *      6       44  nil         step prevote, polka for nil
 *      7       34  timer       step prevote, quorum of any prevotes, none of 36 and 44; first time
 *
 * One rule can make way for another, so they are tried again until none holds. A rule that votes asks for a signature, and all waits
 * for that. When a vote completes 34 and 36 at once, the timer comes first: whoever hears of the vote has seen the quorum; when the
 * step is entered with the polka already there, 36 makes the timer needless. */
#include "base/util/assert.h"
#include "base/util/checked.h"
#include "consensus/bft_impl.h"
#include "consensus/mutant.h"

/* Proposer-based time: the message delay stops growing here. */
#define MESSAGE_DELAY_MS_MAX ((uint64_t)24 * 60 * 60 * 1000)

/* ---- effects ---- */

struct sb_bft_effect *bft_emit(struct sb_bft_effects *out, enum sb_bft_effect_type type)
{
    SB_ASSERT(out->count < SB_BFT_EFFECTS_MAX);
    struct sb_bft_effect *effect = &out->list[out->count++];
    memset(effect, 0, sizeof *effect);
    effect->type = type;
    return effect;
}

static uint64_t timeout_ms(const struct sb_bft_timeouts *t, enum sb_bft_timeout kind, int32_t round)
{
    uint64_t base = kind == SB_BFT_TIMEOUT_PROPOSE   ? t->propose_ms
                    : kind == SB_BFT_TIMEOUT_PREVOTE ? t->prevote_ms
                                                     : t->precommit_ms;
    if (SB_BFT_MUTANT(timers_constant)) {
        return base;
    }
    return sat_add_u64(base, sat_mul_u64(t->delta_ms, (uint64_t)round));
}

static void set_timer(struct sb_bft *core, struct sb_bft_effects *out, enum sb_bft_timeout kind)
{
    struct sb_bft_effect *effect = bft_emit(out, SB_BFT_SET_TIMER);
    effect->as.timer.kind = kind;
    effect->as.timer.height = core->state.height;
    effect->as.timer.round = core->state.round;
    effect->as.timer.delay_ms = timeout_ms(&core->config.timeouts, kind, core->state.round);
}

static void sign(struct sb_bft *core, struct sb_bft_effects *out,
                 const struct sb_bft_message *message)
{
    SB_ASSERT(!core->awaits_signature);
    core->awaits_signature = true;
    core->awaited = *message;
    bft_emit(out, SB_BFT_SIGN)->as.message = *message;
}

static void propose(struct sb_bft *core, struct sb_bft_effects *out,
                    const struct sb_round_output *output)
{
    struct sb_bft_message message;
    memset(&message, 0, sizeof message);
    message.is_proposal = true;
    message.as.proposal.height = core->state.height;
    message.as.proposal.round = output->round;
    message.as.proposal.pol_round = output->pol_round;
    message.as.proposal.block_id = output->value.block_id;
    message.as.proposal.parts_root = output->value.parts_root;
    message.as.proposal.block_bytes = output->value.block_bytes;
    sign(core, out, &message);
}

static void vote(struct sb_bft *core, struct sb_bft_effects *out,
                 const struct sb_round_output *output)
{
    if (core->own_index < 0) {
        return;
    }
    struct sb_bft_message message;
    memset(&message, 0, sizeof message);
    message.as.vote.type = output->vote_type;
    message.as.vote.height = core->state.height;
    message.as.vote.round = output->round;
    message.as.vote.block_id = output->value.block_id;
    message.as.vote.validator_index = (uint32_t)core->own_index;
    message.as.vote.validator_address = core->config.own_address;
    sign(core, out, &message);
}

static void decide(struct sb_bft *core, struct sb_bft_effects *out,
                   const struct sb_round_output *output)
{
    bft_emit(out, SB_BFT_CANCEL_TIMERS);
    struct sb_commit commit;
    bool has_commit = sb_vote_keeper_certificate(&commit, core->votes, SB_VOTE_PRECOMMIT,
                                                 core->state.height, output->round);
    SB_ASSERT(has_commit);
    memcpy(core->decided_sigs, commit.sigs, commit.sig_count * sizeof commit.sigs[0]);
    commit.sigs = core->decided_sigs;
    bft_emit(out, SB_BFT_DECIDE)->as.decide = commit;
}

/* ---- rounds ---- */

static bool is_ours(const struct sb_bft *core, int32_t round)
{
    return core->own_index >= 0 &&
           core->config.proposer(core->config.proposer_ctx, core->state.height, round) ==
               (uint32_t)core->own_index;
}

/* hold_rounds: tell the keepers where the round machine stands, so that they hold what it may need. */
static void hold_rounds(struct sb_bft *core)
{
    const struct sb_round_state *state = &core->state;
    const struct sb_held_proposal *held = sb_proposal_keeper_get(&core->proposals, state->round);
    int32_t pins[3] = {state->locked.round, state->valid.round,
                       held != NULL ? held->message.pol_round : -1};
    sb_proposal_keeper_move(&core->proposals, state->round, pins);
    sb_vote_keeper_move(core->votes, state->round, pins, 3);
}

static struct sb_round_output begin_round(struct sb_bft *core, int32_t round)
{
    core->flags = (struct bft_round_flags){.fired_34 = false};
    struct sb_round_input input = {
        .type = SB_ROUND_NEW, .round = round, .is_proposer = is_ours(core, round)};
    return sb_round_step(&core->state, &input);
}

static void carry_out(struct sb_bft *core, struct sb_bft_effects *out,
                      const struct sb_round_output *output)
{
    switch (output->type) {
    case SB_ROUND_OUT_NONE:
    case SB_ROUND_OUT_NEW_ROUND:
        break;
    case SB_ROUND_OUT_PROPOSAL:
        if (output->pol_round >= 0) { /* a fresh one has its timer since GET_VALUE */
            set_timer(core, out, SB_BFT_TIMEOUT_PROPOSE);
        }
        propose(core, out, output);
        break;
    case SB_ROUND_OUT_VOTE:
        vote(core, out, output);
        break;
    case SB_ROUND_OUT_SCHEDULE_TIMEOUT:
        set_timer(core, out, output->timeout);
        break;
    case SB_ROUND_OUT_GET_VALUE_AND_SCHEDULE_TIMEOUT: {
        set_timer(core, out, output->timeout);
        core->flags.awaits_value = true;
        struct sb_bft_effect *effect = bft_emit(out, SB_BFT_GET_VALUE);
        effect->as.get_value.height = core->state.height;
        effect->as.get_value.round = output->round;
        break;
    }
    case SB_ROUND_OUT_DECISION:
        decide(core, out, output);
        break;
    }
}

void bft_give(struct sb_bft *core, struct sb_bft_effects *out, const struct sb_round_input *input)
{
    struct sb_round_output output = sb_round_step(&core->state, input);
    if (output.type == SB_ROUND_OUT_NEW_ROUND) {
        output = begin_round(core, output.round);
    }
    hold_rounds(core);
    carry_out(core, out, &output);
}

/* ---- blocks ---- */

static enum sb_verdict verdict_on(struct sb_bft *core, const sb_hash *block_id)
{
    const struct sb_known_block *block = sb_proposal_keeper_block(&core->proposals, block_id);
    return block != NULL ? block->verdict : SB_VERDICT_UNKNOWN;
}

/* ask: for the verdict on a block, once. round: of its proposal, -1 when only a certificate names it. */
static void ask(struct sb_bft *core, struct sb_bft_effects *out, const sb_hash *block_id,
                int32_t round)
{
    const struct sb_round_state *state = &core->state;
    sb_proposal_keeper_ask(&core->proposals, block_id,
                           state->locked.round >= 0 ? &state->locked.value.block_id : NULL,
                           state->valid.round >= 0 ? &state->valid.value.block_id : NULL);
    struct sb_bft_effect *effect = bft_emit(out, SB_BFT_VALIDATE);
    effect->as.validate.height = state->height;
    effect->as.validate.round = round;
    effect->as.validate.block_id = *block_id;
}

static bool is_asked(struct sb_bft *core, const sb_hash *block_id)
{
    return sb_proposal_keeper_block(&core->proposals, block_id) != NULL;
}

/* ask_about_commits: blocks that have a quorum of precommits and that nobody has asked about. */
static void ask_about_commits(struct sb_bft *core, struct sb_bft_effects *out)
{
    int32_t rounds[SB_VOTE_ROUNDS_MAX];
    size_t count = sb_vote_keeper_commits(core->votes, rounds);
    for (size_t i = 0; i < count; i++) {
        const sb_hash *block_id = sb_vote_keeper_block(core->votes, SB_VOTE_PRECOMMIT, rounds[i]);
        if (is_asked(core, block_id)) {
            continue;
        }
        const struct sb_held_proposal *held = sb_proposal_keeper_find(&core->proposals, block_id);
        if (held == NULL) {
            struct sb_bft_effect *effect = bft_emit(out, SB_BFT_FETCH);
            effect->as.fetch.height = core->state.height;
            effect->as.fetch.round = rounds[i];
            effect->as.fetch.block_id = *block_id;
        }
        ask(core, out, block_id, held != NULL ? held->message.round : -1);
    }
}

/* ask_about_blocks: of the proposals of this round and the next, and of certificates. */
static void ask_about_blocks(struct sb_bft *core, struct sb_bft_effects *out)
{
    for (int32_t ahead = 0; ahead <= 1 && core->state.round <= SB_ROUND_MAX - ahead; ahead++) {
        const struct sb_held_proposal *held =
            sb_proposal_keeper_get(&core->proposals, core->state.round + ahead);
        if (held != NULL && !is_asked(core, &held->message.block_id)) {
            ask(core, out, &held->message.block_id, held->message.round);
        }
    }
    ask_about_commits(core, out);
}

/* is_timely: proposer-based time, line 22: time - precision <= received <= time + delay * 1.1^round + precision. */
static bool is_timely(const struct sb_bft *core, const struct sb_held_proposal *held,
                      const struct sb_known_block *block)
{
    if (held->is_own || SB_BFT_MUTANT(timeliness_ignored)) {
        return true;
    }
    uint64_t precision = core->timeliness.precision_ms;
    uint64_t delay = core->timeliness.message_delay_ms;
    for (int32_t i = 0; i < held->message.round && delay < MESSAGE_DELAY_MS_MAX; i++) {
        uint64_t longer = sat_mul_u64(delay, 11) / 10;
        if (longer == delay) {
            break;
        }
        delay = longer;
    }
    delay = delay < MESSAGE_DELAY_MS_MAX ? delay : MESSAGE_DELAY_MS_MAX;
    uint64_t latest = sat_add_u64(block->time_ms, sat_add_u64(delay, precision));
    return sat_add_u64(held->received_ms, precision) >= block->time_ms &&
           held->received_ms <= latest;
}

/* is_by_proposer: a fresh block names the proposer of its round. */
static bool is_by_proposer(const struct sb_bft *core, const struct sb_held_proposal *held,
                           const struct sb_known_block *block)
{
    if (core->config.anonymous_blocks || SB_BFT_MUTANT(proposer_ignored)) {
        return true;
    }
    uint32_t index =
        core->config.proposer(core->config.proposer_ctx, core->state.height, held->message.round);
    return index < core->set->count &&
           sb_addr_equal(&core->set->validators[index].address, &block->proposer);
}

static struct sb_bft_value value_of(const struct sb_proposal *proposal)
{
    return (struct sb_bft_value){.block_id = proposal->block_id,
                                 .parts_root = proposal->parts_root,
                                 .block_bytes = proposal->block_bytes};
}

/* ---- rules: each fills *ret and returns true when it holds ---- */

static bool rule_49(struct sb_round_input *ret, struct sb_bft *core)
{
    int32_t rounds[SB_VOTE_ROUNDS_MAX];
    size_t count = sb_vote_keeper_commits(core->votes, rounds);
    for (size_t i = 0; i < count; i++) {
        const sb_hash *block_id = sb_vote_keeper_block(core->votes, SB_VOTE_PRECOMMIT, rounds[i]);
        if (rounds[i] != core->state.round && SB_BFT_MUTANT(decide_in_present_round_only)) {
            continue;
        }
        if (verdict_on(core, block_id) != SB_VERDICT_VALID &&
            !SB_BFT_MUTANT(decide_without_validity)) {
            continue;
        }
        *ret = (struct sb_round_input){.type = SB_ROUND_PROPOSAL_AND_PRECOMMIT_VALUE,
                                       .round = rounds[i]};
        const struct sb_held_proposal *held = sb_proposal_keeper_find(&core->proposals, block_id);
        if (held != NULL) {
            ret->value = value_of(&held->message);
        }
        ret->value.block_id = *block_id;
        return true;
    }
    return false;
}

static bool rule_47(struct sb_round_input *ret, struct sb_bft *core)
{
    if (core->flags.fired_47 || SB_BFT_MUTANT(precommit_timer_dropped) ||
        !sb_vote_keeper_has_quorum(core->votes, SB_VOTE_PRECOMMIT, core->state.round)) {
        return false;
    }
    core->flags.fired_47 = true;
    *ret = (struct sb_round_input){.type = SB_ROUND_PRECOMMIT_ANY, .round = core->state.round};
    return true;
}

static bool rule_55(struct sb_round_input *ret, struct sb_bft *core)
{
    int32_t round = sb_vote_keeper_skip(core->votes);
    *ret = (struct sb_round_input){.type = SB_ROUND_SKIP, .round = round};
    return round > core->state.round;
}

/* has_polka: prevotes of this round for this block. */
static bool has_polka(const struct sb_bft *core, int32_t round, const sb_hash *block_id)
{
    const sb_hash *polka = sb_vote_keeper_block(core->votes, SB_VOTE_PREVOTE, round);
    return polka != NULL && sb_hash_equal(polka, block_id);
}

/* rule_28: the proposal has a POL round and its block is valid. */
static bool rule_28(struct sb_round_input *ret, const struct sb_bft *core,
                    const struct sb_proposal *proposal)
{
    *ret = (struct sb_round_input){.type = SB_ROUND_PROPOSAL_AND_POLKA_PREVIOUS,
                                   .round = proposal->pol_round,
                                   .value = value_of(proposal)};
    if (SB_BFT_MUTANT(polka_of_other_value)) {
        return sb_vote_keeper_has_quorum(core->votes, SB_VOTE_PREVOTE, proposal->pol_round);
    }
    return has_polka(core, proposal->pol_round, &proposal->block_id) ||
           SB_BFT_MUTANT(pol_round_unchecked);
}

/* rule_22_28: an invalid block gets nil at once, whatever its POL round: no polka could change that. */
static bool rule_22_28(struct sb_round_input *ret, struct sb_bft *core)
{
    if (core->state.step != SB_ROUND_PROPOSE) {
        return false;
    }
    const struct sb_held_proposal *held =
        sb_proposal_keeper_get(&core->proposals, core->state.round);
    const struct sb_known_block *block =
        held != NULL ? sb_proposal_keeper_block(&core->proposals, &held->message.block_id) : NULL;
    if (block == NULL || block->verdict == SB_VERDICT_UNKNOWN) {
        return false;
    }
    if (block->verdict == SB_VERDICT_VALID && held->message.pol_round >= 0) {
        return rule_28(ret, core, &held->message);
    }
    bool is_good = block->verdict == SB_VERDICT_VALID && is_timely(core, held, block) &&
                   is_by_proposer(core, held, block);
    *ret = (struct sb_round_input){.type = is_good ? SB_ROUND_PROPOSAL : SB_ROUND_INVALID_PROPOSAL,
                                   .round = core->state.round,
                                   .value = value_of(&held->message)};
    return true;
}

static bool rule_36(struct sb_round_input *ret, struct sb_bft *core)
{
    int32_t round = core->state.round;
    if (core->flags.fired_36 ||
        (core->state.step != SB_ROUND_PREVOTE && core->state.step != SB_ROUND_PRECOMMIT)) {
        return false;
    }
    const struct sb_held_proposal *held = sb_proposal_keeper_get(&core->proposals, round);
    bool has_quorum =
        held != NULL && (has_polka(core, round, &held->message.block_id) ||
                         (SB_BFT_MUTANT(precommit_without_polka) &&
                          sb_vote_keeper_has_quorum(core->votes, SB_VOTE_PREVOTE, round)));
    if (!has_quorum || verdict_on(core, &held->message.block_id) != SB_VERDICT_VALID) {
        return false;
    }
    core->flags.fired_36 = true;
    *ret = (struct sb_round_input){.type = SB_ROUND_PROPOSAL_AND_POLKA_CURRENT,
                                   .round = round,
                                   .value = value_of(&held->message)};
    return true;
}

static bool has_nil_polka(const struct sb_bft *core)
{
    return sb_vote_keeper_has_nil_quorum(core->votes, SB_VOTE_PREVOTE, core->state.round);
}

static bool rule_44(struct sb_round_input *ret, struct sb_bft *core)
{
    *ret = (struct sb_round_input){.type = SB_ROUND_POLKA_NIL, .round = core->state.round};
    return core->state.step == SB_ROUND_PREVOTE && has_nil_polka(core);
}

static bool rule_34(struct sb_round_input *ret, struct sb_bft *core)
{
    if (core->state.step != SB_ROUND_PREVOTE || core->flags.fired_34 || has_nil_polka(core) ||
        SB_BFT_MUTANT(prevote_timer_dropped) ||
        !sb_vote_keeper_has_quorum(core->votes, SB_VOTE_PREVOTE, core->state.round)) {
        return false;
    }
    core->flags.fired_34 = true;
    *ret = (struct sb_round_input){.type = SB_ROUND_POLKA_ANY, .round = core->state.round};
    return true;
}

void bft_run_rules(struct sb_bft *core, struct sb_bft_effects *out, bool vote_came)
{
    hold_rounds(core);
    while (core->state.step != SB_ROUND_COMMIT && !core->awaits_signature) {
        ask_about_blocks(core, out);
        struct sb_round_input input;
        bool holds = rule_49(&input, core) || rule_47(&input, core) || rule_55(&input, core) ||
                     (vote_came && rule_34(&input, core)) || rule_22_28(&input, core) ||
                     rule_36(&input, core) || rule_44(&input, core) || rule_34(&input, core);
        if (!holds) {
            break;
        }
        bft_give(core, out, &input);
    }
}
