#include "app/proxy_head.h"

#include "http/field.h"
#include "http/mediatype.h"

/* ---------------------------------------------------------------------- path */

/* How many segments a pattern or a prefix has in front of its "*". */
static size_t segments_of(const char *pattern)
{
    size_t count = 0;
    for (const char *at = pattern; *at && !(at[0] == '/' && at[1] == '*'); at++)
        count += *at == '/';
    return count;
}

/* Without its first segments: "" or what begins with a slash. */
static struct slice skip_segments(struct slice path, size_t count)
{
    while (count-- && path.len) {
        const char *slash = memchr(path.ptr + 1, '/', path.len - 1);
        path = slice_from(path, slash ? (size_t)(slash - path.ptr) : path.len);
    }
    return path;
}

/* Two slashes at its beginning would be taken for a host by some. */
static struct slice strip(const char *prefix, struct slice path)
{
    path = skip_segments(path, segments_of(prefix));
    while (path.len > 1 && path.ptr[1] == '/')
        path = slice_from(path, 1);
    return path.len ? path : SLICE("/");
}

static struct slice rewrite(const struct route_config *route, struct slice path,
                            struct arena *arena)
{
    struct slice to = slice_of(route->rewrite);
    if (to.ptr[to.len - 1] != '*')
        return to;
    struct slice rest = skip_segments(path, segments_of(route->path));
    while (rest.len && rest.ptr[0] == '/')
        rest = slice_from(rest, 1);
    char *whole = arena_alloc(arena, to.len - 1 + rest.len);
    memcpy(whole, to.ptr, to.len - 1);
    if (rest.len)
        memcpy(whole + to.len - 1, rest.ptr, rest.len);
    return (struct slice){whole, to.len - 1 + rest.len};
}

struct slice proxy_path(const struct route_config *route, struct slice path,
                        struct arena *arena)
{
    if (route->strip_prefix)
        return strip(route->strip_prefix, path);
    return route->rewrite ? rewrite(route, path, arena) : path;
}

/* ------------------------------------------------------------------- request */

bool proxy_is_idempotent(struct slice method)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (slice_is(method, methods[i]))
            return true;
    return false;
}

bool proxy_is_chunked(const struct http_request *req)
{
    return req->more && !req->has_length;
}

struct slice proxy_field(const struct http_request *req, struct slice name)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (slice_eq(req->headers[i].name, name))
            return req->headers[i].value;
    return (struct slice){0};
}

struct slice proxy_cookie(const struct http_request *req, struct slice name)
{
    for (size_t i = 0; i < req->header_count; i++) {
        struct slice rest = req->headers[i].value;
        if (!slice_is(req->headers[i].name, "cookie"))
            continue;
        while (rest.len) {
            const char *end = memchr(rest.ptr, ';', rest.len);
            struct slice pair = {rest.ptr, end ? (size_t)(end - rest.ptr) : rest.len};
            rest = slice_from(rest, MIN(pair.len + 1, rest.len));
            pair = slice_trim(pair);
            if (pair.len > name.len && slice_starts(pair, name) && pair.ptr[name.len] == '=')
                return slice_from(pair, name.len + 1);
        }
    }
    return (struct slice){0};
}

static void add_field(struct buf *out, struct slice name, struct slice value)
{
    char *at = buf_reserve(out, name.len + value.len + 4);
    memcpy(at, name.ptr, name.len);
    memcpy(at + name.len, ": ", 2);
    if (value.len)
        memcpy(at + name.len + 2, value.ptr, value.len);
    memcpy(at + name.len + 2 + value.len, "\r\n", 2);
    out->len += name.len + value.len + 4;
}

static struct slice host_of(const struct proxy_ask *ask)
{
    const char *host = ask->route->host;
    if (host && strcmp(host, "upstream") != 0)
        return slice_of(host);
    return host || !ask->request->host.len ? ask->authority : ask->request->host;
}

/* Behind the host's colon, else what the scheme means. */
static struct slice port_of(const struct http_request *req)
{
    struct slice host = req->host;
    const char *colon = host.len ? memrchr(host.ptr, ':', host.len) : NULL;
    const char *bracket = host.len ? memrchr(host.ptr, ']', host.len) : NULL;
    if (colon && colon > bracket && colon + 1 < host.ptr + host.len)
        return slice_from(host, (size_t)(colon + 1 - host.ptr));
    return req->https ? SLICE("443") : SLICE("80");
}

/* The nearest trusted proxy's word, which is among the fields only if it is one. */
static struct slice trusted(const struct http_request *req, struct slice name,
                            struct slice otherwise)
{
    struct slice said = proxy_field(req, name);
    return said.len ? said : otherwise;
}

static void add_forwarded(struct buf *out, const struct http_request *req, struct slice host)
{
    bool v6 = req->ip.len && memchr(req->ip.ptr, ':', req->ip.len);
    buf_adds(out, "Forwarded: for=");
    buf_adds(out, v6 ? "\"[" : "");
    buf_add(out, req->ip.len ? req->ip : SLICE("unknown"));
    buf_adds(out, v6 ? "]\"" : "");
    buf_adds(out, req->https ? ";proto=https" : ";proto=http");
    if (host.len && !memchr(host.ptr, '"', host.len) && !memchr(host.ptr, '\\', host.len)) {
        buf_adds(out, ";host=\"");
        buf_add(out, host);
        buf_adds(out, "\"");
    }
    buf_adds(out, "\r\n");
}

