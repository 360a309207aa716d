/* verify.c: does the database hold what the head's header says? (sb_store_verify)
 *
 *     acct, slot  --sorted scan--> stack trie --> storage roots, state root  == account records, head, header
 *     atrie, strie --sorted scan--> each record hashes to what its parent (at last: the root) names
 *     code, blob  --> their hashes                hdr, body, rcpt, numb, txix, send --> the chain of headers, their roots, the indexes
 *
 * Why hashing the records suffices: every reference in a record is part of what is hashed, so records that chain up to the rebuilt
 * root hold the references of the rebuilt trie. Only the leaf mask is not hashed: a child that is no leaf must have its record, and
 * as many leaves as keys means that no branch passes for a leaf. Every family is read once, in order; memory is that of one path. */
#include <stdlib.h>

#include "base/codec/hex.h"
#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/crypto/sha256_portable.h"
#include "base/crypto/stack_trie.h"
#include "base/types/block.h"
#include "base/util/endian.h"
#include "storage/store_internal.h"

#define PROGRESS_STEP   4096
#define BLOCK_BYTES_MAX ((size_t)1 << 30)
#define BODY_LISTS      3

/* A record whose subtree is being read. */
struct open_record {
    struct sb_nibbles branch_path; /* path and extension */
    struct sb_trie_node node;
    uint16_t missing; /* children that are nodes and were not met yet */
};

/* A scan of a trie family; tries of several accounts follow one another. */
struct trie_scan {
    struct sb_db_iter *iter;
    bool more;
    struct open_record open[SB_NIBBLES_MAX + 1];
    size_t open_count;
    uint64_t leaf_count;
};

struct verify {
    struct sb_store *store;
    struct sb_version *version;
    struct sb_store_report report;
    void (*progress)(void *ctx, const char *what, uint64_t done);
    void *ctx;
    struct sb_diag *diag;
    struct sb_db_iter *slots;
    bool more_slots;
    struct trie_scan *slot_records;
    struct sb_arena arena; /* one block */
};

static void progress(const struct verify *v, const char *what, uint64_t done)
{
    if (v->progress != NULL && done % PROGRESS_STEP == 0) {
        v->progress(v->ctx, what, done);
    }
}

/* corrupt: name the first difference, with the key where there is one. */
static sb_err corrupt(struct verify *v, const char *what, sb_bytes key)
{
    char text[SB_HEX_TEXT_BYTES(64)];
    return sb_fail(v->diag, SB_E_CORRUPT, "%s: %s", what,
                   sb_hex_format(text, sb_span_slice(key, 0, 64)));
}

static sb_err corrupt_block(struct verify *v, uint64_t number, const char *what)
{
    return sb_fail(v->diag, SB_E_CORRUPT, "block %llu: %s", (unsigned long long)number, what);
}

