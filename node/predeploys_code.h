/* predeploys_code.h: the runtime code of the system contracts, generated at build time from contracts/artifacts. Private to node. */
#ifndef SB_NODE_PREDEPLOYS_CODE_H
#define SB_NODE_PREDEPLOYS_CODE_H

#include <stddef.h>

extern const unsigned char sb_predeploy_code_Params[];
extern const size_t sb_predeploy_code_Params_len;
extern const unsigned char sb_predeploy_code_ModelRegistry[];
extern const size_t sb_predeploy_code_ModelRegistry_len;
extern const unsigned char sb_predeploy_code_Staking[];
extern const size_t sb_predeploy_code_Staking_len;
extern const unsigned char sb_predeploy_code_Distribution[];
extern const size_t sb_predeploy_code_Distribution_len;
extern const unsigned char sb_predeploy_code_Slashing[];
extern const size_t sb_predeploy_code_Slashing_len;
extern const unsigned char sb_predeploy_code_Checkpoints[];
extern const size_t sb_predeploy_code_Checkpoints_len;

#endif
