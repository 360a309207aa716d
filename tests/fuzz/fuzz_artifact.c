/* fuzz_artifact.c: compiled contracts, signatures, arguments and answers of contracts as text: no bytes lead out of bounds, and what
 * is formatted from encoded arguments encodes to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/artifact.h"

#define TEXT_MAX 512

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* signature \n argument \n bytes of an answer */
static void try_signature(const char *signature, const char *argument, sb_bytes answer)
{
    struct sb_abi_item item;
    struct sb_buf out;
    struct sb_buf text;
    if (sb_abi_item_parse(&item, signature, NULL) != SB_OK) {
        return;
    }
    sb_buf_init(&out, 1 << 16);
    sb_buf_init(&text, 1 << 16);
    (void)(sb_abi_format_params(&text, item.outputs, item.output_count, answer) == SB_OK);
    sb_buf_reset(&text);
    bool integer = item.input_count == 1 && item.inputs[0].type.kind <= SB_ABI_INT;
    if (sb_abi_encode_texts(&out, item.inputs, item.input_count, &argument, 1, NULL) == SB_OK &&
        integer && !item.inputs[0].type.is_array) {
        require(sb_abi_format_params(&text, item.inputs, 1, sb_buf_bytes(&out)) == SB_OK);
        sb_buf_add_byte(&text, 0);
        const char *formatted = (const char *)text.data;
        size_t len = out.len;
        require(sb_abi_encode_texts(&out, item.inputs, 1, &formatted, 1, NULL) == SB_OK);
        require(out.len == 2 * len && memcmp(out.data, out.data + len, len) == 0);
    }
    sb_buf_fini(&out);
    sb_buf_fini(&text);
}

static void try_artifact(sb_bytes input)
{
    struct sb_artifact artifact;
    struct sb_abi_item item;
    struct sb_buf out;
    if (sb_artifact_parse(&artifact, input, NULL) != SB_OK) {
        return;
    }
    sb_buf_init(&out, 1 << 16);
    (void)(sb_artifact_bytecode(&out, &artifact, NULL) == SB_OK);
    (void)(sb_artifact_constructor(&item, &artifact, NULL) == SB_OK);
    (void)(sb_artifact_function(&item, &artifact, "look", NULL) == SB_OK);
    sb_artifact_format_log(&out, &artifact, artifact.root);
    sb_artifact_format_revert(&out, &artifact, input);
    sb_artifact_fini(&artifact);
    sb_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX + 1] = "";
    size_t len = size < TEXT_MAX ? size : TEXT_MAX;
    sb_copy(text, data, len);
    try_artifact(sb_span(data, size));
    char *argument = strchr(text, '\n');
    if (argument == NULL) {
        return 0;
    }
    *argument++ = '\0';
    char *answer = strchr(argument, '\n');
    sb_bytes rest = {.data = NULL, .len = 0};
    if (answer != NULL) {
        *answer++ = '\0';
        rest = sb_span_slice(sb_span(text, len), (size_t)(answer - text), len);
    }
    try_signature(text, argument, rest);
    return 0;
}
