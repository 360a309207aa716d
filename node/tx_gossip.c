/* tx_gossip.c: see tx_gossip.h.
 *
 *      seen:   bucket -> item -> item      items form a ring: the oldest makes room for the newest
 *              item = (hash, has the pool taken it, a bit for each place of peers[])
 *
 * One lock guards all that the threads share; it is never held while a message is sent or a transaction checked. */
#include "node/tx_gossip.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "node/p2p/token_bucket.h"
#include "node/tx_message.h"

#define BUCKETS (2 * SB_TX_GOSSIP_SEEN_MAX)
#define NONE    UINT32_MAX
#define OUT_MAX 4096 /* transactions that wait to be sent to one peer */
#define MESSAGE_BYTES                                                                              \
    ((size_t)64 * 1024) /* a message grows to this, or to one larger transaction */
#define MESSAGE_BYTES_MAX (SB_TX_BYTES_MAX + 64)
#define GREETING_MAX      2048                /* pending transactions that a new peer is told of */
#define GREETING_BYTES    ((size_t)256 << 20) /* of the list of all that is in the pool */
#define NS_IN_MS          1000000

struct seen {
    sb_hash hash;
    uint32_t next; /* in its bucket */
    bool is_used, is_admitted;
    uint64_t peers[SB_TX_GOSSIP_PEERS_MAX / 64];
};

struct message {
    struct message *next;
    sb_peer peer;
    size_t len;
    uint8_t bytes[];
};

struct out {
    const struct sb_pool_tx *
        *txs; /* owned, a reference each; OUT_MAX of room, made with the first */
    size_t count;
};

struct peer {
    sb_peer id;
    bool is_up;
    bool is_refused; /* a message of it found no room */
    bool is_new;     /* not yet told of what is pending */
    size_t waiting_bytes;
    size_t refusals;
    struct sb_token_bucket may_fail; /* checks that end in a refusal */
    struct out out;
};

struct sb_tx_gossip {
    struct sb_tx_gossip_options options;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* of the worker; by the monotonic clock */
    bool has_thread, is_stopped;
    pthread_t thread;

    struct seen seen[SB_TX_GOSSIP_SEEN_MAX];
    uint32_t seen_next;
    uint32_t buckets[BUCKETS];
    struct peer peers[SB_TX_GOSSIP_PEERS_MAX];
    size_t place_count; /* of peers that was ever used: the first ones */
    struct message *head, *tail;
    uint64_t flushed_ms; /* when messages last went out */
    bool is_flush_planned, has_new_peer;
    struct sb_tx_gossip_counters counters;
};

static uint64_t now_ms(void)
{
    return uv_hrtime() / NS_IN_MS;
}

/* ---- who has seen what; under the lock ---- */

static uint32_t bucket_of(const struct sb_tx_gossip *g, const sb_hash *hash)
{
    uint64_t mixed = (be_load64(hash->b) ^ g->options.seed) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(mixed >> 40) % BUCKETS;
}

static struct seen *seen_find(struct sb_tx_gossip *g, const sb_hash *hash)
{
    for (uint32_t i = g->buckets[bucket_of(g, hash)]; i != NONE; i = g->seen[i].next) {
        if (sb_hash_equal(&g->seen[i].hash, hash)) {
            return &g->seen[i];
        }
    }
    return NULL;
}

static void seen_unlink(struct sb_tx_gossip *g, uint32_t place)
{
    uint32_t *link = &g->buckets[bucket_of(g, &g->seen[place].hash)];
    while (*link != place) {
        link = &g->seen[*link].next;
    }
    *link = g->seen[place].next;
}

/* seen_get: the item of a hash, made in the oldest one's place if there is none. */
static struct seen *seen_get(struct sb_tx_gossip *g, const sb_hash *hash)
{
    struct seen *item = seen_find(g, hash);
    if (item != NULL) {
        return item;
    }
    uint32_t place = g->seen_next;
    g->seen_next = (place + 1) % SB_TX_GOSSIP_SEEN_MAX;
    item = &g->seen[place];
    if (item->is_used) {
        seen_unlink(g, place);
    }
    uint32_t *bucket = &g->buckets[bucket_of(g, hash)];
    *item = (struct seen){.hash = *hash, .is_used = true, .next = *bucket};
    *bucket = place;
    return item;
}

static bool seen_by(const struct seen *item, size_t place)
{
    return ((item->peers[place / 64] >> (place % 64)) & 1) != 0;
}

