/* address_book.c: see address_book.h.
 *
 *      places: [ new: bucket 0 slot 0 .. 63 | bucket 1 | ... ][ tried: bucket 0 | ... ]
 *      index:  hash of the endpoint -> chain of places */
#include "node/p2p/address_book.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/crypto/hash.h"
#include "base/util/assert.h"
#include "base/util/endian.h"

#define CHAINS          8192
#define NOWHERE         UINT32_MAX
#define PROBES_MAX      256
#define REFUSALS_MAX    512 /* of a filter, then nothing is chosen: it may be slow */
#define RIVALS_MAX      16
#define RIVAL_S_MAX     2400 /* a rival that was not settled in this time gives up */
#define RETRY_S         10 /* pause before an address is dialled again; doubles with each failure */
#define RETRY_SHIFT_MAX 12
#define HASHED_BYTES    40
#define MAGIC           "SBADDR1\n"
#define MAGIC_BYTES     8
#define HEADER_BYTES    (MAGIC_BYTES + SB_BOOK_KEY_BYTES + 4)
#define SUM_BYTES       32
#define FLAG_TRIED      1
#define FLAG_ANCHOR     2

enum {
    NEW_PLACES = SB_BOOK_NEW_BUCKETS * SB_BOOK_BUCKET_SLOTS,
    PLACES = SB_BOOK_ADDRESSES_MAX,
};

SB_STATIC_ASSERT(SB_BOOK_KEY_BYTES == crypto_shorthash_KEYBYTES, "key of SipHash");

struct entry {
    bool used, anchor;
    uint8_t fails;
    uint8_t node_id[SB_P2P_NODE_ID_BYTES];
    struct sb_endpoint endpoint;
    uint64_t source_group;
    uint64_t success_s, seen_s; /* last; 0: never */
    uint64_t attempt_s;         /* last dial; not saved */
    uint32_t next;              /* in the chain of the index */
};

/* An address that answered and whose place among the tried ones is taken. */
struct rival {
    struct sb_endpoint endpoint;
    uint64_t since_s;
};

struct sb_book {
    uint8_t key[SB_BOOK_KEY_BYTES];
    bool allow_local;
    uint64_t draws; /* random numbers drawn */
    size_t count;
    size_t rival_count;
    struct rival rivals[RIVALS_MAX];
    uint32_t chains[CHAINS];
    struct entry places[PLACES];
};

/* ---- hashes ---- */

static uint64_t hash(const struct sb_book *book, char purpose, uint64_t a, uint64_t b,
                     const struct sb_endpoint *endpoint)
{
    uint8_t text[HASHED_BYTES] = {(uint8_t)purpose};
    uint8_t out[crypto_shorthash_BYTES];
    SB_ASSERT(book != NULL);
    be_store64(text + 1, a);
    be_store64(text + 9, b);
    if (endpoint != NULL) {
        memcpy(text + 17, endpoint->ip, sizeof endpoint->ip);
        be_store16(text + 33, endpoint->port);
    }
    (void)crypto_shorthash(out, text, sizeof text, book->key);
    return be_load64(out);
}

static uint64_t draw(struct sb_book *book, uint64_t bound)
{
    return hash(book, 'r', book->draws++, 0, NULL) % bound;
}

static uint32_t new_place(const struct sb_book *book, const struct sb_endpoint *endpoint,
                          uint64_t source_group)
{
    uint64_t group = sb_endpoint_group(endpoint);
    uint64_t share = hash(book, 'n', group, source_group, NULL) % SB_BOOK_NEW_PER_SOURCE;
    uint64_t bucket = hash(book, 'N', source_group, share, NULL) % SB_BOOK_NEW_BUCKETS;
    uint64_t slot = hash(book, 's', bucket, 0, endpoint) % SB_BOOK_BUCKET_SLOTS;
    return (uint32_t)(bucket * SB_BOOK_BUCKET_SLOTS + slot);
}

static uint32_t tried_place(const struct sb_book *book, const struct sb_endpoint *endpoint)
{
    uint64_t group = sb_endpoint_group(endpoint);
    uint64_t share = hash(book, 't', 0, 0, endpoint) % SB_BOOK_TRIED_PER_GROUP;
    uint64_t bucket = hash(book, 'T', group, share, NULL) % SB_BOOK_TRIED_BUCKETS;
    uint64_t slot = hash(book, 'S', bucket, 0, endpoint) % SB_BOOK_BUCKET_SLOTS;
    return (uint32_t)(NEW_PLACES + bucket * SB_BOOK_BUCKET_SLOTS + slot);
}

