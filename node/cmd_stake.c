/* cmd_stake.c: `samebit stake`: what an account has at stake, and how it moves (docs/staking.md).
 *
 *     coins --delegate--> shares of a validator's pool --undelegate--> unbonding --time--> withdraw
 *                               |     ^       ^------------cancel---------'
 *                               '-redelegate */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/types/staking_params.h"
#include "node/commands.h"
#include "node/staking_client.h"
#include "node/staking_text.h"
#include "node/units.h"

#define CLAIM_OPERATORS_MAX 64
#define WITHDRAW_MAX        100
#define DELEGATION_WORDS    4
#define UNBONDING_WORDS     8
#define REDELEGATION_WORDS  5
#define REDELEGATIONS_MAX   32 /* of a delegator at one validator: the greatest entriesMax */

struct stake {
    struct sb_staking_session session;
    bool commission; /* claim */
    struct sb_operands operands;
};

typedef sb_err (*stake_work)(struct stake *, struct sb_diag *);

static const char *operand(const struct stake *st, size_t i)
{
    return i < st->operands.count ? st->operands.items[i] : NULL;
}

/* run: read the command line, open, work, close. */
static int run(const struct sb_usage *usage, stake_work work, size_t operands_min,
               size_t operands_max, bool claims, int argc, char **argv)
{
    static struct stake st;
    st = (struct stake){.session = {.rpc = SB_RPC_URL_DEFAULT}};
    const struct sb_option options[] = {
        SB_STAKING_OPTIONS(st.session),
        {"commission", SB_OPTION_FLAG, &st.commission, NULL,
         "claim the commission of the account's validator, too", 0, 0},
    };
    size_t count = sizeof options / sizeof options[0] - (claims ? 0 : 1);
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (!sb_options_read(&st.operands, &status, usage, options, count, operands_min, operands_max,
                         argc, argv)) {
        return status;
    }
    sb_err err = sb_staking_open(&st.session, &diag);
    err = err == SB_OK ? work(&st, &diag) : err;
    sb_staking_close(&st.session);
    if (err != SB_OK && diag.text[0] == '\0') {
        (void)sb_fail(&diag, err, "the node's answer is not understood: %s", sb_err_text(err));
    }
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}

/* ---- delegations ---- */

struct delegation {
    sb_addr operator_addr;
    sb_u256 shares, tokens, transit_shares;
};

static sb_err read_delegation(struct delegation *d, sb_bytes items, size_t i)
{
    SB_TRY(sb_abi_read_addr(&d->operator_addr, items, i));
    SB_TRY(sb_abi_read_u256(&d->shares, items, i + 1));
    SB_TRY(sb_abi_read_u256(&d->tokens, items, i + 2));
    return sb_abi_read_u256(&d->transit_shares, items, i + 3);
}

static sb_err delegation_of(struct delegation *ret, struct sb_staking_session *s,
                            const sb_addr *delegator, const sb_addr *operator_addr,
                            struct sb_diag *diag)
{
    sb_staking_begin(s, "delegation(address,address)", 2);
    sb_abi_put_addr(&s->args, delegator);
    sb_abi_put_addr(&s->args, operator_addr);
    SB_TRY(sb_staking_view(s, &sb_staking_addr, diag));
    return read_delegation(ret, sb_buf_bytes(&s->output), 0);
}

/* shares_of: the shares of an operand: "all", or an amount in coins. The last wei of a delegation may be a share that is worth less: an
 * amount that is within one wei of everything means everything. */
