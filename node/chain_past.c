/* chain_past.c: what a node knows of blocks that it does not have (chain.h).
 *
 *      heights   1 ............. L ................. S ............. head
 *                 not known      record 'h': header   whole blocks
 *                                and evidence list
 *
 * S is the snapshot that the node began at. L goes down (backfill.h) until evidence of it has expired (docs/spec/state-sync.md, section 5).
 * Pruning moves the whole blocks' begin upwards; what it drops has expired, too: the records go before. So there is never a gap.
 *
 *      'h' height (8) -> rlp([consensus header, [evidence, ...]]) */
#include "base/codec/rlp.h"
#include "base/util/endian.h"
#include "node/chain_impl.h"

#define KEY_BYTES        9
#define RECORD_BYTES_MAX ((size_t)16 << 20)
#define DROP_COUNT       4096 /* records in a batch */

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

static sb_err decode_record(struct sb_chain_past *ret_past, sb_bytes raw)
{
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

static sb_err from_record(struct sb_chain_past *ret_past, struct sb_arena *arena,
                          struct sb_chain *chain, uint64_t number)
{
    uint8_t key[KEY_BYTES];
    sb_bytes raw;
    make_key(key, number);
    SB_TRY(sb_store_record(&raw, arena, chain->store, sb_span(key, sizeof key)));
    return decode_record(ret_past, raw);
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

/* ---- how far down ---- */

/* The first record from a height on. */
struct first {
    bool found;
    uint64_t number, time_ms;
};

static sb_err take_first(void *ctx, const struct sb_store_record *record, bool *io_more)
{
    struct first *first = ctx;
    struct sb_chain_past past;
    *io_more = false;
    SB_TRY(decode_record(&past, record->value));
    *first =
        (struct first){.found = true, .number = past.header.height, .time_ms = past.header.time_ms};
    return SB_OK;
}

static sb_err first_from(struct first *ret_first, struct sb_chain *chain, uint64_t number)
{
    uint8_t key[KEY_BYTES];
    make_key(key, number);
    *ret_first = (struct first){.found = false};
    return sb_store_record_scan(chain->store, sb_span(key, 1), sb_span(key, sizeof key), take_first,
                                ret_first);
}

sb_err sb_chain_time_after(uint64_t *ret_time_ms, struct sb_chain *chain, uint64_t height)
{
    struct first first;
    uint64_t oldest = sb_chain_oldest(chain);
    SB_TRY(first_from(&first, chain, height));
    if (first.found && first.number < oldest) {
        *ret_time_ms = first.time_ms;
        return SB_OK;
    }
    return sb_chain_time(ret_time_ms, chain, oldest);
}

sb_err sb_chain_past_lowest(uint64_t *ret_height, struct sb_chain *chain)
{
    struct first first;
    uint64_t oldest = sb_chain_oldest(chain);
    SB_TRY(first_from(&first, chain, oldest - 1));
    if (first.found && first.number == oldest - 1) { /* no gap */
        SB_TRY(first_from(&first, chain, 0));
        oldest = first.number;
    }
    *ret_height = oldest;
    return SB_OK;
}

sb_err sb_chain_past_is_whole(bool *ret_whole, uint64_t *ret_lowest, struct sb_chain *chain)
{
    struct sb_chain_head head = sb_chain_head(chain);
    enum sb_chain_evidence_age age = SB_EVIDENCE_EXPIRED;
    uint64_t lowest;
    SB_TRY(sb_chain_past_lowest(&lowest, chain));
    if (lowest > 1) {
        SB_TRY(sb_chain_evidence_age(&age, chain, &head.params, lowest, head.header.number + 1,
                                     head.time_ms));
    }
    *ret_whole = age == SB_EVIDENCE_EXPIRED;
    *ret_lowest = lowest;
    return SB_OK;
}

/* ---- changing ---- */

sb_err sb_chain_past_extend(struct sb_chain *chain, uint64_t lowest,
                            const struct sb_record_list *records, struct sb_diag *diag)
{
    uint64_t now;
    (void)pthread_mutex_lock(&chain->past_lock);
    sb_err err = sb_chain_past_lowest(&now, chain);
    if (err == SB_OK && now != lowest) {
        err = SB_E_CONFLICT;
    }
    if (err == SB_OK) {
        err = sb_store_record_write(chain->store, records->items, records->count, diag);
    }
    (void)pthread_mutex_unlock(&chain->past_lock);
    return err;
}

static sb_err drop_one(void *ctx, const struct sb_store_record *record, bool *io_more)
{
    struct sb_record_list *records = ctx;
    *io_more = records->count + 1 < DROP_COUNT;
    return sb_record_list_remove(records, record->key);
}

/* drop_some: the lowest ones first, so that what a crash leaves has no gap. */
static sb_err drop_some(bool *ret_more, struct sb_chain *chain, struct sb_diag *diag)
{
    struct sb_arena arena;
    struct sb_record_list records = {.arena = &arena};
    sb_bytes prefix = sb_span_str("h");
    sb_arena_init(&arena, RECORD_BYTES_MAX);
    sb_err err = sb_store_record_scan(chain->store, prefix, prefix, drop_one, &records);
    *ret_more = records.count == DROP_COUNT;
    if (err == SB_OK && records.count != 0) {
        err = sb_store_record_write(chain->store, records.items, records.count, diag);
    }
    sb_arena_fini(&arena);
    return err;
}

sb_err sb_chain_past_drop(struct sb_chain *chain, struct sb_diag *diag)
{
    bool more = true;
    sb_err err = SB_OK;
    (void)pthread_mutex_lock(&chain->past_lock);
    while (err == SB_OK && more) {
        err = drop_some(&more, chain, diag);
    }
    (void)pthread_mutex_unlock(&chain->past_lock);
    return err;
}
