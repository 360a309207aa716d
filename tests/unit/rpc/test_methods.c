/* test_methods.c: what each method answers about the fixed chain of tests/support/fake_backend.h, over a real socket. */
#include "rpc/method.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec/hex.h"
#include "rpc/format.h"
#include "tests/support/fake_backend.h"
#include "tests/support/http_client.h"

static struct fake_backend *g_fake;
static struct sb_rpc_server *g_server;
static uint16_t g_port;

static int set_up(void **state)
{
    struct sb_rpc_options options = {.port = 0, .client_version = "Samebit/test"};
    (void)state;
    g_fake = fake_backend_new();
    struct sb_rpc_backend backend = fake_backend_table(g_fake);
    if (sb_rpc_server_new(&g_server, &backend, &options, NULL) != SB_OK ||
        sb_rpc_server_start(g_server, NULL) != SB_OK) {
        return -1;
    }
    g_port = sb_rpc_server_port(g_server);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sb_rpc_server_free(g_server);
    fake_backend_free(g_fake);
    return 0;
}

/* "$C" contract, "$S" sender, "$0".."$2" block hashes, "$T" the transaction of block 2, "$D" the creation of block 1, "$P" the
 * pending transaction's hash. */
static void expand(char *ret, size_t capacity, const char *text)
{
    sb_addr contract = fake_backend_contract(g_fake);
    sb_addr sender = fake_backend_sender(g_fake);
    struct sb_buf out;
    sb_buf_init(&out, capacity - 1);
    for (const char *at = text; *at != '\0'; at++) {
        char hex[SB_HEX_TEXT_BYTES(32)];
        if (*at != '$') {
            sb_buf_add_byte(&out, (uint8_t)*at);
            continue;
        }
        at++;
        sb_bytes bytes = sb_span(NULL, 0);
        switch (*at) {
        case 'C':
            bytes = sb_span(contract.b, sizeof contract.b);
            break;
        case 'S':
            bytes = sb_span(sender.b, sizeof sender.b);
            break;
        case 'T':
            bytes = sb_span(fake_backend_block(g_fake, 2)->tx_hashes[0].b, 32);
            break;
        case 'D':
            bytes = sb_span(fake_backend_block(g_fake, 1)->tx_hashes[1].b, 32);
            break;
        default:
            bytes = sb_span(fake_backend_block(g_fake, (uint64_t)(*at - '0'))->hash.b, 32);
            break;
        }
        sb_buf_add_str(&out, sb_hex_format(hex, bytes));
    }
    assert_false(out.failed);
    sb_copy(ret, out.data, out.len);
    ret[out.len] = '\0';
    sb_buf_fini(&out);
}

/* The answer without its envelope: result or error as text. */
static char *call(const char *method, const char *params)
{
    char body[5120];
    char full[4096];
    static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":1,";
    expand(full, sizeof full, params);
    (void)snprintf(body, sizeof body,
                   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":[%s]}", method,
                   full);
    char *answer = http_post(g_port, body, strlen(body), NULL);
    assert_memory_equal(answer, head, sizeof head - 1);
    size_t len = strlen(answer);
    assert_int_equal(answer[len - 1], '}');
    answer[len - 1] = '\0';
    memmove(answer, answer + sizeof head - 1, len - sizeof head + 1);
    return answer;
}

struct row {
    const char *method, *params,
        *want; /* want: the whole answer, or a part of it when it begins with '~' */
};

static void run_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char want[4096];
        char *got = call(rows[i].method, rows[i].params);
        expand(want, sizeof want, rows[i].want);
        bool same = want[0] == '~' ? strstr(got, want + 1) != NULL : strcmp(got, want) == 0;
        if (!same) {
            fail_msg("%s [%s]\n got  %s\n want %s", rows[i].method, rows[i].params, got, want);
        }
        free(got);
    }
}

#define ZERO_HASH "\"0x0000000000000000000000000000000000000000000000000000000000000001\""

