/* cmd_model_deploy.c: `samebit model deploy` and `list`: models on a chain, through the RPC of any node.
 *
 *     file --64 KiB chunks--> ModelRegistry.putChunk, a transaction each, a few at a time --> ModelRegistry.register
 *
 * A chunk that the chain has already is not sent again, so an interrupted deployment goes on where it stopped. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec/hex.h"
#include "base/crypto/hash.h"
#include "node/artifact.h"
#include "node/cli.h"
#include "node/cmd_model.h"
#include "node/key_source.h"
#include "node/rpc_client.h"
#include "node/units.h"

#define CHUNK_BYTES    ((size_t)65536)
#define CALL_BYTES_MAX ((size_t)1 << 20)
#define WINDOW         8 /* transactions that wait for their block at a time */
#define PAGE           100

static const sb_addr k_model_store = {{[18] = 0x5b, [19] = 0x04}};
static const sb_addr k_params = {{[18] = 0x5b, [19] = 0x10}};
static const sb_addr k_registry = {{[18] = 0x5b, [19] = 0x11}};

static const struct sb_usage k_deploy_usage = {
    "model deploy", "MODEL.sbm --key 0xKEY [options]",
    "Upload a model file in chunks and register it: the chain joins and verifies it, and from then "
    "on any contract\n"
    "may call it by its id. A deposit per byte is locked while it is stored. Prints id, CID and "
    "gas.",
    "  samebit model deploy digits_cnn.sbm --key 0x... --licence Apache-2.0\n"
    "  samebit model deploy digits_cnn.sbm --rpc http://127.0.0.1:9545 --key-file "
    "keys/alice.json\n"};

struct deployment {
    const char *rpc;
    struct sb_key_source key;
    const char *name;
    const char *licence;
    const char *uri;
    bool silent;

    struct sb_rpc_client client;
    struct sb_wallet wallet;
    struct sb_model_file file;
    struct sb_buf data; /* of the call in hand */
    sb_hash *chunks;    /* [chunk_count] */
    size_t chunk_count;
    uint64_t deposit_per_byte;
    sb_hash waiting[WINDOW];
    size_t waiting_count;
    uint64_t gas_used;
    struct sb_progress progress;
};

/* ---- calls ---- */

static sb_err view(struct sb_buf *out, struct deployment *d, const sb_addr *to,
                   struct sb_diag *diag)
{
    return sb_artifact_explain(
        &d->client, NULL, sb_rpc_eth_call(out, &d->client, NULL, to, sb_buf_bytes(&d->data), diag),
        diag);
}

static sb_err view_u64(uint64_t *ret, struct deployment *d, const sb_addr *to, struct sb_diag *diag)
{
    uint8_t memory[256];
    struct sb_buf output = sb_buf_over(memory, sizeof memory);
    SB_TRY(view(&output, d, to, diag));
    sb_err err = sb_abi_read_u64(ret, sb_buf_bytes(&output), 0);
    return err == SB_OK
               ? SB_OK
               : sb_fail(diag, err, "is this a Samebit chain? %s does not answer as one", d->rpc);
}

static sb_err read_deposit(struct deployment *d, struct sb_diag *diag)
{
    sb_buf_reset(&d->data);
    sb_abi_put_selector(&d->data, sb_abi_selector("depositPerByte()"));
    return view_u64(&d->deposit_per_byte, d, &k_params, diag);
}

static sb_err read_chunk_size(uint64_t *ret_size, struct deployment *d, const sb_hash *chunk,
                              struct sb_diag *diag)
{
    struct sb_abi_writer w;
    sb_buf_reset(&d->data);
    sb_abi_put_selector(&d->data, sb_abi_selector("chunkInfo(bytes32)"));
    sb_abi_begin(&w, &d->data, 1);
    sb_abi_put_hash(&w, chunk);
    sb_abi_end(&w);
    return view_u64(ret_size, d, &k_model_store, diag);
}

