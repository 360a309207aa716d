/* test_genesis_json.c: node/genesis_json.h and base/types/genesis.h: both profiles, round trips, and an error for each wrong member. */
#include "node/genesis_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "tests/support/conformance.h"

#define ARENA_BYTES ((size_t)1 << 26)

static const char k_samebit[] =
    "{\"config\":{\"chainId\":23296,\"osakaTime\":0,\"someOtherClient\":{\"x\":1}},"
    "\"timestamp\":\"0x64\",\"gasLimit\":\"0x1c9c380\",\"extraData\":\"0x6869\","
    "\"samebit\":{\"feeRecipient\":\"0x00000000000000000000000000000000000000fe\","
    "\"validators\":["
    "{\"keyType\":\"ed25519\",\"publicKey\":"
    "\"0x1111111111111111111111111111111111111111111111111111111111111111\",\"power\":5},"
    "{\"keyType\":\"ed25519\",\"publicKey\":"
    "\"0x2222222222222222222222222222222222222222222222222222222222222222\",\"power\":\"7\"}],"
    "\"params\":{\"minBlockIntervalMs\":250},"
    "\"predeploys\":{\"0x0000000000000000000000000000000000005b10\":{\"code\":\"0x6001\",\"nonce\":"
    "\"0x1\","
    "\"storage\":{\"0x02\":\"0x05\",\"0x01\":\"0x0\",\"0x00\":\"0xff\"}}}},"
    "\"alloc\":{\"f39fd6e51aad88f6f4ce6ab8827279cfffb92266\":{\"balance\":"
    "\"10000000000000000000000\"},"
    "\"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\":{\"balance\":\"0x21e19e0c9bab2400000\"}}}";

static sb_err parse(struct sb_genesis *genesis, struct sb_arena *arena, const char *text,
                    struct sb_diag *diag)
{
    return sb_genesis_parse(genesis, arena, sb_span_str(text), diag);
}

static void samebit_genesis_is_read_and_hashed(void **state)
{
    (void)state;
    struct sb_arena arena;
    struct sb_genesis g;
    struct sb_diag diag = {.text = ""};
    struct sb_header header;
    sb_arena_init(&arena, ARENA_BYTES);
    assert_int_equal(parse(&g, &arena, k_samebit, &diag), SB_OK);
    assert_true(g.is_samebit);
    assert_int_equal(g.account_count, 2 + 1 + 7);
    assert_int_equal(g.validators.count, 2);
    assert_int_equal(g.validators.validators[0].power, 7);
    assert_int_equal(g.params.min_block_interval_ms, 250);
    assert_int_equal(g.params.gas_limit, 30000000);
    assert_int_equal(sb_genesis_header(&header, &g), SB_OK);
    assert_int_equal(header.field_count, SB_HEADER_FIELDS_PRAGUE);
    assert_int_equal(header.coinbase.b[19], 0xfe);
    assert_int_equal(header.gas_limit, 30000000);
    sb_hash document = sb_genesis_document_hash(&g);
    assert_memory_equal(header.parent_beacon_root.b, document.b, sizeof document.b);
    struct sb_state_diff diff;
    assert_int_equal(sb_genesis_diff(&diff, &arena, &g), SB_OK);
    assert_int_equal(diff.account_count, g.account_count);
    /* 0x5b01: nonce 1, code fe; 0x5b10: the predeploy, whose zero slot is not there */
    assert_int_equal(diff.accounts[0].nonce, 1);
    assert_int_equal(diff.accounts[0].code.data[0], 0xfe);
    assert_int_equal(diff.accounts[5].slot_count, 2);
    assert_int_equal(diff.accounts[5].slots[0].key.b[31], 0);
    assert_int_equal(diff.accounts[5].slots[1].key.b[31], 2);
    /* the genesis hash commits to validators and parameters */
    sb_hash hash;
    sb_hash other;
    assert_int_equal(sb_genesis_hash(&hash, &g), SB_OK);
    g.params.min_block_interval_ms++;
    assert_int_equal(sb_genesis_hash(&other, &g), SB_OK);
    assert_memory_not_equal(hash.b, other.b, sizeof hash.b);
    sb_arena_fini(&arena);
}

