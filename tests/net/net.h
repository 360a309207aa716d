/* net.h: networks of real node processes for tests: made, started, cut apart, killed, and looked at.
 *
 *      net_make --> DIR/node0..3, relay      net_start, net_kill, net_stop: processes
 *      net_cut: the relay                    net_height, net_wait_height, net_same_blocks: their RPC
 *      after each end of a process: its journal is read, and no place may ever be signed twice
 *
 * The first thing that goes wrong is kept as the net's problem; functions that find one return false. */
#ifndef SB_TESTS_NET_NET_H
#define SB_TESTS_NET_NET_H

#include <pthread.h>

#include "node/localnet.h"
#include "tests/crash/load.h"
#include "tests/crash/signed_places.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

#define NET_NODES      4
#define NET_CHAIN_ID   4711
#define NET_GROUPS     2048 /* of funded senders (load.h) */
#define NET_PATH_BYTES (TEMP_DIR_PATH_BYTES + 64)

struct net {
    const char *program; /* of each node, unless programs says otherwise */
    const char *programs[NET_NODES];
    char *const
        *environments[NET_NODES]; /* "NAME=VALUE" texts, NULL-terminated; NULL: nothing is added */
    char dir[TEMP_DIR_PATH_BYTES];
    struct sb_arena arena;
    struct sb_genesis genesis;
    struct sb_localnet local;
    char logs[NET_NODES][NET_PATH_BYTES];
    char command_log[NET_PATH_BYTES];
    pid_t pids[NET_NODES]; /* 0: does not run */
    struct signed_places places[NET_NODES];
    size_t fork_count;    /* comparisons of blocks that found a difference */
    pthread_mutex_t lock; /* of problem */
    char problem[1024];
};

/* net_make: four validators; blocks at least interval_ms apart; wires as `quality` says. */
bool net_make(struct net *net, const char *program, uint64_t interval_ms,
              const struct sb_relay_quality *quality);
/* net_fini: kill what runs; remove the folder unless there was a problem or `keep`. */
void net_fini(struct net *net, bool keep);
/* net_fail: note a problem, if it is the first; returns false. */
bool net_fail(struct net *net, const char *fmt, ...) SB_PRINTF(2, 3);

/* net_start: until it listens. net_start_with: the same with one more argument of `samebit run` (NULL: none). net_refused: it ends by
 * itself with status 1, and its log says this. net_kill: SIGKILL. net_stop: SIGTERM, and a clean end. Each end is followed by a look at the journal. */
bool net_start(struct net *net, size_t node);
bool net_start_with(struct net *net, size_t node, const char *argument);
bool net_refused(struct net *net, size_t node, const char *text);
bool net_start_all(struct net *net);
bool net_kill(struct net *net, size_t node);
bool net_stop(struct net *net, size_t node);
bool net_stop_all(struct net *net);

/* net_open: a session with a node. net_height: of its head; 0 when it does not answer. */
bool net_open(struct net *net, struct rpc_session *session, size_t node);
uint64_t net_height(struct net *net, size_t node);
uint64_t net_highest(struct net *net);
bool net_wait_height(struct net *net, size_t node, uint64_t height, uint64_t timeout_ms);
/* net_wait_all: every running node comes to this height. */
bool net_wait_all(struct net *net, uint64_t height, uint64_t timeout_ms);
/* net_metric: a plain number of a node's /metrics, named without samebit_. */
bool net_metric(struct net *net, uint64_t *ret, size_t node, const char *name);
/* net_same_blocks: the running nodes agree on every block up to the lowest of their heads. */
bool net_same_blocks(struct net *net);
/* net_check_disks: what stopped nodes have stored: `samebit verify` finds nothing, and the newest commits carry the very signatures that
 * the journals hold. */
bool net_check_disks(struct net *net);

/* net_command: run the program with these arguments (NULL-terminated) and read the value of its line "field: value". */
bool net_command(struct net *net, const char *const *args, const char *field, char *ret,
                 size_t room);

/* net_deploy_reader: the digits model and a DigitReader that asks it, on the running network, paid by this key; ret_address: 0x... */
#define NET_ADDRESS_BYTES 43
bool net_deploy_reader(struct net *net, char ret_address[NET_ADDRESS_BYTES],
                       const uint8_t secret[32]);

#endif
