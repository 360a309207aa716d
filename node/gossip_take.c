/* gossip_take.c: what comes in of consensus; see replica_impl.h.
 *
 *      message of height ...   head - 1, head      late precommits
 *                              head + 1            begun: to the driver; not begun: checked here, and then it begins the height
 *                              head + 2            kept until head + 1 is committed
 *                              other               of no use
 *
 * The driver checks signatures; before it is asked, whatever is held already is turned away, and the peer pays for a check that brings
 * nothing new. */
#include "base/util/assert.h"
#include "node/replica_impl.h"

static const struct sb_rotation *rotation_of(const struct sb_replica *replica, uint64_t height)
{
    const struct sb_application *app = replica->options.app;
    return app->rotation(app->ctx, height);
}

static const struct sb_chain_domain *domain_of(const struct sb_replica *replica)
{
    const struct sb_application *app = replica->options.app;
    return app->domain(app->ctx);
}

/* ---- a height that is not begun: its first proposal begins it, or messages of more than a third of the power ----
 *
 * One vote must not: a validator that votes at once, and nil, would start everybody's timeout before the proposer is due to propose, and
 * a vote or proposal of a later round would have its proposer propose before the interval is over. Of more than a third of the power one
 * at least is honest, and has begun the height because it was due. */

enum early { EARLY_BEGUN, EARLY_KEEP, EARLY_DROP, EARLY_FALSE };

static bool is_right_proposal(const struct sb_replica *replica, const struct sb_proposal *proposal)
{
    const struct sb_rotation *rotation = rotation_of(replica, proposal->height);
    if (rotation == NULL || proposal->round > SB_ROUNDS_AHEAD_MAX) {
        return false;
    }
    uint32_t proposer = sb_rotation_proposer(rotation, proposal->round);
    return sb_proposal_verify(proposal, &rotation->set.validators[proposer].key, domain_of(replica),
                              &replica->options.verifier, NULL) == SB_OK;
}

static bool is_right_vote(const struct sb_replica *replica, const struct sb_vote *vote)
{
    const struct sb_rotation *rotation = rotation_of(replica, vote->height);
    return rotation != NULL && sb_vote_verify(vote, &rotation->set, domain_of(replica),
                                              &replica->options.verifier, NULL) == SB_OK;
}

/* is_ours_to_open: we propose in round 0 of the next height. A vote in that round then cannot hurry us: nobody else may set our pace. */
static bool is_ours_to_open(const struct sb_replica *replica)
{
    const struct sb_rotation *rotation = rotation_of(replica, sb_replica_head(replica) + 1);
    return rotation != NULL &&
           sb_addr_equal(&rotation->set.validators[sb_rotation_proposer(rotation, 0)].address,
                         &replica->own_address);
}

static bool may_begin(const struct sb_replica *replica)
{
    return replica->mode == MODE_CONSENSUS || replica->mode == MODE_WAITING;
}

/* is_opener: this validator's message was counted already. note_opener: count one; true when they have more than a third of the power. */
static bool is_opener(const struct sb_replica *replica, uint32_t validator)
{
    return replica->openers_height == sb_replica_head(replica) + 1 &&
           sb_bits_get(&replica->openers, validator);
}

static bool note_opener(struct sb_replica *replica, uint32_t validator)
{
    const struct sb_validator_set *set = &rotation_of(replica, sb_replica_head(replica) + 1)->set;
    if (replica->openers_height != sb_replica_head(replica) + 1) {
        replica->openers_height = sb_replica_head(replica) + 1;
        replica->openers = (struct sb_bits){.count = (uint32_t)set->count};
    }
    sb_bits_set(&replica->openers, validator);
    int64_t power = 0, total = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        total += set->validators[i].power;
        power += sb_bits_get(&replica->openers, i) ? set->validators[i].power : 0;
    }
    return power > total / 3;
}

/* open_by: a message of head + 1, which is not begun: does it begin now? */
static sb_err open_by(enum early *ret, struct sb_replica *replica, struct gossip_peer *peer,
                      const struct sb_vote *vote, const struct sb_proposal *proposal,
                      struct sb_diag *diag)
{
    const struct sb_rotation *rotation = rotation_of(replica, sb_replica_head(replica) + 1);
    bool is_opening = proposal != NULL && proposal->round == 0;
    *ret = EARLY_KEEP;
    if (rotation == NULL || (vote != NULL && vote->round == 0 && is_ours_to_open(replica))) {
        return SB_OK;
    }
    uint32_t validator =
        vote != NULL ? vote->validator_index : sb_rotation_proposer(rotation, proposal->round);
    if (!is_opening && is_opener(replica, validator)) {
        return SB_OK; /* looked at when the height begins */
    }
    if (!sb_gossip_may_check(replica, peer, 1, CHECK_HOPEFUL)) {
        *ret = EARLY_DROP;
        return SB_OK;
    }
    if (!(vote != NULL ? is_right_vote(replica, vote) : is_right_proposal(replica, proposal))) {
        *ret = EARLY_FALSE;
        return SB_OK;
    }
    sb_gossip_was_news(replica, peer, 1);
    if (note_opener(replica, validator) || is_opening) {
        SB_TRY(sb_replica_begin_height(replica, diag));
        *ret = sb_replica_is_begun(replica) ? EARLY_BEGUN : EARLY_KEEP;
    }
    return SB_OK;
}