static void add_origin(struct buf *out, const struct proxy_ask *ask)
{
    const struct http_request *req = ask->request;
    struct slice host = trusted(req, SLICE("x-forwarded-host"), req->host);
    if (req->ip.len) {
        add_field(out, SLICE("X-Forwarded-For"), req->ip);
        add_field(out, SLICE("X-Real-IP"), req->ip);
    }
    add_field(out, SLICE("X-Forwarded-Proto"), req->https ? SLICE("https") : SLICE("http"));
    if (host.len)
        add_field(out, SLICE("X-Forwarded-Host"), host);
    add_field(out, SLICE("X-Forwarded-Port"),
              trusted(req, SLICE("x-forwarded-port"), port_of(req)));
    if (ask->route->strip_prefix)
        add_field(out, SLICE("X-Forwarded-Prefix"), slice_of(ask->route->strip_prefix));
    add_forwarded(out, req, host);
    add_field(out, SLICE("X-Request-Id"), req->id);
}

static void add_framing(struct buf *out, const struct http_request *req)
{
    bool bodiless = slice_is(req->method, "GET") || slice_is(req->method, "HEAD");
    if (proxy_is_chunked(req)) {
        buf_adds(out, "Transfer-Encoding: chunked\r\n");
    } else if (req->more || req->has_length || req->body.len || !bodiless) {
        buf_adds(out, "Content-Length: ");
        buf_addu(out, req->more ? req->length : req->body.len);
        buf_adds(out, "\r\n");
    }
    if (req->upgrade.len) {
        buf_adds(out, "Connection: Upgrade\r\n");
        add_field(out, SLICE("Upgrade"), req->upgrade);
    }
}

/* The client's own fields, but for those that are written anew. */
static void add_fields(struct buf *out, const struct http_request *req)
{
    for (size_t i = 0; i < req->header_count; i++) {
        const struct field *f = &req->headers[i];
        enum field_id id = field_lookup(f->name);
        if (id != FIELD_HOST && id != FIELD_CONTENT_LENGTH && !field_is_forwarding(id) &&
            !field_is_hop(id))
            add_field(out, f->name, f->value);
    }
}

void proxy_write_head(struct buf *out, const struct proxy_ask *ask)
{
    const struct http_request *req = ask->request;
    struct arena arena = {0};
    buf_add(out, req->method);
    buf_addc(out, ' ');
    buf_add(out, ask->base);
    buf_add(out, proxy_path(ask->route, req->path, &arena));
    arena_deinit(&arena);
    if (req->has_query) {
        buf_addc(out, '?');
        buf_add(out, req->query);
    }
    buf_adds(out, " HTTP/1.1\r\n");
    add_field(out, SLICE("Host"), host_of(ask));
    add_fields(out, req);
    add_origin(out, ask);
    add_framing(out, req);
    buf_adds(out, "\r\n");
}

/* -------------------------------------------------------------------- answer */

/* Does a Connection field of the head name this one? */
static bool is_named(const struct answer_head *head, struct slice name)
{
    for (size_t i = 0; i < head->field_count; i++) {
        struct slice rest = head->fields[i].value, item;
        if (field_lookup(head->fields[i].name) != FIELD_CONNECTION)
            continue;
        while (list_take(&rest, &item))
            if (slice_eq_nocase(item, name) && !slice_eq_nocase(item, SLICE("upgrade")))
                return true;
    }
    return false;
}

/* Does it have a Connection field with more than the usual in it? */
static bool names_fields(const struct answer_head *head)
{
    for (size_t i = 0; i < head->field_count; i++) {
        struct slice value = head->fields[i].value;
        if (field_lookup(head->fields[i].name) == FIELD_CONNECTION &&
            !slice_eq_nocase(value, SLICE("keep-alive")) &&
            !slice_eq_nocase(value, SLICE("close")) &&
            !slice_eq_nocase(value, SLICE("upgrade")))
            return true;
    }
    return false;
}

void proxy_read_answer(const struct answer_head *head, const struct field *extra,
                       struct arena *arena, struct http_answer *answer)
{
    bool names = names_fields(head);
    *answer = (struct http_answer){
        .status = head->status,
        .reason = head->reason,
        .headers = head->fields,
        .header_count = head->field_count,
    };
    if (!names && !extra)
        return;
    struct field *fields = arena_alloc(arena, (head->field_count + 1) * sizeof(*fields));
    size_t count = 0;
    for (size_t i = 0; i < head->field_count; i++)
        if (!names || !is_named(head, head->fields[i].name))
            fields[count++] = head->fields[i];
    if (extra)
        fields[count++] = *extra;
    answer->headers = fields;
    answer->header_count = count;
}

bool proxy_is_event_stream(const struct answer_head *head)
{
    static const char *const types[] = {"text/event-stream"};
    for (size_t i = 0; i < head->field_count; i++)
        if (field_lookup(head->fields[i].name) == FIELD_CONTENT_TYPE)
            return mediatype_fits(head->fields[i].value, types, ARRAY_LEN(types));
    return false;
}
