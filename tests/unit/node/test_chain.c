/* test_chain.c: genesis, blocks by reference, and the verdict on forged blocks, field by field. */
#include "tests/unit/node/chain_fixture.h"

#include "base/crypto/keccak.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    fixture_open(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_fini(&f);
    return 0;
}

/* ---- a genuine block to forge from ---- */

struct genuine {
    struct sb_consensus_block consensus;
    struct sb_block block;
};

static sb_bytes to_arena(struct sb_buf *buf)
{
    assert_int_equal(sb_buf_err(buf), SB_OK);
    const uint8_t *copy = sb_arena_dup(&f.arena, sb_buf_bytes(buf));
    assert_non_null(copy);
    sb_bytes bytes = sb_span(copy, buf->len);
    sb_buf_fini(buf);
    return bytes;
}

static struct sb_commit commit_of_head(void)
{
    struct sb_commit commit = {.height = 0};
    uint64_t number = sb_chain_head_number(f.chain);
    sb_bytes raw;
    if (number != 0) {
        assert_int_equal(sb_store_commit_of(&raw, &f.arena, sb_chain_store(f.chain), number),
                         SB_OK);
        assert_int_equal(sb_commit_decode(&commit, &f.arena, raw, NULL), SB_OK);
    }
    return commit;
}

static sb_bytes build(void)
{
    f.now_ms += 1000;
    const struct sb_builder_options options = {.build_ms_max = 0};
    struct sb_application_draft draft = {.height = sb_chain_head_number(f.chain) + 1,
                                         .time_ms = f.now_ms,
                                         .proposer = f.validator.address,
                                         .last_commit = commit_of_head()};
    fixture_prove(&draft, f.chain, f.validator_secret);
    struct sb_built_block built;
    fixture_check(
        &f, sb_builder_build(&built, &f.arena, f.chain, f.mempool, &options, &draft, &f.diag));
    return built.encoded;
}

/* make_genuine: block 2 of a chain, with two transfers in it. */
static struct genuine make_genuine(void)
{
    fixture_propose(&f);
    fixture_send(&f, 0, 0);
    fixture_send(&f, 1, 0);
    struct genuine g;
    fixture_check(&f, sb_consensus_block_decode(&g.consensus, &f.arena, build(), &f.diag));
    fixture_check(&f, sb_block_decode(&g.block, &f.arena, g.consensus.payload, &f.diag));
    assert_int_equal(g.block.tx_count, 2);
    return g;
}

/* encode: put the block together again, with the payload hash that belongs to its header. */
static sb_bytes encode(struct genuine *g)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SB_CONSENSUS_BLOCK_BYTES_MAX);
    sb_block_encode(&buf, &g->block);
    g->consensus.payload = to_arena(&buf);
    g->consensus.header.payload_hash = sb_header_hash(&g->block.header);
    sb_buf_init(&buf, SB_CONSENSUS_BLOCK_BYTES_MAX);
    sb_consensus_block_encode(&buf, &g->consensus);
    return to_arena(&buf);
}

static void expect_invalid(sb_bytes encoded, const char *name)
{
    struct sb_chain_executed *executed = NULL;
    sb_err err = sb_chain_execute(&executed, f.chain, encoded, &f.diag);
    if (!sb_chain_err_is_invalid(err) || strstr(f.diag.text, name) == NULL) {
        print_error("expected a verdict on %s, got %s: %s\n", name, sb_err_text(err), f.diag.text);
        fail();
    }
}

static void expect_valid(sb_bytes encoded)
{
    struct sb_chain_executed *executed = NULL;
    fixture_check(&f, sb_chain_execute(&executed, f.chain, encoded, &f.diag));
    sb_chain_executed_free(f.chain, executed);
}

/* ---- verdicts ---- */

static void execute_genuine_is_valid(void **state)
{
    (void)state;
    struct genuine g = make_genuine();
    expect_valid(encode(&g));
    memset(g.block.header.extra_data, 'x', SB_EXTRA_DATA_BYTES_MAX);
    g.block.header.extra_data_len = SB_EXTRA_DATA_BYTES_MAX; /* the proposer's own */
    expect_valid(encode(&g));
}

