/* set_code.h: delegations of accounts to code (EIP-7702), the part of type 4 transactions that precedes the call. */
#ifndef SB_VM_EXEC_SET_CODE_H
#define SB_VM_EXEC_SET_CODE_H

#include "vm/exec/rules.h"
#include "vm/state/overlay.h"

/* sb_set_code_apply: process a transaction's authorizations in order: set or clear delegations, count the refund for accounts that
 * exist, warm the authorities. An invalid tuple is skipped. The sender's nonce has been raised already. */
void sb_set_code_apply(struct sb_overlay *state, const struct sb_rules *rules,
                       const struct sb_tx *tx);

#endif
