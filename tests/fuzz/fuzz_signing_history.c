/* fuzz_signing_history.c: any text gives a history or a named error; what is read, written and read again is the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/signing_history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_signing_history history, again;
    struct sb_diag diag;
    if (sb_signing_history_parse(&history, sb_span(data, size), &diag) == SB_OK) {
        struct sb_buf out;
        sb_buf_init(&out, SB_SIGNING_HISTORY_BYTES_MAX);
        sb_signing_history_emit(&out, &history);
        if (sb_signing_history_parse(&again, sb_buf_bytes(&out), &diag) != SB_OK ||
            again.has_last != history.has_last ||
            again.last.place.height != history.last.place.height ||
            again.last.place.round != history.last.place.round ||
            again.last.place.step != history.last.place.step ||
            memcmp(again.last.sign_bytes_hash.b, history.last.sign_bytes_hash.b, 32) != 0) {
            abort();
        }
        sb_buf_fini(&out);
    }
    return 0;
}
