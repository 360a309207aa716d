/* journal.c: files of the signing journal; see journal.h.
 *
 *     journal/00000001.wal    journal/00000002.wal          the highest number takes the appends, the others are closed and whole
 *
 *     file    header | record | record | ...
 *     header  "SBJRNAL\n" (8) | version 1 (4) | number of the file (8) | genesis hash (32) | public key (32) | checksum (8)
 *     record  "SBRC" (4) | checksum (8) | payload length (4) | type (1) | height (8) | durable (8) | payload
 *
 *     type 1   signed: payload = round (4) | step (1) | signature (64) | sign bytes
 *          2   end of height: the height is in the database
 *          3   mark: written after each sync, says how far the file was durable then
 *          16+ input of the caller
 *
 * Integers are little-endian. Checksums are XXH3; a record's covers what follows it and is seeded with file number and offset, so a
 * record is valid in one place only. `durable` is how many bytes of the file were known to be on disk when the record was appended:
 * it tells a torn tail (a bad place that was never synced: cut off, a copy kept as NNNNNNNN.torn-OFFSET-N) from damage (a bad place
 * that a later record calls durable: SB_E_CORRUPT). Nothing can tell a torn tail from a file that somebody cut; hence the database's
 * head is compared with the journal at start.
 *
 * Files are made under another name, synced, then renamed and the folder synced: a file with a torn header does not occur. A new
 * file begins with the last end of height and the last signed record, so that the old files may go. The folder is locked while the
 * journal is open. After any failed write or sync every call fails: the node must stop. */
#include "storage/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/util/endian.h"
#include "storage/journal_format.h"

#define ROTATE_BYTES ((uint64_t)10 << 20)
#define FILE_BYTES_MAX                                                                             \
    (ROTATE_BYTES + SB_JOURNAL_PAYLOAD_BYTES_MAX + SB_JOURNAL_RECORD_HEADER_BYTES)
#define SEQUENCE_MAX    99999999
#define PATH_BYTES      4096
#define NAME_BYTES      64
#define TORN_COPIES_MAX 100
#define HEIGHTS_KEPT    1 /* heights below the last ended one whose records stay */

struct journal_file {
    uint64_t sequence;
    uint64_t max_height; /* of its caller's and signed records */
};

struct signature {
    struct sb_journal_place place;
    uint8_t signature[64];
    uint8_t *sign_bytes; /* owned */
    size_t sign_len;
};

struct sb_journal {
    char dir[PATH_BYTES];
    struct sb_journal_identity identity;
    int dir_fd;  /* locked */
    int file_fd; /* of the last file */
    uint64_t size;
    uint64_t durable;
    bool unsynced; /* a record other than a mark was appended since the last sync */
    bool failed;
    uint64_t end_height; /* 0: none yet */

    struct journal_file *files; /* ascending, without gaps; never empty once open */
    size_t file_count;
    size_t file_capacity;

    struct signature *signatures; /* ascending by place: all of the kept heights, and the last */
    size_t signature_count;
    size_t signature_capacity;
};

static sb_err io_fail(struct sb_diag *diag, const struct sb_journal *journal, const char *name)
{
    return sb_fail(diag, SB_E_IO, "%s/%s: %s", journal->dir, name, strerror(errno));
}

static void file_name(char ret[NAME_BYTES], uint64_t sequence, const char *suffix)
{
    (void)snprintf(ret, NAME_BYTES, "%08" PRIu64 "%s", sequence, suffix);
}

static struct journal_file *last_file(const struct sb_journal *journal)
{
    return &journal->files[journal->file_count - 1];
}

/* array_room: room for one more element; false when out of memory. */
static bool array_room(void **items, size_t *capacity, size_t count, size_t elem_bytes)
{
    if (count < *capacity) {
        return true;
    }
    size_t grown = *capacity == 0 ? 8 : 2 * *capacity;
    void *memory = realloc(*items, grown * elem_bytes);
    if (memory == NULL) {
        return false;
    }
    *items = memory;
    *capacity = grown;
    return true;
}

static sb_err file_add(struct sb_journal *journal, uint64_t sequence)
{
    void *items = journal->files;
    if (!array_room(&items, &journal->file_capacity, journal->file_count, sizeof *journal->files)) {
        return SB_E_NOMEM;
    }
    journal->files = items;
    journal->files[journal->file_count++] = (struct journal_file){.sequence = sequence};
    return SB_OK;
}

