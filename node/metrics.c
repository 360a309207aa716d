/* metrics.c: life and questions of metrics.h. */
#include "node/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

#include "base/codec/hex.h"
#include "node/lookahead.h"
#include "node/metrics_impl.h"
#include "node/version.h"
#include "vm/precompile/inference.h"

#define DUMP_BYTES_MAX  ((size_t)64 << 10)
#define BLOCK_BYTES_MAX ((size_t)32 << 20)
#define NS_IN_MS        1000000

uint64_t sb_metrics_monotonic_us(void)
{
    return uv_hrtime() / 1000;
}

uint64_t sb_metrics_wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_IN_MS;
}

/* ---- life ---- */

/* init_sync: the lock, and a condition whose waits are not moved by changes of the clock. */
static bool init_sync(struct sb_metrics *metrics)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) {
        return false;
    }
    bool is_good = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
                   pthread_cond_init(&metrics->looked, &attr) == 0;
    (void)pthread_condattr_destroy(&attr);
    if (is_good && pthread_mutex_init(&metrics->lock, NULL) != 0) {
        (void)pthread_cond_destroy(&metrics->looked);
        is_good = false;
    }
    return is_good;
}

sb_err sb_metrics_new(struct sb_metrics **ret_metrics, const struct sb_metrics_options *options,
                      struct sb_diag *diag)
{
    struct sb_metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics == NULL || !init_sync(metrics)) {
        free(metrics);
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    metrics->options = *options;
    metrics->started_at = sb_chain_head_number(options->chain);
    metrics->voted_height = metrics->started_at;
    metrics->head_seen_us = sb_metrics_monotonic_us();
    metrics->seen.head_time_ms = sb_chain_head(options->chain).time_ms;
    sb_arena_init(&metrics->arena, BLOCK_BYTES_MAX);
    struct sb_validator_set set = {.count = 0};
    metrics->seen.consensus_validator_power =
        (uint64_t)sb_metrics_read_set(&set, metrics, metrics->started_at + 1);
    metrics->seen.consensus_validators = set.count;
    metrics->seen.consensus_validators_power = (uint64_t)set.total_power;
    sb_buf_init(&metrics->dump, DUMP_BYTES_MAX);
    sb_err err = sb_chain_subscribe(options->chain, sb_metrics_on_head, metrics);
    if (err != SB_OK) {
        sb_metrics_free(metrics);
        return sb_fail(diag, err, "the chain has no room for another subscriber");
    }
    *ret_metrics = metrics;
    return SB_OK;
}

void sb_metrics_free(struct sb_metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    sb_buf_fini(&metrics->dump);
    sb_arena_fini(&metrics->arena);
    (void)pthread_mutex_destroy(&metrics->lock);
    (void)pthread_cond_destroy(&metrics->looked);
    free(metrics);
}

void sb_metrics_set_network(struct sb_metrics *metrics, struct sb_p2p *p2p,
                            struct sb_tx_gossip *tx_gossip)
{
    metrics->p2p = p2p;
    metrics->tx_gossip = tx_gossip;
}

static void note_end(struct sb_metrics *metrics, char (*ret)[256], const char *why)
{
    (void)pthread_mutex_lock(&metrics->lock);
    (void)snprintf(*ret, sizeof *ret, "%s", why);
    (void)pthread_mutex_unlock(&metrics->lock);
}

void sb_metrics_failed(struct sb_metrics *metrics, const char *why)
{
    note_end(metrics, &metrics->failed, why);
}

void sb_metrics_halted(struct sb_metrics *metrics, const char *why)
{
    note_end(metrics, &metrics->halted, why);
}

/* ---- health ---- */

/* stall_s: for how many seconds no block has come, if that is longer than it may take; else 0. */
static uint64_t stall_s(const struct sb_metrics *m, bool is_sole, uint64_t interval_ms)
{
    bool must_go_on = m->seen.consensus_validators > 1 || (is_sole && m->options.is_steady);
    uint64_t passed_ms = (sb_metrics_monotonic_us() - m->head_seen_us) / 1000;
    if (m->options.stall_ms == 0 || !must_go_on || passed_ms <= m->options.stall_ms + interval_ms) {
        return 0;
    }
    return passed_ms / 1000 + 1;
}

