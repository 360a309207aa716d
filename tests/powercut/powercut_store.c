/* powercut_store.c: power cuts under the store and the signing journal.
 *
 *     checker --spawns--> writer (preloaded with shim.c) --pipe--> "S height": signed, "C height": committed
 *        |                   |
 *        |                   power cut after a random number of writes: image of the disk
 *        +-- opens the image: nothing acknowledged is lost, sb_store_verify passes, no second signature is possible;
 *            then the next writer goes on from that image, up to CUTS_A_CHAIN cuts
 *
 *     powercut_store SHIM                     POWERCUT_RUNS cuts (default 200) from POWERCUT_FIRST_SEED (default 1)
 *     powercut_store writer DIR SEED          what the checker spawns
 *
 * Chains, cuts and losses come from the seed; RocksDB's threads add some chance of their own. A failure prints the command that
 * repeats its chain. The last line is "N passed, M failed, 0 skipped". */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util/assert.h"
#include "storage/journal.h"
#include "storage/store.h"
#include "tests/support/synthetic.h"
#include "tests/support/temp_dir.h"

#define BLOCKS          400
#define ACCOUNTS        10
#define HISTORY         16
#define CUTS_A_CHAIN    4
#define CUT_AFTER_MAX   500
#define CRASH_STATUS    77
#define INPUT_BYTES_MAX 12000
#define PATH_BYTES      (TEMP_DIR_PATH_BYTES + 64)

static const struct sb_store_identity chain_identity = {.genesis_hash = {{0x5b}},
                                                        .chain_id = 23296};
static const struct sb_journal_identity key_identity = {.genesis_hash = {{0x5b}},
                                                        .public_key = {0x11}};

/* ---- what both sides know ---- */

static struct sb_journal_place place_of(uint64_t height)
{
    return (struct sb_journal_place){
        .height = height + 1, .round = 0, .step = SB_JOURNAL_PRECOMMIT};
}

static void signature_of(uint8_t ret[64], uint64_t seed, uint64_t height)
{
    struct sb_random random = {.state = seed ^ (height << 20)};
    sb_random_fill(&random, ret, 64);
}

/* block_next: the seed's next block; sealed with the model's root. */
static struct sb_store_block block_next(struct synthetic_chain *chain,
                                        struct sb_state_diff *ret_diff)
{
    *ret_diff = synthetic_next(chain);
    sb_hash root = sb_memory_state_root(chain->model);
    return synthetic_seal(chain, &root);
}

static void check_ok(sb_err err, const char *what, const struct sb_diag *diag)
{
    if (err != SB_OK) {
        (void)fprintf(stderr, "%s: %s: %s\n", what, sb_err_text(err), diag->text);
        exit(1);
    }
}

/* ---- writer ---- */

struct writer {
    uint64_t seed;
    struct sb_store *store;
    struct sb_journal *journal;
    struct synthetic_chain chain;
};

static void report(char kind, uint64_t height)
{
    char line[64];
    int len = snprintf(line, sizeof line, "%c %" PRIu64 "\n", kind, height);
    SB_ASSERT(write(STDOUT_FILENO, line, (size_t)len) == len);
}

static void writer_sign(struct writer *w, const struct sb_store_block *block)
{
    struct sb_diag diag = {""};
    struct sb_journal_place place = place_of(block->number);
    sb_bytes bytes = sb_span(block->block_hash.b, 32);
    static const uint8_t input[INPUT_BYTES_MAX];
    uint8_t signature[64];
    size_t input_len = (size_t)sb_random_below(&w->chain.random, INPUT_BYTES_MAX);
    check_ok(sb_journal_append(w->journal, 16, place.height, sb_span(input, input_len)), "append",
             &diag);
    sb_err may = sb_journal_may_sign(signature, w->journal, &place, bytes, &diag);
    if (may != SB_E_EXISTS) {
        check_ok(may, "may sign", &diag);
        signature_of(signature, w->seed, block->number);
        check_ok(sb_journal_signed(w->journal, &place, bytes, signature), "signed", &diag);
    }
    report('S', block->number);
}

static void writer_commit(struct writer *w, const struct sb_store_block *block,
                          const struct sb_state_diff *diff)
{
    struct sb_diag diag = {""};
    struct sb_store_pending *pending;
    sb_hash root;
    check_ok(sb_store_root(&root, &pending, w->store, diff), "root", &diag);
    check_ok(sb_store_commit_take(w->store, pending, block, &diag), "commit", &diag);
    report('C', block->number);
    check_ok(sb_journal_end_height(w->journal, block->number + 1), "end height", &diag);
}

