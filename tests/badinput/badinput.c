/* badinput.c: the program with files that are broken: truncated, bit-flipped, random, missing, of another kind or of another chain.
 *
 *     good files (made by samebit itself) --spoil one--> samebit COMMAND --> status 0 or 1, one line "error: ... FILE ... reason"
 *
 *     badinput [--samebit PROGRAM] [--examples DIR] [--seed S] [--only TEXT]
 *
 * The rule for every case: the program ends by itself, never by a signal or a sanitizer's report. A file that can no longer be right must
 * be refused: status 1 and exactly one line on the output, which begins with "error: " and names the file. A flipped bit may leave a
 * file valid (a digit of a weight), so status 0 is allowed there. PROGRAM is by default the samebit of this build folder; the suite
 * gives the one that was built with AddressSanitizer. The last line is "N passed, M failed, K skipped". */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util/assert.h"
#include "base/util/buf.h"
#include "base/util/endian.h"
#include "storage/db.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

#define ARGS_MAX       16
#define TEXT_BYTES     1024
#define FILE_BYTES_MAX ((size_t)64 << 20)
#define CASE_MS_MAX    120000
#define LISTEN_MS_MAX  120000
#define PASSWORD       "correct horse battery staple"

static struct {
    char samebit[PROCESS_PATH_BYTES];
    const char *examples, *only;
    struct sb_random random;
    char dir[TEMP_DIR_PATH_BYTES]; /* scratch */
    char good[TEXT_BYTES];         /* data directory of a chain with some blocks */
    char other[TEXT_BYTES];        /* of another chain */
    char work[TEXT_BYTES];         /* what a case spoils */
    char log[TEXT_BYTES];
    uint64_t passed, failed, skipped;
    uint64_t refused; /* cases that ended with an error, as they may or must */
} t;

/* ---- files ---- */

static void file_read(struct sb_buf *ret, const char *path)
{
    uint8_t bytes[4096];
    size_t len;
    FILE *file = fopen(path, "rb");
    SB_ASSERT(file != NULL);
    sb_buf_init(ret, FILE_BYTES_MAX);
    while ((len = fread(bytes, 1, sizeof bytes, file)) > 0) {
        sb_buf_add(ret, bytes, len);
    }
    (void)fclose(file);
    SB_ASSERT(sb_buf_err(ret) == SB_OK);
}

static void file_write(const char *path, const void *data, size_t len)
{
    FILE *file = fopen(path, "wb");
    SB_ASSERT(file != NULL && fwrite(data, 1, len, file) == len && fclose(file) == 0);
}

static void path_join(char ret[TEXT_BYTES], const char *dir, const char *name)
{
    int len = snprintf(ret, TEXT_BYTES, "%s/%s", dir, name);
    SB_ASSERT(len > 0 && len < TEXT_BYTES);
}

/* ---- running a case ---- */

enum verdict {
    MUST_FAIL, /* status 1 with an error that names the file */
    MAY_FAIL,  /* status 0, or as above */
};

/* command_split: an argument list from a template: words apart by blanks, "@" stands for the spoilt path, "%" for the scratch folder.
 * Valid until the next call. */
static void command_split(char *ret_args[ARGS_MAX], const char *template, const char *spoilt)
{
    static char memory[8 * TEXT_BYTES];
    size_t count = 0, at = 0;
    ret_args[count++] = t.samebit;
    for (const char *word = template; *word != '\0';) {
        size_t len = strcspn(word, " ");
        SB_ASSERT(count + 1 < ARGS_MAX && at + 2 * TEXT_BYTES < 8 * TEXT_BYTES);
        ret_args[count++] = memory + at;
        for (size_t i = 0; i < len; i++) {
            if (word[i] == '@' || word[i] == '%') {
                at += (size_t)snprintf(memory + at, TEXT_BYTES, "%s",
                                       word[i] == '@' ? spoilt : t.dir);
            } else {
                memory[at++] = word[i];
            }
        }
        memory[at++] = '\0';
        word += len + (word[len] == ' ');
    }
    ret_args[count] = NULL;
}

