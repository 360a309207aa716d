/* test_messages.c: messages between replicas: one canonical form of each, everything else refused (docs/spec/gossip.md, section 2). */
#include "node/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/codec/rlp.h"

#define SAMPLES_MAX   16
#define SIGNATURE_LEN 64

static const struct sb_commit_sig k_sigs[3] = {
    {.flag = SB_COMMIT_BLOCK, .signature = {.len = SIGNATURE_LEN, .bytes = {1, 2, 3}}},
    {.flag = SB_COMMIT_ABSENT, .signature = {.len = 0}},
    {.flag = SB_COMMIT_NIL, .signature = {.len = SIGNATURE_LEN, .bytes = {9}}},
};

static struct sb_commit sample_commit(void)
{
    return (struct sb_commit){
        .height = 12, .round = 1, .block_id = {.b = {0xbb}}, .sigs = k_sigs, .sig_count = 3};
}

static struct sb_vote sample_vote(uint8_t id)
{
    return (struct sb_vote){.type = SB_VOTE_PRECOMMIT,
                            .height = 12,
                            .round = 3,
                            .block_id = {.b = {id}},
                            .validator_index = 2,
                            .validator_address = {.b = {7}},
                            .signature = {.len = SIGNATURE_LEN, .bytes = {id, 5}}};
}

static struct sb_bits bits_of(uint32_t count, uint64_t low)
{
    return (struct sb_bits){.count = count, .words = {low}};
}

static struct sb_message part_message(sb_bytes block, uint32_t index)
{
    struct sb_message m = {.kind = SB_MESSAGE_PART};
    m.as.part.height = 12;
    m.as.part.round = 1;
    assert_int_equal(sb_part_prove(&m.as.part.proof, block, index), SB_OK);
    m.as.part.bytes = sb_span_slice(block, index * SB_PART_BYTES, SB_PART_BYTES);
    return m;
}

static uint8_t g_block[4 * SB_PART_BYTES + 10];

/* samples: one message of each kind; returns how many. */
static size_t samples(struct sb_message list[SAMPLES_MAX])
{
    size_t n = 0;
    memset(list, 0, SAMPLES_MAX * sizeof *list);
    list[n].kind = SB_MESSAGE_STATUS;
    list[n++].as.status = (struct sb_message_status){
        .sequence = 5, .head = 11, .oldest = 1, .round = 2, .step = 3, .asks = true};
    list[n].kind = SB_MESSAGE_VOTES;
    list[n++].as.votes = (struct sb_message_votes){
        .height = 12, .round = 2, .type = SB_VOTE_PREVOTE, .bits = bits_of(13, 0x1005)};
    list[n].kind = SB_MESSAGE_PARTS;
    list[n++].as.parts =
        (struct sb_message_parts){.height = 12, .round = 2, .bits = bits_of(5, 0x1f)};
    list[n].kind = SB_MESSAGE_PARTS;
    list[n++].as.parts = (struct sb_message_parts){.height = 12, .round = 3};
    list[n].kind = SB_MESSAGE_WANT;
    list[n++].as.want =
        (struct sb_message_want){.height = 12, .round = -1, .block_id = {.b = {0xbb}}};
    list[n].kind = SB_MESSAGE_RELAY;
    list[n++].as.relay =
        (struct sb_message_relay){.votes = bits_of(13, 0x1005), .blocks = bits_of(4, 2)};
    list[n].kind = SB_MESSAGE_VOTE;
    list[n++].as.vote = sample_vote(1);
    list[n].kind = SB_MESSAGE_CERTIFICATE;
    list[n++].as.certificate =
        (struct sb_bft_certificate){.type = SB_VOTE_PREVOTE, .commit = sample_commit()};
    list[n].kind = SB_MESSAGE_PROPOSAL;
    list[n++].as.proposal = (struct sb_proposal){.height = 12,
                                                 .round = 2,
                                                 .pol_round = -1,
                                                 .block_id = {.b = {1}},
                                                 .parts_root = {.b = {2}},
                                                 .block_bytes = 70000,
                                                 .signature = {.len = SIGNATURE_LEN}};
    list[n++] = part_message(sb_span(g_block, sizeof g_block), 4);
    list[n].kind = SB_MESSAGE_EVIDENCE;
    struct sb_vote a = sample_vote(1);
    struct sb_vote b = sample_vote(2);
    assert_int_equal(sb_evidence_make(&list[n++].as.evidence, &a, &b), SB_OK);
    list[n].kind = SB_MESSAGE_SYNC_REQUEST;
    list[n++].as.sync_height = 3;
    list[n].kind = SB_MESSAGE_SYNC_BLOCK;
    list[n++].as.sync_block = (struct sb_message_sync_block){
        .height = 12, .encoded = sb_span_str("a block"), .commit = sample_commit()};
    list[n].kind = SB_MESSAGE_SYNC_BLOCK;
    list[n++].as.sync_block =
        (struct sb_message_sync_block){.height = 12, .encoded = sb_span_str("a block")};
    list[n].kind = SB_MESSAGE_SYNC_NO_BLOCK;
    list[n++].as.sync_height = 1;
    return n;
}

