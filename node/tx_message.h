/* tx_message.h: the message of the TX channel: a list of raw transactions (docs/spec/gossip.md 6).
 *
 *      message = [raw, ...]      one or more, each as in eth_sendRawTransaction
 *
 * What is in a raw transaction is the pool's business. Reading copies nothing and takes no memory. */
#ifndef SB_NODE_TX_MESSAGE_H
#define SB_NODE_TX_MESSAGE_H

#include "base/codec/rlp.h"

struct sb_tx_message {
    struct sb_rlp items; /* still to come */
};

/* sb_tx_message_open: the errors of rlp.h; SB_E_SHAPE when the list is empty.
 * sb_tx_message_next: *ret_has_one is false at the end. Errors of rlp.h; SB_E_LIMIT for a transaction over SB_TX_BYTES_MAX. *ret_raw
 * borrows from the message. */
sb_err sb_tx_message_open(struct sb_tx_message *ret, sb_bytes message) SB_MUST_USE;
sb_err sb_tx_message_next(bool *ret_has_one, sb_bytes *ret_raw,
                          struct sb_tx_message *message) SB_MUST_USE;

/* Writing: begin, put each, end: sb_tx_message_end gives what became of the buffer (sb_buf_err). */
size_t sb_tx_message_begin(struct sb_buf *out);
void sb_tx_message_put(struct sb_buf *out, sb_bytes raw);
sb_err sb_tx_message_end(struct sb_buf *out, size_t mark) SB_MUST_USE;

#endif
