/* noise.c: the state machine of noise.h.
 *
 * Names in comments (h, ck, k, n, MixHash, MixKey, EncryptAndHash, the tokens) are the specification's, revision 34, sections 5 and 7.
 *
 *   message 1  ->  e
 *   message 2  <-  e, ee, s, es
 *   message 3  ->  s, se */
#include "node/p2p/noise.h"

#include <sodium.h>
#include <string.h>

#include "base/crypto/aead.h"
#include "base/crypto/hkdf.h"
#include "base/crypto/x25519.h"
#include "base/util/assert.h"
#include "base/util/endian.h"

#define MESSAGES   3
#define TOKENS_MAX 5
/* The last nonce is reserved by the specification. */
#define NONCE_END UINT64_MAX

SB_STATIC_ASSERT(SB_AEAD_TAG_BYTES == SB_NOISE_TAG_BYTES, "tag size");
SB_STATIC_ASSERT(crypto_hash_sha256_BYTES == SB_NOISE_HASH_BYTES, "hash size");
SB_STATIC_ASSERT(SB_X25519_BYTES == SB_NOISE_KEY_BYTES, "key size");

enum token { TOKEN_END, TOKEN_E, TOKEN_S, TOKEN_EE, TOKEN_ES, TOKEN_SE };

static const enum token pattern[MESSAGES][TOKENS_MAX] = {
    {TOKEN_E, TOKEN_END},
    {TOKEN_E, TOKEN_EE, TOKEN_S, TOKEN_ES, TOKEN_END},
    {TOKEN_S, TOKEN_SE, TOKEN_END},
};
static const size_t overhead[MESSAGES] = {SB_NOISE_OVERHEAD_1, SB_NOISE_OVERHEAD_2,
                                          SB_NOISE_OVERHEAD_3};

/* Exactly one hash long, so that it is the first h as it stands. */
static const char protocol_name[] = "Noise_XX_25519_ChaChaPoly_SHA256";
SB_STATIC_ASSERT(sizeof protocol_name - 1 == SB_NOISE_HASH_BYTES, "protocol name");

/* ---- ciphers ---- */

static void make_nonce(uint8_t ret[SB_AEAD_NONCE_BYTES], uint64_t n)
{
    memset(ret, 0, SB_AEAD_NONCE_BYTES - 8);
    le_store64(ret + SB_AEAD_NONCE_BYTES - 8, n);
}

/* aead_encrypt, aead_decrypt: ret may be where the input is; ad is the associated data. */
static sb_err aead_encrypt(struct sb_noise_cipher *cipher, uint8_t *ret, sb_bytes plain,
                           sb_bytes ad)
{
    if (plain.len > SB_NOISE_PLAIN_BYTES_MAX || cipher->nonce == NONCE_END) {
        return SB_E_LIMIT;
    }
    SB_ASSERT(cipher->has_key);
    uint8_t nonce[SB_AEAD_NONCE_BYTES];
    make_nonce(nonce, cipher->nonce++);
    sb_aead_seal(ret, cipher->key, nonce, ad, plain);
    return SB_OK;
}

static sb_err aead_decrypt(struct sb_noise_cipher *cipher, uint8_t *ret, sb_bytes sealed,
                           sb_bytes ad)
{
    if (sealed.len < SB_NOISE_TAG_BYTES) {
        return SB_E_TRUNCATED;
    }
    if (sealed.len > SB_NOISE_MESSAGE_BYTES_MAX || cipher->nonce == NONCE_END) {
        return SB_E_LIMIT;
    }
    SB_ASSERT(cipher->has_key);
    uint8_t nonce[SB_AEAD_NONCE_BYTES];
    make_nonce(nonce, cipher->nonce);
    if (!sb_aead_open(ret, cipher->key, nonce, ad, sealed)) {
        return SB_E_CHECKSUM;
    }
    cipher->nonce++;
    return SB_OK;
}

sb_err sb_noise_seal(struct sb_noise_cipher *cipher, uint8_t *ret, sb_bytes plain)
{
    return aead_encrypt(cipher, ret, plain, sb_span(NULL, 0));
}

