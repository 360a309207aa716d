/* genesis_json.c: genesis.json read into struct sb_genesis; see genesis_json.h. genesis_emit.c writes it. Spec: docs/spec/genesis.md.
 *
 * Numbers may be JSON integers, decimal strings or "0x" strings, as geth takes them. Every error begins with the path of the member. */
#include "node/genesis_json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/codec/hex.h"

#define PATH_BYTES           128
#define SAMEBIT_MEMBERS_HELP "validators, params, feeRecipient, predeploys"

struct reader {
    struct sb_arena *arena;
    struct sb_diag *diag;
};

/* ---- values ---- */

/* parse_number: integer, decimal string or 0x string (leading zeros allowed, as in the public test data). */
static sb_err parse_number(sb_u256 *ret, const json_t *value)
{
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *ret = sb_u256_from_u64((uint64_t)json_integer_value(value));
        return SB_OK;
    }
    if (!json_is_string(value)) {
        return SB_E_TYPE;
    }
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (len >= 2 && text[0] == '0' && text[1] == 'x') {
        uint8_t bytes[32] = {0};
        char digits[64];
        size_t digit_count = len - 2;
        if (digit_count == 0 || digit_count > sizeof digits) {
            return SB_E_RANGE;
        }
        memset(digits, '0', sizeof digits);
        memcpy(digits + sizeof digits - digit_count, text + 2, digit_count);
        SB_TRY(sb_hex_decode(bytes, sizeof bytes, digits, sizeof digits));
        *ret = sb_u256_load_be(bytes, sizeof bytes);
        return SB_OK;
    }
    return sb_u256_parse_decimal(ret, text, len) ? SB_OK : SB_E_SYNTAX;
}

/* Readers of a member: an absent one (or null) leaves *ret as it is and succeeds; need() is for those that must be there. */

static bool given(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return value != NULL && !json_is_null(value);
}

static sb_err need(const struct reader *r, const json_t *object, const char *path, const char *name)
{
    if (!given(object, name)) {
        return sb_fail(r->diag, SB_E_NOT_FOUND, "%s%s: is missing, add it", path, name);
    }
    return SB_OK;
}

static sb_err read_u256(const struct reader *r, sb_u256 *ret, const json_t *object,
                        const char *path, const char *name)
{
    if (!given(object, name)) {
        return SB_OK;
    }
    sb_err err = parse_number(ret, json_object_get(object, name));
    if (err != SB_OK) {
        return sb_fail(r->diag, err,
                       "%s%s: write a whole number below 2^256, as 123, \"123\" or \"0x7b\"", path,
                       name);
    }
    return SB_OK;
}

static sb_err read_u64(const struct reader *r, uint64_t *ret, const json_t *object,
                       const char *path, const char *name)
{
    sb_u256 wide = sb_u256_from_u64(*ret);
    SB_TRY(read_u256(r, &wide, object, path, name));
    if (!sb_u256_fits_u64(&wide)) {
        return sb_fail(r->diag, SB_E_RANGE, "%s%s: must be below 2^64", path, name);
    }
    *ret = wide.w[0];
    return SB_OK;
}

/* Exactly len bytes of 0x text. */
static sb_err read_fixed(const struct reader *r, uint8_t *ret, size_t len, const json_t *object,
                         const char *path, const char *name)
{
    if (!given(object, name)) {
        return SB_OK;
    }
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value) ||
        sb_hex_parse(ret, len, json_string_value(value), json_string_length(value)) != SB_OK) {
        return sb_fail(r->diag, SB_E_SYNTAX, "%s%s: write \"0x\" and %zu hexadecimal digits", path,
                       name, 2 * len);
    }
    return SB_OK;
}

/* 0x text of at most len_max bytes, into the arena. */
static sb_err read_data(const struct reader *r, sb_bytes *ret, size_t len_max, const json_t *object,
                        const char *path, const char *name)
{
    if (!given(object, name)) {
        return SB_OK;
    }
    const json_t *value = json_object_get(object, name);
    size_t text_len = json_string_length(value);
    if (!json_is_string(value) || text_len > 2 + 2 * len_max) {
        return sb_fail(r->diag, SB_E_LIMIT,
                       "%s%s: write \"0x\" and hexadecimal digits of at most %zu bytes", path, name,
                       len_max);
    }
    uint8_t *bytes = sb_arena_alloc(r->arena, text_len / 2 + 1);
    size_t len;
    if (bytes == NULL) {
        return sb_fail(r->diag, SB_E_NOMEM, "%s%s: no memory", path, name);
    }
    if (sb_hex_parse_data(bytes, &len, text_len / 2, json_string_value(value), text_len) != SB_OK) {
        return sb_fail(r->diag, SB_E_SYNTAX,
                       "%s%s: write \"0x\" and an even number of hexadecimal digits", path, name);
    }
    *ret = sb_span(bytes, len);
    return SB_OK;
}

