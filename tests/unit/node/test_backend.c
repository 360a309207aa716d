/* test_backend.c: facts, blocks, states, proofs, pool and models as the RPC asks for them. */
#include "tests/unit/node/query_fixture.h"

#include "base/codec/abi.h"
#include "base/codec/rlp.h"
#include "base/crypto/hash.h"
#include "base/crypto/keccak.h"
#include "base/util/endian.h"
#include "tests/support/proof.h"
#include "vm/tensor/build.h"

static struct query_fixture q;

static int setup(void **state)
{
    (void)state;
    query_fixture_init(&q, 4);
    fixture_propose(&q.chain);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    query_fixture_fini(&q);
    return 0;
}

static struct sb_account account_at(struct sb_rpc_block_ref ref, const sb_addr *addr)
{
    const struct sb_state_view *view;
    void *handle;
    struct sb_account account;
    bool exists;
    memset(&q.failure, 0, sizeof q.failure);
    assert_int_equal(q.table.state(q.table.ctx, &ref, &view, &handle, &q.failure), SB_OK);
    assert_int_equal(view->account(view->ctx, addr, &account, &exists), SB_OK);
    q.table.state_release(q.table.ctx, handle);
    return account;
}

/* ---- facts ---- */

static void facts_follow_the_head(void **state)
{
    (void)state;
    assert_int_equal(q.table.chain_id(q.table.ctx), FIXTURE_CHAIN_ID);
    assert_int_equal(q.table.head_number(q.table.ctx), 1);
    sb_u256 fee = q.table.next_base_fee(q.table.ctx);
    sb_u256 expected = sb_chain_next_base_fee(q.chain.chain);
    assert_int_equal(sb_u256_cmp(&fee, &expected), 0);
    assert_int_equal(q.table.oldest_state(q.table.ctx), 0);
    for (int i = 0; i < 9; i++) {
        fixture_propose(&q.chain);
    }
    assert_int_equal(q.table.head_number(q.table.ctx), 10);
    assert_int_equal(q.table.oldest_state(q.table.ctx), 6);
}

static void config_names_precompiles_and_contracts(void **state)
{
    (void)state;
    struct sb_json json = json_begin(&q);
    sb_err err = q.table.config(q.table.ctx, &json);
    json_t *root = json_parsed(&q, err, &json);
    json_t *current = json_object_get(root, "current");
    assert_int_equal(json_quantity_of(current, "chainId"), FIXTURE_CHAIN_ID);
    assert_int_equal(strlen(json_text_of(current, "forkId")), 10);
    assert_string_equal(json_text_of(json_object_get(current, "precompiles"), "INFERENCE"),
                        "0x0000000000000000000000000000000000005b01");
    assert_int_equal(json_object_size(json_object_get(current, "precompiles")), 23);
    assert_true(json_is_null(json_object_get(root, "next")));
    json_decref(root);
}

static void tip_is_learnt_from_blocks(void **state)
{
    (void)state;
    sb_u256 tip = q.table.suggested_tip(q.table.ctx);
    assert_int_equal(sb_u256_sat_u64(&tip), 1000000000);
    for (uint64_t nonce = 0; nonce < 3; nonce++) {
        (void)fixture_send(&q.chain, 0, nonce);
        (void)fixture_send(&q.chain, 1, nonce);
        fixture_propose(&q.chain);
    }
    tip = q.table.suggested_tip(q.table.ctx);
    assert_int_equal(sb_u256_sat_u64(&tip), UINT64_C(1000000000) * FIXTURE_TIP_GWEI);
}

/* ---- blocks and states ---- */

