/* gossip_peer.c: what a peer has, what it may cost, and what it sent too early; see replica_impl.h. */
#include <stdlib.h>

#include "base/crypto/keccak.h"
#include "node/replica_impl.h"

/* Checks that brought nothing: room for a certificate of many entries at once, and a steady trickle. */
const struct sb_budget_rule sb_budget_checks = {.burst = 1024, .per_s = 200};
const struct sb_budget_rule sb_budget_answers = {.burst = 8, .per_s = 4};
const struct sb_budget_rule sb_budget_blocks = {.burst = 64, .per_s = 100};
const struct sb_budget_rule sb_budget_wants = {.burst = 4, .per_s = 2};

/* ---- the table ---- */

struct gossip_peer *sb_gossip_find(const struct sb_replica *replica, sb_peer id)
{
    for (uint32_t i = 0; i < replica->peer_end; i++) {
        if (replica->peers[i] != NULL && replica->peers[i]->id == id) {
            return replica->peers[i];
        }
    }
    return NULL;
}

struct gossip_peer *sb_gossip_add(struct sb_replica *replica, sb_peer id)
{
    for (uint32_t i = 0; i < SB_REPLICA_PEERS_MAX; i++) {
        if (replica->peers[i] != NULL) {
            continue;
        }
        struct gossip_peer *peer = calloc(1, sizeof *peer);
        if (peer == NULL) {
            return NULL;
        }
        peer->id = id;
        peer->index = i;
        uint64_t now = sb_replica_now(replica);
        peer->checks = (struct sb_budget){sb_budget_checks.burst * 1000U, now};
        peer->answers = (struct sb_budget){sb_budget_answers.burst * 1000U, now};
        peer->blocks = (struct sb_budget){sb_budget_blocks.burst * 1000U, now};
        peer->wants = (struct sb_budget){sb_budget_wants.burst * 1000U, now};
        replica->peers[i] = peer;
        replica->peer_count++;
        replica->peer_end = i >= replica->peer_end ? i + 1 : replica->peer_end;
        for (size_t e = 0; e < SB_EVIDENCE_KNOWN_MAX; e++) {
            replica->evidence[e].sent.words[i / 64] &= ~((uint64_t)1 << (i % 64));
        }
        return peer;
    }
    return NULL;
}

void sb_gossip_remove(struct sb_replica *replica, struct gossip_peer *peer)
{
    sb_early_free(sb_early_take(replica, peer));
    replica->peers[peer->index] = NULL;
    replica->peer_count--;
    while (replica->peer_end > 0 && replica->peers[replica->peer_end - 1] == NULL) {
        replica->peer_end--;
    }
    free(peer);
}

/* ---- what it has ---- */

/* The finders give a place in the peer's ring; its size when there is none. */
static size_t find_votes(const struct gossip_peer *peer, uint64_t height, int32_t round,
                         enum sb_vote_type type)
{
    size_t i = 0;
    for (; i < SB_PEER_VOTE_SETS; i++) {
        const struct known_votes *v = &peer->votes[i];
        if (v->height == height && v->round == round && v->type == type) {
            break;
        }
    }
    return i;
}

static struct known_votes *make_votes(struct gossip_peer *peer, uint64_t height, int32_t round,
                                      enum sb_vote_type type)
{
    size_t i = find_votes(peer, height, round, type);
    if (i == SB_PEER_VOTE_SETS) {
        i = peer->votes_next++ % SB_PEER_VOTE_SETS;
        peer->votes[i] = (struct known_votes){.height = height, .round = round, .type = type};
    }
    return &peer->votes[i];
}

bool sb_gossip_has_vote(const struct gossip_peer *peer, const struct sb_vote *vote)
{
    size_t i = find_votes(peer, vote->height, vote->round, vote->type);
    return i < SB_PEER_VOTE_SETS && sb_bits_get(&peer->votes[i].bits, vote->validator_index);
}

void sb_gossip_mark_vote(struct gossip_peer *peer, const struct sb_vote *vote)
{
    sb_bits_set(&make_votes(peer, vote->height, vote->round, vote->type)->bits,
                vote->validator_index);
}