/* The name of the first member of object that is not in known (NULL-terminated); NULL when all are. */
static const char *unknown_member(json_t *object, const char *const *known)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        size_t i = 0;
        while (known[i] != NULL && strcmp(known[i], name) != 0) {
            i++;
        }
        if (known[i] == NULL) {
            return name;
        }
    }
    return NULL;
}

/* ---- config ---- */

static sb_err read_blob_schedule(const struct reader *r, struct sb_chain_config *config,
                                 const json_t *schedule)
{
    static const struct {
        enum sb_fork fork;
        const char *name;
    } k_entries[] = {
        {SB_FORK_CANCUN, "cancun"}, {SB_FORK_PRAGUE, "prague"}, {SB_FORK_OSAKA, "osaka"},
        {SB_FORK_BPO1, "bpo1"},     {SB_FORK_BPO2, "bpo2"},     {SB_FORK_BPO3, "bpo3"},
        {SB_FORK_BPO4, "bpo4"},     {SB_FORK_BPO5, "bpo5"},
    };
    for (size_t i = 0; i < sizeof k_entries / sizeof k_entries[0]; i++) {
        const json_t *entry = json_object_get(schedule, k_entries[i].name);
        if (entry == NULL) {
            continue;
        }
        struct sb_blob_params *params = &config->blob_params[k_entries[i].fork];
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "config.blobSchedule.%s.", k_entries[i].name);
        SB_TRY(need(r, entry, path, "target"));
        SB_TRY(need(r, entry, path, "max"));
        SB_TRY(need(r, entry, path, "baseFeeUpdateFraction"));
        SB_TRY(read_u64(r, &params->target, entry, path, "target"));
        SB_TRY(read_u64(r, &params->max, entry, path, "max"));
        SB_TRY(
            read_u64(r, &params->base_fee_update_fraction, entry, path, "baseFeeUpdateFraction"));
        params->has = true;
    }
    return SB_OK;
}

