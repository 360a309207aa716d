/* test_restore.c: snapshot -> requests and answers -> a database that is what replaying would have left; wrong answers; crashes. */
#include "storage/restore.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/util/endian.h"
#include "storage/snapshot.h"
#include "storage/store_internal.h"
#include "tests/support/synthetic.h"
#include "tests/support/temp_dir.h"

#define ANSWER_BYTES (2 * SB_SUBTREE_ANSWER_BYTES_MAX)

static const struct sb_store_identity identity = {.genesis_hash = {{4, 5, 6}}, .chain_id = 23296};

struct rig {
    char parent[TEMP_DIR_PATH_BYTES];
    char source_dir[TEMP_DIR_PATH_BYTES + 16], snapshots_dir[TEMP_DIR_PATH_BYTES + 16],
        restored_dir[TEMP_DIR_PATH_BYTES + 16];
    struct sb_store *source;
    struct sb_snapshots *snapshots;
    struct synthetic_chain chain;
    struct sb_store_block block; /* the newest */
    struct sb_arena arena;
    struct sb_buf answer;
};

/* ---- a source ---- */

static struct sb_store *store_open(const char *dir)
{
    struct sb_store *store;
    const struct sb_store_options options = {
        .create = true, .history_blocks = 4, .cache_bytes = 4 << 20};
    struct sb_diag diag = {""};
    if (sb_store_open(&store, dir, &identity, &options, &diag) != SB_OK) {
        fail_msg("%s", diag.text);
    }
    return store;
}

static void commit(struct rig *rig, struct sb_store *store, const struct sb_state_diff *diff,
                   bool seal)
{
    sb_hash root;
    struct sb_store_pending *pending;
    struct sb_diag diag = {""};
    assert_int_equal(sb_store_root(&root, &pending, store, diff), SB_OK);
    if (seal) {
        rig->block = synthetic_seal(&rig->chain, &root);
    }
    if (sb_store_commit_take(store, pending, &rig->block, &diag) != SB_OK) {
        fail_msg("%s", diag.text);
    }
}

static int account_order(const void *a, const void *b)
{
    const struct sb_account_diff *left = a, *right = b;
    return memcmp(left->addr.b, right->addr.b, sizeof left->addr.b);
}

/* account_make: plain, or a contract with code (few codes, so shared), and storage of very different sizes. */
static struct sb_account_diff account_make(struct rig *rig, struct sb_random *random, size_t slots)
{
    struct sb_account_diff account = {.exists = true, .nonce = sb_random_below(random, 4)};
    sb_random_fill(random, account.addr.b, sizeof account.addr.b);
    account.balance = sb_u256_from_u64(sb_random_u64(random) >> sb_random_below(random, 64));
    account.code_hash = sb_hash_keccak_empty;
    if (slots == 0 && sb_random_below(random, 4) != 0) {
        return account;
    }
    size_t code_len = 1 + 700 * sb_random_below(random, 30);
    uint8_t *code = sb_arena_zalloc(&rig->arena, code_len);
    assert_non_null(code);
    code[0] = 0x60;
    account.code = sb_span(code, code_len);
    account.code_changed = true;
    account.code_hash = sb_keccak256(account.code);
    struct sb_slot_diff *list = sb_arena_array(&rig->arena, slots + 1, sizeof *list);
    assert_non_null(list);
    for (size_t i = 0; i < slots; i++) {
        list[i] = (struct sb_slot_diff){.value = sb_u256_from_u64(sb_random_u64(random) | 1)};
        be_store64(list[i].key.b + 24, i);
        if (i % 3 == 0) {
            list[i].value = sb_u256_from_u64(1); /* short leaves */
        }
    }
    account.slots = list;
    account.slot_count = slots;
    return account;
}

