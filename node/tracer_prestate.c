/* tracer_prestate.c: what a transaction reads and writes, as it was before, and in diff mode as it is after (geth's prestateTracer).
 *
 *     plain     {address: {balance, nonce, code, storage: {slot: value}}}
 *     diffMode  {pre: {changed accounts, changed fields}, post: {the same after}}
 *
 * An account is read at its first touch, which comes before any change of it: sender, callee and coinbase before the transaction, all
 * others when an instruction names them or a message is about to reach them. */
#include "base/codec/hex.h"
#include "node/tracer.h"
#include "vm/evm/opcodes.h"

#define KEY_TEXT_BYTES SB_HEX_TEXT_BYTES(sizeof(sb_hash))

/* ---- gathering ---- */

static void touch(struct sb_tx_tracer *t, const sb_addr *addr)
{
    bool is_new;
    struct sb_access_account *account = sb_access_set_account(&t->touched, addr, &is_new);
    if (account == NULL || !is_new) {
        return;
    }
    account->before.exists = sb_overlay_exists(t->state, addr);
    account->before.balance = sb_overlay_balance(t->state, addr);
    account->before.nonce = sb_overlay_nonce(t->state, addr);
    account->before.code = sb_overlay_code(t->state, addr);
}

static void touch_slot(struct sb_tx_tracer *t, const sb_addr *addr, const sb_u256 *word)
{
    bool is_new;
    sb_hash key = sb_trace_word_hash(word);
    touch(t, addr);
    struct sb_access_slot *slot = sb_access_set_slot(&t->touched, addr, &key, &is_new);
    if (slot != NULL && is_new) {
        slot->before = sb_overlay_slot_original(t->state, addr, &key);
    }
}

static void on_step(void *ctx, const struct sb_trace_step *step)
{
    struct sb_tx_tracer *t = ctx;
    const sb_u256 *top = step->stack + step->stack_count;
    sb_addr addr;
    switch (step->opcode) {
    case SB_OP_SLOAD:
    case SB_OP_SSTORE:
        if (step->stack_count >= 1) {
            touch_slot(t, step->address, &top[-1]);
        }
        break;
    case SB_OP_BALANCE:
    case SB_OP_EXTCODESIZE:
    case SB_OP_EXTCODECOPY:
    case SB_OP_EXTCODEHASH:
    case SB_OP_SELFDESTRUCT:
        if (step->stack_count >= 1) {
            addr = sb_trace_word_addr(&top[-1]);
            touch(t, &addr);
        }
        break;
    case SB_OP_CALL:
    case SB_OP_CALLCODE:
    case SB_OP_DELEGATECALL:
    case SB_OP_STATICCALL:
        if (step->stack_count >= 5) {
            addr = sb_trace_word_addr(&top[-2]);
            touch(t, &addr);
        }
        break;
    default:
        break;
    }
}

static void on_enter(void *ctx, const struct sb_message *message, int depth)
{
    struct sb_tx_tracer *t = ctx;
    (void)depth;
    if (message->kind == SB_CREATE || message->kind == SB_CREATE2) {
        touch(t, &message->recipient);
        (void)sb_access_set_account(&t->created, &message->recipient, NULL);
    }
}

struct sb_tracer sb_prestate_hooks(struct sb_tx_tracer *t)
{
    return (struct sb_tracer){.ctx = t, .step = on_step, .enter = on_enter};
}

void sb_prestate_begin(struct sb_tx_tracer *t, const sb_addr *sender)
{
    touch(t, sender);
    if (!t->tx->is_create) {
        touch(t, &t->tx->to);
    }
    touch(t, &t->coinbase);
    for (size_t i = 0; i < t->tx->authorization_count; i++) {
        sb_addr authority;
        if (sb_authorization_authority(&authority, &t->tx->authorizations[i]) == SB_OK) {
            touch(t, &authority);
        }
    }
}

/* ---- writing ---- */

static void put_key_hash(struct sb_json *out, const sb_hash *hash)
{
    char text[KEY_TEXT_BYTES];
    sb_json_key(out, sb_hex_format(text, sb_span(hash->b, sizeof hash->b)));
}

static void put_key_addr(struct sb_json *out, const sb_addr *addr)
{
    char text[KEY_TEXT_BYTES];
    sb_json_key(out, sb_hex_format(text, sb_span(addr->b, sizeof addr->b)));
}

static void put_slot(struct sb_json *out, const sb_hash *key, const sb_u256 *value)
{
    sb_hash word = sb_trace_word_hash(value);
    put_key_hash(out, key);
    sb_json_hash(out, &word);
}

static bool was_empty(const struct sb_access_account *a)
{
    return a->before.nonce == 0 && sb_u256_is_zero(&a->before.balance) && a->before.code.len == 0;
}

/* is_new_contract: made by the transaction where nothing was: it has no state before. */
static bool is_new_contract(struct sb_tx_tracer *t, const struct sb_access_account *a)
{
    for (const struct sb_access_account *c = t->created.first; c != NULL; c = c->next) {
        if (sb_addr_equal(&c->addr, &a->addr)) {
            return was_empty(a);
        }
    }
    return false;
}