/* judge: condition and reason, in the order of their weight. Under the lock. */
static void judge(const struct sb_metrics *m, struct sb_rpc_health *h, uint64_t interval_ms)
{
    uint64_t silent = h->height > m->voted_height ? h->height - m->voted_height : 0;
    bool is_sole = h->is_validator && m->seen.consensus_validators == 1;
    uint64_t stalled = stall_s(m, is_sole, interval_ms);
    if (m->failed[0] != '\0') {
        h->condition = SB_RPC_FAILED;
        (void)snprintf(h->reason, sizeof h->reason, "%s", m->failed);
    } else if (m->halted[0] != '\0' || m->status.is_halted) {
        h->condition = SB_RPC_HALTED;
        (void)snprintf(h->reason, sizeof h->reason, "%s",
                       m->halted[0] != '\0' ? m->halted : "the node takes no part any more");
    } else if (m->status.is_waiting) {
        h->condition = SB_RPC_CATCHING_UP;
        (void)snprintf(h->reason, sizeof h->reason, "has yet to hear how far its peers are");
    } else if (m->status.is_syncing) {
        h->condition = SB_RPC_CATCHING_UP;
        (void)snprintf(h->reason, sizeof h->reason, "at block %" PRIu64 " of %" PRIu64, h->height,
                       h->best_height);
    } else if (m->p2p != NULL && h->peer_count == 0 && !is_sole) {
        h->condition = SB_RPC_ALONE;
        (void)snprintf(h->reason, sizeof h->reason, "no peer is connected");
    } else if (stalled != 0) {
        h->condition = SB_RPC_STANDING;
        (void)snprintf(h->reason, sizeof h->reason, "no block for %" PRIu64 " seconds", stalled);
    } else if (h->is_validator && silent >= SB_METRICS_SILENT_HEIGHTS) {
        h->condition = SB_RPC_NOT_VOTING;
        (void)snprintf(h->reason, sizeof h->reason,
                       "no vote of this validator for %" PRIu64 " blocks", silent);
    } else {
        h->condition = SB_RPC_READY;
    }
    h->is_voting = h->is_validator && silent < SB_METRICS_SILENT_HEIGHTS &&
                   (h->condition == SB_RPC_READY || h->condition == SB_RPC_STANDING);
}

struct sb_rpc_health sb_metrics_health(struct sb_metrics *metrics)
{
    struct sb_chain_head head = sb_chain_head(metrics->options.chain);
    struct sb_rpc_health health = {
        .height = head.header.number,
        .best_height = head.header.number,
        .last_block_ms = head.time_ms,
        .now_ms = sb_metrics_wall_ms(),
        .is_validator = metrics->options.has_validator,
        .is_listening = true, /* without a peer network: the server itself */
    };
    if (metrics->p2p != NULL) {
        health.peer_count = sb_p2p_peer_count(metrics->p2p);
        health.is_listening = sb_p2p_port(metrics->p2p) != 0;
        char hex[SB_HEX_TEXT_BYTES(SB_P2P_NODE_ID_BYTES)];
        (void)snprintf(
            health.node_id, sizeof health.node_id, "%s",
            sb_hex_format(hex, sb_span(sb_p2p_node_id(metrics->p2p), SB_P2P_NODE_ID_BYTES)) + 2);
    }
    (void)pthread_mutex_lock(&metrics->lock);
    const struct sb_replica_status *s = &metrics->status;
    if (metrics->has_observed) {
        health.is_validator = s->is_validator;
        health.best_height = s->best_height > health.height ? s->best_height : health.height;
        health.sync_begun_at = s->is_syncing ? s->sync_begun_at : 0;
    } else {
        metrics->voted_height = health.height; /* nothing watches who votes */
    }
    judge(metrics, &health, head.params.min_block_interval_ms);
    (void)pthread_mutex_unlock(&metrics->lock);
    return health;
}

/* ---- numbers ---- */

