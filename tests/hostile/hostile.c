/* hostile.c: hostile peers against a listening node: it must neither crash nor grow nor stop serving an honest peer meanwhile.
 *
 *      honest peer (this process, node/p2p) <--echo or ping--> victim <-- foes: garbage, half-open, with good handshakes, floods ...
 *
 *     hostile [--seed S] [--only TEXT] [--memory-mib N]                    the victim is a peer network of its own, in a child process
 *     hostile --connect HOST:PORT --chain-id N --genesis 0xHASH --pid PID  the victim is a real node
 *
 * After each attack: the victim lives; its memory at its highest (VmHWM) is at most --memory-mib above what it was at first; the honest peer is still on
 * its first connection and heard from the victim during the attack; connections that must be closed were closed. Foes come from
 * addresses of 127/8 and with node ids of their own, so that limits by address do not end an attack early. The last line is
 * "N passed, M failed, K skipped". */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/codec/hex.h"
#include "base/util/assert.h"
#include "base/util/endian.h"
#include "node/p2p/p2p.h"
#include "tests/hostile/foe.h"
#include "tests/support/process.h"

/* 128 of partial messages, the peers' buffers and queues, what the allocator keeps. */
#define MEMORY_MIB_MAX 256
/* The handshake's 5 s, and a slow machine. */
#define CLOSE_MS_MAX 60000
#define FOES_MAX     400
#define ECHO_US      5000

static struct {
    struct foe_target target;
    pid_t pid; /* of the victim */
    bool is_child;
    const char *only;
    struct sb_random random;
    long memory_kib; /* at first */
    long memory_mib_max;
    struct sb_p2p *honest;
    pthread_t honest_thread;
    atomic_bool honest_stop;
    atomic_uint_least64_t ups, downs, echoes, echo_us_max;
    atomic_uint_least64_t victim_peer; /* the honest peer's number for it; 0: none */
    uint64_t passed, failed;
} t;

static uint64_t now_us(void)
{
    struct timespec now;
    SB_ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- the victim, when it is ours ---- */

static struct sb_p2p *g_victim;

static bool victim_message(void *ctx, sb_peer peer, enum sb_channel channel, sb_bytes message)
{
    (void)ctx;
    if (channel == SB_CHANNEL_VOTE) {
        (void)sb_p2p_send(g_victim, peer, channel, message);
    }
    return true;
}

static struct sb_p2p_options options_of(uint8_t seed)
{
    struct sb_p2p_options options = {
        .domain = t.target.domain, .agent = "test/1", .pex = true, .allow_local = true};
    uint8_t bytes[SB_ED25519_SEED_BYTES] = {seed};
    uint8_t id[SB_ED25519_PUBLIC_BYTES];
    sb_ed25519_keypair(id, options.node_secret, bytes);
    return options;
}

/* The child: a peer network that answers votes, until its parent is gone. Its port goes through the pipe. */
static _Noreturn void victim_main(int report_fd)
{
    struct sb_diag diag = {.text = ""};
    struct sb_p2p_options options = options_of(1);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    options.listen_host = "127.0.0.1";
    options.callbacks.message = victim_message;
    if (sb_p2p_new(&g_victim, &options, &diag) != SB_OK || sb_p2p_start(g_victim, &diag) != SB_OK) {
        (void)fprintf(stderr, "victim: %s\n", diag.text);
        _exit(1);
    }
    uint16_t port = sb_p2p_port(g_victim);
    SB_ASSERT(write(report_fd, &port, sizeof port) == sizeof port);
    sigset_t end;
    int which = 0;
    (void)sigemptyset(&end);
    (void)sigaddset(&end, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &end, NULL);
    (void)sigwait(&end, &which);
    sb_p2p_stop(g_victim);
    sb_p2p_free(g_victim);
    exit(0); /* not _exit: a sanitizer looks for leaks here */
}

static void victim_start(void)
{
    int pipe_fds[2];
    uint16_t port = 0;
    SB_ASSERT(pipe(pipe_fds) == 0);
    t.pid = fork();
    SB_ASSERT(t.pid >= 0);
    if (t.pid == 0) {
        victim_main(pipe_fds[1]);
    }
    SB_ASSERT(read(pipe_fds[0], &port, sizeof port) == sizeof port);
    t.is_child = true;
    bool ok = sb_endpoint_parse(&t.target.endpoint, "127.0.0.1", port);
    SB_ASSERT(ok);
}

static bool victim_lives(void)
{
    int status = 0;
    return t.is_child ? waitpid(t.pid, &status, WNOHANG) == 0 : kill(t.pid, 0) == 0;
}

static long victim_memory_kib(void)
{
    char path[64], line[256];
    long kib = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)t.pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kib;
}

