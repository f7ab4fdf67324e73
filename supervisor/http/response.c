#include "http/response.h"

#include "base/json.h"
#include "http/field.h"

enum {
    STATUS_MIN = 200, /* interim answers are the connection's own business */
    STATUS_MAX = 599,
    FIXED_BYTES = 256, /* status line and own fields but for reason, type, date and id */
};

/* clang-format off */
static const char *const reasons[STATUS_MAX + 1] = {
    [200] = "OK", [201] = "Created", [202] = "Accepted",
    [203] = "Non-Authoritative Information", [204] = "No Content", [205] = "Reset Content",
    [206] = "Partial Content", [207] = "Multi-Status", [208] = "Already Reported",
    [226] = "IM Used",
    [300] = "Multiple Choices", [301] = "Moved Permanently", [302] = "Found",
    [303] = "See Other", [304] = "Not Modified", [305] = "Use Proxy",
    [307] = "Temporary Redirect", [308] = "Permanent Redirect",
    [400] = "Bad Request", [401] = "Unauthorized", [402] = "Payment Required",
    [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed",
    [406] = "Not Acceptable", [407] = "Proxy Authentication Required",
    [408] = "Request Timeout", [409] = "Conflict", [410] = "Gone", [411] = "Length Required",
    [412] = "Precondition Failed", [413] = "Content Too Large", [414] = "URI Too Long",
    [415] = "Unsupported Media Type", [416] = "Range Not Satisfiable",
    [417] = "Expectation Failed", [418] = "I'm a teapot", [421] = "Misdirected Request",
    [422] = "Unprocessable Content", [423] = "Locked", [424] = "Failed Dependency",
    [425] = "Too Early", [426] = "Upgrade Required", [428] = "Precondition Required",
    [429] = "Too Many Requests", [431] = "Request Header Fields Too Large",
    [451] = "Unavailable For Legal Reasons", [499] = "Client Closed Request",
    [500] = "Internal Server Error", [501] = "Not Implemented", [502] = "Bad Gateway",
    [503] = "Service Unavailable", [504] = "Gateway Timeout",
    [505] = "HTTP Version Not Supported", [506] = "Variant Also Negotiates",
    [507] = "Insufficient Storage", [508] = "Loop Detected", [510] = "Not Extended",
    [511] = "Network Authentication Required",
};

/* clang-format on */

struct slice http_reason(unsigned status)
{
    const char *reason = status <= STATUS_MAX ? reasons[status] : NULL;
    return reason ? slice_of(reason) : SLICE("Unknown");
}

/* -------------------------------------------------------------------- check */

static bool splits_lines(struct slice s)
{
    return s.len && (memchr(s.ptr, '\n', s.len) || memchr(s.ptr, '\r', s.len) ||
                     memchr(s.ptr, '\0', s.len));
}

static bool complain(struct err *why, const char *what, struct slice which)
{
    IGNORE(err_set(why, -1, "%s: \"" SLICE_FMT "\"", what, (int)MIN(which.len, (size_t)80),
                   which.ptr)); /* the sentence is all that is wanted */
    return false;
}

bool response_check(const struct http_answer *answer, struct err *why)
{
    if (answer->status < STATUS_MIN || answer->status > STATUS_MAX) {
        IGNORE(err_set(why, -1, "the status is %u, and must be %d to %d", answer->status,
                       STATUS_MIN, STATUS_MAX)); /* the sentence is all that is wanted */
        return false;
    }
    if (!value_valid(answer->reason))
        return complain(why, "the reason phrase holds a control character", answer->reason);
    if (splits_lines(answer->content_type))
        return complain(why, "the content type holds CR, LF or NUL", answer->content_type);
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct field *field = &answer->headers[i];
        if (!token_valid(field->name))
            return complain(why, "not a field name", field->name);
        if (splits_lines(field->value))
            return complain(why, "a value with CR, LF or NUL in the field", field->name);
    }
    return true;
}

/* -------------------------------------------------------------------- write */

/* Writes into room that was reserved. */
struct pen {
    char *at;
};

static void put(struct pen *pen, struct slice s)
{
    if (s.len)
        memcpy(pen->at, s.ptr, s.len);
    pen->at += s.len;
}

