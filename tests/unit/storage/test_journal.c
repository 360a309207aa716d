/* test_journal.c: the signing journal: the double-sign guard, replay, rotation, torn tails at every byte, damage at every bit. */
#include "storage/journal.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto/keccak.h"
#include "storage/journal_format.h"
#include "tests/support/memory_disk.h"
#include "tests/support/random.h"
#include "tests/support/temp_dir.h"

static const struct sb_journal_identity identity = {.genesis_hash = {{4, 5}}, .public_key = {6, 7}};

struct rig {
    char parent[TEMP_DIR_PATH_BYTES];
    char dir[TEMP_DIR_PATH_BYTES + 16];
    char file[TEMP_DIR_PATH_BYTES + 48];
    struct sb_journal *journal;
    struct sb_journal_recovery recovery;
    struct sb_diag diag;
};

static sb_err rig_open(struct rig *rig, bool create_new)
{
    rig->diag = (struct sb_diag){""};
    return sb_journal_open_folder(&rig->journal, rig->dir, &identity, create_new, &rig->recovery,
                                  &rig->diag);
}

static void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    temp_dir_make(rig->parent);
    (void)snprintf(rig->dir, sizeof rig->dir, "%s/journal", rig->parent);
    (void)snprintf(rig->file, sizeof rig->file, "%s/00000001.wal", rig->dir);
    assert_int_equal(rig_open(rig, true), SB_OK);
    assert_true(rig->recovery.created);
}

static void rig_reopen(struct rig *rig)
{
    sb_journal_close(rig->journal);
    sb_err err = rig_open(rig, false);
    if (err != SB_OK) {
        fail_msg("%s", rig->diag.text);
    }
}

static void rig_fini(struct rig *rig)
{
    sb_journal_close(rig->journal);
    temp_dir_remove(rig->parent);
}

static struct sb_journal_place place(uint64_t height, uint32_t round, enum sb_journal_step step)
{
    return (struct sb_journal_place){.height = height, .round = round, .step = step};
}

static sb_err may(struct rig *rig, struct sb_journal_place at, const char *bytes)
{
    uint8_t signature[64];
    return sb_journal_may_sign(signature, rig->journal, &at, sb_span_str(bytes), &rig->diag);
}

static void sign(struct rig *rig, struct sb_journal_place at, const char *bytes)
{
    uint8_t signature[64];
    memset(signature, bytes[0], sizeof signature);
    assert_int_equal(may(rig, at, bytes), SB_OK);
    assert_int_equal(sb_journal_signed(rig->journal, &at, sb_span_str(bytes), signature), SB_OK);
}

/* ---- the guard ---- */

static void check_guard(struct rig *rig)
{
    uint8_t signature[64];
    struct sb_journal_place at = place(5, 1, SB_JOURNAL_PREVOTE);
    assert_int_equal(sb_journal_may_sign(signature, rig->journal, &at, sb_span_str("vote"), NULL),
                     SB_E_EXISTS);
    assert_int_equal(signature[0], 'v');
    assert_int_equal(signature[63], 'v');
    assert_int_equal(may(rig, at, "other"), SB_E_ARG);
    assert_int_equal(may(rig, at, "vot"), SB_E_ARG);
    assert_int_equal(may(rig, at, ""), SB_E_ARG);
    assert_int_equal(may(rig, place(5, 1, SB_JOURNAL_PROPOSAL), "vote"), SB_E_ARG);
    assert_int_equal(may(rig, place(5, 0, SB_JOURNAL_PRECOMMIT), "vote"), SB_E_ARG);
    assert_int_equal(may(rig, place(4, 9, SB_JOURNAL_PRECOMMIT), "vote"), SB_E_ARG);
    assert_int_equal(may(rig, place(5, 1, SB_JOURNAL_PRECOMMIT), "vote"), SB_OK);
    assert_int_equal(may(rig, place(5, 2, SB_JOURNAL_PROPOSAL), "vote"), SB_OK);
    assert_int_equal(may(rig, place(6, 0, SB_JOURNAL_PROPOSAL), "vote"), SB_OK);
}

