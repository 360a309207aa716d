/* bench_virtual.c: a hundred validators in one thread of VIRTUAL time: what the protocol costs when nothing but the wires takes time.
 *
 *     bench_virtual [--json FILE] [--validators N] [--links N] [--delay-ms D] [--blocks N]
 *
 * Real replicas (driver, gossip, sync) over an application without a chain, journals in memory, and a network of random links: each
 * validator dials `links` others, and every message takes `delay` one way. CPU, disk and signature checks take no time here and are not
 * in the interval; the CPU time that this program used for each block is told beside it, for all validators together. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util/assert.h"
#include "node/replica.h"
#include "tests/support/memory_disk.h"
#include "tests/support/random.h"
#include "tests/support/stub_application.h"

#define NODES_MAX    200
#define START_MS     2000
#define WARM_BLOCKS  2
#define HEIGHT_LIMIT 1000

enum event_kind { EVENT_TIMER, EVENT_MESSAGE, EVENT_PEER };

struct event {
    uint64_t at_us, order;
    enum event_kind kind;
    uint32_t to, from;
    enum sb_replica_timer timer;
    uint64_t generation; /* of the timer */
    enum sb_channel channel;
    uint8_t *bytes; /* owned */
    size_t len;
};

struct node {
    uint32_t index;
    struct stub_application *app;
    struct sb_application table;
    struct memory_disk disk;
    struct sb_journal *journal;
    struct sb_local_signer signer;
    struct sb_replica *replica;
    uint64_t generations[SB_REPLICA_TIMER_COUNT];
};

struct options {
    uint64_t validators, links, delay_ms, blocks;
    const char *json;
};

static struct node nodes[NODES_MAX];
static struct options options = {.validators = 100, .links = 8, .delay_ms = 25, .blocks = 10};
static bool linked[NODES_MAX][NODES_MAX];
static struct event *heap; /* by (at_us, order) */
static size_t heap_count, heap_capacity;
static uint64_t now_us = START_MS * 1000, order;
static uint64_t message_count, message_bytes, check_count;

/* ---- events ---- */

