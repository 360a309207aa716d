/* fuzz_trie_record.c: a trie record that decodes encodes to the same bytes and to well-formed RLP. */
#include "base/codec/rlp.h"
#include "base/util/assert.h"
#include "storage/trie_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_trie_node node;
    if (sb_trie_node_decode(&node, sb_span(data, size)) != SB_OK) {
        return 0;
    }
    uint8_t again[SB_TRIE_RECORD_BYTES_MAX], branch[SB_TRIE_BRANCH_RLP_MAX],
        ext[SB_TRIE_EXT_RLP_MAX];
    size_t len = sb_trie_node_encode(again, &node);
    SB_ASSERT(sb_span_equal(sb_span(again, len), sb_span(data, size)));
    len = sb_trie_branch_rlp(branch, &node);
    SB_ASSERT(len <= sizeof branch);
    if (node.ext.count != 0) {
        struct sb_trie_ref ref = sb_trie_ref_of(sb_span(branch, len));
        SB_ASSERT(sb_trie_ext_rlp(ext, &node.ext, &ref) <= sizeof ext);
    }
    return 0;
}
