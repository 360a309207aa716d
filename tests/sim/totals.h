/* totals.h: what a campaign has seen, added up over seeds, kept in a file that survives a kill at any moment.
 *
 *     version TEXT            of the core that ran: totals of different ones are kept apart
 *     mode full|core
 *     next SEED               all seeds from `first` up to it are done
 *     failed SEED...          that broke a check
 *     NAME COUNT              one line each
 *
 * The file is replaced as a whole (written beside, synced, renamed). */
#ifndef SB_TESTS_SIM_TOTALS_H
#define SB_TESTS_SIM_TOTALS_H

#include "tests/sim/sim.h"

#define SIM_FAILED_MAX 64

struct sim_totals {
    char version[64];
    bool is_core_only;
    uint64_t first, next; /* seeds [first, next) are done */
    uint64_t seeds, failed, cpu_ms;
    uint64_t failed_seeds[SIM_FAILED_MAX];
    struct sim_counts counts;
};

/* sim_totals_add: one finished seed. */
void sim_totals_add(struct sim_totals *totals, const struct sim_counts *counts, uint64_t seed,
                    bool is_failed, uint64_t cpu_ms);
/* sim_totals_read: SB_E_NOT_FOUND when there is no file; SB_E_VERSION when it is of another version or mode; SB_E_CORRUPT. */
sb_err sim_totals_read(struct sim_totals *totals, const char *path,
                       struct sb_diag *diag) SB_MUST_USE;
sb_err sim_totals_write(const struct sim_totals *totals, const char *path,
                        struct sb_diag *diag) SB_MUST_USE;
void sim_totals_print(FILE *out, const struct sim_totals *totals);

#endif
