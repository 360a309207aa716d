/* pending.c: see pending.h. */
#include "node/pending.h"

#include <stdlib.h>

#include "base/util/assert.h"
#include "node/chain_impl.h"

/* Blocks may come faster than a pending one can be made; by so many in a row they do not. */
#define TRIES_MAX 4

/* ---- making one ---- */

/* end_block: the system calls, as they come if the proposer of round 0 proposes it, and no late precommit or evidence comes with it. */
static sb_err end_block(struct sb_pending *p, uint64_t time_ms)
{
    struct sb_chain_facts facts = {.height = p->block->block.header.number, .time_ms = time_ms};
    struct sb_chain_rotation_copy rotation;
    const struct sb_system_input *system;
    struct sb_system_outcome outcome;
    uint64_t parent_ms;
    sb_err err = sb_chain_rotation_read(&rotation, &p->arena, p->chain, facts.height);
    if (err != SB_OK) {
        return err == SB_E_NOT_FOUND ? SB_E_BUSY : err; /* the head has moved */
    }
    SB_TRY(sb_chain_time(&parent_ms, p->chain, facts.height - 1));
    facts.time_ms = time_ms > parent_ms ? time_ms : parent_ms + 1;
    facts.proposer = rotation.proposer;
    SB_TRY(sb_chain_system_input(&system, &p->arena, p->chain, &facts));
    return system != NULL ? sb_executor_end(&outcome, &p->arena, p->x, system) : SB_OK;
}

/* execute: run the block's transactions on the parent's state and note what they change. */
static sb_err execute(struct sb_pending *p, uint64_t time_ms)
{
    const struct sb_block *block = &p->block->block;
    p->env = sb_chain_env(&block->header);
    p->x = sb_executor_new(p->parent.state, sb_chain_rules(p->chain), &p->env,
                           sb_chain_inference(p->chain));
    if (p->x == NULL) {
        return SB_E_NOMEM;
    }
    struct sb_tx_result result;
    SB_TRY(sb_executor_begin(p->x));
    for (size_t i = 0; i < block->tx_count; i++) {
        SB_TRY(sb_executor_tx(&result, p->x, &block->txs[i], &p->block->senders[i], NULL));
    }
    SB_TRY(end_block(p, time_ms));
    return sb_overlay_diff(&p->diff, sb_executor_state(p->x), &p->arena);
}

static sb_err fill(struct sb_pending *p, struct sb_mempool *mempool, uint64_t time_ms)
{
    SB_TRY(sb_builder_pending(&p->block, p->chain, mempool, time_ms));
    const struct sb_rpc_block_ref parent = {.by = SB_RPC_BY_HASH,
                                            .hash = p->block->block.header.parent_hash};
    SB_TRY(sb_chain_view_open(&p->parent, p->chain, &parent));
    p->has_parent = true;
    return execute(p, time_ms);
}

static sb_err try_new(struct sb_pending **ret_pending, struct sb_chain *chain,
                      struct sb_mempool *mempool, uint64_t time_ms)
{
    struct sb_pending *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return SB_E_NOMEM;
    }
    atomic_init(&p->refs, 1);
    p->chain = chain;
    sb_arena_init(&p->arena, SB_CHAIN_BLOCK_ARENA_BYTES_MAX);
    sb_err err = fill(p, mempool, time_ms);
    if (err != SB_OK) {
        sb_pending_release(p);
        return err;
    }
    *ret_pending = p;
    return SB_OK;
}

sb_err sb_pending_new(struct sb_pending **ret_pending, struct sb_chain *chain,
                      struct sb_mempool *mempool, uint64_t time_ms)
{
    sb_err err = SB_E_BUSY;
    for (int i = 0; err == SB_E_BUSY && i < TRIES_MAX; i++) {
        err = try_new(ret_pending, chain, mempool, time_ms);
    }
    return err;
}

void sb_pending_retain(struct sb_pending *pending)
{
    atomic_fetch_add_explicit(&pending->refs, 1, memory_order_relaxed);
}

void sb_pending_release(struct sb_pending *pending)
{
    if (pending == NULL) {
        return;
    }
    size_t before = atomic_fetch_sub_explicit(&pending->refs, 1, memory_order_acq_rel);
    SB_ASSERT(before > 0);
    if (before == 1) {
        sb_executor_free(pending->x);
        if (pending->has_parent) {
            sb_chain_view_close(pending->chain, &pending->parent);
        }
        sb_chain_block_release(pending->chain, pending->block);
        sb_arena_fini(&pending->arena);
        free(pending);
    }
}

