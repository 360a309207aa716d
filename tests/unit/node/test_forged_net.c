/* test_forged_net.c: four validators with real chains and real drivers; one forges the result of an inference when its turn to propose
 * comes. The others vote nil, the round moves on, an honest block is decided, and the chain goes on without the forger, whose own
 * execution differs from what more than two thirds decided.
 *
 *      members joined by a queue of messages, virtual time; timers run out when nothing else happens */
#include "node/driver.h"
#include "tests/unit/node/model_fixture.h"

#define MEMBERS   NET_VALIDATORS
#define QUEUE_MAX 1024
#define TIMERS    3

struct packet {
    size_t to;
    struct sb_bft_message message;
    uint8_t *block; /* owned */
    size_t block_len;
};

struct timer {
    bool is_set;
    uint64_t at_ms, height;
    int32_t round;
};

struct member {
    size_t index;
    struct side *side;
    struct sb_journal *journal;
    struct sb_local_signer signer;
    struct sb_driver *driver;
    struct timer timers[TIMERS];
    int32_t decided_round;
    sb_err failed;
    struct sb_diag diag;
};

static struct side sides[MEMBERS];
static struct member members[MEMBERS];
static struct packet queue[QUEUE_MAX];
static size_t queue_head, queue_count;
static uint64_t now_ms;
static bool is_deaf;  /* the forger hears no precommits */
static size_t forger; /* nobody waits for it; MEMBERS: there is none */

/* ---- what drivers need ---- */

static uint64_t member_now(void *ctx)
{
    (void)ctx;
    return now_ms;
}

static void member_set_timer(void *ctx, enum sb_bft_timeout kind, uint64_t height, int32_t round,
                             uint64_t delay_ms)
{
    struct member *m = ctx;
    m->timers[kind] = (struct timer){
        .is_set = true, .at_ms = now_ms + delay_ms, .height = height, .round = round};
}

static void member_cancel_timers(void *ctx)
{
    memset(((struct member *)ctx)->timers, 0, sizeof members[0].timers);
}

static void member_send(void *ctx, const struct sb_bft_message *message, sb_bytes block)
{
    const struct member *m = ctx;
    for (size_t i = 0; i < MEMBERS; i++) {
        if (i == m->index) {
            continue;
        }
        assert_true(queue_count < QUEUE_MAX);
        struct packet *packet = &queue[(queue_head + queue_count++) % QUEUE_MAX];
        *packet = (struct packet){.to = i, .message = *message, .block_len = block.len};
        packet->block = malloc(block.len + 1);
        assert_non_null(packet->block);
        sb_copy(packet->block, block.data, block.len);
    }
}

static void member_fetch(void *ctx, uint64_t height, int32_t round, const sb_hash *block_id)
{
    (void)ctx;
    (void)height;
    (void)round;
    (void)block_id;
}

static void member_committed(void *ctx, const struct sb_commit *commit)
{
    ((struct member *)ctx)->decided_round = commit->round;
}

static void member_open(struct member *m, size_t index)
{
    struct fixture *f = &sides[index].n.f;
    struct sb_journal_recovery recovery;
    struct sb_journal_identity identity = {.genesis_hash = sb_chain_domain(f->chain)->genesis_hash};
    *m = (struct member){.index = index, .side = &sides[index]};
    memcpy(identity.public_key, m->side->n.keys[index].bytes, sizeof identity.public_key);
    fixture_check(f, sb_journal_open_folder(&m->journal, f->journal_dir, &identity, true, &recovery,
                                            &f->diag));
    m->signer.journal = m->journal;
    memcpy(m->signer.secret, m->side->n.secrets[index], sizeof m->signer.secret);
    const struct sb_driver_options options = {.app = m->side->n.table,
                                              .journal = m->journal,
                                              .signer = sb_local_signer(&m->signer),
                                              .own_key = m->side->n.keys[index],
                                              .timeouts = sb_bft_timeouts_default(),
                                              .verifier = sb_verifier_ed25519(),
                                              .host = {.ctx = m,
                                                       .now_ms = member_now,
                                                       .set_timer = member_set_timer,
                                                       .cancel_timers = member_cancel_timers,
                                                       .send = member_send,
                                                       .fetch = member_fetch,
                                                       .committed = member_committed}};
    fixture_check(f, sb_driver_new(&m->driver, &options, &f->diag));
    fixture_check(f, sb_driver_resume(m->driver, &f->diag));
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < MEMBERS; i++) {
        side_init(&sides[i]);
        member_open(&members[i], i);
    }
    now_ms = sides[0].n.f.now_ms;
    forger = MEMBERS;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < MEMBERS; i++) {
        sb_driver_free(members[i].driver);
        sb_journal_close(members[i].journal);
        side_fini(&sides[i]);
    }
    for (; queue_count != 0; queue_count--) {
        free(queue[queue_head].block);
        queue_head = (queue_head + 1) % QUEUE_MAX;
    }
    return 0;
}

