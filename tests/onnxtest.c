/* onnxtest.c: run ONNX backend node tests through the compiler and the engine.
 *
 *   DIR/<test>/model.onnx              --sb_compile--> model file --sb_model_run--> outputs as real numbers
 *   DIR/<test>/test_data_set_<n>/      input_<i>.pb: calibration and run            output_<i>.pb: compared with them
 *
 * A case is one data set. It is calibrated on its own inputs and compiled in fixed point (fx32); where an operator has no fx32 form, in i16.
 * Every output must have the shape of the expected one and, element by element, |y - ref| <= 1e-3 + 1e-3 |ref| if that is floating
 * point, y = ref if it is integer or bool.
 *
 * A model of the engine has fixed shapes and its parameters inside, while these tests hand over shapes, axes, bounds and weights as inputs. A
 * graph that is refused so is compiled a second time with all inputs but the first as constants, or all, if the first is a shape too ("bound"
 * in the summary).
 *
 * What the compiler refuses as not supported is skipped and named: "skip file::case operator X of opset N is not supported yet" where it
 * does not know the operator, its own message where it knows it but not this use. Inputs that are not finite are skipped too.
 *
 * Output: "FAIL file::case reason", "skip file::case reason", and at the end "N passed, M failed, K skipped"; exit status 0 only if M = 0
 * and N > 0. Form of the data: onnx/onnx, docs/OnnxBackendTest.md. */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util/arena.h"
#include "onnx.pb-c.h"
#include "tests/support/fixture.h"
#include "tests/support/kernel_level.h"
#include "vm/compiler/compile.h"
#include "vm/compiler/onnx.h"
#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/passes.h"
#include "vm/tensor/model.h"
#include "vm/tensor/run.h"

#define CASE_BYTES_MAX ((size_t)1 << 30)
#define FILE_BYTES_MAX ((size_t)64 << 20)
#define PATH_BYTES     1024
#define REASON_BYTES   512
#define SETS_MAX       16
#define TOLERANCE      1e-3 /* absolute, and relative to the expected value */

enum outcome { PASSED, FAILED, SKIPPED };

struct options {
    bool verbose;
    const char *filter;
};

struct totals {
    unsigned passed;
    unsigned failed;
    unsigned skipped;
    unsigned bound; /* of those that passed */
};

/* A tensor of the test data. */
struct sample {
    struct sb_array array;
    enum sb_elem elem;
    sb_bytes file;
};

/* One data set on its way. */
struct test_case {
    const struct options *options;
    struct sb_arena memory;
    const char *path;        /* of model.onnx */
    char folder[PATH_BYTES]; /* of the data set */
    sb_bytes onnx;
    uint32_t input_count;
    struct sample inputs[SB_MODEL_INPUTS_MAX];
    uint32_t output_count;
    struct sample outputs[SB_MODEL_OUTPUTS_MAX];
    bool bound;
    uint32_t
        free_inputs; /* when bound: those that are no constants: 1, or 0 if the first is a shape */
    char reason[REASON_BYTES];
};

static enum outcome settle(struct test_case *t, enum outcome outcome, const char *fmt, ...)
    SB_PRINTF(3, 4);
static enum outcome settle(struct test_case *t, enum outcome outcome, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(t->reason, sizeof t->reason, fmt, args);
    va_end(args);
    return outcome;
}

/* ---------------------------------------------------------------- test data */

/* The bytes of a file, in memory; false if it does not exist or is too long. */
static bool read_file(sb_bytes *ret, struct sb_arena *memory, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return false;
    }
    long len = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    bool ok = len >= 0 && (size_t)len <= FILE_BYTES_MAX && fseek(f, 0, SEEK_SET) == 0;
    uint8_t *bytes = ok ? sb_arena_alloc(memory, (size_t)len + 1) : NULL;
    ok = bytes != NULL && fread(bytes, 1, (size_t)len, f) == (size_t)len;
    (void)fclose(f);
    if (ok) {
        *ret = sb_span(bytes, (size_t)len);
    }
    return ok;
}