static void guard_refuses_other_bytes_and_earlier_places(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    assert_int_equal(may(&rig, place(1, 0, SB_JOURNAL_PROPOSAL), "x"), SB_OK);
    sign(&rig, place(5, 1, SB_JOURNAL_PREVOTE), "vote");
    check_guard(&rig);
    rig_reopen(&rig);
    check_guard(&rig);
    uint8_t signature[64] = {0};
    struct sb_journal_place at = place(5, 1, SB_JOURNAL_PREVOTE);
    assert_int_equal(sb_journal_signed(rig.journal, &at, sb_span_str("other"), signature),
                     SB_E_ARG);
    at.height = 4;
    assert_int_equal(sb_journal_signed(rig.journal, &at, sb_span_str("vote"), signature), SB_E_ARG);
    at = place(9, 0, (enum sb_journal_step)4);
    assert_int_equal(sb_journal_may_sign(signature, rig.journal, &at, sb_span_str("x"), NULL),
                     SB_E_ARG);
    rig_fini(&rig);
}

static void guard_gives_stored_signatures_of_the_height_in_work(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    sign(&rig, place(7, 0, SB_JOURNAL_PROPOSAL), "proposal");
    sign(&rig, place(7, 0, SB_JOURNAL_PREVOTE), "prevote");
    sign(&rig, place(7, 0, SB_JOURNAL_PRECOMMIT), "commit");
    rig_reopen(&rig);
    assert_int_equal(may(&rig, place(7, 0, SB_JOURNAL_PROPOSAL), "proposal"), SB_E_EXISTS);
    assert_int_equal(may(&rig, place(7, 0, SB_JOURNAL_PREVOTE), "prevote"), SB_E_EXISTS);
    assert_int_equal(may(&rig, place(7, 0, SB_JOURNAL_PREVOTE), "else"), SB_E_ARG);
    assert_int_equal(sb_journal_end_height(rig.journal, 9), SB_OK);
    assert_int_equal(may(&rig, place(7, 0, SB_JOURNAL_PROPOSAL), "proposal"),
                     SB_E_ARG); /* forgotten: refused all the same */
    assert_int_equal(may(&rig, place(7, 0, SB_JOURNAL_PRECOMMIT), "commit"),
                     SB_E_EXISTS); /* the last stays for ever */
    rig_reopen(&rig);
    assert_int_equal(may(&rig, place(7, 0, SB_JOURNAL_PRECOMMIT), "commit"), SB_E_EXISTS);
    assert_int_equal(may(&rig, place(7, 0, SB_JOURNAL_PRECOMMIT), "else"), SB_E_ARG);
    rig_fini(&rig);
}

/* ---- imported histories ---- */

static sb_err import(struct rig *rig, struct sb_journal_place at, uint8_t hash, bool *ret_raised)
{
    const struct sb_journal_history history = {.place = at, .sign_bytes_hash = {{hash}}};
    return sb_journal_import(ret_raised, rig->journal, &history, &rig->diag);
}

static void check_floor(struct rig *rig)
{
    struct sb_journal_history history;
    assert_true(sb_journal_history(&history, rig->journal));
    assert_int_equal(history.place.height, 20);
    assert_int_equal(history.place.round, 2);
    assert_int_equal(history.place.step, SB_JOURNAL_PREVOTE);
    assert_int_equal(history.sign_bytes_hash.b[0], 9);
    assert_int_equal(may(rig, place(5, 1, SB_JOURNAL_PREVOTE), "vote"), SB_E_EXISTS);
    assert_int_equal(may(rig, place(5, 1, SB_JOURNAL_PRECOMMIT), "x"), SB_E_ARG);
    assert_int_equal(may(rig, place(20, 2, SB_JOURNAL_PREVOTE), "x"), SB_E_ARG);
    assert_non_null(strstr(rig->diag.text, "imported"));
    /* a later vote of that height would be without the lock of those that were signed elsewhere */
    assert_int_equal(may(rig, place(20, 2, SB_JOURNAL_PRECOMMIT), "x"), SB_E_ARG);
    assert_int_equal(may(rig, place(20, 3, SB_JOURNAL_PREVOTE), "x"), SB_E_ARG);
    assert_int_equal(may(rig, place(21, 0, SB_JOURNAL_PROPOSAL), "x"), SB_OK);
}