/* ---- the honest peer ---- */

static void honest_up(void *ctx, const struct sb_p2p_peer_info *info)
{
    (void)ctx;
    atomic_fetch_add(&t.ups, 1);
    atomic_store(&t.victim_peer, info->peer);
}

static void honest_down(void *ctx, sb_peer peer)
{
    (void)ctx;
    (void)peer;
    atomic_store(&t.victim_peer, 0);
    atomic_fetch_add(&t.downs, 1);
}

static bool honest_message(void *ctx, sb_peer peer, enum sb_channel channel, sb_bytes message)
{
    (void)ctx;
    (void)peer;
    if (channel == SB_CHANNEL_VOTE && message.len == 8 && t.is_child) {
        uint64_t took = now_us() - be_load64(message.data);
        atomic_fetch_add(&t.echoes, 1);
        if (took > atomic_load(&t.echo_us_max)) {
            atomic_store(&t.echo_us_max, took);
        }
    }
    return true;
}

/* Echoes by our own victim; a real node's pongs are counted instead. */
static void *honest_main(void *ctx)
{
    (void)ctx;
    while (!atomic_load(&t.honest_stop)) {
        uint8_t stamp[8];
        be_store64(stamp, now_us());
        sb_peer peer = atomic_load(&t.victim_peer);
        struct sb_p2p_peer_status status;
        if (t.is_child && peer != 0) {
            (void)sb_p2p_send(t.honest, peer, SB_CHANNEL_VOTE, sb_span(stamp, sizeof stamp));
        } else if (sb_p2p_peers(t.honest, &status, 1) == 1) {
            atomic_store(&t.echoes, status.channel_received_bytes[SB_CHANNEL_CONTROL] / 9);
        }
        sleep_us(ECHO_US);
    }
    return NULL;
}

static bool honest_start(void)
{
    struct sb_diag diag = {.text = ""};
    struct sb_p2p_options options = options_of(2);
    char address[SB_ENDPOINT_TEXT_BYTES];
    const char *peers[] = {sb_endpoint_format(address, &t.target.endpoint)};
    options.persistent_peers = peers;
    options.persistent_count = 1;
    options.pex = false;
    options.ping_ms = 100;
    options.callbacks = (struct sb_p2p_callbacks){NULL, honest_up, honest_down, honest_message};
    if (sb_p2p_new(&t.honest, &options, &diag) != SB_OK || sb_p2p_start(t.honest, &diag) != SB_OK) {
        printf("FAIL hostile::honest_peer %s\n", diag.text);
        return false;
    }
    for (int i = 0; i < CLOSE_MS_MAX && atomic_load(&t.ups) == 0; i++) {
        sleep_us(1000);
    }
    if (atomic_load(&t.ups) == 0) {
        printf("FAIL hostile::honest_peer there is no connection to the victim\n");
        return false;
    }
    SB_ASSERT(pthread_create(&t.honest_thread, NULL, honest_main, NULL) == 0);
    return true;
}

/* ---- attacks: each returns NULL or what the victim did wrong ---- */

static struct foe g_foes[FOES_MAX];
static uint8_t g_bytes[1 << 20];

static const char *random_bytes(void)
{
    for (size_t i = 0; i < 100; i++) {
        struct foe foe;
        size_t len = 1 + sb_random_below(&t.random, 5000);
        sb_random_fill(&t.random, g_bytes, len);
        if (foe_connect(&foe, &t.target, &t.random)) {
            foe_send(&foe, g_bytes, len);
        }
        /* a length that happens to be 32 begins a handshake that fails a little later */
        bool closed = foe_wait_closed(&foe, CLOSE_MS_MAX);
        foe_close(&foe);
        if (!closed) {
            return "garbage was not answered by closing";
        }
    }
    return NULL;
}