static int writer_main(const char *dir, uint64_t seed)
{
    struct writer w = {.seed = seed};
    struct sb_diag diag = {""};
    char path[PATH_BYTES], wal[PATH_BYTES + 16];
    const struct sb_store_options options = {
        .create = true, .history_blocks = HISTORY, .cache_bytes = 1 << 20};
    (void)snprintf(path, sizeof path, "%s/journal", dir);
    (void)snprintf(wal, sizeof wal, "%s/00000001.wal", path);
    struct sb_journal_recovery recovery;
    check_ok(sb_journal_open_folder(&w.journal, path, &key_identity, access(wal, F_OK) != 0,
                                    &recovery, &diag),
             "journal", &diag);
    (void)snprintf(path, sizeof path, "%s/db", dir);
    check_ok(sb_store_open(&w.store, path, &chain_identity, &options, &diag), "store", &diag);
    struct sb_store_head head = sb_store_head(w.store);
    synthetic_init(&w.chain, seed, ACCOUNTS);
    while (w.chain.number < BLOCKS) {
        struct sb_state_diff diff;
        struct sb_store_block block = block_next(&w.chain, &diff);
        if (head.exists && block.number <= head.number) {
            continue;
        }
        struct sb_random kept =
            w.chain.random; /* what the journal draws is not part of the chain */
        writer_sign(&w, &block);
        w.chain.random = kept;
        writer_commit(&w, &block, &diff);
    }
    synthetic_fini(&w.chain);
    sb_store_close(w.store);
    sb_journal_close(w.journal);
    return 0;
}

/* ---- checker ---- */

struct acknowledged {
    bool any_signed, any_committed;
    uint64_t last_signed, last_committed;
};

struct checker {
    const char *self, *shim;
    char parent[TEMP_DIR_PATH_BYTES];
    char data[PATH_BYTES], image[PATH_BYTES];
    uint64_t seed;
    struct acknowledged acknowledged;
    char problem[1024];
};

static bool problem(struct checker *c, const char *what, const struct sb_diag *diag)
{
    (void)snprintf(c->problem, sizeof c->problem, "%s: %s", what, diag != NULL ? diag->text : "");
    return false;
}

static void writer_exec(const struct checker *c, int out, uint64_t after, uint64_t loss_seed)
{
    char number[32], seed[32];
    (void)dup2(out, STDOUT_FILENO);
    (void)setenv("LD_PRELOAD", c->shim, 1);
    (void)setenv("POWERCUT_DIR", c->data, 1);
    (void)setenv("POWERCUT_IMAGE", c->image, 1);
    (void)snprintf(number, sizeof number, "%" PRIu64, after);
    (void)setenv("POWERCUT_AFTER", number, 1);
    (void)snprintf(number, sizeof number, "%" PRIu64, loss_seed);
    (void)setenv("POWERCUT_SEED", number, 1);
    (void)snprintf(seed, sizeof seed, "%" PRIu64, c->seed);
    (void)execl(c->self, c->self, "writer", c->data, seed, (char *)NULL);
    _exit(79);
}

/* writer_run: true when it ended by the cut or finished all blocks; what it acknowledged is noted. */
static bool writer_run(struct checker *c, bool *ret_cut, uint64_t after, uint64_t loss_seed)
{
    int ends[2];
    SB_ASSERT(pipe(ends) == 0);
    (void)fflush(NULL);
    pid_t child = fork();
    SB_ASSERT(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        writer_exec(c, ends[1], after, loss_seed);
    }
    (void)close(ends[1]);
    FILE *lines = fdopen(ends[0], "r");
    char kind;
    uint64_t height;
    while (fscanf(lines, " %c %" SCNu64, &kind, &height) == 2) {
        if (kind == 'S') {
            c->acknowledged.any_signed = true;
            c->acknowledged.last_signed = height;
        } else {
            c->acknowledged.any_committed = true;
            c->acknowledged.last_committed = height;
        }
    }
    (void)fclose(lines);
    int status;
    SB_ASSERT(waitpid(child, &status, 0) == child);
    *ret_cut = WIFEXITED(status) && WEXITSTATUS(status) == CRASH_STATUS;
    if (!*ret_cut && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        (void)snprintf(c->problem, sizeof c->problem,
                       "the writer failed with status %d (its message stands above)", status);
        return false;
    }
    return true;
}