static sb_err read_status(uint64_t *ret_status, struct deployment *d, struct sb_diag *diag)
{
    struct sb_abi_writer w;
    struct sb_buf output;
    sb_bytes facts;
    sb_buf_reset(&d->data);
    sb_abi_put_selector(&d->data, sb_abi_selector("model(bytes32)"));
    sb_abi_begin(&w, &d->data, 1);
    sb_abi_put_hash(&w, &d->file.cid.digest);
    sb_abi_end(&w);
    sb_buf_init(&output, CALL_BYTES_MAX);
    sb_err err = view(&output, d, &k_model_store, diag);
    if (err == SB_OK) {
        err = sb_abi_read_tuple(&facts, sb_buf_bytes(&output), 0);
        err = err == SB_OK ? sb_abi_read_u64(ret_status, facts, 0) : err;
        if (err != SB_OK) {
            (void)sb_fail(diag, err, "the model store's answer is not understood");
        }
    }
    sb_buf_fini(&output);
    return err;
}

/* ---- transactions ---- */

static sb_err wait_one(json_t **ret_receipt, struct deployment *d, const sb_hash *hash,
                       struct sb_diag *diag)
{
    uint64_t gas = 0;
    SB_TRY(sb_wallet_wait(ret_receipt, &d->wallet, hash, diag));
    if (sb_json_read_u64(&gas, *ret_receipt, "gasUsed") == SB_OK) {
        d->gas_used += gas;
    }
    return SB_OK;
}

static sb_err wait_all(struct deployment *d, struct sb_diag *diag)
{
    for (size_t i = 0; i < d->waiting_count; i++) {
        json_t *receipt = NULL;
        SB_TRY(wait_one(&receipt, d, &d->waiting[i], diag));
        json_decref(receipt);
    }
    d->waiting_count = 0;
    return SB_OK;
}

static sb_err send_call(sb_hash *ret_hash, struct deployment *d, const sb_u256 *value,
                        struct sb_diag *diag)
{
    return sb_artifact_explain(
        &d->client, NULL,
        sb_wallet_send(ret_hash, &d->wallet, &k_registry, value, sb_buf_bytes(&d->data), diag),
        diag);
}

static sb_err put_chunk(struct deployment *d, sb_bytes chunk, struct sb_diag *diag)
{
    struct sb_abi_writer w;
    const sb_u256 len = sb_u256_from_u64(chunk.len);
    sb_u256 deposit;
    if (sb_u256_mul_u64(&deposit, &len, d->deposit_per_byte)) {
        return sb_fail(diag, SB_E_RANGE, "the deposit is too large");
    }
    sb_buf_reset(&d->data);
    sb_abi_put_selector(&d->data, sb_abi_selector("putChunk(bytes)"));
    sb_abi_begin(&w, &d->data, 1);
    sb_abi_put_bytes(&w, chunk);
    sb_abi_end(&w);
    SB_TRY(sb_buf_err(&d->data));
    SB_TRY(send_call(&d->waiting[d->waiting_count], d, &deposit, diag));
    d->waiting_count++;
    return d->waiting_count == WINDOW ? wait_all(d, diag) : SB_OK;
}

static sb_err put_chunks(struct deployment *d, struct sb_diag *diag)
{
    sb_bytes file = sb_buf_bytes(&d->file.bytes);
    sb_progress_begin(&d->progress, "upload", "bytes", file.len, d->silent);
    for (size_t i = 0; i < d->chunk_count; i++) {
        uint64_t size = 0;
        sb_bytes chunk = sb_span_slice(file, i * CHUNK_BYTES, CHUNK_BYTES);
        d->chunks[i] = sb_sha256(chunk);
        SB_TRY(read_chunk_size(&size, d, &d->chunks[i], diag));
        if (size == 0) {
            SB_TRY(put_chunk(d, chunk, diag));
        }
        sb_progress_step(&d->progress, i * CHUNK_BYTES + chunk.len);
    }
    return wait_all(d, diag);
}

