/* model_chain.c: see model_chain.h. */
#include "tests/models/model_chain.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec/hex.h"
#include "base/types/tx.h"
#include "base/util/assert.h"
#include "tests/support/process.h"

#define START_MS_MAX   60000
#define RECEIPT_MS_MAX 60000
#define POLL_US        1000
#define GAS_LIMIT      UINT64_C(16000000) /* below the cap of a transaction, 2^24 */
#define GWEI           UINT64_C(1000000000)
#define TX_BYTES_MAX   ((size_t)128 * 1024)
#define KEY_TEXT       "Private key 0: "
#define INFERENCE      "0x0000000000000000000000000000000000005b01"

/* calldatacopy(0, 0, calldatasize); ok = staticcall(gas, 0x5b01, 0, calldatasize, 0, 0); returndatacopy(0, 0, returndatasize);
 * ok ? log0(0, returndatasize) : revert(0, returndatasize); behind a constructor that returns the 37 bytes. */
static const uint8_t k_forwarder[] = {
    0x60, 0x25, 0x80, 0x60, 0x0b, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3,       /* constructor */
    0x36, 0x60, 0x00, 0x60, 0x00, 0x37,                                     /* calldatacopy */
    0x60, 0x00, 0x60, 0x00, 0x36, 0x60, 0x00, 0x61, 0x5b, 0x01, 0x5a, 0xfa, /* staticcall */
    0x3d, 0x60, 0x00, 0x60, 0x00, 0x3e,                                     /* returndatacopy */
    0x60, 0x1f, 0x57, 0x3d, 0x60, 0x00, 0xfd, 0x5b, 0x3d, 0x60, 0x00, 0xa0,
    0x00, /* revert or log */
};

static char *hex_text(sb_bytes data)
{
    char *text = malloc(SB_HEX_TEXT_BYTES(data.len));
    SB_ASSERT(text != NULL);
    return sb_hex_format(text, data);
}

