/* consensus.h: consensus block, validators, votes, proposals, commits, evidence (docs/spec/consensus-block.md).
 *
 *   struct sb_consensus_block
 *   +------------------------------------------------------------------------------------+
 *   | header: ids and hashes; block id = keccak256(rlp(header))                          |
 *   |    last_commit_hash --------> last_commit       > 2/3 precommits for block H-1     |
 *   |    late_precommits_hash ----> late_precommits   of height H-2, arrived too late    |
 *   |    evidence_hash -----------> evidence          double votes, lunatics             |
 *   |    payload_hash ------------> payload           the Ethereum block, RLP            |
 *   +------------------------------------------------------------------------------------+
 *   encoded: rlp([header, last_commit, late_precommits, evidence, payload]), cut into parts of 64 KiB
 *
 * Every form here is consensus-critical and specified in docs/spec/consensus-block.md. All decoders are strict (canonical RLP, no
 * trailing bytes, encode(decode(b)) = b) and bounded; decoded lists live in the arena, payload borrows from the input.
 * Nothing here reads a clock or knows a signature library: verification is handed in as a function. */
#ifndef SB_BASE_TYPES_CONSENSUS_H
#define SB_BASE_TYPES_CONSENSUS_H

#include "base/types/hash.h"
#include "base/util/arena.h"
#include "base/util/buf.h"
#include "base/util/err.h"
#include "base/util/span.h"

/* Versions of the consensus header that this program knows; a chain begins with the first (docs/spec/consensus-block.md, section 10). */
#define SB_CONSENSUS_VERSION_FIRST 1
#ifndef SB_CONSENSUS_VERSION
#define SB_CONSENSUS_VERSION 1
#endif

/* Limits: nothing above them is decoded. */
#define SB_VALIDATORS_MAX             256
#define SB_PUBKEY_BYTES_MAX           96
#define SB_SIGNATURE_BYTES_MAX        96
#define SB_RANDOMNESS_PROOF_BYTES_MAX 96
#define SB_EVIDENCE_MAX               1024
#define SB_ROUND_MAX                  INT32_MAX
#define SB_TIME_MS_MAX                ((uint64_t)1 << 53)
#define SB_TOTAL_POWER_MAX            (INT64_MAX / 8)
#define SB_PART_BYTES                 ((size_t)65536)
#define SB_CONSENSUS_BLOCK_BYTES_MAX  ((size_t)10 * 1024 * 1024)
#define SB_PARTS_MAX                  160 /* SB_CONSENSUS_BLOCK_BYTES_MAX / SB_PART_BYTES */
#define SB_PART_PROOF_DEPTH_MAX       8
#define SB_PART_TREE_NODES_MAX        (2 * SB_PARTS_MAX + SB_PART_PROOF_DEPTH_MAX)

/* ---- keys and validators ---- */

enum sb_key_type {
    SB_KEY_ED25519 = 1, /* 32-byte keys, 64-byte signatures, libsodium's rule */
};

struct sb_pubkey {
    uint8_t type; /* enum sb_key_type; another value is carried but never verifies */
    uint8_t len;
    uint8_t bytes[SB_PUBKEY_BYTES_MAX];
};

struct sb_signature {
    uint8_t len; /* 0 = none */
    uint8_t bytes[SB_SIGNATURE_BYTES_MAX];
};

struct sb_validator {
    struct sb_pubkey key;
    int64_t power;   /* voting power, > 0 */
    sb_addr address; /* sb_pubkey_address(&key) */
};

/* Sorted by (power descending, address ascending); a validator's index is its place here. */
struct sb_validator_set {
    const struct sb_validator *validators; /* borrowed */
    size_t count;                          /* 1 to SB_VALIDATORS_MAX */
    int64_t total_power;                   /* <= SB_TOTAL_POWER_MAX */
};

struct sb_pubkey sb_pubkey_ed25519(const uint8_t bytes[32]);
bool sb_pubkey_equal(const struct sb_pubkey *a, const struct sb_pubkey *b);
/* sb_pubkey_address: the first 20 bytes of keccak256(rlp([type, bytes])). */
sb_addr sb_pubkey_address(const struct sb_pubkey *key);

