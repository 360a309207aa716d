/* cmd_init.c: `samebit init`: the data directory of a new chain with this machine's validator in it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/codec/hex.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/datadir.h"
#include "node/units.h"

#define VALIDATORS_MAX 128
#define ARENA_BYTES    ((size_t)64 << 20)

static const struct sb_usage k_usage = {
    "init", "--datadir DIR --alloc 0xADDRESS=AMOUNT [options]",
    "Make a data directory: a new validator key, genesis.json, config.json, an empty signing "
    "journal and the\n"
    "database with the genesis block. The validator of this directory is part of the chain.",
    "  samebit init --datadir ./chain --alloc 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266=1000000\n"
    "  samebit init --datadir ./chain --chain-id 4711 --alloc 0x...=1 --governor 0x... "
    "--block-interval 2\n"};

struct request {
    const char *path;
    uint64_t chain_id;
    uint64_t interval_ms;
    uint64_t gas_limit;
    uint64_t timestamp;
    const char *fee_recipient;
    const char *governor;
    struct sb_texts alloc;
    struct sb_texts validators;
};

static sb_err read_alloc(struct sb_genesis_account *ret_accounts, const struct request *request,
                         struct sb_diag *diag)
{
    for (size_t i = 0; i < request->alloc.count; i++) {
        struct sb_genesis_account *account = &ret_accounts[i];
        *account = (struct sb_genesis_account){.origin = SB_ORIGIN_ALLOC};
        sb_err err =
            sb_alloc_parse(&account->addr, &account->balance, request->alloc.items[i], diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "--alloc");
            return err;
        }
    }
    return SB_OK;
}

static sb_err read_addr(sb_addr *ret, const char *name, const char *text, struct sb_diag *diag)
{
    sb_err err = sb_addr_parse(ret, text, diag);
    if (err != SB_OK) {
        sb_diag_prefix(diag, "--%s", name);
    }
    return err;
}

/* The validators: this directory's own, then those that were given. */
static sb_err read_validators(uint8_t (*ret_keys)[SB_ED25519_PUBLIC_BYTES],
                              const struct request *request, const struct sb_validator_key *own,
                              struct sb_diag *diag)
{
    memcpy(ret_keys[0], own->public_key, sizeof ret_keys[0]);
    if (request->validators.count >= VALIDATORS_MAX) {
        return sb_fail(diag, SB_E_RANGE, "--validator-key: more than %d", VALIDATORS_MAX - 1);
    }
    for (size_t i = 0; i < request->validators.count; i++) {
        const char *text = request->validators.items[i];
        if (sb_hex_parse(ret_keys[1 + i], sizeof ret_keys[0], text, strlen(text)) != SB_OK) {
            return sb_fail(diag, SB_E_SYNTAX,
                           "--validator-key: \"%.80s\" is not 0x and 64 hexadecimal digits", text);
        }
    }
    return SB_OK;
}

