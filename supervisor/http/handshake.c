#include "http/handshake.h"

#include "base/base64.h"
#include "base/sha1.h"
#include "http/field.h"

enum { KEY_BYTES = 16, OWN_FIELDS = 3 };

/* The n-th field of a name, empty when there are no more. */
static struct slice find(const struct http_request *req, const char *name, size_t *from)
{
    for (; *from < req->header_count; (*from)++)
        if (slice_is(req->headers[*from].name, name))
            return req->headers[(*from)++].value;
    return (struct slice){0};
}

/* One that may come once; false when it comes more often. */
static bool find_only(const struct http_request *req, const char *name, struct slice *value)
{
    size_t from = 0;
    *value = slice_trim(find(req, name, &from));
    return find(req, name, &from).ptr == NULL;
}

static bool refuse(struct refusal *why, unsigned status, const char *detail)
{
    *why = (struct refusal){status, detail};
    return false;
}

bool handshake_check(const struct http_request *req, struct refusal *why)
{
    struct slice key, version;
    if (!slice_is(req->method, "GET"))
        return refuse(why, 400, "a WebSocket is opened with GET");
    if (!find_only(req, "sec-websocket-version", &version))
        return refuse(why, 400, "Sec-WebSocket-Version comes twice");
    if (!slice_is(version, "13"))
        return refuse(why, 426, "of WebSocket this is version 13 (Sec-WebSocket-Version)");
    if (!find_only(req, "sec-websocket-key", &key))
        return refuse(why, 400, "Sec-WebSocket-Key comes twice");
    if (!base64_valid(key) || base64_decoded_size(key) != KEY_BYTES)
        return refuse(why, 400, "Sec-WebSocket-Key must be 16 bytes in base64");
    return true;
}

void handshake_refuse(struct exchange *x, const struct refusal *why)
{
    static const struct field version[] = {{{"Sec-WebSocket-Version", 21}, {"13", 2}},
                                           {{"Upgrade", 7}, {"websocket", 9}}};
    const struct http_request *req = exchange_request(x);
    struct buf body = {0};
    struct err err;
    response_problem(&body, why->status, slice_of(why->detail), req->path, req->id,
                     (struct slice){0});
    IGNORE(exchange_respond(
        x,
        &(struct http_answer){.status = why->status,
                              .headers = version,
                              .header_count = why->status == 426 ? ARRAY_LEN(version) : 0,
                              .content_type = SLICE("application/problem+json"),
                              .body = buf_slice(&body)},
        &err)); /* a constant answer is valid */
    buf_deinit(&body);
}

bool handshake_offers(const struct http_request *req, struct slice protocol)
{
    struct slice list, item;
    for (size_t from = 0; (list = find(req, "sec-websocket-protocol", &from)).ptr;)
        while (list_take(&list, &item))
            if (slice_eq(item, protocol))
                return true;
    return false;
}

/* -------------------------------------------------------------- compression */

/* Up to the next separator that is in no quoted string; false at the end. */
static bool take(struct slice *rest, char separator, struct slice *item)
{
    size_t len = 0;
    bool quoted = false;
    if (!rest->ptr)
        return false;
    for (; len < rest->len && (quoted || rest->ptr[len] != separator); len++) {
        if (rest->ptr[len] == '"')
            quoted = !quoted;
        else if (quoted && rest->ptr[len] == '\\' && len + 1 < rest->len)
            len++;
    }
    *item = slice_trim((struct slice){rest->ptr, len});
    *rest = len < rest->len ? slice_from(*rest, len + 1) : (struct slice){0};
    return true;
}

/* "8" to "15", perhaps in quotes, and nothing else. */
static bool read_bits(struct slice value, unsigned *bits)
{
    uint64_t n;
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = (struct slice){value.ptr + 1, value.len - 2};
    if (!slice_to_u64(value, PACK_BITS_MAX, &n) || n < 8 || value.ptr[0] == '0')
        return false;
    *bits = (unsigned)n;
    return true;
}

/* The parameters of an offer; each may come once. */
enum parameter {
    SERVER_NO_TAKEOVER = 1 << 0,
    CLIENT_NO_TAKEOVER = 1 << 1,
    SERVER_BITS = 1 << 2,
    CLIENT_BITS = 1 << 3,
};

