#include "app/probe.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/account.h"
#include "http/client.h"
#include "pool/environ.h"
#include "pool/limits.h"

enum {
    WORDS_MAX = 200, /* bytes that are kept of what a command said last */
    NAME_BYTES = 80,
};

/*
 * One check.  It has a verdict once (`done` becomes NULL), and is freed when nothing of it is
 * left: a connection to be closed, or a command to be reaped.
 */
struct probe {
    struct loop *loop;
    struct worker *worker;
    uint64_t timeout_ms;
    char *path; /* what is asked for; NULL: a connection will do, or a command runs */
    void (*done)(struct worker *, bool well, const char *why);
    struct timer limit;
    struct task at_once; /* tells a verdict that was clear from the beginning */
    char early[512];
    struct lookup *lookup;
    struct peer peer;
    struct client client;
    struct proc proc;
    bool by_command; /* `proc` it is, not `client` */
    bool open;       /* ... that is not gone yet */
    bool at_own_port;
    bool silent; /* its time is over */
    char name[NAME_BYTES];
    char words[WORDS_MAX]; /* the last line that has words, as yet */
    size_t word_len;
    bool line_is_over; /* what comes next replaces it */
};

/* --------------------------------------------------------------------- the end */

static void free_if_over(struct probe *p)
{
    if (p->done || p->open)
        return;
    xfree(p->path);
    xfree(p);
}

/* Lets go of everything; callbacks of what closes later free it. */
static void release(struct probe *p)
{
    p->done = NULL;
    timer_stop(p->loop, &p->limit);
    task_cancel(&p->at_once);
    if (p->lookup)
        lookup_cancel(p->lookup);
    p->lookup = NULL;
    if (p->open && p->by_command)
        proc_signal(&p->proc, SIGKILL);
    else if (p->open)
        client_close(&p->client);
    free_if_over(p);
}

static void tell(struct probe *p, bool well, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The verdict; the first one counts. */
static void tell(struct probe *p, bool well, const char *fmt, ...)
{
    char why[512];
    va_list args;
    if (!p->done)
        return;
    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    struct worker *w = p->worker;
    w->silent = p->silent;
    void (*done)(struct worker *, bool, const char *) = p->done;
    release(p);
    done(w, well, why);
}

static void on_at_once(struct task *task)
{
    struct probe *p = container_of(task, struct probe, at_once);
    tell(p, p->early[0] == '\0', "%s", p->early);
}

/* From the loop: whoever starts a probe is not called back from within. */
static void tell_at_once(struct probe *p, const char *why)
{
    snprintf(p->early, sizeof(p->early), "%s", why);
    loop_defer(p->loop, &p->at_once);
}

/* ----------------------------------------------------------- by a connection */

static struct probe *probe_of(struct client *c)
{
    return container_of(c, struct probe, client);
}

/* Many check the name that they are called by, and localhost is one that all accept. */
static int write_request(struct probe *p, struct buf *wire, struct err *err)
{
    static const struct field fields[] = {
        {{"User-Agent", 10}, {"nodey-healthcheck", 17}},
        {{"Connection", 10}, {"close", 5}},
    };
    char host[40];
    snprintf(host, sizeof(host), "localhost:%llu", (unsigned long long)p->worker->port);
    return client_request_write(&(struct client_request){.host = host,
                                                         .target = p->path,
                                                         .fields = fields,
                                                         .field_count = ARRAY_LEN(fields)},
                                wire, err);
}

static void on_opened(struct client *c)
{
    struct probe *p = probe_of(c);
    struct buf wire = {0};
    struct err err;
    if (!p->path)
        tell(p, true, "%s", "");
    else if (write_request(p, &wire, &err))
        tell(p, false, "%s", err.text);
    else
        client_send(c, buf_slice(&wire), false, p->timeout_ms);
    buf_deinit(&wire);
}

static void on_head(struct client *c, const struct answer_head *head)
{
    struct probe *p = probe_of(c);
    bool well = head->status >= 200 && head->status < 400;
    if (well)
        tell(p, true, "%s", "");
    else
        tell(p, false, "GET %s answered %u", p->path, head->status);
}

static void on_body(struct client *c, struct slice bytes)
{
    (void)c;
    (void)bytes; /* the head has said everything */
}

static void on_answered(struct client *c)
{
    (void)c;
}

static void on_failed(struct client *c, enum client_failure failure, int code, const char *why)
{
    struct probe *p = probe_of(c);
    if (failure == CLIENT_CONNECT)
        tell(p, false, "%s at %s", p->at_own_port ? "connection refused" : loop_strerror(code),
             p->peer.name);
    else if (p->path)
        tell(p, false, "GET %s: %s", p->path, why);
    else
        tell(p, false, "%s at %s", why, p->peer.name);
}

static void on_gone(struct client *c)
{
    struct probe *p = probe_of(c);
    p->open = false;
    free_if_over(p);
}

static const struct client_ops client_ops = {
    .opened = on_opened,
    .head = on_head,
    .body = on_body,
    .answered = on_answered,
    .failed = on_failed,
    .gone = on_gone,
};

static void open_client(struct probe *p)
{
    p->open = true;
    client_open(&p->client, p->loop, &p->peer, p->timeout_ms, &client_ops);
}

static void on_found(void *owner, int status, const struct peer *peer)
{
    struct probe *p = owner;
    p->lookup = NULL;
    if (status) {
        tell(p, false, "the host of %s cannot be found: %s", p->peer.name,
             loop_strerror(status));
        return;
    }
    p->peer = *peer;
    open_client(p);
}

/* On either kind of loopback: what listens on "localhost" listens on one of them. */
static void begin_at_port(struct probe *p)
{
    uint16_t port = htons((uint16_t)p->worker->port);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&p->peer.at[0].inet;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&p->peer.at[1].inet;
    *v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
    v6->sin6_addr = in6addr_loopback;
    p->peer.count = 2;
    p->at_own_port = true;
    snprintf(p->peer.name, sizeof(p->peer.name), "127.0.0.1:%llu",
             (unsigned long long)p->worker->port);
    open_client(p);
}

static void begin_at(struct probe *p, const char *address)
{
    struct err err;
    int rc = peer_parse(&p->peer, address, &err);
    if (rc == 0)
        open_client(p);
    else if (rc == UV_EAGAIN)
        p->lookup = lookup_start(p->loop, &p->peer, p, on_found);
    else
        tell_at_once(p, err.text);
}

/* ----------------------------------------------------------------- by a command */

static struct probe *probe_of_proc(struct proc *proc)
{
    return container_of(proc, struct probe, proc);
}

/* Of all that it writes the last line with words is what a person wants to hear. */
static size_t keep_words(struct proc *proc, struct slice bytes)
{
    struct probe *p = probe_of_proc(proc);
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.ptr[i];
        if (c == '\n' || c == '\r') {
            p->line_is_over = true;
            continue;
        }
        if (p->line_is_over)
            p->word_len = 0;
        p->line_is_over = false;
        if (p->word_len < WORDS_MAX - 1)
            p->words[p->word_len++] = c;
    }
    return bytes.len;
}

