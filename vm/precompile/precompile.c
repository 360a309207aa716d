/* precompile.c: the table of precompiles.def, searched by address; see precompile.h. */
#include "vm/precompile/precompile.h"

#include "base/util/endian.h"
#include "vm/precompile/functions.h"

enum scope { ANY, SAMEBIT };

struct entry {
    uint16_t addr_low;
    enum sb_revision since;
    enum scope scope;
    sb_precompile_fn function;
};

static const struct entry k_entries[] = {
#define SB_PRECOMPILE(addr, revision, profile, function)                                           \
    {addr, SB_REV_##revision, profile, sb_precompile_##function},
#include "vm/precompile/precompiles.def"
#undef SB_PRECOMPILE
};

#define ENTRY_COUNT     (sizeof k_entries / sizeof k_entries[0])
#define ADDR_HIGH_BYTES (sizeof(sb_addr) - sizeof(uint16_t))

static bool is_active(const struct entry *entry, const struct sb_rules *rules)
{
    return rules->revision >= entry->since &&
           (entry->scope == ANY || rules->profile == SB_PROFILE_SAMEBIT);
}

static sb_precompile_fn find_in_table(const struct sb_rules *rules, const sb_addr *addr)
{
    static const uint8_t zeros[ADDR_HIGH_BYTES];
    if (memcmp(addr->b, zeros, sizeof zeros) != 0) {
        return NULL;
    }
    uint16_t low = be_load16(addr->b + ADDR_HIGH_BYTES);
    for (size_t i = 0; i < ENTRY_COUNT; i++) {
        if (k_entries[i].addr_low == low) {
            return is_active(&k_entries[i], rules) ? k_entries[i].function : NULL;
        }
    }
    return NULL;
}

sb_precompile_fn sb_precompile_find(const struct sb_rules *rules, const sb_addr *addr)
{
    size_t count = rules->moves != NULL ? rules->moves->count : 0;
    for (size_t i = count; i > 0; i--) {
        const struct sb_precompile_move *move = &rules->moves->list[i - 1];
        if (sb_addr_equal(&move->at, addr)) {
            return move->is_plain ? NULL : find_in_table(rules, &move->from);
        }
    }
    return find_in_table(rules, addr);
}

void sb_precompile_each(const struct sb_rules *rules, void (*visit)(void *ctx, const sb_addr *addr),
                        void *ctx)
{
    for (size_t i = 0; i < ENTRY_COUNT; i++) {
        if (is_active(&k_entries[i], rules)) {
            sb_addr addr = {{0}};
            be_store16(addr.b + ADDR_HIGH_BYTES, k_entries[i].addr_low);
            visit(ctx, &addr);
        }
    }
}

sb_err sb_precompile_missing(struct sb_precompile_result *ret_result,
                             const struct sb_precompile_call *call)
{
    *ret_result = (struct sb_precompile_result){.outcome = SB_PRECOMPILE_MISSING,
                                                .gas_used = call->message->gas};
    return SB_OK;
}
