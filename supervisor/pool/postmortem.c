#include "pool/postmortem.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "os/proc_file.h"
#include "pool/inspector.h"
#include "pool/pool.h"

enum { QUIET_MS = 40, STATUS_BYTES = 4096 };

/* ---------------------------------------------------------------------- the exit */

void postmortem_signal_name(int signal, char *text, size_t size)
{
    const char *name = sigabbrev_np(signal);
    if (name)
        snprintf(text, size, "SIG%s", name);
    else
        snprintf(text, size, "signal %d", signal);
}

static const char *meaning_of_signal(int signal)
{
    switch (signal) {
    case SIGSEGV:
    case SIGBUS:
        return " (it used memory that is not its own: a bug in it or in a native library)";
    case SIGABRT:
        return " (it gave up by itself: an assertion, or no memory)";
    case SIGILL:
        return " (an instruction that this processor does not know)";
    case SIGFPE:
        return " (a division by zero in native code)";
    case SIGSYS:
        return " (a system call that it may not make)";
    case SIGXCPU:
        return " (its limit of CPU time)";
    default:
        return "";
    }
}

/* As shells use them. */
static void describe_status(int64_t code, char *text, size_t size)
{
    char name[16];
    if (code == 126) {
        snprintf(text, size, " (the command cannot be executed)");
    } else if (code == 127) {
        snprintf(text, size, " (the command was not found)");
    } else if (code > 128 && code <= 128 + 64) {
        postmortem_signal_name((int)code - 128, name, sizeof(name));
        snprintf(text, size, " (of a shell that is: killed by %s)", name);
    } else {
        text[0] = '\0';
    }
}

void postmortem_describe_exit(const struct proc_exit *exit, char *text, size_t size)
{
    char more[64];
    if (exit->signal) {
        postmortem_signal_name(exit->signal, more, sizeof(more));
        snprintf(text, size, "killed by %s%s", more, meaning_of_signal(exit->signal));
        return;
    }
    describe_status(exit->code, more, sizeof(more));
    snprintf(text, size, "exited with status %lld%s", (long long)exit->code, more);
}

/* ------------------------------------------------------------------- last lines */

static struct postmortem *have(struct worker *w)
{
    if (!w->postmortem)
        w->postmortem = xcalloc(1, sizeof(*w->postmortem));
    return w->postmortem;
}

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* To the newest lines that there is room for. */
static void shorten(struct buf *lines)
{
    size_t count = 0, from = 0;
    for (size_t at = lines->len; at > 0 && !from; at--) {
        count += lines->ptr[at - 1] == '\n';
        if (count > POSTMORTEM_LINES || lines->len - at >= POSTMORTEM_BYTES)
            from = at;
    }
    while (from && from < lines->len && lines->ptr[from - 1] != '\n')
        from++;
    buf_consume(lines, from);
}

void postmortem_note(struct worker *w, const char *stream, struct slice text)
{
    struct postmortem *pm = have(w);
    uint64_t now = wall_ms();
    size_t left = POSTMORTEM_BYTES; /* of a text of many lines the first say most */
    while (text.len && left) {
        const char *lf = memchr(text.ptr, '\n', text.len);
        struct slice line = {text.ptr, lf ? (size_t)(lf - text.ptr) : text.len};
        text = slice_from(text, MIN(line.len + 1, text.len));
        line.len = MIN(line.len, MIN(left, (size_t)POSTMORTEM_LINE));
        buf_addf(&pm->lines, "%llu %s ", (unsigned long long)now, stream);
        buf_add(&pm->lines, line);
        buf_addc(&pm->lines, '\n');
        left -= line.len;
    }
    if (pm->lines.len > 2 * POSTMORTEM_BYTES) /* so that not each line moves all others */
        shorten(&pm->lines);
}

/* ------------------------------------------------------------------- the asking */

static struct loop *loop_of(const struct worker *w)
{
    return w->pool->pools->loop;
}