static int key_compare(sb_bytes a, sb_bytes b)
{
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* ---- trie records ---- */

/* record_close: the records still open that are not above `path` are complete now; NULL: all of them. */
static bool record_close(struct trie_scan *scan, const struct sb_nibbles *path)
{
    while (scan->open_count != 0) {
        const struct open_record *top = &scan->open[scan->open_count - 1];
        if (path != NULL && path->count > top->branch_path.count &&
            memcmp(path->at, top->branch_path.at, top->branch_path.count) == 0) {
            break;
        }
        if (top->missing != 0) {
            return false;
        }
        scan->open_count--;
    }
    return true;
}

/* record_expected: the reference by which the record at path is named; false when nothing names it. */
static bool record_expected(struct sb_trie_ref *ret, struct trie_scan *scan,
                            const struct sb_nibbles *path, const sb_hash *root)
{
    if (path->count == 0) {
        ret->len = 32;
        memcpy(ret->bytes, root->b, 32);
        return true;
    }
    if (scan->open_count == 0) {
        return false;
    }
    struct open_record *parent = &scan->open[scan->open_count - 1];
    unsigned nibble = path->at[path->count - 1];
    if (path->count != parent->branch_path.count + 1 || (parent->missing >> nibble & 1) == 0) {
        return false;
    }
    parent->missing = (uint16_t)(parent->missing & ~(1u << nibble));
    *ret = parent->node.refs[nibble];
    return true;
}

static bool record_read(struct trie_scan *scan, const struct sb_nibbles *path, sb_bytes bytes,
                        const sb_hash *root)
{
    struct sb_trie_ref expected;
    if (!record_close(scan, path) || !record_expected(&expected, scan, path, root) ||
        scan->open_count > SB_NIBBLES_MAX) {
        return false;
    }
    struct open_record *record = &scan->open[scan->open_count];
    if (sb_trie_node_decode(&record->node, bytes) != SB_OK) {
        return false;
    }
    struct sb_trie_ref ref = sb_trie_node_ref(&record->node, path->count == 0);
    if (ref.len != expected.len || memcmp(ref.bytes, expected.bytes, ref.len) != 0) {
        return false;
    }
    record->branch_path = *path;
    if (!sb_nibbles_add(&record->branch_path, record->node.ext.at, record->node.ext.count)) {
        return false;
    }
    record->missing = (uint16_t)(record->node.child_mask & ~record->node.leaf_mask);
    scan->leaf_count += (uint64_t)__builtin_popcount(record->node.leaf_mask);
    scan->open_count++;
    return true;
}

static bool path_of_key(struct sb_nibbles *ret, sb_bytes key, size_t prefix_len)
{
    struct sb_nibbles path = {.count = 0};
    sb_bytes rest = sb_span_slice(key, prefix_len, SIZE_MAX);
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.data[i] > 15) {
            return false;
        }
    }
    *ret = path;
    return sb_nibbles_add(ret, rest.data, rest.len);
}

/* trie_check: read the records of one trie, which stand next in the scan; `keys` is how many leaves it has. */
static sb_err trie_check(struct verify *v, struct trie_scan *scan, sb_bytes prefix,
                         const sb_hash *root, uint64_t keys)
{
    scan->open_count = 0;
    scan->leaf_count = 0;
    bool any = false;
    for (; scan->more; scan->more = sb_db_iter_next(scan->iter)) {
        sb_bytes key = sb_db_iter_key(scan->iter);
        if (prefix.len != 0) {
            int order = key_compare(sb_span_slice(key, 0, prefix.len), prefix);
            if (order > 0) {
                break;
            }
            if (order < 0) {
                return corrupt(v, "a trie record belongs to no account", key);
            }
        }
        struct sb_nibbles path;
        if (!path_of_key(&path, key, prefix.len) ||
            !record_read(scan, &path, sb_db_iter_value(scan->iter), root)) {
            return corrupt(v, "a trie record is damaged or does not fit its parent", key);
        }
        any = true;
    }
    SB_TRY(sb_db_iter_err(scan->iter));
    if (!record_close(scan, NULL)) {
        return corrupt(v, "a trie record is missing, trie of", prefix);
    }
    /* A trie of no or one key has no records. */
    if (any ? scan->leaf_count != keys : keys > 1) {
        return corrupt(v, "the trie has another number of leaves than the flat state, trie of",
                       prefix);
    }
    return SB_OK;
}

static struct trie_scan *trie_scan_new(const struct verify *v, enum sb_family family)
{
    struct trie_scan *scan = calloc(1, sizeof *scan);
    if (scan == NULL) {
        return NULL;
    }
    scan->iter = sb_db_iter_new(v->version->db, v->version->snapshot, family);
    if (scan->iter == NULL) {
        free(scan);
        return NULL;
    }
    scan->more = sb_db_iter_first(scan->iter, sb_span(NULL, 0), sb_span("", 0));
    return scan;
}

static void trie_scan_free(struct trie_scan *scan)
{
    if (scan != NULL) {
        sb_db_iter_free(scan->iter);
        free(scan);
    }
}

/* ---- flat state ---- */

