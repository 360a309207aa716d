/* cmd_public_key.c: `samebit node-id` and `samebit validator-key [prove]`: the public halves of the two keys of a data directory, by
 * which others know its node and its validator, and the proof that an operator holds the second. */
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "base/codec/hex.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/datadir.h"
#include "node/possession.h"
#include "node/units.h"

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
    static struct sb_datadir dir;
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

/* ---- proof of possession ---- */

struct proving {
    const char *datadir, *key, *genesis, *operator_text;
    bool json;
};

static sb_err set_path(char ret[SB_PATH_BYTES], const char *path, struct sb_diag *diag)
{
    if (path == NULL) {
        return SB_OK; /* that of the data directory */
    }
    int len = snprintf(ret, SB_PATH_BYTES, "%s", path);
    return len > 0 && (size_t)len < SB_PATH_BYTES
               ? SB_OK
               : sb_fail(diag, SB_E_LIMIT, "a path is empty or too long");
}

static sb_err prove(const struct proving *p, struct sb_diag *diag)
{
    static struct sb_datadir dir;
    struct sb_validator_key key;
    struct sb_chain_domain domain;
    sb_addr operator_addr;
    uint8_t proof[SB_ED25519_SIGNATURE_BYTES];
    char key_text[SB_HEX_TEXT_BYTES(SB_ED25519_PUBLIC_BYTES)];
    char proof_text[SB_HEX_TEXT_BYTES(SB_ED25519_SIGNATURE_BYTES)];
    SB_TRY(sb_addr_parse(&operator_addr, p->operator_text, diag));
    if (p->datadir != NULL) {
        SB_TRY(sb_datadir_paths(&dir, p->datadir, diag));
    }
    SB_TRY(set_path(dir.validator_key, p->key, diag));
    SB_TRY(set_path(dir.genesis, p->genesis, diag));
    SB_TRY(sb_genesis_load_domain(&domain, dir.genesis, diag));
    SB_TRY(sb_datadir_load_key(&key, &dir, diag));
    sb_possession_prove(proof, key.secret, &domain, &operator_addr);
    sodium_memzero(key.secret, sizeof key.secret);
    (void)sb_hex_format(key_text, sb_span(key.public_key, sizeof key.public_key));
    (void)sb_hex_format(proof_text, sb_span(proof, sizeof proof));
    (void)printf(p->json ? "{\"consensusKey\": \"%s\", \"proof\": \"%s\"}\n"
                         : "--consensus-key %s --proof %s\n",
                 key_text, proof_text);
    return SB_OK;
}

static int cmd_prove(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "validator-key prove", "--operator 0xADDRESS (--datadir DIR | --key FILE --genesis FILE)",
        "Prove that an account may make a validator of this key: prints what samebit validator "
        "create wants, which may\n"
        "run on another machine. The proof holds for this account on this chain alone, and is no "
        "secret.",
        "  samebit validator-key prove --datadir ./chain --operator 0x...\n"
        "  samebit validator-key prove --key /srv/signer/key.json --genesis genesis.json "
        "--operator 0x...\n"};
    struct proving p = {.datadir = NULL};
    const struct sb_option options[] = {
        {"operator", SB_OPTION_TEXT, &p.operator_text, "ADDR", "account that will be the operator",
         0, 0},
        {"datadir", SB_OPTION_TEXT, &p.datadir, "DIR", "key and chain of this data directory", 0,
         0},
        {"key", SB_OPTION_TEXT, &p.key, "FILE", "the validator key (validator.json)", 0, 0},
        {"genesis", SB_OPTION_TEXT, &p.genesis, "FILE", "genesis.json of the chain", 0, 0},
        {"json", SB_OPTION_FLAG, &p.json, NULL, "print JSON", 0, 0},
    };
    struct sb_operands operands;
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_usage, options, sizeof options / sizeof options[0],
                         0, 0, argc, argv)) {
        return status;
    }
    if (p.operator_text == NULL) {
        return sb_cli_usage(k_usage.command, "--operator is missing");
    }
    if (p.datadir == NULL && (p.key == NULL || p.genesis == NULL)) {
        return sb_cli_usage(k_usage.command, "--datadir is missing, or --key and --genesis");
    }
    return prove(&p, &diag) == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}

int sb_cmd_validator_key(int argc, char **argv)
{
    static const struct which k_validator = {
        {"validator-key", "[prove] --datadir DIR",
         "Print the public key of a data directory's validator: the KEY of samebit init "
         "--validator. With prove, the\n"
         "proof of who holds it (samebit validator-key prove --help).",
         "  samebit validator-key --datadir ./chain\n"
         "  samebit validator-key prove --datadir ./chain --operator 0x...\n"},
        sb_datadir_load_key,
        0};
    return argc > 1 && strcmp(argv[1], "prove") == 0 ? cmd_prove(argc - 1, argv + 1)
                                                     : print(&k_validator, argc, argv);
}
