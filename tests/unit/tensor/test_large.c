/* test_large.c: operators that work in blocks, tiles and merged dimensions, at shapes larger than those, against their definition by index:
 * TRANSPOSE, broadcast ADD, PAD and GATHER, random shapes, at every CPU level of the machine. SAMEBIT_TEST_SEED sets the seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "vm/tensor/build.h"
#include "vm/tensor/kernels/cpu.h"
#include "vm/tensor/run.h"

#define ROUNDS       150
#define ELEMENTS_MAX 6000u

static uint64_t g_state;

static uint32_t random_below(uint32_t n)
{
    g_state = g_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(g_state >> 33) % n;
}

static int seed(void **state)
{
    const char *given = getenv("SAMEBIT_TEST_SEED");
    (void)state;
    g_state = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("# seed: SAMEBIT_TEST_SEED=%llu\n", (unsigned long long)g_state);
    return 0;
}

static struct sb_shape random_shape(uint32_t rank)
{
    struct sb_shape s = {.rank = rank};
    uint64_t count = 1;
    for (uint32_t i = 0; i < rank; i++) {
        uint32_t most = (uint32_t)(ELEMENTS_MAX / count);
        uint32_t top = random_below(3) == 0 ? 700 : 9;
        s.dims[i] = 1 + random_below(most < top ? most : top);
        count *= s.dims[i];
    }
    return s;
}

static struct sb_tensor_desc desc_of(enum sb_dtype dtype, const struct sb_shape *shape)
{
    return (struct sb_tensor_desc){.dtype = dtype,
                                   .shape = *shape,
                                   .quant = {.scale_mult = 1},
                                   .lo = sb_dtype_min(dtype),
                                   .hi = sb_dtype_max(dtype)};
}

/* Row-major strides; 0 along dimensions of 1, so that an index of a larger shape can be used. */
static void strides_of(size_t ret[SB_TENSOR_RANK_MAX], const struct sb_shape *s, uint32_t rank)
{
    size_t step = 1;
    for (uint32_t i = rank; i-- > 0;) {
        uint32_t dim = i + s->rank < rank ? 1 : s->dims[i + s->rank - rank];
        ret[i] = dim == 1 ? 0 : step;
        step *= dim;
    }
}

struct one_node {
    enum sb_op_id op;
    struct sb_tensor_desc in[2];
    uint8_t *data[2];
    uint32_t input_count;
    bool second_is_const;
    struct sb_tensor_desc out;
    int64_t attrs[SB_NODE_ATTRS_MAX];
    uint32_t attr_count;
};

static size_t bytes_of(const struct sb_tensor_desc *d)
{
    return (size_t)sb_shape_count(&d->shape) * sb_dtype_bytes(d->dtype);
}

static struct sb_model *model_of(const struct one_node *n)
{
    struct sb_build *b = sb_build_new("large");
    uint32_t inputs[2] = {sb_build_input(b, "x", &n->in[0]), 0};
    if (n->input_count == 2) {
        inputs[1] = n->second_is_const ? sb_build_const(b, "w", n->in[1].dtype, &n->in[1].shape,
                                                        &n->in[1].quant, n->data[1])
                                       : sb_build_input(b, "b", &n->in[1]);
    }
    uint32_t y = sb_build_tensor(b, "y", &n->out);
    sb_build_node(b, "node", n->op, 1, inputs, n->input_count, y, n->attrs, n->attr_count);
    sb_build_output(b, y);
    struct sb_buf file;
    struct sb_diag diag = {.text = ""};
    struct sb_model *model = NULL;
    sb_buf_init(&file, SB_MODEL_FILE_BYTES_MAX);
    if (sb_build_finish(&file, b, &diag) != SB_OK ||
        sb_model_load(&model, sb_buf_bytes(&file), &diag) != SB_OK) {
        fail_msg("%s", diag.text);
    }
    sb_buf_fini(&file);
    sb_build_free(b);
    return model;
}

