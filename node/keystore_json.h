/* keystore_json.h: account keys in files: Web3 Secret Storage, version 3, as geth and wallets write it.
 *
 * Reading is strict in what it uses (cipher, costs, lengths) and ignores members it does not know. The cryptography and its bounds are
 * base/crypto/keystore.h. */
#ifndef SB_NODE_KEYSTORE_JSON_H
#define SB_NODE_KEYSTORE_JSON_H

#include "base/crypto/keystore.h"
#include "base/util/buf.h"

#define SB_KEYSTORE_FILE_BYTES_MAX ((size_t)64 * 1024)

/* A keystore file. */
struct sb_keystore_file {
    struct sb_keystore keystore;
    bool has_address;
    sb_addr address;
    uint8_t id[16]; /* UUID; zero when absent */
};

/* sb_keystore_parse: SB_E_SYNTAX, SB_E_TYPE, SB_E_VERSION, SB_E_UNSUPPORTED (cipher, kdf), SB_E_RANGE, SB_E_NOT_FOUND (a member); the
 * message names the member. */
sb_err sb_keystore_parse(struct sb_keystore_file *ret_file, sb_bytes text,
                         struct sb_diag *diag) SB_MUST_USE;
/* sb_keystore_emit: append the JSON text. */
void sb_keystore_emit(struct sb_buf *out, const struct sb_keystore_file *file);

#endif
