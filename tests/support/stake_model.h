/* stake_model.h: the rules of staking that decide who is in the validator set (docs/spec/staking.md, sections 3, 4, 5, 7 and 8), in
 * plain C: a second telling of contracts/system/{Staking,Slashing}.sol without a VM. tests/staking/stakefuzz.c holds the two against
 * each other; the simulator draws its sets from this one (docs/simulator.md).
 *
 *     stake_model_begin ---> stake_model_act ... ---> stake_model_end(votes of H - 2, evidence) ---> the set, if it changed
 *
 * Who acts is a number: account i may be the operator of one validator, which has the same number; its consensus address (the id) is
 * given at the start, for ties go by it. Amounts are wei. Left out: rewards, commission, texts, keys, what accounts own, and a list
 * that is full (it has 256 places, a model fewer validators).
 *
 * Invariants: bonded is the sum of the pools' tokens; a pool's shares are the sum of those held of it, tokens <= shares; the list is
 * never empty after genesis; a set has 1 to validatorsMax members, each with power.
 *
 * A plain struct without pointers: a copy is another chain, for trying what would come of an action. */
#ifndef SB_TESTS_SUPPORT_STAKE_MODEL_H
#define SB_TESTS_SUPPORT_STAKE_MODEL_H

#include "base/num/u256.h"
#include "base/types/hash.h"
#include "base/util/checked.h"

#define STAKE_MODEL_MAX   24   /* accounts */
#define STAKE_OPEN_MAX    256  /* transits of all */
#define STAKE_EXITS_MAX   512  /* of all; over either bound an action is refused */
#define STAKE_RECORDS_MAX 1024 /* slashes of all; more abort */

/* The numbers of base/types/staking_params.def: slots 15 on of Params. */
enum sb_staking_param {
#define SB_STAKING_PARAM(field, json_name, default_value, min, max, text) SB_STAKING_##field,
#include "base/types/staking_params.def"
#undef SB_STAKING_PARAM
    SB_STAKING_PARAM_COUNT
};

enum stake_kind {
    STAKE_CREATE,     /* who begins its validator with `amount`; least self stake `extra` */
    STAKE_EDIT,       /* the least self stake of who's validator becomes `extra` */
    STAKE_DELEGATE,   /* `amount` to `at` */
    STAKE_UNDELEGATE, /* `amount` shares of `at` */
    STAKE_REDELEGATE, /* `amount` shares of `at` to `to` */
    STAKE_CANCEL,     /* exit number `amount` */
    STAKE_WITHDRAW,   /* at most `amount` exits */
    STAKE_SETTLE,     /* delegator `to` at `at`, by anybody */
    STAKE_ENTER,      /* `at`, by anybody */
    STAKE_UNJAIL,     /* the validator of who */
    STAKE_PARAM,      /* number `at` of enum sb_staking_param becomes `amount` */
    STAKE_KIND_COUNT
};

struct stake_action {
    enum stake_kind kind;
    uint8_t who, at, to; /* STAKE_MODEL_MAX or more: nobody */
    sb_u128 amount, extra;
};

struct stake_record {
    uint8_t who;
    uint16_t bps;
    uint64_t height, time_s;
};

struct stake_pool {
    bool exists, jailed, tombstoned;
    uint8_t place; /* in the list, plus one; 0: not in it */
    sb_addr id;
    sb_u128 tokens, shares, self_min;
    uint64_t jailed_until_s;
    sb_u256 presence; /* section 7: w */
    uint32_t record_count;
};

struct stake_transit {
    uint8_t delegator, at, from;
    uint32_t slash_from;
    uint64_t height, completion_s;
    sb_u128 shares;
};

struct stake_exit {
    uint8_t delegator, id, origin; /* origin STAKE_MODEL_MAX: none */
    uint32_t slash_from, origin_slash_from;
    uint64_t number, height, completion_s, origin_height, origin_completion_s;
    sb_u128 amount;
};

/* A member of the list or the set. */
struct stake_place {
    uint8_t who;
    int64_t power;
};

struct stake_model {
    uint64_t params[SB_STAKING_PARAM_COUNT];
    uint64_t height, now_s; /* of the block being made */
    struct stake_pool pools[STAKE_MODEL_MAX];
    sb_u128 held[STAKE_MODEL_MAX][STAKE_MODEL_MAX]; /* shares: delegator, validator */
    sb_u128 bonded, unbonding, burnt;
    struct stake_place list[STAKE_MODEL_MAX];
    uint8_t list_count;
    bool is_dirty, lingers;
    uint64_t max; /* validatorsMax as the last set was made with */
    /* the last one that stake_model_end returned, in the order of sets */
    struct stake_place set[STAKE_MODEL_MAX];
    uint8_t set_count;
    uint64_t jailings; /* for absence, since genesis */
    uint64_t exit_number;
    size_t record_count, transit_count, exit_count;
    /* Of the rest, only as many as are counted mean anything. */
    struct stake_record records[STAKE_RECORDS_MAX];
    struct stake_transit
        transits[STAKE_OPEN_MAX]; /* of one delegator at one validator: oldest first */
    struct stake_exit
        exits[STAKE_EXITS_MAX]; /* of one delegator: in the order that withdrawing goes by */
};

struct stake_vote {
    uint8_t who;
    bool present;
};

struct stake_offence {
    uint8_t who; /* STAKE_MODEL_MAX or more: an unknown validator */
    uint64_t height;
};

/* stake_model_init: after genesis: validator i has powers[i] coins of account i; 0: none. ids: of all STAKE_MODEL_MAX accounts that may
 * ever validate. params: SB_STAKING_PARAM_COUNT values, within their bounds. */
void stake_model_init(struct stake_model *ret, const uint64_t *params, const sb_addr *ids,
                      const uint64_t *powers, size_t count);
/* stake_model_copy: cheaper than an assignment: what means nothing is left out. */
void stake_model_copy(struct stake_model *ret, const struct stake_model *m);
/* stake_model_begin: the block of this height and time, before its first transaction. */
void stake_model_begin(struct stake_model *m, uint64_t height, uint64_t now_s);
/* stake_model_act: one transaction. Returns false when the contracts refuse it; then nothing has changed. `scratch` is overwritten. */
bool stake_model_act(struct stake_model *m, struct stake_model *scratch,
                     const struct stake_action *action);
/* stake_model_end: Slashing.endBlock and Staking.endBlock. votes: of the set of height - 2; evidence: whose, and of which height.
 * Returns true when m->set is a new set, in force at height + 2. */
bool stake_model_end(struct stake_model *m, const struct stake_vote *votes, size_t vote_count,
                     const struct stake_offence *evidence, size_t evidence_count);
/* stake_model_hash: of all that is in it: two chains that did the same have the same. */
uint64_t stake_model_hash(const struct stake_model *m);

#endif
