/* flat.c: codecs of the flat state; formats in flat.h. */
#include "storage/flat.h"

#include "base/codec/rlp.h"
#include "base/types/state_root.h"
#include "base/util/assert.h"

static uint8_t *put_string(uint8_t *at, const uint8_t *data, size_t len)
{
    if (len == 1 && data[0] < 0x80) {
        *at++ = data[0];
        return at;
    }
    *at++ = (uint8_t)(0x80 + len); /* all strings here are 32 bytes or less */
    sb_copy(at, data, len);
    return at + len;
}

size_t sb_flat_account_encode(uint8_t ret[SB_FLAT_ACCOUNT_BYTES_MAX],
                              const struct sb_flat_account *account)
{
    uint8_t payload[SB_FLAT_ACCOUNT_BYTES_MAX], number[32], *at = payload;
    sb_u256 nonce = sb_u256_from_u64(account->nonce);
    at = put_string(at, number, sb_u256_store_be_trim(number, &nonce));
    at = put_string(at, number, sb_u256_store_be_trim(number, &account->balance));
    bool no_storage = sb_hash_equal(&account->storage_root, &sb_hash_empty_trie);
    bool no_code = sb_hash_equal(&account->code_hash, &sb_hash_keccak_empty);
    at = put_string(at, account->storage_root.b, no_storage ? 0 : 32);
    at = put_string(at, account->code_hash.b, no_code ? 0 : 32);
    size_t payload_len = (size_t)(at - payload);
    uint8_t header[SB_RLP_HEADER_BYTES_MAX];
    size_t header_len = sb_rlp_header(header, SB_RLP_LIST, payload_len);
    SB_ASSERT(header_len + payload_len <= SB_FLAT_ACCOUNT_BYTES_MAX);
    memcpy(ret, header, header_len);
    memcpy(ret + header_len, payload, payload_len);
    return header_len + payload_len;
}

size_t sb_flat_account_leaf(uint8_t ret[SB_FLAT_ACCOUNT_BYTES_MAX],
                            const struct sb_flat_account *account)
{
    return sb_account_leaf(ret, account->nonce, &account->balance, &account->storage_root,
                           &account->code_hash);
}

/* hash_read: 32 bytes that are not the default, or the empty string for the default. */
static bool hash_read(sb_hash *ret, struct sb_rlp *in, const sb_hash *empty)
{
    sb_bytes bytes;
    if (sb_rlp_read_bytes(&bytes, in, 32) != SB_OK || (bytes.len != 0 && bytes.len != 32)) {
        return false;
    }
    if (bytes.len == 0) {
        *ret = *empty;
        return true;
    }
    memcpy(ret->b, bytes.data, 32);
    return !sb_hash_equal(ret, empty);
}

sb_err sb_flat_account_decode(struct sb_flat_account *ret_account, sb_bytes record)
{
    struct sb_flat_account account;
    struct sb_rlp in = sb_rlp_open(record), fields;
    if (sb_rlp_read_list(&fields, &in) != SB_OK || sb_rlp_end(&in) != SB_OK ||
        sb_rlp_read_u64(&account.nonce, &fields) != SB_OK ||
        sb_rlp_read_u256(&account.balance, &fields) != SB_OK ||
        !hash_read(&account.storage_root, &fields, &sb_hash_empty_trie) ||
        !hash_read(&account.code_hash, &fields, &sb_hash_keccak_empty) ||
        sb_rlp_end(&fields) != SB_OK) {
        return SB_E_CORRUPT;
    }
    *ret_account = account;
    return SB_OK;
}

size_t sb_flat_slot_encode(uint8_t ret[SB_FLAT_SLOT_BYTES_MAX], const sb_u256 *value)
{
    return sb_u256_store_be_trim(ret, value);
}

static bool slot_is_valid(sb_bytes record)
{
    return record.len >= 1 && record.len <= 32 && record.data[0] != 0;
}

sb_err sb_flat_slot_leaf(uint8_t ret[SB_FLAT_SLOT_BYTES_MAX], size_t *ret_len, sb_bytes record)
{
    if (!slot_is_valid(record)) {
        return SB_E_CORRUPT;
    }
    *ret_len = (size_t)(put_string(ret, record.data, record.len) - ret);
    return SB_OK;
}

sb_err sb_flat_slot_decode(sb_u256 *ret_value, sb_bytes record)
{
    if (!slot_is_valid(record)) {
        return SB_E_CORRUPT;
    }
    *ret_value = sb_u256_load_be(record.data, record.len);
    return SB_OK;
}
