/* state_sync_peers.c: who can be asked, what was asked, what came back; see state_sync_impl.h. */
#include "base/util/assert.h"
#include "node/state_sync_impl.h"

#define LIST_PERIOD_MS 10000

void sync_moved(struct state_sync *s)
{
    s->moved_ms = sync_now(s);
}

static struct sync_peer *find_peer(struct state_sync *s, sb_peer id)
{
    for (size_t i = 0; i < SB_STATE_SYNC_PEERS_MAX; i++) {
        if (s->peers[i].is_used && !s->peers[i].is_gone && s->peers[i].id == id) {
            return &s->peers[i];
        }
    }
    return NULL;
}

bool sync_offers(const struct sync_peer *peer, uint64_t height)
{
    if (!peer->is_used || peer->is_out || !peer->has_list) {
        return false;
    }
    for (size_t i = 0; i < peer->list.count; i++) {
        if (peer->list.heights[i] == height) {
            return true;
        }
    }
    return false;
}

/* ---- faults ---- */

static void questions_lose(struct state_sync *s, const struct sync_peer *peer)
{
    for (size_t i = 0; i < SYNC_QUESTIONS_MAX; i++) {
        if (s->questions[i].is_used && s->questions[i].peer == peer) {
            s->questions[i].is_lost = true;
        }
    }
}

void sync_accuse(struct state_sync *s, struct sync_peer *peer, const char *what, const char *why)
{
    if (peer->is_out) {
        return;
    }
    peer->is_out = true;
    s->dropped_count++;
    questions_lose(s, peer);
    s->o->wire.report(s->o->wire.ctx, peer->id, SB_OFFENCE_FATAL, why);
    sb_log(s->o->log, SB_LOG_WARN, "statesync", "a peer is dropped: it gave something false",
           SB_LOG_STR("peer", peer->name), SB_LOG_STR("what", what), SB_LOG_STR("reason", why),
           SB_LOG_END);
}

/* note_slow: an answer did not come in time. */
static void note_slow(struct state_sync *s, struct sync_peer *peer)
{
    if (peer->is_out || ++peer->slow < SYNC_SLOW_MAX) {
        return;
    }
    peer->is_out = true;
    questions_lose(s, peer);
    s->o->wire.report(s->o->wire.ctx, peer->id, SB_OFFENCE_SLOW, "does not answer");
    sb_log(s->o->log, SB_LOG_WARN, "statesync", "a peer is not asked any more: it does not answer",
           SB_LOG_STR("peer", peer->name), SB_LOG_END);
}

/* ---- questions ---- */

bool sync_send(struct state_sync *s, struct sync_peer *peer, enum sb_snap_what what,
               uint64_t height, sb_bytes detail, const struct sb_subtree_request *request)
{
    struct sync_question *q = s->questions;
    while (q < s->questions + SYNC_QUESTIONS_MAX && q->is_used) {
        q++;
    }
    if (q == s->questions + SYNC_QUESTIONS_MAX) {
        return false;
    }
    uint64_t answer_ms = s->o->answer_ms != 0 ? s->o->answer_ms : 10000;
    *q = (struct sync_question){.is_used = true,
                                .id = s->next_id++,
                                .peer = peer,
                                .what = what,
                                .due_ms = sync_now(s) + answer_ms};
    if (request != NULL) {
        q->request = *request;
    }
    const struct sb_snap_message message = {
        .id = q->id, .what = what, .height = height, .bytes = detail};
    sb_buf_reset(&s->out);
    sb_snap_message_encode(&s->out, &message);
    if (sb_buf_err(&s->out) != SB_OK ||
        !s->o->wire.send(s->o->wire.ctx, peer->id, sb_buf_bytes(&s->out))) {
        q->is_used = false;
        return false;
    }
    peer->open++;
    return true;
}

static void question_close(struct sync_answer *ret, struct sync_question *q)
{
    ret->has_question = true;
    ret->question = *q;
    q->is_used = false;
    SB_ASSERT(q->peer->open > 0);
    q->peer->open--;
}

/* lists_ask: of those whose list is unknown or old. */
static void lists_ask(struct state_sync *s)
{
    uint64_t now = sync_now(s);
    for (size_t i = 0; i < SB_STATE_SYNC_PEERS_MAX; i++) {
        struct sync_peer *peer = &s->peers[i];
        bool due = !peer->is_asked || now - peer->listed_ms >= LIST_PERIOD_MS;
        if (peer->is_used && !peer->is_out && due &&
            sync_send(s, peer, SB_SNAP_LIST, 0, sb_span(NULL, 0), NULL)) {
            peer->is_asked = true;
            peer->listed_ms = now;
        }
    }
}

