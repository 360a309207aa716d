/* params_filter.c: the filter object of eth_getLogs, eth_newFilter and the logs subscription. */
#include "rpc/params.h"

static sb_err read_addrs(struct sb_rpc_ctx *ctx, struct sb_rpc_log_filter *filter,
                         struct sb_rpc_value value)
{
    bool is_list = json_is_array(value.json);
    size_t count = is_list ? json_array_size(value.json) : 1;
    if (count > SB_RPC_LIST_MAX) {
        return sb_rpc_bad_param(ctx, value, "more than %d addresses", SB_RPC_LIST_MAX);
    }
    sb_addr *addrs = sb_arena_array(ctx->arena, count, sizeof *addrs);
    if (addrs == NULL) {
        return SB_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        struct sb_rpc_value one = value;
        one.json = is_list ? json_array_get(value.json, i) : value.json;
        SB_TRY(sb_rpc_read_addr(ctx, &addrs[i], one));
    }
    filter->addrs = addrs;
    filter->addr_count = count;
    return SB_OK;
}

/* One position: null (anything), a topic, or a list of topics; an empty list or one with null in it is anything too. */
static sb_err read_topic_options(struct sb_rpc_ctx *ctx, struct sb_rpc_topic_options *ret,
                                 struct sb_rpc_value value)
{
    bool is_list = json_is_array(value.json);
    size_t count = is_list ? json_array_size(value.json) : json_is_null(value.json) ? 0 : 1;
    if (count > SB_RPC_LIST_MAX) {
        return sb_rpc_bad_param(ctx, value, "more than %d topics at one position", SB_RPC_LIST_MAX);
    }
    sb_hash *options = sb_arena_array(ctx->arena, count, sizeof *options);
    if (options == NULL) {
        return SB_E_NOMEM;
    }
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        struct sb_rpc_value one = value;
        one.json = is_list ? json_array_get(value.json, i) : value.json;
        if (json_is_null(one.json)) {
            any = true;
            continue;
        }
        SB_TRY(sb_rpc_read_hash(ctx, &options[i], one));
    }
    *ret = (struct sb_rpc_topic_options){.options = options, .count = any ? 0 : count};
    return SB_OK;
}

static sb_err read_topics(struct sb_rpc_ctx *ctx, struct sb_rpc_log_filter *filter,
                          struct sb_rpc_value value)
{
    if (!json_is_array(value.json)) {
        return sb_rpc_bad_param(ctx, value, "want an array");
    }
    size_t count = json_array_size(value.json);
    if (count > SB_LOG_TOPICS_MAX) {
        return sb_rpc_bad_param(ctx, value, "exceed max topics: %zu, a log has at most %d", count,
                                SB_LOG_TOPICS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        struct sb_rpc_value one = value;
        one.json = json_array_get(value.json, i);
        SB_TRY(read_topic_options(ctx, &filter->topics[i], one));
    }
    filter->topic_count = count;
    return SB_OK;
}

sb_err sb_rpc_read_log_filter(struct sb_rpc_ctx *ctx, struct sb_rpc_log_filter *ret,
                              struct sb_rpc_value value)
{
    if (!json_is_object(value.json)) {
        return sb_rpc_bad_param(ctx, value, "want a filter object");
    }
    struct sb_rpc_log_filter filter = {.has_block_hash = false};
    struct sb_rpc_value hash = sb_rpc_member(value, "blockHash");
    struct sb_rpc_value from = sb_rpc_member(value, "fromBlock");
    struct sb_rpc_value to = sb_rpc_member(value, "toBlock");
    struct sb_rpc_value addrs = sb_rpc_member(value, "address");
    struct sb_rpc_value topics = sb_rpc_member(value, "topics");
    filter.has_block_hash = sb_rpc_present(hash);
    filter.has_from = sb_rpc_present(from);
    filter.has_to = sb_rpc_present(to);
    if (filter.has_block_hash && (filter.has_from || filter.has_to)) {
        return sb_rpc_bad_param(
            ctx, value,
            "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other");
    }
    if (filter.has_block_hash) {
        SB_TRY(sb_rpc_read_hash(ctx, &filter.block_hash, hash));
    }
    SB_TRY(sb_rpc_read_block_number(ctx, &filter.from, from));
    SB_TRY(sb_rpc_read_block_number(ctx, &filter.to, to));
    if (sb_rpc_present(addrs)) {
        SB_TRY(read_addrs(ctx, &filter, addrs));
    }
    if (sb_rpc_present(topics)) {
        SB_TRY(read_topics(ctx, &filter, topics));
    }
    *ret = filter;
    return SB_OK;
}
