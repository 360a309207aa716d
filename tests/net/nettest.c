/* nettest.c: four real nodes behind the relay, in every trouble that a network of four must bear.
 *
 *     nettest [--seconds N] [--seed S] [--case NAME] [--keep]
 *
 *     one_killed      three of four go on; the fourth, started again, is back at the head and votes
 *     partition       2 against 2 stand still, and go on when the wires heal
 *     late_joiner     a validator that starts when the others have many blocks catches up, and votes
 *     lost_database   a validator whose database is deleted, then one whose database is an older copy, is refused with a word on what to
 *                     do, and with that comes back to the head and votes
 *     slow_validator  one that hears and is heard 50 ms later than the others: its precommits come too late for every commit, and
 *                     are counted all the same
 *     bad_wires       delay, jitter and loss: slower, but on it goes
 *     forger          a proposer that forges one inference, gas figure, receipt or root gets nil from all (forgery.h)
 *     kills           N seconds (30) of kill -9 of random nodes at random moments, under load of transfers, storage, inferences
 *
 * After each: no fork (block hashes at all heights), nothing acknowledged lost, no place signed twice in any journal, commits as the
 * journals say, samebit verify finds nothing. A failure prints what went wrong and keeps the folder with the logs. The last line is "N
 * passed, M failed, 0 skipped". */
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util/assert.h"
#include "tests/net/forgery.h"
#include "tests/net/net.h"

#define INTERVAL_MS 100
#define CATCH_UP_MS 60000
#define LIVES_MAX   (NET_GROUPS / NET_NODES - 1)
#define SAMPLE      100
#define LOOK_US     200000
#define STILL_MS    4000 /* how long a partition is watched */
#define JOIN_HEIGHT 60
#define SLOW        3
#define SLOW_US     50000
#define SLOW_BLOCKS 30

struct options {
    uint64_t seconds, seed;
    const char *only;
    bool keep;
};

static struct net net;
static struct options options;
static char program[PROCESS_PATH_BYTES], forger_program[PROCESS_PATH_BYTES];

static const struct sb_relay_quality k_short_wires = {.delay_us = 1000};

/* all_well: what must hold after every case; stops the nodes. */
static bool all_well(void)
{
    bool ok = net_same_blocks(&net) && net_stop_all(&net);
    return ok && net_check_disks(&net);
}

/* ---- quiet cases ---- */

static bool case_one_killed(void)
{
    bool ok = net_start_all(&net) && net_wait_all(&net, 10, CATCH_UP_MS);
    ok = ok && net_kill(&net, 1) && net_wait_all(&net, net_highest(&net) + 12, CATCH_UP_MS);
    ok = ok && net_start(&net, 1) && net_wait_all(&net, net_highest(&net) + 4, CATCH_UP_MS);
    /* with another one dead, three go on only if the first votes again */
    ok = ok && net_kill(&net, 2) && net_wait_all(&net, net_highest(&net) + 8, CATCH_UP_MS);
    return ok && net_start(&net, 2) && net_wait_all(&net, net_highest(&net) + 4, CATCH_UP_MS);
}

/* is_called: each node says this of itself; if one does not, and it must, the case fails. */
static bool is_called(const char *wanted, bool must)
{
    bool ok = true;
    for (size_t i = 0; ok && i < NET_NODES; i++) {
        struct rpc_session session;
        if (!net_open(&net, &session, i)) {
            return false;
        }
        json_t *status = rpc_call(&session, "samebit_status", json_array(), NULL);
        const char *text = json_string_value(json_object_get(status, "status"));
        ok = text != NULL && strcmp(text, wanted) == 0;
        if (!ok && must) {
            (void)net_fail(&net, "node %zu calls itself %s, not %s", i,
                           text != NULL ? text : "nothing", wanted);
        }
        json_decref(status);
        rpc_close(&session);
    }
    return ok;
}

/* becomes: each node comes to say this of itself. */
static bool becomes(const char *wanted)
{
    uint64_t end = now_ms() + CATCH_UP_MS;
    while (now_ms() < end && !is_called(wanted, false)) {
        sleep_us(LOOK_US);
    }
    return is_called(wanted, true);
}

