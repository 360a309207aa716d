/* state_sync_state.c: pieces of the state from all peers that have it; then the blobs, and whether they are all; see state_sync_impl.h.
 *
 * The bytes of model chunks are no part of the trie; the storage of ModelStore (0x5b04) says which there are, under hashed names. A peer tells
 * the names. Each must be one that the storage knows; and when all words of that storage are explained - by the chunks named, by the models that
 * the registry (0x5b11) lists, by the switches of operators, which count themselves - then no chunk was left out. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/crypto/keccak.h"
#include "base/util/endian.h"
#include "node/state_sync_impl.h"
#include "vm/precompile/facts.h"

#define WAIT_MS       50
#define LOST_MS       5000 /* so long nobody has the snapshot, and another one is chosen */
#define LOG_PERIOD_MS 5000
#define STORE_LOW     0x5b04
#define REGISTRY_LOW  0x5b11
#define CHUNKS_MAX    ((size_t)1 << 22)

/* ---- pieces ---- */

static void log_progress(struct state_sync *s)
{
    uint64_t now = sync_now(s), passed = now - s->logged_ms;
    if (passed < LOG_PERIOD_MS) {
        return;
    }
    struct sb_restore_progress p = sb_restore_progress(s->restore);
    uint64_t spent = now - s->begun_ms;
    sb_log(
        s->o->log, SB_LOG_INFO, "statesync", "pieces of the state", SB_LOG_U64("height", s->height),
        SB_LOG_U64("permille", p.permille), SB_LOG_U64("accounts", p.account_count),
        SB_LOG_U64("slots", p.slot_count),
        SB_LOG_U64("bytes_per_s", (p.bytes - s->logged_bytes) * 1000 / passed),
        SB_LOG_U64("eta_s", p.permille > 0 ? spent * (1000 - p.permille) / p.permille / 1000 : 0),
        SB_LOG_END);
    s->logged_ms = now;
    s->logged_bytes = p.bytes;
}

/* ask_one: one request more for a peer; *ret_more false: it takes no more, or there is none. */
static sb_err ask_one(bool *ret_more, struct state_sync *s, struct sync_peer *peer)
{
    struct sb_subtree_request request;
    uint8_t memory[SB_SUBTREE_REQUEST_BYTES_MAX];
    struct sb_buf detail = sb_buf_over(memory, sizeof memory);
    size_t count;
    *ret_more = false;
    SB_TRY(sb_restore_next(&request, &count, s->restore, 1));
    if (count == 0) {
        return SB_OK;
    }
    sb_subtree_request_encode(&detail, &request);
    *ret_more = sync_send(s, peer, SB_SNAP_PIECE, s->height, sb_buf_bytes(&detail), &request);
    if (!*ret_more) {
        sb_restore_give_back(s->restore, &request);
    }
    return SB_OK;
}

/* ask_some: give every peer that has the snapshot its share of requests; *ret_any: there is such a peer. */
static sb_err ask_some(bool *ret_any, struct state_sync *s)
{
    bool more = true;
    *ret_any = false;
    while (more) { /* one each, in turn, so that what one did not answer is asked of another */
        more = false;
        s->turn++;
        for (size_t i = 0; i < SB_STATE_SYNC_PEERS_MAX; i++) {
            struct sync_peer *peer = &s->peers[(s->turn + i) % SB_STATE_SYNC_PEERS_MAX];
            bool took = false;
            if (!sync_offers(peer, s->height)) {
                continue;
            }
            *ret_any = true;
            if (peer->open < SYNC_PEER_OPEN_MAX) {
                SB_TRY(ask_one(&took, s, peer));
            }
            more = more || took;
        }
    }
    return SB_OK;
}

static void list_forget(struct sync_peer *peer, uint64_t height)
{
    size_t kept = 0;
    for (size_t i = 0; i < peer->list.count; i++) {
        if (peer->list.heights[i] != height) {
            peer->list.heights[kept++] = peer->list.heights[i];
        }
    }
    peer->list.count = kept;
}

static sb_err piece_take(struct state_sync *s, const struct sync_answer *answer,
                         struct sb_diag *diag)
{
    struct sync_peer *peer = answer->question.peer;
    const struct sb_subtree_request *request = &answer->question.request;
    struct sb_diag why = {.text = ""};
    if (!answer->found) {
        sb_restore_give_back(s->restore, request);
        if (!answer->question.is_lost) {
            list_forget(peer, s->height); /* it has dropped it since */
        }
        return SB_OK;
    }
    sb_err err = sb_restore_take(s->restore, request, answer->content, &why);
    if (err == SB_OK) {
        sync_moved(s);
        return SB_OK;
    }
    sb_restore_give_back(s->restore, request);
    if (err == SB_E_REFUSED) {
        sync_accuse(s, peer, "piece of the state", why.text);
        return SB_OK;
    }
    return err == SB_E_NOT_FOUND ? SB_OK : sb_fail(diag, err, "%s", why.text);
}

