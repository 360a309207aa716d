/* test_rollback.c: blocks that are undone come back: executed again they are the same to the byte, and a validator runs them again
 * from its journal without a second signature. */
#include "tests/unit/node/validators_fixture.h"

#include "base/crypto/keccak.h"
#include "base/util/endian.h"
#include "node/driver.h"
#include "node/rollback.h"
#include "storage/store_internal.h"
#include "tests/support/random.h"

/* digest: of every key and value that the database holds. */
static sb_hash digest(struct sb_chain *chain)
{
    struct sb_keccak k;
    sb_keccak_init(&k);
    for (int family = 0; family < SB_FAMILY_COUNT; family++) {
        struct sb_db_iter *iter =
            sb_db_iter_new(sb_chain_store(chain)->db, NULL, (enum sb_family)family);
        assert_non_null(iter);
        for (bool more = sb_db_iter_first(iter, sb_span(NULL, 0), sb_span("", 0)); more;
             more = sb_db_iter_next(iter)) {
            const sb_bytes parts[2] = {sb_db_iter_key(iter), sb_db_iter_value(iter)};
            for (size_t i = 0; i < 2; i++) {
                uint8_t len[8];
                be_store64(len, parts[i].len);
                sb_keccak_update(&k, sb_span(len, sizeof len));
                sb_keccak_update(&k, parts[i]);
            }
        }
        assert_int_equal(sb_db_iter_err(iter), SB_OK);
        sb_db_iter_free(iter);
    }
    return sb_keccak_final(&k);
}

static void verify(struct fixture *f)
{
    struct sb_store_report report;
    fixture_check(f, sb_store_verify(&report, sb_chain_store(f->chain), NULL, NULL, &f->diag));
    for (uint64_t height = 0; height <= sb_chain_head_number(f->chain); height++) {
        fixture_check(f, sb_chain_check_block(f->chain, height, &f->diag));
    }
}

/* ---- four validators: the chain alone ---- */

static struct sb_evidence evidence_at(struct net *n, uint64_t height, int32_t round)
{
    struct sb_validator_set set;
    sb_hash a = {{1}}, b = {{2}};
    fixture_check(&n->f, sb_chain_validators_at(&set, &n->f.arena, n->f.chain, height));
    struct sb_vote x = net_vote(n, &set, 1, SB_VOTE_PRECOMMIT, height, round, &a);
    struct sb_vote y = net_vote(n, &set, 1, SB_VOTE_PRECOMMIT, height, round, &b);
    struct sb_evidence evidence;
    assert_int_equal(sb_evidence_make(&evidence, &x, &y), SB_OK);
    return evidence;
}

/* Validator 4 comes and goes, so that sets change in many blocks. */
static sb_err come_and_go(void *ctx, struct sb_arena *arena, uint64_t height,
                          const struct sb_block_result *result,
                          const struct sb_validator_change **ret_changes, size_t *ret_count)
{
    (void)result;
    const struct net *n = ctx;
    struct sb_validator_change *change = sb_arena_zalloc(arena, sizeof *change);
    if (change == NULL) {
        return SB_E_NOMEM;
    }
    *change = (struct sb_validator_change){.key = n->keys[4], .power = height % 4 == 1 ? 9 : 0};
    *ret_changes = change;
    *ret_count = height % 2;
    return SB_OK;
}

static void undo(struct net *n, uint64_t blocks)
{
    net_close(n);
    struct sb_store *store;
    struct sb_chain_domain domain;
    assert_int_equal(sb_genesis_domain(&domain, &n->f.genesis), SB_OK);
    const struct sb_store_identity identity = {.genesis_hash = domain.genesis_hash,
                                               .chain_id = domain.chain_id};
    const struct sb_store_options options = {.create = false};
    fixture_check(&n->f, sb_store_open(&store, n->f.db_dir, &identity, &options, &n->f.diag));
    for (uint64_t i = 0; i < blocks; i++) {
        fixture_check(&n->f, sb_store_rollback(store, &n->f.diag));
    }
    sb_store_close(store);
    net_open(n);
    sb_chain_set_update_source(n->f.chain, come_and_go, n);
}

