/* test_overlay.c: the journaled state against a naive model that is copied whole at each checkpoint, and single facts.
 *
 * The model's universe is small (6 accounts, 5 slots, 3 codes), so that random operations meet each other often. */
#include "vm/state/overlay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/crypto/keccak.h"
#include "tests/support/memory_state.h"
#include "tests/support/random.h"
#include "vm/state/table.h"

#define ADDRS           6
#define KEYS            5
#define CODES           3
#define ITEMS           3 /* blobs and models */
#define CHECKPOINTS_MAX 8
#define INFERENCES_MAX  64
#define LIMIT_BYTES     ((size_t)64 << 20)

static const char *const k_codes[CODES] = {"", "\x60\x01", "\x60\x02\x00"};

struct model_account {
    bool exists, created, destroyed, touched, warm;
    uint64_t nonce;
    uint64_t balance;
    int code;
    uint64_t slot[KEYS], original[KEYS], transient[KEYS];
    bool warm_slot[KEYS];
};

struct model {
    struct model_account account[ADDRS];
    bool warm_model[ITEMS], blob[ITEMS];
    int64_t refund;
    size_t log_count, inference_count;
    uint32_t inferences[INFERENCES_MAX]; /* marks */
};

static sb_addr addr_of(size_t i)
{
    sb_addr a = {.b = {[0] = (uint8_t)(17 * (ADDRS - i)), [19] = (uint8_t)(0x40 + i)}};
    return a;
}

static sb_hash id_of(size_t i)
{
    sb_hash h = {.b = {[0] = (uint8_t)(31 * (KEYS - i)), [31] = (uint8_t)(i + 1)}};
    return h;
}

static sb_bytes code_of(int i)
{
    return sb_span_str(k_codes[i]);
}

static bool model_is_empty(const struct model_account *a)
{
    return a->nonce == 0 && a->balance == 0 && a->code == 0;
}

static struct model_account *model_write(struct model *m, size_t i)
{
    m->account[i].exists = true;
    m->account[i].touched = true;
    return &m->account[i];
}

static void model_tx_begin(struct model *m)
{
    for (size_t i = 0; i < ADDRS; i++) {
        struct model_account *a = &m->account[i];
        a->created = a->destroyed = a->touched = a->warm = false;
        for (size_t k = 0; k < KEYS; k++) {
            a->original[k] = a->slot[k];
            a->transient[k] = 0;
            a->warm_slot[k] = false;
        }
    }
    memset(m->warm_model, 0, sizeof m->warm_model);
    m->refund = 0;
    m->log_count = 0;
    m->inference_count = 0;
}

static void model_tx_end(struct model *m, bool removes_empty)
{
    for (size_t i = 0; i < ADDRS; i++) {
        struct model_account *a = &m->account[i];
        if (a->exists && (a->destroyed || (removes_empty && a->touched && model_is_empty(a)))) {
            *a = (struct model_account){.exists = false};
        }
    }
}

static void compare(struct sb_overlay *o, const struct model *m)
{
    for (size_t i = 0; i < ADDRS; i++) {
        const struct model_account *want = &m->account[i];
        sb_addr a = addr_of(i);
        sb_u256 balance = sb_overlay_balance(o, &a);
        assert_int_equal(sb_overlay_exists(o, &a), want->exists);
        assert_int_equal(sb_overlay_is_empty(o, &a), model_is_empty(want));
        assert_int_equal(sb_overlay_nonce(o, &a), want->nonce);
        assert_int_equal(balance.w[0], want->balance);
        assert_true(sb_span_equal(sb_overlay_code(o, &a), code_of(want->code)));
        assert_int_equal(sb_overlay_created_in_tx(o, &a), want->created);
        assert_int_equal(sb_overlay_is_warm_addr(o, &a), want->warm);
        for (size_t k = 0; k < KEYS; k++) {
            sb_hash key = id_of(k);
            sb_u256 slot = sb_overlay_slot(o, &a, &key);
            sb_u256 original = sb_overlay_slot_original(o, &a, &key);
            sb_u256 transient = sb_overlay_transient(o, &a, &key);
            assert_int_equal(slot.w[0], want->slot[k]);
            assert_int_equal(original.w[0], want->original[k]);
            assert_int_equal(transient.w[0], want->transient[k]);
            assert_int_equal(sb_overlay_is_warm_slot(o, &a, &key), want->warm_slot[k]);
            assert_true(want->slot[k] == 0 || sb_overlay_has_storage(o, &a));
        }
    }
    for (size_t i = 0; i < ITEMS; i++) {
        sb_hash id = id_of(i);
        assert_int_equal(sb_overlay_blob(o, &id).data != NULL, m->blob[i]);
    }
    size_t log_count = 0;
    (void)sb_overlay_logs(o, &log_count);
    assert_int_equal(log_count, m->log_count);
    size_t inference_count = 0;
    const struct sb_inference_record *records = sb_overlay_inferences(o, &inference_count);
    assert_int_equal(inference_count, m->inference_count);
    for (size_t i = 0; i < inference_count; i++) {
        assert_int_equal(records[i].index, m->inferences[i]);
    }
    assert_int_equal(sb_overlay_refund(o), m->refund);
    assert_int_equal(sb_overlay_err(o), SB_OK);
}