static void chain_methods_answer(void **state)
{
    static const struct row rows[] = {
        {"eth_chainId", "", "\"result\":\"0x5b00\""},
        {"eth_blockNumber", "", "\"result\":\"0x2\""},
        {"eth_syncing", "", "\"result\":false"},
        {"eth_accounts", "", "\"result\":[]"},
        {"eth_config", "", "~\"code\":-32601"},
        {"eth_capabilities", "", "~\"head\":{\"number\":\"0x2\",\"hash\":\"$2\"}"},
        {"net_version", "", "\"result\":\"23296\""},
        {"net_listening", "", "\"result\":true"},
        {"net_peerCount", "", "\"result\":\"0x3\""},
        {"web3_clientVersion", "", "\"result\":\"Samebit/test\""},
        {"web3_sha3", "\"0x68656c6c6f\"",
         "\"result\":\"0x1c8aff950685c2ed4bc3174f3472287b56d9517b9c948127319a09a7a36deac8\""},
        {"rpc_modules", "", "~\"eth\":\"1.0\""},
        {"eth_getBlockByNumber", "\"0x1\",false", "~\"number\":\"0x1\",\"hash\":\"$1\""},
        {"eth_getBlockByNumber", "\"latest\",false",
         "~\"transactions\":[\"$T\"],\"uncles\":[],\"withdrawals\":[]}"},
        {"eth_getBlockByNumber", "\"earliest\"", "~\"hash\":\"$0\""},
        {"eth_getBlockByNumber", "\"safe\",false", "~\"hash\":\"$2\""},
        {"eth_getBlockByNumber", "\"finalized\",true",
         "~\"transactions\":[{\"hash\":\"$T\",\"type\":\"0x2\",\"blockHash\":\"$2\""},
        {"eth_getBlockByNumber", "\"0xffffffff\",false", "\"result\":null"},
        {"eth_getBlockByHash", "\"$1\",false", "~\"number\":\"0x1\""},
        {"eth_getBlockByHash", ZERO_HASH ",false", "\"result\":null"},
        {"eth_getBlockTransactionCountByNumber", "\"0x1\"", "\"result\":\"0x2\""},
        {"eth_getBlockTransactionCountByHash", "\"$2\"", "\"result\":\"0x1\""},
        {"eth_getBlockTransactionCountByHash", ZERO_HASH, "\"result\":null"},
        {"eth_getUncleCountByBlockNumber", "\"0x1\"", "\"result\":\"0x0\""},
        {"eth_getUncleCountByBlockHash", "\"$1\"", "\"result\":\"0x0\""},
        {"eth_getBlockReceipts", "\"0x0\"", "\"result\":[]"},
        {"eth_getBlockReceipts", "\"$2\"", "~\"result\":[{\"transactionHash\":\"$T\""},
        {"eth_getBlockReceipts", ZERO_HASH, "\"result\":null"},
    };
    (void)state;
    run_rows(rows, sizeof rows / sizeof rows[0]);
}

static void operation_methods_answer(void **state)
{
    static const struct row ready[] = {
        {"eth_syncing", "", "\"result\":false"},
        {"eth_syncing", "1", "~\"code\":-32602"},
        {"samebit_status", "",
         "\"result\":{\"clientVersion\":\"Samebit/test\",\"chainId\":\"0x5b00\","
         "\"status\":\"ready\",\"reason\":\"\",\"height\":\"0x2\",\"bestHeight\":\"0x2\","
         "\"syncing\":false,\"lastBlockTimeMs\":\"0xf4240\",\"lastBlockAgeMs\":\"0x1f4\","
         "\"peers\":\"0x3\",\"validator\":true,\"voting\":true,\"nodeId\":\"abcd\"}"},
        {"samebit_consensusState", "", "\"result\":{\"round\":4}"},
        {"samebit_getValidators", "", "~{\"height\":\"0x3\",\"hash\":\"0x03"},
        {"samebit_getValidators", "\"pending\"", "~\"height\":\"0x3\""},
        {"samebit_getValidators", "\"latest\"", "~\"height\":\"0x2\""},
        {"samebit_getValidators", "\"0x4\"",
         "~\"totalPower\":\"0xc\",\"validators\":[{\"index\":\"0x0\",\"address\":"
         "\"0x0100000000000000000000000000000000000000\",\"keyType\":\"ed25519\",\"publicKey\":"
         "\"0xaa"},
        {"samebit_getValidators", "\"0x4\"", "~\"keyType\":\"unknown\""},
        {"samebit_getValidators", "\"0x4\"",
         "~\"operator\":\"0x0900000000000000000000000000000000000000\"}]"},
        {"samebit_getSigningInfo", "\"0x0900000000000000000000000000000000000000\"",
         "\"result\":{\"operator\":\"0x0900000000000000000000000000000000000000\",\"address\":"
         "\"0x0200000000000000000000000000000000000000\",\"missedBlocks\":\"0x3\","
         "\"countedBlocks\":\"0x14\",\"window\":\"0x64\",\"missedBlocksMax\":\"0x32\","
         "\"jailed\":true,\"jailedUntil\":\"0x4d\",\"tombstoned\":false}"},
        {"samebit_getSigningInfo", "\"0x0800000000000000000000000000000000000000\",\"0x1\"",
         "\"result\":null"},
        {"samebit_getSigningInfo", "\"0x08\"", "~\"code\":-32602"},
        {"samebit_getSigningInfo", "", "~\"code\":-32602"},
        {"samebit_getValidators", "\"0x5\"", "\"result\":null"},
        {"samebit_getValidators", "\"earliest\"", "\"result\":null"},
        {"samebit_getValidators", "\"soon\"", "~\"code\":-32602"},
        {"samebit_getValidators", "\"0x1\",2", "~\"code\":-32602"},
    };
    static const struct row syncing[] = {
        {"eth_syncing", "",
         "\"result\":{\"startingBlock\":\"0x1\",\"currentBlock\":\"0x2\","
         "\"highestBlock\":\"0x9\"}"},
        {"samebit_status", "", "~\"status\":\"catching up\",\"reason\":\"at block 2 of 9\""},
    };
    (void)state;
    run_rows(ready, sizeof ready / sizeof ready[0]);
    fake_backend_set_condition(g_fake, SB_RPC_CATCHING_UP);
    run_rows(syncing, sizeof syncing / sizeof syncing[0]);
    fake_backend_set_condition(g_fake, SB_RPC_READY);
}