static enum parameter parameter_of(struct slice name)
{
    return slice_eq_nocase(name, SLICE("server_no_context_takeover"))   ? SERVER_NO_TAKEOVER
           : slice_eq_nocase(name, SLICE("client_no_context_takeover")) ? CLIENT_NO_TAKEOVER
           : slice_eq_nocase(name, SLICE("server_max_window_bits"))     ? SERVER_BITS
           : slice_eq_nocase(name, SLICE("client_max_window_bits"))     ? CLIENT_BITS
                                                                        : 0;
}

static bool read_parameter(struct slice text, unsigned *seen, struct compression *c)
{
    struct slice rest = text, name, value = {0};
    unsigned bits = 0;
    if (!take(&rest, '=', &name))
        return false;
    bool has_value = take(&rest, '\0', &value);
    enum parameter which = parameter_of(name);
    if (!which || (*seen & which))
        return false;
    *seen |= which;
    switch (which) {
    case SERVER_BITS: /* we cannot have a window of 8: zlib's smallest is 9 */
        c->names_bits = true;
        return has_value && read_bits(value, &c->bits) && c->bits >= PACK_BITS_MIN;
    case CLIENT_BITS: /* any window of theirs fits into ours */
        return !has_value || read_bits(value, &bits);
    default:
        return !has_value;
    }
}

static bool read_offer(struct slice offer, struct compression *c)
{
    struct slice name, parameter;
    unsigned seen = 0;
    *c = (struct compression){.bits = PACK_BITS_MAX};
    if (!take(&offer, ';', &name) || !slice_eq_nocase(name, SLICE("permessage-deflate")))
        return false;
    while (take(&offer, ';', &parameter))
        if (!read_parameter(parameter, &seen, c))
            return false;
    c->agreed = true;
    return true;
}

void handshake_compression(const struct http_request *req, struct compression *c)
{
    struct slice list, offer;
    for (size_t from = 0; (list = find(req, "sec-websocket-extensions", &from)).ptr;)
        while (take(&list, ',', &offer))
            if (read_offer(offer, c))
                return;
    *c = (struct compression){0};
}

/* ------------------------------------------------------------------- answer */

static struct slice accept_hash(struct slice key, struct arena *arena)
{
    unsigned char digest[SHA1_BYTES];
    struct buf text = {0};
    buf_add(&text, key);
    buf_adds(&text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"); /* RFC 6455, 1.3 */
    sha1_digest(buf_slice(&text), digest);
    buf_clear(&text);
    base64_encode(&text, (struct slice){(const char *)digest, sizeof(digest)});
    struct slice hash = arena_copy(arena, buf_slice(&text));
    buf_deinit(&text);
    return hash;
}

static struct slice extension(const struct compression *c, struct arena *arena)
{
    struct buf text = {0};
    buf_adds(&text, "permessage-deflate; server_no_context_takeover; "
                    "client_no_context_takeover");
    if (c->names_bits)
        buf_addf(&text, "; server_max_window_bits=%u", c->bits);
    struct slice value = arena_copy(arena, buf_slice(&text));
    buf_deinit(&text);
    return value;
}

static bool is_ours(struct slice name)
{
    return slice_eq_nocase(name, SLICE("upgrade")) ||
           slice_eq_nocase(name, SLICE("connection")) ||
           slice_eq_nocase(name, SLICE("sec-websocket-accept")) ||
           slice_eq_nocase(name, SLICE("sec-websocket-extensions"));
}

void handshake_answer(const struct http_request *req, const struct compression *c,
                      const struct field *more, size_t count, struct arena *arena,
                      struct http_answer *answer)
{
    struct field *fields = arena_alloc(arena, (OWN_FIELDS + count) * sizeof(*fields));
    struct slice key;
    size_t n = 0;
    IGNORE(!find_only(req, "sec-websocket-key", &key)); /* it was checked */
    fields[n++] = (struct field){SLICE("Upgrade"), SLICE("websocket")};
    fields[n++] = (struct field){SLICE("Sec-WebSocket-Accept"), accept_hash(key, arena)};
    if (c->agreed)
        fields[n++] = (struct field){SLICE("Sec-WebSocket-Extensions"), extension(c, arena)};
    for (size_t i = 0; i < count; i++)
        if (!is_ours(more[i].name))
            fields[n++] = more[i];
    *answer = (struct http_answer){.status = 101, .headers = fields, .header_count = n};
}