static void operate_account(struct sb_overlay *o, struct model *m, struct sb_random *random,
                            bool removes_empty)
{
    size_t i = sb_random_below(random, ADDRS);
    sb_addr a = addr_of(i);
    uint64_t n = sb_random_below(random, 3);
    sb_u256 value = sb_u256_from_u64(n);
    switch (sb_random_below(random, 8)) {
    case 0:
        sb_overlay_balance_set(o, &a, &value);
        model_write(m, i)->balance = n;
        break;
    case 1:
        sb_overlay_balance_add(o, &a, &value);
        model_write(m, i)->balance += n;
        break;
    case 2:
        value = sb_u256_from_u64(m->account[i].balance);
        sb_overlay_balance_sub(o, &a, &value);
        model_write(m, i)->balance = 0;
        break;
    case 3:
        sb_overlay_nonce_set(o, &a, n);
        model_write(m, i)->nonce = n;
        break;
    case 4:
        sb_overlay_code_set(o, &a, code_of((int)n));
        model_write(m, i)->code = (int)n;
        break;
    case 5: {
        sb_overlay_create(o, &a);
        struct model_account *w = model_write(m, i);
        w->created = true;
        w->nonce = 0;
        w->code = 0;
        memset(w->slot, 0, sizeof w->slot);
        break;
    }
    case 6:
        assert_int_equal(sb_overlay_destroy(o, &a), !m->account[i].destroyed);
        if (!m->account[i].destroyed) {
            model_write(m, i)->destroyed = true;
        }
        break;
    default:
        sb_overlay_touch(o, &a);
        if (removes_empty ? m->account[i].exists : !m->account[i].exists) {
            (void)model_write(m, i);
        }
        break;
    }
}

static void operate_slot(struct sb_overlay *o, struct model *m, struct sb_random *random)
{
    size_t i = sb_random_below(random, ADDRS);
    size_t k = sb_random_below(random, KEYS);
    sb_addr a = addr_of(i);
    sb_hash key = id_of(k);
    uint64_t n = sb_random_below(random, 3);
    sb_u256 value = sb_u256_from_u64(n);
    struct model_account *w = &m->account[i];
    switch (sb_random_below(random, 8)) {
    case 0:
    case 1:
    case 2:
        sb_overlay_slot_set(o, &a, &key, &value);
        w->exists = true;
        w->slot[k] = n;
        break;
    case 3:
        sb_overlay_storage_clear(o, &a);
        memset(w->slot, 0, sizeof w->slot);
        break;
    case 4:
        sb_overlay_transient_set(o, &a, &key, &value);
        w->transient[k] = n;
        break;
    case 5:
        assert_int_equal(sb_overlay_warm_addr(o, &a), w->warm);
        w->warm = true;
        break;
    default:
        assert_int_equal(sb_overlay_warm_slot(o, &a, &key), w->warm_slot[k]);
        w->warm_slot[k] = true;
        break;
    }
}

