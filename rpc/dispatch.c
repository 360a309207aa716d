/* dispatch.c: see dispatch.h. */
#include "rpc/dispatch.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "base/util/checked.h"

#define ERROR_BYTES_MAX 1024
#define VALUES_PER_REQUEST                                                                         \
    256 /* generous for a batch; one request of maximal size is bounded by the constant below */
#define VALUES_MIN 200000

const struct sb_rpc_method sb_rpc_methods[] = {
#define SB_RPC_METHOD(name, where, needs, doc)                                                     \
    {#name,                                                                                        \
     sizeof #name - 1,                                                                             \
     sb_rpc_do_##name,                                                                             \
     SB_RPC_##where,                                                                               \
     offsetof(struct sb_rpc_backend, needs),                                                       \
     doc},
#include "rpc/methods.def"
#undef SB_RPC_METHOD
};
const size_t sb_rpc_method_count = sizeof sb_rpc_methods / sizeof sb_rpc_methods[0];

/* ---- watch ---- */

sb_err sb_rpc_watch_init(struct sb_rpc_watch *watch)
{
    watch->deadline_ns = 0;
    watch->cancelled = false;
    atomic_init(&watch->stop, false);
    return uv_mutex_init(&watch->lock) == 0 ? SB_OK : SB_E_NOMEM;
}

void sb_rpc_watch_fini(struct sb_rpc_watch *watch)
{
    uv_mutex_destroy(&watch->lock);
}

void sb_rpc_watch_cancel(struct sb_rpc_watch *watch)
{
    uv_mutex_lock(&watch->lock);
    watch->cancelled = true;
    atomic_store(&watch->stop, true);
    uv_mutex_unlock(&watch->lock);
}

void sb_rpc_watch_check(struct sb_rpc_watch *watch, uint64_t now_ns)
{
    uv_mutex_lock(&watch->lock);
    if (watch->deadline_ns != 0 && now_ns >= watch->deadline_ns) {
        atomic_store(&watch->stop, true);
    }
    uv_mutex_unlock(&watch->lock);
}

static void watch_begin(struct sb_rpc_watch *watch, uint64_t deadline_ns)
{
    uv_mutex_lock(&watch->lock);
    watch->deadline_ns = deadline_ns;
    atomic_store(&watch->stop, watch->cancelled);
    uv_mutex_unlock(&watch->lock);
}

/* ---- failures ---- */

void sb_rpc_failure_set(struct sb_rpc_ctx *ctx, int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    ctx->failure->code = code;
    ctx->failure->has_data = false;
    (void)vsnprintf(ctx->failure->message, sizeof ctx->failure->message, fmt, args);
    va_end(args);
}

sb_err sb_rpc_check_stop(struct sb_rpc_ctx *ctx)
{
    return atomic_load_explicit(ctx->stop, memory_order_relaxed) ? SB_E_TIMEOUT : SB_OK;
}

void sb_rpc_write_error(struct sb_buf *out, sb_bytes id, const struct sb_rpc_failure *failure)
{
    struct sb_json json;
    sb_json_init(&json, out);
    sb_json_object_begin(&json);
    sb_json_key(&json, "jsonrpc");
    sb_json_str(&json, "2.0");
    sb_json_key(&json, "id");
    sb_json_raw(&json, id);
    sb_json_key(&json, "error");
    sb_json_object_begin(&json);
    sb_json_key(&json, "code");
    sb_json_i64(&json, failure->code);
    sb_json_key(&json, "message");
    sb_json_str(&json, failure->message);
    if (failure->has_data) {
        sb_json_key(&json, "data");
        sb_json_hex(&json, failure->data);
    }
    sb_json_object_end(&json);
    sb_json_object_end(&json);
}

void sb_rpc_write_plain_error(struct sb_buf *out, int code, const char *message)
{
    struct sb_rpc_failure failure = {.code = code};
    (void)snprintf(failure.message, sizeof failure.message, "%s", message);
    sb_rpc_write_error(out, sb_span_str("null"), &failure);
}

size_t sb_rpc_answer_limit(const struct sb_rpc_options *options)
{
    return options->response_bytes_max + ((size_t)options->batch_count_max + 2) * ERROR_BYTES_MAX;
}

/* ---- one body ---- */

struct serving {
    const struct sb_rpc_services *services;
    struct sb_rpc_session *session;
    struct sb_rpc_watch *watch;
    struct sb_arena *arena;
    struct sb_buf *out;
    struct sb_rpc_budget budget;
    uint64_t end_ns; /* when the whole body must be answered */
    struct sb_rpc_tally tally;
};

