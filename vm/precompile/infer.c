/* infer.c: Inference (0x5b01): run registered models. docs/spec/precompiles.md section 2.
 *
 * Order of a call, so that gas is charged before every piece of work: base -> facts of the model (cold or warm) -> rates times units
 * -> memo or run -> answer -> record. The first touch of a model in a transaction also pays for reading it (journaled like EIP-2929). */
#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "vm/precompile/facts.h"
#include "vm/precompile/inference.h"
#include "vm/precompile/native.h"
#include "vm/tensor/ops.h"
#include "vm/tensor/run.h"

/* A touch of a model, and more at the first one in a transaction. */
#define TOUCH_GAS 100
/* Reading the facts of a model without touching it. */
#define FACTS_GAS 2600
/* Description of one input or output. */
#define DESCRIBE_TENSOR_GAS UINT64_C(40)
/* Conversion of one number between SD59x18 and raw. */
#define REAL_ELEMENT_GAS 30
/* Hashing for record and memo: two passes over the call data, one over the answer; each as an instruction KECCAK256 has it, for a word. */
#define HASH_INPUT_WORD_GAS  12
#define HASH_ANSWER_WORD_GAS 6
/* A look-up of the switch of one operator version, paid only while some version is off. */
#define OP_SWITCH_GAS 100
/* Most numbers in, and most numbers out, of one call. */
#define REAL_ELEMENTS_MAX ((size_t)1 << 20)
/* Key space of the memo: raw input to raw output. */
#define MEMO_RAW 1

struct run {
    struct native *n;
    sb_hash id;
    struct sb_model_facts facts;
    const struct sb_model *model;
    const struct sb_model_info *info;
};

static sb_err model_not_found(struct native *n, const sb_hash *id)
{
    sb_u256 word = sb_u256_load_be(id->b, sizeof id->b);
    return native_revert(n, "ModelNotFound(bytes32)", &word, 1);
}

static sb_err bad_input(struct native *n, uint64_t tensor, uint64_t element)
{
    sb_u256 args[2] = {sb_u256_from_u64(tensor), sb_u256_from_u64(element)};
    return native_revert(n, "BadInput(uint256,uint256)", args, 2);
}

/* Charge for the model's facts and, at its first touch in the transaction, for loading it; leave it warm (a revert undoes that).
 * *ret_done: the result is final (out of gas, or the model is not active). */
static sb_err touch(struct run *r, bool *ret_done)
{
    struct native *n = r->n;
    struct sb_overlay *state = n->call->evm->state;
    const struct sb_rates *rates = sb_rates_genesis();
    bool is_cold = !sb_overlay_warm_model(state, &r->id);
    uint64_t find_gas = is_cold ? sb_cost_cold_gas(0, rates) : 0;
    *ret_done = true;
    if (!native_charge(n, TOUCH_GAS + find_gas)) {
        return SB_OK;
    }
    r->facts = sb_model_facts_load(state, &r->id);
    if (r->facts.status != SB_MODEL_ACTIVE) {
        return model_not_found(n, &r->id);
    }
    if (is_cold && !native_charge(n, sb_cost_cold_gas(r->facts.size_bytes, rates) - find_gas)) {
        return SB_OK;
    }
    *ret_done = false;
    return SB_OK;
}

/* Get the loaded model; revert OpDisabled if governance switched one of its operators off. */
static sb_err open_model(struct run *r, bool *ret_done)
{
    struct native *n = r->n;
    struct sb_overlay *state = n->call->evm->state;
    *ret_done = true;
    SB_TRY(sb_inference_model(&r->model, n->call->evm->inference, state, &r->id));
    r->info = sb_model_info(r->model);
    bool some_off = sb_ops_off_count(state) != 0;
    for (uint32_t i = 0; some_off && i < r->info->op_use_count; i++) {
        const struct sb_model_op_use *use = &r->info->op_uses[i];
        if (!native_charge(n, OP_SWITCH_GAS)) {
            return SB_OK;
        }
        if (sb_op_is_off(state, use->op_id, use->op_version)) {
            sb_u256 args[2] = {sb_u256_from_u64(use->op_id), sb_u256_from_u64(use->op_version)};
            return native_revert(n, "OpDisabled(uint16,uint16)", args, 2);
        }
    }
    *ret_done = false;
    return SB_OK;
}

static bool is_stopped(void *ctx)
{
    const atomic_bool *stop = ctx;
    return stop != NULL && atomic_load_explicit(stop, memory_order_relaxed);
}

static enum sb_inference_use use_of(const struct run *r)
{
    return r->n->call->evm->is_call ? SB_INFERENCE_OF_CALL : SB_INFERENCE_OF_BLOCK;
}

