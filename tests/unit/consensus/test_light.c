/* test_light.c: light-client verification of this chain's own headers: every reason, the edges of times and fractions, and one change of a
 * block at a time. Vectors in another encoding: tests/light/lighttest.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/crypto/ed25519.h"
#include "consensus/light.h"

#define KEYS   12
#define PERIOD 100000
#define NOW    60000

/* ---- a chain of headers ---- */

static uint8_t g_secrets[KEYS][SB_ED25519_SECRET_BYTES];
static struct sb_pubkey g_keys[KEYS];
static struct sb_light_chain g_chain;

static int make_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEYS; i++) {
        uint8_t seed[32] = {(uint8_t)(i + 1)};
        uint8_t key[32];
        sb_ed25519_keypair(key, g_secrets[i], seed);
        g_keys[i] = sb_pubkey_ed25519(key);
    }
    g_chain.domain = (struct sb_chain_domain){.chain_id = 23296, .genesis_hash = {{7}}};
    g_chain.verifier = sb_verifier_ed25519();
    return 0;
}

struct set {
    struct sb_validator validators[KEYS];
    struct sb_validator_set set;
};

/* make_set: keys first to last, each of its power. */
static void make_set(struct set *ret, size_t first, size_t last, int64_t power)
{
    size_t count = last - first + 1;
    for (size_t i = 0; i < count; i++) {
        ret->validators[i] = (struct sb_validator){.key = g_keys[first + i], .power = power};
    }
    assert_int_equal(sb_validator_set_make(&ret->set, ret->validators, count, NULL), SB_OK);
}

/* One block with all that belongs to it. Change what you like, then sign or not, then view. */
struct block {
    struct set own, next;
    struct sb_consensus_header header;
    struct sb_commit commit;
    struct sb_commit_sig commit_sigs[KEYS];
    struct sb_light_source source;
    struct sb_light_sig sigs[KEYS];
    struct sb_light_block light;
};

static void sign_entry(struct block *b, size_t index, enum sb_commit_flag flag)
{
    uint8_t message[SB_SIGN_BYTES_MAX];
    struct sb_commit_sig *sig = &b->commit_sigs[index];
    sig->flag = flag;
    sig->signature.len = 0;
    if (flag == SB_COMMIT_ABSENT) {
        return;
    }
    struct sb_vote vote = sb_commit_vote(&b->commit, &b->own.set, index);
    size_t len = sb_vote_sign_bytes(message, &g_chain.domain, &vote);
    for (size_t i = 0; i < KEYS; i++) {
        if (sb_pubkey_equal(&g_keys[i], &b->own.validators[index].key)) {
            sig->signature.len = SB_ED25519_SIGNATURE_BYTES;
            sb_ed25519_sign(sig->signature.bytes, g_secrets[i], sb_span(message, len));
        }
    }
}

/* seal: the commit names the header as it is now; the first `signers` validators sign, the others are absent. */
static void seal(struct block *b, size_t signers)
{
    b->header.validators_hash = sb_validator_set_hash(&b->own.set);
    b->header.next_validators_hash = sb_validator_set_hash(&b->next.set);
    b->commit = (struct sb_commit){.height = b->header.height,
                                   .round = 2,
                                   .block_id = sb_consensus_block_id(&b->header),
                                   .sigs = b->commit_sigs,
                                   .sig_count = b->own.set.count};
    for (size_t i = 0; i < b->own.set.count; i++) {
        sign_entry(b, i, i < signers ? SB_COMMIT_BLOCK : SB_COMMIT_ABSENT);
    }
}

static const struct sb_light_block *view(struct block *b)
{
    b->source = (struct sb_light_source){&b->header, &b->commit};
    assert_int_equal(sb_light_block_make(&b->light, b->sigs, &g_chain, &b->source, &b->own.set,
                                         &b->next.set, NULL),
                     SB_OK);
    return &b->light;
}

/* make_block: height and time 1000 * height, own set of keys a to b, next set of keys c to d, all of power 10, all signing. */
static void make_block(struct block *ret, uint64_t height, size_t a, size_t b, size_t c, size_t d)
{
    memset(ret, 0, sizeof *ret);
    make_set(&ret->own, a, b, 10);
    make_set(&ret->next, c, d, 10);
    ret->header = (struct sb_consensus_header){
        .version = SB_CONSENSUS_VERSION,
        .chain_id = g_chain.domain.chain_id,
        .height = height,
        .time_ms = 1000 * height,
        .last_block_id = {{1, (uint8_t)height}},
        .payload_hash = {{2}},
    };
    seal(ret, ret->own.set.count);
}

