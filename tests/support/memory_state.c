/* memory_state.c: sorted arrays of accounts, slots, codes and blobs; see memory_state.h. */
#include "tests/support/memory_state.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/codec/hex.h"
#include "base/crypto/keccak.h"
#include "base/types/state_root.h"
#include "base/util/arena.h"
#include "base/util/assert.h"

#define ARENA_BYTES_MAX ((size_t)1 << 30)

struct account {
    sb_addr addr;
    uint64_t nonce;
    sb_u256 balance;
    sb_hash code_hash;
    sb_bytes code; /* in the arena */
    struct sb_slot_diff *slots;
    size_t slot_count;
    size_t slot_capacity;
};

struct blob {
    sb_hash id;
    sb_bytes data; /* in the arena */
};

struct numbered_hash {
    uint64_t number;
    sb_hash hash;
};

struct sb_memory_state {
    struct sb_arena arena; /* codes and blobs */
    struct account *accounts;
    size_t account_count;
    size_t account_capacity;
    struct blob *codes; /* every code ever set, by hash */
    size_t code_count;
    size_t code_capacity;
    struct blob *blobs;
    size_t blob_count;
    size_t blob_capacity;
    struct numbered_hash *block_hashes;
    size_t block_hash_count;
    size_t block_hash_capacity;
};

/* ---------------------------------------------------------------- sorted arrays */

/* Every element begins with its key. Returns the place of the first element whose key is not below `key`. */
static size_t lower_bound(const void *items, size_t count, size_t elem_bytes, const void *key,
                          size_t key_bytes, bool *ret_found)
{
    const uint8_t *base = items;
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(base + middle * elem_bytes, key, key_bytes) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_found = low < count && memcmp(base + low * elem_bytes, key, key_bytes) == 0;
    return low;
}

/* Makes room for one element at `index` and returns the (possibly moved) array. */
static void *insert_gap(void *items, size_t *count, size_t *capacity, size_t elem_bytes,
                        size_t index)
{
    if (*count == *capacity) {
        size_t grown = *capacity == 0 ? 8 : *capacity * 2;
        items = realloc(items, grown * elem_bytes);
        SB_ASSERT(items != NULL);
        *capacity = grown;
    }
    uint8_t *place = (uint8_t *)items + index * elem_bytes;
    memmove(place + elem_bytes, place, (*count - index) * elem_bytes);
    memset(place, 0, elem_bytes);
    *count += 1;
    return items;
}

static void remove_at(void *items, size_t *count, size_t elem_bytes, size_t index)
{
    uint8_t *place = (uint8_t *)items + index * elem_bytes;
    memmove(place, place + elem_bytes, (*count - index - 1) * elem_bytes);
    *count -= 1;
}

static struct account *account_find(const struct sb_memory_state *s, const sb_addr *addr)
{
    bool found = false;
    size_t i =
        lower_bound(s->accounts, s->account_count, sizeof *s->accounts, addr, sizeof *addr, &found);
    return found ? &s->accounts[i] : NULL;
}

static struct account *account_get(struct sb_memory_state *s, const sb_addr *addr)
{
    bool found = false;
    size_t i =
        lower_bound(s->accounts, s->account_count, sizeof *s->accounts, addr, sizeof *addr, &found);
    if (!found) {
        s->accounts = insert_gap(s->accounts, &s->account_count, &s->account_capacity,
                                 sizeof *s->accounts, i);
        s->accounts[i].addr = *addr;
        s->accounts[i].code_hash = sb_hash_keccak_empty;
    }
    return &s->accounts[i];
}

static void slot_set(struct account *account, const sb_hash *key, const sb_u256 *value)
{
    bool found = false;
    size_t i = lower_bound(account->slots, account->slot_count, sizeof *account->slots, key,
                           sizeof *key, &found);
    if (sb_u256_is_zero(value)) {
        if (found) {
            remove_at(account->slots, &account->slot_count, sizeof *account->slots, i);
        }
        return;
    }
    if (!found) {
        account->slots = insert_gap(account->slots, &account->slot_count, &account->slot_capacity,
                                    sizeof *account->slots, i);
        account->slots[i].key = *key;
    }
    account->slots[i].value = *value;
}

static void code_set(struct sb_memory_state *s, struct account *account, sb_bytes code)
{
    account->code_hash = sb_keccak256(code);
    bool found = false;
    size_t i = lower_bound(s->codes, s->code_count, sizeof *s->codes, &account->code_hash,
                           sizeof account->code_hash, &found);
    if (!found) {
        uint8_t *copy = sb_arena_dup(&s->arena, code);
        SB_ASSERT(copy != NULL);
        s->codes = insert_gap(s->codes, &s->code_count, &s->code_capacity, sizeof *s->codes, i);
        s->codes[i] = (struct blob){.id = account->code_hash, .data = sb_span(copy, code.len)};
    }
    account->code = s->codes[i].data;
}

