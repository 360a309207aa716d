/* ops_choice.c: COMBINE, COMPARE, WHERE (with broadcasting), MAP, WRAP: exact arithmetic on raw elements, and choices between them. Spec:
 * docs/spec/numerics.md 13.
 *
 * Each loop is one formula on arrays of one type, so that compilers turn it into vector code; the tables below pick the loop by kind
 * and type. Nothing here can overflow: what leaves the type wraps on purpose, in unsigned arithmetic. */
#include "base/util/assert.h"
#include "vm/tensor/kernels.h"
#include "vm/tensor/op.h"
#include "vm/tensor/round.h"
#include "vm/tensor/rows.h"

#define INTEGER_DTYPES                                                                             \
    (SB_DTYPE_BIT(I8) | SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(I16) | SB_DTYPE_BIT(U16) |                 \
     SB_DTYPE_BIT(I32) | SB_DTYPE_BIT(I64))
#define ALL_DTYPES  (INTEGER_DTYPES | SB_DTYPE_BIT(BOOL))
#define FLAG_DTYPES (SB_DTYPE_BIT(U8) | SB_DTYPE_BIT(BOOL))

/* The loops of one formula, by type; BOOL is held as U8. */
#define LOOPS(name)                                                                                \
    {                                                                                              \
        [SB_DTYPE_I8] = name##_i8, [SB_DTYPE_U8] = name##_u8, [SB_DTYPE_I16] = name##_i16,         \
        [SB_DTYPE_U16] = name##_u16, [SB_DTYPE_I32] = name##_i32, [SB_DTYPE_I64] = name##_i64,     \
        [SB_DTYPE_BOOL] = name##_u8                                                                \
    }

static sb_err check_no_zero_point(const struct sb_check *c, const struct sb_tensor *t)
{
    if (t->desc.quant.zero_point != 0) {
        return sb_fail(c->diag, SB_E_TYPE, "'%s' has a zero point, which this kind does not take",
                       t->name);
    }
    return SB_OK;
}

/* ---- COMBINE ---- */

