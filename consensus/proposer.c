/* proposer.c: priorities of proposers and changes of the validator set; see proposer.h and docs/spec/validators.md.
 *
 * Why nothing overflows. Let M = SB_TOTAL_POWER_MAX, so 8M <= INT64_MAX, and P <= M.
 *   - rescaling leaves max - min <= 2P and centring a sum in [0, n), so |priority| <= 2P; an election adds a power (<= P) to all and takes
 *     P from one that is not below the average: |priority| <= 3M, at every height.
 *   - a new validator begins at -(T + T/8), T < 2M, hence above -2.25M; so max - min <= 5.25M before the rescaling of an update, and
 *     the ceiling division's numerator is at most 6M + 2P - 1 < 8M.
 * Elections of many rounds at once saturate, as CometBFT's do. */
#include "consensus/proposer.h"

#include <inttypes.h>
#include <string.h>

#include "base/codec/rlp.h"
#include "base/types/field.h"
#include "base/util/assert.h"
#include "base/util/checked.h"

#define WINDOW       2
#define PRIORITY_MAX (3 * SB_TOTAL_POWER_MAX)
/* Each validator of the set removed and as many new ones. */
#define CHANGES_MAX (2 * SB_VALIDATORS_MAX)
/* A decoded set, with room for the arena's own needs. */
#define SET_ARENA_BYTES (SB_VALIDATORS_MAX * sizeof(struct sb_validator) + 4096)

/* ---- elections ---- */

/* rescale: bring max - min down to WINDOW * P: divide by the ceiling of the ratio, quotients truncated toward zero. */
static void rescale(int64_t *priority, const struct sb_validator_set *set)
{
    sb_i128 max = priority[0];
    sb_i128 min = priority[0];
    for (size_t i = 1; i < set->count; i++) {
        max = priority[i] > max ? priority[i] : max;
        min = priority[i] < min ? priority[i] : min;
    }
    sb_i128 window = (sb_i128)WINDOW * set->total_power;
    if (max - min <= window) {
        return;
    }
    sb_i128 ratio = (max - min + window - 1) / window;
    for (size_t i = 0; i < set->count; i++) {
        priority[i] = (int64_t)(priority[i] / ratio);
    }
}

/* centre: shift all by the floor of their average. */
static void centre(int64_t *priority, size_t count)
{
    sb_i128 sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += priority[i];
    }
    sb_i128 n = (sb_i128)count;
    sb_i128 average = sum / n - (sum % n < 0 ? 1 : 0);
    for (size_t i = 0; i < count; i++) {
        priority[i] = sat_sub_i64(priority[i], (int64_t)average);
    }
}

/* highest: index of the greatest priority; ties go to the smaller address. */
static uint32_t highest(const int64_t *priority, const struct sb_validator_set *set)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < set->count; i++) {
        if (priority[i] > priority[best] ||
            (priority[i] == priority[best] &&
             memcmp(set->validators[i].address.b, set->validators[best].address.b,
                    sizeof set->validators[i].address.b) < 0)) {
            best = i;
        }
    }
    return best;
}

static uint32_t elect(int64_t *priority, const struct sb_validator_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        priority[i] = sat_add_i64(priority[i], set->validators[i].power);
    }
    uint32_t chosen = highest(priority, set);
    priority[chosen] = sat_sub_i64(priority[chosen], set->total_power);
    return chosen;
}

/* advance: k elections on bare priorities; the last one's proposer. */
static uint32_t advance(int64_t *priority, const struct sb_validator_set *set, uint32_t k)
{
    SB_ASSERT(k >= 1 && set->count >= 1 && set->count <= SB_VALIDATORS_MAX);
    rescale(priority, set);
    centre(priority, set->count);
    uint32_t proposer = 0;
    for (uint32_t i = 0; i < k; i++) {
        proposer = elect(priority, set);
    }
    return proposer;
}

