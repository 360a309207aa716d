/* lower_trees.c: tree ensembles to TREE_ENSEMBLE, without loss in the routing.
 *
 *     feature    X = floor(x * 2^n), n >= 16       threshold  T = floor(t * 2^n)       x <= t  implies  X <= T
 *     strict test x < t:  T = ceil(t * 2^n) - 1    leaf       round(v * 2^24), sums exact in 64 bits
 *
 * On inputs that are multiples of 2^-n every test has the same outcome as in float. n grows until the thresholds of a feature stand
 * well apart. Features are i32, or i64 where their range or n asks for it. */
#include <inttypes.h>
#include <stdlib.h>

#include "vm/compiler/lower_impl.h"
#include "vm/compiler/trees.h"

#define FRACTION_LO   16
#define FRACTION_HI   32
#define GAP_MIN       16
#define LEAF_FRACTION 24
#define WIDE_LIMIT    0x1p46 /* of a 64-bit feature */

/* The raw threshold; infinite where it lies beyond every raw feature. */
static double raw_threshold(const struct sb_tree_node *n, double scale)
{
    double t = n->threshold / scale;
    return n->strict ? ceil(t) - 1 : floor(t);
}

/* ---- the input ---- */

static int compare_nodes(const void *a, const void *b)
{
    const struct sb_tree_node *x = *(const struct sb_tree_node *const *)a;
    const struct sb_tree_node *y = *(const struct sb_tree_node *const *)b;
    if (x->feature != y->feature) {
        return x->feature < y->feature ? -1 : 1;
    }
    return x->threshold < y->threshold ? -1 : x->threshold > y->threshold ? 1 : 0;
}

/* Are two different thresholds of one feature fewer than GAP_MIN steps apart at this many fraction bits, or does a strict one lie off the
 * grid? A feature between two grid points is misjudged only if a threshold lies there too; learners put strict ones on features. */
static bool thresholds_crowd(const struct sb_tree_node *const *sorted, size_t count, int bits)
{
    double scale = ldexp(1, -bits);
    for (size_t i = 0; i < count; i++) {
        const struct sb_tree_node *a = sorted[i == 0 ? 0 : i - 1];
        const struct sb_tree_node *b = sorted[i];
        double raw = b->threshold / scale;
        if (b->feature >= 0 && b->strict && raw != floor(raw)) {
            return true; /* a feature that equals it would share its grid cell */
        }
        if (a->feature >= 0 && a->feature == b->feature && a->threshold != b->threshold &&
            floor(b->threshold / scale) - floor(a->threshold / scale) < GAP_MIN) {
            return true;
        }
    }
    return false;
}

struct tree_range {
    double magnitude; /* of thresholds and calibrated features */
    int bits;
};

static void look_at_node(struct tree_range *r, const struct sb_lowering *l,
                         const struct sb_graph_node *node)
{
    struct sb_trees trees;
    struct sb_arena memory;
    const struct sb_range *range = &l->ranges[node->inputs[0]];
    if (range->known) {
        r->magnitude = fmax(r->magnitude, fmax(fabs(range->min), fabs(range->max)));
    }
    sb_arena_init(&memory, SB_GRAPH_BYTES_MAX);
    if (sb_trees_read(&trees, node, &memory, NULL) == SB_OK) {
        const struct sb_tree_node **sorted =
            sb_arena_array(&memory, trees.node_count, sizeof *sorted);
        for (uint32_t i = 0; sorted != NULL && i < trees.node_count; i++) {
            sorted[i] = &trees.nodes[i];
            r->magnitude = fmax(r->magnitude, fabs(trees.nodes[i].threshold));
        }
        if (sorted != NULL) {
            qsort(sorted, trees.node_count, sizeof(const struct sb_tree_node *), compare_nodes);
            while (r->bits < FRACTION_HI && ldexp(r->magnitude, r->bits + 1) < WIDE_LIMIT / 2 &&
                   thresholds_crowd(sorted, trees.node_count, r->bits)) {
                r->bits++;
            }
        }
    }
    sb_arena_fini(&memory);
}

