/* blocktest.c: run Ethereum blockchain tests: chains of blocks, good and bad, on a genesis state.
 *
 *   file { case { network, pre, genesisRLP, blocks [ rlp, expectException? ], lastblockhash } }        one case = one counted test
 *
 *   rlp --> decode --> header rules --> execute on the head's state --> gas, bloom, roots against the header --> new head
 *
 * A block with expectException must be refused, for whatever reason, and leaves the head alone. Proof-of-stake blocks only. A case is
 * skipped, and the reason counted, when what happens in it needs rules that this program does not have: forks it does not know,
 * block rewards, withdrawals (EIP-4895), requests (EIP-7685), precompiles of this build's gaps.
 *
 * Output and exit status as statetest's. Format: EEST documentation, "Blockchain Tests". */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/codec/hex.h"
#include "base/util/assert.h"
#include "tests/support/fixture.h"
#include "vm/exec/exec.h"

#define CASE_BYTES_MAX  ((size_t)1 << 30)
#define TEXT_BYTES      512
#define SKIP_KINDS_MAX  64
#define GAS_LIMIT_MIN   5000
#define GAS_LIMIT_BOUND 1024
#define TRANSITION_TIME 15000 /* "...AtTime15k" */
#define EMPTY_LIST      0xc0

/* The deposit contract, whose logs become requests (EIP-6110). */
static const sb_addr k_deposit_contract = {{0x00, 0x00, 0x00, 0x00, 0x21, 0x9a, 0xb5,
                                            0x40, 0x35, 0x6c, 0xbb, 0x83, 0x9c, 0xbe,
                                            0x05, 0x30, 0x3d, 0x77, 0x05, 0xfa}};

/* Contracts that are called at a block's end and answer requests (EIP-7002, 7251). With this code and empty storage they answer
 * nothing and change nothing, so that a block needs no such call. */
static const struct {
    sb_addr addr;
    sb_hash code_hash;
} k_queues[] = {
    {{{0x00, 0x00, 0x09, 0x61, 0xef, 0x48, 0x0e, 0xb5, 0x5e, 0x80,
       0xd1, 0x9a, 0xd8, 0x35, 0x79, 0xa6, 0x4c, 0x00, 0x70, 0x02}},
     {{0x03, 0x45, 0xa3, 0x65, 0xd2, 0xf4, 0xc5, 0x97, 0x5b, 0x9f, 0x15,
       0x99, 0xab, 0xe0, 0xa2, 0xee, 0x76, 0xb7, 0xa3, 0xa7, 0x31, 0xbc,
       0x68, 0x78, 0x1b, 0xd0, 0x4c, 0x84, 0xe4, 0x85, 0x8f, 0x50}}},
    {{{0x00, 0x00, 0xbb, 0xdd, 0xc7, 0xce, 0x48, 0x86, 0x42, 0xfb,
       0x57, 0x9f, 0x8b, 0x00, 0xf3, 0xa5, 0x90, 0x00, 0x72, 0x51}},
     {{0x78, 0xc6, 0xcb, 0x52, 0x02, 0x68, 0x52, 0x28, 0xbb, 0xcb, 0xfb,
       0x99, 0x2b, 0x1c, 0x4e, 0x11, 0x6c, 0x7e, 0xc5, 0xef, 0x11, 0xe2,
       0x5b, 0x8e, 0x92, 0x71, 0x6c, 0xfc, 0x62, 0x8d, 0xdd, 0x60}}},
};

#define QUEUE_COUNT (sizeof k_queues / sizeof k_queues[0])

struct options {
    const char *program;
    const char *filter;
    bool verbose;
};

enum verdict { VALID, INVALID, SKIPPED };

struct skip_kind {
    char text[TEXT_BYTES];
    unsigned count;
};

struct runner {
    const struct options *options;
    unsigned passed, failed, skipped;
    struct skip_kind skip_kinds[SKIP_KINDS_MAX];
    size_t skip_kind_count;

    /* one case */
    struct sb_arena arena;
    struct sb_memory_state *state; /* after the head */
    struct sb_header head;
    sb_hash head_hash;
    enum sb_revision before,
        after; /* the fork and, in transition tests, the one from TRANSITION_TIME on */
    uint64_t chain_id;
    char reason[TEXT_BYTES];
};

static enum verdict say(struct runner *r, enum verdict verdict, const char *fmt, ...)
    SB_PRINTF(3, 4);
