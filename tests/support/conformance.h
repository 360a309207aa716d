/* conformance.h: how tests walk the public suites that scripts/unpack-conformance unpacked.
 *
 * The folder is SAMEBIT_CONFORMANCE_UNPACKED. A test whose data is absent skips itself: conformance_folder prints the name of what
 * is missing and the test calls skip(). Files are visited in the order of their names. */
#ifndef SB_TESTS_SUPPORT_CONFORMANCE_H
#define SB_TESTS_SUPPORT_CONFORMANCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util/arena.h"
#include "base/util/span.h"

#define CONFORMANCE_PATH_BYTES 1024

/* conformance_folder: path of a folder (or file) of the unpacked suites; false, with a line that names it, when it is absent. */
bool conformance_folder(char ret[CONFORMANCE_PATH_BYTES], const char *name);

/* conformance_each_file: call fn for every file below path whose name ends with suffix. */
void conformance_each_file(const char *path, const char *suffix,
                           void (*fn)(void *ctx, const char *file), void *ctx);

/* conformance_load: a JSON file, or NULL with a line that says why. */
json_t *conformance_load(const char *file);

/* conformance_bytes: bytes of a hexadecimal string with or without 0x, in the arena; data NULL when it is none. */
sb_bytes conformance_bytes(struct sb_arena *arena, const char *text);

/* conformance_bytes_are: text is 0x and the hexadecimal form of these bytes. */
bool conformance_bytes_are(const char *text, const uint8_t *bytes, size_t len);

#endif
