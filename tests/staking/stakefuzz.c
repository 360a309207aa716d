/* stakefuzz.c: random lives of the staking contracts in our own VM, with their invariants checked after every transaction and block.
 *
 *     stakefuzz [--seed N] [--runs N] [--seconds N] [--blocks N]
 *
 * One run is one chain: accounts create validators, delegate, leave, move, cancel, withdraw, claim, settle for each other, unjail; the
 * governor turns every number of staking_params.def within its bounds; validators are absent for a while or sign twice, at random
 * heights of the past; time jumps. Runs follow each other from --seed on (default 1), --runs of them (default 1), then until --seconds
 * have passed; a failing run prints its seed, and `stakefuzz --seed N` is that run alone.
 *
 * Checked after each transaction:  no share, exit or reward of anybody but the caller became less; no pool's tokens per share fell
 * after each block:                the three calls succeeded; what had left was slashed as it must be, and no more; the equations of
 *                                  docs/spec/staking.md, section 9; the set's bounds
 * at the end of a run:             everybody leaves and is paid; what remains is burnt */
#include <string.h>
#include <time.h>

#include "base/codec/abi.h"
#include "base/util/assert.h"
#include "tests/staking/stakefuzz.h"

enum op {
    OP_CREATE,
    OP_EDIT,
    OP_DELEGATE,
    OP_UNDELEGATE,
    OP_REDELEGATE,
    OP_CANCEL,
    OP_WITHDRAW,
    OP_SETTLE,
    OP_ENTER,
    OP_CLAIM,
    OP_COMMISSION,
    OP_UNJAIL,
    OP_PARAM,
    OP_SPEND_POOL,
    OP_COUNT
};
static const char *const k_op_names[OP_COUNT] = {
    "createValidator", "editValidator",    "delegate",   "undelegate", "redelegate",
    "cancelUnbonding", "withdrawUnbonded", "settle",     "enter",      "claimRewards",
    "claimCommission", "unjail",           "Params.set", "spendPool"};
/* How often each is drawn. */
static const uint8_t k_op_weights[OP_COUNT] = {2, 3, 16, 16, 14, 8, 10, 4, 4, 8, 3, 8, 3, 1};

static uint64_t done_ops[OP_COUNT], failed_ops[OP_COUNT], blocks_done, slashed, leavers_slashed;

/* ---------------------------------------------------------------- transactions */

static uint64_t below(struct life *l, uint64_t bound)
{
    return sb_random_below(&l->random, bound);
}

/* An amount: mostly coins, sometimes wei, sometimes odd. */
static sb_u256 draw_amount(struct life *l)
{
    switch (below(l, 5)) {
    case 0:
        return sb_u256_from_u64(below(l, 1000));
    case 1:
        return sb_u256_from_u64(sb_random_u64(&l->random) >> below(l, 64));
    default:
        return sb_stake_coins(1 + below(l, 3000));
    }
}

/* Shares of `a` at `v`: all, a part, a few, or more than there are. */
static sb_u256 draw_shares(struct life *l, size_t a, size_t v)
{
    const sb_u256 *all = &l->before.holdings[a].shares[v];
    const sb_u256 divisor = sb_u256_from_u64(1 + below(l, 7));
    switch (below(l, 8)) {
    case 0:
        return draw_amount(l);
    case 1:
    case 2:
    case 3:
        return *all;
    default:
        return sb_u256_div(all, &divisor);
    }
}

static void claim(struct life *l, const sb_addr *from)
{
    struct sb_abi_writer w, items;
    struct sb_buf *input = &l->c->input;
    const uint64_t mask = sb_random_u64(&l->random);
    size_t count = 0;
    for (size_t v = 0; v < ACTORS; v++) {
        count += l->before.exists[v] && (mask >> v & 1) != 0;
    }
    sb_buf_reset(input);
    sb_abi_put_selector(input, sb_abi_selector("claimRewards(address[])"));
    sb_abi_begin(&w, input, 1);
    sb_abi_put_array(&items, &w, count, 1);
    for (size_t v = 0; v < ACTORS; v++) {
        if (l->before.exists[v] && (mask >> v & 1) != 0) {
            const sb_addr operator= sb_stake_account(v);
            sb_abi_put_addr(&items, &operator);
        }
    }
    sb_abi_end(&items);
    sb_abi_end(&w);
    sb_stake_send(l->c, from, k_distribution, NULL, sb_buf_bytes(input));
}