static sb_err register_model(struct deployment *d, struct sb_diag *diag)
{
    struct sb_abi_writer w;
    struct sb_abi_writer chunks;
    sb_hash hash;
    json_t *receipt = NULL;
    const char *name = d->name != NULL ? d->name : sb_model_info(d->file.model)->name;
    sb_buf_reset(&d->data);
    sb_abi_put_selector(&d->data, sb_abi_selector("register(bytes32[],string,string,string)"));
    sb_abi_begin(&w, &d->data, 4);
    sb_abi_put_array(&chunks, &w, d->chunk_count, 1);
    for (size_t i = 0; i < d->chunk_count; i++) {
        sb_abi_put_hash(&chunks, &d->chunks[i]);
    }
    sb_abi_end(&chunks);
    sb_abi_put_bytes(&w, sb_span_str(name));
    sb_abi_put_bytes(&w, sb_span_str(d->licence));
    sb_abi_put_bytes(&w, sb_span_str(d->uri));
    sb_abi_end(&w);
    SB_TRY(sb_buf_err(&d->data));
    SB_TRY(send_call(&hash, d, NULL, diag));
    SB_TRY(wait_one(&receipt, d, &hash, diag));
    json_decref(receipt);
    return SB_OK;
}

/* ---- deploy ---- */

static sb_err open_deployment(struct deployment *d, const char *path, struct sb_diag *diag)
{
    uint8_t secret[32];
    sb_buf_init(&d->data, CALL_BYTES_MAX);
    SB_TRY(sb_model_file_load(&d->file, path, diag));
    d->chunk_count = (d->file.bytes.len + CHUNK_BYTES - 1) / CHUNK_BYTES;
    d->chunks = calloc(d->chunk_count, sizeof *d->chunks);
    if (d->chunks == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    SB_TRY(sb_rpc_client_init(&d->client, d->rpc, diag));
    SB_TRY(sb_key_source_read(secret, &d->key, diag));
    sb_err err = sb_wallet_init(&d->wallet, &d->client, secret, diag);
    sodium_memzero(secret, sizeof secret);
    return err;
}

/* Registration is checked at the end, so that "active" is what the chain says and not what this program hopes. */
static sb_err deploy(struct deployment *d, const char *path, bool *ret_was_there,
                     struct sb_diag *diag)
{
    uint64_t status = 0;
    SB_TRY(open_deployment(d, path, diag));
    SB_TRY(read_deposit(d, diag));
    SB_TRY(read_status(&status, d, diag));
    *ret_was_there = status != 0;
    if (status == 0) {
        SB_TRY(put_chunks(d, diag));
        SB_TRY(register_model(d, diag));
        SB_TRY(read_status(&status, d, diag));
    }
    return status == 2 ? SB_OK : sb_fail(diag, SB_E_CANCELLED, "the model is stored, not active");
}

static void print_deployment(const struct deployment *d, bool was_there)
{
    char id[SB_HEX_TEXT_BYTES(32)];
    char cid[SB_CID_TEXT_LEN + 1];
    sb_cid_format(cid, &d->file.cid);
    (void)printf("id: %s\ncid: %s\nbytes: %zu in %zu chunk%s\n",
                 sb_hex_format(id, sb_span(d->file.cid.digest.b, 32)), cid, d->file.bytes.len,
                 d->chunk_count, d->chunk_count == 1 ? "" : "s");
    if (was_there) {
        (void)printf("the chain has this model already\n");
    } else {
        (void)printf("gas used: %" PRIu64 "\n", d->gas_used);
    }
}

int sb_cmd_model_deploy(int argc, char **argv)
{
    static struct deployment d;
    d = (struct deployment){.rpc = SB_RPC_URL_DEFAULT, .licence = "", .uri = ""};
    const struct sb_option options[] = {
        {"rpc", SB_OPTION_TEXT, &d.rpc, "URL", "the node (" SB_RPC_URL_DEFAULT ")", 0, 0},
        {"name", SB_OPTION_TEXT, &d.name, "TEXT", "name in the registry (the model's own)", 0, 0},
        {"licence", SB_OPTION_TEXT, &d.licence, "TEXT", "SPDX identifier, or a URL", 0, 0},
        {"uri", SB_OPTION_TEXT, &d.uri, "URL", "where the model card is", 0, 0},
        {"silent", SB_OPTION_FLAG, &d.silent, NULL, "show no progress", 0, 0},
        SB_KEY_SOURCE_OPTIONS(d.key),
    };
    struct sb_operands operands;
    struct sb_diag diag = {.text = ""};
    bool was_there = false;
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_deploy_usage, options,
                         sizeof options / sizeof options[0], 1, 1, argc, argv)) {
        return status;
    }
    sb_err err = deploy(&d, operands.items[0], &was_there, &diag);
    sb_progress_end(&d.progress);
    if (err == SB_OK) {
        print_deployment(&d, was_there);
    }
    sb_wallet_fini(&d.wallet);
    sb_model_file_fini(&d.file);
    sb_buf_fini(&d.data);
    free(d.chunks);
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}

