/* state_sync_finish.c: the snapshot's block becomes the head; see state_sync_impl.h.
 *
 *      rotation of S + 1   its bytes come from a peer and must hash to what Staking keeps in slot 0 of the verified state; in a chain without
 *                          Staking, whose set never changes, it follows from genesis
 *      rotation of S + 2   follows from it and from the set that header S + 1 names
 *      rotations of S - 1 and S   nobody will be elected by them any more: their sets with priorities as at a beginning */
#include <stdlib.h>

#include "base/crypto/keccak.h"
#include "node/past.h"
#include "node/staking_genesis.h"
#include "node/state_sync_impl.h"
#include "vm/exec/system.h"

#define RECORDS_BYTES_MAX  ((size_t)64 << 20)
#define ROTATION_BYTES_MAX ((size_t)128 << 10)

struct finish {
    struct state_sync *s;
    struct sb_arena arena;
    struct sb_record_list records;
    struct sb_rotation rotation; /* one at a time */
};

static bool same_set(const struct sb_rotation *rotation, const struct sb_validator_set *set)
{
    sb_hash a = sb_validator_set_hash(&rotation->set), b = sb_validator_set_hash(set);
    return sb_hash_equal(&a, &b);
}

/* rotation_ask: of S + 1, from one peer after another, against the hash in the state. */
static sb_err rotation_ask(struct finish *f)
{
    struct state_sync *s = f->s;
    sb_addr addr = sb_system_addr(SB_STAKING_ADDR_LOW);
    sb_hash account = sb_keccak256(sb_span(addr.b, sizeof addr.b)), zero = {{0}}, kept;
    sb_hash slot = sb_keccak256(sb_span(zero.b, sizeof zero.b));
    sb_u256 value;
    SB_TRY(sb_restore_slot(&value, s->restore, &account, &slot));
    sb_u256_store_be(kept.b, &value);
    for (size_t i = 0; i < SB_STATE_SYNC_PEERS_MAX; i++) {
        struct sync_peer *peer = &s->peers[i];
        sb_bytes raw;
        if (!sync_offers(peer, s->height)) {
            continue;
        }
        sb_err err = sync_ask(&raw, s, peer, SB_SNAP_ROTATION, s->height, sb_span(NULL, 0));
        if (err == SB_E_NOT_FOUND) {
            continue;
        }
        SB_TRY(err);
        sb_hash hash = sb_keccak256(raw);
        if (sb_hash_equal(&hash, &kept) && sb_rotation_decode(&f->rotation, raw, NULL) == SB_OK &&
            same_set(&f->rotation, &s->at->parts.next_validators)) {
            return SB_OK;
        }
        sync_accuse(s, peer, "priorities of proposers", "they do not hash to what the state holds");
    }
    return SB_E_NOT_FOUND;
}

/* rotation_compute: of S + 1 from genesis: one election a height. */
static sb_err rotation_compute(struct finish *f, struct sb_diag *diag)
{
    struct state_sync *s = f->s;
    sb_rotation_init(&f->rotation, &s->o->genesis->validators);
    for (uint64_t height = 1; height <= s->height; height++) {
        sb_rotation_advance(&f->rotation, 1);
    }
    return same_set(&f->rotation, &s->at->parts.next_validators)
               ? SB_OK
               : sb_fail(diag, SB_E_ARG,
                         "the validators have changed in a chain whose genesis has no Staking");
}

static sb_err rotation_put(struct finish *f, uint64_t height)
{
    uint8_t key[SB_CHAIN_ROTATION_KEY_BYTES];
    struct sb_buf buf;
    sb_chain_rotation_key(key, height);
    sb_buf_init(&buf, ROTATION_BYTES_MAX);
    sb_rotation_encode(&buf, &f->rotation);
    sb_err err = sb_buf_err(&buf);
    if (err == SB_OK) {
        err = sb_record_list_put(&f->records, sb_span(key, sizeof key), sb_buf_bytes(&buf));
    }
    sb_buf_fini(&buf);
    return err;
}

/* changes_make: what turns one set into another. */
static sb_err changes_make(struct sb_validator_change **ret_changes, size_t *ret_count,
                           struct finish *f, const struct sb_validator_set *from,
                           const struct sb_validator_set *to)
{
    struct sb_validator_change *changes =
        sb_arena_array(&f->arena, from->count + to->count, sizeof *changes);
    size_t count = 0;
    if (changes == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < from->count; i++) {
        if (sb_validator_set_find(to, &from->validators[i].address) < 0) {
            changes[count++] =
                (struct sb_validator_change){.key = from->validators[i].key, .power = 0};
        }
    }
    for (size_t i = 0; i < to->count; i++) {
        int at = sb_validator_set_find(from, &to->validators[i].address);
        if (at < 0 || from->validators[at].power != to->validators[i].power) {
            changes[count++] = (struct sb_validator_change){.key = to->validators[i].key,
                                                            .power = to->validators[i].power};
        }
    }
    *ret_changes = changes;
    *ret_count = count;
    return SB_OK;
}

