/* dev_accounts.c: see dev_accounts.h. */
#include "node/dev_accounts.h"

#include <stdio.h>

#include "base/codec/hex.h"
#include "base/crypto/hd_key.h"
#include "node/units.h"

#define MNEMONIC "test test test test test test test test test test test junk"
#define PATH     "m/44'/60'/0'/0/"

static sb_err derive(struct sb_dev_account *ret_accounts, size_t first, size_t count,
                     struct sb_diag *diag)
{
    struct sb_secp256k1 *ctx = sb_secp256k1_new(NULL);
    sb_err err = ctx != NULL ? SB_OK : SB_E_NOMEM;
    for (size_t i = 0; err == SB_OK && i < count; i++) {
        struct sb_dev_account *account = &ret_accounts[i];
        err = sb_hd_account(account->secret, ctx, MNEMONIC, (uint32_t)(first + i));
        err =
            err == SB_OK ? sb_secp256k1_secret_address(&account->addr, ctx, account->secret) : err;
    }
    sb_secp256k1_free(ctx);
    return err == SB_OK ? SB_OK : sb_fail(diag, err, "the accounts cannot be derived");
}

sb_err sb_dev_accounts_derive(struct sb_dev_account *ret_accounts, size_t count,
                              struct sb_diag *diag)
{
    return derive(ret_accounts, 0, count, diag);
}

sb_err sb_dev_operators_derive(struct sb_dev_account *ret_accounts, size_t count,
                               struct sb_diag *diag)
{
    return derive(ret_accounts, SB_DEV_OPERATORS_FIRST, count, diag);
}

sb_err sb_dev_accounts_alloc(struct sb_genesis_account *ret_alloc,
                             const struct sb_dev_account *accounts, size_t count,
                             const char *balance, struct sb_diag *diag)
{
    sb_u256 amount;
    sb_err err = sb_units_parse(&amount, balance, SB_ETHER_DECIMALS, diag);
    if (err != SB_OK) {
        sb_diag_prefix(diag, "--balance");
        return err;
    }
    for (size_t i = 0; i < count; i++) {
        ret_alloc[i] = (struct sb_genesis_account){
            .addr = accounts[i].addr, .origin = SB_ORIGIN_ALLOC, .balance = amount};
    }
    return SB_OK;
}

static bool is_funded(const struct sb_genesis *genesis, const sb_addr *addr)
{
    for (size_t i = 0; i < genesis->account_count; i++) {
        if (memcmp(&genesis->accounts[i].addr, addr, sizeof *addr) == 0) {
            return true;
        }
    }
    return false;
}

size_t sb_dev_accounts_funded(const struct sb_genesis *genesis,
                              const struct sb_dev_account *accounts, size_t count)
{
    while (count > 0 && !is_funded(genesis, &accounts[count - 1].addr)) {
        count--;
    }
    return count;
}

void sb_dev_accounts_print(const struct sb_dev_account *accounts, size_t count, const char *balance)
{
    char text[SB_HEX_TEXT_BYTES(32)];
    (void)printf("Available accounts\n==================\n");
    if (count == 0) {
        (void)printf("this chain has no well-known accounts\n");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        sb_addr_format(text, &accounts[i].addr);
        if (balance == NULL) {
            (void)printf("(%zu) %s\n", i, text);
        } else {
            (void)printf("(%zu) %s (%s ETH)\n", i, text, balance);
        }
    }
    (void)printf("\nPrivate keys\n============\n");
    for (size_t i = 0; i < count; i++) {
        (void)sb_hex_format(text, sb_span(accounts[i].secret, 32));
        (void)printf("Private key %zu: %s\n", i, text);
    }
    (void)printf("\nThese keys are public. Anyone can take what is sent to them on a real chain.\n"
                 "\nWallet\n======\nMnemonic:        %s\nDerivation path: %s\n",
                 MNEMONIC, PATH);
}
