#include "app/failure.h"

#include "http/response.h"

enum { TITLE_MAX = 300 };

static void add_cut(struct buf *out, struct slice text, size_t max)
{
    buf_append(out, text.ptr, MIN(text.len, max));
    if (text.len > max)
        buf_adds(out, "...");
}

static void add_first_line(struct buf *out, struct slice text)
{
    const char *lf = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
    add_cut(out, (struct slice){text.ptr, lf ? (size_t)(lf - text.ptr) : text.len}, TITLE_MAX);
}

static const char *mend(const struct circumstances *c)
{
    return c->watching ? "Correct it and save the file: nodey takes the new version by itself. "
                         "Then load this page again."
                       : "Correct it, start nodey again, and load this page again.";
}

static void explain_missing(const struct failure *f, const struct circumstances *c,
                            struct explanation *e)
{
    (void)f;
    buf_adds(&e->title, "Nothing is served at ");
    add_cut(&e->title, c->request->path, TITLE_MAX);
    if (c->down) {
        buf_addf(&e->what,
                 "No worker that runs has a route for this path. But %s does not start, so its "
                 "routes are not known.",
                 c->down);
        buf_adds(&e->next, "Below is what it said. ");
        buf_adds(&e->next, mend(c));
        return;
    }
    if (c->any_route) {
        buf_adds(&e->what, "No worker has a route for this path.");
        buf_adds(&e->next,
                 "Compare the address with the routes below (the nearest come first), "
                 "or give one of the workers a route for it.");
        return;
    }
    buf_adds(&e->what, "No script is served yet.");
    buf_adds(&e->next, "Put one into workers/, for example this as workers/hello.py:");
}

static void explain_method(const struct failure *f, const struct circumstances *c,
                           struct explanation *e)
{
    add_cut(&e->title, c->request->method, 40);
    buf_adds(&e->title, " is not answered at ");
    add_cut(&e->title, c->request->path, TITLE_MAX);
    buf_adds(&e->what, "There is a route for this path, but only for ");
    buf_add(&e->what, f->allow);
    buf_adds(&e->what, ".");
    buf_adds(&e->next, "Use one of these methods, or add a route for this one.");
}

static void explain_too_large(const struct failure *f, const struct circumstances *c,
                              struct explanation *e)
{
    (void)c;
    buf_adds(&e->title, "The request is too large");
    add_cut(&e->what, f->detail, TITLE_MAX);
    buf_adds(&e->next, "Send less, or allow more: max_body in [server], and max_line of the "
                       "worker, in nodey.toml (nodey help config).");
}

static void explain_raised(const struct failure *f, const struct circumstances *c,
                           struct explanation *e)
{
    const char *name = f->pool->config->name;
    if (f->detail.len)
        add_first_line(&e->title, f->detail);
    else
        buf_add(&e->title, http_reason(f->status));
    if (f->unmeant) {
        buf_addf(&e->what, "A handler of %s failed: nothing caught this error.", name);
        buf_adds(&e->next, mend(c));
        return;
    }
    buf_addf(&e->what, "%s answered with this error itself.", name);
    buf_adds(&e->next, f->status < 500 ? "The handler means the request: look at what was sent."
                                       : "Look at what it says in its log, below.");
}

static void explain_not_starting(const struct failure *f, const struct circumstances *c,
                                 struct explanation *e)
{
    struct slice why = f->detail;
    buf_addf(&e->title, "%s does not start", f->pool->config->name);
    const char *colon = why.len ? memmem(why.ptr, why.len, "does not start: ", 16) : NULL;
    if (colon) /* the title has said that much */
        why = slice_from(why, (size_t)(colon + 16 - why.ptr));
    add_first_line(&e->what, why);
    buf_adds(&e->next, mend(c));
}

static void explain_other(const struct failure *f, const struct circumstances *c,
                          struct explanation *e)
{
    static const struct {
        unsigned status;
        const char *title; /* behind the worker's name */
        const char *next;
    } known[] = {
        {502, "gave no usable answer",
         "Look at what it wrote last, below.  A program that ends by itself (exit, a crash, "
         "no memory) takes the request it works on with it."},
        {503, "has no time for this request",
         "Try again in a moment.  More of it can run at the same time (instances), and more "
         "may wait (queue, queue_timeout): see nodey help config."},
        {504, "took too long",
         "Find what it waits for, below in its log, or give it more time: timeout of the "
         "worker or the route, in nodey.toml."},
    };

    (void)c;
    add_first_line(&e->what, f->detail);
    for (size_t i = 0; f->pool && i < ARRAY_LEN(known); i++)
        if (known[i].status == f->status) {
            buf_addf(&e->title, "%s %s", f->pool->config->name, known[i].title);
            buf_adds(&e->next, known[i].next);
            return;
        }
    buf_add(&e->title, http_reason(f->status));
}

static void explain_quarantined(const struct failure *f, struct explanation *e)
{
    buf_addf(&e->title, "%s is not asked this any more", f->pool->config->name);
    add_first_line(&e->what, f->detail);
    buf_adds(&e->next, "Correct what makes it end: a new version of the program is asked again "
                       "at once, this one in some minutes.");
}

void failure_explain(const struct failure *f, const struct circumstances *c,
                     struct explanation *e)
{
    if (f->raised && f->pool)
        explain_raised(f, c, e);
    else if (failure_is_unrouted(f))
        explain_missing(f, c, e);
    else if (f->status == 405)
        explain_method(f, c, e);
    else if (f->status == 413)
        explain_too_large(f, c, e);
    else if (f->status == 503 && f->pool && c->reason.len)
        explain_not_starting(f, c, e);
    else if (f->status == 500 && f->pool && f->incident.len)
        explain_quarantined(f, e);
    else
        explain_other(f, c, e);
    if (f->incident.len)
        buf_addf(&e->next, " All that is known of it:  nodey why " SLICE_FMT,
                 SLICE_ARG(f->incident));
}

void explanation_deinit(struct explanation *e)
{
    buf_deinit(&e->title);
    buf_deinit(&e->what);
    buf_deinit(&e->next);
}

static bool ends_path(char c)
{
    return (unsigned char)c <= ' ' || strchr("\"'`()<>[]{},;:|", c) != NULL;
}

void failure_hide_paths(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len;) {
        bool begins = text.ptr[i] == '/' && (i == 0 || ends_path(text.ptr[i - 1]));
        size_t end = i, last = i;
        for (; begins && end < text.len && !ends_path(text.ptr[end]); end++)
            if (text.ptr[end] == '/' && end + 1 < text.len && !ends_path(text.ptr[end + 1]))
                last = end;
        if (last == i) {
            buf_addc(out, text.ptr[i++]);
            continue;
        }
        buf_append(out, text.ptr + last + 1, end - last - 1);
        i = end;
    }
}
