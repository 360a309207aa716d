/* cmd_localnet.c: `samebit localnet`: a network of validators on this machine in one command.
 *
 *      this process: relay (with --delay), table         DIR/node0: samebit run ... > node.log
 *                    starts, watches, ends        ---->  DIR/node1: samebit run ... > node.log
 *                                                        ...
 *
 * Each node is this same program with `run`, so it can also be looked at, killed and started again by hand. The banner is that of
 * `dev`: "Private key N:" lines first, "Listening on" when all nodes answer. Then a table of the nodes, drawn over on a terminal, a line
 * every ten seconds elsewhere. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/codec/hex.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/dev_accounts.h"
#include "node/localnet.h"
#include "node/staking_options.h"
#include "node/units.h"
#include "node/version.h"

#define ARENA_BYTES    ((size_t)64 << 20)
#define VALIDATORS_MAX 16
#define DELAY_US_MAX   10000000
#define BLOCK_TIME_MAX 3600000
#define START_MS_MAX   60000
#define END_MS_MAX     15000
#define LOOK_MS        1000
#define START_LOOK_MS  50
#define LINE_MS        10000
#define NS_IN_MS       1000000L
#define LOG_LINE_BYTES 160
#define EXEC_FAILED    127

static const struct sb_usage k_usage = {
    "localnet", "[options]",
    "Start a network of validators on this machine: keys, genesis, data directories, one process "
    "each, funded\n"
    "accounts with well-known keys, and a live table. With --delay the nodes talk through a relay "
    "that behaves\n"
    "like wires of that length. Without --datadir everything is temporary. Ctrl-C ends all nodes.",
    "  samebit localnet\n"
    "  samebit localnet --validators 7 --block-time 0.2\n"
    "  samebit localnet --delay 25ms --jitter 5ms --loss 0.1\n"
    "  samebit localnet --datadir ./net --base-port 9545\n"};

struct child {
    pid_t pid; /* 0: not running */
    int status;
    char log[SB_PATH_BYTES];
    struct sb_localnet_status seen;
    bool answers;
};

struct localnet {
    const char *datadir, *balance, *delay, *jitter, *loss;
    uint64_t validator_count, base_port, account_count, chain_id, block_time_ms;
    bool silent, no_staking;
    struct sb_texts staking;

    char dir[SB_PATH_BYTES];
    struct sb_config config;
    struct sb_localnet_options options;
    struct sb_localnet net;
    struct sb_genesis genesis;
    struct sb_dev_account accounts[SB_DEV_ACCOUNTS_MAX + 1]; /* the last one gets the tips */
    struct child children[SB_LOCALNET_NODES_MAX];
    bool is_terminal, is_drawn;
    uint64_t line_ms; /* when the last line was printed */
};

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* ---- processes ---- */

static void child_exec(const struct child *child, const char *program, const char *dir,
                       pid_t parent)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* no node outlives this process */
    (void)setpgid(0, 0); /* Ctrl-C reaches this process alone, which ends them in order */
    int log = open(child->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    int in = open("/dev/null", O_RDONLY);
    if (log < 0 || in < 0 || getppid() != parent || dup2(in, 0) < 0 || dup2(log, 1) < 0 ||
        dup2(log, 2) < 0) {
        _exit(EXEC_FAILED);
    }
    (void)execl(program, program, "run", "--datadir", dir, (char *)NULL);
    _exit(EXEC_FAILED);
}

static sb_err start_children(struct localnet *l, struct sb_diag *diag)
{
    char program[SB_PATH_BYTES];
    size_t size = sizeof program;
    pid_t parent = getpid();
    if (uv_exepath(program, &size) != 0) {
        return sb_fail(diag, SB_E_INTERNAL, "this program cannot find its own file");
    }
    (void)fflush(stdout);
    for (size_t i = 0; i < l->net.node_count; i++) {
        struct child *child = &l->children[i];
        const char *dir = l->net.nodes[i].dir.path;
        SB_TRY(sb_path_join(child->log, dir, "node.log", diag));
        child->pid = fork();
        if (child->pid == 0) {
            child_exec(child, program, dir, parent);
        }
        if (child->pid < 0) {
            child->pid = 0;
            return sb_fail(diag, SB_E_INTERNAL, "no process can be made: %s", strerror(errno));
        }
    }
    return SB_OK;
}

