/* cmd_light.c: `samebit light`: check the chain and its inferences through nodes that need not be trusted.
 *
 *      --trust-height H --trust-hash ID   the block that a person chose     \
 *      --state FILE                       or what was verified before        +--> light client --> head; proofs; divergence -> FILE
 *      --rpc URL, --witness URL ...       where light blocks come from      /
 *
 * What is verified is kept in the state file after each step, so that the next call goes on from there. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/codec/hex.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/files.h"
#include "node/light_client.h"
#include "node/rpc_client.h"

#define DAY_MS          UINT64_C(86400000)
#define PERIOD_MS       (14 * DAY_MS)
#define DRIFT_MS        10000
#define STATE_BYTES_MAX ((size_t)16 << 20)
#define PROOF_TEXT_MAX  ((size_t)1 << 20)
#define POLL_S          2
#define EXIT_DIVERGENCE 3

static const struct sb_usage k_usage = {
    "light", "--rpc URL [--trust-height H --trust-hash ID] [--verify-inference TX [--index N]]",
    "Follow the chain without running a node: from a block that you trust, by the signatures of "
    "the "
    "validators\n"
    "alone. Nothing that the node at --rpc says is believed. Each --witness is asked, too: if it "
    "has "
    "another\n"
    "properly signed block, the two are written to --evidence and submitted to the nodes, and the "
    "status is 3.\n"
    "The first time, give height and id of a block that you know from a source that you trust (id: "
    "blockId of\n"
    "samebit_getCommit); later the state file has it. --verify-inference checks the proof of an "
    "inference of a\n"
    "transaction, --proof one that lies in a file.",
    "  samebit light --rpc http://127.0.0.1:8545 --trust-height 1 --trust-hash 0x... --witness "
    "http://10.0.0.7:8545\n"
    "  samebit light --rpc http://127.0.0.1:8545 --verify-inference 0x... --index 0\n"
    "  samebit light --rpc http://127.0.0.1:8545 --follow\n"};

struct light {
    /* options */
    const char *rpc, *trust_hash, *state_path, *evidence_path, *tx, *proof_path, *save_path;
    const char *genesis_hash;
    struct sb_texts witnesses;
    uint64_t trust_height, period_ms, drift_ms, index, height;
    bool follow, no_submit;
    /* state */
    struct sb_rpc_client primary, others[SB_LIGHT_WITNESSES_MAX];
    struct sb_light_client *client;
    struct sb_light_client_options client_options;
};

