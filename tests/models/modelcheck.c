/* modelcheck.c: the same model, the same bits, by every door; and its accuracy against the float model.
 *
 *     ONNX --samebit model import--> .sbm --samebit model run --hex--> raw outputs of all rows         (local)
 *                                     |--samebit model deploy--> dev node --eth_call infer-->    equal (view)
 *                                                                         --transaction--> log   equal (receipt)
 *                                                                         --inferReal (both)-->  equal to the raw outputs as real numbers
 *
 *     modelcheck [--samebit PROGRAM] [--examples DIR] [--models DIR] [--rows K] [--only NAME] [--table FILE]
 *
 * All rows go through the local path, K rows (default 10) spread over them through every door. The float figures are those of the
 * compiler's report on all rows; the integer accuracy is counted again here from the raw outputs. A class model must agree with the
 * float model's class on the share of rows that its line below names. Models of DIR that are absent are skipped by name. The last line
 * is "N passed, M failed, K skipped": a case for each import, door and figure. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/codec/abi.h"
#include "base/codec/hex.h"
#include "base/util/assert.h"
#include "node/real.h"
#include "tests/models/model_chain.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "vm/compiler/dataset.h"
#include "vm/tensor/run.h"

#define COMMAND_MS_MAX   300000
#define ANSWER_BYTES_MAX ((size_t)1 << 20)
#define FILE_BYTES_MAX   ((size_t)256 << 20)
#define ELEMENTS_MAX     16384
#define TEXT_BYTES       1024

struct model {
    const char *name;   /* of the ONNX file */
    const char *rows;   /* calibration and test rows */
    bool is_example;    /* in --examples, else in --models */
    bool is_optional;   /* may use what the compiler does not take: skipped with its reason */
    unsigned agree_min; /* per mille of the rows; 0: no classes */
};

static const struct model k_models[] = {
    {"digits_cnn", "digits_cnn_rows.npz", true, false, 980},
    {"gbdt_breast_cancer", "gbdt_breast_cancer_rows.npz", true, false, 990},
    {"digits_mlp", "digits_mlp_test.npz", false, false, 990},
    {"digits_cnn", "digits_cnn_test.npz", false, false, 980},
    {"fashion_lenet5", "fashion_test1000.npz", false, false, 980},
    {"fashion_mbv2s", "fashion_test1000.npz", false, false, 980},
    {"gbdt_breast_cancer", "breast_cancer_test.npz", false, false, 990},
    {"digits_autoencoder", "digits_mlp_test.npz", false, false, 0},
    {"digits_mlp_qdq_u8s8", "digits_mlp_test.npz", false, true, 990},
    {"digits_cnn_qdq_u8s8", "digits_cnn_test.npz", false, true, 980},
    {"fashion_lenet5_qdq_u8s8", "fashion_test1000.npz", false, true, 980},
    {"fashion_mbv2s_qdq_u8s8", "fashion_test1000.npz", false, true, 980},
};

static struct {
    char samebit[PROCESS_PATH_BYTES];
    const char *examples, *models, *only, *table_path;
    uint64_t sample;
    char dir[TEMP_DIR_PATH_BYTES];
    char log[TEXT_BYTES], node_log[TEXT_BYTES];
    struct model_chain chain;
    struct sb_buf table;
    uint64_t passed, failed, skipped;
} t;

/* What is known of the model in hand. */
struct work {
    const struct model *model;
    char label[128];
    char onnx[TEXT_BYTES], rows_path[TEXT_BYTES], sbm[TEXT_BYTES];
    json_t *report;          /* owned */
    struct sb_dataset rows;  /* owned */
    struct sb_buf file;      /* owned */
    struct sb_model *loaded; /* owned */
    struct sb_buf runs;      /* owned; output of `model run --hex` */
    sb_hash id;
    uint64_t compared, gas_used;
};

