/* test_inferences.c: from transactions that run models to proofs: which calls a block's records name, that they are stored, go back with
 * their block and come again, and that the backend's proofs of all of them hold. */
#include "tests/unit/node/model_fixture.h"

#include "base/crypto/keccak.h"
#include "base/util/endian.h"
#include "consensus/inference_proof.h"
#include "node/backend.h"
#include "rpc/format.h"
#include "storage/db.h"

#define RECORDS 6 /* of the block under test */

static struct side side;
static struct sb_backend *backend;
static struct sb_rpc_backend table;
static struct sb_arena arena; /* of a request */
static sb_hash model_id;
static uint8_t input[4096]; /* all zero */
static size_t input_len;
static struct sb_buf call_data;

/* ---- contracts ---- */

#define COPY_CALL_DATA 0x36, 0x5f, 0x5f, 0x37
#define STATIC_INFER   0x5f, 0x5f, 0x36, 0x5f, 0x61, 0x5b, 0x01, 0x5a, 0xfa, 0x50
/* CALL with the call data, and its gas, to an address of 20 bytes, and drop the answer. */
#define CALL_PUSH_20 0x5f, 0x5f, 0x36, 0x5f, 0x5f, 0x73
#define CALL_REST    0x5a, 0xf1, 0x50

enum { REVERTER, TWICE, LOOPER, NESTED, CONTRACTS };

/* Runs the model and reverts. */
static const uint8_t reverter_code[] = {COPY_CALL_DATA, STATIC_INFER, 0x5f, 0x5f, 0xfd};
/* Runs the model twice. */
static const uint8_t twice_code[] = {COPY_CALL_DATA, STATIC_INFER, STATIC_INFER, 0x00};

/* Runs the model and then for ever. */
static const uint8_t looper_code[] = {COPY_CALL_DATA, STATIC_INFER, 0x5b, 0x60, 0x0e, 0x56};

static sb_addr contracts[CONTRACTS];

static void one(void)
{
    net_step(&side.n);
}

static void create(int contract, const uint8_t *code, size_t len)
{
    struct fixture *f = &side.n.f;
    uint8_t init[256] = {0x60, (uint8_t)len, 0x60,         0x0a, 0x5f,
                         0x39, 0x60,         (uint8_t)len, 0x5f, 0xf3};
    assert_true(len < sizeof init - 10);
    memcpy(init + 10, code, len);
    struct sb_tx tx = fixture_tx(f, 0, side.next_nonce);
    contracts[contract] = sb_rpc_create_address(&f->addrs[0], side.next_nonce++);
    tx.is_create = true;
    tx.to = (sb_addr){.b = {0}};
    tx.value = sb_u256_zero();
    tx.gas_limit = 1000000;
    tx.data = sb_span(sb_arena_dup(&f->arena, sb_span(init, len + 10)), len + 10);
    fixture_check(f, fixture_add(f, &tx, 0, NULL));
    one();
}

static void create_contracts(void)
{
    /* calls REVERTER, runs the model, calls TWICE: two callers, three records */
    uint8_t nested[] = {COPY_CALL_DATA,
                        CALL_PUSH_20,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        CALL_REST,
                        STATIC_INFER,
                        CALL_PUSH_20,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        CALL_REST,
                        0x00};
    create(REVERTER, reverter_code, sizeof reverter_code);
    create(TWICE, twice_code, sizeof twice_code);
    create(LOOPER, looper_code, sizeof looper_code);
    memcpy(nested + 10, contracts[REVERTER].b, 20);
    memcpy(nested + 10 + 20 + 3 + 10 + 6, contracts[TWICE].b, 20);
    create(NESTED, nested, sizeof nested);
}

/* ---- the world ---- */

static void open_backend(void)
{
    const struct sb_backend_options options = {.chain = side.n.f.chain,
                                               .mempool = side.n.f.mempool,
                                               .clock_ms = fixture_now_ms,
                                               .clock_ctx = &side.n.f};
    fixture_check(&side.n.f, sb_backend_new(&backend, &options, &side.n.f.diag));
    table = sb_backend_table(backend);
}

