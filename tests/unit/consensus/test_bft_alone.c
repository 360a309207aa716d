/* test_bft_alone.c: the core of consensus as the only validator: rules by their lines in the paper, and safety under crashes.
 *
 * The host here keeps what a real one keeps: a journal of inputs, the part of it that is durable, and every signature ever made. It
 * signs with bytes that depend on the message alone, which is all that the core can see of a signature. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "consensus/bft.h"
#include "tests/support/mutant.h"
#include "tests/support/random.h"

#define JOURNAL_MAX 4096
#define SIGNED_MAX  4096

struct signed_place {
    uint64_t height;
    int32_t round;
    int step;
    sb_hash block_id;
};

struct host {
    struct sb_validator validator;
    struct sb_validator_set set;
    struct sb_bft *core;
    struct sb_bft_effects effects; /* of the last step */

    struct sb_bft_input journal[JOURNAL_MAX];
    size_t journal_count;
    size_t durable_count;
    struct signed_place signed_places[SIGNED_MAX];
    size_t signed_count;
    bool decided;
    sb_hash decided_id;

    /* questions that wait for an answer */
    bool sign, get_value, validate, timer[3];
    struct sb_bft_message to_sign;
    sb_hash to_validate;
    struct sb_bft_effect timers[3];
};

static uint32_t propose_always(void *ctx, uint64_t height, int32_t round)
{
    (void)ctx;
    (void)height;
    (void)round;
    return 0;
}

static struct sb_bft *new_core(const struct host *host)
{
    struct sb_bft_config config = {.own_address = host->validator.address,
                                   .timeouts = sb_bft_timeouts_default(),
                                   .proposer = propose_always};
    struct sb_bft *core = sb_bft_new(&config);
    assert_non_null(core);
    return core;
}

static void host_init(struct host *host)
{
    memset(host, 0, sizeof *host);
    static const uint8_t key[32] = {7};
    host->validator = (struct sb_validator){.key = sb_pubkey_ed25519(key), .power = 10};
    assert_int_equal(sb_validator_set_make(&host->set, &host->validator, 1, NULL), SB_OK);
    host->core = new_core(host);
}

static void host_fini(struct host *host)
{
    sb_bft_free(host->core);
}

/* note: what a host remembers of an effect. */
static void note(struct host *host, const struct sb_bft_effect *effect,
                 const struct sb_bft_input *input, bool is_replay)
{
    switch (effect->type) {
    case SB_BFT_JOURNAL:
        if (!is_replay) {
            assert_true(host->journal_count < JOURNAL_MAX);
            host->journal[host->journal_count++] = *input;
        }
        break;
    case SB_BFT_SIGN:
        assert_false(host->sign);
        host->sign = true;
        host->to_sign = effect->as.message;
        break;
    case SB_BFT_SET_TIMER:
        host->timer[effect->as.timer.kind] = true;
        host->timers[effect->as.timer.kind] = *effect;
        break;
    case SB_BFT_CANCEL_TIMERS:
        memset(host->timer, 0, sizeof host->timer);
        break;
    case SB_BFT_GET_VALUE:
        host->get_value = true;
        break;
    case SB_BFT_VALIDATE:
        host->validate = true;
        host->to_validate = effect->as.validate.block_id;
        break;
    case SB_BFT_DECIDE:
        if (host->decided) { /* found again after a crash: the same */
            assert_true(sb_hash_equal(&host->decided_id, &effect->as.decide.block_id));
        }
        host->decided = true;
        host->decided_id = effect->as.decide.block_id;
        assert_int_equal(effect->as.decide.sig_count, 1);
        assert_int_equal(effect->as.decide.sigs[0].flag, SB_COMMIT_BLOCK);
        break;
    case SB_BFT_BROADCAST:
    case SB_BFT_EVIDENCE:
    case SB_BFT_FETCH:
        break;
    }
}

static sb_err feed_as(struct host *host, const struct sb_bft_input *input, bool is_replay)
{
    sb_err err = sb_bft_step(host->core, input, &host->effects, NULL);
    for (size_t i = 0; i < host->effects.count; i++) {
        note(host, &host->effects.list[i], input, is_replay);
    }
    return err;
}

