/* bench_infer.c: CPU time of one inference beside the limit that its gas sets (1 gas = 10 ns).
 *
 *     bench_infer [--json] MODEL.sbm ...
 *     bench_infer --nodes MODEL.sbm ...        also the time of each node, beside its gas
 *
 * Each model runs on pseudo-random inputs inside its declared ranges, a fresh one each time, in batches of about 20 ms; the figure is
 * the median batch. Time is the thread's CPU time, so a busy machine changes it little. ratio = time / (gas * 10 ns): below 1 the
 * charge covers the work. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/kernel_level.h"
#include "vm/tensor/run.h"

#define BATCHES    25
#define BATCH_NS   20000000
#define NS_PER_GAS 10.0
#define INPUT_SETS 16
#define NODE_RUNS  15
#define FILE_MAX   SB_MODEL_FILE_BYTES_MAX

static uint64_t cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 20;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

static struct sb_model *load(const char *path)
{
    struct sb_diag diag = {""};
    struct sb_model *model = NULL;
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(FILE_MAX);
    if (file == NULL || bytes == NULL) {
        (void)fprintf(stderr, "bench_infer: cannot read %s\n", path);
        exit(1);
    }
    size_t len = fread(bytes, 1, FILE_MAX, file);
    (void)fclose(file);
    if (sb_model_load(&model, sb_span(bytes, len), &diag) != SB_OK) {
        (void)fprintf(stderr, "bench_infer: %s: %s\n", path, diag.text);
        exit(1);
    }
    sb_model_prepare(model, kernels_of_environment());
    free(bytes);
    return model;
}

/* INPUT_SETS complete inputs, each element inside its range. */
static uint8_t *make_inputs(const struct sb_model_info *info)
{
    uint64_t state = 1;
    uint8_t *all = calloc(INPUT_SETS, (size_t)info->input_bytes);
    uint8_t *place = all;
    for (int s = 0; s < INPUT_SETS; s++) {
        for (uint32_t i = 0; i < info->input_count; i++) {
            const struct sb_model_io *io = &info->inputs[i];
            uint64_t span = (uint64_t)(io->desc.hi - io->desc.lo) + 1;
            for (uint64_t e = 0; e < io->element_count; e++) {
                int64_t v = io->desc.lo + (int64_t)(next_random(&state) % span);
                sb_raw_store(place, io->desc.dtype, e, v);
            }
            place += io->bytes;
        }
    }
    return all;
}

/* ---- the time of each node ---- */

/* The least time of each node over some runs: the engine asks before each node whether to go on. */
struct node_clock {
    double *best_ns; /* [node_count] */
    uint32_t next;   /* node that begins now */
    uint64_t begun_ns;
};

static bool tick(void *ctx)
{
    struct node_clock *c = ctx;
    uint64_t now = cpu_ns();
    if (c->next > 0) {
        double passed = (double)(now - c->begun_ns);
        double *best = &c->best_ns[c->next - 1];
        *best = passed < *best ? passed : *best;
    }
    c->next++;
    c->begun_ns = cpu_ns();
    return false;
}

static void shape_text(char *ret, size_t len, const struct sb_tensor_desc *d)
{
    int at = snprintf(ret, len, "%s", sb_dtype_name(d->dtype));
    for (uint32_t i = 0; i < d->shape.rank; i++) {
        at += snprintf(ret + at, len - (size_t)at, "%c%u", i == 0 ? ' ' : 'x', d->shape.dims[i]);
    }
}

