/* dataset.c: numpy arrays and text into rows. See dataset.h; zip files are read in dataset_zip.c. */
#include "vm/compiler/dataset.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "vm/compiler/dataset_zip.h"

#define NPY_MAGIC       "\x93NUMPY"
#define NPY_MAGIC_BYTES 6
#define HEADER_MAX      4096
#define COLUMNS_MAX     65536

/* An array as .npy describes it. */
struct array {
    char kind; /* 'f', 'i', 'u', 'b' */
    uint32_t elem_bytes;
    uint32_t rank;
    uint64_t dims[SB_TENSOR_RANK_MAX + 1];
    uint64_t count;
    const uint8_t *data;
};

/* ---- .npy ---- */

/* The value after 'key': in the header, a Python dict written by numpy. */
static const char *find_key(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    if (at == NULL) {
        return NULL;
    }
    at += strlen(key);
    at += strspn(at, " ");
    return *at == ':' ? at + 1 + strspn(at + 1, " ") : NULL;
}

static sb_err parse_type(struct array *ret, const char *header, struct sb_diag *diag)
{
    const char *descr = find_key(header, "'descr'");
    const char *order = find_key(header, "'fortran_order'");
    if (descr == NULL || order == NULL || descr[0] != '\'') {
        return sb_fail(diag, SB_E_SYNTAX, "the header names no 'descr' and 'fortran_order'");
    }
    if (strncmp(order, "False", 5) != 0) {
        return sb_fail(diag, SB_E_TYPE, "Fortran order; save it with numpy.ascontiguousarray(x)");
    }
    char kind = descr[1] == '\0' ? '\0' : descr[2];
    char size = kind == '\0' ? '\0' : descr[3];
    bool sizes_ok = kind == 'f' ? size == '4' || size == '8'
                    : kind == 'i' || kind == 'u'
                        ? size == '1' || size == '2' || size == '4' || (size == '8' && kind == 'i')
                        : kind == 'b' && size == '1';
    if ((descr[1] != '<' && descr[1] != '|') || !sizes_ok || descr[4] != '\'') {
        return sb_fail(diag, SB_E_TYPE,
                       "element type %.12s; use float32, float64, bool or an integer type up to "
                       "int64, little-endian",
                       descr);
    }
    ret->kind = kind;
    ret->elem_bytes = (uint32_t)(size - '0');
    return SB_OK;
}

static sb_err parse_shape(struct array *ret, const char *header, struct sb_diag *diag)
{
    const char *at = find_key(header, "'shape'");
    if (at == NULL || *at++ != '(') {
        return sb_fail(diag, SB_E_SYNTAX, "the header names no 'shape'");
    }
    ret->rank = 0;
    ret->count = 1;
    for (;;) {
        at += strspn(at, " ,");
        if (*at == ')') {
            return SB_OK;
        }
        if (*at < '0' || *at > '9' || ret->rank > SB_TENSOR_RANK_MAX) {
            return sb_fail(diag, SB_E_SYNTAX,
                           "the shape is malformed, or has more than %u "
                           "dimensions",
                           SB_TENSOR_RANK_MAX + 1);
        }
        char *end = NULL;
        unsigned long long dim = strtoull(at, &end, 10);
        if (dim == 0 || dim > SB_DATASET_ELEMENTS_MAX ||
            ret->count * dim > SB_DATASET_ELEMENTS_MAX) {
            return sb_fail(diag, SB_E_LIMIT,
                           "the array is empty or has more than %" PRIu64 " elements",
                           SB_DATASET_ELEMENTS_MAX);
        }
        ret->dims[ret->rank++] = dim;
        ret->count *= dim;
        at = end;
    }
}

