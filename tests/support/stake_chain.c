/* stake_chain.c: the system contracts in our own VM; see stake_chain.h. */
#include "tests/support/stake_chain.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/codec/abi.h"
#include "base/crypto/ed25519.h"
#include "base/crypto/keccak.h"
#include "base/util/assert.h"
#include "base/util/endian.h"
#include "tests/support/fixture.h"

#define ARENA_BYTES  ((size_t)64 << 20)
#define INPUT_BYTES  ((size_t)1 << 20)
#define TX_GAS       UINT64_C(1000000000)
#define FIRST_MS     UINT64_C(1800000000000)
#define BLOCK_MS     UINT64_C(1000)
#define DEPLOYED_KEY "deployedBytecode"
#define PATH_BYTES   1024
#define GENESIS_HASH ((sb_hash){{0x9e, 0x5e, 0x51, 0x5a}})

const struct sb_staking_bounds sb_staking_params[SB_STAKING_PARAM_COUNT] = {
#define SB_STAKING_PARAM(field, json_name, default_value, min, max, text)                          \
    {json_name, default_value, min, max},
#include "base/types/staking_params.def"
#undef SB_STAKING_PARAM
};

/* ---- words, accounts, keys ---- */

sb_u256 sb_stake_coins(uint64_t coins)
{
    const sb_u256 coin = sb_u256_from_u64(SB_STAKE_COIN);
    sb_u256 wei;
    SB_ASSERT(!sb_u256_mul_u64(&wei, &coin, coins));
    return wei;
}

sb_u256 sb_stake_addr_word(const sb_addr *addr)
{
    return sb_u256_load_be(addr->b, sizeof addr->b);
}

static sb_addr numbered(uint8_t first, size_t i)
{
    sb_addr addr = {{first}};
    be_store64(addr.b + 12, i + 1);
    return addr;
}

sb_addr sb_stake_account(size_t i)
{
    return numbered(0xac, i);
}

void sb_stake_key(uint8_t ret_public[32], uint8_t ret_secret[64], size_t i)
{
    uint8_t seed[32] = {0x5e, 0xed};
    be_store64(seed + 24, i);
    sb_ed25519_keypair(ret_public, ret_secret, seed);
}

sb_addr sb_stake_consensus(size_t i)
{
    uint8_t public_key[32], secret[64];
    sb_stake_key(public_key, secret, i);
    const struct sb_pubkey key = sb_pubkey_ed25519(public_key);
    return sb_pubkey_address(&key);
}

/* ---- genesis ---- */

/* The code of an artifact. */
static sb_bytes code_of(struct sb_arena *arena, const char *name)
{
    char path[PATH_BYTES];
    const char *root = getenv("SAMEBIT_SOURCE_ROOT");
    int n = snprintf(path, sizeof path, "%s/contracts/artifacts/%s.json", root != NULL ? root : ".",
                     name);
    SB_ASSERT(n > 0 && (size_t)n < sizeof path);
    json_t *json = json_load_file(path, 0, NULL);
    sb_bytes code;
    if (json == NULL || !sb_fixture_bytes(&code, arena, json_object_get(json, DEPLOYED_KEY))) {
        fprintf(stderr, "%s cannot be read; SAMEBIT_SOURCE_ROOT names the folder of the sources\n",
                path);
        abort();
    }
    json_decref(json);
    return code;
}

static void set_slot(struct sb_stake_chain *c, uint16_t addr_low, uint64_t slot,
                     const sb_u256 *value)
{
    const sb_addr addr = sb_system_addr(addr_low);
    sb_hash key = {{0}};
    be_store64(key.b + 24, slot);
    sb_memory_state_set_slot(c->base, &addr, &key, value);
}

static void put_contracts(struct sb_stake_chain *c, const struct sb_stake_options *options,
                          const sb_u256 *stake)
{
    static const struct {
        uint16_t low;
        const char *name;
    } contracts[] = {{SB_STAKE_PARAMS, "Params"},
                     {SB_STAKING_ADDR_LOW, "Staking"},
                     {SB_DISTRIBUTION_ADDR_LOW, "Distribution"},
                     {SB_SLASHING_ADDR_LOW, "Slashing"}};
    const sb_u256 zero = sb_u256_zero();
    for (size_t i = 0; i < sizeof contracts / sizeof contracts[0]; i++) {
        const sb_addr addr = sb_system_addr(contracts[i].low);
        sb_memory_state_set_account(c->base, &addr, 1,
                                    contracts[i].low == SB_STAKING_ADDR_LOW ? stake : &zero,
                                    code_of(&c->arena, contracts[i].name));
    }
    for (size_t i = 0; i < SB_STAKING_PARAM_COUNT; i++) {
        const sb_u256 value = sb_u256_from_u64(
            options->params != NULL ? options->params[i] : sb_staking_params[i].value);
        set_slot(c, SB_STAKE_PARAMS, SB_STAKING_PARAM_SLOT + i, &value);
    }
    const sb_addr governor = sb_stake_account(0);
    const sb_u256 governor_word = sb_stake_addr_word(&governor);
    set_slot(c, SB_STAKE_PARAMS, SB_STAKING_PARAM_SLOT - 1, &governor_word);
}

