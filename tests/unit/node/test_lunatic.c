/* test_lunatic.c: validators who sign what the chain's history contradicts: found by a light client, carried by a block, slashed. And that
 * nobody is convicted for a header that he may have signed by the rules. */
#include "consensus/light_block.h"
#include "node/backend.h"
#include "node/chain_impl.h"
#include "node/light_client.h"
#include "node/predeploys.h"
#include "storage/store_internal.h"
#include "tests/unit/node/validators_fixture.h"

#define LIARS      2 /* keys 2 and 3: 25 of a power of 46 */
#define FIRST_LIAR 2
#define NOW_MS_FAR 1000000
#define FORWARD    1000
#define PERIOD_MS  1000000000
#define POWER(key) (10 + (int64_t)(key))

static struct net n;
static struct sb_backend *backend;
static struct sb_rpc_backend table;
static struct sb_arena arena;

static sb_err take(void *ctx, const struct sb_evidence *list, size_t count)
{
    (void)ctx;
    for (size_t i = 0; i < count; i++) {
        fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &list[i], &n.f.diag));
    }
    return SB_OK;
}

static void open_backend(void)
{
    const struct sb_backend_options options = {.chain = n.f.chain,
                                               .mempool = n.f.mempool,
                                               .clock_ms = fixture_now_ms,
                                               .clock_ctx = &n.f,
                                               .evidence = take};
    fixture_check(&n.f, sb_backend_new(&backend, &options, &n.f.diag));
    table = sb_backend_table(backend);
}

static int setup(void **state)
{
    (void)state;
    net_init(&n);
    sb_arena_init(&arena, (size_t)64 << 20);
    return 0;
}

/* setup_staking: key i of the set, with a power of 10 + i, is account i's. */
static int setup_staking(void **state)
{
    static struct sb_genesis_operator operators[NET_VALIDATORS];
    (void)setup(state);
    for (size_t i = 0; i < NET_VALIDATORS; i++) {
        operators[i] = (struct sb_genesis_operator){
            .power = 10 + i, .addr = n.f.addrs[i], .commission_bps = 500, .moniker = "somebody"};
        memcpy(operators[i].key, n.keys[i].bytes, sizeof operators[i].key);
    }
    struct sb_predeploy_options options = {.governor = n.f.addrs[0],
                                           .deposit_per_byte = SB_DEPOSIT_PER_BYTE_DEFAULT,
                                           .operators = operators,
                                           .operator_count = NET_VALIDATORS,
                                           .staking = sb_staking_params_default()};
    fixture_check(&n.f, sb_predeploys_add(&n.f.genesis, &n.f.arena, &options, &n.f.diag));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sb_backend_free(backend);
    backend = NULL;
    sb_arena_fini(&arena);
    net_fini(&n);
    return 0;
}

static void steps(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)net_step(&n);
    }
}

static uint64_t head_number(void)
{
    return net_head(&n).height;
}

static size_t pending_count(void)
{
    return sb_evidence_pool_count(sb_chain_evidence(n.f.chain));
}

/* told_count: pieces that peers are told of. */
static size_t told_count(void)
{
    const struct sb_evidence *list;
    size_t count;
    fixture_check(&n.f, n.table->evidence_pending(n.table->ctx, &arena, 16, &list, &count));
    return count;
}

static int64_t power_at(uint64_t height, size_t key)
{
    struct sb_validator_set set;
    fixture_check(&n.f, sb_chain_validators_at(&set, &n.f.arena, n.f.chain, height));
    int index = sb_validator_set_find(&set, &n.addrs[key]);
    return index < 0 ? 0 : set.validators[index].power;
}

/* ---- forging ---- */

/* own_header: of this chain at a height, to be changed. */
static struct sb_consensus_header own_header(uint64_t height)
{
    struct sb_chain_past past;
    fixture_check(&n.f, sb_chain_past(&past, &arena, n.f.chain, height));
    return past.header;
}

static struct sb_vote precommit(const struct sb_validator_set *set, size_t key,
                                const struct sb_consensus_header *header, int32_t round)
{
    sb_hash id = sb_consensus_block_id(header);
    return net_vote(&n, set, key, SB_VOTE_PRECOMMIT, header->height, round, &id);
}

