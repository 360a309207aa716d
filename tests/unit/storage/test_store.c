/* test_store.c: the store against a model in memory: roots, views of the head and of older blocks, proofs, reopening, refusals. */
#include "storage/store.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/crypto/keccak.h"
#include "base/types/state_root.h"
#include "base/util/assert.h"
#include "base/util/endian.h"
#include "storage/store_internal.h"
#include "tests/support/proof.h"
#include "tests/support/synthetic.h"
#include "tests/support/temp_dir.h"

#define HISTORY 8

static const struct sb_store_identity identity = {.genesis_hash = {{1, 2, 3}}, .chain_id = 23296};

struct rig {
    char dir[TEMP_DIR_PATH_BYTES + 8];
    char parent[TEMP_DIR_PATH_BYTES];
    struct sb_store *store;
    struct synthetic_chain chain;
    struct sb_arena arena;
};

static void rig_open(struct rig *rig)
{
    const struct sb_store_options options = {
        .create = true, .history_blocks = HISTORY, .cache_bytes = 4 << 20};
    struct sb_diag diag = {""};
    sb_err err = sb_store_open(&rig->store, rig->dir, &identity, &options, &diag);
    if (err != SB_OK) {
        fail_msg("%s", diag.text);
    }
}

static void rig_init(struct rig *rig, uint64_t seed, size_t accounts_a_block)
{
    memset(rig, 0, sizeof *rig);
    temp_dir_make(rig->parent);
    (void)snprintf(rig->dir, sizeof rig->dir, "%s/db", rig->parent);
    synthetic_init(&rig->chain, seed, accounts_a_block);
    sb_arena_init(&rig->arena, (size_t)1 << 28);
    rig_open(rig);
}

static void rig_fini(struct rig *rig)
{
    sb_store_close(rig->store);
    synthetic_fini(&rig->chain);
    sb_arena_fini(&rig->arena);
    temp_dir_remove(rig->parent);
}

/* rig_step: one block; its root must be the model's. */
static void rig_step(struct rig *rig)
{
    struct sb_state_diff diff = synthetic_next(&rig->chain);
    sb_hash root, model_root = sb_memory_state_root(rig->chain.model);
    struct sb_store_pending *pending;
    assert_int_equal(sb_store_root(&root, &pending, rig->store, &diff), SB_OK);
    assert_memory_equal(root.b, model_root.b, 32);
    struct sb_store_block block = synthetic_seal(&rig->chain, &root);
    struct sb_diag diag = {""};
    if (sb_store_commit_take(rig->store, pending, &block, &diag) != SB_OK) {
        fail_msg("%s", diag.text);
    }
    struct sb_store_head head = sb_store_head(rig->store);
    assert_true(head.exists);
    assert_int_equal(head.number, block.number);
    assert_memory_equal(head.block_hash.b, block.block_hash.b, 32);
}

/* ---- comparing a view with a model ---- */

static void check_account(const struct sb_state_view *view, const struct sb_state_view *model,
                          const sb_addr *addr)
{
    struct sb_account got, want;
    bool got_exists, want_exists;
    assert_int_equal(view->account(view->ctx, addr, &got, &got_exists), SB_OK);
    assert_int_equal(model->account(model->ctx, addr, &want, &want_exists), SB_OK);
    assert_int_equal(got_exists, want_exists);
    assert_int_equal(got.nonce, want.nonce);
    assert_true(sb_u256_equal(&got.balance, &want.balance));
    assert_memory_equal(got.code_hash.b, want.code_hash.b, 32);
    assert_int_equal(got.has_storage, want.has_storage);
    sb_bytes got_code, want_code;
    assert_int_equal(view->code(view->ctx, &got.code_hash, &got_code), SB_OK);
    assert_int_equal(model->code(model->ctx, &got.code_hash, &want_code), SB_OK);
    assert_true(sb_span_equal(got_code, want_code));
    for (size_t i = 0; i < SYNTHETIC_SLOTS; i++) {
        sb_hash key = synthetic_slot(i);
        sb_u256 got_value, want_value;
        assert_int_equal(view->storage(view->ctx, addr, &key, &got_value), SB_OK);
        assert_int_equal(model->storage(model->ctx, addr, &key, &want_value), SB_OK);
        assert_true(sb_u256_equal(&got_value, &want_value));
    }
}

static void check_state(const struct sb_state_view *view, struct sb_memory_state *expected)
{
    struct sb_state_view model = sb_memory_state_view(expected);
    for (size_t i = 0; i < SYNTHETIC_ACCOUNTS; i++) {
        sb_addr addr = synthetic_addr(i);
        check_account(view, &model, &addr);
    }
    for (size_t i = 0; i < SYNTHETIC_BLOBS; i++) {
        sb_hash id = synthetic_blob_id(i);
        sb_bytes got, want;
        assert_int_equal(view->blob(view->ctx, &id, &got), SB_OK);
        assert_int_equal(model.blob(model.ctx, &id, &want), SB_OK);
        assert_true(sb_span_equal(got, want));
        assert_int_equal(got.data == NULL, want.data == NULL);
    }
}