/* ---- signatures in memory ---- */

static sb_err signature_add(struct sb_journal *journal, const struct sb_journal_place *place,
                            const uint8_t signature[64], sb_bytes sign_bytes)
{
    void *items = journal->signatures;
    uint8_t *copy = malloc(sign_bytes.len + 1);
    if (copy == NULL || !array_room(&items, &journal->signature_capacity, journal->signature_count,
                                    sizeof *journal->signatures)) {
        free(copy);
        return SB_E_NOMEM;
    }
    journal->signatures = items;
    struct signature *added = &journal->signatures[journal->signature_count++];
    *added = (struct signature){.place = *place, .sign_bytes = copy, .sign_len = sign_bytes.len};
    memcpy(added->signature, signature, 64);
    sb_copy(copy, sign_bytes.data, sign_bytes.len);
    return SB_OK;
}

/* signatures_drop: forget those of heights that nobody asks for any more; the last one stays. */
static void signatures_drop(struct sb_journal *journal)
{
    size_t gone = 0;
    while (gone + 1 < journal->signature_count &&
           journal->signatures[gone].place.height + HEIGHTS_KEPT < journal->end_height) {
        free(journal->signatures[gone].sign_bytes);
        gone++;
    }
    if (gone != 0) {
        journal->signature_count -= gone;
        memmove(journal->signatures, journal->signatures + gone,
                journal->signature_count * sizeof *journal->signatures);
    }
}

static const struct signature *signature_find(const struct sb_journal *journal,
                                              const struct sb_journal_place *place)
{
    for (size_t i = journal->signature_count; i-- > 0;) {
        if (sb_journal_place_compare(&journal->signatures[i].place, place) == 0) {
            return &journal->signatures[i];
        }
    }
    return NULL;
}

static bool signature_is(const struct signature *signature, sb_bytes sign_bytes)
{
    return sb_span_equal(sb_span(signature->sign_bytes, signature->sign_len), sign_bytes);
}

/* signed_load: a signed record met while opening. The same one may stand in two files; two for one place may not. */
static sb_err signed_load(struct sb_journal *journal, const struct sb_journal_record *record)
{
    struct sb_journal_signature parsed;
    SB_TRY(sb_journal_signed_parse(&parsed, record));
    const struct signature *same = signature_find(journal, &parsed.place);
    if (same != NULL) {
        return signature_is(same, parsed.sign_bytes) ? SB_OK : SB_E_CORRUPT;
    }
    if (journal->signature_count != 0 &&
        sb_journal_place_compare(&journal->signatures[journal->signature_count - 1].place,
                                 &parsed.place) > 0) {
        return SB_E_CORRUPT;
    }
    return signature_add(journal, &parsed.place, parsed.signature, parsed.sign_bytes);
}

/* ---- reading files ---- */

struct file_bytes {
    uint8_t *data;
    size_t len;
};

static sb_err file_read(struct file_bytes *ret, const struct sb_journal *journal, uint64_t sequence,
                        struct sb_diag *diag)
{
    char name[NAME_BYTES];
    file_name(name, sequence, ".wal");
    int fd = openat(journal->dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return io_fail(diag, journal, name);
    }
    struct stat info;
    sb_err err = fstat(fd, &info) != 0 ? io_fail(diag, journal, name) : SB_OK;
    if (err == SB_OK && (uint64_t)info.st_size > FILE_BYTES_MAX) {
        err = sb_fail(diag, SB_E_CORRUPT, "%s/%s is longer than a journal can be", journal->dir,
                      name);
    }
    uint8_t *data = err == SB_OK ? malloc((size_t)info.st_size + 1) : NULL;
    if (err == SB_OK && data == NULL) {
        err = SB_E_NOMEM;
    }
    size_t len = 0;
    while (err == SB_OK && len < (size_t)info.st_size) {
        ssize_t got = read(fd, data + len, (size_t)info.st_size - len);
        if (got > 0) {
            len += (size_t)got;
        } else if (got == 0) {
            break;
        } else if (errno != EINTR) {
            err = io_fail(diag, journal, name);
        }
    }
    (void)close(fd);
    if (err != SB_OK) {
        free(data);
        return err;
    }
    *ret = (struct file_bytes){.data = data, .len = len};
    return SB_OK;
}

struct load {
    struct sb_journal *journal;
    struct sb_journal_recovery *recovery;
};

