/* cryptotest.c: the public vectors for what validators and peers sign and encrypt with: Wycheproof (Ed25519, X25519,
 * ChaCha20-Poly1305, HKDF-SHA-256) and the edge cases of ed25519-speccheck.
 *
 * What Wycheproof leaves open is pinned here: an X25519 public key of small order (shared secret zero) is refused, any other is taken, also
 * a non-canonical one. Of the 12 speccheck cases exactly number 3 verifies: that is libsodium's rule, the chain's only one.
 *
 * One vector = one counted case. Output: "FAIL file::case reason", and at the end "N passed, M failed, K skipped"; exit status 0 only if
 * M = 0 and N > 0. A file that is absent counts as skipped, by name. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/codec/hex.h"
#include "base/crypto/aead.h"
#include "base/crypto/ed25519.h"
#include "base/crypto/hkdf.h"
#include "base/crypto/x25519.h"

#define BYTES_MAX     16384
#define PATH_BYTES    4096
#define SPECCHECK_YES 3 /* the one case that verifies */

struct field {
    uint8_t bytes[BYTES_MAX];
    size_t len;
};

static unsigned g_passed, g_failed, g_skipped;

static sb_bytes bytes_of(const struct field *field)
{
    return sb_span(field->bytes, field->len);
}

/* read: hexadecimal digits; false when absent, malformed or too long. */
static bool read_field(struct field *ret, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (text == NULL || strlen(text) / 2 > sizeof ret->bytes) {
        return false;
    }
    ret->len = strlen(text) / 2;
    return sb_hex_decode(ret->bytes, ret->len, text, strlen(text)) == SB_OK;
}

static bool is_zero(const struct field *field)
{
    uint8_t all = 0;
    for (size_t i = 0; i < field->len; i++) {
        all |= field->bytes[i];
    }
    return all == 0;
}

/* One vector of a group: NULL when it comes out as it should, else what went wrong. */
typedef const char *check_fn(const json_t *group, const json_t *test, bool is_valid);

static const char *check_ed25519(const json_t *group, const json_t *test, bool is_valid)
{
    static struct field key, message, signature;
    if (!read_field(&key, json_object_get(group, "publicKey"), "pk") ||
        !read_field(&message, test, "msg") || !read_field(&signature, test, "sig") ||
        key.len != SB_ED25519_PUBLIC_BYTES) {
        return "malformed";
    }
    bool verifies = signature.len == SB_ED25519_SIGNATURE_BYTES &&
                    sb_ed25519_verify(signature.bytes, bytes_of(&message), key.bytes);
    return verifies == is_valid ? NULL : verifies ? "verifies" : "does not verify";
}

static const char *check_x25519(const json_t *group, const json_t *test, bool is_valid)
{
    static struct field key, secret, shared;
    uint8_t got[SB_X25519_BYTES];
    (void)group;
    if (!read_field(&key, test, "public") || !read_field(&secret, test, "private") ||
        !read_field(&shared, test, "shared") || key.len != 32 || secret.len != 32 ||
        shared.len != 32) {
        return "malformed";
    }
    if (!sb_x25519(got, secret.bytes, key.bytes)) {
        return is_zero(&shared) && !is_valid ? NULL : "refused";
    }
    if (is_zero(&shared)) {
        return "a shared secret of zero was taken";
    }
    return memcmp(got, shared.bytes, sizeof got) == 0 ? NULL : "another shared secret";
}

static const char *check_aead(const json_t *group, const json_t *test, bool is_valid)
{
    static struct field key, nonce, ad, plain, sealed, tag;
    static uint8_t out[BYTES_MAX + SB_AEAD_TAG_BYTES];
    (void)group;
    if (!read_field(&key, test, "key") || !read_field(&nonce, test, "iv") ||
        !read_field(&ad, test, "aad") || !read_field(&plain, test, "msg") ||
        !read_field(&sealed, test, "ct") || !read_field(&tag, test, "tag") ||
        sealed.len + tag.len > sizeof sealed.bytes) {
        return "malformed";
    }
    if (key.len != SB_AEAD_KEY_BYTES || nonce.len != SB_AEAD_NONCE_BYTES) {
        return is_valid ? "a size that is not taken" : NULL;
    }
    memcpy(sealed.bytes + sealed.len, tag.bytes, tag.len);
    sealed.len += tag.len;
    bool opens = sb_aead_open(out, key.bytes, nonce.bytes, bytes_of(&ad), bytes_of(&sealed));
    if (opens != is_valid) {
        return opens ? "opens" : "does not open";
    }
    if (!is_valid) {
        return NULL;
    }
    if (memcmp(out, plain.bytes, plain.len) != 0) {
        return "another plain text";
    }
    sb_aead_seal(out, key.bytes, nonce.bytes, bytes_of(&ad), bytes_of(&plain));
    return memcmp(out, sealed.bytes, sealed.len) == 0 ? NULL : "another cipher text";
}

