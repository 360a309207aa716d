/* cmd_signer.c: `samebit signer init | run | export | import`: a validator key with its journal, apart from the node, and its history.
 *
 *      --datadir DIR    key, journal and chain of a data directory; each of the three can be named on its own:
 *      --key FILE --journal DIR --genesis FILE                     or, without the file, --chain-id N --genesis-hash 0x... */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/codec/hex.h"
#include "node/cli.h"
#include "node/commands.h"
#include "node/datadir.h"
#include "node/signer_server.h"
#include "node/signing_history.h"

struct place {
    const char *datadir;
    const char *key;
    const char *journal;
    const char *genesis;
    const char *genesis_hash;
    uint64_t chain_id; /* 0: not given */
};

#define PLACE_OPTIONS(p)                                                                           \
    {"datadir",                                                                                    \
     SB_OPTION_TEXT,                                                                               \
     &(p).datadir,                                                                                 \
     "DIR",                                                                                        \
     "key, journal and chain of this data directory",                                              \
     0,                                                                                            \
     0},                                                                                           \
        {"key", SB_OPTION_TEXT, &(p).key, "FILE", "the validator key (validator.json)", 0, 0},     \
        {"journal", SB_OPTION_TEXT, &(p).journal, "DIR", "the journal of that key", 0, 0},         \
        {"genesis", SB_OPTION_TEXT, &(p).genesis, "FILE", "genesis.json of the chain", 0, 0},      \
        {"chain-id", SB_OPTION_U64, &(p).chain_id, "N", "the chain, without its genesis.json",     \
         1,          UINT64_MAX},                                                                  \
    {                                                                                              \
        "genesis-hash", SB_OPTION_TEXT, &(p).genesis_hash, "0xHASH", "hash of block 0, with it",   \
            0, 0                                                                                   \
    }
#define PLACE_OPTION_COUNT 6

/* What a place holds. */
struct signing {
    struct sb_datadir paths; /* validator_key, journal and genesis as chosen */
    struct sb_chain_domain domain;
    struct sb_validator_key key;
    struct sb_journal *journal;
};

static void signing_close(struct signing *s)
{
    sb_journal_close(s->journal);
    s->journal = NULL;
    sodium_memzero(&s->key, sizeof s->key);
}

/* ---- where things are ---- */

static sb_err path_set(char ret[SB_PATH_BYTES], const char *path, struct sb_diag *diag)
{
    size_t len = strlen(path);
    if (len == 0 || len >= SB_PATH_BYTES) {
        return sb_fail(diag, SB_E_LIMIT, "a path is empty or too long");
    }
    memcpy(ret, path, len + 1);
    return SB_OK;
}

static sb_err find_domain(struct signing *s, const struct place *place, struct sb_diag *diag)
{
    if (place->genesis_hash == NULL) {
        return sb_genesis_load_domain(&s->domain, s->paths.genesis, diag);
    }
    if (sb_hex_parse(s->domain.genesis_hash.b, 32, place->genesis_hash,
                     strlen(place->genesis_hash)) != SB_OK) {
        return sb_fail(diag, SB_E_SYNTAX, "--genesis-hash: must be 0x and 64 hexadecimal digits");
    }
    s->domain.chain_id = place->chain_id;
    return SB_OK;
}

/* usage_error: what is missing on the command line; NULL when all is there. */
static const char *usage_error(const struct place *place)
{
    bool by_hash = place->genesis_hash != NULL || place->chain_id != 0;
    if (place->datadir == NULL && (place->key == NULL || place->journal == NULL)) {
        return "--datadir is missing, or --key and --journal";
    }
    if (by_hash && (place->genesis_hash == NULL || place->chain_id == 0)) {
        return "--chain-id and --genesis-hash go together";
    }
    if (by_hash && place->genesis != NULL) {
        return "--genesis says what --chain-id and --genesis-hash say: give one of them";
    }
    if (place->datadir == NULL && place->genesis == NULL && !by_hash) {
        return "the chain is missing: --genesis, or --chain-id with --genesis-hash";
    }
    return NULL;
}

static sb_err find_paths(struct signing *s, const struct place *place, struct sb_diag *diag)
{
    if (place->datadir != NULL) {
        SB_TRY(sb_datadir_paths(&s->paths, place->datadir, diag));
    }
    if (place->key != NULL) {
        SB_TRY(path_set(s->paths.validator_key, place->key, diag));
    }
    if (place->journal != NULL) {
        SB_TRY(path_set(s->paths.journal, place->journal, diag));
    }
    return place->genesis != NULL ? path_set(s->paths.genesis, place->genesis, diag) : SB_OK;
}

