/* state_sync.c: the order of things; see state_sync.h, state_sync_impl.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "node/state_sync_impl.h"

#define LOOK_MS_DEFAULT 3000
#define WAIT_MS         50
#define CANDIDATES_MAX  (SB_STATE_SYNC_PEERS_MAX * SB_SNAP_SNAPSHOTS_MAX)
#define OUT_BYTES_MAX   4096
#define HEADERS_MAX     4096

static sb_err begin(struct state_sync *s, const struct sb_state_sync_options *options,
                    struct sb_diag *diag)
{
    s->o = options;
    sb_buf_init(&s->out, OUT_BYTES_MAX);
    sb_arena_init(&s->arena, SYNC_BLOCK_BYTES);
    SB_TRY(sb_genesis_domain(&s->domain, options->genesis));
    if (options->trust_height == 0 || sb_hash_is_zero(&options->trust_hash)) {
        return sb_fail(diag, SB_E_ARG,
                       "a state sync needs a block to trust: --trust-height and --trust-hash");
    }
    const struct sb_store_identity identity = {.genesis_hash = s->domain.genesis_hash,
                                               .chain_id = s->domain.chain_id};
    struct sb_restore_goal pending;
    sb_err found = sb_restore_pending(&pending, options->db_dir, &identity, diag);
    if (found != SB_OK && found != SB_E_NOT_FOUND) {
        return found;
    }
    diag->text[0] = '\0';
    s->light_chain =
        (struct sb_light_chain){.domain = s->domain, .verifier = sb_verifier_ed25519()};
    s->codec = sb_light_codec_chain(&s->light_chain);
    s->at = sync_light_new();
    s->next = sync_light_new();
    s->spare = sync_light_new();
    s->headers_left = HEADERS_MAX;
    s->past_lowest = UINT64_MAX;
    s->begun_ms = s->logged_ms = sync_now(s);
    sync_moved(s);
    return s->at != NULL && s->next != NULL && s->spare != NULL ? SB_OK : SB_E_NOMEM;
}

static void end(struct state_sync *s)
{
    sb_restore_close(s->restore);
    sync_light_free(s->at);
    sync_light_free(s->next);
    sync_light_free(s->spare);
    sb_arena_fini(&s->arena);
    sb_buf_fini(&s->out);
    free(s);
}

/* ---- choosing ---- */

static int higher_first(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? 1 : left > right ? -1 : 0;
}

/* candidates: the heights that peers offer, newest first, each once; returns how many. */
static size_t candidates(uint64_t ret_heights[CANDIDATES_MAX], const struct state_sync *s)
{
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < SB_STATE_SYNC_PEERS_MAX; i++) {
        const struct sync_peer *peer = &s->peers[i];
        for (size_t k = 0; peer->is_used && !peer->is_out && k < peer->list.count; k++) {
            if (peer->list.heights[k] >= s->o->trust_height) {
                ret_heights[count++] = peer->list.heights[k];
            }
        }
    }
    qsort(ret_heights, count, sizeof ret_heights[0], higher_first);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || ret_heights[kept - 1] != ret_heights[i]) {
            ret_heights[kept++] = ret_heights[i];
        }
    }
    return kept;
}

/* look: let peers come and tell what they have. */
static sb_err look(struct state_sync *s)
{
    static uint64_t heights[CANDIDATES_MAX];
    uint64_t look_ms = s->o->look_ms != 0 ? s->o->look_ms : LOOK_MS_DEFAULT;
    uint64_t from = sync_now(s);
    while (sync_now(s) - from < look_ms || candidates(heights, s) == 0) {
        struct sync_answer ignored;
        SB_TRY(sync_pump(&ignored, s, WAIT_MS));
    }
    return SB_OK;
}

/* prefer: the one that is half here already comes first. */
static void prefer(uint64_t *heights, size_t count, uint64_t height)
{
    for (size_t i = 0; i < count; i++) {
        if (heights[i] == height) {
            memmove(heights + 1, heights, i * sizeof heights[0]);
            heights[0] = height;
            return;
        }
    }
}

