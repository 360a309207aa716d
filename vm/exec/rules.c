/* rules.c: the table of limits by revision and the names of the revisions; see rules.h.
 *
 * Each limit starts with one revision (or is replaced by a later one); a revision takes the newest entry that is not above it.
 * Blob-parameter forks (EIP-7892) are no revisions: whoever knows the chain's schedule overwrites the blob fields. */
#include "vm/exec/rules.h"

#include <stddef.h>
#include <string.h>

#include "base/util/assert.h"

#define CODE_BYTES_MAX         24576u              /* EIP-170 */
#define INITCODE_BYTES_MAX     49152u              /* EIP-3860 */
#define TX_GAS_MAX             (UINT64_C(1) << 24) /* EIP-7825 */
#define BLOB_FRACTION_CANCUN   3338477u            /* EIP-4844 */
#define BLOB_FRACTION_PRAGUE   5007716u            /* EIP-7691 */
#define BLOBS_PER_BLOCK_CANCUN 6u
#define BLOBS_PER_BLOCK_PRAGUE 9u
#define BLOBS_TARGET_CANCUN    3u
#define BLOBS_TARGET_PRAGUE    6u
#define BLOBS_PER_TX_OSAKA     6u /* EIP-7594 */

/* The public suites write some revisions in two ways; the first is the one printed. */
static const char *const k_names[SB_REV_COUNT][2] = {
    [SB_REV_FRONTIER] = {"Frontier", NULL},
    [SB_REV_HOMESTEAD] = {"Homestead", NULL},
    [SB_REV_TANGERINE_WHISTLE] = {"EIP150", "TangerineWhistle"},
    [SB_REV_SPURIOUS_DRAGON] = {"EIP158", "SpuriousDragon"},
    [SB_REV_BYZANTIUM] = {"Byzantium", NULL},
    [SB_REV_CONSTANTINOPLE] = {"Constantinople", NULL},
    [SB_REV_PETERSBURG] = {"ConstantinopleFix", "Petersburg"},
    [SB_REV_ISTANBUL] = {"Istanbul", NULL},
    [SB_REV_BERLIN] = {"Berlin", NULL},
    [SB_REV_LONDON] = {"London", NULL},
    [SB_REV_PARIS] = {"Paris", "Merge"},
    [SB_REV_SHANGHAI] = {"Shanghai", NULL},
    [SB_REV_CANCUN] = {"Cancun", NULL},
    [SB_REV_PRAGUE] = {"Prague", NULL},
    [SB_REV_OSAKA] = {"Osaka", NULL},
};

struct sb_rules sb_rules_make(enum sb_profile profile, enum sb_revision revision, uint64_t chain_id)
{
    SB_ASSERT(revision < SB_REV_COUNT);
    struct sb_rules rules = {
        .profile = profile,
        .revision = revision,
        .chain_id = chain_id,
        .code_bytes_max = revision >= SB_REV_SPURIOUS_DRAGON ? CODE_BYTES_MAX : UINT64_MAX,
        .initcode_bytes_max = revision >= SB_REV_SHANGHAI ? INITCODE_BYTES_MAX : UINT64_MAX,
        .tx_gas_max = revision >= SB_REV_OSAKA ? TX_GAS_MAX : UINT64_MAX,
    };
    if (revision >= SB_REV_PRAGUE) {
        rules.blob_base_fee_update_fraction = BLOB_FRACTION_PRAGUE;
        rules.blobs_per_block_max = BLOBS_PER_BLOCK_PRAGUE;
        rules.blobs_per_block_target = BLOBS_TARGET_PRAGUE;
    } else if (revision >= SB_REV_CANCUN) {
        rules.blob_base_fee_update_fraction = BLOB_FRACTION_CANCUN;
        rules.blobs_per_block_max = BLOBS_PER_BLOCK_CANCUN;
        rules.blobs_per_block_target = BLOBS_TARGET_CANCUN;
    }
    rules.blobs_per_tx_max =
        revision >= SB_REV_OSAKA ? BLOBS_PER_TX_OSAKA : rules.blobs_per_block_max;
    return rules;
}

const char *sb_revision_name(enum sb_revision revision)
{
    SB_ASSERT(revision < SB_REV_COUNT);
    return k_names[revision][0];
}

bool sb_revision_parse(enum sb_revision *ret_revision, const char *name)
{
    for (size_t i = 0; i < SB_REV_COUNT; i++) {
        for (size_t j = 0; j < 2; j++) {
            if (k_names[i][j] != NULL && strcmp(k_names[i][j], name) == 0) {
                *ret_revision = (enum sb_revision)i;
                return true;
            }
        }
    }
    return false;
}
