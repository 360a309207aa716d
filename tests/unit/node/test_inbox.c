/* test_inbox.c: order, bounds and resumption of the queue between the peer network and the node's loop. */
#include "node/inbox.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <cmocka.h>

#define COST SB_INBOX_ITEM_COST

struct seen {
    size_t wakes;
    sb_peer resumed[16];
    size_t resumed_count;
};

static void on_wake(void *ctx)
{
    ((struct seen *)ctx)->wakes++;
}

static void on_resume(void *ctx, sb_peer peer)
{
    struct seen *seen = ctx;
    assert_true(seen->resumed_count < 16);
    seen->resumed[seen->resumed_count++] = peer;
}

static struct sb_inbox *new_inbox(struct seen *seen, size_t peer_bytes, size_t total_bytes)
{
    *seen = (struct seen){.wakes = 0};
    const struct sb_inbox_options options = {.peer_bytes_max = peer_bytes,
                                             .total_bytes_max = total_bytes,
                                             .ctx = seen,
                                             .wake = on_wake,
                                             .resume = on_resume};
    struct sb_inbox *inbox = sb_inbox_new(&options);
    assert_non_null(inbox);
    return inbox;
}

static bool put_up(struct sb_inbox *inbox, sb_peer peer)
{
    return sb_inbox_put(inbox, SB_INBOX_PEER_UP, peer, SB_CHANNEL_CONTROL, sb_span(NULL, 0));
}

static bool put_message(struct sb_inbox *inbox, sb_peer peer, const char *text)
{
    return sb_inbox_put(inbox, SB_INBOX_MESSAGE, peer, SB_CHANNEL_VOTE, sb_span_str(text));
}

/* take_text: all items, messages as their text, comings as "+", goings as "-". */
static void take_text(struct sb_inbox *inbox, char *ret, size_t room)
{
    size_t len = 0;
    struct sb_inbox_item *item = sb_inbox_take(inbox);
    while (item != NULL) {
        struct sb_inbox_item *next = item->next;
        assert_true(len + item->len + 2 < room);
        if (item->kind == SB_INBOX_MESSAGE) {
            memcpy(ret + len, item->bytes, item->len);
            len += item->len;
        } else {
            ret[len++] = item->kind == SB_INBOX_PEER_UP ? '+' : '-';
        }
        sb_inbox_done_take(inbox, item);
        item = next;
    }
    ret[len] = '\0';
}

static void items_come_out_in_order_with_one_wake(void **state)
{
    (void)state;
    struct seen seen;
    char text[64];
    struct sb_inbox *inbox = new_inbox(&seen, 1000, 1000);
    assert_true(put_up(inbox, 1));
    assert_true(put_message(inbox, 1, "a"));
    assert_true(put_message(inbox, 1, "b"));
    assert_true(sb_inbox_put(inbox, SB_INBOX_PEER_DOWN, 1, SB_CHANNEL_CONTROL, sb_span(NULL, 0)));
    assert_int_equal(seen.wakes, 1);
    take_text(inbox, text, sizeof text);
    assert_string_equal(text, "+ab-");
    take_text(inbox, text, sizeof text);
    assert_string_equal(text, "");
    assert_true(put_up(inbox, 2));
    assert_int_equal(seen.wakes, 2);
    sb_inbox_free(inbox);
}

static void messages_of_unknown_peers_are_refused(void **state)
{
    (void)state;
    struct seen seen;
    char text[64];
    struct sb_inbox *inbox = new_inbox(&seen, 1000, 1000);
    assert_false(put_message(inbox, 1, "a"));
    assert_true(put_up(inbox, 1));
    assert_false(put_up(inbox, 1));
    assert_true(sb_inbox_put(inbox, SB_INBOX_PEER_DOWN, 1, SB_CHANNEL_CONTROL, sb_span(NULL, 0)));
    take_text(inbox, text, sizeof text);
    assert_false(put_message(inbox, 1, "late"));
    assert_int_equal(seen.resumed_count, 0);
    sb_inbox_free(inbox);
}

static void full_peer_is_refused_and_resumed_at_half(void **state)
{
    (void)state;
    struct seen seen;
    struct sb_inbox *inbox = new_inbox(&seen, COST + 4, 1000);
    assert_true(put_up(inbox, 1));
    assert_true(put_up(inbox, 2));
    assert_true(put_message(inbox, 1, "abc"));
    assert_true(put_message(inbox, 1, "def")); /* passes the bound by one message */
    assert_false(put_message(inbox, 1, "g"));
    assert_true(put_message(inbox, 2, "h")); /* others still have room */
    struct sb_inbox_item *item = sb_inbox_take(inbox);
    for (int i = 0; i < 3; i++) { /* two comings and "abc": one message is left */
        struct sb_inbox_item *next = item->next;
        sb_inbox_done_take(inbox, item);
        item = next;
    }
    assert_int_equal(seen.resumed_count, 0);
    struct sb_inbox_item *last = item->next;
    sb_inbox_done_take(inbox, item);
    assert_int_equal(seen.resumed_count, 1);
    assert_int_equal(seen.resumed[0], 1);
    sb_inbox_done_take(inbox, last);
    assert_true(put_message(inbox, 1, "g"));
    assert_int_equal(seen.resumed_count, 1);
    sb_inbox_free(inbox);
}

