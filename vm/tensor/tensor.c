/* tensor.c: facts about element types and shapes; see tensor.h. */
#include "vm/tensor/tensor.h"

struct dtype_facts {
    const char *name;
    uint32_t bytes;
    int64_t min;
    int64_t max;
};

static const struct dtype_facts k_dtypes[SB_DTYPE_COUNT] = {
    [SB_DTYPE_NONE] = {"?", 0, 0, 0},
    [SB_DTYPE_I8] = {"i8", 1, INT8_MIN, INT8_MAX},
    [SB_DTYPE_U8] = {"u8", 1, 0, UINT8_MAX},
    [SB_DTYPE_I16] = {"i16", 2, INT16_MIN, INT16_MAX},
    [SB_DTYPE_U16] = {"u16", 2, 0, UINT16_MAX},
    [SB_DTYPE_I32] = {"i32", 4, INT32_MIN, INT32_MAX},
    [SB_DTYPE_I64] = {"i64", 8, INT64_MIN, INT64_MAX},
    [SB_DTYPE_BOOL] = {"bool", 1, 0, 1},
};

static const struct dtype_facts *facts_of(enum sb_dtype dtype)
{
    return &k_dtypes[(unsigned)dtype < SB_DTYPE_COUNT ? dtype : SB_DTYPE_NONE];
}

uint32_t sb_dtype_bytes(enum sb_dtype dtype)
{
    return facts_of(dtype)->bytes;
}

const char *sb_dtype_name(enum sb_dtype dtype)
{
    return facts_of(dtype)->name;
}

int64_t sb_dtype_min(enum sb_dtype dtype)
{
    return facts_of(dtype)->min;
}

int64_t sb_dtype_max(enum sb_dtype dtype)
{
    return facts_of(dtype)->max;
}

uint64_t sb_shape_count(const struct sb_shape *shape)
{
    uint64_t count = 1;
    for (uint32_t i = 0; i < shape->rank; i++) {
        count *= shape->dims[i];
    }
    return count;
}

bool sb_shape_equal(const struct sb_shape *a, const struct sb_shape *b)
{
    if (a->rank != b->rank) {
        return false;
    }
    for (uint32_t i = 0; i < a->rank; i++) {
        if (a->dims[i] != b->dims[i]) {
            return false;
        }
    }
    return true;
}
