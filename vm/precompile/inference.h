/* inference.h: what the node lends to executions that run models: loaded models, remembered results, scratch memory.
 *
 *     Inference (0x5b01) --> facts in 0x5b04's storage --> sb_inference: models by id --miss--> chunks from the state --> sb_model_load
 *                                                                       memos of results: of blocks, of calls
 *                                                                       scratch arenas, one for each run in progress
 *
 * One object serves the validating path and all RPC workers at once: every function locks inside, for moments only. It is a cache and
 * nothing else: its size, its hits and its evictions change no result and no gas. The owner (node) creates it; vm keeps no globals. */
#ifndef SB_VM_PRECOMPILE_INFERENCE_H
#define SB_VM_PRECOMPILE_INFERENCE_H

#include "vm/state/overlay.h"
#include "vm/tensor/memo.h"
#include "vm/tensor/model.h"

struct sb_inference;

struct sb_inference_options {
    const struct sb_kernels *kernels; /* that models are prepared for; NULL: the C reference */
    size_t
        model_bytes_max; /* loaded models together; 0 takes 256 MiB. One model over it is still run, then dropped. */
    size_t memo_bytes_max;      /* of blocks; 0 takes 32 MiB */
    size_t call_memo_bytes_max; /* of calls, which cost their sender nothing; 0 takes 8 MiB */
    uint64_t memo_seed;         /* random per process; only picks buckets */
    /* clock_us: any clock that moves on, to tell how long runs take; no result depends on it. NULL: that is not told. */
    uint64_t (*clock_us)(void);
};

struct sb_inference_stats {
    uint64_t model_count, model_bytes, model_hit_count, model_miss_count;
    uint64_t run_us; /* of all runs together, by clock_us */
    struct sb_memo_stats memo, call_memo;
};

/* Whose results: those of blocks, or of calls outside of any block, which must not push the others out. */
enum sb_inference_use { SB_INFERENCE_OF_BLOCK, SB_INFERENCE_OF_CALL };

/* sb_inference_new: NULL when out of memory. */
struct sb_inference *sb_inference_new(const struct sb_inference_options *options);
/* sb_inference_free: no run may be in progress. NULL is allowed. */
void sb_inference_free(struct sb_inference *inference);
struct sb_inference_stats sb_inference_stats(struct sb_inference *inference);
struct sb_memo *sb_inference_memo(struct sb_inference *inference, enum sb_inference_use use);

/* sb_inference_model: the model of this id, from the cache or joined from its chunks in the state; give it back with
 * sb_inference_release. The caller has seen in the facts that it is stored. SB_E_CORRUPT when its bytes are missing or do not load. */
sb_err sb_inference_model(const struct sb_model **ret_model, struct sb_inference *inference,
                          struct sb_overlay *state, const sb_hash *id) SB_MUST_USE;
void sb_inference_release(struct sb_inference *inference, const struct sb_model *model);

/* sb_inference_scratch: 16-aligned memory of at least len bytes, given back with sb_inference_scratch_release. NULL: out of memory. */
void *sb_inference_scratch(struct sb_inference *inference, size_t len);
void sb_inference_scratch_release(struct sb_inference *inference, void *scratch);

/* sb_inference_run_begin, sb_inference_run_end: around a run, for the statistics: begin's result goes to end. */
uint64_t sb_inference_run_begin(const struct sb_inference *inference);
void sb_inference_run_end(struct sb_inference *inference, uint64_t begun_us);

#endif
