/* statetest.c: run Ethereum state tests: GeneralStateTests of ethereum/tests and state tests of EEST.
 *
 *   file { case { env, pre, transaction, post { fork [ entry ] } } }           one entry of one fork = one counted test
 *
 *   pre --> memory_state --view--> executor (one transaction) --diff--> memory_state --> state root, against entry.hash
 *                                                        logs --> hash, against entry.logs
 *
 * An entry with expectException must be refused and change nothing; which of several reasons was given is not compared. An entry in
 * whose execution a precompile was called that this build lacks is skipped, and named so, whatever came out.
 *
 * Output: "FAIL file::case reason", a line that repeats it, and at the end "N passed, M failed, K skipped"; exit status 0 only if
 * M = 0 and N > 0. Format of the files: ethereum-tests.readthedocs.io, "State Tests"; EEST docs, "State Tests". */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/codec/hex.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "tests/support/fixture.h"
#include "tests/support/fixture_tx.h"
#include "tests/support/trace3155.h"
#include "vm/exec/exec.h"

#define CASE_BYTES_MAX ((size_t)1 << 30)
#define NAME_BYTES     1024
#define REASON_BYTES   512
#define MISSING_MAX    32

struct options {
    bool verbose;
    bool trace;
    const char *fork;
    const char *filter;
    const char *program;
};

/* How often each missing precompile was the reason to skip. */
struct missing_count {
    sb_addr addr;
    unsigned count;
};

struct totals {
    unsigned passed;
    unsigned failed;
    unsigned skipped;
    struct missing_count missing[MISSING_MAX];
    size_t missing_count;
};

/* One entry on its way, with the memory that all entries share. */
struct runner {
    const struct options *options;
    struct totals totals;
    struct sb_arena arena; /* one file */
    struct sb_arena diff_arena;
    struct sb_memory_state *pre;
    struct sb_memory_state *post;
    const char *file;
    char name[NAME_BYTES];
    char reason[REASON_BYTES]; /* of the failure */
    bool touched_missing;
    sb_addr missing_addr;
};

static bool fail(struct runner *r, const char *fmt, ...) SB_PRINTF(2, 3);
static bool fail(struct runner *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(r->reason, sizeof r->reason, fmt, args);
    va_end(args);
    return false;
}

/* ---------------------------------------------------------------- the world of a case */

/* State tests have no chain: the hash of block n is keccak256 of n in decimal. */
static sb_err block_hash_by_number(void *ctx, uint64_t number, sb_hash *ret_hash)
{
    (void)ctx;
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRIu64, number);
    *ret_hash = sb_keccak256(sb_span(text, (size_t)len));
    return SB_OK;
}

static bool load_env(struct runner *r, struct sb_block_env *ret_env, const json_t *json,
                     const struct sb_rules *rules)
{
    struct sb_block_env env = {.number = 0};
    if (!sb_fixture_u64(&env.number, json_object_get(json, "currentNumber")) ||
        !sb_fixture_u64(&env.timestamp, json_object_get(json, "currentTimestamp")) ||
        !sb_fixture_u64(&env.gas_limit, json_object_get(json, "currentGasLimit")) ||
        !sb_fixture_addr(&env.coinbase, json_object_get(json, "currentCoinbase"))) {
        return fail(r, "env: a member is absent or malformed");
    }
    (void)sb_fixture_u256(&env.difficulty, json_object_get(json, "currentDifficulty"));
    (void)sb_fixture_word(&env.prev_randao, json_object_get(json, "currentRandom"));
    if (rules->revision >= SB_REV_LONDON) {
        (void)sb_fixture_u256(&env.base_fee, json_object_get(json, "currentBaseFee"));
    }
    if (rules->revision >= SB_REV_CANCUN) {
        (void)sb_fixture_u64(&env.excess_blob_gas, json_object_get(json, "currentExcessBlobGas"));
        env.blob_base_fee =
            sb_blob_base_fee(env.excess_blob_gas, rules->blob_base_fee_update_fraction);
    }
    *ret_env = env;
    return true;
}

static void on_missing(void *ctx, const sb_addr *addr)
{
    struct runner *r = ctx;
    if (!r->touched_missing) {
        r->touched_missing = true;
        r->missing_addr = *addr;
    }
}

/* ---------------------------------------------------------------- one entry */

