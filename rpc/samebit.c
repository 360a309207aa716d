/* samebit.c: models of the registry and what an inference costs. */
#include "base/util/checked.h"
#include "rpc/access.h"
#include "rpc/members.h"

#define MODELS_MAX 100 /* of one page */

/* Gas of a transaction before it runs, and of its call data (EIP-2028, floor by EIP-7623). */
#define TX_GAS              21000
#define ZERO_BYTE_GAS       4
#define NONZERO_BYTE_GAS    16
#define FLOOR_GAS_PER_TOKEN 10
#define TOKENS_PER_NONZERO  4
/* What the Inference precompile charges for its data (docs/spec/precompiles.md, section 2). */
#define HASH_INPUT_WORD_GAS  12
#define HASH_ANSWER_WORD_GAS 6
#define REAL_ELEMENT_GAS     30

static void put_tensors(struct sb_json *out, const char *name,
                        const struct sb_rpc_tensor_info *tensors, size_t count)
{
    sb_json_key(out, name);
    sb_json_array_begin(out);
    for (size_t i = 0; i < count; i++) {
        sb_json_object_begin(out);
        put_text(out, "name", tensors[i].name);
        put_text(out, "dtype", tensors[i].dtype);
        sb_json_key(out, "shape");
        sb_json_array_begin(out);
        for (size_t d = 0; d < tensors[i].rank; d++) {
            sb_json_u64(out, tensors[i].shape[d]);
        }
        sb_json_array_end(out);
        sb_json_key(out, "lo");
        sb_json_i64(out, tensors[i].lo);
        sb_json_key(out, "hi");
        sb_json_i64(out, tensors[i].hi);
        sb_json_object_end(out);
    }
    sb_json_array_end(out);
}

static void write_model(struct sb_json *out, const struct sb_rpc_model *model)
{
    sb_json_object_begin(out);
    sb_json_key(out, "id");
    sb_json_hash(out, &model->id);
    put_text(out, "cid", model->cid);
    sb_json_key(out, "owner");
    sb_json_addr(out, &model->owner);
    put_text(out, "name", model->name);
    put_text(out, "licence", model->licence);
    put_quantity(out, "size", model->size_bytes);
    sb_json_key(out, "active");
    sb_json_bool(out, model->active);
    put_tensors(out, "inputs", model->inputs, model->input_count);
    put_tensors(out, "outputs", model->outputs, model->output_count);
    put_quantity(out, "gasWarm", model->gas_warm);
    put_quantity(out, "gasCold", model->gas_cold);
    put_quantity(out, "arenaBytes", model->arena_bytes);
    put_quantity(out, "verifierVersion", model->verifier_version);
    sb_json_object_end(out);
}

sb_err sb_rpc_do_samebit_listModels(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    const struct sb_rpc_model *models = NULL;
    size_t count = 0;
    uint64_t total = 0;
    uint64_t offset = 0;
    uint64_t limit = MODELS_MAX;
    SB_TRY(sb_rpc_args(ctx, 0, 2));
    if (sb_rpc_present(sb_rpc_arg(ctx, 0))) {
        SB_TRY(sb_rpc_read_count(ctx, &offset, sb_rpc_arg(ctx, 0)));
    }
    if (sb_rpc_present(sb_rpc_arg(ctx, 1))) {
        SB_TRY(sb_rpc_read_count(ctx, &limit, sb_rpc_arg(ctx, 1)));
    }
    limit = limit > MODELS_MAX ? MODELS_MAX : limit;
    SB_TRY(backend->models(backend->ctx, ctx->arena, offset, limit, &models, &count, &total));
    sb_json_object_begin(ctx->out);
    put_quantity(ctx->out, "total", total);
    sb_json_key(ctx->out, "models");
    sb_json_array_begin(ctx->out);
    for (size_t i = 0; i < count; i++) {
        write_model(ctx->out, &models[i]);
    }
    sb_json_array_end(ctx->out);
    sb_json_object_end(ctx->out);
    return SB_OK;
}

