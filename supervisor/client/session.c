#include "client/session.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "app/control.h"
#include "app/datadir.h"
#include "client/members.h"
#include "config/config.h"

enum {
    LOOK_MS = 10,                   /* between two looks at a run that starts */
    HELLO_MS = 5000,                /* for a nodey that is up to say so */
    OPEN_MS = 20000,                /* for a private run to open its socket */
    SETTLE_MS = 600000,             /* for its programs; their own start_timeout is shorter */
    PATIENCE_MS = 1500,             /* between the signals that end it */
    FETCH_MS = 24 * 60 * 60 * 1000, /* the workers' own timeouts are shorter */
    SIGNALS = 2,
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

/* ------------------------------------------------------------------ one that is up */

/* 0 when somebody answers as nodey does at the address. */
static int greet(const char *address, uint64_t timeout_ms, struct err *err)
{
    struct client_response answer = {0};
    struct json_value self;
    int rc = client_fetch(
        &(struct client_request){
            .address = address, .host = "nodey", .target = "/v1", .timeout_ms = timeout_ms},
        &answer, err);
    if (rc)
        return rc;
    if (answer.status != 200 || !members_read(buf_slice(&answer.body), &self))
        rc = err_set(err, -1, "%s answers, but is no nodey", address);
    client_response_deinit(&answer);
    return rc;
}

/* Also for a configuration that cannot be loaded, or not by us: the default place. */
static char *data_dir_of(const struct config *config, const char *file)
{
    if (config)
        return xstrdup(config->server.data_dir);
    const char *slash = file ? strrchr(file, '/') : NULL;
    return slash ? xasprintf("%.*s/.nodey", (int)(slash - file), file) : xstrdup(".nodey");
}

static bool is_up(struct session *s, const char *data_dir, struct err *err)
{
    char address[160];
    char *path = control_path(data_dir);
    struct err ignored;
    bool there = access(path, F_OK) == 0 &&
                 control_address(path, address, sizeof(address), &ignored) == 0;
    xfree(path);
    if (!there)
        return false;
    int rc = greet(address, HELLO_MS, err);
    if (rc == UV_ETIMEDOUT)
        err_set(err, rc, "the nodey of %s does not answer", data_dir);
    if (rc == 0)
        s->address = xstrdup(address);
    return rc == 0;
}

/* ------------------------------------------------------------------ a private run */

/* In the child: becomes the private run.  It has no terminal's signals and no input. */
static _Noreturn void become_private(pid_t parent, const char *log, const char *const *argv)
{
    int null = open("/dev/null", O_RDWR);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(EXIT_UNREACHABLE);
    setpgid(0, 0);
    dup2(null, STDIN_FILENO);
    if (log)
        dup2(open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), STDERR_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO); /* our output is the answer's alone */
    execv("/proc/self/exe", (char **)argv);
    _exit(EXIT_UNREACHABLE);
}

static bool has_ended(struct session *s)
{
    if (s->child && waitpid(s->child, NULL, WNOHANG) == s->child)
        s->child = 0;
    return s->child == 0;
}

static int await_socket(struct session *s, struct err *err)
{
    uint64_t until = now_ms() + OPEN_MS;
    char address[160];
    while (now_ms() < until) {
        if (has_ended(s))
            return err_set(err, -1, "the programs could not be started");
        if (access(s->socket, F_OK) == 0 &&
            control_address(s->socket, address, sizeof(address), err) == 0 &&
            greet(address, HELLO_MS, err) == 0) {
            s->address = xstrdup(address);
            return 0;
        }
        nap(LOOK_MS);
    }
    return err_set(err, -1, "the programs did not start within %d s", OPEN_MS / 1000);
}

static int start(struct session *s, const char *const *argv, struct err *err)
{
    pid_t parent = getpid();
    unlink(s->socket); /* of somebody who had our number and was killed */
    fflush(NULL);
    s->child = fork();
    if (s->child == 0)
        become_private(parent, s->log, argv);
    if (s->child < 0) {
        s->child = 0;
        return err_set(err, -1, "cannot start another process: %s", strerror(errno));
    }
    return await_socket(s, err);
}

static int start_private(struct session *s, const char *data_dir, const char *file,
                         struct err *err)
{
    if (datadir_make(data_dir, err))
        return -1;
    s->socket = xasprintf("%s/call-%ld.sock", data_dir, (long)getpid());
    const char *argv[] = {"nodey", PRIVATE_VERB, s->socket, file ? "-f" : NULL, file, NULL};
    return start(s, argv, err);
}