static void emitted_genesis_is_the_same_genesis(void **state)
{
    (void)state;
    struct sb_arena arena;
    struct sb_genesis g;
    struct sb_genesis back;
    struct sb_diag diag = {.text = ""};
    struct sb_buf first;
    struct sb_buf second;
    sb_hash a;
    sb_hash b;
    sb_arena_init(&arena, ARENA_BYTES);
    sb_buf_init(&first, 1 << 20);
    sb_buf_init(&second, 1 << 20);
    assert_int_equal(parse(&g, &arena, k_samebit, &diag), SB_OK);
    sb_genesis_emit(&first, &g);
    assert_int_equal(sb_genesis_parse(&back, &arena, sb_buf_bytes(&first), &diag), SB_OK);
    sb_genesis_emit(&second, &back);
    assert_true(sb_span_equal(sb_buf_bytes(&first), sb_buf_bytes(&second)));
    assert_int_equal(sb_genesis_hash(&a, &g), SB_OK);
    assert_int_equal(sb_genesis_hash(&b, &back), SB_OK);
    assert_memory_equal(a.b, b.b, sizeof a.b);
    sb_buf_fini(&second);
    sb_buf_fini(&first);
    sb_arena_fini(&arena);
}

/* Replaces the first occurrence of `from` in the good genesis by `to` and expects an error that names `member`. */
static void refuses(const char *from, const char *to, const char *member)
{
    char text[sizeof k_samebit + 256];
    const char *at = strstr(k_samebit, from);
    assert_non_null(at);
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - k_samebit), k_samebit, to,
                   at + strlen(from));
    struct sb_arena arena;
    struct sb_genesis g;
    struct sb_diag diag = {.text = ""};
    sb_arena_init(&arena, ARENA_BYTES);
    sb_err err = parse(&g, &arena, text, &diag);
    sb_arena_fini(&arena);
    if (err == SB_OK || strstr(diag.text, member) == NULL) {
        fail_msg("%s -> %s: %s, \"%s\" lacks \"%s\"", from, to, sb_err_name(err), diag.text,
                 member);
    }
}

static void genesis_with_a_wrong_member_is_refused_by_name(void **state)
{
    (void)state;
    refuses("\"chainId\":23296", "\"chainId\":0", "config.chainId");
    refuses("\"chainId\":23296,", "", "config.chainId");
    refuses("\"osakaTime\":0", "\"osakaTime\":200", "config.osakaTime");
    refuses("\"timestamp\":\"0x64\"", "\"timestamp\":\"soon\"", "timestamp");
    refuses("\"timestamp\":\"0x64\"", "\"timestamp\":-1", "timestamp");
    refuses("\"gasLimit\":\"0x1c9c380\"", "\"gasLimit\":30000001", "gasLimit");
    refuses("\"gasLimit\":\"0x1c9c380\",", "", "gasLimit");
    refuses("\"extraData\":\"0x6869\"", "\"extraData\":\"0x686\"", "extraData");
    refuses("\"feeRecipient\":\"0x00", "\"feeRecipient\":\"0x", "samebit.feeRecipient");
    refuses("00000000000000000000000000000000000000fe", "0000000000000000000000000000000000000000",
            "samebit.feeRecipient");
    refuses("\"feeRecipient\"", "\"feeReceiver\"", "samebit.feeReceiver");
    refuses("\"keyType\":\"ed25519\"", "\"keyType\":\"bls\"", "samebit.validators[0].keyType");
    refuses("\"power\":5", "\"power\":0", "samebit.validators[0].power");
    refuses("\"power\":5", "\"power\":5,\"name\":\"x\"", "samebit.validators[0].name");
    refuses("\"0x2222222222222222222222222222222222222222222222222222222222222222\"",
            "\"0x1111111111111111111111111111111111111111111111111111111111111111\"",
            "samebit.validators");
    refuses("\"minBlockIntervalMs\":250", "\"minBlockInterval\":250",
            "samebit.params.minBlockInterval");
    refuses("\"minBlockIntervalMs\":250", "\"minBlockIntervalMs\":99999999", "minBlockIntervalMs");
    refuses("\"0x0000000000000000000000000000000000005b10\"",
            "\"0x0000000000000000000000000000000000005b02\"", "protocol");
    refuses("\"0x02\":\"0x05\"", "\"0x00\":\"0x05\"", "genesis");
    refuses("\"0x02\":\"0x05\"", "\"0x0\":\"0x05\"", "slot is given twice");
    refuses("f39fd6e51aad88f6f4ce6ab8827279cfffb92266", "f39fd6e51aad88f6f4ce6ab8827279cfffb9226",
            "alloc");
    refuses("f39fd6e51aad88f6f4ce6ab8827279cfffb92266", "70997970c51812dc3a010c7d01b50e0d17dc79c8",
            "given twice");
    refuses("\"balance\":\"1", "\"amount\":\"1", "amount");
    refuses("\"balance\":\"10000000000000000000000\"", "\"balance\":0", "alloc");
    refuses("\"alloc\"", "\"accounts\"", "alloc");
    refuses("{\"config\"", "{\"config\":{},\"config\"", "genesis");
    refuses("{\"config\"", "[", "line 1");
}

