/* key_source.c: see key_source.h. */
#include "node/key_source.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "node/files.h"
#include "node/keystore_json.h"
#include "node/units.h"

/* ---- passwords ---- */

static sb_err ask(char ret[SB_PASSWORD_BYTES], const char *prompt, struct sb_diag *diag)
{
    struct termios shown;
    if (tcgetattr(STDIN_FILENO, &shown) != 0) {
        return sb_fail(diag, SB_E_ARG,
                       "a password is needed and there is no terminal; give --password-file");
    }
    struct termios hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    (void)fprintf(stderr, "%s: ", prompt);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    const char *line = fgets(ret, SB_PASSWORD_BYTES, stdin);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    (void)fprintf(stderr, "\n");
    if (line == NULL) {
        return sb_fail(diag, SB_E_ARG, "no password was given");
    }
    ret[strcspn(ret, "\r\n")] = '\0';
    return SB_OK;
}

static sb_err read_file(char ret[SB_PASSWORD_BYTES], const char *path, struct sb_diag *diag)
{
    uint8_t memory[SB_PASSWORD_BYTES];
    struct sb_buf text = sb_buf_over(memory, sizeof memory - 1);
    sb_err err = sb_file_read(&text, path, diag);
    if (err == SB_OK) {
        sb_copy(ret, text.data, text.len);
        ret[text.len] = '\0';
        ret[strcspn(ret, "\r\n")] = '\0';
    }
    sodium_memzero(memory, sizeof memory);
    return err;
}

sb_err sb_password_read(char ret_password[SB_PASSWORD_BYTES], const char *path, bool is_new,
                        struct sb_diag *diag)
{
    char again[SB_PASSWORD_BYTES];
    if (path != NULL) {
        return read_file(ret_password, path, diag);
    }
    SB_TRY(ask(ret_password, is_new ? "new password" : "password", diag));
    if (!is_new) {
        return SB_OK;
    }
    SB_TRY(ask(again, "again", diag));
    bool same = strcmp(again, ret_password) == 0;
    sodium_memzero(again, sizeof again);
    return same ? SB_OK : sb_fail(diag, SB_E_ARG, "the two passwords differ");
}

/* ---- keys ---- */

static sb_err unlock(uint8_t ret_secret[32], const struct sb_keystore_file *file,
                     const char *password_file, struct sb_diag *diag)
{
    char password[SB_PASSWORD_BYTES];
    SB_TRY(sb_password_read(password, password_file, false, diag));
    sb_err err = sb_keystore_unlock(ret_secret, &file->keystore, sb_span_str(password));
    sodium_memzero(password, sizeof password);
    return err == SB_OK ? SB_OK : sb_fail(diag, err, "%s", sb_err_text(err));
}

static sb_err read_key_file(uint8_t ret_secret[32], const struct sb_key_source *source,
                            struct sb_diag *diag)
{
    struct sb_buf text;
    struct sb_keystore_file file;
    sb_buf_init(&text, SB_KEYSTORE_FILE_BYTES_MAX);
    sb_err err = sb_file_read(&text, source->key_file, diag);
    if (err == SB_OK) {
        err = sb_keystore_parse(&file, sb_buf_bytes(&text), diag);
        err = err == SB_OK ? unlock(ret_secret, &file, source->password_file, diag) : err;
        if (err != SB_OK) {
            sb_diag_prefix(diag, "%s", source->key_file);
        }
    }
    sb_buf_fini(&text);
    return err;
}

sb_err sb_key_source_read(uint8_t ret_secret[32], const struct sb_key_source *source,
                          struct sb_diag *diag)
{
    const char *from_environment = getenv("SAMEBIT_KEY");
    if (source->key_file != NULL) {
        return read_key_file(ret_secret, source, diag);
    }
    if (source->key != NULL) {
        return sb_key_parse(ret_secret, source->key, diag);
    }
    if (from_environment != NULL) {
        return sb_key_parse(ret_secret, from_environment, diag);
    }
    return sb_fail(diag, SB_E_ARG,
                   "who sends? give --key, --key-file or SAMEBIT_KEY in the environment");
}
