/* config.c: drawing a cluster; see config.h. */
#include "tests/sim/config.h"

#include <stdio.h>
#include <string.h>

#define MS        UINT64_C(1000)
#define SECOND    (1000 * MS)

#define ONE(kind) (UINT32_C(1) << (kind))

const char *sim_byzantine_name(enum sim_byzantine kind)
{
    static const char *const names[SIM_BYZANTINE_COUNT] = {
#define SIM_BYZANTINE(name, text, what) text,
#include "tests/sim/byzantine.def"
#undef SIM_BYZANTINE
    };
    return names[kind];
}

const char *sim_fault_name(enum sim_fault kind)
{
    static const char *const names[SIM_FAULT_COUNT] = {
#define SIM_FAULT(name, text, what) text,
#include "tests/sim/faults.def"
#undef SIM_FAULT
    };
    return names[kind];
}

static void draw_size(struct sim_config *c, struct sim_random *random)
{
    uint64_t dice = sim_below(random, 100);
    if (dice < 45) {
        c->validator_count = 4;
    } else if (dice < 75) {
        c->validator_count = (uint32_t)sim_between(random, 5, 7);
    } else if (dice < 93) {
        c->validator_count = (uint32_t)sim_between(random, 8, 12);
    } else {
        c->validator_count = (uint32_t)sim_between(random, 13, SIM_VALIDATORS_MAX);
    }
    uint32_t full_nodes =
        c->is_core_only || sim_chance(random, 600) ? 0 : (uint32_t)sim_between(random, 1, 2);
    c->node_count = c->validator_count + full_nodes;
    c->is_full_mesh = c->is_core_only || sim_chance(random, 800);
}

static void draw_powers(struct sim_config *c, struct sim_random *random)
{
    uint64_t shape = sim_below(random, 4);
    for (uint32_t i = 0; i < c->validator_count; i++) {
        c->power[i] = shape <= 1 ? 1 : (int64_t)sim_between(random, 1, shape == 2 ? 10 : 1000);
    }
    if (shape == 3) { /* one just below a third */
        int64_t others = 0;
        for (uint32_t i = 1; i < c->validator_count; i++) {
            others += c->power[i];
        }
        c->power[0] = others / 2 > 1 ? (others - 1) / 2 : 1;
    }
}

static int64_t power_of(const struct sim_config *c, bool faulty_only)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < c->validator_count; i++) {
        sum += !faulty_only || sim_config_is_faulty(c, i) ? c->power[i] : 0;
    }
    return sum;
}

static uint32_t draw_behaviours(struct sim_random *random)
{
    uint32_t bits = 0;
    uint64_t count = sim_between(random, 1, 3);
    for (uint64_t i = 0; i < count; i++) {
        bits |= ONE(sim_below(random, SIM_BYZANTINE_COUNT));
    }
    return bits;
}

/* draw_faulty: mark validators Byzantine or mortal while the faulty hold less than a third. */
static void draw_faulty(struct sim_config *c, struct sim_random *random)
{
    int64_t total = power_of(c, false);
    uint32_t wish = sim_chance(random, 150) ? 0 : c->validator_count;
    for (uint32_t tries = 0; tries < wish; tries++) {
        uint32_t i = (uint32_t)sim_below(random, c->validator_count);
        if (sim_config_is_faulty(c, i) || 3 * (power_of(c, true) + c->power[i]) >= total) {
            continue;
        }
        if (sim_chance(random, 200)) {
            c->dies[i] = true;
        } else {
            c->behaviours[i] = draw_behaviours(random);
        }
    }
}

/* draw_conspiracy: a third or more of the power, but not two thirds, equivocates in concert: forks may happen, culprits must be found.
 */
static void draw_conspiracy(struct sim_config *c, struct sim_random *random)
{
    int64_t total = power_of(c, false);
    for (uint32_t i = 0; i < c->validator_count && 3 * power_of(c, true) <= total; i++) {
        if (3 * (power_of(c, true) + c->power[i]) < 2 * total) {
            c->behaviours[i] = ONE(SIM_BYZANTINE_VOTE_EQUIVOCATOR) |
                               ONE(SIM_BYZANTINE_PROPOSAL_EQUIVOCATOR) |
                               (sim_chance(random, 500) ? ONE(SIM_BYZANTINE_AMNESIAC) : 0);
        }
    }
    c->is_over_third = 3 * power_of(c, true) >= total;
}

/* draw_newcomers: some are full nodes at first, and some come on top; four members are left, and the faulty below a third. */
static void draw_newcomers(struct sim_config *c, struct sim_random *random)
{
    uint32_t members = c->validator_count;
    for (uint32_t i = 0; i < c->validator_count; i++) {
        const int64_t power = c->power[i];
        if (members <= 4 || !sim_chance(random, 200)) {
            continue;
        }
        c->power[i] = 0;
        if (3 * power_of(c, true) < power_of(c, false)) {
            members--;
        } else {
            c->power[i] = power;
        }
    }
    const uint64_t room = SIM_VALIDATORS_MAX - c->validator_count;
    const uint32_t more = (uint32_t)sim_between(random, 0, room < 3 ? room : 3);
    for (uint32_t i = c->validator_count; i < c->validator_count + more; i++) {
        c->behaviours[i] = sim_chance(random, 150) ? draw_behaviours(random) : 0;
    }
    c->validator_count += more;
    c->node_count += more;
}

