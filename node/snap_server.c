/* snap_server.c: see snap_server.h. */
#include "node/snap_server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/util/checked.h"
#include "node/chain_impl.h"
#include "node/snap_answer.h"

#define QUESTION_BYTES_MAX 256
#define PEERS_MAX          256 /* that wait for answers at a time */
#define PREPARE_BLOCKS     8   /* so many blocks before a snapshot the tables are flushed */
#define PAUSE_MS_FIRST     20  /* a peer's send queue is full: it is tried again later, and later */
#define PAUSE_MS_MAX       1000
#define GIVE_UP_MS                                                                                 \
    10000 /* so long, and its question is forgotten: nobody waits for the answer any more */
#define HASHES_COUNT 256 /* blocks that BLOCKHASH can name */
#define PRUNE_STEPS                                                                                \
    16 /* pruned is when a part of the kept blocks is too much: rewriting tables costs */

struct question {
    size_t len;
    uint8_t bytes[QUESTION_BYTES_MAX];
};

/* Who waits. The first question stays until its answer has gone into the peer's queue. */
struct asker {
    sb_peer peer;
    size_t first, count;       /* 0: the place is free */
    uint64_t since_ms;         /* its queue was full at first then; 0: it has room */
    uint64_t pause_ms, due_ms; /* it is tried again at due_ms */
    struct question ring[SB_SNAP_QUEUE_MAX];
};

struct sb_snap_server {
    struct sb_snap_server_options o;
    struct sb_snap_source source;
    pthread_t thread;
    bool has_thread;
    struct sb_buf content, out; /* of the worker */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t work;
    bool stop, prepare_due;
    uint64_t adopt_height; /* cut and not adopted yet; 0: none */
    uint64_t prune_height; /* the head, when pruning is to be thought of; 0: not */
    struct asker *askers;  /* PEERS_MAX */
    size_t turn;           /* the one whose turn is next: each gives way after one answer */
};

/* ---- the node's loop ---- */

static void signal_work(struct sb_snap_server *server)
{
    (void)pthread_cond_signal(&server->work);
}

static void cut(struct sb_snap_server *server, uint64_t height)
{
    struct sb_diag diag = {.text = ""};
    uint64_t taken;
    sb_err err =
        sb_snapshots_cut(&taken, server->source.snapshots, sb_chain_store(server->o.chain), &diag);
    if (err != SB_OK) {
        sb_log(server->o.log, SB_LOG_WARN, "snapshot", "no snapshot could be taken",
               SB_LOG_U64("height", height), SB_LOG_STR("reason", diag.text), SB_LOG_END);
        return;
    }
    (void)pthread_mutex_lock(&server->lock);
    server->adopt_height = taken;
    (void)pthread_mutex_unlock(&server->lock);
}

static void on_head(void *ctx, const struct sb_chain_event *event)
{
    struct sb_snap_server *server = ctx;
    uint64_t height = event->block->block.header.number, interval = server->o.interval;
    if (interval != 0 && height % interval == 0) {
        cut(server, height);
    }
    (void)pthread_mutex_lock(&server->lock);
    server->prepare_due = server->prepare_due ||
                          (interval > PREPARE_BLOCKS && (height + PREPARE_BLOCKS) % interval == 0);
    server->prune_height = server->o.prune_blocks != 0 ? height : 0;
    signal_work(server);
    (void)pthread_mutex_unlock(&server->lock);
}

/* ---- the p2p thread ---- */

/* asker_of: under the lock: the place of a peer, or a free one; NULL when there is none. */
static struct asker *asker_of(struct sb_snap_server *server, sb_peer peer)
{
    struct asker *place = NULL;
    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct asker *asker = &server->askers[i];
        if (asker->count != 0 && asker->peer == peer) {
            return asker;
        }
        place = place == NULL && asker->count == 0 ? asker : place;
    }
    return place;
}

static void question_put(struct asker *asker, sb_peer peer, sb_bytes message)
{
    if (asker->count == 0) {
        asker->peer = peer;
        asker->since_ms = asker->due_ms = 0;
    }
    struct question *q = &asker->ring[(asker->first + asker->count++) % SB_SNAP_QUEUE_MAX];
    q->len = message.len;
    sb_copy(q->bytes, message.data, message.len);
}

