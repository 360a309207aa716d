/* lower_move.c: operators that take, repeat, reorder and scatter elements: Slice, Expand, Tile, Gather*, Scatter*, Pad, ... See lower.h.
 *
 * Where the places are constant, one way serves all: the operator's own reference, run on the numbers of the elements, gives a map from
 * each element of the result to its place in the tensor that holds the input, in whatever layout that is. The map becomes
 *
 *     VIEW                 if it goes in steps along each dimension, or along each of a dimension's factors
 *     a TAKE for each axis if each coordinate depends on one coordinate of the result (borders, resizing)
 *     one TAKE             of single elements otherwise */
#include <inttypes.h>

#include "base/util/assert.h"
#include "vm/compiler/lower_impl.h"

struct sb_eval sb_lower_eval(struct sb_lowering *l, const struct sb_graph_node *node)
{
    struct sb_eval e = {.graph = l->graph, .node = node, .memory = l->memory, .diag = l->diag};
    for (uint32_t i = 0; i < node->input_count && i < SB_GRAPH_OPERANDS_MAX; i++) {
        const struct sb_value *v = sb_graph_input(l->graph, node, i);
        e.in[i] = v != NULL && (v->is_const || i == 0) ? &v->array : NULL;
    }
    return e;
}

static sb_err nomem(struct sb_lowering *l)
{
    return sb_fail(l->diag, SB_E_NOMEM, "out of memory for places");
}

static uint32_t emit_index(struct sb_lowering *l, const struct sb_graph_node *node,
                           const struct sb_shape *shape, const int32_t *index)
{
    return sb_build_const(l->build, node->name, SB_DTYPE_I32, shape, NULL, index);
}

/* ---- maps ---- */

struct map {
    const struct sb_graph_node *node;
    uint32_t value;      /* that is made */
    struct sb_lowered x; /* what is taken from */
    struct sb_lowered y; /* format, layout and shape of the result */
    const double *place; /* [count]: in the order of y, places in x */
    uint64_t count;
};

/* Place in the tensor that holds a value of each of its elements in ONNX's order. */
static void number(double *ret, const struct sb_lowered *x, const struct sb_shape *onnx)
{
    uint64_t count = sb_shape_count(onnx);
    uint64_t channels = x->layout == SB_LAYOUT_NHWC   ? onnx->dims[1]
                        : x->layout == SB_LAYOUT_FLAT ? x->flat_channels
                                                      : 1;
    uint64_t image = x->layout == SB_LAYOUT_PLAIN ? 1 : count / onnx->dims[0];
    uint64_t plane = image / channels;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = i % image;
        ret[i] = (double)(i - at + at % plane * channels + at / plane);
    }
}

/* The map in ONNX's order of the result, brought to NHWC. */
static sb_err to_nhwc(struct map *m, struct sb_lowering *l, const struct sb_shape *onnx)
{
    double *place = sb_arena_array(l->memory, m->count, sizeof *place);
    if (place == NULL) {
        return nomem(l);
    }
    uint64_t plane = (uint64_t)onnx->dims[2] * onnx->dims[3];
    uint64_t channels = onnx->dims[1];
    for (uint64_t i = 0; i < m->count; i++) {
        uint64_t at = i % (plane * channels);
        place[i - at + at % plane * channels + at / plane] = m->place[i];
    }
    m->place = place;
    m->y.layout = SB_LAYOUT_NHWC;
    m->y.shape = sb_lower_shape(onnx, SB_LAYOUT_NHWC);
    return SB_OK;
}

