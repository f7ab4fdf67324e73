/*
 * fuzz_http: any bytes as the requests of one connection.
 *
 * The first byte decides how the rest is cut into pieces, and when what has come of a body is
 * consumed.  What is read must not depend on that, must hold nothing that a worker could be
 * fooled with, and what the chunked decoder accepts llhttp must accept and read the same.
 */
#include <assert.h>
#include <llhttp.h>

#include "http/chunked.h"
#include "http/field.h"
#include "http/path.h"
#include "http/request.h"
#include "http/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {
    .head_bytes = 2048, .target_bytes = 512, .header_count = 16, .body_bytes = 1024};

/* A connection's reader without the connection. */
struct reader {
    struct head_scan scan;
    struct chunked chunked;
    struct arena arena;
    struct http_request request;
    struct buf body;     /* held, as a connection does until the handler has consumed it */
    struct buf consumed; /* all of it that came before */
    struct buf trailer;
    unsigned appetite; /* how often it is consumed; 0 = never */
    struct buf *told;  /* everything that was read, as text */
    size_t body_left;
    bool in_body;
    bool is_chunked;
    bool refused;
};

/* --------------------------------------------------------------- invariants */

static bool holds(struct slice s, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (s.len && memchr(s.ptr, bytes[i], s.len))
            return true;
    return false;
}

static void check_field(const struct field *field)
{
    enum field_id id = field_lookup(field->name);
    assert(token_valid(field->name) && value_valid(field->value));
    assert(!holds(field->value, "\r\n\0", 3) && !holds(field->name, "_", 1));
    assert(!field_is_hop(id) && !field_is_forwarding(id));
    for (size_t i = 0; i < field->name.len; i++)
        assert(field->name.ptr[i] < 'A' || field->name.ptr[i] > 'Z');
}

static void check_path(const struct http_request *request)
{
    struct arena arena = {0};
    struct slice path = request->path;
    struct slice again, decoded;
    assert(path.len > 0 && (request->asterisk ? slice_is(path, "*") : path.ptr[0] == '/'));
    assert(!holds(path, "\r\n\0 \t?#", 7));
    if (!request->asterisk) {
        assert(path_resolve(path, &arena, &again) == NULL && slice_eq(path, again));
        assert(path_decode(path, &arena, &decoded) && !holds(decoded, "\0", 1));
    }
    arena_deinit(&arena);
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    buf_append(parser->data, at, len);
    return 0;
}

static int on_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

/*
 * Left out: chunk extensions, which llhttp 8.1 does not know, and trailer fields, some
 * of which it gives a meaning while nodey drops all of them.
 */