static size_t running_count(const struct localnet *l)
{
    size_t count = 0;
    for (size_t i = 0; i < l->net.node_count; i++) {
        count += l->children[i].pid != 0;
    }
    return count;
}

static void reap(struct localnet *l)
{
    for (size_t i = 0; i < l->net.node_count; i++) {
        struct child *child = &l->children[i];
        if (child->pid != 0 && waitpid(child->pid, &child->status, WNOHANG) == child->pid) {
            child->pid = 0;
            child->answers = false;
        }
    }
}

static void signal_all(const struct localnet *l, int sig)
{
    for (size_t i = 0; i < l->net.node_count; i++) {
        if (l->children[i].pid != 0) {
            (void)kill(l->children[i].pid, sig);
        }
    }
}

/* ---- signals; they are blocked, and taken one by one ---- */

static void watched_signals(sigset_t *ret_set)
{
    (void)sigemptyset(ret_set);
    (void)sigaddset(ret_set, SIGINT);
    (void)sigaddset(ret_set, SIGTERM);
    (void)sigaddset(ret_set, SIGHUP);
    (void)sigaddset(ret_set, SIGCHLD);
}

/* wait_signal: true for one that ends the network; reaps children. */
static bool wait_signal(struct localnet *l, uint64_t ms)
{
    const struct timespec wait = {.tv_sec = (time_t)(ms / 1000),
                                  .tv_nsec = (long)(ms % 1000) * NS_IN_MS};
    sigset_t set;
    watched_signals(&set);
    int sig = sigtimedwait(&set, NULL, &wait);
    reap(l);
    return sig == SIGINT || sig == SIGTERM || sig == SIGHUP;
}

/* stop_children: ask, wait, and insist. */
static void stop_children(struct localnet *l)
{
    uint64_t end = now_ms() + END_MS_MAX;
    signal_all(l, SIGTERM);
    while (running_count(l) != 0 && now_ms() < end) {
        (void)wait_signal(l, START_LOOK_MS);
    }
    signal_all(l, SIGKILL);
    while (running_count(l) != 0) {
        (void)wait_signal(l, START_LOOK_MS);
    }
}

/* ---- table ---- */

static void ask_all(struct localnet *l)
{
    struct sb_diag diag;
    for (size_t i = 0; i < l->net.node_count; i++) {
        struct child *child = &l->children[i];
        child->answers =
            child->pid != 0 && sb_localnet_ask(&child->seen, &l->net.nodes[i], &diag) == SB_OK;
    }
}

/* last_line: the last line of a log, cut, without "error: "; "" when there is none. */
static void last_line(char ret[LOG_LINE_BYTES], const char *path)
{
    char text[4 * LOG_LINE_BYTES];
    size_t len = 0;
    FILE *file = fopen(path, "rb");
    if (file != NULL) {
        if (fseek(file, -(long)sizeof text, SEEK_END) != 0) {
            rewind(file);
        }
        len = fread(text, 1, sizeof text, file);
        (void)fclose(file);
    }
    while (len > 0 && text[len - 1] == '\n') {
        len--;
    }
    size_t from = len;
    while (from > 0 && text[from - 1] != '\n') {
        from--;
    }
    static const char k_error[] = "error: ";
    if (len - from > sizeof k_error - 1 && memcmp(text + from, k_error, sizeof k_error - 1) == 0) {
        from += sizeof k_error - 1;
    }
    (void)snprintf(ret, LOG_LINE_BYTES, "%.*s", (int)(len - from), text + from);
}

