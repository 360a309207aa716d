/* peer_send.c: what a connection sends: see p2p_impl.h.
 *
 *      sb_conn_flush: handshake output, else queue -> sb_link_seal -> uv_try_write, the rest by uv_write
 *
 * A vote that another thread queues leaves in the same turn of the loop that its wake-up starts: no timer lies on the way. */
#include "base/util/endian.h"
#include "node/p2p/p2p_impl.h"

#define FLUSH_FRAMES_MAX 64 /* then the other connections have their turn */

static void count_sent(struct sb_conn *conn, size_t bytes)
{
    atomic_fetch_add_explicit(&conn->sent_bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&conn->p2p->totals.sent_bytes, bytes, memory_order_relaxed);
}

static void on_written(uv_write_t *request, int status)
{
    struct sb_conn *conn = request->data;
    conn->writing = false;
    if (conn->state == SB_CONN_CLOSING) {
        return;
    }
    if (status != 0) {
        sb_conn_close(conn);
        return;
    }
    count_sent(conn, conn->out_len - conn->out_at);
    conn->p2p->now_us = uv_hrtime() / 1000;
    sb_conn_flush(conn);
}

/* write_out: send out[0, len): at once what the socket takes, the rest when it has room. false: the connection is broken. */
static bool write_out(struct sb_conn *conn, size_t len)
{
    uv_stream_t *stream = (uv_stream_t *)&conn->tcp;
    uv_buf_t buf = uv_buf_init((char *)conn->out, (unsigned)len);
    int written = uv_try_write(stream, &buf, 1);
    if (written < 0 && written != UV_EAGAIN) {
        return false;
    }
    conn->out_at = written > 0 ? (size_t)written : 0;
    conn->out_len = len;
    count_sent(conn, conn->out_at);
    if (conn->out_at == len) {
        return true;
    }
    buf = uv_buf_init((char *)conn->out + conn->out_at, (unsigned)(len - conn->out_at));
    if (uv_write(&conn->write, stream, &buf, 1, on_written) != 0) {
        return false;
    }
    conn->writing = true;
    conn->writing_since_us = conn->p2p->now_us;
    return true;
}

/* Count the plain text of a frame by channel. */
static void count_channels(struct sb_conn *conn, const uint8_t *plain, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t bytes = be_load16(plain + at + 2);
        atomic_fetch_add_explicit(&conn->channel_sent[plain[at]], bytes, memory_order_relaxed);
        at += SB_FRAGMENT_HEADER_BYTES + bytes;
    }
}

/* next_output: put what is to be sent next into conn->out; 0: nothing now. */
static sb_err next_output(size_t *ret_len, struct sb_conn *conn)
{
    struct sb_p2p *p2p = conn->p2p;
    sb_bytes handshake = sb_link_handshake_output(conn->link);
    if (handshake.len > 0) {
        memcpy(conn->out, handshake.data, handshake.len);
        *ret_len = handshake.len;
        return SB_OK;
    }
    *ret_len = 0;
    if (!sb_link_is_open(conn->link)) {
        return SB_OK;
    }
    uint8_t *plain = conn->out + SB_LINK_FRAME_HEADER_BYTES;
    (void)pthread_mutex_lock(&p2p->lock);
    size_t len = sb_send_queue_take(&conn->queue, &conn->send_ready_us, plain,
                                    SB_FRAME_PLAIN_BYTES_MAX, p2p->now_us);
    (void)pthread_mutex_unlock(&p2p->lock);
    if (len == 0) {
        return SB_OK;
    }
    count_channels(conn, plain, len);
    return sb_link_seal(conn->link, ret_len, conn->out, len);
}

void sb_conn_mark(struct sb_conn *conn)
{
    struct sb_p2p *p2p = conn->p2p;
    (void)pthread_mutex_lock(&p2p->lock);
    if (!conn->is_dirty && p2p->running) {
        conn->is_dirty = true;
        p2p->dirty[p2p->dirty_count++] = (uint32_t)(conn->number & (SB_P2P_SLOTS - 1));
        (void)uv_async_send(&p2p->wake);
    }
    (void)pthread_mutex_unlock(&p2p->lock);
}

void sb_conn_flush(struct sb_conn *conn)
{
    if (conn->state == SB_CONN_CONNECTING || conn->state == SB_CONN_CLOSING) {
        return;
    }
    for (size_t i = 0; !conn->writing; i++) {
        size_t len = 0;
        if (i == FLUSH_FRAMES_MAX) {
            sb_conn_mark(conn);
            return;
        }
        sb_err err = next_output(&len, conn);
        if (err == SB_OK && len == 0) {
            return;
        }
        if (err != SB_OK || !write_out(conn, len)) {
            sb_conn_close(conn);
            return;
        }
    }
}

void sb_conn_send(struct sb_conn *conn, enum sb_channel channel, sb_bytes message)
{
    struct sb_p2p *p2p = conn->p2p;
    if (conn->state == SB_CONN_CLOSING) {
        return;
    }
    (void)pthread_mutex_lock(&p2p->lock);
    enum sb_push_result result = sb_send_queue_push(&conn->queue, channel, message);
    (void)pthread_mutex_unlock(&p2p->lock);
    if (result == SB_PUSH_OVERFLOW) {
        sb_conn_end(conn, SB_GOODBYE_OVERLOADED);
        return;
    }
    sb_conn_flush(conn);
}

void sb_conn_control(struct sb_conn *conn, const struct sb_control *control)
{
    uint8_t bytes[SB_CONTROL_BYTES_MAX];
    size_t len = sb_control_encode(bytes, control);
    sb_conn_send(conn, SB_CHANNEL_CONTROL, sb_span(bytes, len));
}

void sb_conn_end(struct sb_conn *conn, enum sb_goodbye reason)
{
    if (conn->state == SB_CONN_CLOSING) {
        return;
    }
    bool can_speak = conn->link != NULL && sb_link_is_open(conn->link) && !conn->writing;
    if (can_speak) {
        /* straight to the socket, past what waits: only whole frames have gone before */
        const struct sb_control control = {.type = SB_CONTROL_GOODBYE, .reason = (uint8_t)reason};
        uint8_t *plain = conn->out + SB_LINK_FRAME_HEADER_BYTES;
        size_t len = sb_control_encode(plain + SB_FRAGMENT_HEADER_BYTES, &control);
        plain[0] = SB_CHANNEL_CONTROL;
        plain[1] = SB_FRAGMENT_FINAL;
        be_store16(plain + 2, (uint16_t)len);
        size_t sealed = 0;
        if (sb_link_seal(conn->link, &sealed, conn->out, SB_FRAGMENT_HEADER_BYTES + len) == SB_OK) {
            uv_buf_t buf = uv_buf_init((char *)conn->out, (unsigned)sealed);
            (void)uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);
        }
    }
    sb_conn_close(conn);
}
