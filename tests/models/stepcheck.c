/* stepcheck.c: how much one step of a decoder loses in integers: bits a byte of the byte that follows a full cache.
 *
 *     stepcheck MODEL.onnx TEXT [--precision i8|i16|fx32] [--samples N] [--calibrate N] [--ratio-max R]
 *
 * MODEL has the inputs tok [1, 1], cos and sin [1, D], and for each cache "pX" [1, H, past, S] an output "nX" with one row more; its first
 * output are the logits. A sample is a window of 128 bytes: the float model decodes 127 of them, growing its caches, and their state is
 * the input of the integer model for the last one. Exit status 0 only if the perplexity ratio is at most R. */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "vm/compiler/compile.h"
#include "vm/compiler/eval.h"
#include "vm/compiler/onnx.h"
#include "vm/compiler/passes.h"
#include "vm/tensor/model.h"
#include "vm/tensor/run.h"

#define FILE_BYTES_MAX ((size_t)256 << 20)
#define PAST           127u
#define ROPE_BASE      10000.0

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
        fprintf(stderr, "stepcheck: '%s' cannot be read\n", path);
        exit(2);
    }
    (void)fclose(file);
}

static void must(sb_err err, const struct sb_diag *diag)
{
    if (err != SB_OK) {
        fprintf(stderr, "stepcheck: %s\n", diag->text);
        exit(2);
    }
}

static struct sb_value *input_of(struct sb_graph *g, uint32_t i)
{
    return &g->values[g->inputs[i]];
}

static bool is_cache(const struct sb_value *v)
{
    return v->name[0] == 'p';
}

/* The value of an output by name. */
static uint32_t output_of(const struct sb_graph *g, const char *name)
{
    for (uint32_t i = 0; i < g->output_count; i++) {
        if (strcmp(g->values[g->outputs[i]].name, name) == 0) {
            return g->outputs[i];
        }
    }
    SB_UNREACHABLE();
}

/* Inputs of the step at a position: the byte, its rotation, the caches (kept: [input_count] arrays). */
static void fill(double *x, struct sb_graph *g, struct sb_array *caches, uint8_t byte, uint32_t at)
{
    for (uint32_t i = 0; i < g->input_count; i++) {
        struct sb_value *v = input_of(g, i);
        if (is_cache(v)) {
            v->array.shape.dims[2] = at;
            memcpy(x, caches[i].data, sb_array_count(&v->array) * sizeof *x);
        } else if (strcmp(v->name, "tok") == 0) {
            x[0] = byte;
        } else {
            uint32_t half = v->array.shape.dims[1];
            for (uint32_t d = 0; d < half; d++) {
                double angle = at * pow(ROPE_BASE, -(double)d / half);
                x[d] = v->name[0] == 'c' ? cos(angle) : sin(angle);
            }
        }
        x += sb_array_count(&v->array);
    }
}

/* Decode a window; x receives the inputs of the last step, logits the float model's answer to it. */
static void decode(double *x, double *logits, uint32_t symbols, struct sb_graph *g,
                   const uint8_t *window)
{
    struct sb_arena memory;
    struct sb_diag diag = {.text = ""};
    struct sb_array caches[SB_MODEL_INPUTS_MAX] = {0};
    double none = 0;
    sb_arena_init(&memory, (size_t)1 << 30);
    for (uint32_t i = 0; i < g->input_count; i++) {
        caches[i].data = &none;
    }
    for (uint32_t at = 0; at <= PAST; at++) {
        struct sb_array *arrays = sb_arena_zalloc(&memory, g->value_count * sizeof *arrays);
        SB_ASSERT(arrays != NULL);
        fill(x, g, caches, window[at], at);
        sb_eval_inputs(arrays, g, x);
        must(sb_eval_graph(arrays, g, &memory, &diag), &diag);
        for (uint32_t i = 0; i < g->input_count; i++) {
            char name[64];
            if (is_cache(input_of(g, i))) {
                (void)snprintf(name, sizeof name, "n%s", input_of(g, i)->name + 1);
                caches[i] = arrays[output_of(g, name)];
            }
        }
        memcpy(logits, arrays[g->outputs[0]].data, symbols * sizeof *logits);
    }
    sb_arena_fini(&memory);
}

static double bits_of(const double *logits, uint32_t symbols, uint8_t next)
{
    double top = -INFINITY;
    double sum = 0;
    for (uint32_t i = 0; i < symbols; i++) {
        top = fmax(top, logits[i]);
    }
    for (uint32_t i = 0; i < symbols; i++) {
        sum += exp(logits[i] - top);
    }
    return (log(sum) + top - logits[next]) / M_LN2;
}

static int64_t raw_of(const struct sb_tensor_desc *d, double real)
{
    double raw = floor(ldexp(real, d->quant.scale_shift) / d->quant.scale_mult + 0.5);
    raw += d->quant.zero_point;
    return raw <= (double)d->lo ? d->lo : raw >= (double)d->hi ? d->hi : (int64_t)raw;
}