/* sb_validator_set_make: fill in the addresses, sort the array in place and sum the power. The set borrows the array.
 * Returns SB_OK; SB_E_SHAPE for no validator or too many, SB_E_RANGE for power <= 0 or a total over the maximum, SB_E_EXISTS for the
 * same key twice, SB_E_TYPE for a key that is not ed25519 of 32 bytes. */
sb_err sb_validator_set_make(struct sb_validator_set *ret_set, struct sb_validator *validators,
                             size_t count, struct sb_diag *diag) SB_MUST_USE;
/* sb_validator_set_hash: keccak256(rlp([[type, key bytes, power], ...])) in the set's order. */
sb_hash sb_validator_set_hash(const struct sb_validator_set *set);
/* sb_validator_set_find: index of an address; -1 when absent. */
int sb_validator_set_find(const struct sb_validator_set *set, const sb_addr *address);
/* sb_validator_set_encode, _decode: rlp([[type, key bytes, power], ...]), as stored and sent. The order is checked. */
void sb_validator_set_encode(struct sb_buf *out, const struct sb_validator_set *set);
sb_err sb_validator_set_decode(struct sb_validator_set *ret_set, struct sb_arena *arena,
                               sb_bytes raw, struct sb_diag *diag) SB_MUST_USE;

/* sb_power_is_quorum: 3 * power > 2 * total. sb_power_is_third: 3 * power > total (f + 1). 0 <= power, total <= SB_TOTAL_POWER_MAX. */
bool sb_power_is_quorum(int64_t power, int64_t total);
bool sb_power_is_third(int64_t power, int64_t total);

/* ---- signed messages ---- */

/* What makes a signature belong to one chain. */
struct sb_chain_domain {
    uint64_t chain_id;
    sb_hash genesis_hash; /* hash of the genesis Ethereum header */
};

/* Largest sign bytes of any message. */
#define SB_SIGN_BYTES_MAX 256

enum sb_vote_type {
    SB_VOTE_PREVOTE = 1,
    SB_VOTE_PRECOMMIT = 2,
};

struct sb_vote {
    enum sb_vote_type type;
    uint64_t height;
    int32_t round;
    sb_hash block_id; /* all zero = nil */
    uint32_t validator_index;
    sb_addr validator_address;
    struct sb_signature signature;
};

static inline bool sb_vote_is_nil(const struct sb_vote *vote)
{
    return sb_hash_is_zero(&vote->block_id);
}

struct sb_proposal {
    uint64_t height;
    int32_t round;
    int32_t pol_round; /* round of the polka for this block, below round; -1 = none */
    sb_hash block_id;
    sb_hash parts_root;   /* sb_parts_root of the encoded block */
    uint32_t block_bytes; /* length of the encoded block, hence the number of parts */
    struct sb_signature signature;
};

/* Sign bytes: canonical RLP lists that open with "samebit/vote" or "samebit/proposal", chain id and genesis hash, and end with an
 * extension field, empty in this version. They name no validator: the key does. Return the length, at most SB_SIGN_BYTES_MAX. */
size_t sb_vote_sign_bytes(uint8_t ret[SB_SIGN_BYTES_MAX], const struct sb_chain_domain *domain,
                          const struct sb_vote *vote);
size_t sb_proposal_sign_bytes(uint8_t ret[SB_SIGN_BYTES_MAX], const struct sb_chain_domain *domain,
                              const struct sb_proposal *proposal);

void sb_vote_encode(struct sb_buf *out, const struct sb_vote *vote);
sb_err sb_vote_decode(struct sb_vote *ret_vote, sb_bytes raw, struct sb_diag *diag) SB_MUST_USE;
void sb_proposal_encode(struct sb_buf *out, const struct sb_proposal *proposal);
sb_err sb_proposal_decode(struct sb_proposal *ret_proposal, sb_bytes raw,
                          struct sb_diag *diag) SB_MUST_USE;

#define SB_RANDOMNESS_PROOF_BYTES 80 /* pi of ECVRF-EDWARDS25519-SHA512-TAI */
#define SB_RANDOMNESS_HASH_BYTES  64 /* its beta */

/* The rules of signatures and of proofs of randomness, handed in by the caller. Both must answer false for key types and lengths that
 * they do not know. */
