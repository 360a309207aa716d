/* localnet.c: see localnet.h. */
#include "node/localnet.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/codec/hex.h"
#include "base/util/assert.h"
#include "node/rpc_client.h"
#include "node/staking_options.h"

#define HOST "127.0.0.1"
/* Free ports are looked for below those that the system gives to outgoing connections. */
#define FREE_PORT_MIN  10240
#define FREE_PORT_MAX  32000
#define FREE_TRIES     200
#define LOCAL_MANY     1000 /* connections from one address, when that address is all there is */
#define ASK_MS         500
#define PAGE_BYTES_MAX ((size_t)1 << 20)

/* ---- ports ---- */

static bool port_is_free(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
              bind(fd, (const struct sockaddr *)&addr, sizeof addr) == 0 && listen(fd, 1) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return ok;
}

/* first_taken: the first port of a block that is taken; 0 when all are free. */
static uint32_t first_taken(uint32_t base, size_t count)
{
    for (uint32_t port = base; port < base + count; port++) {
        if (!port_is_free((uint16_t)port)) {
            return port;
        }
    }
    return 0;
}

static sb_err choose_ports(uint16_t *ret_base, uint16_t wanted, size_t count, struct sb_diag *diag)
{
    if (wanted != 0) {
        uint32_t taken = wanted + count <= UINT16_MAX ? first_taken(wanted, count) : wanted;
        *ret_base = wanted;
        return taken == 0 ? SB_OK
                          : sb_fail(diag, SB_E_BUSY,
                                    "%zu ports from %u on are needed, and %u is not free; give "
                                    "others with --base-port",
                                    count, wanted, taken);
    }
    for (int i = 0; i < FREE_TRIES; i++) {
        uint32_t base =
            FREE_PORT_MIN + randombytes_uniform(FREE_PORT_MAX - FREE_PORT_MIN - (uint32_t)count);
        if (first_taken(base, count) == 0) {
            *ret_base = (uint16_t)base;
            return SB_OK;
        }
    }
    return sb_fail(diag, SB_E_BUSY, "no %zu free ports in a row", count);
}

static sb_err give_ports(struct sb_localnet *net, uint16_t wanted, struct sb_diag *diag)
{
    uint16_t base = 0;
    SB_TRY(choose_ports(&base, wanted, 2 * net->node_count, diag));
    for (size_t i = 0; i < net->node_count; i++) {
        net->nodes[i].rpc_port = (uint16_t)(base + i);
        net->nodes[i].p2p_port = (uint16_t)(base + net->node_count + i);
    }
    return SB_OK;
}

/* ---- wires ---- */

static sb_err open_relay(struct sb_localnet *net, const struct sb_localnet_options *options,
                         struct sb_diag *diag)
{
    SB_TRY(sb_relay_new(&net->relay, options->seed, diag));
    for (size_t from = 0; from < net->node_count; from++) {
        for (size_t to = 0; to < net->node_count; to++) {
            if (from != to) {
                SB_TRY(sb_relay_add(&net->paths[from][to], net->relay, 0, net->nodes[to].p2p_port,
                                    &options->quality, diag));
            }
        }
    }
    return sb_relay_start(net->relay, diag);
}

void sb_localnet_cut(struct sb_localnet *net, uint32_t group)
{
    SB_ASSERT(net->relay != NULL);
    for (size_t from = 0; from < net->node_count; from++) {
        for (size_t to = 0; to < net->node_count; to++) {
            bool is_apart = ((group >> from) & 1) != ((group >> to) & 1);
            if (from != to) {
                sb_relay_set_cut(net->relay, net->paths[from][to],
                                 is_apart ? SB_RELAY_CUT_BOTH : SB_RELAY_CUT_NONE);
            }
        }
    }
}

/* ---- data directories ---- */

static void set_text(char *field, size_t room, const char *text)
{
    int len = snprintf(field, room, "%s", text);
    SB_ASSERT(len >= 0 && (size_t)len < room);
}

