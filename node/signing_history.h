/* signing_history.h: what a key has signed, as a file that moves with the key (after EIP-3076; docs/validator.md).
 *
 *     {
 *       "format_version": "1",
 *       "chain_id": "23296",
 *       "genesis_hash": "0x...",
 *       "pubkey": "0x...",
 *       "last": {"height": "1200", "round": "0", "step": "precommit", "sign_bytes_hash": "0x..."}      or null: nothing was signed
 *     }
 *
 * Numbers are decimal strings, as in EIP-3076. sign_bytes_hash: keccak256 of what was signed; for people who compare, not for the
 * guard, which after an import refuses everything at or below that place. An import takes the maximum of file and journal. */
#ifndef SB_NODE_SIGNING_HISTORY_H
#define SB_NODE_SIGNING_HISTORY_H

#include "base/types/consensus.h"
#include "base/util/buf.h"
#include "storage/journal.h"

#define SB_SIGNING_HISTORY_BYTES_MAX ((size_t)4096)

struct sb_signing_history {
    struct sb_chain_domain domain;
    uint8_t public_key[32];
    bool has_last;
    struct sb_journal_history last;
};

/* sb_signing_history_of: the history of an open journal. */
struct sb_signing_history sb_signing_history_of(const struct sb_journal *journal,
                                                const struct sb_chain_domain *domain,
                                                const uint8_t public_key[32]);
void sb_signing_history_emit(struct sb_buf *out, const struct sb_signing_history *history);
/* sb_signing_history_parse: strict: no key missing, none unknown. SB_E_SYNTAX, SB_E_TYPE, SB_E_RANGE, SB_E_VERSION. */
sb_err sb_signing_history_parse(struct sb_signing_history *ret_history, sb_bytes text,
                                struct sb_diag *diag) SB_MUST_USE;
/* sb_signing_history_import: into the journal of the same chain and key: SB_E_ARG for another one. *ret_raised and
 * errors: as sb_journal_import. */
sb_err sb_signing_history_import(bool *ret_raised, struct sb_journal *journal,
                                 const struct sb_signing_history *history,
                                 const struct sb_chain_domain *domain, const uint8_t public_key[32],
                                 struct sb_diag *diag) SB_MUST_USE;

#endif