static sb_err load_record(void *ctx, const struct sb_journal_record *record)
{
    struct load *load = ctx;
    struct sb_journal *journal = load->journal;
    if (record->type == SB_JOURNAL_MARK) {
        return SB_OK;
    }
    load->recovery->record_count++;
    if (record->type == SB_JOURNAL_END_HEIGHT) {
        journal->end_height =
            record->height > journal->end_height ? record->height : journal->end_height;
        return SB_OK;
    }
    if (record->height > last_file(journal)->max_height) {
        last_file(journal)->max_height = record->height;
    }
    return record->type == SB_JOURNAL_SIGNED ? signed_load(journal, record) : SB_OK;
}

/* ---- writing ---- */

static sb_err write_all(int fd, sb_bytes head, sb_bytes body)
{
    while (head.len + body.len != 0) {
        struct iovec parts[2];
        union {
            const uint8_t *in;
            uint8_t *out; /* iovec is shared with reading and knows no const */
        } head_at = {.in = head.data}, body_at = {.in = body.data};
        parts[0] = (struct iovec){.iov_base = head_at.out, .iov_len = head.len};
        parts[1] = (struct iovec){.iov_base = body_at.out, .iov_len = body.len};
        ssize_t wrote = writev(fd, parts, 2);
        if (wrote < 0) {
            if (errno == EINTR) {
                continue;
            }
            return SB_E_IO;
        }
        size_t of_head = (size_t)wrote < head.len ? (size_t)wrote : head.len;
        head = sb_span_slice(head, of_head, SIZE_MAX);
        body = sb_span_slice(body, (size_t)wrote - of_head, SIZE_MAX);
    }
    return SB_OK;
}

static sb_err record_append(struct sb_journal *journal, uint8_t type, uint64_t height,
                            sb_bytes payload)
{
    if (journal->failed) {
        return SB_E_IO;
    }
    const struct sb_journal_record record = {
        .type = type, .height = height, .durable = journal->durable, .payload = payload};
    uint8_t header[SB_JOURNAL_RECORD_HEADER_BYTES];
    sb_journal_record_header(header, last_file(journal)->sequence, journal->size, &record);
    if (write_all(journal->file_fd, sb_span(header, sizeof header), payload) != SB_OK) {
        journal->failed = true;
        return SB_E_IO;
    }
    journal->size += sizeof header + payload.len;
    if (type != SB_JOURNAL_MARK) {
        journal->unsynced = true;
        if (type != SB_JOURNAL_END_HEIGHT && height > last_file(journal)->max_height) {
            last_file(journal)->max_height = height;
        }
    }
    return SB_OK;
}

sb_err sb_journal_sync(struct sb_journal *journal)
{
    if (journal->failed) {
        return SB_E_IO;
    }
    if (!journal->unsynced) {
        return SB_OK;
    }
    if (fdatasync(journal->file_fd) != 0) {
        journal->failed = true;
        return SB_E_IO;
    }
    journal->unsynced = false;
    journal->durable = journal->size;
    return record_append(journal, SB_JOURNAL_MARK, 0, sb_span(NULL, 0));
}

/* signed_payload: into a fresh buffer that the caller frees; NULL when out of memory. */
static uint8_t *signed_payload(size_t *ret_len, const struct sb_journal_place *place,
                               sb_bytes sign_bytes, const uint8_t signature[64])
{
    uint8_t *payload = malloc(SB_JOURNAL_SIGNED_BYTES_MIN + sign_bytes.len);
    if (payload != NULL) {
        le_store32(payload, place->round);
        payload[4] = (uint8_t)place->step;
        memcpy(payload + 5, signature, 64);
        sb_copy(payload + SB_JOURNAL_SIGNED_BYTES_MIN, sign_bytes.data, sign_bytes.len);
        *ret_len = SB_JOURNAL_SIGNED_BYTES_MIN + sign_bytes.len;
    }
    return payload;
}

