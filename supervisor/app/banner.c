#include "app/banner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/listing.h"
#include "base/log.h"
#include "os/holder.h"

enum {
    ROWS_MAX = 40,
    NOTES_MAX = 10,
    ROUTES_READ = 64, /* of one worker */
    ROUTES_WIDTH = 40,
    NAME_WIDTH = 20,
    WHY_MAX = 200,
};

#define BOLD  "\x1b[1m"
#define DIM   "\x1b[2m"
#define RED   "\x1b[31m"
#define RESET "\x1b[0m"

/* Names and paths come from files and workers: no control character reaches the terminal. */
static void add_safe(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        buf_addc(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
}

static void pad(struct buf *out, size_t from, size_t width)
{
    size_t len = out->len - from;
    buf_addf(out, "%*s", (int)(len < width ? width - len : 0), "");
}

/* "GET /, POST /login, +3": as many as fit, but one at least. */
static void add_routes(struct buf *out, const struct listed *routes, size_t count)
{
    size_t from = out->len;
    for (size_t i = 0; i < count; i++) {
        struct slice method = routes[i].method;
        size_t need = method.len + routes[i].path.len + 3;
        if (i && out->len - from + need > ROUTES_WIDTH) {
            buf_addf(out, ", +%zu", count - i);
            break;
        }
        if (i)
            buf_adds(out, ", ");
        add_safe(out, method);
        if (method.len)
            buf_addc(out, ' ');
        add_safe(out, routes[i].path);
    }
    pad(out, from, ROUTES_WIDTH);
}

/* As a person would name it. */
static struct slice shorten(const struct config *config, const char *path)
{
    size_t len = strlen(config->dir);
    bool below = strncmp(path, config->dir, len) == 0 && path[len] == '/';
    return slice_of(below ? path + len + 1 : path);
}

/* What runs. */
static struct slice program_of(const struct config *config, const struct worker_config *worker)
{
    return shorten(config, worker->script ? worker->script : worker->command.items[0]);
}

/* The trouble says the worker's name, which stands in front already. */
static struct slice why_down(const struct pool *pool)
{
    static const char middle[] = " does not start: ";
    const char *at = strstr(pool->trouble, middle);
    struct slice why = slice_of(at ? at + sizeof(middle) - 1 : pool->trouble);
    why.len = MIN(why.len, (size_t)WHY_MAX);
    return why;
}

/* Why it does not run, though nothing is wrong. */
static void add_rest(struct buf *out, const struct pool *pool)
{
    switch (pool->rest) {
    case POOL_WAITS:
        buf_addf(out, "waits for %s", pool->waits_for);
        break;
    case POOL_HELD:
        buf_adds(out, "stopped");
        break;
    case POOL_ENDED:
        buf_adds(out, pool->ended_well ? "completed" : RED "has ended" RESET);
        break;
    case POOL_DORMANT:
        buf_adds(out, DIM "not asked for" RESET);
        break;
    case POOL_RUNS:
        break;
    }
}

/* Where a service is found: by its routes, and at its own port. */
static void add_place(struct buf *out, const struct listed *routes, size_t count,
                      const struct pool *pool)
{
    char text[40] = "";
    struct listed port = {.path = slice_of(text)};
    if (!count && pool->config->port == PORT_AUTO)
        port.path = SLICE("a free port");
    else if (!count && pool->config->port)
        port.path.len = (size_t)snprintf(text, sizeof(text), "port %llu",
                                         (unsigned long long)pool->config->port);
    add_routes(out, count ? routes : &port, count ? count : 1);
}

static void add_worker(struct buf *out, const struct config *config, const struct pools *pools,
                       const struct pool *pool, size_t width)
{
    struct arena arena = {0};
    struct listed routes[ROUTES_READ];
    const char *name = pool->config->name;
    buf_adds(out, "  ");
    size_t from = out->len;
    add_safe(out, slice_of(name));
    pad(out, from, width);
    buf_adds(out, "  ");
    if (pool->rest != POOL_RUNS) {
        add_rest(out, pool);
    } else if (!pool_declaration(pool) && pool->trouble[0]) {
        buf_adds(out, RED "does not start" RESET ": ");
        add_safe(out, why_down(pool));
    } else {
        add_place(out, routes, listing_routes(config, pools, name, &arena, routes, ROUTES_READ),
                  pool);
        buf_adds(out, "  " DIM);
        add_safe(out, program_of(config, pool->config));
        buf_adds(out, RESET);
    }
    buf_addc(out, '\n');
    arena_deinit(&arena);
}

static const char files_name[] = "files";

static void add_files(struct buf *out, const struct config *config,
                      const struct route_config *route, size_t width)
{
    struct listed listed = {.method = SLICE("GET"), .path = slice_of(route->path)};
    buf_adds(out, "  ");
    size_t from = out->len;
    buf_adds(out, files_name);
    pad(out, from, width);
    buf_adds(out, "  ");
    add_routes(out, &listed, 1);
    buf_adds(out, "  " DIM);
    add_safe(out, shorten(config, route->root));
    buf_adds(out, RESET "\n");
}

static size_t name_width(const struct config *config, const struct pools *pools)
{
    size_t width = 0;
    for (size_t i = 0; i < config->route_count; i++)
        if (config->routes[i].root)
            width = strlen(files_name);
    list_each (at, &pools->list)
        width = MAX(width, strlen(container_of(at, struct pool, node)->config->name));
    return MIN(width, (size_t)NAME_WIDTH);
}

static void add_workers(struct buf *out, const struct config *config, const struct pools *pools)
{
    size_t width = name_width(config, pools), rows = 0;
    buf_addc(out, '\n');
    list_each (at, &pools->list) {
        const struct pool *pool = container_of(at, struct pool, node);
        if (!pool->leaving && rows++ < ROWS_MAX)
            add_worker(out, config, pools, pool, width);
    }
    for (size_t i = 0; i < config->route_count; i++)
        if (config->routes[i].root && rows++ < ROWS_MAX)
            add_files(out, config, &config->routes[i], width);
    if (rows > ROWS_MAX)
        buf_addf(out, "  and %zu more\n", rows - ROWS_MAX);
    if (rows == 0)
        buf_adds(out, "  nothing yet: put a script into workers/\n");
}

/*
 * "workers/: fib.py (python3) is served": the list above says as much.  And why nothing is
 * served has been told with that.
 */
static bool is_said(const struct config *config, const char *note)
{
    size_t len = strlen(note);
    return (len > 7 && strcmp(note + len - 7, " served") == 0) ||
           (config->empty && strstr(config->empty, note));
}

static void add_notes(struct buf *out, const struct config *config)
{
    const struct string_list *notes = &config->notes;
    size_t count = 0;
    for (size_t i = 0; i < notes->count; i++) {
        if (is_said(config, notes->items[i]) || count++ >= NOTES_MAX)
            continue;
        buf_adds(out, count == 1 ? "\n  " DIM : "  " DIM);
        add_safe(out, slice_of(notes->items[i]));
        buf_adds(out, RESET "\n");
    }
    if (count > NOTES_MAX)
        buf_addf(out, "  " DIM "and %zu more: see nodey check" RESET "\n", count - NOTES_MAX);
}

void banner_show(const struct config *config, const struct pools *pools, const char *url,
                 bool watching)
{
    struct buf out = {0};
    if (!log_is_pretty()) {
        log_line(LOG_INFO, "nodey", "nodey ready on %s", url);
        return;
    }
    buf_adds(&out, "\n" BOLD "nodey ready on ");
    add_safe(&out, slice_of(url));
    buf_adds(&out, RESET "\n");
    add_workers(&out, config, pools);
    add_notes(&out, config);
    buf_adds(&out, watching ? "\nWatching for changes.  Ctrl-C ends it.\n\n"
                            : "\nCtrl-C ends it.\n\n");
    log_show(buf_slice(&out));
    buf_deinit(&out);
}

void banner_tell_ready(const struct config *config, const struct pool *pool)
{
    struct arena arena = {0};
    struct buf out = {0};
    struct listed routes[ROUTES_READ];
    const char *name = pool->config->name;
    add_place(&out, routes,
              listing_routes(config, pool->pools, name, &arena, routes, ROUTES_READ), pool);
    while (out.len && out.ptr[out.len - 1] == ' ') /* a column's */
        out.len--;
    log_line(LOG_INFO, name, out.len ? "ready: %s" : "ready", buf_cstr(&out));
    buf_deinit(&out);
    arena_deinit(&arena);
}

void banner_no_port(const char *address, const struct err *err)
{
    char holder[128];
    const char *colon = strrchr(address, ':');
    unsigned port = (unsigned)atoi(colon ? colon + 1 : address);
    unsigned other = port < UINT16_MAX ? port + 1 : 8000;
    if (err->code == -EADDRINUSE && holder_find(port, holder, sizeof(holder)))
        log_line(LOG_ERROR, "nodey",
                 "cannot listen on %s: it is in use, by %s; end that, or take another port, "
                 "as with --listen %u",
                 address, holder, other);
    else if (err->code == -EADDRINUSE)
        log_line(LOG_ERROR, "nodey", "%s; take another port, as with --listen %u", err->text,
                 other);
    else if (err->code == -EACCES)
        log_line(LOG_ERROR, "nodey",
                 "%s; ports below 1024 are not for everybody: take a higher one, as with "
                 "--listen 8000",
                 err->text);
    else if (err->code == -EADDRNOTAVAIL)
        log_line(LOG_ERROR, "nodey",
                 "%s; this machine has no such address: 127.0.0.1 is for this machine alone, "
                 "0.0.0.0 for everybody",
                 err->text);
    else
        log_line(LOG_ERROR, "nodey", "%s", err->text);
}
