/* cmd_dev.c: `samebit dev`: a chain in one command, for development: funded accounts with well-known keys, instant blocks.
 *
 * The banner follows the field's development nodes, so that tools which read it find what they look for: the lines "Private key N:
 * 0x..." come before any other 32-byte hex, "Listening on" is the last line, and everything is flushed. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "node/cli.h"
#include "node/commands.h"
#include "node/dev_accounts.h"
#include "node/service.h"
#include "node/staking_options.h"
#include "node/version.h"

#define ARENA_BYTES    ((size_t)64 << 20)
#define GENESIS_FEE    "1" /* gwei */
#define DEFAULT_LEVEL  "warn"
#define BLOCK_TIME_MAX 3600000

static const struct sb_usage k_usage = {
    "dev", "[options]",
    "Start a one-validator chain for development: accounts with ether and well-known keys, a block "
    "as soon as\n"
    "there is a transaction, JSON-RPC over HTTP and WebSocket on one port. Without --datadir "
    "everything is\n"
    "temporary and is removed at the end. --accounts, --balance, --chain-id and those of staking "
    "are "
    "for a new\n"
    "chain.",
    "  samebit dev\n"
    "  samebit dev --port 9545 --block-time 2\n"
    "  samebit dev --datadir ./chain --accounts 3 --balance 1000000\n"};

struct dev {
    const char *datadir;
    uint64_t block_time_ms; /* 0: instant */
    uint64_t account_count;
    const char *balance;
    uint64_t chain_id; /* 0: not given */
    bool silent, no_staking;
    struct sb_texts staking;
    bool continued; /* the chain was there */

    struct sb_config config;
    struct sb_datadir dir;
    struct sb_validator_key key;
    struct sb_genesis genesis;
    struct sb_dev_account accounts[SB_DEV_ACCOUNTS_MAX + 1]; /* the last one gets the tips */
};

static sb_err create_chain(struct dev *dev, struct sb_arena *arena, struct sb_diag *diag)
{
    struct sb_genesis_account alloc[SB_DEV_ACCOUNTS_MAX];
    uv_timeval64_t now = {0};
    (void)uv_gettimeofday(&now);
    SB_TRY(sb_dev_accounts_alloc(alloc, dev->accounts, dev->account_count, dev->balance, diag));
    SB_TRY(sb_datadir_take_key(&dev->key, &dev->dir, diag));
    struct sb_new_validator validator = {
        .power = SB_NEW_VALIDATOR_POWER, .operator_addr = dev->accounts[0].addr, .moniker = "dev"};
    struct sb_staking_params staking;
    SB_TRY(sb_staking_texts_read(&staking, &dev->staking, diag));
    memcpy(validator.public_key, dev->key.public_key, sizeof validator.public_key);
    const struct sb_new_chain chain = {.chain_id =
                                           dev->chain_id != 0 ? dev->chain_id : SB_DEV_CHAIN_ID,
                                       .timestamp = (uint64_t)now.tv_sec,
                                       .gas_limit = sb_params_default().gas_limit,
                                       .alloc = alloc,
                                       .alloc_count = dev->account_count,
                                       .validators = &validator,
                                       .validator_count = 1,
                                       .has_staking = !dev->no_staking,
                                       .staking = staking,
                                       .fee_recipient = dev->accounts[dev->account_count].addr,
                                       .governor = dev->accounts[0].addr};
    SB_TRY(sb_new_chain_genesis(&dev->genesis, arena, &chain, diag));
    return sb_datadir_create(&dev->dir, &dev->genesis, &dev->key, &dev->config, diag);
}

