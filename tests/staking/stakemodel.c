/* stakemodel.c: the staking contracts in our own VM and tests/support/stake_model.h, side by side, through random lives.
 *
 *     stakemodel [--seed N] [--runs N] [--blocks N]
 *
 * One run is one chain: accounts create validators, delegate, leave, move, cancel, withdraw, settle for each other, enter, unjail; the
 * governor turns the numbers that matter to sets; validators are absent for a while or sign twice, at random heights of the past; time
 * jumps. After each transaction both must have taken or refused it; after each block both must have the same set, in its order and with
 * its powers, or have left it, and the same of each validator: tokens, shares, least and own self stake, listed, active, jailed until
 * when, tombstoned, number of slashes; and the same totals. A failing run prints its seed, and `stakemodel --seed N` is that run. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec/abi.h"
#include "tests/support/random.h"
#include "tests/support/stake_chain.h"

#define ACTORS  12 /* accounts; each may be an operator */
#define GENESIS 4  /* validators of genesis: of the first accounts */

static const uint16_t k_staking = SB_STAKING_ADDR_LOW;

static const char *const k_names[STAKE_KIND_COUNT] = {
    "createValidator",  "editValidator", "delegate", "undelegate", "redelegate", "cancelUnbonding",
    "withdrawUnbonded", "settle",        "enter",    "unjail",     "Params.set"};
/* How often each is drawn. */
static const uint8_t k_weights[STAKE_KIND_COUNT] = {3, 2, 16, 14, 14, 8, 6, 4, 5, 10, 4};

struct life {
    struct sb_stake_chain *c;
    struct stake_model m, scratch;
    sb_addr ids[STAKE_MODEL_MAX];
    struct sb_random random;
    uint64_t seed;
    bool absent[ACTORS];
    const char *doing;
};

static uint64_t done[STAKE_KIND_COUNT], refused[STAKE_KIND_COUNT];
static uint64_t blocks_done, sets_done, jailings, slashes;

#define CHECK(life, condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("FAIL stakemodel::seed_%" PRIu64 " at block %" PRIu64 " in %s, line %d: %s\n",  \
                   (life)->seed, (life)->c->env.number, (life)->doing, __LINE__, #condition);      \
            printf("reproduce: build/tests/stakemodel --seed %" PRIu64 "\n", (life)->seed);        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static uint64_t below(struct life *l, uint64_t bound)
{
    return sb_random_below(&l->random, bound);
}

static sb_u256 word_of(sb_u128 x)
{
    return (sb_u256){{(uint64_t)x, (uint64_t)(x >> 64), 0, 0}};
}

static sb_u256 account_word(size_t i)
{
    const sb_addr addr = sb_stake_account(i);
    return sb_stake_addr_word(&addr);
}

static sb_u128 coins(uint64_t n)
{
    return (sb_u128)n * SB_STAKE_COIN;
}

/* ---- drawing ---- */

/* Mostly coins, sometimes wei, sometimes odd. */
static sb_u128 draw_amount(struct life *l)
{
    switch (below(l, 6)) {
    case 0:
        return below(l, 1000);
    case 1:
        return sb_random_u64(&l->random) >> below(l, 64);
    default:
        return coins(1 + below(l, 3000));
    }
}

/* Shares of `a` at `v`: all, a part, a few, or more than there are. */
static sb_u128 draw_shares(struct life *l, size_t a, size_t v)
{
    const sb_u128 all = l->m.held[a][v];
    switch (below(l, 8)) {
    case 0:
        return draw_amount(l);
    case 1:
    case 2:
        return all;
    case 3:
        return all > 1000 ? all - below(l, 1000) : all;
    default:
        return all / (1 + below(l, 7));
    }
}

/* A validator, mostly one that is there; or where `a` has shares, mostly. */
static uint8_t draw_validator(struct life *l, size_t a, bool is_own)
{
    uint8_t v = (uint8_t)below(l, ACTORS);
    for (int i = 0; i < 12 && (is_own ? l->m.held[a][v] == 0 : !l->m.pools[v].exists); i++) {
        v = (uint8_t)below(l, ACTORS);
    }
    return v;
}

static sb_u128 draw_exit(struct life *l, size_t a)
{
    size_t own[STAKE_EXITS_MAX], count = 0;
    for (size_t i = 0; i < l->m.exit_count; i++) {
        if (l->m.exits[i].delegator == a) {
            own[count++] = i;
        }
    }
    return count == 0 ? 1 : l->m.exits[own[below(l, count)]].number;
}

