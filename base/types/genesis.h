/* genesis.h: the beginning of a chain: configuration, first accounts, first validators; its state root, header and hash.
 *
 *   genesis.json --node/genesis_json--> struct sb_genesis --+--> sb_genesis_diff     first state, for storage
 *                                                           +--> sb_genesis_header   block 0, hence the genesis hash
 *                                                           +--> validators, params  for consensus
 *
 * The form is geth's genesis.json plus one object, "samebit" (docs/spec/genesis.md). With it the chain has profile samebit: all
 * forks to Osaka are active from block 0, and the genesis hash commits to validators and parameters too, since the header's
 * parentBeaconBlockRoot is sb_genesis_document_hash. Without it the chain is an Ethereum chain (profile ethereum). */
#ifndef SB_BASE_TYPES_GENESIS_H
#define SB_BASE_TYPES_GENESIS_H

#include "base/types/block.h"
#include "base/types/consensus.h"
#include "base/types/params.h"
#include "base/types/state.h"

#define SB_GENESIS_ACCOUNTS_MAX   1000000
#define SB_GENESIS_CODE_BYTES_MAX 24576
#define SB_DEV_CHAIN_ID           23296

enum sb_fork {
#define SB_FORK(name, json_name, unit) SB_FORK_##name,
#include "base/types/forks.def"
#undef SB_FORK
    SB_FORK_COUNT
};

#define SB_FORK_NEVER UINT64_MAX

/* EIP-7840: blob parameters that begin with a fork; has = given in the configuration. */
struct sb_blob_params {
    bool has;
    uint64_t target;
    uint64_t max;
    uint64_t base_fee_update_fraction;
};

/* geth's "config". For profile samebit the fork points are only checked: none may lie after block 0. */
struct sb_chain_config {
    uint64_t chain_id;
    uint64_t forks[SB_FORK_COUNT]; /* height or seconds, SB_FORK_NEVER when absent */
    struct sb_blob_params blob_params[SB_FORK_COUNT];
    bool has_terminal_total_difficulty;
    sb_u256 terminal_total_difficulty;
    sb_addr deposit_contract;
};

enum sb_genesis_origin {
    SB_ORIGIN_ALLOC,     /* written under "alloc" */
    SB_ORIGIN_PREDEPLOY, /* written under "samebit"."predeploys" */
    SB_ORIGIN_PROTOCOL,  /* added by sb_genesis_add_protocol_accounts, never written */
};

struct sb_genesis_account {
    sb_addr addr;
    enum sb_genesis_origin origin;
    uint64_t nonce;
    sb_u256 balance;
    sb_bytes code;
    const struct sb_slot_diff *slots; /* ascending by key, values not zero */
    size_t slot_count;
};

struct sb_genesis {
    struct sb_chain_config config;
    const struct sb_genesis_account *accounts; /* ascending by address */
    size_t account_count;

    uint8_t nonce[8];
    uint64_t timestamp; /* seconds */
    uint8_t extra_data[SB_EXTRA_DATA_BYTES_MAX];
    size_t extra_data_len;
    uint64_t gas_limit;
    sb_u256 difficulty;
    sb_hash mix_hash;
    sb_addr coinbase;
    bool has_base_fee;
    sb_u256 base_fee; /* wei; 10^9 when absent and London is active */
    uint64_t blob_gas_used;
    uint64_t excess_blob_gas;

    bool is_samebit;
    /* The "samebit" object; zero otherwise. */
    struct sb_validator_set validators;
    struct sb_params params;
    sb_addr fee_recipient; /* the `miner` of every block until the Distribution contract exists */
};

/* sb_chain_fork_active: whether a fork holds at a block of this height and time. */
bool sb_chain_fork_active(const struct sb_chain_config *config, enum sb_fork fork, uint64_t number,
                          uint64_t timestamp);

/* sb_genesis_add_protocol_accounts: add what every samebit chain has: the precompiles 0x5b01 to 0x5b05 (nonce 1, code 0xfe, balance 0)
 * and the contracts of EIP-4788 and EIP-2935 (nonce 1, canonical code). One that is there already must be just like that.
 * The new account array lives in the arena. SB_E_EXISTS, SB_E_NOMEM. */
sb_err sb_genesis_add_protocol_accounts(struct sb_genesis *genesis, struct sb_arena *arena,
                                        struct sb_diag *diag) SB_MUST_USE;

/* sb_genesis_check: what must hold of any genesis: order of accounts, limits; in profile samebit also: forks at 0, difficulty 0,
 * gas limit = params.gas_limit, a validator set, fee recipient given, protocol accounts present. SB_E_RANGE, SB_E_ARG ... */
sb_err sb_genesis_check(const struct sb_genesis *genesis, struct sb_diag *diag) SB_MUST_USE;

/* sb_genesis_document_hash: keccak256(rlp([chain id, validators hash, params hash, fee recipient])), docs/spec/genesis.md 3. */
sb_hash sb_genesis_document_hash(const struct sb_genesis *genesis);

/* sb_genesis_state_root: root of the accounts. */
sb_err sb_genesis_state_root(sb_hash *ret_root, const struct sb_genesis *genesis) SB_MUST_USE;

/* sb_genesis_header: block 0, with the header fields of the forks active in it (all of Osaka's in profile samebit). */
sb_err sb_genesis_header(struct sb_header *ret_header,
                         const struct sb_genesis *genesis) SB_MUST_USE;

/* sb_genesis_hash: hash of that header, the genesis hash of sign bytes and handshakes. */
sb_err sb_genesis_hash(sb_hash *ret_hash, const struct sb_genesis *genesis) SB_MUST_USE;

/* sb_genesis_diff: the accounts as a change of the empty state. Lists in the arena; code and slots borrow from the genesis. */
sb_err sb_genesis_diff(struct sb_state_diff *ret_diff, struct sb_arena *arena,
                       const struct sb_genesis *genesis) SB_MUST_USE;

/* sb_genesis_domain: chain id and genesis hash, for signing and verifying. */
sb_err sb_genesis_domain(struct sb_chain_domain *ret_domain,
                         const struct sb_genesis *genesis) SB_MUST_USE;

#endif