static const struct sb_light_options k_options = {
    .trusting_period = PERIOD, .clock_drift = 500, .trust_numerator = 1, .trust_denominator = 3};

static struct block g_trusted; /* height 10, keys 0 to 3, next set the same */
static struct block g_block;

static int reset(void **state)
{
    (void)state;
    make_block(&g_trusted, 10, 0, 3, 0, 3);
    return 0;
}

static enum sb_light_reason reason_at(struct block *b, uint64_t now,
                                      const struct sb_light_options *options)
{
    struct sb_light_codec codec = sb_light_codec_chain(&g_chain);
    struct sb_light_trust trust = sb_light_trust_of(view(&g_trusted));
    struct sb_light_result result = sb_light_verify(&codec, options, &trust, view(b), now);
    assert_int_equal(result.verdict, result.reason == SB_LIGHT_NONE    ? SB_LIGHT_SUCCESS
                                     : result.reason == SB_LIGHT_TRUST ? SB_LIGHT_NOT_ENOUGH_TRUST
                                                                       : SB_LIGHT_INVALID);
    return result.reason;
}

static enum sb_light_reason reason_of(struct block *b)
{
    return reason_at(b, NOW, &k_options);
}

/* ---- forward ---- */

static void adjacent_block_of_the_announced_set_is_accepted(void **state)
{
    (void)state;
    make_block(&g_block, 11, 0, 3, 4, 7);
    assert_int_equal(reason_of(&g_block), SB_LIGHT_NONE);
    /* three of four are more than two thirds */
    seal(&g_block, 3);
    assert_int_equal(reason_of(&g_block), SB_LIGHT_NONE);
    struct sb_diag diag;
    assert_int_equal(sb_commit_verify(&g_block.commit, 11, &g_block.commit.block_id,
                                      &g_block.own.set, &g_chain.domain, &g_chain.verifier, &diag),
                     SB_OK);
}

static void adjacent_block_needs_more_than_two_thirds(void **state)
{
    (void)state;
    make_block(&g_trusted, 10, 0, 2, 0, 2);
    make_block(&g_block, 11, 0, 2, 0, 2);
    seal(&g_block, 2); /* exactly two thirds */
    assert_int_equal(reason_of(&g_block), SB_LIGHT_POWER);
    sign_entry(&g_block, 2, SB_COMMIT_NIL); /* a nil vote adds nothing */
    assert_int_equal(reason_of(&g_block), SB_LIGHT_POWER);
    sign_entry(&g_block, 2, SB_COMMIT_BLOCK);
    assert_int_equal(reason_of(&g_block), SB_LIGHT_NONE);
}

static void adjacent_block_of_another_set_is_refused(void **state)
{
    (void)state;
    make_block(&g_block, 11, 0, 4, 0, 4);
    assert_int_equal(reason_of(&g_block), SB_LIGHT_CHAIN);
}

static void skipping_needs_more_than_the_trust_level(void **state)
{
    (void)state;
    make_block(&g_trusted, 10, 0, 2, 0, 2);
    /* one of the three trusted ones signs: exactly a third */
    make_block(&g_block, 20, 2, 7, 2, 7);
    assert_int_equal(reason_of(&g_block), SB_LIGHT_TRUST);
    make_block(&g_block, 20, 1, 7, 1, 7);
    assert_int_equal(reason_of(&g_block), SB_LIGHT_NONE);

    struct sb_light_options options = k_options;
    options.trust_numerator = 2; /* two of three are exactly 2/3 */
    assert_int_equal(reason_at(&g_block, NOW, &options), SB_LIGHT_TRUST);
    make_block(&g_block, 20, 0, 7, 0, 7);
    assert_int_equal(reason_at(&g_block, NOW, &options), SB_LIGHT_NONE);
    options = (struct sb_light_options){PERIOD, 0, 1, 1}; /* more than all is never reached */
    assert_int_equal(reason_at(&g_block, NOW, &options), SB_LIGHT_TRUST);
}

