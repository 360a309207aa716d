/* test_metrics.c: what the node counts and says of itself: validators who were present, late or missing; health; a running node's pages. */
#include "tests/unit/node/validators_fixture.h"

#include <jansson.h>
#include <unistd.h>

#include "node/metrics_impl.h"
#include "node/runtime.h"

/* ---- over a chain of four, of powers 10 to 13, stepped by hand ---- */

static struct net net;
static struct sb_metrics *metrics;

#define OWN 1 /* this node's key; power 11 */

static int setup_net(void **state)
{
    (void)state;
    net_init(&net);
    net_open(&net);
    const struct sb_metrics_options options = {.chain = net.f.chain,
                                               .mempool = net.f.mempool,
                                               .has_validator = true,
                                               .validator = net.addrs[OWN]};
    fixture_check(&net.f, sb_metrics_new(&metrics, &options, &net.f.diag));
    return 0;
}

static int teardown_net(void **state)
{
    (void)state;
    net_fini(&net);
    sb_metrics_free(metrics);
    return 0;
}

static struct sb_rpc_metrics gather(struct sb_metrics *from)
{
    struct sb_arena arena;
    struct sb_rpc_metrics m;
    sb_arena_init(&arena, (size_t)1 << 20);
    sb_metrics_gather(from, &arena, &m);
    sb_arena_fini(&arena); /* nobody looks at the peers here */
    return m;
}

static void validators_are_known_before_the_first_block(void **state)
{
    (void)state;
    struct sb_rpc_metrics m = gather(metrics);
    assert_int_equal(m.consensus_validators, 4);
    assert_int_equal(m.consensus_validators_power, 46);
    assert_int_equal(m.consensus_validator_power, 11);
    assert_int_equal(m.head_number, 0);
    assert_int_equal(m.consensus_total_txs, 0);
}

static void blocks_are_counted_with_their_intervals_and_transactions(void **state)
{
    (void)state;
    net_step(&net);
    fixture_send(&net.f, 0, 0);
    fixture_send(&net.f, 1, 0);
    net_step(&net);
    struct sb_rpc_metrics m = gather(metrics);
    assert_int_equal(m.head_number, 2);
    assert_int_equal(m.consensus_latest_block_height, 2);
    assert_int_equal(m.consensus_num_txs, 2);
    assert_int_equal(m.consensus_block_interval_seconds.count, 2);
    assert_int_equal(m.consensus_block_interval_seconds.sum_us, 2000000 + 1000000); /* 2 s, 1 s */
    net_step(&net);
    m = gather(metrics);
    assert_int_equal(m.consensus_num_txs, 0);
    assert_int_equal(m.consensus_total_txs, 2);
    assert_true(m.consensus_block_size_bytes > 500);
    assert_true(m.db_memtable_bytes + m.db_size_bytes > 0);
}

static void silent_validator_is_missing_two_blocks_later(void **state)
{
    (void)state;
    net_step(&net);
    net.is_silent[2] = true; /* power 12 */
    net_step(&net);          /* height 2, decided without it */
    net.is_silent[2] = false;
    net_step(&net);
    struct sb_rpc_metrics m = gather(metrics); /* of height 1 */
    assert_int_equal(m.consensus_missing_validators, 0);
    assert_int_equal(m.consensus_validator_last_signed_height, 1);
    net_step(&net);
    m = gather(metrics); /* of height 2 */
    assert_int_equal(m.consensus_missing_validators, 1);
    assert_int_equal(m.consensus_missing_validators_power, 12);
    assert_int_equal(m.consensus_validator_missed_blocks, 0);
    net_step(&net);
    m = gather(metrics);
    assert_int_equal(m.consensus_missing_validators, 0);
    assert_int_equal(m.consensus_missing_validators_power, 0);
}

static void late_precommit_counts_as_presence(void **state)
{
    (void)state;
    net_step(&net);
    net.is_silent[2] = true;
    net_step(&net);
    net.is_silent[2] = false;
    sb_hash decided = net.last_commit.block_id;
    net_step(&net);
    const struct sb_validator_set *set = &sb_chain_rotation(net.f.chain, 2)->set;
    struct sb_vote late = net_vote(&net, set, 2, SB_VOTE_PRECOMMIT, 2, 0, &decided);
    net.late = &late;
    net.late_count = 1;
    net_step(&net);
    assert_int_equal(gather(metrics).consensus_missing_validators, 0);
}

