/* inbox.c: see inbox.h. */
#include "node/inbox.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/util/assert.h"

struct peer {
    sb_peer id;
    size_t bytes; /* put and not yet done */
    bool is_refused;
};

struct sb_inbox {
    struct sb_inbox_options options;
    pthread_mutex_t lock;
    struct sb_inbox_item *head, *tail;
    size_t bytes;
    struct peer peers[SB_INBOX_PEERS_MAX]; /* no order */
    size_t peer_count;
    bool has_refused;
};

struct sb_inbox *sb_inbox_new(const struct sb_inbox_options *options)
{
    struct sb_inbox *inbox = calloc(1, sizeof *inbox);
    if (inbox == NULL) {
        return NULL;
    }
    inbox->options = *options;
    if (options->peer_bytes_max == 0) {
        inbox->options.peer_bytes_max = SB_INBOX_PEER_BYTES_MAX;
    }
    if (options->total_bytes_max == 0) {
        inbox->options.total_bytes_max = SB_INBOX_TOTAL_BYTES_MAX;
    }
    (void)pthread_mutex_init(&inbox->lock, NULL);
    return inbox;
}

void sb_inbox_free(struct sb_inbox *inbox)
{
    if (inbox == NULL) {
        return;
    }
    while (inbox->head != NULL) {
        struct sb_inbox_item *item = inbox->head;
        inbox->head = item->next;
        free(item);
    }
    (void)pthread_mutex_destroy(&inbox->lock);
    free(inbox);
}

static struct peer *find_peer(struct sb_inbox *inbox, sb_peer id)
{
    for (size_t i = 0; i < inbox->peer_count; i++) {
        if (inbox->peers[i].id == id) {
            return &inbox->peers[i];
        }
    }
    return NULL;
}

/* cost_of: what an item counts; messages without bytes take memory, too. */
static size_t cost_of(enum sb_inbox_kind kind, size_t len)
{
    return kind == SB_INBOX_MESSAGE ? len + SB_INBOX_ITEM_COST : 0;
}

static size_t share(const struct sb_inbox *inbox)
{
    return inbox->options.total_bytes_max / SB_INBOX_SHARES;
}

/* admit: under the lock: the peer, if the item may go in. A peer is known from its coming until its going is done. */
static struct peer *admit(struct sb_inbox *inbox, enum sb_inbox_kind kind, sb_peer id)
{
    struct peer *peer = find_peer(inbox, id);
    if (kind == SB_INBOX_PEER_UP) {
        if (peer != NULL || inbox->peer_count == SB_INBOX_PEERS_MAX) {
            return NULL;
        }
        peer = &inbox->peers[inbox->peer_count++];
        *peer = (struct peer){.id = id};
        return peer;
    }
    if (peer != NULL && kind == SB_INBOX_MESSAGE &&
        (peer->bytes >= inbox->options.peer_bytes_max ||
         (inbox->bytes >= inbox->options.total_bytes_max && peer->bytes >= share(inbox)))) {
        peer->is_refused = true;
        inbox->has_refused = true;
        return NULL;
    }
    return peer;
}

bool sb_inbox_put(struct sb_inbox *inbox, enum sb_inbox_kind kind, sb_peer peer,
                  enum sb_channel channel, sb_bytes bytes)
{
    struct sb_inbox_item *item = malloc(sizeof *item + bytes.len);
    if (item == NULL) {
        return false;
    }
    *item =
        (struct sb_inbox_item){.kind = kind, .peer = peer, .channel = channel, .len = bytes.len};
    sb_copy(item->bytes, bytes.data, bytes.len);
    (void)pthread_mutex_lock(&inbox->lock);
    bool was_empty = inbox->head == NULL;
    struct peer *admitted = admit(inbox, kind, peer);
    if (admitted != NULL) {
        *(was_empty ? &inbox->head : &inbox->tail->next) = item;
        inbox->tail = item;
        admitted->bytes += cost_of(kind, bytes.len);
        inbox->bytes += cost_of(kind, bytes.len);
    }
    (void)pthread_mutex_unlock(&inbox->lock);
    if (admitted == NULL) {
        free(item);
    } else if (was_empty) {
        inbox->options.wake(inbox->options.ctx);
    }
    return admitted != NULL;
}

struct sb_inbox_item *sb_inbox_take(struct sb_inbox *inbox)
{
    (void)pthread_mutex_lock(&inbox->lock);
    struct sb_inbox_item *items = inbox->head;
    inbox->head = NULL;
    inbox->tail = NULL;
    (void)pthread_mutex_unlock(&inbox->lock);
    return items;
}

/* pick_resumed: under the lock: refused peers that have room again; returns how many. */
static size_t pick_resumed(struct sb_inbox *inbox, sb_peer ret_peers[SB_INBOX_PEERS_MAX])
{
    size_t count = 0;
    bool is_left = false;
    bool has_room = inbox->bytes <= inbox->options.total_bytes_max / 2;
    if (!inbox->has_refused) {
        return 0;
    }
    for (size_t i = 0; i < inbox->peer_count; i++) {
        struct peer *peer = &inbox->peers[i];
        if (peer->is_refused && peer->bytes <= inbox->options.peer_bytes_max / 2 &&
            (has_room || peer->bytes <= share(inbox) / 2)) {
            peer->is_refused = false;
            ret_peers[count++] = peer->id;
        }
        is_left = is_left || peer->is_refused;
    }
    inbox->has_refused = is_left;
    return count;
}

void sb_inbox_done_take(struct sb_inbox *inbox, struct sb_inbox_item *item)
{
    sb_peer resumed[SB_INBOX_PEERS_MAX];
    (void)pthread_mutex_lock(&inbox->lock);
    struct peer *peer = find_peer(inbox, item->peer);
    SB_ASSERT(peer != NULL);
    inbox->bytes -= cost_of(item->kind, item->len);
    peer->bytes -= cost_of(item->kind, item->len);
    if (item->kind == SB_INBOX_PEER_DOWN) {
        *peer = inbox->peers[--inbox->peer_count];
    }
    size_t count = pick_resumed(inbox, resumed);
    (void)pthread_mutex_unlock(&inbox->lock);
    for (size_t i = 0; i < count; i++) {
        inbox->options.resume(inbox->options.ctx, resumed[i]);
    }
    free(item);
}
