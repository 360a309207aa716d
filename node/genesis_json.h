/* genesis_json.h: genesis.json to struct sb_genesis and back (geth's form plus the object "samebit"; docs/spec/genesis.md).
 *
 * Reading is strict: every value is checked, and an error names the field and what to do. Unknown members are refused inside
 * "samebit" and in accounts, and ignored in geth's "config" and at the top, where other clients keep members of their own. */
#ifndef SB_NODE_GENESIS_JSON_H
#define SB_NODE_GENESIS_JSON_H

#include "base/types/genesis.h"

#define SB_GENESIS_JSON_BYTES_MAX ((size_t)256 * 1024 * 1024)

/* sb_genesis_parse: the text of a genesis.json. Everything in *ret_genesis lives in the arena. In profile samebit the protocol accounts
 * have been added, and sb_genesis_check holds. SB_E_SYNTAX, SB_E_TYPE, SB_E_RANGE, SB_E_NOT_FOUND (a member is missing) ... */
sb_err sb_genesis_parse(struct sb_genesis *ret_genesis, struct sb_arena *arena, sb_bytes text,
                        struct sb_diag *diag) SB_MUST_USE;

/* sb_genesis_emit: append the JSON text, indented, ending with a newline; parsing it gives the same genesis. */
void sb_genesis_emit(struct sb_buf *out, const struct sb_genesis *genesis);

#endif