/* The node's output at each level equals what is expected. */
static void expect(const struct one_node *n, const uint8_t *expected)
{
    struct sb_model *model = model_of(n);
    const struct sb_model_info *info = sb_model_info(model);
    uint8_t *y = malloc(bytes_of(&n->out) + 1);
    void *scratch = malloc((size_t)info->arena_bytes);
    sb_bytes inputs[2] = {sb_span(n->data[0], bytes_of(&n->in[0]))};
    if (info->input_count == 2) {
        inputs[1] = sb_span(n->data[1], bytes_of(&n->in[1]));
    }
    for (int level = 0; level < SB_CPU_LEVEL_COUNT; level++) {
        if (sb_cpu_level_usable((enum sb_cpu_level)level)) {
            sb_model_prepare(model, sb_kernels_of((enum sb_cpu_level)level));
            struct sb_run run = {.model = model,
                                 .inputs = inputs,
                                 .ret_outputs = &y,
                                 .scratch = scratch,
                                 .scratch_bytes = (size_t)info->arena_bytes};
            assert_int_equal(sb_model_run(NULL, &run), SB_OK);
            assert_memory_equal(y, expected, bytes_of(&n->out));
        }
    }
    free(y);
    free(scratch);
    sb_model_free(model);
}

static uint8_t *random_bytes(size_t count)
{
    uint8_t *data = malloc(count + 1);
    assert_non_null(data);
    for (size_t i = 0; i < count; i++) {
        data[i] = (uint8_t)random_below(256);
    }
    return data;
}

/* The next index of the shape; false after the last. */
static bool next_index(uint32_t index[SB_TENSOR_RANK_MAX], const struct sb_shape *s)
{
    for (uint32_t i = s->rank; i-- > 0;) {
        if (++index[i] < s->dims[i]) {
            return true;
        }
        index[i] = 0;
    }
    return false;
}

static void transpose_of_large_shapes_moves_each_element(void **state)
{
    static const enum sb_dtype types[] = {SB_DTYPE_I8, SB_DTYPE_I16, SB_DTYPE_I32, SB_DTYPE_I64};
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct sb_shape xs = random_shape(1 + random_below(SB_TENSOR_RANK_MAX));
        struct one_node n = {.op = SB_OP_TRANSPOSE, .input_count = 1, .attr_count = 6};
        struct sb_shape ys = {.rank = xs.rank};
        size_t stride[SB_TENSOR_RANK_MAX];
        strides_of(stride, &xs, xs.rank);
        for (uint32_t i = 0; i < xs.rank; i++) {
            n.attrs[i] = i;
        }
        for (uint32_t i = xs.rank; i > 1; i--) {
            uint32_t j = random_below(i);
            int64_t swap = n.attrs[i - 1];
            n.attrs[i - 1] = n.attrs[j];
            n.attrs[j] = swap;
        }
        for (uint32_t i = 0; i < xs.rank; i++) {
            ys.dims[i] = xs.dims[n.attrs[i]];
        }
        enum sb_dtype dtype = types[random_below(4)];
        size_t size = sb_dtype_bytes(dtype);
        n.in[0] = desc_of(dtype, &xs);
        n.out = desc_of(dtype, &ys);
        n.data[0] = random_bytes(bytes_of(&n.in[0]));
        uint8_t *expected = malloc(bytes_of(&n.out));
        uint32_t index[SB_TENSOR_RANK_MAX] = {0};
        size_t at = 0;
        do {
            size_t from = 0;
            for (uint32_t i = 0; i < ys.rank; i++) {
                from += index[i] * stride[n.attrs[i]];
            }
            memcpy(expected + at++ * size, n.data[0] + from * size, size);
        } while (next_index(index, &ys));
        expect(&n, expected);
        free(expected);
        free(n.data[0]);
    }
}

static void add_of_large_broadcasts_pairs_the_right_elements(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct sb_shape ys = random_shape(1 + random_below(SB_TENSOR_RANK_MAX));
        struct one_node n = {.op = SB_OP_ADD, .input_count = 2, .attr_count = 3};
        size_t stride[2][SB_TENSOR_RANK_MAX];
        for (int k = 0; k < 2; k++) {
            struct sb_shape s = ys;
            for (uint32_t i = 0; k == 1 && i < ys.rank; i++) {
                s.dims[i] = random_below(2) == 0 ? 1 : s.dims[i];
            }
            n.in[k] = desc_of(SB_DTYPE_I8, &s);
            n.data[k] = random_bytes(bytes_of(&n.in[k]));
            strides_of(stride[k], &s, ys.rank);
        }
        n.attrs[SB_ATTR_ADD_MULT_A] = 1;
        n.attrs[SB_ATTR_ADD_MULT_B] = -1;
        n.out = desc_of(SB_DTYPE_I16, &ys);
        int16_t *expected = malloc(bytes_of(&n.out));
        uint32_t index[SB_TENSOR_RANK_MAX] = {0};
        size_t at = 0;
        do {
            size_t from[2] = {0, 0};
            for (uint32_t i = 0; i < ys.rank; i++) {
                from[0] += index[i] * stride[0][i];
                from[1] += index[i] * stride[1][i];
            }
            expected[at++] = (int16_t)((int8_t)n.data[0][from[0]] - (int8_t)n.data[1][from[1]]);
        } while (next_index(index, &ys));
        expect(&n, (const uint8_t *)expected);
        free(expected);
        free(n.data[0]);
        free(n.data[1]);
    }
}

