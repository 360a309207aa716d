/* dataset.h: rows of samples with optional answers, read from bytes that the caller loaded: for calibration and for measuring accuracy.
 *
 *     .npz (numpy, zip of .npy)   arrays "x" and, optionally, "y"; else its first and second array
 *     .npy                        x alone
 *     text                        comma-separated numbers, one row a line; '#' starts a comment, a first line of names is skipped
 *
 * Element types: little-endian f4, f8, i1 .. i8, u1 .. u4, bool; C order. Zip members stored or deflated. Everything is bounded by the
 * limits below before memory is taken. Spec: numpy.lib.format 1.0 to 3.0; PKWARE APPNOTE 4.3 to 4.5 (zip64 is refused). */
#ifndef SB_VM_COMPILER_DATASET_H
#define SB_VM_COMPILER_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util/err.h"
#include "base/util/span.h"
#include "vm/tensor/tensor.h"

#define SB_DATASET_FILE_BYTES_MAX ((size_t)256 << 20)
#define SB_DATASET_ELEMENTS_MAX   ((uint64_t)1 << 26)

struct sb_dataset {
    uint64_t row_count;
    uint64_t row_elements;     /* of x */
    struct sb_shape row_shape; /* x without its first dimension */
    double *x;                 /* [row_count][row_elements], owned */
    uint64_t y_elements;       /* of one row of y; 0: no answers */
    double *y;                 /* [row_count][y_elements], owned; NULL if there are none */
    bool y_is_class;           /* y holds one whole number a row */
};

/* How text is read; numpy archives carry y themselves. */
struct sb_dataset_options {
    bool label_last; /* text: the last column is y, a class number or a target */
};

/* sb_dataset_load: read a file; the form is told by its first bytes. options may be NULL. The data set belongs to the caller.
 * Returns 0; SB_E_SYNTAX, SB_E_TRUNCATED, SB_E_TYPE (element type or Fortran order), SB_E_SHAPE (rows of x and y differ), SB_E_CHECKSUM,
 * SB_E_RANGE (a value that is not finite), SB_E_UNSUPPORTED (zip feature), SB_E_LIMIT, SB_E_NOMEM with a message in diag. */
sb_err sb_dataset_load(struct sb_dataset *ret, sb_bytes file,
                       const struct sb_dataset_options *options, struct sb_diag *diag) SB_MUST_USE;

/* sb_dataset_fini: free what a data set owns. A zeroed one is allowed. */
void sb_dataset_fini(struct sb_dataset *dataset);

/* sb_dataset_slice: rows [first, first + count) of a data set, cut to what it has; borrows its memory, never for sb_dataset_fini. */
struct sb_dataset sb_dataset_slice(const struct sb_dataset *dataset, uint64_t first,
                                   uint64_t count);

#endif
