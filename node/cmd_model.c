/* cmd_model.c: `samebit model`: the table of its commands, and `inspect` and `verify`. */
#include "node/cmd_model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/codec/hex.h"
#include "base/codec/json_writer.h"
#include "base/types/params.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/files.h"
#include "node/kernel_choice.h"
#include "vm/tensor/ops.h"

#define REPORT_BYTES_MAX ((size_t)16 << 20)

/* ---- files ---- */

sb_err sb_model_file_load(struct sb_model_file *ret_file, const char *path, struct sb_diag *diag)
{
    struct sb_model_file file = {.model = NULL};
    sb_buf_init(&file.bytes, SB_MODEL_FILE_BYTES_MAX);
    sb_err err = sb_file_read(&file.bytes, path, diag);
    if (err == SB_OK) {
        const struct sb_kernels *kernels = NULL;
        err = sb_kernels_choose(&kernels, "auto", diag);
        err = err == SB_OK ? sb_model_load(&file.model, sb_buf_bytes(&file.bytes), diag) : err;
        if (err == SB_OK) {
            sb_model_prepare(file.model, kernels);
        }
        err = err == SB_OK ? sb_cid_of(&file.cid, sb_buf_bytes(&file.bytes)) : err;
        if (err != SB_OK) {
            sb_diag_prefix(diag, "%s", path);
        }
    }
    if (err != SB_OK) {
        sb_model_file_fini(&file);
        return err;
    }
    *ret_file = file;
    return SB_OK;
}

void sb_model_file_fini(struct sb_model_file *file)
{
    sb_model_free(file->model);
    sb_buf_fini(&file->bytes);
}

/* ---- inspect ---- */

static const char *op_name(const struct sb_model_op_use *use)
{
    const struct sb_op_facts *facts = sb_op_find(use->op_id, use->op_version);
    return facts != NULL ? facts->name : "?";
}

static void shape_text(char *ret, size_t len, const struct sb_shape *shape)
{
    size_t at = 0;
    ret[0] = '\0';
    for (uint32_t i = 0; i < shape->rank && at < len; i++) {
        int n = snprintf(ret + at, len - at, "%s%" PRIu32, i > 0 ? "x" : "", shape->dims[i]);
        at += n > 0 ? (size_t)n : 0;
    }
    if (shape->rank == 0) {
        (void)snprintf(ret, len, "scalar");
    }
}

static double scale_of(const struct sb_tensor_desc *desc)
{
    return ldexp((double)desc->quant.scale_mult, -(int)desc->quant.scale_shift);
}

static void print_tensors(const char *what, const struct sb_model_io *list, uint32_t count)
{
    char shape[96];
    for (uint32_t i = 0; i < count; i++) {
        const struct sb_tensor_desc *d = &list[i].desc;
        shape_text(shape, sizeof shape, &d->shape);
        (void)printf("%s %" PRIu32 ":      %s  %s %s  raw [%" PRId64 ", %" PRId64
                     "]  real = (raw - %" PRId32 ") * %.9g\n",
                     what, i, list[i].name, sb_dtype_name(d->dtype), shape, d->lo, d->hi,
                     d->quant.zero_point, scale_of(d));
    }
}

static void print_model(const struct sb_model_file *file)
{
    const struct sb_model_info *info = sb_model_info(file->model);
    char id[SB_HEX_TEXT_BYTES(32)];
    char cid[SB_CID_TEXT_LEN + 1];
    sb_cid_format(cid, &file->cid);
    (void)printf("name:          %s\nid:            %s\ncid:           %s\n", info->name,
                 sb_hex_format(id, sb_span(file->cid.digest.b, 32)), cid);
    (void)printf("bytes:         %" PRIu64 " (constants %" PRIu64 ")\narena bytes:   %" PRIu64
                 "\ntensors:       %" PRIu32 "\nnodes:         %" PRIu32 "\n",
                 info->file_bytes, info->const_bytes, info->arena_bytes, info->tensor_count,
                 info->node_count);
    print_tensors("input", info->inputs, info->input_count);
    print_tensors("output", info->outputs, info->output_count);
    for (uint32_t i = 0; i < info->op_use_count; i++) {
        (void)printf("operator:      %s version %u, %" PRIu32 " times\n",
                     op_name(&info->op_uses[i]), info->op_uses[i].op_version,
                     info->op_uses[i].node_count);
    }
    const struct sb_rates *rates = sb_rates_genesis();
    uint64_t warm = sb_cost_gas(&info->units, rates);
    (void)printf("gas:           %" PRIu64 " of the engine a call, and %" PRIu64
                 " more at the first in a transaction\n",
                 warm, sb_cost_cold_gas(info->file_bytes, rates));
}

static void write_tensors(struct sb_json *json, const char *key, const struct sb_model_io *list,
                          uint32_t count)
{
    sb_json_key(json, key);
    sb_json_array_begin(json);
    for (uint32_t i = 0; i < count; i++) {
        const struct sb_tensor_desc *d = &list[i].desc;
        sb_json_object_begin(json);
        sb_json_key(json, "name");
        sb_json_str(json, list[i].name);
        sb_json_key(json, "dtype");
        sb_json_str(json, sb_dtype_name(d->dtype));
        sb_json_key(json, "shape");
        sb_json_array_begin(json);
        for (uint32_t k = 0; k < d->shape.rank; k++) {
            sb_json_u64(json, d->shape.dims[k]);
        }
        sb_json_array_end(json);
        sb_json_key(json, "lo");
        sb_json_i64(json, d->lo);
        sb_json_key(json, "hi");
        sb_json_i64(json, d->hi);
        sb_json_key(json, "zeroPoint");
        sb_json_i64(json, d->quant.zero_point);
        sb_json_key(json, "scaleMult");
        sb_json_u64(json, d->quant.scale_mult);
        sb_json_key(json, "scaleShift");
        sb_json_u64(json, d->quant.scale_shift);
        sb_json_object_end(json);
    }
    sb_json_array_end(json);
}