static void stop_asking(struct worker *w)
{
    struct postmortem *pm = w->postmortem;
    timer_stop(loop_of(w), &pm->limit);
    timer_stop(loop_of(w), &pm->quiet);
    inspector_close(pm->inspector);
    pm->inspector = NULL;
    pm->asking = false;
}

static void finish(struct worker *w)
{
    struct postmortem *pm = w->postmortem;
    stop_asking(w);
    if (pm->stack.len) {
        struct pool_observer *observer = w->pool->pools->observer;
        struct buf text = {0};
        buf_adds(&text, "its stack when it was given up:\n");
        buf_add(&text, buf_slice(&pm->stack));
        observer->wrote(observer, &(struct worker_line){.worker = w,
                                                        .level = LOG_WARN,
                                                        .stream = "stderr",
                                                        .text = buf_slice(&text)});
        buf_deinit(&text);
    }
    pm->then(w);
}

static void on_limit(struct timer *timer)
{
    finish(container_of(timer, struct postmortem, limit)->worker);
}

static void on_quiet(struct timer *timer)
{
    finish(container_of(timer, struct postmortem, quiet)->worker);
}

static void on_stack(void *owner, struct slice stack)
{
    struct worker *w = owner;
    buf_append(&w->postmortem->stack, stack.ptr, MIN(stack.len, (size_t)POSTMORTEM_STACK));
    finish(w);
}

/* Node tells where its debugger listens; none of that is for the log. */
static bool takes_chatter(struct worker *w, struct slice line)
{
    struct postmortem *pm = w->postmortem;
    if (!inspector_is_chatter(line))
        return false;
    if (pm->asking && !pm->inspector)
        pm->inspector = inspector_open(loop_of(w), line, on_stack, w);
    if (pm->asking && inspector_has_failed(line))
        finish(w);
    return true;
}

bool postmortem_takes(struct worker *w, struct slice line)
{
    struct postmortem *pm = w->postmortem;
    if (!pm || !pm->asked)
        return false;
    if (pm->by_debugger)
        return takes_chatter(w, line);
    if (!pm->asking)
        return false;
    if (pm->stack.len + line.len < POSTMORTEM_STACK) {
        buf_add(&pm->stack, line);
        buf_addc(&pm->stack, '\n');
    }
    timer_start(loop_of(w), &pm->quiet, QUIET_MS, on_quiet);
    return true;
}

/* The value of a line of /proc/PID/status; empty = none. */
static struct slice status_of(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    if (!at)
        return (struct slice){0};
    at += strlen(key);
    return slice_trim((struct slice){at, strcspn(at, "\n")});
}

static const char *doing(char state)
{
    switch (state) {
    case 'R':
        return "was using the CPU";
    case 'S':
        return "was waiting, not working";
    case 'D':
        return "was waiting for a disk or the kernel";
    case 'T':
    case 't':
        return "was stopped (SIGSTOP, or a debugger)";
    default:
        return NULL;
    }
}

/* The signal at which it writes its stack, or 0.  caught: its set of signals, in hex. */
static int signal_for(pid_t pid, struct slice caught, bool *by_debugger)
{
    char path[64], exe[512], hex[32];
    snprintf(path, sizeof(path), "/proc/%ld/exe", (long)pid);
    ssize_t len = readlink(path, exe, sizeof(exe) - 1);
    exe[MAX(len, 0)] = '\0';
    const char *slash = strrchr(exe, '/');
    const char *name = slash ? slash + 1 : exe;
    *by_debugger = strncmp(name, "node", 4) == 0;
    if (!*by_debugger && strncmp(name, "python", 6) != 0 && strncmp(name, "pypy", 4) != 0)
        return 0;
    int signal = *by_debugger ? SIGUSR1 : SIGQUIT;
    snprintf(hex, sizeof(hex), SLICE_FMT, SLICE_ARG(caught));
    return strtoull(hex, NULL, 16) >> (signal - 1) & 1 ? signal : 0;
}