static sb_err feed(struct host *host, const struct sb_bft_input *input)
{
    return feed_as(host, input, false);
}

static struct sb_bft_input make_input(enum sb_bft_input_type type)
{
    struct sb_bft_input input;
    memset(&input, 0, sizeof input);
    input.type = type;
    return input;
}

static sb_hash id_of(uint8_t tag)
{
    sb_hash id;
    memset(id.b, tag, sizeof id.b);
    return id;
}

static sb_err start(struct host *host, uint64_t height)
{
    struct sb_bft_input input = make_input(SB_BFT_IN_START_HEIGHT);
    input.as.start.height = height;
    input.as.start.set = &host->set;
    return feed(host, &input);
}

static sb_err give_value(struct host *host, sb_hash id)
{
    struct sb_bft_status status = sb_bft_status(host->core);
    struct sb_bft_input input = make_input(SB_BFT_IN_VALUE);
    input.as.value.height = status.height;
    input.as.value.round = status.round;
    input.as.value.value.block_id = id;
    input.as.value.value.parts_root = id;
    input.as.value.value.block_bytes = 100;
    host->get_value = false;
    return feed(host, &input);
}

static sb_err give_verdict(struct host *host, bool valid)
{
    struct sb_bft_input input = make_input(SB_BFT_IN_VALIDITY);
    input.as.validity.height = sb_bft_status(host->core).height;
    input.as.validity.block_id = host->to_validate;
    input.as.validity.valid = valid;
    input.as.validity.proposer = host->validator.address;
    host->validate = false;
    return feed(host, &input);
}

static sb_err fire(struct host *host, enum sb_bft_timeout kind)
{
    struct sb_bft_input input = make_input(SB_BFT_IN_TIMEOUT);
    input.as.timeout.kind = kind;
    input.as.timeout.height = host->timers[kind].as.timer.height;
    input.as.timeout.round = host->timers[kind].as.timer.round;
    host->timer[kind] = false;
    return feed(host, &input);
}

static int step_of(const struct sb_bft_message *message)
{
    return message->is_proposal ? 1 : message->as.vote.type == SB_VOTE_PREVOTE ? 2 : 3;
}

/* guard: the double-sign guard; fails the test when other bytes were signed at this place. */
static void guard(struct host *host, const struct sb_bft_message *message)
{
    struct signed_place place = {
        .height = message->is_proposal ? message->as.proposal.height : message->as.vote.height,
        .round = message->is_proposal ? message->as.proposal.round : message->as.vote.round,
        .step = step_of(message),
        .block_id =
            message->is_proposal ? message->as.proposal.block_id : message->as.vote.block_id,
    };
    for (size_t i = 0; i < host->signed_count; i++) {
        const struct signed_place *old = &host->signed_places[i];
        if (old->height == place.height && old->round == place.round && old->step == place.step) {
            assert_true(sb_hash_equal(&old->block_id, &place.block_id));
            return;
        }
    }
    assert_true(host->signed_count < SIGNED_MAX);
    host->signed_places[host->signed_count++] = place;
}

/* sign: as a host does: everything journaled so far becomes durable, then the signature exists. */
static sb_err sign(struct host *host)
{
    assert_true(host->sign);
    guard(host, &host->to_sign);
    host->durable_count = host->journal_count;
    struct sb_bft_input input = make_input(SB_BFT_IN_SIGNED);
    input.as.signed_message = host->to_sign;
    struct sb_signature *slot = host->to_sign.is_proposal
                                    ? &input.as.signed_message.as.proposal.signature
                                    : &input.as.signed_message.as.vote.signature;
    slot->len = 64;
    memset(slot->bytes, step_of(&host->to_sign), 64);
    host->sign = false;
    return feed(host, &input);
}

static bool has_effect(const struct host *host, enum sb_bft_effect_type type)
{
    for (size_t i = 0; i < host->effects.count; i++) {
        if (host->effects.list[i].type == type) {
            return true;
        }
    }
    return false;
}

