/* evidence.c: see evidence.h.
 *
 *     records   'p' offence              -> rlp(evidence)    pending
 *               'c' offence              -> height (8)       committed, in the block of that height
 *               'c' offence 2^64 - 1 - E -> E (8)            the same of a lunatic, so that the first record found is of the highest block
 *     offence   sb_evidence_offence: byte order is the order of evidence in a block
 *
 * In memory: an array of the pending pieces in that order. */
#include "node/evidence.h"

#include <stdlib.h>

#include "base/util/assert.h"
#include "base/util/endian.h"
#include "node/chain_impl.h"

#define KEY_BYTES          (1 + SB_OFFENCE_BYTES)
#define EVIDENCE_BYTES_MAX ((size_t)2048)

struct piece {
    uint8_t offence[SB_OFFENCE_BYTES];
    size_t bytes; /* encoded */
    bool leaving; /* with the block whose commit is being prepared */
    struct sb_evidence evidence;
};

struct sb_evidence_pool {
    struct sb_chain *chain;
    struct piece *pieces; /* ascending by offence */
    size_t count, capacity;
};

static sb_bytes key_of(uint8_t ret[KEY_BYTES], char kind, const uint8_t offence[SB_OFFENCE_BYTES])
{
    ret[0] = (uint8_t)kind;
    memcpy(ret + 1, offence, SB_OFFENCE_BYTES);
    return sb_span(ret, KEY_BYTES);
}

/* ---- the array ---- */

