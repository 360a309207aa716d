/* chain_fixture.h: a chain of one validator in a temporary folder, with funded accounts, for the tests of node.
 *
 *     fixture_init -> fixture_open -> ... fixture_close (as often as a test restarts) ... -> fixture_fini
 *
 * Time is the test's: fixture.now_ms, which starts at genesis + 1 s and moves only when a test moves it. */
#ifndef SB_TESTS_UNIT_NODE_CHAIN_FIXTURE_H
#define SB_TESTS_UNIT_NODE_CHAIN_FIXTURE_H

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/crypto/ecvrf.h"
#include "base/crypto/secp256k1.h"
#include "node/chain_app.h"
#include "node/driver.h"

#define FIXTURE_ACCOUNTS  4
#define FIXTURE_GENESIS_S UINT64_C(1700000000)
#define FIXTURE_CHAIN_ID  UINT64_C(23296)
#define FIXTURE_TIP_GWEI  2
#define FIXTURE_TRANSFER  21000

struct fixture {
    char dir[32]; /* "/tmp/samebit-test-XXXXXX" */
    char db_dir[48];
    char journal_dir[48];
    struct sb_arena arena;
    uint8_t validator_secret[64];
    struct sb_validator validator;
    struct sb_genesis_account accounts[FIXTURE_ACCOUNTS];
    sb_addr addrs[FIXTURE_ACCOUNTS]; /* by key number; accounts[] is sorted */
    struct sb_genesis genesis;
    bool is_old; /* opened before: key and database exist */

    struct sb_chain *chain;
    struct sb_mempool *mempool;
    struct sb_chain_app *own_app; /* of the driver */
    struct sb_journal *journal;
    struct sb_local_signer signer;
    struct sb_driver *driver;
    struct sb_mempool_options mempool_options;
    size_t block_cache_count;       /* 0: the chain's default */
    uint64_t history_blocks;        /* as that one */
    struct sb_inference *inference; /* a test that runs models sets it */
    const struct sb_logger *log;
    atomic_uint_least64_t now_ms; /* queries of other threads read it */
    struct sb_diag diag;
};

/* fixture_prove: the proof of randomness that the chain's next block needs, by the key of its proposer. */
static inline void fixture_prove(struct sb_application_draft *draft, struct sb_chain *chain,
                                 const uint8_t secret[64])
{
    struct sb_chain_head head = sb_chain_head(chain);
    const struct sb_randomness_input input = {.height = head.header.number + 1,
                                              .last = head.header.mix_hash};
    uint8_t alpha[SB_SIGN_BYTES_MAX];
    size_t len = sb_randomness_alpha(alpha, sb_chain_domain(chain), &input);
    assert_true(sb_ecvrf_prove(draft->randomness_proof, secret, sb_span(alpha, len)));
}

static inline void fixture_secret(uint8_t ret[32], int account)
{
    memset(ret, 0x11 + account, 32);
}

static inline sb_u256 fixture_gwei(uint64_t gwei)
{
    return sb_u256_from_u64(gwei * 1000000000);
}

static inline uint64_t fixture_now_ms(void *ctx)
{
    return ((const struct fixture *)ctx)->now_ms;
}

static inline void fixture_set_timer(void *ctx, enum sb_bft_timeout kind, uint64_t height,
                                     int32_t round, uint64_t delay_ms)
{
    (void)ctx;
    (void)kind;
    (void)height;
    (void)round;
    (void)delay_ms;
}

static inline void fixture_cancel_timers(void *ctx)
{
    (void)ctx;
}

static inline void fixture_ignore_send(void *ctx, const struct sb_bft_message *message,
                                       sb_bytes block)
{
    (void)ctx;
    (void)message;
    (void)block;
}

static inline void fixture_ignore_fetch(void *ctx, uint64_t height, int32_t round,
                                        const sb_hash *block_id)
{
    (void)ctx;
    (void)height;
    (void)round;
    (void)block_id;
}

static inline void fixture_ignore_committed(void *ctx, const struct sb_commit *commit)
{
    (void)ctx;
    (void)commit;
}

static inline int fixture_compare_accounts(const void *a, const void *b)
{
    return memcmp(((const struct sb_genesis_account *)a)->addr.b,
                  ((const struct sb_genesis_account *)b)->addr.b, 20);
}

