/* measure.c: see measure.h. */
#include "vm/compiler/measure.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "vm/compiler/eval.h"
#include "vm/compiler/onnx_ops.h"
#include "vm/tensor/model.h"
#include "vm/tensor/ops.h"
#include "vm/tensor/run.h"

#define PROBES 32

/* ---- running a model on real numbers ---- */

struct runner {
    struct sb_model *model;
    const struct sb_model_info *info;
    uint64_t input_elements; /* of all inputs */
    uint8_t *inputs[SB_MODEL_INPUTS_MAX];
    uint8_t *outputs[SB_MODEL_OUTPUTS_MAX];
    void *scratch;
};

static void runner_fini(struct runner *r)
{
    for (uint32_t i = 0; i < SB_MODEL_OUTPUTS_MAX; i++) {
        free(r->outputs[i]);
    }
    for (uint32_t i = 0; i < SB_MODEL_INPUTS_MAX; i++) {
        free(r->inputs[i]);
    }
    free(r->scratch);
    sb_model_free(r->model);
}

static sb_err runner_init(struct runner *r, sb_bytes file, struct sb_diag *diag)
{
    *r = (struct runner){0};
    SB_TRY(sb_model_load(&r->model, file, diag));
    r->info = sb_model_info(r->model);
    r->scratch = aligned_alloc(64, ((size_t)r->info->arena_bytes + 127) / 64 * 64);
    bool ok = r->scratch != NULL;
    for (uint32_t i = 0; i < r->info->input_count; i++) {
        r->input_elements += r->info->inputs[i].element_count;
        r->inputs[i] = malloc((size_t)r->info->inputs[i].bytes);
        ok = ok && r->inputs[i] != NULL;
    }
    for (uint32_t i = 0; i < r->info->output_count; i++) {
        r->outputs[i] = malloc((size_t)r->info->outputs[i].bytes);
        ok = ok && r->outputs[i] != NULL;
    }
    return ok ? SB_OK : sb_fail(diag, SB_E_NOMEM, "out of memory for a run");
}

static int64_t raw_of(const struct sb_tensor_desc *d, double real)
{
    double raw = real * ldexp(1, d->quant.scale_shift) / d->quant.scale_mult;
    raw = d->rounding == SB_ROUND_FLOOR ? floor(raw) : floor(raw + 0.5);
    raw += d->quant.zero_point;
    return raw <= (double)d->lo ? d->lo : raw >= (double)d->hi ? d->hi : (int64_t)raw;
}

static double real_of(const struct sb_tensor_desc *d, int64_t raw)
{
    return ldexp((double)(raw - d->quant.zero_point) * d->quant.scale_mult,
                 -(int)d->quant.scale_shift);
}

static sb_err runner_run(struct runner *r, const double *x, struct sb_diag *diag)
{
    sb_bytes inputs[SB_MODEL_INPUTS_MAX];
    for (uint32_t n = 0; n < r->info->input_count; n++) {
        const struct sb_model_io *in = &r->info->inputs[n];
        for (uint64_t i = 0; i < in->element_count; i++) {
            sb_raw_store(r->inputs[n], in->desc.dtype, i, raw_of(&in->desc, *x++));
        }
        inputs[n] = sb_span(r->inputs[n], (size_t)in->bytes);
    }
    struct sb_run run = {
        .model = r->model,
        .inputs = inputs,
        .ret_outputs = r->outputs,
        .scratch = r->scratch,
        .scratch_bytes = (size_t)r->info->arena_bytes,
    };
    sb_err err = sb_model_run(NULL, &run);
    return err == SB_OK ? SB_OK : sb_fail(diag, err, "the model did not run");
}

static double output_at(const struct runner *r, uint32_t output, uint64_t i)
{
    const struct sb_tensor_desc *d = &r->info->outputs[output].desc;
    return real_of(d, sb_raw_load(r->outputs[output], d->dtype, i));
}

/* ---- facts of the file ---- */

sb_err sb_measure_batch(uint32_t *ret, sb_bytes file, struct sb_diag *diag)
{
    struct sb_model *model = NULL;
    SB_TRY(sb_model_load(&model, file, diag));
    const struct sb_shape *shape = &sb_model_info(model)->inputs[0].desc.shape;
    *ret = shape->rank > 0 ? shape->dims[0] : 1;
    sb_model_free(model);
    return SB_OK;
}

