/* onnx_ops.h: the ONNX operators that the compiler knows: one line each in onnx_ops.def. */
#ifndef SB_VM_COMPILER_ONNX_OPS_H
#define SB_VM_COMPILER_ONNX_OPS_H

#include "vm/compiler/eval.h"
#include "vm/compiler/graph.h"

#define SB_ONNX_INTERNAL INT64_MAX /* an operator set that no file has */

/* Which operator, for passes and lowering. */
enum sb_onnx_op_id {
#define SB_ONNX_OP(domain, name, id, opset_min, inputs_min, inputs_max, eval) SB_ONNX_##id,
#include "vm/compiler/onnx_ops.def"
#undef SB_ONNX_OP
    SB_ONNX_OP_COUNT
};

struct sb_onnx_op {
    enum sb_onnx_op_id id;
    const char *domain; /* "" for ai.onnx */
    const char *name;
    int64_t opset_min; /* older forms had another meaning */
    uint32_t inputs_min;
    uint32_t inputs_max;
    sb_eval_fn eval; /* float reference */
};

/* sb_onnx_op_find: the operator of a domain and name; NULL if the compiler does not know it. */
const struct sb_onnx_op *sb_onnx_op_find(const char *domain, const char *name);
/* sb_onnx_op_hint: what a user can do about an operator that is not known: a clause. Static. */
const char *sb_onnx_op_hint(const char *name);

#endif
