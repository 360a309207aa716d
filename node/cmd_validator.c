/* cmd_validator.c: `samebit validator`: validators through the RPC of any node (docs/staking.md).
 *
 *     keys/validator.json --proof--> create --power--> candidate --the best N--> active --absence--> jailed --unjail--> candidate
 *                                                                              \-two votes--> tombstoned, for ever */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/codec/hex.h"
#include "node/commands.h"
#include "node/datadir.h"
#include "node/possession.h"
#include "node/staking_client.h"
#include "node/staking_text.h"
#include "node/units.h"

#define SLASH_WORDS     4
#define PERCENT_DEFAULT "10"

struct validator {
    struct sb_staking_session session;
    const char *datadir, *consensus_key, *proof;
    const char *moniker, *website, *contact, *details;
    const char *self_stake, *self_min;
    const char *commission, *commission_max, *commission_max_change;
    struct sb_operands operands;
};

typedef sb_err (*validator_work)(struct validator *, struct sb_diag *);

/* The options of a command beside those of the session: a part of `more`. */
static int run(struct validator *v, const struct sb_usage *usage, validator_work work,
               const struct sb_option *options, size_t option_count, size_t operands_max, int argc,
               char **argv)
{
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (!sb_options_read(&v->operands, &status, usage, options, option_count, 0, operands_max, argc,
                         argv)) {
        return status;
    }
    sb_err err = sb_staking_open(&v->session, &diag);
    err = err == SB_OK ? work(v, &diag) : err;
    sb_staking_close(&v->session);
    if (err != SB_OK && diag.text[0] == '\0') {
        (void)sb_fail(&diag, err, "the node's answer is not understood: %s", sb_err_text(err));
    }
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}

static struct validator validator_new(void)
{
    return (struct validator){.session = {.rpc = SB_RPC_URL_DEFAULT}};
}

#define DESCRIPTION_OPTIONS(v)                                                                     \
    {"moniker", SB_OPTION_TEXT, &(v).moniker, "TEXT", "its name, up to 64 bytes", 0, 0},           \
        {"website", SB_OPTION_TEXT, &(v).website, "TEXT", "up to 128 bytes", 0, 0},                \
        {"contact", SB_OPTION_TEXT, &(v).contact, "TEXT", "up to 128 bytes", 0, 0},                \
    {                                                                                              \
        "details", SB_OPTION_TEXT, &(v).details, "TEXT", "up to 512 bytes", 0, 0                   \
    }

/* put_text: the option, or what is there already. */
static void put_text(struct sb_abi_writer *w, const char *option, sb_bytes now)
{
    sb_abi_put_bytes(w, option != NULL ? sb_span_str(option) : now);
}

static void put_description(struct sb_abi_writer *w, const struct validator *v,
                            const struct sb_staking_validator *now)
{
    struct sb_abi_writer texts;
    sb_abi_put_tuple(&texts, w, 4);
    put_text(&texts, v->moniker, now->moniker);
    put_text(&texts, v->website, now->website);
    put_text(&texts, v->contact, now->contact);
    put_text(&texts, v->details, now->details);
    sb_abi_end(&texts);
}

/* ---- create ---- */

struct possession {
    sb_hash key;
    uint8_t proof[SB_ED25519_SIGNATURE_BYTES];
};

static sb_err prove_here(struct possession *p, struct validator *v, struct sb_diag *diag)
{
    static struct sb_datadir dir;
    struct sb_validator_key key;
    struct sb_chain_domain domain;
    SB_TRY(sb_staking_domain(&domain, &v->session, diag));
    SB_TRY(sb_datadir_paths(&dir, v->datadir, diag));
    SB_TRY(sb_datadir_load_key(&key, &dir, diag));
    sb_possession_prove(p->proof, key.secret, &domain, &v->session.wallet.addr);
    memcpy(p->key.b, key.public_key, sizeof p->key.b);
    sodium_memzero(&key, sizeof key);
    return SB_OK;
}

