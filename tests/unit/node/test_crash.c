/* test_crash.c: a node killed (SIGKILL) at random moments under transaction load, 50 times in a row, on one data directory.
 *
 * The child is this program again: it opens the chain, sends transfers, makes blocks, and writes the number of each transaction to a
 * pipe once its block is committed: that is an acknowledged receipt. After each kill the parent recovers the chain in its own
 * process and checks that the head is whole and that nothing acknowledged is lost; in the end, that the state rebuilt from its flat form
 * has the header's root. */
#include "tests/unit/node/chain_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/support/random.h"

#define KILLS           50
#define CHILD_TXS_BLOCK 5

static struct fixture f;
static char self[4096];

/* ---- the child ---- */

/* child_main: make blocks until killed; every acknowledged nonce goes to standard output as 8 bytes. */
static int child_main(const char *dir, bool is_old)
{
    memset(&f, 0, sizeof f);
    fixture_init(&f);
    fixture_remove_dir(f.dir); /* its own folder is not needed */
    (void)snprintf(f.db_dir, sizeof f.db_dir, "%s/db", dir);
    (void)snprintf(f.journal_dir, sizeof f.journal_dir, "%s/journal", dir);
    f.is_old = is_old;
    fixture_open(&f);
    struct sb_account account;
    fixture_check(&f, sb_chain_account(&account, f.chain, &f.addrs[0]));
    f.now_ms = sb_chain_head(f.chain).time_ms;
    struct sb_arena_mark mark = sb_arena_mark(&f.arena);
    for (uint64_t nonce = account.nonce;; nonce += CHILD_TXS_BLOCK) {
        for (uint64_t i = 0; i < CHILD_TXS_BLOCK; i++) {
            fixture_send(&f, 0, nonce + i);
        }
        fixture_propose(&f);
        uint64_t acknowledged = nonce + CHILD_TXS_BLOCK;
        if (write(STDOUT_FILENO, &acknowledged, sizeof acknowledged) != sizeof acknowledged) {
            return 1;
        }
        sb_arena_rewind(&f.arena, mark);
    }
}

/* ---- the parent ---- */

static pid_t start_child(int *ret_pipe)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execl(self, self, "child", f.dir, f.is_old ? "old" : "new", (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    *ret_pipe = ends[0];
    return pid;
}

/* run_and_kill: after_us into its start, or into its work once one block is acknowledged. Returns the highest nonce that was acknowledged
 * before the kill, or `known`. */
static uint64_t run_and_kill(bool at_work, useconds_t after_us, uint64_t known)
{
    int in;
    pid_t pid = start_child(&in);
    uint64_t acknowledged;
    if (at_work) {
        assert_int_equal(read(in, &acknowledged, sizeof acknowledged), sizeof acknowledged);
        known = acknowledged;
        f.is_old = true;
    }
    (void)usleep(after_us);
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (read(in, &acknowledged, sizeof acknowledged) == sizeof acknowledged) {
        known = acknowledged;
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    (void)close(in);
    return known;
}

static void check_after_kill(uint64_t acknowledged)
{
    fixture_open(&f);
    struct sb_account account;
    fixture_check(&f, sb_chain_account(&account, f.chain, &f.addrs[0]));
    assert_true(account.nonce >= acknowledged);
    /* Blocks are whole. One that was asked for and not built when the kill came is built at the start, from an empty pool. */
    assert_int_equal(account.nonce % CHILD_TXS_BLOCK, 0);
    assert_true(account.nonce <= sb_chain_head_number(f.chain) * CHILD_TXS_BLOCK);
    fixture_check(&f, sb_chain_check_block(f.chain, sb_chain_head_number(f.chain), &f.diag));
    fixture_close(&f);
}

static void kill_at_random_moments_loses_nothing_acknowledged(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("kill_at_random_moments_loses_nothing_acknowledged");
    fixture_init(&f);
    uint64_t acknowledged = 0;
    for (int i = 0; i < KILLS; i++) {
        bool at_work = i == 0 || sb_random_below(&random, 5) != 0;
        useconds_t after_us = (useconds_t)sb_random_below(&random, 60000);
        acknowledged = run_and_kill(at_work, after_us, acknowledged);
        check_after_kill(acknowledged);
    }
    fixture_open(&f);
    uint64_t head = sb_chain_head_number(f.chain);
    for (uint64_t number = 0; number <= head; number++) {
        fixture_check(&f, sb_chain_check_block(f.chain, number, &f.diag));
    }
    struct sb_store_report report;
    fixture_check(&f, sb_store_verify(&report, sb_chain_store(f.chain), NULL, NULL, &f.diag));
    struct sb_chain_head last = sb_chain_head(f.chain);
    assert_memory_equal(report.rebuilt_root.b, last.header.state_root.b, 32);
    printf("# %llu blocks over %d kills, %llu transactions acknowledged\n",
           (unsigned long long)head, KILLS, (unsigned long long)acknowledged);
    fixture_fini(&f);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "child") == 0) {
        return child_main(argv[2], strcmp(argv[3], "old") == 0);
    }
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len <= 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_at_random_moments_loses_nothing_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