static enum verdict say(struct runner *r, enum verdict verdict, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(r->reason, sizeof r->reason, fmt, args);
    va_end(args);
    return verdict;
}

/* ---------------------------------------------------------------- header rules */

static unsigned field_count_of(enum sb_revision revision)
{
    return revision >= SB_REV_PRAGUE     ? SB_HEADER_FIELDS_PRAGUE
           : revision >= SB_REV_CANCUN   ? SB_HEADER_FIELDS_CANCUN
           : revision >= SB_REV_SHANGHAI ? SB_HEADER_FIELDS_SHANGHAI
                                         : SB_HEADER_FIELDS_LONDON;
}

static bool gas_limit_fits(uint64_t limit, uint64_t parent)
{
    uint64_t distance = limit > parent ? limit - parent : parent - limit;
    return limit >= GAS_LIMIT_MIN && limit <= INT64_MAX && distance < parent / GAS_LIMIT_BOUND;
}

/* Why a header may not follow the head; NULL if it may (EIP-1559, 3675, 4844, 4895). */
static const char *header_fault(const struct runner *r, const struct sb_rules *rules,
                                const struct sb_header *h)
{
    static const uint8_t zero_nonce[8];
    const struct sb_header *parent = &r->head;
    if (h->field_count != field_count_of(rules->revision)) {
        return "number of header fields";
    }
    if (!sb_hash_equal(&h->parent_hash, &r->head_hash) || h->number != parent->number + 1) {
        return "parent";
    }
    if (h->timestamp <= parent->timestamp) {
        return "timestamp";
    }
    if (!gas_limit_fits(h->gas_limit, parent->gas_limit) || h->gas_used > h->gas_limit) {
        return "gas limit";
    }
    if (!sb_u256_is_zero(&h->difficulty) || memcmp(h->nonce, zero_nonce, sizeof zero_nonce) != 0 ||
        !sb_hash_equal(&h->uncles_hash, &sb_hash_empty_list)) {
        return "proof of stake form";
    }
    sb_u256 base_fee = sb_base_fee_next(parent->gas_limit, parent->gas_used, &parent->base_fee);
    if (!sb_u256_equal(&h->base_fee, &base_fee)) {
        return "base fee";
    }
    if (rules->revision >= SB_REV_CANCUN &&
        h->excess_blob_gas != sb_excess_blob_gas_next(rules, parent->excess_blob_gas,
                                                      parent->blob_gas_used, &parent->base_fee)) {
        return "excess blob gas";
    }
    return NULL;
}

static const char *body_fault(const struct sb_block *block)
{
    uint64_t blob_gas = 0;
    for (size_t i = 0; i < block->tx_count; i++) {
        blob_gas += block->txs[i].blob_hash_count * SB_BLOB_GAS;
    }
    if (block->header.field_count >= SB_HEADER_FIELDS_CANCUN &&
        block->header.blob_gas_used != blob_gas) {
        return "blob gas used";
    }
    if (block->raw_uncles.len != 1 || block->raw_uncles.data[0] != EMPTY_LIST) {
        return "uncles";
    }
    if (block->has_withdrawals &&
        !sb_hash_equal(&block->header.withdrawals_root, &sb_hash_empty_trie)) {
        return "withdrawals root";
    }
    return NULL;
}

/* ---------------------------------------------------------------- execution */

static struct sb_block_env env_of(const struct sb_rules *rules, const struct sb_header *h)
{
    struct sb_block_env env = {.number = h->number,
                               .timestamp = h->timestamp,
                               .gas_limit = h->gas_limit,
                               .coinbase = h->coinbase,
                               .base_fee = h->base_fee,
                               .difficulty = h->difficulty,
                               .prev_randao = h->mix_hash};
    if (rules->revision >= SB_REV_CANCUN) {
        env.excess_blob_gas = h->excess_blob_gas;
        env.blob_base_fee =
            sb_blob_base_fee(h->excess_blob_gas, rules->blob_base_fee_update_fraction);
        env.has_parent_beacon_root = true;
        env.parent_beacon_root = h->parent_beacon_root;
    }
    return env;
}

static void on_missing(void *ctx, const sb_addr *addr)
{
    *(sb_addr *)ctx = *addr;
}

