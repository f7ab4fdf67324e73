#include "base/base64.h"
#include "protocol/c/frame.h"

#define ADD(buf, literal) buf_add(buf, SLICE(literal))

static void add_string_member(struct buf *b, const char *lead, struct slice utf8)
{
    buf_adds(b, lead);
    json_write(b, utf8);
}

/* The first of the fields from..to-1 that has this name; `to` if none has. */
static size_t find_name(const struct frame_request *r, size_t from, size_t to,
                        struct slice name)
{
    while (from < to && !slice_eq(r->headers[from].name, name))
        from++;
    return from;
}

/* The value of a field, or of all fields of its name as an array. */
static void add_header_values(struct buf *b, const struct frame_request *r, size_t at)
{
    struct slice name = r->headers[at].name;
    size_t next = find_name(r, at + 1, r->header_count, name);
    if (next == r->header_count) {
        json_write_latin1(b, r->headers[at].value);
        return;
    }
    buf_addc(b, '[');
    json_write_latin1(b, r->headers[at].value);
    for (; next < r->header_count; next = find_name(r, next + 1, r->header_count, name)) {
        buf_addc(b, ',');
        json_write_latin1(b, r->headers[next].value);
    }
    buf_addc(b, ']');
}

static void add_headers(struct buf *b, const struct frame_request *r)
{
    if (r->header_count == 0)
        return;
    ADD(b, ",\"headers\":{");
    for (size_t i = 0; i < r->header_count; i++) {
        struct slice name = r->headers[i].name;
        if (find_name(r, 0, i, name) < i)
            continue; /* it went out with the first of its name */
        if (i > 0)
            buf_addc(b, ',');
        json_write_latin1(b, name);
        buf_addc(b, ':');
        add_header_values(b, r, i);
    }
    buf_addc(b, '}');
}

static void add_params(struct buf *b, const struct frame_request *r)
{
    if (r->param_count == 0)
        return;
    ADD(b, ",\"params\":{");
    for (size_t i = 0; i < r->param_count; i++) {
        if (i > 0)
            buf_addc(b, ',');
        json_write(b, r->params[i].name);
        buf_addc(b, ':');
        json_write(b, r->params[i].value);
    }
    buf_addc(b, '}');
}

/* Validated JSON has line breaks only between its tokens, where blanks mean the same. */
static void add_json_on_one_line(struct buf *b, struct slice json)
{
    size_t start = b->len;
    buf_add(b, json);
    for (char *p = b->ptr + start, *end = b->ptr + b->len; p < end; p++) {
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    }
}

/*
 * Text goes as text when that is exact and not much longer: a \u escape takes six bytes
 * for one, base64 four for three.
 */
static bool is_text(struct slice body)
{
    return json_count_escapes(body) <= body.len / 8 && utf8_valid(body);
}

static void add_body(struct buf *b, const struct frame_request *r)
{
    if (r->body.len == 0)
        return;
    if (r->body_as_json) {
        ADD(b, ",\"json\":");
        add_json_on_one_line(b, r->body);
    } else if (is_text(r->body)) {
        add_string_member(b, ",\"body\":", r->body);
    } else {
        ADD(b, ",\"body64\":\"");
        base64_encode(b, r->body);
        buf_addc(b, '"');
    }
}

void frame_write_request_tail(struct buf *b, const struct frame_request *r)
{
    add_string_member(b, "\"method\":", r->method);
    add_string_member(b, ",\"path\":", r->path);
    if (r->has_query)
        add_string_member(b, ",\"query\":", r->query);
    add_headers(b, r);
    if (r->ip.len)
        add_string_member(b, ",\"ip\":", r->ip);
    if (r->https)
        ADD(b, ",\"scheme\":\"https\"");
    add_params(b, r);
    if (r->token.len)
        add_string_member(b, ",\"token\":", r->token);
    add_body(b, r);
    ADD(b, "}\n");
}

void frame_write_request(struct buf *b, uint64_t id, uint64_t timeout_ms, struct slice tail)
{
    buf_reserve(b, tail.len + 64);
    ADD(b, "{\"id\":");
    buf_addu(b, id);
    ADD(b, ",\"timeout\":");
    buf_addu(b, timeout_ms);
    buf_addc(b, ',');
    buf_add(b, tail);
}