static void blocks_undone_and_executed_again_give_the_same_database(void **state)
{
    (void)state;
    static struct net n;
    struct sb_random random = sb_random_init(__func__);
    net_init(&n);
    net_open(&n);
    sb_chain_set_update_source(n.f.chain, come_and_go, &n);
    sb_bytes blocks[64];
    struct sb_commit commits[64];
    sb_hash digests[64];
    uint64_t nonces[3] = {0};
    for (uint64_t height = 1; height <= 24; height++) {
        for (uint64_t txs = sb_random_below(&random, 4); txs > 0; txs--) {
            size_t account = (size_t)sb_random_below(&random, 3);
            fixture_send(&n.f, (int)account, nonces[account]++);
        }
        if (height % 3 == 0) {
            struct sb_evidence evidence = evidence_at(&n, height - 1, (int32_t)height);
            fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &evidence, &n.f.diag));
        }
        blocks[height] = net_step(&n);
        commits[height] = n.last_commit;
        digests[height] = digest(n.f.chain);
        uint64_t back = sb_random_below(&random, 4);
        if (back == 0 || back >= height) {
            continue;
        }
        undo(&n, back);
        assert_int_equal(net_head(&n).height, height - back);
        verify(&n.f);
        for (uint64_t again = height - back + 1; again <= height; again++) {
            net_accept(&n, blocks[again]);
            assert_memory_equal(&n.last_commit.block_id, &commits[again].block_id, 32);
        }
        sb_hash now = digest(n.f.chain);
        assert_memory_equal(&now, &digests[height], 32);
    }
    net_fini(&n);
}

/* ---- one validator: with driver and journal ---- */

struct solo {
    struct net n;
    struct sb_journal *journal;
    struct sb_local_signer signer;
    struct sb_driver *driver;
    uint64_t signatures; /* made in this life */
};

static uint64_t solo_now(void *ctx)
{
    return ((const struct solo *)ctx)->n.f.now_ms;
}

static void solo_set_timer(void *ctx, enum sb_bft_timeout kind, uint64_t height, int32_t round,
                           uint64_t delay_ms)
{
    (void)ctx;
    (void)kind;
    (void)height;
    (void)round;
    (void)delay_ms;
}

static void solo_cancel_timers(void *ctx)
{
    (void)ctx;
}

static void solo_send(void *ctx, const struct sb_bft_message *message, sb_bytes block)
{
    (void)message;
    (void)block;
    ((struct solo *)ctx)->signatures++;
}

static void solo_fetch(void *ctx, uint64_t height, int32_t round, const sb_hash *block_id)
{
    (void)ctx;
    (void)height;
    (void)round;
    (void)block_id;
    fail_msg("nobody can be asked");
}

static void solo_committed(void *ctx, const struct sb_commit *commit)
{
    (void)ctx;
    (void)commit;
}

static void solo_open(struct solo *s, bool is_new)
{
    struct fixture *f = &s->n.f;
    struct sb_journal_identity identity = {.genesis_hash = {{0}}};
    struct sb_journal_recovery recovery;
    net_open(&s->n);
    identity.genesis_hash = sb_chain_domain(f->chain)->genesis_hash;
    memcpy(identity.public_key, s->n.keys[0].bytes, sizeof identity.public_key);
    fixture_check(f, sb_journal_open_folder(&s->journal, f->journal_dir, &identity, is_new,
                                            &recovery, &f->diag));
    s->signer.journal = s->journal;
    memcpy(s->signer.secret, s->n.secrets[0], sizeof s->signer.secret);
    const struct sb_driver_options options = {.app = s->n.table,
                                              .journal = s->journal,
                                              .signer = sb_local_signer(&s->signer),
                                              .own_key = s->n.keys[0],
                                              .timeouts = sb_bft_timeouts_default(),
                                              .verifier = sb_verifier_ed25519(),
                                              .host = {.ctx = s,
                                                       .now_ms = solo_now,
                                                       .set_timer = solo_set_timer,
                                                       .cancel_timers = solo_cancel_timers,
                                                       .send = solo_send,
                                                       .fetch = solo_fetch,
                                                       .committed = solo_committed}};
    s->signatures = 0;
    fixture_check(f, sb_driver_new(&s->driver, &options, &f->diag));
    fixture_check(f, sb_driver_resume(s->driver, &f->diag));
}

static void solo_close(struct solo *s)
{
    sb_driver_free(s->driver);
    sb_journal_close(s->journal);
    net_close(&s->n);
}

static void solo_init(struct solo *s)
{
    memset(s, 0, sizeof *s);
    net_init(&s->n);
    assert_int_equal(sb_validator_set_make(&s->n.f.genesis.validators, s->n.validators, 1, NULL),
                     SB_OK);
    /* the set was sorted by power: take key 0 alone */
    s->n.validators[0] = (struct sb_validator){.key = s->n.keys[0], .power = 1};
    assert_int_equal(sb_validator_set_make(&s->n.f.genesis.validators, s->n.validators, 1, NULL),
                     SB_OK);
    solo_open(s, true);
}

static void solo_fini(struct solo *s)
{
    solo_close(s);
    fixture_fini(&s->n.f);
}

