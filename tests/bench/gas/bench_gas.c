/* bench_gas.c: what a gas buys: every operator at shapes chosen to be worst for it, time beside charge.
 *
 *     bench_gas [--json FILE] [--markdown FILE] [--quick] [NAME ...]        NAME: only operators that begin so
 *
 * 1 gas stands for 10 ns on the avx2 level. A case (gas_cases.def) is a model of one node, several times if it is small; its time is the
 * thread's CPU time between the node and the marker after it, the best of many runs, on inputs drawn anew from a seed. ratio = time /
 * (gas * 10 ns): the aim is at most 2 for every case, and at least 0.5 for those that take 10 us or longer. At the end the worst cases fill
 * a block: as many runs as the block's gas pays, each with its whole charge. SAMEBIT_CPU_LEVEL names the kernels. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/gas/gas_case.h"
#include "tests/support/kernel_level.h"
#include "vm/tensor/run.h"

#define NS_PER_GAS     10.0
#define RATIO_MAX      2.0
#define RATIO_MIN      0.5
#define LONG_NS        10000.0 /* the lower bound holds from here on */
#define RUNS_MIN       7
#define RUNS_MAX       2000
#define CASE_NS        60000000u
#define CASE_NS_QUICK  8000000u
#define BLOCK_GAS      30000000u
#define BLOCK_CASES    5u
#define INPUT_SEED     1u
#define MICRO_PER_GAS  1e6
#define FILE_BYTES_MAX SB_MODEL_FILE_BYTES_MAX

struct result {
    const struct gas_case *c;
    double gas;     /* of one node */
    double ns;      /* of one node */
    double run_gas; /* of a run of the model, as charged */
    double run_ns;
    double cold_gas; /* of the model's first touch */
    double cold_ns;  /* of loading and preparing it, file in memory */
};

static uint64_t cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What reading the clock twice costs. */
static uint64_t clock_cost_ns(void)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        uint64_t begin = cpu_ns();
        uint64_t took = cpu_ns() - begin;
        best = took < best ? took : best;
    }
    return best;
}

/* ---- one run ---- */

struct bench {
    struct sb_model *model;
    const struct sb_model_info *info;
    uint8_t *input;
    uint8_t *output;
    void *scratch;
    uint32_t copies;
    uint32_t at; /* node about to run */
    uint64_t begin;
    uint64_t took;
    uint64_t load_ns; /* what loading and preparing the file took */
};

static bool before_node(void *ctx)
{
    struct bench *b = ctx;
    if (b->at == 0) {
        b->begin = cpu_ns();
    } else if (b->at == b->copies) {
        b->took = cpu_ns() - b->begin;
    }
    b->at++;
    return false;
}

static void run_once(struct bench *b)
{
    sb_bytes inputs[SB_MODEL_INPUTS_MAX];
    uint8_t *outputs[1] = {b->output};
    uint8_t *place = b->input;
    for (uint32_t i = 0; i < b->info->input_count; i++) {
        inputs[i] = sb_span(place, (size_t)b->info->inputs[i].bytes);
        place += b->info->inputs[i].bytes;
    }
    struct sb_run run = {.model = b->model,
                         .inputs = inputs,
                         .ret_outputs = outputs,
                         .scratch = b->scratch,
                         .scratch_bytes = (size_t)b->info->arena_bytes};
    b->at = 0;
    if (sb_model_run_until(NULL, &run, before_node, b) != SB_OK) {
        (void)fprintf(stderr, "bench_gas: a run failed\n");
        exit(1);
    }
}

static void fill_inputs(struct bench *b)
{
    uint64_t state = INPUT_SEED;
    uint8_t *place = b->input;
    for (uint32_t i = 0; i < b->info->input_count; i++) {
        const struct sb_model_io *io = &b->info->inputs[i];
        uint64_t span = (uint64_t)io->desc.hi - (uint64_t)io->desc.lo + 1;
        for (uint64_t e = 0; e < io->element_count; e++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            uint64_t wide = (state >> 32) ^ (state << 31);
            uint64_t v = (uint64_t)io->desc.lo + (span == 0 ? wide : wide % span);
            sb_raw_store(place, io->desc.dtype, e, (int64_t)v);
        }
        place += io->bytes;
    }
}

