#include "app/control_reply.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"

void control_refuse(struct exchange *x, unsigned status, const char *code, struct slice detail,
                    struct slice data)
{
    struct buf body = {0};
    struct err err;
    buf_addf(&body, "{\"type\":\"about:blank\",\"status\":%u,\"title\":", status);
    json_write(&body, http_reason(status));
    buf_adds(&body, ",\"code\":");
    json_write(&body, slice_of(code));
    buf_adds(&body, ",\"detail\":");
    json_write(&body, detail);
    if (data.len) {
        buf_adds(&body, ",\"data\":");
        buf_add(&body, data);
    }
    buf_adds(&body, "}\n");
    struct http_answer answer = {.status = status,
                                 .content_type = SLICE("application/problem+json"),
                                 .body = buf_slice(&body)};
    if (!exchange_respond(x, &answer, &err))
        exchange_fail(x, &(struct http_problem){.status = 500, .detail = slice_of(err.text)});
    buf_deinit(&body);
}

void control_invalid(struct exchange *x, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    control_refuse(x, 400, "invalid_argument", slice_of(text), (struct slice){0});
}

void control_refuse_method(struct exchange *x, const char *allow)
{
    exchange_fail(x, &(struct http_problem){.status = 405, .allow = slice_of(allow)});
}

void control_answer(struct exchange *x, struct slice json)
{
    struct err err;
    struct http_answer answer = {
        .status = 200, .content_type = SLICE("application/json"), .body = json};
    IGNORE(!exchange_respond(x, &answer, &err)); /* 200 without fields can be sent */
}

struct slice control_field(const struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (slice_is(req->headers[i].name, name))
            return req->headers[i].value;
    return (struct slice){0};
}

bool control_parameter(const struct http_request *req, const char *name, struct slice *value)
{
    size_t len = strlen(name);
    for (struct slice rest = req->query; rest.len;) {
        const char *end = memchr(rest.ptr, '&', rest.len);
        struct slice one = {rest.ptr, end ? (size_t)(end - rest.ptr) : rest.len};
        rest = slice_from(rest, MIN(one.len + 1, rest.len));
        if (one.len <= len || one.ptr[len] != '=' || memcmp(one.ptr, name, len) != 0)
            continue;
        *value = slice_from(one, len + 1);
        return true;
    }
    return false;
}
