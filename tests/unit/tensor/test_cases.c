/* test_cases.c: the engine at every CPU level against the independent model of tests/tools/tensor_model.py: the cases in tests/vectors and, where
 * python3 is at hand, fresh ones from a printed seed (SAMEBIT_TEST_SEED sets it, SAMEBIT_TEST_CASES their number).
 *
 * Each accepted model must also encode to the bytes it was loaded from. */
#include "vm/tensor/run.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/util/buf.h"
#include "vm/tensor/kernels/cpu.h"

#define FIELD_BYTES_MAX ((size_t)1 << 20)
#define IO_MAX          8

struct blob {
    uint8_t *data;
    size_t len;
};

struct test_case {
    char name[256];
    char refuse[64]; /* error name, or empty */
    struct blob model;
    struct blob inputs[IO_MAX];
    struct blob outputs[IO_MAX];
    uint32_t input_count;
    uint32_t output_count;
};

static struct blob unhex(const char *text)
{
    size_t len = strlen(text) / 2;
    struct blob b = {.data = malloc(len + 1), .len = len};
    assert_non_null(b.data);
    for (size_t i = 0; i < len; i++) {
        unsigned byte = 0;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        b.data[i] = (uint8_t)byte;
    }
    return b;
}

static void case_fini(struct test_case *t)
{
    free(t->model.data);
    for (uint32_t i = 0; i < t->input_count; i++) {
        free(t->inputs[i].data);
    }
    for (uint32_t i = 0; i < t->output_count; i++) {
        free(t->outputs[i].data);
    }
    *t = (struct test_case){0};
}

static void check_encoding(const struct test_case *t, const struct sb_model *model)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SB_MODEL_FILE_BYTES_MAX);
    assert_int_equal(sb_model_encode(&buf, model), SB_OK);
    assert_int_equal(buf.len, t->model.len);
    assert_memory_equal(buf.data, t->model.data, buf.len);
    sb_buf_fini(&buf);
}

static void run_case(const struct test_case *t, const struct sb_model *model)
{
    const struct sb_model_info *info = sb_model_info(model);
    sb_bytes inputs[IO_MAX];
    uint8_t *outputs[IO_MAX];
    assert_int_equal(info->input_count, t->input_count);
    assert_int_equal(info->output_count, t->output_count);
    for (uint32_t i = 0; i < t->input_count; i++) {
        inputs[i] = sb_span(t->inputs[i].data, t->inputs[i].len);
    }
    for (uint32_t i = 0; i < t->output_count; i++) {
        assert_int_equal(info->outputs[i].bytes, t->outputs[i].len);
        outputs[i] = malloc(t->outputs[i].len + 1);
        assert_non_null(outputs[i]);
    }
    void *scratch = malloc((size_t)info->arena_bytes);
    assert_non_null(scratch);
    memset(scratch, 0xa5, (size_t)info->arena_bytes);
    struct sb_run run = {.model = model,
                         .inputs = inputs,
                         .ret_outputs = outputs,
                         .scratch = scratch,
                         .scratch_bytes = (size_t)info->arena_bytes};
    assert_int_equal(sb_model_run(NULL, &run), SB_OK);
    for (uint32_t i = 0; i < t->output_count; i++) {
        if (memcmp(outputs[i], t->outputs[i].data, t->outputs[i].len) != 0) {
            fail_msg("case %s: output %u differs from the model", t->name, i);
        }
        free(outputs[i]);
    }
    free(scratch);
}

static void check_case(const struct test_case *t)
{
    struct sb_model *model = NULL;
    struct sb_diag diag = {{0}};
    sb_err err = sb_model_load(&model, sb_span(t->model.data, t->model.len), &diag);
    if (t->refuse[0] != '\0') {
        assert_string_equal(sb_err_name(err), t->refuse);
        assert_true(diag.text[0] != '\0');
        return;
    }
    if (err != SB_OK) {
        fail_msg("case %s: refused: %s: %s", t->name, sb_err_name(err), diag.text);
    }
    check_encoding(t, model);
    for (int level = 0; level < SB_CPU_LEVEL_COUNT; level++) {
        if (sb_cpu_level_usable((enum sb_cpu_level)level)) {
            sb_model_prepare(model, sb_kernels_of((enum sb_cpu_level)level));
            run_case(t, model);
        }
    }
    sb_model_free(model);
}

