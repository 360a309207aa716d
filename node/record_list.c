/* record_list.c: see record_list.h. */
#include "node/record_list.h"

static sb_err grow(struct sb_record_list *list)
{
    if (list->count < list->capacity) {
        return SB_OK;
    }
    size_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
    struct sb_store_record *items = sb_arena_array(list->arena, capacity, sizeof *items);
    if (items == NULL) {
        return SB_E_NOMEM;
    }
    sb_copy(items, list->items, list->count * sizeof *items);
    list->items = items;
    list->capacity = capacity;
    return SB_OK;
}

sb_err sb_record_list_put(struct sb_record_list *list, sb_bytes key, sb_bytes value)
{
    SB_TRY(grow(list));
    const uint8_t *key_copy = sb_arena_dup(list->arena, key);
    const uint8_t *value_copy = sb_arena_dup(list->arena, value);
    if (key_copy == NULL || value_copy == NULL) {
        return SB_E_NOMEM;
    }
    list->items[list->count++] = (struct sb_store_record){.key = sb_span(key_copy, key.len),
                                                          .value = sb_span(value_copy, value.len)};
    return SB_OK;
}

sb_err sb_record_list_remove(struct sb_record_list *list, sb_bytes key)
{
    SB_TRY(grow(list));
    const uint8_t *key_copy = sb_arena_dup(list->arena, key);
    if (key_copy == NULL) {
        return SB_E_NOMEM;
    }
    list->items[list->count++] =
        (struct sb_store_record){.key = sb_span(key_copy, key.len), .value = sb_span(NULL, 0)};
    return SB_OK;
}
