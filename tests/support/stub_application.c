/* stub_application.c: see stub_application.h. */
#include "tests/support/stub_application.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/codec/rlp.h"
#include "base/crypto/ed25519.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "base/util/endian.h"

#define POOL_MAX             4096
#define EVIDENCE_PENDING_MAX 64
#define CHANGES_MAX          64
#define ROTATIONS            6 /* heights head - 1 to head + 2, and two of grace */
#define BLOCK_OVERHEAD_BYTES ((uint64_t)256 * 1024)
#define SCRATCH_BYTES_MAX    ((size_t)64 << 20)

struct stored_block {
    uint8_t *encoded; /* owned */
    size_t encoded_len;
    struct sb_commit commit;
    struct sb_commit_sig *sigs; /* owned; commit.sigs */
    sb_hash block_id;
    uint64_t time_ms;
    sb_hash state;
    sb_hash randomness;
};

struct pooled {
    uint8_t *data; /* owned */
    size_t len;
};

/* The set of `from` and of all heights until the next entry's. */
struct stored_set {
    uint64_t from;
    struct sb_validator *validators; /* owned */
    struct sb_validator_set set;
};

struct stub_application {
    struct stub_application_options options;
    struct stored_block *blocks; /* blocks[0] is genesis */
    size_t block_count, block_capacity;
    struct stored_set *sets;
    size_t set_count, set_capacity;
    struct sb_rotation rotations[ROTATIONS]; /* of height h at h % ROTATIONS */

    struct pooled pool[POOL_MAX];
    size_t pool_count;
    struct sb_evidence pending[EVIDENCE_PENDING_MAX];
    size_t pending_count;
    struct sb_evidence *punished; /* of committed blocks */
    size_t punished_count, punished_capacity;
    uint64_t executed;
};

struct sb_application_block {
    uint8_t *encoded;
    size_t encoded_len;
    uint64_t height;
    sb_hash block_id;
    uint64_t time_ms;
    sb_hash state;
    sb_hash randomness;
};

static void *grow(void *items, size_t *capacity, size_t count, size_t elem_bytes)
{
    if (count == *capacity) {
        *capacity = *capacity == 0 ? 16 : 2 * *capacity;
        items = realloc(items, *capacity * elem_bytes);
        SB_ASSERT(items != NULL);
    }
    return items;
}

static uint8_t *copy_bytes(sb_bytes bytes)
{
    uint8_t *copy = malloc(bytes.len + 1);
    SB_ASSERT(copy != NULL);
    sb_copy(copy, bytes.data, bytes.len);
    return copy;
}

static struct stored_block *head_block(const struct stub_application *app)
{
    return &app->blocks[app->block_count - 1];
}

uint64_t stub_application_height(const struct stub_application *app)
{
    return app->block_count - 1;
}

/* ---- sets ---- */

static void set_store(struct stub_application *app, uint64_t height,
                      const struct sb_validator_set *set)
{
    if (app->set_count != 0) {
        sb_hash last = sb_validator_set_hash(&app->sets[app->set_count - 1].set);
        sb_hash next = sb_validator_set_hash(set);
        if (sb_hash_equal(&last, &next)) {
            return;
        }
    }
    app->sets = grow(app->sets, &app->set_capacity, app->set_count, sizeof *app->sets);
    struct stored_set *stored = &app->sets[app->set_count++];
    *stored = (struct stored_set){.from = height, .set = *set};
    stored->validators = calloc(set->count, sizeof *stored->validators);
    SB_ASSERT(stored->validators != NULL);
    memcpy(stored->validators, set->validators, set->count * sizeof *stored->validators);
    stored->set.validators = stored->validators;
}

struct sb_validator_set stub_application_set(const struct stub_application *app, uint64_t height)
{
    SB_ASSERT(height >= 1 && height <= stub_application_height(app) + 2);
    size_t i = app->set_count - 1;
    while (app->sets[i].from > height) {
        i--;
    }
    return app->sets[i].set;
}

