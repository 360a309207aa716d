/* cmd_demo.c: `samebit demo`: asks the two example contracts about rows of their models' test sets, and says how far the answers agree
 * with the original float models.
 *
 *     rows.npz --first rows--> transactions --> receipt --> event: answer, score     |
 *              --the others--> eth_call ------> the same answer and score            | compared with label and float model
 *
 * Everything goes through the RPC, as any user's program would. */
#include <inttypes.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/artifact.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/files.h"
#include "node/key_source.h"
#include "node/real.h"
#include "node/rpc_client.h"
#include "vm/compiler/compile.h"

#define CALL_BYTES_MAX ((size_t)1 << 20)
#define PIXEL_LEVELS   16
#define AGREE_PERCENT  98

static const struct sb_usage k_usage = {
    "demo", "--digits 0xADDRESS --diagnosis 0xADDRESS --built DIR --key 0xKEY [options]",
    "Ask the contracts DigitReader and Diagnosis (contracts/examples) about rows of public test "
    "sets: the first rows\n"
    "in transactions, the others by eth_call. Prints each answer beside the expected one, and how "
    "many agree with\n"
    "the original float model. Exit status 0 when at least 98 of 100 do. scripts/start does all "
    "that comes before.",
    "  samebit demo --digits 0x... --diagnosis 0x... --built build/demo --key 0x...\n"};

/* One model, its rows and the contract that asks it. Both contracts answer (class, score), in the event's data and as return values. */
struct example {
    const char *model; /* file name without its end */
    const char *what;
    const char *send_signature;
    const char *call_signature;
    const char *event_signature;
    sb_err (*put_row)(struct sb_abi_writer *w, const struct sb_dataset *rows, uint64_t row);
};

struct demo {
    const char *rpc;
    const char *digits;
    const char *diagnosis;
    const char *models;
    const char *built;
    uint64_t transactions;
    struct sb_key_source key;

    struct sb_rpc_client client;
    struct sb_wallet wallet;
};

/* What one example needs while it runs. */
struct session {
    struct demo *demo;
    const struct example *example;
    sb_addr contract;
    struct sb_buf onnx;
    struct sb_buf file;
    struct sb_dataset rows;
    struct sb_buf data;
    uint64_t agree, right, asked;
};

struct answer {
    uint64_t class;
    sb_u256 score;
    uint64_t block, gas; /* of the transaction; 0 for a call */
};

/* ---- rows as arguments ---- */

static sb_err put_image(struct sb_abi_writer *w, const struct sb_dataset *rows, uint64_t row)
{
    uint8_t image[1024];
    if (rows->row_elements > sizeof image) {
        return SB_E_SHAPE;
    }
    for (uint64_t i = 0; i < rows->row_elements; i++) {
        double level = rows->x[row * rows->row_elements + i] * PIXEL_LEVELS;
        if (!(level >= 0 && level <= PIXEL_LEVELS) || level != floor(level)) {
            return SB_E_RANGE;
        }
        image[i] = (uint8_t)level;
    }
    sb_abi_put_bytes(w, sb_span(image, rows->row_elements));
    return SB_OK;
}

static sb_err put_features(struct sb_abi_writer *w, const struct sb_dataset *rows, uint64_t row)
{
    struct sb_abi_writer features;
    sb_abi_put_array(&features, w, rows->row_elements, 1);
    for (uint64_t i = 0; i < rows->row_elements; i++) {
        sb_u256 real;
        SB_TRY(sb_real_from_double(&real, rows->x[row * rows->row_elements + i]));
        sb_abi_put_u256(&features, &real);
    }
    sb_abi_end(&features);
    return SB_OK;
}

static const struct example k_digits = {.model = "digits_cnn",
                                        .what = "handwritten digits",
                                        .send_signature = "read(bytes)",
                                        .call_signature = "look(bytes)",
                                        .event_signature =
                                            "DigitRead(uint256,address,uint8,int256)",
                                        .put_row = put_image};
