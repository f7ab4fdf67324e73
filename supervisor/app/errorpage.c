#include "app/errorpage.h"

#include <stdio.h>

#include "app/listing.h"
#include "base/json.h"

enum { STACK_MAX = 16 << 10, KEPT_MAX = 256 << 10, DOWN_MAX = 3, MISSING_RETRY_S = 2 };

static const struct field page_fields[] = {
    {{"Cache-Control", 13}, {"no-store", 8}},
    {{"Content-Security-Policy", 23}, {"default-src 'none'; style-src 'unsafe-inline'", 45}},
    {{"X-Content-Type-Options", 22}, {"nosniff", 7}},
};

void errorpage_deinit(struct errorpage *e)
{
    buf_deinit(&e->scratch);
    buf_deinit(&e->masked);
}

static struct buf *fresh(struct errorpage *e)
{
    buf_clear(&e->scratch);
    if (e->scratch.cap > KEPT_MAX)
        buf_deinit(&e->scratch);
    return &e->scratch;
}

/* -------------------------------------------------------------- what is wanted? */

/* The q of a media range's parameters, in thousandths. */
static unsigned quality(struct slice params)
{
    const char *at = params.len ? memmem(params.ptr, params.len, "q=", 2) : NULL;
    if (!at)
        return 1000;
    struct slice value = slice_from(params, (size_t)(at + 2 - params.ptr));
    unsigned q = 0, unit = 1000;
    for (size_t i = 0; i < value.len && unit; i++) {
        if (value.ptr[i] >= '0' && value.ptr[i] <= '9') {
            q += (unsigned)(value.ptr[i] - '0') * unit;
            unit /= 10;
        } else if (value.ptr[i] != '.') {
            break;
        }
    }
    return MIN(q, 1000u);
}

/* How much this type itself is wanted: "*" is what programs say that do not care. */
static unsigned wants(const struct http_request *req, const char *type)
{
    unsigned best = 0;
    for (size_t i = 0; i < req->header_count; i++) {
        struct slice rest = req->headers[i].value;
        if (!slice_is(req->headers[i].name, "accept"))
            continue;
        while (rest.len) {
            const char *comma = memchr(rest.ptr, ',', rest.len);
            struct slice range = {rest.ptr, comma ? (size_t)(comma - rest.ptr) : rest.len};
            rest = slice_from(rest, MIN(range.len + 1, rest.len));
            const char *semicolon = memchr(range.ptr, ';', range.len);
            size_t len = semicolon ? (size_t)(semicolon - range.ptr) : range.len;
            if (slice_eq_nocase(slice_trim((struct slice){range.ptr, len}), slice_of(type)))
                best = MAX(best, quality(slice_from(range, len)));
        }
    }
    return best;
}

static bool wants_page(const struct http_request *req)
{
    unsigned html = wants(req, "text/html");
    return html && html >= wants(req, "application/json") &&
           html >= wants(req, "application/problem+json");
}

/* ----------------------------------------------------------------- problem+json */

static void add_lines(struct buf *out, struct slice text)
{
    text.len = MIN(text.len, (size_t)STACK_MAX);
    while (text.len && text.ptr[text.len - 1] == '\n')
        text.len--;
    buf_adds(out, ",\"stack\":[");
    for (bool first = true; text.len; first = false) {
        const char *lf = memchr(text.ptr, '\n', text.len);
        struct slice line = {text.ptr, lf ? (size_t)(lf - text.ptr) : text.len};
        if (!first)
            buf_addc(out, ',');
        json_write(out, line);
        text = slice_from(text, MIN(line.len + 1, text.len));
    }
    buf_addc(out, ']');
}

/* A worker that does not start has said why. */
static struct slice stack_of(const struct errorpage *e, const struct failure *f)
{
    if (f->stack.len || f->status != 503 || f->raised || !f->pool || !e->tails)
        return f->stack;
    const struct tail *tail = tails_find(e->tails, f->pool->config->name);
    return tail ? buf_slice(&tail->reason) : f->stack;
}

/* Whatever an error's words were made of. */
static struct slice mask(const struct errorpage *e, struct slice text, struct buf *scratch)
{
    return e && e->secrets ? secrets_mask(e->secrets, text, scratch) : text;
}

static void send_problem(const struct errorpage *e, struct exchange *x, const struct failure *f)
{
    struct buf members = {0}, detail = {0}, masked[2] = {0};
    bool dev = e && e->dev;
    if (f->data.len) {
        buf_adds(&members, ",\"data\":");
        buf_add(&members, f->data);
    }
    if (f->incident.len) {
        buf_adds(&members, ",\"incident\":");
        json_write(&members, f->incident);
    }
    if (dev && f->pool) {
        struct slice stack = stack_of(e, f);
        buf_adds(&members, ",\"worker\":");
        json_write(&members, slice_of(f->pool->config->name));
        if (stack.len)
            add_lines(&members, stack);
    }
    if (!dev && f->pool && (f->unmeant || !f->raised))
        failure_hide_paths(&detail, f->detail);
    else
        buf_add(&detail, f->detail);
    exchange_fail(x, &(struct http_problem){
                         .status = f->status,
                         .detail = mask(e, buf_slice(&detail), &masked[0]),
                         .retry_after_s = f->retry_after_s,
                         .allow = f->allow,
                         .members = mask(e, buf_slice(&members), &masked[1]),
                     });
    buf_deinit(&masked[0]);
    buf_deinit(&masked[1]);
    buf_deinit(&members);
    buf_deinit(&detail);
}