/* lunatic: evidence against a key of the set of common_height. */
static struct sb_evidence lunatic(size_t key, uint64_t common_height,
                                  const struct sb_consensus_header *header, int32_t round)
{
    struct sb_validator_set set;
    struct sb_evidence evidence;
    fixture_check(&n.f, sb_chain_validators_at(&set, &arena, n.f.chain, common_height));
    struct sb_vote vote = precommit(&set, key, header, round);
    assert_int_equal(sb_evidence_make_lunatic(&evidence, common_height, &vote, header), SB_OK);
    return evidence;
}

/* forge: a light block of the liars alone: their own set, all of whom sign. */
static struct sb_light_block_parts forge(const struct sb_consensus_header *like)
{
    struct sb_light_block_parts parts = {.header = *like};
    struct sb_validator *own = sb_arena_array(&arena, LIARS, sizeof *own);
    struct sb_commit_sig *sigs = sb_arena_zalloc(&arena, LIARS * sizeof *sigs);
    for (size_t i = 0; i < LIARS; i++) {
        own[i] = (struct sb_validator){.key = n.keys[FIRST_LIAR + i], .power = 100};
    }
    assert_int_equal(sb_validator_set_make(&parts.validators, own, LIARS, NULL), SB_OK);
    parts.next_validators = parts.validators;
    parts.header.validators_hash = parts.header.next_validators_hash =
        sb_validator_set_hash(&parts.validators);
    parts.header.payload_hash.b[3] ^= 1;
    parts.header.last_block_id.b[3] ^= 1;
    for (size_t i = 0; i < LIARS; i++) {
        size_t key = net_key_of(&n, &parts.validators.validators[i].address);
        struct sb_vote vote = precommit(&parts.validators, key, &parts.header, 0);
        sigs[i] = (struct sb_commit_sig){.flag = SB_COMMIT_BLOCK, .signature = vote.signature};
    }
    parts.commit = (struct sb_commit){.height = parts.header.height,
                                      .block_id = sb_consensus_block_id(&parts.header),
                                      .sigs = sigs,
                                      .sig_count = LIARS};
    return parts;
}

/* ---- a light client between the chain and a liar ---- */

static struct sb_light_block_parts
    g_forged; /* what the liar shows of its height, and as its newest */

static sb_err put(struct sb_buf *out, const struct sb_light_block_parts *parts)
{
    sb_light_block_encode(out, parts);
    return sb_buf_err(out);
}

static sb_err honest(void *ctx, struct sb_buf *out, uint64_t height, struct sb_diag *diag)
{
    struct sb_light_block_parts parts;
    (void)ctx;
    (void)diag;
    SB_TRY(sb_chain_light_block(&parts, &arena, n.f.chain, height == 0 ? head_number() : height));
    return put(out, &parts);
}

static sb_err liar(void *ctx, struct sb_buf *out, uint64_t height, struct sb_diag *diag)
{
    return height == 0 || height == g_forged.header.height ? put(out, &g_forged)
                                                           : honest(ctx, out, height, diag);
}

/* deceive: a client that trusts block 2 is shown the forged block; what it finds. */
static struct sb_light_divergence deceive(void)
{
    struct sb_light_client *client;
    struct sb_light_divergence d;
    struct sb_diag diag = {.text = ""};
    const struct sb_light_client_options options = {
        .domain = *sb_chain_domain(n.f.chain),
        .trust = {.trusting_period = PERIOD_MS,
                  .clock_drift = NOW_MS_FAR,
                  .trust_numerator = 1,
                  .trust_denominator = 3},
        .primary = {.name = "liar", .light_block = liar},
        .witnesses = {{.name = "honest", .light_block = honest}},
        .witness_count = 1};
    fixture_check(&n.f, sb_light_client_new(&client, &options, &n.f.diag));
    struct sb_consensus_header second = own_header(2);
    sb_hash trusted = sb_consensus_block_id(&second);
    fixture_check(&n.f, sb_light_client_begin(client, 2, &trusted, &n.f.diag));
    sb_err err = sb_light_client_reach(client, 0, n.f.now_ms, &d, &diag);
    if (err != SB_E_CONFLICT) {
        fail_msg("expected a conflict, got: %s", diag.text);
    }
    sb_light_client_free(client);
    return d;
}

static size_t submit(const struct sb_buf *block, uint64_t common_height)
{
    struct sb_rpc_failure failure = {.code = 0};
    size_t accepted = 0;
    if (table.submit_evidence(table.ctx, &arena, sb_buf_bytes(block), common_height, &accepted,
                              &failure) != SB_OK) {
        fail_msg("%s", failure.message);
    }
    return accepted;
}