static const struct example k_diagnosis = {.model = "gbdt_breast_cancer",
                                           .what = "cell samples, 1 = benign",
                                           .send_signature = "decide(int256[])",
                                           .call_signature = "ask(int256[])",
                                           .event_signature =
                                               "Decided(uint256,address,bool,int256)",
                                           .put_row = put_features};

/* ---- asking ---- */

static sb_err encode_row(struct session *s, const char *signature, uint64_t row,
                         struct sb_diag *diag)
{
    struct sb_abi_writer w;
    sb_buf_reset(&s->data);
    sb_abi_put_selector(&s->data, sb_abi_selector(signature));
    sb_abi_begin(&w, &s->data, 1);
    sb_err err = s->example->put_row(&w, &s->rows, row);
    if (err != SB_OK) {
        return sb_fail(diag, err, "row %" PRIu64 " does not fit the contract", row);
    }
    sb_abi_end(&w);
    return sb_buf_err(&s->data);
}

static sb_err read_answer(struct answer *answer, sb_bytes tuple, struct sb_diag *diag)
{
    sb_err err = sb_abi_read_u64(&answer->class, tuple, 0);
    err = err == SB_OK ? sb_abi_read_u256(&answer->score, tuple, 1) : err;
    return err == SB_OK ? SB_OK : sb_fail(diag, err, "the contract's answer is not understood");
}

/* The answer in the example's event of a receipt. */
static sb_err read_receipt(struct answer *answer, const struct session *s, const json_t *receipt,
                           struct sb_diag *diag)
{
    struct sb_abi_item event;
    size_t i;
    const json_t *log;
    SB_TRY(sb_abi_item_parse(&event, s->example->event_signature, diag));
    sb_hash topic = sb_abi_item_topic(&event);
    if (sb_json_read_u64(&answer->block, receipt, "blockNumber") != SB_OK ||
        sb_json_read_u64(&answer->gas, receipt, "gasUsed") != SB_OK) {
        return sb_fail(diag, SB_E_SYNTAX, "the receipt lacks its block or its gas");
    }
    json_array_foreach(json_object_get(receipt, "logs"), i, log)
    {
        uint8_t memory[256];
        struct sb_buf bytes = sb_buf_over(memory, sizeof memory);
        const json_t *first = json_array_get(json_object_get(log, "topics"), 0);
        if (sb_json_read_data(&bytes, first) != SB_OK ||
            !sb_span_equal(sb_buf_bytes(&bytes), sb_span(topic.b, sizeof topic.b))) {
            continue;
        }
        sb_buf_reset(&bytes);
        SB_TRY(sb_json_read_data(&bytes, json_object_get(log, "data")));
        return read_answer(answer, sb_buf_bytes(&bytes), diag);
    }
    return sb_fail(diag, SB_E_NOT_FOUND, "the receipt has no event with the answer");
}

static sb_err ask_by_transaction(struct answer *answer, struct session *s, uint64_t row,
                                 struct sb_diag *diag)
{
    struct demo *demo = s->demo;
    json_t *receipt = NULL;
    sb_hash hash;
    SB_TRY(encode_row(s, s->example->send_signature, row, diag));
    SB_TRY(sb_artifact_explain(
        &demo->client, NULL,
        sb_wallet_send(&hash, &demo->wallet, &s->contract, NULL, sb_buf_bytes(&s->data), diag),
        diag));
    SB_TRY(sb_wallet_wait(&receipt, &demo->wallet, &hash, diag));
    sb_err err = read_receipt(answer, s, receipt, diag);
    json_decref(receipt);
    return err;
}

