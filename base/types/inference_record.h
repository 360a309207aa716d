/* inference_record.h: what a block says about the inferences in it (docs/spec/inference-proof.md).
 *
 *      record 0 ... record n-1   of all accepted transactions, in order
 *         |  leaf = keccak256(0x00 || rlp(record))
 *        RFC 6962 tree (merkle.h), node = keccak256(0x01 || left || right)
 *         |  root = keccak256(0x02 || n as 4 bytes, big-endian || tree)     so that a path of another n does not fit
 *        extension_root of the consensus header; all zero when n = 0
 *
 * A record stands for one call of the Inference precompile that succeeded in frames that were not reverted. */
#ifndef SB_BASE_TYPES_INFERENCE_RECORD_H
#define SB_BASE_TYPES_INFERENCE_RECORD_H

#include "base/types/hash.h"
#include "base/util/arena.h"
#include "base/util/buf.h"
#include "base/util/err.h"
#include "base/util/span.h"

/* More than the gas of the largest block allows. */
#define SB_INFERENCE_RECORDS_MAX      ((uint32_t)1 << 22)
#define SB_INFERENCE_PROOF_DEPTH_MAX  22
#define SB_INFERENCE_RECORD_BYTES_MAX 192

struct sb_inference_record {
    sb_hash tx_hash;
    uint32_t index; /* of the inference in its transaction, from 0 */
    sb_addr caller; /* the contract (or account) that called the precompile */
    sb_hash model_id;
    sb_hash input_hash;  /* keccak256 of the whole call data */
    sb_hash output_hash; /* keccak256 of the return data */
};

struct sb_inference_path {
    uint32_t index; /* of the record in the block */
    uint32_t count; /* records in the block */
    uint8_t depth;
    sb_hash siblings
        [SB_INFERENCE_PROOF_DEPTH_MAX]; /* from the leaf upwards; a level without sibling has no entry */
};

/* Record: rlp([tx_hash, index, caller, model_id, input_hash, output_hash]); decoding is strict. */
void sb_inference_record_encode(struct sb_buf *out, const struct sb_inference_record *record);
sb_err sb_inference_record_decode(struct sb_inference_record *ret_record, sb_bytes raw,
                                  struct sb_diag *diag) SB_MUST_USE;

/* The records of a block, as stored: rlp([record, ...]). Decoded lists live in the arena. */
void sb_inference_list_encode(struct sb_buf *out, const struct sb_inference_record *records,
                              size_t count);
sb_err sb_inference_list_decode(const struct sb_inference_record **ret_records, size_t *ret_count,
                                struct sb_arena *arena, sb_bytes raw,
                                struct sb_diag *diag) SB_MUST_USE;

/* sb_inference_root: root over the records of a block; all zero for none. Scratch from the arena, given back.
 * SB_E_LIMIT for more than SB_INFERENCE_RECORDS_MAX, SB_E_NOMEM. */
sb_err sb_inference_root(sb_hash *ret_root, struct sb_arena *arena,
                         const struct sb_inference_record *records, size_t count) SB_MUST_USE;
/* sb_inference_prove: the path of record `index`; SB_E_RANGE unless it is below count. Else as sb_inference_root. */
sb_err sb_inference_prove(struct sb_inference_path *ret_path, struct sb_arena *arena,
                          const struct sb_inference_record *records, size_t count,
                          uint32_t index) SB_MUST_USE;
/* sb_inference_path_check: whether the record is at that place under that root. Pure, no allocation; any path is safe to ask about. */
bool sb_inference_path_check(const sb_hash *root, const struct sb_inference_record *record,
                             const struct sb_inference_path *path);

#endif