/* check_proofs: of every account of the pool with all slots of it, against the model's root. */
static void check_proofs(struct rig *rig, struct sb_store_view *view,
                         struct sb_memory_state *expected)
{
    sb_hash root = sb_memory_state_root(expected), keys[SYNTHETIC_SLOTS];
    struct sb_state_view model = sb_memory_state_view(expected);
    for (size_t i = 0; i < SYNTHETIC_SLOTS; i++) {
        keys[i] = synthetic_slot(i);
    }
    for (size_t i = 0; i < SYNTHETIC_ACCOUNTS; i++) {
        sb_addr addr = synthetic_addr(i);
        struct sb_store_proof proof;
        assert_int_equal(sb_store_prove(&proof, &rig->arena, view, &addr, keys, SYNTHETIC_SLOTS),
                         SB_OK);
        sb_hash hash = sb_keccak256(sb_span(addr.b, 20));
        sb_bytes value;
        enum proof_verdict verdict =
            proof_verify(&value, &root, sb_span(hash.b, 32), proof.nodes, proof.node_count);
        assert_int_equal(verdict, proof.exists ? PROOF_PRESENT : PROOF_ABSENT);
        if (proof.exists) {
            uint8_t leaf[SB_ACCOUNT_LEAF_BYTES_MAX];
            size_t len = sb_account_leaf(leaf, proof.account.nonce, &proof.account.balance,
                                         &proof.storage_root, &proof.account.code_hash);
            assert_true(sb_span_equal(value, sb_span(leaf, len)));
        }
        for (size_t k = 0; k < SYNTHETIC_SLOTS; k++) {
            sb_u256 want;
            assert_int_equal(model.storage(model.ctx, &addr, &keys[k], &want), SB_OK);
            assert_true(sb_u256_equal(&proof.slots[k].value, &want));
            sb_hash slot = sb_keccak256(sb_span(keys[k].b, 32));
            verdict = proof_verify(&value, &proof.storage_root, sb_span(slot.b, 32),
                                   proof.slots[k].nodes, proof.slots[k].node_count);
            assert_int_equal(verdict, sb_u256_is_zero(&want) ? PROOF_ABSENT : PROOF_PRESENT);
        }
        sb_arena_reset(&rig->arena);
    }
}

/* ---- tests ---- */

static void store_random_blocks_match_the_model_at_every_kept_block(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    struct rig rig;
    rig_init(&rig, random.state, 12);
    struct sb_memory_state *models[HISTORY + 1];
    for (size_t i = 0; i <= HISTORY; i++) {
        models[i] = sb_memory_state_new();
    }
    for (uint64_t number = 0; number < 60; number++) {
        rig_step(&rig);
        sb_memory_state_copy(models[number % (HISTORY + 1)], rig.chain.model);
        if (number % 7 == 3) { /* reopen: history must be there again */
            sb_store_close(rig.store);
            rig_open(&rig);
        }
        if (number % 5 != 4) {
            continue;
        }
        for (uint64_t back = 0; back <= HISTORY && back <= number; back++) {
            struct sb_store_view *view;
            assert_int_equal(sb_store_view_open(&view, rig.store, number - back), SB_OK);
            struct sb_memory_state *model = models[(number - back) % (HISTORY + 1)];
            check_state(sb_store_view_state(view), model);
            check_proofs(&rig, view, model);
            sb_store_view_close(view);
        }
    }
    struct sb_store_view *view;
    assert_int_equal(sb_store_view_open(&view, rig.store, 60), SB_E_NOT_FOUND);
    assert_int_equal(sb_store_view_open(&view, rig.store, 59 - HISTORY - 1), SB_E_NOT_FOUND);
    for (size_t i = 0; i <= HISTORY; i++) {
        sb_memory_state_free(models[i]);
    }
    rig_fini(&rig);
}

static void view_stays_the_same_while_commits_go_on(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    struct rig rig;
    rig_init(&rig, random.state, 12);
    for (int i = 0; i < 10; i++) {
        rig_step(&rig);
    }
    struct sb_memory_state *model = sb_memory_state_new();
    sb_memory_state_copy(model, rig.chain.model);
    struct sb_store_view *head_view;
    assert_int_equal(sb_store_view_open(&head_view, rig.store, 9), SB_OK);
    for (int i = 0; i < 3; i++) {
        rig_step(&rig);
    }
    struct sb_store_view *old_view;
    assert_int_equal(sb_store_view_open(&old_view, rig.store, 9), SB_OK);
    for (int i = 0; i < 3 * HISTORY; i++) { /* the diffs that old_view reads are pruned meanwhile */
        rig_step(&rig);
    }
    check_state(sb_store_view_state(head_view), model);
    check_state(sb_store_view_state(old_view), model);
    check_proofs(&rig, head_view, model);
    check_proofs(&rig, old_view, model);
    sb_store_view_close(head_view);
    sb_store_view_close(old_view);
    sb_memory_state_free(model);
    rig_fini(&rig);
}