static const char *truncated_handshakes(void)
{
    uint8_t first[64];
    size_t len = foe_first_message(first, &t.target, &t.random);
    for (size_t cut = 0; cut < len; cut++) {
        struct foe foe;
        if (foe_connect(&foe, &t.target, &t.random)) {
            foe_send(&foe, first, cut);
            (void)shutdown(foe.fd, SHUT_WR);
        }
        bool closed = foe_wait_closed(&foe, CLOSE_MS_MAX);
        foe_close(&foe);
        if (!closed) {
            return "a cut handshake was kept";
        }
    }
    return NULL;
}

static const char *first_message_then_garbage(void)
{
    uint8_t first[64];
    for (size_t i = 0; i < 50; i++) {
        struct foe foe;
        size_t len = foe_first_message(first, &t.target, &t.random);
        sb_random_fill(&t.random, g_bytes, 400);
        be_store16(g_bytes, (uint16_t)(64 + 140 + sb_random_below(&t.random, 100)));
        if (foe_connect(&foe, &t.target, &t.random)) {
            foe_send(&foe, first, len);
            foe_send(&foe, g_bytes, 400);
        }
        bool closed = foe_wait_closed(&foe, CLOSE_MS_MAX);
        foe_close(&foe);
        if (!closed) {
            return "a false third message was not refused";
        }
    }
    return NULL;
}

static const char *wrong_genesis(void)
{
    struct foe_target target = t.target;
    target.domain.genesis_hash.b[0] ^= 1;
    for (size_t i = 0; i < 20; i++) {
        struct foe foe;
        bool up = foe_connect(&foe, &target, &t.random) && foe_shake(&foe, &target, &t.random);
        foe_close(&foe);
        if (up) {
            return "a node of another chain was welcomed";
        }
    }
    return NULL;
}

/* hold: open connections until `count`, send the first bytes of a message, and see them closed. */
static const char *hold(size_t count, size_t bytes)
{
    uint8_t first[64];
    (void)foe_first_message(first, &t.target, &t.random);
    for (size_t i = 0; i < count; i++) {
        if (foe_connect(&g_foes[i], &t.target, &t.random)) {
            foe_send(&g_foes[i], first, bytes);
        }
    }
    const char *why = NULL;
    uint64_t until = now_ms() + CLOSE_MS_MAX;
    for (size_t i = 0; i < count; i++) {
        uint64_t now = now_ms();
        if (!foe_wait_closed(&g_foes[i], now < until ? until - now : 0)) {
            why = "a handshake was allowed more than its time";
        }
        foe_close(&g_foes[i]);
    }
    return why;
}

static const char *silent(void)
{
    return hold(20, 0);
}

static const char *many_half_open(void)
{
    return hold(FOES_MAX, 10);
}

static const char *slow_loris(void)
{
    uint8_t first[64];
    uint64_t until = now_ms() + CLOSE_MS_MAX;
    size_t open = 0;
    (void)foe_first_message(first, &t.target, &t.random);
    for (size_t i = 0; i < 20; i++) {
        (void)foe_connect(&g_foes[i], &t.target, &t.random);
    }
    for (size_t at = 0; now_ms() < until; at++) {
        open = 0;
        for (size_t i = 0; i < 20; i++) {
            foe_send(&g_foes[i], first + at % sizeof first, 1);
            open += foe_wait_closed(&g_foes[i], 0) ? 0 : 1;
        }
        if (open == 0) {
            break;
        }
        sleep_us(300000);
    }
    for (size_t i = 0; i < 20; i++) {
        foe_close(&g_foes[i]);
    }
    return open == 0 ? NULL : "a byte now and then kept a handshake alive";
}

/* A good session up to the WELCOME, then what `act` does. */
static const char *with_session(const char *(*act)(struct foe *foe), bool must_close)
{
    struct foe foe;
    const char *why = NULL;
    if (!foe_connect(&foe, &t.target, &t.random) || !foe_shake(&foe, &t.target, &t.random)) {
        foe_close(&foe);
        return "a good handshake was refused";
    }
    why = act(&foe);
    if (why == NULL && must_close && !foe_wait_closed(&foe, CLOSE_MS_MAX)) {
        why = "a faulty session was kept";
    }
    foe_close(&foe);
    return why;
}

static const char *act_garbage_frame(struct foe *foe)
{
    sb_random_fill(&t.random, g_bytes, 2000);
    be_store16(g_bytes, (uint16_t)(20 + sb_random_below(&t.random, 1900)));
    foe_send(foe, g_bytes, 2000);
    return NULL;
}

