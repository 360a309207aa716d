/* fixture_tx.h: the transaction of a state test, from its members (older files do not carry the signed bytes). */
#ifndef SB_TESTS_SUPPORT_FIXTURE_TX_H
#define SB_TESTS_SUPPORT_FIXTURE_TX_H

#include <jansson.h>

#include "base/types/tx.h"

/* Which of the lists' members an entry means. */
struct sb_fixture_indexes {
    size_t data;
    size_t gas;
    size_t value;
};

/* sb_fixture_tx: build and sign. Lists and bytes live in the arena. False when a member is absent, malformed or does not fit: such a
 * transaction has no encoding, so it must be refused. */
bool sb_fixture_tx(struct sb_tx *ret_tx, struct sb_arena *arena, const json_t *transaction,
                   const struct sb_fixture_indexes *indexes, uint64_t chain_id);

#endif
