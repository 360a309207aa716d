/* test_remote_signer.c: a node and a signer over a real socket: signatures, refusals, a signer that is away, slow, or of another chain. */
#include "node/remote_signer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto/ed25519.h"
#include "node/signer_server.h"
#include "node/signer_wire.h"
#include "tests/support/memory_disk.h"
#include "tests/support/random.h"
#include "tests/support/stub_application.h"
#include "tests/support/temp_dir.h"

static const struct sb_chain_domain domain = {.chain_id = 7, .genesis_hash = {{0x11}}};

struct rig {
    char parent[TEMP_DIR_PATH_BYTES];
    char path[TEMP_DIR_PATH_BYTES + 16];
    struct sb_pubkey key;
    struct memory_disk disk;
    struct sb_local_signer local;
    struct sb_signer_server *server;
    int stop[2];
    pthread_t thread;
    sb_err ended;
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool is_shut; /* signatures and proofs wait until it is open again; under the lock */
    atomic_bool refuses_proofs;
};

/* The timeout of nodes: long where an answer must come however slow the machine is, short where none can come. */
#define LONG_MS  60000
#define SHORT_MS 200
#define TRIES    300 /* of what a slow machine may fail at with the short one */

static void gate_set(struct rig *rig, bool is_shut)
{
    (void)pthread_mutex_lock(&rig->lock);
    rig->is_shut = is_shut;
    (void)pthread_cond_broadcast(&rig->opened);
    (void)pthread_mutex_unlock(&rig->lock);
}

static void gate_pass(struct rig *rig)
{
    (void)pthread_mutex_lock(&rig->lock);
    while (rig->is_shut) {
        (void)pthread_cond_wait(&rig->opened, &rig->lock);
    }
    (void)pthread_mutex_unlock(&rig->lock);
}

/* slow_sign: the local signer behind the gate. */
static sb_err slow_sign(void *ctx, struct sb_signature *ret_signature,
                        const struct sb_bft_message *message, const struct sb_chain_domain *of,
                        struct sb_diag *diag)
{
    struct rig *rig = ctx;
    gate_pass(rig);
    struct sb_signer local = sb_local_signer(&rig->local);
    return local.sign(local.ctx, ret_signature, message, of, diag);
}

/* slow_prove: the same for proofs. */
static sb_err slow_prove(void *ctx, uint8_t ret_proof[SB_RANDOMNESS_PROOF_BYTES],
                         const struct sb_randomness_input *input, const struct sb_chain_domain *of,
                         struct sb_diag *diag)
{
    struct rig *rig = ctx;
    gate_pass(rig);
    struct sb_signer local = sb_local_signer(&rig->local);
    return atomic_load(&rig->refuses_proofs) ? sb_fail(diag, SB_E_REFUSED, "not today")
                                             : local.prove(local.ctx, ret_proof, input, of, diag);
}

static void *serve(void *ctx)
{
    struct rig *rig = ctx;
    rig->ended = sb_signer_server_run(rig->server, rig->stop[0], NULL);
    return NULL;
}

static void server_start(struct rig *rig)
{
    struct sb_diag diag = {.text = ""};
    const struct sb_signer_server_options options = {
        .path = rig->path,
        .signer = {.ctx = rig, .sign = slow_sign, .prove = slow_prove},
        .journal = rig->local.journal,
        .key = rig->key,
        .domain = domain};
    if (sb_signer_server_new(&rig->server, &options, &diag) != SB_OK) {
        fail_msg("%s", diag.text);
    }
    assert_int_equal(pipe(rig->stop), 0);
    assert_int_equal(pthread_create(&rig->thread, NULL, serve, rig), 0);
}

static void server_stop(struct rig *rig)
{
    assert_int_equal(write(rig->stop[1], "", 1), 1);
    assert_int_equal(pthread_join(rig->thread, NULL), 0);
    assert_int_equal(rig->ended, SB_OK);
    sb_signer_server_free(rig->server);
    rig->server = NULL;
    (void)close(rig->stop[0]);
    (void)close(rig->stop[1]);
}