static void chain_reads_give_back_what_was_committed(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 7, 4);
    for (int i = 0; i < 5; i++) {
        rig_step(&rig);
    }
    struct sb_state_diff diff = synthetic_next(&rig.chain);
    sb_hash root;
    struct sb_store_pending *pending;
    assert_int_equal(sb_store_root(&root, &pending, rig.store, &diff), SB_OK);
    struct sb_store_block block = synthetic_seal(&rig.chain, &root);
    block.inferences = sb_span_str("records");
    assert_int_equal(sb_store_commit_take(rig.store, pending, &block, NULL), SB_OK);
    uint64_t number;
    sb_bytes bytes;
    assert_int_equal(sb_store_number_by_hash(&number, rig.store, &block.block_hash), SB_OK);
    assert_int_equal(number, 5);
    assert_int_equal(sb_store_header(&bytes, &rig.arena, rig.store, 5), SB_OK);
    assert_true(sb_span_equal(bytes, block.header));
    assert_int_equal(sb_store_body(&bytes, &rig.arena, rig.store, 5), SB_OK);
    assert_true(sb_span_equal(bytes, block.body));
    assert_int_equal(sb_store_consensus_block(&bytes, &rig.arena, rig.store, 5), SB_OK);
    assert_true(sb_span_equal(bytes, block.consensus_block));
    assert_int_equal(sb_store_commit_of(&bytes, &rig.arena, rig.store, 5), SB_OK);
    assert_true(sb_span_equal(bytes, block.commit));
    assert_int_equal(sb_store_commit_of(&bytes, &rig.arena, rig.store, 0), SB_E_NOT_FOUND);
    assert_int_equal(sb_store_inferences(&bytes, &rig.arena, rig.store, 5), SB_OK);
    assert_true(sb_span_equal(bytes, block.inferences));
    assert_int_equal(sb_store_inferences(&bytes, &rig.arena, rig.store, 4), SB_E_NOT_FOUND);
    const sb_bytes *receipts;
    const sb_addr *senders;
    size_t count;
    assert_int_equal(sb_store_senders(&senders, &count, &rig.arena, rig.store, 5), SB_OK);
    assert_int_equal(count, block.tx_count);
    assert_int_equal(sb_store_receipts(&receipts, &count, &rig.arena, rig.store, 5), SB_OK);
    assert_int_equal(count, block.tx_count);
    for (size_t i = 0; i < count; i++) {
        uint32_t index;
        assert_true(sb_span_equal(receipts[i], block.receipts[i]));
        assert_memory_equal(senders[i].b, block.senders[i].b, 20);
        assert_int_equal(sb_store_tx_place(&number, &index, rig.store, &block.tx_hashes[i]), SB_OK);
        assert_int_equal(number, 5);
        assert_int_equal(index, i);
    }
    sb_hash absent = {{9}};
    uint32_t index;
    assert_int_equal(sb_store_number_by_hash(&number, rig.store, &absent), SB_E_NOT_FOUND);
    assert_int_equal(sb_store_tx_place(&number, &index, rig.store, &absent), SB_E_NOT_FOUND);
    assert_int_equal(sb_store_header(&bytes, &rig.arena, rig.store, 6), SB_E_NOT_FOUND);
    struct sb_store_view *view;
    assert_int_equal(sb_store_view_open(&view, rig.store, 5), SB_OK);
    const struct sb_state_view *reads = sb_store_view_state(view);
    sb_hash hash;
    assert_int_equal(reads->block_hash(reads->ctx, 5, &hash), SB_OK);
    assert_memory_equal(hash.b, block.block_hash.b, 32);
    assert_int_equal(reads->block_hash(reads->ctx, 6, &hash), SB_OK);
    assert_true(sb_hash_is_zero(&hash));
    sb_store_view_close(view);
    rig_fini(&rig);
}

static void commit_refuses_what_does_not_follow(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 3, 6);
    rig_step(&rig);
    rig_step(&rig);
    struct sb_state_diff diff = synthetic_next(&rig.chain);
    sb_hash root;
    struct sb_store_pending *stale, *wrong_number, *wrong_root, *right;
    assert_int_equal(sb_store_root(&root, &stale, rig.store, &diff), SB_OK);
    assert_int_equal(sb_store_root(&root, &wrong_number, rig.store, &diff), SB_OK);
    assert_int_equal(sb_store_root(&root, &wrong_root, rig.store, &diff), SB_OK);
    assert_int_equal(sb_store_root(&root, &right, rig.store, &diff), SB_OK);
    struct sb_store_block block = synthetic_seal(&rig.chain, &root), bad = block;
    struct sb_diag diag = {""};
    bad.number = 7;
    assert_int_equal(sb_store_commit_take(rig.store, wrong_number, &bad, &diag), SB_E_ARG);
    bad = block;
    bad.state_root.b[0] ^= 1;
    assert_int_equal(sb_store_commit_take(rig.store, wrong_root, &bad, &diag), SB_E_ARG);
    assert_int_equal(sb_store_head(rig.store).number, 1);
    assert_int_equal(sb_store_commit_take(rig.store, right, &block, &diag), SB_OK);
    bad = block;
    bad.number = 3;
    assert_int_equal(sb_store_commit_take(rig.store, stale, &bad, &diag), SB_E_ARG);
    assert_int_equal(sb_store_head(rig.store).number, 2);
    rig_fini(&rig);
}

/* A root that is dropped leaves no trace, though it went through the cache. */
static void pending_dropped_changes_nothing(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 11, 20);
    for (int i = 0; i < 6; i++) {
        rig_step(&rig);
    }
    struct sb_memory_state *model = sb_memory_state_new();
    sb_memory_state_copy(model, rig.chain.model);
    struct sb_random kept = rig.chain.random;
    struct sb_state_diff diff = synthetic_next(&rig.chain);
    sb_hash root;
    struct sb_store_pending *pending;
    assert_int_equal(sb_store_root(&root, &pending, rig.store, &diff), SB_OK);
    sb_store_pending_free(pending);
    sb_memory_state_copy(rig.chain.model, model);
    rig.chain.random = kept;
    rig.chain.random.state ^= 99;
    for (int i = 0; i < 6; i++) {
        rig_step(&rig);
    }
    sb_memory_state_free(model);
    rig_fini(&rig);
}

