/* possession.h: the proof that an operator holds a consensus key: what samebit validator create sends along.
 *
 *     proof = Ed25519 by the key over   "samebit/validator-key" | chain id, 8 bytes | genesis hash, 32 | operator, 20
 *
 * The message begins with 's' (0x73), so it is no RLP list, hence never a vote or a proposal: making a proof can harm no validator, and
 * the journal knows nothing of it. Spec: docs/spec/staking.md, section 3. */
#ifndef SB_NODE_POSSESSION_H
#define SB_NODE_POSSESSION_H

#include "base/crypto/ed25519.h"
#include "base/types/consensus.h"

#define SB_POSSESSION_BYTES 81

void sb_possession_message(uint8_t ret[SB_POSSESSION_BYTES], const struct sb_chain_domain *domain,
                           const sb_addr *operator_addr);
/* sb_possession_prove: secret is seed || public key. */
void sb_possession_prove(uint8_t ret_proof[SB_ED25519_SIGNATURE_BYTES],
                         const uint8_t secret[SB_ED25519_SECRET_BYTES],
                         const struct sb_chain_domain *domain, const sb_addr *operator_addr);

#endif
