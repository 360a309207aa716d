/* driver_impl.h: the state of a driver, shared by its files:
 *
 *      driver.c          steps, effects, life            driver_blocks.c    blocks of the height in work: held, executed, committed
 *      driver_peers.c    what peers send                 driver_late.c      precommits that came late, and drafts for proposers
 *      driver_recover.c  journal records, recovery */
#ifndef SB_NODE_DRIVER_IMPL_H
#define SB_NODE_DRIVER_IMPL_H

#include "base/util/log.h"
#include "node/driver.h"

enum sb_driver_record { SB_DRIVER_RECORD_INPUT = 16, SB_DRIVER_RECORD_BLOCK = 17 };

#define SB_DRIVER_BLOCKS_MAX    6
#define SB_DRIVER_QUESTIONS_MAX 24 /* more than the core asks about at a time */
#define SB_DRIVER_QUEUE_MAX     16
#define SB_DRIVER_TIMER_KINDS   3

/* A block of the height in work. */
struct sb_held_block {
    bool is_held;
    sb_hash block_id;
    uint8_t *bytes; /* owned */
    size_t len;
    uint64_t arrival;  /* counts up: the older of two */
    bool is_journaled; /* its bytes are in the journal */
    bool is_voted;     /* we have signed something that names it */
    bool is_judged;    /* verdict is known */
    struct sb_application_verdict verdict;
    struct sb_application_block *executed; /* owned; NULL unless judged valid in this life */
};

/* A VALIDATE that is not answered. */
struct sb_driver_question {
    sb_hash block_id;
    int32_t round;
    bool is_fetched; /* the peers were asked for the block */
};

struct sb_driver_timer {
    bool is_set;
    uint64_t height;
    int32_t round;
    uint64_t delay_ms;
};

/* Precommits of a committed height, one a validator, that may have come after the commit. */
struct sb_late_votes {
    uint64_t height; /* 0: none */
    bool has[SB_VALIDATORS_MAX];
    struct sb_vote votes[SB_VALIDATORS_MAX];
};

/* What one input of a peer brought about. */
struct sb_driver_outcome {
    bool changed;
    bool is_evidence;
};

struct sb_driver {
    struct sb_driver_options options;
    const struct sb_application *app;
    struct sb_journal *journal;
    struct sb_bft *core;
    sb_addr own_address;
    sb_err failed;
    struct sb_diag failure;

    bool is_started; /* a height is in work: head + 1 */
    struct sb_rotation
        rotation; /* of the core's height: the application's moves on with the head */
    bool
        is_rerun; /* the journal holds records of later heights than the one in work: the database was rolled back */
    bool is_replaying;
    int32_t round; /* of the last step, to count new ones */
    struct sb_driver_counters counters;
    uint64_t untimely_told_ms; /* wall clock, when the log last spoke of a wrong clock; 0: never */
    uint64_t stuck_height;     /* the last height of which the log said that it stands; 0: none */

    struct sb_bft_input queue[SB_DRIVER_QUEUE_MAX];
    size_t queue_count;
    bool has_signed; /* goes before the queue: the core waits for it */
    struct sb_bft_input signed_answer;

    bool
        is_owed; /* nothing was signed since this vote was refused, by a signer that keeps its own journal */
    struct sb_vote owed;

    struct sb_held_block blocks[SB_DRIVER_BLOCKS_MAX];
    uint64_t arrivals;
    bool
        is_prepared; /* a block was built before its height began: the answer to its first GET_VALUE */
    sb_hash prepared_id;
    bool
        is_certified; /* this block has a quorum of precommits, and its bytes are wanted by its id alone */
    sb_hash certified_id;
    struct sb_driver_question questions[SB_DRIVER_QUESTIONS_MAX];
    size_t question_count;

    uint64_t told_fork; /* the height that not_decided has told of; 0: none */
    bool has_undecided; /* a block waits that the application could not judge yet */
    bool is_deciding;   /* decided, and not yet committed */
    struct sb_commit decided;
    struct sb_commit_sig decided_sigs[SB_VALIDATORS_MAX];

    /* left open by the journal */
    bool open_sign, open_value;
    struct sb_bft_message to_sign;
    int32_t value_round;
    struct sb_driver_timer timers[SB_DRIVER_TIMER_KINDS];

    struct sb_late_votes late[2]; /* of height h at h % 2 */
    struct sb_arena arena;        /* of one call */
};

/* ---- driver.c ---- */
struct sb_bft_input sb_driver_input(enum sb_bft_input_type type);
void sb_driver_push(struct sb_driver *driver, const struct sb_bft_input *input);
/* sb_driver_step: one input; sb_driver_run_queue: all that wait. */
sb_err sb_driver_step(struct sb_driver *driver, const struct sb_bft_input *input,
                      struct sb_driver_outcome *ret_outcome, struct sb_diag *diag) SB_MUST_USE;
sb_err sb_driver_run_queue(struct sb_driver *driver, struct sb_diag *diag) SB_MUST_USE;
/* sb_driver_start_input: START_HEIGHT of head + 1, with the driver's own copy of its set. */
sb_err sb_driver_start_input(struct sb_bft_input *ret_input, struct sb_driver *driver,
                             struct sb_diag *diag) SB_MUST_USE;
sb_err sb_driver_sign(struct sb_driver *driver, const struct sb_bft_message *message,
                      struct sb_diag *diag) SB_MUST_USE;
