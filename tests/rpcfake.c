/* rpcfake.c: serves the fake chain of tests/support/fake_backend.h on a port, so that client suites can be pointed at the server alone.
 *
 *     rpcfake PORT      prints the port and runs until SIGTERM or SIGINT */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rpc/server.h"
#include "tests/support/fake_backend.h"

int main(int argc, char **argv)
{
    struct sb_rpc_options options = {.port = 0};
    struct sb_rpc_server *server = NULL;
    struct sb_diag diag = {.text = ""};
    int sig = 0;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: rpcfake PORT\n");
        return 2;
    }
    options.port = (uint16_t)strtoul(argv[1], NULL, 10);
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    struct fake_backend *fake = fake_backend_new();
    struct sb_rpc_backend backend = fake_backend_table(fake);
    if (sb_rpc_server_new(&server, &backend, &options, &diag) != SB_OK ||
        sb_rpc_server_start(server, &diag) != SB_OK) {
        (void)fprintf(stderr, "rpcfake: %s\n", diag.text);
        sb_rpc_server_free(server);
        fake_backend_free(fake);
        return 1;
    }
    (void)printf("listening on port %u\n", sb_rpc_server_port(server));
    (void)fflush(stdout);
    (void)sigwait(&set, &sig);
    sb_rpc_server_free(server);
    fake_backend_free(fake);
    return 0;
}
