/* sync.c: see sync.h. Spec: docs/spec/gossip.md, section 4. */
#include "node/sync.h"

#include <stdlib.h>

#include "base/util/assert.h"

#define NO_PEER             SB_SYNC_PEERS /* index that is no peer's */

#define OPEN_MAX_DEFAULT    20
#define BYTES_MAX_DEFAULT   ((size_t)64 * 1024 * 1024)
#define ANSWER_MS_DEFAULT   3000
#define BYTES_PER_S_DEFAULT ((uint64_t)128 * 1024)
#define FORGIVE_MS          30000
/* Time limit beside consensus, at first. */
#define SINGLE_MS            500
#define SINGLE_DOUBLINGS_MAX 6
/* No answer may take longer, whatever the size of blocks. */
#define LIMIT_MS_MAX 60000

struct sync_peer {
    bool is_used;
    sb_peer id;
    uint64_t head, oldest;
    uint32_t open_count;
    uint64_t rests_until_ms; /* after a strike it is not asked for a while */
    uint32_t strikes;
    uint64_t struck_ms; /* the last of them; one is forgiven each FORGIVE_MS */
    bool is_false;      /* sent a false block or lowered its head: never forgiven */
    uint64_t
        owed[SB_SYNC_OWED_MAX]; /* heights that it was asked for and has not answered; 0: free */
    size_t owed_next;
};

enum slot_state { SLOT_FREE, SLOT_ASKED, SLOT_READY };

/* One height; slot of height h is h % SB_SYNC_WINDOW. */
struct slot {
    enum slot_state state;
    uint32_t peer;  /* index: who is asked, or who sent it */
    uint32_t place; /* in the peer's open requests when it was asked, from 1 on */
    uint64_t asked_ms;
    uint32_t refused;  /* index of who said last that it has none, or was late; is asked last */
    uint32_t attempts; /* that came to nothing */
    uint8_t *memory;   /* entries of the commit, then the block; owned */
    size_t bytes;
    sb_bytes encoded;
    struct sb_commit commit;
};

struct sb_sync {
    struct sb_sync_options options;
    enum sb_sync_mode mode;
    uint64_t head;
    size_t held_bytes;
    uint64_t typical_bytes; /* of a block, a moving average: sizes the window and the time limit */
    struct sync_peer peers[SB_SYNC_PEERS];
    struct slot slots[SB_SYNC_WINDOW];
};

struct sb_sync *sb_sync_new(const struct sb_sync_options *options)
{
    struct sb_sync *sync = calloc(1, sizeof *sync);
    if (sync == NULL) {
        return NULL;
    }
    sync->options = *options;
    struct sb_sync_options *o = &sync->options;
    o->open_max = o->open_max != 0 ? o->open_max : OPEN_MAX_DEFAULT;
    o->bytes_max = o->bytes_max != 0 ? o->bytes_max : BYTES_MAX_DEFAULT;
    o->answer_ms = o->answer_ms != 0 ? o->answer_ms : ANSWER_MS_DEFAULT;
    o->bytes_per_s = o->bytes_per_s != 0 ? o->bytes_per_s : BYTES_PER_S_DEFAULT;
    for (size_t i = 0; i < SB_SYNC_WINDOW; i++) {
        sync->slots[i].refused = NO_PEER;
    }
    return sync;
}

static void empty_slot(struct sb_sync *sync, struct slot *slot)
{
    if (slot->state == SLOT_ASKED) {
        SB_ASSERT(sync->peers[slot->peer].open_count > 0);
        sync->peers[slot->peer].open_count--;
    }
    free(slot->memory);
    sync->held_bytes -= slot->bytes;
    *slot = (struct slot){.state = SLOT_FREE, .refused = slot->refused, .attempts = slot->attempts};
}

void sb_sync_free(struct sb_sync *sync)
{
    if (sync == NULL) {
        return;
    }
    for (size_t i = 0; i < SB_SYNC_WINDOW; i++) {
        free(sync->slots[i].memory);
    }
    free(sync);
}

/* ---- peers ---- */

static uint32_t find_peer(const struct sb_sync *sync, sb_peer id)
{
    for (uint32_t i = 0; i < SB_SYNC_PEERS; i++) {
        if (sync->peers[i].is_used && sync->peers[i].id == id) {
            return i;
        }
    }
    return NO_PEER;
}

void sb_sync_peer_up(struct sb_sync *sync, sb_peer peer)
{
    for (uint32_t i = 0; i < SB_SYNC_PEERS; i++) {
        if (!sync->peers[i].is_used) {
            sync->peers[i] = (struct sync_peer){.is_used = true, .id = peer, .oldest = 1};
            return;
        }
    }
}

