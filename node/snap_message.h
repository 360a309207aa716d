/* snap_message.h: questions and answers of a state sync, as bytes (docs/spec/state-sync.md, section 4). Channel SNAPSHOT.
 *
 *      question = rlp([1, id, what, height, detail])          answer = rlp([2, id, found, content])
 *
 * The asker chooses ids; an answer names the question that it belongs to. Pure; strict and bounded; nothing is allocated. */
#ifndef SB_NODE_SNAP_MESSAGE_H
#define SB_NODE_SNAP_MESSAGE_H

#include "base/codec/rlp.h"
#include "base/util/buf.h"

/* What a question is about; beside it: height, detail -> content. */
enum sb_snap_what {
    SB_SNAP_LIST =
        1, /* 0, "" -> rlp([head, [height, ...]]): snapshots, newest first, whose next block is there, too */
    SB_SNAP_LIGHT = 2,    /* height -> light block */
    SB_SNAP_PIECE = 3,    /* height of a snapshot, request (storage/subtree.h) -> answer */
    SB_SNAP_BLOCK = 4,    /* height -> encoded consensus block */
    SB_SNAP_RECEIPTS = 5, /* height -> rlp([[receipt, ...], inference records or ""]) */
    SB_SNAP_ROTATION = 6, /* height of a snapshot -> rotation of the next height */
    SB_SNAP_BLOBS =
        7, /* height of a snapshot, id or "" -> ids of blobs above it, one after the other; none: that was all */
    SB_SNAP_PAST =
        8, /* height, flag -> rlp of a list of what is kept of this height and those below it (struct sb_snap_past) */
};
#define SB_SNAP_WHAT_MAX          SB_SNAP_PAST

#define SB_SNAP_DETAIL_BYTES_MAX  160
#define SB_SNAP_CONTENT_BYTES_MAX ((size_t)10 << 20)
#define SB_SNAP_SNAPSHOTS_MAX     16
#define SB_SNAP_BLOBS_MAX         4096 /* ids in an answer */

struct sb_snap_message {
    bool is_answer;
    uint32_t id;
    /* of a question */
    enum sb_snap_what what;
    uint64_t height;
    /* of an answer */
    bool found;
    sb_bytes bytes; /* detail or content; borrowed */
};

void sb_snap_message_encode(struct sb_buf *out, const struct sb_snap_message *message);
/* sb_snap_message_decode: encode gives these very bytes. The errors of the RLP reader, SB_E_RANGE, SB_E_SHAPE. */
sb_err sb_snap_message_decode(struct sb_snap_message *ret_message, sb_bytes raw) SB_MUST_USE;

/* What a peer offers. */
struct sb_snap_list {
    uint64_t head;
    uint64_t heights[SB_SNAP_SNAPSHOTS_MAX]; /* descending */
    size_t count;
};
void sb_snap_list_encode(struct sb_buf *out, const struct sb_snap_list *list);
sb_err sb_snap_list_decode(struct sb_snap_list *ret_list, sb_bytes raw) SB_MUST_USE;

/* One height of an answer to PAST, descending: rlp([consensus header, Ethereum header or "", [evidence, ...], set or ""]). The set of the
 * height stands there when the height above has another; the Ethereum header when the flag of the question was not "". */
struct sb_snap_past {
    sb_bytes header;   /* rlp of the consensus header */
    sb_bytes ethereum; /* rlp of the header; empty */
    sb_bytes evidence; /* rlp of the list */
    sb_bytes set;      /* rlp of the set; empty */
};
void sb_snap_past_encode(struct sb_buf *out, const struct sb_snap_past *past);
/* sb_snap_past_read: the next one of a list. */
sb_err sb_snap_past_read(struct sb_snap_past *ret_past, struct sb_rlp *list) SB_MUST_USE;

#endif