static sb_err possession_of(struct possession *p, struct validator *v, struct sb_diag *diag)
{
    if (v->datadir != NULL) {
        return prove_here(p, v, diag);
    }
    if (sb_hex_parse(p->key.b, sizeof p->key.b, v->consensus_key, strlen(v->consensus_key)) !=
        SB_OK) {
        return sb_fail(diag, SB_E_SYNTAX, "--consensus-key is not 0x and 64 hexadecimal digits");
    }
    if (sb_hex_parse(p->proof, sizeof p->proof, v->proof, strlen(v->proof)) != SB_OK) {
        return sb_fail(diag, SB_E_SYNTAX, "--proof is not 0x and 128 hexadecimal digits");
    }
    return SB_OK;
}

static sb_err create(struct validator *v, struct sb_diag *diag)
{
    struct sb_staking_session *s = &v->session;
    struct possession p;
    sb_u256 stake, self_min;
    uint64_t commission, commission_max, commission_max_change;
    const struct sb_staking_validator nothing = {.moniker = {.len = 0}};
    SB_TRY(sb_units_parse(&stake, v->self_stake, SB_ETHER_DECIMALS, diag));
    SB_TRY(sb_units_parse(&self_min, v->self_min, SB_ETHER_DECIMALS, diag));
    SB_TRY(sb_text_percent_parse(&commission, v->commission, "commission", diag));
    SB_TRY(sb_text_percent_parse(&commission_max, v->commission_max, "commission-max", diag));
    SB_TRY(sb_text_percent_parse(&commission_max_change, v->commission_max_change,
                                 "commission-max-change", diag));
    SB_TRY(sb_staking_unlock(s, diag));
    SB_TRY(possession_of(&p, v, diag));
    sb_staking_begin(
        s,
        "createValidator(bytes32,bytes,(string,string,string,string),uint16,uint16,uint16,uint256)",
        7);
    sb_abi_put_hash(&s->args, &p.key);
    sb_abi_put_bytes(&s->args, sb_span(p.proof, sizeof p.proof));
    put_description(&s->args, v, &nothing);
    sb_abi_put_u64(&s->args, commission);
    sb_abi_put_u64(&s->args, commission_max);
    sb_abi_put_u64(&s->args, commission_max_change);
    sb_abi_put_u256(&s->args, &self_min);
    return sb_staking_send(s, &sb_staking_addr, &stake, diag);
}

static int cmd_create(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "validator create",
        "--self-stake COINS (--datadir DIR | --consensus-key 0x --proof 0x) --key 0xKEY [options]",
        "Become a validator: the account of --key is its operator and stakes the coins. The proof "
        "that the operator\n"
        "holds the consensus key is made from the node's keys/validator.json (--datadir), or where "
        "that key lies by\n"
        "samebit validator-key prove. The node should have caught up before: who is absent is "
        "jailed. Two blocks later\n"
        "the validator may propose, if it is among the strongest.",
        "  samebit validator create --self-stake 1000 --moniker alice --datadir ./chain --key-file "
        "alice.json\n"
        "  samebit validator create --self-stake 1000 --consensus-key 0x... --proof 0x... "
        "--commission 5 --key 0x...\n"};
    static struct validator v;
    v = validator_new();
    v.self_min = "1";
    v.commission = PERCENT_DEFAULT;
    v.commission_max = "100";
    v.commission_max_change = "1";
    const struct sb_option options[] = {
        {"self-stake", SB_OPTION_TEXT, &v.self_stake, "COINS", "the operator's own stake", 0, 0},
        {"datadir", SB_OPTION_TEXT, &v.datadir, "DIR", "data directory of the validator's node", 0,
         0},
        {"consensus-key", SB_OPTION_TEXT, &v.consensus_key, "0xKEY", "its key, without --datadir",
         0, 0},
        {"proof", SB_OPTION_TEXT, &v.proof, "0xPROOF", "of samebit validator-key prove", 0, 0},
        DESCRIPTION_OPTIONS(v),
        {"commission", SB_OPTION_TEXT, &v.commission, "PERCENT", "part of the rewards (10)", 0, 0},
        {"commission-max", SB_OPTION_TEXT, &v.commission_max, "PERCENT",
         "it will never be higher (100)", 0, 0},
        {"commission-max-change", SB_OPTION_TEXT, &v.commission_max_change, "PERCENT",
         "most change in a day (1)", 0, 0},
        {"self-min", SB_OPTION_TEXT, &v.self_min, "COINS",
         "own stake that is promised; below it the validator is no candidate (1)", 0, 0},
        SB_STAKING_OPTIONS(v.session),
    };
    struct sb_operands operands;
    struct sb_diag diag = {.text = ""};
    if (sb_options_parse(&operands, options, sizeof options / sizeof options[0], argc, argv,
                         &diag) == SB_OK) {
        if (v.self_stake == NULL) {
            return sb_cli_usage(k_usage.command, "--self-stake is missing");
        }
        if ((v.consensus_key == NULL) != (v.proof == NULL) ||
            (v.datadir == NULL) == (v.proof == NULL)) {
            return sb_cli_usage(k_usage.command,
                                "give --datadir, or --consensus-key and --proof together");
        }
    }
    return run(&v, &k_usage, create, options, sizeof options / sizeof options[0], 0, argc, argv);
}

