/* service.c: see service.h. */
#include "node/service.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "node/backend.h"
#include "node/kernel_choice.h"
#include "node/peer_settings.h"
#include "node/runtime.h"
#include "node/version.h"
#include "rpc/server.h"
#include "vm/precompile/inference.h"
#include "vm/tensor/kernels/cpu.h"

#define MIB      ((size_t)1 << 20)
#define LOOK_MS  100 /* how often a halted service looks whether its peers have gone */
#define NS_IN_MS 1000000L
#define HALT_MS  2000 /* how long a halted node still gives its last block to peers */

struct sb_service {
    struct sb_inference *inference;
    struct sb_node *node;
    struct sb_backend *backend;
    struct sb_rpc_server *server;
    uint64_t halt_height;
    atomic_bool halted;
    pthread_mutex_t mutex; /* of what follows */
    struct sb_diag failure, halt;
};

/* ---- life ---- */

/* wake_main: the waiting thread sleeps until a signal comes. */
static void wake_main(void)
{
    (void)kill(getpid(), SIGUSR1);
}

static void on_failed(void *ctx, const char *message)
{
    struct sb_service *service = ctx;
    (void)pthread_mutex_lock(&service->mutex);
    (void)snprintf(service->failure.text, sizeof service->failure.text, "%s", message);
    (void)pthread_mutex_unlock(&service->mutex);
    wake_main();
}

static uint64_t clock_us(void)
{
    return uv_hrtime() / 1000;
}

static void on_halted(void *ctx, const char *reason)
{
    struct sb_service *service = ctx;
    (void)pthread_mutex_lock(&service->mutex);
    (void)snprintf(service->halt.text, sizeof service->halt.text, "%s", reason);
    (void)pthread_mutex_unlock(&service->mutex);
    atomic_store(&service->halted, true);
    wake_main();
}

