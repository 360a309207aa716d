/* test_hd_key.c: base/crypto/hd_key.h: vectors of BIP-39 and BIP-32, and the accounts that development nodes show. */
#include "base/crypto/hd_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codec/hex.h"

static const char k_dev_mnemonic[] = "test test test test test test test test test test test junk";

static void expect_hex(const uint8_t *data, size_t len, const char *hex)
{
    uint8_t expected[64];
    assert_true(len <= sizeof expected);
    assert_int_equal(sb_hex_decode(expected, len, hex, strlen(hex)), SB_OK);
    assert_memory_equal(data, expected, len);
}

static void seed_of_the_published_mnemonic_is_the_published_seed(void **state)
{
    (void)state;
    uint8_t seed[SB_HD_SEED_BYTES];
    const char *words = "abandon abandon abandon abandon abandon abandon abandon abandon abandon "
                        "abandon abandon about";
    assert_int_equal(sb_hd_seed(seed, words, "TREZOR"), SB_OK);
    expect_hex(seed, sizeof seed,
               "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e5349553"
               "1f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04");
    char longer[300];
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(sb_hd_seed(seed, longer, ""), SB_E_LIMIT);
    assert_int_equal(sb_hd_seed(seed, "caf\xc3\xa9", ""), SB_E_ARG);
}

/* BIP-32, test vector 1: m, m/0', m/0'/1, m/0'/1/2'. */
static void children_of_the_published_seed_are_the_published_keys(void **state)
{
    (void)state;
    struct sb_secp256k1 *ctx = sb_secp256k1_new(NULL);
    struct sb_hd_key key;
    uint8_t seed[16];
    for (uint8_t i = 0; i < sizeof seed; i++) {
        seed[i] = i;
    }
    assert_non_null(ctx);
    assert_int_equal(sb_hd_master(&key, sb_span(seed, sizeof seed)), SB_OK);
    expect_hex(key.secret, 32, "e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35");
    expect_hex(key.chain_code, 32,
               "873dff81c02f525623fd1fe5167eac3a55a049de3d314bb42ee227ffed37d508");
    assert_int_equal(sb_hd_child(&key, ctx, &key, SB_HD_HARDENED), SB_OK);
    expect_hex(key.secret, 32, "edb2e14f9ee77d26dd93b4ecede8d16ed408ce149b6cd80b0715a2d911a0afea");
    assert_int_equal(sb_hd_child(&key, ctx, &key, 1), SB_OK);
    expect_hex(key.secret, 32, "3c6cb8d0f6a264c91ea8b5030fadaa8e538b020f0a387421a12de9319dc93368");
    assert_int_equal(sb_hd_child(&key, ctx, &key, 2 | SB_HD_HARDENED), SB_OK);
    expect_hex(key.secret, 32, "cbce0d719ecf7431d88e6a89fa1483e02e35092af60c042b1df2ff59fa424dca");
    sb_secp256k1_free(ctx);
}

static void accounts_of_the_dev_mnemonic_are_the_well_known_ones(void **state)
{
    (void)state;
    static const char *const k_addresses[] = {"f39fd6e51aad88f6f4ce6ab8827279cfffb92266",
                                              "70997970c51812dc3a010c7d01b50e0d17dc79c8",
                                              "3c44cdddb6a900fa2b585dd299e03d12fa4293bc"};
    struct sb_secp256k1 *ctx = sb_secp256k1_new(NULL);
    uint8_t secret[32];
    assert_non_null(ctx);
    for (uint32_t i = 0; i < 3; i++) {
        sb_addr addr;
        assert_int_equal(sb_hd_account(secret, ctx, k_dev_mnemonic, i), SB_OK);
        assert_int_equal(sb_secp256k1_secret_address(&addr, ctx, secret), SB_OK);
        expect_hex(addr.b, sizeof addr.b, k_addresses[i]);
        if (i == 0) {
            expect_hex(secret, sizeof secret,
                       "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
        }
    }
    sb_secp256k1_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seed_of_the_published_mnemonic_is_the_published_seed),
        cmocka_unit_test(children_of_the_published_seed_are_the_published_keys),
        cmocka_unit_test(accounts_of_the_dev_mnemonic_are_the_well_known_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
