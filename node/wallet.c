/* wallet.c: calls and transactions through a JSON-RPC client; see rpc_client.h. */
#include <sodium.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "base/codec/hex.h"
#include "base/crypto/secp256k1.h"
#include "base/types/tx.h"
#include "node/rpc_client.h"

/* Waits between two looks for a receipt: short at first, for instant blocks. */
#define LOOK_MS_MIN 10
#define LOOK_MS_MAX 250
#define NS_IN_MS    1000000

static json_t *addr_json(const sb_addr *addr)
{
    return sb_json_data(sb_span(addr->b, sizeof addr->b));
}

static json_t *quantity_json(const sb_u256 *value)
{
    char text[SB_HEX_U256_BYTES];
    (void)sb_hex_format_u256(text, value);
    return json_string(text);
}

/* The call object of eth_call and eth_estimateGas; absent members are left out. */
static json_t *call_json(const sb_addr *from, const sb_addr *to, const sb_u256 *value,
                         sb_bytes data)
{
    json_t *call = json_object();
    if (from != NULL) {
        (void)json_object_set_new(call, "from", addr_json(from));
    }
    if (to != NULL) {
        (void)json_object_set_new(call, "to", addr_json(to));
    }
    if (value != NULL && !sb_u256_is_zero(value)) {
        (void)json_object_set_new(call, "value", quantity_json(value));
    }
    (void)json_object_set_new(call, "data", sb_json_data(data));
    return call;
}

sb_err sb_rpc_eth_call(struct sb_buf *out, struct sb_rpc_client *client, const sb_addr *from,
                       const sb_addr *to, sb_bytes data, struct sb_diag *diag)
{
    json_t *params = json_pack("[o, s]", call_json(from, to, NULL, data), "latest");
    return sb_rpc_client_data(out, client, "eth_call", params, diag);
}

sb_err sb_wallet_init(struct sb_wallet *wallet, struct sb_rpc_client *client,
                      const uint8_t secret[32], struct sb_diag *diag)
{
    uint8_t seed[32];
    randombytes_buf(seed, sizeof seed);
    struct sb_secp256k1 *ctx = sb_secp256k1_new(seed);
    memset(wallet, 0, sizeof *wallet);
    wallet->client = client;
    memcpy(wallet->secret, secret, sizeof wallet->secret);
    sb_err err = ctx != NULL ? sb_secp256k1_secret_address(&wallet->addr, ctx, secret) : SB_E_NOMEM;
    sb_secp256k1_free(ctx);
    if (err != SB_OK) {
        return sb_fail(diag, err, "the private key is not valid");
    }
    SB_TRY(sb_rpc_client_u64(&wallet->chain_id, client, "eth_chainId", NULL, diag));
    json_t *params = json_pack("[o, s]", addr_json(&wallet->addr), "pending");
    return sb_rpc_client_u64(&wallet->nonce, client, "eth_getTransactionCount", params, diag);
}

void sb_wallet_fini(struct sb_wallet *wallet)
{
    sodium_memzero(wallet->secret, sizeof wallet->secret);
}

/* Fees that hold when the base fee doubles. */
static sb_err fill_fees(struct sb_tx *tx, struct sb_wallet *wallet, struct sb_diag *diag)
{
    sb_u256 price;
    SB_TRY(sb_rpc_client_u256(&price, wallet->client, "eth_gasPrice", NULL, diag));
    SB_TRY(sb_rpc_client_u256(&tx->max_priority_fee, wallet->client, "eth_maxPriorityFeePerGas",
                              NULL, diag));
    tx->max_fee = sb_u256_add(&price, &price);
    if (sb_u256_lt(&tx->max_fee, &tx->max_priority_fee)) {
        tx->max_fee = tx->max_priority_fee;
    }
    return SB_OK;
}

static sb_err submit(sb_hash *ret_hash, struct sb_wallet *wallet, struct sb_tx *tx,
                     struct sb_diag *diag)
{
    struct sb_buf raw;
    json_t *result = NULL;
    sb_err err = sb_tx_sign(tx, wallet->secret);
    if (err != SB_OK) {
        return sb_fail(diag, err, "the transaction cannot be signed");
    }
    sb_buf_init(&raw, SB_TX_BYTES_MAX);
    sb_tx_encode(&raw, tx);
    err = sb_buf_err(&raw);
    if (err != SB_OK) {
        (void)sb_fail(diag, err, "the transaction is longer than %zu bytes", SB_TX_BYTES_MAX);
    } else {
        json_t *params = json_pack("[o]", sb_json_data(sb_buf_bytes(&raw)));
        err = sb_rpc_client_call(&result, wallet->client, "eth_sendRawTransaction", params, diag);
        json_decref(result);
    }
    if (err == SB_OK) {
        *ret_hash = sb_tx_hash(sb_buf_bytes(&raw));
        wallet->nonce++;
    }
    sb_buf_fini(&raw);
    return err;
}

sb_err sb_wallet_send(sb_hash *ret_hash, struct sb_wallet *wallet, const sb_addr *to,
                      const sb_u256 *value, sb_bytes data, struct sb_diag *diag)
{
    struct sb_tx tx = {.type = SB_TX_FEE_MARKET,
                       .has_chain_id = true,
                       .chain_id = wallet->chain_id,
                       .nonce = wallet->nonce,
                       .is_create = to == NULL,
                       .data = data};
    if (to != NULL) {
        tx.to = *to;
    }
    if (value != NULL) {
        tx.value = *value;
    }
    json_t *params = json_pack("[o]", call_json(&wallet->addr, to, value, data));
    SB_TRY(sb_rpc_client_u64(&tx.gas_limit, wallet->client, "eth_estimateGas", params, diag));
    SB_TRY(fill_fees(&tx, wallet, diag));
    return submit(ret_hash, wallet, &tx, diag);
}

static void pause_ms(uint64_t ms)
{
    const struct timespec wait = {.tv_sec = (time_t)(ms / 1000),
                                  .tv_nsec = (long)(ms % 1000) * NS_IN_MS};
    (void)nanosleep(&wait, NULL);
}

sb_err sb_wallet_wait(json_t **ret_receipt, struct sb_wallet *wallet, const sb_hash *hash,
                      struct sb_diag *diag)
{
    uint64_t begun = uv_hrtime();
    uint64_t wait = LOOK_MS_MIN;
    uint64_t status = 0;
    json_t *receipt = NULL;
    for (;;) {
        json_t *params = json_pack("[o]", sb_json_data(sb_span(hash->b, sizeof hash->b)));
        SB_TRY(sb_rpc_client_call(&receipt, wallet->client, "eth_getTransactionReceipt", params,
                                  diag));
        if (json_is_object(receipt)) {
            break;
        }
        json_decref(receipt);
        if ((uv_hrtime() - begun) / NS_IN_MS > SB_RPC_RECEIPT_TIMEOUT_MS) {
            return sb_fail(diag, SB_E_TIMEOUT, "the transaction is not in a block after %d s",
                           SB_RPC_RECEIPT_TIMEOUT_MS / 1000);
        }
        pause_ms(wait);
        wait = wait * 2 < LOOK_MS_MAX ? wait * 2 : LOOK_MS_MAX;
    }
    if (sb_json_read_u64(&status, receipt, "status") != SB_OK || status != 1) {
        json_decref(receipt);
        return sb_fail(diag, SB_E_CANCELLED, "the transaction failed in its block");
    }
    *ret_receipt = receipt;
    return SB_OK;
}
