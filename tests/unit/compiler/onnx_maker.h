/* onnx_maker.h: small ONNX files made in a test, message by message.
 *
 *     struct maker m;  maker_init(&m);
 *     maker_input(&m, "x", ELEM_FLOAT, 2, (int64_t[]){1, 4});   maker_floats(&m, "w", 2, (int64_t[]){3, 4}, weights);
 *     maker_node(&m, "", "Gemm", "x w", "y");   maker_attr_int(&m, "transB", 1);   maker_output(&m, "y");
 *     sb_bytes file = maker_pack(&m);   ...   maker_fini(&m);
 *
 * Attributes belong to the node made last. Lists are bounded by the arrays below; the test's own mistakes assert. */
#ifndef SB_TESTS_UNIT_COMPILER_ONNX_MAKER_H
#define SB_TESTS_UNIT_COMPILER_ONNX_MAKER_H

#include "base/util/arena.h"
#include "onnx.pb-c.h"

#define MAKER_NODES   16
#define MAKER_TENSORS 16
#define MAKER_VALUES  4
#define MAKER_ATTRS   20

struct maker {
    struct sb_arena memory;
    SbOnnx__Model model;
    SbOnnx__Graph graph;
    SbOnnx__Node *nodes[MAKER_NODES];
    SbOnnx__Tensor *tensors[MAKER_TENSORS];
    SbOnnx__ValueInfo *inputs[MAKER_VALUES];
    SbOnnx__ValueInfo *outputs[MAKER_VALUES];
    SbOnnx__OperatorSetId opsets[2];
    SbOnnx__OperatorSetId *opset_list[2];
};

void maker_init(struct maker *m, int64_t opset);
void maker_fini(struct maker *m);
void maker_input(struct maker *m, const char *name, size_t rank, const int64_t *dims);
void maker_output(struct maker *m, const char *name);
void maker_floats(struct maker *m, const char *name, size_t rank, const int64_t *dims,
                  const float *data);
void maker_int64s(struct maker *m, const char *name, size_t count, const int64_t *data);
/* inputs and outputs: names with one blank between; "" inside is written "-". */
void maker_node(struct maker *m, const char *domain, const char *op, const char *inputs,
                const char *outputs);
void maker_attr_int(struct maker *m, const char *name, int64_t value);
void maker_attr_float(struct maker *m, const char *name, float value);
void maker_attr_string(struct maker *m, const char *name, const char *value);
void maker_attr_ints(struct maker *m, const char *name, size_t count, const int64_t *values);
void maker_attr_floats(struct maker *m, const char *name, size_t count, const float *values);
/* values: texts with one blank between. */
void maker_attr_strings(struct maker *m, const char *name, const char *values);
/* maker_pack: the file; valid until maker_fini. */
sb_bytes maker_pack(struct maker *m);

#endif
