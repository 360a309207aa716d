/* cmd_init.c: `samebit init`: the data directory of a node, in one go or, for a chain of several machines, in two:
 *
 *     every machine    init --datadir D                                  keys only; prints the validator's public key
 *     one of them      init --datadir D --alloc ... --validator KEY ...  the chain: genesis.json, which the others copy
 *     the others       init --datadir D --genesis FILE                   the same chain
 */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/codec/hex.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/staking_options.h"
#include "node/units.h"

#define VALIDATORS_MAX 128
#define ARENA_BYTES    ((size_t)1 << 30)

static const struct sb_usage k_usage = {
    "init", "--datadir DIR [--alloc 0xADDRESS=AMOUNT ... | --genesis FILE] [options]",
    "Make a data directory: validator key and node key, genesis.json, config.json, an empty "
    "signing journal and\n"
    "the database with the genesis block. With --alloc the chain is new, and the validator of this "
    "directory is\n"
    "part of it; with --genesis it is a chain that others have made. With neither, only the keys "
    "are made, so\n"
    "that the maker of the chain can be told the public key; a second init then adds the rest.",
    "  samebit init --datadir ./chain --alloc 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266=1000000\n"
    "  samebit init --datadir ./chain --chain-id 4711 --alloc 0x...=1 --governor 0x... "
    "--block-interval 2\n"
    "  samebit init --datadir ./chain\n"
    "  samebit init --datadir ./chain --alloc 0x...=1 --operator 0x... --validator "
    "0xKEY:1000:0xOPERATOR:5\n"
    "  samebit init --datadir ./chain --alloc 0x...=1 --no-staking --validator 0xKEY:3\n"
    "  samebit init --datadir ./chain --genesis ./genesis.json\n"};

struct request {
    const char *path;
    const char *genesis;
    uint64_t chain_id;
    uint64_t interval_ms;
    uint64_t gas_limit;
    uint64_t timestamp;
    const char *fee_recipient;
    const char *governor;
    const char *own_operator;
    bool no_staking;
    struct sb_texts alloc;
    struct sb_texts validators;
    struct sb_texts staking;
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

/* read_own: this directory's validator, where the options do not name it; its operator is the first account unless another is named. */
static sb_err read_own(struct sb_new_validator *own, const struct request *request,
                       const sb_addr *first_account, struct sb_diag *diag)
{
    if (request->own_operator != NULL) {
        sb_err err = sb_new_operator_read(own, request->own_operator, diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "--operator");
        }
        return err;
    }
    if (sb_addr_is_zero(&own->operator_addr)) {
        own->operator_addr = *first_account;
    }
    return SB_OK;
}

/* read_validators: those that were given, and this directory's own, unless it is among them. */
static sb_err read_validators(struct sb_new_validator *ret_list, size_t *ret_count,
                              const struct request *request, const struct sb_validator_key *key,
                              const sb_addr *first_account, struct sb_diag *diag)
{
    struct sb_new_validator *own = NULL;
    size_t count = request->validators.count;
    if (count >= VALIDATORS_MAX) {
        return sb_fail(diag, SB_E_RANGE, "--validator: more than %d", VALIDATORS_MAX - 1);
    }
    for (size_t i = 0; i < count; i++) {
        sb_err err = sb_new_validator_read(&ret_list[i], request->validators.items[i], diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "--validator");
            return err;
        }
        if (memcmp(ret_list[i].public_key, key->public_key, sizeof key->public_key) == 0) {
            own = &ret_list[i];
        }
    }
    if (own == NULL) {
        own = &ret_list[count++];
        *own = (struct sb_new_validator){.power = SB_NEW_VALIDATOR_POWER};
        memcpy(own->public_key, key->public_key, sizeof own->public_key);
    }
    *ret_count = count;
    return request->no_staking ? SB_OK : read_own(own, request, first_account, diag);
}

