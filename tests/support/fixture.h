/* fixture.h: reading the JSON of the public Ethereum suites (ethereum/tests and EEST), and finding its files.
 *
 * The suites write numbers as "0x" hex with or without leading zeros, or as decimal text. Readers return false, with the outputs
 * untouched, when the value is absent or malformed. */
#ifndef SB_TESTS_SUPPORT_FIXTURE_H
#define SB_TESTS_SUPPORT_FIXTURE_H

#include <jansson.h>

#include "base/util/arena.h"
#include "tests/support/memory_state.h"

bool sb_fixture_u256(sb_u256 *ret, const json_t *value);
bool sb_fixture_u64(uint64_t *ret, const json_t *value);
/* sb_fixture_word: a number as 32 big-endian bytes (hashes, storage keys). */
bool sb_fixture_word(sb_hash *ret, const json_t *value);
/* sb_fixture_addr: exactly 20 bytes. */
bool sb_fixture_addr(sb_addr *ret, const json_t *value);
/* sb_fixture_bytes: any even number of digits; the bytes live in the arena. */
bool sb_fixture_bytes(sb_bytes *ret, struct sb_arena *arena, const json_t *value);
/* sb_fixture_state: `pre` or `post[].state`: replace the contents of s. */
bool sb_fixture_state(struct sb_memory_state *s, struct sb_arena *arena, const json_t *accounts);

/* A list of file names, owned. */
struct sb_file_list {
    char **names;
    size_t count;
    size_t capacity;
};

/* sb_file_list_add: a file, or every file below a folder whose name ends with suffix; ascending by name within a folder. False, with
 * nothing added, when the path cannot be read. */
bool sb_file_list_add(struct sb_file_list *list, const char *path, const char *suffix);
void sb_file_list_fini(struct sb_file_list *list);

#endif
