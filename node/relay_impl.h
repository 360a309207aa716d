/* relay_impl.h: the inside of a relay, for its own two files alone.
 *
 *      relay.c      paths, new connections, what other threads want, life
 *      relay_way.c  a connection's two ways: bytes in, their moment, bytes out, and its end
 *
 * Everything belongs to the relay's thread, but the wanted_ members, stop and wishes: they are guarded by the mutex. */
#ifndef SB_NODE_RELAY_IMPL_H
#define SB_NODE_RELAY_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "node/relay.h"

#define SB_RELAY_SCRATCH_BYTES ((size_t)64 * 1024)
#define SB_RELAY_NEVER         UINT64_MAX

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
    uint64_t alarm_ns; /* what the timer is set to; SB_RELAY_NEVER: not set */
    bool has_thread;
    uv_thread_t thread;
    pthread_mutex_t mutex; /* of the wanted_ members, stop and wishes */
    pthread_cond_t taken;  /* the loop took over what is wanted */
    uint64_t wishes, wishes_taken;
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

/* ---- relay_way.c ---- */

struct path *sb_relay_path_of(const struct connection *connection);
/* sb_relay_read_on: read what comes into a way. sb_relay_pump: write all that is due, and set the alarm for what is not. */
void sb_relay_read_on(struct way *way);
void sb_relay_pump(struct sb_relay *relay);
/* sb_relay_on_alarm: of the timer: something is due. */
void sb_relay_on_alarm(uv_poll_t *handle, int status, int events);
/* sb_relay_close_connection: both its sockets; it is freed when they are closed. */
void sb_relay_close_connection(struct connection *connection);

#endif
