/* precompile.h: contracts that are native code.
 *
 * One table maps an address to its function and the revision (or profile) from which it exists. The interpreter charges nothing
 * itself: a precompile reports the gas it used, never more than it was given; needing more is SB_PRECOMPILE_FAILURE, which ends the
 * frame exceptionally and takes all its gas. A revert (typed errors of the 5bxx family) gives the rest back. */
#ifndef SB_VM_PRECOMPILE_PRECOMPILE_H
#define SB_VM_PRECOMPILE_PRECOMPILE_H

#include "vm/evm/evm.h"

enum sb_precompile_outcome {
    SB_PRECOMPILE_OK,
    /* output is revert data; gas_used is charged, the rest given back; state changes undone by the caller */
    SB_PRECOMPILE_REVERT,
    SB_PRECOMPILE_FAILURE, /* out of gas or invalid input by the rules of Ethereum: all gas is taken */
    SB_PRECOMPILE_MISSING, /* known address, not in this build: all gas is taken and the node says why */
};

struct sb_precompile_call {
    const struct sb_evm *evm;
    const struct sb_message *message; /* kind, static flag, sender, value, input */
    /* for the output and scratch; rewound when the frame's output is no longer needed */
    struct sb_arena *arena;
};

struct sb_precompile_result {
    enum sb_precompile_outcome outcome;
    int64_t gas_used;
    sb_bytes output; /* in the arena, or a constant */
};

typedef sb_err (*sb_precompile_fn)(struct sb_precompile_result *ret_result,
                                   const struct sb_precompile_call *call);

/* sb_precompile_find: the function at an address under these rules; NULL if the address is an ordinary account. */
sb_precompile_fn sb_precompile_find(const struct sb_rules *rules, const sb_addr *addr);

/* sb_precompile_each: visit every precompile address under these rules, ascending (they are warm from the start, EIP-2929). */
void sb_precompile_each(const struct sb_rules *rules, void (*visit)(void *ctx, const sb_addr *addr),
                        void *ctx);

#endif
