/* kernelcheck.h: what the checks of the kernels share.
 *
 *     buffers   | page that faults | guard bytes | elements, from any alignment | guard bytes | page that faults |
 *
 * An output's guard bytes show writes outside; an input ends at the page that faults, which shows reads beyond its end. Inputs that a
 * kernel may read further than they reach do not exist. */
#ifndef SB_TESTS_KERNELCHECK_KERNELCHECK_H
#define SB_TESTS_KERNELCHECK_KERNELCHECK_H

#include <stdio.h>

#include "vm/tensor/kernels/cpu.h"

struct kernelcheck {
    const struct sb_kernels *kernels; /* under test */
    const char *check;                /* name of the check that runs */
    uint64_t seed;                    /* of this case; a failure prints it */
    uint64_t state;                   /* of the generator */
    uint64_t compared;                /* calls compared so far */
    bool failed;
};

/* A piece of memory with guards; free with kc_free. */
struct kc_buffer {
    uint8_t *data;
    size_t bytes;
    void *map;
    size_t map_bytes;
};

/* kc_input: bytes that end where memory ends. kc_output: bytes at some alignment with guards on both sides. Abort when out of memory. */
struct kc_buffer kc_input(size_t bytes);
struct kc_buffer kc_output(struct kernelcheck *k, size_t bytes);
void kc_free(struct kc_buffer *buffer);

/* kc_random: the next number of the case; kc_random_in: one in [lo, hi]. */
uint64_t kc_random(struct kernelcheck *k);
int64_t kc_random_in(struct kernelcheck *k, int64_t lo, int64_t hi);

enum kc_style {
    KC_RANDOM,
    KC_LOW,
    KC_HIGH,
    KC_ENDS, /* low and high by chance */
    KC_STYLE_COUNT
};
/* kc_fill: count elements of the type in [lo, hi]. */
void kc_fill(struct kernelcheck *k, void *ret_elements, enum sb_dtype dtype, size_t count,
             int64_t lo, int64_t hi, enum kc_style style);

/* kc_compare: both outputs are equal, and their guards whole; else prints a failure that says `what`. */
void kc_compare(struct kernelcheck *k, const struct kc_buffer *reference,
                const struct kc_buffer *tested, const char *what);

/* kc_time: nanoseconds of CPU of one call of work(ctx), the best of several batches. */
double kc_time(void (*work)(void *ctx), void *ctx);

/* kc_report: a line of the bench: units (multiply-adds or elements) of one call that took ns. */
void kc_report_macs(const struct kernelcheck *k, const char *what, double macs, double ns);
void kc_report_elements(const struct kernelcheck *k, const char *what, double elements, double ns);

/* kc_report_limit: a line of the bench: the level's dot product of bytes in registers alone. Nothing at the level c. */
void kc_report_limit(const struct kernelcheck *k);

#define SB_KERNELCHECK(name)                                                                       \
    void check_##name(struct kernelcheck *k);                                                      \
    void bench_##name(struct kernelcheck *k);
#include "checks.def"
#undef SB_KERNELCHECK

#endif