/* rotation_next: the rotation of height + 2, after the block of `height`. */
static void rotation_next(struct stub_application *app, const struct sb_consensus_block *block)
{
    const uint64_t height = block->header.height;
    const struct stub_hooks *hooks = &app->options.hooks;
    struct sb_rotation *next = &app->rotations[(height + 2) % ROTATIONS];
    sb_rotation_copy(next, &app->rotations[(height + 1) % ROTATIONS]);
    struct sb_validator_change changes[CHANGES_MAX];
    size_t count =
        hooks->changes != NULL ? hooks->changes(hooks->ctx, block, changes, CHANGES_MAX) : 0;
    SB_ASSERT(count == 0 || sb_rotation_update(next, changes, count, NULL) == SB_OK);
    sb_rotation_advance(next, 1);
    set_store(app, height + 2, &next->set);
}

/* ---- payloads ---- */

static sb_hash next_state(const sb_hash *last, sb_bytes transactions)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SCRATCH_BYTES_MAX);
    sb_buf_add(&buf, last->b, sizeof last->b);
    sb_buf_add(&buf, transactions.data, transactions.len);
    sb_hash state = sb_keccak256(sb_buf_bytes(&buf));
    sb_buf_fini(&buf);
    return state;
}

/* payload_parse: *ret_transactions is the encoded list. */
static sb_err payload_parse(sb_hash *ret_state, sb_bytes *ret_transactions, sb_bytes payload)
{
    struct sb_rlp in = sb_rlp_open(payload), fields;
    struct sb_rlp_item transactions, padding;
    SB_TRY(sb_rlp_read_list(&fields, &in));
    SB_TRY(sb_rlp_read_hash(ret_state, &fields));
    SB_TRY(sb_rlp_read_item(&transactions, &fields));
    SB_TRY(sb_rlp_read_item(&padding, &fields));
    SB_TRY(sb_rlp_end(&fields));
    *ret_transactions = transactions.raw;
    return transactions.kind == SB_RLP_LIST ? SB_OK : SB_E_TYPE;
}

/* pool_encode: transactions that fit, as a list; returns how many. */
static size_t pool_encode(struct sb_buf *out, const struct stub_application *app, uint64_t room)
{
    size_t count = 0;
    size_t list = sb_rlp_list_begin(out);
    for (; count < app->pool_count; count++) {
        sb_bytes transaction = sb_span(app->pool[count].data, app->pool[count].len);
        if (sb_rlp_size(transaction) > room) {
            break;
        }
        room -= sb_rlp_size(transaction);
        sb_rlp_put_bytes(out, transaction);
    }
    sb_rlp_list_end(out, list);
    return count;
}

static sb_err payload_build(struct sb_buf *out, const struct stub_application *app, uint64_t height,
                            bool *ret_has_transactions)
{
    const struct stub_application_options *o = &app->options;
    uint64_t used = BLOCK_OVERHEAD_BYTES + o->padding_bytes;
    struct sb_buf transactions;
    sb_buf_init(&transactions, SB_CONSENSUS_BLOCK_BYTES_MAX);
    *ret_has_transactions =
        pool_encode(&transactions, app,
                    o->block_bytes_max > used ? o->block_bytes_max - used : 0) != 0;
    sb_hash state = next_state(&head_block(app)->state, sb_buf_bytes(&transactions));
    if (o->hooks.forge != NULL && o->hooks.forge(o->hooks.ctx, height)) {
        state.b[0] ^= 1;
    }
    uint8_t *padding = calloc(o->padding_bytes + 1, 1);
    SB_ASSERT(padding != NULL);
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_hash(out, &state);
    sb_rlp_put_raw(out, sb_buf_bytes(&transactions));
    sb_rlp_put_bytes(out, sb_span(padding, o->padding_bytes));
    sb_rlp_list_end(out, list);
    free(padding);
    sb_err err = sb_buf_err(&transactions);
    sb_buf_fini(&transactions);
    return err == SB_OK ? sb_buf_err(out) : err;
}

/* ---- evidence ---- */

static bool evidence_is_same(const struct sb_evidence *x, const struct sb_evidence *y)
{
    return x->a.type == y->a.type && x->a.height == y->a.height && x->a.round == y->a.round &&
           sb_addr_equal(&x->a.validator_address, &y->a.validator_address);
}

