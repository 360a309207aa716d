/* relay.c: see relay.h.
 *
 *      near --read--> way 0: head -> ... -> tail --due--> write --> far
 *      near <--write-- way 1 <------------------------------ read -- far
 *
 * A chunk is what one read gave; it knows its moment. A way counts the bytes from their reading until they are written, and stops
 * reading at the bound. The end of a connection is a chunk too, so that it keeps its place behind the bytes. Everything but the
 * setters runs on the loop; a setter writes what is wanted under the mutex, and the loop takes it over when it wakes. */
#include "node/relay.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

#include "base/util/assert.h"
#include "base/util/span.h"

#define SCRATCH_BYTES ((size_t)64 * 1024)
#define SEGMENT_BYTES 1448 /* of TCP over Ethernet with time stamps */
#define BACKLOG       128
#define NS_IN_US      UINT64_C(1000)
#define NS_IN_S       UINT64_C(1000000000)
#define PPM           1000000
#define NEVER         UINT64_MAX

struct chunk {
    struct chunk *next;
    struct way *way;
    uint64_t due_ns;
    bool is_end;
    uv_write_t write;
    size_t len;
    uint8_t bytes[];
};

/* One direction of a connection. */
struct way {
    struct connection *connection;
    enum sb_relay_cut flag; /* which cut stops it */
    uv_tcp_t *from, *to;
    struct chunk *head, *tail;
    size_t bytes;     /* read and not yet written */
    uint64_t due_ns;  /* of the newest chunk */
    uint64_t open_ns; /* since when chunks that are due may leave: connected, healed */
    bool is_reading, has_end, is_done;
};

struct connection {
    struct sb_relay *relay;
    struct connection *prev, *next;
    size_t path;
    uv_tcp_t near, far;
    uv_connect_t connect;
    uv_shutdown_t shutdowns[2];
    struct way ways[2];
    enum { HELD, CONNECTING, CONNECTED } state;
    bool is_closing;
    int open_handles;
};

struct path {
    uv_tcp_t listener;
    struct sb_relay *relay;
    uint16_t port, target_port;
    uint64_t free_ns[2]; /* when the wire is free, each way */
    struct sb_relay_quality quality, wanted_quality;
    enum sb_relay_cut cut, wanted_cut;
};

struct sb_relay {
    uv_loop_t loop;
    uv_async_t wake;
    uv_poll_t alarm;
    int alarm_fd;
    uint64_t alarm_ns; /* what the timer is set to; NEVER: not set */
    bool has_thread;
    uv_thread_t thread;
    pthread_mutex_t mutex; /* of the wanted_ members and stop */
    bool stop;
    uint64_t random;
    struct path *paths[SB_RELAY_PATHS_MAX];
    size_t path_count;
    struct connection *connections;
    size_t connection_count;
    uint8_t *scratch;
    atomic_uint_least64_t accepted, carried, lost, late_us_max;
    atomic_size_t queued_max;
};

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

static struct path *path_of(const struct connection *connection)
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

static void close_connection(struct connection *connection)
{
    if (connection->is_closing) {
        return;
    }
    connection->is_closing = true;
    uv_close((uv_handle_t *)&connection->near, on_closed);
    uv_close((uv_handle_t *)&connection->far, on_closed);
}

static void read_on(struct way *way);

/* ---- out ---- */

