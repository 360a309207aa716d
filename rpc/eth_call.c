/* eth_call.c: running code without a transaction: calls, gas estimates, access lists, simulations.
 *
 * Gas of one call is capped by the options, and what all calls of a batch may use together by its budget. A revert becomes code 3 with
 * the data and the decoded reason, which is what libraries look for. */
#include <stdio.h>

#include "base/codec/abi.h"
#include "base/util/checked.h"
#include "rpc/access.h"

/* Gas counted for an execution that failed without saying how much it used. */
#define FAILED_GAS 1000000

/* What a call may use now; fails when the batch has used up its budget. */
static sb_err gas_allowed(struct sb_rpc_ctx *ctx, uint64_t *ret_gas)
{
    const struct sb_rpc_options *options = &ctx->services->options;
    if (ctx->budget->gas_left == 0) {
        return sb_rpc_fail(ctx, SB_E_LIMIT, SB_RPC_LIMIT,
                           "the calls of this batch have used the %llu gas that a batch may use",
                           (unsigned long long)options->batch_gas_max);
    }
    *ret_gas = ctx->budget->gas_left < options->call_gas_max ? ctx->budget->gas_left
                                                             : options->call_gas_max;
    return SB_OK;
}

static void pay(struct sb_rpc_ctx *ctx, uint64_t gas)
{
    ctx->budget->gas_left = sat_sub_u64(ctx->budget->gas_left, gas);
}

/* "execution reverted: <reason>" with the reason from the data. */
static void explain_revert(struct sb_rpc_failure *failure)
{
    struct sb_abi_revert revert = sb_abi_read_revert(failure->data);
    static const char plain[] = "execution reverted";
    switch (revert.kind) {
    case SB_ABI_REVERT_ERROR: {
        size_t room = sizeof failure->message - sizeof plain - 2;
        int len = (int)(revert.message.len < room ? revert.message.len : room);
        (void)snprintf(failure->message, sizeof failure->message, "%s: %.*s", plain, len,
                       (const char *)revert.message.data);
        break;
    }
    case SB_ABI_REVERT_PANIC:
        (void)snprintf(failure->message, sizeof failure->message, "%s: %s", plain,
                       sb_abi_panic_text(&revert.panic_code));
        break;
    case SB_ABI_REVERT_CUSTOM:
    case SB_ABI_REVERT_OPAQUE:
        (void)snprintf(failure->message, sizeof failure->message, "%s", plain);
        break;
    }
}

/* Completes the failure of an execution. capped: the client asked for more gas than it got. */
static sb_err finish_failure(struct sb_rpc_ctx *ctx, sb_err err, bool capped)
{
    struct sb_rpc_failure *failure = ctx->failure;
    if (err != SB_OK && failure->code == SB_RPC_REVERTED) {
        failure->data = failure->has_data ? failure->data : (sb_bytes){.data = NULL, .len = 0};
        failure->has_data = true;
        explain_revert(failure);
    } else if (err != SB_OK && capped && failure->code != 0 &&
               strstr(failure->message, "out of gas") != NULL) {
        (void)snprintf(failure->message, sizeof failure->message,
                       "out of gas: this node gives a call at most %llu gas",
                       (unsigned long long)ctx->services->options.call_gas_max);
    } else if (err == SB_E_NOT_FOUND && failure->code == 0) {
        return sb_rpc_fail(ctx, err, SB_RPC_SERVER_ERROR, "header not found");
    }
    return sb_rpc_or_server_error(ctx, err);
}

sb_err sb_rpc_do_eth_call(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_query query = {.override_count = 0};
    uint64_t gas_max = 0;
    uint64_t gas_used = 0;
    sb_bytes output = {.data = NULL, .len = 0};
    SB_TRY(sb_rpc_read_query(ctx, &query));
    SB_TRY(gas_allowed(ctx, &gas_max));
    bool capped = !query.call.has_gas || query.call.gas > gas_max;
    query.call.gas = capped ? gas_max : query.call.gas;
    query.call.has_gas = true;
    sb_err err = backend->call(backend->ctx, ctx->arena, &query, ctx->stop, &output, &gas_used,
                               ctx->failure);
    pay(ctx, gas_used);
    SB_TRY(finish_failure(ctx, err, capped));
    sb_json_hex(ctx->out, output);
    return SB_OK;
}

sb_err sb_rpc_do_eth_estimateGas(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_query query = {.override_count = 0};
    uint64_t gas_max = 0;
    uint64_t gas = 0;
    SB_TRY(sb_rpc_read_query(ctx, &query));
    SB_TRY(gas_allowed(ctx, &gas_max));
    if (query.call.has_gas && query.call.gas > gas_max) {
        query.call.gas = gas_max;
    }
    sb_err err =
        backend->estimate_gas(backend->ctx, ctx->arena, &query, ctx->stop, &gas, ctx->failure);
    pay(ctx, err == SB_OK ? sat_mul_u64(gas, 2) : FAILED_GAS);
    SB_TRY(finish_failure(ctx, err, false));
    sb_json_quantity_u64(ctx->out, gas);
    return SB_OK;
}

sb_err sb_rpc_do_eth_createAccessList(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_query query = {.override_count = 0};
    struct sb_rpc_access_list list;
    uint64_t gas_max = 0;
    SB_TRY(sb_rpc_read_query(ctx, &query));
    SB_TRY(gas_allowed(ctx, &gas_max));
    if (query.call.has_gas && query.call.gas > gas_max) {
        query.call.gas = gas_max;
    }
    sb_err err =
        backend->access_list(backend->ctx, ctx->arena, &query, ctx->stop, &list, ctx->failure);
    pay(ctx, err == SB_OK ? sat_mul_u64(list.gas_used, 2) : FAILED_GAS);
    SB_TRY(finish_failure(ctx, err, false));
    sb_json_object_begin(ctx->out);
    sb_json_key(ctx->out, "accessList");
    sb_rpc_write_access_list(ctx->out, list.entries, list.count);
    if (list.error[0] != '\0') {
        sb_json_key(ctx->out, "error");
        sb_json_str(ctx->out, list.error);
    }
    sb_json_key(ctx->out, "gasUsed");
    sb_json_quantity_u64(ctx->out, list.gas_used);
    sb_json_object_end(ctx->out);
    return SB_OK;
}

sb_err sb_rpc_do_eth_simulateV1(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_simulation simulation;
    uint64_t gas_max = 0;
    SB_TRY(sb_rpc_args(ctx, 1, 2));
    SB_TRY(sb_rpc_read_simulation(ctx, &simulation, sb_rpc_arg(ctx, 0)));
    SB_TRY(sb_rpc_read_block_ref(ctx, &simulation.block, sb_rpc_arg(ctx, 1)));
    SB_TRY(gas_allowed(ctx, &gas_max));
    pay(ctx, ctx->services->options.call_gas_max);
    sb_err err =
        backend->simulate(backend->ctx, ctx->arena, &simulation, ctx->stop, ctx->out, ctx->failure);
    return finish_failure(ctx, err, false);
}