static void bench_init(struct bench *b, const struct gas_case *c, uint32_t copies,
                       const struct sb_kernels *kernels)
{
    struct sb_buf file;
    struct sb_diag diag = {.text = ""};
    *b = (struct bench){.copies = copies};
    sb_buf_init(&file, FILE_BYTES_MAX);
    gas_case_build(&file, c, copies);
    uint64_t begin = cpu_ns();
    if (sb_model_load(&b->model, sb_buf_bytes(&file), &diag) != SB_OK) {
        (void)fprintf(stderr, "bench_gas: %s: %s\n", c->name, diag.text);
        exit(1);
    }
    sb_model_prepare(b->model, kernels);
    b->load_ns = cpu_ns() - begin;
    sb_buf_fini(&file);
    b->info = sb_model_info(b->model);
    b->input = malloc((size_t)b->info->input_bytes);
    b->output = malloc((size_t)b->info->output_bytes);
    b->scratch = aligned_alloc(64, ((size_t)b->info->arena_bytes + 127) / 64 * 64);
    fill_inputs(b);
}

static void bench_fini(struct bench *b)
{
    sb_model_free(b->model);
    free(b->input);
    free(b->output);
    free(b->scratch);
}

/* ---- a case ---- */

static double gas_of(const struct sb_units *units)
{
    double sum = 0;
    for (int i = 0; i < SB_GAS_CLASS_COUNT; i++) {
        sum += (double)units->count[i] * (double)sb_rates_genesis()->micro_gas[i];
    }
    return sum / MICRO_PER_GAS;
}

static struct result measure(const struct gas_case *c, const struct sb_kernels *kernels,
                             uint64_t case_ns)
{
    struct bench b;
    bench_init(&b, c, gas_case_copies(c), kernels);
    struct sb_model_node node = sb_model_node(b.model, 0);
    uint64_t clock = clock_cost_ns();
    uint64_t best = UINT64_MAX;
    uint64_t best_run = UINT64_MAX;
    uint64_t begin = cpu_ns();
    for (int i = 0; i < RUNS_MAX && (i < RUNS_MIN || cpu_ns() - begin < case_ns); i++) {
        uint64_t run_begin = cpu_ns();
        run_once(&b);
        uint64_t run = cpu_ns() - run_begin;
        uint64_t took = b.took > clock ? b.took - clock : 1;
        best = took < best ? took : best;
        best_run = run < best_run ? run : best_run;
    }
    struct result r = {.c = c,
                       .gas = gas_of(&node.units),
                       .ns = (double)best / b.copies,
                       .run_gas = (double)sb_cost_gas(&b.info->units, sb_rates_genesis()),
                       .run_ns = (double)best_run,
                       .cold_gas = (double)sb_cost_cold_gas(b.info->file_bytes, sb_rates_genesis()),
                       .cold_ns = (double)b.load_ns};
    bench_fini(&b);
    return r;
}

static double ratio_of(const struct result *r)
{
    return r->ns / (r->gas * NS_PER_GAS);
}

static const char *verdict(const struct result *r)
{
    double ratio = ratio_of(r);
    return ratio > RATIO_MAX ? "OVER" : ratio < RATIO_MIN && r->ns >= LONG_NS ? "under" : "";
}

/* ---- reports ---- */

static void print_case(const struct result *r)
{
    (void)printf("%-14s %6.2f %-6s %12.2f us %11.1f gas   %s%s%s\n", r->c->name, ratio_of(r),
                 verdict(r), r->ns / 1000, r->gas, r->c->tensors, *r->c->attrs != '\0' ? " | " : "",
                 r->c->attrs);
    (void)fflush(stdout);
}