void sb_rotation_init(struct sb_rotation *ret_rotation, const struct sb_validator_set *set)
{
    SB_ASSERT(set->count >= 1 && set->count <= SB_VALIDATORS_MAX);
    memset(ret_rotation, 0, sizeof *ret_rotation);
    memcpy(ret_rotation->validators, set->validators, set->count * sizeof *set->validators);
    ret_rotation->set = *set;
    ret_rotation->set.validators = ret_rotation->validators;
    /* all new: equal priorities, which centre to zero */
    sb_rotation_advance(ret_rotation, 1);
}

void sb_rotation_copy(struct sb_rotation *ret_rotation, const struct sb_rotation *rotation)
{
    *ret_rotation = *rotation;
    ret_rotation->set.validators = ret_rotation->validators;
}

void sb_rotation_advance(struct sb_rotation *rotation, uint32_t k)
{
    rotation->proposer = advance(rotation->priority, &rotation->set, k);
}

uint32_t sb_rotation_proposer(const struct sb_rotation *rotation, int32_t round)
{
    SB_ASSERT(round >= 0);
    if (round == 0) {
        return rotation->proposer;
    }
    int64_t priority[SB_VALIDATORS_MAX];
    memcpy(priority, rotation->priority, sizeof priority);
    return advance(priority, &rotation->set, (uint32_t)round);
}

/* ---- changes ---- */

/* Changes that were checked, and what they come to. */
struct plan {
    sb_addr addresses[CHANGES_MAX]; /* of the changes */
    int64_t total;                  /* of the set after all of them */
    int64_t total_before_removals;
};

static sb_err check_change(const struct sb_validator_change *change, size_t index,
                           struct sb_diag *diag)
{
    /* what sb_validator_set_make asks of a key, before its bytes are hashed */
    if (change->key.type != SB_KEY_ED25519 || change->key.len != 32) {
        return sb_fail(diag, SB_E_TYPE,
                       "change %zu: key type %u with %u bytes is not known, use ed25519 with 32",
                       index, (unsigned)change->key.type, (unsigned)change->key.len);
    }
    if (change->power < 0 || change->power > SB_TOTAL_POWER_MAX) {
        return sb_fail(diag, SB_E_RANGE, "change %zu: power %" PRId64 " is not in 0 to %" PRId64,
                       index, change->power, (int64_t)SB_TOTAL_POWER_MAX);
    }
    return SB_OK;
}

