/* overlay.c: life, journal, transactions and accounts of the overlay; see overlay.h and overlay_impl.h. */
#include "vm/state/overlay.h"

#include <stdlib.h>

#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "vm/state/overlay_impl.h"

#define ARRAY_CAPACITY_MIN ((size_t)64)

/* --- memory and failures --- */

void sb_overlay_fail(struct sb_overlay *o, sb_err err)
{
    if (o->err == SB_OK) {
        o->err = err;
    }
}

void *sb_overlay_alloc(struct sb_overlay *o, struct sb_arena *arena, size_t len)
{
    size_t taken = o->heap.used_bytes + o->arena.total_bytes + o->tx_arena.total_bytes;
    arena->limit_bytes =
        arena->total_bytes + (o->heap.limit_bytes > taken ? o->heap.limit_bytes - taken : 0);
    void *place = sb_arena_alloc(arena, len);
    if (place == NULL) {
        sb_overlay_fail(o, SB_E_NOMEM);
    }
    return place;
}

bool sb_overlay_reserve(struct sb_overlay *o, void **items, size_t *capacity, size_t count,
                        size_t elem_bytes)
{
    if (count < *capacity) {
        return true;
    }
    size_t wanted = *capacity == 0 ? ARRAY_CAPACITY_MIN : *capacity * 2;
    size_t more_bytes = (wanted - *capacity) * elem_bytes;
    if (more_bytes > o->heap.limit_bytes || o->heap.used_bytes > o->heap.limit_bytes - more_bytes) {
        sb_overlay_fail(o, SB_E_NOMEM);
        return false;
    }
    void *grown = realloc(*items, wanted * elem_bytes);
    if (grown == NULL) {
        sb_overlay_fail(o, SB_E_NOMEM);
        return false;
    }
    *items = grown;
    *capacity = wanted;
    o->heap.used_bytes += more_bytes;
    return true;
}

struct sb_overlay *sb_overlay_new(const struct sb_state_view *view, const struct sb_rules *rules,
                                  size_t limit_bytes)
{
    struct sb_overlay *o = calloc(1, sizeof *o);
    if (o == NULL) {
        return NULL;
    }
    o->view = *view;
    o->rules = *rules;
    o->tx = 1;
    o->heap.limit_bytes = limit_bytes;
    /* Where the system put us is as good a secret as any: it only picks buckets. */
    o->key = sb_table_key_make((uint64_t)(uintptr_t)o ^ (uint64_t)(uintptr_t)view << 32);
    sb_arena_init(&o->arena, limit_bytes);
    sb_arena_init(&o->tx_arena, limit_bytes);
    o->spare_slot.account = &o->spare_account;
    return o;
}

void sb_overlay_free(struct sb_overlay *o)
{
    if (o == NULL) {
        return;
    }
    struct sb_table *tables[] = {&o->accounts, &o->slots, &o->transients,
                                 &o->models,   &o->blobs, &o->codes};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        sb_table_fini(tables[i], &o->heap);
    }
    free(o->dirty);
    free(o->journal);
    free(o->logs);
    free(o->inferences);
    sb_arena_fini(&o->arena);
    sb_arena_fini(&o->tx_arena);
    free(o);
}

sb_err sb_overlay_err(const struct sb_overlay *o)
{
    return o->err;
}

/* --- account records --- */

static bool account_same(const void *item, const void *key)
{
    return sb_addr_equal(&((const struct account *)item)->addr, key);
}

struct account *sb_account_find(const struct sb_overlay *o, const sb_addr *a)
{
    return sb_table_find(&o->accounts, sb_table_hash_addr(&o->key, a), account_same, a);
}

struct account *sb_account_get(struct sb_overlay *o, const sb_addr *a)
{
    uint64_t hash = sb_table_hash_addr(&o->key, a);
    struct account *account = sb_table_find(&o->accounts, hash, account_same, a);
    if (account != NULL) {
        return account;
    }
    account = sb_overlay_alloc(o, &o->arena, sizeof *account);
    if (account == NULL) {
        return &o->spare_account;
    }
    memset(account, 0, sizeof *account);
    account->addr = *a;
    account->hash = hash;
    if (!sb_table_add(&o->accounts, &o->heap, hash, account)) {
        sb_overlay_fail(o, SB_E_NOMEM);
        return &o->spare_account;
    }
    if (o->last == NULL) {
        o->first = account;
    } else {
        o->last->next = account;
    }
    o->last = account;
    return account;
}

