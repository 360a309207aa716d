/* stakefuzz.h: one random life, and what its parts share: looking (fuzz_look.c), stake that has left (fuzz_leavers.c), transactions and
 * blocks (stakefuzz.c). */
#ifndef SB_TESTS_STAKING_STAKEFUZZ_H
#define SB_TESTS_STAKING_STAKEFUZZ_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util/assert.h"
#include "tests/support/random.h"
#include "tests/support/stake_chain.h"

#define ACTORS          8 /* accounts; each may be an operator */
#define GENESIS         3 /* validators of genesis: of the first accounts */
#define PAGE            1000
#define UNBONDING_WORDS 9
#define LEAVERS_MAX     4096

static const uint16_t k_staking = SB_STAKING_ADDR_LOW;
static const uint16_t k_distribution = SB_DISTRIBUTION_ADDR_LOW;
static const uint16_t k_slashing = SB_SLASHING_ADDR_LOW;

/* What somebody has, as the views say. */
struct holding {
    sb_u256 shares[ACTORS], worth[ACTORS]; /* by validator, named by its operator */
    sb_u256 payable, rewards;
};
struct pool {
    sb_u256 tokens, shares;
};
struct picture {
    bool exists[ACTORS];
    struct pool pools[ACTORS];
    struct holding holdings[ACTORS];
};

/* Stake of somebody that left a validator and still answers for it: an exit, or shares that moved to another one. */
struct leaver {
    bool is_exit;
    size_t left; /* which validator it left; of an exit, the one it was paid out of */
    uint64_t height, completion;
    size_t origin; /* an exit's: where it had come from before; ACTORS if it is not at that risk */
    uint64_t origin_height, origin_completion;
    sb_u256 amount; /* wei, or shares */
};
struct leavers {
    struct leaver list[LEAVERS_MAX];
    size_t count;
    uint64_t records[ACTORS]; /* slashes of each validator so far */
};

struct life {
    struct sb_stake_chain *c;
    struct sb_random random;
    uint64_t seed;
    bool absent[ACTORS];
    uint64_t syncs; /* bound of the wei that rounding has left over */
    struct picture before, after;
    const char *doing;
};

#define CHECK(life, condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("FAIL stakefuzz::seed_%" PRIu64 " at block %" PRIu64 " in %s, line %d: %s\n",   \
                   (life)->seed, (life)->c->env.number, (life)->doing, __LINE__, #condition);      \
            printf("reproduce: build/tests/stakefuzz --seed %" PRIu64 "\n", (life)->seed);         \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

sb_u256 account_word(size_t i);
/* look: a view that must not fail; its words are the chain's output. */
void look(struct life *l, uint16_t to, const char *signature, const sb_u256 *words, size_t count);
void look_at_all(struct life *l, struct picture *p);
/* total_of: 0 bonded, 1 unbonding, 2 burnt. */
sb_u256 total_of(struct life *l, size_t word);

/* check_bystanders: nobody but the caller lost by a transaction, and no pool's tokens per share fell. check_stake, check_rewards: the
 * equations of docs/spec/staking.md, section 9. */
void check_bystanders(struct life *l, size_t caller);
void check_stake(struct life *l);
void check_rewards(struct life *l);

/* look_at_leavers before a block's end, check_leavers after it: each lost what section 5 says for the block's
 * punishments, and no more. Returns how many lost something. */
void look_at_leavers(struct life *l, struct leavers *ret);
uint64_t check_leavers(struct life *l, const struct leavers *before);

#endif
