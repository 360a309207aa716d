/* network.h: the network between simulated nodes: connections, and packets on their way.
 *
 *      path a -> b     delay = minimum + exponential; loss; duplication; order kept or not; capacity; clogs; partition, one way or both
 *
 * A connection has a number that is never used again: the sb_peer of both ends is made from it, and packets of an older connection
 * never arrive. After the healing nothing is lost, duplicated or cut, and no delay passes SIM_HEALED_DELAY_US. */
#ifndef SB_TESTS_SIM_NETWORK_H
#define SB_TESTS_SIM_NETWORK_H

#include "base/util/span.h"
#include "node/p2p/channel.h"
#include "tests/sim/config.h"

#define SIM_HEALED_DELAY_US UINT64_C(300000)

struct sim;

struct sim_packet {
    uint32_t from, to;
    uint64_t connection;
    enum sb_channel channel;
    uint64_t sent_us;
    uint32_t len;
    uint8_t bytes[];
};

struct sim_path {
    uint32_t in_flight;
    uint64_t in_flight_bytes;
    uint64_t last_arrival_us;
    uint64_t clogged_until_us;
};

struct sim_network {
    struct sim_random random;
    bool is_adjacent[SIM_NODES_MAX][SIM_NODES_MAX];
    uint64_t connection[SIM_NODES_MAX][SIM_NODES_MAX]; /* symmetric; 0: none */
    uint64_t known[SIM_NODES_MAX]
                  [SIM_NODES_MAX]; /* the connection that the first has been told of */
    struct sim_path path[SIM_NODES_MAX][SIM_NODES_MAX];
    uint64_t connections; /* so far */
    bool is_partitioned, is_one_way;
    bool side[SIM_NODES_MAX];
    uint64_t partition; /* number of the present one */
};

void sim_network_init(struct sim *sim);
/* sim_network_send: false when the path is full or there is no connection. at_us: when it leaves. */
bool sim_network_send(struct sim *sim, uint32_t from, uint32_t to, enum sb_channel channel,
                      sb_bytes message, uint64_t at_us);
/* sim_network_arrive: a packet's time has come: false when it is void (its connection is gone). Frees the path's capacity. */
bool sim_network_arrive(struct sim *sim, const struct sim_packet *packet);
/* sim_network_connect: both nodes are up: connect them soon, if they are adjacent and not connected. */
void sim_network_connect(struct sim *sim, uint32_t a, uint32_t b);
/* sim_network_disconnect: the connection breaks; both ends hear of it. */
void sim_network_disconnect(struct sim *sim, uint32_t a, uint32_t b);
void sim_network_partition(struct sim *sim);
void sim_network_heal(struct sim *sim);
void sim_network_clog(struct sim *sim);

/* sim_peer_of: the sb_peer that `node` knows its end of a connection by. */
static inline uint64_t sim_peer_of(uint64_t connection, uint32_t other)
{
    return connection * 32 + other;
}

#endif
