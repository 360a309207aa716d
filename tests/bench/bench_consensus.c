/* bench_consensus.c: four validators as four processes, with wires of 0, 5, 25 and 50 ms one way between them.
 *
 *     bench_consensus [--json FILE] [--seconds N]
 *
 * For each delay d, on empty blocks and with no least interval (minBlockIntervalMs 0):
 *     interval     mean time between blocks; beside it interval / RTT with RTT = 2 d: three hops a block make 1.5 the least
 *     decision     from the proposal's coming to the decision, as a node that is not the proposer sees it, median of what was sampled
 *     receipt      a transfer to one node: from eth_sendRawTransaction to the receipt, one after another, median and 99th percentile
 *     syncs, bytes, CPU: of one node for a block: fsyncs of the journal, bytes sent to peers, CPU time
 * Then transfers a second: signed ahead, poured into all four nodes, until the last one is final.
 *
 * All processes and the relay share this machine's cores, and its disk: the figures are of that, and the load of the machine is told. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/codec/hex.h"
#include "base/types/tx.h"
#include "base/util/assert.h"
#include "node/rpc_client.h"
#include "tests/net/net.h"

#define SAMPLE_US      10000
#define SAMPLES_MAX    100000
#define RECEIPTS       60
#define POLL_US        300
#define WARM_BLOCKS    20
#define WAIT_MS        60000
#define SENDERS        64 /* of the flood, a group each */
#define TXS_PER_SENDER 160
#define BATCH          40
#define PAGE_BYTES_MAX ((size_t)1 << 20)
#define GWEI           UINT64_C(1000000000)

struct figures {
    uint64_t delay_ms;
    double interval_ms, blocks_per_s, decision_ms, receipt_p50_ms, receipt_p99_ms;
    double syncs, bytes, cpu_ms, transfers_per_s;
};

/* What one node has counted so far. */
struct counts {
    double height, syncs, sent_bytes, decision_ms, transactions;
    double cpu_s;
};

static struct net net;
static double seconds = 10;

static void check(bool ok)
{
    if (!ok) {
        (void)fprintf(stderr, "bench_consensus: %s\n", net.problem);
        net_fini(&net, true);
        exit(1);
    }
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

/* quantile: of values, which are sorted; 0 without values. */
static double quantile(double *values, size_t count, double q)
{
    qsort(values, count, sizeof *values, compare);
    return count == 0 ? 0 : values[(size_t)((double)(count - 1) * q + 0.5)];
}

/* ---- what nodes count ---- */

static double page_value(const char *page, const char *name)
{
    char line[128];
    (void)snprintf(line, sizeof line, "\nsamebit_%s ", name);
    const char *at = strstr(page, line);
    return at != NULL ? strtod(at + strlen(line), NULL) : 0;
}

static double cpu_of(pid_t pid)
{
    char path[64];
    unsigned long user = 0, system = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        /* fields 14 and 15; the name in parentheses is ours and has no spaces */
        if (fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                   &system) != 2) {
            user = system = 0;
        }
        (void)fclose(file);
    }
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static struct counts counts_of(size_t node)
{
    struct sb_rpc_client client;
    struct sb_diag diag = {.text = ""};
    struct sb_buf page;
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", net.local.nodes[node].rpc_port);
    sb_buf_init(&page, PAGE_BYTES_MAX);
    bool ok = sb_rpc_client_init(&client, url, &diag) == SB_OK &&
              sb_rpc_client_get(&page, &client, "/metrics", &diag) == SB_OK;
    check(ok || net_fail(&net, "node %zu: %s", node, diag.text));
    sb_buf_add_byte(&page, '\0');
    const char *text = (const char *)page.data;
    struct counts counts = {.height = page_value(text, "head_number"),
                            .syncs = page_value(text, "fsync_seconds_count"),
                            .sent_bytes = page_value(text, "p2p_sent_bytes_total"),
                            .decision_ms =
                                page_value(text, "consensus_proposal_to_decision_seconds") * 1e3,
                            .transactions = page_value(text, "consensus_total_txs"),
                            .cpu_s = cpu_of(net.pids[node])};
    sb_buf_fini(&page);
    return counts;
}

