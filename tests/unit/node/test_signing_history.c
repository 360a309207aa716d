/* test_signing_history.c: export and import of what a key has signed, and the files of EIP-3076 that are about blocks alone. */
#include "node/signing_history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/memory_disk.h"
#include "tests/support/vectors.h"

static const struct sb_chain_domain domain = {.chain_id = 23296, .genesis_hash = {{0xaa, 1}}};
static const uint8_t public_key[32] = {0xbb, 2};

static struct sb_journal *journal_new(struct memory_disk *disk, const uint8_t key[32])
{
    struct sb_journal_identity identity = {.genesis_hash = domain.genesis_hash};
    struct sb_journal_disk table = memory_disk_table(disk);
    struct sb_journal_recovery recovery;
    struct sb_journal *journal;
    memcpy(identity.public_key, key, sizeof identity.public_key);
    assert_int_equal(
        sb_journal_open(&journal, &table, &identity, disk->file_count == 0, &recovery, NULL),
        SB_OK);
    return journal;
}

static sb_err sign(struct sb_journal *journal, uint64_t height, uint32_t round,
                   enum sb_journal_step step, sb_bytes bytes)
{
    const struct sb_journal_place place = {.height = height, .round = round, .step = step};
    uint8_t signature[64] = {0};
    sb_err err = sb_journal_may_sign(signature, journal, &place, bytes, NULL);
    return err == SB_OK ? sb_journal_signed(journal, &place, bytes, signature) : err;
}

static void history_moves_from_journal_to_journal(void **state)
{
    (void)state;
    struct memory_disk from = {.file_count = 0}, to = {.file_count = 0};
    struct sb_journal *old = journal_new(&from, public_key), *new = journal_new(&to, public_key);
    assert_int_equal(sign(old, 12, 3, SB_JOURNAL_PREVOTE, sb_span_str("vote")), SB_OK);
    struct sb_signing_history history = sb_signing_history_of(old, &domain, public_key), read;
    struct sb_buf text;
    sb_buf_init(&text, SB_SIGNING_HISTORY_BYTES_MAX);
    sb_signing_history_emit(&text, &history);
    assert_int_equal(sb_buf_err(&text), SB_OK);
    assert_int_equal(sb_signing_history_parse(&read, sb_buf_bytes(&text), NULL), SB_OK);
    assert_int_equal(read.last.place.height, 12);
    assert_int_equal(read.last.place.round, 3);
    assert_int_equal(read.last.place.step, SB_JOURNAL_PREVOTE);
    assert_memory_equal(read.last.sign_bytes_hash.b, history.last.sign_bytes_hash.b, 32);
    bool raised = false;
    assert_int_equal(sb_signing_history_import(&raised, new, &read, &domain, public_key, NULL),
                     SB_OK);
    assert_true(raised);
    assert_int_equal(sign(new, 12, 3, SB_JOURNAL_PREVOTE, sb_span_str("vote")), SB_E_ARG);
    assert_int_equal(sign(new, 12, 3, SB_JOURNAL_PRECOMMIT, sb_span_str("vote")), SB_E_ARG);
    assert_int_equal(sign(new, 12, 4, SB_JOURNAL_PREVOTE, sb_span_str("vote")), SB_E_ARG);
    assert_int_equal(sign(new, 13, 0, SB_JOURNAL_PREVOTE, sb_span_str("vote")), SB_OK);
    assert_int_equal(sb_signing_history_import(&raised, new, &read, &domain, public_key, NULL),
                     SB_OK);
    assert_false(raised);
    sb_buf_fini(&text);
    sb_journal_close(old);
    sb_journal_close(new);
    memory_disk_fini(&from);
    memory_disk_fini(&to);
}

static void history_of_nothing_changes_nothing(void **state)
{
    (void)state;
    struct memory_disk disk = {.file_count = 0};
    struct sb_journal *journal = journal_new(&disk, public_key);
    struct sb_signing_history history = sb_signing_history_of(journal, &domain, public_key), read;
    struct sb_buf text;
    sb_buf_init(&text, SB_SIGNING_HISTORY_BYTES_MAX);
    sb_signing_history_emit(&text, &history);
    assert_int_equal(sb_signing_history_parse(&read, sb_buf_bytes(&text), NULL), SB_OK);
    assert_false(read.has_last);
    bool raised = true;
    assert_int_equal(sb_signing_history_import(&raised, journal, &read, &domain, public_key, NULL),
                     SB_OK);
    assert_false(raised);
    assert_int_equal(sign(journal, 1, 0, SB_JOURNAL_PROPOSAL, sb_span_str("x")), SB_OK);
    sb_buf_fini(&text);
    sb_journal_close(journal);
    memory_disk_fini(&disk);
}

