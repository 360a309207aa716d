/* cid.c: content identifiers and the balanced UnixFS tree; see cid.h.
 *
 * The builder holds one level of links for each height. A level that is full when the next link comes is written as a node and
 * becomes one link of the level above:
 *
 *     level[1]   [ node node node ............ ]      1 link = up to 1 GiB
 *     level[0]   [ leaf leaf leaf leaf ....... ]      1 link = 1 MiB
 *     leaf       SHA-256 of the chunk that is being read
 *
 * At the end the open levels are closed from below; the only link of the topmost one is the root. */
#include "base/codec/cid.h"

#include <stdlib.h>

#include "base/util/assert.h"
#include "base/util/buf.h"

#define MULTIHASH_SHA2_256 0x12
#define UNIXFS_TYPE_FILE   2
/* Protobuf tags: field number << 3 | wire type (0 varint, 2 length-delimited). */
#define TAG_VARINT(field) ((field) << 3)
#define TAG_BYTES(field)  ((field) << 3 | 2)
/* A link is at most 62 bytes in dag-pb and 11 in UnixFS; the rest is headers. */
#define NODE_BYTES_MAX ((size_t)SB_CID_WIDTH * 80 + 64)

struct link {
    sb_cid cid;
    uint64_t total_bytes; /* Tsize: the block and all below it */
    uint64_t file_bytes;  /* bytes of the file below it */
};

struct level {
    size_t link_count;
    struct link links[SB_CID_WIDTH];
};

struct sb_cid_builder {
    sb_cid_node_fn on_node;
    void *ctx;
    uint64_t file_bytes;
    uint64_t chunk_bytes; /* of the chunk being read */
    struct sb_sha256_portable chunk;
    struct level levels[SB_CID_LEVEL_COUNT];
    struct sb_buf node; /* scratch: a whole dag-pb block */
    struct sb_buf data; /* scratch: its UnixFS part */
};

/* ---- binary and text ---- */

void sb_cid_store(uint8_t ret[SB_CID_BYTES], const sb_cid *cid)
{
    ret[0] = 1;
    ret[1] = (uint8_t)cid->codec;
    ret[2] = MULTIHASH_SHA2_256;
    ret[3] = sizeof cid->digest.b;
    memcpy(ret + 4, cid->digest.b, sizeof cid->digest.b);
}

sb_err sb_cid_load(sb_cid *ret, sb_bytes bytes)
{
    if (bytes.len != SB_CID_BYTES) {
        return SB_E_SHAPE;
    }
    const uint8_t *b = bytes.data;
    if (b[0] != 1 || (b[1] != SB_CID_RAW && b[1] != SB_CID_DAG_PB) || b[2] != MULTIHASH_SHA2_256 ||
        b[3] != 32) {
        return SB_E_UNSUPPORTED;
    }
    ret->codec = (enum sb_cid_codec)b[1];
    memcpy(ret->digest.b, b + 4, sizeof ret->digest.b);
    return SB_OK;
}

static const char k_base32[] = "abcdefghijklmnopqrstuvwxyz234567";

void sb_cid_format(char ret[SB_CID_TEXT_LEN + 1], const sb_cid *cid)
{
    uint8_t bytes[SB_CID_BYTES];
    sb_cid_store(bytes, cid);
    size_t len = 0;
    uint32_t waiting = 0; /* bits not written yet, the lowest bit_count of it */
    unsigned bit_count = 0;
    ret[len++] = 'b';
    for (size_t i = 0; i < sizeof bytes; i++) {
        waiting = waiting << 8 | bytes[i];
        bit_count += 8;
        while (bit_count >= 5) {
            bit_count -= 5;
            ret[len++] = k_base32[waiting >> bit_count & 31];
        }
    }
    ret[len++] = k_base32[waiting << (5 - bit_count) & 31];
    ret[len] = '\0';
    SB_ASSERT(len == SB_CID_TEXT_LEN);
}

