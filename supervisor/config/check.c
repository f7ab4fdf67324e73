#include "config/check.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/account.h"
#include "config/bus.h"
#include "config/proxied.h"
#include "config/pyapp.h"
#include "config/value.h"

enum { TOKEN_MAX_LEN = 128, METHOD_MAX_LEN = 32 };

/* Of the value, or of the section when it has no such key. */
static struct toml_place place_of(const struct toml_node *table, const char *key)
{
    const struct toml_node *node = toml_get(table, key);
    return node ? node->at : table->at;
}

struct toml_place check_item_place(const struct toml_node *value, size_t n)
{
    if (value->type != TOML_ARRAY)
        return value->at;
    const struct toml_node *item = value->items.first;
    while (n--)
        item = item->next;
    return item->at;
}

/* HOST:PORT, :PORT or PORT; whether the host exists is seen when it is opened. */
static bool is_tcp_address(const char *text)
{
    uint64_t port;
    const char *colon = strrchr(text, ':');
    struct slice host = {text, colon ? (size_t)(colon - text) : 0};
    bool bracketed = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (!bracketed && host.len && (host.ptr[0] == '[' || memchr(host.ptr, ':', host.len)))
        return false;
    return slice_to_u64(slice_of(colon ? colon + 1 : text), UINT16_MAX, &port);
}

static int check_listen(const struct reader *r, struct toml_place at, const char **listen)
{
    static const char prefix[] = "unix:";
    size_t len = sizeof(prefix) - 1;
    if (strncmp(*listen, prefix, len) != 0) {
        if (is_tcp_address(*listen))
            return 0;
    } else if ((*listen)[len]) {
        const char *path = reader_path(r, slice_of(*listen + len));
        char *whole = xasprintf("%s%s", prefix, path);
        *listen = arena_strdup(r->arena, slice_of(whole));
        xfree(whole);
        return 0;
    }
    return reader_fail(r, at,
                       "listen must be \"HOST:PORT\", \":PORT\", \"PORT\" or "
                       "\"unix:PATH\", not %s",
                       value_quote(r->arena, slice_of(*listen)));
}

/* "10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8". */
static bool is_network(const char *text)
{
    unsigned char bytes[16];
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof(address))
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    bool v4 = inet_pton(AF_INET, address, bytes) == 1;
    if (!v4 && inet_pton(AF_INET6, address, bytes) != 1)
        return false;
    uint64_t bits;
    return !slash || slice_to_u64(slice_of(slash + 1), v4 ? 32 : 128, &bits);
}

static int check_compress(const struct reader *r, const struct toml_node *table,
                          const struct server_config *server)
{
    static const char *const codings[] = {"zstd", "br", "gzip"};
    for (size_t i = 0; i < server->compress.count; i++) {
        const char *name = server->compress.items[i];
        size_t known = 0;
        while (known < ARRAY_LEN(codings) && strcmp(name, codings[known]) != 0)
            known++;
        for (size_t j = 0; j < i; j++)
            if (strcmp(name, server->compress.items[j]) == 0)
                known = ARRAY_LEN(codings);
        if (known == ARRAY_LEN(codings))
            return reader_fail(r, check_item_place(toml_get(table, "compress"), i),
                               "compress must hold \"zstd\", \"br\" and \"gzip\", each at "
                               "most once, not %s",
                               value_quote(r->arena, slice_of(name)));
    }
    for (size_t i = 0; i < server->compress_types.count; i++) {
        const char *type = server->compress_types.items[i];
        const char *slash = strchr(type, '/'), *star = strchr(type, '*');
        if (!slash || slash == type || !slash[1] || (star && strchr(star + 1, '*')))
            return reader_fail(r, check_item_place(toml_get(table, "compress_types"), i),
                               "compress_types must hold media types such as \"text/html\" or "
                               "\"text/*\", not %s",
                               value_quote(r->arena, slice_of(type)));
    }
    return 0;
}

