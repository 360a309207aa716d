/* snap_message.c: see snap_message.h. */
#include "node/snap_message.h"

#define QUESTION 1
#define ANSWER   2

void sb_snap_message_encode(struct sb_buf *out, const struct sb_snap_message *message)
{
    size_t mark = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, message->is_answer ? ANSWER : QUESTION);
    sb_rlp_put_u64(out, message->id);
    if (message->is_answer) {
        sb_rlp_put_bool(out, message->found);
    } else {
        sb_rlp_put_u64(out, (uint64_t)message->what);
        sb_rlp_put_u64(out, message->height);
    }
    sb_rlp_put_bytes(out, message->bytes);
    sb_rlp_list_end(out, mark);
}

static sb_err read_question(struct sb_snap_message *message, struct sb_rlp *fields)
{
    uint64_t what;
    SB_TRY(sb_rlp_read_u64(&what, fields));
    SB_TRY(sb_rlp_read_u64(&message->height, fields));
    SB_TRY(sb_rlp_read_bytes(&message->bytes, fields, SB_SNAP_DETAIL_BYTES_MAX));
    if (what < SB_SNAP_LIST || what > SB_SNAP_WHAT_MAX) {
        return SB_E_RANGE;
    }
    message->what = (enum sb_snap_what)what;
    return SB_OK;
}

sb_err sb_snap_message_decode(struct sb_snap_message *ret_message, sb_bytes raw)
{
    struct sb_snap_message message = {.is_answer = false};
    struct sb_rlp in = sb_rlp_open(raw), fields;
    uint64_t kind, id;
    SB_TRY(sb_rlp_read_list(&fields, &in));
    SB_TRY(sb_rlp_end(&in));
    SB_TRY(sb_rlp_read_u64(&kind, &fields));
    SB_TRY(sb_rlp_read_u64(&id, &fields));
    if ((kind != QUESTION && kind != ANSWER) || id > UINT32_MAX) {
        return SB_E_RANGE;
    }
    message.id = (uint32_t)id;
    message.is_answer = kind == ANSWER;
    if (message.is_answer) {
        SB_TRY(sb_rlp_read_bool(&message.found, &fields));
        SB_TRY(sb_rlp_read_bytes(&message.bytes, &fields, SB_SNAP_CONTENT_BYTES_MAX));
        if (!message.found && message.bytes.len != 0) {
            return SB_E_SHAPE;
        }
    } else {
        SB_TRY(read_question(&message, &fields));
    }
    SB_TRY(sb_rlp_end(&fields));
    *ret_message = message;
    return SB_OK;
}

void sb_snap_list_encode(struct sb_buf *out, const struct sb_snap_list *list)
{
    size_t mark = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, list->head);
    size_t heights = sb_rlp_list_begin(out);
    for (size_t i = 0; i < list->count; i++) {
        sb_rlp_put_u64(out, list->heights[i]);
    }
    sb_rlp_list_end(out, heights);
    sb_rlp_list_end(out, mark);
}

sb_err sb_snap_list_decode(struct sb_snap_list *ret_list, sb_bytes raw)
{
    struct sb_snap_list list = {.count = 0};
    struct sb_rlp in = sb_rlp_open(raw), fields, heights;
    SB_TRY(sb_rlp_read_list(&fields, &in));
    SB_TRY(sb_rlp_end(&in));
    SB_TRY(sb_rlp_read_u64(&list.head, &fields));
    SB_TRY(sb_rlp_read_list(&heights, &fields));
    SB_TRY(sb_rlp_end(&fields));
    while (!sb_rlp_done(&heights)) {
        if (list.count == SB_SNAP_SNAPSHOTS_MAX) {
            return SB_E_LIMIT;
        }
        uint64_t height, above = list.count != 0 ? list.heights[list.count - 1] : list.head;
        SB_TRY(sb_rlp_read_u64(&height, &heights));
        if (height == 0 || height >= above) {
            return SB_E_RANGE;
        }
        list.heights[list.count++] = height;
    }
    *ret_list = list;
    return SB_OK;
}

void sb_snap_past_encode(struct sb_buf *out, const struct sb_snap_past *past)
{
    size_t mark = sb_rlp_list_begin(out);
    sb_rlp_put_raw(out, past->header);
    sb_rlp_put_bytes(out, past->ethereum);
    sb_rlp_put_raw(out, past->evidence);
    sb_rlp_put_bytes(out, past->set);
    sb_rlp_list_end(out, mark);
}

sb_err sb_snap_past_read(struct sb_snap_past *ret_past, struct sb_rlp *list)
{
    struct sb_rlp fields;
    struct sb_rlp_item header, evidence;
    struct sb_snap_past past;
    SB_TRY(sb_rlp_read_list(&fields, list));
    SB_TRY(sb_rlp_read_item(&header, &fields));
    SB_TRY(sb_rlp_read_bytes(&past.ethereum, &fields, SB_SNAP_CONTENT_BYTES_MAX));
    SB_TRY(sb_rlp_read_item(&evidence, &fields));
    SB_TRY(sb_rlp_read_bytes(&past.set, &fields, SB_SNAP_CONTENT_BYTES_MAX));
    SB_TRY(sb_rlp_end(&fields));
    past.header = header.raw;
    past.evidence = evidence.raw;
    *ret_past = past;
    return SB_OK;
}
