/* events.c: see events.h. */
#include "tests/sim/events.h"

#include <stdlib.h>

#include "base/util/assert.h"
#include "tests/sim/alloc.h"

void sim_events_init(struct sim_events *events)
{
    *events = (struct sim_events){.heap = NULL};
}

void sim_events_fini(struct sim_events *events)
{
    free(events->heap);
    events->heap = NULL;
}

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->sequence < b->sequence;
}

static void insert(struct sim_events *events, const struct sim_event *event)
{
    if (events->count == events->capacity) {
        events->capacity = events->capacity == 0 ? 256 : 2 * events->capacity;
        struct sim_alloc *before = sim_alloc_enter(NULL);
        events->heap = realloc(events->heap, events->capacity * sizeof *events->heap);
        (void)sim_alloc_enter(before);
        SB_ASSERT(events->heap != NULL);
    }
    size_t at = events->count++;
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!is_before(event, &events->heap[parent])) {
            break;
        }
        events->heap[at] = events->heap[parent];
        at = parent;
    }
    events->heap[at] = *event;
}

void sim_events_add(struct sim_events *events, const struct sim_event *event)
{
    struct sim_event added = *event;
    added.sequence = events->next_sequence++;
    insert(events, &added);
}

void sim_events_defer(struct sim_events *events, const struct sim_event *event, uint64_t at_us)
{
    struct sim_event deferred = *event;
    deferred.at_us = at_us;
    insert(events, &deferred);
}

bool sim_events_take(struct sim_event *ret_event, struct sim_events *events)
{
    if (events->count == 0) {
        return false;
    }
    *ret_event = events->heap[0];
    struct sim_event moved = events->heap[--events->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= events->count) {
            break;
        }
        if (child + 1 < events->count &&
            is_before(&events->heap[child + 1], &events->heap[child])) {
            child++;
        }
        if (!is_before(&events->heap[child], &moved)) {
            break;
        }
        events->heap[at] = events->heap[child];
        at = child;
    }
    if (events->count != 0) {
        events->heap[at] = moved;
    }
    return true;
}