/* storage_root: of the slots of one account, which stand next in the scan of slots. */
static sb_err storage_root(sb_hash *ret_root, uint64_t *ret_count, struct verify *v,
                           sb_bytes account, struct sb_stack_trie *trie)
{
    uint64_t count = 0;
    for (; v->more_slots; v->more_slots = sb_db_iter_next(v->slots)) {
        sb_bytes key = sb_db_iter_key(v->slots);
        int order = key_compare(sb_span_slice(key, 0, 32), account);
        if (order > 0) {
            break;
        }
        uint8_t leaf[SB_FLAT_SLOT_BYTES_MAX];
        size_t leaf_len;
        if (order < 0 || key.len != 64 ||
            sb_flat_slot_leaf(leaf, &leaf_len, sb_db_iter_value(v->slots)) != SB_OK) {
            return corrupt(v, "a slot record is damaged or belongs to no account", key);
        }
        SB_TRY(sb_stack_trie_add(trie, sb_span_slice(key, 32, 32), sb_span(leaf, leaf_len)));
        count++;
        progress(v, "slots", ++v->report.slot_count);
    }
    SB_TRY(sb_db_iter_err(v->slots));
    *ret_count = count;
    return sb_stack_trie_root(ret_root, trie);
}

static sb_err code_check_present(struct verify *v, const sb_hash *code_hash)
{
    struct sb_db_value value;
    SB_TRY(sb_db_get(&value, v->version->db, v->version->snapshot, SB_FAMILY_CODE,
                     sb_span(code_hash->b, 32)));
    bool present = value.handle != NULL;
    sb_db_value_free(&value);
    return present ? SB_OK : corrupt(v, "a code is missing", sb_span(code_hash->b, 32));
}

static sb_err account_check(struct verify *v, struct sb_stack_trie *accounts,
                            struct sb_stack_trie *slots, sb_bytes key, sb_bytes value)
{
    struct sb_flat_account account;
    if (key.len != 32 || sb_flat_account_decode(&account, value) != SB_OK) {
        return corrupt(v, "an account record is damaged", key);
    }
    sb_hash root;
    uint64_t slot_count = 0;
    SB_TRY(storage_root(&root, &slot_count, v, key, slots));
    if (!sb_hash_equal(&root, &account.storage_root)) {
        return corrupt(v, "the slots do not give the account's storage root", key);
    }
    SB_TRY(trie_check(v, v->slot_records, key, &root, slot_count));
    if (!sb_hash_equal(&account.code_hash, &sb_hash_keccak_empty)) {
        SB_TRY(code_check_present(v, &account.code_hash));
    }
    uint8_t leaf[SB_FLAT_ACCOUNT_BYTES_MAX];
    size_t leaf_len = sb_flat_account_leaf(leaf, &account);
    SB_TRY(sb_stack_trie_add(accounts, key, sb_span(leaf, leaf_len)));
    progress(v, "accounts", ++v->report.account_count);
    return SB_OK;
}

static sb_err accounts_scan(struct verify *v, struct sb_db_iter *iter,
                            struct sb_stack_trie *accounts, struct sb_stack_trie *slots)
{
    for (bool more = sb_db_iter_first(iter, sb_span(NULL, 0), sb_span("", 0)); more;
         more = sb_db_iter_next(iter)) {
        SB_TRY(account_check(v, accounts, slots, sb_db_iter_key(iter), sb_db_iter_value(iter)));
    }
    SB_TRY(sb_db_iter_err(iter));
    if (v->more_slots) {
        return corrupt(v, "a slot record belongs to no account", sb_db_iter_key(v->slots));
    }
    if (v->slot_records->more) {
        return corrupt(v, "a trie record belongs to no account",
                       sb_db_iter_key(v->slot_records->iter));
    }
    SB_TRY(sb_stack_trie_root(&v->report.rebuilt_root, accounts));
    const sb_hash *root = &v->version->head.state_root;
    if (!sb_hash_equal(&v->report.rebuilt_root, root)) {
        return corrupt(v, "the flat state does not give the head's state root, but",
                       sb_span(v->report.rebuilt_root.b, 32));
    }
    return SB_OK;
}