/* recall: a call also takes what blocks have left; a block takes nothing of calls, so that nobody's calls decide how fast it is. */
static bool recall(uint8_t *ret_raw, const struct run *r, const sb_hash *key)
{
    struct sb_inference *inference = r->n->call->evm->inference;
    size_t len = (size_t)r->info->output_bytes;
    return sb_memo_get(ret_raw, len, sb_inference_memo(inference, use_of(r)), key) ||
           (use_of(r) == SB_INFERENCE_OF_CALL &&
            sb_memo_peek(ret_raw, len, sb_inference_memo(inference, SB_INFERENCE_OF_BLOCK), key));
}

/* Run the model on raw inputs laid end to end; ret_raw has room for info->output_bytes. *ret_done: a revert is in the result. */
static sb_err compute(uint8_t *ret_raw, bool *ret_done, struct run *r, const uint8_t *raw)
{
    const struct sb_model_info *info = r->info;
    struct sb_inference *inference = r->n->call->evm->inference;
    *ret_done = false;
    sb_bytes all = sb_span(raw, (size_t)info->input_bytes);
    sb_hash key = sb_memo_key(&r->id, MEMO_RAW, &all, 1);
    if (recall(ret_raw, r, &key)) {
        return SB_OK;
    }
    sb_bytes inputs[SB_MODEL_INPUTS_MAX];
    uint8_t *outputs[SB_MODEL_OUTPUTS_MAX];
    for (uint32_t i = 0; i < info->input_count; i++) {
        inputs[i] = sb_span(raw, (size_t)info->inputs[i].bytes);
        raw += info->inputs[i].bytes;
    }
    uint8_t *place = ret_raw;
    for (uint32_t i = 0; i < info->output_count; i++) {
        outputs[i] = place;
        place += info->outputs[i].bytes;
    }
    size_t scratch_bytes = (size_t)info->arena_bytes;
    void *scratch = sb_inference_scratch(inference, scratch_bytes);
    if (scratch == NULL) {
        return SB_E_NOMEM;
    }
    struct sb_run run = {.model = r->model,
                         .inputs = inputs,
                         .ret_outputs = outputs,
                         .scratch = scratch,
                         .scratch_bytes = scratch_bytes};
    struct sb_bad_input bad = {0};
    const atomic_bool *stop = r->n->call->evm->stop;
    uint64_t begun_us = sb_inference_run_begin(inference);
    sb_err err = stop == NULL ? sb_model_run(&bad, &run)
                              : sb_model_run_until(&bad, &run, is_stopped, (void *)(uintptr_t)stop);
    sb_inference_run_end(inference, begun_us);
    sb_inference_scratch_release(inference, scratch);
    if (err == SB_E_CANCELLED) { /* the interpreter sees the flag itself and ends the whole run */
        *ret_done = true;
        return sb_precompile_fail(r->n->result, r->n->call);
    }
    if (err == SB_E_RANGE || err == SB_E_SHAPE) {
        *ret_done = true;
        return bad_input(r->n, bad.tensor, bad.element);
    }
    SB_TRY(err);
    sb_memo_put(sb_inference_memo(inference, use_of(r)), &key,
                sb_span(ret_raw, (size_t)info->output_bytes));
    return SB_OK;
}

/* answer_gas: to hash return data whose content has so many words: one more for the offset, one for the length. */
static uint64_t answer_gas(uint64_t words)
{
    return HASH_ANSWER_WORD_GAS * (words + 2);
}

/* infer(bytes32 id, bytes input) */
static sb_err infer_raw(struct run *r, sb_bytes input)
{
    struct native *n = r->n;
    const struct sb_model_info *info = r->info;
    bool done = false;
    if (input.len != info->input_bytes) {
        /* Name the tensor in which the input ends, and how many elements it should have had. */
        uint64_t start = 0;
        uint32_t tensor = 0;
        while (tensor + 1 < info->input_count && start + info->inputs[tensor].bytes <= input.len) {
            start += info->inputs[tensor++].bytes;
        }
        return bad_input(n, tensor, info->inputs[tensor].element_count);
    }
    if (!native_charge(n, answer_gas(sb_precompile_words((size_t)info->output_bytes)))) {
        return SB_OK;
    }
    struct native_bytes output;
    SB_TRY(native_bytes_place(&output, n, (size_t)info->output_bytes));
    SB_TRY(compute(output.data, &done, r, input.data));
    if (!done) {
        native_return_bytes(n, &output);
    }
    return SB_OK;
}

static uint64_t element_sum(const struct sb_model_io *io, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += io[i].element_count;
    }
    return sum;
}

