/* test_p2p_book.c: the address book, addresses, scores and bans of node/p2p/, without sockets. */
#include "node/p2p/address_book.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto/hash.h"
#include "base/util/endian.h"
#include "node/p2p/score.h"
#include "tests/support/random.h"

#define NOW        UINT64_C(1800000000)
#define FILE_BYTES ((size_t)4 << 20)

static const uint8_t k_key[SB_BOOK_KEY_BYTES] = {1, 2, 3};

static struct sb_endpoint v4(uint32_t ip, uint16_t port)
{
    struct sb_endpoint e = {.ip = {[10] = 0xff, [11] = 0xff}, .port = port};
    be_store32(e.ip + 12, ip);
    return e;
}

static struct sb_pex_address node_at(uint32_t ip)
{
    struct sb_pex_address a = {.endpoint = v4(ip, 23296)};
    be_store32(a.node_id, ip);
    return a;
}

static struct sb_book *book_new(void)
{
    struct sb_book *book = NULL;
    assert_int_equal(sb_book_new(&book, k_key, false), SB_OK);
    return book;
}

/* An address of the internet, never of a special range: 5.0.0.0 and above, below 10.0.0.0. */
static uint32_t public_ip(struct sb_random *random)
{
    return (uint32_t)(0x05000000u + sb_random_below(random, 0x05000000u));
}

/* ---- addresses ---- */

static void node_addresses_are_parsed_or_refused_with_the_text(void **state)
{
    (void)state;
    static const char id[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    struct sb_node_address a;
    char text[512];
    (void)snprintf(text, sizeof text, "%s@example.org:23296", id);
    assert_int_equal(sb_node_address_parse(&a, text, NULL), SB_OK);
    assert_true(a.has_id);
    assert_int_equal(a.id[1], 0x11);
    assert_string_equal(a.host, "example.org");
    assert_int_equal(a.port, 23296);
    (void)snprintf(text, sizeof text, "%s@[2a00::1]:1", id);
    assert_int_equal(sb_node_address_parse(&a, text, NULL), SB_OK);
    assert_string_equal(a.host, "2a00::1");
    assert_int_equal(sb_node_address_parse(&a, "h:65535", NULL), SB_OK);
    assert_false(a.has_id);
    static const char *const k_bad[] = {
        "",         "h",    "h:",     "h:0",   "h:65536", "h:1x",     ":1",   "@h:1",     "00@h:1",
        "[::1]1:1", "[::1", "[::1]:", "h h:1", "h:-1",    "h:00001a", "[]:1", "::1:8000", "h:1:2"};
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        struct sb_diag diag = {.text = ""};
        assert_int_not_equal(sb_node_address_parse(&a, k_bad[i], &diag), SB_OK);
        assert_true(diag.text[0] != '\0');
    }
}

static void addresses_that_nobody_can_reach_are_known_as_such(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool dialable, local;
    } k_cases[] = {
        {"8.8.8.8", true, false},
        {"127.0.0.1", false, true},
        {"10.1.2.3", false, true},
        {"172.16.0.1", false, true},
        {"172.32.0.1", true, false},
        {"192.168.1.1", false, true},
        {"100.64.0.1", false, true},
        {"169.254.1.1", false, true},
        {"0.0.0.0", false, false},
        {"224.0.0.1", false, false},
        {"255.255.255.255", false, false},
        {"192.0.2.1", false, false},
        {"::1", false, true},
        {"::", false, false},
        {"fe80::1", false, true},
        {"fd00::1", false, true},
        {"ff02::1", false, false},
        {"2001:db8::1", false, false},
        {"2606:4700::1111", true, false},
    };
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        struct sb_endpoint e;
        assert_true(sb_endpoint_parse(&e, k_cases[i].host, 1));
        assert_int_equal(sb_endpoint_is_dialable(&e, false), k_cases[i].dialable);
        assert_int_equal(sb_endpoint_is_local(&e), k_cases[i].local);
        assert_int_equal(sb_endpoint_is_dialable(&e, true),
                         k_cases[i].dialable || k_cases[i].local);
        e.port = 0;
        assert_false(sb_endpoint_is_dialable(&e, true));
    }
    struct sb_endpoint e;
    assert_false(sb_endpoint_parse(&e, "example.org", 1));
}