static bool storage_changed(const struct sb_state_diff *diff, const sb_addr *addr)
{
    for (size_t i = 0; i < diff->account_count; i++) {
        if (sb_addr_equal(&diff->accounts[i].addr, addr)) {
            return diff->accounts[i].slot_count != 0;
        }
    }
    return false;
}

static bool logged(const struct sb_block_result *result, const sb_addr *addr)
{
    for (size_t i = 0; i < result->tx_count; i++) {
        for (size_t j = 0; j < result->receipts[i].log_count; j++) {
            if (sb_addr_equal(&result->receipts[i].logs[j].addr, addr)) {
                return true;
            }
        }
    }
    return false;
}

/* Does the block's outcome depend on requests: deposits logged, or a queue that is not idle or not the known contract? */
static bool needs_requests(struct runner *r, const struct sb_block_result *result)
{
    for (size_t i = 0; i < QUEUE_COUNT; i++) {
        struct sb_account account;
        bool exists;
        struct sb_state_view view = sb_memory_state_view(r->state);
        sb_err err = view.account(view.ctx, &k_queues[i].addr, &account, &exists);
        SB_ASSERT(err == SB_OK);
        if (account.has_storage || storage_changed(&result->diff, &k_queues[i].addr) ||
            !sb_hash_equal(&account.code_hash, &k_queues[i].code_hash)) {
            return true;
        }
    }
    return logged(result, &k_deposit_contract);
}

static enum verdict compare(struct runner *r, const struct sb_header *h,
                            const struct sb_block_result *result)
{
    if (result->gas_used != h->gas_used) {
        return say(r, INVALID, "gas used: header %" PRIu64 ", have %" PRIu64, h->gas_used,
                   result->gas_used);
    }
    if (!sb_hash_equal(&result->transactions_root, &h->transactions_root)) {
        return say(r, INVALID, "transactions root");
    }
    if (!sb_hash_equal(&result->receipts_root, &h->receipts_root)) {
        return say(r, INVALID, "receipts root");
    }
    if (memcmp(&result->bloom, &h->logs_bloom, sizeof h->logs_bloom) != 0) {
        return say(r, INVALID, "logs bloom");
    }
    return VALID;
}

static enum verdict execute(struct runner *r, struct sb_block_result *ret_result,
                            const struct sb_rules *rules, const struct sb_block *block)
{
    sb_addr *senders = sb_arena_array(&r->arena, block->tx_count, sizeof *senders);
    SB_ASSERT(senders != NULL);
    for (size_t i = 0; i < block->tx_count; i++) {
        if (sb_tx_sender(&senders[i], &block->txs[i]) != SB_OK) {
            return say(r, INVALID, "transaction %zu: signature", i);
        }
    }
    struct sb_block_env env = env_of(rules, &block->header);
    struct sb_state_view view = sb_memory_state_view(r->state);
    struct sb_executor *x = sb_executor_new(&view, rules, &env, NULL);
    SB_ASSERT(x != NULL);
    sb_addr missing = {{0}};
    sb_executor_set_missing_hook(x, on_missing, &missing);
    struct sb_diag diag = {.text = ""};
    sb_err err = sb_executor_block(ret_result, &r->arena, x, block, senders, NULL, &diag);
    sb_executor_free(x);
    if (!sb_addr_is_zero(&missing)) {
        return say(r, SKIPPED, "precompile 0x%02x%02x comes later", missing.b[18], missing.b[19]);
    }
    if (err != SB_OK) {
        return say(r, INVALID, "%s", diag.text[0] != '\0' ? diag.text : sb_err_text(err));
    }
    if (rules->revision >= SB_REV_PRAGUE &&
        (needs_requests(r, ret_result) ||
         !sb_hash_equal(&block->header.requests_hash, &sb_hash_sha256_empty))) {
        return say(r, SKIPPED, "requests (EIP-7685) come later");
    }
    return compare(r, &block->header, ret_result);
}

