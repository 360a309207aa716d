/* light.c: the checks of light.h, in the order of light.def. Names and order follow the light client of Tendermint (tendermint-rs,
 * light-client-verifier), with one difference: every signature of a commit is checked, not only as many as are needed, so that one
 * commit has one verdict whatever the order of its entries. */
#include "consensus/light.h"

#include "base/util/assert.h"
#include "base/util/checked.h"

/* A block under judgement. */
struct judge {
    const struct sb_light_codec *codec;
    const struct sb_light_options *options;
    const struct sb_light_trust *trust;
    const struct sb_light_block *block;
    uint64_t now;
};

/* SB_LIGHT_TRY: return the first reason that is not SB_LIGHT_NONE. */
#define SB_LIGHT_TRY(expr)                                                                         \
    do {                                                                                           \
        enum sb_light_reason reason_ = (expr);                                                     \
        if (reason_ != SB_LIGHT_NONE) {                                                            \
            return reason_;                                                                        \
        }                                                                                          \
    } while (0)

sb_err sb_light_options_check(const struct sb_light_options *options, struct sb_diag *diag)
{
    uint64_t numerator = options->trust_numerator;
    uint64_t denominator = options->trust_denominator;
    if (denominator == 0 || numerator > denominator || 3 * numerator < denominator) {
        return sb_fail(diag, SB_E_RANGE, "trust level %u/%u is not within 1/3 and 1",
                       options->trust_numerator, options->trust_denominator);
    }
    if (options->trusting_period == 0) {
        return sb_fail(diag, SB_E_RANGE, "the trusting period is zero");
    }
    return SB_OK;
}

/* ---- form ---- */

/* check_set: a set as its decoder would give it; the hash alone does not say that the total is right. An empty one passes: as the next set
 * it lets nothing follow, as the own set it has no quorum. */
static enum sb_light_reason check_set(const struct sb_validator_set *set)
{
    if (set->count > SB_VALIDATORS_MAX) {
        return SB_LIGHT_SET;
    }
    int64_t total = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct sb_validator *v = &set->validators[i];
        if (v->power <= 0 || v->power > SB_TOTAL_POWER_MAX - total ||
            sb_validator_set_find(set, &v->address) != (int)i) {
            return SB_LIGHT_SET;
        }
        total += v->power;
    }
    return total == set->total_power ? SB_LIGHT_NONE : SB_LIGHT_SET;
}

static enum sb_light_reason check_sets(const struct judge *j)
{
    const struct sb_light_block *block = j->block;
    SB_LIGHT_TRY(check_set(&block->validators));
    SB_LIGHT_TRY(check_set(&block->next_validators));
    sb_hash hash = j->codec->valset_hash(j->codec->ctx, &block->validators);
    if (!sb_hash_equal(&hash, &block->validators_hash)) {
        return SB_LIGHT_VALIDATORS_HASH;
    }
    hash = j->codec->valset_hash(j->codec->ctx, &block->next_validators);
    return sb_hash_equal(&hash, &block->next_validators_hash) ? SB_LIGHT_NONE
                                                              : SB_LIGHT_NEXT_VALIDATORS_HASH;
}

/* check_entries: one entry a validator, each signer of the set and named once, and at least one for the block. */
static enum sb_light_reason check_entries(const struct sb_light_block *block)
{
    if (block->sig_count != block->validators.count) {
        return SB_LIGHT_SIG_COUNT;
    }
    bool seen[SB_VALIDATORS_MAX] = {false};
    bool has_signature = false;
    for (size_t i = 0; i < block->sig_count; i++) {
        const struct sb_light_sig *sig = &block->sigs[i];
        if ((sig->flag == SB_COMMIT_ABSENT) != (sig->signature.len == 0)) {
            return SB_LIGHT_SIG_FORM;
        }
        if (sig->flag == SB_COMMIT_ABSENT) {
            continue;
        }
        int at = sb_validator_set_find(&block->validators, &sig->signer);
        if (at < 0 || seen[at]) {
            return SB_LIGHT_SIGNER;
        }
        seen[at] = true;
        has_signature = has_signature || sig->flag == SB_COMMIT_BLOCK;
    }
    return has_signature ? SB_LIGHT_NONE : SB_LIGHT_NO_SIG;
}

static enum sb_light_reason check_commit(const struct judge *j)
{
    const struct sb_light_block *block = j->block;
    sb_hash hash = j->codec->header_hash(j->codec->ctx, block);
    if (!sb_hash_equal(&hash, &block->commit_hash) || block->commit_height != block->height) {
        return SB_LIGHT_COMMIT_BLOCK;
    }
    return check_entries(block);
}

/* ---- time ---- */

static enum sb_light_reason check_trusting_period(const struct judge *j)
{
    uint64_t end = sat_add_u64(j->trust->time, j->options->trusting_period);
    return end <= j->now ? SB_LIGHT_EXPIRED : SB_LIGHT_NONE;
}

