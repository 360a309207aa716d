/* cmd_contract.c: `samebit contract deploy | call`: contracts through the RPC of any node. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/codec/hex.h"
#include "node/artifact.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/key_source.h"
#include "node/rpc_client.h"
#include "node/units.h"

#define DATA_BYTES_MAX   ((size_t)1 << 20)
#define OUTPUT_BYTES_MAX ((size_t)32 << 20)

/* What both commands were asked, and what they opened for it. */
struct contract {
    const char *rpc;
    struct sb_key_source key;
    const char *value_text;
    const char *abi;
    struct sb_texts args; /* of the constructor */
    bool send;

    struct sb_rpc_client client;
    struct sb_artifact artifact;
    bool has_artifact;
    struct sb_buf data; /* of the call */
    struct sb_buf text; /* for people */
    sb_u256 value;
};

static sb_err contract_open(struct contract *c, struct sb_diag *diag)
{
    sb_buf_init(&c->data, DATA_BYTES_MAX);
    sb_buf_init(&c->text, OUTPUT_BYTES_MAX);
    SB_TRY(sb_rpc_client_init(&c->client, c->rpc, diag));
    if (c->value_text != NULL) {
        SB_TRY(sb_units_parse(&c->value, c->value_text, SB_ETHER_DECIMALS, diag));
    }
    if (c->abi != NULL) {
        SB_TRY(sb_artifact_load(&c->artifact, c->abi, diag));
        c->has_artifact = true;
    }
    return SB_OK;
}

static void contract_close(struct contract *c)
{
    sb_buf_fini(&c->data);
    sb_buf_fini(&c->text);
    sb_artifact_fini(&c->artifact);
}

static sb_err explain(struct contract *c, sb_err err, struct sb_diag *diag)
{
    return sb_artifact_explain(&c->client, c->has_artifact ? &c->artifact : NULL, err, diag);
}

static void print_buf(struct sb_buf *text)
{
    (void)printf("%.*s\n", (int)text->len, (const char *)text->data);
    sb_buf_reset(text);
}

static sb_err print_receipt(struct contract *c, const sb_hash *hash, const json_t *receipt,
                            struct sb_diag *diag)
{
    char text[SB_HEX_TEXT_BYTES(32)];
    uint64_t block = 0;
    uint64_t gas = 0;
    size_t i;
    const json_t *log;
    if (sb_json_read_u64(&block, receipt, "blockNumber") != SB_OK ||
        sb_json_read_u64(&gas, receipt, "gasUsed") != SB_OK) {
        return sb_fail(diag, SB_E_SYNTAX, "the receipt lacks its block or its gas");
    }
    (void)printf("transaction: %s\nblock: %llu\ngas used: %llu\n",
                 sb_hex_format(text, sb_span(hash->b, sizeof hash->b)), (unsigned long long)block,
                 (unsigned long long)gas);
    json_array_foreach(json_object_get(receipt, "logs"), i, log)
    {
        sb_buf_add_str(&c->text, "event: ");
        sb_artifact_format_log(&c->text, c->has_artifact ? &c->artifact : NULL, log);
        print_buf(&c->text);
    }
    return SB_OK;
}

/* Send c->data, wait, print the receipt. to NULL creates. *ret_receipt belongs to the caller. */
static sb_err transact(json_t **ret_receipt, struct contract *c, const sb_addr *to,
                       struct sb_diag *diag)
{
    uint8_t secret[32];
    struct sb_wallet wallet;
    sb_hash hash;
    SB_TRY(sb_key_source_read(secret, &c->key, diag));
    sb_err err = sb_wallet_init(&wallet, &c->client, secret, diag);
    sodium_memzero(secret, sizeof secret);
    if (err == SB_OK) {
        err = explain(
            c, sb_wallet_send(&hash, &wallet, to, &c->value, sb_buf_bytes(&c->data), diag), diag);
    }
    err = err == SB_OK ? sb_wallet_wait(ret_receipt, &wallet, &hash, diag) : err;
    sb_wallet_fini(&wallet);
    SB_TRY(err);
    err = print_receipt(c, &hash, *ret_receipt, diag);
    if (err != SB_OK) {
        json_decref(*ret_receipt);
    }
    return err;
}

