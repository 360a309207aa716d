/* request.c: see request.h. */
#include "rpc/request.h"

#include <stdio.h>

static void set_failure(struct sb_rpc_failure *failure, int code, const char *message)
{
    failure->code = code;
    failure->has_data = false;
    (void)snprintf(failure->message, sizeof failure->message, "%s", message);
}

bool sb_rpc_body_open(struct sb_rpc_body *ret_body, struct sb_rpc_failure *failure, sb_bytes text,
                      const struct sb_rpc_request_limits *limits)
{
    struct sb_diag diag = {.text = ""};
    sb_err err = sb_rpc_json_check(text, &limits->json, &diag);
    if (err != SB_OK) {
        set_failure(failure, err == SB_E_LIMIT ? SB_RPC_INVALID_REQUEST : SB_RPC_PARSE_ERROR,
                    diag.text);
        return false;
    }
    sb_bytes value = sb_rpc_json_trim(text);
    if (value.data[0] != '[') {
        *ret_body = (struct sb_rpc_body){.is_batch = false, .count = 1, .single = value};
        return true;
    }
    struct sb_rpc_json_items items = sb_rpc_json_open(value);
    size_t count = 0;
    for (sb_bytes key, item; sb_rpc_json_next(&items, &key, &item);) {
        count++;
    }
    if (count == 0) {
        set_failure(failure, SB_RPC_INVALID_REQUEST, "empty batch");
        return false;
    }
    if (count > limits->batch_count_max) {
        char message[96];
        (void)snprintf(message, sizeof message, "batch of %zu requests is over the limit of %zu",
                       count, limits->batch_count_max);
        set_failure(failure, SB_RPC_LIMIT, message);
        return false;
    }
    *ret_body =
        (struct sb_rpc_body){.is_batch = true, .count = count, .items = sb_rpc_json_open(value)};
    return true;
}

static bool is_text(sb_bytes bytes, const char *text)
{
    return sb_span_equal(bytes, sb_span_str(text));
}

static void set_problem(struct sb_rpc_request *request, const char *problem)
{
    request->problem_code = SB_RPC_INVALID_REQUEST;
    request->problem = problem;
}

/* An id is a string, a number or null. */
static bool take_id(struct sb_rpc_request *request, sb_bytes value)
{
    uint8_t first = value.data[0];
    bool fits =
        first == '"' || first == '-' || (first >= '0' && first <= '9') || is_text(value, "null");
    if (!fits || value.len > SB_RPC_ID_BYTES_MAX) {
        set_problem(request, "invalid request: id must be a short string, a number or null");
        return false;
    }
    request->id = value;
    return true;
}

/* Members of the envelope that were seen. */
struct seen {
    bool version, id, method, params;
    bool twice;
};

static void mark(struct seen *seen, bool *which)
{
    seen->twice = seen->twice || *which;
    *which = true;
}

static void take_members(struct sb_rpc_request *request, struct seen *seen, sb_bytes object)
{
    struct sb_rpc_json_items items = sb_rpc_json_open(object);
    for (sb_bytes key, value; sb_rpc_json_next(&items, &key, &value);) {
        if (is_text(key, "id")) {
            mark(seen, &seen->id);
            (void)take_id(request, value);
        } else if (is_text(key, "jsonrpc")) {
            mark(seen, &seen->version);
            if (!is_text(value, "\"2.0\"")) {
                set_problem(request, "invalid request: jsonrpc must be \"2.0\"");
            }
        } else if (is_text(key, "method")) {
            mark(seen, &seen->method);
            if (value.data[0] != '"') {
                set_problem(request, "invalid request: method must be a string");
            } else {
                request->method = sb_span_slice(value, 1, value.len - 2);
            }
        } else if (is_text(key, "params")) {
            mark(seen, &seen->params);
            request->params = value;
        }
    }
}

/* params: an array; an empty object and null count as none. */
static void check_params(struct sb_rpc_request *request)
{
    if (request->params.len == 0 || request->params.data[0] == '[') {
        return;
    }
    bool empty = is_text(request->params, "null");
    if (request->params.data[0] == '{') {
        struct sb_rpc_json_items items = sb_rpc_json_open(request->params);
        sb_bytes key;
        sb_bytes value;
        empty = !sb_rpc_json_next(&items, &key, &value);
    }
    if (!empty) {
        request->problem_code = SB_RPC_INVALID_PARAMS;
        request->problem = "non-array args: parameters are given by position";
    }
    request->params = (sb_bytes){.data = NULL, .len = 0};
}

bool sb_rpc_body_next(struct sb_rpc_body *body, struct sb_rpc_request *ret_request)
{
    sb_bytes value = body->single;
    sb_bytes key;
    if (body->taken == body->count ||
        (body->is_batch && !sb_rpc_json_next(&body->items, &key, &value))) {
        return false;
    }
    body->taken++;
    *ret_request = (struct sb_rpc_request){.id = sb_span_str("null")};
    if (value.data[0] != '{') {
        set_problem(ret_request, "invalid request: not an object");
        return true;
    }
    struct seen seen = {.version = false};
    take_members(ret_request, &seen, value);
    if (ret_request->problem_code == 0) {
        check_params(ret_request);
    }
    if (seen.twice) {
        set_problem(ret_request, "invalid request: a member appears twice");
    } else if (!seen.method) {
        set_problem(ret_request, "invalid request: method is missing");
    } else if (!seen.version) {
        set_problem(ret_request, "invalid request: jsonrpc must be \"2.0\"");
    }
    ret_request->is_notification = !seen.id && ret_request->problem_code != SB_RPC_INVALID_REQUEST;
    return true;
}
