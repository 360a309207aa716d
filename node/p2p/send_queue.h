/* send_queue.h: what waits to be sent to one peer: a queue for each channel, and the choice of what goes next.
 *
 *      push --> CONTROL  [ ]                      lowest priority number first, within the channel's rate
 *               VOTE     [ ][ ]        take -->   one frame of fragments: channel | flags | length | bytes
 *               PART     [#####....]              (# = sent already: a message is finished once begun)
 *
 *   - at most bytes_max and one message of each channel wait; then lower channels make room, oldest first (docs/spec/p2p.md 3);
 *   - a less urgent message that has begun takes no room from others: behind a block of 10 MiB votes still find theirs;
 *   - a message that has begun is never dropped: its end must follow, or the receiver would join two messages.
 *
 * Pure: no clock, no lock. Callers from several threads hold a lock of their own around each call. */
#ifndef SB_NODE_P2P_SEND_QUEUE_H
#define SB_NODE_P2P_SEND_QUEUE_H

#include "base/util/err.h"
#include "base/util/span.h"
#include "node/p2p/channel.h"
#include "node/p2p/token_bucket.h"

#define SB_FRAGMENT_HEADER_BYTES 4
#define SB_FRAGMENT_FINAL        1     /* flag: the message ends here */
#define SB_FRAME_PLAIN_BYTES_MAX 16384 /* of a frame that we send */
#define SB_QUEUE_ITEM_COST       64    /* memory of a waiting message beside its bytes */
#define SB_QUEUE_URGENT_PRIORITY                                                                   \
    2 /* up to this priority a message is never dropped for want of room */

struct sb_send_item;

struct sb_send_lane {
    struct sb_send_item *first, *last;
    struct sb_token_bucket messages, bytes;
};

struct sb_send_queue {
    struct sb_send_lane lanes[SB_CHANNEL_COUNT];
    size_t bytes; /* unsent bytes and SB_QUEUE_ITEM_COST for each message */
    size_t bytes_max;
    uint64_t dropped; /* messages */
};

enum sb_push_result {
    SB_PUSH_QUEUED,
    SB_PUSH_DROPPED,  /* no room, or no memory, or over the channel's cap: this message is lost */
    SB_PUSH_OVERFLOW, /* no room for an urgent message: give the peer up */
};

void sb_send_queue_init(struct sb_send_queue *ret_queue, size_t bytes_max, uint64_t now_us);
/* sb_send_queue_fini: forget all that waits. */
void sb_send_queue_fini(struct sb_send_queue *queue);

/* sb_send_item_new: a copy of a message, made outside of any lock; NULL when there is no memory or it is over the channel's cap.
 * sb_send_queue_push_take: put it at the end of its channel; the queue owns it in any case. NULL counts as dropped. */
struct sb_send_item *sb_send_item_new(enum sb_channel channel, sb_bytes message);
void sb_send_item_free(struct sb_send_item *item);
enum sb_push_result sb_send_queue_push_take(struct sb_send_queue *queue, enum sb_channel channel,
                                            struct sb_send_item *item);
/* sb_send_queue_push: both in one. */
static inline enum sb_push_result sb_send_queue_push(struct sb_send_queue *queue,
                                                     enum sb_channel channel, sb_bytes message)
{
    return sb_send_queue_push_take(queue, channel, sb_send_item_new(channel, message));
}

/* sb_send_queue_take: fill ret with the next frame's plain text, at most capacity bytes (at least SB_FRAGMENT_HEADER_BYTES + 1).
 * Returns its length; 0 when nothing may be sent now: then *ret_ready_us is when to ask again, UINT64_MAX when nothing waits. */
size_t sb_send_queue_take(struct sb_send_queue *queue, uint64_t *ret_ready_us, uint8_t *ret,
                          size_t capacity, uint64_t now_us);

bool sb_send_queue_is_empty(const struct sb_send_queue *queue);

#endif
