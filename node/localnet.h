/* localnet.h: the files and wires of a network on one machine: what `samebit localnet`, tests and benches stand on. It starts no nodes.
 *
 *      DIR/node0 ... DIR/nodeN-1      data directories around one genesis; `samebit run --datadir DIR/nodeI` is a node of it
 *
 *      node i --dials--> relay path [i][j] --delay, loss, cuts--> peer port of node j        with a relay
 *      node i --dials--> peer port of node j                                                 without
 *
 * All nodes are validators of equal power, know each other as persistent peers, and tell nobody of them. In a chain with staking each has
 * an operator of its own (dev_accounts.h), whose private key also lies in the node's keys/operator.key. Ports and peers are written
 * into each config.json anew every time, since the relay's ports are of the moment. */
#ifndef SB_NODE_LOCALNET_H
#define SB_NODE_LOCALNET_H

#include "node/datadir.h"
#include "node/dev_accounts.h"
#include "node/relay.h"

#define SB_LOCALNET_NODES_MAX     32
#define SB_LOCALNET_NODES_DEFAULT 4

struct sb_localnet_options {
    const char *dir;   /* new or empty, or made here before: then its chain goes on */
    size_t node_count; /* 0: as many as there are, or the default */
    uint16_t
        base_port; /* RPC at base_port + i, peers at base_port + node_count + i; 0: free ones */
    bool has_relay;
    struct sb_relay_quality quality;
    uint64_t seed; /* of the relay's chance */
    /* of a new chain; its validators are filled in, and their operators' accounts */
    struct sb_new_chain chain;
    sb_u256 operator_balance;       /* wei, beside the stake; 0: no accounts for them */
    const struct sb_config *config; /* what the nodes have in common; borrowed for the call */
};

struct sb_localnet_node {
    struct sb_datadir dir;
    uint16_t rpc_port, p2p_port;
    uint8_t validator_key[SB_ED25519_PUBLIC_BYTES];
    char node_id[2 * SB_ED25519_PUBLIC_BYTES + 1];
    struct sb_dev_account operator_keys; /* in a chain with staking */
};

struct sb_localnet {
    size_t node_count;
    struct sb_localnet_node nodes[SB_LOCALNET_NODES_MAX];
    struct sb_relay *relay;                                     /* owned; NULL: none */
    size_t paths[SB_LOCALNET_NODES_MAX][SB_LOCALNET_NODES_MAX]; /* [from][to], of the relay */
    bool is_continued;                                          /* the chain was there */
};

/* sb_localnet_open: make or continue everything, and start the relay. The genesis lives in the arena.
 * SB_E_EXISTS when the directory holds something else, SB_E_ARG for another number of nodes than are there, SB_E_BUSY when a port is
 * taken; the errors of sb_datadir_create. */
sb_err sb_localnet_open(struct sb_localnet *ret_net, struct sb_genesis *ret_genesis,
                        struct sb_arena *arena, const struct sb_localnet_options *options,
                        struct sb_diag *diag) SB_MUST_USE;
/* sb_localnet_close: end the relay. The files stay. */
void sb_localnet_close(struct sb_localnet *net);

/* sb_localnet_cut: cut (or heal) every wire between nodes whose bits in `group` differ: bit i is node i. Needs a relay. 0 heals all. */
void sb_localnet_cut(struct sb_localnet *net, uint32_t group);

/* What a running node says of itself at /metrics. */
struct sb_localnet_status {
    uint64_t height, round, peers, interval_ms, transactions;
    bool is_syncing;
};
/* sb_localnet_ask: SB_E_IO, SB_E_TIMEOUT (half a second) when it does not answer. */
sb_err sb_localnet_ask(struct sb_localnet_status *ret_status, const struct sb_localnet_node *node,
                       struct sb_diag *diag) SB_MUST_USE;

#endif
