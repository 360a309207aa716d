/* datadir.h: the data directory of a node.
 *
 *     DIR/config.json           settings (config.h)
 *         genesis.json          the chain (genesis_json.h); written last: without it there is no chain here
 *         keys/validator.json   Ed25519 seed of the validator, mode 0600; account keystores lie beside it
 *         keys/node.json        Ed25519 seed of the node's name among its peers, mode 0600
 *         keys/unused           nothing was signed with these keys yet: made by sb_datadir_make_keys, gone with the journal's birth
 *         addresses             other nodes that are known (p2p/address_book.h); made as needed
 *         journal/              what the validator signed: lost or copied back, it could sign twice
 *         inputs/               the journal of a node whose signatures are in a signer process: holds none, and may be lost
 *         db/                   blocks and state
 *         snapshots/            what newcomers are given of them (storage/snapshot.h); made as needed
 *
 * Creation makes all of it, journal and genesis block included, so that later starts never have to guess whether something is new or
 * was lost. */
#ifndef SB_NODE_DATADIR_H
#define SB_NODE_DATADIR_H

#include "base/crypto/ed25519.h"
#include "base/types/genesis.h"
#include "node/config.h"
#include "node/files.h"
#include "node/predeploys.h"

struct sb_datadir {
    char path[SB_PATH_BYTES];
    char config[SB_PATH_BYTES];
    char genesis[SB_PATH_BYTES];
    char keys[SB_PATH_BYTES];
    char validator_key[SB_PATH_BYTES];
    char node_key[SB_PATH_BYTES];
    char unused[SB_PATH_BYTES];
    char addresses[SB_PATH_BYTES];
    char journal[SB_PATH_BYTES];
    char inputs[SB_PATH_BYTES];
    char db[SB_PATH_BYTES];
    char snapshots[SB_PATH_BYTES];
};

/* Of the validator; the node's own key has the same form. */
struct sb_validator_key {
    uint8_t public_key[SB_ED25519_PUBLIC_BYTES];
    uint8_t secret[SB_ED25519_SECRET_BYTES]; /* seed || public key */
};

struct sb_new_validator {
    uint8_t public_key[SB_ED25519_PUBLIC_BYTES];
    uint64_t power;
    /* in a chain with staking: */
    sb_addr operator_addr; /* account that owns its stake of `power` coins */
    uint16_t commission_bps;
    char moniker[SB_MONIKER_BYTES_MAX + 1];
};

/* What a new chain is made of. */
struct sb_new_chain {
    uint64_t chain_id;
    uint64_t timestamp; /* seconds */
    uint64_t min_block_interval_ms;
    uint64_t gas_limit;
    const struct sb_genesis_account *alloc; /* any order, no address twice */
    size_t alloc_count;
    const struct sb_new_validator *validators;
    size_t validator_count;
    bool has_staking;      /* else the validators stay as they are */
    sb_addr fee_recipient; /* without staking */
    sb_addr governor;      /* zero: the parameters are fixed */
    struct sb_staking_params staking;
};

/* sb_datadir_paths: the paths below a directory. SB_E_LIMIT. */
sb_err sb_datadir_paths(struct sb_datadir *ret_dir, const char *path,
                        struct sb_diag *diag) SB_MUST_USE;
/* sb_datadir_has_chain: a chain was created here. */
bool sb_datadir_has_chain(const struct sb_datadir *dir);

/* sb_new_chain_genesis: the genesis with system contracts and protocol accounts. Everything in it lives in the arena. */
sb_err sb_new_chain_genesis(struct sb_genesis *ret_genesis, struct sb_arena *arena,
                            const struct sb_new_chain *chain, struct sb_diag *diag) SB_MUST_USE;

/* sb_datadir_make_keys: the two keys alone, for a chain whose genesis is not known yet. SB_E_EXISTS when the directory has something in
 * it. */
sb_err sb_datadir_make_keys(struct sb_validator_key *ret_key, struct sb_validator_key *ret_node_key,
                            const struct sb_datadir *dir, struct sb_diag *diag) SB_MUST_USE;
/* sb_datadir_take_key: the validator key for a new chain: the one that sb_datadir_make_keys left, else a new one.
 * SB_E_EXISTS when the directory holds anything else: a key that may have signed is never taken into a new journal. */
sb_err sb_datadir_take_key(struct sb_validator_key *ret_key, const struct sb_datadir *dir,
                           struct sb_diag *diag) SB_MUST_USE;
/* sb_datadir_create: everything above, with the key of sb_datadir_take_key. SB_E_EXISTS when the directory has something but unused
 * keys in it. */
sb_err sb_datadir_create(const struct sb_datadir *dir, const struct sb_genesis *genesis,
                         const struct sb_validator_key *key, const struct sb_config *config,
                         struct sb_diag *diag) SB_MUST_USE;

/* sb_datadir_store_config: write config.json anew. */
sb_err sb_datadir_store_config(const struct sb_datadir *dir, const struct sb_config *config,
                               struct sb_diag *diag) SB_MUST_USE;

/* Readers; the messages begin with the file's path. load_config lays the file over *config. */
sb_err sb_datadir_load_config(struct sb_config *config, const struct sb_datadir *dir,
                              struct sb_diag *diag) SB_MUST_USE;
sb_err sb_datadir_load_genesis(struct sb_genesis *ret_genesis, struct sb_arena *arena,
                               const struct sb_datadir *dir, struct sb_diag *diag) SB_MUST_USE;
/* sb_genesis_load: from any file. */
sb_err sb_genesis_load(struct sb_genesis *ret_genesis, struct sb_arena *arena, const char *path,
                       struct sb_diag *diag) SB_MUST_USE;
/* sb_genesis_load_domain: only what a genesis file names its chain by. */
sb_err sb_genesis_load_domain(struct sb_chain_domain *ret_domain, const char *path,
                              struct sb_diag *diag) SB_MUST_USE;
sb_err sb_datadir_load_key(struct sb_validator_key *ret_key, const struct sb_datadir *dir,
                           struct sb_diag *diag) SB_MUST_USE;

/* sb_datadir_node_key: the key of keys/node.json; a directory without one gets a new one: the node then only has another name. */
sb_err sb_datadir_node_key(struct sb_validator_key *ret_key, const struct sb_datadir *dir,
                           struct sb_diag *diag) SB_MUST_USE;

/* sb_validator_key_new: a random key. sb_validator_key_parse: the text of validator.json. sb_validator_key_emit: the reverse. */
void sb_validator_key_new(struct sb_validator_key *ret_key);
sb_err sb_validator_key_parse(struct sb_validator_key *ret_key, sb_bytes text,
                              struct sb_diag *diag) SB_MUST_USE;
void sb_validator_key_emit(struct sb_buf *out, const struct sb_validator_key *key);

#endif