void sb_snap_server_receive(struct sb_snap_server *server, sb_peer peer, sb_bytes message)
{
    (void)pthread_mutex_lock(&server->lock);
    struct asker *asker = asker_of(server, peer);
    bool fits =
        message.len <= QUESTION_BYTES_MAX && (asker == NULL || asker->count < SB_SNAP_QUEUE_MAX);
    if (fits && asker != NULL) {
        question_put(asker, peer, message);
        signal_work(server);
    }
    (void)pthread_mutex_unlock(&server->lock);
    if (!fits) {
        server->o.report(server->o.ctx, peer, SB_OFFENCE_WASTE,
                         "too many questions about snapshots, or answers to none");
    }
}

void sb_snap_server_peer_down(struct sb_snap_server *server, sb_peer peer)
{
    (void)pthread_mutex_lock(&server->lock);
    struct asker *asker = asker_of(server, peer);
    if (asker != NULL && asker->peer == peer) {
        asker->count = 0;
    }
    (void)pthread_mutex_unlock(&server->lock);
}

/* ---- the worker ---- */

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* answer: false: the peer's queue has no room for it. */
static bool answer(struct sb_snap_server *server, sb_peer peer, const struct question *q)
{
    struct sb_snap_message question;
    sb_bytes raw = sb_span(q->bytes, q->len);
    if (sb_snap_message_decode(&question, raw) != SB_OK || question.is_answer) {
        server->o.report(server->o.ctx, peer, SB_OFFENCE_PROTOCOL,
                         "not a question about snapshots");
        return true;
    }
    sb_buf_reset(&server->content);
    sb_buf_reset(&server->out);
    sb_err err = sb_snap_answer(&server->content, &server->source, &question);
    if (err != SB_OK && err != SB_E_NOT_FOUND) {
        sb_log(server->o.log, SB_LOG_WARN, "snapshot", "a question could not be answered",
               SB_LOG_U64("height", question.height), SB_LOG_ERR("reason", err), SB_LOG_END);
    }
    struct sb_snap_message reply = {.is_answer = true, .id = question.id, .found = err == SB_OK};
    if (err == SB_OK) {
        reply.bytes = sb_buf_bytes(&server->content);
    }
    sb_snap_message_encode(&server->out, &reply);
    return sb_buf_err(&server->out) != SB_OK ||
           server->o.send(server->o.ctx, peer, sb_buf_bytes(&server->out));
}

/* next_asker: under the lock: whose turn it is; NULL: nobody's, until *ret_due_ms (UINT64_MAX: for ever). */
static struct asker *next_asker(struct sb_snap_server *server, uint64_t *ret_due_ms)
{
    uint64_t now = now_ms();
    *ret_due_ms = UINT64_MAX;
    for (size_t n = 0; n < PEERS_MAX; n++) {
        size_t i = (server->turn + n) % PEERS_MAX;
        struct asker *asker = &server->askers[i];
        if (asker->count != 0 && asker->due_ms <= now) {
            server->turn = i + 1;
            return asker;
        }
        if (asker->count != 0 && asker->due_ms < *ret_due_ms) {
            *ret_due_ms = asker->due_ms;
        }
    }
    return NULL;
}

/* settle: under the lock: the question is done with, or waits. Answers are made again: what a peer does not take is not kept for it. */
static void settle(struct asker *asker, bool is_given)
{
    uint64_t now = now_ms();
    if (!is_given && asker->since_ms == 0) {
        asker->since_ms = now;
        asker->pause_ms = PAUSE_MS_FIRST;
    }
    if (is_given || now - asker->since_ms >= GIVE_UP_MS) {
        asker->first = (asker->first + 1) % SB_SNAP_QUEUE_MAX;
        asker->count--;
        asker->since_ms = asker->due_ms = 0;
        return;
    }
    asker->due_ms = now + asker->pause_ms;
    asker->pause_ms = 2 * asker->pause_ms < PAUSE_MS_MAX ? 2 * asker->pause_ms : PAUSE_MS_MAX;
}

static void prepare(struct sb_snap_server *server)
{
    struct sb_diag diag = {.text = ""};
    if (sb_snapshots_prepare(sb_chain_store(server->o.chain), &diag) != SB_OK) {
        sb_log(server->o.log, SB_LOG_WARN, "snapshot", "the tables cannot be flushed",
               SB_LOG_STR("reason", diag.text), SB_LOG_END);
    }
}

