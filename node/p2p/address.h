/* address.h: where nodes are: numeric endpoints for sockets and the address book, and what a person writes, "ID@HOST:PORT".
 *
 * An endpoint is an IPv6 address and a port; IPv4 is the mapped form (::ffff:a.b.c.d). Groups and subnets are what limits are counted
 * by: one owner rarely has many of them. Spec: docs/spec/p2p.md 6. */
#ifndef SB_NODE_P2P_ADDRESS_H
#define SB_NODE_P2P_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/util/err.h"
#include "base/util/span.h"
#include "node/p2p/p2p.h"

#define SB_ENDPOINT_TEXT_BYTES 64 /* "[ipv6]:port" and its terminator */
#define SB_HOST_BYTES          254

struct sb_endpoint {
    uint8_t ip[16];
    uint16_t port;
};

/* What a setting names. */
struct sb_node_address {
    bool has_id;
    uint8_t id[SB_P2P_NODE_ID_BYTES];
    char host[SB_HOST_BYTES]; /* name or number, without brackets */
    uint16_t port;
};

/* sb_endpoint_of: of a socket's address. false for families other than IPv4 and IPv6. */
bool sb_endpoint_of(struct sb_endpoint *ret, const struct sockaddr *address);
/* sb_endpoint_socket: the reverse; an IPv4 endpoint gives an IPv4 address. Returns its length. */
socklen_t sb_endpoint_socket(struct sockaddr_storage *ret, const struct sb_endpoint *endpoint);
/* sb_endpoint_format: "1.2.3.4:5" or "[2001:db8::1]:5"; returns ret. */
char *sb_endpoint_format(char ret[SB_ENDPOINT_TEXT_BYTES], const struct sb_endpoint *endpoint);
/* sb_endpoint_parse: the numeric form of a host and a port. false for a name. */
bool sb_endpoint_parse(struct sb_endpoint *ret, const char *host, uint16_t port);
bool sb_endpoint_equal(const struct sb_endpoint *a, const struct sb_endpoint *b);

/* sb_endpoint_is_local: of this machine or of a network that is not the internet. */
bool sb_endpoint_is_local(const struct sb_endpoint *endpoint);
/* sb_endpoint_is_dialable: worth keeping: a port, and an address of the internet (or, with allow_local, of this machine or site). */
bool sb_endpoint_is_dialable(const struct sb_endpoint *endpoint, bool allow_local);

/* sb_endpoint_group: the /16 (IPv6: /32) as a number; for a local address the whole endpoint, so that test networks have many. */
uint64_t sb_endpoint_group(const struct sb_endpoint *endpoint);
/* sb_endpoint_host_number, _subnet: the address, and its /24 (IPv6: /48), as keys for counting; the port does not matter. */
uint64_t sb_endpoint_host_number(const struct sb_endpoint *endpoint);
uint64_t sb_endpoint_subnet(const struct sb_endpoint *endpoint);

/* sb_node_address_parse: "hex64@host:port" or "host:port"; IPv6 numbers in brackets. SB_E_SYNTAX, SB_E_RANGE with the text. */
sb_err sb_node_address_parse(struct sb_node_address *ret, const char *text,
                             struct sb_diag *diag) SB_MUST_USE;
/* sb_node_id_parse: 64 hexadecimal digits. SB_E_SYNTAX. */
sb_err sb_node_id_parse(uint8_t ret[SB_P2P_NODE_ID_BYTES], const char *text,
                        struct sb_diag *diag) SB_MUST_USE;

#endif
