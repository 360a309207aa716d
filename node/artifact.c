/* artifact.c: see artifact.h. */
#include "node/artifact.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec/hex.h"
#include "base/util/endian.h"
#include "node/cli.h"
#include "node/files.h"

#define NAMES_MAX  128
#define TOPICS_MAX 4

/* Errors that any contract can pass on: of precompiles, ModelRegistry, and the contracts of staking. */
static const char *const k_system_errors[] = {
    "BadCall()",
    "BadInput(uint256,uint256)",
    "ModelNotFound(bytes32)",
    "OpDisabled(uint16,uint16)",
    "BadShape(uint256)",
    "Domain(int256)",
    "NotAuthorised()",
    "BadChunkSize(uint256)",
    "ChunkNotFound(bytes32)",
    "ModelExists(bytes32)",
    "ModelInvalid()",
    "ModelTooLarge(uint256,uint256)",
    "NotOwner(bytes32)",
    "UnknownModel(bytes32)",
    "DepositTooSmall(uint256,uint256)",
    "ActiveBytesExceeded(uint256,uint256)",
    "StillActive(bytes32)",
    "ChunkInUse(bytes32)",
    "NotUploader(bytes32)",
    "TextTooLong()",
    "PaymentFailed()",
    "ZeroAddress()",
#define SB_STAKING_ERROR(signature, text) signature,
#include "node/staking_errors.def"
#undef SB_STAKING_ERROR
};

/* ---- life ---- */

sb_err sb_artifact_parse(struct sb_artifact *ret_artifact, sb_bytes text, struct sb_diag *diag)
{
    json_error_t error;
    json_t *root = json_loadb(text.len != 0 ? (const char *)text.data : "", text.len, 0, &error);
    if (root == NULL) {
        return sb_fail(diag, SB_E_SYNTAX, "line %d: %s", error.line, error.text);
    }
    const json_t *abi = json_is_array(root) ? root : json_object_get(root, "abi");
    if (!json_is_array(abi)) {
        json_decref(root);
        return sb_fail(diag, SB_E_TYPE, "abi: must be an array; is this a compiled contract?");
    }
    *ret_artifact = (struct sb_artifact){.root = root, .abi = abi};
    return SB_OK;
}

sb_err sb_artifact_load(struct sb_artifact *ret_artifact, const char *path, struct sb_diag *diag)
{
    struct sb_buf text;
    sb_buf_init(&text, SB_ARTIFACT_FILE_BYTES_MAX);
    sb_err err = sb_file_read(&text, path, diag);
    if (err == SB_OK) {
        err = sb_artifact_parse(ret_artifact, sb_buf_bytes(&text), diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "%s", path);
        }
    }
    sb_buf_fini(&text);
    return err;
}

void sb_artifact_fini(struct sb_artifact *artifact)
{
    json_decref(artifact->root);
    artifact->root = NULL;
}

sb_err sb_artifact_bytecode(struct sb_buf *out, const struct sb_artifact *artifact,
                            struct sb_diag *diag)
{
    const json_t *code = json_object_get(artifact->root, "bytecode");
    if (json_is_object(code)) {
        code = json_object_get(code, "object"); /* Foundry's form */
    }
    if (!json_is_string(code) || json_string_length(code) <= 2) {
        return sb_fail(diag, SB_E_NOT_FOUND,
                       "bytecode: the artifact has none; is it an interface?");
    }
    if (sb_json_read_data(out, code) != SB_OK) {
        return sb_fail(diag, SB_E_UNSUPPORTED,
                       "bytecode: not hexadecimal; a library has to be linked first");
    }
    return SB_OK;
}

/* ---- items ---- */

static bool text_is(const json_t *object, const char *member, const char *expected)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text != NULL && strcmp(text, expected) == 0;
}

static sb_err read_params(struct sb_abi_param *params, size_t *ret_count, const json_t *list,
                          struct sb_diag *diag)
{
    size_t count = json_array_size(list);
    if (count > SB_ABI_PARAMS_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "more than %d parameters", SB_ABI_PARAMS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(list, i);
        const char *type = json_string_value(json_object_get(entry, "type"));
        const char *name = json_string_value(json_object_get(entry, "name"));
        params[i] =
            (struct sb_abi_param){.indexed = json_is_true(json_object_get(entry, "indexed"))};
        if (type == NULL) {
            return sb_fail(diag, SB_E_TYPE, "abi: a parameter has no type");
        }
        SB_TRY(sb_abi_type_parse(&params[i].type, type, strlen(type), diag));
        (void)snprintf(params[i].name, sizeof params[i].name, "%s", name != NULL ? name : "");
    }
    *ret_count = count;
    return SB_OK;
}

