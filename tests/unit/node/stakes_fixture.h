/* stakes_fixture.h: a real chain whose sets come from the staking contracts, with the transactions that move them.
 *
 *      stakes_genesis -> net_open -> step, steps, send, join ...      key i of the set is account i's */
#ifndef SB_TESTS_UNIT_NODE_STAKES_FIXTURE_H
#define SB_TESTS_UNIT_NODE_STAKES_FIXTURE_H

#include "base/codec/abi.h"
#include "base/util/endian.h"
#include "node/predeploys.h"
#include "tests/unit/node/validators_fixture.h"

#define COIN         UINT64_C(1000000000000000000)
#define WINDOW       10
#define JAIL_SECONDS 20
#define JOINER       4 /* key and account of one that is not in the genesis */
#define BLOCKS_MAX   128
#define GAS          3000000

/* One chain, with the blocks that were decided on it. */
struct stakes {
    struct net n;
    uint64_t nonces[NET_KEYS];
    sb_bytes blocks[BLOCKS_MAX]; /* in the arena of n */
    struct sb_commit commits[BLOCKS_MAX];
};

static struct stakes s;

static inline sb_addr account_addr(int account)
{
    struct sb_secp256k1 *keys = sb_secp256k1_new(NULL);
    uint8_t secret[32];
    sb_addr addr;
    assert_non_null(keys);
    fixture_secret(secret, account);
    assert_int_equal(sb_secp256k1_secret_address(&addr, keys, secret), SB_OK);
    sb_secp256k1_free(keys);
    return addr;
}

/* stakes_genesis: key i of the set, with a power of 10 + i, is account i's. */
static inline void stakes_genesis(struct net *n)
{
    static struct sb_genesis_operator operators[NET_VALIDATORS];
    net_init(n);
    for (size_t i = 0; i < NET_VALIDATORS; i++) {
        operators[i] = (struct sb_genesis_operator){
            .power = 10 + i, .addr = n->f.addrs[i], .commission_bps = 500, .moniker = "somebody"};
        memcpy(operators[i].key, n->keys[i].bytes, sizeof operators[i].key);
    }
    struct sb_predeploy_options options = {.governor = n->f.addrs[0],
                                           .deposit_per_byte = SB_DEPOSIT_PER_BYTE_DEFAULT,
                                           .operators = operators,
                                           .operator_count = NET_VALIDATORS,
                                           .staking = sb_staking_params_default()};
    options.staking.signed_window = WINDOW;
    options.staking.downtime_jail_seconds = JAIL_SECONDS;
    fixture_check(&n->f, sb_predeploys_add(&n->f.genesis, &n->f.arena, &options, &n->f.diag));
}

/* ---- blocks and transactions ---- */

static inline uint64_t head_number(void)
{
    return net_head(&s.n).height;
}

static inline void step(void)
{
    sb_bytes encoded = net_step(&s.n);
    uint64_t height = head_number();
    assert_true(height < BLOCKS_MAX);
    s.blocks[height] = encoded;
    s.commits[height] = s.n.last_commit;
    assert_int_equal(sb_chain_system_counters(s.n.f.chain).failures, 0);
}

static inline void steps(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        step();
    }
}

/* send_with: a transaction with this gas limit in a block of its own, which must succeed. Returns the height of the block. */
static inline uint64_t send_with(uint64_t gas, int account, const sb_addr *to, uint64_t coins,
                                 sb_bytes data)
{
    struct sb_tx tx = fixture_tx(&s.n.f, account, s.nonces[account]++);
    const sb_u256 coin = sb_u256_from_u64(COIN);
    const struct sb_rpc_block *block;
    tx.to = *to;
    assert_false(sb_u256_mul_u64(&tx.value, &coin, coins));
    tx.gas_limit = gas;
    tx.data = data;
    fixture_check(&s.n.f, fixture_add(&s.n.f, &tx, account, NULL));
    step();
    assert_int_equal(sb_chain_block_number(&block, s.n.f.chain, head_number()), SB_OK);
    assert_int_equal(block->block.tx_count, 1);
    assert_true(block->receipts[0].success);
    sb_chain_block_release(s.n.f.chain, block);
    return head_number();
}

