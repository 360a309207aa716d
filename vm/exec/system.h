/* system.h: what the protocol itself does in a block beside its transactions (docs/spec/staking.md, "System calls").
 *
 *      begin     EIP-4788, EIP-2935                             sb_executor_begin
 *      transactions
 *      end       Distribution -> mint -> Slashing -> Staking     sb_executor_end: only where Staking has code
 *
 * Each call comes from 0xffff…fffe with 30,000,000 gas of its own, outside the block's gas; it warms nothing and pays no fee. A call
 * that fails changes nothing and the block goes on: the contracts are written so that it cannot happen, and the node logs it as an
 * error. The outcome is a pure function of state and input, so builder and validator agree on it. */
#ifndef SB_VM_EXEC_SYSTEM_H
#define SB_VM_EXEC_SYSTEM_H

#include "base/types/consensus.h"
#include "vm/evm/evm.h"

#define SB_STAKING_ADDR_LOW      0x5b12
#define SB_DISTRIBUTION_ADDR_LOW 0x5b13
#define SB_SLASHING_ADDR_LOW     0x5b14
#define SB_CHECKPOINTS_ADDR_LOW  0x5b15

#define SB_SYSTEM_CALL_GAS       INT64_C(30000000)

/* The calls at the end of a block, in their order. */
enum sb_system_call {
    SB_SYSTEM_DISTRIBUTION,
    SB_SYSTEM_SLASHING,
    SB_SYSTEM_STAKING,
    SB_SYSTEM_CALL_COUNT
};

/* Whether a validator of the set of height - 2 took part in that height: by the commit that block height - 1 carries, or by a late
 * precommit in this block. */
struct sb_system_vote {
    sb_addr validator; /* consensus address */
    int64_t power;     /* in the set of height - 2 */
    bool present;
};

/* An offence that this block's evidence proves. */
struct sb_system_evidence {
    sb_addr validator; /* consensus address */
    enum sb_evidence_kind kind;
    uint64_t height;  /* of the offence */
    uint64_t time_ms; /* of the block of that height */
};

/* What consensus tells the contracts of a block. Lists are borrowed. */
struct sb_system_input {
    uint64_t time_ms;                   /* of this block */
    sb_addr proposer;                   /* consensus address of this block's proposer */
    const struct sb_system_vote *votes; /* in the order of that set; none below height 3 */
    size_t vote_count;
    const struct sb_system_evidence *evidence; /* in the block's order */
    size_t evidence_count;
    sb_hash
        rotation_hash; /* keccak256 of the stored form of the rotation of height + 1 (docs/spec/validators.md, section 3) */
};

/* A validator as Staking wants it from height + 2 on. */
struct sb_system_member {
    uint8_t key[32]; /* ed25519 */
    int64_t power;   /* > 0 */
};

struct sb_system_outcome {
    bool ran;     /* Staking has code */
    bool has_set; /* the active set changed: */
    const struct sb_system_member
        *set; /* all of it, by power descending, then consensus address ascending; in the arena */
    size_t set_count; /* 1 to SB_VALIDATORS_MAX */
    sb_u256 minted;   /* wei, credited to Distribution */
    struct {
        bool ok;
        uint64_t gas_used;
    } calls[SB_SYSTEM_CALL_COUNT];
};

struct sb_executor;

/* sb_system_addr: 0x0000…<low>, the address of a system contract. */
sb_addr sb_system_addr(uint16_t low);

/* sb_executor_has_system: Staking has code, so that blocks end with system calls. */
bool sb_executor_has_system(struct sb_executor *x);

/* sb_executor_end: the calls at the end of the block, after its last transaction and before the diff is taken.
 * At most SB_VALIDATORS_MAX votes and SB_EVIDENCE_MAX pieces of evidence.
 * SB_OK with *ret_outcome; other codes are failures of the environment. Return data that does not decode, a set that no chain could
 * have and coins of 2^128 wei and more count as a failed call. */
sb_err sb_executor_end(struct sb_system_outcome *ret_outcome, struct sb_arena *arena,
                       struct sb_executor *x, const struct sb_system_input *input) SB_MUST_USE;

#endif