static void transaction_methods_answer(void **state)
{
    static const struct row rows[] = {
        {"eth_getTransactionByHash", "\"$T\"", "~\"blockNumber\":\"0x2\""},
        {"eth_getTransactionByHash", ZERO_HASH, "\"result\":null"},
        {"eth_getTransactionByBlockHashAndIndex", "\"$1\",\"0x1\"", "~\"hash\":\"$D\""},
        {"eth_getTransactionByBlockHashAndIndex", "\"$1\",\"0x2\"", "\"result\":null"},
        {"eth_getTransactionByBlockNumberAndIndex", "\"0x1\",\"0x1\"", "~\"to\":null"},
        {"eth_getTransactionReceipt", ZERO_HASH, "\"result\":null"},
        {"eth_getTransactionReceipt", "\"$D\"",
         "~\"to\":null,\"contractAddress\":\"$C\",\"status\":\"0x1\","
         "\"cumulativeGasUsed\":\"0x13c68\",\"gasUsed\":\"0xea60\","
         "\"effectiveGasPrice\":\"0xb2d05e00\""},
        /* base fee 1 gwei + tip 1,000,000 */
        {"eth_getTransactionReceipt", "\"$T\"", "~\"effectiveGasPrice\":\"0x3baa0c40\""},
        {"eth_getTransactionReceipt", "\"$D\"",
         "~\"transactionIndex\":\"0x1\",\"blockHash\":\"$1\",\"blockTimestamp\":\"0x6553f101\","
         "\"logIndex\":\"0x1\",\"removed\":false}]}"},
        {"eth_sendRawTransaction", "\"0x02c0\"", "~\"code\":-32000"},
        {"debug_getRawTransaction", ZERO_HASH, "\"result\":\"0x\""},
        {"debug_getRawReceipts", "\"0x0\"", "\"result\":[]"},
        {"debug_getRawBlock", "\"2\"",
         "\"error\":{\"code\":-32602,\"message\":\"invalid argument 0: hex string without 0x "
         "prefix\"}"},
        {"debug_getRawBlock", "\"0x9\"",
         "\"error\":{\"code\":-32000,\"message\":\"block #9 not found\"}"},
        {"debug_traceTransaction", "\"$T\"", "\"result\":{\"tracer\":0}"},
        {"debug_traceTransaction", "\"$T\",{\"tracer\":\"callTracer\"}",
         "\"result\":{\"tracer\":1}"},
        {"debug_traceTransaction", ZERO_HASH,
         "\"error\":{\"code\":-32000,\"message\":\"transaction not found\"}"},
        {"debug_traceBlockByNumber", "\"0x1\"", "\"result\":[{\"tracer\":0},{\"tracer\":0}]"},
        {"debug_traceBlockByNumber", "\"0x0\"",
         "\"error\":{\"code\":-32000,\"message\":\"genesis is not traceable\"}"},
        {"debug_traceBlockByHash", ZERO_HASH,
         "\"error\":{\"code\":-32000,\"message\":\"block "
         "0x0000000000000000000000000000000000000000000000000000000000000001 not "
         "found\"}"},
        {"debug_traceCall", "{\"to\":\"$C\"},\"latest\",{\"tracer\":\"prestateTracer\"}",
         "\"result\":{\"tracer\":2}"},
    };
    (void)state;
    run_rows(rows, sizeof rows / sizeof rows[0]);
}

