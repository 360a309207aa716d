/* test_tx_gossip.c: transactions between a pool and peers that the test plays. */
#include "tests/unit/node/chain_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/codec/rlp.h"
#include "node/tx_gossip.h"

#define PEERS    4
#define LOG_MAX  256
#define WAIT_TRY 60000

/* What the gossip did, as its callbacks saw it. */
static struct {
    pthread_mutex_t lock;
    size_t txs_sent[PEERS], messages_sent[PEERS];
    sb_hash last[PEERS];
    int offence[PEERS]; /* the last one */
    size_t resumed[PEERS];
} net = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct fixture f;
static struct sb_tx_gossip *gossip;

static bool on_send(void *ctx, sb_peer peer, sb_bytes message)
{
    (void)ctx;
    struct sb_rlp in = sb_rlp_open(message), items;
    (void)pthread_mutex_lock(&net.lock);
    net.messages_sent[peer]++;
    assert_int_equal(sb_rlp_read_list(&items, &in), SB_OK);
    assert_int_equal(sb_rlp_end(&in), SB_OK);
    while (!sb_rlp_done(&items)) {
        sb_bytes raw;
        assert_int_equal(sb_rlp_read_bytes(&raw, &items, SB_TX_BYTES_MAX), SB_OK);
        net.last[peer] = sb_tx_hash(raw);
        net.txs_sent[peer]++;
    }
    (void)pthread_mutex_unlock(&net.lock);
    return true;
}

static void on_report(void *ctx, sb_peer peer, enum sb_offence offence, const char *why)
{
    (void)ctx;
    (void)why;
    (void)pthread_mutex_lock(&net.lock);
    net.offence[peer] = offence;
    (void)pthread_mutex_unlock(&net.lock);
}

static void on_resume(void *ctx, sb_peer peer)
{
    (void)ctx;
    (void)pthread_mutex_lock(&net.lock);
    net.resumed[peer]++;
    (void)pthread_mutex_unlock(&net.lock);
}

static size_t sent_to(sb_peer peer)
{
    (void)pthread_mutex_lock(&net.lock);
    size_t count = net.txs_sent[peer];
    (void)pthread_mutex_unlock(&net.lock);
    return count;
}

static size_t resumed_of(sb_peer peer)
{
    (void)pthread_mutex_lock(&net.lock);
    size_t count = net.resumed[peer];
    (void)pthread_mutex_unlock(&net.lock);
    return count;
}

static int offence_of(sb_peer peer)
{
    (void)pthread_mutex_lock(&net.lock);
    int offence = net.offence[peer];
    (void)pthread_mutex_unlock(&net.lock);
    return offence;
}