/* rotations_put: the four around the head. */
static sb_err rotations_put(struct finish *f, const struct sb_validator_set *before,
                            struct sb_diag *diag)
{
    struct state_sync *s = f->s;
    const struct sb_validator_set *next = &s->at->parts.next_validators;
    const struct sb_validator_set *after = &s->next->parts.next_validators;
    struct sb_validator_change *changes;
    size_t count;
    SB_TRY(sb_genesis_has_staking(s->o->genesis) ? rotation_ask(f) : rotation_compute(f, diag));
    SB_TRY(rotation_put(f, s->height + 1));
    SB_TRY(changes_make(&changes, &count, f, next, after));
    if (count != 0) {
        SB_TRY(sb_rotation_update(&f->rotation, changes, count, diag));
    }
    sb_rotation_advance(&f->rotation, 1);
    if (!same_set(&f->rotation, after)) {
        return sb_fail(diag, SB_E_INTERNAL, "the changes of the set do not lead to the next one");
    }
    SB_TRY(rotation_put(f, s->height + 2));
    sb_rotation_init(&f->rotation, &s->at->parts.validators);
    SB_TRY(rotation_put(f, s->height));
    if (s->height > 1) {
        sb_rotation_init(&f->rotation, before);
        SB_TRY(rotation_put(f, s->height - 1));
    }
    return SB_OK;
}

/* set_before: of S - 1, which the past has brought. */
static sb_err set_before(struct sb_validator_set *ret_set, struct finish *f)
{
    struct state_sync *s = f->s;
    if (s->height == 1) {
        *ret_set = s->at->parts.validators;
        return SB_OK;
    }
    sb_err err = sb_chain_set_in(ret_set, &f->arena, sb_restore_store(s->restore), s->height - 1);
    return err == SB_E_NOT_FOUND ? SB_E_INTERNAL : err;
}

static sb_err sets_put(struct finish *f, const struct sb_validator_set *before)
{
    struct state_sync *s = f->s;
    const struct sb_light_block_parts *at = &s->at->parts, *next = &s->next->parts;
    sb_hash last = sb_validator_set_hash(before);
    if (s->height == 1 || !sb_hash_equal(&last, &at->header.validators_hash)) {
        SB_TRY(sb_past_set_put(&f->records, s->height, &at->validators));
    }
    if (!sb_hash_equal(&at->header.validators_hash, &at->header.next_validators_hash)) {
        SB_TRY(sb_past_set_put(&f->records, s->height + 1, &at->next_validators));
    }
    if (!sb_hash_equal(&at->header.next_validators_hash, &next->header.next_validators_hash)) {
        SB_TRY(sb_past_set_put(&f->records, s->height + 2, &next->next_validators));
    }
    return SB_OK;
}

static sb_err senders_find(sb_addr **ret_senders, sb_hash **ret_hashes, struct finish *f)
{
    const struct sb_block *block = &f->s->ethereum;
    sb_addr *senders = sb_arena_array(&f->arena, block->tx_count, sizeof *senders);
    sb_hash *hashes = sb_arena_array(&f->arena, block->tx_count, sizeof *hashes);
    if (senders == NULL || hashes == NULL) {
        return SB_E_NOMEM;
    }
    sb_keccak256_multi(hashes, block->raw_txs, block->tx_count);
    for (size_t i = 0; i < block->tx_count; i++) {
        SB_TRY(sb_tx_sender(&senders[i], &block->txs[i]));
    }
    *ret_senders = senders;
    *ret_hashes = hashes;
    return SB_OK;
}

static sb_err write_head(struct finish *f, struct sb_buf *consensus, struct sb_buf *commit,
                         struct sb_diag *diag)
{
    static const uint8_t empty_list[] = {0xc0};
    struct state_sync *s = f->s;
    struct sb_consensus_block bare = s->block;
    sb_addr *senders;
    sb_hash *hashes;
    bare.payload = sb_span(empty_list, sizeof empty_list);
    sb_consensus_block_encode(consensus, &bare);
    sb_commit_encode(commit, &s->at->parts.commit);
    SB_TRY(sb_buf_err(consensus));
    SB_TRY(sb_buf_err(commit));
    SB_TRY(senders_find(&senders, &hashes, f));
    const struct sb_store_block block = {.number = s->height,
                                         .block_hash = s->ethereum_hash,
                                         .state_root = s->ethereum.header.state_root,
                                         .header = s->ethereum_header,
                                         .body = s->body,
                                         .receipts = s->receipts,
                                         .tx_hashes = hashes,
                                         .senders = senders,
                                         .tx_count = s->ethereum.tx_count,
                                         .consensus_block = sb_buf_bytes(consensus),
                                         .commit = sb_buf_bytes(commit),
                                         .inferences = s->inferences,
                                         .records = f->records.items,
                                         .record_count = f->records.count};
    return sb_restore_finish(s->restore, &block, diag);
}

static sb_err finish(struct finish *f, struct sb_diag *diag)
{
    struct sb_validator_set before;
    struct sb_buf consensus, commit;
    SB_TRY(set_before(&before, f));
    SB_TRY(rotations_put(f, &before, diag));
    SB_TRY(sets_put(f, &before));
    for (size_t i = 0; i < f->s->block.evidence_count; i++) {
        SB_TRY(sb_evidence_committed_put(&f->records, &f->s->block.evidence[i], f->s->height));
    }
    sb_buf_init(&consensus, SB_CONSENSUS_BLOCK_BYTES_MAX);
    sb_buf_init(&commit, SB_LIGHT_BLOCK_BYTES_MAX);
    sb_err err = write_head(f, &consensus, &commit, diag);
    sb_buf_fini(&consensus);
    sb_buf_fini(&commit);
    return err;
}

sb_err sync_finish(struct state_sync *s, struct sb_diag *diag)
{
    struct finish *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return SB_E_NOMEM;
    }
    f->s = s;
    sb_arena_init(&f->arena, RECORDS_BYTES_MAX);
    f->records.arena = &f->arena;
    sb_err err = finish(f, diag);
    sb_arena_fini(&f->arena);
    free(f);
    return err;
}
