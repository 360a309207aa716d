/* records.c: the node's own records beside the chain (family RECORD): with a block, alone, and read back (see store.h). */
#include "base/util/assert.h"
#include "storage/store_internal.h"

static bool value_same(const struct sb_db_value *old, sb_bytes value)
{
    return (old->handle != NULL) == (value.data != NULL) &&
           (value.data == NULL || sb_span_equal(old->bytes, value));
}

sb_err sb_records_put(struct sb_db_batch *batch, struct sb_store *store,
                      const struct sb_store_record *records, size_t count,
                      struct sb_history_writer *diff)
{
    for (size_t i = 0; i < count; i++) {
        const struct sb_store_record *record = &records[i];
        SB_ASSERT(record->key.len > 0 && record->key.len <= SB_STORE_RECORD_KEY_BYTES_MAX);
        struct sb_db_value old;
        SB_TRY(sb_db_get(&old, store->db, NULL, SB_FAMILY_RECORD, record->key));
        sb_err err = SB_OK;
        if (!value_same(&old, record->value)) {
            if (record->value.data != NULL) {
                sb_db_batch_put(batch, SB_FAMILY_RECORD, record->key, record->value);
            } else {
                sb_db_batch_delete(batch, SB_FAMILY_RECORD, record->key);
            }
            if (diff != NULL) {
                err = sb_history_writer_add(diff, SB_FAMILY_RECORD, record->key,
                                            old.handle != NULL ? &old.bytes : NULL);
            }
        }
        sb_db_value_free(&old);
        SB_TRY(err);
    }
    return SB_OK;
}

sb_err sb_store_record_write(struct sb_store *store, const struct sb_store_record *records,
                             size_t count, struct sb_diag *diag)
{
    (void)pthread_mutex_lock(&store->writer);
    sb_err err = SB_OK;
    struct sb_db_batch *batch = NULL;
    if (store->read_only) {
        err = sb_fail(diag, SB_E_ARG, "the database was opened for reading only");
    } else if (store->failed) {
        err = sb_fail(diag, SB_E_IO, "an earlier write failed: the process must stop");
    } else {
        batch = sb_db_batch_new(store->db);
        err = batch == NULL ? SB_E_NOMEM : sb_records_put(batch, store, records, count, NULL);
    }
    if (err == SB_OK) {
        store->failed = sb_db_batch_write(store->db, batch, diag) != SB_OK;
        err = store->failed ? SB_E_IO : SB_OK;
    }
    sb_db_batch_free(batch);
    (void)pthread_mutex_unlock(&store->writer);
    return err;
}

sb_err sb_store_record(sb_bytes *ret_value, struct sb_arena *arena, struct sb_store *store,
                       sb_bytes key)
{
    struct sb_db_value value;
    SB_TRY(sb_db_get(&value, store->db, NULL, SB_FAMILY_RECORD, key));
    if (value.handle == NULL) {
        return SB_E_NOT_FOUND;
    }
    uint8_t *copy = sb_arena_dup(arena, value.bytes);
    size_t len = value.bytes.len;
    sb_db_value_free(&value);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    *ret_value = sb_span(copy, len);
    return SB_OK;
}

sb_err sb_store_record_scan(struct sb_store *store, sb_bytes prefix, sb_bytes start,
                            sb_err (*visit)(void *ctx, const struct sb_store_record *record,
                                            bool *io_more),
                            void *ctx)
{
    struct sb_db_iter *iter = sb_db_iter_new(store->db, NULL, SB_FAMILY_RECORD);
    if (iter == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = SB_OK;
    bool wanted = true;
    for (bool more = sb_db_iter_first(iter, prefix, start); more && wanted && err == SB_OK;
         more = sb_db_iter_next(iter)) {
        const struct sb_store_record record = {.key = sb_db_iter_key(iter),
                                               .value = sb_db_iter_value(iter)};
        err = visit(ctx, &record, &wanted);
    }
    err = err == SB_OK ? sb_db_iter_err(iter) : err;
    sb_db_iter_free(iter);
    return err;
}