sb_err sb_measure_model(struct sb_report *report, sb_bytes file, struct sb_diag *diag)
{
    struct sb_model *model = NULL;
    SB_TRY(sb_model_load(&model, file, diag));
    const struct sb_model_info *info = sb_model_info(model);
    (void)snprintf(report->name, sizeof report->name, "%s", info->name);
    report->nodes = info->node_count;
    report->file_bytes = info->file_bytes;
    report->const_bytes = info->const_bytes;
    report->arena_bytes = info->arena_bytes;
    report->gas_warm = sb_cost_gas(&info->units, sb_rates_genesis());
    report->gas_cold = sb_cost_cold_gas(info->file_bytes, sb_rates_genesis());
    for (uint32_t i = 0; i < info->op_use_count && i < SB_REPORT_OPS_MAX; i++) {
        const struct sb_model_op_use *use = &info->op_uses[i];
        const struct sb_op_facts *facts = sb_op_find(use->op_id, use->op_version);
        struct sb_report_op *op = &report->ops[report->op_count++];
        (void)snprintf(op->name, sizeof op->name, "%s", facts != NULL ? facts->name : "?");
        op->version = use->op_version;
        op->count = use->node_count;
    }
    sb_model_free(model);
    return SB_OK;
}

/* ---- the reference ---- */

/* Evaluate the graph on a batch; arrays [value_count] are in memory. */
static sb_err eval_batch(struct sb_array **ret_arrays, const struct sb_graph *graph,
                         const double *x, struct sb_arena *memory, struct sb_diag *diag)
{
    struct sb_array *arrays = sb_arena_zalloc(memory, graph->value_count * sizeof *arrays);
    uint64_t count = sb_graph_input_elements(graph);
    double *input = sb_arena_array(memory, count, sizeof *input);
    if (arrays == NULL || input == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory for the float model");
    }
    memcpy(input, x, count * sizeof *input);
    sb_eval_inputs(arrays, graph, input);
    SB_TRY(sb_eval_graph(arrays, graph, memory, diag));
    *ret_arrays = arrays;
    return SB_OK;
}

/* ---- classes ---- */

/* How outputs become a class. */
struct decision {
    bool classifies;
    uint32_t output;
    bool is_label;     /* the output is the class */
    double threshold;  /* for one score */
    uint64_t elements; /* of the output in one row */
};

static bool is_label_output(const struct sb_tensor_desc *d)
{
    return d->quant.scale_mult == 1 && d->quant.scale_shift == 0 &&
           (d->dtype == SB_DTYPE_I32 || d->dtype == SB_DTYPE_I64);
}

static bool is_probability(const struct sb_graph *g, uint32_t output)
{
    uint32_t writer = g->values[g->outputs[output]].writer;
    return writer != SB_NO_VALUE && g->nodes[writer].op->id == SB_ONNX_SIGMOID;
}

static struct decision decide(const struct sb_model_info *info, const struct sb_graph *g,
                              const struct sb_dataset *rows, uint64_t batch)
{
    struct decision d = {0};
    for (uint32_t i = 0; i < info->output_count && !d.is_label; i++) {
        d.is_label = is_label_output(&info->outputs[i].desc);
        d.output = d.is_label ? i : 0;
    }
    d.elements = info->outputs[d.output].element_count / batch;
    d.threshold = is_probability(g, d.output) ? 0.5 : 0;
    bool scores = d.elements > 1 && d.elements != rows->row_elements;
    bool binary = d.elements == 1 && rows->y_is_class;
    d.classifies = (d.is_label && d.elements == 1) ||
                   ((rows->y == NULL || rows->y_is_class) && (scores || binary));
    return d;
}

static double class_of(const struct decision *d, const double *scores)
{
    uint64_t best = 0;
    if (d->is_label) {
        return nearbyint(scores[0]);
    }
    if (d->elements == 1) {
        return scores[0] > d->threshold ? 1 : 0;
    }
    for (uint64_t i = 1; i < d->elements; i++) {
        best = scores[i] > scores[best] ? i : best;
    }
    return (double)best;
}

/* ---- accuracy ---- */