/* choose: the newest snapshot whose header can be verified, with its block. */
static sb_err choose(struct state_sync *s, struct sb_diag *diag)
{
    uint64_t *heights = calloc(CANDIDATES_MAX, sizeof *heights);
    const struct sb_store_identity identity = {.genesis_hash = s->domain.genesis_hash,
                                               .chain_id = s->domain.chain_id};
    struct sb_restore_goal pending;
    if (heights == NULL) {
        return SB_E_NOMEM;
    }
    size_t count = candidates(heights, s);
    if (sb_restore_pending(&pending, s->o->db_dir, &identity, NULL) == SB_OK) {
        prefer(heights, count, pending.number);
    }
    sb_err err = SB_E_NOT_FOUND;
    for (size_t i = 0; err == SB_E_NOT_FOUND && i < count; i++) {
        err = sync_headers(s, heights[i], diag);
        err = err == SB_OK ? sync_block(s) : err;
    }
    free(heights);
    return err;
}

static sb_err open_restore(struct state_sync *s, struct sb_diag *diag)
{
    const struct sb_store_identity identity = {.genesis_hash = s->domain.genesis_hash,
                                               .chain_id = s->domain.chain_id};
    const struct sb_restore_goal goal = {.number = s->height,
                                         .block_hash = s->ethereum_hash,
                                         .state_root = s->ethereum.header.state_root};
    SB_TRY(sb_restore_open(&s->restore, s->o->db_dir, &identity, &goal, diag));
    struct sb_restore_progress progress = sb_restore_progress(s->restore);
    s->logged_bytes = progress.bytes;
    sb_log(s->o->log, SB_LOG_INFO, "statesync", "a snapshot is chosen; its header is verified",
           SB_LOG_U64("height", s->height),
           SB_LOG_HEX("state_root", goal.state_root.b, sizeof goal.state_root.b),
           SB_LOG_U64("accounts_here", progress.account_count), SB_LOG_END);
    return SB_OK;
}

/* attempt: one snapshot from its header to the head. SB_E_NOT_FOUND: it is not to be had any more. */
static sb_err attempt(struct state_sync *s, struct sb_diag *diag)
{
    SB_TRY(look(s));
    SB_TRY(choose(s, diag));
    SB_TRY(open_restore(s, diag));
    SB_TRY(sync_state(s, diag));
    SB_TRY(sync_blobs(s, diag));
    SB_TRY(sync_past(s));
    return sync_finish(s, diag);
}

static sb_err explain(sb_err err, struct sb_diag *diag)
{
    if (err == SB_E_TIMEOUT) {
        return sb_fail(diag, SB_E_NOT_FOUND,
                       "no peer gave a snapshot that can be used, at or above the trusted height: "
                       "are there peers, do they take snapshots (snapshotInterval), is the trusted "
                       "block one of this chain, and not so old that they dropped it?");
    }
    if (err == SB_E_CANCELLED) {
        return sb_fail(diag, err, "the state sync was stopped: it goes on at the next start");
    }
    return err == SB_OK || diag->text[0] != '\0'
               ? err
               : sb_fail(diag, err, "state sync: %s", sb_err_text(err));
}

sb_err sb_state_sync(struct sb_state_sync_report *ret_report,
                     const struct sb_state_sync_options *options, struct sb_diag *diag)
{
    struct state_sync *s = calloc(1, sizeof *s);
    struct sb_diag unused = {.text = ""};
    if (s == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    diag = diag != NULL ? diag : &unused;
    diag->text[0] = '\0';
    sb_err err = begin(s, options, diag);
    if (err == SB_OK) {
        err = attempt(s, diag);
    }
    while (err == SB_E_NOT_FOUND) { /* until nothing new comes for too long */
        sb_restore_close(s->restore);
        s->restore = NULL;
        err = attempt(s, diag);
    }
    err = explain(err, diag);
    if (err == SB_OK) {
        struct sb_restore_progress p = sb_restore_progress(s->restore);
        *ret_report = (struct sb_state_sync_report){.height = s->height,
                                                    .account_count = p.account_count,
                                                    .slot_count = p.slot_count,
                                                    .code_count = p.code_count,
                                                    .blob_count = p.blob_count,
                                                    .bytes = p.bytes,
                                                    .past_count = s->past_count,
                                                    .ms = sync_now(s) - s->begun_ms,
                                                    .dropped_count = s->dropped_count};
        sb_log(options->log, SB_LOG_INFO, "statesync", "the state is complete",
               SB_LOG_U64("height", s->height), SB_LOG_U64("accounts", p.account_count),
               SB_LOG_U64("slots", p.slot_count), SB_LOG_U64("bytes", p.bytes),
               SB_LOG_U64("dropped_peers", s->dropped_count),
               SB_LOG_U64("ms", sync_now(s) - s->begun_ms), SB_LOG_END);
    }
    end(s);
    return err;
}