/* settle_early: a message of head + 1 or head + 2: true when it is for the driver now; else it was kept, or dropped. */
static sb_err settle_early(bool *ret_go_on, struct sb_replica *replica, struct gossip_peer *peer,
                           enum sb_channel channel, uint64_t height, sb_bytes raw,
                           const struct sb_vote *vote, const struct sb_proposal *proposal,
                           struct sb_diag *diag)
{
    enum early early = EARLY_KEEP;
    *ret_go_on = false;
    if (!may_begin(replica)) {
        return SB_OK;
    }
    if (height == sb_replica_head(replica) + 1) {
        if (sb_replica_is_begun(replica)) {
            *ret_go_on = true;
            return SB_OK;
        }
        SB_TRY(open_by(&early, replica, peer, vote, proposal, diag));
    }
    if (early == EARLY_KEEP) {
        sb_early_keep(replica, peer, channel, raw);
    } else if (early == EARLY_FALSE) {
        sb_replica_report(replica, peer, SB_OFFENCE_INVALID, "a false signature");
    }
    *ret_go_on = early == EARLY_BEGUN;
    return SB_OK;
}

/* ---- votes ---- */

static bool is_held(const struct sb_replica *replica, const struct sb_vote *vote)
{
    const struct sb_bft *core = sb_driver_core(replica->driver);
    if (sb_bft_status(core).height != vote->height) {
        return false;
    }
    const struct sb_vote *held = sb_bft_vote(core, vote->type, vote->round, vote->validator_index);
    return held != NULL && sb_hash_equal(&held->block_id, &vote->block_id) &&
           held->signature.len == vote->signature.len &&
           memcmp(held->signature.bytes, vote->signature.bytes, vote->signature.len) == 0;
}

/* is_lacking: no vote is held in its place: it is new, or was not counted because its round is too far ahead, or too long gone. Such a one
 * may come again when its round is there. */
static bool is_lacking(const struct sb_replica *replica, const struct sb_vote *vote)
{
    const struct sb_bft *core = sb_driver_core(replica->driver);
    return sb_bft_status(core).height == vote->height &&
           sb_bft_vote(core, vote->type, vote->round, vote->validator_index) == NULL;
}

/* is_near: a round that the height may be decided in soon. */
static bool is_near(const struct sb_replica *replica, int32_t round)
{
    int32_t present = sb_replica_round(replica);
    return round >= present - 1 && round <= present + 1;
}

static enum check_hope hope_of_vote(const struct sb_replica *replica, const struct sb_vote *vote)
{
    return is_lacking(replica, vote) && is_near(replica, vote->round) ? CHECK_HOPEFUL
                                                                      : CHECK_LIKELY_VAIN;
}

static void vote_taken(struct sb_replica *replica, struct gossip_peer *peer,
                       enum sb_driver_taken taken, const struct sb_vote *vote, sb_bytes raw)
{
    switch (taken) {
    case SB_TAKEN_NEW:
        sb_gossip_was_news(replica, peer, 1);
        sb_seen_add(replica, raw);
        sb_spare_new(replica, replica->vote_source, vote->validator_index, peer);
        sb_gossip_push_vote(replica, vote, raw);
        return;
    case SB_TAKEN_KNOWN:
        if (!is_lacking(replica, vote)) {
            sb_seen_add(replica, raw);
        }
        return;
    case SB_TAKEN_LATE:
        sb_seen_add(replica, raw);
        return;
    case SB_TAKEN_CONFLICT:
        /* Passed on as evidence: a validator can sign any number of votes, but only so much evidence of it is kept. */
        sb_seen_add(replica, raw);
        replica->evidence_due = true;
        return;
    case SB_TAKEN_EARLY:
    case SB_TAKEN_UNDECIDED: /* said of blocks alone */
        return;
    case SB_TAKEN_INVALID:
        sb_replica_report(replica, peer, SB_OFFENCE_INVALID, "a false vote");
        return;
    }
    SB_UNREACHABLE();
}

