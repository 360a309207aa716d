/* chain_past.c: what a node knows of blocks that it does not have (chain.h).
 *
 *      heights   1 ............. D ................. S ............. head
 *                 not known      record 'h': header   whole blocks
 *                                and evidence list
 *
 * S is the snapshot that the node began at. D is so old that evidence of any lower height has expired (docs/spec/state-sync.md,
 * section 5). Pruning moves the whole blocks' begin upwards; what it drops has expired, too, and leaves no records.
 *
 *      'h' height (8) -> rlp([consensus header, [evidence, ...]]) */
#include "base/codec/rlp.h"
#include "base/util/endian.h"
#include "node/chain_impl.h"

#define KEY_BYTES        9
#define RECORD_BYTES_MAX ((size_t)16 << 20)

static void make_key(uint8_t ret[KEY_BYTES], uint64_t number)
{
    ret[0] = 'h';
    be_store64(ret + 1, number);
}

uint64_t sb_chain_oldest(struct sb_chain *chain)
{
    uint64_t oldest = sb_store_oldest(chain->store);
    return oldest > 1 ? oldest : 1;
}

/* from_block: of a block that is here. */
static sb_err from_block(struct sb_chain_past *ret_past, struct sb_arena *arena,
                         struct sb_chain *chain, uint64_t number)
{
    struct sb_consensus_block block;
    SB_TRY(sb_chain_load_consensus(&block, arena, chain, number, NULL));
    struct sb_buf buf;
    sb_buf_init(&buf, RECORD_BYTES_MAX);
    size_t list = sb_rlp_list_begin(&buf);
    for (size_t i = 0; i < block.evidence_count; i++) {
        sb_evidence_encode(&buf, &block.evidence[i]);
    }
    sb_rlp_list_end(&buf, list);
    const uint8_t *copy =
        sb_buf_err(&buf) == SB_OK ? sb_arena_dup(arena, sb_buf_bytes(&buf)) : NULL;
    size_t len = buf.len;
    sb_buf_fini(&buf);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    *ret_past = (struct sb_chain_past){.header = block.header, .evidence = sb_span(copy, len)};
    return SB_OK;
}

static sb_err from_record(struct sb_chain_past *ret_past, struct sb_arena *arena,
                          struct sb_chain *chain, uint64_t number)
{
    uint8_t key[KEY_BYTES];
    sb_bytes raw;
    make_key(key, number);
    SB_TRY(sb_store_record(&raw, arena, chain->store, sb_span(key, sizeof key)));
    struct sb_rlp in = sb_rlp_open(raw), fields;
    struct sb_rlp_item header, evidence;
    struct sb_chain_past past;
    if (sb_rlp_read_list(&fields, &in) != SB_OK || sb_rlp_read_item(&header, &fields) != SB_OK ||
        sb_rlp_read_item(&evidence, &fields) != SB_OK || sb_rlp_end(&fields) != SB_OK ||
        sb_consensus_header_decode(&past.header, header.raw, NULL) != SB_OK) {
        return SB_E_CORRUPT;
    }
    past.evidence = evidence.raw;
    *ret_past = past;
    return SB_OK;
}

sb_err sb_chain_past(struct sb_chain_past *ret_past, struct sb_arena *arena, struct sb_chain *chain,
                     uint64_t number)
{
    sb_err err = from_block(ret_past, arena, chain, number);
    return err == SB_E_NOT_FOUND ? from_record(ret_past, arena, chain, number) : err;
}

sb_err sb_chain_past_put(struct sb_record_list *records, uint64_t number,
                         const struct sb_chain_past *past)
{
    uint8_t key[KEY_BYTES];
    struct sb_buf buf;
    make_key(key, number);
    sb_buf_init(&buf, RECORD_BYTES_MAX);
    size_t list = sb_rlp_list_begin(&buf);
    sb_consensus_header_encode(&buf, &past->header);
    sb_rlp_put_raw(&buf, past->evidence);
    sb_rlp_list_end(&buf, list);
    sb_err err = sb_buf_err(&buf);
    if (err == SB_OK) {
        err = sb_record_list_put(records, sb_span(key, sizeof key), sb_buf_bytes(&buf));
    }
    sb_buf_fini(&buf);
    return err;
}