/* ---------------------------------------------------------------- life */

struct sb_memory_state *sb_memory_state_new(void)
{
    struct sb_memory_state *s = calloc(1, sizeof *s);
    SB_ASSERT(s != NULL);
    sb_arena_init(&s->arena, ARENA_BYTES_MAX);
    return s;
}

void sb_memory_state_reset(struct sb_memory_state *s)
{
    for (size_t i = 0; i < s->account_count; i++) {
        free(s->accounts[i].slots);
    }
    s->account_count = 0;
    s->code_count = 0;
    s->blob_count = 0;
    s->block_hash_count = 0;
    sb_arena_reset(&s->arena);
}

void sb_memory_state_free(struct sb_memory_state *s)
{
    if (s == NULL) {
        return;
    }
    sb_memory_state_reset(s);
    sb_arena_fini(&s->arena);
    free(s->accounts);
    free(s->codes);
    free(s->blobs);
    free(s->block_hashes);
    free(s);
}

void sb_memory_state_copy(struct sb_memory_state *to, const struct sb_memory_state *from)
{
    sb_memory_state_reset(to);
    for (size_t i = 0; i < from->account_count; i++) {
        const struct account *a = &from->accounts[i];
        sb_memory_state_set_account(to, &a->addr, a->nonce, &a->balance, a->code);
        struct account *copy = account_get(to, &a->addr);
        for (size_t j = 0; j < a->slot_count; j++) {
            slot_set(copy, &a->slots[j].key, &a->slots[j].value);
        }
    }
    for (size_t i = 0; i < from->blob_count; i++) {
        sb_memory_state_set_blob(to, &from->blobs[i].id, from->blobs[i].data);
    }
    for (size_t i = 0; i < from->block_hash_count; i++) {
        sb_memory_state_set_block_hash(to, from->block_hashes[i].number,
                                       &from->block_hashes[i].hash);
    }
}

/* ---------------------------------------------------------------- the view */

static sb_err view_account(void *ctx, const sb_addr *addr, struct sb_account *ret_account,
                           bool *ret_exists)
{
    const struct account *a = account_find(ctx, addr);
    *ret_exists = a != NULL;
    *ret_account = (struct sb_account){.code_hash = sb_hash_keccak_empty};
    if (a != NULL) {
        *ret_account = (struct sb_account){.nonce = a->nonce,
                                           .balance = a->balance,
                                           .code_hash = a->code_hash,
                                           .has_storage = a->slot_count != 0};
    }
    return SB_OK;
}

static sb_err view_storage(void *ctx, const sb_addr *addr, const sb_hash *key, sb_u256 *ret_value)
{
    *ret_value = sb_u256_zero();
    const struct account *a = account_find(ctx, addr);
    if (a != NULL) {
        bool found = false;
        size_t i = lower_bound(a->slots, a->slot_count, sizeof *a->slots, key, sizeof *key, &found);
        if (found) {
            *ret_value = a->slots[i].value;
        }
    }
    return SB_OK;
}

static sb_err view_code(void *ctx, const sb_hash *code_hash, sb_bytes *ret_code)
{
    const struct sb_memory_state *s = ctx;
    *ret_code = sb_span(NULL, 0);
    if (sb_hash_equal(code_hash, &sb_hash_keccak_empty)) {
        return SB_OK;
    }
    bool found = false;
    size_t i = lower_bound(s->codes, s->code_count, sizeof *s->codes, code_hash, sizeof *code_hash,
                           &found);
    if (!found) {
        return SB_E_CORRUPT;
    }
    *ret_code = s->codes[i].data;
    return SB_OK;
}

static sb_err view_blob(void *ctx, const sb_hash *id, sb_bytes *ret_data)
{
    const struct sb_memory_state *s = ctx;
    bool found = false;
    size_t i = lower_bound(s->blobs, s->blob_count, sizeof *s->blobs, id, sizeof *id, &found);
    *ret_data = found ? s->blobs[i].data : sb_span(NULL, 0);
    return SB_OK;
}

static sb_err view_block_hash(void *ctx, uint64_t number, sb_hash *ret_hash)
{
    const struct sb_memory_state *s = ctx;
    *ret_hash = (sb_hash){{0}};
    for (size_t i = 0; i < s->block_hash_count; i++) {
        if (s->block_hashes[i].number == number) {
            *ret_hash = s->block_hashes[i].hash;
        }
    }
    return SB_OK;
}

struct sb_state_view sb_memory_state_view(struct sb_memory_state *s)
{
    return (struct sb_state_view){.ctx = s,
                                  .account = view_account,
                                  .storage = view_storage,
                                  .code = view_code,
                                  .blob = view_blob,
                                  .block_hash = view_block_hash};
}

