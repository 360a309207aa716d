/* metrics_impl.h: the inside of metrics.h, shared by metrics.c (life, questions), metrics_watch.c (what is seen on the loop),
 * metrics_dump.c (samebit_consensusState) and disk_meter.c. */
#ifndef SB_NODE_METRICS_IMPL_H
#define SB_NODE_METRICS_IMPL_H

#include <pthread.h>

#include "node/metrics.h"

struct sb_disk_meter {
    struct sb_journal_disk inner;
    pthread_mutex_t lock;
    struct sb_rpc_histogram syncs;
    uint64_t bytes;
};

/* Who was present at a height, as far as blocks tell: its commit in the block after, and late precommits in the one after that. */
struct sb_metrics_presence {
    uint64_t height; /* 0: none */
    size_t count;
    bool present[SB_VALIDATORS_MAX];
};

struct sb_metrics {
    struct sb_metrics_options options;
    struct sb_p2p *p2p;
    struct sb_tx_gossip *tx_gossip;
    uint64_t started_at; /* height at which this program began */

    /* loop only */
    struct sb_bft_status last; /* as of the observation before */
    bool last_decided;
    uint64_t step_begun_us, round_begun_us;
    uint64_t quorum_height, quorum_ms; /* when a quorum of prevotes was seen, Unix time */
    struct sb_arena arena;             /* of one block */
    struct sb_metrics_presence before; /* of the height before the head's */

    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t looked;
    bool has_observed;
    struct sb_replica_status status;
    uint64_t head_seen_us; /* when the head came, or the program began; monotonic */
    uint64_t
        voted_height; /* the last in which this node's validator voted, or could not yet have */
    struct sb_rpc_metrics seen; /* what events tell; the rest is gathered */
    char failed[256], halted[256];
    uint64_t dumps_asked, dumps_made;
    struct sb_buf dump; /* JSON text */
};

/* metrics_watch.c */
/* sb_metrics_on_head: subscriber of the chain. */
void sb_metrics_on_head(void *ctx, const struct sb_chain_event *event);
/* sb_metrics_read_set: the validators of a height, in the arena, and the power of this node's among them; nothing when it cannot be read. */
int64_t sb_metrics_read_set(struct sb_validator_set *ret_set, struct sb_metrics *metrics,
                            uint64_t height);
/* metrics_dump.c */
/* sb_metrics_make_dump: write the loop's part of the consensus state. On the loop, under the lock. */
void sb_metrics_make_dump(struct sb_metrics *metrics, const struct sb_replica *replica);
/* disk_meter.c */
void sb_disk_meter_read(struct sb_disk_meter *meter, struct sb_rpc_histogram *ret_syncs,
                        uint64_t *ret_bytes);
/* sb_metrics_wall_ms: Unix time. */
uint64_t sb_metrics_wall_ms(void);
/* sb_metrics_monotonic_us: since some moment. */
uint64_t sb_metrics_monotonic_us(void);

#endif
