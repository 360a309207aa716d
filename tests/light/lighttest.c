/* lighttest.c: the public light-client vectors (tendermint-rs, single step), and the same blocks with one thing changed.
 *
 *     file { initial, input [ { block, now, verdict } ... ] }        one step = one counted verdict
 *
 * Each block is judged by what is trusted so far; after SUCCESS it is what is trusted. Trust level 1/3, clock drift 0. The verdicts count an
 * expired trusting period as INVALID.
 *
 * Every block that is not INVALID is judged again with one field of its header, commit, votes or sets changed, once as it is and, for
 * the header, once with a commit that names the changed header: each must be INVALID. One mutation = one counted case.
 *
 * Output: "FAIL file::case reason", and at the end "N passed, M failed, K skipped"; exit status 0 only if M = 0 and N > 0. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/light/tendermint.h"
#include "tests/support/fixture.h"

struct totals {
    unsigned passed, failed, skipped;
    unsigned verdicts[3];
    unsigned mutations;
};

static struct totals g_totals;
static const char *g_file;

static const char *const k_verdicts[] = {"SUCCESS", "NOT_ENOUGH_TRUST", "INVALID"};

/* What is trusted, with the memory that it borrows. */
struct trusted {
    struct tm_block block;
    uint64_t trusting_period;
};

static struct sb_light_result judge(const struct trusted *trusted, const struct tm_block *block,
                                    uint64_t now)
{
    static struct sb_light_sig trusted_sigs[TM_VALIDATORS_MAX];
    static struct sb_light_sig sigs[TM_VALIDATORS_MAX];
    struct sb_light_block before = tm_light_block(&trusted->block, trusted_sigs);
    struct sb_light_block candidate = tm_light_block(block, sigs);
    struct sb_light_trust trust = sb_light_trust_of(&before);
    struct sb_light_codec codec = tm_codec();
    struct sb_light_options options = {
        .trusting_period = trusted->trusting_period, .trust_numerator = 1, .trust_denominator = 3};
    return sb_light_verify(&codec, &options, &trust, &candidate, now);
}

static void count(bool is_right, const char *name, size_t step, const char *expected,
                  struct sb_light_result got)
{
    if (is_right) {
        g_totals.passed++;
        return;
    }
    g_totals.failed++;
    printf("FAIL %s::step %zu%s%s expected %s, got %s: %s\n", g_file, step, name[0] ? ", " : "",
           name, expected, k_verdicts[got.verdict], sb_light_reason_text(got.reason));
}

/* ---- mutations ---- */

/* A change of block at place index; false when the block has no such place. */
struct mutation {
    const char *name;
    bool (*apply)(struct tm_block *block, size_t index);
    bool is_of_header;
};

static void flip(struct tm_hash *hash)
{
    if (hash->len == 0) {
        hash->len = 32;
    }
    hash->bytes[hash->len / 2] ^= 1;
}

static bool header_version_block(struct tm_block *block, size_t index)
{
    block->header.version_block++;
    return index == 0;
}

static bool header_version_app(struct tm_block *block, size_t index)
{
    block->header.version_app++;
    return index == 0;
}

static bool header_chain_id(struct tm_block *block, size_t index)
{
    block->header.chain_id[0]++;
    return index == 0;
}

static bool header_height(struct tm_block *block, size_t index)
{
    block->header.height++;
    return index == 0;
}

static bool header_time(struct tm_block *block, size_t index)
{
    block->header.time.nanos++;
    return index == 0;
}

static bool header_last_block_id(struct tm_block *block, size_t index)
{
    flip(&block->header.last_block_id.hash);
    return index == 0;
}

static bool header_last_block_parts(struct tm_block *block, size_t index)
{
    block->header.last_block_id.parts_total++;
    return index == 0;
}

static bool header_hash(struct tm_block *block, size_t index)
{
    if (index >= TM_HEADER_HASHES) {
        return false;
    }
    flip(&block->header.hashes[index]);
    return true;
}

static bool commit_height(struct tm_block *block, size_t index)
{
    block->commit.height++;
    return index == 0;
}

static bool commit_round(struct tm_block *block, size_t index)
{
    block->commit.round++;
    return index == 0;
}

static bool commit_block_hash(struct tm_block *block, size_t index)
{
    flip(&block->commit.block_id.hash);
    return index == 0;
}

static bool commit_parts_total(struct tm_block *block, size_t index)
{
    block->commit.block_id.parts_total++;
    return index == 0;
}

static bool commit_parts_hash(struct tm_block *block, size_t index)
{
    flip(&block->commit.block_id.parts_hash);
    return index == 0;
}

static bool commit_loses_entry(struct tm_block *block, size_t index)
{
    if (index >= block->commit.sig_count) {
        return false;
    }
    block->commit.sig_count--;
    memmove(&block->commit.sigs[index], &block->commit.sigs[index + 1],
            (block->commit.sig_count - index) * sizeof block->commit.sigs[0]);
    return true;
}

