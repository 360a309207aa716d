/* fuzz_look.c: what everybody has by the views, and the invariants over it (stakefuzz.h). */
#include "tests/staking/stakefuzz.h"

/* ---------------------------------------------------------------- looking */

sb_u256 account_word(size_t i)
{
    const sb_addr addr = sb_stake_account(i);
    return sb_stake_addr_word(&addr);
}

void look(struct life *l, uint16_t to, const char *signature, const sb_u256 *words, size_t count)
{
    sb_stake_view(l->c, to, signature, words, count);
    CHECK(l, l->c->ok);
}

static void look_at_pools(struct life *l, struct picture *p)
{
    for (size_t v = 0; v < ACTORS; v++) {
        /* position(delegator, operator): id, shares, all shares, commission */
        const sb_u256 pair[] = {account_word(v), account_word(v)};
        look(l, k_staking, "position(address,address)", pair, 2);
        sb_u256 id = sb_stake_word(l->c, 0);
        p->exists[v] = !sb_u256_is_zero(&id);
        p->pools[v].shares = sb_stake_word(l->c, 2);
        p->pools[v].tokens = sb_u256_zero();
        if (p->exists[v]) {
            /* the struct's head begins behind one offset: tokens is its word 4 */
            look(l, k_staking, "validator(address)", &pair[0], 1);
            p->pools[v].tokens = sb_stake_word(l->c, 1 + 4);
        }
    }
}

/* What the exits of `a` pay; *ret_amounts: what they began with. */
static sb_u256 look_at_exits(struct life *l, size_t a, sb_u256 *ret_amounts)
{
    const sb_u256 words[] = {account_word(a), sb_u256_zero(), sb_u256_from_u64(PAGE)};
    look(l, k_staking, "unbondings(address,uint256,uint256)", words, 3);
    const sb_u256 count = sb_stake_word(l->c, 1);
    sb_u256 payable = sb_u256_zero();
    *ret_amounts = sb_u256_zero();
    for (size_t i = 0; i < count.w[0]; i++) {
        sb_u256 amount = sb_stake_word(l->c, 2 + i * UNBONDING_WORDS + 2);
        sb_u256 pays = sb_stake_word(l->c, 2 + i * UNBONDING_WORDS + 3);
        CHECK(l, sb_u256_cmp(&pays, &amount) <= 0);
        payable = sb_u256_add(&payable, &pays);
        *ret_amounts = sb_u256_add(ret_amounts, &amount);
    }
    return payable;
}

static void look_at_holding(struct life *l, const struct picture *p, size_t a, struct holding *h)
{
    const sb_u256 me = account_word(a);
    sb_u256 ignored;
    look(l, k_distribution, "settledRewards(address)", &me, 1);
    h->rewards = sb_stake_word(l->c, 0);
    for (size_t v = 0; v < ACTORS; v++) {
        h->shares[v] = h->worth[v] = sb_u256_zero();
        if (!p->exists[v]) {
            continue;
        }
        const sb_u256 pair[] = {me, account_word(v)};
        look(l, k_staking, "delegation(address,address)", pair, 2);
        h->shares[v] = sb_stake_word(l->c, 1);
        h->worth[v] = sb_stake_word(l->c, 2);
        look(l, k_distribution, "pendingRewards(address,address)", pair, 2);
        sb_u256 pending = sb_stake_word(l->c, 0);
        h->rewards = sb_u256_add(&h->rewards, &pending);
    }
    h->payable = look_at_exits(l, a, &ignored);
}

void look_at_all(struct life *l, struct picture *p)
{
    look_at_pools(l, p);
    for (size_t a = 0; a < ACTORS; a++) {
        look_at_holding(l, p, a, &p->holdings[a]);
    }
}

/* ---------------------------------------------------------------- after a transaction */

static bool at_least(const sb_u256 *after, const sb_u256 *before)
{
    return sb_u256_cmp(after, before) >= 0;
}

/* Tokens per share did not fall: T' * S >= T * S', both below 2^128. */
static void check_pool(struct life *l, const struct pool *before, const struct pool *after)
{
    CHECK(l, sb_u256_cmp(&after->tokens, &after->shares) <= 0);
    const sb_u256 left = sb_u256_mul(&after->tokens, &before->shares);
    const sb_u256 right = sb_u256_mul(&before->tokens, &after->shares);
    CHECK(l, sb_u256_cmp(&left, &right) >= 0);
}

/* What the shares of `a` are worth did not fall. The view takes off slashes that are not settled yet, and what these will take is
 * rounded by the pool at hand: with any of them a wei is nobody's. */
static bool keeps_worth(struct life *l, size_t a, size_t v)
{
    const sb_u256 one = sb_u256_from_u64(1), pair[] = {account_word(a), account_word(v)};
    const sb_u256 *before = &l->before.holdings[a].worth[v];
    sb_u256 after = l->after.holdings[a].worth[v];
    if (at_least(&after, before)) {
        return true;
    }
    look(l, k_staking, "position(address,address)", pair, 2);
    const sb_u256 unsettled = sb_stake_word(l->c, 1);
    after = sb_u256_add(&after, &one);
    return !sb_u256_equal(&unsettled, &l->after.holdings[a].shares[v]) && at_least(&after, before);
}

