/* fuzz_leavers.c: a second opinion on slashes of stake that has left, by the rules of docs/spec/staking.md, section 5, and the views alone.
 *
 * Exits and moved shares keep their order over the end of a block, in which nobody transacts; so each can be compared with itself. */
#include <string.h>

#include "tests/staking/stakefuzz.h"

/* ACTORS when the word is no account's address. */
static size_t actor_of(const sb_u256 *word)
{
    for (size_t i = 0; i < ACTORS; i++) {
        const sb_u256 own = account_word(i);
        if (sb_u256_equal(&own, word)) {
            return i;
        }
    }
    return ACTORS;
}

static uint64_t word_u64(const struct life *l, size_t i)
{
    const sb_u256 word = sb_stake_word(l->c, i);
    return sb_u256_sat_u64(&word);
}

static struct leaver *add(struct life *l, struct leavers *all)
{
    CHECK(l, all->count < LEAVERS_MAX);
    struct leaver *leaver = &all->list[all->count++];
    *leaver = (struct leaver){.origin = ACTORS};
    return leaver;
}

static void add_exits(struct life *l, struct leavers *all, size_t who)
{
    const sb_u256 words[] = {account_word(who), sb_u256_zero(), sb_u256_from_u64(PAGE)};
    look(l, k_staking, "unbondings(address,uint256,uint256)", words, 3);
    const uint64_t count = word_u64(l, 1);
    for (size_t i = 0; i < count; i++) {
        struct leaver *leaver = add(l, all);
        const size_t at = 2 + i * UNBONDING_WORDS;
        const sb_u256 operator= sb_stake_word(l->c, at + 1), origin = sb_stake_word(l->c, at + 6);
        leaver->is_exit = true;
        leaver->left = actor_of(&operator);
        leaver->amount = sb_stake_word(l->c, at + 3);
        leaver->height = word_u64(l, at + 4);
        leaver->completion = word_u64(l, at + 5);
        leaver->origin = actor_of(&origin);
        leaver->origin_completion = word_u64(l, at + 7);
        leaver->origin_height = word_u64(l, at + 8);
    }
}

/* Redelegation: from, to, shares, height, completion. */
static void add_moved(struct life *l, struct leavers *all, size_t who, size_t to)
{
    const sb_u256 pair[] = {account_word(who), account_word(to)};
    look(l, k_staking, "redelegations(address,address)", pair, 2);
    const uint64_t count = word_u64(l, 1);
    for (size_t i = 0; i < count; i++) {
        struct leaver *leaver = add(l, all);
        const size_t at = 2 + i * 5;
        const sb_u256 from = sb_stake_word(l->c, at);
        leaver->left = actor_of(&from);
        leaver->amount = sb_stake_word(l->c, at + 2);
        leaver->height = word_u64(l, at + 3);
        leaver->completion = word_u64(l, at + 4);
    }
}

void look_at_leavers(struct life *l, struct leavers *ret)
{
    ret->count = 0;
    memset(ret->records, 0, sizeof ret->records);
    for (size_t v = 0; v < ACTORS; v++) {
        const sb_u256 operator= account_word(v), pair[] = {operator, operator};
        look(l, k_staking, "position(address,address)", pair, 2);
        const sb_u256 id = sb_stake_word(l->c, 0);
        if (sb_u256_is_zero(&id)) {
            continue;
        }
        look(l, k_staking, "validator(address)", &operator, 1);
        ret->records[v] = word_u64(l, 1 + 18);
        for (size_t who = 0; who < ACTORS; who++) {
            add_moved(l, ret, who, v);
        }
    }
    for (size_t who = 0; who < ACTORS; who++) {
        add_exits(l, ret, who);
    }
}

/* What is left of `amount`, which left validator v at `height`, after v's records from `from` to `to`. */
static sb_u256 after_records(struct life *l, sb_u256 amount, size_t v, uint64_t from, uint64_t to,
                             uint64_t height, uint64_t completion)
{
    if (from == to) {
        return amount;
    }
    const sb_u256 words[] = {account_word(v), sb_u256_from_u64(from), sb_u256_from_u64(to - from)};
    const sb_u256 whole = sb_u256_from_u64(10000);
    look(l, k_staking, "slashes(address,uint256,uint256)", words, 3);
    for (size_t i = 0; i < to - from; i++) {
        const uint64_t offence = word_u64(l, 2 + 4 * i), time = word_u64(l, 4 + 4 * i),
                       bps = word_u64(l, 5 + 4 * i);
        if (offence <= height + 1 && time < completion) {
            SB_ASSERT(!sb_u256_mul_u64(&amount, &amount, 10000 - bps));
            amount = sb_u256_div(&amount, &whole);
        }
    }
    return amount;
}

uint64_t check_leavers(struct life *l, const struct leavers *before)
{
    static struct leavers after;
    uint64_t slashed = 0;
    look_at_leavers(l, &after);
    CHECK(l, after.count == before->count);
    for (size_t i = 0; i < after.count; i++) {
        const struct leaver *old = &before->list[i], *new = &after.list[i];
        const size_t v = old->left, origin = old->origin;
        CHECK(l, old->is_exit == new->is_exit &&v == new->left && old->height == new->height);
        sb_u256 want = after_records(l, old->amount, v, before->records[v], after.records[v],
                                     old->height, old->completion);
        if (origin < ACTORS) {
            want = after_records(l, want, origin, before->records[origin], after.records[origin],
                                 old->origin_height, old->origin_completion);
        }
        /* The contract rounds once for each record, validator's before origin's, we in the order in which they came: 1 wei each. */
        const sb_u256 slack = sb_u256_from_u64(origin < ACTORS ? 4 : 0);
        const bool more = sb_u256_lt(&want, &new->amount);
        const sb_u256 off =
            more ? sb_u256_sub(&new->amount, &want) : sb_u256_sub(&want, &new->amount);
        CHECK(l, sb_u256_cmp(&off, &slack) <= 0);
        slashed += !sb_u256_equal(&old->amount, &new->amount);
    }
    return slashed;
}
