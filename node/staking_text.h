/* staking_text.h: coins, shares of a whole, times, and what the contracts of staking say, as people read them.
 *
 *     1500000000000000000            1.5
 *     250                            2.5 %
 *     1795000000                     2026-11-18 11:06:40 UTC (in 3 days)
 *     revert data of StillJailed     StillJailed: the time in jail is not over: it ends ... */
#ifndef SB_NODE_STAKING_TEXT_H
#define SB_NODE_STAKING_TEXT_H

#include <jansson.h>

#include "base/num/u256.h"
#include "base/util/buf.h"
#include "node/rpc_client.h"

/* sb_text_coins: wei as coins, exactly. */
void sb_text_coins(struct sb_buf *out, const sb_u256 *wei);
/* sb_text_coins_short: at most six decimals, rounded down; "<0.000001" for less, but not nothing. */
void sb_text_coins_short(struct sb_buf *out, const sb_u256 *wei);
/* sb_text_percent: bps in 1/10000. */
void sb_text_percent(struct sb_buf *out, uint64_t bps);
/* sb_text_percent_parse: "2.5" or "2.5%" as 250. SB_E_SYNTAX (also for more than two decimals), SB_E_RANGE over 100. */
sb_err sb_text_percent_parse(uint64_t *ret_bps, const char *text, const char *option,
                             struct sb_diag *diag) SB_MUST_USE;
/* sb_text_time: Unix seconds as a date, and how far that is from now: "in 3 days", "2 hours ago". 2^64 - 1 is "never". */
void sb_text_time(struct sb_buf *out, uint64_t seconds, uint64_t now);
/* sb_text_duration: "21 days", "90 seconds": rounded to the unit of which there are at least two. */
void sb_text_duration(struct sb_buf *out, uint64_t seconds);

/* sb_text_staking_revert: "Name: sentence" for an error of the contracts of staking; false, and nothing appended, for other data. */
bool sb_text_staking_revert(struct sb_buf *out, sb_bytes data, uint64_t now);
/* sb_text_staking_log: a sentence for an event of theirs; false, and nothing appended, for another log. */
bool sb_text_staking_log(struct sb_buf *out, const json_t *log, uint64_t now);
/* sb_staking_log_json: {"event": name, "args": [...]} for such a log; NULL for another. Owned by the caller. */
json_t *sb_staking_log_json(const json_t *log);

/* sb_staking_explain: sb_artifact_explain for a call to these contracts. */
sb_err sb_staking_explain(const struct sb_rpc_client *client, sb_err err, uint64_t now,
                          struct sb_diag *diag) SB_MUST_USE;

#endif