static sb_err parse_npy(struct array *ret, sb_bytes file, struct sb_diag *diag)
{
    char header[HEADER_MAX + 1];
    if (file.len < 12 || memcmp(file.data, NPY_MAGIC, NPY_MAGIC_BYTES) != 0) {
        return sb_fail(diag, SB_E_SYNTAX, "not a numpy array");
    }
    bool first = file.data[6] == 1;
    size_t start = first ? 10 : 12;
    size_t len = first ? le_load16(file.data + 8) : le_load32(file.data + 8);
    if (file.data[6] < 1 || file.data[6] > 3) {
        return sb_fail(diag, SB_E_VERSION, "numpy file version %u", file.data[6]);
    }
    if (len > HEADER_MAX || len > file.len - start) {
        return sb_fail(diag, SB_E_TRUNCATED, "the header ends after the file");
    }
    memcpy(header, file.data + start, len);
    header[len] = '\0';
    struct array a = {0};
    SB_TRY(parse_type(&a, header, diag));
    SB_TRY(parse_shape(&a, header, diag));
    sb_bytes rest = sb_span_slice(file, start + len, file.len);
    if (rest.len != a.count * a.elem_bytes) {
        return sb_fail(diag, rest.len < a.count * a.elem_bytes ? SB_E_TRUNCATED : SB_E_TRAILING,
                       "%zu bytes of data for %" PRIu64 " elements of %u bytes", rest.len, a.count,
                       a.elem_bytes);
    }
    a.data = rest.data;
    *ret = a;
    return SB_OK;
}

static double load_element(const struct array *a, uint64_t i)
{
    const uint8_t *p = a->data + i * a->elem_bytes;
    bool is_signed = a->kind == 'i';
    switch (a->elem_bytes) {
    case 1:
        return is_signed ? (int8_t)p[0] : a->kind == 'b' ? (p[0] != 0 ? 1 : 0) : p[0];
    case 2:
        return is_signed ? (int16_t)le_load16(p) : le_load16(p);
    case 4: {
        uint32_t bits = le_load32(p);
        float real;
        memcpy(&real, &bits, sizeof real);
        return a->kind == 'f' ? (double)real : is_signed ? (double)(int32_t)bits : (double)bits;
    }
    default: {
        uint64_t bits = le_load64(p);
        double real;
        memcpy(&real, &bits, sizeof real);
        return a->kind == 'f' ? real : (double)(int64_t)bits;
    }
    }
}

/* ---- rows ---- */

static sb_err to_doubles(double **ret, const struct array *a, const char *name,
                         struct sb_diag *diag)
{
    SB_ASSERT(a->count != 0 && a->data != NULL); /* parse_shape refuses empty arrays */
    double *values = calloc((size_t)a->count, sizeof *values);
    if (values == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory for %" PRIu64 " numbers", a->count);
    }
    for (uint64_t i = 0; i < a->count; i++) {
        values[i] = load_element(a, i);
        if (!isfinite(values[i])) {
            free(values);
            return sb_fail(diag, SB_E_RANGE, "element %" PRIu64 " of %s is not a finite number", i,
                           name);
        }
    }
    *ret = values;
    return SB_OK;
}

static sb_err take_x(struct sb_dataset *d, const struct array *x, struct sb_diag *diag)
{
    if (x->rank == 0) {
        return sb_fail(diag, SB_E_SHAPE, "x is a single number, not rows");
    }
    d->row_count = x->dims[0];
    d->row_elements = x->count / x->dims[0];
    d->row_shape.rank = x->rank - 1;
    for (uint32_t i = 1; i < x->rank; i++) {
        if (x->dims[i] > SB_TENSOR_DIM_MAX) {
            return sb_fail(diag, SB_E_LIMIT, "a dimension of x is %" PRIu64, x->dims[i]);
        }
        d->row_shape.dims[i - 1] = (uint32_t)x->dims[i];
    }
    return to_doubles(&d->x, x, "x", diag);
}

static sb_err take_y(struct sb_dataset *d, const struct array *y, struct sb_diag *diag)
{
    if (y->rank == 0 || y->dims[0] != d->row_count) {
        return sb_fail(diag, SB_E_SHAPE, "x has %" PRIu64 " rows, y %" PRIu64, d->row_count,
                       y->rank == 0 ? 0 : y->dims[0]);
    }
    SB_TRY(to_doubles(&d->y, y, "y", diag));
    d->y_elements = y->count / y->dims[0];
    d->y_is_class = d->y_elements == 1 && y->kind != 'f';
    return SB_OK;
}