/* lower_bound: index of the first piece that is not below the offence. */
static size_t lower_bound(const struct sb_evidence_pool *pool,
                          const uint8_t offence[SB_OFFENCE_BYTES])
{
    size_t low = 0, high = pool->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(pool->pieces[middle].offence, offence, SB_OFFENCE_BYTES) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct piece *find(const struct sb_evidence_pool *pool,
                          const uint8_t offence[SB_OFFENCE_BYTES])
{
    size_t at = lower_bound(pool, offence);
    return at < pool->count && memcmp(pool->pieces[at].offence, offence, SB_OFFENCE_BYTES) == 0
               ? &pool->pieces[at]
               : NULL;
}

static sb_err reserve(struct sb_evidence_pool *pool)
{
    if (pool->count < pool->capacity) {
        return SB_OK;
    }
    size_t capacity = pool->capacity == 0 ? 16 : pool->capacity * 2;
    struct piece *pieces = realloc(pool->pieces, capacity * sizeof *pieces);
    if (pieces == NULL) {
        return SB_E_NOMEM;
    }
    pool->pieces = pieces;
    pool->capacity = capacity;
    return SB_OK;
}

/* insert: room was reserved. */
static void insert(struct sb_evidence_pool *pool, const struct sb_evidence *evidence, size_t bytes)
{
    struct piece piece = {.bytes = bytes, .evidence = *evidence};
    sb_evidence_offence(piece.offence, evidence);
    size_t at = lower_bound(pool, piece.offence);
    memmove(&pool->pieces[at + 1], &pool->pieces[at], (pool->count - at) * sizeof piece);
    pool->pieces[at] = piece;
    pool->count++;
}

/* is_full_for: there is no room for this piece, unless it takes the place of one. */
static bool is_full_for(const struct sb_evidence_pool *pool, const struct sb_evidence *evidence)
{
    const sb_addr *validator = &evidence->a.validator_address;
    uint8_t offence[SB_OFFENCE_BYTES];
    size_t offences = 0;
    sb_evidence_offence(offence, evidence);
    if (find(pool, offence) != NULL) {
        return false;
    }
    for (size_t i = 0; i < pool->count; i++) {
        offences += sb_addr_equal(&pool->pieces[i].evidence.a.validator_address, validator);
    }
    return pool->count >= SB_EVIDENCE_POOL_MAX || offences >= SB_EVIDENCE_POOL_OFFENCES_MAX;
}

/* ---- opening ---- */

static sb_err load_piece(void *ctx, const struct sb_store_record *record, bool *io_more)
{
    struct sb_evidence_pool *pool = ctx;
    struct sb_evidence evidence;
    *io_more = true;
    if (sb_evidence_decode(&evidence, record->value, NULL) != SB_OK) {
        return SB_E_CORRUPT;
    }
    SB_TRY(reserve(pool));
    insert(pool, &evidence, record->value.len);
    return SB_OK;
}

sb_err sb_evidence_pool_new(struct sb_evidence_pool **ret_pool, struct sb_chain *chain,
                            struct sb_diag *diag)
{
    struct sb_evidence_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    pool->chain = chain;
    sb_bytes prefix = sb_span_str("p");
    sb_err err = sb_store_record_scan(chain->store, prefix, prefix, load_piece, pool);
    if (err != SB_OK) {
        sb_evidence_pool_free(pool);
        return sb_fail(diag, err, "the pending evidence cannot be read: %s", sb_err_text(err));
    }
    *ret_pool = pool;
    return SB_OK;
}

void sb_evidence_pool_free(struct sb_evidence_pool *pool)
{
    if (pool != NULL) {
        free(pool->pieces);
        free(pool);
    }
}

size_t sb_evidence_pool_count(const struct sb_evidence_pool *pool)
{
    return pool->count;
}

/* ---- adding ---- */

/* The highest block that carries evidence of an offence. */
struct carrier {
    bool found;
    uint64_t height;
};

static sb_err take_carrier(void *ctx, const struct sb_store_record *record, bool *io_more)
{
    struct carrier *carrier = ctx;
    *io_more = false;
    if (record->value.len != sizeof carrier->height) {
        return SB_E_CORRUPT;
    }
    *carrier = (struct carrier){.found = true, .height = be_load64(record->value.data)};
    return SB_OK;
}

/* A lunatic may have more common heights than one; those below the block that convicted it are all settled by that block. Whoever knows the
 * common height knows all blocks above it, so this has one answer on every node. */
sb_err sb_evidence_pool_is_committed(bool *ret_committed, const struct sb_evidence_pool *pool,
                                     const struct sb_evidence *evidence)
{
    uint8_t offence[SB_OFFENCE_BYTES], memory[KEY_BYTES];
    struct carrier carrier = {.found = false};
    sb_evidence_offence(offence, evidence);
    sb_bytes key = key_of(memory, 'c', offence);
    SB_TRY(sb_store_record_scan(pool->chain->store, key, key, take_carrier, &carrier));
    *ret_committed = carrier.found && (evidence->kind != SB_EVIDENCE_LUNATIC ||
                                       carrier.height > evidence->common_height);
    return SB_OK;
}

/* verify_history: *ret_stands tells whether a block may carry it now, as far as its header is concerned. SB_E_REFUSED: history does not
 * contradict it. */
static sb_err verify_history(bool *ret_stands, const struct sb_evidence_pool *pool,
                             const struct sb_evidence *evidence, struct sb_diag *diag)
{
    enum sb_lunatic verdict = SB_LUNATIC_YES;
    if (evidence->kind == SB_EVIDENCE_LUNATIC) {
        struct sb_chain_head head = sb_chain_head(pool->chain);
        SB_TRY(sb_chain_judge_lunatic(&verdict, pool->chain, &head, &evidence->header));
    }
    *ret_stands = verdict == SB_LUNATIC_YES;
    return verdict == SB_LUNATIC_NO
               ? sb_fail(diag, SB_E_REFUSED, "evidence: history does not contradict the header")
               : SB_OK;
}

/* stands: whether a block may carry a piece that is kept. A header above the head may contradict history when it comes, and no more when the
 * chain has got there. */
static sb_err stands(bool *ret_stands, const struct sb_evidence_pool *pool,
                     const struct sb_evidence *evidence)
{
    sb_err err = verify_history(ret_stands, pool, evidence, NULL);
    return err == SB_E_REFUSED ? SB_OK : err;
}

/* is_news: neither pending (as a piece that stands) nor committed, of a height that this node knows, and not too old for the next block. */
static sb_err is_news(bool *ret_news, struct sb_evidence_pool *pool,
                      const struct sb_evidence *evidence)
{
    uint8_t offence[SB_OFFENCE_BYTES];
    struct sb_chain_head head = sb_chain_head(pool->chain);
    uint64_t height = sb_evidence_height(evidence), next = head.header.number + 1;
    bool committed = false, expired = false, is_kept = false;
    *ret_news = false;
    sb_evidence_offence(offence, evidence);
    if (height == 0 || height > next) {
        return SB_OK;
    }
    const struct piece *kept = find(pool, offence);
    if (kept != NULL) {
        SB_TRY(stands(&is_kept, pool, &kept->evidence));
    }
    if (is_kept) {
        return SB_OK;
    }
    if (evidence->kind == SB_EVIDENCE_LUNATIC && height == next) {
        return SB_OK; /* no block is common that is not there */
    }
    SB_TRY(sb_evidence_pool_is_committed(&committed, pool, evidence));
    SB_TRY(
        sb_chain_evidence_expired(&expired, pool->chain, &head.params, height, next, head.time_ms));
    *ret_news = !committed && !expired;
    return SB_OK;
}

static sb_err verify(struct sb_evidence_pool *pool, const struct sb_evidence *evidence,
                     struct sb_diag *diag)
{
    struct sb_chain *chain = pool->chain;
    struct sb_validator_set set;
    struct sb_arena arena;
    struct sb_diag why = {.text = ""};
    sb_arena_init(&arena, SB_CHAIN_BLOCK_ARENA_BYTES_MAX);
    sb_err err = sb_chain_validators_at(&set, &arena, chain, sb_evidence_height(evidence));
    if (err == SB_OK &&
        sb_evidence_verify(evidence, &set, &chain->domain, &chain->verifier, &why) != SB_OK) {
        err = sb_fail(diag, SB_E_REFUSED, "evidence: %s", why.text);
    }
    sb_arena_fini(&arena);
    return err;
}

static sb_err keep(struct sb_evidence_pool *pool, const struct sb_evidence *evidence,
                   struct sb_diag *diag)
{
    uint8_t offence[SB_OFFENCE_BYTES], key[KEY_BYTES];
    uint8_t memory[EVIDENCE_BYTES_MAX];
    struct sb_buf buf = sb_buf_over(memory, sizeof memory);
    sb_evidence_offence(offence, evidence);
    sb_evidence_encode(&buf, evidence);
    SB_TRY(sb_buf_err(&buf));
    SB_TRY(reserve(pool));
    const struct sb_store_record record = {.key = key_of(key, 'p', offence),
                                           .value = sb_buf_bytes(&buf)};
    SB_TRY(sb_store_record_write(pool->chain->store, &record, 1, diag));
    struct piece *replaced = find(pool, offence);
    if (replaced != NULL) {
        replaced->evidence = *evidence;
        replaced->bytes = buf.len;
    } else {
        insert(pool, evidence, buf.len);
    }
    sb_log(pool->chain->log, SB_LOG_INFO, "chain",
           evidence->kind == SB_EVIDENCE_LUNATIC
               ? "evidence of a precommit against the chain's history is kept for a block"
               : "evidence of a double vote is kept for a block",
           SB_LOG_HEX("validator", evidence->a.validator_address.b, sizeof(sb_addr)),
           SB_LOG_U64("height", evidence->a.height),
           SB_LOG_U64("round", (uint64_t)evidence->a.round),
           SB_LOG_STR("vote", evidence->a.type == SB_VOTE_PREVOTE ? "prevote" : "precommit"),
           SB_LOG_END);
    return SB_OK;
}

sb_err sb_evidence_pool_add(struct sb_evidence_pool *pool, const struct sb_evidence *evidence,
                            struct sb_diag *diag)
{
    bool news, may_stand;
    SB_TRY(is_news(&news, pool, evidence));
    if (!news) {
        return SB_OK;
    }
    SB_TRY(verify(pool, evidence, diag));
    SB_TRY(verify_history(&may_stand, pool, evidence, diag));
    return !may_stand || is_full_for(pool, evidence) ? SB_OK : keep(pool, evidence, diag);
}

/* ---- taking out ---- */

sb_err sb_evidence_pool_list(const struct sb_evidence **ret_list, size_t *ret_count,
                             const struct sb_evidence_pool *pool, struct sb_arena *arena,
                             size_t max)
{
    size_t most = pool->count < max ? pool->count : max, count = 0;
    struct sb_evidence *list = sb_arena_array(arena, most, sizeof *list);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < pool->count && count < most; i++) {
        bool may_stand;
        SB_TRY(stands(&may_stand, pool, &pool->pieces[i].evidence));
        if (may_stand) {
            list[count++] = pool->pieces[i].evidence;
        }
    }
    *ret_list = list;
    *ret_count = count;
    return SB_OK;
}