/* ---- list ---- */

static void print_model_line(const json_t *model)
{
    uint64_t size = 0;
    uint64_t gas = 0;
    const char *id = json_string_value(json_object_get(model, "id"));
    const char *name = json_string_value(json_object_get(model, "name"));
    bool ok = sb_json_read_u64(&size, model, "size") == SB_OK &&
              sb_json_read_u64(&gas, model, "gasWarm") == SB_OK;
    if (ok && id != NULL) {
        (void)printf("%s  %10" PRIu64 " bytes  %10" PRIu64 " gas  %s\n", id, size, gas,
                     name != NULL ? name : "");
    }
}

static sb_err list_models(struct sb_rpc_client *client, bool as_json, struct sb_diag *diag)
{
    uint64_t total = 1;
    json_t *all = json_array();
    sb_err err = SB_OK;
    for (uint64_t offset = 0; err == SB_OK && offset < total; offset += PAGE) {
        json_t *page = NULL;
        err = sb_rpc_client_call(&page, client, "samebit_listModels",
                                 json_pack("[I, i]", (json_int_t)offset, PAGE), diag);
        if (err == SB_OK && sb_json_read_u64(&total, page, "total") != SB_OK) {
            err = sb_fail(diag, SB_E_SYNTAX, "samebit_listModels: no total in the answer");
        }
        (void)json_array_extend(all, json_object_get(page, "models"));
        json_decref(page);
    }
    if (err == SB_OK && as_json) {
        (void)json_dumpf(all, stdout, JSON_INDENT(2));
        (void)printf("\n");
    } else if (err == SB_OK) {
        size_t i;
        const json_t *model;
        json_array_foreach(all, i, model)
        {
            print_model_line(model);
        }
    }
    json_decref(all);
    return err;
}

int sb_cmd_model_list(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "model list", "[--rpc URL] [--json]",
        "List the active models of a chain: id, size, gas, name.",
        "  samebit model list\n"
        "  samebit model list --rpc http://127.0.0.1:9545 --json\n"};
    const char *rpc = SB_RPC_URL_DEFAULT;
    bool as_json = false;
    const struct sb_option options[] = {
        {"rpc", SB_OPTION_TEXT, &rpc, "URL", "the node (" SB_RPC_URL_DEFAULT ")", 0, 0},
        {"json", SB_OPTION_FLAG, &as_json, NULL, "all that the node tells, as JSON", 0, 0},
    };
    struct sb_operands operands;
    struct sb_rpc_client client;
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_usage, options, 2, 0, 0, argc, argv)) {
        return status;
    }
    sb_err err = sb_rpc_client_init(&client, rpc, &diag);
    err = err == SB_OK ? list_models(&client, as_json, &diag) : err;
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}
