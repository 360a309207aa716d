/* test_state_sync.c: a node that begins at the snapshots of honest and hostile peers, without sockets and without a clock. */
#include "node/state_sync.h"

#include "base/crypto/keccak.h"
#include "node/snap_answer.h"
#include "storage/restore.h"
#include "tests/unit/node/chain_fixture.h"

#define PEERS     8
#define QUEUE_MAX 4096
#define BLOCKS    300
#define SNAPSHOT  290
#define STALE     280

enum fault {
    HONEST,
    FLIPS_PIECES,
    STALE_PIECES,
    FALSE_HEADERS,
    FALSE_TRUSTED,
    FALSE_BLOCK,
    FALSE_RECEIPTS,
    FALSE_BLOBS,
    FALSE_PAST,
    GARBAGE,
    SILENT,
    LEAVES, /* after some answers */
    FAULTS
};

struct peer {
    enum fault fault;
    bool is_told, is_gone, is_reported;
    uint64_t answers;
};

struct packet {
    sb_peer peer;
    uint8_t *bytes;
    size_t len;
};

struct world {
    struct fixture f;
    char snapshots_dir[64], synced_dir[64];
    struct sb_snapshots *snapshots;
    struct sb_snap_source source;
    struct peer peers[PEERS + 1]; /* from 1 on */
    size_t peer_count;
    struct packet queue[QUEUE_MAX];
    size_t head, count;
    uint8_t *shown; /* what the last event borrows */
    uint64_t now_ms;
    uint64_t stop_after; /* answers; 0: never */
    uint64_t answers;
    atomic_bool stop;
    sb_hash trust_hash;
};

/* ---- the wire ---- */

static void flip(struct sb_buf *buf, size_t from_end)
{
    buf->data[buf->len - 1 - from_end % buf->len] ^= 1;
}

/* spoil: what a hostile peer makes of an answer; false: it stays silent. */
static bool spoil(struct world *w, struct peer *peer, const struct sb_snap_message *question,
                  struct sb_buf *content)
{
    struct sb_snap_message stale = *question;
    switch (peer->fault) {
    case FLIPS_PIECES:
        if (question->what == SB_SNAP_PIECE) {
            flip(content, peer->answers);
        }
        return true;
    case STALE_PIECES:
        if (question->what == SB_SNAP_PIECE) {
            stale.height = STALE;
            sb_buf_reset(content);
            return sb_snap_answer(content, &w->source, &stale) == SB_OK;
        }
        return true;
    case FALSE_HEADERS:
        if (question->what == SB_SNAP_LIGHT && question->height > 1) {
            content->data[200] ^= 1; /* within the header */
        }
        return true;
    case FALSE_TRUSTED:
        if (question->what == SB_SNAP_LIGHT) {
            stale.height = question->height + 1;
            sb_buf_reset(content);
            return sb_snap_answer(content, &w->source, &stale) == SB_OK;
        }
        return true;
    case FALSE_BLOCK:
        if (question->what == SB_SNAP_BLOCK) {
            flip(content, 3);
        }
        return true;
    case FALSE_RECEIPTS:
        if (question->what == SB_SNAP_RECEIPTS) {
            flip(content, 30);
        }
        return true;
    case FALSE_BLOBS:
        if (question->what == SB_SNAP_BLOBS && content->len == 0) {
            uint8_t id[32] = {7};
            sb_buf_add(content, id, sizeof id);
        }
        return true;
    case FALSE_PAST:
        if (question->what == SB_SNAP_PAST) {
            flip(content, 700);
        }
        return true;
    case GARBAGE:
        sb_buf_reset(content);
        sb_buf_add(content, "\xf9\xff\xff", 3);
        return true;
    case SILENT:
        return question->what == SB_SNAP_LIST;
    case HONEST:
    case LEAVES:
    case FAULTS:
        break;
    }
    return true;
}

static void queue_put(struct world *w, sb_peer id, sb_bytes bytes)
{
    assert_true(w->count < QUEUE_MAX);
    struct packet *packet = &w->queue[(w->head + w->count++) % QUEUE_MAX];
    *packet = (struct packet){.peer = id, .bytes = malloc(bytes.len), .len = bytes.len};
    assert_non_null(packet->bytes);
    memcpy(packet->bytes, bytes.data, bytes.len);
}

