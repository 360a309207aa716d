/* inbox.h: what the peer network hands to the node's loop: a queue between two threads, bounded by peer and in all.
 *
 *      p2p thread   put  --->  [up 7][vote 7][part 9][down 7] ...  --->  take   node loop
 *                   false: full                                          done: room again --> resume
 *
 * Order is kept. A message is taken while its peer, and all peers together, are below their bounds, so the bounds are passed by one
 * message at most; and while its peer has less than a share of all room, whatever others have filled, so that a few peers that flood
 * keep nobody's votes out. A peer whose message was refused is resumed when half of its room, and half of all room or of its share, is
 * free again. A message counts with the memory that it takes beside its bytes. Coming and going of peers is never refused: there are at
 * most SB_INBOX_PEERS_MAX of them. */
#ifndef SB_NODE_INBOX_H
#define SB_NODE_INBOX_H

#include "node/p2p/channel.h"

#include "base/util/err.h"

#define SB_INBOX_PEERS_MAX       1024
#define SB_INBOX_PEER_BYTES_MAX  ((size_t)12 << 20)
#define SB_INBOX_TOTAL_BYTES_MAX ((size_t)64 << 20)
#define SB_INBOX_SHARES          256 /* of all room; one of them is every peer's own */
#define SB_INBOX_ITEM_COST       64  /* memory of a message beside its bytes */

enum sb_inbox_kind { SB_INBOX_PEER_UP, SB_INBOX_PEER_DOWN, SB_INBOX_MESSAGE };

struct sb_inbox_item {
    struct sb_inbox_item *next;
    enum sb_inbox_kind kind;
    sb_peer peer;
    enum sb_channel channel; /* of a message */
    size_t len;
    uint8_t bytes[];
};

struct sb_inbox_options {
    size_t peer_bytes_max, total_bytes_max; /* 0 takes the default */
    void *ctx;
    void (*wake)(void *ctx); /* something lies in an inbox that was empty; from put */
    void (*resume)(void *ctx, sb_peer peer); /* a refused peer has room again; from done */
};

struct sb_inbox;

/* sb_inbox_new: NULL when out of memory. sb_inbox_free drops what lies in it. */
struct sb_inbox *sb_inbox_new(const struct sb_inbox_options *options);
void sb_inbox_free(struct sb_inbox *inbox);

/* sb_inbox_put: bytes are copied; for PEER_UP and PEER_DOWN they are empty. false: no room, or a peer that is not up. Any thread. */
bool sb_inbox_put(struct sb_inbox *inbox, enum sb_inbox_kind kind, sb_peer peer,
                  enum sb_channel channel, sb_bytes bytes);
/* sb_inbox_take: all that lies there, oldest first, linked by next; NULL: nothing. Each item is given back with sb_inbox_done_take. */
struct sb_inbox_item *sb_inbox_take(struct sb_inbox *inbox);
void sb_inbox_done_take(struct sb_inbox *inbox, struct sb_inbox_item *item);

#endif
