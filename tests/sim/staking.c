/* staking.c: see staking.h. */
#include "tests/sim/staking.h"

#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "tests/sim/sim.h"

#define COIN        UINT64_C(1000000000000000000)
#define SETS        5
#define MEMBERS_MIN 4

/* ---- life ---- */

static void remember(struct sim_staking *s, uint64_t height)
{
    const struct stake_model *m = &s->model;
    s->member_count[height % SETS] = m->set_count;
    for (uint8_t i = 0; i < m->set_count; i++) {
        s->members[height % SETS][i] = m->set[i].who;
    }
}

struct sim_staking *sim_staking_new(const struct sim *sim)
{
    const struct sim_config *c = &sim->config;
    sb_addr ids[STAKE_MODEL_MAX];
    uint64_t powers[STAKE_MODEL_MAX];
    if (!c->staking.is_on) {
        return NULL;
    }
    struct sim_staking *s = calloc(1, sizeof *s);
    SB_ASSERT(s != NULL);
    for (uint32_t i = 0; i < STAKE_MODEL_MAX; i++) {
        ids[i] = sim_key_of(sim, i).address;
        powers[i] = i < c->node_count ? (uint64_t)c->power[i] : 0;
    }
    uint64_t params[SB_STAKING_PARAMS_COUNT];
    sb_staking_params_list(params, &c->staking.params);
    stake_model_init(&s->model, params, ids, powers, c->node_count);
    (void)stake_model_end(&s->model, NULL, 0, NULL, 0); /* the set of genesis is known to all */
    remember(s, 1);
    remember(s, 2);
    return s;
}

bool sim_staking_end(struct sim_staking *s, const struct sim_staking_block *block)
{
    const uint64_t height = block->height;
    stake_model_begin(&s->model, height, block->time_ms / 1000);
    for (size_t i = 0; i < block->action_count; i++) {
        (void)stake_model_act(&s->model, &s->scratch, &block->actions[i]);
    }
    struct stake_vote votes[STAKE_MODEL_MAX];
    size_t count = 0;
    for (; height >= 3 && count < s->member_count[(height - 2) % SETS]; count++) {
        const uint8_t who = s->members[(height - 2) % SETS][count];
        votes[count] = (struct stake_vote){.who = who,
                                           .present = ((s->present | block->late) >> who & 1) != 0};
    }
    const bool is_new =
        stake_model_end(&s->model, votes, count, block->evidence, block->evidence_count);
    s->present = block->present;
    remember(s, height + 2);
    return is_new;
}

/* ---- transactions ---- */

static void put_amount(uint8_t *at, sb_u128 amount)
{
    le_store64(at, (uint64_t)amount);
    le_store64(at + 8, (uint64_t)(amount >> 64));
}

static sb_u128 get_amount(const uint8_t *at)
{
    return (sb_u128)le_load64(at + 8) << 64 | le_load64(at);
}

void sim_staking_encode(uint8_t ret[SIM_STAKING_TX_BYTES], const struct stake_action *action,
                        uint64_t height)
{
    le_store64(ret, height);
    ret[8] = (uint8_t)action->kind;
    ret[9] = action->who;
    ret[10] = action->at;
    ret[11] = action->to;
    put_amount(ret + 12, action->amount);
    put_amount(ret + 28, action->extra);
}

bool sim_staking_decode(struct stake_action *ret, sb_bytes transaction, uint64_t height)
{
    const uint8_t *at = transaction.data;
    if (transaction.len != SIM_STAKING_TX_BYTES || le_load64(at) != height ||
        at[8] >= STAKE_KIND_COUNT) {
        return false;
    }
    *ret = (struct stake_action){.kind = (enum stake_kind)at[8],
                                 .who = at[9],
                                 .at = at[10],
                                 .to = at[11],
                                 .amount = get_amount(at + 12),
                                 .extra = get_amount(at + 28)};
    return true;
}

static bool is_member(const struct sim_staking *s, uint64_t height, uint8_t who)
{
    return memchr(s->members[height % SETS], who, s->member_count[height % SETS]) != NULL;
}

size_t sim_staking_changes(const struct sim *sim, const struct sim_staking *s, uint64_t height,
                           struct sb_validator_change *ret, size_t max)
{
    const struct stake_model *m = &s->model;
    size_t count = 0;
    for (uint8_t i = 0; i < m->set_count && count < max; i++) {
        ret[count++] = (struct sb_validator_change){.key = sim->nodes[m->set[i].who].key.pubkey,
                                                    .power = m->set[i].power};
    }
    for (uint8_t i = 0; i < s->member_count[(height + 1) % SETS] && count < max; i++) {
        const uint8_t who = s->members[(height + 1) % SETS][i];
        if (!is_member(s, height + 2, who)) {
            ret[count++] =
                (struct sb_validator_change){.key = sim->nodes[who].key.pubkey, .power = 0};
        }
    }
    return count;
}

/* ---- what proposers put into their blocks ---- */

/* draw_who: a node with (or without) a validator; any if there is none. */
static uint8_t draw_who(const struct sim *sim, const struct stake_model *m,
                        struct sim_random *random, bool is_validator)
{
    uint8_t who = 0;
    for (int tries = 0; tries < 16; tries++) {
        who = (uint8_t)sim_below(random, sim->config.node_count);
        if (m->pools[who].exists == is_validator) {
            break;
        }
    }
    return who;
}

