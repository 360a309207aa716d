/* process.c: see process.h. */
#include "tests/support/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/util/assert.h"

#define LOG_BYTES_MAX  65536
#define LOG_LINES      12
#define LOOK_US        2000
#define LISTENING_TEXT "Listening on http://"

uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void sleep_us(uint64_t us)
{
    struct timespec left = {.tv_sec = (time_t)(us / 1000000),
                            .tv_nsec = (long)(us % 1000000) * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

pid_t process_start(char *const *argv, char *const *env, const char *log_path)
{
    (void)fflush(stdout);
    (void)unlink(log_path); /* what an earlier process said is not this one's */
    pid_t parent = getpid();
    pid_t pid = fork();
    SB_ASSERT(pid >= 0);
    if (pid != 0) {
        return pid;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int in = open("/dev/null", O_RDONLY);
    if (log < 0 || in < 0 || getppid() != parent || dup2(in, 0) < 0 || dup2(log, 1) < 0 ||
        dup2(log, 2) < 0) {
        _exit(126);
    }
    for (size_t i = 0; env != NULL && env[i] != NULL; i++) {
        (void)putenv(env[i]);
    }
    (void)execv(argv[0], argv);
    (void)dprintf(2, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int process_wait(pid_t pid, uint64_t timeout_ms)
{
    uint64_t end = now_ms() + timeout_ms;
    for (;;) {
        int status;
        pid_t got = waitpid(pid, &status, WNOHANG);
        SB_ASSERT(got >= 0);
        if (got == pid) {
            return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
        }
        if (now_ms() >= end) {
            return PROCESS_TIMEOUT;
        }
        sleep_us(LOOK_US);
    }
}

int process_run(char *const *argv, const char *log_path, uint64_t timeout_ms)
{
    pid_t pid = process_start(argv, NULL, log_path);
    int status = process_wait(pid, timeout_ms);
    if (status == PROCESS_TIMEOUT) {
        (void)kill(pid, SIGKILL);
        (void)process_wait(pid, UINT32_MAX);
    }
    return status;
}

/* read_log: the end of a log, terminated. */
static void read_log(char ret[LOG_BYTES_MAX], const char *path)
{
    size_t len = 0;
    FILE *file = fopen(path, "rb");
    if (file != NULL) {
        (void)fseek(file, 0, SEEK_END);
        long size = ftell(file);
        (void)fseek(file, size > LOG_BYTES_MAX - 1 ? size - (LOG_BYTES_MAX - 1) : 0, SEEK_SET);
        len = fread(ret, 1, LOG_BYTES_MAX - 1, file);
        (void)fclose(file);
    }
    ret[len] = '\0';
}

/* port_in: of the line that tells where the process listens; false: it is not there yet. */
static bool port_in(uint16_t *ret_port, const char *text)
{
    const char *at = strstr(text, LISTENING_TEXT);
    const char *line_end = at != NULL ? strchr(at, '\n') : NULL;
    if (line_end == NULL) {
        return false;
    }
    const char *colon = strchr(at + strlen(LISTENING_TEXT), ':');
    *ret_port =
        colon != NULL && colon < line_end ? (uint16_t)strtoul(colon + 1, NULL, 10) : (uint16_t)0;
    return true;
}

uint16_t process_wait_listening(pid_t pid, const char *log_path, uint64_t timeout_ms)
{
    uint64_t end = now_ms() + timeout_ms;
    char *text = malloc(LOG_BYTES_MAX); /* several threads start processes */
    uint16_t port = 0;
    bool is_over = false;
    SB_ASSERT(text != NULL);
    while (!is_over && now_ms() < end) {
        siginfo_t info = {0};
        int ended = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
        read_log(text, log_path);
        is_over = port_in(&port, text) || ended != 0 || info.si_pid == pid;
        if (!is_over) {
            sleep_us(LOOK_US);
        }
    }
    free(text);
    return port;
}

void process_print_log(const char *log_path)
{
    static char text[LOG_BYTES_MAX];
    read_log(text, log_path);
    const char *from = text + strlen(text);
    for (int lines = 0; from > text; from--) {
        if (from[-1] == '\n' && lines++ == LOG_LINES) {
            break;
        }
    }
    while (*from != '\0') {
        size_t len = strcspn(from, "\n");
        printf("    %.*s\n", (int)len, from);
        from += len + (from[len] == '\n');
    }
}

void process_sibling(char ret[PROCESS_PATH_BYTES], const char *name)
{
    char self[PROCESS_PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    SB_ASSERT(len > 0);
    self[len] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(self, '/');
        SB_ASSERT(slash != NULL);
        *slash = '\0';
    }
    int written = snprintf(ret, PROCESS_PATH_BYTES, "%s/%s", self, name);
    SB_ASSERT(written > 0 && written < PROCESS_PATH_BYTES);
}