sb_err sb_noise_open(struct sb_noise_cipher *cipher, uint8_t *ret, sb_bytes sealed)
{
    return aead_decrypt(cipher, ret, sealed, sb_span(NULL, 0));
}

void sb_noise_cipher_wipe(struct sb_noise_cipher *cipher)
{
    sodium_memzero(cipher, sizeof *cipher);
}

/* ---- the symmetric state ---- */

static void mix_hash(struct sb_noise *noise, sb_bytes data)
{
    crypto_hash_sha256_state state;
    (void)crypto_hash_sha256_init(&state);
    (void)crypto_hash_sha256_update(&state, noise->hash, sizeof noise->hash);
    (void)crypto_hash_sha256_update(&state, data.data, data.len);
    (void)crypto_hash_sha256_final(&state, noise->hash);
}

/* hkdf2: two outputs of HKDF with this chaining key (4.3). ret_1 may be the chaining key itself. */
static void hkdf2(uint8_t ret_1[SB_NOISE_KEY_BYTES], uint8_t ret_2[SB_NOISE_KEY_BYTES],
                  const uint8_t chaining_key[SB_NOISE_KEY_BYTES], sb_bytes input)
{
    uint8_t both[2 * SB_NOISE_KEY_BYTES];
    (void)sb_hkdf_sha256(both, sizeof both, sb_span(chaining_key, SB_NOISE_KEY_BYTES), input,
                         sb_span(NULL, 0));
    memcpy(ret_1, both, SB_NOISE_KEY_BYTES);
    memcpy(ret_2, both + SB_NOISE_KEY_BYTES, SB_NOISE_KEY_BYTES);
    sodium_memzero(both, sizeof both);
}

static void mix_key(struct sb_noise *noise, const uint8_t input[SB_NOISE_KEY_BYTES])
{
    hkdf2(noise->chaining_key, noise->cipher.key, noise->chaining_key,
          sb_span(input, SB_NOISE_KEY_BYTES));
    noise->cipher.nonce = 0;
    noise->cipher.has_key = true;
}

/* encrypt_and_hash: into ret, with a tag once there is a key; moves *ret past what it wrote. */
static void encrypt_and_hash(struct sb_noise *noise, uint8_t **ret, sb_bytes plain)
{
    size_t len = plain.len;
    if (noise->cipher.has_key) {
        sb_err err =
            aead_encrypt(&noise->cipher, *ret, plain, sb_span(noise->hash, sizeof noise->hash));
        SB_ASSERT(err == SB_OK); /* lengths were checked, nonces are few */
        len += SB_NOISE_TAG_BYTES;
    } else {
        sb_copy(*ret, plain.data, plain.len);
    }
    mix_hash(noise, sb_span(*ret, len));
    *ret += len;
}

/* decrypt_and_hash: all of data into ret. */
static sb_err decrypt_and_hash(struct sb_noise *noise, uint8_t *ret, sb_bytes data)
{
    if (noise->cipher.has_key) {
        SB_TRY(aead_decrypt(&noise->cipher, ret, data, sb_span(noise->hash, sizeof noise->hash)));
    } else {
        sb_copy(ret, data.data, data.len);
    }
    mix_hash(noise, data);
    return SB_OK;
}

/* ---- the handshake ---- */

void sb_noise_public(uint8_t ret[SB_NOISE_KEY_BYTES], const uint8_t secret[SB_NOISE_KEY_BYTES])
{
    sb_x25519_public(ret, secret);
}

void sb_noise_init(struct sb_noise *ret_noise, enum sb_noise_role role, sb_bytes prologue,
                   const uint8_t static_secret[SB_NOISE_KEY_BYTES],
                   const uint8_t ephemeral_secret[SB_NOISE_KEY_BYTES])
{
    memset(ret_noise, 0, sizeof *ret_noise);
    ret_noise->role = role;
    memcpy(ret_noise->hash, protocol_name, sizeof ret_noise->hash);
    memcpy(ret_noise->chaining_key, protocol_name, sizeof ret_noise->chaining_key);
    mix_hash(ret_noise, prologue);
    memcpy(ret_noise->static_secret, static_secret, SB_NOISE_KEY_BYTES);
    memcpy(ret_noise->ephemeral_secret, ephemeral_secret, SB_NOISE_KEY_BYTES);
    sb_noise_public(ret_noise->static_public, static_secret);
    sb_noise_public(ret_noise->ephemeral_public, ephemeral_secret);
}

