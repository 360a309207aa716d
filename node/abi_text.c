/* abi_text.c: types, signatures and values as text; see abi_text.h. */
#include "node/abi_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/codec/hex.h"
#include "base/crypto/keccak.h"
#include "node/units.h"

#define TYPE_TEXT_BYTES 80
#define INT_BITS_MAX    256

/* ---- types ---- */

struct base_name {
    const char *name;
    enum sb_abi_kind kind;
    uint16_t size;
};

static const struct base_name k_plain[] = {
    {"uint", SB_ABI_UINT, 256}, {"int", SB_ABI_INT, 256},   {"address", SB_ABI_ADDRESS, 0},
    {"bool", SB_ABI_BOOL, 0},   {"bytes", SB_ABI_BYTES, 0}, {"string", SB_ABI_STRING, 0},
};
/* Names that a size follows. */
static const struct base_name k_sized[] = {
    {"uint", SB_ABI_UINT, 256},
    {"int", SB_ABI_INT, 256},
    {"bytes", SB_ABI_FIXED_BYTES, 32},
};

static bool read_size(uint32_t *ret, const char *text, size_t len, uint32_t max)
{
    uint32_t value = 0;
    if (len == 0 || len > 9 || text[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *ret = value;
    return value <= max;
}

static bool read_base(struct sb_abi_type *type, const char *text, size_t len)
{
    for (size_t i = 0; i < sizeof k_plain / sizeof k_plain[0]; i++) {
        if (strlen(k_plain[i].name) == len && memcmp(k_plain[i].name, text, len) == 0) {
            type->kind = k_plain[i].kind;
            type->size = k_plain[i].size;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof k_sized / sizeof k_sized[0]; i++) {
        size_t name_len = strlen(k_sized[i].name);
        uint32_t size = 0;
        if (len > name_len && memcmp(k_sized[i].name, text, name_len) == 0 &&
            read_size(&size, text + name_len, len - name_len, k_sized[i].size) &&
            (k_sized[i].kind == SB_ABI_FIXED_BYTES || size % 8 == 0)) {
            type->kind = k_sized[i].kind;
            type->size = (uint16_t)size;
            return true;
        }
    }
    return false;
}

sb_err sb_abi_type_parse(struct sb_abi_type *ret_type, const char *text, size_t text_len,
                         struct sb_diag *diag)
{
    struct sb_abi_type type = {.is_array = false};
    const char *bracket = memchr(text, '[', text_len);
    size_t base_len = bracket != NULL ? (size_t)(bracket - text) : text_len;
    bool ok = read_base(&type, text, base_len);
    if (ok && bracket != NULL) {
        size_t inner_len = text_len - base_len - 2;
        type.is_array = true;
        ok = text_len >= base_len + 2 && text[text_len - 1] == ']' &&
             (inner_len == 0 ||
              read_size(&type.array_len, bracket + 1, inner_len, (uint32_t)SB_ABI_ELEMENTS_MAX));
    }
    if (!ok) {
        return sb_fail(diag, SB_E_UNSUPPORTED,
                       "type \"%.*s\": known are uintN, intN, address, bool, bytesN, bytes, string "
                       "and their arrays T[], T[n]",
                       (int)(text_len < TYPE_TEXT_BYTES ? text_len : TYPE_TEXT_BYTES), text);
    }
    *ret_type = type;
    return SB_OK;
}

static void type_text(char ret[TYPE_TEXT_BYTES], const struct sb_abi_type *type)
{
    static const char *const k_names[] = {
        [SB_ABI_UINT] = "uint",    [SB_ABI_INT] = "int",           [SB_ABI_ADDRESS] = "address",
        [SB_ABI_BOOL] = "bool",    [SB_ABI_FIXED_BYTES] = "bytes", [SB_ABI_BYTES] = "bytes",
        [SB_ABI_STRING] = "string"};
    char size[8] = "";
    char array[16] = "";
    if (type->size != 0) {
        (void)snprintf(size, sizeof size, "%u", type->size);
    }
    if (type->is_array && type->array_len == 0) {
        (void)snprintf(array, sizeof array, "[]");
    } else if (type->is_array) {
        (void)snprintf(array, sizeof array, "[%" PRIu32 "]", type->array_len);
    }
    (void)snprintf(ret, TYPE_TEXT_BYTES, "%s%s%s", k_names[type->kind], size, array);
}

static bool base_is_dynamic(const struct sb_abi_type *type)
{
    return type->kind == SB_ABI_BYTES || type->kind == SB_ABI_STRING;
}

size_t sb_abi_words(const struct sb_abi_type *type)
{
    bool laid_out_in_head = type->is_array && type->array_len != 0 && !base_is_dynamic(type);
    return laid_out_in_head ? type->array_len : 1;
}

/* ---- signatures ---- */

/* "(type name, type, ...)" at *at, which moves behind it. */
static sb_err parse_params(struct sb_abi_param *params, size_t *ret_count, const char **at,
                           struct sb_diag *diag)
{
    size_t count = 0;
    const char *text = *at;
    if (*text != '(') {
        return sb_fail(diag, SB_E_SYNTAX, "a signature reads name(type,...)(type,...)");
    }
    text++;
    text += strspn(text, " ");
    while (*text != ')') {
        size_t len = strcspn(text, ",)");
        size_t type_len = strcspn(text, ",) ");
        if (text[len] == '\0') {
            return sb_fail(diag, SB_E_SYNTAX, "a parenthesis is open at the end of the signature");
        }
        if (count == SB_ABI_PARAMS_MAX) {
            return sb_fail(diag, SB_E_LIMIT, "more than %d types", SB_ABI_PARAMS_MAX);
        }
        struct sb_abi_param *param = &params[count++];
        *param = (struct sb_abi_param){.indexed = false};
        SB_TRY(sb_abi_type_parse(&param->type, text, type_len, diag));
        text += len;
        text += *text == ',' ? 1 : 0;
        text += strspn(text, " ");
    }
    *at = text + 1;
    *ret_count = count;
    return SB_OK;
}

sb_err sb_abi_item_parse(struct sb_abi_item *ret_item, const char *signature, struct sb_diag *diag)
{
    struct sb_abi_item item = {.input_count = 0};
    size_t name_len = strcspn(signature, "(");
    if (name_len == 0 || name_len >= sizeof item.name || signature[name_len] != '(') {
        return sb_fail(diag, SB_E_SYNTAX, "\"%.80s\": a signature reads name(type,...)(type,...)",
                       signature);
    }
    memcpy(item.name, signature, name_len);
    const char *at = signature + name_len;
    SB_TRY(parse_params(item.inputs, &item.input_count, &at, diag));
    if (*at != '\0') {
        SB_TRY(parse_params(item.outputs, &item.output_count, &at, diag));
    }
    if (*at != '\0') {
        return sb_fail(diag, SB_E_SYNTAX, "\"%.80s\" has something behind its end", signature);
    }
    *ret_item = item;
    return SB_OK;
}

void sb_abi_item_signature(struct sb_buf *out, const struct sb_abi_item *item)
{
    char type[TYPE_TEXT_BYTES];
    sb_buf_add_str(out, item->name);
    sb_buf_add_byte(out, '(');
    for (size_t i = 0; i < item->input_count; i++) {
        type_text(type, &item->inputs[i].type);
        sb_buf_addf(out, "%s%s", i > 0 ? "," : "", type);
    }
    sb_buf_add_byte(out, ')');
}

sb_hash sb_abi_item_topic(const struct sb_abi_item *item)
{
    uint8_t memory[SB_ABI_NAME_BYTES + SB_ABI_PARAMS_MAX * TYPE_TEXT_BYTES];
    struct sb_buf text = sb_buf_over(memory, sizeof memory);
    sb_abi_item_signature(&text, item);
    return sb_keccak256(sb_buf_bytes(&text));
}

/* ---- numbers ---- */

/* Digits, at most one point, and an exponent of ten that makes the number whole, into plain digits. */
static sb_err plain_digits(char ret[SB_U256_DECIMAL_BYTES], const char *text, size_t len)
{
    size_t count = 0;
    size_t fraction = 0;
    size_t at = 0;
    bool point = false;
    uint32_t exponent = 0;
    for (; at < len && text[at] != 'e' && text[at] != 'E'; at++) {
        if (text[at] == '.' && !point) {
            point = true;
            continue;
        }
        if (text[at] < '0' || text[at] > '9') {
            return SB_E_SYNTAX;
        }
        if (count + 1 >= SB_U256_DECIMAL_BYTES) {
            return SB_E_RANGE;
        }
        ret[count++] = text[at];
        fraction += point ? 1 : 0;
    }
    if (at < len && !read_size(&exponent, text + at + 1, len - at - 1, SB_U256_DECIMAL_BYTES)) {
        return SB_E_SYNTAX;
    }
    if (count == 0 || exponent < fraction) {
        return SB_E_SYNTAX;
    }
    size_t zeros = exponent - fraction;
    if (count + zeros >= SB_U256_DECIMAL_BYTES) {
        return SB_E_RANGE;
    }
    memset(ret + count, '0', zeros);
    ret[count + zeros] = '\0';
    return SB_OK;
}

sb_err sb_abi_number_parse(sb_u256 *ret, bool *ret_negative, const char *text, size_t text_len)
{
    char digits[SB_U256_DECIMAL_BYTES];
    sb_u256 value = sb_u256_zero();
    bool negative = text_len > 0 && text[0] == '-';
    const char *magnitude = negative ? text + 1 : text;
    size_t len = negative ? text_len - 1 : text_len;
    if (len > 2 && magnitude[0] == '0' && magnitude[1] == 'x') {
        for (size_t i = 2; i < len; i++) {
            int digit = sb_hex_digit(magnitude[i]);
            if (digit < 0) {
                return SB_E_SYNTAX;
            }
            if ((value.w[3] >> 60) != 0) {
                return SB_E_RANGE;
            }
            value = sb_u256_shl(&value, 4);
            value.w[0] |= (uint64_t)digit;
        }
    } else {
        SB_TRY(plain_digits(digits, magnitude, len));
        if (!sb_u256_parse_decimal(&value, digits, strlen(digits))) {
            return SB_E_RANGE;
        }
    }
    *ret = negative ? sb_u256_neg(&value) : value;
    *ret_negative = negative && !sb_u256_is_zero(&value);
    return SB_OK;
}

static sb_err encode_integer(uint8_t word[32], const struct sb_abi_type *type, const char *text,
                             size_t len)
{
    sb_u256 value;
    bool negative = false;
    bool is_signed = type->kind == SB_ABI_INT;
    SB_TRY(sb_abi_number_parse(&value, &negative, text, len));
    /* What is left above the type's bits must be the sign, repeated. */
    unsigned bits = is_signed ? type->size - 1U : type->size;
    sb_u256 above = is_signed ? sb_u256_sar(&value, bits) : sb_u256_shr(&value, bits);
    sb_u256 ones = sb_u256_not(&(sb_u256){{0}});
    bool fits = negative ? is_signed && sb_u256_equal(&above, &ones) : sb_u256_is_zero(&above);
    if (!fits) {
        return SB_E_RANGE;
    }
    sb_u256_store_be(word, &value);
    return SB_OK;
}

/* ---- writing ---- */

static sb_err encode_word(uint8_t word[32], const struct sb_abi_type *type, const char *text,
                          size_t len)
{
    memset(word, 0, SB_ABI_WORD_BYTES);
    if (type->kind == SB_ABI_ADDRESS) {
        return sb_hex_parse(word + 12, sizeof(sb_addr), text, len);
    }
    if (type->kind == SB_ABI_FIXED_BYTES) {
        return sb_hex_parse(word, type->size, text, len);
    }
    if (type->kind == SB_ABI_BOOL) {
        bool yes = len == 4 && memcmp(text, "true", 4) == 0;
        word[31] = yes ? 1 : 0;
        return yes || (len == 5 && memcmp(text, "false", 5) == 0) ? SB_OK : SB_E_SYNTAX;
    }
    return encode_integer(word, type, text, len);
}

/* One value that is no array, into the next word of w. */
static sb_err put_value(struct sb_abi_writer *w, const struct sb_abi_type *type, const char *text,
                        size_t len)
{
    uint8_t word[SB_ABI_WORD_BYTES];
    if (type->kind == SB_ABI_STRING) {
        sb_abi_put_bytes(w, sb_span(text, len));
        return SB_OK;
    }
    if (type->kind != SB_ABI_BYTES) {
        SB_TRY(encode_word(word, type, text, len));
        sb_abi_put_word(w, word);
        return SB_OK;
    }
    struct sb_buf bytes;
    size_t count = 0;
    sb_buf_init(&bytes, SB_ABI_TEXT_MAX);
    uint8_t *room = sb_buf_grow(&bytes, len / 2);
    sb_err err = room == NULL ? SB_E_LIMIT : sb_hex_parse_data(room, &count, len / 2, text, len);
    if (err == SB_OK) {
        sb_abi_put_bytes(w, sb_span(room, count));
    }
    sb_buf_fini(&bytes);
    return err;
}

/* The elements of "[a,b,c]"; *ret_text moves along. Counts them when w is NULL. */
static sb_err walk_array(size_t *ret_count, struct sb_abi_writer *w,
                         const struct sb_abi_type *element, const char *text)
{
    size_t len = strlen(text);
    size_t count = 0;
    if (len < 2 || text[0] != '[' || text[len - 1] != ']') {
        return SB_E_SYNTAX;
    }
    const char *at = text + 1;
    const char *end = text + len - 1;
    while (at < end) {
        at += strspn(at, " ");
        size_t item = strcspn(at, ",");
        item = item < (size_t)(end - at) ? item : (size_t)(end - at);
        size_t trimmed = item;
        while (trimmed > 0 && at[trimmed - 1] == ' ') {
            trimmed--;
        }
        if (w != NULL) {
            SB_TRY(put_value(w, element, at, trimmed));
        }
        if (++count > SB_ABI_ELEMENTS_MAX) {
            return SB_E_LIMIT;
        }
        at += item + 1;
    }
    *ret_count = count;
    return SB_OK;
}

static sb_err put_array(struct sb_abi_writer *w, const struct sb_abi_type *type, const char *text)
{
    struct sb_abi_type element = *type;
    struct sb_abi_writer inner;
    size_t count = 0;
    element.is_array = false;
    SB_TRY(walk_array(&count, NULL, &element, text));
    if (type->array_len != 0 && count != type->array_len) {
        return SB_E_SHAPE;
    }
    if (type->array_len != 0 && !base_is_dynamic(&element)) {
        return walk_array(&count, w, &element, text);
    }
    if (type->array_len != 0) {
        sb_abi_put_tuple(&inner, w, count);
    } else {
        sb_abi_put_array(&inner, w, count, 1);
    }
    SB_TRY(walk_array(&count, &inner, &element, text));
    sb_abi_end(&inner);
    return SB_OK;
}

sb_err sb_abi_encode_texts(struct sb_buf *out, const struct sb_abi_param *params,
                           size_t param_count, const char *const *texts, size_t count,
                           struct sb_diag *diag)
{
    struct sb_abi_writer w;
    char type[TYPE_TEXT_BYTES];
    size_t words = 0;
    if (count != param_count) {
        return sb_fail(diag, SB_E_SHAPE, "%zu arguments are needed, %zu are given", param_count,
                       count);
    }
    for (size_t i = 0; i < count; i++) {
        words += sb_abi_words(&params[i].type);
    }
    sb_abi_begin(&w, out, words);
    for (size_t i = 0; i < count; i++) {
        const struct sb_abi_type *t = &params[i].type;
        sb_err err =
            t->is_array ? put_array(&w, t, texts[i]) : put_value(&w, t, texts[i], strlen(texts[i]));
        if (err != SB_OK) {
            type_text(type, t);
            return sb_fail(diag, err, "argument %zu: \"%.60s\" is not a %s (%s)", i + 1, texts[i],
                           type, sb_err_text(err));
        }
    }
    sb_abi_end(&w);
    return sb_buf_err(out) == SB_OK ? SB_OK : sb_fail(diag, SB_E_LIMIT, "too many arguments");
}

/* ---- reading ---- */

static void add_hex(struct sb_buf *out, sb_bytes bytes)
{
    sb_buf_add_str(out, "0x");
    char *digits = (char *)sb_buf_grow(out, 2 * bytes.len);
    if (digits != NULL) {
        sb_hex_encode(digits, bytes);
    }
}

static void add_number(struct sb_buf *out, const sb_u256 *value, bool is_signed)
{
    char digits[SB_U256_DECIMAL_BYTES];
    bool negative = is_signed && sb_u256_is_negative(value);
    sb_u256 magnitude = negative ? sb_u256_neg(value) : *value;
    sb_u256_format_decimal(digits, &magnitude);
    sb_buf_addf(out, "%s%s", negative ? "-" : "", digits);
}

/* Text of a contract must not drive the terminal. */
static void add_text(struct sb_buf *out, sb_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c < 0x20 || c == 0x7f) {
            sb_buf_addf(out, "\\x%02x", c);
        } else {
            sb_buf_add_byte(out, c);
        }
    }
}

static sb_err format_value(struct sb_buf *out, const struct sb_abi_type *type, sb_bytes tuple,
                           size_t word_index)
{
    sb_hash word;
    sb_bytes bytes;
    if (base_is_dynamic(type)) {
        SB_TRY(sb_abi_read_bytes(&bytes, tuple, word_index, SB_ABI_TEXT_MAX));
        if (type->kind == SB_ABI_STRING) {
            add_text(out, bytes);
        } else {
            add_hex(out, bytes);
        }
        return SB_OK;
    }
    SB_TRY(sb_abi_read_word(&word, tuple, word_index));
    sb_u256 value = sb_u256_load_be(word.b, sizeof word.b);
    if (type->kind == SB_ABI_ADDRESS) {
        char text[SB_ADDR_TEXT_BYTES];
        sb_addr addr;
        SB_TRY(sb_abi_read_addr(&addr, tuple, word_index));
        sb_addr_format(text, &addr);
        sb_buf_add_str(out, text);
    } else if (type->kind == SB_ABI_BOOL) {
        sb_buf_add_str(out, sb_u256_is_zero(&value) ? "false" : "true");
    } else if (type->kind == SB_ABI_FIXED_BYTES) {
        add_hex(out, sb_span(word.b, type->size));
    } else {
        add_number(out, &value, type->kind == SB_ABI_INT);
    }
    return SB_OK;
}

sb_err sb_abi_format(struct sb_buf *out, const struct sb_abi_type *type, sb_bytes tuple,
                     size_t word_index)
{
    if (!type->is_array) {
        return format_value(out, type, tuple, word_index);
    }
    struct sb_abi_type element = *type;
    sb_bytes items = tuple;
    size_t count = type->array_len;
    size_t first = word_index;
    element.is_array = false;
    if (type->array_len == 0) {
        SB_TRY(sb_abi_read_array(&items, &count, tuple, word_index, 1, SB_ABI_ELEMENTS_MAX));
        first = 0;
    } else if (base_is_dynamic(&element)) {
        SB_TRY(sb_abi_read_tuple(&items, tuple, word_index));
        first = 0;
    }
    sb_buf_add_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        sb_buf_add_str(out, i > 0 ? "," : "");
        SB_TRY(format_value(out, &element, items, first + i));
    }
    sb_buf_add_byte(out, ']');
    return SB_OK;
}

sb_err sb_abi_format_params(struct sb_buf *out, const struct sb_abi_param *params, size_t count,
                            sb_bytes tuple)
{
    size_t word = 0;
    for (size_t i = 0; i < count; i++) {
        sb_buf_add_str(out, i > 0 ? ", " : "");
        if (params[i].name[0] != '\0') {
            sb_buf_addf(out, "%s: ", params[i].name);
        }
        SB_TRY(sb_abi_format(out, &params[i].type, tuple, word));
        word += sb_abi_words(&params[i].type);
    }
    return SB_OK;
}
