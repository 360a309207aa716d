/* gossip_parts.c: blocks: put together from parts, and fetched whole when parts do not bring them; see replica_impl.h.
 *
 *      signed proposal --> assembly: a buffer of block_bytes, a bit a part --> all parts --> driver
 *      part            --> proof under the proposal's root --> passed on --> buffer
 *
 * A part takes no memory before a proposal that the driver took says how long the block is; one that comes before its proposal waits
 * with the early messages of its peer. */
#include <stdlib.h>

#include "base/util/assert.h"
#include "node/replica_impl.h"

/* What hashing a part costs, in signature checks. */
#define PROOF_CHECKS 3

/* ---- assembly ---- */

static void assembly_free(struct assembly *assembly)
{
    free(assembly->memory);
    *assembly = (struct assembly){.is_used = false};
}

void sb_assembly_clear(struct sb_replica *replica)
{
    for (size_t i = 0; i < SB_ASSEMBLIES_MAX; i++) {
        assembly_free(&replica->assemblies[i]);
    }
}

static struct assembly *find_assembly(struct sb_replica *replica,
                                      const struct sb_proposal *proposal)
{
    for (size_t i = 0; i < SB_ASSEMBLIES_MAX; i++) {
        struct assembly *a = &replica->assemblies[i];
        if (a->is_used && a->height == proposal->height &&
            a->block_bytes == proposal->block_bytes &&
            sb_hash_equal(&a->block_id, &proposal->block_id) &&
            sb_hash_equal(&a->parts_root, &proposal->parts_root)) {
            return a;
        }
    }
    return NULL;
}

/* room: a free place, or that of the lowest round. */
static struct assembly *room(struct sb_replica *replica)
{
    struct assembly *lowest = &replica->assemblies[0];
    for (size_t i = 0; i < SB_ASSEMBLIES_MAX; i++) {
        struct assembly *a = &replica->assemblies[i];
        if (!a->is_used) {
            return a;
        }
        lowest = a->round < lowest->round ? a : lowest;
    }
    assembly_free(lowest);
    return lowest;
}

static bool is_block_held(const struct sb_replica *replica, const sb_hash *block_id)
{
    return sb_driver_block_bytes(replica->driver, block_id).len != 0;
}

void sb_assembly_begin(struct sb_replica *replica, const struct sb_proposal *proposal,
                       uint32_t proposer)
{
    if (find_assembly(replica, proposal) != NULL || is_block_held(replica, &proposal->block_id)) {
        return;
    }
    uint8_t *memory = malloc(proposal->block_bytes);
    if (memory == NULL) {
        return; /* the block can still be fetched */
    }
    *room(replica) = (struct assembly){
        .is_used = true,
        .proposer = proposer,
        .height = proposal->height,
        .round = proposal->round,
        .block_id = proposal->block_id,
        .parts_root = proposal->parts_root,
        .block_bytes = proposal->block_bytes,
        .have = {.count = sb_part_count(proposal->block_bytes)},
        .memory = memory,
    };
}

/* assembly_of: the assembly of a proposal that the driver holds, begun anew when a restart or a lack of room has ended it; NULL: the
 * block is here, or memory is not. */
static struct assembly *assembly_of(struct sb_replica *replica, const struct sb_proposal *proposal)
{
    const struct sb_application *app = replica->options.app;
    const struct sb_rotation *rotation = app->rotation(app->ctx, proposal->height);
    struct assembly *assembly = find_assembly(replica, proposal);
    if (assembly == NULL && rotation != NULL) {
        sb_assembly_begin(replica, proposal, sb_rotation_proposer(rotation, proposal->round));
        assembly = find_assembly(replica, proposal);
    }
    return assembly;
}

static struct sb_bits all_bits(uint32_t count)
{
    struct sb_bits bits = {.count = count};
    for (uint32_t i = 0; i < count; i++) {
        sb_bits_set(&bits, i);
    }
    return bits;
}

static bool is_complete(const struct sb_bits *bits)
{
    struct sb_bits all = all_bits(bits->count);
    return memcmp(bits->words, all.words, sizeof all.words) == 0;
}