/* WAIT_FOR: until a condition holds; fails after 60 s. */
#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        int tries_ = 0;                                                                            \
        while (!(condition) && tries_++ < WAIT_TRY) {                                              \
            (void)usleep(1000);                                                                    \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

/* setup_alone: without the worker. */
static int setup_alone(void **state)
{
    (void)state;
    fixture_init(&f);
    fixture_open(&f);
    for (size_t i = 0; i < PEERS; i++) {
        net.txs_sent[i] = net.messages_sent[i] = net.resumed[i] = 0;
        net.offence[i] = 0;
    }
    const struct sb_tx_gossip_options options = {
        .mempool = f.mempool, .seed = 5, .send = on_send, .report = on_report, .resume = on_resume};
    fixture_check(&f, sb_tx_gossip_new(&gossip, &options, &f.diag));
    return 0;
}

static int setup(void **state)
{
    (void)setup_alone(state);
    fixture_check(&f, sb_tx_gossip_start(gossip, &f.diag));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sb_tx_gossip_free(gossip);
    fixture_close(&f);
    fixture_fini(&f);
    return 0;
}

static sb_bytes signed_tx(int account, uint64_t nonce)
{
    struct sb_tx tx = fixture_tx(&f, account, nonce);
    return fixture_sign(&f, &tx, account);
}

/* receive: one message with these transactions. */
static bool receive(sb_peer peer, const sb_bytes *raws, size_t count)
{
    struct sb_buf message;
    sb_buf_init(&message, (size_t)1 << 20);
    size_t list = sb_rlp_list_begin(&message);
    for (size_t i = 0; i < count; i++) {
        sb_rlp_put_bytes(&message, raws[i]);
    }
    sb_rlp_list_end(&message, list);
    bool taken = sb_tx_gossip_receive(gossip, peer, sb_buf_bytes(&message));
    sb_buf_fini(&message);
    return taken;
}

static void own_transaction_goes_to_every_peer_at_once(void **state)
{
    (void)state;
    sb_tx_gossip_peer_up(gossip, 1);
    sb_tx_gossip_peer_up(gossip, 2);
    sb_hash hash = fixture_send(&f, 0, 0);
    assert_int_equal(sent_to(1), 1); /* the thread that added it sends it: there is no other */
    assert_int_equal(sent_to(2), 1);
    assert_memory_equal(&net.last[1], &hash, sizeof hash);
    assert_memory_equal(&net.last[2], &hash, sizeof hash);
}

static void flood_takes_few_messages(void **state)
{
    (void)state;
    sb_tx_gossip_peer_up(gossip, 1);
    for (uint64_t nonce = 0; nonce < 300; nonce++) {
        (void)fixture_send(&f, 0, nonce);
    }
    WAIT_FOR(sent_to(1) == 300);
    assert_true(net.messages_sent[1] < 300);
}

static void received_transaction_goes_on_but_not_back(void **state)
{
    (void)state;
    sb_tx_gossip_peer_up(gossip, 1);
    sb_tx_gossip_peer_up(gossip, 2);
    sb_bytes raw = signed_tx(0, 0);
    assert_true(receive(1, &raw, 1));
    WAIT_FOR(sent_to(2) == 1);
    assert_int_equal(sent_to(1), 0);
    assert_int_equal(sb_mempool_status(f.mempool).pending, 1);
}

static void known_transaction_is_dropped_unchecked(void **state)
{
    (void)state;
    sb_tx_gossip_peer_up(gossip, 1);
    sb_tx_gossip_peer_up(gossip, 2);
    sb_bytes raw = signed_tx(0, 0);
    assert_true(receive(1, &raw, 1));
    assert_true(receive(2, &raw, 1));
    assert_true(receive(1, &raw, 1));
    WAIT_FOR(sb_tx_gossip_counters(gossip).received == 3);
    assert_int_equal(sb_tx_gossip_counters(gossip).known, 2);
    assert_int_equal(sb_tx_gossip_counters(gossip).refused, 0);
    assert_int_equal(offence_of(1), 0);
}

static void queued_transaction_is_kept_until_its_gap_closes(void **state)
{
    (void)state;
    sb_tx_gossip_peer_up(gossip, 1);
    sb_tx_gossip_peer_up(gossip, 2);
    const sb_bytes raws[] = {signed_tx(0, 1), signed_tx(0, 0)};
    assert_true(receive(1, &raws[0], 1));
    WAIT_FOR(sb_mempool_status(f.mempool).queued == 1);
    assert_int_equal(sent_to(2), 0);
    assert_true(receive(1, &raws[1], 1));
    WAIT_FOR(sent_to(2) == 2);
}

static void false_signature_is_an_offence(void **state)
{
    (void)state;
    sb_tx_gossip_peer_up(gossip, 1);
    struct sb_tx tx = fixture_tx(&f, 0, 0);
    sb_bytes raw = fixture_sign(&f, &tx, 0);
    struct sb_buf forged;
    sb_buf_init(&forged, 4096);
    tx.r = sb_u256_from_u64(0); /* no signature has it */
    sb_tx_encode(&forged, &tx);
    const sb_bytes raws[] = {sb_buf_bytes(&forged), raw};
    assert_true(receive(1, raws, 2));
    WAIT_FOR(offence_of(1) == SB_OFFENCE_INVALID);
    WAIT_FOR(sb_tx_gossip_counters(gossip).received == 1); /* the rest is not looked at */
    assert_int_equal(sb_mempool_status(f.mempool).pending, 0);
    sb_buf_fini(&forged);
}

static void bytes_that_are_no_transactions_are_an_offence(void **state)
{
    (void)state;
    static const char *const k_messages[] = {
        "", "\xc0", "\x01", "\xc1", "\xc2\x01", "\xc1\xc0", "\xc4\x83\x02\x01\x00", "\xc2\x81\x01"};
    for (size_t i = 0; i < sizeof k_messages / sizeof k_messages[0]; i++) {
        on_report(NULL, 1, 0, "");
        sb_tx_gossip_peer_up(gossip, 1);
        assert_true(sb_tx_gossip_receive(gossip, 1, sb_span_str(k_messages[i])));
        WAIT_FOR(offence_of(1) == SB_OFFENCE_PROTOCOL);
        sb_tx_gossip_peer_down(gossip, 1);
    }
}

static void refusals_without_end_are_an_offence(void **state)
{
    (void)state;
    sb_bytes raws[SB_TX_GOSSIP_REFUSALS_MAX];
    sb_tx_gossip_peer_up(gossip, 1);
    for (size_t i = 0; i < SB_TX_GOSSIP_REFUSALS_MAX; i++) {
        struct sb_tx tx = fixture_tx(&f, 0, i);
        tx.value = fixture_gwei(UINT32_MAX);
        tx.value = sb_u256_mul(&tx.value, &tx.value); /* more than anybody has */
        raws[i] = fixture_sign(&f, &tx, 0);
    }
    assert_true(receive(1, raws, SB_TX_GOSSIP_REFUSALS_MAX - 1));
    WAIT_FOR(sb_tx_gossip_counters(gossip).refused == SB_TX_GOSSIP_REFUSALS_MAX - 1);
    assert_int_equal(offence_of(1), 0);
    assert_true(receive(1, raws + SB_TX_GOSSIP_REFUSALS_MAX - 1, 1));
    WAIT_FOR(offence_of(1) == SB_OFFENCE_WASTE);
}

static uint64_t refused_or_dropped(void)
{
    struct sb_tx_gossip_counters counters = sb_tx_gossip_counters(gossip);
    return counters.refused + counters.dropped;
}

/* Each refusal costs the check of a signature: of one peer only so many are made. */
static void refused_transactions_of_a_peer_have_a_rate(void **state)
{
    (void)state;
    static sb_bytes raws[8 * 1024];
    const size_t count = sizeof raws / sizeof raws[0];
    struct sb_tx tx = fixture_tx(&f, 0, 0);
    tx.value = fixture_gwei(UINT32_MAX);
    tx.value = sb_u256_mul(&tx.value, &tx.value); /* more than anybody has */
    raws[0] = fixture_sign(&f, &tx, 0);
    for (size_t i = 1; i < count; i++) {
        raws[i] = raws[0];
    }
    struct timespec begun, ended;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &begun), 0);
    sb_tx_gossip_peer_up(gossip, 1);
    sb_tx_gossip_peer_up(gossip, 2);
    for (size_t i = 0; i < 8; i++) {
        while (!receive(1, raws + i * (count / 8), count / 8)) {
            (void)usleep(1000);
        }
    }
    WAIT_FOR(refused_or_dropped() == count); /* after it was received */
    struct sb_tx_gossip_counters counters = sb_tx_gossip_counters(gossip);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ended), 0);
    uint64_t seconds = (uint64_t)(ended.tv_sec - begun.tv_sec) + 1;
    assert_int_equal(counters.received, count);
    assert_true(counters.refused <=
                SB_TX_GOSSIP_REFUSED_BURST + 1 + seconds * SB_TX_GOSSIP_REFUSED_PER_S);
    /* others have an account of their own */
    sb_bytes other = signed_tx(1, 0);
    assert_true(receive(2, &other, 1));
    WAIT_FOR(sent_to(1) == 1);
}

