/* genesis.c: state, header and hash of block 0; see genesis.h. Spec: docs/spec/genesis.md. */
#include "base/types/genesis.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/types/state_root.h"
#include "base/util/assert.h"

/* Largest chain id whose EIP-155 `v` is still exact in a JavaScript number: wallets refuse larger ones. */
#define CHAIN_ID_MAX UINT64_C(4503599627370476)
/* [chain id, two hashes, address] at their longest. */
#define DOCUMENT_BYTES_MAX  128
#define PROTOCOL_NONCE      1
#define GENESIS_BASE_FEE    UINT64_C(1000000000)
#define GENESIS_ARENA_BYTES ((size_t)1 << 30)

/* ---- protocol accounts ---- */

/* Designated invalid instruction: solc checks that a callee has code, and nothing ever runs it. */
static const uint8_t k_precompile_code[] = {0xfe};
/* EIP-4788, beacon block roots: the runtime code of the specification. */
static const uint8_t k_beacon_roots_code[] = {
    0x33, 0x73, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0x14, 0x60, 0x4d, 0x57, 0x60, 0x20,
    0x36, 0x14, 0x60, 0x24, 0x57, 0x5f, 0x5f, 0xfd, 0x5b, 0x5f, 0x35, 0x80, 0x15, 0x60,
    0x49, 0x57, 0x62, 0x00, 0x1f, 0xff, 0x81, 0x06, 0x90, 0x81, 0x54, 0x14, 0x60, 0x3c,
    0x57, 0x5f, 0x5f, 0xfd, 0x5b, 0x62, 0x00, 0x1f, 0xff, 0x01, 0x54, 0x5f, 0x52, 0x60,
    0x20, 0x5f, 0xf3, 0x5b, 0x5f, 0x5f, 0xfd, 0x5b, 0x62, 0x00, 0x1f, 0xff, 0x42, 0x06,
    0x42, 0x81, 0x55, 0x5f, 0x35, 0x90, 0x62, 0x00, 0x1f, 0xff, 0x01, 0x55, 0x00};
/* EIP-2935, historical block hashes: the runtime code of the specification. */
static const uint8_t k_block_hashes_code[] = {
    0x33, 0x73, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0x14, 0x60, 0x46, 0x57, 0x60, 0x20,
    0x36, 0x03, 0x60, 0x42, 0x57, 0x5f, 0x35, 0x60, 0x01, 0x43, 0x03, 0x81, 0x11, 0x60,
    0x42, 0x57, 0x61, 0x1f, 0xff, 0x81, 0x43, 0x03, 0x11, 0x60, 0x42, 0x57, 0x61, 0x1f,
    0xff, 0x90, 0x06, 0x54, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3, 0x5b, 0x5f, 0x5f, 0xfd,
    0x5b, 0x5f, 0x35, 0x61, 0x1f, 0xff, 0x60, 0x01, 0x43, 0x03, 0x06, 0x55, 0x00};

struct protocol_account {
    sb_addr addr;
    const uint8_t *code;
    size_t code_len;
};

#define PRECOMPILE(low)                                                                            \
    {                                                                                              \
        {{[18] = 0x5b, [19] = (low)}}, k_precompile_code, sizeof k_precompile_code                 \
    }

/* Ascending by address. */
static const struct protocol_account k_protocol[] = {
    PRECOMPILE(0x01),
    PRECOMPILE(0x02),
    PRECOMPILE(0x03),
    PRECOMPILE(0x04),
    PRECOMPILE(0x05),
    {{{0x00, 0x00, 0xf9, 0x08, 0x27, 0xf1, 0xc5, 0x3a, 0x10, 0xcb,
       0x7a, 0x02, 0x33, 0x5b, 0x17, 0x53, 0x20, 0x00, 0x29, 0x35}},
     k_block_hashes_code,
     sizeof k_block_hashes_code},
    {{{0x00, 0x0f, 0x3d, 0xf6, 0xd7, 0x32, 0x80, 0x7e, 0xf1, 0x31,
       0x9f, 0xb7, 0xb8, 0xbb, 0x85, 0x22, 0xd0, 0xbe, 0xac, 0x02}},
     k_beacon_roots_code,
     sizeof k_beacon_roots_code},
};
#define PROTOCOL_COUNT (sizeof k_protocol / sizeof k_protocol[0])

