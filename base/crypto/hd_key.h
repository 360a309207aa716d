/* hd_key.h: account keys from a mnemonic: BIP-39 seed, BIP-32 derivation, Ethereum's path. Part of sb_crypto.
 *
 *     mnemonic -- PBKDF2-HMAC-SHA-512, 2,048 rounds --> seed (64 bytes) -- HMAC-SHA-512 "Bitcoin seed" --> master (key, chain code)
 *     master -> 44' -> 60' -> 0' -> 0 -> i         the account that wallets and development nodes call number i
 *
 * The words of a mnemonic are taken as they stand: no word list and no checksum, which BIP-39 does not ask for to make a seed. Texts are
 * ASCII, so that Unicode normalisation changes nothing.
 * Spec: BIP-39, BIP-32 (private derivation), BIP-44 with SLIP-44 coin type 60. */
#ifndef SB_BASE_CRYPTO_HD_KEY_H
#define SB_BASE_CRYPTO_HD_KEY_H

#include "base/crypto/secp256k1.h"

#define SB_HD_SEED_BYTES 64
/* Added to an index: derivation from the secret alone, written with an apostrophe. */
#define SB_HD_HARDENED UINT32_C(0x80000000)

struct sb_hd_key {
    uint8_t secret[SB_SECP256K1_SECRET_BYTES];
    uint8_t chain_code[32];
};

/* sb_hd_seed: seed of a mnemonic; passphrase "" for none. SB_E_ARG when a text is not ASCII, SB_E_LIMIT when it is over 256 bytes. */
sb_err sb_hd_seed(uint8_t ret_seed[SB_HD_SEED_BYTES], const char *mnemonic,
                  const char *passphrase) SB_MUST_USE;
/* sb_hd_master: root of the tree. SB_E_RANGE for the seeds (about one in 2^127) that give no key. */
sb_err sb_hd_master(struct sb_hd_key *ret_key, sb_bytes seed) SB_MUST_USE;
/* sb_hd_child: the child of this index (plus SB_HD_HARDENED). ret_key may be parent. SB_E_RANGE: the index has no key. */
sb_err sb_hd_child(struct sb_hd_key *ret_key, const struct sb_secp256k1 *ctx,
                   const struct sb_hd_key *parent, uint32_t index) SB_MUST_USE;
/* sb_hd_account: secret of the account m/44'/60'/0'/0/index of a mnemonic without passphrase. Errors as above. */
sb_err sb_hd_account(uint8_t ret_secret[SB_SECP256K1_SECRET_BYTES], const struct sb_secp256k1 *ctx,
                     const char *mnemonic, uint32_t index) SB_MUST_USE;

#endif
