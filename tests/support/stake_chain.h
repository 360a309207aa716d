/* stake_chain.h: the system contracts in our own VM, block after block, without node, consensus or network.
 *
 *     sb_stake_chain_new   genesis as a node makes it: Params' slots, Staking.genesis, Distribution.genesis
 *     sb_stake_call        one transaction of an account (no gas is paid; its gas is counted)
 *     sb_stake_end         the calls at the block's end, with the votes of the set two heights before; then the next block begins
 *
 * Sets are kept as consensus keeps them: what the end of block H answers is in force at H + 2. All state stays in one overlay, so a
 * chain is as long as its memory allows. Whatever cannot happen aborts. Not thread-safe. */
#ifndef SB_TESTS_SUPPORT_STAKE_CHAIN_H
#define SB_TESTS_SUPPORT_STAKE_CHAIN_H

#include "base/types/params.h"
#include "tests/support/memory_state.h"
#include "tests/support/stake_model.h"
#include "vm/exec/exec.h"
#include "vm/exec/system.h"

#define SB_STAKE_CHAIN_ID     UINT64_C(4711)
#define SB_STAKE_SETS         5 /* those of heights H - 2 to H + 2, by height modulo this */
#define SB_STAKE_PARAMS       0x5b10
#define SB_STAKE_COIN         UINT64_C(1000000000000000000)

#define SB_STAKING_PARAM_SLOT 15

struct sb_staking_bounds {
    const char *name;
    uint64_t value, min, max;
};
extern const struct sb_staking_bounds sb_staking_params[SB_STAKING_PARAM_COUNT];

struct sb_stake_set {
    size_t count;
    struct {
        sb_addr consensus;
        int64_t power;
    } members[SB_VALIDATORS_MAX];
};

struct sb_stake_chain {
    struct sb_memory_state *base;
    struct sb_state_view view;
    struct sb_rules rules;
    struct sb_block_env env; /* of the block being made */
    struct sb_executor *x;
    struct sb_arena arena;
    struct sb_buf input;
    uint64_t time_ms;  /* of the block being made */
    uint64_t block_ms; /* between two blocks */
    sb_u256 minted;    /* since genesis */
    struct sb_stake_set sets[SB_STAKE_SETS];

    /* The last transaction. */
    bool ok;
    uint64_t gas;
    sb_bytes output; /* valid until the next one, as the logs are */
    const struct sb_log *logs;
    size_t log_count;
    /* The last end of a block. */
    struct sb_system_outcome outcome;
};

/* Genesis: `count` validators (operator sb_stake_account(i), key sb_stake_key(i)) with powers[i] coins each, and `coins` for
 * each account of sb_stake_account below account_count; account 0 is the governor. params: SB_STAKING_PARAM_COUNT values, or NULL for
 * the defaults. */
struct sb_stake_options {
    size_t validator_count;
    const uint64_t *powers;
    uint64_t commission_bps;
    size_t account_count;
    uint64_t coins;
    const uint64_t *params;
};

struct sb_stake_chain *sb_stake_chain_new(const struct sb_stake_options *options);
void sb_stake_chain_free(struct sb_stake_chain *c);

/* Accounts and keys by number. */
sb_addr sb_stake_account(size_t i);
void sb_stake_key(uint8_t ret_public[32], uint8_t ret_secret[64], size_t i);
sb_addr sb_stake_consensus(size_t i);

/* sb_stake_call: a transaction from `from` to the system contract 0x…<to_low>: signature and its static words. The outcome is in c->ok,
 * c->gas, c->output. sb_stake_send: the same with the call data as it is. sb_stake_view: a call by nobody. */
void sb_stake_call(struct sb_stake_chain *c, const sb_addr *from, uint16_t to_low,
                   const sb_u256 *wei, const char *signature, const sb_u256 *words, size_t count);
void sb_stake_send(struct sb_stake_chain *c, const sb_addr *from, uint16_t to_low,
                   const sb_u256 *wei, sb_bytes input);
void sb_stake_view(struct sb_stake_chain *c, uint16_t to_low, const char *signature,
                   const sb_u256 *words, size_t count);

/* sb_stake_create: createValidator with key number `key` by `from`; commission (bps, max, change), least self stake.
 * sb_stake_create_input: its call data, with the proof for `operator`; valid until the next call. */
sb_bytes sb_stake_create_input(struct sb_stake_chain *c, const sb_addr *operator, size_t key,
                               const uint16_t commission[3], const sb_u256 *self_min);
void sb_stake_create(struct sb_stake_chain *c, const sb_addr *from, size_t key, const sb_u256 *wei,
                     const uint16_t commission[3], const sb_u256 *self_min);

/* sb_stake_end: end the block and begin the next. present: whether a validator of the set of height - 2 was there (NULL: all were).
 * The proposer is the first of the set. c->outcome says what the calls did. */
void sb_stake_end(struct sb_stake_chain *c, bool (*present)(void *ctx, const sb_addr *consensus),
                  void *ctx, const struct sb_system_evidence *evidence, size_t evidence_count);

/* sb_stake_set_at: the set of a height between H - 2 and H + 1 (H + 2 after the end), H being the block being made. */
const struct sb_stake_set *sb_stake_set_at(const struct sb_stake_chain *c, uint64_t height);

sb_u256 sb_stake_balance(struct sb_stake_chain *c, const sb_addr *addr);
/* sb_stake_word: word `i` of the last output. */
sb_u256 sb_stake_word(const struct sb_stake_chain *c, size_t i);
/* sb_stake_reverted: whether the last transaction failed with this error ("NotEnoughShares(uint256,uint256)"). */
bool sb_stake_reverted(const struct sb_stake_chain *c, const char *error);

/* sb_stake_emitted: whether the last transaction logged this event ("Jailed(address)"). */
bool sb_stake_emitted(const struct sb_stake_chain *c, const char *event);

/* Words. */
sb_u256 sb_stake_coins(uint64_t coins);
sb_u256 sb_stake_addr_word(const sb_addr *addr);

#endif