/* command_run: the exit status, or -signal. A node that gets so far as to listen is asked to end. */
static int command_run(char *const *args)
{
    if (strcmp(args[1], "run") != 0) {
        return process_run(args, t.log, CASE_MS_MAX);
    }
    pid_t pid = process_start(args, NULL, t.log);
    if (process_wait_listening(pid, t.log, LISTEN_MS_MAX) != 0) {
        (void)kill(pid, SIGTERM);
    }
    int status = process_wait(pid, CASE_MS_MAX);
    if (status == PROCESS_TIMEOUT) {
        (void)kill(pid, SIGKILL);
        (void)process_wait(pid, CASE_MS_MAX);
    }
    return status;
}

/* errors_count: lines of the log that begin with "error: ", and whether one of them has the name and a reason behind it. Lines of
 * the logger (a time first) are not counted. */
static size_t errors_count(bool *ret_names, bool *ret_others, const char *name)
{
    struct sb_buf log;
    size_t count = 0;
    file_read(&log, t.log);
    sb_buf_add_byte(&log, '\0');
    *ret_names = *ret_others = false;
    char *rest = NULL;
    for (char *line = strtok_r((char *)log.data, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "error: ", 7) == 0) {
            const char *at = strstr(line, name);
            count++;
            *ret_names |= at != NULL && strlen(at) > strlen(name) + 4;
        } else {
            *ret_others |= strstr(line, "Sanitizer") != NULL ||
                           strstr(line, "runtime error") != NULL ||
                           strstr(line, "assertion failed") != NULL;
        }
    }
    sb_buf_fini(&log);
    return count;
}

/* check: run the command and judge. name is what the error must name. */
static void check(const char *label, const char *template, const char *spoilt, const char *name,
                  enum verdict verdict)
{
    char *args[ARGS_MAX];
    if (t.only != NULL && strstr(label, t.only) == NULL) {
        return;
    }
    command_split(args, template, spoilt);
    int status = command_run(args);
    bool names, broken;
    size_t errors = errors_count(&names, &broken, name);
    const char *why = NULL;
    if (status < 0 || broken) {
        why = status == PROCESS_TIMEOUT ? "did not end" : "crashed";
    } else if (status > 1) {
        why = "ended with another status than 0 and 1";
    } else if (status == 0 && verdict == MUST_FAIL) {
        why = "was taken as good";
    } else if (status == 1 && errors != 1) {
        why = errors == 0 ? "failed without an error line" : "gave more than one error line";
    } else if (status == 1 && !names) {
        why = "gave an error that does not name the file";
    }
    t.refused += status == 1;
    if (why == NULL) {
        t.passed++;
        return;
    }
    t.failed++;
    printf("FAIL badinput::%s %s (status %d)\n", label, why, status);
    process_print_log(t.log);
}

static void report(const char *label, uint64_t cases_before, uint64_t refused_before)
{
    printf("%s: %" PRIu64 " cases, %" PRIu64 " of them refused by name\n", label,
           t.passed + t.failed - cases_before, t.refused - refused_before);
}

/* ---- spoiling one file ---- */

struct target {
    const char *label;
    const char *good;     /* the file */
    const char *spoilt;   /* where the spoilt copy is put */
    const char *name;     /* what errors must name: the end of its path */
    const char *template; /* the command; "@" is the spoilt path */
    bool text;            /* a missing last byte may be a newline only */
};

/* A flipped bit can make a file that is right in itself and does not fit others: then those may be named. So may the folder be when
 * the file is missing. */
static void check_spoilt(const struct target *target, const char *how, uint64_t number,
                         enum verdict verdict)
{
    char label[256];
    bool any = verdict == MAY_FAIL || strcmp(how, "missing") == 0;
    (void)snprintf(label, sizeof label, "%s_%s_%" PRIu64, target->label, how, number);
    check(label, target->template, target->spoilt, any ? "" : target->name, verdict);
}

