/* light_client_impl.h: what light_client.c and light_diverge.c share. */
#ifndef SB_NODE_LIGHT_CLIENT_IMPL_H
#define SB_NODE_LIGHT_CLIENT_IMPL_H

#include "node/light_client.h"

/* A verified block. */
struct sb_light_kept {
    uint64_t height, time_ms;
    sb_hash id;
    size_t validator_count;
    uint8_t *bytes; /* encoded, owned */
    size_t len;
};

struct sb_light_client {
    struct sb_light_client_options options;
    struct sb_light_chain chain;
    struct sb_light_kept trace[SB_LIGHT_TRACE_MAX]; /* by height, ascending */
    size_t count;
};

/* A decoded light block and what light.h wants of it. Stays where it was opened. */
struct sb_light_view {
    struct sb_arena arena;
    struct sb_light_block_parts parts;
    struct sb_light_source source;
    struct sb_light_block block;
    sb_hash id;
};

/* sb_light_view_open: the errors of decoder and sb_light_block_make. Open ones are closed. */
sb_err sb_light_view_open(struct sb_light_view *view, const struct sb_light_chain *chain,
                          sb_bytes encoded, struct sb_diag *diag) SB_MUST_USE;
void sb_light_view_close(struct sb_light_view *view);

/* sb_light_fetch: a provider's block of a height in place of what out held; a failure names provider and height. */
sb_err sb_light_fetch(struct sb_buf *out, const struct sb_light_provider *provider, uint64_t height,
                      struct sb_diag *diag) SB_MUST_USE;
/* sb_light_trace_cut: forget all but the lowest `count` blocks. */
void sb_light_trace_cut(struct sb_light_client *client, size_t count);
void sb_light_note(const struct sb_light_client *client, const char *text);

/* sb_light_compare: the newest block of the trace with the witnesses' (light_diverge.c). */
sb_err sb_light_compare(struct sb_light_client *client, uint64_t now_ms,
                        struct sb_light_divergence *ret_divergence,
                        struct sb_diag *diag) SB_MUST_USE;

#endif
