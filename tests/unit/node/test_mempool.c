/* test_mempool.c: admission, order, replacement, bounds, and the pool's way along the chain. */
#include "tests/unit/node/chain_fixture.h"

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"

static struct fixture f;

static void open_with(struct sb_mempool_options options)
{
    fixture_init(&f);
    f.mempool_options = options;
    fixture_open(&f);
}

static int setup(void **state)
{
    (void)state;
    open_with((struct sb_mempool_options){.count_max = 0});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_fini(&f);
    return 0;
}

static void expect_refusal(struct sb_tx *tx, int account, sb_err err, const char *text)
{
    sb_err got = fixture_add(&f, tx, account, NULL);
    assert_int_equal(got, err);
    if (strncmp(f.diag.text, text, strlen(text)) != 0) {
        print_error("expected \"%s...\", got \"%s\"\n", text, f.diag.text);
        fail();
    }
}

static void expect_counts(size_t pending, size_t queued)
{
    struct sb_mempool_status status = sb_mempool_status(f.mempool);
    assert_int_equal(status.pending, pending);
    assert_int_equal(status.queued, queued);
}

/* ---- admission ---- */

static void add_valid_is_pending_and_found(void **state)
{
    (void)state;
    sb_hash hash = fixture_send(&f, 0, 0);
    expect_counts(1, 0);
    const struct sb_pool_tx *tx;
    bool queued = true;
    assert_int_equal(sb_mempool_get(&tx, &queued, f.mempool, &hash), SB_OK);
    assert_false(queued);
    assert_true(sb_addr_equal(&tx->sender, &f.addrs[0]));
    sb_hash again = sb_keccak256(tx->raw);
    assert_true(sb_hash_equal(&again, &hash));
    sb_pool_tx_release(tx);
    assert_int_equal(sb_mempool_nonce(f.mempool, &f.addrs[0], 0), 1);
    assert_int_equal(sb_mempool_nonce(f.mempool, &f.addrs[1], 7), 7);
}

static void add_twice_is_already_known(void **state)
{
    (void)state;
    sb_hash hash = fixture_send(&f, 0, 0);
    struct sb_tx tx = fixture_tx(&f, 0, 0);
    sb_hash second;
    assert_int_equal(fixture_add(&f, &tx, 0, &second), SB_E_EXISTS);
    assert_string_equal(f.diag.text, "already known");
    assert_true(sb_hash_equal(&hash, &second));
}

static void add_garbage_is_refused(void **state)
{
    (void)state;
    static const uint8_t garbage[] = {0xf8, 0x01, 0x02};
    sb_hash hash;
    assert_int_not_equal(
        sb_mempool_add(f.mempool, sb_span(garbage, sizeof garbage), &hash, &f.diag), SB_OK);
    assert_int_not_equal(sb_mempool_add(f.mempool, sb_span(NULL, 0), &hash, &f.diag), SB_OK);
    uint8_t *huge = calloc(1, SB_TX_BYTES_MAX + 1);
    assert_int_equal(sb_mempool_add(f.mempool, sb_span(huge, SB_TX_BYTES_MAX + 1), &hash, &f.diag),
                     SB_E_ARG);
    assert_non_null(strstr(f.diag.text, "oversized data"));
    free(huge);
}

static void add_nonce_too_low_is_refused(void **state)
{
    (void)state;
    fixture_send(&f, 0, 0);
    fixture_propose(&f);
    struct sb_tx tx = fixture_tx(&f, 0, 0);
    tx.value = sb_u256_from_u64(2);
    expect_refusal(&tx, 0, SB_E_ARG, "nonce too low: next nonce 1, tx nonce 0");
}

static void add_without_funds_is_refused(void **state)
{
    (void)state;
    struct sb_tx tx = fixture_tx(&f, 0, 0);
    sb_u256 ether = sb_u256_from_u64(UINT64_C(1000000000000000000));
    sb_u256 count = sb_u256_from_u64(100);
    tx.value = sb_u256_mul(&ether, &count);
    expect_refusal(&tx, 0, SB_E_ARG,
                   "insufficient funds for gas * price + value: balance 100000000000000000000, "
                   "tx cost 100000210000000000000, overshot 210000000000000");
}

static void add_sum_over_funds_is_refused(void **state)
{
    (void)state;
    struct sb_tx tx = fixture_tx(&f, 0, 0);
    sb_u256 ether = sb_u256_from_u64(UINT64_C(1000000000000000000));
    sb_u256 count = sb_u256_from_u64(60);
    tx.value = sb_u256_mul(&ether, &count);
    fixture_check(&f, fixture_add(&f, &tx, 0, NULL));
    tx.nonce = 1;
    expect_refusal(&tx, 0, SB_E_ARG, "insufficient funds for gas * price + value: balance");
    assert_non_null(strstr(f.diag.text, "queued cost"));
}

