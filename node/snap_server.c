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
#define QUEUE_MAX          1024
#define PREPARE_BLOCKS     8  /* so many blocks before a snapshot the tables are flushed */
#define RETRY_MS           20 /* a peer's send queue is full */
#define RETRIES_MAX        250
#define HASHES_COUNT       256 /* blocks that BLOCKHASH can name */
#define PRUNE_STEPS                                                                                \
    16 /* pruned is when a part of the kept blocks is too much: rewriting tables costs */

struct waiting {
    sb_peer peer;
    size_t len;
    uint8_t bytes[QUESTION_BYTES_MAX];
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
    struct waiting *queue; /* QUEUE_MAX, a ring */
    size_t first, count;
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

void sb_snap_server_receive(struct sb_snap_server *server, sb_peer peer, sb_bytes message)
{
    size_t of_peer = 0;
    (void)pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < server->count; i++) {
        of_peer += server->queue[(server->first + i) % QUEUE_MAX].peer == peer ? 1 : 0;
    }
    bool fits = message.len <= QUESTION_BYTES_MAX && of_peer < SB_SNAP_QUEUE_MAX;
    if (fits && server->count < QUEUE_MAX) {
        struct waiting *w = &server->queue[(server->first + server->count++) % QUEUE_MAX];
        w->peer = peer;
        w->len = message.len;
        sb_copy(w->bytes, message.data, message.len);
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
    size_t kept = 0;
    for (size_t i = 0; i < server->count; i++) {
        const struct waiting *w = &server->queue[(server->first + i) % QUEUE_MAX];
        if (w->peer != peer) {
            server->queue[(server->first + kept++) % QUEUE_MAX] = *w;
        }
    }
    server->count = kept;
    (void)pthread_mutex_unlock(&server->lock);
}

/* ---- the worker ---- */

static bool is_stopping(struct sb_snap_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    bool stop = server->stop;
    (void)pthread_mutex_unlock(&server->lock);
    return stop;
}

/* give: the answer, as soon as the peer's queue has room for it. */
static void give(struct sb_snap_server *server, sb_peer peer)
{
    static const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
    for (int i = 0; i < RETRIES_MAX && !is_stopping(server); i++) {
        if (server->o.send(server->o.ctx, peer, sb_buf_bytes(&server->out))) {
            return;
        }
        (void)nanosleep(&pause, NULL);
    }
}

static void answer(struct sb_snap_server *server, const struct waiting *w)
{
    struct sb_snap_message question;
    sb_bytes raw = sb_span(w->bytes, w->len);
    if (sb_snap_message_decode(&question, raw) != SB_OK || question.is_answer) {
        server->o.report(server->o.ctx, w->peer, SB_OFFENCE_PROTOCOL,
                         "not a question about snapshots");
        return;
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
    if (sb_buf_err(&server->out) == SB_OK) {
        give(server, w->peer);
    }
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

/* turn: one piece of work, taken under the lock and done without it; false: there is none. */
static bool turn(struct sb_snap_server *server)
{
    struct waiting w;
    uint64_t adopt_height = server->adopt_height, prune_height = server->prune_height;
    bool has_question = server->count != 0, prepare_due = server->prepare_due;
    server->adopt_height = server->prune_height = 0;
    server->prepare_due = false;
    if (has_question) {
        w = server->queue[server->first];
        server->first = (server->first + 1) % QUEUE_MAX;
        server->count--;
    }
    if (!has_question && !prepare_due && adopt_height == 0 && prune_height == 0) {
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
    if (has_question) {
        answer(server, &w);
    }
    (void)pthread_mutex_lock(&server->lock);
    return true;
}

static void *work(void *ctx)
{
    struct sb_snap_server *server = ctx;
    (void)pthread_mutex_lock(&server->lock);
    while (!server->stop) {
        if (!turn(server)) {
            (void)pthread_cond_wait(&server->work, &server->lock);
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
    if (server == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    server->o = *options;
    server->source.chain = options->chain;
    sb_buf_init(&server->content, SB_SNAP_CONTENT_BYTES_MAX);
    sb_buf_init(&server->out, SB_SNAP_CONTENT_BYTES_MAX + QUESTION_BYTES_MAX);
    (void)pthread_mutex_init(&server->lock, NULL);
    (void)pthread_cond_init(&server->work, NULL);
    server->queue = calloc(QUEUE_MAX, sizeof *server->queue);
    sb_err err = server->queue == NULL ? SB_E_NOMEM
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
    free(server->queue);
    free(server);
}
