/* bench_end.c: what a block costs a node with staking and without: an empty block built, executed and committed on a real chain.
 *
 *     bench_end [--blocks N]
 *
 * CPU time of the calling thread in microseconds, medians over the blocks, for 4 and 100 validators. The difference of two lines is what
 * the end of a block costs: reading who voted, the three system calls, and the state that they change, with its trie. Signatures of
 * commits are taken as valid, as in a node that has seen them before; the sync of the disk is not CPU time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/crypto/ecvrf.h"
#include "base/crypto/ed25519.h"
#include "base/util/assert.h"
#include "node/chain_app.h"
#include "node/datadir.h"

#define BLOCKS_MAX  400
#define WARM_BLOCKS 260 /* until the presence of all is known for as long as it is kept */
#define ARENA_BYTES ((size_t)1 << 30)
#define GENESIS_S   UINT64_C(1700000000)
#define POWER       1000

enum phase { BUILD, EXECUTE, COMMIT, PHASE_COUNT };

struct bench {
    struct sb_arena arena, scratch;
    struct sb_diag diag;
    struct sb_genesis genesis;
    uint8_t secrets[SB_VALIDATORS_MAX][SB_ED25519_SECRET_BYTES];
    struct sb_new_validator validators[SB_VALIDATORS_MAX];
    struct sb_commit_sig sigs[SB_VALIDATORS_MAX];
    size_t count;
    struct sb_chain *chain;
    struct sb_mempool *mempool;
    struct sb_chain_app *app;
    const struct sb_application *table;
    struct sb_commit commit;
    uint64_t now_ms;
    double us[PHASE_COUNT][BLOCKS_MAX];
};

static struct bench b;

static void must(sb_err err)
{
    if (err != SB_OK) {
        (void)fprintf(stderr, "bench_end: %s: %s\n", sb_err_text(err), b.diag.text);
        exit(1);
    }
}

