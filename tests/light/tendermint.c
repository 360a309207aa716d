/* tendermint.c: reading, encoding and hashing of tendermint.h: protobuf by hand, SHA-256 Merkle trees as in RFC 6962. */
#include "tests/light/tendermint.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec/hex.h"
#include "base/crypto/ed25519.h"
#include "base/crypto/hash.h"
#include "base/util/assert.h"

#define FIELD_BYTES_MAX 256
#define HEADER_FIELDS   14
#define PRECOMMIT       2

/* ---- protobuf ---- */

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2 };

static void put_varint(struct sb_buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        sb_buf_add_byte(out, (uint8_t)(value | 0x80));
    }
    sb_buf_add_byte(out, (uint8_t)value);
}

static void put_tag(struct sb_buf *out, unsigned field, enum wire wire)
{
    put_varint(out, field << 3 | (unsigned)wire);
}

/* Scalars and strings that are zero or empty are left out; messages that are not nullable are not. */
static void put_u64(struct sb_buf *out, unsigned field, uint64_t value)
{
    if (value != 0) {
        put_tag(out, field, WIRE_VARINT);
        put_varint(out, value);
    }
}

static void put_fixed64(struct sb_buf *out, unsigned field, uint64_t value)
{
    if (value != 0) {
        put_tag(out, field, WIRE_FIXED64);
        for (int i = 0; i < 8; i++) {
            sb_buf_add_byte(out, (uint8_t)(value >> (8 * i)));
        }
    }
}

static void put_message(struct sb_buf *out, unsigned field, sb_bytes bytes)
{
    put_tag(out, field, WIRE_BYTES);
    put_varint(out, bytes.len);
    sb_buf_add(out, bytes.data, bytes.len);
}

static void put_bytes(struct sb_buf *out, unsigned field, sb_bytes bytes)
{
    if (bytes.len > 0) {
        put_message(out, field, bytes);
    }
}

static sb_bytes hash_bytes(const struct tm_hash *hash)
{
    return sb_span(hash->bytes, hash->len);
}

static void put_time(struct sb_buf *out, const struct tm_time *time)
{
    put_u64(out, 1, time->seconds);
    put_u64(out, 2, time->nanos);
}

/* In a BlockID the hash of the parts follows their number, in both forms (plain and canonical). */
static void put_block_id(struct sb_buf *out, const struct tm_block_id *id)
{
    uint8_t memory[FIELD_BYTES_MAX];
    struct sb_buf parts = sb_buf_over(memory, sizeof memory);
    put_u64(&parts, 1, id->parts_total);
    put_bytes(&parts, 2, hash_bytes(&id->parts_hash));
    put_bytes(out, 1, hash_bytes(&id->hash));
    put_message(out, 2, sb_buf_bytes(&parts));
}

/* ---- Merkle trees ---- */

static sb_hash leaf_hash(sb_bytes leaf)
{
    uint8_t memory[FIELD_BYTES_MAX + 1];
    struct sb_buf buf = sb_buf_over(memory, sizeof memory);
    sb_buf_add_byte(&buf, 0);
    sb_buf_add(&buf, leaf.data, leaf.len);
    SB_ASSERT(!buf.failed);
    return sb_sha256(sb_buf_bytes(&buf));
}

/* tree_hash: root over leaf hashes, in place: pairs, level by level, an odd last one carried up. That is the tree that RFC 6962 splits at
 * the largest power of two. */
static sb_hash tree_hash(sb_hash *nodes, size_t count)
{
    if (count == 0) {
        return sb_sha256(sb_span("", 0));
    }
    while (count > 1) {
        size_t above = 0;
        for (size_t i = 0; i < count; i += 2) {
            if (i + 1 == count) {
                nodes[above++] = nodes[i];
                break;
            }
            uint8_t pair[65] = {1};
            memcpy(pair + 1, nodes[i].b, 32);
            memcpy(pair + 33, nodes[i + 1].b, 32);
            nodes[above++] = sb_sha256(sb_span(pair, sizeof pair));
        }
        count = above;
    }
    return nodes[0];
}

struct tm_hash tm_header_hash(const struct tm_header *header)
{
    sb_hash leaves[HEADER_FIELDS];
    for (size_t i = 0; i < HEADER_FIELDS; i++) {
        uint8_t memory[FIELD_BYTES_MAX];
        struct sb_buf field = sb_buf_over(memory, sizeof memory);
        switch (i) {
        case 0:
            put_u64(&field, 1, header->version_block);
            put_u64(&field, 2, header->version_app);
            break;
        case 1:
            put_bytes(&field, 1, sb_span(header->chain_id, strlen(header->chain_id)));
            break;
        case 2:
            put_u64(&field, 1, header->height);
            break;
        case 3:
            put_time(&field, &header->time);
            break;
        case 4:
            put_block_id(&field, &header->last_block_id);
            break;
        default:
            put_bytes(&field, 1, hash_bytes(&header->hashes[i - 5]));
        }
        leaves[i] = leaf_hash(sb_buf_bytes(&field));
    }
    sb_hash root = tree_hash(leaves, HEADER_FIELDS);
    struct tm_hash ret = {.len = sizeof root.b};
    memcpy(ret.bytes, root.b, sizeof root.b);
    return ret;
}

