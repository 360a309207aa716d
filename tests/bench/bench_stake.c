/* bench_stake.c: what the end of a block costs: gas of the three system calls, run in our own VM on the real contracts.
 *
 *     bench_stake [--json FILE] [--delegations N] [--max-gas N]
 *
 *     quiet      all present, no delegation changed
 *     touched    every validator's stake changed in the block, all present
 *     absent     the same, and none was present two heights before
 *     jailed     the same as touched, and a third of the validators (33 at most) goes to jail in this very block
 *     crowd      as touched, after N delegations by a thousand accounts to a hundred validators: what delegators cost
 *     convicted  as touched, and evidence against every validator but one
 *
 * Then what users pay: gas of each of their calls on a chain of a hundred validators, the first time and once more.
 *
 * Every slot is cold in each call. Gas is exact and the same on each machine; milliseconds are of this one. --max-gas: exit 1 when the
 * three calls with a hundred validators touched take more. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util/assert.h"
#include "tests/support/stake_chain.h"

#define WARM_BLOCKS   12 /* more than the shortest window */
#define SIGNED_WINDOW 10
#define JAILED_MAX    33
#define CROWD         1000
#define COINS         UINT64_C(1000000)

enum scenario { QUIET, TOUCHED, ABSENT, JAILED, CONVICTED, CROWDED, SCENARIO_COUNT };
static const char *const k_scenario_names[SCENARIO_COUNT] = {"quiet",  "touched",   "absent",
                                                             "jailed", "convicted", "crowd"};

struct figures {
    size_t validators;
    enum scenario scenario;
    uint64_t gas[SB_SYSTEM_CALL_COUNT];
    size_t set_count; /* of the set that came out */
    double ms;
};

/* Who is absent: all, or the first `count` by number. */
struct absent {
    sb_addr addrs[SB_VALIDATORS_MAX];
    size_t count;
};

