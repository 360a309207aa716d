/* forgery.c: see forgery.h. */
#include "tests/net/forgery.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec/hex.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"

#define FORGER         (NET_NODES - 1)
#define HONEST         FORGER /* nodes before the forger */
#define WAIT_MS        60000
#define SEEN_MS_MAX    90000 /* until a lie has been told and seen */
#define REFUSALS_MAX   256   /* of one node */
#define LINE_BYTES     4096
#define REFUSED        "a block was refused"
#define REFUSED_FORGED REFUSED ": it promises what its transactions do not give"

static struct lie {
    char environment[40];
    const char *reason; /* of every refusal, in the log */
} lies[] = {
    {"SAMEBIT_FORGERY=inference", "the header promises another receiptsRoot"},
    {"SAMEBIT_FORGERY=gas", "the header promises another gasUsed than"},
    {"SAMEBIT_FORGERY=receipt", "the header promises another receiptsRoot than"},
    {"SAMEBIT_FORGERY=root", "the header promises another stateRoot than"},
};
#define LIES (sizeof lies / sizeof lies[0])

/* What one honest node's log says. */
struct witness {
    uint64_t heights[REFUSALS_MAX]; /* of refused blocks, in order */
    size_t count;
    size_t false_count; /* refusals that the running lie does not explain */
};

static struct load load;
static char *environment[2]; /* the forger's */
static struct witness witnesses[HONEST];
static struct sb_chain_domain domain;

/* ---- logs ---- */

/* number_after: the number behind `key` in a line; UINT64_MAX: it is not there. */
static uint64_t number_after(const char *line, const char *key)
{
    const char *at = strstr(line, key);
    return at != NULL ? strtoull(at + strlen(key), NULL, 10) : UINT64_MAX;
}

/* note_refusal: a line about a refused block, the count-th of this log. */
static void note_refusal(struct witness *w, const char *line, const struct lie *lie,
                         const char *forger)
{
    bool is_known = w->count < REFUSALS_MAX && strstr(line, REFUSED_FORGED) != NULL &&
                    strstr(line, lie->reason) != NULL && strstr(line, forger) != NULL;
    w->false_count += is_known ? 0 : 1;
    if (is_known) {
        w->heights[w->count++] = number_after(line, " height=");
    }
}