/* draw_staking: windows and jails so short that they matter within a run, and stake enough that a slash leaves some. */
static void draw_staking(struct sim_config *c, struct sim_random *random)
{
    if (c->is_over_third || !sim_chance(random, 750)) {
        return;
    }
    struct sim_staking_config *s = &c->staking;
    s->is_on = true;
    s->busy_per_mille = sim_chance(random, 200) ? 0 : (uint32_t)sim_between(random, 50, 700);
    s->params = sb_staking_params_default();
    s->params.unbonding_seconds = sim_between(random, 5, 120);
    s->params.entries_max = sim_between(random, 1, 7);
    s->params.signed_window = sim_between(random, 10, 20);
    s->params.signed_min_bps = sim_between(random, 500, sim_chance(random, 500) ? 8000 : 5000);
    s->params.downtime_jail_seconds = sim_between(random, 0, 20);
    s->params.slash_downtime_bps = sim_between(random, 0, 1000);
    for (uint32_t i = 0; i < c->validator_count; i++) {
        c->power[i] *= 100;
    }
    draw_newcomers(c, random);
}

static void draw_network(struct sim_network_config *net, struct sim_random *random)
{
    net->delay_min_us = sim_between(random, 0, 30) * MS;
    net->delay_mean_us = sim_between(random, 3, 100) * MS;
    if (sim_chance(random, 500)) {
        net->loss_per_mille = (uint32_t)sim_between(random, 1, sim_chance(random, 200) ? 300 : 60);
    }
    if (sim_chance(random, 400)) {
        net->duplicate_per_mille =
            (uint32_t)sim_between(random, 1, sim_chance(random, 200) ? 500 : 100);
    }
    net->keeps_order = sim_chance(random, 500);
    net->capacity_packets = sim_chance(random, 150) ? (uint32_t)sim_between(random, 8, 64) : 4096;
    if (sim_chance(random, 300)) {
        net->clog_every_us = sim_between(random, 1, 20) * SECOND;
        net->clog_mean_us = sim_between(random, 1, 2000) * MS;
    }
    net->partition_mode = (enum sim_partition_mode)sim_below(random, 4);
    net->one_way_per_mille = (uint32_t)sim_between(random, 0, 1) * 400;
    if (net->partition_mode != SIM_PARTITION_NONE) {
        net->partition_every_us = sim_between(random, 3, 40) * SECOND;
        net->partition_mean_us = sim_between(random, 200, 8000) * MS;
    }
    if (sim_chance(random, 250)) {
        net->disconnect_every_us = sim_between(random, 1, 20) * SECOND;
    }
}

static void draw_faults(struct sim_fault_config *f, struct sim_random *random,
                        uint64_t precision_ms)
{
    if (sim_chance(random, 700)) {
        f->crash_every_us = sim_between(random, 1, 30) * SECOND;
        f->restart_mean_us = sim_between(random, 50, 6000) * MS;
    }
    if (sim_chance(random, 300)) {
        f->pause_every_us = sim_between(random, 2, 30) * SECOND;
        f->pause_mean_us = sim_between(random, 50, 3000) * MS;
    }
    f->skew_max_ms = sim_below(random, precision_ms / 2 + 1);
    if (sim_chance(random, 250)) {
        f->skew_every_us = sim_between(random, 2, 30) * SECOND;
        f->skew_max_ms = sim_chance(random, 300) ? 4 * precision_ms : precision_ms / 2;
    }
    f->sync_mean_us = sim_between(random, 50, 5000);
    f->slow_sync_per_mille = sim_chance(random, 200) ? 5 : 0;
    f->execute_us = sim_between(random, 0, 60) * MS;
}

/* draw_siege: a small cluster where polkas come late and locks collide: much loss, and adversaries that play with locks. */
static void draw_siege(struct sim_config *c, struct sim_random *random)
{
    c->network.loss_per_mille = (uint32_t)sim_between(random, 50, 300);
    c->timeouts = (struct sb_bft_timeouts){.propose_ms = sim_between(random, 100, 500),
                                           .prevote_ms = sim_between(random, 50, 300),
                                           .precommit_ms = sim_between(random, 50, 300),
                                           .delta_ms = sim_between(random, 50, 200)};
    for (uint32_t i = 0; i < c->validator_count; i++) {
        if (c->behaviours[i] != 0) {
            c->behaviours[i] |=
                ONE(SIM_BYZANTINE_INVALID_POL) | ONE(SIM_BYZANTINE_VOTE_EQUIVOCATOR);
        }
    }
}

