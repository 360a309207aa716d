/* state_sync_net.c: see state_sync_net.h. The p2p thread puts what comes into an inbox, the sync takes it out (inbox.h). */
#include "node/state_sync_net.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

#include "base/codec/hex.h"
#include "node/inbox.h"
#include "node/p2p/p2p.h"
#include "node/peer_settings.h"
#include "storage/store.h"

#define NS_IN_MS   1000000
#define NAME_BYTES 8 /* of a node's id, in its name for the log */

struct sync_net {
    struct sb_p2p *p2p;
    struct sb_inbox *inbox;
    struct sb_inbox_item *items, *shown; /* taken; the one that the last event borrows */
    pthread_mutex_t lock;
    pthread_cond_t news;
    bool has_news;
};

/* ---- the p2p thread ---- */

static void wake(void *ctx)
{
    struct sync_net *net = ctx;
    (void)pthread_mutex_lock(&net->lock);
    net->has_news = true;
    (void)pthread_cond_signal(&net->news);
    (void)pthread_mutex_unlock(&net->lock);
}

static void on_up(void *ctx, const struct sb_p2p_peer_info *info)
{
    struct sync_net *net = ctx;
    (void)sb_inbox_put(net->inbox, SB_INBOX_PEER_UP, info->peer, SB_CHANNEL_CONTROL,
                       sb_span(NULL, 0));
}

static void on_down(void *ctx, sb_peer peer)
{
    struct sync_net *net = ctx;
    (void)sb_inbox_put(net->inbox, SB_INBOX_PEER_DOWN, peer, SB_CHANNEL_CONTROL, sb_span(NULL, 0));
}

static bool on_message(void *ctx, sb_peer peer, enum sb_channel channel, sb_bytes message)
{
    struct sync_net *net = ctx;
    return channel != SB_CHANNEL_SNAPSHOT /* the rest means nothing to a node without a chain */
           || sb_inbox_put(net->inbox, SB_INBOX_MESSAGE, peer, channel, message);
}

static void resume(void *ctx, sb_peer peer)
{
    struct sync_net *net = ctx;
    sb_p2p_resume(net->p2p, peer);
}

/* ---- the sync's wire ---- */

static bool wire_send(void *ctx, sb_peer peer, sb_bytes message)
{
    struct sync_net *net = ctx;
    return sb_p2p_send(net->p2p, peer, SB_CHANNEL_SNAPSHOT, message);
}

static void wire_report(void *ctx, sb_peer peer, enum sb_offence offence, const char *why)
{
    struct sync_net *net = ctx;
    sb_p2p_report(net->p2p, peer, offence, why);
}

static uint64_t monotonic_ms(void *ctx)
{
    (void)ctx;
    return uv_hrtime() / NS_IN_MS;
}

