/* opcodes.h: tables made from opcodes.def: codes, names, stack needs and constant gas by revision. */
#ifndef SB_VM_EVM_OPCODES_H
#define SB_VM_EVM_OPCODES_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/exec/rules.h"

enum sb_opcode {
#define SB_OP(code, name, since, gas, in, out) SB_OP_##name = (code),
#include "vm/evm/opcodes.def"
    SB_OP_INVALID = 0xfe, /* designated invalid for ever (EIP-141) */
};

/* Price of an instruction that the revision does not know: more than any gas counter holds. */
#define SB_OP_UNDEFINED UINT64_MAX

struct sb_opcode_table {
    enum sb_revision revision;
    uint64_t gas[256]; /* constant part, or SB_OP_UNDEFINED */
};

/* sb_opcode_table_make: the prices of a revision. */
void sb_opcode_table_make(struct sb_opcode_table *ret_table, enum sb_revision revision);

/* sb_opcode_name: as geth prints it in traces; "opcode not defined" for codes that no revision knows. Static. */
const char *sb_opcode_name(uint8_t code);

/* sb_opcode_stack_in / _out: words taken and left; 0 for unknown codes. */
unsigned sb_opcode_stack_in(uint8_t code);
unsigned sb_opcode_stack_out(uint8_t code);

#endif