/* split_urls: "URL[,URL...]": the first is the primary, the others are witnesses. The text is cut up in place. */
static bool split_urls(struct light *l, char *text)
{
    l->rpc = text;
    for (char *comma = strchr(text, ','); comma != NULL; comma = strchr(comma + 1, ',')) {
        if (l->witnesses.count == SB_TEXTS_MAX) {
            return false;
        }
        *comma = '\0';
        l->witnesses.items[l->witnesses.count++] = comma + 1;
    }
    return true;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- providers ---- */

static json_t *height_param(uint64_t height)
{
    char text[24];
    (void)snprintf(text, sizeof text, "0x%" PRIx64, height);
    return json_pack("[s]", height == 0 ? "latest" : text);
}

static sb_err fetch(void *ctx, struct sb_buf *out, uint64_t height, struct sb_diag *diag)
{
    json_t *result;
    SB_TRY(sb_rpc_client_call(&result, ctx, "samebit_getLightBlock", height_param(height), diag));
    sb_err err = json_is_null(result) ? sb_fail(diag, SB_E_NOT_FOUND, "it has no such block")
                                      : sb_json_read_data(out, result);
    json_decref(result);
    return err;
}

static void on_note(void *ctx, const char *text)
{
    (void)ctx;
    (void)fprintf(stderr, "note: %s\n", text);
}

static sb_err read_hash(sb_hash *ret, const char *text, const char *what, struct sb_diag *diag)
{
    uint8_t memory[33];
    struct sb_buf buf = sb_buf_over(memory, sizeof memory);
    json_t *json = json_string(text);
    sb_err err = json != NULL ? sb_json_read_data(&buf, json) : SB_E_NOMEM;
    json_decref(json);
    if (err != SB_OK || buf.len != sizeof ret->b) {
        return sb_fail(diag, SB_E_SYNTAX, "%s is not 0x and 64 hexadecimal digits: %s", what, text);
    }
    memcpy(ret->b, memory, sizeof ret->b);
    return SB_OK;
}

/* find_domain: chain id and genesis hash as the node tells them. A wrong answer is caught: the trusted block's signatures would not
 * verify. */
static sb_err find_domain(struct light *l, struct sb_diag *diag)
{
    struct sb_chain_domain *domain = &l->client_options.domain;
    SB_TRY(sb_rpc_client_u64(&domain->chain_id, &l->primary, "eth_chainId", NULL, diag));
    if (l->genesis_hash != NULL) {
        return read_hash(&domain->genesis_hash, l->genesis_hash, "--genesis-hash", diag);
    }
    json_t *block;
    SB_TRY(sb_rpc_client_call(&block, &l->primary, "eth_getBlockByNumber",
                              json_pack("[s,b]", "0x0", 0), diag));
    const char *text = json_string_value(json_object_get(block, "hash"));
    sb_err err = text != NULL ? read_hash(&domain->genesis_hash, text, "the genesis hash", diag)
                              : sb_fail(diag, SB_E_SYNTAX, "the node gives no genesis block");
    json_decref(block);
    return err;
}

static sb_err make_client(struct light *l, struct sb_diag *diag)
{
    struct sb_light_client_options *o = &l->client_options;
    SB_TRY(sb_rpc_client_init(&l->primary, l->rpc, diag));
    SB_TRY(find_domain(l, diag));
    o->trust = (struct sb_light_options){.trusting_period = l->period_ms,
                                         .clock_drift = l->drift_ms,
                                         .trust_numerator = 1,
                                         .trust_denominator = 3};
    o->primary =
        (struct sb_light_provider){.ctx = &l->primary, .name = l->rpc, .light_block = fetch};
    o->note = on_note;
    for (size_t i = 0; i < l->witnesses.count; i++) {
        SB_TRY(sb_rpc_client_init(&l->others[i], l->witnesses.items[i], diag));
        o->witnesses[i] = (struct sb_light_provider){
            .ctx = &l->others[i], .name = l->witnesses.items[i], .light_block = fetch};
    }
    o->witness_count = l->witnesses.count;
    return sb_light_client_new(&l->client, o, diag);
}

/* ---- the state file ---- */

static sb_err load_state(struct light *l, struct sb_diag *diag)
{
    struct sb_buf raw;
    sb_buf_init(&raw, STATE_BYTES_MAX);
    sb_err err = sb_file_read(&raw, l->state_path, diag);
    if (err == SB_OK) {
        err = sb_light_client_restore(l->client, sb_buf_bytes(&raw), diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "%s", l->state_path);
        }
    }
    sb_buf_fini(&raw);
    return err;
}

static sb_err save_state(const struct light *l, struct sb_diag *diag)
{
    struct sb_buf raw;
    sb_buf_init(&raw, STATE_BYTES_MAX);
    sb_err err = sb_light_client_encode(&raw, l->client);
    if (err == SB_OK) {
        err = sb_file_replace(l->state_path, sb_buf_bytes(&raw), 0644, diag);
    }
    sb_buf_fini(&raw);
    return err;
}

static sb_err begin(struct light *l, struct sb_diag *diag)
{
    sb_hash id;
    if (l->trust_hash == NULL) {
        if (sb_file_exists(l->state_path)) {
            return load_state(l, diag);
        }
        return sb_fail(
            diag, SB_E_ARG,
            "%s does not exist yet: say with --trust-height and --trust-hash which block "
            "you trust",
            l->state_path);
    }
    SB_TRY(read_hash(&id, l->trust_hash, "--trust-hash", diag));
    SB_TRY(sb_light_client_begin(l->client, l->trust_height, &id, diag));
    return save_state(l, diag);
}

/* ---- divergence ---- */

static void add_text(json_t *object, const char *name, sb_bytes bytes)
{
    (void)json_object_set_new(object, name, sb_json_data(bytes));
}