/* ---- the table ---- */

static sb_hash codec_header_hash(const void *ctx, const struct sb_light_block *block)
{
    (void)ctx;
    const struct tm_block *tm = block->detail;
    struct tm_hash hash = tm_header_hash(&tm->header);
    sb_hash ret;
    memcpy(ret.b, hash.bytes, sizeof ret.b);
    return ret;
}

static sb_hash codec_valset_hash(const void *ctx, const struct sb_validator_set *set)
{
    (void)ctx;
    sb_hash leaves[TM_VALIDATORS_MAX];
    for (size_t i = 0; i < set->count; i++) {
        uint8_t memory[FIELD_BYTES_MAX];
        uint8_t key_memory[FIELD_BYTES_MAX];
        struct sb_buf validator = sb_buf_over(memory, sizeof memory);
        struct sb_buf key = sb_buf_over(key_memory, sizeof key_memory);
        const struct sb_validator *v = &set->validators[i];
        put_bytes(&key, 1, sb_span(v->key.bytes, v->key.len));
        put_message(&validator, 1, sb_buf_bytes(&key));
        put_u64(&validator, 2, (uint64_t)v->power);
        leaves[i] = leaf_hash(sb_buf_bytes(&validator));
    }
    return tree_hash(leaves, set->count);
}

static size_t codec_sign_bytes(const void *ctx, uint8_t ret[SB_LIGHT_SIGN_BYTES_MAX],
                               const struct sb_light_block *block, size_t index)
{
    (void)ctx;
    const struct tm_block *tm = block->detail;
    const struct tm_sig *sig = &tm->commit.sigs[index];
    uint8_t memory[SB_LIGHT_SIGN_BYTES_MAX];
    uint8_t inner_memory[FIELD_BYTES_MAX];
    struct sb_buf vote = sb_buf_over(memory, sizeof memory);
    struct sb_buf inner = sb_buf_over(inner_memory, sizeof inner_memory);
    put_u64(&vote, 1, PRECOMMIT);
    put_fixed64(&vote, 2, tm->commit.height);
    put_fixed64(&vote, 3, (uint64_t)tm->commit.round);
    if (sig->flag == TM_COMMIT) {
        put_block_id(&inner, &tm->commit.block_id);
        put_message(&vote, 4, sb_buf_bytes(&inner));
    }
    sb_buf_reset(&inner);
    put_time(&inner, &sig->time);
    put_message(&vote, 5, sb_buf_bytes(&inner));
    put_bytes(&vote, 6, sb_span(tm->header.chain_id, strlen(tm->header.chain_id)));
    struct sb_buf out = sb_buf_over(ret, SB_LIGHT_SIGN_BYTES_MAX);
    put_varint(&out, vote.len);
    sb_buf_add(&out, vote.data, vote.len);
    SB_ASSERT(!out.failed);
    return out.len;
}

static bool codec_verify_sig(const void *ctx, const struct sb_pubkey *key, sb_bytes message,
                             sb_bytes signature)
{
    (void)ctx;
    return signature.len == SB_ED25519_SIGNATURE_BYTES &&
           sb_ed25519_verify(signature.data, message, key->bytes);
}

struct sb_light_codec tm_codec(void)
{
    return (struct sb_light_codec){
        .header_hash = codec_header_hash,
        .valset_hash = codec_valset_hash,
        .sign_bytes = codec_sign_bytes,
        .verify_sig = codec_verify_sig,
    };
}

/* ---- as the verifier sees it ---- */

uint64_t tm_nanoseconds(const struct tm_time *time)
{
    return time->seconds * 1000000000 + time->nanos;
}

static sb_hash plain_hash(const struct tm_hash *hash)
{
    sb_hash ret = {{0}};
    memcpy(ret.b, hash->bytes, hash->len);
    return ret;
}

static struct sb_validator_set plain_set(const struct tm_set *set)
{
    struct sb_validator_set ret = {.validators = set->validators, .count = set->count};
    for (size_t i = 0; i < set->count; i++) {
        ret.total_power += set->validators[i].power;
    }
    return ret;
}

