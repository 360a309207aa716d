/* signing_history.c: see signing_history.h. */
#include "node/signing_history.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/codec/hex.h"
#include "node/cli.h"

#define FORMAT_VERSION "1"

static const char *const k_steps[] = {[SB_JOURNAL_PROPOSAL] = "proposal",
                                      [SB_JOURNAL_PREVOTE] = "prevote",
                                      [SB_JOURNAL_PRECOMMIT] = "precommit"};

struct sb_signing_history sb_signing_history_of(const struct sb_journal *journal,
                                                const struct sb_chain_domain *domain,
                                                const uint8_t public_key[32])
{
    struct sb_signing_history history = {.domain = *domain};
    memcpy(history.public_key, public_key, sizeof history.public_key);
    history.has_last = sb_journal_history(&history.last, journal);
    return history;
}

void sb_signing_history_emit(struct sb_buf *out, const struct sb_signing_history *history)
{
    char hash[SB_HEX_TEXT_BYTES(32)], key[SB_HEX_TEXT_BYTES(32)];
    const struct sb_journal_place *place = &history->last.place;
    (void)sb_hex_format(hash, sb_span(history->domain.genesis_hash.b, 32));
    (void)sb_hex_format(key, sb_span(history->public_key, 32));
    sb_buf_addf(out,
                "{\n  \"format_version\": \"" FORMAT_VERSION "\",\n  \"chain_id\": \"%" PRIu64
                "\",\n  \"genesis_hash\": \"%s\",\n  \"pubkey\": \"%s\",\n  \"last\": ",
                history->domain.chain_id, hash, key);
    if (!history->has_last) {
        sb_buf_add_str(out, "null\n}\n");
        return;
    }
    (void)sb_hex_format(hash, sb_span(history->last.sign_bytes_hash.b, 32));
    sb_buf_addf(out,
                "{\"height\": \"%" PRIu64 "\", \"round\": \"%" PRIu32
                "\", \"step\": \"%s\", \"sign_bytes_hash\": \"%s\"}\n}\n",
                place->height, place->round, k_steps[place->step], hash);
}

/* ---- parsing ---- */

static sb_err parse_number(uint64_t *ret, const char *text, uint64_t max, const char *key,
                           struct sb_diag *diag)
{
    uint64_t value;
    if (sb_decimal_parse(&value, text) != SB_OK || value > max ||
        (text[0] == '0' && text[1] != '\0')) {
        return sb_fail(diag, SB_E_RANGE, "%s: \"%s\" is not a whole number up to %" PRIu64, key,
                       text, max);
    }
    *ret = value;
    return SB_OK;
}

static sb_err parse_hash(uint8_t ret[32], const char *text, const char *key, struct sb_diag *diag)
{
    return sb_hex_parse(ret, 32, text, strlen(text)) == SB_OK
               ? SB_OK
               : sb_fail(diag, SB_E_SYNTAX, "%s: must be 0x and 64 hexadecimal digits", key);
}

static sb_err parse_last(struct sb_journal_history *ret, json_t *last, struct sb_diag *diag)
{
    const char *height_text = NULL, *round_text = NULL, *step = NULL, *hash = NULL;
    uint64_t height = 0, round = 0;
    if (json_unpack(last, "{s:s, s:s, s:s, s:s !}", "height", &height_text, "round", &round_text,
                    "step", &step, "sign_bytes_hash", &hash) != 0) {
        return sb_fail(diag, SB_E_TYPE,
                       "last: must have height, round, step and sign_bytes_hash, all strings, and "
                       "no more");
    }
    SB_TRY(parse_number(&height, height_text, INT64_MAX, "height", diag));
    SB_TRY(parse_number(&round, round_text, SB_ROUND_MAX, "round", diag));
    SB_TRY(parse_hash(ret->sign_bytes_hash.b, hash, "sign_bytes_hash", diag));
    ret->place.height = height;
    ret->place.round = (uint32_t)round;
    if (height == 0) {
        return sb_fail(diag, SB_E_RANGE, "height: the first is 1");
    }
    for (int i = SB_JOURNAL_PROPOSAL; i <= SB_JOURNAL_PRECOMMIT; i++) {
        if (strcmp(step, k_steps[i]) == 0) {
            ret->place.step = (enum sb_journal_step)i;
            return SB_OK;
        }
    }
    return sb_fail(diag, SB_E_RANGE, "step: \"%s\" is none of proposal, prevote, precommit", step);
}

static sb_err parse_object(struct sb_signing_history *ret, json_t *root, struct sb_diag *diag)
{
    const char *version = NULL, *chain_id = NULL, *genesis = NULL, *key = NULL;
    json_t *last = NULL;
    if (json_unpack(root, "{s:s, s:s, s:s, s:s, s:o !}", "format_version", &version, "chain_id",
                    &chain_id, "genesis_hash", &genesis, "pubkey", &key, "last", &last) != 0) {
        return sb_fail(diag, SB_E_TYPE,
                       "must be an object with format_version, chain_id, genesis_hash, pubkey "
                       "(strings) and last, and no more");
    }
    if (strcmp(version, FORMAT_VERSION) != 0) {
        return sb_fail(diag, SB_E_VERSION, "format_version: only " FORMAT_VERSION " is known");
    }
    SB_TRY(parse_number(&ret->domain.chain_id, chain_id, UINT64_MAX, "chain_id", diag));
    SB_TRY(parse_hash(ret->domain.genesis_hash.b, genesis, "genesis_hash", diag));
    SB_TRY(parse_hash(ret->public_key, key, "pubkey", diag));
    ret->has_last = !json_is_null(last);
    return ret->has_last ? parse_last(&ret->last, last, diag) : SB_OK;
}

sb_err sb_signing_history_parse(struct sb_signing_history *ret_history, sb_bytes text,
                                struct sb_diag *diag)
{
    json_error_t error;
    struct sb_signing_history history;
    memset(&history, 0, sizeof history);
    if (text.len > SB_SIGNING_HISTORY_BYTES_MAX) {
        return sb_fail(diag, SB_E_LIMIT, "longer than a signing history can be");
    }
    json_t *root = json_loadb(text.len != 0 ? (const char *)text.data : "", text.len,
                              JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        return sb_fail(diag, SB_E_SYNTAX, "line %d: %s", error.line, error.text);
    }
    sb_err err = parse_object(&history, root, diag);
    json_decref(root);
    if (err == SB_OK) {
        *ret_history = history;
    }
    return err;
}

/* ---- import ---- */

sb_err sb_signing_history_import(bool *ret_raised, struct sb_journal *journal,
                                 const struct sb_signing_history *history,
                                 const struct sb_chain_domain *domain, const uint8_t public_key[32],
                                 struct sb_diag *diag)
{
    if (history->domain.chain_id != domain->chain_id ||
        !sb_hash_equal(&history->domain.genesis_hash, &domain->genesis_hash)) {
        return sb_fail(diag, SB_E_ARG,
                       "the history is of another chain (chain id or genesis hash differ)");
    }
    if (memcmp(history->public_key, public_key, sizeof history->public_key) != 0) {
        return sb_fail(diag, SB_E_ARG, "the history is of another validator key");
    }
    if (!history->has_last) {
        *ret_raised = false;
        return SB_OK;
    }
    return sb_journal_import(ret_raised, journal, &history->last, diag);
}
