/* tx_message.c: see tx_message.h. */
#include "node/tx_message.h"

#include "base/types/tx.h"

sb_err sb_tx_message_open(struct sb_tx_message *ret, sb_bytes message)
{
    struct sb_rlp in = sb_rlp_open(message), items;
    SB_TRY(sb_rlp_read_list(&items, &in));
    SB_TRY(sb_rlp_end(&in));
    if (sb_rlp_done(&items)) {
        return SB_E_SHAPE;
    }
    *ret = (struct sb_tx_message){.items = items};
    return SB_OK;
}

sb_err sb_tx_message_next(bool *ret_has_one, sb_bytes *ret_raw, struct sb_tx_message *message)
{
    if (sb_rlp_done(&message->items)) {
        *ret_has_one = false;
        return SB_OK;
    }
    SB_TRY(sb_rlp_read_bytes(ret_raw, &message->items, SB_TX_BYTES_MAX));
    *ret_has_one = true;
    return SB_OK;
}

size_t sb_tx_message_begin(struct sb_buf *out)
{
    return sb_rlp_list_begin(out);
}

void sb_tx_message_put(struct sb_buf *out, sb_bytes raw)
{
    sb_rlp_put_bytes(out, raw);
}

sb_err sb_tx_message_end(struct sb_buf *out, size_t mark)
{
    sb_rlp_list_end(out, mark);
    return sb_buf_err(out);
}