static sb_err make(const struct sb_datadir *dir, const struct request *request,
                   struct sb_arena *arena, struct sb_validator_key *key, struct sb_diag *diag)
{
    struct sb_genesis_account *alloc = sb_arena_array(arena, SB_TEXTS_MAX, sizeof *alloc);
    uint8_t(*validators)[SB_ED25519_PUBLIC_BYTES] =
        sb_arena_array(arena, VALIDATORS_MAX, sizeof *validators);
    if (alloc == NULL || validators == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    struct sb_new_chain chain = {.chain_id = request->chain_id,
                                 .timestamp = request->timestamp,
                                 .min_block_interval_ms = request->interval_ms,
                                 .gas_limit = request->gas_limit,
                                 .alloc = alloc,
                                 .alloc_count = request->alloc.count,
                                 .validators =
                                     (const uint8_t(*)[SB_ED25519_PUBLIC_BYTES])validators,
                                 .validator_count = 1 + request->validators.count};
    struct sb_genesis genesis;
    static struct sb_config config;
    SB_TRY(read_alloc(alloc, request, diag));
    chain.fee_recipient = alloc[0].addr;
    if (request->fee_recipient != NULL) {
        SB_TRY(read_addr(&chain.fee_recipient, "fee-recipient", request->fee_recipient, diag));
    }
    if (request->governor != NULL) {
        SB_TRY(read_addr(&chain.governor, "governor", request->governor, diag));
    }
    sb_validator_key_new(key);
    SB_TRY(read_validators(validators, request, key, diag));
    SB_TRY(sb_new_chain_genesis(&genesis, arena, &chain, diag));
    sb_config_default(&config);
    return sb_datadir_create(dir, &genesis, key, &config, diag);
}

static int report(const struct sb_datadir *dir, const struct sb_validator_key *key,
                  const struct request *request)
{
    char text[SB_HEX_TEXT_BYTES(SB_ED25519_PUBLIC_BYTES)];
    (void)sb_hex_format(text, sb_span(key->public_key, sizeof key->public_key));
    (void)printf("made %s: chain %" PRIu64 ", validator key %s\nrun it with: samebit run "
                 "--datadir %s\n",
                 dir->path, request->chain_id, text, dir->path);
    return SB_EXIT_OK;
}

int sb_cmd_init(int argc, char **argv)
{
    uv_timeval64_t now = {0};
    (void)uv_gettimeofday(&now);
    static struct request r;
    r = (struct request){.chain_id = SB_DEV_CHAIN_ID,
                         .interval_ms = sb_params_default().min_block_interval_ms,
                         .gas_limit = sb_params_default().gas_limit,
                         .timestamp = (uint64_t)now.tv_sec};
    const struct sb_option options[] = {
        {"datadir", SB_OPTION_TEXT, &r.path, "DIR", "directory to make; new or empty", 0, 0},
        {"alloc", SB_OPTION_TEXTS, &r.alloc, "ADDR=AMOUNT",
         "an account's first balance, in ether; repeat for more", 0, 0},
        {"chain-id", SB_OPTION_U64, &r.chain_id, "N", "chain id that signatures carry (23296)", 1,
         UINT64_C(4503599627370476)},
        {"validator-key", SB_OPTION_TEXTS, &r.validators, "0xKEY",
         "public key of a further validator; repeat for more", 0, 0},
        {"fee-recipient", SB_OPTION_TEXT, &r.fee_recipient, "ADDR",
         "account that gets the tips (the first --alloc)", 0, 0},
        {"governor", SB_OPTION_TEXT, &r.governor, "ADDR",
         "account that may change the chain's parameters (none)", 0, 0},
        {"block-interval", SB_OPTION_SECONDS, &r.interval_ms, "S",
         "least time between two blocks, in seconds (1)", 0, 3600000},
        {"gas-limit", SB_OPTION_U64, &r.gas_limit, "N", "gas of a block (30000000)", 5000000,
         1000000000},
        {"timestamp", SB_OPTION_U64, &r.timestamp, "N",
         "Unix time of the genesis block, in seconds (now)", 0, UINT64_C(9000000000000)},
    };
    struct sb_operands operands;
    struct sb_datadir dir;
    struct sb_validator_key key;
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_usage, options, sizeof options / sizeof options[0],
                         0, 0, argc, argv)) {
        return status;
    }
    if (r.path == NULL || r.alloc.count == 0) {
        return sb_cli_usage(k_usage.command, "--%s is missing",
                            r.path == NULL ? "datadir" : "alloc");
    }
    struct sb_arena arena;
    sb_arena_init(&arena, ARENA_BYTES);
    sb_err err = sb_datadir_paths(&dir, r.path, &diag);
    err = err == SB_OK ? make(&dir, &r, &arena, &key, &diag) : err;
    sb_arena_fini(&arena);
    return err == SB_OK ? report(&dir, &key, &r) : sb_cli_fail(&diag);
}
