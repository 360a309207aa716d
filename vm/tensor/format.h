/* format.h: the layout of a model file in numbers, for its reader (format.c) and its writer (encode.c). Private to vm/tensor. The
 * description, with the rules that make it canonical, is docs/spec/model-format.md. */
#ifndef SB_VM_TENSOR_FORMAT_H
#define SB_VM_TENSOR_FORMAT_H

#include "base/util/buf.h"
#include "vm/tensor/graph.h"

#define SB_FORMAT_MAGIC                                                                            \
    "\x89SBM\r\n\x1a\n" /* 8 bytes: not text, and damaged by line-end conversion */
#define SB_FORMAT_MAGIC_BYTES    8u
#define SB_FORMAT_VERSION        1u
#define SB_FORMAT_HEADER_BYTES   64u
#define SB_FORMAT_TENSOR_BYTES   56u
#define SB_FORMAT_NODE_BYTES     12u /* before the inputs */
#define SB_FORMAT_NODE_BYTES_MIN 16u /* with the one input that each operator has at least */
#define SB_FORMAT_ALIGN_BYTES    64u /* of each constant */

/* Offsets in the header. Bytes 40 .. 63 are zero. */
enum {
    SB_FORMAT_H_VERSION = 8,
    SB_FORMAT_H_FILE_BYTES = 12,
    SB_FORMAT_H_TENSOR_COUNT = 16,
    SB_FORMAT_H_OUTPUT_COUNT = 20,
    SB_FORMAT_H_NODE_COUNT = 24,
    SB_FORMAT_H_NODE_BYTES = 28,
    SB_FORMAT_H_STRING_BYTES = 32,
    SB_FORMAT_H_DATA_BYTES = 36,
    SB_FORMAT_H_END = 40,
};

/* Offsets in a tensor record. Bytes 37 .. 39 are zero. */
enum {
    SB_FORMAT_T_KIND = 0,
    SB_FORMAT_T_DTYPE = 1,
    SB_FORMAT_T_RANK = 2,
    SB_FORMAT_T_ROUNDING = 3,
    SB_FORMAT_T_ZERO_POINT = 4,
    SB_FORMAT_T_DIMS = 8,
    SB_FORMAT_T_SCALE_MULT = 32,
    SB_FORMAT_T_SCALE_SHIFT = 36,
    SB_FORMAT_T_LO = 40,
    SB_FORMAT_T_HI = 48,
};

/* Offsets in a node record; then u32 inputs, zero bytes up to a multiple of 8, i64 attributes. Bytes 6 and 7 are zero. */
enum {
    SB_FORMAT_N_OP = 0,
    SB_FORMAT_N_VERSION = 2,
    SB_FORMAT_N_INPUT_COUNT = 4,
    SB_FORMAT_N_ATTR_COUNT = 5,
    SB_FORMAT_N_ZERO = 6,
    SB_FORMAT_N_OUTPUT = 8,
};

/* A model about to be written; what builder and re-encoder have in common. */
struct sb_format_graph {
    const char *name;
    uint32_t tensor_count;
    uint32_t output_count;
    uint32_t node_count;
    const struct sb_tensor *tensors;
    const uint32_t *outputs;
    const struct sb_node *nodes;
};

/* sb_format_encode: append the file. Returns 0, or SB_E_LIMIT if it would pass SB_MODEL_FILE_BYTES_MAX or the buffer refused. */
sb_err sb_format_encode(struct sb_buf *ret_file, const struct sb_format_graph *graph) SB_MUST_USE;

/* sb_elements_swap: constant data between little-endian and host order, in place; nothing to do on a little-endian host. */
void sb_elements_swap(void *elements, enum sb_dtype dtype, uint64_t count);

#endif
