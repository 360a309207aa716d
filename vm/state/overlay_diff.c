/* overlay_diff.c: what leaves the overlay: the sorted diff and the read view of its present contents; see overlay.h. */
#include <stdlib.h>

#include "vm/state/overlay_impl.h"

/* --- diff --- */

static int slot_diff_compare(const void *a, const void *b)
{
    const struct sb_slot_diff *x = a;
    const struct sb_slot_diff *y = b;
    return memcmp(x->key.b, y->key.b, sizeof x->key.b);
}

static int account_diff_compare(const void *a, const void *b)
{
    const struct sb_account_diff *x = a;
    const struct sb_account_diff *y = b;
    return memcmp(x->addr.b, y->addr.b, sizeof x->addr.b);
}

static int blob_diff_compare(const void *a, const void *b)
{
    const struct sb_blob_diff *x = a;
    const struct sb_blob_diff *y = b;
    return memcmp(x->id.b, y->id.b, sizeof x->id.b);
}

/* Does the slot have to be written, given whether the older storage is dropped first? */
static bool slot_differs(const struct slot *s, bool storage_cleared)
{
    if (!s->loaded) {
        return false;
    }
    sb_u256 value = sb_slot_current(s);
    return storage_cleared ? !sb_u256_is_zero(&value) : !sb_u256_equal(&value, &s->base);
}

static sb_err slots_diff(struct sb_account_diff *diff, const struct account *account,
                         struct sb_arena *arena)
{
    size_t count = 0;
    for (const struct slot *s = account->slots; s != NULL; s = s->next) {
        count += slot_differs(s, diff->storage_cleared);
    }
    if (count == 0) {
        return SB_OK;
    }
    struct sb_slot_diff *slots = sb_arena_array(arena, count, sizeof *slots);
    if (slots == NULL) {
        return SB_E_NOMEM;
    }
    size_t i = 0;
    for (const struct slot *s = account->slots; s != NULL; s = s->next) {
        if (slot_differs(s, diff->storage_cleared)) {
            slots[i++] = (struct sb_slot_diff){.key = s->key, .value = sb_slot_current(s)};
        }
    }
    qsort(slots, count, sizeof *slots, slot_diff_compare);
    diff->slots = slots;
    diff->slot_count = count;
    return SB_OK;
}

/* Fill one entry; *ret_differs is false if the account is as in the view. */
static sb_err account_diff(struct sb_account_diff *diff, bool *ret_differs,
                           const struct account *account, struct sb_arena *arena)
{
    const struct account_body *body = &account->body;
    const struct sb_account *base = &account->base;
    *diff = (struct sb_account_diff){.addr = account->addr};
    if (!account->loaded || !body->exists) {
        *ret_differs = account->loaded && account->base_exists;
        return SB_OK;
    }
    diff->exists = true;
    diff->nonce = body->nonce;
    diff->balance = body->balance;
    diff->code_hash = body->code_hash;
    diff->code_changed = !sb_hash_equal(&body->code_hash, &base->code_hash);
    if (diff->code_changed) {
        diff->code = body->code;
    }
    diff->storage_cleared = account->base_exists && base->has_storage && body->wipe_count != 0;
    SB_TRY(slots_diff(diff, account, arena));
    *ret_differs = !account->base_exists || diff->code_changed || diff->storage_cleared ||
                   diff->slot_count != 0 || body->nonce != base->nonce ||
                   !sb_u256_equal(&body->balance, &base->balance);
    return SB_OK;
}

static sb_err blobs_diff(struct sb_state_diff *diff, const struct sb_overlay *o,
                         struct sb_arena *arena)
{
    struct sb_blob_diff *blobs = sb_arena_array(arena, o->blobs.count, sizeof *blobs);
    if (blobs == NULL) {
        return SB_E_NOMEM;
    }
    size_t count = 0;
    for (const struct blob *blob = o->blob_list; blob != NULL; blob = blob->next) {
        bool exists = blob->data.data != NULL;
        if (exists != (blob->base.data != NULL)) {
            blobs[count++] =
                (struct sb_blob_diff){.id = blob->id, .exists = exists, .data = blob->data};
        }
    }
    qsort(blobs, count, sizeof *blobs, blob_diff_compare);
    diff->blobs = blobs;
    diff->blob_count = count;
    return SB_OK;
}

sb_err sb_overlay_diff(struct sb_state_diff *ret_diff, struct sb_overlay *o, struct sb_arena *arena)
{
    SB_TRY(o->err);
    struct sb_account_diff *accounts = sb_arena_array(arena, o->accounts.count, sizeof *accounts);
    if (accounts == NULL) {
        return SB_E_NOMEM;
    }
    size_t count = 0;
    for (const struct account *account = o->first; account != NULL; account = account->next) {
        bool differs = false;
        SB_TRY(account_diff(&accounts[count], &differs, account, arena));
        count += differs;
    }
    qsort(accounts, count, sizeof *accounts, account_diff_compare);
    struct sb_state_diff diff = {.accounts = accounts, .account_count = count};
    SB_TRY(blobs_diff(&diff, o, arena));
    *ret_diff = diff;
    return SB_OK;
}

/* --- view --- */

static sb_err view_account(void *ctx, const sb_addr *addr, struct sb_account *ret_account,
                           bool *ret_exists)
{
    struct sb_overlay *o = ctx;
    const struct account *account = sb_account_load(o, addr);
    SB_TRY(o->err);
    *ret_exists = account->body.exists;
    *ret_account = (struct sb_account){
        .nonce = account->body.nonce,
        .balance = account->body.balance,
        .code_hash = account->body.code_hash,
        .has_storage = account->body.exists && sb_overlay_has_storage(o, addr),
    };
    return SB_OK;
}

static sb_err view_storage(void *ctx, const sb_addr *addr, const sb_hash *key, sb_u256 *ret_value)
{
    struct sb_overlay *o = ctx;
    sb_u256 value = sb_overlay_slot(o, addr, key);
    SB_TRY(o->err);
    *ret_value = value;
    return SB_OK;
}

static bool code_same(const void *item, const void *key)
{
    return sb_hash_equal(&((const struct code *)item)->hash, key);
}

static sb_err view_code(void *ctx, const sb_hash *code_hash, sb_bytes *ret_code)
{
    struct sb_overlay *o = ctx;
    const struct code *kept =
        sb_table_find(&o->codes, sb_table_hash_hash(&o->key, code_hash), code_same, code_hash);
    if (kept != NULL) {
        *ret_code = kept->bytes;
        return SB_OK;
    }
    return o->view.code(o->view.ctx, code_hash, ret_code);
}

static sb_err view_blob(void *ctx, const sb_hash *id, sb_bytes *ret_data)
{
    struct sb_overlay *o = ctx;
    sb_bytes data = sb_overlay_blob(o, id);
    SB_TRY(o->err);
    *ret_data = data;
    return SB_OK;
}

static sb_err view_block_hash(void *ctx, uint64_t number, sb_hash *ret_hash)
{
    struct sb_overlay *o = ctx;
    return o->view.block_hash(o->view.ctx, number, ret_hash);
}

struct sb_state_view sb_overlay_view(struct sb_overlay *o)
{
    return (struct sb_state_view){
        .ctx = o,
        .account = view_account,
        .storage = view_storage,
        .code = view_code,
        .blob = view_blob,
        .block_hash = view_block_hash,
    };
}