static const char *check_hkdf(const json_t *group, const json_t *test, bool is_valid)
{
    static struct field input, salt, info, expected;
    static uint8_t out[BYTES_MAX];
    (void)group;
    size_t size = (size_t)json_integer_value(json_object_get(test, "size"));
    if (!read_field(&input, test, "ikm") || !read_field(&salt, test, "salt") ||
        !read_field(&info, test, "info") || !read_field(&expected, test, "okm") ||
        size > sizeof out) {
        return "malformed";
    }
    if (!sb_hkdf_sha256(out, size, bytes_of(&salt), bytes_of(&input), bytes_of(&info))) {
        return is_valid ? "refused" : NULL;
    }
    bool is_same = is_valid && expected.len == size && memcmp(out, expected.bytes, size) == 0;
    return is_same ? NULL : "another key";
}

static void count(const char *file, long long name, const char *reason)
{
    if (reason == NULL) {
        g_passed++;
    } else {
        g_failed++;
        printf("FAIL %s::%lld %s\n", file, name, reason);
    }
}

static json_t *load(const char *folder, const char *file)
{
    char path[PATH_BYTES];
    json_error_t error;
    (void)snprintf(path, sizeof path, "%s/%s", folder, file);
    if (access(path, R_OK) != 0) {
        printf("skip %s: it is absent\n", file);
        g_skipped++;
        return NULL;
    }
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL) {
        g_failed++;
        printf("FAIL %s:: %s\n", file, error.text);
    }
    return root;
}

static void run_wycheproof(const char *folder, const char *file, check_fn *check)
{
    json_t *root = load(folder, file);
    size_t i;
    size_t j;
    const json_t *group;
    const json_t *test;
    json_int_t count_before = (json_int_t)g_passed + (json_int_t)g_failed;
    json_array_foreach(json_object_get(root, "testGroups"), i, group)
    {
        json_array_foreach(json_object_get(group, "tests"), j, test)
        {
            const char *result = json_string_value(json_object_get(test, "result"));
            bool is_valid = result != NULL && strcmp(result, "valid") == 0;
            count(file, json_integer_value(json_object_get(test, "tcId")),
                  check(group, test, is_valid));
        }
    }
    json_int_t all = json_integer_value(json_object_get(root, "numberOfTests"));
    if (root != NULL && (json_int_t)g_passed + (json_int_t)g_failed - count_before != all) {
        count(file, 0, "the file says that it has another number of tests");
    }
    json_decref(root);
}

static void run_speccheck(const char *folder, const char *file)
{
    json_t *root = load(folder, file);
    size_t i;
    const json_t *test;
    json_array_foreach(root, i, test)
    {
        static struct field key, message, signature;
        const char *reason = "malformed";
        if (read_field(&key, test, "pub_key") && read_field(&message, test, "message") &&
            read_field(&signature, test, "signature") && key.len == SB_ED25519_PUBLIC_BYTES &&
            signature.len == SB_ED25519_SIGNATURE_BYTES) {
            bool verifies = sb_ed25519_verify(signature.bytes, bytes_of(&message), key.bytes);
            reason = verifies == (i == SPECCHECK_YES) ? NULL
                     : verifies                       ? "verifies"
                                                      : "does not verify";
        }
        count(file, (long long)i, reason);
    }
    json_decref(root);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fputs("usage: cryptotest FOLDER      (with wycheproof/ and ed25519-speccheck/)\n",
                    stderr);
        return 2;
    }
    run_wycheproof(argv[1], "wycheproof/ed25519_test.json", check_ed25519);
    run_wycheproof(argv[1], "wycheproof/x25519_test.json", check_x25519);
    run_wycheproof(argv[1], "wycheproof/chacha20_poly1305_test.json", check_aead);
    run_wycheproof(argv[1], "wycheproof/hkdf_sha256_test.json", check_hkdf);
    run_speccheck(argv[1], "ed25519-speccheck/cases.json");
    printf("%u passed, %u failed, %u skipped\n", g_passed, g_failed, g_skipped);
    return g_failed == 0 && g_passed > 0 ? 0 : 1;
}
