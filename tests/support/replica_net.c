/* replica_net.c: see replica_net.h. */
#include "tests/support/replica_net.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/crypto/ed25519.h"
#include "base/util/assert.h"

#define WALL_MS_BASE ((uint64_t)1700000000000)
#define BAN_SCORE    100

struct replica_net_event {
    uint64_t at_ms, sequence;
    size_t from, to;
    sb_peer peer;
    enum sb_channel channel;
    uint8_t *bytes; /* owned */
    size_t len;
};

static const struct sb_chain_domain k_domain = {.chain_id = 5, .genesis_hash = {.b = {0x67}}};

/* ---- events: a binary heap by (time, sequence) ---- */

static bool is_before(const struct replica_net_event *a, const struct replica_net_event *b)
{
    return a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->sequence < b->sequence);
}

static void push_event(struct replica_net *net, const struct replica_net_event *event)
{
    if (net->event_count == net->event_room) {
        net->event_room = net->event_room != 0 ? 2 * net->event_room : 1024;
        net->events = realloc(net->events, net->event_room * sizeof *net->events);
        SB_ASSERT(net->events != NULL);
    }
    size_t i = net->event_count++;
    for (; i > 0 && is_before(event, &net->events[(i - 1) / 2]); i = (i - 1) / 2) {
        net->events[i] = net->events[(i - 1) / 2];
    }
    net->events[i] = *event;
}

static struct replica_net_event pop_event(struct replica_net *net)
{
    struct replica_net_event top = net->events[0];
    struct replica_net_event last = net->events[--net->event_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= net->event_count) {
            break;
        }
        if (child + 1 < net->event_count &&
            is_before(&net->events[child + 1], &net->events[child])) {
            child++;
        }
        if (!is_before(&net->events[child], &last)) {
            break;
        }
        net->events[i] = net->events[child];
        i = child;
    }
    net->events[i] = last;
    return top;
}

/* ---- links ---- */

static void put_on_link(struct replica_net *net, size_t from, size_t to, enum sb_channel channel,
                        sb_bytes message)
{
    struct replica_net_link *link = &net->links[from][to];
    uint64_t jitter = link->jitter_ms != 0 ? sb_random_below(&net->random, link->jitter_ms + 1) : 0;
    struct replica_net_event event = {.at_ms = net->now_ms + link->delay_ms + jitter,
                                      .sequence = net->sequence++,
                                      .from = from,
                                      .to = to,
                                      .peer = link->peer,
                                      .channel = channel,
                                      .len = message.len};
    if (!link->reorders && event.at_ms < link->last_at_ms) {
        event.at_ms = link->last_at_ms;
    }
    link->last_at_ms = event.at_ms;
    event.bytes = malloc(message.len + 1);
    SB_ASSERT(event.bytes != NULL);
    sb_copy(event.bytes, message.data, message.len);
    net->nodes[from].in_flight[to]++;
    push_event(net, &event);
}

void replica_net_send(struct replica_net *net, size_t from, size_t to, enum sb_channel channel,
                      sb_bytes message)
{
    const struct replica_net_link *link = &net->links[from][to];
    net->nodes[from].sent_count++;
    net->nodes[from].sent_bytes += message.len;
    if (link->is_cut || sb_random_below(&net->random, 1000) < link->loss_permille) {
        return;
    }
    put_on_link(net, from, to, channel, message);
    if (link->repeat_permille != 0 && sb_random_below(&net->random, 1000) < link->repeat_permille) {
        put_on_link(net, from, to, channel, message);
    }
}

void replica_net_send_message(struct replica_net *net, size_t from, size_t to,
                              const struct sb_message *message)
{
    struct sb_buf buf;
    sb_buf_init(&buf, (size_t)16 << 20);
    sb_message_encode(&buf, message);
    SB_ASSERT(sb_buf_err(&buf) == SB_OK);
    replica_net_send(net, from, to, sb_message_channel(message->kind), sb_buf_bytes(&buf));
    sb_buf_fini(&buf);
}

void replica_net_all_links(struct replica_net *net, uint64_t jitter_ms, uint32_t loss_permille,
                           uint32_t repeat_permille, bool reorders)
{
    for (size_t a = 0; a < REPLICA_NET_NODES_MAX; a++) {
        for (size_t b = 0; b < REPLICA_NET_NODES_MAX; b++) {
            struct replica_net_link *link = &net->links[a][b];
            link->jitter_ms = jitter_ms;
            link->loss_permille = loss_permille;
            link->repeat_permille = repeat_permille;
            link->reorders = reorders;
        }
    }
}

