/* send_queue.c: see send_queue.h. */
#include "node/p2p/send_queue.h"

#include <stdlib.h>

#include "base/util/assert.h"
#include "base/util/endian.h"

#define SMALL_BYTES 1024

struct sb_send_item {
    struct sb_send_item *next;
    size_t len;
    size_t sent;
    bool begun; /* a fragment has gone; for an empty message never */
    uint8_t bytes[];
};

void sb_send_queue_init(struct sb_send_queue *ret_queue, size_t bytes_max, uint64_t now_us)
{
    *ret_queue = (struct sb_send_queue){.bytes_max = bytes_max};
    for (size_t i = 0; i < SB_CHANNEL_COUNT; i++) {
        const struct sb_channel_spec *spec = &sb_channels[i];
        ret_queue->lanes[i].messages =
            sb_token_bucket_full(spec->messages_per_s, spec->messages_per_s, now_us);
        ret_queue->lanes[i].bytes =
            sb_token_bucket_full(spec->bytes_per_s, spec->bytes_per_s, now_us);
    }
}

/* Take a lane's first message out, or the one behind it. */
static void lane_remove(struct sb_send_queue *queue, struct sb_send_lane *lane, bool second)
{
    struct sb_send_item *item = second ? lane->first->next : lane->first;
    if (second) {
        lane->first->next = item->next;
    } else {
        lane->first = item->next;
    }
    if (lane->last == item) {
        lane->last = second ? lane->first : NULL;
    }
    queue->bytes -= item->len - item->sent + SB_QUEUE_ITEM_COST;
    free(item);
}

void sb_send_queue_fini(struct sb_send_queue *queue)
{
    for (size_t i = 0; i < SB_CHANNEL_COUNT; i++) {
        while (queue->lanes[i].first != NULL) {
            lane_remove(queue, &queue->lanes[i], false);
        }
    }
}

bool sb_send_queue_is_empty(const struct sb_send_queue *queue)
{
    return queue->bytes == 0;
}

/* ---- in ---- */

/* Drop the oldest message, not yet begun, of the least important channel below `priority`. false: there is none. */
static bool drop_below(struct sb_send_queue *queue, uint8_t priority)
{
    struct sb_send_lane *victim = NULL;
    uint8_t least = priority;
    for (size_t i = 0; i < SB_CHANNEL_COUNT; i++) {
        struct sb_send_lane *lane = &queue->lanes[i];
        bool has_one = lane->first != NULL && (!lane->first->begun || lane->first->next != NULL);
        if (has_one && sb_channels[i].priority > least) {
            least = sb_channels[i].priority;
            victim = lane;
        }
    }
    if (victim == NULL) {
        return false;
    }
    lane_remove(queue, victim, victim->first->begun);
    queue->dropped++;
    return true;
}

struct sb_send_item *sb_send_item_new(enum sb_channel channel, sb_bytes message)
{
    if (message.len > sb_channels[channel].message_bytes_max) {
        return NULL;
    }
    struct sb_send_item *item = malloc(sizeof *item + message.len);
    if (item != NULL) {
        *item = (struct sb_send_item){.len = message.len};
        sb_copy(item->bytes, message.data, message.len);
    }
    return item;
}

void sb_send_item_free(struct sb_send_item *item)
{
    free(item);
}

/* What is left of less urgent messages that have begun: they cannot be dropped, and one block must not keep votes out of the queue. */
static size_t begun_below(const struct sb_send_queue *queue, uint8_t priority)
{
    size_t bytes = 0;
    for (size_t i = 0; i < SB_CHANNEL_COUNT; i++) {
        const struct sb_send_item *item = queue->lanes[i].first;
        if (item != NULL && item->begun && sb_channels[i].priority > priority) {
            bytes += item->len - item->sent + SB_QUEUE_ITEM_COST;
        }
    }
    return bytes;
}

/* Whether there is room, after less urgent messages have gone. */
static bool make_room(struct sb_send_queue *queue, uint8_t priority)
{
    while (queue->bytes - begun_below(queue, priority) >= queue->bytes_max) {
        if (!drop_below(queue, priority)) {
            return false;
        }
    }
    return true;
}

