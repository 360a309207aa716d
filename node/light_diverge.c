/* light_diverge.c: what the witnesses say about a new block, and where two histories part; see light_client.h.
 *
 *      trace:      common ------------------------ newest        the witness has another block at the newest height:
 *      witness:    common -- w1 -- w2 ------------ newest'       verified from the common block by itself, w1, w2 ... are compared
 *                            |                                   with the primary's blocks: the first that differs is the evidence,
 *                            +-- first that differs              and the one before it the common height
 *
 * A witness that is behind is asked for its newest block: nothing above it may be as early, or an attack could stay ahead of all witnesses.
 *
 * A witness whose block does not verify shows nothing: anybody can write another header. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/light_client_impl.h"

#define NOTE_BYTES 512

static void note_about(const struct sb_light_client *client, const char *name, const char *text)
{
    char line[2 * NOTE_BYTES];
    (void)snprintf(line, sizeof line, "witness %s: %s", name, text);
    sb_light_note(client, line);
}

/* ---- judging two blocks ---- */

/* count_double: validators who signed both blocks. */
static void count_double(struct sb_light_divergence *d, const struct sb_light_view *a,
                         const struct sb_light_view *b)
{
    for (size_t i = 0; i < a->block.sig_count; i++) {
        int at = sb_validator_set_find(&b->block.validators, &a->block.sigs[i].signer);
        if (a->block.sigs[i].flag == SB_COMMIT_BLOCK && at >= 0 &&
            b->block.sigs[at].flag == SB_COMMIT_BLOCK) {
            d->double_signers++;
            d->double_power += a->block.validators.validators[i].power;
        }
    }
}

/* is_out_of_time: of two blocks the higher one is not the later one: one history cannot have both. */
static bool is_out_of_time(const struct sb_light_view *a, const struct sb_light_view *b)
{
    return a->block.height > b->block.height ? a->block.time <= b->block.time
                                             : a->block.time >= b->block.time;
}

static sb_err judge_views(struct sb_light_divergence *d, const struct sb_light_view *a,
                          const struct sb_light_view *b, struct sb_diag *diag)
{
    bool is_forward = a->block.height != b->block.height;
    if (is_forward ? !is_out_of_time(a, b) : sb_hash_equal(&a->id, &b->id)) {
        return sb_fail(diag, SB_E_REFUSED, "the two blocks do not contradict each other");
    }
    d->height = a->block.height;
    d->witness_height = b->block.height;
    d->primary_id = a->id;
    d->witness_id = b->id;
    d->is_lunatic =
        is_forward || sb_consensus_header_contradiction(&a->parts.header, &b->parts.header) != NULL;
    d->is_equivocation = !is_forward && a->parts.commit.round == b->parts.commit.round;
    d->double_signers = 0;
    d->double_power = 0;
    d->total_power = a->block.validators.total_power;
    if (!is_forward) {
        count_double(d, a, b);
    }
    return SB_OK;
}

sb_err sb_light_divergence_judge(struct sb_light_divergence *io_divergence,
                                 const struct sb_light_chain *chain, struct sb_diag *diag)
{
    struct sb_light_view *views = calloc(2, sizeof *views);
    if (views == NULL) {
        return SB_E_NOMEM;
    }
    const struct sb_buf *raw[2] = {&io_divergence->primary_block, &io_divergence->witness_block};
    size_t open = 0;
    sb_err err = SB_OK;
    while (open < 2 && err == SB_OK) {
        err = sb_light_view_open(&views[open], chain, sb_buf_bytes(raw[open]), diag);
        open += err == SB_OK ? 1 : 0;
    }
    if (err == SB_OK) {
        err = judge_views(io_divergence, &views[0], &views[1], diag);
    } else if (err != SB_E_NOMEM) {
        err = SB_E_REFUSED;
    }
    while (open > 0) {
        sb_light_view_close(&views[--open]);
    }
    free(views);
    return err;
}

void sb_light_divergence_fini(struct sb_light_divergence *divergence)
{
    sb_buf_fini(&divergence->primary_block);
    sb_buf_fini(&divergence->witness_block);
}

/* ---- finding where they part ---- */

/* id_at: id of a provider's block of a height, whose bytes are left in raw. */
static sb_err id_at(sb_hash *ret_id, struct sb_buf *raw, const struct sb_light_client *client,
                    const struct sb_light_provider *provider, uint64_t height, struct sb_diag *diag)
{
    struct sb_light_view view;
    SB_TRY(sb_light_fetch(raw, provider, height, diag));
    SB_TRY(sb_light_view_open(&view, &client->chain, sb_buf_bytes(raw), diag));
    sb_err err = view.block.height == height
                     ? SB_OK
                     : sb_fail(diag, SB_E_REFUSED, "%s gave another height", provider->name);
    *ret_id = view.id;
    sb_light_view_close(&view);
    return err;
}

