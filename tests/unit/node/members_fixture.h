/* members_fixture.h: four validators with real chains and real drivers in one process.
 *
 *      members joined by a queue of messages, virtual time; timers run out when nothing else happens
 *
 * Member i has key i of the fixture. A test may keep messages back, or put some of its own into the queue. */
#ifndef SB_TESTS_UNIT_NODE_MEMBERS_FIXTURE_H
#define SB_TESTS_UNIT_NODE_MEMBERS_FIXTURE_H

#include "node/driver.h"
#include "tests/unit/node/model_fixture.h"

#define MEMBERS   NET_VALIDATORS
#define QUEUE_MAX 1024
#define TIMERS    3

struct packet {
    size_t to;
    struct sb_bft_message message;
    uint8_t *block; /* owned */
    size_t block_len;
};

struct timer {
    bool is_set;
    uint64_t at_ms, height;
    int32_t round;
};

struct member {
    size_t index;
    struct side *side;
    struct sb_journal *journal;
    struct sb_local_signer signer;
    struct sb_driver *driver;
    struct timer timers[TIMERS];
    int32_t decided_round;
    sb_err failed;
    struct sb_diag diag;
};

static struct side sides[MEMBERS];
static struct member members[MEMBERS];
static struct packet queue[QUEUE_MAX];
static size_t queue_head, queue_count;
static uint64_t now_ms;
static size_t outcast; /* nobody waits for it; MEMBERS: there is none */
/* holds: true: this packet is kept back until release_held. NULL: none is. */
static bool (*holds)(const struct packet *packet);
static struct packet held[QUEUE_MAX];
static size_t held_count;

/* ---- what drivers need ---- */

static inline uint64_t member_now(void *ctx)
{
    (void)ctx;
    return now_ms;
}

static inline void member_set_timer(void *ctx, enum sb_bft_timeout kind, uint64_t height,
                                    int32_t round, uint64_t delay_ms)
{
    struct member *m = ctx;
    m->timers[kind] = (struct timer){
        .is_set = true, .at_ms = now_ms + delay_ms, .height = height, .round = round};
}

static inline void member_cancel_timers(void *ctx)
{
    memset(((struct member *)ctx)->timers, 0, sizeof members[0].timers);
}

static inline void member_send(void *ctx, const struct sb_bft_message *message, sb_bytes block)
{
    const struct member *m = ctx;
    for (size_t i = 0; i < MEMBERS; i++) {
        if (i == m->index) {
            continue;
        }
        assert_true(queue_count < QUEUE_MAX);
        struct packet *packet = &queue[(queue_head + queue_count++) % QUEUE_MAX];
        *packet = (struct packet){.to = i, .message = *message, .block_len = block.len};
        packet->block = malloc(block.len + 1);
        assert_non_null(packet->block);
        sb_copy(packet->block, block.data, block.len);
    }
}

static inline void member_fetch(void *ctx, uint64_t height, int32_t round, const sb_hash *block_id)
{
    (void)ctx;
    (void)height;
    (void)round;
    (void)block_id;
}

static inline void member_committed(void *ctx, const struct sb_commit *commit)
{
    ((struct member *)ctx)->decided_round = commit->round;
}

static inline void member_open(struct member *m, size_t index)
{
    struct fixture *f = &sides[index].n.f;
    struct sb_journal_recovery recovery;
    struct sb_journal_identity identity = {.genesis_hash = sb_chain_domain(f->chain)->genesis_hash};
    *m = (struct member){.index = index, .side = &sides[index]};
    memcpy(identity.public_key, m->side->n.keys[index].bytes, sizeof identity.public_key);
    fixture_check(f, sb_journal_open_folder(&m->journal, f->journal_dir, &identity, true, &recovery,
                                            &f->diag));
    m->signer.journal = m->journal;
    memcpy(m->signer.secret, m->side->n.secrets[index], sizeof m->signer.secret);
    const struct sb_driver_options options = {.app = m->side->n.table,
                                              .journal = m->journal,
                                              .signer = sb_local_signer(&m->signer),
                                              .own_key = m->side->n.keys[index],
                                              .timeouts = sb_bft_timeouts_default(),
                                              .verifier = sb_verifier_ed25519(),
                                              .host = {.ctx = m,
                                                       .now_ms = member_now,
                                                       .set_timer = member_set_timer,
                                                       .cancel_timers = member_cancel_timers,
                                                       .send = member_send,
                                                       .fetch = member_fetch,
                                                       .committed = member_committed}};
    fixture_check(f, sb_driver_new(&m->driver, &options, &f->diag));
    fixture_check(f, sb_driver_resume(m->driver, &f->diag));
}

