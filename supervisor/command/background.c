#include "command/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "app/datadir.h"
#include "client/members.h"
#include "client/programs.h"
#include "client/reach.h"
#include "client/show.h"
#include "command/act.h"

enum {
    LOOK_MS = 20,
    ANSWER_MS = 10000,
    CRASHES = 3,         /* and then it is not waited for */
    PROVEN_MS = 1000,    /* what nobody checks has to run for so long */
    QUOTED_BYTES = 4096, /* of the log, when it did not start */
};

/* The nodey that was started, as the command sees it. */
struct child {
    pid_t pid;
    char *log;
    off_t log_start; /* where its own words begin */
    int status;
    bool ended;
};

static void nap(unsigned ms)
{
    struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

static uint64_t now_ms(void)
{
    return loop_clock_ns() / 1000000;
}

/* ---------------------------------------------------------------------- starting */

/* In the child: of no terminal, and with its words in the log. */
static _Noreturn void become_background(const struct background *b, int log)
{
    int null = open("/dev/null", O_RDWR);
    setsid();
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    if (null > STDERR_FILENO)
        close(null);
    if (log > STDERR_FILENO)
        close(log);
    struct app_options options = *b->options;
    options.background = true;
    _exit(app_run(b->config, &options));
}

static int start(const struct background *b, struct child *child)
{
    struct stat st;
    struct err err;
    const char *data_dir = b->config->server.data_dir;
    if (datadir_make(data_dir, &err)) {
        fprintf(stderr, "nodey: %s\n", err.text);
        return EXIT_REFUSED;
    }
    child->log = xasprintf("%s/nodey.log", data_dir);
    int log = open(child->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0 || fstat(log, &st)) {
        fprintf(stderr, "nodey: cannot write to %s: %s\n", child->log, strerror(errno));
        if (log >= 0)
            close(log);
        return EXIT_REFUSED;
    }
    child->log_start = st.st_size;
    fflush(NULL);
    child->pid = fork();
    if (child->pid == 0)
        become_background(b, log);
    close(log);
    if (child->pid > 0)
        return 0;
    fprintf(stderr, "nodey: cannot start another process: %s\n", strerror(errno));
    return EXIT_REFUSED;
}

static bool has_ended(struct child *child)
{
    if (!child->ended)
        child->ended = waitpid(child->pid, &child->status, WNOHANG) == child->pid;
    return child->ended;
}

/* The end of what it has said. */
static void quote_log(const struct child *child)
{
    char text[QUOTED_BYTES];
    struct stat st;
    int fd = open(child->log, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    off_t at = child->log_start;
    if (fstat(fd, &st) == 0 && st.st_size - at > (off_t)sizeof(text))
        at = st.st_size - (off_t)sizeof(text);
    ssize_t n = pread(fd, text, sizeof(text), at);
    close(fd);
    if (n > 0)
        show_write(stderr, (struct slice){text, (size_t)n});
}

/* ----------------------------------------------------------------------- waiting */

/* Is it this nodey that answers, and its port open?  Prints nothing. */
static bool is_open(struct session *session, pid_t pid, char **url)
{
    struct client_response answer = {0};
    struct json_value self, value, item;
    struct err err;
    uint64_t number = 0;
    bool open = false;
    if (session_fetch(session, &(struct client_request){.target = "/v1"}, &answer, &err))
        return false;
    if (members_read(buf_slice(&answer.body), &self) && members_get(&self, "pid", &value) &&
        json_to_u64(&value, INT32_MAX, &number) && (pid_t)number == pid &&
        members_get(&self, "urls", &value) && value.type == JSON_ARRAY) {
        struct json_scan it = json_iter(&value);
        open = json_next_item(&it, &item);
        struct buf text = {0};
        if (open)
            json_unescape(&item, &text);
        xfree(*url);
        *url = text.len ? buf_give(&text) : NULL;
    }
    client_response_deinit(&answer);
    return open;
}

/* 0 when its port is open; the session is to be closed then. */
static int await_port(const struct background *b, struct child *child, struct session *session,
                      char **url)
{
    uint64_t until = now_ms() + b->limit_ms;
    struct err err;
    for (; now_ms() < until; nap(LOOK_MS)) {
        if (has_ended(child)) {
            quote_log(child);
            fprintf(stderr, "nodey: it did not start; its log: %s\n", child->log);
            return EXIT_REFUSED;
        }
        if (session_open(session, b->options->file, /* may_start= */ false, &err))
            continue;
        if (is_open(session, child->pid, url))
            return 0;
        session_close(session);
    }
    fprintf(stderr,
            "nodey: the port is not open after %llu s; it goes on trying, its log: %s\n",
            (unsigned long long)b->limit_ms / 1000, child->log);
    return EXIT_REFUSED;
}

/* Ready because it runs, and no check says more: it may be about to end. */
static bool is_unproven(const struct program_view *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->instances[i].health, "none") == 0 &&
            p->instances[i].uptime_ms < PROVEN_MS)
            return true;
    return false;
}

