/* rules.h: which rules hold at a block: (profile, revision) and the table entries that follow from them.
 *
 * A struct sb_rules is a value, computed once per block from the chain's configuration, and handed down. Code below asks the table
 * ("rules->code_bytes_max"), not the fork's name, wherever a number will do; revision comparisons are for behaviour. */
#ifndef SB_VM_EXEC_RULES_H
#define SB_VM_EXEC_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/types/hash.h"

enum sb_revision {
    SB_REV_FRONTIER,
    SB_REV_HOMESTEAD,
    SB_REV_TANGERINE_WHISTLE, /* EIP-150 */
    SB_REV_SPURIOUS_DRAGON,   /* EIP-158 */
    SB_REV_BYZANTIUM,
    SB_REV_CONSTANTINOPLE,
    SB_REV_PETERSBURG,
    SB_REV_ISTANBUL,
    SB_REV_BERLIN,
    SB_REV_LONDON,
    SB_REV_PARIS,
    SB_REV_SHANGHAI,
    SB_REV_CANCUN,
    SB_REV_PRAGUE,
    SB_REV_OSAKA,
    SB_REV_COUNT
};

enum sb_profile {
    SB_PROFILE_ETHEREUM, /* Ethereum's rules to the letter; public suites */
    SB_PROFILE_SAMEBIT,  /* Osaka plus the 5bxx precompiles; no blob transactions in blocks */
};

/* What a simulation does to precompiles (`movePrecompileToAddress`, overrides of their accounts). Never on a chain. */
struct sb_precompile_move {
    sb_addr at;
    bool is_plain; /* an ordinary account is there now */
    sb_addr from;  /* otherwise: calls run the precompile of this address */
};
struct sb_precompile_moves {
    struct sb_precompile_move *list; /* a later entry for the same address wins */
    size_t count;
};

struct sb_rules {
    enum sb_profile profile;
    enum sb_revision revision;
    uint64_t chain_id;
    uint64_t code_bytes_max;                 /* EIP-170: 24576 */
    uint64_t initcode_bytes_max;             /* EIP-3860: 49152; UINT64_MAX before Shanghai */
    uint64_t tx_gas_max;                     /* EIP-7825: 2^24 at Osaka; UINT64_MAX before */
    uint64_t blob_base_fee_update_fraction;  /* EIP-4844 3338477, EIP-7691 5007716 */
    uint64_t blobs_per_block_max;            /* 6 at Cancun, 9 at Prague */
    uint64_t blobs_per_block_target;         /* 3 at Cancun, 6 at Prague */
    uint64_t blobs_per_tx_max;               /* EIP-7594 (Osaka): 6 */
    const struct sb_precompile_moves *moves; /* borrowed; NULL but in simulations */
};

/* sb_rules_make: the table for a profile and revision. */
struct sb_rules sb_rules_make(enum sb_profile profile, enum sb_revision revision,
                              uint64_t chain_id);

/* sb_revision_name: "Frontier" ... "Osaka", as the public suites write it. sb_revision_parse: the inverse; false if unknown. */
const char *sb_revision_name(enum sb_revision revision);
bool sb_revision_parse(enum sb_revision *ret_revision, const char *name);

#endif
