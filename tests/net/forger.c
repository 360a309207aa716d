/* forger.c: a node that lies when it proposes, in one thing only, and puts everything else in order, so that only execution shows it.
 *
 *     SAMEBIT_FORGERY    the lie                                      what gives it away
 *     inference          one bit of each score that a model gives     receiptsRoot (a contract tells the score in an event)
 *     gas                gasUsed of the header, by one                gasUsed
 *     receipt            the status of the first receipt              receiptsRoot
 *     root               one bit of the header's stateRoot            stateRoot
 *
 * The program is samebit itself, with this file and the linker's --wrap of the four functions below; the product holds none of it. It lies
 * in nothing but its own proposals: what it executes as a validator it executes as everybody does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/types/block.h"
#include "node/builder.h"
#include "vm/tensor/memo.h"
#include "vm/tensor/run.h"

enum forgery { FORGE_INFERENCE, FORGE_GAS, FORGE_RECEIPT, FORGE_ROOT };

static const char *const k_names[] = {"inference", "gas", "receipt", "root"};

static _Thread_local bool is_building; /* a block of our own */
static _Thread_local bool has_receipt; /* it has one already */

sb_err __real_sb_builder_build(struct sb_built_block *ret_block, struct sb_arena *arena,
                               struct sb_chain *chain, struct sb_mempool *mempool,
                               const struct sb_builder_options *options,
                               const struct sb_application_draft *draft, struct sb_diag *diag);
sb_err __wrap_sb_builder_build(struct sb_built_block *ret_block, struct sb_arena *arena,
                               struct sb_chain *chain, struct sb_mempool *mempool,
                               const struct sb_builder_options *options,
                               const struct sb_application_draft *draft, struct sb_diag *diag);
sb_hash __real_sb_memo_key(const sb_hash *model_id, uint32_t function, const sb_bytes *parts,
                           size_t part_count);
sb_hash __wrap_sb_memo_key(const sb_hash *model_id, uint32_t function, const sb_bytes *parts,
                           size_t part_count);
sb_err __real_sb_model_run(struct sb_bad_input *ret_bad, const struct sb_run *run);
sb_err __wrap_sb_model_run(struct sb_bad_input *ret_bad, const struct sb_run *run);
void __real_sb_receipt_encode(struct sb_buf *out, const struct sb_receipt *receipt);
void __wrap_sb_receipt_encode(struct sb_buf *out, const struct sb_receipt *receipt);

/* wanted: the forgery that the environment asks for; without one there is nothing to run this program for. */
static enum forgery wanted(void)
{
    const char *name = getenv("SAMEBIT_FORGERY");
    for (size_t i = 0; name != NULL && i < sizeof k_names / sizeof k_names[0]; i++) {
        if (strcmp(name, k_names[i]) == 0) {
            return (enum forgery)i;
        }
    }
    (void)fprintf(stderr, "SAMEBIT_FORGERY must be inference, gas, receipt or root\n");
    exit(2);
}

static bool forges(enum forgery forgery)
{
    return is_building && wanted() == forgery;
}

/* ---- lies about what a transaction does ---- */

/* What is believed while building is remembered under keys of its own: the truth stays in the memo for the validator. */
sb_hash __wrap_sb_memo_key(const sb_hash *model_id, uint32_t function, const sb_bytes *parts,
                           size_t part_count)
{
    sb_hash key = __real_sb_memo_key(model_id, function, parts, part_count);
    key.b[0] ^= forges(FORGE_INFERENCE) ? 1 : 0;
    return key;
}

sb_err __wrap_sb_model_run(struct sb_bad_input *ret_bad, const struct sb_run *run)
{
    SB_TRY(__real_sb_model_run(ret_bad, run));
    if (forges(FORGE_INFERENCE)) {
        const struct sb_model_info *info = sb_model_info(run->model);
        for (uint64_t i = 0; i < info->outputs[0].element_count; i++) {
            int64_t score = sb_raw_load(run->ret_outputs[0], info->outputs[0].desc.dtype, i);
            sb_raw_store(run->ret_outputs[0], info->outputs[0].desc.dtype, i, score ^ 1);
        }
    }
    return SB_OK;
}

void __wrap_sb_receipt_encode(struct sb_buf *out, const struct sb_receipt *receipt)
{
    struct sb_receipt told = *receipt;
    if (forges(FORGE_RECEIPT) && !has_receipt) {
        told.success = !told.success;
        has_receipt = true;
    }
    __real_sb_receipt_encode(out, &told);
}

/* ---- lies about the block ---- */

/* keep: what a buffer holds, in the arena. */
static sb_bytes keep(struct sb_arena *arena, const struct sb_buf *buf)
{
    return sb_span(sb_arena_dup(arena, sb_buf_bytes(buf)), buf->len);
}

/* forge_header: another gas figure or another state root, and all hashes over them in order. */
static sb_err forge_header(struct sb_built_block *built, struct sb_arena *arena,
                           struct sb_diag *diag)
{
    struct sb_consensus_block block;
    struct sb_block eth;
    struct sb_buf buf;
    SB_TRY(sb_consensus_block_decode(&block, arena, built->encoded, diag));
    SB_TRY(sb_block_decode(&eth, arena, block.payload, diag));
    eth.header.gas_used += wanted() == FORGE_GAS ? 1 : 0;
    eth.header.state_root.b[31] ^= wanted() == FORGE_ROOT ? 1 : 0;
    sb_buf_init(&buf, SB_CONSENSUS_BLOCK_BYTES_MAX);
    sb_block_encode(&buf, &eth);
    block.payload = keep(arena, &buf);
    block.header.payload_hash = sb_header_hash(&eth.header);
    sb_buf_reset(&buf);
    sb_consensus_block_encode(&buf, &block);
    built->encoded = keep(arena, &buf);
    built->block_id = sb_consensus_block_id(&block.header);
    sb_buf_fini(&buf);
    return SB_OK;
}

sb_err __wrap_sb_builder_build(struct sb_built_block *ret_block, struct sb_arena *arena,
                               struct sb_chain *chain, struct sb_mempool *mempool,
                               const struct sb_builder_options *options,
                               const struct sb_application_draft *draft, struct sb_diag *diag)
{
    is_building = true;
    has_receipt = false;
    sb_err err = __real_sb_builder_build(ret_block, arena, chain, mempool, options, draft, diag);
    is_building = false;
    return err == SB_OK ? forge_header(ret_block, arena, diag) : err;
}
