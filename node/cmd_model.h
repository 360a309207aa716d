/* cmd_model.h: the parts of `samebit model`: files on this machine (import, inspect, verify, run) and models on a chain (deploy,
 * list). */
#ifndef SB_NODE_CMD_MODEL_H
#define SB_NODE_CMD_MODEL_H

#include "base/codec/cid.h"
#include "base/util/buf.h"
#include "vm/tensor/model.h"

int sb_cmd_model_import(int argc, char **argv);
int sb_cmd_model_inspect(int argc, char **argv);
int sb_cmd_model_verify(int argc, char **argv);
int sb_cmd_model_run(int argc, char **argv);
int sb_cmd_model_deploy(int argc, char **argv);
int sb_cmd_model_list(int argc, char **argv);

/* A model file that the engine has accepted. Free with sb_model_file_fini; a zeroed one is allowed there. */
struct sb_model_file {
    struct sb_buf bytes;
    struct sb_model *model;
    sb_cid cid; /* its digest is the model's id on chain */
};

/* sb_model_file_load: SB_E_IO and its like, and the errors of sb_model_load; the message begins with the path. */
sb_err sb_model_file_load(struct sb_model_file *ret_file, const char *path,
                          struct sb_diag *diag) SB_MUST_USE;
void sb_model_file_fini(struct sb_model_file *file);

#endif
