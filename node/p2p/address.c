/* address.c: see address.h. */
#include "node/p2p/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/codec/hex.h"
#include "base/util/assert.h"
#include "base/util/endian.h"

static const uint8_t k_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_v4(const struct sb_endpoint *e)
{
    return memcmp(e->ip, k_mapped, sizeof k_mapped) == 0;
}

bool sb_endpoint_of(struct sb_endpoint *ret, const struct sockaddr *address)
{
    struct sb_endpoint e = {.port = 0};
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        memcpy(e.ip, k_mapped, sizeof k_mapped);
        memcpy(e.ip + 12, &in.sin_addr, 4);
        e.port = ntohs(in.sin_port);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, address, sizeof in);
        memcpy(e.ip, &in.sin6_addr, sizeof e.ip);
        e.port = ntohs(in.sin6_port);
    } else {
        return false;
    }
    *ret = e;
    return true;
}

socklen_t sb_endpoint_socket(struct sockaddr_storage *ret, const struct sb_endpoint *endpoint)
{
    memset(ret, 0, sizeof *ret);
    if (is_v4(endpoint)) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
        memcpy(&in.sin_addr, endpoint->ip + 12, 4);
        memcpy(ret, &in, sizeof in);
        return sizeof in;
    }
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};
    memcpy(&in.sin6_addr, endpoint->ip, sizeof endpoint->ip);
    memcpy(ret, &in, sizeof in);
    return sizeof in;
}

char *sb_endpoint_format(char ret[SB_ENDPOINT_TEXT_BYTES], const struct sb_endpoint *endpoint)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (is_v4(endpoint)) {
        (void)inet_ntop(AF_INET, endpoint->ip + 12, host, sizeof host);
        (void)snprintf(ret, SB_ENDPOINT_TEXT_BYTES, "%s:%u", host, (unsigned)endpoint->port);
    } else {
        (void)inet_ntop(AF_INET6, endpoint->ip, host, sizeof host);
        (void)snprintf(ret, SB_ENDPOINT_TEXT_BYTES, "[%s]:%u", host, (unsigned)endpoint->port);
    }
    return ret;
}

bool sb_endpoint_parse(struct sb_endpoint *ret, const char *host, uint16_t port)
{
    struct sb_endpoint e = {.port = port};
    if (inet_pton(AF_INET, host, e.ip + 12) == 1) {
        memcpy(e.ip, k_mapped, sizeof k_mapped);
    } else if (inet_pton(AF_INET6, host, e.ip) != 1) {
        return false;
    }
    *ret = e;
    return true;
}

bool sb_endpoint_equal(const struct sb_endpoint *a, const struct sb_endpoint *b)
{
    return a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

/* ---- kinds of addresses ---- */

struct prefix {
    uint8_t bits;
    uint8_t ip[4];
};

static bool v4_in(const uint8_t ip[4], const struct prefix *prefix)
{
    uint32_t mask = prefix->bits == 0 ? 0 : UINT32_MAX << (32 - prefix->bits);
    return ((be_load32(ip) ^ be_load32(prefix->ip)) & mask) == 0;
}

static bool v4_in_any(const uint8_t ip[4], const struct prefix *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (v4_in(ip, &prefixes[i])) {
            return true;
        }
    }
    return false;
}

/* RFC 6890: this machine, private, shared, link-local. */
static const struct prefix k_local[] = {{8, {127, 0, 0, 0}},   {8, {10, 0, 0, 0}},
                                        {12, {172, 16, 0, 0}}, {16, {192, 168, 0, 0}},
                                        {10, {100, 64, 0, 0}}, {16, {169, 254, 0, 0}}};
/* Nobody's: unspecified, protocol assignments, documentation, benchmarks, multicast, reserved. */
static const struct prefix k_never[] = {
    {8, {0, 0, 0, 0}},      {24, {192, 0, 0, 0}},  {24, {192, 0, 2, 0}}, {24, {198, 51, 100, 0}},
    {24, {203, 0, 113, 0}}, {15, {198, 18, 0, 0}}, {4, {224, 0, 0, 0}},  {4, {240, 0, 0, 0}}};

static bool v6_is_loopback(const uint8_t ip[16])
{
    static const uint8_t k_loopback[16] = {[15] = 1};
    return memcmp(ip, k_loopback, sizeof k_loopback) == 0;
}

static bool v6_is_never(const uint8_t ip[16])
{
    static const uint8_t k_zero[16];
    bool documentation = be_load32(ip) == 0x20010db8u;
    return memcmp(ip, k_zero, sizeof k_zero) == 0 || ip[0] == 0xff || documentation;
}