static bool before(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void push(struct event event)
{
    if (heap_count == heap_capacity) {
        heap_capacity = heap_capacity == 0 ? 65536 : 2 * heap_capacity;
        heap = realloc(heap, heap_capacity * sizeof *heap);
        SB_ASSERT(heap != NULL);
    }
    event.order = order++;
    size_t i = heap_count++;
    while (i > 0 && before(&event, &heap[(i - 1) / 2])) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = event;
}

static struct event pop(void)
{
    struct event top = heap[0];
    struct event last = heap[--heap_count];
    size_t i = 0;
    for (size_t child = 1; child < heap_count; child = 2 * i + 1) {
        child += child + 1 < heap_count && before(&heap[child + 1], &heap[child]);
        if (!before(&heap[child], &last)) {
            break;
        }
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

/* ---- the host of a replica ---- */

static uint64_t now_ms(void *ctx)
{
    (void)ctx;
    return now_us / 1000;
}

static void set_timer(void *ctx, enum sb_replica_timer timer, uint64_t delay_ms)
{
    struct node *node = ctx;
    push((struct event){.at_us = now_us + delay_ms * 1000,
                        .kind = EVENT_TIMER,
                        .to = node->index,
                        .timer = timer,
                        .generation = ++node->generations[timer]});
}

static void cancel_timer(void *ctx, enum sb_replica_timer timer)
{
    ((struct node *)ctx)->generations[timer]++;
}

/* Peers are numbered by their nodes, from 1 on. */
static bool send_message(void *ctx, sb_peer peer, enum sb_channel channel, sb_bytes message)
{
    const struct node *node = ctx;
    uint8_t *copy = malloc(message.len + 1);
    SB_ASSERT(copy != NULL);
    sb_copy(copy, message.data, message.len);
    message_count++;
    message_bytes += message.len;
    push((struct event){.at_us = now_us + options.delay_ms * 1000,
                        .kind = EVENT_MESSAGE,
                        .to = (uint32_t)peer - 1,
                        .from = node->index,
                        .channel = channel,
                        .bytes = copy,
                        .len = message.len});
    return true;
}

static void report(void *ctx, sb_peer peer, enum sb_offence offence, const char *why)
{
    (void)ctx;
    (void)fprintf(stderr, "bench_virtual: peer %" PRIu64 " is reported (%d): %s\n", peer,
                  (int)offence, why);
}

static void halted(void *ctx, const char *reason)
{
    (void)ctx;
    (void)fprintf(stderr, "bench_virtual: halted: %s\n", reason);
    exit(1);
}

static bool verify(void *ctx, const struct sb_pubkey *key, sb_bytes message, sb_bytes signature)
{
    (void)ctx;
    (void)key;
    (void)message;
    (void)signature;
    check_count++;
    return true;
}

/* verify_randomness: as little work; the proof itself serves as its hash. */
static bool verify_randomness(void *ctx, uint8_t ret_beta[SB_RANDOMNESS_HASH_BYTES],
                              const struct sb_pubkey *key, sb_bytes alpha, sb_bytes proof)
{
    (void)ctx;
    (void)key;
    (void)alpha;
    memcpy(ret_beta, proof.data, SB_RANDOMNESS_HASH_BYTES);
    return true;
}

static void must(sb_err err, const struct sb_diag *diag)
{
    if (err != SB_OK) {
        (void)fprintf(stderr, "bench_virtual: %s: %s\n", sb_err_text(err), diag->text);
        exit(1);
    }
}

/* ---- the network ---- */

static void open_node(uint32_t index, const struct sb_validator *validators)
{
    struct node *node = &nodes[index];
    const struct sb_verifier verifier = {.verify = verify, .verify_randomness = verify_randomness};
    struct sb_diag diag = {.text = ""};
    struct sb_pubkey key;
    const struct stub_application_options app = {
        .domain = {.chain_id = 5, .genesis_hash = {{0x67}}},
        .genesis_time_ms = 1000,
        .validators = validators,
        .validator_count = options.validators,
        .timeliness = {.precision_ms = 500, .message_delay_ms = 15000},
        .verifier = verifier};
    node->index = index;
    node->app = stub_application_new(&app);
    SB_ASSERT(node->app != NULL);
    node->table = stub_application_table(node->app);
    stub_key(&key, node->signer.secret, index);
    struct sb_journal_identity identity = {.genesis_hash = {{0x67}}};
    memcpy(identity.public_key, key.bytes, sizeof identity.public_key);
    struct sb_journal_disk disk = memory_disk_table(&node->disk);
    struct sb_journal_recovery recovery;
    must(sb_journal_open(&node->journal, &disk, &identity, true, &recovery, &diag), &diag);
    node->signer.journal = node->journal;
    const struct sb_replica_options replica = {.app = &node->table,
                                               .journal = node->journal,
                                               .signer = sb_local_signer(&node->signer),
                                               .own_key = key,
                                               .verifier = verifier,
                                               .timeouts = sb_bft_timeouts_default(),
                                               .pace = SB_PACE_STEADY,
                                               .seed = index,
                                               .host = {.ctx = node,
                                                        .wall_ms = now_ms,
                                                        .monotonic_ms = now_ms,
                                                        .set_timer = set_timer,
                                                        .cancel_timer = cancel_timer,
                                                        .send = send_message,
                                                        .report = report,
                                                        .halted = halted}};
    must(sb_replica_new(&node->replica, &replica, &diag), &diag);
    must(sb_replica_start(node->replica, &diag), &diag);
}

static void link_nodes(struct sb_random *random)
{
    for (uint32_t i = 0; i < options.validators; i++) {
        for (uint64_t made = 0; made < options.links && made + 1 < options.validators;) {
            uint32_t other = (uint32_t)sb_random_below(random, options.validators);
            if (other == i || linked[i][other]) {
                made += linked[i][other];
                continue;
            }
            linked[i][other] = linked[other][i] = true;
            push((struct event){.at_us = now_us, .kind = EVENT_PEER, .to = i, .from = other});
            push((struct event){.at_us = now_us, .kind = EVENT_PEER, .to = other, .from = i});
            made++;
        }
    }
}

static void handle(struct event *event)
{
    struct node *node = &nodes[event->to];
    struct sb_diag diag = {.text = ""};
    sb_err err = SB_OK;
    switch (event->kind) {
    case EVENT_TIMER:
        if (event->generation == node->generations[event->timer]) {
            err = sb_replica_timer(node->replica, event->timer, &diag);
        }
        break;
    case EVENT_MESSAGE:
        err = sb_replica_receive(node->replica, event->from + 1, event->channel,
                                 sb_span(event->bytes, event->len), &diag);
        break;
    case EVENT_PEER:
        err = sb_replica_peer_up(node->replica, event->from + 1, &diag);
        break;
    }
    free(event->bytes);
    must(err, &diag);
}

/* run_to: until node 0 has committed this height. */
static void run_to(uint64_t height)
{
    while (stub_application_height(nodes[0].app) < height) {
        SB_ASSERT(heap_count != 0);
        struct event event = pop();
        now_us = event.at_us;
        handle(&event);
    }
}

/* ---- all ---- */

static void show(double interval_ms, double cpu_ms, double messages, double kilobytes,
                 double checks)
{
    double rtt = 2 * (double)options.delay_ms;
    (void)printf("VIRTUAL TIME: %" PRIu64 " validators, each dials %" PRIu64 " others, %" PRIu64
                 " ms one way a link; CPU, disk and signature checks take no time\n",
                 options.validators, options.links, options.delay_ms);
    (void)printf("interval %.1f ms, %.2f of a link's RTT (1.50 if all were linked to all); of one "
                 "validator for a block: %.0f messages, %.1f kB sent, %.0f signatures checked\n"
                 "CPU of all validators for a block, without signature checks: %.0f ms\n",
                 interval_ms, interval_ms / rtt, messages, kilobytes, checks, cpu_ms);
    FILE *file = options.json != NULL ? fopen(options.json, "w") : NULL;
    if (file != NULL) {
        (void)fprintf(file,
                      "{\"time\":\"virtual\",\"validators\":%" PRIu64 ",\"links\":%" PRIu64
                      ",\"one_way_ms\":%" PRIu64 ",\"interval_ms\":%.2f,\"interval_per_rtt\":%.3f,"
                      "\"messages_per_block\":%.1f,\"sent_kb_per_block\":%.2f,"
                      "\"checks_per_block\":%.1f,\"cpu_ms_per_block_all\":%.1f}\n",
                      options.validators, options.links, options.delay_ms, interval_ms,
                      interval_ms / rtt, messages, kilobytes, checks, cpu_ms);
        (void)fclose(file);
    }
}

static bool parse(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t number = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--json") == 0) {
            options.json = argv[i + 1];
        } else if (strcmp(argv[i], "--validators") == 0) {
            options.validators = number;
        } else if (strcmp(argv[i], "--links") == 0) {
            options.links = number;
        } else if (strcmp(argv[i], "--delay-ms") == 0) {
            options.delay_ms = number;
        } else if (strcmp(argv[i], "--blocks") == 0) {
            options.blocks = number;
        } else {
            return false;
        }
    }
    return argc % 2 == 1 && options.validators >= 1 && options.validators <= NODES_MAX &&
           options.blocks >= 1 && options.blocks < HEIGHT_LIMIT && options.delay_ms >= 1;
}

int main(int argc, char **argv)
{
    static struct sb_validator validators[NODES_MAX];
    struct sb_random random = {.state = 1};
    if (!parse(argc, argv)) {
        (void)fprintf(stderr, "usage: bench_virtual [--json FILE] [--validators N] [--links N] "
                              "[--delay-ms D] [--blocks N]\n");
        return 2;
    }
    for (uint32_t i = 0; i < options.validators; i++) {
        uint8_t secret[64];
        stub_key(&validators[i].key, secret, i);
        validators[i].power = 1;
    }
    for (uint32_t i = 0; i < options.validators; i++) {
        open_node(i, validators);
    }
    link_nodes(&random);
    run_to(WARM_BLOCKS);
    uint64_t begun_us = now_us, messages = message_count, bytes = message_bytes,
             checks = check_count;
    clock_t cpu = clock();
    run_to(WARM_BLOCKS + options.blocks);
    double each = (double)options.blocks * (double)options.validators;
    show((double)(now_us - begun_us) / 1e3 / (double)options.blocks,
         (double)(clock() - cpu) / CLOCKS_PER_SEC * 1e3 / (double)options.blocks,
         (double)(message_count - messages) / each, (double)(message_bytes - bytes) / 1e3 / each,
         (double)(check_count - checks) / each);
    while (heap_count > 0) {
        free(pop().bytes);
    }
    free(heap);
    for (uint32_t i = 0; i < options.validators; i++) {
        sb_replica_free(nodes[i].replica);
        sb_journal_close(nodes[i].journal);
        stub_application_free(nodes[i].app);
        memory_disk_fini(&nodes[i].disk);
    }
    return 0;
}