static struct sb_rpc_request_limits request_limits(const struct sb_rpc_options *options)
{
    size_t values = (size_t)options->batch_count_max * VALUES_PER_REQUEST;
    return (struct sb_rpc_request_limits){
        .json = {.depth_max = options->depth_max,
                 .value_count_max = values > VALUES_MIN ? values : VALUES_MIN},
        .batch_count_max = options->batch_count_max,
    };
}

/* The backend has what the method needs. */
static bool is_available(const struct sb_rpc_method *method, const struct sb_rpc_backend *backend)
{
    void (*function)(void);
    memcpy(&function, (const uint8_t *)backend + method->needs_offset, sizeof function);
    return function != NULL;
}

static const struct sb_rpc_method *find_method(const struct sb_rpc_services *services,
                                               sb_bytes name)
{
    for (size_t i = 0; i < sb_rpc_method_count; i++) {
        const struct sb_rpc_method *method = &sb_rpc_methods[i];
        if (method->name_len == name.len && memcmp(method->name, name.data, name.len) == 0) {
            return is_available(method, &services->backend) ? method : NULL;
        }
    }
    return NULL;
}

enum sb_rpc_where sb_rpc_plan(const struct sb_rpc_services *services, sb_bytes text)
{
    struct sb_rpc_request_limits limits = request_limits(&services->options);
    struct sb_rpc_body body;
    struct sb_rpc_failure failure;
    enum sb_rpc_where where = SB_RPC_LOOP;
    if (text.len > SB_RPC_LOOP_BODY_BYTES_MAX) {
        return SB_RPC_CALL;
    }
    if (!sb_rpc_body_open(&body, &failure, text, &limits)) {
        return SB_RPC_LOOP;
    }
    for (struct sb_rpc_request request; sb_rpc_body_next(&body, &request);) {
        const struct sb_rpc_method *method = find_method(services, request.method);
        if (method != NULL && method->where > where) {
            where = method->where;
        }
    }
    return where;
}

/* Fills what a handler left empty: every failure has a code and a message. */
static void complete_failure(const struct sb_rpc_ctx *ctx, sb_err err, uint32_t limit_ms)
{
    struct sb_rpc_failure *failure = ctx->failure;
    if (atomic_load(ctx->stop) &&
        (failure->code == 0 || err == SB_E_TIMEOUT || err == SB_E_CANCELLED)) {
        failure->code = SB_RPC_SERVER_ERROR;
        failure->has_data = false;
        (void)snprintf(
            failure->message, sizeof failure->message,
            "execution aborted (timeout = %u.%us): the node limits the time of a request",
            limit_ms / 1000, limit_ms % 1000 / 100);
    } else if (failure->code == 0) {
        failure->code = SB_RPC_INTERNAL;
        (void)snprintf(failure->message, sizeof failure->message, "internal error: %s",
                       sb_err_text(err));
    }
}

static uint32_t method_limit_ms(const struct sb_rpc_options *options,
                                const struct sb_rpc_method *method)
{
    return method->where == SB_RPC_TRACE ? options->trace_ms_max : options->call_ms_max;
}

/* Runs the handler with the parsed params; its value goes through json. */
static sb_err run_handler(struct serving *s, const struct sb_rpc_method *method,
                          const json_t *params, struct sb_json *json,
                          struct sb_rpc_failure *failure)
{
    static const atomic_bool never = false;
    uint64_t now_ns = uv_hrtime();
    uint32_t limit_ms = method_limit_ms(&s->services->options, method);
    struct sb_rpc_ctx ctx = {
        .services = s->services,
        .arena = s->arena,
        .out = json,
        .failure = failure,
        .params = params,
        .stop = s->watch != NULL ? &s->watch->stop : &never,
        .budget = &s->budget,
        .session = s->session,
        .now_ms = now_ns / 1000000,
    };
    if (now_ns >= s->end_ns) {
        return sb_rpc_fail(&ctx, SB_E_LIMIT, SB_RPC_LIMIT, "the batch took longer than %u ms",
                           s->services->options.batch_ms_max);
    }
    if (s->watch != NULL) {
        uint64_t deadline = now_ns + (uint64_t)limit_ms * 1000000;
        watch_begin(s->watch, deadline < s->end_ns ? deadline : s->end_ns);
    }
    sb_err err = method->handler(&ctx);
    if (err != SB_OK) {
        complete_failure(&ctx, err, limit_ms);
    }
    if (s->watch != NULL) {
        watch_begin(s->watch, 0);
    }
    return err;
}