static void pad_of_large_shapes_surrounds_each_row(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct sb_shape xs = random_shape(1 + random_below(4));
        struct one_node n = {.op = SB_OP_PAD, .input_count = 1, .attr_count = 13};
        struct sb_shape ys = xs;
        size_t stride[SB_TENSOR_RANK_MAX];
        strides_of(stride, &xs, xs.rank);
        for (uint32_t i = 0; i < xs.rank; i++) {
            n.attrs[SB_ATTR_PAD_BEFORE + i] = random_below(3);
            n.attrs[SB_ATTR_PAD_AFTER + i] = random_below(3);
            ys.dims[i] +=
                (uint32_t)(n.attrs[SB_ATTR_PAD_BEFORE + i] + n.attrs[SB_ATTR_PAD_AFTER + i]);
        }
        n.attrs[SB_ATTR_PAD_VALUE] = -3;
        n.in[0] = desc_of(SB_DTYPE_I16, &xs);
        n.out = desc_of(SB_DTYPE_I16, &ys);
        n.data[0] = random_bytes(bytes_of(&n.in[0]));
        int16_t *expected = malloc(bytes_of(&n.out));
        uint32_t index[SB_TENSOR_RANK_MAX] = {0};
        size_t at = 0;
        do {
            size_t from = 0;
            bool inside = true;
            for (uint32_t i = 0; i < ys.rank; i++) {
                int64_t place = index[i] - n.attrs[SB_ATTR_PAD_BEFORE + i];
                inside &= place >= 0 && place < xs.dims[i];
                from += (size_t)place * stride[i];
            }
            expected[at] = -3;
            if (inside) {
                memcpy(&expected[at], n.data[0] + 2 * from, 2);
            }
            at++;
        } while (next_index(index, &ys));
        expect(&n, (const uint8_t *)expected);
        free(expected);
        free(n.data[0]);
    }
}

static void gather_of_many_rows_takes_each(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct sb_shape xs = random_shape(1);
        struct sb_shape table = {.rank = 2, .dims = {1 + random_below(256), 1 + random_below(20)}};
        struct sb_shape ys = {.rank = 2, .dims = {xs.dims[0], table.dims[1]}};
        struct one_node n = {.op = SB_OP_GATHER, .input_count = 2, .second_is_const = true};
        n.in[0] = desc_of(SB_DTYPE_U8, &xs);
        n.in[0].hi = table.dims[0] - 1;
        n.in[1] = desc_of(SB_DTYPE_I8, &table);
        n.out = desc_of(SB_DTYPE_I8, &ys);
        n.data[0] = random_bytes(bytes_of(&n.in[0]));
        n.data[1] = random_bytes(bytes_of(&n.in[1]));
        uint8_t *expected = malloc(bytes_of(&n.out));
        for (size_t i = 0; i < xs.dims[0]; i++) {
            n.data[0][i] = (uint8_t)(n.data[0][i] % table.dims[0]);
            memcpy(expected + i * table.dims[1], n.data[1] + n.data[0][i] * (size_t)table.dims[1],
                   table.dims[1]);
        }
        expect(&n, expected);
        free(expected);
        free(n.data[0]);
        free(n.data[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transpose_of_large_shapes_moves_each_element),
        cmocka_unit_test(add_of_large_broadcasts_pairs_the_right_elements),
        cmocka_unit_test(pad_of_large_shapes_surrounds_each_row),
        cmocka_unit_test(gather_of_many_rows_takes_each),
    };
    return cmocka_run_group_tests(tests, seed, NULL);
}
