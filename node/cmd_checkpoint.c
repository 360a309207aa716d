/* cmd_checkpoint.c: `samebit checkpoint`: signatures of blocks that other EVM chains can check (docs/light-client.md).
 *
 *      register    operator's key + signer's key --> Checkpoints.setSigner     once
 *      sign        signer's key: newest checkpoint --> Checkpoints.sign        each one; --follow goes on
 *      show        what was collected, for whoever carries it to a CheckpointVerifier elsewhere */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/codec/hex.h"
#include "base/crypto/secp256k1.h"
#include "base/util/endian.h"
#include "node/abi_text.h"
#include "node/commands.h"
#include "node/staking_client.h"
#include "node/staking_text.h"
#include "node/units.h"

#define SIGNATURE_BYTES 65
#define FOLLOW_PAUSE_S  2
#define LOGS_MAX        1024

static const sb_addr k_checkpoints = {{[18] = 0x5b, [19] = 0x15}};

struct checkpoint {
    struct sb_staking_session session;
    const char *signer_key;
    uint64_t height; /* 0: the newest */
    bool follow;
    struct sb_operands operands;
};

typedef sb_err (*checkpoint_work)(struct checkpoint *, struct sb_diag *);

static int run(struct checkpoint *c, const struct sb_usage *usage, checkpoint_work work,
               const struct sb_option *options, size_t option_count, int argc, char **argv)
{
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (!sb_options_read(&c->operands, &status, usage, options, option_count, 0, 0, argc, argv)) {
        return status;
    }
    sb_err err = sb_staking_open(&c->session, &diag);
    err = err == SB_OK ? work(c, &diag) : err;
    sb_staking_close(&c->session);
    if (err != SB_OK && diag.text[0] == '\0') {
        (void)sb_fail(&diag, err, "the node's answer is not understood: %s", sb_err_text(err));
    }
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}

/* sign_hash: r, s, v as contracts take it, and who signs. */
static sb_err sign_hash(uint8_t ret_signature[SIGNATURE_BYTES], sb_addr *ret_signer,
                        const uint8_t secret[32], const sb_hash *hash, struct sb_diag *diag)
{
    uint8_t seed[32];
    struct sb_secp256k1_signature signature;
    randombytes_buf(seed, sizeof seed);
    struct sb_secp256k1 *ctx = sb_secp256k1_new(seed);
    if (ctx == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "no memory to sign");
    }
    sb_err err = sb_secp256k1_secret_address(ret_signer, ctx, secret);
    err = err == SB_OK ? sb_secp256k1_sign(&signature, ctx, secret, hash) : err;
    sb_secp256k1_free(ctx);
    if (err != SB_OK) {
        return sb_fail(diag, err, "the signer's key is none");
    }
    memcpy(ret_signature, signature.rs, sizeof signature.rs);
    ret_signature[SIGNATURE_BYTES - 1] = (uint8_t)(27 + signature.recovery_id);
    return SB_OK;
}

/* view_at: the one word that a view without arguments gave after block `height`. */
static sb_err view_at(sb_hash *ret, struct checkpoint *c, const char *signature, uint64_t height,
                      struct sb_diag *diag)
{
    struct sb_staking_session *s = &c->session;
    char number[24];
    (void)snprintf(number, sizeof number, "0x%" PRIx64, height);
    sb_staking_begin(s, signature, 0);
    sb_abi_end(&s->args);
    sb_buf_reset(&s->output);
    SB_TRY(sb_buf_err(&s->data));
    json_t *params = json_pack("[{s:o, s:o}, s]", "to", sb_staking_json_addr(&k_checkpoints),
                               "data", sb_json_data(sb_buf_bytes(&s->data)), number);
    SB_TRY(sb_rpc_client_data(&s->output, &s->client, "eth_call", params, diag));
    return sb_abi_read_word(ret, sb_buf_bytes(&s->output), 0);
}