/* Everything that is encoded decodes to the same thing and hashes to its name. */
static void raw_forms_hash_to_their_names(void **state)
{
    uint8_t raw[4096];
    size_t len = 0;
    (void)state;
    for (int i = 0; i < 2; i++) {
        char *got = call(i == 0 ? "debug_getRawHeader" : "debug_getRawTransaction",
                         i == 0 ? "\"0x1\"" : "\"$D\"");
        static const char head[] = "\"result\":\"";
        char *hex = got + sizeof head - 1;
        size_t digits = strlen(hex) - 1;
        assert_int_equal(sb_hex_parse_data(raw, &len, sizeof raw, hex, digits), SB_OK);
        sb_hash hash = sb_tx_hash(sb_span(raw, len)); /* keccak256 of the bytes */
        const struct sb_rpc_block *block = fake_backend_block(g_fake, 1);
        assert_true(sb_hash_equal(&hash, i == 0 ? &block->hash : &block->tx_hashes[1]));
        free(got);
    }
}

static void state_methods_answer(void **state)
{
    static const struct row rows[] = {
        {"eth_getBalance", "\"$S\",\"latest\"", "\"result\":\"0xde0b6b3a7640000\""},
        {"eth_getBalance", "\"$S\",\"$1\"", "\"result\":\"0xde0b6b3a7640000\""},
        {"eth_getBalance", "\"$S\",{\"blockHash\":\"$1\"}", "\"result\":\"0xde0b6b3a7640000\""},
        {"eth_getBalance", "\"$S\",\"0x9\"",
         "\"error\":{\"code\":-32000,\"message\":\"header not found\"}"},
        {"eth_getBalance", "\"0x00000000000000000000000000000000000000ff\"", "\"result\":\"0x0\""},
        {"eth_getTransactionCount", "\"$S\"", "\"result\":\"0x3\""},
        {"eth_getTransactionCount", "\"$S\",\"pending\"", "\"result\":\"0x4\""},
        {"eth_getCode", "\"$C\"", "\"result\":\"0x602a600052\""},
        {"eth_getCode", "\"$S\"", "\"result\":\"0x\""},
        {"eth_getStorageAt", "\"$C\",\"0x0\",\"latest\"",
         "\"result\":\"0x000000000000000000000000000000000000000000000000000000000000002a\""},
        {"eth_getStorageAt", "\"$C\",\"0x1\"",
         "\"result\":\"0x0000000000000000000000000000000000000000000000000000000000000000\""},
        {"eth_getStorageValues", "{\"$C\":[\"0x0\"]}",
         "\"result\":{\"$C\":["
         "\"0x000000000000000000000000000000000000000000000000000000000000002a\"]}"},
        {"eth_getStorageValues", "{}", "~\"code\":-32602"},
        {"eth_getProof", "\"$C\",[\"0x0\"],\"latest\"",
         "~\"storageProof\":[{\"key\":\"0x0\",\"value\":\"0x2a\",\"proof\":[]}]"},
        {"eth_getProof", "\"$C\",[],\"latest\"", "~\"accountProof\":[\"0xc28080\"]"},
    };
    (void)state;
    run_rows(rows, sizeof rows / sizeof rows[0]);
}