/* source_fill: a block, one with `accounts` accounts more, one of them with many slots; then blocks that change, remove and create. */
static void source_fill(struct rig *rig, struct sb_random *random, size_t accounts,
                        size_t many_slots, size_t blocks)
{
    struct sb_account_diff *list = sb_arena_array(&rig->arena, accounts + 1, sizeof *list);
    assert_non_null(list);
    for (size_t i = 0; i < accounts; i++) {
        size_t some = sb_random_below(random, 8) == 0 ? 1 + sb_random_below(random, 12) : 0;
        list[i] = account_make(rig, random, i == accounts / 2 ? many_slots : some);
    }
    qsort(list, accounts, sizeof *list, account_order);
    const struct sb_state_diff diff = {.accounts = list, .account_count = accounts};
    if (blocks != 0) {
        struct sb_state_diff first = synthetic_next(&rig->chain);
        commit(rig, rig->source, &first, true);
    }
    commit(rig, rig->source, &diff, true); /* the model of the chain is not asked */
    for (size_t i = 0; i < blocks; i++) {
        struct sb_state_diff next = synthetic_next(&rig->chain);
        commit(rig, rig->source, &next, true);
    }
}

static void rig_init(struct rig *rig, uint64_t seed)
{
    memset(rig, 0, sizeof *rig);
    temp_dir_make(rig->parent);
    (void)snprintf(rig->source_dir, sizeof rig->source_dir, "%s/source", rig->parent);
    (void)snprintf(rig->snapshots_dir, sizeof rig->snapshots_dir, "%s/snapshots", rig->parent);
    (void)snprintf(rig->restored_dir, sizeof rig->restored_dir, "%s/restored", rig->parent);
    synthetic_init(&rig->chain, seed, 12);
    sb_arena_init(&rig->arena, (size_t)1 << 28);
    sb_buf_init(&rig->answer, ANSWER_BYTES);
    rig->source = store_open(rig->source_dir);
    struct sb_diag diag = {""};
    if (sb_snapshots_open(&rig->snapshots, rig->snapshots_dir, &identity, 2, &diag) != SB_OK) {
        fail_msg("%s", diag.text);
    }
}

static void rig_fini(struct rig *rig)
{
    sb_snapshots_close(rig->snapshots);
    sb_store_close(rig->source);
    synthetic_fini(&rig->chain);
    sb_buf_fini(&rig->answer);
    sb_arena_fini(&rig->arena);
    temp_dir_remove(rig->parent);
}

static struct sb_snapshot *snapshot_take(struct rig *rig)
{
    uint64_t height;
    struct sb_diag diag = {""};
    if (sb_snapshots_take(&height, rig->snapshots, rig->source, &diag) != SB_OK) {
        fail_msg("%s", diag.text);
    }
    assert_int_equal(height, sb_store_head(rig->source).number);
    struct sb_snapshot *snapshot = sb_snapshots_find(rig->snapshots, height);
    assert_non_null(snapshot);
    return snapshot;
}

/* ---- restoring ---- */

static struct sb_restore_goal goal_of(const struct rig *rig)
{
    return (struct sb_restore_goal){.number = rig->block.number,
                                    .block_hash = rig->block.block_hash,
                                    .state_root = rig->block.state_root};
}

static struct sb_restore *restore_open(const struct rig *rig)
{
    struct sb_restore_goal goal = goal_of(rig);
    struct sb_restore *restore;
    struct sb_diag diag = {""};
    if (sb_restore_open(&restore, rig->restored_dir, &identity, &goal, &diag) != SB_OK) {
        fail_msg("%s", diag.text);
    }
    return restore;
}

static sb_bytes answer(struct rig *rig, struct sb_snapshot *snapshot,
                       const struct sb_subtree_request *request, size_t leaves_bytes)
{
    sb_buf_reset(&rig->answer);
    sb_err err = sb_store_answer(&rig->answer, sb_snapshot_store(snapshot), request, leaves_bytes);
    if (err != SB_OK) {
        fail_msg("kind %d, path of %u nibbles: %s", (int)request->kind, request->path.count,
                 sb_err_text(err));
    }
    assert_true(rig->answer.len <= SB_SUBTREE_ANSWER_BYTES_MAX);
    return sb_buf_bytes(&rig->answer);
}