int session_open_story(struct session *s, const char *dir, const char *file,
                       const char *const *names, struct err *err)
{
    enum { WORDS = 5 };

    size_t count = 0;
    while (names[count])
        count++;
    *s = (struct session){.socket = xasprintf("%s/control.sock", dir),
                          .log = xasprintf("%s/log", dir)};
    const char **argv = xcalloc(WORDS + count + 1, sizeof(*argv));
    const char *words[WORDS] = {"nodey", STORY_VERB, s->socket, dir, file ? file : ""};
    memcpy(argv, words, sizeof(words));
    memcpy(argv + WORDS, names, count * sizeof(*argv));
    int rc = start(s, argv, err);
    xfree(argv);
    if (rc)
        session_close(s);
    return rc;
}

/* ---------------------------------------------------------------------------- both */

int session_open(struct session *s, const char *file, bool may_start, struct err *err)
{
    struct err bad_config = {0}, silent = {0};
    *s = (struct session){0};
    struct config *config = config_load(file, &bad_config);
    char *data_dir = data_dir_of(config, file);
    bool mistyped = !config && file && access(file, F_OK) != 0;
    int rc = 0;
    if (!mistyped && is_up(s, data_dir, &silent))
        rc = 0;
    else if (silent.code == UV_ETIMEDOUT)
        rc = err_set(err, -1, "%s", silent.text);
    else if (!config)
        rc = err_set(err, mistyped ? -1 : SESSION_NONE, "%s", bad_config.text);
    else if (!may_start)
        rc = err_set(err, SESSION_NONE, "no nodey is up for %s: start it with `nodey up`",
                     config->file ? config->file : config->dir);
    else
        rc = start_private(s, data_dir, file, err);
    xfree(data_dir);
    config_release(config);
    if (rc)
        session_close(s);
    return rc;
}

void session_close(struct session *s)
{
    for (int sent = 0; sent <= SIGNALS && !has_ended(s); sent++) {
        kill(s->child, sent < SIGNALS ? SIGTERM : SIGKILL);
        for (uint64_t until = now_ms() + PATIENCE_MS; now_ms() < until && !has_ended(s);)
            nap(LOOK_MS);
    }
    if (s->socket)
        unlink(s->socket);
    xfree(s->address);
    xfree(s->socket);
    xfree(s->log);
    *s = (struct session){0};
}

int session_fetch(struct session *s, struct client_request *request,
                  struct client_response *answer, struct err *err)
{
    request->address = s->address;
    request->host = request->host ? request->host : "nodey";
    request->timeout_ms = request->timeout_ms ? request->timeout_ms : FETCH_MS;
    return client_fetch(request, answer, err);
}

/* ------------------------------------------------------------------------- waiting */

static bool has_token(const struct json_value *worker, const char *token)
{
    struct json_value tokens, item;
    if (!members_get(worker, "tokens", &tokens))
        return false;
    struct json_scan it = json_iter(&tokens);
    while (json_next_item(&it, &item)) {
        struct buf name = {0};
        json_unescape(&item, &name);
        bool same = slice_is(buf_slice(&name), token);
        buf_deinit(&name);
        if (same)
            return true;
    }
    return false;
}

/* 1: the goal is reached; 0: not yet; -1: it will not be. */
static int judge(const struct json_value *workers, const struct session_goal *goal,
                 struct err *err)
{
    struct json_scan it = json_iter(workers);
    struct json_value worker;
    bool all = true;
    while (json_next_item(&it, &worker)) {
        bool settled = members_is_true(&worker, "settled");
        char *name = members_text(&worker, "name");
        bool meant = goal->worker && name && strcmp(name, goal->worker) == 0;
        xfree(name);
        all = all && settled;
        if (goal->token && has_token(&worker, goal->token))
            return 1;
        if (!meant)
            continue;
        char *trouble = members_text(&worker, "trouble");
        if (settled && trouble)
            err_set(err, -1, "%s", trouble);
        bool failed = settled && trouble;
        xfree(trouble);
        return failed ? -1 : settled;
    }
    return all || goal->worker; /* nobody has that name: it will be said */
}

int session_wait(struct session *s, const struct session_goal *goal, struct err *err)
{
    if (!s->child)
        return 0;
    for (uint64_t until = now_ms() + SETTLE_MS; now_ms() < until; nap(LOOK_MS)) {
        struct client_response answer = {0};
        struct json_value workers;
        if (has_ended(s))
            return err_set(err, -1, "the programs have ended before they could answer");
        int rc =
            session_fetch(s, &(struct client_request){.target = "/v1/programs"}, &answer, err);
        if (rc)
            continue; /* it has ended, or will answer the next time */
        int verdict =
            members_read(buf_slice(&answer.body), &workers) ? judge(&workers, goal, err) : 0;
        client_response_deinit(&answer);
        if (verdict)
            return verdict < 0 ? -1 : 0;
    }
    return err_set(err, -1, "the programs did not become ready");
}
