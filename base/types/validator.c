/* validator.c: public keys, validator sets, quorums; see consensus.h. Spec: docs/spec/consensus-block.md, sections 2 and 3. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/types/consensus.h"
#include "base/types/field.h"
#include "base/util/assert.h"

#define ED25519_KEY_BYTES 32
/* [type, key, power]: list header 2, type 2, key 2 + 96, power 9. */
#define VALIDATOR_BYTES_MAX 128

/* ---- keys ---- */

struct sb_pubkey sb_pubkey_ed25519(const uint8_t bytes[32])
{
    struct sb_pubkey key = {.type = SB_KEY_ED25519, .len = ED25519_KEY_BYTES};
    memcpy(key.bytes, bytes, ED25519_KEY_BYTES);
    return key;
}

bool sb_pubkey_equal(const struct sb_pubkey *a, const struct sb_pubkey *b)
{
    return a->type == b->type &&
           sb_span_equal(sb_span(a->bytes, a->len), sb_span(b->bytes, b->len));
}

sb_addr sb_pubkey_address(const struct sb_pubkey *key)
{
    uint8_t memory[VALIDATOR_BYTES_MAX];
    struct sb_buf buf = sb_buf_over(memory, sizeof memory);
    size_t list = sb_rlp_list_begin(&buf);
    sb_rlp_put_u64(&buf, key->type);
    sb_rlp_put_bytes(&buf, sb_span(key->bytes, key->len));
    sb_rlp_list_end(&buf, list);
    SB_ASSERT(!buf.failed);
    sb_hash hash = sb_keccak256(sb_buf_bytes(&buf));
    sb_addr address;
    memcpy(address.b, hash.b, sizeof address.b);
    return address;
}

/* ---- sets ---- */

/* Order of a set: power descending, then address ascending. */
static int compare_validators(const void *a, const void *b)
{
    const struct sb_validator *x = a;
    const struct sb_validator *y = b;
    if (x->power != y->power) {
        return x->power > y->power ? -1 : 1;
    }
    return memcmp(x->address.b, y->address.b, sizeof x->address.b);
}

static sb_err check_validator(const struct sb_validator *v, size_t index, struct sb_diag *diag)
{
    if (v->key.type != SB_KEY_ED25519 || v->key.len != ED25519_KEY_BYTES) {
        return sb_fail(diag, SB_E_TYPE,
                       "validator %zu: key type %u with %u bytes is not known, use ed25519 with 32",
                       index, (unsigned)v->key.type, (unsigned)v->key.len);
    }
    if (v->power <= 0 || v->power > SB_TOTAL_POWER_MAX) {
        return sb_fail(diag, SB_E_RANGE, "validator %zu: power %" PRId64 " is not in 1 to %" PRId64,
                       index, v->power, (int64_t)SB_TOTAL_POWER_MAX);
    }
    return SB_OK;
}

/* Powers may differ, so equal keys need not be neighbours; the set is small. */
static bool has_equal_keys(const struct sb_validator *validators, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            if (sb_addr_equal(&validators[i].address, &validators[j].address)) {
                return true;
            }
        }
    }
    return false;
}

sb_err sb_validator_set_make(struct sb_validator_set *ret_set, struct sb_validator *validators,
                             size_t count, struct sb_diag *diag)
{
    if (count == 0 || count > SB_VALIDATORS_MAX) {
        return sb_fail(diag, SB_E_SHAPE, "%zu validators, a set has 1 to %d", count,
                       SB_VALIDATORS_MAX);
    }
    int64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        SB_TRY(check_validator(&validators[i], i, diag));
        if (validators[i].power > SB_TOTAL_POWER_MAX - total) {
            return sb_fail(diag, SB_E_RANGE, "the validators' total power is over %" PRId64,
                           (int64_t)SB_TOTAL_POWER_MAX);
        }
        total += validators[i].power;
        validators[i].address = sb_pubkey_address(&validators[i].key);
    }
    qsort(validators, count, sizeof *validators, compare_validators);
    if (has_equal_keys(validators, count)) {
        return sb_fail(diag, SB_E_EXISTS, "two validators have the same key");
    }
    *ret_set =
        (struct sb_validator_set){.validators = validators, .count = count, .total_power = total};
    return SB_OK;
}