/* Samples <kind>_0.pb, <kind>_1.pb ... up to the first that is absent. */
static sb_err read_samples(uint32_t *ret_count, struct sample *ret, uint32_t max,
                           struct test_case *t, const char *kind, struct sb_diag *diag)
{
    char path[PATH_BYTES + 32];
    uint32_t count = 0;
    for (; count < max; count++) {
        struct sample *s = &ret[count];
        (void)snprintf(path, sizeof path, "%s/%s_%" PRIu32 ".pb", t->folder, kind, count);
        if (!read_file(&s->file, &t->memory, path)) {
            break;
        }
        sb_err err = sb_onnx_tensor(&s->array, &s->elem, s->file, &t->memory, diag);
        for (uint64_t i = 0; err == SB_OK && i < sb_array_count(&s->array); i++) {
            err = isfinite(s->array.data[i])
                      ? SB_OK
                      : sb_fail(diag, SB_E_RANGE, "element %" PRIu64 " is not finite", i);
        }
        if (err != SB_OK) {
            sb_diag_prefix(diag, "%s_%" PRIu32 ".pb", kind, count);
            return err;
        }
    }
    *ret_count = count;
    return SB_OK;
}

/* ---------------------------------------------------------------- the model */

/* The first operator that the compiler does not know; false if it knows all. */
static bool unknown_operator(struct test_case *t)
{
    SbOnnx__Model *m = sb_onnx__model__unpack(NULL, t->onnx.len, t->onnx.data);
    bool found = false;
    for (size_t i = 0; m != NULL && m->graph != NULL && !found && i < m->graph->n_node; i++) {
        const SbOnnx__Node *node = m->graph->node[i];
        const char *domain = node->domain != NULL ? node->domain : "";
        domain = strcmp(domain, "ai.onnx") == 0 ? "" : domain;
        found = sb_onnx_op_find(domain, node->op_type) == NULL;
        int64_t opset = 0;
        for (size_t k = 0; found && k < m->n_opset_import; k++) {
            const char *of = m->opset_import[k]->domain;
            of = of == NULL || strcmp(of, "ai.onnx") == 0 ? "" : of;
            opset = strcmp(of, domain) == 0 ? m->opset_import[k]->version : opset;
        }
        if (found) {
            (void)settle(t, SKIPPED, "operator %s%s%s of opset %" PRId64 " is not supported yet",
                         domain, domain[0] != '\0' ? "." : "", node->op_type, opset);
        }
    }
    if (m != NULL) {
        sb_onnx__model__free_unpacked(m, NULL);
    }
    return found;
}

static size_t varint_len(uint64_t value)
{
    size_t len = 1;
    for (; value >= 0x80; value >>= 7) {
        len++;
    }
    return len;
}

/* A protobuf field of bytes: tag and length; the bytes follow. */
static void put_field(struct sb_buf *out, uint8_t number, uint64_t len)
{
    sb_buf_add_byte(out, (uint8_t)(number << 3 | 2));
    for (; len >= 0x80; len >>= 7) {
        sb_buf_add_byte(out, (uint8_t)(len | 0x80));
    }
    sb_buf_add_byte(out, (uint8_t)len);
}

/* What is made of the first input of the graph says what shape a result has: only a constant can. */
static bool first_input_is_shape(struct test_case *t, const struct sb_graph *graph)
{
    bool *made_of_it = sb_arena_zalloc(&t->memory, graph->value_count * sizeof *made_of_it);
    if (made_of_it == NULL) {
        return false;
    }
    made_of_it[graph->inputs[0]] = true;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const struct sb_graph_node *node = &graph->nodes[n];
        bool any = false;
        for (uint32_t i = 0; i < node->input_count; i++) {
            bool here = node->inputs[i] != SB_NO_VALUE && made_of_it[node->inputs[i]];
            if (here && i >= sb_passes_first_shape_input(node)) {
                return true;
            }
            any = any || here;
        }
        bool shape_only =
            strcmp(node->op->name, "Shape") == 0 || strcmp(node->op->name, "Size") == 0;
        for (uint32_t i = 0; i < node->output_count; i++) {
            if (node->outputs[i] != SB_NO_VALUE) {
                made_of_it[node->outputs[i]] = any && !shape_only;
            }
        }
    }
    return false;
}

/* The model with inputs t->free_inputs .. as initialisers. Appended messages merge with those before them: ModelProto.graph (7) { initializer (5)
 * { the tensor's bytes, name (8) } }. */