static bool evidence_is_in(const struct sb_evidence *list, size_t count,
                           const struct sb_evidence *evidence)
{
    for (size_t i = 0; i < count; i++) {
        if (evidence_is_same(&list[i], evidence)) {
            return true;
        }
    }
    return false;
}

static int evidence_compare(const void *x, const void *y)
{
    const struct sb_vote *a = &((const struct sb_evidence *)x)->a;
    const struct sb_vote *b = &((const struct sb_evidence *)y)->a;
    if (a->height != b->height) {
        return a->height < b->height ? -1 : 1;
    }
    if (a->round != b->round) {
        return a->round < b->round ? -1 : 1;
    }
    if (a->type != b->type) {
        return a->type < b->type ? -1 : 1;
    }
    return memcmp(a->validator_address.b, b->validator_address.b, sizeof a->validator_address.b);
}

static sb_err evidence_add(void *ctx, const struct sb_evidence *evidence, struct sb_diag *diag)
{
    struct stub_application *app = ctx;
    if (evidence->a.height > stub_application_height(app) + 1) {
        return sb_fail(diag, SB_E_ARG, "evidence of a height to come");
    }
    if (app->pending_count < EVIDENCE_PENDING_MAX &&
        !evidence_is_in(app->pending, app->pending_count, evidence) &&
        !evidence_is_in(app->punished, app->punished_count, evidence)) {
        app->pending[app->pending_count++] = *evidence;
        qsort(app->pending, app->pending_count, sizeof app->pending[0], evidence_compare);
    }
    return SB_OK;
}

static sb_err evidence_pending(void *ctx, struct sb_arena *arena, size_t max,
                               const struct sb_evidence **ret_list, size_t *ret_count)
{
    struct stub_application *app = ctx;
    size_t count = app->pending_count < max ? app->pending_count : max;
    struct sb_evidence *list = sb_arena_array(arena, count, sizeof *list);
    if (list == NULL) {
        return SB_E_NOMEM;
    }
    sb_copy(list, app->pending, count * sizeof *list);
    *ret_list = list;
    *ret_count = count;
    return SB_OK;
}

/* pending_settle: evidence of a committed block leaves the pool for ever. */
static void pending_settle(struct stub_application *app, const struct sb_consensus_block *block)
{
    for (size_t i = 0; i < block->evidence_count; i++) {
        app->punished = grow(app->punished, &app->punished_capacity, app->punished_count,
                             sizeof *app->punished);
        app->punished[app->punished_count++] = block->evidence[i];
    }
    size_t kept = 0;
    for (size_t i = 0; i < app->pending_count; i++) {
        if (!evidence_is_in(block->evidence, block->evidence_count, &app->pending[i])) {
            app->pending[kept++] = app->pending[i];
        }
    }
    app->pending_count = kept;
}

/* ---- questions about the chain ---- */

static struct sb_application_head head(void *ctx)
{
    const struct stub_application *app = ctx;
    const struct stored_block *last = head_block(app);
    return (struct sb_application_head){.height = stub_application_height(app),
                                        .block_id = last->block_id,
                                        .time_ms = last->time_ms,
                                        .randomness = last->randomness,
                                        .timeliness = app->options.timeliness,
                                        .min_block_interval_ms = app->options.min_block_interval_ms,
                                        .block_bytes_max = app->options.block_bytes_max};
}

static const struct sb_chain_domain *domain(void *ctx)
{
    const struct stub_application *app = ctx;
    return &app->options.domain;
}

static const struct sb_rotation *rotation(void *ctx, uint64_t height)
{
    const struct stub_application *app = ctx;
    uint64_t now = stub_application_height(app);
    if (height == 0 || height + 1 < now || height > now + 2) {
        return NULL;
    }
    return &app->rotations[height % ROTATIONS];
}

static bool version_known(void *ctx, uint64_t height, char ret_reason[256])
{
    const struct stub_application *app = ctx;
    const struct stub_hooks *hooks = &app->options.hooks;
    if (hooks->version_known == NULL || hooks->version_known(hooks->ctx, height)) {
        return true;
    }
    (void)snprintf(ret_reason, 256, "height %llu needs a newer program",
                   (unsigned long long)height);
    return false;
}