/* come_to_rest: what was under way when a net was cut is decided: the height at which it stays for a second, or that after a minute. */
static uint64_t come_to_rest(void)
{
    uint64_t end = now_ms() + CATCH_UP_MS, since = now_ms(), height = net_highest(&net);
    while (now_ms() < end && now_ms() - since < 1000) {
        sleep_us(LOOK_US);
        uint64_t now = net_highest(&net);
        since = now != height ? now_ms() : since;
        height = now;
    }
    return height;
}

static bool case_partition(void)
{
    bool ok = net_start_all(&net) && net_wait_all(&net, 10, CATCH_UP_MS);
    if (!ok) {
        return false;
    }
    sb_localnet_cut(&net.local, 0x3); /* 0 and 1 against 2 and 3 */
    uint64_t before = come_to_rest();
    sleep_us(STILL_MS * 1000);
    uint64_t after = net_highest(&net);
    if (after != before) {
        return net_fail(&net, "half of the power made blocks: %" PRIu64 " to %" PRIu64, before,
                        after);
    }
    bool is_told = becomes("standing still");
    sb_localnet_cut(&net.local, 0);
    return is_told && net_wait_all(&net, after + 10, CATCH_UP_MS) && becomes("ready");
}

static bool case_late_joiner(void)
{
    bool ok = net_start(&net, 0) && net_start(&net, 1) && net_start(&net, 2);
    ok = ok && net_wait_all(&net, JOIN_HEIGHT, 2 * CATCH_UP_MS);
    ok = ok && net_start(&net, 3) && net_wait_all(&net, net_highest(&net) + 4, CATCH_UP_MS);
    return ok && net_kill(&net, 0) && net_wait_all(&net, net_highest(&net) + 8, CATCH_UP_MS);
}

#define LOST 2

/* copy_database: cp -r, into a place that does not exist yet. */
static bool copy_database(const char *from, const char *to)
{
    char program_name[] = "/bin/cp", recursive[] = "-r", source[SB_PATH_BYTES],
         target[SB_PATH_BYTES];
    (void)snprintf(source, sizeof source, "%s", from);
    (void)snprintf(target, sizeof target, "%s", to);
    char *const argv[] = {program_name, recursive, source, target, NULL};
    return process_wait(process_start(argv, NULL, net.command_log), CATCH_UP_MS) == 0 ||
           net_fail(&net, "%s cannot be copied to %s", from, to);
}

static bool remove_database(const char *path)
{
    struct sb_diag diag = {.text = ""};
    return sb_dir_remove(path, &diag) == SB_OK || net_fail(&net, "%s", diag.text);
}

/* votes_again: LOST is back at the head, and with another one dead, the chain goes on only if it votes. */
static bool votes_again(size_t other)
{
    bool ok = net_wait_all(&net, net_highest(&net) + 4, CATCH_UP_MS);
    ok = ok && net_kill(&net, other) && net_wait_all(&net, net_highest(&net) + 8, CATCH_UP_MS);
    return ok && net_start(&net, other) && net_wait_all(&net, net_highest(&net) + 4, CATCH_UP_MS);
}

static bool case_lost_database(void)
{
    const char *db = net.local.nodes[LOST].dir.db;
    char copy[NET_PATH_BYTES];
    (void)snprintf(copy, sizeof copy, "%s/older", net.dir);
    bool ok = net_start_all(&net) && net_wait_all(&net, 10, CATCH_UP_MS);
    ok = ok && net_stop(&net, LOST) && copy_database(db, copy) && net_start(&net, LOST);
    ok = ok && net_wait_all(&net, net_highest(&net) + 10, CATCH_UP_MS) && net_kill(&net, LOST);
    ok = ok && remove_database(db) && net_refused(&net, LOST, "--resync");
    ok = ok && net_start_with(&net, LOST, "--resync") && votes_again(0);
    ok = ok && net_kill(&net, LOST) && remove_database(db) && copy_database(copy, db);
    ok = ok && net_refused(&net, LOST, "committed blocks were lost");
    return ok && net_start_with(&net, LOST, "--resync") && votes_again(1);
}

