#include "app/identity.h"

#include <stdio.h>

static bool is_star(const struct field *param)
{
    return slice_is(param->name, "*");
}

/* The next parameter stands in this segment, as it is written. */
static bool stands_for(const struct router_match *match, size_t param, struct slice segment)
{
    return param < match->param_count && !is_star(&match->params[param]) &&
           slice_eq(match->params[param].value, segment);
}

/* Segments that are parameters become their names; the rest stays. */
static struct slice shape(const struct router_match *match, struct slice path,
                          struct arena *arena)
{
    struct buf out = {0};
    size_t param = 0;
    for (size_t at = 0; at < path.len;) {
        const char *slash = memchr(path.ptr + at, '/', path.len - at);
        size_t end = slash ? (size_t)(slash - path.ptr) : path.len;
        struct slice segment = {path.ptr + at, end - at};
        if (segment.len && stands_for(match, param, segment)) {
            buf_addc(&out, ':');
            buf_add(&out, match->params[param++].name);
        } else {
            buf_add(&out, segment);
        }
        buf_adds(&out, slash ? "/" : "");
        at = end + 1;
    }
    struct slice route = param ? arena_copy(arena, buf_slice(&out)) : (struct slice){0};
    buf_deinit(&out);
    return route;
}

void identity_read(const struct gateway *g, const struct http_request *req, struct arena *arena,
                   struct call_identity *id)
{
    struct router_match match = {0};
    *id = (struct call_identity){
        .method = req->method, .path = req->path, .query = req->query, .body = req->body};
    if (router_find(g->routes->router, req->method, req->path, arena, &match) == ROUTER_FOUND)
        id->route = shape(&match, req->path, arena);
}

static struct slice traceparent_of(const struct http_request *req)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (slice_is(req->headers[i].name, "traceparent"))
            return req->headers[i].value;
    return (struct slice){0};
}

void identity_describe(const struct http_request *req, struct call_about *about)
{
    snprintf(about->what, sizeof(about->what), SLICE_FMT " " SLICE_FMT "%s" SLICE_FMT,
             SLICE_ARG(req->method), SLICE_ARG(req->path), req->has_query ? "?" : "",
             SLICE_ARG(req->query));
    about->request_id = req->id;
    about->traceparent = traceparent_of(req);
}
