/* stub_application.h: a chain for tests of consensus: real consensus blocks, ids and hashes, whose payload is a list of opaque
 * transactions; in memory, deterministic, cheap.
 *
 *      payload        rlp([state, [transaction, ...], padding])          payload_hash = keccak256(payload)
 *      state          keccak256(last state || rlp([transaction, ...]));  at genesis the genesis hash
 *
 * A block is checked as a chain checks it: last block, time, proposer, proof of randomness, sets, last commit with its signatures, late precommits, evidence,
 * and the state, which its receiver computes itself. What the Ethereum payload needs (sb_consensus_block_check) does not hold here.
 *
 * Committed blocks are what a database would hold: they survive the crash of a driver that uses this application. The pool is memory. */
#ifndef SB_TESTS_SUPPORT_STUB_APPLICATION_H
#define SB_TESTS_SUPPORT_STUB_APPLICATION_H

#include "node/application.h"

struct stub_application;

/* Where a test puts its hand in; all may be NULL. */
struct stub_hooks {
    void *ctx;
    /* refuse: true: process calls this block invalid. */
    bool (*refuse)(void *ctx, uint64_t height, const sb_hash *block_id);
    /* undecided: true: process cannot judge this block yet. */
    bool (*undecided)(void *ctx, uint64_t height);
    /* forge: true: a block that is prepared now claims a wrong state. */
    bool (*forge)(void *ctx, uint64_t height);
    /* executing: a block is prepared or processed now; the test's clock may move. */
    void (*executing)(void *ctx, uint64_t height);
    /* committing: before a block becomes the head (done false) and after it (done true). An error is what commit_take answers: with
     * done true the block stays committed, as if the machine had failed a moment later. */
    sb_err (*committing)(void *ctx, uint64_t height, bool done);
    /* changes: of the validator set by this block, which has been committed, in force two heights later; returns how many, at most
     * max. */
    size_t (*changes)(void *ctx, const struct sb_consensus_block *block,
                      struct sb_validator_change *ret, size_t max);
    bool (*version_known)(void *ctx, uint64_t height);
};

struct stub_application_options {
    struct sb_chain_domain domain;
    uint64_t genesis_time_ms;
    const struct sb_validator *validators; /* of height 1: key and power; copied */
    size_t validator_count;
    struct sb_bft_timeliness timeliness;
    uint64_t min_block_interval_ms;
    uint64_t block_bytes_max; /* 0 takes SB_CONSENSUS_BLOCK_BYTES_MAX */
    size_t padding_bytes; /* prepared blocks are made that much longer, so that they have parts */
    struct sb_verifier verifier;
    struct stub_hooks hooks;
};

/* stub_application_new: NULL when out of memory or when the validators do not make a set. */
struct stub_application *stub_application_new(const struct stub_application_options *options);
void stub_application_free(struct stub_application *app);
/* stub_application_table: what a driver takes; valid while app is. */
struct sb_application stub_application_table(struct stub_application *app);

/* stub_application_add: put a transaction into the pool; false when the pool is full or out of memory. */
bool stub_application_add(struct stub_application *app, sb_bytes transaction);
/* stub_application_transactions: those of a valid block's payload, at most max; how many. They point into it. */
size_t stub_application_transactions(sb_bytes *ret, size_t max, sb_bytes payload);
/* stub_application_restart: forget what a process keeps in memory: the pool. */
void stub_application_restart(struct stub_application *app);

uint64_t stub_application_height(const struct stub_application *app);
/* stub_application_state, _block_id: after the block of a height, at most the head's. */
sb_hash stub_application_state(const struct stub_application *app, uint64_t height);
sb_hash stub_application_block_id(const struct stub_application *app, uint64_t height);
/* stub_application_set: the validator set of a height, at most head + 2. */
struct sb_validator_set stub_application_set(const struct stub_application *app, uint64_t height);
/* stub_application_executed: how many blocks process has executed. */
uint64_t stub_application_executed(const struct stub_application *app);

/* stub_key: the ed25519 key pair of a small number. */
void stub_key(struct sb_pubkey *ret_key, uint8_t ret_secret[64], uint32_t number);

#endif