/* Worst and best ratio of the operator of results[first]; returns the index after its last case. */
static size_t extremes(const struct result *results, size_t count, size_t first,
                       const struct result **ret_worst, const struct result **ret_best)
{
    size_t i = first;
    *ret_worst = *ret_best = &results[first];
    for (; i < count && results[i].c->op == results[first].c->op; i++) {
        if (ratio_of(&results[i]) > ratio_of(*ret_worst)) {
            *ret_worst = &results[i];
        }
        if (ratio_of(&results[i]) < ratio_of(*ret_best)) {
            *ret_best = &results[i];
        }
    }
    return i;
}

static void print_extremes(const struct result *results, size_t count)
{
    const struct result *worst = NULL;
    const struct result *best = NULL;
    (void)printf("\n%-14s %8s  %-60s %8s  %s\n", "operator", "worst", "at", "best", "at");
    for (size_t i = 0; i < count;) {
        i = extremes(results, count, i, &worst, &best);
        (void)printf("%-14s %8.2f  %-60.60s %8.2f  %.60s\n", worst->c->name, ratio_of(worst),
                     worst->c->tensors, ratio_of(best), best->c->tensors);
    }
}

/* Runs that BLOCK_GAS pays, each charged as a call; ns of all of them. */
static double fill_block(const struct result *r, const struct sb_kernels *kernels)
{
    struct bench b;
    bench_init(&b, r->c, gas_case_copies(r->c), kernels);
    run_once(&b);
    uint64_t begin = cpu_ns();
    for (double gas = r->run_gas; gas <= BLOCK_GAS; gas += r->run_gas) {
        run_once(&b);
    }
    double ns = (double)(cpu_ns() - begin);
    bench_fini(&b);
    return ns;
}

static int by_run_ratio(const void *a, const void *b)
{
    const struct result *x = a;
    const struct result *y = b;
    double rx = x->run_ns / x->run_gas;
    double ry = y->run_ns / y->run_gas;
    return rx > ry ? -1 : rx < ry ? 1 : 0;
}

/* The worst cases, as whole blocks; returns the worst ratio to the block's line. */
static double check_blocks(const struct result *results, size_t count,
                           const struct sb_kernels *kernels)
{
    struct result *sorted = malloc(count * sizeof *sorted);
    double worst = 0;
    memcpy(sorted, results, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_run_ratio);
    (void)printf(
        "\nblocks of %u gas full of the worst runs (the line is %.0f ms, the aim twice that)\n",
        BLOCK_GAS, BLOCK_GAS * NS_PER_GAS / 1e6);
    for (size_t i = 0; i < count && i < BLOCK_CASES; i++) {
        double ns = fill_block(&sorted[i], kernels);
        double ratio = ns / (BLOCK_GAS * NS_PER_GAS);
        (void)printf("%-14s %6.2f %10.0f ms   %s\n", sorted[i].c->name, ratio, ns / 1e6,
                     sorted[i].c->tensors);
        worst = ratio > worst ? ratio : worst;
    }
    free(sorted);
    return worst;
}

static int by_cold_ratio(const void *a, const void *b)
{
    const struct result *x = a;
    const struct result *y = b;
    double rx = x->cold_ns / x->cold_gas;
    double ry = y->cold_ns / y->cold_gas;
    return rx > ry ? -1 : rx < ry ? 1 : 0;
}

/* The first touch of a model: where loading it is dearest. */
static void print_cold(const struct result *results, size_t count)
{
    struct result *sorted = malloc(count * sizeof *sorted);
    memcpy(sorted, results, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_cold_ratio);
    (void)printf("\nfirst touch of a model: loading and preparing it (one try, file in memory)\n");
    for (size_t i = 0; i < count && i < BLOCK_CASES; i++) {
        (void)printf("%-14s %6.2f %10.0f us   %s\n", sorted[i].c->name,
                     sorted[i].cold_ns / (sorted[i].cold_gas * NS_PER_GAS),
                     sorted[i].cold_ns / 1000, sorted[i].c->tensors);
    }
    free(sorted);
}

static FILE *open_report(const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        (void)fprintf(stderr, "bench_gas: cannot write %s\n", path);
        exit(1);
    }
    return file;
}