struct account *sb_account_load(struct sb_overlay *o, const sb_addr *a)
{
    struct account *account = sb_account_get(o, a);
    if (account->loaded) {
        return account;
    }
    sb_err err = o->view.account(o->view.ctx, a, &account->base, &account->base_exists);
    if (err != SB_OK || !account->base_exists) {
        account->base = (struct sb_account){.code_hash = sb_hash_keccak_empty};
        account->base_exists = false;
    }
    if (err != SB_OK) {
        sb_overlay_fail(o, err);
    }
    account->body.nonce = account->base.nonce;
    account->body.balance = account->base.balance;
    account->body.code_hash = account->base.code_hash;
    account->body.exists = account->base_exists;
    account->loaded = true;
    return account;
}

void sb_overlay_undo_push(struct sb_overlay *o, const struct undo *undo)
{
    void *items = o->journal;
    if (sb_overlay_reserve(o, &items, &o->journal_capacity, o->journal_count, sizeof *o->journal)) {
        o->journal = items;
        o->journal[o->journal_count++] = *undo;
    }
}

struct account_body *sb_account_change(struct sb_overlay *o, struct account *account)
{
    if (!account->is_dirty) {
        void *items = o->dirty;
        if (sb_overlay_reserve(o, &items, &o->dirty_capacity, o->dirty_count, sizeof *o->dirty)) {
            o->dirty = items;
            o->dirty[o->dirty_count++] = account;
            account->is_dirty = true;
        }
    }
    struct account_body *old = sb_overlay_alloc(o, &o->tx_arena, sizeof *old);
    if (old != NULL) {
        *old = account->body;
        sb_overlay_undo_push(
            o, &(struct undo){.kind = UNDO_ACCOUNT, .item = account, .old.body = old});
    }
    return &account->body;
}

/* The body of an account that a setter is about to write: it exists and is touched from now on. */
static struct account_body *account_write(struct sb_overlay *o, const sb_addr *a)
{
    struct account_body *body = sb_account_change(o, sb_account_load(o, a));
    body->exists = true;
    body->touched = true;
    return body;
}

void sb_account_wipe(struct sb_overlay *o, struct account *account)
{
    if (account->wipe_tx != o->tx) {
        account->wipe_tx = o->tx;
        account->wipe_count_start = account->body.wipe_count;
    }
    account->body.wipe_count++;
}

/* --- transactions and frames --- */

/* Forget what was true of the finished transaction only. */
static void dirty_clear(struct sb_overlay *o)
{
    for (size_t i = 0; i < o->dirty_count; i++) {
        struct account *account = o->dirty[i];
        account->body.created = false;
        account->body.destroyed = false;
        account->body.touched = false;
        account->is_dirty = false;
    }
    o->dirty_count = 0;
}

void sb_overlay_tx_begin(struct sb_overlay *o)
{
    dirty_clear(o);
    o->tx++;
    o->journal_count = 0;
    o->log_count = 0;
    o->inference_count = 0;
    o->refund = 0;
    sb_table_clear(&o->transients, &o->heap);
    sb_arena_reset(&o->tx_arena);
}

static bool body_is_empty(const struct account_body *body)
{
    return body->nonce == 0 && sb_u256_is_zero(&body->balance) &&
           sb_hash_equal(&body->code_hash, &sb_hash_keccak_empty);
}

void sb_overlay_tx_end(struct sb_overlay *o)
{
    bool removes_empty = o->rules.revision >= SB_REV_SPURIOUS_DRAGON;
    for (size_t i = 0; i < o->dirty_count; i++) {
        struct account *account = o->dirty[i];
        struct account_body *body = &account->body;
        bool is_gone = body->destroyed || (removes_empty && body->touched && body_is_empty(body));
        if (body->exists && is_gone) {
            sb_account_wipe(o, account);
            *body = (struct account_body){
                .code_hash = sb_hash_keccak_empty,
                .code_loaded = true,
                .wipe_count = body->wipe_count,
            };
        }
    }
    dirty_clear(o);
    o->journal_count = 0;
}

sb_checkpoint sb_overlay_checkpoint(const struct sb_overlay *o)
{
    return o->journal_count;
}