static void call_methods_answer(void **state)
{
    static const struct row rows[] = {
        {"eth_call", "{\"to\":\"$C\",\"data\":\"0x1234\"},\"latest\"", "\"result\":\"0x1234\""},
        {"eth_call", "{\"to\":\"$C\",\"input\":\"0x1234\"}", "\"result\":\"0x1234\""},
        {"eth_call", "{\"data\":\"0xfd\"}",
         "\"error\":{\"code\":3,\"message\":\"execution reverted\",\"data\":\"0x\"}"},
        /* Error("user error") */
        {"eth_call",
         "{\"data\":"
         "\"0xfd08c379a0000000000000000000000000000000000000000000000000000000000000002000000000000"
         "0000000000000000000"
         "000000000000000000000000000000000a75736572206572726f7200000000000000000000000000000000000"
         "000000000\"}",
         "~\"error\":{\"code\":3,\"message\":\"execution reverted: user "
         "error\",\"data\":\"0x08c379a0"},
        /* Panic(0x12) */
        {"eth_call",
         "{\"data\":"
         "\"0xfd4e487b710000000000000000000000000000000000000000000000000000000000000012\"}",
         "~\"code\":3,\"message\":\"execution reverted: "},
        {"eth_call", "{\"data\":\"0xfe\",\"gas\":\"0x5208\"}",
         "\"error\":{\"code\":-32000,\"message\":\"out of gas\"}"},
        {"eth_call", "{\"data\":\"0xfe\",\"gas\":\"0xffffffffff\"}",
         "\"error\":{\"code\":-32000,\"message\":\"out of gas: this node gives a call at most "
         "50000000 gas\"}"},
        {"eth_call",
         "{\"data\":\"0x01\"},\"latest\",{\"$C\":{\"code\":\"0x00\",\"stateDiff\":{" ZERO_HASH
         ":" ZERO_HASH "}}},{\"number\":\"0x9\"}",
         "\"result\":\"0x01\""},
        {"eth_estimateGas", "{\"to\":\"$C\"}", "\"result\":\"0x5208\""},
        {"eth_estimateGas", "{\"data\":\"0xfd\"}", "~\"code\":3"},
        {"eth_createAccessList",
         "{\"to\":\"$C\",\"accessList\":[{\"address\":\"$C\",\"storageKeys\":[" ZERO_HASH "]}]}",
         "\"result\":{\"accessList\":[{\"address\":\"$C\",\"storageKeys\":[" ZERO_HASH
         "]}],\"gasUsed\":\"0x5208\"}"},
        {"eth_simulateV1", "{\"blockStateCalls\":[{\"calls\":[{},{}]},{}]},\"latest\"",
         "\"result\":[2,0]"},
        {"eth_simulateV1", "{\"blockStateCalls\":[]}", "~\"code\":-32602"},
    };
    (void)state;
    run_rows(rows, sizeof rows / sizeof rows[0]);
}

static void fee_methods_answer(void **state)
{
    static const struct row rows[] = {
        {"eth_gasPrice", "", "\"result\":\"0x3436b300\""},
        {"eth_maxPriorityFeePerGas", "", "\"result\":\"0xf4240\""},
        {"eth_baseFee", "", "\"result\":\"0x342770c0\""},
        {"eth_blobBaseFee", "", "\"result\":\"0x1\""},
        {"eth_feeHistory", "\"0x2\",\"latest\",[0,50.5,100]",
         "\"result\":{\"oldestBlock\":\"0x1\",\"reward\":[[\"0x77359400\",\"0x77359400\","
         "\"0x77359400\"],[\"0xf4240\",\"0xf4240\","
         "\"0xf4240\"]],\"baseFeePerGas\":[\"0x3b9aca00\",\"0x3b9aca00\",\"0x342770c0\"],"
         "\"gasUsedRatio\":[0.0027,0.001],"
         "\"baseFeePerBlobGas\":[\"0x1\",\"0x1\",\"0x1\"],\"blobGasUsedRatio\":[0,0]}"},
        {"eth_feeHistory", "5,\"0x1\",[]",
         "~\"oldestBlock\":\"0x0\",\"baseFeePerGas\":[\"0x3b9aca00\",\"0x3b9aca00\","
         "\"0x3b9aca00\"]"},
        {"eth_feeHistory", "\"0x0\",\"latest\",null",
         "\"result\":{\"oldestBlock\":\"0x0\",\"gasUsedRatio\":[]}"},
        {"eth_feeHistory", "\"0x1\",\"0x9\"",
         "\"error\":{\"code\":-32000,\"message\":\"request beyond head block: requested 9, head "
         "2\"}"},
    };
    (void)state;
    run_rows(rows, sizeof rows / sizeof rows[0]);
}

