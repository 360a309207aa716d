/* key_source.h: where a command gets an account's private key and its passwords from.
 *
 *     --key 0x...                  the key itself (other users of the machine can see a command line: for development)
 *     --key-file FILE              a keystore file, unlocked with --password-file FILE or a question on the terminal
 *     SAMEBIT_KEY in the environment */
#ifndef SB_NODE_KEY_SOURCE_H
#define SB_NODE_KEY_SOURCE_H

#include "base/util/err.h"
#include "node/cli.h"

#define SB_PASSWORD_BYTES 1024

struct sb_key_source {
    const char *key;
    const char *key_file;
    const char *password_file;
};

#define SB_KEY_SOURCE_OPTIONS(source)                                                              \
    {"key",                                                                                        \
     SB_OPTION_TEXT,                                                                               \
     &(source).key,                                                                                \
     "0xKEY",                                                                                      \
     "private key of the sender (or SAMEBIT_KEY in the environment)",                              \
     0,                                                                                            \
     0},                                                                                           \
        {"key-file",                                                                               \
         SB_OPTION_TEXT,                                                                           \
         &(source).key_file,                                                                       \
         "FILE",                                                                                   \
         "keystore file of the sender (instead of --key)",                                         \
         0,                                                                                        \
         0},                                                                                       \
    {                                                                                              \
        "password-file", SB_OPTION_TEXT, &(source).password_file, "FILE",                          \
            "its password, on the first line; asked for when absent", 0, 0                         \
    }

/* sb_key_source_read: the secret; wipe it after use. SB_E_ARG when nothing is given. */
sb_err sb_key_source_read(uint8_t ret_secret[32], const struct sb_key_source *source,
                          struct sb_diag *diag) SB_MUST_USE;

/* sb_password_read: the first line of a file, or, path NULL, an answer on the terminal; twice when it is a new one. Terminated; wipe
 * it after use. SB_E_IO, SB_E_LIMIT, SB_E_ARG (the answers differ, or no terminal). */
sb_err sb_password_read(char ret_password[SB_PASSWORD_BYTES], const char *path, bool is_new,
                        struct sb_diag *diag) SB_MUST_USE;

#endif
