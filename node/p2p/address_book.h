/* address_book.h: the nodes that are known, kept so that no single owner of addresses can fill it.
 *
 *      add (heard of)  --> new    256 buckets x 64     bucket = keyed hash of (group of the address, group of who told it)
 *                            |  good (connected)
 *                            v
 *                          tried   64 buckets x 64     bucket = keyed hash of (group, address)
 *
 *   - an address has one place, which it cannot choose without the key; a taken place in `new` is given up only by an address that is
 *     of no use, one in `tried` only when the address there does not answer (test before evict);
 *   - memory is taken once; every call is bounded; time is handed in (Unix seconds); choices are drawn from the key and a counter.
 *
 * One thread. Spec, with the file's form: docs/spec/p2p.md 6. */
#ifndef SB_NODE_P2P_ADDRESS_BOOK_H
#define SB_NODE_P2P_ADDRESS_BOOK_H

#include "node/p2p/wire.h"

#define SB_BOOK_NEW_BUCKETS      256
#define SB_BOOK_TRIED_BUCKETS    64
#define SB_BOOK_BUCKET_SLOTS     64
#define SB_BOOK_NEW_PER_SOURCE   32 /* new buckets that one source group reaches */
#define SB_BOOK_TRIED_PER_GROUP  4  /* tried buckets that one group reaches */
#define SB_BOOK_FAILS_MAX        10
#define SB_BOOK_STALE_S          (UINT64_C(7) * 24 * 3600)
#define SB_BOOK_ANCHORS_MAX      2
#define SB_BOOK_KEY_BYTES        16
#define SB_BOOK_FILE_ENTRY_BYTES 76
#define SB_BOOK_FILE_BYTES_MAX                                                                     \
    (8 + SB_BOOK_KEY_BYTES + 4 + (size_t)SB_BOOK_ADDRESSES_MAX * SB_BOOK_FILE_ENTRY_BYTES + 32)

enum {
    SB_BOOK_ADDRESSES_MAX = (SB_BOOK_NEW_BUCKETS + SB_BOOK_TRIED_BUCKETS) * SB_BOOK_BUCKET_SLOTS
};

struct sb_book;

/* sb_book_new: an empty book. key: secret random bytes. allow_local: addresses of this machine and site count. SB_E_NOMEM. */
sb_err sb_book_new(struct sb_book **ret_book, const uint8_t key[SB_BOOK_KEY_BYTES],
                   bool allow_local) SB_MUST_USE;
void sb_book_free(struct sb_book *book);

/* sb_book_load: the content of a file in place of the book's, key included. Any bytes give a book or an error, after which the book is
 * empty: SB_E_TRUNCATED, SB_E_SHAPE (length), SB_E_VERSION, SB_E_CHECKSUM, SB_E_CORRUPT. sb_book_emit: the reverse. */
sb_err sb_book_load(struct sb_book *book, sb_bytes file, struct sb_diag *diag) SB_MUST_USE;
void sb_book_emit(struct sb_buf *out, const struct sb_book *book);

/* sb_book_add: heard of an address from source. true when it is new here. Addresses that cannot be dialled are ignored. */
bool sb_book_add(struct sb_book *book, const struct sb_pex_address *address,
                 const struct sb_endpoint *source, uint64_t now_s);
/* sb_book_attempt: it is being dialled. _good: it answered, as this node. _fail: it did not. _remove: it is of no use at all. */
void sb_book_attempt(struct sb_book *book, const struct sb_endpoint *endpoint, uint64_t now_s);
void sb_book_good(struct sb_book *book, const struct sb_pex_address *address, uint64_t now_s);
void sb_book_fail(struct sb_book *book, const struct sb_endpoint *endpoint, uint64_t now_s);
void sb_book_remove(struct sb_book *book, const struct sb_endpoint *endpoint);

/* Whether an address may be chosen: the caller's own rule. */
typedef bool (*sb_book_filter)(void *ctx, const struct sb_pex_address *address);

/* The filter of the pickers sees the node id of an address only once it has answered, else zeros: hearsay keeps no address from being
 * dialled. */
/* sb_book_pick: an address to dial, tried and new ones alike, that the filter allows and that has not been dialled just now. false: none. */
bool sb_book_pick(struct sb_pex_address *ret, struct sb_book *book, sb_book_filter filter,
                  void *ctx, uint64_t now_s);
/* sb_book_pick_feeler: an address to test: a tried one whose place is wanted by another, else a new one. */
bool sb_book_pick_feeler(struct sb_pex_address *ret, struct sb_book *book, sb_book_filter filter,
                         void *ctx, uint64_t now_s);
/* sb_book_sample: different addresses for a peer, at most max and 23 % of the book (32 where there are so many),
 * less those that the filter refuses. */
size_t sb_book_sample(struct sb_pex_address *ret, size_t max, struct sb_book *book,
                      sb_book_filter filter, void *ctx);

/* sb_book_set_anchors: mark these, and no others. sb_book_anchors: those that are marked. */
void sb_book_set_anchors(struct sb_book *book, const struct sb_endpoint *anchors, size_t count);
size_t sb_book_anchors(struct sb_pex_address ret[SB_BOOK_ANCHORS_MAX], const struct sb_book *book);

size_t sb_book_count(const struct sb_book *book);
/* sb_book_find: whether an address is known, and whether it is a tried one. */
bool sb_book_find(bool *ret_tried, const struct sb_book *book, const struct sb_endpoint *endpoint);

#endif
