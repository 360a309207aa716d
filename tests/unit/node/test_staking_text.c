/* test_staking_text.c: node/staking_text.h and node/possession.h: what people read of staking, and the proof of possession. */
#include "node/staking_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec/abi.h"
#include "base/crypto/keccak.h"
#include "node/abi_text.h"
#include "node/artifact.h"
#include "node/possession.h"

#define NOW UINT64_C(1795000000)

static uint8_t s_memory[4096];

/* The buffer's text, terminated. */
static const char *text_of(struct sb_buf *out)
{
    sb_buf_add_byte(out, '\0');
    return (const char *)out->data;
}

static struct sb_buf new_text(void)
{
    return sb_buf_over(s_memory, sizeof s_memory);
}

static void coins_are_short_but_never_nothing(void **state)
{
    (void)state;
    static const struct {
        uint64_t wei;
        const char *exact, *brief;
    } k_cases[] = {
        {0, "0", "0"},
        {1, "0.000000000000000001", "<0.000001"},
        {UINT64_C(1500000000000000000), "1.5", "1.5"},
        {UINT64_C(1234567899999999999), "1.234567899999999999", "1.234567"},
    };
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        sb_u256 wei = sb_u256_from_u64(k_cases[i].wei);
        struct sb_buf out = new_text();
        sb_text_coins(&out, &wei);
        assert_string_equal(text_of(&out), k_cases[i].exact);
        out = new_text();
        sb_text_coins_short(&out, &wei);
        assert_string_equal(text_of(&out), k_cases[i].brief);
    }
}

static void percents_are_read_and_written(void **state)
{
    (void)state;
    uint64_t bps;
    assert_int_equal(sb_text_percent_parse(&bps, "2.5", "commission", NULL), SB_OK);
    assert_int_equal(bps, 250);
    assert_int_equal(sb_text_percent_parse(&bps, "100%", "commission", NULL), SB_OK);
    assert_int_equal(bps, 10000);
    assert_int_equal(sb_text_percent_parse(&bps, "2.555", "commission", NULL), SB_E_SYNTAX);
    assert_int_equal(sb_text_percent_parse(&bps, "much", "commission", NULL), SB_E_SYNTAX);
    assert_int_equal(sb_text_percent_parse(&bps, "100.01", "commission", NULL), SB_E_RANGE);
    struct sb_buf out = new_text();
    sb_text_percent(&out, 250);
    assert_string_equal(text_of(&out), "2.5 %");
}

static void times_say_how_far_they_are(void **state)
{
    (void)state;
    static const struct {
        uint64_t at;
        const char *text;
    } k_cases[] = {
        {NOW + 3 * 86400, "2026-11-21 11:06:40 UTC (in 3 days)"},
        {NOW + 86400, "2026-11-19 11:06:40 UTC (in 1 day)"},
        {NOW + 3 * 86400 - 3, "2026-11-21 11:06:37 UTC (in 3 days)"},
        {NOW + 119, "2026-11-18 11:08:39 UTC (in 119 seconds)"},
        {NOW, "2026-11-18 11:06:40 UTC (0 seconds ago)"},
        {NOW + 90, "2026-11-18 11:08:10 UTC (in 90 seconds)"},
        {NOW - 7300, "2026-11-18 09:05:00 UTC (2 hours ago)"},
        {UINT64_MAX, "never"},
        {UINT64_MAX - 1, "second 18446744073709551614"},
    };
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        struct sb_buf out = new_text();
        sb_text_time(&out, k_cases[i].at, NOW);
        assert_string_equal(text_of(&out), k_cases[i].text);
    }
}

static void an_error_is_a_sentence(void **state)
{
    (void)state;
    sb_u256 args[2] = {sb_u256_from_u64(UINT64_C(500000000000000000)),
                       sb_u256_from_u64(UINT64_C(1000000000000000000))};
    struct sb_buf data;
    sb_buf_init(&data, 1024);
    sb_abi_put_error(&data, sb_abi_selector("SelfStakeTooSmall(uint256,uint256)"), args, 2);
    struct sb_buf out = new_text();
    assert_true(sb_text_staking_revert(&out, sb_buf_bytes(&data), NOW));
    assert_string_equal(text_of(&out), "SelfStakeTooSmall: the operator's own stake is 0.5 coins, "
                                       "and 1 are needed");
    out = new_text(); /* words that are missing are left as they are written */
    assert_true(sb_text_staking_revert(&out, sb_span(data.data, 4), NOW));
    assert_non_null(strstr(text_of(&out), "{1:c}"));
    data.data[0] ^= 1;
    out = new_text();
    assert_false(sb_text_staking_revert(&out, sb_buf_bytes(&data), NOW));
    assert_int_equal(out.len, 0);
    sb_buf_fini(&data);
}