static void skipping_counts_signers_for_the_block_only(void **state)
{
    (void)state;
    make_block(&g_block, 20, 0, 8, 0, 8);
    for (size_t i = 0; i < 9; i++) { /* of the trusted four, two for nil and one absent */
        const struct sb_pubkey *key = &g_block.own.validators[i].key;
        bool nil = sb_pubkey_equal(key, &g_keys[0]) || sb_pubkey_equal(key, &g_keys[1]);
        sign_entry(&g_block, i,
                   nil                                ? SB_COMMIT_NIL
                   : sb_pubkey_equal(key, &g_keys[2]) ? SB_COMMIT_ABSENT
                                                      : SB_COMMIT_BLOCK);
    }
    assert_int_equal(reason_of(&g_block), SB_LIGHT_TRUST);
}

static void skipping_needs_two_thirds_of_the_own_set_as_well(void **state)
{
    (void)state;
    make_block(&g_block, 20, 0, 5, 0, 5);
    seal(&g_block, 4); /* at least two of the trusted four are among any four of six */
    assert_int_equal(reason_of(&g_block), SB_LIGHT_POWER);
}

static void skipping_with_the_trusted_address_and_another_key_gains_nothing(void **state)
{
    (void)state;
    make_block(&g_block, 20, 0, 3, 0, 3);
    assert_int_equal(reason_of(&g_block), SB_LIGHT_NONE);
    for (size_t i = 0; i < 3; i++) { /* the same addresses in the trusted set, under other keys */
        g_trusted.next.validators[i].key.bytes[3] ^= 1;
    }
    assert_int_equal(reason_of(&g_block), SB_LIGHT_TRUST);
}

static void times_are_judged_at_their_edges(void **state)
{
    (void)state;
    make_block(&g_block, 11, 0, 3, 0, 3);
    uint64_t trusted_time = g_trusted.header.time_ms;
    assert_int_equal(reason_at(&g_block, trusted_time + PERIOD - 1, &k_options), SB_LIGHT_NONE);
    assert_int_equal(reason_at(&g_block, trusted_time + PERIOD, &k_options), SB_LIGHT_EXPIRED);
    assert_int_equal(reason_at(&g_block, 11000 - 499, &k_options), SB_LIGHT_NONE);
    assert_int_equal(reason_at(&g_block, 11000 - 500, &k_options), SB_LIGHT_FUTURE);
    struct sb_light_options endless = k_options;
    endless.trusting_period = endless.clock_drift = UINT64_MAX; /* sums saturate */
    assert_int_equal(reason_at(&g_block, 0, &endless), SB_LIGHT_NONE);
    assert_int_equal(reason_at(&g_block, 5000, &endless), SB_LIGHT_NONE);
    assert_int_equal(reason_at(&g_block, NOW, &endless), SB_LIGHT_NONE);

    g_block.header.time_ms = trusted_time;
    seal(&g_block, 4);
    assert_int_equal(reason_of(&g_block), SB_LIGHT_TIME);
    g_block.header.time_ms = trusted_time + 1;
    seal(&g_block, 4);
    assert_int_equal(reason_of(&g_block), SB_LIGHT_NONE);
}

static void height_that_does_not_rise_is_refused(void **state)
{
    (void)state;
    for (uint64_t height = 9; height <= 10; height++) {
        make_block(&g_block, height, 0, 3, 0, 3);
        g_block.header.time_ms = 20000;
        seal(&g_block, 4);
        assert_int_equal(reason_of(&g_block), SB_LIGHT_HEIGHT);
    }
}

static void sets_must_be_those_of_the_header(void **state)
{
    (void)state;
    make_block(&g_block, 11, 0, 3, 0, 3);
    make_set(&g_block.next, 0, 4, 10);
    assert_int_equal(reason_of(&g_block), SB_LIGHT_NEXT_VALIDATORS_HASH);
    make_set(&g_block.own, 1, 4, 10);
    assert_int_equal(reason_of(&g_block), SB_LIGHT_VALIDATORS_HASH);

    make_block(&g_block, 11, 0, 3, 0, 3);
    g_block.own.set.total_power++; /* the hash does not cover the sum */
    assert_int_equal(reason_of(&g_block), SB_LIGHT_SET);
    make_block(&g_block, 11, 0, 3, 0, 3);
    g_block.next.validators[1] = g_block.next.validators[0];
    assert_int_equal(reason_of(&g_block), SB_LIGHT_SET);
}