static int compare_addrs(const sb_addr *a, const sb_addr *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}

static const struct sb_genesis_account *find_account(const struct sb_genesis *genesis,
                                                     const sb_addr *addr)
{
    size_t low = 0;
    size_t high = genesis->account_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_addrs(&genesis->accounts[middle].addr, addr);
        if (order == 0) {
            return &genesis->accounts[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static sb_err check_protocol_account(const struct sb_genesis_account *account,
                                     const struct protocol_account *p, struct sb_diag *diag)
{
    bool same = account->nonce == PROTOCOL_NONCE && sb_u256_is_zero(&account->balance) &&
                account->slot_count == 0 &&
                sb_span_equal(account->code, sb_span(p->code, p->code_len));
    if (!same) {
        return sb_fail(diag, SB_E_EXISTS,
                       "alloc: account 0x%02x%02x..%02x%02x belongs to the protocol; remove it, it "
                       "is added by itself",
                       p->addr.b[0], p->addr.b[1], p->addr.b[18], p->addr.b[19]);
    }
    return SB_OK;
}

static struct sb_genesis_account make_protocol_account(const struct protocol_account *p)
{
    return (struct sb_genesis_account){
        .addr = p->addr,
        .origin = SB_ORIGIN_PROTOCOL,
        .nonce = PROTOCOL_NONCE,
        .code = sb_span(p->code, p->code_len),
    };
}

sb_err sb_genesis_add_protocol_accounts(struct sb_genesis *genesis, struct sb_arena *arena,
                                        struct sb_diag *diag)
{
    struct sb_genesis_account *merged =
        sb_arena_array(arena, genesis->account_count + PROTOCOL_COUNT, sizeof *merged);
    if (merged == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "no memory for %zu accounts", genesis->account_count);
    }
    size_t count = 0;
    size_t at = 0;
    for (size_t i = 0; i < PROTOCOL_COUNT; i++) {
        while (at < genesis->account_count &&
               compare_addrs(&genesis->accounts[at].addr, &k_protocol[i].addr) < 0) {
            merged[count++] = genesis->accounts[at++];
        }
        if (at < genesis->account_count &&
            sb_addr_equal(&genesis->accounts[at].addr, &k_protocol[i].addr)) {
            SB_TRY(check_protocol_account(&genesis->accounts[at++], &k_protocol[i], diag));
        }
        merged[count++] = make_protocol_account(&k_protocol[i]);
    }
    while (at < genesis->account_count) {
        merged[count++] = genesis->accounts[at++];
    }
    genesis->accounts = merged;
    genesis->account_count = count;
    return SB_OK;
}

/* ---- forks ---- */

bool sb_chain_fork_active(const struct sb_chain_config *config, enum sb_fork fork, uint64_t number,
                          uint64_t timestamp)
{
    static const bool k_by_time[SB_FORK_COUNT] = {
#define SB_FORK_UNIT_BLOCK             false
#define SB_FORK_UNIT_TIME              true
#define SB_FORK(name, json_name, unit) SB_FORK_UNIT_##unit,
#include "base/types/forks.def"
#undef SB_FORK
    };
    SB_ASSERT((unsigned)fork < SB_FORK_COUNT);
    uint64_t from = config->forks[fork];
    return from != SB_FORK_NEVER && from <= (k_by_time[fork] ? timestamp : number);
}

/* ---- checks ---- */

static bool account_is_empty(const struct sb_genesis_account *a)
{
    return a->nonce == 0 && sb_u256_is_zero(&a->balance) && a->code.len == 0;
}

static sb_err check_accounts(const struct sb_genesis *genesis, struct sb_diag *diag)
{
    if (genesis->account_count > SB_GENESIS_ACCOUNTS_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "alloc: %zu accounts, at most %d are allowed",
                       genesis->account_count, SB_GENESIS_ACCOUNTS_MAX);
    }
    sb_u256 supply = sb_u256_zero();
    for (size_t i = 0; i < genesis->account_count; i++) {
        const struct sb_genesis_account *a = &genesis->accounts[i];
        if (i > 0 && compare_addrs(&genesis->accounts[i - 1].addr, &a->addr) >= 0) {
            return sb_fail(diag, SB_E_EXISTS, "alloc: account %zu is out of order or given twice",
                           i);
        }
        if (a->code.len > SB_GENESIS_CODE_BYTES_MAX) {
            return sb_fail(diag, SB_E_LIMIT,
                           "alloc: account %zu has %zu bytes of code, at most %d are allowed", i,
                           a->code.len, SB_GENESIS_CODE_BYTES_MAX);
        }
        if (genesis->is_samebit && account_is_empty(a)) {
            return sb_fail(diag, SB_E_ARG,
                           "alloc: account %zu has no nonce, balance or code; remove it", i);
        }
        if (sb_u256_add_carry(&supply, &supply, &a->balance)) {
            return sb_fail(diag, SB_E_RANGE, "alloc: the balances add up to 2^256 wei or more");
        }
    }
    return SB_OK;
}

static sb_err check_forks(const struct sb_genesis *genesis, struct sb_diag *diag)
{
    static const char *const k_names[SB_FORK_COUNT] = {
#define SB_FORK(name, json_name, unit) json_name,
#include "base/types/forks.def"
#undef SB_FORK
    };
    for (unsigned f = 0; f < SB_FORK_COUNT; f++) {
        bool later =
            genesis->config.forks[f] != SB_FORK_NEVER &&
            !sb_chain_fork_active(&genesis->config, (enum sb_fork)f, 0, genesis->timestamp);
        if (later) {
            return sb_fail(
                diag, SB_E_RANGE,
                "config.%s: %" PRIu64
                " lies after genesis; a samebit chain has all forks from the start, use 0",
                k_names[f], genesis->config.forks[f]);
        }
    }
    return SB_OK;
}

/* check_staking: a chain whose contracts make coins and share the fees. */
static sb_err check_staking(const struct sb_genesis *genesis, struct sb_diag *diag)
{
    static const sb_addr k_staking = {{[18] = 0x5b, [19] = 0x12}};
    static const sb_addr k_distribution = {{[18] = 0x5b, [19] = 0x13}};
    const struct sb_genesis_account *staking = find_account(genesis, &k_staking);
    if (staking == NULL || staking->code.len == 0) {
        return SB_OK;
    }
    if (!sb_addr_equal(&genesis->fee_recipient, &k_distribution)) {
        return sb_fail(diag, SB_E_ARG,
                       "samebit.feeRecipient: in a chain with staking the fees go to Distribution, "
                       "0x0000000000000000000000000000000000005b13");
    }
    sb_u256 supply = sb_u256_zero(); /* below 2^256: see check_accounts */
    for (size_t i = 0; i < genesis->account_count; i++) {
        supply = sb_u256_add(&supply, &genesis->accounts[i].balance);
    }
    return sb_u256_clz(&supply) >= 128
               ? SB_OK
               : sb_fail(diag, SB_E_RANGE,
                         "alloc: the balances add up to 2^128 wei or more, and a chain with "
                         "staking makes more coins");
}

static sb_err check_samebit(const struct sb_genesis *genesis, struct sb_diag *diag)
{
    if (genesis->config.chain_id == 0 || genesis->config.chain_id > CHAIN_ID_MAX) {
        return sb_fail(diag, SB_E_RANGE, "config.chainId: %" PRIu64 " is not in 1 to %" PRIu64,
                       genesis->config.chain_id, CHAIN_ID_MAX);
    }
    SB_TRY(check_forks(genesis, diag));
    if (genesis->timestamp > SB_TIME_MS_MAX / 1000) {
        return sb_fail(diag, SB_E_RANGE, "timestamp: %" PRIu64 " seconds is too late",
                       genesis->timestamp);
    }
    if (!sb_u256_is_zero(&genesis->difficulty)) {
        return sb_fail(diag, SB_E_RANGE, "difficulty: must be 0, there is no proof of work");
    }
    sb_err err = sb_params_check(&genesis->params, diag);
    if (err != SB_OK) {
        sb_diag_prefix(diag, "samebit.params");
        return err;
    }
    if (genesis->gas_limit != genesis->params.gas_limit) {
        return sb_fail(diag, SB_E_ARG,
                       "gasLimit: %" PRIu64 " differs from samebit.params.gasLimit, %" PRIu64,
                       genesis->gas_limit, genesis->params.gas_limit);
    }
    if (genesis->validators.count == 0) {
        return sb_fail(diag, SB_E_SHAPE, "samebit.validators: give at least one validator");
    }
    SB_TRY(check_staking(genesis, diag));
    if (sb_addr_is_zero(&genesis->fee_recipient)) {
        return sb_fail(
            diag, SB_E_ARG,
            "samebit.feeRecipient: the zero address would burn all fees, give an account");
    }
    if (!sb_addr_is_zero(&genesis->coinbase) &&
        !sb_addr_equal(&genesis->coinbase, &genesis->fee_recipient)) {
        return sb_fail(diag, SB_E_ARG, "coinbase: differs from samebit.feeRecipient; leave it out");
    }
    for (size_t i = 0; i < PROTOCOL_COUNT; i++) {
        const struct sb_genesis_account *account = find_account(genesis, &k_protocol[i].addr);
        if (account == NULL) {
            return sb_fail(diag, SB_E_NOT_FOUND, "alloc: protocol account 0x..%02x%02x is missing",
                           k_protocol[i].addr.b[18], k_protocol[i].addr.b[19]);
        }
        SB_TRY(check_protocol_account(account, &k_protocol[i], diag));
    }
    return SB_OK;
}

sb_err sb_genesis_check(const struct sb_genesis *genesis, struct sb_diag *diag)
{
    if (genesis->extra_data_len > SB_EXTRA_DATA_BYTES_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "extraData: %zu bytes, at most %d are allowed",
                       genesis->extra_data_len, SB_EXTRA_DATA_BYTES_MAX);
    }
    SB_TRY(check_accounts(genesis, diag));
    return genesis->is_samebit ? check_samebit(genesis, diag) : SB_OK;
}

