/* crash.c: a real node, killed at random moments under transaction load, again and again on one data directory.
 *
 *     life:  samebit run --> check what earlier lives acknowledged --> load --> kill -9 (or power cut)
 *                 ^                                                               |
 *                 +--- journal read: no place signed twice; commits = journal <---+    every 5th time: samebit verify
 *
 *     crash [--runs N] [--seed S] [--power-cut SHIM] [--samebit PROGRAM] [--keep]
 *
 * One life in five ends during its start. With --power-cut the node runs under tests/powercut/shim.c and goes on from the image of a
 * disk that lost a random part of what was not synced.
 *
 * Load, moments and losses come from the seed; the scheduler adds some chance of its own. A failure prints the command that repeats it
 * and keeps the data directory. The last line is "N passed, M failed, 0 skipped", a case for each life. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/codec/hex.h"
#include "base/types/consensus.h"
#include "base/util/assert.h"
#include "storage/store.h"
#include "tests/crash/load.h"
#include "tests/crash/signed_places.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

#define CHAIN_ID          4711
#define START_MS_MAX      120000
#define END_MS_MAX        60000
#define VERIFY_MS_MAX     300000
#define VERIFY_EVERY      5
#define SAMPLE            100 /* older receipts that are asked for again in each life */
#define COMMITS_CHECKED   64
#define CUT_STATUS        77
#define CUT_START_MAX     120  /* writes and syncs of a start, about */
#define CUT_LOAD_MAX      3000 /* and of a second or two of load */
#define STORE_ARENA_BYTES ((size_t)256 << 20)
#define PATH_BYTES        (TEMP_DIR_PATH_BYTES + 64)

struct options {
    uint64_t runs, seed;
    const char *samebit, *shim;
    bool keep;
};

struct crash {
    struct options options;
    struct sb_random random;
    char dir[TEMP_DIR_PATH_BYTES];
    char data[PATH_BYTES], image[PATH_BYTES], log[PATH_BYTES], verify_log[PATH_BYTES];
    struct load load;
    size_t checked_count; /* receipts that a later life has shown */
    struct signed_places places;
    bool has_genesis_hash;
    sb_hash genesis_hash;
    uint64_t start_kill_count, commit_count, verify_count;
    char problem[1024];
};

static bool fail(struct crash *c, const char *what, const char *detail)
{
    (void)snprintf(c->problem, sizeof c->problem, "%s%s%.700s", what, *detail != '\0' ? ": " : "",
                   detail);
    return false;
}

static void kill_and_wait(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)process_wait(pid, END_MS_MAX);
}

/* ---- one life ---- */

static pid_t node_start(struct crash *c, bool dies_at_start)
{
    const struct options *o = &c->options;
    char preload[PATH_BYTES + 16], dir[PATH_BYTES + 16], image[PATH_BYTES + 16], after[64],
        seed[64];
    uint64_t cut_after =
        1 + (dies_at_start ? sb_random_below(&c->random, CUT_START_MAX)
                           : CUT_START_MAX + sb_random_below(&c->random, CUT_LOAD_MAX));
    (void)snprintf(preload, sizeof preload, "LD_PRELOAD=%s", o->shim != NULL ? o->shim : "");
    (void)snprintf(dir, sizeof dir, "POWERCUT_DIR=%s", c->data);
    (void)snprintf(image, sizeof image, "POWERCUT_IMAGE=%s", c->image);
    (void)snprintf(after, sizeof after, "POWERCUT_AFTER=%" PRIu64, cut_after);
    (void)snprintf(seed, sizeof seed, "POWERCUT_SEED=%" PRIu64, sb_random_u64(&c->random) >> 1);
    char *const env[] = {preload, dir, image, after, seed, NULL};
    char program[PROCESS_PATH_BYTES];
    (void)snprintf(program, sizeof program, "%s", o->samebit);
    char run[] = "run", datadir[] = "--datadir", port[] = "--port", zero[] = "0",
         instant[] = "--instant";
    char *const argv[] = {program, run, datadir, c->data, port, zero, instant, NULL};
    return process_start(argv, o->shim != NULL ? env : NULL, c->log);
}

struct killer {
    pid_t pid;
    uint64_t after_us;
};

static void *killer_main(void *ctx)
{
    const struct killer *killer = ctx;
    sleep_us(killer->after_us);
    (void)kill(killer->pid, SIGKILL);
    return NULL;
}

