/* query_staking.c: what the views of the staking contracts say, for the methods of the RPC that show it.
 *
 * The contracts are asked as a caller would ask them: no layout of their storage is known here. In a chain without them nothing is
 * found. Spec: docs/spec/staking.md; the interfaces: contracts/interfaces/. */
#include "base/codec/abi.h"
#include "node/query.h"

#define VIEW_GAS           INT64_C(10000000)
#define INPUT_BYTES_MAX    64
#define SIGNING_INFO_WORDS 9

/* A block's state with an executor on it that answers views. */
struct viewer {
    struct sb_backend *backend;
    struct sb_backend_state state;
    struct sb_block_env env;
    struct sb_executor *x;
};

static sb_err viewer_open(struct viewer *v, struct sb_backend *backend,
                          const struct sb_rpc_block_ref *ref, struct sb_rpc_failure *failure)
{
    v->backend = backend;
    SB_TRY(sb_backend_state_open(&v->state, backend, ref, failure));
    v->env = sb_chain_env(&v->state.block->block.header);
    v->x = sb_executor_new(v->state.at, sb_chain_rules(backend->chain), &v->env, NULL);
    sb_err err = v->x == NULL ? SB_E_NOMEM : sb_executor_has_system(v->x) ? SB_OK : SB_E_NOT_FOUND;
    if (err != SB_OK) {
        sb_executor_free(v->x);
        sb_backend_state_close(backend, &v->state);
    }
    return err;
}

static void viewer_close(struct viewer *v)
{
    sb_executor_free(v->x);
    sb_backend_state_close(v->backend, &v->state);
}

/* view: call a function of one address. *ret_output is valid until the next call; SB_E_NOT_FOUND when the contract refuses. */
static sb_err view(sb_bytes *ret_output, struct viewer *v, uint16_t contract, const char *signature,
                   const sb_addr *argument)
{
    uint8_t memory[INPUT_BYTES_MAX];
    struct sb_buf input = sb_buf_over(memory, sizeof memory);
    struct sb_abi_writer w;
    struct sb_evm_result result;
    const sb_addr to = sb_system_addr(contract);
    sb_abi_put_selector(&input, sb_abi_selector(signature));
    sb_abi_begin(&w, &input, 1);
    sb_abi_put_addr(&w, argument);
    sb_abi_end(&w);
    SB_TRY(sb_executor_system_call(&result, v->x, &to, sb_buf_bytes(&input), VIEW_GAS, NULL, NULL));
    if (result.status != SB_EVM_SUCCESS) {
        return SB_E_NOT_FOUND;
    }
    *ret_output = result.output;
    return SB_OK;
}

/* operator_of: zero when no validator has this consensus address. */
static sb_err operator_of(sb_addr *ret_operator, struct viewer *v, const sb_addr *consensus)
{
    sb_bytes output;
    SB_TRY(view(&output, v, SB_STAKING_ADDR_LOW, "operatorOf(address)", consensus));
    return sb_abi_read_addr(ret_operator, output, 0) == SB_OK ? SB_OK : SB_E_NOT_FOUND;
}

/* A key keeps its operator for ever, so the newest state knows those of all heights; of the set that is to come, too. */
void sb_query_operators(struct sb_backend *backend, struct sb_rpc_validator *validators,
                        size_t count)
{
    const struct sb_rpc_block_ref latest = {.by = SB_RPC_BY_TAG, .tag = SB_RPC_LATEST};
    struct sb_rpc_failure failure = {.code = 0};
    struct viewer v;
    if (viewer_open(&v, backend, &latest, &failure) != SB_OK) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        sb_addr found;
        validators[i].has_operator =
            operator_of(&found, &v, &validators[i].address) == SB_OK && !sb_addr_is_zero(&found);
        validators[i].operator_addr = validators[i].has_operator ? found : validators[i].address;
    }
    viewer_close(&v);
}

static sb_err read_signing_info(struct sb_rpc_signing_info *ret_info, sb_bytes output)
{
    struct sb_rpc_signing_info info;
    if (output.len != (size_t)SIGNING_INFO_WORDS * SB_ABI_WORD_BYTES) {
        return SB_E_SHAPE;
    }
    SB_TRY(sb_abi_read_addr(&info.operator_addr, output, 0));
    SB_TRY(sb_abi_read_addr(&info.consensus_addr, output, 1));
    SB_TRY(sb_abi_read_u64(&info.counted, output, 2));
    SB_TRY(sb_abi_read_u64(&info.missed, output, 3));
    SB_TRY(sb_abi_read_u64(&info.window, output, 4));
    SB_TRY(sb_abi_read_u64(&info.missed_max, output, 5));
    SB_TRY(sb_abi_read_bool(&info.jailed, output, 6));
    SB_TRY(sb_abi_read_bool(&info.tombstoned, output, 7));
    SB_TRY(sb_abi_read_u64(&info.jailed_until, output, 8));
    *ret_info = info;
    return SB_OK;
}

static sb_err ask_signing_info(struct sb_rpc_signing_info *ret_info, struct viewer *v,
                               const sb_addr *addr)
{
    sb_addr found;
    sb_bytes output;
    SB_TRY(operator_of(&found, v, addr));
    SB_TRY(view(&output, v, SB_SLASHING_ADDR_LOW, "signingInfo(address)",
                sb_addr_is_zero(&found) ? addr : &found));
    return read_signing_info(ret_info, output) == SB_OK ? SB_OK : SB_E_NOT_FOUND;
}

sb_err sb_query_signing_info(void *ctx, const sb_addr *addr, const struct sb_rpc_block_ref *ref,
                             struct sb_rpc_signing_info *ret_info, struct sb_rpc_failure *failure)
{
    struct viewer v;
    SB_TRY(viewer_open(&v, ctx, ref, failure));
    sb_err err = ask_signing_info(ret_info, &v, addr);
    viewer_close(&v);
    return err;
}
