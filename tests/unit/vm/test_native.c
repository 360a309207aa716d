/* test_native.c: the precompiles 0x5b01 to 0x5b05 over an in-memory state: results, typed errors, gas, authorisation, undo. */
#include "vm/precompile/inference.h"
#include "vm/precompile/precompile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec/abi.h"
#include "base/crypto/ed25519.h"
#include "base/crypto/keccak.h"
#include "base/crypto/sha256_portable.h"
#include "base/num/sd59x18.h"
#include "base/util/endian.h"
#include "tests/support/memory_state.h"
#include "vm/precompile/facts.h"
#include "vm/tensor/build.h"

#define GAS ((int64_t)10000000)

struct bench {
    struct sb_memory_state *memory;
    struct sb_state_view view;
    struct sb_rules rules;
    struct sb_overlay *overlay;
    struct sb_inference *inference;
    struct sb_arena arena;
    struct sb_buf input;
    struct sb_abi_writer w;
    struct sb_evm evm;
    struct sb_message message;
    struct sb_precompile_result result;
    int64_t gas;
};

static int setup(void **state)
{
    static struct bench b;
    b = (struct bench){.gas = GAS};
    b.memory = sb_memory_state_new();
    b.view = sb_memory_state_view(b.memory);
    b.rules = sb_rules_make(SB_PROFILE_SAMEBIT, SB_REV_OSAKA, 23296);
    b.overlay = sb_overlay_new(&b.view, &b.rules, (size_t)1 << 30);
    b.inference = sb_inference_new(&(struct sb_inference_options){.memo_seed = 1});
    sb_arena_init(&b.arena, (size_t)1 << 30);
    sb_buf_init(&b.input, (size_t)1 << 24);
    sb_overlay_tx_begin(b.overlay);
    b.evm = (struct sb_evm){.rules = &b.rules, .state = b.overlay, .inference = b.inference};
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    sb_buf_fini(&b->input);
    sb_arena_fini(&b->arena);
    sb_inference_free(b->inference);
    sb_overlay_free(b->overlay);
    sb_memory_state_free(b->memory);
    return 0;
}

static sb_addr addr_of(uint16_t low)
{
    sb_addr a = {{0}};
    be_store16(a.b + 18, low);
    return a;
}

/* Begin call data: selector and a head of `words` words, to be filled through b->w. */
static void begin(struct bench *b, const char *signature, size_t words)
{
    sb_buf_reset(&b->input);
    sb_abi_put_selector(&b->input, sb_abi_selector(signature));
    sb_abi_begin(&b->w, &b->input, words);
}

static void run_kind(struct bench *b, uint16_t to, uint16_t from, enum sb_call_kind kind)
{
    b->message = (struct sb_message){.kind = kind,
                                     .gas = b->gas,
                                     .sender = addr_of(from),
                                     .recipient = addr_of(to),
                                     .code_addr = addr_of(to),
                                     .input = sb_buf_bytes(&b->input)};
    struct sb_precompile_call call = {.evm = &b->evm, .message = &b->message, .arena = &b->arena};
    sb_addr addr = addr_of(to);
    sb_precompile_fn function = sb_precompile_find(&b->rules, &addr);
    assert_non_null(function);
    assert_int_equal(function(&b->result, &call), SB_OK);
    assert_true(b->result.gas_used >= 0 && b->result.gas_used <= b->gas);
}

static void run(struct bench *b, uint16_t to, uint16_t from)
{
    run_kind(b, to, from, SB_CALL);
}

static void assert_reverted_with(struct bench *b, const char *signature)
{
    assert_int_equal(b->result.outcome, SB_PRECOMPILE_REVERT);
    assert_true(b->result.output.len >= 4);
    assert_int_equal(be_load32(b->result.output.data), sb_abi_selector(signature));
}

static uint64_t word_u64(struct bench *b, size_t word)
{
    uint64_t v = 0;
    assert_int_equal(b->result.outcome, SB_PRECOMPILE_OK);
    assert_int_equal(sb_abi_read_u64(&v, b->result.output, word), SB_OK);
    return v;
}

