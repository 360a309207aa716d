/* verifier_ed25519.c: the signature rule of the chain as a struct sb_verifier; see consensus.h. Part of sb_crypto (libsodium). */
#include "base/crypto/ed25519.h"
#include "base/types/consensus.h"

static bool verify(void *ctx, const struct sb_pubkey *key, sb_bytes message, sb_bytes signature)
{
    (void)ctx;
    return key->type == SB_KEY_ED25519 && key->len == SB_ED25519_PUBLIC_BYTES &&
           signature.len == SB_ED25519_SIGNATURE_BYTES &&
           sb_ed25519_verify(signature.data, message, key->bytes);
}

struct sb_verifier sb_verifier_ed25519(void)
{
    return (struct sb_verifier){.ctx = NULL, .verify = verify};
}