static void draw_param(struct life *l, struct stake_action *a)
{
    static const uint8_t choices[] = {
        SB_STAKING_unbonding_seconds,     SB_STAKING_validators_max,
        SB_STAKING_validators_max,        SB_STAKING_entries_max,
        SB_STAKING_self_stake_min_coins,  SB_STAKING_signed_window,
        SB_STAKING_signed_min_bps,        SB_STAKING_downtime_jail_seconds,
        SB_STAKING_slash_double_sign_bps, SB_STAKING_slash_downtime_bps};
    a->who = 0;
    a->at = choices[below(l, sizeof choices)];
    const struct sb_staking_bounds *b = &sb_staking_params[a->at];
    a->amount = b->min + below(l, b->max - b->min + 1);
    if (a->at == SB_STAKING_unbonding_seconds) {
        a->amount = 1 + below(l, 2000); /* so that exits do complete */
    } else if (a->at == SB_STAKING_self_stake_min_coins) {
        a->amount = 1 + below(l, 200);
    } else if (a->at == SB_STAKING_validators_max) {
        a->amount = 1 + below(l, ACTORS);
    } else if (a->at == SB_STAKING_downtime_jail_seconds) {
        a->amount = below(l, 300);
    } else if (a->at == SB_STAKING_signed_window && below(l, 4) != 0) {
        a->amount = 10 + below(l, 30);
    } else if (a->at == SB_STAKING_entries_max) {
        a->amount = 1 + below(l, 8);
    }
}

static bool may_enter(const struct stake_pool *p)
{
    return p->exists && !p->jailed && p->place == 0;
}

static struct stake_action draw_action(struct life *l)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < STAKE_KIND_COUNT; i++) {
        sum += k_weights[i];
    }
    uint64_t at = below(l, sum);
    unsigned kind = 0;
    for (; at >= k_weights[kind]; kind++) {
        at -= k_weights[kind];
    }
    struct stake_action a = {.kind = (enum stake_kind)kind, .who = (uint8_t)below(l, ACTORS)};
    const bool leaves = a.kind == STAKE_UNDELEGATE || a.kind == STAKE_REDELEGATE;
    a.at = draw_validator(l, a.who, leaves);
    a.to = draw_validator(l, a.who, false);
    a.amount = leaves ? draw_shares(l, a.who, a.at) : draw_amount(l);
    a.extra = below(l, 2) == 0 ? 0 : coins(below(l, 60));
    if (a.kind == STAKE_UNJAIL) {
        for (int i = 0; i < 12 && !l->m.pools[a.who].jailed; i++) {
            a.who = (uint8_t)below(l, ACTORS);
        }
    } else if (a.kind == STAKE_ENTER) {
        for (int i = 0; i < 12 && !may_enter(&l->m.pools[a.at]); i++) {
            a.at = (uint8_t)below(l, ACTORS);
        }
    } else if (a.kind == STAKE_CANCEL) {
        a.amount = draw_exit(l, a.who);
    } else if (a.kind == STAKE_WITHDRAW) {
        a.amount = 1 + below(l, 3);
    } else if (a.kind == STAKE_EDIT) {
        a.extra = coins(1 + below(l, 100));
    } else if (a.kind == STAKE_PARAM) {
        draw_param(l, &a);
    }
    return a;
}

/* ---- the same to the contracts ---- */

static void edit(struct life *l, const sb_addr *from, const sb_u256 *self_min)
{
    struct sb_abi_writer w, texts;
    struct sb_buf *input = &l->c->input;
    sb_buf_reset(input);
    sb_abi_put_selector(
        input, sb_abi_selector("editValidator((string,string,string,string),uint16,uint256)"));
    sb_abi_begin(&w, input, 3);
    sb_abi_put_tuple(&texts, &w, 4);
    for (size_t i = 0; i < 4; i++) {
        sb_abi_put_bytes(&texts, sb_span("text", 4));
    }
    sb_abi_end(&texts);
    sb_abi_put_u64(&w, 500);
    sb_abi_put_u256(&w, self_min);
    sb_abi_end(&w);
    sb_stake_send(l->c, from, k_staking, NULL, sb_buf_bytes(input));
}