static struct sb_rpc_signing_info signing_info(size_t key)
{
    struct sb_rpc_signing_info info;
    struct sb_rpc_failure failure = {.code = 0};
    const struct sb_rpc_block_ref latest = {.by = SB_RPC_BY_TAG, .tag = SB_RPC_LATEST};
    assert_int_equal(table.signing_info(table.ctx, &n.addrs[key], &latest, &info, &failure), SB_OK);
    return info;
}

/* expect_slashed: the next block carries the evidence; the liars lose a twentieth and are out for ever; nobody else is touched. */
static void expect_slashed(uint64_t common_height, uint64_t header_height)
{
    struct sb_rpc_block_votes carried;
    steps(1);
    uint64_t height = head_number();
    assert_int_equal(table.block_votes(table.ctx, &arena, height, &carried), SB_OK);
    assert_int_equal(carried.evidence_count, LIARS);
    for (size_t i = 0; i < LIARS; i++) {
        assert_int_equal(carried.evidence[i].kind, SB_EVIDENCE_LUNATIC);
        assert_int_equal(sb_evidence_height(&carried.evidence[i]), common_height);
        assert_int_equal(carried.evidence[i].header.height, header_height);
        assert_true(net_key_of(&n, &carried.evidence[i].a.validator_address) >= FIRST_LIAR);
    }
    for (size_t key = 0; key < NET_VALIDATORS; key++) {
        bool is_liar = key >= FIRST_LIAR;
        assert_int_equal(signing_info(key).tombstoned, is_liar);
        assert_int_equal(power_at(height + 1, key), POWER(key));
        assert_int_equal(power_at(height + 2, key), is_liar ? 0 : POWER(key));
    }
    assert_int_equal(pending_count(), 0);
    assert_int_equal(sb_chain_system_counters(n.f.chain).failures, 0);
}

static void lunatic_attack_on_a_light_client_ends_in_slashing(void **state)
{
    (void)state;
    net_open(&n);
    open_backend();
    steps(6);
    struct sb_consensus_header like = own_header(5);
    g_forged = forge(&like);
    struct sb_light_divergence d = deceive();
    assert_true(d.is_lunatic);
    assert_int_equal(d.common_height, 2);
    assert_int_equal(d.height, 5);
    assert_int_equal(submit(&d.primary_block, d.common_height), LIARS);
    assert_int_equal(pending_count(), LIARS);
    sb_backend_free(backend); /* it is kept over a restart */
    net_close(&n);
    net_open(&n);
    open_backend();
    assert_int_equal(pending_count(), LIARS);
    expect_slashed(2, 5);
    submit(&d.primary_block, 3); /* another common height proves nothing new */
    assert_int_equal(pending_count(), 0);
    sb_light_divergence_fini(&d);
    steps(3);
    assert_int_equal(sb_chain_rotation(n.f.chain, head_number())->set.count,
                     NET_VALIDATORS - LIARS);
}

static void attack_above_the_head_ends_in_slashing(void **state)
{
    (void)state;
    net_open(&n);
    open_backend();
    steps(6);
    struct sb_consensus_header like = own_header(6);
    like.height = FORWARD;
    like.time_ms += 500; /* later than the head, which the witness has next */
    g_forged = forge(&like);
    steps(1);
    struct sb_light_divergence d = deceive();
    assert_true(d.is_lunatic);
    assert_int_equal(d.height, FORWARD);
    assert_int_equal(d.witness_height, 7);
    assert_int_equal(submit(&d.primary_block, d.common_height), LIARS);
    expect_slashed(2, FORWARD);
    sb_light_divergence_fini(&d);
}

/* ---- who is not guilty ---- */

static void expect_no_conviction(const struct sb_evidence *evidence, const char *text)
{
    size_t before = pending_count();
    sb_err err = n.table->evidence_add(n.table->ctx, evidence, &n.f.diag);
    assert_true(err == SB_OK || err == SB_E_REFUSED);
    assert_int_equal(pending_count(), before);
    struct sb_consensus_block block = net_decode(&n, net_build(&n));
    block.evidence = evidence;
    block.evidence_count = 1;
    net_expect_invalid(&n, net_encode(&n, &block), text);
}