static void spoil_truncated(const struct target *target, sb_bytes good)
{
    file_write(target->spoilt, "", 0);
    check_spoilt(target, "empty", 0, MUST_FAIL);
    for (int i = 0; i < 6; i++) {
        size_t cut = i == 0 ? good.len - (target->text ? 3 : 1)
                            : 1 + (size_t)sb_random_below(&t.random, good.len - 4);
        file_write(target->spoilt, good.data, cut);
        check_spoilt(target, "truncated", cut, MUST_FAIL);
    }
}

static void spoil_flipped(const struct target *target, const struct sb_buf *good)
{
    for (int i = 0; i < 16; i++) {
        uint64_t bit = sb_random_below(&t.random, 8 * good->len);
        good->data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        file_write(target->spoilt, good->data, good->len);
        good->data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        check_spoilt(target, "flipped", bit, MAY_FAIL);
    }
}

static void spoil_random(const struct target *target, sb_bytes good)
{
    uint8_t noise[4096];
    for (int i = 0; i < 4; i++) {
        size_t len = 1 + (size_t)sb_random_below(&t.random, sizeof noise);
        sb_random_fill(&t.random, noise, len);
        file_write(target->spoilt, noise, len);
        check_spoilt(target, "random", len, MUST_FAIL);
    }
    /* A good beginning and a random end. */
    for (int i = 0; i < 4; i++) {
        struct sb_buf mixed;
        size_t keep = 1 + (size_t)sb_random_below(&t.random, good.len - 1);
        size_t len = 1 + (size_t)sb_random_below(&t.random, sizeof noise);
        sb_random_fill(&t.random, noise, len);
        sb_buf_init(&mixed, FILE_BYTES_MAX);
        sb_buf_add(&mixed, good.data, keep);
        sb_buf_add(&mixed, noise, len);
        file_write(target->spoilt, mixed.data, mixed.len);
        sb_buf_fini(&mixed);
        check_spoilt(target, "random_end", keep, MUST_FAIL);
    }
}

static void spoil_kind(const struct target *target)
{
    (void)unlink(target->spoilt);
    check_spoilt(target, "missing", 0, MUST_FAIL);
    SB_ASSERT(mkdir(target->spoilt, 0700) == 0);
    check_spoilt(target, "is_a_folder", 0, MUST_FAIL);
    (void)rmdir(target->spoilt);
    file_write(target->spoilt, "", 0);
    SB_ASSERT(truncate(target->spoilt, (off_t)1 << 32) == 0);
    check_spoilt(target, "4_GiB_of_zeros", 0, MUST_FAIL);
    (void)unlink(target->spoilt);
}

static void spoil(const struct target *target)
{
    struct sb_buf good;
    file_read(&good, target->good);
    SB_ASSERT(good.len > 8);
    file_write(target->spoilt, good.data, good.len);
    uint64_t before = t.passed + t.failed, refused = t.refused;
    char label[256];
    (void)snprintf(label, sizeof label, "%s_good", target->label);
    char *args[ARGS_MAX];
    command_split(args, target->template, target->spoilt);
    int status = command_run(args);
    if (status != 0) {
        t.failed++;
        printf("FAIL badinput::%s the good file was refused (status %d)\n", label, status);
        process_print_log(t.log);
    } else {
        t.passed++;
        spoil_truncated(target, sb_buf_bytes(&good));
        spoil_flipped(target, &good);
        spoil_random(target, sb_buf_bytes(&good));
        spoil_kind(target);
    }
    sb_buf_fini(&good);
    report(target->label, before, refused);
}

/* ---- models ---- */

static bool has_command(const char *template)
{
    char *args[ARGS_MAX];
    command_split(args, template, "");
    return process_run(args, t.log, CASE_MS_MAX) == 0;
}