static int64_t divide(int64_t a, int64_t b)
{
    if (b == 0) {
        return 0;
    }
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static int64_t remain(int64_t a, int64_t b)
{
    return b == 0 || b == -1 ? 0 : a % b;
}

static int64_t modulo(int64_t a, int64_t b)
{
    int64_t r = remain(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static uint64_t shift_left(uint64_t a, uint64_t b)
{
    return b > 63 ? 0 : a << b;
}

static uint64_t shift_right(uint64_t a, uint64_t b)
{
    return b > 63 ? 0 : a >> b;
}

/* type: of the elements; wide: unsigned, at least as wide as int, so that arithmetic wraps; same: unsigned of the same size. */
#define DEFINE_LOOP(name, suffix, type, formula)                                                   \
    static void name##_##suffix(void *ret_y, const void *const *in, size_t count)                  \
    {                                                                                              \
        const type *a = in[0];                                                                     \
        const type *b = in[1];                                                                     \
        type *y = ret_y;                                                                           \
        for (size_t i = 0; i < count; i++) {                                                       \
            y[i] = (type)(formula);                                                                \
        }                                                                                          \
    }
#define DEFINE_COMBINE(suffix, type, wide, same)                                                   \
    DEFINE_LOOP(add, suffix, type, (wide)a[i] + (wide)b[i])                                        \
    DEFINE_LOOP(sub, suffix, type, (wide)a[i] - (wide)b[i])                                        \
    DEFINE_LOOP(mul, suffix, type, (wide)a[i] * (wide)b[i])                                        \
    DEFINE_LOOP(div, suffix, type, divide(a[i], b[i]))                                             \
    DEFINE_LOOP(mod, suffix, type, modulo(a[i], b[i]))                                             \
    DEFINE_LOOP(rem, suffix, type, remain(a[i], b[i]))                                             \
    DEFINE_LOOP(and, suffix, type, (wide)a[i] & (wide)b[i])                                        \
    DEFINE_LOOP(or, suffix, type, (wide)a[i] | (wide)b[i])                                         \
    DEFINE_LOOP(xor, suffix, type, (wide)a[i] ^ (wide)b[i])                                        \
    DEFINE_LOOP(shl, suffix, type, shift_left((same)a[i], (same)b[i]))                             \
    DEFINE_LOOP(shr, suffix, type, shift_right((same)a[i], (same)b[i]))                            \
    DEFINE_LOOP(max, suffix, type, a[i] > b[i] ? a[i] : b[i])                                      \
    DEFINE_LOOP(min, suffix, type, a[i] < b[i] ? a[i] : b[i])

DEFINE_COMBINE(i8, int8_t, uint32_t, uint8_t)
DEFINE_COMBINE(u8, uint8_t, uint32_t, uint8_t)
DEFINE_COMBINE(i16, int16_t, uint32_t, uint16_t)
DEFINE_COMBINE(u16, uint16_t, uint32_t, uint16_t)
DEFINE_COMBINE(i32, int32_t, uint32_t, uint32_t)
DEFINE_COMBINE(i64, int64_t, uint64_t, uint64_t)

static const sb_row_fn k_combine[SB_COMBINE_COUNT][SB_DTYPE_COUNT] = {
    [SB_COMBINE_ADD] = LOOPS(add), [SB_COMBINE_SUB] = LOOPS(sub), [SB_COMBINE_MUL] = LOOPS(mul),
    [SB_COMBINE_DIV] = LOOPS(div), [SB_COMBINE_MOD] = LOOPS(mod), [SB_COMBINE_REM] = LOOPS(rem),
    [SB_COMBINE_AND] = LOOPS(and), [SB_COMBINE_OR] = LOOPS(or),   [SB_COMBINE_XOR] = LOOPS(xor),
    [SB_COMBINE_SHL] = LOOPS(shl), [SB_COMBINE_SHR] = LOOPS(shr), [SB_COMBINE_MAX] = LOOPS(max),
    [SB_COMBINE_MIN] = LOOPS(min),
};

static sb_err combine_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_attr(c, SB_ATTR_COMBINE_KIND, "KIND", 0, SB_COMBINE_COUNT - 1));
    SB_TRY(sb_check_dtype(c, c->out, "output", INTEGER_DTYPES));
    SB_TRY(sb_check_same_quant(c, c->in[0], "input a"));
    SB_TRY(sb_check_same_quant(c, c->in[1], "input b"));
    int64_t kind = c->attrs[SB_ATTR_COMBINE_KIND];
    if (kind != SB_COMBINE_MAX && kind != SB_COMBINE_MIN) {
        SB_TRY(check_no_zero_point(c, c->out));
    }
    return sb_rows_infer(c);
}

static struct sb_interval interval_of_type(enum sb_dtype dtype)
{
    return (struct sb_interval){.lo = sb_dtype_min(dtype), .hi = sb_dtype_max(dtype)};
}

/* What fits the type, or all of the type where something may wrap. */
static struct sb_interval or_wrapped(struct sb_interval v, struct sb_interval type)
{
    return v.lo < type.lo || v.hi > type.hi ? type : v;
}

static sb_i128 magnitude(struct sb_interval v)
{
    return -v.lo > v.hi ? -v.lo : v.hi;
}

static sb_i128 smaller(sb_i128 a, sb_i128 b)
{
    return a < b ? a : b;
}

/* |a / b| <= |a|; the remainder has the sign of a and is below both magnitudes, the modulus has that of b. */
static struct sb_interval divided(int64_t kind, struct sb_interval a, struct sb_interval b,
                                  struct sb_interval type)
{
    sb_i128 below_b = magnitude(b) > 0 ? magnitude(b) - 1 : 0;
    if (kind == SB_COMBINE_MOD) {
        return (struct sb_interval){.lo = b.lo < 0 ? -below_b : 0, .hi = b.hi > 0 ? below_b : 0};
    }
    if (kind == SB_COMBINE_REM) {
        sb_i128 top = smaller(below_b, magnitude(a));
        return (struct sb_interval){.lo = a.lo < 0 ? -top : 0, .hi = a.hi > 0 ? top : 0};
    }
    bool signs = a.lo < 0 || b.lo < 0;
    struct sb_interval v = {.lo = signs ? -magnitude(a) : 0, .hi = magnitude(a)};
    return or_wrapped(v, type);
}

/* Of numbers that are not negative: and is at most either; or and xor set no bit above the highest. */
static struct sb_interval bitwise(int64_t kind, struct sb_interval a, struct sb_interval b,
                                  struct sb_interval type)
{
    if (a.lo < 0 || b.lo < 0) {
        return type;
    }
    sb_i128 top = 0;
    while (top < a.hi || top < b.hi) {
        top = 2 * top + 1;
    }
    return (struct sb_interval){.lo = 0, .hi = kind == SB_COMBINE_AND ? smaller(a.hi, b.hi) : top};
}

static sb_err combine_prove(const struct sb_check *c)
{
    struct sb_interval type = interval_of_type(c->out->desc.dtype);
    struct sb_interval a = {.lo = c->in[0]->lo, .hi = c->in[0]->hi};
    struct sb_interval b = {.lo = c->in[1]->lo, .hi = c->in[1]->hi};
    int64_t kind = c->attrs[SB_ATTR_COMBINE_KIND];
    switch (kind) {
    case SB_COMBINE_ADD:
        return sb_prove_moved(c, or_wrapped(sb_interval_add(a, b), type));
    case SB_COMBINE_SUB:
        return sb_prove_moved(c, or_wrapped(sb_interval_add(a, sb_interval_scale(b, -1)), type));
    case SB_COMBINE_MUL:
        return sb_prove_moved(c, or_wrapped(sb_interval_mul(a, b), type));
    case SB_COMBINE_DIV:
    case SB_COMBINE_MOD:
    case SB_COMBINE_REM:
        return sb_prove_moved(c, divided(kind, a, b, type));
    case SB_COMBINE_AND:
    case SB_COMBINE_OR:
    case SB_COMBINE_XOR:
        return sb_prove_moved(c, bitwise(kind, a, b, type));
    case SB_COMBINE_MAX:
        a.lo = a.lo > b.lo ? a.lo : b.lo;
        a.hi = a.hi > b.hi ? a.hi : b.hi;
        return sb_prove_moved(c, a);
    case SB_COMBINE_MIN:
        a.lo = smaller(a.lo, b.lo);
        a.hi = smaller(a.hi, b.hi);
        return sb_prove_moved(c, a);
    default: /* shifts */
        return sb_prove_moved(c, type);
    }
}

static sb_err combine_cost(const struct sb_check *c)
{
    switch (c->attrs[SB_ATTR_COMBINE_KIND]) {
    case SB_COMBINE_DIV:
    case SB_COMBINE_MOD:
    case SB_COMBINE_REM:
        sb_rows_cost(c, SB_GAS_CLASS_REQUANTISE, sat_mul_u64(c->out->count, 8));
        break;
    case SB_COMBINE_SHL:
    case SB_COMBINE_SHR:
        sb_rows_cost(c, SB_GAS_CLASS_REQUANTISE, c->out->count);
        break;
    default:
        sb_rows_cost(c, SB_GAS_CLASS_COPY_BYTE, sat_mul_u64(c->out->bytes, 2));
    }
    return SB_OK;
}

static void combine_run(const struct sb_exec *x)
{
    sb_rows_run(x, k_combine[x->attrs[SB_ATTR_COMBINE_KIND]][x->out_tensor->desc.dtype]);
}

const struct sb_op_code sb_op_combine = {
    .infer = combine_infer, .prove = combine_prove, .cost = combine_cost, .run = combine_run};

/* ---- COMPARE ---- */

#define DEFINE_COMPARE_LOOP(name, suffix, type, relation)                                          \
    static void name##_##suffix(void *ret_y, const void *const *in, size_t count)                  \
    {                                                                                              \
        const type *a = in[0];                                                                     \
        const type *b = in[1];                                                                     \
        uint8_t *y = ret_y;                                                                        \
        for (size_t i = 0; i < count; i++) {                                                       \
            y[i] = a[i] relation b[i] ? 1 : 0;                                                     \
        }                                                                                          \
    }
#define DEFINE_COMPARE(suffix, type)                                                               \
    DEFINE_COMPARE_LOOP(equal, suffix, type, ==)                                                   \
    DEFINE_COMPARE_LOOP(not_equal, suffix, type, !=)                                               \
    DEFINE_COMPARE_LOOP(less, suffix, type, <)                                                     \
    DEFINE_COMPARE_LOOP(less_or_equal, suffix, type, <=)

DEFINE_COMPARE(i8, int8_t)
DEFINE_COMPARE(u8, uint8_t)
DEFINE_COMPARE(i16, int16_t)
DEFINE_COMPARE(u16, uint16_t)
DEFINE_COMPARE(i32, int32_t)
DEFINE_COMPARE(i64, int64_t)

static const sb_row_fn k_compare[SB_COMPARE_COUNT][SB_DTYPE_COUNT] = {
    [SB_COMPARE_EQUAL] = LOOPS(equal),
    [SB_COMPARE_NOT_EQUAL] = LOOPS(not_equal),
    [SB_COMPARE_LESS] = LOOPS(less),
    [SB_COMPARE_LESS_OR_EQUAL] = LOOPS(less_or_equal),
};

static sb_err compare_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_attr(c, SB_ATTR_COMPARE_KIND, "KIND", 0, SB_COMPARE_COUNT - 1));
    SB_TRY(sb_check_dtype(c, c->in[0], "input a", ALL_DTYPES));
    SB_TRY(sb_check_dtype(c, c->out, "output", FLAG_DTYPES));
    SB_TRY(check_no_zero_point(c, c->out));
    const struct sb_tensor_desc *a = &c->in[0]->desc;
    const struct sb_tensor_desc *b = &c->in[1]->desc;
    if (a->dtype != b->dtype || a->quant.zero_point != b->quant.zero_point) {
        return sb_fail(c->diag, SB_E_TYPE, "'%s' and '%s' differ in type or zero point",
                       c->in[0]->name, c->in[1]->name);
    }
    return sb_rows_infer(c);
}