static uint64_t wall_ms(void *ctx)
{
    (void)ctx;
    uv_timeval64_t now = {0};
    (void)uv_gettimeofday(&now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_usec / 1000;
}

/* wait_news: until something lies in the inbox, or the time is up. */
static void wait_news(struct sync_net *net, uint64_t timeout_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + timeout_ms * NS_IN_MS;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    (void)pthread_mutex_lock(&net->lock);
    if (!net->has_news) {
        (void)pthread_cond_timedwait(&net->news, &net->lock, &until);
    }
    net->has_news = false;
    (void)pthread_mutex_unlock(&net->lock);
}

/* name_peer: the beginning of its id, and its address. */
static void name_peer(char ret[SB_STATE_SYNC_NAME_MAX], struct sync_net *net, sb_peer peer)
{
    struct sb_p2p_peer_status *list = calloc(SB_P2P_PEERS_LIST_MAX, sizeof *list);
    size_t count = list != NULL ? sb_p2p_peers(net->p2p, list, SB_P2P_PEERS_LIST_MAX) : 0;
    (void)snprintf(ret, SB_STATE_SYNC_NAME_MAX, "peer %llu", (unsigned long long)peer);
    for (size_t i = 0; i < count; i++) {
        if (list[i].info.peer == peer) {
            char id[SB_HEX_TEXT_BYTES(NAME_BYTES)];
            (void)snprintf(ret, SB_STATE_SYNC_NAME_MAX, "%s@%s",
                           sb_hex_format(id, sb_span(list[i].info.node_id, NAME_BYTES)) + 2,
                           list[i].info.remote);
        }
    }
    free(list);
}

static void wire_wait(void *ctx, struct sb_state_sync_event *ret, uint64_t timeout_ms)
{
    struct sync_net *net = ctx;
    *ret = (struct sb_state_sync_event){.kind = SB_STATE_SYNC_NOTHING};
    if (net->shown != NULL) {
        sb_inbox_done_take(net->inbox, net->shown);
        net->shown = NULL;
    }
    if (net->items == NULL) {
        net->items = sb_inbox_take(net->inbox);
    }
    if (net->items == NULL) {
        wait_news(net, timeout_ms);
        net->items = sb_inbox_take(net->inbox);
    }
    if (net->items == NULL) {
        return;
    }
    struct sb_inbox_item *item = net->items;
    net->items = item->next;
    net->shown = item;
    ret->peer = item->peer;
    switch (item->kind) {
    case SB_INBOX_PEER_UP:
        ret->kind = SB_STATE_SYNC_UP;
        name_peer(ret->name, net, item->peer);
        break;
    case SB_INBOX_PEER_DOWN:
        ret->kind = SB_STATE_SYNC_DOWN;
        break;
    case SB_INBOX_MESSAGE:
        ret->kind = SB_STATE_SYNC_MESSAGE;
        ret->message = sb_span(item->bytes, item->len);
        break;
    }
}

/* ---- the whole ---- */

static sb_err open_p2p(struct sync_net *net, const struct sb_state_sync_request *request,
                       struct sb_diag *diag)
{
    struct sb_peer_settings *settings = calloc(1, sizeof *settings);
    const struct sb_inbox_options inbox = {.ctx = net, .wake = wake, .resume = resume};
    net->inbox = sb_inbox_new(&inbox);
    if (settings == NULL || net->inbox == NULL) {
        free(settings);
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    sb_err err = sb_peer_settings_read(settings, request->config, request->dir, diag);
    if (err == SB_OK) {
        struct sb_p2p_options *options = &settings->options;
        err = sb_genesis_domain(&options->domain, request->genesis);
        options->log = request->log;
        options->callbacks = (struct sb_p2p_callbacks){
            .ctx = net, .peer_up = on_up, .peer_down = on_down, .message = on_message};
        err = err == SB_OK ? sb_p2p_new(&net->p2p, options, diag) : err;
    }
    sodium_memzero(settings->options.node_secret, sizeof settings->options.node_secret);
    free(settings);
    return err == SB_OK ? sb_p2p_start(net->p2p, diag) : err;
}

static void close_p2p(struct sync_net *net)
{
    if (net->p2p != NULL) {
        sb_p2p_stop(net->p2p);
    }
    while (net->items != NULL) {
        struct sb_inbox_item *item = net->items;
        net->items = item->next;
        sb_inbox_done_take(net->inbox, item);
    }
    if (net->shown != NULL) {
        sb_inbox_done_take(net->inbox, net->shown);
    }
    sb_p2p_free(net->p2p);
    sb_inbox_free(net->inbox);
}

/* make_room: *ret_wanted false when the database has blocks; one that has genesis alone is removed. */
static sb_err make_room(bool *ret_wanted, const struct sb_state_sync_request *request,
                        struct sb_diag *diag)
{
    struct sb_chain_domain domain;
    struct sb_store *store;
    SB_TRY(sb_genesis_domain(&domain, request->genesis));
    const struct sb_store_identity identity = {.genesis_hash = domain.genesis_hash,
                                               .chain_id = domain.chain_id};
    const struct sb_store_options options = {.history_blocks = 1};
    sb_err err = sb_store_open(&store, request->dir->db, &identity, &options, diag);
    if (err == SB_E_NOT_FOUND || err == SB_E_BUSY) { /* none, or an unfinished one */
        *ret_wanted = true;
        return SB_OK;
    }
    SB_TRY(err);
    struct sb_store_head head = sb_store_head(store);
    sb_store_close(store);
    *ret_wanted = !head.exists || head.number == 0;
    return *ret_wanted ? sb_dir_remove(request->dir->db, diag) : SB_OK;
}

sb_err sb_state_sync_net(bool *ret_done, const struct sb_state_sync_request *request,
                         struct sb_diag *diag)
{
    struct sync_net net = {.p2p = NULL};
    struct sb_state_sync_report report;
    bool wanted;
    SB_TRY(make_room(&wanted, request, diag));
    if (!wanted) {
        sb_log(request->log, SB_LOG_INFO, "statesync", "there is a database: no state sync",
               SB_LOG_END);
        *ret_done = false;
        return SB_OK;
    }
    (void)pthread_mutex_init(&net.lock, NULL);
    (void)pthread_cond_init(&net.news, NULL);
    sb_err err = open_p2p(&net, request, diag);
    if (err == SB_OK) {
        const struct sb_state_sync_options options = {.db_dir = request->dir->db,
                                                      .genesis = request->genesis,
                                                      .wire = {.ctx = &net,
                                                               .send = wire_send,
                                                               .wait = wire_wait,
                                                               .report = wire_report,
                                                               .monotonic_ms = monotonic_ms,
                                                               .wall_ms = wall_ms},
                                                      .trust_height = request->trust_height,
                                                      .trust_hash = request->trust_hash,
                                                      .trust_period_ms = request->trust_period_ms,
                                                      .past_later = true,
                                                      .log = request->log};
        err = sb_state_sync(&report, &options, diag);
    }
    close_p2p(&net);
    (void)pthread_mutex_destroy(&net.lock);
    (void)pthread_cond_destroy(&net.news);
    *ret_done = err == SB_OK;
    return err;
}
