/* instructions.c: instructions that touch memory or state, out of line; see frame.h for how they are called. */
#include "base/crypto/keccak.h"
#include "vm/evm/frame.h"
#include "vm/evm/gas.h"

/* Leave with a status that is not success. */
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        enum sb_evm_status try_status_ = (expr);                                                   \
        if (try_status_ != SB_EVM_SUCCESS) {                                                       \
            return try_status_;                                                                    \
        }                                                                                          \
    } while (0)

#define CHARGE(cost)                                                                               \
    do {                                                                                           \
        if (!gas_charge(f, (cost))) {                                                              \
            return SB_EVM_OUT_OF_GAS;                                                              \
        }                                                                                          \
    } while (0)

static const sb_u256 k_word_bytes = {.w = {32, 0, 0, 0}};
static const sb_u256 k_one = {.w = {1, 0, 0, 0}};

/* Price of a cold account above the warm one that the table charged (EIP-2929). */
static enum sb_evm_status charge_account(struct run *r, struct frame *f, const sb_addr *a)
{
    if (r->revision >= SB_REV_BERLIN && !sb_overlay_warm_addr(r->state, a)) {
        CHARGE(GAS_COLD_ACCOUNT - GAS_WARM_ACCESS);
    }
    return SB_EVM_SUCCESS;
}

enum sb_evm_status op_exp(struct run *r, struct frame *f, sb_u256 *sp)
{
    CHARGE(exp_gas(r->revision, &sp[-2]));
    sp[-2] = sb_u256_exp(&sp[-1], &sp[-2]);
    return SB_EVM_SUCCESS;
}

enum sb_evm_status op_keccak256(struct run *r, struct frame *f, sb_u256 *sp)
{
    struct range range;
    TRY(memory_claim(&range, r, f, &sp[-1], &sp[-2]));
    if (!gas_charge_words(f, range.len, GAS_KECCAK_WORD)) {
        return SB_EVM_OUT_OF_GAS;
    }
    sb_hash hash = sb_keccak256(memory_span(f, range));
    sp[-2] = word_of_hash(&hash);
    return SB_EVM_SUCCESS;
}

/* --- accounts --- */

enum sb_evm_status op_balance(struct run *r, struct frame *f, sb_u256 *sp)
{
    sb_addr a = word_to_addr(&sp[-1]);
    TRY(charge_account(r, f, &a));
    sp[-1] = sb_overlay_balance(r->state, &a);
    return SB_EVM_SUCCESS;
}

enum sb_evm_status op_extcodesize(struct run *r, struct frame *f, sb_u256 *sp)
{
    sb_addr a = word_to_addr(&sp[-1]);
    TRY(charge_account(r, f, &a));
    sp[-1] = sb_u256_from_u64(sb_overlay_code(r->state, &a).len);
    return SB_EVM_SUCCESS;
}

enum sb_evm_status op_extcodehash(struct run *r, struct frame *f, sb_u256 *sp)
{
    sb_addr a = word_to_addr(&sp[-1]);
    TRY(charge_account(r, f, &a));
    sb_hash hash = sb_overlay_code_hash(r->state, &a);
    sp[-1] = sb_overlay_is_empty(r->state, &a) ? sb_u256_zero() : word_of_hash(&hash);
    return SB_EVM_SUCCESS;
}

/* --- copies into memory --- */

static enum sb_evm_status copy_in(struct run *r, struct frame *f, const sb_u256 *sp, sb_bytes src)
{
    struct range dst;
    TRY(memory_claim(&dst, r, f, &sp[-1], &sp[-3]));
    if (!gas_charge_words(f, dst.len, GAS_COPY_WORD)) {
        return SB_EVM_OUT_OF_GAS;
    }
    memory_copy_in(f, dst, src, &sp[-2]);
    return SB_EVM_SUCCESS;
}

enum sb_evm_status op_calldatacopy(struct run *r, struct frame *f, sb_u256 *sp)
{
    return copy_in(r, f, sp, f->msg.input);
}

enum sb_evm_status op_codecopy(struct run *r, struct frame *f, sb_u256 *sp)
{
    return copy_in(r, f, sp, sb_span(f->code->bytes, f->code->len));
}

enum sb_evm_status op_extcodecopy(struct run *r, struct frame *f, sb_u256 *sp)
{
    sb_addr a = word_to_addr(&sp[-1]);
    TRY(charge_account(r, f, &a));
    return copy_in(r, f, sp - 1, sb_overlay_code(r->state, &a));
}

/* EIP-211: reading past the end of the return data is an error, not zeros. */
enum sb_evm_status op_returndatacopy(struct run *r, struct frame *f, sb_u256 *sp)
{
    uint64_t start = sb_u256_sat_u64(&sp[-2]);
    uint64_t len = sb_u256_sat_u64(&sp[-3]);
    if (start > f->return_data.len || len > f->return_data.len - start) {
        return SB_EVM_RETURN_DATA_BOUNDS;
    }
    return copy_in(r, f, sp, f->return_data);
}