static void ethereum_genesis_has_the_hash_of_the_chain_that_follows(void **state)
{
    (void)state;
    char path[CONFORMANCE_PATH_BYTES];
    if (!conformance_folder(path, "ethereum/rpc-compat/rpc-compat")) {
        skip();
    }
    struct sb_arena arena;
    struct sb_genesis g;
    struct sb_diag diag = {.text = ""};
    char name[CONFORMANCE_PATH_BYTES + 16];
    static uint8_t text[1 << 20];
    static uint8_t chain[1 << 20];
    (void)snprintf(name, sizeof name, "%s/genesis.json", path);
    FILE *file = fopen(name, "rb");
    assert_non_null(file);
    size_t text_len = fread(text, 1, sizeof text, file);
    (void)fclose(file);
    (void)snprintf(name, sizeof name, "%s/chain.rlp", path);
    file = fopen(name, "rb");
    assert_non_null(file);
    size_t chain_len = fread(chain, 1, sizeof chain, file);
    (void)fclose(file);

    sb_arena_init(&arena, ARENA_BYTES);
    sb_err err = sb_genesis_parse(&g, &arena, sb_span(text, text_len), &diag);
    if (err != SB_OK) {
        fail_msg("%s", diag.text);
    }
    assert_false(g.is_samebit);
    struct sb_rlp in = sb_rlp_open(sb_span(chain, chain_len));
    struct sb_rlp_item item;
    struct sb_block block;
    sb_hash hash;
    assert_int_equal(sb_rlp_read_item(&item, &in), SB_OK);
    assert_int_equal(sb_block_decode(&block, &arena, item.raw, &diag), SB_OK);
    assert_int_equal(sb_genesis_hash(&hash, &g), SB_OK);
    assert_memory_equal(hash.b, block.header.parent_hash.b, sizeof hash.b);
    assert_true(sb_chain_fork_active(&g.config, SB_FORK_LONDON, 27, 0));
    assert_false(sb_chain_fork_active(&g.config, SB_FORK_LONDON, 26, UINT64_MAX));
    assert_true(sb_chain_fork_active(&g.config, SB_FORK_CANCUN, 0, 420));
    /* and it survives being written */
    struct sb_buf out;
    struct sb_genesis back;
    sb_hash again;
    sb_buf_init(&out, 1 << 20);
    sb_genesis_emit(&out, &g);
    assert_int_equal(sb_genesis_parse(&back, &arena, sb_buf_bytes(&out), &diag), SB_OK);
    assert_int_equal(sb_genesis_hash(&again, &back), SB_OK);
    assert_memory_equal(hash.b, again.b, sizeof hash.b);
    assert_memory_equal(&g.config, &back.config, sizeof g.config);
    sb_buf_fini(&out);
    sb_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samebit_genesis_is_read_and_hashed),
        cmocka_unit_test(emitted_genesis_is_the_same_genesis),
        cmocka_unit_test(genesis_with_a_wrong_member_is_refused_by_name),
        cmocka_unit_test(ethereum_genesis_has_the_hash_of_the_chain_that_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