static sb_err ask_by_call(struct answer *answer, struct session *s, uint64_t row,
                          struct sb_diag *diag)
{
    uint8_t memory[256];
    struct sb_buf output = sb_buf_over(memory, sizeof memory);
    SB_TRY(encode_row(s, s->example->call_signature, row, diag));
    SB_TRY(sb_artifact_explain(&s->demo->client, NULL,
                               sb_rpc_eth_call(&output, &s->demo->client, NULL, &s->contract,
                                               sb_buf_bytes(&s->data), diag),
                               diag));
    return read_answer(answer, sb_buf_bytes(&output), diag);
}

/* ---- judging ---- */

/* Whether the float model gives this class for the row: the accuracy of a data set of one row that says so. */
static sb_err float_agrees(bool *ret_agrees, const struct session *s, uint64_t row, uint64_t class,
                           struct sb_diag *diag)
{
    struct sb_report_accuracy accuracy = {0};
    struct sb_dataset one = sb_dataset_slice(&s->rows, row, 1);
    double said = (double)class;
    one.y = &said;
    one.y_elements = 1;
    one.y_is_class = true;
    SB_TRY(
        sb_compile_measure(&accuracy, sb_buf_bytes(&s->file), sb_buf_bytes(&s->onnx), &one, diag));
    *ret_agrees = accuracy.float_right == 1;
    return SB_OK;
}

static sb_err ask(struct session *s, uint64_t row, struct sb_diag *diag)
{
    struct answer answer = {0};
    char score[SB_REAL_TEXT_BYTES];
    bool agrees = false;
    bool by_transaction = row < s->demo->transactions;
    SB_TRY(by_transaction ? ask_by_transaction(&answer, s, row, diag)
                          : ask_by_call(&answer, s, row, diag));
    SB_TRY(float_agrees(&agrees, s, row, answer.class, diag));
    uint64_t expected = (uint64_t)s->rows.y[row];
    s->asked++;
    s->agree += agrees ? 1 : 0;
    s->right += answer.class == expected ? 1 : 0;
    sb_real_format(score, &answer.score);
    if (by_transaction) {
        (void)printf("  %4" PRIu64 "  %8" PRIu64 "  %6" PRIu64 "  %11.11s  %-9s  %6" PRIu64
                     "  %9" PRIu64 "\n",
                     row, expected, answer.class, score, agrees ? "yes" : "NO", answer.block,
                     answer.gas);
    } else if (!agrees) {
        (void)printf("  %4" PRIu64 "  %8" PRIu64 "  %6" PRIu64 "  %11.11s  %-9s\n", row, expected,
                     answer.class, score, "NO");
    }
    (void)fflush(stdout);
    return SB_OK;
}

/* ---- an example ---- */

static sb_err read_file(struct sb_buf *out, size_t bytes_max, const char *dir, const char *model,
                        const char *end, struct sb_diag *diag)
{
    char name[128];
    char path[SB_PATH_BYTES];
    sb_buf_init(out, bytes_max);
    (void)snprintf(name, sizeof name, "%s%s", model, end);
    SB_TRY(sb_path_join(path, dir, name, diag));
    return sb_file_read(out, path, diag);
}

static sb_err open_session(struct session *s, struct sb_diag *diag)
{
    const char *model = s->example->model;
    struct sb_buf rows;
    sb_buf_init(&s->data, CALL_BYTES_MAX);
    SB_TRY(read_file(&s->onnx, SB_ONNX_FILE_BYTES_MAX, s->demo->models, model, ".onnx", diag));
    SB_TRY(read_file(&s->file, SB_MODEL_FILE_BYTES_MAX, s->demo->built, model, ".sbm", diag));
    sb_err err =
        read_file(&rows, SB_DATASET_FILE_BYTES_MAX, s->demo->models, model, "_rows.npz", diag);
    err = err == SB_OK ? sb_dataset_load(&s->rows, sb_buf_bytes(&rows), NULL, diag) : err;
    sb_buf_fini(&rows);
    if (err == SB_OK && !s->rows.y_is_class) {
        err = sb_fail(diag, SB_E_TYPE, "the rows of %s have no labels", model);
    }
    return err;
}