static void edit(struct life *l, const sb_addr *from)
{
    struct sb_abi_writer w, texts;
    struct sb_buf *input = &l->c->input;
    const sb_u256 self_min = sb_stake_coins(1 + below(l, 100));
    sb_buf_reset(input);
    sb_abi_put_selector(
        input, sb_abi_selector("editValidator((string,string,string,string),uint16,uint256)"));
    sb_abi_begin(&w, input, 3);
    sb_abi_put_tuple(&texts, &w, 4);
    for (size_t i = 0; i < 4; i++) {
        sb_abi_put_bytes(&texts, sb_span("text", below(l, 5)));
    }
    sb_abi_end(&texts);
    sb_abi_put_u64(&w, below(l, 4) == 0 ? below(l, 10001) : 500);
    sb_abi_put_u256(&w, &self_min);
    sb_abi_end(&w);
    sb_stake_send(l->c, from, k_staking, NULL, sb_buf_bytes(input));
}

static void set_param(struct life *l)
{
    const sb_addr governor = sb_stake_account(0);
    const size_t i = below(l, SB_STAKING_PARAM_COUNT);
    const struct sb_staking_bounds *b = &sb_staking_params[i];
    uint64_t value = b->min + below(l, b->max - b->min + 1);
    if (i == SB_STAKING_unbonding_seconds) {
        value = 1 + below(l, 2000); /* so that exits do complete */
    } else if (i == SB_STAKING_self_stake_min_coins) {
        value = 1 + below(l, 200);
    } else if (i == SB_STAKING_validators_max) {
        value = 1 + below(l, ACTORS);
    } else if (i == SB_STAKING_downtime_jail_seconds) {
        value = below(l, 300);
    } else if (i == SB_STAKING_signed_window) {
        value = 10 + below(l, 30);
    } else if (i == SB_STAKING_entries_max) {
        value = 1 + below(l, 8);
    }
    const sb_u256 words[] = {sb_u256_from_u64(SB_STAKING_PARAM_SLOT + i), sb_u256_from_u64(value)};
    sb_stake_call(l->c, &governor, SB_STAKE_PARAMS, NULL, "set(uint256,uint256)", words, 2);
    CHECK(l, l->c->ok);
}

/* An exit of the actor: its number, or 1. */
static sb_u256 draw_exit(struct life *l, size_t a)
{
    const sb_u256 words[] = {account_word(a), sb_u256_zero(), sb_u256_from_u64(PAGE)};
    look(l, k_staking, "unbondings(address,uint256,uint256)", words, 3);
    const sb_u256 count = sb_stake_word(l->c, 1);
    if (count.w[0] == 0) {
        return sb_u256_from_u64(1);
    }
    return sb_stake_word(l->c, 2 + below(l, count.w[0]) * UNBONDING_WORDS);
}

static sb_u256 affordable(struct life *l, size_t a)
{
    const sb_addr from = sb_stake_account(a);
    const sb_u256 amount = draw_amount(l), balance = sb_stake_balance(l->c, &from);
    return sb_u256_lt(&balance, &amount) ? balance : amount;
}

/* A validator, mostly one that is there. */
static size_t draw_validator(struct life *l)
{
    size_t v = below(l, ACTORS);
    for (int i = 0; i < 6 && !l->before.exists[v]; i++) {
        v = below(l, ACTORS);
    }
    return v;
}