static void seen_mark(struct seen *item, size_t place)
{
    item->peers[place / 64] |= (uint64_t)1 << (place % 64);
}

static struct peer *find_peer(struct sb_tx_gossip *g, sb_peer id)
{
    for (size_t i = 0; i < g->place_count; i++) {
        if (g->peers[i].is_up && g->peers[i].id == id) {
            return &g->peers[i];
        }
    }
    return NULL;
}

/* ---- out ---- */

/* out_add: under the lock. What does not fit is not sent: the peer hears of it from others, or in a block. */
static void out_add(struct sb_tx_gossip *g, size_t place, struct seen *item,
                    const struct sb_pool_tx *tx)
{
    struct peer *peer = &g->peers[place];
    if (peer->out.txs == NULL) {
        peer->out.txs = calloc(OUT_MAX, sizeof(const struct sb_pool_tx *));
    }
    if (peer->out.txs == NULL || peer->out.count == OUT_MAX || seen_by(item, place)) {
        return;
    }
    seen_mark(item, place);
    sb_pool_tx_retain(tx);
    peer->out.txs[peer->out.count++] = tx;
}

static void out_free(struct out *out)
{
    for (size_t i = 0; i < out->count; i++) {
        sb_pool_tx_release(out->txs[i]);
    }
    free((void *)out->txs);
    *out = (struct out){.txs = NULL};
}

/* send_some: one message with transactions from `from` on; returns how many it held. */
static size_t send_some(struct sb_tx_gossip *g, sb_peer peer, const struct out *out, size_t from)
{
    struct sb_buf message;
    size_t count = 0;
    sb_buf_init(&message, MESSAGE_BYTES_MAX);
    size_t list = sb_tx_message_begin(&message);
    while (from + count < out->count) {
        sb_bytes raw = out->txs[from + count]->raw;
        if (count > 0 && message.len + raw.len > MESSAGE_BYTES) {
            break;
        }
        sb_tx_message_put(&message, raw);
        count++;
    }
    if (sb_tx_message_end(&message, list) == SB_OK &&
        g->options.send(g->options.ctx, peer, sb_buf_bytes(&message))) {
        (void)pthread_mutex_lock(&g->lock);
        g->counters.sent += count;
        g->counters.sent_messages++;
        (void)pthread_mutex_unlock(&g->lock);
    }
    sb_buf_fini(&message);
    return count;
}

/* flush: send what waits, to each peer. */
static void flush(struct sb_tx_gossip *g)
{
    (void)pthread_mutex_lock(&g->lock);
    size_t place_count = g->place_count;
    (void)pthread_mutex_unlock(&g->lock);
    for (size_t place = 0; place < place_count; place++) {
        struct peer *peer = &g->peers[place];
        (void)pthread_mutex_lock(&g->lock);
        bool has_some = peer->is_up && peer->out.count != 0;
        struct out out = has_some ? peer->out : (struct out){.txs = NULL};
        sb_peer id = peer->id;
        if (has_some) {
            peer->out = (struct out){.txs = NULL};
        }
        (void)pthread_mutex_unlock(&g->lock);
        for (size_t from = 0; from < out.count;) {
            from += send_some(g, id, &out, from);
        }
        out_free(&out);
    }
}

/* on_pending: of the pool, in the thread that made the transaction pending. */
static void on_pending(void *ctx, const struct sb_pool_tx *tx)
{
    struct sb_tx_gossip *g = ctx;
    bool is_now = false;
    (void)pthread_mutex_lock(&g->lock);
    if (!g->is_stopped) {
        struct seen *item = seen_get(g, &tx->hash);
        item->is_admitted = true;
        for (size_t place = 0; place < g->place_count; place++) {
            if (g->peers[place].is_up) {
                out_add(g, place, item, tx);
            }
        }
        uint64_t now = now_ms();
        is_now = now - g->flushed_ms >= SB_TX_GOSSIP_FLUSH_MS && !g->is_flush_planned;
        if (is_now) {
            g->flushed_ms = now;
        } else if (!g->is_flush_planned) {
            g->is_flush_planned = true;
            (void)pthread_cond_signal(&g->wake);
        }
    }
    (void)pthread_mutex_unlock(&g->lock);
    if (is_now) {
        flush(g);
    }
}