static size_t index_of(const json_t *entry, const char *name)
{
    return (size_t)json_integer_value(json_object_get(json_object_get(entry, "indexes"), name));
}

/* What the transaction of an entry came to. */
struct outcome {
    bool refused;
    const char *refusal; /* text */
    sb_hash logs_hash;
};

static sb_err execute(struct runner *r, struct outcome *ret_outcome, struct sb_executor *x,
                      const struct sb_tx *tx, const sb_addr *sender)
{
    struct sb_tx_result result;
    SB_TRY(sb_executor_tx(&result, x, tx, sender, NULL));
    struct outcome outcome = {.refused = result.reject != SB_TX_ACCEPTED,
                              .refusal = sb_tx_reject_text(result.reject)};
    SB_TRY(sb_logs_hash(&outcome.logs_hash, outcome.refused ? NULL : result.logs,
                        outcome.refused ? 0 : result.log_count));
    struct sb_state_diff diff;
    SB_TRY(sb_overlay_diff(&diff, sb_executor_state(x), &r->diff_arena));
    sb_memory_state_copy(r->post, r->pre);
    sb_memory_state_apply(r->post, &diff);
    *ret_outcome = outcome;
    return SB_OK;
}

/* The transaction of an entry: from its signed bytes or, in older files, from its members. SB_OK, or why it is no transaction. */
static sb_err load_tx(struct runner *r, struct sb_tx *ret_tx, sb_addr *ret_sender,
                      const json_t *transaction, const json_t *entry, uint64_t chain_id)
{
    const json_t *txbytes = json_object_get(entry, "txbytes");
    if (txbytes != NULL) {
        sb_bytes raw;
        if (!sb_fixture_bytes(&raw, &r->arena, txbytes)) {
            return SB_E_SYNTAX;
        }
        SB_TRY(sb_tx_decode(ret_tx, &r->arena, raw, NULL));
    } else {
        const struct sb_fixture_indexes indexes = {.data = index_of(entry, "data"),
                                                   .gas = index_of(entry, "gas"),
                                                   .value = index_of(entry, "value")};
        if (!sb_fixture_tx(ret_tx, &r->arena, transaction, &indexes, chain_id)) {
            return SB_E_RANGE;
        }
    }
    return sb_tx_sender(ret_sender, ret_tx);
}

/* Run an entry's transaction; r->post holds the state afterwards. */
static bool run_tx(struct runner *r, struct outcome *ret_outcome, const struct sb_rules *rules,
                   const struct sb_block_env *env, const json_t *transaction, const json_t *entry)
{
    struct sb_tx tx;
    sb_addr sender;
    sb_err err = load_tx(r, &tx, &sender, transaction, entry, rules->chain_id);
    if (err != SB_OK) {
        *ret_outcome = (struct outcome){.refused = true, .refusal = sb_err_text(err)};
        sb_memory_state_copy(r->post, r->pre);
        return sb_logs_hash(&ret_outcome->logs_hash, NULL, 0) == SB_OK;
    }
    sb_addr expected;
    if (sb_fixture_addr(&expected, json_object_get(transaction, "sender")) &&
        !sb_addr_equal(&sender, &expected)) {
        return fail(r, "the recovered sender is not the transaction's");
    }
    struct sb_state_view view = sb_memory_state_view(r->pre);
    view.block_hash = block_hash_by_number;
    struct sb_executor *x = sb_executor_new(&view, rules, env, NULL);
    SB_ASSERT(x != NULL);
    struct sb_tracer tracer = sb_trace3155(stderr);
    if (r->options->trace) {
        sb_executor_set_tracer(x, &tracer);
    }
    sb_executor_set_missing_hook(x, on_missing, r);
    err = execute(r, ret_outcome, x, &tx, &sender);
    sb_executor_free(x);
    return err == SB_OK || fail(r, "execution failed: %s", sb_err_text(err));
}