struct sums {
    double error_squares;
    double float_squares;
    double float_target_squares;
    double integer_target_squares;
    uint64_t elements;
    uint64_t target_elements;
};

static void add_row(struct sb_report_accuracy *a, struct sums *s, const struct decision *d,
                    const struct sb_dataset *rows, uint64_t row, const double *integer,
                    const double *real)
{
    a->rows++;
    if (d->classifies) {
        double got = class_of(d, integer);
        double wanted = class_of(d, real);
        a->agree += got == wanted ? 1 : 0;
        if (rows->y_is_class) {
            a->labelled_rows++;
            a->float_right += wanted == rows->y[row] ? 1 : 0;
            a->integer_right += got == rows->y[row] ? 1 : 0;
        }
    } else if (rows->y != NULL && rows->y_elements == d->elements) {
        for (uint64_t i = 0; i < d->elements; i++) {
            double target = rows->y[row * rows->y_elements + i];
            s->float_target_squares += (real[i] - target) * (real[i] - target);
            s->integer_target_squares += (integer[i] - target) * (integer[i] - target);
            s->target_elements++;
        }
    }
}

static void add_errors(struct sb_report_accuracy *a, struct sums *s, const double *integer,
                       const double *real, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        double error = integer[i] - real[i];
        a->output_error_max = fmax(a->output_error_max, fabs(error));
        s->error_squares += error * error;
        s->float_squares += real[i] * real[i];
        s->elements++;
    }
}

static sb_err measure_batch_at(struct sb_report_accuracy *a, struct sums *s, struct runner *r,
                               const struct sb_graph *g, const struct sb_dataset *rows,
                               uint64_t first, struct sb_arena *memory, struct sb_diag *diag)
{
    uint64_t inputs = r->input_elements;
    uint64_t batch = inputs / rows->row_elements;
    struct decision d = decide(r->info, g, rows, batch);
    double *x = sb_arena_array(memory, inputs, sizeof *x);
    struct sb_array *arrays = NULL;
    if (x == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory for a batch");
    }
    sb_feed(x, rows, first, batch);
    SB_TRY(runner_run(r, x, diag));
    SB_TRY(eval_batch(&arrays, g, x, memory, diag));
    for (uint32_t o = 0; o < r->info->output_count; o++) {
        const struct sb_array *real = &arrays[g->outputs[o]];
        uint64_t count = r->info->outputs[o].element_count;
        double *integer = sb_arena_array(memory, count, sizeof *integer);
        if (integer == NULL || sb_array_count(real) != count) {
            return sb_fail(diag, SB_E_SHAPE, "output %u of the model has another size", o);
        }
        for (uint64_t i = 0; i < count; i++) {
            integer[i] = output_at(r, o, i);
        }
        if (!is_label_output(&r->info->outputs[o].desc)) {
            add_errors(a, s, integer, real->data, count);
        }
        for (uint64_t b = 0; o == d.output && b < batch && first + b < rows->row_count; b++) {
            add_row(a, s, &d, rows, first + b, integer + b * d.elements,
                    real->data + b * d.elements);
        }
    }
    a->is_classifier = d.classifies;
    return SB_OK;
}

static sb_err measure_rows(struct sb_report_accuracy *ret, struct runner *r,
                           const struct sb_graph *g, const struct sb_dataset *rows,
                           struct sb_diag *diag)
{
    struct sb_report_accuracy a = {0};
    struct sums s = {0};
    struct sb_arena memory;
    sb_err err = SB_OK;
    uint64_t batch = r->input_elements / rows->row_elements;
    if (batch == 0 || r->info->output_count != g->output_count) {
        return sb_fail(diag, SB_E_ARG, "the model file was not made from this ONNX model");
    }
    sb_arena_init(&memory, SB_GRAPH_BYTES_MAX);
    for (uint64_t row = 0; err == SB_OK && row < rows->row_count; row += batch) {
        err = measure_batch_at(&a, &s, r, g, rows, row, &memory, diag);
        sb_arena_reset(&memory);
    }
    sb_arena_fini(&memory);
    if (err != SB_OK) {
        return err;
    }
    if (s.elements > 0) {
        a.output_error_rms = sqrt(s.error_squares / (double)s.elements);
        a.output_error_relative = s.float_squares > 0 ? sqrt(s.error_squares / s.float_squares) : 0;
    }
    if (s.target_elements > 0) {
        a.float_mse = s.float_target_squares / (double)s.target_elements;
        a.integer_mse = s.integer_target_squares / (double)s.target_elements;
    }
    *ret = a;
    return SB_OK;
}

