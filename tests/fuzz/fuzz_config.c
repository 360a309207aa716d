/* fuzz_config.c: any config.json that is accepted is within its bounds, and what is written from it is accepted as the same settings. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/config.h"

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sb_config config;
    static struct sb_config back;
    struct sb_diag diag = {.text = ""};
    sb_config_default(&config);
    if (sb_config_parse(&config, sb_span(data, size), &diag) != SB_OK) {
        require(diag.text[0] != '\0');
        return 0;
    }
    require(config.port <= UINT16_MAX && config.rpc_workers >= 2);
    struct sb_buf text;
    sb_buf_init(&text, SB_CONFIG_FILE_BYTES_MAX);
    sb_config_emit(&text, &config);
    sb_config_default(&back);
    require(sb_config_parse(&back, sb_buf_bytes(&text), &diag) == SB_OK);
    require(memcmp(&config, &back, sizeof config) == 0);
    sb_buf_fini(&text);
    return 0;
}
