#include "http/response.h"

#include "base/json.h"
#include "http/field.h"

enum {
    STATUS_MIN = 200, /* interim answers are the connection's own business */
    STATUS_MAX = 999, /* apps send what no standard knows */
    STATUS_NAMED = 511,
    FIXED_BYTES = 256, /* status line and own fields but for reason, type, date and id */
};

/* clang-format off */
static const char *const reasons[STATUS_NAMED + 1] = {
    [101] = "Switching Protocols", [102] = "Processing", [103] = "Early Hints",
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
    const char *reason = status <= STATUS_NAMED ? reasons[status] : NULL;
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
    return response_check_fields(answer, why);
}

bool response_check_fields(const struct http_answer *answer, struct err *why)
{
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

/* Which fields of the answer are sent beside those that nodey sets itself. */
static bool is_sent(enum field_id id, enum response_end end)
{
    switch (id) {
    case FIELD_CONTENT_LENGTH:
    case FIELD_DATE:
    case FIELD_X_REQUEST_ID:
        return false;
    case FIELD_TRAILER: /* tells what a chunked body ends with */
        return end == RESPONSE_CHUNKED;
    case FIELD_UPGRADE:
        return end == RESPONSE_UPGRADE;
    default:
        return !field_is_hop(id);
    }
}

/* Returns the value of the Content-Length, if there is one; *upgrade: is there such a field? */
static struct slice put_fields(struct pen *pen, const struct http_answer *answer,
                               enum response_end end, bool *upgrade)
{
    struct slice length = {0};
    bool has_type = false;
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct field *field = &answer->headers[i];
        enum field_id id = field_lookup(field->name);
        if (id == FIELD_CONTENT_LENGTH)
            length = field->value;
        if (!is_sent(id, end))
            continue;
        has_type = has_type || id == FIELD_CONTENT_TYPE;
        *upgrade = *upgrade || id == FIELD_UPGRADE;
        put_field(pen, field->name, field->value);
    }
    if (!has_type && answer->content_type.len)
        put_field(pen, SLICE("Content-Type"), answer->content_type);
    return length;
}

static void put_content_length(struct pen *pen, uint64_t length)
{
    put(pen, SLICE("Content-Length: "));
    put_number(pen, length);
    put(pen, SLICE("\r\n"));
}

/* Of a body that is here, or would be if it might be sent. */
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
    put_content_length(pen, length);
}

bool response_may_have_body(unsigned status, bool to_head)
{
    return !to_head && status >= 200 && status != 204 && status != 205 && status != 304;
}

static void put_last_fields(struct pen *pen, const struct http_framing *framing)
{
    put_field(pen, SLICE("Date"), framing->date);
    put_field(pen, SLICE("X-Request-Id"), framing->id);
    if (framing->close)
        put(pen, SLICE("Connection: close\r\n"));
    else if (framing->keep_alive)
        put(pen, SLICE("Connection: keep-alive\r\n"));
    put(pen, SLICE("\r\n"));
}

size_t response_write(struct buf *out, const struct http_answer *answer,
                      const struct http_framing *framing)
{
    bool has_body = response_may_have_body(answer->status, framing->to_head);
    size_t body = has_body ? answer->body.len : 0;
    struct pen pen = {buf_reserve(out, head_bytes(answer, framing) + body)};
    const char *start = pen.at;
    bool upgrade = false;
    put_status(&pen, answer);
    struct slice length = put_fields(&pen, answer, RESPONSE_LENGTH, &upgrade);
    put_length(&pen, answer, framing->to_head, length);
    put_last_fields(&pen, framing);
    if (body)
        put(&pen, answer->body);
    out->len += (size_t)(pen.at - start);
    return body;
}

/* ---------------------------------------------------------------- in pieces */

bool response_length(const struct http_answer *answer, bool *given, uint64_t *length,
                     struct err *why)
{
    struct slice value = {0};
    uint64_t number = 0;
    bool found = false;
    for (size_t i = 0; i < answer->header_count; i++) {
        if (field_lookup(answer->headers[i].name) != FIELD_CONTENT_LENGTH)
            continue;
        struct slice next = slice_trim(answer->headers[i].value);
        if (!slice_to_u64(next, INT64_MAX, &number))
            return complain(why, "the Content-Length is not a number", next);
        if (found && !slice_eq(next, value))
            return complain(why, "there is more than one Content-Length", next);
        value = next;
        found = true;
    }
    *given = found;
    *length = number;
    return true;
}

void response_write_head(struct buf *out, const struct http_answer *answer,
                         const struct http_framing *framing, const struct http_extent *extent)
{
    struct http_answer bare = *answer;
    struct pen pen = {buf_reserve(out, head_bytes(answer, framing) + extent->upgrade.len)};
    const char *start = pen.at;
    bool upgrade = false;
    bare.body = (struct slice){0};
    put_status(&pen, answer);
    struct slice given = put_fields(&pen, answer, extent->end, &upgrade);
    switch (extent->end) {
    case RESPONSE_NO_BODY:
        put_length(&pen, &bare, framing->to_head, given);
        break;
    case RESPONSE_LENGTH:
        put_content_length(&pen, extent->length);
        break;
    case RESPONSE_CHUNKED:
        put(&pen, SLICE("Transfer-Encoding: chunked\r\n"));
        break;
    case RESPONSE_TO_CLOSE:
        break;
    case RESPONSE_UPGRADE:
        if (!upgrade)
            put_field(&pen, SLICE("Upgrade"), extent->upgrade);
        put(&pen, SLICE("Connection: Upgrade\r\n"));
        break;
    }
    put_last_fields(&pen, framing);
    out->len += (size_t)(pen.at - start);
}

static void add_field(struct buf *out, const struct field *field)
{
    buf_add(out, field->name);
    buf_adds(out, ": ");
    buf_add(out, field->value);
    buf_adds(out, "\r\n");
}

void response_interim(struct buf *out, unsigned status, const struct field *fields,
                      size_t count)
{
    struct slice reason = http_reason(status);
    buf_addf(out, "HTTP/1.1 %u " SLICE_FMT "\r\n", status, SLICE_ARG(reason));
    for (size_t i = 0; i < count; i++) {
        enum field_id id = field_lookup(fields[i].name);
        if (!field_is_hop(id) && id != FIELD_CONTENT_LENGTH)
            add_field(out, &fields[i]);
    }
    buf_adds(out, "\r\n");
}

bool response_trailer_allowed(struct slice name)
{
    static const char *const never[] = {
        "authorization",    "cache-control", "content-encoding",
        "content-range",    "content-type",  "cookie",
        "expires",          "if-match",      "if-modified-since",
        "if-none-match",    "if-range",      "if-unmodified-since",
        "location",         "max-forwards",  "range",
        "retry-after",      "set-cookie",    "vary",
        "www-authenticate",
    };
    enum field_id id = field_lookup(name);
    if (id != FIELD_OTHER)
        return false; /* framing, routing, forwarding: all that nodey itself acts on */
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        if (slice_eq_nocase(name, slice_of(never[i])))
            return false;
    return true;
}

void response_write_last_chunk(struct buf *out, const struct field *trailers, size_t count)
{
    buf_adds(out, "0\r\n");
    for (size_t i = 0; i < count; i++)
        if (token_valid(trailers[i].name) && !splits_lines(trailers[i].value) &&
            response_trailer_allowed(trailers[i].name))
            add_field(out, &trailers[i]);
    buf_adds(out, "\r\n");
}

/* ----------------------------------------------------------------- problems */

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
