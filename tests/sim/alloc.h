/* alloc.h: how much memory each simulated node holds.
 *
 * The program is linked with malloc and its relatives wrapped (meson.build). Whatever is allocated or freed between sim_alloc_enter
 * and the restoring call counts for that account: the harness enters a node's account around each call into its replica, and leaves it
 * in each call that the replica makes out of itself. */
#ifndef SB_TESTS_SIM_ALLOC_H
#define SB_TESTS_SIM_ALLOC_H

#include <stdint.h>

struct sim_alloc {
    int64_t bytes;
    int64_t bytes_max;
};

/* sim_alloc_enter: count for this account from now on (NULL: for none); returns the one before, to be entered again. */
struct sim_alloc *sim_alloc_enter(struct sim_alloc *account);

#endif
