/* relay.c: see relay.h and relay_impl.h.
 *
 *      listener of a path --accept--> connection, held until the path is whole --connect--> two ways (relay_way.c)
 *
 * Everything but the setters runs on the loop; a setter writes what is wanted under the mutex, wakes the loop and waits until that has
 * taken it over, so that what its caller sends next meets the new state. */
#include "node/relay.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/util/assert.h"
#include "node/relay_impl.h"

#define BACKLOG 128

/* ---- new connections ---- */

static void on_connected(uv_connect_t *request, int status)
{
    struct connection *connection = request->data;
    if (status != 0 || connection->is_closing) {
        sb_relay_close_connection(connection);
        return;
    }
    connection->state = CONNECTED;
    (void)uv_tcp_nodelay(&connection->far, 1);
    connection->ways[0].open_ns = connection->ways[1].open_ns = uv_hrtime();
    sb_relay_read_on(&connection->ways[1]);
    sb_relay_pump(connection->relay);
}

/* connect_far: once the path is whole both ways: a handshake needs both. */
static void connect_far(struct connection *connection)
{
    struct path *path = sb_relay_path_of(connection);
    if (connection->state != HELD || path->cut != SB_RELAY_CUT_NONE || connection->is_closing) {
        return;
    }
    struct sockaddr_in addr;
    SB_ASSERT(uv_ip4_addr("127.0.0.1", path->target_port, &addr) == 0);
    connection->state = CONNECTING;
    connection->connect.data = connection;
    if (uv_tcp_connect(&connection->connect, &connection->far, (const struct sockaddr *)&addr,
                       on_connected) != 0) {
        sb_relay_close_connection(connection);
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

/* new_connection: NULL when out of memory. Handles are open, so it is freed by sb_relay_close_connection. */
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
        sb_relay_close_connection(connection);
        return;
    }
    (void)atomic_fetch_add(&relay->accepted, 1);
    (void)uv_tcp_nodelay(&connection->near, 1);
    sb_relay_read_on(&connection->ways[0]);
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
        sb_relay_close_connection(c);
    }
    uv_walk(&relay->loop, close_handle, NULL);
}

static void on_wake(uv_async_t *handle)
{
    struct sb_relay *relay = handle->data;
    (void)pthread_mutex_lock(&relay->mutex);
    bool stop = relay->stop;
    relay->wishes_taken = relay->wishes;
    (void)pthread_cond_broadcast(&relay->taken);
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
        sb_relay_pump(relay);
    }
}

static void loop_main(void *ctx)
{
    struct sb_relay *relay = ctx;
    (void)uv_run(&relay->loop, UV_RUN_DEFAULT);
}

/* wish: under the mutex: wait until the loop has taken over what is wanted now. Before the start it does so when it begins. */
static void wish(struct sb_relay *relay)
{
    uint64_t number = ++relay->wishes;
    (void)uv_async_send(&relay->wake);
    while (relay->has_thread && relay->wishes_taken < number) {
        (void)pthread_cond_wait(&relay->taken, &relay->mutex);
    }
}

void sb_relay_set_quality(struct sb_relay *relay, size_t path,
                          const struct sb_relay_quality *quality)
{
    SB_ASSERT(path < relay->path_count);
    (void)pthread_mutex_lock(&relay->mutex);
    relay->paths[path]->wanted_quality = *quality;
    wish(relay);
    (void)pthread_mutex_unlock(&relay->mutex);
}

void sb_relay_set_cut(struct sb_relay *relay, size_t path, enum sb_relay_cut cut)
{
    SB_ASSERT(path < relay->path_count);
    (void)pthread_mutex_lock(&relay->mutex);
    relay->paths[path]->wanted_cut = cut;
    wish(relay);
    (void)pthread_mutex_unlock(&relay->mutex);
}

/* ---- life ---- */

sb_err sb_relay_new(struct sb_relay **ret_relay, uint64_t seed, struct sb_diag *diag)
{
    struct sb_relay *relay = calloc(1, sizeof *relay);
    uint8_t *scratch = malloc(SB_RELAY_SCRATCH_BYTES);
    if (relay == NULL || scratch == NULL || uv_loop_init(&relay->loop) != 0) {
        free(scratch);
        free(relay);
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    relay->scratch = scratch;
    relay->random = seed;
    relay->alarm_ns = SB_RELAY_NEVER;
    (void)pthread_mutex_init(&relay->mutex, NULL);
    (void)pthread_cond_init(&relay->taken, NULL);
    relay->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (relay->alarm_fd < 0 || uv_async_init(&relay->loop, &relay->wake, on_wake) != 0 ||
        uv_poll_init(&relay->loop, &relay->alarm, relay->alarm_fd) != 0 ||
        uv_poll_start(&relay->alarm, UV_READABLE, sb_relay_on_alarm) != 0) {
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
    (void)pthread_cond_destroy(&relay->taken);
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
