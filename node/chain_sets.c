/* chain_sets.c: validator sets by height (docs/spec/consensus-block.md, section 3).
 *
 *     commit of block H:   rotation(H + 1) --copy--> changes of H --> one election --> rotation(H + 2)
 *
 *     in memory    head - 1, head, head + 1, head + 2         slots of a ring; older ones stay a while for whoever borrowed them
 *     records      'r' height             -> rotation         those four heights
 *                  'v' 2^64 - 1 - first   -> set              from height `first` on, until the next such record
 *
 * The heights of 'v' are stored downwards, so that one seek finds the set of any height: the first record at or behind its key.
 * Records are written with the block that changes them and go back with it in a rollback. */
#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "base/util/endian.h"
#include "node/chain_impl.h"

#define KEY_BYTES          9
#define ROTATION_BYTES_MAX ((size_t)128 * 1024)
#define ROTATIONS_STORED   4

static void make_key(uint8_t ret[KEY_BYTES], char kind, uint64_t number)
{
    ret[0] = (uint8_t)kind;
    be_store64(ret + 1, number);
}

void sb_chain_rotation_key(uint8_t ret[SB_CHAIN_ROTATION_KEY_BYTES], uint64_t height)
{
    make_key(ret, 'r', height);
}

void sb_chain_set_key(uint8_t ret[SB_CHAIN_ROTATION_KEY_BYTES], uint64_t height)
{
    make_key(ret, 'v', UINT64_MAX - height);
}

static struct sb_rotation *slot(struct sb_chain *chain, uint64_t height)
{
    return &chain->rotations[height % SB_CHAIN_ROTATIONS];
}

/* is_here: the ring holds the rotation of this height, for all to see. */
static bool is_here(uint64_t head, uint64_t height)
{
    return height != 0 && height + 1 >= head && height <= head + 2;
}

const struct sb_rotation *sb_chain_rotation(struct sb_chain *chain, uint64_t height)
{
    return is_here(sb_chain_head_number(chain), height) ? slot(chain, height) : NULL;
}

sb_err sb_chain_rotation_read(struct sb_chain_rotation_copy *ret_copy, struct sb_arena *arena,
                              struct sb_chain *chain, uint64_t height)
{
    struct sb_validator *validators = sb_arena_array(arena, SB_VALIDATORS_MAX, sizeof *validators);
    if (validators == NULL) {
        return SB_E_NOMEM;
    }
    (void)pthread_mutex_lock(&chain->lock);
    bool found = is_here(chain->head.header.number, height);
    if (found) {
        const struct sb_rotation *rotation = slot(chain, height);
        sb_copy(validators, rotation->validators, rotation->set.count * sizeof *validators);
        ret_copy->set = rotation->set;
        ret_copy->set.validators = validators;
        ret_copy->hash = chain->rotation_hashes[height % SB_CHAIN_ROTATIONS];
        ret_copy->proposer = validators[sb_rotation_proposer(rotation, 0)].address;
    }
    (void)pthread_mutex_unlock(&chain->lock);
    return found ? SB_OK : SB_E_NOT_FOUND;
}

const struct sb_validator_set *sb_chain_validators(struct sb_chain *chain)
{
    return &sb_chain_rotation(chain, sb_chain_head_number(chain) + 1)->set;
}

const sb_hash *sb_chain_set_hash(struct sb_chain *chain, uint64_t height)
{
    SB_ASSERT(sb_chain_rotation(chain, height) != NULL);
    return &chain->set_hashes[height % SB_CHAIN_ROTATIONS];
}

void sb_chain_set_update_source(struct sb_chain *chain, sb_chain_update_fn fn, void *ctx)
{
    chain->update_source = fn != NULL ? fn : sb_chain_outcome_changes;
    chain->update_ctx = fn != NULL ? ctx : chain;
}

/* ---- writing ---- */

/* put_rotation: the slot of a height was filled: its hash and its record. */
static sb_err put_rotation(struct sb_chain *chain, struct sb_record_list *records, uint64_t height)
{
    uint8_t key[KEY_BYTES];
    struct sb_buf buf;
    sb_buf_init(&buf, ROTATION_BYTES_MAX);
    chain->set_hashes[height % SB_CHAIN_ROTATIONS] =
        sb_validator_set_hash(&slot(chain, height)->set);
    make_key(key, 'r', height);
    sb_rotation_encode(&buf, slot(chain, height));
    sb_err err = sb_buf_err(&buf);
    if (err == SB_OK) {
        chain->rotation_hashes[height % SB_CHAIN_ROTATIONS] = sb_keccak256(sb_buf_bytes(&buf));
        err = sb_record_list_put(records, sb_span(key, sizeof key), sb_buf_bytes(&buf));
    }
    sb_buf_fini(&buf);
    return err;
}

/* put_set: the set of this height holds from it on. */
static sb_err put_set(struct sb_chain *chain, struct sb_record_list *records, uint64_t height)
{
    uint8_t key[KEY_BYTES];
    struct sb_buf buf;
    sb_buf_init(&buf, ROTATION_BYTES_MAX);
    make_key(key, 'v', UINT64_MAX - height);
    sb_validator_set_encode(&buf, &slot(chain, height)->set);
    sb_err err = sb_buf_err(&buf);
    if (err == SB_OK) {
        err = sb_record_list_put(records, sb_span(key, sizeof key), sb_buf_bytes(&buf));
    }
    sb_buf_fini(&buf);
    return err;
}