static double now_ms(void)
{
    struct timespec now;
    SB_ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static bool is_present(void *ctx, const sb_addr *consensus)
{
    const struct absent *absent = ctx;
    for (size_t i = 0; i < absent->count; i++) {
        if (sb_addr_equal(&absent->addrs[i], consensus)) {
            return false;
        }
    }
    return true;
}

static void absent_first(struct absent *ret, size_t count)
{
    ret->count = count;
    for (size_t i = 0; i < count; i++) {
        ret->addrs[i] = sb_stake_consensus(i);
    }
}

static struct sb_stake_chain *chain_of(size_t validators, size_t accounts)
{
    static uint64_t powers[SB_VALIDATORS_MAX];
    uint64_t params[SB_STAKING_PARAM_COUNT];
    for (size_t i = 0; i < SB_STAKING_PARAM_COUNT; i++) {
        params[i] = sb_staking_params[i].value;
    }
    params[SB_STAKING_validators_max] = SB_VALIDATORS_MAX;
    params[SB_STAKING_signed_window] = SIGNED_WINDOW;
    for (size_t i = 0; i < validators; i++) {
        powers[i] = 1000 + (i * 7919) % 500; /* not sorted, some equal */
    }
    const struct sb_stake_options options = {.validator_count = validators,
                                             .powers = powers,
                                             .commission_bps = 500,
                                             .account_count = accounts,
                                             .coins = COINS,
                                             .params = params};
    return sb_stake_chain_new(&options);
}

static void delegate(struct sb_stake_chain *c, size_t account, size_t validator, uint64_t coins)
{
    const sb_addr from = sb_stake_account(account);
    const sb_addr operator= sb_stake_account(validator);
    const sb_u256 to = sb_stake_addr_word(&operator);
    const sb_u256 wei = sb_stake_coins(coins);
    sb_stake_call(c, &from, SB_STAKING_ADDR_LOW, &wei, "delegate(address)", &to, 1);
    SB_ASSERT(c->ok);
}

static void check_calls(const struct sb_stake_chain *c)
{
    for (size_t i = 0; i < SB_SYSTEM_CALL_COUNT; i++) {
        SB_ASSERT(c->outcome.calls[i].ok);
    }
}

/* End the block that `c` is at and note what it cost. */
static struct figures measure(struct sb_stake_chain *c, size_t validators, enum scenario scenario,
                              struct absent *absent, const struct sb_system_evidence *evidence,
                              size_t evidence_count)
{
    struct figures f = {.validators = validators, .scenario = scenario};
    const double begin = now_ms();
    sb_stake_end(c, is_present, absent, evidence, evidence_count);
    f.ms = now_ms() - begin;
    check_calls(c);
    for (size_t i = 0; i < SB_SYSTEM_CALL_COUNT; i++) {
        f.gas[i] = c->outcome.calls[i].gas_used;
    }
    f.set_count = c->outcome.has_set ? c->outcome.set_count : 0;
    return f;
}

static struct figures run(size_t validators, enum scenario scenario)
{
    static struct absent absent, nobody;
    static struct sb_system_evidence evidence[SB_VALIDATORS_MAX];
    struct sb_stake_chain *c = chain_of(validators, 1);
    size_t evidence_count = 0;
    absent_first(&nobody, 0);
    absent_first(&absent, scenario == ABSENT ? validators
                          : scenario == JAILED
                              ? (validators > 3 * JAILED_MAX ? JAILED_MAX : validators / 3)
                              : 0);
    /* The window is full, and whoever is absent trips in the block after these, when it has been counted for ten heights. */
    const size_t blocks = scenario == JAILED ? SIGNED_WINDOW + 1 : WARM_BLOCKS;
    for (size_t i = 0; i < blocks; i++) {
        sb_stake_end(c, is_present, scenario == JAILED ? &absent : &nobody, NULL, 0);
        check_calls(c);
    }
    for (size_t i = 0; scenario != QUIET && i < validators; i++) {
        delegate(c, 0, i, 1 + i % 7);
    }
    if (scenario == CONVICTED) {
        for (; evidence_count + 1 < validators; evidence_count++) {
            evidence[evidence_count] =
                (struct sb_system_evidence){.validator = sb_stake_consensus(evidence_count),
                                            .kind = SB_EVIDENCE_DUPLICATE_VOTE,
                                            .height = c->env.number - 1,
                                            .time_ms = c->time_ms};
        }
    }
    struct figures f = measure(c, validators, scenario, &absent, evidence, evidence_count);
    sb_stake_chain_free(c);
    return f;
}

static struct figures run_crowd(size_t validators, size_t delegations)
{
    struct absent nobody = {.count = 0};
    struct sb_stake_chain *c = chain_of(validators, CROWD);
    size_t done = 0;
    while (done < delegations) {
        for (size_t i = 0; i < CROWD && done < delegations; i++, done++) {
            delegate(c, (done + done / CROWD) % CROWD, (done / CROWD) % validators, 1);
        }
        sb_stake_end(c, is_present, &nobody, NULL, 0);
        check_calls(c);
    }
    for (size_t i = 0; i < validators; i++) {
        delegate(c, i % CROWD, i, 1 + i % 7);
    }
    struct figures f = measure(c, validators, CROWDED, &nobody, NULL, 0);
    sb_stake_chain_free(c);
    return f;
}

/* ---- what users pay ---- */

struct user_call {
    const char *name;
    uint64_t first, again;
};
enum { DELEGATE, REDELEGATE, UNDELEGATE, CANCEL, CLAIM, WITHDRAW, CREATE, USER_CALL_COUNT };
static struct user_call user_calls[USER_CALL_COUNT] = {
    [DELEGATE] = {"delegate", 0, 0},         [REDELEGATE] = {"redelegate", 0, 0},
    [UNDELEGATE] = {"undelegate", 0, 0},     [CANCEL] = {"cancelUnbonding", 0, 0},
    [CLAIM] = {"claimRewards of one", 0, 0}, [WITHDRAW] = {"withdrawUnbonded of one", 0, 0},
    [CREATE] = {"createValidator", 0, 0},
};

static void note(const struct sb_stake_chain *c, size_t which, bool again)
{
    SB_ASSERT(c->ok);
    *(again ? &user_calls[which].again : &user_calls[which].first) = c->gas;
}

static void next_block(struct sb_stake_chain *c)
{
    sb_stake_end(c, NULL, NULL, NULL, 0);
    check_calls(c);
}

static void measure_users(void)
{
    struct sb_stake_chain *c = chain_of(100, 103);
    const sb_addr me = sb_stake_account(100), source = sb_stake_account(0),
                  target = sb_stake_account(1);
    const sb_u256 from = sb_stake_addr_word(&source), to = sb_stake_addr_word(&target);
    const sb_u256 coin = sb_stake_coins(1), one = sb_u256_from_u64(1);
    const sb_u256 claims[] = {sb_u256_from_u64(32), one, from};
    const uint16_t commission[3] = {500, 2000, 100};
    for (uint64_t i = 0; i < 2; i++) {
        const bool again = i == 1;
        const sb_addr operator= sb_stake_account(101 + (size_t)i);
        const sb_u256 move[] = {from, to, coin}, leave[] = {from, coin};
        const sb_u256 exits[] = {sb_u256_from_u64(1 + 2 * i)};
        next_block(c);
        delegate(c, 100, 0, 10);
        note(c, DELEGATE, again);
        next_block(c);
        sb_stake_call(c, &me, SB_STAKING_ADDR_LOW, NULL, "redelegate(address,address,uint256)",
                      move, 3);
        note(c, REDELEGATE, again);
        next_block(c);
        sb_stake_call(c, &me, SB_STAKING_ADDR_LOW, NULL, "undelegate(address,uint256)", leave, 2);
        note(c, UNDELEGATE, again);
        next_block(c);
        sb_stake_call(c, &me, SB_STAKING_ADDR_LOW, NULL, "cancelUnbonding(uint64)", exits, 1);
        note(c, CANCEL, again);
        next_block(c);
        sb_stake_call(c, &me, SB_DISTRIBUTION_ADDR_LOW, NULL, "claimRewards(address[])", claims, 3);
        note(c, CLAIM, again);
        sb_stake_call(c, &me, SB_STAKING_ADDR_LOW, NULL, "undelegate(address,uint256)", leave, 2);
        SB_ASSERT(c->ok);
        c->block_ms = 1000 * sb_staking_params[SB_STAKING_unbonding_seconds].value;
        next_block(c);
        c->block_ms = 1000;
        sb_stake_call(c, &me, SB_STAKING_ADDR_LOW, NULL, "withdrawUnbonded(uint256)", &one, 1);
        note(c, WITHDRAW, again);
        sb_stake_create(c, &operator, 200 +(size_t) i, &coin, commission, &one);
        note(c, CREATE, again);
    }
    sb_stake_chain_free(c);
    printf("\nusers' calls, in gas       first       again\n");
    for (size_t i = 0; i < USER_CALL_COUNT; i++) {
        printf("%-24s %8" PRIu64 "    %8" PRIu64 "\n", user_calls[i].name, user_calls[i].first,
               user_calls[i].again);
    }
}

static uint64_t total(const struct figures *f)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < SB_SYSTEM_CALL_COUNT; i++) {
        sum += f->gas[i];
    }
    return sum;
}