/* ------------------------------------------------------------------------- page */

static void send_page(struct errorpage *e, struct exchange *x, const struct failure *f)
{
    struct field fields[ARRAY_LEN(page_fields) + 2];
    size_t count = ARRAY_LEN(page_fields);
    char seconds[16];
    struct err err;
    memcpy(fields, page_fields, sizeof(page_fields));
    if (f->retry_after_s) {
        snprintf(seconds, sizeof(seconds), "%u", f->retry_after_s);
        fields[count++] = (struct field){SLICE("Retry-After"), slice_of(seconds)};
    }
    if (f->allow.len)
        fields[count++] = (struct field){SLICE("Allow"), f->allow};
    struct failure whole = *f;
    whole.stack = stack_of(e, f);
    struct buf *body = fresh(e);
    errorpage_html(e, exchange_request(x), &whole, body);
    struct http_answer answer = {
        .status = f->status,
        .headers = fields,
        .header_count = count,
        .content_type = SLICE("text/html; charset=utf-8"),
        .body = mask(e, buf_slice(body), &e->masked),
    };
    if (!exchange_respond(x, &answer, &err))
        send_problem(e, x, f);
}

void errorpage_send(struct errorpage *e, struct exchange *x, const struct failure *f)
{
    if (e && e->dev && wants_page(exchange_request(x)))
        send_page(e, x, f);
    else
        send_problem(e, x, f);
}

/* The trouble begins with the worker's name, which stands in front already. */
static const char *why_down(const struct pool *pool)
{
    static const char middle[] = " does not start: ";
    const char *at = strstr(pool->trouble, middle);
    return at ? at + sizeof(middle) - 1 : pool->trouble;
}

static void add_down(const struct errorpage *e, struct slice path, struct buf *out)
{
    size_t down = 0;
    list_each (at, &e->routes->pools->list) {
        const struct pool *pool = container_of(at, struct pool, node);
        if (!listing_is_down(pool) || down++ >= DOWN_MAX)
            continue;
        if (down == 1)
            buf_addf(out, "nothing is served at " SLICE_FMT, SLICE_ARG(path));
        buf_addf(out, "; %s does not start, so its routes are not known: %s",
                 pool->config->name, why_down(pool));
    }
    if (down > DOWN_MAX)
        buf_addf(out, "; and %zu more do not start", down - DOWN_MAX);
}

/* The path is one that a worker would have by its name, had it any. */
static void add_silent(const struct errorpage *e, struct slice path, struct buf *out)
{
    list_each (at, &e->routes->pools->list) {
        const struct pool *pool = container_of(at, struct pool, node);
        struct slice name = slice_of(pool->config->name);
        if (path.len <= name.len || !slice_starts(slice_from(path, 1), name) ||
            (path.len > name.len + 1 && path.ptr[name.len + 1] != '/'))
            continue;
        const struct ready *ready = pool_declaration(pool);
        if (ready && !ready->route_count && !routes_by_name(pool))
            buf_addf(out,
                     "no route for this path: %s handles events and jobs, and serves no path "
                     "of its name",
                     pool->config->name);
    }
}

void errorpage_send_missing(struct errorpage *e, struct exchange *x)
{
    struct buf detail = {0};
    if (e && e->dev)
        add_down(e, exchange_request(x)->path, &detail);
    if (e && e->dev && !detail.len)
        add_silent(e, exchange_request(x)->path, &detail);
    bool incomplete =
        e && e->routes && listing_is_incomplete(e->routes->config, e->routes->pools);
    if (!detail.len)
        buf_adds(&detail, incomplete ? "this path is not served now: a program that may serve "
                                       "it is not up"
                                     : "no route for this path");
    errorpage_send(e, x,
                   &(struct failure){.status = incomplete ? 503 : 404,
                                     .detail = buf_slice(&detail),
                                     .retry_after_s = incomplete ? MISSING_RETRY_S : 0,
                                     .unrouted = incomplete});
    buf_deinit(&detail);
}

bool errorpage_refusal(struct errorpage *e, const struct http_request *req,
                       const struct refusal *why, struct http_answer *answer)
{
    if (!e || !e->dev || !wants_page(req))
        return false;
    struct buf *body = fresh(e);
    errorpage_html(e, req,
                   &(struct failure){.status = why->status, .detail = slice_of(why->detail)},
                   body);
    *answer = (struct http_answer){
        .status = why->status,
        .headers = page_fields,
        .header_count = ARRAY_LEN(page_fields),
        .content_type = SLICE("text/html; charset=utf-8"),
        .body = buf_slice(body),
    };
    return true;
}