/* ---- opening ---- */

static sb_err try_open(struct sb_diag *diag, const char *dir, const struct sb_store_identity *as,
                       bool create, bool read_only)
{
    const struct sb_store_options options = {.create = create, .read_only = read_only};
    struct sb_store *store;
    *diag = (struct sb_diag){""};
    sb_err err = sb_store_open(&store, dir, as, &options, diag);
    if (err == SB_OK) {
        sb_store_close(store);
    }
    return err;
}

static void open_says_what_is_wrong_and_what_to_do(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 5, 6);
    rig_step(&rig);
    rig_step(&rig);
    struct sb_diag diag;
    char absent[TEMP_DIR_PATH_BYTES + 16];
    (void)snprintf(absent, sizeof absent, "%s/absent", rig.parent);
    assert_int_equal(try_open(&diag, absent, &identity, false, false), SB_E_NOT_FOUND);
    assert_non_null(strstr(diag.text, "no database"));
    assert_int_equal(try_open(&diag, rig.dir, &identity, false, false), SB_E_BUSY);
    assert_non_null(strstr(diag.text, "in use"));
    assert_int_equal(try_open(&diag, rig.dir, &identity, false, true),
                     SB_OK); /* readers may look on */
    sb_store_close(rig.store);
    struct sb_store_identity other = identity;
    other.chain_id = 1;
    assert_int_equal(try_open(&diag, rig.dir, &other, true, false), SB_E_ARG);
    assert_non_null(strstr(diag.text, "23296"));
    assert_non_null(strstr(diag.text, "chain 1 "));
    other = identity;
    other.genesis_hash.b[0] ^= 1;
    assert_int_equal(try_open(&diag, rig.dir, &other, true, false), SB_E_ARG);
    assert_int_equal(try_open(&diag, rig.dir, &identity, false, false), SB_OK);
    rig_open(&rig);
    rig_fini(&rig);
}

static void read_only_store_reads_and_refuses_commits(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 5, 6);
    rig_step(&rig);
    rig_step(&rig);
    sb_store_close(rig.store);
    const struct sb_store_options options = {.read_only = true};
    assert_int_equal(sb_store_open(&rig.store, rig.dir, &identity, &options, NULL), SB_OK);
    struct sb_store_view *view;
    assert_int_equal(sb_store_view_open(&view, rig.store, 1), SB_OK);
    check_state(sb_store_view_state(view), rig.chain.model);
    sb_store_view_close(view);
    struct sb_state_diff diff = synthetic_next(&rig.chain);
    sb_hash root;
    struct sb_store_pending *pending;
    assert_int_equal(sb_store_root(&root, &pending, rig.store, &diff), SB_OK);
    struct sb_store_block block = synthetic_seal(&rig.chain, &root);
    assert_int_equal(sb_store_commit_take(rig.store, pending, &block, NULL), SB_E_ARG);
    rig_fini(&rig);
}

/* A full disk, as a limit on the size of files: the commit fails, nothing is visible, and no further commit is taken. */
static void commit_that_cannot_be_written_stops_the_store(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 5, 6);
    rig_step(&rig);
    struct sb_state_diff diff = synthetic_next(&rig.chain);
    sb_hash root;
    struct sb_store_pending *pending, *again;
    char copy[TEMP_DIR_PATH_BYTES + 16];
    assert_int_equal(sb_store_root(&root, &pending, rig.store, &diff), SB_OK);
    assert_int_equal(sb_store_root(&root, &again, rig.store, &diff), SB_OK);
    struct sb_store_block block = synthetic_seal(&rig.chain, &root);
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit tight = {.rlim_cur = 16, .rlim_max = old.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    struct sb_diag diag = {""};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    sb_err err = sb_store_commit_take(rig.store, pending, &block, &diag);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(err, SB_E_IO);
    assert_true(diag.text[0] != 0);
    assert_int_equal(sb_store_head(rig.store).number, 0);
    assert_int_equal(sb_store_commit_take(rig.store, again, &block, &diag), SB_E_IO);
    assert_non_null(strstr(diag.text, "must stop"));
    (void)signal(SIGXFSZ, handler);
    sb_store_close(rig.store);
    /* The files stay locked until the process ends; a copy shows what the next one finds. */
    (void)snprintf(copy, sizeof copy, "%s/copy", rig.parent);
    temp_dir_copy(copy, rig.dir);
    (void)snprintf(rig.dir, sizeof rig.dir, "%s/copy", rig.parent);
    rig_open(&rig);
    assert_int_equal(sb_store_head(rig.store).number, 0);
    rig_fini(&rig);
}

/* ---- threads ---- */

struct reader {
    struct sb_store *store;
    atomic_bool *stop;
    uint64_t rounds;
};