struct sb_verifier {
    void *ctx;
    /* verify: true if signature is valid for message under key. */
    bool (*verify)(void *ctx, const struct sb_pubkey *key, sb_bytes message, sb_bytes signature);
    /* verify_randomness: true if proof is the key's for alpha; then beta is written. NULL where only signatures are asked about. */
    bool (*verify_randomness)(void *ctx, uint8_t ret_beta[SB_RANDOMNESS_HASH_BYTES],
                              const struct sb_pubkey *key, sb_bytes alpha, sb_bytes proof);
};

/* sb_verifier_ed25519: the chain's rules: ed25519 keys as base/crypto/ed25519.h and base/crypto/ecvrf.h accept them, nothing else. Part
 * of sb_crypto. */
struct sb_verifier sb_verifier_ed25519(void);

/* sb_vote_verify: the vote names a validator of the set by index and address, and its signature is valid.
 * SB_E_RANGE, SB_E_NOT_FOUND (index and address disagree) or SB_E_SIGNATURE otherwise. */
sb_err sb_vote_verify(const struct sb_vote *vote, const struct sb_validator_set *set,
                      const struct sb_chain_domain *domain, const struct sb_verifier *verifier,
                      struct sb_diag *diag) SB_MUST_USE;
/* sb_proposal_verify: the signature is valid under the proposer's key. */
sb_err sb_proposal_verify(const struct sb_proposal *proposal, const struct sb_pubkey *proposer,
                          const struct sb_chain_domain *domain, const struct sb_verifier *verifier,
                          struct sb_diag *diag) SB_MUST_USE;

/* ---- commits ---- */

enum sb_commit_flag {
    SB_COMMIT_ABSENT = 0, /* no precommit of this validator; no signature */
    SB_COMMIT_BLOCK = 1,  /* precommit for the commit's block */
    SB_COMMIT_NIL = 2,    /* precommit for nil, in the same round */
};

struct sb_commit_sig {
    enum sb_commit_flag flag;
    struct sb_signature signature;
};

/* Precommits of one (height, round), one entry for each validator of that height's set, in its order. The commit of height 0 (what
 * block 1 carries) is all zero with sig_count 0 and encodes as the empty list. */
struct sb_commit {
    uint64_t height;
    int32_t round;
    sb_hash block_id;
    const struct sb_commit_sig *sigs;
    size_t sig_count;
};

void sb_commit_encode(struct sb_buf *out, const struct sb_commit *commit);
sb_err sb_commit_decode(struct sb_commit *ret_commit, struct sb_arena *arena, sb_bytes raw,
                        struct sb_diag *diag) SB_MUST_USE;
/* sb_commit_hash: keccak256 of the encoding. SB_E_NOMEM when the scratch buffer fails. */
sb_err sb_commit_hash(sb_hash *ret_hash, const struct sb_commit *commit) SB_MUST_USE;
/* sb_commit_vote: the precommit that entry `index` stands for (flag not absent), for checking or for gossip. */
struct sb_vote sb_commit_vote(const struct sb_commit *commit, const struct sb_validator_set *set,
                              size_t index);

/* sb_commit_verify: the commit is for (height, block_id), has one entry for each validator of the set, every signature in it is
 * valid, and those for the block hold more than 2/3 of the total power.
 * SB_E_ARG (other height or block), SB_E_SHAPE (entry count), SB_E_SIGNATURE (names the validator), SB_E_RANGE (too little power). */
sb_err sb_commit_verify(const struct sb_commit *commit, uint64_t height, const sb_hash *block_id,
                        const struct sb_validator_set *set, const struct sb_chain_domain *domain,
                        const struct sb_verifier *verifier, struct sb_diag *diag) SB_MUST_USE;

/* ---- the header ---- */

struct sb_consensus_header {
    uint64_t version; /* SB_CONSENSUS_VERSION_FIRST to SB_CONSENSUS_VERSION */
    uint64_t chain_id;
    uint64_t height; /* = number of the Ethereum block; the first is 1 */
    uint64_t
        time_ms; /* Unix time in milliseconds, above the last block's; genesis timestamp * 1000 counts as that of height 0 */
    sb_hash last_block_id; /* at height 1: the genesis hash */
    sb_hash validators_hash;
    sb_hash next_validators_hash;
    sb_hash params_hash;
    sb_hash last_commit_hash;
    sb_hash late_precommits_hash;
    sb_hash evidence_hash;
    sb_hash payload_hash; /* hash of the Ethereum header */
    sb_addr proposer;     /* sb_pubkey_address of the proposer */
    uint8_t randomness_proof[SB_RANDOMNESS_PROOF_BYTES_MAX];
    size_t randomness_proof_len; /* in a chain's block: SB_RANDOMNESS_PROOF_BYTES */
    sb_hash extension_root;      /* all zero: no extensions */
};

