/* test_driver_chain.c: the driver over the real chain: heights from proposal to commit, and recovery from the two cases that a crash can leave. */
#include "tests/unit/node/chain_fixture.h"

#include <dirent.h>

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

static void copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    static char block[65536];
    size_t len;
    while ((len = fread(block, 1, sizeof block, in)) != 0) {
        assert_int_equal(fwrite(block, 1, len, out), len);
    }
    assert_int_equal(fclose(out), 0);
    assert_int_equal(fclose(in), 0);
}

/* copy_dir: the plain files of a folder (a closed database has no others). */
static void copy_dir(const char *from, const char *to)
{
    assert_int_equal(mkdir(to, 0700), 0);
    DIR *dir = opendir(from);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char a[400];
        char b[400];
        struct stat info;
        (void)snprintf(a, sizeof a, "%s/%s", from, entry->d_name);
        (void)snprintf(b, sizeof b, "%s/%s", to, entry->d_name);
        assert_int_equal(stat(a, &info), 0);
        if (S_ISREG(info.st_mode)) {
            copy_file(a, b);
        }
    }
    assert_int_equal(closedir(dir), 0);
}

/* put_db_back: the database becomes that of an earlier copy, as if its last batches had never been written. */
static void put_db_back(const char *copy)
{
    fixture_remove_dir(f.db_dir);
    assert_int_equal(rename(copy, f.db_dir), 0);
}

/* ---- heights ---- */

static void propose_commits_transactions_with_receipts(void **state)
{
    (void)state;
    fixture_send(&f, 0, 0);
    fixture_send(&f, 0, 1);
    fixture_send(&f, 1, 0);
    fixture_propose(&f);
    struct sb_chain_head head = sb_chain_head(f.chain);
    assert_int_equal(head.header.number, 1);
    assert_int_equal(head.header.gas_used, 63000);
    assert_int_equal(head.header.timestamp, f.now_ms / 1000);
    assert_int_equal(head.time_ms, f.now_ms);
    assert_int_equal(head.header.gas_limit, 30000000);
    struct sb_account account;
    fixture_check(&f, sb_chain_account(&account, f.chain, &f.addrs[0]));
    assert_int_equal(account.nonce, 2);
    fixture_check(&f, sb_chain_check_block(f.chain, 1, &f.diag));
    assert_true(sb_driver_is_idle(f.driver));
}

static void propose_when_nothing_waits_makes_no_block_unless_empty_is_allowed(void **state)
{
    (void)state;
    bool started = true;
    fixture_check(&f, sb_driver_start_if_work(&started, f.driver, &f.diag));
    assert_false(started);
    assert_int_equal(sb_chain_head_number(f.chain), 0);
    assert_true(sb_driver_is_idle(f.driver));
    fixture_check(&f, sb_driver_start_height(f.driver, &f.diag));
    assert_int_equal(sb_chain_head_number(f.chain), 1);
}

static void propose_with_standing_clock_moves_time_by_one_ms(void **state)
{
    (void)state;
    fixture_propose(&f);
    uint64_t first = sb_chain_head(f.chain).time_ms;
    fixture_check(&f, sb_driver_start_height(f.driver, &f.diag));
    assert_int_equal(sb_chain_head(f.chain).time_ms, first + 1);
    f.now_ms -= 10000;
    fixture_check(&f, sb_driver_start_height(f.driver, &f.diag));
    assert_int_equal(sb_chain_head(f.chain).time_ms, first + 2);
}

static void propose_links_each_block_to_the_last_commit(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct sb_chain_head before = sb_chain_head(f.chain);
        fixture_propose(&f);
        struct sb_chain_head after = sb_chain_head(f.chain);
        assert_memory_equal(after.header.parent_beacon_root.b, before.consensus_id.b, 32);
        assert_memory_equal(after.header.parent_hash.b, before.block_hash.b, 32);
        assert_memory_not_equal(after.header.mix_hash.b, before.header.mix_hash.b, 32);
        fixture_check(&f, sb_chain_check_block(f.chain, after.header.number, &f.diag));
    }
}

static void propose_burns_the_base_fee_and_pays_the_tip(void **state)
{
    (void)state;
    sb_u256 base_fee = sb_chain_next_base_fee(f.chain);
    fixture_send(&f, 0, 0);
    fixture_propose(&f);
    struct sb_account miner;
    fixture_check(&f, sb_chain_account(&miner, f.chain, &f.genesis.fee_recipient));
    sb_u256 tip = fixture_gwei(FIXTURE_TIP_GWEI);
    sb_u256 gas = sb_u256_from_u64(21000);
    sb_u256 paid = sb_u256_mul(&tip, &gas);
    assert_true(sb_u256_equal(&miner.balance, &paid));
    sb_u256 next = sb_chain_next_base_fee(f.chain);
    assert_true(sb_u256_lt(&next, &base_fee)); /* the block was nearly empty */
}