/* next_set_with: reason for a next set whose second validator has this power, the total being as given; all hashes fit. */
static enum sb_light_reason next_set_with(int64_t power, int64_t total)
{
    make_block(&g_block, 11, 0, 3, 0, 3);
    g_block.next.validators[1].power = power;
    g_block.next.set.total_power = total;
    seal(&g_block, 4);
    return reason_of(&g_block);
}

static void sets_that_no_decoder_gives_are_refused(void **state)
{
    (void)state;
    assert_int_equal(next_set_with(9, 39), SB_LIGHT_NONE);
    assert_int_equal(next_set_with(0, 30), SB_LIGHT_SET);
    assert_int_equal(next_set_with(-10, 20), SB_LIGHT_SET);
    assert_int_equal(next_set_with(SB_TOTAL_POWER_MAX, INT64_MIN), SB_LIGHT_SET);
    assert_int_equal(next_set_with(SB_TOTAL_POWER_MAX - 30, SB_TOTAL_POWER_MAX), SB_LIGHT_NONE);
    assert_int_equal(next_set_with(SB_TOTAL_POWER_MAX - 29, SB_TOTAL_POWER_MAX + 1), SB_LIGHT_SET);

    static struct sb_validator many[SB_VALIDATORS_MAX + 1];
    for (size_t i = 0; i <= SB_VALIDATORS_MAX; i++) {
        uint8_t key[32] = {(uint8_t)i, (uint8_t)(i >> 8), 9};
        many[i].key = sb_pubkey_ed25519(key);
        many[i].power = 1;
        many[i].address = sb_pubkey_address(&many[i].key);
    }
    for (size_t count = SB_VALIDATORS_MAX; count <= SB_VALIDATORS_MAX + 1; count++) {
        make_block(&g_block, 11, 0, 3, 0, 3);
        g_block.next.set = (struct sb_validator_set){many, count, (int64_t)count};
        seal(&g_block, 4);
        assert_int_equal(reason_of(&g_block),
                         count <= SB_VALIDATORS_MAX ? SB_LIGHT_NONE : SB_LIGHT_SET);
    }
}

static void commit_must_be_for_this_header(void **state)
{
    (void)state;
    make_block(&g_block, 11, 0, 3, 0, 3);
    g_block.commit.height = 12;
    assert_int_equal(reason_of(&g_block), SB_LIGHT_COMMIT_BLOCK);
    make_block(&g_block, 11, 0, 3, 0, 3);
    g_block.commit.block_id.b[31] ^= 1;
    assert_int_equal(reason_of(&g_block), SB_LIGHT_COMMIT_BLOCK);
    make_block(&g_block, 11, 0, 3, 0, 3);
    g_block.commit.round++; /* signed */
    assert_int_equal(reason_of(&g_block), SB_LIGHT_SIGNATURE);
}

static void commit_of_another_form_is_refused(void **state)
{
    (void)state;
    struct sb_light_codec codec = sb_light_codec_chain(&g_chain);
    struct sb_light_trust trust = sb_light_trust_of(view(&g_trusted));
    make_block(&g_block, 11, 0, 3, 0, 3);
    (void)view(&g_block);
    g_block.light.sig_count = 3;
    assert_int_equal(sb_light_verify(&codec, &k_options, &trust, &g_block.light, NOW).reason,
                     SB_LIGHT_SIG_COUNT);
    (void)view(&g_block);
    g_block.sigs[1] = g_block.sigs[0];
    assert_int_equal(sb_light_verify(&codec, &k_options, &trust, &g_block.light, NOW).reason,
                     SB_LIGHT_SIGNER);
    (void)view(&g_block);
    g_block.sigs[1].signer.b[0] ^= 1;
    assert_int_equal(sb_light_verify(&codec, &k_options, &trust, &g_block.light, NOW).reason,
                     SB_LIGHT_SIGNER);
    (void)view(&g_block);
    g_block.sigs[1].flag = SB_COMMIT_ABSENT;
    assert_int_equal(sb_light_verify(&codec, &k_options, &trust, &g_block.light, NOW).reason,
                     SB_LIGHT_SIG_FORM);
    (void)view(&g_block);
    g_block.sigs[1].signature.len = 0;
    assert_int_equal(sb_light_verify(&codec, &k_options, &trust, &g_block.light, NOW).reason,
                     SB_LIGHT_SIG_FORM);
    seal(&g_block, 0);
    assert_int_equal(reason_of(&g_block), SB_LIGHT_NO_SIG);
    sign_entry(&g_block, 0, SB_COMMIT_NIL);
    assert_int_equal(reason_of(&g_block), SB_LIGHT_NO_SIG);
}