/* y = 2 x0 - 3 x1 + 0.5 in Q16, inputs clamped to [-100, 100]. */
static void linear_model(struct sb_buf *ret_file)
{
    struct sb_build *build = sb_build_new("linear");
    struct sb_quant q16 = {.scale_mult = 1, .scale_shift = 16};
    struct sb_tensor_desc x = {.dtype = SB_DTYPE_I32,
                               .shape = {.rank = 2, .dims = {1, 2}},
                               .quant = q16,
                               .lo = -100 * 65536,
                               .hi = 100 * 65536};
    struct sb_tensor_desc y = {.dtype = SB_DTYPE_I32,
                               .shape = {.rank = 2, .dims = {1, 1}},
                               .quant = q16,
                               .lo = INT32_MIN,
                               .hi = INT32_MAX};
    struct sb_shape w_shape = {.rank = 2, .dims = {1, 2}};
    struct sb_shape b_shape = {.rank = 1, .dims = {1}};
    const int32_t weights[] = {2 * 65536, -3 * 65536};
    const int64_t bias[] = {(int64_t)1 << 31}; /* 0.5 in Q32 */
    const int64_t attrs[] = {16};
    uint32_t inputs[3];
    inputs[0] = sb_build_input(build, "x", &x);
    inputs[1] = sb_build_const(build, "w", SB_DTYPE_I32, &w_shape, &q16, weights);
    inputs[2] = sb_build_const(build, "b", SB_DTYPE_I64, &b_shape, NULL, bias);
    uint32_t output = sb_build_tensor(build, "y", &y);
    sb_build_node(build, "fc", SB_OP_GEMM_FX, 1, inputs, 3, output, attrs, 1);
    sb_build_output(build, output);
    struct sb_diag diag = {""};
    sb_buf_init(ret_file, (size_t)1 << 20);
    sb_err err = sb_build_finish(ret_file, build, &diag);
    if (err != SB_OK) {
        fail_msg("model: %s", diag.text);
    }
    sb_build_free(build);
}

static sb_hash put_chunk(struct bench *b, sb_bytes data)
{
    begin(b, "putChunk(bytes)", 1);
    sb_abi_put_bytes(&b->w, data);
    sb_abi_end(&b->w);
    run(b, 0x5b04, 0x5b11);
    assert_int_equal(b->result.outcome, SB_PRECOMPILE_OK);
    sb_hash id;
    assert_int_equal(sb_abi_read_word(&id, b->result.output, 0), SB_OK);
    return id;
}

static void finalise(struct bench *b, const sb_hash *chunks, size_t count, uint64_t bytes_max)
{
    struct sb_abi_writer list;
    begin(b, "finalise(bytes32[],uint64,uint64)", 3);
    sb_abi_put_array(&list, &b->w, count, 1);
    for (size_t i = 0; i < count; i++) {
        sb_abi_put_hash(&list, &chunks[i]);
    }
    sb_abi_end(&list);
    sb_abi_put_u64(&b->w, bytes_max);
    sb_abi_put_u64(&b->w, 1 << 20);
    sb_abi_end(&b->w);
    run(b, 0x5b04, 0x5b11);
}

static void set_active(struct bench *b, const sb_hash *id, bool active)
{
    begin(b, "setActive(bytes32,bool)", 2);
    sb_abi_put_hash(&b->w, id);
    sb_abi_put_bool(&b->w, active);
    sb_abi_end(&b->w);
    run(b, 0x5b04, 0x5b11);
    assert_int_equal(b->result.outcome, SB_PRECOMPILE_OK);
}

/* Upload the linear model in two chunks and activate it. */
static sb_hash deploy(struct bench *b, sb_hash ret_chunks[2])
{
    struct sb_buf file;
    linear_model(&file);
    sb_hash id = sb_sha256_portable(sb_buf_bytes(&file));
    ret_chunks[0] = put_chunk(b, sb_span(file.data, 100));
    ret_chunks[1] = put_chunk(b, sb_span(file.data + 100, file.len - 100));
    finalise(b, ret_chunks, 2, 1 << 20);
    assert_int_equal(b->result.outcome, SB_PRECOMPILE_OK);
    assert_memory_equal(b->result.output.data, id.b, 32);
    set_active(b, &id, true);
    sb_buf_fini(&file);
    return id;
}

static void infer_real_begin(struct bench *b, const sb_hash *id, const sb_u256 *x, size_t count)
{
    struct sb_abi_writer list;
    begin(b, "inferReal(bytes32,int256[])", 2);
    sb_abi_put_hash(&b->w, id);
    sb_abi_put_array(&list, &b->w, count, 1);
    for (size_t i = 0; i < count; i++) {
        sb_abi_put_u256(&list, &x[i]);
    }
    sb_abi_end(&list);
    sb_abi_end(&b->w);
}