static json_t *divergence_json(const struct light *l, const struct sb_light_divergence *d)
{
    const char *kind = d->is_lunatic ? "lunatic" : d->is_equivocation ? "equivocation" : "amnesia";
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "kind", kind, "primary", l->rpc, "witness",
        d->witness, "commonHeight", (json_int_t)d->common_height, "height", (json_int_t)d->height,
        "witnessHeight", (json_int_t)d->witness_height, "signedBoth", (json_int_t)d->double_signers,
        "signedBothPower", (json_int_t)d->double_power, "totalPower", (json_int_t)d->total_power);
    if (json != NULL) {
        add_text(json, "primaryId", sb_span(d->primary_id.b, sizeof d->primary_id.b));
        add_text(json, "witnessId", sb_span(d->witness_id.b, sizeof d->witness_id.b));
        add_text(json, "primaryBlock", sb_buf_bytes(&d->primary_block));
        add_text(json, "witnessBlock", sb_buf_bytes(&d->witness_block));
    }
    return json;
}

/* submit: to one node the block that contradicts its own. */
static void submit(struct sb_rpc_client *client, const char *url, sb_bytes block,
                   uint64_t common_height)
{
    struct sb_diag why = {.text = ""};
    json_t *result = NULL;
    sb_err err = sb_rpc_client_call(
        &result, client, "samebit_submitEvidence",
        json_pack("[o,I]", sb_json_data(block), (json_int_t)common_height), &why);
    uint64_t accepted = 0;
    if (err == SB_OK) {
        err = sb_json_read_u64(&accepted, result, "accepted");
        json_decref(result);
    }
    if (err == SB_OK) {
        (void)printf("%s took %" PRIu64 " pieces of evidence\n", url, accepted);
    } else {
        (void)printf("%s took no evidence: %s\n", url, why.text);
    }
}

static int report(struct light *l, struct sb_light_divergence *d, const struct sb_diag *diag)
{
    struct sb_diag why = {.text = ""};
    json_t *json = divergence_json(l, d);
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(2)) : NULL;
    (void)fprintf(stderr, "error: DIVERGENCE: %s\n", diag->text);
    (void)printf("the histories part between block %" PRIu64 " and block %" PRIu64
                 "; %zu validators with %" PRId64 " of %" PRId64 " power signed both\n",
                 d->common_height, d->height, d->double_signers, d->double_power, d->total_power);
    if (text == NULL || sb_file_replace(l->evidence_path, sb_span_str(text), 0644, &why) != SB_OK) {
        (void)fprintf(stderr, "error: the evidence could not be written: %s\n", why.text);
    } else {
        (void)printf("evidence: %s\n", l->evidence_path);
    }
    for (size_t i = 0; i < l->witnesses.count && !l->no_submit; i++) {
        if (strcmp(l->witnesses.items[i], d->witness) == 0) {
            submit(&l->others[i], d->witness, sb_buf_bytes(&d->primary_block), d->common_height);
        }
    }
    if (!l->no_submit) {
        submit(&l->primary, l->rpc, sb_buf_bytes(&d->witness_block), d->common_height);
    }
    free(text);
    json_decref(json);
    sb_light_divergence_fini(d);
    return EXIT_DIVERGENCE;
}

/* ---- work ---- */

/* reach: *ret_status is the exit status once this returns false. */
static bool reach(struct light *l, uint64_t height, int *ret_status)
{
    struct sb_light_divergence divergence;
    struct sb_diag diag = {.text = ""};
    sb_err err = sb_light_client_reach(l->client, height, now_ms(), &divergence, &diag);
    struct sb_diag why = {.text = ""};
    if (save_state(l, &why) != SB_OK) {
        (void)fprintf(stderr, "note: %s\n", why.text);
    }
    if (err == SB_OK) {
        return true;
    }
    *ret_status = err == SB_E_CONFLICT ? report(l, &divergence, &diag) : sb_cli_fail(&diag);
    return false;
}

static void print_head(const struct light *l)
{
    struct sb_light_head head;
    char id[SB_HEX_TEXT_BYTES(32)];
    if (sb_light_client_head(&head, l->client)) {
        (void)printf("block %" PRIu64 " %s, %zu validators, verified\n", head.height,
                     sb_hex_format(id, sb_span(head.id.b, sizeof head.id.b)), head.validator_count);
        (void)fflush(stdout);
    }
}