/* set_peers: all others, by the wire that leads to each. */
static void set_peers(struct sb_config *config, const struct sb_localnet *net, size_t self)
{
    struct sb_buf peers = sb_buf_over((uint8_t *)config->persistent_peers, SB_CONFIG_LIST_BYTES);
    struct sb_buf ids =
        sb_buf_over((uint8_t *)config->unconditional_peer_ids, SB_CONFIG_LIST_BYTES);
    for (size_t i = 0; i < net->node_count; i++) {
        const struct sb_localnet_node *node = &net->nodes[i];
        if (i == self) {
            continue;
        }
        unsigned port =
            net->relay != NULL ? sb_relay_port(net->relay, net->paths[self][i]) : node->p2p_port;
        const char *comma = peers.len == 0 ? "" : ",";
        sb_buf_addf(&peers, "%s%s@" HOST ":%u", comma, node->node_id, port);
        sb_buf_addf(&ids, "%s%s", comma, node->node_id);
    }
    sb_buf_add_byte(&peers, '\0');
    sb_buf_add_byte(&ids, '\0');
    SB_ASSERT(sb_buf_err(&peers) == SB_OK && sb_buf_err(&ids) == SB_OK);
}

static void set_config(struct sb_config *config, const struct sb_localnet *net, size_t self)
{
    set_text(config->host, sizeof config->host, HOST);
    set_text(config->p2p_host, sizeof config->p2p_host, HOST);
    config->port = net->nodes[self].rpc_port;
    config->p2p_port = net->nodes[self].p2p_port;
    config->no_pex = true;
    config->p2p_allow_local = true;
    config->p2p_per_ip_max = LOCAL_MANY;
    config->p2p_per_subnet_max = LOCAL_MANY;
    config->p2p_accepts_max = LOCAL_MANY;
    set_peers(config, net, self);
}

static void note_keys(struct sb_localnet_node *node, const struct sb_validator_key *key,
                      const struct sb_validator_key *node_key)
{
    char text[SB_HEX_TEXT_BYTES(SB_ED25519_PUBLIC_BYTES)];
    memcpy(node->validator_key, key->public_key, sizeof node->validator_key);
    (void)sb_hex_format(text, sb_span(node_key->public_key, sizeof node_key->public_key));
    memcpy(node->node_id, text + 2, sizeof node->node_id);
}

/* note_node: paths and keys of node i; makes the keys of a new one. */
static sb_err note_node(struct sb_localnet_node *node, const char *dir, size_t i, bool is_new,
                        struct sb_diag *diag)
{
    char name[32], path[SB_PATH_BYTES];
    struct sb_validator_key key, node_key;
    (void)snprintf(name, sizeof name, "node%zu", i);
    SB_TRY(sb_path_join(path, dir, name, diag));
    SB_TRY(sb_datadir_paths(&node->dir, path, diag));
    sb_err err = is_new ? sb_datadir_make_keys(&key, &node_key, &node->dir, diag)
                        : sb_datadir_load_key(&key, &node->dir, diag);
    err = err == SB_OK && !is_new ? sb_datadir_node_key(&node_key, &node->dir, diag) : err;
    if (err == SB_OK) {
        note_keys(node, &key, &node_key);
    }
    sodium_memzero(&key, sizeof key);
    sodium_memzero(&node_key, sizeof node_key);
    return err;
}

/* count_nodes: how many of node0, node1, ... have a chain. */
static sb_err count_nodes(size_t *ret_count, const char *dir, struct sb_diag *diag)
{
    size_t count = 0;
    for (; count < SB_LOCALNET_NODES_MAX; count++) {
        char name[48], path[SB_PATH_BYTES];
        (void)snprintf(name, sizeof name, "node%zu/genesis.json", count);
        SB_TRY(sb_path_join(path, dir, name, diag));
        if (!sb_file_exists(path)) {
            break;
        }
    }
    *ret_count = count;
    return SB_OK;
}

