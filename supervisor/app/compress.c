#include "app/compress.h"

#include "app/squeeze.h"
#include "config/config.h"
#include "http/encoder.h"
#include "http/field.h"
#include "http/mediatype.h"

enum {
    WHOLE_MAX = 2 * ENCODER_TURN, /* longer answers are compressed over several turns */

    /* Kept answers are compressed once for all who get them, and so all at once. */
    KEPT_MAX = 512 * 1024,
};

static const struct server_config *settings(const struct gateway *g)
{
    return &g->routes->config->server;
}

static bool has_item(struct slice list, struct slice wanted)
{
    struct slice item;
    while (list_take(&list, &item))
        if (slice_eq_nocase(item, wanted))
            return true;
    return false;
}

/* -------------------------------------------------------------------- may it be? */

/* Fields whose presence says that the bytes must stay as they are. */
static bool is_fixing(const struct field *f)
{
    static const struct slice names[] = {
        {"content-encoding", 16}, {"content-range", 13}, {"content-md5", 11},
        {"content-digest", 14},   {"repr-digest", 11},   {"digest", 6},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_eq_nocase(f->name, names[i]))
            return true;
    return slice_eq_nocase(f->name, SLICE("cache-control")) &&
           has_item(f->value, SLICE("no-transform"));
}

/* What of an answer's fields matters here. */
struct traits {
    struct slice type;
    struct slice length; /* Content-Length, as it is given */
    bool fixed;
    bool varies; /* by Accept-Encoding, as it says itself */
};

static struct traits read_traits(const struct http_answer *answer)
{
    struct traits t = {.type = answer->content_type};
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct field *f = &answer->headers[i];
        enum field_id id = field_lookup(f->name);
        if (id == FIELD_CONTENT_TYPE)
            t.type = f->value;
        else if (id == FIELD_CONTENT_LENGTH)
            t.length = slice_trim(f->value);
        else if (slice_eq_nocase(f->name, SLICE("vary")))
            t.varies |=
                has_item(f->value, SLICE("accept-encoding")) || has_item(f->value, SLICE("*"));
        else
            t.fixed |= is_fixing(f);
    }
    return t;
}

/* `size` of the body; SIZE_MAX: not known. */
static bool may_be(const struct server_config *s, const struct http_answer *answer,
                   const struct traits *t, uint64_t size)
{
    return s->compress.count && !t->fixed && size && size >= s->compress_min &&
           answer->status >= 200 && answer->status != 204 && answer->status != 205 &&
           answer->status != 206 && answer->status != 304 &&
           mediatype_fits(t->type, s->compress_types.items, s->compress_types.count);
}

enum coding compress_coding(const struct gateway *g, const struct http_request *req)
{
    const struct string_list *names = &settings(g)->compress;
    enum coding offer[CODING_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < names->count && count < CODING_COUNT; i++)
        if (coding_read(slice_of(names->items[i]), &offer[count]))
            count++;
    return negotiate_coding(req->headers, req->header_count, offer, count);
}

/* ------------------------------------------------------------------------ fields */

static void add_vary(struct arena *arena, const struct traits *t, struct http_answer *answer)
{
    if (t->varies)
        return;
    struct field *fields = arena_alloc(arena, (answer->header_count + 1) * sizeof(*fields));
    if (answer->header_count)
        memcpy(fields, answer->headers, answer->header_count * sizeof(*fields));
    fields[answer->header_count++] = (struct field){SLICE("Vary"), SLICE("Accept-Encoding")};
    answer->headers = fields;
}

/* The bytes are others now: what the tag stands for is the same, but not byte for byte. */
static struct slice weaken(struct arena *arena, struct slice etag)
{
    if (slice_starts(etag, SLICE("W/")))
        return etag;
    char *to = arena_alloc(arena, etag.len + 2);
    to[0] = 'W';
    to[1] = '/';
    if (etag.len)
        memcpy(to + 2, etag.ptr, etag.len);
    return (struct slice){to, etag.len + 2};
}