/* load_until_killed: the moment is up to 30, 300 or 1500 ms after the load begins. */
static void load_until_killed(struct crash *c, struct rpc_session *session, pid_t pid)
{
    static const uint64_t max_ms[] = {30, 300, 1500};
    uint64_t max_us = max_ms[sb_random_below(&c->random, 3)] * 1000;
    struct killer killer = {.pid = pid,
                            .after_us = 5000 + sb_random_below(&c->random, max_us - 5000)};
    pthread_t thread;
    SB_ASSERT(pthread_create(&thread, NULL, killer_main, &killer) == 0);
    load_drive(&c->load, session, &c->random);
    (void)pthread_join(thread, NULL);
}

static bool read_genesis_hash(struct crash *c, struct rpc_session *session)
{
    json_t *block =
        rpc_call(session, "eth_getBlockByNumber", json_pack("[s, b]", "0x0", 0), c->problem);
    const char *text = json_string_value(json_object_get(block, "hash"));
    c->has_genesis_hash = text != NULL && sb_hex_parse(c->genesis_hash.b, sizeof c->genesis_hash.b,
                                                       text, strlen(text)) == SB_OK;
    json_decref(block);
    return c->has_genesis_hash;
}

/* live_session: what a node that listens has to show, then the load that it dies under. */
static bool live_session(struct crash *c, pid_t pid, uint16_t port)
{
    struct rpc_session session;
    bool ok = rpc_open(&session, port) || fail(c, "the node does not answer", strerror(errno));
    ok = ok && (c->has_genesis_hash || read_genesis_hash(c, &session));
    size_t unchecked = c->checked_count;
    if (ok && !load_check(&c->load, &session, unchecked, SAMPLE, &c->random)) {
        if (c->options.shim != NULL && session.fd < 0) { /* the cut came meanwhile */
            c->load.problem[0] = '\0';
            rpc_close(&session);
            return true;
        }
        ok = fail(c, "after a restart", c->load.problem);
    }
    if (!ok) {
        rpc_close(&session);
        return false;
    }
    c->checked_count = c->load.receipt_count;
    if (c->options.shim != NULL) {
        load_drive(&c->load, &session, &c->random);
    } else {
        load_until_killed(c, &session, pid);
    }
    rpc_close(&session);
    return c->load.problem[0] == '\0' || fail(c, "under load", c->load.problem);
}

/* take_image: the disk after the power cut becomes the data directory. */
static bool take_image(struct crash *c)
{
    temp_dir_remove(c->data);
    return rename(c->image, c->data) == 0 || fail(c, "the image cannot be taken", c->image);
}

static bool check_end(struct crash *c, pid_t pid)
{
    int status = process_wait(pid, END_MS_MAX);
    char text[64];
    (void)snprintf(text, sizeof text, "status %d", status);
    if (status == PROCESS_TIMEOUT) {
        kill_and_wait(pid);
        return fail(c, "the node did not die", "");
    }
    if (c->options.shim != NULL) {
        return status == CUT_STATUS ? take_image(c) : fail(c, "the node ended by itself", text);
    }
    return status == -SIGKILL || fail(c, "the node ended by itself", text);
}

static bool live(struct crash *c, bool dies_at_start)
{
    pid_t pid = node_start(c, dies_at_start);
    if (dies_at_start && c->options.shim == NULL) {
        c->start_kill_count++;
        sleep_us(5000 + sb_random_below(&c->random, 200000));
        (void)kill(pid, SIGKILL);
        return check_end(c, pid);
    }
    uint16_t port = process_wait_listening(pid, c->log, START_MS_MAX);
    if (port != 0) {
        bool ok = live_session(c, pid, port);
        if (ok) {
            return check_end(c, pid);
        }
    } else if (c->options.shim != NULL) {
        c->start_kill_count++; /* the cut came before it could listen */
        return check_end(c, pid);
    } else {
        (void)fail(c, "the node does not start", "");
    }
    kill_and_wait(pid);
    return false;
}

/* ---- between two lives ---- */