static sb_err read_item(struct sb_abi_item *item, const json_t *entry, struct sb_diag *diag)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    memset(item, 0, sizeof *item);
    (void)snprintf(item->name, sizeof item->name, "%s", name != NULL ? name : "");
    SB_TRY(read_params(item->inputs, &item->input_count, json_object_get(entry, "inputs"), diag));
    return read_params(item->outputs, &item->output_count, json_object_get(entry, "outputs"), diag);
}

sb_err sb_artifact_constructor(struct sb_abi_item *ret_item, const struct sb_artifact *artifact,
                               struct sb_diag *diag)
{
    size_t i;
    const json_t *entry;
    json_array_foreach(artifact->abi, i, entry)
    {
        if (text_is(entry, "type", "constructor")) {
            return read_item(ret_item, entry, diag);
        }
    }
    memset(ret_item, 0, sizeof *ret_item);
    return SB_OK;
}

static bool signatures_agree(const struct sb_abi_item *a, const struct sb_abi_item *b)
{
    sb_hash topic_a = sb_abi_item_topic(a);
    sb_hash topic_b = sb_abi_item_topic(b);
    return memcmp(topic_a.b, topic_b.b, sizeof topic_a.b) == 0;
}

sb_err sb_artifact_function(struct sb_abi_item *ret_item, const struct sb_artifact *artifact,
                            const char *name, struct sb_diag *diag)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    size_t i;
    const json_t *entry;
    bool has_types = strchr(name, '(') != NULL;
    struct sb_abi_item wanted;
    if (has_types) {
        SB_TRY(sb_abi_item_parse(&wanted, name, diag));
    }
    json_array_foreach(artifact->abi, i, entry)
    {
        const char *own = json_string_value(json_object_get(entry, "name"));
        if (!text_is(entry, "type", "function") || own == NULL) {
            continue;
        }
        if (!has_types && strcmp(own, name) == 0) {
            return read_item(ret_item, entry, diag);
        }
        if (has_types && strncmp(own, name, strlen(own)) == 0 && name[strlen(own)] == '(') {
            SB_TRY(read_item(ret_item, entry, diag));
            if (signatures_agree(ret_item, &wanted)) {
                return SB_OK;
            }
        }
        if (count < NAMES_MAX) {
            names[count++] = own;
        }
    }
    const char *meant = sb_nearest(name, names, count);
    return meant != NULL
               ? sb_fail(diag, SB_E_NOT_FOUND,
                         "the contract has no function %.80s; did you mean %s?", name, meant)
               : sb_fail(diag, SB_E_NOT_FOUND, "the contract has no function %.80s", name);
}