/* real DTYPE ROUNDING ZP MULT SHIFT LO HI WORD RAW BACK */
static void check_real(const char *value)
{
    int dtype = 0;
    int rounding = 0;
    unsigned shift = 0;
    long long lo = 0;
    long long hi = 0;
    long long raw = 0;
    char word[65];
    char back[65];
    struct sb_tensor_desc d = {.kind = SB_TENSOR_INPUT};
    int fields = sscanf(value, "%d %d %" SCNd32 " %" SCNu32 " %u %lld %lld %64s %lld %64s", &dtype,
                        &rounding, &d.quant.zero_point, &d.quant.scale_mult, &shift, &lo, &hi, word,
                        &raw, back);
    assert_int_equal(fields, 10);
    d.dtype = (enum sb_dtype)dtype;
    d.rounding = (enum sb_rounding)rounding;
    d.quant.scale_shift = (uint8_t)shift;
    d.lo = lo;
    d.hi = hi;
    struct blob word_bytes = unhex(word);
    struct blob back_bytes = unhex(back);
    sb_u256 real = sb_u256_load_be(word_bytes.data, word_bytes.len);
    sb_u256 want = sb_u256_load_be(back_bytes.data, back_bytes.len);
    int64_t got = sb_input_from_real(&d, &real);
    sb_u256 got_back = sb_output_to_real(&d, raw);
    if (got != raw || !sb_u256_equal(&got_back, &want)) {
        fail_msg("real %s: got %lld", value, (long long)got);
    }
    free(word_bytes.data);
    free(back_bytes.data);
}

/* One line "key value" of the case format; a new case first checks the one before. */
static void take_line(struct test_case *t, uint32_t *case_count, const char *key, const char *value)
{
    if (strcmp(key, "case") == 0) {
        if (t->name[0] != '\0') {
            check_case(t);
            case_fini(t);
        }
        (void)snprintf(t->name, sizeof t->name, "%s", value);
        *case_count += 1;
    } else if (strcmp(key, "model") == 0) {
        t->model = unhex(value);
    } else if (strcmp(key, "input") == 0) {
        assert_true(t->input_count < IO_MAX);
        t->inputs[t->input_count++] = unhex(value);
    } else if (strcmp(key, "output") == 0) {
        assert_true(t->output_count < IO_MAX);
        t->outputs[t->output_count++] = unhex(value);
    } else if (strcmp(key, "real") == 0) {
        check_real(value);
    } else if (strcmp(key, "refuse") == 0) {
        (void)snprintf(t->refuse, sizeof t->refuse, "%s", value);
    } else {
        fail_msg("unknown key '%s'", key);
    }
}

static uint32_t check_stream(FILE *in)
{
    struct test_case t = {0};
    uint32_t case_count = 0;
    char *line = malloc(FIELD_BYTES_MAX);
    assert_non_null(line);
    while (fgets(line, (int)FIELD_BYTES_MAX, in) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0') {
            continue;
        }
        char *space = strchr(line, ' ');
        assert_non_null(space);
        *space = '\0';
        take_line(&t, &case_count, line, space + 1);
    }
    if (t.name[0] != '\0') {
        check_case(&t);
        case_fini(&t);
    }
    free(line);
    return case_count;
}

static const char *source_root(void)
{
    const char *root = getenv("SAMEBIT_SOURCE_ROOT");
    return root != NULL ? root : ".";
}

static void reference_on_kept_cases_equals_the_model(void **state)
{
    (void)state;
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/tests/vectors/tensor_cases.txt", source_root());
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    assert_true(check_stream(in) >= 40);
    (void)fclose(in);
}

static void reference_on_fresh_cases_equals_the_model(void **state)
{
    (void)state;
    const char *seed_text = getenv("SAMEBIT_TEST_SEED");
    const char *count_text = getenv("SAMEBIT_TEST_CASES");
    unsigned long seed =
        seed_text != NULL ? strtoul(seed_text, NULL, 10) : (unsigned long)time(NULL);
    unsigned long count = count_text != NULL ? strtoul(count_text, NULL, 10) : 440;
    char command[1400];
    (void)snprintf(command, sizeof command,
                   "python3 '%s/tests/tools/tensor_model.py' --seed %lu --cases %lu", source_root(),
                   seed, count);
    print_message("# cases from: %s (SAMEBIT_TEST_SEED=%lu)\n", command, seed);
    FILE *in = popen(command, "r");
    assert_non_null(in);
    uint32_t case_count = check_stream(in);
    int status = pclose(in);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) { /* the shell found no python3 */
        skip();
    }
    assert_int_equal(status, 0);
    assert_true(case_count >= count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_on_kept_cases_equals_the_model),
        cmocka_unit_test(reference_on_fresh_cases_equals_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
