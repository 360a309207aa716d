/* relay_way.c: the two ways of a relayed connection: see relay_impl.h.
 *
 *      near --read--> way 0: head -> ... -> tail --due--> write --> far
 *      near <--write-- way 1 <------------------------------ read -- far
 *
 * A chunk is what one read gave; it knows its moment. A way counts the bytes from their reading until they are written, and stops
 * reading at the bound. The end of a connection is a chunk too, so that it keeps its place behind the bytes. */
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/util/assert.h"
#include "base/util/span.h"
#include "node/relay_impl.h"

#define SEGMENT_BYTES 1448 /* of TCP over Ethernet with time stamps */
#define NS_IN_US      UINT64_C(1000)
#define NS_IN_S       UINT64_C(1000000000)
#define PPM           1000000

/* ---- chance and time ---- */

/* splitmix64 */
static uint64_t draw(struct sb_relay *relay)
{
    relay->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = relay->random;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool loses(struct sb_relay *relay, const struct sb_relay_quality *quality, size_t len)
{
    for (size_t at = 0; quality->loss_ppm != 0 && at < len; at += SEGMENT_BYTES) {
        if (draw(relay) % PPM < quality->loss_ppm) {
            return true;
        }
    }
    return false;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* moment_ns: when len bytes that enter a way now come out of it. */
static uint64_t moment_ns(struct sb_relay *relay, struct way *way, size_t len)
{
    struct path *path = relay->paths[way->connection->path];
    const struct sb_relay_quality *q = &path->quality;
    uint64_t *free_ns = &path->free_ns[way->flag == SB_RELAY_CUT_BACK];
    uint64_t leaves = later(uv_hrtime(), *free_ns);
    if (q->bytes_per_s != 0) {
        leaves += (uint64_t)len * NS_IN_S / q->bytes_per_s;
        *free_ns = leaves;
    }
    uint64_t us = q->delay_us + (q->jitter_us != 0 ? draw(relay) % (q->jitter_us + 1) : 0);
    if (loses(relay, q, len)) {
        (void)atomic_fetch_add(&relay->lost, 1);
        us += 2 * q->delay_us + SB_RELAY_RETRANSMIT_MIN_US;
    }
    way->due_ns = later(leaves + us * NS_IN_US, way->due_ns);
    return way->due_ns;
}

/* ---- connections ---- */

struct path *sb_relay_path_of(const struct connection *connection)
{
    return connection->relay->paths[connection->path];
}

static void free_chunks(struct way *way)
{
    while (way->head != NULL) {
        struct chunk *chunk = way->head;
        way->head = chunk->next;
        free(chunk);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = ((struct way *)handle->data)->connection;
    if (--connection->open_handles > 0) {
        return;
    }
    free_chunks(&connection->ways[0]);
    free_chunks(&connection->ways[1]);
    connection->relay->connection_count--;
    *(connection->prev != NULL ? &connection->prev->next : &connection->relay->connections) =
        connection->next;
    if (connection->next != NULL) {
        connection->next->prev = connection->prev;
    }
    free(connection);
}

void sb_relay_close_connection(struct connection *connection)
{
    if (connection->is_closing) {
        return;
    }
    connection->is_closing = true;
    uv_close((uv_handle_t *)&connection->near, on_closed);
    uv_close((uv_handle_t *)&connection->far, on_closed);
}

/* ---- out ---- */

static void written(struct way *way, size_t len)
{
    way->bytes -= len;
    (void)atomic_fetch_add(&way->connection->relay->carried, len);
    if (!way->connection->is_closing && !way->is_reading && !way->has_end &&
        way->bytes < SB_RELAY_QUEUE_BYTES_MAX / 2) {
        sb_relay_read_on(way);
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct chunk *chunk = write->data;
    struct way *way = chunk->way;
    written(way, chunk->len);
    free(chunk);
    if (status != 0) {
        sb_relay_close_connection(way->connection);
    }
}

/* on_shut: the connection is over when both of its ways are. */
static void on_shut(uv_shutdown_t *request, int status)
{
    struct way *way = request->data;
    struct connection *connection = way->connection;
    way->is_done = true;
    if (status != 0 || (connection->ways[0].is_done && connection->ways[1].is_done)) {
        sb_relay_close_connection(connection);
    }
}

static void deliver_take(struct chunk *chunk)
{
    struct way *way = chunk->way;
    struct connection *connection = way->connection;
    uv_stream_t *to = (uv_stream_t *)way->to;
    if (chunk->is_end) {
        uv_shutdown_t *request = &connection->shutdowns[way == &connection->ways[1]];
        request->data = way;
        free(chunk);
        if (uv_shutdown(request, to, on_shut) != 0) {
            sb_relay_close_connection(connection);
        }
        return;
    }
    /* Usually the kernel takes all at once, and no callback is needed. */
    uv_buf_t buf = uv_buf_init((char *)chunk->bytes, (unsigned)chunk->len);
    int sent = uv_stream_get_write_queue_size(to) == 0 ? uv_try_write(to, &buf, 1) : 0;
    if (sent == (int)chunk->len) {
        written(way, chunk->len);
        free(chunk);
        return;
    }
    if (sent > 0) {
        buf.base += sent;
        buf.len -= (size_t)sent;
    }
    chunk->write.data = chunk;
    if (uv_write(&chunk->write, to, &buf, 1, on_written) != 0) {
        free(chunk);
        sb_relay_close_connection(connection);
    }
}

/* pump_way: let out what is due. Returns the moment of what is next; SB_RELAY_NEVER when nothing is, or the way is shut. */
static uint64_t pump_way(struct way *way)
{
    struct connection *connection = way->connection;
    struct sb_relay *relay = connection->relay;
    while (!connection->is_closing && connection->state == CONNECTED &&
           (sb_relay_path_of(connection)->cut & way->flag) == 0 && way->head != NULL) {
        struct chunk *chunk = way->head;
        uint64_t now = uv_hrtime();
        if (chunk->due_ns > now) {
            return chunk->due_ns;
        }
        uint64_t late_us = (now - later(chunk->due_ns, way->open_ns)) / NS_IN_US;
        if (late_us > atomic_load(&relay->late_us_max)) {
            atomic_store(&relay->late_us_max, late_us);
        }
        way->head = chunk->next;
        way->tail = way->head == NULL ? NULL : way->tail;
        deliver_take(chunk);
    }
    return SB_RELAY_NEVER;
}

static void set_alarm(struct sb_relay *relay, uint64_t at_ns)
{
    if (at_ns == relay->alarm_ns) {
        return;
    }
    relay->alarm_ns = at_ns;
    struct itimerspec when = {.it_value = {0}};
    if (at_ns != SB_RELAY_NEVER) {
        when.it_value.tv_sec = (time_t)(at_ns / NS_IN_S);
        when.it_value.tv_nsec = (long)(at_ns % NS_IN_S);
    }
    SB_ASSERT(timerfd_settime(relay->alarm_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0);
}

void sb_relay_pump(struct sb_relay *relay)
{
    uint64_t next_ns = SB_RELAY_NEVER;
    for (struct connection *c = relay->connections; c != NULL; c = c->next) {
        for (size_t i = 0; i < 2; i++) {
            uint64_t at_ns = pump_way(&c->ways[i]);
            next_ns = at_ns < next_ns ? at_ns : next_ns;
        }
    }
    set_alarm(relay, next_ns);
}

void sb_relay_on_alarm(uv_poll_t *handle, int status, int events)
{
    struct sb_relay *relay = handle->data;
    uint64_t expirations;
    (void)status;
    (void)events;
    if (read(relay->alarm_fd, &expirations, sizeof expirations) < 0) {
        return; /* it was set anew meanwhile */
    }
    relay->alarm_ns = SB_RELAY_NEVER;
    sb_relay_pump(relay);
}

/* ---- in ---- */

static void enter(struct way *way, const void *bytes, size_t len, bool is_end)
{
    struct sb_relay *relay = way->connection->relay;
    struct chunk *chunk = malloc(sizeof *chunk + len);
    if (chunk == NULL) {
        sb_relay_close_connection(way->connection);
        return;
    }
    chunk->next = NULL;
    chunk->way = way;
    chunk->is_end = is_end;
    chunk->len = len;
    chunk->due_ns = moment_ns(relay, way, len);
    sb_copy(chunk->bytes, bytes, len);
    if (way->tail != NULL) {
        way->tail->next = chunk;
    } else {
        way->head = chunk;
    }
    way->tail = chunk;
    way->bytes += len;
    if (way->bytes > atomic_load(&relay->queued_max)) {
        atomic_store(&relay->queued_max, way->bytes);
    }
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    const struct way *way = handle->data;
    (void)suggested;
    *ret_buf = uv_buf_init((char *)way->connection->relay->scratch, SB_RELAY_SCRATCH_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct way *way = stream->data;
    if (got == 0) {
        return;
    }
    bool is_end = got < 0;
    way->has_end = is_end;
    enter(way, is_end ? NULL : buf->base, is_end ? 0 : (size_t)got, is_end);
    if (way->has_end || way->bytes >= SB_RELAY_QUEUE_BYTES_MAX) {
        (void)uv_read_stop(stream);
        way->is_reading = false;
    }
    sb_relay_pump(way->connection->relay);
}

void sb_relay_read_on(struct way *way)
{
    way->is_reading = uv_read_start((uv_stream_t *)way->from, on_room, on_read) == 0;
    if (!way->is_reading) {
        sb_relay_close_connection(way->connection);
    }
}
