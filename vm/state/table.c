/* table.c: growth of the hash table of pointers, and keys of its hashes; see table.h. */
#include "vm/state/table.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN   ((size_t)64)
#define SPARSE_DIVISOR 32 /* a table that grew was 3/8 full at least */

static void cell_put(struct sb_table_cell *cells, size_t capacity, struct sb_table_cell cell)
{
    size_t i = (size_t)cell.hash & (capacity - 1);
    while (cells[i].item != NULL) {
        i = (i + 1) & (capacity - 1);
    }
    cells[i] = cell;
}

static bool grow(struct sb_table *table, struct sb_budget *budget)
{
    size_t capacity = table->capacity == 0 ? CAPACITY_MIN : table->capacity * 2;
    size_t bytes = capacity * sizeof *table->cells;
    size_t old_bytes = table->capacity * sizeof *table->cells;
    if (bytes > budget->limit_bytes || budget->used_bytes > budget->limit_bytes - bytes) {
        return false;
    }
    struct sb_table_cell *cells = calloc(capacity, sizeof *cells);
    if (cells == NULL) {
        return false;
    }
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->cells[i].item != NULL) {
            cell_put(cells, capacity, table->cells[i]);
        }
    }
    free(table->cells);
    table->cells = cells;
    table->capacity = capacity;
    budget->used_bytes += bytes - old_bytes;
    return true;
}

/* The next number of splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

struct sb_table_key sb_table_key_make(uint64_t seed)
{
    struct sb_table_key key;
    for (size_t i = 0; i < sizeof key.factors / sizeof key.factors[0]; i++) {
        uint64_t high = next_random(&seed);
        key.factors[i] = (sb_u128)high << 64 | next_random(&seed);
    }
    return key;
}

bool sb_table_add(struct sb_table *table, struct sb_budget *budget, uint64_t hash, void *item)
{
    if (table->count + 1 > table->capacity / 4 * 3 && !grow(table, budget)) {
        return false;
    }
    cell_put(table->cells, table->capacity, (struct sb_table_cell){.hash = hash, .item = item});
    table->count++;
    return true;
}

void sb_table_fini(struct sb_table *table, struct sb_budget *budget)
{
    budget->used_bytes -= table->capacity * sizeof *table->cells;
    free(table->cells);
    *table = (struct sb_table){.cells = NULL, .capacity = 0, .count = 0};
}

void sb_table_clear(struct sb_table *table, struct sb_budget *budget)
{
    if (table->count < table->capacity / SPARSE_DIVISOR) {
        sb_table_fini(table, budget);
    } else if (table->count != 0) {
        memset(table->cells, 0, table->capacity * sizeof *table->cells);
        table->count = 0;
    }
}