sb_err sb_gossip_take_vote(struct sb_replica *replica, struct gossip_peer *peer,
                           const struct sb_vote *vote, sb_bytes raw, struct sb_diag *diag)
{
    uint64_t head = sb_replica_head(replica);
    enum sb_driver_taken taken;
    bool go_on = true;
    if (vote->height > head + 2 || vote->height + 1 < head ||
        (vote->height <= head && vote->type != SB_VOTE_PRECOMMIT)) {
        return SB_OK;
    }
    if (vote->height > head) {
        SB_TRY(settle_early(&go_on, replica, peer, SB_CHANNEL_VOTE, vote->height, raw, vote, NULL,
                            diag));
    }
    if (!go_on) {
        return SB_OK;
    }
    if (is_held(replica, vote) || sb_seen(replica, raw)) {
        sb_gossip_mark_vote(peer, vote);
        sb_spare_repeated_vote(replica, vote->validator_index, peer);
        replica->status.duplicate_votes++;
        return SB_OK;
    }
    if (!sb_gossip_may_check(replica, peer, 1, hope_of_vote(replica, vote))) {
        return SB_OK;
    }
    /* Marked before: the driver may answer with votes of our own, and commit, while it takes this one. */
    sb_gossip_mark_vote(peer, vote);
    SB_TRY(sb_driver_vote(&taken, replica->driver, vote, diag));
    vote_taken(replica, peer, taken, vote, raw);
    return SB_OK;
}

/* ---- proposals ---- */

static enum check_hope hope_of_proposal(const struct sb_replica *replica,
                                        const struct sb_proposal *proposal)
{
    const struct sb_bft *core = sb_driver_core(replica->driver);
    return is_near(replica, proposal->round) && sb_bft_proposal(core, proposal->round) == NULL
               ? CHECK_HOPEFUL
               : CHECK_LIKELY_VAIN;
}

static void proposal_taken(struct sb_replica *replica, struct gossip_peer *peer,
                           enum sb_driver_taken taken, const struct sb_proposal *proposal,
                           sb_bytes raw)
{
    if (taken == SB_TAKEN_INVALID) {
        sb_replica_report(replica, peer, SB_OFFENCE_INVALID, "a false proposal");
        return;
    }
    if (taken == SB_TAKEN_NEW) {
        sb_gossip_was_news(replica, peer, 1);
        uint32_t proposer =
            sb_rotation_proposer(rotation_of(replica, proposal->height), proposal->round);
        sb_gossip_push_proposal(replica, proposal, (int)proposer, raw);
        sb_assembly_begin(replica, proposal, proposer);
        replica->proposal_ms[proposal->round % 4] = sb_replica_now(replica);
        replica->early_due = true;
    }
    if (taken == SB_TAKEN_EARLY) {
        sb_early_keep(replica, peer, SB_CHANNEL_PROPOSAL, raw); /* until its round is near */
    } else {
        sb_seen_add(replica, raw);
    }
}

sb_err sb_gossip_take_proposal(struct sb_replica *replica, struct gossip_peer *peer,
                               const struct sb_proposal *proposal, sb_bytes raw,
                               struct sb_diag *diag)
{
    uint64_t head = sb_replica_head(replica);
    enum sb_driver_taken taken;
    bool go_on;
    if (proposal->height <= head || proposal->height > head + 2 ||
        proposal->round > SB_ROUNDS_AHEAD_MAX + sb_replica_round(replica)) {
        return SB_OK;
    }
    SB_TRY(settle_early(&go_on, replica, peer, SB_CHANNEL_PROPOSAL, proposal->height, raw, NULL,
                        proposal, diag));
    if (!go_on) {
        return SB_OK;
    }
    sb_gossip_mark_proposal(peer, proposal->height, proposal->round, true);
    const struct sb_application *app = replica->options.app;
    if (proposal->block_bytes > app->head(app->ctx).block_bytes_max || sb_seen(replica, raw) ||
        !sb_gossip_may_check(replica, peer, 1, hope_of_proposal(replica, proposal))) {
        return SB_OK;
    }
    SB_TRY(sb_driver_proposal(&taken, replica->driver, proposal, diag));
    proposal_taken(replica, peer, taken, proposal, raw);
    return SB_OK;
}

/* ---- certificates: not passed on, since whoever lacks one asks ---- */

