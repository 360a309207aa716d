/* datadir.c: see datadir.h. */
#include "node/datadir.h"

#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/codec/hex.h"
#include "node/chain.h"
#include "node/genesis_json.h"
#include "node/predeploys.h"
#include "storage/journal.h"

#define DIR_MODE            0700
#define KEY_FILE_BYTES_MAX  ((size_t)4096)
#define GENESIS_ARENA_BYTES ((size_t)1 << 30)

sb_err sb_datadir_paths(struct sb_datadir *ret_dir, const char *path, struct sb_diag *diag)
{
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof ret_dir->path) {
        return sb_fail(diag, SB_E_LIMIT, "the path of the data directory is empty or too long");
    }
    memcpy(ret_dir->path, path, len + 1);
    SB_TRY(sb_path_join(ret_dir->config, path, "config.json", diag));
    SB_TRY(sb_path_join(ret_dir->genesis, path, "genesis.json", diag));
    SB_TRY(sb_path_join(ret_dir->keys, path, "keys", diag));
    SB_TRY(sb_path_join(ret_dir->validator_key, path, "keys/validator.json", diag));
    SB_TRY(sb_path_join(ret_dir->node_key, path, "keys/node.json", diag));
    SB_TRY(sb_path_join(ret_dir->unused, path, "keys/unused", diag));
    SB_TRY(sb_path_join(ret_dir->addresses, path, "addresses", diag));
    SB_TRY(sb_path_join(ret_dir->journal, path, "journal", diag));
    SB_TRY(sb_path_join(ret_dir->inputs, path, "inputs", diag));
    SB_TRY(sb_path_join(ret_dir->snapshots, path, "snapshots", diag));
    return sb_path_join(ret_dir->db, path, "db", diag);
}

bool sb_datadir_has_chain(const struct sb_datadir *dir)
{
    return sb_file_exists(dir->genesis);
}

/* ---- validator key ---- */

void sb_validator_key_new(struct sb_validator_key *ret_key)
{
    uint8_t seed[SB_ED25519_SEED_BYTES];
    randombytes_buf(seed, sizeof seed);
    sb_ed25519_keypair(ret_key->public_key, ret_key->secret, seed);
    sodium_memzero(seed, sizeof seed);
}

static sb_err parse_key(struct sb_validator_key *ret_key, const json_t *root, struct sb_diag *diag)
{
    const char *type = NULL;
    const char *seed_text = NULL;
    uint8_t seed[SB_ED25519_SEED_BYTES];
    if (json_unpack((json_t *)(uintptr_t)root, "{s:s, s:s !}", "keyType", &type, "seed",
                    &seed_text) != 0) {
        return sb_fail(diag, SB_E_TYPE, "must be an object with keyType and seed, and no more");
    }
    if (strcmp(type, "ed25519") != 0) {
        return sb_fail(diag, SB_E_UNSUPPORTED, "keyType: only ed25519 is known");
    }
    if (sb_hex_parse(seed, sizeof seed, seed_text, strlen(seed_text)) != SB_OK) {
        return sb_fail(diag, SB_E_SYNTAX, "seed: must be 0x and 64 hexadecimal digits");
    }
    sb_ed25519_keypair(ret_key->public_key, ret_key->secret, seed);
    sodium_memzero(seed, sizeof seed);
    return SB_OK;
}

sb_err sb_validator_key_parse(struct sb_validator_key *ret_key, sb_bytes text, struct sb_diag *diag)
{
    json_error_t error;
    json_t *root = json_loadb(text.len != 0 ? (const char *)text.data : "", text.len,
                              JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        return sb_fail(diag, SB_E_SYNTAX, "line %d: %s", error.line, error.text);
    }
    sb_err err = parse_key(ret_key, root, diag);
    json_decref(root);
    return err;
}

void sb_validator_key_emit(struct sb_buf *out, const struct sb_validator_key *key)
{
    char seed[SB_HEX_TEXT_BYTES(SB_ED25519_SEED_BYTES)];
    (void)sb_hex_format(seed, sb_span(key->secret, SB_ED25519_SEED_BYTES));
    sb_buf_addf(out, "{\"keyType\": \"ed25519\", \"seed\": \"%s\"}\n", seed);
    sodium_memzero(seed, sizeof seed);
}

/* ---- genesis ---- */

static int compare_accounts(const void *a, const void *b)
{
    const struct sb_genesis_account *x = a;
    const struct sb_genesis_account *y = b;
    return memcmp(x->addr.b, y->addr.b, sizeof x->addr.b);
}