static void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    assert_int_equal(pthread_mutex_init(&rig->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&rig->opened, NULL), 0);
    temp_dir_make(rig->parent);
    (void)snprintf(rig->path, sizeof rig->path, "%s/socket", rig->parent);
    stub_key(&rig->key, rig->local.secret, 1);
    struct sb_journal_identity identity = {.genesis_hash = domain.genesis_hash};
    memcpy(identity.public_key, rig->key.bytes, sizeof identity.public_key);
    struct sb_journal_disk disk = memory_disk_table(&rig->disk);
    struct sb_journal_recovery recovery;
    assert_int_equal(sb_journal_open(&rig->local.journal, &disk, &identity, true, &recovery, NULL),
                     SB_OK);
    server_start(rig);
}

static void rig_fini(struct rig *rig)
{
    if (rig->server != NULL) {
        server_stop(rig);
    }
    sb_journal_close(rig->local.journal);
    memory_disk_fini(&rig->disk);
    (void)pthread_cond_destroy(&rig->opened);
    (void)pthread_mutex_destroy(&rig->lock);
    temp_dir_remove(rig->parent);
}

static sb_err remote_new(struct sb_remote_signer **ret, const struct rig *rig, uint64_t timeout_ms,
                         struct sb_diag *diag)
{
    const struct sb_remote_signer_options options = {
        .path = rig->path, .timeout_ms = timeout_ms, .domain = domain};
    return sb_remote_signer_new(ret, &options, diag);
}

static struct sb_bft_message vote(uint64_t height, uint8_t tag)
{
    struct sb_bft_message message;
    memset(&message, 0, sizeof message);
    message.as.vote.type = SB_VOTE_PRECOMMIT;
    message.as.vote.height = height;
    message.as.vote.block_id.b[0] = tag;
    message.as.vote.validator_index = 3; /* not signed, not sent */
    return message;
}

static sb_err ask(struct sb_remote_signer *remote, const struct sb_bft_message *message,
                  struct sb_signature *ret_signature, struct sb_diag *diag)
{
    struct sb_signer table = sb_remote_signer_table(remote);
    *diag = (struct sb_diag){.text = ""};
    return table.sign(table.ctx, ret_signature, message, &domain, diag);
}

/* impatient_new: a node with the short timeout, which the welcome may miss, too. */
static struct sb_remote_signer *impatient_new(const struct rig *rig)
{
    struct sb_remote_signer *remote = NULL;
    struct sb_diag diag = {.text = ""};
    sb_err err = SB_E_REFUSED;
    for (int i = 0; i < TRIES && err != SB_OK; i++) {
        err = remote_new(&remote, rig, SHORT_MS, &diag);
    }
    if (err != SB_OK) {
        fail_msg("%s", diag.text);
    }
    return remote;
}

static void ask_until_heard(struct sb_remote_signer *remote, const struct sb_bft_message *message,
                            struct sb_signature *ret_signature)
{
    struct sb_diag diag = {.text = ""};
    sb_err err = SB_E_REFUSED;
    for (int i = 0; i < TRIES && err != SB_OK; i++) {
        err = ask(remote, message, ret_signature, &diag);
    }
    if (err != SB_OK) {
        fail_msg("%s", diag.text);
    }
}

static void signatures_come_and_refusals_keep_the_link(void **state)
{
    (void)state;
    struct rig rig;
    struct sb_diag diag = {.text = ""};
    struct sb_remote_signer *remote;
    struct sb_signature first, again;
    rig_init(&rig);
    assert_int_equal(remote_new(&remote, &rig, LONG_MS, &diag), SB_OK);
    struct sb_pubkey key = sb_remote_signer_key(remote);
    assert_true(sb_pubkey_equal(&key, &rig.key));
    assert_true(sb_remote_signer_table(remote).keeps_journal);
    struct sb_bft_message message = vote(4, 1);
    assert_int_equal(ask(remote, &message, &first, &diag), SB_OK);
    uint8_t bytes[SB_SIGN_BYTES_MAX];
    size_t len = sb_vote_sign_bytes(bytes, &domain, &message.as.vote);
    assert_true(sb_ed25519_verify(first.bytes, sb_span(bytes, len), rig.key.bytes));
    assert_int_equal(ask(remote, &message, &again, &diag),
                     SB_OK); /* the same bytes: the same signature */
    assert_memory_equal(first.bytes, again.bytes, 64);
    message = vote(4, 2);
    assert_int_equal(ask(remote, &message, &again, &diag), SB_E_REFUSED);
    assert_non_null(strstr(diag.text, "other bytes were signed"));
    message = vote(3, 1);
    assert_int_equal(ask(remote, &message, &again, &diag), SB_E_REFUSED);
    message = vote(5, 1);
    assert_int_equal(ask(remote, &message, &again, &diag), SB_OK);
    struct sb_bft_message proposal;
    memset(&proposal, 0, sizeof proposal);
    proposal.is_proposal = true;
    proposal.as.proposal.height = 6;
    proposal.as.proposal.round = 2;
    proposal.as.proposal.pol_round = -1;
    proposal.as.proposal.block_id.b[1] = 1;
    proposal.as.proposal.block_bytes = 77;
    assert_int_equal(ask(remote, &proposal, &again, &diag), SB_OK);
    len = sb_proposal_sign_bytes(bytes, &domain, &proposal.as.proposal);
    assert_true(sb_ed25519_verify(again.bytes, sb_span(bytes, len), rig.key.bytes));
    sb_remote_signer_free(remote);
    rig_fini(&rig);
}

