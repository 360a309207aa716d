/* light_block.c: the travelling form of a light block; see light_block.h. Spec: docs/spec/light-client.md, section 5. */
#include "consensus/light_block.h"

#include "base/codec/rlp.h"
#include "base/types/field.h"

void sb_light_block_encode(struct sb_buf *out, const struct sb_light_block_parts *parts)
{
    size_t list = sb_rlp_list_begin(out);
    sb_consensus_header_encode(out, &parts->header);
    sb_commit_encode(out, &parts->commit);
    sb_validator_set_encode(out, &parts->validators);
    sb_validator_set_encode(out, &parts->next_validators);
    sb_rlp_list_end(out, list);
}

sb_err sb_light_block_decode(struct sb_light_block_parts *ret_parts, struct sb_arena *arena,
                             sb_bytes raw, struct sb_diag *diag)
{
    if (raw.len > SB_LIGHT_BLOCK_BYTES_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "light block of %zu bytes, at most %zu are allowed",
                       raw.len, SB_LIGHT_BLOCK_BYTES_MAX);
    }
    struct sb_rlp in = sb_rlp_open(raw);
    struct sb_rlp f;
    struct sb_rlp_item header, commit, validators, next_validators;
    struct sb_light_block_parts parts;
    SB_FIELD("light block", "list", sb_rlp_read_list(&f, &in));
    SB_FIELD("light block", "end", sb_rlp_end(&in));
    SB_FIELD("light block", "header", sb_rlp_read_item(&header, &f));
    SB_FIELD("light block", "commit", sb_rlp_read_item(&commit, &f));
    SB_FIELD("light block", "validators", sb_rlp_read_item(&validators, &f));
    SB_FIELD("light block", "next validators", sb_rlp_read_item(&next_validators, &f));
    SB_FIELD("light block", "end", sb_rlp_end(&f));
    SB_TRY(sb_consensus_header_decode(&parts.header, header.raw, diag));
    SB_TRY(sb_commit_decode(&parts.commit, arena, commit.raw, diag));
    SB_TRY(sb_validator_set_decode(&parts.validators, arena, validators.raw, diag));
    SB_TRY(sb_validator_set_decode(&parts.next_validators, arena, next_validators.raw, diag));
    *ret_parts = parts;
    return SB_OK;
}
