/* events.h: the future of a simulated cluster: a binary heap of events by (virtual time, sequence).
 *
 * Two events of one moment happen in the order in which they were added, so a run is a function of its seed alone. */
#ifndef SB_TESTS_SIM_EVENTS_H
#define SB_TESTS_SIM_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_event_kind {
    SIM_EVENT_DELIVER, /* a packet arrives at a node */
    SIM_EVENT_TIMER,   /* a node's timer runs out */
    SIM_EVENT_LINK,    /* a connection between two nodes comes up or goes down */
    SIM_EVENT_FAULT,   /* the next fault of a kind is due */
    SIM_EVENT_RESTART, /* a crashed node starts again */
    SIM_EVENT_HEAL,    /* the partition ends */
    SIM_EVENT_ACT,     /* an adversary's turn */
};

struct sim_packet;

struct sim_event {
    uint64_t at_us;
    uint64_t sequence; /* set by sim_events_add */
    enum sim_event_kind kind;
    uint32_t node;             /* whom it concerns */
    uint32_t detail;           /* timer id, fault kind, other end of a link */
    uint64_t generation;       /* of a timer, a life or a link: an event of an older one is void */
    struct sim_packet *packet; /* DELIVER: owned */
};

struct sim_events {
    struct sim_event *heap; /* owned */
    size_t count, capacity;
    uint64_t next_sequence;
};

void sim_events_init(struct sim_events *events);
/* sim_events_fini: packets in it are the caller's to free first (sim_events_take until empty). */
void sim_events_fini(struct sim_events *events);
void sim_events_add(struct sim_events *events, const struct sim_event *event);
/* sim_events_defer: put an event that was taken back, for later; among those of its new moment it keeps its place of old, as in a queue. */
void sim_events_defer(struct sim_events *events, const struct sim_event *event, uint64_t at_us);
/* sim_events_take: the earliest event; false when there is none. */
bool sim_events_take(struct sim_event *ret_event, struct sim_events *events);

#endif