/* The event or error of this topic or selector (hash_len bytes of it). */
static bool find_by_hash(struct sb_abi_item *ret_item, const struct sb_artifact *artifact,
                         const char *type, const uint8_t *hash, size_t hash_len)
{
    size_t i;
    const json_t *entry;
    if (artifact == NULL) {
        return false;
    }
    json_array_foreach(artifact->abi, i, entry)
    {
        if (text_is(entry, "type", type) && read_item(ret_item, entry, NULL) == SB_OK) {
            sb_hash topic = sb_abi_item_topic(ret_item);
            if (memcmp(topic.b, hash, hash_len) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* ---- logs ---- */

struct log {
    sb_hash topics[TOPICS_MAX];
    size_t topic_count;
    struct sb_buf data;
};

static bool read_log(struct log *log, const json_t *json)
{
    const json_t *topics = json_object_get(json, "topics");
    log->topic_count = json_array_size(topics);
    if (log->topic_count > TOPICS_MAX) {
        return false;
    }
    for (size_t i = 0; i < log->topic_count; i++) {
        const json_t *topic = json_array_get(topics, i);
        if (!json_is_string(topic) || sb_hex_parse(log->topics[i].b, 32, json_string_value(topic),
                                                   json_string_length(topic)) != SB_OK) {
            return false;
        }
    }
    return sb_json_read_data(&log->data, json_object_get(json, "data")) == SB_OK;
}

/* Indexed values come from the topics (dynamic ones only as their hash), the others from the data. */
static sb_err format_event(struct sb_buf *out, const struct sb_abi_item *event,
                           const struct log *log)
{
    static const struct sb_abi_type k_hash = {.kind = SB_ABI_FIXED_BYTES, .size = 32};
    size_t topic = 1;
    size_t word = 0;
    sb_buf_addf(out, "%s(", event->name);
    for (size_t i = 0; i < event->input_count; i++) {
        const struct sb_abi_param *param = &event->inputs[i];
        const struct sb_abi_type *type = &param->type;
        sb_buf_addf(out, "%s%s: ", i > 0 ? ", " : "", param->name);
        if (!param->indexed) {
            SB_TRY(sb_abi_format(out, type, sb_buf_bytes(&log->data), word));
            word += sb_abi_words(type);
            continue;
        }
        if (topic >= log->topic_count) {
            return SB_E_TRUNCATED;
        }
        bool hashed = type->is_array || type->kind == SB_ABI_BYTES || type->kind == SB_ABI_STRING;
        SB_TRY(sb_abi_format(out, hashed ? &k_hash : type, sb_span(log->topics[topic].b, 32), 0));
        topic++;
    }
    sb_buf_add_byte(out, ')');
    return SB_OK;
}

void sb_artifact_format_log(struct sb_buf *out, const struct sb_artifact *artifact,
                            const json_t *log_json)
{
    struct log log = {.topic_count = 0};
    struct sb_abi_item event;
    size_t begun = out->len;
    sb_buf_init(&log.data, SB_ABI_TEXT_MAX);
    bool known = read_log(&log, log_json) && log.topic_count > 0 &&
                 find_by_hash(&event, artifact, "event", log.topics[0].b, 32) &&
                 format_event(out, &event, &log) == SB_OK;
    sb_buf_fini(&log.data);
    if (known) {
        return;
    }
    out->len = begun;
    char *topics = json_dumps(json_object_get(log_json, "topics"), JSON_COMPACT);
    const char *data = json_string_value(json_object_get(log_json, "data"));
    sb_buf_addf(out, "log topics %s data %s", topics != NULL ? topics : "[]",
                data != NULL ? data : "0x");
    free(topics);
}

/* ---- reverts ---- */

static bool find_system_error(struct sb_abi_item *ret_item, const uint8_t selector[4])
{
    for (size_t i = 0; i < sizeof k_system_errors / sizeof k_system_errors[0]; i++) {
        if (sb_abi_selector(k_system_errors[i]) == be_load32(selector)) {
            return sb_abi_item_parse(ret_item, k_system_errors[i], NULL) == SB_OK;
        }
    }
    return false;
}

void sb_artifact_format_revert(struct sb_buf *out, const struct sb_artifact *artifact,
                               sb_bytes data)
{
    static const struct sb_abi_type k_string = {.kind = SB_ABI_STRING};
    struct sb_abi_revert revert = sb_abi_read_revert(data);
    struct sb_abi_item error;
    uint8_t selector[4];
    size_t begun = out->len;
    be_store32(selector, revert.selector);
    switch (revert.kind) {
    case SB_ABI_REVERT_ERROR:
        if (sb_abi_format(out, &k_string, sb_span_slice(data, sizeof selector, data.len), 0) ==
            SB_OK) {
            return;
        }
        break;
    case SB_ABI_REVERT_PANIC:
        sb_buf_addf(out, "Panic: %s", sb_abi_panic_text(&revert.panic_code));
        return;
    case SB_ABI_REVERT_CUSTOM:
        if (find_by_hash(&error, artifact, "error", selector, sizeof selector) ||
            find_system_error(&error, selector)) {
            sb_buf_addf(out, "%s(", error.name);
            if (sb_abi_format_params(out, error.inputs, error.input_count, revert.args) == SB_OK) {
                sb_buf_add_byte(out, ')');
                return;
            }
        }
        break;
    case SB_ABI_REVERT_OPAQUE:
        break;
    }
    out->len = begun;
    if (data.len < sizeof selector) {
        sb_buf_add_str(out, "without a reason");
        return;
    }
    sb_buf_addf(out, "with the error 0x%08" PRIx32 " and %zu more bytes, which is not known here%s",
                revert.selector, data.len - sizeof selector,
                artifact == NULL ? "; --abi FILE names the contract's errors" : "");
}

sb_err sb_artifact_explain(const struct sb_rpc_client *client, const struct sb_artifact *artifact,
                           sb_err err, struct sb_diag *diag)
{
    struct sb_buf data;
    uint8_t memory[SB_DIAG_TEXT_BYTES];
    struct sb_buf text = sb_buf_over(memory, sizeof memory);
    if (err != SB_E_ARG || client->error_data[0] == '\0') {
        return err;
    }
    sb_buf_init(&data, SB_RPC_REVERT_TEXT_BYTES);
    json_t *hex = json_string(client->error_data);
    if (sb_json_read_data(&data, hex) == SB_OK) {
        sb_artifact_format_revert(&text, artifact, sb_buf_bytes(&data));
        err = sb_fail(diag, err, "the call reverts: %.*s", (int)text.len, (const char *)text.data);
    }
    json_decref(hex);
    sb_buf_fini(&data);
    return err;
}
