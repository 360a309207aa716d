/* fuzz_rpc_request.c: any body gives requests or one error; spans stay inside the body; checked JSON is what jansson accepts too. */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util/assert.h"
#include "rpc/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_inside(sb_bytes part, const uint8_t *data, size_t size)
{
    SB_ASSERT(part.len == 0 || (part.data >= data && part.data + part.len <= data + size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sb_rpc_request_limits limits = {
        .json = {.depth_max = 16, .value_count_max = 256}, .batch_count_max = 8};
    struct sb_rpc_body body;
    struct sb_rpc_failure failure = {.code = 0};
    if (!sb_rpc_body_open(&body, &failure, sb_span(data, size), &limits)) {
        SB_ASSERT(failure.code != 0);
        return 0;
    }
    size_t count = 0;
    for (struct sb_rpc_request request; sb_rpc_body_next(&body, &request); count++) {
        assert_inside(request.method, data, size);
        assert_inside(request.params, data, size);
        SB_ASSERT(request.id.len != 0 && request.id.len <= SB_RPC_ID_BYTES_MAX);
        if (request.params.len != 0) {
            json_error_t error;
            json_t *tree =
                json_loadb((const char *)request.params.data, request.params.len, 0, &error);
            /* jansson refuses a few valid texts (numbers out of range, NUL in strings), never for their form. */
            SB_ASSERT(tree != NULL || json_error_code(&error) != json_error_invalid_syntax);
            json_decref(tree);
        }
    }
    SB_ASSERT(count == body.count);
    return 0;
}