static void on_broken(struct proc *proc, const char *which)
{
    (void)proc;
    (void)which; /* it may write as little as it likes */
}

static void on_exited(struct proc *proc, const struct proc_exit *exit)
{
    struct probe *p = probe_of_proc(proc);
    p->words[p->word_len] = '\0';
    const char *colon = p->word_len ? ": " : "";
    proc_close(proc);
    if (exit->signal)
        tell(p, false, "%s was killed by signal %d (%s)%s%s", p->name, exit->signal,
             strsignal(exit->signal), colon, p->words);
    else if (exit->code)
        tell(p, false, "%s ended with status %lld%s%s", p->name, (long long)exit->code, colon,
             p->words);
    else
        tell(p, true, "%s", "");
}

static void on_proc_gone(struct proc *proc)
{
    struct probe *p = probe_of_proc(proc);
    p->open = false;
    free_if_over(p);
}

static const struct proc_ops proc_ops = {
    .out = keep_words,
    .err = keep_words,
    .broken = on_broken,
    .exited = on_exited,
    .gone = on_proc_gone,
};

/* A shell is called by what it runs. */
static void name_command(struct probe *p, const struct string_list *test)
{
    bool by_shell = test->count == 3 && strcmp(test->items[0], "/bin/sh") == 0 &&
                    strcmp(test->items[1], "-c") == 0;
    const char *name = test->items[by_shell ? 2 : 0], *slash = strrchr(name, '/');
    if (slash && slash[1] && !by_shell)
        name = slash + 1;
    snprintf(p->name, sizeof(p->name), "%.*s", (int)strcspn(name, "\n"), name);
}

static void begin_command(struct probe *p)
{
    struct account account;
    struct err err;
    const struct worker_config *config = p->worker->pool->config;
    struct proc_spec spec = {
        .argv = config->healthcheck.test.items,
        .cwd = config->cwd,
        .mark = p->worker->life,
        .line_limit = WORDS_MAX,
        .no_input = true,
    };
    name_command(p, &config->healthcheck.test);
    if (limits_confine(p->worker, &spec.confine, &account, &err)) {
        tell_at_once(p, err.text);
        return;
    }
    char **env = environ_new(p->worker);
    spec.env = (const char *const *)env;
    spec.confine.plain = true;
    p->open = p->by_command = true;
    int rc = proc_spawn(&p->proc, p->loop, &spec, &proc_ops);
    environ_free(env);
    if (rc)
        tell_at_once(p, loop_strerror(rc));
}

/* ------------------------------------------------------------------- a check */

static void on_limit(struct timer *timer)
{
    struct probe *p = container_of(timer, struct probe, limit);
    unsigned long long ms = p->timeout_ms;
    p->silent = true;
    if (p->by_command)
        tell(p, false, "%s did not end within %llu ms", p->name, ms);
    else if (p->path)
        tell(p, false, "GET %s gave no answer within %llu ms", p->path, ms);
    else
        tell(p, false, "no connection to %s within %llu ms", p->peer.name, ms);
}

static struct probe *start(struct prober *prober, struct worker *w,
                           void (*done)(struct worker *, bool well, const char *why))
{
    struct probes *all = container_of(prober, struct probes, prober);
    struct probe *p = xcalloc(1, sizeof(*p));
    const struct healthcheck_config *h = &w->pool->config->healthcheck;
    p->loop = all->loop;
    p->worker = w;
    p->timeout_ms = h->timeout;
    p->path = h->path ? xstrdup(h->path) : NULL;
    p->done = done;
    task_init(&p->at_once, on_at_once);
    timer_start(p->loop, &p->limit, h->timeout, on_limit);
    if (h->disabled)
        tell_at_once(p, "");
    else if (h->test.count)
        begin_command(p);
    else if (h->tcp)
        begin_at(p, h->tcp);
    else if (w->port)
        begin_at_port(p);
    else
        tell_at_once(p, "");
    return p;
}

static void cancel(struct prober *prober, struct probe *p)
{
    (void)prober;
    release(p);
}

void probes_init(struct probes *all, struct loop *loop)
{
    *all = (struct probes){.prober = {.start = start, .cancel = cancel}, .loop = loop};
}