void replica_net_cut(struct replica_net *net, size_t a, size_t b, bool is_cut)
{
    net->links[a][b].is_cut = is_cut;
    net->links[b][a].is_cut = is_cut;
}

/* ---- the host of a replica ---- */

static uint64_t host_wall(void *ctx)
{
    return WALL_MS_BASE + ((struct replica_net_node *)ctx)->net->now_ms;
}

static uint64_t host_monotonic(void *ctx)
{
    return ((struct replica_net_node *)ctx)->net->now_ms;
}

static void host_set_timer(void *ctx, enum sb_replica_timer timer, uint64_t delay_ms)
{
    struct replica_net_node *node = ctx;
    node->timer_set[timer] = true;
    node->timer_at[timer] = node->net->now_ms + delay_ms;
}

static void host_cancel_timer(void *ctx, enum sb_replica_timer timer)
{
    ((struct replica_net_node *)ctx)->timer_set[timer] = false;
}

/* index_of_peer: who a node calls by this number; the count when nobody. */
static size_t index_of_peer(const struct replica_net_node *node, sb_peer peer)
{
    const struct replica_net *net = node->net;
    size_t i = 0;
    while (i < net->count &&
           !(net->links[i][node->index].is_up && net->links[i][node->index].peer == peer)) {
        i++;
    }
    return i;
}

static bool host_send(void *ctx, sb_peer peer, enum sb_channel channel, sb_bytes message)
{
    struct replica_net_node *node = ctx;
    size_t to = index_of_peer(node, peer);
    if (to == node->net->count) {
        return false;
    }
    if (node->queue_limit != 0 && node->in_flight[to] >= node->queue_limit) {
        node->send_refusals++;
        return false;
    }
    replica_net_send(node->net, node->index, to, channel, message);
    return true;
}

static void host_report(void *ctx, sb_peer peer, enum sb_offence offence, const char *why)
{
    struct replica_net_node *node = ctx;
    size_t from = index_of_peer(node, peer);
    if (from == node->net->count) {
        return;
    }
    if (node->net->options.log) {
        (void)fprintf(stderr, "# node %zu: peer %zu: %s\n", node->index, from, why);
    }
    node->offences[from] += (uint32_t)offence;
    node->drops[from] = node->drops[from] || node->offences[from] >= BAN_SCORE;
}

static void host_halted(void *ctx, const char *reason)
{
    (void)reason;
    ((struct replica_net_node *)ctx)->is_halted = true;
}

/* ---- nodes ---- */

static bool version_known(void *ctx, uint64_t height)
{
    const struct replica_net_node *node = ctx;
    uint64_t from = node->net->options.unknown_version_from;
    return from == 0 || height < from;
}

static void make_node(struct replica_net *net, size_t index)
{
    struct replica_net_node *node = &net->nodes[index];
    size_t validators = net->options.validators != 0 ? net->options.validators : net->options.nodes;
    const struct stub_application_options options = {
        .domain = k_domain,
        .genesis_time_ms = WALL_MS_BASE - 5000,
        .validators = net->validators,
        .validator_count = validators,
        .timeliness = {.precision_ms = 500, .message_delay_ms = 5000},
        .padding_bytes = net->options.padding_bytes,
        .verifier = sb_verifier_ed25519(),
        .hooks = {.ctx = node, .version_known = version_known},
    };
    node->app = stub_application_new(&options);
    SB_ASSERT(node->app != NULL);
    node->table = stub_application_table(node->app);
}