static sb_err read_interval(uint64_t *ret, struct checkpoint *c, struct sb_diag *diag)
{
    sb_u256 value;
    sb_staking_begin(&c->session, "interval()", 0);
    SB_TRY(sb_staking_view_u256(&value, &c->session, &k_checkpoints, diag));
    *ret = sb_u256_fits_u64(&value) && !sb_u256_is_zero(&value) ? value.w[0] : 1;
    return SB_OK;
}

/* choose_height: the height that was asked for, or the newest checkpoint below the head; 0: there is none yet. */
static sb_err choose_height(uint64_t *ret_height, struct checkpoint *c, struct sb_diag *diag)
{
    uint64_t head, interval;
    SB_TRY(sb_rpc_client_u64(&head, &c->session.client, "eth_blockNumber", NULL, diag));
    SB_TRY(read_interval(&interval, c, diag));
    if (c->height % interval != 0 || c->height > head) {
        return sb_fail(diag, SB_E_ARG,
                       "block %" PRIu64 " is no checkpoint: there is one every %" PRIu64
                       " blocks, and the newest block is %" PRIu64,
                       c->height, interval, head);
    }
    *ret_height = c->height != 0 ? c->height : head / interval * interval;
    return SB_OK;
}

/* ---- register ---- */

static sb_err register_signer(struct checkpoint *c, struct sb_diag *diag)
{
    struct sb_staking_session *s = &c->session;
    uint8_t secret[32], signature[SIGNATURE_BYTES];
    sb_hash digest;
    sb_addr signer;
    if (c->signer_key == NULL) {
        return sb_fail(diag, SB_E_ARG, "--signer-key says whose signatures are to count");
    }
    SB_TRY(sb_staking_unlock(s, diag));
    SB_TRY(sb_staking_view_of(s, &k_checkpoints, "signerDigest(address)", &s->wallet.addr, diag));
    SB_TRY(sb_abi_read_word(&digest, sb_buf_bytes(&s->output), 0));
    SB_TRY(sb_key_parse(secret, c->signer_key, diag));
    sb_err err = sign_hash(signature, &signer, secret, &digest, diag);
    sodium_memzero(secret, sizeof secret);
    SB_TRY(err);
    sb_staking_begin(s, "setSigner(address,bytes)", 2);
    sb_abi_put_addr(&s->args, &signer);
    sb_abi_put_bytes(&s->args, sb_span(signature, sizeof signature));
    return sb_staking_send(s, &k_checkpoints, NULL, diag);
}

static int cmd_register(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "checkpoint register", "--signer-key 0xKEY --key 0xOPERATOR [options]",
        "Name the key that signs checkpoints for your validator: a key of its own, with a little "
        "for its transactions.\n"
        "The operator sends; both keys sign.",
        "  samebit checkpoint register --signer-key 0x... --key-file keys/operator.json\n"};
    static struct checkpoint c;
    c = (struct checkpoint){.session = {.rpc = SB_RPC_URL_DEFAULT}};
    const struct sb_option options[] = {
        {"signer-key", SB_OPTION_TEXT, &c.signer_key, "0xKEY", "private key of the signer", 0, 0},
        SB_STAKING_OPTIONS(c.session),
    };
    return run(&c, &k_usage, register_signer, options, sizeof options / sizeof options[0], argc,
               argv);
}

/* ---- sign ---- */

static sb_err sign_one(struct checkpoint *c, uint64_t height, struct sb_diag *diag)
{
    struct sb_staking_session *s = &c->session;
    uint8_t signature[SIGNATURE_BYTES];
    sb_addr signer;
    sb_hash set_hash, digest;
    SB_TRY(sb_staking_unlock(s, diag));
    SB_TRY(view_at(&set_hash, c, "signersHash()", height, diag));
    sb_staking_begin(s, "digest(uint64,bytes32)", 2);
    sb_abi_put_u64(&s->args, height);
    sb_abi_put_hash(&s->args, &set_hash);
    SB_TRY(sb_staking_view(s, &k_checkpoints, diag));
    SB_TRY(sb_abi_read_word(&digest, sb_buf_bytes(&s->output), 0));
    SB_TRY(sign_hash(signature, &signer, s->wallet.secret, &digest, diag));
    sb_staking_begin(s, "sign(uint64,bytes32,bytes)", 3);
    sb_abi_put_u64(&s->args, height);
    sb_abi_put_hash(&s->args, &set_hash);
    sb_abi_put_bytes(&s->args, sb_span(signature, sizeof signature));
    SB_TRY(sb_staking_send(s, &k_checkpoints, NULL, diag));
    (void)fflush(stdout);
    return SB_OK;
}

