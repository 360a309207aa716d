/* ops_gemm.c: GEMM and GEMM_FX: fully connected layers, quantised and fixed-point. Spec: docs/spec/numerics.md 5.1, 5.3. */
#include "vm/tensor/linear.h"

/* x is [.., K]: rows of k elements; y is [.., N]. */
static struct sb_gemm_dims dims_of(const struct sb_tensor *x, const struct sb_tensor *w)
{
    size_t k = w->desc.shape.dims[1];
    return (struct sb_gemm_dims){.m = (size_t)x->count / k, .n = w->desc.shape.dims[0], .k = k};
}

static sb_err infer_shapes(const struct sb_check *c)
{
    const struct sb_shape *x = &c->in[0]->desc.shape;
    SB_TRY(sb_check_rank(c, c->in[1], "input w", 2));
    const uint32_t *w = c->in[1]->desc.shape.dims;
    if (x->rank == 0 || x->dims[x->rank - 1] != w[1]) {
        return sb_fail(c->diag, SB_E_SHAPE,
                       "the last dimension of x '%s' is not the %u columns of w '%s'",
                       c->in[0]->name, w[1], c->in[1]->name);
    }
    struct sb_shape want = *x;
    want.dims[want.rank - 1] = w[0];
    return sb_check_shape(c, c->out, "output", &want);
}

static sb_err gemm_infer(const struct sb_check *c)
{
    SB_TRY(infer_shapes(c));
    return sb_linear_infer(c, c->in[1]->desc.shape.dims[0]);
}

static struct sb_linear linear_of(const struct sb_check *c)
{
    const uint32_t *w = c->in[1]->desc.shape.dims;
    return (struct sb_linear){.out_count = w[0], .row_elements = w[1]};
}

static sb_err gemm_prove(const struct sb_check *c)
{
    return sb_linear_prove(c, linear_of(c));
}

static sb_err gemm_cost(const struct sb_check *c)
{
    sb_linear_cost(c, dims_of(c->in[0], c->in[1]), 1);
    return SB_OK;
}

static const void *gemm_prepare(const struct sb_prepare *p)
{
    const uint32_t *w = p->in[SB_IN_LINEAR_W]->desc.shape.dims;
    return sb_linear_prepare(p, 1, w[0], w[1]);
}

static void gemm_run(const struct sb_exec *x)
{
    struct sb_gemm_dims d = dims_of(x->in_tensor[0], x->in_tensor[1]);
    enum sb_dtype dtype = x->in_tensor[0]->desc.dtype;
    struct sb_product a = sb_linear_product(x->in_tensor, x->out_tensor, 0, d.n, d.k);
    const void *rows[SB_PRODUCT_ROWS_MAX];
    a.y_stride = d.n;
    for (size_t row = 0; row < d.m; row += a.m) {
        a.m = d.m - row < SB_PRODUCT_ROWS_MAX ? d.m - row : SB_PRODUCT_ROWS_MAX;
        for (size_t i = 0; i < a.m; i++) {
            rows[i] = sb_element_at(x->in[0], dtype, (row + i) * d.k);
        }
        sb_linear_run(x, &a, 0, rows, row * d.n);
    }
}

const struct sb_op_code sb_op_gemm = {.infer = gemm_infer,
                                      .prove = gemm_prove,
                                      .cost = gemm_cost,
                                      .run = gemm_run,
                                      .prepare = gemm_prepare};

static sb_err gemm_fx_infer(const struct sb_check *c)
{
    SB_TRY(infer_shapes(c));
    return sb_linear_fx_infer(c, c->in[1]->desc.shape.dims[0], SB_ATTR_GEMM_FX_SHIFT);
}

static sb_err gemm_fx_prove(const struct sb_check *c)
{
    return sb_linear_fx_prove(c, linear_of(c), SB_ATTR_GEMM_FX_SHIFT);
}

static sb_err gemm_fx_cost(const struct sb_check *c)
{
    struct sb_gemm_dims d = dims_of(c->in[0], c->in[1]);
    sb_linear_fx_cost(c, d, 1);
    c->node->workspace_bytes = SB_LINEAR_FX_ROWS_MAX * d.n * sizeof(int64_t);
    return SB_OK;
}

static void gemm_fx_run(const struct sb_exec *x)
{
    struct sb_gemm_dims d = dims_of(x->in_tensor[0], x->in_tensor[1]);
    struct sb_linear_fx_rows r = {
        .exec = x, .d = d, .y_stride = d.n, .shift = (unsigned)x->attrs[SB_ATTR_GEMM_FX_SHIFT]};
    for (size_t row = 0; row < d.m; row += SB_LINEAR_FX_ROWS_MAX) {
        r.d.m = d.m - row < SB_LINEAR_FX_ROWS_MAX ? d.m - row : SB_LINEAR_FX_ROWS_MAX;
        sb_linear_fx_run(&r, (const int32_t *)x->in[0] + row * d.k, row * d.n, x->workspace);
    }
}

const struct sb_op_code sb_op_gemm_fx = {
    .infer = gemm_fx_infer, .prove = gemm_fx_prove, .cost = gemm_fx_cost, .run = gemm_fx_run};
