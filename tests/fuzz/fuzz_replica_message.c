/* fuzz_replica_message.c: any bytes on any channel in any state, against a live replica: it never fails, and its memory stays bounded.
 *
 * An input is a script for two peers and three validators of a set of four; the replica is the fourth. Each act is a byte, then its
 * arguments, each a byte (zero past the end). Signed messages are made here, so that the replica comes to states that noise alone does
 * not reach; noise is cut from the input itself. */
#include <stdint.h>
#include <stdlib.h>

#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "node/replica_impl.h"
#include "tests/support/replica_net.h"

#define ACTS_MAX    64
#define BLOCK_BYTES 150000

struct script {
    const uint8_t *data;
    size_t len, at;
    bool is_sole; /* the replica is the only validator: others have nothing to sign */
};

static uint8_t take(struct script *s)
{
    return s->at < s->len ? s->data[s->at++] : 0;
}

static uint8_t g_block[BLOCK_BYTES];

static sb_hash block_id(uint8_t which)
{
    if (which % 4 == 3) {
        return (sb_hash){{0}};
    }
    uint8_t text[2] = {'b', which % 4};
    return sb_keccak256(sb_span(text, sizeof text));
}

static uint64_t height_of(const struct replica_net *net, uint8_t offset)
{
    uint64_t base = replica_net_height(net, 0);
    return base + offset % 4 > 1 ? base + offset % 4 - 1 : 1;
}

static void send_noise(struct replica_net *net, size_t from, struct script *s)
{
    enum sb_channel channel = (enum sb_channel)(take(s) % SB_CHANNEL_COUNT);
    size_t len = take(s);
    sb_bytes rest = sb_span_slice(sb_span(s->data, s->len), s->at, len);
    replica_net_send(net, from, 0, channel, rest);
    s->at += rest.len;
}

static struct sb_vote a_vote(const struct replica_net *net, uint8_t validator, uint8_t type,
                             uint64_t height, uint8_t round, uint8_t which)
{
    sb_hash id = block_id(which);
    uint64_t known = height > replica_net_height(net, 0) + 2 ? 1 : height;
    struct sb_vote vote = replica_net_sign_vote(net, 1 + validator % 3u,
                                                type % 2 == 0 ? SB_VOTE_PREVOTE : SB_VOTE_PRECOMMIT,
                                                known, round % 5, &id);
    return vote;
}

static void send_vote(struct replica_net *net, size_t from, struct script *s)
{
    struct sb_message m = {.kind = SB_MESSAGE_VOTE};
    uint8_t validator = take(s), type = take(s), offset = take(s), round = take(s);
    m.as.vote = a_vote(net, validator, type, height_of(net, offset), round, take(s));
    replica_net_send_message(net, from, 0, &m);
}

static void send_certificate(struct replica_net *net, size_t from, struct script *s)
{
    struct sb_message m = {.kind = SB_MESSAGE_CERTIFICATE};
    struct sb_commit_sig sigs[4] = {{.flag = SB_COMMIT_ABSENT}};
    uint8_t type = take(s), round = take(s), which = take(s) % 3;
    uint64_t height = replica_net_height(net, 0) + 1;
    for (uint8_t v = 0; v < 3; v++) {
        struct sb_vote vote = a_vote(net, v, type, height, round, which);
        sigs[vote.validator_index] =
            (struct sb_commit_sig){.flag = SB_COMMIT_BLOCK, .signature = vote.signature};
    }
    m.as.certificate.type = type % 2 == 0 ? SB_VOTE_PREVOTE : SB_VOTE_PRECOMMIT;
    m.as.certificate.commit = (struct sb_commit){.height = height,
                                                 .round = round % 5,
                                                 .block_id = block_id(which),
                                                 .sigs = sigs,
                                                 .sig_count = 4};
    replica_net_send_message(net, from, 0, &m);
}

static void send_proposal(struct replica_net *net, size_t from, struct script *s)
{
    struct sb_message m = {.kind = SB_MESSAGE_PROPOSAL};
    struct sb_proposal *p = &m.as.proposal;
    p->height = height_of(net, take(s));
    p->round = take(s) % 5;
    p->pol_round = p->round - 1;
    p->block_id = block_id(take(s) % 3);
    p->block_bytes = BLOCK_BYTES;
    SB_ASSERT(sb_parts_root(&p->parts_root, sb_span(g_block, BLOCK_BYTES)) == SB_OK);
    if (p->height <= replica_net_height(net, 0)) {
        return;
    }
    size_t proposer = replica_net_proposer(net, p->height, p->round);
    if (proposer != 0) {
        replica_net_sign_proposal(net, proposer, p);
        replica_net_send_message(net, from, 0, &m);
    }
}

static void send_part(struct replica_net *net, size_t from, struct script *s)
{
    struct sb_message m = {.kind = SB_MESSAGE_PART};
    uint32_t index = take(s) % sb_part_count(BLOCK_BYTES);
    sb_bytes block = sb_span(g_block, BLOCK_BYTES);
    m.as.part.height = height_of(net, take(s));
    m.as.part.round = take(s) % 5;
    SB_ASSERT(sb_part_prove(&m.as.part.proof, block, index) == SB_OK);
    m.as.part.bytes = sb_span_slice(block, index * SB_PART_BYTES, SB_PART_BYTES);
    replica_net_send_message(net, from, 0, &m);
}

