/* cmd_run.c: `samebit run`: the node of a data directory. */
#include <stdio.h>

#include "base/codec/hex.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/service.h"
#include "node/state_sync_net.h"

#define OWN_OPTIONS         6 /* that are no settings */
#define GENESIS_ARENA_BYTES ((size_t)1 << 30)

static const struct sb_usage k_usage = {
    "run", "--datadir DIR [options]",
    "Run the node whose keys, chain and settings lie in a data directory: a validator if its key "
    "is in the set,\n"
    "else a node that follows. Settings are taken from DIR/config.json; options here override them "
    "for this\n"
    "run. Ctrl-C or SIGTERM stops it cleanly. With --halt-height it ends by itself, with status 0.",
    "  samebit run --datadir /var/lib/samebit\n"
    "  samebit run --datadir ./chain --port 9545 --log-format json\n"
    "  samebit run --datadir ./chain --instant\n"
    "  samebit run --datadir ./chain --persistent-peers ID@10.0.0.2:23296,ID@10.0.0.3:23296\n"
    "  samebit run --datadir ./chain --halt-height 100000\n"
    "  samebit run --datadir ./chain --resync\n"
    "  samebit run --datadir ./chain --state-sync --trust-height 120000 --trust-hash 0x...\n"};

/* What is asked of the start alone. */
struct start {
    bool resync, state_sync;
    uint64_t trust_height, trust_period_ms;
    const char *trust_hash;
};

/* sync_state: begin at a snapshot of peers, when that is wanted and there is no chain yet. */
static sb_err sync_state(struct start *start, const struct sb_datadir *dir,
                         const struct sb_config *config, const struct sb_genesis *genesis,
                         const struct sb_logger *log, struct sb_diag *diag)
{
    struct sb_state_sync_request request = {.dir = dir,
                                            .config = config,
                                            .genesis = genesis,
                                            .trust_height = start->trust_height,
                                            .trust_period_ms = start->trust_period_ms,
                                            .log = log};
    bool done = false;
    if (!start->state_sync) {
        return SB_OK;
    }
    if (start->trust_height == 0 || start->trust_hash == NULL ||
        sb_hex_parse(request.trust_hash.b, sizeof request.trust_hash.b, start->trust_hash,
                     strlen(start->trust_hash)) != SB_OK) {
        return sb_fail(diag, SB_E_ARG,
                       "--state-sync needs --trust-height and --trust-hash: height and id (0x and "
                       "64 digits) of a block that you know to be of this chain");
    }
    SB_TRY(sb_state_sync_net(&done, &request, diag));
    start->resync = start->resync || done; /* a journal may have seen more than the snapshot */
    return SB_OK;
}

static int serve(const struct sb_datadir *dir, const struct sb_config *config, struct start *start,
                 struct sb_arena *arena)
{
    struct sb_diag diag = {.text = ""};
    struct sb_genesis genesis;
    struct sb_validator_key key = {.public_key = {0}};
    struct sb_service *service = NULL;
    struct sb_logger log = sb_config_logger(config);
    bool has_signer = config->signer_socket[0] != '\0';
    if (sb_datadir_load_genesis(&genesis, arena, dir, &diag) != SB_OK ||
        (!has_signer && sb_datadir_load_key(&key, dir, &diag) != SB_OK)) {
        return sb_cli_fail(&diag);
    }
    if (sync_state(start, dir, config, &genesis, &log, &diag) != SB_OK) {
        return sb_cli_fail(&diag);
    }
    const struct sb_service_options options = {.dir = dir,
                                               .config = config,
                                               .genesis = &genesis,
                                               .key = &key,
                                               .log = &log,
                                               .resync = start->resync};
    if (sb_service_start(&service, &options, &diag) != SB_OK) {
        return sb_cli_fail(&diag);
    }
    (void)printf("Listening on http://%s:%u\n", config->host, sb_service_port(service));
    (void)fflush(stdout);
    sb_err err = sb_service_wait(service, &diag);
    sb_service_stop(service);
    sb_log(&log, SB_LOG_INFO, "node", "the node has stopped", SB_LOG_END);
    return sb_service_end(err, &diag);
}

int sb_cmd_run(int argc, char **argv)
{
    const char *path = NULL;
    struct sb_config_flags flags;
    struct start start = {.resync = false};
    struct sb_option options[OWN_OPTIONS + SB_CONFIG_COUNT] = {
        {.name = "datadir",
         .kind = SB_OPTION_TEXT,
         .ret = &path,
         .value = "DIR",
         .help = "the data directory, made by samebit init"},
        {.name = "resync",
         .kind = SB_OPTION_FLAG,
         .ret = &start.resync,
         .help =
             "the database was lost or is an old copy: get its blocks from peers (say it once)"},
        {.name = "state-sync",
         .kind = SB_OPTION_FLAG,
         .ret = &start.state_sync,
         .help = "begin at a snapshot of peers, if there is no chain yet"},
        {.name = "trust-height",
         .kind = SB_OPTION_U64,
         .ret = &start.trust_height,
         .value = "HEIGHT",
         .help = "for --state-sync: a block that you know to be of this chain",
         .min = 1,
         .max = UINT64_MAX / 4},
        {.name = "trust-hash",
         .kind = SB_OPTION_TEXT,
         .ret = &start.trust_hash,
         .value = "0xID",
         .help = "its id"},
        {.name = "trust-period-s",
         .kind = SB_OPTION_SECONDS,
         .ret = &start.trust_period_ms,
         .value = "SECONDS",
         .help = "how old it may be (default: 604800)",
         .min = 1000,
         .max = UINT64_MAX / 4}};
    struct sb_operands operands;
    static struct sb_datadir dir;
    static struct sb_config config;
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    sb_config_flags_init(&flags);
    sb_config_options(options + OWN_OPTIONS, &flags);
    if (!sb_options_read(&operands, &status, &k_usage, options, OWN_OPTIONS + SB_CONFIG_COUNT, 0, 0,
                         argc, argv)) {
        return status;
    }
    if (path == NULL) {
        return sb_cli_usage(k_usage.command, "--datadir is missing");
    }
    sb_config_default(&config);
    if (sb_datadir_paths(&dir, path, &diag) != SB_OK) {
        return sb_cli_fail(&diag);
    }
    if (!sb_datadir_has_chain(&dir)) {
        return sb_cli_failf("%s has no chain; make one with: samebit init --datadir %s", path,
                            path);
    }
    if (sb_datadir_load_config(&config, &dir, &diag) != SB_OK ||
        sb_config_apply(&config, &flags, &diag) != SB_OK) {
        return sb_cli_fail(&diag);
    }
    struct sb_arena arena;
    sb_arena_init(&arena, GENESIS_ARENA_BYTES);
    status = serve(&dir, &config, &start, &arena);
    sb_arena_fini(&arena);
    return status;
}
