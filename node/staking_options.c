/* staking_options.c: see staking_options.h. */
#include "node/staking_options.h"

#include <stdio.h>
#include <string.h>

#include "base/codec/hex.h"
#include "base/types/staking_params.h"
#include "node/units.h"

#define KEY_TEXT_CHARS (2 + 2 * SB_ED25519_PUBLIC_BYTES)
#define NAME_BYTES     48
#define PPM_PER_BPS    100

sb_err sb_staking_texts_read(struct sb_staking_params *ret_params, const struct sb_texts *texts,
                             struct sb_diag *diag)
{
    struct sb_staking_params params = sb_staking_params_default();
    for (size_t i = 0; i < texts->count; i++) {
        const char *text = texts->items[i];
        char name[NAME_BYTES];
        uint64_t value;
        size_t len = strcspn(text, "=");
        if (text[len] != '=' || len >= sizeof name ||
            sb_decimal_parse(&value, text + len + 1) != SB_OK) {
            return sb_fail(diag, SB_E_SYNTAX, "--staking: \"%.60s\" is not NAME=VALUE", text);
        }
        memcpy(name, text, len);
        name[len] = '\0';
        sb_err err = sb_staking_params_set(&params, name, value, diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "--staking");
            return err;
        }
    }
    *ret_params = params;
    return SB_OK;
}

sb_err sb_new_operator_read(struct sb_new_validator *validator, const char *text,
                            struct sb_diag *diag)
{
    char address[SB_ADDR_TEXT_BYTES];
    size_t len = strcspn(text, ":");
    uint64_t ppm = 0;
    (void)snprintf(address, sizeof address, "%.*s", (int)(len < sizeof address ? len : 0), text);
    SB_TRY(sb_addr_parse(&validator->operator_addr, address, diag));
    if (text[len] == ':' && (sb_percent_parse(&ppm, text + len + 1) != SB_OK ||
                             ppm > UINT64_C(1000000) || ppm % PPM_PER_BPS != 0)) {
        return sb_fail(diag, SB_E_SYNTAX,
                       "\"%.40s\" is not a commission: a share in percent with up to two decimals, "
                       "such as 5 or 2.5",
                       text + len + 1);
    }
    validator->commission_bps = (uint16_t)(ppm / PPM_PER_BPS);
    return SB_OK;
}

sb_err sb_new_validator_read(struct sb_new_validator *ret_validator, const char *text,
                             struct sb_diag *diag)
{
    struct sb_new_validator v = {.power = SB_NEW_VALIDATOR_POWER};
    size_t len = strcspn(text, ":");
    if (len != KEY_TEXT_CHARS ||
        sb_hex_parse(v.public_key, sizeof v.public_key, text, len) != SB_OK) {
        return sb_fail(diag, SB_E_SYNTAX, "\"%.80s\" is not 0x and 64 hexadecimal digits", text);
    }
    const char *rest = text + len;
    if (*rest == ':') {
        char power[NAME_BYTES];
        rest++;
        len = strcspn(rest, ":");
        (void)snprintf(power, sizeof power, "%.*s", (int)(len < sizeof power ? len : 0), rest);
        if (sb_decimal_parse(&v.power, power) != SB_OK) {
            return sb_fail(diag, SB_E_SYNTAX, "\"%.40s\" is not a power", rest);
        }
        rest += len;
    }
    if (*rest == ':') {
        SB_TRY(sb_new_operator_read(&v, rest + 1, diag));
    }
    *ret_validator = v;
    return SB_OK;
}