/* Make the block the head if it is valid. */
static enum verdict import_block(struct runner *r, sb_bytes raw)
{
    struct sb_block block;
    struct sb_diag diag = {.text = ""};
    if (sb_block_decode(&block, &r->arena, raw, &diag) != SB_OK) {
        return say(r, INVALID, "decoding: %s", diag.text);
    }
    enum sb_revision revision = block.header.timestamp >= TRANSITION_TIME ? r->after : r->before;
    struct sb_rules rules = sb_rules_make(SB_PROFILE_ETHEREUM, revision, r->chain_id);
    const char *fault = header_fault(r, &rules, &block.header);
    if (fault == NULL && block.has_withdrawals &&
        (block.raw_withdrawals.len != 1 || block.raw_withdrawals.data[0] != EMPTY_LIST)) {
        return say(r, SKIPPED, "withdrawals (EIP-4895) come later");
    }
    fault = fault != NULL ? fault : body_fault(&block);
    if (fault != NULL) {
        return say(r, INVALID, "header: %s", fault);
    }
    struct sb_block_result result;
    enum verdict verdict = execute(r, &result, &rules, &block);
    if (verdict != VALID) {
        return verdict;
    }
    struct sb_memory_state *next = sb_memory_state_new();
    sb_memory_state_copy(next, r->state);
    sb_memory_state_apply(next, &result.diff);
    sb_hash root = sb_memory_state_root(next);
    if (!sb_hash_equal(&root, &block.header.state_root)) {
        sb_memory_state_free(next);
        return say(r, INVALID, "state root");
    }
    sb_memory_state_free(r->state);
    r->state = next;
    r->head = block.header;
    r->head_hash = sb_header_hash(&block.header);
    sb_memory_state_set_block_hash(r->state, r->head.number, &r->head_hash);
    return VALID;
}

/* ---------------------------------------------------------------- one case */

static bool parse_network(struct runner *r, const char *network)
{
    char name[TEXT_BYTES];
    (void)snprintf(name, sizeof name, "%s", network);
    char *end = strstr(name, "AtTime15k");
    char *middle = end != NULL ? strstr(name, "To") : NULL;
    if (middle == NULL) {
        r->after = SB_REV_FRONTIER;
        bool known = sb_revision_parse(&r->before, name);
        r->after = r->before;
        return known;
    }
    *end = '\0';
    *middle = '\0';
    return sb_revision_parse(&r->before, name) && sb_revision_parse(&r->after, middle + 2);
}

static enum verdict load_genesis(struct runner *r, const json_t *test)
{
    const char *network = json_string_value(json_object_get(test, "network"));
    sb_bytes raw;
    if (network == NULL ||
        !sb_fixture_bytes(&raw, &r->arena, json_object_get(test, "genesisRLP")) ||
        !sb_fixture_state(r->state, &r->arena, json_object_get(test, "pre"))) {
        return say(r, INVALID, "not a blockchain test");
    }
    if (!parse_network(r, network)) {
        return say(r, SKIPPED, "fork %s comes later", network);
    }
    if (r->before < SB_REV_PARIS) {
        return say(r, SKIPPED, "block rewards come later");
    }
    r->chain_id = 1;
    (void)sb_fixture_u64(&r->chain_id, json_object_get(json_object_get(test, "config"), "chainid"));
    struct sb_block genesis;
    if (sb_block_decode(&genesis, &r->arena, raw, NULL) != SB_OK) {
        return say(r, INVALID, "genesis block does not decode");
    }
    sb_hash root = sb_memory_state_root(r->state);
    if (!sb_hash_equal(&root, &genesis.header.state_root)) {
        return say(r, INVALID, "genesis state root");
    }
    r->head = genesis.header;
    r->head_hash = sb_header_hash(&genesis.header);
    sb_memory_state_set_block_hash(r->state, r->head.number, &r->head_hash);
    return VALID;
}

static enum verdict run_blocks(struct runner *r, const json_t *blocks)
{
    size_t i;
    json_t *entry;
    json_array_foreach((json_t *)(uintptr_t)blocks, i, entry)
    {
        const char *exception = json_string_value(json_object_get(entry, "expectException"));
        sb_bytes raw;
        if (!sb_fixture_bytes(&raw, &r->arena, json_object_get(entry, "rlp"))) {
            return say(r, INVALID, "block %zu: no rlp", i);
        }
        enum verdict verdict = import_block(r, raw);
        if (verdict == SKIPPED) {
            return SKIPPED;
        }
        if (verdict == VALID && exception != NULL) {
            return say(r, INVALID, "block %zu: accepted, should be refused: %s", i, exception);
        }
        if (verdict == INVALID && exception == NULL) {
            char why[TEXT_BYTES];
            memcpy(why, r->reason, sizeof why);
            return say(r, INVALID, "block %zu: refused: %.*s", i, TEXT_BYTES - 40, why);
        }
    }
    return VALID;
}