static sb_err stored(void *ctx, struct sb_arena *arena, uint64_t height, sb_bytes *ret_encoded,
                     struct sb_commit *ret_commit)
{
    const struct stub_application *app = ctx;
    if (height == 0 || height > stub_application_height(app)) {
        return SB_E_NOT_FOUND;
    }
    const struct stored_block *block = &app->blocks[height];
    const uint8_t *encoded = sb_arena_dup(arena, sb_span(block->encoded, block->encoded_len));
    struct sb_commit_sig *sigs = sb_arena_array(arena, block->commit.sig_count, sizeof *sigs);
    if (encoded == NULL || sigs == NULL) {
        return SB_E_NOMEM;
    }
    memcpy(sigs, block->sigs, block->commit.sig_count * sizeof *sigs);
    *ret_encoded = sb_span(encoded, block->encoded_len);
    *ret_commit = block->commit;
    ret_commit->sigs = sigs;
    return SB_OK;
}

static uint64_t oldest_block(void *ctx)
{
    (void)ctx;
    return 1;
}

/* ---- making blocks ---- */

static sb_hash params_hash(void)
{
    return sb_keccak256(sb_span_str("stub parameters"));
}

/* body_hashes: what the header says of the body. */
static sb_err body_hashes(struct sb_consensus_block *block)
{
    struct sb_consensus_header *h = &block->header;
    SB_TRY(sb_commit_hash(&h->last_commit_hash, &block->last_commit));
    SB_TRY(sb_late_precommits_hash(&h->late_precommits_hash, block->late_precommits,
                                   block->late_precommit_count));
    SB_TRY(sb_evidence_list_hash(&h->evidence_hash, block->evidence, block->evidence_count));
    h->payload_hash = sb_keccak256(block->payload);
    return SB_OK;
}

static sb_err header_fill(struct sb_consensus_block *block, const struct stub_application *app)
{
    struct sb_consensus_header *h = &block->header;
    struct sb_validator_set set = stub_application_set(app, h->height);
    struct sb_validator_set next = stub_application_set(app, h->height + 1);
    h->version = SB_CONSENSUS_VERSION;
    h->chain_id = app->options.domain.chain_id;
    h->last_block_id = head_block(app)->block_id;
    h->validators_hash = sb_validator_set_hash(&set);
    h->next_validators_hash = sb_validator_set_hash(&next);
    h->params_hash = params_hash();
    return body_hashes(block);
}

static sb_err prepare(void *ctx, struct sb_arena *arena, const struct sb_application_draft *draft,
                      sb_bytes *ret_encoded, sb_hash *ret_block_id, bool *ret_has_transactions,
                      struct sb_diag *diag)
{
    struct stub_application *app = ctx;
    const struct stub_hooks *hooks = &app->options.hooks;
    if (hooks->executing != NULL) {
        hooks->executing(hooks->ctx, draft->height);
    }
    struct sb_buf payload, out;
    sb_buf_init(&payload, SB_CONSENSUS_BLOCK_BYTES_MAX);
    sb_buf_init(&out, SB_CONSENSUS_BLOCK_BYTES_MAX);
    bool has_transactions;
    sb_err err = payload_build(&payload, app, draft->height, &has_transactions);
    struct sb_consensus_block block = {
        .header = {.height = draft->height,
                   .time_ms = draft->time_ms,
                   .proposer = draft->proposer,
                   .randomness_proof_len = SB_RANDOMNESS_PROOF_BYTES},
        .last_commit = draft->last_commit,
        .late_precommits = draft->late_precommits,
        .late_precommit_count = draft->late_precommit_count,
        .payload = sb_buf_bytes(&payload)};
    memcpy(block.header.randomness_proof, draft->randomness_proof, SB_RANDOMNESS_PROOF_BYTES);
    block.evidence = app->pending;
    while (block.evidence_count < app->pending_count &&
           app->pending[block.evidence_count].a.height < draft->height) {
        block.evidence_count++;
    }
    err = err == SB_OK ? header_fill(&block, app) : err;
    if (err == SB_OK) {
        sb_consensus_block_encode(&out, &block);
        err = sb_buf_err(&out);
    }
    const uint8_t *encoded = err == SB_OK ? sb_arena_dup(arena, sb_buf_bytes(&out)) : NULL;
    if (encoded != NULL) {
        *ret_encoded = sb_span(encoded, out.len);
        *ret_block_id = sb_consensus_block_id(&block.header);
        *ret_has_transactions = has_transactions;
    }
    sb_buf_fini(&payload);
    sb_buf_fini(&out);
    return encoded != NULL ? SB_OK : sb_fail(diag, SB_E_NOMEM, "the block cannot be built");
}