static void block_is_found_by_tag_number_and_hash(void **state)
{
    (void)state;
    const struct sb_rpc_block *block;
    const struct sb_rpc_block *same;
    struct sb_rpc_block_ref refs[] = {at_tag(SB_RPC_LATEST), at_tag(SB_RPC_SAFE),
                                      at_tag(SB_RPC_FINALIZED), at_number(1)};
    for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i++) {
        assert_int_equal(q.table.block(q.table.ctx, &refs[i], &block), SB_OK);
        assert_int_equal(block->block.header.number, 1);
        struct sb_rpc_block_ref by_hash = {.by = SB_RPC_BY_HASH, .hash = block->hash};
        assert_int_equal(q.table.block(q.table.ctx, &by_hash, &same), SB_OK);
        assert_ptr_equal(same, block);
        q.table.block_release(q.table.ctx, same);
        q.table.block_release(q.table.ctx, block);
    }
    struct sb_rpc_block_ref unknown = at_number(2);
    assert_int_equal(q.table.block(q.table.ctx, &unknown, &block), SB_E_NOT_FOUND);
}

static void pending_block_holds_what_waits(void **state)
{
    (void)state;
    const struct sb_rpc_block *block;
    struct sb_rpc_block_ref pending = at_tag(SB_RPC_PENDING);
    assert_int_equal(q.table.block(q.table.ctx, &pending, &block), SB_OK);
    assert_int_equal(block->block.tx_count, 0);
    q.table.block_release(q.table.ctx, block);

    (void)fixture_send(&q.chain, 0, 0);
    (void)fixture_send(&q.chain, 0, 1);
    assert_int_equal(q.table.block(q.table.ctx, &pending, &block), SB_OK);
    assert_int_equal(block->block.tx_count, 2);
    assert_int_equal(block->block.header.number, 2);
    assert_true(block->is_pending && block->receipts == NULL);
    q.table.block_release(q.table.ctx, block);

    const sb_addr *sender = &q.chain.addrs[0];
    const sb_addr *receiver = &q.chain.addrs[3];
    struct sb_account before = account_at(at_tag(SB_RPC_LATEST), receiver);
    struct sb_account after = account_at(pending, receiver);
    sb_u256 gain = sb_u256_sub(&after.balance, &before.balance);
    assert_int_equal(sb_u256_sat_u64(&gain), 2);
    assert_int_equal(account_at(pending, sender).nonce, 2);
    assert_int_equal(q.table.pool_nonce(q.table.ctx, sender, 0), 2);
    assert_int_equal(q.table.pool_nonce(q.table.ctx, sender, 2), 2);

    fixture_propose(&q.chain);
    assert_int_equal(q.table.block(q.table.ctx, &pending, &block), SB_OK);
    assert_int_equal(block->block.tx_count, 0);
    assert_int_equal(block->block.header.number, 3);
    q.table.block_release(q.table.ctx, block);
}

/* Storage and code that a pending transaction makes are read through the same view. */
static void pending_state_shows_storage_and_code(void **state)
{
    (void)state;
    struct words w;
    static const uint8_t init[] = {0x61, 0x60, 0x01, 0x5f, 0x52, 0x60, 0x02, 0x60, 0x1e, 0xf3};
    struct sb_tx store = fixture_tx(&q.chain, 0, 0);
    store.to = contract_addr(STORE);
    store.data = words_put(&w, 2, (uint64_t[]){1, 2});
    store.gas_limit = 100000;
    struct sb_tx create = fixture_tx(&q.chain, 0, 1);
    create.is_create = true;
    create.data = sb_span(init, sizeof init);
    create.gas_limit = 100000;
    fixture_check(&q.chain, fixture_add(&q.chain, &store, 0, NULL));
    fixture_check(&q.chain, fixture_add(&q.chain, &create, 0, NULL));

    const struct sb_state_view *view;
    void *handle;
    struct sb_rpc_block_ref pending = at_tag(SB_RPC_PENDING);
    assert_int_equal(q.table.state(q.table.ctx, &pending, &view, &handle, &q.failure), SB_OK);
    sb_hash key = {.b = {[31] = 1}};
    sb_hash other = {.b = {[31] = 9}};
    sb_u256 value;
    assert_int_equal(view->storage(view->ctx, &store.to, &key, &value), SB_OK);
    assert_int_equal(sb_u256_sat_u64(&value), 2);
    assert_int_equal(view->storage(view->ctx, &store.to, &other, &value), SB_OK);
    assert_true(sb_u256_is_zero(&value));
    static const uint8_t runtime[] = {0x60, 0x01};
    sb_hash code_hash = sb_keccak256(sb_span(runtime, sizeof runtime));
    sb_bytes code;
    assert_int_equal(view->code(view->ctx, &code_hash, &code), SB_OK);
    assert_true(sb_span_equal(code, sb_span(runtime, sizeof runtime)));
    q.table.state_release(q.table.ctx, handle);
}

