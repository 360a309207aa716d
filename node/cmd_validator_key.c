/* cmd_validator_key.c: `samebit validator-key`: the public key with which the validator of a data directory signs. */
#include <stdio.h>

#include <sodium.h>

#include "base/codec/hex.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/datadir.h"

int sb_cmd_validator_key(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "validator-key", "--datadir DIR",
        "Print the public key of a data directory's validator: the KEY of samebit init "
        "--validator.",
        "  samebit validator-key --datadir ./chain\n"};
    const char *path = NULL;
    const struct sb_option options[] = {
        {"datadir", SB_OPTION_TEXT, &path, "DIR", "the data directory, made by samebit init", 0, 0},
    };
    struct sb_operands operands;
    struct sb_datadir dir;
    struct sb_validator_key key;
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_usage, options, 1, 0, 0, argc, argv)) {
        return status;
    }
    if (path == NULL) {
        return sb_cli_usage(k_usage.command, "--datadir is missing");
    }
    if (sb_datadir_paths(&dir, path, &diag) != SB_OK ||
        sb_datadir_load_key(&key, &dir, &diag) != SB_OK) {
        return sb_cli_fail(&diag);
    }
    sodium_memzero(key.secret, sizeof key.secret);
    char text[SB_HEX_TEXT_BYTES(SB_ED25519_PUBLIC_BYTES)];
    (void)printf("%s\n", sb_hex_format(text, sb_span(key.public_key, sizeof key.public_key)));
    return SB_EXIT_OK;
}
