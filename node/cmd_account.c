/* cmd_account.c: `samebit account new | import | list`: accounts as keystore files (Web3 Secret Storage, version 3). */
#include <dirent.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/codec/hex.h"
#include "base/crypto/secp256k1.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/files.h"
#include "node/key_source.h"
#include "node/keystore_json.h"
#include "node/units.h"

#define KEYS_DEFAULT "keys"
#define FILES_MAX    10000

struct account {
    const char *keys;
    const char *password_file;
    const char *key; /* import */
    bool light;
};

/* ---- writing ---- */

static sb_err lock(struct sb_keystore_file *file, const uint8_t secret[32],
                   const struct account *request, struct sb_diag *diag)
{
    char password[SB_PASSWORD_BYTES];
    uint8_t iv[16];
    struct sb_keystore *ks = &file->keystore;
    ks->kdf = SB_KEYSTORE_SCRYPT;
    ks->scrypt_n = request->light ? SB_KEYSTORE_SCRYPT_N_LIGHT : SB_KEYSTORE_SCRYPT_N_STANDARD;
    ks->scrypt_r = SB_KEYSTORE_SCRYPT_R;
    ks->scrypt_p = request->light ? SB_KEYSTORE_SCRYPT_P_LIGHT : SB_KEYSTORE_SCRYPT_P_STANDARD;
    ks->salt_len = 32;
    randombytes_buf(ks->salt, ks->salt_len);
    randombytes_buf(iv, sizeof iv);
    SB_TRY(sb_password_read(password, request->password_file, true, diag));
    sb_err err = sb_keystore_lock(ks, secret, sb_span_str(password), iv);
    sodium_memzero(password, sizeof password);
    return err == SB_OK ? SB_OK
                        : sb_fail(diag, err, "the key cannot be locked: %s", sb_err_text(err));
}

/* geth's name for a keystore file: UTC--2026-01-31T12-00-00.000000000Z--address. */
static sb_err file_path(char ret[SB_PATH_BYTES], const char *keys, const sb_addr *addr,
                        struct sb_diag *diag)
{
    struct timespec now = {0};
    struct tm utc = {0};
    char address[SB_HEX_TEXT_BYTES(20)];
    char name[128];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    (void)sb_hex_format(address, sb_span(addr->b, sizeof addr->b));
    (void)snprintf(name, sizeof name, "UTC--%04d-%02d-%02dT%02d-%02d-%02d.%09ldZ--%s",
                   utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                   utc.tm_sec, now.tv_nsec, address + 2);
    return sb_path_join(ret, keys, name, diag);
}

/* SB_E_EXISTS when a file of the folder has the address in its name: two files of one account, perhaps with two passwords, confuse. */
static sb_err check_new(const char *keys, const sb_addr *addr, struct sb_diag *diag)
{
    char address[SB_HEX_TEXT_BYTES(20)];
    sb_err err = SB_OK;
    const struct dirent *entry;
    DIR *dir = opendir(keys);
    if (dir == NULL) {
        return SB_OK;
    }
    (void)sb_hex_format(address, sb_span(addr->b, sizeof addr->b));
    while (err == SB_OK && (entry = readdir(dir)) != NULL) {
        if (strcasestr(entry->d_name, address + 2) != NULL) {
            err =
                sb_fail(diag, SB_E_EXISTS, "%s has this account already: %s", keys, entry->d_name);
        }
    }
    (void)closedir(dir);
    return err;
}

static sb_err store(const struct account *request, const uint8_t secret[32], struct sb_diag *diag)
{
    struct sb_keystore_file file = {.has_address = true};
    char path[SB_PATH_BYTES];
    char address[SB_ADDR_TEXT_BYTES];
    uint8_t memory[2048];
    struct sb_buf text = sb_buf_over(memory, sizeof memory);
    struct sb_secp256k1 *ctx = sb_secp256k1_new(NULL);
    sb_err err = ctx != NULL ? sb_secp256k1_secret_address(&file.address, ctx, secret) : SB_E_NOMEM;
    sb_secp256k1_free(ctx);
    if (err != SB_OK) {
        return sb_fail(diag, err, "the private key is not valid");
    }
    SB_TRY(check_new(request->keys, &file.address, diag));
    /* a random UUID (RFC 4122, version 4) */
    randombytes_buf(file.id, sizeof file.id);
    file.id[6] = (uint8_t)((file.id[6] & 0x0f) | 0x40);
    file.id[8] = (uint8_t)((file.id[8] & 0x3f) | 0x80);
    SB_TRY(lock(&file, secret, request, diag));
    SB_TRY(sb_dir_make(request->keys, 0700, diag));
    SB_TRY(file_path(path, request->keys, &file.address, diag));
    sb_keystore_emit(&text, &file);
    SB_TRY(sb_buf_err(&text));
    SB_TRY(sb_file_replace(path, sb_buf_bytes(&text), 0600, diag));
    sb_addr_format(address, &file.address);
    (void)printf("address: %s\nfile: %s\n", address, path);
    return SB_OK;
}

