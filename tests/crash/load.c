/* load.c: see load.h. */
#include "tests/crash/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/codec/hex.h"
#include "base/crypto/keccak.h"
#include "base/crypto/secp256k1.h"
#include "base/types/tx.h"
#include "base/util/assert.h"
#include "tests/support/process.h"

#define BATCH_MAX       24 /* transactions in one message */
#define ASKED_AT_ONCE   50
#define RECEIPT_MS_MAX  60000
#define POLL_US         200
#define TX_BYTES_MAX    512
#define GWEI            UINT64_C(1000000000)
#define GAS_LIMIT       100000
#define INFERENCE_GAS   2000000
#define INFERENCE_EVERY 16
#define PIXELS          64
#define READ_BYTES      (4 + 32 + 32 + PIXELS)
#define CREATE_EVERY    64

/* sstore(word 0 of the calldata, word 1), then an event with the slot as topic:
 *     PUSH1 32 CALLDATALOAD  PUSH1 0 CALLDATALOAD  SSTORE  PUSH1 0 CALLDATALOAD  PUSH1 0  PUSH1 0  LOG1  STOP
 * behind a constructor that returns the 17 bytes. */
static const uint8_t k_contract[] = {
    0x60, 0x11, 0x80, 0x60, 0x0b, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3, 0x60, 0x20, 0x35,
    0x60, 0x00, 0x35, 0x55, 0x60, 0x00, 0x35, 0x60, 0x00, 0x60, 0x00, 0xa1, 0x00, 0x00,
};

void load_init(struct load *load, uint64_t chain_id)
{
    *load = (struct load){.chain_id = chain_id};
    load_use_senders(load, 0);
}

void load_use_senders(struct load *load, uint32_t group)
{
    struct sb_secp256k1 *ctx = sb_secp256k1_new(NULL);
    SB_ASSERT(ctx != NULL);
    for (size_t i = 0; i < LOAD_SENDERS; i++) {
        struct load_sender *sender = &load->senders[i];
        *sender = (struct load_sender){.next_nonce = 0};
        memset(sender->secret, (int)(0x11 + i), sizeof sender->secret);
        for (size_t j = 0; j < sizeof group; j++) {
            sender->secret[4 + j] ^= (uint8_t)(group >> (8 * j));
        }
        SB_ASSERT(sb_secp256k1_secret_address(&sender->addr, ctx, sender->secret) == SB_OK);
    }
    sb_secp256k1_free(ctx);
}

void load_fini(struct load *load)
{
    for (size_t i = 0; i < load->receipt_count; i++) {
        free(load->receipts[i].tx_hash);
        free(load->receipts[i].json);
    }
    free(load->receipts);
}

static void problem(struct load *load, const char *what, const char *detail)
{
    if (load->problem[0] == '\0') {
        (void)snprintf(load->problem, sizeof load->problem, "%.160s: %.300s", what,
                       detail != NULL ? detail : "no answer");
    }
}