static void signature_that_is_wrong_is_refused_even_when_not_needed(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        make_block(&g_block, 11, 0, 3, 0, 3);
        g_block.commit_sigs[i].signature.bytes[40] ^= 1;
        assert_int_equal(reason_of(&g_block), SB_LIGHT_SIGNATURE);
        make_block(&g_block, 11, 0, 3, 0, 3);
        g_block.commit_sigs[i].flag = SB_COMMIT_NIL; /* a vote for the block is none for nil */
        assert_int_equal(reason_of(&g_block), SB_LIGHT_SIGNATURE);
    }
    make_block(&g_block, 20, 0, 3, 0, 3);
    g_chain.domain.genesis_hash.b[0] ^= 1; /* signed on another chain */
    assert_int_equal(reason_of(&g_block), SB_LIGHT_SIGNATURE);
    g_chain.domain.genesis_hash.b[0] ^= 1;
}

/* Each field of the header, changed: the commit is for another block; with a commit that follows, the signatures are for another. */
static void header_field_changed_is_refused(void **state)
{
    (void)state;
    make_block(&g_block, 11, 0, 3, 0, 3);
    struct sb_consensus_header good = g_block.header;
    struct sb_consensus_header *h = &g_block.header;
    uint8_t *const fields[] = {
        (uint8_t *)&h->height,
        (uint8_t *)&h->time_ms,
        h->last_block_id.b,
        h->validators_hash.b,
        h->next_validators_hash.b,
        h->params_hash.b,
        h->last_commit_hash.b,
        h->late_precommits_hash.b,
        h->evidence_hash.b,
        h->payload_hash.b,
        h->proposer.b,
        h->extension_root.b,
        (uint8_t *)&h->randomness_proof_len,
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        make_block(&g_block, 11, 0, 3, 0, 3);
        assert_memory_equal(h, &good, sizeof good);
        fields[i][0] ^= 1;
        if (h->height == 10) { /* an odd height became even: keep it above the trusted one */
            h->height = 12;
        }
        bool is_set = h->validators_hash.b[0] != good.validators_hash.b[0];
        bool is_next = h->next_validators_hash.b[0] != good.next_validators_hash.b[0];
        assert_int_equal(reason_of(&g_block), is_set    ? SB_LIGHT_VALIDATORS_HASH
                                              : is_next ? SB_LIGHT_NEXT_VALIDATORS_HASH
                                                        : SB_LIGHT_COMMIT_BLOCK);
        g_block.commit.block_id = sb_consensus_block_id(h);
        g_block.commit.height = h->height;
        assert_int_equal(reason_of(&g_block), is_set    ? SB_LIGHT_VALIDATORS_HASH
                                              : is_next ? SB_LIGHT_NEXT_VALIDATORS_HASH
                                                        : SB_LIGHT_SIGNATURE);
    }
}

/* ---- backwards ---- */

static enum sb_light_reason backwards_at(struct block *b, uint64_t now)
{
    struct sb_light_codec codec = sb_light_codec_chain(&g_chain);
    struct sb_light_trust trust = sb_light_trust_of(view(&g_trusted));
    return sb_light_verify_backwards(&codec, &k_options, &trust, view(b), now).reason;
}