static void print_dead(const struct child *child, size_t i)
{
    char line[LOG_LINE_BYTES];
    last_line(line, child->log);
    if (WIFSIGNALED(child->status)) {
        (void)printf("%4zu  killed by signal %d; log: %s", i, WTERMSIG(child->status), child->log);
    } else {
        (void)printf("%4zu  ended with status %d: %s; log: %s", i, WEXITSTATUS(child->status), line,
                     child->log);
    }
}

static void draw_table(struct localnet *l)
{
    if (l->is_drawn) {
        (void)printf("\x1b[%zuA", l->net.node_count + 1);
    }
    l->is_drawn = true;
    (void)printf("\x1b[?7l"); /* a long line is cut, not folded: the next drawing counts lines */
    (void)printf("\x1b[Knode    height  round  peers  block time  transactions  RPC\n");
    for (size_t i = 0; i < l->net.node_count; i++) {
        const struct child *child = &l->children[i];
        const struct sb_localnet_status *s = &child->seen;
        (void)printf("\x1b[K");
        if (child->pid == 0) {
            print_dead(child, i);
        } else if (!child->answers) {
            (void)printf("%4zu  does not answer; log: %s", i, child->log);
        } else {
            (void)printf("%4zu  %8" PRIu64 "  %5" PRIu64 "  %5" PRIu64 "  %7" PRIu64
                         " ms  %12" PRIu64 "  http://%s:%u%s",
                         i, s->height, s->round, s->peers, s->interval_ms, s->transactions,
                         l->config.host, l->net.nodes[i].rpc_port,
                         s->is_syncing ? "  (catching up)" : "");
        }
        (void)printf("\n");
    }
    (void)printf("\x1b[?7h");
    (void)fflush(stdout);
}

static void print_line(struct localnet *l)
{
    uint64_t least = UINT64_MAX, most = 0, round = 0, interval_ms = 0, transactions = 0;
    size_t answering = 0;
    for (size_t i = 0; i < l->net.node_count; i++) {
        const struct sb_localnet_status *s = &l->children[i].seen;
        if (!l->children[i].answers) {
            continue;
        }
        answering++;
        least = s->height < least ? s->height : least;
        transactions = s->height >= most ? s->transactions : transactions;
        interval_ms = s->height >= most ? s->interval_ms : interval_ms;
        round = s->height >= most ? s->round : round;
        most = s->height > most ? s->height : most;
    }
    (void)printf("%zu of %zu nodes up, height %" PRIu64 " to %" PRIu64 ", round %" PRIu64
                 ", block time %" PRIu64 " ms, %" PRIu64 " transactions\n",
                 answering, l->net.node_count, answering != 0 ? least : 0, most, round, interval_ms,
                 transactions);
    for (size_t i = 0; i < l->net.node_count; i++) {
        if (l->children[i].pid == 0) {
            print_dead(&l->children[i], i);
            (void)printf("\n");
        }
    }
    (void)fflush(stdout);
}

static void show(struct localnet *l)
{
    if (l->silent) {
        return;
    }
    if (l->is_terminal) {
        draw_table(l);
    } else if (now_ms() - l->line_ms >= LINE_MS) {
        l->line_ms = now_ms();
        print_line(l);
    }
}

/* print_operators: who owns the validators' stake; the keys are public, like those of the accounts. */
static void print_operators(const struct localnet *l)
{
    char addr[SB_ADDR_TEXT_BYTES], key[SB_HEX_TEXT_BYTES(32)];
    (void)printf("\nOperators\n=========\n");
    for (size_t i = 0; i < l->net.node_count; i++) {
        const struct sb_dev_account *keys = &l->net.nodes[i].operator_keys;
        sb_addr_format(addr, &keys->addr);
        (void)printf("(%zu) %s\n", i, addr);
    }
    for (size_t i = 0; i < l->net.node_count; i++) {
        const struct sb_dev_account *keys = &l->net.nodes[i].operator_keys;
        (void)printf("Operator key %zu: %s\n", i,
                     sb_hex_format(key, sb_span(keys->secret, sizeof keys->secret)));
    }
}