static void full_inbox_refuses_everyone_but_comings(void **state)
{
    (void)state;
    struct seen seen;
    char text[64];
    struct sb_inbox *inbox = new_inbox(&seen, 1000, COST + 4);
    assert_true(put_up(inbox, 1));
    assert_true(put_message(inbox, 1, "abcd"));
    assert_true(put_up(inbox, 2));
    assert_false(put_message(inbox, 1, "e"));
    assert_false(put_message(inbox, 2, "f"));
    take_text(inbox, text, sizeof text);
    assert_string_equal(text, "+abcd+");
    assert_int_equal(seen.resumed_count, 2);
    sb_inbox_free(inbox);
}

static void messages_without_bytes_fill_the_inbox_too(void **state)
{
    (void)state;
    struct seen seen;
    struct sb_inbox *inbox = new_inbox(&seen, 10 * COST, 1000 * COST);
    assert_true(put_up(inbox, 1));
    for (int i = 0; i < 10; i++) {
        assert_true(put_message(inbox, 1, ""));
    }
    assert_false(put_message(inbox, 1, ""));
    sb_inbox_free(inbox);
}

/* Peers that flood fill what is everybody's; each other peer still has its share. */
static void share_of_a_peer_is_its_own(void **state)
{
    (void)state;
    struct seen seen;
    char text[4096];
    const size_t total = SB_INBOX_SHARES * 4 * COST;
    struct sb_inbox *inbox = new_inbox(&seen, total, total);
    assert_true(put_up(inbox, 1));
    assert_true(put_up(inbox, 2));
    while (put_message(inbox, 1, "")) {
    }
    for (int i = 0; i < 4; i++) {
        assert_true(put_message(inbox, 2, ""));
    }
    assert_false(put_message(inbox, 2, ""));
    /* its own messages are done first: it goes on, though all room is still filled */
    struct sb_inbox_item *item = sb_inbox_take(inbox);
    struct sb_inbox_item *others = NULL;
    while (item != NULL) {
        struct sb_inbox_item *next = item->next;
        if (item->peer == 2) {
            sb_inbox_done_take(inbox, item);
        } else {
            item->next = others;
            others = item;
        }
        item = next;
    }
    assert_int_equal(seen.resumed_count, 1);
    assert_int_equal(seen.resumed[0], 2);
    assert_true(put_message(inbox, 2, "x"));
    while (others != NULL) {
        item = others;
        others = item->next;
        sb_inbox_done_take(inbox, item);
    }
    assert_int_equal(seen.resumed_count, 2);
    take_text(inbox, text, sizeof text);
    assert_string_equal(text, "x");
    sb_inbox_free(inbox);
}

/* ---- two threads ---- */

#define MANY 100000

struct flow {
    struct sb_inbox *inbox;
    atomic_size_t resumes;
    size_t refused;
};

static void flow_wake(void *ctx)
{
    (void)ctx;
}

static void flow_resume(void *ctx, sb_peer peer)
{
    struct flow *flow = ctx;
    assert_int_equal(peer, 1);
    atomic_fetch_add(&flow->resumes, 1);
}

/* put_many: numbers in order; a refused one is tried again after the resume, as a transport would read on. */
static void *put_many(void *ctx)
{
    struct flow *flow = ctx;
    for (uint32_t i = 0; i < MANY; i++) {
        while (!sb_inbox_put(flow->inbox, SB_INBOX_MESSAGE, 1, SB_CHANNEL_PART,
                             sb_span(&i, sizeof i))) {
            flow->refused++;
            while (atomic_load(&flow->resumes) < flow->refused) {
                (void)sched_yield();
            }
        }
    }
    return NULL;
}

static void numbers_cross_threads_in_order_and_each_refusal_is_resumed(void **state)
{
    (void)state;
    struct flow flow = {.refused = 0};
    const struct sb_inbox_options options = {
        .peer_bytes_max = 16 * COST, .ctx = &flow, .wake = flow_wake, .resume = flow_resume};
    flow.inbox = sb_inbox_new(&options);
    assert_non_null(flow.inbox);
    assert_true(put_up(flow.inbox, 1));
    sb_inbox_done_take(flow.inbox, sb_inbox_take(flow.inbox));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, put_many, &flow), 0);
    for (uint32_t wanted = 0; wanted < MANY;) {
        struct sb_inbox_item *item = sb_inbox_take(flow.inbox);
        if (item == NULL) {
            (void)sched_yield(); /* there may be but one processor */
        }
        while (item != NULL) {
            struct sb_inbox_item *next = item->next;
            uint32_t got;
            memcpy(&got, item->bytes, sizeof got);
            assert_int_equal(got, wanted++);
            sb_inbox_done_take(flow.inbox, item);
            item = next;
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    sb_inbox_free(flow.inbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_in_order_with_one_wake),
        cmocka_unit_test(messages_of_unknown_peers_are_refused),
        cmocka_unit_test(full_peer_is_refused_and_resumed_at_half),
        cmocka_unit_test(full_inbox_refuses_everyone_but_comings),
        cmocka_unit_test(messages_without_bytes_fill_the_inbox_too),
        cmocka_unit_test(share_of_a_peer_is_its_own),
        cmocka_unit_test(numbers_cross_threads_in_order_and_each_refusal_is_resumed),
    };
    return cmocka_run_group_tests_name("inbox", tests, NULL, NULL);
}
