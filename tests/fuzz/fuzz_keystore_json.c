/* fuzz_keystore_json.c: any keystore file that is accepted survives being written and read; the validator's key file likewise. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/datadir.h"
#include "node/keystore_json.h"

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void try_validator_key(sb_bytes input)
{
    struct sb_validator_key key;
    struct sb_validator_key back;
    struct sb_diag diag = {.text = ""};
    uint8_t memory[256];
    struct sb_buf text = sb_buf_over(memory, sizeof memory);
    if (sb_validator_key_parse(&key, input, &diag) != SB_OK) {
        require(diag.text[0] != '\0');
        return;
    }
    sb_validator_key_emit(&text, &key);
    require(sb_validator_key_parse(&back, sb_buf_bytes(&text), &diag) == SB_OK);
    require(memcmp(&key, &back, sizeof key) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_keystore_file file;
    struct sb_keystore_file back;
    struct sb_diag diag = {.text = ""};
    try_validator_key(sb_span(data, size));
    if (sb_keystore_parse(&file, sb_span(data, size), &diag) != SB_OK) {
        require(diag.text[0] != '\0');
        return 0;
    }
    struct sb_buf text;
    sb_buf_init(&text, SB_KEYSTORE_FILE_BYTES_MAX);
    sb_keystore_emit(&text, &file);
    require(sb_keystore_parse(&back, sb_buf_bytes(&text), &diag) == SB_OK);
    require(back.keystore.salt_len == file.keystore.salt_len &&
            memcmp(back.keystore.salt, file.keystore.salt, file.keystore.salt_len) == 0 &&
            sb_hash_equal(&back.keystore.mac, &file.keystore.mac) &&
            back.has_address == file.has_address);
    sb_buf_fini(&text);
    return 0;
}
