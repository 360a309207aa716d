/* main.c: the command: runs seeds, in one process or several, and adds up what they saw.
 *
 *     sim --seeds A..B [--core-only] [--heights N] [--jobs N] [--state FILE]      a campaign
 *     sim --seeds A..A --trace [--svg FILE]                                        one seed, in detail
 *     sim --scenario NAME|all [--core-only]                                        the fixed scenarios
 *     sim --determinism A..B                                                       each seed twice: the same hash of all events?
 *     ... --mutant NAME                                                            with a fault in the core (build option bft_mutants)
 *
 * With --state the totals go on from the file: seeds that it has counted are not run again. Each job is a process that runs the seeds
 * of a stripe and sends its counts through a pipe. A seed that fails prints the check, and the command that repeats it. The last line
 * is "N passed, M failed, K skipped", a case for each seed or scenario; the exit status is 0 only if M = 0 and N > 0. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/util/assert.h"
#include "consensus/mutant.h"
#include "sim_version.h"
#include "tests/sim/scenario.h"
#include "tests/sim/totals.h"

#define JOBS_MAX      64
#define WRITE_EVERY_S 5
#define PATH_BYTES    4096

struct options {
    uint64_t first, last;
    uint64_t heights;
    uint32_t jobs;
    bool is_core_only, trace, is_determinism, is_quiet;
    bool has_seeds;
    const char *state, *svg, *mutant, *scenario;
    uint32_t failures_max;
};

/* What a job sends for each seed. */
struct report {
    uint64_t seed, cpu_ms;
    uint64_t hash; /* of all events */
    bool is_failed;
    struct sim_counts counts;
    char violation[SIM_VIOLATION_BYTES];
};

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number)
{
    (void)number;
    is_interrupted = 1;
}

static uint64_t cpu_ms(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* ---- one seed ---- */

static struct sim *sim_new(void)
{
    struct sim *sim = calloc(1, sizeof *sim);
    SB_ASSERT(sim != NULL);
    return sim;
}

static struct sim_trace *trace_new(const struct options *o)
{
    if (!o->trace && o->svg == NULL) {
        return NULL;
    }
    struct sim_trace *trace = calloc(1, sizeof *trace);
    SB_ASSERT(trace != NULL);
    trace->out = o->trace ? stdout : NULL;
    trace->keeps_arrows = o->svg != NULL;
    return trace;
}

static void finish_trace(struct sim *sim, const struct options *o)
{
    if (sim->trace == NULL) {
        return;
    }
    if (o->svg != NULL &&
        sim_trace_svg(sim->trace, o->svg, sim->config.node_count, sim->config.seed) != SB_OK) {
        fprintf(stderr, "%s cannot be written: %s\n", o->svg, strerror(errno));
    }
    free(sim->trace);
    sim->trace = NULL;
}

static void run_seed(struct report *ret, uint64_t seed, const struct options *o)
{
    uint64_t begin = cpu_ms();
    struct sim *sim = sim_new();
    sim_config_draw(&sim->config, seed, o->is_core_only, o->heights);
    sim->trace = trace_new(o);
    if (o->trace) {
        sim_config_print(stdout, &sim->config);
    }
    memset(ret, 0, sizeof *ret);
    ret->seed = seed;
    ret->is_failed = !sim_run(sim);
    ret->counts = sim->counts;
    memcpy(ret->violation, sim->violation, sizeof ret->violation);
    finish_trace(sim, o);
    ret->hash = sim->hash;
    free(sim);
    ret->cpu_ms = cpu_ms() - begin;
}

/* print_repeat: the command that shows a failure again; what: the seed or scenario. */
static void print_repeat(const struct options *o, const char *what)
{
    printf("  repeat: %s %s%s --trace",
           o->mutant != NULL ? "build-mutants/tests/sim" : "build/tests/sim", what,
           o->is_core_only ? " --core-only" : "");
    if (o->heights != 0) {
        printf(" --heights %" PRIu64, o->heights);
    }
    if (o->mutant != NULL) {
        printf(" --mutant %s", o->mutant);
    }
    printf("\n");
    (void)fflush(stdout);
}

static void print_failure(uint64_t seed, const char *violation, const struct options *o)
{
    char what[64];
    printf("FAIL sim::seed-%" PRIu64 " %s\n", seed, violation);
    (void)snprintf(what, sizeof what, "--seeds %" PRIu64 "..%" PRIu64, seed, seed);
    print_repeat(o, what);
}

static void print_seed(const struct report *report)
{
    const struct sim_counts *c = &report->counts;
    uint64_t faults = 0, acts = 0;
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        faults += c->fault[i];
    }
    for (int i = 0; i < SIM_BYZANTINE_COUNT; i++) {
        acts += c->act[i];
    }
    printf("seed %" PRIu64 ": heights %" PRIu64 " (%" PRIu64 " under faults), %" PRIu64
           " s virtual, %" PRIu64 " ms cpu, events %" PRIu64 ", messages %" PRIu64
           ", rounds %" PRIu64 ", faults %" PRIu64 ", acts %" PRIu64 ", recoveries %" PRIu64
           ", forks %" PRIu64 ", hash %016" PRIx64 "\n",
           report->seed, c->heights, c->heights_faulty, c->virtual_us / 1000000, report->cpu_ms,
           c->events, c->messages, c->rounds, faults, acts, c->recoveries, c->forks, report->hash);
}