static bool check(const struct work *w, bool ok, const char *what, const char *detail)
{
    t.passed += ok;
    t.failed += !ok;
    if (!ok) {
        printf("FAIL models::%s %s %.600s\n", w->label, what, detail);
    }
    return ok;
}

static void file_read(struct sb_buf *ret, const char *path)
{
    uint8_t bytes[8192];
    size_t len;
    FILE *file = fopen(path, "rb");
    sb_buf_init(ret, FILE_BYTES_MAX);
    while (file != NULL && (len = fread(bytes, 1, sizeof bytes, file)) > 0) {
        sb_buf_add(ret, bytes, len);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    SB_ASSERT(sb_buf_err(ret) == SB_OK);
}

/* samebit: run the program; its output, terminated, in ret_output (owned by the caller). */
static int samebit(struct sb_buf *ret_output, char *const *args)
{
    int status = process_run(args, t.log, COMMAND_MS_MAX);
    file_read(ret_output, t.log);
    sb_buf_add_byte(ret_output, '\0');
    return status;
}

/* ---- import and local runs ---- */

static bool import(struct work *w)
{
    char model[] = "model", command[] = "import", calibrate[] = "--calibrate", test[] = "--test",
         output[] = "--output", json[] = "--json";
    char *const args[] = {t.samebit, model,        command, w->onnx, calibrate, w->rows_path,
                          test,      w->rows_path, output,  w->sbm,  json,      NULL};
    struct sb_buf text;
    int status = samebit(&text, args);
    const char *begin = strchr((const char *)text.data, '{');
    w->report =
        status == 0 && begin != NULL ? json_loads(begin, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    bool ok = w->report != NULL;
    if (!ok && w->model->is_optional && status == 1) {
        t.skipped++;
        printf("skip models::%s %s", w->label, (const char *)text.data);
    } else {
        (void)check(w, ok, "import:", (const char *)text.data);
    }
    sb_buf_fini(&text);
    return ok;
}

static bool load(struct work *w)
{
    struct sb_buf file;
    struct sb_diag diag = {.text = ""};
    file_read(&file, w->rows_path);
    sb_err err = sb_dataset_load(&w->rows, sb_buf_bytes(&file), NULL, &diag);
    sb_buf_fini(&file);
    file_read(&w->file, w->sbm);
    err = err == SB_OK ? sb_model_load(&w->loaded, sb_buf_bytes(&w->file), &diag) : err;
    return check(w, err == SB_OK, "load:", diag.text);
}

static bool run_local(struct work *w)
{
    char model[] = "model", command[] = "run", input[] = "--input", hex[] = "--hex";
    char *const args[] = {t.samebit, model, command, w->sbm, input, w->rows_path, hex, NULL};
    return check(w, samebit(&w->runs, args) == 0, "model run:", (const char *)w->runs.data);
}

/* local_row: raw input and output that `model run` printed for a row, appended to the buffers. */
static bool local_row(struct sb_buf *ret_input, struct sb_buf *ret_output, const struct work *w,
                      uint64_t row)
{
    char begin[48];
    (void)snprintf(begin, sizeof begin, "row %" PRIu64 ": input 0x", row);
    const char *at = strstr((const char *)w->runs.data, begin);
    const char *out = at != NULL ? strstr(at, " output 0x") : NULL;
    if (out == NULL) {
        return false;
    }
    const struct sb_model_info *info = sb_model_info(w->loaded);
    const char *in = at + strlen(begin);
    out += strlen(" output 0x");
    uint8_t *input = sb_buf_grow(ret_input, info->input_bytes);
    uint8_t *output = sb_buf_grow(ret_output, info->output_bytes);
    return input != NULL && output != NULL && strcspn(in, " \n") == 2 * info->input_bytes &&
           strcspn(out, " \n") == 2 * info->output_bytes &&
           sb_hex_decode(input, info->input_bytes, in, 2 * info->input_bytes) == SB_OK &&
           sb_hex_decode(output, info->output_bytes, out, 2 * info->output_bytes) == SB_OK;
}

/* ---- accuracy ---- */

static uint64_t figure(const struct work *w, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(json_object_get(w->report, "test"), name));
}

/* class_of: greatest element of the first output, the lowest index on a tie; one score is a class by its sign. */
static uint64_t class_of(const struct work *w, const uint8_t *output)
{
    const struct sb_model_io *io = &sb_model_info(w->loaded)->outputs[0];
    uint64_t best = 0;
    if (io->element_count == 1) {
        return sb_raw_load(output, io->desc.dtype, 0) > io->desc.quant.zero_point;
    }
    for (uint64_t i = 1; i < io->element_count; i++) {
        best = sb_raw_load(output, io->desc.dtype, i) > sb_raw_load(output, io->desc.dtype, best)
                   ? i
                   : best;
    }
    return best;
}

/* count_right: rows whose class is the label, from the raw outputs. */
static uint64_t count_right(const struct work *w)
{
    uint64_t right = 0;
    for (uint64_t row = 0; row < w->rows.row_count; row++) {
        struct sb_buf input, output;
        sb_buf_init(&input, ANSWER_BYTES_MAX);
        sb_buf_init(&output, ANSWER_BYTES_MAX);
        right += local_row(&input, &output, w, row) &&
                 (double)class_of(w, output.data) == w->rows.y[row];
        sb_buf_fini(&input);
        sb_buf_fini(&output);
    }
    return right;
}

static void check_accuracy(struct work *w)
{
    char detail[160];
    uint64_t rows = figure(w, "rows"), agree = figure(w, "agree");
    if (w->model->agree_min == 0) {
        return;
    }
    (void)snprintf(detail, sizeof detail, "%" PRIu64 " of %" PRIu64, agree, rows);
    (void)check(w, rows == w->rows.row_count && agree * 1000 >= rows * w->model->agree_min,
                "too few rows agree with the float model:", detail);
    uint64_t right = count_right(w);
    (void)snprintf(detail, sizeof detail, "%" PRIu64 ", the report says %" PRIu64, right,
                   figure(w, "integerRight"));
    (void)check(w, right == figure(w, "integerRight"),
                "right rows counted from model run:", detail);
}

/* ---- on the chain ---- */

static bool deploy(struct work *w)
{
    char model[] = "model", command[] = "deploy", rpc[] = "--rpc", key[] = "--key", url[64];
    char *const args[] = {t.samebit, model, command, w->sbm, rpc, url, key, t.chain.key, NULL};
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", t.chain.port);
    struct sb_buf text;
    int status = samebit(&text, args);
    const char *id = strstr((const char *)text.data, "id: 0x");
    bool ok =
        status == 0 && id != NULL && sb_hex_parse(w->id.b, sizeof w->id.b, id + 4, 66) == SB_OK;
    (void)check(w, ok, "model deploy:", (const char *)text.data);
    sb_buf_fini(&text);
    return ok && check(w, model_chain_sync(&t.chain), "nonce:", t.chain.error);
}

static void infer_calldata(struct sb_buf *out, const struct work *w, sb_bytes input)
{
    struct sb_abi_writer writer;
    sb_abi_put_selector(out, sb_abi_selector("infer(bytes32,bytes)"));
    sb_abi_begin(&writer, out, 2);
    sb_abi_put_hash(&writer, &w->id);
    sb_abi_put_bytes(&writer, input);
    sb_abi_end(&writer);
}

static void infer_real_calldata(struct sb_buf *out, const struct work *w, uint64_t row)
{
    struct sb_abi_writer writer, array;
    const double *x = w->rows.x + row * w->rows.row_elements;
    sb_abi_put_selector(out, sb_abi_selector("inferReal(bytes32,int256[])"));
    sb_abi_begin(&writer, out, 2);
    sb_abi_put_hash(&writer, &w->id);
    sb_abi_put_array(&array, &writer, w->rows.row_elements, 1);
    for (uint64_t i = 0; i < w->rows.row_elements; i++) {
        sb_u256 real;
        SB_ASSERT(sb_real_from_double(&real, x[i]) == SB_OK);
        sb_abi_put_u256(&array, &real);
    }
    sb_abi_end(&array);
    sb_abi_end(&writer);
}

/* expected_bytes, expected_reals: the whole return data for this raw output. */
static void expected_bytes(struct sb_buf *out, sb_bytes output)
{
    struct sb_abi_writer writer;
    sb_abi_begin(&writer, out, 1);
    sb_abi_put_bytes(&writer, output);
    sb_abi_end(&writer);
}

static void expected_reals(struct sb_buf *out, const struct work *w, sb_bytes output)
{
    const struct sb_model_info *info = sb_model_info(w->loaded);
    struct sb_abi_writer writer, array;
    uint64_t count = 0;
    const uint8_t *at = output.data;
    for (uint32_t i = 0; i < info->output_count; i++) {
        count += info->outputs[i].element_count;
    }
    sb_abi_begin(&writer, out, 1);
    sb_abi_put_array(&array, &writer, count, 1);
    for (uint32_t i = 0; i < info->output_count; i++) {
        const struct sb_model_io *io = &info->outputs[i];
        for (uint64_t k = 0; k < io->element_count; k++) {
            sb_u256 real = sb_output_to_real(&io->desc, sb_raw_load(at, io->desc.dtype, k));
            sb_abi_put_u256(&array, &real);
        }
        at += io->bytes;
    }
    sb_abi_end(&array);
    sb_abi_end(&writer);
}

/* check_doors: one calldata as a view and in a transaction; both return exactly these bytes. */
static bool check_doors(struct work *w, uint64_t row, const char *function, sb_bytes calldata,
                        sb_bytes expected)
{
    struct sb_buf viewed, received;
    char what[96];
    sb_buf_init(&viewed, ANSWER_BYTES_MAX);
    sb_buf_init(&received, ANSWER_BYTES_MAX);
    bool ok = model_chain_call(&viewed, &t.chain, calldata);
    (void)snprintf(what, sizeof what, "row %" PRIu64 ", %s by eth_call:", row, function);
    ok = check(w, ok && sb_span_equal(sb_buf_bytes(&viewed), expected), what,
               ok ? "other bits than model run" : t.chain.error);
    bool mined = model_chain_transact(&received, &w->gas_used, &t.chain, calldata);
    (void)snprintf(what, sizeof what, "row %" PRIu64 ", %s in a transaction:", row, function);
    ok &= check(w, mined && sb_span_equal(sb_buf_bytes(&received), expected), what,
                mined ? "other bits than model run" : t.chain.error);
    sb_buf_fini(&viewed);
    sb_buf_fini(&received);
    return ok;
}

static bool check_row(struct work *w, uint64_t row)
{
    struct sb_buf input, output, calldata, expected;
    sb_buf_init(&input, ANSWER_BYTES_MAX);
    sb_buf_init(&output, ANSWER_BYTES_MAX);
    sb_buf_init(&calldata, ANSWER_BYTES_MAX);
    sb_buf_init(&expected, ANSWER_BYTES_MAX);
    bool ok = check(w, local_row(&input, &output, w, row), "model run", "printed no such row");
    if (ok) {
        infer_calldata(&calldata, w, sb_buf_bytes(&input));
        expected_bytes(&expected, sb_buf_bytes(&output));
        ok = check_doors(w, row, "infer", sb_buf_bytes(&calldata), sb_buf_bytes(&expected));
        sb_buf_reset(&calldata);
        sb_buf_reset(&expected);
        infer_real_calldata(&calldata, w, row);
        expected_reals(&expected, w, sb_buf_bytes(&output));
        ok = check_doors(w, row, "inferReal", sb_buf_bytes(&calldata), sb_buf_bytes(&expected)) &&
             ok;
        w->compared++;
    }
    sb_buf_fini(&input);
    sb_buf_fini(&output);
    sb_buf_fini(&calldata);
    sb_buf_fini(&expected);
    return ok;
}

/* check_quote: the gas that the chain names is the gas of the report. */
static void check_quote(struct work *w)
{
    struct sb_buf calldata, answer;
    struct sb_abi_writer writer;
    uint64_t warm = 0, cold = 0;
    sb_buf_init(&calldata, ANSWER_BYTES_MAX);
    sb_buf_init(&answer, ANSWER_BYTES_MAX);
    sb_abi_put_selector(&calldata, sb_abi_selector("quote(bytes32)"));
    sb_abi_begin(&writer, &calldata, 1);
    sb_abi_put_hash(&writer, &w->id);
    sb_abi_end(&writer);
    bool ok = model_chain_call(&answer, &t.chain, sb_buf_bytes(&calldata)) &&
              sb_abi_read_u64(&warm, sb_buf_bytes(&answer), 0) == SB_OK &&
              sb_abi_read_u64(&cold, sb_buf_bytes(&answer), 1) == SB_OK;
    uint64_t report_warm = (uint64_t)json_integer_value(json_object_get(w->report, "gasWarm"));
    uint64_t report_cold = (uint64_t)json_integer_value(json_object_get(w->report, "gasCold"));
    char detail[200];
    (void)snprintf(detail, sizeof detail,
                   "chain %" PRIu64 " warm, %" PRIu64 " cold; report %" PRIu64 " and %" PRIu64
                   " more",
                   warm, cold, report_warm, report_cold);
    /* The chain adds 200 gas for the call and the touch (docs/spec/precompiles.md). */
    (void)check(
        w, ok && cold - warm == report_cold && warm >= report_warm && warm - report_warm <= 200,
        "quote:", ok ? detail : t.chain.error);
    sb_buf_fini(&calldata);
    sb_buf_fini(&answer);
}

static void check_chain(struct work *w)
{
    uint64_t rows = w->rows.row_count;
    uint64_t count = t.sample < rows ? t.sample : rows;
    if (!deploy(w)) {
        return;
    }
    check_quote(w);
    for (uint64_t i = 0; i < count; i++) {
        if (!check_row(w, count > 1 ? i * (rows - 1) / (count - 1) : 0)) {
            break;
        }
    }
}

/* ---- one model ---- */

static void percent(char ret[16], uint64_t part, uint64_t of)
{
    (void)snprintf(ret, 16, "%.2f %%", of != 0 ? 100.0 * (double)part / (double)of : 0.0);
}

static void table_add(const struct work *w)
{
    char float_right[16] = "-", integer_right[16] = "-", agree[16] = "-";
    uint64_t rows = figure(w, "rows");
    if (w->model->agree_min != 0) {
        percent(float_right, figure(w, "floatRight"), figure(w, "labelledRows"));
        percent(integer_right, figure(w, "integerRight"), figure(w, "labelledRows"));
        percent(agree, figure(w, "agree"), rows);
    }
    sb_buf_addf(&t.table,
                "%-32s %-5s %5" PRIu64 " %9s %9s %9s %9" JSON_INTEGER_FORMAT
                " %9" JSON_INTEGER_FORMAT " %8" JSON_INTEGER_FORMAT " %9" PRIu64 "\n",
                w->label, json_string_value(json_object_get(w->report, "precision")), rows,
                float_right, integer_right, agree,
                json_integer_value(json_object_get(w->report, "gasWarm")),
                json_integer_value(json_object_get(w->report, "gasCold")),
                json_integer_value(json_object_get(w->report, "fileBytes")), w->compared);
}

static void check_model(const struct model *model)
{
    struct work w = {.model = model};
    const char *dir = model->is_example ? t.examples : t.models;
    (void)snprintf(w.label, sizeof w.label, "%s%s", model->is_example ? "examples/" : "",
                   model->name);
    (void)snprintf(w.onnx, sizeof w.onnx, "%s/%s.onnx", dir, model->name);
    (void)snprintf(w.rows_path, sizeof w.rows_path, "%s/%s", dir, model->rows);
    (void)snprintf(w.sbm, sizeof w.sbm, "%s/%s.sbm", t.dir, model->name);
    if (t.only != NULL && strcmp(t.only, model->name) != 0) {
        return;
    }
    if (access(w.onnx, R_OK) != 0 || access(w.rows_path, R_OK) != 0) {
        t.skipped++;
        printf("skip models::%s there is no %s or %s\n", w.label, w.onnx, model->rows);
        return;
    }
    sb_buf_init(&w.file, FILE_BYTES_MAX);
    sb_buf_init(&w.runs, FILE_BYTES_MAX);
    if (import(&w) && load(&w) && run_local(&w)) {
        check_accuracy(&w);
        check_chain(&w);
        table_add(&w);
    }
    json_decref(w.report);
    sb_dataset_fini(&w.rows);
    sb_model_free(w.loaded);
    sb_buf_fini(&w.file);
    sb_buf_fini(&w.runs);
}

/* ---- all ---- */

static bool parse(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--samebit") == 0) {
            (void)snprintf(t.samebit, sizeof t.samebit, "%s", argv[i + 1]);
        } else if (strcmp(argv[i], "--examples") == 0) {
            t.examples = argv[i + 1];
        } else if (strcmp(argv[i], "--models") == 0) {
            t.models = argv[i + 1];
        } else if (strcmp(argv[i], "--rows") == 0) {
            t.sample = strtoull(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--only") == 0) {
            t.only = argv[i + 1];
        } else if (strcmp(argv[i], "--table") == 0) {
            t.table_path = argv[i + 1];
        } else {
            return false;
        }
    }
    return argc % 2 == 1;
}

