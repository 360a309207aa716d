/* fixture.c: jansson values to our types, and a walk over folders; see fixture.h. */
#include "tests/support/fixture.h"

#include <fts.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/codec/hex.h"
#include "base/util/assert.h"

/* The digits after "0x"; NULL for text of another form. */
static const char *hex_digits(const json_t *value, size_t *ret_count)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (text == NULL || len < 2 || text[0] != '0' || text[1] != 'x') {
        return NULL;
    }
    *ret_count = len - 2;
    return text + 2;
}

bool sb_fixture_u256(sb_u256 *ret, const json_t *value)
{
    size_t count = 0;
    const char *digits = hex_digits(value, &count);
    if (digits == NULL) {
        return json_is_string(value) &&
               sb_u256_parse_decimal(ret, json_string_value(value), json_string_length(value));
    }
    sb_u256 number = sb_u256_zero();
    for (size_t i = 0; i < count; i++) {
        int digit = sb_hex_digit(digits[i]);
        if (digit < 0 || number.w[3] >> 60 != 0) {
            return false;
        }
        number = sb_u256_shl(&number, 4);
        number.w[0] |= (uint64_t)digit;
    }
    *ret = number;
    return true;
}

bool sb_fixture_u64(uint64_t *ret, const json_t *value)
{
    sb_u256 number;
    if (!sb_fixture_u256(&number, value) || !sb_u256_fits_u64(&number)) {
        return false;
    }
    *ret = number.w[0];
    return true;
}

bool sb_fixture_word(sb_hash *ret, const json_t *value)
{
    sb_u256 number;
    if (!sb_fixture_u256(&number, value)) {
        return false;
    }
    sb_u256_store_be(ret->b, &number);
    return true;
}

bool sb_fixture_addr(sb_addr *ret, const json_t *value)
{
    size_t count = 0;
    const char *digits = hex_digits(value, &count);
    return digits != NULL && sb_hex_decode(ret->b, sizeof ret->b, digits, count) == SB_OK;
}

bool sb_fixture_bytes(sb_bytes *ret, struct sb_arena *arena, const json_t *value)
{
    size_t count = 0;
    const char *digits = hex_digits(value, &count);
    if (digits == NULL || count % 2 != 0) {
        return false;
    }
    uint8_t *bytes = sb_arena_alloc(arena, count / 2);
    SB_ASSERT(bytes != NULL);
    if (sb_hex_decode(bytes, count / 2, digits, count) != SB_OK) {
        return false;
    }
    *ret = sb_span(bytes, count / 2);
    return true;
}

static bool add_account(struct sb_memory_state *s, struct sb_arena *arena, const char *addr_text,
                        const json_t *value)
{
    sb_addr addr;
    uint64_t nonce;
    sb_u256 balance;
    sb_bytes code;
    size_t len = strlen(addr_text);
    if (sb_hex_parse(addr.b, sizeof addr.b, addr_text, len) != SB_OK ||
        !sb_fixture_u64(&nonce, json_object_get(value, "nonce")) ||
        !sb_fixture_u256(&balance, json_object_get(value, "balance")) ||
        !sb_fixture_bytes(&code, arena, json_object_get(value, "code"))) {
        return false;
    }
    sb_memory_state_set_account(s, &addr, nonce, &balance, code);

    const char *key_text;
    json_t *slot;
    json_object_foreach(json_object_get(value, "storage"), key_text, slot)
    {
        sb_hash key;
        sb_u256 number;
        json_t *key_json = json_string(key_text);
        bool good = sb_fixture_word(&key, key_json) && sb_fixture_u256(&number, slot);
        json_decref(key_json);
        if (!good) {
            return false;
        }
        sb_memory_state_set_slot(s, &addr, &key, &number);
    }
    return true;
}

bool sb_fixture_state(struct sb_memory_state *s, struct sb_arena *arena, const json_t *accounts)
{
    if (!json_is_object(accounts)) {
        return false;
    }
    sb_memory_state_reset(s);
    const char *addr;
    json_t *account;
    json_object_foreach((json_t *)(uintptr_t)accounts, addr, account)
    {
        if (!add_account(s, arena, addr, account)) {
            return false;
        }
    }
    return true;
}

/* ---------------------------------------------------------------- files */

static void list_push(struct sb_file_list *list, const char *name)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        list->names = realloc(list->names, list->capacity * sizeof *list->names);
        SB_ASSERT(list->names != NULL);
    }
    list->names[list->count] = strdup(name);
    SB_ASSERT(list->names[list->count] != NULL);
    list->count++;
}

static bool ends_with(const char *text, const char *suffix)
{
    size_t len = strlen(text);
    size_t suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

bool sb_file_list_add(struct sb_file_list *list, const char *path, const char *suffix)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        return false;
    }
    if (!S_ISDIR(info.st_mode)) {
        list_push(list, path);
        return true;
    }
    char *root = strdup(path);
    SB_ASSERT(root != NULL);
    char *roots[] = {root, NULL};
    FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    SB_ASSERT(walk != NULL);
    for (FTSENT *entry = fts_read(walk); entry != NULL; entry = fts_read(walk)) {
        if (entry->fts_info == FTS_F && ends_with(entry->fts_name, suffix)) {
            list_push(list, entry->fts_path);
        }
    }
    (void)fts_close(walk);
    free(root);
    return true;
}

void sb_file_list_fini(struct sb_file_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->names[i]);
    }
    free(list->names);
    *list = (struct sb_file_list){.names = NULL};
}