/* take_back: what a peer was asked for, and with `all` also what it delivered, is to be asked of others. */
static void take_back(struct sb_sync *sync, uint32_t peer, bool all)
{
    for (size_t i = 0; i < SB_SYNC_WINDOW; i++) {
        struct slot *slot = &sync->slots[i];
        if (slot->peer == peer &&
            (slot->state == SLOT_ASKED || (all && slot->state == SLOT_READY))) {
            empty_slot(sync, slot);
        }
    }
}

void sb_sync_peer_down(struct sb_sync *sync, sb_peer peer)
{
    uint32_t i = find_peer(sync, peer);
    if (i == NO_PEER) {
        return;
    }
    take_back(sync, i, true);
    for (size_t s = 0; s < SB_SYNC_WINDOW; s++) {
        if (sync->slots[s].refused == i) {
            sync->slots[s].refused = NO_PEER;
        }
    }
    sync->peers[i] = (struct sync_peer){.is_used = false};
}

static void distrust(struct sb_sync *sync, uint32_t peer)
{
    sync->peers[peer].is_false = true;
    take_back(sync, peer, true);
}

static bool is_believed(const struct sync_peer *peer)
{
    return peer->is_used && !peer->is_false && peer->strikes < SB_SYNC_STRIKES_MAX;
}

bool sb_sync_peer_status(struct sb_sync *sync, sb_peer peer, uint64_t head, uint64_t oldest)
{
    uint32_t i = find_peer(sync, peer);
    if (i == NO_PEER) {
        return true;
    }
    if (head < sync->peers[i].head) {
        distrust(sync, i);
        return false;
    }
    sync->peers[i].head = head;
    sync->peers[i].oldest = oldest;
    return true;
}

/* ---- answers that are due: each request allows one, however late ---- */

static void owe(struct sync_peer *peer, uint64_t height)
{
    peer->owed[peer->owed_next++ % SB_SYNC_OWED_MAX] = height;
}

/* settle_owed: an answer came: false when none was due. */
static bool settle_owed(struct sync_peer *peer, uint64_t height)
{
    for (size_t i = 0; i < SB_SYNC_OWED_MAX && height != 0; i++) {
        if (peer->owed[i] == height) {
            peer->owed[i] = 0;
            return true;
        }
    }
    return false;
}

uint64_t sb_sync_target(const struct sb_sync *sync)
{
    uint64_t target = 0;
    for (uint32_t i = 0; i < SB_SYNC_PEERS; i++) {
        if (is_believed(&sync->peers[i]) && sync->peers[i].head > target) {
            target = sync->peers[i].head;
        }
    }
    return target;
}

/* ---- the window ---- */

static struct slot *slot_of(struct sb_sync *sync, uint64_t height)
{
    return &sync->slots[height % SB_SYNC_WINDOW];
}

/* window: how many heights above the head may be asked for: what fits into the byte limit at the usual size, but always a few. */
static uint64_t window(const struct sb_sync *sync)
{
    if (sync->mode == SB_SYNC_SINGLE) {
        return 1;
    }
    uint64_t typical = sync->typical_bytes > 0 ? sync->typical_bytes : 1;
    uint64_t fit = sync->options.bytes_max / typical;
    return fit < 4 ? 4 : fit > SB_SYNC_WINDOW ? SB_SYNC_WINDOW : fit;
}

void sb_sync_head(struct sb_sync *sync, uint64_t head)
{
    if (head - sync->head >= SB_SYNC_WINDOW) {
        for (size_t i = 0; i < SB_SYNC_WINDOW; i++) {
            empty_slot(sync, &sync->slots[i]);
            sync->slots[i].refused = NO_PEER;
            sync->slots[i].attempts = 0;
        }
        sync->head = head;
    }
    while (sync->head < head) {
        struct slot *slot = slot_of(sync, ++sync->head);
        if (slot->state == SLOT_READY) {
            sync->peers[slot->peer].strikes = 0; /* what it gave was wanted: it has made good */
        }
        empty_slot(sync, slot);
        slot->refused = NO_PEER;
        slot->attempts = 0;
    }
}

void sb_sync_mode(struct sb_sync *sync, enum sb_sync_mode mode)
{
    sync->mode = mode;
}

/* ---- requests ---- */

/* time_limit: how long an answer may take: a fixed time, and what it and those before it take at the least rate. */
static uint64_t time_limit(const struct sb_sync *sync, uint32_t place)
{
    const struct sb_sync_options *o = &sync->options;
    uint64_t limit = o->answer_ms + place * sync->typical_bytes * 1000 / o->bytes_per_s;
    return limit < LIMIT_MS_MAX ? limit : LIMIT_MS_MAX;
}

/* choose: the peer to ask for a height: the one with the fewest open requests; on equality the lowest. One that said it has none comes
 * last. */