/* find_common: index of the highest block of the trace below `height` that the witness has, too; -1: none. */
static sb_err find_common(int *ret_index, struct sb_buf *raw, const struct sb_light_client *client,
                          const struct sb_light_provider *witness, uint64_t height,
                          struct sb_diag *diag)
{
    int at = (int)client->count - 1;
    while (at >= 0 && client->trace[at].height >= height) {
        at--;
    }
    for (; at >= 0; at--) {
        sb_hash id;
        SB_TRY(id_at(&id, raw, client, witness, client->trace[at].height, diag));
        if (sb_hash_equal(&id, &client->trace[at].id)) {
            break;
        }
    }
    *ret_index = at;
    return SB_OK;
}

/* follow_witness: verify the witness's chain from the common block to `height`, as if it were the primary. */
static sb_err follow_witness(struct sb_light_client **ret_other,
                             const struct sb_light_client *client, size_t common,
                             const struct sb_light_provider *witness, uint64_t height,
                             uint64_t now_ms, struct sb_diag *diag)
{
    struct sb_light_client_options options = client->options;
    struct sb_light_client *other;
    struct sb_light_divergence none;
    options.primary = *witness;
    options.witness_count = 0;
    options.note = NULL;
    SB_TRY(sb_light_client_new(&other, &options, diag));
    sb_err err =
        sb_light_client_begin(other, client->trace[common].height, &client->trace[common].id, diag);
    if (err == SB_OK) {
        err = sb_light_client_reach(other, height, now_ms, &none, diag);
    }
    if (err != SB_OK) {
        sb_light_client_free(other);
        return err;
    }
    *ret_other = other;
    return SB_OK;
}

/* find_parting: of the witness's verified blocks the first that is not the primary's, and the height of the one before. */
static sb_err find_parting(struct sb_light_divergence *d, const struct sb_light_client *client,
                           const struct sb_light_client *other, struct sb_diag *diag)
{
    for (size_t i = 1; i < other->count; i++) {
        const struct sb_light_kept *theirs = &other->trace[i];
        sb_hash id;
        SB_TRY(
            id_at(&id, &d->primary_block, client, &client->options.primary, theirs->height, diag));
        if (!sb_hash_equal(&id, &theirs->id)) {
            d->common_height = other->trace[i - 1].height;
            sb_buf_reset(&d->witness_block);
            sb_buf_add(&d->witness_block, theirs->bytes, theirs->len);
            SB_TRY(sb_buf_err(&d->witness_block));
            return sb_light_divergence_judge(d, &client->chain, diag);
        }
    }
    return sb_fail(diag, SB_E_REFUSED, "the primary changed its answers");
}

/* What two providers disagree about. */
struct dispute {
    const struct sb_light_provider *witness;
    uint64_t height; /* of the witness's block */
    const struct sb_light_kept *
        too_high; /* a block of the trace that is above that one and no later; NULL: another block of its height */
};

/* show_forward: the pair is a block of the trace and the witness's verified block. */
static sb_err show_forward(struct sb_light_divergence *d, const struct sb_light_client *client,
                           const struct sb_light_client *other, const struct dispute *dispute,
                           size_t common, struct sb_diag *diag)
{
    const struct sb_light_kept *theirs = &other->trace[other->count - 1];
    d->common_height = client->trace[common].height;
    sb_buf_reset(&d->primary_block);
    sb_buf_add(&d->primary_block, dispute->too_high->bytes, dispute->too_high->len);
    sb_buf_reset(&d->witness_block);
    sb_buf_add(&d->witness_block, theirs->bytes, theirs->len);
    SB_TRY(sb_buf_err(&d->primary_block));
    SB_TRY(sb_buf_err(&d->witness_block));
    return sb_light_divergence_judge(d, &client->chain, diag);
}

/* examine: SB_OK: the witness proves nothing and was noted; SB_E_CONFLICT: *d is filled in. */
static sb_err examine(struct sb_light_divergence *d, struct sb_light_client *client,
                      const struct dispute *dispute, uint64_t now_ms)
{
    struct sb_diag why = {.text = ""};
    struct sb_light_client *other = NULL;
    const struct sb_light_provider *witness = dispute->witness;
    int common = -1;
    sb_err err = find_common(&common, &d->witness_block, client, witness, dispute->height, &why);
    if (err == SB_OK && common < 0) {
        err = sb_fail(&why, SB_E_REFUSED, "it has none of the trusted blocks");
    }
    if (err == SB_OK) {
        err =
            follow_witness(&other, client, (size_t)common, witness, dispute->height, now_ms, &why);
    }
    if (err == SB_OK) {
        err = dispute->too_high != NULL
                  ? show_forward(d, client, other, dispute, (size_t)common, &why)
                  : find_parting(d, client, other, &why);
    }
    sb_light_client_free(other);
    if (err == SB_E_NOMEM) {
        return err;
    }
    if (err != SB_OK) {
        char text[NOTE_BYTES];
        (void)snprintf(text, sizeof text,
                       "it has another block %" PRIu64 ", but cannot prove it: %s", dispute->height,
                       why.text[0] != '\0' ? why.text : sb_err_text(err));
        note_about(client, witness->name, text);
        return SB_OK;
    }
    d->witness = witness->name;
    return SB_E_CONFLICT;
}