static bool wire_send(void *ctx, sb_peer id, sb_bytes message)
{
    struct world *w = ctx;
    struct peer *peer = &w->peers[id];
    struct sb_snap_message question;
    struct sb_buf content, out;
    assert_true(id >= 1 && id <= w->peer_count);
    assert_false(peer->is_reported); /* whoever lied is not asked again */
    assert_int_equal(sb_snap_message_decode(&question, message), SB_OK);
    if (peer->is_gone) {
        return false;
    }
    sb_buf_init(&content, SB_SNAP_CONTENT_BYTES_MAX);
    sb_buf_init(&out, 2 * SB_SNAP_CONTENT_BYTES_MAX);
    bool found = sb_snap_answer(&content, &w->source, &question) == SB_OK;
    peer->answers++;
    w->answers++;
    if (w->stop_after != 0 && w->answers >= w->stop_after) {
        atomic_store(&w->stop, true);
    }
    bool speaks = peer->fault == GARBAGE && question.what != SB_SNAP_LIST
                      ? spoil(w, peer, &question, &content)
                      : (peer->fault == GARBAGE || !found || spoil(w, peer, &question, &content));
    struct sb_snap_message answer = {.is_answer = true, .id = question.id, .found = found};
    if (found) {
        answer.bytes = sb_buf_bytes(&content);
    }
    if (speaks) {
        sb_snap_message_encode(&out, &answer);
        queue_put(w, id, sb_buf_bytes(&out));
    }
    peer->is_gone = peer->fault == LEAVES && peer->answers > 12;
    sb_buf_fini(&content);
    sb_buf_fini(&out);
    return true;
}

static void wire_wait(void *ctx, struct sb_state_sync_event *ret, uint64_t timeout_ms)
{
    struct world *w = ctx;
    *ret = (struct sb_state_sync_event){.kind = SB_STATE_SYNC_NOTHING};
    free(w->shown);
    w->shown = NULL;
    for (size_t i = 1; i <= w->peer_count; i++) {
        struct peer *peer = &w->peers[i];
        if (!peer->is_told) {
            peer->is_told = true;
            *ret = (struct sb_state_sync_event){.kind = SB_STATE_SYNC_UP, .peer = i};
            (void)snprintf(ret->name, sizeof ret->name, "peer-%zu", i);
            return;
        }
        if (peer->is_gone && peer->answers != 0) {
            peer->answers = 0;
            *ret = (struct sb_state_sync_event){.kind = SB_STATE_SYNC_DOWN, .peer = i};
            return;
        }
    }
    if (w->count == 0) {
        w->now_ms += timeout_ms;
        return;
    }
    struct packet *packet = &w->queue[w->head];
    w->head = (w->head + 1) % QUEUE_MAX;
    w->count--;
    w->shown = packet->bytes;
    *ret = (struct sb_state_sync_event){.kind = SB_STATE_SYNC_MESSAGE,
                                        .peer = packet->peer,
                                        .message = sb_span(packet->bytes, packet->len)};
}

static void wire_report(void *ctx, sb_peer id, enum sb_offence offence, const char *why)
{
    struct world *w = ctx;
    assert_true(why[0] != '\0');
    assert_true(offence == SB_OFFENCE_FATAL || offence == SB_OFFENCE_SLOW);
    w->peers[id].is_reported = true;
}

static uint64_t wire_now(void *ctx)
{
    return ((const struct world *)ctx)->now_ms;
}

static uint64_t wire_wall(void *ctx)
{
    return ((const struct world *)ctx)->f.now_ms;
}

/* ---- a chain with snapshots ---- */

static sb_hash id_of(struct sb_chain *chain, uint64_t height)
{
    struct sb_chain_past past;
    struct sb_arena arena;
    sb_arena_init(&arena, 1 << 24);
    assert_int_equal(sb_chain_past(&past, &arena, chain, height), SB_OK);
    sb_hash id = sb_consensus_block_id(&past.header);
    sb_arena_fini(&arena);
    return id;
}

static struct world *world; /* one for all tests: nobody changes the chain */

static void world_make(struct world *w)
{
    fixture_init(&w->f);
    fixture_open(&w->f);
    (void)snprintf(w->snapshots_dir, sizeof w->snapshots_dir, "%.31s/snapshots", w->f.dir);
    const struct sb_store_identity identity = {
        .genesis_hash = sb_chain_domain(w->f.chain)->genesis_hash, .chain_id = FIXTURE_CHAIN_ID};
    assert_int_equal(sb_snapshots_open(&w->snapshots, w->snapshots_dir, &identity, 4, &w->f.diag),
                     SB_OK);
    uint64_t nonce = 0, height;
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        for (int i = 0; i < 4; i++) {
            struct sb_tx tx = fixture_tx(&w->f, 0, nonce++);
            sb_hash to = sb_keccak256(sb_span(&nonce, sizeof nonce));
            memcpy(tx.to.b, to.b, sizeof tx.to.b);
            fixture_check(&w->f, fixture_add(&w->f, &tx, 0, NULL));
        }
        fixture_propose(&w->f);
        if (number == STALE || number == SNAPSHOT) {
            fixture_check(&w->f, sb_snapshots_take(&height, w->snapshots,
                                                   sb_chain_store(w->f.chain), &w->f.diag));
        }
    }
    assert_int_equal(sb_chain_head_number(w->f.chain), BLOCKS);
    w->source = (struct sb_snap_source){.chain = w->f.chain, .snapshots = w->snapshots};
    w->trust_hash = id_of(w->f.chain, 1);
}