void frame_write_hello(struct buf *b, const struct frame_hello *h)
{
    ADD(b, "{\"type\":\"hello\",\"protocol\":1");
    add_string_member(b, ",\"server\":", h->server);
    add_string_member(b, ",\"worker\":", h->worker);
    buf_addf(b, ",\"instance\":%u", h->instance);
    if (h->dev)
        ADD(b, ",\"dev\":true");
    ADD(b, ",\"limits\":{\"max_line\":");
    buf_addu(b, h->max_line);
    buf_addc(b, '}');
    if (h->tokens) {
        ADD(b, ",\"tokens\":[");
        for (const char *const *token = h->tokens; *token; token++)
            add_string_member(b, token > h->tokens ? "," : "", slice_of(*token));
        buf_addc(b, ']');
    }
    ADD(b, "}\n");
}

void frame_write_ask(struct buf *b, const struct frame_ask *a)
{
    ADD(b, "{\"type\":\"ask\",\"id\":");
    buf_addu(b, a->id);
    add_string_member(b, ",\"token\":", a->token);
    if (a->from.len)
        add_string_member(b, ",\"from\":", a->from);
    ADD(b, ",\"timeout\":");
    buf_addu(b, a->timeout_ms);
    ADD(b, ",\"depth\":");
    buf_addu(b, a->depth);
    if (a->nested)
        ADD(b, ",\"nested\":true");
    if (a->args.len) {
        ADD(b, ",\"args\":");
        buf_add(b, a->args);
    }
    ADD(b, "}\n");
}

void frame_write_answer(struct buf *b, struct slice id_raw, struct slice value)
{
    ADD(b, "{\"type\":\"answer\",\"id\":");
    buf_add(b, id_raw);
    ADD(b, ",\"value\":");
    buf_add(b, value.len ? value : SLICE("null"));
    ADD(b, "}\n");
}

void frame_write_error(struct buf *b, struct slice id_raw, const char *code,
                       struct slice message, struct slice data)
{
    ADD(b, "{\"type\":\"error\",\"id\":");
    buf_add(b, id_raw.len ? id_raw : SLICE("null"));
    add_string_member(b, ",\"code\":", slice_of(code));
    add_string_member(b, ",\"message\":", message);
    if (data.len) {
        ADD(b, ",\"data\":");
        buf_add(b, data);
    }
    ADD(b, "}\n");
}

void frame_write_cancel(struct buf *b, uint64_t id, const char *reason)
{
    ADD(b, "{\"type\":\"cancel\",\"id\":");
    buf_addu(b, id);
    add_string_member(b, ",\"reason\":", slice_of(reason));
    ADD(b, "}\n");
}

void frame_write_ping(struct buf *b, uint64_t id)
{
    ADD(b, "{\"type\":\"ping\",\"id\":");
    buf_addu(b, id);
    ADD(b, "}\n");
}

void frame_write_drain(struct buf *b, uint64_t grace_ms)
{
    ADD(b, "{\"type\":\"drain\",\"grace\":");
    buf_addu(b, grace_ms);
    ADD(b, "}\n");
}

void frame_write_shutdown(struct buf *b, uint64_t grace_ms)
{
    ADD(b, "{\"type\":\"shutdown\",\"grace\":");
    buf_addu(b, grace_ms);
    ADD(b, "}\n");
}

unsigned frame_code_status(struct slice code)
{
    static const struct {
        const char *code;
        unsigned status;
    } codes[] = {
        {"invalid_argument", 400},    {"unauthenticated", 401},
        {"permission_denied", 403},   {"not_found", 404},
        {"already_exists", 409},      {"aborted", 409},
        {"failed_precondition", 412}, {"resource_exhausted", 429},
        {"cancelled", 499},           {"internal", 500},
        {"unimplemented", 501},       {"unavailable", 503},
        {"deadline_exceeded", 504},
    };

    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (slice_is(code, codes[i].code))
            return codes[i].status;
    }
    return 500;
}