/* ---- judging blocks ---- */

static sb_err differs(struct sb_diag *diag, const char *what)
{
    return sb_fail(diag, SB_E_ARG, "%s differs", what);
}

/* is_bound: the body is the one that the header names. */
static bool is_bound(const struct sb_consensus_block *b)
{
    struct sb_consensus_block expected = *b;
    sb_hash id = sb_consensus_block_id(&b->header), expected_id;
    if (body_hashes(&expected) != SB_OK) {
        return false;
    }
    expected_id = sb_consensus_block_id(&expected.header);
    return sb_hash_equal(&id, &expected_id);
}

static sb_err check_header(const struct stub_application *app, const struct sb_consensus_block *b,
                           struct sb_diag *diag)
{
    struct sb_consensus_block expected = *b;
    SB_TRY(header_fill(&expected, app));
    if (b->header.time_ms <= head_block(app)->time_ms) {
        return sb_fail(diag, SB_E_ARG, "the time is not after the last block's");
    }
    struct sb_validator_set set = stub_application_set(app, b->header.height);
    if (sb_validator_set_find(&set, &b->header.proposer) < 0) {
        return sb_fail(diag, SB_E_ARG, "the proposer is no validator");
    }
    sb_hash id = sb_consensus_block_id(&b->header);
    sb_hash expected_id = sb_consensus_block_id(&expected.header);
    return sb_hash_equal(&id, &expected_id) ? SB_OK : differs(diag, "the header");
}

static sb_err check_last_commit(const struct stub_application *app,
                                const struct sb_consensus_block *b, struct sb_diag *diag)
{
    uint64_t height = stub_application_height(app);
    if (height == 0) {
        return b->last_commit.sig_count == 0 ? SB_OK : differs(diag, "the commit of genesis");
    }
    struct sb_validator_set set = stub_application_set(app, height);
    return sb_commit_verify(&b->last_commit, height, &head_block(app)->block_id, &set,
                            &app->options.domain, &app->options.verifier, diag);
}

static sb_err check_late(const struct stub_application *app, struct sb_arena *arena,
                         const struct sb_consensus_block *b, struct sb_diag *diag)
{
    if (b->late_precommit_count == 0) {
        return SB_OK;
    }
    if (b->header.height < 3) {
        return differs(diag, "late precommits of no height");
    }
    struct sb_consensus_block last;
    SB_TRY(sb_consensus_block_decode(
        &last, arena, sb_span(head_block(app)->encoded, head_block(app)->encoded_len), diag));
    struct sb_validator_set set = stub_application_set(app, b->header.height - 2);
    for (size_t i = 0; i < b->late_precommit_count; i++) {
        const struct sb_vote *vote = &b->late_precommits[i];
        if (vote->type != SB_VOTE_PRECOMMIT || vote->height != b->header.height - 2 ||
            (i != 0 && vote->validator_index <= vote[-1].validator_index)) {
            return differs(diag, "the form of a late precommit");
        }
        SB_TRY(sb_vote_verify(vote, &set, &app->options.domain, &app->options.verifier, diag));
        if (last.last_commit.sigs[vote->validator_index].flag != SB_COMMIT_ABSENT) {
            return differs(diag, "a late precommit that was in time");
        }
    }
    return SB_OK;
}

static sb_err check_evidence(const struct stub_application *app, const struct sb_consensus_block *b,
                             struct sb_diag *diag)
{
    for (size_t i = 0; i < b->evidence_count; i++) {
        const struct sb_evidence *evidence = &b->evidence[i];
        if (evidence->a.height >= b->header.height ||
            (i != 0 && evidence_compare(&evidence[-1], evidence) >= 0) ||
            evidence_is_in(app->punished, app->punished_count, evidence)) {
            return differs(diag, "evidence");
        }
        struct sb_validator_set set = stub_application_set(app, evidence->a.height);
        SB_TRY(
            sb_evidence_verify(evidence, &set, &app->options.domain, &app->options.verifier, diag));
    }
    return SB_OK;
}