static sb_err shares_of(sb_u256 *ret, struct sb_staking_session *s, const sb_addr *operator_addr,
                        const char *text, struct sb_diag *diag)
{
    struct sb_staking_validator v;
    struct delegation d;
    sb_u256 amount;
    SB_TRY(sb_staking_unlock(s, diag));
    SB_TRY(sb_staking_validator_of(&v, s, operator_addr, diag));
    SB_TRY(delegation_of(&d, s, &s->wallet.addr, operator_addr, diag));
    if (strcmp(text, "all") == 0) {
        *ret = d.shares;
        return SB_OK;
    }
    SB_TRY(sb_units_parse(&amount, text, SB_ETHER_DECIMALS, diag));
    if (sb_u256_lt(&d.tokens, &amount)) {
        sb_buf_reset(&s->text);
        sb_text_coins(&s->text, &d.tokens);
        return sb_fail(diag, SB_E_RANGE, "only %.*s coins are delegated there", (int)s->text.len,
                       (const char *)s->text.data);
    }
    sb_u256 shares = sb_staking_shares(&v, &amount);
    *ret = sb_u256_lt(&d.shares, &shares) ? d.shares : shares;
    return SB_OK;
}

static sb_err delegate(struct stake *st, struct sb_diag *diag)
{
    struct sb_staking_session *s = &st->session;
    sb_addr operator_addr;
    sb_u256 amount;
    SB_TRY(sb_addr_parse(&operator_addr, operand(st, 0), diag));
    SB_TRY(sb_units_parse(&amount, operand(st, 1), SB_ETHER_DECIMALS, diag));
    sb_staking_begin(s, "delegate(address)", 1);
    sb_abi_put_addr(&s->args, &operator_addr);
    return sb_staking_send(s, &sb_staking_addr, &amount, diag);
}

static int cmd_delegate(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "stake delegate", "OPERATOR COINS --key 0xKEY [options]",
        "Delegate coins to a validator. They earn from the next block on, count for its power two "
        "blocks later, and\n"
        "are slashed with it.",
        "  samebit stake delegate 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 12.5 --key-file "
        "keys/alice.json\n"};
    return run(&k_usage, delegate, 2, 2, false, argc, argv);
}

static sb_err undelegate(struct stake *st, struct sb_diag *diag)
{
    struct sb_staking_session *s = &st->session;
    sb_addr operator_addr;
    sb_u256 shares;
    SB_TRY(sb_addr_parse(&operator_addr, operand(st, 0), diag));
    SB_TRY(shares_of(&shares, s, &operator_addr, operand(st, 1), diag));
    sb_staking_begin(s, "undelegate(address,uint256)", 2);
    sb_abi_put_addr(&s->args, &operator_addr);
    sb_abi_put_u256(&s->args, &shares);
    return sb_staking_send(s, &sb_staking_addr, NULL, diag);
}

static int cmd_undelegate(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "stake undelegate", "OPERATOR COINS|all --key 0xKEY [options]",
        "Take coins back from a validator. They earn nothing more, are paid out by samebit stake "
        "withdraw when the\n"
        "unbonding time is over, and answer until then for what the validator did before.",
        "  samebit stake undelegate 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 5 --key 0x...\n"
        "  samebit stake undelegate 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 all --key 0x...\n"};
    return run(&k_usage, undelegate, 2, 2, false, argc, argv);
}

static sb_err redelegate(struct stake *st, struct sb_diag *diag)
{
    struct sb_staking_session *s = &st->session;
    sb_addr from, to;
    sb_u256 shares;
    SB_TRY(sb_addr_parse(&from, operand(st, 0), diag));
    SB_TRY(sb_addr_parse(&to, operand(st, 1), diag));
    SB_TRY(shares_of(&shares, s, &from, operand(st, 2), diag));
    sb_staking_begin(s, "redelegate(address,address,uint256)", 3);
    sb_abi_put_addr(&s->args, &from);
    sb_abi_put_addr(&s->args, &to);
    sb_abi_put_u256(&s->args, &shares);
    return sb_staking_send(s, &sb_staking_addr, NULL, diag);
}

static int cmd_redelegate(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "stake redelegate", "FROM TO COINS|all --key 0xKEY [options]",
        "Move coins from one validator to another at once. Until the unbonding time is over they "
        "answer for both,\n"
        "and cannot be moved on.",
        "  samebit stake redelegate 0xFROM 0xTO 5 --key 0x...\n"};
    return run(&k_usage, redelegate, 3, 3, false, argc, argv);
}