static void print_banner(const struct localnet *l)
{
    const struct sb_localnet_node *nodes = l->net.nodes;
    const struct sb_relay_quality *q = &l->options.quality;
    (void)printf("\n  samebit %s: a network of %zu validators\n\n", SB_VERSION, l->net.node_count);
    sb_dev_accounts_print(l->accounts, l->account_count, l->net.is_continued ? NULL : l->balance);
    if (sb_genesis_has_staking(&l->genesis)) {
        print_operators(l);
    }
    (void)printf("\nChain\n=====\nChain ID:          %" PRIu64 "\nGas limit:         %" PRIu64
                 "\nBlocks:            at least %" PRIu64 " ms apart\n",
                 l->genesis.config.chain_id, l->genesis.gas_limit,
                 l->genesis.params.min_block_interval_ms);
    if (l->options.has_relay) {
        (void)printf("Wires:             %" PRIu64 ".%03" PRIu64 " ms one way, jitter %" PRIu64
                     ".%03" PRIu64 " ms, %" PRIu32 " of a million segments lost\n",
                     q->delay_us / 1000, q->delay_us % 1000, q->jitter_us / 1000,
                     q->jitter_us % 1000, q->loss_ppm);
    }
    (void)printf("Data directory:    %s%s\n\n", l->dir,
                 l->datadir == NULL ? " (removed at the end)" : "");
    for (size_t i = 0; i < l->net.node_count; i++) {
        (void)printf("Node %zu:            http://%s:%u  peers %s:%u  log %s\n", i, l->config.host,
                     nodes[i].rpc_port, l->config.host, nodes[i].p2p_port, l->children[i].log);
    }
    (void)printf("\n");
    (void)fflush(stdout);
}

/* ---- running ---- */

/* wait_up: until all nodes answer. SB_E_CANCELLED: a signal came. */
static sb_err wait_up(struct localnet *l, struct sb_diag *diag)
{
    uint64_t end = now_ms() + START_MS_MAX;
    while (now_ms() < end) {
        if (wait_signal(l, START_LOOK_MS)) {
            return SB_E_CANCELLED;
        }
        ask_all(l);
        size_t up = 0;
        for (size_t i = 0; i < l->net.node_count; i++) {
            const struct child *child = &l->children[i];
            up += child->answers;
            if (child->pid == 0) {
                char line[LOG_LINE_BYTES];
                last_line(line, child->log);
                return sb_fail(diag, SB_E_INTERNAL, "node %zu has ended: %s", i, line);
            }
        }
        if (up == l->net.node_count) {
            return SB_OK;
        }
    }
    return sb_fail(diag, SB_E_TIMEOUT, "not all nodes answer after %d s; see their logs in %s",
                   START_MS_MAX / 1000, l->dir);
}

static int run_network(struct localnet *l)
{
    struct sb_diag diag = {.text = ""};
    sb_err err = start_children(l, &diag);
    if (err == SB_OK && !l->silent) {
        print_banner(l);
    }
    err = err == SB_OK ? wait_up(l, &diag) : err;
    if (err == SB_OK && !l->silent) {
        (void)printf("Listening on http://%s:%u\n\n", l->config.host, l->net.nodes[0].rpc_port);
        (void)fflush(stdout);
    }
    bool ends = err != SB_OK;
    while (!ends && running_count(l) != 0) {
        ask_all(l);
        show(l);
        ends = wait_signal(l, LOOK_MS);
    }
    if (err == SB_OK && !ends) {
        ask_all(l);
        print_line(l);
        err = sb_fail(&diag, SB_E_INTERNAL, "all nodes have ended");
    }
    stop_children(l);
    return err == SB_OK || err == SB_E_CANCELLED ? SB_EXIT_OK : sb_cli_fail(&diag);
}