/* pump: ask and take until nothing is open, or `most` answers; the most requests that were open at a time. */
static uint64_t pump(struct rig *rig, struct sb_restore *restore, struct sb_snapshot *snapshot,
                     size_t leaves_bytes, size_t most)
{
    uint64_t open_max = 0;
    struct sb_subtree_request requests[16];
    for (size_t taken = 0; taken < most && !sb_restore_is_complete(restore);) {
        size_t count;
        struct sb_diag diag = {""};
        assert_int_equal(sb_restore_next(requests, &count, restore, 16), SB_OK);
        assert_true(count > 0);
        for (size_t i = count; i-- > 0; taken++) { /* any order */
            sb_bytes bytes = answer(rig, snapshot, &requests[i], leaves_bytes);
            if (sb_restore_take(restore, &requests[i], bytes, &diag) != SB_OK) {
                fail_msg("%s", diag.text);
            }
        }
        uint64_t open = sb_restore_progress(restore).open_count;
        open_max = open > open_max ? open : open_max;
    }
    return open_max;
}

static void blobs_want(struct sb_restore *restore, struct sb_snapshot *snapshot)
{
    sb_hash ids[3], after;
    size_t count;
    const sb_hash *from = NULL;
    do {
        assert_int_equal(sb_store_blob_ids(ids, &count, sb_snapshot_store(snapshot), from, 3),
                         SB_OK);
        assert_int_equal(sb_restore_want_blobs(restore, ids, count), SB_OK);
        if (count != 0) {
            after = ids[count - 1];
            from = &after;
        }
    } while (count == 3);
}

static void finish(struct rig *rig, struct sb_restore *restore)
{
    struct sb_diag diag = {""};
    if (sb_restore_finish(restore, &rig->block, &diag) != SB_OK) {
        fail_msg("%s", diag.text);
    }
    sb_restore_close(restore);
}

static void family_same(struct sb_store *a, struct sb_store *b, enum sb_family family)
{
    struct sb_db_iter *left = sb_db_iter_new(a->db, NULL, family);
    struct sb_db_iter *right = sb_db_iter_new(b->db, NULL, family);
    bool more = sb_db_iter_first(left, sb_span(NULL, 0), sb_span("", 0));
    bool more_right = sb_db_iter_first(right, sb_span(NULL, 0), sb_span("", 0));
    while (more && more_right) {
        assert_true(sb_span_equal(sb_db_iter_key(left), sb_db_iter_key(right)));
        assert_true(sb_span_equal(sb_db_iter_value(left), sb_db_iter_value(right)));
        more = sb_db_iter_next(left);
        more_right = sb_db_iter_next(right);
    }
    assert_false(more || more_right);
    sb_db_iter_free(left);
    sb_db_iter_free(right);
}

static void verify(struct sb_store *store)
{
    struct sb_store_report report;
    struct sb_diag diag = {""};
    if (sb_store_verify(&report, store, NULL, NULL, &diag) != SB_OK) {
        fail_msg("%s", diag.text);
    }
}

/* check_restored: the database is sound, the same as the source, and goes on with the chain. */
static void check_restored(struct rig *rig)
{
    static const enum sb_family same[] = {SB_FAMILY_ACCOUNT, SB_FAMILY_SLOT, SB_FAMILY_ACCOUNT_TRIE,
                                          SB_FAMILY_SLOT_TRIE, SB_FAMILY_BLOB};
    struct sb_store *restored = store_open(rig->restored_dir);
    verify(restored);
    assert_int_equal(sb_store_oldest(restored), rig->block.number);
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        family_same(rig->source, restored, same[i]);
    }
    struct sb_state_diff next = synthetic_next(&rig->chain);
    commit(rig, rig->source, &next, true);
    commit(rig, restored, &next, false);
    verify(restored);
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        family_same(rig->source, restored, same[i]);
    }
    sb_store_close(restored);
}