static enum sb_light_reason check_clock(const struct judge *j)
{
    uint64_t limit = sat_add_u64(j->now, j->options->clock_drift);
    return j->block->time >= limit ? SB_LIGHT_FUTURE : SB_LIGHT_NONE;
}

static enum sb_light_reason check_order(const struct judge *j)
{
    if (j->block->time <= j->trust->time) {
        return SB_LIGHT_TIME;
    }
    return j->block->height <= j->trust->height ? SB_LIGHT_HEIGHT : SB_LIGHT_NONE;
}

/* ---- signatures and power ---- */

static enum sb_light_reason check_signatures(const struct judge *j)
{
    const struct sb_light_block *block = j->block;
    for (size_t i = 0; i < block->sig_count; i++) {
        const struct sb_light_sig *sig = &block->sigs[i];
        if (sig->flag == SB_COMMIT_ABSENT) {
            continue;
        }
        int at = sb_validator_set_find(&block->validators, &sig->signer);
        uint8_t message[SB_LIGHT_SIGN_BYTES_MAX];
        size_t len = j->codec->sign_bytes(j->codec->ctx, message, block, i);
        if (!j->codec->verify_sig(j->codec->ctx, &block->validators.validators[at].key,
                                  sb_span(message, len), sig->signature)) {
            return SB_LIGHT_SIGNATURE;
        }
    }
    return SB_LIGHT_NONE;
}

/* power_for_block: what the signers for the block hold in `set`. A validator counts there only with the key under which its signature was
 * checked. */
static int64_t power_for_block(const struct sb_light_block *block,
                               const struct sb_validator_set *set)
{
    int64_t power = 0;
    for (size_t i = 0; i < block->sig_count; i++) {
        const struct sb_light_sig *sig = &block->sigs[i];
        if (sig->flag != SB_COMMIT_BLOCK) {
            continue;
        }
        int own = sb_validator_set_find(&block->validators, &sig->signer);
        int at = sb_validator_set_find(set, &sig->signer);
        if (at >= 0 &&
            sb_pubkey_equal(&set->validators[at].key, &block->validators.validators[own].key)) {
            power += set->validators[at].power;
        }
    }
    return power;
}

static bool is_above(int64_t power, int64_t total, uint32_t numerator, uint32_t denominator)
{
    return (sb_i128)power * denominator > (sb_i128)total * numerator;
}

/* check_trust: that the trusted block vouches for this one. */
static enum sb_light_reason check_trust(const struct judge *j)
{
    const struct sb_light_options *o = j->options;
    const struct sb_validator_set *set = &j->trust->next_validators;
    bool is_adjacent = j->block->height - j->trust->height == 1;
    if (is_adjacent &&
        !sb_hash_equal(&j->block->validators_hash, &j->trust->next_validators_hash)) {
        return SB_LIGHT_CHAIN;
    }
    SB_LIGHT_TRY(check_signatures(j));
    if (!is_adjacent && !is_above(power_for_block(j->block, set), set->total_power,
                                  o->trust_numerator, o->trust_denominator)) {
        return SB_LIGHT_TRUST;
    }
    const struct sb_validator_set *own = &j->block->validators;
    return sb_power_is_quorum(power_for_block(j->block, own), own->total_power) ? SB_LIGHT_NONE
                                                                                : SB_LIGHT_POWER;
}

/* ---- verdicts ---- */

static enum sb_light_reason judge_forward(const struct judge *j)
{
    SB_LIGHT_TRY(check_trusting_period(j));
    SB_LIGHT_TRY(check_clock(j));
    SB_LIGHT_TRY(check_sets(j));
    SB_LIGHT_TRY(check_commit(j));
    SB_LIGHT_TRY(check_order(j));
    return check_trust(j);
}

static enum sb_light_reason judge_backwards(const struct judge *j)
{
    SB_LIGHT_TRY(check_trusting_period(j));
    if (j->block->time >= j->trust->time) {
        return SB_LIGHT_TIME;
    }
    if (j->trust->height == 0 || j->block->height != j->trust->height - 1) {
        return SB_LIGHT_HEIGHT;
    }
    sb_hash hash = j->codec->header_hash(j->codec->ctx, j->block);
    return sb_hash_equal(&hash, &j->trust->last_hash) ? SB_LIGHT_NONE : SB_LIGHT_LINK;
}

static struct sb_light_result result_of(enum sb_light_reason reason)
{
    return (struct sb_light_result){
        .verdict = reason == SB_LIGHT_NONE    ? SB_LIGHT_SUCCESS
                   : reason == SB_LIGHT_TRUST ? SB_LIGHT_NOT_ENOUGH_TRUST
                                              : SB_LIGHT_INVALID,
        .reason = reason,
    };
}

struct sb_light_result sb_light_verify(const struct sb_light_codec *codec,
                                       const struct sb_light_options *options,
                                       const struct sb_light_trust *trust,
                                       const struct sb_light_block *block, uint64_t now)
{
    SB_ASSERT(sb_light_options_check(options, NULL) == SB_OK);
    return result_of(judge_forward(&(struct judge){codec, options, trust, block, now}));
}

