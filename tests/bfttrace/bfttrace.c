/* bfttrace.c: replay traces of the Quint models of Tendermint against the consensus core (see trace.h).
 *
 *     build/tests/bfttrace [-v] [--mutant NAME] PATH...
 *
 * PATH is a file or a folder of files, .jsonl or .jsonl.gz. A file holds one JSON object a line: {trace, kind, vals, steps}, as described
 * in the README beside the data. A trace without steps is skipped by name. Output: "FAIL file::trace reason", and at the end "N passed,
 * M failed, K skipped"; exit status 0 only if M = 0 and N > 0. --mutant: put a fault into the core first (a build with
 * -Dbft_mutants=true). */
#include <dirent.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "consensus/mutant.h"
#include "tests/bfttrace/trace.h"

#define LINE_BYTES_MAX ((size_t)64 << 20)

struct totals {
    unsigned passed, failed, skipped;
    struct trace_notes notes;
    bool is_verbose;
};

/* ---- what the parts share ---- */

const char *variant_name(const json_t *variant)
{
    const char *name =
        json_string_value(json_is_array(variant) ? json_array_get(variant, 0) : variant);
    return name != NULL ? name : "";
}

json_t *variant_argument(const json_t *variant)
{
    return json_array_get(variant, 1);
}

const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

long number_of(const json_t *object, const char *key)
{
    return (long)json_integer_value(json_object_get(object, key));
}

const char *value_name(const json_t *value)
{
    return strcmp(variant_name(value), "Val") == 0 ? json_string_value(variant_argument(value))
                                                   : NULL;
}

sb_hash value_id(const char *name)
{
    sb_hash id;
    memset(&id, 0, sizeof id);
    return name != NULL ? sb_keccak256(sb_span_str(name)) : id;
}