static void builder_stops_at_the_gas_limit(void **state)
{
    (void)state;
    fixture_close(&f);
    fixture_remove_dir(f.db_dir);
    fixture_remove_dir(f.journal_dir);
    f.is_old = false;
    f.genesis.params.gas_limit = 5000000;
    f.genesis.gas_limit = 5000000;
    fixture_open(&f);
    for (uint64_t nonce = 0; nonce < 300; nonce++) {
        fixture_send(&f, 0, nonce);
    }
    fixture_propose(&f);
    assert_int_equal(sb_chain_head(f.chain).header.gas_used, 5000000 / 21000 * 21000);
    fixture_propose(&f);
    assert_int_equal(sb_mempool_status(f.mempool).pending, 0);
    struct sb_account account;
    fixture_check(&f, sb_chain_account(&account, f.chain, &f.addrs[0]));
    assert_int_equal(account.nonce, 300);
}

/* ---- restart ---- */

static void restart_continues_the_chain(void **state)
{
    (void)state;
    fixture_send(&f, 0, 0);
    fixture_propose(&f);
    struct sb_chain_head before = sb_chain_head(f.chain);
    fixture_close(&f);
    fixture_open(&f);
    struct sb_chain_head after = sb_chain_head(f.chain);
    assert_int_equal(after.header.number, 1);
    assert_memory_equal(after.block_hash.b, before.block_hash.b, 32);
    assert_memory_equal(after.consensus_id.b, before.consensus_id.b, 32);
    assert_int_equal(after.time_ms, before.time_ms);
    fixture_send(&f, 0, 1);
    fixture_propose(&f);
    assert_int_equal(sb_chain_head_number(f.chain), 2);
    fixture_check(&f, sb_chain_check_block(f.chain, 2, &f.diag));
}

static void restart_with_journal_ahead_runs_the_same_height_again(void **state)
{
    (void)state;
    char copy[100];
    (void)snprintf(copy, sizeof copy, "%s/db-before", f.dir);
    fixture_propose(&f);
    fixture_close(&f);
    copy_dir(f.db_dir, copy);
    fixture_open(&f);
    fixture_send(&f, 0, 0);
    fixture_propose(&f);
    struct sb_chain_head lost = sb_chain_head(f.chain);
    fixture_close(&f);
    put_db_back(copy);
    f.now_ms += 5000; /* another clock, an empty pool: only the journal can give the same block */
    fixture_open(&f);
    struct sb_chain_head found = sb_chain_head(f.chain);
    assert_int_equal(found.header.number, 2);
    assert_memory_equal(found.block_hash.b, lost.block_hash.b, 32);
    assert_memory_equal(found.consensus_id.b, lost.consensus_id.b, 32);
    assert_int_equal(found.header.gas_used, 21000);
    fixture_check(&f, sb_chain_check_block(f.chain, 2, &f.diag));
    fixture_propose(&f);
    assert_int_equal(sb_chain_head_number(f.chain), 3);
}

static void restart_with_two_heights_lost_is_refused(void **state)
{
    (void)state;
    char copy[100];
    (void)snprintf(copy, sizeof copy, "%s/db-before", f.dir);
    fixture_close(&f);
    copy_dir(f.db_dir, copy);
    fixture_open(&f);
    fixture_propose(&f);
    fixture_propose(&f);
    fixture_close(&f);
    put_db_back(copy);
    fixture_check(&f, fixture_try_open_chain(&f));
    assert_int_equal(fixture_try_open_driver(&f), SB_E_CORRUPT);
    assert_non_null(strstr(f.diag.text, "committed blocks were lost"));
}

static size_t size_of(const char *path)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return (size_t)info.st_size;
}

/* is_signed: the journal in the folder holds a signature of height 2. */
static bool is_signed(void)
{
    struct sb_journal_identity identity;
    struct sb_journal_recovery found;
    struct sb_journal *journal;
    struct sb_journal_place last = {.height = 0};
    assert_int_equal(sb_genesis_hash(&identity.genesis_hash, &f.genesis), SB_OK);
    memcpy(identity.public_key, f.validator_secret + 32, sizeof identity.public_key);
    fixture_check(
        &f, sb_journal_open_folder(&journal, f.journal_dir, &identity, false, &found, &f.diag));
    (void)sb_journal_last_signed(&last, journal);
    sb_journal_close(journal);
    return last.height == 2;
}

/* recover_from: database before block 2, and the journal of block 2 cut after `len` bytes: the chain must go on from there. If anything
 * of it was signed, block 2 is the one that was lost; else nobody has seen it. */