bool sb_noise_is_done(const struct sb_noise *noise)
{
    return !noise->failed && noise->next == MESSAGES;
}

/* is_turn: the next message exists, and is this side's to write (or to read). */
static bool is_turn(const struct sb_noise *noise, bool writes)
{
    bool is_initiators = noise->next % 2 == 0;
    bool is_own = is_initiators == (noise->role == SB_NOISE_INITIATOR);
    return !noise->failed && noise->next < MESSAGES && is_own == writes;
}

bool sb_noise_must_write(const struct sb_noise *noise)
{
    return is_turn(noise, true);
}

void sb_noise_wipe(struct sb_noise *noise)
{
    sodium_memzero(noise, sizeof *noise);
    noise->failed = true;
}

/* give_up: a failure is final. */
static sb_err give_up(struct sb_noise *noise, sb_err err, struct sb_diag *diag)
{
    sb_diag_set(diag, "handshake message %u: %s", noise->next + 1u, sb_err_text(err));
    sb_noise_wipe(noise);
    return err;
}

/* mix_dh: MixKey of the shared secret that a token names. */
static sb_err mix_dh(struct sb_noise *noise, enum token token)
{
    bool is_initiator = noise->role == SB_NOISE_INITIATOR;
    /* the first letter is the initiator's key, the second the responder's */
    bool own_is_static = token == (is_initiator ? TOKEN_SE : TOKEN_ES);
    bool remote_is_static = token == (is_initiator ? TOKEN_ES : TOKEN_SE);
    uint8_t shared[SB_NOISE_KEY_BYTES];
    bool is_good = sb_x25519(shared, own_is_static ? noise->static_secret : noise->ephemeral_secret,
                             remote_is_static ? noise->remote_static : noise->remote_ephemeral);
    if (is_good) {
        mix_key(noise, shared);
    }
    sodium_memzero(shared, sizeof shared);
    return is_good ? SB_OK : SB_E_REFUSED;
}

/* write_token: *ret moves past the key that it wrote, if any. */
static sb_err write_token(struct sb_noise *noise, uint8_t **ret, enum token token)
{
    switch (token) {
    case TOKEN_E:
        memcpy(*ret, noise->ephemeral_public, SB_NOISE_KEY_BYTES);
        mix_hash(noise, sb_span(*ret, SB_NOISE_KEY_BYTES));
        *ret += SB_NOISE_KEY_BYTES;
        return SB_OK;
    case TOKEN_S:
        encrypt_and_hash(noise, ret, sb_span(noise->static_public, SB_NOISE_KEY_BYTES));
        return SB_OK;
    case TOKEN_EE:
    case TOKEN_ES:
    case TOKEN_SE:
        return mix_dh(noise, token);
    case TOKEN_END:
        break;
    }
    SB_UNREACHABLE();
}

sb_err sb_noise_write(struct sb_noise *noise, struct sb_buf *out, sb_bytes payload,
                      struct sb_diag *diag)
{
    if (!is_turn(noise, true)) {
        return sb_fail(diag, SB_E_ARG, "handshake: it is not this side's turn to write");
    }
    size_t before = out->len;
    size_t extra = overhead[noise->next];
    if (payload.len > SB_NOISE_MESSAGE_BYTES_MAX - extra) {
        return give_up(noise, SB_E_LIMIT, diag);
    }
    uint8_t *at = sb_buf_grow(out, extra + payload.len);
    if (at == NULL) {
        return give_up(noise, SB_E_LIMIT, diag);
    }
    for (const enum token *token = pattern[noise->next]; *token != TOKEN_END; token++) {
        sb_err err = write_token(noise, &at, *token);
        if (err != SB_OK) {
            out->len = before;
            return give_up(noise, err, diag);
        }
    }
    encrypt_and_hash(noise, &at, payload);
    SB_ASSERT(at == out->data + out->len);
    noise->next++;
    return SB_OK;
}