/* ---- what follows from it ---- */

sb_hash sb_genesis_document_hash(const struct sb_genesis *genesis)
{
    uint8_t memory[DOCUMENT_BYTES_MAX];
    struct sb_buf buf = sb_buf_over(memory, sizeof memory);
    sb_hash validators = sb_validator_set_hash(&genesis->validators);
    sb_hash params = sb_params_hash(&genesis->params);
    size_t list = sb_rlp_list_begin(&buf);
    sb_rlp_put_u64(&buf, genesis->config.chain_id);
    sb_rlp_put_hash(&buf, &validators);
    sb_rlp_put_hash(&buf, &params);
    sb_rlp_put_addr(&buf, &genesis->fee_recipient);
    sb_rlp_list_end(&buf, list);
    SB_ASSERT(!buf.failed);
    return sb_keccak256(sb_buf_bytes(&buf));
}

sb_err sb_genesis_diff(struct sb_state_diff *ret_diff, struct sb_arena *arena,
                       const struct sb_genesis *genesis)
{
    struct sb_account_diff *accounts =
        sb_arena_array(arena, genesis->account_count, sizeof *accounts);
    if (accounts == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < genesis->account_count; i++) {
        const struct sb_genesis_account *a = &genesis->accounts[i];
        accounts[i] = (struct sb_account_diff){
            .addr = a->addr,
            .exists = true,
            .code_changed = a->code.len > 0,
            .nonce = a->nonce,
            .balance = a->balance,
            .code_hash = a->code.len > 0 ? sb_keccak256(a->code) : sb_hash_keccak_empty,
            .code = a->code,
            .slots = a->slots,
            .slot_count = a->slot_count,
        };
    }
    *ret_diff =
        (struct sb_state_diff){.accounts = accounts, .account_count = genesis->account_count};
    return SB_OK;
}