static sb_err journal_open(struct signing *s, bool create, struct sb_diag *diag)
{
    struct sb_journal_identity identity = {.genesis_hash = s->domain.genesis_hash};
    struct sb_journal_recovery found = {.created = false};
    memcpy(identity.public_key, s->key.public_key, sizeof identity.public_key);
    SB_TRY(sb_journal_open_folder(&s->journal, s->paths.journal, &identity, create, &found, diag));
    if (found.torn_bytes != 0) {
        (void)fprintf(stderr,
                      "warning: the end of the journal was torn: %" PRIu64 " bytes are cut off\n",
                      found.torn_bytes);
    }
    return SB_OK;
}

static sb_err signing_find(struct signing *s, const struct place *place, struct sb_diag *diag)
{
    SB_TRY(find_paths(s, place, diag));
    SB_TRY(find_domain(s, place, diag));
    return sb_datadir_load_key(&s->key, &s->paths, diag);
}

/* signing_open: chain, key and journal. */
static sb_err signing_open(struct signing *s, const struct place *place, struct sb_diag *diag)
{
    SB_TRY(signing_find(s, place, diag));
    return journal_open(s, false, diag);
}

/* A call of one of the four: where things are, and what only it is told. */
struct call {
    struct place place;
    const char *socket; /* run */
    const char *output; /* export */
    bool create;        /* import */
    struct sb_operands operands;
    struct signing signing; /* filled and closed by the part itself */
};

struct part {
    struct sb_usage usage;
    size_t operand_count;
    bool needs_socket;
    sb_err (*work)(struct call *call, struct sb_diag *diag);
};

/* part_run: options, checked; the work; its error. own: the one option that is not of the place, or NULL. */
static int part_run(const struct part *part, struct call *call, const struct sb_option *own,
                    int argc, char **argv)
{
    struct sb_option options[] = {PLACE_OPTIONS(call->place), {.name = NULL}};
    size_t count = PLACE_OPTION_COUNT;
    struct sb_diag diag = {.text = ""};
    int status = SB_EXIT_OK;
    if (own != NULL) {
        options[count++] = *own;
    }
    if (!sb_options_read(&call->operands, &status, &part->usage, options, count,
                         part->operand_count, part->operand_count, argc, argv)) {
        return status;
    }
    const char *missing = usage_error(&call->place);
    if (missing == NULL && part->needs_socket && call->socket == NULL) {
        missing = "--socket is missing";
    }
    if (missing != NULL) {
        return sb_cli_usage(part->usage.command, "%s", missing);
    }
    sb_err err = part->work(call, &diag);
    signing_close(&call->signing);
    return err == SB_OK ? SB_EXIT_OK : sb_cli_fail(&diag);
}

static const char *key_text(char ret[SB_HEX_TEXT_BYTES(SB_ED25519_PUBLIC_BYTES)],
                            const struct signing *s)
{
    return sb_hex_format(ret, sb_span(s->key.public_key, sizeof s->key.public_key));
}

/* ---- init ---- */

static sb_err init(struct call *call, struct sb_diag *diag)
{
    struct signing *s = &call->signing;
    uint8_t memory[256];
    char hex[SB_HEX_TEXT_BYTES(SB_ED25519_PUBLIC_BYTES)];
    struct sb_buf text = sb_buf_over(memory, sizeof memory);
    SB_TRY(find_paths(s, &call->place, diag));
    SB_TRY(find_domain(s, &call->place, diag));
    if (sb_file_exists(s->paths.validator_key)) {
        return sb_fail(diag, SB_E_EXISTS, "%s is there already: a key is never written over",
                       s->paths.validator_key);
    }
    sb_validator_key_new(&s->key);
    SB_TRY(journal_open(s, true, diag));
    sb_validator_key_emit(&text, &s->key);
    sb_err err = sb_file_replace(s->paths.validator_key, sb_buf_bytes(&text), 0600, diag);
    sodium_memzero(memory, sizeof memory);
    if (err == SB_OK) {
        (void)printf("%s\n", key_text(hex, s));
    }
    return err;
}

static int cmd_init(int argc, char **argv)
{
    static const struct part k_part = {
        {"signer init", "--key FILE --journal DIR --genesis FILE",
         "Make a new validator key with an empty journal, for a signer that lies apart from its "
         "node.\nA key that exists already is moved instead: samebit signer import.",
         "  samebit signer init --key /srv/signer/key.json --journal /srv/signer/journal --genesis "
         "genesis.json\n"},
        0,
        false,
        init};
    static struct call call;
    return part_run(&k_part, &call, NULL, argc, argv);
}

/* ---- run ---- */