/* may_carry: a block of this height and time, on the head. */
static sb_err may_carry(bool *ret_may, struct sb_evidence_pool *pool,
                        const struct sb_evidence *evidence, uint64_t height, uint64_t time_ms)
{
    struct sb_params params = sb_chain_params(pool->chain);
    bool expired;
    *ret_may = false;
    if (sb_evidence_height(evidence) >= height) {
        return SB_OK;
    }
    SB_TRY(sb_chain_evidence_expired(&expired, pool->chain, &params, sb_evidence_height(evidence),
                                     height, time_ms));
    if (expired) {
        return SB_OK;
    }
    return stands(ret_may, pool, evidence);
}

sb_err sb_evidence_pool_pick(const struct sb_evidence **ret_list, size_t *ret_count,
                             size_t *ret_bytes, struct sb_evidence_pool *pool,
                             struct sb_arena *arena, uint64_t height, uint64_t time_ms,
                             size_t bytes_max)
{
    size_t most = pool->count < SB_EVIDENCE_MAX ? pool->count : SB_EVIDENCE_MAX;
    struct sb_evidence *list = sb_arena_array(arena, most, sizeof *list);
    size_t count = 0, bytes = 0;
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < pool->count && count < most; i++) {
        const struct piece *piece = &pool->pieces[i];
        bool may;
        if (piece->bytes > bytes_max - bytes) {
            break; /* others have no more room, or little more */
        }
        SB_TRY(may_carry(&may, pool, &piece->evidence, height, time_ms));
        if (may) {
            list[count++] = piece->evidence;
            bytes += piece->bytes;
        }
    }
    *ret_list = list;
    *ret_count = count;
    *ret_bytes = bytes;
    return SB_OK;
}

