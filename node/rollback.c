/* rollback.c: see rollback.h. */
#include "node/rollback.h"

#include <inttypes.h>

#include "storage/journal.h"

static sb_err note(const struct sb_rollback_options *o, const sb_hash *genesis_hash,
                   const struct sb_journal_rollback *rollback, struct sb_diag *diag)
{
    struct sb_journal_identity identity = {.genesis_hash = *genesis_hash};
    struct sb_journal_recovery recovery;
    struct sb_journal *journal;
    memcpy(identity.public_key, o->public_key, sizeof identity.public_key);
    SB_TRY(sb_journal_open_folder(&journal, o->journal_dir, &identity, false, &recovery, diag));
    sb_err err = sb_journal_rollback(journal, rollback, diag);
    sb_journal_close(journal);
    return err;
}

static sb_err check_range(struct sb_store *store, uint64_t blocks, struct sb_diag *diag)
{
    uint64_t head = sb_store_head(store).number;
    uint64_t most = sb_store_rollback_max(store);
    if (blocks > head) {
        return sb_fail(diag, SB_E_RANGE,
                       "the chain has %" PRIu64 " blocks: %" PRIu64 " of them cannot be undone",
                       head, blocks);
    }
    if (blocks > most) {
        return sb_fail(diag, SB_E_RANGE,
                       "the database keeps the state of %" PRIu64 " older blocks: %" PRIu64
                       " blocks cannot be undone (sync again instead)",
                       most, blocks);
    }
    return SB_OK;
}

static sb_err undo(struct sb_store *store, const struct sb_rollback_options *o,
                   const sb_hash *genesis_hash, struct sb_diag *diag)
{
    SB_TRY(check_range(store, o->blocks, diag));
    uint64_t from = sb_store_head(store).number;
    const struct sb_journal_rollback rollback = {.from = from, .to = from - o->blocks};
    SB_TRY(note(o, genesis_hash, &rollback, diag));
    for (uint64_t i = 0; i < o->blocks; i++) {
        SB_TRY(sb_store_rollback(store, diag));
    }
    return SB_OK;
}

sb_err sb_rollback(struct sb_store_head *ret_head, const struct sb_rollback_options *options,
                   struct sb_diag *diag)
{
    struct sb_chain_domain domain;
    struct sb_store *store;
    SB_TRY(sb_genesis_domain(&domain, options->genesis));
    const struct sb_store_identity identity = {.genesis_hash = domain.genesis_hash,
                                               .chain_id = domain.chain_id};
    const struct sb_store_options store_options = {.create = false};
    SB_TRY(sb_store_open(&store, options->db_dir, &identity, &store_options, diag));
    sb_err err = undo(store, options, &domain.genesis_hash, diag);
    if (err == SB_OK) {
        *ret_head = sb_store_head(store);
    }
    sb_store_close(store);
    return err;
}
