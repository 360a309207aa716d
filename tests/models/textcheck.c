/* textcheck.c: how much a byte-level language model loses in integers: bits a byte, perplexity ratio and agreement of the likeliest byte
 * with the float model, on windows of a text.
 *
 *     textcheck MODEL.onnx TEXT [--precision i8|i16|fx32] [--windows N] [--calibrate N] [--ratio-max R] [--percentile P]
 *
 * MODEL has one input, ids [1, T], and one output, logits [1, T, V]; TEXT holds bytes below V. The first N windows of T bytes are the test, the
 * last ones the calibration. Exit status 0 only if the ratio is at most R. Time is of one thread. */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util/assert.h"
#include "vm/compiler/compile.h"
#include "vm/compiler/eval.h"
#include "vm/compiler/onnx.h"
#include "vm/compiler/passes.h"
#include "vm/tensor/model.h"
#include "vm/tensor/run.h"

#define FILE_BYTES_MAX ((size_t)256 << 20)

/* Sums over all predicted bytes. */
struct score {
    double bits_float;
    double bits_integer;
    uint64_t agree;
    uint64_t count;
    double seconds;
};

struct task {
    struct sb_graph graph; /* float reference */
    struct sb_arena memory;
    const struct sb_model *model;
    uint32_t length;
    uint32_t symbols;
    struct score score;
};

static void read_all(struct sb_buf *ret, const char *path)
{
    uint8_t bytes[8192];
    size_t len = 0;
    FILE *file = fopen(path, "rb");
    sb_buf_init(ret, FILE_BYTES_MAX);
    while (file != NULL && (len = fread(bytes, 1, sizeof bytes, file)) > 0) {
        sb_buf_add(ret, bytes, len);
    }
    if (file == NULL || sb_buf_err(ret) != SB_OK) {
        fprintf(stderr, "textcheck: '%s' cannot be read\n", path);
        exit(2);
    }
    (void)fclose(file);
}

static void must(sb_err err, const struct sb_diag *diag)
{
    if (err != SB_OK) {
        fprintf(stderr, "textcheck: %s\n", diag->text);
        exit(2);
    }
}

