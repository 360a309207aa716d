/* test_dataset.c: numpy arrays, archives and text as rows of samples. */
#include "vm/compiler/dataset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static sb_err load(struct sb_dataset *ret, const void *file, size_t len, bool label_last,
                   struct sb_diag *diag)
{
    struct sb_dataset_options options = {.label_last = label_last};
    *diag = (struct sb_diag){0};
    return sb_dataset_load(ret, sb_span(file, len), &options, diag);
}

/* A version 1 .npy file in ret; returns its length. */
static size_t make_npy(uint8_t *ret, const char *descr, const char *order, const char *shape,
                       const void *data, size_t len)
{
    char header[118];
    int used = snprintf(header, sizeof header,
                        "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", descr, order, shape);
    memset(header + used, ' ', sizeof header - (size_t)used);
    header[sizeof header - 1] = '\n';
    memcpy(ret, "\x93NUMPY\x01\x00\x76\x00", 10);
    memcpy(ret + 10, header, sizeof header);
    memcpy(ret + 128, data, len);
    return 128 + len;
}

static size_t read_corpus(uint8_t *ret, size_t size, const char *name)
{
    char path[1024];
    const char *root = getenv("SAMEBIT_SOURCE_ROOT");
    (void)snprintf(path, sizeof path, "%s/tests/fuzz/corpus/npy/%s", root != NULL ? root : ".",
                   name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(ret, 1, size, file);
    (void)fclose(file);
    return len;
}

static void npy_of_each_type_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *descr;
        uint8_t data[16];
        size_t len;
        double second;
    } k[] = {
        {"<f4", {0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0}, 8, -2.5},
        {"<f8", {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f}, 16, 1.5},
        {"|i1", {1, 0xff}, 2, -1},
        {"|u1", {1, 0xff}, 2, 255},
        {"<i2", {1, 0, 0xfe, 0xff}, 4, -2},
        {"<u2", {1, 0, 0xfe, 0xff}, 4, 65534},
        {"<i4", {1, 0, 0, 0, 0xfd, 0xff, 0xff, 0xff}, 8, -3},
        {"<u4", {1, 0, 0, 0, 0xfd, 0xff, 0xff, 0xff}, 8, 4294967293.0},
        {"<i8", {1, 0, 0, 0, 0, 0, 0, 0, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 16, -4},
        {"|b1", {0, 1}, 2, 1},
    };
    for (size_t i = 0; i < sizeof k / sizeof k[0]; i++) {
        uint8_t file[256];
        struct sb_dataset d;
        struct sb_diag diag;
        size_t len = make_npy(file, k[i].descr, "False", "(2,)", k[i].data, k[i].len);
        if (load(&d, file, len, false, &diag) != SB_OK) {
            fail_msg("%s: %s", k[i].descr, diag.text);
        }
        assert_int_equal(d.row_count, 2);
        assert_int_equal(d.row_elements, 1);
        assert_true(d.x[1] == k[i].second);
        sb_dataset_fini(&d);
    }
}

static void npy_that_is_wrong_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *descr;
        const char *order;
        const char *shape;
        size_t len;
        sb_err err;
    } k[] = {
        {"<f4", "False", "(3,)", 8, SB_E_TRUNCATED},
        {"<f4", "False", "(1,)", 8, SB_E_TRAILING},
        {"<f4", "True", "(2,)", 8, SB_E_TYPE},
        {">f4", "False", "(2,)", 8, SB_E_TYPE},
        {"<f2", "False", "(4,)", 8, SB_E_TYPE},
        {"<f4", "False", "(0,)", 8, SB_E_LIMIT},
        {"<f4", "False", "(99999999999,)", 8, SB_E_LIMIT},
        {"<f4", "False", "(2", 8, SB_E_SYNTAX},
    };
    for (size_t i = 0; i < sizeof k / sizeof k[0]; i++) {
        uint8_t file[256] = {0};
        uint8_t data[16] = {0};
        struct sb_dataset d;
        struct sb_diag diag;
        size_t len = make_npy(file, k[i].descr, k[i].order, k[i].shape, data, k[i].len);
        assert_int_equal(load(&d, file, len, false, &diag), k[i].err);
        assert_true(diag.text[0] != '\0');
    }
    static const uint8_t nan[4] = {0, 0, 0xc0, 0x7f};
    uint8_t file[256];
    struct sb_dataset d;
    struct sb_diag diag;
    size_t len = make_npy(file, "<f4", "False", "(1,)", nan, 4);
    assert_int_equal(load(&d, file, len, false, &diag), SB_E_RANGE);
}