static void import_forbids_everything_up_to_its_height_for_ever(void **state)
{
    (void)state;
    struct rig rig;
    bool raised = false;
    rig_init(&rig);
    sign(&rig, place(5, 1, SB_JOURNAL_PREVOTE), "vote");
    assert_int_equal(import(&rig, place(20, 2, SB_JOURNAL_PREVOTE), 9, &raised), SB_OK);
    assert_true(raised);
    check_floor(&rig);
    rig_reopen(&rig);
    check_floor(&rig);
    assert_int_equal(import(&rig, place(20, 2, SB_JOURNAL_PREVOTE), 8, &raised), SB_OK);
    assert_false(raised); /* takes the maximum */
    assert_int_equal(import(&rig, place(19, 9, SB_JOURNAL_PRECOMMIT), 8, &raised), SB_OK);
    assert_false(raised);
    assert_int_equal(import(&rig, place(21, 0, (enum sb_journal_step)0), 8, &raised), SB_E_ARG);
    assert_int_equal(import(&rig, place(0, 0, SB_JOURNAL_PREVOTE), 8, &raised), SB_E_ARG);
    check_floor(&rig);
    sign(&rig, place(21, 0, SB_JOURNAL_PRECOMMIT), "later");
    rig_reopen(&rig);
    assert_int_equal(may(&rig, place(20, 2, SB_JOURNAL_PREVOTE), "x"), SB_E_ARG);
    assert_int_equal(may(&rig, place(21, 0, SB_JOURNAL_PRECOMMIT), "later"), SB_E_EXISTS);
    struct sb_journal_history history;
    assert_true(sb_journal_history(&history, rig.journal));
    assert_int_equal(history.place.step, SB_JOURNAL_PRECOMMIT);
    sb_hash expected = sb_keccak256(sb_span_str("later"));
    assert_true(sb_hash_equal(&history.sign_bytes_hash, &expected));
    rig_fini(&rig);
}

/* Two places have signed in one height: this one further, but without the lock of the other. */
static void import_of_an_earlier_place_of_the_same_height_closes_it(void **state)
{
    (void)state;
    struct rig rig;
    bool raised = false;
    struct sb_journal_history own;
    rig_init(&rig);
    sign(&rig, place(20, 0, SB_JOURNAL_PREVOTE), "first");
    sign(&rig, place(20, 2, SB_JOURNAL_PREVOTE), "last");
    assert_true(sb_journal_history(&own, rig.journal));
    assert_int_equal(sb_journal_import(&raised, rig.journal, &own, &rig.diag), SB_OK);
    assert_false(raised); /* its own */
    assert_int_equal(import(&rig, place(19, 5, SB_JOURNAL_PRECOMMIT), 9, &raised), SB_OK);
    assert_false(raised); /* that height is over */
    assert_int_equal(may(&rig, place(20, 2, SB_JOURNAL_PRECOMMIT), "x"), SB_OK);
    assert_int_equal(import(&rig, place(20, 1, SB_JOURNAL_PRECOMMIT), 9, &raised), SB_OK);
    assert_true(raised);
    for (int again = 0; again < 2; again++) {
        struct sb_journal_history last;
        assert_true(sb_journal_history(&last, rig.journal)); /* the later of the two */
        assert_int_equal(sb_journal_place_compare(&last.place, &own.place), 0);
        assert_true(sb_hash_equal(&last.sign_bytes_hash, &own.sign_bytes_hash));
        assert_int_equal(may(&rig, place(20, 2, SB_JOURNAL_PREVOTE), "last"), SB_E_EXISTS);
        assert_int_equal(may(&rig, place(20, 2, SB_JOURNAL_PRECOMMIT), "x"), SB_E_ARG);
        assert_int_equal(may(&rig, place(20, 3, SB_JOURNAL_PREVOTE), "x"), SB_E_ARG);
        assert_non_null(strstr(rig.diag.text, "imported"));
        assert_int_equal(may(&rig, place(21, 0, SB_JOURNAL_PROPOSAL), "x"), SB_OK);
        rig_reopen(&rig);
    }
    assert_int_equal(import(&rig, place(20, 1, SB_JOURNAL_PRECOMMIT), 9, &raised), SB_OK);
    assert_false(raised); /* closed already */
    rig_fini(&rig);
}

