#include "http/parse.h"

#include <assert.h>
#include <llhttp.h>

#include "http/field.h"
#include "http/server.h"

enum { METHOD_MAX = 32, VERSION_LEN = 8 };

static bool refuse(struct refusal *why, unsigned status, const char *detail)
{
    *why = (struct refusal){status, detail};
    return false;
}

/* --------------------------------------------------------------------- scan */

/* All that may stand in a target: what is visible, but no fragment. */
static bool target_valid(struct slice target)
{
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return false;
    }
    return target.len > 0;
}

static size_t count_digits(struct slice s)
{
    size_t n = 0;
    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
        n++;
    return n;
}

static bool check_version(struct slice version, struct refusal *why)
{
    if (version.len == VERSION_LEN && slice_starts(version, SLICE("HTTP/1.")) &&
        (version.ptr[7] == '0' || version.ptr[7] == '1'))
        return true;
    struct slice number = version;
    if (slice_starts(version, SLICE("HTTP/"))) {
        number = slice_from(version, 5);
        size_t major = count_digits(number);
        number = slice_from(number, major);
        if (major && number.len > 1 && number.ptr[0] == '.' &&
            count_digits(slice_from(number, 1)) == number.len - 1)
            return refuse(why, 505, "This server speaks HTTP/1.1 and HTTP/1.0.");
    }
    return refuse(why, 400, "The request line does not end with a space and an HTTP version.");
}

/* What can be said of a request line before it is whole, and so must be said first. */
static bool check_beginning(struct slice line, const struct http_limits *limits,
                            struct refusal *why)
{
    if (line.len && !token_valid((struct slice){line.ptr, 1}))
        return refuse(why, 400, "The request does not begin with a method.");
    if (line.len > limits->target_bytes + METHOD_MAX + VERSION_LEN)
        return refuse(why, 414, "The request line is longer than max_target of [server].");
    return true;
}

static bool check_request_line(struct slice line, const struct http_limits *limits,
                               struct refusal *why)
{
    const char *space = memchr(line.ptr, ' ', line.len);
    struct slice method = {line.ptr, space ? (size_t)(space - line.ptr) : line.len};
    if (!token_valid(method))
        return refuse(why, 400, "The request does not begin with a method.");
    struct slice target = slice_from(line, MIN(method.len + 1, line.len));
    space = target.len ? memchr(target.ptr, ' ', target.len) : NULL;
    if (space)
        target.len = (size_t)(space - target.ptr);
    if (target.len > limits->target_bytes)
        return refuse(why, 414, "The request target is longer than max_target of [server].");
    if (!space)
        return refuse(why, 400, "The request line is not a method, a target and a version.");
    if (!target_valid(target))
        return refuse(why, 400,
                      "The request target is empty or holds a character that must be "
                      "percent-encoded.");
    size_t from = method.len + 1 + target.len + 1;
    return check_version(slice_from(line, from), why);
}

static bool check_field_line(struct slice line, struct refusal *why)
{
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return refuse(why, 400,
                      "A header line begins with a blank: folded lines are not accepted.");
    const char *colon = memchr(line.ptr, ':', line.len);
    if (!colon)
        return refuse(why, 400, "A header line has no colon.");
    struct slice name = {line.ptr, (size_t)(colon - line.ptr)};
    if (!token_valid(name))
        return refuse(why, 400,
                      "A header field's name is empty or holds a character that it may not.");
    if (!value_valid(slice_from(line, name.len + 1)))
        return refuse(why, 400, "A header field's value holds a control character.");
    return true;
}

/* A line without its line end, of a head that has `lines` before it. */
static bool check_line(struct slice line, uint32_t lines, const struct http_limits *limits,
                       struct refusal *why)
{
    if (lines == 0)
        return check_request_line(line, limits, why);
    if (lines > limits->header_count)
        return refuse(why, 431,
                      "The request has more header fields than max_headers of [server].");
    return check_field_line(line, why);
}