/* read_balances: the sum over the pool; whatever it is, a second read of the same view gives it again. */
static uint64_t read_balances(const struct sb_state_view *view)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < SYNTHETIC_ACCOUNTS; i++) {
        sb_addr addr = synthetic_addr(i);
        sb_hash key = synthetic_slot(i % SYNTHETIC_SLOTS);
        struct sb_account account;
        bool exists;
        sb_u256 value;
        SB_ASSERT(view->account(view->ctx, &addr, &account, &exists) == SB_OK);
        SB_ASSERT(view->storage(view->ctx, &addr, &key, &value) == SB_OK);
        sum += account.balance.w[0] ^ account.nonce ^ value.w[0];
    }
    return sum;
}

static void *reader_main(void *ctx)
{
    struct reader *reader = ctx;
    while (!atomic_load(reader->stop)) {
        uint64_t head = sb_store_head(reader->store).number;
        struct sb_store_view *view;
        uint64_t number = head > 3 ? head - reader->rounds % 4 : head;
        if (sb_store_view_open(&view, reader->store, number) == SB_OK) {
            uint64_t first = read_balances(sb_store_view_state(view));
            SB_ASSERT(read_balances(sb_store_view_state(view)) == first);
            sb_store_view_close(view);
            reader->rounds++;
        }
    }
    return NULL;
}

static void readers_see_whole_versions_while_blocks_are_committed(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 17, 12);
    rig_step(&rig);
    atomic_bool stop = false;
    struct reader readers[2];
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++) {
        readers[i] = (struct reader){.store = rig.store, .stop = &stop};
        assert_int_equal(pthread_create(&threads[i], NULL, reader_main, &readers[i]), 0);
    }
    for (int i = 0; i < 60; i++) {
        rig_step(&rig);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(readers[i].rounds > 0);
    }
    rig_fini(&rig);
}

/* ---- checks ---- */

static void verify_accepts_what_commits_made(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    struct rig rig;
    rig_init(&rig, random.state, 12);
    struct sb_store_report report;
    struct sb_diag diag = {""};
    assert_int_equal(sb_store_verify(&report, rig.store, NULL, NULL, &diag), SB_OK);
    assert_int_equal(report.block_count, 0);
    for (uint64_t number = 0; number < 40; number++) {
        rig_step(&rig);
        if (sb_store_verify(&report, rig.store, NULL, NULL, &diag) != SB_OK) {
            fail_msg("%s", diag.text);
        }
        sb_hash root = sb_memory_state_root(rig.chain.model);
        assert_memory_equal(report.rebuilt_root.b, root.b, 32);
        assert_int_equal(report.block_count, number + 1);
        assert_int_equal(report.account_count, sb_memory_state_account_count(rig.chain.model));
    }
    rig_fini(&rig);
}

/* Damage one value of a family behind the store's back, as a wrong write would. */
static void damage_first(const struct rig *rig, enum sb_family family, bool remove)
{
    struct sb_db *db;
    bool created;
    const struct sb_db_options options = {.cache_bytes = 1 << 20};
    assert_int_equal(sb_db_open(&db, &created, rig->dir, &options, NULL), SB_OK);
    struct sb_db_iter *iter = sb_db_iter_new(db, NULL, family);
    assert_true(sb_db_iter_first(iter, sb_span(NULL, 0), sb_span("", 0)));
    uint8_t key[128], *value = malloc(sb_db_iter_value(iter).len + 1);
    size_t key_len = sb_db_iter_key(iter).len, value_len = sb_db_iter_value(iter).len;
    assert_true(key_len <= sizeof key && value_len != 0 && value != NULL);
    memcpy(key, sb_db_iter_key(iter).data, key_len);
    memcpy(value, sb_db_iter_value(iter).data, value_len);
    sb_db_iter_free(iter);
    struct sb_db_batch *batch = sb_db_batch_new(db);
    value[value_len - 1] ^= 1;
    if (remove) {
        sb_db_batch_delete(batch, family, sb_span(key, key_len));
    } else {
        sb_db_batch_put(batch, family, sb_span(key, key_len), sb_span(value, value_len));
    }
    assert_int_equal(sb_db_batch_write(db, batch, NULL), SB_OK);
    sb_db_batch_free(batch);
    free(value);
    sb_db_close(db);
}

static void verify_finds_damage_in_every_family(void **state)
{
    (void)state;
    static const enum sb_family families[] = {
        SB_FAMILY_ACCOUNT,  SB_FAMILY_SLOT,   SB_FAMILY_ACCOUNT_TRIE, SB_FAMILY_SLOT_TRIE,
        SB_FAMILY_BLOB,     SB_FAMILY_CODE,   SB_FAMILY_HEADER,       SB_FAMILY_BODY,
        SB_FAMILY_RECEIPTS, SB_FAMILY_NUMBER, SB_FAMILY_TX_PLACE};
    for (size_t i = 0; i < 2 * sizeof families / sizeof families[0]; i++) {
        enum sb_family family = families[i / 2];
        bool remove = i % 2 != 0;
        if (remove && (family == SB_FAMILY_BLOB || family == SB_FAMILY_CODE)) {
            continue; /* the first one may be nobody's: blobs are the registry's, old codes stay */
        }
        struct rig rig;
        rig_init(&rig, 21, 20);
        for (int step = 0; step < 12; step++) {
            rig_step(&rig);
        }
        sb_store_close(rig.store);
        damage_first(&rig, family, remove);
        rig_open(&rig);
        struct sb_store_report report;
        struct sb_diag diag = {""};
        if (sb_store_verify(&report, rig.store, NULL, NULL, &diag) != SB_E_CORRUPT) {
            fail_msg("family %d, %s: not found", (int)family, remove ? "removed" : "changed");
        }
        assert_true(diag.text[0] != 0);
        rig_fini(&rig);
    }
}

