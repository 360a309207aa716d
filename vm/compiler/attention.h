/* attention.h: the geometry of Attention and RotaryEmbedding, for reference and expansion. Private. */
#ifndef SB_VM_COMPILER_ATTENTION_H
#define SB_VM_COMPILER_ATTENTION_H

#include "vm/compiler/graph.h"

/* Inputs of Attention after queries, keys and values. */
enum {
    SB_ATTENTION_MASK = 3,
    SB_ATTENTION_PAST_KEY,
    SB_ATTENTION_PAST_VALUE,
    SB_ATTENTION_VALID, /* nonpad_kv_seqlen: keys of each sample that are none of the padding */
    SB_ATTENTION_INPUTS,
};

struct sb_attention {
    bool flat; /* inputs [B, T, H * D] instead of [B, H, T, D] */
    uint32_t batch, heads, kv_heads;
    uint32_t rows;                 /* queries */
    uint32_t past, fresh, columns; /* keys: past + fresh = columns */
    uint32_t size, value_size;
    bool causal;
    double scale;
    double softcap; /* 0: none */
    int64_t
        mode; /* of the fourth output: 0 scores, 1 after softcap, 2 after the mask, 3 probabilities */
};

/* sb_attention_of: from the attributes and the shapes of the inputs (NULL: omitted). */
sb_err sb_attention_of(struct sb_attention *ret, const struct sb_graph_node *node,
                       const struct sb_shape *const shapes[SB_ATTENTION_INPUTS],
                       struct sb_diag *diag) SB_MUST_USE;

struct sb_rotary {
    bool flat;
    bool interleaved;
    uint32_t batch, heads, rows, size;
    uint32_t turned; /* of `size`, at its beginning */
};

sb_err sb_rotary_of(struct sb_rotary *ret, const struct sb_graph_node *node,
                    const struct sb_shape *x, const struct sb_shape *cosines,
                    struct sb_diag *diag) SB_MUST_USE;

#endif