/* Block 2675119 of mainnet touched the empty account 0x03 in a frame that then failed, and deleted it all the same; the rule stayed
 * (go-ethereum, core/state/journal.go). */
static bool keeps_touch(const struct sb_overlay *o, const struct account *account)
{
    static const sb_addr ripemd160 = {.b = {[19] = 3}};
    return o->rules.profile == SB_PROFILE_ETHEREUM && sb_addr_equal(&account->addr, &ripemd160) &&
           body_is_empty(&account->body);
}

static void undo_one(struct sb_overlay *o, const struct undo *undo)
{
    switch (undo->kind) {
    case UNDO_ACCOUNT: {
        struct account *account = undo->item;
        const struct account_body newer = account->body;
        bool touched = newer.touched && keeps_touch(o, account);
        account->body = *undo->old.body;
        account->body.touched |= touched;
        if (newer.code_loaded && sb_hash_equal(&newer.code_hash, &account->body.code_hash)) {
            /* reading it again is work that nobody pays for */
            account->body.code = newer.code;
            account->body.code_loaded = true;
        }
        break;
    }
    case UNDO_SLOT: {
        struct slot *slot = undo->item;
        slot->value = undo->old.value;
        slot->generation = undo->generation;
        break;
    }
    case UNDO_TRANSIENT:
        ((struct transient *)undo->item)->value = undo->old.value;
        break;
    case UNDO_WARM_ADDR:
        ((struct account *)undo->item)->warm_tx = 0;
        break;
    case UNDO_WARM_SLOT:
        ((struct slot *)undo->item)->warm_tx = 0;
        break;
    case UNDO_WARM_MODEL:
        ((struct model *)undo->item)->warm_tx = 0;
        break;
    case UNDO_LOG:
        o->log_count--;
        break;
    case UNDO_INFERENCE:
        o->inference_count--;
        break;
    case UNDO_REFUND:
        o->refund = undo->old.refund;
        break;
    case UNDO_BLOB:
        ((struct blob *)undo->item)->data = undo->old.data;
        break;
    }
}

void sb_overlay_rollback(struct sb_overlay *o, sb_checkpoint checkpoint)
{
    SB_ASSERT(checkpoint <= o->journal_count);
    while (o->journal_count > checkpoint) {
        o->journal_count--;
        undo_one(o, &o->journal[o->journal_count]);
    }
}

/* --- accounts --- */

bool sb_overlay_exists(struct sb_overlay *o, const sb_addr *a)
{
    return sb_account_load(o, a)->body.exists;
}

bool sb_overlay_is_empty(struct sb_overlay *o, const sb_addr *a)
{
    return body_is_empty(&sb_account_load(o, a)->body);
}

sb_u256 sb_overlay_balance(struct sb_overlay *o, const sb_addr *a)
{
    return sb_account_load(o, a)->body.balance;
}

uint64_t sb_overlay_nonce(struct sb_overlay *o, const sb_addr *a)
{
    return sb_account_load(o, a)->body.nonce;
}

sb_hash sb_overlay_code_hash(struct sb_overlay *o, const sb_addr *a)
{
    return sb_account_load(o, a)->body.code_hash;
}

sb_bytes sb_overlay_code(struct sb_overlay *o, const sb_addr *a)
{
    struct account_body *body = &sb_account_load(o, a)->body;
    if (!body->code_loaded) {
        sb_bytes code = {.data = NULL, .len = 0};
        if (!sb_hash_equal(&body->code_hash, &sb_hash_keccak_empty)) {
            sb_err err = o->view.code(o->view.ctx, &body->code_hash, &code);
            if (err != SB_OK) {
                sb_overlay_fail(o, err);
                code = (sb_bytes){.data = NULL, .len = 0};
            }
        }
        body->code = code;
        body->code_loaded = true;
    }
    return body->code;
}

bool sb_overlay_has_storage(struct sb_overlay *o, const sb_addr *a)
{
    const struct account *account = sb_account_load(o, a);
    if (account->body.wipe_count == 0 && account->base.has_storage) {
        return true;
    }
    for (const struct slot *s = account->slots; s != NULL; s = s->next) {
        sb_u256 value = sb_slot_current(s);
        if (s->loaded && !sb_u256_is_zero(&value)) {
            return true;
        }
    }
    return false;
}