/* ---- edit, unjail, enter ---- */

static sb_err edit(struct validator *v, struct sb_diag *diag)
{
    struct sb_staking_session *s = &v->session;
    struct sb_staking_validator now;
    SB_TRY(sb_staking_unlock(s, diag));
    SB_TRY(sb_staking_validator_of(&now, s, &s->wallet.addr, diag));
    if (v->commission != NULL) {
        SB_TRY(sb_text_percent_parse(&now.commission_bps, v->commission, "commission", diag));
    }
    if (v->self_min != NULL) {
        SB_TRY(sb_units_parse(&now.self_min, v->self_min, SB_ETHER_DECIMALS, diag));
    }
    sb_staking_begin(s, "editValidator((string,string,string,string),uint16,uint256)", 3);
    put_description(&s->args, v, &now);
    sb_abi_put_u64(&s->args, now.commission_bps);
    sb_abi_put_u256(&s->args, &now.self_min);
    return sb_staking_send(s, &sb_staking_addr, NULL, diag);
}

static int cmd_edit(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "validator edit", "--key 0xKEY [options]",
        "Change what the validator of an account says of itself; what is not named stays. The "
        "commission may change\n"
        "once in 24 hours, by as much as was promised; the least self stake may only rise.",
        "  samebit validator edit --website https://example.org --key-file alice.json\n"
        "  samebit validator edit --commission 6 --key 0x...\n"};
    static struct validator v;
    v = validator_new();
    const struct sb_option options[] = {
        DESCRIPTION_OPTIONS(v),
        {"commission", SB_OPTION_TEXT, &v.commission, "PERCENT", "part of the rewards", 0, 0},
        {"self-min", SB_OPTION_TEXT, &v.self_min, "COINS", "own stake that is promised", 0, 0},
        SB_STAKING_OPTIONS(v.session),
    };
    return run(&v, &k_usage, edit, options, sizeof options / sizeof options[0], 0, argc, argv);
}

static sb_err unjail(struct validator *v, struct sb_diag *diag)
{
    sb_staking_begin(&v->session, "unjail()", 0);
    return sb_staking_send(&v->session, &sb_slashing_addr, NULL, diag);
}

static int cmd_unjail(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "validator unjail", "--key 0xKEY [options]",
        "Let the validator of an account out of jail, when its time there is over. Start its node "
        "first, and let it\n"
        "catch up.",
        "  samebit validator unjail --key-file alice.json\n"};
    static struct validator v;
    v = validator_new();
    const struct sb_option options[] = {SB_STAKING_OPTIONS(v.session)};
    return run(&v, &k_usage, unjail, options, sizeof options / sizeof options[0], 0, argc, argv);
}

static sb_err enter(struct validator *v, struct sb_diag *diag)
{
    sb_addr operator_addr;
    SB_TRY(sb_staking_account(&operator_addr, &v->session,
                              v->operands.count > 0 ? v->operands.items[0] : NULL, diag));
    sb_staking_begin(&v->session, "enter(address)", 1);
    sb_abi_put_addr(&v->session.args, &operator_addr);
    return sb_staking_send(&v->session, &sb_staking_addr, NULL, diag);
}

static int cmd_enter(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "validator enter", "[OPERATOR] --key 0xKEY [options]",
        "Make a validator a candidate again that could be one but is not on the list (its state is "
        "\"waiting\").",
        "  samebit validator enter --key-file alice.json\n"};
    static struct validator v;
    v = validator_new();
    const struct sb_option options[] = {SB_STAKING_OPTIONS(v.session)};
    return run(&v, &k_usage, enter, options, sizeof options / sizeof options[0], 1, argc, argv);
}

