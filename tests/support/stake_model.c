/* stake_model.c: see stake_model.h. Names follow docs/spec/staking.md; where the order of steps shows, it is the contracts'. */
#include "tests/support/stake_model.h"

#include <stddef.h>
#include <string.h>

#include "base/util/assert.h"

#define COIN      ((sb_u128)UINT64_C(1000000000000000000))
#define BPS       10000
#define STAKE_MAX (((sb_u128)INT64_MAX / 8) * COIN)
#define WEAR_MAX  256
#define LAG       1
#define LOOKED_AT 4 /* records of an exit or transit, from its first on */
#define FOR_EVER  ((UINT64_C(1) << 48) - 1)
#define NOBODY    STAKE_MODEL_MAX

static sb_u256 wide(sb_u128 x)
{
    return (sb_u256){{(uint64_t)x, (uint64_t)(x >> 64), 0, 0}};
}

/* times: a * b / c. */
static sb_u128 times(sb_u128 a, sb_u128 b, sb_u128 c)
{
    const sb_u256 wide_a = wide(a), wide_b = wide(b), wide_c = wide(c);
    const sb_u256 product = sb_u256_mul(&wide_a, &wide_b);
    const sb_u256 quotient = sb_u256_div(&product, &wide_c);
    SB_ASSERT(c != 0 && quotient.w[2] == 0 && quotient.w[3] == 0);
    return (sb_u128)quotient.w[1] << 64 | quotient.w[0];
}

static sb_u128 less(sb_u128 amount, uint16_t bps)
{
    return amount * (sb_u128)(uint32_t)(BPS - bps) / BPS;
}

static sb_u128 worth(const struct stake_pool *p, sb_u128 shares)
{
    return shares == 0 ? 0 : times(shares, p->tokens, p->shares);
}

/* ---- the list of candidates (section 8) ---- */

static bool has_self_stake(const struct stake_model *m, uint8_t v)
{
    const struct stake_pool *p = &m->pools[v];
    const sb_u128 least = (sb_u128)m->params[SB_STAKING_self_stake_min_coins] * COIN;
    return worth(p, m->held[v][v]) >= (p->self_min > least ? p->self_min : least);
}

static void unlist(struct stake_model *m, uint8_t v)
{
    const uint8_t index = (uint8_t)(m->pools[v].place - 1);
    m->pools[v].place = 0;
    m->list_count--;
    m->is_dirty = true;
    if (index != m->list_count) {
        m->list[index] = m->list[m->list_count];
        m->pools[m->list[index].who].place = (uint8_t)(index + 1);
    }
}

static void list(struct stake_model *m, uint8_t v, int64_t power)
{
    m->list[m->list_count++] = (struct stake_place){.who = v, .power = power};
    m->pools[v].place = m->list_count;
    m->is_dirty = true;
    if (m->lingers) {
        m->lingers = false;
        unlist(m, m->list[0].who);
    }
}

/* place: bring v's place in line with its pool. */
static void place(struct stake_model *m, uint8_t v)
{
    const struct stake_pool *p = &m->pools[v];
    const int64_t power = (int64_t)(p->tokens / COIN);
    const bool is_able = power != 0 && !p->jailed && has_self_stake(m, v);
    if (p->place == 0) {
        if (is_able) {
            list(m, v, power);
        }
        return;
    }
    if (!is_able && m->list_count > 1) {
        unlist(m, v);
        return;
    }
    const int64_t shown = power > 0 ? power : 1; /* the last one stays, whatever it has */
    struct stake_place *at = &m->list[p->place - 1];
    m->is_dirty |= at->power != shown;
    at->power = shown;
    if (m->list_count == 1) {
        m->lingers = !is_able;
    }
}

static bool precedes(const struct stake_model *m, const struct stake_place *a,
                     const struct stake_place *b)
{
    if (a->power != b->power) {
        return a->power > b->power;
    }
    return memcmp(m->pools[a->who].id.b, m->pools[b->who].id.b, sizeof(sb_addr)) < 0;
}

