/* pex.c: addresses of other nodes: asking, answering, learning, the file: see p2p_impl.h.
 *
 * The file is written by a worker thread from a copy: syncing a disk takes longer than a vote may wait. Spec: docs/spec/p2p.md 5, 6. */
#include <sodium.h>
#include <stdlib.h>

#include "node/files.h"
#include "node/p2p/p2p_impl.h"

#define ASK_US         UINT64_C(30000000)
#define REQUESTS_MAX   3
#define SAVE_US        UINT64_C(600000000)
#define WANTED_COUNT   1000 /* with more addresses than this nobody is asked */
#define BOOK_FILE_MODE 0600

/* ---- the book ---- */

void sb_pex_open_book(struct sb_p2p *p2p)
{
    struct sb_diag diag = {.text = ""};
    struct sb_buf file;
    if (p2p->book_path == NULL) {
        return;
    }
    sb_buf_init(&file, SB_BOOK_FILE_BYTES_MAX);
    sb_err err = sb_file_read(&file, p2p->book_path, &diag);
    if (err == SB_OK) {
        err = sb_book_load(p2p->book, sb_buf_bytes(&file), &diag);
    }
    sb_buf_fini(&file);
    if (err != SB_OK && err != SB_E_NOT_FOUND) {
        sb_log(p2p->options.log, SB_LOG_WARN, "p2p",
               "the address book is not used; a new one begins", SB_LOG_STR("path", p2p->book_path),
               SB_LOG_STR("reason", diag.text), SB_LOG_END);
    }
    atomic_store(&p2p->totals.known_addresses, sb_book_count(p2p->book));
}

/* Outbound peers that are connected longest become the anchors. */
static void choose_anchors(struct sb_p2p *p2p)
{
    struct sb_endpoint anchors[SB_BOOK_ANCHORS_MAX];
    size_t count = 0;
    uint64_t after = 0;
    for (size_t round = 0; round < SB_BOOK_ANCHORS_MAX; round++) {
        const struct sb_conn *oldest = NULL;
        for (size_t i = 0; i < SB_P2P_SLOTS; i++) {
            const struct sb_conn *c = p2p->slots[i];
            if (c != NULL && c->state == SB_CONN_UP && c->purpose == SB_PURPOSE_OUTBOUND &&
                c->number > after && (oldest == NULL || c->number < oldest->number)) {
                oldest = c;
            }
        }
        if (oldest == NULL) {
            break;
        }
        after = oldest->number;
        anchors[count++] = oldest->endpoint;
    }
    if (count > 0) {
        sb_book_set_anchors(p2p->book, anchors, count);
    }
}

static void write_book(struct sb_p2p *p2p)
{
    struct sb_diag diag = {.text = ""};
    if (sb_file_replace(p2p->book_path, sb_buf_bytes(&p2p->save_bytes), BOOK_FILE_MODE, &diag) !=
        SB_OK) {
        sb_log(p2p->options.log, SB_LOG_WARN, "p2p", "the address book cannot be saved",
               SB_LOG_STR("reason", diag.text), SB_LOG_END);
    }
}

static void work_write(uv_work_t *work)
{
    write_book(work->data);
}

static void work_done(uv_work_t *work, int status)
{
    struct sb_p2p *p2p = work->data;
    (void)status;
    p2p->saving = false;
}

static bool emit_book(struct sb_p2p *p2p)
{
    choose_anchors(p2p);
    sb_buf_reset(&p2p->save_bytes);
    sb_book_emit(&p2p->save_bytes, p2p->book);
    return sb_buf_err(&p2p->save_bytes) == SB_OK;
}

void sb_pex_save_now(struct sb_p2p *p2p)
{
    /* a copy that a worker is writing is as good, and is the worker's */
    if (p2p->book_path != NULL && !p2p->saving && emit_book(p2p)) {
        write_book(p2p);
    }
}

static void tick_save(struct sb_p2p *p2p)
{
    if (p2p->book_path == NULL || p2p->saving || p2p->save_us > p2p->now_us) {
        return;
    }
    bool first = p2p->save_us == 0;
    p2p->save_us = p2p->now_us + SAVE_US;
    if (first || !emit_book(p2p)) {
        return;
    }
    p2p->save_request.data = p2p;
    p2p->saving = uv_queue_work(&p2p->loop, &p2p->save_request, work_write, work_done) == 0;
}

/* ---- asking ---- */

static void ask(struct sb_conn *conn)
{
    uint8_t byte;
    struct sb_buf out = sb_buf_over(&byte, sizeof byte);
    struct sb_p2p *p2p = conn->p2p;
    p2p->pex.type = SB_PEX_REQUEST;
    p2p->pex.count = 0;
    sb_pex_encode(&out, &p2p->pex);
    conn->pex_open = true;
    conn->pex_asked_us = p2p->now_us;
    sb_conn_send(conn, SB_CHANNEL_PEX, sb_buf_bytes(&out));
}

void sb_pex_up(struct sb_conn *conn)
{
    if (!conn->p2p->options.pex) {
        return;
    }
    sb_pex_learn(conn);
    if (conn->info.is_outbound && conn->state == SB_CONN_UP) {
        ask(conn);
    }
}

