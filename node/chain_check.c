/* chain_check.c: does a stored block hold together? Asked of the head at every start, and of all blocks by `samebit verify`.
 *
 *      stored header + body = the payload  <--payload hash--  consensus block  <--id--  commit: > 2/3 of the power, valid signatures
 *                                                               |
 *                                                               +--last block id--> the consensus block before it
 *      mixHash  <--randomness proof of the proposer--  mixHash before it */
#include "base/crypto/keccak.h"
#include "node/chain_impl.h"

sb_err sb_chain_load_consensus(struct sb_consensus_block *ret_block, struct sb_arena *arena,
                               struct sb_chain *chain, uint64_t number, struct sb_diag *diag)
{
    sb_bytes raw;
    SB_TRY(sb_store_consensus_block(&raw, arena, chain->store, number));
    return sb_consensus_block_decode(ret_block, arena, raw, diag) == SB_OK ? SB_OK : SB_E_CORRUPT;
}

/* load_whole: the stored consensus block with its real payload put back. */
static sb_err load_whole(struct sb_consensus_block *ret_block, struct sb_arena *arena,
                         struct sb_chain *chain, uint64_t number, struct sb_diag *diag)
{
    sb_bytes header;
    sb_bytes body;
    sb_bytes payload;
    struct sb_consensus_block block;
    SB_TRY(sb_chain_load_consensus(&block, arena, chain, number, diag));
    SB_TRY(sb_store_header(&header, arena, chain->store, number));
    SB_TRY(sb_store_body(&body, arena, chain->store, number));
    SB_TRY(sb_chain_join_block(&payload, arena, header, body));
    block.payload = payload;
    *ret_block = block;
    return SB_OK;
}

sb_err sb_chain_encoded(sb_bytes *ret_encoded, struct sb_commit *ret_commit, struct sb_arena *arena,
                        struct sb_chain *chain, uint64_t number)
{
    struct sb_consensus_block block;
    struct sb_commit commit;
    sb_bytes raw_commit;
    if (number == 0 || number > sb_chain_head_number(chain)) {
        return SB_E_NOT_FOUND;
    }
    SB_TRY(load_whole(&block, arena, chain, number, NULL));
    SB_TRY(sb_store_commit_of(&raw_commit, arena, chain->store, number));
    if (sb_commit_decode(&commit, arena, raw_commit, NULL) != SB_OK) {
        return SB_E_CORRUPT;
    }
    struct sb_buf buf;
    sb_buf_init(&buf, SB_CONSENSUS_BLOCK_BYTES_MAX);
    sb_consensus_block_encode(&buf, &block);
    sb_err err = sb_buf_err(&buf);
    const uint8_t *copy = err == SB_OK ? sb_arena_dup(arena, sb_buf_bytes(&buf)) : NULL;
    if (copy != NULL) {
        *ret_encoded = sb_span(copy, buf.len);
        *ret_commit = commit;
    } else {
        err = SB_E_NOMEM;
    }
    sb_buf_fini(&buf);
    return err;
}

sb_err sb_chain_time(uint64_t *ret_time_ms, struct sb_chain *chain, uint64_t number)
{
    struct sb_chain_head head = sb_chain_head(chain);
    if (number == head.header.number || number == 0) {
        *ret_time_ms = number == 0 ? chain->genesis->timestamp * 1000 : head.time_ms;
        return SB_OK;
    }
    struct sb_arena arena;
    sb_arena_init(&arena, SB_CHAIN_BLOCK_ARENA_BYTES_MAX);
    struct sb_chain_past past;
    sb_err err = sb_chain_past(&past, &arena, chain, number);
    if (err == SB_OK) {
        *ret_time_ms = past.header.time_ms;
    }
    sb_arena_fini(&arena);
    return err;
}

static sb_err last_id_of(sb_hash *ret_id, struct sb_arena *arena, struct sb_chain *chain,
                         uint64_t number, const sb_hash *named, struct sb_diag *diag)
{
    if (number == 1) {
        *ret_id = chain->domain.genesis_hash;
        return SB_OK;
    }
    struct sb_chain_past past;
    sb_err err = sb_chain_past(&past, arena, chain, number - 1);
    if (err == SB_E_NOT_FOUND && number == sb_chain_oldest(chain)) {
        *ret_id = *named; /* nothing is known of the block before */
        return SB_OK;
    }
    if (err != SB_OK) {
        return sb_fail(diag, err, "the block before it: %s", sb_err_text(err));
    }
    *ret_id = sb_consensus_block_id(&past.header);
    return SB_OK;
}