/* ---- tests ---- */

static void restore_whole_state_gives_the_same_database(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    static const size_t leaves_bytes[] = {1, 300, 4000, 0};
    for (size_t i = 0; i < 4; i++) {
        struct rig rig;
        rig_init(&rig, random.state + i);
        source_fill(&rig, &random, 400, 900, 20);
        struct sb_snapshot *snapshot = snapshot_take(&rig);
        struct sb_restore *restore = restore_open(&rig);
        uint64_t open_max = pump(&rig, restore, snapshot, leaves_bytes[i], SIZE_MAX);
        assert_true(open_max < 600);
        blobs_want(restore, snapshot);
        (void)pump(&rig, restore, snapshot, leaves_bytes[i], SIZE_MAX);
        assert_int_equal(sb_restore_progress(restore).permille, 1000);
        finish(&rig, restore);
        check_restored(&rig);
        sb_snapshot_unref(snapshot);
        rig_fini(&rig);
    }
}

static void restore_small_states_give_the_same_database(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    for (size_t accounts = 0; accounts < 4; accounts++) {
        struct rig rig;
        rig_init(&rig, random.state);
        source_fill(&rig, &random, accounts, accounts, 0);
        struct sb_snapshot *snapshot = snapshot_take(&rig);
        struct sb_restore *restore = restore_open(&rig);
        (void)pump(&rig, restore, snapshot, 1, SIZE_MAX);
        finish(&rig, restore);
        check_restored(&rig);
        sb_snapshot_unref(snapshot);
        rig_fini(&rig);
    }
}

/* wrong_make: an answer with a fault of a kind; false when this answer cannot have it. */
static bool wrong_make(struct sb_buf *out, struct rig *rig, struct sb_random *random,
                       const struct sb_subtree_request *request, sb_bytes right, unsigned kind)
{
    struct sb_rlp in = sb_rlp_open(right), fields, list;
    uint64_t form;
    static struct sb_subtree_leaf leaves[4096];
    size_t count = 0;
    uint8_t key[32];
    assert_int_equal(sb_rlp_read_list(&fields, &in), SB_OK);
    assert_int_equal(sb_rlp_read_u64(&form, &fields), SB_OK);
    sb_buf_reset(out);
    if (kind == 0) { /* a flipped bit */
        size_t bit = sb_random_below(random, 8 * right.len);
        sb_buf_add(out, right.data, right.len);
        out->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        return true;
    }
    if (kind == 1) { /* cut short, or longer */
        sb_buf_add(out, right.data, right.len - sb_random_below(random, 2));
        if (out->len == right.len) {
            sb_buf_add_byte(out, 0);
        }
        return true;
    }
    if (form != 2) {
        return false;
    }
    assert_int_equal(sb_rlp_read_list(&list, &fields), SB_OK);
    while (!sb_rlp_done(&list) && count < 4095) {
        struct sb_rlp pair;
        assert_int_equal(sb_rlp_read_list(&pair, &list), SB_OK);
        assert_int_equal(sb_rlp_read_bytes(&leaves[count].key, &pair, 32), SB_OK);
        assert_int_equal(sb_rlp_read_bytes(&leaves[count].record, &pair, 128), SB_OK);
        count++;
    }
    size_t at = sb_random_below(random, count);
    switch (kind) {
    case 2: /* one leaf left out */
        memmove(leaves + at, leaves + at + 1, (count - at - 1) * sizeof leaves[0]);
        count--;
        break;
    case 3: /* one leaf more */
        memcpy(key, leaves[count - 1].key.data, 32);
        for (size_t i = 31; key[i]++ == 0xff && i > 0; i--) {
        }
        leaves[count++] = (struct sb_subtree_leaf){sb_span(key, 32), leaves[at].record};
        break;
    case 4: /* out of order */
        if (count < 2) {
            return false;
        }
        at = at == 0 ? 1 : at;
        struct sb_subtree_leaf moved = leaves[at];
        leaves[at] = leaves[at - 1];
        leaves[at - 1] = moved;
        break;
    case 5: /* another's record */
        if (sb_span_equal(leaves[at].record, leaves[0].record)) {
            return false;
        }
        leaves[at].record = leaves[0].record;
        break;
    default: /* twice the same */
        leaves[count] = leaves[count - 1];
        count++;
        break;
    }
    (void)rig;
    (void)request;
    sb_subtree_answer_leaves(out, leaves, count);
    return true;
}

