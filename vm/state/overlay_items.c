/* overlay_items.c: what hangs on accounts and transactions: slots, transient slots, access sets, logs, inferences, refund, blobs; see overlay.h. */
#include "vm/state/overlay_impl.h"

#include "base/util/assert.h"

/* Key of the slot and transient tables. */
struct place {
    const struct account *account;
    const sb_hash *key;
};

static uint64_t place_hash(const struct sb_overlay *o, struct place place)
{
    return sb_table_hash_place(&o->key, place.account->hash, place.key);
}

/* --- storage --- */

static bool slot_same(const void *item, const void *key)
{
    const struct slot *s = item;
    const struct place *place = key;
    return s->account == place->account && sb_hash_equal(&s->key, place->key);
}

static struct slot *slot_find(const struct sb_overlay *o, struct place place)
{
    return sb_table_find(&o->slots, place_hash(o, place), slot_same, &place);
}

static struct slot *slot_get(struct sb_overlay *o, struct account *account, const sb_hash *key)
{
    struct place place = {.account = account, .key = key};
    struct slot *s = slot_find(o, place);
    if (s != NULL) {
        return s;
    }
    s = sb_overlay_alloc(o, &o->arena, sizeof *s);
    if (s == NULL) {
        return &o->spare_slot;
    }
    memset(s, 0, sizeof *s);
    s->account = account;
    s->key = *key;
    if (!sb_table_add(&o->slots, &o->heap, place_hash(o, place), s)) {
        sb_overlay_fail(o, SB_E_NOMEM);
        return &o->spare_slot;
    }
    s->next = account->slots;
    account->slots = s;
    return s;
}

static struct slot *slot_load(struct sb_overlay *o, const sb_addr *a, const sb_hash *key)
{
    struct account *account = sb_account_load(o, a);
    struct slot *s = slot_get(o, account, key);
    if (s->loaded) {
        return s;
    }
    if (account->base_exists) {
        sb_err err = o->view.storage(o->view.ctx, a, key, &s->base);
        if (err != SB_OK) {
            sb_overlay_fail(o, err);
            s->base = sb_u256_zero();
        }
    }
    s->value = s->base;
    s->generation =
        0; /* the view's storage is generation 0: seen only while the account was never wiped */
    s->loaded = true;
    return s;
}

/* The value at the start of the transaction. Right at any time before the transaction's first write to the slot. */
static sb_u256 slot_at_start(const struct sb_overlay *o, const struct slot *s)
{
    const struct account *account = s->account;
    uint32_t wipe_count =
        account->wipe_tx == o->tx ? account->wipe_count_start : account->body.wipe_count;
    return s->generation == wipe_count ? s->value : sb_u256_zero();
}

sb_u256 sb_overlay_slot(struct sb_overlay *o, const sb_addr *a, const sb_hash *key)
{
    return sb_slot_current(slot_load(o, a, key));
}

sb_u256 sb_overlay_slot_original(struct sb_overlay *o, const sb_addr *a, const sb_hash *key)
{
    const struct slot *s = slot_load(o, a, key);
    return s->original_tx == o->tx ? s->original : slot_at_start(o, s);
}

void sb_overlay_slot_set(struct sb_overlay *o, const sb_addr *a, const sb_hash *key,
                         const sb_u256 *value)
{
    struct slot *s = slot_load(o, a, key);
    if (s->original_tx != o->tx) {
        s->original = slot_at_start(o, s);
        s->original_tx = o->tx;
    }
    if (!s->account->body.exists) {
        sb_account_change(o, s->account)->exists = true;
    }
    sb_overlay_undo_push(
        o, &(struct undo){
               .kind = UNDO_SLOT, .item = s, .generation = s->generation, .old.value = s->value});
    s->value = *value;
    s->generation = s->account->body.wipe_count;
}

void sb_overlay_storage_clear(struct sb_overlay *o, const sb_addr *a)
{
    struct account *account = sb_account_load(o, a);
    (void)sb_account_change(o, account);
    sb_account_wipe(o, account);
}

static bool transient_same(const void *item, const void *key)
{
    const struct transient *t = item;
    const struct place *place = key;
    return t->account == place->account && sb_hash_equal(&t->key, place->key);
}

