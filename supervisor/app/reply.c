#include "app/reply.h"

enum { HEADERS_MAX = 128 };

static struct slice latin1(struct arena *arena, const struct json_value *value, bool *valid)
{
    if (!value->escaped && slice_is_ascii(json_inner(value)))
        return arena_copy(arena, json_inner(value));
    struct buf text = {0};
    *valid = *valid && json_unescape_latin1(value, &text);
    struct slice copy = arena_copy(arena, buf_slice(&text));
    buf_deinit(&text);
    return copy;
}

struct headers {
    struct field *fields;
    size_t count;
    bool valid;
    bool typeless; /* "content-type": [] says that there is none, and none is to be added */
};

static void add_header(struct headers *h, struct arena *arena, struct slice name,
                       const struct json_value *value)
{
    if (h->count == HEADERS_MAX) {
        h->valid = false;
        return;
    }
    h->fields[h->count++] = (struct field){name, latin1(arena, value, &h->valid)};
}

/* A member is a string, or an array of them for a field that comes several times. */
static struct headers read_headers(struct arena *arena, const struct json_value *object)
{
    struct headers h = {.valid = true};
    if (!object->raw.len)
        return h;
    h.fields = arena_alloc(arena, HEADERS_MAX * sizeof(struct field));
    struct json_scan members = json_iter(object);
    struct json_value key, value, item;
    while (json_next_member(&members, &key, &value)) {
        struct slice name = latin1(arena, &key, &h.valid);
        if (value.type == JSON_STRING) {
            add_header(&h, arena, name, &value);
            continue;
        }
        struct json_scan items = json_iter(&value);
        size_t before = h.count;
        while (json_next_item(&items, &item))
            add_header(&h, arena, name, &item);
        if (h.count == before && slice_is(name, "content-type"))
            h.typeless = true;
    }
    return h;
}

static struct slice content_type(enum frame_body kind)
{
    static const struct slice types[] = {
        [FRAME_BODY_NONE] = {0},
        [FRAME_BODY_TEXT] = {"text/plain; charset=utf-8", 25},
        [FRAME_BODY_BASE64] = {"application/octet-stream", 24},
        [FRAME_BODY_JSON] = {"application/json", 16},
    };
    return types[kind];
}

bool reply_read_head(const struct frame *frame, struct arena *arena, struct http_answer *answer,
                     struct err *why)
{
    struct headers headers = read_headers(arena, &frame->headers);
    bool valid = headers.valid;
    struct slice reason = {0};
    if (frame->reason.raw.len)
        reason = latin1(arena, &frame->reason, &valid);
    if (!valid) {
        IGNORE(err_set(why, -1, "its headers hold too much, or what no header can"));
        return false;
    }
    *answer = (struct http_answer){
        .status = frame->status ? (unsigned)frame->status : 200,
        .reason = reason,
        .headers = headers.fields,
        .header_count = headers.count,
        .content_type = headers.typeless ? (struct slice){0} : content_type(frame->body_kind),
    };
    return true;
}

bool reply_read(const struct frame *frame, struct arena *arena, struct buf *body,
                struct http_answer *answer, struct err *why)
{
    if (!reply_read_head(frame, arena, answer, why))
        return false;
    answer->body = frame_body_bytes(frame, body);
    return true;
}

void reply_add_field(struct http_answer *answer, struct arena *arena, const struct field *field)
{
    struct field *all = arena_alloc(arena, (answer->header_count + 1) * sizeof(*all));
    for (size_t i = 0; i < answer->header_count; i++)
        all[i] = answer->headers[i];
    all[answer->header_count++] = *field;
    answer->headers = all;
}