static int setup(void **state)
{
    (void)state;
    struct sb_buf file;
    struct sb_model *model;
    side_init(&side);
    open_backend();
    sb_arena_init(&arena, (size_t)256 << 20);
    compile_example(&file, "gbdt_breast_cancer.onnx", "gbdt_breast_cancer_rows.npz");
    fixture_check(&side.n.f, sb_model_load(&model, sb_buf_bytes(&file), &side.n.f.diag));
    input_len = (size_t)sb_model_info(model)->input_bytes;
    assert_true(input_len <= sizeof input);
    sb_model_free(model);
    model_id = deploy(&side, 1, one, sb_buf_bytes(&file));
    sb_buf_fini(&file);
    create_contracts();
    struct sb_abi_writer w;
    sb_buf_init(&call_data, (size_t)1 << 16);
    sb_abi_put_selector(&call_data, sb_abi_selector("infer(bytes32,bytes)"));
    sb_abi_begin(&w, &call_data, 2);
    sb_abi_put_hash(&w, &model_id);
    sb_abi_put_bytes(&w, sb_span(input, input_len));
    sb_abi_end(&w);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sb_buf_fini(&call_data);
    sb_arena_fini(&arena);
    sb_backend_free(backend);
    side_fini(&side);
    return 0;
}

static sb_hash ask(sb_addr to, uint64_t gas)
{
    struct fixture *f = &side.n.f;
    struct sb_tx tx = fixture_tx(f, 0, side.next_nonce++);
    sb_hash hash;
    tx.to = to;
    tx.value = sb_u256_zero();
    tx.gas_limit = gas;
    tx.data = sb_span(sb_arena_dup(&f->arena, sb_buf_bytes(&call_data)), call_data.len);
    fixture_check(f, fixture_add(f, &tx, 0, &hash));
    return hash;
}

static const sb_addr inference_addr = {{[18] = 0x5b, [19] = 0x01}};

/* run_block: a block with six transactions, of which four leave records: 1, 1, none, 1 + 2, none, and one more. */
static void run_block(sb_hash ret_txs[6])
{
    ret_txs[0] = ask(inference_addr, 1000000);
    ret_txs[1] = ask(caller, 1000000);
    ret_txs[2] = ask(contracts[REVERTER], 1000000);
    ret_txs[3] = ask(contracts[NESTED], 2000000);
    ret_txs[4] = ask(contracts[LOOPER], 300000); /* runs out of gas: all of it is undone */
    ret_txs[5] = ask(inference_addr, 1000000);
    one();
}

static size_t record_count(const sb_hash *tx)
{
    struct sb_rpc_inferences found;
    assert_int_equal(table.inferences(table.ctx, &arena, tx, &found), SB_OK);
    return found.count;
}

/* ---- cases ---- */