static void log_and_filter_methods_answer(void **state)
{
#define TOPIC_AA "\"0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""
#define TOPIC_03 "\"0x0303030303030303030303030303030303030303030303030303030303030303\""
    static const struct row rows[] = {
        {"eth_getLogs", "{}", "~\"blockNumber\":\"0x2\""},
        {"eth_getLogs",
         "{\"fromBlock\":\"0x0\",\"toBlock\":\"latest\",\"topics\":[" TOPIC_AA "," TOPIC_03 "]}",
         "\"result\":[{\"address\":\"$C\",\"topics\":[" TOPIC_AA "," TOPIC_03 "],"
         "\"data\":\"0x000000000000000000000000000000000000000000000000000000000000002a\","
         "\"blockNumber\":\"0x2\","
         "\"transactionHash\":\"$T\",\"transactionIndex\":\"0x0\",\"blockHash\":\"$2\","
         "\"blockTimestamp\":\"0x6553f102\","
         "\"logIndex\":\"0x0\",\"removed\":false}]"},
        {"eth_getLogs", "{\"fromBlock\":\"0x0\",\"topics\":[null,[" TOPIC_03 "]]}",
         "~\"logIndex\":\"0x0\""},
        {"eth_getLogs", "{\"blockHash\":\"$1\",\"address\":[\"$C\"]}", "~\"logIndex\":\"0x1\""},
        {"eth_getLogs", "{\"blockHash\":" ZERO_HASH "}",
         "\"error\":{\"code\":-32000,\"message\":\"unknown block\"}"},
        {"eth_getLogs", "{\"fromBlock\":\"0x0\",\"address\":\"$S\"}", "\"result\":[]"},
        {"eth_getLogs", "{\"fromBlock\":\"0x5\",\"toBlock\":\"0x1\"}", "~\"code\":-32602"},
        {"eth_getLogs", "{\"fromBlock\":\"0x50\",\"toBlock\":\"0x60\"}", "\"result\":[]"},
        {"eth_getFilterChanges", "\"0x1234\"",
         "\"error\":{\"code\":-32000,\"message\":\"filter not found\"}"},
        {"eth_uninstallFilter", "\"0x1234\"", "\"result\":false"},
        {"eth_subscribe", "\"newHeads\"", "~\"code\":-32601"},
        {"eth_unsubscribe", "\"0x1234\"", "\"result\":false"},
    };
    static const char *const kinds[][2] = {{"eth_newFilter", "{\"fromBlock\":\"0x0\"}"},
                                           {"eth_newBlockFilter", ""},
                                           {"eth_newPendingTransactionFilter", ""}};
    (void)state;
    run_rows(rows, sizeof rows / sizeof rows[0]);
    for (size_t i = 0; i < 3; i++) {
        char *id = call(kinds[i][0], kinds[i][1]);
        static const char head[] = "\"result\":";
        assert_memory_equal(id, head, sizeof head - 1);
        assert_int_equal(strlen(id), sizeof head - 1 + 36);
        const char *param = id + sizeof head - 1;
        struct row poll[] = {
            {"eth_getFilterChanges", param, "\"result\":[]"},
            {"eth_getFilterLogs", param, i == 0 ? "~\"logIndex\":\"0x1\"" : "~\"code\":-32000"},
            {"eth_uninstallFilter", param, "\"result\":true"},
            {"eth_uninstallFilter", param, "\"result\":false"}};
        run_rows(poll, 4);
        free(id);
    }
}

static void pruned_blocks_are_an_error_that_names_the_oldest(void **state)
{
#define PRUNED                                                                                     \
    "\"error\":{\"code\":4444,\"message\":\"pruned history unavailable: blocks below 2 are not "   \
    "kept "                                                                                        \
    "by this node: ask from there on, or another node\"}"
    static const struct row rows[] = {
        {"eth_getBlockByNumber", "\"0x1\",false", PRUNED},
        {"eth_getBlockByNumber", "\"0x0\",true", PRUNED},
        {"eth_getBlockByNumber", "\"0x3\",false", "\"result\":null"},
        {"eth_getBlockByNumber", "\"earliest\",false", "~\"hash\":\"$2\""},
        {"eth_getBlockByHash", "\"$1\",false", "\"result\":null"},
        {"eth_getBlockTransactionCountByNumber", "\"0x1\"", PRUNED},
        {"eth_getTransactionByBlockNumberAndIndex", "\"0x1\",\"0x0\"", PRUNED},
        {"eth_getBlockReceipts", "\"0x1\"", PRUNED},
        {"eth_getLogs", "{\"fromBlock\":\"0x1\"}", PRUNED},
        {"eth_getLogs", "{\"fromBlock\":\"0x0\",\"toBlock\":\"0x1\"}", PRUNED},
        {"eth_getLogs", "{\"fromBlock\":\"earliest\"}", "~\"blockNumber\":\"0x2\""},
        {"eth_feeHistory", "\"0x8\",\"0x1\",[]", PRUNED},
        {"eth_feeHistory", "\"0x8\",\"latest\",[]", "~\"oldestBlock\":\"0x2\""},
        {"debug_getRawBlock", "\"0x1\"", PRUNED},
        {"debug_getRawHeader", "\"0x1\"", PRUNED},
        {"debug_traceBlockByNumber", "\"0x1\"", PRUNED},
        {"samebit_getCommit", "\"0x1\"", PRUNED},
        {"samebit_getLightBlock", "\"0x1\"", PRUNED},
        {"eth_capabilities", "", "~\"oldestBlock\":\"0x2\""},
    };
    (void)state;
    fake_backend_set_oldest(g_fake, 2);
    run_rows(rows, sizeof rows / sizeof rows[0]);
    fake_backend_set_oldest(g_fake, 0);
#undef PRUNED
}