/* ---- what happens ---- */

/* hand: false: it came too early. */
static bool hand(struct member *m, const struct packet *packet)
{
    enum sb_driver_taken taken = SB_TAKEN_NEW;
    bool is_precommit =
        !packet->message.is_proposal && packet->message.as.vote.type == SB_VOTE_PRECOMMIT;
    if (m->failed != SB_OK || (is_deaf && m->index == forger && is_precommit)) {
        return true;
    }
    if (!packet->message.is_proposal) {
        m->failed = sb_driver_vote(&taken, m->driver, &packet->message.as.vote, &m->diag);
    } else {
        const struct sb_proposal *proposal = &packet->message.as.proposal;
        m->failed = sb_driver_proposal(&taken, m->driver, proposal, &m->diag);
        if (m->failed == SB_OK && taken == SB_TAKEN_NEW) {
            m->failed = sb_driver_block(&taken, m->driver, &proposal->block_id,
                                        sb_span(packet->block, packet->block_len), &m->diag);
        }
    }
    return m->failed != SB_OK || taken != SB_TAKEN_EARLY;
}

/* deliver_all: what comes too early waits until something else has happened. */
static void deliver_all(void)
{
    bool has_happened = true;
    while (has_happened) {
        has_happened = false;
        for (size_t left = queue_count; left > 0; left--) {
            struct packet packet = queue[queue_head];
            queue_head = (queue_head + 1) % QUEUE_MAX;
            queue_count--;
            if (hand(&members[packet.to], &packet)) {
                free(packet.block);
                has_happened = true;
            } else {
                assert_true(queue_count < QUEUE_MAX);
                queue[(queue_head + queue_count++) % QUEUE_MAX] = packet;
            }
        }
    }
}

static void run_earliest_timer(void)
{
    struct member *next = NULL;
    int kind = 0;
    for (size_t i = 0; i < MEMBERS; i++) {
        for (int k = 0; k < TIMERS; k++) {
            const struct timer *t = &members[i].timers[k];
            if (members[i].failed == SB_OK && t->is_set &&
                (next == NULL || t->at_ms < next->timers[kind].at_ms)) {
                next = &members[i];
                kind = k;
            }
        }
    }
    assert_non_null(next);
    struct timer timer = next->timers[kind];
    next->timers[kind].is_set = false;
    now_ms = timer.at_ms > now_ms ? timer.at_ms : now_ms;
    next->failed = sb_driver_timeout(next->driver, (enum sb_bft_timeout)kind, timer.height,
                                     timer.round, &next->diag);
}

static bool is_done(uint64_t height)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        if (i != forger && net_head(&sides[i].n).height < height) {
            return false;
        }
    }
    return true;
}

/* run_height: the next height, by all but a forger that has fallen behind. */
static void run_height(void)
{
    uint64_t height = 0;
    now_ms += 1000;
    for (size_t i = 0; i < MEMBERS; i++) {
        if (members[i].failed == SB_OK && sb_driver_is_idle(members[i].driver)) {
            height = net_head(&sides[i].n).height + 1;
            fixture_check(&sides[i].n.f,
                          sb_driver_start_height(members[i].driver, &sides[i].n.f.diag));
        }
    }
    deliver_all();
    for (unsigned timers = 0; !is_done(height); timers++) {
        assert_true(timers < 100);
        run_earliest_timer();
        deliver_all();
    }
}