/* greet: put what is pending on the way to each new peer. */
static void greet(struct sb_tx_gossip *g)
{
    struct sb_arena arena;
    const struct sb_mempool_entry *entries = NULL;
    size_t count = 0, told = 0;
    sb_arena_init(&arena, GREETING_BYTES);
    if (sb_mempool_content(&entries, &count, &arena, g->options.mempool, NULL) != SB_OK) {
        count = 0;
    }
    (void)pthread_mutex_lock(&g->lock);
    for (size_t i = 0; i < count && told < GREETING_MAX; i++) {
        if (entries[i].queued) {
            continue;
        }
        struct seen *item = seen_get(g, &entries[i].tx->hash);
        item->is_admitted = true;
        told++;
        for (size_t place = 0; place < g->place_count; place++) {
            if (g->peers[place].is_up && g->peers[place].is_new) {
                out_add(g, place, item, entries[i].tx);
            }
        }
    }
    for (size_t place = 0; place < g->place_count; place++) {
        g->peers[place].is_new = false;
    }
    (void)pthread_mutex_unlock(&g->lock);
    for (size_t i = 0; i < count; i++) {
        sb_pool_tx_release(entries[i].tx);
    }
    sb_arena_fini(&arena);
    flush(g);
}

/* ---- in: the worker ---- */

static void report(struct sb_tx_gossip *g, sb_peer peer, enum sb_offence offence, const char *why)
{
    g->options.report(g->options.ctx, peer, offence, why);
}

/* is_malformed: the bytes are no transaction, whatever the state is. */
static bool is_malformed(sb_err err)
{
    return err == SB_E_TRUNCATED || err == SB_E_TRAILING || err == SB_E_NON_CANONICAL ||
           err == SB_E_TYPE || err == SB_E_RANGE || err == SB_E_SHAPE || err == SB_E_SYNTAX;
}

/* note_result: what the pool said. Returns whether the peer has been refused too often. */
static bool note_result(struct sb_tx_gossip *g, sb_peer id, const sb_hash *hash, sb_err err)
{
    bool is_too_often = false;
    (void)pthread_mutex_lock(&g->lock);
    struct peer *peer = find_peer(g, id);
    if (err == SB_OK || err == SB_E_EXISTS) {
        seen_get(g, hash)->is_admitted = true;
    } else {
        g->counters.refused++;
    }
    if (peer != NULL && err != SB_OK && err != SB_E_EXISTS) {
        sb_token_bucket_take(&peer->may_fail, 1);
    }
    if (peer != NULL) {
        peer->refusals = err == SB_E_ARG ? peer->refusals + 1 : 0;
        is_too_often = peer->refusals >= SB_TX_GOSSIP_REFUSALS_MAX;
        peer->refusals = is_too_often ? 0 : peer->refusals;
    }
    (void)pthread_mutex_unlock(&g->lock);
    return is_too_often;
}

/* is_known: note that the peer has it; true when the pool had it already. */
static bool is_known(struct sb_tx_gossip *g, sb_peer id, const sb_hash *hash)
{
    (void)pthread_mutex_lock(&g->lock);
    struct peer *peer = find_peer(g, id);
    struct seen *item = seen_get(g, hash);
    if (peer != NULL) {
        seen_mark(item, (size_t)(peer - g->peers));
    }
    bool known = item->is_admitted;
    g->counters.received++;
    g->counters.known += known;
    (void)pthread_mutex_unlock(&g->lock);
    return known;
}

/* may_check: whether the peer has not been refused too much of late; else the transaction is counted as dropped. */
static bool may_check(struct sb_tx_gossip *g, sb_peer id)
{
    (void)pthread_mutex_lock(&g->lock);
    struct peer *peer = find_peer(g, id);
    bool may = peer == NULL || sb_token_bucket_ready(&peer->may_fail, now_ms() * 1000);
    g->counters.dropped += may ? 0 : 1;
    (void)pthread_mutex_unlock(&g->lock);
    return may;
}

/* take_tx: false when the rest of the message is not worth a look. */
static bool take_tx(struct sb_tx_gossip *g, sb_peer peer, sb_bytes raw)
{
    sb_hash hash = sb_tx_hash(raw);
    sb_hash added;
    struct sb_diag diag = {.text = ""};
    if (is_known(g, peer, &hash) || !may_check(g, peer)) {
        return true;
    }
    sb_err err = sb_mempool_add(g->options.mempool, raw, &added, &diag);
    bool is_too_often = note_result(g, peer, &hash, err);
    if (err == SB_OK && g->options.useful != NULL) {
        g->options.useful(g->options.ctx, peer);
    }
    if (err == SB_E_SIGNATURE) {
        report(g, peer, SB_OFFENCE_INVALID, "a transaction with a false signature");
        return false;
    }
    if (is_malformed(err)) {
        report(g, peer, SB_OFFENCE_PROTOCOL, "bytes that are no transaction");
        return false;
    }
    if (is_too_often) {
        report(g, peer, SB_OFFENCE_WASTE, "transactions that cannot be executed");
    }
    return true;
}