static bool compare(struct runner *r, const struct outcome *outcome, const json_t *entry)
{
    const char *exception = json_string_value(json_object_get(entry, "expectException"));
    if (exception != NULL && !outcome->refused) {
        return fail(r, "accepted, should be refused: %s", exception);
    }
    if (exception == NULL && outcome->refused) {
        return fail(r, "refused: %s", outcome->refusal);
    }
    sb_hash expected;
    char want[SB_HEX_TEXT_BYTES(32)];
    char have[SB_HEX_TEXT_BYTES(32)];
    sb_hash root = sb_memory_state_root(r->post);
    if (!sb_fixture_word(&expected, json_object_get(entry, "hash"))) {
        return fail(r, "post: no state root");
    }
    if (!sb_hash_equal(&root, &expected)) {
        return fail(r, "state root: expected %s, have %s",
                    sb_hex_format(want, sb_span(expected.b, 32)),
                    sb_hex_format(have, sb_span(root.b, 32)));
    }
    if (!sb_fixture_word(&expected, json_object_get(entry, "logs"))) {
        return fail(r, "post: no logs hash");
    }
    if (!sb_hash_equal(&outcome->logs_hash, &expected)) {
        return fail(r, "logs hash: expected %s, have %s",
                    sb_hex_format(want, sb_span(expected.b, 32)),
                    sb_hex_format(have, sb_span(outcome->logs_hash.b, 32)));
    }
    return true;
}

/* With -v: what differs, account by account, where the file carries the expected state. */
static void print_differences(struct runner *r, const json_t *entry)
{
    const json_t *expected_json = json_object_get(entry, "state");
    struct sb_memory_state *expected = sb_memory_state_new();
    if (expected_json != NULL && sb_fixture_state(expected, &r->arena, expected_json)) {
        sb_memory_state_print_differences(stdout, expected, r->post);
    }
    sb_memory_state_free(expected);
}

static void count_missing(struct totals *totals, const sb_addr *addr)
{
    size_t i = 0;
    while (i < totals->missing_count && !sb_addr_equal(&totals->missing[i].addr, addr)) {
        i++;
    }
    SB_ASSERT(i < MISSING_MAX);
    totals->missing[i].addr = *addr;
    totals->missing[i].count++;
    if (i == totals->missing_count) {
        totals->missing_count++;
    }
}

static void settle_entry(struct runner *r, bool passed, const json_t *entry)
{
    struct totals *totals = &r->totals;
    if (r->touched_missing) {
        totals->skipped++;
        count_missing(totals, &r->missing_addr);
        if (r->options->verbose) {
            printf("SKIP %s::%s precompile 0x%02x%02x comes later\n", r->file, r->name,
                   r->missing_addr.b[18], r->missing_addr.b[19]);
        }
        return;
    }
    if (passed) {
        totals->passed++;
        return;
    }
    totals->failed++;
    printf("FAIL %s::%s %s\n", r->file, r->name, r->reason);
    printf("  repeat: %s -v -k '%s' %s\n", r->options->program, r->name, r->file);
    if (r->options->verbose) {
        print_differences(r, entry);
    }
}

static void run_entry(struct runner *r, const json_t *test, const struct sb_rules *rules,
                      const json_t *entry)
{
    struct sb_block_env env;
    struct outcome outcome;
    r->touched_missing = false;
    sb_arena_reset(&r->diff_arena);
    bool good = load_env(r, &env, json_object_get(test, "env"), rules) &&
                run_tx(r, &outcome, rules, &env, json_object_get(test, "transaction"), entry) &&
                compare(r, &outcome, entry);
    settle_entry(r, good, entry);
}

/* ---------------------------------------------------------------- cases and files */

static bool wanted(const struct runner *r)
{
    const char *filter = r->options->filter;
    return filter == NULL || strstr(r->name, filter) != NULL || strstr(r->file, filter) != NULL;
}

static void run_fork(struct runner *r, const char *test_name, const json_t *test,
                     const struct sb_rules *rules, const json_t *entries)
{
    size_t i;
    json_t *entry;
    json_array_foreach((json_t *)(uintptr_t)entries, i, entry)
    {
        (void)snprintf(r->name, sizeof r->name, "%s/%s/d%zug%zuv%zu", test_name,
                       sb_revision_name(rules->revision), index_of(entry, "data"),
                       index_of(entry, "gas"), index_of(entry, "value"));
        if (wanted(r)) {
            run_entry(r, test, rules, entry);
        }
    }
}

