/* peer_settings.c: see peer_settings.h. */
#include "node/peer_settings.h"

#include <sodium.h>
#include <string.h>

#include "node/p2p/address.h"
#include "node/version.h"

#define MIB ((size_t)1 << 20)

bool sb_peer_settings_wanted(const struct sb_config *config, const struct sb_genesis *genesis,
                             const uint8_t validator_key[SB_ED25519_PUBLIC_BYTES])
{
    const struct sb_validator_set *set = &genesis->validators;
    bool is_alone = set->count == 1 && memcmp(set->validators[0].key.bytes, validator_key,
                                              SB_ED25519_PUBLIC_BYTES) == 0;
    return !is_alone || config->persistent_peers[0] != '\0' || config->seeds[0] != '\0' ||
           config->p2p_external_address[0] != '\0';
}

static sb_err read_lists(struct sb_peer_settings *s, const struct sb_config *c,
                         struct sb_diag *diag)
{
    SB_TRY(sb_config_list_split(&s->persistent, c->persistent_peers, "persistentPeers", diag));
    SB_TRY(sb_config_list_split(&s->seeds, c->seeds, "seeds", diag));
    SB_TRY(sb_config_list_split(&s->private_ids, c->private_peer_ids, "privatePeerIds", diag));
    return sb_config_list_split(&s->unconditional_ids, c->unconditional_peer_ids,
                                "unconditionalPeerIds", diag);
}

/* ---- mistakes of typing: found here, so that they cost no opened database ---- */

static sb_err check_addresses(const struct sb_config_items *list, const char *key,
                              struct sb_diag *diag)
{
    struct sb_node_address address;
    for (size_t i = 0; i < list->count; i++) {
        sb_err err = sb_node_address_parse(&address, list->items[i], diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "%s", key);
            return err;
        }
    }
    return SB_OK;
}

static sb_err check_ids(const struct sb_config_items *list, const char *key, struct sb_diag *diag)
{
    uint8_t id[SB_P2P_NODE_ID_BYTES];
    for (size_t i = 0; i < list->count; i++) {
        sb_err err = sb_node_id_parse(id, list->items[i], diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "%s", key);
            return err;
        }
    }
    return SB_OK;
}

static sb_err check_external(const char *text, struct sb_diag *diag)
{
    struct sb_node_address said;
    bool is_good =
        text[0] == '\0' || (sb_node_address_parse(&said, text, NULL) == SB_OK && !said.has_id);
    return is_good
               ? SB_OK
               : sb_fail(diag, SB_E_SYNTAX, "p2pExternalAddress: \"%.80s\" is not HOST:PORT", text);
}

static sb_err check_lists(const struct sb_peer_settings *s, struct sb_diag *diag)
{
    SB_TRY(check_addresses(&s->persistent, "persistentPeers", diag));
    SB_TRY(check_addresses(&s->seeds, "seeds", diag));
    SB_TRY(check_ids(&s->private_ids, "privatePeerIds", diag));
    return check_ids(&s->unconditional_ids, "unconditionalPeerIds", diag);
}

sb_err sb_peer_settings_read(struct sb_peer_settings *settings, const struct sb_config *config,
                             const struct sb_datadir *dir, struct sb_diag *diag)
{
    struct sb_peer_settings *s = settings;
    const struct sb_config *c = config;
    struct sb_validator_key key;
    SB_TRY(read_lists(s, c, diag));
    SB_TRY(check_lists(s, diag));
    SB_TRY(check_external(c->p2p_external_address, diag));
    SB_TRY(sb_datadir_node_key(&key, dir, diag));
    s->options = (struct sb_p2p_options){
        .agent = SB_CLIENT_AGENT,
        .listen_host = c->p2p_host[0] != '\0' ? c->p2p_host : NULL,
        .listen_port = (uint16_t)c->p2p_port,
        .external_address = c->p2p_external_address[0] != '\0' ? c->p2p_external_address : NULL,
        .persistent_peers = s->persistent.items,
        .persistent_count = s->persistent.count,
        .seeds = s->seeds.items,
        .seed_count = s->seeds.count,
        .private_ids = s->private_ids.items,
        .private_count = s->private_ids.count,
        .unconditional_ids = s->unconditional_ids.items,
        .unconditional_count = s->unconditional_ids.count,
        .pex = !c->no_pex,
        .allow_local = c->p2p_allow_local,
        .address_book = dir->addresses,
        .inbound_max = (uint32_t)c->p2p_inbound_max,
        .outbound_max = (uint32_t)c->p2p_outbound_max,
        .per_ip_max = (uint32_t)c->p2p_per_ip_max,
        .per_subnet_max = (uint32_t)c->p2p_per_subnet_max,
        .half_open_max = (uint32_t)c->p2p_half_open_max,
        .accepts_per_s_per_ip = (uint32_t)c->p2p_accepts_max,
        .handshake_ms_max = (uint32_t)c->p2p_handshake_ms_max,
        .ping_ms = (uint32_t)c->p2p_ping_ms,
        .dead_ms = (uint32_t)c->p2p_dead_ms,
        .dial_ms_max = (uint32_t)c->p2p_dial_ms_max,
        .reconnect_ms = (uint32_t)c->p2p_reconnect_ms,
        .ban_s = (uint32_t)c->p2p_ban_s,
        .queue_bytes_max = c->p2p_queue_mib_max * MIB,
    };
    memcpy(s->options.node_secret, key.secret, sizeof s->options.node_secret);
    sodium_memzero(&key, sizeof key);
    return SB_OK;
}