/* carry_write: what a new file takes over from the old ones. */
static sb_err carry_write(struct sb_journal *journal)
{
    if (journal->end_height != 0) {
        SB_TRY(
            record_append(journal, SB_JOURNAL_END_HEIGHT, journal->end_height, sb_span(NULL, 0)));
    }
    if (journal->signature_count == 0) {
        return SB_OK;
    }
    const struct signature *last = &journal->signatures[journal->signature_count - 1];
    size_t len;
    uint8_t *payload = signed_payload(&len, &last->place, sb_span(last->sign_bytes, last->sign_len),
                                      last->signature);
    if (payload == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err =
        record_append(journal, SB_JOURNAL_SIGNED, last->place.height, sb_span(payload, len));
    free(payload);
    return err;
}

/* file_start: make file `sequence`, whole and durable, and append to it from now on. A failure leaves the journal failed. */
static sb_err file_start(struct sb_journal *journal, uint64_t sequence, struct sb_diag *diag)
{
    char name[NAME_BYTES], temporary[NAME_BYTES];
    file_name(name, sequence, ".wal");
    file_name(temporary, sequence, ".tmp");
    int fd = openat(journal->dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC,
                    0600);
    if (fd < 0) {
        journal->failed = true;
        return io_fail(diag, journal, temporary);
    }
    if (journal->file_fd >= 0) {
        (void)close(journal->file_fd);
    }
    journal->file_fd = fd;
    journal->durable = 0;
    uint8_t header[SB_JOURNAL_HEADER_BYTES];
    sb_journal_header_encode(header, sequence, &journal->identity);
    sb_err err = file_add(journal, sequence);
    if (err == SB_OK) {
        err = write_all(fd, sb_span(header, sizeof header), sb_span(NULL, 0));
        journal->size = sizeof header;
    }
    if (err == SB_OK) {
        err = carry_write(journal);
    }
    if (err == SB_OK &&
        (fsync(fd) != 0 || renameat(journal->dir_fd, temporary, journal->dir_fd, name) != 0 ||
         fsync(journal->dir_fd) != 0)) {
        err = SB_E_IO;
    }
    if (err != SB_OK) {
        journal->failed = true;
        return err == SB_E_IO ? io_fail(diag, journal, name) : err;
    }
    journal->durable = journal->size;
    journal->unsynced = false;
    return SB_OK;
}

/* files_drop: remove the oldest files while all that they hold is below the heights to keep. */
static sb_err files_drop(struct sb_journal *journal)
{
    size_t gone = 0;
    while (gone + 1 < journal->file_count &&
           journal->files[gone].max_height + HEIGHTS_KEPT < journal->end_height) {
        char name[NAME_BYTES];
        file_name(name, journal->files[gone].sequence, ".wal");
        if (unlinkat(journal->dir_fd, name, 0) != 0) {
            return SB_E_IO;
        }
        /* One at a time: were two lost out of order by a crash, a gap would read as damage. */
        if (fsync(journal->dir_fd) != 0) {
            return SB_E_IO;
        }
        gone++;
    }
    journal->file_count -= gone;
    memmove(journal->files, journal->files + gone, journal->file_count * sizeof *journal->files);
    return SB_OK;
}

static sb_err rotate(struct sb_journal *journal)
{
    uint64_t sequence = last_file(journal)->sequence + 1;
    if (sequence > SEQUENCE_MAX) {
        return SB_E_LIMIT;
    }
    SB_TRY(sb_journal_sync(journal));
    SB_TRY(file_start(journal, sequence, NULL));
    sb_err err = files_drop(journal);
    journal->failed = err != SB_OK;
    return err;
}

/* ---- opening ---- */

static int sequence_compare(const void *a, const void *b)
{
    const struct journal_file *left = a, *right = b;
    return left->sequence < right->sequence ? -1 : left->sequence > right->sequence;
}

/* name_parse: NNNNNNNN.wal gives the number, everything else 0. */
static uint64_t name_parse(const char *name)
{
    uint64_t sequence = 0;
    for (size_t i = 0; i < 8; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return 0;
        }
        sequence = 10 * sequence + (uint64_t)(name[i] - '0');
    }
    return strcmp(name + 8, ".wal") == 0 ? sequence : 0;
}

