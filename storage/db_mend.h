/* db_mend.h: repair of a database folder that the power left while RocksDB was opening it. */
#ifndef SB_STORAGE_DB_MEND_H
#define SB_STORAGE_DB_MEND_H

#include <stdbool.h>

#include "base/util/err.h"

/* sb_db_mend: when CURRENT names a manifest that is not there and an older one is, let CURRENT name that one again (see db_mend.c). With
 * read_only nothing is written and SB_E_CORRUPT says that starting the node mends it. SB_E_IO when CURRENT cannot be replaced. SB_OK in
 * all other cases: whatever else is wrong is for RocksDB to find. */
sb_err sb_db_mend(const char *dir, bool read_only, struct sb_diag *diag) SB_MUST_USE;

#endif
