/* fixed_math.c: FixedMath (0x5b03): functions of SD59x18 numbers (base/num/sd59x18.h). docs/spec/precompiles.md section 5. */
#include "base/num/sd59x18.h"
#include "vm/precompile/native.h"

#define ARITHMETIC_GAS     60
#define SQRT_GAS           400
#define TRANSCENDENTAL_GAS UINT64_C(500)

struct function {
    uint32_t selector;
    uint64_t gas;
    sb_err (*unary)(sb_u256 *ret, const sb_u256 *x);
    sb_err (*binary)(sb_u256 *ret, const sb_u256 *x, const sb_u256 *y);
    sb_u256 (*total)(const sb_u256 *x);
};

static const struct function k_functions[] = {
#define SB_NATIVE_FIXED_MATH(selector, signature, gas, unary, binary, total)                       \
    {selector, gas, unary, binary, total},
#include "vm/precompile/native_functions.def"
};

static sb_err apply(struct native *n, const struct function *f)
{
    sb_u256 x;
    sb_u256 y = sb_u256_zero();
    sb_u256 value;
    if (sb_abi_read_u256(&x, n->args, 0) != SB_OK ||
        (f->binary != NULL && sb_abi_read_u256(&y, n->args, 1) != SB_OK)) {
        return native_bad_call(n);
    }
    if (!native_charge(n, f->gas)) {
        return SB_OK;
    }
    sb_err err = SB_OK;
    if (f->total != NULL) {
        value = f->total(&x);
    } else {
        err = f->unary != NULL ? f->unary(&value, &x) : f->binary(&value, &x, &y);
    }
    return err == SB_OK ? native_return_u256(n, &value) : native_revert(n, "Domain(int256)", &x, 1);
}

sb_err sb_precompile_fixed_math(struct sb_precompile_result *ret_result,
                                const struct sb_precompile_call *call)
{
    struct native n;
    sb_err err;
    if (!native_begin(&n, &err, ret_result, call)) {
        return err;
    }
    for (size_t i = 0; i < sizeof k_functions / sizeof k_functions[0]; i++) {
        if (n.selector == k_functions[i].selector) {
            return apply(&n, &k_functions[i]);
        }
    }
    return native_bad_call(&n);
}
