/* staking_genesis.h: the first state of the staking contracts, computed by running them.
 *
 *      genesis accounts + code at 0x5b12 ... 0x5b15 --Staking.genesis, Distribution.genesis in the VM at block 0--> their storage
 *
 * No layout of these contracts is known here: what they write is what the new genesis.json holds, so a node that reads the file needs
 * to run nothing. Spec: docs/spec/staking.md, "Genesis". */
#ifndef SB_NODE_STAKING_GENESIS_H
#define SB_NODE_STAKING_GENESIS_H

#include "base/types/genesis.h"

#define SB_MONIKER_BYTES_MAX  64
#define SB_COMMISSION_BPS_MAX 10000

/* A validator of the first block, as Staking is told. */
struct sb_genesis_operator {
    uint8_t key[32]; /* ed25519 */
    uint64_t power;  /* whole coins of stake, made with the genesis */
    sb_addr addr;    /* account that owns the stake; no other validator's, not zero */
    uint16_t commission_bps;
    char moniker[SB_MONIKER_BYTES_MAX + 1];
};

/* sb_genesis_has_staking: Staking has code. Nobody can give it some later: no key and no creation leads to its address. */
bool sb_genesis_has_staking(const struct sb_genesis *genesis);

/* sb_staking_genesis_run: fill in what the accounts 0x5b12 ... of `genesis` hold: Staking's balance is the stake of all operators, and the
 * storage of each is what the contracts write. The genesis has all of its other accounts, and these with their code.
 * New arrays live in the arena. SB_E_ARG, with the contract's reason, when a contract refuses; SB_E_RANGE when all coins together reach
 * 2^128 wei; SB_E_NOT_FOUND when Staking has no code; SB_E_NOMEM. */
sb_err sb_staking_genesis_run(struct sb_genesis *genesis, struct sb_arena *arena,
                              const struct sb_genesis_operator *operators, size_t count,
                              struct sb_diag *diag) SB_MUST_USE;

#endif
