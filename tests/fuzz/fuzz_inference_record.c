/* fuzz_inference_record.c: any inference record that decodes encodes to the same bytes. */
#include <stdint.h>
#include <stdlib.h>

#include "base/types/inference_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_buf out;
    struct sb_inference_record value;
    sb_buf_init(&out, SIZE_MAX);
    if (sb_inference_record_decode(&value, sb_span(data, size), NULL) == SB_OK) {
        sb_inference_record_encode(&out, &value);
        if (!sb_span_equal(sb_buf_bytes(&out), sb_span(data, size))) {
            abort();
        }
    }
    sb_buf_fini(&out);
    return 0;
}
