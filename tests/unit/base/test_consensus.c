/* test_consensus.c: forms of base/types/consensus.h: round trips, limits, order, verification, parts. Signatures are those of a toy
 * scheme (the hash of key and message), so that the tests are about our rules only. */
#include "base/types/consensus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/crypto/keccak.h"
#include "base/types/block.h"
#include "base/types/params.h"
#include "tests/support/random.h"

#define SET_COUNT 7

static sb_bytes toy_signature(uint8_t ret[64], const struct sb_pubkey *key, sb_bytes message)
{
    struct sb_keccak k;
    sb_keccak_init(&k);
    sb_keccak_update(&k, sb_span(key->bytes, key->len));
    sb_keccak_update(&k, message);
    sb_hash hash = sb_keccak_final(&k);
    memcpy(ret, hash.b, 32);
    memcpy(ret + 32, hash.b, 32);
    return sb_span(ret, 64);
}

static bool toy_verify(void *ctx, const struct sb_pubkey *key, sb_bytes message, sb_bytes signature)
{
    uint8_t want[64];
    (void)ctx;
    return sb_span_equal(toy_signature(want, key, message), signature);
}

static const struct sb_verifier k_verifier = {.ctx = NULL, .verify = toy_verify};

static struct sb_chain_domain domain_of_test(void)
{
    return (struct sb_chain_domain){.chain_id = 23296, .genesis_hash = {.b = {0x6e, 0x65}}};
}

static sb_hash hash_of(const char *text)
{
    return sb_keccak256(sb_span_str(text));
}

static struct sb_validator_set make_set(struct sb_validator validators[SET_COUNT])
{
    struct sb_validator_set set;
    for (size_t i = 0; i < SET_COUNT; i++) {
        sb_hash key = sb_keccak256(sb_span(&i, 1));
        validators[i] =
            (struct sb_validator){.key = sb_pubkey_ed25519(key.b), .power = 10 + (int64_t)(i % 3)};
    }
    assert_int_equal(sb_validator_set_make(&set, validators, SET_COUNT, NULL), SB_OK);
    return set;
}

static void sign_vote(struct sb_vote *vote, const struct sb_validator_set *set)
{
    struct sb_chain_domain domain = domain_of_test();
    uint8_t message[SB_SIGN_BYTES_MAX];
    size_t len = sb_vote_sign_bytes(message, &domain, vote);
    vote->validator_address = set->validators[vote->validator_index].address;
    vote->signature.len = 64;
    (void)toy_signature(vote->signature.bytes, &set->validators[vote->validator_index].key,
                        sb_span(message, len));
}

static struct sb_vote make_vote(const struct sb_validator_set *set, enum sb_vote_type type,
                                uint64_t height, uint32_t index, const sb_hash *id)
{
    struct sb_vote vote = {.type = type, .height = height, .round = 3, .validator_index = index};
    if (id != NULL) {
        vote.block_id = *id;
    }
    sign_vote(&vote, set);
    return vote;
}

static struct sb_commit make_commit(struct sb_commit_sig sigs[SET_COUNT],
                                    const struct sb_validator_set *set, uint64_t height,
                                    const sb_hash *id)
{
    for (uint32_t i = 0; i < SET_COUNT; i++) {
        struct sb_vote vote = make_vote(set, SB_VOTE_PRECOMMIT, height, i, i == 1 ? NULL : id);
        sigs[i] = (struct sb_commit_sig){.flag = i == 1 ? SB_COMMIT_NIL : SB_COMMIT_BLOCK,
                                         .signature = vote.signature};
    }
    sigs[SET_COUNT - 1] = (struct sb_commit_sig){.flag = SB_COMMIT_ABSENT};
    return (struct sb_commit){
        .height = height, .round = 3, .block_id = *id, .sigs = sigs, .sig_count = SET_COUNT};
}

/* ---- validators ---- */