static bool fail(struct model_chain *chain, const char *what, const json_t *detail)
{
    char *text = detail != NULL ? json_dumps(detail, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    (void)snprintf(chain->error, sizeof chain->error, "%s %.400s", what, text != NULL ? text : "");
    free(text);
    return false;
}

/* hex_add: append the bytes of a hex string. */
static bool hex_add(struct sb_buf *out, const json_t *text)
{
    const char *hex = json_string_value(text);
    if (hex == NULL) {
        return false;
    }
    size_t len = strlen(hex), room = len / 2, written = 0;
    uint8_t *at = sb_buf_grow(out, room);
    if (at == NULL || sb_hex_parse_data(at, &written, room, hex, len) != SB_OK) {
        return false;
    }
    out->len -= room - written;
    return true;
}

static bool quantity(uint64_t *ret, const json_t *text)
{
    const char *hex = json_string_value(text);
    return hex != NULL && sb_hex_parse_u64(ret, hex, strlen(hex)) == SB_OK;
}

/* ---- transactions ---- */

/* send: the hash of the transaction, owned by the caller; NULL when it was refused. */
static json_t *send(struct model_chain *chain, const sb_addr *to, sb_bytes data)
{
    struct sb_tx tx = {.type = SB_TX_FEE_MARKET,
                       .has_chain_id = true,
                       .chain_id = chain->chain_id,
                       .nonce = chain->nonce,
                       .gas_limit = GAS_LIMIT,
                       .max_fee = sb_u256_from_u64(1000 * GWEI),
                       .max_priority_fee = sb_u256_from_u64(GWEI),
                       .is_create = to == NULL,
                       .data = data};
    tx.to = to != NULL ? *to : tx.to;
    SB_ASSERT(sb_tx_sign(&tx, chain->secret) == SB_OK);
    struct sb_buf raw;
    sb_buf_init(&raw, TX_BYTES_MAX);
    sb_tx_encode(&raw, &tx);
    SB_ASSERT(sb_buf_err(&raw) == SB_OK);
    char *text = hex_text(sb_buf_bytes(&raw));
    sb_buf_fini(&raw);
    json_t *hash =
        rpc_call(&chain->session, "eth_sendRawTransaction", json_pack("[s]", text), chain->error);
    free(text);
    chain->nonce += hash != NULL;
    return hash;
}

/* receipt_of: send and wait; the receipt is owned by the caller. NULL when the transaction failed. */
static json_t *receipt_of(struct model_chain *chain, const sb_addr *to, sb_bytes data)
{
    json_t *hash = send(chain, to, data);
    json_t *receipt = NULL;
    uint64_t end = now_ms() + RECEIPT_MS_MAX;
    while (hash != NULL && now_ms() < end && !json_is_object(receipt)) {
        sleep_us(POLL_US);
        json_decref(receipt);
        receipt = rpc_call(&chain->session, "eth_getTransactionReceipt", json_pack("[O]", hash),
                           chain->error);
    }
    json_decref(hash);
    uint64_t status = 0;
    if (!json_is_object(receipt) || !quantity(&status, json_object_get(receipt, "status")) ||
        status != 1) {
        if (receipt != NULL) {
            (void)fail(chain, "the transaction failed:", receipt);
        }
        json_decref(receipt);
        return NULL;
    }
    return receipt;
}

bool model_chain_transact(struct sb_buf *out, uint64_t *ret_gas_used, struct model_chain *chain,
                          sb_bytes calldata)
{
    json_t *receipt = receipt_of(chain, &chain->forwarder, calldata);
    const json_t *logs = json_object_get(receipt, "logs");
    bool ok = receipt != NULL && ((json_array_size(logs) == 1 &&
                                   hex_add(out, json_object_get(json_array_get(logs, 0), "data")) &&
                                   quantity(ret_gas_used, json_object_get(receipt, "gasUsed"))) ||
                                  fail(chain, "the receipt does not carry the answer:", receipt));
    json_decref(receipt);
    return ok;
}

bool model_chain_call(struct sb_buf *out, struct model_chain *chain, sb_bytes calldata)
{
    char *text = hex_text(calldata);
    json_t *answer = rpc_call(&chain->session, "eth_call",
                              json_pack("[{s:s, s:s}, s]", "to", INFERENCE, "data", text, "latest"),
                              chain->error);
    free(text);
    bool ok = answer != NULL && hex_add(out, answer);
    json_decref(answer);
    return ok;
}

/* ---- life ---- */

bool model_chain_sync(struct model_chain *chain)
{
    sb_addr addr;
    struct sb_tx tx = {.type = SB_TX_LEGACY};
    char hex[SB_HEX_TEXT_BYTES(20)];
    SB_ASSERT(sb_tx_sign(&tx, chain->secret) == SB_OK && sb_tx_sender(&addr, &tx) == SB_OK);
    (void)sb_hex_format(hex, sb_span(addr.b, sizeof addr.b));
    json_t *nonce = rpc_call(&chain->session, "eth_getTransactionCount",
                             json_pack("[s, s]", hex, "latest"), chain->error);
    bool ok = quantity(&chain->nonce, nonce);
    json_decref(nonce);
    return ok;
}

/* read_key: the first private key of the banner. */
static bool read_key(struct model_chain *chain, const char *log_path)
{
    char line[512];
    FILE *file = fopen(log_path, "r");
    const char *at = NULL;
    while (file != NULL && at == NULL && fgets(line, sizeof line, file) != NULL) {
        at = strstr(line, KEY_TEXT);
    }
    if (at != NULL) {
        (void)snprintf(chain->key, sizeof chain->key, "%.66s", at + strlen(KEY_TEXT));
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return at != NULL && sb_hex_parse(chain->secret, sizeof chain->secret, chain->key, 66) == SB_OK;
}

static bool deploy_forwarder(struct model_chain *chain)
{
    json_t *receipt = receipt_of(chain, NULL, sb_span(k_forwarder, sizeof k_forwarder));
    const char *addr = json_string_value(json_object_get(receipt, "contractAddress"));
    bool ok = addr != NULL && sb_hex_parse(chain->forwarder.b, sizeof chain->forwarder.b, addr,
                                           strlen(addr)) == SB_OK;
    json_decref(receipt);
    return ok;
}

bool model_chain_start(struct model_chain *chain, const char *samebit, const char *log_path)
{
    char program[PROCESS_PATH_BYTES], dev[] = "dev", port[] = "--port", zero[] = "0";
    char *const argv[] = {program, dev, port, zero, NULL};
    (void)snprintf(program, sizeof program, "%s", samebit);
    *chain = (struct model_chain){.session.fd = -1};
    chain->pid = process_start(argv, NULL, log_path);
    chain->port = process_wait_listening(chain->pid, log_path, START_MS_MAX);
    if (chain->port == 0 || !read_key(chain, log_path)) {
        return fail(chain, "the node does not start", NULL);
    }
    if (!rpc_open(&chain->session, chain->port)) {
        return fail(chain, "the node does not answer", NULL);
    }
    json_t *id = rpc_call(&chain->session, "eth_chainId", json_array(), chain->error);
    bool ok = quantity(&chain->chain_id, id);
    json_decref(id);
    return ok && model_chain_sync(chain) && deploy_forwarder(chain);
}

bool model_chain_stop(struct model_chain *chain)
{
    rpc_close(&chain->session);
    (void)kill(chain->pid, SIGTERM);
    int status = process_wait(chain->pid, START_MS_MAX);
    if (status == PROCESS_TIMEOUT) {
        (void)kill(chain->pid, SIGKILL);
        (void)process_wait(chain->pid, START_MS_MAX);
    }
    return status == 0 || fail(chain, "the node did not end cleanly", NULL);
}