static void pool_methods_answer(void **state)
{
    static const struct row rows[] = {
        {"txpool_status", "", "\"result\":{\"pending\":\"0x1\",\"queued\":\"0x1\"}"},
        {"txpool_content", "",
         "~\"pending\":{\"0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F\":{\"3\":{\"hash\":"},
        {"txpool_content", "",
         "~\"queued\":{\"0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F\":{\"9\":{\"hash\":"},
        {"txpool_content", "",
         "~\"blockHash\":null,\"blockNumber\":null,\"blockTimestamp\":null,\"transactionIndex\":"
         "null"},
        {"txpool_contentFrom", "\"$S\"", "~\"result\":{\"pending\":{\"3\":{"},
        {"txpool_contentFrom", "\"$C\"", "\"result\":{\"pending\":{},\"queued\":{}}"},
        {"txpool_inspect", "",
         "~0x0000000000000000000000000000000000000000: 0 wei + 100000 gas \xc3\x97 3000000000 wei"},
    };
    (void)state;
    run_rows(rows, sizeof rows / sizeof rows[0]);
}

static void samebit_methods_answer(void **state)
{
#define MODEL_ID "\"0x5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b\""
    static const struct row rows[] = {
        {"samebit_listModels", "", "~\"result\":{\"total\":\"0x1\",\"models\":[{\"id\":" MODEL_ID},
        {"samebit_listModels", "\"0x1\",\"0x5\"", "\"result\":{\"total\":\"0x1\",\"models\":[]}"},
        {"samebit_getModel", MODEL_ID,
         "~\"inputs\":[{\"name\":\"pixels\",\"dtype\":\"i8\",\"shape\":[1,64],\"lo\":-128,\"hi\":"
         "127}]"},
        {"samebit_getModel", ZERO_HASH, "\"result\":null"},
        /* 21000 + 4 + 2 * 16 + 7000, and 12 for a word of call data and 6 each for the words of an answer of 64 numbers */
        {"samebit_estimateInference", MODEL_ID ",\"0x00ffff\"",
         "\"result\":{\"gasWarm\":\"0x1388\",\"gasCold\":\"0x1b58\",\"calldataGas\":\"0x24\","
         "\"dataWorkGas\":\"0x198\",\"total\":\"0x6f1c\"}"},
        {"samebit_estimateInference", ZERO_HASH,
         "\"error\":{\"code\":-32000,\"message\":\"model not found\"}"},
    };
    (void)state;
    run_rows(rows, sizeof rows / sizeof rows[0]);
}