void sb_consensus_header_encode(struct sb_buf *out, const struct sb_consensus_header *header);
sb_err sb_consensus_header_decode(struct sb_consensus_header *ret_header, sb_bytes raw,
                                  struct sb_diag *diag) SB_MUST_USE;
/* sb_consensus_block_id: keccak256(rlp(header)). */
sb_hash sb_consensus_block_id(const struct sb_consensus_header *header);

/* ---- evidence ---- */

enum sb_evidence_kind {
    SB_EVIDENCE_DUPLICATE_VOTE = 1,
    SB_EVIDENCE_LUNATIC = 2,
};

/* What convicts a validator. In both kinds `a` is a vote that it must not have cast, and its signature:
 *   duplicate vote   a and b are of one (height, round, type) and for different blocks; a.block_id < b.block_id as bytes
 *   lunatic          a is a precommit for `header`, which contradicts the chain's history; the validator was in the set of common_height,
 *                    at or below the header's */
struct sb_evidence {
    enum sb_evidence_kind kind;
    struct sb_vote a;
    union {
        struct sb_vote b; /* duplicate vote */
        struct {          /* lunatic */
            uint64_t common_height;
            struct sb_consensus_header header;
        };
    };
};

/* sb_evidence_make: duplicate-vote evidence from two conflicting votes, in canonical order. SB_E_ARG if they do not conflict. */
sb_err sb_evidence_make(struct sb_evidence *ret_evidence, const struct sb_vote *x,
                        const struct sb_vote *y) SB_MUST_USE;
/* sb_evidence_make_lunatic: the vote's index is that in the set of common_height. SB_E_ARG unless it is a precommit for the header, and
 * 1 <= common_height <= the header's. Whether the header contradicts history is not looked at. */
sb_err sb_evidence_make_lunatic(struct sb_evidence *ret_evidence, uint64_t common_height,
                                const struct sb_vote *vote,
                                const struct sb_consensus_header *header) SB_MUST_USE;

/* sb_evidence_height: the height whose set the validator is of, by which the evidence ages, and for which stake answers: that of the
 * votes, or the common one. */
uint64_t sb_evidence_height(const struct sb_evidence *evidence);

/* sb_evidence_offence: what is punished, in bytes whose order is that of evidence in a block: height (8), round (4), type (1), validator
 * address (20); of lunatics the address alone, after zeros: a block names each once. */
#define SB_OFFENCE_BYTES 33
void sb_evidence_offence(uint8_t ret[SB_OFFENCE_BYTES], const struct sb_evidence *evidence);

/* sb_consensus_header_contradiction: of two headers of one height, the first field that differs among those that the chain below decides
 * alone: version, validators_hash, next_validators_hash, params_hash; NULL: none does. */
const char *sb_consensus_header_contradiction(const struct sb_consensus_header *a,
                                              const struct sb_consensus_header *b);

/* sb_evidence_verify: form and signatures, against the set of sb_evidence_height. Of a lunatic it remains to be shown that the header
 * contradicts history. */
sb_err sb_evidence_verify(const struct sb_evidence *evidence, const struct sb_validator_set *set,
                          const struct sb_chain_domain *domain, const struct sb_verifier *verifier,
                          struct sb_diag *diag) SB_MUST_USE;
void sb_evidence_encode(struct sb_buf *out, const struct sb_evidence *evidence);
sb_err sb_evidence_decode(struct sb_evidence *ret_evidence, sb_bytes raw,
                          struct sb_diag *diag) SB_MUST_USE;

/* ---- the block ---- */

struct sb_consensus_block {
    struct sb_consensus_header header;
    struct sb_commit last_commit;
    const struct sb_vote
        *late_precommits; /* of height - 2, ascending by validator_index, each at most once */
    size_t late_precommit_count;
    const struct sb_evidence *evidence;
    size_t evidence_count;
    sb_bytes payload; /* RLP of the Ethereum block, a list */
};

/* sb_late_precommits_hash, sb_evidence_list_hash: keccak256 of the encoded list. SB_E_NOMEM when the scratch buffer fails. */
sb_err sb_late_precommits_hash(sb_hash *ret_hash, const struct sb_vote *votes,
                               size_t count) SB_MUST_USE;