static const char *act_sealed_garbage(struct foe *foe)
{
    for (size_t i = 0; i < 1000 && !foe->is_closed; i++) {
        size_t len = 4 + sb_random_below(&t.random, 300);
        sb_random_fill(&t.random, g_bytes, len);
        foe_seal(foe, sb_span(g_bytes, len));
    }
    return NULL;
}

static const char *act_over_cap(struct foe *foe)
{
    for (size_t i = 0; i < 3 && !foe->is_closed; i++) {
        foe_say(foe, SB_CHANNEL_CONTROL, 0, sb_span(g_bytes, 600));
    }
    return NULL;
}

static const char *act_replay(struct foe *foe)
{
    uint8_t frame[SB_LINK_SEALED_BYTES(16)] = {0};
    uint8_t *plain = frame + SB_LINK_FRAME_HEADER_BYTES;
    size_t len = 0;
    plain[0] = SB_CHANNEL_STATE;
    plain[1] = SB_FRAGMENT_FINAL;
    plain[3] = 12;
    sb_err err = sb_link_seal(foe->link, &len, frame, 16);
    SB_ASSERT(err == SB_OK);
    foe_send(foe, frame, len);
    foe_send(foe, frame, len);
    return NULL;
}

static const char *act_second_welcome(struct foe *foe)
{
    const uint8_t welcome = SB_CONTROL_WELCOME;
    foe_say(foe, SB_CHANNEL_CONTROL, SB_FRAGMENT_FINAL, sb_span(&welcome, 1));
    return NULL;
}

static const char *act_false_pongs(struct foe *foe)
{
    uint8_t pong[9] = {SB_CONTROL_PONG};
    for (size_t i = 0; i < 20; i++) {
        be_store64(pong + 1, 1 + i);
        foe_say(foe, SB_CHANNEL_CONTROL, SB_FRAGMENT_FINAL, sb_span(pong, sizeof pong));
    }
    return NULL;
}

static const char *act_unasked_addresses(struct foe *foe)
{
    g_bytes[0] = SB_PEX_ADDRESSES;
    g_bytes[1] = SB_PEX_ADDRESSES_MAX;
    for (size_t i = 0; i < 10; i++) {
        foe_say(foe, SB_CHANNEL_PEX, SB_FRAGMENT_FINAL, sb_span(g_bytes, SB_PEX_BYTES_MAX));
    }
    return NULL;
}

static const char *act_endless_requests(struct foe *foe)
{
    const uint8_t request = SB_PEX_REQUEST;
    for (size_t i = 0; i < 60; i++) {
        foe_say(foe, SB_CHANNEL_PEX, SB_FRAGMENT_FINAL, sb_span(&request, 1));
    }
    return NULL;
}

/* Much of everything that is well-formed, as fast as it goes. */
static const char *act_flood(struct foe *foe)
{
    uint64_t until = now_ms() + 2000;
    while (now_ms() < until && !foe->is_closed) {
        foe_say(foe, SB_CHANNEL_TX, SB_FRAGMENT_FINAL, sb_span(g_bytes, 20000));
        foe_say(foe, SB_CHANNEL_STATE, SB_FRAGMENT_FINAL, sb_span(g_bytes, 1));
    }
    return NULL;
}

/* Pings that are never read back: the answers must not pile up. */
static const char *act_deaf(struct foe *foe)
{
    uint8_t ping[9] = {SB_CONTROL_PING};
    uint8_t vote[4000] = {0};
    uint64_t until = now_ms() + 2000;
    while (now_ms() < until && !foe->is_closed) {
        foe_say(foe, SB_CHANNEL_CONTROL, SB_FRAGMENT_FINAL, sb_span(ping, sizeof ping));
        foe_say(foe, SB_CHANNEL_VOTE, SB_FRAGMENT_FINAL, sb_span(vote, sizeof vote));
    }
    return NULL;
}

static const char *sessions(const char *(*act)(struct foe *foe), size_t count, bool must_close)
{
    for (size_t i = 0; i < count; i++) {
        const char *why = with_session(act, must_close);
        if (why != NULL) {
            return why;
        }
    }
    return NULL;
}

static const char *garbage_frames(void)
{
    return sessions(act_garbage_frame, 20, true);
}

static const char *sealed_garbage(void)
{
    return sessions(act_sealed_garbage, 20, true);
}

