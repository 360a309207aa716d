/* functions.h: declarations of every function in precompiles.def and the little that they share. Private to vm/precompile. */
#ifndef SB_VM_PRECOMPILE_FUNCTIONS_H
#define SB_VM_PRECOMPILE_FUNCTIONS_H

#include "vm/precompile/precompile.h"

#define SB_PRECOMPILE(addr, revision, profile, function)                                           \
    sb_err sb_precompile_##function(struct sb_precompile_result *ret_result,                       \
                                    const struct sb_precompile_call *call);
#include "vm/precompile/precompiles.def"
#undef SB_PRECOMPILE

/* sb_precompile_fail: the frame ends exceptionally and takes all its gas. */
static inline sb_err sb_precompile_fail(struct sb_precompile_result *ret_result,
                                        const struct sb_precompile_call *call)
{
    *ret_result = (struct sb_precompile_result){.outcome = SB_PRECOMPILE_FAILURE,
                                                .gas_used = call->message->gas};
    return SB_OK;
}

/* sb_precompile_pay: charge cost; *ret_result becomes success with empty output, or, when the gas does not suffice, failure.
 * Returns whether it did suffice. */
static inline bool sb_precompile_pay(struct sb_precompile_result *ret_result,
                                     const struct sb_precompile_call *call, uint64_t cost)
{
    if (cost > (uint64_t)call->message->gas) {
        (void)sb_precompile_fail(ret_result, call);
        return false;
    }
    *ret_result =
        (struct sb_precompile_result){.outcome = SB_PRECOMPILE_OK, .gas_used = (int64_t)cost};
    return true;
}

/* sb_precompile_input: copy input[offset, offset + len) to ret; what the input lacks is zero. */
static inline void sb_precompile_input(uint8_t *ret, sb_bytes input, size_t offset, size_t len)
{
    sb_bytes part = sb_span_slice(input, offset, len);
    memset(ret, 0, len);
    sb_copy(ret, part.data, part.len);
}

/* sb_precompile_words: length in 32-byte words, rounded up. */
static inline uint64_t sb_precompile_words(size_t len)
{
    return (uint64_t)len / 32 + (len % 32 != 0);
}

#endif