static double now_us(void)
{
    struct timespec now;
    SB_ASSERT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

static bool accept_all(void *ctx, const struct sb_pubkey *key, sb_bytes message, sb_bytes signature)
{
    (void)ctx;
    (void)key;
    (void)message;
    (void)signature;
    return true;
}

static void make_genesis(size_t count, bool has_staking)
{
    const struct sb_genesis_account alloc[1] = {
        {.addr = {{0xaa}}, .origin = SB_ORIGIN_ALLOC, .balance = sb_u256_from_u64(1000000000)}};
    b.count = count;
    for (size_t i = 0; i < count; i++) {
        uint8_t seed[32] = {(uint8_t)i, 1};
        b.validators[i] =
            (struct sb_new_validator){.power = POWER, .operator_addr = {{0xbb, (uint8_t)i}}};
        sb_ed25519_keypair(b.validators[i].public_key, b.secrets[i], seed);
        b.sigs[i] = (struct sb_commit_sig){.flag = SB_COMMIT_BLOCK, .signature = {.len = 64}};
    }
    const struct sb_new_chain chain = {.chain_id = 1,
                                       .timestamp = GENESIS_S,
                                       .gas_limit = sb_params_default().gas_limit,
                                       .alloc = alloc,
                                       .alloc_count = 1,
                                       .validators = b.validators,
                                       .validator_count = count,
                                       .has_staking = has_staking,
                                       .fee_recipient = {{0xaa}},
                                       .staking = sb_staking_params_default()};
    must(sb_new_chain_genesis(&b.genesis, &b.arena, &chain, &b.diag));
}

/* prove: the randomness of the next block, by the key of its proposer. */
static void prove(struct sb_application_draft *draft)
{
    const struct sb_chain_head head = sb_chain_head(b.chain);
    const struct sb_randomness_input input = {.height = draft->height,
                                              .last = head.header.mix_hash};
    uint8_t alpha[SB_SIGN_BYTES_MAX];
    size_t len = sb_randomness_alpha(alpha, sb_chain_domain(b.chain), &input);
    for (size_t i = 0; i < b.count; i++) {
        const struct sb_pubkey key = sb_pubkey_ed25519(b.validators[i].public_key);
        const sb_addr address = sb_pubkey_address(&key);
        if (sb_addr_equal(&address, &draft->proposer)) {
            SB_ASSERT(sb_ecvrf_prove(draft->randomness_proof, b.secrets[i], sb_span(alpha, len)));
        }
    }
}

static void run_block(size_t index)
{
    const struct sb_application_head head = b.table->head(b.table->ctx);
    const struct sb_rotation *rotation = b.table->rotation(b.table->ctx, head.height + 1);
    struct sb_application_draft draft = {
        .height = head.height + 1,
        .time_ms = b.now_ms += 1000,
        .proposer = rotation->validators[sb_rotation_proposer(rotation, 0)].address,
        .last_commit = b.commit};
    struct sb_application_verdict verdict;
    struct sb_application_block *block = NULL;
    sb_bytes encoded;
    sb_hash id;
    bool has_transactions;
    prove(&draft);
    sb_arena_reset(&b.scratch);
    double start = now_us();
    must(b.table->prepare(b.table->ctx, &b.scratch, &draft, &encoded, &id, &has_transactions,
                          &b.diag));
    double built = now_us();
    must(b.table->process(b.table->ctx, encoded, &verdict, &block, &b.diag));
    double executed = now_us();
    SB_ASSERT(verdict.valid);
    b.commit = (struct sb_commit){
        .height = draft.height, .block_id = id, .sigs = b.sigs, .sig_count = b.count};
    must(b.table->commit_take(b.table->ctx, block, &b.commit, &b.diag));
    b.us[BUILD][index] = built - start;
    b.us[EXECUTE][index] = executed - built;
    b.us[COMMIT][index] = now_us() - executed;
}

static int compare(const void *a, const void *other)
{
    double x = *(const double *)a;
    double y = *(const double *)other;
    return x < y ? -1 : x > y ? 1 : 0;
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

static void run(size_t validators, bool has_staking, size_t blocks)
{
    char dir[] = "/tmp/samebit-bench-XXXXXX";
    char db[sizeof dir + 8];
    memset(&b, 0, sizeof b);
    SB_ASSERT(mkdtemp(dir) != NULL);
    (void)snprintf(db, sizeof db, "%s/db", dir);
    sb_arena_init(&b.arena, ARENA_BYTES);
    sb_arena_init(&b.scratch, ARENA_BYTES);
    make_genesis(validators, has_staking);
    struct sb_chain_options options = {
        .db_dir = db, .genesis = &b.genesis, .create = true, .verifier = sb_verifier_ed25519()};
    options.verifier.verify = accept_all;
    const struct sb_mempool_options pool = {.count_max = 0};
    must(sb_chain_open(&b.chain, &options, &b.diag));
    must(sb_mempool_new(&b.mempool, b.chain, &pool));
    const struct sb_chain_app_options app = {.chain = b.chain, .mempool = b.mempool};
    must(sb_chain_app_new(&b.app, &app, &b.diag));
    b.table = sb_chain_app_table(b.app);
    b.now_ms = GENESIS_S * 1000;
    for (size_t i = 0; i < WARM_BLOCKS; i++) {
        run_block(0);
    }
    for (size_t i = 0; i < blocks; i++) {
        run_block(i);
    }
    (void)printf("%10zu  %-8s %8.0f %8.0f %8.0f   %8llu\n", validators,
                 has_staking ? "staking" : "fixed", median(b.us[BUILD], blocks),
                 median(b.us[EXECUTE], blocks), median(b.us[COMMIT], blocks),
                 (unsigned long long)sb_chain_system_counters(b.chain).last_gas);
    sb_chain_app_free(b.app);
    sb_mempool_free(b.mempool);
    sb_chain_close(b.chain);
    sb_arena_fini(&b.arena);
    sb_arena_fini(&b.scratch);
    must(sb_dir_remove(dir, &b.diag));
}

int main(int argc, char **argv)
{
    static const size_t counts[] = {4, 100};
    size_t blocks = 100;
    if (argc == 3 && strcmp(argv[1], "--blocks") == 0) {
        blocks = strtoul(argv[2], NULL, 10);
    }
    if (blocks == 0 || blocks > BLOCKS_MAX) {
        (void)fprintf(stderr, "usage: bench_end [--blocks N], N at most %d\n", BLOCKS_MAX);
        return 2;
    }
    (void)printf(
        "an empty block, CPU time in us\nvalidators  set         build  execute   commit   "
        "gas of the end\n");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        run(counts[i], false, blocks);
        run(counts[i], true, blocks);
    }
    return 0;
}