static void system_call(struct sb_stake_chain *c, uint16_t to_low)
{
    const sb_addr to = sb_system_addr(to_low);
    struct sb_evm_result result;
    SB_ASSERT(sb_buf_err(&c->input) == SB_OK);
    SB_ASSERT(sb_executor_system_call(&result, c->x, &to, sb_buf_bytes(&c->input),
                                      INT64_C(1000000000), NULL, NULL) == SB_OK);
    SB_ASSERT(result.status == SB_EVM_SUCCESS);
}

static void call_genesis(struct sb_stake_chain *c, const struct sb_stake_options *options,
                         const sb_u256 *supply)
{
    struct sb_abi_writer w, items, item;
    sb_buf_reset(&c->input);
    sb_abi_put_selector(&c->input,
                        sb_abi_selector("genesis((address,bytes32,uint64,uint16,string)[])"));
    sb_abi_begin(&w, &c->input, 1);
    sb_abi_put_array(&items, &w, options->validator_count, 1);
    for (size_t i = 0; i < options->validator_count; i++) {
        uint8_t public_key[32], secret[64];
        const sb_addr operator= sb_stake_account(i);
        sb_stake_key(public_key, secret, i);
        sb_abi_put_tuple(&item, &items, 5);
        sb_abi_put_addr(&item, &operator);
        sb_abi_put_word(&item, public_key);
        sb_abi_put_u64(&item, options->powers[i]);
        sb_abi_put_u64(&item, options->commission_bps);
        sb_abi_put_bytes(&item, sb_span("genesis", 7));
        sb_abi_end(&item);
    }
    sb_abi_end(&items);
    sb_abi_end(&w);
    system_call(c, SB_STAKING_ADDR_LOW);

    sb_buf_reset(&c->input);
    sb_abi_put_selector(&c->input, sb_abi_selector("genesis(uint256)"));
    sb_abi_begin(&w, &c->input, 1);
    sb_abi_put_u256(&w, supply);
    sb_abi_end(&w);
    system_call(c, SB_DISTRIBUTION_ADDR_LOW);
}

/* The sets of heights 1 and 2. */
static void first_sets(struct sb_stake_chain *c, const struct sb_stake_options *options)
{
    static struct sb_validator validators[SB_VALIDATORS_MAX];
    struct sb_validator_set set;
    for (size_t i = 0; i < options->validator_count; i++) {
        uint8_t public_key[32], secret[64];
        sb_stake_key(public_key, secret, i);
        validators[i] = (struct sb_validator){.key = sb_pubkey_ed25519(public_key),
                                              .power = (int64_t)options->powers[i]};
    }
    SB_ASSERT(sb_validator_set_make(&set, validators, options->validator_count, NULL) == SB_OK);
    struct sb_stake_set *first = &c->sets[1];
    first->count = set.count;
    for (size_t i = 0; i < set.count; i++) {
        first->members[i].consensus = set.validators[i].address;
        first->members[i].power = set.validators[i].power;
    }
    c->sets[2] = *first;
}

static void begin_block(struct sb_stake_chain *c)
{
    c->env.number++;
    c->time_ms += c->block_ms;
    c->env.timestamp = c->time_ms / 1000;
    sb_executor_next(c->x);
}

struct sb_stake_chain *sb_stake_chain_new(const struct sb_stake_options *options)
{
    struct sb_stake_chain *c = calloc(1, sizeof *c);
    SB_ASSERT(c != NULL && options->validator_count <= SB_VALIDATORS_MAX);
    sb_arena_init(&c->arena, ARENA_BYTES);
    sb_buf_init(&c->input, INPUT_BYTES);
    c->base = sb_memory_state_new();
    c->rules = sb_rules_make(SB_PROFILE_SAMEBIT, SB_REV_OSAKA, SB_STAKE_CHAIN_ID);
    c->env = (struct sb_block_env){.gas_limit = TX_GAS,
                                   .coinbase = sb_system_addr(SB_DISTRIBUTION_ADDR_LOW)};
    c->time_ms = FIRST_MS;
    c->block_ms = BLOCK_MS;