static bool case_slow_validator(void)
{
    const struct sb_relay_quality slow = {.delay_us = SLOW_US};
    for (size_t i = 0; i < NET_NODES; i++) {
        if (i != SLOW) {
            sb_relay_set_quality(net.local.relay, net.local.paths[i][SLOW], &slow);
            sb_relay_set_quality(net.local.relay, net.local.paths[SLOW][i], &slow);
        }
    }
    uint64_t before = 0, after = 0, late = 0;
    bool ok = net_start_all(&net) && net_wait_all(&net, 10, CATCH_UP_MS);
    ok = ok && net_metric(&net, &before, SLOW, "consensus_validator_missed_blocks");
    ok = ok && net_wait_all(&net, net_highest(&net) + SLOW_BLOCKS, CATCH_UP_MS);
    ok = ok && net_metric(&net, &after, SLOW, "consensus_validator_missed_blocks") &&
         net_metric(&net, &late, 0, "consensus_late_votes");
    if (ok && (after != before || late == 0)) {
        return net_fail(&net,
                        "a slow validator was counted as missing in %" PRIu64 " blocks; %" PRIu64
                        " votes came late",
                        after - before, late);
    }
    return ok;
}

static bool case_bad_wires(void)
{
    return net_start_all(&net) && net_wait_all(&net, 15, 2 * CATCH_UP_MS);
}

/* ---- a forger ---- */

static bool case_forger(void)
{
    return forgery_run(&net, forger_program, options.seed);
}

static bool check_forger(void)
{
    return forgery_check(&net);
}

/* ---- kills under load ---- */

struct life {
    size_t node;
    uint64_t end_ms;
    struct sb_random random;
    struct load load;
    size_t checked_count;
    uint64_t kill_count;
    pthread_t thread;
};

static struct life lives[NET_NODES];

/* What all lives together have seen. */
static struct {
    atomic_uint_least64_t living; /* threads */
    atomic_uint_least64_t height; /* the highest that any load has seen */
    atomic_uint_least64_t kills, receipts, inferences;
    atomic_uint_least64_t catch_up_ms_max; /* from a start to the head */
} seen;

struct killer {
    pid_t pid;
    uint64_t after_us;
};

/* raise_to: to at least this value. */
static void raise_to(atomic_uint_least64_t *number, uint64_t least)
{
    uint64_t now = atomic_load(number);
    while (now < least && !atomic_compare_exchange_weak(number, &now, least)) {
    }
}

static void *killer_main(void *ctx)
{
    const struct killer *killer = ctx;
    sleep_us(killer->after_us);
    (void)kill(killer->pid, SIGKILL);
    return NULL;
}

static bool drive_until_killed(struct life *life, struct rpc_session *session)
{
    struct killer killer = {.pid = net.pids[life->node],
                            .after_us = 300000 + sb_random_below(&life->random, 7000000)};
    pthread_t thread;
    SB_ASSERT(pthread_create(&thread, NULL, killer_main, &killer) == 0);
    load_drive(&life->load, session, &life->random);
    (void)pthread_join(thread, NULL);
    raise_to(&seen.height, life->load.head_number);
    return life->load.problem[0] == '\0' ||
           net_fail(&net, "node %zu, under load: %s", life->node, life->load.problem);
}

/* live: one life of a node: back at the head, everything acknowledged is there, then load until it is killed. */
static bool live(struct life *life)
{
    struct rpc_session session;
    uint64_t begun = now_ms();
    uint64_t target = atomic_load(&seen.height);
    uint64_t number = life->kill_count;
    load_use_senders(&life->load, (uint32_t)(1 + life->node * LIVES_MAX + number));
    bool ok = net_start(&net, life->node) &&
              net_wait_height(&net, life->node, target, CATCH_UP_MS) &&
              net_open(&net, &session, life->node);
    if (!ok) {
        return false;
    }
    raise_to(&seen.catch_up_ms_max, now_ms() - begun);
    uint64_t inferences = life->load.inference_count;
    ok = load_check(&life->load, &session, life->checked_count, SAMPLE, &life->random) ||
         net_fail(&net, "node %zu, after life %" PRIu64 ": %s", life->node, number,
                  life->load.problem);
    life->checked_count = life->load.receipt_count;
    ok = ok && drive_until_killed(life, &session);
    rpc_close(&session);
    atomic_fetch_add(&seen.receipts, life->load.receipt_count - life->checked_count);
    atomic_fetch_add(&seen.inferences, life->load.inference_count - inferences);
    atomic_fetch_add(&seen.kills, 1);
    life->kill_count++;
    return ok && net_kill(&net, life->node);
}