/* Each line: a change of one header field, and the word that the verdict must hold. */
static void execute_forged_header_field_is_invalid(void **state)
{
    (void)state;
    struct genuine genuine = make_genuine();
    struct genuine g;
#define FORGE(change, name)                                                                        \
    do {                                                                                           \
        g = genuine;                                                                               \
        struct sb_header *h = &g.block.header;                                                     \
        change;                                                                                    \
        expect_invalid(encode(&g), name);                                                          \
    } while (0)
    FORGE(h->parent_hash.b[0] ^= 1, "parentHash");
    FORGE(h->uncles_hash.b[0] ^= 1, "sha3Uncles");
    FORGE(h->coinbase.b[0] ^= 1, "miner");
    FORGE(h->state_root.b[0] ^= 1, "stateRoot");
    FORGE(h->transactions_root.b[0] ^= 1, "transactionsRoot");
    FORGE(h->receipts_root.b[0] ^= 1, "receiptsRoot");
    FORGE(h->logs_bloom.b[7] ^= 1, "logsBloom");
    FORGE(h->difficulty = sb_u256_from_u64(1), "difficulty");
    FORGE(h->number++, "");
    FORGE(h->gas_limit++, "gasLimit");
    FORGE(h->gas_limit--, "gasLimit");
    FORGE(h->gas_used++, "gasUsed");
    FORGE(h->timestamp++, "");
    FORGE(h->mix_hash.b[0] ^= 1, "mixHash");
    FORGE(h->nonce[7] = 1, "nonce");
    FORGE(h->base_fee.w[0]++, "baseFeePerGas");
    FORGE(h->withdrawals_root.b[0] ^= 1, "withdrawalsRoot");
    FORGE(h->blob_gas_used = 131072, "blobGasUsed");
    FORGE(h->excess_blob_gas = 131072, "excessBlobGas");
    FORGE(h->parent_beacon_root.b[0] ^= 1, "");
    FORGE(h->requests_hash.b[0] ^= 1, "requestsHash");
    FORGE(h->field_count = SB_HEADER_FIELDS_CANCUN, "");
#undef FORGE
    expect_valid(encode(&genuine));
}

static void execute_forged_consensus_field_is_invalid(void **state)
{
    (void)state;
    struct genuine genuine = make_genuine();
    struct genuine g;
#define FORGE(change, name)                                                                        \
    do {                                                                                           \
        g = genuine;                                                                               \
        struct sb_consensus_header *h = &g.consensus.header;                                       \
        change;                                                                                    \
        expect_invalid(encode(&g), name);                                                          \
    } while (0)
    FORGE(h->version++, "version");
    FORGE(h->chain_id++, "chain id");
    FORGE(h->height++, "");
    FORGE(h->time_ms += 1000, "");
    FORGE(h->time_ms -= 5000, "");
    FORGE(h->last_block_id.b[0] ^= 1, "");
    FORGE(h->validators_hash.b[0] ^= 1, "validators hash");
    FORGE(h->next_validators_hash.b[0] ^= 1, "next validators hash");
    FORGE(h->params_hash.b[0] ^= 1, "params hash");
    FORGE(h->last_commit_hash.b[0] ^= 1, "");
    FORGE(h->late_precommits_hash.b[0] ^= 1, "");
    FORGE(h->evidence_hash.b[0] ^= 1, "");
    FORGE(h->proposer.b[0] ^= 1, "proposer");
    FORGE(h->randomness_proof_len = 0, "randomness proof");
    FORGE(h->randomness_proof_len++, "randomness proof");
    FORGE(h->randomness_proof_len--, "randomness proof");
    for (size_t i = 0; i < SB_RANDOMNESS_PROOF_BYTES; i++) {
        FORGE(h->randomness_proof[i] ^= 1, "randomness proof");
    }
    FORGE(h->extension_root.b[0] ^= 1, "extension root");
#undef FORGE
}

static void execute_forged_last_commit_is_invalid(void **state)
{
    (void)state;
    struct genuine g = make_genuine();
    struct sb_commit_sig sig = g.consensus.last_commit.sigs[0];
    sig.signature.bytes[5] ^= 1;
    g.consensus.last_commit.sigs = &sig;
    assert_int_equal(sb_commit_hash(&g.consensus.header.last_commit_hash, &g.consensus.last_commit),
                     SB_OK);
    expect_invalid(encode(&g), "last commit");
    sig = (struct sb_commit_sig){.flag = SB_COMMIT_ABSENT};
    assert_int_equal(sb_commit_hash(&g.consensus.header.last_commit_hash, &g.consensus.last_commit),
                     SB_OK);
    expect_invalid(encode(&g), "last commit");
}