int check_server(const struct reader *r, const struct toml_node *table,
                 struct server_config *server)
{
    if (check_compress(r, table, server) < 0)
        return r->err->code;
    const struct toml_node *proxies = toml_get(table, "trusted_proxies");
    for (size_t i = 0; proxies && i < server->trusted_proxies.count; i++) {
        const char *proxy = server->trusted_proxies.items[i];
        if (!is_network(proxy) && strcmp(proxy, "unix") != 0)
            return reader_fail(r, check_item_place(proxies, i),
                               "trusted_proxies must hold addresses such as \"10.0.0.1\" or "
                               "\"10.0.0.0/8\", not %s",
                               value_quote(r->arena, slice_of(proxy)));
    }
    return check_listen(r, place_of(table, "listen"), &server->listen);
}

static int check_program(const struct reader *r, const struct toml_node *table,
                         const struct worker_config *w)
{
    const char *first = w->script ? "a script" : w->app ? "an app" : NULL;
    const char *other = w->command.count ? "command" : w->script && w->app ? "app" : NULL;
    if (first && other)
        return reader_fail(r, place_of(table, other),
                           "[workers.%s] has %s and %s %s: one of them must go", w->name, first,
                           *other == 'a' ? "an" : "a", other);
    if (w->app && !pyapp_valid(w->app))
        return reader_fail(r, place_of(table, "app"),
                           "app must be \"MODULE:NAME\" such as \"shop.wsgi:application\", or "
                           "\"MODULE:NAME()\" for a function that makes it, not %s",
                           value_quote(r->arena, slice_of(w->app)));
    return 0;
}