/* ---- unbondings ---- */

static sb_err cancel(struct stake *st, struct sb_diag *diag)
{
    struct sb_staking_session *s = &st->session;
    uint64_t id;
    if (sb_decimal_parse(&id, operand(st, 0)) != SB_OK) {
        return sb_fail(diag, SB_E_SYNTAX,
                       "\"%.40s\" is not the number of an unbonding; samebit stake info lists them",
                       operand(st, 0));
    }
    sb_staking_begin(s, "cancelUnbonding(uint64)", 1);
    sb_abi_put_u64(&s->args, id);
    return sb_staking_send(s, &sb_staking_addr, NULL, diag);
}

static int cmd_cancel(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "stake cancel", "UNBONDING --key 0xKEY [options]",
        "Give an unbonding that is not complete back to the validator that it left.",
        "  samebit stake cancel 12 --key 0x...\n"};
    return run(&k_usage, cancel, 1, 1, false, argc, argv);
}

static sb_err withdraw(struct stake *st, struct sb_diag *diag)
{
    struct sb_staking_session *s = &st->session;
    sb_staking_begin(s, "withdrawUnbonded(uint256)", 1);
    sb_abi_put_u64(&s->args, WITHDRAW_MAX);
    return sb_staking_send(s, &sb_staking_addr, NULL, diag);
}

static int cmd_withdraw(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "stake withdraw", "--key 0xKEY [options]",
        "Pay the account's complete unbondings out, at most 100 at a time.",
        "  samebit stake withdraw --key 0x...\n"};
    return run(&k_usage, withdraw, 0, 0, false, argc, argv);
}

/* ---- rewards ---- */

/* operators_of: those to whom an account delegates. SB_E_LIMIT over CLAIM_OPERATORS_MAX. */
static sb_err operators_of(sb_addr ret[CLAIM_OPERATORS_MAX], size_t *ret_count,
                           struct sb_staking_session *s, const sb_addr *delegator,
                           struct sb_diag *diag)
{
    size_t count = 0;
    for (;;) {
        sb_bytes items;
        size_t n;
        SB_TRY(sb_staking_page(&items, &n, s, "delegations(address,uint256,uint256)", delegator,
                               count, DELEGATION_WORDS, diag));
        if (n == 0) {
            *ret_count = count;
            return SB_OK;
        }
        for (size_t i = 0; i < n; i++, count++) {
            struct delegation d;
            if (count == CLAIM_OPERATORS_MAX) {
                return sb_fail(diag, SB_E_LIMIT,
                               "the account delegates to more than %d validators: name those to "
                               "claim from",
                               CLAIM_OPERATORS_MAX);
            }
            SB_TRY(read_delegation(&d, items, i * DELEGATION_WORDS));
            ret[count] = d.operator_addr;
        }
    }
}

static sb_err pending_of(sb_u256 *ret, struct sb_staking_session *s, const sb_addr *delegator,
                         const sb_addr *operator_addr, struct sb_diag *diag)
{
    sb_staking_begin(s, "pendingRewards(address,address)", 2);
    sb_abi_put_addr(&s->args, delegator);
    sb_abi_put_addr(&s->args, operator_addr);
    return sb_staking_view_u256(ret, s, &sb_distribution_addr, diag);
}

static sb_err number_of(sb_u256 *ret, struct sb_staking_session *s, const char *signature,
                        const sb_addr *addr, struct sb_diag *diag)
{
    SB_TRY(sb_staking_view_of(s, &sb_distribution_addr, signature, addr, diag));
    return sb_abi_read_u256(ret, sb_buf_bytes(&s->output), 0);
}