static sb_err compare_prove(const struct sb_check *c)
{
    return sb_prove_moved(c, (struct sb_interval){.lo = 0, .hi = 1});
}

static sb_err compare_cost(const struct sb_check *c)
{
    uint64_t bytes = sat_mul_u64(c->out->count, sb_dtype_bytes(c->in[0]->desc.dtype));
    sb_rows_cost(c, SB_GAS_CLASS_COPY_BYTE, sat_mul_u64(bytes, 2));
    return SB_OK;
}

static void compare_run(const struct sb_exec *x)
{
    sb_rows_run(x, k_compare[x->attrs[SB_ATTR_COMPARE_KIND]][x->in_tensor[0]->desc.dtype]);
}

const struct sb_op_code sb_op_compare = {
    .infer = compare_infer, .prove = compare_prove, .cost = compare_cost, .run = compare_run};

/* ---- WHERE ---- */

#define DEFINE_WHERE(bits)                                                                         \
    static void where_##bits(void *ret_y, const void *const *in, size_t count)                     \
    {                                                                                              \
        const uint8_t *flag = in[SB_IN_WHERE_FLAG];                                                \
        const uint##bits##_t *a = in[SB_IN_WHERE_A];                                               \
        const uint##bits##_t *b = in[SB_IN_WHERE_B];                                               \
        uint##bits##_t *y = ret_y;                                                                 \
        for (size_t i = 0; i < count; i++) {                                                       \
            uint##bits##_t mask = (uint##bits##_t)(0 - (uint##bits##_t)(flag[i] != 0));            \
            y[i] = (uint##bits##_t)(b[i] ^ ((a[i] ^ b[i]) & mask));                                \
        }                                                                                          \
    }
DEFINE_WHERE(8)
DEFINE_WHERE(16)
DEFINE_WHERE(32)
DEFINE_WHERE(64)

static sb_err where_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_dtype(c, c->in[SB_IN_WHERE_FLAG], "input flag", FLAG_DTYPES));
    SB_TRY(check_no_zero_point(c, c->in[SB_IN_WHERE_FLAG]));
    SB_TRY(sb_check_same_quant(c, c->in[SB_IN_WHERE_A], "input a"));
    SB_TRY(sb_check_same_quant(c, c->in[SB_IN_WHERE_B], "input b"));
    return sb_rows_infer(c);
}

