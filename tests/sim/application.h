/* application.h: the application of a simulated node: tests/support/stub_application.h, with a crash before and after each commit, time
 * spent on execution, and an adversary's hand in what it prepares.
 *
 * What is committed is the node's database: it survives crashes, whole blocks at a time. */
#ifndef SB_TESTS_SIM_APPLICATION_H
#define SB_TESTS_SIM_APPLICATION_H

#include "node/application.h"

struct sim_node;
struct sim_staking;
struct stub_application;

struct sim_application {
    struct sim_node *node;
    struct stub_application *stub; /* NULL with the core alone */
    struct sb_application table;   /* of the stub */
    struct sim_staking *staking;   /* of its chain, after its head; NULL: none */
};

void sim_application_init(struct sim_application *app, struct sim_node *node);
void sim_application_fini(struct sim_application *app);
/* sim_application_table: for the replica. */
struct sb_application sim_application_table(struct sim_application *app);
/* sim_application_refuses: every honest node calls this block invalid. */
bool sim_application_refuses(const struct sim_node *node, const sb_hash *block_id);

#endif