sb_err sb_evidence_list_hash(sb_hash *ret_hash, const struct sb_evidence *evidence,
                             size_t count) SB_MUST_USE;

void sb_consensus_block_encode(struct sb_buf *out, const struct sb_consensus_block *block);
sb_err sb_consensus_block_decode(struct sb_consensus_block *ret_block, struct sb_arena *arena,
                                 sb_bytes raw, struct sb_diag *diag) SB_MUST_USE;

/* sb_consensus_block_check: everything that holds between header and body without knowing the chain: version; hashes of last commit,
 * late precommits, evidence; heights of commit, late precommits and evidence; commit's block id = last_block_id; payload_hash, and the
 * payload's number = height, timestamp = time_ms / 1000, parentBeaconBlockRoot = last_block_id. SB_E_ARG names what differs. */
sb_err sb_consensus_block_check(const struct sb_consensus_block *block,
                                struct sb_diag *diag) SB_MUST_USE;

/* ---- randomness (docs/spec/randomness.md) ---- */

/* What a proposer's proof is of: nothing that it could choose. */
struct sb_randomness_input {
    uint64_t height; /* at least 1 */
    sb_hash last;    /* mixHash of height - 1 */
};

/* sb_randomness_alpha: the RLP list ["samebit/vrf", chain id, genesis hash, height, last]; returns the length. */
size_t sb_randomness_alpha(uint8_t ret[SB_SIGN_BYTES_MAX], const struct sb_chain_domain *domain,
                           const struct sb_randomness_input *input);
/* sb_randomness_mix: keccak256("samebit/randomness" || last || beta): mixHash of a height. An empty beta gives what stands for it in a
 * block that nobody has proposed. */
sb_hash sb_randomness_mix(const sb_hash *last, sb_bytes beta);
/* sb_randomness_verify: mixHash of input->height, when proof is the proposer's. SB_E_SHAPE: wrong length; SB_E_SIGNATURE: not its proof. */
sb_err sb_randomness_verify(sb_hash *ret_mix, const struct sb_randomness_input *input,
                            const struct sb_pubkey *proposer, sb_bytes proof,
                            const struct sb_chain_domain *domain,
                            const struct sb_verifier *verifier, struct sb_diag *diag) SB_MUST_USE;

/* ---- parts ---- */

/* The encoded block is cut into parts of SB_PART_BYTES (the last may be shorter). The root is the RFC 6962 tree over them with Keccak:
 * leaf = keccak256(0x00 || part), node = keccak256(0x01 || left || right), split at the largest power of two below the count. */
struct sb_part_proof {
    uint32_t index;
    uint32_t count;                            /* parts in all */
    uint8_t depth;                             /* siblings used */
    sb_hash siblings[SB_PART_PROOF_DEPTH_MAX]; /* from the leaf upwards */
};

/* sb_part_count: parts of a block of so many bytes; 0 for an empty block or one over SB_CONSENSUS_BLOCK_BYTES_MAX. */
uint32_t sb_part_count(size_t block_bytes);
/* sb_parts_root: root over the parts. SB_E_SHAPE when the block is empty or too long. */
sb_err sb_parts_root(sb_hash *ret_root, sb_bytes block) SB_MUST_USE;
/* sb_part_prove: the proof of one part. SB_E_SHAPE, SB_E_RANGE. */
sb_err sb_part_prove(struct sb_part_proof *ret_proof, sb_bytes block, uint32_t index) SB_MUST_USE;
/* sb_part_tree_make, sb_part_tree_prove: the proofs of all parts for one pass over the block. make: SB_E_SHAPE as sb_parts_root.
 * prove: index below tree->count. */
struct sb_part_tree {
    uint32_t count; /* parts */
    sb_hash nodes
        [SB_PART_TREE_NODES_MAX]; /* level by level: the leaves, then half as many rounded up, ... the root */
};
sb_err sb_part_tree_make(struct sb_part_tree *ret_tree, sb_bytes block) SB_MUST_USE;
struct sb_part_proof sb_part_tree_prove(const struct sb_part_tree *tree, uint32_t index);
/* sb_part_verify: part is number proof->index of proof->count under the root. */
bool sb_part_verify(const struct sb_part_proof *proof, sb_bytes part, const sb_hash *root);

#endif
