/* ranges.c: see ranges.h. The percentile takes a second walk over the rows: the first finds the ends, the second fills a histogram. */
#include "vm/compiler/ranges.h"

#include <math.h>

#include "vm/compiler/eval.h"

#define BINS 1024

struct calibration {
    struct sb_range *ranges;
    const struct sb_graph *graph;
    const struct sb_dataset *rows;
    uint64_t row_count;
    uint32_t *histogram; /* [value_count][BINS]; NULL in the first walk */
    struct sb_arena *memory;
    struct sb_diag *diag;
};

void sb_feed(double *ret_input, const struct sb_dataset *rows, uint64_t first, uint64_t batch)
{
    for (uint64_t b = 0; b < batch; b++) {
        uint64_t row = first + b < rows->row_count ? first + b : rows->row_count - 1;
        memcpy(ret_input + b * rows->row_elements, rows->x + row * rows->row_elements,
               rows->row_elements * sizeof *ret_input);
    }
}

static uint32_t bin_of(const struct sb_range *r, double v)
{
    double width = r->max - r->min;
    double at = width > 0 ? (v - r->min) / width * BINS : 0;
    return at >= BINS ? BINS - 1 : (uint32_t)fmax(0, at);
}

static void look_at(struct calibration *c, uint32_t value, const struct sb_array *array)
{
    struct sb_range *r = &c->ranges[value];
    uint64_t count = sb_array_count(array);
    for (uint64_t i = 0; i < count; i++) {
        double v = array->data[i];
        if (!isfinite(v)) {
            continue; /* what a mask leaves out */
        }
        if (c->histogram != NULL) {
            c->histogram[(size_t)value * BINS + bin_of(r, v)]++;
            continue;
        }
        r->min = r->known ? fmin(r->min, v) : v;
        r->max = r->known ? fmax(r->max, v) : v;
        r->known = true;
    }
}

static sb_err walk(struct calibration *c)
{
    const struct sb_graph *g = c->graph;
    uint64_t inputs = sb_graph_input_elements(g);
    uint64_t batch = inputs / c->rows->row_elements;
    for (uint64_t row = 0; row < c->row_count; row += batch) {
        struct sb_arena_mark mark = sb_arena_mark(c->memory);
        struct sb_array *arrays = sb_arena_zalloc(c->memory, g->value_count * sizeof *arrays);
        double *input = sb_arena_array(c->memory, inputs, sizeof *input);
        if (arrays == NULL || input == NULL) {
            return sb_fail(c->diag, SB_E_NOMEM, "out of memory for calibration");
        }
        sb_feed(input, c->rows, row, batch);
        sb_eval_inputs(arrays, g, input);
        SB_TRY(sb_eval_graph(arrays, g, c->memory, c->diag));
        for (uint32_t v = 0; v < g->value_count; v++) {
            if (arrays[v].data != NULL && !g->values[v].is_const) {
                look_at(c, v, &arrays[v]);
            }
        }
        sb_arena_rewind(c->memory, mark);
    }
    return SB_OK;
}

/* Cut the bins that hold less than the share on each side. */
static void cut_tails(struct sb_range *r, const uint32_t *histogram, double share)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < BINS; i++) {
        total += histogram[i];
    }
    double allowed = (double)total * share;
    double width = (r->max - r->min) / BINS;
    double low = 0;
    double high = 0;
    uint32_t first = 0;
    uint32_t last = BINS;
    while (first + 1 < last && low + histogram[first] <= allowed) {
        low += histogram[first++];
    }
    while (last > first + 1 && high + histogram[last - 1] <= allowed) {
        high += histogram[--last];
    }
    r->max = r->min + width * last;
    r->min += width * first;
}

static sb_err measure(struct calibration *c, const struct sb_compile_options *options)
{
    SB_TRY(walk(c));
    if (options->calibration != SB_CALIBRATION_PERCENTILE) {
        return SB_OK;
    }
    c->histogram =
        sb_arena_zalloc(c->memory, (size_t)c->graph->value_count * BINS * sizeof *c->histogram);
    if (c->histogram == NULL) {
        return sb_fail(c->diag, SB_E_NOMEM, "out of memory for the histograms of calibration");
    }
    SB_TRY(walk(c));
    for (uint32_t v = 0; v < c->graph->value_count; v++) {
        if (c->ranges[v].known) {
            cut_tails(&c->ranges[v], c->histogram + (size_t)v * BINS,
                      (100 - options->percentile) / 100);
        }
    }
    return SB_OK;
}

sb_err sb_ranges_measure(struct sb_range *ranges, const struct sb_graph *graph,
                         const struct sb_dataset *rows, const struct sb_compile_options *options,
                         struct sb_diag *diag)
{
    struct sb_arena memory;
    sb_arena_init(&memory, SB_GRAPH_BYTES_MAX);
    struct calibration c = {
        .ranges = ranges,
        .graph = graph,
        .rows = rows,
        .row_count = rows->row_count < options->rows_max ? rows->row_count : options->rows_max,
        .memory = &memory,
        .diag = diag,
    };
    sb_err err = measure(&c, options);
    sb_arena_fini(&memory);
    return err;
}