static void state_unknown_or_too_old_is_worded_as_geth_words_it(void **state)
{
    (void)state;
    const struct sb_state_view *view;
    void *handle;
    struct sb_rpc_block_ref ref = at_number(99);
    assert_int_equal(q.table.state(q.table.ctx, &ref, &view, &handle, &q.failure), SB_E_NOT_FOUND);
    assert_string_equal(q.failure.message, "header not found");
    assert_int_equal(q.failure.code, SB_RPC_SERVER_ERROR);
    for (int i = 0; i < 9; i++) {
        fixture_propose(&q.chain);
    }
    ref = at_number(2);
    assert_int_equal(q.table.state(q.table.ctx, &ref, &view, &handle, &q.failure), SB_E_NOT_FOUND);
    assert_non_null(strstr(q.failure.message, "missing trie node "));
    assert_non_null(strstr(q.failure.message, " is not available"));
    (void)account_at(at_number(6), &q.chain.addrs[0]);
}

static void proof_holds_against_the_header(void **state)
{
    (void)state;
    struct words w;
    struct sb_tx store = fixture_tx(&q.chain, 0, 0);
    store.to = contract_addr(STORE);
    store.data = words_put(&w, 2, (uint64_t[]){1, 2});
    store.gas_limit = 100000;
    fixture_check(&q.chain, fixture_add(&q.chain, &store, 0, NULL));
    fixture_propose(&q.chain);
    struct sb_rpc_proof proof;
    sb_hash keys[2] = {{.b = {[31] = 1}}, {.b = {[31] = 2}}};
    struct sb_rpc_block_ref latest = at_tag(SB_RPC_LATEST);
    assert_int_equal(
        q.table.proof(q.table.ctx, &q.arena, &latest, &store.to, keys, 2, &proof, &q.failure),
        SB_OK);
    struct sb_chain_head head = sb_chain_head(q.chain.chain);
    sb_bytes leaf;
    sb_hash path = sb_keccak256(sb_span(store.to.b, sizeof store.to.b));
    assert_int_equal(proof_verify(&leaf, &head.header.state_root, sb_span(path.b, 32), proof.nodes,
                                  proof.node_count),
                     PROOF_PRESENT);
    for (int i = 0; i < 2; i++) {
        path = sb_keccak256(sb_span(keys[i].b, 32));
        assert_int_equal(proof_verify(&leaf, &proof.storage_root, sb_span(path.b, 32),
                                      proof.slots[i].nodes, proof.slots[i].node_count),
                         i == 0 ? PROOF_PRESENT : PROOF_ABSENT);
        assert_int_equal(sb_u256_sat_u64(&proof.slots[i].value), i == 0 ? 2 : 0);
    }
}

/* ---- pool ---- */

static void submit_refuses_in_the_pools_words(void **state)
{
    (void)state;
    struct sb_tx tx = fixture_tx(&q.chain, 0, 0);
    sb_bytes raw = fixture_sign(&q.chain, &tx, 0);
    sb_hash hash;
    assert_int_equal(q.table.submit(q.table.ctx, raw, &hash, &q.failure), SB_OK);
    sb_hash expected = sb_tx_hash(raw);
    assert_memory_equal(hash.b, expected.b, sizeof hash.b);
    assert_int_not_equal(q.table.submit(q.table.ctx, raw, &hash, &q.failure), SB_OK);
    assert_string_equal(q.failure.message, "already known");
    assert_int_equal(q.failure.code, SB_RPC_SERVER_ERROR);
    assert_int_not_equal(q.table.submit(q.table.ctx, sb_span("\x7f", 1), &hash, &q.failure), SB_OK);
    assert_int_equal(q.failure.code, SB_RPC_SERVER_ERROR);
    assert_true(q.failure.message[0] != '\0');
}

