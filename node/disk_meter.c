/* disk_meter.c: a journal's disk that is measured (metrics.h): every call goes on to the disk below, appends and syncs are counted. */
#include <stdlib.h>
#include <uv.h>

#include "node/metrics_impl.h"

struct sb_disk_meter *sb_disk_meter_new(void)
{
    struct sb_disk_meter *meter = calloc(1, sizeof *meter);
    if (meter != NULL && pthread_mutex_init(&meter->lock, NULL) != 0) {
        free(meter);
        return NULL;
    }
    return meter;
}

void sb_disk_meter_free(struct sb_disk_meter *meter)
{
    if (meter != NULL) {
        (void)pthread_mutex_destroy(&meter->lock);
        free(meter);
    }
}

static sb_err meter_list(void *ctx, sb_err (*visit)(void *visit_ctx, const char *name),
                         void *visit_ctx, struct sb_diag *diag)
{
    const struct sb_disk_meter *meter = ctx;
    return meter->inner.list(meter->inner.ctx, visit, visit_ctx, diag);
}

static sb_err meter_read(void *ctx, const char *name, struct sb_buf *out, struct sb_diag *diag)
{
    const struct sb_disk_meter *meter = ctx;
    return meter->inner.read(meter->inner.ctx, name, out, diag);
}

static void count_bytes(struct sb_disk_meter *meter, uint64_t bytes)
{
    (void)pthread_mutex_lock(&meter->lock);
    meter->bytes += bytes;
    (void)pthread_mutex_unlock(&meter->lock);
}

static sb_err meter_create(void *ctx, const char *name, sb_bytes content, struct sb_diag *diag)
{
    struct sb_disk_meter *meter = ctx;
    count_bytes(meter, content.len);
    return meter->inner.create(meter->inner.ctx, name, content, diag);
}

static sb_err meter_append(void *ctx, const char *name, sb_bytes head, sb_bytes tail,
                           struct sb_diag *diag)
{
    struct sb_disk_meter *meter = ctx;
    count_bytes(meter, head.len + tail.len);
    return meter->inner.append(meter->inner.ctx, name, head, tail, diag);
}

static sb_err meter_sync(void *ctx, const char *name, struct sb_diag *diag)
{
    struct sb_disk_meter *meter = ctx;
    uint64_t begun_ns = uv_hrtime();
    sb_err err = meter->inner.sync(meter->inner.ctx, name, diag);
    uint64_t us = (uv_hrtime() - begun_ns) / 1000;
    (void)pthread_mutex_lock(&meter->lock);
    sb_rpc_histogram_add(&meter->syncs, us);
    (void)pthread_mutex_unlock(&meter->lock);
    return err;
}

static sb_err meter_truncate(void *ctx, const char *name, uint64_t size, struct sb_diag *diag)
{
    const struct sb_disk_meter *meter = ctx;
    return meter->inner.truncate(meter->inner.ctx, name, size, diag);
}

static sb_err meter_remove(void *ctx, const char *name, struct sb_diag *diag)
{
    const struct sb_disk_meter *meter = ctx;
    return meter->inner.remove(meter->inner.ctx, name, diag);
}

static void meter_close(void *ctx)
{
    const struct sb_disk_meter *meter = ctx;
    meter->inner.close(meter->inner.ctx);
}

struct sb_journal_disk sb_disk_meter_wrap_take(struct sb_disk_meter *meter,
                                               const struct sb_journal_disk *inner)
{
    meter->inner = *inner;
    return (struct sb_journal_disk){
        .ctx = meter,
        .place = inner->place,
        .list = meter_list,
        .read = meter_read,
        .create = meter_create,
        .append = meter_append,
        .sync = meter_sync,
        .truncate = meter_truncate,
        .remove = meter_remove,
        .close = meter_close,
    };
}

void sb_disk_meter_read(struct sb_disk_meter *meter, struct sb_rpc_histogram *ret_syncs,
                        uint64_t *ret_bytes)
{
    (void)pthread_mutex_lock(&meter->lock);
    *ret_syncs = meter->syncs;
    *ret_bytes = meter->bytes;
    (void)pthread_mutex_unlock(&meter->lock);
}
