/* system.c: the calls at the end of a block (system.h; docs/spec/staking.md, "System calls").
 *
 *      Distribution.endBlock(timeMs, proposer, votes) -> minted ----> credited to Distribution
 *      Slashing.endBlock(votes, evidence)
 *      Staking.endBlock(rotationHash) -> members ----> decoded and checked
 *
 * What a call returns is judged before its changes stand, so that a call whose answer makes no sense has changed nothing. */
#include "vm/exec/system.h"

#include "base/codec/abi.h"
#include "base/util/assert.h"
#include "base/util/endian.h"
#include "vm/exec/exec.h"

/* The largest input: heads, votes, and four words for each piece of evidence. */
#define INPUT_BYTES_MAX                                                                            \
    (SB_ABI_WORD_BYTES * ((size_t)16 + SB_VALIDATORS_MAX + (size_t)4 * SB_EVIDENCE_MAX))
/* The form of Staking's answer is fixed: an offset, a count, then the members, two words each. */
#define MEMBER_WORDS     2
#define SET_OFFSET_BYTES SB_ABI_WORD_BYTES
#define SET_HEAD_BYTES   ((size_t)2 * SB_ABI_WORD_BYTES)

/* One block's end. */
struct end {
    struct sb_executor *x;
    struct sb_arena *arena;
    const struct sb_system_input *input;
    struct sb_buf buf;
    struct sb_system_outcome outcome;
};

sb_addr sb_system_addr(uint16_t low)
{
    sb_addr addr = {{0}};
    be_store16(addr.b + sizeof addr.b - sizeof low, low);
    return addr;
}

bool sb_executor_has_system(struct sb_executor *x)
{
    const sb_addr staking = sb_system_addr(SB_STAKING_ADDR_LOW);
    return sb_overlay_code(sb_executor_state(x), &staking).len != 0;
}

static sb_err call(struct end *end, enum sb_system_call which, uint16_t addr_low,
                   sb_system_accept_fn accept)
{
    const sb_addr to = sb_system_addr(addr_low);
    struct sb_evm_result result;
    SB_TRY(sb_buf_err(&end->buf));
    SB_TRY(sb_executor_system_call(&result, end->x, &to, sb_buf_bytes(&end->buf),
                                   SB_SYSTEM_CALL_GAS, accept, end));
    end->outcome.calls[which].ok = result.status == SB_EVM_SUCCESS;
    end->outcome.calls[which].gas_used = (uint64_t)(SB_SYSTEM_CALL_GAS - result.gas_left);
    return SB_OK;
}

/* put_votes: consensus address << 96 | power << 32 | present. */
static void put_votes(struct sb_abi_writer *out, const struct sb_system_input *input)
{
    struct sb_abi_writer items;
    sb_abi_put_array(&items, out, input->vote_count, 1);
    for (size_t i = 0; i < input->vote_count; i++) {
        const struct sb_system_vote *vote = &input->votes[i];
        uint8_t word[SB_ABI_WORD_BYTES] = {0};
        memcpy(word, vote->validator.b, sizeof vote->validator.b);
        be_store64(word + 20, (uint64_t)vote->power);
        word[31] = vote->present ? 1 : 0;
        sb_abi_put_word(&items, word);
    }
    sb_abi_end(&items);
}

/* ---- Distribution ---- */

/* accept_minted: a number of coins that no sum of balances can carry past 2^256 in any time. */
static bool accept_minted(void *ctx, struct sb_overlay *state, sb_bytes output)
{
    struct end *end = ctx;
    const sb_addr distribution = sb_system_addr(SB_DISTRIBUTION_ADDR_LOW);
    sb_u256 minted;
    if (output.len != SB_ABI_WORD_BYTES || sb_abi_read_u256(&minted, output, 0) != SB_OK ||
        sb_u256_clz(&minted) < 128) {
        return false;
    }
    if (!sb_u256_is_zero(&minted)) {
        sb_overlay_balance_add(state, &distribution, &minted);
    }
    end->outcome.minted = minted;
    return true;
}

static sb_err end_distribution(struct end *end)
{
    struct sb_abi_writer w;
    sb_buf_reset(&end->buf);
    sb_abi_put_selector(&end->buf, sb_abi_selector("endBlock(uint64,address,bytes32[])"));
    sb_abi_begin(&w, &end->buf, 3);
    sb_abi_put_u64(&w, end->input->time_ms);
    sb_abi_put_addr(&w, &end->input->proposer);
    put_votes(&w, end->input);
    sb_abi_end(&w);
    return call(end, SB_SYSTEM_DISTRIBUTION, SB_DISTRIBUTION_ADDR_LOW, accept_minted);
}

/* ---- Slashing ---- */

static void put_evidence(struct sb_abi_writer *out, const struct sb_system_input *input)
{
    struct sb_abi_writer items;
    sb_abi_put_array(&items, out, input->evidence_count, 4);
    for (size_t i = 0; i < input->evidence_count; i++) {
        const struct sb_system_evidence *piece = &input->evidence[i];
        sb_abi_put_addr(&items, &piece->validator);
        sb_abi_put_u64(&items, (uint64_t)piece->kind);
        sb_abi_put_u64(&items, piece->height);
        sb_abi_put_u64(&items, piece->time_ms);
    }
    sb_abi_end(&items);
}

