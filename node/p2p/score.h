/* score.h: how badly peers behave, and who is banned for how long. Pure: time is handed in.
 *
 *   points of a key (a node id or an address): + the offence's weight, - 1 each 10 s; at 100 it is banned. They outlive connections:
 *   who comes again has what it had.
 *   ban of a key (a node id or an address): 1 h, 2 h, 4 h ... at most 7 days; forgotten when it has been over for as long as it lasted
 *
 * The lists are bounded: when one is full, the smallest score, or the ban that ends first, makes room. Spec: docs/spec/p2p.md 7. */
#ifndef SB_NODE_P2P_SCORE_H
#define SB_NODE_P2P_SCORE_H

#include "node/p2p/channel.h"

#define SB_SCORE_POINTS_MAX 100
#define SB_SCORE_DECAY_US   (UINT64_C(10) * 1000000) /* of one point */
#define SB_SCORES_MAX       1024
#define SB_BANS_MAX         4096
#define SB_BAN_S_MAX        (UINT64_C(7) * 24 * 3600)
#define SB_BAN_KEY_BYTES    32

struct sb_score {
    uint32_t points;
    uint64_t at_us; /* up to when decay is counted */
};

/* sb_score_add: count an offence; true when the score has run out. */
bool sb_score_add(struct sb_score *score, uint32_t points, uint64_t now_us);
/* sb_score_left: points that are left: 100 of a peer without fault, 0 of one that is banned. */
int32_t sb_score_left(struct sb_score *score, uint64_t now_us);

/* Scores by key. */
struct sb_scores {
    struct {
        uint8_t key[SB_BAN_KEY_BYTES];
        struct sb_score score;
    } items[SB_SCORES_MAX];
    size_t count;
};

/* sb_scores_of: the score of a key, a new one for a key that has none. Valid until the next call. */
struct sb_score *sb_scores_of(struct sb_scores *scores, const uint8_t key[SB_BAN_KEY_BYTES],
                              uint64_t now_us);
/* sb_scores_left: points that are left, without making an entry. */
int32_t sb_scores_left(struct sb_scores *scores, const uint8_t key[SB_BAN_KEY_BYTES],
                       uint64_t now_us);
/* sb_scores_forget: a ban begins: after it the key starts anew. */
void sb_scores_forget(struct sb_scores *scores, const uint8_t key[SB_BAN_KEY_BYTES]);

struct sb_ban {
    uint8_t key[SB_BAN_KEY_BYTES];
    uint64_t until_us;
    uint64_t seconds; /* of this ban */
};

struct sb_bans {
    struct sb_ban bans[SB_BANS_MAX];
    size_t count;
    uint64_t first_s;
};

void sb_bans_init(struct sb_bans *ret_bans, uint64_t first_s);
/* sb_bans_add: ban a key, twice as long as last time. Returns the seconds. */
uint64_t sb_bans_add(struct sb_bans *bans, const uint8_t key[SB_BAN_KEY_BYTES], uint64_t now_us);
bool sb_bans_has(const struct sb_bans *bans, const uint8_t key[SB_BAN_KEY_BYTES], uint64_t now_us);

#endif