/* ---- info ---- */

static json_t *json_text(sb_bytes text)
{
    json_t *json = json_stringn(text.len != 0 ? (const char *)text.data : "", text.len);
    return json != NULL ? json : sb_json_data(text); /* no UTF-8 */
}

static json_t *validator_json(const struct sb_staking_validator *v)
{
    json_t *json = json_pack(
        "{s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "operator",
        sb_staking_json_addr(&v->operator_addr), "consensus", sb_staking_json_addr(&v->consensus),
        "key", sb_json_data(sb_span(v->key.b, sizeof v->key.b)), "state",
        sb_staking_validator_state(v), "moniker", json_text(v->moniker), "website",
        json_text(v->website), "contact", json_text(v->contact), "details", json_text(v->details),
        "tokens", sb_staking_json_u256(&v->tokens), "shares", sb_staking_json_u256(&v->shares),
        "power", sb_staking_json_u256(&v->power), "selfShares",
        sb_staking_json_u256(&v->self_shares));
    json_t *more = json_pack(
        "{s:o, s:I, s:I, s:I, s:I, s:b, s:b, s:b, s:b, s:o, s:I}", "selfMin",
        sb_staking_json_u256(&v->self_min), "commissionBps", (json_int_t)v->commission_bps,
        "commissionMaxBps", (json_int_t)v->commission_max_bps, "commissionMaxChangeBps",
        (json_int_t)v->commission_max_change_bps, "commissionChangedAt",
        (json_int_t)v->commission_changed_at, "listed", (int)v->is_listed, "active",
        (int)v->is_active, "jailed", (int)v->is_jailed, "tombstoned", (int)v->is_tombstoned,
        "jailedUntil",
        json_integer(v->jailed_until > INT64_MAX ? INT64_MAX : (json_int_t)v->jailed_until),
        "slashCount", (json_int_t)v->slash_count);
    (void)json_object_update(json, more);
    json_decref(more);
    return json;
}

/* add_text: a user's bytes on one line of a terminal: what could move the cursor is left out. */
static void add_text(struct sb_buf *out, const char *name, sb_bytes text)
{
    sb_buf_addf(out, "%-15s ", name);
    for (size_t i = 0; i < text.len; i++) {
        bool plain = text.data[i] >= ' ' && text.data[i] != 0x7f;
        sb_buf_add_byte(out, plain ? text.data[i] : '?');
    }
    sb_buf_add_byte(out, '\n');
}

static void add_amount(struct sb_buf *out, const char *name, const sb_u256 *wei)
{
    sb_buf_addf(out, "%-15s ", name);
    sb_text_coins(out, wei);
    sb_buf_add_byte(out, '\n');
}

static void add_validator(struct sb_staking_session *s, const struct sb_staking_validator *v)
{
    char addr[SB_ADDR_TEXT_BYTES], hex[SB_HEX_TEXT_BYTES(32)];
    struct sb_buf *out = &s->text;
    sb_addr_format(addr, &v->operator_addr);
    sb_buf_addf(out, "%-15s %s\n", "operator", addr);
    sb_buf_addf(out, "%-15s %s\n", "consensus key",
                sb_hex_format(hex, sb_span(v->key.b, sizeof v->key.b)));
    sb_addr_format(addr, &v->consensus);
    sb_buf_addf(out, "%-15s %s\n", "address", addr);
    add_text(out, "moniker", v->moniker);
    add_text(out, "website", v->website);
    add_text(out, "contact", v->contact);
    add_text(out, "details", v->details);
    sb_buf_addf(out, "%-15s %s", "state", sb_staking_validator_state(v));
    if (v->is_jailed && !v->is_tombstoned) {
        sb_buf_add_str(out, v->jailed_until <= s->now ? "; may leave since " : "; may leave ");
        sb_text_time(out, v->jailed_until, s->now);
    }
    sb_buf_add_byte(out, '\n');
    sb_u256 self = sb_staking_worth(v, &v->self_shares);
    add_amount(out, "stake", &v->tokens);
    add_amount(out, "own stake", &self);
    add_amount(out, "own, promised", &v->self_min);
    sb_buf_addf(out, "%-15s ", "commission");
    sb_text_percent(out, v->commission_bps);
    sb_buf_add_str(out, ", at most ");
    sb_text_percent(out, v->commission_max_bps);
    sb_buf_add_str(out, ", changes by at most ");
    sb_text_percent(out, v->commission_max_change_bps);
    sb_buf_add_byte(out, '\n');
}