static int follow(struct light *l)
{
    int status = SB_EXIT_OK;
    while (reach(l, l->height, &status)) {
        print_head(l);
        if (!l->follow) {
            return SB_EXIT_OK;
        }
        const struct timespec pause = {.tv_sec = POLL_S};
        (void)nanosleep(&pause, NULL);
    }
    return status;
}

static sb_err fetch_proof(struct sb_buf *out, struct light *l, struct sb_diag *diag)
{
    json_t *result;
    SB_TRY(sb_rpc_client_call(&result, &l->primary, "samebit_getInferenceProof",
                              json_pack("[s,I]", l->tx, (json_int_t)l->index), diag));
    sb_err err = json_is_null(result)
                     ? sb_fail(diag, SB_E_NOT_FOUND, "%s: transaction %s has no inference %" PRIu64,
                               l->rpc, l->tx, l->index)
                     : sb_json_read_data(out, json_object_get(result, "proof"));
    json_decref(result);
    return err;
}

/* read_proof: a file of bytes, or of hexadecimal digits with 0x. */
static sb_err read_proof(struct sb_buf *out, struct light *l, struct sb_diag *diag)
{
    if (l->proof_path == NULL) {
        return fetch_proof(out, l, diag);
    }
    struct sb_buf raw;
    sb_buf_init(&raw, PROOF_TEXT_MAX);
    sb_err err = sb_file_read(&raw, l->proof_path, diag);
    if (err == SB_OK && raw.len > 2 && memcmp(raw.data, "0x", 2) == 0) {
        size_t len = raw.len;
        while (len > 0 && (raw.data[len - 1] == '\n' || raw.data[len - 1] == '\r')) {
            len--;
        }
        json_t *text = json_stringn((const char *)raw.data, len);
        err = sb_json_read_data(out, text);
        json_decref(text);
    } else if (err == SB_OK) {
        sb_buf_add(out, raw.data, raw.len);
        err = sb_buf_err(out);
    }
    sb_buf_fini(&raw);
    return err;
}

static void print_verdict(const struct sb_inference_verdict *v)
{
    char text[SB_HEX_TEXT_BYTES(32)];
    const struct sb_inference_record *r = &v->record;
#define LINE(name, field)                                                                          \
    (void)printf("%-12s %s\n", name, sb_hex_format(text, sb_span((field).b, sizeof(field).b)))
    (void)printf("proven\n%-12s %" PRIu64 "\n", "block", v->header.height);
    LINE("block id", v->block_id);
    LINE("block hash", v->header.payload_hash);
    LINE("transaction", r->tx_hash);
    (void)printf("%-12s %" PRIu32 "\n", "inference", r->index);
    LINE("caller", r->caller);
    LINE("model", r->model_id);
    LINE("input hash", r->input_hash);
    LINE("output hash", r->output_hash);
#undef LINE
}

static int judge(struct light *l, sb_bytes proof)
{
    struct sb_inference_verdict verdict;
    struct sb_diag diag = {.text = ""};
    uint64_t height;
    int status;
    if (sb_inference_proof_height(&height, proof) == SB_OK && !reach(l, height, &status)) {
        return status;
    }
    if (sb_light_client_verify(&verdict, l->client, proof, now_ms(), &diag) != SB_OK) {
        return sb_cli_fail(&diag);
    }
    if (verdict.reason != SB_INFERENCE_NONE) {
        (void)fprintf(
            stderr, "error: not proven: %s%s%s\n", sb_inference_reason_text(verdict.reason),
            verdict.reason == SB_INFERENCE_LIGHT ? ": " : "",
            verdict.reason == SB_INFERENCE_LIGHT ? sb_light_reason_text(verdict.light_reason) : "");
        return SB_EXIT_FAILED;
    }
    print_verdict(&verdict);
    return SB_EXIT_OK;
}

static int verify_inference(struct light *l)
{
    struct sb_diag diag = {.text = ""};
    struct sb_buf proof;
    sb_buf_init(&proof, SB_INFERENCE_PROOF_BYTES_MAX);
    sb_err err = read_proof(&proof, l, &diag);
    if (err == SB_OK && l->save_path != NULL) {
        err = sb_file_replace(l->save_path, sb_buf_bytes(&proof), 0644, &diag);
    }
    int status = err == SB_OK ? judge(l, sb_buf_bytes(&proof)) : SB_EXIT_FAILED;
    if (err != SB_OK) {
        if (diag.text[0] == '\0') {
            (void)sb_fail(&diag, err, "the proof cannot be read: %s", sb_err_text(err));
        }
        status = sb_cli_fail(&diag);
    }
    sb_buf_fini(&proof);
    return status;
}

