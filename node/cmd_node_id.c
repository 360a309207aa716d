/* cmd_node_id.c: `samebit node-id`: the public key by which other nodes know the node of a data directory. */
#include <stdio.h>

#include <sodium.h>

#include "base/codec/hex.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/datadir.h"

int sb_cmd_node_id(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "node-id", "--datadir DIR",
        "Print the id of a data directory's node: the 64 digits of ID in ID@HOST:PORT, which "
        "other nodes write\nin persistentPeers and seeds.",
        "  samebit node-id --datadir ./chain\n"};
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
    if (sb_datadir_paths(&dir, path, &diag) != SB_OK) {
        return sb_cli_fail(&diag);
    }
    if (!sb_datadir_has_chain(&dir) && !sb_file_exists(dir.node_key)) {
        return sb_cli_failf("%s has no chain; make one with: samebit init --datadir %s", path,
                            path);
    }
    if (sb_datadir_node_key(&key, &dir, &diag) != SB_OK) {
        return sb_cli_fail(&diag);
    }
    char id[SB_HEX_TEXT_BYTES(SB_ED25519_PUBLIC_BYTES)];
    (void)printf("%s\n", sb_hex_format(id, sb_span(key.public_key, sizeof key.public_key)) + 2);
    sodium_memzero(&key, sizeof key);
    return SB_EXIT_OK;
}
