/* relay.h: a relay of TCP connections that behaves like a wire of some length: delay, jitter, loss, bandwidth, cuts.
 *
 *      dialler --TCP--> 127.0.0.1:port | path: [queue --> clock --> wire] each way | --TCP--> 127.0.0.1:target
 *
 * It stands between nodes on one machine, for `samebit localnet --delay`, tests and benches, where the kernel offers no such thing.
 * A path is one listening port before one target; all of its connections share its quality. Each way has its own clock:
 *
 *     leaves  = max(now, the wire is free)      the wire is busy for bytes / bytes_per_s
 *     arrives = leaves + delay + jitter         never before what was sent earlier on the same connection
 *
 * Loss. TCP hides loss as time: each 1448 bytes are lost with the chance of loss_ppm, and what is lost, with all behind it, arrives
 * one retransmission later (2 * delay + SB_RELAY_RETRANSMIT_MIN_US, as a kernel waits).
 * Cuts. What enters a cut path waits, in each direction that is cut, and so do ends of connections and new connections; it goes on when
 * the path heals. So a partition looks as it does between machines: nothing is reset, nothing comes.
 *
 * Bounds: SB_RELAY_PATHS_MAX paths, SB_RELAY_CONNECTIONS_MAX connections, SB_RELAY_QUEUE_BYTES_MAX bytes each way of a connection; a
 * full queue stops reading, so that the sender feels it. Moments are held with a timer of nanoseconds: delivery is late by what
 * the scheduler adds, and never early. The relay has a thread of its own; every function may be called from any other. */
#ifndef SB_NODE_RELAY_H
#define SB_NODE_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util/err.h"

#define SB_RELAY_PATHS_MAX         1024
#define SB_RELAY_CONNECTIONS_MAX   512
#define SB_RELAY_QUEUE_BYTES_MAX   ((size_t)4 << 20)
#define SB_RELAY_RETRANSMIT_MIN_US 200000

struct sb_relay;

/* How a path carries bytes, the same both ways. All zero: as fast as it can. */
struct sb_relay_quality {
    uint64_t delay_us;    /* one way */
    uint64_t jitter_us;   /* added to the delay: evenly spread in [0, jitter_us] */
    uint32_t loss_ppm;    /* chance that a segment is lost, in millionths */
    uint64_t bytes_per_s; /* 0: no limit */
};

/* Which ways of a path are cut; a set of flags. */
enum sb_relay_cut {
    SB_RELAY_CUT_NONE = 0,
    SB_RELAY_CUT_FORWARD = 1, /* from who dialled to the target */
    SB_RELAY_CUT_BACK = 2,
    SB_RELAY_CUT_BOTH = 3,
};

struct sb_relay_counters {
    uint64_t connections;    /* accepted since the start */
    uint64_t bytes;          /* carried, both ways */
    uint64_t lost_segments;  /* that cost a retransmission */
    uint64_t late_us_max;    /* how much later than its moment something was delivered, at worst */
    size_t queued_bytes_max; /* the fullest that a queue was */
};

/* sb_relay_new: a relay without paths; seed decides jitter and loss. SB_E_NOMEM, SB_E_IO. */
sb_err sb_relay_new(struct sb_relay **ret_relay, uint64_t seed, struct sb_diag *diag) SB_MUST_USE;
/* sb_relay_add: a path to 127.0.0.1:target_port, before start. listen_port 0 lets the system choose: see sb_relay_port.
 * SB_E_LIMIT, SB_E_BUSY (the port is taken), SB_E_IO. */
sb_err sb_relay_add(size_t *ret_path, struct sb_relay *relay, uint16_t listen_port,
                    uint16_t target_port, const struct sb_relay_quality *quality,
                    struct sb_diag *diag) SB_MUST_USE;
/* sb_relay_start: begin to carry; once. */
sb_err sb_relay_start(struct sb_relay *relay, struct sb_diag *diag) SB_MUST_USE;
/* sb_relay_free: end all connections and the thread. NULL is allowed. */
void sb_relay_free(struct sb_relay *relay);

uint16_t sb_relay_port(const struct sb_relay *relay, size_t path);
/* sb_relay_set_quality: for what enters from now on. Both setters return when the loop has taken it over: a moment. */
void sb_relay_set_quality(struct sb_relay *relay, size_t path,
                          const struct sb_relay_quality *quality);
/* sb_relay_set_cut: cut, or heal with SB_RELAY_CUT_NONE. */
void sb_relay_set_cut(struct sb_relay *relay, size_t path, enum sb_relay_cut cut);
struct sb_relay_counters sb_relay_counters(struct sb_relay *relay);

#endif
