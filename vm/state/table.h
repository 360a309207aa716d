/* table.h: a hash table of pointers, for the records of the overlay.
 *
 *     cells   [hash, item] [ - , NULL] [hash, item] ...     open addressing, linear probing, power-of-two capacity, at most 3/4 full
 *
 * Items are never removed singly; the table never decides an order that anyone sees (lists in order of insertion, and sorting, do
 * that), so the hash may be seeded with anything. Memory is drawn from a budget. Keys are compared by the caller's function, which
 * the compiler inlines. */
#ifndef SB_VM_STATE_TABLE_H
#define SB_VM_STATE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/types/hash.h"
#include "base/util/checked.h"
#include "base/util/endian.h"

/* How much memory was taken, and how much may be. */
struct sb_budget {
    size_t used_bytes;
    size_t limit_bytes;
};

struct sb_table_cell {
    uint64_t hash;
    void *item; /* NULL: empty */
};

struct sb_table {
    struct sb_table_cell *cells; /* owned; NULL while capacity is 0 */
    size_t capacity;
    size_t count;
};

/* sb_table_add: insert an item that is not there yet. False if the budget or the system refuses; the table is then unchanged. */
bool sb_table_add(struct sb_table *table, struct sb_budget *budget, uint64_t hash, void *item);
/* sb_table_clear: empty. Memory is kept only if the table made use of it, so that one big transaction does not make the clearing dear
 * for all small ones after it. */
void sb_table_clear(struct sb_table *table, struct sb_budget *budget);
/* sb_table_fini: give the memory back. */
void sb_table_fini(struct sb_table *table, struct sb_budget *budget);

/* sb_table_find: the item for which same(item, key) holds, or NULL. hash is that of the key. */
static inline void *sb_table_find(const struct sb_table *table, uint64_t hash,
                                  bool (*same)(const void *item, const void *key), const void *key)
{
    if (table->capacity == 0) {
        return NULL;
    }
    size_t mask = table->capacity - 1;
    /* ends: the table is never full */
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        const struct sb_table_cell *cell = &table->cells[i];
        if (cell->item == NULL) {
            return NULL;
        }
        if (cell->hash == hash && same(cell->item, key)) {
            return cell->item;
        }
    }
}

/* The hashes of keys that outsiders choose: with secret random 128-bit factors, sum(factor * word) mod 2^128 >> 64 makes any two keys
 * meet in a bucket no more often than chance, whatever the keys are (Dietzfelbinger 1996, multiply-shift for vectors). A plain product of
 * words does not: a word that makes one factor zero would hide all others. */
struct sb_table_key {
    sb_u128 factors[6];
};

/* sb_table_key_make: factors from a seed that outsiders do not know. */
struct sb_table_key sb_table_key_make(uint64_t seed);

static inline uint64_t sb_table_hash_addr(const struct sb_table_key *key, const sb_addr *a)
{
    sb_u128 sum = key->factors[5] + key->factors[0] * le_load64(a->b) +
                  key->factors[1] * le_load64(a->b + 8) + key->factors[2] * le_load32(a->b + 16);
    return (uint64_t)(sum >> 64);
}

/* sb_table_hash_place: of a 32-byte key that belongs to something with a hash of its own (0 for none). */
static inline uint64_t sb_table_hash_place(const struct sb_table_key *key, uint64_t owner,
                                           const sb_hash *k)
{
    sb_u128 sum = key->factors[5] + key->factors[0] * le_load64(k->b) +
                  key->factors[1] * le_load64(k->b + 8) + key->factors[2] * le_load64(k->b + 16) +
                  key->factors[3] * le_load64(k->b + 24) + key->factors[4] * owner;
    return (uint64_t)(sum >> 64);
}

static inline uint64_t sb_table_hash_hash(const struct sb_table_key *key, const sb_hash *k)
{
    return sb_table_hash_place(key, 0, k);
}

#endif