struct sb_light_block tm_light_block(const struct tm_block *block, struct sb_light_sig *ret_sigs)
{
    static const enum sb_commit_flag flags[] = {
        [TM_ABSENT] = SB_COMMIT_ABSENT, [TM_COMMIT] = SB_COMMIT_BLOCK, [TM_NIL] = SB_COMMIT_NIL};
    const struct tm_header *header = &block->header;
    for (size_t i = 0; i < block->commit.sig_count; i++) {
        const struct tm_sig *sig = &block->commit.sigs[i];
        ret_sigs[i] = (struct sb_light_sig){
            .flag = flags[sig->flag],
            .signer = sig->address,
            .signature = sb_span(sig->signature.bytes, sig->signature.len),
        };
    }
    return (struct sb_light_block){
        .height = header->height,
        .time = tm_nanoseconds(&header->time),
        .last_hash = plain_hash(&header->last_block_id.hash),
        .validators_hash = plain_hash(&header->hashes[TM_VALIDATORS]),
        .next_validators_hash = plain_hash(&header->hashes[TM_NEXT_VALIDATORS]),
        .validators = plain_set(&block->validators),
        .next_validators = plain_set(&block->next_validators),
        .commit_height = block->commit.height,
        .commit_hash = plain_hash(&block->commit.block_id.hash),
        .sigs = ret_sigs,
        .sig_count = block->commit.sig_count,
        .detail = block,
    };
}

/* ---- JSON ---- */

