/* staking_options.h: what the commands that make a chain are told of validators and staking. */
#ifndef SB_NODE_STAKING_OPTIONS_H
#define SB_NODE_STAKING_OPTIONS_H

#include "node/cli.h"
#include "node/datadir.h"

/* Power of a validator of a new chain, and its stake in coins, unless another is named. A slash of a hundredth leaves it a validator. */
#define SB_NEW_VALIDATOR_POWER 1000

/* sb_staking_texts_read: the defaults with what "NAME=VALUE" texts change. SB_E_SYNTAX, and the errors of sb_staking_params_set. */
sb_err sb_staking_texts_read(struct sb_staking_params *ret_params, const struct sb_texts *texts,
                             struct sb_diag *diag) SB_MUST_USE;

/* sb_new_validator_read: "0xKEY[:POWER[:OPERATOR[:COMMISSION]]]", the commission in percent. Without one the operator is zero.
 * SB_E_SYNTAX, SB_E_CHECKSUM, SB_E_RANGE. */
sb_err sb_new_validator_read(struct sb_new_validator *ret_validator, const char *text,
                             struct sb_diag *diag) SB_MUST_USE;

/* sb_new_operator_read: "OPERATOR[:COMMISSION]" into a validator. Errors as above. */
sb_err sb_new_operator_read(struct sb_new_validator *validator, const char *text,
                            struct sb_diag *diag) SB_MUST_USE;

#endif