static sb_err where_prove(const struct sb_check *c)
{
    const struct sb_tensor *a = c->in[SB_IN_WHERE_A];
    const struct sb_tensor *b = c->in[SB_IN_WHERE_B];
    return sb_prove_moved(c, sb_interval_hull((struct sb_interval){.lo = a->lo, .hi = a->hi},
                                              (struct sb_interval){.lo = b->lo, .hi = b->hi}));
}

static sb_err where_cost(const struct sb_check *c)
{
    sb_rows_cost(c, SB_GAS_CLASS_COPY_BYTE, sat_mul_u64(c->out->bytes, 3));
    return SB_OK;
}

static void where_run(const struct sb_exec *x)
{
    switch (sb_dtype_bytes(x->out_tensor->desc.dtype)) {
    case 1:
        sb_rows_run(x, where_8);
        return;
    case 2:
        sb_rows_run(x, where_16);
        return;
    case 4:
        sb_rows_run(x, where_32);
        return;
    case 8:
        sb_rows_run(x, where_64);
        return;
    default:
        SB_UNREACHABLE();
    }
}

const struct sb_op_code sb_op_where = {
    .infer = where_infer, .prove = where_prove, .cost = where_cost, .run = where_run};

/* ---- MAP ---- */

/* Narrow types compute in 32 bits, where a shift of 30 does what a longer one does. */
#define NARROW_SHIFT_MAX 30u