sb_err sb_rpc_do_samebit_getModel(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_model model;
    sb_hash id;
    SB_TRY(sb_rpc_args(ctx, 1, 1));
    SB_TRY(sb_rpc_read_hash(ctx, &id, sb_rpc_arg(ctx, 0)));
    sb_err err = backend->model(backend->ctx, ctx->arena, &id, &model);
    if (err != SB_OK) {
        return sb_rpc_or_null(ctx, err);
    }
    write_model(ctx->out, &model);
    return SB_OK;
}

static uint64_t elements(const struct sb_rpc_tensor_info *tensors, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t product = 1;
        for (size_t d = 0; d < tensors[i].rank; d++) {
            product = sat_mul_u64(product, tensors[i].shape[d]);
        }
        sum = sat_add_u64(sum, product);
    }
    return sum;
}

/* data_work_gas: what the precompile charges for the data itself: hashing of call data and (at most) of the answer, and for inferReal the
 * conversion of its numbers. */
static uint64_t data_work_gas(const struct sb_rpc_model *model, sb_bytes data)
{
    static const uint8_t infer_real[] = {0x9d, 0x94, 0x9d, 0x1f};
    uint64_t in = elements(model->inputs, model->input_count);
    uint64_t out = elements(model->outputs, model->output_count);
    uint64_t gas = HASH_INPUT_WORD_GAS * ((data.len + 31) / 32);
    gas = sat_add_u64(gas, sat_mul_u64(HASH_ANSWER_WORD_GAS, sat_add_u64(out, 2)));
    if (data.len >= sizeof infer_real && memcmp(data.data, infer_real, sizeof infer_real) == 0) {
        gas = sat_add_u64(gas, sat_mul_u64(REAL_ELEMENT_GAS, sat_add_u64(in, out)));
    }
    return gas;
}

/* Arguments: model id, call data of the transaction (optional). The total is what a transaction needs that calls the Inference
 * precompile itself with this data and finds the model cold. */
sb_err sb_rpc_do_samebit_estimateInference(struct sb_rpc_ctx *ctx)
{
    const struct sb_rpc_backend *backend = &ctx->services->backend;
    struct sb_rpc_model model;
    sb_bytes data = {.data = NULL, .len = 0};
    sb_hash id;
    SB_TRY(sb_rpc_args(ctx, 1, 2));
    SB_TRY(sb_rpc_read_hash(ctx, &id, sb_rpc_arg(ctx, 0)));
    if (sb_rpc_present(sb_rpc_arg(ctx, 1))) {
        SB_TRY(sb_rpc_read_data(ctx, &data, sb_rpc_arg(ctx, 1)));
    }
    sb_err err = backend->model(backend->ctx, ctx->arena, &id, &model);
    if (err == SB_E_NOT_FOUND) {
        return sb_rpc_fail(ctx, err, SB_RPC_SERVER_ERROR, "model not found");
    }
    SB_TRY(err);
    uint64_t zeros = 0;
    for (size_t i = 0; i < data.len; i++) {
        zeros += data.data[i] == 0 ? 1 : 0;
    }
    uint64_t others = data.len - zeros;
    uint64_t data_gas = zeros * ZERO_BYTE_GAS + others * NONZERO_BYTE_GAS;
    uint64_t floor = TX_GAS + FLOOR_GAS_PER_TOKEN * (zeros + others * TOKENS_PER_NONZERO);
    uint64_t work_gas = data_work_gas(&model, data);
    uint64_t total = sat_add_u64(sat_add_u64(TX_GAS + data_gas, work_gas), model.gas_cold);
    sb_json_object_begin(ctx->out);
    put_quantity(ctx->out, "gasWarm", model.gas_warm);
    put_quantity(ctx->out, "gasCold", model.gas_cold);
    put_quantity(ctx->out, "calldataGas", data_gas);
    put_quantity(ctx->out, "dataWorkGas", work_gas);
    put_quantity(ctx->out, "total", total > floor ? total : floor);
    sb_json_object_end(ctx->out);
    return SB_OK;
}
