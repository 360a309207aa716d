/* keystore_json.c: see keystore_json.h. */
#include "node/keystore_json.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/codec/hex.h"

#define DERIVED_BYTES 32

static sb_err member(const json_t **ret, const json_t *object, const char *path, const char *name,
                     json_type type, struct sb_diag *diag)
{
    const json_t *value = json_object_get(object, name);
    if (value == NULL) {
        return sb_fail(diag, SB_E_NOT_FOUND, "%s%s is missing", path, name);
    }
    if (json_typeof(value) != type) {
        return sb_fail(diag, SB_E_TYPE, "%s%s has the wrong type", path, name);
    }
    *ret = value;
    return SB_OK;
}

static sb_err number(uint64_t *ret, const json_t *object, const char *path, const char *name,
                     uint64_t max, struct sb_diag *diag)
{
    const json_t *value = NULL;
    SB_TRY(member(&value, object, path, name, JSON_INTEGER, diag));
    json_int_t n = json_integer_value(value);
    if (n < 0 || (uint64_t)n > max) {
        return sb_fail(diag, SB_E_RANGE, "%s%s is out of range", path, name);
    }
    *ret = (uint64_t)n;
    return SB_OK;
}

/* Hexadecimal, with or without 0x. */
static sb_err hex(uint8_t *ret, size_t *ret_len, size_t len_min, size_t len_max,
                  const json_t *object, const char *path, const char *name, struct sb_diag *diag)
{
    const json_t *value = NULL;
    SB_TRY(member(&value, object, path, name, JSON_STRING, diag));
    const char *text = json_string_value(value);
    size_t digits = json_string_length(value);
    if (digits >= 2 && text[0] == '0' && text[1] == 'x') {
        text += 2;
        digits -= 2;
    }
    if (digits % 2 != 0 || digits / 2 < len_min || digits / 2 > len_max ||
        sb_hex_decode(ret, digits / 2, text, digits) != SB_OK) {
        return sb_fail(diag, SB_E_SYNTAX, "%s%s is not hexadecimal of the right length", path,
                       name);
    }
    *ret_len = digits / 2;
    return SB_OK;
}

static sb_err expect_text(const json_t *object, const char *path, const char *name,
                          const char *expected, struct sb_diag *diag)
{
    const json_t *value = NULL;
    SB_TRY(member(&value, object, path, name, JSON_STRING, diag));
    if (strcmp(json_string_value(value), expected) != 0) {
        return sb_fail(diag, SB_E_UNSUPPORTED, "%s%s: only %s is known", path, name, expected);
    }
    return SB_OK;
}

static sb_err parse_kdf(struct sb_keystore *ks, const json_t *crypto, struct sb_diag *diag)
{
    static const char k_path[] = "crypto.kdfparams.";
    const json_t *kdf = NULL;
    const json_t *params = NULL;
    uint64_t value;
    SB_TRY(member(&kdf, crypto, "crypto.", "kdf", JSON_STRING, diag));
    SB_TRY(member(&params, crypto, "crypto.", "kdfparams", JSON_OBJECT, diag));
    SB_TRY(number(&value, params, k_path, "dklen", UINT32_MAX, diag));
    if (value != DERIVED_BYTES) {
        return sb_fail(diag, SB_E_UNSUPPORTED, "%sdklen: only %d is known", k_path, DERIVED_BYTES);
    }
    SB_TRY(hex(ks->salt, &ks->salt_len, 0, sizeof ks->salt, params, k_path, "salt", diag));
    if (strcmp(json_string_value(kdf), "scrypt") == 0) {
        ks->kdf = SB_KEYSTORE_SCRYPT;
        SB_TRY(number(&ks->scrypt_n, params, k_path, "n", SB_KEYSTORE_SCRYPT_WORK_MAX, diag));
        SB_TRY(number(&value, params, k_path, "r", UINT16_MAX, diag));
        ks->scrypt_r = (uint32_t)value;
        SB_TRY(number(&value, params, k_path, "p", UINT16_MAX, diag));
        ks->scrypt_p = (uint32_t)value;
        return SB_OK;
    }
    if (strcmp(json_string_value(kdf), "pbkdf2") != 0) {
        return sb_fail(diag, SB_E_UNSUPPORTED, "crypto.kdf: only scrypt and pbkdf2 are known");
    }
    ks->kdf = SB_KEYSTORE_PBKDF2;
    SB_TRY(expect_text(params, k_path, "prf", "hmac-sha256", diag));
    SB_TRY(number(&value, params, k_path, "c", SB_KEYSTORE_PBKDF2_ITERATION_COUNT_MAX, diag));
    ks->pbkdf2_iteration_count = (uint32_t)value;
    return SB_OK;
}

