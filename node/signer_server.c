/* signer_server.c: see signer_server.h. */
#include "node/signer_server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "node/signer_wire.h"

#define FRAME_BYTES (4 + SB_SIGNER_FRAME_BYTES_MAX)

struct link {
    int fd; /* -1: free */
    bool is_greeted;
    struct sb_journal_place signed_last; /* through this link; height 0: nothing yet */
    uint8_t in[FRAME_BYTES];
    size_t in_len;
};

struct sb_signer_server {
    struct sb_signer_server_options options;
    struct sockaddr_un address;
    int listen_fd;
    bool is_listening; /* the socket at address is ours */
    struct link links[SB_SIGNER_LINKS_MAX];
};

static void link_close(struct link *link)
{
    if (link->fd >= 0) {
        (void)close(link->fd);
    }
    *link = (struct link){.fd = -1};
}

/* answer: a message is small and the socket's buffer is not: a node that does not read its answers loses its link. */
static void answer(struct link *link, const struct sb_signer_message *message)
{
    uint8_t memory[FRAME_BYTES];
    struct sb_buf out = sb_buf_over(memory, sizeof memory);
    sb_signer_message_encode(&out, message);
    ssize_t sent = sb_buf_err(&out) == SB_OK
                       ? send(link->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT)
                       : -1;
    if (sent != (ssize_t)out.len) {
        link_close(link);
    }
}

static void refuse(struct link *link, uint64_t number, const char *reason)
{
    struct sb_signer_message message = {.kind = SB_SIGNER_REFUSED};
    message.as.refused.number = number;
    (void)snprintf(message.as.refused.reason, sizeof message.as.refused.reason, "%s", reason);
    answer(link, &message);
}

/* is_taken: another link is a node's. */
static bool is_taken(const struct sb_signer_server *server, const struct link *link)
{
    for (size_t i = 0; i < SB_SIGNER_LINKS_MAX; i++) {
        if (&server->links[i] != link && server->links[i].is_greeted) {
            return true;
        }
    }
    return false;
}

static void on_hello(struct sb_signer_server *server, struct link *link,
                     const struct sb_signer_message *m)
{
    const struct sb_chain_domain *ours = &server->options.domain;
    const struct sb_chain_domain *theirs = &m->as.hello.domain;
    if (m->as.hello.version != SB_SIGNER_VERSION) {
        refuse(link, 0, "this signer speaks another version");
        link_close(link);
        return;
    }
    if (theirs->chain_id != ours->chain_id ||
        !sb_hash_equal(&theirs->genesis_hash, &ours->genesis_hash)) {
        refuse(link, 0, "this signer belongs to another chain (chain id or genesis hash differ)");
        link_close(link);
        return;
    }
    if (is_taken(server, link)) {
        refuse(link, 0, "another node is linked to this signer, which serves one at a time");
        link_close(link);
        return;
    }
    struct sb_signer_message welcome = {.kind = SB_SIGNER_WELCOME};
    welcome.as.welcome.version = SB_SIGNER_VERSION;
    welcome.as.welcome.key = server->options.key;
    link->is_greeted = true;
    answer(link, &welcome);
}

static bool is_same_place(const struct sb_journal_place *a, const struct sb_journal_place *b)
{
    return a->height == b->height && sb_signer_place_code(a) == sb_signer_place_code(b);
}

/* is_stranger: something was signed in this height that the node does not know of: not through its link, nor does it say that it knows. What
 * lies at or below that is the guard's to judge. */
static bool is_stranger(const struct sb_signer_server *server, const struct link *link,
                        const struct sb_journal_place *place, uint64_t known)
{
    struct sb_journal_place last;
    return sb_journal_last_signed(&last, server->options.journal) && last.height == place->height &&
           sb_signer_place_code(place) > sb_signer_place_code(&last) &&
           known < sb_signer_place_code(&last) && !is_same_place(&link->signed_last, &last);
}