static void own_silence_is_counted_as_missed_blocks(void **state)
{
    (void)state;
    net.is_silent[OWN] = true;
    for (int i = 0; i < 5; i++) {
        net_step(&net);
    }
    struct sb_rpc_metrics m = gather(metrics);
    assert_int_equal(m.consensus_validator_missed_blocks, 3); /* heights 1 to 3 */
    assert_int_equal(m.consensus_validator_last_signed_height, 0);
    assert_int_equal(m.consensus_missing_validators_power, 11);
}

static void refused_and_evicted_transactions_are_counted(void **state)
{
    (void)state;
    struct sb_tx tx = fixture_tx(&net.f, 0, 0);
    tx.gas_limit = 20000;
    sb_hash hash;
    assert_int_equal(fixture_add(&net.f, &tx, 0, &hash), SB_E_ARG);
    fixture_send(&net.f, 0, 0);
    tx = fixture_tx(&net.f, 0, 0);
    assert_int_equal(fixture_add(&net.f, &tx, 0, &hash), SB_E_EXISTS); /* no refusal */
    struct sb_rpc_metrics m = gather(metrics);
    assert_int_equal(m.mempool_failed_txs, 1);
    assert_int_equal(m.mempool_evicted_txs, 0);
    assert_int_equal(m.mempool_size, 1);
    assert_true(m.mempool_size_bytes > 100);
}

/* ---- health ---- */

static void health_tells_the_condition_of_most_weight(void **state)
{
    (void)state;
    for (int i = 0; i < SB_METRICS_SILENT_HEIGHTS; i++) {
        net_step(&net);
    }
    struct sb_rpc_health health = sb_metrics_health(metrics);
    assert_int_equal(health.condition, SB_RPC_READY); /* nobody watches */
    assert_int_equal(health.height, SB_METRICS_SILENT_HEIGHTS);
    assert_int_equal(health.last_block_ms, net.f.now_ms);
    assert_true(health.is_validator && health.is_voting && health.is_listening);
    assert_string_equal(health.node_id, "");

    metrics->has_observed = true;
    metrics->voted_height = 0;
    metrics->status.best_height = 3; /* below the head: says nothing */
    health = sb_metrics_health(metrics);
    assert_int_equal(health.condition, SB_RPC_READY);
    assert_false(health.is_validator || health.is_voting);
    metrics->status.is_validator = true;
    health = sb_metrics_health(metrics);
    assert_int_equal(health.condition, SB_RPC_NOT_VOTING);
    assert_string_equal(health.reason, "no vote of this validator for 10 blocks");
    assert_true(health.is_validator && !health.is_voting);
    metrics->voted_height = 1;
    assert_int_equal(sb_metrics_health(metrics).condition, SB_RPC_READY);
    metrics->voted_height = 0;

    struct sb_p2p_options network = {.node_secret = {1}, .agent = "test/1"};
    struct sb_p2p *p2p = NULL;
    fixture_check(&net.f, sb_p2p_new(&p2p, &network, &net.f.diag));
    sb_metrics_set_network(metrics, p2p, NULL);
    health = sb_metrics_health(metrics);
    assert_int_equal(health.condition, SB_RPC_ALONE);
    assert_int_equal(strlen(health.node_id), 64);
    assert_false(health.is_listening);
    metrics->seen.consensus_validators = 1; /* a chain that is made here alone */
    assert_int_equal(sb_metrics_health(metrics).condition, SB_RPC_NOT_VOTING);

    metrics->status.is_waiting = true;
    health = sb_metrics_health(metrics);
    assert_int_equal(health.condition, SB_RPC_CATCHING_UP);
    assert_string_equal(health.reason, "has yet to hear how far its peers are");
    metrics->status.is_waiting = false;
    metrics->status.is_syncing = true;
    metrics->status.sync_begun_at = 2;
    metrics->status.best_height = 500;
    health = sb_metrics_health(metrics);
    assert_int_equal(health.condition, SB_RPC_CATCHING_UP);
    assert_string_equal(health.reason, "at block 10 of 500");
    assert_int_equal(health.best_height, 500);
    assert_int_equal(health.sync_begun_at, 2);
    sb_metrics_halted(metrics, "as asked");
    health = sb_metrics_health(metrics);
    assert_int_equal(health.condition, SB_RPC_HALTED);
    assert_string_equal(health.reason, "as asked");
    sb_metrics_failed(metrics, "the disk is full");
    health = sb_metrics_health(metrics);
    assert_int_equal(health.condition, SB_RPC_FAILED);
    assert_string_equal(health.reason, "the disk is full");
    sb_metrics_set_network(metrics, NULL, NULL);
    sb_p2p_free(p2p);
}