static void run_case(struct runner *r, const char *test_name, const json_t *test)
{
    const json_t *post = json_object_get(test, "post");
    (void)snprintf(r->name, sizeof r->name, "%s", test_name);
    if (post == NULL || !sb_fixture_state(r->pre, &r->arena, json_object_get(test, "pre"))) {
        (void)fail(r, "not a state test");
        r->touched_missing = false;
        settle_entry(r, false, NULL);
        return;
    }
    uint64_t chain_id = 1;
    (void)sb_fixture_u64(&chain_id, json_object_get(json_object_get(test, "config"), "chainid"));
    const char *fork;
    json_t *entries;
    json_object_foreach((json_t *)(uintptr_t)post, fork, entries)
    {
        enum sb_revision revision;
        if (r->options->fork != NULL && strcmp(r->options->fork, fork) != 0) {
            continue;
        }
        if (!sb_revision_parse(&revision, fork)) {
            r->totals.skipped += (unsigned)json_array_size(entries);
            printf("SKIP %s::%s fork %s is not known\n", r->file, test_name, fork);
            continue;
        }
        struct sb_rules rules = sb_rules_make(SB_PROFILE_ETHEREUM, revision, chain_id);
        run_fork(r, test_name, test, &rules, entries);
    }
}

static void run_file(struct runner *r, const char *file)
{
    r->file = file;
    json_error_t error;
    json_t *root = json_load_file(file, 0, &error);
    if (!json_is_object(root)) {
        r->totals.failed++;
        printf("FAIL %s:: %s\n", file, root == NULL ? error.text : "not a JSON object");
        json_decref(root);
        return;
    }
    const char *name;
    json_t *test;
    json_object_foreach(root, name, test)
    {
        run_case(r, name, test);
        sb_arena_reset(&r->arena);
    }
    json_decref(root);
}

/* ---------------------------------------------------------------- command line */

static const char k_usage[] =
    "usage: statetest [-v] [-k TEXT] [--fork NAME] [--trace] PATH...\n"
    "Run Ethereum state tests. PATH is a .json file or a folder of them.\n"
    "  -k, --filter TEXT  only cases whose file or name contains TEXT\n"
    "      --fork NAME    only this fork (Cancun, Prague, Osaka ...)\n"
    "      --trace        write each instruction to standard error (EIP-3155)\n"
    "  -v, --verbose      show differing accounts, and each skipped case\n"
    "example: statetest --fork Osaka -k eip7702 fixtures/state_tests\n";

static bool parse_options(struct options *options, int argc, char **argv)
{
    static const struct option longs[] = {
        {"filter", required_argument, NULL, 'k'}, {"fork", required_argument, NULL, 'f'},
        {"trace", no_argument, NULL, 't'},        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    options->program = argv[0];
    for (int c = 0; (c = getopt_long(argc, argv, "k:vh", longs, NULL)) != -1;) {
        switch (c) {
        case 'k':
            options->filter = optarg;
            break;
        case 'f':
            options->fork = optarg;
            break;
        case 't':
            options->trace = true;
            break;
        case 'v':
            options->verbose = true;
            break;
        case 'h':
            fputs(k_usage, stdout);
            exit(0);
        default:
            return false;
        }
    }
    return optind < argc;
}

static void print_totals(const struct totals *totals)
{
    for (size_t i = 0; i < totals->missing_count; i++) {
        const struct missing_count *m = &totals->missing[i];
        printf("precompile 0x%02x%02x comes later: %u skipped\n", m->addr.b[18], m->addr.b[19],
               m->count);
    }
    printf("%u passed, %u failed, %u skipped\n", totals->passed, totals->failed, totals->skipped);
}

int main(int argc, char **argv)
{
    struct options options = {.verbose = false};
    if (!parse_options(&options, argc, argv)) {
        fputs(k_usage, stderr);
        return 2;
    }
    struct sb_file_list files = {.names = NULL};
    struct runner r = {
        .options = &options, .pre = sb_memory_state_new(), .post = sb_memory_state_new()};
    sb_arena_init(&r.arena, CASE_BYTES_MAX);
    sb_arena_init(&r.diff_arena, CASE_BYTES_MAX);
    for (int i = optind; i < argc; i++) {
        if (!sb_file_list_add(&files, argv[i], ".json")) {
            printf("FAIL %s:: cannot be read\n", argv[i]);
            r.totals.failed++;
        }
    }
    for (size_t i = 0; i < files.count; i++) {
        run_file(&r, files.names[i]);
    }
    print_totals(&r.totals);
    sb_file_list_fini(&files);
    sb_memory_state_free(r.pre);
    sb_memory_state_free(r.post);
    sb_arena_fini(&r.arena);
    sb_arena_fini(&r.diff_arena);
    return r.totals.failed == 0 && r.totals.passed > 0 ? 0 : 1;
}