/* note_operators: known keys, so that a network that goes on has them too. */
static sb_err note_operators(struct sb_localnet *net, struct sb_diag *diag)
{
    struct sb_dev_account operators[SB_LOCALNET_NODES_MAX];
    SB_TRY(sb_dev_operators_derive(operators, net->node_count, diag));
    for (size_t i = 0; i < net->node_count; i++) {
        net->nodes[i].operator_keys = operators[i];
    }
    return SB_OK;
}

/* add_operators: their accounts behind those that were asked for. */
static sb_err add_operators(struct sb_new_chain *chain, struct sb_arena *arena,
                            const struct sb_localnet *net, const sb_u256 *balance,
                            struct sb_diag *diag)
{
    size_t count = chain->alloc_count;
    struct sb_genesis_account *alloc =
        sb_arena_array(arena, count + net->node_count, sizeof *alloc);
    if (alloc == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    sb_copy(alloc, chain->alloc, count * sizeof *alloc);
    for (size_t i = 0; i < net->node_count; i++) {
        alloc[count++] = (struct sb_genesis_account){.addr = net->nodes[i].operator_keys.addr,
                                                     .origin = SB_ORIGIN_ALLOC,
                                                     .balance = *balance};
    }
    chain->alloc = alloc;
    chain->alloc_count = count;
    return SB_OK;
}

static sb_err new_genesis(struct sb_genesis *ret_genesis, struct sb_arena *arena,
                          const struct sb_localnet *net, const struct sb_localnet_options *options,
                          struct sb_diag *diag)
{
    struct sb_new_validator validators[SB_LOCALNET_NODES_MAX];
    struct sb_new_chain chain = options->chain;
    chain.validators = validators;
    chain.validator_count = net->node_count;
    for (size_t i = 0; i < net->node_count; i++) {
        validators[i] = (struct sb_new_validator){
            .power = SB_NEW_VALIDATOR_POWER, .operator_addr = net->nodes[i].operator_keys.addr};
        memcpy(validators[i].public_key, net->nodes[i].validator_key,
               sizeof validators[i].public_key);
        (void)snprintf(validators[i].moniker, sizeof validators[i].moniker, "node%zu", i);
    }
    if (chain.has_staking && !sb_u256_is_zero(&options->operator_balance)) {
        SB_TRY(add_operators(&chain, arena, net, &options->operator_balance, diag));
    }
    return sb_new_chain_genesis(ret_genesis, arena, &chain, diag);
}

static sb_err write_operator(const struct sb_localnet_node *node, struct sb_diag *diag)
{
    char path[SB_PATH_BYTES];
    char text[SB_HEX_TEXT_BYTES(32) + 1];
    SB_TRY(sb_path_join(path, node->dir.keys, "operator.key", diag));
    (void)sb_hex_format(text,
                        sb_span(node->operator_keys.secret, sizeof node->operator_keys.secret));
    size_t len = strlen(text);
    text[len++] = '\n';
    return sb_file_replace(path, sb_span(text, len), 0600, diag);
}

static sb_err create_node(const struct sb_localnet_node *node, const struct sb_genesis *genesis,
                          const struct sb_config *config, struct sb_diag *diag)
{
    struct sb_validator_key key;
    SB_TRY(sb_datadir_take_key(&key, &node->dir, diag));
    sb_err err = sb_datadir_create(&node->dir, genesis, &key, config, diag);
    sodium_memzero(&key, sizeof key);
    if (err == SB_OK && sb_genesis_has_staking(genesis)) {
        err = write_operator(node, diag);
    }
    return err;
}

/* write_nodes: what differs between the nodes is laid over what they have in common. */
static sb_err write_nodes(const struct sb_localnet *net, const struct sb_genesis *genesis,
                          const struct sb_config *common, struct sb_diag *diag)
{
    sb_err err = SB_OK;
    struct sb_config *config = malloc(sizeof *config);
    if (config == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; err == SB_OK && i < net->node_count; i++) {
        const struct sb_localnet_node *node = &net->nodes[i];
        *config = *common;
        set_config(config, net, i);
        err = net->is_continued ? sb_datadir_store_config(&node->dir, config, diag)
                                : create_node(node, genesis, config, diag);
    }
    free(config);
    return err;
}

static sb_err open_nodes(struct sb_localnet *net, const struct sb_localnet_options *options,
                         struct sb_diag *diag)
{
    size_t there = 0;
    SB_TRY(count_nodes(&there, options->dir, diag));
    net->is_continued = there != 0;
    net->node_count = options->node_count != 0 ? options->node_count
                      : there != 0             ? there
                                               : SB_LOCALNET_NODES_DEFAULT;
    SB_ASSERT(net->node_count <= SB_LOCALNET_NODES_MAX);
    if (there == 0) {
        SB_TRY(sb_dir_check_only(options->dir, NULL, diag));
    } else if (net->node_count != there) {
        return sb_fail(diag, SB_E_ARG, "the network in %s has %zu validators, not %zu",
                       options->dir, there, net->node_count);
    }
    for (size_t i = 0; i < net->node_count; i++) {
        SB_TRY(note_node(&net->nodes[i], options->dir, i, there == 0, diag));
    }
    return give_ports(net, options->base_port, diag);
}

static sb_err open_all(struct sb_localnet *net, struct sb_genesis *ret_genesis,
                       struct sb_arena *arena, const struct sb_localnet_options *options,
                       struct sb_diag *diag)
{
    SB_TRY(open_nodes(net, options, diag));
    SB_TRY(note_operators(net, diag));
    if (options->has_relay) {
        SB_TRY(open_relay(net, options, diag));
    }
    SB_TRY(net->is_continued ? sb_datadir_load_genesis(ret_genesis, arena, &net->nodes[0].dir, diag)
                             : new_genesis(ret_genesis, arena, net, options, diag));
    return write_nodes(net, ret_genesis, options->config, diag);
}

sb_err sb_localnet_open(struct sb_localnet *ret_net, struct sb_genesis *ret_genesis,
                        struct sb_arena *arena, const struct sb_localnet_options *options,
                        struct sb_diag *diag)
{
    memset(ret_net, 0, sizeof *ret_net);
    sb_err err = open_all(ret_net, ret_genesis, arena, options, diag);
    if (err != SB_OK) {
        sb_localnet_close(ret_net);
    }
    return err;
}

void sb_localnet_close(struct sb_localnet *net)
{
    sb_relay_free(net->relay);
    net->relay = NULL;
}

/* ---- running nodes ---- */

/* read_metric: the value of "samebit_NAME value"; 0 when the page has no such line. */
static uint64_t read_metric(const char *page, const char *name)
{
    char line[96];
    (void)snprintf(line, sizeof line, "\nsamebit_%s ", name);
    const char *at = strstr(page, line);
    return at != NULL ? strtoull(at + strlen(line), NULL, 10) : 0;
}

sb_err sb_localnet_ask(struct sb_localnet_status *ret_status, const struct sb_localnet_node *node,
                       struct sb_diag *diag)
{
    struct sb_rpc_client client;
    struct sb_buf page;
    char url[64];
    (void)snprintf(url, sizeof url, "http://" HOST ":%u", node->rpc_port);
    SB_TRY(sb_rpc_client_init(&client, url, diag));
    client.timeout_ms = ASK_MS;
    sb_buf_init(&page, PAGE_BYTES_MAX);
    sb_err err = sb_rpc_client_get(&page, &client, "/metrics", diag);
    sb_buf_add_byte(&page, '\0');
    if (err == SB_OK && sb_buf_err(&page) == SB_OK) {
        const char *text = (const char *)page.data;
        *ret_status = (struct sb_localnet_status){
            .height = read_metric(text, "head_number"),
            .round = read_metric(text, "consensus_rounds"),
            .peers = read_metric(text, "p2p_peers"),
            .interval_ms = read_metric(text, "consensus_last_interval_ms"),
            .transactions = read_metric(text, "consensus_total_txs"),
            .is_syncing = read_metric(text, "consensus_block_syncing") != 0};
    }
    sb_buf_fini(&page);
    return err;
}