static void adopt(struct sb_snap_server *server, uint64_t height)
{
    struct sb_diag diag = {.text = ""};
    if (sb_snapshots_adopt(server->source.snapshots, height, &diag) == SB_OK) {
        sb_log(server->o.log, SB_LOG_INFO, "snapshot", "a snapshot was taken",
               SB_LOG_U64("height", height), SB_LOG_END);
    } else {
        sb_log(server->o.log, SB_LOG_WARN, "snapshot", "a snapshot cannot be used",
               SB_LOG_U64("height", height), SB_LOG_STR("reason", diag.text), SB_LOG_END);
    }
}

/* unexpired_from: the lowest height whose evidence may still come in a block after `at`. */
static sb_err unexpired_from(uint64_t *ret_height, struct sb_chain *chain, uint64_t oldest,
                             uint64_t at)
{
    struct sb_params params = sb_chain_params(chain);
    uint64_t low = oldest, high = at, time_ms; /* low .. high - 1 may have expired; times ascend */
    SB_TRY(sb_chain_time(&time_ms, chain, at));
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        bool expired = false;
        SB_TRY(sb_chain_evidence_expired(&expired, chain, &params, middle, at, time_ms));
        if (expired) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_height = low;
    return SB_OK;
}

/* needed_from: the lowest block that somebody needs who stands at block `at`: with that as head, or with that as snapshot, from which a
 * newcomer goes down until it sees one whose evidence has expired (docs/spec/state-sync.md, section 5). */
static sb_err needed_from(uint64_t *ret_height, struct sb_chain *chain, uint64_t oldest,
                          uint64_t at)
{
    uint64_t unexpired, hashes = sat_sub_u64(at, HASHES_COUNT);
    SB_TRY(unexpired_from(&unexpired, chain, oldest, at));
    uint64_t seen_expired = sat_sub_u64(unexpired, 1);
    *ret_height = seen_expired < hashes ? seen_expired : hashes;
    return SB_OK;
}

/* prune: as far as is wanted and allowed, when that is worth its cost. */
static void prune(struct sb_snap_server *server, uint64_t head)
{
    struct sb_chain *chain = server->o.chain;
    uint64_t oldest = sb_chain_oldest(chain), keep = server->o.prune_blocks, needed;
    uint64_t heights[SB_SNAPSHOTS_MAX];
    if (keep < server->o.history_blocks + 2) {
        keep = server->o.history_blocks + 2;
    }
    if (head <= keep || head - keep < oldest + keep / PRUNE_STEPS + 1) {
        return;
    }
    size_t count = sb_snapshots_list(heights, server->source.snapshots);
    uint64_t lowest = head - server->o.history_blocks; /* a rollback may go there */
    lowest = count != 0 && heights[count - 1] < lowest ? heights[count - 1] : lowest;
    if (needed_from(&needed, chain, oldest, lowest) != SB_OK) {
        return; /* it is not known what may go: a snapshot from before this node's first block, say */
    }
    uint64_t to = needed < head - keep ? needed : head - keep;
    if (to < oldest + keep / PRUNE_STEPS + 1) {
        return;
    }
    struct sb_diag diag = {.text = ""};
    uint64_t before = sb_store_stats(sb_chain_store(chain)).table_bytes;
    if (sb_chain_past_drop(chain, &diag) != SB_OK ||
        sb_store_prune(sb_chain_store(chain), to, &diag) != SB_OK) {
        sb_log(server->o.log, SB_LOG_WARN, "prune", "old blocks cannot be dropped",
               SB_LOG_STR("reason", diag.text), SB_LOG_END);
        return;
    }
    sb_log(server->o.log, SB_LOG_INFO, "prune", "old blocks were dropped", SB_LOG_U64("oldest", to),
           SB_LOG_U64("bytes_before", before),
           SB_LOG_U64("bytes", sb_store_stats(sb_chain_store(chain)).table_bytes), SB_LOG_END);
}

/* upkeep: what the chain's blocks bring about, taken under the lock and done without it; false: there is nothing. */
static bool upkeep(struct sb_snap_server *server)
{
    uint64_t adopt_height = server->adopt_height, prune_height = server->prune_height;
    bool prepare_due = server->prepare_due;
    server->adopt_height = server->prune_height = 0;
    server->prepare_due = false;
    if (!prepare_due && adopt_height == 0 && prune_height == 0) {
        return false;
    }
    (void)pthread_mutex_unlock(&server->lock);
    if (prepare_due) {
        prepare(server);
    }
    if (adopt_height != 0) {
        adopt(server, adopt_height);
    }
    if (prune_height != 0) {
        prune(server, prune_height);
    }
    (void)pthread_mutex_lock(&server->lock);
    return true;
}