static void history_of_another_chain_or_key_is_refused(void **state)
{
    (void)state;
    struct memory_disk disk = {.file_count = 0};
    struct sb_journal *journal = journal_new(&disk, public_key);
    struct sb_signing_history history = {
        .domain = domain,
        .has_last = true,
        .last = {.place = {.height = 9, .step = SB_JOURNAL_PROPOSAL}}};
    memcpy(history.public_key, public_key, sizeof public_key);
    bool raised;
    struct sb_diag diag;
    struct sb_signing_history other = history;
    other.domain.chain_id++;
    assert_int_equal(
        sb_signing_history_import(&raised, journal, &other, &domain, public_key, &diag), SB_E_ARG);
    assert_non_null(strstr(diag.text, "another chain"));
    other = history;
    other.domain.genesis_hash.b[31] ^= 1;
    assert_int_equal(
        sb_signing_history_import(&raised, journal, &other, &domain, public_key, &diag), SB_E_ARG);
    other = history;
    other.public_key[31] ^= 1;
    assert_int_equal(
        sb_signing_history_import(&raised, journal, &other, &domain, public_key, &diag), SB_E_ARG);
    assert_non_null(strstr(diag.text, "another validator key"));
    assert_int_equal(sign(journal, 1, 0, SB_JOURNAL_PROPOSAL, sb_span_str("x")), SB_OK);
    sb_journal_close(journal);
    memory_disk_fini(&disk);
}

static void text_with_a_mistake_is_refused_by_name(void **state)
{
    (void)state;
#define HEAD                                                                                       \
    "{\"format_version\": \"1\", \"chain_id\": \"5\", \"genesis_hash\": "                          \
    "\"0x0101010101010101010101010101010101010101010101010101010101010101\", \"pubkey\": "         \
    "\"0x0202020202020202020202020202020202020202020202020202020202020202\", "
#define HASH                                                                                       \
    "\"sign_bytes_hash\": \"0x0303030303030303030303030303030303030303030303030303030303030303\""
    static const struct {
        const char *text;
        sb_err err;
        const char *says;
    } k_cases[] = {
        {"", SB_E_SYNTAX, ""},
        {"{", SB_E_SYNTAX, ""},
        {"[]", SB_E_TYPE, "object"},
        {HEAD "\"last\": null, \"more\": 1}", SB_E_TYPE, "no more"},
        {HEAD "\"last\": {}}", SB_E_TYPE, "last"},
        {HEAD "\"last\": {\"height\": 7, \"round\": \"0\", \"step\": \"prevote\", " HASH "}}",
         SB_E_TYPE, "strings"},
        {HEAD "\"last\": {\"height\": \"0\", \"round\": \"0\", \"step\": \"prevote\", " HASH "}}",
         SB_E_RANGE, "first is 1"},
        {HEAD "\"last\": {\"height\": \"07\", \"round\": \"0\", \"step\": \"prevote\", " HASH "}}",
         SB_E_RANGE, "height"},
        {HEAD
         "\"last\": {\"height\": \"7\", \"round\": \"2147483648\", \"step\": \"prevote\", " HASH
         "}}",
         SB_E_RANGE, "round"},
        {HEAD "\"last\": {\"height\": \"7\", \"round\": \"0\", \"step\": \"vote\", " HASH "}}",
         SB_E_RANGE, "step"},
        {HEAD "\"last\": {\"height\": \"7\", \"round\": \"0\", \"step\": \"prevote\", "
              "\"sign_bytes_hash\": \"0x03\"}}",
         SB_E_SYNTAX, "sign_bytes_hash"},
    };
    for (size_t i = 0; i < sizeof k_cases / sizeof k_cases[0]; i++) {
        struct sb_signing_history history;
        struct sb_diag diag = {.text = ""};
        assert_int_equal(sb_signing_history_parse(&history, sb_span_str(k_cases[i].text), &diag),
                         k_cases[i].err);
        assert_non_null(strstr(diag.text, k_cases[i].says));
    }
    struct sb_signing_history history;
    assert_int_equal(
        sb_signing_history_parse(&history,
                                 sb_span_str(HEAD "\"last\": {\"height\": \"7\", \"round\": \"1\", "
                                                  "\"step\": \"proposal\", " HASH "}}"),
                                 NULL),
        SB_OK);
    assert_int_equal(history.last.place.step, SB_JOURNAL_PROPOSAL);
    assert_int_equal(history.domain.chain_id, 5);
}

/* ---- EIP-3076: slot -> height slot + 1 (ours begin at 1), block -> precommit of round 0, signing root -> the bytes that are signed ---- */

static uint64_t slot_height(const json_t *block)
{
    return strtoull(json_string_value(json_object_get(block, "slot")), NULL, 10) + 1;
}

struct eip_rig {
    struct memory_disk disks[4];
    char keys[4][100];
    struct sb_journal *journals[4];
    size_t count;
};

