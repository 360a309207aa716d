/* test_keystore_json.c: node/keystore_json.h and the validator key file: public files open, what is written is read back, wrong
 * members are named. */
#include "node/keystore_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/datadir.h"
#include "tests/support/vectors.h"

static void public_keystore_files_open(void **state)
{
    (void)state;
    json_t *root =
        sb_vectors_load("ethereum/basics.tar.zst", "ethereum-tests/KeyStoreTests/basic_tests.json");
    const char *name;
    json_t *entry;
    size_t count = 0;
    json_object_foreach(root, name, entry)
    {
        char *text = json_dumps(json_object_get(entry, "json"), 0);
        struct sb_keystore_file file;
        struct sb_diag diag = {.text = ""};
        uint8_t secret[32];
        uint8_t expected[32];
        assert_non_null(text);
        if (sb_keystore_parse(&file, sb_span_str(text), &diag) != SB_OK) {
            fail_msg("%s: %s", name, diag.text);
        }
        free(text);
        assert_int_equal(sb_vectors_hex(expected, 32, json_object_get(entry, "priv")), 32);
        sb_bytes password = sb_span_str(json_string_value(json_object_get(entry, "password")));
        assert_int_equal(sb_keystore_unlock(secret, &file.keystore, password), SB_OK);
        assert_memory_equal(secret, expected, 32);
        count++;
    }
    assert_int_equal(count, 5);
    json_decref(root);
}

static struct sb_keystore_file sample(enum sb_keystore_kdf kdf)
{
    return (struct sb_keystore_file){.keystore = {.kdf = kdf,
                                                  .scrypt_n = 4096,
                                                  .scrypt_r = 8,
                                                  .scrypt_p = 6,
                                                  .pbkdf2_iteration_count = 1000,
                                                  .salt = {1, 2, 3},
                                                  .salt_len = 32,
                                                  .iv = {4},
                                                  .ciphertext = {5},
                                                  .mac = {{6}}},
                                     .has_address = true,
                                     .address = {{7}},
                                     .id = {8, 9}};
}

static void written_keystore_is_read_back(void **state)
{
    (void)state;
    for (int kdf = SB_KEYSTORE_SCRYPT; kdf <= SB_KEYSTORE_PBKDF2; kdf++) {
        struct sb_keystore_file file = sample((enum sb_keystore_kdf)kdf);
        struct sb_keystore_file back;
        struct sb_diag diag = {.text = ""};
        struct sb_buf text;
        sb_buf_init(&text, SB_KEYSTORE_FILE_BYTES_MAX);
        sb_keystore_emit(&text, &file);
        assert_int_equal(sb_keystore_parse(&back, sb_buf_bytes(&text), &diag), SB_OK);
        assert_int_equal(back.keystore.kdf, file.keystore.kdf);
        assert_int_equal(back.keystore.salt_len, 32);
        assert_memory_equal(back.keystore.salt, file.keystore.salt, 32);
        assert_memory_equal(back.keystore.iv, file.keystore.iv, 16);
        assert_memory_equal(back.keystore.ciphertext, file.keystore.ciphertext, 32);
        assert_memory_equal(back.keystore.mac.b, file.keystore.mac.b, 32);
        assert_true(back.has_address);
        assert_memory_equal(back.address.b, file.address.b, 20);
        if (kdf == SB_KEYSTORE_SCRYPT) {
            assert_int_equal(back.keystore.scrypt_n, 4096);
            assert_int_equal(back.keystore.scrypt_p, 6);
        } else {
            assert_int_equal(back.keystore.pbkdf2_iteration_count, 1000);
        }
        sb_buf_fini(&text);
    }
}

/* Replaces the first `from` in a good file by `to` and expects an error that names `member`. */
static void refuses(const char *from, const char *to, const char *member)
{
    struct sb_keystore_file file = sample(SB_KEYSTORE_SCRYPT);
    struct sb_diag diag = {.text = ""};
    struct sb_buf text;
    char changed[2048];
    sb_buf_init(&text, SB_KEYSTORE_FILE_BYTES_MAX);
    sb_keystore_emit(&text, &file);
    sb_buf_add_byte(&text, 0);
    const char *good = (const char *)text.data;
    const char *at = strstr(good, from);
    assert_non_null(at);
    (void)snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - good), good, to,
                   at + strlen(from));
    sb_buf_fini(&text);
    assert_int_not_equal(sb_keystore_parse(&file, sb_span_str(changed), &diag), SB_OK);
    if (strstr(diag.text, member) == NULL) {
        fail_msg("\"%s\" does not name %s", diag.text, member);
    }
}

static void wrong_keystore_is_refused_with_its_member(void **state)
{
    (void)state;
    refuses("\"version\":3", "\"version\":1", "version");
    refuses("\"version\":3", "\"version\":\"3\"", "version");
    refuses("\"crypto\"", "\"kripto\"", "crypto");
    refuses("aes-128-ctr", "aes-256-cbc", "crypto.cipher");
    refuses("\"iv\":\"04", "\"iv\":\"04zz", "crypto.cipherparams.iv");
    refuses("\"ciphertext\":\"05", "\"ciphertext\":\"0500", "crypto.ciphertext");
    refuses("\"kdf\":\"scrypt\"", "\"kdf\":\"md5\"", "crypto.kdf");
    refuses("\"dklen\":32", "\"dklen\":64", "crypto.kdfparams.dklen");
    refuses("\"n\":4096", "\"n\":-1", "crypto.kdfparams.n");
    refuses("\"n\":4096,", "", "crypto.kdfparams.n");
    refuses("\"mac\":\"06", "\"mac\":\"", "crypto.mac");
    refuses("\"address\":\"07", "\"address\":\"", "address");
    refuses("{\"version\"", "[\"version\"", "line 1");
}

static void validator_key_file_is_read_back_or_refused(void **state)
{
    (void)state;
    static const char *const k_bad[] = {
        "",
        "[]",
        "{}",
        "{\"keyType\":\"ed25519\"}",
        "{\"keyType\":\"ed25519\",\"seed\":\"0x00\"}",
        "{\"keyType\":\"bls\",\"seed\":\"0x"
        "0101010101010101010101010101010101010101010101010101010101010101\"}"};
    struct sb_validator_key key;
    struct sb_validator_key back;
    struct sb_diag diag = {.text = ""};
    uint8_t memory[256];
    struct sb_buf text = sb_buf_over(memory, sizeof memory);
    sb_validator_key_new(&key);
    sb_validator_key_emit(&text, &key);
    assert_int_equal(sb_validator_key_parse(&back, sb_buf_bytes(&text), &diag), SB_OK);
    assert_memory_equal(&key, &back, sizeof key);
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        assert_int_not_equal(sb_validator_key_parse(&back, sb_span_str(k_bad[i]), &diag), SB_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_keystore_files_open),
        cmocka_unit_test(written_keystore_is_read_back),
        cmocka_unit_test(wrong_keystore_is_refused_with_its_member),
        cmocka_unit_test(validator_key_file_is_read_back_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