/* draw_stake: half to three halves of what a member of the set has. */
static sb_u128 draw_stake(const struct stake_model *m, struct sim_random *random)
{
    const uint64_t power = (uint64_t)m->set[sim_below(random, m->set_count)].power;
    return (sb_u128)(1 + power / 2 + sim_below(random, power)) * COIN;
}

static void draw_odd(const struct stake_model *m, struct sim_random *random, struct stake_action *a)
{
    static const enum stake_kind kinds[] = {STAKE_CANCEL, STAKE_WITHDRAW, STAKE_SETTLE,
                                            STAKE_ENTER,  STAKE_EDIT,     STAKE_PARAM};
    a->kind = kinds[sim_below(random, sizeof kinds / sizeof kinds[0])];
    a->amount = 1;
    a->extra = (sb_u128)(1 + sim_below(random, 3)) * COIN;
    if (a->kind == STAKE_CANCEL && m->exit_count != 0) {
        const struct stake_exit *e = &m->exits[sim_below(random, m->exit_count)];
        a->who = e->delegator;
        a->amount = e->number;
    } else if (a->kind == STAKE_PARAM) {
        a->at = SB_STAKING_validators_max;
        a->amount = sim_between(random, MEMBERS_MIN, STAKE_MODEL_MAX);
    }
}

/* draw_own: the validator goes, or comes (back). */
static void draw_own(const struct stake_model *m, struct sim_random *random, struct stake_action *a)
{
    const struct stake_pool *p = &m->pools[a->at];
    a->who = a->at;
    if (p->place != 0 && sim_chance(random, 600)) {
        a->kind = STAKE_UNDELEGATE;
        a->amount = m->held[a->at][a->at];
    } else {
        a->kind = p->jailed ? STAKE_UNJAIL : STAKE_DELEGATE;
        a->amount = draw_stake(m, random);
    }
}

static struct stake_action draw_action(const struct sim *sim, const struct stake_model *m,
                                       struct sim_random *random)
{
    const uint64_t dice = sim_below(random, 100);
    struct stake_action a = {.who = (uint8_t)sim_below(random, sim->config.node_count)};
    a.at = draw_who(sim, m, random, true);
    a.to = draw_who(sim, m, random, true);
    if (dice < 20) {
        a.kind = STAKE_CREATE;
        a.who = draw_who(sim, m, random, false);
        a.amount = draw_stake(m, random);
    } else if (dice < 40) {
        draw_own(m, random, &a);
    } else if (dice < 55) {
        a.kind = STAKE_DELEGATE;
        a.amount = draw_stake(m, random) / 4;
    } else if (dice < 85) {
        a.kind = dice < 70 ? STAKE_UNDELEGATE : STAKE_REDELEGATE;
        for (int tries = 0; tries < 8 && m->held[a.who][a.at] == 0; tries++) {
            a.at = draw_who(sim, m, random, true);
        }
        a.amount = m->held[a.who][a.at] / sim_between(random, 1, 4);
    } else {
        draw_odd(m, random, &a);
    }
    return a;
}

/* keeps_bounds: the set that would come of it leaves the faulty below a third, and has members enough. */
static bool keeps_bounds(const struct sim *sim, const struct stake_model *m, size_t members_before)
{
    int64_t total = 0, faulty = 0;
    for (uint8_t i = 0; i < m->set_count; i++) {
        total += m->set[i].power;
        faulty += sim_config_is_faulty(&sim->config, m->set[i].who) ? m->set[i].power : 0;
    }
    return 3 * faulty < total && (m->set_count >= MEMBERS_MIN || m->set_count >= members_before);
}

/* Of what is tried, a jailed operator's coming back goes first. */
size_t sim_staking_draw(const struct sim *sim, struct sim_staking *s, uint64_t time_ms,
                        struct sim_random *random, struct stake_action ret[SIM_STAKING_ACTIONS_MAX])
{
    struct stake_model *trial = &s->scratch;
    struct stake_model *scratch = malloc(2 * sizeof *scratch);
    SB_ASSERT(scratch != NULL);
    struct stake_model *head = scratch + 1; /* the actions taken so far */
    stake_model_copy(head, &s->model);
    stake_model_begin(head, s->model.height + 1, time_ms / 1000);
    const size_t wish = sim_chance(random, sim->config.staking.busy_per_mille)
                            ? (size_t)sim_between(random, 1, SIM_STAKING_ACTIONS_MAX)
                            : 0;
    size_t count = 0;
    for (size_t tries = 0; tries < 2 * wish && count < wish; tries++) {
        struct stake_action a = draw_action(sim, head, random);
        const uint8_t jailed = draw_who(sim, head, random, true);
        if (head->pools[jailed].jailed && sim_chance(random, 800)) {
            a = (struct stake_action){.kind = STAKE_UNJAIL, .who = jailed};
        } else if (sim->config.staking.comes_back_only) {
            continue;
        }
        stake_model_copy(trial, head);
        const bool is_done = stake_model_act(trial, scratch, &a);
        if (!is_done) {
            if (sim_chance(random, 100)) {
                ret[count++] = a; /* refused by all */
            }
            continue;
        }
        stake_model_copy(scratch, trial);
        (void)stake_model_end(scratch, NULL, 0, NULL, 0);
        if (keeps_bounds(sim, scratch, s->model.set_count)) {
            stake_model_copy(head, trial);
            ret[count++] = a;
        }
    }
    free(scratch);
    return count;
}