static sb_err set_validators(struct sb_genesis *genesis, struct sb_arena *arena,
                             const struct sb_new_chain *chain, struct sb_diag *diag)
{
    struct sb_validator *validators =
        sb_arena_array(arena, chain->validator_count, sizeof *validators);
    if (validators == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < chain->validator_count; i++) {
        const struct sb_new_validator *v = &chain->validators[i];
        if (v->power == 0 || v->power > SB_TOTAL_POWER_MAX) {
            return sb_fail(diag, SB_E_RANGE, "a validator's power must lie in 1 to %" PRId64,
                           SB_TOTAL_POWER_MAX);
        }
        validators[i] = (struct sb_validator){.key = sb_pubkey_ed25519(v->public_key),
                                              .power = (int64_t)v->power};
    }
    return sb_validator_set_make(&genesis->validators, validators, chain->validator_count, diag);
}

/* check_operator: each validator has one of its own. */
static sb_err check_operator(const struct sb_new_chain *chain, size_t index, struct sb_diag *diag)
{
    const struct sb_new_validator *validators = chain->validators;
    char key[SB_HEX_TEXT_BYTES(SB_ED25519_PUBLIC_BYTES)];
    (void)sb_hex_format(key, sb_span(validators[index].public_key, SB_ED25519_PUBLIC_BYTES));
    if (sb_addr_is_zero(&validators[index].operator_addr)) {
        return sb_fail(diag, SB_E_ARG,
                       "validator %s has no operator: name the account that owns its stake, or "
                       "make a chain without staking",
                       key);
    }
    for (size_t i = 0; i < index; i++) {
        if (sb_addr_equal(&validators[i].operator_addr, &validators[index].operator_addr)) {
            return sb_fail(diag, SB_E_EXISTS, "validator %s has the operator of another validator",
                           key);
        }
    }
    return SB_OK;
}

/* list_operators: the validators as Staking is told of them. */
static sb_err list_operators(const struct sb_genesis_operator **ret_list, struct sb_arena *arena,
                             const struct sb_new_chain *chain, struct sb_diag *diag)
{
    struct sb_genesis_operator *list = sb_arena_array(arena, chain->validator_count, sizeof *list);
    if (list == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < chain->validator_count; i++) {
        const struct sb_new_validator *v = &chain->validators[i];
        SB_TRY(check_operator(chain, i, diag));
        list[i] = (struct sb_genesis_operator){
            .power = v->power, .addr = v->operator_addr, .commission_bps = v->commission_bps};
        memcpy(list[i].key, v->public_key, sizeof list[i].key);
        memcpy(list[i].moniker, v->moniker, sizeof list[i].moniker);
    }
    *ret_list = list;
    return SB_OK;
}