static bool wants_vote(const struct host *host, enum sb_vote_type type, const sb_hash *id)
{
    static const sb_hash nil;
    return host->sign && !host->to_sign.is_proposal && host->to_sign.as.vote.type == type &&
           sb_hash_equal(&host->to_sign.as.vote.block_id, id != NULL ? id : &nil);
}

/* to_proposed: a height whose proposal with this block is signed, so that a verdict is awaited. */
static void to_proposed(struct host *host, sb_hash id)
{
    assert_int_equal(start(host, 1), SB_OK);
    assert_int_equal(give_value(host, id), SB_OK);
    assert_int_equal(sign(host), SB_OK);
    assert_true(host->validate);
}

/* ---- rules ---- */

static void line11_start_asks_for_value_and_sets_timer(void **state)
{
    (void)state;
    static struct host host;
    host_init(&host);
    assert_int_equal(start(&host, 1), SB_OK);
    assert_int_equal(host.effects.list[0].type, SB_BFT_JOURNAL);
    assert_true(host.get_value);
    assert_true(host.timer[SB_BFT_TIMEOUT_PROPOSE]);
    assert_int_equal(host.timers[SB_BFT_TIMEOUT_PROPOSE].as.timer.delay_ms, 3000);
    assert_int_equal(sb_bft_status(host.core).step, SB_BFT_PROPOSE);
    host_fini(&host);
}

static void line19_value_given_is_proposed(void **state)
{
    (void)state;
    static struct host host;
    host_init(&host);
    assert_int_equal(start(&host, 1), SB_OK);
    assert_int_equal(give_value(&host, id_of(1)), SB_OK);
    assert_true(host.sign && host.to_sign.is_proposal);
    assert_int_equal(host.to_sign.as.proposal.pol_round, -1);
    assert_int_equal(sign(&host), SB_OK);
    assert_true(has_effect(&host, SB_BFT_BROADCAST));
    assert_true(has_effect(&host, SB_BFT_VALIDATE));
    host_fini(&host);
}

static void line23_valid_proposal_is_prevoted(void **state)
{
    (void)state;
    static struct host host;
    sb_hash id = id_of(1);
    host_init(&host);
    to_proposed(&host, id);
    assert_int_equal(give_verdict(&host, true), SB_OK);
    assert_true(wants_vote(&host, SB_VOTE_PREVOTE, &id));
    host_fini(&host);
}

static void line26_invalid_proposal_is_prevoted_nil(void **state)
{
    (void)state;
    static struct host host;
    host_init(&host);
    to_proposed(&host, id_of(1));
    assert_int_equal(give_verdict(&host, false), SB_OK);
    assert_true(wants_vote(&host, SB_VOTE_PREVOTE, NULL));
    host_fini(&host);
}

static void line36_polka_locks_and_precommits(void **state)
{
    (void)state;
    static struct host host;
    sb_hash id = id_of(1);
    host_init(&host);
    to_proposed(&host, id);
    assert_int_equal(give_verdict(&host, true), SB_OK);
    assert_int_equal(sign(&host), SB_OK);
    assert_true(wants_vote(&host, SB_VOTE_PRECOMMIT, &id));
    assert_int_equal(sb_bft_status(host.core).locked_round, 0);
    assert_int_equal(sb_bft_status(host.core).valid_round, 0);
    host_fini(&host);
}

static void line34_timer_comes_before_precommit(void **state)
{
    (void)state;
    static struct host host;
    host_init(&host);
    to_proposed(&host, id_of(1));
    assert_int_equal(give_verdict(&host, true), SB_OK);
    assert_int_equal(sign(&host), SB_OK);
    size_t timer = SIZE_MAX;
    size_t precommit = SIZE_MAX;
    for (size_t i = 0; i < host.effects.count; i++) {
        const struct sb_bft_effect *effect = &host.effects.list[i];
        timer = effect->type == SB_BFT_SET_TIMER ? i : timer;
        precommit = effect->type == SB_BFT_SIGN ? i : precommit;
    }
    assert_true(timer < precommit && precommit != SIZE_MAX);
    host_fini(&host);
}

