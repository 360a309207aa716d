/* cmd_rollback.c: samebit rollback: undo the newest blocks of a stopped node (rollback.h). */
#include <inttypes.h>
#include <stdio.h>

#include "base/codec/hex.h"
#include "node/chain.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/datadir.h"
#include "node/rollback.h"

#define GENESIS_ARENA_BYTES ((size_t)1 << 30)

static const struct sb_usage k_usage = {"rollback", "--datadir DIR [--blocks N]",
                                        "Undo the newest blocks of a node that is not running: "
                                        "state, receipts and indexes go back to the "
                                        "block before,\n"
                                        "all at once. What the validator has signed stays in its "
                                        "journal. The node gets the blocks again "
                                        "when it starts,\n"
                                        "from its journal or its peers.",
                                        "  samebit rollback --datadir ./chain\n"};

/* check: the new head holds together; opening a chain for reading checks it. */
static sb_err check(const struct sb_datadir *dir, const struct sb_genesis *genesis,
                    struct sb_diag *diag)
{
    struct sb_chain *chain;
    const struct sb_chain_options options = {
        .db_dir = dir->db, .genesis = genesis, .read_only = true};
    SB_TRY(sb_chain_open(&chain, &options, diag));
    sb_chain_close(chain);
    return SB_OK;
}

static sb_err rollback(const struct sb_datadir *dir, uint64_t blocks, struct sb_arena *arena,
                       struct sb_diag *diag)
{
    struct sb_genesis genesis;
    struct sb_validator_key key;
    struct sb_store_head head;
    SB_TRY(sb_datadir_load_genesis(&genesis, arena, dir, diag));
    SB_TRY(sb_datadir_load_key(&key, dir, diag));
    struct sb_rollback_options options = {
        .db_dir = dir->db, .journal_dir = dir->journal, .genesis = &genesis, .blocks = blocks};
    memcpy(options.public_key, key.public_key, sizeof options.public_key);
    explicit_bzero(&key, sizeof key);
    SB_TRY(sb_rollback(&head, &options, diag));
    SB_TRY(check(dir, &genesis, diag));
    char hash[SB_HEX_TEXT_BYTES(32)], root[SB_HEX_TEXT_BYTES(32)];
    (void)printf("height: %" PRIu64 "\nblock: %s\nstate root: %s\n", head.number,
                 sb_hex_format(hash, sb_span(head.block_hash.b, 32)),
                 sb_hex_format(root, sb_span(head.state_root.b, 32)));
    return SB_OK;
}

int sb_cmd_rollback(int argc, char **argv)
{
    const char *path = NULL;
    uint64_t blocks = 1;
    const struct sb_option options[] = {
        {"datadir", SB_OPTION_TEXT, &path, "DIR", "the data directory", 0, 0},
        {"blocks", SB_OPTION_U64, &blocks, "N", "how many blocks (1)", 1, UINT32_MAX},
    };
    struct sb_operands operands;
    static struct sb_datadir dir;
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_usage, options, sizeof options / sizeof options[0],
                         0, 0, argc, argv)) {
        return status;
    }
    if (path == NULL) {
        return sb_cli_usage(k_usage.command, "--datadir is missing");
    }
    struct sb_arena arena;
    sb_arena_init(&arena, GENESIS_ARENA_BYTES);
    sb_err err = sb_datadir_paths(&dir, path, &diag);
    err = err == SB_OK ? rollback(&dir, blocks, &arena, &diag) : err;
    sb_arena_fini(&arena);
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}