/* A chain that is there keeps its accounts, with what is left of their ether. */
static sb_err open_chain(struct dev *dev, struct sb_arena *arena, struct sb_diag *diag)
{
    if (!sb_datadir_has_chain(&dev->dir)) {
        return create_chain(dev, arena, diag);
    }
    SB_TRY(sb_datadir_load_genesis(&dev->genesis, arena, &dev->dir, diag));
    if (dev->chain_id != 0 && dev->chain_id != dev->genesis.config.chain_id) {
        return sb_fail(diag, SB_E_ARG,
                       "the chain in %s has the chain id %" PRIu64
                       "; --chain-id is for a new chain: give another --datadir",
                       dev->dir.path, dev->genesis.config.chain_id);
    }
    dev->continued = true;
    dev->account_count = sb_dev_accounts_funded(&dev->genesis, dev->accounts, dev->account_count);
    return sb_datadir_load_key(&dev->key, &dev->dir, diag);
}

/* ---- banner ---- */

static void print_banner(const struct dev *dev, uint16_t port)
{
    const char *host = dev->config.host;
    (void)printf("\n  samebit %s: a blockchain whose contracts run machine-learning models\n\n",
                 SB_VERSION);
    sb_dev_accounts_print(dev->accounts, dev->account_count, dev->continued ? NULL : dev->balance);
    (void)printf("\nChain\n=====\nChain ID:          %" PRIu64 "\nBase fee:          " GENESIS_FEE
                 " gwei at genesis\nGas limit:         %" PRIu64 "\nGenesis timestamp: %" PRIu64
                 "\nBlocks:            ",
                 dev->genesis.config.chain_id, dev->genesis.gas_limit, dev->genesis.timestamp);
    if (dev->config.instant_blocks) {
        (void)printf("as soon as there is a transaction\n");
    } else {
        (void)printf("every %" PRIu64 " ms\n", dev->config.block_interval_ms);
    }
    (void)printf("Data directory:    %s%s\n", dev->dir.path,
                 dev->datadir == NULL ? " (removed at the end)" : "");
    (void)printf("\nHTTP:              http://%s:%u\nWebSocket:         ws://%s:%u\n"
                 "Metrics:           http://%s:%u/metrics\n\n",
                 host, port, host, port, host, port);
    (void)printf("Listening on http://%s:%u\n", host, port);
    (void)fflush(stdout);
}

/* ---- running ---- */

static int serve(struct dev *dev, struct sb_arena *arena)
{
    struct sb_diag diag = {.text = ""};
    struct sb_service *service = NULL;
    struct sb_logger log = sb_config_logger(&dev->config);
    if (sb_dev_accounts_derive(dev->accounts, dev->account_count + 1, &diag) != SB_OK ||
        open_chain(dev, arena, &diag) != SB_OK) {
        return sb_cli_fail(&diag);
    }
    const struct sb_service_options options = {.dir = &dev->dir,
                                               .config = &dev->config,
                                               .genesis = &dev->genesis,
                                               .key = &dev->key,
                                               .log = &log};
    if (sb_service_start(&service, &options, &diag) != SB_OK) {
        return sb_cli_fail(&diag);
    }
    if (!dev->silent) {
        print_banner(dev, sb_service_port(service));
    }
    sb_err err = sb_service_wait(service, &diag);
    sb_service_stop(service);
    return sb_service_end(err, &diag);
}

/* A directory of its own below TMPDIR, removed at the end, whatever the end is. */
static int serve_temporary(struct dev *dev, struct sb_arena *arena)
{
    struct sb_diag diag = {.text = ""};
    char path[SB_PATH_BYTES];
    const char *base = getenv("TMPDIR");
    int len = snprintf(path, sizeof path, "%s/samebit-dev-XXXXXX",
                       base != NULL && *base != '\0' ? base : "/tmp");
    if (len < 0 || (size_t)len >= sizeof path || mkdtemp(path) == NULL) {
        return sb_cli_failf("no temporary directory can be made; give one with --datadir");
    }
    int status = SB_EXIT_FAILED;
    if (sb_datadir_paths(&dev->dir, path, &diag) == SB_OK) {
        status = serve(dev, arena);
    } else {
        status = sb_cli_fail(&diag);
    }
    if (sb_dir_remove(path, &diag) != SB_OK) {
        return sb_cli_fail(&diag);
    }
    return status;
}

