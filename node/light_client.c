/* light_client.c: trace, skipping verification with bisection, and the way backwards; see light_client.h. Divergence: light_diverge.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/codec/rlp.h"
#include "base/types/field.h"
#include "base/util/assert.h"
#include "base/util/checked.h"
#include "node/light_client_impl.h"

#define STATE_VERSION    1
#define DECODE_BYTES_MAX ((size_t)1 << 20)
#define DETOURS_MAX      64 /* heights between, each at most half as far as the one before */

/* ---- one light block ---- */

sb_err sb_light_view_open(struct sb_light_view *view, const struct sb_light_chain *chain,
                          sb_bytes encoded, struct sb_diag *diag)
{
    sb_arena_init(&view->arena, DECODE_BYTES_MAX);
    sb_err err = sb_light_block_decode(&view->parts, &view->arena, encoded, diag);
    struct sb_light_sig *sigs = sb_arena_array(&view->arena, SB_VALIDATORS_MAX, sizeof *sigs);
    if (err == SB_OK && sigs == NULL) {
        err = SB_E_NOMEM;
    }
    if (err == SB_OK) {
        view->source =
            (struct sb_light_source){.header = &view->parts.header, .commit = &view->parts.commit};
        view->id = sb_consensus_block_id(&view->parts.header);
        err = sb_light_block_make(&view->block, sigs, chain, &view->source, &view->parts.validators,
                                  &view->parts.next_validators, diag);
    }
    if (err != SB_OK) {
        sb_arena_fini(&view->arena);
    }
    return err;
}

void sb_light_view_close(struct sb_light_view *view)
{
    sb_arena_fini(&view->arena);
}

/* stands_alone: its sets and commit fit its header; nothing is said about the past. */
static enum sb_light_reason stands_alone(const struct sb_light_chain *chain,
                                         const struct sb_light_view *view)
{
    struct sb_light_codec codec = sb_light_codec_chain(chain);
    const struct sb_light_block *block = &view->block;
    const struct sb_light_options options = {.trusting_period = UINT64_MAX,
                                             .clock_drift = 1,
                                             .trust_numerator = 1,
                                             .trust_denominator = 1};
    const struct sb_light_trust below = {.height = block->height - 1,
                                         .time = sat_sub_u64(block->time, 1),
                                         .next_validators_hash = block->validators_hash};
    return sb_light_verify(&codec, &options, &below, block, block->time).reason;
}

sb_err sb_light_fetch(struct sb_buf *out, const struct sb_light_provider *provider, uint64_t height,
                      struct sb_diag *diag)
{
    struct sb_diag why = {.text = ""};
    sb_buf_reset(out);
    sb_err err = provider->light_block(provider->ctx, out, height, &why);
    if (err != SB_OK) {
        const char *text = why.text[0] != '\0' ? why.text : sb_err_text(err);
        return sb_fail(diag, err, "%s: block %" PRIu64 ": %s", provider->name, height, text);
    }
    return SB_OK;
}

/* ---- life ---- */

sb_err sb_light_client_new(struct sb_light_client **ret_client,
                           const struct sb_light_client_options *options, struct sb_diag *diag)
{
    SB_TRY(sb_light_options_check(&options->trust, diag));
    SB_ASSERT(options->witness_count <= SB_LIGHT_WITNESSES_MAX);
    struct sb_light_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return SB_E_NOMEM;
    }
    client->options = *options;
    client->chain =
        (struct sb_light_chain){.domain = options->domain, .verifier = sb_verifier_ed25519()};
    *ret_client = client;
    return SB_OK;
}

void sb_light_client_free(struct sb_light_client *client)
{
    if (client == NULL) {
        return;
    }
    sb_light_trace_cut(client, 0);
    free(client);
}

void sb_light_note(const struct sb_light_client *client, const char *text)
{
    if (client->options.note != NULL) {
        client->options.note(client->options.note_ctx, text);
    }
}

/* ---- trace ---- */

void sb_light_trace_cut(struct sb_light_client *client, size_t count)
{
    while (client->count > count) {
        free(client->trace[--client->count].bytes);
    }
}