/* Which part of the slots an object shows. */
enum slots_shown { SLOTS_ALL, SLOTS_CHANGED_BEFORE, SLOTS_CHANGED_AFTER };

static bool slot_shown(struct sb_tx_tracer *t, const struct sb_access_slot *s,
                       enum slots_shown which, sb_u256 *ret_value)
{
    sb_u256 after = sb_overlay_slot(t->state, &s->addr, &s->key);
    *ret_value = which == SLOTS_CHANGED_AFTER ? after : s->before;
    if (which == SLOTS_ALL) {
        return true;
    }
    return sb_u256_cmp(&after, &s->before) != 0 && !sb_u256_is_zero(ret_value);
}

static void write_slots(struct sb_tx_tracer *t, const struct sb_access_account *a,
                        enum slots_shown which)
{
    bool begun = false;
    for (const struct sb_access_slot *s = a->first; s != NULL; s = s->next) {
        sb_u256 value;
        if (!slot_shown(t, s, which, &value)) {
            continue;
        }
        if (!begun) {
            sb_json_key(t->out, "storage");
            sb_json_object_begin(t->out);
            begun = true;
        }
        put_slot(t->out, &s->key, &value);
    }
    if (begun) {
        sb_json_object_end(t->out);
    }
}

static void write_before(struct sb_tx_tracer *t, const struct sb_access_account *a,
                         enum slots_shown which)
{
    struct sb_json *out = t->out;
    put_key_addr(out, &a->addr);
    sb_json_object_begin(out);
    sb_json_key(out, "balance");
    sb_json_quantity_u256(out, &a->before.balance);
    if (a->before.code.len != 0) {
        sb_json_key(out, "code");
        sb_json_hex(out, a->before.code);
    }
    if (a->before.nonce != 0) {
        sb_json_key(out, "nonce");
        sb_json_u64(out, a->before.nonce);
    }
    write_slots(t, a, which);
    sb_json_object_end(out);
}

static bool has_changed_slot(struct sb_tx_tracer *t, const struct sb_access_account *a)
{
    for (const struct sb_access_slot *s = a->first; s != NULL; s = s->next) {
        sb_u256 after = sb_overlay_slot(t->state, &s->addr, &s->key);
        if (sb_u256_cmp(&after, &s->before) != 0) {
            return true;
        }
    }
    return false;
}

static bool has_changed(struct sb_tx_tracer *t, const struct sb_access_account *a)
{
    sb_u256 balance = sb_overlay_balance(t->state, &a->addr);
    return sb_u256_cmp(&balance, &a->before.balance) != 0 ||
           sb_overlay_nonce(t->state, &a->addr) != a->before.nonce ||
           !sb_span_equal(sb_overlay_code(t->state, &a->addr), a->before.code) ||
           has_changed_slot(t, a);
}

/* write_after: only what differs. */
static void write_after(struct sb_tx_tracer *t, const struct sb_access_account *a)
{
    struct sb_json *out = t->out;
    sb_u256 balance = sb_overlay_balance(t->state, &a->addr);
    uint64_t nonce = sb_overlay_nonce(t->state, &a->addr);
    sb_bytes code = sb_overlay_code(t->state, &a->addr);
    put_key_addr(out, &a->addr);
    sb_json_object_begin(out);
    if (sb_u256_cmp(&balance, &a->before.balance) != 0) {
        sb_json_key(out, "balance");
        sb_json_quantity_u256(out, &balance);
    }
    if (!sb_span_equal(code, a->before.code)) {
        sb_json_key(out, "code");
        sb_json_hex(out, code);
    }
    if (nonce != a->before.nonce) {
        sb_json_key(out, "nonce");
        sb_json_u64(out, nonce);
    }
    write_slots(t, a, SLOTS_CHANGED_AFTER);
    sb_json_object_end(out);
}

static void write_diff(struct sb_tx_tracer *t)
{
    const struct sb_access_account *first = t->touched.first;
    sb_json_object_begin(t->out);
    sb_json_key(t->out, "pre");
    sb_json_object_begin(t->out);
    for (const struct sb_access_account *a = first; a != NULL; a = a->next) {
        if (has_changed(t, a) && !is_new_contract(t, a)) {
            write_before(t, a, SLOTS_CHANGED_BEFORE);
        }
    }
    sb_json_object_end(t->out);
    sb_json_key(t->out, "post");
    sb_json_object_begin(t->out);
    for (const struct sb_access_account *a = first; a != NULL; a = a->next) {
        bool is_gone = a->before.exists && !sb_overlay_exists(t->state, &a->addr);
        if (has_changed(t, a) && !is_gone) {
            write_after(t, a);
        }
    }
    sb_json_object_end(t->out);
    sb_json_object_end(t->out);
}

void sb_prestate_end(struct sb_tx_tracer *t)
{
    if (t->config->diff_mode) {
        write_diff(t);
        return;
    }
    sb_json_object_begin(t->out);
    for (const struct sb_access_account *a = t->touched.first; a != NULL; a = a->next) {
        if (!is_new_contract(t, a)) {
            write_before(t, a, SLOTS_ALL);
        }
    }
    sb_json_object_end(t->out);
}