sb_err sb_new_chain_genesis(struct sb_genesis *ret_genesis, struct sb_arena *arena,
                            const struct sb_new_chain *chain, struct sb_diag *diag)
{
    struct sb_genesis genesis = {.timestamp = chain->timestamp,
                                 .gas_limit = chain->gas_limit,
                                 .is_samebit = true,
                                 .params = sb_params_default(),
                                 .fee_recipient = chain->fee_recipient,
                                 .coinbase = chain->fee_recipient};
    struct sb_genesis_account *accounts =
        sb_arena_array(arena, chain->alloc_count, sizeof *accounts);
    if (accounts == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    SB_TRY(set_validators(&genesis, arena, chain, diag));
    genesis.config.chain_id = chain->chain_id;
    for (size_t i = SB_FORK_BPO1; i < SB_FORK_COUNT; i++) {
        genesis.config.forks[i] = SB_FORK_NEVER;
    }
    genesis.params.gas_limit = chain->gas_limit;
    genesis.params.min_block_interval_ms = chain->min_block_interval_ms;
    sb_copy(accounts, chain->alloc, chain->alloc_count * sizeof *accounts);
    qsort(accounts, chain->alloc_count, sizeof *accounts, compare_accounts);
    genesis.accounts = accounts;
    genesis.account_count = chain->alloc_count;
    struct sb_predeploy_options predeploys = {.governor = chain->governor,
                                              .deposit_per_byte = SB_DEPOSIT_PER_BYTE_DEFAULT,
                                              .operator_count = chain->validator_count,
                                              .staking = chain->staking};
    if (chain->has_staking) {
        SB_TRY(list_operators(&predeploys.operators, arena, chain, diag));
    }
    SB_TRY(sb_predeploys_add(&genesis, arena, &predeploys, diag));
    SB_TRY(sb_genesis_add_protocol_accounts(&genesis, arena, diag));
    SB_TRY(sb_genesis_check(&genesis, diag));
    *ret_genesis = genesis;
    return SB_OK;
}

/* ---- creation ---- */

static sb_err write_key(const struct sb_datadir *dir, const char *path,
                        const struct sb_validator_key *key, struct sb_diag *diag)
{
    uint8_t memory[256];
    struct sb_buf text = sb_buf_over(memory, sizeof memory);
    SB_TRY(sb_dir_make(dir->keys, DIR_MODE, diag));
    sb_validator_key_emit(&text, key);
    sb_err err = sb_file_replace(path, sb_buf_bytes(&text), 0600, diag);
    sodium_memzero(memory, sizeof memory);
    return err;
}

static sb_err make_node_key(struct sb_validator_key *ret_key, const struct sb_datadir *dir,
                            struct sb_diag *diag)
{
    struct sb_validator_key key;
    sb_validator_key_new(&key);
    sb_err err = write_key(dir, dir->node_key, &key, diag);
    if (err == SB_OK) {
        *ret_key = key;
    }
    sodium_memzero(&key, sizeof key);
    return err;
}

static sb_err make_journal(const struct sb_datadir *dir, const struct sb_genesis *genesis,
                           const struct sb_validator_key *key, struct sb_diag *diag)
{
    struct sb_journal_identity identity;
    struct sb_journal_recovery recovery;
    struct sb_journal *journal = NULL;
    SB_TRY(sb_genesis_hash(&identity.genesis_hash, genesis));
    memcpy(identity.public_key, key->public_key, sizeof identity.public_key);
    SB_TRY(sb_dir_make(dir->journal, DIR_MODE, diag));
    SB_TRY(sb_journal_open_folder(&journal, dir->journal, &identity, true, &recovery, diag));
    sb_journal_close(journal);
    return SB_OK;
}

static sb_err make_database(const struct sb_datadir *dir, const struct sb_genesis *genesis,
                            struct sb_diag *diag)
{
    struct sb_chain *chain = NULL;
    const struct sb_chain_options options = {.db_dir = dir->db, .genesis = genesis, .create = true};
    SB_TRY(sb_dir_make(dir->db, DIR_MODE, diag));
    SB_TRY(sb_chain_open(&chain, &options, diag));
    sb_chain_close(chain);
    return SB_OK;
}

static sb_err write_text(const char *path, const struct sb_buf *text, struct sb_diag *diag)
{
    sb_err err = sb_buf_err(text);
    return err == SB_OK ? sb_file_replace(path, sb_buf_bytes(text), 0644, diag)
                        : sb_fail(diag, err, "%s: %s", path, sb_err_text(err));
}

sb_err sb_datadir_store_config(const struct sb_datadir *dir, const struct sb_config *config,
                               struct sb_diag *diag)
{
    struct sb_buf text;
    sb_buf_init(&text, 2 * SB_CONFIG_FILE_BYTES_MAX);
    sb_config_emit(&text, config);
    sb_err err = write_text(dir->config, &text, diag);
    sb_buf_fini(&text);
    return err;
}

static sb_err write_genesis(const struct sb_datadir *dir, const struct sb_genesis *genesis,
                            struct sb_diag *diag)
{
    struct sb_buf text;
    sb_buf_init(&text, SB_GENESIS_JSON_BYTES_MAX);
    sb_genesis_emit(&text, genesis);
    sb_err err = write_text(dir->genesis, &text, diag);
    sb_buf_fini(&text);
    return err;
}

/* check_new: nothing is there but, perhaps, keys that have not been used. */
static sb_err check_new(const struct sb_datadir *dir, struct sb_diag *diag)
{
    return sb_file_exists(dir->unused) ? sb_dir_check_only(dir->path, "keys", diag)
                                       : sb_dir_check_only(dir->path, NULL, diag);
}

sb_err sb_datadir_make_keys(struct sb_validator_key *ret_key, struct sb_validator_key *ret_node_key,
                            const struct sb_datadir *dir, struct sb_diag *diag)
{
    SB_TRY(sb_dir_check_only(dir->path, NULL, diag));
    SB_TRY(sb_dir_make(dir->path, DIR_MODE, diag));
    sb_validator_key_new(ret_key);
    SB_TRY(write_key(dir, dir->validator_key, ret_key, diag));
    SB_TRY(make_node_key(ret_node_key, dir, diag));
    return sb_file_replace(dir->unused, sb_span_str(""), 0600, diag);
}

sb_err sb_datadir_take_key(struct sb_validator_key *ret_key, const struct sb_datadir *dir,
                           struct sb_diag *diag)
{
    SB_TRY(check_new(dir, diag));
    if (sb_file_exists(dir->unused)) {
        return sb_datadir_load_key(ret_key, dir, diag);
    }
    sb_validator_key_new(ret_key);
    return SB_OK;
}

static sb_err make_keys_files(const struct sb_datadir *dir, const struct sb_validator_key *key,
                              struct sb_diag *diag)
{
    struct sb_validator_key node_key;
    SB_TRY(write_key(dir, dir->validator_key, key, diag));
    sb_err err = sb_datadir_node_key(&node_key, dir, diag);
    sodium_memzero(&node_key, sizeof node_key);
    return err;
}

sb_err sb_datadir_create(const struct sb_datadir *dir, const struct sb_genesis *genesis,
                         const struct sb_validator_key *key, const struct sb_config *config,
                         struct sb_diag *diag)
{
    SB_TRY(check_new(dir, diag));
    SB_TRY(sb_dir_make(dir->path, DIR_MODE, diag));
    SB_TRY(make_keys_files(dir, key, diag));
    SB_TRY(make_journal(dir, genesis, key, diag));
    (void)unlink(dir->unused); /* from now on the journal says what was signed */
    SB_TRY(make_database(dir, genesis, diag));
    SB_TRY(sb_datadir_store_config(dir, config, diag));
    return write_genesis(dir, genesis, diag);
}

/* ---- reading ---- */

typedef sb_err (*parse_fn)(void *ctx, sb_bytes text, struct sb_diag *diag);

static sb_err load(const char *path, size_t bytes_max, parse_fn parse, void *ctx,
                   struct sb_diag *diag)
{
    struct sb_buf text;
    sb_buf_init(&text, bytes_max);
    sb_err err = sb_file_read(&text, path, diag);
    if (err == SB_OK) {
        err = parse(ctx, sb_buf_bytes(&text), diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "%s", path);
        }
    }
    sb_buf_fini(&text);
    return err;
}