/* ---- a campaign ---- */

static bool write_all(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;
    while (len != 0) {
        ssize_t wrote = write(fd, at, len);
        if (wrote <= 0) {
            return false;
        }
        at += wrote;
        len -= (size_t)wrote;
    }
    return true;
}

static bool read_all(int fd, void *data, size_t len)
{
    uint8_t *at = data;
    while (len != 0) {
        ssize_t got = read(fd, at, len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        at += got;
        len -= (size_t)got;
    }
    return true;
}

/* job: the seeds first + number, first + number + jobs, ... */
static _Noreturn void job(const struct options *o, uint64_t first, uint32_t number, int out)
{
    struct report *report = malloc(sizeof *report);
    SB_ASSERT(report != NULL);
    for (uint64_t seed = first + number; seed <= o->last && !is_interrupted; seed += o->jobs) {
        run_seed(report, seed, o);
        if (!write_all(out, report, sizeof *report)) {
            break;
        }
    }
    (void)fflush(stdout);
    _exit(0);
}

struct campaign {
    const struct options *o;
    struct sim_totals totals;
    time_t written;
    int from[JOBS_MAX];
    pid_t pids[JOBS_MAX];
};

static bool start_jobs(struct campaign *c, uint64_t first)
{
    for (uint32_t i = 0; i < c->o->jobs; i++) {
        int pipe_fds[2];
        (void)fflush(stdout);
        if (pipe(pipe_fds) != 0) {
            return false;
        }
        c->pids[i] = fork();
        if (c->pids[i] < 0) {
            return false;
        }
        if (c->pids[i] == 0) {
            (void)close(pipe_fds[0]);
            job(c->o, first, i, pipe_fds[1]);
        }
        (void)close(pipe_fds[1]);
        c->from[i] = pipe_fds[0];
    }
    return true;
}

static bool keep_state(struct campaign *c, bool now)
{
    if (c->o->state == NULL || (!now && time(NULL) - c->written < WRITE_EVERY_S)) {
        return true;
    }
    struct sb_diag diag = {.text = ""};
    c->written = time(NULL);
    if (sim_totals_write(&c->totals, c->o->state, &diag) != SB_OK) {
        fprintf(stderr, "%s\n", diag.text);
        return false;
    }
    return true;
}

/* collect: reports in the order of seeds, so that the totals always stand for a whole range. false: a job died. */
static bool collect(struct campaign *c, uint64_t first)
{
    struct report *report = malloc(sizeof *report);
    SB_ASSERT(report != NULL);
    bool is_good = true;
    for (uint64_t seed = first; seed <= c->o->last && is_good; seed++) {
        uint32_t from = (uint32_t)((seed - first) % c->o->jobs);
        if (!read_all(c->from[from], report, sizeof *report)) {
            if (!is_interrupted) {
                print_failure(seed, "the process that ran it died", c->o);
            }
            is_good = false;
            break;
        }
        sim_totals_add(&c->totals, &report->counts, seed, report->is_failed, report->cpu_ms);
        c->totals.next = seed + 1;
        if (report->is_failed) {
            print_failure(report->seed, report->violation, c->o);
        } else if (!c->o->is_quiet) {
            print_seed(report);
        }
        is_good = keep_state(c, report->is_failed) && c->totals.failed < c->o->failures_max;
    }
    free(report);
    return is_good;
}

static int run_campaign(const struct options *o)
{
    struct campaign *c = calloc(1, sizeof *c);
    SB_ASSERT(c != NULL);
    c->o = o;
    c->totals.is_core_only = o->is_core_only;
    c->totals.first = o->first;
    (void)snprintf(c->totals.version, sizeof c->totals.version, "%s", SIM_VERSION);
    uint64_t first = o->first;
    struct sb_diag diag = {.text = ""};
    sb_err err = o->state != NULL ? sim_totals_read(&c->totals, o->state, &diag) : SB_E_NOT_FOUND;
    if (err == SB_OK && c->totals.next > first) {
        first = c->totals.next;
    } else if (err != SB_OK && err != SB_E_NOT_FOUND) {
        fprintf(stderr, "%s\n", diag.text);
        free(c);
        return 2;
    }
    time_t begun = time(NULL);
    bool is_whole = first > o->last || (start_jobs(c, first) && collect(c, first));
    for (uint32_t i = 0; i < o->jobs; i++) {
        if (c->pids[i] > 0) {
            (void)kill(c->pids[i], SIGTERM);
            (void)close(c->from[i]);
            (void)waitpid(c->pids[i], NULL, 0);
        }
    }
    is_whole = keep_state(c, true) && is_whole;
    sim_totals_print(stdout, &c->totals);
    printf("wall_s %lld\n", (long long)(time(NULL) - begun));
    uint64_t failed = c->totals.failed;
    uint64_t passed = c->totals.seeds - failed;
    bool has_died = !is_whole && failed == 0 && !is_interrupted;
    printf("%" PRIu64 " passed, %" PRIu64 " failed, 0 skipped\n", passed,
           failed + (has_died ? 1 : 0));
    free(c);
    return failed == 0 && passed > 0 && !has_died ? 0 : 1;
}

/* ---- scenarios, determinism ---- */

static int run_scenarios(const struct options *o)
{
    uint64_t passed = 0, failed = 0;
    for (size_t i = 0; i < sim_scenario_count; i++) {
        const struct sim_scenario *scenario = &sim_scenarios[i];
        bool is_all = strcmp(o->scenario, "all") == 0;
        if ((!is_all && strcmp(o->scenario, scenario->name) != 0) ||
            (is_all && o->is_core_only && scenario->needs_replica)) {
            continue;
        }
        struct sim *sim = sim_new();
        sim_config_calm(&sim->config, o->is_core_only, 4);
        scenario->configure(&sim->config);
        sim->scenario = scenario;
        sim->trace = trace_new(o);
        bool is_good = sim_run(sim);
        const char *missing = sim->unproved;
        if (is_good && missing == NULL) {
            passed++;
            printf("ok   %s: %s\n", scenario->name, scenario->text);
        } else {
            failed++;
            char what[64];
            printf("FAIL sim::%s %s\n", scenario->name, is_good ? missing : sim->violation);
            (void)snprintf(what, sizeof what, "--scenario %s", scenario->name);
            print_repeat(o, what);
        }
        finish_trace(sim, o);
        free(sim);
    }
    printf("%" PRIu64 " passed, %" PRIu64 " failed, 0 skipped\n", passed, failed);
    return failed == 0 && passed > 0 ? 0 : 1;
}

static int run_determinism(const struct options *o)
{
    uint64_t passed = 0, failed = 0;
    struct report report;
    for (uint64_t seed = o->first; seed <= o->last; seed++) {
        run_seed(&report, seed, o);
        uint64_t once = report.hash;
        run_seed(&report, seed, o);
        if (once == report.hash) {
            passed++;
        } else {
            failed++;
            char what[64];
            printf("FAIL sim::determinism-%" PRIu64 " two runs of one seed differ\n", seed);
            (void)snprintf(what, sizeof what, "--determinism %" PRIu64, seed);
            print_repeat(o, what);
        }
    }
    printf("%" PRIu64 " passed, %" PRIu64 " failed, 0 skipped\n", passed, failed);
    return failed == 0 && passed > 0 ? 0 : 1;
}

/* ---- options ---- */

static int usage(void)
{
    fputs(
        "usage: sim --seeds A..B [--core-only] [--heights N] [--jobs N] [--state FILE] [--quiet]\n"
        "           [--failures-max N] [--trace] [--svg FILE] [--mutant NAME]\n"
        "       sim --scenario NAME|all [--core-only] [--trace] [--svg FILE]\n"
        "       sim --determinism A..B [--core-only]\n",
        stderr);
    return 2;
}

static bool parse_range(struct options *o, const char *text)
{
    char *end = NULL;
    o->first = strtoull(text, &end, 10);
    o->last = o->first;
    if (end != text && strncmp(end, "..", 2) == 0) {
        const char *second = end + 2;
        o->last = strtoull(second, &end, 10);
        return end != second && *end == '\0' && o->last >= o->first;
    }
    return end != text && *end == '\0';
}

static bool choose_mutant(const char *name)
{
#if SB_BFT_MUTANTS
    return sb_bft_mutant_set(name);
#else
    (void)name;
    return false;
#endif
}

static bool parse(struct options *o, int argc, char **argv)
{
    static const struct option names[] = {{"seeds", required_argument, NULL, 's'},
                                          {"core-only", no_argument, NULL, 'c'},
                                          {"heights", required_argument, NULL, 'h'},
                                          {"jobs", required_argument, NULL, 'j'},
                                          {"state", required_argument, NULL, 'f'},
                                          {"trace", no_argument, NULL, 't'},
                                          {"svg", required_argument, NULL, 'v'},
                                          {"mutant", required_argument, NULL, 'm'},
                                          {"scenario", required_argument, NULL, 'n'},
                                          {"determinism", required_argument, NULL, 'd'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"failures-max", required_argument, NULL, 'x'},
                                          {NULL, 0, NULL, 0}};
    *o = (struct options){.jobs = 1, .failures_max = 10};
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 's':
        case 'd':
            if (!parse_range(o, optarg)) {
                return false;
            }
            o->has_seeds = true;
            o->is_determinism = option == 'd';
            break;
        case 'c':
            o->is_core_only = true;
            break;
        case 'h':
            o->heights = strtoull(optarg, NULL, 10);
            break;
        case 'j':
            o->jobs = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'f':
            o->state = optarg;
            break;
        case 't':
            o->trace = true;
            break;
        case 'v':
            o->svg = optarg;
            break;
        case 'm':
            o->mutant = optarg;
            break;
        case 'n':
            o->scenario = optarg;
            break;
        case 'q':
            o->is_quiet = true;
            break;
        case 'x':
            o->failures_max = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        default:
            return false;
        }
    }
    return optind == argc && (o->has_seeds || o->scenario != NULL) && o->jobs >= 1 &&
           o->jobs <= JOBS_MAX && o->heights <= 1000;
}

int main(int argc, char **argv)
{
    struct options o;
    if (!parse(&o, argc, argv)) {
        return usage();
    }
    if (o.mutant != NULL && !choose_mutant(o.mutant)) {
        fprintf(stderr, "no mutant '%s' in this build (-Dbft_mutants=true)\n", o.mutant);
        return 2;
    }
    (void)signal(SIGINT, on_signal);
    (void)signal(SIGTERM, on_signal);
    if (o.scenario != NULL) {
        return run_scenarios(&o);
    }
    return o.is_determinism ? run_determinism(&o) : run_campaign(&o);
}
