/* metrics.c: Prometheus text format 0.0.4 of a snapshot; see metrics.h.
 *
 *     # HELP samebit_fsync_seconds syncs of the journal
 *     # TYPE samebit_fsync_seconds histogram
 *     samebit_fsync_seconds_bucket{le="0.0001"} 12                counts of all values up to the bound
 *     samebit_fsync_seconds_sum 0.004321
 *     samebit_fsync_seconds_count 40 */
#include "rpc/metrics.h"

#include <inttypes.h>
#include <stdio.h>

#define PREFIX "samebit_"
/* Largest text of a number of seconds. */
#define SECONDS_BYTES 32
/* Labels of a sample without braces: `step="Prevote"`. */
#define LABELS_BYTES 128

static const uint64_t bounds_us[SB_RPC_BUCKET_COUNT] = {SB_RPC_BUCKETS_US};
static const char *const step_names[SB_RPC_STEP_COUNT] = {
    [SB_RPC_STEP_NEW_HEIGHT] = "NewHeight",
    [SB_RPC_STEP_PROPOSE] = "Propose",
    [SB_RPC_STEP_PREVOTE] = "Prevote",
    [SB_RPC_STEP_PRECOMMIT] = "Precommit",
};

void sb_rpc_histogram_add(struct sb_rpc_histogram *histogram, uint64_t us)
{
    histogram->count++;
    histogram->sum_us += us;
    for (size_t i = 0; i < SB_RPC_BUCKET_COUNT; i++) {
        if (us <= bounds_us[i]) {
            histogram->buckets[i]++;
            return;
        }
    }
}

/* seconds: microseconds as a decimal without trailing zeros. */
static const char *seconds(char ret[SECONDS_BYTES], uint64_t us)
{
    int len = snprintf(ret, SECONDS_BYTES, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
    while (ret[len - 1] == '0') {
        len--;
    }
    len -= ret[len - 1] == '.' ? 1 : 0;
    ret[len] = '\0';
    return ret;
}

static void put_head(struct sb_buf *out, const char *name, const char *type, const char *help)
{
    sb_buf_addf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void put_number(struct sb_buf *out, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    put_head(out, name, type, help);
    sb_buf_addf(out, PREFIX "%s %" PRIu64 "\n", name, value);
}

static void put_seconds(struct sb_buf *out, const char *name, const char *type, const char *help,
                        uint64_t us)
{
    char text[SECONDS_BYTES];
    put_head(out, name, type, help);
    sb_buf_addf(out, PREFIX "%s %s\n", name, seconds(text, us));
}

/* put_samples: of a histogram; labels may be empty. */
static void put_samples(struct sb_buf *out, const char *name, const char *labels,
                        const struct sb_rpc_histogram *h)
{
    char text[SECONDS_BYTES];
    const char *comma = labels[0] != '\0' ? "," : "";
    uint64_t below = 0;
    for (size_t i = 0; i < SB_RPC_BUCKET_COUNT; i++) {
        below += h->buckets[i];
        sb_buf_addf(out, PREFIX "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, labels, comma,
                    seconds(text, bounds_us[i]), below);
    }
    const char *open = labels[0] != '\0' ? "{" : "";
    const char *close = labels[0] != '\0' ? "}" : "";
    sb_buf_addf(out, PREFIX "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma,
                h->count);
    sb_buf_addf(out, PREFIX "%s_sum%s%s%s %s\n", name, open, labels, close,
                seconds(text, h->sum_us));
    sb_buf_addf(out, PREFIX "%s_count%s%s%s %" PRIu64 "\n", name, open, labels, close, h->count);
}

/* One function for each kind of metrics.def. */
static void put_GAUGE(struct sb_buf *out, const char *name, const char *help, const uint64_t *value)
{
    put_number(out, name, "gauge", help, *value);
}

static void put_COUNTER(struct sb_buf *out, const char *name, const char *help,
                        const uint64_t *value)
{
    put_number(out, name, "counter", help, *value);
}

static void put_SECONDS_GAUGE(struct sb_buf *out, const char *name, const char *help,
                              const uint64_t *us)
{
    put_seconds(out, name, "gauge", help, *us);
}

static void put_SECONDS_COUNTER(struct sb_buf *out, const char *name, const char *help,
                                const uint64_t *us)
{
    put_seconds(out, name, "counter", help, *us);
}

static void put_HISTOGRAM(struct sb_buf *out, const char *name, const char *help,
                          const struct sb_rpc_histogram *histogram)
{
    put_head(out, name, "histogram", help);
    put_samples(out, name, "", histogram);
}

static void put_STEPS(struct sb_buf *out, const char *name, const char *help,
                      const sb_rpc_STEPS *steps)
{
    put_head(out, name, "histogram", help);
    for (size_t i = 0; i < SB_RPC_STEP_COUNT; i++) {
        char labels[LABELS_BYTES];
        (void)snprintf(labels, sizeof labels, "step=\"%s\"", step_names[i]);
        put_samples(out, name, labels, &(*steps)[i]);
    }
}

/* put_traffic: one family of bytes by peer and channel. */
static void put_traffic(struct sb_buf *out, const struct sb_rpc_metrics *m, bool is_sent)
{
    const char *name = is_sent ? "p2p_peer_send_bytes_total" : "p2p_peer_receive_bytes_total";
    put_head(out, name, "counter",
             is_sent ? "bytes sent to a peer on a channel"
                     : "bytes received from a peer on a channel");
    for (size_t i = 0; i < m->peer_count; i++) {
        const uint64_t *bytes = is_sent ? m->peers[i].sent : m->peers[i].received;
        for (size_t c = 0; c < m->channel_count; c++) {
            sb_buf_addf(out, PREFIX "%s{peer_id=\"%s\",chID=\"%s\"} %" PRIu64 "\n", name,
                        m->peers[i].id, m->channel_names[c], bytes[c]);
        }
    }
}

static void put_peers(struct sb_buf *out, const struct sb_rpc_metrics *m)
{
    if (m->peer_count == 0) {
        return;
    }
    put_traffic(out, m, false);
    put_traffic(out, m, true);
    put_head(out, "p2p_peer_pending_send_bytes", "gauge", "bytes that wait to be sent to a peer");
    for (size_t i = 0; i < m->peer_count; i++) {
        sb_buf_addf(out, PREFIX "p2p_peer_pending_send_bytes{peer_id=\"%s\"} %" PRIu64 "\n",
                    m->peers[i].id, m->peers[i].queued_bytes);
    }
}

void sb_rpc_metrics_render(struct sb_buf *out, const struct sb_rpc_metrics *metrics)
{
    put_head(out, "build_info", "gauge", "version of the program");
    sb_buf_addf(out, PREFIX "build_info{version=\"%s\"} 1\n",
                metrics->version != NULL ? metrics->version : "");
#define SB_METRIC(kind, name, help) put_##kind(out, #name, help, &metrics->name);
#include "rpc/metrics.def"
#undef SB_METRIC
    put_peers(out, metrics);
}