/* check_randomness: the proposer is in the set: check_header. */
static sb_err check_randomness(sb_hash *ret_randomness, const struct stub_application *app,
                               const struct sb_consensus_block *b, struct sb_diag *diag)
{
    const struct sb_consensus_header *h = &b->header;
    const struct sb_randomness_input input = {.height = h->height,
                                              .last = head_block(app)->randomness};
    struct sb_validator_set set = stub_application_set(app, h->height);
    int proposer = sb_validator_set_find(&set, &h->proposer);
    return sb_randomness_verify(ret_randomness, &input, &set.validators[proposer].key,
                                sb_span(h->randomness_proof, h->randomness_proof_len),
                                &app->options.domain, &app->options.verifier, diag);
}

static sb_err check_block(sb_hash *ret_state, sb_hash *ret_randomness,
                          const struct stub_application *app, struct sb_arena *arena,
                          const struct sb_consensus_block *b, struct sb_diag *diag)
{
    if (b->header.height != stub_application_height(app) + 1) {
        return differs(diag, "the height");
    }
    SB_TRY(check_header(app, b, diag));
    SB_TRY(check_randomness(ret_randomness, app, b, diag));
    SB_TRY(check_last_commit(app, b, diag));
    SB_TRY(check_late(app, arena, b, diag));
    SB_TRY(check_evidence(app, b, diag));
    sb_hash claimed;
    sb_bytes transactions;
    if (payload_parse(&claimed, &transactions, b->payload) != SB_OK) {
        return differs(diag, "the payload's form");
    }
    sb_hash state = next_state(&head_block(app)->state, transactions);
    if (!sb_hash_equal(&state, &claimed)) {
        return differs(diag, "the state");
    }
    const struct stub_hooks *hooks = &app->options.hooks;
    sb_hash id = sb_consensus_block_id(&b->header);
    if (hooks->refuse != NULL && hooks->refuse(hooks->ctx, b->header.height, &id)) {
        return sb_fail(diag, SB_E_REFUSED, "the test refuses this block");
    }
    *ret_state = state;
    return SB_OK;
}

static struct sb_application_block *executed_new(const struct sb_consensus_block *block,
                                                 sb_bytes encoded, const sb_hash *state,
                                                 const sb_hash *randomness)
{
    struct sb_application_block *made = calloc(1, sizeof *made);
    SB_ASSERT(made != NULL);
    *made = (struct sb_application_block){.encoded = copy_bytes(encoded),
                                          .encoded_len = encoded.len,
                                          .height = block->header.height,
                                          .block_id = sb_consensus_block_id(&block->header),
                                          .time_ms = block->header.time_ms,
                                          .state = *state,
                                          .randomness = *randomness};
    return made;
}

static sb_err process(void *ctx, sb_bytes encoded, struct sb_application_verdict *ret_verdict,
                      struct sb_application_block **ret_block, struct sb_diag *diag)
{
    (void)diag;
    struct stub_application *app = ctx;
    const struct stub_hooks *hooks = &app->options.hooks;
    struct sb_arena arena;
    struct sb_consensus_block block;
    struct sb_diag why = {.text = ""};
    sb_hash state, randomness;
    app->executed++;
    if (hooks->executing != NULL) {
        hooks->executing(hooks->ctx, stub_application_height(app) + 1);
    }
    memset(ret_verdict, 0, sizeof *ret_verdict);
    *ret_block = NULL;
    if (hooks->undecided != NULL &&
        hooks->undecided(hooks->ctx, stub_application_height(app) + 1)) {
        ret_verdict->undecided = true;
        return SB_OK;
    }
    sb_arena_init(&arena, SCRATCH_BYTES_MAX);
    sb_err err = sb_consensus_block_decode(&block, &arena, encoded, &why);
    if (err != SB_OK || !is_bound(&block)) {
        ret_verdict->malformed = true;
        err = err != SB_OK ? err : differs(&why, "the body and its hashes");
    } else {
        err = check_block(&state, &randomness, app, &arena, &block, &why);
    }
    if (err == SB_OK) {
        *ret_block = executed_new(&block, encoded, &state, &randomness);
        ret_verdict->valid = true;
        ret_verdict->block_id = (*ret_block)->block_id;
        ret_verdict->time_ms = block.header.time_ms;
        ret_verdict->proposer = block.header.proposer;
    } else {
        (void)snprintf(ret_verdict->reason, sizeof ret_verdict->reason, "%s", why.text);
    }
    sb_arena_fini(&arena);
    return SB_OK;
}