void check_bystanders(struct life *l, size_t caller)
{
    for (size_t v = 0; v < ACTORS; v++) {
        check_pool(l, &l->before.pools[v], &l->after.pools[v]);
    }
    for (size_t a = 0; a < ACTORS; a++) {
        const struct holding *before = &l->before.holdings[a];
        const struct holding *after = &l->after.holdings[a];
        if (a == caller) {
            continue;
        }
        CHECK(l, sb_u256_equal(&before->payable, &after->payable));
        CHECK(l, at_least(&after->rewards, &before->rewards));
        for (size_t v = 0; v < ACTORS; v++) {
            CHECK(l, sb_u256_equal(&before->shares[v], &after->shares[v]));
            CHECK(l, keeps_worth(l, a, v));
        }
    }
}

/* ---------------------------------------------------------------- after a block */

sb_u256 total_of(struct life *l, size_t word)
{
    look(l, k_staking, "totals()", NULL, 0);
    return sb_stake_word(l->c, word);
}

void check_stake(struct life *l)
{
    static struct picture p;
    const sb_addr staking = sb_system_addr(k_staking);
    look_at_pools(l, &p);
    sb_u256 tokens = sb_u256_zero(), exits = sb_u256_zero();
    for (size_t v = 0; v < ACTORS; v++) {
        sb_u256 shares = sb_u256_zero();
        for (size_t a = 0; a < ACTORS; a++) {
            const sb_u256 pair[] = {account_word(a), account_word(v)};
            look(l, k_staking, "position(address,address)", pair, 2);
            sb_u256 own = sb_stake_word(l->c, 1);
            shares = sb_u256_add(&shares, &own);
        }
        CHECK(l, !p.exists[v] || sb_u256_equal(&shares, &p.pools[v].shares));
        CHECK(l, sb_u256_cmp(&p.pools[v].tokens, &p.pools[v].shares) <= 0);
        tokens = sb_u256_add(&tokens, &p.pools[v].tokens);
    }
    for (size_t a = 0; a < ACTORS; a++) {
        sb_u256 amounts;
        (void)look_at_exits(l, a, &amounts);
        exits = sb_u256_add(&exits, &amounts);
    }
    const sb_u256 bonded = total_of(l, 0), unbonding = total_of(l, 1), burnt = total_of(l, 2);
    CHECK(l, sb_u256_equal(&bonded, &tokens));
    CHECK(l, sb_u256_equal(&unbonding, &exits));
    sb_u256 sum = sb_u256_add(&bonded, &unbonding);
    sum = sb_u256_add(&sum, &burnt);
    const sb_u256 balance = sb_stake_balance(l->c, &staking);
    CHECK(l, sb_u256_equal(&sum, &balance));
}

/* accounted = pool + commission + rewards, but for remainders, and for what validators without shares have accrued. */
void check_rewards(struct life *l)
{
    static struct picture p;
    const sb_addr distribution = sb_system_addr(k_distribution);
    const sb_u256 few_shares = sb_u256_from_u64(SB_STAKE_COIN);
    look_at_all(l, &p);
    look(l, k_distribution, "pool()", NULL, 0);
    sb_u256 owed = sb_stake_word(l->c, 0);
    sb_u256 slack = sb_u256_from_u64(l->syncs);
    for (size_t i = 0; i < ACTORS; i++) {
        owed = sb_u256_add(&owed, &p.holdings[i].rewards);
        if (!p.exists[i]) {
            continue;
        }
        const sb_u256 operator= account_word(i);
        look(l, k_distribution, "pendingCommission(address)", &operator, 1);
        sb_u256 commission = sb_stake_word(l->c, 0);
        owed = sb_u256_add(&owed, &commission);
        if (sb_u256_lt(&p.pools[i].shares, &few_shares)) {
            look(l, k_distribution, "validatorRewards(address)", &operator, 1);
            sb_u256 accrued = sb_stake_word(l->c, 0);
            slack = sb_u256_add(&slack, &accrued);
        }
    }
    look(l, k_distribution, "accounted()", NULL, 0);
    const sb_u256 accounted = sb_stake_word(l->c, 0);
    const sb_u256 balance = sb_stake_balance(l->c, &distribution);
    CHECK(l, sb_u256_cmp(&accounted, &balance) <= 0);
    CHECK(l, sb_u256_cmp(&owed, &accounted) <= 0);
    const sb_u256 lost = sb_u256_sub(&accounted, &owed);
    CHECK(l, sb_u256_cmp(&lost, &slack) <= 0);
    look(l, k_distribution, "mintedTotal()", NULL, 0);
    const sb_u256 minted = sb_stake_word(l->c, 0);
    CHECK(l, sb_u256_equal(&minted, &l->c->minted));
}