/* trace_below: index of the highest block of the trace not above `height`; -1 when there is none. */
static int trace_below(const struct sb_light_client *client, uint64_t height)
{
    int at = (int)client->count - 1;
    while (at >= 0 && client->trace[at].height > height) {
        at--;
    }
    return at;
}

/* trace_drop: make room. The oldest block, which a person chose, stays as long as the others: what goes is the second. */
static void trace_drop(struct sb_light_client *client)
{
    free(client->trace[1].bytes);
    memmove(&client->trace[1], &client->trace[2], (client->count - 2) * sizeof client->trace[0]);
    client->count--;
}

/* trace_add: a verified block, in the order of heights. */
static sb_err trace_add(struct sb_light_client *client, const struct sb_light_view *view,
                        sb_bytes encoded)
{
    struct sb_light_kept kept = {.height = view->block.height,
                                 .time_ms = view->block.time,
                                 .id = view->id,
                                 .validator_count = view->block.validators.count,
                                 .len = encoded.len};
    if (client->count == SB_LIGHT_TRACE_MAX) {
        trace_drop(client);
    }
    int below = trace_below(client, kept.height);
    if (below >= 0 && client->trace[below].height == kept.height) {
        return SB_OK;
    }
    kept.bytes = malloc(encoded.len);
    if (kept.bytes == NULL) {
        return SB_E_NOMEM;
    }
    sb_copy(kept.bytes, encoded.data, encoded.len);
    size_t at = (size_t)(below + 1);
    memmove(&client->trace[at + 1], &client->trace[at],
            (client->count - at) * sizeof client->trace[0]);
    client->trace[at] = kept;
    client->count++;
    return SB_OK;
}

static sb_err refuse(struct sb_diag *diag, const struct sb_light_client *client, uint64_t height,
                     enum sb_light_reason reason)
{
    return sb_fail(diag, SB_E_REFUSED, "%s: block %" PRIu64 " does not verify: %s",
                   client->options.primary.name, height, sb_light_reason_text(reason));
}

sb_err sb_light_client_begin(struct sb_light_client *client, uint64_t height, const sb_hash *id,
                             struct sb_diag *diag)
{
    struct sb_light_view view;
    struct sb_buf raw;
    sb_buf_init(&raw, SB_LIGHT_BLOCK_BYTES_MAX);
    sb_err err = sb_light_fetch(&raw, &client->options.primary, height, diag);
    if (err == SB_OK) {
        err = sb_light_view_open(&view, &client->chain, sb_buf_bytes(&raw), diag);
    }
    if (err == SB_OK) {
        enum sb_light_reason reason = stands_alone(&client->chain, &view);
        if (view.block.height != height || !sb_hash_equal(&view.id, id)) {
            err = sb_fail(diag, SB_E_REFUSED, "%s: block %" PRIu64 " is not the trusted one",
                          client->options.primary.name, height);
        } else if (reason != SB_LIGHT_NONE) {
            err = refuse(diag, client, height, reason);
        } else {
            sb_light_trace_cut(client, 0);
            err = trace_add(client, &view, sb_buf_bytes(&raw));
        }
        sb_light_view_close(&view);
    }
    sb_buf_fini(&raw);
    return err;
}

bool sb_light_client_head(struct sb_light_head *ret_head, const struct sb_light_client *client)
{
    if (client->count == 0) {
        return false;
    }
    const struct sb_light_kept *kept = &client->trace[client->count - 1];
    *ret_head = (struct sb_light_head){.height = kept->height,
                                       .time_ms = kept->time_ms,
                                       .id = kept->id,
                                       .validator_count = kept->validator_count};
    return true;
}

size_t sb_light_client_count(const struct sb_light_client *client)
{
    return client->count;
}

/* ---- file ---- */