/* ---------------------------------------------------------------- changes */

void sb_memory_state_set_account(struct sb_memory_state *s, const sb_addr *addr, uint64_t nonce,
                                 const sb_u256 *balance, sb_bytes code)
{
    struct account *a = account_get(s, addr);
    a->nonce = nonce;
    a->balance = *balance;
    code_set(s, a, code);
}

void sb_memory_state_set_slot(struct sb_memory_state *s, const sb_addr *addr, const sb_hash *key,
                              const sb_u256 *value)
{
    slot_set(account_get(s, addr), key, value);
}

void sb_memory_state_remove(struct sb_memory_state *s, const sb_addr *addr)
{
    struct account *a = account_find(s, addr);
    if (a != NULL) {
        free(a->slots);
        remove_at(s->accounts, &s->account_count, sizeof *a, (size_t)(a - s->accounts));
    }
}

void sb_memory_state_set_blob(struct sb_memory_state *s, const sb_hash *id, sb_bytes data)
{
    bool found = false;
    size_t i = lower_bound(s->blobs, s->blob_count, sizeof *s->blobs, id, sizeof *id, &found);
    if (found) {
        return; /* content-addressed: the same id is the same data */
    }
    uint8_t *copy = sb_arena_dup(&s->arena, data);
    SB_ASSERT(copy != NULL);
    s->blobs = insert_gap(s->blobs, &s->blob_count, &s->blob_capacity, sizeof *s->blobs, i);
    s->blobs[i] = (struct blob){.id = *id, .data = sb_span(copy, data.len)};
}

void sb_memory_state_set_block_hash(struct sb_memory_state *s, uint64_t number, const sb_hash *hash)
{
    s->block_hashes = insert_gap(s->block_hashes, &s->block_hash_count, &s->block_hash_capacity,
                                 sizeof *s->block_hashes, s->block_hash_count);
    s->block_hashes[s->block_hash_count - 1] =
        (struct numbered_hash){.number = number, .hash = *hash};
}

static void apply_account(struct sb_memory_state *s, const struct sb_account_diff *diff)
{
    if (!diff->exists) {
        sb_memory_state_remove(s, &diff->addr);
        return;
    }
    struct account *a = account_get(s, &diff->addr);
    a->nonce = diff->nonce;
    a->balance = diff->balance;
    if (diff->code_changed) {
        code_set(s, a, diff->code);
    }
    SB_ASSERT(sb_hash_equal(&a->code_hash, &diff->code_hash));
    if (diff->storage_cleared) {
        a->slot_count = 0;
    }
    for (size_t i = 0; i < diff->slot_count; i++) {
        slot_set(a, &diff->slots[i].key, &diff->slots[i].value);
    }
}

void sb_memory_state_apply(struct sb_memory_state *s, const struct sb_state_diff *diff)
{
    for (size_t i = 0; i < diff->account_count; i++) {
        SB_ASSERT(i == 0 || memcmp(&diff->accounts[i - 1].addr, &diff->accounts[i].addr,
                                   sizeof(sb_addr)) < 0);
        apply_account(s, &diff->accounts[i]);
    }
    for (size_t i = 0; i < diff->blob_count; i++) {
        const struct sb_blob_diff *blob = &diff->blobs[i];
        if (blob->exists) {
            sb_memory_state_set_blob(s, &blob->id, blob->data);
            continue;
        }
        bool found = false;
        size_t place = lower_bound(s->blobs, s->blob_count, sizeof *s->blobs, &blob->id,
                                   sizeof blob->id, &found);
        if (found) {
            remove_at(s->blobs, &s->blob_count, sizeof *s->blobs, place);
        }
    }
}

/* ---------------------------------------------------------------- root */

sb_hash sb_memory_state_root(const struct sb_memory_state *s)
{
    struct sb_root_account *leaves = calloc(s->account_count + 1, sizeof *leaves);
    SB_ASSERT(leaves != NULL);
    for (size_t i = 0; i < s->account_count; i++) {
        const struct account *a = &s->accounts[i];
        leaves[i] = (struct sb_root_account){.addr = a->addr,
                                             .nonce = a->nonce,
                                             .balance = a->balance,
                                             .code_hash = a->code_hash,
                                             .storage_root = sb_hash_empty_trie};
        if (a->slot_count != 0) {
            sb_err err = sb_storage_root(&leaves[i].storage_root, a->slots, a->slot_count);
            SB_ASSERT(err == SB_OK);
        }
    }
    sb_hash root;
    sb_err err = sb_state_root(&root, leaves, s->account_count);
    SB_ASSERT(err == SB_OK);
    free(leaves);
    return root;
}