static sb_err bind_inputs(struct sb_buf *ret_onnx, const struct test_case *t,
                          const struct sb_graph *graph)
{
    sb_buf_add(ret_onnx, t->onnx.data, t->onnx.len);
    for (uint32_t i = t->free_inputs; i < t->input_count; i++) {
        const char *name = graph->values[graph->inputs[i]].name;
        sb_bytes file = t->inputs[i].file;
        size_t tensor = file.len + 1 + varint_len(strlen(name)) + strlen(name);
        put_field(ret_onnx, 7, 1 + varint_len(tensor) + tensor);
        put_field(ret_onnx, 5, tensor);
        sb_buf_add(ret_onnx, file.data, file.len);
        put_field(ret_onnx, 8, strlen(name));
        sb_buf_add_str(ret_onnx, name);
    }
    return sb_buf_err(ret_onnx);
}

static sb_err compile(struct sb_buf *ret_file, struct test_case *t, sb_bytes onnx,
                      uint32_t input_count, struct sb_diag *diag)
{
    struct sb_compile_options options = sb_compile_options_default();
    struct sb_report report = {0};
    struct sb_dataset rows = {.row_count = 1};
    options.measure_layers = false;
    for (uint32_t i = 0; i < input_count; i++) {
        rows.row_elements += sb_array_count(&t->inputs[i].array);
    }
    rows.x = sb_arena_array(&t->memory, rows.row_elements, sizeof *rows.x);
    if (rows.x == NULL || (rows.row_elements == 0 && input_count > 0)) {
        return sb_fail(diag, SB_E_UNSUPPORTED, "tensors without elements");
    }
    for (uint32_t i = 0, at = 0; i < input_count; i++) {
        uint32_t count = (uint32_t)sb_array_count(&t->inputs[i].array);
        sb_copy(rows.x + at, t->inputs[i].array.data, count * sizeof *rows.x);
        at += count;
    }
    static const enum sb_precision k_precisions[] = {SB_PRECISION_FX32, SB_PRECISION_I16};
    sb_err err = SB_E_UNSUPPORTED;
    for (size_t i = 0; i < 2 && err == SB_E_UNSUPPORTED; i++) {
        options.precision = k_precisions[i];
        err = sb_compile(ret_file, &report, onnx, input_count > 0 ? &rows : NULL, NULL, &options,
                         diag);
    }
    if (err == SB_OK) {
        sb_report_fini(&report);
    }
    return err;
}

/* ---------------------------------------------------------------- running and comparing */

static int64_t raw_of(const struct sb_tensor_desc *d, double real)
{
    double half = d->rounding == SB_ROUND_FLOOR ? 0 : 0.5;
    double raw = floor(ldexp(real, d->quant.scale_shift) / d->quant.scale_mult + half);
    raw += d->quant.zero_point;
    return raw <= (double)d->lo ? d->lo : raw >= (double)d->hi ? d->hi : (int64_t)raw;
}

static double real_of(const struct sb_tensor_desc *d, int64_t raw)
{
    return ldexp((double)(raw - d->quant.zero_point) * d->quant.scale_mult,
                 -(int)d->quant.scale_shift);
}

static enum outcome compare(struct test_case *t, uint32_t output, const struct sb_model_io *got,
                            const uint8_t *raw)
{
    const struct sample *want = &t->outputs[output];
    if (!sb_shape_equal(&got->desc.shape, &want->array.shape)) {
        return settle(t, FAILED, "output %" PRIu32 " has another shape", output);
    }
    bool is_float = want->elem == SB_ELEM_FLOAT || want->elem == SB_ELEM_DOUBLE;
    for (uint64_t i = 0; i < got->element_count; i++) {
        double ref = want->array.data[i];
        double y = real_of(&got->desc, sb_raw_load(raw, got->desc.dtype, i));
        double allowed = is_float ? TOLERANCE + TOLERANCE * fabs(ref) : 0;
        if (!(fabs(y - ref) <= allowed)) {
            return settle(t, FAILED, "output %" PRIu32 ", element %" PRIu64 ": %.7g, expected %.7g",
                          output, i, y, ref);
        }
    }
    return PASSED;
}

