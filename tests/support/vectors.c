/* vectors.c: finding, unpacking and parsing of public test vectors; see vectors.h. */
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/codec/hex.h"

#define PATH_BYTES 4096

static void join_path(char ret[PATH_BYTES], const char *path)
{
    const char *folder = getenv("SAMEBIT_CONFORMANCE");
    const char *source = getenv("SAMEBIT_SOURCE_ROOT");
    if (folder != NULL) {
        (void)snprintf(ret, PATH_BYTES, "%s/%s", folder, path);
    } else {
        (void)snprintf(ret, PATH_BYTES, "%s/../shared/conformance/%s", source ? source : ".", path);
    }
}

json_t *sb_vectors_load(const char *path, const char *member)
{
    char full[PATH_BYTES];
    join_path(full, path);
    if (access(full, R_OK) != 0) {
        print_message("# skipped: %s is absent\n", path);
        skip();
    }
    char command[2 * PATH_BYTES];
    (void)snprintf(command, sizeof command, "tar --zstd -xOf '%s' '%s'", full,
                   member ? member : "");
    FILE *in = member != NULL ? popen(command, "r") : fopen(full, "r");
    assert_non_null(in);
    json_error_t error;
    json_t *json = json_loadf(in, JSON_ALLOW_NUL, &error);
    int status = member != NULL ? pclose(in) : fclose(in);
    if (json == NULL || status != 0) {
        fail_msg("%s %s: line %d: %s", path, member ? member : "", error.line, error.text);
    }
    return json;
}

size_t sb_vectors_hex(uint8_t *ret, size_t capacity, const json_t *text)
{
    const char *digits = json_string_value(text);
    assert_non_null(digits);
    if (strncmp(digits, "0x", 2) == 0) {
        digits += 2;
    }
    size_t digit_count = strlen(digits);
    assert_true(digit_count / 2 <= capacity);
    assert_int_equal(sb_hex_decode(ret, digit_count / 2, digits, digit_count), SB_OK);
    return digit_count / 2;
}