/* journal_of: each key has its own. */
static struct sb_journal *journal_of(struct eip_rig *rig, const char *key)
{
    for (size_t i = 0; i < rig->count; i++) {
        if (strcmp(rig->keys[i], key) == 0) {
            return rig->journals[i];
        }
    }
    assert_true(rig->count < 4);
    (void)snprintf(rig->keys[rig->count], sizeof rig->keys[0], "%s", key);
    rig->journals[rig->count] = journal_new(&rig->disks[rig->count], public_key);
    return rig->journals[rig->count++];
}

static void eip_import(struct eip_rig *rig, const json_t *data)
{
    size_t i, k;
    json_t *entry, *block;
    json_array_foreach(data, i, entry)
    {
        struct sb_journal *journal =
            journal_of(rig, json_string_value(json_object_get(entry, "pubkey")));
        json_array_foreach(json_object_get(entry, "signed_blocks"), k, block)
        {
            struct sb_signing_history history = {
                .domain = domain,
                .has_last = true,
                .last = {.place = {.height = slot_height(block), .step = SB_JOURNAL_PRECOMMIT}}};
            bool raised;
            memcpy(history.public_key, public_key, sizeof public_key);
            assert_int_equal(
                sb_signing_history_import(&raised, journal, &history, &domain, public_key, NULL),
                SB_OK);
        }
    }
}

static size_t eip_sign(struct eip_rig *rig, const json_t *blocks)
{
    size_t i;
    json_t *block;
    json_array_foreach(blocks, i, block)
    {
        struct sb_journal *journal =
            journal_of(rig, json_string_value(json_object_get(block, "pubkey")));
        const json_t *root = json_object_get(block, "signing_root");
        const char *bytes = root != NULL ? json_string_value(root) : "";
        sb_err err = sign(journal, slot_height(block), 0, SB_JOURNAL_PRECOMMIT, sb_span_str(bytes));
        bool expected = json_is_true(json_object_get(block, "should_succeed"));
        assert_int_equal(err, expected ? SB_OK : SB_E_ARG);
    }
    return json_array_size(blocks);
}

static void eip3076_files_about_blocks_give_their_answers(void **state)
{
    (void)state;
    static const char *const k_files[] = {
        "multiple_interchanges_single_validator_fail_iff_imported",
        "multiple_interchanges_single_validator_multiple_blocks_out_of_order",
        "multiple_interchanges_single_validator_single_block_out_of_order",
        "multiple_validators_same_slot_blocks",
        "single_validator_multiple_block_attempts",
        "single_validator_out_of_order_blocks",
        "single_validator_resign_block",
        "single_validator_single_block",
        "single_validator_slashable_blocks",
        "single_validator_slashable_blocks_no_root",
        "single_validator_two_blocks_no_signing_root",
        "wrong_genesis_validators_root",
    };
    size_t signings = 0;
    for (size_t f = 0; f < sizeof k_files / sizeof k_files[0]; f++) {
        char path[200];
        (void)snprintf(path, sizeof path, "consensus/eip3076/generated/%s.json", k_files[f]);
        json_t *root = sb_vectors_load(path, NULL);
        struct eip_rig *rig = calloc(1, sizeof *rig);
        assert_non_null(rig);
        size_t i;
        json_t *step;
        json_array_foreach(json_object_get(root, "steps"), i, step)
        {
            const json_t *interchange = json_object_get(step, "interchange");
            const json_t *named = json_object_get(json_object_get(interchange, "metadata"),
                                                  "genesis_validators_root");
            bool same = json_equal(named, json_object_get(root, "genesis_validators_root")) != 0;
            assert_int_equal(same, json_is_true(json_object_get(step, "should_succeed")));
            if (!same) { /* another chain: as ours, refused as a whole */
                struct sb_signing_history foreign = {.domain = {.chain_id = 1}};
                bool raised;
                assert_int_equal(sb_signing_history_import(&raised, journal_of(rig, ""), &foreign,
                                                           &domain, public_key, NULL),
                                 SB_E_ARG);
                continue;
            }
            eip_import(rig, json_object_get(interchange, "data"));
            signings += eip_sign(rig, json_object_get(step, "blocks"));
        }
        for (size_t k = 0; k < rig->count; k++) {
            sb_journal_close(rig->journals[k]);
            memory_disk_fini(&rig->disks[k]);
        }
        free(rig);
        json_decref(root);
    }
    assert_int_equal(signings, 27);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history_moves_from_journal_to_journal),
        cmocka_unit_test(history_of_nothing_changes_nothing),
        cmocka_unit_test(history_of_another_chain_or_key_is_refused),
        cmocka_unit_test(text_with_a_mistake_is_refused_by_name),
        cmocka_unit_test(eip3076_files_about_blocks_give_their_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