static void npz_stored_and_deflated_give_rows_and_answers(void **state)
{
    (void)state;
    static const char *const names[] = {"stored.npz", "deflated.npz"};
    for (size_t i = 0; i < 2; i++) {
        uint8_t file[4096];
        struct sb_dataset d;
        struct sb_diag diag;
        size_t len = read_corpus(file, sizeof file, names[i]);
        assert_int_equal(load(&d, file, len, false, &diag), SB_OK);
        assert_int_equal(d.row_count, 2);
        assert_int_equal(d.row_elements, 4);
        assert_int_equal(d.row_shape.rank, 3);
        assert_true(d.x[0] == 0.5 && d.x[4] == -1);
        assert_true(d.y_is_class);
        assert_true(d.y[0] == 1 && d.y[1] == 0);
        struct sb_dataset rest = sb_dataset_slice(&d, 1, 9);
        assert_int_equal(rest.row_count, 1);
        assert_true(rest.x[0] == -1 && rest.y[0] == 0);
        sb_dataset_fini(&d);
    }
}

static void npz_cut_anywhere_is_an_error(void **state)
{
    (void)state;
    uint8_t file[4096];
    size_t len = read_corpus(file, sizeof file, "deflated.npz");
    for (size_t cut = 4; cut < len; cut++) {
        struct sb_dataset d;
        struct sb_diag diag;
        assert_true(load(&d, file, cut, false, &diag) != SB_OK);
    }
    struct sb_dataset d;
    struct sb_diag diag;
    file[60] ^= 1; /* inside the packed data of x */
    sb_err err = load(&d, file, len, false, &diag);
    assert_true(err == SB_E_CORRUPT || err == SB_E_CHECKSUM);
}

static void text_rows_are_read_with_header_comment_and_label(void **state)
{
    (void)state;
    static const char text[] = "a,b,label\n0.5,1e-3,1\n# note\n-2, 3 ,0 # why\r\n";
    struct sb_dataset d;
    struct sb_diag diag;
    assert_int_equal(load(&d, text, sizeof text - 1, true, &diag), SB_OK);
    assert_int_equal(d.row_count, 2);
    assert_int_equal(d.row_elements, 2);
    assert_true(d.x[1] == 1e-3 && d.x[3] == 3);
    assert_true(d.y_is_class && d.y[0] == 1 && d.y[1] == 0);
    sb_dataset_fini(&d);
}

static void text_that_is_wrong_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        sb_err err;
    } k[] = {
        {"", SB_E_SYNTAX},
        {"a,b\n", SB_E_SYNTAX},
        {"1,2\n3\n", SB_E_SHAPE},
        {"1,2\n3,x\n", SB_E_SYNTAX},
        {"1,2\n3,nan\n", SB_E_SYNTAX},
        {"1\n2\n", SB_E_SHAPE}, /* nothing is left beside the label */
    };
    for (size_t i = 0; i < sizeof k / sizeof k[0]; i++) {
        struct sb_dataset d;
        struct sb_diag diag;
        assert_int_equal(load(&d, k[i].text, strlen(k[i].text), true, &diag), k[i].err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npy_of_each_type_is_read),
        cmocka_unit_test(npy_that_is_wrong_is_refused),
        cmocka_unit_test(npz_stored_and_deflated_give_rows_and_answers),
        cmocka_unit_test(npz_cut_anywhere_is_an_error),
        cmocka_unit_test(text_rows_are_read_with_header_comment_and_label),
        cmocka_unit_test(text_that_is_wrong_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