/* ---- deploy ---- */

static const struct sb_usage k_deploy_usage = {
    "contract deploy", "ARTIFACT.json [--args VALUE]... --key 0xKEY [options]",
    "Create a contract from a compiled artifact (solc, Hardhat, Foundry). Each --args gives one "
    "argument of the\n"
    "constructor. Prints the address.",
    "  samebit contract deploy contracts/artifacts/DigitReader.json --args 0xMODELID --key 0x...\n"
    "  samebit contract deploy Token.json --args \"My Token\" --args 1000e18 --key-file "
    "keys/alice.json\n"};

static sb_err deploy(struct contract *c, struct sb_diag *diag)
{
    struct sb_abi_item constructor;
    json_t *receipt = NULL;
    SB_TRY(contract_open(c, diag));
    SB_TRY(sb_artifact_bytecode(&c->data, &c->artifact, diag));
    SB_TRY(sb_artifact_constructor(&constructor, &c->artifact, diag));
    sb_err err = sb_abi_encode_texts(&c->data, constructor.inputs, constructor.input_count,
                                     c->args.items, c->args.count, diag);
    if (err != SB_OK) {
        sb_diag_prefix(diag, "constructor");
        return err;
    }
    SB_TRY(transact(&receipt, c, NULL, diag));
    const char *address = json_string_value(json_object_get(receipt, "contractAddress"));
    sb_addr addr;
    char text[SB_ADDR_TEXT_BYTES];
    if (address != NULL && sb_addr_parse(&addr, address, NULL) == SB_OK) {
        sb_addr_format(text, &addr);
        (void)printf("address: %s\n", text);
    } else {
        err = sb_fail(diag, SB_E_SYNTAX, "the receipt has no contract address");
    }
    json_decref(receipt);
    return err;
}

static int cmd_deploy(int argc, char **argv)
{
    static struct contract c;
    c = (struct contract){.rpc = SB_RPC_URL_DEFAULT};
    const struct sb_option options[] = {
        {"args", SB_OPTION_TEXTS, &c.args, "VALUE",
         "an argument of the constructor; repeat for more", 0, 0},
        {"value", SB_OPTION_TEXT, &c.value_text, "ETH", "ether to send along", 0, 0},
        {"rpc", SB_OPTION_TEXT, &c.rpc, "URL", "the node (" SB_RPC_URL_DEFAULT ")", 0, 0},
        SB_KEY_SOURCE_OPTIONS(c.key),
    };
    struct sb_operands operands;
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_deploy_usage, options,
                         sizeof options / sizeof options[0], 1, 1, argc, argv)) {
        return status;
    }
    c.abi = operands.items[0];
    sb_err err = deploy(&c, &diag);
    contract_close(&c);
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}

/* ---- call ---- */

static const struct sb_usage k_call_usage = {
    "contract call", "ADDRESS FUNCTION [ARGUMENT]... [options]",
    "Call a function of a contract: FUNCTION is 'name(types)(result types)', or just its name with "
    "--abi. Without\n"
    "--send nothing is written (eth_call) and the results are printed; with --send it is a "
    "transaction, whose\n"
    "receipt and events are printed. Numbers may be written 12, 0x0c or 1.5e18; arrays [1,2,3].",
    "  samebit contract call 0xADDR 'look(bytes)(uint8,int256)' 0x0001...\n"
    "  samebit contract call 0xADDR read 0x0001... --abi DigitReader.json --send --key 0x...\n"
    "  samebit contract call 0x0000000000000000000000000000000000005b11 'count()(uint256)'\n"};