sb_err sb_gossip_take_certificate(struct sb_replica *replica, struct gossip_peer *peer,
                                  const struct sb_bft_certificate *certificate,
                                  struct sb_diag *diag)
{
    const struct sb_commit *commit = &certificate->commit;
    const struct sb_bft *core = sb_driver_core(replica->driver);
    struct sb_bft_certificate held;
    enum sb_driver_taken taken;
    uint32_t checks = 0;
    if (replica->mode == MODE_HALTED || !sb_replica_is_begun(replica) ||
        commit->height != sb_replica_head(replica) + 1 ||
        (sb_bft_certificate(&held, core, certificate->type, commit->round) &&
         sb_hash_equal(&held.commit.block_id, &commit->block_id))) {
        return SB_OK;
    }
    for (size_t i = 0; i < commit->sig_count; i++) {
        checks += commit->sigs[i].flag != SB_COMMIT_ABSENT ? 1 : 0;
    }
    if (!sb_gossip_may_check(replica, peer, checks, CHECK_HOPEFUL)) {
        return SB_OK;
    }
    SB_TRY(sb_driver_certificate(&taken, replica->driver, certificate, diag));
    if (taken == SB_TAKEN_NEW) {
        sb_gossip_was_news(replica, peer, checks);
    } else if (taken == SB_TAKEN_INVALID) {
        sb_replica_report(replica, peer, SB_OFFENCE_INVALID, "a false certificate");
    }
    return SB_OK;
}

/* ---- evidence ---- */

/* take_lunatic: the chain judges it: by the set of any height, and by history. */
static sb_err take_lunatic(struct sb_replica *replica, struct gossip_peer *peer,
                           const struct sb_evidence *evidence, struct sb_diag *diag)
{
    const struct sb_application *app = replica->options.app;
    bool is_new;
    if (!sb_gossip_may_check(replica, peer, 1, CHECK_LIKELY_VAIN)) {
        return SB_OK;
    }
    sb_err err = app->evidence_add(app->ctx, evidence, diag);
    if (err == SB_E_REFUSED) {
        /* To a peer that is not there yet a header may contradict what history came to say after all. */
        bool is_behind = peer->status.head < evidence->a.height;
        sb_replica_report(replica, peer, is_behind ? SB_OFFENCE_WASTE : SB_OFFENCE_INVALID,
                          "false evidence");
        return SB_OK;
    }
    SB_TRY(err);
    struct evidence_known *known = sb_gossip_note_evidence(replica, evidence, &is_new);
    sb_bits_set(&known->sent, peer->index);
    replica->evidence_due = replica->evidence_due || is_new;
    return SB_OK;
}

sb_err sb_gossip_take_evidence(struct sb_replica *replica, struct gossip_peer *peer,
                               const struct sb_evidence *evidence, struct sb_diag *diag)
{
    if (evidence->kind == SB_EVIDENCE_LUNATIC) {
        return take_lunatic(replica, peer, evidence, diag);
    }
    const struct sb_rotation *rotation = rotation_of(replica, evidence->a.height);
    bool is_new;
    if (rotation == NULL || evidence->a.height > sb_replica_head(replica) + 1 ||
        !sb_gossip_may_check(replica, peer, 2, CHECK_LIKELY_VAIN)) {
        return SB_OK; /* its set is not known here, or no longer */
    }
    if (sb_evidence_verify(evidence, &rotation->set, domain_of(replica), &replica->options.verifier,
                           NULL) != SB_OK) {
        sb_replica_report(replica, peer, SB_OFFENCE_INVALID, "false evidence");
        return SB_OK;
    }
    struct evidence_known *known = sb_gossip_note_evidence(replica, evidence, &is_new);
    sb_bits_set(&known->sent, peer->index);
    if (!is_new) {
        return SB_OK;
    }
    /* the checks stay paid for: a validator can sign any number of pieces, and each is news */
    replica->evidence_due = true;
    return sb_driver_evidence(replica->driver, evidence, diag);
}

/* ---- what came too early ---- */

sb_err sb_gossip_take_early(struct sb_replica *replica, struct sb_diag *diag)
{
    sb_err err = SB_OK;
    replica->early_due = false;
    for (uint32_t i = 0; i < replica->peer_end; i++) {
        struct gossip_peer *peer = replica->peers[i];
        struct early_message *list = peer != NULL ? sb_early_take(replica, peer) : NULL;
        bool was_any = list != NULL;
        for (struct early_message *m = list; m != NULL && err == SB_OK; m = m->next) {
            err = sb_replica_dispatch(replica, peer, m->channel, sb_span(m->bytes, m->len), diag);
        }
        sb_early_free(list);
        if (err != SB_OK) {
            return err;
        }
        if (was_any && peer->early_lost) {
            peer->early_lost = false;
            sb_gossip_ask(replica, peer);
        }
    }
    return SB_OK;
}