int trace_name(const struct trace *trace, const char *name)
{
    for (size_t i = 0; i < trace->validator_count; i++) {
        if (strcmp(trace->names[i], name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

bool vote_of(struct sb_vote *ret, const struct trace *trace, const json_t *vote)
{
    int who = trace_name(trace, text_of(vote, "srcAddress"));
    if (who < 0) {
        return false;
    }
    uint32_t index = trace->index_of[who];
    bool is_prevote = strcmp(text_of(vote, "voteType"), "Prevote") == 0;
    *ret = (struct sb_vote){
        .type = is_prevote ? SB_VOTE_PREVOTE : SB_VOTE_PRECOMMIT,
        .height = (uint64_t)number_of(vote, "height") + 1,
        .round = (int32_t)number_of(vote, "round"),
        .block_id = value_id(value_name(json_object_get(vote, "valueId"))),
        .validator_index = index,
        .validator_address = trace->set.validators[index].address,
        .signature = {.len = 1, .bytes = {(uint8_t)(who + 1)}},
    };
    return true;
}

enum trace_result trace_fail(struct trace *trace, size_t step, const char *format, ...)
{
    char text[TRACE_REASON_BYTES - 32];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    (void)snprintf(trace->reason, sizeof trace->reason, "step %zu: %s", step, text);
    return TRACE_FAILED;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool trace_open(struct trace *trace, json_t *vals)
{
    const char *name;
    json_t *weight;
    json_object_foreach(vals, name, weight)
    {
        if (trace->validator_count == TRACE_VALIDATORS_MAX) {
            return false;
        }
        trace->names[trace->validator_count++] = name;
    }
    qsort(trace->names, trace->validator_count, sizeof trace->names[0], compare_names);
    uint8_t key[32] = {0};
    for (size_t i = 0; i < trace->validator_count; i++) {
        key[0] = (uint8_t)(i + 1);
        trace->validators[i] = (struct sb_validator){
            .key = sb_pubkey_ed25519(key), .power = (int64_t)number_of(vals, trace->names[i])};
    }
    if (sb_validator_set_make(&trace->set, trace->validators, trace->validator_count, NULL) !=
        SB_OK) {
        return false;
    }
    for (size_t i = 0; i < trace->validator_count; i++) { /* the set is in an order of its own */
        trace->index_of[trace->set.validators[i].key.bytes[0] - 1] = (uint32_t)i;
    }
    return true;
}

/* ---- traces, lines, files ---- */

static enum trace_result run_trace(struct totals *totals, json_t *line, char *ret_reason,
                                   size_t reason_bytes)
{
    static struct trace trace;
    memset(&trace, 0, sizeof trace);
    trace.steps = json_object_get(line, "steps");
    trace.notes = &totals->notes;
    trace.is_verbose = totals->is_verbose;
    const char *kind = text_of(line, "kind");
    enum trace_result result = TRACE_FAILED;
    if (json_array_size(trace.steps) == 0) {
        (void)snprintf(ret_reason, reason_bytes, "the trace has no steps");
        return TRACE_SKIPPED;
    }
    if (strcmp(kind, "round-sm") == 0) {
        result = trace_round(&trace);
    } else if (!trace_open(&trace, json_object_get(line, "vals"))) {
        (void)snprintf(trace.reason, sizeof trace.reason, "its validators cannot be read");
    } else if (strcmp(kind, "driver") == 0) {
        result = trace_driver(&trace);
    } else if (strcmp(kind, "votekeeper") == 0) {
        result = trace_votes(&trace);
    } else {
        (void)snprintf(trace.reason, sizeof trace.reason, "unknown kind '%s'", kind);
    }
    (void)snprintf(ret_reason, reason_bytes, "%s", trace.reason);
    return result;
}

static void run_line(struct totals *totals, const char *file, const char *text, unsigned number)
{
    json_error_t error;
    char reason[TRACE_REASON_BYTES];
    json_t *line = json_loads(text, 0, &error);
    if (line == NULL) {
        printf("FAIL %s::line %u %s\n", file, number, error.text);
        totals->failed++;
        return;
    }
    const char *name = text_of(line, "trace");
    switch (run_trace(totals, line, reason, sizeof reason)) {
    case TRACE_PASSED:
        totals->passed++;
        if (totals->is_verbose) {
            printf("ok   %s::%s\n", file, name);
        }
        break;
    case TRACE_FAILED:
        totals->failed++;
        printf("FAIL %s::%s %s\n", file, name, reason);
        break;
    case TRACE_SKIPPED:
        totals->skipped++;
        printf("skip %s::%s %s\n", file, name, reason);
        break;
    }
    json_decref(line);
}

/* read_line: the next line without its end, in a buffer that grows; NULL at the end of the file. */
static char *read_line(char **buffer, size_t *capacity, gzFile in)
{
    size_t len = 0;
    for (;;) {
        if (*capacity - len < 2) {
            SB_ASSERT(*capacity < LINE_BYTES_MAX);
            *capacity = *capacity != 0 ? *capacity * 2 : 1 << 16;
            *buffer = realloc(*buffer, *capacity);
            SB_ASSERT(*buffer != NULL);
        }
        if (gzgets(in, *buffer + len, (int)(*capacity - len)) == NULL) {
            return len != 0 ? *buffer : NULL;
        }
        len += strlen(*buffer + len);
        if (len != 0 && (*buffer)[len - 1] == '\n') {
            (*buffer)[len - 1] = '\0';
            return *buffer;
        }
    }
}

static bool is_trace_file(const char *name)
{
    size_t len = strlen(name);
    return (len > 6 && strcmp(name + len - 6, ".jsonl") == 0) ||
           (len > 9 && strcmp(name + len - 9, ".jsonl.gz") == 0);
}

static void run_file(struct totals *totals, const char *path);

/* run_folder: its trace files, in the order of their names; folders in it are left alone. false: path is no folder. */
static bool run_folder(struct totals *totals, const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char file[PATH_MAX];
        if (is_trace_file(entries[i]->d_name) &&
            snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name) < (int)sizeof file) {
            run_file(totals, file);
        }
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
    return count >= 0;
}

static void run_file(struct totals *totals, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *file = slash != NULL ? slash + 1 : path;
    gzFile in = gzopen(path, "rb");
    if (in == NULL) {
        printf("FAIL %s::file cannot be opened\n", file);
        totals->failed++;
        return;
    }
    char *buffer = NULL;
    size_t capacity = 0;
    unsigned number = 0;
    while (read_line(&buffer, &capacity, in) != NULL) {
        run_line(totals, file, buffer, ++number);
    }
    free(buffer);
    (void)gzclose(in);
}

static bool choose_mutant(const char *name)
{
#if SB_BFT_MUTANTS
    return sb_bft_mutant_set(name);
#else
    (void)name;
    return false;
#endif
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"verbose", no_argument, NULL, 'v'}, {"mutant", required_argument, NULL, 'm'}, {0}};
    static struct totals totals;
    for (int c; (c = getopt_long(argc, argv, "v", options, NULL)) != -1;) {
        if (c == 'v') {
            totals.is_verbose = true;
        } else if (c != 'm') {
            fprintf(stderr, "usage: bfttrace [-v] [--mutant NAME] PATH...\n");
            return 2;
        } else if (!choose_mutant(optarg)) {
            fprintf(stderr, "no mutant '%s' in this build\n", optarg);
            return 2;
        }
    }
    for (int i = optind; i < argc; i++) {
        if (!run_folder(&totals, argv[i])) {
            run_file(&totals, argv[i]);
        }
    }
    const struct trace_notes *notes = &totals.notes;
    if (totals.is_verbose) {
        printf(
            "%lu steps, %lu outputs and %lu states compared, guesses included\n"
            "forgiven: %lu prevote timers that the model sets later or never, %lu values that came "
            "after their step, %lu repeated votes looked at again\n"
            "%lu nodes needed a guess about votes that waited for them; %lu votes preloaded; %lu "
            "nodes left "
            "where both ways are right\n",
            notes->checked_steps, notes->compared_outputs, notes->compared_states,
            notes->late_prevote_timers, notes->late_values, notes->repeat_votes,
            notes->guessed_nodes, notes->preloaded_votes, notes->left_nodes);
    }
    printf("%u passed, %u failed, %u skipped\n", totals.passed, totals.failed, totals.skipped);
    return totals.failed == 0 && totals.passed > 0 ? 0 : 1;
}