static void queue_clear(struct world *w)
{
    for (; w->count > 0; w->count--, w->head = (w->head + 1) % QUEUE_MAX) {
        free(w->queue[w->head].bytes);
    }
    free(w->shown);
    w->shown = NULL;
}

/* world_of: the world with these peers, and an empty folder. */
static struct world *world_of(const enum fault *faults, size_t count)
{
    static unsigned number;
    struct world *w = world;
    queue_clear(w);
    memset(w->peers, 0, sizeof w->peers);
    w->peer_count = count;
    for (size_t i = 0; i < count; i++) {
        w->peers[i + 1].fault = faults[i];
    }
    w->stop_after = 0;
    atomic_store(&w->stop, false);
    (void)snprintf(w->synced_dir, sizeof w->synced_dir, "%.31s/synced-%u", w->f.dir, number++);
    return w;
}

/* again: the same folder, others to ask. */
static void world_again(struct world *w, const enum fault *faults, size_t count)
{
    char dir[sizeof w->synced_dir];
    memcpy(dir, w->synced_dir, sizeof dir);
    (void)world_of(faults, count);
    memcpy(w->synced_dir, dir, sizeof dir);
}

static int setup(void **state)
{
    (void)state;
    world = calloc(1, sizeof *world);
    world_make(world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    queue_clear(world);
    sb_snapshots_close(world->snapshots);
    fixture_fini(&world->f);
    free(world);
    return 0;
}

static struct sb_state_sync_options options_of(struct world *w)
{
    return (struct sb_state_sync_options){.db_dir = w->synced_dir,
                                          .genesis = &w->f.genesis,
                                          .wire = {.ctx = w,
                                                   .send = wire_send,
                                                   .wait = wire_wait,
                                                   .report = wire_report,
                                                   .monotonic_ms = wire_now,
                                                   .wall_ms = wire_wall},
                                          .trust_height = 1,
                                          .trust_hash = w->trust_hash,
                                          .stop = &w->stop,
                                          .log = w->f.log};
}

/* check_synced: it is the chain up to the snapshot, whole where it says so, and goes on with the blocks after it. */
static void check_synced(struct world *w, uint64_t height)
{
    struct sb_chain *chain;
    struct sb_chain_options options = {.db_dir = w->synced_dir, .genesis = &w->f.genesis};
    fixture_check(&w->f, sb_chain_open(&chain, &options, &w->f.diag));
    struct sb_store_report report;
    fixture_check(&w->f, sb_store_verify(&report, sb_chain_store(chain), NULL, NULL, &w->f.diag));
    assert_int_equal(sb_chain_head_number(chain), height);
    assert_int_equal(sb_chain_oldest(chain), height);
    fixture_check(&w->f, sb_chain_check_block(chain, height, &w->f.diag));
    const struct sb_rpc_block *block;
    assert_int_equal(sb_chain_block_number(&block, chain, height - 1), SB_E_NOT_FOUND);
    sb_hash known = id_of(chain, 3), right = id_of(w->f.chain, 3);
    assert_memory_equal(known.b, right.b, 32);
    for (uint64_t number = height + 1; number <= BLOCKS; number++) {
        struct sb_arena arena;
        struct sb_chain_executed *executed;
        struct sb_commit commit;
        sb_bytes encoded;
        sb_arena_init(&arena, 1 << 24);
        assert_int_equal(sb_chain_encoded(&encoded, &commit, &arena, w->f.chain, number), SB_OK);
        fixture_check(&w->f, sb_chain_execute(&executed, chain, encoded, &w->f.diag));
        fixture_check(&w->f, sb_chain_commit_take(chain, executed, &commit, &w->f.diag));
        sb_arena_fini(&arena);
    }
    struct sb_chain_head ours = sb_chain_head(chain), theirs = sb_chain_head(w->f.chain);
    assert_memory_equal(ours.consensus_id.b, theirs.consensus_id.b, 32);
    assert_memory_equal(ours.header.state_root.b, theirs.header.state_root.b, 32);
    const struct sb_rotation *a = sb_chain_rotation(chain, BLOCKS + 1);
    const struct sb_rotation *b = sb_chain_rotation(w->f.chain, BLOCKS + 1);
    assert_int_equal(sb_rotation_proposer(a, 0), sb_rotation_proposer(b, 0));
    sb_chain_close(chain);
}

/* ---- tests ---- */

static void sync_from_one_honest_peer_gives_the_chain(void **state)
{
    (void)state;
    struct sb_state_sync_report report;
    static const enum fault faults[] = {HONEST};
    struct world *w = world_of(faults, 1);
    struct sb_state_sync_options options = options_of(w);
    fixture_check(&w->f, sb_state_sync(&report, &options, &w->f.diag));
    assert_int_equal(report.height, SNAPSHOT);
    assert_int_equal(report.dropped_count, 0);
    assert_int_equal(report.past_count, SNAPSHOT - 1);
    assert_true(report.account_count > 4 * SNAPSHOT);
    assert_int_equal(sb_state_sync(&report, &options, &w->f.diag), SB_E_EXISTS);
    check_synced(w, SNAPSHOT);
}

static void sync_among_hostile_peers_drops_them_and_is_right(void **state)
{
    (void)state;
    for (enum fault fault = FLIPS_PIECES; fault < FAULTS; fault++) {
        struct sb_state_sync_report report;
        const enum fault faults[] = {fault, HONEST, fault, HONEST};
        struct world *w = world_of(faults, 4);
        struct sb_state_sync_options options = options_of(w);
        print_message("# fault %d\n", (int)fault);
        fixture_check(&w->f, sb_state_sync(&report, &options, &w->f.diag));
        assert_int_equal(report.height, SNAPSHOT);
        assert_false(w->peers[2].is_reported || w->peers[4].is_reported);
        assert_true(fault == LEAVES || w->peers[1].is_reported);
        assert_int_equal(report.dropped_count > 0, fault != LEAVES && fault != SILENT);
        check_synced(w, SNAPSHOT);
    }
}

static void sync_among_liars_alone_fails_and_leaves_no_database(void **state)
{
    (void)state;
    struct sb_state_sync_report report;
    static const enum fault faults[] = {FLIPS_PIECES,  STALE_PIECES, FALSE_HEADERS,
                                        FALSE_TRUSTED, GARBAGE,      SILENT};
    struct world *w = world_of(faults, 6);
    struct sb_state_sync_options options = options_of(w);
    assert_int_equal(sb_state_sync(&report, &options, &w->f.diag), SB_E_NOT_FOUND);
    struct sb_chain *chain;
    struct sb_chain_options open = {.db_dir = w->synced_dir, .genesis = &w->f.genesis};
    assert_int_not_equal(sb_chain_open(&chain, &open, &w->f.diag), SB_OK);
    /* and an honest one can still be asked afterwards */
    static const enum fault honest[] = {HONEST};
    world_again(w, honest, 1);
    fixture_check(&w->f, sb_state_sync(&report, &options, &w->f.diag));
    check_synced(w, SNAPSHOT);
}

static void sync_that_is_stopped_goes_on_where_it_was(void **state)
{
    (void)state;
    struct sb_state_sync_report report;
    static const enum fault faults[] = {HONEST, HONEST};
    struct world *w = world_of(faults, 2);
    bool done = false;
    for (uint64_t stop_after = 5; !done; stop_after += 3) {
        world_again(w, faults, 2); /* what was under way is lost */
        w->answers = 0;
        w->stop_after = stop_after;
        struct sb_state_sync_options options = options_of(w);
        sb_err err = sb_state_sync(&report, &options, &w->f.diag);
        done = err == SB_OK;
        assert_true(done || err == SB_E_CANCELLED);
    }
    check_synced(w, SNAPSHOT);
}

static void sync_without_the_right_trust_is_refused(void **state)
{
    (void)state;
    struct sb_state_sync_report report;
    static const enum fault faults[] = {HONEST};
    struct world *w = world_of(faults, 1);
    struct sb_state_sync_options options = options_of(w);
    options.trust_height = 0;
    assert_int_equal(sb_state_sync(&report, &options, &w->f.diag), SB_E_ARG);
    options.trust_height = 1;
    options.trust_period_ms = 1000; /* long over */
    assert_int_equal(sb_state_sync(&report, &options, &w->f.diag), SB_E_ARG);
    options = options_of(w);
    options.trust_hash.b[0] ^= 1;
    world_again(w, faults, 1);
    assert_int_equal(sb_state_sync(&report, &options, &w->f.diag), SB_E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sync_from_one_honest_peer_gives_the_chain),
        cmocka_unit_test(sync_among_hostile_peers_drops_them_and_is_right),
        cmocka_unit_test(sync_among_liars_alone_fails_and_leaves_no_database),
        cmocka_unit_test(sync_that_is_stopped_goes_on_where_it_was),
        cmocka_unit_test(sync_without_the_right_trust_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