static sb_err ask(struct sb_signature *ret_signature, struct sb_signer_server *server,
                  struct link *link, const struct sb_signer_message *m, struct sb_diag *why)
{
    const struct sb_signer *signer = &server->options.signer;
    const struct sb_journal_place place = sb_signing_place(&m->as.sign.what);
    if (is_stranger(server, link, &place, m->as.sign.known)) {
        return sb_fail(why, SB_E_REFUSED,
                       "signed in this height for another node, or for this one before it lost its "
                       "inputs: silent until the next");
    }
    SB_TRY(
        signer->sign(signer->ctx, ret_signature, &m->as.sign.what, &server->options.domain, why));
    link->signed_last = place;
    return SB_OK;
}

static sb_err on_sign(struct sb_signer_server *server, struct link *link,
                      const struct sb_signer_message *m, struct sb_diag *diag)
{
    struct sb_signer_message reply = {.kind = SB_SIGNER_SIGNED};
    struct sb_diag why = {.text = ""};
    struct sb_journal_place place = sb_signing_place(&m->as.sign.what);
    reply.as.answer.number = m->as.sign.number;
    sb_err err = ask(&reply.as.answer.signature, server, link, m, &why);
    if (err == SB_OK) {
        answer(link, &reply);
        return SB_OK;
    }
    refuse(link, m->as.sign.number, why.text);
    sb_log(server->options.log, SB_LOG_WARN, "signer", "refused",
           SB_LOG_U64("height", place.height), SB_LOG_U64("round", place.round),
           SB_LOG_U64("step", (uint64_t)place.step), SB_LOG_STR("reason", why.text), SB_LOG_END);
    return err == SB_E_REFUSED ? SB_OK : sb_fail(diag, err, "%s", why.text);
}

/* on_prove: of this signer's chain, whatever the node asks; a refusal needs no line in the log, as nothing was at stake. */
static sb_err on_prove(struct sb_signer_server *server, struct link *link,
                       const struct sb_signer_message *m, struct sb_diag *diag)
{
    const struct sb_signer *signer = &server->options.signer;
    struct sb_signer_message reply = {.kind = SB_SIGNER_PROVED};
    struct sb_diag why = {.text = ""};
    reply.as.proved.number = m->as.prove.number;
    sb_err err = signer->prove(signer->ctx, reply.as.proved.proof, &m->as.prove.what,
                               &server->options.domain, &why);
    if (err == SB_OK) {
        answer(link, &reply);
        return SB_OK;
    }
    refuse(link, m->as.prove.number, why.text);
    return err == SB_E_REFUSED ? SB_OK : sb_fail(diag, err, "%s", why.text);
}

static sb_err on_message(struct sb_signer_server *server, struct link *link, sb_bytes frame,
                         struct sb_diag *diag)
{
    struct sb_signer_message message;
    sb_err err = sb_signer_message_decode(&message, frame, NULL);
    if (err == SB_OK && message.kind == SB_SIGNER_HELLO) {
        on_hello(server, link, &message);
        return SB_OK;
    }
    if (err == SB_OK && message.kind == SB_SIGNER_SIGN && link->is_greeted) {
        return on_sign(server, link, &message, diag);
    }
    if (err == SB_OK && message.kind == SB_SIGNER_PROVE && link->is_greeted) {
        return on_prove(server, link, &message, diag);
    }
    link_close(link); /* no message, or none for a signer */
    return SB_OK;
}

static sb_err link_read(struct sb_signer_server *server, struct link *link, struct sb_diag *diag)
{
    ssize_t n =
        recv(link->fd, link->in + link->in_len, sizeof link->in - link->in_len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return SB_OK;
    }
    if (n <= 0) {
        link_close(link);
        return SB_OK;
    }
    link->in_len += (size_t)n;
    sb_bytes frame;
    size_t used;
    sb_err err = SB_OK;
    while (link->fd >= 0 &&
           sb_signer_frame_take(&frame, &used, &err, sb_span(link->in, link->in_len))) {
        SB_TRY(on_message(server, link, frame, diag));
        if (link->fd >= 0) {
            link->in_len -= used;
            memmove(link->in, link->in + used, link->in_len);
        }
    }
    if (err != SB_OK) {
        link_close(link);
    }
    return SB_OK;
}