/* It is tried again, but nobody should wait for that. */
static bool crashes_on(const struct program_view *p)
{
    return p->settled && p->restarts >= CRASHES && strcmp(p->state, "backoff") == 0;
}

/* 1: all are as they should be; 0: not yet; -1: one will not be. */
static int judge(const struct programs_view *all)
{
    int verdict = 1;
    for (size_t i = 0; i < all->count; i++) {
        const struct program_view *p = &all->items[i];
        if (strcmp(p->state, "failed") == 0 || strcmp(p->state, "exited") == 0 || crashes_on(p))
            return -1;
        if (program_is_active(p) && (p->ready < p->wanted || is_unproven(p)))
            verdict = 0;
    }
    return verdict;
}

static int await_all(const struct background *b, struct session *session)
{
    uint64_t until = now_ms() + b->limit_ms;
    for (; now_ms() < until; nap(LOOK_MS)) {
        struct programs_view all;
        int rc = programs_fetch(session, /* with_usage= */ false, &all);
        if (rc)
            return rc;
        int verdict = judge(&all);
        programs_deinit(&all);
        if (verdict)
            return verdict < 0 ? EXIT_REFUSED : 0;
    }
    fprintf(stderr, "nodey: not all programs are ready after %llu s\n",
            (unsigned long long)b->limit_ms / 1000);
    return EXIT_REFUSED;
}

static void print_programs(struct session *session)
{
    static const struct column columns[] = {
        {.title = "NAME"},
        {.title = "STATE"},
        {.title = "READY", .right = true},
        {.title = "WHY", .shrinks = true, .dropped = 1},
    };
    struct programs_view all;
    struct table table;
    struct buf out = {0};
    if (programs_fetch(session, /* with_usage= */ false, &all))
        return;
    table_init(&table, columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < all.count; i++) {
        const struct program_view *p = &all.items[i];
        if (strcmp(p->state, "dormant") == 0)
            continue;
        table_add(&table, TINT_NONE, p->name);
        table_add(&table, program_tint(p->state), p->state);
        table_addf(&table, TINT_NONE, program_is_active(p) ? "%llu/%llu" : "",
                   (unsigned long long)p->ready, (unsigned long long)p->wanted);
        table_add(&table, TINT_NONE, p->why);
    }
    table_write(&table, table_terminal(STDOUT_FILENO), show_colour(stdout, false), &out);
    show_write(stdout, buf_slice(&out));
    table_deinit(&table);
    buf_deinit(&out);
    programs_deinit(&all);
}

/* ------------------------------------------------------------------------- both */