struct sb_format sb_lower_tree_input(const struct sb_lowering *l, uint32_t value)
{
    struct tree_range r = {.bits = FRACTION_LO};
    for (uint32_t n = 0; n < l->graph->node_count; n++) {
        const struct sb_graph_node *node = &l->graph->nodes[n];
        bool trees =
            node->op->id == SB_ONNX_TREE_CLASSIFIER || node->op->id == SB_ONNX_TREE_REGRESSOR;
        if (!node->removed && trees && node->inputs[0] == value) {
            look_at_node(&r, l, node);
        }
    }
    bool narrow = ldexp(2 * r.magnitude, r.bits) < 0x1p31;
    struct sb_format f = sb_format_of(narrow ? SB_DTYPE_I32 : SB_DTYPE_I64, ldexp(1, -r.bits), 0);
    if (!narrow) {
        f.lo = -(int64_t)WIDE_LIMIT;
        f.hi = (int64_t)WIDE_LIMIT;
    }
    return f;
}

/* ---- the ensemble ---- */

struct tree_arrays {
    int32_t *roots;
    int32_t *tree_class;
    int32_t *feature;
    int64_t *threshold64;
    int32_t *threshold;
    int32_t *child;
    int64_t *leaf;
    int64_t *base;
};

static sb_err alloc_arrays(struct tree_arrays *a, struct sb_lowering *l, const struct sb_trees *t)
{
    *a = (struct tree_arrays){
        .roots = sb_arena_array(l->memory, t->tree_count, sizeof *a->roots),
        .tree_class = sb_arena_zalloc(l->memory, t->tree_count * sizeof *a->tree_class),
        .feature = sb_arena_array(l->memory, t->node_count, sizeof *a->feature),
        .threshold64 = sb_arena_zalloc(l->memory, t->node_count * sizeof *a->threshold64),
        .threshold = sb_arena_zalloc(l->memory, t->node_count * sizeof *a->threshold),
        .child = sb_arena_zalloc(l->memory, (size_t)t->node_count * 2 * sizeof *a->child),
        .leaf = sb_arena_array(l->memory, (size_t)t->leaf_count * t->class_count, sizeof *a->leaf),
        .base = sb_arena_array(l->memory, t->class_count, sizeof *a->base),
    };
    bool ok = a->roots != NULL && a->tree_class != NULL && a->feature != NULL &&
              a->threshold64 != NULL && a->threshold != NULL && a->child != NULL &&
              a->leaf != NULL && a->base != NULL;
    return ok ? SB_OK : sb_fail(l->diag, SB_E_NOMEM, "out of memory for the trees");
}

/* Each tree's leaves add to one class only: then its rows need one column. */
static bool single_class(uint32_t *ret_class, const struct sb_trees *t, uint32_t tree)
{
    uint32_t end = tree + 1 < t->tree_count ? t->roots[tree + 1] : t->node_count;
    bool found = false;
    *ret_class = 0;
    for (uint32_t i = t->roots[tree]; i < end; i++) {
        for (uint32_t c = 0; t->nodes[i].feature < 0 && c < t->class_count; c++) {
            if (t->leaf[(size_t)t->nodes[i].yes * t->class_count + c] != 0) {
                if (found && *ret_class != c) {
                    return false;
                }
                found = true;
                *ret_class = c;
            }
        }
    }
    return true;
}

static void fill_nodes(struct tree_arrays *a, const struct sb_trees *t, const struct sb_format *x)
{
    for (uint32_t i = 0; i < t->node_count; i++) {
        const struct sb_tree_node *n = &t->nodes[i];
        a->feature[i] = (int32_t)n->feature;
        a->child[2 * (size_t)i] = (int32_t)n->yes;
        if (n->feature >= 0) {
            a->child[2 * (size_t)i + 1] = (int32_t)n->no;
            double raw = raw_threshold(n, x->scale);
            raw = fmin((double)x->hi, fmax((double)x->lo - 1, raw));
            a->threshold64[i] = (int64_t)fmax(raw, (double)sb_dtype_min(x->dtype));
            a->threshold[i] = (int32_t)fmin(INT32_MAX, fmax(INT32_MIN, raw));
        }
    }
}

static sb_err raw_leaf(int64_t *ret, struct sb_lowering *l, const struct sb_graph_node *node,
                       double value)
{
    double raw = nearbyint(ldexp(value, LEAF_FRACTION));
    if (!(fabs(raw) < 0x1p55)) {
        return sb_graph_fail(l->diag, SB_E_RANGE, node, "a leaf of %g is outside +-2^31", value);
    }
    *ret = (int64_t)raw;
    return SB_OK;
}

