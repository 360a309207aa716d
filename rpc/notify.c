/* notify.c: subscriptions of WebSocket sessions and the notifications that they get.
 *
 * The loop tells of each head and each pending transaction once; a header or a transaction is made into text once and sent to all who
 * asked for it, logs are matched for each subscription behind the block's bloom. */
#include <stdlib.h>
#include <sys/random.h>

#include "base/codec/hex.h"
#include "rpc/format.h"
#include "rpc/session_impl.h"

/* Addresses and topics that the subscriptions of one session hold together. */
#define CRITERIA_BYTES_MAX ((size_t)1 << 20)

/* ---- subscriptions ---- */

sb_err sb_rpc_session_subscribe_take(struct sb_rpc_session *session, sb_rpc_filter_id *ret_id,
                                     enum sb_rpc_subscription_kind kind,
                                     struct sb_rpc_log_filter *criteria)
{
    sb_rpc_filter_id id;
    if (getrandom(id.b, sizeof id.b, 0) != (ssize_t)sizeof id.b) {
        free(criteria);
        return SB_E_IO;
    }
    size_t bytes = criteria != NULL ? sb_rpc_log_filter_bytes(criteria) : 0;
    uv_mutex_lock(&session->lock);
    bool full = session->subscription_count ==
                    session->server->services.options.session_subscriptions_max ||
                session->criteria_bytes + bytes > CRITERIA_BYTES_MAX;
    if (!full) {
        session->criteria_bytes += bytes;
        session->subscriptions[session->subscription_count++] =
            (struct subscription){.id = id, .kind = kind, .criteria = criteria};
    }
    uv_mutex_unlock(&session->lock);
    if (full) {
        free(criteria);
        return SB_E_LIMIT;
    }
    *ret_id = id;
    return SB_OK;
}

bool sb_rpc_session_unsubscribe(struct sb_rpc_session *session, const sb_rpc_filter_id *id)
{
    bool found = false;
    uv_mutex_lock(&session->lock);
    for (size_t i = 0; i < session->subscription_count && !found; i++) {
        struct subscription *sub = &session->subscriptions[i];
        if (memcmp(sub->id.b, id->b, sizeof id->b) == 0) {
            session->criteria_bytes -=
                sub->criteria != NULL ? sb_rpc_log_filter_bytes(sub->criteria) : 0;
            free(sub->criteria);
            *sub = session->subscriptions[--session->subscription_count];
            found = true;
        }
    }
    uv_mutex_unlock(&session->lock);
    return found;
}

/* ---- notifications ---- */

/* Queues {"jsonrpc","method":"eth_subscription","params":{"subscription","result"}}; result is JSON text. */
static void notify(struct sb_rpc_session *session, const sb_rpc_filter_id *id, sb_bytes result)
{
    struct sb_buf text;
    struct sb_json json;
    sb_buf_init(&text, result.len + 256);
    sb_json_init(&json, &text);
    sb_json_object_begin(&json);
    sb_json_key(&json, "jsonrpc");
    sb_json_str(&json, "2.0");
    sb_json_key(&json, "method");
    sb_json_str(&json, "eth_subscription");
    sb_json_key(&json, "params");
    sb_json_object_begin(&json);
    sb_json_key(&json, "subscription");
    sb_json_hex(&json, sb_span(id->b, sizeof id->b));
    sb_json_key(&json, "result");
    sb_json_raw(&json, result);
    sb_json_object_end(&json);
    sb_json_object_end(&json);
    if (!text.failed) {
        sb_rpc_session_queue(session, sb_buf_bytes(&text));
    }
    sb_buf_fini(&text);
}

/* One message for each matching log. */
static void notify_logs(struct sb_rpc_session *session, const struct subscription *sub,
                        const struct sb_rpc_block *block)
{
    uint32_t log_index = 0;
    for (size_t i = 0; i < block->block.tx_count; i++) {
        const struct sb_receipt *receipt = &block->receipts[i];
        for (size_t k = 0; k < receipt->log_count && !session->closing; k++, log_index++) {
            if (!sb_rpc_log_matches(sub->criteria, &receipt->logs[k])) {
                continue;
            }
            struct sb_rpc_log_place place = {.block_hash = &block->hash,
                                             .block_number = block->block.header.number,
                                             .timestamp = block->block.header.timestamp,
                                             .tx_hash = &block->tx_hashes[i],
                                             .tx_index = (uint32_t)i,
                                             .log_index = log_index};
            struct sb_buf text;
            struct sb_json json;
            sb_buf_init(&text, session->server->services.options.response_bytes_max);
            sb_json_init(&json, &text);
            sb_rpc_write_log(&json, &receipt->logs[k], &place);
            if (!text.failed) {
                notify(session, &sub->id, sb_buf_bytes(&text));
            }
            sb_buf_fini(&text);
        }
    }
}

