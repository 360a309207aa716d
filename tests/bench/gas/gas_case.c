/* gas_case.c: see gas_case.h. */
#include "tests/bench/gas/gas_case.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/tensor/build.h"

#define TENSORS_MAX        (SB_NODE_INPUTS_MAX + 1)
#define COPIES_SMALL       16u
#define SMALL_ELEMENTS_MAX 65536u

const struct gas_case gas_cases[] = {
#define GAS_CASE(op, tensors, attrs) {SB_OP_##op, #op, tensors, attrs},
#include "tests/bench/gas/gas_cases.def"
#undef GAS_CASE
};
const size_t gas_case_count = sizeof gas_cases / sizeof gas_cases[0];

static _Noreturn void wrong(const struct gas_case *c, const char *what)
{
    (void)fprintf(stderr, "bench_gas: %s | %s | %s: %s\n", c->name, c->tensors, c->attrs, what);
    exit(1);
}

/* ---- random elements ---- */

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 24;
}

static int64_t random_in(uint64_t *state, int64_t lo, int64_t hi)
{
    uint64_t span = (uint64_t)hi - (uint64_t)lo + 1;
    uint64_t wide = (next_random(state) << 40) ^ next_random(state);
    return (int64_t)((uint64_t)lo + (span == 0 ? wide : wide % span));
}

static void put_element(void *elements, enum sb_dtype dtype, uint64_t i, int64_t v)
{
    switch (sb_dtype_bytes(dtype)) {
    case 1:
        ((int8_t *)elements)[i] = (int8_t)v;
        return;
    case 2:
        ((int16_t *)elements)[i] = (int16_t)v;
        return;
    case 4:
        ((int32_t *)elements)[i] = (int32_t)v;
        return;
    default:
        ((int64_t *)elements)[i] = v;
        return;
    }
}

/* ---- tensors ---- */

static struct sb_tensor_desc desc_of(enum sb_dtype dtype, uint32_t rank, const uint32_t *dims)
{
    struct sb_tensor_desc d = {.dtype = dtype,
                               .shape = {.rank = rank},
                               .quant = {.scale_mult = 1},
                               .lo = sb_dtype_min(dtype),
                               .hi = sb_dtype_max(dtype)};
    for (uint32_t i = 0; i < rank; i++) {
        d.shape.dims[i] = dims[i];
    }
    return d;
}

struct parsed {
    struct sb_tensor_desc desc;
    bool is_const;
};

static enum sb_dtype dtype_named(const char *text, size_t len)
{
    for (int d = SB_DTYPE_NONE + 1; d < SB_DTYPE_COUNT; d++) {
        const char *name = sb_dtype_name((enum sb_dtype)d);
        if (strlen(name) == len && memcmp(name, text, len) == 0) {
            return (enum sb_dtype)d;
        }
    }
    return SB_DTYPE_NONE;
}

static const char *skip(const char *at, const char *chars)
{
    return at + strspn(at, chars);
}

/* Reads one tensor; returns where it ends. */
static const char *parse_tensor(struct parsed *ret, const struct gas_case *c, const char *at)
{
    bool is_const = strncmp(at, "const ", 6) == 0;
    at += is_const ? 6 : 0;
    size_t len = strcspn(at, "[");
    enum sb_dtype dtype = dtype_named(at, len);
    if (dtype == SB_DTYPE_NONE || at[len] != '[') {
        wrong(c, "no tensor type");
    }
    uint32_t dims[SB_TENSOR_RANK_MAX];
    uint32_t rank = 0;
    char *end = NULL;
    for (at += len; *at == '[' || *at == ','; at = end) {
        if (at[1] == ']') {
            end = (char *)(uintptr_t)(at + 1);
            break;
        }
        dims[rank++] = (uint32_t)strtoul(at + 1, &end, 10);
    }
    at = end + 1;
    ret->desc = desc_of(dtype, rank, dims);
    ret->is_const = is_const;
    if (*at == '{') {
        ret->desc.lo = strtoll(at + 1, &end, 10);
        ret->desc.hi = strtoll(end + 2, &end, 10);
        at = end + 1;
    }
    if (*at == '@') {
        ret->desc.quant.zero_point = (int32_t)strtol(at + 1, &end, 10);
        at = end;
    }
    return at;
}