static void execute_forged_transaction_is_invalid(void **state)
{
    (void)state;
    struct genuine genuine = make_genuine();
    sb_bytes raws[3] = {genuine.block.raw_txs[0], genuine.block.raw_txs[1]};
    struct genuine g = genuine;
    g.block.raw_txs = raws;
    raws[1] = raws[0]; /* the same nonce twice */
    expect_invalid(encode(&g), "nonce too low");
    uint8_t *bent = sb_arena_dup(&f.arena, genuine.block.raw_txs[0]);
    memset(bent + genuine.block.raw_txs[0].len - 32, 0, 32); /* s = 0 is not even canonical */
    raws[0] = sb_span(bent, genuine.block.raw_txs[0].len);
    expect_invalid(encode(&g), "");
    g.block.raw_txs = genuine.block.raw_txs;
    g.block.tx_count = 1; /* one left out: all outcomes differ */
    expect_invalid(encode(&g), "transactionsRoot");
}

static void execute_garbage_is_invalid(void **state)
{
    (void)state;
    struct genuine g = make_genuine();
    sb_bytes good = encode(&g);
    uint8_t *longer = sb_arena_alloc(&f.arena, good.len + 1);
    memcpy(longer, good.data, good.len);
    longer[good.len] = 0;
    expect_invalid(sb_span(longer, good.len + 1), "");
    for (size_t len = 0; len < good.len; len += 37) {
        expect_invalid(sb_span(good.data, len), "");
    }
    expect_valid(good);
}

/* only_time_differs: the proposer is free to name another millisecond of the same second. */
static bool only_time_differs(sb_bytes bent, const struct genuine *g)
{
    struct sb_consensus_block block;
    assert_int_equal(sb_consensus_block_decode(&block, &f.arena, bent, NULL), SB_OK);
    uint64_t time_ms = block.header.time_ms;
    block.header.time_ms = g->consensus.header.time_ms;
    sb_hash id = sb_consensus_block_id(&block.header);
    sb_hash genuine_id = sb_consensus_block_id(&g->consensus.header);
    return time_ms != block.header.time_ms && sb_hash_equal(&id, &genuine_id);
}

static void execute_flipped_byte_is_invalid_but_for_the_millisecond(void **state)
{
    (void)state;
    struct genuine g = make_genuine();
    sb_bytes good = encode(&g);
    uint8_t *bent = sb_arena_dup(&f.arena, good);
    unsigned accepted = 0;
    for (size_t i = 0; i < good.len; i++) {
        bent[i] ^= 0x04;
        struct sb_chain_executed *executed = NULL;
        sb_err err = sb_chain_execute(&executed, f.chain, sb_span(bent, good.len), &f.diag);
        if (err == SB_OK) {
            assert_true(only_time_differs(sb_span(bent, good.len), &g));
            sb_chain_executed_free(f.chain, executed);
            accepted++;
        } else {
            assert_true(sb_chain_err_is_invalid(err));
        }
        bent[i] ^= 0x04;
    }
    assert_int_equal(accepted, 1);
    expect_valid(good);
}

/* ---- the chain ---- */

static void open_writes_genesis_with_its_hash(void **state)
{
    (void)state;
    const struct sb_rpc_block *block;
    fixture_check(&f, sb_chain_block_number(&block, f.chain, 0));
    sb_hash genesis_hash;
    assert_int_equal(sb_genesis_hash(&genesis_hash, &f.genesis), SB_OK);
    assert_memory_equal(block->hash.b, genesis_hash.b, 32);
    assert_int_equal(block->block.tx_count, 0);
    sb_chain_block_release(f.chain, block);
    struct sb_account account;
    fixture_check(&f, sb_chain_account(&account, f.chain, &f.addrs[0]));
    assert_true(sb_u256_equal(&account.balance, &f.accounts[0].balance));
    fixture_check(&f, sb_chain_check_block(f.chain, 0, &f.diag));
}

static void open_without_samebit_object_is_refused(void **state)
{
    (void)state;
    struct sb_genesis plain = f.genesis;
    plain.is_samebit = false;
    struct sb_chain_options options = {.db_dir = f.dir, .genesis = &plain, .create = true};
    struct sb_chain *chain;
    assert_int_equal(sb_chain_open(&chain, &options, &f.diag), SB_E_UNSUPPORTED);
}