static void *life_main(void *ctx)
{
    struct life *life = ctx;
    bool ok = true;
    while (ok && now_ms() < life->end_ms && life->kill_count < LIVES_MAX &&
           net.problem[0] == '\0') {
        ok = live(life);
    }
    atomic_fetch_sub(&seen.living, 1);
    return NULL;
}

/* check_everywhere: each node has each receipt that any node has acknowledged. */
static bool check_everywhere(void)
{
    bool ok = true;
    for (size_t node = 0; ok && node < NET_NODES; node++) {
        for (size_t i = 0; ok && i < NET_NODES; i++) {
            struct rpc_session session;
            load_use_senders(&lives[i].load, NET_GROUPS - 1); /* whose nonces are still 0 */
            ok = net_open(&net, &session, node);
            if (ok) {
                ok = load_check(&lives[i].load, &session, 0, 0, &lives[i].random) ||
                     net_fail(&net, "node %zu, at the end, what node %zu acknowledged: %s", node, i,
                              lives[i].load.problem);
                rpc_close(&session);
            }
        }
    }
    return ok;
}

static void report_kills(void)
{
    uint64_t sent = 0;
    size_t places = 0, twice = 0;
    for (size_t i = 0; i < NET_NODES; i++) {
        sent += lives[i].load.sent_count;
        places += net.places[i].count;
        twice += net.places[i].twice_count;
    }
    printf("%" PRIu64 " kills; %" PRIu64 " transactions sent, %" PRIu64 " receipts acknowledged, "
           "%" PRIu64 " of inferences; head %" PRIu64 "; slowest return to the head %" PRIu64
           " ms; %zu places signed, %zu of them twice; %zu forks\n",
           atomic_load(&seen.kills), sent, atomic_load(&seen.receipts),
           atomic_load(&seen.inferences), atomic_load(&seen.height),
           atomic_load(&seen.catch_up_ms_max), places, twice, net.fork_count);
}

/* tell_minutes: while lives are lived, one line a minute. */
static void tell_minutes(void)
{
    uint64_t begun_ms = now_ms(), minutes = 0;
    while (atomic_load(&seen.living) != 0) {
        sleep_us(LOOK_US);
        if ((now_ms() - begun_ms) / 60000 > minutes) {
            minutes = (now_ms() - begun_ms) / 60000;
            printf("minute %" PRIu64 ": %" PRIu64 " kills, %" PRIu64 " receipts, %" PRIu64
                   " of inferences, head %" PRIu64 ", slowest return %" PRIu64 " ms\n",
                   minutes, atomic_load(&seen.kills), atomic_load(&seen.receipts),
                   atomic_load(&seen.inferences), atomic_load(&seen.height),
                   atomic_load(&seen.catch_up_ms_max));
            (void)fflush(stdout);
        }
    }
}

static bool run_lives(const char *reader)
{
    uint64_t end_ms = now_ms() + options.seconds * 1000;
    atomic_store(&seen.living, NET_NODES);
    for (size_t i = 0; i < NET_NODES; i++) {
        (void)snprintf(lives[i].load.reader, sizeof lives[i].load.reader, "%s", reader);
        lives[i].end_ms = end_ms;
        SB_ASSERT(pthread_create(&lives[i].thread, NULL, life_main, &lives[i]) == 0);
    }
    tell_minutes();
    for (size_t i = 0; i < NET_NODES; i++) {
        (void)pthread_join(lives[i].thread, NULL);
    }
    return net.problem[0] == '\0';
}