/* load_set: the set of a height, whose hash a header names. */
static sb_err load_set(struct sb_validator_set *ret_set, struct sb_arena *arena,
                       struct sb_chain *chain, uint64_t height, const sb_hash *named,
                       struct sb_diag *diag)
{
    struct sb_validator_set set;
    SB_TRY(sb_chain_stored_set(&set, arena, chain, height));
    sb_hash hash = sb_validator_set_hash(&set);
    if (!sb_hash_equal(&hash, named)) {
        return sb_fail(diag, SB_E_ARG, "the header names another validator set for height %llu",
                       (unsigned long long)height);
    }
    *ret_set = set;
    return SB_OK;
}

sb_err sb_chain_inferences(const struct sb_inference_record **ret_records, size_t *ret_count,
                           struct sb_arena *arena, struct sb_chain *chain, uint64_t number)
{
    sb_bytes raw;
    sb_err err = sb_store_inferences(&raw, arena, chain->store, number);
    if (err == SB_E_NOT_FOUND) {
        *ret_count = 0;
        return SB_OK;
    }
    SB_TRY(err);
    err = sb_inference_list_decode(ret_records, ret_count, arena, raw, NULL);
    return err == SB_OK || err == SB_E_NOMEM ? err : SB_E_CORRUPT;
}

sb_err sb_chain_light_block(struct sb_light_block_parts *ret_parts, struct sb_arena *arena,
                            struct sb_chain *chain, uint64_t number)
{
    struct sb_light_block_parts parts;
    struct sb_consensus_block block;
    sb_bytes raw_commit;
    if (number == 0 || number > sb_chain_head_number(chain)) {
        return SB_E_NOT_FOUND;
    }
    SB_TRY(sb_chain_load_consensus(&block, arena, chain, number, NULL));
    SB_TRY(sb_store_commit_of(&raw_commit, arena, chain->store, number));
    if (sb_commit_decode(&parts.commit, arena, raw_commit, NULL) != SB_OK) {
        return SB_E_CORRUPT;
    }
    parts.header = block.header;
    SB_TRY(sb_chain_stored_set(&parts.validators, arena, chain, number));
    SB_TRY(sb_chain_stored_set(&parts.next_validators, arena, chain, number + 1));
    *ret_parts = parts;
    return SB_OK;
}

sb_err sb_chain_carried_commit_of(struct sb_commit *ret_commit, struct sb_arena *arena,
                                  struct sb_chain *chain, uint64_t number)
{
    struct sb_consensus_block next;
    if (number >= sb_chain_head_number(chain)) {
        return SB_E_NOT_FOUND;
    }
    SB_TRY(sb_chain_load_consensus(&next, arena, chain, number + 1, NULL));
    *ret_commit = next.last_commit;
    return SB_OK;
}

static sb_err check_inferences(struct sb_arena *arena, struct sb_chain *chain,
                               const struct sb_consensus_header *header, struct sb_diag *diag)
{
    const struct sb_inference_record *records = NULL;
    size_t count;
    sb_hash root;
    SB_TRY(sb_chain_inferences(&records, &count, arena, chain, header->height));
    SB_TRY(sb_inference_root(&root, arena, records, count));
    return sb_hash_equal(&root, &header->extension_root)
               ? SB_OK
               : sb_fail(diag, SB_E_ARG, "the inferences do not give the header's extension root");
}