static void take_message(struct sb_tx_gossip *g, const struct message *message)
{
    struct sb_tx_message txs;
    bool has_one = true;
    sb_err err = sb_tx_message_open(&txs, sb_span(message->bytes, message->len));
    while (err == SB_OK && has_one) {
        sb_bytes raw;
        err = sb_tx_message_next(&has_one, &raw, &txs);
        if (err == SB_OK && has_one && !take_tx(g, message->peer, raw)) {
            return;
        }
    }
    if (err != SB_OK) {
        report(g, message->peer, SB_OFFENCE_PROTOCOL, "bytes that are no list of transactions");
    }
}

/* done_take: under the lock. Returns whether the peer is to be resumed. */
static bool done_take(struct sb_tx_gossip *g, struct message *message)
{
    struct peer *peer = find_peer(g, message->peer);
    bool is_resumed = false;
    if (peer != NULL) {
        peer->waiting_bytes -= message->len;
        is_resumed = peer->is_refused && peer->waiting_bytes <= SB_TX_GOSSIP_QUEUE_BYTES_MAX / 2;
        peer->is_refused = peer->is_refused && !is_resumed;
    }
    free(message);
    return is_resumed;
}

/* wait_for_work: under the lock: until there is something to do, or a flush is due. */
static void wait_for_work(struct sb_tx_gossip *g)
{
    while (!g->is_stopped && g->head == NULL && !g->has_new_peer) {
        if (!g->is_flush_planned) {
            (void)pthread_cond_wait(&g->wake, &g->lock);
            continue;
        }
        uint64_t due = g->flushed_ms + SB_TX_GOSSIP_FLUSH_MS;
        const struct timespec when = {.tv_sec = (time_t)(due / 1000),
                                      .tv_nsec = (long)(due % 1000) * NS_IN_MS};
        if (now_ms() >= due || pthread_cond_timedwait(&g->wake, &g->lock, &when) == ETIMEDOUT) {
            return;
        }
    }
}

/* work_once: one message, one greeting, one flush: whatever there is. false: stop. */
static bool work_once(struct sb_tx_gossip *g)
{
    (void)pthread_mutex_lock(&g->lock);
    wait_for_work(g);
    bool goes_on = !g->is_stopped;
    bool greets = goes_on && g->has_new_peer;
    bool flushes =
        goes_on && g->is_flush_planned && now_ms() - g->flushed_ms >= SB_TX_GOSSIP_FLUSH_MS;
    struct message *message = goes_on ? g->head : NULL;
    if (message != NULL) {
        g->head = message->next;
        g->tail = g->head != NULL ? g->tail : NULL;
    }
    g->has_new_peer = g->has_new_peer && !greets;
    if (flushes) {
        g->is_flush_planned = false;
        g->flushed_ms = now_ms();
    }
    (void)pthread_mutex_unlock(&g->lock);
    if (greets) {
        greet(g);
    }
    if (flushes) {
        flush(g);
    }
    if (message != NULL) {
        sb_peer peer = message->peer;
        take_message(g, message);
        (void)pthread_mutex_lock(&g->lock);
        bool is_resumed = done_take(g, message);
        (void)pthread_mutex_unlock(&g->lock);
        if (is_resumed) {
            g->options.resume(g->options.ctx, peer);
        }
    }
    return goes_on;
}

static void *worker_main(void *ctx)
{
    while (work_once(ctx)) {
    }
    return NULL;
}

/* ---- from the transport ---- */

void sb_tx_gossip_peer_up(struct sb_tx_gossip *gossip, sb_peer id)
{
    (void)pthread_mutex_lock(&gossip->lock);
    size_t place = 0;
    while (place < SB_TX_GOSSIP_PEERS_MAX && gossip->peers[place].is_up) {
        place++;
    }
    if (place < SB_TX_GOSSIP_PEERS_MAX) {
        gossip->peers[place] = (struct peer){
            .id = id,
            .is_up = true,
            .is_new = true,
            .may_fail = sb_token_bucket_full(SB_TX_GOSSIP_REFUSED_PER_S, SB_TX_GOSSIP_REFUSED_BURST,
                                             now_ms() * 1000)};
        gossip->place_count = place < gossip->place_count ? gossip->place_count : place + 1;
        for (size_t i = 0; i < SB_TX_GOSSIP_SEEN_MAX; i++) {
            gossip->seen[i].peers[place / 64] &= ~((uint64_t)1 << (place % 64));
        }
        gossip->has_new_peer = true;
        (void)pthread_cond_signal(&gossip->wake);
    }
    (void)pthread_mutex_unlock(&gossip->lock);
}