static bool commit_repeats_entry(struct tm_block *block, size_t index)
{
    if (index + 1 >= block->commit.sig_count || block->commit.sigs[index].flag == TM_ABSENT) {
        return false;
    }
    block->commit.sigs[index + 1] = block->commit.sigs[index];
    return true;
}

/* vote_of: entry index, when somebody voted there. */
static struct tm_sig *vote_of(struct tm_block *block, size_t index)
{
    bool votes = index < block->commit.sig_count && block->commit.sigs[index].flag != TM_ABSENT;
    return votes ? &block->commit.sigs[index] : NULL;
}

static bool vote_becomes_nil(struct tm_block *block, size_t index)
{
    struct tm_sig *sig = vote_of(block, index);
    if (sig != NULL) {
        sig->flag = TM_NIL;
    }
    return sig != NULL;
}

static bool vote_claims_absence(struct tm_block *block, size_t index)
{
    struct tm_sig *sig = vote_of(block, index);
    if (sig != NULL) {
        sig->flag = TM_ABSENT; /* and keeps its signature */
    }
    return sig != NULL;
}

static bool vote_address(struct tm_block *block, size_t index)
{
    struct tm_sig *sig = vote_of(block, index);
    if (sig != NULL) {
        sig->address.b[19] ^= 1;
    }
    return sig != NULL;
}

static bool vote_time(struct tm_block *block, size_t index)
{
    struct tm_sig *sig = vote_of(block, index);
    if (sig != NULL) {
        sig->time.nanos++;
    }
    return sig != NULL;
}

static bool vote_signature(struct tm_block *block, size_t index)
{
    struct tm_sig *sig = vote_of(block, index / 64);
    if (sig != NULL) {
        sig->signature.bytes[index % 64] ^= 4;
    }
    return sig != NULL;
}

static bool vote_loses_signature(struct tm_block *block, size_t index)
{
    struct tm_sig *sig = vote_of(block, index);
    if (sig != NULL) {
        sig->signature.len = 0;
    }
    return sig != NULL;
}

static bool vote_cuts_signature(struct tm_block *block, size_t index)
{
    struct tm_sig *sig = vote_of(block, index);
    if (sig != NULL) {
        sig->signature.len--;
    }
    return sig != NULL;
}

static bool set_power(struct tm_set *set, size_t index)
{
    if (index >= set->count) {
        return false;
    }
    set->validators[index].power++;
    return true;
}

static bool set_key(struct tm_set *set, size_t index)
{
    if (index >= set->count) {
        return false;
    }
    set->validators[index].key.bytes[7] ^= 1;
    return true;
}

static bool set_loses_one(struct tm_set *set, size_t index)
{
    if (index >= set->count) {
        return false;
    }
    set->count--;
    memmove(&set->validators[index], &set->validators[index + 1],
            (set->count - index) * sizeof set->validators[0]);
    return true;
}

static bool set_repeats_one(struct tm_set *set, size_t index)
{
    if (index >= set->count || set->count == TM_VALIDATORS_MAX) {
        return false;
    }
    set->validators[set->count++] = set->validators[index];
    return true;
}

#define OF_SETS(name)                                                                              \
    static bool validators_##name(struct tm_block *block, size_t index)                            \
    {                                                                                              \
        return set_##name(&block->validators, index);                                              \
    }                                                                                              \
    static bool next_##name(struct tm_block *block, size_t index)                                  \
    {                                                                                              \
        return set_##name(&block->next_validators, index);                                         \
    }
OF_SETS(power)
OF_SETS(key)
OF_SETS(loses_one)
OF_SETS(repeats_one)
#undef OF_SETS

static const struct mutation k_mutations[] = {
    {"header.version.block", header_version_block, true},
    {"header.version.app", header_version_app, true},
    {"header.chain_id", header_chain_id, true},
    {"header.height", header_height, true},
    {"header.time", header_time, true},
    {"header.last_block_id.hash", header_last_block_id, true},
    {"header.last_block_id.parts", header_last_block_parts, true},
    {"header.hashes", header_hash, true},
    {"commit.height", commit_height, false},
    {"commit.round", commit_round, false},
    {"commit.block_id.hash", commit_block_hash, false},
    {"commit.block_id.parts.total", commit_parts_total, false},
    {"commit.block_id.parts.hash", commit_parts_hash, false},
    {"commit loses an entry", commit_loses_entry, false},
    {"commit repeats an entry", commit_repeats_entry, false},
    {"vote.flag nil", vote_becomes_nil, false},
    {"vote.flag absent", vote_claims_absence, false},
    {"vote.validator_address", vote_address, false},
    {"vote.timestamp", vote_time, false},
    {"vote.signature", vote_signature, false},
    {"vote.signature lost", vote_loses_signature, false},
    {"vote.signature cut", vote_cuts_signature, false},
    {"validators.power", validators_power, false},
    {"validators.key", validators_key, false},
    {"validators lose one", validators_loses_one, false},
    {"validators repeat one", validators_repeats_one, false},
    {"next_validators.power", next_power, false},
    {"next_validators.key", next_key, false},
    {"next_validators lose one", next_loses_one, false},
    {"next_validators repeat one", next_repeats_one, false},
};

