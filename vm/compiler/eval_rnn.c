/* eval_rnn.c: the float reference of RNN, GRU and LSTM. See rnn.h and eval.h. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "vm/compiler/eval_ops.h"
#include "vm/compiler/onnx_ops.h"
#include "vm/compiler/rnn.h"

/* ---- what the node says ---- */

static const char *const k_defaults[5][3] = {
    [1] = {"Tanh"}, [3] = {"Sigmoid", "Tanh"}, [4] = {"Sigmoid", "Tanh", "Tanh"}};

static sb_err read_activations(struct sb_rnn *r, const struct sb_eval *e)
{
    static const char *const known[] = {"Sigmoid",         "Tanh",        "Relu", "LeakyRelu",
                                        "ThresholdedRelu", "HardSigmoid", "Elu",  "Softsign",
                                        "Softplus"};
    const struct sb_attr *names = sb_graph_attr(e->node, "activations");
    size_t alphas = 0;
    size_t betas = 0;
    const double *alpha = sb_graph_attr_floats(&alphas, e->node, "activation_alpha");
    const double *beta = sb_graph_attr_floats(&betas, e->node, "activation_beta");
    r->per_direction = r->gates == 1 ? 1 : r->gates == 3 ? 2 : 3;
    uint32_t count = r->per_direction * r->dirs;
    bool given = names != NULL && names->kind == SB_ATTR_KIND_STRINGS;
    if (given && names->count != count) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "%zu activations instead of %u",
                             names->count, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *name = given ? names->strings[i] : k_defaults[r->gates][i % r->per_direction];
        bool found = false;
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
            found = found || strcmp(known[k], name) == 0;
        }
        if (!found) {
            return sb_graph_fail(e->diag, SB_E_UNSUPPORTED, e->node,
                                 "activation '%s'; use Sigmoid, Tanh or a form of Relu", name);
        }
        r->activation[i] = (struct sb_rnn_activation){
            .name = name,
            .alpha = alpha != NULL && i < alphas ? alpha[i] : (double)NAN,
            .beta = beta != NULL && i < betas ? beta[i] : (double)NAN};
    }
    return SB_OK;
}

static bool has_shape(const struct sb_eval *e, uint32_t input, uint32_t rank, uint32_t a,
                      uint32_t b, uint32_t c)
{
    const struct sb_array *in = input < e->node->input_count ? e->in[input] : NULL;
    const uint32_t want[3] = {a, b, c};
    if (in == NULL) {
        return true;
    }
    for (uint32_t i = 0; i < rank; i++) {
        if (in->shape.rank != rank || in->shape.dims[i] != want[i]) {
            return false;
        }
    }
    return true;
}

sb_err sb_rnn_of(struct sb_rnn *ret, const struct sb_eval *e)
{
    enum sb_onnx_op_id op = e->node->op->id;
    const char *direction = sb_graph_attr_string(e->node, "direction", "forward");
    const struct sb_shape *x = &e->in[SB_RNN_X]->shape;
    const struct sb_shape *recurrent = &e->in[SB_RNN_R]->shape;
    struct sb_rnn r = {
        .gates = op == SB_ONNX_RNN   ? 1
                 : op == SB_ONNX_GRU ? 3
                                     : 4,
        .dirs = strcmp(direction, "bidirectional") == 0 ? 2 : 1,
        .reverse = strcmp(direction, "reverse") == 0,
        .batch_first = sb_graph_attr_int(e->node, "layout", 0) != 0,
        .linear_before_reset = sb_graph_attr_int(e->node, "linear_before_reset", 0) != 0,
        .input_forget = sb_graph_attr_int(e->node, "input_forget", 0) != 0,
        .clip = sb_graph_attr_float(e->node, "clip", (double)INFINITY),
    };
    if (x->rank != 3 || recurrent->rank != 3) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "X and R have three dimensions");
    }
    r.seq = x->dims[r.batch_first ? 1 : 0];
    r.batch = x->dims[r.batch_first ? 0 : 1];
    r.input = x->dims[2];
    r.hidden = recurrent->dims[2];
    uint32_t rows = r.gates * r.hidden;
    uint32_t first = r.batch_first ? r.batch : r.dirs;
    uint32_t second = r.batch_first ? r.dirs : r.batch;
    if (r.seq == 0 || r.batch == 0 || r.input == 0 || r.hidden == 0 ||
        !has_shape(e, SB_RNN_W, 3, r.dirs, rows, r.input) ||
        !has_shape(e, SB_RNN_R, 3, r.dirs, rows, r.hidden) ||
        !has_shape(e, SB_RNN_B, 2, r.dirs, 2 * rows, 0) ||
        !has_shape(e, SB_RNN_LENS, 1, r.batch, 0, 0) ||
        !has_shape(e, SB_RNN_H, 3, first, second, r.hidden) ||
        !has_shape(e, SB_RNN_C, 3, first, second, r.hidden) ||
        !has_shape(e, SB_RNN_P, 2, r.dirs, 3 * r.hidden, 0)) {
        return sb_graph_fail(e->diag, SB_E_SHAPE, e->node, "the shapes of its inputs do not fit");
    }
    SB_TRY(read_activations(&r, e));
    *ret = r;
    return SB_OK;
}