static void block_free(void *ctx, struct sb_application_block *block)
{
    (void)ctx;
    if (block != NULL) {
        free(block->encoded);
        free(block);
    }
}

/* ---- committing ---- */

static struct sb_rlp transactions_open(sb_bytes payload)
{
    sb_hash state;
    sb_bytes transactions;
    SB_ASSERT(payload_parse(&state, &transactions, payload) == SB_OK);
    struct sb_rlp in = sb_rlp_open(transactions), list;
    SB_ASSERT(sb_rlp_read_list(&list, &in) == SB_OK);
    return list;
}

size_t stub_application_transactions(sb_bytes *ret, size_t max, sb_bytes payload)
{
    struct sb_rlp list = transactions_open(payload);
    size_t count = 0;
    while (count < max &&
           sb_rlp_read_bytes(&ret[count], &list, SB_CONSENSUS_BLOCK_BYTES_MAX) == SB_OK) {
        count++;
    }
    return count;
}

/* pool_settle: transactions of the committed block leave the pool. */
static void pool_settle(struct stub_application *app, sb_bytes payload)
{
    struct sb_rlp list = transactions_open(payload);
    sb_bytes transaction;
    while (sb_rlp_read_bytes(&transaction, &list, SB_CONSENSUS_BLOCK_BYTES_MAX) == SB_OK) {
        for (size_t i = 0; i < app->pool_count; i++) {
            if (sb_span_equal(sb_span(app->pool[i].data, app->pool[i].len), transaction)) {
                free(app->pool[i].data);
                app->pool_count--;
                memmove(&app->pool[i], &app->pool[i + 1],
                        (app->pool_count - i) * sizeof app->pool[0]);
                break;
            }
        }
    }
}

static void block_store(struct stub_application *app, struct sb_application_block *block,
                        const struct sb_commit *commit)
{
    app->blocks = grow(app->blocks, &app->block_capacity, app->block_count, sizeof *app->blocks);
    struct stored_block *kept = &app->blocks[app->block_count++];
    *kept = (struct stored_block){.encoded = block->encoded,
                                  .encoded_len = block->encoded_len,
                                  .commit = *commit,
                                  .block_id = block->block_id,
                                  .time_ms = block->time_ms,
                                  .state = block->state,
                                  .randomness = block->randomness};
    kept->sigs = calloc(commit->sig_count, sizeof *kept->sigs);
    SB_ASSERT(kept->sigs != NULL);
    memcpy(kept->sigs, commit->sigs, commit->sig_count * sizeof *kept->sigs);
    kept->commit.sigs = kept->sigs;
    block->encoded = NULL;
}

static sb_err commit_take(void *ctx, struct sb_application_block *block,
                          const struct sb_commit *commit, struct sb_diag *diag)
{
    struct stub_application *app = ctx;
    const struct stub_hooks *hooks = &app->options.hooks;
    uint64_t height = block->height;
    SB_ASSERT(height == stub_application_height(app) + 1 && commit->height == height &&
              sb_hash_equal(&commit->block_id, &block->block_id));
    sb_err err = hooks->committing != NULL ? hooks->committing(hooks->ctx, height, false) : SB_OK;
    if (err == SB_OK) {
        struct sb_arena arena;
        struct sb_consensus_block decoded;
        sb_arena_init(&arena, SCRATCH_BYTES_MAX);
        SB_ASSERT(sb_consensus_block_decode(&decoded, &arena,
                                            sb_span(block->encoded, block->encoded_len),
                                            NULL) == SB_OK);
        pool_settle(app, decoded.payload);
        pending_settle(app, &decoded);
        rotation_next(app, &decoded);
        sb_arena_fini(&arena);
        block_store(app, block, commit);
        err = hooks->committing != NULL ? hooks->committing(hooks->ctx, height, true) : SB_OK;
    }
    block_free(app, block);
    return err == SB_OK
               ? SB_OK
               : sb_fail(diag, err, "the commit of height %llu failed", (unsigned long long)height);
}