static void open_finds_damaged_format_head_and_head_header(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 21, 4);
    rig_step(&rig); /* one block, so that the first header is the head's */
    sb_store_close(rig.store);
    char copy[TEMP_DIR_PATH_BYTES + 16];
    (void)snprintf(copy, sizeof copy, "%s/copy", rig.parent);
    temp_dir_copy(copy, rig.dir);
    struct sb_diag diag;
    damage_first(&rig, SB_FAMILY_HEADER, false);
    assert_int_equal(try_open(&diag, rig.dir, &identity, true, false), SB_E_CORRUPT);
    assert_non_null(strstr(diag.text, "header 0"));
    temp_dir_remove(rig.dir);
    temp_dir_copy(rig.dir, copy);
    damage_first(&rig, SB_FAMILY_META, false); /* "format" sorts first */
    assert_int_equal(try_open(&diag, rig.dir, &identity, true, false), SB_E_CORRUPT);
    temp_dir_remove(rig.dir);
    temp_dir_copy(rig.dir, copy);
    damage_first(&rig, SB_FAMILY_META, true);
    assert_int_equal(try_open(&diag, rig.dir, &identity, true, false), SB_E_CORRUPT);
    damage_first(&rig, SB_FAMILY_META, false); /* now it is "head" */
    assert_int_equal(try_open(&diag, rig.dir, &identity, true, false), SB_E_CORRUPT);
    temp_dir_remove(rig.dir);
    temp_dir_copy(rig.dir, copy);
    rig_open(&rig);
    rig_fini(&rig);
}

static void open_never_makes_a_database_over_other_files(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 21, 4);
    rig_step(&rig);
    sb_store_close(rig.store);
    char path[TEMP_DIR_PATH_BYTES + 32];
    (void)snprintf(path, sizeof path, "%s/CURRENT", rig.dir);
    assert_int_equal(remove(path), 0);
    struct sb_diag diag;
    assert_int_equal(try_open(&diag, rig.dir, &identity, true, false), SB_E_CORRUPT);
    assert_non_null(strstr(diag.text, "CURRENT"));
    assert_int_equal(try_open(&diag, rig.dir, &identity, false, false), SB_E_NOT_FOUND);
    (void)snprintf(path, sizeof path, "%s/CREATING",
                   rig.dir); /* what is marked as unfinished is made anew */
    FILE *marker = fopen(path, "w");
    assert_non_null(marker);
    assert_int_equal(fclose(marker), 0);
    assert_int_equal(try_open(&diag, rig.dir, &identity, false, false), SB_E_NOT_FOUND);
    assert_int_equal(try_open(&diag, rig.dir, &identity, true, false), SB_OK);
    rig_open(&rig);
    assert_false(sb_store_head(rig.store).exists);
    rig_fini(&rig);
}

/* A power cut between RocksDB's rename of CURRENT and its sync of the folder may lose the new manifest's name. */
static void open_after_a_lost_new_manifest_goes_on_from_the_older_one(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 22, 4);
    rig_step(&rig);
    struct sb_store_head head = sb_store_head(rig.store);
    sb_store_close(rig.store);
    char path[TEMP_DIR_PATH_BYTES + 80], name[64];
    (void)snprintf(path, sizeof path, "%s/CURRENT", rig.dir);
    FILE *current = fopen(path, "r+");
    assert_non_null(current);
    assert_non_null(fgets(name, sizeof name, current));
    rewind(current);
    assert_true(fputs("MANIFEST-999999\n", current) >= 0);
    assert_int_equal(fclose(current), 0);
    struct sb_diag diag;
    assert_int_equal(try_open(&diag, rig.dir, &identity, false, true), SB_E_CORRUPT);
    assert_non_null(strstr(diag.text, "start the node"));
    assert_int_equal(try_open(&diag, rig.dir, &identity, false, false), SB_OK);
    rig_open(&rig);
    assert_int_equal(sb_store_head(rig.store).number, head.number);
    assert_memory_equal(sb_store_head(rig.store).state_root.b, head.state_root.b, 32);
    rig_step(&rig);
    sb_store_close(rig.store);
    /* Without any manifest it is damage. */
    char copy[TEMP_DIR_PATH_BYTES + 16];
    (void)snprintf(copy, sizeof copy, "%s/copy", rig.parent);
    temp_dir_copy(copy, rig.dir);
    current = fopen(path, "r");
    assert_non_null(current);
    assert_non_null(fgets(name, sizeof name, current));
    (void)fclose(current);
    (void)snprintf(path, sizeof path, "%s/%.*s", rig.dir, (int)strcspn(name, "\n"), name);
    assert_int_equal(remove(path), 0);
    assert_int_equal(try_open(&diag, rig.dir, &identity, true, false), SB_E_CORRUPT);
    assert_non_null(strstr(diag.text, "damaged"));
    temp_dir_remove(rig.dir);
    temp_dir_copy(rig.dir, copy);
    rig_open(&rig);
    rig_fini(&rig);
}