#define STORE_OPTIONS(request)                                                                     \
    {"keys", SB_OPTION_TEXT, &(request).keys, "DIR", "folder of the keystore files (keys)", 0, 0}, \
        {"password-file",                                                                          \
         SB_OPTION_TEXT,                                                                           \
         &(request).password_file,                                                                 \
         "FILE",                                                                                   \
         "the password, on the first line; asked for when absent",                                 \
         0,                                                                                        \
         0},                                                                                       \
    {                                                                                              \
        "light", SB_OPTION_FLAG, &(request).light, NULL,                                           \
            "cheap key derivation: fast to open, weaker against guessing", 0, 0                    \
    }

static int cmd_new(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "account new", "[--keys DIR] [options]",
        "Make a new account. Its key is written to a keystore file, locked with a password.",
        "  samebit account new\n"
        "  samebit account new --keys ./chain/keys --password-file secret.txt\n"};
    struct account request = {.keys = KEYS_DEFAULT};
    const struct sb_option options[] = {STORE_OPTIONS(request)};
    struct sb_operands operands;
    struct sb_diag diag = {.text = ""};
    uint8_t secret[32];
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_usage, options, sizeof options / sizeof options[0],
                         0, 0, argc, argv)) {
        return status;
    }
    randombytes_buf(secret, sizeof secret);
    sb_err err = store(&request, secret, &diag);
    sodium_memzero(secret, sizeof secret);
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}

static int cmd_import(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "account import", "KEYFILE [--keys DIR] [options]",
        "Write a keystore file for an existing private key. KEYFILE holds it as 64 hexadecimal "
        "digits, or is a\n"
        "keystore file of another program, whose password is asked for or taken from "
        "--old-password-file.",
        "  samebit account import key.txt --keys ./chain/keys\n"
        "  samebit account import UTC--2026... --old-password-file old.txt --password-file "
        "new.txt\n"};
    struct account request = {.keys = KEYS_DEFAULT};
    struct sb_key_source source = {.key = NULL};
    const struct sb_option options[] = {{"old-password-file", SB_OPTION_TEXT, &source.password_file,
                                         "FILE", "password of a keystore file that is imported", 0,
                                         0},
                                        STORE_OPTIONS(request)};
    struct sb_operands operands;
    struct sb_diag diag = {.text = ""};
    uint8_t secret[32];
    uint8_t memory[SB_PASSWORD_BYTES];
    struct sb_buf text = sb_buf_over(memory, sizeof memory - 1);
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_usage, options, sizeof options / sizeof options[0],
                         1, 1, argc, argv)) {
        return status;
    }
    source.key_file = operands.items[0];
    sb_err err = sb_file_read(&text, operands.items[0], &diag);
    memory[text.len] = '\0';
    memory[strcspn((const char *)memory, "\r\n")] = '\0';
    if (err == SB_OK && memory[0] != '{') {
        err = sb_key_parse(secret, (const char *)memory, &diag);
        if (err != SB_OK) {
            sb_diag_prefix(&diag, "%s", operands.items[0]);
        }
    } else if (err == SB_OK || err == SB_E_LIMIT) {
        err = sb_key_source_read(secret, &source, &diag);
    }
    sodium_memzero(memory, sizeof memory);
    err = err == SB_OK ? store(&request, secret, &diag) : err;
    sodium_memzero(secret, sizeof secret);
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}

/* ---- listing ---- */

static int skip_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void list_file(const char *keys, const char *name)
{
    struct sb_buf text;
    struct sb_keystore_file file;
    char path[SB_PATH_BYTES];
    char address[SB_ADDR_TEXT_BYTES] = "(address not stored)";
    if (sb_path_join(path, keys, name, NULL) != SB_OK) {
        return;
    }
    sb_buf_init(&text, SB_KEYSTORE_FILE_BYTES_MAX);
    if (sb_file_read(&text, path, NULL) == SB_OK &&
        sb_keystore_parse(&file, sb_buf_bytes(&text), NULL) == SB_OK) {
        if (file.has_address) {
            sb_addr_format(address, &file.address);
        }
        (void)printf("%s  %s\n", address, path);
    }
    sb_buf_fini(&text);
}

static int cmd_list(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "account list", "[--keys DIR]",
        "List the accounts whose keystore files lie in a folder: address and file.",
        "  samebit account list --keys ./chain/keys\n"};
    const char *keys = KEYS_DEFAULT;
    const struct sb_option options[] = {
        {"keys", SB_OPTION_TEXT, &keys, "DIR", "folder of the keystore files (keys)", 0, 0}};
    struct sb_operands operands;
    struct dirent **entries = NULL;
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_usage, options, 1, 0, 0, argc, argv)) {
        return status;
    }
    int count = scandir(keys, &entries, skip_hidden, alphasort);
    if (count < 0) {
        return sb_cli_failf("%s: there is no such folder", keys);
    }
    for (int i = 0; i < count; i++) {
        if (i < FILES_MAX) {
            list_file(keys, entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
    return SB_EXIT_OK;
}

int sb_cmd_account(int argc, char **argv)
{
    static const struct sb_command k_commands[] = {
        {"new", "make an account", cmd_new},
        {"import", "lock an existing key into a keystore file", cmd_import},
        {"list", "list the accounts of a folder", cmd_list},
    };
    return sb_command_run("account", k_commands, sizeof k_commands / sizeof k_commands[0], argc,
                          argv);
}