static bool rank(struct stake_model *m)
{
    const uint64_t max = m->params[SB_STAKING_validators_max];
    if (!m->is_dirty && m->max == max) {
        return false;
    }
    m->is_dirty = false;
    m->max = max;
    struct stake_place sorted[STAKE_MODEL_MAX];
    for (uint8_t i = 0; i < m->list_count; i++) {
        uint8_t at = i;
        for (; at > 0 && precedes(m, &m->list[i], &sorted[at - 1]); at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = m->list[i];
    }
    const uint8_t count = m->list_count < max ? m->list_count : (uint8_t)max;
    bool is_same = count == m->set_count;
    for (uint8_t i = 0; is_same && i < count; i++) {
        is_same = sorted[i].who == m->set[i].who && sorted[i].power == m->set[i].power;
    }
    memset(m->set, 0, sizeof m->set);
    for (uint8_t i = 0; i < count; i++) {
        m->set[i].who = sorted[i].who;
        m->set[i].power = sorted[i].power;
    }
    m->set_count = count;
    return !is_same;
}

/* ---- slashes (section 5) ---- */

static sb_u128 after_one(sb_u128 amount, const struct stake_record *r, uint64_t height,
                         uint64_t completion_s)
{
    return r->height <= height + LAG && r->time_s < completion_s ? less(amount, r->bps) : amount;
}

/* record: number `i` of those of `v`. */
static const struct stake_record *record(const struct stake_model *m, uint8_t v, uint32_t i)
{
    size_t at = 0;
    for (;; at++) {
        SB_ASSERT(at < m->record_count);
        if (m->records[at].who == v && i-- == 0) {
            return &m->records[at];
        }
    }
}

/* after: what is left of an amount that left `v` at this height, after the records from `from` on. */
static sb_u128 after(const struct stake_model *m, sb_u128 amount, uint8_t v, uint32_t from,
                     uint64_t height, uint64_t completion_s)
{
    const struct stake_pool *p = &m->pools[v];
    const uint32_t count = p->record_count;
    const uint32_t end = count < from + LOOKED_AT ? count : from + LOOKED_AT;
    for (uint32_t i = from; i < end; i++) {
        amount = after_one(amount, record(m, v, i), height, completion_s);
    }
    if (end < count && p->tombstoned) {
        amount = after_one(amount, record(m, v, count - 1), height, completion_s);
    }
    return amount;
}

static sb_u128 exit_worth(const struct stake_model *m, const struct stake_exit *e)
{
    const sb_u128 left = after(m, e->amount, e->id, e->slash_from, e->height, e->completion_s);
    return e->origin == NOBODY ? left
                               : after(m, left, e->origin, e->origin_slash_from, e->origin_height,
                                       e->origin_completion_s);
}

static void punish(struct stake_model *m, uint8_t v, uint64_t height, uint16_t bps,
                   uint64_t jailed_until_s, bool is_for_ever)
{
    struct stake_pool *p = v < NOBODY ? &m->pools[v] : NULL;
    if (p == NULL || !p->exists || p->tombstoned || (p->jailed && !is_for_ever)) {
        return;
    }
    const sb_u128 cut = p->tokens - less(p->tokens, bps);
    p->tokens -= cut;
    m->bonded -= cut;
    m->burnt += cut;
    SB_ASSERT(m->record_count < STAKE_RECORDS_MAX);
    m->records[m->record_count++] =
        (struct stake_record){.who = v, .bps = bps, .height = height, .time_s = m->now_s};
    p->record_count++;
    p->jailed = true;
    p->tombstoned = is_for_ever;
    p->jailed_until_s = jailed_until_s;
    place(m, v);
    m->jailings += is_for_ever ? 0 : 1;
}

/* ---- pools (section 3) ---- */

static sb_u128 take(struct stake_model *m, uint8_t delegator, uint8_t v, sb_u128 shares)
{
    struct stake_pool *p = &m->pools[v];
    const sb_u128 amount = worth(p, shares);
    m->held[delegator][v] -= shares;
    p->tokens -= amount;
    p->shares -= shares;
    m->bonded -= amount;
    return amount;
}

static bool put(struct stake_model *m, sb_u128 *ret_shares, uint8_t delegator, uint8_t v,
                sb_u128 amount)
{
    struct stake_pool *p = &m->pools[v];
    const bool is_worn = p->shares / WEAR_MAX > p->tokens || (p->tokens == 0 && p->shares != 0);
    if (p->tombstoned || is_worn || amount > STAKE_MAX || m->bonded + amount > STAKE_MAX) {
        return false;
    }
    const sb_u128 shares = p->shares == 0 ? amount : times(amount, p->shares, p->tokens);
    m->held[delegator][v] += shares;
    p->tokens += amount;
    p->shares += shares;
    m->bonded += amount;
    place(m, v);
    *ret_shares = shares;
    return true;
}

static void transit_remove(struct stake_model *m, size_t i)
{
    m->transit_count--;
    memmove(&m->transits[i], &m->transits[i + 1], (m->transit_count - i) * sizeof m->transits[0]);
}

static bool is_of(const struct stake_transit *t, uint8_t delegator, uint8_t v)
{
    return t->delegator == delegator && t->at == v;
}

static bool transit_push(struct stake_model *m, const struct stake_transit *transit)
{
    uint64_t open = 0;
    for (size_t i = 0; i < m->transit_count; i++) {
        open += is_of(&m->transits[i], transit->delegator, transit->at) ? 1 : 0;
    }
    if (open >= m->params[SB_STAKING_entries_max] || m->transit_count == STAKE_OPEN_MAX) {
        return false;
    }
    m->transits[m->transit_count++] = *transit;
    return true;
}

static void settle(struct stake_model *m, uint8_t delegator, uint8_t v)
{
    for (size_t i = 0; i < m->transit_count;) {
        struct stake_transit *t = &m->transits[i];
        if (!is_of(t, delegator, v)) {
            i++;
            continue;
        }
        const sb_u128 left =
            after(m, t->shares, t->from, t->slash_from, t->height, t->completion_s);
        if (left != t->shares) {
            m->burnt += take(m, delegator, v, t->shares - left);
        }
        if (left == 0 || m->now_s >= t->completion_s) {
            transit_remove(m, i);
        } else {
            t->shares = left;
            t->slash_from = m->pools[t->from].record_count;
            i++;
        }
    }
}

/* ---- transactions ---- */

static bool exists(const struct stake_model *m, uint8_t v)
{
    return v < NOBODY && m->pools[v].exists;
}

static bool delegate(struct stake_model *m, uint8_t delegator, uint8_t v, sb_u128 amount)
{
    sb_u128 shares;
    if (amount == 0) {
        return false;
    }
    settle(m, delegator, v);
    return put(m, &shares, delegator, v, amount);
}

static bool create(struct stake_model *m, const struct stake_action *a)
{
    struct stake_pool *p = &m->pools[a->who];
    if (p->exists || m->height <= 1) {
        return false; /* in block 1 the genesis hash is not known yet */
    }
    p->exists = true;
    p->self_min = a->extra;
    return delegate(m, a->who, a->who, a->amount) && has_self_stake(m, a->who);
}

static bool edit(struct stake_model *m, const struct stake_action *a)
{
    struct stake_pool *p = &m->pools[a->who];
    if (!p->exists || a->extra < p->self_min) {
        return false;
    }
    if (a->extra > p->self_min) {
        p->self_min = a->extra;
        settle(m, a->who, a->who);
        if (!has_self_stake(m, a->who)) {
            return false;
        }
        place(m, a->who);
    }
    return true;
}

/* takeable: settle; false when the delegator has fewer shares. *ret_free: of these, in no open transit. */
static bool takeable(struct stake_model *m, sb_u128 *ret_free, uint8_t delegator, uint8_t v,
                     sb_u128 shares)
{
    if (shares == 0) {
        return false;
    }
    settle(m, delegator, v);
    sb_u128 free = m->held[delegator][v];
    if (shares > free) {
        return false;
    }
    for (size_t i = 0; i < m->transit_count; i++) {
        free -= is_of(&m->transits[i], delegator, v) ? m->transits[i].shares : 0;
    }
    *ret_free = free;
    return true;
}

static bool leave(struct stake_model *m, const struct stake_exit *like, sb_u128 shares)
{
    const sb_u128 amount = take(m, like->delegator, like->id, shares);
    if (amount == 0) {
        return true;
    }
    if (m->exit_count == STAKE_EXITS_MAX) {
        return false;
    }
    struct stake_exit *e = &m->exits[m->exit_count++];
    *e = *like;
    e->number = ++m->exit_number;
    e->amount = amount;
    m->unbonding += amount;
    return true;
}

/* leave_transits: shares that came by open redelegations, the oldest first. */
static bool leave_transits(struct stake_model *m, struct stake_exit *like, sb_u128 shares)
{
    const uint64_t completion_s = like->completion_s;
    for (size_t i = 0; shares != 0;) {
        struct stake_transit *t = &m->transits[i];
        if (!is_of(t, like->delegator, like->id)) {
            i++;
            continue;
        }
        like->origin = t->from;
        like->origin_height = t->height;
        like->origin_completion_s = t->completion_s;
        like->origin_slash_from = t->slash_from;
        like->completion_s = t->completion_s > completion_s ? t->completion_s : completion_s;
        const sb_u128 part = t->shares < shares ? t->shares : shares;
        if (!leave(m, like, part)) {
            return false;
        }
        shares -= part;
        t->shares -= part;
        if (t->shares == 0) {
            transit_remove(m, i);
        }
    }
    return true;
}

static bool undelegate(struct stake_model *m, const struct stake_action *a)
{
    sb_u128 free;
    if (!exists(m, a->at) || !takeable(m, &free, a->who, a->at, a->amount)) {
        return false;
    }
    const uint64_t number = m->exit_number;
    struct stake_exit like = {.delegator = a->who,
                              .id = a->at,
                              .origin = NOBODY,
                              .slash_from = m->pools[a->at].record_count,
                              .height = m->height,
                              .completion_s = m->now_s + m->params[SB_STAKING_unbonding_seconds]};
    const sb_u128 part = free < a->amount ? free : a->amount;
    if ((part != 0 && !leave(m, &like, part)) || !leave_transits(m, &like, a->amount - part) ||
        m->exit_number == number) {
        return false;
    }
    uint64_t open = 0;
    for (size_t i = 0; i < m->exit_count; i++) {
        open += m->exits[i].delegator == a->who && m->exits[i].id == a->at ? 1 : 0;
    }
    if (open > m->params[SB_STAKING_entries_max]) {
        return false;
    }
    place(m, a->at);
    return true;
}

static bool redelegate(struct stake_model *m, const struct stake_action *a)
{
    sb_u128 free, shares;
    if (a->at == a->to || !exists(m, a->at) || !exists(m, a->to) ||
        !takeable(m, &free, a->who, a->at, a->amount) || a->amount > free) {
        return false;
    }
    const sb_u128 amount = take(m, a->who, a->at, a->amount);
    if (amount == 0) {
        return false;
    }
    settle(m, a->who, a->to);
    if (!put(m, &shares, a->who, a->to, amount)) {
        return false;
    }
    const struct stake_transit t = {.delegator = a->who,
                                    .at = a->to,
                                    .from = a->at,
                                    .slash_from = m->pools[a->at].record_count,
                                    .height = m->height,
                                    .completion_s =
                                        m->now_s + m->params[SB_STAKING_unbonding_seconds],
                                    .shares = shares};
    if (!transit_push(m, &t)) {
        return false;
    }
    place(m, a->at);
    return true;
}

/* close_exit: it ends, and the last one of its delegator takes its place. Returns what it is worth. */
static sb_u128 close_exit(struct stake_model *m, size_t i)
{
    const sb_u128 amount = exit_worth(m, &m->exits[i]);
    m->unbonding -= m->exits[i].amount;
    m->burnt += m->exits[i].amount - amount;
    size_t last = m->exit_count - 1;
    while (m->exits[last].delegator != m->exits[i].delegator) {
        last--;
    }
    m->exits[i] = m->exits[last];
    m->exit_count--;
    memmove(&m->exits[last], &m->exits[last + 1], (m->exit_count - last) * sizeof m->exits[0]);
    return amount;
}

static bool cancel(struct stake_model *m, const struct stake_action *a)
{
    size_t i = 0;
    while (i < m->exit_count && m->exits[i].number != a->amount) {
        i++;
    }
    if (i == m->exit_count || m->exits[i].delegator != a->who ||
        m->now_s >= m->exits[i].completion_s) {
        return false;
    }
    const struct stake_exit e = m->exits[i];
    sb_u128 shares;
    const sb_u128 amount = close_exit(m, i);
    if (amount == 0) {
        return false;
    }
    settle(m, a->who, e.id);
    if (!put(m, &shares, a->who, e.id, amount)) {
        return false;
    }
    if (e.origin == NOBODY || m->now_s >= e.origin_completion_s) {
        return true;
    }
    const struct stake_transit t = {.delegator = a->who,
                                    .at = e.id,
                                    .from = e.origin,
                                    .slash_from = m->pools[e.origin].record_count,
                                    .height = e.origin_height,
                                    .completion_s = e.origin_completion_s,
                                    .shares = shares};
    return transit_push(m, &t);
}

static bool withdraw(struct stake_model *m, const struct stake_action *a)
{
    sb_u128 paid = 0;
    for (size_t i = 0; i < m->exit_count && paid < a->amount;) {
        if (m->exits[i].delegator != a->who || m->now_s < m->exits[i].completion_s) {
            i++;
            continue;
        }
        (void)close_exit(m, i);
        paid++;
    }
    return paid != 0;
}

static bool enter(struct stake_model *m, uint8_t v)
{
    if (!exists(m, v) || m->pools[v].jailed || m->pools[v].place != 0) {
        return false;
    }
    settle(m, v, v);
    if (!has_self_stake(m, v)) {
        return false;
    }
    place(m, v);
    return true;
}

static bool unjail(struct stake_model *m, uint8_t v)
{
    struct stake_pool *p = &m->pools[v];
    if (!p->exists || p->tombstoned || !p->jailed || m->now_s < p->jailed_until_s) {
        return false;
    }
    settle(m, v, v);
    if (!has_self_stake(m, v)) {
        return false;
    }
    p->jailed = false;
    place(m, v);
    p->presence = sb_u256_from_u64(1);
    return true;
}

static bool apply(struct stake_model *m, const struct stake_action *a)
{
    switch (a->kind) {
    case STAKE_CREATE:
        return create(m, a);
    case STAKE_EDIT:
        return edit(m, a);
    case STAKE_DELEGATE:
        return exists(m, a->at) && delegate(m, a->who, a->at, a->amount);
    case STAKE_UNDELEGATE:
        return undelegate(m, a);
    case STAKE_REDELEGATE:
        return redelegate(m, a);
    case STAKE_CANCEL:
        return cancel(m, a);
    case STAKE_WITHDRAW:
        return withdraw(m, a);
    case STAKE_SETTLE:
        if (!exists(m, a->at) || a->to >= NOBODY) {
            return false;
        }
        settle(m, a->to, a->at);
        place(m, a->at);
        return true;
    case STAKE_ENTER:
        return enter(m, a->at);
    case STAKE_UNJAIL:
        return unjail(m, a->who);
    case STAKE_PARAM:
        m->params[a->at] = (uint64_t)a->amount;
        return true;
    case STAKE_KIND_COUNT:
        break;
    }
    return false;
}

bool stake_model_act(struct stake_model *m, struct stake_model *scratch,
                     const struct stake_action *action)
{
    if (action->who >= NOBODY ||
        (action->kind == STAKE_PARAM && action->at >= SB_STAKING_PARAM_COUNT)) {
        return false;
    }
    stake_model_copy(scratch, m);
    if (apply(m, action)) {
        return true;
    }
    stake_model_copy(m, scratch);
    return false;
}

/* ---- blocks ---- */

void stake_model_init(struct stake_model *ret, const uint64_t *params, const sb_addr *ids,
                      const uint64_t *powers, size_t count)
{
    SB_ASSERT(count <= STAKE_MODEL_MAX);
    memset(ret, 0, sizeof *ret);
    memcpy(ret->params, params, sizeof ret->params);
    for (size_t i = 0; i < STAKE_MODEL_MAX; i++) {
        ret->pools[i].id = ids[i];
    }
    for (uint8_t i = 0; i < count; i++) {
        sb_u128 shares;
        if (powers[i] != 0) {
            ret->pools[i].exists = true;
            ret->pools[i].self_min = COIN;
            SB_ASSERT(put(ret, &shares, i, i, powers[i] * COIN));
        }
    }
}

void stake_model_copy(struct stake_model *ret, const struct stake_model *m)
{
    memcpy(ret, m, offsetof(struct stake_model, records));
    memcpy(ret->records, m->records, m->record_count * sizeof m->records[0]);
    memcpy(ret->transits, m->transits, m->transit_count * sizeof m->transits[0]);
    memcpy(ret->exits, m->exits, m->exit_count * sizeof m->exits[0]);
}

void stake_model_begin(struct stake_model *m, uint64_t height, uint64_t now_s)
{
    m->height = height;
    m->now_s = now_s;
}

/* count_vote: section 7. */
static void count_vote(struct stake_model *m, const struct stake_vote *vote)
{
    struct stake_pool *p = &m->pools[vote->who];
    const uint64_t window = m->params[SB_STAKING_signed_window];
    const uint64_t missed_max = window * (BPS - m->params[SB_STAKING_signed_min_bps]) / BPS;
    const sb_u256 one = sb_u256_from_u64(1);
    const sb_u256 old = sb_u256_is_zero(&p->presence) ? one : p->presence;
    sb_u256 word = sb_u256_shl(&old, 1);
    word.w[0] |= vote->present ? 0 : 1;
    word.w[3] |= old.w[3] & UINT64_C(1) << 63;
    p->presence = word;
    const sb_u256 beyond = sb_u256_shr(&word, window);
    if (vote->present || sb_u256_is_zero(&beyond)) {
        return;
    }
    const sb_u256 newest = sb_u256_shl(&word, 256 - window);
    uint64_t missed = 0;
    for (size_t i = 0; i < 4; i++) {
        missed += (uint64_t)__builtin_popcountll(newest.w[i]);
    }
    if (missed > missed_max) {
        p->presence = one;
        punish(m, vote->who, m->height - 2, (uint16_t)m->params[SB_STAKING_slash_downtime_bps],
               m->now_s + m->params[SB_STAKING_downtime_jail_seconds], false);
    }
}

bool stake_model_end(struct stake_model *m, const struct stake_vote *votes, size_t vote_count,
                     const struct stake_offence *evidence, size_t evidence_count)
{
    for (size_t i = 0; i < vote_count; i++) {
        count_vote(m, &votes[i]);
    }
    for (size_t i = 0; i < evidence_count; i++) {
        punish(m, evidence[i].who, evidence[i].height,
               (uint16_t)m->params[SB_STAKING_slash_double_sign_bps], FOR_EVER, true);
    }
    return rank(m);
}

/* ---- hash ---- */

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t mix_amount(uint64_t hash, sb_u128 amount)
{
    return mix(mix(hash, (uint64_t)amount), (uint64_t)(amount >> 64));
}

uint64_t stake_model_hash(const struct stake_model *m)
{
    uint64_t hash = mix(m->height, m->now_s);
    for (size_t i = 0; i < STAKE_MODEL_MAX; i++) {
        const struct stake_pool *p = &m->pools[i];
        hash = mix(hash, (p->exists ? 1u : 0) | (p->jailed ? 2u : 0) | (p->tombstoned ? 4u : 0));
        hash = mix(mix(hash, p->place), p->jailed_until_s);
        hash = mix_amount(mix_amount(hash, p->tokens), p->shares);
        hash = mix(mix(hash, p->presence.w[0]), p->record_count);
        for (size_t v = 0; p->exists && v < STAKE_MODEL_MAX; v++) {
            hash = mix_amount(hash, m->held[v][i]);
        }
    }
    for (size_t i = 0; i < m->list_count; i++) {
        hash = mix(mix(hash, m->list[i].who), (uint64_t)m->list[i].power);
    }
    hash = mix(mix(mix(hash, m->exit_count), m->exit_number), m->transit_count);
    return mix_amount(mix_amount(hash, m->unbonding), m->burnt);
}