static const char *messages_over_their_cap(void)
{
    return sessions(act_over_cap, 5, true);
}

static const char *replayed_frames(void)
{
    return sessions(act_replay, 5, true);
}

static const char *control_out_of_place(void)
{
    const char *why = sessions(act_second_welcome, 5, true);
    return why != NULL ? why : sessions(act_false_pongs, 5, true);
}

static const char *peer_exchange_abuse(void)
{
    const char *why = sessions(act_unasked_addresses, 3, true);
    return why != NULL ? why : sessions(act_endless_requests, 3, true);
}

static const char *flood(void)
{
    return sessions(act_flood, 2, false);
}

static const char *deaf_peer(void)
{
    return sessions(act_deaf, 1, false);
}

static const char *messages_before_the_welcome(void)
{
    struct foe foe;
    bool up =
        foe_connect(&foe, &t.target, &t.random) && foe_shake_quietly(&foe, &t.target, &t.random);
    if (up) {
        foe_say(&foe, SB_CHANNEL_VOTE, SB_FRAGMENT_FINAL, sb_span(g_bytes, 100));
    }
    bool closed = foe_wait_closed(&foe, CLOSE_MS_MAX);
    foe_close(&foe);
    return !up ? "a good handshake was refused" : closed ? NULL : "it was listened to";
}

/* More peers than there are places, all well-behaved and of no use: a newcomer gets in all the same. */
static const char *full_house(void)
{
    size_t count = 0;
    for (size_t i = 0; i < 80; i++) {
        struct foe *foe = &g_foes[count];
        if (foe_connect(foe, &t.target, &t.random) && foe_shake(foe, &t.target, &t.random)) {
            count++;
        } else {
            foe_close(foe);
        }
    }
    size_t open = 0;
    for (size_t i = 0; i < count; i++) {
        open += foe_wait_closed(&g_foes[i], 0) ? 0 : 1;
    }
    struct foe newcomer;
    bool is_in =
        foe_connect(&newcomer, &t.target, &t.random) && foe_shake(&newcomer, &t.target, &t.random);
    foe_close(&newcomer);
    for (size_t i = 0; i < count; i++) {
        foe_close(&g_foes[i]);
    }
    return open < 20 ? "too few peers were admitted to try"
           : is_in   ? NULL
                     : "a newcomer was turned away";
}

/* As many peers as are admitted begin the largest message there is and never end it. */
static const char *endless_messages(void)
{
    const size_t max = sb_channels[SB_CHANNEL_SYNC].message_bytes_max;
    size_t count = 0;
    for (size_t i = 0; i < 60; i++) {
        struct foe *foe = &g_foes[count];
        if (foe_connect(foe, &t.target, &t.random) && foe_shake(foe, &t.target, &t.random)) {
            count++;
        } else {
            foe_close(foe);
        }
    }
    for (size_t sent = 0; sent + 60000 < max; sent += 60000) {
        for (size_t i = 0; i < count; i++) {
            foe_say(&g_foes[i], SB_CHANNEL_SYNC, 0, sb_span(g_bytes, 60000));
        }
    }
    for (size_t i = 0; i < count; i++) {
        foe_close(&g_foes[i]);
    }
    return count > 20 ? NULL : "too few peers were admitted to try";
}

/* ---- judging ---- */

static const char *judge(const char *why, uint64_t echoes_before)
{
    uint64_t until = now_ms() + CLOSE_MS_MAX;
    while (atomic_load(&t.echoes) <= echoes_before && now_ms() < until) {
        sleep_us(1000);
    }
    if (!victim_lives()) {
        return "the victim is gone";
    }
    if (why != NULL) {
        return why;
    }
    if (atomic_load(&t.downs) > 0) {
        return "the honest peer lost its connection";
    }
    if (atomic_load(&t.echoes) <= echoes_before) {
        return "the honest peer heard nothing";
    }
    return victim_memory_kib() > t.memory_kib + t.memory_mib_max * 1024 ? "the victim's memory grew"
                                                                        : NULL;
}

