/* validators_fixture.h: a chain of several validators, all of whose keys the test holds, driven as an application.
 *
 *     net_init -> net_open -> net_step ... (net_reopen) ... -> net_fini
 *
 * A step: the proposer of round 0 builds, the block is processed, a commit signed by those whom the test lets sign decides it. */
#ifndef SB_TESTS_UNIT_NODE_VALIDATORS_FIXTURE_H
#define SB_TESTS_UNIT_NODE_VALIDATORS_FIXTURE_H

#include "node/chain_app.h"
#include "node/evidence.h"
#include "tests/unit/node/chain_fixture.h"

#define NET_KEYS       8 /* the first NET_VALIDATORS are in the genesis */
#define NET_VALIDATORS 4

struct net {
    struct fixture f;
    uint8_t secrets[NET_KEYS][64];
    struct sb_pubkey keys[NET_KEYS];
    sb_addr addrs[NET_KEYS];
    struct sb_validator validators[NET_KEYS];
    struct sb_chain_app *app;
    const struct sb_application *table;
    bool is_silent[NET_KEYS];     /* does not sign commits */
    struct sb_commit last_commit; /* of the head, in the fixture's arena */
    /* for the next step */
    const struct sb_vote *late;
    size_t late_count;
};

static inline void net_init(struct net *n)
{
    memset(n, 0, sizeof *n);
    fixture_init(&n->f);
    for (size_t i = 0; i < NET_KEYS; i++) {
        uint8_t seed[32], public_key[32];
        memset(seed, 0x30 + (int)i, sizeof seed);
        sb_ed25519_keypair(public_key, n->secrets[i], seed);
        n->keys[i] = sb_pubkey_ed25519(public_key);
        n->addrs[i] = sb_pubkey_address(&n->keys[i]);
    }
    for (size_t i = 0; i < NET_VALIDATORS; i++) {
        n->validators[i] = (struct sb_validator){.key = n->keys[i], .power = 10 + (int64_t)i};
    }
    assert_int_equal(
        sb_validator_set_make(&n->f.genesis.validators, n->validators, NET_VALIDATORS, &n->f.diag),
        SB_OK);
}

static inline void net_open(struct net *n)
{
    fixture_check(&n->f, fixture_try_open_chain(&n->f));
    n->f.is_old = true;
    const struct sb_chain_app_options options = {
        .chain = n->f.chain, .mempool = n->f.mempool, .log = n->f.log};
    fixture_check(&n->f, sb_chain_app_new(&n->app, &options, &n->f.diag));
    n->table = sb_chain_app_table(n->app);
}

static inline void net_close(struct net *n)
{
    sb_chain_app_free(n->app);
    n->app = NULL;
    fixture_close(&n->f);
}

static inline void net_fini(struct net *n)
{
    net_close(n);
    fixture_fini(&n->f);
}

static inline struct sb_application_head net_head(struct net *n)
{
    return n->table->head(n->table->ctx);
}

/* net_key_of: which of the test's keys an address is. */
static inline size_t net_key_of(const struct net *n, const sb_addr *address)
{
    size_t key = 0;
    while (key < NET_KEYS && !sb_addr_equal(&n->addrs[key], address)) {
        key++;
    }
    assert_true(key < NET_KEYS);
    return key;
}

/* net_vote: signed by a validator of the set of that height. */
static inline struct sb_vote net_vote(struct net *n, const struct sb_validator_set *set, size_t key,
                                      enum sb_vote_type type, uint64_t height, int32_t round,
                                      const sb_hash *block_id)
{
    int index = sb_validator_set_find(set, &n->addrs[key]);
    assert_true(index >= 0);
    struct sb_vote vote = {.type = type,
                           .height = height,
                           .round = round,
                           .block_id = *block_id,
                           .validator_index = (uint32_t)index,
                           .validator_address = n->addrs[key],
                           .signature = {.len = 64}};
    uint8_t message[SB_SIGN_BYTES_MAX];
    size_t len = sb_vote_sign_bytes(message, sb_chain_domain(n->f.chain), &vote);
    sb_ed25519_sign(vote.signature.bytes, n->secrets[key], sb_span(message, len));
    return vote;
}