/* look: read the refusals of a node's log that were not there yet. */
static void look(struct net *net, size_t node, const struct lie *lie)
{
    struct witness *w = &witnesses[node];
    char line[LINE_BYTES], forger[32 + SB_HEX_TEXT_BYTES(sizeof(sb_addr))] = "proposer=";
    struct sb_pubkey key = sb_pubkey_ed25519(net->local.nodes[FORGER].validator_key);
    sb_addr address = sb_pubkey_address(&key);
    size_t known = w->count + w->false_count, seen = 0;
    (void)sb_hex_format(forger + strlen(forger), sb_span(address.b, sizeof address.b));
    FILE *file = fopen(net->logs[node], "rb");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strstr(line, REFUSED) != NULL && seen++ >= known) {
            note_refusal(w, line, lie, forger);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

/* decided_round: in which a node's log says that a height was decided; UINT64_MAX: it does not. */
static uint64_t decided_round(const struct net *net, size_t node, uint64_t height)
{
    char line[LINE_BYTES], number[48];
    uint64_t round = UINT64_MAX;
    (void)snprintf(number, sizeof number, " number=%" PRIu64 " ", height);
    FILE *file = fopen(net->logs[node], "rb");
    while (file != NULL && round == UINT64_MAX && fgets(line, sizeof line, file) != NULL) {
        if (strstr(line, number) != NULL && strstr(line, " signers=") != NULL) {
            round = number_after(line, " round=");
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return round;
}

/* ---- the run ---- */

/* all_have_seen: each honest node has refused something since `before`. */
static bool all_have_seen(struct net *net, const struct lie *lie, const size_t before[HONEST])
{
    bool all = true;
    for (size_t i = 0; i < HONEST; i++) {
        look(net, i, lie);
        all = all && witnesses[i].count > before[i];
    }
    return all;
}

/* tell: one lie, until everybody has seen through it. */
static bool tell(struct net *net, struct lie *lie, struct sb_random *random)
{
    struct rpc_session session;
    size_t before[HONEST];
    for (size_t i = 0; i < HONEST; i++) {
        before[i] = witnesses[i].count;
    }
    environment[0] = lie->environment;
    net->environments[FORGER] = environment;
    if (!net_start(net, FORGER) || !net_open(net, &session, 0)) {
        return false;
    }
    uint64_t end_ms = now_ms() + SEEN_MS_MAX;
    bool ok = true;
    while (ok && !all_have_seen(net, lie, before)) {
        ok = load_step(&load, &session, random) || net_fail(net, "under load: %s", load.problem);
        ok = ok && (now_ms() < end_ms ||
                    net_fail(net, "not every node has seen through %s", lie->environment));
    }
    rpc_close(&session);
    ok = ok && net_wait_all(net, net_highest(net) + 3, WAIT_MS) && net_stop(net, FORGER);
    ok = ok && net_wait_all(net, net_highest(net) + 5, WAIT_MS);
    for (size_t i = 0; ok && i < HONEST; i++) { /* what came last */
        look(net, i, lie);
    }
    return ok;
}

/* check_node: metric and log of an honest node agree, and each refused block was followed by another of a later round. */
static bool check_node(struct net *net, size_t node)
{
    const struct witness *w = &witnesses[node];
    uint64_t counted = 0;
    if (!net_metric(net, &counted, node, "consensus_forged_results")) {
        return false;
    }
    if (w->false_count != 0 || counted != w->count) {
        return net_fail(net,
                        "node %zu counts %" PRIu64 " forged blocks, its log tells of %zu, and of "
                        "%zu refusals that no lie explains",
                        node, counted, w->count, w->false_count);
    }
    for (size_t i = 0; i < w->count; i++) {
        uint64_t round = decided_round(net, node, w->heights[i]);
        if (round == 0 || round == UINT64_MAX) {
            return net_fail(
                net, "node %zu refused a block of height %" PRIu64 " and decided no later round",
                node, w->heights[i]);
        }
    }
    return true;
}

bool forgery_run(struct net *net, const char *forger_program, uint64_t seed)
{
    struct sb_random random = {.state = seed};
    char reader[NET_ADDRESS_BYTES];
    memset(witnesses, 0, sizeof witnesses);
    net->programs[FORGER] = forger_program;
    load_init(&load, NET_CHAIN_ID);
    bool ok = true;
    for (size_t i = 0; ok && i < HONEST; i++) {
        ok = net_start(net, i);
    }
    ok = ok && net_deploy_reader(net, reader, load.senders[0].secret);
    (void)snprintf(load.reader, sizeof load.reader, "%s", ok ? reader : "");
    load_use_senders(&load, 1);
    for (size_t i = 0; ok && i < LIES; i++) {
        ok = tell(net, &lies[i], &random);
    }
    for (size_t i = 0; ok && i < HONEST; i++) {
        ok = check_node(net, i);
    }
    if (ok) {
        printf("forger: %zu blocks refused by all; %zu receipts, %" PRIu64 " inferences\n",
               witnesses[0].count, load.receipt_count, load.inference_count);
    }
    load_fini(&load);
    return ok;
}

/* ---- journals ---- */

static bool proposed(const struct net *net, uint64_t height, uint32_t round)
{
    const struct sb_journal_place place = {
        .height = height, .round = round, .step = SB_JOURNAL_PROPOSAL};
    return signed_places_find(&net->places[FORGER], &place) != NULL;
}

/* all_prevoted_nil: every honest node signed a prevote for nil in this round. */
static bool all_prevoted_nil(const struct net *net, uint64_t height, uint32_t round)
{
    const struct sb_journal_place place = {
        .height = height, .round = round, .step = SB_JOURNAL_PREVOTE};
    const struct sb_vote nil = {.type = SB_VOTE_PREVOTE, .height = height, .round = (int32_t)round};
    uint8_t bytes[SB_SIGN_BYTES_MAX];
    sb_hash digest = sb_keccak256(sb_span(bytes, sb_vote_sign_bytes(bytes, &domain, &nil)));
    for (size_t i = 0; i < HONEST; i++) {
        const struct signed_place *known = signed_places_find(&net->places[i], &place);
        if (known == NULL || !sb_hash_equal(&known->digest, &digest)) {
            return false;
        }
    }
    return true;
}

bool forgery_check(struct net *net)
{
    const struct witness *w = &witnesses[0];
    domain.chain_id = NET_CHAIN_ID;
    SB_ASSERT(sb_genesis_hash(&domain.genesis_hash, &net->genesis) == SB_OK);
    for (size_t i = 0; i < w->count; i++) {
        uint32_t decided = (uint32_t)decided_round(net, 0, w->heights[i]);
        bool found = false;
        for (uint32_t round = 0; !found && round < decided; round++) {
            found =
                proposed(net, w->heights[i], round) && all_prevoted_nil(net, w->heights[i], round);
        }
        if (!found) {
            return net_fail(net,
                            "no round of height %" PRIu64
                            " has a forged proposal and prevotes for nil of all others",
                            w->heights[i]);
        }
    }
    return true;
}