static int serve(struct localnet *l, struct sb_arena *arena)
{
    static struct sb_genesis_account alloc[SB_DEV_ACCOUNTS_MAX];
    struct sb_diag diag = {.text = ""};
    uv_timeval64_t now = {0};
    (void)uv_gettimeofday(&now);
    l->options.dir = l->dir;
    l->options.config = &l->config;
    l->options.chain = (struct sb_new_chain){.chain_id = l->chain_id,
                                             .timestamp = (uint64_t)now.tv_sec,
                                             .min_block_interval_ms = l->block_time_ms,
                                             .gas_limit = sb_params_default().gas_limit,
                                             .alloc = alloc,
                                             .alloc_count = l->account_count,
                                             .has_staking = !l->no_staking};
    sb_err err = sb_staking_texts_read(&l->options.chain.staking, &l->staking, &diag);
    err = err == SB_OK ? sb_dev_accounts_derive(l->accounts, l->account_count + 1, &diag) : err;
    err = err == SB_OK
              ? sb_dev_accounts_alloc(alloc, l->accounts, l->account_count, l->balance, &diag)
              : err;
    l->options.operator_balance = alloc[0].balance;
    l->options.chain.fee_recipient = l->accounts[l->account_count].addr;
    l->options.chain.governor = l->accounts[0].addr;
    err = err == SB_OK ? sb_localnet_open(&l->net, &l->genesis, arena, &l->options, &diag) : err;
    if (err != SB_OK) {
        return sb_cli_fail(&diag);
    }
    l->account_count = sb_dev_accounts_funded(&l->genesis, l->accounts, l->account_count);
    int status = run_network(l);
    sb_localnet_close(&l->net);
    return status;
}

/* A directory of its own below TMPDIR, removed at the end, whatever the end is. */
static int serve_temporary(struct localnet *l, struct sb_arena *arena)
{
    struct sb_diag diag = {.text = ""};
    const char *base = getenv("TMPDIR");
    int len = snprintf(l->dir, sizeof l->dir, "%s/samebit-localnet-XXXXXX",
                       base != NULL && *base != '\0' ? base : "/tmp");
    if (len < 0 || (size_t)len >= sizeof l->dir || mkdtemp(l->dir) == NULL) {
        return sb_cli_failf("no temporary directory can be made; give one with --datadir");
    }
    int status = serve(l, arena);
    return sb_dir_remove(l->dir, &diag) == SB_OK ? status : sb_cli_fail(&diag);
}

/* read_wires: the texts of --delay, --jitter and --loss. */
static sb_err read_wires(struct localnet *l, struct sb_diag *diag)
{
    struct sb_relay_quality *q = &l->options.quality;
    uint64_t ppm = 0;
    l->options.has_relay = l->delay != NULL || l->jitter != NULL || l->loss != NULL;
    if (l->delay != NULL &&
        (sb_microseconds_parse(&q->delay_us, l->delay) != SB_OK || q->delay_us > DELAY_US_MAX)) {
        return sb_fail(diag, SB_E_ARG, "--delay: \"%.40s\" is not a time up to 10s, such as 25ms",
                       l->delay);
    }
    if (l->jitter != NULL &&
        (sb_microseconds_parse(&q->jitter_us, l->jitter) != SB_OK || q->jitter_us > DELAY_US_MAX)) {
        return sb_fail(diag, SB_E_ARG, "--jitter: \"%.40s\" is not a time up to 10s, such as 5ms",
                       l->jitter);
    }
    if (l->loss != NULL && (sb_percent_parse(&ppm, l->loss) != SB_OK || ppm > 1000000)) {
        return sb_fail(diag, SB_E_ARG, "--loss: \"%.40s\" is not a share in percent, such as 0.1",
                       l->loss);
    }
    q->loss_ppm = (uint32_t)ppm;
    return SB_OK;
}