/* serve: likewise one question; false: there is none that can be answered before *ret_due_ms. */
static bool serve(struct sb_snap_server *server, uint64_t *ret_due_ms)
{
    struct asker *asker = next_asker(server, ret_due_ms);
    if (asker == NULL) {
        return false;
    }
    sb_peer peer = asker->peer;
    struct question question = asker->ring[asker->first];
    (void)pthread_mutex_unlock(&server->lock);
    bool is_given = answer(server, peer, &question);
    (void)pthread_mutex_lock(&server->lock);
    if (asker->count != 0 && asker->peer == peer) { /* else it has gone */
        settle(asker, is_given);
    }
    return true;
}

static void wait_work(struct sb_snap_server *server, uint64_t due_ms)
{
    if (due_ms == UINT64_MAX) {
        (void)pthread_cond_wait(&server->work, &server->lock);
        return;
    }
    const struct timespec due = {.tv_sec = (time_t)(due_ms / 1000),
                                 .tv_nsec = (long)(due_ms % 1000) * 1000000};
    (void)pthread_cond_timedwait(&server->work, &server->lock, &due);
}

static void *work(void *ctx)
{
    struct sb_snap_server *server = ctx;
    uint64_t due_ms;
    (void)pthread_mutex_lock(&server->lock);
    while (!server->stop) {
        bool did_upkeep = upkeep(server);
        if (!server->stop && !serve(server, &due_ms) && !did_upkeep && !server->stop) {
            wait_work(server, due_ms);
        }
    }
    (void)pthread_mutex_unlock(&server->lock);
    return NULL;
}

/* ---- life ---- */

sb_err sb_snap_server_new(struct sb_snap_server **ret_server,
                          const struct sb_snap_server_options *options, struct sb_diag *diag)
{
    struct sb_snap_server *server = calloc(1, sizeof *server);
    const struct sb_chain_domain *domain = sb_chain_domain(options->chain);
    const struct sb_store_identity identity = {.genesis_hash = domain->genesis_hash,
                                               .chain_id = domain->chain_id};
    pthread_condattr_t attributes;
    if (server == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    server->o = *options;
    server->source.chain = options->chain;
    sb_buf_init(&server->content, SB_SNAP_CONTENT_BYTES_MAX);
    sb_buf_init(&server->out, SB_SNAP_CONTENT_BYTES_MAX + QUESTION_BYTES_MAX);
    (void)pthread_mutex_init(&server->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&server->work, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    server->askers = calloc(PEERS_MAX, sizeof *server->askers);
    sb_err err = server->askers == NULL ? SB_E_NOMEM
                                        : sb_snapshots_open(&server->source.snapshots, options->dir,
                                                            &identity, options->keep, diag);
    if (err == SB_OK) {
        err = sb_chain_subscribe(options->chain, on_head, server);
    }
    if (err != SB_OK) {
        sb_snap_server_free(server);
        return err;
    }
    *ret_server = server;
    return SB_OK;
}

sb_err sb_snap_server_start(struct sb_snap_server *server, struct sb_diag *diag)
{
    if (pthread_create(&server->thread, NULL, work, server) != 0) {
        return sb_fail(diag, SB_E_INTERNAL, "the thread of the snapshots cannot be made");
    }
    server->has_thread = true;
    return SB_OK;
}

void sb_snap_server_stop(struct sb_snap_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    server->stop = true;
    signal_work(server);
    (void)pthread_mutex_unlock(&server->lock);
    if (server->has_thread) {
        (void)pthread_join(server->thread, NULL);
        server->has_thread = false;
    }
}

void sb_snap_server_free(struct sb_snap_server *server)
{
    if (server == NULL) {
        return;
    }
    sb_snap_server_stop(server);
    sb_snapshots_close(server->source.snapshots);
    (void)pthread_mutex_destroy(&server->lock);
    (void)pthread_cond_destroy(&server->work);
    sb_buf_fini(&server->content);
    sb_buf_fini(&server->out);
    free(server->askers);
    free(server);
}
