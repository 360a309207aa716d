/* artifact.h: a compiled contract: the JSON that solc, Hardhat and contracts/build.mjs write ("abi", "bytecode"), and what it makes
 * readable: revert reasons and events. */
#ifndef SB_NODE_ARTIFACT_H
#define SB_NODE_ARTIFACT_H

#include <jansson.h>

#include "node/abi_text.h"
#include "node/rpc_client.h"

#define SB_ARTIFACT_FILE_BYTES_MAX ((size_t)32 << 20)

struct sb_artifact {
    json_t *root; /* owned */
    const json_t *abi;
};

/* sb_artifact_parse: SB_E_SYNTAX, SB_E_TYPE. Free with sb_artifact_fini; a zeroed one is allowed there. */
sb_err sb_artifact_parse(struct sb_artifact *ret_artifact, sb_bytes text,
                         struct sb_diag *diag) SB_MUST_USE;
sb_err sb_artifact_load(struct sb_artifact *ret_artifact, const char *path,
                        struct sb_diag *diag) SB_MUST_USE;
void sb_artifact_fini(struct sb_artifact *artifact);

/* sb_artifact_bytecode: append the creation code. SB_E_NOT_FOUND; SB_E_UNSUPPORTED when it has to be linked first. */
sb_err sb_artifact_bytecode(struct sb_buf *out, const struct sb_artifact *artifact,
                            struct sb_diag *diag) SB_MUST_USE;
/* sb_artifact_constructor: its inputs; none when the artifact has no constructor. */
sb_err sb_artifact_constructor(struct sb_abi_item *ret_item, const struct sb_artifact *artifact,
                               struct sb_diag *diag) SB_MUST_USE;
/* sb_artifact_function: by name, or by signature (result types are passed over) where names are overloaded. SB_E_NOT_FOUND with the nearest name. */
sb_err sb_artifact_function(struct sb_abi_item *ret_item, const struct sb_artifact *artifact,
                            const char *name, struct sb_diag *diag) SB_MUST_USE;

/* sb_artifact_format_log: append "Event(name: value, ...)" for a log of a receipt; without an artifact (NULL), or for an unknown
 * event, its topics and data. */
void sb_artifact_format_log(struct sb_buf *out, const struct sb_artifact *artifact,
                            const json_t *log);
/* sb_artifact_format_revert: append what revert data says, by the artifact's errors (NULL allowed) and those of the system contracts
 * and precompiles. */
void sb_artifact_format_revert(struct sb_buf *out, const struct sb_artifact *artifact,
                               sb_bytes data);

/* sb_artifact_explain: what a call through the client failed with. When the node refused it with revert data, *diag says what the
 * contract said; returns err. */
sb_err sb_artifact_explain(const struct sb_rpc_client *client, const struct sb_artifact *artifact,
                           sb_err err, struct sb_diag *diag) SB_MUST_USE;

#endif