static void check_models(void)
{
    static char onnx[TEXT_BYTES], trees[TEXT_BYTES], rows[TEXT_BYTES], sbm[TEXT_BYTES],
        good_sbm[TEXT_BYTES];
    char bad_onnx[TEXT_BYTES], bad_rows[TEXT_BYTES], import[4 * TEXT_BYTES],
        tree_import[TEXT_BYTES], rows_import[4 * TEXT_BYTES], run[4 * TEXT_BYTES];
    if (!has_command("model import --help")) {
        t.skipped++;
        printf("skip badinput::models this program has no `model import`\n");
        return;
    }
    path_join(onnx, t.examples, "digits_cnn.onnx");
    path_join(trees, t.examples, "gbdt_breast_cancer.onnx");
    path_join(rows, t.examples, "digits_cnn_rows.npz");
    path_join(good_sbm, t.dir, "good.sbm");
    path_join(sbm, t.dir, "model.sbm");
    path_join(bad_onnx, t.dir, "model.onnx");
    path_join(bad_rows, t.dir, "rows.npz");
    (void)snprintf(import, sizeof import, "model import @ --calibrate %s --output %%/out.sbm",
                   rows);
    (void)snprintf(rows_import, sizeof rows_import,
                   "model import %s --calibrate @ --output %%/good.sbm", onnx);
    (void)snprintf(tree_import, sizeof tree_import, "model import @ --output %%/out.sbm");
    (void)snprintf(run, sizeof run, "model run @ --input %s --rows 0..1", rows);
    const struct target targets[] = {
        {"rows", rows, bad_rows, "rows.npz", rows_import, false},
        {"onnx", onnx, bad_onnx, "model.onnx", import, false},
        {"onnx_trees", trees, bad_onnx, "model.onnx", tree_import, false},
        {"sbm_inspect", good_sbm, sbm, "model.sbm", "model inspect @", false},
        {"sbm_verify", good_sbm, sbm, "model.sbm", "model verify @", false},
        {"sbm_run", good_sbm, sbm, "model.sbm", run, false},
    };
    /* The good rows make the good model, of which the last three spoil copies. */
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        if (i == 3) {
            char *args[ARGS_MAX];
            command_split(args, rows_import, rows);
            if (process_run(args, t.log, CASE_MS_MAX) != 0) {
                t.failed++;
                printf("FAIL badinput::sbm the example model cannot be imported\n");
                process_print_log(t.log);
                return;
            }
        }
        spoil(&targets[i]);
    }
}

/* ---- data directories ---- */

static void work_reset(void)
{
    temp_dir_remove(t.work);
    temp_dir_copy(t.work, t.good);
}

static bool make_chain(const char *path, const char *chain_id)
{
    char template[4 * TEXT_BYTES];
    char *args[ARGS_MAX];
    (void)snprintf(template, sizeof template,
                   "init --datadir @ --chain-id %s --block-interval 0 --alloc "
                   "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266=1000",
                   chain_id);
    command_split(args, template, path);
    if (process_run(args, t.log, CASE_MS_MAX) != 0) {
        return false;
    }
    command_split(args, "run --datadir @ --port 0 --block-interval-ms 20", path);
    pid_t pid = process_start(args, NULL, t.log);
    bool listens = process_wait_listening(pid, t.log, LISTEN_MS_MAX) != 0;
    sleep_us(500000);
    (void)kill(pid, SIGTERM);
    return process_wait(pid, CASE_MS_MAX) == 0 && listens;
}

static void check_settings(void)
{
    char genesis[TEXT_BYTES], config[TEXT_BYTES], key[TEXT_BYTES];
    char bad_genesis[TEXT_BYTES], bad_config[TEXT_BYTES], bad_key[TEXT_BYTES];
    char verify[2 * TEXT_BYTES], run[2 * TEXT_BYTES];
    path_join(genesis, t.good, "genesis.json");
    path_join(config, t.good, "config.json");
    path_join(key, t.good, "keys/validator.json");
    path_join(bad_genesis, t.work, "genesis.json");
    path_join(bad_config, t.work, "config.json");
    path_join(bad_key, t.work, "keys/validator.json");
    (void)snprintf(verify, sizeof verify, "verify --silent --datadir %s", t.work);
    (void)snprintf(run, sizeof run, "run --port 0 --instant --datadir %s", t.work);
    const struct target targets[] = {
        {"genesis_run", genesis, bad_genesis, "genesis.json", run, true},
        {"genesis_verify", genesis, bad_genesis, "genesis.json", verify, true},
        {"config", config, bad_config, "config.json", run, true},
        {"validator_key", key, bad_key, "validator.json", run, true},
    };
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        work_reset();
        spoil(&targets[i]);
    }
}

