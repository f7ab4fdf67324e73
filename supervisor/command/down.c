/*
 * `nodey down`: the nodey that is up ends.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/members.h"
#include "client/options.h"
#include "client/programs.h"
#include "client/reach.h"
#include "command/command.h"

const char command_down_help[] =
    "Ends the nodey that is up, as SIGTERM does: it answers the requests under way, stops its\n"
    "programs, those that others depend on last, and is waited for. 0 also when none is up.\n"
    "\n"
    "  -f, --file FILE       the configuration that it was started with\n"
    "  -t, --timeout TIME    how long that may take, then what is left is killed; when left\n"
    "                        out [server] shutdown_timeout\n"
    "\n"
    "Exit code: 0, 1 when it did not end, 2 for wrong usage, 3 when it does not answer.\n";

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

static void tell_begin(struct session *session, pid_t pid)
{
    struct programs_view all;
    size_t count = 0;
    if (programs_fetch(session, /* with_usage= */ false, &all))
        return;
    for (size_t i = 0; i < all.count; i++)
        count += program_is_active(&all.items[i]);
    printf("stopping nodey (process %ld) and %zu program%s%s", (long)pid, count,
           count == 1 ? "" : "s", count ? ":" : "");
    for (size_t i = 0; i < all.count; i++)
        if (program_is_active(&all.items[i]))
            printf(" %s", all.items[i].name);
    putchar('\n');
    fflush(stdout);
    programs_deinit(&all);
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

static int end(struct session *session, uint64_t limit_ms)
{
    struct client_response answer;
    struct json_value json;
    char *target = NULL;
    pid_t pid = 0;
    uint64_t began = now_ms();
    int rc = read_pid(session, &pid);
    if (rc)
        return rc;
    int process = open_process(pid);
    tell_begin(session, pid);
    target = limit_ms ? xasprintf("/v1/down?timeout=%llums", (unsigned long long)limit_ms)
                      : xstrdup("/v1/down");
    rc = reach_fetch(session, "POST", target, 0, &answer, &json);
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
    if (rc == 0)
        printf("stopped after %.1f s\n", (double)(now_ms() - began) / 1000);
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
    rc = end(&session, limit_ms);
    session_close(&session);
    return rc;
}
