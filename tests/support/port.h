/* port.h: a TCP port for tests that stop listening at it and listen again: no other process gets it in between. */
#ifndef SB_TESTS_SUPPORT_PORT_H
#define SB_TESTS_SUPPORT_PORT_H

#include <stdint.h>

/* port_hold: a free port of 127.0.0.1, bound but not listened at: the system gives it to nobody who asks for any port, and whoever sets
 * SO_REUSEADDR (libuv does) can listen at it by its number. Returns a descriptor: it is held until that is closed. Aborts when there is
 * none. */
int port_hold(uint16_t *ret_port);

#endif