static enum verdict run_case(struct runner *r, const json_t *test)
{
    enum verdict verdict = load_genesis(r, test);
    if (verdict == VALID) {
        verdict = run_blocks(r, json_object_get(test, "blocks"));
    }
    sb_hash last;
    if (verdict == VALID && (!sb_fixture_word(&last, json_object_get(test, "lastblockhash")) ||
                             !sb_hash_equal(&last, &r->head_hash))) {
        return say(r, INVALID, "the head is not lastblockhash");
    }
    return verdict;
}

static void count_skip(struct runner *r)
{
    size_t i = 0;
    while (i < r->skip_kind_count && strcmp(r->skip_kinds[i].text, r->reason) != 0) {
        i++;
    }
    if (i == r->skip_kind_count && i < SKIP_KINDS_MAX) {
        memcpy(r->skip_kinds[i].text, r->reason, sizeof r->reason);
        r->skip_kind_count++;
    }
    if (i < SKIP_KINDS_MAX) {
        r->skip_kinds[i].count++;
    }
    r->skipped++;
}

static void settle(struct runner *r, enum verdict verdict, const char *file, const char *name)
{
    switch (verdict) {
    case VALID:
        r->passed++;
        return;
    case SKIPPED:
        count_skip(r);
        if (r->options->verbose) {
            printf("SKIP %s::%s %s\n", file, name, r->reason);
        }
        return;
    case INVALID:
        r->failed++;
        printf("FAIL %s::%s %s\n", file, name, r->reason);
        printf("  repeat: %s -k '%s' %s\n", r->options->program, name, file);
        return;
    }
}

static void run_file(struct runner *r, const char *file)
{
    json_error_t error;
    json_t *root = json_load_file(file, 0, &error);
    if (!json_is_object(root)) {
        r->failed++;
        printf("FAIL %s:: %s\n", file, root == NULL ? error.text : "not a JSON object");
        json_decref(root);
        return;
    }
    const char *filter = r->options->filter;
    const char *name;
    json_t *test;
    json_object_foreach(root, name, test)
    {
        if (filter == NULL || strstr(file, filter) != NULL || strstr(name, filter) != NULL) {
            settle(r, run_case(r, test), file, name);
            sb_arena_reset(&r->arena);
        }
    }
    json_decref(root);
}

/* ---------------------------------------------------------------- command line */

static const char k_usage[] =
    "usage: blocktest [-v] [-k TEXT] PATH...\n"
    "Run Ethereum blockchain tests. PATH is a .json file or a folder of them.\n"
    "  -k, --filter TEXT  only cases whose file or name contains TEXT\n"
    "  -v, --verbose      name each skipped case\n"
    "example: blocktest -k eip4844 fixtures/blockchain_tests\n";

static bool parse_options(struct options *options, int argc, char **argv)
{
    static const struct option longs[] = {{"filter", required_argument, NULL, 'k'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    options->program = argv[0];
    for (int c = 0; (c = getopt_long(argc, argv, "k:vh", longs, NULL)) != -1;) {
        switch (c) {
        case 'k':
            options->filter = optarg;
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

int main(int argc, char **argv)
{
    struct options options = {.verbose = false};
    if (!parse_options(&options, argc, argv)) {
        fputs(k_usage, stderr);
        return 2;
    }
    struct sb_file_list files = {.names = NULL};
    struct runner *r = calloc(1, sizeof *r);
    SB_ASSERT(r != NULL);
    r->options = &options;
    r->state = sb_memory_state_new();
    sb_arena_init(&r->arena, CASE_BYTES_MAX);
    for (int i = optind; i < argc; i++) {
        if (!sb_file_list_add(&files, argv[i], ".json")) {
            printf("FAIL %s:: cannot be read\n", argv[i]);
            r->failed++;
        }
    }
    for (size_t i = 0; i < files.count; i++) {
        run_file(r, files.names[i]);
    }
    for (size_t i = 0; i < r->skip_kind_count; i++) {
        printf("%s: %u skipped\n", r->skip_kinds[i].text, r->skip_kinds[i].count);
    }
    printf("%u passed, %u failed, %u skipped\n", r->passed, r->failed, r->skipped);
    int status = r->failed == 0 && r->passed > 0 ? 0 : 1;
    sb_file_list_fini(&files);
    sb_memory_state_free(r->state);
    sb_arena_fini(&r->arena);
    free(r);
    return status;
}