/* Where `a` has shares, mostly. */
static size_t draw_own(struct life *l, size_t a)
{
    size_t v = below(l, ACTORS);
    for (int i = 0; i < 12 && sb_u256_is_zero(&l->before.holdings[a].shares[v]); i++) {
        v = below(l, ACTORS);
    }
    return v;
}

static void transact(struct life *l, enum op op, size_t a)
{
    const sb_addr from = sb_stake_account(a);
    const bool leaves_it = op == OP_UNDELEGATE || op == OP_REDELEGATE;
    const size_t v = leaves_it ? draw_own(l, a) : draw_validator(l), to = draw_validator(l);
    const sb_u256 operator= account_word(v), number = sb_u256_from_u64(1 + below(l, 3));
    const sb_u256 wei = affordable(l, a), shares = draw_shares(l, a, v);
    const uint16_t commission[3] = {(uint16_t)below(l, 2001), 2000, 300};
    const sb_u256 self_min = below(l, 2) == 0 ? sb_u256_zero() : sb_stake_coins(below(l, 50));
    const sb_u256 moves[] = {operator, account_word(to), shares};
    const sb_u256 leaves[] = {operator, shares };
    const sb_u256 settles[] = {account_word(to), operator};
    sb_u256 exit_number;
    switch (op) {
    case OP_CREATE:
        sb_stake_create(l->c, &from, a, &wei, commission, &self_min);
        break;
    case OP_EDIT:
        edit(l, &from);
        break;
    case OP_DELEGATE:
        sb_stake_call(l->c, &from, k_staking, &wei, "delegate(address)", &operator, 1);
        break;
    case OP_UNDELEGATE:
        sb_stake_call(l->c, &from, k_staking, NULL, "undelegate(address,uint256)", leaves, 2);
        break;
    case OP_REDELEGATE:
        sb_stake_call(l->c, &from, k_staking, NULL, "redelegate(address,address,uint256)", moves,
                      3);
        break;
    case OP_CANCEL:
        exit_number = draw_exit(l, a);
        sb_stake_call(l->c, &from, k_staking, NULL, "cancelUnbonding(uint64)", &exit_number, 1);
        break;
    case OP_WITHDRAW:
        sb_stake_call(l->c, &from, k_staking, NULL, "withdrawUnbonded(uint256)", &number, 1);
        break;
    case OP_SETTLE:
        sb_stake_call(l->c, &from, k_staking, NULL, "settle(address,address)", settles, 2);
        break;
    case OP_ENTER:
        sb_stake_call(l->c, &from, k_staking, NULL, "enter(address)", &operator, 1);
        break;
    case OP_CLAIM:
        claim(l, &from);
        break;
    case OP_COMMISSION:
        sb_stake_call(l->c, &from, k_distribution, NULL, "claimCommission()", NULL, 0);
        break;
    case OP_UNJAIL:
        sb_stake_call(l->c, &from, k_slashing, NULL, "unjail()", NULL, 0);
        break;
    case OP_PARAM:
        set_param(l);
        break;
    case OP_SPEND_POOL:
        sb_stake_call(l->c, &from, k_distribution, NULL, "spendPool(address,uint256)", leaves, 2);
        break;
    case OP_COUNT:
        break;
    }
}

static enum op draw_op(struct life *l)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < OP_COUNT; i++) {
        sum += k_op_weights[i];
    }
    uint64_t at = below(l, sum);
    enum op op = 0;
    for (; at >= k_op_weights[op]; op++) {
        at -= k_op_weights[op];
    }
    return op;
}

static void one_transaction(struct life *l)
{
    const enum op op = draw_op(l);
    const size_t a = below(l, ACTORS);
    l->doing = "before a transaction";
    look_at_all(l, &l->before);
    l->doing = k_op_names[op];
    transact(l, op, a);
    const bool ok = l->c->ok;
    /* A panic or an empty revert is a hole: every refusal has a name. */
    CHECK(l, ok || (l->c->output.len >= 4 && !sb_stake_reverted(l->c, "Panic(uint256)")));
    *(ok ? &done_ops[op] : &failed_ops[op]) += 1;
    l->syncs += 40;
    look_at_all(l, &l->after);
    check_bystanders(l, a);
}