static void groups_and_subnets_are_counted_by_their_prefix(void **state)
{
    (void)state;
    struct sb_endpoint a = v4(0x08080808, 1), b = v4(0x08080901, 2), c = v4(0x08090808, 1);
    assert_true(sb_endpoint_group(&a) == sb_endpoint_group(&b));
    assert_true(sb_endpoint_group(&a) != sb_endpoint_group(&c));
    assert_true(sb_endpoint_subnet(&a) != sb_endpoint_subnet(&b));
    struct sb_endpoint d = v4(0x080808ff, 9);
    assert_true(sb_endpoint_subnet(&a) == sb_endpoint_subnet(&d));
    assert_true(sb_endpoint_host_number(&a) != sb_endpoint_host_number(&d));
    d = v4(0x08080808, 9);
    assert_true(sb_endpoint_host_number(&a) == sb_endpoint_host_number(&d));
    char text[SB_ENDPOINT_TEXT_BYTES];
    assert_string_equal(sb_endpoint_format(text, &a), "8.8.8.8:1");
}

/* ---- the book ---- */

static bool is_another_node(void *ctx, const struct sb_pex_address *address)
{
    const struct sb_pex_address *refused = ctx;
    return memcmp(address->node_id, refused->node_id, sizeof address->node_id) != 0;
}

/* Somebody tells of an honest address under the id of a node that is banned, or connected already. */
static void hearsay_of_an_id_keeps_no_address_from_being_dialled(void **state)
{
    (void)state;
    struct sb_book *book = book_new();
    struct sb_pex_address a = node_at(0x08080808), got;
    struct sb_endpoint source = v4(0x09090909, 1);
    assert_true(sb_book_add(book, &a, &source, NOW));
    assert_true(sb_book_pick(&got, book, is_another_node, &a, NOW));
    assert_true(sb_book_pick_feeler(&got, book, is_another_node, &a, NOW));
    sb_book_good(book, &a, NOW); /* it is that node indeed */
    assert_false(sb_book_pick(&got, book, is_another_node, &a, NOW));
    sb_book_free(book);
}

static void address_goes_from_new_to_tried_when_it_answers(void **state)
{
    (void)state;
    struct sb_book *book = book_new();
    struct sb_pex_address a = node_at(0x08080808), got;
    struct sb_endpoint source = v4(0x09090909, 1);
    bool tried = true;
    assert_false(sb_book_pick(&got, book, NULL, NULL, NOW));
    assert_true(sb_book_add(book, &a, &source, NOW));
    assert_false(sb_book_add(book, &a, &source, NOW));
    assert_int_equal(sb_book_count(book), 1);
    assert_true(sb_book_find(&tried, book, &a.endpoint));
    assert_false(tried);
    assert_true(sb_book_pick(&got, book, NULL, NULL, NOW));
    assert_memory_equal(&got, &a, sizeof a);
    sb_book_attempt(book, &a.endpoint, NOW);
    assert_false(sb_book_pick(&got, book, NULL, NULL, NOW));
    assert_true(sb_book_pick(&got, book, NULL, NULL, NOW + 60));
    sb_book_good(book, &a, NOW);
    assert_true(sb_book_find(&tried, book, &a.endpoint));
    assert_true(tried);
    assert_int_equal(sb_book_count(book), 1);
    sb_book_remove(book, &a.endpoint);
    assert_int_equal(sb_book_count(book), 0);
    struct sb_pex_address local = {.endpoint = v4(0x7f000001, 1)};
    assert_false(sb_book_add(book, &local, &source, NOW));
    sb_book_free(book);
}