static void gather_replica(struct sb_rpc_metrics *m, const struct sb_replica_status *s)
{
    m->consensus_height = s->bft.height;
    m->consensus_rounds = s->bft.round > 0 ? (uint64_t)s->bft.round : 0;
    m->consensus_block_syncing = s->is_syncing ? 1 : 0;
    m->consensus_late_votes = s->driver.late_votes;
    m->consensus_duplicate_vote = s->duplicate_votes;
    m->consensus_duplicate_block_part = s->duplicate_parts;
    m->consensus_extra_rounds = s->driver.rounds;
    m->consensus_invalid_proposals = s->driver.invalid_blocks;
    m->consensus_untimely_proposals = s->driver.untimely_blocks;
    m->consensus_conflicting_votes = s->driver.conflicting_votes;
    m->consensus_refused_signatures = s->driver.refused_signatures;
    m->consensus_refused_proofs = s->driver.refused_proofs;
    m->consensus_resent_messages = s->resent_messages;
    m->consensus_last_interval_ms = s->last_interval_ms;
    m->consensus_proposal_to_decision_seconds = s->last_proposal_to_decision_ms * 1000;
}

static void gather_chain(struct sb_rpc_metrics *m, const struct sb_metrics_options *o)
{
    struct sb_chain_head head = sb_chain_head(o->chain);
    struct sb_chain_system_counters system = sb_chain_system_counters(o->chain);
    m->system_call_gas = system.last_gas;
    m->system_call_failures = system.failures;
    m->head_number = head.header.number;
    m->head_time_ms = head.time_ms;
    m->head_gas_used = head.header.gas_used;
    m->base_fee_wei = sb_u256_sat_u64(&head.next_base_fee);
    m->consensus_latest_block_height = head.header.number;
    if (o->app != NULL) {
        m->consensus_forged_results = sb_chain_app_counters(o->app).forged_results;
    }
    struct sb_store_stats store = sb_store_stats(sb_chain_store(o->chain));
    m->db_size_bytes = store.table_bytes;
    m->db_memtable_bytes = store.memtable_bytes;
    m->db_pending_compaction_bytes = store.pending_compaction_bytes;
}

static void gather_pool(struct sb_rpc_metrics *m, struct sb_metrics *metrics)
{
    struct sb_mempool_status pool = sb_mempool_status(metrics->options.mempool);
    m->mempool_size = pool.pending + pool.queued;
    m->mempool_pending = pool.pending;
    m->mempool_queued = pool.queued;
    m->mempool_size_bytes = pool.bytes;
    m->mempool_failed_txs = pool.refused_count;
    m->mempool_evicted_txs = pool.evicted_count;
    if (metrics->tx_gossip != NULL) {
        struct sb_tx_gossip_counters gossip = sb_tx_gossip_counters(metrics->tx_gossip);
        m->mempool_gossip_received = gossip.received;
        m->mempool_gossip_known = gossip.known;
        m->mempool_gossip_sent = gossip.sent;
    }
}

static void gather_models(struct sb_rpc_metrics *m, struct sb_inference *inference)
{
    struct sb_inference_stats stats = sb_inference_stats(inference);
    m->inference_total = stats.memo.hit_count + stats.memo.miss_count;
    m->inference_memo_hits_total = stats.memo.hit_count;
    m->inference_memo_bytes = stats.memo.bytes;
    m->inference_call_memo_hits_total = stats.call_memo.hit_count;
    m->inference_call_memo_bytes = stats.call_memo.bytes;
    m->inference_seconds_total = stats.run_us;
    m->models_loaded = stats.model_count;
    m->models_loaded_bytes = stats.model_bytes;
    m->model_hits_total = stats.model_hit_count;
    m->model_misses_total = stats.model_miss_count;
}

/* One peer's numbers with the text of its id, as rpc borrows them. */
struct peer_row {
    uint64_t sent[SB_CHANNEL_COUNT], received[SB_CHANNEL_COUNT];
    char id[SB_HEX_TEXT_BYTES(SB_P2P_NODE_ID_BYTES)];
};