static void print_nodes(const struct sb_model *model, struct sb_run *run)
{
    uint32_t count = sb_model_info(model)->node_count;
    struct node_clock c = {.best_ns = calloc(count, sizeof *c.best_ns)};
    for (uint32_t i = 0; i < count; i++) {
        c.best_ns[i] = 1e30;
    }
    for (int i = 0; i < NODE_RUNS; i++) {
        c.next = 0;
        if (c.best_ns == NULL || sb_model_run_until(NULL, run, tick, &c) != SB_OK) {
            abort();
        }
        (void)tick(&c); /* the last node, with the copying of the outputs */
    }
    (void)printf("  %4s %-12s %-22s %-22s %10s %10s %7s\n", "node", "operator", "input", "output",
                 "us", "limit us", "ratio");
    for (uint32_t i = 0; i < count; i++) {
        struct sb_model_node n = sb_model_node(model, i);
        double limit = (double)sb_cost_gas(&n.units, sb_rates_genesis()) * NS_PER_GAS;
        char in[64];
        char out[64];
        shape_text(in, sizeof in, sb_model_tensor(model, n.inputs[0]));
        shape_text(out, sizeof out, sb_model_tensor(model, n.outputs[0]));
        (void)printf("  %4u %-12s %-22s %-22s %10.2f %10.2f %7.2f\n", i, n.op_name, in, out,
                     c.best_ns[i] / 1000.0, limit / 1000.0, c.best_ns[i] / limit);
    }
    free(c.best_ns);
}

static double measure(const struct sb_model *model, bool nodes)
{
    const struct sb_model_info *info = sb_model_info(model);
    uint8_t *inputs = make_inputs(info);
    uint8_t *output = malloc((size_t)info->output_bytes);
    void *scratch = aligned_alloc(64, ((size_t)info->arena_bytes + 127) / 64 * 64);
    sb_bytes in[SB_MODEL_INPUTS_MAX];
    uint8_t *out[SB_MODEL_OUTPUTS_MAX];
    double batches[BATCHES];
    unsigned set = 0;
    for (int b = 0; b < BATCHES; b++) {
        uint64_t runs = 0;
        uint64_t begin = cpu_ns();
        do {
            const uint8_t *place = inputs + (set++ % INPUT_SETS) * info->input_bytes;
            uint8_t *to = output;
            for (uint32_t i = 0; i < info->input_count; i++) {
                in[i] = sb_span(place, (size_t)info->inputs[i].bytes);
                place += info->inputs[i].bytes;
            }
            for (uint32_t i = 0; i < info->output_count; i++) {
                out[i] = to;
                to += info->outputs[i].bytes;
            }
            struct sb_run run = {.model = model,
                                 .inputs = in,
                                 .ret_outputs = out,
                                 .scratch = scratch,
                                 .scratch_bytes = (size_t)info->arena_bytes};
            if (sb_model_run(NULL, &run) != SB_OK) {
                abort();
            }
            runs++;
        } while (cpu_ns() - begin < BATCH_NS);
        batches[b] = (double)(cpu_ns() - begin) / (double)runs;
    }
    if (nodes) {
        struct sb_run run = {.model = model,
                             .inputs = in,
                             .ret_outputs = out,
                             .scratch = scratch,
                             .scratch_bytes = (size_t)info->arena_bytes};
        print_nodes(model, &run);
    }
    free(inputs);
    free(output);
    free(scratch);
    qsort(batches, BATCHES, sizeof batches[0], compare);
    return batches[BATCHES / 2];
}

int main(int argc, char **argv)
{
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    bool nodes = argc > 1 && strcmp(argv[1], "--nodes") == 0;
    int first = 1 + (json || nodes);
    if (argc <= first) {
        (void)fprintf(stderr, "usage: bench_infer [--json | --nodes] MODEL.sbm ...\n");
        return 2;
    }
    (void)printf(json ? "[" : "%-28s %12s %12s %12s %8s\n", "model", "us a run", "gas (warm)",
                 "limit us", "ratio");
    for (int i = first; i < argc; i++) {
        struct sb_model *model = load(argv[i]);
        const char *base = strrchr(argv[i], '/') != NULL ? strrchr(argv[i], '/') + 1 : argv[i];
        uint64_t gas = sb_cost_gas(&sb_model_info(model)->units, sb_rates_genesis());
        double ns = measure(model, nodes);
        double limit = (double)gas * NS_PER_GAS;
        (void)printf(
            json ? "%s{\"model\":\"%s\",\"us\":%.2f,\"gas\":%llu,\"limit_us\":%.2f,\"ratio\":%.2f}"
                 : "%s%-28s %12.2f %12llu %12.2f %8.2f\n",
            json && i > 2 ? "," : "", base, ns / 1000.0, (unsigned long long)gas, limit / 1000.0,
            ns / limit);
        sb_model_free(model);
    }
    (void)printf(json ? "]\n" : "");
    return 0;
}