sb_err sync_state(struct state_sync *s, struct sb_diag *diag)
{
    uint64_t offered_ms = sync_now(s);
    while (!sb_restore_is_complete(s->restore)) {
        struct sync_answer answer;
        bool any;
        SB_TRY(ask_some(&any, s));
        offered_ms = any ? sync_now(s) : offered_ms;
        if (sync_now(s) - offered_ms >= LOST_MS) {
            return SB_E_NOT_FOUND;
        }
        SB_TRY(sync_pump(&answer, s, WAIT_MS));
        if (answer.has_question && answer.question.what == SB_SNAP_PIECE) {
            SB_TRY(piece_take(s, &answer, diag));
        }
        log_progress(s);
    }
    return SB_OK;
}

/* ---- blobs ---- */

struct names {
    struct state_sync *s;
    sb_hash store, registry; /* accounts */
    sb_hash *slots;          /* explained; sorted for the look-up */
    size_t count, capacity;
    sb_hash *ids;
    size_t id_count, id_capacity;
    uint64_t ones, unknown; /* words that nothing explains: of value 1, and others */
};

static sb_err hashes_add(sb_hash **io_list, size_t *io_count, size_t *io_capacity,
                         const sb_hash *hash)
{
    if (*io_count == *io_capacity) {
        size_t capacity = *io_capacity == 0 ? 256 : 2 * *io_capacity;
        sb_hash *list =
            capacity <= CHUNKS_MAX * 4 ? realloc(*io_list, capacity * sizeof *list) : NULL;
        if (list == NULL) {
            return SB_E_NOMEM;
        }
        *io_list = list;
        *io_capacity = capacity;
    }
    (*io_list)[(*io_count)++] = *hash;
    return SB_OK;
}

static sb_hash hash_of(const sb_hash *slot)
{
    return sb_keccak256(sb_span(slot->b, sizeof slot->b));
}

static sb_err word_read(uint8_t ret[32], const struct names *n, const sb_hash *account,
                        const sb_hash *slot)
{
    sb_hash hash = hash_of(slot);
    sb_u256 value;
    SB_TRY(sb_restore_slot(&value, n->s->restore, account, &hash));
    sb_u256_store_be(ret, &value);
    return SB_OK;
}

/* explain: a slot of ModelStore that has to be there. */
static sb_err explain(struct names *n, const sb_hash *slot)
{
    sb_hash hash = hash_of(slot);
    return hashes_add(&n->slots, &n->count, &n->capacity, &hash);
}

static sb_err explain_model(struct names *n, const sb_hash *id)
{
    uint8_t word[32];
    sb_hash base = sb_model_facts_slot(id, 0);
    SB_TRY(word_read(word, n, &n->store, &base));
    uint32_t chunks = be_load32(word + 12);
    if (word[0] == SB_MODEL_ABSENT) {
        return SB_OK;
    }
    for (uint64_t i = 0; i <= SB_MODEL_UNIT_SLOTS; i++) {
        sb_hash slot = sb_model_facts_slot(id, i);
        SB_TRY(explain(n, &slot));
    }
    for (uint64_t i = 0; i < chunks; i++) {
        sb_hash slot = sb_model_facts_slot(id, SB_MODEL_CHUNK_LIST_FIRST + i);
        SB_TRY(explain(n, &slot));
    }
    return SB_OK;
}

/* explain_models: of all that the registry lists, in slot 0, an array as Solidity lays it out. */
static sb_err explain_models(struct names *n)
{
    uint8_t word[32];
    sb_hash ids = {{0}}, first = hash_of(&ids);
    SB_TRY(word_read(word, n, &n->registry, &ids));
    uint64_t count = be_load64(word + 24);
    sb_u256 place = sb_u256_load_be(first.b, sizeof first.b), one = sb_u256_from_u64(1);
    for (uint64_t i = 0; i < count; i++) {
        sb_hash slot, id;
        sb_u256_store_be(slot.b, &place);
        SB_TRY(word_read(id.b, n, &n->registry, &slot));
        SB_TRY(explain_model(n, &id));
        place = sb_u256_add(&place, &one);
    }
    sb_hash off = sb_ops_off_slot();
    return explain(n, &off);
}