static void operate_item(struct sb_overlay *o, struct model *m, struct sb_random *random)
{
    size_t i = sb_random_below(random, ITEMS);
    sb_hash id = id_of(i);
    switch (sb_random_below(random, 6)) {
    case 0:
        sb_overlay_blob_put(o, &id, sb_span(id.b, sizeof id.b));
        m->blob[i] = true;
        break;
    case 1:
        sb_overlay_blob_release(o, &id);
        m->blob[i] = false;
        break;
    case 2:
        assert_int_equal(sb_overlay_warm_model(o, &id), m->warm_model[i]);
        m->warm_model[i] = true;
        break;
    case 3: {
        struct sb_log log = {
            .addr = addr_of(0), .topics = {id}, .topic_count = 1, .data = sb_span(id.b, 5)};
        sb_overlay_log(o, &log);
        m->log_count++;
        break;
    }
    case 4:
        if (m->inference_count < INFERENCES_MAX) {
            uint32_t mark = (uint32_t)sb_random_u64(random);
            sb_overlay_inference(o, &(struct sb_inference_record){.index = mark});
            m->inferences[m->inference_count++] = mark;
        }
        break;
    default:
        sb_overlay_refund_add(o, (int64_t)i - 1);
        m->refund += (int64_t)i - 1;
        break;
    }
}

/* The base state: half of the accounts, one of them with code and slots, and one blob. */
static void base_fill(struct sb_memory_state *s, struct model *m)
{
    for (size_t i = 0; i < ADDRS; i += 2) {
        sb_addr a = addr_of(i);
        sb_u256 balance = sb_u256_from_u64(i);
        int code = i == 2 ? 1 : 0;
        sb_memory_state_set_account(s, &a, i / 2, &balance, code_of(code));
        m->account[i] =
            (struct model_account){.exists = true, .nonce = i / 2, .balance = i, .code = code};
        for (size_t k = 0; i == 2 && k < KEYS; k += 2) {
            sb_hash key = id_of(k);
            sb_u256 value = sb_u256_from_u64(k + 1);
            sb_memory_state_set_slot(s, &a, &key, &value);
            m->account[i].slot[k] = k + 1;
        }
    }
    sb_hash id = id_of(0);
    sb_memory_state_set_blob(s, &id, sb_span(id.b, sizeof id.b));
    m->blob[0] = true;
    model_tx_begin(m);
}

static void assert_diff_is_sorted(const struct sb_state_diff *diff)
{
    for (size_t i = 0; i < diff->account_count; i++) {
        const struct sb_account_diff *d = &diff->accounts[i];
        assert_true(i == 0 || memcmp(diff->accounts[i - 1].addr.b, d->addr.b, 20) < 0);
        for (size_t k = 1; k < d->slot_count; k++) {
            assert_true(memcmp(d->slots[k - 1].key.b, d->slots[k].key.b, 32) < 0);
        }
    }
    for (size_t i = 1; i < diff->blob_count; i++) {
        assert_true(memcmp(diff->blobs[i - 1].id.b, diff->blobs[i].id.b, 32) < 0);
    }
}

/* Apply the overlay's diff to the base and read everything back through a fresh overlay. */
static void compare_diff(struct sb_memory_state *s, struct sb_overlay *o, const struct model *m,
                         const struct sb_rules *rules)
{
    struct sb_arena arena;
    sb_arena_init(&arena, LIMIT_BYTES);
    struct sb_state_diff diff;
    assert_int_equal(sb_overlay_diff(&diff, o, &arena), SB_OK);
    assert_diff_is_sorted(&diff);
    sb_memory_state_apply(s, &diff);
    struct sb_state_view view = sb_memory_state_view(s);
    struct sb_overlay *fresh = sb_overlay_new(&view, rules, LIMIT_BYTES);
    assert_non_null(fresh);
    struct model started = *m;
    model_tx_begin(&started);
    compare(fresh, &started);
    assert_int_equal(sb_overlay_diff(&diff, fresh, &arena), SB_OK);
    assert_int_equal(diff.account_count, 0);
    assert_int_equal(diff.blob_count, 0);
    sb_overlay_free(fresh);
    sb_arena_fini(&arena);
}

