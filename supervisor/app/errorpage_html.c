/*
 * The page for a browser: the part of errorpage.h that makes HTML.
 */
#include <stdio.h>
#include <stdlib.h>

#include "app/errorpage.h"
#include "app/excerpt.h"
#include "app/html.h"
#include "app/listing.h"
#include "app/reproduce.h"
#include "app/traceback.h"
#include "config/script.h"

enum {
    STACK_MAX = 16 << 10,
    PLACES_MAX = 64,  /* in one traceback */
    SOURCES_MAX = 6,  /* of which the source is shown */
    BODY_MAX = 4096,  /* bytes of the request's body */
    VALUE_MAX = 1024, /* of a field's value */
    FIELDS_MAX = 100,
    ROUTES_READ = 512,
    ROUTES_SHOWN = 30,
    DOWN_SHOWN = 5, /* workers that do not start */
};

static void heading(struct buf *out, const char *text)
{
    html_addf(out, "<h2>%s</h2>\n", text);
}

static const struct config *config_of(const struct errorpage *e)
{
    return e->routes->config;
}

/* ----------------------------------------------------------------------- source */

static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 && (path[len] == '/' || strcmp(folder, "/") == 0);
}

static bool is_source(const char *path)
{
    static const char *const endings[] = {".py",  ".js",  ".mjs", ".cjs", ".ts",
                                          ".mts", ".cts", ".jsx", ".tsx"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < ARRAY_LEN(endings); i++)
        if (strcmp(dot, endings[i]) == 0)
            return true;
    return false;
}

static bool is_loaded(const struct pool *pool, const char *path)
{
    const struct ready *ready = pool_declaration(pool);
    if (pool->config->script && strcmp(pool->config->script, path) == 0)
        return true;
    for (size_t i = 0; ready && i < ready->file_count; i++)
        if (slice_is(ready->files[i], path))
            return true;
    return false;
}

/* The part of a path below a folder, whose own path may have links in it; or NULL. */
static const char *part_below(const char *path, const char *folder)
{
    char *real = realpath(folder, NULL);
    size_t len = real && is_below(path, real) ? strlen(real) : 0;
    xfree(real);
    return len ? path + len : NULL;
}

/* Somebody else's code is below the folder too: packages, environments, nodey's own. */
static bool is_foreign(const char *part)
{
    return strstr(part, "/node_modules/") || strstr(part, "/site-packages/") ||
           strstr(part, "/.");
}

/* May its source be shown?  `real` has no links in it. */
static bool is_users(const struct errorpage *e, const struct pool *pool, const char *path,
                     const char *real)
{
    const char *part = part_below(real, config_of(e)->dir);
    if (!is_source(path) || !is_source(real) || part_below(real, config_of(e)->server.data_dir))
        return false;
    return is_loaded(pool, path) || is_loaded(pool, real) || (part && !is_foreign(part));
}

static void add_excerpt(struct buf *out, const struct excerpt *x, unsigned line)
{
    struct slice rest = buf_slice(&x->text);
    buf_adds(out, "<pre>");
    for (unsigned number = x->first; rest.len; number++) {
        struct slice one = {rest.ptr,
                            (size_t)((char *)memchr(rest.ptr, '\n', rest.len) - rest.ptr)};
        buf_adds(out, number == line ? "<span class=\"here\">" : "<span>");
        html_addf(out, "<i>%u</i>", number);
        html_text(out, one);
        buf_adds(out, "</span>");
        rest = slice_from(rest, one.len + 1);
    }
    buf_adds(out, "</pre>\n");
}

/* A place in the user's own code, with its surroundings. */
static bool add_source(const struct errorpage *e, const struct pool *pool,
                       const struct trace_frame *frame, struct buf *out)
{
    struct excerpt x;
    char *real = realpath(frame->file, NULL);
    bool found =
        real && is_users(e, pool, frame->file, real) && excerpt_read(real, frame->line, &x);
    if (found) {
        const char *part = part_below(real, config_of(e)->dir);
        html_addf(out, "<div class=\"source\"><p><b>%s</b>, line %u", part ? part + 1 : real,
                  frame->line);
        if (frame->where.len)
            html_addf(out, ", in %.*s", SLICE_ARG(frame->where));
        buf_adds(out, "</p>\n");
        add_excerpt(out, &x, frame->line);
        buf_adds(out, "</div>\n");
        excerpt_deinit(&x);
    }
    xfree(real);
    return found;
}

/* The innermost place first, open; whoever called it is folded. */
static void add_sources(const struct errorpage *e, const struct failure *f, struct buf *out)
{
    struct trace_frame *places = xcalloc(PLACES_MAX, sizeof(*places));
    size_t count = 0, at = 0, shown = 0;
    bool backwards = traceback_is_python(f->stack);
    struct trace_frame next;
    while (traceback_next(f->stack, &at, &next)) {
        if (count == PLACES_MAX && !backwards)
            break;
        if (count == PLACES_MAX) /* the last ones count */
            memmove(places, places + 1, --count * sizeof(*places));
        places[count++] = next;
    }
    for (size_t i = 0; i < count && shown < SOURCES_MAX; i++) {
        struct buf source = {0};
        if (add_source(e, f->pool, &places[backwards ? count - 1 - i : i], &source)) {
            if (shown == 0)
                heading(out, "Where it happened");
            if (shown == 1)
                buf_adds(out, "<details><summary>Called from</summary>\n");
            buf_add(out, buf_slice(&source));
            shown++;
        }
        buf_deinit(&source);
    }
    if (shown > 1)
        buf_adds(out, "</details>\n");
    xfree(places);
}

