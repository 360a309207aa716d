/* main.c: every kernel at every CPU level against the C reference, byte for byte; or their speed.
 *
 *     kernelcheck [--seed N] [--level NAME] [CHECK ...]     ends with "N passed, M failed, K skipped"
 *     kernelcheck --bench [--level NAME] [CHECK ...]        GMAC/s or ns an element, beside what registers alone allow
 *
 * A case is one check at one level. Levels that this machine cannot run are skipped by name. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "kernelcheck.h"

#include "base/util/assert.h"

#define GUARD_BYTES 64u
#define GUARD_VALUE 0xa7u
#define PAGE_BYTES  ((size_t)4096)
#define BATCH_NS    4000000
#define BATCHES     9

static const struct {
    const char *name;
    void (*check)(struct kernelcheck *k);
    void (*bench)(struct kernelcheck *k);
} k_checks[] = {
#define SB_KERNELCHECK(name) {#name, check_##name, bench_##name},
#include "checks.def"
#undef SB_KERNELCHECK
};
#define CHECK_COUNT (sizeof k_checks / sizeof k_checks[0])

/* ---- memory ---- */

/* Room for bytes between two pages that fault; the caller says where in it. */
static struct kc_buffer map_between(size_t bytes)
{
    size_t inner = (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    struct kc_buffer b = {.bytes = bytes, .map_bytes = inner + 2 * PAGE_BYTES};
    b.map = mmap(NULL, b.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b.map == MAP_FAILED || (inner > 0 && mprotect((uint8_t *)b.map + PAGE_BYTES, inner,
                                                      PROT_READ | PROT_WRITE) != 0)) {
        (void)fprintf(stderr, "kernelcheck: out of memory\n");
        exit(1);
    }
    return b;
}

struct kc_buffer kc_input(size_t bytes)
{
    struct kc_buffer b = map_between(bytes);
    b.data = (uint8_t *)b.map + b.map_bytes - PAGE_BYTES - bytes;
    return b;
}

struct kc_buffer kc_output(struct kernelcheck *k, size_t bytes)
{
    size_t shift = (size_t)kc_random(k) % 64;
    struct kc_buffer b = map_between(bytes + 2 * GUARD_BYTES + 64);
    memset((uint8_t *)b.map + PAGE_BYTES, GUARD_VALUE, b.bytes);
    b.bytes = bytes;
    b.data = (uint8_t *)b.map + PAGE_BYTES + GUARD_BYTES + shift;
    return b;
}

void kc_free(struct kc_buffer *buffer)
{
    (void)munmap(buffer->map, buffer->map_bytes);
    buffer->data = NULL;
}

static bool guards_whole(const struct kc_buffer *b)
{
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        if (b->data[-1 - (ptrdiff_t)i] != GUARD_VALUE || b->data[b->bytes + i] != GUARD_VALUE) {
            return false;
        }
    }
    return true;
}

/* ---- values ---- */

uint64_t kc_random(struct kernelcheck *k)
{
    k->state = k->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint64_t x = k->state;
    x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ (x >> 32);
}

int64_t kc_random_in(struct kernelcheck *k, int64_t lo, int64_t hi)
{
    uint64_t width = (uint64_t)hi - (uint64_t)lo;
    uint64_t random = kc_random(k);
    return (int64_t)((uint64_t)lo + (width == UINT64_MAX ? random : random % (width + 1)));
}

void kc_fill(struct kernelcheck *k, void *ret_elements, enum sb_dtype dtype, size_t count,
             int64_t lo, int64_t hi, enum kc_style style)
{
    for (size_t i = 0; i < count; i++) {
        bool high = style == KC_HIGH || (style == KC_ENDS && kc_random(k) % 2 != 0);
        int64_t value = style == KC_RANDOM ? kc_random_in(k, lo, hi) : high ? hi : lo;
        sb_narrow(sb_element_at_mut(ret_elements, dtype, i), dtype, &value, 1);
    }
}

/* ---- results ---- */

void kc_compare(struct kernelcheck *k, const struct kc_buffer *reference,
                const struct kc_buffer *tested, const char *what)
{
    SB_ASSERT(reference->bytes == tested->bytes);
    k->compared++;
    const char *level = sb_cpu_level_name(k->kernels->level);
    if (k->failed) {
        return;
    }
    if (!guards_whole(tested) || !guards_whole(reference)) {
        (void)printf("FAIL kernelcheck::%s_%s wrote outside its output: %s (seed %llu)\n", k->check,
                     level, what, (unsigned long long)k->seed);
        k->failed = true;
        return;
    }
    for (size_t i = 0; i < tested->bytes; i++) {
        if (reference->data[i] != tested->data[i]) {
            (void)printf(
                "FAIL kernelcheck::%s_%s byte %zu of %zu is %02x, the reference says %02x: "
                "%s (seed %llu)\n",
                k->check, level, i, tested->bytes, tested->data[i], reference->data[i], what,
                (unsigned long long)k->seed);
            k->failed = true;
            return;
        }
    }
}