/* ---- empty blocks ---- */

/* sample_decisions: for `seconds`, the gauge of one node as it changes with the blocks. */
static double sample_decisions(void)
{
    static double samples[SAMPLES_MAX];
    size_t count = 0;
    double end = now_s() + seconds;
    double height = 0;
    while (now_s() < end && count < SAMPLES_MAX) {
        struct counts now = counts_of(1);
        if (now.height != height && now.decision_ms > 0) {
            samples[count++] = now.decision_ms;
        }
        height = now.height;
        sleep_us(50 * 1000);
    }
    return quantile(samples, count, 0.5);
}

static void measure_blocks(struct figures *f)
{
    double begun = now_s();
    struct counts before[NET_NODES], after[NET_NODES];
    for (size_t i = 0; i < NET_NODES; i++) {
        before[i] = counts_of(i);
    }
    sleep_us((uint64_t)(seconds * 1e6));
    for (size_t i = 0; i < NET_NODES; i++) {
        after[i] = counts_of(i);
    }
    double took = now_s() - begun;
    double blocks = after[0].height - before[0].height;
    check(blocks > 0 || net_fail(&net, "no block was made"));
    f->interval_ms = took / blocks * 1e3;
    f->blocks_per_s = blocks / took;
    for (size_t i = 0; i < NET_NODES; i++) {
        f->syncs += (after[i].syncs - before[i].syncs) / blocks / NET_NODES;
        f->bytes += (after[i].sent_bytes - before[i].sent_bytes) / blocks / NET_NODES;
        f->cpu_ms += (after[i].cpu_s - before[i].cpu_s) / blocks / NET_NODES * 1e3;
    }
    f->decision_ms = sample_decisions();
}

/* ---- transfers ---- */

static char *signed_transfer(const struct load_sender *sender, uint64_t nonce)
{
    struct sb_tx tx = {.type = SB_TX_FEE_MARKET,
                       .has_chain_id = true,
                       .chain_id = NET_CHAIN_ID,
                       .nonce = nonce,
                       .gas_limit = 21000,
                       .max_fee = sb_u256_from_u64(10000 * GWEI),
                       .max_priority_fee = sb_u256_from_u64(GWEI),
                       .to = {.b = {[0] = 0xbe, [19] = (uint8_t)nonce}},
                       .value = sb_u256_from_u64(1)};
    struct sb_buf raw;
    SB_ASSERT(sb_tx_sign(&tx, sender->secret) == SB_OK);
    sb_buf_init(&raw, 512);
    sb_tx_encode(&raw, &tx);
    SB_ASSERT(sb_buf_err(&raw) == SB_OK);
    char *text = malloc(SB_HEX_TEXT_BYTES(raw.len));
    SB_ASSERT(text != NULL);
    (void)sb_hex_format(text, sb_buf_bytes(&raw));
    sb_buf_fini(&raw);
    return text;
}

/* await_receipt: how long from now, in seconds. */
static void await_receipt(struct rpc_session *session, json_t *hash)
{
    uint64_t end = now_ms() + WAIT_MS;
    bool found = false;
    while (!found && now_ms() < end) {
        sleep_us(POLL_US);
        json_t *receipt =
            rpc_call(session, "eth_getTransactionReceipt", json_pack("[O]", hash), NULL);
        found = json_is_object(receipt);
        json_decref(receipt);
    }
    check(found || net_fail(&net, "no receipt came"));
}