static void block_names_the_inferences_that_took_effect(void **state)
{
    (void)state;
    sb_hash txs[6];
    run_block(txs);
    struct fixture *f = &side.n.f;
    uint64_t number = sb_chain_head_number(f->chain);
    static const size_t counts[6] = {1, 1, 0, 3, 0, 1};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(record_count(&txs[i]), counts[i]);
    }
    const struct sb_inference_record *records;
    size_t count;
    fixture_check(f, sb_chain_inferences(&records, &count, &arena, f->chain, number));
    assert_int_equal(count, RECORDS);
    static const struct {
        int tx;
        uint32_t index;
    } places[RECORDS] = {{0, 0}, {1, 0}, {3, 0}, {3, 1}, {3, 2}, {5, 0}};
    const sb_addr *callers[RECORDS] = {&f->addrs[0],      &caller,           &contracts[NESTED],
                                       &contracts[TWICE], &contracts[TWICE], &f->addrs[0]};
    sb_hash asked = sb_keccak256(sb_buf_bytes(&call_data));
    for (size_t i = 0; i < RECORDS; i++) {
        assert_memory_equal(records[i].tx_hash.b, txs[places[i].tx].b, 32);
        assert_int_equal(records[i].index, places[i].index);
        assert_memory_equal(records[i].caller.b, callers[i]->b, 20);
        assert_memory_equal(records[i].model_id.b, model_id.b, 32);
        assert_memory_equal(records[i].input_hash.b, asked.b, 32);
        assert_memory_equal(records[i].output_hash.b, records[0].output_hash.b, 32);
    }
    struct sb_light_block_parts block;
    sb_hash root;
    fixture_check(f, sb_chain_light_block(&block, &arena, f->chain, number));
    assert_int_equal(sb_inference_root(&root, &arena, records, count), SB_OK);
    assert_memory_equal(block.header.extension_root.b, root.b, 32);
    fixture_check(f, sb_chain_check_block(f->chain, number, &f->diag));
    one();
    fixture_check(f, sb_chain_light_block(&block, &arena, f->chain, number + 1));
    assert_true(sb_hash_is_zero(&block.header.extension_root));
    assert_int_equal(sb_chain_light_block(&block, &arena, f->chain, number + 2), SB_E_NOT_FOUND);
    assert_int_equal(sb_chain_light_block(&block, &arena, f->chain, 0), SB_E_NOT_FOUND);
}

/* check_proof: the backend's proof of an inference holds, and its data are those of the record. */
static void check_proof(const sb_hash *tx, uint64_t index)
{
    struct sb_rpc_inference_proof proof;
    atomic_bool stop = false;
    fixture_check(&side.n.f, table.inference_proof(table.ctx, &arena, tx, index, &stop, &proof));
    struct sb_inference_verdict verdict;
    const struct sb_inference_trust trust = {
        .chain = {.domain = *sb_chain_domain(side.n.f.chain), .verifier = sb_verifier_ed25519()},
        .validators_hash = &proof.block.header.validators_hash};
    assert_int_equal(sb_inference_proof_verify(&verdict, &trust, proof.encoded), SB_OK);
    assert_int_equal(verdict.reason, SB_INFERENCE_NONE);
    assert_memory_equal(verdict.record.tx_hash.b, tx->b, 32);
    assert_int_equal(verdict.record.index, index);
    assert_true(proof.has_data);
    sb_hash input_hash = sb_keccak256(proof.input);
    sb_hash output_hash = sb_keccak256(proof.output);
    assert_memory_equal(input_hash.b, verdict.record.input_hash.b, 32);
    assert_memory_equal(output_hash.b, verdict.record.output_hash.b, 32);
}

static void backend_proves_every_inference(void **state)
{
    (void)state;
    sb_hash txs[6];
    struct sb_rpc_inference_proof proof;
    struct sb_rpc_inferences found;
    atomic_bool stop = false;
    run_block(txs);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 6; i++) {
            size_t count = record_count(&txs[i]);
            for (uint64_t index = 0; index < count; index++) {
                check_proof(&txs[i], index);
            }
            assert_int_equal(
                table.inference_proof(table.ctx, &arena, &txs[i], count, &stop, &proof),
                SB_E_NOT_FOUND);
        }
        sb_arena_reset(&arena);
        one(); /* also when the block is not the head any more */
    }
    sb_hash unknown = {{9}};
    assert_int_equal(table.inferences(table.ctx, &arena, &unknown, &found), SB_E_NOT_FOUND);
    struct sb_rpc_light_block block;
    assert_int_equal(table.light_block(table.ctx, &arena, 1, &block), SB_OK);
    struct sb_light_block_parts parts;
    assert_int_equal(sb_light_block_decode(&parts, &arena, block.encoded, NULL), SB_OK);
    assert_int_equal(parts.header.height, 1);
    assert_int_equal(table.light_block(table.ctx, &arena, 0, &block), SB_E_NOT_FOUND);
}