static void gather_peers(struct sb_rpc_metrics *m, struct sb_arena *arena, struct sb_p2p *p2p)
{
    static const char *const names[SB_CHANNEL_COUNT] = {
#define SB_CHANNEL(name, id, priority, bytes, rate, byte_rate, text) [id] = #name,
#include "node/p2p/channels.def"
#undef SB_CHANNEL
    };
    struct sb_p2p_peer_status *peers = sb_arena_array(arena, SB_P2P_PEERS_LIST_MAX, sizeof *peers);
    struct peer_row *rows = sb_arena_array(arena, SB_P2P_PEERS_LIST_MAX, sizeof *rows);
    struct sb_rpc_peer_metrics *list = sb_arena_array(arena, SB_P2P_PEERS_LIST_MAX, sizeof *list);
    if (peers == NULL || rows == NULL || list == NULL) {
        return; /* a page without peers */
    }
    size_t count = sb_p2p_peers(p2p, peers, SB_P2P_PEERS_LIST_MAX);
    for (size_t i = 0; i < count; i++) {
        memcpy(rows[i].sent, peers[i].channel_sent_bytes, sizeof rows[i].sent);
        memcpy(rows[i].received, peers[i].channel_received_bytes, sizeof rows[i].received);
        const char *hex =
            sb_hex_format(rows[i].id, sb_span(peers[i].info.node_id, SB_P2P_NODE_ID_BYTES));
        list[i] = (struct sb_rpc_peer_metrics){.id = hex + 2, /* without 0x */
                                               .sent = rows[i].sent,
                                               .received = rows[i].received,
                                               .queued_bytes = peers[i].queued_bytes};
    }
    m->peers = list;
    m->peer_count = count;
    m->channel_names = names;
    m->channel_count = SB_CHANNEL_COUNT;
}

static void gather_network(struct sb_rpc_metrics *m, struct sb_arena *arena, struct sb_p2p *p2p)
{
    struct sb_p2p_totals totals = sb_p2p_totals(p2p);
    m->p2p_peers = sb_p2p_peer_count(p2p);
    m->p2p_known_addresses = totals.known_addresses;
    m->p2p_sent_bytes_total = totals.sent_bytes;
    m->p2p_received_bytes_total = totals.received_bytes;
    m->p2p_accepted_total = totals.accepted;
    m->p2p_refused_total = totals.refused;
    m->p2p_dialled_total = totals.dialled;
    m->p2p_dial_failures_total = totals.dial_failures;
    m->p2p_handshake_failures_total = totals.handshake_failures;
    m->p2p_bans_total = totals.bans;
    m->p2p_evicted_total = totals.evicted;
    m->p2p_overloaded_total = totals.overloaded;
    m->p2p_dropped_messages_total = totals.dropped_messages;
    gather_peers(m, arena, p2p);
}

void sb_metrics_gather(struct sb_metrics *metrics, struct sb_arena *arena,
                       struct sb_rpc_metrics *ret)
{
    size_t resident = 0;
    (void)pthread_mutex_lock(&metrics->lock);
    *ret = metrics->seen;
    gather_replica(ret, &metrics->status);
    bool has_observed = metrics->has_observed;
    (void)pthread_mutex_unlock(&metrics->lock);
    gather_chain(ret, &metrics->options);
    if (!has_observed) {
        ret->consensus_height = ret->head_number;
    }
    gather_pool(ret, metrics);
    if (metrics->options.lookahead != NULL) {
        struct sb_lookahead_stats ahead = sb_lookahead_stats(metrics->options.lookahead);
        ret->lookahead_transactions_total = ahead.transactions;
        ret->lookahead_gas_total = ahead.gas;
    }
    if (metrics->options.inference != NULL) {
        gather_models(ret, metrics->options.inference);
    }
    if (metrics->options.journal != NULL) {
        sb_disk_meter_read(metrics->options.journal, &ret->fsync_seconds, &ret->wal_bytes);
    }
    if (metrics->p2p != NULL) {
        gather_network(ret, arena, metrics->p2p);
    }
    (void)uv_resident_set_memory(&resident);
    ret->resident_bytes = resident;
    ret->version = SB_VERSION;
}
