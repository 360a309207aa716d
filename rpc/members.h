/* members.h: one member of a JSON object: its name and its value. */
#ifndef SB_RPC_MEMBERS_H
#define SB_RPC_MEMBERS_H

#include "base/codec/json_writer.h"

static inline void put_text(struct sb_json *out, const char *name, const char *text)
{
    sb_json_key(out, name);
    sb_json_str(out, text);
}

static inline void put_quantity(struct sb_json *out, const char *name, uint64_t value)
{
    sb_json_key(out, name);
    sb_json_quantity_u64(out, value);
}

#endif