/* Byte-level damage to RocksDB's files: whatever the place, opening and verifying end in a code, never in a wrong answer. */
static void files_damaged_anywhere_never_verify_with_another_root(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    struct rig rig;
    rig_init(&rig, 33, 12);
    for (int step = 0; step < 6; step++) {
        rig_step(&rig);
    }
    struct sb_store_head head = sb_store_head(rig.store);
    sb_store_close(rig.store);
    char copy[TEMP_DIR_PATH_BYTES + 16];
    (void)snprintf(copy, sizeof copy, "%s/copy", rig.parent);
    temp_dir_copy(copy, rig.dir);
    size_t refused = 0;
    for (int round = 0; round < 40; round++) {
        temp_dir_remove(rig.dir);
        temp_dir_copy(rig.dir, copy);
        temp_dir_damage(rig.dir, &random);
        const struct sb_store_options options = {.create = false};
        struct sb_diag diag = {""};
        sb_err err = sb_store_open(&rig.store, rig.dir, &identity, &options, &diag);
        struct sb_store_report report;
        if (err == SB_OK) {
            struct sb_store_head now = sb_store_head(rig.store);
            err = sb_store_verify(&report, rig.store, NULL, NULL, &diag);
            assert_true(err != SB_OK || now.number <= head.number);
            assert_true(err != SB_OK || !now.exists ||
                        sb_hash_equal(&report.rebuilt_root, &now.state_root));
            sb_store_close(rig.store);
        }
        assert_true(err == SB_OK || diag.text[0] != 0);
        refused += err != SB_OK ? 1 : 0;
    }
    printf("# %zu of 40 damaged copies were refused\n", refused);
    assert_true(refused > 0);
    temp_dir_remove(rig.dir);
    temp_dir_copy(rig.dir, copy);
    rig_open(&rig);
    rig_fini(&rig);
}

/* ---- rollback ---- */