/* ---- with a block ---- */

/* commit_piece: the offence is committed with this block; pending or not, whatever proves it. */
static sb_err commit_piece(struct sb_record_list *records, struct sb_evidence_pool *pool,
                           const struct sb_evidence *evidence, uint64_t height)
{
    uint8_t offence[SB_OFFENCE_BYTES], key[KEY_BYTES];
    SB_TRY(sb_evidence_committed_put(records, evidence, height));
    sb_evidence_offence(offence, evidence);
    struct piece *piece = find(pool, offence);
    if (piece == NULL) {
        return SB_OK;
    }
    piece->leaving = true;
    return sb_record_list_remove(records, key_of(key, 'p', offence));
}

sb_err sb_evidence_committed_put(struct sb_record_list *records, const struct sb_evidence *evidence,
                                 uint64_t height)
{
    uint8_t offence[SB_OFFENCE_BYTES], key[KEY_BYTES + sizeof height], value[sizeof height];
    bool is_lunatic = evidence->kind == SB_EVIDENCE_LUNATIC;
    sb_evidence_offence(offence, evidence);
    (void)key_of(key, 'c', offence);
    be_store64(key + KEY_BYTES, UINT64_MAX - height);
    be_store64(value, height);
    return sb_record_list_put(records, sb_span(key, is_lunatic ? sizeof key : KEY_BYTES),
                              sb_span(value, sizeof value));
}

sb_err sb_evidence_pool_prepare_commit(struct sb_record_list *records,
                                       struct sb_evidence_pool *pool,
                                       const struct sb_consensus_block *block,
                                       const struct sb_params *params)
{
    const struct sb_consensus_header *h = &block->header;
    for (size_t i = 0; i < block->evidence_count; i++) {
        SB_TRY(commit_piece(records, pool, &block->evidence[i], h->height));
    }
    for (size_t i = 0; i < pool->count; i++) {
        struct piece *piece = &pool->pieces[i];
        uint64_t height = sb_evidence_height(&piece->evidence);
        bool expired = false;
        if (height < h->height) { /* younger ones have no age yet */
            SB_TRY(sb_chain_evidence_expired(&expired, pool->chain, params, height, h->height + 1,
                                             h->time_ms));
        }
        if (expired && !piece->leaving) {
            uint8_t key[KEY_BYTES];
            piece->leaving = true;
            SB_TRY(sb_record_list_remove(records, key_of(key, 'p', piece->offence)));
        }
    }
    return SB_OK;
}

void sb_evidence_pool_committed(struct sb_evidence_pool *pool)
{
    size_t kept = 0;
    for (size_t i = 0; i < pool->count; i++) {
        if (!pool->pieces[i].leaving) {
            pool->pieces[kept++] = pool->pieces[i];
        }
    }
    pool->count = kept;
}
