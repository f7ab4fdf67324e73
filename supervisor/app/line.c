#include "app/line.h"

#include <stdio.h>

enum {
    LINE_HEAD = 64,       /* room for the id and the time left */
    SCRATCH_KEEP = 65536, /* a larger buffer is not kept for the next line */
};

const struct call_failure line_too_long = {
    .code = "invalid_argument",
    .status = 413,
    .text = "the request does not fit one line to the worker (max_line), which takes no bodies "
            "in pieces",
};

static bool wants_header(const struct ready *ready, struct slice name)
{
    if (!ready || ready->headers == READY_HEADERS_ALL)
        return true;
    if (ready->headers == READY_HEADERS_LIST)
        for (size_t i = 0; i < ready->header_count; i++)
            if (slice_eq(ready->header_names[i], name))
                return true;
    return false;
}

/* Is this the length of the body that the client gave in chunks? */
static bool needs_length(const struct http_request *req, const struct line_body *body)
{
    return body->length_known && !req->has_length;
}

struct fields {
    const struct field *list;
    size_t count;
};

static struct fields choose_fields(const struct http_request *req, const struct ready *ready,
                                   const struct line_body *body, struct arena *arena)
{
    bool adds = needs_length(req, body);
    if (!adds && (!ready || ready->headers == READY_HEADERS_ALL))
        return (struct fields){req->headers, req->header_count};
    struct field *chosen = arena_alloc(arena, (req->header_count + 1) * sizeof(*chosen));
    size_t count = 0;
    for (size_t i = 0; i < req->header_count; i++)
        if (wants_header(ready, req->headers[i].name))
            chosen[count++] = req->headers[i];
    if (adds && wants_header(ready, SLICE("content-length"))) {
        char *text = arena_alloc(arena, 24);
        int len = snprintf(text, 24, "%llu", (unsigned long long)body->length);
        chosen[count++] = (struct field){SLICE("content-length"), {text, (size_t)len}};
    }
    return (struct fields){chosen, count};
}

static bool is_json(const struct http_request *req, struct slice body)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (slice_is(req->headers[i].name, "content-type") &&
            slice_starts(req->headers[i].value, SLICE("application/json"))) {
            struct json_scan scan;
            struct json_value value;
            json_scan_init(&scan, body);
            return json_scan_value(&scan, &value) && json_scan_done(&scan) && !scan.dirty;
        }
    return false;
}

struct slice line_write(const struct http_request *req, const struct router_match *match,
                        const struct line_body *body, struct buf *scratch, struct arena *arena)
{
    const struct route *route = match->target;
    const struct ready *ready = pool_declaration(route->pool);
    struct fields fields = choose_fields(req, ready, body, arena);
    buf_clear(scratch);
    if (scratch->cap > SCRATCH_KEEP)
        buf_deinit(scratch);
    frame_write_request_tail(scratch,
                             &(struct frame_request){
                                 .method = req->method,
                                 .path = req->path,
                                 .has_query = req->has_query,
                                 .query = req->query,
                                 .headers = fields.list,
                                 .header_count = fields.count,
                                 .ip = req->ip,
                                 .https = req->https,
                                 .params = match->params,
                                 .param_count = match->param_count,
                                 .token = route->token,
                                 .upgrade = body->upgrade ? req->upgrade : (struct slice){0},
                                 .body = body->bytes,
                                 .body_as_json = ready && ready->json_body && body->bytes.len &&
                                                 is_json(req, body->bytes),
                                 .more = body->more,
                             });
    if (scratch->len + LINE_HEAD > route->pool->config->max_line)
        return (struct slice){0};
    return arena_copy(arena, buf_slice(scratch));
}