static void transact(struct life *l, const struct stake_action *a)
{
    static const uint16_t commission[3] = {500, 2000, 300};
    const sb_addr from = sb_stake_account(a->who);
    const sb_u256 amount = word_of(a->amount), extra = word_of(a->extra);
    const sb_u256 at = account_word(a->at), to = account_word(a->to);
    const sb_u256 moves[] = {at, to, amount}, leaves[] = {at, amount}, settles[] = {to, at};
    const sb_u256 sets[] = {sb_u256_from_u64((uint64_t)SB_STAKING_PARAM_SLOT + a->at), amount};
    switch (a->kind) {
    case STAKE_CREATE:
        sb_stake_create(l->c, &from, a->who, &amount, commission, &extra);
        break;
    case STAKE_EDIT:
        edit(l, &from, &extra);
        break;
    case STAKE_DELEGATE:
        sb_stake_call(l->c, &from, k_staking, &amount, "delegate(address)", &at, 1);
        break;
    case STAKE_UNDELEGATE:
        sb_stake_call(l->c, &from, k_staking, NULL, "undelegate(address,uint256)", leaves, 2);
        break;
    case STAKE_REDELEGATE:
        sb_stake_call(l->c, &from, k_staking, NULL, "redelegate(address,address,uint256)", moves,
                      3);
        break;
    case STAKE_CANCEL:
        sb_stake_call(l->c, &from, k_staking, NULL, "cancelUnbonding(uint64)", &amount, 1);
        break;
    case STAKE_WITHDRAW:
        sb_stake_call(l->c, &from, k_staking, NULL, "withdrawUnbonded(uint256)", &amount, 1);
        break;
    case STAKE_SETTLE:
        sb_stake_call(l->c, &from, k_staking, NULL, "settle(address,address)", settles, 2);
        break;
    case STAKE_ENTER:
        sb_stake_call(l->c, &from, k_staking, NULL, "enter(address)", &at, 1);
        break;
    case STAKE_UNJAIL:
        sb_stake_call(l->c, &from, SB_SLASHING_ADDR_LOW, NULL, "unjail()", NULL, 0);
        break;
    case STAKE_PARAM:
        sb_stake_call(l->c, &from, SB_STAKE_PARAMS, NULL, "set(uint256,uint256)", sets, 2);
        break;
    case STAKE_KIND_COUNT:
        break;
    }
}

static void one_transaction(struct life *l)
{
    const struct stake_action a = draw_action(l);
    l->doing = k_names[a.kind];
    transact(l, &a);
    const bool ok = stake_model_act(&l->m, &l->scratch, &a);
    CHECK(l, ok == l->c->ok);
    *(ok ? &done[a.kind] : &refused[a.kind]) += 1;
}

/* ---- blocks ---- */

static uint8_t number_of(const struct life *l, const sb_addr *id)
{
    uint8_t v = 0;
    while (v < ACTORS && !sb_addr_equal(&l->ids[v], id)) {
        v++;
    }
    return v;
}

static bool is_present(void *ctx, const sb_addr *id)
{
    const struct life *l = ctx;
    return !l->absent[number_of(l, id)];
}

static bool is_word(const struct life *l, size_t i, sb_u128 x)
{
    const sb_u256 word = sb_stake_word(l->c, i), expected = word_of(x);
    return sb_u256_equal(&word, &expected);
}

/* The words of IStaking.Validator begin behind one offset. */
static void compare_validator(struct life *l, uint8_t v)
{
    const struct stake_pool *p = &l->m.pools[v];
    const sb_u256 operator= account_word(v);
    bool is_active = false;
    for (uint8_t i = 0; i < l->m.set_count; i++) {
        is_active |= l->m.set[i].who == v;
    }
    sb_stake_view(l->c, k_staking, "validator(address)", &operator, 1);
    CHECK(l, l->c->ok == p->exists);
    if (!p->exists) {
        return;
    }
    CHECK(l, is_word(l, 1 + 4, p->tokens));
    CHECK(l, is_word(l, 1 + 5, p->shares));
    CHECK(l, is_word(l, 1 + 6, p->tokens / SB_STAKE_COIN));
    CHECK(l, is_word(l, 1 + 7, l->m.held[v][v]));
    CHECK(l, is_word(l, 1 + 8, p->self_min));
    CHECK(l, is_word(l, 1 + 13, p->place != 0));
    CHECK(l, is_word(l, 1 + 14, p->place != 0 && is_active));
    CHECK(l, is_word(l, 1 + 15, p->jailed));
    CHECK(l, is_word(l, 1 + 16, p->tombstoned));
    CHECK(l, is_word(l, 1 + 17, p->jailed_until_s));
    CHECK(l, is_word(l, 1 + 18, p->record_count));
}

static void compare(struct life *l, bool has_set)
{
    CHECK(l, has_set == l->c->outcome.has_set);
    const struct sb_stake_set *set = sb_stake_set_at(l->c, l->c->env.number + 1);
    CHECK(l, set->count == l->m.set_count && set->count >= 1);
    for (size_t i = 0; i < set->count; i++) {
        CHECK(l, number_of(l, &set->members[i].consensus) == l->m.set[i].who);
        CHECK(l, set->members[i].power == l->m.set[i].power);
    }
    for (uint8_t v = 0; v < ACTORS; v++) {
        compare_validator(l, v);
    }
    sb_stake_view(l->c, k_staking, "totals()", NULL, 0);
    CHECK(l, is_word(l, 0, l->m.bonded));
    CHECK(l, is_word(l, 1, l->m.unbonding));
    CHECK(l, is_word(l, 2, l->m.burnt));
}

