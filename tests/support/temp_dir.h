/* temp_dir.h: folders of their own for tests that write files. */
#ifndef SB_TESTS_SUPPORT_TEMP_DIR_H
#define SB_TESTS_SUPPORT_TEMP_DIR_H

#include "tests/support/random.h"

#define TEMP_DIR_PATH_BYTES 512

/* temp_dir_make: a new empty folder below $TMPDIR or /tmp. Aborts when it cannot be made. */
void temp_dir_make(char ret[TEMP_DIR_PATH_BYTES]);
/* temp_dir_copy: copy all files below `from` (folders too) into `to`, which is made. */
void temp_dir_copy(const char *to, const char *from);
/* temp_dir_remove: remove a folder with all that is in it. */
void temp_dir_remove(const char *path);
/* temp_dir_damage: in one random file that is not empty, flip a bit, zero some bytes, or cut the end off. */
void temp_dir_damage(const char *path, struct sb_random *random);

#endif