static enum outcome run_loaded(struct test_case *t, const struct sb_model *model)
{
    const struct sb_model_info *info = sb_model_info(model);
    sb_bytes inputs[SB_MODEL_INPUTS_MAX];
    uint8_t *outputs[SB_MODEL_OUTPUTS_MAX];
    if (info->output_count != t->output_count || info->input_count > t->input_count) {
        return settle(t, FAILED,
                      "%" PRIu32 " inputs and %" PRIu32 " outputs, expected %" PRIu32
                      " and %" PRIu32,
                      info->input_count, info->output_count, t->input_count, t->output_count);
    }
    struct sb_run run = {.model = model, .inputs = inputs, .ret_outputs = outputs};
    run.scratch_bytes = (size_t)info->arena_bytes;
    run.scratch = sb_arena_alloc(&t->memory, run.scratch_bytes + 1);
    bool ok = run.scratch != NULL;
    for (uint32_t n = 0; ok && n < info->input_count; n++) {
        const struct sb_model_io *in = &info->inputs[n];
        uint8_t *raw = sb_arena_alloc(&t->memory, (size_t)in->bytes);
        ok = raw != NULL && in->element_count == sb_array_count(&t->inputs[n].array);
        for (uint64_t i = 0; ok && i < in->element_count; i++) {
            sb_raw_store(raw, in->desc.dtype, i, raw_of(&in->desc, t->inputs[n].array.data[i]));
        }
        inputs[n] = sb_span(raw, (size_t)in->bytes);
    }
    for (uint32_t n = 0; ok && n < info->output_count; n++) {
        outputs[n] = sb_arena_alloc(&t->memory, (size_t)info->outputs[n].bytes);
        ok = outputs[n] != NULL;
    }
    sb_err err = ok ? sb_model_run(NULL, &run) : SB_E_SHAPE;
    if (err != SB_OK) {
        return settle(t, FAILED, "the model did not run: %s", sb_err_text(err));
    }
    enum outcome outcome = PASSED;
    for (uint32_t n = 0; outcome == PASSED && n < info->output_count; n++) {
        outcome = compare(t, n, &info->outputs[n], outputs[n]);
    }
    return outcome;
}

/* Compile, as it is or bound, and run. ret_refused: the compiler refused it; then the reason is why. */
static enum outcome attempt(bool *ret_refused, struct test_case *t, const struct sb_graph *graph)
{
    struct sb_buf onnx;
    struct sb_buf file;
    struct sb_diag diag = {.text = ""};
    struct sb_model *model = NULL;
    enum outcome outcome = FAILED;
    sb_buf_init(&onnx, 2 * FILE_BYTES_MAX);
    sb_buf_init(&file, SB_MODEL_FILE_BYTES_MAX);
    sb_err err = t->bound ? bind_inputs(&onnx, t, graph) : SB_OK;
    err = err == SB_OK ? compile(&file, t, t->bound ? sb_buf_bytes(&onnx) : t->onnx,
                                 t->bound ? t->free_inputs : t->input_count, &diag)
                       : err;
    *ret_refused = err != SB_OK;
    if (err != SB_OK) {
        outcome = settle(t, err == SB_E_UNSUPPORTED ? SKIPPED : FAILED, "%s", diag.text);
    } else if (sb_model_load(&model, sb_buf_bytes(&file), &diag) != SB_OK) {
        outcome = settle(t, FAILED, "%s", diag.text);
    } else {
        sb_model_prepare(model, kernels_of_environment());
        outcome = run_loaded(t, model);
    }
    sb_model_free(model);
    sb_buf_fini(&file);
    sb_buf_fini(&onnx);
    return outcome;
}

static enum outcome run_case(struct test_case *t)
{
    struct sb_diag diag = {.text = ""};
    struct sb_graph graph;
    bool refused = false;
    if (!read_file(&t->onnx, &t->memory, t->path)) {
        return settle(t, FAILED, "the model cannot be read");
    }
    if (unknown_operator(t)) {
        return SKIPPED;
    }
    sb_err err = read_samples(&t->input_count, t->inputs, SB_MODEL_INPUTS_MAX, t, "input", &diag);
    if (err == SB_OK) {
        err = read_samples(&t->output_count, t->outputs, SB_MODEL_OUTPUTS_MAX, t, "output", &diag);
    }
    err = err == SB_OK ? sb_onnx_load(&graph, t->onnx, &t->memory, &diag) : err;
    if (err != SB_OK) {
        bool excluded = err == SB_E_UNSUPPORTED || err == SB_E_RANGE; /* RANGE: not finite */
        return settle(t, excluded ? SKIPPED : FAILED, "%s", diag.text);
    }
    if (graph.input_count != t->input_count) {
        return settle(t, FAILED, "%" PRIu32 " inputs for a graph of %" PRIu32, t->input_count,
                      graph.input_count);
    }
    enum outcome outcome = attempt(&refused, t, &graph);
    t->free_inputs = t->input_count > 0 && first_input_is_shape(t, &graph) ? 0 : 1;
    if (refused && t->input_count > t->free_inputs) {
        t->bound = true;
        outcome = attempt(&refused, t, &graph);
    }
    return outcome;
}

