/* wire.c: see wire.h. */
#include "node/p2p/wire.h"

#include "base/util/assert.h"
#include "base/util/endian.h"

static void add_u16(struct sb_buf *out, uint16_t value)
{
    uint8_t bytes[2];
    be_store16(bytes, value);
    sb_buf_add(out, bytes, sizeof bytes);
}

/* ---- hello ---- */

static void add_text(struct sb_buf *out, const char *text)
{
    size_t len = strlen(text);
    SB_ASSERT(len <= SB_HELLO_TEXT_BYTES_MAX);
    sb_buf_add_byte(out, (uint8_t)len);
    sb_buf_add(out, text, len);
}

void sb_hello_encode(struct sb_buf *out, const struct sb_hello *hello)
{
    uint8_t chain_id[8];
    be_store64(chain_id, hello->domain.chain_id);
    add_u16(out, hello->version);
    sb_buf_add(out, chain_id, sizeof chain_id);
    sb_buf_add(out, hello->domain.genesis_hash.b, sizeof hello->domain.genesis_hash.b);
    sb_buf_add(out, hello->node_id, sizeof hello->node_id);
    sb_buf_add(out, hello->signature, sizeof hello->signature);
    add_text(out, hello->listen);
    add_text(out, hello->agent);
}

/* A text of at most capacity - 1 bytes at *at, which moves behind it. */
static sb_err read_text(char *ret, size_t capacity, size_t *at, sb_bytes raw, const char *name,
                        struct sb_diag *diag)
{
    if (*at >= raw.len || raw.data[*at] > raw.len - *at - 1) {
        return sb_fail(diag, SB_E_TRUNCATED, "hello: %s is cut", name);
    }
    size_t len = raw.data[*at];
    if (len >= capacity) {
        return sb_fail(diag, SB_E_RANGE, "hello: %s has more than %zu bytes", name, capacity - 1);
    }
    const uint8_t *bytes = raw.data + *at + 1;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] <= ' ' || bytes[i] > '~') {
            return sb_fail(diag, SB_E_SYNTAX, "hello: %s is not printable", name);
        }
    }
    memcpy(ret, bytes, len);
    ret[len] = '\0';
    *at += 1 + len;
    return SB_OK;
}

sb_err sb_hello_decode(struct sb_hello *ret_hello, sb_bytes raw, struct sb_diag *diag)
{
    struct sb_hello hello = {.version = 0};
    if (raw.len < SB_HELLO_BYTES_MIN) {
        return sb_fail(diag, SB_E_TRUNCATED, "hello: only %zu bytes", raw.len);
    }
    const uint8_t *at = raw.data;
    hello.version = be_load16(at);
    hello.domain.chain_id = be_load64(at + 2);
    memcpy(hello.domain.genesis_hash.b, at + 10, 32);
    memcpy(hello.node_id, at + 42, sizeof hello.node_id);
    memcpy(hello.signature, at + 74, sizeof hello.signature);
    size_t texts = 138;
    SB_TRY(read_text(hello.listen, sizeof hello.listen, &texts, raw, "listen address", diag));
    SB_TRY(read_text(hello.agent, sizeof hello.agent, &texts, raw, "agent", diag));
    if (texts != raw.len) {
        return sb_fail(diag, SB_E_TRAILING, "hello: %zu bytes too many", raw.len - texts);
    }
    *ret_hello = hello;
    return SB_OK;
}

size_t sb_hello_signed_text(uint8_t ret[SB_HELLO_SIGNED_BYTES_MAX], enum sb_noise_role role,
                            const uint8_t hash[SB_NOISE_HASH_BYTES],
                            const uint8_t static_public[SB_NOISE_KEY_BYTES])
{
    static const char k_domain[] = "samebit-p2p-identity-1";
    size_t len = sizeof k_domain - 1;
    memcpy(ret, k_domain, len);
    ret[len++] = role == SB_NOISE_INITIATOR ? 0 : 1;
    memcpy(ret + len, hash, SB_NOISE_HASH_BYTES);
    len += SB_NOISE_HASH_BYTES;
    memcpy(ret + len, static_public, SB_NOISE_KEY_BYTES);
    return len + SB_NOISE_KEY_BYTES;
}

/* ---- control ---- */