/* net_commit: precommits of round 0 by everybody in the set who is not silent. */
static inline struct sb_commit net_commit(struct net *n, uint64_t height, const sb_hash *block_id)
{
    const struct sb_validator_set *set = &sb_chain_rotation(n->f.chain, height)->set;
    struct sb_commit_sig *sigs = sb_arena_array(&n->f.arena, set->count, sizeof *sigs);
    assert_non_null(sigs);
    for (size_t i = 0; i < set->count; i++) {
        size_t key = net_key_of(n, &set->validators[i].address);
        sigs[i] = (struct sb_commit_sig){.flag = SB_COMMIT_ABSENT};
        if (!n->is_silent[key]) {
            struct sb_vote vote = net_vote(n, set, key, SB_VOTE_PRECOMMIT, height, 0, block_id);
            sigs[i] = (struct sb_commit_sig){.flag = SB_COMMIT_BLOCK, .signature = vote.signature};
        }
    }
    return (struct sb_commit){
        .height = height, .block_id = *block_id, .sigs = sigs, .sig_count = set->count};
}

/* net_build_by: what this validator proposes. */
static inline sb_bytes net_build_by(struct net *n, const sb_addr *proposer)
{
    struct sb_application_head head = net_head(n);
    n->f.now_ms += 1000;
    struct sb_application_draft draft = {.height = head.height + 1,
                                         .time_ms = n->f.now_ms,
                                         .proposer = *proposer,
                                         .last_commit = n->last_commit,
                                         .late_precommits = n->late,
                                         .late_precommit_count = n->late_count};
    fixture_prove(&draft, n->f.chain, n->secrets[net_key_of(n, &draft.proposer)]);
    n->late = NULL;
    n->late_count = 0;
    sb_bytes encoded;
    sb_hash id;
    bool has_transactions;
    fixture_check(&n->f, n->table->prepare(n->table->ctx, &n->f.arena, &draft, &encoded, &id,
                                           &has_transactions, &n->f.diag));
    return encoded;
}

/* net_build: what the proposer of round 0 proposes. */
static inline sb_bytes net_build(struct net *n)
{
    uint64_t height = net_head(n).height + 1;
    const struct sb_rotation *rotation = n->table->rotation(n->table->ctx, height);
    assert_non_null(rotation);
    return net_build_by(n, &rotation->set.validators[sb_rotation_proposer(rotation, 0)].address);
}

static inline void net_accept(struct net *n, sb_bytes encoded)
{
    struct sb_application_verdict verdict;
    struct sb_application_block *block = NULL;
    fixture_check(&n->f, n->table->process(n->table->ctx, encoded, &verdict, &block, &n->f.diag));
    if (!verdict.valid) {
        fail_msg("%s", verdict.reason);
    }
    n->last_commit = net_commit(n, net_head(n).height + 1, &verdict.block_id);
    fixture_check(&n->f, n->table->commit_take(n->table->ctx, block, &n->last_commit, &n->f.diag));
}

/* net_expect_invalid: the verdict is no, and its reason holds the text. */
static inline void net_expect_invalid(struct net *n, sb_bytes encoded, const char *text)
{
    struct sb_application_verdict verdict;
    struct sb_application_block *block = NULL;
    fixture_check(&n->f, n->table->process(n->table->ctx, encoded, &verdict, &block, &n->f.diag));
    if (verdict.valid || strstr(verdict.reason, text) == NULL) {
        fail_msg("expected a verdict on %s, got: %s", text,
                 verdict.valid ? "valid" : verdict.reason);
    }
    assert_null(block);
}

static inline sb_bytes net_step(struct net *n)
{
    sb_bytes encoded = net_build(n);
    net_accept(n, encoded);
    return encoded;
}

static inline struct sb_consensus_block net_decode(struct net *n, sb_bytes encoded)
{
    struct sb_consensus_block block;
    fixture_check(&n->f, sb_consensus_block_decode(&block, &n->f.arena, encoded, &n->f.diag));
    return block;
}

/* net_encode: a changed block, its header's hashes of the lists made right. */
static inline sb_bytes net_encode(struct net *n, struct sb_consensus_block *block)
{
    struct sb_consensus_header *h = &block->header;
    assert_int_equal(sb_commit_hash(&h->last_commit_hash, &block->last_commit), SB_OK);
    assert_int_equal(sb_late_precommits_hash(&h->late_precommits_hash, block->late_precommits,
                                             block->late_precommit_count),
                     SB_OK);
    assert_int_equal(
        sb_evidence_list_hash(&h->evidence_hash, block->evidence, block->evidence_count), SB_OK);
    struct sb_buf buf;
    sb_buf_init(&buf, SB_CONSENSUS_BLOCK_BYTES_MAX);
    sb_consensus_block_encode(&buf, block);
    assert_int_equal(sb_buf_err(&buf), SB_OK);
    const uint8_t *copy = sb_arena_dup(&n->f.arena, sb_buf_bytes(&buf));
    assert_non_null(copy);
    sb_bytes encoded = sb_span(copy, buf.len);
    sb_buf_fini(&buf);
    return encoded;
}

#endif