/* cut_above: trust nothing above a height. */
static void cut_above(struct sb_light_client *client, uint64_t height)
{
    size_t count = client->count;
    while (count > 0 && client->trace[count - 1].height > height) {
        count--;
    }
    sb_light_trace_cut(client, count);
}

/* compare_at: the witness's block of a height of the trace with that of the trace. */
static sb_err compare_at(struct sb_light_divergence *d, struct sb_light_client *client,
                         const struct sb_light_provider *witness, const struct sb_light_kept *kept,
                         uint64_t now_ms, struct sb_diag *why)
{
    const struct dispute dispute = {.witness = witness, .height = kept->height};
    sb_hash id;
    SB_TRY(id_at(&id, &d->witness_block, client, witness, kept->height, why));
    return sb_hash_equal(&id, &kept->id) ? SB_OK : examine(d, client, &dispute, now_ms);
}

/* newest_of: height and time of the witness's newest block, as it says. */
static sb_err newest_of(uint64_t *ret_height, uint64_t *ret_time_ms, struct sb_buf *raw,
                        const struct sb_light_client *client,
                        const struct sb_light_provider *witness, struct sb_diag *why)
{
    struct sb_light_view view;
    SB_TRY(sb_light_fetch(raw, witness, 0, why));
    SB_TRY(sb_light_view_open(&view, &client->chain, sb_buf_bytes(raw), why));
    *ret_height = view.block.height;
    *ret_time_ms = view.block.time;
    sb_light_view_close(&view);
    return SB_OK;
}

/* compare_lagging: the witness has no block as high as our newest. What we trust above its newest block must be later than that, or a
 * primary could show for ever what no other node has yet; and at or below it they must agree. */
static sb_err compare_lagging(struct sb_light_divergence *d, struct sb_light_client *client,
                              const struct sb_light_provider *witness, uint64_t now_ms,
                              struct sb_diag *why)
{
    uint64_t height, time_ms;
    SB_TRY(newest_of(&height, &time_ms, &d->witness_block, client, witness, why));
    struct dispute dispute = {.witness = witness, .height = height};
    const struct sb_light_kept *shared = NULL;
    for (size_t i = 0; i < client->count; i++) {
        const struct sb_light_kept *kept = &client->trace[i];
        if (kept->height <= height) {
            shared = kept;
        } else if (kept->time_ms <= time_ms) {
            dispute.too_high = kept;
        }
    }
    if (dispute.too_high != NULL) {
        return examine(d, client, &dispute, now_ms);
    }
    note_about(client, witness->name, "it has not got this block yet");
    return shared == NULL ? SB_OK : compare_at(d, client, witness, shared, now_ms, why);
}

static sb_err compare_one(struct sb_light_divergence *d, struct sb_light_client *client,
                          const struct sb_light_provider *witness, uint64_t now_ms)
{
    struct sb_diag why = {.text = ""};
    sb_err err = compare_at(d, client, witness, &client->trace[client->count - 1], now_ms, &why);
    if (err == SB_E_NOT_FOUND) {
        why.text[0] = '\0';
        err = compare_lagging(d, client, witness, now_ms, &why);
    }
    if (err == SB_OK || err == SB_E_NOMEM || err == SB_E_CONFLICT) {
        return err;
    }
    note_about(client, witness->name, why.text[0] != '\0' ? why.text : sb_err_text(err));
    return SB_OK;
}

sb_err sb_light_compare(struct sb_light_client *client, uint64_t now_ms,
                        struct sb_light_divergence *ret_divergence, struct sb_diag *diag)
{
    for (size_t i = 0; i < client->options.witness_count; i++) {
        const struct sb_light_provider *witness = &client->options.witnesses[i];
        struct sb_light_divergence d = {.common_height = 0};
        sb_buf_init(&d.primary_block, SB_LIGHT_BLOCK_BYTES_MAX);
        sb_buf_init(&d.witness_block, SB_LIGHT_BLOCK_BYTES_MAX);
        sb_err err = compare_one(&d, client, witness, now_ms);
        if (err == SB_E_CONFLICT) {
            cut_above(client, d.common_height);
            *ret_divergence = d;
            return sb_fail(diag, err,
                           d.height == d.witness_height
                               ? "%s and %s have different blocks %" PRIu64
                                 ", both properly signed on top of block %" PRIu64
                               : "%s has a block above, and no later than, that of %s: %" PRIu64
                                 "; both properly signed on top of block %" PRIu64,
                           client->options.primary.name, witness->name, d.witness_height,
                           d.common_height);
        }
        sb_light_divergence_fini(&d);
        SB_TRY(err);
    }
    return SB_OK;
}
