/* dev_accounts.h: the well-known accounts of development chains: the field's test mnemonic, m/44'/60'/0'/0/N. */
#ifndef SB_NODE_DEV_ACCOUNTS_H
#define SB_NODE_DEV_ACCOUNTS_H

#include "base/types/genesis.h"

#define SB_DEV_ACCOUNTS_MAX 100
/* N of the first operator of a local network; those of its other validators follow. */
#define SB_DEV_OPERATORS_FIRST 1000

struct sb_dev_account {
    uint8_t secret[32];
    sb_addr addr;
};

/* sb_dev_accounts_derive: the first `count` accounts. */
sb_err sb_dev_accounts_derive(struct sb_dev_account *ret_accounts, size_t count,
                              struct sb_diag *diag) SB_MUST_USE;
/* sb_dev_operators_derive: the operators of the first `count` validators of a local network. */
sb_err sb_dev_operators_derive(struct sb_dev_account *ret_accounts, size_t count,
                               struct sb_diag *diag) SB_MUST_USE;
/* sb_dev_accounts_alloc: genesis accounts with `balance` ether (a decimal text) each. SB_E_SYNTAX, SB_E_RANGE. */
sb_err sb_dev_accounts_alloc(struct sb_genesis_account *ret_alloc,
                             const struct sb_dev_account *accounts, size_t count,
                             const char *balance, struct sb_diag *diag) SB_MUST_USE;
/* sb_dev_accounts_funded: how many of the first `count` a genesis knows. */
size_t sb_dev_accounts_funded(const struct sb_genesis *genesis,
                              const struct sb_dev_account *accounts, size_t count);
/* sb_dev_accounts_print: addresses, private keys and mnemonic on stdout, as development nodes do: the lines "Private key N: 0x..." come
 * before any other 32-byte hex. balance NULL: not known any more. */
void sb_dev_accounts_print(const struct sb_dev_account *accounts, size_t count,
                           const char *balance);

#endif