/* The same place, but other bytes: not this journal's own vote. */
static void import_of_the_same_place_with_other_bytes_closes_its_height(void **state)
{
    (void)state;
    struct rig rig;
    bool raised = false;
    rig_init(&rig);
    sign(&rig, place(20, 2, SB_JOURNAL_PREVOTE), "last");
    assert_int_equal(import(&rig, place(20, 2, SB_JOURNAL_PREVOTE), 9, &raised), SB_OK);
    assert_true(raised);
    assert_int_equal(may(&rig, place(20, 2, SB_JOURNAL_PREVOTE), "last"), SB_E_EXISTS);
    assert_int_equal(may(&rig, place(20, 3, SB_JOURNAL_PREVOTE), "x"), SB_E_ARG);
    rig_fini(&rig);
}

static void import_into_an_empty_journal_survives_rotation(void **state)
{
    (void)state;
    struct rig rig;
    bool raised = false;
    rig_init(&rig);
    assert_int_equal(import(&rig, place(7, 0, SB_JOURNAL_PRECOMMIT), 1, &raised), SB_OK);
    assert_true(raised);
    uint8_t *bulk = calloc(1, 1 << 20);
    for (uint64_t height = 8; height < 40; height++) {
        assert_int_equal(sb_journal_append(rig.journal, 20, height, sb_span(bulk, 1 << 20)), SB_OK);
        assert_int_equal(sb_journal_end_height(rig.journal, height), SB_OK);
    }
    free(bulk);
    assert_int_equal(access(rig.file, F_OK), -1);
    rig_reopen(&rig);
    assert_int_equal(may(&rig, place(7, 0, SB_JOURNAL_PRECOMMIT), "x"), SB_E_ARG);
    assert_int_equal(may(&rig, place(8, 0, SB_JOURNAL_PROPOSAL), "x"), SB_OK);
    rig_fini(&rig);
}

/* ---- replay and rotation ---- */

struct seen {
    size_t count;
    uint64_t first;
    uint64_t last;
    size_t stop_after;
};

static sb_err see(void *ctx, uint8_t type, uint64_t height, sb_bytes payload)
{
    struct seen *seen = ctx;
    assert_int_equal(type, 16 + height % 5);
    assert_int_equal(payload.len, height % 300);
    for (size_t i = 0; i < payload.len; i++) {
        assert_int_equal(payload.data[i], (uint8_t)(height + i));
    }
    seen->first = seen->count == 0 ? height : seen->first;
    seen->last = height;
    seen->count++;
    return seen->count == seen->stop_after ? SB_E_CANCELLED : SB_OK;
}

static sb_err count_records(void *ctx, uint8_t type, uint64_t height, sb_bytes payload)
{
    (void)type;
    (void)height;
    (void)payload;
    ++*(uint64_t *)ctx;
    return SB_OK;
}

static void append(struct rig *rig, uint64_t height)
{
    uint8_t payload[300];
    for (size_t i = 0; i < sizeof payload; i++) {
        payload[i] = (uint8_t)(height + i);
    }
    assert_int_equal(sb_journal_append(rig->journal, (uint8_t)(16 + height % 5), height,
                                       sb_span(payload, height % 300)),
                     SB_OK);
}