static const char *member(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static uint64_t quantity(const char *text)
{
    uint64_t value = 0;
    return sb_hex_parse_u64(&value, text, strlen(text)) == SB_OK ? value : 0;
}

/* ---- sending ---- */

/* choose_inference: read(bytes) of a DigitReader on a random image: its model runs in every validator. */
static void choose_inference(struct sb_tx *tx, uint8_t data[READ_BYTES], const struct load *load,
                             struct sb_random *random)
{
    static const char k_signature[] = "read(bytes)";
    sb_hash selector = sb_keccak256(sb_span_str(k_signature));
    memset(data, 0, READ_BYTES);
    memcpy(data, selector.b, 4);
    data[4 + 31] = 32;
    data[4 + 63] = PIXELS;
    for (size_t i = 0; i < PIXELS; i++) {
        data[4 + 64 + i] = (uint8_t)sb_random_below(random, 17);
    }
    SB_ASSERT(sb_hex_parse(tx->to.b, sizeof tx->to.b, load->reader, 42) == SB_OK);
    tx->gas_limit = INFERENCE_GAS;
    tx->data = sb_span(data, READ_BYTES);
}

/* One of: a transfer, a storage write, now and then an inference or a new contract. */
static void tx_choose(struct sb_tx *tx, uint8_t data[READ_BYTES], const struct load *load,
                      struct sb_random *random)
{
    uint64_t choice = sb_random_below(random, CREATE_EVERY);
    if (load->reader[0] != '\0' && sb_random_below(random, INFERENCE_EVERY) == 0) {
        choose_inference(tx, data, load, random);
        return;
    }
    if (!load->has_contract || choice == 0) {
        tx->is_create = true;
        tx->data = sb_span(k_contract, sizeof k_contract);
    } else if (choice % 2 == 0) {
        SB_ASSERT(sb_hex_parse(tx->to.b, sizeof tx->to.b, load->contract, 42) == SB_OK);
        memset(data, 0, 64);
        data[31] = (uint8_t)sb_random_below(random, 200);
        sb_random_fill(random, data + 32, sb_random_below(random, 4) == 0 ? 0 : 32);
        tx->data = sb_span(data, 64);
    } else {
        sb_random_fill(random, tx->to.b, sizeof tx->to.b);
        tx->to = choice % 4 == 1 ? load->senders[choice % LOAD_SENDERS].addr : tx->to;
        tx->value = sb_u256_from_u64(1 + sb_random_below(random, 1000));
    }
}

/* tx_make: sign the sender's next transaction. Its hex form is owned by the caller. */
static char *tx_make(struct load *load, struct sb_random *random)
{
    struct load_sender *sender = &load->senders[sb_random_below(random, LOAD_SENDERS)];
    uint8_t data[READ_BYTES];
    struct sb_tx tx = {.type = SB_TX_FEE_MARKET,
                       .has_chain_id = true,
                       .chain_id = load->chain_id,
                       .nonce = sender->next_nonce++,
                       .gas_limit = GAS_LIMIT,
                       .max_fee = sb_u256_from_u64(1000 * GWEI),
                       .max_priority_fee = sb_u256_from_u64(GWEI)};
    tx_choose(&tx, data, load, random);
    SB_ASSERT(sb_tx_sign(&tx, sender->secret) == SB_OK);
    struct sb_buf raw;
    sb_buf_init(&raw, TX_BYTES_MAX);
    sb_tx_encode(&raw, &tx);
    SB_ASSERT(sb_buf_err(&raw) == SB_OK);
    char *text = malloc(SB_HEX_TEXT_BYTES(raw.len));
    SB_ASSERT(text != NULL);
    (void)sb_hex_format(text, sb_buf_bytes(&raw));
    sb_buf_fini(&raw);
    return text;
}

/* send_batch: the hashes of the accepted transactions as an array, owned by the caller; NULL when the connection broke. */
static json_t *send_batch(struct load *load, struct rpc_session *session, struct sb_random *random)
{
    size_t count = 1 + (size_t)sb_random_below(random, BATCH_MAX);
    json_t *batch = json_array();
    for (size_t i = 0; i < count; i++) {
        char *raw = tx_make(load, random);
        rpc_batch_add(session, batch, "eth_sendRawTransaction", json_pack("[s]", raw));
        free(raw);
    }
    json_t *answers = rpc_batch(session, batch);
    json_t *hashes = answers != NULL ? json_array() : NULL;
    for (size_t i = 0; i < json_array_size(answers); i++) {
        json_t *answer = json_array_get(answers, i);
        json_t *hash = json_object_get(answer, "result");
        if (!json_is_string(hash)) {
            char *text = json_dumps(answer, JSON_COMPACT);
            problem(load, "a transaction was refused", text);
            free(text);
            break;
        }
        (void)json_array_append(hashes, hash);
        load->sent_count++;
    }
    json_decref(answers);
    return hashes;
}

/* ---- receipts ---- */

/* acknowledge: the node has shown a receipt. Each one proves that its sender's nonce has moved by one. */
static void acknowledge(struct load *load, const char *tx_hash, const json_t *receipt)
{
    if (load->receipt_count == load->receipt_capacity) {
        load->receipt_capacity = load->receipt_capacity == 0 ? 1024 : 2 * load->receipt_capacity;
        load->receipts = realloc(load->receipts, load->receipt_capacity * sizeof *load->receipts);
        SB_ASSERT(load->receipts != NULL);
    }
    struct load_receipt *item = &load->receipts[load->receipt_count++];
    *item = (struct load_receipt){.tx_hash = strdup(tx_hash),
                                  .json = json_dumps(receipt, JSON_SORT_KEYS | JSON_COMPACT),
                                  .block_number = quantity(member(receipt, "blockNumber"))};
    SB_ASSERT(item->tx_hash != NULL && item->json != NULL);
    (void)snprintf(item->block_hash, sizeof item->block_hash, "%s", member(receipt, "blockHash"));
    if (item->block_number > load->head_number) {
        load->head_number = item->block_number;
        memcpy(load->head_hash, item->block_hash, sizeof load->head_hash);
    }
    for (size_t i = 0; i < LOAD_SENDERS; i++) {
        char addr[SB_HEX_TEXT_BYTES(20)];
        (void)sb_hex_format(addr, sb_span(load->senders[i].addr.b, sizeof load->senders[i].addr.b));
        load->senders[i].known_nonce += strcmp(member(receipt, "from"), addr) == 0;
    }
    load->inference_count += strcasecmp(member(receipt, "to"), load->reader) == 0;
    const char *contract = member(receipt, "contractAddress");
    if (!load->has_contract && strlen(contract) == 42) {
        load->has_contract = true;
        memcpy(load->contract, contract, 43);
    }
    if (strcmp(member(receipt, "status"), "0x1") != 0) {
        problem(load, "a transaction failed", item->json);
    }
}

/* ask: answers to `method` with each of the texts [from, from + count) of an array; NULL when the connection broke. */
static json_t *ask(struct rpc_session *session, const char *method, json_t *texts, size_t from,
                   size_t count)
{
    json_t *batch = json_array();
    for (size_t i = from; i < from + count; i++) {
        rpc_batch_add(session, batch, method, json_pack("[O]", json_array_get(texts, i)));
    }
    return rpc_batch(session, batch);
}

/* await_receipts: poll until each hash has its receipt. false when the connection broke. */
static bool await_receipts(struct load *load, struct rpc_session *session, json_t *hashes)
{
    uint64_t end = now_ms() + RECEIPT_MS_MAX;
    while (json_array_size(hashes) != 0 && now_ms() < end) {
        sleep_us(POLL_US);
        json_t *answers =
            ask(session, "eth_getTransactionReceipt", hashes, 0, json_array_size(hashes));
        if (answers == NULL) {
            return false;
        }
        for (size_t i = json_array_size(answers); i-- > 0;) {
            const json_t *receipt = json_object_get(json_array_get(answers, i), "result");
            if (json_is_object(receipt)) {
                acknowledge(load, json_string_value(json_array_get(hashes, i)), receipt);
                (void)json_array_remove(hashes, i);
            }
        }
        json_decref(answers);
    }
    if (json_array_size(hashes) != 0) {
        problem(load, "no receipt came for", json_string_value(json_array_get(hashes, 0)));
    }
    return true;
}

bool load_step(struct load *load, struct rpc_session *session, struct sb_random *random)
{
    json_t *hashes = send_batch(load, session, random);
    bool alive = hashes != NULL && await_receipts(load, session, hashes);
    json_decref(hashes);
    return alive && load->problem[0] == '\0';
}

void load_drive(struct load *load, struct rpc_session *session, struct sb_random *random)
{
    bool alive = load->problem[0] == '\0';
    while (alive) {
        alive = load_step(load, session, random);
    }
}

/* ---- after a restart ---- */

static bool check_head(struct load *load, struct rpc_session *session)
{
    char number[SB_HEX_U64_BYTES];
    (void)sb_hex_format_u64(number, load->head_number);
    json_t *block =
        rpc_call(session, "eth_getBlockByNumber", json_pack("[s, b]", number, 0), load->problem);
    json_t *last = rpc_call(session, "eth_blockNumber", json_array(), load->problem);
    bool is_there = json_is_object(block);
    if (last != NULL && quantity(json_string_value(last)) < load->head_number) {
        problem(load, "the head went back below", number);
    } else if (load->head_number != 0 &&
               (!is_there || strcmp(member(block, "hash"), load->head_hash) != 0)) {
        problem(load, "the acknowledged head has another hash now", member(block, "hash"));
    }
    json_decref(last);
    json_decref(block);
    return load->problem[0] == '\0';
}

/* check_receipts: receipts[indexes[0..count)]. */
static bool check_receipts(struct load *load, struct rpc_session *session, const size_t *indexes,
                           size_t count)
{
    json_t *hashes = json_array();
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(hashes, json_string(load->receipts[indexes[i]].tx_hash));
    }
    json_t *answers = ask(session, "eth_getTransactionReceipt", hashes, 0, count);
    if (answers == NULL) {
        problem(load, "no receipts were answered", "the connection broke");
    }
    for (size_t i = 0; i < json_array_size(answers); i++) {
        const struct load_receipt *wanted = &load->receipts[indexes[i]];
        char *text = json_dumps(json_object_get(json_array_get(answers, i), "result"),
                                JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
        if (text == NULL || strcmp(text, wanted->json) != 0) {
            char what[160];
            (void)snprintf(what, sizeof what,
                           "an acknowledged receipt (%s, block %" PRIu64 ") is lost or changed",
                           wanted->tx_hash, wanted->block_number);
            problem(load, what, text);
        }
        free(text);
    }
    json_decref(answers);
    json_decref(hashes);
    return load->problem[0] == '\0';
}

static bool check_nonces(struct load *load, struct rpc_session *session)
{
    for (size_t i = 0; i < LOAD_SENDERS; i++) {
        struct load_sender *sender = &load->senders[i];
        char addr[SB_HEX_TEXT_BYTES(20)];
        (void)sb_hex_format(addr, sb_span(sender->addr.b, sizeof sender->addr.b));
        json_t *nonce = rpc_call(session, "eth_getTransactionCount",
                                 json_pack("[s, s]", addr, "latest"), load->problem);
        if (nonce == NULL) {
            return false;
        }
        uint64_t value = quantity(json_string_value(nonce));
        json_decref(nonce);
        if (value < sender->known_nonce || value > sender->next_nonce) {
            problem(load, "an account's nonce is not one that it can have", addr);
            return false;
        }
        sender->known_nonce = value;
        sender->next_nonce = value;
    }
    return true;
}

bool load_check(struct load *load, struct rpc_session *session, size_t from, size_t sample,
                struct sb_random *random)
{
    size_t indexes[ASKED_AT_ONCE];
    bool ok = check_head(load, session) && check_nonces(load, session);
    size_t wanted = load->receipt_count - from + (from == 0 ? 0 : sample);
    for (size_t done = 0; ok && done < wanted;) {
        size_t count = 0;
        for (; count < ASKED_AT_ONCE && done < wanted; count++, done++) {
            bool is_new = from + done < load->receipt_count;
            indexes[count] = is_new ? from + done : (size_t)sb_random_below(random, from);
        }
        ok = check_receipts(load, session, indexes, count);
    }
    return ok;
}