static void mark_coded(struct arena *arena, enum coding coding, struct http_answer *answer)
{
    size_t count = 0;
    struct field *fields = arena_alloc(arena, (answer->header_count + 1) * sizeof(*fields));
    for (size_t i = 0; i < answer->header_count; i++) {
        struct field f = answer->headers[i];
        if (field_lookup(f.name) == FIELD_CONTENT_LENGTH ||
            slice_eq_nocase(f.name, SLICE("accept-ranges")))
            continue;
        if (slice_eq_nocase(f.name, SLICE("etag")))
            f.value = weaken(arena, f.value);
        fields[count++] = f;
    }
    fields[count++] = (struct field){SLICE("Content-Encoding"), coding_name(coding)};
    answer->headers = fields;
    answer->header_count = count;
}

/* ----------------------------------------------------------------- whole answers */

/* False when it would not become shorter. */
static bool pack(enum coding coding, struct slice body, struct buf *out)
{
    struct encoder *e = encoder_new(coding, body.len);
    encoder_write(e, body, ENCODER_END, out);
    encoder_free(e);
    return out->len < body.len;
}

/* What its body has, or would have: to HEAD a worker may say only that. */
static uint64_t size_of(const struct http_answer *answer, const struct traits *t, bool to_head)
{
    uint64_t size = answer->body.len;
    if (!size && to_head)
        IGNORE(slice_to_u64(t->length, INT64_MAX, &size)); /* stays 0: not known */
    return size;
}

bool compress_respond(struct gateway *g, struct exchange *x, struct http_answer *answer,
                      struct err *why)
{
    const struct http_request *req = exchange_request(x);
    struct arena *arena = exchange_arena(x);
    struct traits t = read_traits(answer);
    bool to_head = slice_is(req->method, "HEAD");
    if (!may_be(settings(g), answer, &t, size_of(answer, &t, to_head)))
        return exchange_respond(x, answer, why);
    enum coding coding = compress_coding(g, req);
    add_vary(arena, &t, answer);
    if (coding == CODING_IDENTITY)
        return exchange_respond(x, answer, why);
    if (to_head) { /* what would come of it is not worth the work */
        answer->body = (struct slice){0};
        mark_coded(arena, coding, answer);
        return exchange_respond(x, answer, why);
    }
    if (answer->body.len > WHOLE_MAX) {
        mark_coded(arena, coding, answer);
        return squeeze_respond(g->loop, x, coding, answer, why);
    }
    struct buf out = {0};
    if (pack(coding, answer->body, &out)) {
        answer->body = buf_slice(&out);
        mark_coded(arena, coding, answer);
    }
    bool sent = exchange_respond(x, answer, why);
    buf_deinit(&out);
    return sent;
}

void compress_kept(const struct gateway *g, enum coding coding, struct arena *arena,
                   struct buf *out, struct http_answer *answer)
{
    struct traits t = read_traits(answer);
    if (answer->body.len > KEPT_MAX || !may_be(settings(g), answer, &t, answer->body.len))
        return;
    add_vary(arena, &t, answer);
    if (coding == CODING_IDENTITY || !pack(coding, answer->body, out))
        return;
    answer->body = buf_slice(out);
    mark_coded(arena, coding, answer);
}

/* ------------------------------------------------------------- answers in pieces */

struct coder {
    struct encoder *encoder;
};

struct coder *coder_new(struct gateway *g, struct exchange *x, struct http_answer *head)
{
    const struct http_request *req = exchange_request(x);
    struct traits t = read_traits(head);
    uint64_t size = SIZE_MAX;
    IGNORE(slice_to_u64(t.length, INT64_MAX, &size)); /* stays as it is: not known */
    if (!may_be(settings(g), head, &t, size))
        return NULL;
    add_vary(exchange_arena(x), &t, head);
    enum coding coding = compress_coding(g, req);
    if (coding == CODING_IDENTITY)
        return NULL;
    mark_coded(exchange_arena(x), coding, head);
    if (slice_is(req->method, "HEAD"))
        return NULL;
    struct coder *coder = xmalloc(sizeof(*coder));
    /* What the worker announced is only its word: the stream's bounds hold whatever comes. */
    coder->encoder = encoder_new(coding, SIZE_MAX);
    return coder;
}

void coder_free(struct coder *coder)
{
    if (!coder)
        return;
    encoder_free(coder->encoder);
    xfree(coder);
}

void coder_write(struct coder *coder, struct slice piece, bool last, struct buf *out)
{
    if (piece.len || last)
        encoder_write(coder->encoder, piece, last ? ENCODER_END : ENCODER_FLUSH, out);
}
