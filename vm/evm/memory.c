/* memory.c: the byte memory of a frame: growth, price, copies in; see frame.h. */
#include <stdlib.h>

#include "vm/evm/frame.h"
#include "vm/evm/gas.h"

#define CAPACITY_MIN ((size_t)4096)

bool gas_charge_words(struct frame *f, uint64_t len, int64_t word_gas)
{
    return gas_charge(f, (int64_t)words_of(len) * word_gas);
}

/* Grow to hold end bytes; only the newly exposed part is cleared, since a reused block is dirty. */
static enum sb_evm_status memory_expand(struct run *r, struct frame *f, uint64_t end)
{
    struct area *m = &f->memory;
    uint64_t words = words_of(end);
    if (!gas_charge(f, memory_gas(words) - memory_gas(m->len / 32))) {
        return SB_EVM_OUT_OF_GAS;
    }
    size_t len = (size_t)words * 32;
    if (len > m->capacity) {
        size_t capacity = m->capacity < CAPACITY_MIN ? CAPACITY_MIN : m->capacity;
        while (capacity < len) {
            capacity *= 2;
        }
        uint8_t *data = realloc(m->data, capacity);
        if (data == NULL) {
            return run_fail(r, SB_E_NOMEM);
        }
        m->data = data;
        m->capacity = capacity;
    }
    memset(m->data + m->len, 0, len - m->len);
    m->len = len;
    return SB_EVM_SUCCESS;
}

enum sb_evm_status memory_claim(struct range *ret_range, struct run *r, struct frame *f,
                                const sb_u256 *offset, const sb_u256 *len)
{
    if (sb_u256_is_zero(len)) {
        *ret_range = (struct range){.offset = 0, .len = 0};
        return SB_EVM_SUCCESS;
    }
    uint64_t start = sb_u256_sat_u64(offset);
    uint64_t count = sb_u256_sat_u64(len);
    if (start > SB_EVM_MEMORY_BYTES_MAX || count > SB_EVM_MEMORY_BYTES_MAX - start) {
        return SB_EVM_OUT_OF_GAS;
    }
    if (start + count > f->memory.len) {
        enum sb_evm_status status = memory_expand(r, f, start + count);
        if (status != SB_EVM_SUCCESS) {
            return status;
        }
    }
    *ret_range = (struct range){.offset = start, .len = count};
    return SB_EVM_SUCCESS;
}

void memory_copy_in(struct frame *f, struct range dst, sb_bytes src, const sb_u256 *src_offset)
{
    if (dst.len == 0) {
        return;
    }
    sb_bytes part = sb_span_slice(src, sb_u256_sat_u64(src_offset), dst.len);
    uint8_t *place = f->memory.data + dst.offset;
    sb_copy(place, part.data, part.len);
    memset(place + part.len, 0, dst.len - part.len);
}