static void put_validator(struct sb_buf *out, const struct sb_validator *v)
{
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, v->key.type);
    sb_rlp_put_bytes(out, sb_span(v->key.bytes, v->key.len));
    sb_rlp_put_u64(out, (uint64_t)v->power);
    sb_rlp_list_end(out, list);
}

void sb_validator_set_encode(struct sb_buf *out, const struct sb_validator_set *set)
{
    size_t list = sb_rlp_list_begin(out);
    for (size_t i = 0; i < set->count; i++) {
        put_validator(out, &set->validators[i]);
    }
    sb_rlp_list_end(out, list);
}

/* The same bytes as sb_validator_set_encode, piece by piece, so that it cannot fail for want of memory. */
sb_hash sb_validator_set_hash(const struct sb_validator_set *set)
{
    uint8_t memory[VALIDATOR_BYTES_MAX];
    size_t payload_len = 0;
    for (size_t i = 0; i < set->count; i++) {
        struct sb_buf buf = sb_buf_over(memory, sizeof memory);
        put_validator(&buf, &set->validators[i]);
        SB_ASSERT(!buf.failed);
        payload_len += buf.len;
    }
    struct sb_keccak k;
    sb_keccak_init(&k);
    sb_keccak_update(&k, sb_span(memory, sb_rlp_header(memory, SB_RLP_LIST, payload_len)));
    for (size_t i = 0; i < set->count; i++) {
        struct sb_buf buf = sb_buf_over(memory, sizeof memory);
        put_validator(&buf, &set->validators[i]);
        sb_keccak_update(&k, sb_buf_bytes(&buf));
    }
    return sb_keccak_final(&k);
}

int sb_validator_set_find(const struct sb_validator_set *set, const sb_addr *address)
{
    for (size_t i = 0; i < set->count; i++) {
        if (sb_addr_equal(&set->validators[i].address, address)) {
            return (int)i;
        }
    }
    return -1;
}

static sb_err read_validator(struct sb_validator *ret, struct sb_rlp *in, struct sb_diag *diag)
{
    struct sb_rlp f;
    uint64_t type;
    uint64_t power;
    sb_bytes key;
    SB_FIELD("validator", "list", sb_rlp_read_list(&f, in));
    SB_FIELD("validator", "key type", sb_rlp_read_u64(&type, &f));
    SB_FIELD("validator", "key", sb_rlp_read_bytes(&key, &f, SB_PUBKEY_BYTES_MAX));
    SB_FIELD("validator", "power", sb_rlp_read_u64(&power, &f));
    SB_FIELD("validator", "end", sb_rlp_end(&f));
    if (type > UINT8_MAX || power > SB_TOTAL_POWER_MAX) {
        return sb_fail(diag, SB_E_RANGE, "validator: key type or power is out of range");
    }
    *ret = (struct sb_validator){.key = {.type = (uint8_t)type, .len = (uint8_t)key.len},
                                 .power = (int64_t)power};
    sb_copy(ret->key.bytes, key.data, key.len);
    ret->address = sb_pubkey_address(&ret->key);
    return SB_OK;
}

sb_err sb_validator_set_decode(struct sb_validator_set *ret_set, struct sb_arena *arena,
                               sb_bytes raw, struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_rlp items;
    size_t count;
    SB_FIELD("validators", "list", sb_rlp_read_list(&items, &in));
    SB_FIELD("validators", "end", sb_rlp_end(&in));
    SB_FIELD("validators", "list", sb_rlp_count(&count, &items, SB_VALIDATORS_MAX));
    struct sb_validator *validators = sb_arena_array(arena, count, sizeof *validators);
    if (validators == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "no memory for %zu validators", count);
    }
    for (size_t i = 0; i < count; i++) {
        SB_TRY(read_validator(&validators[i], &items, diag));
        if (i > 0 && compare_validators(&validators[i - 1], &validators[i]) >= 0) {
            return sb_fail(diag, SB_E_NON_CANONICAL, "validator %zu is out of order", i);
        }
    }
    return sb_validator_set_make(ret_set, validators, count, diag);
}

/* ---- quorums ---- */

bool sb_power_is_quorum(int64_t power, int64_t total)
{
    return 3 * power > 2 * total;
}

bool sb_power_is_third(int64_t power, int64_t total)
{
    return 3 * power > total;
}