/* new_genesis: the chain that the options describe. */
static sb_err new_genesis(struct sb_genesis *ret_genesis, struct sb_arena *arena,
                          const struct request *request, const struct sb_validator_key *key,
                          struct sb_diag *diag)
{
    struct sb_genesis_account *alloc = sb_arena_array(arena, SB_TEXTS_MAX, sizeof *alloc);
    struct sb_new_validator *validators = sb_arena_array(arena, VALIDATORS_MAX, sizeof *validators);
    if (alloc == NULL || validators == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    struct sb_new_chain chain = {.chain_id = request->chain_id,
                                 .timestamp = request->timestamp,
                                 .min_block_interval_ms = request->interval_ms,
                                 .gas_limit = request->gas_limit,
                                 .alloc = alloc,
                                 .alloc_count = request->alloc.count,
                                 .validators = validators,
                                 .has_staking = !request->no_staking};
    SB_TRY(sb_staking_texts_read(&chain.staking, &request->staking, diag));
    SB_TRY(read_alloc(alloc, request, diag));
    chain.fee_recipient = alloc[0].addr;
    if (request->fee_recipient != NULL) {
        SB_TRY(read_addr(&chain.fee_recipient, "fee-recipient", request->fee_recipient, diag));
    }
    if (request->governor != NULL) {
        SB_TRY(read_addr(&chain.governor, "governor", request->governor, diag));
    }
    SB_TRY(read_validators(validators, &chain.validator_count, request, key, &alloc[0].addr, diag));
    return sb_new_chain_genesis(ret_genesis, arena, &chain, diag);
}

static void print_key(const char *before, const uint8_t key[SB_ED25519_PUBLIC_BYTES],
                      size_t skipped)
{
    char text[SB_HEX_TEXT_BYTES(SB_ED25519_PUBLIC_BYTES)];
    (void)printf("%s%s\n", before,
                 sb_hex_format(text, sb_span(key, SB_ED25519_PUBLIC_BYTES)) + skipped);
}

static sb_err make_keys(const struct sb_datadir *dir, struct sb_diag *diag)
{
    struct sb_validator_key key, node_key;
    SB_TRY(sb_datadir_make_keys(&key, &node_key, dir, diag));
    (void)printf("made the keys of %s\n", dir->path);
    print_key("validator key: ", key.public_key, 0);
    print_key("node id: ", node_key.public_key, 2);
    (void)printf("next, on one machine: samebit init --datadir %s --alloc ... --validator KEY ...\n"
                 "on the others:        samebit init --datadir %s --genesis FILE\n",
                 dir->path, dir->path);
    sodium_memzero(&key, sizeof key);
    sodium_memzero(&node_key, sizeof node_key);
    return SB_OK;
}

/* What the operators compare and pass on. */
static sb_err report(const struct sb_datadir *dir, const struct sb_genesis *genesis,
                     const struct sb_validator_key *key, struct sb_diag *diag)
{
    struct sb_validator_key node_key;
    sb_hash hash;
    char text[SB_HEX_TEXT_BYTES(sizeof hash.b)];
    int64_t power = 0;
    SB_TRY(sb_datadir_node_key(&node_key, dir, diag));
    sodium_memzero(node_key.secret, sizeof node_key.secret);
    SB_TRY(sb_genesis_hash(&hash, genesis));
    for (size_t i = 0; i < genesis->validators.count; i++) {
        const struct sb_validator *v = &genesis->validators.validators[i];
        if (memcmp(v->key.bytes, key->public_key, sizeof key->public_key) == 0) {
            power = v->power;
        }
    }
    (void)printf("made %s: chain %" PRIu64 ", genesis %s\n", dir->path, genesis->config.chain_id,
                 sb_hex_format(text, sb_span(hash.b, sizeof hash.b)));
    print_key("validator key: ", key->public_key, 0);
    print_key("node id: ", node_key.public_key, 2);
    if (power != 0) {
        (void)printf("power: %" PRId64 " of %" PRId64 ", %zu validators\n", power,
                     genesis->validators.total_power, genesis->validators.count);
    } else {
        (void)printf("power: none: this key is not among the %zu validators; the node follows the "
                     "chain\n",
                     genesis->validators.count);
    }
    (void)printf("run it with: samebit run --datadir %s\n", dir->path);
    return SB_OK;
}

static sb_err make(const struct sb_datadir *dir, const struct request *request,
                   struct sb_arena *arena, struct sb_diag *diag)
{
    static struct sb_config config;
    struct sb_validator_key key;
    struct sb_genesis genesis;
    if (request->alloc.count == 0 && request->genesis == NULL) {
        return make_keys(dir, diag);
    }
    SB_TRY(sb_datadir_take_key(&key, dir, diag));
    sb_err err = request->genesis != NULL ? sb_genesis_load(&genesis, arena, request->genesis, diag)
                                          : new_genesis(&genesis, arena, request, &key, diag);
    sb_config_default(&config);
    err = err == SB_OK ? sb_datadir_create(dir, &genesis, &key, &config, diag) : err;
    sodium_memzero(key.secret, sizeof key.secret);
    return err == SB_OK ? report(dir, &genesis, &key, diag) : err;
}

/* check_usage: "" or what the command line lacks. */
static const char *check_usage(const struct request *r)
{
    if (r->path == NULL) {
        return "--datadir is missing";
    }
    bool has_staking_options = r->own_operator != NULL || r->staking.count != 0;
    if (r->genesis != NULL &&
        (r->alloc.count != 0 || r->validators.count != 0 || r->fee_recipient != NULL ||
         r->governor != NULL || has_staking_options || r->no_staking)) {
        return "--genesis is a chain that is made already: --alloc, --validator, --fee-recipient, "
               "--governor, --operator, --staking and --no-staking are for a new one";
    }
    if (r->no_staking && has_staking_options) {
        return "--operator and --staking are for a chain with staking";
    }
    if (!r->no_staking && r->fee_recipient != NULL) {
        return "--fee-recipient is for a chain with --no-staking: else the fees go to the "
               "validators and their delegators";
    }
    if (r->genesis == NULL && r->alloc.count == 0 && r->validators.count != 0) {
        return "--alloc is missing";
    }
    return "";
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
        {"datadir", SB_OPTION_TEXT, &r.path, "DIR",
         "directory to make; new, empty, or with nothing but unused keys", 0, 0},
        {"alloc", SB_OPTION_TEXTS, &r.alloc, "ADDR=AMOUNT",
         "an account's first balance, in ether; repeat for more", 0, 0},
        {"genesis", SB_OPTION_TEXT, &r.genesis, "FILE",
         "the genesis.json of a chain that others have made", 0, 0},
        {"chain-id", SB_OPTION_U64, &r.chain_id, "N", "chain id that signatures carry (23296)", 1,
         UINT64_C(4503599627370476)},
        {"validator", SB_OPTION_TEXTS, &r.validators, "0xKEY[:POWER[:OPERATOR[:COMMISSION]]]",
         "a further validator, or this one's own: its key, its power and stake in coins (1000), "
         "the "
         "account that owns the stake, its commission in percent (0); repeat for more",
         0, 0},
        {"operator", SB_OPTION_TEXT, &r.own_operator, "ADDR[:COMMISSION]",
         "account that owns the stake of this directory's validator (the first --alloc)", 0, 0},
        {"staking", SB_OPTION_TEXTS, &r.staking, "NAME=VALUE",
         "a parameter of staking, such as unbondingSeconds=60; repeat for more", 0, 0},
        {"no-staking", SB_OPTION_FLAG, &r.no_staking, NULL,
         "the validators stay as they are: nobody stakes, earns or is slashed", 0, 0},
        {"fee-recipient", SB_OPTION_TEXT, &r.fee_recipient, "ADDR",
         "account that gets the tips with --no-staking (the first --alloc)", 0, 0},
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
    static struct sb_datadir dir;
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_usage, options, sizeof options / sizeof options[0],
                         0, 0, argc, argv)) {
        return status;
    }
    const char *lack = check_usage(&r);
    if (*lack != '\0') {
        return sb_cli_usage(k_usage.command, "%s", lack);
    }
    struct sb_arena arena;
    sb_arena_init(&arena, ARENA_BYTES);
    sb_err err = sb_datadir_paths(&dir, r.path, &diag);
    err = err == SB_OK ? make(&dir, &r, &arena, &diag) : err;
    sb_arena_fini(&arena);
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}