static void replay_visits_inputs_in_order_and_stops_when_told(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    for (uint64_t height = 1; height <= 50; height++) {
        append(&rig, height);
        if (height % 10 == 0) {
            sign(&rig, place(height, 0, SB_JOURNAL_PREVOTE), "v");
        }
    }
    assert_int_equal(sb_journal_append(rig.journal, 15, 1, sb_span(NULL, 0)), SB_E_ARG);
    for (int again = 0; again < 2; again++) {
        struct seen seen = {.count = 0};
        assert_int_equal(sb_journal_replay(rig.journal, 31, see, &seen), SB_OK);
        assert_int_equal(seen.count, 20);
        assert_int_equal(seen.first, 31);
        assert_int_equal(seen.last, 50);
        seen = (struct seen){.stop_after = 3};
        assert_int_equal(sb_journal_replay(rig.journal, 0, see, &seen), SB_E_CANCELLED);
        assert_int_equal(seen.last, 3);
        rig_reopen(&rig);
    }
    rig_fini(&rig);
}

static void rollback_is_remembered_and_takes_nothing_back(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    for (uint64_t height = 1; height <= 9; height++) {
        append(&rig, height);
        sign(&rig, place(height, 0, SB_JOURNAL_PRECOMMIT), "vote");
        if (height <= 8) {
            assert_int_equal(sb_journal_end_height(rig.journal, height), SB_OK);
        }
    }
    assert_int_equal(sb_journal_rolled_back_from(rig.journal), 0);
    const struct sb_journal_rollback rollback = {.from = 8, .to = 7};
    assert_int_equal(sb_journal_rollback(rig.journal, &rollback, &rig.diag), SB_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sb_journal_rolled_back_from(rig.journal), 8);
        assert_int_equal(may(&rig, place(8, 0, SB_JOURNAL_PRECOMMIT), "other"), SB_E_ARG);
        assert_int_equal(may(&rig, place(9, 0, SB_JOURNAL_PREVOTE), "vote"), SB_E_ARG);
        assert_int_equal(may(&rig, place(9, 0, SB_JOURNAL_PRECOMMIT), "vote"), SB_E_EXISTS);
        assert_int_equal(may(&rig, place(9, 1, SB_JOURNAL_PREVOTE), "vote"), SB_OK);
        uint64_t count = 0;
        assert_int_equal(sb_journal_replay(rig.journal, 8, count_records, &count), SB_OK);
        assert_int_equal(count, 2); /* heights 8 and 9 can be run again */
        rig_reopen(&rig);
    }
    rig_fini(&rig);
}

/* Bulk makes the journal rotate, so that the file with the rollback's own record goes. */
static void rollback_lasts_until_its_last_height_has_ended_again(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    uint8_t *bulk = calloc(1, 1 << 20);
    for (uint64_t height = 1; height <= 60; height++) {
        assert_int_equal(sb_journal_end_height(rig.journal, height), SB_OK);
    }
    const struct sb_journal_rollback rollback = {.from = 60, .to = 2};
    assert_int_equal(sb_journal_rollback(rig.journal, &rollback, &rig.diag), SB_OK);
    for (uint64_t height = 3; height <= 61; height++) {
        assert_int_equal(sb_journal_rolled_back_from(rig.journal), height <= 60 ? 60 : 0);
        assert_int_equal(sb_journal_append(rig.journal, 20, height, sb_span(bulk, 1 << 20)), SB_OK);
        assert_int_equal(sb_journal_end_height(rig.journal, height), SB_OK);
        assert_int_equal(sb_journal_last_ended(rig.journal), height < 60 ? 60 : height);
        rig_reopen(&rig);
    }
    free(bulk);
    rig_fini(&rig);
}

static bool file_is_there(const struct rig *rig, const char *name)
{
    char path[TEMP_DIR_PATH_BYTES + 64];
    (void)snprintf(path, sizeof path, "%s/%s", rig->dir, name);
    return access(path, F_OK) == 0;
}