/* ---------------------------------------------------------------- blocks */

static bool is_present(void *ctx, const sb_addr *consensus)
{
    const struct life *l = ctx;
    for (size_t v = 0; v < ACTORS; v++) {
        const sb_addr own = sb_stake_consensus(v);
        if (sb_addr_equal(&own, consensus)) {
            return !l->absent[v];
        }
    }
    return true;
}

static size_t draw_evidence(struct life *l, struct sb_system_evidence *ret)
{
    if (below(l, 40) != 0) {
        return 0;
    }
    const uint64_t back = 1 + below(l, 40), height = l->c->env.number;
    *ret = (struct sb_system_evidence){.validator = sb_stake_consensus(below(l, ACTORS + 1)),
                                       .kind = SB_EVIDENCE_DUPLICATE_VOTE,
                                       .height = height > back ? height - back : 1,
                                       .time_ms = l->c->time_ms};
    return 1;
}

/* Somebody settles everybody, twice: nobody has less by it than the views said before. */
static void settle_all(struct life *l)
{
    const sb_addr somebody = sb_stake_account(below(l, ACTORS));
    l->doing = "settling of all";
    look_at_all(l, &l->before);
    for (size_t i = 0; i < 2 * ACTORS * ACTORS; i++) {
        const sb_u256 pair[] = {account_word(i % ACTORS), account_word(i / ACTORS % ACTORS)};
        if (l->before.exists[i / ACTORS % ACTORS]) {
            sb_stake_call(l->c, &somebody, k_staking, NULL, "settle(address,address)", pair, 2);
            CHECK(l, l->c->ok);
        }
    }
    l->syncs += 4 * ACTORS * ACTORS;
    look_at_all(l, &l->after);
    check_bystanders(l, ACTORS);
}

static void end_block(struct life *l)
{
    struct sb_system_evidence evidence;
    const size_t count = draw_evidence(l, &evidence);
    for (size_t v = 0; v < ACTORS; v++) {
        if (below(l, 25) == 0) {
            l->absent[v] = below(l, 3) == 0;
        }
    }
    l->c->block_ms = below(l, 20) == 0 ? 1 + below(l, 400000) : 1 + below(l, 3000);
    static struct leavers leavers;
    look_at_leavers(l, &leavers);
    l->doing = "end of block";
    sb_stake_end(l->c, is_present, l, &evidence, count);
    slashed += count;
    for (size_t i = 0; i < SB_SYSTEM_CALL_COUNT; i++) {
        CHECK(l, l->c->outcome.calls[i].ok);
    }
    const struct sb_stake_set *next = sb_stake_set_at(l->c, l->c->env.number + 1);
    CHECK(l, next->count >= 1 && next->count <= ACTORS);
    const sb_u256 page[] = {sb_u256_zero(), sb_u256_from_u64(PAGE)};
    look(l, k_staking, "candidates(uint256,uint256)", page, 2);
    const sb_u256 candidates = sb_stake_word(l->c, 1);
    CHECK(l, !sb_u256_is_zero(&candidates));
    l->syncs += ACTORS;
    blocks_done++;
    const uint64_t hit = check_leavers(l, &leavers);
    leavers_slashed += hit;
    if (hit != 0 && below(l, 2) == 0) {
        settle_all(l);
    }
    check_stake(l);
    check_rewards(l);
}