static void recover_from(const char *journal, size_t len, const char *db_copy,
                         const sb_hash *lost_block)
{
    char path[120];
    fixture_remove_dir(f.db_dir);
    fixture_remove_dir(f.journal_dir);
    copy_dir(db_copy, f.db_dir);
    copy_dir(journal, f.journal_dir);
    (void)snprintf(path, sizeof path, "%s/00000001.wal", f.journal_dir);
    assert_int_equal(truncate(path, (off_t)len), 0);
    bool must_be_same = is_signed();
    fixture_open(&f);
    struct sb_chain_head head = sb_chain_head(f.chain);
    assert_true(head.header.number == 1 || head.header.number == 2);
    if (head.header.number == 1) {
        assert_false(must_be_same);
        fixture_propose(&f);
    } else if (must_be_same) {
        assert_memory_equal(head.block_hash.b, lost_block->b, 32);
    }
    fixture_check(&f, sb_chain_check_block(f.chain, 2, &f.diag));
    fixture_propose(&f);
    assert_int_equal(sb_chain_head_number(f.chain), 3);
    fixture_close(&f);
}

static void restart_from_every_part_of_the_journal_recovers(void **state)
{
    (void)state;
    char db_copy[100];
    char journal_copy[100];
    char path[120];
    (void)snprintf(db_copy, sizeof db_copy, "%s/db-copy", f.dir);
    (void)snprintf(journal_copy, sizeof journal_copy, "%s/journal-copy", f.dir);
    (void)snprintf(path, sizeof path, "%s/00000001.wal", f.journal_dir);
    fixture_propose(&f);
    fixture_close(&f);
    copy_dir(f.db_dir, db_copy);
    size_t before = size_of(path);
    fixture_open(&f);
    fixture_send(&f, 0, 0);
    fixture_propose(&f);
    sb_hash lost_block = sb_chain_head(f.chain).block_hash;
    fixture_close(&f);
    size_t after = size_of(path);
    copy_dir(f.journal_dir, journal_copy);
    assert_true(after > before);
    printf("# %zu bytes of journal for one height\n", after - before);
    for (size_t len = before; len <= after; len += 41) {
        recover_from(journal_copy, len, db_copy, &lost_block);
    }
    recover_from(journal_copy, after, db_copy, &lost_block);
    assert_int_equal(f.diag.text[0], '\0');
}

static void start_with_journal_that_ends_before_the_head_is_refused(void **state)
{
    (void)state;
    char path[120];
    (void)snprintf(path, sizeof path, "%s/00000001.wal", f.journal_dir);
    fixture_propose(&f);
    fixture_close(&f);
    size_t before = size_of(path);
    fixture_open(&f);
    fixture_propose(&f);
    fixture_close(&f);
    assert_int_equal(truncate(path, (off_t)before), 0);
    fixture_check(&f, fixture_try_open_chain(&f));
    assert_int_equal(fixture_try_open_driver(&f), SB_E_CORRUPT);
    assert_non_null(strstr(f.diag.text, "journal ends at height 1"));
}

static void start_without_journal_is_refused(void **state)
{
    (void)state;
    fixture_propose(&f);
    fixture_close(&f);
    fixture_remove_dir(f.journal_dir);
    fixture_check(&f, fixture_try_open_chain(&f));
    assert_int_equal(fixture_try_open_driver(&f), SB_E_NOT_FOUND);
}

static void start_with_other_key_is_refused(void **state)
{
    (void)state;
    fixture_close(&f);
    fixture_check(&f, fixture_try_open_chain(&f));
    uint8_t saved[64];
    memcpy(saved, f.validator_secret, sizeof saved);
    f.validator_secret[40] ^= 1;
    assert_int_equal(fixture_try_open_driver(&f), SB_E_ARG);
    assert_non_null(strstr(f.diag.text, "another validator key"));
    memcpy(f.validator_secret, saved, sizeof saved);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(propose_commits_transactions_with_receipts),
        CASE(propose_when_nothing_waits_makes_no_block_unless_empty_is_allowed),
        CASE(propose_with_standing_clock_moves_time_by_one_ms),
        CASE(propose_links_each_block_to_the_last_commit),
        CASE(propose_burns_the_base_fee_and_pays_the_tip),
        CASE(builder_stops_at_the_gas_limit),
        CASE(restart_continues_the_chain),
        CASE(restart_with_journal_ahead_runs_the_same_height_again),
        CASE(restart_with_two_heights_lost_is_refused),
        CASE(restart_from_every_part_of_the_journal_recovers),
        CASE(start_with_journal_that_ends_before_the_head_is_refused),
        CASE(start_without_journal_is_refused),
        CASE(start_with_other_key_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
