/* cmd_public_key.c: `samebit node-id` and `samebit validator-key`: the public halves of the two keys of a data directory, by which others
 * know its node and its validator. */
#include <stdio.h>

#include <sodium.h>

#include "base/codec/hex.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/datadir.h"

struct which {
    struct sb_usage usage;
    sb_err (*load)(struct sb_validator_key *ret_key, const struct sb_datadir *dir,
                   struct sb_diag *diag);
    size_t skip; /* characters of 0x that are not printed */
};

static int print(const struct which *which, int argc, char **argv)
{
    const char *path = NULL;
    const struct sb_option options[] = {
        {"datadir", SB_OPTION_TEXT, &path, "DIR", "the data directory, made by samebit init", 0, 0},
    };
    struct sb_operands operands;
    struct sb_datadir dir;
    struct sb_validator_key key;
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &which->usage, options, 1, 0, 0, argc, argv)) {
        return status;
    }
    if (path == NULL) {
        return sb_cli_usage(which->usage.command, "--datadir is missing");
    }
    if (sb_datadir_paths(&dir, path, &diag) != SB_OK || which->load(&key, &dir, &diag) != SB_OK) {
        return sb_cli_fail(&diag);
    }
    sodium_memzero(key.secret, sizeof key.secret);
    char text[SB_HEX_TEXT_BYTES(SB_ED25519_PUBLIC_BYTES)];
    (void)sb_hex_format(text, sb_span(key.public_key, sizeof key.public_key));
    (void)printf("%s\n", text + which->skip);
    return SB_EXIT_OK;
}

/* load_node_key: made when it is not there, but only in what is a data directory. */
static sb_err load_node_key(struct sb_validator_key *ret_key, const struct sb_datadir *dir,
                            struct sb_diag *diag)
{
    if (!sb_datadir_has_chain(dir) && !sb_file_exists(dir->node_key)) {
        return sb_fail(diag, SB_E_NOT_FOUND,
                       "%s has no chain; make one with: samebit init --datadir %s", dir->path,
                       dir->path);
    }
    return sb_datadir_node_key(ret_key, dir, diag);
}

int sb_cmd_node_id(int argc, char **argv)
{
    static const struct which k_node = {
        {"node-id", "--datadir DIR",
         "Print the id of a data directory's node: the 64 digits of ID in ID@HOST:PORT, which "
         "other nodes write\nin persistentPeers and seeds.",
         "  samebit node-id --datadir ./chain\n"},
        load_node_key,
        2};
    return print(&k_node, argc, argv);
}

int sb_cmd_validator_key(int argc, char **argv)
{
    static const struct which k_validator = {
        {"validator-key", "--datadir DIR",
         "Print the public key of a data directory's validator: the KEY of samebit init "
         "--validator.",
         "  samebit validator-key --datadir ./chain\n"},
        sb_datadir_load_key,
        0};
    return print(&k_validator, argc, argv);
}