static void records_survive_a_restart(void **state)
{
    (void)state;
    sb_hash txs[6];
    run_block(txs);
    sb_backend_free(backend);
    net_close(&side.n);
    net_open(&side.n);
    open_backend();
    check_proof(&txs[3], 2);
}

static void records_go_with_their_block(void **state)
{
    (void)state;
    sb_hash txs[6];
    run_block(txs);
    struct fixture *f = &side.n.f;
    uint64_t number = sb_chain_head_number(f->chain);
    sb_backend_free(backend);
    struct sb_store *store = sb_chain_store(f->chain);
    sb_bytes raw;
    assert_int_equal(sb_store_inferences(&raw, &arena, store, number), SB_OK);
    fixture_check(f, sb_store_rollback(store, &f->diag));
    assert_int_equal(sb_store_inferences(&raw, &arena, store, number), SB_E_NOT_FOUND);
    net_close(&side.n);
    net_open(&side.n);
    open_backend();
    assert_int_equal(sb_chain_head_number(f->chain), number - 1);
    struct sb_rpc_inferences found;
    assert_int_equal(table.inferences(table.ctx, &arena, &txs[0], &found), SB_E_NOT_FOUND);
}

/* damage: change or remove the stored records of a block, behind the chain's back. */
static void damage(uint64_t number, bool remove)
{
    struct sb_db *db;
    bool created;
    uint8_t key[8];
    const struct sb_db_options options = {.cache_bytes = 1 << 20};
    struct fixture *f = &side.n.f;
    sb_bytes raw;
    be_store64(key, number);
    assert_int_equal(sb_store_inferences(&raw, &arena, sb_chain_store(f->chain), number), SB_OK);
    sb_backend_free(backend);
    net_close(&side.n);
    fixture_check(f, sb_db_open(&db, &created, f->db_dir, &options, &f->diag));
    struct sb_db_batch *batch = sb_db_batch_new(db);
    ((uint8_t *)(uintptr_t)raw.data)[raw.len - 1] ^= 1; /* the test's own copy */
    if (remove) {
        sb_db_batch_delete(batch, SB_FAMILY_INFERENCES, sb_span(key, sizeof key));
    } else {
        sb_db_batch_put(batch, SB_FAMILY_INFERENCES, sb_span(key, sizeof key), raw);
    }
    fixture_check(f, sb_db_batch_write(db, batch, &f->diag));
    sb_db_batch_free(batch);
    sb_db_close(db);
    net_open(&side.n);
    open_backend();
}

static void damaged_records_are_found(void **state)
{
    (void)state;
    sb_hash txs[6];
    run_block(txs);
    struct fixture *f = &side.n.f;
    uint64_t number = sb_chain_head_number(f->chain);
    one(); /* the head is checked at every start */
    fixture_check(f, sb_chain_check_block(f->chain, number, &f->diag));
    for (int remove = 0; remove < 2; remove++) {
        damage(number, remove != 0);
        assert_int_equal(sb_chain_check_block(f->chain, number, &f->diag), SB_E_CORRUPT);
        assert_non_null(strstr(f->diag.text, "extension root"));
    }
}

static void forged_extension_root_is_refused(void **state)
{
    (void)state;
    (void)ask(caller, 1000000);
    struct sb_consensus_block block = net_decode(&side.n, net_build(&side.n));
    struct sb_consensus_block forged = block;
    forged.header.extension_root.b[31] ^= 1;
    net_expect_invalid(&side.n, net_encode(&side.n, &forged), "another extension root than");
    forged.header.extension_root = (sb_hash){{0}};
    net_expect_invalid(&side.n, net_encode(&side.n, &forged), "another extension root than");
    net_accept(&side.n, net_encode(&side.n, &block));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(block_names_the_inferences_that_took_effect, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(backend_proves_every_inference, setup, teardown),
        cmocka_unit_test_setup_teardown(records_survive_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(records_go_with_their_block, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_records_are_found, setup, teardown),
        cmocka_unit_test_setup_teardown(forged_extension_root_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