struct map_params {
    int64_t zero_point_x;
    int64_t zero_point_y;
    int64_t lo;
    int64_t hi;
    unsigned shift;
    int64_t half_below; /* 2^(shift - 1) - 1; 0 without a shift */
    int64_t odd;        /* 1; 0 without a shift */
};

static struct map_params map_params_of(unsigned shift)
{
    return (struct map_params){
        .shift = shift,
        .half_below = shift == 0 ? 0 : ((int64_t)1 << (shift - 1)) - 1,
        .odd = shift == 0 ? 0 : 1,
    };
}

#define DEFINE_MAP_LOOP(name, suffix, type, wide, shr, formula)                                    \
    static void name##_##suffix(void *ret_y, const void *x, size_t count,                          \
                                const struct map_params *p)                                        \
    {                                                                                              \
        type *y = ret_y;                                                                           \
        const wide zx = (wide)p->zero_point_x;                                                     \
        const wide zy = (wide)p->zero_point_y;                                                     \
        const wide lo = (wide)p->lo;                                                               \
        const wide hi = (wide)p->hi;                                                               \
        const wide half_below = (wide)p->half_below;                                               \
        const wide odd = (wide)p->odd;                                                             \
        const unsigned shift = p->shift;                                                           \
        (void)half_below, (void)odd, (void)shift;                                                  \
        for (size_t i = 0; i < count; i++) {                                                       \
            wide v = (wide)((wide)((const type *)x)[i] - zx);                                      \
            wide r = (wide)((formula) + zy);                                                       \
            r = r < lo ? lo : r;                                                                   \
            y[i] = (type)(r > hi ? hi : r);                                                        \
        }                                                                                          \
    }