static void proofs_come_of_the_signers_own_chain_whoever_asks(void **state)
{
    (void)state;
    struct rig rig;
    struct sb_diag diag = {.text = ""};
    struct sb_remote_signer *remote;
    const struct sb_verifier verifier = sb_verifier_ed25519();
    const struct sb_randomness_input input = {.height = 9, .last = {{0x44}}};
    struct sb_chain_domain other = domain;
    uint8_t proof[SB_RANDOMNESS_PROOF_BYTES], again[SB_RANDOMNESS_PROOF_BYTES];
    sb_hash mix;
    rig_init(&rig);
    assert_int_equal(remote_new(&remote, &rig, LONG_MS, &diag), SB_OK);
    struct sb_signer table = sb_remote_signer_table(remote);
    uint64_t syncs = sb_journal_sync_count(rig.local.journal);
    other.chain_id++; /* it stays with the node: the signer knows its chain */
    assert_int_equal(table.prove(table.ctx, proof, &input, &domain, &diag), SB_OK);
    assert_int_equal(table.prove(table.ctx, again, &input, &other, &diag), SB_OK);
    assert_memory_equal(proof, again, sizeof proof);
    assert_int_equal(sb_journal_sync_count(rig.local.journal), syncs); /* none for proofs */
    sb_bytes bytes = sb_span(proof, sizeof proof);
    assert_int_equal(sb_randomness_verify(&mix, &input, &rig.key, bytes, &domain, &verifier, &diag),
                     SB_OK);
    assert_int_equal(sb_randomness_verify(&mix, &input, &rig.key, bytes, &other, &verifier, &diag),
                     SB_E_SIGNATURE);
    atomic_store(&rig.refuses_proofs, true);
    assert_int_equal(table.prove(table.ctx, proof, &input, &domain, &diag), SB_E_REFUSED);
    assert_non_null(strstr(diag.text, "not today"));
    server_stop(&rig);
    assert_int_equal(table.prove(table.ctx, proof, &input, &domain, &diag), SB_E_REFUSED);
    atomic_store(&rig.refuses_proofs, false);
    server_start(&rig);
    assert_int_equal(table.prove(table.ctx, proof, &input, &domain, &diag), SB_OK);
    sb_remote_signer_free(remote);
    rig_fini(&rig);
}

static void signer_that_is_away_is_a_refusal_until_it_is_back(void **state)
{
    (void)state;
    struct rig rig;
    struct sb_diag diag = {.text = ""};
    struct sb_remote_signer *remote;
    struct sb_signature signature;
    struct sb_bft_message message = vote(1, 1);
    rig_init(&rig);
    assert_int_equal(remote_new(&remote, &rig, LONG_MS, &diag), SB_OK);
    server_stop(&rig);
    assert_int_equal(ask(remote, &message, &signature, &diag), SB_E_REFUSED);
    assert_int_equal(ask(remote, &message, &signature, &diag), SB_E_REFUSED);
    assert_non_null(strstr(diag.text, "cannot be reached"));
    struct sb_remote_signer *second;
    assert_int_equal(remote_new(&second, &rig, LONG_MS, &diag), SB_E_REFUSED);
    server_start(&rig);
    assert_int_equal(ask(remote, &message, &signature, &diag), SB_OK);
    sb_remote_signer_free(remote);
    rig_fini(&rig);
}