/* -log2 of the probability of `next`, and the likeliest symbol. */
static double bits_of(uint32_t *ret_best, const double *logits, uint32_t symbols, uint8_t next)
{
    double sum = 0;
    uint32_t best = 0;
    for (uint32_t i = 1; i < symbols; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    for (uint32_t i = 0; i < symbols; i++) {
        sum += exp(logits[i] - logits[best]);
    }
    *ret_best = best;
    return (log(sum) + logits[best] - logits[next]) / M_LN2;
}

static void run_integer(double *ret_logits, struct task *t, const uint8_t *window)
{
    const struct sb_model_info *info = sb_model_info(t->model);
    const struct sb_model_io *out = &info->outputs[0];
    uint8_t *raw = sb_arena_alloc(&t->memory, (size_t)info->inputs[0].bytes);
    uint8_t *result = sb_arena_alloc(&t->memory, (size_t)out->bytes);
    void *scratch = sb_arena_alloc(&t->memory, (size_t)info->arena_bytes + 1);
    struct timespec begin;
    struct timespec end;
    SB_ASSERT(raw != NULL && result != NULL && scratch != NULL);
    for (uint32_t i = 0; i < t->length; i++) {
        sb_raw_store(raw, info->inputs[0].desc.dtype, i, window[i]);
    }
    sb_bytes input = sb_span(raw, (size_t)info->inputs[0].bytes);
    struct sb_run run = {.model = t->model,
                         .inputs = &input,
                         .ret_outputs = &result,
                         .scratch = scratch,
                         .scratch_bytes = (size_t)info->arena_bytes};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    sb_err err = sb_model_run(NULL, &run);
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    SB_ASSERT(err == SB_OK);
    t->score.seconds +=
        (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    for (uint64_t i = 0; i < out->element_count; i++) {
        int64_t v = sb_raw_load(result, out->desc.dtype, i) - out->desc.quant.zero_point;
        ret_logits[i] = ldexp((double)v * out->desc.quant.scale_mult, -out->desc.quant.scale_shift);
    }
}

static void test_window(struct task *t, const uint8_t *window)
{
    struct sb_diag diag = {.text = ""};
    struct sb_arena_mark mark = sb_arena_mark(&t->memory);
    struct sb_array *arrays = sb_arena_zalloc(&t->memory, t->graph.value_count * sizeof *arrays);
    double *ids = sb_arena_array(&t->memory, t->length, sizeof *ids);
    double *logits = sb_arena_array(&t->memory, (uint64_t)t->length * t->symbols, sizeof *logits);
    SB_ASSERT(arrays != NULL && ids != NULL && logits != NULL);
    for (uint32_t i = 0; i < t->length; i++) {
        ids[i] = window[i];
    }
    sb_eval_inputs(arrays, &t->graph, ids);
    must(sb_eval_graph(arrays, &t->graph, &t->memory, &diag), &diag);
    run_integer(logits, t, window);
    const double *exact = arrays[t->graph.outputs[0]].data;
    for (uint32_t i = 0; i + 1 < t->length; i++) {
        uint32_t best[2];
        t->score.bits_float +=
            bits_of(&best[0], exact + (uint64_t)i * t->symbols, t->symbols, window[i + 1]);
        t->score.bits_integer +=
            bits_of(&best[1], logits + (uint64_t)i * t->symbols, t->symbols, window[i + 1]);
        t->score.agree += best[0] == best[1] ? 1 : 0;
        t->score.count++;
    }
    sb_arena_rewind(&t->memory, mark);
}

static struct sb_dataset calibration_of(const struct sb_buf *text, uint32_t length, uint64_t rows)
{
    struct sb_dataset d = {.row_count = rows, .row_elements = length};
    d.x = calloc(rows * length, sizeof *d.x);
    SB_ASSERT(d.x != NULL && text->len >= rows * length);
    for (uint64_t i = 0; i < rows * length; i++) {
        d.x[i] = text->data[text->len - rows * length + i];
    }
    return d;
}

int main(int argc, char **argv)
{
    static const struct option k_options[] = {
        {"precision", required_argument, NULL, 'p'},  {"windows", required_argument, NULL, 'w'},
        {"calibrate", required_argument, NULL, 'c'},  {"ratio-max", required_argument, NULL, 'r'},
        {"percentile", required_argument, NULL, 'q'}, {NULL, 0, NULL, 0},
    };
    struct sb_compile_options options = sb_compile_options_default();
    uint64_t windows = 90;
    uint64_t rows = 64;
    double ratio_max = INFINITY;
    options.precision = SB_PRECISION_I8;
    options.measure_layers = false;
    for (int o = 0; (o = getopt_long(argc, argv, "", k_options, NULL)) != -1;) {
        if (o == 'p') {
            options.precision = strcmp(optarg, "fx32") == 0  ? SB_PRECISION_FX32
                                : strcmp(optarg, "i16") == 0 ? SB_PRECISION_I16
                                                             : SB_PRECISION_I8;
        } else if (o == 'q') {
            options.calibration = SB_CALIBRATION_PERCENTILE;
            options.percentile = strtod(optarg, NULL);
        } else if (o == 'w' || o == 'c') {
            *(o == 'w' ? &windows : &rows) = strtoull(optarg, NULL, 10);
        } else if (o == 'r') {
            ratio_max = strtod(optarg, NULL);
        } else {
            return 2;
        }
    }
    if (argc - optind != 2) {
        fprintf(stderr, "usage: textcheck MODEL.onnx TEXT [options]\n");
        return 2;
    }
    struct sb_buf onnx;
    struct sb_buf text;
    struct sb_buf file;
    struct sb_diag diag = {.text = ""};
    struct sb_report report = {0};
    struct sb_model *model = NULL;
    struct task t = {.length = 0};
    read_all(&onnx, argv[optind]);
    read_all(&text, argv[optind + 1]);
    sb_buf_init(&file, FILE_BYTES_MAX);
    sb_arena_init(&t.memory, (size_t)4 << 30);
    must(sb_onnx_load(&t.graph, sb_buf_bytes(&onnx), &t.memory, &diag), &diag);
    must(sb_passes_fix_batch(&t.graph, 1, &diag), &diag);
    t.length = (uint32_t)sb_graph_input_elements(&t.graph);
    struct sb_dataset calibration = calibration_of(&text, t.length, rows);
    must(sb_compile(&file, &report, sb_buf_bytes(&onnx), &calibration, NULL, &options, &diag),
         &diag);
    must(sb_model_load(&model, sb_buf_bytes(&file), &diag), &diag);
    t.model = model;
    t.symbols = (uint32_t)(sb_model_info(model)->outputs[0].element_count / t.length);
    SB_ASSERT(text.len >= (windows + rows) * t.length);
    for (uint64_t w = 0; w < windows; w++) {
        test_window(&t, text.data + w * t.length);
    }
    double count = (double)t.score.count;
    double ratio = exp2((t.score.bits_integer - t.score.bits_float) / count);
    printf("%s: float %.4f bits a byte, integers %.4f, perplexity ratio %.5f, likeliest byte the "
           "same %.2f %%\n",
           sb_precision_name(options.precision), t.score.bits_float / count,
           t.score.bits_integer / count, ratio, 100 * (double)t.score.agree / count);
    printf("file %zu bytes, %" PRIu64 " gas, %.0f us a window\n", file.len,
           sb_cost_gas(&sb_model_info(model)->units, sb_rates_genesis()),
           1e6 * t.score.seconds / (double)windows);
    sb_report_fini(&report);
    free(calibration.x);
    sb_model_free(model);
    sb_arena_fini(&t.memory);
    sb_buf_fini(&file);
    sb_buf_fini(&text);
    sb_buf_fini(&onnx);
    return ratio <= ratio_max ? 0 : 1;
}