static void add_static_faults_are_refused_with_known_words(void **state)
{
    (void)state;
    struct sb_tx tx = fixture_tx(&f, 0, 0);
    tx.gas_limit = 20999;
    expect_refusal(&tx, 0, SB_E_ARG, "intrinsic gas too low: gas 20999, minimum needed 21000");
    tx = fixture_tx(&f, 0, 0);
    tx.gas_limit = (UINT64_C(1) << 24) + 1;
    expect_refusal(&tx, 0, SB_E_ARG, "transaction gas limit too high");
    tx = fixture_tx(&f, 0, 0);
    tx.max_priority_fee = fixture_gwei(11);
    expect_refusal(&tx, 0, SB_E_ARG, "max priority fee per gas higher than max fee per gas");
    tx = fixture_tx(&f, 0, 0);
    tx.chain_id = 1;
    expect_refusal(&tx, 0, SB_E_ARG, "invalid chain id for signer");
    static const sb_hash blob = {.b = {1}};
    tx = fixture_tx(&f, 0, 0);
    tx.type = SB_TX_BLOB;
    tx.blob_hashes = &blob;
    tx.blob_hash_count = 1;
    tx.max_fee_per_blob_gas = sb_u256_from_u64(1);
    expect_refusal(&tx, 0, SB_E_ARG, "transaction type not supported");
    expect_counts(0, 0);
}

/* ---- order ---- */

static void add_gap_is_queued_until_closed(void **state)
{
    (void)state;
    fixture_send(&f, 0, 1);
    fixture_send(&f, 0, 2);
    expect_counts(0, 2);
    sb_u256 base_fee = sb_chain_next_base_fee(f.chain);
    assert_false(sb_mempool_has_ready(f.mempool, &base_fee));
    assert_int_equal(sb_mempool_nonce(f.mempool, &f.addrs[0], 0), 0);
    fixture_send(&f, 0, 0);
    expect_counts(3, 0);
    assert_true(sb_mempool_has_ready(f.mempool, &base_fee));
    assert_int_equal(sb_mempool_nonce(f.mempool, &f.addrs[0], 0), 3);
}

static void picker_orders_by_tip_then_arrival_within_nonces(void **state)
{
    (void)state;
    static const struct {
        int account;
        uint64_t nonce, tip_gwei;
    } sent[] = {{0, 0, 1}, {0, 1, 8}, {1, 0, 3}, {2, 0, 3}, {1, 1, 5}};
    static const int expected[] = {2, 4, 3, 0, 1};
    sb_hash hashes[5];
    for (size_t i = 0; i < 5; i++) {
        struct sb_tx tx = fixture_tx(&f, sent[i].account, sent[i].nonce);
        tx.max_priority_fee = fixture_gwei(sent[i].tip_gwei);
        fixture_check(&f, fixture_add(&f, &tx, sent[i].account, &hashes[i]));
    }
    sb_u256 base_fee = sb_chain_next_base_fee(f.chain);
    struct sb_mempool_picker *picker = sb_mempool_pick(f.mempool, &base_fee);
    assert_non_null(picker);
    for (size_t i = 0; i < 5; i++) {
        const struct sb_pool_tx *tx = sb_mempool_picker_peek(picker);
        assert_non_null(tx);
        assert_memory_equal(tx->hash.b, hashes[expected[i]].b, 32);
        sb_mempool_picker_next(picker);
    }
    assert_null(sb_mempool_picker_peek(picker));
    sb_mempool_picker_free(picker);
}

static void picker_leaves_out_what_cannot_pay(void **state)
{
    (void)state;
    struct sb_tx tx = fixture_tx(&f, 0, 0);
    tx.max_fee = sb_u256_from_u64(1);
    tx.max_priority_fee = sb_u256_from_u64(1);
    fixture_check(&f, fixture_add(&f, &tx, 0, NULL));
    fixture_send(&f, 0, 1);
    sb_u256 base_fee = sb_chain_next_base_fee(f.chain);
    assert_false(sb_mempool_has_ready(f.mempool, &base_fee));
    struct sb_mempool_picker *picker = sb_mempool_pick(f.mempool, &base_fee);
    assert_null(sb_mempool_picker_peek(picker));
    sb_mempool_picker_free(picker);
}

/* ---- replacement ---- */