static int run(struct light *l)
{
    struct sb_diag diag = {.text = ""};
    sb_err err = make_client(l, &diag);
    err = err == SB_OK ? begin(l, &diag) : err;
    int status = err != SB_OK                             ? sb_cli_fail(&diag)
                 : l->tx != NULL || l->proof_path != NULL ? verify_inference(l)
                                                          : follow(l);
    sb_light_client_free(l->client);
    return status;
}

int sb_cmd_light(int argc, char **argv)
{
    static struct light l;
    l = (struct light){.rpc = SB_RPC_URL_DEFAULT,
                       .state_path = "samebit-light.state",
                       .evidence_path = "samebit-light.evidence.json",
                       .period_ms = PERIOD_MS,
                       .drift_ms = DRIFT_MS};
    const struct sb_option options[] = {
        {"rpc", SB_OPTION_TEXT, &l.rpc, "URL[,URL...]",
         "the node to ask, and witnesses; " SB_RPC_URL_DEFAULT, 0, 0},
        {"witness", SB_OPTION_TEXTS, &l.witnesses, "URL", "another node, to compare with", 0, 0},
        {"trust-height", SB_OPTION_U64, &l.trust_height, "H", "height of the block that you trust",
         1, UINT64_MAX},
        {"trust-hash", SB_OPTION_TEXT, &l.trust_hash, "ID", "its block id", 0, 0},
        {"genesis-hash", SB_OPTION_TEXT, &l.genesis_hash, "HASH",
         "of the chain; else the node is asked, and a wrong answer is found out", 0, 0},
        {"trusting-period", SB_OPTION_SECONDS, &l.period_ms, "SECONDS",
         "how long a verified block is trusted; 14 days", 1, 3650 * DAY_MS},
        {"clock-drift", SB_OPTION_SECONDS, &l.drift_ms, "SECONDS",
         "how far a block may be ahead of this machine's clock; 10", 0, DAY_MS},
        {"state", SB_OPTION_TEXT, &l.state_path, "FILE",
         "what is verified is kept here; samebit-light.state", 0, 0},
        {"evidence", SB_OPTION_TEXT, &l.evidence_path, "FILE",
         "where a divergence is written; samebit-light.evidence.json", 0, 0},
        {"no-submit", SB_OPTION_FLAG, &l.no_submit, NULL, "do not submit evidence to the nodes", 0,
         0},
        {"height", SB_OPTION_U64, &l.height, "H", "verify this block, not the newest", 1,
         UINT64_MAX},
        {"follow", SB_OPTION_FLAG, &l.follow, NULL, "go on until interrupted", 0, 0},
        {"verify-inference", SB_OPTION_TEXT, &l.tx, "TX", "transaction that ran a model", 0, 0},
        {"index", SB_OPTION_U64, &l.index, "N", "which of its inferences; 0", 0, UINT32_MAX},
        {"proof", SB_OPTION_TEXT, &l.proof_path, "FILE", "verify the proof in a file", 0, 0},
        {"save-proof", SB_OPTION_TEXT, &l.save_path, "FILE", "keep the proof", 0, 0},
    };
    struct sb_operands operands;
    int status = SB_EXIT_OK;
    if (!sb_options_read(&operands, &status, &k_usage, options, sizeof options / sizeof options[0],
                         0, 0, argc, argv)) {
        return status;
    }
    if ((l.trust_hash != NULL) != (l.trust_height != 0)) {
        return sb_cli_usage(k_usage.command, "--trust-height and --trust-hash belong together");
    }
    if (l.tx != NULL && l.proof_path != NULL) {
        return sb_cli_usage(k_usage.command, "give --verify-inference or --proof, not both");
    }
    char *urls = strdup(l.rpc);
    if (urls == NULL || !split_urls(&l, urls) || l.witnesses.count > SB_LIGHT_WITNESSES_MAX) {
        free(urls);
        return sb_cli_usage(k_usage.command, "at most 16 witnesses");
    }
    status = run(&l);
    free(urls);
    return status;
}