static sb_u256 sd(int64_t thousandths)
{
    sb_u256 v = sb_u256_from_u64((uint64_t)(thousandths < 0 ? -thousandths : thousandths));
    (void)sb_u256_mul_u64(&v, &v, SB_SD_ONE / 1000);
    return thousandths < 0 ? sb_u256_neg(&v) : v;
}

static void infer_real_of_a_linear_model_gives_its_value(void **state)
{
    struct bench *b = *state;
    sb_hash chunks[2];
    sb_hash id = deploy(b, chunks);
    const sb_u256 x[2] = {sd(1500), sd(-250)};
    infer_real_begin(b, &id, x, 2);
    run_kind(b, 0x5b01, 0x1234, SB_STATICCALL);
    assert_int_equal(b->result.outcome, SB_PRECOMPILE_OK);
    sb_bytes items;
    size_t count = 0;
    sb_u256 y;
    assert_int_equal(sb_abi_read_array(&items, &count, b->result.output, 0, 1, 10), SB_OK);
    assert_int_equal(count, 1);
    assert_int_equal(sb_abi_read_u256(&y, items, 0), SB_OK);
    sb_u256 want = sd(4250);
    assert_true(sb_u256_equal(&y, &want));
}

static void infer_raw_and_real_agree_and_the_second_touch_is_cheaper(void **state)
{
    struct bench *b = *state;
    sb_hash chunks[2];
    sb_hash id = deploy(b, chunks);
    uint8_t raw[8];
    le_store32(raw, 98304);                /* 1.5 */
    le_store32(raw + 4, (uint32_t)-16384); /* -0.25 */
    int64_t used[2];
    for (int i = 0; i < 2; i++) {
        begin(b, "infer(bytes32,bytes)", 2);
        sb_abi_put_hash(&b->w, &id);
        sb_abi_put_bytes(&b->w, sb_span(raw, sizeof raw));
        sb_abi_end(&b->w);
        run(b, 0x5b01, 0x1234);
        assert_int_equal(b->result.outcome, SB_PRECOMPILE_OK);
        sb_bytes out;
        assert_int_equal(sb_abi_read_bytes(&out, b->result.output, 0, 100), SB_OK);
        assert_int_equal(out.len, 4);
        assert_int_equal(le_load32(out.data), 4 * 65536 + 16384);
        used[i] = b->result.gas_used;
    }
    begin(b, "quote(bytes32)", 1);
    sb_abi_put_hash(&b->w, &id);
    sb_abi_end(&b->w);
    run(b, 0x5b01, 0x1234);
    /* beside the hashing of 132 bytes of call data and 96 of the answer */
    const uint64_t hashing = 12 * 5 + 6 * 3;
    assert_int_equal(word_u64(b, 0) + hashing, used[1]);
    assert_int_equal(word_u64(b, 1) + hashing, used[0]);
    assert_true(used[0] > used[1]);
    /* the cache counts what a small model really takes: at least a chunk of its arena */
    assert_true(sb_inference_stats(b->inference).model_bytes >= 65536);
    assert_int_equal(sb_inference_stats(b->inference).memo.hit_count, 1);
}

/* ---- records of runs ---- */

static size_t record_count(const struct bench *b)
{
    size_t count;
    (void)sb_overlay_inferences(b->overlay, &count);
    return count;
}