bool sb_endpoint_is_local(const struct sb_endpoint *endpoint)
{
    const uint8_t *ip = endpoint->ip;
    if (is_v4(endpoint)) {
        return v4_in_any(ip + 12, k_local, sizeof k_local / sizeof k_local[0]);
    }
    bool unique_local = (ip[0] & 0xfe) == 0xfc;
    bool link_local = ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
    return v6_is_loopback(ip) || unique_local || link_local;
}

bool sb_endpoint_is_dialable(const struct sb_endpoint *endpoint, bool allow_local)
{
    if (endpoint->port == 0) {
        return false;
    }
    bool never = is_v4(endpoint)
                     ? v4_in_any(endpoint->ip + 12, k_never, sizeof k_never / sizeof k_never[0])
                     : v6_is_never(endpoint->ip);
    return !never && (allow_local || !sb_endpoint_is_local(endpoint));
}

/* ---- counting ---- */

/* A number for the first `bytes` bytes of an address; IPv4 and IPv6 never meet. */
static uint64_t ip_number(const struct sb_endpoint *e, size_t v4_bytes, size_t v6_bytes)
{
    uint8_t kept[8] = {0};
    if (is_v4(e)) {
        kept[0] = 4;
        memcpy(kept + 1, e->ip + 12, v4_bytes);
        return be_load64(kept);
    }
    memcpy(kept, e->ip, v6_bytes);
    return be_load64(kept) ^ (UINT64_C(6) << 56);
}

uint64_t sb_endpoint_group(const struct sb_endpoint *endpoint)
{
    if (sb_endpoint_is_local(endpoint)) {
        return sb_endpoint_host_number(endpoint) ^ ((uint64_t)endpoint->port << 8) ^ 1;
    }
    return ip_number(endpoint, 2, 4);
}

uint64_t sb_endpoint_host_number(const struct sb_endpoint *endpoint)
{
    /* A host of IPv6 has a whole /64 of addresses. */
    return ip_number(endpoint, 4, 8);
}

uint64_t sb_endpoint_subnet(const struct sb_endpoint *endpoint)
{
    return ip_number(endpoint, 3, 6);
}

/* ---- texts ---- */

sb_err sb_node_id_parse(uint8_t ret[SB_P2P_NODE_ID_BYTES], const char *text, struct sb_diag *diag)
{
    if (sb_hex_decode(ret, SB_P2P_NODE_ID_BYTES, text, strlen(text)) != SB_OK) {
        return sb_fail(diag, SB_E_SYNTAX,
                       "\"%.80s\" is not a node id: 64 hexadecimal digits (samebit node-id)", text);
    }
    return SB_OK;
}

static bool port_parse(uint16_t *ret, const char *text)
{
    uint32_t value = 0;
    size_t len = strlen(text);
    if (len == 0 || len > 5) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *ret = (uint16_t)value;
    return value > 0 && value <= UINT16_MAX;
}

/* The host of "host:port" or "[v6]:port"; *ret_port points at the digits. */
static bool host_parse(char ret[SB_HOST_BYTES], const char **ret_port, const char *text)
{
    bool bracket = text[0] == '[';
    const char *begin = bracket ? text + 1 : text;
    size_t len = strcspn(begin, bracket ? "]" : ":");
    const char *colon = begin + len + (bracket && begin[len] == ']' ? 1 : 0);
    if (len == 0 || len >= SB_HOST_BYTES || *colon != ':') {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (begin[i] <= ' ' || begin[i] > '~') {
            return false;
        }
    }
    memcpy(ret, begin, len);
    ret[len] = '\0';
    *ret_port = colon + 1;
    return true;
}

sb_err sb_node_address_parse(struct sb_node_address *ret, const char *text, struct sb_diag *diag)
{
    struct sb_node_address read = {.has_id = false};
    const char *place = text;
    const char *port = NULL;
    const char *at = strchr(text, '@');
    if (at != NULL) {
        char id[2 * SB_P2P_NODE_ID_BYTES + 1];
        if (at - text != (ptrdiff_t)sizeof id - 1) {
            return sb_fail(diag, SB_E_SYNTAX,
                           "\"%.80s\": a node id is 64 hexadecimal digits (samebit node-id)", text);
        }
        memcpy(id, text, sizeof id - 1);
        id[sizeof id - 1] = '\0';
        SB_TRY(sb_node_id_parse(read.id, id, diag));
        read.has_id = true;
        place = at + 1;
    }
    if (!host_parse(read.host, &port, place)) {
        return sb_fail(diag, SB_E_SYNTAX, "\"%.160s\" is not [ID@]HOST:PORT", text);
    }
    if (!port_parse(&read.port, port)) {
        return sb_fail(diag, SB_E_RANGE, "\"%.160s\": the port is not a number of 1 to 65535",
                       text);
    }
    *ret = read;
    return SB_OK;
}