static void journal_rotates_and_keeps_what_it_must(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    uint8_t *bulk = calloc(1, 1 << 20);
    sign(&rig, place(1, 0, SB_JOURNAL_PRECOMMIT), "old");
    for (uint64_t height = 2; height < 40; height++) {
        assert_int_equal(sb_journal_append(rig.journal, 20, height, sb_span(bulk, 1 << 20)), SB_OK);
        assert_int_equal(sb_journal_end_height(rig.journal, height), SB_OK);
    }
    free(bulk);
    assert_false(file_is_there(&rig, "00000001.wal"));
    assert_true(file_is_there(&rig, "00000004.wal"));
    rig_reopen(&rig);
    assert_int_equal(may(&rig, place(1, 0, SB_JOURNAL_PRECOMMIT), "old"), SB_E_EXISTS);
    assert_int_equal(may(&rig, place(1, 0, SB_JOURNAL_PRECOMMIT), "new"), SB_E_ARG);
    assert_int_equal(may(&rig, place(1, 0, SB_JOURNAL_PREVOTE), "new"), SB_E_ARG);
    assert_int_equal(may(&rig, place(2, 0, SB_JOURNAL_PREVOTE), "new"), SB_OK);
    rig_fini(&rig);
}

/* ---- opening ---- */

static void open_refuses_what_does_not_belong(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    sign(&rig, place(1, 0, SB_JOURNAL_PREVOTE), "a");
    struct sb_journal *other;
    struct sb_journal_recovery recovery;
    struct sb_diag diag;
    assert_int_equal(sb_journal_open_folder(&other, rig.dir, &identity, false, &recovery, &diag),
                     SB_E_BUSY);
    sb_journal_close(rig.journal);
    assert_int_equal(sb_journal_open_folder(&other, rig.dir, &identity, true, &recovery, &diag),
                     SB_E_EXISTS);
    struct sb_journal_identity wrong = identity;
    wrong.public_key[31] = 1;
    assert_int_equal(sb_journal_open_folder(&other, rig.dir, &wrong, false, &recovery, &diag),
                     SB_E_ARG);
    assert_non_null(strstr(diag.text, "key"));
    wrong = identity;
    wrong.genesis_hash.b[31] = 1;
    assert_int_equal(sb_journal_open_folder(&other, rig.dir, &wrong, false, &recovery, &diag),
                     SB_E_ARG);
    assert_non_null(strstr(diag.text, "genesis"));
    char absent[TEMP_DIR_PATH_BYTES + 16];
    (void)snprintf(absent, sizeof absent, "%s/absent", rig.parent);
    assert_int_equal(sb_journal_open_folder(&other, absent, &identity, false, &recovery, &diag),
                     SB_E_NOT_FOUND);
    assert_int_equal(mkdir(absent, 0700), 0);
    assert_int_equal(sb_journal_open_folder(&other, absent, &identity, false, &recovery, &diag),
                     SB_E_NOT_FOUND);
    assert_int_equal(rig_open(&rig, false), SB_OK);
    rig_fini(&rig);
}

/* After a write that failed nothing is promised any more, and nothing is signed. */
static void journal_that_cannot_be_written_refuses_everything(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    sign(&rig, place(1, 0, SB_JOURNAL_PREVOTE), "first");
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit tight = {.rlim_cur = 400, .rlim_max = old.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    uint8_t payload[400] = {0}, signature[64] = {0};
    struct sb_journal_place next = place(2, 0, SB_JOURNAL_PREVOTE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    sb_err err = sb_journal_append(rig.journal, 16, 2,
                                   sb_span(payload, sizeof payload)); /* written in part */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(err, SB_E_IO);
    assert_int_equal(sb_journal_sync(rig.journal), SB_E_IO);
    assert_int_equal(sb_journal_append(rig.journal, 16, 2, sb_span(payload, 1)), SB_E_IO);
    assert_int_equal(sb_journal_end_height(rig.journal, 2), SB_E_IO);
    assert_int_equal(
        sb_journal_may_sign(signature, rig.journal, &next, sb_span_str("x"), &rig.diag), SB_E_IO);
    assert_int_equal(sb_journal_signed(rig.journal, &next, sb_span_str("x"), signature), SB_E_IO);
    rig_reopen(&rig);
    assert_true(rig.recovery.torn_bytes > 0);
    assert_int_equal(may(&rig, place(1, 0, SB_JOURNAL_PREVOTE), "first"), SB_E_EXISTS);
    sign(&rig, next, "x");
    rig_fini(&rig);
}

/* ---- damage ---- */

static uint8_t *file_load(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *ret_len = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*ret_len + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *ret_len, file), *ret_len);
    (void)fclose(file);
    return bytes;
}