static void slow_signer_is_a_refusal_and_its_late_answer_is_skipped(void **state)
{
    (void)state;
    struct rig rig;
    struct sb_diag diag = {.text = ""};
    struct sb_remote_signer *remote;
    struct sb_signature signature;
    rig_init(&rig);
    remote = impatient_new(&rig);
    gate_set(&rig, true);
    struct sb_bft_message message = vote(1, 1);
    assert_int_equal(ask(remote, &message, &signature, &diag), SB_E_REFUSED);
    assert_non_null(strstr(diag.text, "in time"));
    gate_set(&rig, false);
    message = vote(2, 1);
    ask_until_heard(remote, &message, &signature); /* its answer comes behind the late one */
    uint8_t bytes[SB_SIGN_BYTES_MAX];
    size_t len = sb_vote_sign_bytes(bytes, &domain, &message.as.vote);
    assert_true(sb_ed25519_verify(signature.bytes, sb_span(bytes, len), rig.key.bytes));
    sb_remote_signer_free(remote);
    rig_fini(&rig);
}

static struct sb_bft_message vote_in(uint64_t height, int32_t round, uint8_t tag)
{
    struct sb_bft_message message = vote(height, tag);
    message.as.vote.round = round;
    return message;
}

/* Two nodes with one key: each signature would be fine for the guard, but not all of them for the lock of either node. */
static void one_node_at_a_time_and_none_goes_on_in_anothers_height(void **state)
{
    (void)state;
    struct rig rig;
    struct sb_diag diag = {.text = ""};
    struct sb_remote_signer *first, *second;
    struct sb_signature signature, again;
    struct sb_bft_message message = vote_in(4, 0, 1);
    rig_init(&rig);
    assert_int_equal(remote_new(&first, &rig, LONG_MS, &diag), SB_OK);
    assert_int_equal(ask(first, &message, &signature, &diag), SB_OK);
    assert_int_equal(remote_new(&second, &rig, LONG_MS, &diag), SB_E_REFUSED);
    assert_non_null(strstr(diag.text, "one at a time"));
    message = vote_in(4, 1, 1);
    assert_int_equal(ask(first, &message, &signature, &diag),
                     SB_OK); /* the first is still served */
    sb_remote_signer_free(first);
    assert_int_equal(remote_new(&second, &rig, LONG_MS, &diag), SB_OK);
    for (int32_t round = 2; round < 4; round++) {
        message = vote_in(4, round, 2);
        assert_int_equal(ask(second, &message, &again, &diag), SB_E_REFUSED);
        assert_non_null(strstr(diag.text, "for another node"));
    }
    message = vote_in(5, 0, 2);
    assert_int_equal(ask(second, &message, &again, &diag), SB_OK);
    message = vote_in(5, 1, 2);
    assert_int_equal(ask(second, &message, &again, &diag), SB_OK);
    sb_remote_signer_free(second);
    rig_fini(&rig);
}

static void node_that_remembers_its_votes_goes_on_after_a_restart(void **state)
{
    (void)state;
    struct rig rig;
    struct sb_diag diag = {.text = ""};
    struct sb_remote_signer *remote;
    struct sb_signature signature, again;
    const struct sb_bft_message first = vote_in(4, 0, 1), second = vote_in(4, 1, 1),
                                third = vote_in(4, 2, 1);
    rig_init(&rig);
    assert_int_equal(remote_new(&remote, &rig, LONG_MS, &diag), SB_OK);
    assert_int_equal(ask(remote, &first, &signature, &diag), SB_OK);
    sb_remote_signer_free(remote);
    assert_int_equal(remote_new(&remote, &rig, LONG_MS, &diag), SB_OK);
    struct sb_signer table = sb_remote_signer_table(remote);
    struct sb_journal_place place = sb_signing_place(&first);
    table.recall(table.ctx, &place); /* as replay finds it */
    assert_int_equal(ask(remote, &second, &signature, &diag), SB_OK);
    sb_remote_signer_free(remote);
    assert_int_equal(remote_new(&remote, &rig, LONG_MS, &diag), SB_OK);
    assert_int_equal(ask(remote, &second, &again, &diag), SB_OK); /* or is left open by it */
    assert_memory_equal(signature.bytes, again.bytes, 64);
    assert_int_equal(ask(remote, &third, &signature, &diag), SB_OK);
    server_stop(&rig); /* a signer that begins anew is told */
    server_start(&rig);
    struct sb_bft_message fourth = vote_in(4, 3, 1);
    for (int i = 0; i < 2 && ask(remote, &fourth, &signature, &diag) != SB_OK; i++) {
    }
    assert_string_equal(diag.text, "");
    sb_remote_signer_free(remote);
    rig_fini(&rig);
}

