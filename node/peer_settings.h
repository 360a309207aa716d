/* peer_settings.h: what config.json says of peers, as the peer network takes it. */
#ifndef SB_NODE_PEER_SETTINGS_H
#define SB_NODE_PEER_SETTINGS_H

#include "node/datadir.h"
#include "node/p2p/p2p.h"

/* The lists that options borrow. */
struct sb_peer_settings {
    struct sb_config_items persistent, seeds, private_ids, unconditional_ids;
    struct sb_p2p_options options;
};

/* sb_peer_settings_wanted: whether the node has anybody to talk to: it is not the only validator of its genesis, or it is told of peers,
 * or of the address at which others find it. A chain of one validator listens to nobody by itself. */
bool sb_peer_settings_wanted(const struct sb_config *config, const struct sb_genesis *genesis,
                             const uint8_t validator_key[SB_ED25519_PUBLIC_BYTES]);

/* sb_peer_settings_read: the options but for domain, callbacks and log; they borrow from settings, config and dir. Reads or makes the
 * node's key. Wipe options.node_secret after use. SB_E_RANGE names the list with too many items, SB_E_SYNTAX the one with an
 * address or id that is none; the errors of sb_datadir_node_key. */
sb_err sb_peer_settings_read(struct sb_peer_settings *settings, const struct sb_config *config,
                             const struct sb_datadir *dir, struct sb_diag *diag) SB_MUST_USE;

#endif
