/* forgery.h: four nodes, one of which proposes forged blocks, under load; and what must come of it.
 *
 *     for each lie of forger.c:  the forger starts -- load with inferences --> every honest node refuses a block for that very lie
 *                                the forger stops  -- three go on
 *
 * At each honest node the refusals in the log, each with the field that is false and the proposer, are as many as its metric
 * consensus_forged_results counts. Each height with a forged block is decided in a later round, by another block; and the journals show
 * the round: a proposal of the forger, prevotes for nil of all others. Nobody else is ever refused anything. */
#ifndef SB_TESTS_NET_FORGERY_H
#define SB_TESTS_NET_FORGERY_H

#include "tests/net/net.h"

/* forgery_run: the network's last node becomes the forger; false with the net's problem. */
bool forgery_run(struct net *net, const char *forger_program, uint64_t seed);
/* forgery_check: after it, once the nodes have been stopped, the journals. */
bool forgery_check(struct net *net);

#endif
