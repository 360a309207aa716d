/* port.c: see port.h. */
#include "tests/support/port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/util/assert.h"

int port_hold(uint16_t *ret_port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof addr;
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SB_ASSERT(fd >= 0);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SB_ASSERT(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    SB_ASSERT(bind(fd, (const struct sockaddr *)&addr, sizeof addr) == 0);
    SB_ASSERT(getsockname(fd, (struct sockaddr *)&addr, &len) == 0);
    *ret_port = ntohs(addr.sin_port);
    return fd;
}