sb_err sb_light_client_encode(struct sb_buf *out, const struct sb_light_client *client)
{
    size_t list = sb_rlp_list_begin(out);
    sb_rlp_put_u64(out, STATE_VERSION);
    sb_rlp_put_u64(out, client->chain.domain.chain_id);
    sb_rlp_put_hash(out, &client->chain.domain.genesis_hash);
    size_t blocks = sb_rlp_list_begin(out);
    for (size_t i = 0; i < client->count; i++) {
        sb_rlp_put_raw(out, sb_span(client->trace[i].bytes, client->trace[i].len));
    }
    sb_rlp_list_end(out, blocks);
    sb_rlp_list_end(out, list);
    return sb_buf_err(out);
}

static sb_err restore_block(struct sb_light_client *client, sb_bytes raw, struct sb_diag *diag)
{
    struct sb_light_view view;
    SB_TRY(sb_light_view_open(&view, &client->chain, raw, diag));
    bool is_above =
        client->count == 0 || client->trace[client->count - 1].height < view.block.height;
    enum sb_light_reason reason = stands_alone(&client->chain, &view);
    sb_err err = SB_OK;
    if (!is_above || reason != SB_LIGHT_NONE) {
        err = sb_fail(diag, SB_E_CORRUPT, "block %" PRIu64 ": %s", view.block.height,
                      is_above ? sb_light_reason_text(reason) : "out of order");
    } else {
        err = trace_add(client, &view, raw);
    }
    sb_light_view_close(&view);
    return err;
}

static sb_err restore(struct sb_light_client *client, sb_bytes raw, struct sb_diag *diag)
{
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_rlp f, blocks;
    struct sb_rlp_item item;
    struct sb_chain_domain domain;
    uint64_t version;
    size_t count;
    SB_FIELD("light client", "state", sb_rlp_read_list(&f, &in));
    SB_FIELD("light client", "end", sb_rlp_end(&in));
    SB_FIELD("light client", "version", sb_rlp_read_u64(&version, &f));
    if (version != STATE_VERSION) {
        return sb_fail(diag, SB_E_VERSION, "state of version %" PRIu64 " is not known", version);
    }
    SB_FIELD("light client", "chain id", sb_rlp_read_u64(&domain.chain_id, &f));
    SB_FIELD("light client", "genesis hash", sb_rlp_read_hash(&domain.genesis_hash, &f));
    SB_FIELD("light client", "blocks", sb_rlp_read_list(&blocks, &f));
    SB_FIELD("light client", "end", sb_rlp_end(&f));
    if (domain.chain_id != client->chain.domain.chain_id ||
        !sb_hash_equal(&domain.genesis_hash, &client->chain.domain.genesis_hash)) {
        return sb_fail(diag, SB_E_ARG, "the state is of another chain");
    }
    SB_FIELD("light client", "blocks", sb_rlp_count(&count, &blocks, SB_LIGHT_TRACE_MAX));
    for (size_t i = 0; i < count; i++) {
        SB_FIELD("light client", "block", sb_rlp_read_item(&item, &blocks));
        SB_TRY(restore_block(client, item.raw, diag));
    }
    return SB_OK;
}

sb_err sb_light_client_restore(struct sb_light_client *client, sb_bytes raw, struct sb_diag *diag)
{
    sb_light_trace_cut(client, 0);
    sb_err err = restore(client, raw, diag);
    if (err != SB_OK) {
        sb_light_trace_cut(client, 0);
        err = err == SB_E_ARG || err == SB_E_NOMEM || err == SB_E_VERSION ? err : SB_E_CORRUPT;
    }
    return err;
}

/* ---- forwards ---- */

/* judge_from: a block by the trust in block `at` of the trace. */
static sb_err judge_from(enum sb_light_reason *ret_reason, const struct sb_light_client *client,
                         size_t at, const struct sb_light_block *block, uint64_t now_ms)
{
    struct sb_light_view trusted;
    const struct sb_light_kept *kept = &client->trace[at];
    SB_TRY(sb_light_view_open(&trusted, &client->chain, sb_span(kept->bytes, kept->len), NULL));
    struct sb_light_codec codec = sb_light_codec_chain(&client->chain);
    struct sb_light_trust trust = sb_light_trust_of(&trusted.block);
    *ret_reason = sb_light_verify(&codec, &client->options.trust, &trust, block, now_ms).reason;
    sb_light_view_close(&trusted);
    return SB_OK;
}

