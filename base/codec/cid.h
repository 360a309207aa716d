/* cid.h: IPFS content identifiers of files, profile unixfs-v1-2025 (IPIP-499).
 *
 *     file -> chunks of 1 MiB -> sha2-256 each                one chunk:  its raw leaf is the root (codec 0x55)
 *        root                                                 more:       nodes of up to 1,024 links, level by level,
 *       /    \                                                            dag-pb (codec 0x70) around UnixFS
 *     node .. node
 *     / | \   / |
 *     raw leaves (all at equal depth)
 *
 *     CID, binary = 01 | codec | 12 20 | digest (36 bytes);  text = 'b' + lower-case base32 without padding (59 characters)
 *
 * Only such CIDs are known: version 1, raw or dag-pb, sha2-256. Base32 with bits set in its padding is refused, so each CID has one
 * text. Spec: multiformats CID, dag-pb, UnixFS; byte order of a node: links first, then data. */
#ifndef SB_BASE_CODEC_CID_H
#define SB_BASE_CODEC_CID_H

#include "base/crypto/sha256_portable.h"
#include "base/types/hash.h"
#include "base/util/err.h"
#include "base/util/span.h"

#define SB_CID_BYTES       36
#define SB_CID_TEXT_LEN    59
#define SB_CID_CHUNK_BYTES ((size_t)1 << 20)
#define SB_CID_WIDTH       1024
/* Two levels of links above the leaves: files up to 1 TiB. */
#define SB_CID_LEVEL_COUNT    2
#define SB_CID_FILE_BYTES_MAX ((uint64_t)1 << 40)
#define SB_VARINT_BYTES_MAX   10

enum sb_cid_codec {
    SB_CID_RAW = 0x55,
    SB_CID_DAG_PB = 0x70,
};

typedef struct sb_cid {
    enum sb_cid_codec codec;
    sb_hash digest; /* sha2-256 of the block that the CID names */
} sb_cid;

/* sb_cid_store, sb_cid_load: binary form. load: SB_E_SHAPE for another length, SB_E_UNSUPPORTED for another version, codec or hash. */
void sb_cid_store(uint8_t ret[SB_CID_BYTES], const sb_cid *cid);
sb_err sb_cid_load(sb_cid *ret, sb_bytes bytes) SB_MUST_USE;
/* sb_cid_format: text with terminator. sb_cid_parse: errors of sb_cid_load, and SB_E_SYNTAX, SB_E_NON_CANONICAL for the text. */
void sb_cid_format(char ret[SB_CID_TEXT_LEN + 1], const sb_cid *cid);
sb_err sb_cid_parse(sb_cid *ret, const char *text, size_t len) SB_MUST_USE;

/* sb_varint_store: unsigned LEB128; returns the length. sb_varint_load: *ret_len bytes consumed; SB_E_TRUNCATED, SB_E_RANGE over 64
 * bits, SB_E_NON_CANONICAL for a form longer than needed. */
size_t sb_varint_store(uint8_t ret[SB_VARINT_BYTES_MAX], uint64_t value);
sb_err sb_varint_load(uint64_t *ret, size_t *ret_len, sb_bytes bytes) SB_MUST_USE;

/* Called for each dag-pb node, children before parents; block is valid during the call. (Leaves are the file's own chunks.) */
typedef void (*sb_cid_node_fn)(void *ctx, const sb_cid *cid, sb_bytes block);

struct sb_cid_builder;

/* sb_cid_builder_new: computes the root CID of a file given piece by piece; owned by the caller, NULL when out of memory. on_node may
 * be NULL. About 200 KiB, whatever the file. */
struct sb_cid_builder *sb_cid_builder_new(sb_cid_node_fn on_node, void *ctx);
void sb_cid_builder_free(struct sb_cid_builder *builder);
/* sb_cid_builder_add: next bytes of the file. SB_E_LIMIT over SB_CID_FILE_BYTES_MAX. */
sb_err sb_cid_builder_add(struct sb_cid_builder *builder, sb_bytes part) SB_MUST_USE;
/* sb_cid_builder_root: the root; the builder is empty again afterwards. */
sb_cid sb_cid_builder_root(struct sb_cid_builder *builder);
/* sb_cid_of: root of a file in memory. SB_E_NOMEM, SB_E_LIMIT. */
sb_err sb_cid_of(sb_cid *ret, sb_bytes file) SB_MUST_USE;

#endif