/* read_token: *rest moves past the key that it read, if any. The message's length was checked. */
static sb_err read_token(struct sb_noise *noise, sb_bytes *rest, enum token token)
{
    size_t len = 0;
    switch (token) {
    case TOKEN_E:
        len = SB_NOISE_KEY_BYTES;
        memcpy(noise->remote_ephemeral, rest->data, len);
        mix_hash(noise, sb_span(rest->data, len));
        break;
    case TOKEN_S:
        len = SB_NOISE_KEY_BYTES + SB_NOISE_TAG_BYTES;
        SB_TRY(decrypt_and_hash(noise, noise->remote_static, sb_span(rest->data, len)));
        break;
    case TOKEN_EE:
    case TOKEN_ES:
    case TOKEN_SE:
        SB_TRY(mix_dh(noise, token));
        break;
    case TOKEN_END:
        SB_UNREACHABLE();
    }
    *rest = sb_span(rest->data + len, rest->len - len);
    return SB_OK;
}

/* read_message: tokens, then the payload, into out. out may have grown when it fails. */
static sb_err read_message(struct sb_noise *noise, struct sb_buf *out, sb_bytes message)
{
    size_t extra = overhead[noise->next];
    if (message.len > SB_NOISE_MESSAGE_BYTES_MAX) {
        return SB_E_LIMIT;
    }
    if (message.len < extra) {
        return SB_E_TRUNCATED;
    }
    uint8_t *payload = sb_buf_grow(out, message.len - extra);
    if (payload == NULL) {
        return SB_E_LIMIT;
    }
    sb_bytes rest = message;
    for (const enum token *token = pattern[noise->next]; *token != TOKEN_END; token++) {
        SB_TRY(read_token(noise, &rest, *token));
    }
    return decrypt_and_hash(noise, payload, rest);
}

sb_err sb_noise_read(struct sb_noise *noise, struct sb_buf *out, sb_bytes message,
                     struct sb_diag *diag)
{
    if (!is_turn(noise, false)) {
        return sb_fail(diag, SB_E_ARG, "handshake: it is not the peer's turn to write");
    }
    size_t before = out->len;
    sb_err err = read_message(noise, out, message);
    if (err != SB_OK) {
        out->len = before;
        return give_up(noise, err, diag);
    }
    noise->next++;
    return SB_OK;
}

const uint8_t *sb_noise_hash(const struct sb_noise *noise)
{
    return noise->hash;
}

const uint8_t *sb_noise_remote_static(const struct sb_noise *noise)
{
    uint8_t known_after = noise->role == SB_NOISE_INITIATOR ? 2 : 3;
    return !noise->failed && noise->next >= known_after ? noise->remote_static : NULL;
}

void sb_noise_split(struct sb_noise *noise, struct sb_noise_cipher *ret_send,
                    struct sb_noise_cipher *ret_receive)
{
    SB_ASSERT(sb_noise_is_done(noise) && noise->cipher.has_key);
    struct sb_noise_cipher initiators = {.has_key = true};
    struct sb_noise_cipher responders = {.has_key = true};
    hkdf2(initiators.key, responders.key, noise->chaining_key, sb_span(NULL, 0));
    *ret_send = noise->role == SB_NOISE_INITIATOR ? initiators : responders;
    *ret_receive = noise->role == SB_NOISE_INITIATOR ? responders : initiators;
    sb_noise_cipher_wipe(&initiators);
    sb_noise_cipher_wipe(&responders);
    sb_noise_cipher_wipe(&noise->cipher);
    sodium_memzero(noise->chaining_key, sizeof noise->chaining_key);
    sodium_memzero(noise->static_secret, sizeof noise->static_secret);
    sodium_memzero(noise->ephemeral_secret, sizeof noise->ephemeral_secret);
}