/* check_commit: the signature that made block `number` final is the one that the journal holds for its place. */
static bool check_commit(struct crash *c, struct sb_store *store, struct sb_arena *arena,
                         uint64_t number)
{
    sb_bytes raw;
    struct sb_commit commit;
    struct sb_diag diag = {.text = ""};
    sb_err err = sb_store_commit_of(&raw, arena, store, number);
    err = err == SB_OK ? sb_commit_decode(&commit, arena, raw, &diag) : err;
    if (err != SB_OK || commit.sig_count != 1) {
        return fail(c, "a stored commit cannot be read", sb_err_text(err));
    }
    const struct sb_journal_place place = {
        .height = commit.height, .round = (uint32_t)commit.round, .step = SB_JOURNAL_PRECOMMIT};
    const struct signed_place *known = signed_places_find(&c->places, &place);
    if (known != NULL &&
        memcmp(known->signature, commit.sigs[0].signature.bytes, sizeof known->signature) != 0) {
        return fail(c, "a commit carries a second signature", "");
    }
    c->commit_count += known != NULL;
    return true;
}

static bool check_commits(struct crash *c, bool *ret_open)
{
    const struct sb_store_identity identity = {.genesis_hash = c->genesis_hash,
                                               .chain_id = CHAIN_ID};
    const struct sb_store_options options = {.read_only = true};
    char dir[PATH_BYTES + 8];
    struct sb_store *store;
    struct sb_diag diag = {.text = ""};
    (void)snprintf(dir, sizeof dir, "%s/db", c->data);
    if (sb_store_open(&store, dir, &identity, &options, &diag) != SB_OK) {
        /* Cut off while it was opened: only a node mends that, and the next life shows whether it does. */
        *ret_open = c->options.shim == NULL || strstr(diag.text, "start the node") == NULL;
        return !*ret_open || fail(c, "the database does not open", diag.text);
    }
    struct sb_arena arena;
    sb_arena_init(&arena, STORE_ARENA_BYTES);
    uint64_t head = sb_store_head(store).number;
    bool ok = head >= c->load.head_number || fail(c, "the database lost the acknowledged head", "");
    for (uint64_t i = 0; ok && i < COMMITS_CHECKED && i < head; i++) {
        ok = check_commit(c, store, &arena, head - i);
    }
    sb_arena_fini(&arena);
    sb_store_close(store);
    *ret_open = true;
    return ok;
}

static bool verify(struct crash *c)
{
    char program[PROCESS_PATH_BYTES], command[] = "verify", datadir[] = "--datadir";
    (void)snprintf(program, sizeof program, "%s", c->options.samebit);
    char *const argv[] = {program, command, datadir, c->data, NULL};
    c->verify_count++;
    if (process_run(argv, c->verify_log, VERIFY_MS_MAX) == 0) {
        return true;
    }
    process_print_log(c->verify_log);
    return fail(c, "samebit verify", "found a difference");
}

static bool check_disk(struct crash *c, bool verifies)
{
    char journal[PATH_BYTES + 16];
    struct sb_diag diag = {.text = ""};
    (void)snprintf(journal, sizeof journal, "%s/journal", c->data);
    if (signed_places_read(&c->places, journal, &diag) != SB_OK) {
        return fail(c, "the journal", diag.text);
    }
    bool open = true;
    return (!c->has_genesis_hash || check_commits(c, &open)) && (!verifies || !open || verify(c));
}

/* ---- all lives ---- */

static bool make_chain(struct crash *c)
{
    char alloc[LOAD_SENDERS][80];
    char program[PROCESS_PATH_BYTES], chain_id[32];
    char init[] = "init", datadir[] = "--datadir", id_flag[] = "--chain-id",
         interval[] = "--block-interval", zero[] = "0", alloc_flag[] = "--alloc";
    char *argv[8 + 2 * LOAD_SENDERS + 1] = {program, init,     datadir,  c->data,
                                            id_flag, chain_id, interval, zero};
    (void)snprintf(program, sizeof program, "%s", c->options.samebit);
    (void)snprintf(chain_id, sizeof chain_id, "%d", CHAIN_ID);
    for (size_t i = 0; i < LOAD_SENDERS; i++) {
        char addr[SB_HEX_TEXT_BYTES(20)];
        (void)sb_hex_format(addr, sb_span(c->load.senders[i].addr.b, 20));
        (void)snprintf(alloc[i], sizeof alloc[i], "%s=1000000000", addr);
        argv[8 + 2 * i] = alloc_flag;
        argv[8 + 2 * i + 1] = alloc[i];
    }
    return process_run(argv, c->log, START_MS_MAX) == 0 || fail(c, "samebit init failed", "");
}