/* One peer at a time, the one that was not asked for longest. */
void sb_pex_tick(struct sb_p2p *p2p)
{
    tick_save(p2p);
    atomic_store(&p2p->totals.known_addresses, sb_book_count(p2p->book));
    if (!p2p->options.pex || p2p->pex_us > p2p->now_us ||
        sb_book_count(p2p->book) >= WANTED_COUNT) {
        return;
    }
    struct sb_conn *chosen = NULL;
    for (size_t i = 0; i < SB_P2P_SLOTS; i++) {
        struct sb_conn *c = p2p->slots[i];
        if (c != NULL && c->state == SB_CONN_UP && c->info.is_outbound &&
            c->pex_asked_us + ASK_US + ASK_US / 8 < p2p->now_us &&
            (chosen == NULL || c->pex_asked_us < chosen->pex_asked_us)) {
            chosen = c;
        }
    }
    p2p->pex_us = p2p->now_us + ASK_US / 6;
    if (chosen != NULL) {
        ask(chosen);
    }
}

/* ---- answering ---- */

struct telling {
    const struct sb_p2p *p2p;
    const uint8_t *to;
};

static bool may_tell(void *ctx, const struct sb_pex_address *address)
{
    const struct telling *t = ctx;
    return !sb_switch_is_private(t->p2p, address->node_id) &&
           memcmp(address->node_id, t->to, SB_P2P_NODE_ID_BYTES) != 0;
}

static void answer(struct sb_conn *conn)
{
    static _Thread_local uint8_t memory[SB_PEX_BYTES_MAX];
    struct sb_p2p *p2p = conn->p2p;
    struct telling telling = {.p2p = p2p, .to = conn->info.node_id};
    struct sb_buf out = sb_buf_over(memory, sizeof memory);
    p2p->pex.type = SB_PEX_ADDRESSES;
    p2p->pex.count =
        sb_book_sample(p2p->pex.addresses, SB_PEX_ADDRESSES_MAX, p2p->book, may_tell, &telling);
    sb_pex_encode(&out, &p2p->pex);
    sb_conn_send(conn, SB_CHANNEL_PEX, sb_buf_bytes(&out));
}

static void take_request(struct sb_conn *conn)
{
    uint64_t now = conn->p2p->now_us;
    if (conn->pex_window_us + ASK_US <= now) {
        conn->pex_window_us = now;
        conn->pex_requests = 0;
    }
    conn->pex_requests++;
    if (conn->pex_requests > REQUESTS_MAX) {
        sb_offence_count(conn, SB_OFFENCE_SLOW, "addresses are asked for too often");
    } else if (conn->pex_requests == 1 && conn->p2p->options.pex) {
        answer(conn);
    }
}

/* ---- learning ---- */

static void learn(struct sb_conn *conn, const struct sb_pex_address *address)
{
    struct sb_p2p *p2p = conn->p2p;
    if (!sb_switch_is_private(p2p, address->node_id) &&
        memcmp(address->node_id, p2p->node_id, sizeof p2p->node_id) != 0) {
        (void)sb_book_add(p2p->book, address, &conn->endpoint, sb_p2p_wall_s());
    }
}

static void take_addresses(struct sb_conn *conn)
{
    struct sb_p2p *p2p = conn->p2p;
    if (!conn->pex_open) {
        sb_offence_count(conn, SB_OFFENCE_PROTOCOL, "addresses that were not asked for");
        return;
    }
    conn->pex_open = false;
    for (size_t i = 0; i < p2p->pex.count; i++) {
        learn(conn, &p2p->pex.addresses[i]);
    }
    atomic_store(&p2p->totals.known_addresses, sb_book_count(p2p->book));
    if (conn->purpose == SB_PURPOSE_SEED) {
        sb_conn_end(conn, SB_GOODBYE_FEELER);
    }
}

void sb_pex_learn(struct sb_conn *conn)
{
    struct sb_node_address said;
    struct sb_pex_address address = {.endpoint = conn->endpoint};
    if (conn->info.is_outbound || sb_node_address_parse(&said, conn->info.listen, NULL) != SB_OK) {
        return;
    }
    memcpy(address.node_id, conn->info.node_id, sizeof address.node_id);
    struct sb_endpoint spoken;
    if (sb_endpoint_parse(&spoken, said.host, said.port) &&
        sb_endpoint_is_dialable(&spoken, conn->p2p->options.allow_local)) {
        address.endpoint = spoken;
    }
    address.endpoint.port = said.port;
    learn(conn, &address);
}

void sb_pex_message(struct sb_conn *conn, sb_bytes message)
{
    struct sb_p2p *p2p = conn->p2p;
    if (sb_pex_decode(&p2p->pex, message) != SB_OK) {
        sb_offence_count(conn, SB_OFFENCE_PROTOCOL, "a malformed message of addresses");
        return;
    }
    if (p2p->pex.type == SB_PEX_REQUEST) {
        take_request(conn);
    } else {
        take_addresses(conn);
    }
}