static void add_stack(const struct failure *f, struct buf *out)
{
    struct slice stack = f->stack;
    stack.len = MIN(stack.len, (size_t)STACK_MAX);
    heading(out, f->raised ? "Traceback" : "What it said at its start");
    buf_adds(out, "<pre>");
    html_text(out, stack);
    buf_adds(out, "</pre>\n");
}

/* A new version that does not start, behind an old one that serves. */
static void add_newest(const struct tail *tail, struct buf *out)
{
    heading(out, "Its newest version does not start");
    buf_adds(out, "<p>The one before serves on.</p>\n<pre>");
    html_text(out, buf_slice(&tail->reason));
    buf_adds(out, "</pre>\n");
}

/* ----------------------------------------------------------------------- routes */

static void add_route_rows(const struct listed *all, size_t count, struct buf *out)
{
    buf_adds(out, "<table>\n");
    for (size_t i = 0; i < count && i < ROUTES_SHOWN; i++) {
        struct slice method = all[i].method.len ? all[i].method : SLICE("any");
        html_addf(out, "<tr><td>%.*s</td><td><code>%.*s</code></td><td>%s</td></tr>\n",
                  SLICE_ARG(method), SLICE_ARG(all[i].path), all[i].worker);
    }
    buf_adds(out, "</table>\n");
    if (count > ROUTES_SHOWN)
        html_addf(out, "<p>and %zu more</p>\n", count - ROUTES_SHOWN);
}

/* The nearest first.  Returns how many there are. */
static size_t add_routes(const struct errorpage *e, struct slice path, struct buf *out)
{
    struct arena arena = {0};
    struct listed *all = xcalloc(ROUTES_READ, sizeof(*all));
    size_t count = listing_routes(config_of(e), e->routes->pools, /* only= */ NULL, &arena, all,
                                  ROUTES_READ);
    listing_sort(all, count, path);
    if (count) {
        heading(out, "Routes");
        add_route_rows(all, count, out);
    }
    xfree(all);
    arena_deinit(&arena);
    return count;
}

/* NULL when all start. */
static const char *first_down(const struct errorpage *e)
{
    list_each (at, &e->routes->pools->list) {
        const struct pool *pool = container_of(at, struct pool, node);
        if (listing_is_down(pool))
            return pool->config->name;
    }
    return NULL;
}

/* What each of those that do not start has said; false: all do. */
static bool add_down(const struct errorpage *e, struct buf *out)
{
    size_t shown = 0;
    list_each (at, &e->routes->pools->list) {
        const struct pool *pool = container_of(at, struct pool, node);
        const struct tail *tail = e->tails ? tails_find(e->tails, pool->config->name) : NULL;
        if (!listing_is_down(pool) || shown++ >= DOWN_SHOWN)
            continue;
        html_addf(out, "<h2>%s does not start</h2>\n<pre>", pool->config->name);
        html_text(out, tail && tail->reason.len ? buf_slice(&tail->reason)
                                                : slice_of(pool->trouble));
        buf_adds(out, "</pre>\n");
    }
    return shown > 0;
}

static void add_first_script(struct buf *out)
{
    buf_adds(out, "<pre>");
    html_text(out, html_piece("hello.py"));
    buf_adds(out, "</pre>\n");
}

/* ---------------------------------------------------------------------- request */

