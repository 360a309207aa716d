/* net.c: see net.h. */
#include "tests/net/net.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec/hex.h"
#include "base/util/assert.h"
#include "node/rpc_client.h"
#include "storage/store.h"

#define GENESIS_ARENA_BYTES ((size_t)256 << 20)
#define START_MS_MAX        120000
#define END_MS_MAX          60000
#define COMMAND_MS_MAX      300000
#define LOOK_US             20000
#define BLOCKS_AT_ONCE      200
#define COMMITS_CHECKED     200
#define PAGE_BYTES_MAX      ((size_t)1 << 20)
#define POOL_COUNT_MAX      65536

bool net_fail(struct net *net, const char *fmt, ...)
{
    char text[sizeof net->problem];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)pthread_mutex_lock(&net->lock);
    if (net->problem[0] == '\0') {
        memcpy(net->problem, text, sizeof text);
    }
    (void)pthread_mutex_unlock(&net->lock);
    return false;
}

/* ---- making ---- */

/* fund: every sender of every group, and nobody else. */
static struct sb_genesis_account *fund(struct sb_arena *arena)
{
    struct sb_genesis_account *alloc =
        sb_arena_array(arena, (size_t)NET_GROUPS * LOAD_SENDERS, sizeof *alloc);
    static struct load load;
    sb_u256 ether = sb_u256_from_u64(UINT64_C(1000000000000000000));
    sb_u256 million = sb_u256_from_u64(1000000);
    SB_ASSERT(alloc != NULL);
    for (uint32_t group = 0; group < NET_GROUPS; group++) {
        load_use_senders(&load, group);
        for (size_t i = 0; i < LOAD_SENDERS; i++) {
            alloc[(size_t)group * LOAD_SENDERS + i] =
                (struct sb_genesis_account){.addr = load.senders[i].addr,
                                            .origin = SB_ORIGIN_ALLOC,
                                            .balance = sb_u256_mul(&ether, &million)};
        }
    }
    return alloc;
}

static void set_paths(struct net *net)
{
    for (size_t i = 0; i < NET_NODES; i++) {
        (void)snprintf(net->logs[i], sizeof net->logs[i], "%s/node%zu.log", net->dir, i);
    }
    (void)snprintf(net->command_log, sizeof net->command_log, "%s/command.log", net->dir);
}

bool net_make(struct net *net, const char *program, uint64_t interval_ms,
              const struct sb_relay_quality *quality)
{
    static struct sb_config config;
    struct sb_diag diag = {.text = ""};
    char dir[NET_PATH_BYTES];
    *net = (struct net){.program = program};
    (void)pthread_mutex_init(&net->lock, NULL);
    temp_dir_make(net->dir);
    set_paths(net);
    sb_arena_init(&net->arena, GENESIS_ARENA_BYTES);
    sb_config_default(&config);
    config.propose_ms = 1000; /* the proposer is often dead here */
    config.prevote_ms = config.precommit_ms = 500;
    config.p2p_reconnect_ms = 100;
    config.ready_stall_ms = 2000;
    config.pool_count_max = POOL_COUNT_MAX;
    config.pool_sender_max = POOL_COUNT_MAX;
    struct sb_genesis_account *alloc = fund(&net->arena);
    struct sb_staking_params staking = sb_staking_params_default();
    staking.signed_min_bps = 0; /* nodes are dead and cut off here for long: nobody goes to jail */
    (void)snprintf(dir, sizeof dir, "%s/net", net->dir);
    const struct sb_localnet_options options = {
        .dir = dir,
        .node_count = NET_NODES,
        .has_relay = true,
        .quality = *quality,
        .seed = 1,
        .config = &config,
        .chain = {.chain_id = NET_CHAIN_ID,
                  .timestamp = 1700000000,
                  .min_block_interval_ms = interval_ms,
                  .gas_limit = sb_params_default().gas_limit,
                  .alloc = alloc,
                  .alloc_count = (size_t)NET_GROUPS * LOAD_SENDERS,
                  .has_staking = true,
                  .staking = staking,
                  .fee_recipient = {.b = {[19] = 1}},
                  .governor = alloc[0].addr},
        .operator_balance = alloc[0].balance};
    if (sb_localnet_open(&net->local, &net->genesis, &net->arena, &options, &diag) != SB_OK) {
        return net_fail(net, "the network cannot be made: %s", diag.text);
    }
    return true;
}