static void print_table(void)
{
    sb_buf_add_byte(&t.table, '\0');
    printf("\n%s", (const char *)t.table.data);
    FILE *file = t.table_path != NULL ? fopen(t.table_path, "w") : NULL;
    if (file != NULL) {
        (void)fputs((const char *)t.table.data, file);
        (void)fclose(file);
    }
}

int main(int argc, char **argv)
{
    process_sibling(t.samebit, "samebit");
    t.examples = "examples/models";
    t.models = "../shared/models";
    t.sample = 10;
    if (!parse(argc, argv)) {
        printf("usage: modelcheck [--samebit PROGRAM] [--examples DIR] [--models DIR] [--rows K] "
               "[--only NAME] [--table FILE]\n");
        return 2;
    }
    temp_dir_make(t.dir);
    (void)snprintf(t.log, sizeof t.log, "%s/log.txt", t.dir);
    (void)snprintf(t.node_log, sizeof t.node_log, "%s/node.txt", t.dir);
    sb_buf_init(&t.table, ANSWER_BYTES_MAX);
    sb_buf_addf(&t.table, "%-32s %-5s %5s %9s %9s %9s %9s %9s %8s %9s\n", "model", "type", "rows",
                "float", "integer", "agree", "gas", "gas cold+", "bytes", "compared");
    if (model_chain_start(&t.chain, t.samebit, t.node_log)) {
        for (size_t i = 0; i < sizeof k_models / sizeof k_models[0]; i++) {
            check_model(&k_models[i]);
        }
    } else {
        t.failed++;
        printf("FAIL models::node %s\n", t.chain.error);
        process_print_log(t.node_log);
    }
    if (!model_chain_stop(&t.chain)) {
        t.failed++;
        printf("FAIL models::node %s\n", t.chain.error);
        process_print_log(t.node_log);
    }
    print_table();
    sb_buf_fini(&t.table);
    temp_dir_remove(t.dir);
    printf("%" PRIu64 " passed, %" PRIu64 " failed, %" PRIu64 " skipped\n", t.passed, t.failed,
           t.skipped);
    return t.failed != 0;
}