/* The line that is not whole yet: is it worth waiting for the rest? */
static bool check_partial(struct slice rest, const struct head_scan *scan,
                          const struct http_limits *limits, struct refusal *why)
{
    struct slice sure = {rest.ptr, rest.len > 1 ? rest.len - 1 : rest.len}; /* may end in CR */
    if (scan->lines == 0 && !check_beginning(sure, limits, why))
        return false;
    if (scan->at + rest.len < limits->head_bytes)
        return true;
    return scan->lines == 0
               ? refuse(why, 414, "The request line is longer than max_head of [server].")
               : refuse(why, 431, "The request's header is larger than max_head of [server].");
}

enum scan_verdict head_scan(struct head_scan *scan, struct slice bytes,
                            const struct http_limits *limits, struct refusal *why)
{
    for (;;) {
        struct slice rest = slice_from(bytes, scan->at);
        const char *lf = rest.len ? memchr(rest.ptr, '\n', rest.len) : NULL;
        if (!lf)
            return check_partial(rest, scan, limits, why) ? SCAN_MORE : SCAN_REFUSED;
        struct slice line = {rest.ptr, (size_t)(lf - rest.ptr)};
        if (!check_partial(line, scan, limits, why)) /* the same, however it was cut */
            return SCAN_REFUSED;
        if (line.len == 0 || line.ptr[line.len - 1] != '\r') {
            refuse(why, 400, "A line ends with a bare LF.");
            return SCAN_REFUSED;
        }
        line.len--;
        if (line.len == 0 && scan->lines > 0) {
            scan->at += 2;
            return SCAN_DONE;
        }
        if (!check_line(line, scan->lines, limits, why))
            return SCAN_REFUSED;
        scan->at += (uint32_t)line.len + 2;
        scan->lines++;
    }
}

/* -------------------------------------------------------------------- parse */

/* What llhttp's callbacks fill in: its `data`. */
struct reading {
    struct head *head;
    size_t room;
};

static int on_method(llhttp_t *parser, const char *at, size_t len)
{
    struct reading *reading = parser->data;
    reading->head->method = (struct slice){at, len};
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct reading *reading = parser->data;
    reading->head->target = (struct slice){at, len};
    return 0;
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    struct reading *reading = parser->data;
    struct head *head = reading->head;
    if (head->field_count == reading->room)
        return -1;           /* it saw a line that the scan did not */
    char *name = (char *)at; /* the arena's copy: ours to change */
    for (size_t i = 0; i < len; i++)
        if (name[i] >= 'A' && name[i] <= 'Z')
            name[i] |= 0x20;
    struct slice lower = {name, len};
    head->ids[head->field_count] = (unsigned char)field_lookup(lower);
    head->fields[head->field_count++] = (struct field){lower, {at + len, 0}};
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct reading *reading = parser->data;
    struct head *head = reading->head;
    if (head->field_count == 0)
        return -1;
    head->fields[head->field_count - 1].value = slice_trim((struct slice){at, len});
    return 0;
}

/* What follows is no business of llhttp's any more. */
static int on_head(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_method = on_method,
    .on_url = on_url,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
};

static bool refuse_llhttp(enum llhttp_errno code, struct refusal *why)
{
    switch (code) {
    case HPE_INVALID_METHOD:
    case HPE_INVALID_CONSTANT: /* a method of RTSP */
        return refuse(why, 501, "This server does not know the request's method.");
    case HPE_INVALID_VERSION:
        return refuse(why, 505, "This server speaks HTTP/1.1 and HTTP/1.0.");
    case HPE_INVALID_URL:
        return refuse(why, 400, "The request target is malformed.");
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return refuse(why, 400,
                      "The Content-Length is not one decimal number that stands alone.");
    case HPE_INVALID_TRANSFER_ENCODING:
        return refuse(why, 400, "The Transfer-Encoding is malformed.");
    default:
        return refuse(why, 400, "The request's header is malformed.");
    }
}

/* ------------------------------------------------------------------ framing */

/* Where the body ends must be beyond doubt: whoever doubts smuggles. */
struct framing {
    struct slice coding;
    struct slice length;
    unsigned codings;
    unsigned lengths;
};