static void measure_receipts(struct figures *f, const struct load_sender *sender)
{
    struct rpc_session session;
    double times[RECEIPTS];
    check(net_open(&net, &session, 0));
    for (uint64_t i = 0; i < RECEIPTS; i++) {
        char *raw = signed_transfer(sender, i);
        double begun = now_s();
        json_t *hash = rpc_call(&session, "eth_sendRawTransaction", json_pack("[s]", raw), NULL);
        check(json_is_string(hash) || net_fail(&net, "a transfer was refused"));
        await_receipt(&session, hash);
        times[i] = (now_s() - begun) * 1e3;
        json_decref(hash);
        free(raw);
    }
    rpc_close(&session);
    f->receipt_p50_ms = quantile(times, RECEIPTS, 0.5);
    f->receipt_p99_ms = quantile(times, RECEIPTS, 0.99);
}

struct flood {
    size_t node;
    char *raws[SENDERS / NET_NODES][TXS_PER_SENDER];
    pthread_t thread;
};

/* pour: the transfers of this node's senders, in batches, each sender's in order. */
static void *pour(void *ctx)
{
    struct flood *flood = ctx;
    struct rpc_session session;
    if (!net_open(&net, &session, flood->node)) {
        return NULL;
    }
    for (size_t from = 0; from < TXS_PER_SENDER; from += BATCH) {
        for (size_t s = 0; s < SENDERS / NET_NODES; s++) {
            json_t *batch = json_array();
            for (size_t i = from; i < from + BATCH && i < TXS_PER_SENDER; i++) {
                rpc_batch_add(&session, batch, "eth_sendRawTransaction",
                              json_pack("[s]", flood->raws[s][i]));
            }
            json_t *answers = rpc_batch(&session, batch);
            for (size_t i = 0; i < json_array_size(answers); i++) {
                if (json_object_get(json_array_get(answers, i), "result") == NULL) {
                    (void)net_fail(&net, "a transfer of the flood was refused");
                }
            }
            json_decref(answers);
        }
    }
    rpc_close(&session);
    return NULL;
}

static void measure_flood(struct figures *f)
{
    static struct flood floods[NET_NODES];
    static struct load load;
    for (size_t s = 0; s < SENDERS; s++) {
        struct flood *flood = &floods[s % NET_NODES];
        load_use_senders(&load, (uint32_t)(1 + s));
        for (size_t i = 0; i < TXS_PER_SENDER; i++) {
            flood->raws[s / NET_NODES][i] = signed_transfer(&load.senders[0], i);
        }
    }
    double before = counts_of(0).transactions;
    double begun = now_s();
    for (size_t i = 0; i < NET_NODES; i++) {
        floods[i].node = i;
        SB_ASSERT(pthread_create(&floods[i].thread, NULL, pour, &floods[i]) == 0);
    }
    uint64_t end = now_ms() + 2 * WAIT_MS;
    const double wanted = SENDERS * TXS_PER_SENDER;
    while (counts_of(0).transactions - before < wanted && net.problem[0] == '\0' &&
           now_ms() < end) {
        sleep_us(SAMPLE_US);
    }
    f->transfers_per_s = wanted / (now_s() - begun);
    for (size_t i = 0; i < NET_NODES; i++) {
        (void)pthread_join(floods[i].thread, NULL);
    }
    check(net.problem[0] == '\0');
    check(now_ms() < end || net_fail(&net, "the flood was not final in time"));
    for (size_t s = 0; s < SENDERS; s++) {
        for (size_t i = 0; i < TXS_PER_SENDER; i++) {
            free(floods[s % NET_NODES].raws[s / NET_NODES][i]);
        }
    }
}

/* ---- all ---- */

static struct figures measure(const char *program, uint64_t delay_ms)
{
    static struct load load;
    struct figures f = {.delay_ms = delay_ms};
    const struct sb_relay_quality wires = {.delay_us = delay_ms * 1000};
    check(net_make(&net, program, 0, &wires));
    check(net_start_all(&net));
    for (size_t i = 0; i < NET_NODES; i++) {
        check(net_wait_height(&net, i, WARM_BLOCKS, WAIT_MS));
    }
    measure_blocks(&f);
    load_use_senders(&load, 0);
    measure_receipts(&f, &load.senders[0]);
    measure_flood(&f);
    check(net_stop_all(&net));
    net_fini(&net, false);
    return f;
}