/* sb_driver_note_refusal: of this message, now or in an earlier life. */
void sb_driver_note_refusal(struct sb_driver *driver, const struct sb_bft_message *message);
sb_err sb_driver_get_value(struct sb_driver *driver, struct sb_diag *diag) SB_MUST_USE;
/* sb_driver_enter, sb_driver_leave: around each public call: answer an earlier failure; note a new one. */
sb_err sb_driver_enter(struct sb_driver *driver, struct sb_diag *diag) SB_MUST_USE;
sb_err sb_driver_leave(struct sb_driver *driver, sb_err err, struct sb_diag *diag) SB_MUST_USE;
sb_err sb_driver_journal_fail(sb_err err, struct sb_diag *diag) SB_MUST_USE;

/* ---- driver_blocks.c ---- */
/* sb_driver_block_id: the hash of the header inside of an encoded block; the body is not looked at. */
sb_err sb_driver_block_id(sb_hash *ret_id, sb_bytes encoded) SB_MUST_USE;
struct sb_held_block *sb_driver_block_find(struct sb_driver *driver, const sb_hash *block_id);
/* sb_driver_block_hold: keep a copy of the bytes; another block may have to go. */
sb_err sb_driver_block_hold(struct sb_held_block **ret_block, struct sb_driver *driver,
                            const sb_hash *block_id, sb_bytes encoded,
                            struct sb_diag *diag) SB_MUST_USE;
void sb_driver_block_drop(struct sb_driver *driver, struct sb_held_block *block);
/* sb_driver_blocks_forget: all but the prepared one. */
void sb_driver_blocks_forget(struct sb_driver *driver);
sb_err sb_driver_block_journal(struct sb_driver *driver, uint64_t height,
                               struct sb_held_block *block) SB_MUST_USE;
/* sb_driver_ask: a VALIDATE: answered when the block is here and judged. sb_driver_answered: one that the journal answers. */
sb_err sb_driver_ask(struct sb_driver *driver, const sb_hash *block_id, int32_t round,
                     struct sb_diag *diag) SB_MUST_USE;
/* sb_driver_block_settle: judge a held block that nobody asks about (its verdict came from the journal), so that no bytes are kept under an
 * id that is not theirs. */
sb_err sb_driver_block_settle(struct sb_driver *driver, const sb_hash *block_id,
                              struct sb_diag *diag) SB_MUST_USE;
void sb_driver_answered(struct sb_driver *driver, const sb_hash *block_id);
/* sb_driver_answer_held: answer all questions whose blocks are here. */
sb_err sb_driver_answer_held(struct sb_driver *driver, struct sb_diag *diag) SB_MUST_USE;
/* sb_driver_fetch_certified: ask the peers for blocks that have a quorum of precommits and are not here. */
void sb_driver_fetch_certified(struct sb_driver *driver);
bool sb_driver_block_wanted(const struct sb_driver *driver, const sb_hash *block_id);
void sb_driver_note_decision(struct sb_driver *driver, const struct sb_commit *decided);
/* sb_driver_check_final: a block that more than two thirds precommitted: SB_E_CORRUPT when it is here and invalid. The core holds no
 * decision then, since it decides valid blocks only. */
sb_err sb_driver_check_final(struct sb_driver *driver, const sb_hash *block_id,
                             struct sb_diag *diag) SB_MUST_USE;
/* sb_driver_commit: commit the decided block, or ask for its bytes. */
sb_err sb_driver_commit(struct sb_driver *driver, struct sb_diag *diag) SB_MUST_USE;
/* sb_driver_committed: what follows a commit, of consensus or sync. */
sb_err sb_driver_committed(struct sb_driver *driver, const struct sb_commit *commit,
                           struct sb_diag *diag) SB_MUST_USE;

/* ---- driver_late.c ---- */
/* sb_driver_late_absorb: before a new height: the core's precommits of the height that it leaves. */
void sb_driver_late_absorb(struct sb_driver *driver);
/* sb_driver_late_add: a verified precommit of height head or head - 1, while the core is elsewhere. */
sb_err sb_driver_late_add(enum sb_driver_taken *ret_taken, struct sb_driver *driver,
                          const struct sb_vote *vote, struct sb_diag *diag) SB_MUST_USE;
/* sb_driver_draft: what a proposer adds; lists live in the driver's arena. */
sb_err sb_driver_draft(struct sb_application_draft *ret_draft, struct sb_driver *driver,
                       struct sb_diag *diag) SB_MUST_USE;

/* ---- driver_recover.c ---- */
/* sb_driver_tell_if_stuck: after a refused signature: the log says once a height, and what to do, when nobody else can decide it and the
 * journal signs nothing in it any more. */
void sb_driver_tell_if_stuck(struct sb_driver *driver, uint64_t height);
sb_err sb_driver_journal_input(struct sb_driver *driver,
                               const struct sb_bft_input *input) SB_MUST_USE;
sb_err sb_driver_recover(struct sb_driver *driver, struct sb_diag *diag) SB_MUST_USE;
/* sb_driver_check_commit: SB_E_CORRUPT when the commit holds our signature of a place after all that the journal knows. Its height is one
 * of the application's rotations. */
sb_err sb_driver_check_commit(const struct sb_driver *driver, const struct sb_commit *commit,
                              struct sb_diag *diag) SB_MUST_USE;
/* sb_driver_rerun: replay the journal's records of height head + 1, if there are any: then it is started, and open questions are left. */
sb_err sb_driver_rerun(struct sb_driver *driver, struct sb_diag *diag) SB_MUST_USE;

#endif