static void refuse(struct sb_restore *restore, const struct sb_subtree_request *request,
                   sb_bytes wrong)
{
    struct sb_restore_progress before = sb_restore_progress(restore);
    struct sb_diag diag = {""};
    assert_int_equal(sb_restore_take(restore, request, wrong, &diag), SB_E_REFUSED);
    assert_true(diag.text[0] != '\0');
    struct sb_restore_progress after = sb_restore_progress(restore);
    assert_int_equal(before.open_count, after.open_count);
    assert_int_equal(before.bytes, after.bytes);
}

static void restore_wrong_answers_are_refused_and_change_nothing(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    struct rig rig;
    struct sb_buf wrong;
    size_t tried[8] = {0};
    rig_init(&rig, random.state);
    sb_buf_init(&wrong, ANSWER_BYTES);
    source_fill(&rig, &random, 300, 400, 4);
    struct sb_snapshot *stale = snapshot_take(&rig);
    struct sb_state_diff next = synthetic_next(&rig.chain);
    commit(&rig, rig.source, &next, true);
    struct sb_snapshot *snapshot = snapshot_take(&rig);
    struct sb_restore *restore = restore_open(&rig);
    struct sb_subtree_request request, before = {.kind = 0};
    size_t count, stale_count = 0, elsewhere = 0;
    while (!sb_restore_is_complete(restore)) {
        assert_int_equal(sb_restore_next(&request, &count, restore, 1), SB_OK);
        assert_int_equal(count, 1);
        size_t leaves_bytes = 200 + sb_random_below(&random, 4000);
        sb_bytes copy = answer(&rig, snapshot, &request, leaves_bytes);
        uint8_t *right = malloc(copy.len);
        size_t right_len = copy.len;
        memcpy(right, copy.data, copy.len);
        for (unsigned kind = 0; kind < 7; kind++) {
            if (wrong_make(&wrong, &rig, &random, &request, sb_span(right, right_len), kind)) {
                refuse(restore, &request, sb_buf_bytes(&wrong));
                tried[kind]++;
            }
        }
        if (before.kind != 0) { /* of another place */
            sb_bytes other = answer(&rig, snapshot, &before, leaves_bytes);
            refuse(restore, &request, other);
            elsewhere++;
        }
        sb_buf_reset(&rig.answer); /* of a snapshot that is not the one asked for */
        if (sb_store_answer(&rig.answer, sb_snapshot_store(stale), &request, leaves_bytes) ==
                SB_OK &&
            !sb_span_equal(sb_buf_bytes(&rig.answer), sb_span(right, right_len))) {
            struct sb_diag diag = {""};
            sb_err err = sb_restore_take(restore, &request, sb_buf_bytes(&rig.answer), &diag);
            assert_int_equal(err, SB_E_REFUSED);
            stale_count++;
        }
        assert_int_equal(sb_restore_take(restore, &request, sb_span(right, right_len), NULL),
                         SB_OK);
        /* what is closed is closed */
        assert_int_equal(sb_restore_take(restore, &request, sb_span(right, right_len), NULL),
                         SB_E_NOT_FOUND);
        before = request;
        free(right);
    }
    for (size_t kind = 0; kind < 7; kind++) {
        assert_true(tried[kind] > 0);
    }
    assert_true(stale_count > 0 && elsewhere > 0);
    blobs_want(restore, snapshot);
    (void)pump(&rig, restore, snapshot, 0, SIZE_MAX);
    finish(&rig, restore);
    check_restored(&rig);
    sb_snapshot_unref(stale);
    sb_snapshot_unref(snapshot);
    sb_buf_fini(&wrong);
    rig_fini(&rig);
}

