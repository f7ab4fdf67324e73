#include "loop/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/json.h"

/* The child on its way. */
struct shim {
    pid_t parent;
    bool plain;
};

/* ------------------------------------------------------------- the parent's side */

enum { OPTIONS_MAX = 16, PROTOCOL_FD = 3 };

/* In the order of confine.h, which is the order in which the child does them. */
static size_t write_options(char **at, const struct confine *c)
{
    char **begin = at;
    if (c->plain)
        *at++ = xstrdup("--plain");
    if (c->cgroup)
        *at++ = xasprintf("--cgroup=%s", c->cgroup);
    if (c->nofile)
        *at++ = xasprintf("--nofile=%llu", (unsigned long long)c->nofile);
    if (c->nproc)
        *at++ = xasprintf("--nproc=%llu", (unsigned long long)c->nproc);
    if (c->data)
        *at++ = xasprintf("--data=%llu", (unsigned long long)c->data);
    *at++ = xasprintf("--core=%llu", (unsigned long long)c->core);
    if (c->nice)
        *at++ = xasprintf("--nice=%d", c->nice);
    if (c->oom_score_adj)
        *at++ = xasprintf("--oom-score-adj=%d", c->oom_score_adj);
    if (c->has_user)
        *at++ = xasprintf("--user=%llu:%llu:%s", (unsigned long long)c->uid,
                          (unsigned long long)c->gid, c->user ? c->user : "");
    if (c->no_new_privileges)
        *at++ = xstrdup("--no-new-privileges");
    return (size_t)(at - begin);
}

char **shim_command(pid_t parent, const struct confine *confine, const char *cwd,
                    const char *const *argv)
{
    size_t n = 0;
    while (argv[n])
        n++;
    char **all = xcalloc(n + OPTIONS_MAX + 5, sizeof(*all)), **at = all;
    *at++ = xstrdup("nodey");
    *at++ = xstrdup(SHIM_VERB);
    *at++ = xasprintf("%ld", (long)parent);
    at += write_options(at, confine);
    *at++ = xstrdup(cwd);
    for (size_t i = 0; i < n; i++)
        *at++ = xstrdup(argv[i]);
    return all;
}

void shim_command_free(char **argv)
{
    for (char **at = argv; *at; at++)
        xfree(*at);
    xfree(argv);
}

/* ---------------------------------------------------------------------- refusing */

/*
 * What to do about a program that is not found, or not allowed: for what nodey itself
 * chose to run scripts with a person may not know what is missing.
 */
static const char *cure(const char *program, int why)
{
    bool is_there = strchr(program, '/') && access(program, F_OK) == 0;
    if (why == EAGAIN)
        return ". Its user has as many processes as its limit (pids) allows";
    if (is_there && why == EACCES)
        return ". Make it executable: chmod +x";
    if (is_there && why == ENOENT)
        return ". The file is there, but not the interpreter that its first line (#!) names";
    if (why != ENOENT)
        return "";
    if (strcmp(program, "node") == 0)
        return ". Node is not installed, or not in PATH. run: apt-get install nodejs";
    if (strcmp(program, "python3") == 0)
        return ". Python is not installed, or not in PATH. run: apt-get install python3";
    return "";
}

/* The worker protocol's way to say why a worker could not start, or plain words. */
static int refuse(const struct shim *shim, const char *what, const char *name, int why,
                  const char *advice)
{
    struct buf text = {0}, line = {0};
    buf_addf(&text, "cannot %s %s: %s%s", what, name, strerror(why), advice);
    if (shim->plain) {
        buf_addf(&line, "nodey: %s\n", buf_cstr(&text));
    } else {
        buf_adds(
            &line,
            "{\"type\":\"error\",\"id\":null,\"code\":\"failed_precondition\",\"message\":");
        json_write(&line, buf_slice(&text));
        buf_adds(&line, "}\n");
    }
    /* If nobody is left to be told, the status has to do. */
    IGNORE(write(shim->plain ? STDERR_FILENO : STDOUT_FILENO, line.ptr, line.len) < 0);
    buf_deinit(&text);
    buf_deinit(&line);
    return SHIM_CANNOT_RUN;
}

/* --------------------------------------------------------------------- confining */

/* Each arranges one thing and returns 0, or refuses. */

static int be_plain(struct shim *shim, const char *value)
{
    (void)value;
    shim->plain = true;
    return 0;
}

static int join_cgroup(struct shim *shim, const char *value)
{
    char *path = xasprintf("%s/cgroup.procs", value);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t written = fd < 0 ? -1 : write(fd, "0", 1);
    int why = errno;
    xfree(path);
    if (fd >= 0)
        close(fd);
    return written < 0 ? refuse(shim, "join the cgroup", value, why, "") : 0;
}

/* Exactly this many, as it was asked for. */
static int limit_exactly(struct shim *shim, int resource, const char *value, const char *what)
{
    rlim_t most = strtoull(value, NULL, 10);
    if (setrlimit(resource, &(struct rlimit){most, most}) == 0)
        return 0;
    return refuse(shim, what, value, errno, ": nodey's own hard limit is lower; see ulimit -H");
}