static void validator_set_is_sorted_and_round_trips(void **state)
{
    (void)state;
    struct sb_validator validators[SET_COUNT];
    struct sb_validator_set set = make_set(validators);
    for (size_t i = 1; i < set.count; i++) {
        const struct sb_validator *a = &set.validators[i - 1];
        const struct sb_validator *b = &set.validators[i];
        assert_true(a->power > b->power ||
                    (a->power == b->power && memcmp(a->address.b, b->address.b, 20) < 0));
        assert_int_equal(sb_validator_set_find(&set, &b->address), i);
    }
    struct sb_buf out;
    struct sb_arena arena;
    struct sb_validator_set back;
    sb_buf_init(&out, 1 << 20);
    sb_arena_init(&arena, 1 << 20);
    sb_validator_set_encode(&out, &set);
    assert_int_equal(sb_validator_set_decode(&back, &arena, sb_buf_bytes(&out), NULL), SB_OK);
    assert_int_equal(back.total_power, set.total_power);
    sb_hash hash = sb_keccak256(sb_buf_bytes(&out));
    sb_hash set_hash = sb_validator_set_hash(&back);
    assert_memory_equal(hash.b, set_hash.b, sizeof hash.b);
    /* another order of the same validators is not the canonical form */
    struct sb_validator first = validators[0];
    validators[0] = validators[1];
    validators[1] = first;
    sb_buf_reset(&out);
    sb_validator_set_encode(&out, &set);
    assert_int_equal(sb_validator_set_decode(&back, &arena, sb_buf_bytes(&out), NULL),
                     SB_E_NON_CANONICAL);
    sb_arena_fini(&arena);
    sb_buf_fini(&out);
}

static void validator_set_of_bad_members_is_refused(void **state)
{
    (void)state;
    struct sb_validator v[SET_COUNT];
    struct sb_validator_set set = make_set(v);
    assert_int_equal(sb_validator_set_make(&set, v, 0, NULL), SB_E_SHAPE);
    v[2].power = 0;
    assert_int_equal(sb_validator_set_make(&set, v, SET_COUNT, NULL), SB_E_RANGE);
    v[2].power = SB_TOTAL_POWER_MAX;
    assert_int_equal(sb_validator_set_make(&set, v, SET_COUNT, NULL), SB_E_RANGE);
    v[2].power = 5;
    v[4].key = v[2].key;
    assert_int_equal(sb_validator_set_make(&set, v, SET_COUNT, NULL), SB_E_EXISTS);
    (void)make_set(v);
    v[3].key.type = 9;
    assert_int_equal(sb_validator_set_make(&set, v, SET_COUNT, NULL), SB_E_TYPE);
}

static void quorum_is_strictly_more_than_two_thirds(void **state)
{
    (void)state;
    assert_false(sb_power_is_quorum(2, 3));
    assert_true(sb_power_is_quorum(3, 4));
    assert_false(sb_power_is_quorum(66, 99));
    assert_true(sb_power_is_quorum(67, 99));
    assert_true(sb_power_is_quorum(1, 1));
    assert_false(sb_power_is_third(33, 99));
    assert_true(sb_power_is_third(34, 99));
    assert_true(sb_power_is_quorum(SB_TOTAL_POWER_MAX, SB_TOTAL_POWER_MAX));
}

/* ---- votes and proposals ---- */

static void sign_bytes_of_distinct_messages_differ(void **state)
{
    (void)state;
    struct sb_chain_domain domain = domain_of_test();
    struct sb_chain_domain other_chain = domain;
    struct sb_chain_domain other_genesis = domain;
    other_chain.chain_id++;
    other_genesis.genesis_hash.b[31] = 1;
    struct sb_vote vote = {
        .type = SB_VOTE_PREVOTE, .height = 5, .round = 0, .block_id = hash_of("a")};
    struct sb_vote variants[6];
    for (size_t i = 0; i < 6; i++) {
        variants[i] = vote;
    }
    variants[1].type = SB_VOTE_PRECOMMIT;
    variants[2].height = 6;
    variants[3].round = 1;
    variants[4].block_id = hash_of("b");
    variants[5].block_id = (sb_hash){.b = {0}};
    sb_hash seen[9];
    size_t count = 0;
    uint8_t bytes[SB_SIGN_BYTES_MAX];
    for (size_t i = 0; i < 6; i++) {
        seen[count++] =
            sb_keccak256(sb_span(bytes, sb_vote_sign_bytes(bytes, &domain, &variants[i])));
    }
    seen[count++] = sb_keccak256(sb_span(bytes, sb_vote_sign_bytes(bytes, &other_chain, &vote)));
    seen[count++] = sb_keccak256(sb_span(bytes, sb_vote_sign_bytes(bytes, &other_genesis, &vote)));
    struct sb_proposal proposal = {
        .height = 5, .pol_round = -1, .block_id = vote.block_id, .block_bytes = 1};
    seen[count++] = sb_keccak256(sb_span(bytes, sb_proposal_sign_bytes(bytes, &domain, &proposal)));
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(seen[i].b, seen[j].b, sizeof seen[i].b);
        }
    }
}

