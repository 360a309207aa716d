/* cmd_snapshot.c: `samebit snapshot`: the snapshots that a node has taken, as files for others, and a node that begins with one. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/codec/hex.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/datadir.h"
#include "node/snap_file.h"

#define ARENA_BYTES ((size_t)1 << 30)

/* What a subcommand is told. */
struct order {
    const char *datadir, *output, *from, *trust_hash;
    uint64_t height, trust_period_ms;
};

/* A stopped or running node's chain and snapshots, for reading. */
struct opened {
    struct sb_arena arena;
    struct sb_datadir dir;
    struct sb_config config;
    struct sb_genesis genesis;
    struct sb_snap_source source;
};

static struct opened opened;

static sb_err open_dir(const struct order *order, struct sb_diag *diag)
{
    SB_TRY(sb_datadir_paths(&opened.dir, order->datadir, diag));
    sb_config_default(&opened.config);
    SB_TRY(sb_datadir_load_config(&opened.config, &opened.dir, diag));
    return sb_datadir_load_genesis(&opened.genesis, &opened.arena, &opened.dir, diag);
}

static sb_err open_source(struct sb_diag *diag)
{
    const struct sb_chain_options options = {
        .db_dir = opened.dir.db, .genesis = &opened.genesis, .read_only = true};
    SB_TRY(sb_chain_open(&opened.source.chain, &options, diag));
    const struct sb_chain_domain *domain = sb_chain_domain(opened.source.chain);
    const struct sb_store_identity identity = {.genesis_hash = domain->genesis_hash,
                                               .chain_id = domain->chain_id};
    sb_err err =
        sb_snapshots_open(&opened.source.snapshots, opened.dir.snapshots, &identity, 0, diag);
    return err != SB_E_IO ? err
                          : sb_fail(diag, SB_E_NOT_FOUND,
                                    "%s: no snapshots: run the node with --snapshot-interval first",
                                    opened.dir.snapshots);
}

static sb_err list(struct sb_diag *diag)
{
    uint64_t heights[SB_SNAPSHOTS_MAX];
    char root[SB_HEX_TEXT_BYTES(32)], id[SB_HEX_TEXT_BYTES(32)];
    SB_TRY(open_source(diag));
    size_t count = sb_snapshots_list(heights, opened.source.snapshots);
    for (size_t i = 0; i < count; i++) {
        struct sb_chain_past past;
        struct sb_header header;
        sb_hash hash;
        SB_TRY(sb_chain_past(&past, &opened.arena, opened.source.chain, heights[i]));
        SB_TRY(sb_chain_header(&header, &hash, opened.source.chain, heights[i]));
        sb_hash block = sb_consensus_block_id(&past.header);
        (void)printf("height: %" PRIu64 "  id: %s  state root: %s\n", heights[i],
                     sb_hex_format(id, sb_span(block.b, 32)),
                     sb_hex_format(root, sb_span(header.state_root.b, 32)));
    }
    return SB_OK;
}

static void print_facts(const struct sb_snap_file_facts *facts)
{
    char id[SB_HEX_TEXT_BYTES(32)];
    (void)printf("height: %" PRIu64 "\nid: %s\naccounts: %" PRIu64 "\nstorage slots: %" PRIu64
                 "\nchunks: %" PRIu64 "\nbytes: %" PRIu64 "\n",
                 facts->height, sb_hex_format(id, sb_span(facts->block_id.b, 32)),
                 facts->report.account_count, facts->report.slot_count, facts->chunk_count,
                 facts->bytes);
}

static sb_err create(const struct order *order, struct sb_diag *diag)
{
    struct sb_snap_file_facts facts;
    SB_TRY(open_source(diag));
    SB_TRY(sb_snap_file_create(&facts, order->output, &opened.source, order->height, NULL, diag));
    print_facts(&facts);
    return SB_OK;
}

static sb_err restore(const struct order *order, struct sb_diag *diag)
{
    struct sb_snap_file_facts facts;
    struct sb_chain_domain domain;
    struct sb_store *store;
    sb_hash trust;
    if (sb_hex_parse(trust.b, sizeof trust.b, order->trust_hash, strlen(order->trust_hash)) !=
        SB_OK) {
        return sb_fail(diag, SB_E_SYNTAX, "--trust-hash: must be 0x and 64 hexadecimal digits");
    }
    SB_TRY(sb_genesis_domain(&domain, &opened.genesis));
    const struct sb_store_identity identity = {.genesis_hash = domain.genesis_hash,
                                               .chain_id = domain.chain_id};
    const struct sb_store_options options = {.history_blocks = 1};
    if (sb_store_open(&store, opened.dir.db, &identity, &options, NULL) == SB_OK) {
        struct sb_store_head head = sb_store_head(store);
        sb_store_close(store);
        if (head.exists && head.number == 0) { /* what init made */
            SB_TRY(sb_dir_remove(opened.dir.db, diag));
        }
    }
    SB_TRY(sb_snap_file_restore(&facts, order->from, opened.dir.db, &opened.genesis, &trust,
                                order->trust_period_ms, NULL, diag));
    print_facts(&facts);
    return SB_OK;
}

