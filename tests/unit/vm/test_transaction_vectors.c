/* test_transaction_vectors.c: the public TransactionTests: each transaction, under each fork's rules, is accepted with the given hash
 * and sender, or refused: by decoding, by recovering the sender, or by the checks that need no state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/types/tx.h"
#include "tests/support/conformance.h"
#include "vm/exec/exec.h"
#include "vm/exec/rules.h"

struct tx_tests {
    struct sb_arena arena;
    unsigned passed, failed, skipped;
};

/* Names of forks as these files write them, where they differ from those of sb_revision_parse. */
static bool find_revision(enum sb_revision *ret, const char *name)
{
    static const struct {
        const char *name;
        enum sb_revision revision;
    } k_aliases[] = {
        {"EIP150", SB_REV_TANGERINE_WHISTLE},
        {"EIP158", SB_REV_SPURIOUS_DRAGON},
        {"ConstantinopleFix", SB_REV_PETERSBURG},
        {"Merge", SB_REV_PARIS},
        {"Paris", SB_REV_PARIS},
    };
    for (size_t i = 0; i < sizeof k_aliases / sizeof k_aliases[0]; i++) {
        if (strcmp(k_aliases[i].name, name) == 0) {
            *ret = k_aliases[i].revision;
            return true;
        }
    }
    return sb_revision_parse(ret, name);
}

/* What looks at the transaction alone accepts it. Two differences to vm/exec: it refuses at once a gas limit for which no block has
 * room (2^63 and more), which these files accept; and it judges the product of gas and price with the sender's funds. */
static bool is_accepted(const struct sb_tx *tx, sb_addr *ret_sender, enum sb_revision revision)
{
    struct sb_rules rules = sb_rules_make(SB_PROFILE_ETHEREUM, revision, 1);
    struct sb_tx smaller = *tx;
    sb_u256 cost;
    smaller.gas_limit = tx->gas_limit > INT64_MAX ? INT64_MAX : tx->gas_limit;
    return sb_tx_sender(ret_sender, tx) == SB_OK &&
           sb_tx_check_static(&rules, &smaller) == SB_TX_ACCEPTED &&
           !sb_u256_mul_u64(&cost, &tx->max_fee, tx->gas_limit);
}

/* NULL when the outcome is the expected one. */
static const char *check_result(struct sb_arena *arena, sb_bytes raw, enum sb_revision revision,
                                json_t *result)
{
    struct sb_tx tx;
    sb_addr sender;
    bool accepted = raw.data != NULL && sb_tx_decode(&tx, arena, raw, NULL) == SB_OK &&
                    is_accepted(&tx, &sender, revision);
    if (json_object_get(result, "exception") != NULL) {
        return accepted ? "accepted, must be refused" : NULL;
    }
    if (!accepted) {
        return "refused, must be accepted";
    }
    sb_hash hash = sb_tx_hash(raw);
    if (!conformance_bytes_are(json_string_value(json_object_get(result, "hash")), hash.b,
                               sizeof hash.b)) {
        return "hash differs";
    }
    if (!conformance_bytes_are(json_string_value(json_object_get(result, "sender")), sender.b,
                               sizeof sender.b)) {
        return "sender differs";
    }
    return NULL;
}

static void run_tx_file(void *ctx, const char *file)
{
    struct tx_tests *t = ctx;
    json_t *root = conformance_load(file);
    const char *name;
    const char *fork;
    json_t *test;
    json_t *result;
    assert_non_null(root);
    json_object_foreach(root, name, test)
    {
        sb_arena_reset(&t->arena);
        sb_bytes raw =
            conformance_bytes(&t->arena, json_string_value(json_object_get(test, "txbytes")));
        json_object_foreach(json_object_get(test, "result"), fork, result)
        {
            enum sb_revision revision;
            assert_true(find_revision(&revision, fork));
            if (revision ==
                SB_REV_FRONTIER) { /* sb_tx_sender follows EIP-2, which Homestead brought */
                t->skipped++;
                continue;
            }
            const char *reason = check_result(&t->arena, raw, revision, result);
            t->passed += reason == NULL ? 1 : 0;
            if (reason != NULL) {
                t->failed++;
                print_error("FAIL %s::%s/%s %s (%s)\n", file, name, fork, reason,
                            json_string_value(json_object_get(result, "exception")));
            }
        }
    }
    json_decref(root);
}

static void public_transaction_tests_pass(void **state)
{
    (void)state;
    char folder[CONFORMANCE_PATH_BYTES];
    if (!conformance_folder(folder, "ethereum/basics/ethereum-tests/TransactionTests")) {
        skip();
    }
    struct tx_tests t = {.passed = 0};
    sb_arena_init(&t.arena, (size_t)1 << 26);
    conformance_each_file(folder, ".json", run_tx_file, &t);
    sb_arena_fini(&t.arena);
    print_message("# TransactionTests: %u passed, %u failed, %u skipped (Frontier)\n", t.passed,
                  t.failed, t.skipped);
    assert_int_equal(t.failed, 0);
    assert_true(t.passed > 0);
}

static void signed_transaction_of_each_type_has_its_signer_as_sender(void **state)
{
    (void)state;
    /* key and address of the first account of the usual development mnemonic */
    static const uint8_t secret[32] = {0xac, 0x09, 0x74, 0xbe, 0xc3, 0x9a, 0x17, 0xe3,
                                       0x6b, 0xa4, 0xa6, 0xb4, 0xd2, 0x38, 0xff, 0x94,
                                       0x4b, 0xac, 0xb4, 0x78, 0xcb, 0xed, 0x5e, 0xfc,
                                       0xae, 0x78, 0x4d, 0x7b, 0xf4, 0xf2, 0xff, 0x80};
    static const uint8_t address[20] = {0xf3, 0x9f, 0xd6, 0xe5, 0x1a, 0xad, 0x88, 0xf6, 0xf4, 0xce,
                                        0x6a, 0xb8, 0x82, 0x72, 0x79, 0xcf, 0xff, 0xb9, 0x22, 0x66};
    struct sb_arena arena;
    sb_arena_init(&arena, 1 << 20);
    for (int type = SB_TX_LEGACY; type <= SB_TX_SET_CODE; type++) {
        struct sb_tx tx = {.type = (enum sb_tx_type)type,
                           .has_chain_id = true,
                           .chain_id = UINT64_MAX,
                           .nonce = 3};
        struct sb_tx back;
        struct sb_buf out;
        sb_addr sender;
        tx.gas_limit = 21000;
        tx.max_fee = sb_u256_from_u64(7);
        tx.max_priority_fee = sb_u256_from_u64(type <= SB_TX_ACCESS_LIST ? 7 : 2);
        tx.data = sb_span_str("data");
        assert_int_equal(sb_tx_sign(&tx, secret), SB_OK);
        sb_buf_init(&out, 1 << 16);
        sb_tx_encode(&out, &tx);
        assert_int_equal(sb_tx_decode(&back, &arena, sb_buf_bytes(&out), NULL), SB_OK);
        assert_int_equal(sb_tx_sender(&sender, &back), SB_OK);
        assert_memory_equal(sender.b, address, sizeof address);
        for (size_t cut = 0; cut < out.len; cut++) {
            assert_int_not_equal(sb_tx_decode(&back, &arena, sb_span(out.data, cut), NULL), SB_OK);
        }
        sb_buf_fini(&out);
    }
    sb_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_transaction_tests_pass),
        cmocka_unit_test(signed_transaction_of_each_type_has_its_signer_as_sender),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