sb_err sb_measure_accuracy(struct sb_report_accuracy *ret, sb_bytes file,
                           const struct sb_graph *reference, const struct sb_dataset *rows,
                           struct sb_diag *diag)
{
    struct runner r;
    sb_err err = runner_init(&r, file, diag);
    err = err == SB_OK ? measure_rows(ret, &r, reference, rows, diag) : err;
    runner_fini(&r);
    return err;
}

/* ---- layers ---- */

struct layer_sums {
    double error_squares;
    double float_squares;
    uint64_t elements;
};

/* Element of the tensor that holds ONNX element i. */
static uint64_t held_at(const struct sb_lowered *x, uint64_t i)
{
    uint64_t channels = 1;
    uint64_t plane = 1;
    const uint32_t *d = x->shape.dims;
    if (x->layout == SB_LAYOUT_NHWC) {
        channels = d[3];
        plane = (uint64_t)d[1] * d[2];
    } else if (x->layout == SB_LAYOUT_FLAT) {
        channels = x->flat_channels;
        plane = d[1] / channels;
    }
    uint64_t image = i / (channels * plane) * channels * plane;
    return image + i % plane * channels + i / plane % channels;
}

static void compare_layer(struct sb_report_layer *layer, struct layer_sums *s,
                          const struct runner *r, uint32_t output, const struct sb_lowered *held,
                          const struct sb_array *real)
{
    uint64_t count = sb_array_count(real);
    for (uint64_t i = 0; i < count; i++) {
        double error = output_at(r, output, held_at(held, i)) - real->data[i];
        layer->error_max = fmax(layer->error_max, fabs(error));
        layer->float_max = fmax(layer->float_max, fabs(real->data[i]));
        s->error_squares += error * error;
        s->float_squares += real->data[i] * real->data[i];
        s->elements++;
    }
}

/* The values that one probing model shows: those asked for, then the model's own outputs. */
struct probe {
    struct sb_lowering *l;
    struct runner runner;
    uint32_t values[SB_MODEL_OUTPUTS_MAX];
    struct layer_sums sums[SB_MODEL_OUTPUTS_MAX];
    struct sb_report_layer *layers; /* [output_count] */
};

static sb_err probe_rows(struct probe *p, const struct sb_dataset *rows)
{
    const struct sb_lowering *l = p->l;
    struct sb_arena memory;
    sb_err err = SB_OK;
    uint64_t inputs = p->runner.input_elements;
    uint64_t batch = inputs / rows->row_elements;
    sb_arena_init(&memory, SB_GRAPH_BYTES_MAX);
    for (uint64_t row = 0; err == SB_OK && row < rows->row_count; row += batch) {
        double *x = sb_arena_array(&memory, inputs, sizeof *x);
        struct sb_array *arrays = NULL;
        if (x == NULL) {
            err = sb_fail(l->diag, SB_E_NOMEM, "out of memory for a batch");
            break;
        }
        sb_feed(x, rows, row, batch);
        err = runner_run(&p->runner, x, l->diag);
        err = err == SB_OK ? eval_batch(&arrays, l->graph, x, &memory, l->diag) : err;
        for (uint32_t o = 0; err == SB_OK && o < p->runner.info->output_count; o++) {
            compare_layer(&p->layers[o], &p->sums[o], &p->runner, o, &l->lowered[p->values[o]],
                          &arrays[p->values[o]]);
        }
        sb_arena_reset(&memory);
    }
    sb_arena_fini(&memory);
    return err;
}

