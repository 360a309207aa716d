/* metrics.h: what /metrics tells: a snapshot of numbers that the node fills, and its rendering for Prometheus.
 *
 *      node --> struct sb_rpc_metrics (a field for each line of metrics.def) --> text, version 0.0.4
 *
 * Numbers are integers throughout; seconds are kept as microseconds and written as decimals. */
#ifndef SB_RPC_METRICS_H
#define SB_RPC_METRICS_H

#include <stdint.h>

#include "base/util/buf.h"

/* Upper bounds of the buckets of all histograms, microseconds. */
#define SB_RPC_BUCKETS_US                                                                          \
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000,         \
        2500000, 5000000, 10000000, 30000000
#define SB_RPC_BUCKET_COUNT 17

struct sb_rpc_histogram {
    uint64_t buckets
        [SB_RPC_BUCKET_COUNT]; /* each value in its one bucket; those above the last in none */
    uint64_t count, sum_us;
};

/* Steps of a height, as CometBFT names them. */
enum sb_rpc_step {
    SB_RPC_STEP_NEW_HEIGHT, /* from a commit to the next height's first round */
    SB_RPC_STEP_PROPOSE,
    SB_RPC_STEP_PREVOTE,
    SB_RPC_STEP_PRECOMMIT,
    SB_RPC_STEP_COUNT
};

/* Traffic with one peer. */
struct sb_rpc_peer_metrics {
    const char *id;                  /* hexadecimal; [0-9a-f] only */
    const uint64_t *sent, *received; /* bytes, one for each channel */
    uint64_t queued_bytes;
};

typedef uint64_t sb_rpc_GAUGE, sb_rpc_COUNTER, sb_rpc_SECONDS_GAUGE, sb_rpc_SECONDS_COUNTER;
typedef struct sb_rpc_histogram sb_rpc_HISTOGRAM;
typedef struct sb_rpc_histogram sb_rpc_STEPS[SB_RPC_STEP_COUNT];

struct sb_rpc_metrics {
#define SB_METRIC(kind, name, help) sb_rpc_##kind name;
#include "rpc/metrics.def"
#undef SB_METRIC
    const char *version; /* of the program; no quotes or backslashes */
    const struct sb_rpc_peer_metrics *peers;
    size_t peer_count;
    const char *const *channel_names;
    size_t channel_count;
};

/* sb_rpc_histogram_add: count one value. */
void sb_rpc_histogram_add(struct sb_rpc_histogram *histogram, uint64_t us);
/* sb_rpc_metrics_render: append the text form. */
void sb_rpc_metrics_render(struct sb_buf *out, const struct sb_rpc_metrics *metrics);

#endif