static void check_disk(const char *label, const char *folder, int count)
{
    char path[TEXT_BYTES], text[256], good[TEXT_BYTES];
    uint64_t before = t.passed + t.failed, refused = t.refused;
    for (int i = 0; i < count; i++) {
        work_reset();
        path_join(path, t.work, folder);
        temp_dir_damage(path, &t.random);
        (void)snprintf(text, sizeof text, "%s_damaged_%d_verify", label, i);
        check(text, "verify --silent --datadir @", t.work, "", MAY_FAIL);
        (void)snprintf(text, sizeof text, "%s_damaged_%d_run", label, i);
        check(text, "run --port 0 --instant --datadir @", t.work, "", MAY_FAIL);
    }
    path_join(path, t.work, folder);
    path_join(good, t.other, folder);
    work_reset();
    temp_dir_remove(path);
    (void)snprintf(text, sizeof text, "%s_missing", label);
    check(text, "run --port 0 --instant --datadir @", t.work, folder, MUST_FAIL);
    work_reset();
    temp_dir_remove(path);
    temp_dir_copy(path, good);
    (void)snprintf(text, sizeof text, "%s_of_another_chain", label);
    check(text, "run --port 0 --instant --datadir @", t.work, folder, MUST_FAIL);
    report(label, before, refused);
}

/* A database of a version to come: its format record says so. */
static void check_newer_database(void)
{
    char path[TEXT_BYTES];
    work_reset();
    path_join(path, t.work, "db");
    struct sb_db *db;
    bool created;
    struct sb_diag diag = {.text = ""};
    const struct sb_db_options options = {.cache_bytes = (size_t)8 << 20};
    const sb_bytes key = sb_span((const uint8_t *)"format", 6);
    uint8_t record[64];
    struct sb_db_value value;
    SB_ASSERT(sb_db_open(&db, &created, path, &options, &diag) == SB_OK);
    SB_ASSERT(sb_db_get(&value, db, NULL, SB_FAMILY_META, key) == SB_OK);
    size_t len = value.bytes.len;
    SB_ASSERT(len >= 4 && len <= sizeof record);
    memcpy(record, value.bytes.data, len);
    sb_db_value_free(&value);
    be_store32(record, be_load32(record) + 1);
    struct sb_db_batch *batch = sb_db_batch_new(db);
    sb_db_batch_put(batch, SB_FAMILY_META, key, sb_span(record, len));
    SB_ASSERT(sb_db_batch_write(db, batch, &diag) == SB_OK);
    sb_db_batch_free(batch);
    sb_db_close(db);
    check("db_newer_verify", "verify --silent --datadir @", t.work, "db", MUST_FAIL);
    check("db_newer_run", "run --port 0 --instant --datadir @", t.work, "db", MUST_FAIL);
}

static void check_places(void)
{
    char path[TEXT_BYTES];
    path_join(path, t.dir, "nothing");
    check("datadir_missing_run", "run --port 0 --datadir @", path, "nothing", MUST_FAIL);
    check("datadir_missing_verify", "verify --silent --datadir @", path, "nothing", MUST_FAIL);
    check("datadir_not_empty_init",
          "init --datadir @ --alloc 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266=1", t.good, "good",
          MUST_FAIL);
    work_reset();
    path_join(path, t.work, "genesis.json");
    (void)unlink(path);
    check("datadir_without_genesis_run", "run --port 0 --datadir @", t.work, "work", MUST_FAIL);
}