/* What it does and uses now; returns the signal to ask it with, or 0. */
static int examine(struct worker *w)
{
    struct postmortem *pm = have(w);
    char path[64], text[STATUS_BYTES];
    pm->usage = (struct usage){0};
    pm->measured = usage_add_tree(&pm->usage, w->proc.pid);
    snprintf(path, sizeof(path), "/proc/%ld/status", (long)w->proc.pid);
    if (proc_file_read(path, text, sizeof(text)) < 0)
        return 0;
    struct slice state = status_of(text, "\nState:");
    pm->did = state.len ? doing(state.ptr[0]) : NULL;
    if (state.len && (state.ptr[0] == 'T' || state.ptr[0] == 't'))
        return 0; /* it acts on no signal but SIGKILL */
    return signal_for(w->proc.pid, status_of(text, "\nSigCgt:"), &pm->by_debugger);
}

bool postmortem_ask(struct worker *w, void (*then)(struct worker *))
{
    struct postmortem *pm = have(w);
    if (pm->asking)
        return true;
    if (pm->asked || !worker_alive(w))
        return false;
    pm->asked = true;
    pm->worker = w;
    pm->then = then;
    int signal = examine(w);
    if (!signal || kill(w->proc.pid, signal))
        return false;
    pm->asking = true;
    timer_start(loop_of(w), &pm->limit, POSTMORTEM_ASK_MS, on_limit);
    return true;
}

void postmortem_ended(struct worker *w)
{
    if (w->postmortem)
        stop_asking(w);
}

void postmortem_free(struct worker *w)
{
    if (!w->postmortem)
        return;
    stop_asking(w);
    buf_deinit(&w->postmortem->lines);
    buf_deinit(&w->postmortem->stack);
    xfree(w->postmortem);
    w->postmortem = NULL;
}

/* -------------------------------------------------------------------- the stack */

/* The text of a kept line, without its time and stream. */
static struct slice words_of(struct slice line)
{
    for (int i = 0; i < 2 && line.len; i++) {
        const char *blank = memchr(line.ptr, ' ', line.len);
        line = slice_from(line, blank ? (size_t)(blank - line.ptr) + 1 : line.len);
    }
    return line;
}

/* What begins the story of an end: Python's, Go's, and Node's own. */
static bool begins_stack(struct slice words)
{
    static const char *const beginnings[] = {
        "Traceback (most recent call last):",
        "Fatal Python error:",
        "panic: ",
        "fatal error: ",
        "FATAL ERROR: ",
    };

    for (size_t i = 0; i < ARRAY_LEN(beginnings); i++)
        if (slice_starts(words, slice_of(beginnings[i])))
            return true;
    return false;
}

/* A call of JavaScript: the line above the first of these is the error. */
static bool is_call(struct slice words)
{
    return slice_starts(words, SLICE("    at "));
}

/* Where the last such story begins among the lines, or their end. */
static size_t find_stack(struct slice lines)
{
    size_t found = lines.len, before = 0;
    bool in_calls = false;
    for (size_t at = 0; at < lines.len;) {
        const char *lf = memchr(lines.ptr + at, '\n', lines.len - at);
        size_t len = lf ? (size_t)(lf - lines.ptr) - at : lines.len - at;
        struct slice words = words_of((struct slice){lines.ptr + at, len});
        if (begins_stack(words))
            found = at;
        if (is_call(words) && !in_calls)
            found = before;
        in_calls = is_call(words);
        before = at;
        at += len + 1;
    }
    return found;
}

void postmortem_stack(const struct worker *w, struct buf *out)
{
    const struct postmortem *pm = w->postmortem;
    if (!pm)
        return;
    if (pm->stack.len) {
        buf_add(out, buf_slice(&pm->stack));
        return;
    }
    struct slice lines = buf_slice(&pm->lines);
    lines = slice_from(lines, find_stack(lines));
    while (lines.len) {
        const char *lf = memchr(lines.ptr, '\n', lines.len);
        size_t len = lf ? (size_t)(lf - lines.ptr) : lines.len;
        buf_add(out, words_of((struct slice){lines.ptr, len}));
        buf_addc(out, '\n');
        lines = slice_from(lines, MIN(len + 1, lines.len));
    }
}
