/* graph.h: an ONNX model as the compiler sees it: values (named tensors) and nodes in order of execution.
 *
 *     value 0 "x" (input) ----> node 0 Conv ----> value 5 "h" ----> node 1 Relu ----> value 6 "y" (output)
 *     value 1 "w" (constant) --/
 *
 * All elements are held as double, whatever their ONNX type: exact for every type up to 32 bits and for integers up to 2^53.
 * Invariants of a loaded graph: each value has at most one writer, which comes before its readers; indices are in range. Everything
 * lives in the graph's arena. Shapes here may hold dimensions of 0 (an empty list of axes); those of run-time tensors may not. */
#ifndef SB_VM_COMPILER_GRAPH_H
#define SB_VM_COMPILER_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util/arena.h"
#include "base/util/err.h"
#include "vm/tensor/tensor.h"

#define SB_GRAPH_NODES_MAX    8192u
#define SB_GRAPH_VALUES_MAX   131072u
#define SB_GRAPH_OPERANDS_MAX 64u
#define SB_GRAPH_ATTRS_MAX    64u
#define SB_GRAPH_BYTES_MAX    ((size_t)2 << 30)
#define SB_NO_VALUE           UINT32_MAX

/* ONNX element types (TensorProto.DataType) that the compiler reads. */
enum sb_elem {
    SB_ELEM_NONE = 0,
    SB_ELEM_FLOAT = 1,
    SB_ELEM_UINT8 = 2,
    SB_ELEM_INT8 = 3,
    SB_ELEM_UINT16 = 4,
    SB_ELEM_INT16 = 5,
    SB_ELEM_INT32 = 6,
    SB_ELEM_INT64 = 7,
    SB_ELEM_STRING = 8, /* only as the type of a classifier's labels */
    SB_ELEM_BOOL = 9,
    SB_ELEM_DOUBLE = 11,
    SB_ELEM_UINT32 = 12,
};

/* sb_elem_is_integer: a type of whole numbers; bool is none. */
static inline bool sb_elem_is_integer(enum sb_elem elem)
{
    return elem == SB_ELEM_UINT32 || (elem >= SB_ELEM_UINT8 && elem <= SB_ELEM_INT64);
}

/* sb_elem_is_exact: integers and bool: what a tensor holds as it is, with scale 1. Everything else is real. */
static inline bool sb_elem_is_exact(enum sb_elem elem)
{
    return elem == SB_ELEM_BOOL || sb_elem_is_integer(elem);
}

/* An array of numbers, row-major. */
struct sb_array {
    struct sb_shape shape;
    double *data; /* [count]; never NULL for a value that exists */
};

static inline uint64_t sb_array_count(const struct sb_array *array)
{
    return sb_shape_count(&array->shape);
}

enum sb_attr_kind {
    SB_ATTR_KIND_FLOAT = 1,
    SB_ATTR_KIND_INT = 2,
    SB_ATTR_KIND_STRING = 3,
    SB_ATTR_KIND_TENSOR = 4,
    SB_ATTR_KIND_FLOATS = 6,
    SB_ATTR_KIND_INTS = 7,
    SB_ATTR_KIND_STRINGS = 8,
};

struct sb_attr {
    const char *name;
    enum sb_attr_kind kind;
    int64_t i;
    double f;
    const char *s;
    struct sb_array tensor;
    enum sb_elem tensor_elem;
    size_t count; /* of floats, ints or strings */
    const double *floats;
    const int64_t *ints;
    const char *const *strings;
};

struct sb_onnx_op; /* onnx_ops.h */

struct sb_graph_node {
    const char *name;
    const struct sb_onnx_op *op;
    int64_t opset; /* of the operator's domain */
    uint32_t input_count;
    uint32_t *inputs; /* value indices; SB_NO_VALUE for an omitted optional input */
    uint32_t output_count;
    uint32_t *outputs;
    uint32_t attr_count;
    struct sb_attr *attrs;
    bool removed; /* folded into another node */
};

/* Given quantisation of a value, from QuantizeLinear of a QDQ model. */
struct sb_given_quant {
    bool present;
    enum sb_dtype dtype; /* I8 or U8 */
    double scale;
    int32_t zero_point;
};

struct sb_value {
    const char *name;
    enum sb_elem elem; /* of computed values after sb_passes_fix_batch */
    bool is_const;
    bool is_input;
    bool is_output;
    bool has_shape;        /* shape is known (constants always) */
    struct sb_array array; /* shape; data of constants */
    const char **
        dim_names; /* [rank], inputs only: names of free dimensions (size 0 until they are fixed), NULL for others */
    uint32_t writer; /* node that writes it, or SB_NO_VALUE */
    struct sb_given_quant given;
    const double *
        weight_scales; /* constants from DequantizeLinear: [weight_scale_count] along weight_axis; NULL otherwise */
    uint32_t weight_scale_count;
    uint32_t weight_axis;
};

struct sb_graph {
    struct sb_arena *memory;
    const char *name;
    uint32_t value_count;
    uint32_t value_capacity;
    struct sb_value *values; /* [value_capacity] */
    uint32_t node_count;
    struct sb_graph_node *nodes;
    uint32_t input_count;
    uint32_t *inputs; /* without those that are constants */
    uint32_t output_count;
    uint32_t *outputs;
};

/* sb_graph_attr: an attribute by name; NULL if the node has none. _int, _float, _string: its value, or what is given if it is absent or of
 * another kind. _ints: its list, *ret_count 0 if absent. */
const struct sb_attr *sb_graph_attr(const struct sb_graph_node *node, const char *name);
int64_t sb_graph_attr_int(const struct sb_graph_node *node, const char *name, int64_t absent);
double sb_graph_attr_float(const struct sb_graph_node *node, const char *name, double absent);
const char *sb_graph_attr_string(const struct sb_graph_node *node, const char *name,
                                 const char *absent);
const int64_t *sb_graph_attr_ints(size_t *ret_count, const struct sb_graph_node *node,
                                  const char *name);
const double *sb_graph_attr_floats(size_t *ret_count, const struct sb_graph_node *node,
                                   const char *name);

/* sb_graph_input: the value of input number index, NULL if the node lacks it. */
struct sb_value *sb_graph_input(const struct sb_graph *graph, const struct sb_graph_node *node,
                                uint32_t index);

/* sb_graph_input_elements: elements of all inputs together: a row of samples is the inputs laid end to end, in their order. */
uint64_t sb_graph_input_elements(const struct sb_graph *graph);

/* sb_graph_readers: how many node inputs and graph outputs read a value; *ret_reader is a node that reads it (untouched if none does). */
uint32_t sb_graph_readers(uint32_t *ret_reader, const struct sb_graph *graph, uint32_t value);

/* sb_graph_add_value: a new constant or computed value; SB_NO_VALUE when the limit is reached. */
uint32_t sb_graph_add_value(struct sb_graph *graph, const char *name);

/* sb_graph_replace: let all readers of one value (outputs included) read another. */
void sb_graph_replace(struct sb_graph *graph, uint32_t from, uint32_t to);

/* sb_graph_fail: an error that names the node, its operator and operator set in front of the message. */
void sb_graph_diag_set(struct sb_diag *diag, const struct sb_graph_node *node, const char *fmt, ...)
    SB_PRINTF(3, 4);
#define sb_graph_fail(diag, err, node, ...) (sb_graph_diag_set(diag, node, __VA_ARGS__), (err))

#endif