/* ---- life ---- */

bool stub_application_add(struct stub_application *app, sb_bytes transaction)
{
    if (app->pool_count == POOL_MAX) {
        return false;
    }
    app->pool[app->pool_count++] =
        (struct pooled){.data = copy_bytes(transaction), .len = transaction.len};
    return true;
}

void stub_application_restart(struct stub_application *app)
{
    for (size_t i = 0; i < app->pool_count; i++) {
        free(app->pool[i].data);
    }
    app->pool_count = 0;
}

struct stub_application *stub_application_new(const struct stub_application_options *options)
{
    struct stub_application *app = calloc(1, sizeof *app);
    struct sb_validator *validators = calloc(options->validator_count + 1, sizeof *validators);
    struct sb_validator_set set;
    SB_ASSERT(app != NULL && validators != NULL);
    sb_copy(validators, options->validators, options->validator_count * sizeof *validators);
    if (sb_validator_set_make(&set, validators, options->validator_count, NULL) != SB_OK) {
        free(validators);
        free(app);
        return NULL;
    }
    app->options = *options;
    app->options.validators = NULL;
    if (app->options.block_bytes_max == 0) {
        app->options.block_bytes_max = SB_CONSENSUS_BLOCK_BYTES_MAX;
    }
    app->blocks = grow(NULL, &app->block_capacity, 0, sizeof *app->blocks);
    app->blocks[app->block_count++] =
        (struct stored_block){.block_id = options->domain.genesis_hash,
                              .time_ms = options->genesis_time_ms,
                              .state = options->domain.genesis_hash};
    sb_rotation_init(&app->rotations[1], &set);
    set_store(app, 1, &set);
    sb_rotation_copy(&app->rotations[2], &app->rotations[1]);
    sb_rotation_advance(&app->rotations[2], 1);
    free(validators);
    return app;
}

void stub_application_free(struct stub_application *app)
{
    if (app == NULL) {
        return;
    }
    stub_application_restart(app);
    for (size_t i = 0; i < app->block_count; i++) {
        free(app->blocks[i].encoded);
        free(app->blocks[i].sigs);
    }
    for (size_t i = 0; i < app->set_count; i++) {
        free(app->sets[i].validators);
    }
    free(app->blocks);
    free(app->sets);
    free(app->punished);
    free(app);
}

struct sb_application stub_application_table(struct stub_application *app)
{
    return (struct sb_application){.ctx = app,
                                   .head = head,
                                   .domain = domain,
                                   .rotation = rotation,
                                   .version_known = version_known,
                                   .prepare = prepare,
                                   .process = process,
                                   .block_free = block_free,
                                   .commit_take = commit_take,
                                   .block = stored,
                                   .oldest_block = oldest_block,
                                   .evidence_add = evidence_add,
                                   .evidence_pending = evidence_pending};
}

sb_hash stub_application_state(const struct stub_application *app, uint64_t height)
{
    SB_ASSERT(height < app->block_count);
    return app->blocks[height].state;
}

sb_hash stub_application_block_id(const struct stub_application *app, uint64_t height)
{
    SB_ASSERT(height < app->block_count);
    return app->blocks[height].block_id;
}

uint64_t stub_application_executed(const struct stub_application *app)
{
    return app->executed;
}

void stub_key(struct sb_pubkey *ret_key, uint8_t ret_secret[64], uint32_t number)
{
    uint8_t seed[SB_ED25519_SEED_BYTES] = {0x53};
    uint8_t public_key[SB_ED25519_PUBLIC_BYTES];
    be_store32(seed + 1, number);
    sb_ed25519_keypair(public_key, ret_secret, seed);
    *ret_key = sb_pubkey_ed25519(public_key);
}