static bool case_kills(void)
{
    char reader[NET_ADDRESS_BYTES];
    for (size_t i = 0; i < NET_NODES; i++) {
        lives[i] = (struct life){.node = i, .random = {.state = options.seed * NET_NODES + i}};
        load_init(&lives[i].load, NET_CHAIN_ID);
    }
    bool ok =
        net_start_all(&net) && net_deploy_reader(&net, reader, lives[0].load.senders[0].secret);
    atomic_store(&seen.height, net_highest(&net));
    for (size_t i = 0; ok && i < NET_NODES; i++) {
        ok = net_kill(&net, i); /* all at once, for a beginning */
    }
    ok = ok && run_lives(reader) && net_start_all(&net);
    ok = ok && net_wait_all(&net, atomic_load(&seen.height), CATCH_UP_MS);
    ok = ok && net_wait_all(&net, net_highest(&net) + 3, CATCH_UP_MS) && check_everywhere();
    for (size_t i = 0; i < NET_NODES; i++) {
        load_fini(&lives[i].load);
    }
    return ok;
}

/* ---- all ---- */

static const struct net_case {
    const char *name;
    bool (*run)(void);
    struct sb_relay_quality wires;
    bool (*check)(void);  /* NULL, or what to look at once the nodes have stopped */
    void (*report)(void); /* NULL, or what to tell in the end, good or bad */
} k_cases[] = {
    {"one_killed", case_one_killed, k_short_wires, NULL, NULL},
    {"partition", case_partition, k_short_wires, NULL, NULL},
    {"late_joiner", case_late_joiner, k_short_wires, NULL, NULL},
    {"lost_database", case_lost_database, k_short_wires, NULL, NULL},
    {"slow_validator", case_slow_validator, k_short_wires, NULL, NULL},
    {"bad_wires",
     case_bad_wires,
     {.delay_us = 20000, .jitter_us = 20000, .loss_ppm = 5000},
     NULL,
     NULL},
    {"forger", case_forger, k_short_wires, check_forger, NULL},
    {"kills", case_kills, k_short_wires, NULL, report_kills},
};

static bool run_case(const struct net_case *c)
{
    uint64_t begun = now_ms();
    bool ok = net_make(&net, program, INTERVAL_MS, &c->wires) && c->run() && all_well() &&
              (c->check == NULL || c->check());
    if (c->report != NULL) {
        c->report();
    }
    if (!ok) {
        printf("FAIL nettest::%s %s\n", c->name, net.problem);
        for (size_t i = 0; i < NET_NODES; i++) {
            printf("  node %zu:\n", i);
            process_print_log(net.logs[i]);
        }
        printf("repeat with: build/tests/nettest --case %s --seed %" PRIu64 " --seconds %" PRIu64
               "\nlogs and data are kept in %s\n",
               c->name, options.seed, options.seconds, net.dir);
    } else {
        printf("%s: %" PRIu64 " s\n", c->name, (now_ms() - begun) / 1000);
    }
    (void)fflush(stdout);
    net_fini(&net, options.keep);
    return ok;
}

static bool parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--keep") == 0) {
            options.keep = true;
            continue;
        }
        if (value == NULL) {
            return false;
        }
        if (strcmp(argv[i], "--seconds") == 0) {
            options.seconds = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--seed") == 0) {
            options.seed = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--case") == 0) {
            options.only = value;
        } else {
            return false;
        }
        i++;
    }
    return true;
}

int main(int argc, char **argv)
{
    options = (struct options){.seconds = 30, .seed = 1};
    if (!parse(argc, argv)) {
        printf("usage: nettest [--seconds N] [--seed S] [--case NAME] [--keep]\n");
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    process_sibling(program, "samebit");
    process_sibling(forger_program, "tests/samebit_forger");
    size_t passed = 0, failed = 0;
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        if (options.only == NULL || strcmp(options.only, k_cases[i].name) == 0) {
            bool ok = run_case(&k_cases[i]);
            passed += ok;
            failed += !ok;
        }
    }
    printf("%zu passed, %zu failed, 0 skipped\n", passed, failed);
    return failed != 0 || passed == 0;
}