/* An answer that came too late to be heard: the signer knows through which link it gave it. */
static void signature_that_was_not_heard_of_stops_nothing(void **state)
{
    (void)state;
    struct rig rig;
    struct sb_diag diag = {.text = ""};
    struct sb_remote_signer *remote;
    struct sb_signature signature;
    rig_init(&rig);
    remote = impatient_new(&rig);
    gate_set(&rig, true);
    struct sb_bft_message message = vote_in(1, 0, 1);
    assert_int_equal(ask(remote, &message, &signature, &diag), SB_E_REFUSED);
    gate_set(&rig, false);
    message = vote_in(1, 1, 1);
    ask_until_heard(remote, &message, &signature);
    sb_remote_signer_free(remote);
    rig_fini(&rig);
}

static void signer_of_another_chain_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    struct sb_diag diag = {.text = ""};
    struct sb_remote_signer *remote;
    rig_init(&rig);
    struct sb_remote_signer_options options = {
        .path = rig.path, .timeout_ms = LONG_MS, .domain = domain};
    options.domain.genesis_hash.b[5] ^= 1;
    assert_int_equal(sb_remote_signer_new(&remote, &options, &diag), SB_E_REFUSED);
    assert_non_null(strstr(diag.text, "another chain"));
    options.domain = domain;
    options.domain.chain_id++;
    assert_int_equal(sb_remote_signer_new(&remote, &options, &diag), SB_E_REFUSED);
    static char path[200];
    memset(path, 'x', sizeof path - 1);
    options.path = path;
    assert_int_equal(sb_remote_signer_new(&remote, &options, &diag), SB_E_LIMIT);
    rig_fini(&rig);
}