static void sign_bytes_are_those_of_the_specification(void **state)
{
    (void)state;
    struct sb_chain_domain domain = {.chain_id = 23296};
    memset(domain.genesis_hash.b, 0x11, 32);
    struct sb_vote vote = {.type = SB_VOTE_PRECOMMIT, .height = 1, .round = 0};
    /* [ "samebit/vote", 23296, 0x11..., 2, 1, 0, nil, extension ] */
    uint8_t want[128] = {0xc0 + 54, 0x8d - 1};
    memcpy(want + 2, "samebit/vote", 12);
    static const uint8_t chain[] = {0x82, 0x5b, 0x00, 0xa0};
    memcpy(want + 14, chain, 4);
    memset(want + 18, 0x11, 32);
    static const uint8_t rest[] = {0x02, 0x01, 0x80, 0x80, 0x80};
    memcpy(want + 50, rest, 5);
    uint8_t got[SB_SIGN_BYTES_MAX];
    size_t len = sb_vote_sign_bytes(got, &domain, &vote);
    assert_int_equal(len, 55);
    assert_memory_equal(got, want, len);
}

static void randomness_alpha_and_mix_are_those_of_the_specification(void **state)
{
    (void)state;
    struct sb_chain_domain domain = domain_of_test();
    const struct sb_randomness_input input = {.height = 3, .last = hash_of("last")};
    domain.chain_id = 0x5b00;
    memset(domain.genesis_hash.b, 0x11, sizeof domain.genesis_hash.b);
    uint8_t want[84] = {0xf8, 0x52, 0x8b}, got[SB_SIGN_BYTES_MAX], beta[64];
    memcpy(want + 3, "samebit/vrf", 11);
    static const uint8_t chain[] = {0x82, 0x5b, 0x00, 0xa0};
    memcpy(want + 14, chain, 4);
    memset(want + 18, 0x11, 32);
    static const uint8_t height[] = {0x03, 0xa0};
    memcpy(want + 50, height, 2);
    memcpy(want + 52, input.last.b, 32);
    assert_int_equal(sb_randomness_alpha(got, &domain, &input), sizeof want);
    assert_memory_equal(got, want, sizeof want);

    uint8_t text[18 + 32 + 64];
    memset(beta, 0x77, sizeof beta);
    memcpy(text, "samebit/randomness", 18);
    memcpy(text + 18, input.last.b, 32);
    memcpy(text + 50, beta, 64);
    sb_hash mix = sb_randomness_mix(&input.last, sb_span(beta, sizeof beta));
    sb_hash want_mix = sb_keccak256(sb_span(text, sizeof text));
    assert_memory_equal(mix.b, want_mix.b, 32);
}

static void vote_round_trips_and_every_cut_is_refused(void **state)
{
    (void)state;
    struct sb_validator validators[SET_COUNT];
    struct sb_validator_set set = make_set(validators);
    struct sb_chain_domain domain = domain_of_test();
    sb_hash id = hash_of("block");
    for (int nil = 0; nil < 2; nil++) {
        struct sb_vote vote =
            make_vote(&set, SB_VOTE_PREVOTE, UINT64_MAX, 6, nil == 1 ? NULL : &id);
        struct sb_buf out;
        struct sb_vote back;
        sb_buf_init(&out, 1 << 12);
        sb_vote_encode(&out, &vote);
        assert_int_equal(sb_vote_decode(&back, sb_buf_bytes(&out), NULL), SB_OK);
        assert_int_equal(sb_vote_is_nil(&back), nil == 1);
        assert_int_equal(sb_vote_verify(&back, &set, &domain, &k_verifier, NULL), SB_OK);
        for (size_t cut = 0; cut < out.len; cut++) {
            assert_int_not_equal(sb_vote_decode(&back, sb_span(out.data, cut), NULL), SB_OK);
        }
        sb_buf_add_byte(&out, 0);
        assert_int_equal(sb_vote_decode(&back, sb_buf_bytes(&out), NULL), SB_E_TRAILING);
        sb_buf_fini(&out);
    }
}

static void vote_of_another_validator_or_chain_is_refused(void **state)
{
    (void)state;
    struct sb_validator validators[SET_COUNT];
    struct sb_validator_set set = make_set(validators);
    struct sb_chain_domain domain = domain_of_test();
    sb_hash id = hash_of("block");
    struct sb_vote vote = make_vote(&set, SB_VOTE_PREVOTE, 9, 2, &id);
    struct sb_vote wrong = vote;
    wrong.validator_index = SET_COUNT;
    assert_int_equal(sb_vote_verify(&wrong, &set, &domain, &k_verifier, NULL), SB_E_RANGE);
    wrong.validator_index = 3;
    assert_int_equal(sb_vote_verify(&wrong, &set, &domain, &k_verifier, NULL), SB_E_NOT_FOUND);
    wrong = vote;
    wrong.round = 4;
    assert_int_equal(sb_vote_verify(&wrong, &set, &domain, &k_verifier, NULL), SB_E_SIGNATURE);
    domain.chain_id++;
    assert_int_equal(sb_vote_verify(&vote, &set, &domain, &k_verifier, NULL), SB_E_SIGNATURE);
}

