/* genesis_emit.c: genesis.json written from struct sb_genesis; see genesis_json.h. Spec: docs/spec/genesis.md. */
#include "base/codec/hex.h"
#include "base/codec/json_writer.h"
#include "node/genesis_json.h"

static void put_number(struct sb_json *json, const char *name, uint64_t value)
{
    sb_json_key(json, name);
    sb_json_u64(json, value);
}

static void put_quantity(struct sb_json *json, const char *name, uint64_t value)
{
    sb_json_key(json, name);
    sb_json_quantity_u64(json, value);
}

static void put_config(struct sb_json *json, const struct sb_chain_config *config)
{
    static const char *const k_blob_names[SB_FORK_COUNT] = {
        [SB_FORK_CANCUN] = "cancun", [SB_FORK_PRAGUE] = "prague", [SB_FORK_OSAKA] = "osaka",
        [SB_FORK_BPO1] = "bpo1",     [SB_FORK_BPO2] = "bpo2",     [SB_FORK_BPO3] = "bpo3",
        [SB_FORK_BPO4] = "bpo4",     [SB_FORK_BPO5] = "bpo5",
    };
    bool has_blobs = false;
    sb_json_key(json, "config");
    sb_json_object_begin(json);
    put_number(json, "chainId", config->chain_id);
#define SB_FORK(name, json_name, unit)                                                             \
    if (config->forks[SB_FORK_##name] != SB_FORK_NEVER) {                                          \
        put_number(json, json_name, config->forks[SB_FORK_##name]);                                \
    }
#include "base/types/forks.def"
#undef SB_FORK
    if (config->has_terminal_total_difficulty) {
        sb_json_key(json, "terminalTotalDifficulty");
        sb_json_quantity_u256(json, &config->terminal_total_difficulty);
    }
    sb_json_key(json, "depositContractAddress");
    sb_json_addr(json, &config->deposit_contract);
    for (unsigned f = 0; f < SB_FORK_COUNT; f++) {
        has_blobs = has_blobs || config->blob_params[f].has;
    }
    if (has_blobs) {
        sb_json_key(json, "blobSchedule");
        sb_json_object_begin(json);
        for (unsigned f = 0; f < SB_FORK_COUNT; f++) {
            if (config->blob_params[f].has && k_blob_names[f] != NULL) {
                sb_json_key(json, k_blob_names[f]);
                sb_json_object_begin(json);
                put_number(json, "target", config->blob_params[f].target);
                put_number(json, "max", config->blob_params[f].max);
                put_number(json, "baseFeeUpdateFraction",
                           config->blob_params[f].base_fee_update_fraction);
                sb_json_object_end(json);
            }
        }
        sb_json_object_end(json);
    }
    sb_json_object_end(json);
}

static void put_account(struct sb_json *json, const struct sb_genesis_account *a)
{
    char name[SB_HEX_TEXT_BYTES(32)];
    sb_json_key(json, sb_hex_format(name, sb_span(a->addr.b, sizeof a->addr.b)));
    sb_json_object_begin(json);
    sb_json_key(json, "balance");
    sb_json_quantity_u256(json, &a->balance);
    if (a->nonce != 0) {
        put_quantity(json, "nonce", a->nonce);
    }
    if (a->code.len > 0) {
        sb_json_key(json, "code");
        sb_json_hex(json, a->code);
    }
    if (a->slot_count > 0) {
        sb_json_key(json, "storage");
        sb_json_object_begin(json);
        for (size_t i = 0; i < a->slot_count; i++) {
            sb_hash value;
            sb_u256_store_be(value.b, &a->slots[i].value);
            sb_json_key(json,
                        sb_hex_format(name, sb_span(a->slots[i].key.b, sizeof a->slots[i].key.b)));
            sb_json_hash(json, &value);
        }
        sb_json_object_end(json);
    }
    sb_json_object_end(json);
}

static void put_accounts(struct sb_json *json, const char *name, const struct sb_genesis *genesis,
                         enum sb_genesis_origin origin)
{
    sb_json_key(json, name);
    sb_json_object_begin(json);
    for (size_t i = 0; i < genesis->account_count; i++) {
        if (genesis->accounts[i].origin == origin) {
            put_account(json, &genesis->accounts[i]);
        }
    }
    sb_json_object_end(json);
}

static void put_samebit(struct sb_json *json, const struct sb_genesis *genesis)
{
    sb_json_key(json, "samebit");
    sb_json_object_begin(json);
    sb_json_key(json, "feeRecipient");
    sb_json_addr(json, &genesis->fee_recipient);
    sb_json_key(json, "validators");
    sb_json_array_begin(json);
    for (size_t i = 0; i < genesis->validators.count; i++) {
        const struct sb_validator *v = &genesis->validators.validators[i];
        sb_json_object_begin(json);
        sb_json_key(json, "keyType");
        sb_json_str(json, "ed25519");
        sb_json_key(json, "publicKey");
        sb_json_hex(json, sb_span(v->key.bytes, v->key.len));
        put_number(json, "power", (uint64_t)v->power);
        sb_json_object_end(json);
    }
    sb_json_array_end(json);
    sb_json_key(json, "params");
    sb_json_object_begin(json);
#define SB_PARAM(field, json_name, default_value, min, max, text)                                  \
    put_number(json, json_name, genesis->params.field);
#include "base/types/params.def"
#undef SB_PARAM
    sb_json_object_end(json);
    put_accounts(json, "predeploys", genesis, SB_ORIGIN_PREDEPLOY);
    sb_json_object_end(json);
}

static void put_genesis(struct sb_json *json, const struct sb_genesis *genesis)
{
    uint64_t nonce = 0;
    for (size_t i = 0; i < sizeof genesis->nonce; i++) {
        nonce = nonce << 8 | genesis->nonce[i];
    }
    sb_json_object_begin(json);
    put_config(json, &genesis->config);
    put_quantity(json, "nonce", nonce);
    put_quantity(json, "timestamp", genesis->timestamp);
    sb_json_key(json, "extraData");
    sb_json_hex(json, sb_span(genesis->extra_data, genesis->extra_data_len));
    put_quantity(json, "gasLimit", genesis->gas_limit);
    sb_json_key(json, "difficulty");
    sb_json_quantity_u256(json, &genesis->difficulty);
    sb_json_key(json, "mixHash");
    sb_json_hash(json, &genesis->mix_hash);
    sb_json_key(json, "coinbase");
    sb_json_addr(json, &genesis->coinbase);
    if (genesis->has_base_fee) {
        sb_json_key(json, "baseFeePerGas");
        sb_json_quantity_u256(json, &genesis->base_fee);
    }
    put_quantity(json, "blobGasUsed", genesis->blob_gas_used);
    put_quantity(json, "excessBlobGas", genesis->excess_blob_gas);
    if (genesis->is_samebit) {
        put_samebit(json, genesis);
    }
    put_accounts(json, "alloc", genesis, SB_ORIGIN_ALLOC);
    sb_json_object_end(json);
}

static void new_line(struct sb_buf *out, size_t depth)
{
    sb_buf_add_byte(out, '\n');
    for (size_t i = 0; i < depth; i++) {
        sb_buf_add_str(out, "  ");
    }
}

/* indent: JSON without spaces, written for a reader. Only strings may hold brackets, commas and colons; they hold no quotes here. */
static void indent(struct sb_buf *out, sb_bytes text)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)text.data[i];
        char next = i + 1 < text.len ? (char)text.data[i + 1] : '\0';
        in_string = c == '"' ? !in_string : in_string;
        bool closes = !in_string && (c == '}' || c == ']');
        bool opens = !in_string && (c == '{' || c == '[');
        if (closes && i > 0 && text.data[i - 1] != '{' && text.data[i - 1] != '[') {
            new_line(out, depth - 1);
        }
        depth = closes ? depth - 1 : opens ? depth + 1 : depth;
        sb_buf_add_byte(out, (uint8_t)c);
        if ((opens && next != '}' && next != ']') || (c == ',' && !in_string)) {
            new_line(out, depth);
        } else if (c == ':' && !in_string) {
            sb_buf_add_byte(out, ' ');
        }
    }
    sb_buf_add_byte(out, '\n');
}

void sb_genesis_emit(struct sb_buf *out, const struct sb_genesis *genesis)
{
    struct sb_buf compact;
    struct sb_json json;
    sb_buf_init(&compact, SB_GENESIS_JSON_BYTES_MAX);
    sb_json_init(&json, &compact);
    put_genesis(&json, genesis);
    if (compact.failed) {
        out->failed = true;
    } else {
        indent(out, sb_buf_bytes(&compact));
    }
    sb_buf_fini(&compact);
}