static sb_err end_slashing(struct end *end)
{
    struct sb_abi_writer w;
    sb_buf_reset(&end->buf);
    sb_abi_put_selector(&end->buf,
                        sb_abi_selector("endBlock(bytes32[],(address,uint8,uint64,uint64)[])"));
    sb_abi_begin(&w, &end->buf, 2);
    put_votes(&w, end->input);
    put_evidence(&w, end->input);
    sb_abi_end(&w);
    return call(end, SB_SYSTEM_SLASHING, SB_SLASHING_ADDR_LOW, NULL);
}

/* ---- Staking ---- */

/* read_members: the answer's words, two for each member. False when the form is another. */
static bool read_members(sb_bytes *ret_words, size_t *ret_count, sb_bytes output)
{
    uint64_t offset, count;
    if (sb_abi_read_u64(&offset, output, 0) != SB_OK ||
        sb_abi_read_u64(&count, output, 1) != SB_OK || offset != SET_OFFSET_BYTES ||
        count > SB_VALIDATORS_MAX ||
        output.len != SET_HEAD_BYTES + count * MEMBER_WORDS * SB_ABI_WORD_BYTES) {
        return false;
    }
    *ret_words = sb_span(output.data + SET_HEAD_BYTES, output.len - SET_HEAD_BYTES);
    *ret_count = (size_t)count;
    return true;
}

/* decode_set: each member once with a power that a set may have, by power descending, then consensus address ascending. */
static sb_err decode_set(const struct sb_system_member **ret_members, struct sb_arena *arena,
                         sb_bytes words, size_t count)
{
    struct sb_system_member *members = sb_arena_array(arena, count, sizeof *members);
    struct sb_validator *validators = sb_arena_array(arena, count, sizeof *validators);
    struct sb_validator_set set;
    if (members == NULL || validators == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        sb_hash key;
        SB_TRY(sb_abi_read_word(&key, words, MEMBER_WORDS * i));
        SB_TRY(sb_abi_read_i64(&members[i].power, words, MEMBER_WORDS * i + 1));
        memcpy(members[i].key, key.b, sizeof members[i].key);
        validators[i] = (struct sb_validator){.key = sb_pubkey_ed25519(members[i].key),
                                              .power = members[i].power};
    }
    SB_TRY(sb_validator_set_make(&set, validators, count, NULL));
    for (size_t i = 0; i < count; i++) {
        if (memcmp(validators[i].key.bytes, members[i].key, sizeof members[i].key) != 0) {
            return SB_E_SHAPE;
        }
    }
    *ret_members = members;
    return SB_OK;
}

static bool accept_set(void *ctx, struct sb_overlay *state, sb_bytes output)
{
    struct end *end = ctx;
    sb_bytes words;
    size_t count;
    if (!read_members(&words, &count, output)) {
        return false;
    }
    if (count == 0) {
        return true;
    }
    sb_err err = decode_set(&end->outcome.set, end->arena, words, count);
    if (err == SB_E_NOMEM) {
        sb_overlay_fail(state, err); /* no verdict on the contract */
    }
    end->outcome.has_set = err == SB_OK;
    end->outcome.set_count = err == SB_OK ? count : 0;
    return err == SB_OK;
}

static sb_err end_staking(struct end *end)
{
    struct sb_abi_writer w;
    sb_buf_reset(&end->buf);
    sb_abi_put_selector(&end->buf, sb_abi_selector("endBlock(bytes32)"));
    sb_abi_begin(&w, &end->buf, 1);
    sb_abi_put_hash(&w, &end->input->rotation_hash);
    sb_abi_end(&w);
    return call(end, SB_SYSTEM_STAKING, SB_STAKING_ADDR_LOW, accept_set);
}

/* ---- all ---- */

static sb_err run_calls(struct end *end)
{
    SB_TRY(end_distribution(end));
    SB_TRY(end_slashing(end));
    return end_staking(end);
}

sb_err sb_executor_end(struct sb_system_outcome *ret_outcome, struct sb_arena *arena,
                       struct sb_executor *x, const struct sb_system_input *input)
{
    SB_ASSERT(input->vote_count <= SB_VALIDATORS_MAX && input->evidence_count <= SB_EVIDENCE_MAX);
    struct end end = {.x = x, .arena = arena, .input = input};
    sb_err err = SB_OK;
    if (sb_executor_has_system(x)) {
        end.outcome.ran = true;
        sb_buf_init(&end.buf, INPUT_BYTES_MAX);
        err = run_calls(&end);
        sb_buf_fini(&end.buf);
    }
    SB_TRY(err);
    SB_TRY(sb_overlay_err(sb_executor_state(x)));
    *ret_outcome = end.outcome;
    return SB_OK;
}
