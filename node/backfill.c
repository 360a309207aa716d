/* backfill.c: see backfill.h. One question at a time: the next height to ask for follows from the answer. */
#include "node/backfill.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/util/checked.h"
#include "node/chain_impl.h"
#include "node/past.h"

#define ANSWER_MS_DEFAULT  20000
#define REST_MS_DEFAULT    30000
#define LOOK_MS_DEFAULT    1000
#define LOG_PERIOD_MS      10000
#define QUESTION_BYTES_MAX 256
#define SET_BYTES_MAX                                                                              \
    ((size_t)64 << 20) /* of the arena that the header and set to begin from are read into */

struct filling_peer {
    bool is_used;
    bool is_out; /* it gave something false */
    sb_peer id;
    uint64_t rests_until_ms;
    bool is_asked;     /* at some time: */
    uint32_t asked_id; /* the last question */
};

struct sb_backfill {
    struct sb_backfill_options o;
    pthread_t thread;
    bool has_thread;
    struct sb_past past; /* of the worker, as what follows */
    bool has_begun;      /* past goes on below `lowest` */
    uint64_t lowest;
    uint64_t begun_ms, begun_at, logged_ms;
    size_t turn; /* the peer that is asked first */
    uint32_t next_id;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t news;
    bool stop;
    struct filling_peer peers[SB_BACKFILL_PEERS_MAX];
    bool is_open; /* a question: */
    size_t open_peer;
    bool is_answered, is_found, is_lost;
    struct sb_buf content;
};

/* ---- time ---- */

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t now_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

/* wait_news: under the lock, until something came or the time is up. */
static void wait_news(struct sb_backfill *b, uint64_t until_ms)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000) * 1000000};
    (void)pthread_cond_timedwait(&b->news, &b->lock, &until);
}

/* pause: nothing can be done now; false: the end. */
static bool pause_worker(struct sb_backfill *b)
{
    uint64_t until = now_ms() + b->o.look_ms;
    (void)pthread_mutex_lock(&b->lock);
    while (!b->stop && now_ms() < until) {
        wait_news(b, until);
    }
    bool goes_on = !b->stop;
    (void)pthread_mutex_unlock(&b->lock);
    return goes_on;
}

/* ---- peers, from the p2p thread ---- */

static struct filling_peer *find(struct sb_backfill *b, sb_peer id)
{
    for (size_t i = 0; i < SB_BACKFILL_PEERS_MAX; i++) {
        if (b->peers[i].is_used && b->peers[i].id == id) {
            return &b->peers[i];
        }
    }
    return NULL;
}

void sb_backfill_peer_up(struct sb_backfill *b, sb_peer id)
{
    (void)pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < SB_BACKFILL_PEERS_MAX && find(b, id) == NULL; i++) {
        if (!b->peers[i].is_used) {
            b->peers[i] = (struct filling_peer){.is_used = true, .id = id};
        }
    }
    (void)pthread_cond_signal(&b->news);
    (void)pthread_mutex_unlock(&b->lock);
}

void sb_backfill_peer_down(struct sb_backfill *b, sb_peer id)
{
    (void)pthread_mutex_lock(&b->lock);
    struct filling_peer *peer = find(b, id);
    if (peer != NULL) {
        b->is_lost = b->is_lost || (b->is_open && &b->peers[b->open_peer] == peer);
        peer->is_used = false;
        (void)pthread_cond_signal(&b->news);
    }
    (void)pthread_mutex_unlock(&b->lock);
}

void sb_backfill_answer(struct sb_backfill *b, sb_peer id, const struct sb_snap_message *answer)
{
    (void)pthread_mutex_lock(&b->lock);
    struct filling_peer *peer = find(b, id);
    bool was_asked = peer != NULL && peer->is_asked && peer->asked_id == answer->id;
    if (was_asked && b->is_open && &b->peers[b->open_peer] == peer && !b->is_answered) {
        sb_buf_reset(&b->content);
        sb_buf_add(&b->content, answer->bytes.data, answer->bytes.len);
        b->is_answered = true;
        b->is_found = answer->found && sb_buf_err(&b->content) == SB_OK;
        (void)pthread_cond_signal(&b->news);
    } /* else it comes too late */
    (void)pthread_mutex_unlock(&b->lock);
    if (!was_asked) {
        b->o.report(b->o.ctx, id, SB_OFFENCE_WASTE, "an answer about snapshots to no question");
    }
}

/* ---- asking ---- */