static void address_that_never_answers_is_forgotten_after_ten_dials(void **state)
{
    (void)state;
    struct sb_book *book = book_new();
    struct sb_pex_address a = node_at(0x08080808);
    assert_true(sb_book_add(book, &a, &a.endpoint, NOW));
    for (size_t i = 0; i < SB_BOOK_FAILS_MAX; i++) {
        assert_int_equal(sb_book_count(book), 1);
        sb_book_fail(book, &a.endpoint, NOW);
    }
    assert_int_equal(sb_book_count(book), 0);
    /* one that answered within the week stays */
    sb_book_good(book, &a, NOW);
    for (size_t i = 0; i < 2 * SB_BOOK_FAILS_MAX; i++) {
        sb_book_fail(book, &a.endpoint, NOW);
    }
    assert_int_equal(sb_book_count(book), 1);
    sb_book_fail(book, &a.endpoint, NOW + SB_BOOK_STALE_S + 1);
    assert_int_equal(sb_book_count(book), 0);
    sb_book_free(book);
}

static void one_source_reaches_a_small_part_of_the_book(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("one_source_reaches_a_small_part_of_the_book");
    struct sb_book *book = book_new();
    struct sb_endpoint source = v4(0x09090909, 1);
    for (size_t i = 0; i < 100000; i++) {
        struct sb_pex_address a = node_at(public_ip(&random));
        (void)sb_book_add(book, &a, &source, NOW);
    }
    assert_in_range(sb_book_count(book), 1000, SB_BOOK_NEW_PER_SOURCE * SB_BOOK_BUCKET_SLOTS);
    sb_book_free(book);
}

static void one_group_reaches_a_small_part_of_the_tried(void **state)
{
    (void)state;
    struct sb_book *book = book_new();
    size_t tried_count = 0;
    for (uint32_t i = 1; i < 20000; i++) {
        struct sb_pex_address a = node_at(0x08080000u + i);
        a.endpoint.port = (uint16_t)i;
        bool tried = false;
        sb_book_good(book, &a, NOW);
        tried_count += sb_book_find(&tried, book, &a.endpoint) && tried ? 1 : 0;
    }
    assert_in_range(tried_count, 100, SB_BOOK_TRIED_PER_GROUP * SB_BOOK_BUCKET_SLOTS);
    sb_book_free(book);
}

/* Two addresses that want the same tried place: found by trying. The first is there, the second must wait. */
static void find_rivals(struct sb_book *book, struct sb_pex_address *ret_holder,
                        struct sb_pex_address *ret_rival)
{
    bool tried = true;
    for (uint32_t i = 0; tried; i++) {
        assert_true(i < 4000);
        *ret_rival = node_at(0x08080001u + i);
        sb_book_good(book, ret_rival, NOW + i);
        if (!sb_book_find(&tried, book, &ret_rival->endpoint)) {
            tried = true; /* not even among the new ones */
        }
    }
    assert_true(sb_book_pick_feeler(ret_holder, book, NULL, NULL, NOW + 5000));
    assert_true(sb_book_find(&tried, book, &ret_holder->endpoint));
    assert_true(tried);
}

static void tried_address_is_tested_before_it_gives_its_place(void **state)
{
    (void)state;
    for (int answers = 0; answers < 2; answers++) {
        struct sb_book *book = book_new();
        struct sb_pex_address holder, rival;
        bool tried = false;
        find_rivals(book, &holder, &rival);
        sb_book_attempt(book, &holder.endpoint, NOW + 2000);
        if (answers) {
            sb_book_good(book, &holder, NOW + 2001);
        } else {
            sb_book_fail(book, &holder.endpoint, NOW + 2001);
        }
        assert_true(sb_book_find(&tried, book, &rival.endpoint));
        assert_int_equal(tried, !answers);
        bool known = sb_book_find(&tried, book, &holder.endpoint);
        assert_int_equal(known && tried, answers);
        sb_book_free(book);
    }
}

static bool even_only(void *ctx, const struct sb_pex_address *address)
{
    (void)ctx;
    return address->endpoint.ip[15] % 2 == 0;
}

