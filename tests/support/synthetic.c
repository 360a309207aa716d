/* synthetic.c: see synthetic.h. */
#include "tests/support/synthetic.h"

#include <stdlib.h>

#include "base/codec/rlp.h"
#include "base/crypto/sha256_portable.h"
#include "base/crypto/keccak.h"
#include "base/types/block.h"
#include "base/util/assert.h"

#define ARENA_BYTES_MAX ((size_t)1 << 28)
#define TX_COUNT_MAX    6
#define TX_BYTES_MAX    200

static sb_hash pool_hash(const char *kind, size_t index)
{
    uint8_t message[16] = {0};
    memcpy(message, kind, strlen(kind));
    message[15] = (uint8_t)index;
    return sb_keccak256(sb_span(message, sizeof message));
}

sb_addr synthetic_addr(size_t index)
{
    sb_hash hash = pool_hash("address", index);
    sb_addr addr;
    memcpy(addr.b, hash.b, sizeof addr.b);
    return addr;
}

/* Half of the slots are small numbers, as compilers lay them out. */
sb_hash synthetic_slot(size_t index)
{
    sb_hash small = {{0}};
    small.b[31] = (uint8_t)index;
    return index % 2 == 0 ? small : pool_hash("slot", index);
}

static sb_bytes blob_data(struct sb_arena *arena, size_t index)
{
    size_t len = 100 + 900 * index;
    uint8_t *data = sb_arena_zalloc(arena, len);
    SB_ASSERT(data != NULL);
    data[0] = (uint8_t)(index + 1);
    return sb_span(data, len);
}

sb_hash synthetic_blob_id(size_t index)
{
    struct sb_arena arena;
    sb_arena_init(&arena, ARENA_BYTES_MAX);
    sb_hash id = sb_sha256_portable(blob_data(&arena, index));
    sb_arena_fini(&arena);
    return id;
}

void synthetic_init(struct synthetic_chain *chain, uint64_t seed, size_t accounts_a_block)
{
    memset(chain, 0, sizeof *chain);
    chain->random.state = seed;
    chain->accounts_a_block = accounts_a_block;
    chain->model = sb_memory_state_new();
    sb_arena_init(&chain->arena, ARENA_BYTES_MAX);
}

void synthetic_fini(struct synthetic_chain *chain)
{
    sb_memory_state_free(chain->model);
    sb_arena_fini(&chain->arena);
}

static void *take(struct synthetic_chain *chain, size_t count, size_t elem_bytes)
{
    void *memory = sb_arena_array(&chain->arena, count, elem_bytes);
    SB_ASSERT(memory != NULL);
    memset(memory, 0, count * elem_bytes);
    return memory;
}

/* compare_front: order of two elements by the bytes that they begin with. */
static int compare_addr(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(sb_addr));
}

static int compare_hash(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(sb_hash));
}

static sb_u256 random_value(struct sb_random *random)
{
    uint8_t bytes[32];
    sb_random_fill(random, bytes, sizeof bytes);
    return sb_u256_load_be(bytes,
                           sb_random_below(random, 3) == 0 ? 32 : 1 + sb_random_below(random, 4));
}

/* slots_make: changed slots, ascending; with old storage gone, every slot reads as zero before. */
static void slots_make(struct synthetic_chain *chain, struct sb_account_diff *diff, bool anew)
{
    struct sb_state_view view = sb_memory_state_view(chain->model);
    struct sb_slot_diff *slots = take(chain, SYNTHETIC_SLOTS, sizeof *slots);
    size_t first = sb_random_below(&chain->random, SYNTHETIC_SLOTS);
    size_t count = sb_random_below(&chain->random, 2) == 0
                       ? 0
                       : sb_random_below(&chain->random, SYNTHETIC_SLOTS);
    bool drain = sb_random_below(&chain->random, 6) == 0;
    for (size_t i = 0; i < count; i++) {
        struct sb_slot_diff *slot = &slots[diff->slot_count];
        slot->key = synthetic_slot((first + i) % SYNTHETIC_SLOTS);
        sb_u256 old = sb_u256_zero();
        if (!anew) {
            sb_err err = view.storage(view.ctx, &diff->addr, &slot->key, &old);
            SB_ASSERT(err == SB_OK);
        }
        bool zero = drain || sb_random_below(&chain->random, 4) == 0;
        slot->value = zero ? sb_u256_zero() : random_value(&chain->random);
        diff->slot_count += sb_u256_equal(&old, &slot->value) ? 0 : 1;
    }
    qsort(slots, diff->slot_count, sizeof *slots, compare_hash);
    diff->slots = slots;
}