static void run_random(struct sb_random *random, enum sb_revision revision)
{
    struct sb_rules rules = sb_rules_make(SB_PROFILE_ETHEREUM, revision, 1);
    bool removes_empty = revision >= SB_REV_SPURIOUS_DRAGON;
    struct sb_memory_state *s = sb_memory_state_new();
    struct model m = {.refund = 0};
    base_fill(s, &m);
    struct sb_state_view view = sb_memory_state_view(s);
    struct sb_overlay *o = sb_overlay_new(&view, &rules, LIMIT_BYTES);
    assert_non_null(o);
    struct model saved[CHECKPOINTS_MAX];
    sb_checkpoint checkpoints[CHECKPOINTS_MAX];
    size_t depth = 0;
    for (int step = 0; step < 300; step++) {
        switch (sb_random_below(random, 12)) {
        case 0:
            if (depth < CHECKPOINTS_MAX) {
                saved[depth] = m;
                checkpoints[depth++] = sb_overlay_checkpoint(o);
            }
            break;
        case 1:
            if (depth != 0) {
                depth -= 1 + sb_random_below(random, depth);
                sb_overlay_rollback(o, checkpoints[depth]);
                m = saved[depth];
            }
            break;
        case 2:
            if (sb_random_below(random, 4) == 0) {
                depth = 0;
                sb_overlay_tx_end(o);
                model_tx_end(&m, removes_empty);
                sb_overlay_tx_begin(o);
                model_tx_begin(&m);
            }
            break;
        case 3:
        case 4:
        case 5:
        case 6:
            operate_account(o, &m, random, removes_empty);
            break;
        case 7:
            operate_item(o, &m, random);
            break;
        default:
            operate_slot(o, &m, random);
            break;
        }
        compare(o, &m);
    }
    compare_diff(s, o, &m, &rules);
    sb_overlay_free(o);
    sb_memory_state_free(s);
}

static void overlay_random_operations_equal_the_copied_model(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("overlay_random_operations_equal_the_copied_model");
    for (int i = 0; i < 150; i++) {
        run_random(&random, i % 3 == 0 ? SB_REV_HOMESTEAD : SB_REV_OSAKA);
    }
}

/* A failing frame that touched the empty account 0x03 deletes it all the same, in profile ethereum only. */
static void overlay_ripemd_touch_survives_rollback(void **state)
{
    (void)state;
    for (int p = 0; p < 2; p++) {
        enum sb_profile profile = p == 0 ? SB_PROFILE_ETHEREUM : SB_PROFILE_SAMEBIT;
        struct sb_rules rules = sb_rules_make(profile, SB_REV_BYZANTIUM, 1);
        struct sb_memory_state *s = sb_memory_state_new();
        sb_addr three = {.b = {[19] = 3}};
        sb_addr four = {.b = {[19] = 4}};
        sb_u256 zero = sb_u256_zero();
        sb_memory_state_set_account(s, &three, 0, &zero, sb_span_str(""));
        sb_memory_state_set_account(s, &four, 0, &zero, sb_span_str(""));
        struct sb_state_view view = sb_memory_state_view(s);
        struct sb_overlay *o = sb_overlay_new(&view, &rules, LIMIT_BYTES);
        sb_overlay_tx_begin(o);
        sb_checkpoint checkpoint = sb_overlay_checkpoint(o);
        sb_overlay_touch(o, &three);
        sb_overlay_touch(o, &four);
        sb_overlay_rollback(o, checkpoint);
        sb_overlay_tx_end(o);
        assert_int_equal(sb_overlay_exists(o, &three), profile == SB_PROFILE_SAMEBIT);
        assert_true(sb_overlay_exists(o, &four));
        sb_overlay_free(o);
        sb_memory_state_free(s);
    }
}