/* ---------------------------------------------------------------- reading back */

size_t sb_memory_state_account_count(const struct sb_memory_state *s)
{
    return s->account_count;
}

void sb_memory_state_account_at(const struct sb_memory_state *s, size_t index, sb_addr *ret_addr,
                                struct sb_account *ret_account, sb_bytes *ret_code,
                                size_t *ret_slot_count)
{
    SB_ASSERT(index < s->account_count);
    const struct account *a = &s->accounts[index];
    *ret_addr = a->addr;
    *ret_account = (struct sb_account){.nonce = a->nonce,
                                       .balance = a->balance,
                                       .code_hash = a->code_hash,
                                       .has_storage = a->slot_count != 0};
    *ret_code = a->code;
    *ret_slot_count = a->slot_count;
}

void sb_memory_state_slot_at(const struct sb_memory_state *s, size_t account_index,
                             size_t slot_index, sb_hash *ret_key, sb_u256 *ret_value)
{
    SB_ASSERT(account_index < s->account_count);
    const struct account *a = &s->accounts[account_index];
    SB_ASSERT(slot_index < a->slot_count);
    *ret_key = a->slots[slot_index].key;
    *ret_value = a->slots[slot_index].value;
}

/* ---------------------------------------------------------------- differences */

static void print_slot(FILE *out, const char *addr, const sb_hash *key, const sb_u256 *expected,
                       const sb_u256 *actual)
{
    if (sb_u256_equal(expected, actual)) {
        return;
    }
    char key_text[SB_HEX_TEXT_BYTES(32)];
    char want[SB_HEX_U256_BYTES];
    char have[SB_HEX_U256_BYTES];
    (void)sb_hex_format_u256(want, expected);
    (void)sb_hex_format_u256(have, actual);
    fprintf(out, "  %s slot %s: expected %s, have %s\n", addr,
            sb_hex_format(key_text, sb_span(key->b, sizeof key->b)), want, have);
}

/* Slots of both, merged by key. */
static void print_slots(FILE *out, const char *addr, const struct account *expected,
                        const struct account *actual)
{
    static const sb_u256 zero;
    size_t i = 0;
    size_t j = 0;
    while (i < expected->slot_count || j < actual->slot_count) {
        const struct sb_slot_diff *e = i < expected->slot_count ? &expected->slots[i] : NULL;
        const struct sb_slot_diff *a = j < actual->slot_count ? &actual->slots[j] : NULL;
        int order = e == NULL ? 1 : a == NULL ? -1 : memcmp(e->key.b, a->key.b, sizeof e->key.b);
        const sb_hash *key = order <= 0 ? &e->key : &a->key;
        print_slot(out, addr, key, order <= 0 ? &e->value : &zero, order >= 0 ? &a->value : &zero);
        i += order <= 0;
        j += order >= 0;
    }
}

static void print_account(FILE *out, const struct account *expected, const struct account *actual)
{
    char addr[SB_HEX_TEXT_BYTES(20)];
    const struct account *any = expected != NULL ? expected : actual;
    (void)sb_hex_format(addr, sb_span(any->addr.b, sizeof any->addr.b));
    if (expected == NULL || actual == NULL) {
        fprintf(out, "  %s: %s\n", addr, actual == NULL ? "is absent" : "should not be there");
        return;
    }
    if (expected->nonce != actual->nonce) {
        fprintf(out, "  %s nonce: expected %" PRIu64 ", have %" PRIu64 "\n", addr, expected->nonce,
                actual->nonce);
    }
    if (!sb_u256_equal(&expected->balance, &actual->balance)) {
        char want[SB_HEX_U256_BYTES];
        char have[SB_HEX_U256_BYTES];
        (void)sb_hex_format_u256(want, &expected->balance);
        (void)sb_hex_format_u256(have, &actual->balance);
        fprintf(out, "  %s balance: expected %s, have %s\n", addr, want, have);
    }
    if (!sb_hash_equal(&expected->code_hash, &actual->code_hash)) {
        fprintf(out, "  %s code: expected %zu bytes, have %zu others\n", addr, expected->code.len,
                actual->code.len);
    }
    print_slots(out, addr, expected, actual);
}

void sb_memory_state_print_differences(FILE *out, const struct sb_memory_state *expected,
                                       const struct sb_memory_state *actual)
{
    for (size_t i = 0; i < expected->account_count; i++) {
        print_account(out, &expected->accounts[i],
                      account_find(actual, &expected->accounts[i].addr));
    }
    for (size_t i = 0; i < actual->account_count; i++) {
        if (account_find(expected, &actual->accounts[i].addr) == NULL) {
            print_account(out, NULL, &actual->accounts[i]);
        }
    }
}