static int check_cwd(const struct reader *r, const struct toml_node *table,
                     const struct worker_config *w)
{
    struct stat st;
    const struct toml_node *cwd = toml_get(table, "cwd");
    if (!cwd)
        return 0;
    if (stat(w->cwd, &st) < 0)
        return reader_fail(r, cwd->at, "cwd %s: %s", value_quote(r->arena, cwd->string),
                           strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return reader_fail(r, cwd->at, "cwd %s: %s", value_quote(r->arena, cwd->string),
                           strerror(ENOTDIR));
    return 0;
}

static int check_tokens(const struct reader *r, const struct toml_node *table,
                        const struct worker_config *w)
{
    const struct toml_node *tokens = toml_get(table, "tokens");
    for (size_t i = 0; tokens && i < w->tokens.count; i++) {
        if (strlen(w->tokens.items[i]) > TOKEN_MAX_LEN)
            return reader_fail(r, check_item_place(tokens, i),
                               "a token must not be longer than %d bytes", TOKEN_MAX_LEN);
    }
    return 0;
}

static const char *title_of(const struct reader *r, const struct worker_config *w)
{
    char *text = xasprintf("[%s.%s]", w->is_service ? "services" : "workers", w->name);
    const char *kept = arena_strdup(r->arena, slice_of(text));
    xfree(text);
    return kept;
}

/* What stands under healthcheck, and whether there is a port that it may mean. */
static int check_health(const struct reader *r, const struct toml_node *table,
                        struct worker_config *w)
{
    static const char *const ways[] = {"test", "path", "tcp"};
    struct healthcheck_config *h = &w->healthcheck;
    const struct toml_node *node = toml_get(table, "healthcheck"), *first = NULL;
    for (size_t i = 0; node && i < ARRAY_LEN(ways); i++) {
        const struct toml_node *way = toml_get(node, ways[i]);
        if (way && first)
            return reader_fail(r, way->key_at,
                               "a healthcheck has a test, a path or a tcp: one of "
                               "them must go");
        first = way ? way : first;
    }
    h->disabled = h->test.count == 1 && strcmp(h->test.items[0], "NONE") == 0;
    if (h->path && h->path[0] != '/')
        return reader_fail(r, first->at, "path must begin with \"/\", not be %s",
                           value_quote(r->arena, slice_of(h->path)));
    if (h->path && !w->port)
        return reader_fail(r, first->at,
                           "path is asked at the service's port, and %s has no port",
                           title_of(r, w));
    if (h->tcp && !is_tcp_address(h->tcp))
        return reader_fail(r, first->at, "tcp must be \"HOST:PORT\", not %s",
                           value_quote(r->arena, slice_of(h->tcp)));
    return 0;
}

static int check_service(const struct reader *r, const struct toml_node *table,
                         struct worker_config *w)
{
    if (w->port && w->port != PORT_AUTO && w->instances > 1)
        return reader_fail(r, place_of(table, "port"),
                           "%llu instances cannot all listen on port %llu: write port = "
                           "\"auto\", and let them listen on the variable PORT",
                           (unsigned long long)w->instances, (unsigned long long)w->port);
    if (w->instances != w->instances_min)
        return reader_fail(r, place_of(table, "instances"),
                           "the number of a service's instances does not follow the load: "
                           "write a number");
    return check_health(r, table, w);
}

/* A limit that ends an instance, and one below it that replaces it in time. */
static int check_memory(const struct reader *r, const struct toml_node *table,
                        struct worker_config *w)
{
    if (w->memory && !toml_get(table, "max_memory") &&
        (!w->max_memory || w->max_memory > w->memory))
        w->max_memory = w->memory / 10 * 9;
    if (w->memory && w->max_memory > w->memory)
        return reader_fail(r, place_of(table, "max_memory"),
                           "max_memory must not exceed memory");
    return 0;
}

/* Found out now, and not when the first process is started. */
static int check_user(const struct reader *r, const struct toml_node *table,
                      const struct worker_config *w)
{
    struct account account;
    struct err err;
    if (!w->user && !w->group)
        return 0;
    if (account_find(&account, w->user, NULL, &err))
        return reader_fail(r, place_of(table, "user"), "user: %s", err.text);
    if (w->group && account_find(&account, w->user, w->group, &err))
        return reader_fail(r, place_of(table, "group"), "group: %s", err.text);
    if (!account_may_become(&account))
        return reader_fail(r, place_of(table, w->user ? "user" : "group"),
                           "only a nodey that runs as root can run %s as another user or "
                           "group: start it as root, or leave this out",
                           title_of(r, w));
    return 0;
}

int check_worker(const struct reader *r, const struct toml_node *table, struct worker_config *w)
{
    if (check_user(r, table, w) < 0)
        return r->err->code;
    if (check_memory(r, table, w) < 0 || (w->is_service && check_service(r, table, w) < 0))
        return r->err->code;
    if (check_program(r, table, w) < 0 || check_cwd(r, table, w) < 0 ||
        check_tokens(r, table, w) < 0)
        return r->err->code;
    if (w->backoff_min > w->backoff_max)
        return reader_fail(
            r, place_of(table, toml_get(table, "backoff_max") ? "backoff_max" : "backoff_min"),
            "backoff_min must not exceed backoff_max");
    if (w->ping_interval && w->ping_timeout > w->ping_kill)
        return reader_fail(
            r, place_of(table, toml_get(table, "ping_kill") ? "ping_kill" : "ping_timeout"),
            "ping_timeout must not exceed ping_kill");
    return 0;
}

static bool is_address(struct slice text)
{
    return memmem(text.ptr, text.len, "://", 3) || slice_starts(text, SLICE("unix:"));
}

bool check_names_address(const struct toml_node *to)
{
    const struct toml_node *first = to && to->type == TOML_ARRAY ? to->items.first : to;
    return first && first->type == TOML_STRING && is_address(first->string);
}

static int check_service_target(const struct reader *r, const struct toml_node *to,
                                const struct worker_config *w, bool has_token)
{
    if (w->is_service && !w->port)
        return reader_fail(
            r, to->at,
            "service %s has no port that requests could go to: write port = 3000 "
            "(where it listens), or port = \"auto\"",
            w->name);
    if (w->is_service && has_token)
        return reader_fail(r, to->at, "service %s has no tokens: write to = \"%s\"", w->name,
                           w->name);
    return 0;
}

/* `to` is "worker", "worker:Token" or "service". */
static int check_target(const struct reader *r, const struct toml_node *to,
                        const struct config *c)
{
    const char *colon = memchr(to->string.ptr, ':', to->string.len);
    struct slice name = {to->string.ptr,
                         colon ? (size_t)(colon - to->string.ptr) : to->string.len};
    struct slice token = slice_from(to->string, colon ? name.len + 1 : name.len);
    if (colon && (token.len == 0 || token.len > TOKEN_MAX_LEN))
        return reader_fail(r, to->at, "to %s: the token after \":\" must have 1 to %d bytes",
                           value_quote(r->arena, to->string), TOKEN_MAX_LEN);
    for (size_t i = 0; i < c->worker_count; i++)
        if (slice_is(name, c->workers[i].name))
            return check_service_target(r, to, &c->workers[i], colon != NULL);
    struct nearest nearest = nearest_init(name);
    for (size_t i = 0; i < c->worker_count; i++)
        nearest_offer(&nearest, c->workers[i].name);
    const char *quoted = value_quote(r->arena, name);
    if (nearest.best)
        return reader_fail(r, to->at, "to names no worker or service %s; did you mean \"%s\"?",
                           quoted, nearest.best);
    return reader_fail(r, to->at, "to names no worker or service %s", quoted);
}

static bool is_method(const char *text)
{
    size_t len = 0;
    while (isalpha((unsigned char)text[len]) || (len && text[len] == '-'))
        len++;
    return len > 0 && len <= METHOD_MAX_LEN && text[len] == '\0';
}

static int check_methods(const struct reader *r, const struct toml_node *table,
                         struct route_config *route)
{
    const struct toml_node *value = toml_get(table, "methods");
    const struct toml_node *other = toml_get(table, "method");
    if (value && other)
        return reader_fail(r, other->key_at, "method and methods mean the same: one must go");
    for (size_t i = 0; i < route->methods.count; i++) {
        const char *method = route->methods.items[i];
        if (!is_method(method))
            return reader_fail(r, check_item_place(value ? value : other, i),
                               "%s is no HTTP method", value_quote(r->arena, slice_of(method)));
        char *upper = arena_strdup(r->arena, slice_of(method));
        for (char *at = upper; *at; at++)
            *at = (char)toupper((unsigned char)*at);
        route->methods.items[i] = upper;
    }
    return 0;
}

static int check_root_folder(const struct reader *r, const struct toml_node *root,
                             const char *path)
{
    struct stat st;
    const char *quoted = value_quote(r->arena, root->string);
    if (stat(path, &st) < 0)
        return reader_fail(r, root->at,
                           "root %s: %s; make the folder (or run what builds it) first", quoted,
                           strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return reader_fail(r, root->at,
                           "root %s must be a folder, and is a file: name the "
                           "folder that it lies in",
                           quoted);
    return 0;
}

/* Files are only read: whatever the methods say, the route is GET's, and HEAD's with it. */
static int check_root_methods(const struct reader *r, const struct toml_node *table,
                              struct route_config *route)
{
    for (size_t i = 0; i < route->methods.count; i++) {
        const char *method = route->methods.items[i];
        if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
            return reader_fail(
                r, place_of(table, toml_get(table, "method") ? "method" : "methods"),
                "a route with a root takes GET and HEAD, not %s", method);
    }
    route->methods = string_list_of(r->arena, (const char *const[]){"GET"}, 1);
    return 0;
}

/* A route to files. */
static int check_root(const struct reader *r, const struct toml_node *table,
                      struct route_config *route)
{
    static const char *const others[] = {"timeout", "cache", "cache_headers"};
    size_t len = strlen(route->path);
    if (strcmp(route->path, "/") != 0 && strcmp(route->path + len - MIN(len, 2), "/*") != 0)
        return reader_fail(r, place_of(table, "path"),
                           "path %s of a route with a root must end in \"/*\"",
                           value_quote(r->arena, slice_of(route->path)));
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        const struct toml_node *node = toml_get(table, others[i]);
        if (node)
            return reader_fail(r, node->key_at,
                               "%s belongs to routes with a worker, and this one has a root%s",
                               others[i],
                               strcmp(others[i], "cache") == 0
                                   ? "; cache_control tells browsers how long to keep files"
                                   : "");
    }
    if (check_root_folder(r, toml_get(table, "root"), route->root) < 0)
        return r->err->code;
    return check_root_methods(r, table, route);
}

/* A route to a worker, a service or addresses. */
static int check_to(const struct reader *r, const struct toml_node *table,
                    const struct config *c, struct route_config *route)
{
    static const char *const others[] = {"index", "spa", "cache_control"};
    const struct toml_node *to = toml_get(table, "to");
    const struct toml_node *first = to->type == TOML_ARRAY ? to->items.first : to;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        const struct toml_node *node = toml_get(table, others[i]);
        if (node)
            return reader_fail(r, node->key_at,
                               "%s belongs to routes with a root, and this one has a worker",
                               others[i]);
    }
    if (!first)
        return reader_fail(r, to->at, "to must name a worker, a service or an address");
    if (is_address(first->string)) {
        route->urls = route->targets;
        return 0;
    }
    if (first != to && first->next)
        return reader_fail(r, first->next->at,
                           "to is one worker or service, or several addresses such as "
                           "\"http://10.0.0.1:8080\"");
    route->to = route->targets.items[0];
    return check_target(r, first, c);
}