struct sb_bits sb_assembly_have(const struct sb_replica *replica,
                                const struct sb_proposal *proposal)
{
    uint32_t count = sb_part_count(proposal->block_bytes);
    if (is_block_held(replica, &proposal->block_id)) {
        return all_bits(count);
    }
    for (size_t i = 0; i < SB_ASSEMBLIES_MAX; i++) {
        const struct assembly *a = &replica->assemblies[i];
        if (a->is_used && a->have.count == count &&
            sb_hash_equal(&a->block_id, &proposal->block_id) &&
            sb_hash_equal(&a->parts_root, &proposal->parts_root)) {
            return a->have;
        }
    }
    return (struct sb_bits){.count = count};
}

const struct sb_part_tree *sb_replica_tree(struct sb_replica *replica, const sb_hash *block_id,
                                           sb_bytes block)
{
    for (size_t i = 0; i < SB_TREES_MAX && block.len != 0; i++) {
        if (sb_hash_equal(&replica->trees[i].block_id, block_id)) {
            return &replica->trees[i].tree;
        }
    }
    struct block_tree *made = &replica->trees[replica->trees_next];
    made->block_id = (sb_hash){{0}};
    if (sb_part_tree_make(&made->tree, block) != SB_OK) {
        return NULL;
    }
    made->block_id = *block_id;
    replica->trees_next = (replica->trees_next + 1) % SB_TREES_MAX;
    return &made->tree;
}

/* finish: all parts are here. */
static sb_err finish(struct sb_replica *replica, struct assembly *assembly, struct sb_diag *diag)
{
    enum sb_driver_taken taken;
    sb_hash block_id = assembly->block_id;
    uint8_t *memory = assembly->memory;
    assembly->memory = NULL;
    assembly->is_done = true;
    sb_err err = sb_driver_block(&taken, replica->driver, &block_id,
                                 sb_span(memory, assembly->block_bytes), diag);
    free(memory);
    if (err == SB_OK && taken == SB_TAKEN_INVALID) {
        sb_log(replica->options.log, SB_LOG_WARN, "gossip",
               "a proposer signed a block that is not what it says",
               SB_LOG_U64("height", assembly->height), SB_LOG_I64("round", assembly->round),
               SB_LOG_END);
    }
    return err;
}

/* is_of: the part has the place and the length that the signed size of the block gives it. */
static bool is_of(const struct sb_message_part *part, const struct sb_proposal *proposal)
{
    uint32_t count = sb_part_count(proposal->block_bytes);
    if (part->proof.count != count || part->proof.index >= count) {
        return false;
    }
    size_t begin = part->proof.index * SB_PART_BYTES;
    size_t rest = proposal->block_bytes - begin;
    return part->bytes.len == (rest < SB_PART_BYTES ? rest : SB_PART_BYTES);
}

/* stray: the part fits no proposal that is held here. A proposer may have signed two, and an honest peer hold the other one: no offence,
 * but the peer pays for it as for a signature, and has only so many. */
static void stray(struct sb_replica *replica, struct gossip_peer *peer)
{
    if (!sb_gossip_may_check(replica, peer, 1, CHECK_HOPEFUL)) {
        sb_replica_report(replica, peer, SB_OFFENCE_WASTE, "parts of blocks that nobody proposed");
    }
}

static sb_err take_into(struct sb_replica *replica, struct assembly *assembly,
                        struct gossip_peer *peer, const struct sb_message_part *part, sb_bytes raw,
                        struct sb_diag *diag)
{
    if (!sb_gossip_may_check(replica, peer, PROOF_CHECKS, CHECK_LIKELY_VAIN) ||
        !sb_part_verify(&part->proof, part->bytes, &assembly->parts_root)) {
        return SB_OK; /* as stray: it may belong to another proposal */
    }
    sb_gossip_was_news(replica, peer, PROOF_CHECKS);
    memcpy(assembly->memory + part->proof.index * SB_PART_BYTES, part->bytes.data, part->bytes.len);
    sb_bits_set(&assembly->have, part->proof.index);
    sb_gossip_mark_part(peer, part->height, &assembly->block_id, part->proof.index);
    sb_spare_new(replica, replica->block_source, assembly->proposer, peer);
    sb_gossip_push_part(replica, part, &assembly->block_id, (int)assembly->proposer, raw);
    replica->moved_ms = sb_replica_now(replica);
    return is_complete(&assembly->have) ? finish(replica, assembly, diag) : SB_OK;
}