/* Inputs, then the output; returns the number of inputs. */
static uint32_t parse_tensors(struct parsed ret[TENSORS_MAX], const struct gas_case *c)
{
    uint32_t count = 0;
    const char *at = c->tensors;
    while (strncmp(at, "->", 2) != 0) {
        if (count == SB_NODE_INPUTS_MAX || *at == '\0') {
            wrong(c, "no output");
        }
        at = skip(parse_tensor(&ret[count++], c, at), ", ");
    }
    (void)parse_tensor(&ret[count], c, skip(at + 2, " "));
    return count;
}

static uint32_t add_const(struct sb_build *b, const struct sb_tensor_desc *d)
{
    uint64_t state = 1;
    uint64_t count = sb_shape_count(&d->shape);
    void *elements = calloc(count, sb_dtype_bytes(d->dtype));
    for (uint64_t i = 0; elements != NULL && i < count; i++) {
        put_element(elements, d->dtype, i, random_in(&state, d->lo, d->hi));
    }
    uint32_t t = sb_build_const(b, "c", d->dtype, &d->shape, &d->quant, elements);
    free(elements);
    return t;
}

/* ---- trees ---- */

struct forest {
    uint32_t trees;
    uint32_t depth;
    uint32_t features;
    uint32_t rows;
    bool chain;
};

static bool parse_forest(struct forest *ret, const struct gas_case *c)
{
    if (c->op != SB_OP_TREE_ENSEMBLE) {
        return false;
    }
    if (sscanf(c->tensors, "trees %" SCNu32 " depth %" SCNu32 " features %" SCNu32 " rows %" SCNu32,
               &ret->trees, &ret->depth, &ret->features, &ret->rows) != 4) {
        wrong(c, "no forest");
    }
    ret->chain = strstr(c->tensors, "chain") != NULL;
    return true;
}

static uint32_t vector_of(struct sb_build *b, enum sb_dtype dtype, uint32_t count,
                          const void *elements)
{
    struct sb_shape shape = {.rank = 1, .dims = {count}};
    return sb_build_const(b, "c", dtype, &shape, NULL, elements);
}

/* Complete trees, level by level; or chains: each branch has a leaf and the next branch. */
static void add_forest(uint32_t ret_inputs[8], struct sb_build *b, const struct forest *f)
{
    uint32_t branches = f->chain ? f->depth : (1u << f->depth) - 1;
    uint32_t nodes = 2 * branches + 1;
    uint32_t leaves = branches + 1;
    uint32_t all = nodes * f->trees;
    uint64_t state = 1;
    int32_t *roots = calloc(f->trees, 4);
    int32_t *class_of = calloc(f->trees, 4);
    int32_t *feature = calloc(all, 4);
    int32_t *threshold = calloc(all, 4);
    int32_t *child = calloc(2 * (size_t)all, 4);
    int64_t *leaf = calloc((size_t)leaves * f->trees, 8);
    int64_t base = 0;
    int32_t next_leaf = 0;
    for (uint32_t tree = 0; tree < f->trees; tree++) {
        uint32_t root = tree * nodes;
        roots[tree] = (int32_t)root;
        for (uint32_t i = 0; i < nodes; i++) {
            bool is_leaf = f->chain ? i % 2 == 1 || i == nodes - 1 : i >= branches;
            uint32_t yes = f->chain ? root + i + 1 : root + 2 * i + 1;
            feature[root + i] = is_leaf ? -1 : (int32_t)random_in(&state, 0, f->features - 1);
            threshold[root + i] =
                is_leaf
                    ? 0
                    : (int32_t)(f->chain ? INT32_MIN : random_in(&state, -1000000000, 1000000000));
            child[2 * (root + i)] = is_leaf ? next_leaf : (int32_t)yes;
            child[2 * (root + i) + 1] = is_leaf ? 0 : (int32_t)yes + 1;
            if (is_leaf) {
                leaf[next_leaf++] = random_in(&state, -1000000, 1000000);
            }
        }
    }
    struct sb_tensor_desc x = desc_of(SB_DTYPE_I32, 2, (uint32_t[]){f->rows, f->features});
    x.lo = -1000000000;
    x.hi = 1000000000;
    ret_inputs[SB_IN_TREE_X] = sb_build_input(b, "x", &x);
    ret_inputs[SB_IN_TREE_ROOTS] = vector_of(b, SB_DTYPE_I32, f->trees, roots);
    ret_inputs[SB_IN_TREE_CLASS] = vector_of(b, SB_DTYPE_I32, f->trees, class_of);
    ret_inputs[SB_IN_TREE_FEATURE] = vector_of(b, SB_DTYPE_I32, all, feature);
    ret_inputs[SB_IN_TREE_THRESHOLD] = vector_of(b, SB_DTYPE_I32, all, threshold);
    struct sb_shape pairs = {.rank = 2, .dims = {all, 2}};
    ret_inputs[SB_IN_TREE_CHILD] = sb_build_const(b, "c", SB_DTYPE_I32, &pairs, NULL, child);
    struct sb_shape rows = {.rank = 2, .dims = {leaves * f->trees, 1}};
    ret_inputs[SB_IN_TREE_LEAF] = sb_build_const(b, "c", SB_DTYPE_I64, &rows, NULL, leaf);
    ret_inputs[SB_IN_TREE_BASE] = vector_of(b, SB_DTYPE_I64, 1, &base);
    free(roots);
    free(class_of);
    free(feature);
    free(threshold);
    free(child);
    free(leaf);
}