/* Every field that a proposer may choose, or that only the body can judge, in any round: whoever signed such a header may have been right. */
static void header_that_follows_from_history_convicts_nobody(void **state)
{
    (void)state;
    net_open(&n);
    steps(6);
    struct sb_consensus_header free_choice[8];
    for (size_t i = 0; i < 8; i++) {
        free_choice[i] = own_header(5);
    }
    free_choice[0].time_ms += 1;
    free_choice[1].last_block_id.b[0] ^= 1; /* of a branch, should there be one */
    free_choice[2].last_commit_hash.b[0] ^= 1;
    free_choice[3].late_precommits_hash.b[0] ^= 1;
    free_choice[4].evidence_hash.b[0] ^= 1;
    free_choice[5].payload_hash.b[0] ^= 1;
    free_choice[6].proposer.b[0] ^= 1;
    free_choice[7].extension_root.b[0] ^= 1;
    for (size_t i = 0; i < 8; i++) {
        for (int32_t round = 0; round < 2; round++) {
            struct sb_evidence evidence = lunatic(i % NET_VALIDATORS, 4, &free_choice[i], round);
            assert_int_equal(n.table->evidence_add(n.table->ctx, &evidence, &n.f.diag),
                             SB_E_REFUSED);
            expect_no_conviction(&evidence, "does not contradict");
        }
    }
    struct sb_consensus_header own = own_header(5); /* the block itself, too */
    struct sb_evidence evidence = lunatic(0, 5, &own, 0);
    expect_no_conviction(&evidence, "does not contradict");
}

static void each_field_that_history_decides_convicts(void **state)
{
    (void)state;
    net_open(&n);
    steps(6);
    struct sb_consensus_header forged[3] = {own_header(5), own_header(5), own_header(5)};
    forged[0].validators_hash.b[31] ^= 1;
    forged[1].next_validators_hash.b[31] ^= 1;
    forged[2].params_hash.b[31] ^= 1;
    for (size_t i = 0; i < 3; i++) {
        struct sb_evidence evidence = lunatic(i, 5 - i, &forged[i], (int32_t)i);
        fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &evidence, &n.f.diag));
        assert_int_equal(pending_count(), i + 1);
    }
    struct sb_consensus_block block = net_decode(&n, net_step(&n));
    assert_int_equal(block.evidence_count, 3);
}

static void header_above_the_head_convicts_by_its_time_and_set_alone(void **state)
{
    (void)state;
    net_open(&n);
    steps(6);
    struct sb_consensus_header early =
        own_header(6); /* the set of the branch is the chain's: not yet */
    early.height = 9;
    struct sb_evidence evidence = lunatic(1, 6, &early, 0);
    expect_no_conviction(&evidence, "does not contradict");
    struct sb_consensus_header late = early;
    late.validators_hash.b[0] ^= 1;
    late.time_ms += 1;
    evidence = lunatic(1, 6, &late, 0);
    expect_no_conviction(&evidence, "does not contradict");
    late.time_ms -= 1;
    evidence = lunatic(1, 6, &late, 0);
    fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &evidence, &n.f.diag));
    struct sb_consensus_block block = net_decode(&n, net_step(&n));
    assert_int_equal(block.evidence_count, 1);
    steps(3); /* the chain passes the height */
    assert_true(head_number() > late.height);
    evidence = lunatic(2, 6, &late, 0);
    fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &evidence, &n.f.diag));
    assert_int_equal(pending_count(), 1); /* and contradicts it still */
}

/* ---- form, age, once ---- */

static void false_evidence_is_refused(void **state)
{
    (void)state;
    net_open(&n);
    steps(6);
    struct sb_consensus_header forged = own_header(5);
    forged.params_hash.b[0] ^= 1;
    struct sb_evidence good = lunatic(1, 4, &forged, 0), bad = good;
    bad.a.signature.bytes[5] ^= 1;
    expect_no_conviction(&bad, "signature");
    bad = good;
    bad.a.validator_index ^= 1;
    expect_no_conviction(&bad, "evidence");
    bad = good;
    bad.header.time_ms++;
    expect_no_conviction(&bad, "no precommit for the header");
    bad = good;
    bad.common_height = 6; /* above the header */
    expect_no_conviction(&bad, "common height");
    struct sb_consensus_header high = forged;
    high.height = 9;
    bad = lunatic(1, 6, &high, 0);
    bad.common_height = 7; /* the block's own height */
    expect_no_conviction(&bad, "earlier height");
    struct sb_evidence twice[2] = {good, good};
    struct sb_consensus_block block = net_decode(&n, net_build(&n));
    twice[1].common_height = 3;
    block.evidence = twice;
    block.evidence_count = 2;
    net_expect_invalid(&n, net_encode(&n, &block), "out of order"); /* one for each validator */
    struct sb_vote vote = good.a;
    vote.type = SB_VOTE_PREVOTE;
    assert_int_equal(sb_evidence_make_lunatic(&bad, 4, &vote, &forged), SB_E_ARG);
    block.evidence_count = 1;
    net_accept(&n, net_encode(&n, &block)); /* nobody need have told us of it before */
    assert_int_equal(pending_count(), 0);
}