static void proposal_round_trips_and_bad_rounds_are_refused(void **state)
{
    (void)state;
    struct sb_proposal p = {
        .height = 4, .round = 2, .pol_round = -1, .block_id = hash_of("b"), .block_bytes = 700000};
    p.parts_root = hash_of("parts");
    p.signature.len = 64;
    for (int32_t pol = -1; pol < 4; pol++) {
        uint8_t memory[512];
        struct sb_buf out = sb_buf_over(memory, sizeof memory);
        struct sb_proposal back;
        p.pol_round = pol;
        sb_proposal_encode(&out, &p);
        sb_err err = sb_proposal_decode(&back, sb_buf_bytes(&out), NULL);
        assert_int_equal(err, pol < p.round ? SB_OK : SB_E_RANGE);
        if (err == SB_OK) {
            assert_int_equal(back.pol_round, pol);
            assert_int_equal(back.block_bytes, p.block_bytes);
            assert_memory_equal(back.parts_root.b, p.parts_root.b, 32);
        }
    }
}

/* ---- commits and evidence ---- */

static void commit_with_enough_power_verifies_and_round_trips(void **state)
{
    (void)state;
    struct sb_validator validators[SET_COUNT];
    struct sb_commit_sig sigs[SET_COUNT];
    struct sb_validator_set set = make_set(validators);
    struct sb_chain_domain domain = domain_of_test();
    sb_hash id = hash_of("block");
    struct sb_commit commit = make_commit(sigs, &set, 8, &id);
    struct sb_diag diag = {.text = ""};
    assert_int_equal(sb_commit_verify(&commit, 8, &id, &set, &domain, &k_verifier, &diag), SB_OK);
    struct sb_buf out;
    struct sb_arena arena;
    struct sb_commit back;
    sb_buf_init(&out, 1 << 16);
    sb_arena_init(&arena, 1 << 20);
    sb_commit_encode(&out, &commit);
    assert_int_equal(sb_commit_decode(&back, &arena, sb_buf_bytes(&out), NULL), SB_OK);
    assert_int_equal(sb_commit_verify(&back, 8, &id, &set, &domain, &k_verifier, NULL), SB_OK);
    sb_arena_fini(&arena);
    sb_buf_fini(&out);
}

static void commit_that_is_wrong_in_any_way_is_refused(void **state)
{
    (void)state;
    struct sb_validator validators[SET_COUNT];
    struct sb_commit_sig sigs[SET_COUNT];
    struct sb_validator_set set = make_set(validators);
    struct sb_chain_domain domain = domain_of_test();
    sb_hash id = hash_of("block");
    sb_hash other = hash_of("other");
    struct sb_commit commit = make_commit(sigs, &set, 8, &id);
    assert_int_equal(sb_commit_verify(&commit, 9, &id, &set, &domain, &k_verifier, NULL), SB_E_ARG);
    assert_int_equal(sb_commit_verify(&commit, 8, &other, &set, &domain, &k_verifier, NULL),
                     SB_E_ARG);
    commit.sig_count--;
    assert_int_equal(sb_commit_verify(&commit, 8, &id, &set, &domain, &k_verifier, NULL),
                     SB_E_SHAPE);
    commit.sig_count++;
    sigs[1].signature.bytes[0] ^= 1; /* a bad signature for nil counts too */
    assert_int_equal(sb_commit_verify(&commit, 8, &id, &set, &domain, &k_verifier, NULL),
                     SB_E_SIGNATURE);
    sigs[1].signature.bytes[0] ^= 1;
    sigs[2] =
        (struct sb_commit_sig){.flag = SB_COMMIT_ABSENT}; /* 4 of 7 are left, below two thirds */
    assert_int_equal(sb_commit_verify(&commit, 8, &id, &set, &domain, &k_verifier, NULL),
                     SB_E_RANGE);
}