/* --- block --- */

enum sb_evm_status op_blockhash(struct run *r, struct frame *f, sb_u256 *sp)
{
    (void)f;
    uint64_t number = sb_u256_sat_u64(&sp[-1]);
    uint64_t current = r->evm->block->number;
    sb_hash hash = {.b = {0}};
    if (number < current && current - number <= 256) {
        hash = sb_overlay_block_hash(r->state, number);
    }
    sp[-1] = word_of_hash(&hash);
    return SB_EVM_SUCCESS;
}

enum sb_evm_status op_blobhash(struct run *r, struct frame *f, sb_u256 *sp)
{
    (void)f;
    uint64_t i = sb_u256_sat_u64(&sp[-1]);
    const struct sb_tx_env *tx = r->evm->tx;
    sp[-1] = i < tx->blob_hash_count ? word_of_hash(&tx->blob_hashes[i]) : sb_u256_zero();
    return SB_EVM_SUCCESS;
}

/* --- memory --- */

enum sb_evm_status op_mload(struct run *r, struct frame *f, sb_u256 *sp)
{
    struct range range;
    TRY(memory_claim(&range, r, f, &sp[-1], &k_word_bytes));
    sp[-1] = word_load(f->memory.data + range.offset);
    return SB_EVM_SUCCESS;
}

enum sb_evm_status op_mstore(struct run *r, struct frame *f, sb_u256 *sp)
{
    struct range range;
    TRY(memory_claim(&range, r, f, &sp[-1], &k_word_bytes));
    word_store(f->memory.data + range.offset, &sp[-2]);
    return SB_EVM_SUCCESS;
}

enum sb_evm_status op_mstore8(struct run *r, struct frame *f, sb_u256 *sp)
{
    struct range range;
    TRY(memory_claim(&range, r, f, &sp[-1], &k_one));
    f->memory.data[range.offset] = (uint8_t)sp[-2].w[0];
    return SB_EVM_SUCCESS;
}

enum sb_evm_status op_mcopy(struct run *r, struct frame *f, sb_u256 *sp)
{
    struct range dst;
    struct range src;
    TRY(memory_claim(&dst, r, f, &sp[-1], &sp[-3]));
    TRY(memory_claim(&src, r, f, &sp[-2], &sp[-3]));
    if (!gas_charge_words(f, dst.len, GAS_COPY_WORD)) {
        return SB_EVM_OUT_OF_GAS;
    }
    if (dst.len != 0) {
        memmove(f->memory.data + dst.offset, f->memory.data + src.offset, dst.len);
    }
    return SB_EVM_SUCCESS;
}

/* --- storage --- */

enum sb_evm_status op_sload(struct run *r, struct frame *f, sb_u256 *sp)
{
    sb_hash key = word_to_hash(&sp[-1]);
    if (r->revision >= SB_REV_BERLIN && !sb_overlay_warm_slot(r->state, &f->msg.recipient, &key)) {
        CHARGE(GAS_COLD_SLOT - GAS_WARM_ACCESS);
    }
    sp[-1] = sb_overlay_slot(r->state, &f->msg.recipient, &key);
    return SB_EVM_SUCCESS;
}

struct sstore_price sstore_price(const struct sstore_gas *table, const sb_u256 *original,
                                 const sb_u256 *current, const sb_u256 *value)
{
    struct sstore_price price = {.gas = table->noop, .refund = 0};
    if (!table->is_net) {
        bool sets = sb_u256_is_zero(current) && !sb_u256_is_zero(value);
        bool clears = !sb_u256_is_zero(current) && sb_u256_is_zero(value);
        return (struct sstore_price){.gas = sets ? table->set : table->reset,
                                     .refund = clears ? table->clear_refund : 0};
    }
    if (sb_u256_equal(current, value)) {
        return price;
    }
    bool original_is_zero = sb_u256_is_zero(original);
    if (sb_u256_equal(original, current)) {
        price.gas = original_is_zero ? table->set : table->reset;
        price.refund = !original_is_zero && sb_u256_is_zero(value) ? table->clear_refund : 0;
        return price;
    }
    if (!original_is_zero && sb_u256_is_zero(current)) {
        price.refund -= table->clear_refund;
    } else if (!original_is_zero && sb_u256_is_zero(value)) {
        price.refund += table->clear_refund;
    }
    if (sb_u256_equal(original, value)) {
        price.refund += (original_is_zero ? table->set : table->reset) - table->noop;
    }
    return price;
}