/* ---- reference ---- */

static double activate(const struct sb_rnn *r, const struct sb_rnn_activation *a, double x)
{
    static const struct {
        const char *name;
        double alpha;
        double beta;
    } defaults[] = {{"LeakyRelu", 0.01, 0},
                    {"ThresholdedRelu", 1, 0},
                    {"HardSigmoid", 0.2, 0.5},
                    {"Elu", 1, 0}};
    double alpha = a->alpha;
    double beta = a->beta;
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        if (strcmp(a->name, defaults[i].name) == 0) {
            alpha = isnan(alpha) ? defaults[i].alpha : alpha;
            beta = isnan(beta) ? defaults[i].beta : beta;
        }
    }
    x = fmax(-r->clip, fmin(r->clip, x));
    return strcmp(a->name, "Sigmoid") == 0           ? 1 / (1 + exp(-x))
           : strcmp(a->name, "Tanh") == 0            ? tanh(x)
           : strcmp(a->name, "Relu") == 0            ? fmax(0, x)
           : strcmp(a->name, "LeakyRelu") == 0       ? (x >= 0 ? x : alpha * x)
           : strcmp(a->name, "ThresholdedRelu") == 0 ? (x > alpha ? x : 0)
           : strcmp(a->name, "HardSigmoid") == 0     ? fmax(0, fmin(1, alpha * x + beta))
           : strcmp(a->name, "Elu") == 0             ? (x >= 0 ? x : alpha * (exp(x) - 1))
           : strcmp(a->name, "Softsign") == 0        ? x / (1 + fabs(x))
                                                     : fmax(x, 0) + log1p(exp(-fabs(x)));
}

/* One direction of one sequence. */
struct cell {
    const struct sb_rnn *r;
    const struct sb_rnn_activation *act;
    const double *w;
    const double *recurrent;
    const double *wb; /* [gates * hidden], or NULL */
    const double *rb;
    const double *p; /* [3 * hidden], or NULL */
    const double *x; /* [input] */
    double *h;       /* [hidden]: state */
    double *c;       /* LSTM */
    double *next;    /* [hidden] */
    double *scratch; /* [hidden] */
};

