/* possession.c: see possession.h. */
#include "node/possession.h"

#include <string.h>

#include "base/util/assert.h"
#include "base/util/endian.h"

void sb_possession_message(uint8_t ret[SB_POSSESSION_BYTES], const struct sb_chain_domain *domain,
                           const sb_addr *operator_addr)
{
    static const char k_opening[] = "samebit/validator-key";
    uint8_t *at = ret;
    memcpy(at, k_opening, sizeof k_opening - 1);
    at += sizeof k_opening - 1;
    be_store64(at, domain->chain_id);
    at += sizeof domain->chain_id;
    memcpy(at, domain->genesis_hash.b, sizeof domain->genesis_hash.b);
    at += sizeof domain->genesis_hash.b;
    memcpy(at, operator_addr->b, sizeof operator_addr->b);
    SB_ASSERT(at + sizeof operator_addr->b == ret + SB_POSSESSION_BYTES);
}

void sb_possession_prove(uint8_t ret_proof[SB_ED25519_SIGNATURE_BYTES],
                         const uint8_t secret[SB_ED25519_SECRET_BYTES],
                         const struct sb_chain_domain *domain, const sb_addr *operator_addr)
{
    uint8_t message[SB_POSSESSION_BYTES];
    sb_possession_message(message, domain, operator_addr);
    sb_ed25519_sign(ret_proof, secret, sb_span(message, sizeof message));
}
