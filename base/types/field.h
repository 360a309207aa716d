/* field.h: how the decoders of base/types read one field: on failure they return its error with a message that names the field. */
#ifndef SB_BASE_TYPES_FIELD_H
#define SB_BASE_TYPES_FIELD_H

#include "base/util/err.h"

/* SB_FIELD: evaluate call (an sb_err); unless it is SB_OK, return it from the calling function, whose parameter `diag` then says
 * "<form>: <name>: <text of the error>". */
#define SB_FIELD(form, name, call)                                                                 \
    do {                                                                                           \
        sb_err sb_field_err_ = (call);                                                             \
        if (sb_field_err_ != SB_OK) {                                                              \
            return sb_fail(diag, sb_field_err_, form ": " name ": %s",                             \
                           sb_err_text(sb_field_err_));                                            \
        }                                                                                          \
    } while (0)

#endif