static int dev_main(struct dev *dev, const struct sb_config_flags *flags)
{
    struct sb_diag diag = {.text = ""};
    struct sb_arena arena;
    sb_config_default(&dev->config);
    (void)snprintf(dev->config.log_level, sizeof dev->config.log_level, DEFAULT_LEVEL);
    if (sb_config_apply(&dev->config, flags, &diag) != SB_OK) {
        return sb_cli_usage(k_usage.command, "%s", diag.text);
    }
    dev->config.instant_blocks = dev->block_time_ms == 0;
    dev->config.block_interval_ms = dev->block_time_ms;
    sb_arena_init(&arena, ARENA_BYTES);
    int status = SB_EXIT_FAILED;
    if (dev->datadir == NULL) {
        status = serve_temporary(dev, &arena);
    } else if (sb_datadir_paths(&dev->dir, dev->datadir, &diag) == SB_OK) {
        status = serve(dev, &arena);
    } else {
        status = sb_cli_fail(&diag);
    }
    sb_arena_fini(&arena);
    return status;
}

/* The node's settings as options, but for those that --block-time stands for. Returns how many. */
static size_t config_options(struct sb_option *ret_options, struct sb_config_flags *flags)
{
    struct sb_option all[SB_CONFIG_COUNT];
    size_t count = 0;
    sb_config_options(all, flags);
    for (size_t i = 0; i < SB_CONFIG_COUNT; i++) {
        if (i == SB_CONFIG_INDEX_log_level) {
            all[i].help = "error, warn, info, debug or trace (" DEFAULT_LEVEL ")";
        }
        if (i != SB_CONFIG_INDEX_instant_blocks && i != SB_CONFIG_INDEX_block_interval_ms) {
            ret_options[count++] = all[i];
        }
    }
    return count;
}

int sb_cmd_dev(int argc, char **argv)
{
    static struct dev dev = {.account_count = 10, .balance = "10000"};
    struct sb_config_flags flags;
    struct sb_operands operands;
    const struct sb_option own[] = {
        {"datadir", SB_OPTION_TEXT, &dev.datadir, "DIR",
         "keep the chain here; a chain that is there is continued", 0, 0},
        {"block-time", SB_OPTION_SECONDS, &dev.block_time_ms, "S",
         "a block every S seconds (such as 1 or 0.5); 0, the default: instant blocks", 0,
         BLOCK_TIME_MAX},
        {"accounts", SB_OPTION_U64, &dev.account_count, "N", "funded accounts (10)", 1,
         SB_DEV_ACCOUNTS_MAX},
        {"balance", SB_OPTION_TEXT, &dev.balance, "ETH", "balance of each (10000)", 0, 0},
        {"chain-id", SB_OPTION_U64, &dev.chain_id, "N", "chain id (23296)", 1,
         UINT64_C(4503599627370476)},
        {"staking", SB_OPTION_TEXTS, &dev.staking, "NAME=VALUE",
         "a parameter of staking, such as unbondingSeconds=60; repeat for more", 0, 0},
        {"no-staking", SB_OPTION_FLAG, &dev.no_staking, NULL,
         "nobody stakes, earns or is slashed; the tips go to an account", 0, 0},
        {"silent", SB_OPTION_FLAG, &dev.silent, NULL, "print nothing", 0, 0},
    };
    enum { OWN_COUNT = sizeof own / sizeof own[0] };
    struct sb_option options[OWN_COUNT + SB_CONFIG_COUNT];
    int status = SB_EXIT_OK;
    sb_config_flags_init(&flags);
    memcpy(options, own, sizeof own);
    size_t count = OWN_COUNT + config_options(options + OWN_COUNT, &flags);
    if (!sb_options_read(&operands, &status, &k_usage, options, count, 0, 0, argc, argv)) {
        return status;
    }
    status = dev_main(&dev, &flags);
    sodium_memzero(&dev, sizeof dev);
    return status;
}