struct replica_net *replica_net_new(const struct replica_net_options *options)
{
    struct replica_net *net = calloc(1, sizeof *net);
    SB_ASSERT(net != NULL);
    SB_ASSERT(options->nodes >= 1 && options->nodes < REPLICA_NET_NODES_MAX);
    net->options = *options;
    net->options.sync_wait_ms = options->sync_wait_ms != 0 ? options->sync_wait_ms : 100;
    net->random.state = options->seed;
    net->count = options->nodes;
    net->now_ms = 1000;
    net->next_peer = 1;
    for (size_t i = 0; i < REPLICA_NET_NODES_MAX; i++) {
        struct replica_net_node *node = &net->nodes[i];
        node->net = net;
        node->index = i;
        stub_key(&node->key, node->secret, (uint32_t)i);
        net->validators[i] = (struct sb_validator){.key = node->key, .power = 10};
        for (size_t j = 0; j < REPLICA_NET_NODES_MAX; j++) {
            net->links[i][j].delay_ms = options->delay_ms;
        }
    }
    for (size_t i = 0; i < net->count; i++) {
        make_node(net, i);
    }
    return net;
}

static void stop_node(struct replica_net_node *node)
{
    sb_replica_free(node->replica);
    sb_journal_close(node->journal);
    sb_verify_cache_free(node->cache);
    node->replica = NULL;
    node->journal = NULL;
    node->cache = NULL;
    node->is_running = false;
    memset(node->timer_set, 0, sizeof node->timer_set);
}

void replica_net_free(struct replica_net *net)
{
    for (size_t i = 0; i < net->count; i++) {
        struct replica_net_node *node = &net->nodes[i];
        if (node->is_actor) {
            continue;
        }
        if (node->is_running) {
            stop_node(node);
        }
        stub_application_free(node->app);
        memory_disk_fini(&node->disk);
    }
    while (net->event_count > 0) {
        free(pop_event(net).bytes);
    }
    free(net->events);
    free(net);
}

static void must(struct replica_net_node *node, sb_err err, const struct sb_diag *diag)
{
    if (err != SB_OK) {
        (void)fprintf(stderr, "node %zu failed at %llu ms: %s: %s\n", node->index,
                      (unsigned long long)node->net->now_ms, sb_err_text(err), diag->text);
        abort();
    }
}

static void tell_up(struct replica_net *net, size_t node, size_t other)
{
    struct sb_diag diag = {.text = ""};
    struct replica_net_node *n = &net->nodes[node];
    n->offences[other] = 0;
    n->drops[other] = false;
    n->in_flight[other] = 0;
    if (!n->is_actor) {
        must(n, sb_replica_peer_up(n->replica, net->links[other][node].peer, &diag), &diag);
    }
}

static void tell_down(struct replica_net *net, size_t node, size_t other)
{
    struct sb_diag diag = {.text = ""};
    struct replica_net_node *n = &net->nodes[node];
    if (!net->links[other][node].is_up) {
        return;
    }
    net->links[other][node].is_up = false;
    if (n->is_running && !n->is_actor) {
        must(n, sb_replica_peer_down(n->replica, net->links[other][node].peer, &diag), &diag);
    }
}

void replica_net_connect(struct replica_net *net, size_t a, size_t b)
{
    /* Both ends exist before either speaks. */
    net->links[a][b].is_up = true;
    net->links[b][a].is_up = true;
    net->links[a][b].peer = net->next_peer++;
    net->links[b][a].peer = net->next_peer++;
    tell_up(net, a, b);
    tell_up(net, b, a);
}

void replica_net_disconnect(struct replica_net *net, size_t a, size_t b)
{
    tell_down(net, a, b);
    tell_down(net, b, a);
}

void replica_net_start(struct replica_net *net, size_t index)
{
    struct replica_net_node *node = &net->nodes[index];
    struct sb_diag diag = {.text = ""};
    struct sb_journal_identity identity = {.genesis_hash = k_domain.genesis_hash};
    struct sb_journal_recovery recovery;
    struct sb_journal_disk disk = memory_disk_table(&node->disk);
    struct sb_verifier rule = sb_verifier_ed25519();
    memcpy(identity.public_key, node->key.bytes, sizeof identity.public_key);
    must(node,
         sb_journal_open(&node->journal, &disk, &identity, node->disk.file_count == 0, &recovery,
                         &diag),
         &diag);
    node->local.journal = node->journal;
    memcpy(node->local.secret, node->secret, sizeof node->secret);
    node->cache = sb_verify_cache_new(&rule, 1024);
    SB_ASSERT(node->cache != NULL);
    const struct sb_replica_options options = {
        .app = &node->table,
        .journal = node->journal,
        .signer = sb_local_signer(&node->local),
        .own_key = node->key,
        .verifier = sb_verify_cache_verifier(node->cache),
        .timeouts = sb_bft_timeouts_default(),
        .pace = net->options.pace,
        .interval_ms = net->options.interval_ms,
        .halt_height = net->options.halt_height,
        .sync_wait_ms = net->options.sync_wait_ms,
        .seed = index,
        .host = {.ctx = node,
                 .wall_ms = host_wall,
                 .monotonic_ms = host_monotonic,
                 .set_timer = host_set_timer,
                 .cancel_timer = host_cancel_timer,
                 .send = host_send,
                 .report = host_report,
                 .halted = host_halted},
    };
    must(node, sb_replica_new(&node->replica, &options, &diag), &diag);
    node->is_running = true;
    must(node, sb_replica_start(node->replica, &diag), &diag);
    for (size_t i = 0; i < net->count; i++) {
        if (i != index && net->nodes[i].is_running) {
            replica_net_connect(net, index, i);
        }
    }
}