void sb_gossip_set_votes(struct gossip_peer *peer, const struct sb_message_votes *votes)
{
    make_votes(peer, votes->height, votes->round, votes->type)->bits = votes->bits;
}

static size_t find_proposal(const struct gossip_peer *peer, uint64_t height, int32_t round)
{
    size_t i = 0;
    for (; i < SB_PEER_PROPOSALS; i++) {
        if (peer->proposals[i].height == height && peer->proposals[i].round == round) {
            break;
        }
    }
    return i;
}

bool sb_gossip_has_proposal(const struct gossip_peer *peer, uint64_t height, int32_t round)
{
    return find_proposal(peer, height, round) < SB_PEER_PROPOSALS;
}

void sb_gossip_mark_proposal(struct gossip_peer *peer, uint64_t height, int32_t round, bool has)
{
    size_t i = find_proposal(peer, height, round);
    if (has && i == SB_PEER_PROPOSALS) {
        peer->proposals[peer->proposals_next++ % SB_PEER_PROPOSALS] =
            (struct known_proposal){.height = height, .round = round};
    } else if (!has && i < SB_PEER_PROPOSALS) {
        peer->proposals[i].height = 0;
    }
}

static size_t find_parts(const struct gossip_peer *peer, const sb_hash *block_id)
{
    size_t i = 0;
    for (; i < SB_PEER_PARTS_SETS; i++) {
        if (peer->parts[i].height != 0 && sb_hash_equal(&peer->parts[i].block_id, block_id)) {
            break;
        }
    }
    return i;
}

static struct known_parts *make_parts(struct gossip_peer *peer, uint64_t height,
                                      const sb_hash *block_id)
{
    size_t i = find_parts(peer, block_id);
    if (i == SB_PEER_PARTS_SETS) {
        i = peer->parts_next++ % SB_PEER_PARTS_SETS;
        peer->parts[i] = (struct known_parts){.height = height, .block_id = *block_id};
    }
    return &peer->parts[i];
}

bool sb_gossip_has_part(const struct gossip_peer *peer, const sb_hash *block_id, uint32_t index)
{
    size_t i = find_parts(peer, block_id);
    return i < SB_PEER_PARTS_SETS && sb_bits_get(&peer->parts[i].bits, index);
}

void sb_gossip_mark_part(struct gossip_peer *peer, uint64_t height, const sb_hash *block_id,
                         uint32_t index)
{
    sb_bits_set(&make_parts(peer, height, block_id)->bits, index);
}

void sb_gossip_set_parts(struct gossip_peer *peer, uint64_t height, const sb_hash *block_id,
                         const struct sb_bits *bits)
{
    make_parts(peer, height, block_id)->bits = *bits;
}

/* ---- what it may cost ---- */

bool sb_budget_take(struct sb_budget *budget, struct sb_budget_rule rule, uint32_t count,
                    uint64_t now_ms)
{
    uint64_t full = (uint64_t)rule.burst * 1000;
    uint64_t passed_ms = now_ms > budget->filled_ms ? now_ms - budget->filled_ms : 0;
    uint64_t missing = full - budget->tokens_milli;
    /* per_s tokens a second are per_s milli-tokens a millisecond */
    budget->tokens_milli +=
        passed_ms >= missing / rule.per_s + 1 ? missing : passed_ms * rule.per_s;
    budget->tokens_milli = budget->tokens_milli > full ? full : budget->tokens_milli;
    budget->filled_ms = now_ms;
    uint64_t cost = (uint64_t)count * 1000;
    if (budget->tokens_milli < cost) {
        return false;
    }
    budget->tokens_milli -= cost;
    return true;
}

void sb_budget_give(struct sb_budget *budget, struct sb_budget_rule rule, uint32_t count)
{
    uint64_t full = (uint64_t)rule.burst * 1000;
    budget->tokens_milli += (uint64_t)count * 1000;
    budget->tokens_milli = budget->tokens_milli > full ? full : budget->tokens_milli;
}

