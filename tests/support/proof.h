/* proof.h: an independent check of Merkle proofs (EIP-1186), as a light client would do it: only RLP, Keccak and the key. */
#ifndef SB_TESTS_SUPPORT_PROOF_H
#define SB_TESTS_SUPPORT_PROOF_H

#include "base/types/hash.h"
#include "base/util/span.h"

enum proof_verdict {
    PROOF_INVALID,
    PROOF_ABSENT, /* the trie with this root has no such key */
    PROOF_PRESENT,
};

/* proof_verify: what the nodes prove about key under root. PROOF_PRESENT: *ret_value is the leaf's value, pointing into the nodes.
 * Every node must be used. */
enum proof_verdict proof_verify(sb_bytes *ret_value, const sb_hash *root, sb_bytes key,
                                const sb_bytes *nodes, size_t node_count);

#endif