static sb_err state_check(struct verify *v)
{
    const struct sb_version *version = v->version;
    struct sb_stack_trie *accounts = sb_stack_trie_new(), *slots = sb_stack_trie_new();
    struct sb_db_iter *iter = sb_db_iter_new(version->db, version->snapshot, SB_FAMILY_ACCOUNT);
    struct trie_scan *account_records = trie_scan_new(v, SB_FAMILY_ACCOUNT_TRIE);
    v->slots = sb_db_iter_new(version->db, version->snapshot, SB_FAMILY_SLOT);
    v->slot_records = trie_scan_new(v, SB_FAMILY_SLOT_TRIE);
    sb_err err = SB_E_NOMEM;
    if (accounts != NULL && slots != NULL && iter != NULL && account_records != NULL &&
        v->slots != NULL && v->slot_records != NULL) {
        v->more_slots = sb_db_iter_first(v->slots, sb_span(NULL, 0), sb_span("", 0));
        err = accounts_scan(v, iter, accounts, slots);
        if (err == SB_OK) {
            err = trie_check(v, account_records, sb_span(NULL, 0), &version->head.state_root,
                             v->report.account_count);
        }
    }
    trie_scan_free(v->slot_records);
    sb_db_iter_free(v->slots);
    trie_scan_free(account_records);
    sb_db_iter_free(iter);
    sb_stack_trie_free(slots);
    sb_stack_trie_free(accounts);
    return err;
}

/* contents_check: each value of the family hashes to its key. */
static sb_err contents_check(struct verify *v, enum sb_family family,
                             sb_hash (*hash)(sb_bytes message), uint64_t *count, const char *what)
{
    struct sb_db_iter *iter = sb_db_iter_new(v->version->db, v->version->snapshot, family);
    if (iter == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = SB_OK;
    bool more = sb_db_iter_first(iter, sb_span(NULL, 0), sb_span("", 0));
    for (; more && err == SB_OK; more = sb_db_iter_next(iter)) {
        sb_hash got = hash(sb_db_iter_value(iter));
        if (!sb_span_equal(sb_db_iter_key(iter), sb_span(got.b, 32))) {
            err = corrupt(v, "content does not hash to its key", sb_db_iter_key(iter));
            sb_diag_prefix(v->diag, "%s", what);
        }
        progress(v, what, ++*count);
    }
    err = err == SB_OK ? sb_db_iter_err(iter) : err;
    sb_db_iter_free(iter);
    return err;
}

/* ---- chain ---- */

/* items_read: the elements of a list as the ordered tries hold them: the payload of a string, the whole of a list. */
static sb_err items_read(const sb_bytes **ret_items, size_t *ret_count, struct verify *v,
                         struct sb_rlp list)
{
    size_t count, done = 0;
    SB_TRY(sb_rlp_count(&count, &list, (size_t)(list.end - list.at)));
    sb_bytes *items = sb_arena_array(&v->arena, count, sizeof *items);
    if (items == NULL) {
        return SB_E_NOMEM;
    }
    while (!sb_rlp_done(&list)) {
        struct sb_rlp_item item;
        SB_TRY(sb_rlp_read_item(&item, &list));
        items[done++] = item.kind == SB_RLP_STRING ? item.payload : item.raw;
    }
    *ret_items = items;
    *ret_count = count;
    return SB_OK;
}

static bool root_is(const sb_bytes *items, size_t count, const sb_hash *expected)
{
    sb_hash root;
    return sb_ordered_root(&root, items, count) == SB_OK && sb_hash_equal(&root, expected);
}

static sb_err transactions_check(struct verify *v, uint64_t number, const sb_bytes *txs,
                                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sb_hash hash = sb_keccak256(txs[i]);
        uint64_t place_number;
        uint32_t index;
        if (sb_store_tx_place(&place_number, &index, v->store, &hash) != SB_OK ||
            place_number != number || index != i) {
            return corrupt_block(v, number,
                                 "a transaction is not in the index, or at another place");
        }
    }
    const sb_addr *senders;
    size_t sender_count;
    if (sb_store_senders(&senders, &sender_count, &v->arena, v->store, number) != SB_OK ||
        sender_count != count) {
        return corrupt_block(v, number, "the senders are missing or too few");
    }
    return SB_OK;
}