/* Writes {jsonrpc, id, result} or rewinds and leaves the failure. */
static bool try_result(struct serving *s, const struct sb_rpc_request *request,
                       const struct sb_rpc_method *method, const json_t *params,
                       struct sb_rpc_failure *failure)
{
    size_t mark = s->out->len;
    struct sb_json json;
    sb_json_init(&json, s->out);
    sb_json_object_begin(&json);
    sb_json_key(&json, "jsonrpc");
    sb_json_str(&json, "2.0");
    sb_json_key(&json, "id");
    sb_json_raw(&json, request->id);
    sb_json_key(&json, "result");
    sb_err err = run_handler(s, method, params, &json, failure);
    bool too_large = s->out->failed || s->out->len > s->services->options.response_bytes_max;
    if (err == SB_OK && !too_large) {
        sb_json_object_end(&json);
        return true;
    }
    if (err == SB_OK) {
        *failure = (struct sb_rpc_failure){.code = SB_RPC_LIMIT};
        (void)snprintf(failure->message, sizeof failure->message,
                       "response is larger than the limit of %zu bytes",
                       s->services->options.response_bytes_max);
    }
    s->out->len = mark;
    s->out->failed = false;
    return false;
}

/* One request: its answer goes to out, or into `failure`. */
static bool answer_request(struct serving *s, const struct sb_rpc_request *request,
                           struct sb_rpc_failure *failure)
{
    if (request->problem_code != 0) {
        failure->code = request->problem_code;
        (void)snprintf(failure->message, sizeof failure->message, "%s", request->problem);
        return false;
    }
    const struct sb_rpc_method *method = find_method(s->services, request->method);
    if (method == NULL) {
        int shown = request->method.len > 64 ? 64 : (int)request->method.len;
        failure->code = SB_RPC_METHOD_NOT_FOUND;
        (void)snprintf(failure->message, sizeof failure->message,
                       "the method %.*s%s does not exist/is not available", shown,
                       (const char *)request->method.data, request->method.len > 64 ? "..." : "");
        return false;
    }
    json_t *params = NULL;
    if (request->params.len != 0) {
        json_error_t error;
        params = json_loadb((const char *)request->params.data, request->params.len,
                            JSON_REJECT_DUPLICATES, &error);
        if (params == NULL) {
            failure->code = SB_RPC_INVALID_PARAMS;
            (void)snprintf(failure->message, sizeof failure->message, "invalid params: %s",
                           error.text);
            return false;
        }
    }
    bool ok = try_result(s, request, method, params, failure);
    json_decref(params);
    return ok;
}

static void serve_one(struct serving *s, const struct sb_rpc_request *request, bool comma)
{
    struct sb_arena_mark mark = sb_arena_mark(s->arena);
    size_t start = s->out->len;
    struct sb_rpc_failure failure = {.code = 0};
    s->tally.requests++;
    if (comma) {
        sb_buf_add_byte(s->out, ',');
    }
    if (!answer_request(s, request, &failure)) {
        s->tally.errors++;
        size_t before = s->out->len;
        sb_rpc_write_error(s->out, request->id, &failure);
        if (s->out->failed || s->out->len - before > s->services->options.response_bytes_max) {
            s->out->len = before;
            s->out->failed = false;
            failure =
                (struct sb_rpc_failure){.code = SB_RPC_LIMIT, .message = "response too large"};
            sb_rpc_write_error(s->out, request->id, &failure);
        }
    }
    if (request->is_notification) {
        s->out->len = start;
    }
    sb_arena_rewind(s->arena, mark);
}

struct sb_rpc_tally sb_rpc_serve(const struct sb_rpc_services *services,
                                 struct sb_rpc_session *session, struct sb_rpc_watch *watch,
                                 struct sb_arena *arena, sb_bytes text, struct sb_buf *out)
{
    const struct sb_rpc_options *options = &services->options;
    struct sb_rpc_request_limits limits = request_limits(options);
    struct sb_rpc_body body;
    struct sb_rpc_failure failure = {.code = 0};
    if (!sb_rpc_body_open(&body, &failure, text, &limits)) {
        sb_rpc_write_error(out, sb_span_str("null"), &failure);
        return (struct sb_rpc_tally){.requests = 1, .errors = 1};
    }
    struct serving s = {
        .services = services,
        .session = session,
        .watch = watch,
        .arena = arena,
        .out = out,
        .budget = {.gas_left = options->batch_gas_max, .is_batch = body.is_batch},
        .end_ns =
            body.is_batch ? uv_hrtime() + (uint64_t)options->batch_ms_max * 1000000 : UINT64_MAX,
    };
    if (body.is_batch) {
        sb_buf_add_byte(out, '[');
    }
    for (struct sb_rpc_request request; sb_rpc_body_next(&body, &request);) {
        serve_one(&s, &request, out->len > 1);
    }
    if (body.is_batch && out->len == 1) {
        out->len = 0;
    } else if (body.is_batch) {
        sb_buf_add_byte(out, ']');
    }
    return s.tally;
}