static void print(const struct figures *f)
{
    printf("%10zu  %-9s  %12" PRIu64 "  %10" PRIu64 "  %10" PRIu64 "  %10" PRIu64 "  %7zu  %6.2f\n",
           f->validators, k_scenario_names[f->scenario], f->gas[SB_SYSTEM_DISTRIBUTION],
           f->gas[SB_SYSTEM_SLASHING], f->gas[SB_SYSTEM_STAKING], total(f), f->set_count, f->ms);
    fflush(stdout);
}

static void write_json(FILE *out, const struct figures *list, size_t count, size_t delegations)
{
    fprintf(out, "{\"delegations\":%zu,\"ends\":[", delegations);
    for (size_t i = 0; i < count; i++) {
        const struct figures *f = &list[i];
        fprintf(out,
                "%s{\"validators\":%zu,\"scenario\":\"%s\",\"distribution\":%" PRIu64
                ",\"slashing\":%" PRIu64 ",\"staking\":%" PRIu64 ",\"gas\":%" PRIu64
                ",\"ms\":%.3f}",
                i == 0 ? "" : ",", f->validators, k_scenario_names[f->scenario],
                f->gas[SB_SYSTEM_DISTRIBUTION], f->gas[SB_SYSTEM_SLASHING],
                f->gas[SB_SYSTEM_STAKING], total(f), f->ms);
    }
    fprintf(out, "],\"users\":[");
    for (size_t i = 0; i < USER_CALL_COUNT; i++) {
        fprintf(out, "%s{\"call\":\"%s\",\"first\":%" PRIu64 ",\"again\":%" PRIu64 "}",
                i == 0 ? "" : ",", user_calls[i].name, user_calls[i].first, user_calls[i].again);
    }
    fprintf(out, "]}\n");
}

int main(int argc, char **argv)
{
    static const size_t counts[] = {4, 100, 256};
    static struct figures list[SCENARIO_COUNT * 3];
    const char *json = NULL;
    size_t delegations = 100000, count = 0;
    uint64_t gas_max = UINT64_MAX;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--json") == 0) {
            json = argv[i + 1];
        } else if (strcmp(argv[i], "--delegations") == 0) {
            delegations = strtoull(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--max-gas") == 0) {
            gas_max = strtoull(argv[i + 1], NULL, 10);
        } else {
            fprintf(stderr, "usage: bench_stake [--json FILE] [--delegations N] [--max-gas N]\n");
            return 2;
        }
    }
    printf("the end of a block, in gas; every slot is cold in each call\n"
           "validators  scenario   distribution    slashing     staking         all  new set      "
           "ms\n");
    bool within = true;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (enum scenario s = QUIET; s < CROWDED; s++) {
            list[count] = run(counts[i], s);
            print(&list[count]);
            within = within && (counts[i] > 100 || s > TOUCHED || total(&list[count]) <= gas_max);
            count++;
        }
    }
    if (delegations != 0) {
        list[count] = run_crowd(100, delegations);
        print(&list[count++]);
    }
    measure_users();
    if (json != NULL) {
        FILE *out = fopen(json, "w");
        if (out == NULL) {
            fprintf(stderr, "%s cannot be written\n", json);
            return 1;
        }
        write_json(out, list, count, delegations);
        fclose(out);
    }
    if (!within) {
        printf("more than %" PRIu64 " gas\n", gas_max);
    }
    return within ? 0 : 1;
}