/* new_node: with peers when there are any to be expected. What is said of them is read before a database is opened. */
static sb_err new_node(struct sb_service *service, struct sb_node_options *node,
                       const struct sb_service_options *o, struct sb_diag *diag)
{
    if (!sb_peer_settings_wanted(o->config, o->genesis, o->key->public_key)) {
        return sb_node_new(&service->node, node, diag);
    }
    struct sb_peer_settings *peers = calloc(1, sizeof *peers);
    if (peers == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    sb_err err = sb_peer_settings_read(peers, o->config, o->dir, diag);
    if (err == SB_OK) {
        node->p2p = &peers->options;
        err = sb_node_new(&service->node, node, diag);
    }
    sodium_memzero(peers->options.node_secret, sizeof peers->options.node_secret);
    free(peers);
    return err;
}

static sb_err open_node(struct sb_service *service, const struct sb_service_options *o,
                        struct sb_diag *diag)
{
    const struct sb_config *c = o->config;
    const struct sb_kernels *kernels = NULL;
    SB_TRY(sb_kernels_choose(&kernels, c->cpu_level, diag));
    if (kernels->level == SB_CPU_LEVEL_C) {
        sb_log(o->log, SB_LOG_WARN, "node",
               "this machine is below the floor that gas is priced at: inferences may take longer "
               "than a block has; validators need AVX2",
               SB_LOG_STR("cpu_level", sb_cpu_level_name(kernels->level)), SB_LOG_END);
    }
    struct sb_inference_options inference = {.kernels = kernels,
                                             .model_bytes_max = c->model_cache_mib * MIB,
                                             .memo_bytes_max = c->memo_mib * MIB,
                                             .call_memo_bytes_max = c->call_memo_mib * MIB,
                                             .clock_us = clock_us};
    randombytes_buf(&inference.memo_seed, sizeof inference.memo_seed);
    service->inference = sb_inference_new(&inference);
    if (service->inference == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    struct sb_node_options node = {
        .db_dir = o->dir->db,
        .journal_dir = c->signer_socket[0] != '\0' ? o->dir->inputs : o->dir->journal,
        .genesis = o->genesis,
        .resync = o->resync,
        .inference = service->inference,
        .log = o->log,
        .signer_socket = c->signer_socket,
        .signer_timeout_ms = c->signer_timeout_ms,
        .pace = c->instant_blocks ? SB_PACE_INSTANT : SB_PACE_STEADY,
        .no_look_ahead = c->no_look_ahead,
        .interval_ms = c->block_interval_ms,
        .halt_height = c->halt_height,
        .stall_ms = c->ready_stall_ms,
        .timeouts = {.propose_ms = c->propose_ms,
                     .prevote_ms = c->prevote_ms,
                     .precommit_ms = c->precommit_ms,
                     .delta_ms = c->timeout_delta_ms},
        .store_cache_bytes = c->cache_mib * MIB,
        .history_blocks = c->history_blocks,
        .snapshots_dir = o->dir->snapshots,
        .snapshot_interval = c->snapshot_interval,
        .snapshot_keep = c->snapshot_keep,
        .prune_blocks = c->prune_blocks,
        .mempool = {.count_max = c->pool_count_max,
                    .bytes_max = c->pool_mib_max * MIB,
                    .per_sender_max = c->pool_sender_max},
        .on_failed = on_failed,
        .on_halted = on_halted,
        .ctx = service,
    };
    memcpy(node.validator_secret, o->key->secret, sizeof node.validator_secret);
    sb_err err = new_node(service, &node, o, diag);
    sodium_memzero(node.validator_secret, sizeof node.validator_secret);
    return err;
}

/* connections_max: what the settings say, but at most half of the files that may be open: a client that fills all connections must not
 * keep the database and the journal from opening theirs, for they stop the node when they cannot. */
static uint32_t connections_max(const struct sb_service_options *o)
{
    uint64_t wanted = o->config->rpc_connections_max;
    uint64_t most = sb_files_open_max() / 2;
    if (wanted <= most) {
        return (uint32_t)wanted;
    }
    sb_log(o->log, SB_LOG_WARN, "rpc", "fewer connections than set: too few files may be open",
           SB_LOG_U64("connections", most), SB_LOG_U64("set", wanted), SB_LOG_END);
    return (uint32_t)most;
}

static sb_err take_evidence(void *ctx, const struct sb_evidence *list, size_t count)
{
    return sb_node_submit_evidence(ctx, list, count);
}

static sb_err open_server(struct sb_service *service, const struct sb_service_options *o,
                          struct sb_diag *diag)
{
    const struct sb_config *c = o->config;
    const struct sb_backend_options backend = {.chain = sb_node_chain(service->node),
                                               .mempool = sb_node_mempool(service->node),
                                               .metrics = sb_node_metrics(service->node),
                                               .evidence = take_evidence,
                                               .evidence_ctx = service->node,
                                               .history_blocks = c->history_blocks,
                                               .call_gas_max = c->call_gas_max};
    SB_TRY(sb_backend_new(&service->backend, &backend, diag));
    struct sb_rpc_options rpc = {.host = c->host,
                                 .port = (uint16_t)c->port,
                                 .client_version = SB_CLIENT_VERSION,
                                 .cors_origin = c->cors_origin,
                                 .worker_count = (uint32_t)c->rpc_workers,
                                 .connection_count_max = connections_max(o),
                                 .call_gas_max = c->call_gas_max,
                                 .call_ms_max = (uint32_t)c->call_time_ms_max};
    struct sb_rpc_backend table = sb_backend_table(service->backend);
    SB_TRY(sb_rpc_server_new(&service->server, &table, &rpc, diag));
    sb_backend_notify(service->backend, service->server);
    return sb_rpc_server_start(service->server, diag);
}

static sb_err open_all(struct sb_service *service, const struct sb_service_options *options,
                       struct sb_diag *diag)
{
    SB_TRY(open_node(service, options, diag));
    SB_TRY(open_server(service, options, diag));
    SB_TRY(sb_node_start(service->node, diag));
    sb_log(options->log, SB_LOG_INFO, "node", "the node is up",
           SB_LOG_U64("chain_id", options->genesis->config.chain_id),
           SB_LOG_U64("height", sb_chain_head_number(sb_node_chain(service->node))),
           SB_LOG_STR("host", options->config->host), SB_LOG_U64("port", sb_service_port(service)),
           SB_LOG_END);
    return SB_OK;
}

/* What ends the node, and what says that it has ended by itself (SIGUSR1). A closed terminal (SIGHUP) too, unless it was started with
 * nohup. */
static void end_signals(sigset_t *ret_set)
{
    struct sigaction hangup;
    (void)sigemptyset(ret_set);
    (void)sigaddset(ret_set, SIGINT);
    (void)sigaddset(ret_set, SIGTERM);
    (void)sigaddset(ret_set, SIGUSR1);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) {
        (void)sigaddset(ret_set, SIGHUP);
    }
}

sb_err sb_service_start(struct sb_service **ret_service, const struct sb_service_options *options,
                        struct sb_diag *diag)
{
    struct sb_service *service = calloc(1, sizeof *service);
    if (service == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    sigset_t set;
    end_signals(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)pthread_mutex_init(&service->mutex, NULL);
    service->halt_height = options->config->halt_height;
    sb_err err = open_all(service, options, diag);
    if (err != SB_OK) {
        sb_service_stop(service);
        return err;
    }
    *ret_service = service;
    return SB_OK;
}

/* halt_result: why the node has halted. */
static sb_err halt_result(struct sb_service *service, struct sb_diag *diag)
{
    uint64_t head = sb_chain_head_number(sb_node_chain(service->node));
    if (service->halt_height != 0 && head >= service->halt_height) {
        return sb_fail(diag, SB_E_CANCELLED, "halted at height %" PRIu64 ", as asked", head);
    }
    (void)pthread_mutex_lock(&service->mutex);
    sb_err err =
        sb_fail(diag, SB_E_VERSION, "halted at height %" PRIu64 ": %s", head, service->halt.text);
    (void)pthread_mutex_unlock(&service->mutex);
    return err;
}

sb_err sb_service_wait(struct sb_service *service, struct sb_diag *diag)
{
    uint64_t halted_ms = 0;
    const struct timespec look = {.tv_nsec = LOOK_MS * NS_IN_MS};
    sigset_t set;
    end_signals(&set);
    for (;;) {
        bool is_halted = atomic_load(&service->halted);
        int sig = sigtimedwait(&set, NULL, is_halted ? &look : NULL);
        if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP) {
            return SB_OK;
        }
        if (sb_node_failed(service->node)) {
            (void)pthread_mutex_lock(&service->mutex);
            sb_err err =
                sb_fail(diag, SB_E_INTERNAL, "the node has stopped: %s", service->failure.text);
            (void)pthread_mutex_unlock(&service->mutex);
            return err;
        }
        halted_ms += is_halted ? LOOK_MS : 0;
        if (halted_ms > HALT_MS ||
            (halted_ms != 0 && sb_node_status(service->node).peer_count == 0)) {
            return halt_result(service, diag);
        }
    }
}

int sb_service_end(sb_err err, const struct sb_diag *diag)
{
    if (err == SB_E_CANCELLED) {
        (void)printf("%s\n", diag->text);
        (void)fflush(stdout);
        return SB_EXIT_OK;
    }
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(diag);
}

void sb_service_stop(struct sb_service *service)
{
    if (service == NULL) {
        return;
    }
    if (service->backend != NULL) {
        sb_backend_notify(service->backend, NULL);
    }
    if (service->server != NULL) {
        sb_rpc_server_stop(service->server);
    }
    if (service->node != NULL) {
        sb_node_stop(service->node);
    }
    sb_rpc_server_free(service->server);
    sb_backend_free(service->backend);
    sb_node_free(service->node);
    sb_inference_free(service->inference);
    (void)pthread_mutex_destroy(&service->mutex);
    free(service);
}

uint16_t sb_service_port(const struct sb_service *service)
{
    return sb_rpc_server_port(service->server);
}