    uint64_t staked = 0;
    for (size_t i = 0; i < options->validator_count; i++) {
        staked += options->powers[i];
    }
    const sb_u256 stake = sb_stake_coins(staked);
    const sb_u256 supply = sb_stake_coins(staked + options->coins * options->account_count);
    const sb_u256 each = sb_stake_coins(options->coins);
    for (size_t i = 0; i < options->account_count; i++) {
        const sb_addr account = sb_stake_account(i);
        sb_memory_state_set_account(c->base, &account, 0, &each, sb_span(NULL, 0));
    }
    put_contracts(c, options, &stake);
    const sb_hash genesis_hash = GENESIS_HASH;
    sb_memory_state_set_block_hash(c->base, 0, &genesis_hash);
    c->view = sb_memory_state_view(c->base);
    c->x = sb_executor_new(&c->view, &c->rules, &c->env, NULL);
    SB_ASSERT(c->x != NULL);
    call_genesis(c, options, &supply);
    first_sets(c, options);
    begin_block(c);
    return c;
}

void sb_stake_chain_free(struct sb_stake_chain *c)
{
    sb_executor_free(c->x);
    sb_memory_state_free(c->base);
    sb_buf_fini(&c->input);
    sb_arena_fini(&c->arena);
    free(c);
}

/* ---- transactions ---- */

void sb_stake_send(struct sb_stake_chain *c, const sb_addr *from, uint16_t to_low,
                   const sb_u256 *wei, sb_bytes input)
{
    static const struct sb_exec_relax relax = {.skip_nonce = true,
                                               .skip_eoa_check = true,
                                               .skip_base_fee = true,
                                               .skip_balance = true,
                                               .skip_gas_cap = true};
    struct sb_tx tx = {.type = SB_TX_FEE_MARKET,
                       .has_chain_id = true,
                       .chain_id = SB_STAKE_CHAIN_ID,
                       .gas_limit = TX_GAS,
                       .to = sb_system_addr(to_low),
                       .data = input};
    if (wei != NULL) {
        tx.value = *wei;
    }
    struct sb_tx_result result;
    SB_ASSERT(sb_executor_tx(&result, c->x, &tx, from, &relax) == SB_OK);
    SB_ASSERT(result.reject == SB_TX_ACCEPTED);
    c->ok = result.status == SB_EVM_SUCCESS;
    c->gas = result.gas_used;
    c->output = result.output;
    c->logs = result.logs;
    c->log_count = result.log_count;
}

static sb_bytes encode(struct sb_stake_chain *c, const char *signature, const sb_u256 *words,
                       size_t count)
{
    struct sb_abi_writer w;
    sb_buf_reset(&c->input);
    sb_abi_put_selector(&c->input, sb_abi_selector(signature));
    sb_abi_begin(&w, &c->input, count);
    for (size_t i = 0; i < count; i++) {
        sb_abi_put_u256(&w, &words[i]);
    }
    sb_abi_end(&w);
    SB_ASSERT(sb_buf_err(&c->input) == SB_OK);
    return sb_buf_bytes(&c->input);
}

void sb_stake_call(struct sb_stake_chain *c, const sb_addr *from, uint16_t to_low,
                   const sb_u256 *wei, const char *signature, const sb_u256 *words, size_t count)
{
    sb_stake_send(c, from, to_low, wei, encode(c, signature, words, count));
}

void sb_stake_view(struct sb_stake_chain *c, uint16_t to_low, const char *signature,
                   const sb_u256 *words, size_t count)
{
    static const sb_addr nobody = {{0x01}};
    sb_stake_call(c, &nobody, to_low, NULL, signature, words, count);
}