static void infer_that_succeeds_leaves_a_record(void **state)
{
    struct bench *b = *state;
    sb_hash chunks[2];
    sb_hash id = deploy(b, chunks);
    const sb_u256 x[2] = {sd(1500), sd(-250)};
    sb_addr who = addr_of(0x1234);
    for (size_t i = 0; i < 3; i++) { /* the second is answered by the memo */
        infer_real_begin(b, &id, x, 2);
        run_kind(b, 0x5b01, 0x1234, i == 2 ? SB_CALL : SB_STATICCALL);
        size_t count;
        const struct sb_inference_record *last = sb_overlay_inferences(b->overlay, &count) + i;
        sb_hash input = sb_keccak256(sb_buf_bytes(&b->input));
        sb_hash output = sb_keccak256(b->result.output);
        assert_int_equal(count, i + 1);
        assert_memory_equal(last->caller.b, who.b, sizeof who.b);
        assert_memory_equal(last->model_id.b, id.b, sizeof id.b);
        assert_memory_equal(last->input_hash.b, input.b, sizeof input.b);
        assert_memory_equal(last->output_hash.b, output.b, sizeof output.b);
    }
    sb_checkpoint checkpoint = sb_overlay_checkpoint(b->overlay);
    run(b, 0x5b01, 0x1234);
    assert_int_equal(record_count(b), 4);
    sb_overlay_rollback(b->overlay, checkpoint);
    assert_int_equal(record_count(b), 3);
    sb_overlay_tx_end(b->overlay);
    assert_int_equal(record_count(b), 3);
    sb_overlay_tx_begin(b->overlay);
    assert_int_equal(record_count(b), 0);
}

static void calls_that_run_no_model_leave_no_record(void **state)
{
    struct bench *b = *state;
    sb_hash chunks[2], absent = {{9}};
    sb_hash id = deploy(b, chunks);
    const sb_u256 x[3] = {sd(1), sd(2), sd(3)};
    static const char *const reads[] = {"describe(bytes32)", "quote(bytes32)"};
    for (size_t i = 0; i < 2; i++) {
        begin(b, reads[i], 1);
        sb_abi_put_hash(&b->w, &id);
        sb_abi_end(&b->w);
        run(b, 0x5b01, 0x1234);
        assert_int_equal(b->result.outcome, SB_PRECOMPILE_OK);
    }
    infer_real_begin(b, &absent, x, 2);
    run(b, 0x5b01, 0x1234);
    assert_reverted_with(b, "ModelNotFound(bytes32)");
    infer_real_begin(b, &id, x, 3);
    run(b, 0x5b01, 0x1234);
    assert_reverted_with(b, "BadInput(uint256,uint256)");
    infer_real_begin(b, &id, x, 2);
    run_kind(b, 0x5b01, 0x1234, SB_DELEGATECALL);
    assert_reverted_with(b, "BadCall()");
    for (b->gas = 0; b->gas < 500; b->gas += 37) {
        run(b, 0x5b01, 0x1234);
        assert_int_equal(b->result.outcome, SB_PRECOMPILE_FAILURE);
    }
    assert_int_equal(record_count(b), 0);
}

static void infer_out_of_gas_at_any_amount_fails_and_takes_all(void **state)
{
    struct bench *b = *state;
    sb_hash chunks[2];
    sb_hash id = deploy(b, chunks);
    const sb_u256 x[2] = {sd(1), sd(2)};
    infer_real_begin(b, &id, x, 2);
    sb_checkpoint checkpoint = sb_overlay_checkpoint(b->overlay);
    run(b, 0x5b01, 0x1234);
    int64_t need = b->result.gas_used;
    for (int64_t gas = 0; gas < need; gas += 97) {
        sb_overlay_rollback(b->overlay, checkpoint);
        b->gas = gas;
        run(b, 0x5b01, 0x1234);
        assert_int_equal(b->result.outcome, SB_PRECOMPILE_FAILURE);
        assert_int_equal(b->result.gas_used, gas);
    }
    sb_overlay_rollback(b->overlay, checkpoint);
    b->gas = need;
    run(b, 0x5b01, 0x1234);
    assert_int_equal(b->result.outcome, SB_PRECOMPILE_OK);
}

static void infer_typed_errors_name_what_was_wrong(void **state)
{
    struct bench *b = *state;
    sb_hash chunks[2];
    sb_hash id = deploy(b, chunks);
    sb_hash other = {{9}};
    const sb_u256 x[3] = {sd(1), sd(2), sd(3)};
    infer_real_begin(b, &other, x, 2);
    run(b, 0x5b01, 0x1234);
    assert_reverted_with(b, "ModelNotFound(bytes32)");
    infer_real_begin(b, &id, x, 3);
    run(b, 0x5b01, 0x1234);
    assert_reverted_with(b, "BadInput(uint256,uint256)");
    assert_int_equal(be_load64(b->result.output.data + 4 + 56), 2);

    uint8_t raw[8] = {0};
    le_store32(raw + 4, 100 * 65536 + 1);
    begin(b, "infer(bytes32,bytes)", 2);
    sb_abi_put_hash(&b->w, &id);
    sb_abi_put_bytes(&b->w, sb_span(raw, sizeof raw));
    sb_abi_end(&b->w);
    run(b, 0x5b01, 0x1234);
    assert_reverted_with(b, "BadInput(uint256,uint256)");
    assert_int_equal(be_load64(b->result.output.data + 4 + 56), 1);

    set_active(b, &id, false);
    infer_real_begin(b, &id, x, 2);
    run(b, 0x5b01, 0x1234);
    assert_reverted_with(b, "ModelNotFound(bytes32)");
}

