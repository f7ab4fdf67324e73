/*
 * `nodey down`: the nodey that is up ends.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/logfile.h"
#include "client/logrecord.h"
#include "client/members.h"
#include "client/moment.h"
#include "client/options.h"
#include "client/programs.h"
#include "client/reach.h"
#include "command/command.h"
#include "config/config.h"

const char command_down_help[] =
    "Ends the nodey that is up, as SIGTERM does: it answers the requests under way, stops its\n"
    "programs, those that others depend on last, and is waited for. Says who did not end in\n"
    "its time and was killed. 0 also when none is up.\n"
    "\n"
    "  -f, --file FILE       the configuration that it was started with\n"
    "  -t, --timeout TIME    how long that may take, then what is left is killed; when left\n"
    "                        out [server] shutdown_timeout\n"
    "\n"
    "Exit code: 0, 1 when it did not end, 2 for wrong usage, 3 when it does not answer.\n";

/* Of the sentence of whoever is killed since it did not end by itself, see pool/spawn.c. */
#define NOT_ENDED "did not end within"

enum {
    END_MS = 30 * 60 * 1000, /* for a nodey to end in the time that it gives itself */
    LIMIT_MAX_MS = 24 * 60 * 60 * 1000,
    GRACE_MS = 15000, /* beyond the time that it was given */
};

static uint64_t now_ms(void)
{
    return loop_clock_ns() / 1000000;
}

/*
 * A descriptor of the process, so that no later one of the same number is taken for it; -1 when
 * it cannot be had, or has ended.
 */
static int open_process(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static bool wait_end(int process, uint64_t limit_ms)
{
    struct pollfd fd = {.fd = process, .events = POLLIN};
    uint64_t until = now_ms() + limit_ms;
    for (uint64_t now; (now = now_ms()) < until;) {
        int n = poll(&fd, 1, (int)MIN(until - now, (uint64_t)60000));
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
    return false;
}

static void tell_begin(const struct programs_view *all, pid_t pid)
{
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++)
        count += program_is_active(&all->items[i]);
    printf("stopping nodey (process %ld) and %zu program%s%s", (long)pid, count,
           count == 1 ? "" : "s", count ? ":" : "");
    for (size_t i = 0; i < all->count; i++)
        if (program_is_active(&all->items[i]))
            printf(" %s", all->items[i].name);
    putchar('\n');
    fflush(stdout);
}

/* What its log says, in nodey's own words: it is all that is left of a nodey that has ended. */
static void tell_killed(const char *dir, const char *name, const char *since)
{
    struct logfile *file = logfile_open(dir, name);
    struct slice line;
    logfile_since(file, since);
    while (logfile_next(file, &line)) {
        struct logrecord record;
        struct buf text = {0};
        if (!logrecord_read(line, &record) || memcmp(record.time, since, LOGFILE_TIME) < 0 ||
            !json_string_is(&record.stream, "nodey"))
            continue;
        json_unescape(&record.text, &text);
        if (text.len && memmem(text.ptr, text.len, NOT_ENDED, strlen(NOT_ENDED)))
            printf("%s#" SLICE_FMT ": " SLICE_FMT "\n", name, SLICE_ARG(record.instance),
                   SLICE_ARG(buf_slice(&text)));
        buf_deinit(&text);
    }
    logfile_close(file);
}

static void tell_all_killed(const char *file, const struct programs_view *all,
                            const char *since)
{
    struct err err;
    struct config *config = config_load(file, &err);
    char *dir = config ? xasprintf("%s/logs", config->server.data_dir) : NULL;
    for (size_t i = 0; dir && i < all->count; i++)
        tell_killed(dir, all->items[i].name, since);
    xfree(dir);
    config_release(config);
}

static int read_pid(struct session *session, pid_t *pid)
{
    struct client_response answer;
    struct json_value self, value;
    uint64_t number = 0;
    int rc = reach_fetch(session, "GET", "/v1", 0, &answer, &self);
    if (rc)
        return rc;
    if (members_get(&self, "pid", &value) && json_to_u64(&value, INT32_MAX, &number))
        *pid = (pid_t)number;
    client_response_deinit(&answer);
    return 0;
}

/* Asks it to end and waits until it has. */
static int end_and_wait(struct session *session, pid_t pid, uint64_t limit_ms)
{
    struct client_response answer;
    struct json_value json;
    int process = open_process(pid);
    char *target = limit_ms ? xasprintf("/v1/down?timeout=%llums", (unsigned long long)limit_ms)
                            : xstrdup("/v1/down");
    int rc = reach_fetch(session, "POST", target, 0, &answer, &json);
    xfree(target);
    if (rc == 0)
        client_response_deinit(&answer);
    if (rc == 0 && process >= 0 &&
        !wait_end(process, limit_ms ? limit_ms + GRACE_MS : END_MS)) {
        fprintf(stderr, "nodey: process %ld has not ended\n", (long)pid);
        rc = EXIT_REFUSED;
    }
    if (process >= 0)
        close(process);
    return rc;
}

static int end(struct session *session, const char *file, uint64_t limit_ms)
{
    struct programs_view all = {0};
    char since[MOMENT_TEXT];
    struct err err;
    pid_t pid = 0;
    uint64_t began = now_ms();
    int rc = read_pid(session, &pid);
    if (rc == 0)
        rc = programs_fetch(session, /* with_usage= */ false, &all);
    if (rc)
        return rc;
    bool timed = moment_read("0s", since, &err) == 0;
    tell_begin(&all, pid);
    rc = end_and_wait(session, pid, limit_ms);
    if (rc == 0 && timed)
        tell_all_killed(file, &all, since);
    if (rc == 0)
        printf("stopped after %.1f s\n", (double)(now_ms() - began) / 1000);
    programs_deinit(&all);
    return rc;
}

int command_down(int argc, char **argv)
{
    const char *file = NULL, *timeout = NULL;
    uint64_t limit_ms = 0;
    struct session session;
    struct err err;
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &file},
        {"-t --timeout", OPTION_VALUE, &timeout},
    };
    struct options options = {.verb = "down", .table = table, .count = ARRAY_LEN(table)};
    int rc = options_read(&options, argc, argv);
    word_list_deinit(&options.words);
    if (rc == 0)
        rc = reach_time("down", "--timeout", timeout, LIMIT_MAX_MS, &limit_ms);
    if (rc)
        return rc;
    if (session_open(&session, file, /* may_start= */ false, &err)) {
        if (err.code != SESSION_NONE) {
            fprintf(stderr, "nodey: %s\n", err.text);
            return EXIT_UNREACHABLE;
        }
        puts("no nodey is up here: nothing to stop");
        return 0;
    }
    rc = end(&session, file, limit_ms);
    session_close(&session);
    return rc;
}