/* Checks that may bring nothing, of all peers in a window of time: a tenth of a core. A peer has its share of them whatever the others
 * use, so they are at most twice as many, or SHARE_LEAST for each of very many peers. */
#define CHECKS_WINDOW_MS 100
#define SHARED_CHECKS    200
#define SHARE_LEAST      4

static void open_window(struct sb_replica *replica, struct gossip_peer *peer)
{
    uint64_t window = sb_replica_now(replica) / CHECKS_WINDOW_MS;
    if (replica->checks_window != window) {
        replica->checks_window = window;
        replica->checks_used = 0;
    }
    if (peer->checks_window != window) {
        peer->checks_window = window;
        peer->checks_used = 0;
    }
}

bool sb_gossip_may_check(struct sb_replica *replica, struct gossip_peer *peer, uint32_t count,
                         enum check_hope hope)
{
    uint32_t share = SHARED_CHECKS / (replica->peer_count + 1);
    share = share < SHARE_LEAST ? SHARE_LEAST : share;
    open_window(replica, peer);
    if (hope == CHECK_LIKELY_VAIN && replica->checks_used + count > SHARED_CHECKS &&
        peer->checks_used + count > share) {
        return false;
    }
    if (!sb_budget_take(&peer->checks, sb_budget_checks, count, sb_replica_now(replica))) {
        return false;
    }
    replica->checks_used += count;
    peer->checks_used += count;
    return true;
}

void sb_gossip_was_news(struct sb_replica *replica, struct gossip_peer *peer, uint32_t count)
{
    sb_replica_useful(replica, peer);
    open_window(replica, peer);
    sb_budget_give(&peer->checks, sb_budget_checks, count);
    replica->checks_used -= count < replica->checks_used ? count : replica->checks_used;
    peer->checks_used -= count < peer->checks_used ? count : peer->checks_used;
}

/* ---- what came too early ---- */

void sb_early_keep(struct sb_replica *replica, struct gossip_peer *peer, enum sb_channel channel,
                   sb_bytes raw)
{
    size_t cost = sizeof(struct early_message) + raw.len;
    struct early_message *m = NULL;
    size_t own = peer->early_bytes + cost;
    if (own <= SB_EARLY_SHARE_BYTES ||
        (own <= SB_EARLY_PEER_BYTES_MAX && replica->early_bytes + cost <= SB_EARLY_BYTES_MAX)) {
        m = malloc(cost);
    }
    if (m == NULL) {
        peer->early_lost = true;
        return;
    }
    m->next = NULL;
    m->channel = channel;
    m->len = raw.len;
    memcpy(m->bytes, raw.data, raw.len);
    if (peer->early_last == NULL) {
        peer->early_first = m;
    } else {
        peer->early_last->next = m;
    }
    peer->early_last = m;
    peer->early_bytes += cost;
    replica->early_bytes += cost;
}

struct early_message *sb_early_take(struct sb_replica *replica, struct gossip_peer *peer)
{
    struct early_message *list = peer->early_first;
    replica->early_bytes -= peer->early_bytes;
    peer->early_bytes = 0;
    peer->early_first = NULL;
    peer->early_last = NULL;
    return list;
}

void sb_early_free(struct early_message *list)
{
    while (list != NULL) {
        struct early_message *next = list->next;
        free(list);
        list = next;
    }
}

/* ---- what was seen: a table of hashes, each place holds the last that fell on it ---- */

static size_t seen_place(const sb_hash *hash)
{
    return ((size_t)hash->b[16] | (size_t)hash->b[17] << 8) % SB_SEEN_MAX;
}

bool sb_seen(const struct sb_replica *replica, sb_bytes raw)
{
    sb_hash hash = sb_keccak256(raw);
    return memcmp(replica->seen[seen_place(&hash)], hash.b, sizeof replica->seen[0]) == 0;
}

void sb_seen_add(struct sb_replica *replica, sb_bytes raw)
{
    sb_hash hash = sb_keccak256(raw);
    memcpy(replica->seen[seen_place(&hash)], hash.b, sizeof replica->seen[0]);
}