static void overlay_over_its_limit_fails_and_stays_safe(void **state)
{
    (void)state;
    struct sb_rules rules = sb_rules_make(SB_PROFILE_SAMEBIT, SB_REV_OSAKA, 1);
    struct sb_memory_state *s = sb_memory_state_new();
    struct sb_state_view view = sb_memory_state_view(s);
    struct sb_overlay *o = sb_overlay_new(&view, &rules, (size_t)300 * 1024);
    sb_overlay_tx_begin(o);
    for (uint32_t i = 0; i < 20000; i++) {
        sb_addr a = {.b = {(uint8_t)i, (uint8_t)(i >> 8)}};
        sb_hash key = {.b = {(uint8_t)(i >> 4)}};
        sb_u256 value = sb_u256_from_u64(i);
        sb_checkpoint checkpoint = sb_overlay_checkpoint(o);
        sb_overlay_balance_set(o, &a, &value);
        sb_overlay_slot_set(o, &a, &key, &value);
        sb_overlay_transient_set(o, &a, &key, &value);
        (void)sb_overlay_warm_model(o, &key);
        sb_overlay_code_set(o, &a, sb_span(a.b, 20));
        sb_overlay_blob_put(o, &key, sb_span(a.b, 20));
        if (i % 2 == 0) {
            sb_overlay_rollback(o, checkpoint);
        }
    }
    sb_overlay_tx_end(o);
    assert_int_equal(sb_overlay_err(o), SB_E_NOMEM);
    struct sb_arena arena;
    sb_arena_init(&arena, LIMIT_BYTES);
    struct sb_state_diff diff;
    assert_int_equal(sb_overlay_diff(&diff, o, &arena), SB_E_NOMEM);
    sb_arena_fini(&arena);
    sb_overlay_free(o);
    sb_memory_state_free(s);
}

struct access_list {
    size_t addr_count, slot_count;
};

static void access_count(void *ctx, const sb_addr *a, const sb_hash *key)
{
    (void)a;
    struct access_list *list = ctx;
    if (key == NULL) {
        list->addr_count++;
    } else {
        list->slot_count++;
    }
}

static void overlay_accessed_visits_what_is_warm(void **state)
{
    (void)state;
    struct sb_rules rules = sb_rules_make(SB_PROFILE_SAMEBIT, SB_REV_OSAKA, 1);
    struct sb_memory_state *s = sb_memory_state_new();
    struct sb_state_view view = sb_memory_state_view(s);
    struct sb_overlay *o = sb_overlay_new(&view, &rules, LIMIT_BYTES);
    sb_addr a = addr_of(0);
    sb_addr b = addr_of(1);
    sb_hash key = id_of(0);
    sb_overlay_tx_begin(o);
    (void)sb_overlay_warm_addr(o, &a);
    (void)sb_overlay_warm_slot(o, &a, &key);
    sb_checkpoint checkpoint = sb_overlay_checkpoint(o);
    (void)sb_overlay_warm_addr(o, &b);
    sb_overlay_rollback(o, checkpoint);
    struct access_list list = {0, 0};
    sb_overlay_accessed(o, access_count, &list);
    assert_int_equal(list.addr_count, 1);
    assert_int_equal(list.slot_count, 1);
    sb_overlay_free(o);
    sb_memory_state_free(s);
}

static void overlay_view_reads_present_contents(void **state)
{
    (void)state;
    struct sb_rules rules = sb_rules_make(SB_PROFILE_SAMEBIT, SB_REV_OSAKA, 1);
    struct sb_memory_state *s = sb_memory_state_new();
    struct sb_state_view base = sb_memory_state_view(s);
    struct sb_overlay *o = sb_overlay_new(&base, &rules, LIMIT_BYTES);
    sb_addr a = addr_of(1);
    sb_hash key = id_of(2);
    sb_u256 seven = sb_u256_from_u64(7);
    sb_overlay_code_set(o, &a, code_of(2));
    sb_overlay_slot_set(o, &a, &key, &seven);
    struct sb_state_view view = sb_overlay_view(o);
    struct sb_account account;
    bool exists = false;
    assert_int_equal(view.account(view.ctx, &a, &account, &exists), SB_OK);
    assert_true(exists);
    assert_true(account.has_storage);
    sb_bytes code;
    assert_int_equal(view.code(view.ctx, &account.code_hash, &code), SB_OK);
    assert_true(sb_span_equal(code, code_of(2)));
    sb_u256 value;
    assert_int_equal(view.storage(view.ctx, &a, &key, &value), SB_OK);
    assert_true(sb_u256_equal(&value, &seven));
    sb_overlay_free(o);
    sb_memory_state_free(s);
}

/* A view that counts the reads of code and block hashes. */
struct counting_view {
    struct sb_state_view inner;
    size_t code_count, block_hash_count;
};

static sb_err counting_account(void *ctx, const sb_addr *addr, struct sb_account *ret_account,
                               bool *ret_exists)
{
    const struct counting_view *v = ctx;
    return v->inner.account(v->inner.ctx, addr, ret_account, ret_exists);
}

