/* onnx.h: reading an ONNX file into a graph. */
#ifndef SB_VM_COMPILER_ONNX_H
#define SB_VM_COMPILER_ONNX_H

#include "base/util/span.h"
#include "vm/compiler/graph.h"

/* sb_onnx_load: parse and check a model; the graph lives in `memory` (its limit bounds everything) and borrows nothing from the bytes.
 * Constant nodes become constants. Total: any byte string gives a graph or a named error.
 * Returns 0; SB_E_SYNTAX (no ONNX model, or names that do not fit together), SB_E_TRUNCATED (tensor data shorter than its shape),
 * SB_E_TRAILING (longer), SB_E_TYPE, SB_E_SHAPE, SB_E_RANGE, SB_E_UNSUPPORTED (operator, operator set, subgraph, function, sparse or external
 * tensor, element type), SB_E_LIMIT, SB_E_NOMEM. */
sb_err sb_onnx_load(struct sb_graph *ret_graph, sb_bytes file, struct sb_arena *memory,
                    struct sb_diag *diag) SB_MUST_USE;

/* sb_onnx_tensor: read one serialised TensorProto, as ONNX's test data hold inputs and outputs. The array lives in `memory`.
 * Errors as for the tensors of a model. */
sb_err sb_onnx_tensor(struct sb_array *ret_array, enum sb_elem *ret_elem, sb_bytes file,
                      struct sb_arena *memory, struct sb_diag *diag) SB_MUST_USE;

#endif
