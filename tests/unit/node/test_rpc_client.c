/* test_rpc_client.c: node/rpc_client.h against the real server with a fixed chain behind it: addresses, answers, errors, no answer. */
#include "node/rpc_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/server.h"
#include "tests/support/fake_backend.h"

struct fixture {
    struct fake_backend *fake;
    struct sb_rpc_server *server;
    char url[64];
};

static int setup(void **state)
{
    static struct fixture f;
    struct sb_rpc_options options = {.port = 0};
    struct sb_diag diag = {.text = ""};
    f.fake = fake_backend_new();
    struct sb_rpc_backend backend = fake_backend_table(f.fake);
    if (sb_rpc_server_new(&f.server, &backend, &options, &diag) != SB_OK ||
        sb_rpc_server_start(f.server, &diag) != SB_OK) {
        return -1;
    }
    (void)snprintf(f.url, sizeof f.url, "http://127.0.0.1:%u", sb_rpc_server_port(f.server));
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    sb_rpc_server_free(f->server);
    fake_backend_free(f->fake);
    return 0;
}

static void url_is_taken_apart_or_refused(void **state)
{
    (void)state;
    static const char *const k_bad[] = {"",        "127.0.0.1:8545", "https://x:1",
                                        "http://", "http://:8545",   "http://h:1234567890",
                                        "http:/x", "http://h:1/a b", "http://h\r\nX: y:1/"};
    struct sb_rpc_client client;
    struct sb_diag diag = {.text = ""};
    assert_int_equal(sb_rpc_client_init(&client, "http://localhost:8545/key/abc", &diag), SB_OK);
    assert_string_equal(client.host, "localhost");
    assert_string_equal(client.port, "8545");
    assert_string_equal(client.path, "/key/abc");
    assert_int_equal(sb_rpc_client_init(&client, "http://example.org", &diag), SB_OK);
    assert_string_equal(client.port, "80");
    assert_string_equal(client.path, "/");
    assert_int_equal(sb_rpc_client_init(&client, "http://[::1]:8545", &diag), SB_OK);
    assert_string_equal(client.host, "::1");
    assert_string_equal(client.port, "8545");
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        assert_int_equal(sb_rpc_client_init(&client, k_bad[i], &diag), SB_E_SYNTAX);
    }
}

static void quantities_and_errors_of_the_server_arrive(void **state)
{
    const struct fixture *f = *state;
    struct sb_rpc_client client;
    struct sb_diag diag = {.text = ""};
    uint64_t chain_id = 0;
    json_t *result = NULL;
    assert_int_equal(sb_rpc_client_init(&client, f->url, &diag), SB_OK);
    assert_int_equal(sb_rpc_client_u64(&chain_id, &client, "eth_chainId", NULL, &diag), SB_OK);
    assert_true(chain_id > 0);
    assert_int_equal(sb_rpc_client_call(&result, &client, "eth_noSuch", NULL, &diag), SB_E_ARG);
    assert_int_equal(client.error_code, -32601);
    assert_non_null(strstr(diag.text, "eth_noSuch"));
    assert_null(result);
    assert_int_equal(sb_rpc_client_u64(&chain_id, &client, "web3_clientVersion", NULL, &diag),
                     SB_E_SYNTAX);
    assert_int_equal(client.error_code, 0);
}

static void nobody_listening_is_an_error(void **state)
{
    (void)state;
    struct sb_rpc_client client;
    struct sb_diag diag = {.text = ""};
    json_t *result = NULL;
    assert_int_equal(sb_rpc_client_init(&client, "http://127.0.0.1:1", &diag), SB_OK);
    assert_int_equal(sb_rpc_client_call(&result, &client, "eth_chainId", NULL, &diag), SB_E_IO);
    assert_non_null(strstr(diag.text, "cannot connect"));
}

static void hexadecimal_of_json_is_read_strictly(void **state)
{
    (void)state;
    static const char *const k_bad[] = {"", "0", "0x0", "12", "0xzz"};
    struct sb_buf out;
    sb_buf_init(&out, 64);
    json_t *good = json_string("0x00ff");
    assert_int_equal(sb_json_read_data(&out, good), SB_OK);
    assert_int_equal(out.len, 2);
    json_decref(good);
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        json_t *bad = json_string(k_bad[i]);
        assert_int_not_equal(sb_json_read_data(&out, bad), SB_OK);
        assert_int_equal(out.len, 2);
        json_decref(bad);
    }
    assert_int_equal(sb_json_read_data(&out, NULL), SB_E_TYPE);
    sb_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(url_is_taken_apart_or_refused),
        cmocka_unit_test(quantities_and_errors_of_the_server_arrive),
        cmocka_unit_test(nobody_listening_is_an_error),
        cmocka_unit_test(hexadecimal_of_json_is_read_strictly),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