static void written(struct way *way, size_t len)
{
    way->bytes -= len;
    (void)atomic_fetch_add(&way->connection->relay->carried, len);
    if (!way->connection->is_closing && !way->is_reading && !way->has_end &&
        way->bytes < SB_RELAY_QUEUE_BYTES_MAX / 2) {
        read_on(way);
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct chunk *chunk = write->data;
    struct way *way = chunk->way;
    written(way, chunk->len);
    free(chunk);
    if (status != 0) {
        close_connection(way->connection);
    }
}

/* on_shut: the connection is over when both of its ways are. */
static void on_shut(uv_shutdown_t *request, int status)
{
    struct way *way = request->data;
    struct connection *connection = way->connection;
    way->is_done = true;
    if (status != 0 || (connection->ways[0].is_done && connection->ways[1].is_done)) {
        close_connection(connection);
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
            close_connection(connection);
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
        close_connection(connection);
    }
}

/* pump_way: let out what is due. Returns the moment of what is next; NEVER when nothing is, or the way is shut. */
static uint64_t pump_way(struct way *way)
{
    struct connection *connection = way->connection;
    struct sb_relay *relay = connection->relay;
    while (!connection->is_closing && connection->state == CONNECTED &&
           (path_of(connection)->cut & way->flag) == 0 && way->head != NULL) {
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
    return NEVER;
}

static void set_alarm(struct sb_relay *relay, uint64_t at_ns)
{
    if (at_ns == relay->alarm_ns) {
        return;
    }
    relay->alarm_ns = at_ns;
    struct itimerspec when = {.it_value = {0}};
    if (at_ns != NEVER) {
        when.it_value.tv_sec = (time_t)(at_ns / NS_IN_S);
        when.it_value.tv_nsec = (long)(at_ns % NS_IN_S);
    }
    SB_ASSERT(timerfd_settime(relay->alarm_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0);
}

static void pump(struct sb_relay *relay)
{
    uint64_t next_ns = NEVER;
    for (struct connection *c = relay->connections; c != NULL; c = c->next) {
        for (size_t i = 0; i < 2; i++) {
            uint64_t at_ns = pump_way(&c->ways[i]);
            next_ns = at_ns < next_ns ? at_ns : next_ns;
        }
    }
    set_alarm(relay, next_ns);
}

static void on_alarm(uv_poll_t *handle, int status, int events)
{
    struct sb_relay *relay = handle->data;
    uint64_t expirations;
    (void)status;
    (void)events;
    if (read(relay->alarm_fd, &expirations, sizeof expirations) < 0) {
        return; /* it was set anew meanwhile */
    }
    relay->alarm_ns = NEVER;
    pump(relay);
}

/* ---- in ---- */

static void enter(struct way *way, const void *bytes, size_t len, bool is_end)
{
    struct sb_relay *relay = way->connection->relay;
    struct chunk *chunk = malloc(sizeof *chunk + len);
    if (chunk == NULL) {
        close_connection(way->connection);
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
    *ret_buf = uv_buf_init((char *)way->connection->relay->scratch, SCRATCH_BYTES);
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
    pump(way->connection->relay);
}

static void read_on(struct way *way)
{
    way->is_reading = uv_read_start((uv_stream_t *)way->from, on_room, on_read) == 0;
    if (!way->is_reading) {
        close_connection(way->connection);
    }
}

/* ---- new connections ---- */

static void on_connected(uv_connect_t *request, int status)
{
    struct connection *connection = request->data;
    if (status != 0 || connection->is_closing) {
        close_connection(connection);
        return;
    }
    connection->state = CONNECTED;
    (void)uv_tcp_nodelay(&connection->far, 1);
    connection->ways[0].open_ns = connection->ways[1].open_ns = uv_hrtime();
    read_on(&connection->ways[1]);
    pump(connection->relay);
}

/* connect_far: once the path is whole both ways: a handshake needs both. */
static void connect_far(struct connection *connection)
{
    struct path *path = path_of(connection);
    if (connection->state != HELD || path->cut != SB_RELAY_CUT_NONE || connection->is_closing) {
        return;
    }
    struct sockaddr_in addr;
    SB_ASSERT(uv_ip4_addr("127.0.0.1", path->target_port, &addr) == 0);
    connection->state = CONNECTING;
    connection->connect.data = connection;
    if (uv_tcp_connect(&connection->connect, &connection->far, (const struct sockaddr *)&addr,
                       on_connected) != 0) {
        close_connection(connection);
    }
}

static void init_way(struct connection *connection, size_t i)
{
    uv_tcp_t *ends[2] = {&connection->near, &connection->far};
    connection->ways[i] = (struct way){.connection = connection,
                                       .flag = i == 0 ? SB_RELAY_CUT_FORWARD : SB_RELAY_CUT_BACK,
                                       .from = ends[i],
                                       .to = ends[1 - i]};
}

/* new_connection: NULL when out of memory. Handles are open, so it is freed by close_connection. */
static struct connection *new_connection(struct path *path)
{
    struct sb_relay *relay = path->relay;
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        return NULL;
    }
    connection->relay = relay;
    while (relay->paths[connection->path] != path) {
        connection->path++;
    }
    SB_ASSERT(uv_tcp_init(&relay->loop, &connection->near) == 0);
    SB_ASSERT(uv_tcp_init(&relay->loop, &connection->far) == 0);
    connection->open_handles = 2;
    init_way(connection, 0);
    init_way(connection, 1);
    connection->near.data = &connection->ways[0];
    connection->far.data = &connection->ways[1];
    connection->next = relay->connections;
    if (relay->connections != NULL) {
        relay->connections->prev = connection;
    }
    relay->connections = connection;
    relay->connection_count++;
    return connection;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct path *path = listener->data;
    struct sb_relay *relay = path->relay;
    struct connection *connection = status == 0 ? new_connection(path) : NULL;
    if (connection == NULL) {
        return;
    }
    if (uv_accept(listener, (uv_stream_t *)&connection->near) != 0 ||
        relay->connection_count > SB_RELAY_CONNECTIONS_MAX) {
        close_connection(connection);
        return;
    }
    (void)atomic_fetch_add(&relay->accepted, 1);
    (void)uv_tcp_nodelay(&connection->near, 1);
    read_on(&connection->ways[0]);
    connect_far(connection);
}

/* ---- what others want ---- */

static void heal(struct sb_relay *relay, size_t path)
{
    for (struct connection *c = relay->connections; c != NULL; c = c->next) {
        if (c->path == path) {
            c->ways[0].open_ns = c->ways[1].open_ns = uv_hrtime();
            connect_far(c);
        }
    }
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void close_all(struct sb_relay *relay)
{
    for (struct connection *c = relay->connections; c != NULL; c = c->next) {
        close_connection(c);
    }
    uv_walk(&relay->loop, close_handle, NULL);
}

static void on_wake(uv_async_t *handle)
{
    struct sb_relay *relay = handle->data;
    (void)pthread_mutex_lock(&relay->mutex);
    bool stop = relay->stop;
    for (size_t i = 0; i < relay->path_count; i++) {
        struct path *path = relay->paths[i];
        bool is_healed = path->cut != path->wanted_cut;
        path->quality = path->wanted_quality;
        path->cut = path->wanted_cut;
        if (is_healed) {
            heal(relay, i);
        }
    }
    (void)pthread_mutex_unlock(&relay->mutex);
    if (stop) {
        close_all(relay);
    } else {
        pump(relay);
    }
}

static void loop_main(void *ctx)
{
    struct sb_relay *relay = ctx;
    (void)uv_run(&relay->loop, UV_RUN_DEFAULT);
}

void sb_relay_set_quality(struct sb_relay *relay, size_t path,
                          const struct sb_relay_quality *quality)
{
    SB_ASSERT(path < relay->path_count);
    (void)pthread_mutex_lock(&relay->mutex);
    relay->paths[path]->wanted_quality = *quality;
    (void)pthread_mutex_unlock(&relay->mutex);
    (void)uv_async_send(&relay->wake);
}

void sb_relay_set_cut(struct sb_relay *relay, size_t path, enum sb_relay_cut cut)
{
    SB_ASSERT(path < relay->path_count);
    (void)pthread_mutex_lock(&relay->mutex);
    relay->paths[path]->wanted_cut = cut;
    (void)pthread_mutex_unlock(&relay->mutex);
    (void)uv_async_send(&relay->wake);
}

/* ---- life ---- */

sb_err sb_relay_new(struct sb_relay **ret_relay, uint64_t seed, struct sb_diag *diag)
{
    struct sb_relay *relay = calloc(1, sizeof *relay);
    uint8_t *scratch = malloc(SCRATCH_BYTES);
    if (relay == NULL || scratch == NULL || uv_loop_init(&relay->loop) != 0) {
        free(scratch);
        free(relay);
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    relay->scratch = scratch;
    relay->random = seed;
    relay->alarm_ns = NEVER;
    (void)pthread_mutex_init(&relay->mutex, NULL);
    relay->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (relay->alarm_fd < 0 || uv_async_init(&relay->loop, &relay->wake, on_wake) != 0 ||
        uv_poll_init(&relay->loop, &relay->alarm, relay->alarm_fd) != 0 ||
        uv_poll_start(&relay->alarm, UV_READABLE, on_alarm) != 0) {
        sb_relay_free(relay);
        return sb_fail(diag, SB_E_IO, "the relay's timer cannot be made");
    }
    relay->wake.data = relay;
    relay->alarm.data = relay;
    *ret_relay = relay;
    return SB_OK;
}

static int listen_on(struct path *path, uint16_t port)
{
    struct sockaddr_in addr;
    int len = sizeof addr;
    int err = uv_ip4_addr("127.0.0.1", port, &addr);
    err = err == 0 ? uv_tcp_bind(&path->listener, (const struct sockaddr *)&addr, 0) : err;
    err = err == 0 ? uv_listen((uv_stream_t *)&path->listener, BACKLOG, on_connection) : err;
    err = err == 0 ? uv_tcp_getsockname(&path->listener, (struct sockaddr *)&addr, &len) : err;
    path->port = ntohs(addr.sin_port);
    return err;
}

sb_err sb_relay_add(size_t *ret_path, struct sb_relay *relay, uint16_t listen_port,
                    uint16_t target_port, const struct sb_relay_quality *quality,
                    struct sb_diag *diag)
{
    SB_ASSERT(!relay->has_thread);
    if (relay->path_count == SB_RELAY_PATHS_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "a relay has at most %d paths", SB_RELAY_PATHS_MAX);
    }
    struct path *path = calloc(1, sizeof *path);
    if (path == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    path->relay = relay;
    path->target_port = target_port;
    path->quality = path->wanted_quality = *quality;
    SB_ASSERT(uv_tcp_init(&relay->loop, &path->listener) == 0);
    path->listener.data = path;
    relay->paths[relay->path_count] = path;
    *ret_path = relay->path_count++;
    int err = listen_on(path, listen_port);
    if (err != 0) {
        return sb_fail(diag, err == UV_EADDRINUSE ? SB_E_BUSY : SB_E_IO, "127.0.0.1:%u: %s",
                       listen_port, uv_strerror(err));
    }
    return SB_OK;
}

sb_err sb_relay_start(struct sb_relay *relay, struct sb_diag *diag)
{
    SB_ASSERT(!relay->has_thread);
    if (uv_thread_create(&relay->thread, loop_main, relay) != 0) {
        return sb_fail(diag, SB_E_INTERNAL, "the relay's thread cannot be made");
    }
    relay->has_thread = true;
    return SB_OK;
}

void sb_relay_free(struct sb_relay *relay)
{
    if (relay == NULL) {
        return;
    }
    if (relay->has_thread) {
        (void)pthread_mutex_lock(&relay->mutex);
        relay->stop = true;
        (void)pthread_mutex_unlock(&relay->mutex);
        (void)uv_async_send(&relay->wake);
        (void)uv_thread_join(&relay->thread);
    } else {
        close_all(relay);
        (void)uv_run(&relay->loop, UV_RUN_DEFAULT);
    }
    SB_ASSERT(uv_loop_close(&relay->loop) == 0);
    if (relay->alarm_fd >= 0) {
        (void)close(relay->alarm_fd);
    }
    for (size_t i = 0; i < relay->path_count; i++) {
        free(relay->paths[i]);
    }
    (void)pthread_mutex_destroy(&relay->mutex);
    free(relay->scratch);
    free(relay);
}

uint16_t sb_relay_port(const struct sb_relay *relay, size_t path)
{
    SB_ASSERT(path < relay->path_count);
    return relay->paths[path]->port;
}

struct sb_relay_counters sb_relay_counters(struct sb_relay *relay)
{
    return (struct sb_relay_counters){.connections = atomic_load(&relay->accepted),
                                      .bytes = atomic_load(&relay->carried),
                                      .lost_segments = atomic_load(&relay->lost),
                                      .late_us_max = atomic_load(&relay->late_us_max),
                                      .queued_bytes_max = atomic_load(&relay->queued_max)};
}