static void replace_needs_ten_percent_on_both_fees(void **state)
{
    (void)state;
    fixture_send(&f, 0, 0);
    struct sb_tx tx = fixture_tx(&f, 0, 0);
    tx.value = sb_u256_from_u64(5);
    expect_refusal(&tx, 0, SB_E_ARG, "replacement transaction underpriced");
    tx.max_fee = sb_u256_from_u64(11000000000);
    expect_refusal(&tx, 0, SB_E_ARG, "replacement transaction underpriced");
    tx.max_priority_fee = sb_u256_from_u64(2199999999);
    expect_refusal(&tx, 0, SB_E_ARG, "replacement transaction underpriced");
    tx.max_priority_fee = sb_u256_from_u64(2200000000);
    sb_hash hash;
    fixture_check(&f, fixture_add(&f, &tx, 0, &hash));
    expect_counts(1, 0);
    const struct sb_pool_tx *found;
    assert_int_equal(sb_mempool_get(&found, NULL, f.mempool, &hash), SB_OK);
    sb_pool_tx_release(found);
}

static void replace_in_the_middle_keeps_later_ones_pending(void **state)
{
    (void)state;
    fixture_send(&f, 0, 0);
    fixture_send(&f, 0, 1);
    fixture_send(&f, 0, 2);
    struct sb_tx tx = fixture_tx(&f, 0, 1);
    tx.max_fee = fixture_gwei(20);
    tx.max_priority_fee = fixture_gwei(4);
    fixture_check(&f, fixture_add(&f, &tx, 0, NULL));
    expect_counts(3, 0);
}

/* ---- bounds ---- */

static void full_pool_gives_up_the_cheapest(void **state)
{
    (void)state;
    fixture_fini(&f);
    open_with((struct sb_mempool_options){.count_max = 3});
    sb_hash hashes[3];
    for (int i = 0; i < 3; i++) {
        struct sb_tx tx = fixture_tx(&f, i, 0);
        tx.max_priority_fee = fixture_gwei((uint64_t)i + 2);
        fixture_check(&f, fixture_add(&f, &tx, i, &hashes[i]));
    }
    struct sb_tx tx = fixture_tx(&f, 3, 0);
    tx.max_priority_fee = fixture_gwei(1);
    expect_refusal(&tx, 3, SB_E_LIMIT, "transaction underpriced");
    tx.max_priority_fee = fixture_gwei(3);
    fixture_check(&f, fixture_add(&f, &tx, 3, NULL));
    expect_counts(3, 0);
    const struct sb_pool_tx *gone;
    assert_int_equal(sb_mempool_get(&gone, NULL, f.mempool, &hashes[0]), SB_E_NOT_FOUND);
}

static void full_pool_of_one_sender_is_full(void **state)
{
    (void)state;
    fixture_fini(&f);
    open_with((struct sb_mempool_options){.count_max = 2});
    fixture_send(&f, 0, 0);
    fixture_send(&f, 0, 1);
    struct sb_tx tx = fixture_tx(&f, 0, 2);
    expect_refusal(&tx, 0, SB_E_LIMIT, "txpool is full");
}

static void sender_over_its_share_is_refused(void **state)
{
    (void)state;
    fixture_fini(&f);
    open_with((struct sb_mempool_options){.per_sender_max = 2});
    fixture_send(&f, 0, 0);
    fixture_send(&f, 0, 1);
    struct sb_tx tx = fixture_tx(&f, 0, 2);
    expect_refusal(&tx, 0, SB_E_LIMIT, "account limit exceeded");
}

static void bytes_over_the_bound_give_up_others(void **state)
{
    (void)state;
    fixture_fini(&f);
    open_with((struct sb_mempool_options){.bytes_max = 300});
    fixture_send(&f, 0, 0);
    fixture_send(&f, 1, 0);
    struct sb_tx tx = fixture_tx(&f, 2, 0);
    tx.max_priority_fee = fixture_gwei(5);
    fixture_check(&f, fixture_add(&f, &tx, 2, NULL));
    assert_true(sb_mempool_status(f.mempool).bytes <= 300);
    expect_counts(2, 0);
}

/* ---- along the chain ---- */

static void block_takes_its_transactions_out(void **state)
{
    (void)state;
    fixture_send(&f, 0, 0);
    fixture_send(&f, 0, 1);
    fixture_send(&f, 1, 0);
    fixture_send(&f, 1, 2);
    fixture_propose(&f);
    expect_counts(0, 1);
    assert_int_equal(sb_mempool_nonce(f.mempool, &f.addrs[0], 2), 2);
    fixture_send(&f, 1, 1);
    expect_counts(2, 0);
}

static void drop_makes_later_ones_queued(void **state)
{
    (void)state;
    sb_hash hash = fixture_send(&f, 0, 0);
    fixture_send(&f, 0, 1);
    sb_mempool_drop(f.mempool, &hash);
    expect_counts(0, 1);
}

