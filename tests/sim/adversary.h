/* adversary.h: a Byzantine validator: a real replica whose messages pass through the adversary's hands (byzantine.def).
 *
 *      replica --- send ---> adversary ---> drop, delay, replace, add ---> network
 *                               ^   |
 *              what it hears ---+   +--- own acts, at random times: floods, forged certificates, replays
 *
 * It holds its own key only: it can sign anything as itself and nothing as others. Adversaries of one cluster know one another's sides:
 * which peers are shown which of two conflicting messages follows from the height, so that together they can split a cluster. */
#ifndef SB_TESTS_SIM_ADVERSARY_H
#define SB_TESTS_SIM_ADVERSARY_H

#include "node/application.h"
#include "node/p2p/channel.h"
#include "tests/sim/config.h"

struct sim_node;
struct sim_packet;
struct sim_adversary;

struct sim_adversary *sim_adversary_new(struct sim_node *node, uint32_t behaviours);
void sim_adversary_free(struct sim_adversary *adversary);

/* sim_adversary_sends: the replica sends; what leaves is the adversary's choice. */
bool sim_adversary_sends(struct sim_node *node, uint32_t to, enum sb_channel channel,
                         sb_bytes message);
void sim_adversary_hears(struct sim_node *node, const struct sim_packet *packet);
/* sim_adversary_acts: its turn; sim_adversary_waits: its turn comes while it is down. */
void sim_adversary_acts(struct sim_node *node);
void sim_adversary_waits(struct sim_node *node);
/* sim_adversary_forges: the block that is prepared now shall claim a false result. */
bool sim_adversary_forges(struct sim_node *node);
/* sim_adversary_prepares: a block was prepared; it may be made invalid, or a second one be made of it. */
void sim_adversary_prepares(struct sim_node *node, struct sb_arena *arena,
                            const struct sb_application_draft *draft, sb_bytes *ret_encoded,
                            sb_hash *ret_block_id);

#endif