static void evidence_is_canonical_and_needs_a_conflict(void **state)
{
    (void)state;
    struct sb_validator validators[SET_COUNT];
    struct sb_validator_set set = make_set(validators);
    struct sb_chain_domain domain = domain_of_test();
    sb_hash one = hash_of("one");
    sb_hash two = hash_of("two");
    struct sb_vote x = make_vote(&set, SB_VOTE_PRECOMMIT, 5, 4, &one);
    struct sb_vote y = make_vote(&set, SB_VOTE_PRECOMMIT, 5, 4, &two);
    struct sb_evidence xy;
    struct sb_evidence yx;
    assert_int_equal(sb_evidence_make(&xy, &x, &y), SB_OK);
    assert_int_equal(sb_evidence_make(&yx, &y, &x), SB_OK);
    assert_int_equal(sb_evidence_make(&yx, &x, &x), SB_E_ARG);
    assert_int_equal(sb_evidence_verify(&xy, &set, &domain, &k_verifier, NULL), SB_OK);
    uint8_t memory[1024];
    struct sb_buf out = sb_buf_over(memory, sizeof memory);
    struct sb_evidence back;
    sb_evidence_encode(&out, &xy);
    assert_int_equal(sb_evidence_decode(&back, sb_buf_bytes(&out), NULL), SB_OK);
    struct sb_evidence swapped = {.kind = xy.kind, .a = xy.b, .b = xy.a};
    out = sb_buf_over(memory, sizeof memory);
    sb_evidence_encode(&out, &swapped);
    assert_int_equal(sb_evidence_decode(&back, sb_buf_bytes(&out), NULL), SB_E_NON_CANONICAL);
    struct sb_vote later = make_vote(&set, SB_VOTE_PRECOMMIT, 6, 4, &two);
    assert_int_equal(sb_evidence_make(&yx, &x, &later), SB_E_ARG);
}

/* make_lunatic: with every field at its longest, against validator 3. */
static struct sb_evidence make_lunatic(const struct sb_validator_set *set)
{
    struct sb_evidence evidence;
    struct sb_consensus_header header = {.version = SB_CONSENSUS_VERSION,
                                         .chain_id = UINT64_MAX,
                                         .height = UINT64_MAX,
                                         .time_ms = SB_TIME_MS_MAX,
                                         .validators_hash = hash_of("liars"),
                                         .randomness_proof_len = SB_RANDOMNESS_PROOF_BYTES_MAX};
    sb_hash id = sb_consensus_block_id(&header);
    struct sb_vote vote = make_vote(set, SB_VOTE_PRECOMMIT, 0, 3, &id);
    vote.height = header.height;
    vote.round = SB_ROUND_MAX;
    sign_vote(&vote, set);
    assert_int_equal(sb_evidence_make_lunatic(&evidence, UINT64_MAX - 1, &vote, &header), SB_OK);
    return evidence;
}