/* account_make: false when the account would not change. */
static bool account_make(struct synthetic_chain *chain, struct sb_account_diff *diff, size_t index)
{
    struct sb_state_view view = sb_memory_state_view(chain->model);
    struct sb_random *random = &chain->random;
    diff->addr = synthetic_addr(index);
    struct sb_account old;
    bool existed;
    sb_err err = view.account(view.ctx, &diff->addr, &old, &existed);
    SB_ASSERT(err == SB_OK);
    uint64_t dice = sb_random_below(random, 10);
    if (dice == 0) {
        return existed; /* removed, with all storage */
    }
    bool anew = !existed || dice == 1;
    diff->exists = true;
    diff->storage_cleared = existed && anew;
    diff->nonce = anew ? 1 : old.nonce + 1;
    diff->balance = random_value(random);
    diff->code_hash = anew ? sb_hash_keccak_empty : old.code_hash;
    diff->code_changed = anew;
    if (anew && sb_random_below(random, 2) == 0) {
        size_t len = 1 + sb_random_below(random, 300);
        uint8_t *code = take(chain, len, 1);
        sb_random_fill(random, code, len);
        diff->code = sb_span(code, len);
        diff->code_hash = sb_keccak256(diff->code);
    }
    slots_make(chain, diff, anew);
    return true;
}

static void blobs_make(struct synthetic_chain *chain, struct sb_state_diff *diff)
{
    struct sb_state_view view = sb_memory_state_view(chain->model);
    struct sb_blob_diff *blobs = take(chain, SYNTHETIC_BLOBS, sizeof *blobs);
    for (size_t i = 0; i < SYNTHETIC_BLOBS; i++) {
        if (sb_random_below(&chain->random, 8) != 0) {
            continue;
        }
        struct sb_blob_diff *blob = &blobs[diff->blob_count++];
        blob->id = synthetic_blob_id(i);
        sb_bytes present;
        sb_err err = view.blob(view.ctx, &blob->id, &present);
        SB_ASSERT(err == SB_OK);
        blob->exists = present.data == NULL;
        blob->data = blob->exists ? blob_data(&chain->arena, i) : sb_span(NULL, 0);
    }
    qsort(blobs, diff->blob_count, sizeof *blobs, compare_hash);
    diff->blobs = blobs;
}

struct sb_state_diff synthetic_next(struct synthetic_chain *chain)
{
    sb_arena_reset(&chain->arena);
    struct sb_state_diff diff = {.account_count = 0};
    struct sb_account_diff *accounts = take(chain, SYNTHETIC_ACCOUNTS, sizeof *accounts);
    size_t most =
        chain->accounts_a_block < SYNTHETIC_ACCOUNTS ? chain->accounts_a_block : SYNTHETIC_ACCOUNTS;
    size_t count = sb_random_below(&chain->random, most + 1),
           first = sb_random_below(&chain->random, SYNTHETIC_ACCOUNTS);
    for (size_t i = 0; i < count; i++) {
        accounts[diff.account_count] = (struct sb_account_diff){.exists = false};
        diff.account_count +=
            account_make(chain, &accounts[diff.account_count], (first + 7 * i) % SYNTHETIC_ACCOUNTS)
                ? 1
                : 0;
    }
    qsort(accounts, diff.account_count, sizeof *accounts, compare_addr);
    diff.accounts = accounts;
    blobs_make(chain, &diff);
    sb_memory_state_apply(chain->model, &diff);
    return diff;
}