static void link_accept(struct sb_signer_server *server)
{
    int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    for (size_t i = 0; fd >= 0 && i < SB_SIGNER_LINKS_MAX; i++) {
        if (server->links[i].fd < 0) {
            server->links[i] = (struct link){.fd = fd};
            return;
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

sb_err sb_signer_server_run(struct sb_signer_server *server, int stop_fd, struct sb_diag *diag)
{
    for (;;) {
        struct pollfd fds[2 + SB_SIGNER_LINKS_MAX];
        fds[0] = (struct pollfd){.fd = stop_fd, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = server->listen_fd, .events = POLLIN};
        for (size_t i = 0; i < SB_SIGNER_LINKS_MAX; i++) {
            fds[2 + i] = (struct pollfd){.fd = server->links[i].fd, .events = POLLIN};
        }
        if (poll(fds, 2 + SB_SIGNER_LINKS_MAX, -1) < 0) {
            if (errno == EINTR) {
                continue;
            }
            return sb_fail(diag, SB_E_IO, "poll: %s", strerror(errno));
        }
        if (fds[0].revents != 0) {
            return SB_OK;
        }
        for (size_t i = 0; i < SB_SIGNER_LINKS_MAX; i++) {
            if (fds[2 + i].revents != 0) {
                SB_TRY(link_read(server, &server->links[i], diag));
            }
        }
        if (fds[1].revents != 0) {
            link_accept(server);
        }
    }
}

/* ---- life ---- */

/* clear_stale: remove a socket that nobody listens at. */
static sb_err clear_stale(const struct sockaddr_un *address, struct sb_diag *diag)
{
    struct stat info;
    if (lstat(address->sun_path, &info) != 0) {
        return SB_OK;
    }
    if (!S_ISSOCK(info.st_mode)) {
        return sb_fail(diag, SB_E_EXISTS, "%s is there and no socket", address->sun_path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (answers) {
        return sb_fail(diag, SB_E_BUSY, "another process answers at %s", address->sun_path);
    }
    (void)unlink(address->sun_path);
    return SB_OK;
}

static sb_err server_listen(struct sb_signer_server *server, struct sb_diag *diag)
{
    SB_TRY(clear_stale(&server->address, diag));
    server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177); /* the socket is born private */
    bool is_bound =
        server->listen_fd >= 0 && bind(server->listen_fd, (const struct sockaddr *)&server->address,
                                       sizeof server->address) == 0;
    (void)umask(mask);
    server->is_listening = is_bound;
    if (!is_bound || listen(server->listen_fd, SB_SIGNER_LINKS_MAX) != 0) {
        return sb_fail(diag, SB_E_IO, "%s: %s", server->address.sun_path, strerror(errno));
    }
    return SB_OK;
}

sb_err sb_signer_server_new(struct sb_signer_server **ret_server,
                            const struct sb_signer_server_options *options, struct sb_diag *diag)
{
    struct sb_signer_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return sb_fail(diag, SB_E_NOMEM, "out of memory");
    }
    size_t len = strlen(options->path);
    if (len == 0 || len >= sizeof server->address.sun_path) {
        free(server);
        return sb_fail(diag, SB_E_LIMIT, "%s: the path of a socket has 1 to %zu bytes",
                       options->path, sizeof server->address.sun_path - 1);
    }
    server->options = *options;
    server->address.sun_family = AF_UNIX;
    memcpy(server->address.sun_path, options->path, len + 1);
    server->listen_fd = -1;
    for (size_t i = 0; i < SB_SIGNER_LINKS_MAX; i++) {
        server->links[i].fd = -1;
    }
    sb_err err = server_listen(server, diag);
    if (err != SB_OK) {
        sb_signer_server_free(server);
        return err;
    }
    *ret_server = server;
    return SB_OK;
}

void sb_signer_server_free(struct sb_signer_server *server)
{
    if (server == NULL) {
        return;
    }
    for (size_t i = 0; i < SB_SIGNER_LINKS_MAX; i++) {
        link_close(&server->links[i]);
    }
    if (server->listen_fd >= 0) {
        (void)close(server->listen_fd);
    }
    if (server->is_listening) {
        (void)unlink(server->address.sun_path);
    }
    free(server);
}