static void add_reward(struct sb_staking_session *s, json_t *list, const sb_addr *operator_addr,
                       const sb_u256 *amount)
{
    char text[SB_ADDR_TEXT_BYTES];
    (void)json_array_append_new(list, json_pack("{s:o, s:o}", "operator",
                                                sb_staking_json_addr(operator_addr), "pending",
                                                sb_staking_json_u256(amount)));
    if (!s->json) {
        sb_addr_format(text, operator_addr);
        sb_buf_addf(&s->text, "%s  ", text);
        sb_text_coins(&s->text, amount);
        sb_staking_flush(s);
    }
}

static sb_err rewards_work(struct sb_staking_session *s, json_t *list, const sb_addr *delegator,
                           struct sb_diag *diag)
{
    sb_addr operators[CLAIM_OPERATORS_MAX];
    size_t count;
    sb_u256 sum, amount;
    SB_TRY(operators_of(operators, &count, s, delegator, diag));
    for (size_t i = 0; i < count; i++) {
        SB_TRY(pending_of(&amount, s, delegator, &operators[i], diag));
        add_reward(s, list, &operators[i], &amount);
    }
    SB_TRY(number_of(&sum, s, "settledRewards(address)", delegator, diag));
    sb_u256 commission = sb_u256_zero();
    if (number_of(&amount, s, "pendingCommission(address)", delegator, NULL) == SB_OK) {
        commission = amount; /* it is an operator */
    }
    if (s->json) {
        sb_staking_print_json(json_pack("{s:o, s:O, s:o, s:o}", "account",
                                        sb_staking_json_addr(delegator), "delegations", list,
                                        "settled", sb_staking_json_u256(&sum), "commission",
                                        sb_staking_json_u256(&commission)));
        return SB_OK;
    }
    sb_buf_add_str(&s->text, "settled before: ");
    sb_text_coins(&s->text, &sum);
    sb_buf_add_str(&s->text, "\ncommission: ");
    sb_text_coins(&s->text, &commission);
    sb_staking_flush(s);
    return SB_OK;
}

static sb_err rewards(struct stake *st, struct sb_diag *diag)
{
    sb_addr delegator;
    SB_TRY(sb_staking_account(&delegator, &st->session, operand(st, 0), diag));
    json_t *list = json_array();
    sb_err err = rewards_work(&st->session, list, &delegator, diag);
    json_decref(list);
    return err;
}

static int cmd_rewards(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "stake rewards", "[ACCOUNT] [options]",
        "What an account has earned and not claimed, validator by validator, and the commission of "
        "its own.",
        "  samebit stake rewards 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n"
        "  samebit stake rewards --key-file keys/alice.json --json\n"};
    return run(&k_usage, rewards, 0, 1, false, argc, argv);
}

static sb_err claim(struct stake *st, struct sb_diag *diag)
{
    struct sb_staking_session *s = &st->session;
    sb_addr operators[CLAIM_OPERATORS_MAX];
    size_t count = st->operands.count;
    SB_TRY(sb_staking_unlock(s, diag));
    for (size_t i = 0; i < count; i++) {
        SB_TRY(sb_addr_parse(&operators[i], operand(st, i), diag));
    }
    if (count == 0) {
        SB_TRY(operators_of(operators, &count, s, &s->wallet.addr, diag));
    }
    struct sb_abi_writer list;
    sb_staking_begin(s, "claimRewards(address[])", 1);
    sb_abi_put_array(&list, &s->args, count, 1);
    for (size_t i = 0; i < count; i++) {
        sb_abi_put_addr(&list, &operators[i]);
    }
    sb_abi_end(&list);
    SB_TRY(sb_staking_send(s, &sb_distribution_addr, NULL, diag));
    if (st->commission) {
        sb_staking_begin(s, "claimCommission()", 0);
        SB_TRY(sb_staking_send(s, &sb_distribution_addr, NULL, diag));
    }
    return SB_OK;
}

static int cmd_claim(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "stake claim", "[OPERATOR]... --key 0xKEY [options]",
        "Pay rewards to the account: from the validators named, or from all to whom it delegates. "
        "With --commission\n"
        "a second transaction pays the commission of its validator.",
        "  samebit stake claim --key 0x...\n"
        "  samebit stake claim --commission --key-file keys/operator.json\n"};
    return run(&k_usage, claim, 0, CLAIM_OPERATORS_MAX, true, argc, argv);
}

