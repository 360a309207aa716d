/* signer_server.h: the signer process: a key and its journal behind a Unix-domain socket (docs/spec/signer.md).
 *
 *      listen (mode 0600) -> up to 4 links -> hello: chain id, genesis hash -> sign: guard, journal, ed25519 -> signature or refusal
 *                                                                           -> prove: alpha, ecvrf          -> proof or refusal
 *
 * A refusal keeps the link. One node at a time: a second one is turned away while the first is linked, and a node that does not know
 * what was signed in a height gets no signature for the rest of it, since it would vote without its lock. One thread. */
#ifndef SB_NODE_SIGNER_SERVER_H
#define SB_NODE_SIGNER_SERVER_H

#include "base/util/log.h"
#include "node/signer.h"

#define SB_SIGNER_LINKS_MAX 4

struct sb_signer_server;

struct sb_signer_server_options {
    const char *path;                 /* of the socket, copied; a stale one is replaced */
    struct sb_signer signer;          /* what signs: the local one */
    const struct sb_journal *journal; /* where it notes what it signed, borrowed */
    struct sb_pubkey key;             /* its public key, ed25519 */
    struct sb_chain_domain domain;
    const struct sb_logger *log;
};

/* sb_signer_server_new: listen. SB_E_BUSY: another process answers there; SB_E_LIMIT: the path is too long; SB_E_IO. */
sb_err sb_signer_server_new(struct sb_signer_server **ret_server,
                            const struct sb_signer_server_options *options,
                            struct sb_diag *diag) SB_MUST_USE;
/* sb_signer_server_run: serve until stop_fd can be read (SB_OK) or the signer's journal fails. */
sb_err sb_signer_server_run(struct sb_signer_server *server, int stop_fd,
                            struct sb_diag *diag) SB_MUST_USE;
/* sb_signer_server_free: also removes the socket. */
void sb_signer_server_free(struct sb_signer_server *server);

#endif
