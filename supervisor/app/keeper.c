#include "app/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/slice.h"

enum {
    ENVIRON_MAX = 1 << 20,
    PAUSE_MS = 20,
    CLEAN_SWEEPS = 3, /* in a row: then nothing is left */
    SWEEPS_MAX = 250, /* about five seconds */
    DETACHED_FD = 3,
};

/* -------------------------------------------------------------------- sweep */

static bool carries(long pid, const char *entry, char *text)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t len = 0;
    ssize_t n;
    while (len < ENVIRON_MAX && (n = read(fd, text + len, ENVIRON_MAX - len)) > 0)
        len += (size_t)n;
    close(fd);
    return memmem(text, len, entry, strlen(entry) + 1) != NULL;
}

/* Kills what carries the entry; how many there were. */
static unsigned sweep(const char *entry, char *text)
{
    DIR *proc = opendir("/proc");
    if (!proc)
        return 0;
    unsigned found = 0;
    for (struct dirent *at; (at = readdir(proc));) {
        uint64_t pid;
        if (!slice_to_u64(slice_of(at->d_name), INT32_MAX, &pid) || (pid_t)pid == getpid())
            continue;
        if (carries((long)pid, entry, text)) {
            kill((pid_t)pid, SIGKILL);
            found++;
        }
    }
    closedir(proc);
    return found;
}

static void wait_for_end(void)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR)
        continue;
}

int keeper_main(int argc, char **argv)
{
    if (argc < 1)
        return 2;
    wait_for_end();
    char *text = xmalloc(ENVIRON_MAX);
    char *entry = xasprintf("NODEY_RUN=%s", argv[0]);
    unsigned clean = 0;
    for (unsigned i = 0; i < SWEEPS_MAX && clean < CLEAN_SWEEPS; i++) {
        clean = sweep(entry, text) ? 0 : clean + 1;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    }
    xfree(entry);
    xfree(text);
    return 0;
}

/* -------------------------------------------------------------------- start */

/* In the keeper-to-be: nothing of nodey's but the pipe that ends with it. */
static void become_keeper(int read_end, const char *run)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        signal(ignored[i], SIG_IGN);
    setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (dup2(read_end, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(null, STDERR_FILENO) < 0)
        _exit(1);
    const char *argv[] = {"nodey", KEEPER_VERB, run, NULL};
    char *env[] = {NULL};
    close_range(DETACHED_FD, ~0U, 0);
    execve("/proc/self/exe", (char *const *)argv, env);
    _exit(1);
}

/* Forked twice: it is nobody's child whose end nodey would have to watch for. */
void keeper_start(const char *run)
{
    int ends[2];
    if (getpid() == 1 || pipe2(ends, O_CLOEXEC)) /* all processes end with process 1 anyway */
        return;
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() == 0)
            become_keeper(ends[0], run);
        _exit(0);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
    close(ends[0]); /* the other end stays open as long as nodey lives */
}
