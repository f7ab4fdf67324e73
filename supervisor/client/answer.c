#include "client/answer.h"

#include <unistd.h>

#include "base/base64.h"
#include "client/members.h"
#include "client/session.h"
#include "client/show.h"
#include "http/response.h"

static bool is_terminal(void)
{
    return isatty(STDOUT_FILENO);
}

static void add_head(const struct client_response *r, struct buf *out)
{
    buf_addf(out, "HTTP/1.1 %u " SLICE_FMT "\n", r->status, SLICE_ARG(http_reason(r->status)));
    for (size_t i = 0; i < r->field_count; i++)
        buf_addf(out, SLICE_FMT ": " SLICE_FMT "\n", SLICE_ARG(r->fields[i].name),
                 SLICE_ARG(r->fields[i].value));
    buf_addc(out, '\n');
}

/* A field that came several times is an array, at its first place. */
static void add_field(const struct client_response *r, size_t at, struct buf *out)
{
    const struct field *fields = r->fields;
    size_t count = 0;
    for (size_t i = 0; i < r->field_count; i++)
        if (slice_eq(fields[i].name, fields[at].name) && count++ == 0 && i < at)
            return;
    buf_adds(out, at ? "," : "");
    json_write_latin1(out, fields[at].name);
    buf_adds(out, count > 1 ? ":[" : ":");
    for (size_t i = at, nth = 0; i < r->field_count; i++)
        if (slice_eq(fields[i].name, fields[at].name)) {
            buf_adds(out, nth++ ? "," : "");
            json_write_latin1(out, fields[i].value);
        }
    buf_adds(out, count > 1 ? "]" : "");
}

/* {"status":200,"headers":{...},"json":...}, the body as in the worker protocol. */
static void add_json(const struct client_response *r, struct buf *out)
{
    struct slice body = buf_slice(&r->body);
    struct json_value value;
    buf_addf(out, "{\"status\":%u,\"headers\":{", r->status);
    for (size_t i = 0; i < r->field_count; i++)
        add_field(r, i, out);
    buf_addc(out, '}');
    if (body.len && members_read(body, &value)) {
        buf_adds(out, ",\"json\":");
        buf_add(out, value.raw);
    } else if (body.len && utf8_valid(body)) {
        buf_adds(out, ",\"body\":");
        json_write(out, body);
    } else if (body.len) {
        buf_adds(out, ",\"body64\":\"");
        base64_encode(out, body);
        buf_addc(out, '"');
    }
    buf_adds(out, "}\n");
}

/* What would spoil a terminal is only described. */
static void add_for_terminal(const struct client_response *r, bool colour, struct buf *out)
{
    struct slice body = buf_slice(&r->body);
    struct slice type = client_response_field(r, "content-type");
    if (body.len == 0)
        return;
    if (!show_json(out, body, colour)) {
        if (show_is_text(body))
            buf_add(out, body);
        else
            buf_addf(out, "(%zu bytes%s" SLICE_FMT ": send them to a file or a pipe)", body.len,
                     type.len ? " of " : "", SLICE_ARG(type));
    }
    if (out->ptr[out->len - 1] != '\n')
        buf_addc(out, '\n');
}

/* With the reason, when it is nodey or the worker's SDK that gives one. */
static void name_status(const struct client_response *r, bool no_color)
{
    bool colour = show_colour(stderr, no_color);
    struct json_value problem;
    bool is_problem = slice_starts(client_response_field(r, "content-type"),
                                   SLICE("application/problem+json"));
    char *detail = is_problem && members_read(buf_slice(&r->body), &problem)
                       ? members_text(&problem, "detail")
                       : NULL;
    fprintf(stderr, "%s%u " SLICE_FMT "%s%s%s\n", colour ? "\x1b[31m" : "", r->status,
            SLICE_ARG(http_reason(r->status)), detail ? ": " : "", detail ? detail : "",
            colour ? "\x1b[0m" : "");
    xfree(detail);
}

int answer_print(const struct client_response *r, const struct answer_style *style)
{
    struct buf out = {0};
    if (style->with_head && !style->as_json)
        add_head(r, &out);
    if (style->as_json)
        add_json(r, &out);
    else if (is_terminal())
        add_for_terminal(r, show_colour(stdout, style->no_color), &out);
    else
        buf_add(&out, buf_slice(&r->body));
    if (!style->as_json && r->status >= 300)
        name_status(r, style->no_color);
    show_write(stdout, buf_slice(&out));
    buf_deinit(&out);
    return r->status >= 400 ? EXIT_REFUSED : 0;
}

void answer_print_value(struct slice json, bool no_color)
{
    struct buf out = {0};
    if (!is_terminal() || !show_json(&out, json, show_colour(stdout, no_color)))
        buf_add(&out, json);
    buf_addc(&out, '\n');
    show_write(stdout, buf_slice(&out));
    buf_deinit(&out);
}