static sb_err prepare_call(struct contract *c, struct sb_abi_item *ret_function, sb_addr *ret_to,
                           const struct sb_operands *operands, struct sb_diag *diag)
{
    const char *name = operands->items[1];
    if (c->value_text != NULL && !c->send) {
        return sb_fail(diag, SB_E_ARG, "--value goes with --send");
    }
    SB_TRY(contract_open(c, diag));
    SB_TRY(sb_addr_parse(ret_to, operands->items[0], diag));
    if (c->has_artifact) {
        SB_TRY(sb_artifact_function(ret_function, &c->artifact, name, diag));
    } else {
        SB_TRY(sb_abi_item_parse(ret_function, name, diag));
    }
    sb_hash topic = sb_abi_item_topic(ret_function);
    sb_buf_add(&c->data, topic.b, SB_ABI_SELECTOR_BYTES);
    return sb_abi_encode_texts(&c->data, ret_function->inputs, ret_function->input_count,
                               operands->items + 2, operands->count - 2, diag);
}

static sb_err print_results(struct contract *c, const struct sb_abi_item *function, sb_bytes output,
                            struct sb_diag *diag)
{
    size_t word = 0;
    char hint[] = "the function gives nothing back; is there a contract at this address?";
    if (function->output_count > 0 && output.len == 0) {
        return sb_fail(diag, SB_E_NOT_FOUND, "%s", hint);
    }
    for (size_t i = 0; i < function->output_count; i++) {
        const struct sb_abi_param *param = &function->outputs[i];
        if (param->name[0] != '\0') {
            sb_buf_addf(&c->text, "%s: ", param->name);
        }
        sb_err err = sb_abi_format(&c->text, &param->type, output, word);
        if (err != SB_OK) {
            return sb_fail(diag, err, "result %zu does not have the type that was named", i + 1);
        }
        print_buf(&c->text);
        word += sb_abi_words(&param->type);
    }
    return SB_OK;
}

static sb_err call(struct contract *c, const struct sb_operands *operands, struct sb_diag *diag)
{
    struct sb_abi_item function;
    sb_addr to;
    json_t *receipt = NULL;
    struct sb_buf output;
    SB_TRY(prepare_call(c, &function, &to, operands, diag));
    if (c->send) {
        SB_TRY(transact(&receipt, c, &to, diag));
        json_decref(receipt);
        return SB_OK;
    }
    sb_buf_init(&output, OUTPUT_BYTES_MAX);
    sb_err err = sb_rpc_eth_call(&output, &c->client, NULL, &to, sb_buf_bytes(&c->data), diag);
    err = err == SB_OK ? print_results(c, &function, sb_buf_bytes(&output), diag)
                       : explain(c, err, diag);
    sb_buf_fini(&output);
    return err;
}

static int cmd_call(int argc, char **argv)
{
    static struct contract c;
    c = (struct contract){.rpc = SB_RPC_URL_DEFAULT};
    const struct sb_option options[] = {
        {"abi", SB_OPTION_TEXT, &c.abi, "FILE", "compiled artifact, or its abi alone", 0, 0},
        {"send", SB_OPTION_FLAG, &c.send, NULL, "send a transaction", 0, 0},
        {"value", SB_OPTION_TEXT, &c.value_text, "ETH", "ether to send along, with --send", 0, 0},
        {"rpc", SB_OPTION_TEXT, &c.rpc, "URL", "the node (" SB_RPC_URL_DEFAULT ")", 0, 0},
        SB_KEY_SOURCE_OPTIONS(c.key),
    };
    struct sb_operands operands;
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_call_usage, options,
                         sizeof options / sizeof options[0], 2, SB_TEXTS_MAX, argc, argv)) {
        return status;
    }
    sb_err err = call(&c, &operands, &diag);
    contract_close(&c);
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}

int sb_cmd_contract(int argc, char **argv)
{
    static const struct sb_command k_commands[] = {
        {"deploy", "create a contract from a compiled artifact", cmd_deploy},
        {"call", "call a function, with or without a transaction", cmd_call},
    };
    return sb_command_run("contract", k_commands, sizeof k_commands / sizeof k_commands[0], argc,
                          argv);
}
