/* ops.c: the operator table, made from ops.def; see ops.h and op.h. */
#include "base/util/assert.h"
#include "vm/tensor/op.h"

#define SB_OP(op_name, op_id, op_version, in_min, in_max, attrs, gas, section, symbol)             \
    {.facts = {.id = (op_id),                                                                      \
               .version = (op_version),                                                            \
               .name = #op_name,                                                                   \
               .spec = (section),                                                                  \
               .inputs_min = (in_min),                                                             \
               .inputs_max = (in_max),                                                             \
               .attr_count = (attrs),                                                              \
               .gas_class = SB_GAS_CLASS_##gas},                                                   \
     .code = &sb_op_##symbol},
static const struct sb_op k_ops[] = {
#include "vm/tensor/ops.def"
};
#undef SB_OP

#define OP_COUNT ((uint32_t)(sizeof k_ops / sizeof k_ops[0]))

uint32_t sb_op_count(void)
{
    return OP_COUNT;
}

const struct sb_op_facts *sb_op_facts(uint32_t index)
{
    SB_ASSERT(index < OP_COUNT);
    return &k_ops[index].facts;
}

const struct sb_op *sb_op_lookup(uint16_t id, uint16_t version)
{
    for (uint32_t i = 0; i < OP_COUNT; i++) {
        if (k_ops[i].facts.id == id && k_ops[i].facts.version == version) {
            return &k_ops[i];
        }
    }
    return NULL;
}

const struct sb_op_facts *sb_op_find(uint16_t id, uint16_t version)
{
    const struct sb_op *op = sb_op_lookup(id, version);
    return op != NULL ? &op->facts : NULL;
}
