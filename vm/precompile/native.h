/* native.h: the common part of the precompiles 0x5b01 to 0x5b05: call data with a function selector in, ABI-coded results or typed
 * errors out, gas charged before the work. Private to vm/precompile. Specification: docs/spec/precompiles.md section 1.
 *
 *     native_dispatch: value, DELEGATECALL, CALLCODE, no or unknown selector: BadCall(); else the function:
 *     read arguments -> native_charge -> work -> native_return or native_revert */
#ifndef SB_VM_PRECOMPILE_NATIVE_H
#define SB_VM_PRECOMPILE_NATIVE_H

#include "base/codec/abi.h"
#include "vm/precompile/functions.h"

/* Gas of every call, for reading the call data. */
#define NATIVE_BASE_GAS 100
/* Longest return value. */
#define NATIVE_RETURN_BYTES_MAX ((size_t)64 << 20)

struct native {
    const struct sb_precompile_call *call;
    struct sb_precompile_result *result;
    uint64_t gas_used; /* never above the message's gas */
    uint32_t selector;
    sb_bytes args;
};

/* A function of a native precompile; a line of native_functions.def. */
struct native_function {
    uint32_t selector;
    sb_err (*run)(struct native *n);
};

/* native_dispatch: the whole of a precompile that is a list of functions: native_begin, then the function of the selector, or
 * BadCall(). */
sb_err native_dispatch(struct sb_precompile_result *ret_result,
                       const struct sb_precompile_call *call,
                       const struct native_function *functions, size_t count);

/* native_begin: check the form of the call and charge the base. false: *ret_result is final, and *ret_err is to be returned. */
bool native_begin(struct native *ret, sb_err *ret_err, struct sb_precompile_result *ret_result,
                  const struct sb_precompile_call *call);

/* native_charge: false: the gas does not suffice, the result is final (all gas taken). */
bool native_charge(struct native *n, uint64_t gas);

/* native_revert: typed error with static arguments; the rest of the gas goes back. Returns SB_OK, or SB_E_NOMEM. */
sb_err native_revert(struct native *n, const char *signature, const sb_u256 *args,
                     size_t arg_count);
/* native_bad_call: BadCall(). */
sb_err native_bad_call(struct native *n);

/* native_return: success with these bytes, which are copied into the arena of the call. */
sb_err native_return(struct native *n, sb_bytes output);
/* An answer of one `bytes` value, filled where it lies. */
struct native_bytes {
    uint8_t *data; /* the value, 16-aligned */
    sb_bytes encoded;
};
/* native_bytes_place: room in the arena for a value of len bytes, which the caller fills; SB_E_NOMEM. native_return_bytes: success
 * with it. */
sb_err native_bytes_place(struct native_bytes *ret, struct native *n, size_t len) SB_MUST_USE;
void native_return_bytes(struct native *n, const struct native_bytes *bytes);
/* native_return_buf: as native_return, with what a writer made; its failure is SB_E_NOMEM. Frees the buffer. */
sb_err native_return_buf(struct native *n, struct sb_buf *buf);
/* native_return_u256: success with one word. */
sb_err native_return_u256(struct native *n, const sb_u256 *value);

/* native_may_write: the call is not static and comes from the account 0x00..`low`; otherwise *ret_err holds what to return. */
bool native_may_write(sb_err *ret_err, struct native *n, uint16_t low);

/* native_addr: the address 0x00..00 with these low 16 bits. */
sb_addr native_addr(uint16_t low);

#endif