static inline int members_setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < MEMBERS; i++) {
        side_init(&sides[i]);
        member_open(&members[i], i);
    }
    now_ms = sides[0].n.f.now_ms;
    outcast = MEMBERS;
    holds = NULL;
    held_count = 0;
    return 0;
}

/* release_held: what was kept back goes to the end of the queue. */
static inline void release_held(void)
{
    for (size_t i = 0; i < held_count; i++) {
        assert_true(queue_count < QUEUE_MAX);
        queue[(queue_head + queue_count++) % QUEUE_MAX] = held[i];
    }
    held_count = 0;
}

static inline int members_teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < MEMBERS; i++) {
        sb_driver_free(members[i].driver);
        sb_journal_close(members[i].journal);
        side_fini(&sides[i]);
    }
    release_held();
    for (; queue_count != 0; queue_count--) {
        free(queue[queue_head].block);
        queue_head = (queue_head + 1) % QUEUE_MAX;
    }
    return 0;
}

/* ---- what happens ---- */

/* hand: false: it came too early. */
static inline bool hand(struct member *m, const struct packet *packet)
{
    enum sb_driver_taken taken = SB_TAKEN_NEW;
    if (m->failed != SB_OK) {
        return true;
    }
    if (!packet->message.is_proposal) {
        m->failed = sb_driver_vote(&taken, m->driver, &packet->message.as.vote, &m->diag);
    } else {
        const struct sb_proposal *proposal = &packet->message.as.proposal;
        m->failed = sb_driver_proposal(&taken, m->driver, proposal, &m->diag);
        if (m->failed == SB_OK && taken == SB_TAKEN_NEW) {
            m->failed = sb_driver_block(&taken, m->driver, &proposal->block_id,
                                        sb_span(packet->block, packet->block_len), &m->diag);
        }
    }
    return m->failed != SB_OK || taken != SB_TAKEN_EARLY;
}

/* deliver_all: what comes too early waits until something else has happened. */
static inline void deliver_all(void)
{
    bool has_happened = true;
    while (has_happened) {
        has_happened = false;
        for (size_t left = queue_count; left > 0; left--) {
            struct packet packet = queue[queue_head];
            queue_head = (queue_head + 1) % QUEUE_MAX;
            queue_count--;
            if (holds != NULL && holds(&packet)) {
                assert_true(held_count < QUEUE_MAX);
                held[held_count++] = packet;
            } else if (hand(&members[packet.to], &packet)) {
                free(packet.block);
                has_happened = true;
            } else {
                assert_true(queue_count < QUEUE_MAX);
                queue[(queue_head + queue_count++) % QUEUE_MAX] = packet;
            }
        }
    }
}

static inline void run_earliest_timer(void)
{
    struct member *next = NULL;
    int kind = 0;
    for (size_t i = 0; i < MEMBERS; i++) {
        for (int k = 0; k < TIMERS; k++) {
            const struct timer *t = &members[i].timers[k];
            if (members[i].failed == SB_OK && t->is_set &&
                (next == NULL || t->at_ms < next->timers[kind].at_ms)) {
                next = &members[i];
                kind = k;
            }
        }
    }
    assert_non_null(next);
    struct timer timer = next->timers[kind];
    next->timers[kind].is_set = false;
    now_ms = timer.at_ms > now_ms ? timer.at_ms : now_ms;
    next->failed = sb_driver_timeout(next->driver, (enum sb_bft_timeout)kind, timer.height,
                                     timer.round, &next->diag);
}

static inline bool is_done(uint64_t height)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        if (i != outcast && net_head(&sides[i].n).height < height) {
            return false;
        }
    }
    return true;
}

/* run_height: the next height, by all that are idle. */
static inline void run_height(void)
{
    uint64_t height = 0;
    now_ms += 1000;
    for (size_t i = 0; i < MEMBERS; i++) {
        if (members[i].failed == SB_OK && sb_driver_is_idle(members[i].driver)) {
            height = net_head(&sides[i].n).height + 1;
            fixture_check(&sides[i].n.f,
                          sb_driver_start_height(members[i].driver, &sides[i].n.f.diag));
        }
    }
    deliver_all();
    for (unsigned timers = 0; !is_done(height); timers++) {
        assert_true(timers < 100);
        run_earliest_timer();
        deliver_all();
    }
}

#endif