/* files_list: the numbers of the folder's files; unfinished ones are removed. */
static sb_err files_list(struct sb_journal *journal, struct sb_diag *diag)
{
    DIR *dir = opendir(journal->dir);
    if (dir == NULL) {
        return io_fail(diag, journal, "");
    }
    sb_err err = SB_OK;
    const struct dirent *entry;
    while (err == SB_OK && (entry = readdir(dir)) != NULL) {
        size_t len = strlen(entry->d_name);
        if (name_parse(entry->d_name) != 0) {
            err = file_add(journal, name_parse(entry->d_name));
        } else if (len == 12 && strcmp(entry->d_name + 8, ".tmp") == 0) {
            (void)unlinkat(journal->dir_fd, entry->d_name, 0);
        }
    }
    (void)closedir(dir);
    SB_TRY(err);
    if (journal->file_count == 0) {
        return SB_OK;
    }
    qsort(journal->files, journal->file_count, sizeof *journal->files, sequence_compare);
    for (size_t i = 1; i < journal->file_count; i++) {
        if (journal->files[i].sequence != journal->files[i - 1].sequence + 1) {
            return sb_fail(diag, SB_E_CORRUPT,
                           "%s: file %08" PRIu64 ".wal is missing: do not vote with this key",
                           journal->dir, journal->files[i - 1].sequence + 1);
        }
    }
    return SB_OK;
}

/* torn_keep: copy the cut part beside the file, for whoever wants to know what happened. */
static sb_err torn_keep(const struct sb_journal *journal, sb_bytes torn, size_t offset,
                        struct sb_diag *diag)
{
    char suffix[NAME_BYTES - 8], name[NAME_BYTES];
    int fd = -1;
    for (int i = 0; fd < 0 && i < TORN_COPIES_MAX; i++) {
        (void)snprintf(suffix, sizeof suffix, ".torn-%zu-%d", offset, i);
        file_name(name, last_file(journal)->sequence, suffix);
        fd = openat(journal->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST) {
            return io_fail(diag, journal, name);
        }
    }
    if (fd < 0) {
        return SB_OK; /* so many copies from one place tell enough */
    }
    sb_err err = write_all(fd, torn, sb_span(NULL, 0));
    err = err == SB_OK && fsync(fd) != 0 ? SB_E_IO : err;
    (void)close(fd);
    return err == SB_OK ? SB_OK : io_fail(diag, journal, name);
}