enum sb_push_result sb_send_queue_push_take(struct sb_send_queue *queue, enum sb_channel channel,
                                            struct sb_send_item *item)
{
    uint8_t priority = sb_channels[channel].priority;
    struct sb_send_lane *lane = &queue->lanes[channel];
    if (item == NULL) {
        queue->dropped++;
        return SB_PUSH_DROPPED;
    }
    if (!make_room(queue, priority)) {
        free(item);
        queue->dropped++;
        return priority <= SB_QUEUE_URGENT_PRIORITY ? SB_PUSH_OVERFLOW : SB_PUSH_DROPPED;
    }
    if (lane->last == NULL) {
        lane->first = item;
    } else {
        lane->last->next = item;
    }
    lane->last = item;
    queue->bytes += item->len + SB_QUEUE_ITEM_COST;
    return SB_PUSH_QUEUED;
}

/* ---- out ---- */

/* The lane to serve: the most important one that has something and may send; equal ones by id. *ret_ready_us: when the first of those
 * that must wait may go on. */
static struct sb_send_lane *next_lane(struct sb_send_queue *queue, uint64_t *ret_ready_us,
                                      uint64_t now_us)
{
    struct sb_send_lane *best = NULL;
    uint8_t best_priority = UINT8_MAX;
    *ret_ready_us = UINT64_MAX;
    for (size_t i = 0; i < SB_CHANNEL_COUNT; i++) {
        struct sb_send_lane *lane = &queue->lanes[i];
        if (lane->first == NULL) {
            continue;
        }
        bool ready = sb_token_bucket_ready(&lane->messages, now_us);
        ready = sb_token_bucket_ready(&lane->bytes, now_us) && ready;
        if (!ready) {
            uint64_t a = sb_token_bucket_ready_at(&lane->messages);
            uint64_t b = sb_token_bucket_ready_at(&lane->bytes);
            uint64_t later = a > b ? a : b;
            *ret_ready_us = later < *ret_ready_us ? later : *ret_ready_us;
        } else if (sb_channels[i].priority < best_priority) {
            best = lane;
            best_priority = sb_channels[i].priority;
        }
    }
    return best;
}

/* Write one fragment of a lane's first message; returns its length with the header. */
static size_t put_fragment(struct sb_send_queue *queue, struct sb_send_lane *lane, uint8_t *ret,
                           size_t room)
{
    struct sb_send_item *item = lane->first;
    size_t len = item->len - item->sent;
    bool is_final = len <= room - SB_FRAGMENT_HEADER_BYTES;
    len = is_final ? len : room - SB_FRAGMENT_HEADER_BYTES;
    ret[0] = (uint8_t)(lane - queue->lanes);
    ret[1] = is_final ? SB_FRAGMENT_FINAL : 0;
    be_store16(ret + 2, (uint16_t)len);
    sb_copy(ret + SB_FRAGMENT_HEADER_BYTES, item->bytes + item->sent, len);
    item->sent += len;
    item->begun = true;
    queue->bytes -= len;
    sb_token_bucket_take(&lane->bytes, (uint32_t)(len + SB_FRAGMENT_HEADER_BYTES));
    if (is_final) {
        sb_token_bucket_take(&lane->messages, 1);
        lane_remove(queue, lane, false);
    }
    return len + SB_FRAGMENT_HEADER_BYTES;
}

/* A small message is not torn over two frames. */
static bool is_better_whole(const struct sb_send_lane *lane, size_t used, size_t room)
{
    size_t rest = lane->first->len - lane->first->sent;
    return used > 0 && rest <= SMALL_BYTES && rest > room - SB_FRAGMENT_HEADER_BYTES;
}

size_t sb_send_queue_take(struct sb_send_queue *queue, uint64_t *ret_ready_us, uint8_t *ret,
                          size_t capacity, uint64_t now_us)
{
    SB_ASSERT(capacity > SB_FRAGMENT_HEADER_BYTES);
    size_t used = 0;
    capacity = capacity < UINT16_MAX ? capacity : UINT16_MAX;
    *ret_ready_us = UINT64_MAX;
    while (capacity - used > SB_FRAGMENT_HEADER_BYTES) {
        struct sb_send_lane *lane = next_lane(queue, ret_ready_us, now_us);
        if (lane == NULL || is_better_whole(lane, used, capacity - used)) {
            break;
        }
        used += put_fragment(queue, lane, ret + used, capacity - used);
    }
    return used;
}
