/* remote_signer.c: see remote_signer.h. One question at a time; answers to older questions, which came too late, are skipped. */
#include "node/remote_signer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/crypto/ed25519.h"
#include "node/signer_wire.h"

#define BUFFER_BYTES (4 * (4 + SB_SIGNER_FRAME_BYTES_MAX))

struct sb_remote_signer {
    struct sockaddr_un address;
    uint64_t timeout_ms;
    struct sb_chain_domain domain;
    struct sb_pubkey key; /* len 0 until the first welcome */
    int fd;               /* -1: no link */
    uint64_t number;      /* of the last question */
    struct sb_journal_place
        known; /* the last place that was signed for us, in this life or an earlier one; height 0: none */
    uint8_t buffer[BUFFER_BYTES];
    size_t buffered;
};

static uint64_t now_ms(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void link_drop(struct sb_remote_signer *remote)
{
    if (remote->fd >= 0) {
        (void)close(remote->fd);
    }
    remote->fd = -1;
    remote->buffered = 0;
}

static sb_err refuse(struct sb_remote_signer *remote, struct sb_diag *diag, const char *what)
{
    return sb_fail(diag, SB_E_REFUSED, "the signer at %s %s", remote->address.sun_path, what);
}

/* wait_for: false when the deadline passes first. */
static bool wait_for(const struct sb_remote_signer *remote, short events, uint64_t deadline)
{
    for (;;) {
        uint64_t now = now_ms();
        if (now >= deadline) {
            return false;
        }
        uint64_t left = deadline - now;
        struct pollfd poll_fd = {.fd = remote->fd, .events = events};
        int ready = poll(&poll_fd, 1, left > 60000 ? 60000 : (int)left);
        if (ready > 0) {
            return true;
        }
        if (ready < 0 && errno != EINTR) {
            return false;
        }
    }
}

static sb_err send_message(struct sb_remote_signer *remote, const struct sb_signer_message *message,
                           uint64_t deadline, struct sb_diag *diag)
{
    uint8_t memory[4 + SB_SIGNER_FRAME_BYTES_MAX];
    struct sb_buf out = sb_buf_over(memory, sizeof memory);
    sb_signer_message_encode(&out, message);
    SB_TRY(sb_buf_err(&out));
    size_t sent = 0;
    while (sent < out.len) {
        ssize_t n = send(remote->fd, out.data + sent, out.len - sent, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (!wait_for(remote, POLLOUT, deadline)) {
                link_drop(remote); /* half a message may be under way */
                return refuse(remote, diag, "does not take what is sent to it");
            }
        } else if (n < 0 && errno != EINTR) {
            link_drop(remote);
            return refuse(remote, diag, "has closed the link");
        }
    }
    return SB_OK;
}

/* receive_message: the next whole message. */
static sb_err receive_message(struct sb_signer_message *ret_message,
                              struct sb_remote_signer *remote, uint64_t deadline,
                              struct sb_diag *diag)
{
    for (;;) {
        sb_bytes frame;
        size_t used;
        sb_err err;
        if (sb_signer_frame_take(&frame, &used, &err, sb_span(remote->buffer, remote->buffered))) {
            err = sb_signer_message_decode(ret_message, frame, NULL);
            remote->buffered -= used;
            memmove(remote->buffer, remote->buffer + used, remote->buffered);
            if (err == SB_OK) {
                return SB_OK;
            }
        }
        if (err != SB_OK) {
            link_drop(remote);
            return refuse(remote, diag, "sends what is no message");
        }
        ssize_t n =
            recv(remote->fd, remote->buffer + remote->buffered, BUFFER_BYTES - remote->buffered, 0);
        if (n > 0) {
            remote->buffered += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (!wait_for(remote, POLLIN, deadline)) {
                return refuse(remote, diag, "has not answered in time");
            }
        } else if (n == 0 || errno != EINTR) {
            link_drop(remote);
            return refuse(remote, diag, "has closed the link");
        }
    }
}

/* greet: hello and welcome. A signer of another key than before is not taken. */
static sb_err greet(struct sb_remote_signer *remote, uint64_t deadline, struct sb_diag *diag)
{
    struct sb_signer_message hello = {.kind = SB_SIGNER_HELLO}, answer;
    hello.as.hello.version = SB_SIGNER_VERSION;
    hello.as.hello.domain = remote->domain;
    SB_TRY(send_message(remote, &hello, deadline, diag));
    SB_TRY(receive_message(&answer, remote, deadline, diag));
    if (answer.kind == SB_SIGNER_REFUSED) {
        return sb_fail(diag, SB_E_REFUSED, "the signer at %s: %s", remote->address.sun_path,
                       answer.as.refused.reason);
    }
    if (answer.kind != SB_SIGNER_WELCOME || answer.as.welcome.version != SB_SIGNER_VERSION) {
        return refuse(remote, diag, "speaks another version");
    }
    if (remote->key.len != 0 && !sb_pubkey_equal(&remote->key, &answer.as.welcome.key)) {
        return refuse(remote, diag, "has another key than before");
    }
    remote->key = answer.as.welcome.key;
    return SB_OK;
}

/* link_open: connect, waiting while the signer has too many links to accept. */
static bool link_open(struct sb_remote_signer *remote, uint64_t deadline)
{
    uint64_t now = now_ms(), left = deadline > now ? deadline - now : 1;
    const struct timeval wait = {.tv_sec = (time_t)(left / 1000),
                                 .tv_usec = (suseconds_t)(left % 1000 * 1000)};
    remote->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (remote->fd < 0) {
        return false;
    }
    return setsockopt(remote->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) == 0 &&
           connect(remote->fd, (const struct sockaddr *)&remote->address, sizeof remote->address) ==
               0 &&
           fcntl(remote->fd, F_SETFL, O_NONBLOCK) == 0;
}

static sb_err link_make(struct sb_remote_signer *remote, uint64_t deadline, struct sb_diag *diag)
{
    if (remote->fd >= 0) {
        return SB_OK;
    }
    if (!link_open(remote, deadline)) {
        link_drop(remote);
        return refuse(remote, diag, "cannot be reached; start it: samebit signer run");
    }
    sb_err err = greet(remote, deadline, diag);
    if (err != SB_OK) {
        link_drop(remote);
    }
    return err;
}

static void recall(void *ctx, const struct sb_journal_place *place)
{
    struct sb_remote_signer *remote = ctx;
    bool is_later = place->height > remote->known.height ||
                    (place->height == remote->known.height &&
                     sb_signer_place_code(place) > sb_signer_place_code(&remote->known));
    remote->known = is_later ? *place : remote->known;
}

/* ask: the answer to a question, by its number, of the kind that is wanted; a refusal is an error. */
static sb_err ask(struct sb_signer_message *ret_answer, struct sb_remote_signer *remote,
                  const struct sb_signer_message *question, enum sb_signer_kind wanted,
                  uint64_t deadline, struct sb_diag *diag)
{
    SB_TRY(send_message(remote, question, deadline, diag));
    for (;;) {
        SB_TRY(receive_message(ret_answer, remote, deadline, diag));
        uint64_t number = ret_answer->kind == SB_SIGNER_SIGNED    ? ret_answer->as.answer.number
                          : ret_answer->kind == SB_SIGNER_PROVED  ? ret_answer->as.proved.number
                          : ret_answer->kind == SB_SIGNER_REFUSED ? ret_answer->as.refused.number
                                                                  : 0;
        if (number != remote->number) {
            continue; /* to an older question */
        }
        if (ret_answer->kind == SB_SIGNER_REFUSED) {
            return sb_fail(diag, SB_E_REFUSED, "the signer refuses: %s",
                           ret_answer->as.refused.reason);
        }
        return ret_answer->kind == wanted ? SB_OK
                                          : refuse(remote, diag, "answers another question");
    }
}

static sb_err sign(void *ctx, struct sb_signature *ret_signature,
                   const struct sb_bft_message *message, const struct sb_chain_domain *domain,
                   struct sb_diag *diag)
{
    struct sb_remote_signer *remote = ctx;
    uint8_t memory[SB_SIGN_BYTES_MAX];
    sb_bytes bytes = sb_span(memory, sb_signing_bytes(memory, message, domain));
    uint64_t deadline = now_ms() + remote->timeout_ms;
    struct sb_signer_message question = {.kind = SB_SIGNER_SIGN}, answer;
    SB_TRY(link_make(remote, deadline, diag));
    const struct sb_journal_place place = sb_signing_place(message);
    question.as.sign.number = ++remote->number;
    question.as.sign.known =
        remote->known.height == place.height ? sb_signer_place_code(&remote->known) : 0;
    question.as.sign.what = *message;
    SB_TRY(ask(&answer, remote, &question, SB_SIGNER_SIGNED, deadline, diag));
    if (!sb_ed25519_verify(answer.as.answer.signature.bytes, bytes, remote->key.bytes)) {
        return refuse(remote, diag, "gave a signature that is none");
    }
    recall(remote, &place);
    *ret_signature = answer.as.answer.signature;
    return SB_OK;
}

/* prove: whoever asked verifies the proof, to learn its hash. */
static sb_err prove(void *ctx, uint8_t ret_proof[SB_RANDOMNESS_PROOF_BYTES],
                    const struct sb_randomness_input *input, const struct sb_chain_domain *domain,
                    struct sb_diag *diag)
{
    (void)domain; /* the signer's own */
    struct sb_remote_signer *remote = ctx;
    uint64_t deadline = now_ms() + remote->timeout_ms;
    struct sb_signer_message question = {.kind = SB_SIGNER_PROVE}, answer;
    SB_TRY(link_make(remote, deadline, diag));
    question.as.prove.number = ++remote->number;
    question.as.prove.what = *input;
    SB_TRY(ask(&answer, remote, &question, SB_SIGNER_PROVED, deadline, diag));
    memcpy(ret_proof, answer.as.proved.proof, SB_RANDOMNESS_PROOF_BYTES);
    return SB_OK;
}

/* ---- life ---- */

sb_err sb_remote_signer_new(struct sb_remote_signer **ret_remote,
                            const struct sb_remote_signer_options *options, struct sb_diag *diag)
{
    struct sb_remote_signer *remote = calloc(1, sizeof *remote);
    if (remote == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    size_t len = strlen(options->path);
    if (len == 0 || len >= sizeof remote->address.sun_path) {
        free(remote);
        return sb_fail(diag, SB_E_LIMIT, "%s: the path of a socket has 1 to %zu bytes",
                       options->path, sizeof remote->address.sun_path - 1);
    }
    remote->address.sun_family = AF_UNIX;
    memcpy(remote->address.sun_path, options->path, len + 1);
    remote->timeout_ms = options->timeout_ms;
    remote->domain = options->domain;
    remote->fd = -1;
    sb_err err = link_make(remote, now_ms() + remote->timeout_ms, diag);
    if (err != SB_OK) {
        sb_remote_signer_free(remote);
        return err;
    }
    *ret_remote = remote;
    return SB_OK;
}

void sb_remote_signer_free(struct sb_remote_signer *remote)
{
    if (remote != NULL) {
        link_drop(remote);
        free(remote);
    }
}

struct sb_pubkey sb_remote_signer_key(const struct sb_remote_signer *remote)
{
    return remote->key;
}

struct sb_signer sb_remote_signer_table(struct sb_remote_signer *remote)
{
    return (struct sb_signer){
        .ctx = remote, .keeps_journal = true, .recall = recall, .sign = sign, .prove = prove};
}