struct signing {
    uint64_t counted, missed, window, missed_max;
};

static sb_err read_signing(struct signing *ret, struct sb_staking_session *s,
                           const sb_addr *operator_addr, struct sb_diag *diag)
{
    SB_TRY(sb_staking_view_of(s, &sb_slashing_addr, "signingInfo(address)", operator_addr, diag));
    sb_bytes words = sb_buf_bytes(&s->output);
    SB_TRY(sb_abi_read_u64(&ret->counted, words, 2));
    SB_TRY(sb_abi_read_u64(&ret->missed, words, 3));
    SB_TRY(sb_abi_read_u64(&ret->window, words, 4));
    return sb_abi_read_u64(&ret->missed_max, words, 5);
}

/* add_slashes: the newest of them, at most a page. */
static sb_err add_slashes(struct sb_staking_session *s, json_t *list, const sb_addr *operator_addr,
                          uint64_t count, struct sb_diag *diag)
{
    sb_bytes items;
    size_t n;
    uint64_t from = count > SB_STAKING_PAGE ? count - SB_STAKING_PAGE : 0;
    SB_TRY(sb_staking_page(&items, &n, s, "slashes(address,uint256,uint256)", operator_addr, from,
                           SLASH_WORDS, diag));
    for (size_t i = 0; i < n; i++) {
        uint64_t height, block, time, bps;
        SB_TRY(sb_abi_read_u64(&height, items, i * SLASH_WORDS));
        SB_TRY(sb_abi_read_u64(&block, items, i * SLASH_WORDS + 1));
        SB_TRY(sb_abi_read_u64(&time, items, i * SLASH_WORDS + 2));
        SB_TRY(sb_abi_read_u64(&bps, items, i * SLASH_WORDS + 3));
        sb_buf_addf(&s->text, "%-15s ", "slashed");
        sb_text_percent(&s->text, bps);
        sb_buf_addf(&s->text, " in block %llu for height %llu, ", (unsigned long long)block,
                    (unsigned long long)height);
        sb_text_time(&s->text, time, s->now);
        sb_buf_add_byte(&s->text, '\n');
        (void)json_array_append_new(
            list, json_pack("{s:I, s:I, s:I, s:I}", "height", (json_int_t)height, "block",
                            (json_int_t)block, "time", (json_int_t)time, "bps", (json_int_t)bps));
    }
    return SB_OK;
}

static sb_err info_work(struct sb_staking_session *s, json_t **ret_json,
                        const sb_addr *operator_addr, struct sb_diag *diag)
{
    struct sb_staking_validator v;
    struct signing signing;
    SB_TRY(sb_staking_validator_of(&v, s, operator_addr, diag));
    sb_buf_reset(&s->text);
    add_validator(s, &v);
    *ret_json = validator_json(&v);
    SB_TRY(read_signing(&signing, s, operator_addr, diag));
    sb_buf_addf(
        &s->text, "%-15s %llu of the last %llu heights (over %llu of %llu is punished)\n", "absent",
        (unsigned long long)signing.missed,
        (unsigned long long)(signing.counted < signing.window ? signing.counted : signing.window),
        (unsigned long long)signing.missed_max, (unsigned long long)signing.window);
    json_t *list = json_array();
    (void)json_object_set_new(*ret_json, "missedBlocks", json_integer((json_int_t)signing.missed));
    (void)json_object_set_new(*ret_json, "countedBlocks",
                              json_integer((json_int_t)signing.counted));
    (void)json_object_set_new(*ret_json, "slashes", list);
    return add_slashes(s, list, operator_addr, v.slash_count, diag);
}