static void solo_step(struct solo *s, uint64_t nonce)
{
    fixture_send(&s->n.f, 0, nonce);
    s->n.f.now_ms += 1000;
    fixture_check(&s->n.f, sb_driver_start_height(s->driver, &s->n.f.diag));
    assert_true(sb_driver_is_idle(s->driver));
}

static sb_err solo_undo(struct solo *s, uint64_t blocks, uint64_t *ret_height)
{
    struct sb_store_head head = {.number = 0};
    struct sb_rollback_options options = {.db_dir = s->n.f.db_dir,
                                          .journal_dir = s->n.f.journal_dir,
                                          .genesis = &s->n.f.genesis,
                                          .blocks = blocks};
    memcpy(options.public_key, s->n.keys[0].bytes, sizeof options.public_key);
    sb_err err = sb_rollback(&head, &options, &s->n.f.diag);
    *ret_height = head.number;
    return err;
}

static void solo_validator_runs_undone_blocks_again_from_its_journal(void **state)
{
    (void)state;
    static struct solo s;
    solo_init(&s);
    for (uint64_t i = 0; i < 7; i++) {
        solo_step(&s, i);
    }
    sb_hash id = net_head(&s.n).block_id;
    for (uint64_t blocks = 1; blocks <= 5; blocks++) {
        uint64_t height;
        solo_close(&s);
        fixture_check(&s.n.f, solo_undo(&s, blocks, &height));
        assert_int_equal(height, 7 - blocks);
        solo_open(&s,
                  false); /* the first height comes back here, the others when their turn comes */
        while (net_head(&s.n).height < 7) {
            fixture_check(&s.n.f, sb_driver_start_height(s.driver, &s.n.f.diag));
        }
        sb_hash again = net_head(&s.n).block_id;
        assert_memory_equal(&again, &id, 32);
        verify(&s.n.f);
    }
    solo_step(&s, 7); /* and on */
    assert_int_equal(net_head(&s.n).height, 8);
    assert_int_equal(s.signatures, 3);
    solo_fini(&s);
}

static void blocks_undone_one_by_one_come_back_as_well(void **state)
{
    (void)state;
    static struct solo s;
    solo_init(&s);
    for (uint64_t i = 0; i < 7; i++) {
        solo_step(&s, i);
    }
    sb_hash id = net_head(&s.n).block_id;
    solo_close(&s);
    for (uint64_t i = 1; i <= 3; i++) {
        uint64_t height;
        fixture_check(&s.n.f, solo_undo(&s, 1, &height));
        assert_int_equal(height, 7 - i);
    }
    solo_open(&s, false);
    while (net_head(&s.n).height < 7) {
        fixture_check(&s.n.f, sb_driver_start_height(s.driver, &s.n.f.diag));
    }
    sb_hash again = net_head(&s.n).block_id;
    assert_memory_equal(&again, &id, 32);
    solo_step(&s, 7);
    solo_fini(&s);
}

static void rollback_that_ends_after_its_first_step_changes_nothing(void **state)
{
    (void)state;
    static struct solo s;
    solo_init(&s);
    for (uint64_t i = 0; i < 3; i++) {
        solo_step(&s, i);
    }
    const struct sb_journal_rollback rollback = {.from = 3, .to = 2};
    fixture_check(&s.n.f, sb_journal_rollback(s.journal, &rollback, &s.n.f.diag));
    solo_close(&s);
    solo_open(&s, false);
    assert_int_equal(net_head(&s.n).height, 3);
    solo_step(&s, 3);
    assert_int_equal(net_head(&s.n).height, 4);
    solo_fini(&s);
}

static void rollback_beyond_the_chain_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static struct solo s;
    solo_init(&s);
    solo_step(&s, 0);
    solo_step(&s, 1);
    uint64_t height;
    assert_int_equal(solo_undo(&s, 1, &height), SB_E_BUSY); /* it runs */
    solo_close(&s);
    assert_int_equal(solo_undo(&s, 3, &height), SB_E_RANGE);
    assert_non_null(strstr(s.n.f.diag.text, "2 blocks"));
    solo_open(&s, false);
    assert_int_equal(net_head(&s.n).height, 2);
    solo_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_undone_and_executed_again_give_the_same_database),
        cmocka_unit_test(solo_validator_runs_undone_blocks_again_from_its_journal),
        cmocka_unit_test(blocks_undone_one_by_one_come_back_as_well),
        cmocka_unit_test(rollback_that_ends_after_its_first_step_changes_nothing),
        cmocka_unit_test(rollback_beyond_the_chain_is_refused_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