void replica_net_start_all(struct replica_net *net)
{
    for (size_t i = 0; i < net->options.nodes; i++) {
        replica_net_start(net, i);
    }
}

void replica_net_crash(struct replica_net *net, size_t index)
{
    struct replica_net_node *node = &net->nodes[index];
    stop_node(node);
    stub_application_restart(node->app);
    memory_disk_crash(&node->disk, MEMORY_LOSS_PART, memory_chance_of(&net->random));
    for (size_t i = 0; i < net->count; i++) {
        if (i != index) {
            tell_down(net, i, index);
            tell_down(net, index, i);
        }
    }
}

size_t replica_net_actor(struct replica_net *net)
{
    size_t index = net->count++;
    SB_ASSERT(index < REPLICA_NET_NODES_MAX);
    net->nodes[index].is_actor = true;
    net->nodes[index].is_running = true;
    for (size_t i = 0; i < index; i++) {
        if (net->nodes[i].is_running) {
            replica_net_connect(net, index, i);
        }
    }
    return index;
}

/* ---- time ---- */

static void end_dropped(struct replica_net *net, size_t index)
{
    for (size_t i = 0; i < net->count; i++) {
        if (net->nodes[index].drops[i]) {
            net->nodes[index].drops[i] = false;
            replica_net_disconnect(net, index, i);
        }
    }
}

static void deliver(struct replica_net *net, const struct replica_net_event *event)
{
    struct replica_net_node *node = &net->nodes[event->to];
    const struct replica_net_link *link = &net->links[event->from][event->to];
    struct sb_diag diag = {.text = ""};
    sb_bytes message = sb_span(event->bytes, event->len);
    if (net->nodes[event->from].in_flight[event->to] > 0) {
        net->nodes[event->from].in_flight[event->to]--;
    }
    if (!node->is_running || !link->is_up || link->peer != event->peer) {
        return; /* of an earlier connection */
    }
    if (node->is_actor) {
        if (node->on_message != NULL) {
            node->on_message(node->on_message_ctx, node, event->from, event->channel, message);
        }
        return;
    }
    must(node, sb_replica_receive(node->replica, event->peer, event->channel, message, &diag),
         &diag);
    end_dropped(net, event->to);
}

/* next_timer: the earliest of all; false: none. */
static bool next_timer(const struct replica_net *net, size_t *ret_node,
                       enum sb_replica_timer *ret_timer)
{
    bool found = false;
    uint64_t best = UINT64_MAX;
    for (size_t i = 0; i < net->count; i++) {
        for (int t = 0; t < SB_REPLICA_TIMER_COUNT; t++) {
            if (net->nodes[i].timer_set[t] && net->nodes[i].timer_at[t] < best) {
                best = net->nodes[i].timer_at[t];
                *ret_node = i;
                *ret_timer = (enum sb_replica_timer)t;
                found = true;
            }
        }
    }
    return found;
}