static void lunatic_is_convicted_once(void **state)
{
    (void)state;
    net_open(&n);
    steps(6);
    struct sb_consensus_header forged = own_header(5), other = own_header(4);
    forged.params_hash.b[0] ^= 1;
    other.params_hash.b[1] ^= 1;
    struct sb_evidence first = lunatic(1, 4, &forged, 0);
    fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &first, &n.f.diag));
    struct sb_evidence second = lunatic(1, 3, &other, 2);
    fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &second, &n.f.diag));
    assert_int_equal(pending_count(), 1); /* it is enough */
    (void)net_step(&n);
    assert_int_equal(pending_count(), 0);
    expect_no_conviction(&first, "committed before");
    expect_no_conviction(&second, "committed before");
    net_close(&n);
    net_open(&n);
    expect_no_conviction(&second, "committed before");
}

static void lunatic_evidence_ages_by_the_common_height(void **state)
{
    (void)state;
    n.f.genesis.params.evidence_age_blocks_max = 4;
    n.f.genesis.params.evidence_age_ms_max = 1;
    net_open(&n);
    steps(8);
    struct sb_consensus_header forged = own_header(8);
    forged.params_hash.b[0] ^= 1;
    struct sb_evidence evidence = lunatic(1, 4, &forged, 0); /* block 9 is 5 above it */
    expect_no_conviction(&evidence, "too old");
    evidence = lunatic(1, 5, &forged, 0);
    fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &evidence, &n.f.diag));
    assert_int_equal(pending_count(), 1);
    n.f.now_ms += 1000;
    struct sb_consensus_block block = net_decode(&n, net_step(&n));
    assert_int_equal(block.evidence_count, 1);
}

/* leave: key 3 leaves the set with block 2, in force at 4. */
static sb_err leave(void *ctx, struct sb_arena *a, uint64_t height,
                    const struct sb_block_result *result,
                    const struct sb_validator_change **ret_changes, size_t *ret_count)
{
    static struct sb_validator_change change;
    (void)ctx;
    (void)a;
    (void)result;
    change = (struct sb_validator_change){.key = n.keys[3], .power = 0};
    *ret_changes = &change;
    *ret_count = height == 2 ? 1 : 0;
    return SB_OK;
}

static void validator_that_has_left_answers_for_the_time_in_the_set(void **state)
{
    (void)state;
    net_open(&n);
    sb_chain_set_update_source(n.f.chain, leave, NULL);
    steps(7);
    assert_int_equal(power_at(4, 3), 0);
    struct sb_consensus_header forged = own_header(6);
    forged.validators_hash = own_header(3).validators_hash; /* the set in which it was */
    struct sb_evidence evidence = lunatic(3, 3, &forged, 0);
    fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &evidence, &n.f.diag));
    evidence.common_height = 4;
    evidence.a.validator_index = 2;
    assert_int_equal(n.table->evidence_add(n.table->ctx, &evidence, &n.f.diag), SB_OK);
    assert_int_equal(pending_count(), 1);
    struct sb_consensus_block block = net_decode(&n, net_build(&n));
    assert_int_equal(block.evidence_count, 1);
    assert_int_equal(block.evidence[0].common_height, 3);
    block.evidence = &evidence;
    net_expect_invalid(&n, net_encode(&n, &block), "evidence");
    steps(1);
    assert_int_equal(pending_count(), 0);
}

/* A header that its signer sends too late for the next block, and which is none of a lunatic from then on: the set of its height is the one
 * that it names. It must not keep out what convicts him. */