static void end_block(struct life *l)
{
    const uint64_t height = l->c->env.number, back = 1 + below(l, 40);
    const uint8_t accused = (uint8_t)below(l, ACTORS + 1);
    const size_t count = below(l, 60) == 0 ? 1 : 0;
    const struct stake_offence offence = {.who = accused < ACTORS ? accused : STAKE_MODEL_MAX,
                                          .height = height > back ? height - back : 1};
    const struct sb_system_evidence evidence = {.validator = sb_stake_consensus(accused),
                                                .kind = SB_EVIDENCE_DUPLICATE_VOTE,
                                                .height = offence.height,
                                                .time_ms = l->c->time_ms};
    struct stake_vote votes[STAKE_MODEL_MAX];
    size_t vote_count = 0;
    for (size_t v = 0; v < ACTORS; v++) {
        if (below(l, 25) == 0) {
            l->absent[v] = below(l, 3) == 0;
        }
    }
    if (height >= 3) {
        const struct sb_stake_set *set = sb_stake_set_at(l->c, height - 2);
        for (; vote_count < set->count; vote_count++) {
            const uint8_t who = number_of(l, &set->members[vote_count].consensus);
            votes[vote_count] = (struct stake_vote){.who = who, .present = !l->absent[who]};
        }
    }
    l->c->block_ms = below(l, 20) == 0 ? 1 + below(l, 400000) : 1 + below(l, 3000);
    l->doing = "end of block";
    const bool has_set = stake_model_end(&l->m, votes, vote_count, &offence, count);
    sb_stake_end(l->c, is_present, l, &evidence, count);
    compare(l, has_set);
    stake_model_begin(&l->m, l->c->env.number, l->c->env.timestamp);
    blocks_done++;
    sets_done += has_set ? 1 : 0;
}

static void one_life(struct life *l, uint64_t seed, uint64_t blocks)
{
    static const uint64_t powers[GENESIS] = {300, 200, 200, 100};
    uint64_t params[SB_STAKING_PARAM_COUNT];
    for (size_t i = 0; i < SB_STAKING_PARAM_COUNT; i++) {
        params[i] = sb_staking_params[i].value;
    }
    params[SB_STAKING_unbonding_seconds] = 600;
    params[SB_STAKING_validators_max] = 5;
    params[SB_STAKING_signed_window] = 12;
    params[SB_STAKING_downtime_jail_seconds] = 20;
    const struct sb_stake_options options = {.validator_count = GENESIS,
                                             .powers = powers,
                                             .commission_bps = 500,
                                             .account_count = ACTORS,
                                             .coins = 1000000000,
                                             .params = params};
    memset(l, 0, sizeof *l);
    l->c = sb_stake_chain_new(&options);
    l->random.state = seed;
    l->seed = seed;
    for (size_t i = 0; i < STAKE_MODEL_MAX; i++) {
        l->ids[i] = sb_stake_consensus(i);
    }
    stake_model_init(&l->m, params, l->ids, powers, GENESIS);
    stake_model_begin(&l->m, l->c->env.number, l->c->env.timestamp);
    for (uint64_t block = 0; block < blocks; block++) {
        for (uint64_t i = below(l, 6); i > 0; i--) {
            one_transaction(l);
        }
        end_block(l);
    }
    jailings += l->m.jailings;
    slashes += l->m.record_count;
    sb_stake_chain_free(l->c);
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, blocks = 300, runs = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        const uint64_t value = strtoull(argv[i + 1], NULL, 0);
        if (strcmp(argv[i], "--seed") == 0) {
            seed = value;
        } else if (strcmp(argv[i], "--runs") == 0) {
            runs = value;
        } else if (strcmp(argv[i], "--blocks") == 0) {
            blocks = value;
        } else {
            fprintf(stderr, "usage: stakemodel [--seed N] [--runs N] [--blocks N]\n");
            return 2;
        }
    }
    static struct life l;
    for (uint64_t run = 0; run < runs; run++) {
        one_life(&l, seed + run, blocks);
    }
    printf("seeds %" PRIu64 " to %" PRIu64 ", %" PRIu64 " blocks, %" PRIu64 " sets, %" PRIu64
           " jailings, %" PRIu64 " slashes; transactions done and refused:\n",
           seed, seed + runs - 1, blocks_done, sets_done, jailings, slashes);
    for (size_t i = 0; i < STAKE_KIND_COUNT; i++) {
        printf("  %-18s %8" PRIu64 " %8" PRIu64 "\n", k_names[i], done[i], refused[i]);
    }
    printf("%" PRIu64 " passed, 0 failed, 0 skipped\n", runs);
    return 0;
}
