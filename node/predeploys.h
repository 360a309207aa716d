/* predeploys.h: the system contracts of a new chain: Params (0x5b10) and ModelRegistry (0x5b11), with Params' first values; and those of
 * staking (0x5b12 to 0x5b14), with the validators that the chain begins with.
 *
 * A genesis.json names them under "samebit"."predeploys", code and storage included, so that the file alone fixes the chain; this
 * program's own copies are only used to write a new file. docs/spec/params.md gives the slots of Params; what the others hold is
 * computed by running them (staking_genesis.h). */
#ifndef SB_NODE_PREDEPLOYS_H
#define SB_NODE_PREDEPLOYS_H

#include "base/types/genesis.h"
#include "base/types/staking_params.h"
#include "node/staking_genesis.h"

#define SB_PARAMS_ADDR_LOW   0x5b10
#define SB_REGISTRY_ADDR_LOW 0x5b11
/* Slots of Params beyond those of params.def. */
#define SB_PARAMS_SLOT_DEPOSIT  13
#define SB_PARAMS_SLOT_GOVERNOR 14
/* 10^9 wei: a megabyte of model locks about 0.001 of a coin. */
#define SB_DEPOSIT_PER_BYTE_DEFAULT UINT64_C(1000000000)

struct sb_predeploy_options {
    sb_addr governor;                            /* may change parameters; zero freezes them */
    uint64_t deposit_per_byte;                   /* wei */
    const struct sb_genesis_operator *operators; /* of all validators; NULL: their set is fixed */
    size_t operator_count;
    struct sb_staking_params staking; /* with operators */
};

/* sb_predeploys_add: add the accounts to a genesis that has everything else but the protocol accounts. With operators the fees of its
 * blocks go to Distribution. The new account array and the slots live in the arena.
 * SB_E_EXISTS when the genesis has an account at one of the addresses; the errors of sb_staking_genesis_run; SB_E_NOMEM. */
sb_err sb_predeploys_add(struct sb_genesis *genesis, struct sb_arena *arena,
                         const struct sb_predeploy_options *options,
                         struct sb_diag *diag) SB_MUST_USE;

#endif