static bool is_secret(struct slice name)
{
    static const char *const words[] = {"authorization", "cookie", "token",   "secret", "passw",
                                        "api-key",       "apikey", "session", "csrf",   "xsrf",
                                        "signature",     "auth",   "jwt"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (memmem(name.ptr, name.len, words[i], strlen(words[i])))
            return true;
    return false;
}

static void add_fields(const struct http_request *req, struct buf *out)
{
    buf_adds(out, "<table>\n");
    for (size_t i = 0; i < req->header_count && i < FIELDS_MAX; i++) {
        const struct field *field = &req->headers[i];
        struct slice value = {field->value.ptr, MIN(field->value.len, (size_t)VALUE_MAX)};
        html_addf(out, "<tr><td>%.*s</td><td>", SLICE_ARG(field->name));
        if (is_secret(field->name))
            html_addf(out, "(%zu characters, not shown)", field->value.len);
        else
            html_text(out, value);
        buf_adds(out, "</td></tr>\n");
    }
    buf_adds(out, "</table>\n");
}

static void add_body(const struct http_request *req, struct buf *out)
{
    struct slice body = req->more ? req->start : req->body;
    struct slice shown = {body.ptr, MIN(body.len, (size_t)BODY_MAX)};
    size_t size = req->more && req->has_length ? (size_t)req->length : body.len;
    if (!body.len)
        return;
    if (memchr(shown.ptr, '\0', shown.len)) {
        html_addf(out, "<p>The body has %zu bytes, which are no text.</p>\n", size);
        return;
    }
    buf_adds(out, "<pre class=\"wrap\">");
    html_text(out, shown);
    buf_adds(out, "</pre>\n");
    if (shown.len < size)
        html_addf(out, "<p>These are the first %zu of its %zu bytes.</p>\n", shown.len, size);
}

static void add_request(const struct http_request *req, struct buf *out)
{
    heading(out, "Request");
    buf_adds(out, "<pre class=\"wrap\">");
    html_text(out, req->method);
    buf_addc(out, ' ');
    html_text(out, req->path);
    if (req->has_query) {
        buf_addc(out, '?');
        html_text(out, req->query);
    }
    buf_adds(out, "</pre>\n");
    add_body(req, out);
    html_addf(out, "<details><summary>%zu header fields, from %.*s</summary>\n",
              req->header_count, SLICE_ARG(req->ip));
    add_fields(req, out);
    buf_adds(out, "</details>\n");
}

/* ------------------------------------------------------------------- what it said */

static void add_log(const struct tail *tail, const char *worker, struct buf *out)
{
    html_addf(out, "<h2>Last words of %s</h2>\n<pre class=\"log\">", worker);
    html_text(out, buf_slice(&tail->lines));
    buf_adds(out, "</pre>\n");
}

/* The SDK is found by its path, which a shell does not have. */
static char *sdk_setting(const struct errorpage *e, const struct worker_config *config)
{
    enum script_kind kind = config->script ? script_kind(config->script) : SCRIPT_OTHER;
    if (kind == SCRIPT_PYTHON && e->sdk_python)
        return xasprintf("PYTHONPATH=%s", e->sdk_python);
    if (kind == SCRIPT_NODE && e->sdk_node)
        return xasprintf("NODE_PATH=%s", e->sdk_node);
    return NULL;
}

static void add_commands(const struct errorpage *e, const struct http_request *req,
                         const struct pool *pool, struct buf *out)
{
    struct buf text = {0};
    heading(out, "Once more");
    reproduce_by_curl(&text, req);
    html_addf(out, "<pre class=\"wrap\">%.*s</pre>\n", (int)text.len, text.ptr);
    buf_clear(&text);
    if (pool) {
        char *sdk = sdk_setting(e, pool->config);
        if (reproduce_by_hand(&text, req, pool->config, config_of(e)->dir, sdk))
            html_addf(out,
                      "<p>or the program by itself, in %s:</p>\n"
                      "<pre class=\"wrap\">%.*s</pre>\n",
                      config_of(e)->dir, (int)text.len, text.ptr);
        xfree(sdk);
    }
    buf_deinit(&text);
}

/* --------------------------------------------------------------------------- page */

static void add_sections(const struct errorpage *e, const struct http_request *req,
                         const struct failure *f, const struct tail *tail, struct buf *out)
{
    bool lost = f->status == 405 || failure_is_unrouted(f);
    if (f->pool && f->stack.len) {
        add_sources(e, f, out);
        add_stack(f, out);
    }
    if (tail && tail->reason.len && f->status != 503)
        add_newest(tail, out);
    bool down = failure_is_unrouted(f) && add_down(e, out);
    if (lost && add_routes(e, req->path, out) == 0 && !down)
        add_first_script(out);
    add_request(req, out);
    if (tail && tail->lines.len)
        add_log(tail, f->pool->config->name, out);
    add_commands(e, req, f->pool, out);
}

void errorpage_html(const struct errorpage *e, const struct http_request *req,
                    const struct failure *f, struct buf *out)
{
    const struct tail *tail =
        f->pool && e->tails ? tails_find(e->tails, f->pool->config->name) : NULL;
    struct explanation words = {0};
    struct buf sections = {0};
    char status[8];
    snprintf(status, sizeof(status), "%u", f->status);
    failure_explain(
        f,
        &(struct circumstances){
            .request = req,
            .reason = tail ? buf_slice(&tail->reason) : (struct slice){0},
            .down = failure_is_unrouted(f) ? first_down(e) : NULL,
            .any_route = config_of(e)->route_count > 0 || !list_empty(&e->routes->pools->list),
            .watching = e->watching,
        },
        &words);
    add_sections(e, req, f, tail, &sections);
    const struct html_value values[] = {
        {"status", slice_of(status), false},       {"reason", http_reason(f->status), false},
        {"title", buf_slice(&words.title), false}, {"what", buf_slice(&words.what), false},
        {"next", buf_slice(&words.next), false},   {"sections", buf_slice(&sections), true},
        {"style", html_piece("error.css"), true},  {"id", req->id, false},
        {"version", SLICE(NODEY_VERSION), false},
    };
    html_fill(out, "error.html", values, ARRAY_LEN(values));
    buf_deinit(&sections);
    explanation_deinit(&words);
}