static void call_forms_other_than_plain_calls_are_refused(void **state)
{
    struct bench *b = *state;
    const uint16_t all[] = {0x5b01, 0x5b02, 0x5b03, 0x5b04, 0x5b05};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        begin(b, "nothing()", 0);
        run(b, all[i], 0x1234);
        assert_reverted_with(b, "BadCall()");
        run_kind(b, all[i], 0x1234, SB_DELEGATECALL);
        assert_reverted_with(b, "BadCall()");
        sb_buf_reset(&b->input);
        run(b, all[i], 0x1234);
        assert_reverted_with(b, "BadCall()");
    }
}

static void op_switched_off_reverts_until_it_is_on_again(void **state)
{
    struct bench *b = *state;
    sb_hash chunks[2];
    sb_hash id = deploy(b, chunks);
    const sb_u256 x[2] = {sd(1), sd(2)};
    for (int off = 1; off >= 0; off--) {
        begin(b, "setOpDisabled(uint16,uint16,bool)", 3);
        sb_abi_put_u64(&b->w, SB_OP_GEMM_FX);
        sb_abi_put_u64(&b->w, 1);
        sb_abi_put_bool(&b->w, off != 0);
        sb_abi_end(&b->w);
        run(b, 0x5b04, 0x5b11);
        assert_reverted_with(b, "NotAuthorised()");
        run(b, 0x5b04, 0x5b10);
        assert_int_equal(b->result.outcome, SB_PRECOMPILE_OK);
        infer_real_begin(b, &id, x, 2);
        run(b, 0x5b01, 0x1234);
        if (off != 0) {
            assert_reverted_with(b, "OpDisabled(uint16,uint16)");
            assert_int_equal(be_load64(b->result.output.data + 4 + 24), SB_OP_GEMM_FX);
        } else {
            assert_int_equal(b->result.outcome, SB_PRECOMPILE_OK);
        }
    }
}

static void store_writes_are_for_the_registry_and_never_static(void **state)
{
    struct bench *b = *state;
    begin(b, "putChunk(bytes)", 1);
    sb_abi_put_bytes(&b->w, sb_span_str("chunk"));
    sb_abi_end(&b->w);
    run(b, 0x5b04, 0x1234);
    assert_reverted_with(b, "NotAuthorised()");
    run_kind(b, 0x5b04, 0x5b11, SB_STATICCALL);
    assert_reverted_with(b, "BadCall()");
}

static void store_refuses_bad_chunks_and_bad_models_by_name(void **state)
{
    struct bench *b = *state;
    static uint8_t big[65537];
    begin(b, "putChunk(bytes)", 1);
    sb_abi_put_bytes(&b->w, sb_span(big, sizeof big));
    sb_abi_end(&b->w);
    run(b, 0x5b04, 0x5b11);
    assert_reverted_with(b, "BadChunkSize(uint256)");
    sb_hash junk = put_chunk(b, sb_span(big, 1000));
    finalise(b, &junk, 1, 1 << 20);
    assert_reverted_with(b, "ModelInvalid()");
    finalise(b, &junk, 1, 999);
    assert_reverted_with(b, "ModelTooLarge(uint256,uint256)");
    sb_hash absent = {{1}};
    finalise(b, &absent, 1, 1 << 20);
    assert_reverted_with(b, "ChunkNotFound(bytes32)");
    sb_hash chunks[2];
    (void)deploy(b, chunks);
    finalise(b, chunks, 2, 1 << 20);
    assert_reverted_with(b, "ModelExists(bytes32)");
}

