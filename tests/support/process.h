/* process.h: the program under test as a process of its own: started, waited for, killed.
 *
 * Output of a process, stdout and stderr together, goes to a log file: the listening address is read from it, and it is what a failure
 * shows. No process outlives its parent. */
#ifndef SB_TESTS_SUPPORT_PROCESS_H
#define SB_TESTS_SUPPORT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_PATH_BYTES 1024

/* process_start: run argv[0] with argv; env is NULL or "NAME=VALUE" texts that are added, NULL-terminated. Aborts when it cannot fork. */
pid_t process_start(char *const *argv, char *const *env, const char *log_path);

/* process_wait: how it ended: the exit status, or -signal; PROCESS_TIMEOUT when it has not within timeout_ms (it goes on). */
#define PROCESS_TIMEOUT (-1000)
int process_wait(pid_t pid, uint64_t timeout_ms);

/* process_run: start, wait, and kill after timeout_ms. Results as process_wait. */
int process_run(char *const *argv, const char *log_path, uint64_t timeout_ms);

/* process_wait_listening: until the log says "Listening on http://HOST:PORT". Returns the port; 0 when the process has ended (it is not
 * reaped) or the time is over. */
uint16_t process_wait_listening(pid_t pid, const char *log_path, uint64_t timeout_ms);

/* process_print_log: the last lines of a log to stdout, indented. */
void process_print_log(const char *log_path);

/* process_sibling: path of a program in the build folder above this program's own folder ("samebit"). */
void process_sibling(char ret[PROCESS_PATH_BYTES], const char *name);

/* now_ms: a clock that only moves on. sleep_us: of any length. */
uint64_t now_ms(void);
void sleep_us(uint64_t us);

#endif