static sb_err make_map(struct map *ret, struct sb_lowering *l, const struct sb_graph_node *node)
{
    struct map m = {.node = node, .value = node->outputs[0]};
    const struct sb_shape *onnx = &l->graph->values[m.value].array.shape;
    SB_TRY(sb_lower_get(&m.x, l, node, 0, SB_LAYOUT_FLAT));
    struct sb_eval e = sb_lower_eval(l, node);
    struct sb_array numbers = {.shape = e.in[0]->shape};
    numbers.data = sb_arena_array(l->memory, sb_array_count(&numbers), sizeof *numbers.data);
    struct sb_array out[SB_GRAPH_OPERANDS_MAX] = {0};
    if (numbers.data == NULL) {
        return nomem(l);
    }
    number(numbers.data, &m.x, &numbers.shape);
    e.in[0] = &numbers;
    e.out = out;
    SB_TRY(node->op->eval(&e));
    m.place = out[0].data;
    m.count = sb_shape_count(onnx);
    m.y = (struct sb_lowered){.layout = SB_LAYOUT_PLAIN, .format = m.x.format, .shape = *onnx};
    if (m.x.layout == SB_LAYOUT_NHWC && onnx->rank == 4) {
        SB_TRY(to_nhwc(&m, l, onnx));
    }
    *ret = m;
    return SB_OK;
}

/* Difference to the first place of index i along dimension d. */
static int64_t profile(const struct map *m, uint64_t stride, uint64_t i)
{
    return (int64_t)(m->place[i * stride] - m->place[0]);
}

static void y_strides(uint64_t ret[SB_TENSOR_RANK_MAX], const struct sb_shape *y)
{
    uint64_t stride = 1;
    for (uint32_t i = y->rank; i-- > 0;) {
        ret[i] = stride;
        stride *= y->dims[i];
    }
}

/* Each coordinate of the result adds its own difference, whatever the others are. */
static bool is_separable(const struct map *m)
{
    uint64_t stride[SB_TENSOR_RANK_MAX] = {0};
    y_strides(stride, &m->y.shape);
    for (uint64_t n = 0; n < m->count; n++) {
        int64_t place = (int64_t)m->place[0];
        for (uint32_t i = 0; i < m->y.shape.rank; i++) {
            place += profile(m, stride[i], n / stride[i] % m->y.shape.dims[i]);
        }
        if (place != (int64_t)m->place[n]) {
            return false;
        }
    }
    return true;
}

/* The profile of a dimension is i / part * far + i % part * near. */
static bool goes_in_steps(const struct map *m, uint64_t stride, uint32_t dim, uint32_t part)
{
    int64_t near = part > 1 ? profile(m, stride, 1) : 0;
    int64_t far = part < dim ? profile(m, stride, part) : 0;
    for (uint32_t i = 0; i < dim; i++) {
        if (profile(m, stride, i) != i / part * far + i % part * near) {
            return false;
        }
    }
    return true;
}

/* y as a view: its dimensions, some of them as two factors. */
struct view {
    struct sb_shape shape;
    int64_t attrs[1 + SB_TENSOR_RANK_MAX];
};

static bool push(struct view *v, uint32_t dim, int64_t stride)
{
    uint32_t last = v->shape.rank - 1;
    if (dim == 1) {
        return true;
    }
    if (v->shape.rank > 0 && v->attrs[SB_ATTR_VIEW_STRIDE + last] == stride * (int64_t)dim) {
        v->shape.dims[last] *= dim; /* goes on in the same step */
        v->attrs[SB_ATTR_VIEW_STRIDE + last] = stride;
        return true;
    }
    if (v->shape.rank == SB_TENSOR_RANK_MAX) {
        return false;
    }
    v->shape.dims[v->shape.rank] = dim;
    v->attrs[SB_ATTR_VIEW_STRIDE + v->shape.rank++] = stride;
    return true;
}

static bool find_view(struct view *ret, const struct map *m)
{
    struct view v = {.attrs = {(int64_t)m->place[0]}};
    uint64_t stride[SB_TENSOR_RANK_MAX] = {0};
    y_strides(stride, &m->y.shape);
    for (uint32_t d = 0; d < m->y.shape.rank; d++) {
        uint32_t dim = m->y.shape.dims[d];
        uint32_t part = dim;
        while (part > 1 && (dim % part != 0 || !goes_in_steps(m, stride[d], dim, part))) {
            part--;
        }
        if (part == 1 && dim > 1 && !goes_in_steps(m, stride[d], dim, 1)) {
            return false;
        }
        int64_t far = part < dim ? profile(m, stride[d], part) : 0;
        int64_t near = part > 1 ? profile(m, stride[d], 1) : 0;
        if (!push(&v, dim / part, far) || !push(&v, part, near)) {
            return false;
        }
    }
    *ret = v;
    return true;
}