static bool store_check(struct checker *c)
{
    struct sb_diag diag = {""};
    char path[PATH_BYTES + 16];
    (void)snprintf(path, sizeof path, "%s/db", c->data);
    const struct acknowledged *a = &c->acknowledged;
    const struct sb_store_options options = {
        .create = !a->any_committed, .history_blocks = HISTORY, .cache_bytes = 1 << 20};
    struct sb_store *store;
    if (sb_store_open(&store, path, &chain_identity, &options, &diag) != SB_OK) {
        return problem(c, "the store does not open", &diag);
    }
    struct sb_store_head head = sb_store_head(store);
    struct sb_store_report found;
    bool ok = true;
    if (a->any_committed && (!head.exists || head.number < a->last_committed)) {
        ok = problem(c, "an acknowledged block is lost", NULL);
    } else if (head.exists && head.number > (a->any_committed ? a->last_committed + 1 : 0)) {
        ok = problem(c, "the head is more than one block ahead of what was acknowledged", NULL);
    } else if (sb_store_verify(&found, store, NULL, NULL, &diag) != SB_OK) {
        ok = problem(c, "the store does not verify", &diag);
    }
    if (ok && head.exists) {
        struct synthetic_chain chain;
        struct sb_store_block block = {.number = 0};
        synthetic_init(&chain, c->seed, ACCOUNTS);
        while (chain.number <= head.number) {
            struct sb_state_diff diff;
            block = block_next(&chain, &diff);
        }
        if (!sb_hash_equal(&block.block_hash, &head.block_hash) ||
            !sb_hash_equal(&block.state_root, &found.rebuilt_root)) {
            ok = problem(c, "the head is not the block that was committed", NULL);
        }
        synthetic_fini(&chain);
    }
    /* What this life found, the next one may not lose; and it starts there, though its writer never said so. */
    c->acknowledged.any_committed = head.exists;
    c->acknowledged.last_committed = head.number;
    sb_store_close(store);
    return ok;
}

static bool journal_check(struct checker *c)
{
    const struct acknowledged *a = &c->acknowledged;
    if (!a->any_signed) {
        return true;
    }
    struct sb_diag diag = {""};
    char path[PATH_BYTES + 16];
    (void)snprintf(path, sizeof path, "%s/journal", c->data);
    struct sb_journal *journal;
    struct sb_journal_recovery recovery;
    if (sb_journal_open_folder(&journal, path, &key_identity, false, &recovery, &diag) != SB_OK) {
        return problem(c, "the journal does not open", &diag);
    }
    struct sb_journal_place place = place_of(a->last_signed);
    uint8_t signature[64];
    bool ok = sb_journal_may_sign(signature, journal, &place, sb_span_str("other bytes"), &diag) ==
              SB_E_ARG;
    sb_journal_close(journal);
    return ok || problem(c, "a second signature is possible", NULL);
}

/* cut_once: one writer, one power cut, all checks. */
static bool cut_once(struct checker *c, struct sb_random *random, bool *ret_cut)
{
    uint64_t after = 1 + sb_random_below(random, CUT_AFTER_MAX), loss_seed = sb_random_u64(random);
    if (!writer_run(c, ret_cut, after, loss_seed)) {
        return false;
    }
    if (*ret_cut) {
        temp_dir_remove(c->data);
        if (rename(c->image, c->data) != 0) {
            return problem(c, "the image is missing", NULL);
        }
    }
    return journal_check(c) && store_check(c);
}

/* chain_run: cuts in a row on one data folder; returns how many passed, stops at the first failure. */
static unsigned chain_run(struct checker *c, uint64_t seed, unsigned most, bool *ret_failed)
{
    struct sb_random random = {.state = seed * UINT64_C(0x9e3779b97f4a7c15)};
    c->seed = seed;
    c->acknowledged = (struct acknowledged){.any_signed = false};
    c->problem[0] = 0;
    temp_dir_make(c->parent);
    (void)snprintf(c->data, sizeof c->data, "%s/data", c->parent);
    (void)snprintf(c->image, sizeof c->image, "%s/image", c->parent);
    SB_ASSERT(mkdir(c->data, 0755) == 0);
    unsigned done = 0;
    bool cut = true;
    *ret_failed = false;
    while (done < most && done < CUTS_A_CHAIN && cut) {
        if (!cut_once(c, &random, &cut)) {
            (void)printf("FAIL seed %" PRIu64 ", cut %u: %s\n  repeat: POWERCUT_FIRST_SEED=%" PRIu64
                         " POWERCUT_RUNS=%d %s %s\n  files:  %s\n",
                         seed, done, c->problem, seed, CUTS_A_CHAIN, c->self, c->shim, c->parent);
            *ret_failed = true;
            return done;
        }
        done++;
    }
    temp_dir_remove(c->parent);
    return done;
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "writer") == 0) {
        return writer_main(argv[2], strtoull(argv[3], NULL, 10));
    }
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s path/of/libpowercut.so\n", argv[0]);
        return 2;
    }
    struct checker c = {.self = argv[0], .shim = argv[1]};
    uint64_t runs = env_number("POWERCUT_RUNS", 200), seed = env_number("POWERCUT_FIRST_SEED", 1);
    unsigned passed = 0, failed = 0;
    while (passed + failed < runs) {
        bool chain_failed;
        passed += chain_run(&c, seed++, (unsigned)(runs - passed - failed), &chain_failed);
        failed += chain_failed ? 1 : 0;
        (void)fflush(stdout);
    }
    (void)printf("%u passed, %u failed, 0 skipped\n", passed, failed);
    return failed == 0 && passed != 0 ? 0 : 1;
}