static sb_err sign(struct checkpoint *c, struct sb_diag *diag)
{
    uint64_t done = 0;
    do {
        uint64_t height;
        SB_TRY(choose_height(&height, c, diag));
        if (height == 0 && !c->follow) {
            return sb_fail(diag, SB_E_NOT_FOUND, "the chain has no checkpoint yet");
        }
        if (height > done) {
            SB_TRY(sign_one(c, height, diag));
            done = height;
        }
        if (c->follow) {
            (void)nanosleep(&(struct timespec){.tv_sec = FOLLOW_PAUSE_S}, NULL);
        }
    } while (c->follow);
    return SB_OK;
}

static int cmd_sign(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "checkpoint sign", "--key 0xSIGNER [--height N | --follow] [options]",
        "Sign the newest checkpoint (or that of a height) and bring the signature to the chain, "
        "where anyone finds it.\n"
        "The node that is asked should be your own: what it says is what is signed.",
        "  samebit checkpoint sign --key-file keys/signer.json --follow\n"};
    static struct checkpoint c;
    c = (struct checkpoint){.session = {.rpc = SB_RPC_URL_DEFAULT}};
    const struct sb_option options[] = {
        {"height", SB_OPTION_U64, &c.height, "N", "a checkpoint of the last 8,191 blocks", 1,
         INT64_MAX},
        {"follow", SB_OPTION_FLAG, &c.follow, NULL, "go on with each checkpoint until interrupted",
         0, 0},
        SB_STAKING_OPTIONS(c.session),
    };
    return run(&c, &k_usage, sign, options, sizeof options / sizeof options[0], argc, argv);
}

/* ---- show ---- */

/* A signature that was collected. */
struct collected {
    sb_addr signer;
    sb_bytes signature;
    sb_hash set_hash;
};

/* signatures_of: those of a height, from the events of Checkpoints; borrowed from *ret_logs and s->text. */
static sb_err signatures_of(json_t **ret_logs, struct checkpoint *c, uint64_t height,
                            struct sb_diag *diag)
{
    static const char k_event[] = "Signed(uint64,bytes32,address,bytes32,bytes)";
    char from[24], topic0[SB_HEX_TEXT_BYTES(32)], topic1[SB_HEX_TEXT_BYTES(32)];
    sb_hash event, word = {{0}};
    struct sb_abi_item item;
    SB_TRY(sb_abi_item_parse(&item, k_event, diag));
    event = sb_abi_item_topic(&item);
    be_store64(word.b + 24, height);
    (void)snprintf(from, sizeof from, "0x%" PRIx64, height);
    json_t *params =
        json_pack("[{s:o, s:s, s:s, s:[s, s]}]", "address", sb_staking_json_addr(&k_checkpoints),
                  "fromBlock", from, "toBlock", "latest", "topics",
                  sb_hex_format(topic0, sb_span(event.b, sizeof event.b)),
                  sb_hex_format(topic1, sb_span(word.b, sizeof word.b)));
    return sb_rpc_client_call(ret_logs, &c->session.client, "eth_getLogs", params, diag);
}

