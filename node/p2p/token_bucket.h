/* token_bucket.h: a rate with a burst, in integers: `rate` tokens a second, at most `burst` of them saved up.
 *
 * A bucket may go into debt by one taking: it is ready while it holds anything, and a taking may be larger than what is there. So one
 * large message always gets through, and the long-run rate still holds. Time is handed in, microseconds, and never goes back. */
#ifndef SB_NODE_P2P_TOKEN_BUCKET_H
#define SB_NODE_P2P_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#define SB_TOKEN_SCALE                                                                             \
    1000000 /* a token in units of the level: tokens a second times microseconds */
#define SB_TOKEN_ELAPSED_MAX (UINT64_C(60) * 1000000)

struct sb_token_bucket {
    int64_t level; /* tokens times SB_TOKEN_SCALE; below zero: in debt */
    int64_t rate;  /* tokens a second, 1 to 2^32 */
    int64_t burst; /* tokens, 1 to 2^32 */
    uint64_t at_us;
};

static inline struct sb_token_bucket sb_token_bucket_full(uint32_t rate, uint32_t burst,
                                                          uint64_t now_us)
{
    return (struct sb_token_bucket){
        .level = (int64_t)burst * SB_TOKEN_SCALE, .rate = rate, .burst = burst, .at_us = now_us};
}

/* sb_token_bucket_ready: whether something may be taken now. */
static inline bool sb_token_bucket_ready(struct sb_token_bucket *bucket, uint64_t now_us)
{
    uint64_t elapsed = now_us > bucket->at_us ? now_us - bucket->at_us : 0;
    elapsed = elapsed < SB_TOKEN_ELAPSED_MAX ? elapsed : SB_TOKEN_ELAPSED_MAX;
    bucket->at_us = now_us > bucket->at_us ? now_us : bucket->at_us;
    bucket->level += (int64_t)elapsed * bucket->rate;
    int64_t most = bucket->burst * SB_TOKEN_SCALE;
    bucket->level = bucket->level < most ? bucket->level : most;
    return bucket->level > 0;
}

/* sb_token_bucket_take: count tokens off a bucket that was ready. */
static inline void sb_token_bucket_take(struct sb_token_bucket *bucket, uint32_t tokens)
{
    bucket->level -= (int64_t)tokens * SB_TOKEN_SCALE;
}

/* sb_token_bucket_ready_at: when it will be ready, if nothing is taken meanwhile. */
static inline uint64_t sb_token_bucket_ready_at(const struct sb_token_bucket *bucket)
{
    return bucket->level > 0 ? bucket->at_us
                             : bucket->at_us + (uint64_t)(-bucket->level / bucket->rate) + 1;
}

#endif