static void attack(const char *name, const char *(*run)(void))
{
    if (t.only != NULL && strstr(name, t.only) == NULL) {
        return;
    }
    uint64_t echoes = atomic_load(&t.echoes);
    uint64_t begun = now_ms();
    atomic_store(&t.echo_us_max, 0);
    const char *why = judge(run(), echoes);
    printf("%-28s %5" PRIu64 " ms, memory %ld KiB, honest peer: %" PRIu64
           " answers, slowest %" PRIu64 " us\n",
           name, now_ms() - begun, victim_memory_kib(), atomic_load(&t.echoes) - echoes,
           atomic_load(&t.echo_us_max));
    if (why != NULL) {
        printf("FAIL hostile::%s %s\n", name, why);
    }
    t.passed += why == NULL ? 1 : 0;
    t.failed += why != NULL ? 1 : 0;
    (void)fflush(stdout);
}

static void attack_all(void)
{
#define ATTACK(name) attack(#name, name)
    ATTACK(random_bytes);
    ATTACK(truncated_handshakes);
    ATTACK(first_message_then_garbage);
    ATTACK(wrong_genesis);
    ATTACK(silent);
    ATTACK(many_half_open);
    ATTACK(slow_loris);
    ATTACK(garbage_frames);
    ATTACK(sealed_garbage);
    ATTACK(messages_over_their_cap);
    ATTACK(replayed_frames);
    ATTACK(control_out_of_place);
    ATTACK(peer_exchange_abuse);
    ATTACK(messages_before_the_welcome);
    ATTACK(flood);
    ATTACK(deaf_peer);
    ATTACK(full_house);
    ATTACK(endless_messages);
#undef ATTACK
}

/* ---- command line ---- */

static int usage(void)
{
    (void)fprintf(stderr, "usage: hostile [--seed S] [--only TEXT] [--memory-mib N] [--connect "
                          "HOST:PORT --chain-id N "
                          "--genesis 0xHASH --pid PID]\n");
    return 2;
}

static bool read_options(int argc, char **argv, const char **ret_connect)
{
    t.random = (struct sb_random){.state = 1};
    t.memory_mib_max = MEMORY_MIB_MAX;
    t.target.domain = (struct sb_chain_domain){.chain_id = 7};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--seed") == 0) {
            t.random.state = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--memory-mib") == 0) {
            t.memory_mib_max = strtol(value, NULL, 10);
        } else if (strcmp(argv[i], "--only") == 0) {
            t.only = value;
        } else if (strcmp(argv[i], "--connect") == 0) {
            *ret_connect = value;
        } else if (strcmp(argv[i], "--chain-id") == 0) {
            t.target.domain.chain_id = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--pid") == 0) {
            t.pid = (pid_t)strtol(value, NULL, 10);
        } else if (strcmp(argv[i], "--genesis") != 0 ||
                   sb_hex_parse(t.target.domain.genesis_hash.b, 32, value, strlen(value)) !=
                       SB_OK) {
            return false;
        }
    }
    return argc % 2 == 1 && (*ret_connect == NULL) == (t.pid == 0);
}

static bool victim_find(const char *connect_to)
{
    struct sb_node_address address;
    if (connect_to == NULL) {
        victim_start();
        return true;
    }
    return sb_node_address_parse(&address, connect_to, NULL) == SB_OK &&
           sb_endpoint_parse(&t.target.endpoint, address.host, address.port);
}

static void victim_end(void)
{
    if (t.is_child) {
        (void)kill(t.pid, SIGTERM);
        int status = process_wait(t.pid, 30000);
        t.failed += status != 0 ? 1 : 0;
        if (status != 0) {
            printf("FAIL hostile::victim it ended with status %d\n", status);
        }
    }
}

int main(int argc, char **argv)
{
    const char *connect_to = NULL;
    (void)signal(SIGPIPE, SIG_IGN);
    if (!read_options(argc, argv, &connect_to) || !victim_find(connect_to)) {
        return usage();
    }
    printf("# hostile: --seed %" PRIu64 "\n", t.random.state);
    if (honest_start()) {
        t.memory_kib = victim_memory_kib();
        attack_all();
        atomic_store(&t.honest_stop, true);
        SB_ASSERT(pthread_join(t.honest_thread, NULL) == 0);
    } else {
        t.failed++;
    }
    if (t.honest != NULL) {
        sb_p2p_stop(t.honest);
        sb_p2p_free(t.honest);
    }
    victim_end();
    printf("%" PRIu64 " passed, %" PRIu64 " failed, 0 skipped\n", t.passed, t.failed);
    return t.failed == 0 && t.passed > 0 ? 0 : 1;
}