enum sb_evm_status op_sstore(struct run *r, struct frame *f, sb_u256 *sp)
{
    if (f->msg.is_static) {
        return SB_EVM_STATIC_VIOLATION;
    }
    if (r->revision >= SB_REV_ISTANBUL && f->gas <= GAS_SSTORE_SENTRY) {
        return SB_EVM_OUT_OF_GAS;
    }
    const sb_addr *self = &f->msg.recipient;
    sb_hash key = word_to_hash(&sp[-1]);
    if (r->revision >= SB_REV_BERLIN && !sb_overlay_warm_slot(r->state, self, &key)) {
        CHARGE(GAS_COLD_SLOT);
    }
    struct sstore_gas table = sstore_gas_of(r->revision);
    sb_u256 current = sb_overlay_slot(r->state, self, &key);
    sb_u256 original =
        table.is_net ? sb_overlay_slot_original(r->state, self, &key) : sb_u256_zero();
    struct sstore_price price = sstore_price(&table, &original, &current, &sp[-2]);
    CHARGE(price.gas);
    if (price.refund != 0) {
        sb_overlay_refund_add(r->state, price.refund);
    }
    if (!sb_u256_equal(&current, &sp[-2])) {
        sb_overlay_slot_set(r->state, self, &key, &sp[-2]);
    }
    return SB_EVM_SUCCESS;
}

enum sb_evm_status op_tload(struct run *r, struct frame *f, sb_u256 *sp)
{
    sb_hash key = word_to_hash(&sp[-1]);
    sp[-1] = sb_overlay_transient(r->state, &f->msg.recipient, &key);
    return SB_EVM_SUCCESS;
}

enum sb_evm_status op_tstore(struct run *r, struct frame *f, sb_u256 *sp)
{
    if (f->msg.is_static) {
        return SB_EVM_STATIC_VIOLATION;
    }
    sb_hash key = word_to_hash(&sp[-1]);
    sb_overlay_transient_set(r->state, &f->msg.recipient, &key, &sp[-2]);
    return SB_EVM_SUCCESS;
}

/* --- logs and the end of frames --- */

enum sb_evm_status op_log(struct run *r, struct frame *f, sb_u256 *sp, size_t topic_count)
{
    if (f->msg.is_static) {
        return SB_EVM_STATIC_VIOLATION;
    }
    struct range range;
    TRY(memory_claim(&range, r, f, &sp[-1], &sp[-2]));
    CHARGE((int64_t)range.len * GAS_LOG_BYTE);
    struct sb_log log = {
        .addr = f->msg.recipient, .topic_count = topic_count, .data = memory_span(f, range)};
    for (size_t i = 0; i < topic_count; i++) {
        log.topics[i] = word_to_hash(&sp[-3 - (ptrdiff_t)i]);
    }
    sb_overlay_log(r->state, &log);
    if (r->tracer != NULL && r->tracer->log != NULL) {
        r->tracer->log(r->tracer->ctx, &log, (int)r->frame_count);
    }
    return SB_EVM_SUCCESS;
}

enum sb_evm_status op_return(struct run *r, struct frame *f, sb_u256 *sp)
{
    struct range range;
    TRY(memory_claim(&range, r, f, &sp[-1], &sp[-2]));
    r->output = memory_span(f, range);
    return SB_EVM_SUCCESS;
}

int64_t selfdestruct_new_account_gas(struct run *r, const sb_addr *heir, const sb_u256 *balance)
{
    if (r->revision >= SB_REV_SPURIOUS_DRAGON) {
        return !sb_u256_is_zero(balance) && sb_overlay_is_empty(r->state, heir) ? GAS_NEW_ACCOUNT
                                                                                : 0;
    }
    return r->revision >= SB_REV_TANGERINE_WHISTLE && !sb_overlay_exists(r->state, heir)
               ? GAS_NEW_ACCOUNT
               : 0;
}

enum sb_evm_status op_selfdestruct(struct run *r, struct frame *f, sb_u256 *sp)
{
    if (f->msg.is_static) {
        return SB_EVM_STATIC_VIOLATION;
    }
    const sb_addr *self = &f->msg.recipient;
    sb_addr heir = word_to_addr(&sp[-1]);
    if (r->revision >= SB_REV_BERLIN && !sb_overlay_warm_addr(r->state, &heir)) {
        CHARGE(GAS_COLD_ACCOUNT);
    }
    sb_u256 balance = sb_overlay_balance(r->state, self);
    CHARGE(selfdestruct_new_account_gas(r, &heir, &balance));
    sb_overlay_balance_sub(r->state, self, &balance);
    sb_overlay_balance_add(r->state, &heir, &balance);
    /* EIP-6780: only a contract of this very transaction goes; an heir that is itself keeps nothing then */
    if (r->revision < SB_REV_CANCUN || sb_overlay_created_in_tx(r->state, self)) {
        sb_u256 nothing = sb_u256_zero();
        sb_overlay_balance_set(r->state, self, &nothing);
        if (sb_overlay_destroy(r->state, self) && r->revision < SB_REV_LONDON) {
            sb_overlay_refund_add(r->state, GAS_REFUND_SELFDESTRUCT);
        }
    }
    return SB_EVM_SUCCESS;
}
