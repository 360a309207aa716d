/* staking_client.c: see staking_client.h. */
#include "node/staking_client.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/codec/hex.h"
#include "node/staking_text.h"
#include "node/units.h"

#define DATA_BYTES_MAX   ((size_t)64 << 10)
#define OUTPUT_BYTES_MAX ((size_t)4 << 20)

const sb_addr sb_params_addr = {{[18] = 0x5b, [19] = 0x10}};
const sb_addr sb_staking_addr = {{[18] = 0x5b, [19] = 0x12}};
const sb_addr sb_distribution_addr = {{[18] = 0x5b, [19] = 0x13}};
const sb_addr sb_slashing_addr = {{[18] = 0x5b, [19] = 0x14}};

/* ---- life ---- */

static sb_err need_staking(struct sb_staking_session *s, struct sb_diag *diag)
{
    json_t *params = json_pack(
        "[o, s]", sb_json_data(sb_span(sb_staking_addr.b, sizeof sb_staking_addr.b)), "latest");
    sb_buf_reset(&s->output);
    SB_TRY(sb_rpc_client_data(&s->output, &s->client, "eth_getCode", params, diag));
    return s->output.len != 0
               ? SB_OK
               : sb_fail(diag, SB_E_UNSUPPORTED,
                         "this chain has no staking: its validators are those of its genesis");
}

sb_err sb_staking_open(struct sb_staking_session *s, struct sb_diag *diag)
{
    sb_buf_init(&s->data, DATA_BYTES_MAX);
    sb_buf_init(&s->output, OUTPUT_BYTES_MAX);
    sb_buf_init(&s->text, OUTPUT_BYTES_MAX);
    s->now = (uint64_t)time(NULL);
    SB_TRY(sb_rpc_client_init(&s->client, s->rpc, diag));
    return need_staking(s, diag);
}

void sb_staking_close(struct sb_staking_session *s)
{
    sb_buf_fini(&s->data);
    sb_buf_fini(&s->output);
    sb_buf_fini(&s->text);
    if (s->has_wallet) {
        sb_wallet_fini(&s->wallet);
        s->has_wallet = false;
    }
}

sb_err sb_staking_unlock(struct sb_staking_session *s, struct sb_diag *diag)
{
    uint8_t secret[32];
    if (s->has_wallet) {
        return SB_OK;
    }
    SB_TRY(sb_key_source_read(secret, &s->key, diag));
    sb_err err = sb_wallet_init(&s->wallet, &s->client, secret, diag);
    sodium_memzero(secret, sizeof secret);
    s->has_wallet = err == SB_OK;
    return err;
}

sb_err sb_staking_account(sb_addr *ret_addr, struct sb_staking_session *s, const char *text,
                          struct sb_diag *diag)
{
    if (text != NULL) {
        return sb_addr_parse(ret_addr, text, diag);
    }
    SB_TRY(sb_staking_unlock(s, diag));
    *ret_addr = s->wallet.addr;
    return SB_OK;
}

sb_err sb_staking_domain(struct sb_chain_domain *ret_domain, struct sb_staking_session *s,
                         struct sb_diag *diag)
{
    struct sb_chain_domain domain;
    SB_TRY(sb_rpc_client_u64(&domain.chain_id, &s->client, "eth_chainId", NULL, diag));
    sb_staking_begin(s, "genesisHash()", 0);
    SB_TRY(sb_staking_view(s, &sb_staking_addr, diag));
    SB_TRY(sb_abi_read_word(&domain.genesis_hash, sb_buf_bytes(&s->output), 0));
    const sb_hash zero = {{0}};
    if (memcmp(domain.genesis_hash.b, zero.b, sizeof zero.b) == 0) {
        return sb_fail(diag, SB_E_NOT_FOUND, "the chain has no block yet: try again after block 1");
    }
    *ret_domain = domain;
    return SB_OK;
}

/* ---- calls ---- */

void sb_staking_begin(struct sb_staking_session *s, const char *signature, size_t head_words)
{
    sb_buf_reset(&s->data);
    sb_abi_put_selector(&s->data, sb_abi_selector(signature));
    sb_abi_begin(&s->args, &s->data, head_words);
}

sb_err sb_staking_view(struct sb_staking_session *s, const sb_addr *contract, struct sb_diag *diag)
{
    sb_abi_end(&s->args);
    sb_buf_reset(&s->output);
    SB_TRY(sb_buf_err(&s->data));
    return sb_staking_explain(
        &s->client,
        sb_rpc_eth_call(&s->output, &s->client, NULL, contract, sb_buf_bytes(&s->data), diag),
        s->now, diag);
}