static void reshape(struct map *m, struct sb_lowering *l, struct sb_lowered *x)
{
    if (!sb_shape_equal(&x->shape, &m->y.shape)) {
        x->tensor =
            sb_lower_emit(l, m->value, SB_OP_RESHAPE, &x->tensor, 1, &x->format, &m->y.shape, NULL);
        x->shape = m->y.shape;
    }
}

static sb_err finish(struct map *m, struct sb_lowering *l, uint32_t tensor, enum sb_op_id op)
{
    m->y.tensor = tensor;
    sb_lower_set(l, m->value, &m->y, op);
    return SB_OK;
}

static sb_err emit_view(struct map *m, struct sb_lowering *l, const struct view *v)
{
    struct sb_lowered x = m->x;
    bool all = m->count == sb_shape_count(&x.shape);
    if (!all || v->shape.rank > 1 || (v->shape.rank == 1 && v->attrs[SB_ATTR_VIEW_STRIDE] != 1)) {
        x.tensor =
            sb_lower_emit(l, m->value, SB_OP_VIEW, &x.tensor, 1, &x.format, &v->shape, v->attrs);
        x.shape = v->shape;
    }
    reshape(m, l, &x);
    return finish(m, l, x.tensor, SB_OP_VIEW);
}

/* Coordinates along axis d of x that the result's index along d takes; false if they are not. */
static bool axis_index(int32_t *ret, const struct map *m, uint32_t d, uint64_t y_stride,
                       int64_t x_stride)
{
    int64_t size = m->x.shape.dims[d];
    int64_t first = (int64_t)m->place[0] / x_stride % size;
    for (uint32_t i = 0; i < m->y.shape.dims[d]; i++) {
        int64_t step = profile(m, y_stride, i);
        int64_t at = first + step / x_stride;
        if (step % x_stride != 0 || at < 0 || at >= size) {
            return false;
        }
        ret[i] = (int32_t)at;
    }
    return true;
}

static bool is_identity(const int32_t *index, uint32_t count, uint32_t size)
{
    for (uint32_t i = 0; i < count; i++) {
        if (index[i] != (int32_t)i) {
            return false;
        }
    }
    return count == size;
}

/* A TAKE for each axis; *ret_done false, with nothing emitted, if the axes of x and y do not correspond. */
static sb_err take_axes(bool *ret_done, struct map *m, struct sb_lowering *l)
{
    uint64_t stride[SB_TENSOR_RANK_MAX] = {0};
    int32_t *index[SB_TENSOR_RANK_MAX] = {0};
    int64_t x_stride = 1;
    *ret_done = false;
    if (m->x.shape.rank != m->y.shape.rank) {
        return SB_OK;
    }
    y_strides(stride, &m->y.shape);
    for (uint32_t d = m->y.shape.rank; d-- > 0;) {
        index[d] = sb_arena_array(l->memory, m->y.shape.dims[d], sizeof **index);
        if (index[d] == NULL) {
            return nomem(l);
        }
        if (!axis_index(index[d], m, d, stride[d], x_stride)) {
            return SB_OK;
        }
        x_stride *= m->x.shape.dims[d];
    }
    struct sb_lowered x = m->x;
    for (uint32_t d = 0; d < m->y.shape.rank; d++) {
        int64_t axis = d;
        struct sb_shape list = {.rank = 1, .dims = {m->y.shape.dims[d]}};
        if (is_identity(index[d], m->y.shape.dims[d], x.shape.dims[d])) {
            continue;
        }
        x.shape.dims[d] = m->y.shape.dims[d];
        uint32_t in[2] = {x.tensor, emit_index(l, m->node, &list, index[d])};
        x.tensor = sb_lower_emit(l, m->value, SB_OP_TAKE, in, 2, &x.format, &x.shape, &axis);
    }
    *ret_done = true;
    return finish(m, l, x.tensor, SB_OP_TAKE);
}

