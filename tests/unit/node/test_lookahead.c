/* test_lookahead.c: inferences of waiting transactions are computed before their block, within bounds, and change nothing.
 *
 *      side 0: a look-ahead on its chain and pool          side 1: none          the same transactions, the same blocks, byte for byte */
#include "tests/unit/node/model_fixture.h"

#include "node/lookahead.h"

#define ROUNDS        12
#define WAIT_MS       60000
#define INPUTS        5 /* few, so that some come again */
#define BURNED_GAS    UINT64_C(4000000)
#define SETTLED_TICKS 10

static struct side sides[2];
static struct sb_lookahead *ahead;

static int setup(void **state)
{
    (void)state;
    side_init(&sides[0]);
    side_init(&sides[1]);
    struct fixture *f = &sides[0].n.f;
    fixture_check(f, sb_lookahead_new(&ahead, f->chain, f->mempool, &f->diag));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sb_lookahead_stop(ahead);
    sb_lookahead_stop(ahead);
    side_fini(&sides[0]);
    side_fini(&sides[1]);
    sb_lookahead_free(ahead);
    return 0;
}

static uint64_t random_below(uint64_t *seed, uint64_t bound)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (*seed >> 33) % bound;
}

/* both: a block of each side; they are the same, and both accept it. */
static void both(void)
{
    sb_bytes first = net_build(&sides[0].n);
    sb_bytes second = net_build(&sides[1].n);
    assert_true(sb_span_equal(first, second));
    net_accept(&sides[0].n, first);
    net_accept(&sides[1].n, second);
}

static void wait_for(uint64_t transactions)
{
    for (int ms = 0; ms < WAIT_MS; ms++) {
        if (sb_lookahead_stats(ahead).transactions >= transactions) {
            return;
        }
        (void)usleep(1000);
    }
    fail_msg("%llu transactions were not run ahead", (unsigned long long)transactions);
}

static void send_transfer(void)
{
    uint64_t nonce = sides[0].next_nonce++;
    for (size_t i = 0; i < 2; i++) {
        (void)fixture_send(&sides[i].n.f, 0, nonce);
    }
}

static void blocks_are_the_same_with_it_and_without(void **state)
{
    (void)state;
    uint64_t seed = 20261123;
    struct sb_buf file;
    struct sb_model *model;
    struct fixture *f = &sides[0].n.f;
    compile_example(&file, "digits_cnn.onnx", "digits_cnn_rows.npz");
    fixture_check(f, sb_model_load(&model, sb_buf_bytes(&file), &f->diag));
    size_t input_len = (size_t)sb_model_info(model)->input_bytes;
    sb_model_free(model);
    sb_hash id = deploy(sides, 2, both, sb_buf_bytes(&file));
    sb_buf_fini(&file);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t done = sb_lookahead_stats(ahead).transactions;
        uint64_t inferences = 0, count = 1 + random_below(&seed, 6);
        for (uint64_t i = 0; i < count; i++) {
            if (random_below(&seed, 4) == 0) {
                send_transfer();
                continue;
            }
            uint8_t *input = sb_arena_zalloc(&f->arena, input_len);
            input[0] = (uint8_t)random_below(&seed, INPUTS);
            send_inference(sides, 2, &id, sb_span(input, input_len));
            inferences++;
        }
        wait_for(done + count);
        struct sb_memo_stats before = sb_inference_stats(f->inference).memo;
        both();
        struct sb_memo_stats after = sb_inference_stats(f->inference).memo;
        assert_int_equal(after.miss_count, before.miss_count);                /* all was known */
        assert_int_equal(after.hit_count, before.hit_count + 2 * inferences); /* built, judged */
    }
    struct sb_inference_stats stats = sb_inference_stats(f->inference);
    assert_int_equal(stats.memo.entry_count, INPUTS);
    assert_int_equal(stats.call_memo.entry_count, 0);
}

/* send_burner: a creation that uses all of its gas. */
static void send_burner(uint64_t nonce)
{
    static const uint8_t for_ever[] = {0x5b, 0x5f, 0x56}; /* JUMPDEST PUSH0 JUMP */
    struct fixture *f = &sides[0].n.f;
    struct sb_tx tx = fixture_tx(f, 0, nonce);
    tx.is_create = true;
    tx.value = (sb_u256){{0}};
    tx.gas_limit = BURNED_GAS;
    tx.data = sb_span(for_ever, sizeof for_ever);
    fixture_check(f, fixture_add(f, &tx, 0, NULL));
}

static void one_head_gets_the_gas_of_one_block(void **state)
{
    (void)state;
    struct fixture *f = &sides[0].n.f;
    const uint64_t limit = sb_chain_params(f->chain).gas_limit;
    const uint64_t fit = limit / BURNED_GAS;
    for (uint64_t nonce = 0; nonce < 2 * fit; nonce++) {
        send_burner(nonce);
    }
    wait_for(fit);
    for (int i = 0; i < SETTLED_TICKS; i++) { /* more of them change nothing */
        send_burner(2 * fit + (uint64_t)i);
        (void)usleep(25000);
    }
    struct sb_lookahead_stats stats = sb_lookahead_stats(ahead);
    assert_int_equal(stats.transactions, fit);
    assert_int_equal(stats.gas, fit * BURNED_GAS);
    assert_int_equal(stats.heads, 1);
    (void)net_step(&sides[0].n);
    wait_for(2 * fit); /* the next head has its own */
    stats = sb_lookahead_stats(ahead);
    assert_int_equal(stats.heads, 2);
    assert_true(stats.head_gas <= limit);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(blocks_are_the_same_with_it_and_without),
        CASE(one_head_gets_the_gas_of_one_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