/* Numbers are decimal text, sometimes plain numbers. */
static bool read_u64(uint64_t *ret, const json_t *value)
{
    if (json_is_integer(value)) {
        *ret = (uint64_t)json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    char *end = NULL;
    if (text == NULL || *text == 0) {
        return false;
    }
    *ret = strtoull(text, &end, 10);
    return *end == 0;
}

/* read_hex: upper-case digits; empty text is no bytes. */
static bool read_hex(uint8_t *ret, uint8_t *ret_len, size_t max, const json_t *value)
{
    const char *text = json_string_value(value);
    size_t digits = text != NULL ? strlen(text) : 0;
    if (text == NULL || digits / 2 > max) {
        return false;
    }
    *ret_len = (uint8_t)(digits / 2);
    return sb_hex_decode(ret, digits / 2, text, digits) == SB_OK;
}

static bool read_hash(struct tm_hash *ret, const json_t *value)
{
    return read_hex(ret->bytes, &ret->len, sizeof ret->bytes, value);
}

/* read_address: empty for a validator that did not vote. */
static bool read_address(sb_addr *ret, const json_t *value)
{
    uint8_t len = 0;
    return read_hex(ret->b, &len, sizeof ret->b, value) && (len == 0 || len == sizeof ret->b);
}

static bool read_base64(uint8_t *ret, size_t *ret_len, size_t max, const json_t *value)
{
    const char *text = json_string_value(value);
    return text != NULL && sodium_base642bin(ret, max, text, strlen(text), NULL, ret_len, NULL,
                                             sodium_base64_VARIANT_ORIGINAL) == 0;
}

/* Days since 1970-01-01 of a date in the Gregorian calendar, year >= 1970. */
static uint64_t days_since_1970(unsigned year, unsigned month, unsigned day)
{
    static const unsigned before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    unsigned last = year - 1;
    unsigned leap_days = last / 4 - last / 100 + last / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return (uint64_t)(year - 1970) * 365 + leap_days + before[month - 1] +
           (is_leap && month > 2 ? 1 : 0) + day - 1;
}

bool tm_read_time(struct tm_time *ret, const json_t *text)
{
    unsigned year;
    unsigned month;
    unsigned day;
    unsigned hour;
    unsigned minute;
    unsigned second;
    int used = 0;
    const char *at = json_string_value(text);
    if (at == NULL ||
        sscanf(at, "%4u-%2u-%2uT%2u:%2u:%2u%n", &year, &month, &day, &hour, &minute, &second,
               &used) != 6 ||
        year < 1970 || month < 1 || month > 12) {
        return false;
    }
    at += used;
    uint32_t nanos = 0;
    if (*at == '.') {
        uint32_t unit = 100000000;
        for (at++; *at >= '0' && *at <= '9'; at++, unit /= 10) {
            nanos += (uint32_t)(*at - '0') * unit;
        }
    }
    ret->seconds = days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    ret->nanos = nanos;
    return strcmp(at, "Z") == 0;
}

static bool read_block_id(struct tm_block_id *ret, const json_t *json)
{
    uint64_t total;
    const json_t *parts = json_object_get(json, "part_set_header");
    if (json == NULL || json_is_null(json)) {
        memset(ret, 0, sizeof *ret);
        return true;
    }
    if (!read_hash(&ret->hash, json_object_get(json, "hash")) ||
        !read_u64(&total, json_object_get(parts, "total")) ||
        !read_hash(&ret->parts_hash, json_object_get(parts, "hash"))) {
        return false;
    }
    ret->parts_total = (uint32_t)total;
    return true;
}

static bool read_header(struct tm_header *ret, const json_t *json)
{
    static const char *const names[TM_HEADER_HASHES] = {
        "last_commit_hash",     "data_hash",      "validators_hash",
        "next_validators_hash", "consensus_hash", "app_hash",
        "last_results_hash",    "evidence_hash",  "proposer_address"};
    const json_t *version = json_object_get(json, "version");
    const char *chain_id = json_string_value(json_object_get(json, "chain_id"));
    if (chain_id == NULL || strlen(chain_id) >= sizeof ret->chain_id ||
        !read_u64(&ret->version_block, json_object_get(version, "block")) ||
        !read_u64(&ret->version_app, json_object_get(version, "app")) ||
        !read_u64(&ret->height, json_object_get(json, "height")) ||
        !tm_read_time(&ret->time, json_object_get(json, "time")) ||
        !read_block_id(&ret->last_block_id, json_object_get(json, "last_block_id"))) {
        return false;
    }
    memcpy(ret->chain_id, chain_id, strlen(chain_id) + 1);
    for (size_t i = 0; i < TM_HEADER_HASHES; i++) {
        if (!read_hash(&ret->hashes[i], json_object_get(json, names[i]))) {
            return false;
        }
    }
    return true;
}

static bool read_sig(struct tm_sig *ret, const json_t *json)
{
    uint64_t flag;
    size_t len;
    if (!read_u64(&flag, json_object_get(json, "block_id_flag")) || flag < TM_ABSENT ||
        flag > TM_NIL || !read_address(&ret->address, json_object_get(json, "validator_address")) ||
        !tm_read_time(&ret->time, json_object_get(json, "timestamp")) ||
        !read_base64(ret->signature.bytes, &len, sizeof ret->signature.bytes,
                     json_object_get(json, "signature"))) {
        return false;
    }
    ret->flag = (enum tm_flag)flag;
    ret->signature.len = (uint8_t)len;
    return true;
}

bool tm_read_signed_header(struct tm_block *ret, const json_t *signed_header)
{
    const json_t *commit = json_object_get(signed_header, "commit");
    const json_t *sigs = json_object_get(commit, "signatures");
    uint64_t round;
    if (!read_header(&ret->header, json_object_get(signed_header, "header")) ||
        !read_u64(&ret->commit.height, json_object_get(commit, "height")) ||
        !read_u64(&round, json_object_get(commit, "round")) ||
        !read_block_id(&ret->commit.block_id, json_object_get(commit, "block_id")) ||
        json_array_size(sigs) > TM_VALIDATORS_MAX) {
        return false;
    }
    ret->commit.round = (int32_t)round;
    ret->commit.sig_count = json_array_size(sigs); /* null: no signatures */
    for (size_t i = 0; i < ret->commit.sig_count; i++) {
        if (!read_sig(&ret->commit.sigs[i], json_array_get(sigs, i))) {
            return false;
        }
    }
    return true;
}

static int compare_validators(const void *a, const void *b)
{
    const struct sb_validator *x = a;
    const struct sb_validator *y = b;
    if (x->power != y->power) {
        return x->power > y->power ? -1 : 1;
    }
    return memcmp(x->address.b, y->address.b, sizeof x->address.b);
}

bool tm_read_set(struct tm_set *ret, const json_t *set)
{
    const json_t *list = json_object_get(set, "validators");
    if (!json_is_array(list) || json_array_size(list) > TM_VALIDATORS_MAX) {
        return false;
    }
    memset(ret, 0, sizeof *ret);
    ret->count = json_array_size(list);
    for (size_t i = 0; i < ret->count; i++) {
        const json_t *json = json_array_get(list, i);
        uint8_t key[SB_ED25519_PUBLIC_BYTES];
        size_t len;
        uint64_t power;
        if (!read_base64(key, &len, sizeof key,
                         json_object_get(json_object_get(json, "pub_key"), "value")) ||
            len != sizeof key || !read_u64(&power, json_object_get(json, "voting_power"))) {
            return false;
        }
        struct sb_validator *v = &ret->validators[i];
        *v = (struct sb_validator){.key = sb_pubkey_ed25519(key), .power = (int64_t)power};
        sb_hash hash = sb_sha256(sb_span(key, sizeof key));
        memcpy(v->address.b, hash.b, sizeof v->address.b);
    }
    qsort(ret->validators, ret->count, sizeof ret->validators[0], compare_validators);
    return true;
}