sb_err sb_staking_view_of(struct sb_staking_session *s, const sb_addr *contract,
                          const char *signature, const sb_addr *addr, struct sb_diag *diag)
{
    sb_staking_begin(s, signature, 1);
    sb_abi_put_addr(&s->args, addr);
    return sb_staking_view(s, contract, diag);
}

sb_err sb_staking_view_u256(sb_u256 *ret, struct sb_staking_session *s, const sb_addr *contract,
                            struct sb_diag *diag)
{
    SB_TRY(sb_staking_view(s, contract, diag));
    return sb_abi_read_u256(ret, sb_buf_bytes(&s->output), 0);
}

sb_err sb_staking_page(sb_bytes *ret_items, size_t *ret_count, struct sb_staking_session *s,
                       const char *signature, const sb_addr *addr, uint64_t offset,
                       size_t words_each, struct sb_diag *diag)
{
    sb_staking_begin(s, signature, addr != NULL ? 3 : 2);
    if (addr != NULL) {
        sb_abi_put_addr(&s->args, addr);
    }
    sb_abi_put_u64(&s->args, offset);
    sb_abi_put_u64(&s->args, SB_STAKING_PAGE);
    SB_TRY(sb_staking_view(s, &sb_staking_addr, diag));
    return sb_abi_read_array(ret_items, ret_count, sb_buf_bytes(&s->output), 0, words_each,
                             SB_STAKING_PAGE);
}

/* ---- transactions ---- */

static void report_json(const sb_hash *hash, uint64_t block, uint64_t gas, const json_t *receipt)
{
    size_t i;
    const json_t *log;
    json_t *events = json_array();
    json_array_foreach(json_object_get(receipt, "logs"), i, log)
    {
        json_t *event = sb_staking_log_json(log);
        if (event != NULL) {
            (void)json_array_append_new(events, event);
        }
    }
    sb_staking_print_json(json_pack(
        "{s:o, s:I, s:I, s:o}", "transaction", sb_json_data(sb_span(hash->b, sizeof hash->b)),
        "block", (json_int_t)block, "gasUsed", (json_int_t)gas, "events", events));
}

static sb_err report(struct sb_staking_session *s, const sb_hash *hash, const json_t *receipt,
                     struct sb_diag *diag)
{
    char text[SB_HEX_TEXT_BYTES(32)];
    uint64_t block = 0;
    uint64_t gas = 0;
    size_t i;
    const json_t *log;
    if (sb_json_read_u64(&block, receipt, "blockNumber") != SB_OK ||
        sb_json_read_u64(&gas, receipt, "gasUsed") != SB_OK) {
        return sb_fail(diag, SB_E_SYNTAX, "the receipt lacks its block or its gas");
    }
    if (s->json) {
        report_json(hash, block, gas, receipt);
        return SB_OK;
    }
    json_array_foreach(json_object_get(receipt, "logs"), i, log)
    {
        if (sb_text_staking_log(&s->text, log, s->now)) {
            sb_staking_flush(s);
        }
    }
    (void)printf("transaction: %s\nblock: %llu\n",
                 sb_hex_format(text, sb_span(hash->b, sizeof hash->b)), (unsigned long long)block);
    return SB_OK;
}

sb_err sb_staking_send(struct sb_staking_session *s, const sb_addr *contract, const sb_u256 *value,
                       struct sb_diag *diag)
{
    sb_hash hash;
    json_t *receipt = NULL;
    sb_abi_end(&s->args);
    SB_TRY(sb_buf_err(&s->data));
    SB_TRY(sb_staking_unlock(s, diag));
    SB_TRY(sb_staking_explain(
        &s->client,
        sb_wallet_send(&hash, &s->wallet, contract, value, sb_buf_bytes(&s->data), diag), s->now,
        diag));
    SB_TRY(sb_wallet_wait(&receipt, &s->wallet, &hash, diag));
    sb_err err = report(s, &hash, receipt, diag);
    json_decref(receipt);
    return err;
}

/* ---- printing ---- */

void sb_staking_flush(struct sb_staking_session *s)
{
    (void)printf("%.*s\n", (int)s->text.len, (const char *)s->text.data);
    sb_buf_reset(&s->text);
}

void sb_staking_print_json(json_t *json)
{
    char *text = json_dumps(json, JSON_INDENT(2));
    if (text != NULL) {
        (void)printf("%s\n", text);
    }
    free(text);
    json_decref(json);
}