static void describe_layers(struct probe *p)
{
    const struct sb_lowering *l = p->l;
    for (uint32_t o = 0; o < p->runner.info->output_count; o++) {
        struct sb_report_layer *layer = &p->layers[o];
        const struct layer_sums *s = &p->sums[o];
        uint32_t value = p->values[o];
        const char *op = l->ops[value] != NULL ? l->ops[value] : "INPUT";
        (void)snprintf(layer->name, sizeof layer->name, "%s", l->graph->values[value].name);
        (void)snprintf(layer->op, sizeof layer->op, "%s", op);
        (void)snprintf(layer->dtype, sizeof layer->dtype, "%s",
                       sb_dtype_name(p->runner.info->outputs[o].desc.dtype));
        layer->elements = p->runner.info->outputs[o].element_count;
        layer->error_rms = s->elements > 0 ? sqrt(s->error_squares / (double)s->elements) : 0;
        layer->error_relative =
            s->float_squares > 0 ? sqrt(s->error_squares / s->float_squares) : 0;
    }
}

static sb_err probe_file(struct probe *p, sb_bytes file, const struct sb_dataset *rows)
{
    struct sb_lowering *l = p->l;
    SB_TRY(runner_init(&p->runner, file, l->diag));
    for (uint32_t i = 0; i < l->graph->output_count; i++) {
        p->values[i] = l->graph->outputs[i];
    }
    for (uint32_t i = 0; i < l->probed_count; i++) {
        p->values[l->graph->output_count + i] = l->probed[i];
    }
    SB_TRY(probe_rows(p, rows));
    describe_layers(p);
    return SB_OK;
}

/* Measure one group of values; layers of the model's own outputs are kept from the last group. */
static sb_err probe_group(struct sb_report *report, struct sb_lowering *l,
                          const struct sb_dataset *rows, struct sb_report_layer *outputs)
{
    struct sb_report_layer *layers =
        sb_arena_zalloc(l->memory, SB_MODEL_OUTPUTS_MAX * sizeof *layers);
    struct probe p = {.l = l, .layers = layers};
    struct sb_buf file;
    if (layers == NULL) {
        return sb_fail(l->diag, SB_E_NOMEM, "out of memory for the report");
    }
    sb_buf_init(&file, SB_MODEL_FILE_BYTES_MAX);
    sb_err err = sb_lower(&file, l);
    err = err == SB_OK ? probe_file(&p, sb_buf_bytes(&file), rows) : err;
    runner_fini(&p.runner);
    sb_buf_fini(&file);
    if (err != SB_OK) {
        return err;
    }
    memcpy(outputs, layers, l->graph->output_count * sizeof *layers);
    struct sb_report_layer *grown =
        realloc(report->layers, (report->layer_count + l->probed_count + 1) * sizeof *grown);
    if (grown == NULL) {
        return sb_fail(l->diag, SB_E_NOMEM, "out of memory for the report");
    }
    report->layers = grown;
    sb_copy(grown + report->layer_count, layers + l->graph->output_count,
            l->probed_count * sizeof *layers);
    report->layer_count += l->probed_count;
    return SB_OK;
}

sb_err sb_measure_layers(struct sb_report *report, struct sb_lowering *lowering,
                         const struct sb_dataset *rows)
{
    uint32_t own = lowering->graph->output_count;
    struct sb_report_layer *outputs = sb_arena_array(lowering->memory, own, sizeof *outputs);
    if (outputs == NULL) {
        return sb_fail(lowering->diag, SB_E_NOMEM, "out of memory for the report");
    }
    lowering->probe_count =
        SB_MODEL_OUTPUTS_MAX - own < PROBES ? SB_MODEL_OUTPUTS_MAX - own : PROBES;
    lowering->probe_first = 0;
    do {
        struct sb_arena_mark mark = sb_arena_mark(lowering->memory);
        sb_err err = probe_group(report, lowering, rows, outputs);
        sb_arena_rewind(lowering->memory, mark);
        SB_TRY(err);
        lowering->probe_first += lowering->probe_count;
    } while (lowering->probe_count > 0 && lowering->probe_first < lowering->order_count &&
             report->layer_count < SB_REPORT_LAYERS_MAX);
    struct sb_report_layer *grown =
        realloc(report->layers, (report->layer_count + own) * sizeof *grown);
    if (grown == NULL) {
        return sb_fail(lowering->diag, SB_E_NOMEM, "out of memory for the report");
    }
    report->layers = grown;
    memcpy(grown + report->layer_count, outputs, own * sizeof *grown);
    report->layer_count += own;
    return SB_OK;
}