static sb_err take_elements(struct map *m, struct sb_lowering *l)
{
    struct sb_shape flat = {.rank = 1, .dims = {(uint32_t)sb_shape_count(&m->x.shape)}};
    int32_t *index = sb_arena_array(l->memory, m->count, sizeof *index);
    int64_t axis = 0;
    if (index == NULL || sb_shape_count(&m->x.shape) > SB_TENSOR_DIM_MAX) {
        return sb_graph_fail(l->diag, SB_E_LIMIT, m->node, "an input of more than 2^24 elements");
    }
    for (uint64_t i = 0; i < m->count; i++) {
        index[i] = (int32_t)m->place[i];
    }
    uint32_t in[2] = {m->x.tensor};
    if (m->x.shape.rank != 1) {
        in[0] = sb_lower_emit(l, m->value, SB_OP_RESHAPE, in, 1, &m->x.format, &flat, NULL);
    }
    in[1] = emit_index(l, m->node, &m->y.shape, index);
    uint32_t y = sb_lower_emit(l, m->value, SB_OP_TAKE, in, 2, &m->y.format, &m->y.shape, &axis);
    return finish(m, l, y, SB_OP_TAKE);
}

sb_err sb_lower_move(struct sb_lowering *l, const struct sb_graph_node *node)
{
    struct map m;
    struct view v;
    bool done = false;
    for (uint32_t i = 1; i < node->input_count; i++) {
        const struct sb_value *in = sb_graph_input(l->graph, node, i);
        if (in != NULL && !in->is_const) {
            return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node,
                                 "input '%s' is computed; only a constant is supported", in->name);
        }
    }
    SB_TRY(make_map(&m, l, node));
    if (is_separable(&m)) {
        if (find_view(&v, &m)) {
            return emit_view(&m, l, &v);
        }
        SB_TRY(take_axes(&done, &m, l));
    }
    return done ? SB_OK : take_elements(&m, l);
}

/* ---- indices ---- */

static int64_t smallest_dim(const struct sb_shape *x, const struct sb_shape *index, int64_t batch)
{
    uint32_t depth = index->rank == 0 ? 0 : index->dims[index->rank - 1];
    int64_t least = SB_TENSOR_DIM_MAX;
    for (uint32_t i = (uint32_t)batch; i < x->rank && i < (uint32_t)batch + depth; i++) {
        least = x->dims[i] < least ? x->dims[i] : least;
    }
    return least;
}

static int64_t axis_dim(const struct sb_shape *x, int64_t axis)
{
    return x->dims[axis < 0 ? axis + x->rank : axis];
}

bool sb_lower_indexed(struct sb_indexed *ret, const struct sb_graph *graph,
                      const struct sb_graph_node *node)
{
    const struct sb_shape *x =
        node->input_count > 0 ? &graph->values[node->inputs[0]].array.shape : NULL;
    struct sb_indexed r = {.input = 1};
    int64_t dim = 0;
    switch ((int)node->op->id) {
    case SB_ONNX_GATHER:
    case SB_ONNX_GATHER_ELEMENTS:
    case SB_ONNX_SCATTER:
    case SB_ONNX_SCATTER_ELEMENTS:
        dim = axis_dim(x, sb_graph_attr_int(node, "axis", 0));
        break;
    case SB_ONNX_GATHER_ND:
    case SB_ONNX_SCATTER_ND:
        dim = smallest_dim(x, &graph->values[node->inputs[1]].array.shape,
                           sb_graph_attr_int(node, "batch_dims", 0));
        break;
    case SB_ONNX_TENSOR_SCATTER: {
        const char *mode = sb_graph_attr_string(node, "mode", "linear");
        int64_t axis = sb_graph_attr_int(node, "axis", -2);
        int64_t rows = axis_dim(&graph->values[node->inputs[1]].array.shape, axis);
        r.input = 2;
        r.hi = axis_dim(x, axis) - (mode[0] == 'c' ? 1 : rows);
        *ret = r;
        return node->input_count > 2 && node->inputs[2] != SB_NO_VALUE;
    }
    default:
        return false;
    }
    r.lo = -dim;
    r.hi = dim - 1;
    *ret = r;
    return true;
}