static sb_err decode(enum sb_channel channel, sb_bytes raw)
{
    struct sb_arena arena;
    struct sb_message message;
    sb_arena_init(&arena, (size_t)1 << 20);
    sb_err err = sb_message_decode(&message, &arena, channel, raw, NULL);
    sb_arena_fini(&arena);
    return err;
}

static sb_err recode(const struct sb_message *message)
{
    struct sb_buf buf;
    sb_buf_init(&buf, (size_t)1 << 20);
    sb_message_encode(&buf, message);
    assert_int_equal(sb_buf_err(&buf), SB_OK);
    sb_err err = decode(sb_message_channel(message->kind), sb_buf_bytes(&buf));
    sb_buf_fini(&buf);
    return err;
}

static void messages_of_each_kind_decode_to_the_same_bytes(void **state)
{
    (void)state;
    struct sb_message list[SAMPLES_MAX];
    size_t count = samples(list);
    for (size_t i = 0; i < count; i++) {
        struct sb_arena arena;
        struct sb_buf first, second;
        struct sb_message back;
        sb_arena_init(&arena, (size_t)1 << 20);
        sb_buf_init(&first, (size_t)1 << 20);
        sb_buf_init(&second, (size_t)1 << 20);
        sb_message_encode(&first, &list[i]);
        assert_int_equal(sb_message_decode(&back, &arena, sb_message_channel(list[i].kind),
                                           sb_buf_bytes(&first), NULL),
                         SB_OK);
        assert_int_equal(back.kind, list[i].kind);
        sb_message_encode(&second, &back);
        assert_true(sb_span_equal(sb_buf_bytes(&first), sb_buf_bytes(&second)));
        sb_buf_fini(&first);
        sb_buf_fini(&second);
        sb_arena_fini(&arena);
    }
}

static void message_truncated_extended_or_on_another_channel_is_refused(void **state)
{
    (void)state;
    struct sb_message list[SAMPLES_MAX];
    size_t count = samples(list);
    for (size_t i = 0; i < count; i++) {
        struct sb_buf buf;
        enum sb_channel own = sb_message_channel(list[i].kind);
        sb_buf_init(&buf, (size_t)1 << 20);
        sb_message_encode(&buf, &list[i]);
        sb_bytes raw = sb_buf_bytes(&buf);
        for (size_t len = 0; len < raw.len && len < 300; len++) {
            assert_int_not_equal(decode(own, sb_span(raw.data, len)), SB_OK);
        }
        for (int channel = 0; channel < SB_CHANNEL_COUNT; channel++) {
            sb_err err = decode((enum sb_channel)channel, raw);
            assert_int_equal(err, channel == (int)own ? SB_OK : SB_E_TYPE);
        }
        sb_buf_add_byte(&buf, 0x80);
        assert_int_equal(decode(own, sb_buf_bytes(&buf)), SB_E_TRAILING);
        sb_buf_fini(&buf);
    }
}

/* raw_votes: a `votes` message with any count and any length of bits. */
static sb_err raw_votes(uint64_t count, size_t len, uint8_t last)
{
    uint8_t bits[64] = {0};
    struct sb_buf buf;
    sb_buf_init(&buf, 1024);
    if (len > 0) {
        bits[len - 1] = last;
    }
    size_t list = sb_rlp_list_begin(&buf);
    sb_rlp_put_u64(&buf, SB_MESSAGE_VOTES);
    sb_rlp_put_u64(&buf, 12);
    sb_rlp_put_u64(&buf, 0);
    sb_rlp_put_u64(&buf, SB_VOTE_PREVOTE);
    sb_rlp_put_u64(&buf, count);
    sb_rlp_put_bytes(&buf, sb_span(bits, len));
    sb_rlp_list_end(&buf, list);
    sb_err err = decode(SB_CHANNEL_STATE, sb_buf_bytes(&buf));
    sb_buf_fini(&buf);
    return err;
}

