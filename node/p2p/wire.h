/* wire.h: what the transport itself says: the hello of the handshake, and the messages of the channels CONTROL and PEX.
 *
 * Decoders are total: any bytes give a value or an error, and what decodes encodes to the same bytes. Spec: docs/spec/p2p.md 1.1, 4, 5. */
#ifndef SB_NODE_P2P_WIRE_H
#define SB_NODE_P2P_WIRE_H

#include "base/crypto/ed25519.h"
#include "base/util/buf.h"
#include "node/p2p/address.h"
#include "node/p2p/noise.h"
#include "node/p2p/p2p.h"

/* ---- hello ---- */

#define SB_HELLO_TEXT_BYTES_MAX 255
#define SB_HELLO_AGENT_BYTES    64 /* with the terminator */
#define SB_HELLO_BYTES_MIN      (2 + 8 + 32 + 32 + 64 + 1 + 1)
#define SB_HELLO_BYTES_MAX      (SB_HELLO_BYTES_MIN + SB_HELLO_TEXT_BYTES_MAX + SB_HELLO_AGENT_BYTES - 1)

struct sb_hello {
    uint16_t version;
    struct sb_chain_domain domain;
    uint8_t node_id[SB_P2P_NODE_ID_BYTES];
    uint8_t signature[SB_ED25519_SIGNATURE_BYTES];
    char listen[SB_HELLO_TEXT_BYTES_MAX + 1];
    char agent[SB_HELLO_AGENT_BYTES];
};

void sb_hello_encode(struct sb_buf *out, const struct sb_hello *hello);
/* SB_E_TRUNCATED, SB_E_TRAILING, SB_E_RANGE (a text that is too long), SB_E_SYNTAX (a byte that is not printable). */
sb_err sb_hello_decode(struct sb_hello *ret_hello, sb_bytes raw, struct sb_diag *diag) SB_MUST_USE;

/* The signed text: domain, role, handshake hash, static key. Returns its length. */
#define SB_HELLO_SIGNED_BYTES_MAX 128
size_t sb_hello_signed_text(uint8_t ret[SB_HELLO_SIGNED_BYTES_MAX], enum sb_noise_role role,
                            const uint8_t hash[SB_NOISE_HASH_BYTES],
                            const uint8_t static_public[SB_NOISE_KEY_BYTES]);

/* ---- control ---- */

enum sb_control_type {
    SB_CONTROL_WELCOME,
    SB_CONTROL_PING,
    SB_CONTROL_PONG,
    SB_CONTROL_GOODBYE,
};

enum sb_goodbye {
    SB_GOODBYE_STOPPING,
    SB_GOODBYE_FULL,
    SB_GOODBYE_DUPLICATE,
    SB_GOODBYE_MISBEHAVED,
    SB_GOODBYE_FEELER,
    SB_GOODBYE_SILENT,
    SB_GOODBYE_OVERLOADED,
    SB_GOODBYE_BANNED,
    SB_GOODBYE_COUNT, /* those that have a name; others may be received */
};

struct sb_control {
    enum sb_control_type type;
    uint64_t nonce; /* PING, PONG */
    uint8_t reason; /* GOODBYE */
};

#define SB_CONTROL_BYTES_MAX 9
/* sb_control_encode: returns the length. */
size_t sb_control_encode(uint8_t ret[SB_CONTROL_BYTES_MAX], const struct sb_control *control);
sb_err sb_control_decode(struct sb_control *ret_control, sb_bytes raw) SB_MUST_USE;
/* sb_goodbye_text: for the log. Static. */
const char *sb_goodbye_text(uint8_t reason);

/* ---- peer exchange ---- */

#define SB_PEX_ADDRESSES_MAX 250
#define SB_PEX_BYTES_MAX     (2 + SB_PEX_ADDRESSES_MAX * 50)

enum sb_pex_type {
    SB_PEX_REQUEST,
    SB_PEX_ADDRESSES,
};

struct sb_pex_address {
    uint8_t node_id[SB_P2P_NODE_ID_BYTES];
    struct sb_endpoint endpoint;
};

struct sb_pex {
    enum sb_pex_type type;
    size_t count;
    struct sb_pex_address addresses[SB_PEX_ADDRESSES_MAX];
};

void sb_pex_encode(struct sb_buf *out, const struct sb_pex *pex);
sb_err sb_pex_decode(struct sb_pex *ret_pex, sb_bytes raw) SB_MUST_USE;

#endif
