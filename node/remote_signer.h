/* remote_signer.h: the node's side of a signer process: `samebit signer run` on a Unix-domain socket (docs/spec/signer.md).
 *
 *      driver ---> sb_remote_signer ---- hello, sign, prove ----> samebit signer run: key, journal, guard
 *                                   <--- welcome, signed, proved, refused ----
 *
 * The key is with the signer; this side knows the public key. Every question is answered within timeout_ms: a signer that is absent,
 * slow or of another chain is a refusal (SB_E_REFUSED), and the validator is silent for that step. The link is made again by the next
 * question. The wait is on the node's loop: keep timeout_ms well below the consensus timeouts. */
#ifndef SB_NODE_REMOTE_SIGNER_H
#define SB_NODE_REMOTE_SIGNER_H

#include "node/signer.h"

struct sb_remote_signer;

struct sb_remote_signer_options {
    const char *path; /* of the socket, copied */
    uint64_t timeout_ms;
    struct sb_chain_domain domain;
};

/* sb_remote_signer_new: connect once and learn the public key. SB_E_REFUSED: nobody answers, or it is the signer of another chain;
 * SB_E_LIMIT: the path is too long for a socket. */
sb_err sb_remote_signer_new(struct sb_remote_signer **ret_remote,
                            const struct sb_remote_signer_options *options,
                            struct sb_diag *diag) SB_MUST_USE;
void sb_remote_signer_free(struct sb_remote_signer *remote);
struct sb_pubkey sb_remote_signer_key(const struct sb_remote_signer *remote);
/* sb_remote_signer_table: valid while remote is. It keeps its own journal. */
struct sb_signer sb_remote_signer_table(struct sb_remote_signer *remote);

#endif