static sb_err ask_all(struct session *s, struct sb_diag *diag)
{
    SB_TRY(open_session(s, diag));
    uint64_t count = s->rows.row_count;
    (void)printf("\n%s: %s\n   row  expected  answer        score  as float?   block        gas\n",
                 s->example->model, s->example->what);
    for (uint64_t row = 0; row < count; row++) {
        SB_TRY(ask(s, row, diag));
    }
    if (count > s->demo->transactions) {
        (void)printf("  %4" PRIu64 " to %" PRIu64 " by eth_call\n", s->demo->transactions,
                     count - 1);
    }
    (void)printf("%s: %" PRIu64 " of %" PRIu64 " as the float model, %" PRIu64 " of %" PRIu64
                 " right\n",
                 s->example->model, s->agree, s->asked, s->right, s->asked);
    if (s->agree * 100 < s->asked * AGREE_PERCENT) {
        return sb_fail(diag, SB_E_CANCELLED, "%s: fewer than %d of 100 answers agree",
                       s->example->model, AGREE_PERCENT);
    }
    return SB_OK;
}

static sb_err run_example(struct demo *demo, const struct example *example, const char *contract,
                          struct sb_diag *diag)
{
    struct session s = {.demo = demo, .example = example};
    SB_TRY(sb_addr_parse(&s.contract, contract, diag));
    sb_err err = ask_all(&s, diag);
    sb_dataset_fini(&s.rows);
    sb_buf_fini(&s.onnx);
    sb_buf_fini(&s.file);
    sb_buf_fini(&s.data);
    return err;
}

static sb_err run_demo(struct demo *demo, struct sb_diag *diag)
{
    uint8_t secret[32];
    SB_TRY(sb_rpc_client_init(&demo->client, demo->rpc, diag));
    SB_TRY(sb_key_source_read(secret, &demo->key, diag));
    sb_err err = sb_wallet_init(&demo->wallet, &demo->client, secret, diag);
    sodium_memzero(secret, sizeof secret);
    err = err == SB_OK ? run_example(demo, &k_digits, demo->digits, diag) : err;
    err = err == SB_OK ? run_example(demo, &k_diagnosis, demo->diagnosis, diag) : err;
    sb_wallet_fini(&demo->wallet);
    return err;
}

int sb_cmd_demo(int argc, char **argv)
{
    static struct demo demo;
    demo =
        (struct demo){.rpc = SB_RPC_URL_DEFAULT, .models = "examples/models", .transactions = 10};
    const struct sb_option options[] = {
        {"digits", SB_OPTION_TEXT, &demo.digits, "ADDR", "the contract DigitReader", 0, 0},
        {"diagnosis", SB_OPTION_TEXT, &demo.diagnosis, "ADDR", "the contract Diagnosis", 0, 0},
        {"models", SB_OPTION_TEXT, &demo.models, "DIR",
         "folder of the ONNX models and rows (examples/models)", 0, 0},
        {"built", SB_OPTION_TEXT, &demo.built, "DIR", "folder of the imported model files", 0, 0},
        {"transactions", SB_OPTION_U64, &demo.transactions, "N",
         "rows that are asked about in transactions (10)", 0, 1000},
        {"rpc", SB_OPTION_TEXT, &demo.rpc, "URL", "the node (" SB_RPC_URL_DEFAULT ")", 0, 0},
        SB_KEY_SOURCE_OPTIONS(demo.key),
    };
    struct sb_operands operands;
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_usage, options, sizeof options / sizeof options[0],
                         0, 0, argc, argv)) {
        return status;
    }
    if (demo.digits == NULL || demo.diagnosis == NULL || demo.built == NULL) {
        return sb_cli_usage(k_usage.command, "--digits, --diagnosis and --built are needed");
    }
    return run_demo(&demo, &diag) == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}