sb_u256 sb_overlay_transient(struct sb_overlay *o, const sb_addr *a, const sb_hash *key)
{
    struct place place = {.account = sb_account_get(o, a), .key = key};
    const struct transient *t =
        sb_table_find(&o->transients, place_hash(o, place), transient_same, &place);
    return t != NULL ? t->value : sb_u256_zero();
}

void sb_overlay_transient_set(struct sb_overlay *o, const sb_addr *a, const sb_hash *key,
                              const sb_u256 *value)
{
    struct place place = {.account = sb_account_get(o, a), .key = key};
    uint64_t hash = place_hash(o, place);
    struct transient *t = sb_table_find(&o->transients, hash, transient_same, &place);
    if (t == NULL) {
        t = sb_overlay_alloc(o, &o->tx_arena, sizeof *t);
        if (t == NULL) {
            return;
        }
        *t = (struct transient){.account = place.account, .key = *key};
        if (!sb_table_add(&o->transients, &o->heap, hash, t)) {
            sb_overlay_fail(o, SB_E_NOMEM);
            return;
        }
    }
    sb_overlay_undo_push(o,
                         &(struct undo){.kind = UNDO_TRANSIENT, .item = t, .old.value = t->value});
    t->value = *value;
}

/* --- access sets --- */

/* Set *warm_tx to the running transaction; true if it was that already. */
static bool warm(struct sb_overlay *o, uint64_t *warm_tx, enum undo_kind kind, void *item)
{
    if (*warm_tx == o->tx) {
        return true;
    }
    *warm_tx = o->tx;
    sb_overlay_undo_push(o, &(struct undo){.kind = kind, .item = item});
    return false;
}

bool sb_overlay_warm_addr(struct sb_overlay *o, const sb_addr *a)
{
    struct account *account = sb_account_get(o, a);
    return warm(o, &account->warm_tx, UNDO_WARM_ADDR, account);
}

bool sb_overlay_warm_slot(struct sb_overlay *o, const sb_addr *a, const sb_hash *key)
{
    struct slot *s = slot_get(o, sb_account_get(o, a), key);
    return warm(o, &s->warm_tx, UNDO_WARM_SLOT, s);
}

static bool model_same(const void *item, const void *key)
{
    return sb_hash_equal(&((const struct model *)item)->id, key);
}

bool sb_overlay_warm_model(struct sb_overlay *o, const sb_hash *model_id)
{
    uint64_t hash = sb_table_hash_hash(&o->key, model_id);
    struct model *model = sb_table_find(&o->models, hash, model_same, model_id);
    if (model == NULL) {
        model = sb_overlay_alloc(o, &o->arena, sizeof *model);
        if (model == NULL) {
            return false;
        }
        *model = (struct model){.id = *model_id, .warm_tx = 0};
        if (!sb_table_add(&o->models, &o->heap, hash, model)) {
            sb_overlay_fail(o, SB_E_NOMEM);
            return false;
        }
    }
    return warm(o, &model->warm_tx, UNDO_WARM_MODEL, model);
}

bool sb_overlay_is_warm_addr(const struct sb_overlay *o, const sb_addr *a)
{
    const struct account *account = sb_account_find(o, a);
    return account != NULL && account->warm_tx == o->tx;
}

bool sb_overlay_is_warm_slot(const struct sb_overlay *o, const sb_addr *a, const sb_hash *key)
{
    const struct account *account = sb_account_find(o, a);
    if (account == NULL) {
        return false;
    }
    const struct slot *s = slot_find(o, (struct place){.account = account, .key = key});
    return s != NULL && s->warm_tx == o->tx;
}

void sb_overlay_accessed(const struct sb_overlay *o,
                         void (*visit)(void *ctx, const sb_addr *a, const sb_hash *key), void *ctx)
{
    for (const struct account *account = o->first; account != NULL; account = account->next) {
        if (account->warm_tx == o->tx) {
            visit(ctx, &account->addr, NULL);
        }
        for (const struct slot *s = account->slots; s != NULL; s = s->next) {
            if (s->warm_tx == o->tx) {
                visit(ctx, &account->addr, &s->key);
            }
        }
    }
}

/* --- logs, inferences and refund --- */

