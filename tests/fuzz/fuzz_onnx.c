/* fuzz_onnx.c: any bytes through the ONNX compiler: a named error, or a model file that the engine accepts. Models with large inputs are
 * only loaded: the float reference would take long. */
#include <math.h>
#include <stdlib.h>

#include "vm/compiler/compile.h"
#include "vm/compiler/onnx.h"
#include "vm/compiler/passes.h"
#include "vm/tensor/model.h"

#define MEMORY_BYTES   ((size_t)64 << 20)
#define ELEMENTS_SMALL 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_small(sb_bytes file, uint64_t *ret_elements)
{
    struct sb_arena memory;
    struct sb_graph graph;
    bool small = false;
    sb_arena_init(&memory, MEMORY_BYTES);
    if (sb_onnx_load(&graph, file, &memory, NULL) == SB_OK && graph.input_count == 1 &&
        sb_passes_fix_batch(&graph, 1, NULL) == SB_OK) {
        *ret_elements = sb_array_count(&graph.values[graph.inputs[0]].array);
        small = *ret_elements > 0 && *ret_elements <= ELEMENTS_SMALL;
    }
    sb_arena_fini(&memory);
    return small;
}

static void compile(sb_bytes file, const struct sb_dataset *rows, enum sb_precision precision)
{
    struct sb_compile_options options = sb_compile_options_default();
    struct sb_report report;
    struct sb_diag diag = {0};
    struct sb_buf out;
    options.precision = precision;
    sb_buf_init(&out, SB_MODEL_FILE_BYTES_MAX);
    sb_err err = sb_compile(&out, &report, file, rows, NULL, &options, &diag);
    if (err == SB_OK) {
        struct sb_model *model = NULL;
        if (sb_model_load(&model, sb_buf_bytes(&out), NULL) != SB_OK) {
            abort();
        }
        sb_model_free(model);
        sb_report_fini(&report);
    } else if (diag.text[0] == '\0') {
        abort(); /* every failure says what is wrong */
    }
    sb_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb_bytes file = sb_span(data, size);
    uint64_t elements = 0;
    if (!is_small(file, &elements)) {
        return 0;
    }
    double x[2 * ELEMENTS_SMALL];
    for (uint64_t i = 0; i < 2 * elements; i++) {
        x[i] = sin((double)i);
    }
    struct sb_dataset rows = {.row_count = 2, .row_elements = elements, .x = x};
    compile(file, &rows, SB_PRECISION_I8);
    compile(file, NULL, SB_PRECISION_AUTO);
    return 0;
}
