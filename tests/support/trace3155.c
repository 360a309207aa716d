/* trace3155.c: EIP-3155 lines; see trace3155.h. Memory is left out, as the EIP allows; its size is there. */
#include "tests/support/trace3155.h"

#include <inttypes.h>

#include "base/codec/hex.h"
#include "vm/evm/opcodes.h"

static void trace_step(void *ctx, const struct sb_trace_step *step)
{
    FILE *out = ctx;
    fprintf(out,
            "{\"pc\":%" PRIu64 ",\"op\":%u,\"gas\":\"0x%" PRIx64 "\",\"gasCost\":\"0x%" PRIx64 "\"",
            step->pc, (unsigned)step->opcode, (uint64_t)step->gas, (uint64_t)step->gas_cost);
    fprintf(out, ",\"memSize\":%zu,\"stack\":[", step->memory.len);
    for (size_t i = 0; i < step->stack_count; i++) {
        char text[SB_HEX_U256_BYTES];
        (void)sb_hex_format_u256(text, &step->stack[i]);
        fprintf(out, "%s\"%s\"", i == 0 ? "" : ",", text);
    }
    fprintf(out, "],\"depth\":%d,\"refund\":%" PRId64 ",\"opName\":\"%s\"", step->depth,
            step->refund, sb_opcode_name(step->opcode));
    if (step->error != SB_EVM_SUCCESS) {
        fprintf(out, ",\"error\":\"%s\"", sb_evm_status_text(step->error));
    }
    fputs("}\n", out);
}

static void trace_leave(void *ctx, enum sb_evm_status status, int64_t gas_used, sb_bytes output,
                        int depth)
{
    if (depth != 1) {
        return;
    }
    FILE *out = ctx;
    fputs("{\"output\":\"", out);
    for (size_t i = 0; i < output.len; i++) {
        fprintf(out, "%02x", output.data[i]);
    }
    fprintf(out, "\",\"gasUsed\":\"0x%" PRIx64 "\"", (uint64_t)gas_used);
    if (status != SB_EVM_SUCCESS) {
        fprintf(out, ",\"error\":\"%s\"", sb_evm_status_text(status));
    }
    fputs("}\n", out);
}

struct sb_tracer sb_trace3155(FILE *out)
{
    return (struct sb_tracer){.ctx = out, .step = trace_step, .leave = trace_leave};
}