/* choose: the next peer that may be asked, whose question is open then; false: none. */
static bool choose(struct sb_backfill *b, sb_peer *ret_peer, uint32_t *ret_id)
{
    uint64_t now = now_ms();
    bool found = false;
    (void)pthread_mutex_lock(&b->lock);
    for (size_t n = 0; !found && n < SB_BACKFILL_PEERS_MAX; n++) {
        size_t i = (b->turn + n) % SB_BACKFILL_PEERS_MAX;
        struct filling_peer *peer = &b->peers[i];
        if (peer->is_used && !peer->is_out && now >= peer->rests_until_ms) {
            found = true;
            b->turn =
                i; /* it stays with whoever answers: what it reads next lies beside what it read */
            b->open_peer = i;
            b->is_open = true;
            b->is_answered = b->is_lost = false;
            peer->is_asked = true;
            peer->asked_id = *ret_id = b->next_id++;
            *ret_peer = peer->id;
        }
    }
    (void)pthread_mutex_unlock(&b->lock);
    return found;
}

/* close_question: whoever has nothing, or says nothing, rests. */
static void close_question(struct sb_backfill *b, bool is_useful, bool is_false)
{
    (void)pthread_mutex_lock(&b->lock);
    struct filling_peer *peer = &b->peers[b->open_peer];
    b->is_open = false;
    peer->is_out = peer->is_out || is_false;
    if (!is_useful && peer->is_asked) { /* not another one, who has come to its place */
        peer->rests_until_ms = now_ms() + b->o.rest_ms;
        b->turn = (b->open_peer + 1) % SB_BACKFILL_PEERS_MAX;
    }
    (void)pthread_mutex_unlock(&b->lock);
}

static bool send_question(struct sb_backfill *b, sb_peer peer, uint32_t id)
{
    uint8_t memory[QUESTION_BYTES_MAX];
    struct sb_buf out = sb_buf_over(memory, sizeof memory);
    const struct sb_snap_message question = {
        .id = id, .what = SB_SNAP_PAST, .height = b->past.height, .bytes = sb_span(NULL, 0)};
    sb_snap_message_encode(&out, &question);
    return sb_buf_err(&out) == SB_OK && b->o.send(b->o.ctx, peer, sb_buf_bytes(&out));
}

/* ask: one question and its answer, which lies in content. */
static bool ask(struct sb_backfill *b, sb_peer *ret_peer)
{
    uint32_t id;
    if (!choose(b, ret_peer, &id)) {
        return false;
    }
    bool is_sent = send_question(b, *ret_peer, id);
    uint64_t until = now_ms() + b->o.answer_ms;
    (void)pthread_mutex_lock(&b->lock);
    while (is_sent && !b->stop && !b->is_answered && !b->is_lost && now_ms() < until) {
        wait_news(b, until);
    }
    bool found = b->is_answered && b->is_found;
    (void)pthread_mutex_unlock(&b->lock);
    if (!found) {
        close_question(b, false, false);
    }
    return found;
}

/* ---- the worker ---- */

static void tell(struct sb_backfill *b, const char *what, uint64_t lowest)
{
    uint64_t ms = now_ms() - b->begun_ms, count = b->begun_at - lowest;
    sb_log(b->o.log, SB_LOG_INFO, "past", what, SB_LOG_U64("lowest", lowest),
           SB_LOG_U64("headers", count),
           SB_LOG_U64("headers_per_s", count * 1000 / (ms > 0 ? ms : 1)), SB_LOG_END);
    b->logged_ms = now_ms();
}

/* begin_below: past is what lies below a known height. */
static sb_err begin_below(struct sb_backfill *b, uint64_t lowest, struct sb_diag *diag)
{
    struct sb_chain_head head = sb_chain_head(b->o.chain);
    const struct sb_past_limit limit = {
        .height = head.header.number + 1, .time_ms = head.time_ms, .params = head.params};
    struct sb_arena arena;
    struct sb_chain_past above;
    struct sb_validator_set set;
    sb_arena_init(&arena, SET_BYTES_MAX);
    sb_err err = sb_chain_past(&above, &arena, b->o.chain, lowest);
    if (err == SB_OK) {
        err = sb_chain_stored_set(&set, &arena, b->o.chain, lowest);
    }
    if (err == SB_OK) {
        err = sb_past_begin(&b->past, &above.header, &set, &limit);
    }
    sb_arena_fini(&arena);
    return err == SB_OK ? SB_OK
                        : sb_fail(diag, err, "height %llu: %s", (unsigned long long)lowest,
                                  sb_err_text(err));
}