sb_err sb_gossip_take_part(struct sb_replica *replica, struct gossip_peer *peer,
                           const struct sb_message_part *part, sb_bytes raw, struct sb_diag *diag)
{
    uint64_t head = sb_replica_head(replica);
    bool is_begun = sb_replica_is_begun(replica) && part->height == head + 1;
    if (part->height <= head || part->height > head + 2 || replica->mode == MODE_SYNC ||
        replica->mode == MODE_HALTED) {
        return SB_OK;
    }
    const struct sb_proposal *held =
        is_begun ? sb_bft_proposal(sb_driver_core(replica->driver), part->round) : NULL;
    if (held == NULL) {
        if (!is_begun || part->round <= sb_replica_round(replica) + SB_ROUNDS_AHEAD_MAX) {
            sb_early_keep(replica, peer, SB_CHANNEL_PART, raw);
        }
        return SB_OK;
    }
    struct sb_proposal proposal = *held;
    if (!is_of(part, &proposal)) {
        stray(replica, peer);
        return SB_OK;
    }
    struct assembly *assembly = assembly_of(replica, &proposal);
    if (assembly == NULL || assembly->is_done || sb_bits_get(&assembly->have, part->proof.index)) {
        if (assembly != NULL) {
            sb_spare_repeated_part(replica, assembly->proposer, peer);
        }
        sb_gossip_mark_part(peer, part->height, &proposal.block_id, part->proof.index);
        replica->status.duplicate_parts++;
        return SB_OK;
    }
    return take_into(replica, assembly, peer, part, raw, diag);
}

/* ---- blocks fetched whole ---- */

void sb_fetch_begin(struct sb_replica *replica, uint64_t height, int32_t round,
                    const sb_hash *block_id)
{
    if (replica->fetch.is_active && sb_hash_equal(&replica->fetch.block_id, block_id)) {
        return;
    }
    /* A decision may overtake the last parts of its block: give them a moment. */
    replica->fetch =
        (struct block_fetch){.is_active = true,
                             .height = height,
                             .round = round,
                             .block_id = *block_id,
                             .due_ms = sb_replica_now(replica) + sb_replica_resend_ms(replica) / 8,
                             .next_index = (uint32_t)replica->options.seed};
    replica->tick_soon = true;
}

/* next_peer: the next one in turn that may have the block: one that works on this height or is beyond it. */
static struct gossip_peer *next_peer(struct sb_replica *replica)
{
    struct block_fetch *f = &replica->fetch;
    for (uint32_t n = 0; n < replica->peer_end; n++) {
        struct gossip_peer *peer = replica->peers[f->next_index++ % replica->peer_end];
        if (peer != NULL && peer->has_status && peer->status.head + 1 >= f->height) {
            return peer;
        }
    }
    return NULL;
}

void sb_fetch_tick(struct sb_replica *replica)
{
    struct block_fetch *f = &replica->fetch;
    uint64_t now = sb_replica_now(replica);
    if (!f->is_active || now < f->due_ms) {
        return;
    }
    if (is_block_held(replica, &f->block_id) && f->round >= 0 &&
        sb_bft_proposal(sb_driver_core(replica->driver), f->round) != NULL) {
        f->is_active = false;
        return;
    }
    struct gossip_peer *peer = next_peer(replica);
    f->due_ms = now + sb_replica_resend_ms(replica);
    f->is_asked = peer != NULL;
    if (peer != NULL) {
        struct sb_message m = {.kind = SB_MESSAGE_WANT};
        m.as.want = (struct sb_message_want){
            .height = f->height, .round = f->round, .block_id = f->block_id};
        f->asked = peer->id;
        if (sb_gossip_send_message(replica, peer, &m)) {
            peer->wanted[peer->wanted_next++ % SB_PEER_WANTED] = f->height;
        }
    }
}

/* settle_wanted: an answer came: false when none was due. Each question allows one, however late. */
static bool settle_wanted(struct gossip_peer *peer, uint64_t height)
{
    for (size_t i = 0; i < SB_PEER_WANTED && height != 0; i++) {
        if (peer->wanted[i] == height) {
            peer->wanted[i] = 0;
            return true;
        }
    }
    return false;
}

/* is_asked_now: the answer to the present question may come from this peer. */
static bool is_asked_now(const struct block_fetch *f, const struct gossip_peer *peer,
                         uint64_t height)
{
    return f->is_active && f->is_asked && f->asked == peer->id && f->height == height;
}

void sb_fetch_lost(struct sb_replica *replica, const struct gossip_peer *peer)
{
    struct block_fetch *f = &replica->fetch;
    if (is_asked_now(f, peer, f->height)) {
        f->is_asked = false;
        f->due_ms = sb_replica_now(replica);
        replica->tick_soon = replica->peer_count > 1;
    }
}

