/* trace3155.h: a tracer that writes one JSON line for each instruction (EIP-3155), as the field's state-test tools do. */
#ifndef SB_TESTS_SUPPORT_TRACE3155_H
#define SB_TESTS_SUPPORT_TRACE3155_H

#include <stdio.h>

#include "vm/evm/evm.h"

/* sb_trace3155: the tracer that writes to out, which must outlive it. */
struct sb_tracer sb_trace3155(FILE *out);

#endif