size_t sb_control_encode(uint8_t ret[SB_CONTROL_BYTES_MAX], const struct sb_control *control)
{
    ret[0] = (uint8_t)control->type;
    switch (control->type) {
    case SB_CONTROL_WELCOME:
        return 1;
    case SB_CONTROL_PING:
    case SB_CONTROL_PONG:
        be_store64(ret + 1, control->nonce);
        return 9;
    case SB_CONTROL_GOODBYE:
        ret[1] = control->reason;
        return 2;
    }
    SB_UNREACHABLE();
}

sb_err sb_control_decode(struct sb_control *ret_control, sb_bytes raw)
{
    static const uint8_t k_lengths[] = {[SB_CONTROL_WELCOME] = 1,
                                        [SB_CONTROL_PING] = 9,
                                        [SB_CONTROL_PONG] = 9,
                                        [SB_CONTROL_GOODBYE] = 2};
    if (raw.len == 0) {
        return SB_E_TRUNCATED;
    }
    if (raw.data[0] >= sizeof k_lengths) {
        return SB_E_TYPE;
    }
    if (raw.len != k_lengths[raw.data[0]]) {
        return SB_E_SHAPE;
    }
    *ret_control = (struct sb_control){.type = (enum sb_control_type)raw.data[0]};
    if (raw.len == 9) {
        ret_control->nonce = be_load64(raw.data + 1);
    } else if (raw.len == 2) {
        ret_control->reason = raw.data[1];
    }
    return SB_OK;
}

const char *sb_goodbye_text(uint8_t reason)
{
    static const char *const k_texts[SB_GOODBYE_COUNT] = {
        [SB_GOODBYE_STOPPING] = "it stops",
        [SB_GOODBYE_FULL] = "it has no room for more peers",
        [SB_GOODBYE_DUPLICATE] = "there is another connection between the two",
        [SB_GOODBYE_MISBEHAVED] = "it finds that this node misbehaved",
        [SB_GOODBYE_FEELER] = "it only looked whether the address answers",
        [SB_GOODBYE_SILENT] = "it heard nothing",
        [SB_GOODBYE_OVERLOADED] = "it cannot send or receive fast enough",
        [SB_GOODBYE_BANNED] = "it has banned this node"};
    return reason < SB_GOODBYE_COUNT ? k_texts[reason] : "for a reason not known here";
}

/* ---- peer exchange ---- */

#define ADDRESS_BYTES (SB_P2P_NODE_ID_BYTES + 16 + 2)

void sb_pex_encode(struct sb_buf *out, const struct sb_pex *pex)
{
    SB_ASSERT(pex->count <= SB_PEX_ADDRESSES_MAX);
    sb_buf_add_byte(out, (uint8_t)pex->type);
    if (pex->type == SB_PEX_REQUEST) {
        return;
    }
    sb_buf_add_byte(out, (uint8_t)pex->count);
    for (size_t i = 0; i < pex->count; i++) {
        const struct sb_pex_address *a = &pex->addresses[i];
        sb_buf_add(out, a->node_id, sizeof a->node_id);
        sb_buf_add(out, a->endpoint.ip, sizeof a->endpoint.ip);
        add_u16(out, a->endpoint.port);
    }
}

sb_err sb_pex_decode(struct sb_pex *ret_pex, sb_bytes raw)
{
    if (raw.len == 0) {
        return SB_E_TRUNCATED;
    }
    if (raw.data[0] == SB_PEX_REQUEST) {
        ret_pex->type = SB_PEX_REQUEST;
        ret_pex->count = 0;
        return raw.len == 1 ? SB_OK : SB_E_TRAILING;
    }
    if (raw.data[0] != SB_PEX_ADDRESSES) {
        return SB_E_TYPE;
    }
    if (raw.len < 2) {
        return SB_E_TRUNCATED;
    }
    size_t count = raw.data[1];
    if (count > SB_PEX_ADDRESSES_MAX) {
        return SB_E_RANGE;
    }
    if (raw.len != 2 + count * ADDRESS_BYTES) {
        return SB_E_SHAPE;
    }
    ret_pex->type = SB_PEX_ADDRESSES;
    ret_pex->count = count;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = raw.data + 2 + i * ADDRESS_BYTES;
        struct sb_pex_address *a = &ret_pex->addresses[i];
        memcpy(a->node_id, at, sizeof a->node_id);
        memcpy(a->endpoint.ip, at + sizeof a->node_id, sizeof a->endpoint.ip);
        a->endpoint.port = be_load16(at + sizeof a->node_id + sizeof a->endpoint.ip);
    }
    return SB_OK;
}