static void backwards_follows_the_hash(void **state)
{
    (void)state;
    make_block(&g_block, 9, 5, 8, 0, 3);
    g_trusted.header.last_block_id = sb_consensus_block_id(&g_block.header);
    assert_int_equal(backwards_at(&g_block, NOW), SB_LIGHT_NONE);
    seal(&g_block, 0); /* the commit says nothing here */
    assert_int_equal(backwards_at(&g_block, NOW), SB_LIGHT_NONE);
    assert_int_equal(backwards_at(&g_block, 10000 + PERIOD), SB_LIGHT_EXPIRED);
    g_block.header.payload_hash.b[0] ^= 1;
    assert_int_equal(backwards_at(&g_block, NOW), SB_LIGHT_LINK);
    g_block.header.time_ms = 10000;
    assert_int_equal(backwards_at(&g_block, NOW), SB_LIGHT_TIME);
    make_block(&g_block, 8, 5, 8, 0, 3);
    assert_int_equal(backwards_at(&g_block, NOW), SB_LIGHT_HEIGHT);
    g_trusted.header.height = 0; /* nothing is below it, whatever the numbers say */
    g_block.header.height = UINT64_MAX;
    g_trusted.header.last_block_id = sb_consensus_block_id(&g_block.header);
    assert_int_equal(backwards_at(&g_block, NOW), SB_LIGHT_HEIGHT);
}

/* ---- options, parts ---- */

static void options_outside_their_range_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t numerator, denominator;
        sb_err err;
    } cases[] = {
        {1, 3, SB_OK},      {2, 3, SB_OK},      {1, 1, SB_OK},      {UINT32_MAX, UINT32_MAX, SB_OK},
        {0, 1, SB_E_RANGE}, {1, 4, SB_E_RANGE}, {4, 3, SB_E_RANGE}, {1, 0, SB_E_RANGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sb_light_options o = {1, 0, cases[i].numerator, cases[i].denominator};
        assert_int_equal(sb_light_options_check(&o, NULL), cases[i].err);
    }
    struct sb_light_options o = {0, 0, 1, 3};
    assert_int_equal(sb_light_options_check(&o, NULL), SB_E_RANGE);
}

static void block_of_another_chain_or_version_is_not_made(void **state)
{
    (void)state;
    struct sb_light_block light;
    make_block(&g_block, 11, 0, 3, 0, 3);
    (void)view(&g_block);
    g_block.header.chain_id++;
    assert_int_equal(sb_light_block_make(&light, g_block.sigs, &g_chain, &g_block.source,
                                         &g_block.own.set, &g_block.next.set, NULL),
                     SB_E_ARG);
    g_block.header.chain_id--;
    g_block.header.version++;
    assert_int_equal(sb_light_block_make(&light, g_block.sigs, &g_chain, &g_block.source,
                                         &g_block.own.set, &g_block.next.set, NULL),
                     SB_E_VERSION);
    g_block.header.version--;
    g_block.commit.sig_count--;
    assert_int_equal(sb_light_block_make(&light, g_block.sigs, &g_chain, &g_block.source,
                                         &g_block.own.set, &g_block.next.set, NULL),
                     SB_E_SHAPE);
}

static void reasons_have_texts(void **state)
{
    (void)state;
    for (int i = 0; i < SB_LIGHT_REASON_COUNT; i++) {
        assert_true(strlen(sb_light_reason_text((enum sb_light_reason)i)) > 5);
    }
}

#define TEST(name) cmocka_unit_test_setup(name, reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(adjacent_block_of_the_announced_set_is_accepted),
        TEST(adjacent_block_needs_more_than_two_thirds),
        TEST(adjacent_block_of_another_set_is_refused),
        TEST(skipping_needs_more_than_the_trust_level),
        TEST(skipping_counts_signers_for_the_block_only),
        TEST(skipping_needs_two_thirds_of_the_own_set_as_well),
        TEST(skipping_with_the_trusted_address_and_another_key_gains_nothing),
        TEST(times_are_judged_at_their_edges),
        TEST(height_that_does_not_rise_is_refused),
        TEST(sets_must_be_those_of_the_header),
        TEST(sets_that_no_decoder_gives_are_refused),
        TEST(commit_must_be_for_this_header),
        TEST(commit_of_another_form_is_refused),
        TEST(signature_that_is_wrong_is_refused_even_when_not_needed),
        TEST(header_field_changed_is_refused),
        TEST(backwards_follows_the_hash),
        TEST(options_outside_their_range_are_refused),
        TEST(block_of_another_chain_or_version_is_not_made),
        TEST(reasons_have_texts),
    };
    return cmocka_run_group_tests(tests, make_keys, NULL);
}