bool sb_fetch_refused(struct sb_replica *replica, struct gossip_peer *peer, uint64_t height)
{
    if (!settle_wanted(peer, height)) {
        return false;
    }
    if (replica->fetch.height == height) {
        sb_fetch_lost(replica, peer);
    }
    return true;
}

/* proposal_of: the proposal of a round, if it names this block. */
static const struct sb_proposal *proposal_of(const struct sb_replica *replica, int32_t round,
                                             const sb_hash *block_id)
{
    const struct sb_proposal *p =
        round < 0 ? NULL : sb_bft_proposal(sb_driver_core(replica->driver), round);
    return p != NULL && sb_hash_equal(&p->block_id, block_id) ? p : NULL;
}

/* is_what_was_signed: the bytes have the root that the proposal signed. Others may still be the block: its proposer may have signed
 * another root for us alone, and the driver compares the id. */
static bool is_what_was_signed(const struct sb_replica *replica, sb_bytes encoded)
{
    const struct block_fetch *f = &replica->fetch;
    const struct sb_proposal *proposal = proposal_of(replica, f->round, &f->block_id);
    sb_hash root;
    return proposal != NULL && sb_parts_root(&root, encoded) == SB_OK &&
           sb_hash_equal(&root, &proposal->parts_root);
}

sb_err sb_fetch_answer(bool *ret_is_ours, struct sb_replica *replica, struct gossip_peer *peer,
                       const struct sb_message_sync_block *block, struct sb_diag *diag)
{
    struct block_fetch *f = &replica->fetch;
    enum sb_driver_taken taken;
    *ret_is_ours = settle_wanted(peer, block->height);
    if (!*ret_is_ours || !f->is_active || f->height != block->height ||
        !sb_replica_is_begun(replica) || f->height != sb_replica_head(replica) + 1 ||
        (block->commit.sig_count != 0 && !sb_hash_equal(&block->commit.block_id, &f->block_id))) {
        return SB_OK;
    }
    bool is_late =
        !is_asked_now(f, peer, block->height); /* then the question may have been another */
    f->is_asked = false;
    f->due_ms = sb_replica_now(replica) + sb_replica_resend_ms(replica);
    sb_hash block_id = f->block_id;
    bool was_signed = is_what_was_signed(replica, block->encoded);
    SB_TRY(sb_driver_block(&taken, replica->driver, &block_id, block->encoded, diag));
    if (taken == SB_TAKEN_INVALID) {
        f->due_ms = sb_replica_now(replica);
        replica->tick_soon = replica->peer_count > 1;
    }
    if (taken == SB_TAKEN_INVALID && !is_late &&
        !was_signed) { /* else it is the proposer's fault */
        sb_replica_report(replica, peer, SB_OFFENCE_INVALID, "another block than was asked for");
    }
    return SB_OK;
}

/* ---- giving a block by its id ---- */

void sb_gossip_take_want(struct sb_replica *replica, struct gossip_peer *peer,
                         const struct sb_message_want *want)
{
    uint64_t head = sb_replica_head(replica);
    if (want->height <= head) {
        sb_replica_take_request(replica, peer, want->height);
        return;
    }
    if (!sb_budget_take(&peer->blocks, sb_budget_blocks, 1, sb_replica_now(replica))) {
        return;
    }
    struct sb_message m = {.kind = SB_MESSAGE_SYNC_NO_BLOCK, .as.sync_height = want->height};
    sb_bytes block = want->height == head + 1
                         ? sb_driver_block_bytes(replica->driver, &want->block_id)
                         : sb_span(NULL, 0);
    if (block.len != 0 &&
        (!sb_replica_may_give(replica) ||
         !sb_budget_take(&peer->wants, sb_budget_wants, 1, sb_replica_now(replica)))) {
        return; /* it asks others, and again */
    }
    if (block.len != 0) {
        sb_replica_given(replica, block.len);
        const struct sb_proposal *proposal = proposal_of(replica, want->round, &want->block_id);
        if (proposal != NULL) {
            sb_gossip_mark_proposal(peer, want->height, want->round, false);
            (void)sb_gossip_send_proposal(replica, peer, proposal);
        }
        m.kind = SB_MESSAGE_SYNC_BLOCK;
        m.as.sync_block = (struct sb_message_sync_block){.height = want->height, .encoded = block};
    }
    (void)sb_gossip_send_message(replica, peer, &m);
}