sb_err sb_genesis_state_root(sb_hash *ret_root, const struct sb_genesis *genesis)
{
    struct sb_arena arena;
    struct sb_state_diff diff;
    sb_arena_init(&arena, GENESIS_ARENA_BYTES);
    sb_err err = sb_genesis_diff(&diff, &arena, genesis);
    if (err == SB_OK) {
        err = sb_state_root_diff(ret_root, &diff);
    }
    sb_arena_fini(&arena);
    return err;
}

static unsigned header_field_count(const struct sb_genesis *genesis)
{
    const struct sb_chain_config *config = &genesis->config;
    if (genesis->is_samebit ||
        sb_chain_fork_active(config, SB_FORK_PRAGUE, 0, genesis->timestamp)) {
        return SB_HEADER_FIELDS_PRAGUE;
    }
    if (sb_chain_fork_active(config, SB_FORK_CANCUN, 0, genesis->timestamp)) {
        return SB_HEADER_FIELDS_CANCUN;
    }
    if (sb_chain_fork_active(config, SB_FORK_SHANGHAI, 0, genesis->timestamp)) {
        return SB_HEADER_FIELDS_SHANGHAI;
    }
    if (sb_chain_fork_active(config, SB_FORK_LONDON, 0, genesis->timestamp)) {
        return SB_HEADER_FIELDS_LONDON;
    }
    return SB_HEADER_FIELDS_FRONTIER;
}