static void restore_unfinished_is_no_database(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    struct rig rig;
    rig_init(&rig, random.state);
    source_fill(&rig, &random, 200, 100, 3);
    struct sb_snapshot *snapshot = snapshot_take(&rig);
    struct sb_restore *restore = restore_open(&rig);
    (void)pump(&rig, restore, snapshot, 500, 20);
    struct sb_diag diag = {""};
    assert_int_equal(sb_restore_finish(restore, &rig.block, &diag), SB_E_ARG);
    sb_restore_close(restore);
    struct sb_store *store;
    const struct sb_store_options options = {.create = true};
    assert_int_equal(sb_store_open(&store, rig.restored_dir, &identity, &options, &diag),
                     SB_E_BUSY);
    struct sb_restore_goal pending, goal = goal_of(&rig);
    assert_int_equal(sb_restore_pending(&pending, rig.restored_dir, &identity, &diag), SB_OK);
    assert_int_equal(pending.number, goal.number);
    /* another goal: all of it goes; and back */
    struct sb_snapshot *newer;
    struct sb_state_diff next = synthetic_next(&rig.chain);
    commit(&rig, rig.source, &next, true);
    newer = snapshot_take(&rig);
    restore = restore_open(&rig);
    assert_int_equal(sb_restore_progress(restore).open_count, 1);
    (void)pump(&rig, restore, newer, 500, SIZE_MAX);
    blobs_want(restore, newer);
    (void)pump(&rig, restore, newer, 500, SIZE_MAX);
    finish(&rig, restore);
    goal = goal_of(&rig);
    assert_int_equal(sb_restore_open(&restore, rig.restored_dir, &identity, &goal, &diag),
                     SB_E_EXISTS);
    check_restored(&rig);
    sb_snapshot_unref(snapshot);
    sb_snapshot_unref(newer);
    rig_fini(&rig);
}

/* restore_child: restores in a process that the parent kills: also between the end of the work and the end of the process. */
static void restore_child(struct rig *rig, struct sb_snapshot *snapshot)
{
    struct sb_restore_goal goal = goal_of(rig);
    struct sb_restore *restore;
    struct sb_diag diag = {""};
    sb_err err = sb_restore_open(&restore, rig->restored_dir, &identity, &goal, &diag);
    if (err != SB_OK) { /* never back into the tests: they are the parent's */
        print_message("# the child cannot open: %s\n", diag.text);
        _exit(err == SB_E_EXISTS ? 0 : 1);
    }
    (void)pump(rig, restore, snapshot, 200, SIZE_MAX);
    blobs_want(restore, snapshot);
    (void)pump(rig, restore, snapshot, 200, SIZE_MAX);
    finish(rig, restore);
    _exit(0);
}

static void restore_killed_anywhere_goes_on(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    struct rig rig;
    rig_init(&rig, random.state);
    source_fill(&rig, &random, 500, 1500, 6);
    struct sb_snapshot *snapshot = snapshot_take(&rig);
    bool done = false;
    unsigned kills = 0;
    for (unsigned round = 0; !done; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            restore_child(&rig, snapshot);
        }
        if (round < 40) {
            struct timespec wait = {.tv_nsec = (long)sb_random_below(&random, 120000000)};
            (void)nanosleep(&wait, NULL);
            (void)kill(child, SIGKILL);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFSIGNALED(status)) {
            assert_int_equal(WTERMSIG(status), SIGKILL);
            kills++;
        } else {
            assert_int_equal(WEXITSTATUS(status), 0);
            done = true;
        }
    }
    print_message("# %u kills\n", kills);
    check_restored(&rig);
    sb_snapshot_unref(snapshot);
    rig_fini(&rig);
}