static sb_err parse_config_text(void *ctx, sb_bytes text, struct sb_diag *diag)
{
    return sb_config_parse(ctx, text, diag);
}

static sb_err parse_key_text(void *ctx, sb_bytes text, struct sb_diag *diag)
{
    return sb_validator_key_parse(ctx, text, diag);
}

struct genesis_place {
    struct sb_genesis *genesis;
    struct sb_arena *arena;
};

static sb_err parse_genesis_text(void *ctx, sb_bytes text, struct sb_diag *diag)
{
    const struct genesis_place *place = ctx;
    return sb_genesis_parse(place->genesis, place->arena, text, diag);
}

sb_err sb_datadir_load_config(struct sb_config *config, const struct sb_datadir *dir,
                              struct sb_diag *diag)
{
    return load(dir->config, SB_CONFIG_FILE_BYTES_MAX, parse_config_text, config, diag);
}

sb_err sb_genesis_load(struct sb_genesis *ret_genesis, struct sb_arena *arena, const char *path,
                       struct sb_diag *diag)
{
    struct genesis_place place = {ret_genesis, arena};
    return load(path, SB_GENESIS_JSON_BYTES_MAX, parse_genesis_text, &place, diag);
}

sb_err sb_genesis_load_domain(struct sb_chain_domain *ret_domain, const char *path,
                              struct sb_diag *diag)
{
    struct sb_arena arena;
    struct sb_genesis genesis;
    struct sb_chain_domain domain;
    sb_arena_init(&arena, GENESIS_ARENA_BYTES);
    sb_err err = sb_genesis_load(&genesis, &arena, path, diag);
    err = err == SB_OK ? sb_genesis_hash(&domain.genesis_hash, &genesis) : err;
    if (err == SB_OK) {
        domain.chain_id = genesis.config.chain_id;
        *ret_domain = domain;
    }
    sb_arena_fini(&arena);
    return err;
}

sb_err sb_datadir_load_genesis(struct sb_genesis *ret_genesis, struct sb_arena *arena,
                               const struct sb_datadir *dir, struct sb_diag *diag)
{
    if (!sb_datadir_has_chain(dir)) {
        return sb_fail(diag, SB_E_NOT_FOUND,
                       "%s has no chain; make one with: samebit init --datadir %s", dir->path,
                       dir->path);
    }
    return sb_genesis_load(ret_genesis, arena, dir->genesis, diag);
}

sb_err sb_datadir_load_key(struct sb_validator_key *ret_key, const struct sb_datadir *dir,
                           struct sb_diag *diag)
{
    return load(dir->validator_key, KEY_FILE_BYTES_MAX, parse_key_text, ret_key, diag);
}

sb_err sb_datadir_node_key(struct sb_validator_key *ret_key, const struct sb_datadir *dir,
                           struct sb_diag *diag)
{
    if (!sb_file_exists(dir->node_key)) {
        return make_node_key(ret_key, dir, diag);
    }
    return load(dir->node_key, KEY_FILE_BYTES_MAX, parse_key_text, ret_key, diag);
}