static void content_is_ordered_by_sender_and_nonce(void **state)
{
    (void)state;
    fixture_send(&f, 1, 1);
    fixture_send(&f, 0, 0);
    fixture_send(&f, 1, 0);
    fixture_send(&f, 0, 5);
    const struct sb_mempool_entry *entries;
    size_t count;
    assert_int_equal(sb_mempool_content(&entries, &count, &f.arena, f.mempool, NULL), SB_OK);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            int order = memcmp(entries[i - 1].tx->sender.b, entries[i].tx->sender.b, 20);
            assert_true(order < 0 ||
                        (order == 0 && entries[i - 1].tx->tx.nonce < entries[i].tx->tx.nonce));
        }
        assert_int_equal(entries[i].queued, entries[i].tx->tx.nonce == 5);
    }
    for (size_t i = 0; i < count; i++) {
        sb_pool_tx_release(entries[i].tx);
    }
    assert_int_equal(sb_mempool_content(&entries, &count, &f.arena, f.mempool, &f.addrs[1]), SB_OK);
    assert_int_equal(count, 2);
    sb_pool_tx_release(entries[0].tx);
    sb_pool_tx_release(entries[1].tx);
}

static void count_news(void *ctx, const struct sb_pool_tx *tx)
{
    (void)tx;
    ++*(unsigned *)ctx;
}

static void subscribers_hear_of_each_pending_once(void **state)
{
    (void)state;
    unsigned count = 0;
    assert_int_equal(sb_mempool_subscribe(f.mempool, count_news, &count), SB_OK);
    fixture_send(&f, 0, 1);
    assert_int_equal(count, 0);
    fixture_send(&f, 0, 0);
    assert_int_equal(count, 2);
    fixture_send(&f, 0, 2);
    assert_int_equal(count, 3);
    fixture_propose(&f);
    assert_int_equal(count, 3);
}

/* ---- EIP-7702 ---- */

static void delegate(int account, uint64_t nonce)
{
    struct sb_authorization authorization = {
        .chain_id = sb_u256_from_u64(FIXTURE_CHAIN_ID), .addr = f.addrs[3], .nonce = nonce + 1};
    uint8_t secret[32];
    fixture_secret(secret, account);
    struct sb_buf buf;
    sb_buf_init(&buf, 256);
    sb_buf_add_byte(&buf, 0x05);
    size_t list = sb_rlp_list_begin(&buf);
    sb_rlp_put_u256(&buf, &authorization.chain_id);
    sb_rlp_put_addr(&buf, &authorization.addr);
    sb_rlp_put_u64(&buf, authorization.nonce);
    sb_rlp_list_end(&buf, list);
    sb_hash hash = sb_keccak256(sb_buf_bytes(&buf));
    sb_buf_fini(&buf);
    struct sb_secp256k1 *keys = sb_secp256k1_new(NULL);
    struct sb_secp256k1_signature signature;
    assert_int_equal(sb_secp256k1_sign(&signature, keys, secret, &hash), SB_OK);
    sb_secp256k1_free(keys);
    authorization.y_parity = signature.recovery_id;
    authorization.r = sb_u256_load_be(signature.rs, 32);
    authorization.s = sb_u256_load_be(signature.rs + 32, 32);
    struct sb_tx tx = fixture_tx(&f, account, nonce);
    tx.type = SB_TX_SET_CODE;
    tx.gas_limit = 100000;
    tx.authorizations = &authorization;
    tx.authorization_count = 1;
    fixture_check(&f, fixture_add(&f, &tx, account, NULL));
    fixture_propose(&f);
}

static void delegated_sender_has_one_transaction_in_flight(void **state)
{
    (void)state;
    delegate(0, 0);
    struct sb_tx gap = fixture_tx(&f, 0, 3);
    expect_refusal(&gap, 0, SB_E_ARG, "gapped-nonce tx from delegated accounts");
    fixture_send(&f, 0, 2);
    struct sb_tx second = fixture_tx(&f, 0, 3);
    expect_refusal(&second, 0, SB_E_LIMIT,
                   "in-flight transaction limit reached for delegated accounts");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(add_valid_is_pending_and_found),
        CASE(add_twice_is_already_known),
        CASE(add_garbage_is_refused),
        CASE(add_nonce_too_low_is_refused),
        CASE(add_without_funds_is_refused),
        CASE(add_sum_over_funds_is_refused),
        CASE(add_static_faults_are_refused_with_known_words),
        CASE(add_gap_is_queued_until_closed),
        CASE(picker_orders_by_tip_then_arrival_within_nonces),
        CASE(picker_leaves_out_what_cannot_pay),
        CASE(replace_needs_ten_percent_on_both_fees),
        CASE(replace_in_the_middle_keeps_later_ones_pending),
        CASE(full_pool_gives_up_the_cheapest),
        CASE(full_pool_of_one_sender_is_full),
        CASE(sender_over_its_share_is_refused),
        CASE(bytes_over_the_bound_give_up_others),
        CASE(block_takes_its_transactions_out),
        CASE(drop_makes_later_ones_queued),
        CASE(content_is_ordered_by_sender_and_nonce),
        CASE(subscribers_hear_of_each_pending_once),
        CASE(delegated_sender_has_one_transaction_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