static bool is_proxied(const struct config *c, const struct route_config *route)
{
    for (size_t i = 0; i < c->worker_count; i++)
        if (slice_is(route_config_worker(route), c->workers[i].name))
            return c->workers[i].is_service;
    return route->urls.count > 0;
}

int check_route(const struct reader *r, const struct toml_node *table, const struct config *c,
                struct route_config *route)
{
    const struct toml_node *to = toml_get(table, "to"), *root = toml_get(table, "root");
    if (!route->path)
        return reader_fail(r, table->at, "[[routes]] needs a path");
    bool of_bus = toml_get(table, "publish") || toml_get(table, "events");
    if (!to && !root && !of_bus)
        return reader_fail(r, table->at,
                           "[[routes]] needs a to (a worker) or a root (a folder "
                           "of files)");
    if ((to || root) && of_bus)
        return reader_fail(r, (to ? to : root)->key_at,
                           "a route with publish or events is served by nodey itself: %s must "
                           "go",
                           to ? "to" : "root");
    if (to && root)
        return reader_fail(r, root->key_at,
                           "a route has a worker (to) or files (root), not both: one must go");
    if (route->path[0] != '/')
        return reader_fail(r, place_of(table, "path"), "path must begin with \"/\", not be %s",
                           value_quote(r->arena, slice_of(route->path)));
    if (check_methods(r, table, route) < 0)
        return r->err->code;
    int rc = of_bus ? bus_check_route(r, table, route)
             : root ? check_root(r, table, route)
                    : check_to(r, table, c, route);
    return rc < 0 ? rc : proxied_check(r, table, route, is_proxied(c, route));
}