/* SD59x18 words to raw inputs laid end to end. items has one word for each element. */
static void reals_to_raw(uint8_t *ret_raw, const struct sb_model_info *info, sb_bytes items)
{
    size_t word = 0;
    for (uint32_t t = 0; t < info->input_count; t++) {
        const struct sb_model_io *io = &info->inputs[t];
        for (uint64_t e = 0; e < io->element_count; e++, word++) {
            sb_u256 real = sb_u256_load_be(items.data + 32 * word, 32);
            sb_raw_store(ret_raw, io->desc.dtype, e, sb_input_from_real(&io->desc, &real));
        }
        ret_raw += io->bytes;
    }
}

static void put_reals(struct sb_abi_writer *w, const struct sb_model_info *info, const uint8_t *raw)
{
    for (uint32_t t = 0; t < info->output_count; t++) {
        const struct sb_model_io *io = &info->outputs[t];
        for (uint64_t e = 0; e < io->element_count; e++) {
            sb_u256 real = sb_output_to_real(&io->desc, sb_raw_load(raw, io->desc.dtype, e));
            sb_abi_put_u256(w, &real);
        }
        raw += io->bytes;
    }
}

/* inferReal(bytes32 id, int256[] x) */
static sb_err infer_real(struct run *r, sb_bytes items, size_t count)
{
    struct native *n = r->n;
    const struct sb_model_info *info = r->info;
    bool done = false;
    uint64_t expected = element_sum(info->inputs, info->input_count);
    uint64_t output_count = element_sum(info->outputs, info->output_count);
    if (output_count > REAL_ELEMENTS_MAX) {
        return native_bad_call(n);
    }
    if (count != expected) {
        return bad_input(n, 0, expected);
    }
    if (!native_charge(n,
                       REAL_ELEMENT_GAS * (expected + output_count) + answer_gas(output_count))) {
        return SB_OK;
    }
    uint8_t *input = sb_arena_alloc(n->call->arena, (size_t)info->input_bytes);
    uint8_t *output = sb_arena_alloc(n->call->arena, (size_t)info->output_bytes);
    if (input == NULL || output == NULL) {
        return SB_E_NOMEM;
    }
    reals_to_raw(input, info, items);
    SB_TRY(compute(output, &done, r, input));
    if (done) {
        return SB_OK;
    }
    struct sb_buf buf;
    struct sb_abi_writer w, array;
    sb_buf_init(&buf, NATIVE_RETURN_BYTES_MAX);
    sb_abi_begin(&w, &buf, 1);
    sb_abi_put_array(&array, &w, (size_t)output_count, 1);
    put_reals(&array, info, output);
    sb_abi_end(&array);
    sb_abi_end(&w);
    return native_return_buf(n, &buf);
}

static void put_tensor(struct sb_abi_writer *list, const struct sb_model_io *io)
{
    struct sb_abi_writer t, shape;
    sb_abi_put_tuple(&t, list, 5);
    sb_abi_put_bytes(&t, sb_span_str(io->name));
    sb_abi_put_bytes(&t, sb_span_str(sb_dtype_name(io->desc.dtype)));
    sb_abi_put_array(&shape, &t, io->desc.shape.rank, 1);
    for (uint32_t i = 0; i < io->desc.shape.rank; i++) {
        sb_abi_put_u64(&shape, io->desc.shape.dims[i]);
    }
    sb_abi_end(&shape);
    sb_abi_put_i64(&t, io->desc.lo);
    sb_abi_put_i64(&t, io->desc.hi);
    sb_abi_end(&t);
}

/* describe(bytes32 id): (Tensor[] inputs, Tensor[] outputs) */
static sb_err describe(struct run *r)
{
    const struct sb_model_info *info = r->info;
    if (!native_charge(r->n, DESCRIBE_TENSOR_GAS * (info->input_count + info->output_count))) {
        return SB_OK;
    }
    struct sb_buf buf;
    struct sb_abi_writer w, list;
    sb_buf_init(&buf, NATIVE_RETURN_BYTES_MAX);
    sb_abi_begin(&w, &buf, 2);
    sb_abi_put_array(&list, &w, info->input_count, 1);
    for (uint32_t i = 0; i < info->input_count; i++) {
        put_tensor(&list, &info->inputs[i]);
    }
    sb_abi_end(&list);
    sb_abi_put_array(&list, &w, info->output_count, 1);
    for (uint32_t i = 0; i < info->output_count; i++) {
        put_tensor(&list, &info->outputs[i]);
    }
    sb_abi_end(&list);
    sb_abi_end(&w);
    return native_return_buf(r->n, &buf);
}

