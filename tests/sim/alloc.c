/* alloc.c: see alloc.h. The linker sends calls of malloc to __wrap_malloc, and __real_malloc to the library's. */
#include "tests/sim/alloc.h"

#include <malloc.h>
#include <stddef.h>

static struct sim_alloc *current;

void *__real_malloc(size_t len);
void *__real_calloc(size_t count, size_t len);
void *__real_realloc(void *memory, size_t len);
void __real_free(void *memory);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_realloc(void *memory, size_t len);
void __wrap_free(void *memory);

struct sim_alloc *sim_alloc_enter(struct sim_alloc *account)
{
    struct sim_alloc *before = current;
    current = account;
    return before;
}

static void count(const void *memory, int sign)
{
    if (current == NULL || memory == NULL) {
        return;
    }
    union {
        const void *in;
        void *out; /* malloc_usable_size knows no const */
    } at = {.in = memory};
    current->bytes += sign * (int64_t)malloc_usable_size(at.out);
    if (current->bytes > current->bytes_max) {
        current->bytes_max = current->bytes;
    }
}

void *__wrap_malloc(size_t len)
{
    void *memory = __real_malloc(len);
    count(memory, 1);
    return memory;
}

void *__wrap_calloc(size_t items, size_t len)
{
    void *memory = __real_calloc(items, len);
    count(memory, 1);
    return memory;
}

void *__wrap_realloc(void *memory, size_t len)
{
    count(memory, -1);
    void *moved = __real_realloc(memory, len);
    count(moved != NULL ? moved : memory, 1);
    return moved;
}

void __wrap_free(void *memory)
{
    count(memory, -1);
    __real_free(memory);
}