static void piece_that_history_overtakes_makes_room_for_another(void **state)
{
    (void)state;
    net_open(&n);
    sb_chain_set_update_source(n.f.chain, leave, NULL);
    steps(2);
    struct sb_validator_set next;
    fixture_check(&n.f, sb_chain_validators_at(&next, &arena, n.f.chain, 4));
    struct sb_consensus_header shield = own_header(2);
    shield.height = 4;
    shield.validators_hash = shield.next_validators_hash = sb_validator_set_hash(&next);
    struct sb_evidence evidence = lunatic(1, 2, &shield, 0);
    sb_bytes third = net_build(&n);
    fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &evidence, &n.f.diag));
    assert_int_equal(pending_count(), 1);
    net_accept(&n, third);
    steps(2);
    assert_int_equal(pending_count(), 1);
    assert_int_equal(told_count(), 0); /* peers would hold it for false */
    struct sb_consensus_header forged = own_header(5);
    forged.params_hash.b[0] ^= 1;
    evidence = lunatic(1, 4, &forged, 0);
    fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &evidence, &n.f.diag));
    assert_int_equal(pending_count(), 1);
    assert_int_equal(told_count(), 1);
    net_close(&n); /* what is kept is the new piece, also on disk */
    net_open(&n);
    sb_chain_set_update_source(n.f.chain, leave, NULL);
    assert_int_equal(pending_count(), 1);
    struct sb_consensus_block block = net_decode(&n, net_step(&n));
    assert_int_equal(block.evidence_count, 1);
    assert_int_equal(block.evidence[0].header.height, 5);
    assert_int_equal(pending_count(), 0);
}

/* A peer can ask for the age of any height while another thread prunes. */
static void evidence_of_a_height_that_is_being_pruned_is_ignored(void **state)
{
    (void)state;
    n.f.genesis.params.evidence_age_blocks_max = 4;
    n.f.genesis.params.evidence_age_ms_max = 1;
    n.f.history_blocks = 2;
    net_open(&n);
    steps(12);
    struct sb_consensus_header forged = own_header(12);
    forged.params_hash.b[0] ^= 1;
    struct sb_evidence evidence = lunatic(1, 2, &forged, 0);
    fixture_check(&n.f, sb_store_prune(n.f.chain->store, 6, &n.f.diag));
    atomic_store(&n.f.chain->store->oldest, 5); /* its blocks go before it moves */
    fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &evidence, &n.f.diag));
    assert_int_equal(pending_count(), 0);
    atomic_store(&n.f.chain->store->oldest, 6);
    fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &evidence, &n.f.diag));
    assert_int_equal(pending_count(), 0);
    steps(1);
}

static void double_vote_and_lunatic_of_one_validator_are_in_one_block(void **state)
{
    (void)state;
    net_open(&n);
    steps(6);
    struct sb_validator_set set;
    struct sb_evidence twice;
    struct sb_consensus_header forged = own_header(5);
    forged.params_hash.b[0] ^= 1;
    fixture_check(&n.f, sb_chain_validators_at(&set, &arena, n.f.chain, 1));
    const sb_hash ids[2] = {{{1}}, {{2}}};
    struct sb_vote x = net_vote(&n, &set, 1, SB_VOTE_PREVOTE, 1, 0, &ids[0]);
    struct sb_vote y = net_vote(&n, &set, 1, SB_VOTE_PREVOTE, 1, 0, &ids[1]);
    assert_int_equal(sb_evidence_make(&twice, &x, &y), SB_OK);
    struct sb_evidence evidence = lunatic(1, 4, &forged, 0);
    fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &twice, &n.f.diag));
    fixture_check(&n.f, n.table->evidence_add(n.table->ctx, &evidence, &n.f.diag));
    struct sb_consensus_block block = net_decode(&n, net_step(&n));
    assert_int_equal(block.evidence_count, 2);
    assert_int_equal(block.evidence[0].kind, SB_EVIDENCE_LUNATIC);
    assert_int_equal(block.evidence[1].kind, SB_EVIDENCE_DUPLICATE_VOTE);
}

int main(void)
{
#define CASE(name)    cmocka_unit_test_setup_teardown(name, setup, teardown)
#define STAKING(name) cmocka_unit_test_setup_teardown(name, setup_staking, teardown)
    const struct CMUnitTest tests[] = {
        STAKING(lunatic_attack_on_a_light_client_ends_in_slashing),
        STAKING(attack_above_the_head_ends_in_slashing),
        CASE(header_that_follows_from_history_convicts_nobody),
        CASE(each_field_that_history_decides_convicts),
        CASE(header_above_the_head_convicts_by_its_time_and_set_alone),
        CASE(false_evidence_is_refused),
        CASE(lunatic_is_convicted_once),
        CASE(lunatic_evidence_ages_by_the_common_height),
        CASE(validator_that_has_left_answers_for_the_time_in_the_set),
        CASE(piece_that_history_overtakes_makes_room_for_another),
        CASE(evidence_of_a_height_that_is_being_pruned_is_ignored),
        CASE(double_vote_and_lunatic_of_one_validator_are_in_one_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