/* ---- places ---- */

static uint32_t *chain_of(struct sb_book *book, const struct sb_endpoint *endpoint)
{
    return &book->chains[hash(book, 'i', 0, 0, endpoint) % CHAINS];
}

static uint32_t find(const struct sb_book *book, const struct sb_endpoint *endpoint)
{
    uint32_t at = book->chains[hash(book, 'i', 0, 0, endpoint) % CHAINS];
    while (at != NOWHERE && !sb_endpoint_equal(&book->places[at].endpoint, endpoint)) {
        at = book->places[at].next;
    }
    return at;
}

static void put(struct sb_book *book, uint32_t place, const struct entry *entry)
{
    struct entry *e = &book->places[place];
    uint32_t *chain = chain_of(book, &entry->endpoint);
    SB_ASSERT(!e->used);
    *e = *entry;
    e->used = true;
    e->next = *chain;
    *chain = place;
    book->count++;
}

static void clear(struct sb_book *book, uint32_t place)
{
    struct entry *e = &book->places[place];
    uint32_t *link = chain_of(book, &e->endpoint);
    while (*link != place) {
        link = &book->places[*link].next;
    }
    *link = e->next;
    *e = (struct entry){.used = false};
    book->count--;
}

static void empty(struct sb_book *book)
{
    memset(book->places, 0, sizeof book->places);
    memset(book->chains, 0xff, sizeof book->chains);
    book->count = 0;
    book->rival_count = 0;
}

static bool is_useless(const struct entry *e, uint64_t now_s)
{
    bool stale = e->seen_s + SB_BOOK_STALE_S < now_s;
    return stale || (e->fails >= SB_BOOK_FAILS_MAX && e->success_s + SB_BOOK_STALE_S < now_s);
}

sb_err sb_book_new(struct sb_book **ret_book, const uint8_t key[SB_BOOK_KEY_BYTES],
                   bool allow_local)
{
    struct sb_book *book = calloc(1, sizeof *book);
    if (book == NULL) {
        return SB_E_NOMEM;
    }
    memcpy(book->key, key, sizeof book->key);
    book->allow_local = allow_local;
    empty(book);
    *ret_book = book;
    return SB_OK;
}

void sb_book_free(struct sb_book *book)
{
    free(book);
}

size_t sb_book_count(const struct sb_book *book)
{
    return book->count;
}

bool sb_book_find(bool *ret_tried, const struct sb_book *book, const struct sb_endpoint *endpoint)
{
    uint32_t place = find(book, endpoint);
    if (place == NOWHERE) {
        return false;
    }
    *ret_tried = place >= NEW_PLACES;
    return true;
}

/* ---- learning ---- */

bool sb_book_add(struct sb_book *book, const struct sb_pex_address *address,
                 const struct sb_endpoint *source, uint64_t now_s)
{
    if (!sb_endpoint_is_dialable(&address->endpoint, book->allow_local)) {
        return false;
    }
    uint32_t known = find(book, &address->endpoint);
    if (known != NOWHERE) {
        book->places[known].seen_s = now_s;
        return false;
    }
    struct entry entry = {
        .endpoint = address->endpoint, .source_group = sb_endpoint_group(source), .seen_s = now_s};
    memcpy(entry.node_id, address->node_id, sizeof entry.node_id);
    uint32_t place = new_place(book, &entry.endpoint, entry.source_group);
    if (book->places[place].used) {
        if (!is_useless(&book->places[place], now_s)) {
            return false;
        }
        clear(book, place);
    }
    put(book, place, &entry);
    return true;
}

void sb_book_attempt(struct sb_book *book, const struct sb_endpoint *endpoint, uint64_t now_s)
{
    uint32_t place = find(book, endpoint);
    if (place != NOWHERE) {
        book->places[place].attempt_s = now_s;
    }
}

/* Move an entry to a place that is free. */
static void move(struct sb_book *book, uint32_t to, uint32_t from)
{
    struct entry entry = book->places[from];
    clear(book, from);
    put(book, to, &entry);
}