sb_err sb_chain_sets_begin(struct sb_chain *chain, struct sb_record_list *records)
{
    sb_rotation_init(slot(chain, 1), &chain->genesis->validators);
    sb_rotation_copy(slot(chain, 2), slot(chain, 1));
    sb_rotation_advance(slot(chain, 2), 1);
    SB_TRY(put_rotation(chain, records, 1));
    SB_TRY(put_rotation(chain, records, 2));
    return put_set(chain, records, 1);
}

static void log_refused(const struct sb_chain *chain, uint64_t height, const struct sb_diag *why)
{
    sb_log(chain->log, SB_LOG_WARN, "chain",
           "a block asks for changes of the validator set that cannot be made; the set stays",
           SB_LOG_U64("height", height), SB_LOG_STR("reason", why->text), SB_LOG_END);
}

sb_err sb_chain_sets_follow(struct sb_chain *chain, struct sb_record_list *records, uint64_t height,
                            const struct sb_validator_change *changes, size_t change_count)
{
    uint64_t next = height + 2;
    struct sb_rotation *rotation = slot(chain, next);
    sb_rotation_copy(rotation, slot(chain, next - 1));
    struct sb_diag why = {.text = ""};
    if (change_count != 0 && sb_rotation_update(rotation, changes, change_count, &why) != SB_OK) {
        log_refused(chain, height, &why);
    }
    sb_rotation_advance(rotation, 1);
    SB_TRY(put_rotation(chain, records, next));
    if (!sb_hash_equal(&chain->set_hashes[next % SB_CHAIN_ROTATIONS],
                       &chain->set_hashes[(next - 1) % SB_CHAIN_ROTATIONS])) {
        SB_TRY(put_set(chain, records, next));
    }
    if (next <= ROTATIONS_STORED) {
        return SB_OK;
    }
    uint8_t key[KEY_BYTES];
    make_key(key, 'r', next - ROTATIONS_STORED);
    return sb_record_list_remove(records, sb_span(key, sizeof key));
}

/* ---- reading ---- */

struct found_set {
    struct sb_arena *arena;
    struct sb_validator_set set;
    bool found;
};

static sb_err take_set(void *ctx, const struct sb_store_record *record, bool *io_more)
{
    struct found_set *found = ctx;
    *io_more = false;
    found->found = true;
    const uint8_t *copy = sb_arena_dup(found->arena, record->value);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err =
        sb_validator_set_decode(&found->set, found->arena, sb_span(copy, record->value.len), NULL);
    return err == SB_OK || err == SB_E_NOMEM ? err : SB_E_CORRUPT;
}

sb_err sb_chain_set_in(struct sb_validator_set *ret_set, struct sb_arena *arena,
                       struct sb_store *store, uint64_t height)
{
    uint8_t key[KEY_BYTES];
    make_key(key, 'v', UINT64_MAX - height);
    struct found_set found = {.arena = arena};
    SB_TRY(
        sb_store_record_scan(store, sb_span(key, 1), sb_span(key, sizeof key), take_set, &found));
    if (!found.found) {
        return SB_E_NOT_FOUND;
    }
    *ret_set = found.set;
    return SB_OK;
}

sb_err sb_chain_stored_set(struct sb_validator_set *ret_set, struct sb_arena *arena,
                           struct sb_chain *chain, uint64_t height)
{
    return sb_chain_set_in(ret_set, arena, chain->store, height);
}

sb_err sb_chain_validators_at(struct sb_validator_set *ret_set, struct sb_arena *arena,
                              struct sb_chain *chain, uint64_t height)
{
    if (height == 0 || height > sb_chain_head_number(chain) + 2) {
        return SB_E_NOT_FOUND;
    }
    return sb_chain_stored_set(ret_set, arena, chain, height);
}

static sb_err load_rotation(struct sb_chain *chain, struct sb_arena *arena, uint64_t height,
                            struct sb_diag *diag)
{
    uint8_t key[KEY_BYTES];
    sb_bytes raw;
    struct sb_validator_set set;
    make_key(key, 'r', height);
    SB_TRY(sb_store_record(&raw, arena, chain->store, sb_span(key, sizeof key)));
    SB_TRY(sb_rotation_decode(slot(chain, height), raw, diag));
    chain->rotation_hashes[height % SB_CHAIN_ROTATIONS] = sb_keccak256(raw);
    SB_TRY(sb_chain_stored_set(&set, arena, chain, height));
    sb_hash stored = sb_validator_set_hash(&set);
    sb_hash *hash = &chain->set_hashes[height % SB_CHAIN_ROTATIONS];
    *hash = sb_validator_set_hash(&slot(chain, height)->set);
    return sb_hash_equal(hash, &stored)
               ? SB_OK
               : sb_fail(diag, SB_E_CORRUPT, "its two records contradict each other");
}

sb_err sb_chain_sets_load(struct sb_chain *chain, uint64_t head, struct sb_diag *diag)
{
    struct sb_arena arena;
    sb_arena_init(&arena, ROTATION_BYTES_MAX * 16);
    sb_err err = SB_OK;
    for (uint64_t height = head < 2 ? 1 : head - 1; err == SB_OK && height <= head + 2; height++) {
        struct sb_diag why = {.text = ""};
        sb_arena_reset(&arena);
        err = load_rotation(chain, &arena, height, &why);
        if (err != SB_OK) {
            bool is_failure = err == SB_E_IO || err == SB_E_NOMEM;
            err = sb_fail(diag, is_failure ? err : SB_E_CORRUPT,
                          "the validator set of height %llu cannot be read: %s",
                          (unsigned long long)height,
                          why.text[0] != '\0' ? why.text : sb_err_text(err));
        }
    }
    sb_arena_fini(&arena);
    return err;
}
