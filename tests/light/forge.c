/* forge.c: what validators who left the rules would sign: reads a light block in hexadecimal from the standard input and writes another one of
 * its height, with a set of their own, signed by all of them.
 *
 *     forge GENESIS_HASH KEY_FILE ... < light-block > forged          KEY_FILE: a validator.json
 *
 * For the tests of evidence (tests/suites/59-light-client.sh). */
#include <stdio.h>
#include <string.h>

#include "base/codec/hex.h"
#include "base/crypto/ed25519.h"
#include "consensus/light_block.h"
#include "node/datadir.h"
#include "node/files.h"

#define KEYS_MAX       8
#define KEY_BYTES_MAX  4096
#define ARENA_BYTES    ((size_t)4 << 20)
#define TEXT_BYTES_MAX (2 * SB_LIGHT_BLOCK_BYTES_MAX + 4)

struct forgery {
    struct sb_chain_domain domain;
    struct sb_validator_key keys[KEYS_MAX];
    size_t count;
    struct sb_validator own[KEYS_MAX];
    struct sb_commit_sig sigs[KEYS_MAX];
    struct sb_light_block_parts parts;
};

static sb_err read_key(struct sb_validator_key *ret_key, const char *path, struct sb_diag *diag)
{
    uint8_t memory[KEY_BYTES_MAX];
    struct sb_buf buf = sb_buf_over(memory, sizeof memory);
    SB_TRY(sb_file_read(&buf, path, diag));
    return sb_validator_key_parse(ret_key, sb_buf_bytes(&buf), diag);
}

static sb_err read_block(struct forgery *f, struct sb_arena *arena, struct sb_diag *diag)
{
    static char text[TEXT_BYTES_MAX];
    static uint8_t raw[SB_LIGHT_BLOCK_BYTES_MAX];
    size_t len = fread(text, 1, sizeof text, stdin), bytes;
    while (len > 0 && text[len - 1] == '\n') {
        len--;
    }
    SB_TRY(sb_hex_parse_data(raw, &bytes, sizeof raw, text, len));
    return sb_light_block_decode(&f->parts, arena, sb_span(raw, bytes), diag);
}

static void sign(struct forgery *f, size_t index)
{
    struct sb_light_block_parts *p = &f->parts;
    struct sb_commit_sig *sig = &f->sigs[index];
    uint8_t message[SB_SIGN_BYTES_MAX];
    sig->flag = SB_COMMIT_BLOCK;
    struct sb_vote vote = sb_commit_vote(&p->commit, &p->validators, index);
    size_t len = sb_vote_sign_bytes(message, &f->domain, &vote);
    for (size_t i = 0; i < f->count; i++) {
        if (memcmp(f->keys[i].public_key, f->own[index].key.bytes, 32) == 0) {
            sig->signature.len = SB_ED25519_SIGNATURE_BYTES;
            sb_ed25519_sign(sig->signature.bytes, f->keys[i].secret, sb_span(message, len));
        }
    }
}

static sb_err forge(struct forgery *f, struct sb_diag *diag)
{
    struct sb_light_block_parts *p = &f->parts;
    for (size_t i = 0; i < f->count; i++) {
        f->own[i] =
            (struct sb_validator){.key = sb_pubkey_ed25519(f->keys[i].public_key), .power = 7};
    }
    SB_TRY(sb_validator_set_make(&p->validators, f->own, f->count, diag));
    p->next_validators = p->validators;
    p->header.validators_hash = p->header.next_validators_hash =
        sb_validator_set_hash(&p->validators);
    p->header.last_block_id.b[0] ^= 1;
    p->header.payload_hash.b[0] ^= 1;
    p->commit = (struct sb_commit){.height = p->header.height,
                                   .block_id = sb_consensus_block_id(&p->header),
                                   .sigs = f->sigs,
                                   .sig_count = f->count};
    f->domain.chain_id = p->header.chain_id;
    for (size_t i = 0; i < f->count; i++) {
        sign(f, i);
    }
    return SB_OK;
}

static sb_err run(struct forgery *f, struct sb_arena *arena, int argc, char **argv,
                  struct sb_diag *diag)
{
    if (argc < 3 || argc > 2 + KEYS_MAX) {
        return sb_fail(diag, SB_E_ARG, "forge GENESIS_HASH KEY_FILE ... < light-block");
    }
    SB_TRY(sb_hex_parse(f->domain.genesis_hash.b, 32, argv[1], strlen(argv[1])));
    for (int i = 2; i < argc; i++) {
        SB_TRY(read_key(&f->keys[f->count++], argv[i], diag));
    }
    SB_TRY(read_block(f, arena, diag));
    return forge(f, diag);
}

int main(int argc, char **argv)
{
    static struct forgery f;
    static char text[TEXT_BYTES_MAX];
    struct sb_arena arena;
    struct sb_buf out;
    struct sb_diag diag = {.text = ""};
    sb_arena_init(&arena, ARENA_BYTES);
    sb_buf_init(&out, SB_LIGHT_BLOCK_BYTES_MAX);
    sb_err err = run(&f, &arena, argc, argv, &diag);
    if (err == SB_OK) {
        sb_light_block_encode(&out, &f.parts);
        err = sb_buf_err(&out);
    }
    if (err == SB_OK) {
        (void)puts(sb_hex_format(text, sb_buf_bytes(&out)));
    } else {
        (void)fprintf(stderr, "error: %s\n", diag.text[0] != '\0' ? diag.text : sb_err_text(err));
    }
    sb_buf_fini(&out);
    sb_arena_fini(&arena);
    return err == SB_OK ? 0 : 1;
}