static void rival_add(struct sb_book *book, const struct sb_endpoint *endpoint, uint64_t now_s)
{
    for (size_t i = 0; i < book->rival_count; i++) {
        if (sb_endpoint_equal(&book->rivals[i].endpoint, endpoint)) {
            return;
        }
    }
    if (book->rival_count < RIVALS_MAX) {
        book->rivals[book->rival_count++] = (struct rival){.endpoint = *endpoint, .since_s = now_s};
    }
}

/* Whether a rival's case is closed; the loser of the place goes back to `new`, if there is room for it. */
static bool rival_settle(struct sb_book *book, const struct rival *rival, uint64_t now_s)
{
    uint32_t from = find(book, &rival->endpoint);
    if (from == NOWHERE || from >= NEW_PLACES || rival->since_s + RIVAL_S_MAX < now_s) {
        return true;
    }
    uint32_t to = tried_place(book, &rival->endpoint);
    const struct entry *holder = &book->places[to];
    if (holder->used) {
        if (holder->success_s >= rival->since_s) {
            return true; /* it answers: it stays */
        }
        if (holder->attempt_s < rival->since_s || holder->fails == 0) {
            return false; /* not tested yet */
        }
        uint32_t back = new_place(book, &holder->endpoint, holder->source_group);
        if (book->places[back].used) {
            clear(book, to);
        } else {
            move(book, back, to);
        }
    }
    move(book, to, from);
    return true;
}

static void rivals_settle(struct sb_book *book, uint64_t now_s)
{
    size_t kept = 0;
    for (size_t i = 0; i < book->rival_count; i++) {
        struct rival rival = book->rivals[i];
        if (!rival_settle(book, &rival, now_s)) {
            book->rivals[kept++] = rival;
        }
    }
    book->rival_count = kept;
}

void sb_book_good(struct sb_book *book, const struct sb_pex_address *address, uint64_t now_s)
{
    (void)sb_book_add(book, address, &address->endpoint, now_s);
    uint32_t place = find(book, &address->endpoint);
    if (place == NOWHERE) {
        return; /* its place among the new ones is taken: it comes back with the next peer that tells of it */
    }
    struct entry *e = &book->places[place];
    memcpy(e->node_id, address->node_id, sizeof e->node_id);
    e->success_s = e->seen_s = now_s;
    e->fails = 0;
    if (place < NEW_PLACES) {
        uint32_t to = tried_place(book, &address->endpoint);
        if (book->places[to].used) {
            rival_add(book, &address->endpoint, now_s);
        } else {
            move(book, to, place);
        }
    }
    rivals_settle(book, now_s);
}

void sb_book_fail(struct sb_book *book, const struct sb_endpoint *endpoint, uint64_t now_s)
{
    uint32_t place = find(book, endpoint);
    if (place == NOWHERE) {
        return;
    }
    struct entry *e = &book->places[place];
    e->fails = e->fails < UINT8_MAX ? (uint8_t)(e->fails + 1) : e->fails;
    rivals_settle(book, now_s);
    place = find(book, endpoint);
    if (place != NOWHERE && is_useless(&book->places[place], now_s)) {
        clear(book, place);
    }
}

void sb_book_remove(struct sb_book *book, const struct sb_endpoint *endpoint)
{
    uint32_t place = find(book, endpoint);
    if (place != NOWHERE) {
        clear(book, place);
    }
}

/* ---- choosing ---- */

static struct sb_pex_address address_of(const struct entry *e)
{
    struct sb_pex_address address = {.endpoint = e->endpoint};
    memcpy(address.node_id, e->node_id, sizeof address.node_id);
    return address;
}

static bool is_rested(const struct entry *e, uint64_t now_s)
{
    uint64_t pause = (uint64_t)RETRY_S << (e->fails < RETRY_SHIFT_MAX ? e->fails : RETRY_SHIFT_MAX);
    return e->attempt_s == 0 || e->attempt_s + pause <= now_s;
}

struct choice {
    sb_book_filter filter;
    void *ctx;
    uint64_t now_s;
    size_t refusals;
};

static bool may_choose(const struct entry *e, struct choice *choice)
{
    if (!e->used || !is_rested(e, choice->now_s) || choice->refusals == REFUSALS_MAX) {
        return false;
    }
    struct sb_pex_address address = address_of(e);
    if (e->success_s == 0) {
        /* Hearsay: who told of it may have given it the id of a node that is banned or connected, so that it is never dialled. */
        memset(address.node_id, 0, sizeof address.node_id);
    }
    bool allowed = choice->filter == NULL || choice->filter(choice->ctx, &address);
    choice->refusals += allowed ? 0 : 1;
    return allowed;
}