void sb_overlay_touch(struct sb_overlay *o, const sb_addr *a)
{
    const struct account *account = sb_account_load(o, a);
    bool removes_empty = o->rules.revision >= SB_REV_SPURIOUS_DRAGON;
    /* From Spurious Dragon on, touching what is not there would make an account that the transaction's end removes again. */
    if (removes_empty ? account->body.exists && !account->body.touched : !account->body.exists) {
        (void)account_write(o, a);
    }
}

void sb_overlay_balance_set(struct sb_overlay *o, const sb_addr *a, const sb_u256 *balance)
{
    account_write(o, a)->balance = *balance;
}

void sb_overlay_balance_add(struct sb_overlay *o, const sb_addr *a, const sb_u256 *amount)
{
    struct account_body *body = account_write(o, a);
    body->balance = sb_u256_add(&body->balance, amount);
}

void sb_overlay_balance_sub(struct sb_overlay *o, const sb_addr *a, const sb_u256 *amount)
{
    struct account_body *body = account_write(o, a);
    body->balance = sb_u256_sub(&body->balance, amount);
}

void sb_overlay_nonce_set(struct sb_overlay *o, const sb_addr *a, uint64_t nonce)
{
    account_write(o, a)->nonce = nonce;
}

static bool code_same(const void *item, const void *key)
{
    return sb_hash_equal(&((const struct code *)item)->hash, key);
}

/* The overlay's own copy of a code, one for each hash. */
static sb_bytes code_keep(struct sb_overlay *o, const sb_hash *hash, sb_bytes code)
{
    uint64_t bucket = sb_table_hash_hash(&o->key, hash);
    struct code *kept = sb_table_find(&o->codes, bucket, code_same, hash);
    if (kept != NULL) {
        return kept->bytes;
    }
    kept = sb_overlay_alloc(o, &o->arena, sizeof *kept);
    uint8_t *bytes = sb_overlay_alloc(o, &o->arena, code.len);
    if (kept == NULL || bytes == NULL) {
        return (sb_bytes){.data = NULL, .len = 0};
    }
    sb_copy(bytes, code.data, code.len);
    *kept = (struct code){.hash = *hash, .bytes = sb_span(bytes, code.len)};
    if (!sb_table_add(&o->codes, &o->heap, bucket, kept)) {
        sb_overlay_fail(o, SB_E_NOMEM);
    }
    return kept->bytes;
}

void sb_overlay_code_set(struct sb_overlay *o, const sb_addr *a, sb_bytes code)
{
    struct account_body *body = account_write(o, a);
    if (code.len == 0) {
        body->code_hash = sb_hash_keccak_empty;
        body->code = (sb_bytes){.data = NULL, .len = 0};
    } else {
        body->code_hash = sb_keccak256(code);
        body->code = code_keep(o, &body->code_hash, code);
    }
    body->code_loaded = true;
}

void sb_overlay_create(struct sb_overlay *o, const sb_addr *a)
{
    bool has_storage = sb_overlay_has_storage(o, a);
    struct account_body *body = account_write(o, a);
    body->created = true;
    body->nonce = 0;
    body->code_hash = sb_hash_keccak_empty;
    body->code = (sb_bytes){.data = NULL, .len = 0};
    body->code_loaded = true;
    if (has_storage) {
        sb_account_wipe(o, sb_account_get(o, a));
    }
}

bool sb_overlay_created_in_tx(const struct sb_overlay *o, const sb_addr *a)
{
    const struct account *account = sb_account_find(o, a);
    return account != NULL && account->body.created;
}

bool sb_overlay_destroy(struct sb_overlay *o, const sb_addr *a)
{
    if (sb_account_load(o, a)->body.destroyed) {
        return false;
    }
    account_write(o, a)->destroyed = true;
    return true;
}

sb_hash sb_overlay_block_hash(struct sb_overlay *o, uint64_t number)
{
    struct block_hash *kept = &o->block_hashes[number % BLOCK_HASHES_KEPT];
    if (!kept->known || kept->number != number) {
        sb_hash hash = {.b = {0}};
        sb_err err = o->view.block_hash(o->view.ctx, number, &hash);
        if (err != SB_OK) {
            sb_overlay_fail(o, err);
            return (sb_hash){.b = {0}};
        }
        *kept = (struct block_hash){.number = number, .known = true, .hash = hash};
    }
    return kept->hash;
}