static sb_err body_check(struct verify *v, uint64_t number, const struct sb_header *header)
{
    sb_bytes body;
    sb_err err = sb_store_body(&body, &v->arena, v->store, number);
    if (err != SB_OK) {
        return err == SB_E_NOT_FOUND ? corrupt_block(v, number, "the body is missing") : err;
    }
    struct sb_rlp in = sb_rlp_open(body), lists, list[BODY_LISTS] = {{NULL, NULL}};
    struct sb_rlp_item uncles;
    size_t list_count = 0;
    const sb_bytes *txs, *withdrawals;
    size_t tx_count, withdrawal_count;
    err = sb_rlp_read_list(&lists, &in);
    while (err == SB_OK && list_count < BODY_LISTS && !sb_rlp_done(&lists)) {
        if (list_count == 1) {
            err = sb_rlp_peek(&uncles, &lists);
        }
        err = err == SB_OK ? sb_rlp_read_list(&list[list_count++], &lists) : err;
    }
    if (err != SB_OK || !sb_rlp_done(&lists) || sb_rlp_end(&in) != SB_OK || list_count < 2) {
        return corrupt_block(v, number, "the body is damaged");
    }
    if (items_read(&txs, &tx_count, v, list[0]) != SB_OK ||
        !root_is(txs, tx_count, &header->transactions_root)) {
        return corrupt_block(v, number, "the transactions do not give the header's root");
    }
    sb_hash uncles_hash = sb_keccak256(uncles.raw);
    if (!sb_hash_equal(&uncles_hash, &header->uncles_hash)) {
        return corrupt_block(v, number, "the uncles do not give the header's hash");
    }
    if (header->field_count >= SB_HEADER_FIELDS_SHANGHAI &&
        (items_read(&withdrawals, &withdrawal_count, v, list[2]) != SB_OK ||
         !root_is(withdrawals, withdrawal_count, &header->withdrawals_root))) {
        return corrupt_block(v, number, "the withdrawals do not give the header's root");
    }
    const sb_bytes *receipts;
    size_t receipt_count;
    if (sb_store_receipts(&receipts, &receipt_count, &v->arena, v->store, number) != SB_OK ||
        receipt_count != tx_count || !root_is(receipts, receipt_count, &header->receipts_root)) {
        return corrupt_block(v, number, "the receipts do not give the header's root");
    }
    return transactions_check(v, number, txs, tx_count);
}

/* block_check: one block; *io_parent is the hash of the one before (zero at the first) and becomes this one's. */
static sb_err block_check(struct verify *v, sb_hash *io_parent, uint64_t number, sb_bytes record)
{
    if (record.len <= SB_HEADER_RECORD_PREFIX) {
        return corrupt_block(v, number, "the header record is damaged");
    }
    sb_bytes raw = sb_span_slice(record, SB_HEADER_RECORD_PREFIX, SIZE_MAX);
    sb_hash hash = sb_keccak256(raw);
    struct sb_header header;
    if (memcmp(hash.b, record.data, 32) != 0 || sb_header_decode(&header, raw, NULL) != SB_OK) {
        return corrupt_block(v, number, "the header is damaged");
    }
    if (header.number != number || memcmp(header.state_root.b, record.data + 32, 32) != 0 ||
        (!sb_hash_is_zero(io_parent) && !sb_hash_equal(&header.parent_hash, io_parent))) {
        return corrupt_block(v, number, "the header does not follow the one before");
    }
    uint64_t indexed;
    if (sb_store_number_by_hash(&indexed, v->store, &hash) != SB_OK || indexed != number) {
        return corrupt_block(v, number, "the block hash is not in the index");
    }
    *io_parent = hash;
    if (number < sb_store_oldest(v->store)) {
        return SB_OK; /* of blocks before the oldest there is the header at most */
    }
    sb_arena_reset(&v->arena);
    return body_check(v, number, &header);
}