static uint32_t choose(const struct sb_sync *sync, uint64_t height, uint64_t now_ms)
{
    uint32_t best = NO_PEER;
    uint32_t best_load = UINT32_MAX;
    uint32_t refused = sync->slots[height % SB_SYNC_WINDOW].refused;
    for (uint32_t i = 0; i < SB_SYNC_PEERS; i++) {
        const struct sync_peer *p = &sync->peers[i];
        if (!is_believed(p) || p->head < height || p->oldest > height ||
            p->open_count >= sync->options.open_max || now_ms < p->rests_until_ms) {
            continue;
        }
        uint32_t load = p->open_count + (i == refused ? sync->options.open_max : 0);
        if (load < best_load) {
            best = i;
            best_load = load;
        }
    }
    return best;
}

static void strike(struct sb_sync *sync, uint32_t peer, uint64_t now_ms)
{
    struct sync_peer *p = &sync->peers[peer];
    p->strikes++;
    p->struck_ms = now_ms;
    p->rests_until_ms = now_ms + time_limit(sync, p->strikes);
    take_back(sync, peer, p->strikes >= SB_SYNC_STRIKES_MAX);
}

/* slot_limit: beside consensus there are other ways to the block and other peers: ask another one soon, later with each attempt. */
static uint64_t slot_limit(const struct sb_sync *sync, const struct slot *slot)
{
    uint64_t limit = time_limit(sync, slot->place);
    uint64_t doublings =
        slot->attempts < SINGLE_DOUBLINGS_MAX ? slot->attempts : SINGLE_DOUBLINGS_MAX;
    uint64_t soon = (uint64_t)SINGLE_MS << doublings;
    return sync->mode == SB_SYNC_SINGLE && soon < limit ? soon : limit;
}

/* find_slow: a strike takes back all that the peer was asked for, so each peer is found once. */
static size_t find_slow(struct sb_sync *sync, struct sb_sync_action *ret_actions, size_t max,
                        uint64_t now_ms)
{
    size_t n = 0;
    for (size_t i = 0; i < SB_SYNC_WINDOW && n < max; i++) {
        struct slot *slot = &sync->slots[i];
        if (slot->state != SLOT_ASKED || now_ms < slot->asked_ms + slot_limit(sync, slot)) {
            continue;
        }
        if (now_ms >= slot->asked_ms + time_limit(sync, slot->place)) {
            ret_actions[n++] = (struct sb_sync_action){
                .type = SB_SYNC_SLOW, .peer = sync->peers[slot->peer].id, .height = sync->head + 1};
        } /* else another peer has its turn sooner than this one is at fault */
        slot->refused = slot->peer;
        slot->attempts++;
        if (sync->mode == SB_SYNC_SINGLE) {
            empty_slot(sync, slot);
        } else {
            strike(sync, slot->peer, now_ms);
        }
    }
    return n;
}

void sb_sync_forgive(struct sb_sync *sync, uint64_t now_ms)
{
    for (uint32_t i = 0; i < SB_SYNC_PEERS; i++) {
        struct sync_peer *p = &sync->peers[i];
        if (p->strikes > 0 && now_ms - p->struck_ms >= FORGIVE_MS) {
            p->strikes--;
            p->struck_ms = now_ms;
        }
    }
}

size_t sb_sync_poll(struct sb_sync *sync, struct sb_sync_action *ret_actions, size_t max,
                    uint64_t now_ms)
{
    size_t n = find_slow(sync, ret_actions, max, now_ms);
    sb_sync_forgive(sync, now_ms);
    uint64_t target = sb_sync_target(sync);
    uint64_t end = sync->head + window(sync);
    for (uint64_t h = sync->head + 1; h <= end && h <= target && n < max; h++) {
        struct slot *slot = slot_of(sync, h);
        if (slot->state != SLOT_FREE) {
            continue;
        }
        uint32_t i = choose(sync, h, now_ms);
        if (i == NO_PEER) {
            continue;
        }
        struct sync_peer *p = &sync->peers[i];
        slot->state = SLOT_ASKED;
        slot->peer = i;
        slot->place = ++p->open_count;
        slot->asked_ms = now_ms;
        owe(p, h);
        ret_actions[n++] =
            (struct sb_sync_action){.type = SB_SYNC_REQUEST, .peer = p->id, .height = h};
    }
    return n;
}

/* asked_slot: the slot of a height that this peer is asked for; NULL when it is not. */
static struct slot *asked_slot(struct sb_sync *sync, uint32_t peer, uint64_t height)
{
    if (peer == NO_PEER || height <= sync->head || height > sync->head + SB_SYNC_WINDOW) {
        return NULL;
    }
    struct slot *slot = slot_of(sync, height);
    return slot->state == SLOT_ASKED && slot->peer == peer ? slot : NULL;
}

