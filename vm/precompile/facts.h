/* facts.h: what the chain knows of models, in the storage of 0x5b04 at specified slots (docs/spec/precompiles.md section 4.2).
 *
 *     chunk   keccak256("chunk"  || id)      references u64 @16 | size u64 @24                          (byte offsets in the word)
 *     model   base = keccak256("model" || id)
 *             base + 0                       status u8 @0 | codec u16 @2 | verifier version u32 @4 | chunk count u32 @12 |
 *                                            arena bytes u64 @16 | size u64 @24
 *             base + 1 + i / 4               units of gas class i: u64 @(8 * (i % 4))
 *             base + 256 + j                 id of chunk j
 *     op off  keccak256("op" || op u16 || version u16)     1 = switched off
 *     ops off keccak256("ops off")                         how many are switched off
 *
 * Zero words mean absent. All access goes through the overlay, so effects are journaled and proofs of them are ordinary proofs. */
#ifndef SB_VM_PRECOMPILE_FACTS_H
#define SB_VM_PRECOMPILE_FACTS_H

#include "base/types/state.h"
#include "vm/state/overlay.h"
#include "vm/tensor/cost.h"
#include "vm/tensor/model.h"

enum sb_model_status { SB_MODEL_ABSENT = 0, SB_MODEL_STORED = 1, SB_MODEL_ACTIVE = 2 };

struct sb_model_facts {
    enum sb_model_status status;
    uint16_t codec; /* multicodec: 0x55 raw, 0x70 dag-pb */
    uint32_t verifier_version;
    uint64_t size_bytes;
    uint64_t arena_bytes;
    uint32_t chunk_count;
    struct sb_units units;
};

struct sb_chunk_facts {
    uint64_t size_bytes; /* 0: absent */
    uint64_t references;
};

#define SB_MODEL_CHUNK_BYTES_MAX 65536u
/* Storage words that hold the units. */
#define SB_MODEL_UNIT_SLOTS ((SB_GAS_CLASS_COUNT + 3) / 4)

struct sb_chunk_facts sb_chunk_facts_load(struct sb_overlay *o, const sb_hash *chunk);
void sb_chunk_facts_store(struct sb_overlay *o, const sb_hash *chunk,
                          const struct sb_chunk_facts *facts);

struct sb_model_facts sb_model_facts_load(struct sb_overlay *o, const sb_hash *id);
/* sb_model_facts_store: all words but the chunk list; status ABSENT clears them. */
void sb_model_facts_store(struct sb_overlay *o, const sb_hash *id,
                          const struct sb_model_facts *facts);
sb_hash sb_model_chunk_load(struct sb_overlay *o, const sb_hash *id, uint32_t index);
void sb_model_chunk_store(struct sb_overlay *o, const sb_hash *id, uint32_t index,
                          const sb_hash *chunk);

bool sb_op_is_off(struct sb_overlay *o, uint16_t op, uint16_t version);
void sb_op_set_off(struct sb_overlay *o, uint16_t op, uint16_t version, bool off);
/* Where the words stand, for those who read a whole state without executing: of a chunk; of a model's word at an offset (0: the first);
 * of the count of switched-off versions. SB_MODEL_CHUNK_LIST_FIRST: offset of the first chunk's id. */
#define SB_MODEL_CHUNK_LIST_FIRST 256
sb_hash sb_chunk_facts_slot(const sb_hash *chunk);
sb_hash sb_model_facts_slot(const sb_hash *id, uint64_t offset);
sb_hash sb_ops_off_slot(void);

/* sb_ops_off_count: how many versions are switched off; 0 spares the look-ups. */
uint64_t sb_ops_off_count(struct sb_overlay *o);

#endif
