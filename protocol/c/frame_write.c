#include "base/base64.h"
#include "base/json_text.h"
#include "base/word.h"
#include "protocol/c/frame.h"

#define ADD(buf, literal) buf_add(buf, SLICE(literal))

static void add_string_member(struct buf *b, const char *lead, struct slice utf8)
{
    buf_adds(b, lead);
    json_write(b, utf8);
}

struct fields {
    const struct field *list;
    size_t count;
};

/* The first of the fields from..to-1 that has this name; `to` if none has. */
static size_t find_name(const struct fields *f, size_t from, size_t to, struct slice name)
{
    while (from < to && !slice_eq(f->list[from].name, name))
        from++;
    return from;
}

/* The value of a field, or of all fields of its name as an array. */
static void add_field_values(struct buf *b, const struct fields *f, size_t at)
{
    struct slice name = f->list[at].name;
    size_t next = find_name(f, at + 1, f->count, name);
    if (next == f->count) {
        json_write_latin1(b, f->list[at].value);
        return;
    }
    buf_addc(b, '[');
    json_write_latin1(b, f->list[at].value);
    for (; next < f->count; next = find_name(f, next + 1, f->count, name)) {
        buf_addc(b, ',');
        json_write_latin1(b, f->list[next].value);
    }
    buf_addc(b, ']');
}

