/* evm.c: the door of the interpreter: its memory, texts of outcomes, and a run from the outermost message to its end; see evm.h. */
#include "vm/evm/evm.h"

#include <stdlib.h>

#include "base/util/assert.h"
#include "vm/evm/frame.h"

#define ARENA_BYTES_MAX ((size_t)256 * 1024 * 1024)

const char *sb_evm_status_text(enum sb_evm_status status)
{
    switch (status) {
    case SB_EVM_SUCCESS:
        return "success";
    case SB_EVM_REVERT:
        return "execution reverted";
    case SB_EVM_OUT_OF_GAS:
        return "out of gas";
    case SB_EVM_INVALID_OPCODE:
        return "invalid opcode";
    case SB_EVM_STACK_UNDERFLOW:
        return "stack underflow";
    case SB_EVM_STACK_OVERFLOW:
        return "stack limit reached 1024 (1023)";
    case SB_EVM_BAD_JUMP:
        return "invalid jump destination";
    case SB_EVM_STATIC_VIOLATION:
        return "write protection";
    case SB_EVM_RETURN_DATA_BOUNDS:
        return "return data out of bounds";
    case SB_EVM_CALL_DEPTH:
        return "max call depth exceeded";
    case SB_EVM_INSUFFICIENT_BALANCE:
        return "insufficient balance for transfer";
    case SB_EVM_NONCE_OVERFLOW:
        return "nonce uint64 overflow";
    case SB_EVM_ADDRESS_COLLISION:
        return "contract address collision";
    case SB_EVM_CODE_TOO_LARGE:
        return "max code size exceeded";
    case SB_EVM_INITCODE_TOO_LARGE:
        return "max initcode size exceeded";
    case SB_EVM_INVALID_CODE:
        return "invalid code: must not begin with 0xef";
    case SB_EVM_PRECOMPILE_FAILURE:
        return "precompile failed";
    case SB_EVM_PRECOMPILE_MISSING:
        return "precompile is not in this build";
    case SB_EVM_STOPPED:
        return "execution aborted (timeout)";
    }
    return "unknown";
}

struct sb_evm_memory *sb_evm_memory_new(void)
{
    struct sb_evm_memory *memory = calloc(1, sizeof *memory);
    if (memory != NULL) {
        sb_arena_init(&memory->arena, ARENA_BYTES_MAX);
        sb_code_cache_init(&memory->codes);
    }
    return memory;
}

void sb_evm_memory_free(struct sb_evm_memory *memory)
{
    if (memory == NULL) {
        return;
    }
    for (size_t i = 0; i <= SB_EVM_DEPTH_MAX; i++) {
        struct frame *f = memory->frames[i];
        if (f != NULL) {
            free(f->stack);
            free(f->memory.data);
            free(f);
        }
    }
    sb_arena_fini(&memory->arena);
    sb_code_cache_fini(&memory->codes);
    free(memory);
}

sb_err sb_evm_run(struct sb_evm_result *ret_result, const struct sb_evm *evm,
                  struct sb_evm_memory *memory, const struct sb_message *message)
{
    static const atomic_bool never = false;
    SB_ASSERT(message->gas >= 0);
    SB_TRY(sb_overlay_err(evm->state));
    if (!memory->has_opcodes || memory->opcodes.revision != evm->rules->revision) {
        sb_opcode_table_make(&memory->opcodes, evm->rules->revision);
        memory->has_opcodes = true;
    }
    sb_arena_reset(&memory->arena);
    if (sb_arena_alloc(&memory->arena, 0) ==
        NULL) { /* a first chunk that rewinding to a frame's mark never gives back */
        return SB_E_NOMEM;
    }
    struct run r = {
        .evm = evm,
        .memory = memory,
        .state = evm->state,
        .revision = evm->rules->revision,
        .tracer = evm->tracer,
        .stop = evm->stop != NULL ? evm->stop : &never,
    };
    struct sb_evm_result result;
    if (!message_begin(&result, &r, message)) {
        interpret(&result, &r);
    }
    SB_TRY(r.err);
    *ret_result = result;
    return SB_OK;
}