/* stop_signals: a descriptor that can be read once the process is asked to end. */
static int stop_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static sb_err serve(struct signing *s, const char *socket, struct sb_diag *diag)
{
    static struct sb_config config;
    struct sb_signer_server *server;
    sb_config_default(&config);
    struct sb_logger log = sb_config_logger(&config);
    struct sb_local_signer local = {.journal = s->journal};
    memcpy(local.secret, s->key.secret, sizeof local.secret);
    const struct sb_signer_server_options options = {.path = socket,
                                                     .signer = sb_local_signer(&local),
                                                     .journal = s->journal,
                                                     .key = sb_pubkey_ed25519(s->key.public_key),
                                                     .domain = s->domain,
                                                     .log = &log};
    int stop = stop_signals();
    sb_err err = stop >= 0 ? sb_signer_server_new(&server, &options, diag)
                           : sb_fail(diag, SB_E_IO, "signals cannot be waited for");
    if (err == SB_OK) {
        char hex[SB_HEX_TEXT_BYTES(SB_ED25519_PUBLIC_BYTES)];
        (void)printf("Signing for %s at %s\n", key_text(hex, s), socket);
        (void)fflush(stdout);
        err = sb_signer_server_run(server, stop, diag);
        sb_signer_server_free(server);
    }
    if (stop >= 0) {
        (void)close(stop);
    }
    sodium_memzero(local.secret, sizeof local.secret);
    return err;
}

static sb_err run(struct call *call, struct sb_diag *diag)
{
    SB_TRY(signing_open(&call->signing, &call->place, diag));
    return serve(&call->signing, call->socket, diag);
}

static int cmd_run(int argc, char **argv)
{
    static const struct part k_part = {
        {"signer run", "--socket PATH (--datadir DIR | --key FILE --journal DIR --genesis FILE)",
         "Hold a validator key and sign for a node on this machine: samebit run --signer-socket "
         "PATH. The journal\n"
         "beside the key keeps it from ever signing two things for one place; one node is served "
         "at a time. Ctrl-C\nor SIGTERM stops it cleanly.",
         "  samebit signer run --key /srv/signer/key.json --journal /srv/signer/journal --genesis "
         "genesis.json --socket /run/samebit/signer\n"
         "  samebit signer run --key key.json --journal journal --chain-id 4711 --genesis-hash "
         "0x... --socket signer.sock\n"},
        0,
        true,
        run};
    static struct call call;
    const struct sb_option own = {"socket",
                                  SB_OPTION_TEXT,
                                  &call.socket,
                                  "PATH",
                                  "where the node asks; made with mode 0600",
                                  0,
                                  0};
    return part_run(&k_part, &call, &own, argc, argv);
}

/* ---- export ---- */

/* warn_of_work: an import forbids the whole height, and that of a key that stopped in the middle of one is not decided yet. */
static void warn_of_work(const struct signing *s)
{
    struct sb_journal_place last;
    uint64_t ended = sb_journal_last_ended(s->journal);
    if (ended != 0 && sb_journal_last_signed(&last, s->journal) && last.height > ended) {
        (void)fprintf(stderr,
                      "note: height %" PRIu64 " is not decided, and after an import the key is "
                      "silent in it; where the others\n"
                      "need its vote to decide it, start the old place again until it is\n",
                      last.height);
    }
}

static sb_err export(struct call *call, struct sb_diag *diag)
{
    struct signing *s = &call->signing;
    struct sb_buf text;
    SB_TRY(signing_open(s, &call->place, diag));
    struct sb_signing_history history =
        sb_signing_history_of(s->journal, &s->domain, s->key.public_key);
    warn_of_work(s);
    sb_buf_init(&text, SB_SIGNING_HISTORY_BYTES_MAX);
    sb_signing_history_emit(&text, &history);
    sb_err err = sb_buf_err(&text);
    if (err == SB_OK && call->output != NULL) {
        err = sb_file_replace(call->output, sb_buf_bytes(&text), 0644, diag);
    } else if (err == SB_OK) {
        (void)fwrite(text.data, 1, text.len, stdout);
    }
    sb_buf_fini(&text);
    return err;
}

static int cmd_export(int argc, char **argv)
{
    static const struct part k_part = {
        {"signer export", "(--datadir DIR | --key FILE --journal DIR --genesis FILE) [-o FILE]",
         "Write what a key has signed last, as JSON, so that the key can move. Stop the node or "
         "the signer first,\nand never start it again with that key: what it signs afterwards is "
         "not in the file.",
         "  samebit signer export --datadir ./chain -o history.json\n"},
        0,
        false,
        export};
    static struct call call;
    const struct sb_option own = {"output",
                                  SB_OPTION_TEXT,
                                  &call.output,
                                  "FILE",
                                  "write here instead of to standard output",
                                  0,
                                  0};
    return part_run(&k_part, &call, &own, argc, argv);
}