static void open_with_other_genesis_is_refused(void **state)
{
    (void)state;
    fixture_close(&f);
    f.genesis.timestamp++;
    assert_int_equal(fixture_try_open_chain(&f), SB_E_ARG);
    f.genesis.timestamp--;
    fixture_open(&f);
}

static void block_by_every_reference_is_the_same(void **state)
{
    (void)state;
    sb_hash tx_hash = fixture_send(&f, 0, 0);
    fixture_propose(&f);
    fixture_propose(&f);
    uint64_t number;
    uint32_t index;
    fixture_check(&f, sb_chain_tx_place(&number, &index, f.chain, &tx_hash));
    assert_int_equal(number, 1);
    assert_int_equal(index, 0);
    const struct sb_rpc_block *by_number;
    const struct sb_rpc_block *by_hash;
    fixture_check(&f, sb_chain_block_number(&by_number, f.chain, 1));
    struct sb_rpc_block_ref ref = {.by = SB_RPC_BY_HASH, .hash = by_number->hash};
    fixture_check(&f, sb_chain_block(&by_hash, f.chain, &ref));
    assert_ptr_equal(by_number, by_hash);
    assert_int_equal(by_number->block.tx_count, 1);
    assert_memory_equal(by_number->tx_hashes[0].b, tx_hash.b, 32);
    assert_memory_equal(by_number->senders[0].b, f.addrs[0].b, 20);
    assert_true(by_number->receipts[0].success);
    assert_int_equal(by_number->receipts[0].cumulative_gas, 21000);
    sb_chain_block_release(f.chain, by_hash);
    sb_chain_block_release(f.chain, by_number);
    ref = (struct sb_rpc_block_ref){.by = SB_RPC_BY_NUMBER, .number = 3};
    assert_int_equal(sb_chain_block(&by_hash, f.chain, &ref), SB_E_NOT_FOUND);
    ref = (struct sb_rpc_block_ref){.by = SB_RPC_BY_TAG, .tag = SB_RPC_PENDING};
    assert_int_equal(sb_chain_block(&by_hash, f.chain, &ref), SB_E_ARG);
    struct sb_header header;
    sb_hash hash;
    fixture_check(&f, sb_chain_header(&header, &hash, f.chain, 2));
    assert_int_equal(header.number, 2);
}

static void block_loaded_from_disk_equals_the_committed(void **state)
{
    (void)state;
    fixture_send(&f, 0, 0);
    fixture_send(&f, 1, 0);
    fixture_propose(&f);
    const struct sb_rpc_block *fresh;
    fixture_check(&f, sb_chain_block_number(&fresh, f.chain, 1));
    struct sb_buf before;
    sb_buf_init(&before, 1 << 20);
    sb_block_encode(&before, &fresh->block);
    size_t size_bytes = fresh->size_bytes;
    sb_hash hash = fresh->hash;
    sb_chain_block_release(f.chain, fresh);
    fixture_propose(&f);
    fixture_close(&f);
    fixture_open(&f);
    fixture_check(&f, sb_chain_block_number(&fresh, f.chain, 1));
    struct sb_buf after;
    sb_buf_init(&after, 1 << 20);
    sb_block_encode(&after, &fresh->block);
    assert_true(sb_span_equal(sb_buf_bytes(&before), sb_buf_bytes(&after)));
    assert_int_equal(fresh->size_bytes, size_bytes);
    assert_memory_equal(fresh->hash.b, hash.b, 32);
    assert_int_equal(fresh->receipts[1].cumulative_gas, 42000);
    sb_chain_block_release(f.chain, fresh);
    sb_buf_fini(&before);
    sb_buf_fini(&after);
}