static int localnet_main(struct localnet *l, const char *log_level)
{
    struct sb_diag diag = {.text = ""};
    struct sb_config_flags flags;
    struct sb_arena arena;
    sigset_t set;
    sb_config_default(&l->config);
    sb_config_flags_init(&flags);
    flags.log_level = log_level;
    if (sb_config_apply(&l->config, &flags, &diag) != SB_OK || read_wires(l, &diag) != SB_OK) {
        return sb_cli_usage(k_usage.command, "%s", diag.text);
    }
    l->options.node_count = l->validator_count;
    l->options.base_port = (uint16_t)l->base_port;
    l->is_terminal = isatty(STDOUT_FILENO) == 1;
    l->line_ms = now_ms() - LINE_MS;
    watched_signals(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    sb_arena_init(&arena, ARENA_BYTES);
    int status = SB_EXIT_FAILED;
    if (l->datadir == NULL) {
        status = serve_temporary(l, &arena);
    } else {
        int len = snprintf(l->dir, sizeof l->dir, "%s", l->datadir);
        status = len >= 0 && (size_t)len < sizeof l->dir ? serve(l, &arena)
                                                         : sb_cli_failf("--datadir is too long");
    }
    sb_arena_fini(&arena);
    return status;
}

int sb_cmd_localnet(int argc, char **argv)
{
    static struct localnet l;
    l = (struct localnet){.account_count = 10,
                          .balance = "10000",
                          .chain_id = SB_DEV_CHAIN_ID,
                          .base_port = 8545,
                          .block_time_ms = sb_params_default().min_block_interval_ms};
    const char *log_level = NULL;
    const struct sb_option options[] = {
        {"validators", SB_OPTION_U64, &l.validator_count, "N",
         "nodes, each a validator of the same power (4)", 1, VALIDATORS_MAX},
        {"delay", SB_OPTION_TEXT, &l.delay, "TIME", "of every wire, one way, such as 25ms (none)",
         0, 0},
        {"jitter", SB_OPTION_TEXT, &l.jitter, "TIME", "at most this much more delay (none)", 0, 0},
        {"loss", SB_OPTION_TEXT, &l.loss, "PERCENT", "of segments, each a stall as TCP has (none)",
         0, 0},
        {"block-time", SB_OPTION_SECONDS, &l.block_time_ms, "S",
         "least time between two blocks, in seconds (1); 0: as fast as they come", 0,
         BLOCK_TIME_MAX},
        {"datadir", SB_OPTION_TEXT, &l.datadir, "DIR",
         "keep the network here; one that is there goes on", 0, 0},
        {"base-port", SB_OPTION_U64, &l.base_port, "PORT",
         "RPC ports from here on, then those for peers (8545); 0: free ones", 0, 65000},
        {"accounts", SB_OPTION_U64, &l.account_count, "N", "funded accounts (10)", 1,
         SB_DEV_ACCOUNTS_MAX},
        {"balance", SB_OPTION_TEXT, &l.balance, "ETH", "balance of each (10000)", 0, 0},
        {"chain-id", SB_OPTION_U64, &l.chain_id, "N", "chain id (23296)", 1,
         UINT64_C(4503599627370476)},
        {"staking", SB_OPTION_TEXTS, &l.staking, "NAME=VALUE",
         "a parameter of staking, such as unbondingSeconds=60; repeat for more", 0, 0},
        {"no-staking", SB_OPTION_FLAG, &l.no_staking, NULL,
         "the validators stay as they are; the tips go to an account", 0, 0},
        {"log-level", SB_OPTION_TEXT, &log_level, "TEXT",
         "of the nodes: error, warn, info, debug or trace (info)", 0, 0},
        {"silent", SB_OPTION_FLAG, &l.silent, NULL, "print nothing", 0, 0},
    };
    struct sb_operands operands;
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_usage, options, sizeof options / sizeof options[0],
                         0, 0, argc, argv)) {
        return status;
    }
    return localnet_main(&l, log_level);
}