/* ---- import ---- */

static sb_err history_load(struct sb_signing_history *ret_history, const char *path,
                           struct sb_diag *diag)
{
    struct sb_buf text;
    sb_buf_init(&text, SB_SIGNING_HISTORY_BYTES_MAX);
    sb_err err = sb_file_read(&text, path, diag);
    if (err == SB_OK) {
        err = sb_signing_history_parse(ret_history, sb_buf_bytes(&text), diag);
        if (err != SB_OK) {
            sb_diag_prefix(diag, "%s", path);
        }
    }
    sb_buf_fini(&text);
    return err;
}

static void import_say(const struct signing *s, const struct sb_signing_history *history,
                       bool raised)
{
    struct sb_journal_place last;
    if (!sb_journal_last_signed(&last, s->journal)) {
        (void)printf("nothing changed: nothing was signed yet\n");
    } else if (raised &&
               (last.round != history->last.place.round || last.step != history->last.place.step)) {
        (void)printf(
            "imported: height %" PRIu64
            " was signed in elsewhere and, further, here: nothing more is signed up to it\n",
            last.height);
    } else if (raised) {
        (void)printf("imported: nothing is signed up to height %" PRIu64 "\n", last.height);
    } else {
        (void)printf("nothing changed: the journal is as far or further: height %" PRIu64 "\n",
                     last.height);
    }
}

static sb_err import_into(struct signing *s, const struct sb_signing_history *history, bool create,
                          struct sb_diag *diag)
{
    bool raised = false;
    SB_TRY(journal_open(s, create, diag));
    SB_TRY(sb_signing_history_import(&raised, s->journal, history, &s->domain, s->key.public_key,
                                     diag));
    import_say(s, history, raised);
    return SB_OK;
}

/* import_new: make the journal under another name and rename it when the history is in it: a journal of an old key that knows
 * nothing must never lie at its place. */
static sb_err import_new(struct signing *s, const struct sb_signing_history *history,
                         struct sb_diag *diag)
{
    char path[SB_PATH_BYTES];
    memcpy(path, s->paths.journal, sizeof path);
    if (sb_file_exists(path)) {
        return sb_fail(diag, SB_E_EXISTS, "%s is there already: import without --create", path);
    }
    int len = snprintf(s->paths.journal, sizeof s->paths.journal, "%s.new", path);
    if (len < 0 || (size_t)len >= sizeof s->paths.journal) {
        return sb_fail(diag, SB_E_LIMIT, "the path of the journal is too long");
    }
    if (sb_file_exists(s->paths.journal)) {
        SB_TRY(sb_dir_remove(s->paths.journal, diag));
    }
    SB_TRY(import_into(s, history, true, diag));
    sb_journal_close(s->journal);
    s->journal = NULL;
    return rename(s->paths.journal, path) == 0
               ? SB_OK
               : sb_fail(diag, SB_E_IO, "%s cannot be renamed to %s", s->paths.journal, path);
}

static sb_err import(struct call *call, struct sb_diag *diag)
{
    struct signing *s = &call->signing;
    struct sb_signing_history history;
    SB_TRY(history_load(&history, call->operands.items[0], diag));
    SB_TRY(signing_find(s, &call->place, diag));
    return call->create ? import_new(s, &history, diag) : import_into(s, &history, false, diag);
}

static int cmd_import(int argc, char **argv)
{
    static const struct part k_part = {
        {"signer import",
         "HISTORY.json (--datadir DIR | --key FILE --journal DIR --genesis FILE) [--create]",
         "Take over what a key has signed elsewhere: afterwards nothing is signed here up to and "
         "in that height.\nThe journal keeps the later of the two places; the history of another "
         "chain or key is refused.",
         "  samebit signer import history.json --key key.json --journal journal --genesis "
         "genesis.json --create\n"},
        1,
        false,
        import};
    static struct call call;
    const struct sb_option own = {"create",
                                  SB_OPTION_FLAG,
                                  &call.create,
                                  NULL,
                                  "the journal does not exist yet: the key is new to this machine",
                                  0,
                                  0};
    return part_run(&k_part, &call, &own, argc, argv);
}

int sb_cmd_signer(int argc, char **argv)
{
    static const struct sb_command k_commands[] = {
        {"run", "hold a validator key and sign for a node", cmd_run},
        {"init", "make a new validator key with its journal", cmd_init},
        {"export", "write what a key has signed last", cmd_export},
        {"import", "take over what a key has signed elsewhere", cmd_import},
    };
    return sb_command_run("signer", k_commands, sizeof k_commands / sizeof k_commands[0], argc,
                          argv);
}