static void new_peer_is_told_of_what_is_pending(void **state)
{
    (void)state;
    (void)fixture_send(&f, 0, 0);
    (void)fixture_send(&f, 1, 0);
    (void)fixture_send(&f, 2, 5); /* behind a gap */
    sb_tx_gossip_peer_up(gossip, 3);
    WAIT_FOR(sent_to(3) == 2);
    sb_tx_gossip_peer_up(gossip, 1);
    WAIT_FOR(sent_to(1) == 2);
    (void)usleep(5 * SB_TX_GOSSIP_FLUSH_MS * 1000);
    assert_int_equal(sent_to(3), 2); /* once */
}

static void peer_that_sends_too_much_waits_and_is_resumed(void **state)
{
    (void)state;
    static sb_bytes raws[2000];
    size_t messages = 0;
    for (size_t i = 0; i < 2000; i++) {
        raws[i] = signed_tx(0, i);
    }
    sb_tx_gossip_peer_up(gossip, 1);
    while (receive(1, raws, 2000)) {
        messages++;
        assert_true(messages < 100);
    }
    assert_int_equal(resumed_of(1), 0);
    fixture_check(&f, sb_tx_gossip_start(gossip, &f.diag)); /* slower than the peer: not before */
    WAIT_FOR(resumed_of(1) == 1);
    WAIT_FOR(sb_tx_gossip_counters(gossip).received == 2000 * messages);
    assert_int_equal(resumed_of(1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(own_transaction_goes_to_every_peer_at_once, setup_alone,
                                        teardown),
        cmocka_unit_test_setup_teardown(flood_takes_few_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(received_transaction_goes_on_but_not_back, setup, teardown),
        cmocka_unit_test_setup_teardown(known_transaction_is_dropped_unchecked, setup, teardown),
        cmocka_unit_test_setup_teardown(queued_transaction_is_kept_until_its_gap_closes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(false_signature_is_an_offence, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_transactions_are_an_offence, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(refusals_without_end_are_an_offence, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_transactions_of_a_peer_have_a_rate, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(new_peer_is_told_of_what_is_pending, setup, teardown),
        cmocka_unit_test_setup_teardown(peer_that_sends_too_much_waits_and_is_resumed, setup_alone,
                                        teardown),
    };
    return cmocka_run_group_tests_name("tx_gossip", tests, NULL, NULL);
}