static inline void fixture_make_genesis(struct fixture *f)
{
    struct sb_secp256k1 *keys = sb_secp256k1_new(NULL);
    assert_non_null(keys);
    for (int i = 0; i < FIXTURE_ACCOUNTS; i++) {
        uint8_t secret[32];
        fixture_secret(secret, i);
        assert_int_equal(sb_secp256k1_secret_address(&f->addrs[i], keys, secret), SB_OK);
        f->accounts[i].addr = f->addrs[i];
        sb_u256 ether = sb_u256_from_u64(UINT64_C(1000000000000000000));
        sb_u256 count = sb_u256_from_u64(100);
        f->accounts[i].balance = sb_u256_mul(&ether, &count);
    }
    sb_secp256k1_free(keys);
    qsort(f->accounts, FIXTURE_ACCOUNTS, sizeof f->accounts[0], fixture_compare_accounts);

    uint8_t seed[32];
    uint8_t public_key[32];
    memset(seed, 0x77, sizeof seed);
    sb_ed25519_keypair(public_key, f->validator_secret, seed);
    f->validator.key = sb_pubkey_ed25519(public_key);
    f->validator.power = 1;

    struct sb_genesis *g = &f->genesis;
    g->config.chain_id = FIXTURE_CHAIN_ID;
    g->accounts = f->accounts;
    g->account_count = FIXTURE_ACCOUNTS;
    g->timestamp = FIXTURE_GENESIS_S;
    g->is_samebit = true;
    g->params = sb_params_default();
    g->gas_limit = g->params.gas_limit;
    g->fee_recipient.b[19] = 0xfe;
    assert_int_equal(sb_validator_set_make(&g->validators, &f->validator, 1, NULL), SB_OK);
    assert_int_equal(sb_genesis_add_protocol_accounts(g, &f->arena, &f->diag), SB_OK);
}

static inline void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/samebit-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->db_dir, sizeof f->db_dir, "%.31s/db", f->dir);
    (void)snprintf(f->journal_dir, sizeof f->journal_dir, "%.31s/journal", f->dir);
    sb_arena_init(&f->arena, (size_t)256 * 1024 * 1024);
    f->now_ms = (FIXTURE_GENESIS_S + 1) * 1000;
    fixture_make_genesis(f);
}

/* fixture_try_open_chain: chain and pool without a driver. */
static inline sb_err fixture_try_open_chain(struct fixture *f)
{
    struct sb_chain_options options = {.db_dir = f->db_dir,
                                       .genesis = &f->genesis,
                                       .inference = f->inference,
                                       .log = f->log,
                                       .create = !f->is_old,
                                       .history_blocks = f->history_blocks,
                                       .block_cache_count = f->block_cache_count};
    SB_TRY(sb_chain_open(&f->chain, &options, &f->diag));
    return sb_mempool_new(&f->mempool, f->chain, &f->mempool_options);
}

/* fixture_try_open_driver: application, journal and driver over the chain; what recovery leaves open is asked. */
static inline sb_err fixture_try_open_driver(struct fixture *f)
{
    const struct sb_chain_app_options app_options = {
        .chain = f->chain, .mempool = f->mempool, .log = f->log};
    struct sb_journal_identity identity = {.genesis_hash = sb_chain_domain(f->chain)->genesis_hash};
    struct sb_journal_recovery found;
    memcpy(identity.public_key, f->validator_secret + 32, sizeof identity.public_key);
    SB_TRY(sb_chain_app_new(&f->own_app, &app_options, &f->diag));
    SB_TRY(sb_journal_open_folder(&f->journal, f->journal_dir, &identity, !f->is_old, &found,
                                  &f->diag));
    f->signer.journal = f->journal;
    memcpy(f->signer.secret, f->validator_secret, sizeof f->signer.secret);
    const struct sb_driver_options options = {.app = sb_chain_app_table(f->own_app),
                                              .journal = f->journal,
                                              .signer = sb_local_signer(&f->signer),
                                              .own_key =
                                                  sb_pubkey_ed25519(f->validator_secret + 32),
                                              .timeouts = sb_bft_timeouts_default(),
                                              .verifier = sb_verifier_ed25519(),
                                              .host = {.ctx = f,
                                                       .now_ms = fixture_now_ms,
                                                       .set_timer = fixture_set_timer,
                                                       .cancel_timers = fixture_cancel_timers,
                                                       .send = fixture_ignore_send,
                                                       .fetch = fixture_ignore_fetch,
                                                       .committed = fixture_ignore_committed},
                                              .log = f->log};
    SB_TRY(sb_driver_new(&f->driver, &options, &f->diag));
    return sb_driver_resume(f->driver, &f->diag);
}