/* ---- info ---- */

/* One list of an account, page by page; read appends a line to the text and an object to the list for the item at word i. */
struct list {
    const char *title, *signature;
    size_t words_each;
    sb_err (*read)(struct sb_staking_session *, json_t *, sb_bytes, size_t);
};

static void add_addr(struct sb_buf *out, const sb_addr *addr)
{
    char text[SB_ADDR_TEXT_BYTES];
    sb_addr_format(text, addr);
    sb_buf_add_str(out, text);
}

static sb_err add_delegation(struct sb_staking_session *s, json_t *list, sb_bytes items, size_t i)
{
    struct delegation d;
    SB_TRY(read_delegation(&d, items, i));
    sb_buf_add_str(&s->text, "\n  ");
    add_addr(&s->text, &d.operator_addr);
    sb_buf_add_str(&s->text, "  ");
    sb_text_coins(&s->text, &d.tokens);
    sb_buf_add_str(&s->text, " coins");
    (void)json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o}", "operator",
                                                sb_staking_json_addr(&d.operator_addr), "tokens",
                                                sb_staking_json_u256(&d.tokens), "shares",
                                                sb_staking_json_u256(&d.shares), "transitShares",
                                                sb_staking_json_u256(&d.transit_shares)));
    return SB_OK;
}

static sb_err add_unbonding(struct sb_staking_session *s, json_t *list, sb_bytes items, size_t i)
{
    uint64_t id, completion;
    sb_addr operator_addr;
    sb_u256 amount, payable;
    SB_TRY(sb_abi_read_u64(&id, items, i));
    SB_TRY(sb_abi_read_addr(&operator_addr, items, i + 1));
    SB_TRY(sb_abi_read_u256(&amount, items, i + 2));
    SB_TRY(sb_abi_read_u256(&payable, items, i + 3));
    SB_TRY(sb_abi_read_u64(&completion, items, i + 5));
    sb_buf_addf(&s->text, "\n  %llu  ", (unsigned long long)id);
    add_addr(&s->text, &operator_addr);
    sb_buf_add_str(&s->text, "  ");
    sb_text_coins(&s->text, &payable);
    sb_buf_add_str(&s->text, " coins");
    if (sb_u256_lt(&payable, &amount)) {
        sb_buf_add_str(&s->text, " left of ");
        sb_text_coins(&s->text, &amount);
    }
    sb_buf_add_str(&s->text, completion <= s->now ? ", complete since " : ", complete ");
    sb_text_time(&s->text, completion, s->now);
    (void)json_array_append_new(list, json_pack("{s:I, s:o, s:o, s:o, s:I}", "id", (json_int_t)id,
                                                "operator", sb_staking_json_addr(&operator_addr),
                                                "amount", sb_staking_json_u256(&amount), "payable",
                                                sb_staking_json_u256(&payable), "completion",
                                                (json_int_t)completion));
    return SB_OK;
}

static sb_err read_list(json_t *ret_list, struct sb_staking_session *s, const struct list *list,
                        const sb_addr *delegator, struct sb_diag *diag)
{
    sb_buf_addf(&s->text, "%s:", list->title);
    for (uint64_t offset = 0;;) {
        sb_bytes items;
        size_t n;
        SB_TRY(sb_staking_page(&items, &n, s, list->signature, delegator, offset, list->words_each,
                               diag));
        for (size_t i = 0; i < n; i++) {
            SB_TRY(list->read(s, ret_list, items, i * list->words_each));
        }
        offset += n;
        if (n < SB_STAKING_PAGE) {
            sb_buf_add_str(&s->text, offset == 0 ? " none\n" : "\n");
            return SB_OK;
        }
    }
}