/* ---- keystores ---- */

static void check_keystores(void)
{
    char keys[TEXT_BYTES], password[TEXT_BYTES], bad[TEXT_BYTES], made[TEXT_BYTES],
        good[TEXT_BYTES];
    char template[4 * TEXT_BYTES];
    char *args[ARGS_MAX];
    path_join(keys, t.dir, "accounts");
    path_join(password, t.dir, "password.txt");
    path_join(bad, t.dir, "key.json");
    path_join(good, t.dir, "good-key.json");
    file_write(password, PASSWORD "\n", strlen(PASSWORD) + 1);
    command_split(args, "account new --light --keys @ --password-file %/password.txt", keys);
    int status = process_run(args, t.log, CASE_MS_MAX);
    /* The command prints "file: PATH". */
    struct sb_buf log;
    file_read(&log, t.log);
    sb_buf_add_byte(&log, '\0');
    const char *at = status == 0 ? strstr((const char *)log.data, "file: ") : NULL;
    if (at == NULL) {
        t.failed++;
        printf("FAIL badinput::keystore no account could be made (status %d)\n", status);
        process_print_log(t.log);
        sb_buf_fini(&log);
        return;
    }
    (void)snprintf(made, sizeof made, "%.*s", (int)strcspn(at + 6, "\n"), at + 6);
    sb_buf_fini(&log);
    SB_ASSERT(rename(made, good) == 0);
    (void)snprintf(template, sizeof template,
                   "account import @ --light --keys %%/imported-%" PRIu64
                   " --old-password-file %%/password.txt --password-file %%/password.txt",
                   t.passed);
    const struct target target = {"keystore", good, bad, "key.json", template, true};
    spoil(&target);
}

/* ---- all ---- */

static bool parse(int argc, char **argv, uint64_t *ret_seed)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--samebit") == 0) {
            (void)snprintf(t.samebit, sizeof t.samebit, "%s", argv[i + 1]);
        } else if (strcmp(argv[i], "--examples") == 0) {
            t.examples = argv[i + 1];
        } else if (strcmp(argv[i], "--only") == 0) {
            t.only = argv[i + 1];
        } else if (strcmp(argv[i], "--seed") == 0) {
            *ret_seed = strtoull(argv[i + 1], NULL, 10);
        } else {
            return false;
        }
    }
    return argc % 2 == 1;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    process_sibling(t.samebit, "samebit");
    t.examples = "examples/models";
    if (!parse(argc, argv, &seed)) {
        printf("usage: badinput [--samebit PROGRAM] [--examples DIR] [--seed S] [--only TEXT]\n");
        return 2;
    }
    /* A sanitizer's report must not look like a failed command. */
    (void)setenv("ASAN_OPTIONS", "exitcode=99:detect_leaks=1:allocator_may_return_null=1", 1);
    (void)setenv("UBSAN_OPTIONS", "halt_on_error=1:exitcode=99:print_stacktrace=1", 1);
    t.random = (struct sb_random){.state = seed};
    printf("repeat with: %s --seed %" PRIu64 " --samebit %s\n", argv[0], seed, t.samebit);
    temp_dir_make(t.dir);
    path_join(t.good, t.dir, "good");
    path_join(t.other, t.dir, "other");
    path_join(t.work, t.dir, "work");
    path_join(t.log, t.dir, "log.txt");
    if (make_chain(t.good, "4711") && make_chain(t.other, "4712")) {
        check_places();
        check_settings();
        check_disk("db", "db", 20);
        check_disk("journal", "journal", 12);
        check_newer_database();
    } else {
        t.failed++;
        printf("FAIL badinput::chain the good chain cannot be made\n");
        process_print_log(t.log);
    }
    check_keystores();
    check_models();
    temp_dir_remove(t.dir);
    printf("%" PRIu64 " passed, %" PRIu64 " failed, %" PRIu64 " skipped\n", t.passed, t.failed,
           t.skipped);
    return t.failed != 0;
}