/* ASA-2025-003: a bit array whose length and bits disagree. */
static void bits_whose_length_disagrees_are_refused(void **state)
{
    (void)state;
    assert_int_equal(raw_votes(13, 2, 0x1f), SB_OK);
    assert_int_equal(raw_votes(13, 1, 0), SB_E_SHAPE);
    assert_int_equal(raw_votes(13, 3, 0), SB_E_SHAPE);
    assert_int_equal(raw_votes(13, 0, 0), SB_E_SHAPE);
    assert_int_equal(raw_votes(13, 2, 0x20), SB_E_NON_CANONICAL);
    assert_int_equal(raw_votes(256, 32, 0x80), SB_OK);
    assert_int_equal(raw_votes(257, 33, 0), SB_E_RANGE);
    assert_int_equal(raw_votes(UINT64_MAX, 32, 0), SB_E_RANGE);
    assert_int_equal(raw_votes(0, 0, 0), SB_E_RANGE);
    assert_int_equal(raw_votes(256, 64, 0), SB_E_LIMIT);
}

static void status_with_impossible_values_is_refused(void **state)
{
    (void)state;
    struct sb_message m = {.kind = SB_MESSAGE_STATUS};
    m.as.status = (struct sb_message_status){.head = 7, .oldest = 8, .step = 1};
    assert_int_equal(recode(&m), SB_OK);
    m.as.status.oldest = 9;
    assert_int_equal(recode(&m), SB_E_RANGE);
    m.as.status = (struct sb_message_status){.head = UINT64_MAX, .oldest = 1};
    assert_int_equal(recode(&m), SB_E_RANGE);
    m.as.status = (struct sb_message_status){.head = 7, .oldest = 1, .step = 6};
    assert_int_equal(recode(&m), SB_E_RANGE);
    m.as.status = (struct sb_message_status){.head = 7, .oldest = 1, .step = 0, .round = 1};
    assert_int_equal(recode(&m), SB_E_RANGE);
}

/* ASA-2025-002: a part names its index once; its proof must have the siblings of that index. */
static void part_with_another_shape_of_proof_is_refused(void **state)
{
    (void)state;
    struct sb_message m = part_message(sb_span(g_block, sizeof g_block), 4);
    assert_int_equal(m.as.part.proof.depth, 1);
    m.as.part.proof.index = 0;
    assert_int_equal(recode(&m), SB_E_TRUNCATED);
    m.as.part.proof.index = 5;
    assert_int_equal(recode(&m), SB_E_RANGE);
    m = part_message(sb_span(g_block, sizeof g_block), 0);
    assert_int_equal(recode(&m), SB_OK);
    m.as.part.proof.index = 4;
    assert_int_equal(recode(&m), SB_E_TRAILING);
    m.as.part.proof.index = 0;
    m.as.part.proof.count = SB_PARTS_MAX + 1;
    assert_int_equal(recode(&m), SB_E_RANGE);
    m = part_message(sb_span(g_block, sizeof g_block), 4);
    m.as.part.bytes.len = 0;
    assert_int_equal(recode(&m), SB_E_SHAPE);
    m.as.part.bytes = sb_span(g_block, SB_PART_BYTES + 1);
    assert_int_equal(recode(&m), SB_E_LIMIT);
}

static void certificate_without_entries_or_block_is_refused(void **state)
{
    (void)state;
    struct sb_message m = {.kind = SB_MESSAGE_CERTIFICATE};
    m.as.certificate =
        (struct sb_bft_certificate){.type = SB_VOTE_PRECOMMIT, .commit = sample_commit()};
    assert_int_equal(recode(&m), SB_OK);
    m.as.certificate.commit.block_id = (sb_hash){{0}};
    assert_int_equal(recode(&m), SB_E_NON_CANONICAL);
    m.as.certificate.commit = (struct sb_commit){.height = 0};
    assert_int_equal(recode(&m), SB_E_SHAPE);
    m.kind = SB_MESSAGE_SYNC_BLOCK;
    m.as.sync_block = (struct sb_message_sync_block){
        .height = 13, .encoded = sb_span_str("a block"), .commit = sample_commit()};
    assert_int_equal(recode(&m), SB_E_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_each_kind_decode_to_the_same_bytes),
        cmocka_unit_test(message_truncated_extended_or_on_another_channel_is_refused),
        cmocka_unit_test(bits_whose_length_disagrees_are_refused),
        cmocka_unit_test(status_with_impossible_values_is_refused),
        cmocka_unit_test(part_with_another_shape_of_proof_is_refused),
        cmocka_unit_test(certificate_without_entries_or_block_is_refused),
    };
    return cmocka_run_group_tests_name("node/messages", tests, NULL, NULL);
}
