#include "loop/shim.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/json.h"

enum { CANNOT_RUN = 126 };

/*
 * What to do about a program that is not found, or not allowed: for what nodey itself
 * chose to run scripts with a person may not know what is missing.
 */
static const char *cure(const char *program, int why)
{
    bool is_there = strchr(program, '/') && access(program, F_OK) == 0;
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

/* The worker protocol's way to say why a worker could not start. */
static int refuse(const char *what, const char *name, int why, const char *advice)
{
    struct buf text = {0}, line = {0};
    buf_addf(&text, "%s %s: %s%s", what, name, strerror(why), advice);
    buf_adds(&line,
             "{\"type\":\"error\",\"id\":null,\"code\":\"failed_precondition\",\"message\":");
    json_write(&line, buf_slice(&text));
    buf_adds(&line, "}\n");
    IGNORE(write(STDOUT_FILENO, line.ptr, line.len) < 0); /* nobody is left to tell */
    buf_deinit(&text);
    buf_deinit(&line);
    return CANNOT_RUN;
}

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

int shim_main(int argc, char **argv)
{
    if (argc < 3)
        return refuse("cannot start", "without a command", EINVAL, "");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != (pid_t)atol(argv[0])) /* it died before the line above */
        return CANNOT_RUN;
    setpgid(0, 0);
    reset_signals();
    if (chdir(argv[1]))
        return refuse("cannot enter the folder", argv[1], errno, "");
    if (dup2(STDOUT_FILENO, 3) < 0)
        return refuse("cannot make", "descriptor 3", errno, "");
    execvp(argv[2], argv + 2);
    int why = errno;
    return refuse("cannot run", argv[2], why, cure(argv[2], why));
}