void net_fini(struct net *net, bool keep)
{
    for (size_t i = 0; i < NET_NODES; i++) {
        if (net->pids[i] != 0) {
            (void)kill(net->pids[i], SIGKILL);
            (void)process_wait(net->pids[i], END_MS_MAX);
        }
        signed_places_fini(&net->places[i]);
    }
    sb_localnet_close(&net->local);
    sb_arena_fini(&net->arena);
    if (net->problem[0] == '\0' && !keep) {
        temp_dir_remove(net->dir);
    }
    (void)pthread_mutex_destroy(&net->lock);
}

/* ---- processes ---- */

static void launch(struct net *net, size_t node, const char *argument)
{
    char program[PROCESS_PATH_BYTES], run[] = "run", datadir[] = "--datadir";
    char dir[SB_PATH_BYTES], last[64];
    const char *wanted = net->programs[node] != NULL ? net->programs[node] : net->program;
    (void)snprintf(program, sizeof program, "%s", wanted);
    (void)snprintf(dir, sizeof dir, "%s", net->local.nodes[node].dir.path);
    (void)snprintf(last, sizeof last, "%s", argument != NULL ? argument : "");
    char *const argv[] = {program, run, datadir, dir, argument != NULL ? last : NULL, NULL};
    net->pids[node] = process_start(argv, net->environments[node], net->logs[node]);
}

bool net_start(struct net *net, size_t node)
{
    return net_start_with(net, node, NULL);
}

bool net_start_with(struct net *net, size_t node, const char *argument)
{
    launch(net, node, argument);
    if (process_wait_listening(net->pids[node], net->logs[node], START_MS_MAX) == 0) {
        return net_fail(net, "node %zu does not start; see %s", node, net->logs[node]);
    }
    return true;
}

bool net_refused(struct net *net, size_t node, const char *text)
{
    char line[4096];
    bool is_said = false;
    launch(net, node, NULL);
    int status = process_wait(net->pids[node], START_MS_MAX);
    FILE *file = fopen(net->logs[node], "rb");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        is_said = is_said || strstr(line, text) != NULL;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (status == PROCESS_TIMEOUT) {
        return net_fail(net, "node %zu starts, but was to say: %s", node, text);
    }
    net->pids[node] = 0;
    return (status == 1 && is_said) ||
           net_fail(net, "node %zu ended with status %d, but was to say: %s", node, status, text);
}

bool net_start_all(struct net *net)
{
    bool ok = true;
    for (size_t i = 0; ok && i < NET_NODES; i++) {
        ok = net->pids[i] != 0 || net_start(net, i);
    }
    return ok;
}

static bool read_journal(struct net *net, size_t node)
{
    struct sb_diag diag = {.text = ""};
    if (signed_places_read(&net->places[node], net->local.nodes[node].dir.journal, &diag) !=
        SB_OK) {
        return net_fail(net, "the journal of node %zu: %s", node, diag.text);
    }
    return true;
}

static bool end_process(struct net *net, size_t node, int sig, int wanted)
{
    (void)kill(net->pids[node], sig);
    int status = process_wait(net->pids[node], END_MS_MAX);
    if (status == PROCESS_TIMEOUT) {
        return net_fail(net, "node %zu does not end", node);
    }
    net->pids[node] = 0;
    if (status != wanted) {
        return net_fail(net, "node %zu ended by itself, status %d; see %s", node, status,
                        net->logs[node]);
    }
    return read_journal(net, node);
}

bool net_kill(struct net *net, size_t node)
{
    return end_process(net, node, SIGKILL, -SIGKILL);
}