static void sample_is_a_part_of_the_book_without_repetition(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("sample_is_a_part_of_the_book_without_repetition");
    static struct sb_pex_address got[SB_PEX_ADDRESSES_MAX];
    struct sb_book *book = book_new();
    while (sb_book_count(book) < 500) {
        struct sb_pex_address a = node_at(public_ip(&random));
        (void)sb_book_add(book, &a, &a.endpoint, NOW);
    }
    size_t count = sb_book_sample(got, SB_PEX_ADDRESSES_MAX, book, NULL, NULL);
    assert_int_equal(count, 115); /* 23 % */
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            assert_false(sb_endpoint_equal(&got[i].endpoint, &got[j].endpoint));
        }
    }
    assert_int_equal(sb_book_sample(got, 10, book, NULL, NULL), 10);
    count = sb_book_sample(got, SB_PEX_ADDRESSES_MAX, book, even_only, NULL);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(got[i].endpoint.ip[15] % 2, 0);
    }
    sb_book_free(book);
}

static void book_survives_its_file(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("book_survives_its_file");
    struct sb_book *book = book_new();
    struct sb_book *back = NULL;
    const uint8_t other_key[SB_BOOK_KEY_BYTES] = {9};
    struct sb_buf file, again;
    struct sb_endpoint anchors[2];
    for (size_t i = 0; i < 300; i++) {
        struct sb_pex_address a = node_at(public_ip(&random));
        (void)sb_book_add(book, &a, &a.endpoint, NOW);
        if (i % 3 == 0) {
            sb_book_good(book, &a, NOW + i);
        }
        anchors[i % 2] = a.endpoint;
    }
    sb_book_set_anchors(book, anchors, 2);
    sb_buf_init(&file, FILE_BYTES);
    sb_buf_init(&again, FILE_BYTES);
    sb_book_emit(&file, book);
    assert_int_equal(sb_book_new(&back, other_key, false), SB_OK);
    assert_int_equal(sb_book_load(back, sb_buf_bytes(&file), NULL), SB_OK);
    assert_int_equal(sb_book_count(back), sb_book_count(book));
    sb_book_emit(&again, back);
    assert_true(sb_span_equal(sb_buf_bytes(&file), sb_buf_bytes(&again)));
    struct sb_pex_address got[SB_BOOK_ANCHORS_MAX];
    assert_int_equal(sb_book_anchors(got, back), 2);
    sb_buf_fini(&again);
    sb_buf_fini(&file);
    sb_book_free(back);
    sb_book_free(book);
}

static void damaged_file_is_refused_and_leaves_an_empty_book(void **state)
{
    (void)state;
    struct sb_book *book = book_new();
    struct sb_buf file;
    sb_buf_init(&file, FILE_BYTES);
    for (uint32_t i = 0; i < 3; i++) {
        struct sb_pex_address a = node_at(0x08080808u + (i << 16));
        assert_true(sb_book_add(book, &a, &a.endpoint, NOW));
    }
    sb_book_emit(&file, book);
    for (size_t len = 0; len < file.len; len++) {
        assert_int_not_equal(sb_book_load(book, sb_span(file.data, len), NULL), SB_OK);
        assert_int_equal(sb_book_count(book), 0);
    }
    for (size_t i = 0; i < file.len; i++) {
        struct sb_diag diag = {.text = ""};
        file.data[i] ^= 4;
        assert_int_not_equal(sb_book_load(book, sb_buf_bytes(&file), &diag), SB_OK);
        assert_true(diag.text[0] != '\0');
        file.data[i] ^= 4;
    }
    /* an entry twice, with a right checksum */
    size_t entry = 8 + SB_BOOK_KEY_BYTES + 4;
    memcpy(file.data + entry + SB_BOOK_FILE_ENTRY_BYTES, file.data + entry,
           SB_BOOK_FILE_ENTRY_BYTES);
    sb_hash sum = sb_sha256(sb_span(file.data, file.len - 32));
    memcpy(file.data + file.len - 32, sum.b, 32);
    assert_int_equal(sb_book_load(book, sb_buf_bytes(&file), NULL), SB_E_CORRUPT);
    assert_int_equal(sb_book_count(book), 0);
    sb_buf_fini(&file);
    sb_book_free(book);
}

/* ---- scores ---- */