json_t *sb_staking_json_u256(const sb_u256 *value)
{
    char text[SB_U256_DECIMAL_BYTES];
    sb_u256_format_decimal(text, value);
    return json_string(text);
}

json_t *sb_staking_json_addr(const sb_addr *addr)
{
    char text[SB_ADDR_TEXT_BYTES];
    sb_addr_format(text, addr);
    return json_string(text);
}

/* ---- validators ---- */

static sb_err read_description(struct sb_staking_validator *v, sb_bytes tuple)
{
    sb_bytes texts;
    SB_TRY(sb_abi_read_tuple(&texts, tuple, 3));
    SB_TRY(sb_abi_read_bytes(&v->moniker, texts, 0, SB_STAKING_TEXT_BYTES_MAX));
    SB_TRY(sb_abi_read_bytes(&v->website, texts, 1, SB_STAKING_TEXT_BYTES_MAX));
    SB_TRY(sb_abi_read_bytes(&v->contact, texts, 2, SB_STAKING_TEXT_BYTES_MAX));
    return sb_abi_read_bytes(&v->details, texts, 3, SB_STAKING_TEXT_BYTES_MAX);
}

sb_err sb_staking_validator_read(struct sb_staking_validator *ret_validator, sb_bytes tuple,
                                 size_t word_index)
{
    struct sb_staking_validator v;
    sb_bytes t;
    SB_TRY(sb_abi_read_tuple(&t, tuple, word_index));
    SB_TRY(sb_abi_read_addr(&v.operator_addr, t, 0));
    SB_TRY(sb_abi_read_addr(&v.consensus, t, 1));
    SB_TRY(sb_abi_read_word(&v.key, t, 2));
    SB_TRY(read_description(&v, t));
    SB_TRY(sb_abi_read_u256(&v.tokens, t, 4));
    SB_TRY(sb_abi_read_u256(&v.shares, t, 5));
    SB_TRY(sb_abi_read_u256(&v.power, t, 6));
    SB_TRY(sb_abi_read_u256(&v.self_shares, t, 7));
    SB_TRY(sb_abi_read_u256(&v.self_min, t, 8));
    SB_TRY(sb_abi_read_u64(&v.commission_bps, t, 9));
    SB_TRY(sb_abi_read_u64(&v.commission_max_bps, t, 10));
    SB_TRY(sb_abi_read_u64(&v.commission_max_change_bps, t, 11));
    SB_TRY(sb_abi_read_u64(&v.commission_changed_at, t, 12));
    SB_TRY(sb_abi_read_bool(&v.is_listed, t, 13));
    SB_TRY(sb_abi_read_bool(&v.is_active, t, 14));
    SB_TRY(sb_abi_read_bool(&v.is_jailed, t, 15));
    SB_TRY(sb_abi_read_bool(&v.is_tombstoned, t, 16));
    SB_TRY(sb_abi_read_u64(&v.jailed_until, t, 17));
    SB_TRY(sb_abi_read_u64(&v.slash_count, t, 18));
    *ret_validator = v;
    return SB_OK;
}

sb_err sb_staking_validator_of(struct sb_staking_validator *ret_validator,
                               struct sb_staking_session *s, const sb_addr *operator_addr,
                               struct sb_diag *diag)
{
    SB_TRY(sb_staking_view_of(s, &sb_staking_addr, "validator(address)", operator_addr, diag));
    sb_err err = sb_staking_validator_read(ret_validator, sb_buf_bytes(&s->output), 0);
    return err == SB_OK ? SB_OK : sb_fail(diag, err, "the node's answer is no validator");
}

const char *sb_staking_validator_state(const struct sb_staking_validator *v)
{
    return v->is_tombstoned ? "tombstoned"
           : v->is_jailed   ? "jailed"
           : v->is_active   ? "active"
           : v->is_listed   ? "candidate"
                            : "waiting";
}

sb_u256 sb_staking_worth(const struct sb_staking_validator *v, const sb_u256 *shares)
{
    sb_u256 product = sb_u256_mul(shares, &v->tokens);
    return sb_u256_div(&product, &v->shares);
}

sb_u256 sb_staking_shares(const struct sb_staking_validator *v, const sb_u256 *amount)
{
    const sb_u256 one = sb_u256_from_u64(1);
    sb_u256 product = sb_u256_mul(amount, &v->shares);
    sb_u256 quotient, remainder;
    sb_u256_divmod(&quotient, &remainder, &product, &v->tokens);
    return sb_u256_is_zero(&remainder) ? quotient : sb_u256_add(&quotient, &one);
}