/* A height on the way to the target, and its block as the primary gave it. */
struct detour {
    struct sb_buf raw;
    uint64_t height;
};

/* try_step: judge a block from the highest trusted one below it; *ret_done: it is trusted now. Not done: a height between is needed. */
static sb_err try_step(bool *ret_done, struct sb_light_client *client, const struct detour *d,
                       uint64_t now_ms, struct sb_diag *diag)
{
    struct sb_light_view view;
    enum sb_light_reason reason;
    SB_TRY(sb_light_view_open(&view, &client->chain, sb_buf_bytes(&d->raw), diag));
    int below = trace_below(client, d->height - 1);
    SB_ASSERT(below >= 0);
    sb_err err = view.block.height == d->height
                     ? judge_from(&reason, client, (size_t)below, &view.block, now_ms)
                     : sb_fail(diag, SB_E_REFUSED, "it is of another height");
    *ret_done = err == SB_OK && reason == SB_LIGHT_NONE;
    if (*ret_done) {
        err = trace_add(client, &view, sb_buf_bytes(&d->raw));
    } else if (err == SB_OK && reason != SB_LIGHT_TRUST) {
        err = refuse(diag, client, d->height, reason);
    }
    sb_light_view_close(&view);
    return err;
}

/* skip: bisection. detours[0] is the target and was fetched. */
static sb_err skip(struct sb_light_client *client, struct detour *detours, uint64_t now_ms,
                   struct sb_diag *diag)
{
    size_t depth = 1;
    while (depth > 0) {
        struct detour *top = &detours[depth - 1];
        bool done;
        SB_TRY(try_step(&done, client, top, now_ms, diag));
        if (done) {
            depth--;
            continue;
        }
        uint64_t from = client->trace[trace_below(client, top->height - 1)].height;
        SB_ASSERT(depth < DETOURS_MAX + 1 && top->height - from > 1);
        struct detour *next = &detours[depth++];
        next->height = from + (top->height - from) / 2;
        SB_TRY(sb_light_fetch(&next->raw, &client->options.primary, next->height, diag));
    }
    return SB_OK;
}

static sb_err go_forwards(struct sb_light_client *client, struct detour *detours, uint64_t now_ms,
                          struct sb_diag *diag)
{
    for (size_t i = 0; i <= DETOURS_MAX; i++) {
        sb_buf_init(&detours[i].raw, SB_LIGHT_BLOCK_BYTES_MAX);
    }
    sb_err err = sb_light_fetch(&detours[0].raw, &client->options.primary, detours[0].height, diag);
    if (err == SB_OK) {
        err = skip(client, detours, now_ms, diag);
    }
    for (size_t i = 0; i <= DETOURS_MAX; i++) {
        sb_buf_fini(&detours[i].raw);
    }
    return err;
}

/* ---- backwards ---- */

/* step_back: the block right below *io_view takes its place, if its hash is the one that *io_view names. */
static sb_err step_back(struct sb_light_client *client, struct sb_light_view *io_view,
                        struct sb_buf *raw, uint64_t now_ms, struct sb_diag *diag)
{
    struct sb_light_view lower;
    struct sb_light_codec codec = sb_light_codec_chain(&client->chain);
    struct sb_light_trust trust = sb_light_trust_of(&io_view->block);
    SB_TRY(sb_light_fetch(raw, &client->options.primary, trust.height - 1, diag));
    SB_TRY(sb_light_view_open(&lower, &client->chain, sb_buf_bytes(raw), diag));
    enum sb_light_reason reason =
        sb_light_verify_backwards(&codec, &client->options.trust, &trust, &lower.block, now_ms)
            .reason;
    if (reason == SB_LIGHT_NONE) {
        reason = stands_alone(&client->chain, &lower); /* what is kept holds by itself */
    }
    sb_light_view_close(&lower);
    if (reason != SB_LIGHT_NONE) {
        return refuse(diag, client, trust.height - 1, reason);
    }
    sb_light_view_close(io_view);
    return sb_light_view_open(io_view, &client->chain, sb_buf_bytes(raw), diag);
}