static void notify_head_to(struct sb_rpc_session *session, const struct sb_rpc_block *block,
                           sb_bytes header)
{
    uv_mutex_lock(&session->lock);
    for (size_t i = 0; i < session->subscription_count && !session->closing; i++) {
        const struct subscription *sub = &session->subscriptions[i];
        if (sub->kind == SB_RPC_SUB_HEADS) {
            notify(session, &sub->id, header);
        } else if (sub->kind == SB_RPC_SUB_LOGS && block->receipts != NULL &&
                   sb_rpc_bloom_matches(sub->criteria, &block->block.header.logs_bloom)) {
            notify_logs(session, sub, block);
        }
    }
    uv_mutex_unlock(&session->lock);
    sb_rpc_session_flush(session);
}

void sb_rpc_sessions_head(struct sb_rpc_server *server, const struct sb_rpc_head *head)
{
    const struct sb_rpc_backend *backend = &server->services.backend;
    const struct sb_rpc_block *block = NULL;
    struct sb_rpc_block_ref ref = {.by = SB_RPC_BY_HASH, .hash = head->hash};
    if (server->sessions == NULL || backend->block(backend->ctx, &ref, &block) != SB_OK) {
        return;
    }
    struct sb_buf header;
    struct sb_json json;
    sb_buf_init(&header, 8192);
    sb_json_init(&json, &header);
    sb_rpc_write_header(&json, &block->block.header, &block->hash);
    for (struct sb_rpc_session *session = server->sessions, *next; session != NULL;
         session = next) {
        next = session->next;
        if (!session->closing) {
            notify_head_to(session, block, sb_buf_bytes(&header));
        }
    }
    sb_buf_fini(&header);
    backend->block_release(backend->ctx, block);
}

/* The pool's transaction as JSON; false when it has left the pool. */
static bool write_pending(struct sb_rpc_server *server, struct sb_buf *text, const sb_hash *hash)
{
    const struct sb_rpc_backend *backend = &server->services.backend;
    struct sb_rpc_pool_tx tx;
    struct sb_json json;
    sb_err err = backend->pool_tx(backend->ctx, &server->arena, hash, &tx);
    if (err == SB_OK) {
        struct sb_rpc_tx_place place = {.block_hash = NULL};
        sb_json_init(&json, text);
        sb_rpc_write_tx(&json, &tx.tx, &tx.hash, &tx.sender, &place);
    }
    sb_arena_reset(&server->arena);
    return err == SB_OK && !text->failed;
}

static void notify_pending_to(struct sb_rpc_session *session, const sb_hash *hash, sb_bytes full)
{
    char text[2 + SB_HEX_TEXT_BYTES(32)];
    text[0] = '"';
    (void)sb_hex_format(text + 1, sb_span(hash->b, sizeof hash->b));
    text[67] = '"';
    uv_mutex_lock(&session->lock);
    for (size_t i = 0; i < session->subscription_count; i++) {
        const struct subscription *sub = &session->subscriptions[i];
        if (sub->kind == SB_RPC_SUB_PENDING) {
            notify(session, &sub->id, sb_span(text, 68));
        } else if (sub->kind == SB_RPC_SUB_PENDING_FULL && full.len != 0) {
            notify(session, &sub->id, full);
        }
    }
    uv_mutex_unlock(&session->lock);
}

static bool any_full_subscriber(struct sb_rpc_server *server)
{
    bool any = false;
    for (struct sb_rpc_session *session = server->sessions; session != NULL && !any;
         session = session->next) {
        uv_mutex_lock(&session->lock);
        for (size_t i = 0; i < session->subscription_count; i++) {
            any = any || session->subscriptions[i].kind == SB_RPC_SUB_PENDING_FULL;
        }
        uv_mutex_unlock(&session->lock);
    }
    return any;
}

void sb_rpc_sessions_pending(struct sb_rpc_server *server)
{
    sb_hash hashes[64];
    if (server->sessions == NULL) {
        server->pending_seen = sb_rpc_pending_next(server->services.filters);
        return;
    }
    bool want_full = any_full_subscriber(server);
    for (size_t count;
         (count = sb_rpc_pending_read(server->services.filters, hashes, &server->pending_seen, 64,
                                      server->pending_seen)) != 0;) {
        for (size_t i = 0; i < count; i++) {
            struct sb_buf full;
            sb_buf_init(&full, server->services.options.response_bytes_max);
            bool have_full = want_full && write_pending(server, &full, &hashes[i]);
            for (struct sb_rpc_session *session = server->sessions; session != NULL;
                 session = session->next) {
                notify_pending_to(session, &hashes[i],
                                  have_full ? sb_buf_bytes(&full) : sb_span(NULL, 0));
            }
            sb_buf_fini(&full);
        }
        for (struct sb_rpc_session *session = server->sessions, *next; session != NULL;
             session = next) {
            next = session->next;
            sb_rpc_session_flush(session);
        }
    }
}