void sb_sync_unsent(struct sb_sync *sync, sb_peer peer, uint64_t height)
{
    uint32_t i = find_peer(sync, peer);
    struct slot *slot = asked_slot(sync, i, height);
    if (slot != NULL) {
        (void)settle_owed(&sync->peers[i], height);
        empty_slot(sync, slot);
    }
}

/* ---- answers ---- */

/* lacking_slot: the slot of a height that a peer brings, asked of it or of another by now; NULL when the block is of no use. */
static struct slot *lacking_slot(struct sb_sync *sync, uint32_t peer, uint64_t height)
{
    if (height <= sync->head || height > sync->head + SB_SYNC_WINDOW ||
        sync->peers[peer].is_false) {
        return NULL;
    }
    struct slot *slot = slot_of(sync, height);
    return slot->state != SLOT_READY ? slot : NULL;
}

static bool store(struct slot *slot, sb_bytes encoded, const struct sb_commit *commit)
{
    size_t sigs_bytes = commit->sig_count * sizeof *commit->sigs;
    uint8_t *memory = malloc(sigs_bytes + encoded.len);
    if (memory == NULL) {
        return false;
    }
    sb_copy(memory, commit->sigs, sigs_bytes);
    sb_copy(memory + sigs_bytes, encoded.data, encoded.len);
    slot->memory = memory;
    slot->bytes = sigs_bytes + encoded.len;
    slot->encoded = sb_span(memory + sigs_bytes, encoded.len);
    slot->commit = *commit;
    slot->commit.sigs = (const struct sb_commit_sig *)(const void *)memory;
    return true;
}

sb_err sb_sync_block(enum sb_sync_answer *ret_answer, struct sb_sync *sync, sb_peer peer,
                     sb_bytes encoded, const struct sb_commit *commit)
{
    uint32_t i = find_peer(sync, peer);
    if (i == NO_PEER || commit->sig_count == 0 || !settle_owed(&sync->peers[i], commit->height)) {
        *ret_answer = SB_SYNC_UNASKED;
        return SB_OK;
    }
    struct slot *slot = lacking_slot(sync, i, commit->height);
    if (slot == NULL) {
        *ret_answer = SB_SYNC_LATE;
        return SB_OK;
    }
    sync->typical_bytes =
        sync->typical_bytes == 0 ? encoded.len : (sync->typical_bytes * 7 + encoded.len) / 8;
    empty_slot(sync, slot);
    *ret_answer = SB_SYNC_TAKEN;
    /* The block that is next always has room; others are asked for again when there is. */
    if (commit->height != sync->head + 1 &&
        sync->held_bytes + encoded.len > sync->options.bytes_max) {
        return SB_OK;
    }
    if (!store(slot, encoded, commit)) {
        return SB_E_NOMEM;
    }
    sync->held_bytes += slot->bytes;
    slot->state = SLOT_READY;
    slot->peer = i;
    return SB_OK;
}

enum sb_sync_answer sb_sync_no_block(struct sb_sync *sync, sb_peer peer, uint64_t height,
                                     uint64_t now_ms)
{
    uint32_t i = find_peer(sync, peer);
    if (i == NO_PEER || !settle_owed(&sync->peers[i], height)) {
        return SB_SYNC_UNASKED;
    }
    struct slot *slot = asked_slot(sync, i, height);
    if (slot == NULL) {
        return SB_SYNC_LATE;
    }
    empty_slot(sync, slot);
    slot->refused = i;
    strike(sync, i, now_ms); /* it said that it had it */
    return SB_SYNC_TAKEN;
}

bool sb_sync_ready(struct sb_sync_ready *ret_ready, const struct sb_sync *sync)
{
    const struct slot *slot = &sync->slots[(sync->head + 1) % SB_SYNC_WINDOW];
    if (slot->state != SLOT_READY) {
        return false;
    }
    *ret_ready = (struct sb_sync_ready){.peer = sync->peers[slot->peer].id,
                                        .height = sync->head + 1,
                                        .encoded = slot->encoded,
                                        .commit = slot->commit};
    return true;
}

void sb_sync_refused(struct sb_sync *sync)
{
    struct slot *slot = slot_of(sync, sync->head + 1);
    SB_ASSERT(slot->state == SLOT_READY);
    distrust(sync, slot->peer);
}

size_t sb_sync_held_bytes(const struct sb_sync *sync)
{
    return sync->held_bytes;
}

size_t sb_sync_open_requests(const struct sb_sync *sync)
{
    size_t n = 0;
    for (uint32_t i = 0; i < SB_SYNC_PEERS; i++) {
        n += sync->peers[i].open_count;
    }
    return n;
}