static sb_err read_config(const struct reader *r, struct sb_chain_config *config,
                          const json_t *object)
{
    if (!json_is_object(object)) {
        return sb_fail(r->diag, SB_E_NOT_FOUND, "config: is missing, add an object with chainId");
    }
    SB_TRY(need(r, object, "config.", "chainId"));
    SB_TRY(read_u64(r, &config->chain_id, object, "config.", "chainId"));
#define SB_FORK(name, json_name, unit)                                                             \
    config->forks[SB_FORK_##name] = SB_FORK_NEVER;                                                 \
    SB_TRY(read_u64(r, &config->forks[SB_FORK_##name], object, "config.", json_name));
#include "base/types/forks.def"
#undef SB_FORK
    config->has_terminal_total_difficulty = given(object, "terminalTotalDifficulty");
    SB_TRY(read_u256(r, &config->terminal_total_difficulty, object, "config.",
                     "terminalTotalDifficulty"));
    SB_TRY(read_fixed(r, config->deposit_contract.b, sizeof config->deposit_contract.b, object,
                      "config.", "depositContractAddress"));
    return read_blob_schedule(r, config, json_object_get(object, "blobSchedule"));
}

/* ---- accounts ---- */

static int compare_slots(const void *a, const void *b)
{
    return memcmp(((const struct sb_slot_diff *)a)->key.b, ((const struct sb_slot_diff *)b)->key.b,
                  sizeof(sb_hash));
}

static int compare_accounts(const void *a, const void *b)
{
    return memcmp(((const struct sb_genesis_account *)a)->addr.b,
                  ((const struct sb_genesis_account *)b)->addr.b, sizeof(sb_addr));
}

static sb_err read_storage(const struct reader *r, struct sb_genesis_account *account,
                           json_t *storage, const char *path)
{
    if (storage == NULL) {
        return SB_OK;
    }
    if (!json_is_object(storage)) {
        return sb_fail(r->diag, SB_E_TYPE, "%sstorage: write an object of slots and values", path);
    }
    struct sb_slot_diff *slots = sb_arena_array(r->arena, json_object_size(storage), sizeof *slots);
    if (slots == NULL) {
        return sb_fail(r->diag, SB_E_NOMEM, "%sstorage: no memory", path);
    }
    const char *key_text;
    json_t *value;
    size_t count = 0;
    json_object_foreach(storage, key_text, value)
    {
        sb_u256 key;
        json_t *key_value = json_string(key_text);
        sb_err err = parse_number(&key, key_value);
        json_decref(key_value);
        if (err != SB_OK || parse_number(&slots[count].value, value) != SB_OK) {
            return sb_fail(
                r->diag, SB_E_SYNTAX,
                "%sstorage: slot %.70s: write slot and value as \"0x..\" of at most 32 bytes", path,
                key_text);
        }
        sb_u256_store_be(slots[count].key.b, &key);
        count += sb_u256_is_zero(&slots[count].value) ? 0 : 1;
    }
    if (count > 0) {
        qsort(slots, count, sizeof *slots, compare_slots);
    }
    for (size_t i = 1; i < count; i++) {
        if (compare_slots(&slots[i - 1], &slots[i]) == 0) {
            return sb_fail(r->diag, SB_E_EXISTS, "%sstorage: a slot is given twice", path);
        }
    }
    account->slots = slots;
    account->slot_count = count;
    return SB_OK;
}

/* Addresses stand with or without 0x, as in geth's files. */
static sb_err read_account(const struct reader *r, struct sb_genesis_account *account,
                           const char *section, const char *name, json_t *object)
{
    static const char *const k_members[] = {"balance", "nonce", "code", "storage", NULL};
    char path[PATH_BYTES];
    size_t skip = strncmp(name, "0x", 2) == 0 ? 2 : 0;
    if (sb_hex_decode(account->addr.b, sizeof account->addr.b, name + skip, strlen(name) - skip) !=
        SB_OK) {
        return sb_fail(r->diag, SB_E_SYNTAX,
                       "%s: \"%.60s\" is not an address of 40 hexadecimal digits", section, name);
    }
    (void)snprintf(path, sizeof path, "%s.%s.", section, name);
    const char *unknown = json_is_object(object) ? unknown_member(object, k_members) : "";
    if (unknown != NULL) {
        return sb_fail(r->diag, SB_E_SYNTAX,
                       "%s%.40s: an account is an object of balance, nonce, code and storage", path,
                       unknown);
    }
    SB_TRY(read_u256(r, &account->balance, object, path, "balance"));
    SB_TRY(read_u64(r, &account->nonce, object, path, "nonce"));
    SB_TRY(read_data(r, &account->code, SB_GENESIS_CODE_BYTES_MAX, object, path, "code"));
    return read_storage(r, account, json_object_get(object, "storage"), path);
}

static sb_err read_section(const struct reader *r, struct sb_genesis_account *accounts,
                           size_t *count, const char *section, enum sb_genesis_origin origin,
                           json_t *object)
{
    if (object != NULL && !json_is_object(object)) {
        return sb_fail(r->diag, SB_E_TYPE, "%s: write an object of addresses and accounts",
                       section);
    }
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        accounts[*count] = (struct sb_genesis_account){.origin = origin};
        SB_TRY(read_account(r, &accounts[*count], section, name, value));
        ++*count;
    }
    return SB_OK;
}

static sb_err read_accounts(const struct reader *r, struct sb_genesis *genesis, json_t *alloc,
                            json_t *predeploys)
{
    size_t capacity = json_object_size(alloc) + json_object_size(predeploys);
    if (capacity > SB_GENESIS_ACCOUNTS_MAX) {
        return sb_fail(r->diag, SB_E_LIMIT, "alloc: %zu accounts, at most %d are allowed", capacity,
                       SB_GENESIS_ACCOUNTS_MAX);
    }
    struct sb_genesis_account *accounts = sb_arena_array(r->arena, capacity, sizeof *accounts);
    if (accounts == NULL) {
        return sb_fail(r->diag, SB_E_NOMEM, "alloc: no memory for %zu accounts", capacity);
    }
    size_t count = 0;
    SB_TRY(read_section(r, accounts, &count, "alloc", SB_ORIGIN_ALLOC, alloc));
    SB_TRY(
        read_section(r, accounts, &count, "samebit.predeploys", SB_ORIGIN_PREDEPLOY, predeploys));
    if (count > 0) {
        qsort(accounts, count, sizeof *accounts, compare_accounts);
    }
    for (size_t i = 1; i < count; i++) {
        if (compare_accounts(&accounts[i - 1], &accounts[i]) == 0) {
            char text[SB_HEX_TEXT_BYTES(20)];
            return sb_fail(
                r->diag, SB_E_EXISTS, "alloc: account %s is given twice",
                sb_hex_format(text, sb_span(accounts[i].addr.b, sizeof accounts[i].addr.b)));
        }
    }
    genesis->accounts = accounts;
    genesis->account_count = count;
    return SB_OK;
}

/* ---- samebit ---- */

static sb_err read_validator(const struct reader *r, struct sb_validator *ret, json_t *object,
                             size_t index)
{
    static const char *const k_members[] = {"keyType", "publicKey", "power", NULL};
    char path[PATH_BYTES];
    uint8_t key[32];
    uint64_t power = 0;
    (void)snprintf(path, sizeof path, "samebit.validators[%zu].", index);
    const char *unknown = json_is_object(object) ? unknown_member(object, k_members) : "";
    if (unknown != NULL) {
        return sb_fail(r->diag, SB_E_SYNTAX,
                       "%s%.40s: a validator is an object of keyType, publicKey and power", path,
                       unknown);
    }
    SB_TRY(need(r, object, path, "keyType"));
    SB_TRY(need(r, object, path, "publicKey"));
    SB_TRY(need(r, object, path, "power"));
    const char *type = json_string_value(json_object_get(object, "keyType"));
    if (type == NULL || strcmp(type, "ed25519") != 0) {
        return sb_fail(r->diag, SB_E_TYPE, "%skeyType: must be \"ed25519\"", path);
    }
    SB_TRY(read_fixed(r, key, sizeof key, object, path, "publicKey"));
    SB_TRY(read_u64(r, &power, object, path, "power"));
    if (power == 0 || power > SB_TOTAL_POWER_MAX) {
        return sb_fail(r->diag, SB_E_RANGE, "%spower: must lie in 1 to %" PRId64, path,
                       (int64_t)SB_TOTAL_POWER_MAX);
    }
    *ret = (struct sb_validator){.key = sb_pubkey_ed25519(key), .power = (int64_t)power};
    return SB_OK;
}

static sb_err read_validators(const struct reader *r, struct sb_genesis *genesis, json_t *array)
{
    size_t count = json_array_size(array);
    if (count == 0 || count > SB_VALIDATORS_MAX) {
        return sb_fail(r->diag, SB_E_SHAPE,
                       "samebit.validators: write a list of 1 to %d validators", SB_VALIDATORS_MAX);
    }
    struct sb_validator *validators = sb_arena_array(r->arena, count, sizeof *validators);
    if (validators == NULL) {
        return sb_fail(r->diag, SB_E_NOMEM, "samebit.validators: no memory");
    }
    for (size_t i = 0; i < count; i++) {
        SB_TRY(read_validator(r, &validators[i], json_array_get(array, i), i));
    }
    sb_err err = sb_validator_set_make(&genesis->validators, validators, count, r->diag);
    if (err != SB_OK) {
        sb_diag_prefix(r->diag, "samebit.validators");
    }
    return err;
}

static sb_err read_params(const struct reader *r, struct sb_params *params, json_t *object)
{
    static const char *const k_members[] = {
#define SB_PARAM(field, json_name, default_value, min, max, text) json_name,
#include "base/types/params.def"
#undef SB_PARAM
        NULL,
    };
    if (object != NULL && !json_is_object(object)) {
        return sb_fail(r->diag, SB_E_TYPE, "samebit.params: write an object of parameters");
    }
    const char *unknown = unknown_member(object, k_members);
    if (unknown != NULL) {
        return sb_fail(r->diag, SB_E_SYNTAX, "samebit.params.%.40s: no such parameter", unknown);
    }
    struct sb_params value = sb_params_default();
#define SB_PARAM(field, json_name, default_value, min, max, text)                                  \
    SB_TRY(read_u64(r, &value.field, object, "samebit.params.", json_name));
#include "base/types/params.def"
#undef SB_PARAM
    *params = value;
    return SB_OK;
}

static sb_err read_samebit(const struct reader *r, struct sb_genesis *genesis, json_t *object)
{
    static const char *const k_members[] = {"validators", "params", "feeRecipient", "predeploys",
                                            NULL};
    if (!json_is_object(object)) {
        return sb_fail(r->diag, SB_E_TYPE, "samebit: write an object of " SAMEBIT_MEMBERS_HELP);
    }
    const char *unknown = unknown_member(object, k_members);
    if (unknown != NULL) {
        return sb_fail(r->diag, SB_E_SYNTAX,
                       "samebit.%.40s: not known here; members are " SAMEBIT_MEMBERS_HELP, unknown);
    }
    genesis->is_samebit = true;
    SB_TRY(need(r, object, "samebit.", "feeRecipient"));
    SB_TRY(read_fixed(r, genesis->fee_recipient.b, sizeof genesis->fee_recipient.b, object,
                      "samebit.", "feeRecipient"));
    SB_TRY(read_validators(r, genesis, json_object_get(object, "validators")));
    return read_params(r, &genesis->params, json_object_get(object, "params"));
}

/* ---- the whole ---- */

static sb_err read_header_fields(const struct reader *r, struct sb_genesis *genesis, json_t *root)
{
    sb_bytes extra_data = sb_span(NULL, 0);
    uint64_t nonce = 0;
    SB_TRY(read_u64(r, &nonce, root, "", "nonce"));
    for (size_t i = 0; i < sizeof genesis->nonce; i++) {
        genesis->nonce[i] = (uint8_t)(nonce >> (56 - 8 * i));
    }
    SB_TRY(read_u64(r, &genesis->timestamp, root, "", "timestamp"));
    SB_TRY(read_data(r, &extra_data, SB_EXTRA_DATA_BYTES_MAX, root, "", "extraData"));
    sb_copy(genesis->extra_data, extra_data.data, extra_data.len);
    genesis->extra_data_len = extra_data.len;
    SB_TRY(need(r, root, "", "gasLimit"));
    SB_TRY(read_u64(r, &genesis->gas_limit, root, "", "gasLimit"));
    SB_TRY(read_u256(r, &genesis->difficulty, root, "", "difficulty"));
    SB_TRY(read_fixed(r, genesis->mix_hash.b, sizeof genesis->mix_hash.b, root, "", "mixHash"));
    SB_TRY(read_fixed(r, genesis->coinbase.b, sizeof genesis->coinbase.b, root, "", "coinbase"));
    genesis->has_base_fee = given(root, "baseFeePerGas");
    SB_TRY(read_u256(r, &genesis->base_fee, root, "", "baseFeePerGas"));
    SB_TRY(read_u64(r, &genesis->blob_gas_used, root, "", "blobGasUsed"));
    return read_u64(r, &genesis->excess_blob_gas, root, "", "excessBlobGas");
}

static sb_err read_genesis(const struct reader *r, struct sb_genesis *genesis, json_t *root)
{
    if (!json_is_object(root)) {
        return sb_fail(r->diag, SB_E_TYPE, "write an object");
    }
    json_t *samebit = json_object_get(root, "samebit");
    SB_TRY(read_config(r, &genesis->config, json_object_get(root, "config")));
    SB_TRY(read_header_fields(r, genesis, root));
    if (samebit != NULL) {
        SB_TRY(read_samebit(r, genesis, samebit));
    }
    SB_TRY(need(r, root, "", "alloc"));
    SB_TRY(read_accounts(r, genesis, json_object_get(root, "alloc"),
                         json_object_get(samebit, "predeploys")));
    if (genesis->is_samebit) {
        SB_TRY(sb_genesis_add_protocol_accounts(genesis, r->arena, r->diag));
    }
    return sb_genesis_check(genesis, r->diag);
}

sb_err sb_genesis_parse(struct sb_genesis *ret_genesis, struct sb_arena *arena, sb_bytes text,
                        struct sb_diag *diag)
{
    if (text.len > SB_GENESIS_JSON_BYTES_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "genesis: %zu bytes, at most %zu are allowed", text.len,
                       SB_GENESIS_JSON_BYTES_MAX);
    }
    json_error_t error;
    json_t *root = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        return sb_fail(diag, SB_E_SYNTAX, "genesis: line %d, column %d: %s", error.line,
                       error.column, error.text);
    }
    struct reader r = {.arena = arena, .diag = diag};
    struct sb_genesis genesis = {.is_samebit = false};
    sb_err err = read_genesis(&r, &genesis, root);
    json_decref(root);
    if (err != SB_OK) {
        sb_diag_prefix(diag, "genesis");
        return err;
    }
    *ret_genesis = genesis;
    return SB_OK;
}
