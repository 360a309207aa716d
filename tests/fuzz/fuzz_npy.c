/* fuzz_npy.c: any bytes as a data set: a named error, or rows of finite numbers. */
#include <math.h>
#include <stdlib.h>

#include "vm/compiler/dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_dataset_options options = {.label_last = size % 2 == 0};
    struct sb_dataset d;
    struct sb_diag diag = {0};
    if (sb_dataset_load(&d, sb_span(data, size), &options, &diag) != SB_OK) {
        if (diag.text[0] == '\0') {
            abort();
        }
        return 0;
    }
    for (uint64_t i = 0; i < d.row_count * d.row_elements; i++) {
        if (!isfinite(d.x[i])) {
            abort();
        }
    }
    for (uint64_t i = 0; i < d.row_count * d.y_elements; i++) {
        if (!isfinite(d.y[i])) {
            abort();
        }
    }
    sb_dataset_fini(&d);
    return 0;
}