static void file_store(const char *path, const uint8_t *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* small_journal: a few inputs and two signatures, closed; its bytes. */
static uint8_t *small_journal(struct rig *rig, size_t *ret_len)
{
    rig_init(rig);
    append(rig, 3);
    sign(rig, place(3, 0, SB_JOURNAL_PREVOTE), "first");
    append(rig, 4);
    sign(rig, place(4, 0, SB_JOURNAL_PREVOTE), "second");
    append(rig, 5);
    sb_journal_close(rig->journal);
    return file_load(rig->file, ret_len);
}

/* Each cut gives a journal with the records before it, or, inside the header, a refusal; the cut part is kept in a copy. */
static void journal_cut_at_every_byte_keeps_whole_records(void **state)
{
    (void)state;
    struct rig rig;
    size_t len;
    uint8_t *bytes = small_journal(&rig, &len);
    for (size_t cut = 0; cut <= len; cut++) {
        file_store(rig.file, bytes, cut);
        sb_err err = rig_open(&rig, false);
        if (cut < SB_JOURNAL_HEADER_BYTES) {
            assert_int_equal(err, SB_E_CORRUPT);
            continue;
        }
        assert_int_equal(err, SB_OK);
        size_t kept_len, end = SB_JOURNAL_HEADER_BYTES, count = 0;
        struct sb_journal_record record;
        while (sb_journal_record_parse(&record, sb_span(bytes, cut), 1, end)) {
            end += sb_journal_record_bytes(&record);
            count += record.type != SB_JOURNAL_MARK ? 1 : 0;
        }
        assert_int_equal(rig.recovery.record_count, count);
        assert_int_equal(rig.recovery.torn_bytes, cut - end);
        append(&rig, 9); /* it goes on from there */
        sb_journal_close(rig.journal);
        uint8_t *kept = file_load(rig.file, &kept_len);
        assert_true(kept_len > end);
        assert_memory_equal(kept, bytes, end);
        free(kept);
        if (cut != end) {
            char copy[TEMP_DIR_PATH_BYTES + 96];
            (void)snprintf(copy, sizeof copy, "%s/00000001.torn-%zu-0", rig.dir, end);
            kept = file_load(copy, &kept_len);
            assert_int_equal(kept_len, cut - end);
            assert_memory_equal(kept, bytes + end, kept_len);
            free(kept);
            assert_int_equal(unlink(copy), 0);
        }
    }
    free(bytes);
    temp_dir_remove(rig.parent);
}

static void journal_with_any_bit_flipped_is_refused_or_loses_only_its_last_mark(void **state)
{
    (void)state;
    struct rig rig;
    size_t len;
    uint8_t *bytes = small_journal(&rig, &len);
    size_t last_mark = len - SB_JOURNAL_RECORD_HEADER_BYTES;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ (1u << bit % 8));
        file_store(rig.file, bytes, len);
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ (1u << bit % 8));
        sb_err err = rig_open(&rig, false);
        if (bit / 8 < last_mark) {
            assert_true(err == SB_E_CORRUPT || err == SB_E_VERSION);
            assert_true(rig.diag.text[0] != 0);
            continue;
        }
        assert_int_equal(err, SB_OK);
        assert_int_equal(may(&rig, place(4, 0, SB_JOURNAL_PREVOTE), "second"), SB_E_EXISTS);
        assert_int_equal(may(&rig, place(4, 0, SB_JOURNAL_PREVOTE), "other"), SB_E_ARG);
        sb_journal_close(rig.journal);
    }
    free(bytes);
    temp_dir_remove(rig.parent);
}