/* Everybody leaves; then the contract holds what was burnt, and nothing is owed. */
static void everybody_leaves(struct life *l)
{
    l->doing = "leaving";
    const sb_u256 hundred = sb_u256_from_u64(PAGE), one = sb_u256_from_u64(1);
    const sb_addr governor = sb_stake_account(0);
    const sb_u256 words[] = {sb_u256_from_u64(SB_STAKING_PARAM_SLOT + SB_STAKING_entries_max),
                             sb_u256_from_u64(32)};
    sb_stake_call(l->c, &governor, SB_STAKE_PARAMS, NULL, "set(uint256,uint256)", words, 2);
    for (int round = 0; round < 2; round++) {
        l->c->block_ms = UINT64_C(40000000000);
        sb_stake_end(l->c, NULL, NULL, NULL, 0);
        for (size_t a = 0; a < ACTORS; a++) {
            const sb_addr from = sb_stake_account(a);
            sb_stake_call(l->c, &from, k_staking, NULL, "withdrawUnbonded(uint256)", &hundred, 1);
            look_at_all(l, &l->before);
            for (size_t v = 0; round == 0 && v < ACTORS; v++) {
                const sb_u256 pair[] = {account_word(v), l->before.holdings[a].shares[v]};
                sb_u256 worth = l->before.holdings[a].worth[v];
                if (sb_u256_lt(&worth, &one)) {
                    continue;
                }
                sb_stake_call(l->c, &from, k_staking, NULL, "undelegate(address,uint256)", pair, 2);
                CHECK(l, l->c->ok);
            }
        }
        check_stake(l);
        check_rewards(l);
    }
    const sb_u256 unbonding = total_of(l, 1);
    CHECK(l, sb_u256_is_zero(&unbonding));
}

static void one_life(uint64_t seed, uint64_t blocks)
{
    static struct life l;
    static const uint64_t powers[GENESIS] = {300, 200, 100};
    uint64_t params[SB_STAKING_PARAM_COUNT];
    for (size_t i = 0; i < SB_STAKING_PARAM_COUNT; i++) {
        params[i] = sb_staking_params[i].value;
    }
    params[SB_STAKING_unbonding_seconds] = 150;
    params[SB_STAKING_validators_max] = 4;
    params[SB_STAKING_signed_window] = 12;
    params[SB_STAKING_downtime_jail_seconds] = 20;
    const struct sb_stake_options options = {.validator_count = GENESIS,
                                             .powers = powers,
                                             .commission_bps = 500,
                                             .account_count = ACTORS,
                                             .coins = 100000,
                                             .params = params};
    l = (struct life){.c = sb_stake_chain_new(&options), .random = {.state = seed}, .seed = seed};
    for (uint64_t block = 0; block < blocks; block++) {
        for (uint64_t i = below(&l, 5); i > 0; i--) {
            one_transaction(&l);
        }
        end_block(&l);
    }
    everybody_leaves(&l);
    sb_stake_chain_free(l.c);
}

static double now_s(void)
{
    struct timespec now;
    SB_ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, seconds = 0, blocks = 150, runs = 0, runs_min = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        const uint64_t value = strtoull(argv[i + 1], NULL, 0);
        if (strcmp(argv[i], "--seed") == 0) {
            seed = value;
        } else if (strcmp(argv[i], "--runs") == 0) {
            runs_min = value;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            seconds = value;
        } else if (strcmp(argv[i], "--blocks") == 0) {
            blocks = value;
        } else {
            fprintf(stderr, "usage: stakefuzz [--seed N] [--runs N] [--seconds N] [--blocks N]\n");
            return 2;
        }
    }
    const double end = now_s() + (double)seconds;
    do {
        one_life(seed + runs, blocks);
        runs++;
    } while (runs < runs_min || now_s() < end);
    printf("seeds %" PRIu64 " to %" PRIu64 ", %" PRIu64 " blocks, %" PRIu64
           " pieces of evidence, %" PRIu64
           " times stake that had left was slashed; transactions done and refused:\n",
           seed, seed + runs - 1, blocks_done, slashed, leavers_slashed);
    for (size_t i = 0; i < OP_COUNT; i++) {
        printf("  %-18s %8" PRIu64 " %8" PRIu64 "\n", k_op_names[i], done_ops[i], failed_ops[i]);
    }
    printf("%" PRIu64 " passed, 0 failed, 0 skipped\n", runs);
    return 0;
}