/* Half to even: up by half, less one where the whole part is even. */
#define DEFINE_MAP(suffix, type, wide, shr)                                                        \
    DEFINE_MAP_LOOP(abs, suffix, type, wide, shr, v < 0 ? -v : v)                                  \
    DEFINE_MAP_LOOP(neg, suffix, type, wide, shr, -v)                                              \
    DEFINE_MAP_LOOP(sign, suffix, type, wide, shr, (v > 0 ? 1 : 0) - (v < 0 ? 1 : 0))              \
    DEFINE_MAP_LOOP(floor, suffix, type, wide, shr, shr(v, shift))                                 \
    DEFINE_MAP_LOOP(ceil, suffix, type, wide, shr, -shr(-v, shift))                                \
    DEFINE_MAP_LOOP(round, suffix, type, wide, shr,                                                \
                    shr(v + half_below + (shr(v, shift) & odd), shift))                            \
    DEFINE_MAP_LOOP(trunc, suffix, type, wide, shr, v < 0 ? -shr(-v, shift) : shr(v, shift))

/* As sb_shr_i64: without a branch. */
static inline int32_t shr32(int32_t value, unsigned shift)
{
    uint32_t sign = 0 - ((uint32_t)value >> 31);
    return (int32_t)((((uint32_t)value ^ sign) >> shift) ^ sign);
}

DEFINE_MAP(i8, int8_t, int32_t, shr32)
DEFINE_MAP(u8, uint8_t, int32_t, shr32)
DEFINE_MAP(i16, int16_t, int32_t, shr32)
DEFINE_MAP(u16, uint16_t, int32_t, shr32)
DEFINE_MAP(i32, int32_t, int64_t, sb_shr_i64)
DEFINE_MAP(i64, int64_t, int64_t, sb_shr_i64)

typedef void (*map_fn)(void *ret_y, const void *x, size_t count, const struct map_params *p);
static const map_fn k_map[SB_MAP_COUNT][SB_DTYPE_COUNT] = {
    [SB_MAP_ABS] = LOOPS(abs),     [SB_MAP_NEG] = LOOPS(neg),   [SB_MAP_SIGN] = LOOPS(sign),
    [SB_MAP_FLOOR] = LOOPS(floor), [SB_MAP_CEIL] = LOOPS(ceil), [SB_MAP_ROUND] = LOOPS(round),
    [SB_MAP_TRUNC] = LOOPS(trunc),
};

static sb_err map_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_attr(c, SB_ATTR_MAP_KIND, "KIND", 0, SB_MAP_COUNT - 1));
    SB_TRY(sb_check_attr(c, SB_ATTR_MAP_SHIFT, "SHIFT", 0, 62));
    SB_TRY(sb_check_dtype(c, c->out, "output", INTEGER_DTYPES));
    SB_TRY(sb_check_dtype(c, c->in[0], "input x", 1u << c->out->desc.dtype));
    return sb_check_shape(c, c->out, "output", &c->in[0]->desc.shape);
}

/* The value of a kind at v; the kinds are monotone but ABS. */
static int64_t map_value(int64_t kind, int64_t v, unsigned shift)
{
    struct map_params p = map_params_of(shift);
    switch (kind) {
    case SB_MAP_ABS:
        return v < 0 ? -v : v;
    case SB_MAP_NEG:
        return -v;
    case SB_MAP_SIGN:
        return (v > 0 ? 1 : 0) - (v < 0 ? 1 : 0);
    case SB_MAP_FLOOR:
        return sb_shr_i64(v, shift);
    case SB_MAP_CEIL:
        return -sb_shr_i64(-v, shift);
    case SB_MAP_ROUND:
        return sb_shr_i64(v + p.half_below + (sb_shr_i64(v, shift) & p.odd), shift);
    default:
        return v < 0 ? -sb_shr_i64(-v, shift) : sb_shr_i64(v, shift);
    }
}