static bool serves(const struct route_config *route, const char *method)
{
    for (size_t i = 0; i < route->methods.count; i++)
        if (strcmp(route->methods.items[i], method) == 0)
            return true;
    return false;
}

/* The method that both name, or "" when neither names any; NULL when they differ. */
static const char *common_method(const struct route_config *a, const struct route_config *b)
{
    if (!a->methods.count || !b->methods.count)
        return a->methods.count == b->methods.count ? "" : NULL;
    for (size_t i = 0; i < a->methods.count; i++)
        if (serves(b, a->methods.items[i]))
            return a->methods.items[i];
    return NULL;
}

/* Parameters are the same whatever their names. */
static bool is_same_path(const char *a, const char *b)
{
    while (*a && *a == *b) {
        bool param = *a == '/' && a[1] == ':' && b[1] == ':';
        a++, b++;
        if (param) {
            a += strcspn(a, "/");
            b += strcspn(b, "/");
        }
    }
    return *a == *b;
}

int check_route_is_new(const struct route_origin *origins, const struct config *c, size_t index)
{
    const struct route_origin *new = &origins[index];
    const struct route_config *route = &c->routes[index];
    for (size_t i = 0; i < index; i++) {
        const struct route_config *old = &c->routes[i];
        const char *method =
            is_same_path(old->path, route->path) ? common_method(old, route) : NULL;
        if (!method)
            continue;
        const struct reader *r = new->reader, *first = origins[i].reader;
        return reader_fail(r, new->at, "route %s%s%s stands twice, first in %s%s%u", method,
                           *method ? " " : "", value_quote(r->arena, slice_of(route->path)),
                           first == r ? "line" : first->file, first == r ? " " : ":",
                           origins[i].at.line);
    }
    return 0;
}