static sb_err parse_crypto(struct sb_keystore *ks, const json_t *root, struct sb_diag *diag)
{
    const json_t *crypto = NULL;
    const json_t *cipher_params = NULL;
    size_t len;
    const char *name =
        json_object_get(root, "crypto") == NULL && json_object_get(root, "Crypto") != NULL
            ? "Crypto"
            : "crypto";
    SB_TRY(member(&crypto, root, "", name, JSON_OBJECT, diag));
    SB_TRY(expect_text(crypto, "crypto.", "cipher", "aes-128-ctr", diag));
    SB_TRY(member(&cipher_params, crypto, "crypto.", "cipherparams", JSON_OBJECT, diag));
    SB_TRY(hex(ks->iv, &len, sizeof ks->iv, sizeof ks->iv, cipher_params, "crypto.cipherparams.",
               "iv", diag));
    SB_TRY(hex(ks->ciphertext, &len, sizeof ks->ciphertext, sizeof ks->ciphertext, crypto,
               "crypto.", "ciphertext", diag));
    SB_TRY(
        hex(ks->mac.b, &len, sizeof ks->mac.b, sizeof ks->mac.b, crypto, "crypto.", "mac", diag));
    return parse_kdf(ks, crypto, diag);
}

static sb_err parse_root(struct sb_keystore_file *file, const json_t *root, struct sb_diag *diag)
{
    uint64_t version;
    size_t len;
    if (!json_is_object(root)) {
        return sb_fail(diag, SB_E_TYPE, "a keystore file must be a JSON object");
    }
    SB_TRY(number(&version, root, "", "version", UINT32_MAX, diag));
    if (version != 3) {
        return sb_fail(diag, SB_E_VERSION, "version: only 3 is known");
    }
    if (json_object_get(root, "address") != NULL) {
        SB_TRY(hex(file->address.b, &len, sizeof file->address.b, sizeof file->address.b, root, "",
                   "address", diag));
        file->has_address = true;
    }
    return parse_crypto(&file->keystore, root, diag);
}

sb_err sb_keystore_parse(struct sb_keystore_file *ret_file, sb_bytes text, struct sb_diag *diag)
{
    json_error_t error;
    struct sb_keystore_file file = {.has_address = false};
    if (text.len > SB_KEYSTORE_FILE_BYTES_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "too long for a keystore file");
    }
    json_t *root = json_loadb(text.len != 0 ? (const char *)text.data : "", text.len,
                              JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        return sb_fail(diag, SB_E_SYNTAX, "line %d: %s", error.line, error.text);
    }
    sb_err err = parse_root(&file, root, diag);
    json_decref(root);
    if (err == SB_OK) {
        *ret_file = file;
    }
    return err;
}

static void put_hex(struct sb_buf *out, const char *before, const uint8_t *data, size_t len)
{
    sb_buf_add_str(out, before);
    char *digits = (char *)sb_buf_grow(out, 2 * len);
    if (digits != NULL) {
        sb_hex_encode(digits, sb_span(data, len));
    }
}

void sb_keystore_emit(struct sb_buf *out, const struct sb_keystore_file *file)
{
    static const size_t k_uuid_parts[] = {4, 2, 2, 2, 6};
    const struct sb_keystore *ks = &file->keystore;
    put_hex(out, "{\"version\":3,\"id\":\"", file->id, 0);
    size_t at = 0;
    for (size_t i = 0; i < sizeof k_uuid_parts / sizeof k_uuid_parts[0]; i++) {
        put_hex(out, i > 0 ? "-" : "", file->id + at, k_uuid_parts[i]);
        at += k_uuid_parts[i];
    }
    if (file->has_address) {
        put_hex(out, "\",\"address\":\"", file->address.b, sizeof file->address.b);
    }
    put_hex(out, "\",\"crypto\":{\"cipher\":\"aes-128-ctr\",\"cipherparams\":{\"iv\":\"", ks->iv,
            sizeof ks->iv);
    put_hex(out, "\"},\"ciphertext\":\"", ks->ciphertext, sizeof ks->ciphertext);
    if (ks->kdf == SB_KEYSTORE_SCRYPT) {
        sb_buf_addf(out,
                    "\",\"kdf\":\"scrypt\",\"kdfparams\":{\"dklen\":32,\"n\":%" PRIu64
                    ",\"p\":%" PRIu32 ",\"r\":%" PRIu32,
                    ks->scrypt_n, ks->scrypt_p, ks->scrypt_r);
    } else {
        sb_buf_addf(out,
                    "\",\"kdf\":\"pbkdf2\",\"kdfparams\":{\"dklen\":32,\"c\":%" PRIu32
                    ",\"prf\":\"hmac-sha256\"",
                    ks->pbkdf2_iteration_count);
    }
    put_hex(out, ",\"salt\":\"", ks->salt, ks->salt_len);
    put_hex(out, "\"},\"mac\":\"", ks->mac.b, sizeof ks->mac.b);
    sb_buf_add_str(out, "\"}}\n");
}