static sb_err map_prove(const struct sb_check *c)
{
    struct sb_interval x = sb_interval_of(c->in[0]);
    unsigned shift = (unsigned)c->attrs[SB_ATTR_MAP_SHIFT];
    int64_t kind = c->attrs[SB_ATTR_MAP_KIND];
    SB_TRY(sb_check_fits_i64(c, x, "the element"));
    SB_TRY(sb_check_fits_i64(c, sb_interval_scale(x, -1), "its negative"));
    SB_TRY(sb_check_fits_i64(c, sb_interval_with_half(x, kind == SB_MAP_ROUND ? shift : 0),
                             "the element with the half"));
    int64_t at_lo = map_value(kind, (int64_t)x.lo, shift);
    int64_t at_hi = map_value(kind, (int64_t)x.hi, shift);
    struct sb_interval y = sb_interval_hull((struct sb_interval){.lo = at_lo, .hi = at_lo},
                                            (struct sb_interval){.lo = at_hi, .hi = at_hi});
    y.lo = kind == SB_MAP_ABS && x.lo < 0 && x.hi > 0 ? 0 : y.lo;
    int32_t zero_point = c->out->desc.quant.zero_point;
    struct sb_interval whole = {.lo = y.lo + zero_point, .hi = y.hi + zero_point};
    SB_TRY(sb_check_fits_i64(c, whole, "the result"));
    sb_prove_clamped(c, y);
    return SB_OK;
}

static sb_err map_cost(const struct sb_check *c)
{
    uint64_t units = sb_dtype_bytes(c->out->desc.dtype) < 4 ? 1 : 4;
    sb_units_add(&c->node->units, SB_GAS_CLASS_ELEMENTWISE, sat_mul_u64(c->out->count, units));
    return SB_OK;
}

static void map_run(const struct sb_exec *x)
{
    const struct sb_tensor_desc *d = &x->out_tensor->desc;
    unsigned shift = (unsigned)x->attrs[SB_ATTR_MAP_SHIFT];
    bool narrow = sb_dtype_bytes(d->dtype) < 4;
    struct map_params p =
        map_params_of(narrow && shift > NARROW_SHIFT_MAX ? NARROW_SHIFT_MAX : shift);
    p.zero_point_x = x->in_tensor[0]->desc.quant.zero_point;
    p.zero_point_y = d->quant.zero_point;
    p.lo = d->lo;
    p.hi = d->hi;
    k_map[x->attrs[SB_ATTR_MAP_KIND]][d->dtype](x->out, x->in[0], (size_t)x->out_tensor->count, &p);
}

const struct sb_op_code sb_op_map = {
    .infer = map_infer, .prove = map_prove, .cost = map_cost, .run = map_run};

/* ---- WRAP ---- */

#define WRAP_BLOCK 256u

static sb_err wrap_infer(const struct sb_check *c)
{
    SB_TRY(sb_check_dtype(c, c->in[0], "input x", ALL_DTYPES));
    SB_TRY(sb_check_dtype(c, c->out, "output", INTEGER_DTYPES));
    SB_TRY(check_no_zero_point(c, c->in[0]));
    SB_TRY(check_no_zero_point(c, c->out));
    return sb_check_shape(c, c->out, "output", &c->in[0]->desc.shape);
}

static sb_err wrap_prove(const struct sb_check *c)
{
    struct sb_interval x = {.lo = c->in[0]->lo, .hi = c->in[0]->hi};
    return sb_prove_moved(c, or_wrapped(x, interval_of_type(c->out->desc.dtype)));
}

static sb_err wrap_cost(const struct sb_check *c)
{
    sb_units_add(&c->node->units, SB_GAS_CLASS_REQUANTISE, c->out->count);
    return SB_OK;
}

static void wrap_run(const struct sb_exec *x)
{
    int64_t values[WRAP_BLOCK];
    enum sb_dtype from = x->in_tensor[0]->desc.dtype;
    enum sb_dtype to = x->out_tensor->desc.dtype;
    size_t total = (size_t)x->out_tensor->count;
    for (size_t i = 0; i < total; i += WRAP_BLOCK) {
        size_t count = total - i < WRAP_BLOCK ? total - i : WRAP_BLOCK;
        sb_widen(values, sb_element_at(x->in[0], from, i), from, count);
        sb_narrow(sb_element_at_mut(x->out, to, i), to, values, count);
    }
}

const struct sb_op_code sb_op_wrap = {
    .infer = wrap_infer, .prove = wrap_prove, .cost = wrap_cost, .run = wrap_run};
