/* operation.h: pages for operators: readiness and metrics. The methods beside them (samebit_status, samebit_getValidators,
 * samebit_consensusState) are in methods.def. */
#ifndef SB_RPC_OPERATION_H
#define SB_RPC_OPERATION_H

#include "rpc/method.h"

/* sb_rpc_page_ready: append the page of /readyz, a JSON object; true when the node is ready. */
bool sb_rpc_page_ready(const struct sb_rpc_services *services, struct sb_buf *out);
/* sb_rpc_page_metrics: append the page of /metrics, with the server's own counters; false when the node has none. */
bool sb_rpc_page_metrics(const struct sb_rpc_services *services, struct sb_arena *arena,
                         const struct sb_rpc_counters *counters, struct sb_buf *out);

#endif