static void print_table(const struct figures *figures, size_t count)
{
    double loads[3] = {0, 0, 0};
    (void)getloadavg(loads, 3);
    (void)printf("four validators and the relay on %ld cores; load of the machine %.1f\n\n",
                 sysconf(_SC_NPROCESSORS_ONLN), loads[0]);
    (void)printf(
        "one way  interval  /RTT  blocks/s  decision  receipt p50   p99  syncs  sent/block  "
        "CPU/block  transfers/s\n");
    for (size_t i = 0; i < count; i++) {
        const struct figures *f = &figures[i];
        char ratio[16] = "   -";
        if (f->delay_ms != 0) {
            (void)snprintf(ratio, sizeof ratio, "%4.2f",
                           f->interval_ms / (2 * (double)f->delay_ms));
        }
        (void)printf(
            "%4" PRIu64 " ms  %5.1f ms  %s  %8.1f  %5.1f ms     %5.1f ms  %5.1f ms  %4.1f  "
            "%7.1f kB  %6.2f ms  %11.0f\n",
            f->delay_ms, f->interval_ms, ratio, f->blocks_per_s, f->decision_ms, f->receipt_p50_ms,
            f->receipt_p99_ms, f->syncs, f->bytes / 1e3, f->cpu_ms, f->transfers_per_s);
    }
    (void)printf(
        "\nthe least interval is three hops: 1.50 of RTT; the target at 25 ms is 1.70. syncs, sent "
        "and CPU: of one node for a block\n");
}

static void print_json(const struct figures *figures, size_t count)
{
    (void)printf("[");
    for (size_t i = 0; i < count; i++) {
        const struct figures *f = &figures[i];
        (void)printf("%s{\"one_way_ms\":%" PRIu64 ",\"interval_ms\":%.2f,\"interval_per_rtt\":%.3f,"
                     "\"least_interval_per_rtt\":1.5,\"blocks_per_s\":%.2f,\"decision_ms\":%.2f,"
                     "\"receipt_p50_ms\":%.2f,\"receipt_p99_ms\":%.2f,\"syncs_per_block\":%.2f,"
                     "\"sent_bytes_per_block\":%.0f,\"cpu_ms_per_block\":%.3f,"
                     "\"transfers_per_s\":%.0f}",
                     i == 0 ? "" : ",", f->delay_ms, f->interval_ms,
                     f->delay_ms != 0 ? f->interval_ms / (2 * (double)f->delay_ms) : 0,
                     f->blocks_per_s, f->decision_ms, f->receipt_p50_ms, f->receipt_p99_ms,
                     f->syncs, f->bytes, f->cpu_ms, f->transfers_per_s);
    }
    (void)printf("]\n");
}

int main(int argc, char **argv)
{
    static const uint64_t k_delays_ms[] = {0, 5, 25, 50};
    enum { COUNT = sizeof k_delays_ms / sizeof k_delays_ms[0] };
    struct figures figures[COUNT];
    char program[PROCESS_PATH_BYTES];
    const char *json = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0) {
            seconds = strtod(argv[i + 1], NULL);
        } else if (strcmp(argv[i], "--json") == 0) {
            json = argv[i + 1];
        }
    }
    (void)signal(SIGPIPE, SIG_IGN);
    process_sibling(program, "samebit");
    for (size_t i = 0; i < COUNT; i++) {
        figures[i] = measure(program, k_delays_ms[i]);
    }
    print_table(figures, COUNT);
    if (json != NULL && freopen(json, "w", stdout) != NULL) {
        print_json(figures, COUNT);
    }
    return 0;
}
