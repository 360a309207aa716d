/* eval_ops.h: the float reference functions by name, for the operator table. Private. */
#ifndef SB_VM_COMPILER_EVAL_OPS_H
#define SB_VM_COMPILER_EVAL_OPS_H

#include "vm/compiler/eval.h"

#define SB_ONNX_OP(domain, name, id, opset_min, inputs_min, inputs_max, eval)                      \
    sb_err sb_eval_##eval(struct sb_eval *e);
#include "vm/compiler/onnx_ops.def"
#undef SB_ONNX_OP

#endif