void sb_tx_gossip_peer_down(struct sb_tx_gossip *gossip, sb_peer id)
{
    struct out out = {.txs = NULL};
    (void)pthread_mutex_lock(&gossip->lock);
    struct peer *peer = find_peer(gossip, id);
    if (peer != NULL) {
        out = peer->out;
        *peer = (struct peer){.is_up = false};
    }
    (void)pthread_mutex_unlock(&gossip->lock);
    out_free(&out);
}

bool sb_tx_gossip_receive(struct sb_tx_gossip *gossip, sb_peer id, sb_bytes message)
{
    struct message *item = malloc(sizeof *item + message.len);
    bool is_taken = false;
    if (item == NULL) {
        return false;
    }
    *item = (struct message){.peer = id, .len = message.len};
    sb_copy(item->bytes, message.data, message.len);
    (void)pthread_mutex_lock(&gossip->lock);
    struct peer *peer = find_peer(gossip, id);
    if (peer != NULL && peer->waiting_bytes < SB_TX_GOSSIP_QUEUE_BYTES_MAX) {
        is_taken = true;
        peer->waiting_bytes += message.len;
        *(gossip->head == NULL ? &gossip->head : &gossip->tail->next) = item;
        gossip->tail = item;
        (void)pthread_cond_signal(&gossip->wake);
    } else if (peer != NULL) {
        peer->is_refused = true;
    }
    (void)pthread_mutex_unlock(&gossip->lock);
    if (!is_taken) {
        free(item);
    }
    return is_taken;
}

struct sb_tx_gossip_counters sb_tx_gossip_counters(struct sb_tx_gossip *gossip)
{
    (void)pthread_mutex_lock(&gossip->lock);
    struct sb_tx_gossip_counters counters = gossip->counters;
    (void)pthread_mutex_unlock(&gossip->lock);
    return counters;
}

/* ---- life ---- */

sb_err sb_tx_gossip_new(struct sb_tx_gossip **ret_gossip,
                        const struct sb_tx_gossip_options *options, struct sb_diag *diag)
{
    pthread_condattr_t attr;
    struct sb_tx_gossip *gossip = calloc(1, sizeof *gossip);
    if (gossip == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    gossip->options = *options;
    memset(gossip->buckets, 0xff, sizeof gossip->buckets); /* NONE */
    (void)pthread_mutex_init(&gossip->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&gossip->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (sb_mempool_subscribe(options->mempool, on_pending, gossip) != SB_OK) {
        sb_tx_gossip_free(gossip);
        return sb_fail(diag, SB_E_LIMIT, "the pool has too many subscribers");
    }
    *ret_gossip = gossip;
    return SB_OK;
}

sb_err sb_tx_gossip_start(struct sb_tx_gossip *gossip, struct sb_diag *diag)
{
    SB_ASSERT(!gossip->has_thread);
    if (pthread_create(&gossip->thread, NULL, worker_main, gossip) != 0) {
        return sb_fail(diag, SB_E_INTERNAL, "the thread for transactions cannot be made");
    }
    gossip->has_thread = true;
    return SB_OK;
}

void sb_tx_gossip_stop(struct sb_tx_gossip *gossip)
{
    (void)pthread_mutex_lock(&gossip->lock);
    gossip->is_stopped = true;
    (void)pthread_cond_signal(&gossip->wake);
    (void)pthread_mutex_unlock(&gossip->lock);
    if (gossip->has_thread) {
        (void)pthread_join(gossip->thread, NULL);
        gossip->has_thread = false;
    }
}

void sb_tx_gossip_free(struct sb_tx_gossip *gossip)
{
    if (gossip == NULL) {
        return;
    }
    sb_tx_gossip_stop(gossip);
    for (size_t i = 0; i < SB_TX_GOSSIP_PEERS_MAX; i++) {
        out_free(&gossip->peers[i].out);
    }
    while (gossip->head != NULL) {
        struct message *message = gossip->head;
        gossip->head = message->next;
        free(message);
    }
    (void)pthread_cond_destroy(&gossip->wake);
    (void)pthread_mutex_destroy(&gossip->lock);
    free(gossip);
}