static void list_take(struct state_sync *s, struct sync_peer *peer, const struct sync_answer *a)
{
    struct sb_snap_list list = {.count = 0};
    if (a->found && sb_snap_list_decode(&list, a->content) != SB_OK) {
        sync_accuse(s, peer, "list of snapshots", "it does not decode");
        return;
    }
    peer->list = list;
    peer->has_list = true;
}

/* ---- events ---- */

static void peer_up(struct state_sync *s, const struct sb_state_sync_event *event)
{
    for (size_t i = 0; i < SB_STATE_SYNC_PEERS_MAX; i++) {
        struct sync_peer *peer = &s->peers[i];
        if (!peer->is_used || (peer->is_gone && peer->open == 0)) {
            *peer = (struct sync_peer){.is_used = true, .id = event->peer};
            memcpy(peer->name, event->name, sizeof peer->name);
            return;
        }
    }
}

static void message_take(struct sync_answer *ret, struct state_sync *s,
                         const struct sb_state_sync_event *event)
{
    struct sync_peer *peer = find_peer(s, event->peer);
    struct sb_snap_message message;
    if (peer == NULL || peer->is_out) {
        return;
    }
    if (sb_snap_message_decode(&message, event->message) != SB_OK) {
        sync_accuse(s, peer, "message", "it does not decode");
        return;
    }
    for (size_t i = 0; message.is_answer && i < SYNC_QUESTIONS_MAX; i++) {
        struct sync_question *q = &s->questions[i];
        if (q->is_used && !q->is_lost && q->id == message.id && q->peer == peer) {
            question_close(ret, q);
            ret->found = message.found;
            ret->content = message.bytes;
            peer->slow = message.found && ret->question.what != SB_SNAP_LIST ? 0 : peer->slow;
            return;
        }
    }
    /* a question of its own, or an answer that comes too late */
}

/* lost_take: a question whose peer is gone or whose time is up. */
static bool lost_take(struct sync_answer *ret, struct state_sync *s)
{
    uint64_t now = sync_now(s);
    for (size_t i = 0; i < SYNC_QUESTIONS_MAX; i++) {
        struct sync_question *q = &s->questions[i];
        bool late = q->is_used && !q->is_lost && now >= q->due_ms;
        if (late) {
            q->is_lost = true;
            note_slow(s, q->peer);
        }
        if (q->is_used && q->is_lost) {
            question_close(ret, q);
            ret->found = false;
            return true;
        }
    }
    return false;
}

sb_err sync_pump(struct sync_answer *ret_answer, struct state_sync *s, uint64_t timeout_ms)
{
    struct sync_answer answer = {.has_question = false};
    struct sb_state_sync_event event = {.kind = SB_STATE_SYNC_NOTHING};
    uint64_t give_up_ms = s->o->give_up_ms != 0 ? s->o->give_up_ms : 120000;
    if (s->o->stop != NULL && atomic_load(s->o->stop)) {
        return SB_E_CANCELLED;
    }
    if (sync_now(s) - s->moved_ms >= give_up_ms) {
        return SB_E_TIMEOUT;
    }
    lists_ask(s);
    if (!lost_take(&answer, s)) {
        s->o->wire.wait(s->o->wire.ctx, &event, timeout_ms);
    }
    struct sync_peer *peer = find_peer(s, event.peer);
    switch (event.kind) {
    case SB_STATE_SYNC_NOTHING:
        break;
    case SB_STATE_SYNC_UP:
        peer_up(s, &event);
        break;
    case SB_STATE_SYNC_DOWN:
        if (peer != NULL) {
            questions_lose(s, peer);
            peer->is_out = true;
            peer->is_gone = true;
        }
        break;
    case SB_STATE_SYNC_MESSAGE:
        message_take(&answer, s, &event);
        break;
    }
    if (answer.has_question && !answer.question.is_lost && answer.question.what == SB_SNAP_LIST) {
        list_take(s, answer.question.peer, &answer);
    }
    *ret_answer = answer;
    return SB_OK;
}

sb_err sync_ask(sb_bytes *ret_content, struct state_sync *s, struct sync_peer *peer,
                enum sb_snap_what what, uint64_t height, sb_bytes detail)
{
    uint32_t id = s->next_id;
    struct sync_answer answer;
    if (peer->is_out || !sync_send(s, peer, what, height, detail, NULL)) {
        return SB_E_NOT_FOUND;
    }
    do {
        SB_TRY(sync_pump(&answer, s, 50));
    } while (!answer.has_question || answer.question.id != id);
    if (!answer.found) {
        return SB_E_NOT_FOUND;
    }
    *ret_content = answer.content;
    return SB_OK;
}