static sb_err check_addresses(struct plan *plan, const struct sb_validator_change *changes,
                              size_t count, struct sb_diag *diag)
{
    if (count > CHANGES_MAX) {
        return sb_fail(diag, SB_E_SHAPE, "%zu changes of the validators, at most %d can be meant",
                       count, CHANGES_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        SB_TRY(check_change(&changes[i], i, diag));
        plan->addresses[i] = sb_pubkey_address(&changes[i].key);
        for (size_t j = 0; j < i; j++) {
            if (sb_addr_equal(&plan->addresses[i], &plan->addresses[j])) {
                return sb_fail(diag, SB_E_EXISTS, "changes %zu and %zu name the same key", j, i);
            }
        }
    }
    return SB_OK;
}

/* make_plan: check everything that can be wrong, so that applying cannot fail. CometBFT adds the deltas in ascending order and refuses
 * when a partial sum is over the maximum: that is so exactly when the last one is. */
static sb_err make_plan(struct plan *plan, const struct sb_rotation *rotation,
                        const struct sb_validator_change *changes, size_t count,
                        struct sb_diag *diag)
{
    SB_TRY(check_addresses(plan, changes, count, diag));
    sb_i128 total = rotation->set.total_power;
    sb_i128 removed = 0;
    size_t count_after = rotation->set.count;
    for (size_t i = 0; i < count; i++) {
        int at = sb_validator_set_find(&rotation->set, &plan->addresses[i]);
        int64_t power = at >= 0 ? rotation->validators[at].power : 0;
        if (changes[i].power == 0 && at < 0) {
            return sb_fail(diag, SB_E_NOT_FOUND,
                           "change %zu removes a validator that is not in the set", i);
        }
        total += changes[i].power - power;
        if (changes[i].power == 0) {
            removed += power;
            count_after--;
        } else if (at < 0) {
            count_after++;
        }
    }
    if (count_after == 0 || count_after > SB_VALIDATORS_MAX) {
        return sb_fail(diag, SB_E_SHAPE, "%zu validators would be left, a set has 1 to %d",
                       count_after, SB_VALIDATORS_MAX);
    }
    if (total > SB_TOTAL_POWER_MAX) {
        return sb_fail(diag, SB_E_RANGE, "the validators' total power would be over %" PRId64,
                       (int64_t)SB_TOTAL_POWER_MAX);
    }
    plan->total = (int64_t)total;
    plan->total_before_removals = (int64_t)(total + removed);
    return SB_OK;
}

/* Applying: removals go first, so that the array never holds more than the result; the priorities do not depend on the order. */

static void remove_validator(struct sb_rotation *rotation, size_t index)
{
    size_t behind = rotation->set.count - index - 1;
    memmove(&rotation->validators[index], &rotation->validators[index + 1],
            behind * sizeof rotation->validators[0]);
    memmove(&rotation->priority[index], &rotation->priority[index + 1],
            behind * sizeof rotation->priority[0]);
    rotation->set.count--;
}

static void add_validator(struct sb_rotation *rotation, const struct sb_validator_change *change,
                          const sb_addr *address, int64_t priority)
{
    size_t index = rotation->set.count++;
    rotation->validators[index] = (struct sb_validator){
        .key = change->key,
        .power = change->power,
        .address = *address,
    };
    rotation->priority[index] = priority;
}

static void apply(struct sb_rotation *rotation, const struct plan *plan,
                  const struct sb_validator_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (changes[i].power == 0) {
            remove_validator(rotation,
                             (size_t)sb_validator_set_find(&rotation->set, &plan->addresses[i]));
        }
    }
    int64_t newcomer = -(plan->total_before_removals + plan->total_before_removals / 8);
    for (size_t i = 0; i < count; i++) {
        int at = sb_validator_set_find(&rotation->set, &plan->addresses[i]);
        if (changes[i].power > 0 && at >= 0) {
            rotation->validators[at].power = changes[i].power;
        } else if (changes[i].power > 0) {
            add_validator(rotation, &changes[i], &plan->addresses[i], newcomer);
        }
    }
    rotation->set.total_power = plan->total;
}

/* precedes: the order of a set: power descending, then address ascending. */
static bool precedes(const struct sb_validator *a, const struct sb_validator *b)
{
    return a->power != b->power ? a->power > b->power
                                : memcmp(a->address.b, b->address.b, sizeof a->address.b) < 0;
}

/* sort: insertion, since two arrays move together and most of the set stands in order already. */
static void sort(struct sb_rotation *rotation)
{
    for (size_t i = 1; i < rotation->set.count; i++) {
        struct sb_validator validator = rotation->validators[i];
        int64_t priority = rotation->priority[i];
        size_t j = i;
        for (; j > 0 && precedes(&validator, &rotation->validators[j - 1]); j--) {
            rotation->validators[j] = rotation->validators[j - 1];
            rotation->priority[j] = rotation->priority[j - 1];
        }
        rotation->validators[j] = validator;
        rotation->priority[j] = priority;
    }
}

sb_err sb_rotation_update(struct sb_rotation *rotation, const struct sb_validator_change *changes,
                          size_t count, struct sb_diag *diag)
{
    if (count == 0) {
        return SB_OK;
    }
    struct plan plan;
    SB_TRY(make_plan(&plan, rotation, changes, count, diag));
    sb_addr proposer = rotation->validators[rotation->proposer].address;
    apply(rotation, &plan, changes, count);
    rescale(rotation->priority, &rotation->set);
    centre(rotation->priority, rotation->set.count);
    sort(rotation);
    int at = sb_validator_set_find(&rotation->set, &proposer);
    rotation->proposer = at >= 0 ? (uint32_t)at : highest(rotation->priority, &rotation->set);
    return SB_OK;
}

