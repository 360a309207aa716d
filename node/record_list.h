/* record_list.h: the records that a block will change, gathered by those who own them and written with the block (storage/store.h). */
#ifndef SB_NODE_RECORD_LIST_H
#define SB_NODE_RECORD_LIST_H

#include "storage/store.h"

struct sb_record_list {
    struct sb_arena *arena; /* keys and values are copied into it */
    struct sb_store_record *items;
    size_t count, capacity;
};

/* sb_record_list_put: one more record; each key at most once in a list. SB_E_NOMEM. */
sb_err sb_record_list_put(struct sb_record_list *list, sb_bytes key, sb_bytes value) SB_MUST_USE;
/* sb_record_list_remove: the record of this key goes. */
sb_err sb_record_list_remove(struct sb_record_list *list, sb_bytes key) SB_MUST_USE;

#endif
