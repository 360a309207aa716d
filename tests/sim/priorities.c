/* priorities.c: see priorities.h. */
#include "tests/sim/priorities.h"

#include <string.h>

#include "base/util/assert.h"

static sb_i128 total(const struct sim_priorities *p)
{
    sb_i128 sum = 0;
    for (size_t i = 0; i < p->count; i++) {
        sum += p->of[i].power;
    }
    return sum;
}

static void rescale_and_centre(struct sim_priorities *p)
{
    sb_i128 max = p->of[0].priority, min = max, sum = 0;
    for (size_t i = 1; i < p->count; i++) {
        max = p->of[i].priority > max ? p->of[i].priority : max;
        min = p->of[i].priority < min ? p->of[i].priority : min;
    }
    const sb_i128 window = 2 * total(p);
    const sb_i128 quotient = max - min > window ? (max - min + window - 1) / window : 1;
    for (size_t i = 0; i < p->count; i++) {
        p->of[i].priority /= quotient;
        sum += p->of[i].priority;
    }
    sb_i128 average = sum / (sb_i128)p->count;
    average -= average * (sb_i128)p->count > sum ? 1 : 0; /* the floor */
    for (size_t i = 0; i < p->count; i++) {
        p->of[i].priority -= average;
    }
}

static void elect(struct sim_priorities *p)
{
    rescale_and_centre(p);
    p->proposer = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct sim_priority *best = &p->of[p->proposer];
        struct sim_priority *one = &p->of[i];
        one->priority += one->power;
        if (one->priority > best->priority ||
            (one->priority == best->priority &&
             memcmp(one->address.b, best->address.b, sizeof one->address.b) < 0)) {
            p->proposer = i;
        }
    }
    p->of[p->proposer].priority -= total(p);
}

static struct sim_priority *find(struct sim_priorities *p, const sb_addr *address)
{
    for (size_t i = 0; i < p->count; i++) {
        if (sb_addr_equal(&p->of[i].address, address)) {
            return &p->of[i];
        }
    }
    return NULL;
}

/* change: to another set: who stays keeps its priority, who comes begins below all, those who go still count in what that is. */
static void change(struct sim_priorities *p, const struct sb_validator_set *set)
{
    struct sim_priorities next = {.count = set->count};
    sb_i128 before_removals = total(p);
    for (size_t i = 0; i < set->count; i++) {
        const struct sim_priority *old = find(p, &set->validators[i].address);
        before_removals += set->validators[i].power - (old != NULL ? old->power : 0);
    }
    for (size_t i = 0; i < set->count; i++) {
        const struct sb_validator *v = &set->validators[i];
        const struct sim_priority *old = find(p, &v->address);
        next.of[i] = (struct sim_priority){
            .address = v->address,
            .power = v->power,
            .priority = old != NULL ? old->priority : -(before_removals + before_removals / 8)};
    }
    *p = next;
    rescale_and_centre(p);
}

static bool is_of(const struct sim_priorities *p, const struct sb_validator_set *set)
{
    bool is_same = p->count == set->count;
    for (size_t i = 0; is_same && i < set->count; i++) {
        is_same = p->of[i].power == set->validators[i].power &&
                  sb_addr_equal(&p->of[i].address, &set->validators[i].address);
    }
    return is_same;
}

void sim_priorities_init(struct sim_priorities *ret, const struct sb_validator_set *set)
{
    SB_ASSERT(set->count <= SIM_NODES_MAX);
    *ret = (struct sim_priorities){.count = set->count};
    for (size_t i = 0; i < set->count; i++) {
        ret->of[i] = (struct sim_priority){.address = set->validators[i].address,
                                           .power = set->validators[i].power};
    }
    elect(ret);
}

void sim_priorities_next(struct sim_priorities *p, const struct sb_validator_set *set)
{
    SB_ASSERT(set->count <= SIM_NODES_MAX);
    if (!is_of(p, set)) {
        change(p, set);
    }
    elect(p);
}

bool sim_priorities_are(const struct sim_priorities *p, const struct sb_rotation *rotation)
{
    bool is_same = is_of(p, &rotation->set) && p->proposer == rotation->proposer;
    for (size_t i = 0; is_same && i < p->count; i++) {
        is_same = p->of[i].priority == rotation->priority[i];
    }
    return is_same;
}