/* ---- the journal's disk ---- */

static void wait_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000};
    (void)nanosleep(&pause, NULL);
}

static void chain_without_blocks_for_long_stands_still(void **state)
{
    (void)state;
    uint64_t interval = sb_chain_params(net.f.chain).min_block_interval_ms;
    metrics->options.stall_ms = 1;
    net_step(&net);
    metrics->head_seen_us -= interval * 1000;
    wait_ms(5);
    struct sb_rpc_health health = sb_metrics_health(metrics);
    assert_int_equal(health.condition, SB_RPC_STANDING);
    assert_int_equal(strncmp(health.reason, "no block for ", 13), 0);
    metrics->options.stall_ms = 3600000;
    assert_int_equal(sb_metrics_health(metrics).condition, SB_RPC_READY);
    metrics->options.stall_ms = 0;
    assert_int_equal(sb_metrics_health(metrics).condition, SB_RPC_READY);
    metrics->options.stall_ms = 1;
    metrics->seen.consensus_validators = 1; /* which may make no empty blocks */
    assert_int_equal(sb_metrics_health(metrics).condition, SB_RPC_READY);
    metrics->options.is_steady = true; /* this one does */
    assert_int_equal(sb_metrics_health(metrics).condition, SB_RPC_STANDING);
    metrics->seen.consensus_validators = 4;
    metrics->options.stall_ms = 3600000;
    net_step(&net); /* a block is a sign of life */
    assert_int_equal(sb_metrics_health(metrics).condition, SB_RPC_READY);
}

static void disk_meter_passes_on_and_counts(void **state)
{
    (void)state;
    char dir[96];
    (void)snprintf(dir, sizeof dir, "%s/meter", net.f.dir);
    struct sb_journal_disk folder;
    struct sb_disk_meter *meter = sb_disk_meter_new();
    assert_non_null(meter);
    fixture_check(&net.f, sb_journal_disk_folder(&folder, dir, true, &net.f.diag));
    struct sb_journal_disk disk = sb_disk_meter_wrap_take(meter, &folder);
    assert_string_equal(disk.place, dir);
    fixture_check(&net.f, disk.create(disk.ctx, "0000000001", sb_span("head", 4), &net.f.diag));
    fixture_check(&net.f, disk.append(disk.ctx, "0000000001", sb_span("ab", 2), sb_span("cde", 3),
                                      &net.f.diag));
    fixture_check(&net.f, disk.sync(disk.ctx, "0000000001", &net.f.diag));
    fixture_check(&net.f, disk.truncate(disk.ctx, "0000000001", 6, &net.f.diag));
    struct sb_buf content;
    sb_buf_init(&content, 100);
    fixture_check(&net.f, disk.read(disk.ctx, "0000000001", &content, &net.f.diag));
    assert_true(sb_span_equal(sb_buf_bytes(&content), sb_span("headab", 6)));
    sb_buf_fini(&content);
    fixture_check(&net.f, disk.remove(disk.ctx, "0000000001", &net.f.diag));
    disk.close(disk.ctx);
    struct sb_rpc_histogram syncs;
    uint64_t bytes;
    sb_disk_meter_read(meter, &syncs, &bytes);
    assert_int_equal(bytes, 9);
    assert_int_equal(syncs.count, 1);
    sb_disk_meter_free(meter);
}

/* ---- a running node ---- */

static struct fixture f;
static struct sb_node *node;

static int setup_node(void **state)
{
    (void)state;
    fixture_init(&f);
    f.genesis.params.min_block_interval_ms = 0;
    struct sb_node_options options = {.db_dir = f.db_dir,
                                      .journal_dir = f.journal_dir,
                                      .genesis = &f.genesis,
                                      .create = true,
                                      .new_key = true,
                                      .pace = SB_PACE_STEADY,
                                      .interval_ms = 10};
    memcpy(options.validator_secret, f.validator_secret, sizeof options.validator_secret);
    fixture_check(&f, sb_node_new(&node, &options, &f.diag));
    fixture_check(&f, sb_node_start(node, &f.diag));
    /* The metrics of a height are written after its block: wait for them, not for the head. */
    for (int i = 0; i < 60000 && gather(sb_node_metrics(node)).consensus_height < 15; i++) {
        (void)usleep(1000);
    }
    assert_true(gather(sb_node_metrics(node)).consensus_height >= 15);
    return 0;
}

