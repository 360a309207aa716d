/* abi.h: the contract ABI of Solidity, as far as the node speaks it: precompiles, system contracts, revert reasons.
 *
 * A tuple is a head of 32-byte words, one for each static value or offset, then a tail with the dynamic values; offsets count from the
 * start of the tuple's own head:
 *
 *     call data = selector (4) | head word 0 | head word 1 | ... | tail: len, bytes padded to 32 | ...
 *
 * Reading takes (tuple, word index) and checks each bound; offsets may point anywhere inside the tuple, as Solidity's own decoder
 * allows, padding is not looked at, and addresses and booleans must be clean (their unused bits zero). Nothing is allocated; spans
 * point into the input. Writing fills the head word by word and appends tails behind it; the buffer's failure is sticky (buf.h).
 * Spec: Solidity, "Contract ABI Specification". */
#ifndef SB_BASE_CODEC_ABI_H
#define SB_BASE_CODEC_ABI_H

#include "base/num/u256.h"
#include "base/types/hash.h"
#include "base/util/buf.h"

#define SB_ABI_WORD_BYTES     32
#define SB_ABI_SELECTOR_BYTES 4

/* sb_abi_selector: first four bytes of keccak256(signature), big-endian: "transfer(address,uint256)" gives 0xa9059cbb. */
uint32_t sb_abi_selector(const char *signature);

/* ---- reading ---- */

/* sb_abi_read_call: split call data. SB_E_TRUNCATED below four bytes. */
sb_err sb_abi_read_call(uint32_t *ret_selector, sb_bytes *ret_tuple,
                        sb_bytes call_data) SB_MUST_USE;

/* Static values at head word word_index of the tuple. SB_E_TRUNCATED outside of it; SB_E_RANGE when the word does not fit the type. */
sb_err sb_abi_read_word(sb_hash *ret, sb_bytes tuple, size_t word_index) SB_MUST_USE;
sb_err sb_abi_read_u256(sb_u256 *ret, sb_bytes tuple, size_t word_index) SB_MUST_USE;
sb_err sb_abi_read_u64(uint64_t *ret, sb_bytes tuple, size_t word_index) SB_MUST_USE;
sb_err sb_abi_read_i64(int64_t *ret, sb_bytes tuple, size_t word_index) SB_MUST_USE;
sb_err sb_abi_read_addr(sb_addr *ret, sb_bytes tuple, size_t word_index) SB_MUST_USE;
sb_err sb_abi_read_bool(bool *ret, sb_bytes tuple, size_t word_index) SB_MUST_USE;

/* sb_abi_read_bytes: `bytes` or `string` whose offset is at word_index; SB_E_LIMIT when longer than len_max. */
sb_err sb_abi_read_bytes(sb_bytes *ret, sb_bytes tuple, size_t word_index,
                         size_t len_max) SB_MUST_USE;
/* sb_abi_read_tuple: a dynamic tuple (or fixed array of dynamic values) whose offset is at word_index. *ret_inner is everything from
 * its start, to be read as a tuple. */
sb_err sb_abi_read_tuple(sb_bytes *ret_inner, sb_bytes tuple, size_t word_index) SB_MUST_USE;
/* sb_abi_read_array: a dynamic array whose offset is at word_index, with words_each head words an element (1 for static words and for
 * elements given by offset). *ret_items is a tuple with at least *ret_count * words_each words. SB_E_LIMIT over count_max elements. */
sb_err sb_abi_read_array(sb_bytes *ret_items, size_t *ret_count, sb_bytes tuple, size_t word_index,
                         size_t words_each, size_t count_max) SB_MUST_USE;

/* ---- writing ---- */

/* A tuple being written. At most one tail is open at a time: an inner tuple is ended before the outer one goes on. */
struct sb_abi_writer {
    struct sb_buf *buf;
    size_t head_start; /* where the head begins in buf: offsets count from here */
    size_t head_next;  /* next word to fill */
    size_t head_end;
};

/* sb_abi_put_selector: the four bytes in front of call data or of a custom error. */
void sb_abi_put_selector(struct sb_buf *buf, uint32_t selector);
/* sb_abi_begin: start a tuple of head_words words (one for each dynamic value) at the end of buf. */
void sb_abi_begin(struct sb_abi_writer *ret, struct sb_buf *buf, size_t head_words);
/* sb_abi_end: all head words were given (asserted). */
void sb_abi_end(struct sb_abi_writer *w);
void sb_abi_put_word(struct sb_abi_writer *w, const uint8_t word[32]);
void sb_abi_put_hash(struct sb_abi_writer *w, const sb_hash *hash);
void sb_abi_put_u256(struct sb_abi_writer *w, const sb_u256 *value);
void sb_abi_put_u64(struct sb_abi_writer *w, uint64_t value);
/* sb_abi_put_i64: sign-extended to 256 bits. */
void sb_abi_put_i64(struct sb_abi_writer *w, int64_t value);
void sb_abi_put_addr(struct sb_abi_writer *w, const sb_addr *addr);
void sb_abi_put_bool(struct sb_abi_writer *w, bool value);
/* sb_abi_put_bytes: `bytes` or `string`: offset in the head, length and padded data in the tail. */
void sb_abi_put_bytes(struct sb_abi_writer *w, sb_bytes bytes);
/* sb_abi_put_tuple: a dynamic tuple in the tail; write it through ret_inner, then sb_abi_end it. */
void sb_abi_put_tuple(struct sb_abi_writer *ret_inner, struct sb_abi_writer *w, size_t head_words);
/* sb_abi_put_array: a dynamic array of count elements, words_each head words each, likewise. */
void sb_abi_put_array(struct sb_abi_writer *ret_inner, struct sb_abi_writer *w, size_t count,
                      size_t words_each);

/* ---- revert data ---- */

enum sb_abi_revert_kind {
    SB_ABI_REVERT_OPAQUE, /* empty or not one of the below */
    SB_ABI_REVERT_ERROR,  /* Error(string): message */
    SB_ABI_REVERT_PANIC,  /* Panic(uint256): panic_code */
    SB_ABI_REVERT_CUSTOM, /* another selector: selector, args */
};

struct sb_abi_revert {
    enum sb_abi_revert_kind kind;
    uint32_t selector; /* all but OPAQUE */
    sb_bytes message;  /* ERROR: not checked to be UTF-8 */
    sb_u256 panic_code;
    sb_bytes args; /* CUSTOM: the tuple behind the selector, whole words */
};

/* sb_abi_put_error: revert data of a custom error with static arguments. */
void sb_abi_put_error(struct sb_buf *buf, uint32_t selector, const sb_u256 *args, size_t arg_count);
/* sb_abi_put_error_string: revert data of Error(string), as `revert("...")` gives. */
void sb_abi_put_error_string(struct sb_buf *buf, const char *message);
/* sb_abi_read_revert: what revert data says. Total: whatever is not well-formed is OPAQUE. Spans point into data. */
struct sb_abi_revert sb_abi_read_revert(sb_bytes data);
/* sb_abi_panic_text: meaning of a Panic code ("arithmetic underflow or overflow"), or "unknown panic code". Static. */
const char *sb_abi_panic_text(const sb_u256 *code);

#endif