static void store_release_and_drop_leave_no_trace(void **state)
{
    struct bench *b = *state;
    struct sb_state_diff diff;
    sb_hash chunks[2];
    sb_hash id = deploy(b, chunks);
    begin(b, "dropChunk(bytes32)", 1);
    sb_abi_put_hash(&b->w, &chunks[0]);
    sb_abi_end(&b->w);
    run(b, 0x5b04, 0x5b11);
    assert_reverted_with(b, "ChunkNotFound(bytes32)"); /* in use */
    set_active(b, &id, false);
    begin(b, "release(bytes32)", 1);
    sb_abi_put_hash(&b->w, &id);
    sb_abi_end(&b->w);
    run(b, 0x5b04, 0x5b11);
    assert_int_equal(b->result.outcome, SB_PRECOMPILE_OK);
    for (int i = 0; i < 2; i++) {
        begin(b, "dropChunk(bytes32)", 1);
        sb_abi_put_hash(&b->w, &chunks[i]);
        sb_abi_end(&b->w);
        run(b, 0x5b04, 0x5b11);
        assert_int_equal(b->result.outcome, SB_PRECOMPILE_OK);
    }
    sb_overlay_tx_end(b->overlay);
    assert_int_equal(sb_overlay_diff(&diff, b->overlay, &b->arena), SB_OK);
    assert_int_equal(diff.blob_count, 0);
    for (size_t i = 0; i < diff.account_count; i++) {
        assert_int_equal(diff.accounts[i].slot_count, 0);
    }
}

static void fixed_math_and_tensor_functions_answer(void **state)
{
    struct bench *b = *state;
    sb_u256 two = sd(2000);
    begin(b, "exp2(int256)", 1);
    sb_abi_put_u256(&b->w, &two);
    sb_abi_end(&b->w);
    run(b, 0x5b03, 0x1234);
    assert_int_equal(word_u64(b, 0), 4 * SB_SD_ONE);
    sb_u256 minus = sd(-1);
    begin(b, "ln(int256)", 1);
    sb_abi_put_u256(&b->w, &minus);
    sb_abi_end(&b->w);
    run(b, 0x5b03, 0x1234);
    assert_reverted_with(b, "Domain(int256)");

    const uint8_t left[] = {1, 2, 0xff, 4};  /* [[1, 2], [-1, 4]] */
    const uint8_t right[] = {5, 6, 7, 0x81}; /* [[5, 6], [7, -127]] */
    begin(b, "matmulI8(uint32,uint32,uint32,bytes,bytes)", 5);
    sb_abi_put_u64(&b->w, 2);
    sb_abi_put_u64(&b->w, 2);
    sb_abi_put_u64(&b->w, 2);
    sb_abi_put_bytes(&b->w, sb_span(left, sizeof left));
    sb_abi_put_bytes(&b->w, sb_span(right, sizeof right));
    sb_abi_end(&b->w);
    run(b, 0x5b02, 0x1234);
    sb_bytes c;
    assert_int_equal(b->result.outcome, SB_PRECOMPILE_OK);
    assert_int_equal(sb_abi_read_bytes(&c, b->result.output, 0, 100), SB_OK);
    const int32_t want[] = {19, -248, 23, -514};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal((int32_t)le_load32(c.data + 4 * i), want[i]);
    }

    const uint8_t bad[] = {5, 6, 7, 0x80};
    begin(b, "matmulI8(uint32,uint32,uint32,bytes,bytes)", 5);
    sb_abi_put_u64(&b->w, 2);
    sb_abi_put_u64(&b->w, 2);
    sb_abi_put_u64(&b->w, 2);
    sb_abi_put_bytes(&b->w, sb_span(left, sizeof left));
    sb_abi_put_bytes(&b->w, sb_span(bad, sizeof bad));
    sb_abi_end(&b->w);
    run(b, 0x5b02, 0x1234);
    assert_reverted_with(b, "BadInput(uint256,uint256)");
    assert_int_equal(be_load64(b->result.output.data + 4 + 56), 3);

    struct sb_abi_writer list;
    const sb_u256 x[3] = {sd(-1000), sd(3000), sd(3000)};
    const char *const functions[] = {"argmax(int256[])", "softmax(int256[])"};
    for (size_t f = 0; f < 2; f++) {
        begin(b, functions[f], 1);
        sb_abi_put_array(&list, &b->w, 3, 1);
        for (size_t i = 0; i < 3; i++) {
            sb_abi_put_u256(&list, &x[i]);
        }
        sb_abi_end(&list);
        sb_abi_end(&b->w);
        run(b, 0x5b02, 0x1234);
        if (f == 0) {
            assert_int_equal(word_u64(b, 0), 1);
        } else { /* 65536 * (e^-4, 1, 1) / (2 + e^-4) */
            assert_int_equal(word_u64(b, 2), 595);
            assert_int_equal(word_u64(b, 3), 32471);
            assert_int_equal(word_u64(b, 4), 32471);
        }
    }
}