static sb_err blocks_scan(struct verify *v, struct sb_db_iter *iter)
{
    const struct sb_store_head *head = &v->version->head;
    sb_hash parent = {{0}};
    uint64_t next = 0;
    for (bool more = sb_db_iter_first(iter, sb_span(NULL, 0), sb_span("", 0)); more;
         more = sb_db_iter_next(iter)) {
        sb_bytes key = sb_db_iter_key(iter);
        if (key.len != 8 || (v->report.block_count != 0 && be_load64(key.data) != next)) {
            return corrupt_block(v, next, "the header is missing");
        }
        next = be_load64(key.data);
        SB_TRY(block_check(v, &parent, next, sb_db_iter_value(iter)));
        next++;
        progress(v, "blocks", ++v->report.block_count);
    }
    SB_TRY(sb_db_iter_err(iter));
    if (v->report.block_count == 0 || next != head->number + 1 ||
        !sb_hash_equal(&parent, &head->block_hash)) {
        return corrupt_block(v, head->number, "the head is not the last block");
    }
    return SB_OK;
}

/* numbers_check: as many block hashes in the index as headers, so that none is missing at the beginning either. */
static sb_err numbers_check(struct verify *v)
{
    struct sb_db_iter *iter =
        sb_db_iter_new(v->version->db, v->version->snapshot, SB_FAMILY_NUMBER);
    if (iter == NULL) {
        return SB_E_NOMEM;
    }
    uint64_t count = 0;
    for (bool more = sb_db_iter_first(iter, sb_span(NULL, 0), sb_span("", 0)); more;
         more = sb_db_iter_next(iter)) {
        count++;
    }
    sb_err err = sb_db_iter_err(iter);
    sb_db_iter_free(iter);
    SB_TRY(err);
    if (count != v->report.block_count) {
        return sb_fail(v->diag, SB_E_CORRUPT,
                       "%llu block hashes are in the index, but %llu headers are here",
                       (unsigned long long)count, (unsigned long long)v->report.block_count);
    }
    return SB_OK;
}

static sb_err chain_check(struct verify *v)
{
    struct sb_db_iter *iter =
        sb_db_iter_new(v->version->db, v->version->snapshot, SB_FAMILY_HEADER);
    if (iter == NULL) {
        return SB_E_NOMEM;
    }
    sb_arena_init(&v->arena, BLOCK_BYTES_MAX);
    sb_err err = blocks_scan(v, iter);
    err = err == SB_OK ? numbers_check(v) : err;
    sb_arena_fini(&v->arena);
    sb_db_iter_free(iter);
    return err;
}

sb_err sb_store_verify(struct sb_store_report *ret_report, struct sb_store *store,
                       void (*progress_fn)(void *ctx, const char *what, uint64_t done), void *ctx,
                       struct sb_diag *diag)
{
    struct sb_diag unused;
    struct verify v = {.store = store,
                       .version = sb_store_newest(store),
                       .report = {.rebuilt_root = sb_hash_empty_trie},
                       .progress = progress_fn,
                       .ctx = ctx,
                       .diag = diag != NULL ? diag : &unused};
    v.diag->text[0] = 0;
    sb_err err = SB_OK;
    if (v.version->head.exists) {
        err = state_check(&v);
        err = err == SB_OK
                  ? contents_check(&v, SB_FAMILY_CODE, sb_keccak256, &v.report.code_count, "codes")
                  : err;
        err = err == SB_OK ? contents_check(&v, SB_FAMILY_BLOB, sb_sha256_portable,
                                            &v.report.blob_count, "blobs")
                           : err;
        err = err == SB_OK ? chain_check(&v) : err;
    }
    sb_version_unref(v.version);
    if (err == SB_OK) {
        *ret_report = v.report;
    } else if (v.diag->text[0] == 0) {
        (void)sb_fail(v.diag, err, "the database cannot be read: %s", sb_err_text(err));
    }
    return err;
}