static sb_err add_signature(json_t *list, struct checkpoint *c, const json_t *log,
                            struct sb_diag *diag)
{
    struct sb_staking_session *s = &c->session;
    struct collected found;
    const char *topic = json_string_value(json_array_get(json_object_get(log, "topics"), 3));
    sb_hash word;
    sb_buf_reset(&s->output);
    if (topic == NULL || sb_hex_parse(word.b, sizeof word.b, topic, strlen(topic)) != SB_OK ||
        sb_json_read_data(&s->output, json_object_get(log, "data")) != SB_OK) {
        return sb_fail(diag, SB_E_SYNTAX, "the node gave a log that is none of Checkpoints");
    }
    memcpy(found.signer.b, word.b + 12, sizeof found.signer.b);
    SB_TRY(sb_abi_read_word(&found.set_hash, sb_buf_bytes(&s->output), 0));
    SB_TRY(sb_abi_read_bytes(&found.signature, sb_buf_bytes(&s->output), 1, 1024));
    return json_array_append_new(list, json_pack("{s:o, s:o, s:o}", "signer",
                                                 sb_staking_json_addr(&found.signer), "setHash",
                                                 sb_json_data(sb_span(found.set_hash.b, 32)),
                                                 "signature", sb_json_data(found.signature))) == 0
               ? SB_OK
               : SB_E_NOMEM;
}

static sb_err show(struct checkpoint *c, struct sb_diag *diag)
{
    uint64_t height;
    sb_hash set_hash;
    json_t *logs = NULL;
    size_t i;
    const json_t *log;
    SB_TRY(choose_height(&height, c, diag));
    if (height == 0) {
        return sb_fail(diag, SB_E_NOT_FOUND, "the chain has no checkpoint yet");
    }
    SB_TRY(view_at(&set_hash, c, "signersHash()", height, diag));
    SB_TRY(signatures_of(&logs, c, height, diag));
    json_t *list = json_array();
    sb_err err = list != NULL ? SB_OK : SB_E_NOMEM;
    json_array_foreach(logs, i, log)
    {
        err = err == SB_OK && i < LOGS_MAX ? add_signature(list, c, log, diag) : err;
    }
    json_decref(logs);
    if (err == SB_OK && c->session.json) {
        sb_staking_print_json(json_pack("{s:I, s:o, s:o}", "height", (json_int_t)height, "setHash",
                                        sb_json_data(sb_span(set_hash.b, 32)), "signatures", list));
        return SB_OK;
    }
    if (err == SB_OK) {
        char text[SB_HEX_TEXT_BYTES(32)];
        (void)printf("checkpoint: %" PRIu64 "\nset hash: %s\nsignatures: %zu\n", height,
                     sb_hex_format(text, sb_span(set_hash.b, 32)), json_array_size(list));
        json_array_foreach(list, i, log)
        {
            (void)printf("  %s  %s\n", json_string_value(json_object_get(log, "signer")),
                         json_string_value(json_object_get(log, "signature")));
        }
    }
    json_decref(list);
    return err;
}

static int cmd_show(int argc, char **argv)
{
    static const struct sb_usage k_usage = {
        "checkpoint show", "[--height N] [--json] [options]",
        "The signatures that were collected for a checkpoint: the newest, or that of a height. A "
        "CheckpointVerifier\n"
        "on another chain takes them (contracts/proof).",
        "  samebit checkpoint show --json\n"};
    static struct checkpoint c;
    c = (struct checkpoint){.session = {.rpc = SB_RPC_URL_DEFAULT}};
    const struct sb_option options[] = {
        {"height", SB_OPTION_U64, &c.height, "N", "a checkpoint whose state the node still has", 1,
         INT64_MAX},
        SB_STAKING_OPTIONS(c.session),
    };
    return run(&c, &k_usage, show, options, sizeof options / sizeof options[0], argc, argv);
}

int sb_cmd_checkpoint(int argc, char **argv)
{
    static const struct sb_command k_commands[] = {
        {"register", "name the key that signs checkpoints for a validator", cmd_register},
        {"sign", "sign checkpoints", cmd_sign},
        {"show", "signatures that were collected", cmd_show},
    };
    return sb_command_run("checkpoint", k_commands, sizeof k_commands / sizeof k_commands[0], argc,
                          argv);
}