static void report(const struct crash *c, uint64_t lives)
{
    printf("%" PRIu64 " lives, %" PRIu64 " of them ended at the start; %" PRIu64
           " transactions sent, %zu receipts acknowledged and found again; head %" PRIu64
           "; %zu places signed, %" PRIu64 " commits compared, %" PRIu64 " verifications\n",
           lives, c->start_kill_count, c->load.sent_count, c->load.receipt_count,
           c->load.head_number, c->places.count, c->commit_count, c->verify_count);
}

/* run: all lives, then a last look without a kill. Returns how many lives were as they should be. */
static uint64_t run(struct crash *c)
{
    if (!make_chain(c)) {
        return 0;
    }
    for (uint64_t i = 0; i < c->options.runs; i++) {
        bool dies_at_start = sb_random_below(&c->random, 5) == 0;
        bool verifies = i % VERIFY_EVERY == VERIFY_EVERY - 1;
        if (!live(c, dies_at_start) || !check_disk(c, verifies)) {
            return i;
        }
    }
    char program[PROCESS_PATH_BYTES], command[] = "run", datadir[] = "--datadir", port[] = "--port",
                                      zero[] = "0", instant[] = "--instant";
    (void)snprintf(program, sizeof program, "%s", c->options.samebit);
    char *const argv[] = {program, command, datadir, c->data, port, zero, instant, NULL};
    pid_t pid = process_start(argv, NULL, c->log);
    uint16_t at = process_wait_listening(pid, c->log, START_MS_MAX);
    struct rpc_session session;
    bool ok = (at != 0 && rpc_open(&session, at)) || fail(c, "the node does not start", "");
    if (ok) {
        ok = load_check(&c->load, &session, 0, 0, &c->random) ||
             fail(c, "at the end", c->load.problem);
        rpc_close(&session);
    }
    (void)kill(pid, SIGTERM);
    int status = process_wait(pid, END_MS_MAX);
    ok = ok && (status == 0 || fail(c, "the node did not end cleanly", "")) && check_disk(c, true);
    return ok ? c->options.runs : c->options.runs - 1;
}

static bool parse(struct options *ret, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--keep") == 0) {
            ret->keep = true;
            continue;
        }
        if (value == NULL) {
            return false;
        }
        if (strcmp(argv[i], "--runs") == 0) {
            ret->runs = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--seed") == 0) {
            ret->seed = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--samebit") == 0) {
            ret->samebit = value;
        } else if (strcmp(argv[i], "--power-cut") == 0) {
            ret->shim = value;
        } else {
            return false;
        }
        i++;
    }
    return ret->runs != 0;
}

int main(int argc, char **argv)
{
    static struct crash c;
    char sibling[PROCESS_PATH_BYTES];
    process_sibling(sibling, "samebit");
    c.options = (struct options){.runs = 50, .seed = 1, .samebit = sibling};
    if (!parse(&c.options, argc, argv)) {
        printf("usage: crash [--runs N] [--seed S] [--power-cut SHIM] [--samebit PROGRAM] "
               "[--keep]\n");
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    c.random = (struct sb_random){.state = c.options.seed};
    temp_dir_make(c.dir);
    (void)snprintf(c.data, sizeof c.data, "%s/data", c.dir);
    (void)snprintf(c.image, sizeof c.image, "%s/image", c.dir);
    (void)snprintf(c.log, sizeof c.log, "%s/node.log", c.dir);
    (void)snprintf(c.verify_log, sizeof c.verify_log, "%s/verify.log", c.dir);
    load_init(&c.load, CHAIN_ID);
    uint64_t passed = run(&c);
    bool failed = passed != c.options.runs;
    report(&c, passed);
    if (failed) {
        printf("FAIL crash::life_%" PRIu64 " %s\n", passed + 1, c.problem);
        process_print_log(c.log);
        printf(
            "repeat with: %s --seed %" PRIu64 " --runs %" PRIu64 "%s%s\nthe data is kept in %s\n",
            argv[0], c.options.seed, c.options.runs, c.options.shim != NULL ? " --power-cut " : "",
            c.options.shim != NULL ? c.options.shim : "", c.dir);
    }
    if (!failed && !c.options.keep) {
        temp_dir_remove(c.dir);
    }
    load_fini(&c.load);
    signed_places_fini(&c.places);
    printf("%" PRIu64 " passed, %d failed, 0 skipped\n", passed, failed ? 1 : 0);
    return failed;
}