static void socket_is_private_and_has_one_server(void **state)
{
    (void)state;
    struct rig rig;
    struct sb_diag diag = {.text = ""};
    struct stat info;
    struct sb_signer_server *second;
    rig_init(&rig);
    assert_int_equal(stat(rig.path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    const struct sb_signer_server_options options = {.path = rig.path, .domain = domain};
    assert_int_equal(sb_signer_server_new(&second, &options, &diag), SB_E_BUSY);
    server_stop(&rig);
    assert_int_not_equal(stat(rig.path, &info), 0);
    FILE *file = fopen(rig.path, "w"); /* a file in the way is never removed */
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(sb_signer_server_new(&second, &options, &diag), SB_E_EXISTS);
    rig_fini(&rig);
}

/* Whatever a link says, the signer lives, and others are served. */
static void nonsense_costs_only_its_own_link(void **state)
{
    (void)state;
    struct rig rig;
    struct sb_diag diag = {.text = ""};
    struct sb_random random = sb_random_init("nonsense_costs_only_its_own_link");
    rig_init(&rig);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(strlen(rig.path) < sizeof address.sun_path);
    memcpy(address.sun_path, rig.path, strlen(rig.path) + 1);
    for (int i = 0; i < 60; i++) {
        uint8_t bytes[300];
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
        sb_random_fill(&random, bytes, sizeof bytes);
        if (i % 2 == 0) { /* a plausible length */
            bytes[0] = 0;
            bytes[1] = 0;
            bytes[2] = 0;
        }
        (void)!send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
        (void)close(fd);
    }
    struct sb_remote_signer *remote = NULL;
    sb_err err = SB_E_REFUSED;
    for (int i = 0; i < LONG_MS && err != SB_OK; i++) {
        (void)usleep(1000); /* until the links of above are seen to be gone */
        err = remote_new(&remote, &rig, LONG_MS, &diag);
    }
    if (err != SB_OK) {
        fail_msg("%s", diag.text);
    }
    struct sb_signature signature;
    struct sb_bft_message message = vote(1, 1);
    assert_int_equal(ask(remote, &message, &signature, &diag), SB_OK);
    sb_remote_signer_free(remote);
    rig_fini(&rig);
}

static void messages_decode_to_what_was_encoded(void **state)
{
    (void)state;
    struct sb_signer_message cases[8], read;
    memset(cases, 0, sizeof cases);
    cases[0].kind = SB_SIGNER_HELLO;
    cases[0].as.hello.version = SB_SIGNER_VERSION;
    cases[0].as.hello.domain = domain;
    cases[1].kind = SB_SIGNER_WELCOME;
    cases[1].as.welcome.version = SB_SIGNER_VERSION;
    cases[1].as.welcome.key = sb_pubkey_ed25519((const uint8_t[32]){9});
    cases[2].kind = SB_SIGNER_SIGN;
    cases[2].as.sign.number = 5;
    cases[2].as.sign.known = sb_signer_place_code(
        &(struct sb_journal_place){.round = SB_ROUND_MAX, .step = SB_JOURNAL_PRECOMMIT});
    cases[2].as.sign.what = vote(8, 0); /* nil */
    cases[3].kind = SB_SIGNER_SIGN;
    cases[3].as.sign.what = vote(8, 9);
    cases[4].kind = SB_SIGNER_SIGNED;
    cases[4].as.answer.number = 6;
    cases[4].as.answer.signature.len = 64;
    cases[5].kind = SB_SIGNER_PROVE;
    cases[5].as.prove.number = 7;
    cases[5].as.prove.what = (struct sb_randomness_input){.height = 9, .last = {{0x44}}};
    cases[6].kind = SB_SIGNER_PROVED;
    cases[6].as.proved.number = 7;
    memset(cases[6].as.proved.proof, 3, sizeof cases[6].as.proved.proof);
    cases[7].kind = SB_SIGNER_REFUSED;
    (void)snprintf(cases[7].as.refused.reason, sizeof cases[7].as.refused.reason, "no\n\x80");
    for (size_t i = 0; i < 8; i++) {
        struct sb_buf out;
        sb_bytes frame;
        size_t used;
        sb_err err;
        sb_buf_init(&out, 4096);
        sb_signer_message_encode(&out, &cases[i]);
        assert_int_equal(sb_buf_err(&out), SB_OK);
        for (size_t cut = 0; cut < out.len; cut++) {
            assert_false(sb_signer_frame_take(&frame, &used, &err, sb_span(out.data, cut)));
            assert_int_equal(err, SB_OK);
        }
        assert_true(sb_signer_frame_take(&frame, &used, &err, sb_buf_bytes(&out)));
        assert_int_equal(used, out.len);
        assert_int_equal(sb_signer_message_decode(&read, frame, NULL), SB_OK);
        assert_int_equal(read.kind, cases[i].kind);
        if (i == 2 || i == 3) {
            assert_memory_equal(&read.as.sign.what.as.vote.block_id,
                                &cases[i].as.sign.what.as.vote.block_id, 32);
            assert_int_equal(read.as.sign.what.as.vote.height, 8);
            assert_int_equal(read.as.sign.known, cases[i].as.sign.known);
        } else if (i == 5) {
            assert_int_equal(read.as.prove.what.height, 9);
            assert_memory_equal(&read.as.prove.what.last, &cases[i].as.prove.what.last, 32);
        } else if (i == 6) {
            assert_memory_equal(read.as.proved.proof, cases[i].as.proved.proof, 80);
        }
        sb_buf_fini(&out);
    }
    assert_string_equal(read.as.refused.reason, "no??");
    sb_bytes frame;
    size_t used;
    sb_err err;
    assert_false(
        sb_signer_frame_take(&frame, &used, &err, sb_span(((const uint8_t[]){0, 0, 4, 1}), 4)));
    assert_int_equal(err, SB_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_come_and_refusals_keep_the_link),
        cmocka_unit_test(proofs_come_of_the_signers_own_chain_whoever_asks),
        cmocka_unit_test(signer_that_is_away_is_a_refusal_until_it_is_back),
        cmocka_unit_test(slow_signer_is_a_refusal_and_its_late_answer_is_skipped),
        cmocka_unit_test(one_node_at_a_time_and_none_goes_on_in_anothers_height),
        cmocka_unit_test(node_that_remembers_its_votes_goes_on_after_a_restart),
        cmocka_unit_test(signature_that_was_not_heard_of_stops_nothing),
        cmocka_unit_test(signer_of_another_chain_is_refused),
        cmocka_unit_test(socket_is_private_and_has_one_server),
        cmocka_unit_test(nonsense_costs_only_its_own_link),
        cmocka_unit_test(messages_decode_to_what_was_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