/* One of the places [begin, begin + count): at random while that finds one soon, else the next one from a random place on. */
static bool choose(struct sb_pex_address *ret, struct sb_book *book, uint32_t begin, uint32_t count,
                   struct choice *choice)
{
    uint32_t start = 0;
    for (size_t i = 0; i < PROBES_MAX; i++) {
        start = (uint32_t)draw(book, count);
        if (may_choose(&book->places[begin + start], choice)) {
            *ret = address_of(&book->places[begin + start]);
            return true;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct entry *e = &book->places[begin + (start + i) % count];
        if (may_choose(e, choice)) {
            *ret = address_of(e);
            return true;
        }
    }
    return false;
}

bool sb_book_pick(struct sb_pex_address *ret, struct sb_book *book, sb_book_filter filter,
                  void *ctx, uint64_t now_s)
{
    struct choice choice = {.filter = filter, .ctx = ctx, .now_s = now_s};
    const uint32_t tried_places = PLACES - NEW_PLACES;
    if (book->count == 0) {
        return false;
    }
    if (draw(book, 2) == 0) {
        return choose(ret, book, 0, NEW_PLACES, &choice) ||
               choose(ret, book, NEW_PLACES, tried_places, &choice);
    }
    return choose(ret, book, NEW_PLACES, tried_places, &choice) ||
           choose(ret, book, 0, NEW_PLACES, &choice);
}

bool sb_book_pick_feeler(struct sb_pex_address *ret, struct sb_book *book, sb_book_filter filter,
                         void *ctx, uint64_t now_s)
{
    struct choice choice = {.filter = filter, .ctx = ctx, .now_s = now_s};
    for (size_t i = 0; i < book->rival_count; i++) {
        const struct entry *holder = &book->places[tried_place(book, &book->rivals[i].endpoint)];
        if (may_choose(holder, &choice)) {
            *ret = address_of(holder);
            return true;
        }
    }
    return book->count > 0 && choose(ret, book, 0, NEW_PLACES, &choice);
}

size_t sb_book_sample(struct sb_pex_address *ret, size_t max, struct sb_book *book,
                      sb_book_filter filter, void *ctx)
{
    size_t least = book->count < 32 ? book->count : 32;
    size_t part = book->count * 23 / 100;
    size_t wanted = part > least ? part : least;
    size_t count = 0;
    wanted = wanted < max ? wanted : max;
    /* reservoir: each address has the same chance */
    uint64_t seen = 0;
    for (size_t i = 0; i < PLACES && wanted > 0; i++) {
        const struct entry *e = &book->places[i];
        if (!e->used) {
            continue;
        }
        uint64_t at = seen < wanted ? seen : draw(book, seen + 1);
        seen++;
        if (at < wanted) {
            ret[at] = address_of(e);
            count = count < wanted ? count + 1 : count;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (filter == NULL || filter(ctx, &ret[i])) {
            ret[kept++] = ret[i];
        }
    }
    return kept;
}

/* ---- anchors ---- */

void sb_book_set_anchors(struct sb_book *book, const struct sb_endpoint *anchors, size_t count)
{
    for (size_t i = 0; i < PLACES; i++) {
        book->places[i].anchor = false;
    }
    for (size_t i = 0; i < count && i < SB_BOOK_ANCHORS_MAX; i++) {
        uint32_t place = find(book, &anchors[i]);
        if (place != NOWHERE) {
            book->places[place].anchor = true;
        }
    }
}

size_t sb_book_anchors(struct sb_pex_address ret[SB_BOOK_ANCHORS_MAX], const struct sb_book *book)
{
    size_t count = 0;
    for (size_t i = 0; i < PLACES && count < SB_BOOK_ANCHORS_MAX; i++) {
        if (book->places[i].used && book->places[i].anchor) {
            ret[count++] = address_of(&book->places[i]);
        }
    }
    return count;
}

/* ---- file ---- */

static void emit_entry(struct sb_buf *out, const struct entry *e, bool tried)
{
    uint8_t b[SB_BOOK_FILE_ENTRY_BYTES];
    memcpy(b, e->node_id, 32);
    memcpy(b + 32, e->endpoint.ip, 16);
    be_store16(b + 48, e->endpoint.port);
    be_store64(b + 50, e->source_group);
    be_store64(b + 58, e->success_s);
    be_store64(b + 66, e->seen_s);
    b[74] = e->fails;
    b[75] = (uint8_t)((tried ? FLAG_TRIED : 0) | (e->anchor ? FLAG_ANCHOR : 0));
    sb_buf_add(out, b, sizeof b);
}

void sb_book_emit(struct sb_buf *out, const struct sb_book *book)
{
    size_t begin = out->len;
    uint8_t count[4];
    be_store32(count, (uint32_t)book->count);
    sb_buf_add(out, MAGIC, MAGIC_BYTES);
    sb_buf_add(out, book->key, sizeof book->key);
    sb_buf_add(out, count, sizeof count);
    for (size_t i = 0; i < PLACES; i++) {
        if (book->places[i].used) {
            emit_entry(out, &book->places[i], i >= NEW_PLACES);
        }
    }
    if (sb_buf_err(out) == SB_OK) {
        sb_hash sum = sb_sha256(sb_span(out->data + begin, out->len - begin));
        sb_buf_add(out, sum.b, sizeof sum.b);
    }
}

/* load_entry: put one in its place, which the key gives; places ascend, so none is taken twice. *last is the one before. */
static sb_err load_entry(struct sb_book *book, const uint8_t *b, uint32_t *last)
{
    struct entry e = {.source_group = be_load64(b + 50),
                      .success_s = be_load64(b + 58),
                      .seen_s = be_load64(b + 66),
                      .fails = b[74],
                      .anchor = (b[75] & FLAG_ANCHOR) != 0};
    memcpy(e.node_id, b, 32);
    memcpy(e.endpoint.ip, b + 32, 16);
    e.endpoint.port = be_load16(b + 48);
    bool tried = (b[75] & FLAG_TRIED) != 0;
    uint32_t place =
        tried ? tried_place(book, &e.endpoint) : new_place(book, &e.endpoint, e.source_group);
    bool sane = (b[75] & ~(FLAG_TRIED | FLAG_ANCHOR)) == 0 && e.seen_s <= INT64_MAX &&
                e.success_s <= INT64_MAX;
    if (!sane || (*last != NOWHERE && place <= *last) || find(book, &e.endpoint) != NOWHERE) {
        return SB_E_CORRUPT;
    }
    *last = place;
    if (sb_endpoint_is_dialable(&e.endpoint, book->allow_local)) {
        put(book, place, &e);
    }
    return SB_OK;
}

static sb_err load(struct sb_book *book, sb_bytes file, struct sb_diag *diag)
{
    if (file.len < HEADER_BYTES + SUM_BYTES) {
        return sb_fail(diag, SB_E_TRUNCATED, "the address book is cut");
    }
    if (memcmp(file.data, MAGIC, MAGIC_BYTES) != 0) {
        return sb_fail(diag, SB_E_VERSION, "this is no address book that is known here");
    }
    uint32_t count = be_load32(file.data + MAGIC_BYTES + SB_BOOK_KEY_BYTES);
    if (count > PLACES ||
        file.len != HEADER_BYTES + (size_t)count * SB_BOOK_FILE_ENTRY_BYTES + SUM_BYTES) {
        return sb_fail(diag, SB_E_SHAPE, "the address book has the wrong length");
    }
    sb_hash sum = sb_sha256(sb_span(file.data, file.len - SUM_BYTES));
    if (memcmp(sum.b, file.data + file.len - SUM_BYTES, SUM_BYTES) != 0) {
        return sb_fail(diag, SB_E_CHECKSUM, "the address book is damaged");
    }
    memcpy(book->key, file.data + MAGIC_BYTES, SB_BOOK_KEY_BYTES);
    uint32_t last = NOWHERE;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = file.data + HEADER_BYTES + (size_t)i * SB_BOOK_FILE_ENTRY_BYTES;
        if (load_entry(book, at, &last) != SB_OK) {
            return sb_fail(diag, SB_E_CORRUPT, "the address book's entry %u is wrong", (unsigned)i);
        }
    }
    return SB_OK;
}

sb_err sb_book_load(struct sb_book *book, sb_bytes file, struct sb_diag *diag)
{
    empty(book);
    sb_err err = load(book, file, diag);
    if (err != SB_OK) {
        empty(book);
    }
    return err;
}
