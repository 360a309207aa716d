/* opcodes.c: tables made from opcodes.def; see opcodes.h. */
#include "vm/evm/opcodes.h"

#include <stddef.h>

struct opcode_fact {
    const char *name;
    uint8_t stack_in, stack_out;
};

static const struct opcode_fact k_facts[256] = {
#define SB_OP(code, name, since, gas, in, out) [code] = {#name, in, out},
#include "vm/evm/opcodes.def"
    [SB_OP_INVALID] = {"INVALID", 0, 0},
};

void sb_opcode_table_make(struct sb_opcode_table *ret_table, enum sb_revision revision)
{
    static const struct {
        uint8_t code;
        uint16_t gas;
        enum sb_revision since;
    } k_prices[] = {
#define SB_OP(code, name, since, gas, in, out) {code, gas, SB_REV_##since},
#define SB_OP_REPRICE(name, revision, gas)     {SB_OP_##name, gas, SB_REV_##revision},
#include "vm/evm/opcodes.def"
    };
    ret_table->revision = revision;
    for (size_t i = 0; i < 256; i++) {
        ret_table->gas[i] = SB_OP_UNDEFINED;
    }
    for (size_t i = 0; i < sizeof k_prices / sizeof k_prices[0]; i++) {
        if (revision >= k_prices[i].since) {
            ret_table->gas[k_prices[i].code] = k_prices[i].gas;
        }
    }
}

const char *sb_opcode_name(uint8_t code)
{
    return k_facts[code].name != NULL ? k_facts[code].name : "opcode not defined";
}

unsigned sb_opcode_stack_in(uint8_t code)
{
    return k_facts[code].stack_in;
}

unsigned sb_opcode_stack_out(uint8_t code)
{
    return k_facts[code].stack_out;
}
