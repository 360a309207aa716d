/* totals.c: see totals.h. */
#include "tests/sim/totals.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 512

/* The counts that are summed, by name; of the others the greatest is kept. */
#define SUMS(X)                                                                                    \
    X(heights)                                                                                     \
    X(heights_faulty)                                                                              \
    X(deep)                                                                                        \
    X(decisions)                                                                                   \
    X(rounds)                                                                                      \
    X(events)                                                                                      \
    X(messages)                                                                                    \
    X(message_bytes)                                                                               \
    X(virtual_us)                                                                                  \
    X(signatures)                                                                                  \
    X(syncs)                                                                                       \
    X(recoveries)                                                                                  \
    X(invalid_blocks)                                                                              \
    X(evidence)                                                                                    \
    X(synced_blocks)                                                                               \
    X(waste)                                                                                       \
    X(bans)                                                                                        \
    X(forks)                                                                                       \
    X(sets)                                                                                        \
    X(joins)                                                                                       \
    X(exits)                                                                                       \
    X(jailings)                                                                                    \
    X(slashes)                                                                                     \
    X(tombstones)                                                                                  \
    X(over_third)
#define GREATEST(X)                                                                                \
    X(bytes_max)                                                                                   \
    X(recovery_ms_max)

void sim_totals_add(struct sim_totals *totals, const struct sim_counts *counts, uint64_t seed,
                    bool is_failed, uint64_t cpu_ms)
{
    struct sim_counts *sum = &totals->counts;
#define ADD(name) sum->name += counts->name;
    SUMS(ADD)
#undef ADD
#define KEEP(name) sum->name = counts->name > sum->name ? counts->name : sum->name;
    GREATEST(KEEP)
#undef KEEP
    for (size_t i = 0; i < SIM_FAULT_COUNT; i++) {
        sum->fault[i] += counts->fault[i];
    }
    for (size_t i = 0; i < SIM_BYZANTINE_COUNT; i++) {
        sum->act[i] += counts->act[i];
    }
    totals->seeds++;
    totals->cpu_ms += cpu_ms;
    if (is_failed) {
        if (totals->failed < SIM_FAILED_MAX) {
            totals->failed_seeds[totals->failed] = seed;
        }
        totals->failed++;
    }
}

/* slot_of: where a count of this name is kept; NULL: no such name. */
static uint64_t *slot_of(struct sim_totals *totals, const char *name)
{
#define SLOT(count)                                                                                \
    if (strcmp(name, #count) == 0) {                                                               \
        return &totals->counts.count;                                                              \
    }
    SUMS(SLOT)
    GREATEST(SLOT)
#undef SLOT
    if (strcmp(name, "first") == 0) {
        return &totals->first;
    }
    if (strcmp(name, "next") == 0) {
        return &totals->next;
    }
    if (strcmp(name, "seeds") == 0) {
        return &totals->seeds;
    }
    if (strcmp(name, "cpu_ms") == 0) {
        return &totals->cpu_ms;
    }
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        if (strncmp(name, "fault.", 6) == 0 &&
            strcmp(name + 6, sim_fault_name((enum sim_fault)i)) == 0) {
            return &totals->counts.fault[i];
        }
    }
    for (int i = 0; i < SIM_BYZANTINE_COUNT; i++) {
        if (strncmp(name, "act.", 4) == 0 &&
            strcmp(name + 4, sim_byzantine_name((enum sim_byzantine)i)) == 0) {
            return &totals->counts.act[i];
        }
    }
    return NULL;
}

static sb_err take_line(struct sim_totals *totals, char *line, const char *path,
                        struct sb_diag *diag)
{
    line[strcspn(line, "\n")] = '\0';
    char *value = strchr(line, ' ');
    if (value == NULL) {
        return sb_fail(diag, SB_E_CORRUPT, "%s: '%s' has no value", path, line);
    }
    *value++ = '\0';
    if (strcmp(line, "version") == 0) {
        return strcmp(value, totals->version) == 0
                   ? SB_OK
                   : sb_fail(diag, SB_E_VERSION,
                             "%s counts version %s, this is %s: choose another file", path, value,
                             totals->version);
    }
    if (strcmp(line, "mode") == 0) {
        return strcmp(value, totals->is_core_only ? "core" : "full") == 0
                   ? SB_OK
                   : sb_fail(diag, SB_E_VERSION, "%s counts mode %s: choose another file", path,
                             value);
    }
    uint64_t number = strtoull(value, NULL, 10);
    if (strcmp(line, "failed") == 0) {
        if (totals->failed < SIM_FAILED_MAX) {
            totals->failed_seeds[totals->failed] = number;
        }
        totals->failed++;
        return SB_OK;
    }
    uint64_t *slot = slot_of(totals, line);
    if (slot == NULL) {
        return sb_fail(diag, SB_E_CORRUPT, "%s: '%s' is unknown", path, line);
    }
    *slot = number;
    return SB_OK;
}

sb_err sim_totals_read(struct sim_totals *totals, const char *path, struct sb_diag *diag)
{
    FILE *in = fopen(path, "r");
    if (in == NULL) {
        return SB_E_NOT_FOUND;
    }
    char line[LINE_BYTES];
    sb_err err = SB_OK;
    while (err == SB_OK && fgets(line, sizeof line, in) != NULL) {
        err = take_line(totals, line, path, diag);
    }
    (void)fclose(in);
    return err;
}

void sim_totals_print(FILE *out, const struct sim_totals *totals)
{
    fprintf(out, "version %s\nmode %s\nfirst %" PRIu64 "\nnext %" PRIu64 "\nseeds %" PRIu64 "\n",
            totals->version, totals->is_core_only ? "core" : "full", totals->first, totals->next,
            totals->seeds);
    for (uint64_t i = 0; i < totals->failed && i < SIM_FAILED_MAX; i++) {
        fprintf(out, "failed %" PRIu64 "\n", totals->failed_seeds[i]);
    }
    fprintf(out, "cpu_ms %" PRIu64 "\n", totals->cpu_ms);
#define PRINT(name) fprintf(out, #name " %" PRIu64 "\n", totals->counts.name);
    SUMS(PRINT)
    GREATEST(PRINT)
#undef PRINT
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        fprintf(out, "fault.%s %" PRIu64 "\n", sim_fault_name((enum sim_fault)i),
                totals->counts.fault[i]);
    }
    for (int i = 0; i < SIM_BYZANTINE_COUNT; i++) {
        fprintf(out, "act.%s %" PRIu64 "\n", sim_byzantine_name((enum sim_byzantine)i),
                totals->counts.act[i]);
    }
}

sb_err sim_totals_write(const struct sim_totals *totals, const char *path, struct sb_diag *diag)
{
    char beside[4096];
    int len = snprintf(beside, sizeof beside, "%s.new", path);
    FILE *out = len > 0 && (size_t)len < sizeof beside ? fopen(beside, "w") : NULL;
    if (out == NULL) {
        return sb_fail(diag, SB_E_IO, "%s cannot be written", path);
    }
    sim_totals_print(out, totals);
    bool is_written = fflush(out) == 0 && fsync(fileno(out)) == 0;
    is_written = fclose(out) == 0 && is_written;
    if (!is_written || rename(beside, path) != 0) {
        return sb_fail(diag, SB_E_IO, "%s cannot be written", path);
    }
    return SB_OK;
}
