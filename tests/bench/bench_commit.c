/* bench_commit.c: what the commit of a block costs with 4, 100, 175 and 256 validators, real Ed25519 signatures in it.
 *
 *     bench_commit [--json FILE] [--commits N]
 *
 *     libsodium   crypto_sign_verify_detached over the same signatures, nothing else: the least that a check of each can take
 *     cold        sb_commit_verify behind an empty cache (node/verify_cache.h): a block that comes by sync
 *     warm        the same once more: a block whose precommits were checked as they came, as a validator does
 *     read        decode and hash the encoded commit
 *
 * Each commit is measured in all ways before the next; medians over the commits. Microseconds, one thread; ratios are what travels to
 * another machine. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/crypto/ed25519.h"
#include "base/util/assert.h"
#include "node/verify_cache.h"

#define COMMITS_MAX 1000
#define ARENA_BYTES ((size_t)4 << 20)

struct figures {
    size_t validators, bytes;
    double libsodium_us, cold_us, warm_us, read_us;
};

/* A set, its keys, and one commit of it. */
struct cluster {
    struct sb_validator validators[SB_VALIDATORS_MAX];
    struct sb_validator_set set;
    uint8_t secrets[SB_VALIDATORS_MAX][SB_ED25519_SECRET_BYTES]; /* in the order of the set */
    struct sb_commit_sig sigs[SB_VALIDATORS_MAX];
    uint8_t messages[SB_VALIDATORS_MAX][SB_SIGN_BYTES_MAX];
    size_t message_bytes[SB_VALIDATORS_MAX];
    struct sb_commit commit;
};

static const struct sb_chain_domain k_domain = {.chain_id = 4711};
static struct cluster cluster;
static size_t commits = 40;

