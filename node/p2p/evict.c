/* evict.c: see evict.h. */
#include "node/p2p/evict.h"

#include <stdlib.h>

#include "base/util/assert.h"

/* ---- orders: who is protected comes last; peers by number where nothing else decides ---- */

static int by_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int younger_first(const void *a, const void *b)
{
    const struct sb_evict_peer *x = a, *y = b;
    int order = by_u64(y->up_us, x->up_us);
    return order != 0 ? order : by_u64(y->peer, x->peer);
}

static int farther_first(const void *a, const void *b)
{
    const struct sb_evict_peer *x = a, *y = b;
    int order = by_u64(y->rtt_us, x->rtt_us);
    return order != 0 ? order : younger_first(a, b);
}

static int staler_tx_first(const void *a, const void *b)
{
    const struct sb_evict_peer *x = a, *y = b;
    int order = by_u64(x->tx_us, y->tx_us);
    return order != 0 ? order : younger_first(a, b);
}

static int staler_consensus_first(const void *a, const void *b)
{
    const struct sb_evict_peer *x = a, *y = b;
    int order = by_u64(x->consensus_us, y->consensus_us);
    return order != 0 ? order : younger_first(a, b);
}

static int by_group(const void *a, const void *b)
{
    const struct sb_evict_peer *x = a, *y = b;
    int order = by_u64(x->group, y->group);
    return order != 0 ? order : younger_first(a, b);
}

static void sort(struct sb_evict_peer *peers, size_t count,
                 int (*order)(const void *a, const void *b))
{
    qsort(peers, count, sizeof peers[0], order);
}

/* ---- protection ---- */

static uint64_t keyed(uint64_t group, uint64_t key)
{
    uint64_t mixed = (group ^ key) * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    return mixed ^ (mixed >> 32);
}

/* keep_groups: take the oldest peer of some groups out; the groups by the key. Returns how many are left. */
static size_t keep_groups(struct sb_evict_peer *peers, size_t count, uint64_t key)
{
    uint64_t floor = 0;
    for (size_t kept = 0; kept < SB_EVICT_KEEP_GROUPS && count > 0; kept++) {
        size_t best = SIZE_MAX;
        for (size_t i = 0; i < count; i++) {
            uint64_t value = keyed(peers[i].group, key);
            uint64_t least = best == SIZE_MAX ? UINT64_MAX : keyed(peers[best].group, key);
            bool is_next = kept == 0 || value > floor;
            if (is_next && (best == SIZE_MAX || value < least ||
                            (value == least && younger_first(&peers[best], &peers[i]) < 0))) {
                best = i;
            }
        }
        if (best == SIZE_MAX) {
            break;
        }
        floor = keyed(peers[best].group, key);
        peers[best] = peers[--count];
    }
    return count;
}

static size_t keep_last(struct sb_evict_peer *peers, size_t count, size_t kept,
                        int (*order)(const void *a, const void *b))
{
    sort(peers, count, order);
    return count > kept ? count - kept : 0;
}

/* keep_txs, keep_consensus: as keep_last, but who never brought anything earns nothing by it. */
static size_t keep_txs(struct sb_evict_peer *peers, size_t count)
{
    sort(peers, count, staler_tx_first);
    for (size_t kept = 0; kept < SB_EVICT_KEEP_TXS && count > 0 && peers[count - 1].tx_us > 0;
         kept++) {
        count--;
    }
    return count;
}

static size_t keep_consensus(struct sb_evict_peer *peers, size_t count)
{
    sort(peers, count, staler_consensus_first);
    for (size_t kept = 0;
         kept < SB_EVICT_KEEP_CONSENSUS && count > 0 && peers[count - 1].consensus_us > 0; kept++) {
        count--;
    }
    return count;
}

sb_peer sb_evict_choose(struct sb_evict_peer *peers, size_t count, uint64_t key)
{
    SB_ASSERT(count <= SB_EVICT_PEERS_MAX);
    count = keep_groups(peers, count, key);
    count = keep_last(peers, count, SB_EVICT_KEEP_NEAR, farther_first);
    count = keep_txs(peers, count);
    count = keep_consensus(peers, count);
    count = keep_last(peers, count, count / 2, younger_first);
    /* the groups one after another, each with its youngest first */
    sort(peers, count, by_group);
    const struct sb_evict_peer *victim = NULL;
    size_t most = 0;
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin; end < count && peers[end].group == peers[begin].group; end++) {
        }
        if (end - begin > most ||
            (end - begin == most && younger_first(&peers[begin], victim) < 0)) {
            victim = &peers[begin];
            most = end - begin;
        }
    }
    return victim != NULL ? victim->peer : 0;
}

/* ---- half-received messages ---- */

static bool pays_sooner(const struct sb_evict_holder *a, const struct sb_evict_holder *b)
{
    if (a->is_named != b->is_named) {
        return b->is_named;
    }
    if (a->since_us != b->since_us) {
        return a->since_us < b->since_us;
    }
    return a->bytes != b->bytes ? a->bytes > b->bytes : a->peer > b->peer;
}

sb_peer sb_evict_holder(const struct sb_evict_holder *holders, size_t count)
{
    size_t total = 0;
    const struct sb_evict_holder *victim = NULL;
    for (size_t i = 0; i < count; i++) {
        total += holders[i].bytes;
    }
    for (size_t i = 0; i < count; i++) {
        bool has_share = holders[i].bytes >= total / count / 2;
        if (has_share && (victim == NULL || pays_sooner(&holders[i], victim))) {
            victim = &holders[i];
        }
    }
    return victim != NULL ? victim->peer : 0;
}