/* add_redelegations: those to one validator that are not complete. */
static sb_err add_redelegations(struct sb_staking_session *s, json_t *list,
                                const sb_addr *delegator, const sb_addr *to, struct sb_diag *diag)
{
    sb_bytes items;
    size_t n;
    sb_staking_begin(s, "redelegations(address,address)", 2);
    sb_abi_put_addr(&s->args, delegator);
    sb_abi_put_addr(&s->args, to);
    SB_TRY(sb_staking_view(s, &sb_staking_addr, diag));
    SB_TRY(sb_abi_read_array(&items, &n, sb_buf_bytes(&s->output), 0, REDELEGATION_WORDS,
                             REDELEGATIONS_MAX));
    for (size_t i = 0; i < n; i++) {
        sb_addr from;
        sb_u256 shares;
        uint64_t completion;
        SB_TRY(sb_abi_read_addr(&from, items, i * REDELEGATION_WORDS));
        SB_TRY(sb_abi_read_u256(&shares, items, i * REDELEGATION_WORDS + 2));
        SB_TRY(sb_abi_read_u64(&completion, items, i * REDELEGATION_WORDS + 4));
        sb_buf_add_str(&s->text, "\n  ");
        sb_text_coins(&s->text, &shares);
        sb_buf_add_str(&s->text, " shares of ");
        add_addr(&s->text, to);
        sb_buf_add_str(&s->text, " answer for ");
        add_addr(&s->text, &from);
        sb_buf_add_str(&s->text, " until ");
        sb_text_time(&s->text, completion, s->now);
        (void)json_array_append_new(
            list, json_pack("{s:o, s:o, s:o, s:I}", "from", sb_staking_json_addr(&from), "to",
                            sb_staking_json_addr(to), "shares", sb_staking_json_u256(&shares),
                            "completion", (json_int_t)completion));
    }
    return SB_OK;
}

/* list_redelegations: at all validators where a delegation has shares in transit. */
static sb_err list_redelegations(struct sb_staking_session *s, json_t *out,
                                 const sb_addr *delegator, struct sb_diag *diag)
{
    size_t i;
    const json_t *entry;
    json_t *list = json_array();
    (void)json_object_set_new(out, "redelegations", list);
    sb_buf_add_str(&s->text, "redelegations:");
    json_array_foreach(json_object_get(out, "delegations"), i, entry)
    {
        sb_addr to;
        if (strcmp(json_string_value(json_object_get(entry, "transitShares")), "0") != 0) {
            SB_TRY(sb_addr_parse(&to, json_string_value(json_object_get(entry, "operator")), diag));
            SB_TRY(add_redelegations(s, list, delegator, &to, diag));
        }
    }
    sb_buf_add_str(&s->text, json_array_size(list) == 0 ? " none\n" : "\n");
    return SB_OK;
}

static sb_err info_work(struct sb_staking_session *s, json_t *out, const sb_addr *delegator,
                        struct sb_diag *diag)
{
    static const struct list k_lists[] = {
        {"delegations", "delegations(address,uint256,uint256)", DELEGATION_WORDS, add_delegation},
        {"unbondings", "unbondings(address,uint256,uint256)", UNBONDING_WORDS, add_unbonding},
    };
    sb_u256 settled;
    sb_buf_reset(&s->text);
    for (size_t i = 0; i < sizeof k_lists / sizeof k_lists[0]; i++) {
        json_t *list = json_array();
        (void)json_object_set_new(out, k_lists[i].title, list);
        SB_TRY(read_list(list, s, &k_lists[i], delegator, diag));
    }
    SB_TRY(list_redelegations(s, out, delegator, diag));
    SB_TRY(number_of(&settled, s, "settledRewards(address)", delegator, diag));
    sb_buf_add_str(&s->text, "settled rewards: ");
    sb_text_coins(&s->text, &settled);
    (void)json_object_set_new(out, "settledRewards", sb_staking_json_u256(&settled));
    return SB_OK;
}