sb_bytes sb_stake_create_input(struct sb_stake_chain *c, const sb_addr *operator, size_t key,
                               const uint16_t commission[3], const sb_u256 *self_min)
{
    uint8_t public_key[32], secret[64], signature[64], memory[128];
    const sb_hash genesis_hash = GENESIS_HASH;
    struct sb_buf message = sb_buf_over(memory, sizeof memory);
    sb_stake_key(public_key, secret, key);
    sb_buf_add(&message, "samebit/validator-key", 21);
    be_store64(sb_buf_grow(&message, 8), SB_STAKE_CHAIN_ID);
    sb_buf_add(&message, genesis_hash.b, 32);
    sb_buf_add(&message, operator->b, 20);
    sb_ed25519_sign(signature, secret, sb_buf_bytes(&message));

    struct sb_abi_writer w, description;
    sb_buf_reset(&c->input);
    sb_abi_put_selector(&c->input, sb_abi_selector("createValidator(bytes32,bytes,(string,string,"
                                                   "string,string),uint16,uint16,uint16,uint256)"));
    sb_abi_begin(&w, &c->input, 7);
    sb_abi_put_word(&w, public_key);
    sb_abi_put_bytes(&w, sb_span(signature, sizeof signature));
    sb_abi_put_tuple(&description, &w, 4);
    sb_abi_put_bytes(&description, sb_span("validator", 9));
    for (size_t i = 0; i < 3; i++) {
        sb_abi_put_bytes(&description, sb_span(NULL, 0));
    }
    sb_abi_end(&description);
    for (size_t i = 0; i < 3; i++) {
        sb_abi_put_u64(&w, commission[i]);
    }
    sb_abi_put_u256(&w, self_min);
    sb_abi_end(&w);
    return sb_buf_bytes(&c->input);
}

void sb_stake_create(struct sb_stake_chain *c, const sb_addr *from, size_t key, const sb_u256 *wei,
                     const uint16_t commission[3], const sb_u256 *self_min)
{
    sb_stake_send(c, from, SB_STAKING_ADDR_LOW, wei,
                  sb_stake_create_input(c, from, key, commission, self_min));
}

/* ---- the end of a block ---- */

static struct sb_stake_set *set_slot_of(struct sb_stake_chain *c, uint64_t height)
{
    return &c->sets[height % SB_STAKE_SETS];
}

const struct sb_stake_set *sb_stake_set_at(const struct sb_stake_chain *c, uint64_t height)
{
    return &c->sets[height % SB_STAKE_SETS];
}

static void take_set(struct sb_stake_chain *c)
{
    struct sb_stake_set *next = set_slot_of(c, c->env.number + 2);
    *next = *set_slot_of(c, c->env.number + 1);
    if (!c->outcome.has_set) {
        return;
    }
    next->count = c->outcome.set_count;
    for (size_t i = 0; i < next->count; i++) {
        const struct sb_pubkey key = sb_pubkey_ed25519(c->outcome.set[i].key);
        next->members[i].consensus = sb_pubkey_address(&key);
        next->members[i].power = c->outcome.set[i].power;
    }
}

void sb_stake_end(struct sb_stake_chain *c, bool (*present)(void *ctx, const sb_addr *consensus),
                  void *ctx, const struct sb_system_evidence *evidence, size_t evidence_count)
{
    static struct sb_system_vote votes[SB_VALIDATORS_MAX];
    const uint64_t height = c->env.number;
    struct sb_system_input input = {.time_ms = c->time_ms,
                                    .proposer = sb_stake_set_at(c, height)->members[0].consensus,
                                    .votes = votes,
                                    .evidence = evidence,
                                    .evidence_count = evidence_count};
    be_store64(input.rotation_hash.b, height);
    if (height >= 3) {
        const struct sb_stake_set *set = sb_stake_set_at(c, height - 2);
        for (size_t i = 0; i < set->count; i++) {
            const sb_addr *consensus = &set->members[i].consensus;
            votes[i] =
                (struct sb_system_vote){.validator = *consensus,
                                        .power = set->members[i].power,
                                        .present = present == NULL || present(ctx, consensus)};
        }
        input.vote_count = set->count;
    }
    sb_arena_reset(&c->arena);
    SB_ASSERT(sb_executor_end(&c->outcome, &c->arena, c->x, &input) == SB_OK);
    c->minted = sb_u256_add(&c->minted, &c->outcome.minted);
    take_set(c);
    begin_block(c);
}

/* ---- looking ---- */

sb_u256 sb_stake_balance(struct sb_stake_chain *c, const sb_addr *addr)
{
    return sb_overlay_balance(sb_executor_state(c->x), addr);
}

sb_u256 sb_stake_word(const struct sb_stake_chain *c, size_t i)
{
    sb_u256 word;
    SB_ASSERT(sb_abi_read_u256(&word, c->output, i) == SB_OK);
    return word;
}

bool sb_stake_reverted(const struct sb_stake_chain *c, const char *error)
{
    return !c->ok && c->output.len >= 4 && be_load32(c->output.data) == sb_abi_selector(error);
}

bool sb_stake_emitted(const struct sb_stake_chain *c, const char *event)
{
    const sb_hash topic = sb_keccak256(sb_span_str(event));
    for (size_t i = 0; i < c->log_count; i++) {
        if (c->logs[i].topic_count != 0 && sb_hash_equal(&c->logs[i].topics[0], &topic)) {
            return true;
        }
    }
    return false;
}
