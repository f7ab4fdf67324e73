#include "config/proxied.h"

#include <ctype.h>
#include <stdio.h>

#include "config/check.h"
#include "config/value.h"

enum { KEY_MAX_LEN = 128, AUTHORITY_MAX_LEN = 255 };

static int fail(const struct reader *r, const struct toml_node *at, const char *wanted,
                struct slice found)
{
    return reader_fail(r, at->at, "%s, not %s", wanted, value_quote(r->arena, found));
}

/* A token of HTTP: what a field or a cookie may be called. */
static bool is_token(const char *text)
{
    size_t len = 0;
    while (text[len] &&
           (isalnum((unsigned char)text[len]) || strchr("!#$%&'*+-.^_`|~", text[len])))
        len++;
    return len > 0 && len <= KEY_MAX_LEN && text[len] == '\0';
}

/* ----------------------------------------------------------------- addresses */

/* HOST, HOST:PORT, [V6] or [V6]:PORT. */
static bool authority_read(struct slice text, bool *has_port)
{
    const char *end = NULL;
    size_t host = 0;
    uint64_t port;
    if (text.len && text.ptr[0] == '[')
        end = memchr(text.ptr, ']', text.len);
    if (end)
        host = (size_t)(end - text.ptr) + 1;
    while (!end && host < text.len &&
           (isalnum((unsigned char)text.ptr[host]) || strchr("-._", text.ptr[host])))
        host++;
    if (host == 0 || text.len > AUTHORITY_MAX_LEN)
        return false;
    *has_port = host < text.len;
    return !*has_port || (text.ptr[host] == ':' &&
                          slice_to_u64(slice_from(text, host + 1), UINT16_MAX, &port) && port);
}

/* Bytes that may stand in a request's path as they are. */
static bool base_valid(struct slice base)
{
    for (size_t i = 0; i < base.len; i++)
        if ((unsigned char)base.ptr[i] <= 0x20 || (unsigned char)base.ptr[i] >= 0x7f ||
            strchr("?#\"<>\\^`{|}", base.ptr[i]))
            return false;
    return true;
}

bool route_url_read(const char *text, struct arena *arena, struct route_url *out)
{
    static const struct slice http = {"http://", 7}, local = {"unix:", 5};
    struct slice rest = slice_of(text);
    bool has_port = false;
    if (slice_starts(rest, local)) {
        *out = (struct route_url){.address = arena_strdup(arena, rest),
                                  .authority = SLICE("localhost")};
        return rest.len > local.len;
    }
    if (!slice_starts(rest, http))
        return false;
    rest = slice_from(rest, http.len);
    const char *slash = rest.len ? memchr(rest.ptr, '/', rest.len) : NULL;
    struct slice authority = {rest.ptr, slash ? (size_t)(slash - rest.ptr) : rest.len};
    struct slice base = slice_from(rest, authority.len);
    while (base.len && base.ptr[base.len - 1] == '/')
        base.len--;
    if (!authority_read(authority, &has_port) || !base_valid(base))
        return false;
    char *address = xasprintf(SLICE_FMT "%s", SLICE_ARG(authority), has_port ? "" : ":80");
    *out = (struct route_url){.address = arena_strdup(arena, slice_of(address)),
                              .authority = arena_copy(arena, authority),
                              .base = arena_copy(arena, base)};
    xfree(address);
    return true;
}

/* A relative path of a socket is relative to the configuration's folder. */
static void settle_path(const struct reader *r, const char **url)
{
    static const struct slice local = {"unix:", 5};
    if (!slice_starts(slice_of(*url), local) || !(*url)[local.len])
        return;
    char *whole = xasprintf("unix:%s", reader_path(r, slice_of(*url + local.len)));
    *url = arena_strdup(r->arena, slice_of(whole));
    xfree(whole);
}

static int check_urls(const struct reader *r, const struct toml_node *to,
                      struct route_config *route)
{
    for (size_t i = 0; i < route->urls.count; i++) {
        settle_path(r, &route->urls.items[i]);
        struct slice url = slice_of(route->urls.items[i]);
        struct route_url parts;
        struct toml_place at = check_item_place(to, i);
        const char *quoted = value_quote(r->arena, url);
        if (slice_starts(url, SLICE("https://")))
            return reader_fail(r, at,
                               "to %s: nodey speaks http to others, not https; let a program "
                               "that does stand between them",
                               quoted);
        if (!route_url_read(route->urls.items[i], r->arena, &parts))
            return reader_fail(r, at,
                               "to must be addresses such as \"http://127.0.0.1:8080\" or "
                               "\"unix:/run/app.sock\", not %s",
                               quoted);
        for (size_t j = 0; j < i; j++)
            if (strcmp(route->urls.items[i], route->urls.items[j]) == 0)
                return reader_fail(r, at, "to names %s twice", quoted);
    }
    return 0;
}

/* --------------------------------------------------------------------- paths */

static bool is_below(const char *path, struct slice prefix)
{
    return strncmp(path, prefix.ptr, prefix.len) == 0 &&
           (path[prefix.len] == '\0' || path[prefix.len] == '/');
}