/* step: the next thing that happens up to end_ms; false: nothing, and it is end_ms. */
static bool step(struct replica_net *net, uint64_t end_ms)
{
    size_t index = 0;
    enum sb_replica_timer timer = SB_REPLICA_TIMER_PROPOSE;
    bool has_timer = next_timer(net, &index, &timer);
    uint64_t timer_at = has_timer ? net->nodes[index].timer_at[timer] : UINT64_MAX;
    uint64_t event_at = net->event_count > 0 ? net->events[0].at_ms : UINT64_MAX;
    uint64_t at = event_at <= timer_at ? event_at : timer_at;
    if (at > end_ms) {
        net->now_ms = end_ms;
        return false;
    }
    net->now_ms = at > net->now_ms ? at : net->now_ms;
    if (event_at <= timer_at) {
        struct replica_net_event event = pop_event(net);
        deliver(net, &event);
        free(event.bytes);
        return true;
    }
    struct replica_net_node *node = &net->nodes[index];
    struct sb_diag diag = {.text = ""};
    node->timer_set[timer] = false;
    must(node, sb_replica_timer(node->replica, timer, &diag), &diag);
    end_dropped(net, index);
    return true;
}

void replica_net_run(struct replica_net *net, uint64_t ms)
{
    uint64_t end = net->now_ms + ms;
    while (step(net, end)) {
    }
}

uint64_t replica_net_height(const struct replica_net *net, size_t node)
{
    return stub_application_height(net->nodes[node].app);
}

static bool all_at(const struct replica_net *net, uint64_t height)
{
    for (size_t i = 0; i < net->options.nodes; i++) {
        if (net->nodes[i].is_running && replica_net_height(net, i) < height) {
            return false;
        }
    }
    return true;
}

bool replica_net_run_to(struct replica_net *net, uint64_t height, uint64_t max_ms)
{
    uint64_t end = net->now_ms + max_ms;
    while (!all_at(net, height)) {
        if (!step(net, end)) {
            return all_at(net, height);
        }
    }
    return true;
}

void replica_net_check_agreement(const struct replica_net *net)
{
    for (size_t i = 1; i < net->options.nodes; i++) {
        uint64_t common = replica_net_height(net, 0) < replica_net_height(net, i)
                              ? replica_net_height(net, 0)
                              : replica_net_height(net, i);
        for (uint64_t h = 1; h <= common; h++) {
            sb_hash a = stub_application_block_id(net->nodes[0].app, h);
            sb_hash b = stub_application_block_id(net->nodes[i].app, h);
            SB_ASSERT(sb_hash_equal(&a, &b));
        }
    }
}

struct sb_vote replica_net_sign_vote(const struct replica_net *net, size_t node,
                                     enum sb_vote_type type, uint64_t height, int32_t round,
                                     const sb_hash *block_id)
{
    uint8_t bytes[SB_SIGN_BYTES_MAX];
    struct sb_validator_set set = stub_application_set(net->nodes[0].app, height);
    struct sb_vote vote = {.type = type,
                           .height = height,
                           .round = round,
                           .block_id = *block_id,
                           .validator_address = sb_pubkey_address(&net->nodes[node].key)};
    int index = sb_validator_set_find(&set, &vote.validator_address);
    SB_ASSERT(index >= 0);
    vote.validator_index = (uint32_t)index;
    size_t len = sb_vote_sign_bytes(bytes, &k_domain, &vote);
    vote.signature.len = SB_ED25519_SIGNATURE_BYTES;
    sb_ed25519_sign(vote.signature.bytes, net->nodes[node].secret, sb_span(bytes, len));
    return vote;
}

void replica_net_sign_proposal(const struct replica_net *net, size_t node,
                               struct sb_proposal *proposal)
{
    uint8_t bytes[SB_SIGN_BYTES_MAX];
    size_t len = sb_proposal_sign_bytes(bytes, &k_domain, proposal);
    proposal->signature.len = SB_ED25519_SIGNATURE_BYTES;
    sb_ed25519_sign(proposal->signature.bytes, net->nodes[node].secret, sb_span(bytes, len));
}

size_t replica_net_proposer(const struct replica_net *net, uint64_t height, int32_t round)
{
    const struct sb_application *app = &net->nodes[0].table;
    const struct sb_rotation *rotation = app->rotation(app->ctx, height);
    SB_ASSERT(rotation != NULL);
    sb_addr address = rotation->set.validators[sb_rotation_proposer(rotation, round)].address;
    for (size_t i = 0; i < REPLICA_NET_NODES_MAX; i++) {
        sb_addr own = sb_pubkey_address(&net->nodes[i].key);
        if (sb_addr_equal(&own, &address)) {
            return i;
        }
    }
    SB_UNREACHABLE(); /* all validators are made here */
}