static bool read_coding(const struct framing *framing, struct head *head, struct refusal *why)
{
    if (framing->lengths)
        return refuse(why, 400, "The request has both Content-Length and Transfer-Encoding.");
    if (head->minor == 0)
        return refuse(why, 400, "HTTP/1.0 has no Transfer-Encoding.");
    if (framing->codings > 1)
        return refuse(why, 400, "The request has more than one Transfer-Encoding field.");
    struct slice rest = framing->coding;
    struct slice item;
    bool other = false;
    bool chunked = false;
    while (list_take(&rest, &item)) {
        if (chunked)
            return refuse(why, 400, "Something follows \"chunked\" in the Transfer-Encoding.");
        chunked = slice_eq_nocase(item, SLICE("chunked"));
        other = other || !chunked;
    }
    if (!other && !chunked)
        return refuse(why, 400, "The Transfer-Encoding is empty.");
    if (other)
        return refuse(why, 501,
                      "The only transfer coding that this server knows is \"chunked\".");
    if (framing->coding.len != strlen("chunked"))
        return refuse(why, 400, "The Transfer-Encoding is malformed.");
    head->chunked = true;
    return true;
}

static bool read_length(const struct framing *framing, struct head *head, struct refusal *why)
{
    if (framing->lengths > 1 || !slice_to_u64(framing->length, INT64_MAX, &head->length))
        return refuse(why, 400,
                      "The Content-Length is not one decimal number that stands alone.");
    head->has_length = true;
    return true;
}

static bool has_body_by_nature(struct slice method)
{
    return slice_is(method, "POST") || slice_is(method, "PUT") || slice_is(method, "PATCH");
}

static void read_connection(struct slice value, bool *close, bool *keep)
{
    struct slice item;
    while (list_take(&value, &item)) {
        *close = *close || slice_eq_nocase(item, SLICE("close"));
        *keep = *keep || slice_eq_nocase(item, SLICE("keep-alive"));
    }
}

static bool read_expect(struct slice value, struct head *head, struct refusal *why)
{
    if (head->minor == 0)
        return true; /* RFC 9110, 10.1.1: ignored */
    if (!slice_eq_nocase(value, SLICE("100-continue")))
        return refuse(why, 417,
                      "The only expectation that this server knows is \"100-continue\".");
    head->expects_continue = true;
    return true;
}

static bool read_meaning(struct head *head, struct refusal *why)
{
    struct framing framing = {0};
    bool close = false;
    bool keep = false;
    for (size_t i = 0; i < head->field_count; i++) {
        struct slice value = head->fields[i].value;
        if (head->ids[i] == FIELD_CONTENT_LENGTH) {
            framing.length = value;
            framing.lengths++;
        } else if (head->ids[i] == FIELD_TRANSFER_ENCODING) {
            framing.coding = value;
            framing.codings++;
        } else if (head->ids[i] == FIELD_CONNECTION) {
            read_connection(value, &close, &keep);
        } else if (head->ids[i] == FIELD_EXPECT && !read_expect(value, head, why)) {
            return false;
        }
    }
    head->keep_alive = !close && (keep || head->minor > 0);
    if (framing.codings)
        return read_coding(&framing, head, why);
    if (framing.lengths)
        return read_length(&framing, head, why);
    if (head->minor == 0 && has_body_by_nature(head->method))
        return refuse(why, 411, "A body in HTTP/1.0 needs a Content-Length.");
    return true;
}

bool head_parse(struct slice raw, size_t lines, struct arena *arena, struct head *head,
                struct refusal *why)
{
    assert(lines > 0);
    size_t room = lines - 1;
    struct slice copy = arena_copy(arena, raw);
    *head = (struct head){
        .fields = arena_alloc(arena, room * sizeof(struct field)),
        .ids = arena_alloc(arena, room),
    };
    struct reading reading = {head, room};
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &reading;
    enum llhttp_errno code = llhttp_execute(&parser, copy.ptr, copy.len);
    bool whole = code == HPE_PAUSED && head->field_count == room;
    if (!whole)
        return refuse_llhttp(code, why);
    head->minor = parser.http_minor;
    if (parser.method == HTTP_CONNECT)
        return refuse(why, 501, "This server is no tunnel.");
    return read_meaning(head, why);
}