bool net_stop(struct net *net, size_t node)
{
    return end_process(net, node, SIGTERM, 0);
}

bool net_stop_all(struct net *net)
{
    bool ok = true;
    for (size_t i = 0; i < NET_NODES; i++) {
        ok = (net->pids[i] == 0 || net_stop(net, i)) && ok;
    }
    return ok;
}

/* ---- questions ---- */

bool net_open(struct net *net, struct rpc_session *session, size_t node)
{
    return rpc_open(session, net->local.nodes[node].rpc_port) ||
           net_fail(net, "node %zu does not answer", node);
}

static uint64_t quantity(const json_t *value)
{
    const char *text = json_string_value(value);
    uint64_t number = 0;
    return text != NULL && sb_hex_parse_u64(&number, text, strlen(text)) == SB_OK ? number : 0;
}

uint64_t net_height(struct net *net, size_t node)
{
    struct rpc_session session;
    if (!rpc_open(&session, net->local.nodes[node].rpc_port)) {
        return 0;
    }
    json_t *head = rpc_call(&session, "eth_blockNumber", json_array(), NULL);
    uint64_t height = quantity(head);
    json_decref(head);
    rpc_close(&session);
    return height;
}

uint64_t net_highest(struct net *net)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < NET_NODES; i++) {
        uint64_t height = net->pids[i] != 0 ? net_height(net, i) : 0;
        highest = height > highest ? height : highest;
    }
    return highest;
}

bool net_wait_height(struct net *net, size_t node, uint64_t height, uint64_t timeout_ms)
{
    uint64_t end = now_ms() + timeout_ms;
    uint64_t reached = net_height(net, node);
    while (reached < height && now_ms() < end) {
        sleep_us(LOOK_US);
        reached = net_height(net, node);
    }
    return reached >= height ||
           net_fail(net, "node %zu is at height %" PRIu64 ", not %" PRIu64 ", after %" PRIu64 " ms",
                    node, reached, height, timeout_ms);
}

bool net_wait_all(struct net *net, uint64_t height, uint64_t timeout_ms)
{
    bool ok = true;
    for (size_t i = 0; ok && i < NET_NODES; i++) {
        ok = net->pids[i] == 0 || net_wait_height(net, i, height, timeout_ms);
    }
    return ok;
}

bool net_metric(struct net *net, uint64_t *ret, size_t node, const char *name)
{
    struct sb_rpc_client client;
    struct sb_diag diag = {.text = ""};
    struct sb_buf page;
    char url[64], line[96];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", net->local.nodes[node].rpc_port);
    (void)snprintf(line, sizeof line, "\nsamebit_%s ", name);
    sb_buf_init(&page, PAGE_BYTES_MAX);
    bool ok = sb_rpc_client_init(&client, url, &diag) == SB_OK &&
              sb_rpc_client_get(&page, &client, "/metrics", &diag) == SB_OK;
    sb_buf_add_byte(&page, '\0');
    const char *at = ok ? strstr((const char *)page.data, line) : NULL;
    ok = at != NULL || net_fail(net, "node %zu has no metric %s: %s", node, name, diag.text);
    if (ok) {
        *ret = strtoull(at + strlen(line), NULL, 10);
    }
    sb_buf_fini(&page);
    return ok;
}

/* block_hashes: of heights [from, from + count), as an array of texts, owned by the caller; NULL when the node does not answer. */
static json_t *block_hashes(struct net *net, size_t node, uint64_t from, uint64_t count)
{
    struct rpc_session session;
    json_t *hashes = NULL;
    if (!rpc_open(&session, net->local.nodes[node].rpc_port)) {
        return NULL;
    }
    json_t *batch = json_array();
    for (uint64_t i = 0; i < count; i++) {
        char number[SB_HEX_U64_BYTES];
        (void)sb_hex_format_u64(number, from + i);
        rpc_batch_add(&session, batch, "eth_getBlockByNumber", json_pack("[s, b]", number, 0));
    }
    json_t *answers = rpc_batch(&session, batch);
    if (answers != NULL) {
        hashes = json_array();
        for (size_t i = 0; i < json_array_size(answers); i++) {
            const json_t *block = json_object_get(json_array_get(answers, i), "result");
            json_t *hash = json_object_get(block, "hash");
            (void)json_array_append(hashes, hash != NULL ? hash : json_null());
        }
        json_decref(answers);
    }
    rpc_close(&session);
    return hashes;
}