/* Headers or trailers, as a member whose beginning `lead` is. */
static void add_fields(struct buf *b, const char *lead, const struct fields *f)
{
    if (f->count == 0)
        return;
    buf_adds(b, lead);
    for (size_t i = 0; i < f->count; i++) {
        struct slice name = f->list[i].name;
        if (find_name(f, 0, i, name) < i)
            continue; /* it went out with the first of its name */
        if (i > 0)
            buf_addc(b, ',');
        json_write_latin1(b, name);
        buf_addc(b, ':');
        add_field_values(b, f, i);
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

static void add_base64_member(struct buf *b, struct slice bytes)
{
    ADD(b, ",\"body64\":\"");
    base64_encode(b, bytes);
    buf_addc(b, '"');
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
        add_base64_member(b, r->body);
    }
}

void frame_write_request_tail(struct buf *b, const struct frame_request *r)
{
    add_string_member(b, "\"method\":", r->method);
    add_string_member(b, ",\"path\":", r->path);
    if (r->has_query)
        add_string_member(b, ",\"query\":", r->query);
    add_fields(b, ",\"headers\":{", &(struct fields){r->headers, r->header_count});
    if (r->ip.len)
        add_string_member(b, ",\"ip\":", r->ip);
    if (r->https)
        ADD(b, ",\"scheme\":\"https\"");
    add_params(b, r);
    if (r->token.len)
        add_string_member(b, ",\"token\":", r->token);
    if (r->upgrade.len)
        add_string_member(b, ",\"upgrade\":", r->upgrade);
    if (r->more)
        ADD(b, ",\"more\":true");
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

/* The beginning of a typed frame, up to and with its id. */
static void add_head(struct buf *b, const char *type, uint64_t id)
{
    ADD(b, "{\"type\":\"");
    buf_adds(b, type);
    ADD(b, "\",\"id\":");
    buf_addu(b, id);
}

void frame_write_chunk(struct buf *b, uint64_t id, struct slice bytes)
{
    enum { AROUND = 64 };

    const char *end = text_end(bytes);
    buf_reserve(b, (bytes.len + 2) / 3 * 4 + AROUND);
    add_head(b, "chunk", id);
    if (json_skip_plain(bytes.ptr, end) == end) {
        ADD(b, ",\"body\":\"");
        buf_add(b, bytes);
        buf_addc(b, '"');
    } else {
        add_base64_member(b, bytes);
    }
    ADD(b, "}\n");
}

void frame_write_message(struct buf *b, uint64_t id, bool text, struct slice bytes)
{
    add_head(b, "message", id);
    if (text)
        add_string_member(b, ",\"body\":", bytes);
    else
        add_base64_member(b, bytes);
    ADD(b, "}\n");
}

void frame_write_end(struct buf *b, uint64_t id, const struct frame_end *end)
{
    add_head(b, "end", id);
    add_fields(b, ",\"trailers\":{", &(struct fields){end->trailers, end->trailer_count});
    if (end->close_code) {
        ADD(b, ",\"code\":");
        buf_addu(b, end->close_code);
    }
    if (end->reason.len)
        add_string_member(b, ",\"reason\":", end->reason);
    ADD(b, "}\n");
}

void frame_write_credit(struct buf *b, uint64_t id, uint64_t bytes)
{
    add_head(b, "credit", id);
    ADD(b, ",\"bytes\":");
    buf_addu(b, bytes);
    ADD(b, "}\n");
}

static void add_string_list(struct buf *b, const char *lead, const char *const *list)
{
    buf_adds(b, lead);
    for (const char *const *item = list; *item; item++)
        add_string_member(b, item > list ? "," : "", slice_of(*item));
    buf_addc(b, ']');
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
    if (h->window) {
        ADD(b, ",\"window\":");
        buf_addu(b, h->window);
    }
    ADD(b, ",\"chunk\":");
    buf_addu(b, FRAME_CHUNK_MAX);
    buf_addc(b, '}');
    if (h->tokens)
        add_string_list(b, ",\"tokens\":[", h->tokens);
    if (h->roots)
        add_string_list(b, ",\"roots\":[", h->roots);
    ADD(b, "}\n");
}

void frame_write_ask(struct buf *b, const struct frame_ask *a)
{
    add_head(b, "ask", a->id);
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

static void add_text_member(struct buf *b, const char *lead, struct slice utf8)
{
    if (utf8.len)
        add_string_member(b, lead, utf8);
}

static void add_count_member(struct buf *b, const char *lead, uint64_t n)
{
    buf_adds(b, lead);
    buf_addu(b, n);
}

/* What is stored may have come as a file, of many lines. */
static void add_raw_member(struct buf *b, const char *lead, struct slice json)
{
    buf_adds(b, lead);
    if (memchr(json.ptr, '\n', json.len) || memchr(json.ptr, '\r', json.len))
        add_json_on_one_line(b, json);
    else
        buf_add(b, json);
}

static void add_event_data(struct buf *b, const struct frame_event *e)
{
    if (e->file.len) {
        add_string_member(b, ",\"file\":", e->file);
        add_count_member(b, ",\"size\":", e->size);
    } else {
        add_raw_member(b, ",\"data\":", e->data.len ? e->data : SLICE("null"));
    }
}

void frame_write_event(struct buf *b, const struct frame_event *e)
{
    buf_reserve(b, e->data.len + 512);
    ADD(b, "{\"type\":\"event\"");
    if (e->id)
        add_count_member(b, ",\"id\":", e->id);
    add_string_member(b, e->job ? ",\"queue\":" : ",\"topic\":", e->topic);
    add_string_member(b, ",\"group\":", e->group);
    add_count_member(b, ",\"seq\":", e->seq);
    add_text_member(b, ",\"msgid\":", e->msgid);
    add_text_member(b, ",\"key\":", e->key);
    add_count_member(b, ",\"time\":", (uint64_t)MAX(e->time_ms, (int64_t)0));
    add_count_member(b, ",\"attempt\":", e->attempt);
    if (e->last)
        ADD(b, ",\"last\":true");
    if (e->timeout_ms)
        add_count_member(b, ",\"timeout\":", e->timeout_ms);
    add_text_member(b, ",\"cause\":", e->cause);
    add_text_member(b, ",\"correlation\":", e->correlation);
    add_text_member(b, ",\"traceparent\":", e->traceparent);
    if (e->headers.len)
        add_raw_member(b, ",\"headers\":", e->headers);
    add_event_data(b, e);
    ADD(b, "}\n");
}

void frame_write_published(struct buf *b, struct slice id_raw, uint64_t seq, bool duplicate)
{
    ADD(b, "{\"type\":\"ack\",\"id\":");
    buf_add(b, id_raw);
    add_count_member(b, ",\"seq\":", seq);
    if (duplicate)
        ADD(b, ",\"duplicate\":true");
    ADD(b, "}\n");
}

void frame_write_gap(struct buf *b, struct slice group, uint64_t from, uint64_t to)
{
    add_string_member(b, "{\"type\":\"gap\",\"group\":", group);
    add_count_member(b, ",\"from\":", from);
    add_count_member(b, ",\"to\":", to);
    ADD(b, "}\n");
}

void frame_write_cancel(struct buf *b, uint64_t id, const char *reason)
{
    add_head(b, "cancel", id);
    add_string_member(b, ",\"reason\":", slice_of(reason));
    ADD(b, "}\n");
}

void frame_write_ping(struct buf *b, uint64_t id)
{
    add_head(b, "ping", id);
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
