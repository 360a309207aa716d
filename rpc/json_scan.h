/* json_scan.h: strict check of JSON text and walking over checked text by spans, without a tree.
 *
 * The envelope of a request (id, method, params) is read by these spans, so that an id is echoed exactly as it was written and a batch
 * costs no memory; only params become a tree, one request at a time. The check bounds depth and number of values before anything
 * is parsed. Nothing here allocates or recurses. Spec: RFC 8259; text must be UTF-8 without lone surrogates' encodings. */
#ifndef SB_RPC_JSON_SCAN_H
#define SB_RPC_JSON_SCAN_H

#include "base/util/err.h"
#include "base/util/span.h"

/* Deepest nesting that the scanner can follow. */
#define SB_RPC_JSON_DEPTH_MAX 64

struct sb_rpc_json_limits {
    unsigned depth_max;     /* containers open at once; at most SB_RPC_JSON_DEPTH_MAX */
    size_t value_count_max; /* values and keys in the whole text */
};

/* sb_rpc_json_check: text is exactly one JSON value with white space around it. SB_E_SYNTAX (message names the byte), SB_E_LIMIT. */
sb_err sb_rpc_json_check(sb_bytes text, const struct sb_rpc_json_limits *limits,
                         struct sb_diag *diag) SB_MUST_USE;

/* sb_rpc_json_trim: checked text without the white space around its value. */
sb_bytes sb_rpc_json_trim(sb_bytes text);

/* Cursor over the items of a checked array or object. */
struct sb_rpc_json_items {
    const uint8_t *at;
    const uint8_t *end;
    bool is_object;
};

/* sb_rpc_json_open: container is the trimmed text of a checked array or object. */
struct sb_rpc_json_items sb_rpc_json_open(sb_bytes container);
/* sb_rpc_json_next: the next element, or member with its key (source text between the quotes; empty for an array). False at the end. */
bool sb_rpc_json_next(struct sb_rpc_json_items *items, sb_bytes *ret_key, sb_bytes *ret_value);

#endif