static double now_us(void)
{
    struct timespec now;
    SB_ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

static double median(double *values)
{
    qsort(values, commits, sizeof *values, compare);
    return values[commits / 2];
}

/* ---- the commit ---- */

static void make_set(size_t count)
{
    static uint8_t secrets[SB_VALIDATORS_MAX][SB_ED25519_SECRET_BYTES];
    static struct sb_pubkey keys[SB_VALIDATORS_MAX];
    for (size_t i = 0; i < count; i++) {
        uint8_t seed[SB_ED25519_SEED_BYTES] = {(uint8_t)i, (uint8_t)(i >> 8), 1};
        uint8_t public[SB_ED25519_PUBLIC_BYTES];
        sb_ed25519_keypair(public, secrets[i], seed);
        keys[i] = sb_pubkey_ed25519(public);
        cluster.validators[i] = (struct sb_validator){.key = keys[i], .power = 10};
    }
    SB_ASSERT(sb_validator_set_make(&cluster.set, cluster.validators, count, NULL) == SB_OK);
    for (size_t i = 0; i < count; i++) {
        sb_addr address = sb_pubkey_address(&keys[i]);
        int place = sb_validator_set_find(&cluster.set, &address);
        SB_ASSERT(place >= 0);
        memcpy(cluster.secrets[place], secrets[i], sizeof secrets[i]);
    }
}

/* make_commit: everybody signs for a block of this height. */
static void make_commit(uint64_t height)
{
    struct sb_commit *commit = &cluster.commit;
    *commit =
        (struct sb_commit){.height = height, .sigs = cluster.sigs, .sig_count = cluster.set.count};
    commit->block_id.b[0] = 1;
    for (size_t i = 0; i < cluster.set.count; i++) {
        cluster.sigs[i] = (struct sb_commit_sig){.flag = SB_COMMIT_BLOCK,
                                                 .signature = {.len = SB_ED25519_SIGNATURE_BYTES}};
        struct sb_vote vote = sb_commit_vote(commit, &cluster.set, i);
        cluster.message_bytes[i] = sb_vote_sign_bytes(cluster.messages[i], &k_domain, &vote);
        sb_ed25519_sign(cluster.sigs[i].signature.bytes, cluster.secrets[i],
                        sb_span(cluster.messages[i], cluster.message_bytes[i]));
    }
}

/* ---- the four ways ---- */

static double time_libsodium(void)
{
    double begun = now_us();
    for (size_t i = 0; i < cluster.set.count; i++) {
        SB_ASSERT(crypto_sign_verify_detached(cluster.sigs[i].signature.bytes, cluster.messages[i],
                                              cluster.message_bytes[i],
                                              cluster.set.validators[i].key.bytes) == 0);
    }
    return now_us() - begun;
}

static double time_verify(const struct sb_verifier *verifier)
{
    const struct sb_commit *commit = &cluster.commit;
    double begun = now_us();
    SB_ASSERT(sb_commit_verify(commit, commit->height, &commit->block_id, &cluster.set, &k_domain,
                               verifier, NULL) == SB_OK);
    return now_us() - begun;
}

static double time_read(struct sb_arena *arena, size_t *ret_bytes)
{
    struct sb_buf buf;
    struct sb_commit read;
    sb_hash hash;
    sb_buf_init(&buf, SB_CONSENSUS_BLOCK_BYTES_MAX);
    sb_commit_encode(&buf, &cluster.commit);
    SB_ASSERT(sb_buf_err(&buf) == SB_OK);
    *ret_bytes = buf.len;
    double begun = now_us();
    SB_ASSERT(sb_commit_decode(&read, arena, sb_buf_bytes(&buf), NULL) == SB_OK);
    SB_ASSERT(sb_commit_hash(&hash, &read) == SB_OK);
    double took = now_us() - begun;
    sb_buf_fini(&buf);
    sb_arena_reset(arena);
    return took;
}

static struct figures measure(size_t validators)
{
    static double libsodium[COMMITS_MAX], cold[COMMITS_MAX], warm[COMMITS_MAX], read[COMMITS_MAX];
    struct figures f = {.validators = validators};
    struct sb_verifier rule = sb_verifier_ed25519();
    struct sb_arena arena;
    sb_arena_init(&arena, ARENA_BYTES);
    make_set(validators);
    for (size_t i = 0; i < commits; i++) {
        struct sb_verify_cache *cache = sb_verify_cache_new(&rule, SB_VERIFY_CACHE_ENTRIES);
        SB_ASSERT(cache != NULL);
        struct sb_verifier cached = sb_verify_cache_verifier(cache);
        make_commit(1 + i);
        libsodium[i] = time_libsodium();
        cold[i] = time_verify(&cached);
        warm[i] = time_verify(&cached);
        read[i] = time_read(&arena, &f.bytes);
        SB_ASSERT(sb_verify_cache_counters(cache).hits == validators);
        sb_verify_cache_free(cache);
    }
    sb_arena_fini(&arena);
    f.libsodium_us = median(libsodium);
    f.cold_us = median(cold);
    f.warm_us = median(warm);
    f.read_us = median(read);
    return f;
}

/* ---- all ---- */

static void print_table(const struct figures *figures, size_t count)
{
    (void)printf("a commit: validators, bytes, libsodium alone, checked cold, warm, read (us; "
                 "medians of %zu)\n",
                 commits);
    for (size_t i = 0; i < count; i++) {
        const struct figures *f = &figures[i];
        (void)printf("%4zu  %6zu B  libsodium %8.1f  cold %8.1f (%.3f of it)  warm %7.1f (%.3f)  "
                     "read %6.1f\n",
                     f->validators, f->bytes, f->libsodium_us, f->cold_us,
                     f->cold_us / f->libsodium_us, f->warm_us, f->warm_us / f->libsodium_us,
                     f->read_us);
    }
}

static bool write_json(const char *path, const struct figures *figures, size_t count)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct figures *f = &figures[i];
        (void)fprintf(file,
                      "%s{\"validators\":%zu,\"bytes\":%zu,\"libsodium_us\":%.1f,\"cold_us\":%.1f,"
                      "\"warm_us\":%.1f,\"read_us\":%.1f,\"cold_per_libsodium\":%.4f,"
                      "\"warm_per_libsodium\":%.4f}",
                      i == 0 ? "[" : ",", f->validators, f->bytes, f->libsodium_us, f->cold_us,
                      f->warm_us, f->read_us, f->cold_us / f->libsodium_us,
                      f->warm_us / f->libsodium_us);
    }
    (void)fprintf(file, "]\n");
    return fclose(file) == 0;
}

int main(int argc, char **argv)
{
    static const size_t k_validators[] = {4, 100, 175, SB_VALIDATORS_MAX};
    enum { COUNT = sizeof k_validators / sizeof k_validators[0] };
    struct figures figures[COUNT];
    const char *json = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--json") == 0) {
            json = argv[i + 1];
        } else if (strcmp(argv[i], "--commits") == 0) {
            commits = strtoull(argv[i + 1], NULL, 10);
        }
    }
    if (argc % 2 == 0 || commits == 0 || commits > COMMITS_MAX || sodium_init() < 0) {
        (void)fprintf(stderr, "usage: bench_commit [--json FILE] [--commits N]\n");
        return 2;
    }
    for (size_t i = 0; i < COUNT; i++) {
        figures[i] = measure(k_validators[i]);
    }
    print_table(figures, COUNT);
    return json == NULL || write_json(json, figures, COUNT) ? 0 : 1;
}