static sb_err info(struct stake *st, struct sb_diag *diag)
{
    struct sb_staking_session *s = &st->session;
    sb_addr delegator;
    SB_TRY(sb_staking_account(&delegator, s, operand(st, 0), diag));
    json_t *out = json_pack("{s:o}", "account", sb_staking_json_addr(&delegator));
    sb_err err = info_work(s, out, &delegator, diag);
    if (err == SB_OK && s->json) {
        sb_staking_print_json(json_incref(out));
    } else if (err == SB_OK) {
        sb_staking_flush(s);
    }
    json_decref(out);
    return err;
}

static int cmd_info(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "stake info", "[ACCOUNT] [options]",
        "What an account has at stake: delegations, unbondings with the time at which they are "
        "paid "
        "out, redelegations\n"
        "that are not complete, rewards that are settled.",
        "  samebit stake info 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n"
        "  samebit stake info --key-file keys/alice.json --json\n"};
    return run(&k_usage, info, 0, 1, false, argc, argv);
}

/* ---- numbers in force ---- */

struct param {
    const char *name, *text;
};

static const struct param k_params[] = {
#define SB_STAKING_PARAM(field, json_name, default_value, min, max, text) {json_name, text},
#include "base/types/staking_params.def"
#undef SB_STAKING_PARAM
};

static sb_err read_param(sb_u256 *ret, struct sb_staking_session *s, size_t i, struct sb_diag *diag)
{
    char slot[16];
    (void)snprintf(slot, sizeof slot, "0x%zx", i + SB_STAKING_PARAMS_SLOT);
    json_t *addr = sb_json_data(sb_span(sb_params_addr.b, sizeof sb_params_addr.b));
    sb_buf_reset(&s->output);
    SB_TRY(sb_rpc_client_data(&s->output, &s->client, "eth_getStorageAt",
                              json_pack("[o, s, s]", addr, slot, "latest"), diag));
    return sb_abi_read_u256(ret, sb_buf_bytes(&s->output), 0);
}

static sb_err params_work(struct sb_staking_session *s, json_t *out, struct sb_diag *diag)
{
    for (size_t i = 0; i < SB_STAKING_PARAMS_COUNT; i++) {
        sb_u256 value;
        SB_TRY(read_param(&value, s, i, diag));
        const char *name = k_params[i].name;
        uint64_t number = sb_u256_sat_u64(&value);
        (void)json_object_set_new(out, name, json_integer((json_int_t)number));
        if (!s->json) {
            sb_buf_addf(&s->text, "%-22s %10llu  %s", name, (unsigned long long)number,
                        k_params[i].text);
            sb_staking_flush(s);
        }
    }
    return SB_OK;
}

static sb_err params(struct stake *st, struct sb_diag *diag)
{
    json_t *out = json_object();
    sb_err err = params_work(&st->session, out, diag);
    if (err == SB_OK && st->session.json) {
        sb_staking_print_json(json_incref(out));
    }
    json_decref(out);
    return err;
}

static int cmd_params(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "stake params", "[options]",
        "The numbers in force: unbonding time, slashes, jail, inflation. The governor may change "
        "them.",
        "  samebit stake params\n"
        "  samebit stake params --json --rpc http://127.0.0.1:9545\n"};
    return run(&k_usage, params, 0, 0, false, argc, argv);
}

int sb_cmd_stake(int argc, char **argv)
{
    static const struct sb_command k_commands[] = {
        {"delegate", "delegate coins to a validator", cmd_delegate},
        {"undelegate", "take coins back, to be paid out after the unbonding time", cmd_undelegate},
        {"redelegate", "move coins from one validator to another", cmd_redelegate},
        {"cancel", "give an unbonding back to its validator", cmd_cancel},
        {"withdraw", "pay complete unbondings out", cmd_withdraw},
        {"rewards", "what an account has earned", cmd_rewards},
        {"claim", "pay rewards, and commission, out", cmd_claim},
        {"info", "what an account has at stake", cmd_info},
        {"params", "the numbers in force", cmd_params},
    };
    return sb_command_run("stake", k_commands, sizeof k_commands / sizeof k_commands[0], argc,
                          argv);
}