static sb_bytes random_bytes(struct synthetic_chain *chain, uint8_t type, size_t len)
{
    uint8_t *bytes = take(chain, len, 1);
    sb_random_fill(&chain->random, bytes, len);
    bytes[0] = type;
    return sb_span(bytes, len);
}

static sb_bytes buf_take(struct synthetic_chain *chain, struct sb_buf *buf)
{
    SB_ASSERT(!buf->failed);
    uint8_t *copy = sb_arena_dup(&chain->arena, sb_buf_bytes(buf));
    SB_ASSERT(copy != NULL);
    sb_bytes bytes = sb_span(copy, buf->len);
    sb_buf_fini(buf);
    return bytes;
}

static sb_bytes body_make(struct synthetic_chain *chain, const sb_bytes *txs, size_t count)
{
    struct sb_buf buf;
    sb_buf_init(&buf, 1 << 20);
    size_t body = sb_rlp_list_begin(&buf);
    size_t list = sb_rlp_list_begin(&buf);
    for (size_t i = 0; i < count; i++) {
        sb_rlp_put_bytes(&buf, txs[i]);
    }
    sb_rlp_list_end(&buf, list);
    sb_rlp_list_end(&buf, sb_rlp_list_begin(&buf));
    sb_rlp_list_end(&buf, sb_rlp_list_begin(&buf));
    sb_rlp_list_end(&buf, body);
    return buf_take(chain, &buf);
}

static sb_hash root_of(const sb_bytes *items, size_t count)
{
    sb_hash root;
    sb_err err = sb_ordered_root(&root, items, count);
    SB_ASSERT(err == SB_OK);
    return root;
}

struct sb_store_block synthetic_seal(struct synthetic_chain *chain, const sb_hash *state_root)
{
    size_t count = sb_random_below(&chain->random, TX_COUNT_MAX + 1);
    sb_bytes *txs = take(chain, count + 1, sizeof *txs),
             *receipts = take(chain, count + 1, sizeof *receipts);
    sb_hash *tx_hashes = take(chain, count + 1, sizeof *tx_hashes);
    sb_addr *senders = take(chain, count + 1, sizeof *senders);
    for (size_t i = 0; i < count; i++) {
        txs[i] = random_bytes(chain, 2, 8 + sb_random_below(&chain->random, TX_BYTES_MAX));
        receipts[i] = random_bytes(chain, 2, 8 + sb_random_below(&chain->random, TX_BYTES_MAX));
        tx_hashes[i] = sb_keccak256(txs[i]);
        senders[i] = synthetic_addr(sb_random_below(&chain->random, SYNTHETIC_ACCOUNTS));
    }
    struct sb_header header = {.field_count = SB_HEADER_FIELDS_PRAGUE,
                               .parent_hash = chain->parent_hash,
                               .uncles_hash = sb_hash_empty_list,
                               .state_root = *state_root,
                               .transactions_root = root_of(txs, count),
                               .receipts_root = root_of(receipts, count),
                               .number = chain->number,
                               .gas_limit = 30000000,
                               .timestamp = chain->number,
                               .withdrawals_root = sb_hash_empty_trie,
                               .requests_hash = sb_hash_sha256_empty};
    struct sb_buf buf;
    sb_buf_init(&buf, 1 << 16);
    sb_header_encode(&buf, &header);
    struct sb_store_block block = {.number = chain->number,
                                   .state_root = *state_root,
                                   .header = buf_take(chain, &buf),
                                   .body = body_make(chain, txs, count),
                                   .receipts = receipts,
                                   .tx_hashes = tx_hashes,
                                   .senders = senders,
                                   .tx_count = count};
    block.block_hash = sb_keccak256(block.header);
    if (chain->number != 0) {
        block.consensus_block = random_bytes(chain, 7, 100);
        block.commit = random_bytes(chain, 8, 64);
    }
    chain->parent_hash = block.block_hash;
    chain->number++;
    return block;
}
