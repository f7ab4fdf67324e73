#include "config/node.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 2000 };

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Its output goes to `out`, all else to nowhere.  The pid, or -1. */
static pid_t start(const char *program, int out)
{
    char *argv[] = {(char *)program, (char *)"--version", NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&pid, program, &actions, NULL, argv, environ))
        pid = -1;
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

/* Until its end, the limit of time, or that of `size`. */
static void read_text(int fd, char *text, size_t size)
{
    int64_t end = now_ms() + PATIENCE_MS, left;
    size_t len = 0;
    while (len + 1 < size && (left = end - now_ms()) > 0) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, (int)left) <= 0)
            continue;
        ssize_t n = read(fd, text + len, size - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    text[len] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
}

void node_version_ask(struct node_version *v, const char *program)
{
    int fds[2];
    if (v->asked)
        return;
    *v = (struct node_version){.asked = true};
    if (pipe2(fds, O_CLOEXEC) < 0)
        return;
    pid_t pid = start(program, fds[1]);
    close(fds[1]);
    if (pid > 0) {
        read_text(fds[0], v->text, sizeof(v->text));
        kill(pid, SIGKILL); /* it has said what it had to say, or is late */
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    close(fds[0]);
    if (sscanf(v->text, "v%u.%u", &v->major, &v->minor) != 2)
        *v = (struct node_version){.asked = true};
}

enum node_types node_types(const struct node_version *v)
{
    unsigned version = v->major * 1000 + v->minor;
    if (v->major == 0)
        return NODE_TYPES_STRIPPED;
    if (version < 22006)
        return NODE_TYPES_NEVER;
    return version < 22018 || (v->major == 23 && v->minor < 6) ? NODE_TYPES_FLAG
                                                               : NODE_TYPES_STRIPPED;
}