static void lunatic_evidence_is_bound_to_its_header(void **state)
{
    (void)state;
    struct sb_validator validators[SET_COUNT];
    struct sb_validator_set set = make_set(validators);
    struct sb_chain_domain domain = domain_of_test();
    const struct sb_evidence good = make_lunatic(&set);
    struct sb_evidence bad = good, back;
    uint8_t memory[2048], again[2048];
    struct sb_buf out = sb_buf_over(memory, sizeof memory);
    assert_int_equal(sb_evidence_verify(&good, &set, &domain, &k_verifier, NULL), SB_OK);
    assert_int_equal(sb_evidence_height(&good), UINT64_MAX - 1);
    sb_evidence_encode(&out, &good);
    assert_int_equal(sb_buf_err(&out), SB_OK);
    assert_true(out.len < 1024);
    assert_int_equal(sb_evidence_decode(&back, sb_buf_bytes(&out), NULL), SB_OK);
    assert_int_equal(sb_evidence_verify(&back, &set, &domain, &k_verifier, NULL), SB_OK);
    for (size_t cut = 0; cut < out.len; cut++) {
        assert_int_not_equal(sb_evidence_decode(&back, sb_span(memory, cut), NULL), SB_OK);
    }
    for (size_t bit = 0; bit < out.len * 8; bit++) { /* each is refused, or says something else */
        memory[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (sb_evidence_decode(&back, sb_buf_bytes(&out), NULL) == SB_OK) {
            struct sb_buf copy = sb_buf_over(again, sizeof again);
            sb_evidence_encode(&copy, &back);
            assert_true(sb_span_equal(sb_buf_bytes(&copy), sb_buf_bytes(&out)));
        }
        memory[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    bad.header.payload_hash.b[0] ^= 1;
    assert_int_equal(sb_evidence_verify(&bad, &set, &domain, &k_verifier, NULL), SB_E_ARG);
    bad = good;
    bad.common_height = 0;
    assert_int_equal(sb_evidence_verify(&bad, &set, &domain, &k_verifier, NULL), SB_E_RANGE);
    bad = good;
    bad.header.height--; /* below the common height */
    bad.common_height = UINT64_MAX;
    assert_int_equal(sb_evidence_verify(&bad, &set, &domain, &k_verifier, NULL), SB_E_RANGE);
    bad = good;
    bad.a.signature.bytes[0] ^= 1;
    assert_int_equal(sb_evidence_verify(&bad, &set, &domain, &k_verifier, NULL), SB_E_SIGNATURE);
    bad = good;
    bad.kind = 3;
    assert_int_equal(sb_evidence_verify(&bad, &set, &domain, &k_verifier, NULL), SB_E_TYPE);
}

static void headers_contradict_each_other_in_four_fields_alone(void **state)
{
    (void)state;
    struct sb_consensus_header a = {.version = 1};
    static const struct {
        size_t offset; /* of a byte of the header */
        const char *name;
    } cases[] = {
        {offsetof(struct sb_consensus_header, version), "version"},
        {offsetof(struct sb_consensus_header, validators_hash), "validators hash"},
        {offsetof(struct sb_consensus_header, next_validators_hash), "next validators hash"},
        {offsetof(struct sb_consensus_header, params_hash), "params hash"},
        {offsetof(struct sb_consensus_header, time_ms), NULL},
        {offsetof(struct sb_consensus_header, last_block_id), NULL},
        {offsetof(struct sb_consensus_header, last_commit_hash), NULL},
        {offsetof(struct sb_consensus_header, late_precommits_hash), NULL},
        {offsetof(struct sb_consensus_header, evidence_hash), NULL},
        {offsetof(struct sb_consensus_header, payload_hash), NULL},
        {offsetof(struct sb_consensus_header, proposer), NULL},
        {offsetof(struct sb_consensus_header, randomness_proof), NULL},
        {offsetof(struct sb_consensus_header, extension_root), NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sb_consensus_header b = a;
        ((uint8_t *)&b)[cases[i].offset] ^= 2;
        const char *name = sb_consensus_header_contradiction(&a, &b);
        assert_true((name == NULL) == (cases[i].name == NULL));
        assert_true(name == NULL || strcmp(name, cases[i].name) == 0);
    }
}

/* ---- the block ---- */

struct sample {
    struct sb_validator validators[SET_COUNT];
    struct sb_commit_sig sigs[SET_COUNT];
    struct sb_vote late[2];
    struct sb_evidence evidence[2];
    struct sb_buf payload;
    struct sb_consensus_block block;
};

static void fill_hashes(struct sb_consensus_block *block)
{
    struct sb_consensus_header *h = &block->header;
    assert_int_equal(sb_commit_hash(&h->last_commit_hash, &block->last_commit), SB_OK);
    assert_int_equal(sb_late_precommits_hash(&h->late_precommits_hash, block->late_precommits,
                                             block->late_precommit_count),
                     SB_OK);
    assert_int_equal(
        sb_evidence_list_hash(&h->evidence_hash, block->evidence, block->evidence_count), SB_OK);
}

static void make_sample(struct sample *s)
{
    struct sb_validator_set set = make_set(s->validators);
    sb_hash last = hash_of("last");
    sb_hash one = hash_of("one");
    s->block = (struct sb_consensus_block){
        .header = {.version = SB_CONSENSUS_VERSION, .chain_id = 23296, .height = 10}};
    s->block.header.time_ms = 1234567;
    s->block.header.last_block_id = last;
    s->block.last_commit = make_commit(s->sigs, &set, 9, &last);
    s->late[0] = make_vote(&set, SB_VOTE_PRECOMMIT, 8, 2, &one);
    s->late[1] = make_vote(&set, SB_VOTE_PRECOMMIT, 8, 6, NULL);
    s->block.late_precommits = s->late;
    s->block.late_precommit_count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        struct sb_vote x = make_vote(&set, SB_VOTE_PREVOTE, 3 + i, i, &one);
        struct sb_vote y = make_vote(&set, SB_VOTE_PREVOTE, 3 + i, i, NULL);
        assert_int_equal(sb_evidence_make(&s->evidence[i], &x, &y), SB_OK);
    }
    s->block.evidence = s->evidence;
    s->block.evidence_count = 2;
    struct sb_block eth = {.raw_uncles = sb_span("\xc0", 1),
                           .has_withdrawals = true,
                           .raw_withdrawals = sb_span("\xc0", 1)};
    eth.header =
        (struct sb_header){.field_count = SB_HEADER_FIELDS_PRAGUE, .number = 10, .timestamp = 1234};
    eth.header.parent_beacon_root = last;
    sb_buf_init(&s->payload, 1 << 16);
    sb_block_encode(&s->payload, &eth);
    s->block.payload = sb_buf_bytes(&s->payload);
    s->block.header.payload_hash = sb_header_hash(&eth.header);
    fill_hashes(&s->block);
}

static void block_round_trips_and_checks(void **state)
{
    (void)state;
    struct sample s;
    struct sb_buf out;
    struct sb_buf again;
    struct sb_arena arena;
    struct sb_consensus_block back;
    struct sb_diag diag = {.text = ""};
    make_sample(&s);
    sb_buf_init(&out, 1 << 20);
    sb_buf_init(&again, 1 << 20);
    sb_arena_init(&arena, 1 << 24);
    sb_consensus_block_encode(&out, &s.block);
    assert_int_equal(sb_consensus_block_decode(&back, &arena, sb_buf_bytes(&out), &diag), SB_OK);
    sb_consensus_block_encode(&again, &back);
    assert_true(sb_span_equal(sb_buf_bytes(&out), sb_buf_bytes(&again)));
    assert_int_equal(sb_consensus_block_check(&back, &diag), SB_OK);
    sb_hash a = sb_consensus_block_id(&s.block.header);
    sb_hash b = sb_consensus_block_id(&back.header);
    assert_memory_equal(a.b, b.b, sizeof a.b);
    for (size_t cut = 0; cut < out.len; cut += 7) {
        assert_int_not_equal(
            sb_consensus_block_decode(&back, &arena, sb_span(out.data, cut), &diag), SB_OK);
    }
    sb_arena_fini(&arena);
    sb_buf_fini(&again);
    sb_buf_fini(&out);
    sb_buf_fini(&s.payload);
}

static void block_whose_parts_disagree_is_refused(void **state)
{
    (void)state;
    struct sample s;
    make_sample(&s);
    struct sb_consensus_block bad = s.block;
    bad.header.evidence_hash.b[0] ^= 1;
    assert_int_equal(sb_consensus_block_check(&bad, NULL), SB_E_ARG);
    bad = s.block;
    bad.header.payload_hash.b[0] ^= 1;
    assert_int_equal(sb_consensus_block_check(&bad, NULL), SB_E_ARG);
    bad = s.block;
    bad.header.time_ms += 1000;
    assert_int_equal(sb_consensus_block_check(&bad, NULL), SB_E_ARG);
    bad = s.block;
    bad.header.last_block_id = hash_of("else");
    assert_int_equal(sb_consensus_block_check(&bad, NULL), SB_E_ARG);
    bad = s.block;
    bad.header.height++;
    assert_int_equal(sb_consensus_block_check(&bad, NULL), SB_E_ARG);
    bad = s.block;
    struct sb_vote swapped[2] = {s.late[1], s.late[0]};
    bad.late_precommits = swapped;
    fill_hashes(&bad);
    assert_int_equal(sb_consensus_block_check(&bad, NULL), SB_E_ARG);
    bad = s.block;
    struct sb_evidence twice[2] = {s.evidence[0], s.evidence[0]};
    bad.evidence = twice;
    fill_hashes(&bad);
    assert_int_equal(sb_consensus_block_check(&bad, NULL), SB_E_ARG);
    sb_buf_fini(&s.payload);
}

static void first_block_has_the_empty_commit(void **state)
{
    (void)state;
    struct sb_commit none = {.height = 0};
    struct sb_commit back;
    struct sb_arena arena;
    uint8_t memory[8];
    struct sb_buf out = sb_buf_over(memory, sizeof memory);
    sb_hash hash;
    sb_arena_init(&arena, 1 << 16);
    sb_commit_encode(&out, &none);
    assert_int_equal(out.len, 1);
    assert_int_equal(memory[0], 0xc0);
    assert_int_equal(sb_commit_decode(&back, &arena, sb_buf_bytes(&out), NULL), SB_OK);
    assert_int_equal(back.sig_count, 0);
    assert_int_equal(sb_commit_hash(&hash, &none), SB_OK);
    assert_memory_equal(hash.b, sb_hash_empty_list.b, sizeof hash.b);
    sb_arena_fini(&arena);
}

/* ---- parts ---- */

/* RFC 6962, section 2.1, as it is written there. */
static sb_hash rfc6962_root(sb_bytes block, uint32_t first, uint32_t count)
{
    static const uint8_t leaf = 0;
    static const uint8_t node = 1;
    struct sb_keccak k;
    sb_keccak_init(&k);
    if (count == 1) {
        sb_keccak_update(&k, sb_span(&leaf, 1));
        sb_keccak_update(&k, sb_span_slice(block, first * SB_PART_BYTES, SB_PART_BYTES));
        return sb_keccak_final(&k);
    }
    uint32_t split = 1;
    while (split * 2 < count) {
        split *= 2;
    }
    sb_hash left = rfc6962_root(block, first, split);
    sb_hash right = rfc6962_root(block, first + split, count - split);
    sb_keccak_update(&k, sb_span(&node, 1));
    sb_keccak_update(&k, sb_span(left.b, sizeof left.b));
    sb_keccak_update(&k, sb_span(right.b, sizeof right.b));
    return sb_keccak_final(&k);
}

static void parts_of_any_count_have_the_rfc6962_root_and_proofs(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 3, 5, 8, 13, SB_PARTS_MAX};
    size_t bytes = SB_PARTS_MAX * SB_PART_BYTES;
    uint8_t *data = malloc(bytes);
    assert_non_null(data);
    struct sb_random rng = sb_random_init(__func__);
    sb_random_fill(&rng, data, 4096);
    for (size_t i = 4096; i < bytes; i++) {
        data[i] = (uint8_t)(data[i - 4096] + (i >> 12));
    }
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        sb_bytes block = sb_span(data, counts[c] * SB_PART_BYTES - (c % 2 == 0 ? 0 : 1000));
        sb_hash root;
        assert_int_equal(sb_part_count(block.len), counts[c]);
        assert_int_equal(sb_parts_root(&root, block), SB_OK);
        sb_hash want = rfc6962_root(block, 0, counts[c]);
        assert_memory_equal(root.b, want.b, sizeof root.b);
        for (uint32_t i = 0; i<counts[c]; i += counts[c]> 20 ? 31 : 1) {
            struct sb_part_proof proof;
            sb_bytes part = sb_span_slice(block, i * SB_PART_BYTES, SB_PART_BYTES);
            assert_int_equal(sb_part_prove(&proof, block, i), SB_OK);
            assert_true(sb_part_verify(&proof, part, &root));
            assert_false(sb_part_verify(&proof, sb_span(part.data, part.len - 1), &root));
            proof.index ^= 1;
            assert_false(sb_part_verify(&proof, part, &root));
            proof.index ^= 1;
            if (proof.depth > 0) {
                proof.depth--;
                assert_false(sb_part_verify(&proof, part, &root));
            }
        }
    }
    sb_hash root;
    assert_int_equal(sb_parts_root(&root, sb_span(data, 0)), SB_E_SHAPE);
    assert_int_equal(sb_part_count(bytes + 1), 0);
    free(data);
}

static void params_defaults_are_in_bounds_and_every_field_is_hashed(void **state)
{
    (void)state;
    struct sb_params params = sb_params_default();
    sb_hash hash = sb_params_hash(&params);
    assert_int_equal(sb_params_check(&params, NULL), SB_OK);
#define SB_PARAM(field, json_name, default_value, min, max, doc)                                   \
    {                                                                                              \
        struct sb_params changed = params;                                                         \
        changed.field ^= 1;                                                                        \
        sb_hash other = sb_params_hash(&changed);                                                  \
        assert_memory_not_equal(hash.b, other.b, sizeof hash.b);                                   \
        changed.field = (uint64_t)(max) + 1;                                                       \
        struct sb_diag diag;                                                                       \
        assert_int_equal(sb_params_check(&changed, &diag), SB_E_RANGE);                            \
        assert_non_null(strstr(diag.text, json_name));                                             \
    }
#include "base/types/params.def"
#undef SB_PARAM
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(validator_set_is_sorted_and_round_trips),
        cmocka_unit_test(validator_set_of_bad_members_is_refused),
        cmocka_unit_test(quorum_is_strictly_more_than_two_thirds),
        cmocka_unit_test(sign_bytes_of_distinct_messages_differ),
        cmocka_unit_test(sign_bytes_are_those_of_the_specification),
        cmocka_unit_test(randomness_alpha_and_mix_are_those_of_the_specification),
        cmocka_unit_test(vote_round_trips_and_every_cut_is_refused),
        cmocka_unit_test(vote_of_another_validator_or_chain_is_refused),
        cmocka_unit_test(proposal_round_trips_and_bad_rounds_are_refused),
        cmocka_unit_test(commit_with_enough_power_verifies_and_round_trips),
        cmocka_unit_test(commit_that_is_wrong_in_any_way_is_refused),
        cmocka_unit_test(evidence_is_canonical_and_needs_a_conflict),
        cmocka_unit_test(lunatic_evidence_is_bound_to_its_header),
        cmocka_unit_test(headers_contradict_each_other_in_four_fields_alone),
        cmocka_unit_test(block_round_trips_and_checks),
        cmocka_unit_test(block_whose_parts_disagree_is_refused),
        cmocka_unit_test(first_block_has_the_empty_commit),
        cmocka_unit_test(parts_of_any_count_have_the_rfc6962_root_and_proofs),
        cmocka_unit_test(params_defaults_are_in_bounds_and_every_field_is_hashed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