/* All errors of the interfaces have a sentence, and all events that users see, but those of system calls. */
static void the_interfaces_are_covered(void **state)
{
    (void)state;
    static const char *const k_names[] = {"IStaking", "IDistribution", "ISlashing", "ICheckpoints"};
    size_t errors = 0;
    for (size_t i = 0; i < sizeof k_names / sizeof k_names[0]; i++) {
        char path[1024];
        struct sb_artifact artifact;
        size_t at;
        const json_t *entry;
        const char *root = getenv("SAMEBIT_SOURCE_ROOT");
        (void)snprintf(path, sizeof path, "%s/contracts/artifacts/%s.json",
                       root != NULL ? root : ".", k_names[i]);
        assert_int_equal(sb_artifact_load(&artifact, path, NULL), SB_OK);
        json_array_foreach(artifact.abi, at, entry)
        {
            if (strcmp(json_string_value(json_object_get(entry, "type")), "error") != 0) {
                continue;
            }
            uint8_t memory[256] = {0};
            struct sb_buf signature = sb_buf_over(memory, sizeof memory - 1);
            size_t k;
            const json_t *input;
            sb_buf_addf(&signature, "%s(", json_string_value(json_object_get(entry, "name")));
            json_array_foreach(json_object_get(entry, "inputs"), k, input)
            {
                sb_buf_addf(&signature, "%s%s", k > 0 ? "," : "",
                            json_string_value(json_object_get(input, "type")));
            }
            sb_buf_add_byte(&signature, ')');
            uint8_t data[4 + 8 * 32] = {0};
            sb_hash hash = sb_keccak256(sb_buf_bytes(&signature));
            memcpy(data, hash.b, 4);
            struct sb_buf out = new_text();
            bool known = sb_text_staking_revert(&out, sb_span(data, sizeof data), NOW);
            if (!known || strchr(text_of(&out), '{') != NULL) {
                fail_msg("%s: no sentence, or an argument that there is not", memory);
            }
            errors++;
        }
        sb_artifact_fini(&artifact);
    }
    assert_true(errors >= 30);
}

static void an_event_is_a_sentence(void **state)
{
    (void)state;
    json_t *log = json_loads(
        "{\"topics\": [\"0xfd9d8d6bbc4e8c3a1f0ce6a5bdc1eb8e5bd0c8df3bdd4c1b2b4b7c7f3e0d0a11\"], "
        "\"data\": \"0x\"}",
        0, NULL);
    struct sb_buf out = new_text();
    assert_false(sb_text_staking_log(&out, log, NOW)); /* of somebody else */
    struct sb_abi_item item;
    assert_int_equal(sb_abi_item_parse(&item, "RewardsClaimed(address,uint256)", NULL), SB_OK);
    sb_hash topic = sb_abi_item_topic(&item);
    uint8_t who[32] = {[31] = 7},
            amount[32] = {
                [24] = 0x1b, [25] = 0xc1, [26] = 0x6d, [27] = 0x67, [28] = 0x4e, [29] = 0xc8};
    json_decref(log);
    log = json_pack("{s:[o,o], s:o}", "topics", sb_json_data(sb_span(topic.b, 32)),
                    sb_json_data(sb_span(who, 32)), "data", sb_json_data(sb_span(amount, 32)));
    assert_true(sb_text_staking_log(&out, log, NOW));
    assert_string_equal(text_of(&out), "2 coins of rewards paid to "
                                       "0x0000000000000000000000000000000000000007");
    json_t *json = sb_staking_log_json(log);
    assert_string_equal(json_string_value(json_object_get(json, "event")), "RewardsClaimed");
    assert_string_equal(json_string_value(json_array_get(json_object_get(json, "args"), 1)),
                        "2000000000000000000");
    json_decref(json);
    json_decref(log);
}

static void a_proof_is_of_one_operator_on_one_chain(void **state)
{
    (void)state;
    const uint8_t seed[SB_ED25519_SEED_BYTES] = {1};
    uint8_t public_key[SB_ED25519_PUBLIC_BYTES], secret[SB_ED25519_SECRET_BYTES];
    uint8_t message[SB_POSSESSION_BYTES], proof[SB_ED25519_SIGNATURE_BYTES];
    struct sb_chain_domain domain = {.chain_id = 0x0102, .genesis_hash = {{0xaa}}};
    const sb_addr who = {{[19] = 9}}, other = {{[19] = 8}};
    sb_ed25519_keypair(public_key, secret, seed);
    sb_possession_message(message, &domain, &who);
    assert_memory_equal(message, "samebit/validator-key", 21);
    assert_int_equal(message[27], 1);
    assert_int_equal(message[28], 2);
    assert_int_equal(message[29], 0xaa);
    assert_int_equal(message[80], 9);
    sb_possession_prove(proof, secret, &domain, &who);
    assert_true(sb_ed25519_verify(proof, sb_span(message, sizeof message), public_key));
    sb_possession_message(message, &domain, &other);
    assert_false(sb_ed25519_verify(proof, sb_span(message, sizeof message), public_key));
    domain.chain_id++;
    sb_possession_message(message, &domain, &who);
    assert_false(sb_ed25519_verify(proof, sb_span(message, sizeof message), public_key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coins_are_short_but_never_nothing),
        cmocka_unit_test(percents_are_read_and_written),
        cmocka_unit_test(times_say_how_far_they_are),
        cmocka_unit_test(an_error_is_a_sentence),
        cmocka_unit_test(the_interfaces_are_covered),
        cmocka_unit_test(an_event_is_a_sentence),
        cmocka_unit_test(a_proof_is_of_one_operator_on_one_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