static void run_set(struct totals *totals, const struct options *options, const char *path,
                    unsigned set)
{
    struct test_case t = {.options = options, .path = path};
    (void)snprintf(t.folder, sizeof t.folder, "%.*s/test_data_set_%u",
                   (int)(strrchr(path, '/') - path), path, set);
    sb_arena_init(&t.memory, CASE_BYTES_MAX);
    enum outcome outcome = run_case(&t);
    sb_arena_fini(&t.memory);
    const char *name = strrchr(t.folder, '/') + 1;
    totals->passed += outcome == PASSED ? 1 : 0;
    totals->failed += outcome == FAILED ? 1 : 0;
    totals->skipped += outcome == SKIPPED ? 1 : 0;
    totals->bound += outcome == PASSED && t.bound ? 1 : 0;
    if (outcome == FAILED) {
        printf("FAIL %s::%s %s\n", path, name, t.reason);
    } else if (outcome == SKIPPED) {
        printf("skip %s::%s %s\n", path, name, t.reason);
    } else if (options->verbose) {
        printf("pass %s::%s%s\n", path, name, t.bound ? " (bound)" : "");
    }
}

/* All data sets beside a model. */
static void run_file(struct totals *totals, const struct options *options, const char *path)
{
    char sample[PATH_BYTES];
    if (strchr(path, '/') == NULL || strlen(path) > PATH_BYTES / 2) {
        printf("FAIL %s:: name the folder of the test\n", path);
        totals->failed++;
        return;
    }
    unsigned set = 0;
    for (; set < SETS_MAX; set++) {
        (void)snprintf(sample, sizeof sample, "%.*s/test_data_set_%u/output_0.pb",
                       (int)(strrchr(path, '/') - path), path, set);
        FILE *f = fopen(sample, "rb");
        if (f == NULL) {
            break;
        }
        (void)fclose(f);
        run_set(totals, options, path, set);
    }
    if (set == 0) {
        printf("FAIL %s:: no test_data_set_0 beside it\n", path);
        totals->failed++;
    }
}

/* ---------------------------------------------------------------- command line */

static const char k_usage[] =
    "usage: onnxtest [-v] [-k TEXT] DIR...\n"
    "Run ONNX backend node tests: every DIR/**/model.onnx with its test_data_set_<n>.\n"
    "  -k, --filter TEXT  only tests whose path contains TEXT\n"
    "  -v, --verbose      name the tests that pass as well\n"
    "example: onnxtest -k maxpool build/conformance/onnx-node/dev\n";

static bool parse_options(struct options *options, int argc, char **argv)
{
    static const struct option longs[] = {{"filter", required_argument, NULL, 'k'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    for (int c = 0; (c = getopt_long(argc, argv, "k:vh", longs, NULL)) != -1;) {
        switch (c) {
        case 'k':
            options->filter = optarg;
            break;
        case 'v':
            options->verbose = true;
            break;
        case 'h':
            fputs(k_usage, stdout);
            exit(0);
        default:
            return false;
        }
    }
    return optind < argc;
}

int main(int argc, char **argv)
{
    struct options options = {.verbose = false};
    struct totals totals = {0};
    struct sb_file_list files = {.names = NULL};
    if (!parse_options(&options, argc, argv)) {
        fputs(k_usage, stderr);
        return 2;
    }
    for (int i = optind; i < argc; i++) {
        if (!sb_file_list_add(&files, argv[i], "model.onnx")) {
            printf("FAIL %s:: cannot be read\n", argv[i]);
            totals.failed++;
        }
    }
    for (size_t i = 0; i < files.count; i++) {
        if (options.filter == NULL || strstr(files.names[i], options.filter) != NULL) {
            run_file(&totals, &options, files.names[i]);
        }
    }
    sb_file_list_fini(&files);
    printf("%u of those that passed have inputs as constants\n", totals.bound);
    printf("%u passed, %u failed, %u skipped\n", totals.passed, totals.failed, totals.skipped);
    return totals.failed == 0 && totals.passed > 0 ? 0 : 1;
}