/* digest: of every key and value of the families that `include` names. */
static sb_hash digest(const struct rig *rig, bool (*include)(enum sb_family family))
{
    struct sb_keccak k;
    sb_keccak_init(&k);
    for (int family = 0; family < SB_FAMILY_COUNT; family++) {
        struct sb_db_iter *iter = sb_db_iter_new(rig->store->db, NULL, (enum sb_family)family);
        assert_non_null(iter);
        bool more = include((enum sb_family)family) &&
                    sb_db_iter_first(iter, sb_span(NULL, 0), sb_span("", 0));
        for (; more; more = sb_db_iter_next(iter)) {
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

static bool every_family(enum sb_family family)
{
    (void)family;
    return true;
}

/* Code is never deleted, and the diff that fell out of the history at the commit does not come back. */
static bool family_goes_back(enum sb_family family)
{
    return family != SB_FAMILY_CODE && family != SB_FAMILY_DIFF;
}

/* commit_with_records: put records `number` and `number + 1` of five, remove `number + 2`. */
static void commit_with_records(struct rig *rig, const struct sb_state_diff *diff,
                                const struct sb_store_block *sealed)
{
    uint8_t keys[3] = {(uint8_t)(sealed->number % 5), (uint8_t)((sealed->number + 1) % 5),
                       (uint8_t)((sealed->number + 2) % 5)};
    const struct sb_store_record records[3] = {
        {.key = sb_span(&keys[0], 1), .value = sb_span(sealed->block_hash.b, 32)},
        {.key = sb_span(&keys[1], 1), .value = sb_span("", 0)},
        {.key = sb_span(&keys[2], 1), .value = sb_span(NULL, 0)}};
    struct sb_store_block block = *sealed;
    block.records = records;
    block.record_count = 3;
    block.inferences = sealed->number % 2 == 0 ? sb_span("records", 7) : sb_span(NULL, 0);
    sb_hash root;
    struct sb_store_pending *pending;
    struct sb_diag diag = {""};
    assert_int_equal(sb_store_root(&root, &pending, rig->store, diff), SB_OK);
    if (sb_store_commit_take(rig->store, pending, &block, &diag) != SB_OK) {
        fail_msg("%s", diag.text);
    }
}

static void rollback_gives_back_the_block_before_and_commits_again(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    struct rig rig;
    rig_init(&rig, random.state, 12);
    rig_step(&rig);
    struct sb_diag diag = {""};
    assert_int_equal(sb_store_rollback(rig.store, &diag), SB_E_NOT_FOUND); /* block 0 */
    struct sb_memory_state *model = sb_memory_state_new();
    for (uint64_t number = 1; number < 60; number++) {
        struct sb_store_head head_before = sb_store_head(rig.store);
        sb_memory_state_copy(model, rig.chain.model);
        sb_hash before = digest(&rig, family_goes_back);
        struct sb_state_diff diff = synthetic_next(&rig.chain);
        sb_hash root = sb_memory_state_root(rig.chain.model);
        struct sb_store_block block = synthetic_seal(&rig.chain, &root);
        commit_with_records(&rig, &diff, &block);
        sb_hash after = digest(&rig, every_family);
        if (sb_store_rollback(rig.store, &diag) != SB_OK) {
            fail_msg("%s", diag.text);
        }
        sb_hash back = digest(&rig, family_goes_back);
        assert_memory_equal(back.b, before.b, 32);
        struct sb_store_head head_back = sb_store_head(rig.store);
        assert_memory_equal(&head_back.block_hash, &head_before.block_hash, 32);
        assert_int_equal(head_back.number, number - 1);
        struct sb_store_view *view;
        assert_int_equal(sb_store_view_open(&view, rig.store, number - 1), SB_OK);
        check_state(sb_store_view_state(view), model);
        sb_store_view_close(view);
        if (number % 9 == 4) { /* the process may end here */
            sb_store_close(rig.store);
            rig_open(&rig);
        }
        if (number % 20 == 7) {
            struct sb_store_report report;
            assert_int_equal(sb_store_verify(&report, rig.store, NULL, NULL, &diag), SB_OK);
            assert_memory_equal(&report.rebuilt_root, &head_before.state_root, 32);
        }
        commit_with_records(&rig, &diff, &block);
        sb_hash again = digest(&rig, every_family);
        assert_memory_equal(again.b, after.b, 32);
    }
    sb_memory_state_free(model);
    rig_fini(&rig);
}

static void rollback_goes_back_as_far_as_the_history(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 5, 12);
    sb_hash digests[HISTORY + 1];
    uint64_t last = 20;
    for (uint64_t number = 0; number <= last; number++) {
        struct sb_state_diff diff = synthetic_next(&rig.chain);
        sb_hash root = sb_memory_state_root(rig.chain.model);
        struct sb_store_block block = synthetic_seal(&rig.chain, &root);
        commit_with_records(&rig, &diff, &block);
        digests[number % (HISTORY + 1)] = digest(&rig, family_goes_back);
    }
    struct sb_diag diag = {""};
    for (uint64_t back = 1; back <= HISTORY; back++) {
        assert_int_equal(sb_store_rollback(rig.store, &diag), SB_OK);
        sb_hash now = digest(&rig, family_goes_back);
        assert_memory_equal(now.b, digests[(last - back) % (HISTORY + 1)].b, 32);
    }
    assert_int_equal(sb_store_rollback(rig.store, &diag), SB_E_NOT_FOUND);
    assert_non_null(strstr(diag.text, "keeps no older state"));
    rig_fini(&rig);
}

/* ---- records ---- */

static sb_err collect(void *ctx, const struct sb_store_record *record, bool *io_more)
{
    char *text = ctx;
    (void)strncat(text, (const char *)record->key.data, record->key.len);
    (void)strncat(text, (const char *)record->value.data, record->value.len);
    *io_more = strlen(text) < 9;
    return SB_OK;
}

static void records_written_alone_are_read_back_and_removed(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 5, 12);
    rig_step(&rig);
    static const char *const keys[] = {"aa", "ab", "ac", "b"};
    struct sb_store_record records[4];
    for (size_t i = 0; i < 4; i++) {
        records[i] =
            (struct sb_store_record){.key = sb_span_str(keys[i]), .value = sb_span_str("=1,")};
    }
    assert_int_equal(sb_store_record_write(rig.store, records, 4, NULL), SB_OK);
    sb_store_close(rig.store);
    rig_open(&rig);
    sb_bytes value;
    assert_int_equal(sb_store_record(&value, &rig.arena, rig.store, sb_span_str("ac")), SB_OK);
    assert_true(sb_span_equal(value, sb_span_str("=1,")));
    char text[32] = "";
    assert_int_equal(
        sb_store_record_scan(rig.store, sb_span_str("a"), sb_span_str("ab"), collect, text), SB_OK);
    assert_string_equal(text, "ab=1,ac=1,");
    text[0] = '\0';
    assert_int_equal(
        sb_store_record_scan(rig.store, sb_span_str("a"), sb_span_str("a"), collect, text), SB_OK);
    assert_string_equal(text, "aa=1,ab=1,"); /* the visitor had enough */
    records[2].value = sb_span(NULL, 0);
    assert_int_equal(sb_store_record_write(rig.store, &records[2], 1, NULL), SB_OK);
    assert_int_equal(sb_store_record(&value, &rig.arena, rig.store, sb_span_str("ac")),
                     SB_E_NOT_FOUND);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(store_random_blocks_match_the_model_at_every_kept_block),
        cmocka_unit_test(view_stays_the_same_while_commits_go_on),
        cmocka_unit_test(chain_reads_give_back_what_was_committed),
        cmocka_unit_test(commit_refuses_what_does_not_follow),
        cmocka_unit_test(pending_dropped_changes_nothing),
        cmocka_unit_test(open_says_what_is_wrong_and_what_to_do),
        cmocka_unit_test(read_only_store_reads_and_refuses_commits),
        cmocka_unit_test(commit_that_cannot_be_written_stops_the_store),
        cmocka_unit_test(readers_see_whole_versions_while_blocks_are_committed),
        cmocka_unit_test(verify_accepts_what_commits_made),
        cmocka_unit_test(verify_finds_damage_in_every_family),
        cmocka_unit_test(open_finds_damaged_format_head_and_head_header),
        cmocka_unit_test(rollback_gives_back_the_block_before_and_commits_again),
        cmocka_unit_test(rollback_goes_back_as_far_as_the_history),
        cmocka_unit_test(records_written_alone_are_read_back_and_removed),
        cmocka_unit_test(open_never_makes_a_database_over_other_files),
        cmocka_unit_test(open_after_a_lost_new_manifest_goes_on_from_the_older_one),
        cmocka_unit_test(files_damaged_anywhere_never_verify_with_another_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
