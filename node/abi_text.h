/* abi_text.h: contract calls as people write them: signatures, arguments and results as text, over base/codec/abi.h.
 *
 *     look(bytes)(uint8,int256)     name, types of the arguments, types of the results (optional)
 *     12  0x0c  -3  1.25e18         integers: decimal, hexadecimal, or with a power of ten that makes them whole
 *     true  0x00ff  any text        bool; address, bytes and bytesN; string
 *     [1,2,3]                       arrays; their strings hold no comma
 *
 * Types: uintN, intN, address, bool, bytesN, bytes, string, and one-dimensional arrays of them (T[], T[n]); tuples are not known. */
#ifndef SB_NODE_ABI_TEXT_H
#define SB_NODE_ABI_TEXT_H

#include "base/codec/abi.h"
#include "base/util/buf.h"

#define SB_ABI_PARAMS_MAX 32
#define SB_ABI_NAME_BYTES 64
/* Elements of an array that are read or written. */
#define SB_ABI_ELEMENTS_MAX ((size_t)1 << 20)
#define SB_ABI_TEXT_MAX     ((size_t)16 << 20)

enum sb_abi_kind {
    SB_ABI_UINT,
    SB_ABI_INT,
    SB_ABI_ADDRESS,
    SB_ABI_BOOL,
    SB_ABI_FIXED_BYTES,
    SB_ABI_BYTES,
    SB_ABI_STRING,
};

struct sb_abi_type {
    enum sb_abi_kind kind;
    uint16_t size; /* bits of integers, bytes of bytesN */
    bool is_array;
    uint32_t array_len; /* 0: any length, T[] */
};

struct sb_abi_param {
    struct sb_abi_type type;
    char name[SB_ABI_NAME_BYTES]; /* "" when it has none */
    bool indexed;                 /* events */
};

/* A function, a constructor (name ""), an event or an error. */
struct sb_abi_item {
    char name[SB_ABI_NAME_BYTES];
    struct sb_abi_param inputs[SB_ABI_PARAMS_MAX];
    size_t input_count;
    struct sb_abi_param outputs[SB_ABI_PARAMS_MAX];
    size_t output_count;
};

/* sb_abi_type_parse: one type, of text_len characters; "uint" and "int" are 256 bits. SB_E_SYNTAX, SB_E_UNSUPPORTED. */
sb_err sb_abi_type_parse(struct sb_abi_type *ret_type, const char *text, size_t text_len,
                         struct sb_diag *diag) SB_MUST_USE;
/* sb_abi_item_parse: a signature as above. SB_E_SYNTAX, SB_E_LIMIT, SB_E_UNSUPPORTED. */
sb_err sb_abi_item_parse(struct sb_abi_item *ret_item, const char *signature,
                         struct sb_diag *diag) SB_MUST_USE;
/* sb_abi_item_signature: append the canonical form, name(type,...), that selectors and topics are hashes of. */
void sb_abi_item_signature(struct sb_buf *out, const struct sb_abi_item *item);
/* sb_abi_item_topic: keccak256 of it. Its first four bytes are the selector. */
sb_hash sb_abi_item_topic(const struct sb_abi_item *item);

/* sb_abi_encode_texts: append the tuple of the arguments. texts [count]. SB_E_SHAPE for a wrong count; else the message names the
 * argument. */
sb_err sb_abi_encode_texts(struct sb_buf *out, const struct sb_abi_param *params,
                           size_t param_count, const char *const *texts, size_t count,
                           struct sb_diag *diag) SB_MUST_USE;

/* sb_abi_format: append one value of a tuple as text: what sb_abi_encode_texts reads. Errors as base/codec/abi.h. */
sb_err sb_abi_format(struct sb_buf *out, const struct sb_abi_type *type, sb_bytes tuple,
                     size_t word_index) SB_MUST_USE;
/* sb_abi_format_params: "name: value, name: value" for all of a tuple. */
sb_err sb_abi_format_params(struct sb_buf *out, const struct sb_abi_param *params, size_t count,
                            sb_bytes tuple) SB_MUST_USE;
/* sb_abi_words: head words that a value takes. */
size_t sb_abi_words(const struct sb_abi_type *type);

/* sb_abi_number_parse: an integer as above, signed: two's complement. SB_E_SYNTAX, SB_E_RANGE when it has no 256 bits. */
sb_err sb_abi_number_parse(sb_u256 *ret, bool *ret_negative, const char *text,
                           size_t text_len) SB_MUST_USE;

#endif