static void run_sound_height(void)
{
    run_height();
    for (size_t i = 0; i < MEMBERS; i++) {
        if (members[i].failed != SB_OK) {
            fail_msg("member %zu: %s", i, members[i].diag.text);
        }
        assert_int_equal(members[i].decided_round, 0);
    }
}

/* forger_stops: what more than two thirds decided is invalid by its own execution: told by their votes, or by a block from sync. */
static void forger_stops(struct net *honest, uint64_t height)
{
    struct member *m = &members[forger];
    assert_int_equal(net_head(&sides[forger].n).height, height - 1);
    if (is_deaf) {
        sb_bytes encoded;
        struct sb_commit commit;
        enum sb_driver_taken taken;
        assert_int_equal(
            honest->table->block(honest->table->ctx, &honest->f.arena, height, &encoded, &commit),
            SB_OK);
        assert_int_equal(m->failed, SB_OK);
        m->failed = sb_driver_sync_block(&taken, m->driver, encoded, &commit, &m->diag);
    }
    assert_int_equal(m->failed, SB_E_CORRUPT);
    assert_non_null(strstr(m->diag.text, "another receiptsRoot, stateRoot than"));
}

static void forge(void)
{
    struct sb_buf file;
    compile_example(&file, "digits_cnn.onnx", "digits_cnn_rows.npz");
    struct sb_model *model;
    fixture_check(&sides[0].n.f, sb_model_load(&model, sb_buf_bytes(&file), &sides[0].n.f.diag));
    size_t input_len = (size_t)sb_model_info(model)->input_bytes;
    size_t output_len = (size_t)sb_model_info(model)->output_bytes;
    sb_model_free(model);
    sb_hash id = deploy(sides, MEMBERS, run_sound_height, sb_buf_bytes(&file));
    sb_buf_fini(&file);

    uint8_t *input = sb_arena_zalloc(&sides[0].n.f.arena, input_len);
    uint8_t *output = sb_arena_zalloc(&sides[0].n.f.arena, output_len);
    send_inference(sides, MEMBERS, &id, sb_span(input, input_len));
    uint64_t height = net_head(&sides[0].n).height + 1;
    const struct sb_rotation *rotation = sb_chain_rotation(sides[0].n.f.chain, height);
    forger = net_key_of(&sides[0].n,
                        &rotation->set.validators[sb_rotation_proposer(rotation, 0)].address);
    memset(output, 0x55, output_len);
    poison(&sides[forger], &id, sb_span(input, input_len), sb_span(output, output_len));
    run_height();

    sb_hash decided = net_head(&sides[(forger + 1) % MEMBERS].n).block_id;
    for (size_t i = 0; i < MEMBERS; i++) {
        if (i == forger) {
            continue;
        }
        struct sb_application_head head = net_head(&sides[i].n);
        assert_int_equal(members[i].failed, SB_OK);
        assert_int_equal(head.height, height);
        assert_memory_equal(&head.block_id, &decided, 32);
        assert_true(members[i].decided_round >= 1);
        assert_int_equal(sb_chain_app_counters(sides[i].n.app).forged_results, 1);
        assert_int_equal(sb_driver_counters(members[i].driver).invalid_blocks, 1);
        assert_int_equal(count_lines(&sides[i], "receiptsRoot, stateRoot"), 1);
        const struct sb_rpc_block *block;
        fixture_check(&sides[i].n.f, sb_chain_block_number(&block, sides[i].n.f.chain, height));
        assert_int_equal(block->block.tx_count, 1); /* the inference, with its true result */
        sb_chain_block_release(sides[i].n.f.chain, block);
    }
    for (int i = 0; i < 3; i++) { /* three of four go on */
        run_height();
    }
    assert_int_equal(net_head(&sides[(forger + 1) % MEMBERS].n).height, height + 3);
    forger_stops(&sides[(forger + 1) % MEMBERS].n, height);
}

static void forger_gets_nil_and_the_next_round_decides_an_honest_block(void **state)
{
    (void)state;
    is_deaf = false;
    forge();
}

static void forger_that_hears_no_votes_stops_at_the_block_from_sync(void **state)
{
    (void)state;
    is_deaf = true;
    forge();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(forger_gets_nil_and_the_next_round_decides_an_honest_block,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(forger_that_hears_no_votes_stops_at_the_block_from_sync,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
