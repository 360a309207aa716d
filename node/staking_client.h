/* staking_client.h: the contracts of staking through the RPC of any node: what `samebit validator` and `samebit stake` share.
 *
 *      begin("delegate(address)", 1) --> words into session.args --> view (eth_call)   --> session.output, read as a tuple
 *                                                                \-> send, wait, report --> sentences, or JSON
 *
 * Amounts are wei. Errors of the contracts arrive as sentences (staking_errors.def). */
#ifndef SB_NODE_STAKING_CLIENT_H
#define SB_NODE_STAKING_CLIENT_H

#include "base/codec/abi.h"
#include "base/types/consensus.h"
#include "node/cli.h"
#include "node/key_source.h"
#include "node/rpc_client.h"

#define SB_STAKING_TEXT_BYTES_MAX 512
#define SB_STAKING_PAGE           50

extern const sb_addr sb_params_addr, sb_staking_addr, sb_distribution_addr, sb_slashing_addr;

struct sb_staking_session {
    /* options */
    const char *rpc;
    struct sb_key_source key;
    bool json;
    /* state */
    struct sb_rpc_client client;
    struct sb_wallet wallet; /* once has_wallet */
    bool has_wallet;
    uint64_t now;       /* Unix time of this machine: what "in 3 days" counts from */
    struct sb_buf data; /* of the call at hand */
    struct sb_abi_writer args;
    struct sb_buf output; /* of the last view */
    struct sb_buf text;   /* for people */
};

#define SB_STAKING_OPTIONS(s)                                                                      \
    {"rpc", SB_OPTION_TEXT, &(s).rpc, "URL", "the node (" SB_RPC_URL_DEFAULT ")", 0, 0},           \
        {"json", SB_OPTION_FLAG, &(s).json, NULL, "print JSON; amounts are wei", 0, 0},            \
        SB_KEY_SOURCE_OPTIONS((s).key)

/* sb_staking_open: reach the node. SB_E_UNSUPPORTED when its chain has no staking. Close it in any case; a session that holds only its
 * options may be closed, too. */
sb_err sb_staking_open(struct sb_staking_session *s, struct sb_diag *diag) SB_MUST_USE;
void sb_staking_close(struct sb_staking_session *s);
/* sb_staking_unlock: the wallet of the key options; nothing when it is open. */
sb_err sb_staking_unlock(struct sb_staking_session *s, struct sb_diag *diag) SB_MUST_USE;
/* sb_staking_account: the account of an operand, or, without one (NULL), of the key options. */
sb_err sb_staking_account(sb_addr *ret_addr, struct sb_staking_session *s, const char *text,
                          struct sb_diag *diag) SB_MUST_USE;
/* sb_staking_domain: chain id and genesis hash, as the node tells them. */
sb_err sb_staking_domain(struct sb_chain_domain *ret_domain, struct sb_staking_session *s,
                         struct sb_diag *diag) SB_MUST_USE;

/* sb_staking_begin: start a call: put its head words into s->args. sb_staking_view: run it; the result is s->output.
 * sb_staking_view_u256: the first word of that. sb_staking_view_of: a view of one address. */
void sb_staking_begin(struct sb_staking_session *s, const char *signature, size_t head_words);
sb_err sb_staking_view(struct sb_staking_session *s, const sb_addr *contract,
                       struct sb_diag *diag) SB_MUST_USE;
sb_err sb_staking_view_of(struct sb_staking_session *s, const sb_addr *contract,
                          const char *signature, const sb_addr *addr,
                          struct sb_diag *diag) SB_MUST_USE;
sb_err sb_staking_view_u256(sb_u256 *ret, struct sb_staking_session *s, const sb_addr *contract,
                            struct sb_diag *diag) SB_MUST_USE;

/* sb_staking_send: send the call as a transaction, wait for it, and print what it did: sentences of its events, or one JSON object. value
 * may be NULL. */
sb_err sb_staking_send(struct sb_staking_session *s, const sb_addr *contract, const sb_u256 *value,
                       struct sb_diag *diag) SB_MUST_USE;

/* sb_staking_flush: print s->text as a line, and empty it. sb_staking_print_json: print, and free it. */
void sb_staking_flush(struct sb_staking_session *s);
void sb_staking_print_json(json_t *json);
/* Values of JSON: wei and shares in decimal, addresses, bytes. */
json_t *sb_staking_json_u256(const sb_u256 *value);
json_t *sb_staking_json_addr(const sb_addr *addr);

/* ---- what the views give ---- */

struct sb_staking_validator {
    sb_addr operator_addr, consensus;
    sb_hash key;
    sb_bytes moniker, website, contact, details; /* borrowed from the output */
    sb_u256 tokens, shares, power, self_shares, self_min;
    uint64_t commission_bps, commission_max_bps, commission_max_change_bps, commission_changed_at;
    bool is_listed, is_active, is_jailed, is_tombstoned;
    uint64_t jailed_until;
    uint64_t slash_count;
};

/* sb_staking_validator_of: by operator; its texts live until the next view. */
sb_err sb_staking_validator_of(struct sb_staking_validator *ret_validator,
                               struct sb_staking_session *s, const sb_addr *operator_addr,
                               struct sb_diag *diag) SB_MUST_USE;
/* sb_staking_validator_read: the one whose offset is at word_index of a tuple. */
sb_err sb_staking_validator_read(struct sb_staking_validator *ret_validator, sb_bytes tuple,
                                 size_t word_index) SB_MUST_USE;
/* sb_staking_validator_state: "active", "candidate", "jailed", "tombstoned", "waiting" (not on the list). Static. */
const char *sb_staking_validator_state(const struct sb_staking_validator *v);

/* sb_staking_page: run a view (address, offset, limit) and give its array. */
sb_err sb_staking_page(sb_bytes *ret_items, size_t *ret_count, struct sb_staking_session *s,
                       const char *signature, const sb_addr *addr, uint64_t offset,
                       size_t words_each, struct sb_diag *diag) SB_MUST_USE;

/* sb_staking_worth: what shares of a pool are worth: rounded down. sb_staking_shares: the least shares that are worth an amount. */
sb_u256 sb_staking_worth(const struct sb_staking_validator *v, const sb_u256 *shares);
sb_u256 sb_staking_shares(const struct sb_staking_validator *v, const sb_u256 *amount);

#endif
