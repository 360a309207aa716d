/* trace.h: a readable timeline of a run, and a space-time diagram of its messages.
 *
 *     12.345678  node 3   prevote h 7 r 0 for 1a2b3c4d
 *
 * The diagram (SVG) has a lane for each node, time downward, an arrow for each packet that arrived, a mark for each note; it shows the
 * end of the run: the last SIM_TRACE_ARROWS packets. */
#ifndef SB_TESTS_SIM_TRACE_H
#define SB_TESTS_SIM_TRACE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/util/err.h"

#define SIM_TRACE_ARROWS 1500
#define SIM_TRACE_NOTES  600
#define SIM_TRACE_TEXT   72

struct sim_arrow {
    uint64_t sent_us, arrived_us;
    uint32_t from, to;
    uint32_t channel;
};

struct sim_trace_note {
    uint64_t at_us;
    uint32_t node;
    char text[SIM_TRACE_TEXT];
};

struct sim_trace {
    FILE *out; /* timeline; NULL: none. Borrowed */
    bool keeps_arrows;
    uint64_t arrow_count, note_count;
    struct sim_arrow arrows[SIM_TRACE_ARROWS]; /* rings */
    struct sim_trace_note notes[SIM_TRACE_NOTES];
};

void sim_trace_note_add(struct sim_trace *trace, uint64_t at_us, uint32_t node, const char *fmt,
                        va_list args) __attribute__((format(printf, 4, 0)));
void sim_trace_arrow_add(struct sim_trace *trace, const struct sim_arrow *arrow);
/* sim_trace_svg: write the diagram. SB_E_IO. */
sb_err sim_trace_svg(const struct sim_trace *trace, const char *path, uint32_t node_count,
                     uint64_t seed) SB_MUST_USE;

#endif