/* The indices of a node as i32 inside their dimension. */
static sb_err get_index(struct sb_lowered *ret, struct sb_lowering *l,
                        const struct sb_graph_node *node)
{
    struct sb_indexed r;
    bool indexed = sb_lower_indexed(&r, l->graph, node);
    SB_ASSERT(indexed);
    uint32_t value = node->inputs[r.input];
    SB_TRY(sb_lower_get(ret, l, node, r.input, SB_LAYOUT_PLAIN));
    if (ret->format.scale != 1 || ret->format.quant.zero_point != 0) {
        return sb_graph_fail(l->diag, SB_E_UNSUPPORTED, node, "indices '%s' that are no integers",
                             l->graph->values[value].name);
    }
    if (ret->format.dtype != SB_DTYPE_I32) {
        struct sb_format to = sb_format_of(SB_DTYPE_I32, 1, 0);
        SB_TRY(sb_lower_convert(ret, l, node, value, &to));
    }
    bool is_const = l->graph->values[value].is_const;
    if (!is_const && (ret->format.lo < r.lo || ret->format.hi > r.hi)) {
        ret->format.lo = ret->format.lo < r.lo ? r.lo : ret->format.lo;
        ret->format.hi = ret->format.hi > r.hi ? r.hi : ret->format.hi;
        ret->tensor =
            sb_lower_emit(l, value, SB_OP_CLAMP, &ret->tensor, 1, &ret->format, &ret->shape, NULL);
    }
    return SB_OK;
}

/* ---- gathers ---- */

sb_err sb_lower_gather(struct sb_lowering *l, const struct sb_graph_node *node)
{
    enum sb_onnx_op_id id = node->op->id;
    uint32_t value = node->outputs[0];
    struct sb_lowered x;
    struct sb_lowered index;
    if (l->graph->values[node->inputs[1]].is_const) {
        return sb_lower_move(l, node);
    }
    SB_TRY(sb_lower_get(&x, l, node, 0, SB_LAYOUT_PLAIN));
    SB_TRY(get_index(&index, l, node));
    int64_t attr = id == SB_ONNX_GATHER_ND ? sb_graph_attr_int(node, "batch_dims", 0)
                                           : sb_graph_attr_int(node, "axis", 0);
    attr += attr < 0 ? x.shape.rank : 0;
    enum sb_op_id op = id == SB_ONNX_GATHER      ? SB_OP_TAKE
                       : id == SB_ONNX_GATHER_ND ? SB_OP_GATHER_ND
                                                 : SB_OP_TAKE_ALONG;
    struct sb_lowered y = {.layout = SB_LAYOUT_PLAIN,
                           .format = x.format,
                           .shape = l->graph->values[value].array.shape};
    uint32_t in[2] = {x.tensor, index.tensor};
    y.tensor = sb_lower_emit(l, value, op, in, 2, &y.format, &y.shape, &attr);
    sb_lower_set(l, value, &y, op);
    return SB_OK;
}

/* ---- scatters ---- */

static bool same_quant(const struct sb_format *a, const struct sb_format *b)
{
    return a->dtype == b->dtype && a->scale == b->scale &&
           a->quant.zero_point == b->quant.zero_point;
}