static void cache_of_two_blocks_keeps_the_used_and_frees_none_in_use(void **state)
{
    (void)state;
    fixture_close(&f);
    f.block_cache_count = 2;
    fixture_open(&f);
    for (int i = 0; i < 6; i++) {
        fixture_propose(&f);
    }
    const struct sb_rpc_block *held[6];
    for (uint64_t number = 0; number < 6; number++) {
        fixture_check(&f, sb_chain_block_number(&held[number], f.chain, number));
    }
    for (uint64_t number = 0; number < 6; number++) { /* evicted or not, what is held is whole */
        assert_int_equal(held[number]->block.header.number, number);
        sb_hash hash = sb_header_hash(&held[number]->block.header);
        assert_memory_equal(held[number]->hash.b, hash.b, 32);
    }
    const struct sb_rpc_block *again;
    fixture_check(&f, sb_chain_block_number(&again, f.chain, 5));
    assert_ptr_equal(again, held[5]);
    sb_chain_block_release(f.chain, again);
    fixture_check(&f, sb_chain_block_number(&again, f.chain, 1));
    assert_ptr_not_equal(again, held[1]);
    sb_chain_block_release(f.chain, again);
    for (int i = 0; i < 6; i++) {
        sb_chain_block_release(f.chain, held[i]);
    }
}

static void view_of_an_old_block_keeps_its_state(void **state)
{
    (void)state;
    fixture_send(&f, 0, 0);
    fixture_propose(&f);
    struct sb_chain_view view;
    struct sb_rpc_block_ref ref = {.by = SB_RPC_BY_TAG, .tag = SB_RPC_EARLIEST};
    fixture_check(&f, sb_chain_view_open(&view, f.chain, &ref));
    struct sb_account account;
    bool exists;
    fixture_check(&f, view.state->account(view.state->ctx, &f.addrs[0], &account, &exists));
    assert_int_equal(account.nonce, 0);
    sb_chain_view_close(f.chain, &view);
    fixture_check(&f, sb_chain_account(&account, f.chain, &f.addrs[0]));
    assert_int_equal(account.nonce, 1);
}

static void pending_block_shows_the_pool(void **state)
{
    (void)state;
    sb_hash hash = fixture_send(&f, 0, 0);
    fixture_send(&f, 1, 3); /* queued */
    const struct sb_rpc_block *block;
    fixture_check(&f, sb_builder_pending(&block, f.chain, f.mempool, f.now_ms));
    assert_true(block->is_pending);
    assert_int_equal(block->block.header.number, 1);
    assert_int_equal(block->block.tx_count, 1);
    assert_memory_equal(block->tx_hashes[0].b, hash.b, 32);
    sb_chain_block_release(f.chain, block);
}

static void stored_block_with_false_commit_is_refused_at_restart(void **state)
{
    (void)state;
    fixture_propose(&f);
    struct sb_chain_executed *executed;
    fixture_send(&f, 0, 0);
    struct genuine g;
    sb_bytes encoded = build();
    fixture_check(&f, sb_consensus_block_decode(&g.consensus, &f.arena, encoded, &f.diag));
    fixture_check(&f, sb_chain_execute(&executed, f.chain, encoded, &f.diag));
    struct sb_commit_sig sig = {.flag = SB_COMMIT_BLOCK, .signature = {.len = 64}};
    struct sb_commit commit = {.height = 2,
                               .block_id = sb_consensus_block_id(&g.consensus.header),
                               .sigs = &sig,
                               .sig_count = 1};
    fixture_check(&f, sb_chain_commit_take(f.chain, executed, &commit, &f.diag));
    assert_int_equal(sb_chain_check_block(f.chain, 2, &f.diag), SB_E_CORRUPT);
    fixture_check(&f, sb_chain_check_block(f.chain, 1, &f.diag));
    fixture_close(&f);
    assert_int_equal(fixture_try_open_chain(&f), SB_E_CORRUPT);
    assert_non_null(strstr(f.diag.text, "stored block 2"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(open_writes_genesis_with_its_hash),
        CASE(open_without_samebit_object_is_refused),
        CASE(open_with_other_genesis_is_refused),
        CASE(execute_genuine_is_valid),
        CASE(execute_forged_header_field_is_invalid),
        CASE(execute_forged_consensus_field_is_invalid),
        CASE(execute_forged_last_commit_is_invalid),
        CASE(execute_forged_transaction_is_invalid),
        CASE(execute_garbage_is_invalid),
        CASE(execute_flipped_byte_is_invalid_but_for_the_millisecond),
        CASE(block_by_every_reference_is_the_same),
        CASE(block_loaded_from_disk_equals_the_committed),
        CASE(cache_of_two_blocks_keeps_the_used_and_frees_none_in_use),
        CASE(view_of_an_old_block_keeps_its_state),
        CASE(pending_block_shows_the_pool),
        CASE(stored_block_with_false_commit_is_refused_at_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