/* ret_sum: greatest magnitude of a class's sum, as a real number. */
static sb_err fill_leaves(struct tree_arrays *a, uint32_t *ret_width, double *ret_sum,
                          struct sb_lowering *l, const struct sb_graph_node *node,
                          const struct sb_trees *t)
{
    uint32_t width = 1;
    double top = 0;
    for (uint32_t i = 0; i < t->tree_count; i++) {
        uint32_t only = 0;
        a->roots[i] = (int32_t)t->roots[i];
        width = single_class(&only, t, i) ? width : t->class_count;
        a->tree_class[i] = (int32_t)only;
    }
    for (uint32_t i = 0; width > 1 && i < t->tree_count; i++) {
        a->tree_class[i] = 0;
    }
    uint32_t tree = 0;
    for (uint32_t i = 0; i < t->node_count; i++) {
        const struct sb_tree_node *n = &t->nodes[i];
        tree += tree + 1 < t->tree_count && i == t->roots[tree + 1] ? 1 : 0;
        for (uint32_t c = 0; n->feature < 0 && c < width; c++) {
            size_t from = (size_t)n->yes * t->class_count + (size_t)a->tree_class[tree] + c;
            SB_TRY(raw_leaf(&a->leaf[(size_t)n->yes * width + c], l, node, t->leaf[from]));
            top = fmax(top, fabs(t->leaf[from]));
        }
    }
    double base = 0;
    for (uint32_t c = 0; c < t->class_count; c++) {
        SB_TRY(raw_leaf(&a->base[c], l, node, t->base[c]));
        base = fmax(base, fabs(t->base[c]));
    }
    *ret_width = width;
    *ret_sum = base + top * t->tree_count;
    return SB_OK;
}

static sb_err emit_trees(struct sb_lowered *ret, double *ret_sum, struct sb_lowering *l,
                         const struct sb_graph_node *node, const struct sb_lowered *x,
                         uint32_t value)
{
    struct sb_trees t;
    struct tree_arrays a;
    uint32_t width = 1;
    SB_TRY(sb_trees_read(&t, node, l->memory, l->diag));
    SB_TRY(alloc_arrays(&a, l, &t));
    fill_nodes(&a, &t, &x->format);
    SB_TRY(fill_leaves(&a, &width, ret_sum, l, node, &t));
    bool wide = x->format.dtype == SB_DTYPE_I64;
    struct sb_shape trees = {.rank = 1, .dims = {t.tree_count}};
    struct sb_shape nodes = {.rank = 1, .dims = {t.node_count}};
    struct sb_shape pairs = {.rank = 2, .dims = {t.node_count, 2}};
    struct sb_shape leaves = {.rank = 2, .dims = {t.leaf_count, width}};
    struct sb_shape classes = {.rank = 1, .dims = {t.class_count}};
    struct sb_build *b = l->build;
    const char *name = node->name;
    uint32_t in[8] = {x->tensor};
    in[SB_IN_TREE_ROOTS] = sb_build_const(b, name, SB_DTYPE_I32, &trees, NULL, a.roots);
    in[SB_IN_TREE_CLASS] = sb_build_const(b, name, SB_DTYPE_I32, &trees, NULL, a.tree_class);
    in[SB_IN_TREE_FEATURE] = sb_build_const(b, name, SB_DTYPE_I32, &nodes, NULL, a.feature);
    in[SB_IN_TREE_THRESHOLD] =
        sb_build_const(b, name, wide ? SB_DTYPE_I64 : SB_DTYPE_I32, &nodes, NULL,
                       wide ? (const void *)a.threshold64 : (const void *)a.threshold);
    in[SB_IN_TREE_CHILD] = sb_build_const(b, name, SB_DTYPE_I32, &pairs, NULL, a.child);
    in[SB_IN_TREE_LEAF] = sb_build_const(b, name, SB_DTYPE_I64, &leaves, NULL, a.leaf);
    in[SB_IN_TREE_BASE] = sb_build_const(b, name, SB_DTYPE_I64, &classes, NULL, a.base);
    struct sb_lowered y = {.layout = SB_LAYOUT_PLAIN,
                           .format = sb_format_of(SB_DTYPE_I64, ldexp(1, -LEAF_FRACTION), 0),
                           .shape = {.rank = 2, .dims = {x->shape.dims[0], t.class_count}}};
    y.format.hi = (int64_t)fmin(0x1p62, ldexp(*ret_sum + 1, LEAF_FRACTION));
    y.format.lo = -y.format.hi;
    y.tensor = sb_lower_emit(l, value, SB_OP_TREE_ENSEMBLE, in, 8, &y.format, &y.shape, NULL);
    *ret = y;
    return SB_OK;
}