static void line44_nil_polka_precommits_nil_without_lock(void **state)
{
    (void)state;
    static struct host host;
    host_init(&host);
    to_proposed(&host, id_of(1));
    assert_int_equal(give_verdict(&host, false), SB_OK);
    assert_int_equal(sign(&host), SB_OK);
    assert_true(wants_vote(&host, SB_VOTE_PRECOMMIT, NULL));
    assert_int_equal(sb_bft_status(host.core).locked_round, -1);
    host_fini(&host);
}

static void line47_nil_precommits_set_timer_and_line65_starts_next_round(void **state)
{
    (void)state;
    static struct host host;
    host_init(&host);
    to_proposed(&host, id_of(1));
    assert_int_equal(give_verdict(&host, false), SB_OK);
    assert_int_equal(sign(&host), SB_OK);
    assert_int_equal(sign(&host), SB_OK);
    assert_true(host.timer[SB_BFT_TIMEOUT_PRECOMMIT]);
    assert_false(host.decided);
    assert_int_equal(fire(&host, SB_BFT_TIMEOUT_PRECOMMIT), SB_OK);
    assert_int_equal(sb_bft_status(host.core).round, 1);
    assert_true(host.get_value);
    assert_int_equal(host.timers[SB_BFT_TIMEOUT_PROPOSE].as.timer.delay_ms, 3500);
    host_fini(&host);
}

static void line49_precommits_decide(void **state)
{
    (void)state;
    static struct host host;
    sb_hash id = id_of(1);
    host_init(&host);
    to_proposed(&host, id);
    assert_int_equal(give_verdict(&host, true), SB_OK);
    assert_int_equal(sign(&host), SB_OK);
    assert_int_equal(sign(&host), SB_OK);
    assert_true(host.decided);
    assert_true(sb_hash_equal(&host.decided_id, &id));
    assert_false(host.timer[SB_BFT_TIMEOUT_PREVOTE]);
    assert_int_equal(sb_bft_status(host.core).step, SB_BFT_DECIDED);
    assert_int_equal(start(&host, 2), SB_OK);
    assert_int_equal(sb_bft_status(host.core).locked_round, -1);
    host_fini(&host);
}

static void line57_propose_timeout_prevotes_nil(void **state)
{
    (void)state;
    static struct host host;
    host_init(&host);
    assert_int_equal(start(&host, 1), SB_OK);
    assert_int_equal(fire(&host, SB_BFT_TIMEOUT_PROPOSE), SB_OK);
    assert_true(wants_vote(&host, SB_VOTE_PREVOTE, NULL));
    host_fini(&host);
}

static void line57_late_value_after_timeout_is_ignored(void **state)
{
    (void)state;
    static struct host host;
    host_init(&host);
    assert_int_equal(start(&host, 1), SB_OK);
    assert_int_equal(fire(&host, SB_BFT_TIMEOUT_PROPOSE), SB_OK);
    assert_int_equal(sign(&host), SB_OK);
    assert_int_equal(sign(&host), SB_OK);
    assert_int_equal(give_value(&host, id_of(1)), SB_OK);
    assert_int_equal(host.effects.count, 0);
    host_fini(&host);
}

static void timeout_stale_changes_nothing(void **state)
{
    (void)state;
    static struct host host;
    host_init(&host);
    to_proposed(&host, id_of(1));
    assert_int_equal(give_verdict(&host, true), SB_OK);
    assert_int_equal(sign(&host), SB_OK);
    assert_int_equal(sign(&host), SB_OK);
    for (int kind = 0; kind < 3; kind++) {
        struct sb_bft_input input = make_input(SB_BFT_IN_TIMEOUT);
        input.as.timeout.kind = (enum sb_bft_timeout)kind;
        input.as.timeout.height = 1;
        assert_int_equal(feed(&host, &input), SB_OK);
        assert_int_equal(host.effects.count, 0);
    }
    host_fini(&host);
}

/* ---- refusals ---- */