static void ed25519_accepts_a_signature_and_refuses_a_changed_one(void **state)
{
    struct bench *b = *state;
    uint8_t public_key[32];
    uint8_t secret[64];
    uint8_t signature[64];
    const uint8_t seed[32] = {7};
    sb_ed25519_keypair(public_key, secret, seed);
    sb_ed25519_sign(signature, secret, sb_span_str("same bits"));
    for (int changed = 0; changed < 2; changed++) {
        signature[3] ^= (uint8_t)changed;
        begin(b, "verify(bytes32,bytes32,bytes32,bytes)", 4);
        sb_abi_put_word(&b->w, public_key);
        sb_abi_put_word(&b->w, signature);
        sb_abi_put_word(&b->w, signature + 32);
        sb_abi_put_bytes(&b->w, sb_span_str("same bits"));
        sb_abi_end(&b->w);
        run(b, 0x5b05, 0x1234);
        assert_int_equal(word_u64(b, 0), changed == 0 ? 1 : 0);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void selectors_are_the_hashes_of_their_signatures(void **state)
{
    (void)state;
    static const struct {
        uint32_t selector;
        const char *signature;
    } functions[] = {
#define SB_NATIVE_INFERENCE(selector, signature, ...)   {selector, signature},
#define SB_NATIVE_TENSOR(selector, signature, ...)      {selector, signature},
#define SB_NATIVE_FIXED_MATH(selector, signature, ...)  {selector, signature},
#define SB_NATIVE_MODEL_STORE(selector, signature, ...) {selector, signature},
#define SB_NATIVE_ED25519(selector, signature, ...)     {selector, signature},
#include "vm/precompile/native_functions.def"
    };
    assert_int_equal(sizeof functions / sizeof functions[0], 28);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        assert_int_equal(functions[i].selector, sb_abi_selector(functions[i].signature));
    }
}

/* The facts are in the database: nobody reads them for less than a cold access costs. */
static void infer_of_an_absent_model_charges_before_it_reads(void **state)
{
    struct bench *b = *state;
    sb_hash other = {{9}};
    begin(b, "describe(bytes32)", 1);
    sb_abi_put_hash(&b->w, &other);
    sb_abi_end(&b->w);
    sb_checkpoint checkpoint = sb_overlay_checkpoint(b->overlay);
    b->gas = 2799;
    run(b, 0x5b01, 0x1234);
    assert_int_equal(b->result.outcome, SB_PRECOMPILE_FAILURE);
    sb_overlay_rollback(b->overlay, checkpoint);
    b->gas = 2800;
    run(b, 0x5b01, 0x1234);
    assert_reverted_with(b, "ModelNotFound(bytes32)");
    assert_int_equal(b->result.gas_used, 2800);
}

/* eth_call may override storage, so facts can lie. The caches are shared with the validating path and go by the id alone. */
static void facts_that_name_another_models_chunks_never_reach_the_caches(void **state)
{
    struct bench *b = *state;
    sb_hash chunks[2];
    sb_hash id = deploy(b, chunks);
    sb_hash other = {{9}};
    struct sb_model_facts facts = sb_model_facts_load(b->overlay, &id);
    sb_model_facts_store(b->overlay, &other, &facts);
    for (uint32_t i = 0; i < 2; i++) {
        sb_model_chunk_store(b->overlay, &other, i, &chunks[i]);
    }
    const struct sb_model *model = NULL;
    assert_int_equal(sb_inference_model(&model, b->inference, b->overlay, &other), SB_E_CORRUPT);
    assert_int_equal(sb_inference_stats(b->inference).model_count, 0);
    assert_int_equal(sb_inference_model(&model, b->inference, b->overlay, &id), SB_OK);
    sb_inference_release(b->inference, model);
}

static void describe_charges_by_tensor(void **state)
{
    struct bench *b = *state;
    sb_hash chunks[2];
    sb_hash id = deploy(b, chunks);
    begin(b, "describe(bytes32)", 1);
    sb_abi_put_hash(&b->w, &id);
    sb_abi_end(&b->w);
    run(b, 0x5b01, 0x1234);
    run(b, 0x5b01, 0x1234);
    assert_int_equal(b->result.outcome, SB_PRECOMPILE_OK);
    assert_int_equal(b->result.gas_used, 100 + 100 + 2 * 40);
}

static void matmul_begin(struct bench *b, uint64_t m, uint64_t k, uint64_t n, sb_bytes x,
                         sb_bytes y)
{
    begin(b, "matmulI8(uint32,uint32,uint32,bytes,bytes)", 5);
    sb_abi_put_u64(&b->w, m);
    sb_abi_put_u64(&b->w, k);
    sb_abi_put_u64(&b->w, n);
    sb_abi_put_bytes(&b->w, x);
    sb_abi_put_bytes(&b->w, y);
    sb_abi_end(&b->w);
}

/* 130 rows of the right matrix are more than one block of its transposition. */
static void matmul_of_many_rows_is_exact_and_priced_padded(void **state)
{
    struct bench *b = *state;
    enum { M = 5, K = 130, N = 3 };
    static int8_t x[M * K], y[K * N];
    for (size_t i = 0; i < sizeof x; i++) {
        x[i] = (int8_t)(i * 37 % 256 - 128);
    }
    for (size_t i = 0; i < sizeof y; i++) {
        y[i] = (int8_t)(i * 53 % 255 - 127);
    }
    matmul_begin(b, M, K, N, sb_span((const uint8_t *)x, sizeof x),
                 sb_span((const uint8_t *)y, sizeof y));
    run(b, 0x5b02, 1);
    assert_int_equal(b->result.outcome, SB_PRECOMPILE_OK);
    sb_bytes sums;
    assert_int_equal(sb_abi_read_bytes(&sums, b->result.output, 0, 4 * M * N), SB_OK);
    assert_int_equal(sums.len, 4 * M * N);
    assert_int_equal(b->result.output.len, 64 + 64);
    for (size_t i = 0; i < M; i++) {
        for (size_t j = 0; j < N; j++) {
            int32_t sum = 0;
            for (size_t k = 0; k < K; k++) {
                sum += x[i * K + k] * y[k * N + j];
            }
            assert_int_equal((int32_t)le_load32(sums.data + 4 * (i * N + j)), sum);
        }
    }
    /* 8 * 16 * 132 padded products, 5 rows of four each, 15 sums, 1,100 bytes in and out, 390 bytes turned */
    uint64_t micro = 8 * 16 * 132 * UINT64_C(1250) + 5 * 4 * 400000 + 15 * 45000 +
                     (sizeof x + sizeof y + 4 * M * N) * UINT64_C(20000) +
                     sizeof y * UINT64_C(30000);
    assert_int_equal(b->result.gas_used, 100 + 100 + (micro + 999999) / 1000000);

    matmul_begin(b, UINT64_C(1) << 32, K, N, sb_span(NULL, 0), sb_span(NULL, 0));
    run(b, 0x5b02, 1);
    assert_reverted_with(b, "BadCall()");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(selectors_are_the_hashes_of_their_signatures),
        CASE(infer_of_an_absent_model_charges_before_it_reads),
        CASE(describe_charges_by_tensor),
        CASE(facts_that_name_another_models_chunks_never_reach_the_caches),
        CASE(matmul_of_many_rows_is_exact_and_priced_padded),
        CASE(infer_real_of_a_linear_model_gives_its_value),
        CASE(infer_raw_and_real_agree_and_the_second_touch_is_cheaper),
        CASE(infer_that_succeeds_leaves_a_record),
        CASE(calls_that_run_no_model_leave_no_record),
        CASE(infer_out_of_gas_at_any_amount_fails_and_takes_all),
        CASE(infer_typed_errors_name_what_was_wrong),
        CASE(call_forms_other_than_plain_calls_are_refused),
        CASE(op_switched_off_reverts_until_it_is_on_again),
        CASE(store_writes_are_for_the_registry_and_never_static),
        CASE(store_refuses_bad_chunks_and_bad_models_by_name),
        CASE(store_release_and_drop_leave_no_trace),
        CASE(fixed_math_and_tensor_functions_answer),
        CASE(ed25519_accepts_a_signature_and_refuses_a_changed_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