static double cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double kc_time(void (*work)(void *ctx), void *ctx)
{
    double best = 1e30;
    for (int b = 0; b < BATCHES; b++) {
        uint64_t calls = 0;
        uint64_t step = 1;
        double begin = cpu_ns();
        double passed = 0;
        while (passed < BATCH_NS) {
            for (uint64_t i = 0; i < step; i++) {
                work(ctx);
            }
            calls += step;
            passed = cpu_ns() - begin;
            step = passed < BATCH_NS / 10.0 ? step * 2 : step;
        }
        best = passed / (double)calls < best ? passed / (double)calls : best;
    }
    return best;
}

void kc_report_macs(const struct kernelcheck *k, const char *what, double macs, double ns)
{
    (void)printf("%-12s %-44s %9.1f GMAC/s   %10.0f ns\n", sb_cpu_level_name(k->kernels->level),
                 what, macs / ns, ns);
    (void)fflush(stdout);
}

void kc_report_elements(const struct kernelcheck *k, const char *what, double elements, double ns)
{
    (void)printf("%-12s %-44s %9.3f ns/element %8.0f ns\n", sb_cpu_level_name(k->kernels->level),
                 what, ns / elements, ns);
    (void)fflush(stdout);
}

/* ---- the run ---- */

struct options {
    bool bench;
    uint64_t seed;
    const char *level; /* NULL: all */
    int first_check;   /* argv from here: names of checks; none: all */
};

static bool is_wanted(const struct options *o, int argc, char **argv, const char *check)
{
    bool wanted = o->first_check == argc;
    for (int i = o->first_check; i < argc; i++) {
        wanted = wanted || strcmp(argv[i], check) == 0;
    }
    return wanted;
}

static struct options parse(int argc, char **argv)
{
    struct options o = {.seed = (uint64_t)time(NULL), .first_check = 1};
    while (o.first_check < argc && argv[o.first_check][0] == '-') {
        const char *name = argv[o.first_check++];
        if (strcmp(name, "--bench") == 0) {
            o.bench = true;
        } else if (strcmp(name, "--seed") == 0 && o.first_check < argc) {
            o.seed = strtoull(argv[o.first_check++], NULL, 10);
        } else if (strcmp(name, "--level") == 0 && o.first_check < argc) {
            o.level = argv[o.first_check++];
        } else {
            (void)fprintf(stderr,
                          "usage: kernelcheck [--bench] [--seed N] [--level NAME] [CHECK ...]\n");
            exit(2);
        }
    }
    return o;
}

static bool run_check(size_t check, enum sb_cpu_level level, const struct options *o)
{
    struct kernelcheck k = {.kernels = sb_kernels_of(level),
                            .check = k_checks[check].name,
                            .seed = o->seed,
                            .state = o->seed};
    if (o->bench) {
        k_checks[check].bench(&k);
        return true;
    }
    k_checks[check].check(&k);
    if (!k.failed) {
        (void)printf("ok %s at %s: %llu calls\n", k.check, sb_cpu_level_name(level),
                     (unsigned long long)k.compared);
    }
    (void)fflush(stdout);
    return !k.failed;
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    unsigned passed = 0;
    unsigned failed = 0;
    unsigned skipped = 0;
    for (size_t c = 0; c < CHECK_COUNT; c++) {
        if (!is_wanted(&o, argc, argv, k_checks[c].name)) {
            continue;
        }
        for (int level = 0; level < SB_CPU_LEVEL_COUNT; level++) {
            const char *name = sb_cpu_level_name((enum sb_cpu_level)level);
            if (o.level != NULL && strcmp(o.level, name) != 0) {
                continue;
            }
            if (!sb_cpu_level_usable((enum sb_cpu_level)level)) {
                (void)printf("skip %s at %s: this machine is no %s\n", k_checks[c].name, name,
                             sb_cpu_level_needs((enum sb_cpu_level)level));
                skipped++;
            } else if (run_check(c, (enum sb_cpu_level)level, &o)) {
                passed++;
            } else {
                failed++;
            }
        }
    }
    if (!o.bench) {
        (void)printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
    }
    return failed == 0 && passed > 0 ? 0 : 1;
}
