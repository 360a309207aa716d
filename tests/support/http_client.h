/* http_client.h: a blocking HTTP and WebSocket client for tests: it sends exactly what it is told, also nonsense.
 *
 * Failing to connect or to get an answer within ten seconds fails the running cmocka test. Texts returned are malloc'd and terminated. */
#ifndef SB_TESTS_SUPPORT_HTTP_CLIENT_H
#define SB_TESTS_SUPPORT_HTTP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

/* http_connect: a connected socket to 127.0.0.1:port. */
int http_connect(uint16_t port);
void http_send(int fd, const void *data, size_t len);
/* http_send_post: POST / with application/json and this body. */
void http_send_post(int fd, const char *body, size_t body_len);
/* http_read_answer: one whole HTTP answer, head and body (by Content-Length); what came when the peer closes early. */
char *http_read_answer(int fd);
/* http_exchange: send raw bytes on a new connection, read one answer, close. */
char *http_exchange(uint16_t port, const char *request);
/* http_post: POST / with application/json on a new connection; the body of the answer. *ret_status may be NULL. */
char *http_post(uint16_t port, const char *body, size_t body_len, int *ret_status);

/* ws_open: connect and shake hands. ws_send: one masked frame. ws_receive: the payload of the next frame (control frames included);
 * *ret_opcode says its kind, 8 also when the peer closed. */
int ws_open(uint16_t port);
void ws_send(int fd, uint8_t opcode, const void *data, size_t len);
/* ws_send_twice: the same frame two times at once: the server has both when it has one. */
void ws_send_twice(int fd, uint8_t opcode, const void *data, size_t len);
char *ws_receive(int fd, uint8_t *ret_opcode);
/* ws_call: send a text frame and return the next text frame. */
char *ws_call(int fd, const char *request);

#endif