/* same_range: all running nodes have the same blocks [from, from + count). */
static bool same_range(struct net *net, uint64_t from, uint64_t count)
{
    json_t *first = NULL;
    bool ok = true;
    for (size_t i = 0; ok && i < NET_NODES; i++) {
        json_t *hashes = net->pids[i] != 0 ? block_hashes(net, i, from, count) : NULL;
        if (net->pids[i] != 0 && (hashes == NULL || json_array_size(hashes) != count)) {
            ok = net_fail(net, "node %zu does not give its blocks", i);
        } else if (first != NULL && hashes != NULL && !json_equal(first, hashes)) {
            net->fork_count++;
            ok = net_fail(net, "a fork: node %zu has other blocks from %" PRIu64 " on", i, from);
        }
        if (first == NULL) {
            first = json_incref(hashes);
        }
        json_decref(hashes);
    }
    json_decref(first);
    return ok;
}

bool net_same_blocks(struct net *net)
{
    uint64_t lowest = UINT64_MAX;
    for (size_t i = 0; i < NET_NODES; i++) {
        uint64_t height = net->pids[i] != 0 ? net_height(net, i) : UINT64_MAX;
        lowest = height < lowest ? height : lowest;
    }
    bool ok = true;
    for (uint64_t from = 0; ok && from <= lowest; from += BLOCKS_AT_ONCE) {
        uint64_t left = lowest - from + 1;
        ok = same_range(net, from, left < BLOCKS_AT_ONCE ? left : BLOCKS_AT_ONCE);
    }
    return ok;
}

/* ---- disks ---- */

static size_t node_of(const struct net *net, uint32_t validator_index)
{
    const struct sb_pubkey *key = &net->genesis.validators.validators[validator_index].key;
    size_t node = 0;
    while (memcmp(net->local.nodes[node].validator_key, key->bytes, 32) != 0) {
        node++;
        SB_ASSERT(node < NET_NODES);
    }
    return node;
}

/* check_commit: each signature of a stored commit is the one that its validator's journal holds for that place. */
static bool check_commit(struct net *net, const struct sb_commit *commit)
{
    const struct sb_journal_place place = {
        .height = commit->height, .round = (uint32_t)commit->round, .step = SB_JOURNAL_PRECOMMIT};
    for (size_t i = 0; i < commit->sig_count; i++) {
        size_t node = node_of(net, (uint32_t)i);
        const struct signed_place *known = signed_places_find(&net->places[node], &place);
        if (commit->sigs[i].flag == SB_COMMIT_BLOCK && known != NULL &&
            memcmp(known->signature, commit->sigs[i].signature.bytes, sizeof known->signature) !=
                0) {
            return net_fail(net,
                            "block %" PRIu64 " carries a signature of node %zu that its "
                            "journal does not hold",
                            commit->height, node);
        }
    }
    return true;
}

static bool check_commits(struct net *net, size_t node)
{
    struct sb_store_identity identity = {.chain_id = NET_CHAIN_ID};
    const struct sb_store_options options = {.read_only = true};
    struct sb_store *store;
    struct sb_diag diag = {.text = ""};
    SB_ASSERT(sb_genesis_hash(&identity.genesis_hash, &net->genesis) == SB_OK);
    if (sb_store_open(&store, net->local.nodes[node].dir.db, &identity, &options, &diag) != SB_OK) {
        return net_fail(net, "the database of node %zu does not open: %s", node, diag.text);
    }
    struct sb_arena arena;
    sb_arena_init(&arena, GENESIS_ARENA_BYTES);
    uint64_t head = sb_store_head(store).number;
    bool ok = true;
    for (uint64_t i = 0; ok && i < COMMITS_CHECKED && i < head; i++) {
        sb_bytes raw;
        struct sb_commit commit;
        ok = (sb_store_commit_of(&raw, &arena, store, head - i) == SB_OK &&
              sb_commit_decode(&commit, &arena, raw, &diag) == SB_OK) ||
             net_fail(net, "node %zu: the commit of block %" PRIu64 " cannot be read", node,
                      head - i);
        ok = ok && check_commit(net, &commit);
    }
    sb_arena_fini(&arena);
    sb_store_close(store);
    return ok;
}

