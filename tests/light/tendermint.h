/* tendermint.h: headers, commits and validator sets of Tendermint, and their encodings, for the public light-client vectors.
 *
 * Only what a light client needs: the Merkle root of a header, the hash of a validator set, and the bytes that a precommit signs. The
 * verifier under test (consensus/light.h) sees them through tm_codec alone.
 *
 * Specification: cometbft, spec/core/data_structures.md and spec/core/encoding.md. */
#ifndef SB_TESTS_LIGHT_TENDERMINT_H
#define SB_TESTS_LIGHT_TENDERMINT_H

#include <jansson.h>

#include "consensus/light.h"

#define TM_VALIDATORS_MAX 128
#define TM_CHAIN_ID_BYTES 64

enum tm_flag { TM_ABSENT = 1, TM_COMMIT = 2, TM_NIL = 3 };

/* A hash, or no hash (len 0). */
struct tm_hash {
    uint8_t len;
    uint8_t bytes[32];
};

/* Since 1970. */
struct tm_time {
    uint64_t seconds;
    uint32_t nanos;
};

struct tm_block_id {
    struct tm_hash hash;
    uint32_t parts_total;
    struct tm_hash parts_hash;
};

/* The header's hashes, in the order in which they are hashed. */
enum tm_header_hash {
    TM_LAST_COMMIT,
    TM_DATA,
    TM_VALIDATORS,
    TM_NEXT_VALIDATORS,
    TM_CONSENSUS,
    TM_APP,
    TM_LAST_RESULTS,
    TM_EVIDENCE,
    TM_PROPOSER, /* an address: 20 bytes */
    TM_HEADER_HASHES,
};

struct tm_header {
    uint64_t version_block, version_app;
    char chain_id[TM_CHAIN_ID_BYTES];
    uint64_t height;
    struct tm_time time;
    struct tm_block_id last_block_id;
    struct tm_hash hashes[TM_HEADER_HASHES];
};

struct tm_sig {
    enum tm_flag flag;
    sb_addr address;
    struct tm_time time;
    struct sb_signature signature;
};

struct tm_commit {
    uint64_t height;
    int32_t round;
    struct tm_block_id block_id;
    struct tm_sig sigs[TM_VALIDATORS_MAX];
    size_t sig_count;
};

struct tm_set {
    struct sb_validator validators[TM_VALIDATORS_MAX]; /* power descending, address ascending */
    size_t count;
};

struct tm_block {
    struct tm_header header;
    struct tm_commit commit;
    struct tm_set validators, next_validators;
};

/* Readers of the vectors' JSON: false when a member is absent or malformed. */
bool tm_read_signed_header(struct tm_block *ret, const json_t *signed_header);
bool tm_read_set(struct tm_set *ret, const json_t *set);
bool tm_read_time(struct tm_time *ret, const json_t *text);

uint64_t tm_nanoseconds(const struct tm_time *time);
struct tm_hash tm_header_hash(const struct tm_header *header);

/* tm_light_block: the block as the verifier sees it; times are nanoseconds. ret_sigs: TM_VALIDATORS_MAX entries. All borrowed. */
struct sb_light_block tm_light_block(const struct tm_block *block, struct sb_light_sig *ret_sigs);

/* tm_codec: Tendermint's table. */
struct sb_light_codec tm_codec(void);

#endif
