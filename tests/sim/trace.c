/* trace.c: see trace.h. */
#include "tests/sim/trace.h"

#include <inttypes.h>

#include "node/p2p/channel.h"
#include "tests/sim/config.h"

#define LANE_PX    150
#define LEFT_PX    110
#define TOP_PX     40
#define HEIGHT_MAX 16000

void sim_trace_note_add(struct sim_trace *trace, uint64_t at_us, uint32_t node, const char *fmt,
                        va_list args)
{
    struct sim_trace_note *note = &trace->notes[trace->note_count++ % SIM_TRACE_NOTES];
    note->at_us = at_us;
    note->node = node;
    (void)vsnprintf(note->text, sizeof note->text, fmt, args);
    if (trace->out == NULL) {
        return;
    }
    fprintf(trace->out, "%4" PRIu64 ".%06" PRIu64 "  ", at_us / 1000000, at_us % 1000000);
    if (node < SIM_NODES_MAX) {
        fprintf(trace->out, "node %-2" PRIu32 "  %s\n", node, note->text);
    } else {
        fprintf(trace->out, "network  %s\n", note->text);
    }
}

void sim_trace_arrow_add(struct sim_trace *trace, const struct sim_arrow *arrow)
{
    trace->arrows[trace->arrow_count++ % SIM_TRACE_ARROWS] = *arrow;
}

struct scale {
    uint64_t begin_us, end_us;
    uint64_t height_px;
};

static uint64_t y_of(const struct scale *scale, uint64_t at_us)
{
    uint64_t at = at_us < scale->begin_us ? 0 : at_us - scale->begin_us;
    return TOP_PX + at * scale->height_px / (scale->end_us - scale->begin_us);
}

static uint32_t x_of(uint32_t node)
{
    return LEFT_PX + LANE_PX * node;
}

static struct scale scale_of(const struct sim_trace *trace)
{
    struct scale scale = {.begin_us = UINT64_MAX, .end_us = 0};
    uint64_t kept = trace->arrow_count < SIM_TRACE_ARROWS ? trace->arrow_count : SIM_TRACE_ARROWS;
    for (uint64_t i = 0; i < kept; i++) {
        const struct sim_arrow *arrow = &trace->arrows[i];
        scale.begin_us = arrow->sent_us < scale.begin_us ? arrow->sent_us : scale.begin_us;
        scale.end_us = arrow->arrived_us > scale.end_us ? arrow->arrived_us : scale.end_us;
    }
    if (scale.begin_us >= scale.end_us) {
        scale = (struct scale){.begin_us = 0, .end_us = 1};
    }
    uint64_t wanted = (scale.end_us - scale.begin_us) / 250; /* 4 px a millisecond */
    scale.height_px = wanted < 400 ? 400 : wanted > HEIGHT_MAX ? HEIGHT_MAX : wanted;
    return scale;
}

static void put_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '<') {
            fputs("&lt;", out);
        } else if (*text == '&') {
            fputs("&amp;", out);
        } else {
            fputc(*text, out);
        }
    }
}

static void put_arrows(FILE *out, const struct sim_trace *trace, const struct scale *scale)
{
    static const char *const colours[SB_CHANNEL_COUNT] = {"#999", "#bbb", "#27c", "#c33", "#e90",
                                                          "#808", "#292", "#666", "#666"};
    uint64_t kept = trace->arrow_count < SIM_TRACE_ARROWS ? trace->arrow_count : SIM_TRACE_ARROWS;
    for (uint64_t i = 0; i < kept; i++) {
        const struct sim_arrow *a = &trace->arrows[i];
        fprintf(out,
                "<line x1=\"%" PRIu32 "\" y1=\"%" PRIu64 "\" x2=\"%" PRIu32 "\" y2=\"%" PRIu64
                "\" stroke=\"%s\" marker-end=\"url(#a)\"/>\n",
                x_of(a->from), y_of(scale, a->sent_us), x_of(a->to), y_of(scale, a->arrived_us),
                colours[a->channel < SB_CHANNEL_COUNT ? a->channel : 0]);
    }
}

static void put_notes(FILE *out, const struct sim_trace *trace, const struct scale *scale)
{
    uint64_t kept = trace->note_count < SIM_TRACE_NOTES ? trace->note_count : SIM_TRACE_NOTES;
    for (uint64_t i = 0; i < kept; i++) {
        const struct sim_trace_note *note = &trace->notes[i];
        if (note->at_us < scale->begin_us || note->at_us > scale->end_us) {
            continue;
        }
        uint32_t x = note->node < SIM_NODES_MAX ? x_of(note->node) : 6;
        uint64_t y = y_of(scale, note->at_us);
        fprintf(out, "<circle cx=\"%" PRIu32 "\" cy=\"%" PRIu64 "\" r=\"2\"/>", x, y);
        fprintf(out, "<text x=\"%" PRIu32 "\" y=\"%" PRIu64 "\">", x + 4, y);
        put_text(out, note->text);
        fputs("</text>\n", out);
    }
}

sb_err sim_trace_svg(const struct sim_trace *trace, const char *path, uint32_t node_count,
                     uint64_t seed)
{
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        return SB_E_IO;
    }
    struct scale scale = scale_of(trace);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%" PRIu32 "\" height=\"%" PRIu64
            "\" font-family=\"monospace\" font-size=\"8\">\n"
            "<defs><marker id=\"a\" markerWidth=\"6\" markerHeight=\"6\" refX=\"5\" refY=\"3\" "
            "orient=\"auto\"><path d=\"M0,0 L6,3 L0,6\" fill=\"none\" stroke=\"#555\"/></marker>"
            "</defs>\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
            "<text x=\"6\" y=\"12\" font-size=\"11\">seed %" PRIu64 ": %" PRIu64 " to %" PRIu64
            " us; votes blue, proposals red, parts orange, sync green, evidence purple</text>\n",
            x_of(node_count) + 60, scale.height_px + 2 * TOP_PX, seed, scale.begin_us,
            scale.end_us);
    for (uint32_t i = 0; i < node_count; i++) {
        fprintf(out,
                "<line x1=\"%" PRIu32 "\" y1=\"%d\" x2=\"%" PRIu32 "\" y2=\"%" PRIu64
                "\" stroke=\"#ccc\"/><text x=\"%" PRIu32
                "\" y=\"28\" font-size=\"11\">node %" PRIu32 "</text>\n",
                x_of(i), TOP_PX, x_of(i), scale.height_px + TOP_PX, x_of(i) - 16, i);
    }
    put_arrows(out, trace, &scale);
    put_notes(out, trace, &scale);
    fputs("</svg>\n", out);
    return fclose(out) == 0 ? SB_OK : SB_E_IO;
}