/* check_randomness: the mixHash of a stored block follows from its proposer's proof and the mixHash before. */
static sb_err check_randomness(struct sb_arena *arena, struct sb_chain *chain,
                               const struct sb_consensus_header *h,
                               const struct sb_validator_set *set, struct sb_diag *diag)
{
    struct sb_header before, header;
    sb_bytes raw_before, raw;
    sb_hash mix;
    sb_err err = sb_store_header(&raw_before, arena, chain->store, h->height - 1);
    if (err == SB_E_NOT_FOUND && h->height == sb_chain_oldest(chain)) {
        return SB_OK; /* nothing is known of the block before: it was pruned */
    }
    SB_TRY(err);
    SB_TRY(sb_header_decode(&before, raw_before, diag));
    SB_TRY(sb_store_header(&raw, arena, chain->store, h->height));
    SB_TRY(sb_header_decode(&header, raw, diag));
    const struct sb_randomness_input input = {.height = h->height, .last = before.mix_hash};
    int proposer = sb_validator_set_find(set, &h->proposer);
    if (proposer < 0) {
        return sb_fail(diag, SB_E_ARG, "the proposer is not in the set");
    }
    SB_TRY(sb_randomness_verify(&mix, &input, &set->validators[proposer].key,
                                sb_span(h->randomness_proof, h->randomness_proof_len),
                                &chain->domain, &chain->verifier, diag));
    return sb_hash_equal(&mix, &header.mix_hash)
               ? SB_OK
               : sb_fail(diag, SB_E_ARG, "mixHash is not what the randomness proof gives");
}

static sb_err check_block(struct sb_consensus_header *ret_header, struct sb_arena *arena,
                          struct sb_chain *chain, uint64_t number, struct sb_diag *diag)
{
    struct sb_consensus_block block;
    struct sb_commit commit;
    sb_bytes raw_commit;
    sb_hash last_id;
    struct sb_validator_set set, next_set;
    SB_TRY(load_whole(&block, arena, chain, number, diag));
    SB_TRY(sb_consensus_block_check(&block, diag));
    if (block.header.height != number || block.header.chain_id != chain->domain.chain_id) {
        return sb_fail(diag, SB_E_ARG, "the consensus block is of another height or chain");
    }
    SB_TRY(last_id_of(&last_id, arena, chain, number, &block.header.last_block_id, diag));
    if (!sb_hash_equal(&last_id, &block.header.last_block_id)) {
        return sb_fail(diag, SB_E_ARG, "last block id is not that of the block before");
    }
    SB_TRY(load_set(&set, arena, chain, number, &block.header.validators_hash, diag));
    SB_TRY(load_set(&next_set, arena, chain, number + 1, &block.header.next_validators_hash, diag));
    SB_TRY(load_set(&set, arena, chain, number, &block.header.validators_hash, diag));
    SB_TRY(load_set(&next_set, arena, chain, number + 1, &block.header.next_validators_hash, diag));
    SB_TRY(sb_store_commit_of(&raw_commit, arena, chain->store, number));
    SB_TRY(sb_commit_decode(&commit, arena, raw_commit, diag));
    sb_hash id = sb_consensus_block_id(&block.header);
    SB_TRY(sb_commit_verify(&commit, number, &id, &set, &chain->domain, &chain->verifier, diag));
    SB_TRY(check_inferences(arena, chain, &block.header, diag));
    SB_TRY(check_randomness(arena, chain, &block.header, &set, diag));
    *ret_header = block.header;
    return SB_OK;
}

sb_err sb_chain_checked_consensus_header(struct sb_consensus_header *ret_header,
                                         struct sb_chain *chain, uint64_t number,
                                         struct sb_diag *diag)
{
    struct sb_arena arena;
    sb_arena_init(&arena, SB_CHAIN_BLOCK_ARENA_BYTES_MAX);
    struct sb_diag why = {.text = ""};
    sb_err err = check_block(ret_header, &arena, chain, number, &why);
    sb_arena_fini(&arena);
    if (err == SB_OK) {
        return SB_OK;
    }
    const char *text = why.text[0] != '\0' ? why.text : sb_err_text(err);
    bool is_failure = err == SB_E_IO || err == SB_E_NOMEM;
    return sb_fail(diag, is_failure ? err : SB_E_CORRUPT, "stored block %llu: %s",
                   (unsigned long long)number, text);
}

sb_err sb_chain_check_block(struct sb_chain *chain, uint64_t number, struct sb_diag *diag)
{
    struct sb_consensus_header header;
    if (number == 0) {
        sb_hash hash;
        struct sb_header genesis;
        SB_TRY(sb_chain_header(&genesis, &hash, chain, 0));
        return sb_hash_equal(&hash, &chain->domain.genesis_hash)
                   ? SB_OK
                   : sb_fail(diag, SB_E_CORRUPT, "stored block 0 is not the genesis block");
    }
    return sb_chain_checked_consensus_header(&header, chain, number, diag);
}