/* ---- the model ---- */

static uint32_t parse_attrs(int64_t ret[SB_NODE_ATTRS_MAX], const struct gas_case *c)
{
    const struct sb_op_facts *facts = sb_op_find((uint16_t)c->op, 1);
    uint32_t count = 0;
    char *end = NULL;
    for (const char *at = c->attrs; *skip(at, " ") != '\0' && count < SB_NODE_ATTRS_MAX; at = end) {
        ret[count++] = strtoll(at, &end, 10);
        if (end == at) {
            wrong(c, "no attribute");
        }
    }
    while (count < facts->attr_count) {
        ret[count++] = 0;
    }
    return count;
}

static void add_marker(struct sb_build *b)
{
    struct sb_tensor_desc one = desc_of(SB_DTYPE_I8, 1, (uint32_t[]){1});
    uint32_t x = sb_build_input(b, "marker", &one);
    uint32_t y = sb_build_tensor(b, "end", &one);
    sb_build_node(b, "marker", SB_OP_CLAMP, 1, &x, 1, y, NULL, 0);
    sb_build_output(b, y);
}

void gas_case_build(struct sb_buf *ret_file, const struct gas_case *c, uint32_t copies)
{
    struct sb_build *b = sb_build_new("gas");
    struct parsed tensors[TENSORS_MAX];
    struct forest forest = {0};
    uint32_t inputs[SB_NODE_INPUTS_MAX];
    uint32_t count = 8;
    int64_t attrs[SB_NODE_ATTRS_MAX];
    uint32_t attr_count = parse_attrs(attrs, c);
    struct sb_tensor_desc out;
    if (parse_forest(&forest, c)) {
        add_forest(inputs, b, &forest);
        out = desc_of(SB_DTYPE_I64, 2, (uint32_t[]){forest.rows, 1});
    } else {
        count = parse_tensors(tensors, c);
        out = tensors[count].desc;
        for (uint32_t i = 0; i < count; i++) {
            char name[8];
            (void)snprintf(name, sizeof name, "x%u", (unsigned)i % 100);
            inputs[i] = tensors[i].is_const ? add_const(b, &tensors[i].desc)
                                            : sb_build_input(b, name, &tensors[i].desc);
        }
    }
    for (uint32_t i = 0; i < copies; i++) {
        uint32_t y = sb_build_tensor(b, "y", &out);
        sb_build_node(b, "node", c->op, 1, inputs, count, y, attrs, attr_count);
    }
    add_marker(b);
    struct sb_diag diag = {.text = ""};
    if (sb_build_finish(ret_file, b, &diag) != SB_OK) {
        wrong(c, diag.text);
    }
    sb_build_free(b);
}

uint32_t gas_case_copies(const struct gas_case *c)
{
    struct parsed tensors[TENSORS_MAX];
    struct forest forest = {0};
    uint64_t work = 0;
    if (parse_forest(&forest, c)) {
        work = (uint64_t)forest.trees * forest.depth * forest.rows * 8;
    } else {
        uint32_t count = parse_tensors(tensors, c);
        for (uint32_t i = 0; i <= count; i++) {
            work += sb_shape_count(&tensors[i].desc.shape);
        }
    }
    return work > SMALL_ELEMENTS_MAX ? 1 : COPIES_SMALL;
}
