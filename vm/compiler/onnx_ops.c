/* onnx_ops.c: see onnx_ops.h. */
#include "vm/compiler/onnx_ops.h"

#include <stddef.h>
#include <string.h>

#include "vm/compiler/eval_ops.h"

static const struct sb_onnx_op k_ops[] = {
#define SB_ONNX_OP(domain_, name_, id_, opset_min_, inputs_min_, inputs_max_, eval_)               \
    {.id = SB_ONNX_##id_,                                                                          \
     .domain = domain_,                                                                            \
     .name = name_,                                                                                \
     .opset_min = opset_min_,                                                                      \
     .inputs_min = inputs_min_,                                                                    \
     .inputs_max = inputs_max_,                                                                    \
     .eval = sb_eval_##eval_},
#include "vm/compiler/onnx_ops.def"
#undef SB_ONNX_OP
};

/* Alternatives for operators that are often met. */
static const struct {
    const char *name;
    const char *hint;
} k_hints[] = {
    {"BatchNormalization", "export the model in inference mode"},
    {"InstanceNormalization",
     "replace it by batch normalisation, which is folded into the layer before"},
    {"DynamicQuantizeLinear", "quantise with constant scales (static quantisation)"},
    {"If", "export without control flow"},
    {"Loop", "export without control flow"},
    {"MaxUnpool", "use Resize or ConvTranspose"},
    {"Scan", "export without control flow"},
    {"Gelu", "use Relu, or HardSwish"},
};

const struct sb_onnx_op *sb_onnx_op_find(const char *domain, const char *name)
{
    for (size_t i = 0; i < sizeof k_ops / sizeof k_ops[0]; i++) {
        if (strcmp(k_ops[i].name, name) == 0 && strcmp(k_ops[i].domain, domain) == 0) {
            return &k_ops[i];
        }
    }
    return NULL;
}

const char *sb_onnx_op_hint(const char *name)
{
    for (size_t i = 0; i < sizeof k_hints / sizeof k_hints[0]; i++) {
        if (strcmp(k_hints[i].name, name) == 0) {
            return k_hints[i].hint;
        }
    }
    return "rewrite this part with the operators listed in vm/compiler/onnx_ops.def";
}
