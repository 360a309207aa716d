/* assert.h: assertions that stay on in every build.
 *
 * SB_ASSERT is for bugs only: a condition that the code itself guarantees. It is never used on bytes from a peer, a user or a disk
 * (those give an sb_err). A node that stops is better than a node that disagrees. */
#ifndef SB_BASE_UTIL_ASSERT_H
#define SB_BASE_UTIL_ASSERT_H

/* sb_assert_fail: print "file:line: function: assertion failed: condition" on standard error and abort. */
_Noreturn void sb_assert_fail(const char *condition, const char *file, int line,
                              const char *function);

/* SB_ASSERT: abort, in every build, unless cond holds. */
#define SB_ASSERT(cond) ((cond) ? (void)0 : sb_assert_fail(#cond, __FILE__, __LINE__, __func__))
/* SB_UNREACHABLE: abort where control cannot come. */
#define SB_UNREACHABLE() sb_assert_fail("unreachable", __FILE__, __LINE__, __func__)
/* SB_STATIC_ASSERT: fail to compile, with text, unless cond holds. */
#define SB_STATIC_ASSERT(cond, text) _Static_assert(cond, text)

#endif