/* "8000", ":8000", "localhost:8000" and "127.0.0.1:8000" of http://127.0.0.1:8000; 0: any. */
static bool is_listening(const char *url, const char *listen)
{
    const char *scheme = strstr(url, "://"), *at = scheme ? scheme + 3 : url;
    const char *port = strrchr(at, ':'), *wanted = strrchr(listen, ':');
    bool any_host = !wanted || wanted == listen ||
                    (strncmp(listen, "localhost:", 10) == 0 && wanted == listen + 9);
    if (strcmp(wanted ? wanted + 1 : listen, "0") == 0)
        return true;
    if (strncmp(listen, "unix:", 5) == 0)
        return strstr(url, listen + 5) != NULL;
    return any_host ? port && strcmp(port + 1, wanted ? wanted + 1 : listen) == 0
                    : strcmp(at, listen) == 0;
}

/* What listens where it listens cannot be moved while it is up. */
static int check_listen(const struct background *b, struct session *session)
{
    struct client_response answer;
    struct json_value self, urls, item;
    struct buf all = {0};
    bool found = false;
    if (!b->options->listen)
        return 0;
    int rc = reach_fetch(session, "GET", "/v1", ANSWER_MS, &answer, &self);
    if (rc)
        return rc;
    if (members_get(&self, "urls", &urls) && urls.type == JSON_ARRAY) {
        struct json_scan it = json_iter(&urls);
        while (json_next_item(&it, &item)) {
            struct buf url = {0};
            json_unescape(&item, &url);
            found |= is_listening(buf_cstr(&url), b->options->listen);
            buf_addf(&all, "%s%s", all.len ? " and " : "", buf_cstr(&url));
            buf_deinit(&url);
        }
    }
    client_response_deinit(&answer);
    if (!found)
        fprintf(stderr,
                "nodey: it is up already, on %s: to have it on %s, end it first (nodey down)\n",
                all.len ? buf_cstr(&all) : "no port", b->options->listen);
    buf_deinit(&all);
    return found ? 0 : EXIT_REFUSED;
}

static bool is_asked_for(const struct background *b, const struct worker_config *w)
{
    for (const char *const *at = b->options->profiles; at && *at; at++)
        for (size_t i = 0; i < w->profiles.count; i++)
            if (strcmp(*at, "*") == 0 || strcmp(*at, w->profiles.items[i]) == 0)
                return true;
    return false;
}

static int start_profiles(const struct background *b, struct session *session,
                          const struct act_order *order)
{
    int first = 0;
    for (size_t i = 0; i < b->config->worker_count; i++) {
        const struct worker_config *w = &b->config->workers[i];
        int rc = is_asked_for(b, w) ? act_give(session, w->name, order) : 0;
        first = first ? first : rc;
    }
    return first;
}

/* One is up: what was named is started there, and what is of the profiles. */
static int join(const struct background *b, struct session *session)
{
    struct act_order order = {.verb = "start", .wait_ms = b->wait ? b->limit_ms : 0};
    int rc = check_listen(b, session);
    if (rc)
        return rc;
    printf("nodey is up already\n");
    rc = start_profiles(b, session, &order);
    if (rc == 0)
        rc = act_give_all(session, b->names, b->name_count, &order);
    if (rc == 0 && b->wait)
        rc = await_all(b, session);
    print_programs(session);
    return rc;
}

static int start_and_wait(const struct background *b)
{
    struct child child = {0};
    struct session session;
    char *url = NULL;
    int rc = start(b, &child);
    if (rc == 0)
        rc = await_port(b, &child, &session, &url);
    if (rc == 0) {
        printf("nodey is up on %s (process %ld); its log: %s\n", url, (long)child.pid,
               child.log);
        if (b->wait)
            rc = await_all(b, &session);
        print_programs(&session);
        session_close(&session);
    }
    xfree(url);
    xfree(child.log);
    return rc;
}

int background_run(const struct background *b)
{
    struct session session;
    struct err err;
    int rc;
    if (session_open(&session, b->options->file, /* may_start= */ false, &err) == 0) {
        rc = join(b, &session);
        session_close(&session);
    } else if (err.code != SESSION_NONE) {
        fprintf(stderr, "nodey: %s\n", err.text);
        rc = EXIT_UNREACHABLE;
    } else {
        rc = start_and_wait(b);
    }
    config_release(b->config);
    return rc;
}