static void send_state(struct replica_net *net, size_t from, struct script *s)
{
    static const enum sb_message_kind k_kinds[] = {
        SB_MESSAGE_STATUS, SB_MESSAGE_VOTES, SB_MESSAGE_PARTS, SB_MESSAGE_WANT, SB_MESSAGE_RELAY};
    struct sb_message m = {.kind = k_kinds[take(s) % 5]};
    uint64_t height = height_of(net, take(s));
    uint8_t a = take(s), b = take(s);
    if (m.kind == SB_MESSAGE_STATUS) {
        m.as.status = (struct sb_message_status){.sequence = a,
                                                 .head = height - 1 + (b & 0x70),
                                                 .oldest = 1,
                                                 .round = a % 5,
                                                 .step = 1 + b % 4,
                                                 .asks = b % 8 > 3};
    } else if (m.kind == SB_MESSAGE_VOTES) {
        m.as.votes =
            (struct sb_message_votes){.height = height, .round = a % 5, .type = SB_VOTE_PREVOTE};
        m.as.votes.bits = (struct sb_bits){.count = 4, .words = {b % 16}};
    } else if (m.kind == SB_MESSAGE_PARTS) {
        m.as.parts = (struct sb_message_parts){.height = height, .round = a % 5};
        m.as.parts.bits = (struct sb_bits){.count = 3, .words = {b % 8}};
    } else if (m.kind == SB_MESSAGE_RELAY) {
        m.as.relay.votes = (struct sb_bits){.count = 256, .words = {a % 16}};
        m.as.relay.blocks = (struct sb_bits){.count = 4, .words = {b % 16}};
    } else {
        m.as.want =
            (struct sb_message_want){.height = height, .round = a % 5, .block_id = block_id(b % 3)};
    }
    replica_net_send_message(net, from, 0, &m);
}

static void send_sync(struct replica_net *net, size_t from, struct script *s)
{
    struct sb_message m = {.kind = (enum sb_message_kind)(SB_MESSAGE_SYNC_REQUEST + take(s) % 3)};
    struct sb_commit_sig sigs[4] = {{.flag = SB_COMMIT_ABSENT}};
    uint64_t height = height_of(net, take(s)) + take(s) % 4;
    if (m.kind == SB_MESSAGE_SYNC_BLOCK) {
        m.as.sync_block = (struct sb_message_sync_block){
            .height = height, .encoded = sb_span(g_block, 100 + (size_t)take(s))};
        if (take(s) % 2 == 0) {
            m.as.sync_block.commit = (struct sb_commit){
                .height = height, .block_id = block_id(0), .sigs = sigs, .sig_count = 4};
        }
    } else {
        m.as.sync_height = height;
    }
    replica_net_send_message(net, from, 0, &m);
}

static void act(struct replica_net *net, struct script *s)
{
    uint8_t what = take(s);
    size_t from = 1 + what % 2u;
    uint8_t kind = what / 2 % 10;
    switch (s->is_sole && (kind == 1 || kind == 2) ? 0 : kind) {
    case 0:
        send_noise(net, from, s);
        break;
    case 1:
        send_vote(net, from, s);
        break;
    case 2:
        send_certificate(net, from, s);
        break;
    case 3:
        send_proposal(net, from, s);
        break;
    case 4:
        send_part(net, from, s);
        break;
    case 5:
        send_state(net, from, s);
        break;
    case 6:
        send_sync(net, from, s);
        break;
    case 7:
        replica_net_disconnect(net, 0, from);
        replica_net_connect(net, 0, from);
        break;
    case 8:
        replica_net_run(net, (uint64_t)take(s) * 32);
        break;
    default:
        if (stub_application_add(net->nodes[0].app, sb_span_str("t"))) {
            SB_ASSERT(sb_replica_wake(net->nodes[0].replica, NULL) == SB_OK);
        }
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {.data = data, .len = size};
    uint8_t setting = take(&script);
    /* A sole validator without an interval would make blocks for ever without time going on. */
    bool is_sole = setting % 4 == 0;
    struct replica_net_options options = {.nodes = 1,
                                          .validators = is_sole ? 1 : 4,
                                          .seed = 1,
                                          .interval_ms = is_sole || setting % 8 >= 4 ? 400 : 0,
                                          .pace =
                                              setting % 16 < 8 ? SB_PACE_STEADY : SB_PACE_INSTANT};
    script.is_sole = is_sole;
    struct replica_net *net = replica_net_new(&options);
    replica_net_start_all(net);
    (void)replica_net_actor(net);
    (void)replica_net_actor(net);
    for (int i = 0; i < ACTS_MAX && script.at < script.len; i++) {
        act(net, &script);
        replica_net_run(net, 0);
        SB_ASSERT(net->nodes[0].replica->early_bytes <= 2 * SB_EARLY_PEER_BYTES_MAX);
        SB_ASSERT(sb_sync_held_bytes(net->nodes[0].replica->sync) <= (size_t)80 << 20);
    }
    replica_net_run(net, 2000);
    replica_net_free(net);
    return 0;
}