static int teardown_node(void **state)
{
    (void)state;
    sb_node_free(node);
    fixture_fini(&f);
    return 0;
}

static void running_node_shows_rounds_syncs_and_its_own_votes(void **state)
{
    (void)state;
    struct sb_rpc_metrics m = gather(sb_node_metrics(node));
    assert_true(m.consensus_height >= 15);
    assert_true(m.consensus_validator_last_signed_height >= 10);
    assert_int_equal(m.consensus_validator_missed_blocks, 0);
    assert_int_equal(m.consensus_missing_validators, 0);
    assert_true(m.fsync_seconds.count >= 15);
    assert_true(m.wal_bytes > 1000);
    assert_true(m.consensus_step_duration_seconds[SB_RPC_STEP_NEW_HEIGHT].count > 0);
    assert_int_equal(m.p2p_peers, 0);
    assert_true(m.resident_bytes > 0);
    struct sb_rpc_health health = sb_metrics_health(sb_node_metrics(node));
    assert_int_equal(health.condition, SB_RPC_READY);
    assert_true(health.is_voting);
}

static json_t *dump(void)
{
    struct sb_buf text;
    struct sb_json out;
    sb_buf_init(&text, (size_t)1 << 20);
    sb_json_init(&out, &text);
    assert_int_equal(sb_metrics_consensus_state(sb_node_metrics(node), &out), SB_OK);
    assert_true(sb_json_done(&out));
    json_t *json = json_loadb((const char *)text.data, text.len, 0, NULL);
    assert_non_null(json);
    sb_buf_fini(&text);
    return json;
}

static void running_node_dumps_its_consensus_state(void **state)
{
    (void)state;
    json_t *json = dump();
    /* a loop that gets no processor for half a second is told of as not fresh */
    for (int i = 0; i < 120 && !json_is_true(json_object_get(json, "fresh")); i++) {
        json_decref(json);
        json = dump();
    }
    assert_true(json_is_true(json_object_get(json, "fresh")));
    assert_int_equal(json_array_size(json_object_get(json, "peers")), 0);
    const json_t *consensus = json_object_get(json, "consensus");
    assert_true(json_integer_value(json_object_get(consensus, "height")) >= 15);
    assert_non_null(json_string_value(json_object_get(consensus, "proposer")));
    const json_t *round = json_array_get(json_object_get(consensus, "rounds"), 0);
    const json_t *votes = json_object_get(round, "precommits");
    assert_int_equal(json_integer_value(json_object_get(votes, "total")), 1);
    assert_int_equal(strlen(json_string_value(json_object_get(votes, "bits"))), 1);
    json_decref(json);
}

static void stopped_loop_gives_the_last_dump_and_says_so(void **state)
{
    (void)state;
    struct sb_buf text;
    struct sb_json out;
    sb_node_stop(node);
    sb_buf_init(&text, (size_t)1 << 20);
    sb_json_init(&out, &text);
    assert_int_equal(sb_metrics_consensus_state(sb_node_metrics(node), &out), SB_OK);
    sb_buf_add_byte(&text, '\0');
    assert_string_equal((const char *)text.data,
                        "{\"consensus\":null,\"fresh\":false,\"peers\":[]}");
    sb_buf_fini(&text);
}

#define OVER_NET(name)  cmocka_unit_test_setup_teardown(name, setup_net, teardown_net)
#define OVER_NODE(name) cmocka_unit_test_setup_teardown(name, setup_node, teardown_node)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OVER_NET(validators_are_known_before_the_first_block),
        OVER_NET(blocks_are_counted_with_their_intervals_and_transactions),
        OVER_NET(silent_validator_is_missing_two_blocks_later),
        OVER_NET(late_precommit_counts_as_presence),
        OVER_NET(own_silence_is_counted_as_missed_blocks),
        OVER_NET(refused_and_evicted_transactions_are_counted),
        OVER_NET(health_tells_the_condition_of_most_weight),
        OVER_NET(chain_without_blocks_for_long_stands_still),
        OVER_NET(disk_meter_passes_on_and_counts),
        OVER_NODE(running_node_shows_rounds_syncs_and_its_own_votes),
        OVER_NODE(running_node_dumps_its_consensus_state),
        OVER_NODE(stopped_loop_gives_the_last_dump_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