static void check_chunked(struct slice wire, struct slice body)
{
    struct slice head = SLICE("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    struct buf theirs = {0};
    llhttp_settings_t settings;
    llhttp_t parser;
    if (holds(wire, ";", 1))
        return;
    llhttp_settings_init(&settings);
    settings.on_body = on_body;
    settings.on_message_complete = on_complete;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &theirs;
    assert(llhttp_execute(&parser, head.ptr, head.len) == HPE_OK);
    assert(llhttp_execute(&parser, wire.ptr, wire.len) == HPE_PAUSED);
    assert(llhttp_get_error_pos(&parser) == wire.ptr + wire.len);
    assert(slice_eq(buf_slice(&theirs), body));
    buf_deinit(&theirs);
}

/* ------------------------------------------------------------------- reading */

/* A handler takes what it is given, now and then. */
static void consume(struct reader *r)
{
    if (!r->appetite || r->appetite++ % 3)
        return;
    buf_add(&r->consumed, buf_slice(&r->body));
    buf_clear(&r->body);
}

static void check_trailers(struct reader *r)
{
    size_t count;
    const struct field *fields = chunked_trailers(buf_slice(&r->trailer), &r->arena, &count);
    for (size_t i = 0; i < count; i++) {
        assert(response_trailer_allowed(fields[i].name));
        assert(token_valid(fields[i].name) && value_valid(fields[i].value));
        buf_addf(r->told, SLICE_FMT "=" SLICE_FMT "\n", SLICE_ARG(fields[i].name),
                 SLICE_ARG(fields[i].value));
    }
}

static void finish_request(struct reader *r)
{
    struct http_request *request = &r->request;
    buf_add(&r->consumed, buf_slice(&r->body));
    request->body = buf_slice(&r->consumed);
    if (r->is_chunked)
        request_set_length(request, &r->arena);
    check_path(request);
    buf_addf(r->told, SLICE_FMT " " SLICE_FMT " " SLICE_FMT "\n", SLICE_ARG(request->method),
             SLICE_ARG(request->path), SLICE_ARG(request->query));
    for (size_t i = 0; i < request->header_count; i++) {
        check_field(&request->headers[i]);
        buf_addf(r->told, SLICE_FMT "=" SLICE_FMT "\n", SLICE_ARG(request->headers[i].name),
                 SLICE_ARG(request->headers[i].value));
    }
    assert(request->body.len <= limits.body_bytes);
    assert(!request->upgrade.len || (!request->body.len && request->version_minor));
    buf_add(r->told, request->body);
    buf_add(r->told, request->upgrade);
    check_trailers(r);
    arena_reset(&r->arena);
    buf_clear(&r->body);
    buf_clear(&r->consumed);
    buf_clear(&r->trailer);
    r->in_body = r->is_chunked = false;
}

static void refuse(struct reader *r, const struct refusal *why)
{
    assert(why->detail && why->status >= 400 && why->status <= 505);
    buf_addf(r->told, "refused %u\n", why->status);
    r->refused = true;
}

static void begin_request(struct reader *r, struct slice raw)
{
    struct peer peer = {SLICE("192.0.2.1"), false};
    struct trust trust = {0};
    struct refusal why = {0};
    struct head head;
    size_t lines = r->scan.lines;
    r->scan = (struct head_scan){0};
    if (!head_parse(raw, lines, &r->arena, &head, &why) ||
        !request_read(&r->request, &head, &peer, &trust, SLICE("id"), &r->arena, &why)) {
        refuse(r, &why);
        return;
    }
    assert(head.minor == 0 || r->request.host.len > 0);
    assert(!head.chunked || head.length == 0);
    if (head.length > limits.body_bytes) {
        refuse(r, &(struct refusal){413, "too large"});
        return;
    }
    r->is_chunked = head.chunked;
    r->body_left = head.length;
    r->chunked = (struct chunked){.kept = &r->trailer, .trailer_max = 128};
    r->in_body = true;
}

static size_t read_body(struct reader *r, struct slice bytes)
{
    if (!r->is_chunked) {
        size_t len = MIN(bytes.len, r->body_left);
        buf_append(&r->body, bytes.ptr, len);
        r->body_left -= len;
        if (r->body_left == 0)
            finish_request(r);
        else
            consume(r);
        return len;
    }
    size_t used = 0;
    enum chunked_verdict verdict =
        chunked_read(&r->chunked, bytes, limits.body_bytes, &r->body, &used);
    assert(used <= bytes.len && r->body.len + r->consumed.len <= limits.body_bytes);
    assert(r->trailer.len <= 128);
    if (verdict == CHUNKED_DONE) {
        finish_request(r);
    } else if (verdict != CHUNKED_MORE) {
        buf_addf(r->told, "bad chunk %d\n", (int)verdict);
        r->refused = true;
    } else {
        consume(r);
    }
    return used;
}

/* As conn does: offered what is kept and what is new, says how much it used. */
static size_t offer(struct reader *r, struct slice bytes)
{
    size_t used = 0;
    while (!r->refused &&
           (used < bytes.len || (r->in_body && !r->is_chunked && !r->body_left))) {
        struct slice rest = slice_from(bytes, used);
        struct refusal why = {0};
        if (r->in_body) {
            used += read_body(r, rest);
            continue;
        }
        enum scan_verdict verdict = head_scan(&r->scan, rest, &limits, &why);
        assert(r->scan.at <= limits.head_bytes && r->scan.at <= rest.len);
        if (verdict == SCAN_MORE)
            return used;
        if (verdict == SCAN_REFUSED) {
            refuse(r, &why);
            return used;
        }
        size_t len = r->scan.at;
        begin_request(r, (struct slice){rest.ptr, len});
        used += len;
    }
    return used;
}

static void reader_deinit(struct reader *r)
{
    arena_deinit(&r->arena);
    buf_deinit(&r->body);
    buf_deinit(&r->consumed);
    buf_deinit(&r->trailer);
}

static void read_in_pieces(struct slice wire, unsigned seed, struct buf *told)
{
    struct reader r = {.told = told, .appetite = 1 + seed % 3};
    size_t from = 0;
    size_t to = 0;
    while (to < wire.len && !r.refused) {
        seed = seed * 1103515245u + 12345u;
        size_t step = 1 + (seed >> 16) % 24;
        to = MIN(to + step, wire.len);
        /* Exactly as large as what has come, so that a sanitizer sees a read past it. */
        struct slice part = {wire.ptr + from, to - from};
        char *copy = xmalloc(part.len);
        memcpy(copy, part.ptr, part.len);
        from += offer(&r, (struct slice){copy, part.len});
        xfree(copy);
    }
    reader_deinit(&r);
}

static void read_whole(struct slice wire, struct buf *told)
{
    struct reader r = {.told = told};
    offer(&r, wire);
    reader_deinit(&r);
}

static void read_as_chunked(struct slice wire)
{
    struct chunked chunked = {0};
    struct buf body = {0};
    size_t used = 0;
    enum chunked_verdict verdict =
        chunked_read(&chunked, wire, limits.body_bytes, &body, &used);
    bool has_trailer = chunked.trailer > strlen("\r");
    if (verdict == CHUNKED_DONE && !has_trailer)
        check_chunked((struct slice){wire.ptr, used}, buf_slice(&body));
    buf_deinit(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = {0};
    struct buf pieces = {0};
    if (size == 0)
        return 0;
    struct slice wire = {(const char *)data + 1, size - 1};
    read_whole(wire, &whole);
    read_in_pieces(wire, data[0], &pieces);
    assert(slice_eq(buf_slice(&whole), buf_slice(&pieces)));
    read_as_chunked(wire);
    buf_deinit(&whole);
    buf_deinit(&pieces);
    return 0;
}