/* x and the updates in one format that holds the result. */
static sb_err scatter_operands(struct sb_lowered *x, struct sb_lowered *u, struct sb_lowered *y,
                               struct sb_lowering *l, const struct sb_graph_node *node,
                               uint32_t updates)
{
    struct sb_target target = {
        .value = node->outputs[0], .clip_lo = -INFINITY, .clip_hi = INFINITY};
    SB_TRY(sb_lower_get(x, l, node, 0, SB_LAYOUT_PLAIN));
    SB_TRY(sb_lower_get(u, l, node, updates, SB_LAYOUT_PLAIN));
    double bound = fmax(sb_lower_magnitude(&x->format) * x->format.scale,
                        sb_lower_magnitude(&u->format) * u->format.scale);
    SB_TRY(sb_lower_format(&y->format, l, &target, node, bound));
    enum sb_scatter_mode mode = SB_SCATTER_SET;
    (void)sb_eval_scatter_mode(&mode, node);
    if (mode == SB_SCATTER_MUL && y->format.quant.scale_mult != 1) {
        y->format = sb_format_fx(16); /* a product needs a scale that is a power of two */
    }
    y->format.lo = sb_dtype_min(y->format.dtype);
    y->format.hi = sb_dtype_max(y->format.dtype);
    y->layout = SB_LAYOUT_PLAIN;
    y->shape = x->shape;
    if (!same_quant(&x->format, &y->format)) {
        SB_TRY(sb_lower_convert(x, l, node, node->inputs[0], &y->format));
    }
    if (!same_quant(&u->format, &y->format)) {
        SB_TRY(sb_lower_convert(u, l, node, node->inputs[updates], &y->format));
    }
    return SB_OK;
}

sb_err sb_lower_scatter(struct sb_lowering *l, const struct sb_graph_node *node)
{
    bool nd = node->op->id == SB_ONNX_SCATTER_ND;
    uint32_t value = node->outputs[0];
    enum sb_scatter_mode mode = SB_SCATTER_SET;
    struct sb_lowered x;
    struct sb_lowered u;
    struct sb_lowered index;
    struct sb_lowered y;
    (void)sb_eval_scatter_mode(&mode, node);
    SB_TRY(scatter_operands(&x, &u, &y, l, node, 2));
    SB_TRY(get_index(&index, l, node));
    int64_t shift = mode == SB_SCATTER_MUL ? y.format.quant.scale_shift : 0;
    int64_t axis = sb_graph_attr_int(node, "axis", 0);
    axis += axis < 0 ? x.shape.rank : 0;
    int64_t attrs_nd[] = {(int64_t)mode, shift};
    int64_t attrs_axis[] = {axis, (int64_t)mode, shift};
    enum sb_op_id op = nd ? SB_OP_SCATTER_ND : SB_OP_SCATTER;
    uint32_t in[3] = {x.tensor, index.tensor, u.tensor};
    y.tensor = sb_lower_emit(l, value, op, in, 3, &y.format, &y.shape, nd ? attrs_nd : attrs_axis);
    sb_lower_set(l, value, &y, op);
    return SB_OK;
}

sb_err sb_lower_tensor_scatter(struct sb_lowering *l, const struct sb_graph_node *node)
{
    uint32_t value = node->outputs[0];
    struct sb_lowered x;
    struct sb_lowered u;
    struct sb_lowered y;
    struct sb_lowered index = {0};
    SB_TRY(scatter_operands(&x, &u, &y, l, node, 1));
    if (sb_graph_input(l->graph, node, 2) != NULL) {
        SB_TRY(get_index(&index, l, node));
    } else {
        struct sb_shape batch = {.rank = 1, .dims = {x.shape.dims[0]}};
        int32_t *zeros = sb_arena_zalloc(l->memory, x.shape.dims[0] * sizeof *zeros);
        if (zeros == NULL) {
            return nomem(l);
        }
        index.tensor = emit_index(l, node, &batch, zeros);
    }
    int64_t axis = sb_graph_attr_int(node, "axis", -2);
    const char *mode = sb_graph_attr_string(node, "mode", "linear");
    int64_t attrs[] = {axis + (axis < 0 ? x.shape.rank : 0), mode[0] == 'c' ? 1 : 0};
    uint32_t in[3] = {x.tensor, index.tensor, u.tensor};
    y.tensor = sb_lower_emit(l, value, SB_OP_ROW_UPDATE, in, 3, &y.format, &y.shape, attrs);
    sb_lower_set(l, value, &y, SB_OP_ROW_UPDATE);
    return SB_OK;
}
