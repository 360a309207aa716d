/* state_sync_impl.h: the inside of a state sync, for its own files alone.
 *
 *      state_sync.c          the order of things; choosing again when a snapshot is gone
 *      state_sync_peers.c    peers, questions and their answers, faults
 *      state_sync_headers.c  from the trusted header to a snapshot's, and its block
 *      state_sync_state.c    pieces; blobs and whether they are all
 *      state_sync_past.c     what evidence needs of the heights below
 *      state_sync_finish.c   rotations, records, the head */
#ifndef SB_NODE_STATE_SYNC_IMPL_H
#define SB_NODE_STATE_SYNC_IMPL_H

#include "base/types/block.h"
#include "consensus/light.h"
#include "consensus/light_block.h"
#include "node/chain_impl.h"
#include "node/snap_message.h"
#include "node/state_sync.h"
#include "storage/restore.h"

#define SYNC_QUESTIONS_MAX 128
#define SYNC_PEER_OPEN_MAX 8
#define SYNC_SLOW_MAX      3
#define SYNC_LIGHT_BYTES   ((size_t)4 << 20)
#define SYNC_BLOCK_BYTES   ((size_t)1 << 30)

struct sync_peer {
    bool is_used;
    bool is_out;  /* lied, or does not answer: not asked again */
    bool is_gone; /* not connected any more */
    sb_peer id;
    char name[SB_STATE_SYNC_NAME_MAX];
    bool has_list;
    struct sb_snap_list list;
    bool is_asked; /* for it, at */
    uint64_t listed_ms;
    uint32_t open, slow;
};

struct sync_question {
    bool is_used;
    bool is_lost; /* its peer is gone or its time is up */
    uint32_t id;
    struct sync_peer *peer;
    enum sb_snap_what what;
    uint64_t due_ms;
    struct sb_subtree_request request; /* of PIECE */
};

/* A light block with all that it points to. */
struct sync_light {
    struct sb_arena arena;
    struct sb_light_block_parts parts;
    struct sb_light_source source;
    struct sb_light_sig sigs[SB_VALIDATORS_MAX];
    struct sb_light_block block;
};

struct state_sync {
    const struct sb_state_sync_options *o;
    struct sb_chain_domain domain;
    struct sb_light_chain light_chain;
    struct sb_light_codec codec;
    struct sb_light_options light;
    struct sync_peer peers[SB_STATE_SYNC_PEERS_MAX];
    struct sync_question questions[SYNC_QUESTIONS_MAX];
    uint32_t next_id;
    uint32_t turn;     /* who is asked first for pieces */
    struct sb_buf out; /* the message that is written */
    uint64_t begun_ms, moved_ms, logged_ms, logged_bytes;
    uint32_t dropped_count;
    uint32_t headers_left; /* so many headers count as something new: asking in a circle must end */
    uint64_t past_lowest;  /* likewise: heights below this one do */

    /* the snapshot that was chosen */
    uint64_t height;
    struct sync_light *at, *next,
        *spare;            /* its light block and that of the next height; one to work with */
    struct sb_arena arena; /* block and receipts */
    struct sb_consensus_block block;
    struct sb_block ethereum;
    sb_hash ethereum_hash;
    sb_bytes ethereum_header, body;
    const sb_bytes *receipts;
    sb_bytes inferences;
    struct sb_restore *restore;
    uint64_t past_count;
};

static inline uint64_t sync_now(const struct state_sync *s)
{
    return s->o->wire.monotonic_ms(s->o->wire.ctx);
}

/* ---- state_sync_peers.c ---- */

/* An answer to an open question, or a question that was lost. */
struct sync_answer {
    bool has_question;
    struct sync_question question; /* closed already */
    bool found;
    sb_bytes content; /* valid until the next pump */
};
/* sync_pump: take one event, within a time; lists of peers are asked for and taken on the way. SB_E_CANCELLED, SB_E_TIMEOUT (nothing new for
 * too long). */
sb_err sync_pump(struct sync_answer *ret_answer, struct state_sync *s,
                 uint64_t timeout_ms) SB_MUST_USE;
/* sync_send: a question; false: it could not be sent. */
bool sync_send(struct state_sync *s, struct sync_peer *peer, enum sb_snap_what what,
               uint64_t height, sb_bytes detail, const struct sb_subtree_request *request);
/* sync_ask: a question and its answer. SB_E_NOT_FOUND: the peer has it not, or does not answer. */
sb_err sync_ask(sb_bytes *ret_content, struct state_sync *s, struct sync_peer *peer,
                enum sb_snap_what what, uint64_t height, sb_bytes detail) SB_MUST_USE;
/* sync_accuse: the peer lied: it is reported, named and not asked again. */
void sync_accuse(struct state_sync *s, struct sync_peer *peer, const char *what, const char *why);
/* sync_offers: the peer may be asked and says that it has the snapshot. */
bool sync_offers(const struct sync_peer *peer, uint64_t height);
/* sync_moved: something new is here. */
void sync_moved(struct state_sync *s);

/* ---- state_sync_headers.c ---- */

struct sync_light *sync_light_new(void);
void sync_light_free(struct sync_light *light);
/* sync_headers: verify the header of a snapshot and of the next height: at, next. SB_E_NOT_FOUND: no honest peer gives it. */
sb_err sync_headers(struct state_sync *s, uint64_t height, struct sb_diag *diag) SB_MUST_USE;
/* sync_block: the snapshot's block with its receipts. */
sb_err sync_block(struct state_sync *s) SB_MUST_USE;

/* ---- state_sync_state.c, _past.c, _finish.c; SB_E_NOT_FOUND: no peer has this snapshot any more ---- */

sb_err sync_state(struct state_sync *s, struct sb_diag *diag) SB_MUST_USE;
sb_err sync_blobs(struct state_sync *s, struct sb_diag *diag) SB_MUST_USE;
sb_err sync_past(struct state_sync *s) SB_MUST_USE;
sb_err sync_finish(struct state_sync *s, struct sb_diag *diag) SB_MUST_USE;

#endif
