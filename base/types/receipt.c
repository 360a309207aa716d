/* receipt.c: blooms, logs and receipts; see receipt.h. */
#include "base/types/receipt.h"

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"

#define BLOOM_BITS        2048
#define LEGACY_FIRST_BYTE 0xc0

/* ---- bloom ---- */

/* The three bits of an item: the low 11 bits of the first three byte pairs of its hash; bit 0 is the last byte's lowest. */
static void bloom_bits(unsigned ret_bits[3], sb_bytes item)
{
    sb_hash hash = sb_keccak256(item);
    for (size_t i = 0; i < 3; i++) {
        unsigned pair = (unsigned)hash.b[2 * i] << 8 | hash.b[2 * i + 1];
        ret_bits[i] = pair % BLOOM_BITS;
    }
}

static size_t bloom_byte(unsigned bit)
{
    return BLOOM_BITS / 8 - 1 - bit / 8;
}

void sb_bloom_add(sb_bloom *bloom, sb_bytes item)
{
    unsigned bits[3];
    bloom_bits(bits, item);
    for (int i = 0; i < 3; i++) {
        bloom->b[bloom_byte(bits[i])] |= (uint8_t)(1u << bits[i] % 8);
    }
}

void sb_bloom_add_log(sb_bloom *bloom, const struct sb_log *log)
{
    sb_bloom_add(bloom, sb_span(log->addr.b, sizeof log->addr.b));
    for (size_t i = 0; i < log->topic_count; i++) {
        sb_bloom_add(bloom, sb_span(log->topics[i].b, sizeof log->topics[i].b));
    }
}

bool sb_bloom_may_contain(const sb_bloom *bloom, sb_bytes item)
{
    unsigned bits[3];
    bloom_bits(bits, item);
    bool all = true;
    for (int i = 0; i < 3; i++) {
        all = all && (bloom->b[bloom_byte(bits[i])] >> bits[i] % 8 & 1) != 0;
    }
    return all;
}

void sb_bloom_merge(sb_bloom *into, const sb_bloom *from)
{
    for (size_t i = 0; i < sizeof into->b; i++) {
        into->b[i] |= from->b[i];
    }
}

/* ---- logs and receipts ---- */

static void put_logs(struct sb_buf *out, const struct sb_log *logs, size_t count)
{
    size_t list = sb_rlp_list_begin(out);
    for (size_t i = 0; i < count; i++) {
        size_t log = sb_rlp_list_begin(out);
        sb_rlp_put_addr(out, &logs[i].addr);
        size_t topics = sb_rlp_list_begin(out);
        for (size_t t = 0; t < logs[i].topic_count; t++) {
            sb_rlp_put_hash(out, &logs[i].topics[t]);
        }
        sb_rlp_list_end(out, topics);
        sb_rlp_put_bytes(out, logs[i].data);
        sb_rlp_list_end(out, log);
    }
    sb_rlp_list_end(out, list);
}

void sb_receipt_encode(struct sb_buf *out, const struct sb_receipt *receipt)
{
    if (receipt->type != SB_TX_LEGACY) {
        sb_buf_add_byte(out, (uint8_t)receipt->type);
    }
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_bool(out, receipt->success);
    sb_rlp_put_u64(out, receipt->cumulative_gas);
    sb_rlp_put_bytes(out, sb_span(receipt->bloom.b, sizeof receipt->bloom.b));
    put_logs(out, receipt->logs, receipt->log_count);
    sb_rlp_list_end(out, list);
}

static sb_err read_log(struct sb_log *ret, struct sb_rlp *in)
{
    struct sb_rlp log;
    struct sb_rlp topics;
    struct sb_log value = {.topic_count = 0};
    SB_TRY(sb_rlp_read_list(&log, in));
    SB_TRY(sb_rlp_read_addr(&value.addr, &log));
    SB_TRY(sb_rlp_read_list(&topics, &log));
    SB_TRY(sb_rlp_count(&value.topic_count, &topics, SB_LOG_TOPICS_MAX));
    for (size_t i = 0; i < value.topic_count; i++) {
        SB_TRY(sb_rlp_read_hash(&value.topics[i], &topics));
    }
    SB_TRY(sb_rlp_read_bytes(&value.data, &log, SIZE_MAX));
    SB_TRY(sb_rlp_end(&log));
    *ret = value;
    return SB_OK;
}

static sb_err read_logs(struct sb_receipt *receipt, struct sb_arena *arena, struct sb_rlp *in)
{
    struct sb_rlp items;
    size_t count;
    SB_TRY(sb_rlp_read_list(&items, in));
    SB_TRY(sb_rlp_count(&count, &items, SIZE_MAX));
    struct sb_log *logs = sb_arena_array(arena, count, sizeof *logs);
    if (logs == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        SB_TRY(read_log(&logs[i], &items));
    }
    receipt->logs = logs;
    receipt->log_count = count;
    return SB_OK;
}

sb_err sb_receipt_decode(struct sb_receipt *ret_receipt, struct sb_arena *arena, sb_bytes raw)
{
    struct sb_receipt receipt = {.type = SB_TX_LEGACY};
    if (raw.len == 0) {
        return SB_E_TRUNCATED;
    }
    if (raw.data[0] < LEGACY_FIRST_BYTE) {
        if (raw.data[0] < SB_TX_ACCESS_LIST || raw.data[0] > SB_TX_SET_CODE) {
            return SB_E_TYPE;
        }
        receipt.type = (enum sb_tx_type)raw.data[0];
        raw = sb_span(raw.data + 1, raw.len - 1);
    }
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_rlp fields;
    SB_TRY(sb_rlp_read_list(&fields, &in));
    SB_TRY(sb_rlp_end(&in));
    SB_TRY(sb_rlp_read_bool(&receipt.success, &fields));
    SB_TRY(sb_rlp_read_u64(&receipt.cumulative_gas, &fields));
    SB_TRY(sb_rlp_read_fixed(receipt.bloom.b, &fields, sizeof receipt.bloom.b));
    SB_TRY(read_logs(&receipt, arena, &fields));
    SB_TRY(sb_rlp_end(&fields));
    *ret_receipt = receipt;
    return SB_OK;
}

sb_err sb_logs_hash(sb_hash *ret_hash, const struct sb_log *logs, size_t log_count)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SIZE_MAX);
    put_logs(&buf, logs, log_count);
    bool failed = buf.failed;
    if (!failed) {
        *ret_hash = sb_keccak256(sb_buf_bytes(&buf));
    }
    sb_buf_fini(&buf);
    return failed ? SB_E_NOMEM : SB_OK;
}