static void put_number(struct pen *pen, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    put(pen, (struct slice){digits + at, sizeof(digits) - at});
}

static void put_field(struct pen *pen, struct slice name, struct slice value)
{
    put(pen, name);
    put(pen, SLICE(": "));
    put(pen, value);
    put(pen, SLICE("\r\n"));
}

/* What the head needs at most. */
static size_t head_bytes(const struct http_answer *answer, const struct http_framing *framing)
{
    size_t need = FIXED_BYTES + answer->reason.len + answer->content_type.len +
                  framing->date.len + framing->id.len;
    for (size_t i = 0; i < answer->header_count; i++)
        need += answer->headers[i].name.len + answer->headers[i].value.len + 4;
    return need;
}

static void put_status(struct pen *pen, const struct http_answer *answer)
{
    put(pen, SLICE("HTTP/1.1 "));
    put_number(pen, answer->status);
    put(pen, SLICE(" "));
    put(pen, answer->reason.len ? answer->reason : http_reason(answer->status));
    put(pen, SLICE("\r\n"));
}

/* The answer's own fields; `length` is the Content-Length among them, if there is one. */
static void put_fields(struct pen *pen, const struct http_answer *answer, struct slice *length)
{
    bool has_type = false;
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct field *field = &answer->headers[i];
        enum field_id id = field_lookup(field->name);
        if (id == FIELD_CONTENT_LENGTH)
            *length = field->value;
        if (field_is_hop(id) || id == FIELD_CONTENT_LENGTH || id == FIELD_DATE ||
            id == FIELD_X_REQUEST_ID)
            continue;
        has_type = has_type || id == FIELD_CONTENT_TYPE;
        put_field(pen, field->name, field->value);
    }
    if (!has_type && answer->content_type.len)
        put_field(pen, SLICE("Content-Type"), answer->content_type);
}

static void put_length(struct pen *pen, const struct http_answer *answer, bool to_head,
                       struct slice given)
{
    uint64_t length = answer->body.len;
    bool bodiless = to_head || answer->status == 304;
    if (answer->status == 204)
        return;
    if (answer->status == 205)
        length = 0;
    else if (bodiless && length == 0 && !slice_to_u64(given, INT64_MAX, &length))
        return; /* how long a body would have been is not known */
    put(pen, SLICE("Content-Length: "));
    put_number(pen, length);
    put(pen, SLICE("\r\n"));
}

static bool has_body(const struct http_answer *answer, const struct http_framing *framing)
{
    return !framing->to_head && answer->status != 204 && answer->status != 205 &&
           answer->status != 304;
}

size_t response_write(struct buf *out, const struct http_answer *answer,
                      const struct http_framing *framing)
{
    size_t body = has_body(answer, framing) ? answer->body.len : 0;
    struct pen pen = {buf_reserve(out, head_bytes(answer, framing) + body)};
    const char *start = pen.at;
    struct slice length = {0};
    put_status(&pen, answer);
    put_fields(&pen, answer, &length);
    put_length(&pen, answer, framing->to_head, length);
    put_field(&pen, SLICE("Date"), framing->date);
    put_field(&pen, SLICE("X-Request-Id"), framing->id);
    if (framing->close)
        put(&pen, SLICE("Connection: close\r\n"));
    else if (framing->keep_alive)
        put(&pen, SLICE("Connection: keep-alive\r\n"));
    put(&pen, SLICE("\r\n"));
    if (body)
        put(&pen, answer->body);
    out->len += (size_t)(pen.at - start);
    return body;
}

static void add_member(struct buf *out, const char *name, struct slice text)
{
    if (text.len == 0)
        return;
    buf_addf(out, ",\"%s\":", name);
    json_write(out, text);
}

void response_problem(struct buf *out, unsigned status, struct slice detail,
                      struct slice instance, struct slice id, struct slice members)
{
    buf_adds(out, "{\"type\":\"about:blank\",\"title\":");
    json_write(out, http_reason(status));
    buf_addf(out, ",\"status\":%u", status);
    add_member(out, "detail", detail);
    add_member(out, "instance", instance);
    add_member(out, "request_id", id);
    buf_add(out, members);
    buf_adds(out, "}\n");
}