/* run: one of them, with everything closed afterwards. */
static int run(const struct order *order,
               sb_err (*what)(const struct order *order, struct sb_diag *diag))
{
    struct sb_diag diag = {.text = ""};
    sb_arena_init(&opened.arena, ARENA_BYTES);
    sb_err err = open_dir(order, &diag);
    err = err == SB_OK ? what(order, &diag) : err;
    if (err != SB_OK && diag.text[0] == '\0') {
        err = sb_fail(&diag, err, "%s", sb_err_text(err));
    }
    sb_snapshots_close(opened.source.snapshots);
    sb_chain_close(opened.source.chain);
    opened.source = (struct sb_snap_source){.chain = NULL};
    sb_arena_fini(&opened.arena);
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}

static sb_err run_list(const struct order *order, struct sb_diag *diag)
{
    (void)order;
    return list(diag);
}

static int cmd_list(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "snapshot list", "--datadir DIR",
        "The snapshots of a node, newest first; the node may be running.",
        "  samebit snapshot list --datadir ./chain\n"};
    struct order order = {.height = 0};
    const struct sb_option options[] = {
        {"datadir", SB_OPTION_TEXT, &order.datadir, "DIR", "the data directory", 0, 0}};
    struct sb_operands operands;
    int status;
    if (!sb_options_read(&operands, &status, &k_usage, options, 1, 0, 0, argc, argv)) {
        return status;
    }
    return order.datadir != NULL ? run(&order, run_list)
                                 : sb_cli_usage(k_usage.command, "--datadir is missing");
}

static int cmd_create(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "snapshot create", "--datadir DIR --output FOLDER [--height N]",
        "Write a snapshot of a node to a new folder: chunks and a manifest with their hashes. It "
        "is "
        "read back and checked\n"
        "as it is written. The node may be running.",
        "  samebit snapshot create --datadir ./chain --output ./snapshot\n"};
    struct order order = {.height = 0};
    const struct sb_option options[] = {
        {"datadir", SB_OPTION_TEXT, &order.datadir, "DIR", "the data directory", 0, 0},
        {"output", SB_OPTION_TEXT, &order.output, "FOLDER", "the folder to make", 0, 0},
        {"height", SB_OPTION_U64, &order.height, "N", "of the snapshot (the newest)", 1,
         UINT64_MAX / 4}};
    struct sb_operands operands;
    int status;
    if (!sb_options_read(&operands, &status, &k_usage, options, 3, 0, 0, argc, argv)) {
        return status;
    }
    return order.datadir != NULL && order.output != NULL
               ? run(&order, create)
               : sb_cli_usage(k_usage.command, "--datadir or --output is missing");
}

static int cmd_restore(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "snapshot restore", "--datadir DIR --from FOLDER --trust-hash 0xID",
        "Begin a node with a snapshot from files: the data directory was made with samebit init "
        "--genesis and has no blocks.\n"
        "Everything is checked as if a peer had sent it; the id of its block must come from "
        "somebody you trust.",
        "  samebit snapshot restore --datadir ./new --from ./snapshot --trust-hash 0x...\n"};
    struct order order = {.height = 0};
    const struct sb_option options[] = {
        {"datadir", SB_OPTION_TEXT, &order.datadir, "DIR", "the data directory", 0, 0},
        {"from", SB_OPTION_TEXT, &order.from, "FOLDER", "what snapshot create made", 0, 0},
        {"trust-hash", SB_OPTION_TEXT, &order.trust_hash, "0xID",
         "id of the snapshot's block, known from elsewhere", 0, 0},
        {"trust-period-s", SB_OPTION_SECONDS, &order.trust_period_ms, "SECONDS",
         "how old that block may be (604800)", 1000, UINT64_MAX / 4}};
    struct sb_operands operands;
    int status;
    if (!sb_options_read(&operands, &status, &k_usage, options, 4, 0, 0, argc, argv)) {
        return status;
    }
    return order.datadir != NULL && order.from != NULL && order.trust_hash != NULL
               ? run(&order, restore)
               : sb_cli_usage(k_usage.command, "--datadir, --from or --trust-hash is missing");
}

int sb_cmd_snapshot(int argc, char **argv)
{
    static const struct sb_command k_commands[] = {
        {"list", "the snapshots of a node", cmd_list},
        {"create", "write one to files", cmd_create},
        {"restore", "begin a node with one", cmd_restore},
    };
    return sb_command_run("snapshot", k_commands, sizeof k_commands / sizeof k_commands[0], argc,
                          argv);
}