/* draw_slow: timeouts that no round can keep until they have grown. */
static void draw_slow(struct sim_config *c, struct sim_random *random)
{
    c->network.delay_min_us = sim_between(random, 100, 200) * MS;
    c->network.delay_mean_us = sim_between(random, 1, 20) * MS;
    c->timeouts = (struct sb_bft_timeouts){.propose_ms = sim_between(random, 20, 60),
                                           .prevote_ms = sim_between(random, 20, 60),
                                           .precommit_ms = sim_between(random, 20, 60),
                                           .delta_ms = sim_between(random, 30, 200)};
}

static void draw_times(struct sim_config *c, struct sim_random *random)
{
    c->timeouts = (struct sb_bft_timeouts){.propose_ms = sim_between(random, 200, 3000),
                                           .prevote_ms = sim_between(random, 100, 1000),
                                           .precommit_ms = sim_between(random, 100, 1000),
                                           .delta_ms = sim_between(random, 50, 500)};
    c->timeliness.precision_ms = sim_between(random, 100, 505);
    c->timeliness.message_delay_ms = sim_between(random, 800, 15000);
    c->interval_ms = sim_chance(random, 400) ? 0 : sim_between(random, 1, 1000);
    c->resend_ms = sim_between(random, 200, 1500);
}

void sim_config_draw(struct sim_config *ret, uint64_t seed, bool is_core_only, uint64_t heights)
{
    struct sim_random random = sim_random_stream(seed, 1);
    struct sim_config *c = ret;
    memset(c, 0, sizeof *c);
    c->seed = seed;
    c->is_core_only = is_core_only;
    c->honours_bans = seed % 2 == 1; /* not drawn: the same seeds stay the same */
    draw_size(c, &random);
    draw_powers(c, &random);
    draw_times(c, &random);
    if (sim_chance(&random, 40)) {
        draw_conspiracy(c, &random);
    } else {
        draw_faulty(c, &random);
    }
    draw_network(&c->network, &random);
    draw_faults(&c->faults, &random, c->timeliness.precision_ms);
    uint64_t special = sim_below(&random, 100);
    if (special < 15) {
        draw_siege(c, &random); /* whose adversaries would all be convicted */
    } else {
        draw_staking(c, &random);
    }
    if (special >= 15 && special < 20) {
        draw_slow(c, &random);
    }
    uint64_t size = sim_below(&random, 100);
    c->block_bytes_max = size < 70 ? 400 : size < 95 ? 4000 : 200000;
    c->invalid_per_mille = sim_chance(&random, 200) ? 50 : 0;
    uint64_t drawn_heights = sim_between(&random, 20, 30);
    c->heights = heights != 0 ? heights : drawn_heights;
    c->time_max_us = c->heights * 40 * SECOND;
}

void sim_config_calm(struct sim_config *ret, bool is_core_only, uint32_t validators)
{
    memset(ret, 0, sizeof *ret);
    ret->is_core_only = is_core_only;
    ret->validator_count = validators;
    ret->node_count = validators;
    for (uint32_t i = 0; i < validators; i++) {
        ret->power[i] = 1;
    }
    ret->is_full_mesh = true;
    ret->timeouts = sb_bft_timeouts_default();
    ret->timeliness = (struct sb_bft_timeliness){.precision_ms = 505, .message_delay_ms = 15000};
    ret->resend_ms = 1000;
    ret->block_bytes_max = 400;
    ret->heights = 10;
    ret->time_max_us = 600 * SECOND;
    ret->network = (struct sim_network_config){
        .delay_min_us = 10 * MS, .delay_mean_us = 0, .keeps_order = true, .capacity_packets = 4096};
    ret->faults.sync_mean_us = 200;
}

void sim_config_print(FILE *out, const struct sim_config *c)
{
    fprintf(out, "seed %llu: %u validators, %u nodes, timeouts %llu/%llu/%llu + %llu ms%s\n",
            (unsigned long long)c->seed, c->validator_count, c->node_count,
            (unsigned long long)c->timeouts.propose_ms, (unsigned long long)c->timeouts.prevote_ms,
            (unsigned long long)c->timeouts.precommit_ms, (unsigned long long)c->timeouts.delta_ms,
            c->is_over_third ? ", a third or more Byzantine" : "");
    for (uint32_t i = 0; i < c->node_count; i++) {
        fprintf(out, "  node %u: power %lld%s", i, (long long)c->power[i],
                c->dies[i] ? ", dies" : "");
        for (int kind = 0; kind < SIM_BYZANTINE_COUNT; kind++) {
            if ((c->behaviours[i] & ONE(kind)) != 0) {
                fprintf(out, ", %s", sim_byzantine_name((enum sim_byzantine)kind));
            }
        }
        fputc('\n', out);
    }
    if (c->staking.is_on) {
        fprintf(out,
                "  staking: transactions in %u of 1000 blocks, window %llu, present %llu bps, jail "
                "%llu s, unbonding %llu s\n",
                c->staking.busy_per_mille, (unsigned long long)c->staking.params.signed_window,
                (unsigned long long)c->staking.params.signed_min_bps,
                (unsigned long long)c->staking.params.downtime_jail_seconds,
                (unsigned long long)c->staking.params.unbonding_seconds);
    }
}
