/* rnn.h: RNN, GRU and LSTM as a node says them: sizes, directions and activations. Shared by reference and expansion.
 *
 *     X [seq, batch, input]      W [dirs, gates * hidden, input]   R [dirs, gates * hidden, hidden]   B [dirs, 2 * gates * hidden]
 *     sequence_lens [batch]      initial_h, initial_c [dirs, batch, hidden]                           P [dirs, 3 * hidden] (LSTM)
 *     Y [seq, dirs, batch, hidden]   Y_h, Y_c [dirs, batch, hidden]       layout 1: batch comes first
 * Gates: RNN i; GRU z r h; LSTM i o f c. Definition: onnx/onnx, docs/Operators.md. */
#ifndef SB_VM_COMPILER_RNN_H
#define SB_VM_COMPILER_RNN_H

#include "vm/compiler/eval.h"

enum { SB_RNN_X, SB_RNN_W, SB_RNN_R, SB_RNN_B, SB_RNN_LENS, SB_RNN_H, SB_RNN_C, SB_RNN_P };
enum { SB_RNN_Y, SB_RNN_Y_H, SB_RNN_Y_C };

#define SB_RNN_ACTIVATIONS_MAX 6u

struct sb_rnn_activation {
    const char *name; /* of the ONNX operator */
    double alpha;     /* NAN: that operator's own */
    double beta;
};

struct sb_rnn {
    uint32_t gates; /* 1 RNN, 3 GRU, 4 LSTM */
    uint32_t dirs;
    bool reverse; /* direction 0 runs from the end; of two, direction 1 does */
    bool batch_first;
    bool linear_before_reset;
    bool input_forget;
    uint32_t seq;
    uint32_t batch;
    uint32_t input;
    uint32_t hidden;
    double clip;            /* INFINITY: none */
    uint32_t per_direction; /* activations of one direction */
    struct sb_rnn_activation activation[SB_RNN_ACTIVATIONS_MAX];
};

/* sb_rnn_of: from the node's attributes and the shapes of its inputs. */
sb_err sb_rnn_of(struct sb_rnn *ret, const struct sb_eval *e) SB_MUST_USE;

static inline bool sb_rnn_runs_back(const struct sb_rnn *r, uint32_t dir)
{
    return r->dirs == 2 ? dir == 1 : r->reverse;
}

#endif