static sb_err info(struct validator *v, struct sb_diag *diag)
{
    struct sb_staking_session *s = &v->session;
    sb_addr operator_addr;
    json_t *json = NULL;
    SB_TRY(sb_staking_account(&operator_addr, s,
                              v->operands.count > 0 ? v->operands.items[0] : NULL, diag));
    sb_err err = info_work(s, &json, &operator_addr, diag);
    if (err == SB_OK && s->json) {
        sb_staking_print_json(json_incref(json));
    } else if (err == SB_OK) {
        (void)printf("%.*s", (int)s->text.len, (const char *)s->text.data);
    }
    json_decref(json);
    return err;
}

static int cmd_info(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "validator info", "[OPERATOR] [options]",
        "What is known of a validator: stake, commission, state, absences, slashes. Without an "
        "operator, that of the\n"
        "account of --key.",
        "  samebit validator info 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n"};
    static struct validator v;
    v = validator_new();
    const struct sb_option options[] = {SB_STAKING_OPTIONS(v.session)};
    return run(&v, &k_usage, info, options, sizeof options / sizeof options[0], 1, argc, argv);
}

/* ---- list ---- */

static void add_row(struct sb_buf *out, const struct sb_staking_validator *v)
{
    char addr[SB_ADDR_TEXT_BYTES], power[SB_U256_DECIMAL_BYTES];
    uint8_t memory[32];
    struct sb_buf percent = sb_buf_over(memory, sizeof memory);
    sb_addr_format(addr, &v->operator_addr);
    sb_u256_format_decimal(power, &v->power);
    sb_text_percent(&percent, v->commission_bps);
    sb_buf_addf(out, "%-42s  %-10s  %12s  %10.*s  ", addr, sb_staking_validator_state(v), power,
                (int)percent.len, (const char *)percent.data);
    for (size_t i = 0; i < v->moniker.len; i++) {
        bool plain = v->moniker.data[i] >= ' ' && v->moniker.data[i] != 0x7f;
        sb_buf_add_byte(out, plain ? v->moniker.data[i] : '?');
    }
}

static sb_err list_work(struct sb_staking_session *s, json_t *list, struct sb_diag *diag)
{
    if (!s->json) {
        sb_buf_addf(&s->text, "%-42s  %-10s  %12s  %10s  %s", "operator", "state", "power",
                    "commission", "moniker");
        sb_staking_flush(s);
    }
    for (uint64_t offset = 0;;) {
        sb_bytes items;
        size_t n;
        SB_TRY(
            sb_staking_page(&items, &n, s, "validators(uint256,uint256)", NULL, offset, 1, diag));
        for (size_t i = 0; i < n; i++) {
            struct sb_staking_validator v;
            SB_TRY(sb_staking_validator_read(&v, items, i));
            (void)json_array_append_new(list, validator_json(&v));
            if (!s->json) {
                add_row(&s->text, &v);
                sb_staking_flush(s);
            }
        }
        offset += n;
        if (n < SB_STAKING_PAGE) {
            return SB_OK;
        }
    }
}

static sb_err list(struct validator *v, struct sb_diag *diag)
{
    json_t *all = json_array();
    sb_err err = list_work(&v->session, all, diag);
    if (err == SB_OK && v->session.json) {
        sb_staking_print_json(json_incref(all));
    }
    json_decref(all);
    return err;
}

static int cmd_list(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "validator list", "[options]",
        "All validators, in the order of their creation. active: in the set; candidate: too weak "
        "for it at present;\n"
        "waiting: off the list, for too little stake of its own or for want of room; jailed; "
        "tombstoned.",
        "  samebit validator list\n"
        "  samebit validator list --json --rpc http://127.0.0.1:9545\n"};
    static struct validator v;
    v = validator_new();
    const struct sb_option options[] = {SB_STAKING_OPTIONS(v.session)};
    return run(&v, &k_usage, list, options, sizeof options / sizeof options[0], 0, argc, argv);
}

int sb_cmd_validator(int argc, char **argv)
{
    static const struct sb_command k_commands[] = {
        {"create", "become a validator", cmd_create},
        {"edit", "change texts, commission, least self stake", cmd_edit},
        {"unjail", "leave the jail", cmd_unjail},
        {"enter", "be a candidate again", cmd_enter},
        {"info", "all about one validator", cmd_info},
        {"list", "all validators", cmd_list},
    };
    return sb_command_run("validator", k_commands, sizeof k_commands / sizeof k_commands[0], argc,
                          argv);
}