/* Sums narrowed to 32 bits, for functions and for outputs; fraction bits as many as the greatest sum allows. */
static sb_err narrow_sums(struct sb_lowered *x, struct sb_lowering *l,
                          const struct sb_graph_node *node, uint32_t value, double sum)
{
    int exponent = 0;
    (void)frexp(sum, &exponent);
    int bits = 30 - exponent;
    bits = bits > LEAF_FRACTION ? LEAF_FRACTION : bits < 0 ? 0 : bits;
    struct sb_format to = sb_format_fx((unsigned)bits);
    return sb_lower_convert(x, l, node, value, &to);
}

static sb_err lower_label(struct sb_lowering *l, const struct sb_graph_node *node,
                          const struct sb_lowered *sums)
{
    uint32_t value = node->outputs[0];
    size_t count = 0;
    const int64_t *labels = sb_graph_attr_ints(&count, node, "classlabels_int64s");
    struct sb_lowered y = {.layout = SB_LAYOUT_PLAIN,
                           .format = sb_format_of(SB_DTYPE_I32, 1, 0),
                           .shape = {.rank = 1, .dims = {sums->shape.dims[0]}}};
    int64_t attrs[3] = {1, 0, 0};
    bool plain = true;
    y.format.lo = 0;
    y.format.hi = (int64_t)sums->shape.dims[1] - 1;
    y.tensor = sb_lower_emit(l, value, SB_OP_ARG_MAX, &sums->tensor, 1, &y.format, &y.shape, attrs);
    for (size_t i = 0; i < count; i++) {
        plain = plain && labels[i] == (int64_t)i;
    }
    if (labels == NULL) {
        sb_lower_note(l, "Output '%s' is the index of the class: its labels are text.",
                      l->graph->values[value].name);
    }
    if (!plain) {
        uint32_t in[2] = {y.tensor};
        struct sb_shape shape = {.rank = 1, .dims = {(uint32_t)count}};
        in[SB_IN_GATHER_TABLE] =
            sb_build_const(l->build, node->name, SB_DTYPE_I64, &shape, NULL, labels);
        y.format = sb_format_of(SB_DTYPE_I64, 1, 0);
        y.format.lo = labels[0];
        y.format.hi = labels[0];
        for (size_t i = 1; i < count; i++) {
            y.format.lo = labels[i] < y.format.lo ? labels[i] : y.format.lo;
            y.format.hi = labels[i] > y.format.hi ? labels[i] : y.format.hi;
        }
        y.tensor = sb_lower_emit(l, value, SB_OP_GATHER, in, 2, &y.format, &y.shape, NULL);
    }
    sb_lower_set(l, value, &y, plain ? SB_OP_ARG_MAX : SB_OP_GATHER);
    return SB_OK;
}

sb_err sb_lower_trees(struct sb_lowering *l, const struct sb_graph_node *node)
{
    bool classifier = node->op->id == SB_ONNX_TREE_CLASSIFIER;
    uint32_t scores =
        classifier ? (node->output_count > 1 ? node->outputs[1] : SB_NO_VALUE) : node->outputs[0];
    uint32_t named = scores != SB_NO_VALUE ? scores : node->outputs[0];
    enum sb_post_transform post;
    struct sb_lowered x;
    struct sb_lowered sums;
    double sum = 0;
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_PLAIN));
    if (x.shape.rank != 2) {
        return sb_graph_fail(l->diag, SB_E_SHAPE, node, "the input is not a table [B, F]");
    }
    SB_TRY(sb_post_transform_of(&post, node, l->diag));
    SB_TRY(emit_trees(&sums, &sum, l, node, &x, named));
    if (classifier && node->outputs[0] != SB_NO_VALUE) {
        SB_TRY(lower_label(l, node, &sums));
    }
    if (scores == SB_NO_VALUE) {
        return SB_OK;
    }
    if (post == SB_POST_NONE) {
        sb_lower_set(l, scores, &sums, SB_OP_TREE_ENSEMBLE);
        return SB_OK;
    }
    struct sb_target target = {.value = scores, .clip_lo = -INFINITY, .clip_hi = INFINITY};
    SB_TRY(narrow_sums(&sums, l, node, scores, sum));
    return post == SB_POST_SOFTMAX ? sb_lower_softmax_of(l, node, &target, &sums)
                                   : sb_lower_function_of(l, node, &target, &sums, SB_OP_SIGMOID);
}