static void score_runs_out_and_is_forgiven_in_time(void **state)
{
    (void)state;
    struct sb_score score = {0};
    uint64_t now = 1;
    assert_false(sb_score_add(&score, 50, now));
    assert_false(sb_score_add(&score, 49, now));
    assert_int_equal(sb_score_left(&score, now), 1);
    now += 10 * SB_SCORE_DECAY_US;
    assert_int_equal(sb_score_left(&score, now), 11);
    assert_true(sb_score_add(&score, 11, now));
    assert_int_equal(sb_score_left(&score, now), 0);
    now += 200 * SB_SCORE_DECAY_US;
    assert_int_equal(sb_score_left(&score, now), 100);
    assert_true(sb_score_add(&score, 1000, now));
}

static void scores_of_many_keys_keep_the_worst(void **state)
{
    (void)state;
    static struct sb_scores scores;
    const uint8_t worst[SB_BAN_KEY_BYTES] = {1};
    scores.count = 0;
    assert_int_equal(sb_scores_left(&scores, worst, 1), 100);
    assert_false(sb_score_add(sb_scores_of(&scores, worst, 1), 60, 1));
    for (uint32_t i = 0; i < 2 * SB_SCORES_MAX; i++) {
        uint8_t key[SB_BAN_KEY_BYTES] = {2};
        be_store32(key + 4, i);
        assert_false(sb_score_add(sb_scores_of(&scores, key, 1), 5, 1));
        assert_int_equal(sb_scores_left(&scores, key, 1), 95);
    }
    assert_int_equal(scores.count, SB_SCORES_MAX);
    assert_int_equal(sb_scores_left(&scores, worst, 1), 40);
    sb_scores_forget(&scores, worst);
    assert_int_equal(sb_scores_left(&scores, worst, 1), 100);
}

static void bans_double_end_and_make_room(void **state)
{
    (void)state;
    static struct sb_bans bans;
    uint8_t key[SB_BAN_KEY_BYTES] = {1};
    uint64_t now = 1;
    const uint64_t second = 1000000;
    sb_bans_init(&bans, 3600);
    assert_false(sb_bans_has(&bans, key, now));
    assert_int_equal(sb_bans_add(&bans, key, now), 3600);
    assert_true(sb_bans_has(&bans, key, now + 3599 * second));
    now += 3600 * second;
    assert_false(sb_bans_has(&bans, key, now));
    assert_int_equal(sb_bans_add(&bans, key, now), 7200);
    for (size_t i = 0; i < 10; i++) {
        (void)sb_bans_add(&bans, key, now);
    }
    assert_int_equal(sb_bans_add(&bans, key, now), SB_BAN_S_MAX);
    now += 3 * SB_BAN_S_MAX * second;
    assert_int_equal(sb_bans_add(&bans, key, now), 3600); /* forgotten */
    for (uint32_t i = 0; i < 2 * SB_BANS_MAX; i++) {
        uint8_t other[SB_BAN_KEY_BYTES] = {2};
        be_store32(other + 4, i);
        (void)sb_bans_add(&bans, other, now + i);
        assert_true(sb_bans_has(&bans, other, now + i));
    }
    assert_int_equal(bans.count, SB_BANS_MAX);
    assert_false(sb_bans_has(&bans, key, now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_addresses_are_parsed_or_refused_with_the_text),
        cmocka_unit_test(addresses_that_nobody_can_reach_are_known_as_such),
        cmocka_unit_test(groups_and_subnets_are_counted_by_their_prefix),
        cmocka_unit_test(hearsay_of_an_id_keeps_no_address_from_being_dialled),
        cmocka_unit_test(address_goes_from_new_to_tried_when_it_answers),
        cmocka_unit_test(address_that_never_answers_is_forgotten_after_ten_dials),
        cmocka_unit_test(one_source_reaches_a_small_part_of_the_book),
        cmocka_unit_test(one_group_reaches_a_small_part_of_the_tried),
        cmocka_unit_test(tried_address_is_tested_before_it_gives_its_place),
        cmocka_unit_test(sample_is_a_part_of_the_book_without_repetition),
        cmocka_unit_test(book_survives_its_file),
        cmocka_unit_test(damaged_file_is_refused_and_leaves_an_empty_book),
        cmocka_unit_test(score_runs_out_and_is_forgiven_in_time),
        cmocka_unit_test(scores_of_many_keys_keep_the_worst),
        cmocka_unit_test(bans_double_end_and_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