static bool verify(struct net *net, size_t node)
{
    const char *const args[] = {"verify", "--datadir", net->local.nodes[node].dir.path, NULL};
    return net_command(net, args, NULL, NULL, 0) ||
           net_fail(net, "samebit verify finds a difference in node %zu; see %s", node,
                    net->command_log);
}

bool net_check_disks(struct net *net)
{
    bool ok = true;
    for (size_t i = 0; ok && i < NET_NODES; i++) {
        SB_ASSERT(net->pids[i] == 0);
        ok = verify(net, i) && check_commits(net, i);
    }
    return ok;
}

/* ---- commands ---- */

#define ARGS_MAX 16

/* read_field: the rest of the line "field: " of the command's log. */
static bool read_field(const char *path, const char *field, char *ret, size_t room)
{
    char line[1024];
    size_t len = strlen(field);
    bool found = false;
    FILE *file = fopen(path, "rb");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        found = strncmp(line, field, len) == 0 && strncmp(line + len, ": ", 2) == 0;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (found) {
        (void)snprintf(ret, room, "%.*s", (int)strcspn(line + len + 2, "\r\n"), line + len + 2);
    }
    return found;
}

bool net_command(struct net *net, const char *const *args, const char *field, char *ret,
                 size_t room)
{
    static char texts[ARGS_MAX][SB_PATH_BYTES]; /* one thread runs commands */
    char *argv[ARGS_MAX + 1];
    size_t count = 1;
    (void)snprintf(texts[0], sizeof texts[0], "%s", net->program);
    argv[0] = texts[0];
    for (; args[count - 1] != NULL; count++) {
        SB_ASSERT(count < ARGS_MAX);
        (void)snprintf(texts[count], sizeof texts[count], "%s", args[count - 1]);
        argv[count] = texts[count];
    }
    argv[count] = NULL;
    if (process_run(argv, net->command_log, COMMAND_MS_MAX) != 0 ||
        (field != NULL && !read_field(net->command_log, field, ret, room))) {
        process_print_log(net->command_log);
        return net_fail(net, "samebit %s failed", args[0]);
    }
    return true;
}

bool net_deploy_reader(struct net *net, char ret_address[NET_ADDRESS_BYTES],
                       const uint8_t secret[32])
{
    char url[64], key[67], model[NET_PATH_BYTES], id[128];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", net->local.nodes[0].rpc_port);
    (void)snprintf(model, sizeof model, "%s/digits.sbm", net->dir);
    (void)sb_hex_format(key, sb_span(secret, 32));
    const char *const import[] = {"model",
                                  "import",
                                  "examples/models/digits_cnn.onnx",
                                  "--calibrate",
                                  "examples/models/digits_cnn_rows.npz",
                                  "--output",
                                  model,
                                  NULL};
    const char *const deploy[] = {"model", "deploy", model,      "--rpc", url,
                                  "--key", key,      "--silent", NULL};
    const char *const create[] = {"contract", "deploy", "contracts/artifacts/DigitReader.json",
                                  "--args",   id,       "--rpc",
                                  url,        "--key",  key,
                                  NULL};
    return net_command(net, import, NULL, NULL, 0) &&
           net_command(net, deploy, "id", id, sizeof id) &&
           net_command(net, create, "address", ret_address, NET_ADDRESS_BYTES);
}