/* ---- reading one ---- */

static int compare_account(const void *key, const void *item)
{
    return memcmp(key, ((const struct sb_account_diff *)item)->addr.b, sizeof(sb_addr));
}

static const struct sb_account_diff *find_account(const struct sb_pending_view *v,
                                                  const sb_addr *addr)
{
    return v->diff->account_count == 0 ? NULL
                                       : bsearch(addr->b, v->diff->accounts, v->diff->account_count,
                                                 sizeof *v->diff->accounts, compare_account);
}

static bool has_slots(const struct sb_account_diff *account)
{
    for (size_t i = 0; i < account->slot_count; i++) {
        if (!sb_u256_is_zero(&account->slots[i].value)) {
            return true;
        }
    }
    return false;
}

static sb_err read_account(void *ctx, const sb_addr *addr, struct sb_account *ret_account,
                           bool *ret_exists)
{
    const struct sb_pending_view *v = ctx;
    struct sb_account account;
    bool exists;
    SB_TRY(v->parent->account(v->parent->ctx, addr, &account, &exists));
    const struct sb_account_diff *diff = find_account(v, addr);
    if (diff != NULL && !diff->exists) {
        account = (struct sb_account){.code_hash = sb_hash_keccak_empty};
        exists = false;
    } else if (diff != NULL) {
        account.nonce = diff->nonce;
        account.balance = diff->balance;
        account.code_hash = diff->code_hash;
        account.has_storage = (account.has_storage && !diff->storage_cleared) || has_slots(diff);
        exists = true;
    }
    *ret_account = account;
    *ret_exists = exists;
    return SB_OK;
}

static int compare_slot(const void *key, const void *item)
{
    return memcmp(key, ((const struct sb_slot_diff *)item)->key.b, sizeof(sb_hash));
}

static sb_err read_storage(void *ctx, const sb_addr *addr, const sb_hash *key, sb_u256 *ret_value)
{
    const struct sb_pending_view *v = ctx;
    const struct sb_account_diff *account = find_account(v, addr);
    const struct sb_slot_diff *slot = NULL;
    if (account != NULL && account->slot_count != 0) {
        slot = bsearch(key->b, account->slots, account->slot_count, sizeof *slot, compare_slot);
    }
    if (slot != NULL) {
        *ret_value = slot->value;
        return SB_OK;
    }
    if (account != NULL && (!account->exists || account->storage_cleared)) {
        *ret_value = sb_u256_zero();
        return SB_OK;
    }
    return v->parent->storage(v->parent->ctx, addr, key, ret_value);
}

static sb_err read_code(void *ctx, const sb_hash *code_hash, sb_bytes *ret_code)
{
    const struct sb_pending_view *v = ctx;
    for (size_t i = 0; i < v->diff->account_count; i++) {
        const struct sb_account_diff *account = &v->diff->accounts[i];
        if (account->code_changed && sb_hash_equal(&account->code_hash, code_hash)) {
            *ret_code = account->code;
            return SB_OK;
        }
    }
    return v->parent->code(v->parent->ctx, code_hash, ret_code);
}

static sb_err read_blob(void *ctx, const sb_hash *id, sb_bytes *ret_data)
{
    const struct sb_pending_view *v = ctx;
    for (size_t i = 0; i < v->diff->blob_count; i++) {
        const struct sb_blob_diff *blob = &v->diff->blobs[i];
        if (sb_hash_equal(&blob->id, id)) {
            *ret_data = blob->exists ? blob->data : (sb_bytes){.data = NULL, .len = 0};
            return SB_OK;
        }
    }
    return v->parent->blob(v->parent->ctx, id, ret_data);
}

static sb_err read_block_hash(void *ctx, uint64_t number, sb_hash *ret_hash)
{
    const struct sb_pending_view *v = ctx;
    return v->parent->block_hash(v->parent->ctx, number, ret_hash);
}

void sb_pending_view_init(struct sb_pending_view *view, const struct sb_state_view *parent,
                          const struct sb_pending *pending)
{
    view->parent = parent;
    view->diff = &pending->diff;
    view->state = (struct sb_state_view){.ctx = view,
                                         .account = read_account,
                                         .storage = read_storage,
                                         .code = read_code,
                                         .blob = read_blob,
                                         .block_hash = read_block_hash};
}
