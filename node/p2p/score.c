/* score.c: see score.h. */
#include "node/p2p/score.h"

static void decay(struct sb_score *score, uint64_t now_us)
{
    uint64_t forgiven = now_us > score->at_us ? (now_us - score->at_us) / SB_SCORE_DECAY_US : 0;
    if (forgiven >= score->points) {
        score->points = 0;
        score->at_us = now_us;
    } else {
        score->points -= (uint32_t)forgiven;
        score->at_us += forgiven * SB_SCORE_DECAY_US;
    }
}

bool sb_score_add(struct sb_score *score, uint32_t points, uint64_t now_us)
{
    decay(score, now_us);
    uint32_t room = SB_SCORE_POINTS_MAX - score->points;
    score->points += points < room ? points : room;
    return score->points == SB_SCORE_POINTS_MAX;
}

int32_t sb_score_left(struct sb_score *score, uint64_t now_us)
{
    decay(score, now_us);
    return (int32_t)(SB_SCORE_POINTS_MAX - score->points);
}

static size_t scores_find(const struct sb_scores *scores, const uint8_t key[SB_BAN_KEY_BYTES])
{
    size_t at = 0;
    while (at < scores->count && memcmp(scores->items[at].key, key, SB_BAN_KEY_BYTES) != 0) {
        at++;
    }
    return at;
}

struct sb_score *sb_scores_of(struct sb_scores *scores, const uint8_t key[SB_BAN_KEY_BYTES],
                              uint64_t now_us)
{
    size_t at = scores_find(scores, key);
    if (at < scores->count) {
        return &scores->items[at].score;
    }
    if (scores->count < SB_SCORES_MAX) {
        at = scores->count++;
    } else {
        at = 0;
        for (size_t i = 0; i < scores->count; i++) {
            decay(&scores->items[i].score, now_us);
            at = scores->items[i].score.points < scores->items[at].score.points ? i : at;
        }
    }
    memcpy(scores->items[at].key, key, SB_BAN_KEY_BYTES);
    scores->items[at].score = (struct sb_score){.at_us = now_us};
    return &scores->items[at].score;
}

int32_t sb_scores_left(struct sb_scores *scores, const uint8_t key[SB_BAN_KEY_BYTES],
                       uint64_t now_us)
{
    size_t at = scores_find(scores, key);
    return at < scores->count ? sb_score_left(&scores->items[at].score, now_us)
                              : SB_SCORE_POINTS_MAX;
}

void sb_scores_forget(struct sb_scores *scores, const uint8_t key[SB_BAN_KEY_BYTES])
{
    size_t at = scores_find(scores, key);
    if (at < scores->count) {
        scores->items[at] = scores->items[--scores->count];
    }
}

void sb_bans_init(struct sb_bans *ret_bans, uint64_t first_s)
{
    ret_bans->count = 0;
    ret_bans->first_s = first_s;
}

static struct sb_ban *find(struct sb_bans *bans, const uint8_t key[SB_BAN_KEY_BYTES])
{
    for (size_t i = 0; i < bans->count; i++) {
        if (memcmp(bans->bans[i].key, key, SB_BAN_KEY_BYTES) == 0) {
            return &bans->bans[i];
        }
    }
    return NULL;
}

/* A place for a new ban: a free one, or that of the ban that ends first. */
static struct sb_ban *place(struct sb_bans *bans)
{
    if (bans->count < SB_BANS_MAX) {
        return &bans->bans[bans->count++];
    }
    struct sb_ban *first = &bans->bans[0];
    for (size_t i = 1; i < bans->count; i++) {
        if (bans->bans[i].until_us < first->until_us) {
            first = &bans->bans[i];
        }
    }
    return first;
}

uint64_t sb_bans_add(struct sb_bans *bans, const uint8_t key[SB_BAN_KEY_BYTES], uint64_t now_us)
{
    struct sb_ban *ban = find(bans, key);
    uint64_t seconds = bans->first_s;
    if (ban == NULL) {
        ban = place(bans);
        memcpy(ban->key, key, SB_BAN_KEY_BYTES);
    } else if (now_us < ban->until_us + ban->seconds * 1000000) {
        seconds = 2 * ban->seconds;
    }
    ban->seconds = seconds < SB_BAN_S_MAX ? seconds : SB_BAN_S_MAX;
    ban->until_us = now_us + ban->seconds * 1000000;
    return ban->seconds;
}

bool sb_bans_has(const struct sb_bans *bans, const uint8_t key[SB_BAN_KEY_BYTES], uint64_t now_us)
{
    for (size_t i = 0; i < bans->count; i++) {
        if (memcmp(bans->bans[i].key, key, SB_BAN_KEY_BYTES) == 0) {
            return now_us < bans->bans[i].until_us;
        }
    }
    return false;
}