static int base32_digit(char c)
{
    return c >= 'a' && c <= 'z' ? c - 'a' : c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

sb_err sb_cid_parse(sb_cid *ret, const char *text, size_t len)
{
    if (len != SB_CID_TEXT_LEN) {
        return SB_E_SHAPE;
    }
    if (text[0] != 'b') {
        return SB_E_SYNTAX;
    }
    uint8_t bytes[SB_CID_BYTES];
    size_t byte_count = 0;
    uint32_t waiting = 0;
    unsigned bit_count = 0;
    for (size_t i = 1; i < len; i++) {
        int digit = base32_digit(text[i]);
        if (digit < 0) {
            return SB_E_SYNTAX;
        }
        waiting = (waiting << 5 | (uint32_t)digit) & 0xfff;
        bit_count += 5;
        if (bit_count >= 8) {
            bit_count -= 8;
            bytes[byte_count++] = (uint8_t)(waiting >> bit_count);
        }
    }
    if ((waiting & ((1u << bit_count) - 1)) != 0) {
        return SB_E_NON_CANONICAL;
    }
    return sb_cid_load(ret, sb_span(bytes, byte_count));
}

size_t sb_varint_store(uint8_t ret[SB_VARINT_BYTES_MAX], uint64_t value)
{
    size_t len = 0;
    while (value >= 0x80) {
        ret[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    ret[len++] = (uint8_t)value;
    return len;
}

sb_err sb_varint_load(uint64_t *ret, size_t *ret_len, sb_bytes bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t b = bytes.data[i];
        if (i == SB_VARINT_BYTES_MAX - 1 && b > 1) {
            return SB_E_RANGE;
        }
        value |= (uint64_t)(b & 0x7f) << (7 * i);
        if (b < 0x80) {
            if (b == 0 && i > 0) {
                return SB_E_NON_CANONICAL;
            }
            *ret = value;
            *ret_len = i + 1;
            return SB_OK;
        }
    }
    return SB_E_TRUNCATED;
}

/* ---- nodes ---- */

static void put_varint(struct sb_buf *buf, uint64_t value)
{
    uint8_t bytes[SB_VARINT_BYTES_MAX];
    sb_buf_add(buf, bytes, sb_varint_store(bytes, value));
}

static void put_varint_field(struct sb_buf *buf, uint8_t field, uint64_t value)
{
    sb_buf_add_byte(buf, (uint8_t)TAG_VARINT(field));
    put_varint(buf, value);
}

static void put_bytes_field(struct sb_buf *buf, uint8_t field, sb_bytes bytes)
{
    sb_buf_add_byte(buf, (uint8_t)TAG_BYTES(field));
    put_varint(buf, bytes.len);
    sb_buf_add(buf, bytes.data, bytes.len);
}

/* PBLink { Hash = 1, Name = 2 (present, empty), Tsize = 3 } as field 2 of the node. */
static void put_link(struct sb_buf *node, const struct link *link)
{
    uint8_t cid[SB_CID_BYTES];
    uint8_t size[SB_VARINT_BYTES_MAX];
    sb_cid_store(cid, &link->cid);
    size_t size_len = sb_varint_store(size, link->total_bytes);
    sb_buf_add_byte(node, TAG_BYTES(2));
    put_varint(node, 2 + SB_CID_BYTES + 2 + 1 + size_len);
    put_bytes_field(node, 1, sb_span(cid, sizeof cid));
    put_bytes_field(node, 2, sb_span(NULL, 0));
    put_varint_field(node, 3, link->total_bytes);
}

/* The node over all links of the level, which becomes empty; *ret_link names the node. The scratch buffers are large enough for
 * every node, and their memory was taken when the builder was made. */
static void close_level(struct link *ret_link, struct sb_cid_builder *b, struct level *level)
{
    sb_buf_reset(&b->node);
    sb_buf_reset(&b->data);
    struct link link = {.cid.codec = SB_CID_DAG_PB};
    for (size_t i = 0; i < level->link_count; i++) {
        put_link(&b->node, &level->links[i]);
        link.total_bytes += level->links[i].total_bytes;
        link.file_bytes += level->links[i].file_bytes;
    }
    put_varint_field(&b->data, 1, UNIXFS_TYPE_FILE);
    put_varint_field(&b->data, 3, link.file_bytes);
    for (size_t i = 0; i < level->link_count; i++) {
        put_varint_field(&b->data, 4, level->links[i].file_bytes);
    }
    put_bytes_field(&b->node, 1, sb_buf_bytes(&b->data));
    SB_ASSERT(!b->node.failed && !b->data.failed);
    link.cid.digest = sb_sha256_portable(sb_buf_bytes(&b->node));
    link.total_bytes += b->node.len;
    level->link_count = 0;
    if (b->on_node != NULL) {
        b->on_node(b->ctx, &link.cid, sb_buf_bytes(&b->node));
    }
    *ret_link = link;
}

/* ---- builder ---- */

static void builder_reset(struct sb_cid_builder *b)
{
    b->file_bytes = 0;
    b->chunk_bytes = 0;
    sb_sha256_portable_init(&b->chunk);
    for (size_t i = 0; i < SB_CID_LEVEL_COUNT; i++) {
        b->levels[i].link_count = 0;
    }
}

struct sb_cid_builder *sb_cid_builder_new(sb_cid_node_fn on_node, void *ctx)
{
    struct sb_cid_builder *b = malloc(sizeof *b);
    if (b == NULL) {
        return NULL;
    }
    b->on_node = on_node;
    b->ctx = ctx;
    builder_reset(b);
    sb_buf_init(&b->node, NODE_BYTES_MAX);
    sb_buf_init(&b->data, NODE_BYTES_MAX);
    if (sb_buf_grow(&b->node, NODE_BYTES_MAX) == NULL ||
        sb_buf_grow(&b->data, NODE_BYTES_MAX) == NULL) {
        sb_cid_builder_free(b);
        return NULL;
    }
    return b;
}

void sb_cid_builder_free(struct sb_cid_builder *builder)
{
    if (builder != NULL) {
        sb_buf_fini(&builder->node);
        sb_buf_fini(&builder->data);
        free(builder);
    }
}

/* Append a link to the lowest level, closing full levels on the way up. */
static void add_link(struct sb_cid_builder *b, const struct link *link)
{
    struct link next = *link;
    for (size_t i = 0; i < SB_CID_LEVEL_COUNT; i++) {
        struct level *level = &b->levels[i];
        struct link node;
        bool full = level->link_count == SB_CID_WIDTH;
        if (full) {
            close_level(&node, b, level);
        }
        level->links[level->link_count] = next;
        level->link_count += 1;
        if (!full) {
            return;
        }
        next = node;
    }
    SB_UNREACHABLE(); /* the bound on the file's size leaves the top level room */
}

static void finish_chunk(struct sb_cid_builder *b)
{
    struct link leaf = {
        .cid = {.codec = SB_CID_RAW, .digest = sb_sha256_portable_final(&b->chunk)},
        .total_bytes = b->chunk_bytes,
        .file_bytes = b->chunk_bytes,
    };
    add_link(b, &leaf);
    b->chunk_bytes = 0;
    sb_sha256_portable_init(&b->chunk);
}

sb_err sb_cid_builder_add(struct sb_cid_builder *builder, sb_bytes part)
{
    struct sb_cid_builder *b = builder;
    if (part.len > SB_CID_FILE_BYTES_MAX - b->file_bytes) {
        return SB_E_LIMIT;
    }
    b->file_bytes += part.len;
    const uint8_t *at = part.data;
    size_t left = part.len;
    while (left > 0) {
        if (b->chunk_bytes == SB_CID_CHUNK_BYTES) {
            finish_chunk(b);
        }
        size_t room = SB_CID_CHUNK_BYTES - (size_t)b->chunk_bytes;
        size_t step = left < room ? left : room;
        sb_sha256_portable_update(&b->chunk, sb_span(at, step));
        b->chunk_bytes += step;
        at += step;
        left -= step;
    }
    return SB_OK;
}

sb_cid sb_cid_builder_root(struct sb_cid_builder *builder)
{
    struct sb_cid_builder *b = builder;
    /* The last chunk is never empty, but for the empty file, whose one leaf is. */
    finish_chunk(b);
    size_t top = 0;
    for (size_t i = 0; i < SB_CID_LEVEL_COUNT; i++) {
        top = b->levels[i].link_count > 0 ? i : top;
    }
    struct link root;
    for (size_t i = 0; i < top; i++) {
        struct level *above = &b->levels[i + 1];
        close_level(&root, b, &b->levels[i]);
        SB_ASSERT(above->link_count < SB_CID_WIDTH);
        above->links[above->link_count] = root;
        above->link_count += 1;
    }
    if (b->levels[top].link_count == 1) {
        root = b->levels[top].links[0];
    } else {
        close_level(&root, b, &b->levels[top]);
    }
    builder_reset(b);
    return root.cid;
}

sb_err sb_cid_of(sb_cid *ret, sb_bytes file)
{
    struct sb_cid_builder *b = sb_cid_builder_new(NULL, NULL);
    if (b == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = sb_cid_builder_add(b, file);
    if (err == SB_OK) {
        *ret = sb_cid_builder_root(b);
    }
    sb_cid_builder_free(b);
    return err;
}