static double dot(const double *a, const double *b, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

static double from_x(const struct cell *k, uint32_t row)
{
    return dot(k->w + (uint64_t)row * k->r->input, k->x, k->r->input) +
           (k->wb != NULL ? k->wb[row] : 0);
}

static double from_state(const struct cell *k, uint32_t row, const double *state)
{
    return dot(k->recurrent + (uint64_t)row * k->r->hidden, state, k->r->hidden) +
           (k->rb != NULL ? k->rb[row] : 0);
}

static void step_gru(const struct cell *k)
{
    uint32_t n = k->r->hidden;
    for (uint32_t i = 0; i < n; i++) {
        double reset = activate(k->r, &k->act[0], from_x(k, n + i) + from_state(k, n + i, k->h));
        k->scratch[i] = k->r->linear_before_reset ? reset : reset * k->h[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        double z = activate(k->r, &k->act[0], from_x(k, i) + from_state(k, i, k->h));
        double state = k->r->linear_before_reset ? k->scratch[i] * from_state(k, 2 * n + i, k->h)
                                                 : from_state(k, 2 * n + i, k->scratch);
        double h = activate(k->r, &k->act[1], from_x(k, 2 * n + i) + state);
        k->next[i] = (1 - z) * h + z * k->h[i];
    }
    memcpy(k->h, k->next, n * sizeof *k->h);
}

static void step_lstm(const struct cell *k)
{
    uint32_t n = k->r->hidden;
    for (uint32_t i = 0; i < n; i++) {
        double pre[4];
        for (uint32_t g = 0; g < 4; g++) {
            pre[g] = from_x(k, g * n + i) + from_state(k, g * n + i, k->h);
        }
        double in = activate(k->r, &k->act[0], pre[0] + (k->p != NULL ? k->p[i] * k->c[i] : 0));
        double forget = k->r->input_forget
                            ? 1 - in
                            : activate(k->r, &k->act[0],
                                       pre[2] + (k->p != NULL ? k->p[2 * n + i] * k->c[i] : 0));
        k->c[i] = forget * k->c[i] + in * activate(k->r, &k->act[1], pre[3]);
        double out =
            activate(k->r, &k->act[0], pre[1] + (k->p != NULL ? k->p[n + i] * k->c[i] : 0));
        struct sb_rnn unclipped = *k->r;
        unclipped.clip = (double)INFINITY;
        k->next[i] = out * activate(&unclipped, &k->act[2], k->c[i]);
    }
    memcpy(k->h, k->next, n * sizeof *k->h);
}

static void step(const struct cell *k)
{
    uint32_t n = k->r->hidden;
    if (k->r->gates == 3) {
        step_gru(k);
    } else if (k->r->gates == 4) {
        step_lstm(k);
    } else {
        for (uint32_t i = 0; i < n; i++) {
            k->next[i] = activate(k->r, &k->act[0], from_x(k, i) + from_state(k, i, k->h));
        }
        memcpy(k->h, k->next, n * sizeof *k->h);
    }
}

/* Element 0 of a row of hidden elements for (direction, batch) of a state, or (step, direction, batch) of Y. */
static uint64_t state_row(const struct sb_rnn *r, uint32_t dir, uint32_t b)
{
    return (uint64_t)(r->batch_first ? b * r->dirs + dir : dir * r->batch + b) * r->hidden;
}

static uint64_t y_row(const struct sb_rnn *r, uint32_t t, uint32_t dir, uint32_t b)
{
    uint64_t row = r->batch_first ? ((uint64_t)b * r->seq + t) * r->dirs + dir
                                  : ((uint64_t)t * r->dirs + dir) * r->batch + b;
    return row * r->hidden;
}

static const double *optional(const struct sb_eval *e, uint32_t input)
{
    return input < e->node->input_count && e->in[input] != NULL ? e->in[input]->data : NULL;
}

static sb_err run_sequence(struct sb_eval *e, const struct sb_rnn *r, uint32_t dir, uint32_t b,
                           double *scratch)
{
    uint32_t n = r->hidden;
    uint32_t rows = r->gates * n;
    const double *bias = optional(e, SB_RNN_B);
    const double *peepholes = optional(e, SB_RNN_P);
    const double *lens = optional(e, SB_RNN_LENS);
    const double *h = optional(e, SB_RNN_H);
    const double *c = optional(e, SB_RNN_C);
    struct cell k = {.r = r,
                     .act = r->activation + (size_t)dir * r->per_direction,
                     .w = e->in[SB_RNN_W]->data + (uint64_t)dir * rows * r->input,
                     .recurrent = e->in[SB_RNN_R]->data + (uint64_t)dir * rows * n,
                     .wb = bias != NULL ? bias + (uint64_t)dir * 2 * rows : NULL,
                     .rb = bias != NULL ? bias + (uint64_t)dir * 2 * rows + rows : NULL,
                     .p = peepholes != NULL ? peepholes + (uint64_t)dir * 3 * n : NULL,
                     .h = scratch,
                     .c = scratch + n,
                     .next = scratch + 2 * n,
                     .scratch = scratch + 3 * n};
    for (uint32_t i = 0; i < n; i++) {
        k.h[i] = h != NULL ? h[state_row(r, dir, b) + i] : 0;
        k.c[i] = c != NULL ? c[state_row(r, dir, b) + i] : 0;
    }
    double len = lens != NULL ? lens[b] : r->seq;
    if (!(len >= 0 && len <= r->seq)) {
        return sb_graph_fail(e->diag, SB_E_RANGE, e->node, "a sequence of %g steps", len);
    }
    for (uint32_t s = 0; s < r->seq; s++) {
        uint32_t t = sb_rnn_runs_back(r, dir) ? r->seq - 1 - s : s;
        uint64_t row = r->batch_first ? (uint64_t)b * r->seq + t : (uint64_t)t * r->batch + b;
        k.x = e->in[SB_RNN_X]->data + row * r->input;
        if (t < len) {
            step(&k);
        }
        for (uint32_t i = 0; i < n; i++) {
            e->out[SB_RNN_Y].data[y_row(r, t, dir, b) + i] = t < len ? k.h[i] : 0;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        e->out[SB_RNN_Y_H].data[state_row(r, dir, b) + i] = k.h[i];
        e->out[SB_RNN_Y_C].data[state_row(r, dir, b) + i] = k.c[i];
    }
    return SB_OK;
}

sb_err sb_eval_rnn(struct sb_eval *e)
{
    struct sb_rnn r;
    SB_TRY(sb_rnn_of(&r, e));
    struct sb_shape y = {.rank = 4, .dims = {r.seq, r.dirs, r.batch, r.hidden}};
    struct sb_shape state = {.rank = 3, .dims = {r.dirs, r.batch, r.hidden}};
    if (r.batch_first) {
        y = (struct sb_shape){.rank = 4, .dims = {r.batch, r.seq, r.dirs, r.hidden}};
        state = (struct sb_shape){.rank = 3, .dims = {r.batch, r.dirs, r.hidden}};
    }
    SB_TRY(sb_eval_alloc(e, SB_RNN_Y, &y));
    SB_TRY(sb_eval_alloc(e, SB_RNN_Y_H, &state));
    SB_TRY(sb_eval_alloc(e, SB_RNN_Y_C, &state));
    SB_TRY(sb_eval_work(e, (uint64_t)r.seq * r.dirs * r.batch,
                        (uint64_t)r.gates * r.hidden * (r.input + r.hidden)));
    double *scratch = sb_arena_array(e->memory, (size_t)4 * r.hidden, sizeof *scratch);
    if (scratch == NULL) {
        return sb_graph_fail(e->diag, SB_E_NOMEM, e->node, "out of memory for a state");
    }
    for (uint32_t dir = 0; dir < r.dirs; dir++) {
        for (uint32_t b = 0; b < r.batch; b++) {
            SB_TRY(run_sequence(e, &r, dir, b, scratch));
        }
    }
    return SB_OK;
}
