/* liar.c: a node that lies to those who want to begin at its snapshots, and is honest in everything else.
 *
 *     SAMEBIT_LIE    the lie
 *     chunks         one bit of each piece of the state
 *     stale          pieces of the snapshot before the one that was asked for
 *     headers        one bit of each header but the first ten
 *
 * The program is samebit itself, with this file and the linker's --wrap of sb_snap_answer; the product holds none of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/snap_answer.h"

#define HEADER_BYTE  200 /* of a light block: within its header */
#define HONEST_BELOW 10

sb_err __real_sb_snap_answer(struct sb_buf *out, const struct sb_snap_source *source,
                             const struct sb_snap_message *question);
sb_err __wrap_sb_snap_answer(struct sb_buf *out, const struct sb_snap_source *source,
                             const struct sb_snap_message *question);

static bool lies(const char *lie)
{
    const char *wanted = getenv("SAMEBIT_LIE");
    return wanted != NULL && strcmp(wanted, lie) == 0;
}

/* older: the snapshot before a height; the height itself when there is none. */
static uint64_t older(const struct sb_snap_source *source, uint64_t height)
{
    uint64_t heights[SB_SNAPSHOTS_MAX];
    size_t count = sb_snapshots_list(heights, source->snapshots);
    for (size_t i = 0; i < count; i++) {
        if (heights[i] < height) {
            return heights[i];
        }
    }
    return height;
}

sb_err __wrap_sb_snap_answer(struct sb_buf *out, const struct sb_snap_source *source,
                             const struct sb_snap_message *question)
{
    struct sb_snap_message told = *question;
    bool is_piece = question->what == SB_SNAP_PIECE;
    if (is_piece && lies("stale")) {
        told.height = older(source, question->height);
    }
    size_t begin = out->len;
    SB_TRY(__real_sb_snap_answer(out, source, &told));
    if (is_piece && lies("chunks")) {
        out->data[out->len - 1] ^= 1;
    }
    if (question->what == SB_SNAP_LIGHT && question->height > HONEST_BELOW && lies("headers")) {
        out->data[begin + HEADER_BYTE] ^= 1;
    }
    return SB_OK;
}