/* quote(bytes32 id): (uint256 gasWarm, uint256 gasCold), what infer charges beside the hashing of call data and answer. */
static sb_err quote(struct run *r)
{
    struct sb_buf buf;
    struct sb_abi_writer w;
    uint64_t warm = NATIVE_BASE_GAS + TOUCH_GAS + sb_cost_gas(&r->facts.units, sb_rates_genesis());
    sb_buf_init(&buf, 64);
    sb_abi_begin(&w, &buf, 2);
    sb_abi_put_u64(&w, warm);
    sb_abi_put_u64(&w, warm + sb_cost_cold_gas(r->facts.size_bytes, sb_rates_genesis()));
    sb_abi_end(&w);
    return native_return_buf(r->n, &buf);
}

/* Leave the record of a run that succeeded (docs/spec/inference-proof.md). */
static void record(const struct run *r)
{
    const struct sb_message *message = r->n->call->message;
    sb_overlay_inference(
        r->n->call->evm->state,
        &(struct sb_inference_record){.caller = message->sender,
                                      .model_id = r->id,
                                      .input_hash = sb_keccak256(message->input),
                                      .output_hash = sb_keccak256(r->n->result->output)});
}

/* What the four functions share: find the model, pay, open it, work, close it. */
static sb_err on_model(struct native *n, const sb_hash *id, bool runs,
                       sb_err (*work)(struct run *r, const void *ctx), const void *ctx)
{
    struct run r = {.n = n, .id = *id};
    bool done = false;
    SB_TRY(touch(&r, &done));
    uint64_t run_gas = sb_cost_gas(&r.facts.units, sb_rates_genesis()) +
                       HASH_INPUT_WORD_GAS * sb_precompile_words(n->call->message->input.len);
    if (done || (runs && !native_charge(n, run_gas))) {
        return SB_OK;
    }
    SB_TRY(open_model(&r, &done));
    sb_err err = done ? SB_OK : work(&r, ctx);
    sb_inference_release(n->call->evm->inference, r.model);
    if (err == SB_OK && runs && n->result->outcome == SB_PRECOMPILE_OK) {
        record(&r);
    }
    return err;
}

struct reals {
    sb_bytes items;
    size_t count;
};

static sb_err work_raw(struct run *r, const void *ctx)
{
    return infer_raw(r, *(const sb_bytes *)ctx);
}

static sb_err work_real(struct run *r, const void *ctx)
{
    const struct reals *x = ctx;
    return infer_real(r, x->items, x->count);
}

static sb_err work_describe(struct run *r, const void *ctx)
{
    (void)ctx;
    return describe(r);
}

/* infer(bytes32 id, bytes input): bytes */
static sb_err call_infer(struct native *n)
{
    sb_hash id;
    sb_bytes input;
    if (sb_abi_read_word(&id, n->args, 0) != SB_OK ||
        sb_abi_read_bytes(&input, n->args, 1, SB_MODEL_ARENA_BYTES_MAX) != SB_OK) {
        return native_bad_call(n);
    }
    return on_model(n, &id, true, work_raw, &input);
}

/* inferReal(bytes32 id, int256[] x): int256[] */
static sb_err call_infer_real(struct native *n)
{
    sb_hash id;
    struct reals x;
    if (sb_abi_read_word(&id, n->args, 0) != SB_OK ||
        sb_abi_read_array(&x.items, &x.count, n->args, 1, 1, REAL_ELEMENTS_MAX) != SB_OK) {
        return native_bad_call(n);
    }
    return on_model(n, &id, true, work_real, &x);
}

static sb_err call_describe(struct native *n)
{
    sb_hash id;
    return sb_abi_read_word(&id, n->args, 0) == SB_OK ? on_model(n, &id, false, work_describe, NULL)
                                                      : native_bad_call(n);
}

/* quote does not touch the model: it reads the facts alone. */
static sb_err call_quote(struct native *n)
{
    struct run r = {.n = n};
    if (sb_abi_read_word(&r.id, n->args, 0) != SB_OK) {
        return native_bad_call(n);
    }
    if (!native_charge(n, FACTS_GAS)) {
        return SB_OK;
    }
    r.facts = sb_model_facts_load(n->call->evm->state, &r.id);
    return r.facts.status == SB_MODEL_ACTIVE ? quote(&r) : model_not_found(n, &r.id);
}

sb_err sb_precompile_infer(struct sb_precompile_result *ret_result,
                           const struct sb_precompile_call *call)
{
    static const struct native_function functions[] = {
#define SB_NATIVE_INFERENCE(selector, signature, function) {selector, function},
#include "vm/precompile/native_functions.def"
    };
    SB_ASSERT(call->evm->inference != NULL);
    return native_dispatch(ret_result, call, functions, sizeof functions / sizeof functions[0]);
}
