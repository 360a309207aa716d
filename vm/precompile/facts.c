/* facts.c: packing of model facts into storage words; the layout is in facts.h. */
#include "vm/precompile/facts.h"

#include "base/crypto/keccak.h"
#include "base/util/endian.h"
#include "vm/precompile/native.h"

#define STORE_ADDR_LOW 0x5b04

static sb_hash slot_key(const char *domain, sb_bytes rest)
{
    struct sb_keccak k;
    sb_keccak_init(&k);
    sb_keccak_update(&k, sb_span_str(domain));
    sb_keccak_update(&k, rest);
    return sb_keccak_final(&k);
}

static sb_hash slot_after(const sb_hash *base, uint64_t offset)
{
    sb_u256 number = sb_u256_load_be(base->b, sizeof base->b);
    sb_u256 step = sb_u256_from_u64(offset);
    number = sb_u256_add(&number, &step);
    sb_hash key;
    sb_u256_store_be(key.b, &number);
    return key;
}

sb_hash sb_chunk_facts_slot(const sb_hash *chunk)
{
    return slot_key("chunk", sb_span(chunk->b, sizeof chunk->b));
}

sb_hash sb_model_facts_slot(const sb_hash *id, uint64_t offset)
{
    sb_hash base = slot_key("model", sb_span(id->b, sizeof id->b));
    return slot_after(&base, offset);
}

sb_hash sb_ops_off_slot(void)
{
    return slot_key("ops off", sb_span(NULL, 0));
}

static void word_load(uint8_t ret[32], struct sb_overlay *o, const sb_hash *key)
{
    sb_addr store = native_addr(STORE_ADDR_LOW);
    sb_u256 value = sb_overlay_slot(o, &store, key);
    sb_u256_store_be(ret, &value);
}

static void word_store(struct sb_overlay *o, const sb_hash *key, const uint8_t word[32])
{
    sb_addr store = native_addr(STORE_ADDR_LOW);
    sb_u256 value = sb_u256_load_be(word, 32);
    sb_overlay_slot_set(o, &store, key, &value);
}

struct sb_chunk_facts sb_chunk_facts_load(struct sb_overlay *o, const sb_hash *chunk)
{
    uint8_t word[32];
    sb_hash key = slot_key("chunk", sb_span(chunk->b, sizeof chunk->b));
    word_load(word, o, &key);
    return (struct sb_chunk_facts){.references = be_load64(word + 16),
                                   .size_bytes = be_load64(word + 24)};
}

void sb_chunk_facts_store(struct sb_overlay *o, const sb_hash *chunk,
                          const struct sb_chunk_facts *facts)
{
    uint8_t word[32] = {0};
    sb_hash key = slot_key("chunk", sb_span(chunk->b, sizeof chunk->b));
    be_store64(word + 16, facts->references);
    be_store64(word + 24, facts->size_bytes);
    word_store(o, &key, word);
}

struct sb_model_facts sb_model_facts_load(struct sb_overlay *o, const sb_hash *id)
{
    uint8_t word[32];
    sb_hash base = slot_key("model", sb_span(id->b, sizeof id->b));
    word_load(word, o, &base);
    struct sb_model_facts facts = {
        .status = (enum sb_model_status)word[0],
        .codec = be_load16(word + 2),
        .verifier_version = be_load32(word + 4),
        .chunk_count = be_load32(word + 12),
        .arena_bytes = be_load64(word + 16),
        .size_bytes = be_load64(word + 24),
    };
    if (facts.status == SB_MODEL_ABSENT) {
        return facts;
    }
    for (size_t i = 0; i < SB_GAS_CLASS_COUNT; i++) {
        if (i % 4 == 0) {
            sb_hash key = slot_after(&base, 1 + i / 4);
            word_load(word, o, &key);
        }
        facts.units.count[i] = be_load64(word + 8 * (i % 4));
    }
    return facts;
}

void sb_model_facts_store(struct sb_overlay *o, const sb_hash *id,
                          const struct sb_model_facts *facts)
{
    uint8_t word[32] = {0};
    bool present = facts->status != SB_MODEL_ABSENT;
    sb_hash base = slot_key("model", sb_span(id->b, sizeof id->b));
    if (present) {
        word[0] = (uint8_t)facts->status;
        be_store16(word + 2, facts->codec);
        be_store32(word + 4, facts->verifier_version);
        be_store32(word + 12, facts->chunk_count);
        be_store64(word + 16, facts->arena_bytes);
        be_store64(word + 24, facts->size_bytes);
    }
    word_store(o, &base, word);
    for (size_t slot = 0; slot < SB_MODEL_UNIT_SLOTS; slot++) {
        memset(word, 0, sizeof word);
        for (size_t i = 4 * slot; present && i < 4 * slot + 4 && i < SB_GAS_CLASS_COUNT; i++) {
            be_store64(word + 8 * (i % 4), facts->units.count[i]);
        }
        sb_hash key = slot_after(&base, 1 + slot);
        word_store(o, &key, word);
    }
}

sb_hash sb_model_chunk_load(struct sb_overlay *o, const sb_hash *id, uint32_t index)
{
    sb_hash base = slot_key("model", sb_span(id->b, sizeof id->b));
    sb_hash key = slot_after(&base, SB_MODEL_CHUNK_LIST_FIRST + (uint64_t)index);
    sb_hash chunk;
    word_load(chunk.b, o, &key);
    return chunk;
}

void sb_model_chunk_store(struct sb_overlay *o, const sb_hash *id, uint32_t index,
                          const sb_hash *chunk)
{
    sb_hash base = slot_key("model", sb_span(id->b, sizeof id->b));
    sb_hash key = slot_after(&base, SB_MODEL_CHUNK_LIST_FIRST + (uint64_t)index);
    word_store(o, &key, chunk->b);
}

static sb_hash op_key(uint16_t op, uint16_t version)
{
    uint8_t name[4];
    be_store16(name, op);
    be_store16(name + 2, version);
    return slot_key("op", sb_span(name, sizeof name));
}

bool sb_op_is_off(struct sb_overlay *o, uint16_t op, uint16_t version)
{
    uint8_t word[32];
    sb_hash key = op_key(op, version);
    word_load(word, o, &key);
    return word[31] != 0;
}

uint64_t sb_ops_off_count(struct sb_overlay *o)
{
    uint8_t word[32];
    sb_hash key = slot_key("ops off", sb_span(NULL, 0));
    word_load(word, o, &key);
    return be_load64(word + 24);
}

void sb_op_set_off(struct sb_overlay *o, uint16_t op, uint16_t version, bool off)
{
    if (sb_op_is_off(o, op, version) == off) {
        return;
    }
    uint8_t word[32] = {0};
    sb_hash key = op_key(op, version);
    word[31] = off ? 1 : 0;
    word_store(o, &key, word);
    uint64_t count = sb_ops_off_count(o);
    memset(word, 0, sizeof word);
    be_store64(word + 24, off ? count + 1 : count - 1);
    key = slot_key("ops off", sb_span(NULL, 0));
    word_store(o, &key, word);
}