static void pool_is_listed_by_hash_and_sender(void **state)
{
    (void)state;
    sb_hash first = fixture_send(&q.chain, 0, 0);
    (void)fixture_send(&q.chain, 0, 2); /* behind a gap */
    (void)fixture_send(&q.chain, 1, 0);
    struct sb_rpc_pool_tx tx;
    assert_int_equal(q.table.pool_tx(q.table.ctx, &q.arena, &first, &tx), SB_OK);
    assert_memory_equal(tx.sender.b, q.chain.addrs[0].b, sizeof tx.sender.b);
    assert_false(tx.queued);
    sb_hash none = {.b = {1}};
    assert_int_equal(q.table.pool_tx(q.table.ctx, &q.arena, &none, &tx), SB_E_NOT_FOUND);
    const struct sb_rpc_pool_tx *txs;
    size_t count;
    assert_int_equal(q.table.pool_content(q.table.ctx, &q.arena, NULL, &txs, &count), SB_OK);
    assert_int_equal(count, 3);
    assert_int_equal(q.table.pool_content(q.table.ctx, &q.arena, &q.chain.addrs[0], &txs, &count),
                     SB_OK);
    assert_int_equal(count, 2);
    assert_true(!txs[0].queued && txs[1].queued);
    struct sb_rpc_pool_status status = q.table.pool_status(q.table.ctx);
    assert_int_equal(status.pending, 2);
    assert_int_equal(status.queued, 1);
}

/* ---- models ---- */

/* A model that clamps: 2 numbers in, 2 out. */
static sb_bytes tiny_model(struct sb_buf *file)
{
    struct sb_build *b = sb_build_new("tiny");
    assert_non_null(b);
    struct sb_tensor_desc desc = {.dtype = SB_DTYPE_I32,
                                  .shape = {.rank = 2, .dims = {1, 2}},
                                  .quant = {.scale_mult = 1, .scale_shift = 16},
                                  .lo = -65536,
                                  .hi = 65536};
    uint32_t x = sb_build_input(b, "x", &desc);
    desc.lo = 0;
    uint32_t y = sb_build_tensor(b, "y", &desc);
    sb_build_node(b, "relu", SB_OP_CLAMP, 1, &x, 1, y, NULL, 0);
    sb_build_output(b, y);
    fixture_check(&q.chain, sb_build_finish(file, b, &q.chain.diag));
    sb_build_free(b);
    return sb_buf_bytes(file);
}

/* send_data: a transaction of account 0 to the registry, mined. */
static void send_data(struct sb_buf *data, uint64_t nonce, uint64_t value)
{
    struct sb_tx tx = fixture_tx(&q.chain, 0, nonce);
    tx.to = (sb_addr){.b = {[18] = 0x5b, [19] = 0x11}};
    tx.data = sb_buf_bytes(data);
    tx.gas_limit = 5000000;
    tx.value = sb_u256_from_u64(value);
    sb_hash hash;
    uint64_t number;
    uint32_t index;
    const struct sb_rpc_block *block;
    fixture_check(&q.chain, fixture_add(&q.chain, &tx, 0, &hash));
    fixture_propose(&q.chain);
    assert_int_equal(q.table.tx_place(q.table.ctx, &hash, &number, &index), SB_OK);
    struct sb_rpc_block_ref ref = at_number(number);
    assert_int_equal(q.table.block(q.table.ctx, &ref, &block), SB_OK);
    assert_true(block->receipts[index].success);
    q.table.block_release(q.table.ctx, block);
}

static void put_call(struct sb_buf *data, const char *signature)
{
    uint8_t selector[4];
    be_store32(selector, sb_abi_selector(signature));
    sb_buf_reset(data);
    sb_buf_add(data, selector, sizeof selector);
}