static inline void fixture_check(struct fixture *f, sb_err err)
{
    if (err != SB_OK) {
        print_error("%s: %s\n", sb_err_text(err), f->diag.text);
    }
    assert_int_equal(err, SB_OK);
}

static inline void fixture_open(struct fixture *f)
{
    fixture_check(f, fixture_try_open_chain(f));
    fixture_check(f, fixture_try_open_driver(f));
    f->is_old = true;
}

static inline void fixture_close(struct fixture *f)
{
    sb_driver_free(f->driver);
    sb_journal_close(f->journal);
    sb_chain_app_free(f->own_app);
    sb_mempool_free(f->mempool);
    sb_chain_close(f->chain);
    f->driver = NULL;
    f->journal = NULL;
    f->own_app = NULL;
    f->mempool = NULL;
    f->chain = NULL;
}

static inline int fixture_unlink(const char *path, const struct stat *info, int flag,
                                 struct FTW *ftw)
{
    (void)info;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void fixture_remove_dir(const char *dir)
{
    (void)nftw(dir, fixture_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void fixture_fini(struct fixture *f)
{
    fixture_close(f);
    fixture_remove_dir(f->dir);
    sb_arena_fini(&f->arena);
}

/* fixture_tx: an unsigned transfer of 1 wei by `account`, to be changed by the test before it is signed. */
static inline struct sb_tx fixture_tx(const struct fixture *f, int account, uint64_t nonce)
{
    (void)account;
    return (struct sb_tx){.type = SB_TX_FEE_MARKET,
                          .has_chain_id = true,
                          .chain_id = FIXTURE_CHAIN_ID,
                          .nonce = nonce,
                          .gas_limit = FIXTURE_TRANSFER,
                          .max_fee = fixture_gwei(10),
                          .max_priority_fee = fixture_gwei(FIXTURE_TIP_GWEI),
                          .to = f->addrs[3],
                          .value = sb_u256_from_u64(1)};
}

/* fixture_sign: the signed encoding, in the fixture's arena. */
static inline sb_bytes fixture_sign(struct fixture *f, struct sb_tx *tx, int account)
{
    uint8_t secret[32];
    fixture_secret(secret, account);
    assert_int_equal(sb_tx_sign(tx, secret), SB_OK);
    struct sb_buf buf;
    sb_buf_init(&buf, (size_t)1024 * 1024);
    sb_tx_encode(&buf, tx);
    assert_int_equal(sb_buf_err(&buf), SB_OK);
    const uint8_t *copy = sb_arena_dup(&f->arena, sb_buf_bytes(&buf));
    assert_non_null(copy);
    sb_bytes raw = sb_span(copy, buf.len);
    sb_buf_fini(&buf);
    return raw;
}

/* fixture_add: sign and add; the message of a refusal is in diag. */
static inline sb_err fixture_add(struct fixture *f, struct sb_tx *tx, int account,
                                 sb_hash *ret_hash)
{
    sb_hash hash;
    return sb_mempool_add(f->mempool, fixture_sign(f, tx, account),
                          ret_hash != NULL ? ret_hash : &hash, &f->diag);
}

/* fixture_send: a plain transfer, which must be accepted. */
static inline sb_hash fixture_send(struct fixture *f, int account, uint64_t nonce)
{
    struct sb_tx tx = fixture_tx(f, account, nonce);
    sb_hash hash;
    fixture_check(f, fixture_add(f, &tx, account, &hash));
    return hash;
}

/* fixture_propose: one block, empty or not. */
static inline void fixture_propose(struct fixture *f)
{
    f->now_ms += 1000;
    fixture_check(f, sb_driver_start_height(f->driver, &f->diag));
}

#endif