static void write_json(const char *path, const struct result *results, size_t count,
                       const char *level, double block)
{
    FILE *file = open_report(path);
    (void)fprintf(file, "{\"level\":\"%s\",\"worst_block\":%.2f,\"cases\":[", level, block);
    for (size_t i = 0; i < count; i++) {
        const struct result *r = &results[i];
        (void)fprintf(
            file,
            "%s\n{\"op\":\"%s\",\"tensors\":\"%s\",\"attrs\":\"%s\",\"gas\":%.2f,\"us\":%.3f,"
            "\"ns_per_gas\":%.2f}",
            i > 0 ? "," : "", r->c->name, r->c->tensors, r->c->attrs, r->gas, r->ns / 1000,
            ratio_of(r) * NS_PER_GAS);
    }
    (void)fprintf(file, "\n]}\n");
    (void)fclose(file);
}

static void write_markdown(const char *path, const struct result *results, size_t count,
                           const char *level, double block)
{
    FILE *file = open_report(path);
    (void)fprintf(
        file,
        "# Gas against time\n\nMade by `scripts/bench gas --markdown docs/gas.md` on the %s level; "
        "do "
        "not edit. 1 gas stands for 10 ns (`docs/spec/numerics.md` 12); the aim is\n"
        "at most 20 ns a gas for every operator at any shape, and at least 5 where the operator "
        "takes "
        "10 us or longer. The worst block of 30 million gas of\ninferences takes %.2f times its "
        "line of "
        "300 ms. Tensors are written as in `tests/bench/gas/gas_case.h`.\n\n"
        "| operator | tensors, attributes | gas | us | ns a gas |\n|---|---|---|---|---|\n",
        level, block);
    for (size_t i = 0; i < count; i++) {
        const struct result *r = &results[i];
        (void)fprintf(file, "| %s | `%s`%s%s | %.1f | %.2f | %.1f |\n", r->c->name, r->c->tensors,
                      *r->c->attrs != '\0' ? " " : "", r->c->attrs, r->gas, r->ns / 1000,
                      ratio_of(r) * NS_PER_GAS);
    }
    (void)fclose(file);
}

/* ---- command line ---- */

struct options {
    const char *json;
    const char *markdown;
    uint64_t case_ns;
    char **names;
    int name_count;
};

static bool wanted(const struct options *o, const struct gas_case *c)
{
    for (int i = 0; i < o->name_count; i++) {
        if (strncmp(c->name, o->names[i], strlen(o->names[i])) == 0) {
            return true;
        }
    }
    return o->name_count == 0;
}

static struct options parse_options(int argc, char **argv)
{
    struct options o = {.case_ns = CASE_NS};
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            o.case_ns = CASE_NS_QUICK;
        } else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
            o.json = argv[++i];
        } else if (strcmp(argv[i], "--markdown") == 0 && i + 1 < argc) {
            o.markdown = argv[++i];
        } else {
            (void)fprintf(
                stderr, "usage: bench_gas [--json FILE] [--markdown FILE] [--quick] [NAME ...]\n");
            exit(2);
        }
    }
    o.names = argv + i;
    o.name_count = argc - i;
    return o;
}

int main(int argc, char **argv)
{
    struct options o = parse_options(argc, argv);
    const struct sb_kernels *kernels = kernels_of_environment();
    const char *level = sb_cpu_level_name(kernels->level);
    struct result *results = calloc(gas_case_count, sizeof *results);
    size_t count = 0;
    (void)printf("kernels: %s; ratio = time / (gas * 10 ns)\n", level);
    for (size_t i = 0; i < gas_case_count; i++) {
        if (wanted(&o, &gas_cases[i])) {
            results[count] = measure(&gas_cases[i], kernels, o.case_ns);
            print_case(&results[count++]);
        }
    }
    print_extremes(results, count);
    print_cold(results, count);
    double block = check_blocks(results, count, kernels);
    if (o.json != NULL) {
        write_json(o.json, results, count, level, block);
    }
    if (o.markdown != NULL) {
        write_markdown(o.markdown, results, count, level, block);
    }
    free(results);
    return 0;
}