static sb_err counting_code(void *ctx, const sb_hash *code_hash, sb_bytes *ret_code)
{
    struct counting_view *v = ctx;
    v->code_count++;
    return v->inner.code(v->inner.ctx, code_hash, ret_code);
}

static sb_err counting_block_hash(void *ctx, uint64_t number, sb_hash *ret_hash)
{
    struct counting_view *v = ctx;
    v->block_hash_count++;
    return v->inner.block_hash(v->inner.ctx, number, ret_hash);
}

/* BLOCKHASH costs 20 gas and EXTCODESIZE of a warm account 100: they cannot pay for a read each time. */
static void overlay_reads_code_and_block_hashes_once(void **state)
{
    (void)state;
    struct sb_rules rules = sb_rules_make(SB_PROFILE_SAMEBIT, SB_REV_OSAKA, 1);
    struct sb_memory_state *s = sb_memory_state_new();
    sb_addr a = addr_of(1);
    sb_u256 one = sb_u256_from_u64(1);
    sb_memory_state_set_account(s, &a, 1, &one, code_of(2));
    for (uint64_t number = 0; number < 3; number++) {
        sb_hash hash = id_of((size_t)number);
        sb_memory_state_set_block_hash(s, 256 * number, &hash);
    }
    struct counting_view counts = {.inner = sb_memory_state_view(s)};
    struct sb_state_view view = {.ctx = &counts,
                                 .account = counting_account,
                                 .code = counting_code,
                                 .block_hash = counting_block_hash};
    struct sb_overlay *o = sb_overlay_new(&view, &rules, LIMIT_BYTES);
    sb_overlay_tx_begin(o);
    for (int i = 0; i < 4; i++) {
        sb_checkpoint checkpoint = sb_overlay_checkpoint(o);
        sb_overlay_balance_add(o, &a, &one);
        assert_true(sb_span_equal(sb_overlay_code(o, &a), code_of(2)));
        sb_overlay_rollback(o, checkpoint);
    }
    assert_int_equal(counts.code_count, 1);
    for (size_t i = 0; i < 9; i++) { /* three numbers of one place, three times in a row */
        sb_hash want = id_of(i / 3);
        sb_hash hash = sb_overlay_block_hash(o, 256 * (i / 3));
        assert_true(sb_hash_equal(&hash, &want));
    }
    assert_int_equal(counts.block_hash_count, 3);
    sb_overlay_free(o);
    sb_memory_state_free(s);
}

/* Keys that differ in one word each, beside every value of the other words at which a product could vanish. */
static void table_hash_chosen_keys_spread(void **state)
{
    (void)state;
    static const uint64_t words[] = {0, 1, UINT64_MAX, UINT64_C(0x9e3779b97f4a7c15),
                                     UINT64_C(0xd6e8feb86659fd93)};
    struct sb_random random = sb_random_init("table_hash_chosen_keys_spread");
    struct sb_table_key key = sb_table_key_make(sb_random_u64(&random));
    for (size_t w = 0; w < sizeof words / sizeof words[0]; w++) {
        for (size_t varied = 0; varied < 4; varied++) {
            static uint8_t seen[1 << 16];
            memset(seen, 0, sizeof seen);
            size_t count = 0;
            for (uint64_t i = 0; i < 4096; i++) {
                sb_hash k;
                for (size_t j = 0; j < 4; j++) {
                    le_store64(k.b + 8 * j, j == varied ? i : words[w]);
                }
                uint16_t bucket = (uint16_t)sb_table_hash_hash(&key, &k);
                count += seen[bucket] == 0;
                seen[bucket] = 1;
            }
            assert_true(count > 2048); /* chance alone gives 3,970 */
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_hash_chosen_keys_spread),
        cmocka_unit_test(overlay_reads_code_and_block_hashes_once),
        cmocka_unit_test(overlay_random_operations_equal_the_copied_model),
        cmocka_unit_test(overlay_ripemd_touch_survives_rollback),
        cmocka_unit_test(overlay_over_its_limit_fails_and_stays_safe),
        cmocka_unit_test(overlay_accessed_visits_what_is_warm),
        cmocka_unit_test(overlay_view_reads_present_contents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