static void start_same_or_running_height_refused(void **state)
{
    (void)state;
    static struct host host;
    host_init(&host);
    to_proposed(&host, id_of(1));
    assert_int_equal(start(&host, 2), SB_E_ARG);
    assert_int_equal(give_verdict(&host, true), SB_OK);
    assert_int_equal(sign(&host), SB_OK);
    assert_int_equal(sign(&host), SB_OK);
    assert_int_equal(start(&host, 1), SB_E_ARG);
    assert_int_equal(start(&host, 2), SB_OK);
    host_fini(&host);
}

static void input_before_signature_refused_busy(void **state)
{
    (void)state;
    static struct host host;
    host_init(&host);
    assert_int_equal(start(&host, 1), SB_OK);
    assert_int_equal(give_value(&host, id_of(1)), SB_OK);
    assert_int_equal(fire(&host, SB_BFT_TIMEOUT_PROPOSE), SB_E_BUSY);
    assert_int_equal(sign(&host), SB_OK);
    host_fini(&host);
}

static void signature_not_asked_for_refused(void **state)
{
    (void)state;
    static struct host host;
    host_init(&host);
    assert_int_equal(start(&host, 1), SB_OK);
    assert_int_equal(give_value(&host, id_of(1)), SB_OK);
    struct sb_bft_input input = make_input(SB_BFT_IN_SIGNED);
    input.as.signed_message = host.to_sign;
    input.as.signed_message.as.proposal.signature.len = 64;
    input.as.signed_message.as.proposal.block_id = id_of(2);
    assert_int_equal(feed(&host, &input), SB_E_ARG);
    host_fini(&host);
}

/* ---- journal form ---- */

static void input_encoded_decodes_to_the_same(void **state)
{
    (void)state;
    static struct host host;
    host_init(&host);
    to_proposed(&host, id_of(3));
    assert_int_equal(give_verdict(&host, false), SB_OK);
    assert_int_equal(sign(&host), SB_OK);
    assert_int_equal(sign(&host), SB_OK);
    assert_int_equal(fire(&host, SB_BFT_TIMEOUT_PRECOMMIT), SB_OK);
    assert_true(host.journal_count >= 6);
    struct sb_arena arena;
    sb_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < host.journal_count; i++) {
        struct sb_buf first;
        struct sb_buf second;
        sb_buf_init(&first, 4096);
        sb_buf_init(&second, 4096);
        sb_bft_input_encode(&first, &host.journal[i]);
        struct sb_bft_input back;
        assert_int_equal(sb_bft_input_decode(&back, &arena, sb_buf_bytes(&first), NULL), SB_OK);
        sb_bft_input_encode(&second, &back);
        assert_true(sb_span_equal(sb_buf_bytes(&first), sb_buf_bytes(&second)));
        for (size_t len = 0; len < first.len; len++) {
            assert_int_not_equal(sb_bft_input_decode(&back, &arena, sb_span(first.data, len), NULL),
                                 SB_OK);
        }
        sb_buf_fini(&first);
        sb_buf_fini(&second);
    }
    sb_arena_fini(&arena);
    host_fini(&host);
}

/* ---- safety across crashes ---- */

/* crash: memory is gone; of the journal's tail that was not synced, a random part survives. */
static void crash(struct host *host, struct sb_random *random)
{
    sb_bft_free(host->core);
    host->core = new_core(host);
    host->sign = host->get_value = host->validate = false;
    memset(host->timer, 0, sizeof host->timer);
    size_t loose = host->journal_count - host->durable_count;
    host->journal_count = host->durable_count + (size_t)sb_random_below(random, loose + 1);
    host->durable_count = host->journal_count;
    for (size_t i = 0; i < host->journal_count; i++) {
        const struct sb_bft_input *input = &host->journal[i];
        if (input->type == SB_BFT_IN_START_HEIGHT) {
            host->decided = false;
        }
        host->sign = host->sign && input->type != SB_BFT_IN_SIGNED;
        host->get_value = host->get_value && input->type != SB_BFT_IN_VALUE;
        host->validate = host->validate && input->type != SB_BFT_IN_VALIDITY;
        assert_int_equal(feed_as(host, input, true), SB_OK);
    }
}

