/* query_config.c: the chain's rules in the form of eth_config (EIP-7910).
 *
 * All forks of this chain lie at its genesis: `current` holds for ever, until a revision is scheduled, and `next` and `last` are null.
 * forkId is the checksum of EIP-2124 over the genesis hash alone. Blob transactions are invalid: the schedule allows none. */
#include "base/util/endian.h"
#include "node/query.h"
#include "vm/precompile/precompile.h"

/* Names of EIP-7910, and those of our own precompiles (docs/spec/precompiles.md). */
static const struct {
    uint16_t addr_low;
    const char *name;
} k_names[] = {
    {0x0001, "ECREC"},
    {0x0002, "SHA256"},
    {0x0003, "RIPEMD160"},
    {0x0004, "ID"},
    {0x0005, "MODEXP"},
    {0x0006, "BN254_ADD"},
    {0x0007, "BN254_MUL"},
    {0x0008, "BN254_PAIRING"},
    {0x0009, "BLAKE2F"},
    {0x000a, "KZG_POINT_EVALUATION"},
    {0x000b, "BLS12_G1ADD"},
    {0x000c, "BLS12_G1MSM"},
    {0x000d, "BLS12_G2ADD"},
    {0x000e, "BLS12_G2MSM"},
    {0x000f, "BLS12_PAIRING_CHECK"},
    {0x0010, "BLS12_MAP_FP_TO_G1"},
    {0x0011, "BLS12_MAP_FP2_TO_G2"},
    {0x0100, "P256VERIFY"},
    {0x5b01, "INFERENCE"},
    {0x5b02, "TENSOR"},
    {0x5b03, "FIXED_MATH"},
    {0x5b04, "MODEL_STORE"},
    {0x5b05, "ED25519"},
};

/* EIP-4788 and EIP-2935. */
static const sb_addr k_beacon_roots = {{0x00, 0x0f, 0x3d, 0xf6, 0xd7, 0x32, 0x80,
                                        0x7e, 0xf1, 0x31, 0x9f, 0xb7, 0xb8, 0xbb,
                                        0x85, 0x22, 0xd0, 0xbe, 0xac, 0x02}};
static const sb_addr k_history = {{0x00, 0x00, 0xf9, 0x08, 0x27, 0xf1, 0xc5, 0x3a, 0x10, 0xcb,
                                   0x7a, 0x02, 0x33, 0x5b, 0x17, 0x53, 0x20, 0x00, 0x29, 0x35}};

/* crc32: IEEE 802.3, reflected, as EIP-2124 uses it. */
static uint32_t crc32(sb_bytes data)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < data.len; i++) {
        crc ^= data.data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
        }
    }
    return ~crc;
}

static void put_addr(struct sb_json *out, const char *name, const sb_addr *addr)
{
    sb_json_key(out, name);
    sb_json_addr(out, addr);
}

static void put_precompile(void *ctx, const sb_addr *addr)
{
    uint16_t low = be_load16(addr->b + sizeof addr->b - sizeof low);
    for (size_t i = 0; i < sizeof k_names / sizeof k_names[0]; i++) {
        if (k_names[i].addr_low == low) {
            put_addr(ctx, k_names[i].name, addr);
        }
    }
}

static void put_blob_schedule(struct sb_json *out, const struct sb_rules *rules)
{
    sb_json_key(out, "blobSchedule");
    sb_json_object_begin(out);
    sb_json_key(out, "target");
    sb_json_u64(out, 0);
    sb_json_key(out, "max");
    sb_json_u64(out, 0);
    sb_json_key(out, "baseFeeUpdateFraction");
    sb_json_u64(out, rules->blob_base_fee_update_fraction);
    sb_json_object_end(out);
}

sb_err sb_query_config(void *ctx, struct sb_json *out)
{
    const struct sb_backend *b = ctx;
    const struct sb_rules *rules = sb_chain_rules(b->chain);
    const sb_hash *genesis = &sb_chain_domain(b->chain)->genesis_hash;
    uint8_t fork_id[4];
    be_store32(fork_id, crc32(sb_span(genesis->b, sizeof genesis->b)));
    sb_json_object_begin(out);
    sb_json_key(out, "current");
    sb_json_object_begin(out);
    sb_json_key(out, "activationTime");
    sb_json_u64(out, 0);
    put_blob_schedule(out, rules);
    sb_json_key(out, "chainId");
    sb_json_quantity_u64(out, rules->chain_id);
    sb_json_key(out, "forkId");
    sb_json_hex(out, sb_span(fork_id, sizeof fork_id));
    sb_json_key(out, "precompiles");
    sb_json_object_begin(out);
    sb_precompile_each(rules, put_precompile, out);
    sb_json_object_end(out);
    sb_json_key(out, "systemContracts");
    sb_json_object_begin(out);
    put_addr(out, "BEACON_ROOTS_ADDRESS", &k_beacon_roots);
    put_addr(out, "HISTORY_STORAGE_ADDRESS", &k_history);
    sb_json_object_end(out);
    sb_json_object_end(out);
    sb_json_key(out, "next");
    sb_json_null(out);
    sb_json_key(out, "last");
    sb_json_null(out);
    sb_json_object_end(out);
    return SB_OK;
}
