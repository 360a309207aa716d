/* http_client.c: see http_client.h. */
#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#define ANSWER_BYTES_MAX ((size_t)64 << 20)

int http_connect(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval limit = {.tv_sec = 60};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    (void)inet_pton(AF_INET, "127.0.0.1", &addr.sin_addr);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* head and body go apart */
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

/* The peer may have closed already: what it said is checked by reading. */
void http_send(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;
    while (len != 0) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        at += sent;
        len -= (size_t)sent;
    }
}

/* Bytes that the answer has when its body is complete; 0 while the head is not. */
static size_t answer_size(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    const char *length = strcasestr(text, "content-length:");
    if (end == NULL) {
        return 0;
    }
    size_t head = (size_t)(end - text) + 4;
    return length != NULL && length < end ? head + strtoul(length + 15, NULL, 10) : head;
}

char *http_read_answer(int fd)
{
    size_t capacity = 65536;
    size_t len = 0;
    char *text = malloc(capacity);
    assert_non_null(text);
    text[0] = '\0';
    while (answer_size(text) == 0 || len < answer_size(text)) {
        if (capacity - len < 32768) {
            capacity *= 2;
            assert_true(capacity <= ANSWER_BYTES_MAX);
            text = realloc(text, capacity);
            assert_non_null(text);
        }
        ssize_t got = recv(fd, text + len, capacity - len - 1, 0);
        if (got <= 0) {
            break;
        }
        len += (size_t)got;
        text[len] = '\0';
    }
    return text;
}

char *http_exchange(uint16_t port, const char *request)
{
    int fd = http_connect(port);
    http_send(fd, request, strlen(request));
    char *answer = http_read_answer(fd);
    (void)close(fd);
    return answer;
}

void http_send_post(int fd, const char *body, size_t body_len)
{
    char head[256];
    int len = snprintf(head, sizeof head,
                       "POST / HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n",
                       body_len);
    http_send(fd, head, (size_t)len);
    http_send(fd, body, body_len);
}

char *http_post(uint16_t port, const char *body, size_t body_len, int *ret_status)
{
    int status = 0;
    int fd = http_connect(port);
    http_send_post(fd, body, body_len);
    char *answer = http_read_answer(fd);
    (void)close(fd);
    if (strncmp(answer, "HTTP/1.1 ", 9) == 0) {
        status = (int)strtol(answer + 9, NULL, 10);
    }
    if (ret_status != NULL) {
        *ret_status = status;
    }
    char *start = strstr(answer, "\r\n\r\n");
    char *copy = strdup(start != NULL ? start + 4 : "");
    assert_non_null(copy);
    free(answer);
    return copy;
}

/* ---- WebSocket ---- */

int ws_open(uint16_t port)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    int fd = http_connect(port);
    http_send(fd, request, sizeof request - 1);
    char *answer = http_read_answer(fd);
    assert_non_null(strstr(answer, "HTTP/1.1 101"));
    /* The example of RFC 6455 1.3. */
    assert_non_null(strcasestr(answer, "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    free(answer);
    return fd;
}

#define FRAME_HEAD_MAX 14

/* frame_write: a masked frame; ret_frame has room for FRAME_HEAD_MAX bytes more than the data. Returns its length. */
static size_t frame_write(uint8_t *ret_frame, uint8_t opcode, const uint8_t *data, size_t len)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    size_t head_len = 2;
    ret_frame[0] = (uint8_t)(0x80 | opcode);
    if (len < 126) {
        ret_frame[1] = (uint8_t)(0x80 | len);
    } else {
        size_t count = len <= UINT16_MAX ? 2 : 8; /* RFC 6455 5.2: the shortest form */
        ret_frame[1] = (uint8_t)(0x80 | (count == 2 ? 126 : 127));
        for (size_t i = 0; i < count; i++) {
            ret_frame[2 + i] = (uint8_t)((uint64_t)len >> (8 * (count - 1 - i)));
        }
        head_len += count;
    }
    memcpy(ret_frame + head_len, mask, sizeof mask);
    head_len += sizeof mask;
    for (size_t i = 0; i < len; i++) {
        ret_frame[head_len + i] = (uint8_t)(data[i] ^ mask[i % 4]);
    }
    return head_len + len;
}

void ws_send(int fd, uint8_t opcode, const void *data, size_t len)
{
    uint8_t *frame = malloc(len + FRAME_HEAD_MAX);
    assert_non_null(frame);
    http_send(fd, frame, frame_write(frame, opcode, data, len));
    free(frame);
}

void ws_send_twice(int fd, uint8_t opcode, const void *data, size_t len)
{
    uint8_t *frames = malloc(2 * (len + FRAME_HEAD_MAX));
    assert_non_null(frames);
    size_t first = frame_write(frames, opcode, data, len);
    http_send(fd, frames, first + frame_write(frames + first, opcode, data, len));
    free(frames);
}

static bool read_exact(int fd, void *ret, size_t len)
{
    uint8_t *at = ret;
    while (len != 0) {
        ssize_t got = recv(fd, at, len, 0);
        if (got <= 0) {
            return false;
        }
        at += got;
        len -= (size_t)got;
    }
    return true;
}

char *ws_receive(int fd, uint8_t *ret_opcode)
{
    uint8_t head[2];
    uint8_t more[8];
    *ret_opcode = 8;
    if (!read_exact(fd, head, 2)) {
        return strdup("");
    }
    uint64_t len = head[1] & 127;
    if (len >= 126) {
        size_t count = len == 126 ? 2 : 8;
        assert_true(read_exact(fd, more, count));
        len = 0;
        for (size_t i = 0; i < count; i++) {
            len = len << 8 | more[i];
        }
    }
    assert_true(len <= ANSWER_BYTES_MAX);
    char *text = malloc((size_t)len + 1);
    assert_non_null(text);
    assert_true(read_exact(fd, text, (size_t)len));
    text[len] = '\0';
    *ret_opcode = head[0] & 15;
    return text;
}

char *ws_call(int fd, const char *request)
{
    uint8_t opcode = 0;
    ws_send(fd, 1, request, strlen(request));
    char *answer = ws_receive(fd, &opcode);
    assert_int_equal(opcode, 1);
    return answer;
}