static int check_strip(const struct reader *r, const struct toml_node *node,
                       struct route_config *route)
{
    struct slice prefix = slice_of(route->strip_prefix);
    while (prefix.len && prefix.ptr[prefix.len - 1] == '/')
        prefix.len--;
    if (!prefix.len || prefix.ptr[0] != '/' || !base_valid(prefix))
        return fail(r, node, "strip_prefix must be a path such as \"/api\"", node->string);
    if (!is_below(route->path, prefix))
        return reader_fail(r, node->at, "strip_prefix %s is not how the route's path %s begins",
                           value_quote(r->arena, prefix),
                           value_quote(r->arena, slice_of(route->path)));
    route->strip_prefix = arena_strdup(r->arena, prefix);
    return 0;
}

static int check_rewrite(const struct reader *r, const struct toml_node *node,
                         const struct route_config *route)
{
    struct slice to = slice_of(route->rewrite);
    const char *star = to.len ? memchr(to.ptr, '*', to.len) : NULL;
    if (to.len == 0 || to.ptr[0] != '/' || !base_valid(to))
        return fail(r, node, "rewrite must be a path such as \"/v2/*\"", node->string);
    if (star && star + 1 != to.ptr + to.len)
        return fail(r, node, "a * of rewrite must be its end", node->string);
    if (star && !strchr(route->path, '*'))
        return reader_fail(r, node->at,
                           "the * of rewrite stands for what the * of the route's path did "
                           "match, and path %s has none",
                           value_quote(r->arena, slice_of(route->path)));
    return 0;
}

static int check_paths(const struct reader *r, const struct toml_node *table,
                       struct route_config *route)
{
    const struct toml_node *strip = toml_get(table, "strip_prefix");
    const struct toml_node *rewrite = toml_get(table, "rewrite");
    if (strip && rewrite)
        return reader_fail(r, rewrite->key_at,
                           "strip_prefix and rewrite both make another path: one must go");
    if (strip)
        return check_strip(r, strip, route);
    return rewrite ? check_rewrite(r, rewrite, route) : 0;
}

/* -------------------------------------------------------------------- policy */

/* "header:NAME" and "cookie:NAME": names of fields are kept in lower case. */
static bool read_keyed(const struct reader *r, struct route_config *route)
{
    const char *colon = strchr(route->policy, ':');
    bool header = strncmp(route->policy, "header:", 7) == 0;
    if (!colon || !(header || strncmp(route->policy, "cookie:", 7) == 0) ||
        !is_token(colon + 1))
        return false;
    char *key = arena_strdup(r->arena, slice_of(colon + 1));
    for (char *at = key; header && *at; at++)
        *at = (char)tolower((unsigned char)*at);
    route->policy_key = key;
    route->balance = header ? POLICY_HEADER : POLICY_COOKIE;
    return true;
}

static int check_policy(const struct reader *r, const struct toml_node *table,
                        struct route_config *route)
{
    static const char *const names[] = {
        [POLICY_LEAST_CONN] = "least_conn",
        [POLICY_ROUND_ROBIN] = "round_robin",
        [POLICY_RANDOM] = "random",
        [POLICY_IP_HASH] = "ip_hash",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(route->policy, names[i]) == 0) {
            route->balance = (int)i;
            return 0;
        }
    if (read_keyed(r, route))
        return 0;
    const struct toml_node *node = toml_get(table, "policy");
    return fail(r, node ? node : table,
                "policy must be \"least_conn\", \"round_robin\", \"random\", \"ip_hash\", "
                "\"header:NAME\" or \"cookie:NAME\"",
                slice_of(route->policy));
}

/* ---------------------------------------------------------------------- all */

/* Keys that mean nothing where they stand. */
static int refuse_keys(const struct reader *r, const struct toml_node *table,
                       const char *const *keys, const char *why)
{
    for (; *keys; keys++) {
        const struct toml_node *node = toml_get(table, *keys);
        if (node)
            return reader_fail(r, node->key_at, "%s %s", *keys, why);
    }
    return 0;
}

static int check_host(const struct reader *r, const struct toml_node *table,
                      const struct route_config *route)
{
    bool has_port;
    if (!route->host || authority_read(slice_of(route->host), &has_port))
        return 0;
    return fail(r, toml_get(table, "host"),
                "host must be \"upstream\" or a host name such as \"api.example.com\"",
                slice_of(route->host));
}

int proxied_check(const struct reader *r, const struct toml_node *table,
                  struct route_config *route, bool proxied)
{
    static const char *const ours[] = {
        "strip_prefix",   "rewrite",      "policy",          "host",
        "retries",        "try_duration", "connect_timeout", "idle_timeout",
        "tunnel_timeout", "max_fails",    "fail_duration",   NULL};
    static const char *const kept[] = {"cache", "cache_headers", NULL};
    if (!proxied)
        return refuse_keys(r, table, ours,
                           route->root ? "belongs to routes with a service or addresses, and "
                                         "this one has a root"
                                       : "belongs to routes with a service or addresses, and "
                                         "this one has a worker");
    if (refuse_keys(r, table, kept,
                    "belongs to routes with a worker: nodey keeps no answers of services and "
                    "addresses") < 0 ||
        check_urls(r, toml_get(table, "to"), route) < 0 || check_paths(r, table, route) < 0 ||
        check_policy(r, table, route) < 0)
        return r->err->code;
    return check_host(r, table, route);
}