/* last_open: open the last file for appending, without its torn tail. */
static sb_err last_open(struct sb_journal *journal, sb_bytes file, size_t end, struct sb_diag *diag)
{
    char name[NAME_BYTES];
    file_name(name, last_file(journal)->sequence, ".wal");
    journal->file_fd = openat(journal->dir_fd, name, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (journal->file_fd < 0) {
        return io_fail(diag, journal, name);
    }
    if (end < file.len) {
        SB_TRY(torn_keep(journal, sb_span_slice(file, end, SIZE_MAX), end, diag));
        if (ftruncate(journal->file_fd, (off_t)end) != 0) {
            return io_fail(diag, journal, name);
        }
    }
    /* Whatever was read may never have been synced: from here on it counts, so it must be. */
    if (fsync(journal->file_fd) != 0 || fsync(journal->dir_fd) != 0) {
        return io_fail(diag, journal, name);
    }
    journal->size = end;
    journal->durable = end;
    return SB_OK;
}

static sb_err file_load(struct sb_journal *journal, size_t index,
                        struct sb_journal_recovery *recovery, struct sb_diag *diag)
{
    size_t file_count = journal->file_count;
    bool is_last = index + 1 == file_count;
    struct file_bytes bytes;
    SB_TRY(file_read(&bytes, journal, journal->files[index].sequence, diag));
    sb_bytes file = sb_span(bytes.data, bytes.len);
    journal->file_count = index + 1; /* records read belong to this file */
    uint64_t sequence = last_file(journal)->sequence;
    struct load load = {.journal = journal, .recovery = recovery};
    size_t end = 0;
    sb_err err = sb_journal_header_check(file, sequence, &journal->identity, diag);
    if (err == SB_OK) {
        err = sb_journal_scan(&end, file, sequence, load_record, &load);
        if (err == SB_E_CORRUPT || (err == SB_OK && end < file.len && !is_last)) {
            err = sb_fail(
                diag, SB_E_CORRUPT,
                "damaged in the middle: do not vote with this key before you know what it signed");
        }
    }
    if (err != SB_OK) {
        sb_diag_prefix(diag, "%s/%08" PRIu64 ".wal", journal->dir, sequence);
    } else if (is_last) {
        recovery->torn_bytes = file.len - end;
        err = last_open(journal, file, end, diag);
    }
    journal->file_count = file_count;
    free(bytes.data);
    return err;
}

static sb_err folder_open(struct sb_journal *journal, bool create_new, struct sb_diag *diag)
{
    if (create_new && mkdir(journal->dir, 0700) != 0 && errno != EEXIST) {
        return io_fail(diag, journal, "");
    }
    journal->dir_fd = open(journal->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (journal->dir_fd < 0) {
        if (errno == ENOENT) {
            return sb_fail(
                diag, SB_E_NOT_FOUND,
                "%s does not exist: a validator key is never used without its journal, restore it",
                journal->dir);
        }
        return io_fail(diag, journal, "");
    }
    if (flock(journal->dir_fd, LOCK_EX | LOCK_NB) != 0) {
        return sb_fail(diag, SB_E_BUSY,
                       "%s is in use by another process: two must never sign with one key",
                       journal->dir);
    }
    return SB_OK;
}

static sb_err journal_fill(struct sb_journal *journal, bool create_new,
                           struct sb_journal_recovery *recovery, struct sb_diag *diag)
{
    SB_TRY(folder_open(journal, create_new, diag));
    SB_TRY(files_list(journal, diag));
    if (create_new) {
        if (journal->file_count != 0) {
            return sb_fail(diag, SB_E_EXISTS,
                           "%s holds a journal already: a new key needs a folder of its own",
                           journal->dir);
        }
        recovery->created = true;
        return file_start(journal, 1, diag);
    }
    if (journal->file_count == 0) {
        return sb_fail(
            diag, SB_E_NOT_FOUND,
            "%s holds no journal: a validator key is never used without its own, restore it",
            journal->dir);
    }
    for (size_t i = 0; i < journal->file_count; i++) {
        SB_TRY(file_load(journal, i, recovery, diag));
    }
    signatures_drop(journal);
    return SB_OK;
}

sb_err sb_journal_open(struct sb_journal **ret_journal, const char *dir,
                       const struct sb_journal_identity *identity, bool create_new,
                       struct sb_journal_recovery *ret_recovery, struct sb_diag *diag)
{
    size_t dir_len = strlen(dir);
    if (dir_len == 0 || dir_len >= PATH_BYTES - NAME_BYTES) {
        return sb_fail(diag, SB_E_ARG, "the journal's path is too long or empty");
    }
    struct sb_journal *journal = calloc(1, sizeof *journal);
    if (journal == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "%s: out of memory", dir);
    }
    memcpy(journal->dir, dir, dir_len + 1);
    journal->identity = *identity;
    journal->dir_fd = -1;
    journal->file_fd = -1;
    struct sb_journal_recovery recovery = {.created = false};
    sb_err err = journal_fill(journal, create_new, &recovery, diag);
    if (err != SB_OK) {
        journal->failed = true; /* nothing is to be synced on the way out */
        sb_journal_close(journal);
        return err;
    }
    *ret_recovery = recovery;
    *ret_journal = journal;
    return SB_OK;
}

void sb_journal_close(struct sb_journal *journal)
{
    if (journal == NULL) {
        return;
    }
    if (!journal->failed && sb_journal_sync(journal) == SB_OK) {
        (void)fdatasync(
            journal
                ->file_fd); /* the mark too: then even the last record cannot be damaged unnoticed */
    }
    if (journal->file_fd >= 0) {
        (void)close(journal->file_fd);
    }
    if (journal->dir_fd >= 0) {
        (void)close(journal->dir_fd);
    }
    for (size_t i = 0; i < journal->signature_count; i++) {
        free(journal->signatures[i].sign_bytes);
    }
    free(journal->signatures);
    free(journal->files);
    free(journal);
}

/* ---- the rest of the interface ---- */

sb_err sb_journal_append(struct sb_journal *journal, uint8_t type, uint64_t height,
                         sb_bytes payload)
{
    if (type < SB_JOURNAL_CALLER) {
        return SB_E_ARG;
    }
    if (payload.len > SB_JOURNAL_PAYLOAD_BYTES_MAX) {
        return SB_E_LIMIT;
    }
    if (!journal->failed && journal->size >= ROTATE_BYTES) {
        SB_TRY(rotate(journal));
    }
    return record_append(journal, type, height, payload);
}

static bool place_is_valid(const struct sb_journal_place *place)
{
    return place->step >= SB_JOURNAL_PROPOSAL && place->step <= SB_JOURNAL_PRECOMMIT;
}

sb_err sb_journal_may_sign(uint8_t ret_signature[64], struct sb_journal *journal,
                           const struct sb_journal_place *place, sb_bytes sign_bytes,
                           struct sb_diag *diag)
{
    if (journal->failed) {
        return sb_fail(diag, SB_E_IO, "the journal failed earlier: the node must stop");
    }
    if (!place_is_valid(place) || sign_bytes.len > SB_JOURNAL_SIGN_BYTES_MAX) {
        return sb_fail(diag, SB_E_ARG, "step %d or %zu bytes to sign are out of range",
                       (int)place->step, sign_bytes.len);
    }
    const struct signature *here = signature_find(journal, place);
    if (here != NULL && signature_is(here, sign_bytes)) {
        memcpy(ret_signature, here->signature, 64);
        return SB_E_EXISTS;
    }
    if (here != NULL) {
        return sb_fail(diag, SB_E_ARG,
                       "other bytes were signed at height %" PRIu64 ", round %" PRIu32 ", step %d",
                       place->height, place->round, (int)place->step);
    }
    const struct signature *last =
        journal->signature_count != 0 ? &journal->signatures[journal->signature_count - 1] : NULL;
    if (last != NULL && sb_journal_place_compare(place, &last->place) < 0) {
        return sb_fail(diag, SB_E_ARG,
                       "height %" PRIu64 ", round %" PRIu32
                       ", step %d lies before the last signed place, "
                       "height %" PRIu64 ", round %" PRIu32 ", step %d",
                       place->height, place->round, (int)place->step, last->place.height,
                       last->place.round, (int)last->place.step);
    }
    return SB_OK;
}

sb_err sb_journal_signed(struct sb_journal *journal, const struct sb_journal_place *place,
                         sb_bytes sign_bytes, const uint8_t signature[64])
{
    uint8_t known[64];
    sb_err may = sb_journal_may_sign(known, journal, place, sign_bytes, NULL);
    if (may != SB_OK) {
        return may == SB_E_IO ? SB_E_IO : SB_E_ARG;
    }
    size_t len;
    uint8_t *payload = signed_payload(&len, place, sign_bytes, signature);
    if (payload == NULL) {
        return SB_E_NOMEM;
    }
    sb_err err = record_append(journal, SB_JOURNAL_SIGNED, place->height, sb_span(payload, len));
    free(payload);
    /* Into memory before the sync: whatever happens now, these bytes may be on disk. */
    if (err == SB_OK) {
        err = signature_add(journal, place, signature, sign_bytes);
        journal->failed = journal->failed || err != SB_OK;
    }
    return err == SB_OK ? sb_journal_sync(journal) : err;
}

bool sb_journal_last_signed(struct sb_journal_place *ret_place, const struct sb_journal *journal)
{
    if (journal->signature_count == 0) {
        return false;
    }
    *ret_place = journal->signatures[journal->signature_count - 1].place;
    return true;
}

struct replay {
    uint64_t height;
    sb_err (*visit)(void *ctx, uint8_t type, uint64_t height, sb_bytes payload);
    void *ctx;
};

static sb_err replay_record(void *ctx, const struct sb_journal_record *record)
{
    const struct replay *replay = ctx;
    if (record->type < SB_JOURNAL_CALLER || record->height < replay->height) {
        return SB_OK;
    }
    return replay->visit(replay->ctx, record->type, record->height, record->payload);
}

sb_err sb_journal_replay(struct sb_journal *journal, uint64_t height,
                         sb_err (*visit)(void *ctx, uint8_t type, uint64_t height,
                                         sb_bytes payload),
                         void *ctx)
{
    struct replay replay = {.height = height, .visit = visit, .ctx = ctx};
    sb_err err = SB_OK;
    for (size_t i = 0; err == SB_OK && i < journal->file_count; i++) {
        if (journal->files[i].max_height < height) {
            continue;
        }
        struct file_bytes bytes;
        SB_TRY(file_read(&bytes, journal, journal->files[i].sequence, NULL));
        size_t end;
        err = sb_journal_scan(&end, sb_span(bytes.data, bytes.len), journal->files[i].sequence,
                              replay_record, &replay);
        free(bytes.data);
    }
    return err;
}

sb_err sb_journal_end_height(struct sb_journal *journal, uint64_t height)
{
    SB_TRY(record_append(journal, SB_JOURNAL_END_HEIGHT, height, sb_span(NULL, 0)));
    if (height > journal->end_height) {
        journal->end_height = height;
    }
    signatures_drop(journal);
    return SB_OK;
}