static sb_err load_npz(struct sb_dataset *d, sb_bytes file, struct sb_diag *diag)
{
    struct sb_zip_member members[SB_ZIP_MEMBERS_MAX];
    uint32_t count = 0;
    SB_TRY(sb_zip_list(members, &count, file, diag));
    const struct sb_zip_member *found[2] = {NULL, NULL};
    for (uint32_t i = 0; i < count; i++) {
        found[0] = strcmp(members[i].name, "x.npy") == 0 ? &members[i] : found[0];
        found[1] = strcmp(members[i].name, "y.npy") == 0 ? &members[i] : found[1];
    }
    if (found[0] == NULL) {
        found[0] = count > 0 ? &members[0] : NULL;
        found[1] = count > 1 ? &members[1] : NULL;
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct array a;
        uint8_t *data = NULL;
        size_t len = 0;
        if (found[i] == NULL) {
            return i > 0 ? SB_OK : sb_fail(diag, SB_E_SYNTAX, "the archive holds no array");
        }
        SB_TRY(sb_zip_read(&data, &len, file, found[i], diag));
        sb_err err = parse_npy(&a, sb_span(data, len), diag);
        if (err == SB_OK) {
            err = i == 0 ? take_x(d, &a, diag) : take_y(d, &a, diag);
        }
        free(data);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "%s", found[i]->name);
            return err;
        }
    }
    return SB_OK;
}

/* ---- text ---- */

struct text {
    struct sb_dataset *d;
    uint64_t capacity; /* numbers */
    double *numbers;   /* all of them, row after row */
    uint64_t count;
    uint64_t columns; /* of the first row */
    uint64_t line;
    struct sb_diag *diag;
};

static sb_err add_number(struct text *t, double value)
{
    if (t->count == t->capacity) {
        uint64_t capacity = t->capacity == 0 ? 1024 : t->capacity * 2;
        double *grown = capacity > SB_DATASET_ELEMENTS_MAX
                            ? NULL
                            : realloc(t->numbers, (size_t)capacity * sizeof *grown);
        if (grown == NULL) {
            return sb_fail(t->diag, SB_E_LIMIT, "too many numbers for memory or for the limit");
        }
        t->numbers = grown;
        t->capacity = capacity;
    }
    t->numbers[t->count++] = value;
    return SB_OK;
}

/* One line of numbers; *ret_bad is set if a field is none (a line of names, when it is the first). */
static sb_err read_line(bool *ret_bad, struct text *t, const char *line, size_t len)
{
    char field[64];
    uint64_t columns = 0;
    size_t at = 0;
    *ret_bad = false;
    while (at <= len) {
        size_t end = at;
        while (end < len && line[end] != ',' && line[end] != ';' && line[end] != '\t') {
            end++;
        }
        size_t width = end - at < sizeof field - 1 ? end - at : sizeof field - 1;
        memcpy(field, line + at, width);
        field[width] = '\0';
        char *stop = NULL;
        double value = strtod(field, &stop);
        stop += strspn(stop, " \r\"");
        if (stop == field || *stop != '\0' || !isfinite(value) || ++columns > COLUMNS_MAX) {
            *ret_bad = true;
            return SB_OK;
        }
        SB_TRY(add_number(t, value));
        at = end + 1;
    }
    t->columns = t->columns == 0 ? columns : t->columns;
    if (columns != t->columns) {
        return sb_fail(t->diag, SB_E_SHAPE,
                       "line %" PRIu64 " has %" PRIu64 " numbers, the first "
                       "row %" PRIu64,
                       t->line, columns, t->columns);
    }
    return SB_OK;
}