/* ---- stored form ---- */

/* Zig-zag: 0, -1, 1, -2, ... become 0, 1, 2, 3, ... */
static uint64_t zigzag(int64_t value)
{
    return value >= 0 ? (uint64_t)value << 1 : ((uint64_t)~value << 1) + 1;
}

static int64_t unzigzag(uint64_t value)
{
    int64_t half = (int64_t)(value >> 1);
    return (value & 1) != 0 ? ~half : half;
}

void sb_rotation_encode(struct sb_buf *out, const struct sb_rotation *rotation)
{
    size_t list = sb_rlp_list_begin(out);
    sb_validator_set_encode(out, &rotation->set);
    size_t priorities = sb_rlp_list_begin(out);
    for (size_t i = 0; i < rotation->set.count; i++) {
        sb_rlp_put_u64(out, zigzag(rotation->priority[i]));
    }
    sb_rlp_list_end(out, priorities);
    sb_rlp_put_u64(out, rotation->proposer);
    sb_rlp_list_end(out, list);
}

static sb_err read_priorities(int64_t ret[SB_VALIDATORS_MAX], struct sb_rlp *in, size_t count,
                              struct sb_diag *diag)
{
    struct sb_rlp items;
    SB_FIELD("rotation", "priorities", sb_rlp_read_list(&items, in));
    sb_i128 sum = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t raw;
        SB_FIELD("rotation", "priority", sb_rlp_read_u64(&raw, &items));
        ret[i] = unzigzag(raw);
        if (ret[i] > PRIORITY_MAX || ret[i] < -PRIORITY_MAX) {
            return sb_fail(diag, SB_E_RANGE, "rotation: priority %" PRId64 " is out of range",
                           ret[i]);
        }
        sum += ret[i];
    }
    SB_FIELD("rotation", "priorities", sb_rlp_end(&items));
    if (sum < 0 || sum >= (sb_i128)count) {
        return sb_fail(diag, SB_E_RANGE, "rotation: the priorities are not centred");
    }
    return SB_OK;
}

static sb_err decode(struct sb_rotation *ret_rotation, struct sb_arena *arena, sb_bytes raw,
                     struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_rlp fields;
    struct sb_rlp_item item;
    struct sb_validator_set set;
    int64_t priority[SB_VALIDATORS_MAX] = {0};
    uint64_t proposer;
    SB_FIELD("rotation", "list", sb_rlp_read_list(&fields, &in));
    SB_FIELD("rotation", "end", sb_rlp_end(&in));
    SB_FIELD("rotation", "set", sb_rlp_read_item(&item, &fields));
    SB_TRY(sb_validator_set_decode(&set, arena, item.raw, diag));
    SB_TRY(read_priorities(priority, &fields, set.count, diag));
    SB_FIELD("rotation", "proposer", sb_rlp_read_u64(&proposer, &fields));
    SB_FIELD("rotation", "end", sb_rlp_end(&fields));
    if (proposer >= set.count) {
        return sb_fail(diag, SB_E_RANGE,
                       "rotation: proposer %" PRIu64 " is not one of %zu validators", proposer,
                       set.count);
    }
    memset(ret_rotation, 0, sizeof *ret_rotation);
    memcpy(ret_rotation->validators, set.validators, set.count * sizeof *set.validators);
    memcpy(ret_rotation->priority, priority, sizeof priority);
    ret_rotation->set = set;
    ret_rotation->set.validators = ret_rotation->validators;
    ret_rotation->proposer = (uint32_t)proposer;
    return SB_OK;
}

sb_err sb_rotation_decode(struct sb_rotation *ret_rotation, sb_bytes raw, struct sb_diag *diag)
{
    struct sb_arena arena;
    sb_arena_init(&arena, SET_ARENA_BYTES);
    sb_err err = decode(ret_rotation, &arena, raw, diag);
    sb_arena_fini(&arena);
    return err;
}