void sb_overlay_log(struct sb_overlay *o, const struct sb_log *log)
{
    SB_ASSERT(log->topic_count <= SB_LOG_TOPICS_MAX);
    void *items = o->logs;
    if (!sb_overlay_reserve(o, &items, &o->log_capacity, o->log_count, sizeof *o->logs)) {
        return;
    }
    o->logs = items;
    uint8_t *data = sb_overlay_alloc(o, &o->tx_arena, log->data.len);
    if (data == NULL) {
        return;
    }
    sb_copy(data, log->data.data, log->data.len);
    o->logs[o->log_count] = *log;
    o->logs[o->log_count].data = sb_span(data, log->data.len);
    o->log_count++;
    sb_overlay_undo_push(o, &(struct undo){.kind = UNDO_LOG});
}

const struct sb_log *sb_overlay_logs(const struct sb_overlay *o, size_t *ret_count)
{
    *ret_count = o->log_count;
    return o->logs;
}

void sb_overlay_inference(struct sb_overlay *o, const struct sb_inference_record *record)
{
    void *items = o->inferences;
    if (!sb_overlay_reserve(o, &items, &o->inference_capacity, o->inference_count,
                            sizeof *o->inferences)) {
        return;
    }
    o->inferences = items;
    o->inferences[o->inference_count++] = *record;
    sb_overlay_undo_push(o, &(struct undo){.kind = UNDO_INFERENCE});
}

const struct sb_inference_record *sb_overlay_inferences(const struct sb_overlay *o,
                                                        size_t *ret_count)
{
    *ret_count = o->inference_count;
    return o->inferences;
}

void sb_overlay_refund_add(struct sb_overlay *o, int64_t gas)
{
    sb_overlay_undo_push(o, &(struct undo){.kind = UNDO_REFUND, .old.refund = o->refund});
    o->refund += gas;
}

int64_t sb_overlay_refund(const struct sb_overlay *o)
{
    return o->refund;
}

/* --- blobs --- */

static bool blob_same(const void *item, const void *key)
{
    return sb_hash_equal(&((const struct blob *)item)->id, key);
}

static struct blob *blob_load(struct sb_overlay *o, const sb_hash *id)
{
    uint64_t hash = sb_table_hash_hash(&o->key, id);
    struct blob *blob = sb_table_find(&o->blobs, hash, blob_same, id);
    if (blob != NULL) {
        return blob;
    }
    sb_bytes base = {.data = NULL, .len = 0};
    sb_err err = o->view.blob(o->view.ctx, id, &base);
    if (err != SB_OK) {
        sb_overlay_fail(o, err);
        return NULL;
    }
    blob = sb_overlay_alloc(o, &o->arena, sizeof *blob);
    if (blob == NULL) {
        return NULL;
    }
    *blob = (struct blob){.id = *id, .data = base, .base = base, .next = o->blob_list};
    if (!sb_table_add(&o->blobs, &o->heap, hash, blob)) {
        sb_overlay_fail(o, SB_E_NOMEM);
        return NULL;
    }
    o->blob_list = blob;
    return blob;
}

static void blob_write(struct sb_overlay *o, struct blob *blob, sb_bytes data)
{
    sb_overlay_undo_push(o,
                         &(struct undo){.kind = UNDO_BLOB, .item = blob, .old.data = blob->data});
    blob->data = data;
}

void sb_overlay_blob_put(struct sb_overlay *o, const sb_hash *id, sb_bytes data)
{
    struct blob *blob = blob_load(o, id);
    if (blob == NULL || blob->data.data != NULL) {
        return;
    }
    if (blob->base.data != NULL) { /* released and put again: the same id has the same bytes */
        blob_write(o, blob, blob->base);
        return;
    }
    uint8_t *copy = sb_overlay_alloc(o, &o->arena, data.len);
    if (copy != NULL) {
        sb_copy(copy, data.data, data.len);
        blob_write(o, blob, sb_span(copy, data.len));
    }
}

void sb_overlay_blob_release(struct sb_overlay *o, const sb_hash *id)
{
    struct blob *blob = blob_load(o, id);
    if (blob != NULL && blob->data.data != NULL) {
        blob_write(o, blob, (sb_bytes){.data = NULL, .len = 0});
    }
}

sb_bytes sb_overlay_blob(struct sb_overlay *o, const sb_hash *id)
{
    const struct blob *blob = blob_load(o, id);
    return blob != NULL ? blob->data : (sb_bytes){.data = NULL, .len = 0};
}