static void expect_invalid(const struct trusted *trusted, const struct tm_block *block,
                           uint64_t now, size_t step, const char *name)
{
    struct sb_light_result got = judge(trusted, block, now);
    g_totals.mutations++;
    count(got.verdict == SB_LIGHT_INVALID, name, step, "INVALID", got);
}

static void run_mutations(const struct trusted *trusted, const struct tm_block *block, uint64_t now,
                          size_t step)
{
    static struct tm_block changed;
    for (size_t i = 0; i < sizeof k_mutations / sizeof k_mutations[0]; i++) {
        const struct mutation *m = &k_mutations[i];
        for (size_t index = 0;; index++) {
            char name[96];
            changed = *block;
            if (!m->apply(&changed, index)) {
                break;
            }
            (void)snprintf(name, sizeof name, "%s %zu", m->name, index);
            expect_invalid(trusted, &changed, now, step, name);
            if (m->is_of_header) {
                (void)snprintf(name, sizeof name, "%s %zu, commit follows", m->name, index);
                changed.commit.block_id.hash = tm_header_hash(&changed.header);
                changed.commit.height = changed.header.height;
                expect_invalid(trusted, &changed, now, step, name);
            }
        }
    }
}

/* ---- files ---- */

static bool read_block(struct tm_block *ret, const json_t *json)
{
    memset(ret, 0, sizeof *ret);
    return tm_read_signed_header(ret, json_object_get(json, "signed_header")) &&
           tm_read_set(&ret->validators, json_object_get(json, "validator_set")) &&
           tm_read_set(&ret->next_validators, json_object_get(json, "next_validator_set"));
}

static bool read_initial(struct trusted *ret, const json_t *json)
{
    memset(ret, 0, sizeof *ret);
    const char *period = json_string_value(json_object_get(json, "trusting_period"));
    return period != NULL && sscanf(period, "%" SCNu64, &ret->trusting_period) == 1 &&
           tm_read_signed_header(&ret->block, json_object_get(json, "signed_header")) &&
           tm_read_set(&ret->block.next_validators, json_object_get(json, "next_validator_set"));
}

/* run_step: false when the step cannot be read. */
static bool run_step(struct trusted *trusted, const json_t *json, size_t step)
{
    static struct tm_block block;
    struct tm_time now;
    const char *expected = json_string_value(json_object_get(json, "verdict"));
    if (expected == NULL || !read_block(&block, json_object_get(json, "block")) ||
        !tm_read_time(&now, json_object_get(json, "now"))) {
        return false;
    }
    struct sb_light_result got = judge(trusted, &block, tm_nanoseconds(&now));
    bool is_right = strcmp(expected, k_verdicts[got.verdict]) == 0;
    g_totals.verdicts[got.verdict] += is_right ? 1 : 0;
    count(is_right, "", step, expected, got);
    if (is_right && got.verdict != SB_LIGHT_INVALID) {
        run_mutations(trusted, &block, tm_nanoseconds(&now), step);
    }
    if (got.verdict == SB_LIGHT_SUCCESS) {
        trusted->block = block;
    }
    return true;
}

static void run_file(const char *path)
{
    static struct trusted trusted;
    const char *slash = strrchr(path, '/');
    g_file = slash != NULL ? slash + 1 : path;
    json_error_t error;
    json_t *file = json_load_file(path, 0, &error);
    const json_t *input = json_object_get(file, "input");
    bool is_read =
        json_array_size(input) > 0 && read_initial(&trusted, json_object_get(file, "initial"));
    for (size_t i = 0; is_read && i < json_array_size(input); i++) {
        is_read = run_step(&trusted, json_array_get(input, i), i + 1);
    }
    if (!is_read) {
        g_totals.failed++;
        printf("FAIL %s:: a member is absent or malformed\n", g_file);
    }
    json_decref(file);
}

int main(int argc, char **argv)
{
    struct sb_file_list files = {.names = NULL};
    if (argc < 2) {
        (void)fputs("usage: lighttest PATH...\n", stderr);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        if (!sb_file_list_add(&files, argv[i], ".json")) {
            printf("FAIL %s:: cannot be read\n", argv[i]);
            g_totals.failed++;
        }
    }
    for (size_t i = 0; i < files.count; i++) {
        run_file(files.names[i]);
    }
    printf("%zu files: %u SUCCESS, %u NOT_ENOUGH_TRUST, %u INVALID as given; %u mutations\n",
           files.count, g_totals.verdicts[SB_LIGHT_SUCCESS],
           g_totals.verdicts[SB_LIGHT_NOT_ENOUGH_TRUST], g_totals.verdicts[SB_LIGHT_INVALID],
           g_totals.mutations);
    sb_file_list_fini(&files);
    printf("%u passed, %u failed, %u skipped\n", g_totals.passed, g_totals.failed,
           g_totals.skipped);
    return g_totals.failed == 0 && g_totals.passed > 0 ? 0 : 1;
}