static void snapshots_keep_the_newest_and_survive_reopening(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    struct rig rig;
    uint64_t heights[SB_SNAPSHOTS_MAX], height;
    struct sb_diag diag = {""};
    rig_init(&rig, random.state);
    source_fill(&rig, &random, 20, 5, 1);
    sb_snapshot_unref(snapshot_take(&rig));
    assert_int_equal(sb_snapshots_take(&height, rig.snapshots, rig.source, &diag), SB_E_EXISTS);
    struct sb_snapshot *held = sb_snapshots_find(rig.snapshots, 2);
    for (size_t i = 0; i < 2; i++) {
        struct sb_state_diff next = synthetic_next(&rig.chain);
        commit(&rig, rig.source, &next, true);
        sb_snapshot_unref(snapshot_take(&rig));
    }
    assert_int_equal(sb_snapshots_list(heights, rig.snapshots), 2);
    assert_int_equal(heights[0], 4);
    assert_int_equal(heights[1], 3);
    assert_null(sb_snapshots_find(rig.snapshots, 2));
    struct sb_subtree_request all = {.kind = SB_SUBTREE_ACCOUNTS};
    (void)answer(&rig, held, &all, 0); /* it is gone, but whoever holds it can go on */
    sb_snapshot_unref(held);
    sb_snapshots_close(rig.snapshots);
    assert_int_equal(sb_snapshots_open(&rig.snapshots, rig.snapshots_dir, &identity, 1, &diag),
                     SB_OK);
    assert_int_equal(sb_snapshots_list(heights, rig.snapshots), 1);
    assert_int_equal(heights[0], 4);
    rig_fini(&rig);
}

static void prune_old_blocks_leaves_a_sound_smaller_database(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init(__func__);
    struct rig rig;
    struct sb_diag diag = {""};
    struct sb_arena arena;
    sb_bytes bytes;
    rig_init(&rig, random.state);
    sb_arena_init(&arena, (size_t)1 << 24);
    source_fill(&rig, &random, 4, 20, 700);
    uint64_t head = sb_store_head(rig.source).number;
    assert_int_equal(sb_store_prune(rig.source, head - 3, &diag), SB_E_ARG);
    sb_hash old_hash;
    struct sb_header_record record;
    assert_int_equal(sb_header_record_get(&record, rig.source->db, NULL, 600), SB_OK);
    old_hash = record.block_hash;
    sb_db_value_free(&record.holder);
    assert_int_equal(sb_db_flush(rig.source->db, &diag), SB_OK);
    uint64_t before = sb_store_stats(rig.source).table_bytes;
    if (sb_store_prune(rig.source, 690, &diag) != SB_OK) {
        fail_msg("%s", diag.text);
    }
    assert_true(sb_store_stats(rig.source).table_bytes < before / 2);
    assert_int_equal(sb_store_oldest(rig.source), 690);
    assert_int_equal(sb_store_body(&bytes, &arena, rig.source, 689), SB_E_NOT_FOUND);
    assert_int_equal(sb_store_body(&bytes, &arena, rig.source, 690), SB_OK);
    uint64_t number;
    assert_int_equal(sb_store_number_by_hash(&number, rig.source, &old_hash), SB_E_NOT_FOUND);
    verify(rig.source);
    sb_store_close(rig.source);
    rig.source = store_open(rig.source_dir);
    assert_int_equal(sb_store_oldest(rig.source), 690);
    struct sb_state_diff next = synthetic_next(&rig.chain);
    commit(&rig, rig.source, &next, true);
    verify(rig.source);
    sb_arena_fini(&arena);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restore_whole_state_gives_the_same_database),
        cmocka_unit_test(restore_small_states_give_the_same_database),
        cmocka_unit_test(restore_wrong_answers_are_refused_and_change_nothing),
        cmocka_unit_test(restore_unfinished_is_no_database),
        cmocka_unit_test(restore_killed_anywhere_goes_on),
        cmocka_unit_test(snapshots_keep_the_newest_and_survive_reopening),
        cmocka_unit_test(prune_old_blocks_leaves_a_sound_smaller_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