sb_err sb_genesis_header(struct sb_header *ret_header, const struct sb_genesis *genesis)
{
    struct sb_header h = {
        .field_count = header_field_count(genesis),
        .uncles_hash = sb_hash_empty_list,
        .coinbase = genesis->is_samebit ? genesis->fee_recipient : genesis->coinbase,
        .transactions_root = sb_hash_empty_trie,
        .receipts_root = sb_hash_empty_trie,
        .difficulty = genesis->difficulty,
        .gas_limit = genesis->gas_limit,
        .timestamp = genesis->timestamp,
        .extra_data_len = genesis->extra_data_len,
        .mix_hash = genesis->mix_hash,
        .base_fee = genesis->has_base_fee ? genesis->base_fee : sb_u256_from_u64(GENESIS_BASE_FEE),
        .withdrawals_root = sb_hash_empty_trie,
        .blob_gas_used = genesis->blob_gas_used,
        .excess_blob_gas = genesis->excess_blob_gas,
        .requests_hash = sb_hash_sha256_empty,
    };
    memcpy(h.extra_data, genesis->extra_data, sizeof h.extra_data);
    memcpy(h.nonce, genesis->nonce, sizeof h.nonce);
    if (genesis->is_samebit) {
        h.parent_beacon_root = sb_genesis_document_hash(genesis);
    }
    SB_TRY(sb_genesis_state_root(&h.state_root, genesis));
    *ret_header = h;
    return SB_OK;
}

sb_err sb_genesis_hash(sb_hash *ret_hash, const struct sb_genesis *genesis)
{
    struct sb_header header;
    SB_TRY(sb_genesis_header(&header, genesis));
    *ret_hash = sb_header_hash(&header);
    return SB_OK;
}

sb_err sb_genesis_domain(struct sb_chain_domain *ret_domain, const struct sb_genesis *genesis)
{
    struct sb_chain_domain domain = {.chain_id = genesis->config.chain_id};
    SB_TRY(sb_genesis_hash(&domain.genesis_hash, genesis));
    *ret_domain = domain;
    return SB_OK;
}