static sb_err read_lines(struct text *t, sb_bytes file)
{
    const char *at = (const char *)file.data;
    const char *end = at + file.len;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop == NULL ? end : stop;
        size_t len = (size_t)(stop - at);
        const char *comment = memchr(at, '#', len);
        len = comment != NULL ? (size_t)(comment - at) : len;
        while (len > 0 && (at[len - 1] == '\r' || at[len - 1] == ' ')) {
            len--;
        }
        t->line++;
        if (len > 0) {
            bool bad = false;
            uint64_t before = t->count;
            SB_TRY(read_line(&bad, t, at, len));
            if (bad && t->columns > 0) {
                return sb_fail(t->diag, SB_E_SYNTAX, "line %" PRIu64 " is not a row of numbers",
                               t->line);
            }
            t->count = bad ? before : t->count;
        }
        at = stop + (stop < end ? 1 : 0);
    }
    return t->columns > 0 ? SB_OK : sb_fail(t->diag, SB_E_SYNTAX, "no row of numbers");
}

static sb_err split_columns(struct text *t, bool label_last)
{
    struct sb_dataset *d = t->d;
    uint64_t x_columns = t->columns - (label_last ? 1 : 0);
    if (x_columns == 0) {
        return sb_fail(t->diag, SB_E_SHAPE, "one column cannot be both sample and answer");
    }
    d->row_count = t->count / t->columns;
    d->row_elements = x_columns;
    d->row_shape = (struct sb_shape){.rank = 1, .dims = {(uint32_t)x_columns}};
    d->x = malloc((size_t)(d->row_count * x_columns) * sizeof *d->x);
    d->y = label_last ? malloc((size_t)d->row_count * sizeof *d->y) : NULL;
    if (d->x == NULL || (label_last && d->y == NULL)) {
        return sb_fail(t->diag, SB_E_NOMEM, "out of memory for the rows");
    }
    d->y_elements = label_last ? 1 : 0;
    d->y_is_class = label_last;
    for (uint64_t r = 0; r < d->row_count; r++) {
        const double *row = t->numbers + r * t->columns;
        memcpy(d->x + r * x_columns, row, (size_t)x_columns * sizeof *row);
        if (label_last) {
            d->y[r] = row[x_columns];
            d->y_is_class = d->y_is_class && d->y[r] == nearbyint(d->y[r]);
        }
    }
    return SB_OK;
}

static sb_err load_text(struct sb_dataset *d, sb_bytes file,
                        const struct sb_dataset_options *options, struct sb_diag *diag)
{
    struct text t = {.d = d, .diag = diag};
    sb_err err = read_lines(&t, file);
    if (err == SB_OK) {
        err = split_columns(&t, options != NULL && options->label_last);
    }
    free(t.numbers);
    return err;
}

sb_err sb_dataset_load(struct sb_dataset *ret, sb_bytes file,
                       const struct sb_dataset_options *options, struct sb_diag *diag)
{
    struct sb_dataset d = {0};
    sb_err err = SB_OK;
    if (file.len > SB_DATASET_FILE_BYTES_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "the file has %zu bytes, the limit is %zu", file.len,
                       SB_DATASET_FILE_BYTES_MAX);
    }
    if (file.len >= NPY_MAGIC_BYTES && memcmp(file.data, NPY_MAGIC, NPY_MAGIC_BYTES) == 0) {
        struct array a;
        err = parse_npy(&a, file, diag);
        err = err == SB_OK ? take_x(&d, &a, diag) : err;
    } else if (file.len >= 4 && memcmp(file.data, "PK\x03\x04", 4) == 0) {
        err = load_npz(&d, file, diag);
    } else {
        err = load_text(&d, file, options, diag);
    }
    if (err != SB_OK) {
        sb_dataset_fini(&d);
        return err;
    }
    *ret = d;
    return SB_OK;
}

void sb_dataset_fini(struct sb_dataset *dataset)
{
    free(dataset->x);
    free(dataset->y);
    *dataset = (struct sb_dataset){0};
}

struct sb_dataset sb_dataset_slice(const struct sb_dataset *dataset, uint64_t first, uint64_t count)
{
    struct sb_dataset d = *dataset;
    uint64_t from = first < d.row_count ? first : d.row_count;
    d.row_count = count < d.row_count - from ? count : d.row_count - from;
    d.x = d.x + from * d.row_elements;
    d.y = d.y != NULL ? d.y + from * d.y_elements : NULL;
    return d;
}
