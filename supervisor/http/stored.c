#include "http/stored.h"

#include <assert.h>

#include "http/field.h"
#include "http/front.h"

enum {
    ALLOCATOR_BYTES = 32, /* that a block costs beside its size, about */
    TAIL_BYTES = 128,     /* of the fields that differ, but for the id */
};

/* --------------------------------------------------------------------- make */

static void add_field(struct buf *head, struct slice name, struct slice value)
{
    buf_add(head, name);
    buf_adds(head, ": ");
    buf_add(head, value);
    buf_adds(head, "\r\n");
}

/* Fields that only make sense beside the body: a 304 goes without them. */
static bool describes_body(struct slice name)
{
    return slice_eq_nocase(name, SLICE("content-type")) ||
           slice_eq_nocase(name, SLICE("content-encoding")) ||
           slice_eq_nocase(name, SLICE("content-language")) ||
           slice_eq_nocase(name, SLICE("content-range"));
}

/* The connection's own business, or the cache's. */
static bool is_ours(struct slice name)
{
    enum field_id id = field_lookup(name);
    return field_is_hop(id) || id == FIELD_CONTENT_LENGTH || id == FIELD_DATE ||
           id == FIELD_X_REQUEST_ID || slice_eq_nocase(name, SLICE("age")) ||
           slice_eq_nocase(name, SLICE("x-cache"));
}

static void add_fields(struct buf *head, const struct http_answer *answer, bool of_body)
{
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct field *field = &answer->headers[i];
        if (describes_body(field->name) == of_body && !is_ours(field->name))
            add_field(head, field->name, field->value);
    }
}

static struct slice value_of(const struct http_answer *answer, struct slice name)
{
    for (size_t i = 0; i < answer->header_count; i++)
        if (slice_eq_nocase(answer->headers[i].name, name))
            return slice_trim(answer->headers[i].value);
    return (struct slice){0};
}

/* Returns where the part begins that a 304 has too. */
static size_t write_head(struct buf *head, const struct http_answer *answer, int64_t now_s)
{
    char date[DATE_LEN + 1];
    struct tm utc;
    time_t now = (time_t)now_s;
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
    struct slice reason = answer->reason.len ? answer->reason : http_reason(answer->status);
    buf_addf(head, "HTTP/1.1 %u ", answer->status);
    buf_add(head, reason);
    buf_adds(head, "\r\n");
    add_fields(head, answer, /* of_body= */ true);
    if (answer->content_type.len && !value_of(answer, SLICE("content-type")).len)
        add_field(head, SLICE("Content-Type"), answer->content_type);
    if (answer->status != 204)
        buf_addf(head, "Content-Length: %zu\r\n", answer->body.len);
    size_t common = head->len;
    add_fields(head, answer, /* of_body= */ false);
    add_field(head, SLICE("Date"), slice_of(date));
    return common;
}

static struct slice put(char **at, struct slice bytes)
{
    struct slice copy = {*at, bytes.len};
    if (bytes.len)
        memcpy(*at, bytes.ptr, bytes.len);
    *at += bytes.len;
    return copy;
}

static void put_answer(struct stored *s, char **at, const struct http_answer *answer,
                       struct slice head, size_t common)
{
    struct slice modified = value_of(answer, SLICE("last-modified"));
    s->status = answer->status;
    s->head = put(at, head);
    s->common = common;
    s->etag = put(at, value_of(answer, SLICE("etag")));
    s->modified_s = modified.len ? http_date_read(modified) : -1;
    if (answer->status != 204)
        s->body = put(at, answer->body);
}

struct stored *stored_new(const struct stored_form *form)
{
    struct buf head = {0};
    const struct http_answer *answer = form->answer;
    size_t common = answer ? write_head(&head, answer, form->now_s) : 0;
    size_t bytes = form->key.len + form->vary.len + form->values.len + head.len;
    if (answer)
        bytes += answer->body.len + value_of(answer, SLICE("etag")).len;
    struct stored *s = xmalloc(sizeof(*s) + bytes);
    *s = (struct stored){
        .holds = 1,
        .to_all = form->fresh.to_all,
        .owner = form->owner,
        .made_ms = form->now_ms,
        .until_ms = form->now_ms + form->fresh.ttl_ms,
        .age_s = form->fresh.age_s,
        .modified_s = -1,
        .size = sizeof(*s) + bytes + ALLOCATOR_BYTES,
    };
    char *at = s->bytes;
    s->key = put(&at, form->key);
    s->vary = put(&at, form->vary);
    s->values = put(&at, form->values);
    if (answer)
        put_answer(s, &at, answer, buf_slice(&head), common);
    list_init(&s->queue);
    buf_deinit(&head);
    return s;
}

struct stored *stored_hold(struct stored *s)
{
    s->holds++;
    return s;
}

void stored_drop(struct stored *s)
{
    if (!s)
        return;
    assert(s->holds > 0);
    if (--s->holds == 0)
        xfree(s);
}

/* --------------------------------------------------------------------- send */

static void pen_put(char **pen, struct slice bytes)
{
    if (bytes.len)
        memcpy(*pen, bytes.ptr, bytes.len);
    *pen += bytes.len;
}

static void pen_number(char **pen, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    pen_put(pen, (struct slice){digits + at, sizeof(digits) - at});
}

/* The fields that differ from one sending to the next, and the empty line. */
static void put_tail(char **pen, const struct stored_sending *sending,
                     const struct http_framing *framing)
{
    if (sending->is_hit) {
        pen_put(pen, SLICE("X-Cache: HIT\r\nAge: "));
        pen_number(pen, sending->age_s);
        pen_put(pen, SLICE("\r\nX-Request-Id: "));
    } else {
        pen_put(pen, SLICE("X-Cache: MISS\r\nX-Request-Id: "));
    }
    pen_put(pen, framing->id);
    if (framing->close)
        pen_put(pen, SLICE("\r\nConnection: close"));
    else if (framing->keep_alive)
        pen_put(pen, SLICE("\r\nConnection: keep-alive"));
    pen_put(pen, SLICE("\r\n\r\n"));
}

struct slice stored_write(struct buf *out, const struct stored_sending *sending,
                          const struct http_framing *framing, size_t *body_bytes)
{
    struct slice unchanged = SLICE("HTTP/1.1 304 Not Modified\r\n");
    const struct stored *s = sending->stored;
    bool bodiless = framing->to_head || sending->not_modified;
    struct slice body = bodiless ? (struct slice){0} : s->body;
    bool copied = body.len <= STORED_COPY_MAX;
    char *start = buf_reserve(out, s->head.len + unchanged.len + TAIL_BYTES + framing->id.len +
                                       (copied ? body.len : 0));
    char *pen = start;
    if (sending->not_modified) {
        pen_put(&pen, unchanged);
        pen_put(&pen, slice_from(s->head, s->common));
    } else {
        pen_put(&pen, s->head);
    }
    put_tail(&pen, sending, framing);
    if (copied)
        pen_put(&pen, body);
    out->len += (size_t)(pen - start);
    *body_bytes = body.len;
    return copied ? (struct slice){0} : body;
}