/* act: answer a random open question, or fire a random timer. */
static void act(struct host *host, struct sb_random *random)
{
    if (host->sign) {
        assert_int_equal(sign(host), SB_OK);
        return;
    }
    switch (sb_random_below(random, 5)) {
    case 0:
        if (host->get_value) {
            assert_int_equal(give_value(host, id_of((uint8_t)(1 + sb_random_below(random, 255)))),
                             SB_OK);
        }
        break;
    case 1:
        if (host->validate) {
            assert_int_equal(give_verdict(host, sb_random_below(random, 2) == 0), SB_OK);
        }
        break;
    default: {
        enum sb_bft_timeout kind = (enum sb_bft_timeout)sb_random_below(random, 3);
        if (host->timer[kind]) {
            assert_int_equal(fire(host, kind), SB_OK);
        }
        break;
    }
    }
}

static void random_crashes_never_sign_twice(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("random_crashes_never_sign_twice");
    static struct host host;
    unsigned decided_count = 0;
    for (int run = 0; run < 200; run++) {
        host_init(&host);
        uint64_t height = 0;
        for (int i = 0; i < 300; i++) {
            if (sb_bft_status(host.core).step == SB_BFT_DECIDED) {
                decided_count += host.decided;
                host.decided = false;
                height = sb_bft_status(host.core).height + 1;
                assert_int_equal(start(&host, height), SB_OK);
            } else if (sb_random_below(&random, 10) == 0) {
                crash(&host, &random);
            } else {
                act(&host, &random);
            }
        }
        host_fini(&host);
    }
    printf("# %u heights decided\n", decided_count);
    assert_true(decided_count > 100);
}

static void replay_of_journal_gives_same_effects(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("replay_of_journal_gives_same_effects");
    static struct host host;
    host_init(&host);
    assert_int_equal(start(&host, 1), SB_OK);
    for (int i = 0; i < 200 && !host.decided; i++) {
        act(&host, &random);
    }
    struct sb_bft *a = new_core(&host);
    struct sb_bft *b = new_core(&host);
    for (size_t i = 0; i < host.journal_count; i++) {
        static struct sb_bft_effects x;
        static struct sb_bft_effects y;
        memset(&x, 0, sizeof x);
        memset(&y, 0, sizeof y);
        assert_int_equal(sb_bft_step(a, &host.journal[i], &x, NULL), SB_OK);
        assert_int_equal(sb_bft_step(b, &host.journal[i], &y, NULL), SB_OK);
        assert_int_equal(x.count, y.count);
        for (size_t k = 0; k < x.count; k++) {
            if (x.list[k].type == SB_BFT_DECIDE) { /* holds a pointer into its core */
                x.list[k].as.decide.sigs = y.list[k].as.decide.sigs;
            }
        }
        assert_memory_equal(&x, &y, sizeof x);
    }
    sb_bft_free(a);
    sb_bft_free(b);
    host_fini(&host);
}

int main(void)
{
    mutant_from_environment();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line11_start_asks_for_value_and_sets_timer),
        cmocka_unit_test(line19_value_given_is_proposed),
        cmocka_unit_test(line23_valid_proposal_is_prevoted),
        cmocka_unit_test(line26_invalid_proposal_is_prevoted_nil),
        cmocka_unit_test(line34_timer_comes_before_precommit),
        cmocka_unit_test(line36_polka_locks_and_precommits),
        cmocka_unit_test(line44_nil_polka_precommits_nil_without_lock),
        cmocka_unit_test(line47_nil_precommits_set_timer_and_line65_starts_next_round),
        cmocka_unit_test(line49_precommits_decide),
        cmocka_unit_test(line57_propose_timeout_prevotes_nil),
        cmocka_unit_test(line57_late_value_after_timeout_is_ignored),
        cmocka_unit_test(timeout_stale_changes_nothing),
        cmocka_unit_test(start_same_or_running_height_refused),
        cmocka_unit_test(input_before_signature_refused_busy),
        cmocka_unit_test(signature_not_asked_for_refused),
        cmocka_unit_test(input_encoded_decodes_to_the_same),
        cmocka_unit_test(random_crashes_never_sign_twice),
        cmocka_unit_test(replay_of_journal_gives_same_effects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
