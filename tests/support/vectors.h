/* vectors.h: public test vectors in JSON, read from the conformance folder.
 *
 * The folder is SAMEBIT_CONFORMANCE, else ../shared/conformance beside the source. A file may lie inside a .tar.zst archive. What is
 * absent makes the test skip, by name. */
#ifndef SB_TESTS_SUPPORT_VECTORS_H
#define SB_TESTS_SUPPORT_VECTORS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* sb_vectors_load: parsed JSON of the file `path` in the folder, or of `member` in the archive `path` when member is not NULL. Owned
 * by the caller (json_decref). When it is absent, the cmocka test that called is skipped with a line that names the file; damaged
 * JSON fails it. */
json_t *sb_vectors_load(const char *path, const char *member);

/* sb_vectors_hex: bytes of a JSON string of hex digits, with or without 0x, at most capacity; fails the test otherwise. Returns how
 * many. */
size_t sb_vectors_hex(uint8_t *ret, size_t capacity, const json_t *text);

#endif
