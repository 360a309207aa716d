/* chain_system.c: what a block tells the system contracts, and what they want of the validator set (docs/spec/staking.md).
 *
 *      set of H - 2 -------------------+
 *      its commit, as H - 1 carries it +--> votes ---+
 *      late precommits of H -----------+             |
 *      evidence of H, times of its heights ----------+--> struct sb_system_input --> sb_executor_end --> outcome
 *      rotation of H + 1 --> hash -------------------+                                                     |
 *                                                                          changes of the set of H + 1 <--+
 *
 * Every line of it is told by blocks, so that whoever executes block H gives the contracts the same input. */
#include "base/util/assert.h"
#include "node/chain_impl.h"

/* ---- input ---- */

static sb_err read_set(struct sb_validator_set *ret_set, struct sb_arena *arena,
                       struct sb_chain *chain, uint64_t height)
{
    struct sb_chain_rotation_copy rotation;
    sb_err err = sb_chain_rotation_read(&rotation, arena, chain, height);
    if (err == SB_OK) {
        *ret_set = rotation.set;
    }
    return err == SB_E_NOT_FOUND ? sb_chain_stored_set(ret_set, arena, chain, height) : err;
}

/* make_votes: who of the set of height - 2 was there. */
static sb_err make_votes(struct sb_system_input *input, struct sb_arena *arena,
                         struct sb_chain *chain, const struct sb_chain_facts *facts)
{
    struct sb_consensus_block before;
    struct sb_validator_set set;
    if (facts->height < 3) {
        return SB_OK;
    }
    SB_TRY(sb_chain_load_consensus(&before, arena, chain, facts->height - 1, NULL));
    SB_TRY(read_set(&set, arena, chain, facts->height - 2));
    const struct sb_commit *carried = &before.last_commit;
    struct sb_system_vote *votes = sb_arena_array(arena, set.count, sizeof *votes);
    if (votes == NULL) {
        return SB_E_NOMEM;
    }
    if (carried->sig_count != set.count) {
        return SB_E_CORRUPT;
    }
    for (size_t i = 0; i < set.count; i++) {
        votes[i] = (struct sb_system_vote){.validator = set.validators[i].address,
                                           .power = set.validators[i].power,
                                           .present = carried->sigs[i].flag != SB_COMMIT_ABSENT};
    }
    for (size_t i = 0; i < facts->late_count; i++) {
        SB_ASSERT(facts->late[i].validator_index < set.count);
        votes[facts->late[i].validator_index].present = true;
    }
    input->votes = votes;
    input->vote_count = set.count;
    return SB_OK;
}

static sb_err make_evidence(struct sb_system_input *input, struct sb_arena *arena,
                            struct sb_chain *chain, const struct sb_chain_facts *facts)
{
    struct sb_system_evidence *list = sb_arena_array(arena, facts->evidence_count, sizeof *list);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < facts->evidence_count; i++) {
        const struct sb_evidence *piece = &facts->evidence[i];
        list[i] = (struct sb_system_evidence){.validator = piece->a.validator_address,
                                              .kind = piece->kind,
                                              .height = sb_evidence_height(piece)};
        SB_TRY(sb_chain_time(&list[i].time_ms, chain, list[i].height));
    }
    input->evidence = list;
    input->evidence_count = facts->evidence_count;
    return SB_OK;
}

sb_err sb_chain_system_input(const struct sb_system_input **ret_input, struct sb_arena *arena,
                             struct sb_chain *chain, const struct sb_chain_facts *facts)
{
    struct sb_system_input input = {.time_ms = facts->time_ms, .proposer = facts->proposer};
    if (!chain->has_staking) {
        *ret_input = NULL;
        return SB_OK;
    }
    struct sb_chain_rotation_copy rotation;
    sb_err err = sb_chain_rotation_read(&rotation, arena, chain, facts->height + 1);
    if (err != SB_OK) {
        return err == SB_E_NOT_FOUND ? SB_E_BUSY : err; /* the head has moved */
    }
    input.rotation_hash = rotation.hash;
    SB_TRY(make_votes(&input, arena, chain, facts));
    SB_TRY(make_evidence(&input, arena, chain, facts));
    struct sb_system_input *copy = sb_arena_array(arena, 1, sizeof *copy);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    *copy = input;
    *ret_input = copy;
    return SB_OK;
}

/* ---- outcome ---- */

static int64_t power_of_key(const struct sb_system_outcome *outcome, const struct sb_pubkey *key)
{
    for (size_t i = 0; i < outcome->set_count; i++) {
        if (memcmp(outcome->set[i].key, key->bytes, sizeof outcome->set[i].key) == 0) {
            return outcome->set[i].power;
        }
    }
    return 0;
}

sb_err sb_chain_outcome_changes(void *ctx, struct sb_arena *arena, uint64_t height,
                                const struct sb_block_result *result,
                                const struct sb_validator_change **ret_changes, size_t *ret_count)
{
    struct sb_chain *chain = ctx;
    const struct sb_system_outcome *outcome = &result->system;
    size_t count = 0;
    if (!outcome->has_set) {
        *ret_changes = NULL;
        *ret_count = 0;
        return SB_OK;
    }
    const struct sb_validator_set *set = &sb_chain_rotation(chain, height + 1)->set;
    struct sb_validator_change *changes =
        sb_arena_array(arena, set->count + outcome->set_count, sizeof *changes);
    if (changes == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < set->count; i++) {
        int64_t power = power_of_key(outcome, &set->validators[i].key);
        if (power != set->validators[i].power) {
            changes[count++] =
                (struct sb_validator_change){.key = set->validators[i].key, .power = power};
        }
    }
    for (size_t i = 0; i < outcome->set_count; i++) {
        const struct sb_pubkey key = sb_pubkey_ed25519(outcome->set[i].key);
        const sb_addr address = sb_pubkey_address(&key);
        if (sb_validator_set_find(set, &address) < 0) {
            changes[count++] =
                (struct sb_validator_change){.key = key, .power = outcome->set[i].power};
        }
    }
    *ret_changes = changes;
    *ret_count = count;
    return SB_OK;
}

void sb_chain_note_system(struct sb_chain *chain, uint64_t height,
                          const struct sb_system_outcome *outcome)
{
    static const char *const k_names[SB_SYSTEM_CALL_COUNT] = {
        [SB_SYSTEM_DISTRIBUTION] = "Distribution.endBlock",
        [SB_SYSTEM_SLASHING] = "Slashing.endBlock",
        [SB_SYSTEM_STAKING] = "Staking.endBlock",
    };
    uint64_t gas = 0;
    for (size_t i = 0; outcome->ran && i < SB_SYSTEM_CALL_COUNT; i++) {
        gas += outcome->calls[i].gas_used;
        if (!outcome->calls[i].ok) {
            atomic_fetch_add(&chain->system_failures, 1);
            sb_log(chain->log, SB_LOG_ERROR, "chain",
                   "a system call at the end of a block failed: it changed nothing",
                   SB_LOG_U64("height", height), SB_LOG_STR("call", k_names[i]),
                   SB_LOG_U64("gas", outcome->calls[i].gas_used), SB_LOG_END);
        }
    }
    atomic_store(&chain->system_gas, gas);
}

struct sb_chain_system_counters sb_chain_system_counters(struct sb_chain *chain)
{
    return (struct sb_chain_system_counters){.failures = atomic_load(&chain->system_failures),
                                             .last_gas = atomic_load(&chain->system_gas)};
}