static void put_u64(struct sb_json *json, const char *key, uint64_t value)
{
    sb_json_key(json, key);
    sb_json_u64(json, value);
}

static void write_model(struct sb_json *json, const struct sb_model_file *file)
{
    const struct sb_model_info *info = sb_model_info(file->model);
    char cid[SB_CID_TEXT_LEN + 1];
    sb_cid_format(cid, &file->cid);
    sb_json_object_begin(json);
    sb_json_key(json, "name");
    sb_json_str(json, info->name);
    sb_json_key(json, "id");
    sb_json_hash(json, &file->cid.digest);
    sb_json_key(json, "cid");
    sb_json_str(json, cid);
    put_u64(json, "bytes", info->file_bytes);
    put_u64(json, "constBytes", info->const_bytes);
    put_u64(json, "arenaBytes", info->arena_bytes);
    put_u64(json, "tensors", info->tensor_count);
    put_u64(json, "nodes", info->node_count);
    write_tensors(json, "inputs", info->inputs, info->input_count);
    write_tensors(json, "outputs", info->outputs, info->output_count);
    sb_json_key(json, "operators");
    sb_json_array_begin(json);
    for (uint32_t i = 0; i < info->op_use_count; i++) {
        sb_json_object_begin(json);
        sb_json_key(json, "name");
        sb_json_str(json, op_name(&info->op_uses[i]));
        put_u64(json, "version", info->op_uses[i].op_version);
        put_u64(json, "count", info->op_uses[i].node_count);
        sb_json_object_end(json);
    }
    sb_json_array_end(json);
    put_u64(json, "gas", sb_cost_gas(&info->units, sb_rates_genesis()));
    put_u64(json, "gasColdExtra", sb_cost_cold_gas(info->file_bytes, sb_rates_genesis()));
    sb_json_object_end(json);
}

int sb_cmd_model_inspect(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "model inspect", "MODEL.sbm [--json]",
        "Say what is in a model file: inputs and outputs with their ranges and scales, operators, "
        "memory, gas, the id\n"
        "that it will have on a chain, and its CID for IPFS tools.",
        "  samebit model inspect digits_cnn.sbm\n"
        "  samebit model inspect digits_cnn.sbm --json\n"};
    bool as_json = false;
    const struct sb_option options[] = {
        {"json", SB_OPTION_FLAG, &as_json, NULL, "print one JSON object", 0, 0}};
    struct sb_operands operands;
    struct sb_diag diag = {.text = ""};
    struct sb_model_file file;
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_usage, options, 1, 1, 1, argc, argv)) {
        return status;
    }
    if (sb_model_file_load(&file, operands.items[0], &diag) != SB_OK) {
        return sb_cli_fail(&diag);
    }
    if (as_json) {
        struct sb_buf text;
        struct sb_json json;
        sb_buf_init(&text, REPORT_BYTES_MAX);
        sb_json_init(&json, &text);
        write_model(&json, &file);
        (void)printf("%.*s\n", (int)text.len, (const char *)text.data);
        sb_buf_fini(&text);
    } else {
        print_model(&file);
    }
    sb_model_file_fini(&file);
    return SB_EXIT_OK;
}

/* ---- verify ---- */

int sb_cmd_model_verify(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "model verify", "MODEL.sbm",
        "Say whether a chain would accept a model file: the verdict of the same verifier that "
        "registration runs, under\n"
        "the default limits of a chain. Exit status 0 when it would.",
        "  samebit model verify digits_cnn.sbm\n"};
    struct sb_operands operands;
    struct sb_diag diag = {.text = ""};
    struct sb_model_file file;
    char id[SB_HEX_TEXT_BYTES(32)];
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_usage, NULL, 0, 1, 1, argc, argv)) {
        return status;
    }
    if (sb_model_file_load(&file, operands.items[0], &diag) != SB_OK) {
        return sb_cli_fail(&diag);
    }
    const struct sb_model_info *info = sb_model_info(file.model);
    const struct sb_params params = sb_params_default();
    if (info->file_bytes > params.model_bytes_max) {
        status = sb_cli_failf("%s: %" PRIu64 " bytes; a chain takes %" PRIu64, operands.items[0],
                              info->file_bytes, params.model_bytes_max);
    } else if (info->arena_bytes > params.model_arena_bytes_max) {
        status = sb_cli_failf("%s: a run needs %" PRIu64 " bytes of memory; a chain gives %" PRIu64,
                              operands.items[0], info->arena_bytes, params.model_arena_bytes_max);
    } else {
        (void)printf("valid: %s\n", sb_hex_format(id, sb_span(file.cid.digest.b, 32)));
    }
    sb_model_file_fini(&file);
    return status;
}

int sb_cmd_model(int argc, char **argv)
{
    static const struct sb_command k_commands[] = {
        {"import", "make a model file from ONNX", sb_cmd_model_import},
        {"inspect", "what is in a model file", sb_cmd_model_inspect},
        {"verify", "whether a chain would accept a model file", sb_cmd_model_verify},
        {"run", "run a model file on rows of a sample file", sb_cmd_model_run},
        {"deploy", "put a model file on a chain", sb_cmd_model_deploy},
        {"list", "the models of a chain", sb_cmd_model_list},
    };
    return sb_command_run("model", k_commands, sizeof k_commands / sizeof k_commands[0], argc,
                          argv);
}