/* begin: false: nothing is missing, or it cannot be told. */
static bool begin(struct sb_backfill *b)
{
    struct sb_diag diag = {.text = ""};
    bool is_whole = true;
    sb_err err = sb_chain_past_is_whole(&is_whole, &b->lowest, b->o.chain);
    if (err == SB_OK && !is_whole) {
        err = begin_below(b, b->lowest, &diag);
    }
    if (err != SB_OK) {
        sb_log(b->o.log, SB_LOG_WARN, "past", "what is known of old blocks cannot be read",
               SB_LOG_STR("reason", diag.text[0] != '\0' ? diag.text : sb_err_text(err)),
               SB_LOG_END);
    }
    b->has_begun = err == SB_OK && !is_whole;
    if (b->has_begun && b->begun_ms == 0) {
        b->begun_ms = now_ms();
        b->begun_at = b->lowest;
        b->logged_ms = b->begun_ms;
        sb_log(b->o.log, SB_LOG_INFO, "past",
               "headers that evidence may be about are fetched from peers",
               SB_LOG_U64("lowest", b->lowest), SB_LOG_END);
    } else if (err == SB_OK && is_whole && b->begun_ms != 0) {
        tell(b, "all headers that evidence may be about are here", b->lowest);
        b->begun_ms = 0;
    }
    return b->has_begun;
}

/* take: check and write the answer. */
static void take(struct sb_backfill *b, sb_peer peer)
{
    struct sb_diag why = {.text = ""};
    sb_err err = sb_past_take(&b->past, sb_buf_bytes(&b->content), &why);
    bool is_false = err != SB_OK && err != SB_E_NOMEM && err != SB_E_IO;
    close_question(b, err == SB_OK, is_false);
    if (is_false) {
        const char *text = why.text[0] != '\0' ? why.text : sb_err_text(err);
        sb_log(b->o.log, SB_LOG_WARN, "past", "a peer gave a false header, or what belongs to one",
               SB_LOG_U64("peer", peer), SB_LOG_STR("reason", text), SB_LOG_END);
        b->o.report(b->o.ctx, peer, SB_OFFENCE_FATAL, text);
    }
    if (err == SB_OK) {
        err = sb_chain_past_extend(b->o.chain, b->lowest, &b->past.records, &why);
    }
    b->lowest = b->past.height + 1;
    b->has_begun = err == SB_OK && !b->past.is_done;
    if (b->has_begun && now_ms() - b->logged_ms >= LOG_PERIOD_MS) {
        tell(b, "headers that evidence may be about", b->lowest);
    }
}

static void *work(void *ctx)
{
    struct sb_backfill *b = ctx;
    bool goes_on = true;
    while (goes_on) {
        sb_peer peer;
        if ((b->has_begun || begin(b)) && ask(b, &peer)) {
            take(b, peer);
        } else {
            goes_on = pause_worker(b);
        }
        (void)pthread_mutex_lock(&b->lock);
        goes_on = goes_on && !b->stop;
        (void)pthread_mutex_unlock(&b->lock);
    }
    return NULL;
}

/* ---- life ---- */

sb_err sb_backfill_new(struct sb_backfill **ret_backfill, const struct sb_backfill_options *options,
                       struct sb_diag *diag)
{
    struct sb_backfill *b = calloc(1, sizeof *b);
    pthread_condattr_t attributes;
    if (b == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    b->o = *options;
    b->o.answer_ms = b->o.answer_ms != 0 ? b->o.answer_ms : ANSWER_MS_DEFAULT;
    b->o.rest_ms = b->o.rest_ms != 0 ? b->o.rest_ms : REST_MS_DEFAULT;
    b->o.look_ms = b->o.look_ms != 0 ? b->o.look_ms : LOOK_MS_DEFAULT;
    sb_buf_init(&b->content, SB_SNAP_CONTENT_BYTES_MAX);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_cond_init(&b->news, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    *ret_backfill = b;
    return SB_OK;
}

sb_err sb_backfill_start(struct sb_backfill *b, struct sb_diag *diag)
{
    if (pthread_create(&b->thread, NULL, work, b) != 0) {
        return sb_fail(diag, SB_E_INTERNAL, "the thread of old headers cannot be made");
    }
    b->has_thread = true;
    return SB_OK;
}

void sb_backfill_stop(struct sb_backfill *b)
{
    (void)pthread_mutex_lock(&b->lock);
    b->stop = true;
    (void)pthread_cond_signal(&b->news);
    (void)pthread_mutex_unlock(&b->lock);
    if (b->has_thread) {
        (void)pthread_join(b->thread, NULL);
        b->has_thread = false;
    }
}

void sb_backfill_free(struct sb_backfill *b)
{
    if (b == NULL) {
        return;
    }
    sb_backfill_stop(b);
    sb_past_end(&b->past);
    sb_buf_fini(&b->content);
    (void)pthread_mutex_destroy(&b->lock);
    (void)pthread_cond_destroy(&b->news);
    free(b);
}