static void proof_methods_answer(void **state)
{
#define TX "\"0x0400000000000000000000000000000000000000000000000000000000000000\""
    static const struct row rows[] = {
        {"samebit_getCommit", "\"0x2\"",
         "~\"result\":{\"height\":\"0x2\",\"round\":\"0x1\",\"blockId\":\"0x09"},
        {"samebit_getCommit", "",
         "~\"signatures\":[{\"index\":\"0x0\",\"address\":"
         "\"0x0100000000000000000000000000000000000000\",\"power\":\"0x7\",\"flag\":\"block\","
         "\"signature\":\"0xccdd\"},"},
        {"samebit_getCommit", "\"latest\"", "~\"signedPower\":\"0x7\",\"totalPower\":\"0xc\"}"},
        {"samebit_getCommit", "\"pending\"", "~\"flag\":\"absent\",\"signature\":\"0x\"}"},
        {"samebit_getCommit", "\"0x1\"", "\"result\":null"},
        {"samebit_getCommit", "\"0x1\",1", "~\"code\":-32602"},
        {"samebit_getLightBlock", "\"0x2\"", "\"result\":\"0x0102\""},
        {"samebit_getLightBlock", "\"0x3\"", "\"result\":null"},
        {"samebit_getInferences", TX,
         "~[{\"blockNumber\":\"0x2\",\"blockIndex\":\"0x3\",\"transactionHash\":" TX
         ",\"index\":\"0x0\",\"caller\":\"0x05"},
        {"samebit_getInferences", TX,
         "~\"blockIndex\":\"0x4\",\"transactionHash\":" TX ",\"index\":\"0x1\""},
        {"samebit_getInferences", ZERO_HASH, "\"result\":null"},
        {"samebit_getInferences", "", "~\"code\":-32602"},
        {"samebit_getInferenceProof", TX,
         "~\"result\":{\"proof\":\"0x03\",\"lightBlock\":\"0x0102\""},
        {"samebit_getInferenceProof", TX ",0", "~\"input\":\"0x0a\",\"output\":\"0x0b\"}"},
        {"samebit_getInferenceProof", TX ",\"0x1\"",
         "~\"path\":{\"index\":\"0x4\",\"count\":\"0x6\",\"siblings\":[\"0x01"},
        {"samebit_getInferenceProof", TX ",2", "\"result\":null"},
        {"samebit_getInferenceProof", ZERO_HASH, "\"result\":null"},
        {"samebit_submitEvidence", "\"0x010203\"", "\"result\":{\"accepted\":\"0x3\"}"},
        {"samebit_submitEvidence", "\"0x010203\",\"0x10\"", "\"result\":{\"accepted\":\"0x13\"}"},
        {"samebit_submitEvidence", "\"0x010203\",\"top\"", "~\"code\":-32602"},
        {"samebit_submitEvidence", "\"0x\"",
         "\"error\":{\"code\":-32000,\"message\":\"it proves nothing\"}"},
        {"samebit_submitEvidence", "\"0x0\"", "~\"code\":-32602"},
        {"samebit_getEvidence", "\"0x2\"",
         "~\"evidence\":[{\"kind\":\"lunatic\",\"address\":"
         "\"0x0500000000000000000000000000000000000000\",\"height\":\"0x1\",\"votes\":[{\"type\":"
         "\"precommit\",\"height\":\"0x5\",\"round\":\"0x0\",\"blockId\":\"0x08"},
        {"samebit_getEvidence", "\"0x2\"", "~\"header\":{\"id\":\"0x08"},
        {"samebit_getEvidence", "\"0x2\"", "~{\"kind\":\"duplicateVote\",\"address\":\"0x06"},
        {"samebit_getEvidence", "\"0x2\"",
         "~\"latePrecommits\":[{\"type\":\"precommit\",\"height\":\"0x1\",\"round\":\"0x0\","
         "\"blockId\":null,\"index\":\"0x3\""},
        {"samebit_getEvidence", "\"0x1\"", "\"result\":null"},
    };
    (void)state;
    run_rows(rows, sizeof rows / sizeof rows[0]);
}

static void method_table_is_complete_and_documented(void **state)
{
    (void)state;
    for (size_t i = 0; i < sb_rpc_method_count; i++) {
        assert_non_null(sb_rpc_methods[i].handler);
        assert_true(strlen(sb_rpc_methods[i].doc) > 5);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(sb_rpc_methods[i].name, sb_rpc_methods[k].name);
        }
    }
}

static void pending_block_hides_what_is_not_known(void **state)
{
    struct sb_rpc_block block = *fake_backend_block(g_fake, 2);
    struct sb_buf text;
    struct sb_json json;
    (void)state;
    block.is_pending = true;
    sb_buf_init(&text, 1 << 20);
    sb_json_init(&json, &text);
    sb_rpc_write_block(&json, &block, true);
    sb_buf_add_byte(&text, '\0');
    assert_false(text.failed);
    assert_non_null(strstr((char *)text.data, "\"hash\":null,\"nonce\":null,\"miner\":null"));
    assert_non_null(strstr((char *)text.data, "\"blockHash\":null,\"blockNumber\":null"));
    sb_buf_fini(&text);
}

/* The address of the contract made by nonce 0 of 0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0 is a well-known example. */
static void create_address_matches_the_known_example(void **state)
{
    sb_addr sender;
    sb_addr want;
    (void)state;
    assert_int_equal(sb_hex_parse(sender.b, 20, "0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0", 42),
                     SB_OK);
    assert_int_equal(sb_hex_parse(want.b, 20, "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d", 42),
                     SB_OK);
    sb_addr got = sb_rpc_create_address(&sender, 0);
    assert_memory_equal(got.b, want.b, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chain_methods_answer),
        cmocka_unit_test(operation_methods_answer),
        cmocka_unit_test(transaction_methods_answer),
        cmocka_unit_test(raw_forms_hash_to_their_names),
        cmocka_unit_test(state_methods_answer),
        cmocka_unit_test(call_methods_answer),
        cmocka_unit_test(fee_methods_answer),
        cmocka_unit_test(log_and_filter_methods_answer),
        cmocka_unit_test(pruned_blocks_are_an_error_that_names_the_oldest),
        cmocka_unit_test(pool_methods_answer),
        cmocka_unit_test(samebit_methods_answer),
        cmocka_unit_test(proof_methods_answer),
        cmocka_unit_test(method_table_is_complete_and_documented),
        cmocka_unit_test(pending_block_hides_what_is_not_known),
        cmocka_unit_test(create_address_matches_the_known_example),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