static sb_err go_backwards(struct sb_light_client *client, uint64_t height, uint64_t now_ms,
                           struct sb_diag *diag)
{
    const struct sb_light_kept *first = &client->trace[0];
    if (first->height - height > SB_LIGHT_BACKWARDS_MAX) {
        return sb_fail(diag, SB_E_LIMIT,
                       "block %" PRIu64 " lies more than %d blocks below the oldest trusted one, "
                       "%" PRIu64,
                       height, SB_LIGHT_BACKWARDS_MAX, first->height);
    }
    struct sb_light_view view;
    struct sb_buf raw;
    sb_buf_init(&raw, SB_LIGHT_BLOCK_BYTES_MAX);
    sb_err err = sb_light_view_open(&view, &client->chain, sb_span(first->bytes, first->len), diag);
    bool is_open = err == SB_OK;
    while (err == SB_OK && view.block.height > height) {
        err = step_back(client, &view, &raw, now_ms, diag);
    }
    if (err == SB_OK) {
        err = trace_add(client, &view, sb_buf_bytes(&raw));
    }
    if (is_open) {
        sb_light_view_close(&view);
    }
    sb_buf_fini(&raw);
    return err;
}

/* ---- reach ---- */

/* newest_height: what the primary calls its newest block; believed only so far that this height is then asked for. */
static sb_err newest_height(uint64_t *ret_height, struct sb_light_client *client,
                            struct sb_diag *diag)
{
    struct sb_light_view view;
    struct sb_buf raw;
    sb_buf_init(&raw, SB_LIGHT_BLOCK_BYTES_MAX);
    sb_err err = sb_light_fetch(&raw, &client->options.primary, 0, diag);
    if (err == SB_OK) {
        err = sb_light_view_open(&view, &client->chain, sb_buf_bytes(&raw), diag);
    }
    if (err == SB_OK) {
        *ret_height = view.block.height;
        sb_light_view_close(&view);
    }
    sb_buf_fini(&raw);
    return err;
}

sb_err sb_light_client_reach(struct sb_light_client *client, uint64_t height, uint64_t now_ms,
                             struct sb_light_divergence *ret_divergence, struct sb_diag *diag)
{
    SB_ASSERT(client->count > 0);
    if (height == 0) {
        SB_TRY(newest_height(&height, client, diag));
    }
    int below = trace_below(client, height);
    if (below >= 0 && client->trace[below].height == height) {
        return SB_OK;
    }
    if (below < 0) {
        return go_backwards(client, height, now_ms, diag);
    }
    bool is_new = (size_t)below + 1 == client->count;
    struct detour detours[DETOURS_MAX + 1] = {{.height = height}};
    SB_TRY(go_forwards(client, detours, now_ms, diag));
    return is_new ? sb_light_compare(client, now_ms, ret_divergence, diag) : SB_OK;
}

/* ---- proofs ---- */

sb_err sb_light_client_verify(struct sb_inference_verdict *ret_verdict,
                              const struct sb_light_client *client, sb_bytes proof, uint64_t now_ms,
                              struct sb_diag *diag)
{
    SB_ASSERT(client->count > 0);
    uint64_t height = client->trace[0].height;
    struct sb_inference_trust trust = {
        .chain = client->chain, .options = client->options.trust, .now_ms = now_ms};
    if (sb_inference_proof_height(&height, proof) != SB_OK) {
        height = client->trace[0].height; /* what does not decode gets its verdict below */
    }
    int below = trace_below(client, height);
    const struct sb_light_kept *kept = &client->trace[below < 0 ? 0 : below];
    if (kept->height == height) {
        trust.block_id = &kept->id;
        return sb_inference_proof_verify(ret_verdict, &trust, proof);
    }
    struct sb_light_view view;
    SB_TRY(sb_light_view_open(&view, &client->chain, sb_span(kept->bytes, kept->len), diag));
    struct sb_light_trust block = sb_light_trust_of(&view.block);
    trust.block = &block;
    sb_err err = sb_inference_proof_verify(ret_verdict, &trust, proof);
    sb_light_view_close(&view);
    return err;
}