/* A backstop: a lower limit, that is there already, does as well. */
static int limit_at_most(struct shim *shim, int resource, const char *value, const char *what)
{
    struct rlimit now;
    rlim_t most = strtoull(value, NULL, 10);
    if (getrlimit(resource, &now) == 0 && now.rlim_max < most)
        most = now.rlim_max;
    if (setrlimit(resource, &(struct rlimit){most, most}) == 0)
        return 0;
    return refuse(shim, what, value, errno, "");
}

static int limit_files(struct shim *shim, const char *value)
{
    return limit_exactly(shim, RLIMIT_NOFILE, value, "limit its open files to");
}

static int limit_core(struct shim *shim, const char *value)
{
    return limit_exactly(shim, RLIMIT_CORE, value, "set the size of its core files to");
}

static int limit_processes(struct shim *shim, const char *value)
{
    return limit_at_most(shim, RLIMIT_NPROC, value, "limit its processes to");
}

static int limit_data(struct shim *shim, const char *value)
{
    return limit_at_most(shim, RLIMIT_DATA, value, "limit its memory to");
}

static int be_nice(struct shim *shim, const char *value)
{
    errno = 0;
    int now = getpriority(PRIO_PROCESS, 0);
    if (errno || setpriority(PRIO_PROCESS, 0, now + atoi(value)))
        return refuse(shim, "lower its priority by", value, errno, "");
    return 0;
}

/* Nobody asked for it: where /proc cannot be written to, it is as before. */
static int die_first(struct shim *shim, const char *value)
{
    (void)shim;
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    IGNORE(write(fd, value, strlen(value)) < 0);
    close(fd);
    return 0;
}

/* It died before or while this was arranged: nothing is started for nobody. */
static bool is_orphaned(const struct shim *shim)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return getppid() != shim->parent;
}

/* "1000:100:name".  The order matters: without the user's rights no group can be changed. */
static int become_user(struct shim *shim, const char *value)
{
    char *at;
    uid_t uid = (uid_t)strtoul(value, &at, 10);
    gid_t gid = (gid_t)strtoul(at + 1, &at, 10);
    const char *name = at + 1;
    if (geteuid() == uid && getegid() == gid && uid != 0)
        return 0; /* it is, and may not say so again */
    int rc = *name ? initgroups(name, gid) : setgroups(1, &gid);
    if (rc || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
        return refuse(shim, "become user", *name ? name : value, errno,
                      geteuid() ? ": for that nodey itself must run as root" : "");
    /* The change of the user has undone this. */
    return is_orphaned(shim) ? SHIM_CANNOT_RUN : 0;
}

static int gain_nothing(struct shim *shim, const char *value)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return refuse(shim, "set", "no_new_privileges", errno, value);
    return 0;
}

static const struct {
    const char *name;
    int (*arrange)(struct shim *, const char *value);
} options[] = {
    {"plain", be_plain},     {"cgroup", join_cgroup},
    {"nofile", limit_files}, {"nproc", limit_processes},
    {"data", limit_data},    {"core", limit_core},
    {"nice", be_nice},       {"oom-score-adj", die_first},
    {"user", become_user},   {"no-new-privileges", gain_nothing},
};

static int arrange(struct shim *shim, const char *option)
{
    size_t len = strcspn(option, "=");
    const char *value = option[len] ? option + len + 1 : "";
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (strlen(options[i].name) == len && memcmp(options[i].name, option, len) == 0)
            return options[i].arrange(shim, value);
    return refuse(shim, "arrange", option, EINVAL, "");
}

/* ------------------------------------------------------------------------ becoming */

/* Ignored signals and masks survive exec; a child starts with the defaults. */
static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int sig = 1; sig < NSIG; sig++)
        if (sig != SIGKILL && sig != SIGSTOP)
            signal(sig, SIG_DFL);
    /* Two signals libc keeps to itself and refuses, but they are inherited like others. */
    unsigned long by_default[8] = {0};
    for (int sig = 32; sig <= 33; sig++)
        syscall(SYS_rt_sigaction, sig, by_default, NULL, NSIG / 8);
}

static int become(const struct shim *shim, char **argv)
{
    execvp(argv[0], argv);
    int why = errno;
    refuse(shim, "run", argv[0], why, cure(argv[0], why));
    return why == ENOENT ? SHIM_NOT_FOUND : SHIM_CANNOT_RUN;
}

int shim_main(int argc, char **argv)
{
    struct shim shim = {.parent = argc ? (pid_t)atol(argv[0]) : 0};
    if (is_orphaned(&shim))
        return SHIM_CANNOT_RUN;
    setpgid(0, 0);
    reset_signals();
    int at = 1;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        int rc = arrange(&shim, argv[at] + 2);
        if (rc)
            return rc;
    }
    if (argc - at < 2)
        return refuse(&shim, "start", "without a command", EINVAL, "");
    if (chdir(argv[at]))
        return refuse(&shim, "enter the folder", argv[at], errno, "");
    if (!shim.plain && dup2(STDOUT_FILENO, PROTOCOL_FD) < 0)
        return refuse(&shim, "make", "descriptor 3", errno, "");
    /* What nodey was started with, such as a socket of systemd's, is nodey's alone. */
    close_range(shim.plain ? PROTOCOL_FD : PROTOCOL_FD + 1, ~0U, 0);
    return become(&shim, argv + at + 1);
}