static void put_word(struct sb_buf *data, uint64_t value)
{
    uint8_t word[32];
    sb_u256 number = sb_u256_from_u64(value);
    sb_u256_store_be(word, &number);
    sb_buf_add(data, word, sizeof word);
}

static void put_padded(struct sb_buf *data, sb_bytes bytes)
{
    static const uint8_t zeros[32];
    put_word(data, bytes.len);
    sb_buf_add(data, bytes.data, bytes.len);
    sb_buf_add(data, zeros, (32 - bytes.len % 32) % 32);
}

/* register_model: the id; its name is longer than one word, its licence shorter. */
static sb_hash register_model(sb_bytes file, const char *name)
{
    struct sb_buf data;
    sb_buf_init(&data, 1 << 20);
    put_call(&data, "putChunk(bytes)");
    put_word(&data, 32);
    put_padded(&data, file);
    send_data(&data, 0, file.len);
    sb_hash id = sb_sha256(file);
    put_call(&data, "register(bytes32[],string,string,string)");
    size_t name_words = 1 + (strlen(name) + 31) / 32;
    put_word(&data, 4 * 32);
    put_word(&data, 6 * 32);
    put_word(&data, (6 + name_words) * 32);
    put_word(&data, (6 + name_words + 2) * 32);
    put_word(&data, 1);
    sb_buf_add(&data, id.b, sizeof id.b);
    put_padded(&data, sb_span_str(name));
    put_padded(&data, sb_span_str("MIT"));
    put_padded(&data, sb_span_str(""));
    send_data(&data, 1, 0);
    sb_buf_fini(&data);
    return id;
}

static void model_is_described_from_registry_facts_and_file(void **state)
{
    (void)state;
    static const char name[] = "a model whose name is longer than thirty-two bytes";
    struct sb_buf file;
    sb_buf_init(&file, 1 << 20);
    sb_bytes bytes = tiny_model(&file);
    sb_hash id = register_model(bytes, name);
    struct sb_rpc_model model;
    assert_int_equal(q.table.model(q.table.ctx, &q.arena, &id, &model), SB_OK);
    assert_string_equal(model.name, name);
    assert_string_equal(model.licence, "MIT");
    assert_memory_equal(model.owner.b, q.chain.addrs[0].b, sizeof model.owner.b);
    assert_int_equal(model.size_bytes, bytes.len);
    assert_true(model.active && model.gas_warm > 0 && model.gas_cold > model.gas_warm);
    assert_memory_equal(model.cid, "bafkrei", 7);
    assert_int_equal(model.input_count, 1);
    assert_string_equal(model.inputs[0].name, "x");
    assert_string_equal(model.inputs[0].dtype, "i32");
    assert_int_equal(model.inputs[0].shape[1], 2);
    assert_int_equal(model.inputs[0].lo, -65536);
    assert_int_equal(model.output_count, 1);
    const struct sb_rpc_model *models;
    size_t count;
    uint64_t total;
    assert_int_equal(q.table.models(q.table.ctx, &q.arena, 0, 10, &models, &count, &total), SB_OK);
    assert_int_equal(count, 1);
    assert_int_equal(total, 1);
    assert_string_equal(models[0].name, name);
    assert_int_equal(q.table.models(q.table.ctx, &q.arena, 1, 10, &models, &count, &total), SB_OK);
    assert_int_equal(count, 0);
    id.b[0] ^= 1;
    assert_int_equal(q.table.model(q.table.ctx, &q.arena, &id, &model), SB_E_NOT_FOUND);
    sb_buf_fini(&file);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(facts_follow_the_head),
        CASE(config_names_precompiles_and_contracts),
        CASE(tip_is_learnt_from_blocks),
        CASE(block_is_found_by_tag_number_and_hash),
        CASE(pending_block_holds_what_waits),
        CASE(pending_state_shows_storage_and_code),
        CASE(state_unknown_or_too_old_is_worded_as_geth_words_it),
        CASE(proof_holds_against_the_header),
        CASE(submit_refuses_in_the_pools_words),
        CASE(pool_is_listed_by_hash_and_sender),
        CASE(model_is_described_from_registry_facts_and_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
