/* driver.c: runs a fuzz target without libFuzzer, so that a short slice is part of every test run with any compiler.
 *
 *     fuzz_rlp --runs 20000 --seed 7 [--max-len 4096] [corpus folder or files ...]     mutate and run
 *     fuzz_rlp file ...                                                               only run these inputs (reproduce)
 *
 * Inputs are the corpus (tests/fuzz/corpus/<target>), mutations of it (bit flips, cuts, splices, edge integers) and plain random
 * bytes, all drawn from one seed: the same seed gives the same run. When a target aborts or a sanitizer stops it, the input is
 * written to ./crash-<target>-<seed>-<run> and the command that repeats it is printed. For coverage-guided campaigns the same
 * targets link with clang's libFuzzer: scripts/fuzz. */
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int main(int argc, char **argv);

#define CORPUS_FILES_MAX 4096
#define INPUT_BYTES_MAX  ((size_t)1 << 20)

struct input {
    uint8_t *data;
    size_t len;
};

static struct input g_corpus[CORPUS_FILES_MAX];
static size_t g_corpus_count;
static struct input g_current;
static unsigned long g_run;
static uint64_t g_seed;
static const char *g_program;

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void save_current(void)
{
    const char *base = strrchr(g_program, '/');
    char path[512];
    (void)snprintf(path, sizeof path, "crash-%s-%llu-%lu", base != NULL ? base + 1 : g_program,
                   (unsigned long long)g_seed, g_run);
    FILE *file = fopen(path, "wb");
    if (file != NULL) {
        (void)fwrite(g_current.data, 1, g_current.len, file);
        (void)fclose(file);
    }
    (void)fprintf(stderr, "\nfuzz: run %lu of seed %llu failed; repeat with: %s %s\n", g_run,
                  (unsigned long long)g_seed, g_program, path);
}

static void on_signal(int sig)
{
    save_current();
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
}

/* splitmix64: the driver's only source of randomness. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t below(uint64_t *state, size_t bound)
{
    return bound == 0 ? 0 : (size_t)(next_random(state) % bound);
}

static void load_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || g_corpus_count == CORPUS_FILES_MAX) {
        (void)fprintf(stderr, "fuzz: cannot read %s\n", path);
        exit(2);
    }
    uint8_t *data = malloc(INPUT_BYTES_MAX);
    if (data == NULL) {
        exit(2);
    }
    size_t len = fread(data, 1, INPUT_BYTES_MAX, file);
    (void)fclose(file);
    g_corpus[g_corpus_count++] = (struct input){.data = data, .len = len};
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void load_folder(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return;
    }
    static char *names[CORPUS_FILES_MAX];
    size_t count = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL && count < CORPUS_FILES_MAX;
         entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            names[count++] = strdup(entry->d_name);
        }
    }
    (void)closedir(dir);
    qsort(names, count, sizeof names[0], compare_names);
    for (size_t i = 0; i < count; i++) {
        char file[1024];
        (void)snprintf(file, sizeof file, "%s/%s", path, names[i]);
        load_file(file);
        free(names[i]);
    }
}

/* One mutation of the current input, in place; max_len bounds its length. */
static void mutate(uint64_t *rng, struct input *in, size_t max_len)
{
    static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0x81, 0xb7,
                                    0xb8, 0xbf, 0xc0, 0xf7, 0xf8, 0xff};
    size_t at = below(rng, in->len);
    switch (below(rng, 7)) {
    case 0:
        if (in->len > 0) {
            in->data[at] ^= (uint8_t)(1u << below(rng, 8));
        }
        break;
    case 1:
        if (in->len > 0) {
            in->data[at] = (uint8_t)next_random(rng);
        }
        break;
    case 2:
        if (in->len > 0) {
            in->data[at] = edges[below(rng, sizeof edges)];
        }
        break;
    case 3:
        in->len = below(rng, in->len + 1);
        break;
    case 4: { /* insert */
        size_t add = 1 + below(rng, 8);
        if (in->len + add <= max_len) {
            memmove(in->data + at + add, in->data + at, in->len - at);
            for (size_t i = 0; i < add; i++) {
                in->data[at + i] = (uint8_t)next_random(rng);
            }
            in->len += add;
        }
        break;
    }
    case 5: { /* delete */
        size_t gone = below(rng, in->len - at + 1);
        gone = gone > 16 ? 16 : gone;
        memmove(in->data + at, in->data + at + gone, in->len - at - gone);
        in->len -= gone;
        break;
    }
    default: /* splice with another input */
        if (g_corpus_count > 0) {
            const struct input *other = &g_corpus[below(rng, g_corpus_count)];
            size_t from = below(rng, other->len + 1);
            size_t len = other->len - from;
            len = len > max_len - at ? max_len - at : len;
            memcpy(in->data + at, other->data + from, len);
            in->len = at + len;
        }
        break;
    }
}

static void make_input(uint64_t *rng, struct input *in, size_t max_len)
{
    if (g_corpus_count == 0 || below(rng, 8) == 0) {
        in->len = below(rng, below(rng, 4) == 0 ? max_len : 64);
        for (size_t i = 0; i < in->len; i++) {
            in->data[i] = (uint8_t)next_random(rng);
        }
        return;
    }
    const struct input *from = &g_corpus[below(rng, g_corpus_count)];
    in->len = from->len > max_len ? max_len : from->len;
    memcpy(in->data, from->data, in->len);
    for (size_t i = 1 + below(rng, 6); i > 0; i--) {
        mutate(rng, in, max_len);
    }
}

static void run_one(const uint8_t *data, size_t len)
{
    uint8_t *exact =
        malloc(len == 0 ? 1 : len); /* exact size, so that ASan sees the first byte past the end */
    if (exact == NULL) {
        exit(2);
    }
    memcpy(exact, data, len);
    g_current = (struct input){.data = exact, .len = len};
    (void)LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    g_current.len = 0;
}

int main(int argc, char **argv)
{
    unsigned long runs = 0;
    size_t max_len = 4096;
    g_program = argv[0];
    g_seed = 1;
    for (int i = 1; i < argc; i++) {
        struct stat info;
        if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc) {
            runs = strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            g_seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--max-len") == 0 && i + 1 < argc) {
            max_len = strtoul(argv[++i], NULL, 10);
        } else if (stat(argv[i], &info) == 0 && S_ISDIR(info.st_mode)) {
            load_folder(argv[i]);
        } else if (stat(argv[i], &info) == 0) {
            load_file(argv[i]);
        } else if (runs == 0) {
            (void)fprintf(stderr, "usage: %s [--runs N] [--seed S] [--max-len L] [corpus ...]\n",
                          argv[0]);
            return 2;
        }
    }
    max_len = max_len == 0 || max_len > INPUT_BYTES_MAX ? INPUT_BYTES_MAX : max_len;
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(save_current);
    }
    (void)signal(SIGABRT, on_signal);
    for (size_t i = 0; i < g_corpus_count; i++) {
        run_one(g_corpus[i].data, g_corpus[i].len);
    }
    uint64_t rng = g_seed;
    struct input in = {.data = malloc(INPUT_BYTES_MAX), .len = 0};
    if (in.data == NULL) {
        return 2;
    }
    for (g_run = 0; g_run < runs; g_run++) {
        make_input(&rng, &in, max_len);
        run_one(in.data, in.len);
    }
    free(in.data);
    for (size_t i = 0; i < g_corpus_count; i++) {
        free(g_corpus[i].data);
    }
    (void)printf("%zu corpus inputs and %lu mutations, no failure\n", g_corpus_count, runs);
    return 0;
}