struct sb_light_result sb_light_verify_backwards(const struct sb_light_codec *codec,
                                                 const struct sb_light_options *options,
                                                 const struct sb_light_trust *trust,
                                                 const struct sb_light_block *block, uint64_t now)
{
    SB_ASSERT(sb_light_options_check(options, NULL) == SB_OK);
    return result_of(judge_backwards(&(struct judge){codec, options, trust, block, now}));
}

struct sb_light_trust sb_light_trust_of(const struct sb_light_block *block)
{
    return (struct sb_light_trust){
        .height = block->height,
        .time = block->time,
        .last_hash = block->last_hash,
        .next_validators_hash = block->next_validators_hash,
        .next_validators = block->next_validators,
    };
}

const char *sb_light_reason_text(enum sb_light_reason reason)
{
    static const char *const texts[] = {
#define SB_LIGHT_REASON(name, text) [SB_LIGHT_##name] = (text),
#include "consensus/light.def"
#undef SB_LIGHT_REASON
    };
    return (unsigned)reason < SB_LIGHT_REASON_COUNT ? texts[reason] : "unknown reason";
}

/* ---- this chain ---- */

static sb_hash chain_header_hash(const void *ctx, const struct sb_light_block *block)
{
    (void)ctx;
    const struct sb_light_source *source = block->detail;
    return sb_consensus_block_id(source->header);
}

static sb_hash chain_valset_hash(const void *ctx, const struct sb_validator_set *set)
{
    (void)ctx;
    return sb_validator_set_hash(set);
}

SB_STATIC_ASSERT(SB_SIGN_BYTES_MAX <= SB_LIGHT_SIGN_BYTES_MAX, "sign bytes");

static size_t chain_sign_bytes(const void *ctx, uint8_t ret[SB_LIGHT_SIGN_BYTES_MAX],
                               const struct sb_light_block *block, size_t index)
{
    const struct sb_light_chain *chain = ctx;
    const struct sb_light_source *source = block->detail;
    struct sb_vote vote = sb_commit_vote(source->commit, &block->validators, index);
    return sb_vote_sign_bytes(ret, &chain->domain, &vote);
}

static bool chain_verify_sig(const void *ctx, const struct sb_pubkey *key, sb_bytes message,
                             sb_bytes signature)
{
    const struct sb_light_chain *chain = ctx;
    return chain->verifier.verify(chain->verifier.ctx, key, message, signature);
}

struct sb_light_codec sb_light_codec_chain(const struct sb_light_chain *chain)
{
    return (struct sb_light_codec){
        .ctx = chain,
        .header_hash = chain_header_hash,
        .valset_hash = chain_valset_hash,
        .sign_bytes = chain_sign_bytes,
        .verify_sig = chain_verify_sig,
    };
}

sb_err sb_light_block_make(struct sb_light_block *ret_block, struct sb_light_sig *ret_sigs,
                           const struct sb_light_chain *chain, const struct sb_light_source *source,
                           const struct sb_validator_set *validators,
                           const struct sb_validator_set *next_validators, struct sb_diag *diag)
{
    const struct sb_consensus_header *header = source->header;
    const struct sb_commit *commit = source->commit;
    if (header->version < SB_CONSENSUS_VERSION_FIRST || header->version > SB_CONSENSUS_VERSION) {
        return sb_fail(diag, SB_E_VERSION, "header version %llu is not known",
                       (unsigned long long)header->version);
    }
    if (header->chain_id != chain->domain.chain_id) {
        return sb_fail(diag, SB_E_ARG, "the header is of chain %llu, not of %llu",
                       (unsigned long long)header->chain_id,
                       (unsigned long long)chain->domain.chain_id);
    }
    if (commit->sig_count != validators->count || commit->sig_count > SB_VALIDATORS_MAX) {
        return sb_fail(diag, SB_E_SHAPE, "the commit has %zu entries for %zu validators",
                       commit->sig_count, validators->count);
    }
    for (size_t i = 0; i < commit->sig_count; i++) {
        const struct sb_commit_sig *sig = &commit->sigs[i];
        ret_sigs[i] = (struct sb_light_sig){
            .flag = sig->flag,
            .signer = validators->validators[i].address,
            .signature = sb_span(sig->signature.bytes, sig->signature.len),
        };
    }
    *ret_block = (struct sb_light_block){
        .height = header->height,
        .time = header->time_ms,
        .last_hash = header->last_block_id,
        .validators_hash = header->validators_hash,
        .next_validators_hash = header->next_validators_hash,
        .validators = *validators,
        .next_validators = *next_validators,
        .commit_height = commit->height,
        .commit_hash = commit->block_id,
        .sigs = ret_sigs,
        .sig_count = commit->sig_count,
        .detail = source,
    };
    return SB_OK;
}