static inline uint64_t send(int account, const sb_addr *to, uint64_t coins, sb_bytes data)
{
    return send_with(GAS, account, to, coins, data);
}

static inline sb_bytes take(struct sb_buf *buf)
{
    assert_int_equal(sb_buf_err(buf), SB_OK);
    const uint8_t *copy = sb_arena_dup(&s.n.f.arena, sb_buf_bytes(buf));
    assert_non_null(copy);
    sb_bytes bytes = sb_span(copy, buf->len);
    sb_buf_fini(buf);
    return bytes;
}

static inline uint64_t call_staking(int account, uint64_t coins, const char *signature,
                                    const sb_addr *argument, const sb_u256 *number)
{
    const sb_addr staking = sb_system_addr(SB_STAKING_ADDR_LOW);
    struct sb_abi_writer w;
    struct sb_buf buf;
    sb_buf_init(&buf, 256);
    sb_abi_put_selector(&buf, sb_abi_selector(signature));
    sb_abi_begin(&w, &buf, number != NULL ? 2 : 1);
    sb_abi_put_addr(&w, argument);
    if (number != NULL) {
        sb_abi_put_u256(&w, number);
    }
    sb_abi_end(&w);
    return send(account, &staking, coins, take(&buf));
}

static inline void put_proof(uint8_t ret_signature[64], int account, size_t key)
{
    static const char k_prefix[] = "samebit/validator-key";
    const struct sb_chain_domain *domain = sb_chain_domain(s.n.f.chain);
    const sb_addr operator_addr = account_addr(account);
    uint8_t message[sizeof k_prefix - 1 + 8 + 32 + 20];
    uint8_t *at = message + sizeof k_prefix - 1;
    memcpy(message, k_prefix, sizeof k_prefix - 1);
    be_store64(at, domain->chain_id);
    memcpy(at + 8, domain->genesis_hash.b, 32);
    memcpy(at + 40, operator_addr.b, 20);
    sb_ed25519_sign(ret_signature, s.n.secrets[key], sb_span(message, sizeof message));
}

/* create_validator: with this stake. Returns the height. */
static inline uint64_t create_validator(int account, size_t key, uint64_t coins)
{
    const sb_addr staking = sb_system_addr(SB_STAKING_ADDR_LOW);
    struct sb_abi_writer w, description;
    struct sb_buf buf;
    uint8_t proof[64];
    const sb_u256 least = sb_u256_from_u64(COIN);
    put_proof(proof, account, key);
    sb_buf_init(&buf, 4096);
    sb_abi_put_selector(
        &buf,
        sb_abi_selector("createValidator(bytes32,bytes,(string,string,string,string),uint16,uint16,"
                        "uint16,uint256)"));
    sb_abi_begin(&w, &buf, 7);
    sb_abi_put_word(&w, s.n.keys[key].bytes);
    sb_abi_put_bytes(&w, sb_span(proof, sizeof proof));
    sb_abi_put_tuple(&description, &w, 4);
    for (int i = 0; i < 4; i++) {
        sb_abi_put_bytes(&description, sb_span_str("text"));
    }
    sb_abi_end(&description);
    sb_abi_put_u64(&w, 500);
    sb_abi_put_u64(&w, 1000);
    sb_abi_put_u64(&w, 100);
    sb_abi_put_u256(&w, &least);
    sb_abi_end(&w);
    return send(account, &staking, coins, take(&buf));
}

/* join: a fifth validator, of 20 coins. Returns the height of the block that holds it. */
static inline uint64_t join(void)
{
    const sb_addr newcomer = account_addr(JOINER);
    (void)send(0, &newcomer, 50, sb_span(NULL, 0));
    return create_validator(JOINER, JOINER, 20);
}

#endif