static int hash_order(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(sb_hash));
}

static sb_err look_up(void *ctx, const sb_hash *slot, const sb_u256 *value)
{
    struct names *n = ctx;
    sb_u256 one = sb_u256_from_u64(1);
    if (bsearch(slot, n->slots, n->count, sizeof *n->slots, hash_order) == NULL) {
        bool is_one = sb_u256_equal(value, &one);
        n->ones += is_one ? 1 : 0;
        n->unknown += is_one ? 0 : 1;
    }
    return SB_OK;
}

/* is_complete: every word of ModelStore is explained. */
static sb_err is_complete(bool *ret_complete, struct names *n)
{
    uint8_t off[32];
    sb_hash slot = sb_ops_off_slot();
    SB_TRY(explain_models(n));
    qsort(n->slots, n->count, sizeof *n->slots, hash_order);
    SB_TRY(sb_restore_slots(n->s->restore, &n->store, look_up, n));
    SB_TRY(word_read(off, n, &n->store, &slot));
    *ret_complete = n->unknown == 0 && n->ones == be_load64(off + 24);
    return SB_OK;
}

/* ids_take: some more names; *ret_more: there may be others. */
static sb_err ids_take(bool *ret_more, struct names *n, struct sync_peer *peer, sb_bytes content)
{
    *ret_more = content.len != 0;
    if (content.len % 32 != 0 || content.len > 32 * SB_SNAP_BLOBS_MAX) {
        sync_accuse(n->s, peer, "list of blobs", "it does not decode");
        return SB_E_NOT_FOUND;
    }
    for (size_t i = 0; i < content.len / 32; i++) {
        sb_hash id;
        uint8_t word[32];
        memcpy(id.b, content.data + 32 * i, 32);
        if (n->id_count != 0 && memcmp(id.b, n->ids[n->id_count - 1].b, 32) <= 0) {
            sync_accuse(n->s, peer, "list of blobs", "it is not in order");
            return SB_E_NOT_FOUND;
        }
        sb_hash slot = sb_chunk_facts_slot(&id);
        SB_TRY(word_read(word, n, &n->store, &slot));
        if (be_load64(word + 24) == 0) {
            sync_accuse(n->s, peer, "list of blobs", "it names one that the state does not know");
            return SB_E_NOT_FOUND;
        }
        SB_TRY(explain(n, &slot));
        SB_TRY(hashes_add(&n->ids, &n->id_count, &n->id_capacity, &id));
    }
    return SB_OK;
}

/* names_from: all names from one peer; SB_E_NOT_FOUND: it has not the snapshot, or it lied. */
static sb_err names_from(struct names *n, struct sync_peer *peer)
{
    bool more = true, complete;
    n->count = n->id_count = 0;
    n->ones = n->unknown = 0;
    while (more) {
        sb_bytes content, after = sb_span(NULL, 0);
        if (n->id_count != 0) {
            after = sb_span(n->ids[n->id_count - 1].b, 32);
        }
        SB_TRY(sync_ask(&content, n->s, peer, SB_SNAP_BLOBS, n->s->height, after));
        SB_TRY(ids_take(&more, n, peer, content));
    }
    SB_TRY(is_complete(&complete, n));
    if (!complete) {
        sync_accuse(n->s, peer, "list of blobs", "it leaves some out");
        return SB_E_NOT_FOUND;
    }
    return SB_OK;
}

static sb_hash account_of(uint16_t low)
{
    sb_addr addr = {{0}};
    be_store16(addr.b + sizeof addr.b - sizeof low, low);
    return sb_keccak256(sb_span(addr.b, sizeof addr.b));
}

sb_err sync_blobs(struct state_sync *s, struct sb_diag *diag)
{
    struct names n = {.s = s, .store = account_of(STORE_LOW), .registry = account_of(REGISTRY_LOW)};
    sb_err err = SB_E_NOT_FOUND;
    for (size_t i = 0; err == SB_E_NOT_FOUND && i < SB_STATE_SYNC_PEERS_MAX; i++) {
        if (sync_offers(&s->peers[i], s->height)) {
            err = names_from(&n, &s->peers[i]);
        }
    }
    if (err == SB_OK) {
        err = sb_restore_want_blobs(s->restore, n.ids, n.id_count);
    }
    free(n.slots);
    free(n.ids);
    return err == SB_OK ? sync_state(s, diag) : err;
}
