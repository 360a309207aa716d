/* cmd_verify.c: `samebit verify`: everything that a data directory holds, checked again from the bytes on disk.
 *
 *     every stored hash, the state root rebuilt from the flat state     sb_store_verify
 *     every consensus block and the signatures that decided it          sb_chain_check_block */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/codec/hex.h"
#include "node/chain.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/datadir.h"

#define GENESIS_ARENA_BYTES ((size_t)1 << 30)

static const struct sb_usage k_usage = {"verify", "--datadir DIR",
                                        "Check a data directory: rebuild the state root from the "
                                        "accounts and compare it with the head, "
                                        "check every\n"
                                        "stored block, receipt, code and model by its hash, and "
                                        "every consensus block with the signatures "
                                        "that decided\n"
                                        "it. A node may run on it meanwhile: what it held when the "
                                        "check began is checked. Exit status 0 "
                                        "only when all\n"
                                        "is right.",
                                        "  samebit verify --datadir ./chain\n"};

struct verification {
    struct sb_progress progress;
    const char *what;
    bool silent;
};

static void on_progress(void *ctx, const char *what, uint64_t done)
{
    struct verification *v = ctx;
    if (v->what == NULL || strcmp(v->what, what) != 0) {
        sb_progress_end(&v->progress);
        v->what = what;
        sb_progress_begin(&v->progress, what, "records", 0, v->silent);
    }
    sb_progress_step(&v->progress, done);
}

static sb_err verify_blocks(struct sb_chain *chain, struct verification *v, struct sb_diag *diag)
{
    uint64_t head = sb_chain_head_number(chain);
    sb_progress_end(&v->progress);
    sb_progress_begin(&v->progress, "consensus", "blocks", head, v->silent);
    for (uint64_t number = sb_chain_oldest(chain); number <= head; number++) {
        SB_TRY(sb_chain_check_block(chain, number, diag));
        sb_progress_step(&v->progress, number);
    }
    return SB_OK;
}

static sb_err verify_chain(struct sb_chain *chain, struct verification *v, struct sb_diag *diag)
{
    struct sb_store_report report = {0};
    char root[SB_HEX_TEXT_BYTES(32)];
    sb_err err = sb_store_verify(&report, sb_chain_store(chain), on_progress, v, diag);
    err = err == SB_OK ? verify_blocks(chain, v, diag) : err;
    sb_progress_end(&v->progress);
    if (err != SB_OK) {
        return err;
    }
    (void)printf("height: %" PRIu64 "\nblocks: %" PRIu64 "\naccounts: %" PRIu64
                 "\nstorage slots: %" PRIu64 "\ncodes: %" PRIu64 "\nmodel chunks: %" PRIu64
                 "\nstate root: %s\nall is right\n",
                 sb_chain_head_number(chain), report.block_count, report.account_count,
                 report.slot_count, report.code_count, report.blob_count,
                 sb_hex_format(root, sb_span(report.rebuilt_root.b, 32)));
    return SB_OK;
}

static sb_err verify(const struct sb_datadir *dir, struct sb_arena *arena, struct verification *v,
                     struct sb_diag *diag)
{
    struct sb_genesis genesis;
    struct sb_chain *chain = NULL;
    SB_TRY(sb_datadir_load_genesis(&genesis, arena, dir, diag));
    const struct sb_chain_options options = {
        .db_dir = dir->db, .genesis = &genesis, .read_only = true};
    SB_TRY(sb_chain_open(&chain, &options, diag));
    sb_err err = verify_chain(chain, v, diag);
    sb_chain_close(chain);
    return err;
}

int sb_cmd_verify(int argc, char **argv)
{
    const char *path = NULL;
    struct verification v = {.what = NULL};
    const struct sb_option options[] = {
        {"datadir", SB_OPTION_TEXT, &path, "DIR", "the data directory", 0, 0},
        {"silent", SB_OPTION_FLAG, &v.silent, NULL, "show no progress", 0, 0},
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
    err = err == SB_OK ? verify(&dir, &arena, &v, &diag) : err;
    sb_arena_fini(&arena);
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}