static void run_integer(double *logits, uint32_t symbols, const struct sb_model *model,
                        const double *x)
{
    const struct sb_model_info *info = sb_model_info(model);
    sb_bytes inputs[SB_MODEL_INPUTS_MAX];
    uint8_t *outputs[SB_MODEL_OUTPUTS_MAX];
    struct sb_arena memory;
    sb_arena_init(&memory, (size_t)1 << 30);
    for (uint32_t n = 0; n < info->input_count; n++) {
        uint8_t *raw = sb_arena_alloc(&memory, (size_t)info->inputs[n].bytes);
        SB_ASSERT(raw != NULL);
        for (uint64_t i = 0; i < info->inputs[n].element_count; i++) {
            sb_raw_store(raw, info->inputs[n].desc.dtype, i, raw_of(&info->inputs[n].desc, *x++));
        }
        inputs[n] = sb_span(raw, (size_t)info->inputs[n].bytes);
    }
    for (uint32_t n = 0; n < info->output_count; n++) {
        outputs[n] = sb_arena_alloc(&memory, (size_t)info->outputs[n].bytes);
    }
    struct sb_run run = {.model = model, .inputs = inputs, .ret_outputs = outputs};
    run.scratch_bytes = (size_t)info->arena_bytes;
    run.scratch = sb_arena_alloc(&memory, run.scratch_bytes + 1);
    SB_ASSERT(run.scratch != NULL && sb_model_run(NULL, &run) == SB_OK);
    const struct sb_tensor_desc *d = &info->outputs[0].desc;
    for (uint32_t i = 0; i < symbols; i++) {
        int64_t v = sb_raw_load(outputs[0], d->dtype, i) - d->quant.zero_point;
        logits[i] = ldexp((double)v * d->quant.scale_mult, -d->quant.scale_shift);
    }
    sb_arena_fini(&memory);
}

int main(int argc, char **argv)
{
    static const struct option k_options[] = {
        {"precision", required_argument, NULL, 'p'},
        {"samples", required_argument, NULL, 'w'},
        {"calibrate", required_argument, NULL, 'c'},
        {"ratio-max", required_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    struct sb_compile_options options = sb_compile_options_default();
    uint64_t samples = 32;
    uint64_t rows = 16;
    double ratio_max = INFINITY;
    char dims[32];
    (void)snprintf(dims, sizeof dims, "past=%u", PAST);
    options.precision = SB_PRECISION_I8;
    options.measure_layers = false;
    options.dims = dims;
    for (int o = 0; (o = getopt_long(argc, argv, "", k_options, NULL)) != -1;) {
        if (o == 'p' && !sb_precision_parse(&options.precision, optarg)) {
            return 2;
        }
        samples = o == 'w' ? strtoull(optarg, NULL, 10) : samples;
        rows = o == 'c' ? strtoull(optarg, NULL, 10) : rows;
        ratio_max = o == 'r' ? strtod(optarg, NULL) : ratio_max;
    }
    if (argc - optind != 2) {
        fprintf(stderr, "usage: stepcheck MODEL.onnx TEXT [options]\n");
        return 2;
    }
    struct sb_buf onnx;
    struct sb_buf text;
    struct sb_buf file;
    struct sb_graph graph;
    struct sb_arena memory;
    struct sb_diag diag = {.text = ""};
    struct sb_report report = {0};
    struct sb_model *model = NULL;
    read_all(&onnx, argv[optind]);
    read_all(&text, argv[optind + 1]);
    sb_buf_init(&file, FILE_BYTES_MAX);
    sb_arena_init(&memory, (size_t)4 << 30);
    must(sb_onnx_load(&graph, sb_buf_bytes(&onnx), &memory, &diag), &diag);
    must(sb_passes_fix_dims(&graph, dims, &diag), &diag);
    must(sb_passes_fix_batch(&graph, 1, &diag), &diag);
    struct sb_dataset calibration = {.row_count = rows,
                                     .row_elements = sb_graph_input_elements(&graph)};
    double *x = calloc(calibration.row_elements, sizeof *x);
    calibration.x = calloc(rows * calibration.row_elements, sizeof *calibration.x);
    uint32_t symbols = 128;
    double logits[2][128];
    SB_ASSERT(x != NULL && calibration.x != NULL && text.len > (samples + rows) * (PAST + 2));
    for (uint64_t r = 0; r < rows; r++) {
        const uint8_t *window = text.data + text.len - (r + 1) * (PAST + 2);
        decode(calibration.x + r * calibration.row_elements, logits[0], symbols, &graph, window);
    }
    must(sb_compile(&file, &report, sb_buf_bytes(&onnx), &calibration, NULL, &options, &diag),
         &diag);
    must(sb_model_load(&model, sb_buf_bytes(&file), &diag), &diag);
    double bits[2] = {0, 0};
    for (uint64_t s = 0; s < samples; s++) {
        const uint8_t *window = text.data + s * (PAST + 2);
        decode(x, logits[0], symbols, &graph, window);
        run_integer(logits[1], symbols, model, x);
        bits[0] += bits_of(logits[0], symbols, window[PAST + 1]) / (double)samples;
        bits[1] += bits_of(logits[1], symbols, window[PAST + 1]) / (double)samples;
    }
    double ratio = exp2(bits[1] - bits[0]);
    printf("%s: float %.4f bits a byte, integers %.4f, perplexity ratio %.5f, %" PRIu64 " gas\n",
           sb_precision_name(options.precision), bits[0], bits[1], ratio,
           sb_cost_gas(&sb_model_info(model)->units, sb_rates_genesis()));
    sb_report_fini(&report);
    sb_model_free(model);
    sb_arena_fini(&memory);
    sb_buf_fini(&file);
    sb_buf_fini(&text);
    sb_buf_fini(&onnx);
    free(calibration.x);
    free(x);
    return ratio <= ratio_max ? 0 : 1;
}