/* A power cut may keep a later unsynced page and lose an earlier one: that is a torn tail, not damage. */
static void journal_with_a_hole_in_its_unsynced_tail_is_cut(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    sign(&rig, place(3, 0, SB_JOURNAL_PREVOTE), "first");
    size_t before;
    free(file_load(rig.file, &before));
    append(&rig, 40);
    append(&rig, 50);
    append(&rig, 60);
    size_t len;
    uint8_t *bytes = file_load(rig.file, &len);
    sb_journal_close(rig.journal);
    memset(bytes + before, 0, 64);
    file_store(rig.file, bytes, len);
    free(bytes);
    assert_int_equal(rig_open(&rig, false), SB_OK);
    assert_int_equal(rig.recovery.torn_bytes, len - before);
    assert_int_equal(may(&rig, place(3, 0, SB_JOURNAL_PREVOTE), "first"), SB_E_EXISTS);
    rig_fini(&rig);
}

static void journal_with_a_file_missing_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    uint8_t *bulk = calloc(1, 1 << 20);
    for (uint64_t i = 0; i < 25; i++) {
        assert_int_equal(sb_journal_append(rig.journal, 20, 1, sb_span(bulk, 1 << 20)), SB_OK);
    }
    free(bulk);
    sb_journal_close(rig.journal);
    char second[TEMP_DIR_PATH_BYTES + 48];
    (void)snprintf(second, sizeof second, "%s/00000002.wal", rig.dir);
    assert_int_equal(unlink(second), 0);
    assert_int_equal(rig_open(&rig, false), SB_E_CORRUPT);
    assert_non_null(strstr(rig.diag.text, "00000002.wal"));
    temp_dir_remove(rig.parent);
}

/* Power is lost after a new file was begun: the file before it must be whole on the disk, with its last mark. */
static void file_before_the_last_has_no_unsynced_tail(void **state)
{
    (void)state;
    struct memory_disk disk = {.file_count = 0};
    struct sb_journal_disk table = memory_disk_table(&disk);
    struct sb_journal_recovery recovery;
    struct sb_journal *journal;
    uint8_t *bulk = calloc(1, 1 << 20);
    assert_int_equal(sb_journal_open(&journal, &table, &identity, true, &recovery, NULL), SB_OK);
    for (uint64_t i = 0; i < 12; i++) {
        assert_int_equal(sb_journal_append(journal, 20, 1, sb_span(bulk, 1 << 20)), SB_OK);
    }
    free(bulk);
    assert_int_equal(disk.file_count, 2);
    for (size_t i = 0; i < disk.file_count; i++) {
        const struct memory_file *file = &disk.files[i];
        bool is_last = strcmp(file->name, "00000002.wal") == 0;
        assert_true(is_last || file->durable == file->len);
    }
    sb_journal_close(journal);
    memory_disk_fini(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guard_refuses_other_bytes_and_earlier_places),
        cmocka_unit_test(guard_gives_stored_signatures_of_the_height_in_work),
        cmocka_unit_test(import_forbids_everything_up_to_its_height_for_ever),
        cmocka_unit_test(import_of_an_earlier_place_of_the_same_height_closes_it),
        cmocka_unit_test(import_of_the_same_place_with_other_bytes_closes_its_height),
        cmocka_unit_test(import_into_an_empty_journal_survives_rotation),
        cmocka_unit_test(replay_visits_inputs_in_order_and_stops_when_told),
        cmocka_unit_test(rollback_is_remembered_and_takes_nothing_back),
        cmocka_unit_test(rollback_lasts_until_its_last_height_has_ended_again),
        cmocka_unit_test(journal_rotates_and_keeps_what_it_must),
        cmocka_unit_test(open_refuses_what_does_not_belong),
        cmocka_unit_test(journal_that_cannot_be_written_refuses_everything),
        cmocka_unit_test(journal_cut_at_every_byte_keeps_whole_records),
        cmocka_unit_test(journal_with_any_bit_flipped_is_refused_or_loses_only_its_last_mark),
        cmocka_unit_test(journal_with_a_hole_in_its_unsynced_tail_is_cut),
        cmocka_unit_test(journal_with_a_file_missing_is_refused),
        cmocka_unit_test(file_before_the_last_has_no_unsynced_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
